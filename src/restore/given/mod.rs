//! A drill's restore onto a server that the configuration names, which others use too.
//!
//! Databases of the dump get scratch names there ([`names`]), and so does every role, without login, password or rights
//! of its own; roles of the same name on that server are never touched. One more role, of which all others are members,
//! may make things in every scratch schema: only a superuser can give a thing to someone who might not have made it, and
//! dumps do that all the time. All of it is dropped again, by name, and that is checked; what a killed drill leaves is
//! found by its [`mark`].
//!
//! No fence holds there. What a dump brings along runs with the rights of the user that is named, so that this should be
//! nobody who has anything to lose on that server.

mod mark;
mod names;
mod notes;
mod outline;
mod policy;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Restored;
use super::cluster::Job;
use super::judge::Blame;
use crate::catalog::{Catalog, DumpKind};
use crate::error::{Failure, FailureKind, Result};
use crate::pg::connect::{ServerError, Session, Target};
use crate::sql::name::{quote_identifier, quote_literal};
use names::{Id, statement};
pub use notes::PassedOver;
use outline::Outline;
use policy::{GivenServerPolicy, Names};
pub use rights::{GivenServer, identity, look};

/// How long clearing up may take, whatever time the drill itself had.
const CLEARING: Duration = Duration::from_secs(300);

/// A place on a server that others use. Call [`Given::clear`] whatever happens; what is not cleared is swept by the next.
pub struct Given {
    id: Id,
    server: GivenServer,
    /// Without databases to be confined to: for our own statements only.
    outside: Target,
    /// Holds the lock as long as the drill lives.
    holder: Session,
    /// Confined to the databases that were made.
    target: Target,
    names: Names,
    outline: Outline,
}

fn failed(what: impl Into<String>) -> impl Fn(tokio_postgres::Error) -> Failure {
    let what = what.into();
    move |error| {
        let denied = error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE);
        let failure =
            Failure::new(FailureKind::Scratch, what.clone()).because(ServerError::from(&error));
        if denied {
            failure.remedy("give the user CREATEDB and CREATEROLE there, or use embedded scratch")
        } else {
            failure
        }
    }
}

/// Drops what killed drills left on a server; gives what was done.
pub async fn sweep(target: &Target) -> Result<Vec<String>> {
    let session = target.session(&target.database).await?;
    let done = mark::sweep(&session).await;
    session.close().await;
    done
}

impl Given {
    /// Takes a name that nobody has. Nothing is made yet.
    pub async fn begin(target: &Target, server: GivenServer) -> Result<Self> {
        let outside = target.for_scratch_databases(server.version);
        let holder = outside.session(&outside.database).await?;
        let id = loop {
            let id = Id::random()?;
            if mark::claim(&holder, &id).await? {
                break id;
            }
        };
        Ok(Self {
            target: outside.confined(BTreeMap::new()),
            names: Names {
                everyone: id.role(0),
                ..Names::default()
            },
            id,
            server,
            outside,
            holder,
            outline: Outline::default(),
        })
    }

    /// How to reach its databases, by the dump's names, and no other.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The server.
    pub fn server(&self) -> &GivenServer {
        &self.server
    }

    /// What a role of the dump is called there.
    pub fn role(&self, name: &str) -> Option<&str> {
        self.names.roles.get(name).map(String::as_str)
    }

    /// What the dump's databases are called there.
    pub fn databases(&self) -> &BTreeMap<String, String> {
        &self.names.databases
    }

    /// A text of the server with the dump's names in place of those here.
    pub fn in_the_dumps_words(&self, text: &str) -> String {
        if !text.contains(names::PREFIX) {
            return text.to_owned();
        }
        let mut pairs: Vec<(&str, &str)> = [&self.names.databases, &self.names.roles]
            .into_iter()
            .flatten()
            .map(|(name, here)| (here.as_str(), name.as_str()))
            .collect();
        // The longer first: one may be the beginning of another.
        pairs.sort_by_key(|(here, _)| std::cmp::Reverse(here.len()));
        pairs
            .into_iter()
            .fold(text.to_owned(), |text, (here, name)| {
                text.replace(here, name)
            })
    }

