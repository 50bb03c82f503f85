//! COPY headers: `COPY schema.table (columns) FROM stdin;` and nothing else.

use super::token::{Token, Tokens};

/// What a COPY line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyHeader {
    /// The table's schema; dumps before PostgreSQL 10.3 left it to search_path.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The columns in the order of the data; none for a table without columns.
    pub columns: Vec<String>,
}

/// Reads a statement as a COPY header; `None` for anything else, COPY with a file, a program or options included.
pub fn header(statement: &[u8]) -> Option<CopyHeader> {
    let mut tokens = Tokens::new(statement);
    if !tokens.keyword("copy") {
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
    (tokens.keywords(&["from", "stdin"]) && tokens.at_end()).then_some(CopyHeader {
        schema,
        table,
        columns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_as_pg_dump_quotes_them() {
        let header =
            header(br#"COPY public."weird""na me\." (a, "B c") FROM stdin;"#).expect("a header");
        assert_eq!(header.schema.as_deref(), Some("public"));
        assert_eq!(header.table, r#"weird"na me\."#);
        assert_eq!(header.columns, ["a", "B c"]);
    }

    #[test]
    fn a_table_without_columns_has_none() {
        assert_eq!(
            header(b"COPY public.empty  FROM stdin;").map(|header| header.columns),
            Some(vec![])
        );
    }

    #[test]
    fn anything_else_is_no_header() {
        for text in [
            "COPY t FROM PROGRAM 'touch x';",
            "COPY t FROM '/etc/passwd';",
            "COPY t TO stdout;",
            "COPY t (a) FROM stdin WITH (FORMAT csv);",
            "COPY t (a) FROM stdin; SELECT 1;",
            "COPY (SELECT 1) TO stdout;",
            "SELECT 1;",
        ] {
            assert_eq!(header(text.as_bytes()), None, "{text}");
        }
    }
}
