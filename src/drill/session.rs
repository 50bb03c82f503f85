//! Under which session settings was a foreign dump made?
//!
//! A foreign archive does not say under which TimeZone, bytea_output and lc_monetary its values were written. Where a
//! table has as many rows as the dump but reads otherwise, and such values are among them, it is read again under
//! settings that dumps are made under. Equal under one of them is equal: a time's text holds its offset, so that no other
//! time reads the same. Under none of them, nothing is proven either way.

use std::time::{Duration, Instant};

use super::place::Place;
use super::report::{CheckStatus, Report};
use crate::catalog::diff::{Difference, ObjectKind, same_content};
use crate::catalog::{Catalog, Database, Table};
use crate::error::Result;
use crate::outcome::Progress;
use crate::pg::measure::{self, DependsOn, Reading};

/// Time zones that servers are set to: UTC, and each larger region's. What a server is usually set to comes first.
const ZONES: [&str; 61] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "America/Chicago",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Europe/Moscow",
    "America/Sao_Paulo",
    "Australia/Sydney",
    "Asia/Singapore",
    "Europe/Kyiv",
    "Europe/Istanbul",
    "America/Denver",
    "America/Toronto",
    "Asia/Dubai",
    "Asia/Jakarta",
    "Asia/Seoul",
    "Asia/Hong_Kong",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Madrid",
    "Europe/Lisbon",
    "Europe/Dublin",
    "Europe/Helsinki",
    "Europe/Athens",
    "Europe/Warsaw",
    "Europe/Zurich",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "Africa/Casablanca",
    "America/Argentina/Buenos_Aires",
    "America/Bogota",
    "America/Lima",
    "America/Santiago",
    "America/Mexico_City",
    "America/Caracas",
    "America/Halifax",
    "America/St_Johns",
    "America/Phoenix",
    "America/Anchorage",
    "Pacific/Honolulu",
    "Asia/Jerusalem",
    "Asia/Riyadh",
    "Asia/Tehran",
    "Asia/Karachi",
    "Asia/Dhaka",
    "Asia/Kathmandu",
    "Asia/Bangkok",
    "Asia/Ho_Chi_Minh",
    "Asia/Manila",
    "Asia/Tashkent",
    "Asia/Yekaterinburg",
    "Asia/Novosibirsk",
    "Australia/Brisbane",
    "Australia/Perth",
    "Pacific/Auckland",
];

/// How long trying may take in all. A table that is not equal under any of them is read as often as there are zones.
const BUDGET: Duration = Duration::from_secs(300);

/// Settings to read under; none leaves the server's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settings {
    timezone: Option<&'static str>,
    bytea_output: Option<&'static str>,
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let timezone = self.timezone.map(|zone| format!("TimeZone {zone}"));
        let bytea = self.bytea_output.map(|form| format!("bytea_output {form}"));
        let both: Vec<_> = timezone.into_iter().chain(bytea).collect();
        f.write_str(&both.join(" and "))
    }
}

/// A table that may only read otherwise.
struct Suspect<'a> {
    section: &'a Database,
    table: &'a Table,
    depends: DependsOn,
    difference: Difference,
}

/// Takes those mismatches away that come from session settings alone, and says so; what may come from them and was not
/// found becomes "not done".
pub(super) async fn settle(
    expected: &Catalog,
    scratch: &Place<'_>,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let mut suspects = Vec::new();
    for difference in std::mem::take(&mut report.mismatches) {
        match suspect(expected, scratch, &difference).await? {
            Some((section, table, depends)) => suspects.push(Suspect {
                section,
                table,
                depends,
                difference,
            }),
            None => report.mismatches.push(difference),
        }
    }
    // Small ones first: they show which settings to begin with.
    suspects.sort_by_key(|suspect| suspect.table.bytes);
    let began = Instant::now();
    let mut found: Vec<Settings> = Vec::new();
    for suspect in suspects {
        let first = found.last().copied();
        let left = BUDGET.saturating_sub(began.elapsed());
        match Box::pin(settings_of(&suspect, scratch, first, left, progress)).await? {
            Some(settings) => {
                // The last found is tried first.
                found.retain(|other| *other != settings);
                found.push(settings);
            }
            None => say_unproven(&suspect.difference, report),
        }
    }
    if !found.is_empty() {
        let under: Vec<_> = found.iter().map(Settings::to_string).collect();
        let detail = format!(
            "the dump does not say how its values were written; tables were read as it has them under {}",
            under.join("; under ")
        );
        report.check("session settings", CheckStatus::Passed, detail);
    }
    Ok(())
}