    /// Makes roles and the first database, and restores the whole archive.
    pub async fn restore(&mut self, job: &Job<'_>) -> Result<(Restored, Vec<PassedOver>)> {
        if job.catalog.kind != DumpKind::Cluster {
            return Err(Failure::new(
                FailureKind::Scratch,
                format!(
                    "drill {}: a dump of one database does not make the roles it needs",
                    job.archive.display()
                ),
            )
            .remedy("use embedded scratch for it, or drill a dump of the whole cluster"));
        }
        self.prepare(job).await?;
        let premade: BTreeSet<String> = self
            .names
            .databases
            .keys()
            .filter(|name| !self.outline.created.contains(*name))
            .cloned()
            .collect();
        for name in &premade {
            let here = self.names.databases.get(name).map_or("", String::as_str);
            self.execute(
                &format!("make a scratch database for {name}"),
                &statement("CREATE DATABASE", here, " TEMPLATE template0")?,
            )
            .await?;
        }
        let policy = GivenServerPolicy::new(self.names.clone(), premade);
        let restored = job
            .run(&policy, &self.target, Blame::Given, |database| {
                job.only.is_none_or(|only| only.database == database.name)
            })
            .await?;
        Ok((restored, policy.passed_over()))
    }

    /// Reads what the dump needs, and makes roles, their memberships, and the first database.
    async fn prepare(&mut self, job: &Job<'_>) -> Result<()> {
        self.outline = outline::read(job.archive, job.catalog, job.progress).await?;
        self.give_names(job.catalog);
        self.make_roles().await?;
        self.lift_superusers().await?;
        let first = self.id.database(0);
        self.execute(
            "make a scratch database",
            &statement("CREATE DATABASE", &first, " TEMPLATE template0")?,
        )
        .await?;
        for (before, after) in [
            ("REVOKE ALL ON DATABASE", " FROM PUBLIC".to_owned()),
            (
                "COMMENT ON DATABASE",
                format!(" IS {}", quote_literal(&mark::comment(&self.id))),
            ),
        ] {
            let text = statement(before, &first, &after)?;
            self.execute("close a scratch database to others", &text)
                .await?;
        }
        let mut enter = self.names.databases.clone();
        let here = self.names.databases.values().chain([&first]);
        enter.extend(here.map(|name| (name.clone(), name.clone())));
        self.target = self.outside.in_database(&first).confined(enter);
        Ok(())
    }

