//! Words of an expression.

use super::SyntaxError;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A metric, a label, a function, or a word that is an operator.
    Name(String),
    Number(f64),
    /// What stood in quotes.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 21] = [
    "==", "!=", ">=", "<=", "=~", "!~", ">", "<", "=", "+", "-", "*", "/", "%", "^", "(", ")", "{",
    "}", ",", "[",
];

/// The words of a text.
pub(super) fn words(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let length = run(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                (Token::Name(beginning(rest, length).to_owned()), length)
            }
            '0'..='9' | '.' => {
                let length = run(rest, |c| c.is_ascii_digit() || c == '.');
                // `5m` is a duration, which only ranges and offsets have.
                let number = beginning(rest, length).parse();
                let glued = rest[length..].starts_with(|c: char| c.is_ascii_alphabetic());
                let number = number.ok().filter(|_| !glued);
                (Token::Number(number.ok_or_else(|| odd(rest))?), length)
            }
            '"' => {
                let text = rest[1..].split('"').next().unwrap_or_default();
                let length = text.len() + 2;
                if length > rest.len() || text.contains('\\') {
                    return Err(odd(rest));
                }
                (Token::Text(text.to_owned()), length)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| odd(rest))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn run(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn beginning(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

fn odd(rest: &str) -> SyntaxError {
    let near: String = rest.chars().take(20).collect();
    SyntaxError(format!("\"{near}\" is not understood"))
}
