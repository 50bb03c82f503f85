//! How many requests are answered: a token bucket for all clients together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// `rate_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Time in which one request more may come.
    pub(super) interval: Duration,
    /// Requests that may come at once after a time of quiet.
    pub(super) burst: u32,
}

/// A bucket. Instead of tokens it keeps when it will be full again: each request moves that by one interval.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    full: Mutex<Option<Instant>>,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            full: Mutex::new(None),
        }
    }

    /// Its rate.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token; `Err` tells how long it takes until there is one.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let Rate { interval, burst } = self.rate;
        let room = interval.saturating_mul(burst.saturating_sub(1));
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = full
            .map(|full| full.saturating_duration_since(now))
            .unwrap_or_default();
        if behind > room {
            return Err(behind - room);
        }
        *full = now.checked_add(behind.saturating_add(interval));
        Ok(())
    }
}

/// A duration as Go writes it: `1s`, `100ms`, `1m30s`, `1.5h`, and `0`. A number without a unit is refused: Go takes it for
/// nanoseconds, people for seconds.
pub(super) fn interval(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    loop {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        if next.is_empty() {
            return Some(sum);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_request_an_interval() {
        let interval = Duration::from_millis(100);
        let bucket = Bucket::new(Rate { interval, burst: 3 });
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(interval));
        let half = start + interval / 2;
        assert_eq!(bucket.take(half), Err(interval / 2));
        let next = start + interval;
        assert_eq!(bucket.take(next), Ok(()));
        assert_eq!(bucket.take(next), Err(interval));
        // Quiet fills it again, but not beyond the burst.
        let later = start + interval * 50;
        for _ in 0..3 {
            assert_eq!(bucket.take(later), Ok(()));
        }
        assert_eq!(bucket.take(later), Err(interval));
    }

    #[test]
    fn intervals_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("1s", 1000),
            ("100ms", 100),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("2h", 7_200_000),
            ("1000us", 1),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(
                interval(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "", "1", "s", "-1s", "1 s", "1d", "1s1", ".s", "1..5s", "1e3s", "nan",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
    }
}
