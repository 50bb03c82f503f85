//! Text of a dump section as Unicode. Each section says its client_encoding; servers and JSON are told UTF-8.

use std::borrow::Cow;

use encoding_rs::Encoding;

/// `text` in PostgreSQL's `encoding` as Unicode; `None` where the bytes are none of it, or the encoding has no meaning
/// (SQL_ASCII beyond ASCII) or is not known here.
pub fn decode<'a>(encoding: &str, text: &'a [u8]) -> Option<Cow<'a, str>> {
    if let Ok(text) = std::str::from_utf8(text)
        && (text.is_ascii() || is_utf8(encoding))
    {
        return Some(Cow::Borrowed(text));
    }
    if matches!(
        encoding.to_ascii_uppercase().as_str(),
        "LATIN1" | "ISO88591"
    ) {
        // Every byte is its code point; the web's latin1 is another encoding.
        return Some(
            text.iter()
                .map(|byte| char::from(*byte))
                .collect::<String>()
                .into(),
        );
    }
    known(encoding)?.decode_without_bom_handling_and_without_replacement(text)
}

/// Whether a client_encoding is UTF-8, which is also what no setting means.
pub fn is_utf8(encoding: &str) -> bool {
    encoding.is_empty()
        || encoding.eq_ignore_ascii_case("UTF8")
        || encoding.eq_ignore_ascii_case("UNICODE")
}

/// PostgreSQL's names for what the WHATWG standard calls otherwise.
fn known(encoding: &str) -> Option<&'static Encoding> {
    let upper = encoding.to_ascii_uppercase();
    let label = match upper.as_str() {
        "LATIN2" => "iso-8859-2",
        "LATIN3" => "iso-8859-3",
        "LATIN4" => "iso-8859-4",
        "LATIN5" => "iso-8859-9",
        "LATIN6" => "iso-8859-10",
        "LATIN7" => "iso-8859-13",
        "LATIN8" => "iso-8859-14",
        "LATIN9" => "iso-8859-15",
        "LATIN10" => "iso-8859-16",
        "ISO_8859_5" => "iso-8859-5",
        "ISO_8859_6" => "iso-8859-6",
        "ISO_8859_7" => "iso-8859-7",
        "ISO_8859_8" => "iso-8859-8",
        "KOI8R" => "koi8-r",
        "KOI8U" => "koi8-u",
        "WIN866" => "ibm866",
        "EUC_JP" => "euc-jp",
        "EUC_KR" | "UHC" => "euc-kr",
        "EUC_CN" | "GBK" => "gbk",
        "BIG5" => "big5",
        "SJIS" => "shift_jis",
        "GB18030" => "gb18030",
        other => {
            return Encoding::for_label(
                format!("windows-{}", other.strip_prefix("WIN")?).as_bytes(),
            );
        }
    };
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        assert_eq!(decode("UTF8", "é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(decode("LATIN1", &[0xe9, 0x80]).as_deref(), Some("é\u{80}"));
        assert_eq!(decode("WIN1251", &[0xc0]).as_deref(), Some("А"));
        assert_eq!(decode("LATIN2", &[0xb1]).as_deref(), Some("ą"));
        assert_eq!(decode("SQL_ASCII", b"plain").as_deref(), Some("plain"));
        assert_eq!(decode("SQL_ASCII", &[0xe9]), None);
        assert_eq!(decode("UTF8", &[0xe9]), None);
    }
}
