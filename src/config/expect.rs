//! What the answer to a check must be: `> 0`, `between 1 and 5`, `= 'open'`, `true`, `not null`.
//!
//! An expectation is read with the configuration, so that a wrong one is refused there and not in the drill that needs it.
//! Whatever could pass without meaning to (`<> true` against PostgreSQL's `t`, `<> null`) is refused or read as meant.

pub mod decimal;

use std::cmp::Ordering;

use decimal::Decimal;

/// An expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    typed: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// A number that compares so with this one.
    Order(&'static [Ordering], Decimal),
    /// The same number, or (`false`) another.
    Number(bool, Decimal),
    /// The same text, or (`false`) another.
    Text(bool, String),
    /// A boolean.
    Truth(bool),
    /// A number from the first to the second.
    Between(Decimal, Decimal),
    /// Anything but NULL.
    NotNull,
}

/// Why a text is no expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectError {
    /// None of the forms.
    #[error("not an expectation")]
    Form,
    /// An order needs a number.
    #[error("not a number behind the operator")]
    Number,
    /// A range from large to small, in which nothing is.
    #[error("the range is empty")]
    Range,
    /// Nothing equals NULL, and nothing differs from it.
    #[error("nothing compares with NULL; use not null")]
    Null,
    /// A text that begins or ends like a quoted one, or like an operator.
    #[error("the text needs single quotes, as = 'open'")]
    Quotes,
}

/// Operators, those first of which another is the beginning.
const OPERATORS: [(&str, &[Ordering]); 4] = [
    (">=", &[Ordering::Greater, Ordering::Equal]),
    ("<=", &[Ordering::Less, Ordering::Equal]),
    (">", &[Ordering::Greater]),
    ("<", &[Ordering::Less]),
];

impl Expect {
    /// Reads an expectation. Words may be in any case.
    pub fn parse(text: &str) -> Result<Self, ExpectError> {
        let text = text.trim();
        let form = if let Some(rest) = text.strip_prefix("<>").or(text.strip_prefix("!=")) {
            equality(false, rest.trim())?
        } else if let Some(rest) = text.strip_prefix('=') {
            equality(true, rest.trim())?
        } else if let Some((operator, order)) = OPERATORS
            .into_iter()
            .find(|(operator, _)| text.starts_with(operator))
        {
            let rest = text.strip_prefix(operator).unwrap_or_default();
            Form::Order(order, Decimal::parse(rest).ok_or(ExpectError::Number)?)
        } else {
            words(text)?
        };
        Ok(Self {
            typed: text.to_owned(),
            form,
        })
    }

    /// Whether a value, in PostgreSQL's text form, is as expected. NULL never is.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return false;
        };
        let number = || Decimal::parse(value);
        match &self.form {
            Form::Order(order, than) => {
                number().is_some_and(|number| order.contains(&number.cmp(than)))
            }
            Form::Number(equal, to) => number().is_some_and(|number| number == *to) == *equal,
            Form::Text(equal, to) => (value == to) == *equal,
            Form::Truth(wanted) => match value {
                "t" | "true" => *wanted,
                "f" | "false" => !wanted,
                _ => false,
            },
            Form::Between(least, most) => {
                number().is_some_and(|number| (least..=most).contains(&&number))
            }
            Form::NotNull => true,
        }
    }
}

fn equality(equal: bool, to: &str) -> Result<Form, ExpectError> {
    if let Some(quoted) = to.strip_prefix('\'') {
        let inner = quoted.strip_suffix('\'').ok_or(ExpectError::Quotes)?;
        let text = inner.replace("''", "\0");
        return if text.contains('\'') {
            Err(ExpectError::Quotes)
        } else {
            Ok(Form::Text(equal, text.replace('\0', "'")))
        };
    }
    match to.to_ascii_lowercase().as_str() {
        "" => Err(ExpectError::Form),
        "null" | "not null" => Err(ExpectError::Null),
        "true" => Ok(Form::Truth(equal)),
        "false" => Ok(Form::Truth(!equal)),
        _ if to.starts_with(['=', '<', '>', '!', '"']) || to.ends_with('\'') => {
            Err(ExpectError::Quotes)
        }
        _ => Ok(Decimal::parse(to).map_or_else(
            || Form::Text(equal, to.to_owned()),
            |number| Form::Number(equal, number),
        )),
    }
}

