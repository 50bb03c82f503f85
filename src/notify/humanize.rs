//! Numbers in messages, to the byte as Prometheus' templates write them: Go's `%v` and `%.4g`, and its `humanize…`.

use std::fmt::Write;

use chrono::DateTime;

/// Go's `%v`.
pub(super) fn plain(value: f64) -> String {
    general(value, &format!("{:e}", value.abs()), 6)
}

/// `90061` is `1d 1h 1m 1s`.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return format!("{}s", short(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let mut size = value.abs();
    if size >= 1.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Prometheus cuts the fraction off too"
        )]
        let whole = size as i64;
        let (seconds, minutes) = (whole % 60, whole / 60 % 60);
        let (hours, days) = (whole / 3_600 % 24, whole / 86_400);
        return match (days, hours, minutes) {
            (0, 0, 0) => format!("{sign}{}s", short(size)),
            (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
            (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
            _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
        };
    }
    let mut unit = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if size >= 1.0 {
            break;
        }
        unit = next;
        size *= 1_000.0;
    }
    format!("{sign}{}{unit}s", short(size))
}

/// `1536` is `1.5ki`.
pub(super) fn binary(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return short(value);
    }
    let mut unit = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1_024.0 {
            break;
        }
        unit = next;
        value /= 1_024.0;
    }
    format!("{}{unit}", short(value))
}

/// `0.85` is `85%`.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", short(value * 100.0))
}

/// Seconds since 1970 as a time in UTC; the number where it is beyond all times.
pub(super) fn timestamp(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    let nanoseconds = value * 1e9;
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit of Go's times, as it is rounded there too"
    )]
    if nanoseconds.abs() >= i64::MAX as f64 {
        return plain(value);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Prometheus cuts to milliseconds too"
    )]
    let milliseconds = nanoseconds as i64 / 1_000_000;
    let Some(time) = DateTime::from_timestamp_millis(milliseconds) else {
        return plain(value);
    };
    let mut text = time.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = format!("{:03}", time.timestamp_subsec_millis());
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text.push_str(" +0000 UTC");
    text
}

/// Go's `%.4g`.
fn short(value: f64) -> String {
    general(value, &format!("{:.3e}", value.abs()), 4)
}

/// Go's `g` from digits in Rust's form `1.234e5`: without an exponent from 10⁻⁴ to below 10 to the power of `limit`.
fn general(value: f64, digits: &str, limit: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mut number = mantissa.replace('.', "");
    number.truncate(number.trim_end_matches('0').len().max(1));
    let mut text = sign.to_owned();
    let place = usize::try_from(exponent + 1).unwrap_or_default();
    if exponent < -4 || exponent >= limit {
        text.push_str(number.get(..1).unwrap_or_default());
        if number.len() > 1 {
            text.push('.');
            text.push_str(number.get(1..).unwrap_or_default());
        }
        let direction = if exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        let _ = write!(text, "e{direction}{:02}", exponent.abs());
    } else if place == 0 {
        text.push_str("0.");
        text.push_str(&"0".repeat(usize::try_from(-exponent - 1).unwrap_or_default()));
        text.push_str(&number);
    } else if number.len() <= place {
        text.push_str(&number);
        text.push_str(&"0".repeat(place - number.len()));
    } else {
        text.push_str(number.get(..place).unwrap_or_default());
        text.push('.');
        text.push_str(number.get(place..).unwrap_or_default());
    }
    text
}
