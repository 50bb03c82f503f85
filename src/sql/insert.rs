//! INSERT statements as `pg_dump --inserts`, `--column-inserts` and `--rows-per-insert` write them, read as the COPY text
//! of the same rows.
//!
//! ```text
//! INSERT INTO table [(columns)] [OVERRIDING SYSTEM VALUE] VALUES (value, …)[, (value, …)…] [ON CONFLICT DO NOTHING];
//! INSERT INTO table DEFAULT VALUES;                                               a table without columns
//! value = NULL | DEFAULT | true | false | number | 'text' | E'text' | B'bits' | X'bits'
//! ```
//!
//! Both forms come from the same text of a value (dumpTableData_insert and CopyAttributeOutText in PostgreSQL's sources),
//! so equal rows give equal bytes. DEFAULT stands for a generated column, of which COPY has nothing. The reader takes any
//! cut of a statement and keeps no more than its beginning and 64 KiB: one row may be a gigabyte.

mod reader;

use super::token::{Token, Tokens};
pub use reader::{Outcome, Reader};

/// What an INSERT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertHeader {
    /// The table's schema.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The columns of the values; none means all of them, in the table's order.
    pub columns: Vec<String>,
}

/// Reads an INSERT's beginning, up to VALUES.
pub fn header(text: &[u8]) -> Option<InsertHeader> {
    let mut tokens = Tokens::new(text);
    if !tokens.keywords(&["insert", "into"]) {
        return None;
    }
    let (schema, table) = tokens.qualified_name()?;
    let mut columns = Vec::new();
    if tokens.symbol(b'(') {
        loop {
            columns.push(tokens.next()?.identifier()?);
            match tokens.next()? {
                Token::Symbol(b',') => {}
                Token::Symbol(b')') => break,
                _ => return None,
            }
        }
    }
    tokens.keywords(&["overriding", "system", "value"]);
    tokens.keyword("default");
    (tokens.keyword("values") && tokens.peek().is_none()).then_some(InsertHeader {
        schema,
        table,
        columns,
    })
}

/// Whether a whole statement is an INSERT of values, as dumps hold them.
pub fn is_of_values(text: &[u8]) -> bool {
    let mut reader = Reader::new();
    reader.feed(text, &mut |_: &[u8]| {});
    reader.end() == Outcome::Rows && header(reader.last_header()).is_some()
}

#[cfg(test)]
mod tests;
