//! The command line as typed. What follows from it is `context`'s business.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::{Parser, Subcommand};

use super::log;
use crate::config::units::parse_duration;
use crate::ledger::Head;
use crate::pg::fence;
use crate::pg::warden::Order;

/// Takes PostgreSQL backups, proves that they restore, and tells Prometheus.
#[derive(Debug, Parser)]
#[command(name = "pgvigil", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Configuration file (YAML). Without it, libpq's variables (PGHOST, PGUSER, PGPASSFILE, …) name the server.
    #[arg(long, global = true, env = "PGVIGIL_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where backups live, without a configuration file [default: .]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Directory of PostgreSQL's programs [default: found by version]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) pg_bin: Option<PathBuf>,
    /// Which server of the configuration, where it has several.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) server: Option<String>,
    /// Print one JSON document on standard output.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to log: error (someone has to act), warn (odd, but handled), info, debug.
    #[arg(
        long,
        global = true,
        env = "PGVIGIL_LOG_LEVEL",
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub(super) log_level: tracing::Level,
    /// How to log: each event is one line.
    #[arg(
        long,
        global = true,
        env = "PGVIGIL_LOG_FORMAT",
        default_value = "logfmt",
        value_name = "FORMAT"
    )]
    pub(super) log_format: log::Format,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 good, 1 the backup or the ledger is at fault, 2 usage or configuration, 3 could not run.";

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Check that no line was changed, removed, repeated or moved, and that the reports of drills are as written.
    Verify {
        /// An entry as an earlier check printed it: that it is still there shows that nothing up to it was rewritten.
        #[arg(long, value_name = "NUMBER:DIGEST")]
        known: Option<Head>,
    },
    /// Show evidence for an audit: every attempt, what was compared, and the longest times without one.
    Show {
        /// Only what ended since: so long ago (`90d`), or a day in UTC (`2025-11-15`).
        #[arg(long, value_name = "AGO|DATE", value_parser = Since::parse)]
        since: Option<Since>,
    },
}

/// Where a period begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So long ago.
    Ago(Duration),
    /// With this day, in UTC.
    Day(NaiveDate),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(day) => Ok(Self::Day(day)),
            Err(_) => parse_duration(text)
                .map(Self::Ago)
                .map_err(|_| "neither a duration like 90d nor a day like 2025-11-15".to_owned()),
        }
    }

    /// That moment, where the calendar has it.
    pub(super) fn moment(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Ago(ago) => now.checked_sub_signed(TimeDelta::from_std(ago).ok()?),
            Self::Day(day) => Some(day.and_time(NaiveTime::MIN).and_utc()),
        }
    }
}

