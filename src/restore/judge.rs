//! What an error of the server speaks against: the backup, or the server that it is restored into.

use tokio_postgres::error::SqlState;

use crate::error::FailureKind;

/// Whose server it is, which decides what a person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// A scratch server of ours.
    Scratch,
    /// A server that was named to be restored into.
    Target,
    /// A server that was named to drill on, where ours are ordinary rights and other names.
    Given,
}

impl Blame {
    /// The kind of failure that an error is, and the remedy.
    pub(super) fn judge(self, error: &tokio_postgres::Error) -> (FailureKind, &'static str) {
        let Some(code) = error.code() else {
            return (
                FailureKind::Scratch,
                match self {
                    Self::Scratch | Self::Given => {
                        "the scratch server ended or cannot be reached: look at memory and disk space, and drill again"
                    }
                    Self::Target => {
                        "the target ended or cannot be reached: look at its log, memory and disk space, and restore again"
                    }
                },
            );
        };
        let class = code.code().get(..2).unwrap_or("");
        let message = error.as_db_error().map_or("", |error| error.message());
        let of = |scratch, target| match self {
            Self::Scratch | Self::Given => scratch,
            Self::Target => target,
        };
        if self == Self::Given
            && let Some(remedy) = not_on_a_given_server(code, message)
        {
            return (FailureKind::Scratch, remedy);
        }
        match class {
            "53" | "57" | "58" | "08" | "XX" if !message.contains("extension") => (
                FailureKind::Scratch,
                of(
                    "the scratch server lacks room or memory, or was ended: mend that and drill again",
                    "the target lacks room, memory or a directory, or was ended: mend that and restore again",
                ),
            ),
            "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => (
                FailureKind::Scratch,
                of(
                    "the dump acts as other roles (--use-set-session-authorization), or its code reached outside of the scratch server's fence",
                    "restore as a superuser of the target",
                ),
            ),
            _ if message.contains("extension")
                && [SqlState::FEATURE_NOT_SUPPORTED, SqlState::UNDEFINED_FILE].contains(code) =>
            {
                (
                    FailureKind::Scratch,
                    of(
                        "install the extension's package where the drill runs, then drill again",
                        "install the extension's package on the target, then restore again",
                    ),
                )
            }
            "42" if self == Self::Target && message.starts_with("role ") => (
                FailureKind::Target,
                "create that role on the target, then restore again: a dump of one database does not bring the roles it names",
            ),
            _ if message.contains("could not access file") => (
                FailureKind::Scratch,
                of(
                    "install the package that holds this library where the drill runs, then drill again",
                    "install the package that holds this library on the target, then restore again",
                ),
            ),
            _ if message.contains("locale name")
                || message.contains("collation") && message.contains("does not exist") =>
            {
                (
                    FailureKind::Scratch,
                    of(
                        "generate that locale where the drill runs, then drill again",
                        "generate that locale on the target, then restore again",
                    ),
                )
            }
            "42" if message.contains("unrecognized configuration parameter") => (
                FailureKind::Scratch,
                of(
                    "drill with PostgreSQL binaries of the dump's version or newer",
                    "restore into a server of the dump's version or newer",
                ),
            ),
            _ => (
                FailureKind::RestoreFailed,
                "this backup does not restore: keep an older proven one and take a new one",
            ),
        }
    }
}

/// What speaks neither against the backup nor against the server: that we are not a superuser there, and that databases,
/// roles and tablespaces of the dump are not there under their own names.
fn not_on_a_given_server(code: &SqlState, message: &str) -> Option<&'static str> {
    let names = ["role \"", "database \"", "tablespace \""];
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        Some("this needs a superuser, so it cannot be proven on that server: use embedded scratch")
    } else if message.contains("does not exist") && names.iter().any(|name| message.contains(name))
    {
        Some("on that server the dump's databases and roles have other names: use embedded scratch")
    } else {
        None
    }
}