fn words(text: &str) -> Result<Form, ExpectError> {
    let lower = text.to_ascii_lowercase();
    let words: Vec<_> = lower.split_whitespace().collect();
    match words.as_slice() {
        ["true"] => Ok(Form::Truth(true)),
        ["false"] => Ok(Form::Truth(false)),
        ["not", "null"] => Ok(Form::NotNull),
        ["between", least, "and", most] => {
            let number = |text| Decimal::parse(text).ok_or(ExpectError::Number);
            let (least, most) = (number(least)?, number(most)?);
            if least > most {
                return Err(ExpectError::Range);
            }
            Ok(Form::Between(least, most))
        }
        _ => Err(ExpectError::Form),
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.typed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(expect: &str, value: &str) -> bool {
        Expect::parse(expect).expect(expect).holds(Some(value))
    }

    #[test]
    fn what_holds() {
        for (expect, value) in [
            ("> 0", "1"),
            (">0", "0.000000000000000000001"),
            (">= 9007199254740993", "9007199254740993"),
            ("< -1.5", "-1e+20"),
            ("<= 10", "10.00"),
            ("= 5", "5.00"),
            ("= '5'", "5"),
            ("<> 5", "6"),
            ("!= 5", "five"),
            ("= open", "open"),
            ("= it's", "it's"),
            ("= 'it''s'", "it's"),
            ("= ''", ""),
            ("<> 'open'", "closed"),
            ("true", "t"),
            ("FALSE", "f"),
            ("= true", "t"),
            ("<> true", "f"),
            ("between 1 and 5", "5.0"),
            ("Between -2 AND -1", "-1.5"),
            ("not null", "anything"),
            ("Not  Null", ""),
        ] {
            assert!(holds(expect, value), "{expect}: {value}");
        }
    }

    #[test]
    fn what_does_not() {
        for (expect, value) in [
            ("> 0", "0"),
            ("> 9007199254740992", "9007199254740992"),
            (">= 1", "NaN"),
            ("> 0", "Infinity"),
            ("> 0", "many"),
            ("= '5'", "5.0"),
            ("<> 5", "5.00"),
            ("= Open", "open"),
            ("true", "f"),
            ("true", "1"),
            ("<> true", "t"),
            ("<> true", "true"),
            ("between 1 and 5", "5.0000001"),
            ("between 1 and 5", ""),
        ] {
            assert!(!holds(expect, value), "{expect}: {value}");
        }
        for expect in [
            "> 0", "<> 5", "<> open", "= ''", "true", "false", "not null",
        ] {
            assert!(
                !Expect::parse(expect).expect(expect).holds(None),
                "{expect}: NULL"
            );
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, error) in [
            ("", ExpectError::Form),
            ("5", ExpectError::Form),
            ("many", ExpectError::Form),
            ("null", ExpectError::Form),
            ("=", ExpectError::Form),
            (">", ExpectError::Number),
            ("> many", ExpectError::Number),
            ("=> 5", ExpectError::Quotes),
            ("== 5", ExpectError::Quotes),
            ("= NULL", ExpectError::Null),
            ("<> null", ExpectError::Null),
            ("= 'open", ExpectError::Quotes),
            ("= 'o'pen'", ExpectError::Quotes),
            ("= open'", ExpectError::Quotes),
            ("= \"open\"", ExpectError::Quotes),
            ("between 5 and 1", ExpectError::Range),
            ("between a and b", ExpectError::Number),
            ("between 1 5", ExpectError::Form),
        ] {
            assert_eq!(Expect::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn orders_agree_with_those_of_numbers(a: i64, b: i64) {
            let value = a.to_string();
            prop_assert_eq!(holds(&format!("> {b}"), &value), a > b);
            prop_assert_eq!(holds(&format!(">= {b}"), &value), a >= b);
            prop_assert_eq!(holds(&format!("< {b}"), &value), a < b);
            prop_assert_eq!(holds(&format!("<={b}"), &value), a <= b);
            prop_assert_eq!(holds(&format!("= {b}"), &value), a == b);
            prop_assert_eq!(holds(&format!("<> {b}.0"), &value), a != b);
            let (least, most) = (a.min(b), a.max(b));
            let range = format!("between {least} and {most}");
            prop_assert!(holds(&range, &value));
        }

        #[test]
        fn any_text_can_be_expected(text in "[^\0]{0,20}") {
            let quoted = text.replace('\'', "''");
            let (same, different) = (format!("= '{quoted}'"), format!("<> '{quoted}'"));
            prop_assert!(holds(&same, &text));
            prop_assert!(!holds(&different, &text));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[=<>!' 0-9a-z]{0,12}|(between|not) .{0,10}", value in "[0-9.t]{0,4}") {
            if let Ok(expect) = Expect::parse(&text) {
                prop_assert_eq!(Expect::parse(&expect.to_string()), Ok(expect.clone()));
                expect.holds(Some(&value));
            }
        }
    }
}
