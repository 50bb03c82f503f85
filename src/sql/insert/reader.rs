//! The reader: a byte machine from INSERT statements to COPY text.

/// Longest beginning up to VALUES: 1 600 columns with names of 63 bytes, quoted and doubled, have about 200 kB.
const HEADER_LIMIT: usize = 1 << 20;

/// Longest value without quotes: a numeric has up to 147 455 digits.
const BARE_LIMIT: usize = 256 * 1024;

/// COPY text is handed on in pieces of about this size, and at the end of each row.
pub(super) const PIECE: usize = 64 * 1024;

/// What a statement was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No INSERT.
    Other,
    /// An INSERT whose rows have been handed out.
    Rows,
    /// An INSERT of another form; what was handed out of it is not to be used.
    Unread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the first word.
    Begin,
    /// In another statement.
    Other,
    /// In an INSERT of another form.
    Unread,
    /// Up to VALUES.
    Header {
        quoted: bool,
    },
    BeforeRow,
    BeforeValue,
    /// In a value without quotes, or what stands before a quote.
    Bare,
    Text {
        escapes: bool,
    },
    Escape,
    /// After a `'` that may have closed a text.
    TextEnd {
        escapes: bool,
    },
    Bits {
        hex: bool,
    },
    AfterValue,
    AfterRow,
    /// Behind the rows, up to the `;`.
    Tail,
    End,
}

/// Reads statements, piece by piece.
#[derive(Clone, Debug)]
pub struct Reader {
    state: State,
    header: Vec<u8>,
    /// The header of the statement before: nearly always this one's too.
    previous: Vec<u8>,
    bare: Vec<u8>,
    /// COPY text that was not handed on yet.
    row: Vec<u8>,
    /// Whether the row in hand has a value already.
    has_value: bool,
    embedding: Embedding,
    /// The next byte belongs to a character that began before.
    in_character: bool,
}

