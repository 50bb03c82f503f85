//! Tokens of one statement: enough to tell what it is, strict enough to refuse what it is not.

/// One token. Comments and white space are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A bare word or keyword, as written.
    Word(&'a [u8]),
    /// A "quoted" identifier, unquoted.
    Quoted(Vec<u8>),
    /// A '…' or E'…' literal, unquoted.
    Literal(Vec<u8>),
    /// A number, as written.
    Number(&'a [u8]),
    /// Any other byte.
    Symbol(u8),
    /// Text this reader does not take apart: dollar quotes, an unclosed quote, a backslash.
    Opaque,
}

impl Token<'_> {
    /// Whether this is the keyword, in any case of letters.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// The identifier this token names: a quoted one as it is, a bare one in lower case.
    pub fn identifier(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(String::from_utf8_lossy(word).to_lowercase()),
            Token::Quoted(name) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        }
    }

    /// The literal's text.
    pub fn literal(&self) -> Option<String> {
        match self {
            Token::Literal(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }
}

/// Reads tokens from a statement.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    start: usize,
}

impl<'a> Tokens<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            start: 0,
        }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Where the token taken last begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The next token without taking it.
    pub fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    /// Takes the keyword if it comes next.
    pub fn keyword(&mut self, keyword: &str) -> bool {
        self.take_if(|token| token.is(keyword))
    }

    /// Takes all the keywords in a row, or none of them.
    pub fn keywords(&mut self, wanted: &[&str]) -> bool {
        let mut ahead = self.clone();
        let all = wanted.iter().all(|keyword| ahead.keyword(keyword));
        if all {
            *self = ahead;
        }
        all
    }

    /// Takes the symbol if it comes next.
    pub fn symbol(&mut self, symbol: u8) -> bool {
        self.take_if(|token| *token == Token::Symbol(symbol))
    }

    /// Whether only the closing `;` is left.
    pub fn at_end(&mut self) -> bool {
        self.symbol(b';') && self.peek().is_none()
    }

    /// `name` or `schema.name`.
    pub fn qualified_name(&mut self) -> Option<(Option<String>, String)> {
        let first = self.next()?.identifier()?;
        if self.symbol(b'.') {
            return Some((Some(first), self.next()?.identifier()?));
        }
        Some((None, first))
    }

    fn take_if(&mut self, wanted: impl Fn(&Token<'a>) -> bool) -> bool {
        let mut ahead = self.clone();
        let taken = ahead.next().is_some_and(|token| wanted(&token));
        if taken {
            *self = ahead;
        }
        taken
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or(&[])
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.iter().take_while(|byte| is_blank(**byte)).count();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with(b"--") {
                // PostgreSQL ends such a comment at a carriage return too.
                self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            } else if rest.starts_with(b"/*") {
                // Nested comments are PostgreSQL's own; the plain rule would end too early and read comment as code.
                self.at += block_comment(rest);
            } else {
                return;
            }
        }
    }

    /// A quoted run from here: its text and its length with the quotes.
    fn quoted(&self, from: usize, quote: u8, escapes: bool) -> Option<(Vec<u8>, usize)> {
        let mut text = Vec::new();
        let mut at = from + 1;
        loop {
            let byte = *self.rest().get(at)?;
            at += 1;
            if byte == quote {
                if self.rest().get(at) != Some(&quote) {
                    return Some((text, at));
                }
                at += 1;
            } else if byte == b'\\' && escapes {
                let escaped = *self.rest().get(at)?;
                at += 1;
                text.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    // Octal, hex and Unicode escapes are not something pg_dump writes.
                    b'0'..=b'7' | b'x' | b'u' | b'U' => return None,
                    other => other,
                });
                continue;
            }
            text.push(byte);
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        self.start = self.at;
        let rest = self.rest();
        let first = *rest.first()?;
        let (token, length) = match first {
            b'\'' => self
                .quoted(0, b'\'', false)
                .map_or((Token::Opaque, rest.len()), |(text, n)| {
                    (Token::Literal(text), n)
                }),
            b'e' | b'E' if rest.get(1) == Some(&b'\'') => self
                .quoted(1, b'\'', true)
                .map_or((Token::Opaque, rest.len()), |(text, n)| {
                    (Token::Literal(text), n)
                }),
            b'"' => self
                .quoted(0, b'"', false)
                .map_or((Token::Opaque, rest.len()), |(text, n)| {
                    (Token::Quoted(text), n)
                }),
            b'$' | b'\\' => (Token::Opaque, rest.len()),
            b'0'..=b'9' => {
                let n = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.')
                    .count();
                (Token::Number(rest.get(..n).unwrap_or(rest)), n)
            }
            _ if is_word(first) => {
                let n = rest
                    .iter()
                    .take_while(|byte| is_word(**byte) || byte.is_ascii_digit() || **byte == b'$')
                    .count();
                (Token::Word(rest.get(..n).unwrap_or(rest)), n)
            }
            other => (Token::Symbol(other), 1),
        };
        self.at += length;
        Some(token)
    }
}

/// What PostgreSQL's lexer takes for white space, a vertical tab included.
pub fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Length of the (nested) comment that `text` begins with.
fn block_comment(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(pair) = text.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