/// Whether a mismatch may come from session settings alone: as many rows, and values that depend on them.
async fn suspect<'a>(
    expected: &'a Catalog,
    scratch: &Place<'_>,
    difference: &Difference,
) -> Result<Option<(&'a Database, &'a Table, DependsOn)>> {
    let same_rows = difference.expected.split(',').next() == difference.actual.split(',').next();
    if difference.kind != ObjectKind::Table || !same_rows {
        return Ok(None);
    }
    let sections = expected
        .databases
        .iter()
        .filter(|section| section.name == difference.database);
    let found = sections
        .flat_map(|section| section.tables.iter().map(move |table| (section, table)))
        .find(|(_, table)| format!("{}.{}", table.schema, table.name) == difference.object);
    let Some((section, table)) = found else {
        return Ok(None);
    };
    let depends =
        measure::depends_on_session(scratch.target(), &section.name, &difference.object).await?;
    Ok(depends.any().then_some((section, table, depends)))
}

/// The settings under which a table reads as in the dump.
async fn settings_of(
    suspect: &Suspect<'_>,
    scratch: &Place<'_>,
    first: Option<Settings>,
    budget: Duration,
    progress: &Progress,
) -> Result<Option<Settings>> {
    let began = Instant::now();
    let reading = Reading::open(scratch.target(), suspect.section, None).await?;
    let mut result = None;
    for settings in first.into_iter().chain(candidates(suspect.depends)) {
        if began.elapsed() > budget {
            break;
        }
        let mut known = true;
        for (name, value) in [
            ("timezone", settings.timezone),
            ("bytea_output", settings.bytea_output),
        ] {
            known = known && reading.set(name, value).await;
        }
        // A slim tzdata lacks a few zones.
        if !known {
            continue;
        }
        let read = reading.table(suspect.table, progress).await?;
        if read.is_some_and(|read| same_content(suspect.table, &read)) {
            result = Some(settings);
            break;
        }
    }
    reading.close().await;
    Ok(result)
}

fn candidates(depends: DependsOn) -> impl Iterator<Item = Settings> {
    let forms: &[Option<&str>] = if depends.bytea_output {
        &[Some("hex"), Some("escape")]
    } else {
        &[None]
    };
    let zones: &[&str] = if depends.timezone { &ZONES } else { &[] };
    let own = forms.iter().map(|form| Settings {
        timezone: None,
        bytea_output: *form,
    });
    let others = forms.iter().flat_map(move |form| {
        zones.iter().map(move |zone| Settings {
            timezone: Some(zone),
            bytea_output: *form,
        })
    });
    own.chain(others)
}

fn say_unproven(difference: &Difference, report: &mut Report) {
    let detail = format!(
        "table {} of database {} reads otherwise than in the dump, and a foreign archive does not say under which TimeZone, \
         bytea_output and lc_monetary it was made; it is not equal under any that is common",
        difference.object, difference.database
    );
    report.check("content", CheckStatus::NotDone, detail);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_tried_than_can_matter() {
        let of = |timezone, bytea_output| {
            candidates(DependsOn {
                timezone,
                bytea_output,
                lc_monetary: true,
            })
            .count()
        };
        assert_eq!(of(true, false), 1 + ZONES.len());
        assert_eq!(of(false, true), 2);
        assert_eq!(of(true, true), 2 + 2 * ZONES.len());
    }
}
