//! What can go wrong with a job, and what follows from it.
//!
//! Rules: a [`Failure`] says *what* failed, on *what*; its cause chain says *why*; its remedy says what to do. `Display`
//! shows the own text only, `source()` the rest, and [`Failure::sentence`] joins them for people, once, where the error
//! stops. Whether to retry, which exit code and which `reason` label follow from a kind is written in one table:
//! [`FailureKind::policy`].

use std::error::Error;
use std::fmt;

/// The kinds of failure that callers, exit codes and metrics tell apart.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The command line asks for something that does not exist or does not fit together.
    Usage,
    /// The configuration cannot be used.
    Config,
    /// pg_dumpall ended with an error or was killed.
    DumpFailed,
    /// pg_dumpall ended well, but what it wrote is not a whole dump of the server.
    DumpIncomplete,
    /// A backup, or the ledger, does not pass verification.
    Damaged,
    /// A backup holds text that we refuse to run.
    Unsafe,
    /// A restore does not give back what was backed up.
    NotEqual,
    /// A statement of the dump failed on the scratch server.
    RestoreFailed,
    /// The attempt took longer than it may.
    Timeout,
    /// pg_dump waited for a lock longer than it may.
    LockTimeout,
    /// pgvigil ended in the middle of it: killed, or out of memory.
    Interrupted,
    /// Someone asked us to stop.
    Cancelled,
    /// The server cannot be reached.
    Connect,
    /// The server refuses the user, the password or the permission.
    Auth,
    /// The PostgreSQL programs at hand are missing or do not fit the server.
    Version,
    /// The directory is missing or may not be written.
    Directory,
    /// The volume is full.
    NoSpace,
    /// Another pgvigil works on the same directory.
    Busy,
    /// The scratch server could not be made, or lacks something that the dump needs.
    Scratch,
    /// The server that is restored into, as it is now, does not take what is to be restored.
    Target,
    /// Reading or writing failed otherwise.
    Io,
}

/// What follows from a kind of failure.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The `reason` label of metrics and the ledger.
    pub label: &'static str,
    /// The process' exit code: 1 the backup is at fault, 2 usage or configuration, 3 could not run.
    pub exit_code: u8,
    /// Whether a second attempt can pass without anyone changing anything.
    pub retry: bool,
}

impl FailureKind {
    /// Every kind, in the order of the metrics' label values.
    pub const ALL: [Self; 21] = [
        Self::Usage,
        Self::Config,
        Self::DumpFailed,
        Self::DumpIncomplete,
        Self::Damaged,
        Self::Unsafe,
        Self::NotEqual,
        Self::RestoreFailed,
        Self::Timeout,
        Self::LockTimeout,
        Self::Interrupted,
        Self::Cancelled,
        Self::Connect,
        Self::Auth,
        Self::Version,
        Self::Directory,
        Self::NoSpace,
        Self::Busy,
        Self::Scratch,
        Self::Target,
        Self::Io,
    ];

    /// The one table from kind to consequences.
    pub const fn policy(self) -> Policy {
        let (label, exit_code, retry) = match self {
            Self::Usage => ("usage", 2, false),
            Self::Config => ("config", 2, false),
            Self::DumpFailed => ("dump_failed", 1, true),
            Self::DumpIncomplete => ("dump_incomplete", 1, true),
            Self::Damaged => ("damaged", 1, false),
            Self::Unsafe => ("unsafe", 1, false),
            Self::NotEqual => ("not_equal", 1, false),
            Self::RestoreFailed => ("restore_failed", 1, false),
            Self::Timeout => ("timeout", 3, true),
            Self::LockTimeout => ("lock_timeout", 3, true),
            Self::Interrupted => ("interrupted", 3, true),
            Self::Cancelled => ("cancelled", 3, false),
            Self::Connect => ("connect", 3, true),
            Self::Auth => ("auth", 3, false),
            Self::Version => ("version", 3, false),
            Self::Directory => ("directory", 3, false),
            Self::NoSpace => ("no_space", 3, false),
            Self::Busy => ("busy", 3, true),
            Self::Scratch => ("scratch", 3, true),
            Self::Target => ("target", 3, false),
            Self::Io => ("io", 3, true),
        };
        Policy {
            label,
            exit_code,
            retry,
        }
    }

    /// The kind of an I/O error that happened on a directory or a file in it.
    pub fn of_io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::NoSpace,
            std::io::ErrorKind::NotFound
            | std::io::ErrorKind::NotADirectory
            | std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::ReadOnlyFilesystem => Self::Directory,
            _ => Self::Io,
        }
    }
}

/// A cause of any type.
pub type Cause = Box<dyn Error + Send + Sync>;

/// One job-level failure: kind, own text, remedy, cause.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    what: String,
    remedy: Option<String>,
    source: Option<Cause>,
}

/// What jobs return.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of `kind`; `what` is a verb phrase that names the thing: "open archive /backups/x.sql.gz".
    pub fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            remedy: None,
            source: None,
        }
    }

    /// An I/O failure on a path; its kind follows from the error.
    pub fn io(what: impl Into<String>, error: std::io::Error) -> Self {
        Self::new(FailureKind::of_io(&error), what).because(error)
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds one more thing to know or do, behind what was said already.
    #[must_use]
    pub fn also(mut self, more: &str) -> Self {
        self.remedy = Some(match self.remedy.take() {
            Some(remedy) => format!("{remedy}; {more}"),
            None => more.to_owned(),
        });
        self
    }

    /// The same kind and the whole story as one text: to pass on what is told elsewhere.
    #[must_use]
    pub fn retold(&self) -> Self {
        Self::new(self.kind, self.sentence())
    }

    /// The kind.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The whole story in one sentence: what, why (the cause chain), what to do.
    pub fn sentence(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let own = error.to_string();
            // Some libraries repeat their cause in their own text; say it once.
            if !text.ends_with(&own) {
                text.push_str(": ");
                text.push_str(own.trim_end());
            }
            cause = error.source();
        }
        if let Some(remedy) = &self.remedy {
            text.push_str("; ");
            text.push_str(remedy);
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_joins_what_why_and_remedy() {
        let failure = Failure::io(
            "write /b/x",
            std::io::Error::from(std::io::ErrorKind::StorageFull),
        )
        .remedy("free some space");
        assert_eq!(failure.kind(), FailureKind::NoSpace);
        assert_eq!(
            failure.sentence(),
            "write /b/x: no storage space; free some space"
        );
        assert_eq!(failure.to_string(), "write /b/x");
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::BTreeSet<_> =
            FailureKind::ALL.iter().map(|k| k.policy().label).collect();
        assert_eq!(labels.len(), FailureKind::ALL.len());
    }
}
