//! Quoting of identifiers and literals.

/// `name` as an SQL identifier; always quoted, so that no keyword list is needed.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `name` as pg_dump writes it: quoted only where its letters need it. For names of ours, which are no keywords.
pub fn quote_as_pg_dump(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        quote_identifier(name)
    }
}

/// `text` as an SQL literal that reads the same whatever standard_conforming_strings says.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// `schema.name`, quoted.
pub fn quote_qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_identifier(schema), quote_identifier(name))
}

/// `(a, b)` for a COPY, or nothing for a table without columns.
pub fn quote_columns(columns: &[String]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let list: Vec<_> = columns
        .iter()
        .map(|column| quote_identifier(column))
        .collect();
    format!(" ({})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        assert_eq!(quote_identifier(r#"weird"na me\."#), r#""weird""na me\.""#);
        assert_eq!(quote_literal(r"a'b\c"), r"E'a''b\\c'");
        assert_eq!(quote_literal("plain"), "'plain'");
        assert_eq!(
            quote_columns(&["a".into(), "B c".into()]),
            r#" ("a", "B c")"#
        );
        assert_eq!(quote_columns(&[]), "");
    }
}
