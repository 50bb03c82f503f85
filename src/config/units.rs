//! Durations and sizes as people write and read them: `1h30m`, `92d`, `1.4 GiB`.
//!
//! A duration is one or more numbers with a unit, largest unit first, each at most once: `d`, `h`, `m`, `s`. What is
//! printed can be typed again.

use std::time::Duration;

/// Units of sizes, Kubernetes' and the usual ones, with their bytes.
const SIZES: [(&str, u64); 15] = [
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Units in the order in which they may be written, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Longest duration taken. A century is longer than any backup is kept and far from where times overflow.
pub const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not numbers with units.
    #[error("not a duration")]
    Form,
    /// A unit stands twice, or after a smaller one.
    #[error("not a duration: units go from large to small, each once")]
    Order,
    /// Longer than [`LONGEST`].
    #[error("longer than 36500d")]
    TooLong,
}

/// Why a text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a whole number with a unit.
    #[error("not a size")]
    Form,
    /// More bytes than a number holds.
    #[error("larger than any volume")]
    TooLarge,
}

/// Reads a size such as `20Gi`, `500M` or a number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::Form);
    }
    let factor = SIZES
        .iter()
        .find(|(known, _)| *known == unit.trim_start_matches(' '))
        .map(|(_, factor)| *factor)
        .ok_or(SizeError::Form)?;
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(factor).ok_or(SizeError::TooLarge)
}

/// Reads a duration such as `30m`, `48h`, `92d`, `1h30m`, `5s`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .chars()
            .next()
            .filter(|unit| UNITS.iter().any(|(known, _)| known == unit))
            .ok_or(UnitError::Form)?;
        if number.is_empty() {
            return Err(UnitError::Form);
        }
        let at = units
            .iter()
            .position(|(known, _)| *known == unit)
            .ok_or(UnitError::Order)?;
        let (left, factor) = (
            units.get(at + 1..).unwrap_or_default(),
            units.get(at).map_or(0, |(_, factor)| *factor),
        );
        // More digits than u64 holds is a number all the same, only too large.
        let number: u64 = number.parse().map_err(|_| UnitError::TooLong)?;
        seconds = number
            .checked_mul(factor)
            .and_then(|more| seconds.checked_add(more))
            .ok_or(UnitError::TooLong)?;
        units = left;
        rest = tail.get(unit.len_utf8()..).unwrap_or_default();
    }
    let duration = Duration::from_secs(seconds);
    match text {
        "" => Err(UnitError::Form),
        _ if duration > LONGEST => Err(UnitError::TooLong),
        _ => Ok(duration),
    }
}

/// A duration in whole seconds, as [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// A number with its thousands apart, for reading: `1,234,567`.
pub fn format_count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration to the two largest units: what people want to know of an age.
pub fn format_age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let step = match seconds {
        0..3_600 => 1,
        3_600..86_400 => 60,
        _ => 3_600,
    };
    format_duration(Duration::from_secs(seconds - seconds % step))
}

/// Seconds that were measured: a decimal below a minute, as [`format_duration`] above.
pub fn format_seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    // Rounded first: 59.97 is a minute.
    let tenths = (duration.as_secs_f64() * 10.0).round() / 10.0;
    if tenths < 60.0 {
        format!("{tenths:.1}s")
    } else {
        format_duration(Duration::from_secs_f64(tenths.round()))
    }
}

/// A size in binary units.
pub fn format_bytes(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // A display value: the precision that f64 loses above 2^53 is not shown.
    let mut value = bytes as f64 / 1024.0;
    let mut name = NAMES[0];
    for larger in NAMES.into_iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = larger;
    }
    format!("{value:.1} {name}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_as_written() {
        let cases = [
            ("30m", 1_800),
            ("48h", 172_800),
            ("92d", 7_948_800),
            ("1h30m", 5_400),
            ("5s", 5),
            ("0s", 0),
            ("1d1s", 86_401),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration() {
        for text in [
            "", "5", "m", "5x", "5 m", "-5m", "1.5h", "5µ", "٣m", "5m3", "5M",
        ] {
            assert_eq!(parse_duration(text), Err(UnitError::Form), "{text}");
        }
        for text in ["5m1h", "1h1h"] {
            assert_eq!(parse_duration(text), Err(UnitError::Order), "{text}");
        }
        for text in [
            "36501d",
            "99999999999999999999999s",
            "18446744073709551615d",
            "36500d1s",
        ] {
            assert_eq!(parse_duration(text), Err(UnitError::TooLong), "{text}");
        }
    }

    #[test]
    fn sizes_as_written() {
        assert_eq!(parse_bytes("20Gi"), Ok(20 << 30));
        assert_eq!(parse_bytes("1500"), Ok(1500));
        assert_eq!(parse_bytes("2 MiB"), Ok(2 << 20));
        assert_eq!(parse_bytes("3G"), Ok(3_000_000_000));
        for text in ["", "Gi", "-1Gi", "1.5Gi", "1Xi", "1Gi "] {
            assert_eq!(parse_bytes(text), Err(SizeError::Form), "{text}");
        }
        for text in ["99999999999999999999", "99999999Pi"] {
            assert_eq!(parse_bytes(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn ages_and_sizes_for_people() {
        assert_eq!(format_age(Duration::from_secs(90)), "1m30s");
        assert_eq!(format_age(Duration::from_secs(3_661)), "1h1m");
        assert_eq!(format_age(Duration::from_secs(90_061)), "1d1h");
        assert_eq!(format_seconds(4.25), "4.3s");
        assert_eq!(format_seconds(59.97), "1m");
        assert_eq!(format_seconds(f64::NAN), "0.0s");
        assert_eq!(format_bytes(1023), "1023 B");
        assert_eq!(format_bytes(1536), "1.5 KiB");
        assert_eq!(format_bytes(u64::MAX), "16384.0 PiB");
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_typed(seconds in 0..=LONGEST.as_secs()) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9dhms]{0,30}|.{0,20}") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= LONGEST);
            }
        }
    }
}
