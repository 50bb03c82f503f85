//! The resolved configuration: defaults applied, limits checked, nothing read from disk yet but the file itself.
//!
//! What was typed is another type ([`raw`]); this one is what the rest of the program sees. Secrets are named, not held:
//! a password is read from its file or variable when a connection is made, so that a rotated one is used at once.

pub(crate) mod document;
pub mod expect;
mod notify;
pub mod raw;
mod resolve;
pub mod units;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use crate::schedule::Schedule;
pub use expect::Expect;
pub use notify::{Alertmanager, Login};

/// Everything `pgvigil` works on.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The servers, names unique, directories apart.
    pub servers: Vec<Server>,
    /// The exporter.
    pub http: Http,
    /// Jobs at once, over all servers.
    pub jobs: u32,
    /// Who is told of alerts by us.
    pub alertmanager: Option<Alertmanager>,
}

/// The exporter's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Address and port to listen on.
    pub listen: std::net::SocketAddr,
    /// TLS, passwords and limits in exporter-toolkit's format.
    pub web_config_file: Option<PathBuf>,
    /// Holds the token of those who may ask for jobs; without it nobody may.
    pub token_file: Option<PathBuf>,
}

/// One PostgreSQL instance and where its backups live.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its name, the `server` label.
    pub name: String,
    /// How to reach it.
    pub connection: Connection,
    /// Where its backups live.
    pub directory: PathBuf,
    /// PostgreSQL binaries, where not found by version.
    pub pg_bin: Option<PathBuf>,
    /// Set where nothing is to run by itself.
    pub paused: Option<Pause>,
    /// What was promised of the volume.
    pub volume: Volume,
    /// How to take backups.
    pub backup: Backup,
    /// What to keep.
    pub retention: Retention,
    /// When to verify all backups.
    pub verify: Verify,
    /// How to drill.
    pub drill: Drill,
    /// What the numbers should be.
    pub objectives: Objectives,
}

/// How to reach a server. What is `None` is libpq's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// Host name, address, or socket directory.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// User.
    pub user: Option<String>,
    /// Database for questions about the cluster.
    pub database: Option<String>,
    /// Where the password comes from.
    pub password: PasswordSource,
    /// TLS.
    pub sslmode: SslMode,
    /// Certificates to trust, PEM.
    pub sslrootcert: Option<PathBuf>,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
}

/// Where a password comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PasswordSource {
    /// `PGPASSWORD`, else libpq's password file (`PGPASSFILE`, `~/.pgpass`).
    #[default]
    Environment,
    /// A file that holds nothing but the password.
    File(PathBuf),
    /// A password file in libpq's format.
    PassFile(PathBuf),
}

/// libpq's sslmode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server can.
    #[default]
    Prefer,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate from a trusted authority.
    VerifyCa,
    /// The same, and for this host name.
    VerifyFull,
}

/// Nothing runs by itself for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, for those who wonder.
    pub reason: String,
    /// Until when; `None`: until someone says so.
    pub until: Option<DateTime<Utc>>,
}

/// What was promised of a volume, where nobody asks the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The size that the claim asked for, in bytes.
    pub requested: Option<u64>,
}

/// Who takes the backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// We do.
    Take,
    /// Someone else does, and we watch over the files.
    Observe(Observe),
}

/// Which files of someone else to watch over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observe {
    /// Their names, with `*` and `?` as wildcards.
    pub pattern: String,
    /// How long a file has to stay as it is before it is taken for complete.
    pub settle: Duration,
    /// The time zone of the times in their names.
    pub timezone: Tz,
}

/// What happens when the next backup will not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenShort {
    /// It is not begun.
    #[default]
    Refuse,
    /// It is begun, with a warning.
    Warn,
}

/// When to verify all backups, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Verify {
    /// When; `None` never by itself.
    pub schedule: Option<Schedule>,
    /// How much later than due it may begin.
    pub jitter: Duration,
    /// How long checking one backup may take.
    pub timeout: Duration,
    /// Attempts after one that could not run.
    pub retries: u32,
}

/// How to take backups.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// Who takes them.
    pub mode: Mode,
    /// When; `None` never by itself.
    pub schedule: Option<Schedule>,
    /// How much later than due one may begin, so that many servers do not begin at once.
    pub jitter: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts after a failed one.
    pub retries: u32,
    /// Wait before the first of them; each further one waits twice as long.
    pub retry_delay: Duration,
    /// How long pg_dump may wait for the lock on a table.
    pub lock_timeout: Duration,
    /// What happens when the next one will not fit.
    pub when_short: WhenShort,
    /// Databases to dump at once.
    pub jobs: u32,
}

/// What to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days to keep a backup.
    pub keep_days: u32,
    /// Backups to keep whatever their age.
    pub keep_min: u32,
    /// Days of which to keep the last backup.
    pub keep_daily: u32,
    /// Weeks of which to keep the last backup.
    pub keep_weekly: u32,
    /// Months of which to keep the last backup.
    pub keep_monthly: u32,
    /// Years of which to keep the last backup.
    pub keep_yearly: u32,
    /// Whether files that someone else made are pruned too.
    pub adopt: bool,
}

/// How to drill.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// When; `None` never by itself.
    pub schedule: Option<Schedule>,
    /// How much later than due it may begin.
    pub jitter: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Attempts after one that could not run.
    pub retries: u32,
    /// Whether to refuse to drill where the scratch server cannot be fenced in fully.
    pub fence_required: bool,
    /// A server to drill on, in place of one of our own.
    pub server: Option<ScratchServer>,
    /// Questions to ask of the restored databases.
    pub checks: Vec<Check>,
    /// Tables whose newest row must not be old.
    pub freshness: Vec<Freshness>,
}

