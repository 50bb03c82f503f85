//! The push scanner: `feed` any cut of a dump, get the same events.
//!
//! Bounds: a statement's text is kept up to a limit given at construction (longer ones are passed on cut and marked),
//! comment and meta lines up to [`LINE_LIMIT`], COPY data not at all. Malformed input never panics: it becomes
//! [`Event::Malformed`] or a scanner that does not come to rest.

use super::copy::{self, CopyHeader};
use super::lexer::{Lexer, Step};

/// Where something stands in the dump text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Bytes of dump text before it.
    pub offset: u64,
    /// Its line, the first being 1.
    pub line: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} (byte {} of the dump)", self.line, self.offset)
    }
}

/// What the scanner sees.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A comment line outside of statements, without its newline.
    Comment(&'a [u8], Position),
    /// A whole statement with its `;`.
    Statement(Statement<'a>),
    /// A `COPY … FROM stdin;` line; its rows follow as [`Event::CopyData`].
    CopyBegin(Box<CopyHeader>, Statement<'a>),
    /// Bytes of COPY data, cut anywhere, the rows' newlines included, the end marker not.
    CopyData(&'a [u8]),
    /// The end of COPY data, at the `\.` line.
    CopyEnd(Position),
    /// A backslash command, without its newline. `inside` a statement psql would run it all the same.
    Meta {
        /// The line from the backslash on.
        line: &'a [u8],
        /// Where it stands.
        at: Position,
        /// Whether it stands in the middle of a statement.
        inside: bool,
    },
    /// Text that fits nowhere.
    Malformed(&'static str, Position),
}

/// A statement's text and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The text, up to and with the `;`, as far as the limit reached.
    pub text: &'a [u8],
    /// False where the text was longer than the limit.
    pub whole: bool,
    /// Where it begins.
    pub at: Position,
    /// Where the text after it begins.
    pub end: u64,
}

/// Takes events.
pub trait Sink {
    /// Takes one event.
    fn event(&mut self, event: Event<'_>);

    /// Takes the next bytes of a statement as they come, before its end is known: for who reads statements longer than the
    /// limit. Its event follows; one of a backslash command means that the statement ended there.
    fn part(&mut self, _text: &[u8]) {}
}

impl<F: FnMut(Event<'_>)> Sink for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// Longest comment or meta line that is kept. A TOC header holds a few names of 63 bytes; a function's argument list may
/// be longer.
pub const LINE_LIMIT: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Between statements.
    Between,
    /// After one `-` between statements.
    Dash,
    Comment,
    Meta {
        inside: bool,
    },
    Statement,
    /// After `COPY … FROM stdin;`, before its newline.
    CopyNewline,
    Copy,
}

/// The scanner.
#[derive(Debug)]
pub struct Scanner {
    mode: Mode,
    lexer: Lexer,
    /// The statement or line in hand.
    text: Vec<u8>,
    whole: bool,
    limit: usize,
    start: Position,
    here: Position,
    /// Bytes of a possible end-of-copy line that were held back: a prefix of `\.` + LF at the start of a line.
    held: usize,
}

const END_OF_COPY: &[u8] = b"\\.\n";

impl Scanner {
    /// A scanner that keeps up to `limit` bytes of a statement.
    pub fn new(limit: usize) -> Self {
        Self::begin_at(limit, 0)
    }

    /// The same for text that begins at this offset of a dump, between two statements.
    pub fn begin_at(limit: usize, offset: u64) -> Self {
        let here = Position { offset, line: 1 };
        Self {
            mode: Mode::Between,
            lexer: Lexer::new(),
            text: Vec::new(),
            whole: true,
            limit,
            start: here,
            here,
            held: 0,
        }
    }

    /// Where the next byte stands.
    pub fn position(&self) -> Position {
        self.here
    }

    /// Where a section can still begin: everything before this offset is decided.
    pub fn decided(&self) -> u64 {
        match self.mode {
            Mode::Meta { .. } | Mode::Dash | Mode::Comment => self.start.offset,
            // Held-back bytes of a possible end marker are not counted as passed.
            _ => self.here.offset,
        }
    }

    /// Whether the scanner is in COPY data at the start of a row, or between rows.
    pub fn in_copy(&self) -> bool {
        self.mode == Mode::Copy
    }

    /// Passes over COPY data that is read elsewhere, up to the end marker; false where no row can begin here. Lines are
    /// not counted on the way.
    pub fn skip_copy(&mut self, bytes: u64) -> bool {
        let possible = self.mode == Mode::Copy && self.held == 0;
        if possible {
            self.here.offset += bytes;
        }
        possible
    }

    /// Whether the text so far could be a whole dump: nothing is open. The error names what is.
    pub fn at_rest(&self) -> Result<(), &'static str> {
        match self.mode {
            Mode::Between => Ok(()),
            Mode::Dash | Mode::Comment => Err("in a comment line"),
            Mode::Meta { .. } => Err("in a backslash command"),
            Mode::Statement => Err("inside a statement"),
            Mode::CopyNewline | Mode::Copy => Err("inside COPY data"),
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) {
        while !input.is_empty() {
            let used = match self.mode {
                Mode::Between => self.between(input, sink),
                Mode::Dash => self.dash(input),
                Mode::Comment | Mode::Meta { .. } => self.line(input, sink),
                Mode::Statement => self.statement(input, sink),
                Mode::CopyNewline => self.copy_newline(input, sink),
                Mode::Copy => self.copy(input, sink),
            };
            input = input.get(used..).unwrap_or(&[]);
        }
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.here.offset += bytes.len() as u64;
        self.here.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    fn begin(&mut self, mode: Mode) {
        self.mode = mode;
        self.start = self.here;
        self.text.clear();
        self.whole = true;
    }

    fn keep(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.text.len());
        self.whole &= bytes.len() <= room;
        self.text
            .extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or(&[]));
    }

    fn between(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        let blank = input
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || **byte == b'\x0b')
            .count();
        let (blanks, rest) = input.split_at(blank);
        self.advance(blanks);
        match rest.first() {
            None => {}
            Some(b'-') => self.begin(Mode::Dash),
            Some(b'\\') => self.begin(Mode::Meta { inside: false }),
            Some(b';') => {
                // An empty statement: psql passes it over, pg_dump never writes one.
                sink.event(Event::Malformed("a lone semicolon", self.here));
                self.advance(b";");
                return blank + 1;
            }
            Some(_) => {
                self.lexer.reset();
                self.begin(Mode::Statement);
            }
        }
        blank
    }

    /// Decides, with the second byte, whether a dash began a comment.
    fn dash(&mut self, input: &[u8]) -> usize {
        let seen = self.text.len();
        let Some(byte) = input.first() else { return 0 };
        if seen == 0 || *byte == b'-' {
            self.keep(b"-", LINE_LIMIT);
            self.advance(b"-");
            if seen == 1 {
                self.mode = Mode::Comment;
            }
            return 1;
        }
        self.lexer.reset();
        self.lexer.step(b'-');
        self.mode = Mode::Statement;
        0
    }

    fn line(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        let newline = memchr::memchr(b'\n', input);
        let body = input.get(..newline.unwrap_or(input.len())).unwrap_or(input);
        self.keep(body, LINE_LIMIT);
        self.advance(body);
        if newline.is_none() {
            return body.len();
        }
        let at = self.start;
        // psql ends a comment at a carriage return and reads on behind it: what stands there must not pass as comment.
        if memchr::memchr2(b'\r', b'\0', &self.text).is_some() {
            sink.event(Event::Malformed("a control character in a line", at));
        }
        match self.mode {
            Mode::Meta { inside } => sink.event(Event::Meta {
                line: &self.text,
                at,
                inside,
            }),
            _ => sink.event(Event::Comment(&self.text, at)),
        }
        self.advance(b"\n");
        self.mode = Mode::Between;
        body.len() + 1
    }

    fn statement(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        let mut index = 0;
        while let Some(rest) = input.get(index..).filter(|rest| !rest.is_empty()) {
            index += self.lexer.skip(rest);
            let Some(byte) = input.get(index) else { break };
            match self.lexer.step(*byte) {
                Step::More => index += 1,
                Step::End => {
                    let text = input.get(..=index).unwrap_or(input);
                    sink.part(text);
                    self.keep(text, self.limit);
                    self.advance(text);
                    self.end_statement(sink);
                    return index + 1;
                }
                Step::Backslash => {
                    let text = input.get(..index).unwrap_or(input);
                    self.advance(text);
                    self.begin(Mode::Meta { inside: true });
                    return index;
                }
            }
        }
        sink.part(input);
        self.keep(input, self.limit);
        self.advance(input);
        input.len()
    }

    fn end_statement(&mut self, sink: &mut impl Sink) {
        let statement = Statement {
            text: &self.text,
            whole: self.whole,
            at: self.start,
            end: self.here.offset,
        };
        self.mode = Mode::Between;
        if memchr::memchr(b'\0', statement.text).is_some() {
            sink.event(Event::Malformed("a NUL in a statement", self.start));
        }
        match copy::header(statement.text) {
            Some(header) if statement.whole => {
                self.mode = Mode::CopyNewline;
                sink.event(Event::CopyBegin(Box::new(header), statement));
            }
            _ => {
                sink.event(Event::Statement(statement));
            }
        }
    }

    /// The rest of the COPY line: nothing but its newline.
    fn copy_newline(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        let Some(byte) = input.first() else { return 0 };
        if *byte == b'\n' {
            self.held = 0;
            self.mode = Mode::Copy;
        } else {
            sink.event(Event::Malformed("text after COPY … FROM stdin;", self.here));
            self.mode = Mode::Between;
            return 0;
        }
        self.advance(b"\n");
        1
    }

    /// COPY data goes through in as large pieces as it comes; only the end marker is searched for.
    fn copy(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        // At the start of a line, or in a held-back prefix of the marker.
        if self.held < usize::MAX {
            return self.copy_line_start(input, sink);
        }
        let Some(newline) = find_line_end_before_marker(input) else {
            let last = input.len() - 1;
            self.pass(input, sink);
            if input.get(last) == Some(&b'\n') {
                self.held = 0;
            }
            return input.len();
        };
        let data = input.get(..=newline).unwrap_or(input);
        self.pass(data, sink);
        self.held = 0;
        data.len()
    }

    fn copy_line_start(&mut self, input: &[u8], sink: &mut impl Sink) -> usize {
        let want = END_OF_COPY.get(self.held..).unwrap_or(&[]);
        let same = want.iter().zip(input).take_while(|(a, b)| a == b).count();
        let held = self.held + same;
        if held == END_OF_COPY.len() {
            sink.event(Event::CopyEnd(self.here));
            self.advance(END_OF_COPY);
            self.mode = Mode::Between;
        } else if same == input.len() {
            self.held = held;
        } else {
            // No marker: what was held back is data, and the line goes on.
            self.pass(END_OF_COPY.get(..held).unwrap_or(&[]), sink);
            self.held = usize::MAX;
        }
        same
    }

    fn pass(&mut self, data: &[u8], sink: &mut impl Sink) {
        if !data.is_empty() {
            sink.event(Event::CopyData(data));
            self.advance(data);
        }
    }
}

/// The newline after which a line begins with a backslash and dot, or with what could still become them.
fn find_line_end_before_marker(input: &[u8]) -> Option<usize> {
    let found = memchr::memmem::find(input, b"\n\\.");
    // The last bytes may hold the beginning of one.
    let tail = input.len().saturating_sub(2);
    found.or_else(|| {
        input
            .get(tail..)
            .and_then(|end| memchr::memmem::find(end, b"\n\\"))
            .map(|at| tail + at)
    })
}

#[cfg(test)]
mod tests;
