//! The server that was named to drill on: what it is, and what we may do there.

use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::live;
use crate::pg::version::Version;

/// From this version on the owner of a database owns its schema `public` too, without which hardly any dump can be
/// restored by anyone but a superuser.
const OLDEST: u32 = 15;

const ASK: &str = "select r.rolname::text, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolinherit, \
      pg_catalog.pg_is_in_recovery(), current_setting('server_version_num') \
    from pg_catalog.pg_roles r where r.rolname = current_user";

const IDENTITY: &str = "select system_identifier::text from pg_catalog.pg_control_system()";

/// A server and our rights there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenServer {
    /// Its version.
    pub version: Version,
    /// Its version as it says it.
    pub version_text: String,
    /// Whom we are there.
    pub user: String,
    /// Whether we are a superuser.
    pub superuser: bool,
    databases: bool,
    roles: bool,
    inherits: bool,
    standby: bool,
}

/// Looks at a server; nothing is changed.
pub async fn look(target: &Target) -> Result<GivenServer> {
    let (session, version, version_text) = live::open(target).await?;
    let row = session.query_one(ASK, &[]).await.map_err(|error| {
        Failure::new(
            FailureKind::Connect,
            format!("ask {target} what we may do there"),
        )
        .because(ServerError::from(&error))
    })?;
    session.close().await;
    Ok(GivenServer {
        version,
        version_text,
        user: row.get(0),
        superuser: row.get(1),
        databases: row.get(2),
        roles: row.get(3),
        inherits: row.get(4),
        standby: row.get(5),
    })
}

/// What tells one instance of PostgreSQL, and its copies, from all others; none where we may not ask.
pub async fn identity(target: &Target) -> Option<String> {
    let session: Session = target.session(&target.database).await.ok()?;
    let row = session.query_one(IDENTITY, &[]).await.ok()?;
    session.close().await;
    Some(row.get(0))
}

impl GivenServer {
    /// Whether one can drill there at all, and with these rights.
    pub fn check(&self, target: &Target, superuser_allowed: bool) -> Result<()> {
        let refused = |kind, why: String| Failure::new(kind, format!("drill on {target}: {why}"));
        if self.version.major < OLDEST {
            let why = format!(
                "it is PostgreSQL {}, and must be {OLDEST} or newer",
                self.version
            );
            return Err(refused(FailureKind::Version, why)
                .remedy("name a newer server in drill.scratch, or use embedded"));
        }
        if self.standby {
            return Err(refused(
                FailureKind::Scratch,
                "it is a standby, which takes no changes".to_owned(),
            )
            .remedy("name its primary or another server in drill.scratch, or use embedded"));
        }
        if self.superuser && !superuser_allowed {
            let why = format!(
                "{} is a superuser there, and a dump is code that runs with the rights of this user",
                self.user
            );
            return Err(refused(FailureKind::Auth, why).remedy(
                "use a user with CREATEDB and CREATEROLE only, or accept it with drill.scratch_superuser: allowed",
            ));
        }
        let lacks: Vec<_> = [("CREATEDB", self.databases), ("CREATEROLE", self.roles)]
            .into_iter()
            .filter(|(_, has)| !has && !self.superuser)
            .map(|(right, _)| right)
            .collect();
        if !lacks.is_empty() {
            let lacks = lacks.join(" and ");
            return Err(refused(
                FailureKind::Auth,
                format!("user {} lacks {lacks} there", self.user),
            )
            .remedy(format!("ALTER ROLE … {}", lacks.replace(" and ", " "))));
        }
        // From 16 on it is said with each grant.
        if !self.inherits && !self.superuser && self.version.major < 16 {
            return Err(refused(
                FailureKind::Auth,
                format!(
                    "user {} is NOINHERIT there, and must have the rights of the roles it makes",
                    self.user
                ),
            )
            .remedy("ALTER ROLE … INHERIT"));
        }
        Ok(())
    }

    /// A dump restores into its own version or a newer one.
    pub fn takes(&self, target: &Target, dumped: Option<&str>) -> Result<()> {
        let Some(dump) = dumped.and_then(Version::from_text) else {
            return Ok(());
        };
        if self.version.major >= dump.major {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Version,
            format!(
                "drill on {target}: it is PostgreSQL {}, and the dump is of {dump}",
                self.version
            ),
        )
        .remedy(format!(
            "name a server of version {} or newer in drill.scratch, or use embedded",
            dump.major
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Connection;

    fn server() -> GivenServer {
        GivenServer {
            version: Version {
                major: 15,
                minor: 4,
            },
            version_text: "15.4".to_owned(),
            user: "drill".to_owned(),
            superuser: false,
            databases: true,
            roles: true,
            inherits: true,
            standby: false,
        }
    }

    fn refusal(server: &GivenServer, allowed: bool) -> Option<(FailureKind, String)> {
        let connection = Connection {
            host: Some("h".to_owned()),
            user: Some("drill".to_owned()),
            ..Connection::default()
        };
        let target = Target::resolve(&connection).expect("a target");
        let refused = server.check(&target, allowed).err()?;
        Some((refused.kind(), refused.sentence()))
    }

    #[test]
    fn rights() {
        let usual = server();
        assert_eq!(refusal(&usual, false), None);
        let boss = GivenServer {
            superuser: true,
            databases: false,
            roles: false,
            ..server()
        };
        assert_eq!(refusal(&boss, true), None);
        for (server, kind, says) in [
            (boss, FailureKind::Auth, "superuser"),
            (
                GivenServer {
                    databases: false,
                    ..server()
                },
                FailureKind::Auth,
                "lacks CREATEDB there",
            ),
            (
                GivenServer {
                    roles: false,
                    ..server()
                },
                FailureKind::Auth,
                "lacks CREATEROLE there",
            ),
            (
                GivenServer {
                    databases: false,
                    roles: false,
                    ..server()
                },
                FailureKind::Auth,
                "lacks CREATEDB and CREATEROLE there; ALTER ROLE … CREATEDB CREATEROLE",
            ),
            (
                GivenServer {
                    inherits: false,
                    ..server()
                },
                FailureKind::Auth,
                "NOINHERIT",
            ),
            (
                GivenServer {
                    standby: true,
                    ..server()
                },
                FailureKind::Scratch,
                "standby",
            ),
            (
                GivenServer {
                    version: Version {
                        major: 14,
                        minor: 9,
                    },
                    ..server()
                },
                FailureKind::Version,
                "PostgreSQL 14.9, and must be 15",
            ),
        ] {
            let (refused, sentence) = refusal(&server, false).expect("a refusal");
            assert_eq!(refused, kind);
            assert!(sentence.contains(says), "{sentence}");
        }
    }
}
