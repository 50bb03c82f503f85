//! Whether a client takes gzip, and gzip.

use hyper::header::{ACCEPT_ENCODING, HeaderMap};
use libdeflater::{CompressionLvl, Compressor};

/// How the bytes of an answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are.
    Identity,
    /// Compressed.
    Gzip,
}

/// The fastest level: a scrape is read once, and its text repeats itself so much that more gains little.
const LEVEL: i32 = 1;

/// What RFC 9110 means by no weight.
const FULL_WEIGHT: u16 = 1_000;

/// What a client wants: gzip if it says that it takes it, and not less gladly than the plain bytes.
pub(super) fn wanted(headers: &HeaderMap) -> Encoding {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let codings = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = parts.next().map_or(Some(FULL_WEIGHT), weight) else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    if gzip > 0 && gzip >= identity.unwrap_or(0) {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// `q=0.5` in thousandths; `None` where it is no weight, and what it weighs is not taken then.
fn weight(parameter: &str) -> Option<u16> {
    let (name, number) = parameter.split_once('=')?;
    let number = number.trim();
    let form = number.len() <= "1.000".len()
        && number.starts_with(['0', '1'])
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if !name.trim().eq_ignore_ascii_case("q") || !form || decimals.contains('.') {
        return None;
    }
    let thousandths: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= FULL_WEIGHT).then_some(thousandths)
}

/// Compresses an answer; `None` where it would not fit, which [`Compressor`] rules out.
pub(super) fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default());
    let mut packed = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut packed).ok()?;
    packed.truncate(length);
    packed.shrink_to_fit();
    Some(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn weights_are_respected() {
        let wanted = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            super::wanted(&headers) == Encoding::Gzip
        };
        for yes in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br",
            "br;q=1.0, gzip;q=0.8, *;q=0.1",
            "*",
            "gzip;q=0.001",
            "gzip ; Q=1.000",
            "identity;q=0.5, gzip;q=0.5",
            "identity;q=0, *;q=0.5",
        ] {
            assert!(wanted(&[yes]), "{yes}");
        }
        for no in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=2",
            "gzip;q=",
            "gzip;q=0.5.5",
            "gzip;level=9",
            "gzipped",
        ] {
            assert!(!wanted(&[no]), "{no}");
        }
        assert!(!wanted(&[]));
        assert!(wanted(&["br", "gzip"]));
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let plain = "pgvigil_up 1\n".repeat(1_000);
        let packed = gzip(plain.as_bytes()).expect("packed");
        assert!(packed.len() < plain.len() / 10);
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut text)
            .expect("gzip");
        assert_eq!(text, plain);
    }
}
