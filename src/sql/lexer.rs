//! Where a statement ends: quotes, E'' strings, dollar quotes, nested comments, parentheses and BEGIN ATOMIC bodies.
//!
//! A byte machine without look-ahead, so that any cut of the input gives the same answer. It follows psql's lexer
//! (src/fe_utils/psqlscan.l of PostgreSQL): a `;` ends the statement outside of all these; a backslash outside of quotes
//! is a psql command, also in the middle of a statement.

/// What one byte did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The statement goes on.
    More,
    /// This `;` ended it.
    End,
    /// A backslash outside of quotes.
    Backslash,
}

/// Longest dollar-quote tag that is kept; PostgreSQL's identifiers have 63 bytes.
const MAX_TAG: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Plain,
    /// In '…'; `escapes` says whether a backslash escapes.
    Quote {
        escapes: bool,
    },
    /// After a backslash in an E'' string.
    QuoteEscape,
    /// After a `'` that may have closed a string.
    QuoteEnd {
        escapes: bool,
    },
    DoubleQuote,
    Dash,
    LineComment,
    Slash,
    BlockComment {
        depth: u32,
        last: u8,
    },
    /// After `$`, reading the tag.
    DollarTag,
    /// In a dollar-quoted body; `matched` bytes of the closing tag seen.
    DollarBody {
        matched: usize,
    },
}

/// The machine; one per statement, [`Lexer::reset`] between them.
#[derive(Clone, Debug)]
pub(super) struct Lexer {
    state: State,
    parens: u32,
    /// Depth of BEGIN … END and CASE … END inside a routine's body.
    blocks: u32,
    /// The current word in lower case, as far as keywords reach.
    word: [u8; 16],
    word_len: usize,
    /// First letters of the first four words, what psql decides by.
    initials: [u8; 4],
    words: usize,
    tag: Vec<u8>,
    previous: u8,
    /// After a closed E'' string: it goes on if another `'` follows after a newline.
    resume: Resume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    No,
    SameLine,
    NewLine,
}

impl Lexer {
    pub(super) fn new() -> Self {
        Self {
            state: State::Plain,
            parens: 0,
            blocks: 0,
            word: [0; 16],
            word_len: 0,
            initials: [0; 4],
            words: 0,
            tag: Vec::new(),
            previous: 0,
            resume: Resume::No,
        }
    }

    /// Forgets the statement.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// How many bytes from here can be passed over because they cannot change the state.
    pub(super) fn skip(&self, input: &[u8]) -> usize {
        let found = match self.state {
            State::Quote { escapes: false } => memchr::memchr(b'\'', input),
            State::Quote { escapes: true } => memchr::memchr2(b'\'', b'\\', input),
            State::DoubleQuote => memchr::memchr(b'"', input),
            // PostgreSQL and psql end such a comment at a carriage return too.
            State::LineComment => memchr::memchr2(b'\n', b'\r', input),
            State::DollarBody { matched: 0 } => memchr::memchr(b'$', input),
            _ => return 0,
        };
        found.unwrap_or(input.len())
    }

    /// Takes one byte.
    pub(super) fn step(&mut self, byte: u8) -> Step {
        match self.state {
            State::Plain => return self.plain(byte),
            State::Quote { escapes } => match byte {
                b'\'' => self.state = State::QuoteEnd { escapes },
                b'\\' if escapes => self.state = State::QuoteEscape,
                _ => {}
            },
            State::QuoteEscape => self.state = State::Quote { escapes: true },
            State::QuoteEnd { escapes } => {
                if byte == b'\'' {
                    self.state = State::Quote { escapes };
                } else {
                    self.state = State::Plain;
                    self.previous = b'\'';
                    self.resume = if escapes {
                        Resume::SameLine
                    } else {
                        Resume::No
                    };
                    return self.plain(byte);
                }
            }
            State::DoubleQuote => {
                // A doubled quote closes and opens again, which comes to the same.
                if byte == b'"' {
                    self.state = State::Plain;
                    self.previous = b'"';
                }
            }
            State::Dash => {
                if byte == b'-' {
                    self.state = State::LineComment;
                } else {
                    self.state = State::Plain;
                    self.resume = Resume::No;
                    return self.plain(byte);
                }
            }
            State::LineComment => {
                if matches!(byte, b'\n' | b'\r') {
                    self.state = State::Plain;
                    return self.plain(byte);
                }
            }
            State::Slash => {
                if byte == b'*' {
                    self.state = State::BlockComment { depth: 1, last: 0 };
                } else {
                    self.state = State::Plain;
                    self.resume = Resume::No;
                    return self.plain(byte);
                }
            }
            State::BlockComment { depth, last } => self.block_comment(depth, last, byte),
            State::DollarTag => return self.dollar_tag(byte),
            State::DollarBody { matched } => self.dollar_body(matched, byte),
        }
        Step::More
    }

    fn block_comment(&mut self, depth: u32, last: u8, byte: u8) {
        self.state = match (last, byte) {
            (b'*', b'/') if depth == 1 => {
                self.previous = b' ';
                State::Plain
            }
            (b'*', b'/') => State::BlockComment {
                depth: depth - 1,
                last: 0,
            },
            (b'/', b'*') => State::BlockComment {
                depth: depth.saturating_add(1),
                last: 0,
            },
            _ => State::BlockComment { depth, last: byte },
        };
    }