/// Encodings of clients in which a character's later bytes can be those of ASCII, so that COPY looks at characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Embedding {
    None,
    Pairs,
    /// With characters of one byte above ASCII.
    ShiftJis,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the beginning of a statement, of text that is ASCII in each byte below 0x80.
    pub fn new() -> Self {
        Self {
            state: State::Begin,
            header: Vec::new(),
            previous: Vec::new(),
            bare: Vec::new(),
            row: Vec::new(),
            has_value: false,
            embedding: Embedding::None,
            in_character: false,
        }
    }

    /// Says the section's client_encoding.
    pub fn encoding(&mut self, name: &str) {
        self.embedding = match name.to_ascii_uppercase().as_str() {
            "SJIS" | "SHIFT_JIS_2004" => Embedding::ShiftJis,
            "BIG5" | "GBK" | "UHC" | "GB18030" | "JOHAB" => Embedding::Pairs,
            _ => Embedding::None,
        };
    }

    /// Takes the next bytes of a statement and hands COPY text to `sink`, cut anywhere.
    pub fn feed(&mut self, mut text: &[u8], sink: &mut impl FnMut(&[u8])) {
        while !text.is_empty() {
            let used = match self.state {
                State::Other | State::Unread => return,
                State::Begin => self.begin(text),
                State::Text { escapes } => self.text(text, escapes, sink),
                _ => {
                    let byte = text.first().copied().unwrap_or(b';');
                    // A byte that ends one thing begins the next.
                    usize::from(self.byte(byte, sink))
                }
            };
            text = text.get(used..).unwrap_or(&[]);
        }
    }

    /// Ends the statement: what it was.
    pub fn end(&mut self) -> Outcome {
        let outcome = match self.state {
            State::Begin | State::Other => Outcome::Other,
            State::End => Outcome::Rows,
            _ => Outcome::Unread,
        };
        if outcome == Outcome::Rows {
            std::mem::swap(&mut self.previous, &mut self.header);
        }
        self.state = State::Begin;
        self.header.clear();
        self.bare.clear();
        self.row.clear();
        self.in_character = false;
        outcome
    }

    /// The beginning of the last INSERT that was read, up to VALUES.
    pub fn last_header(&self) -> &[u8] {
        &self.previous
    }

    fn begin(&mut self, text: &[u8]) -> usize {
        const FIRST: &[u8] = b"insert";
        if self.header.is_empty() && !self.previous.is_empty() && text.starts_with(&self.previous) {
            self.header.extend_from_slice(&self.previous);
            self.begin_rows();
            return self.previous.len();
        }
        let wanted = FIRST.get(self.header.len()..).unwrap_or(&[]);
        let same = wanted
            .iter()
            .zip(text)
            .take_while(|(a, b)| b.eq_ignore_ascii_case(a))
            .count();
        self.header
            .extend_from_slice(text.get(..same).unwrap_or(&[]));
        if self.header.len() == FIRST.len() {
            self.state = State::Header { quoted: false };
        } else if same < text.len() {
            self.state = State::Other;
        }
        same
    }

    fn begin_rows(&mut self) {
        self.state = if default_values(&self.header) {
            State::Tail
        } else {
            State::BeforeRow
        };
    }

    /// Takes one byte; false where it has to be looked at again in the state that follows.
    fn byte(&mut self, byte: u8, sink: &mut impl FnMut(&[u8])) -> bool {
        let blank = crate::sql::token::is_blank(byte);
        match self.state {
            State::Header { quoted } => return self.header_byte(byte, quoted),
            State::BeforeRow | State::BeforeValue | State::AfterValue | State::AfterRow
                if blank => {}
            State::BeforeRow if byte == b'(' => {
                self.has_value = false;
                self.state = State::BeforeValue;
            }
            State::BeforeValue if byte == b'\'' => {
                self.begin_value();
                self.state = State::Text { escapes: false };
            }
            State::BeforeValue => {
                self.bare.clear();
                self.state = State::Bare;
                return false;
            }
            State::Bare => return self.bare_byte(byte, blank),
            State::Escape => self.escaped(byte),
            State::TextEnd { escapes } if byte == b'\'' => {
                self.row.push(byte);
                self.state = State::Text { escapes };
            }
            State::TextEnd { .. } => {
                self.state = State::AfterValue;
                return false;
            }
            State::Bits { .. } if byte == b'\'' => self.state = State::AfterValue,
            State::Bits { hex } => self.bit(byte, hex),
            State::AfterValue if byte == b',' => self.state = State::BeforeValue,
            State::AfterValue if byte == b')' => {
                self.row.push(b'\n');
                self.hand_on(sink);
                self.state = State::AfterRow;
            }
            State::AfterRow if byte == b',' => self.state = State::BeforeRow,
            State::AfterRow => {
                self.bare.clear();
                self.state = State::Tail;
                return false;
            }
            State::Tail => self.tail(byte, blank, sink),
            _ => self.state = State::Unread,
        }
        if self.row.len() >= PIECE {
            self.hand_on(sink);
        }
        true
    }

    fn header_byte(&mut self, byte: u8, quoted: bool) -> bool {
        let ends_word = crate::sql::token::is_blank(byte) || matches!(byte, b'(' | b';');
        if !quoted && ends_word && ends_with_word(&self.header, b"values") {
            self.bare.clear();
            self.begin_rows();
            return false;
        }
        self.header.push(byte);
        self.state = if self.header.len() > HEADER_LIMIT {
            State::Unread
        } else {
            State::Header {
                quoted: quoted != (byte == b'"'),
            }
        };
        true
    }

    fn begin_value(&mut self) {
        if self.has_value {
            self.row.push(b'\t');
        }
        self.has_value = true;
    }

    fn bare_byte(&mut self, byte: u8, blank: bool) -> bool {
        if byte == b'\'' {
            self.state = match self.bare.as_slice() {
                b"E" | b"e" => State::Text { escapes: true },
                b"B" | b"b" => State::Bits { hex: false },
                b"X" | b"x" => State::Bits { hex: true },
                _ => State::Unread,
            };
            self.begin_value();
            return true;
        }
        if blank || matches!(byte, b',' | b')') {
            self.end_bare();
            return false;
        }
        self.bare.push(byte);
        if self.bare.len() > BARE_LIMIT {
            self.state = State::Unread;
        }
        true
    }

    fn end_bare(&mut self) {
        self.state = State::AfterValue;
        let word = std::mem::take(&mut self.bare);
        let number = |byte: &u8| byte.is_ascii_digit() || b"+-eE.".contains(byte);
        if word.eq_ignore_ascii_case(b"null") {
            self.begin_value();
            self.row.extend_from_slice(b"\\N");
        } else if word.eq_ignore_ascii_case(b"true") || word.eq_ignore_ascii_case(b"false") {
            self.begin_value();
            self.row
                .extend(word.first().map(|byte| byte.to_ascii_lowercase()));
        } else if word.iter().any(u8::is_ascii_digit) && word.iter().all(number) {
            self.begin_value();
            self.row.extend_from_slice(&word);
        } else if !word.eq_ignore_ascii_case(b"default") {
            self.state = State::Unread;
        }
        // Its room serves the next one.
        self.bare = word;
        self.bare.clear();
    }

    fn text(&mut self, text: &[u8], escapes: bool, sink: &mut impl FnMut(&[u8])) -> usize {
        let end = if escapes {
            memchr::memchr2(b'\'', b'\\', text)
        } else {
            memchr::memchr(b'\'', text)
        };
        let inside = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
        for piece in inside.chunks(PIECE) {
            self.escape(piece);
            if self.row.len() >= PIECE {
                self.hand_on(sink);
            }
        }
        let Some(end) = end else { return text.len() };
        self.state = if text.get(end) == Some(&b'\'') {
            State::TextEnd { escapes }
        } else {
            State::Escape
        };
        end + 1
    }

    /// As CopyAttributeOutText does.
    fn escape(&mut self, text: &[u8]) {
        for byte in text.iter().copied() {
            if std::mem::take(&mut self.in_character) {
                self.row.push(byte);
                continue;
            }
            let letter = match byte {
                8 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                11 => b'v',
                12 => b'f',
                b'\r' => b'r',
                b'\\' => b'\\',
                _ => {
                    self.in_character = match self.embedding {
                        Embedding::None => false,
                        Embedding::Pairs => byte >= 0x80,
                        Embedding::ShiftJis => byte >= 0x80 && !(0xa1..=0xdf).contains(&byte),
                    };
                    self.row.push(byte);
                    continue;
                }
            };
            self.row.extend_from_slice(&[b'\\', letter]);
        }
    }

    /// A byte after a backslash in an E'' text. Octal, hex and Unicode escapes are not something pg_dump writes.
    fn escaped(&mut self, byte: u8) {
        self.state = State::Text { escapes: true };
        match byte {
            b'b' => self.escape(&[8]),
            b'f' => self.escape(&[12]),
            b'n' => self.escape(b"\n"),
            b'r' => self.escape(b"\r"),
            b't' => self.escape(b"\t"),
            b'0'..=b'7' | b'x' | b'u' | b'U' => self.state = State::Unread,
            other => self.escape(&[other]),
        }
    }

    fn bit(&mut self, byte: u8, hex: bool) {
        match (hex, char::from(byte).to_digit(16)) {
            (false, Some(0 | 1)) => self.row.push(byte),
            (true, Some(digit)) => self.row.extend(format!("{digit:04b}").bytes()),
            _ => self.state = State::Unread,
        }
    }

    fn tail(&mut self, byte: u8, blank: bool, sink: &mut impl FnMut(&[u8])) {
        const CONFLICT: &[u8] = b"on conflict do nothing";
        if byte != b';' {
            // Blanks as one.
            if !blank {
                self.bare.push(byte.to_ascii_lowercase());
            } else if !self.bare.is_empty() && !self.bare.ends_with(b" ") {
                self.bare.push(b' ');
            }
            if self.bare.len() > CONFLICT.len() + 1 {
                self.state = State::Unread;
            }
            return;
        }
        let tail = self.bare.trim_ascii_end();
        self.state = if tail.is_empty() || tail == CONFLICT {
            if default_values(&self.header) {
                sink(b"\n");
            }
            State::End
        } else {
            State::Unread
        };
    }

    fn hand_on(&mut self, sink: &mut impl FnMut(&[u8])) {
        sink(&self.row);
        self.row.clear();
    }
}

/// Whether `text` ends with this word, in any case of letters, and it is a word of its own.
fn ends_with_word(text: &[u8], word: &[u8]) -> bool {
    let Some(at) = text.len().checked_sub(word.len()) else {
        return false;
    };
    let (before, end) = text.split_at(at);
    end.eq_ignore_ascii_case(word)
        && before
            .last()
            .is_some_and(|byte| crate::sql::token::is_blank(*byte) || *byte == b')')
}

fn default_values(header: &[u8]) -> bool {
    let values = header.len().saturating_sub(b"values".len());
    let before = header.get(..values).unwrap_or(&[]).trim_ascii_end();
    ends_with_word(before, b"default")
}