/// What to restore, where to, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// A path, a name in the directory, or `latest`.
    #[arg(default_value = "latest")]
    pub(super) backup: String,
    /// The server: postgresql://user@host:port/database?sslmode=… or `host=… port=… user=…`
    #[arg(long, value_name = "URL")]
    pub(super) to: String,
    /// Only this database of the backup; everything else on the server stays as it is.
    #[arg(long, value_name = "NAME")]
    pub(super) database: Option<String>,
    /// Only these tables of the database: `schema.table`, quoted as in SQL; outside of quotes * and ? are wildcards.
    #[arg(long = "table", value_name = "TABLE")]
    pub(super) tables: Vec<String>,
    /// The new name of the only database, or of the only table [default for a table that is there: its own and _restored]
    #[arg(long = "as", value_name = "NEW")]
    pub(super) rename: Option<String>,
    /// Allow what exists to be replaced and changed.
    #[arg(long)]
    pub(super) replace: bool,
    /// Remove the live table's rows first, and keep its definition.
    #[arg(long, requires = "tables", conflicts_with_all = ["append", "replace", "rename"])]
    pub(super) truncate: bool,
    /// Add the rows to the live table's.
    #[arg(long, requires = "tables", conflicts_with_all = ["replace", "rename"])]
    pub(super) append: bool,
    /// The database that the tables go into, where it is not --database.
    #[arg(long, value_name = "NAME", requires = "tables")]
    pub(super) into: Option<String>,
    /// How long to wait for a lock on a table.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) lock_timeout: Duration,
    /// Sessions at work at once [default: one for each processor here]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,
    /// Read everything back and compare it with the backup before it is put in place (always done for one database).
    #[arg(long, conflicts_with = "no_compare")]
    pub(super) compare: bool,
    /// Do not read it back.
    #[arg(long)]
    pub(super) no_compare: bool,
    /// Do not take a backup of what is replaced.
    #[arg(long)]
    pub(super) no_safety_backup: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do it.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the sidecar: schedules, exporter, status page.
    Serve,
    /// Take one backup now.
    Backup {
        /// Which server of the configuration, where it has several.
        #[arg(value_name = "SERVER")]
        name: Option<String>,
    },
    /// Check a backup: every byte, every statement, and all of that against its manifest.
    Verify {
        /// A path, a name in the directory, or `latest`.
        #[arg(default_value = "latest")]
        backup: String,
        /// All backups of the directory.
        #[arg(long, conflicts_with = "backup")]
        all: bool,
    },
    /// Prove a backup: restore it into a scratch server and compare every row.
    Drill {
        /// A path, a name in the directory, or `latest`.
        #[arg(default_value = "latest")]
        backup: String,
        /// Only this database: how long its restore takes, and that it gives back the same. That is no proof of the backup.
        #[arg(long, value_name = "NAME")]
        database: Option<String>,
        /// Only tables of that database: `schema.table`, quoted as in SQL; outside of quotes * and ? are wildcards.
        #[arg(long = "table", value_name = "TABLE", requires = "database")]
        tables: Vec<String>,
        /// Keep the scratch server until Ctrl-C, for a look at it.
        #[arg(long)]
        keep: bool,
    },
    /// List backups, and what is known of them.
    List,
    /// Show what is in a backup: databases, tables, rows.
    Inspect {
        /// A path, a name in the directory, or `latest`.
        #[arg(default_value = "latest")]
        backup: String,
    },
    /// Write SQL to standard output: the whole dump, one database, or one table's rows.
    Extract {
        /// A path, a name in the directory, or `latest`.
        #[arg(default_value = "latest")]
        backup: String,
        /// Only this database.
        #[arg(long, value_name = "NAME")]
        database: Option<String>,
        /// Only this table's rows, as a COPY: `schema.table`, quoted as in SQL.
        #[arg(long, value_name = "TABLE", requires = "database")]
        table: Option<String>,
    },
    /// Restore onto a server: everything, one database, or tables. Shows a plan first; acts with --yes, or when asked.
    Restore(Restore),
    /// Remove the backups that the configuration no longer wants, and say of each why it stays or goes.
    Prune {
        /// Say what would be removed, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check the configuration and the surroundings.
    Check,
    /// The record of everything that was attempted.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Show all of it with a sample server: backup, verify, drill, then the service with its page until Ctrl-C.
    Demo {
        /// End after the drill instead of serving.
        #[arg(long)]
        once: bool,
        /// Where it serves [default: 127.0.0.1:9959, or another port where that one is taken]
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<std::net::SocketAddr>,
    },
    /// Watches one program; started by pgvigil itself.
    #[command(hide = true)]
    Warden(Order),
    /// Fences itself in and becomes a program; started by pgvigil itself.
    #[command(hide = true)]
    Fence(fence::Order),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn a_period_begins_so_long_ago_or_with_a_day() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let moment = |text| Since::parse(text).map(|since| since.moment(now));
        assert_eq!(
            moment("90d"),
            Ok(Some(DateTime::UNIX_EPOCH + TimeDelta::days(10)))
        );
        assert_eq!(
            moment("1970-01-03"),
            Ok(Some(DateTime::UNIX_EPOCH + TimeDelta::days(2)))
        );
        assert!(moment("yesterday").is_err());
        assert!(moment("2025-13-01").is_err());
    }
}