    fn dollar_tag(&mut self, byte: u8) -> Step {
        let first = self.tag.len() == 1;
        if byte == b'$' {
            self.tag.push(byte);
            self.state = State::DollarBody { matched: 0 };
        } else if self.tag.len() < MAX_TAG
            && (is_word_start(byte) || (!first && byte.is_ascii_digit()))
        {
            self.tag.push(byte);
        } else {
            // Not a quote after all: a parameter like $1, or a stray dollar.
            self.state = State::Plain;
            self.previous = self.tag.last().copied().unwrap_or(b'$');
            return self.plain(byte);
        }
        Step::More
    }

    fn dollar_body(&mut self, matched: usize, byte: u8) {
        // The tag holds `$` at both ends only, so a failed match can begin anew at this byte at the most.
        let matched = if self.tag.get(matched) == Some(&byte) {
            matched + 1
        } else {
            usize::from(byte == b'$')
        };
        self.state = if matched == self.tag.len() {
            self.previous = b'$';
            State::Plain
        } else {
            State::DollarBody { matched }
        };
    }

    fn plain(&mut self, byte: u8) -> Step {
        let previous = std::mem::replace(&mut self.previous, byte);
        if is_word_start(byte) || (self.word_len > 0 && is_word_part(byte)) {
            // A digit before makes this the tail of a number or parameter, which is no word.
            if self.word_len > 0 || !is_word_part(previous) {
                if let Some(slot) = self.word.get_mut(self.word_len) {
                    *slot = byte.to_ascii_lowercase();
                }
                self.word_len += 1;
            }
            self.resume = Resume::No;
            return Step::More;
        }
        let escape_prefix = self.word_len == 1 && self.word.first() == Some(&b'e');
        if self.word_len > 0 {
            self.end_word();
        }
        match byte {
            b'\n' if self.resume == Resume::SameLine => self.resume = Resume::NewLine,
            b' ' | b'\t' | b'\r' | b'\n' | b'\x0b' | b'\x0c' => {}
            b'\'' => {
                let resumed = self.resume == Resume::NewLine;
                self.resume = Resume::No;
                self.state = State::Quote {
                    escapes: escape_prefix || resumed,
                };
            }
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            _ => {
                self.resume = Resume::No;
                return self.symbol(byte, previous);
            }
        }
        Step::More
    }

    fn symbol(&mut self, byte: u8, previous: u8) -> Step {
        match byte {
            b'"' => self.state = State::DoubleQuote,
            b'$' if !is_word_part(previous) => {
                self.tag.clear();
                self.tag.push(b'$');
                self.state = State::DollarTag;
            }
            b'(' => self.parens = self.parens.saturating_add(1),
            b')' => self.parens = self.parens.saturating_sub(1),
            b'\\' => return Step::Backslash,
            b';' if self.parens == 0 && self.blocks == 0 => return Step::End,
            _ => {}
        }
        Step::More
    }

    /// psql's rule for BEGIN ATOMIC: only in `CREATE [OR REPLACE] {FUNCTION|PROCEDURE}` and outside of parentheses.
    fn end_word(&mut self) {
        let length = std::mem::take(&mut self.word_len);
        let word = self.word.get(..length).unwrap_or(&[]);
        if let Some(slot) = self.initials.get_mut(self.words) {
            *slot = match word {
                b"create" | b"function" | b"procedure" | b"or" | b"replace" => {
                    word.first().copied().unwrap_or(0)
                }
                _ => b'?',
            };
        }
        self.words += 1;
        let routine = matches!(
            self.initials,
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']
        );
        if routine && self.parens == 0 {
            match word {
                b"begin" => self.blocks = self.blocks.saturating_add(1),
                b"case" if self.blocks > 0 => self.blocks = self.blocks.saturating_add(1),
                b"end" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements' ends in a text.
    fn ends(text: &str) -> Vec<usize> {
        let mut lexer = Lexer::new();
        let mut found = Vec::new();
        for (index, byte) in text.bytes().enumerate() {
            if lexer.step(byte) == Step::End {
                found.push(index + 1);
                lexer.reset();
            }
        }
        found
    }

    #[track_caller]
    fn one_statement(text: &str) {
        assert_eq!(ends(text), [text.len()], "{text}");
    }

    #[test]
    fn semicolons_inside_of_anything_do_not_end() {
        one_statement("SELECT ';';");
        one_statement("SELECT 'it''s ;';");
        one_statement(r"SELECT '\';");
        one_statement(r"SELECT E'\';';");
        one_statement(r"SELECT E'a''\';';");
        one_statement("SELECT E'a'\n  '\\';' ;");
        one_statement("SELECT E'a' -- note ;\n '\\';' ;");
        one_statement("SELECT \"a;\"\"b;\";");
        one_statement("SELECT $$;$$;");
        one_statement("SELECT $x$;$$;$y$;$x$;");
        one_statement("SELECT $x$ $x $x$;");
        one_statement("SELECT 1 /* ; /* ; */ ; */;");
        one_statement("SELECT 1 -- ;\n;");
        one_statement("SELECT 1 -- ;\r;");
        one_statement("CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);");
        one_statement(
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 ELSE 2 END; END;",
        );
        one_statement("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;");
        one_statement("SELECT $1;");
        one_statement("SELECT a$b$;");
        one_statement("SELECT 1::\"E\"';';");
    }

    #[test]
    fn begin_is_a_statement_of_its_own() {
        assert_eq!(ends("BEGIN;\nSELECT 1;\nCOMMIT;").len(), 3);
        assert_eq!(ends("CREATE TABLE begin (a int);SELECT 1;").len(), 2);
    }

    #[test]
    fn a_quote_after_an_e_string_on_the_same_line_is_plain() {
        // No continuation without a newline: the second string is a plain one and the backslash is text.
        assert_eq!(ends(r"SELECT E'a' '\';").len(), 1);
    }
}