    fn give_names(&mut self, catalog: &Catalog) {
        let databases = catalog.databases.iter().enumerate();
        self.names.databases = databases
            .map(|(index, database)| (database.name.clone(), self.id.database(index + 1)))
            .collect();
        let roles: BTreeSet<&String> = catalog.roles.iter().chain(&self.outline.roles).collect();
        self.names.roles = roles
            .into_iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), self.id.role(index + 1)))
            .collect();
    }

    /// All in one transaction: killed at any instant, there is either nothing or the mark too.
    async fn make_roles(&self) -> Result<()> {
        let mark = self.id.role(0);
        let options = " NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION";
        let mut texts = vec![
            statement("CREATE ROLE", &mark, options)?,
            statement(
                "COMMENT ON ROLE",
                &mark,
                &format!(" IS {}", quote_literal(&mark::comment(&self.id))),
            )?,
            self.grant_to_us(&mark)?,
        ];
        for role in self.names.roles.values() {
            texts.push(statement("CREATE ROLE", role, options)?);
            let comment = format!(" IS {}", quote_literal(&mark::comment(&self.id)));
            texts.push(statement("COMMENT ON ROLE", role, &comment)?);
            texts.push(self.grant_to_us(role)?);
            texts.push(grant(&mark, role, "")?);
        }
        for membership in &self.outline.memberships {
            let (Some(role), Some(member)) =
                (self.role(&membership.role), self.role(&membership.member))
            else {
                // Refused or passed over when the dump's own statement is judged.
                continue;
            };
            let options = match membership.options.as_str() {
                "" => String::new(),
                options => format!(" WITH {options}"),
            };
            texts.push(grant(role, member, &options)?);
        }
        let text = format!("BEGIN; {}; COMMIT", texts.join("; "));
        let made = self.holder.batch_execute(&text).await;
        if made.is_err() {
            // The transaction that failed is still open.
            let _ = self.holder.batch_execute("ROLLBACK").await;
        }
        made.map_err(failed("make the dump's roles under scratch names"))
    }

    fn grant_to_us(&self, role: &str) -> Result<String> {
        let how = if self.server.version.major >= 16 {
            " TO CURRENT_USER WITH INHERIT TRUE, SET TRUE"
        } else {
            " TO CURRENT_USER"
        };
        statement("GRANT", role, how)
    }

    /// Who was a superuser could read everything, and views and policies of his rely on it. Here he is a member of
    /// everyone else, as far as the dump's own memberships allow.
    async fn lift_superusers(&self) -> Result<()> {
        let mut lifted: Vec<&str> = Vec::new();
        for name in &self.outline.superusers {
            let Some(superuser) = self.role(name) else {
                continue;
            };
            let ordinary = self
                .names
                .roles
                .iter()
                .filter(|(name, _)| !self.outline.superusers.contains(*name))
                .map(|(_, here)| here.as_str());
            for role in ordinary.chain(lifted.iter().copied()) {
                match self
                    .holder
                    .batch_execute(&grant(role, superuser, "")?)
                    .await
                {
                    Err(error) if self.holder.is_closed() => {
                        return Err(failed("make the dump's superusers members of its roles")(
                            error,
                        ));
                    }
                    // A circle, which the dump itself closes.
                    _ => {}
                }
            }
            lifted.push(superuser);
        }
        Ok(())
    }

    async fn execute(&self, what: &str, text: &str) -> Result<()> {
        self.holder
            .execute_typed(text, &[])
            .await
            .map(drop)
            .map_err(failed(what))
    }

    /// Drops everything that was made, and looks whether anything is left.
    pub async fn clear(self) -> Result<()> {
        let clearing = Box::pin(async {
            // A statement of ours may still be under way in the session that was left in the middle of it.
            self.holder.close().await;
            let session = self.outside.session(&self.outside.database).await?;
            mark::wait_for_predecessor(&session, &self.id).await?;
            let cleared = mark::clear(&session, &self.id).await;
            session.close().await;
            cleared
        });
        match tokio::time::timeout(CLEARING, clearing).await {
            Ok(cleared) => cleared,
            Err(_) => Err(Failure::new(
                FailureKind::Scratch,
                format!(
                    "clear up behind the drill: not done within {} s",
                    CLEARING.as_secs()
                ),
            )
            .remedy("the next drill on that server drops what is left")),
        }
    }
}

/// One scratch role made a member of another.
fn grant(role: &str, member: &str, options: &str) -> Result<String> {
    // Refuses a member that is none of ours just as well.
    statement("GRANT", member, "")?;
    statement(
        "GRANT",
        role,
        &format!(" TO {}{options}", quote_identifier(member)),
    )
}

/// The address at which a server is named, for comparison with another.
pub fn same_address(one: &Target, other: &Target) -> bool {
    one.host == other.host && one.port == other.port
}

/// What a restore there is a proof of, and what it is not.
pub fn without_fence(target: &Target, server: &GivenServer) -> String {
    let user = if server.superuser {
        format!("superuser {}", server.user)
    } else {
        format!("user {} (no superuser)", server.user)
    };
    format!(
        "no fence holds on a server that was named: what the dump brings along runs on {}:{} with the rights of {user}",
        target.host, target.port
    )
}