/// A server to drill on.
#[derive(Clone, Debug, PartialEq)]
pub struct ScratchServer {
    /// How to reach it.
    pub connection: Connection,
    /// Whether a drill may run there although the user is a superuser.
    pub superuser_allowed: bool,
}

/// A question to ask of a restored database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name in reports.
    pub name: String,
    /// The database to ask.
    pub database: String,
    /// A query; the first column of its first row is the answer.
    pub sql: String,
    /// What the answer must be.
    pub expect: Expect,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// A table that is written to all the time, as its newest row must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The database.
    pub database: String,
    /// The table, as SQL names it: `orders`, `shop.orders`.
    pub table: String,
    /// A column of dates or timestamps.
    pub column: String,
    /// How much older than the backup its newest value may be.
    pub max_age: Duration,
}

/// How long the answer to a check may take, where nothing is said.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// What the numbers should be; exported beside the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// Age of the newest backup.
    pub max_age: Duration,
    /// Duration of a backup.
    pub max_duration: Duration,
    /// Fill ratio of the volume, 0 to 1.
    pub max_fill: f64,
    /// Measured restore time of all of a backup.
    pub max_restore_time: Duration,
    /// Measured restore time of a part: one database, or tables.
    pub max_partial_restore_time: Duration,
    /// Age of the newest proof.
    pub max_drill_age: Duration,
}

/// What is configured but not yet done by this version, one line each: nothing that is typed is ignored in silence.
pub fn notes(config: &Config) -> Vec<String> {
    config.servers.iter().flat_map(Server::notes).collect()
}

/// Which files are backups where we take them: those of any time, and what a person put beside them.
pub const ARCHIVES: &str = "*.sql.gz";

impl Server {
    /// What the names of its backups look like, with `*` and `?` as wildcards.
    pub fn archives(&self) -> &str {
        self.observes()
            .map_or(ARCHIVES, |observe| observe.pattern.as_str())
    }

    /// Which files to watch over, where someone else takes the backups.
    pub fn observes(&self) -> Option<&Observe> {
        match &self.backup.mode {
            Mode::Take => None,
            Mode::Observe(observe) => Some(observe),
        }
    }

    /// How long a file of someone else has to stay as it is before it is taken for complete. One without bytes may stay so
    /// for as long as a backup may take: gzip keeps back what pg_dump writes first, and before that the shell has made the
    /// file.
    pub fn settles(&self, observe: &Observe, bytes: u64) -> Duration {
        match bytes {
            0 => observe.settle.max(self.backup.timeout),
            _ => observe.settle,
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |what: String| {
            notes.push(format!(
                "server {}: configured but not yet done by this version: {what}",
                self.name
            ));
        };
        if self.backup.jobs > 1 {
            note(format!(
                "backup.jobs {}; databases are dumped one after the other",
                self.backup.jobs
            ));
        }
        notes
    }
}

impl Retention {
    /// Where nobody has said what to keep: nothing goes.
    pub const ALL: Self = Self {
        keep_days: u32::MAX,
        keep_min: 1,
        keep_daily: 0,
        keep_weekly: 0,
        keep_monthly: 0,
        keep_yearly: 0,
        adopt: false,
    };
}

impl std::fmt::Display for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "keep_days {}, keep_min {}",
            self.keep_days, self.keep_min
        )?;
        let periods = [
            ("daily", self.keep_daily),
            ("weekly", self.keep_weekly),
            ("monthly", self.keep_monthly),
            ("yearly", self.keep_yearly),
        ];
        periods
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(name, count)| write!(f, ", keep_{name} {count}"))
    }
}

impl SslMode {
    /// libpq's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// The mode libpq calls by this word.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Disable,
            Self::Prefer,
            Self::Require,
            Self::VerifyCa,
            Self::VerifyFull,
        ]
        .into_iter()
        .find(|mode| mode.as_str() == word)
    }
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            mode: Mode::Take,
            schedule: None,
            jitter: Duration::ZERO,
            timeout: Duration::from_secs(30 * 60),
            retries: 1,
            retry_delay: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5 * 60),
            when_short: WhenShort::Refuse,
            jobs: 1,
        }
    }
}

impl Default for Observe {
    fn default() -> Self {
        Self {
            pattern: "postgresql_backup_*.sql.gz".to_owned(),
            settle: Duration::from_secs(60),
            timezone: Tz::UTC,
        }
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            schedule: None,
            jitter: Duration::ZERO,
            timeout: Duration::from_secs(30 * 60),
            retries: 1,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_days: 7,
            keep_min: 2,
            keep_daily: 0,
            keep_weekly: 0,
            keep_monthly: 0,
            keep_yearly: 0,
            adopt: false,
        }
    }
}

impl Default for Drill {
    fn default() -> Self {
        Self {
            schedule: None,
            jitter: Duration::ZERO,
            timeout: Duration::from_secs(4 * 3600),
            retries: 1,
            fence_required: false,
            server: None,
            checks: Vec::new(),
            freshness: Vec::new(),
        }
    }
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(48 * 3600),
            max_duration: Duration::from_secs(30 * 60),
            max_fill: 0.80,
            max_restore_time: Duration::from_secs(30 * 60),
            max_partial_restore_time: Duration::from_secs(60 * 60),
            max_drill_age: Duration::from_secs(92 * 86400),
        }
    }
}
