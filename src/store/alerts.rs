//! Alerts of a server that hold, as `notify` keeps them: without them, each restart would have an alert that waits for an
//! hour wait anew, and one that fires end and begin again.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::agenda::{read_json, write_json};
use crate::error::Result;

/// The name of the file in a server's directory.
pub const FILE_NAME: &str = "alerts.json";

/// What was kept so long ago says nothing about now: Prometheus' limit for the same.
const OUTAGE: TimeDelta = TimeDelta::hours(1);

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// When they were known to hold.
    at: DateTime<Utc>,
    alerts: Vec<T>,
}

/// Reads them; none where there are none, or where they are old.
pub fn read<T: DeserializeOwned>(directory: &Path, now: DateTime<Utc>) -> Result<Vec<T>> {
    let kept: Option<Kept<T>> =
        read_json(directory, FILE_NAME, "remove it: alerts then begin anew")?;
    let fresh = kept.filter(|kept| (now - kept.at).abs() <= OUTAGE);
    Ok(fresh.map_or_else(Vec::new, |kept| kept.alerts))
}

/// Writes them in the place of those before.
pub fn write<T: Serialize>(directory: &Path, now: DateTime<Utc>, alerts: Vec<T>) -> Result<()> {
    write_json(directory, FILE_NAME, &Kept { at: now, alerts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_bridged_and_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path();
        let then = DateTime::<Utc>::UNIX_EPOCH;
        let read = |minutes| read::<String>(here, then + TimeDelta::minutes(minutes));
        assert_eq!(read(0).expect("none"), [""; 0]);
        write(here, then, vec!["a"]).expect("written");
        assert_eq!(read(60).expect("read"), ["a"]);
        assert_eq!(read(61).expect("read"), [""; 0]);
        assert_eq!(read(-61).expect("read"), [""; 0]);
        std::fs::write(here.join(FILE_NAME), "{").expect("written");
        let said = read(0).expect_err("broken").sentence();
        assert!(
            said.contains("alerts.json") && said.contains("remove it"),
            "{said}"
        );
    }
}
