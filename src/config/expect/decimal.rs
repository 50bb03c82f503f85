//! Decimal numbers of any length, only to be compared: a float would call 9007199254740993 and …992 the same.

use std::cmp::Ordering;

/// Largest exponent read. PostgreSQL's numeric ends at 131072 digits before the point.
const EXPONENT_LIMIT: i64 = 1_000_000;

/// A number, as `0.DIGITS × 10^point` without zeros at either end of the digits. Zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    point: i64,
    digits: Vec<u8>,
}

impl Decimal {
    /// Reads `12`, `-0.50`, `1.5e+20`; not `NaN` or `Infinity`, which no comparison should pass.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole.as_bytes(), fraction.as_bytes()].concat();
        if digits.is_empty()
            || !digits.iter().all(u8::is_ascii_digit)
            || !(-EXPONENT_LIMIT..=EXPONENT_LIMIT).contains(&exponent)
        {
            return None;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let end = digits
            .iter()
            .rposition(|digit| *digit != b'0')
            .map_or(zeros, |last| last + 1);
        let digits = digits.get(zeros..end).unwrap_or_default().to_vec();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()? + exponent;
        Some(if digits.is_empty() {
            Self {
                negative: false,
                point: 0,
                digits,
            }
        } else {
            Self {
                negative,
                point,
                digits,
            }
        })
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        let digits = number.unsigned_abs().to_string();
        Self {
            negative: number < 0,
            point: if number == 0 { 0 } else { digits.len() as i64 },
            digits: digits.trim_end_matches('0').as_bytes().to_vec(),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_size = || {
            self.point
                .cmp(&other.point)
                .then_with(|| self.digits.cmp(&other.digits))
        };
        self.sign().cmp(&other.sign()).then_with(|| {
            if self.negative {
                by_size().reverse()
            } else {
                by_size()
            }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn forms() {
        for (left, right) in [
            ("0", "-0.00"),
            ("5", "+5.000"),
            ("1e3", "1000"),
            ("0.001", "1E-3"),
            (".5", "0.50"),
            ("00012.30", "12.3"),
            ("0e9", "0"),
        ] {
            assert_eq!(number(left), number(right), "{left} {right}");
        }
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e1.5",
            "NaN",
            "Infinity",
            "-inf",
            "1 2",
            "1,000",
            "0x1",
            "--1",
            "1e2000000",
            "٣",
            "1..2",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_floats_cannot_tell_apart() {
        assert!(number("9007199254740993") > number("9007199254740992"));
        assert!(number("0.1000000000000000000000000001") > number("0.1"));
        assert!(number("-1e400") < number("-1e399"));
    }

    proptest! {
        #[test]
        fn whole_numbers_compare_as_such(a: i64, b: i64) {
            prop_assert_eq!(number(&a.to_string()), Decimal::from(a));
            prop_assert_eq!(number(&a.to_string()).cmp(&number(&b.to_string())), a.cmp(&b));
        }

        #[test]
        fn fractions_compare_as_whole_numbers_of_the_smallest_unit(a in -100_000_i64..100_000, b in -100_000_i64..100_000) {
            let shown = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            prop_assert_eq!(number(&shown(a)).cmp(&number(&shown(b))), a.cmp(&b));
            prop_assert_eq!(number(&shown(a)), number(&format!("{a}e-3")));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE ]{0,12}|.{0,10}") {
            if let Some(read) = Decimal::parse(&text) {
                prop_assert_eq!(read.cmp(&read), Ordering::Equal);
            }
        }
    }
}
