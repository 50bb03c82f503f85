//! Restores a whole cluster, or one database of it, onto a server that others use.
//!
//! First a plan, made of what the server and the dump hold; then, in this order: roles and tablespaces that are missing,
//! databases under temporary names, the comparison, all of them put in place by rename at once, what could only be done
//! then, and last the databases that were replaced are dropped. Up to the rename nothing that exists is changed, and
//! whatever fails, what was made is taken back. A restore that was killed is swept by the next one.

mod compare;
mod outline;
mod planning;
mod policy;
mod temporary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tracing::warn;

use super::Restored;
use super::cluster::Job;
use super::judge::Blame;
use super::memberships::{self, Memberships};
use super::plan::{Plan, TargetFacts};
use crate::catalog::Catalog;
use crate::error::{Failure, FailureKind, Result};
use crate::manifest::Manifest;
use crate::outcome::Progress;
use crate::pg::connect::{ServerError, Session, Target};
use crate::pg::live;
use crate::pg::shared::{self, Shared};
use crate::sql::name::quote_identifier;
use crate::sql::reach::{self, Reach};
use crate::sql::statement;
use policy::{Made, ServerPolicy};
use temporary::{Replacing, Temporary};

/// What to restore.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Everything.
    Cluster,
    /// One database.
    Database {
        /// What the dump calls it.
        name: String,
        /// What it is to be called.
        into: String,
    },
}

/// A restore, asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The archive.
    pub archive: PathBuf,
    /// What is in it, as a check has read it just now.
    pub catalog: &'a Catalog,
    /// Its manifest, if it has one.
    pub manifest: Option<&'a Manifest>,
    /// What to restore.
    pub scope: Scope,
    /// Whether what exists may be replaced and changed.
    pub replace: bool,
    /// Whether everything is read back and compared before it is put in place.
    pub compare: bool,
    /// Sessions at work at once.
    pub jobs: usize,
}

/// A restore, ready.
pub struct Ready<'a> {
    request: Request<'a>,
    target: Target,
    plan: Plan,
    work: Work,
}

/// What has to be done, by names.
#[derive(Clone, Debug, Default)]
struct Work {
    databases: Vec<Planned>,
    new_roles: BTreeSet<String>,
    changed_roles: BTreeSet<String>,
    expiring_roles: BTreeSet<String>,
    new_tablespaces: BTreeSet<String>,
    major: u32,
    bootstrap: String,
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Planned {
    /// What the dump calls it.
    name: String,
    /// What it will be called.
    into: String,
    /// Whether the dump makes it.
    is_created: bool,
    /// Whether there is one that goes.
    replacing: Replacing,
}

/// A restore, done.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Databases that are in place.
    pub databases: Vec<String>,
    /// Tables loaded.
    pub tables: u64,
    /// Rows loaded, as the server counted them.
    pub rows: u64,
    /// Rows read back and found equal; none where that was not asked for.
    pub rows_compared: Option<u64>,
    /// Wall time of loading.
    pub restore_seconds: f64,
    /// Wall time of reading back.
    pub compare_seconds: f64,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What is said where the server's last answer was lost.
const UNKNOWN: &str = "the target does not answer, and it is not known whether the restored databases are in place: they are either \
     all or none; the next restore sweeps what is left";

/// Plans a restore; nothing is changed.
///
/// But for what killed restores left: with `sweep` that goes first, so that the plan does not count on it.
pub async fn plan<'a>(
    request: Request<'a>,
    target: &Target,
    sweep: bool,
    progress: &Progress,
) -> Result<Ready<'a>> {
    progress.stage("plan", 0);
    let (session, mut shared) = shared::look(target).await?;
    if sweep {
        temporary::sweep(target, &session, &shared).await?;
        let (again, after) = shared::look(target).await?;
        again.close().await;
        shared = after;
    }
    session.close().await;
    let outline = outline::read(&request.archive, request.catalog, progress).await?;
    let (plan, work) = planning::plan(&request, target, &shared, &outline).await?;
    Ok(Ready {
        request,
        target: target.clone(),
        plan,
        work,
    })
}

/// Who is restored into.
pub async fn facts(target: &Target) -> Result<TargetFacts> {
    let (session, _, version) = live::open(target).await?;
    session.close().await;
    Ok(TargetFacts {
        host: target.host.clone(),
        port: target.port,
        user: target.user.clone(),
        version,
    })
}

impl Ready<'_> {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan, for additions of who knows more.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Databases whose content goes.
    pub fn replaced(&self) -> Vec<String> {
        self.work
            .databases
            .iter()
            .filter(|database| database.replacing == Replacing::InUse)
            .map(|database| database.into.clone())
            .collect()
    }

    /// Does it.
    pub async fn apply(self, progress: &Progress) -> Result<Done> {
        if let Some(refusal) = self.plan.refusals.first() {
            return Err(Failure::new(
                FailureKind::Usage,
                format!("restore: {refusal}"),
            ));
        }
        let (outside, shared) = shared::look(&self.target).await?;
        self.still_as_planned(&shared)?;
        let databases = self.work.databases.iter();
        let replacing: Vec<_> = databases.map(|database| database.replacing).collect();
        let temporary = Temporary::make(&self.target, &outside, shared.version, &replacing).await?;
        let policy = self.policy(&temporary);
        let loaded = self.load(&temporary, &policy, progress).await;
        let made = policy
            .made
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let (restored, compared) = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return Err(self.take_back(failure, &made, temporary, &outside).await),
        };
        if let Err(failure) = self.put_in_place(&temporary, outside).await {
            // The answer may have been lost on its way: the server knows.
            let in_place = temporary.is_in_place().await;
            match (in_place, self.target.session(&self.target.database).await) {
                (Some(true), _) => {}
                (Some(false), Ok(outside)) => {
                    return Err(self.take_back(failure, &made, temporary, &outside).await);
                }
                _ => return Err(failure.also(UNKNOWN)),
            }
        }
        // From here on the restored databases are the ones that everybody sees.
        let mut notes = self.plan.notes.clone();
        let all_dropped = self.drop_replaced(&temporary, &mut notes).await;
        match self.target.session(&self.target.database).await {
            Ok(outside) => {
                // Who restores may be no superuser any more after this, but still owns what it made.
                let unmark = |role: &String| policy::unmark(role, temporary.id());
                let unmark = made.roles.iter().map(unmark);
                let later = unmark.chain(restored.later.iter().cloned());
                let later: Vec<String> = later.chain(self.templates()).collect();
                self.share(&outside, &later, &mut notes).await;
                if all_dropped && let Err(error) = temporary.end(&outside, self.work.major).await {
                    notes.push(error.sentence());
                }
                outside.close().await;
            }
            Err(error) => notes.push(format!(
                "what concerns roles was not done, and temporary database {} is left: {}",
                temporary.target.database,
                error.sentence()
            )),
        }
        Ok(Done {
            databases: self.names(),
            tables: restored.tables,
            rows: restored.rows,
            rows_compared: compared.as_ref().map(|compared| compared.rows),
            restore_seconds: restored.seconds,
            compare_seconds: compared.map_or(0.0, |compared| compared.seconds),
            notes,
        })
    }

    fn names(&self) -> Vec<String> {
        let into = |database: &Planned| database.into.clone();
        self.work.databases.iter().map(into).collect()
    }

    /// Nobody has made a database meanwhile that is to be made, and what is to be replaced is still there.
    fn still_as_planned(&self, shared: &Shared) -> Result<()> {
        for database in &self.work.databases {
            let there = shared.databases.contains_key(&database.into);
            if there == (database.replacing == Replacing::Nothing) {
                let now = if there { "is there now" } else { "is gone now" };
                return Err(Failure::new(
                    FailureKind::Usage,
                    format!(
                        "restore database {}: it {now}, which the plan did not know",
                        database.into
                    ),
                )
                .remedy("nothing was changed; look at the plan again"));
            }
        }
        Ok(())
    }

    async fn load(
        &self,
        temporary: &Temporary,
        policy: &ServerPolicy,
        progress: &Progress,
    ) -> Result<(Restored, Option<compare::Compared>)> {
        for (index, database) in self.work.databases.iter().enumerate() {
            if !database.is_created {
                let name = temporary.name(index + 1);
                temporary.make_like(&name, &database.into).await?;
            }
        }
        progress.stage("restore", self.plan.bytes);
        let job = Job {
            archive: &self.request.archive,
            catalog: self.request.catalog,
            only: None,
            jobs: self.request.jobs,
            progress,
        };
        let wanted = |name: &str| {
            self.work
                .databases
                .iter()
                .any(|database| database.name == name)
        };
        let loading = job.run(policy, &temporary.target, Blame::Target, |database| {
            wanted(&database.name)
        });
        let restored = tokio::select! {
            restored = Box::pin(loading) => restored?,
            // Not between two statements only: one may take long.
            () = progress.cancelled() => {
                return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
            }
        };
        compare::sent(&self.request, &policy.databases, &restored)?;
        if !self.request.compare {
            return Ok((restored, None));
        }
        let compared = compare::all(&self.request, policy, &temporary.target, progress).await?;
        Ok((restored, Some(compared)))
    }

    fn policy(&self, temporary: &Temporary) -> ServerPolicy {
        let databases = self
            .work
            .databases
            .iter()
            .enumerate()
            .map(|(index, database)| {
                let names = (temporary.name(index + 1), database.into.clone());
                (database.name.clone(), names)
            });
        let since = self.work.major >= memberships::SINCE;
        ServerPolicy {
            databases: databases.collect(),
            premade: self
                .work
                .databases
                .iter()
                .filter(|database| !database.is_created)
                .map(|database| database.name.clone())
                .collect(),
            new_roles: self.work.new_roles.clone(),
            changed_roles: self.work.changed_roles.clone(),
            expiring_roles: self.work.expiring_roles.clone(),
            new_tablespaces: self.work.new_tablespaces.clone(),
            whole_server: self.request.replace && matches!(self.request.scope, Scope::Cluster),
            memberships: since.then(|| Mutex::new(Memberships::default())),
            bootstrap: self.work.bootstrap.clone(),
            id: temporary.id().to_owned(),
            made: Mutex::default(),
        }
    }

    /// Swaps all at once; our session in the target's own database ends before, because that one may be among them.
    async fn put_in_place(&self, temporary: &Temporary, outside: Session) -> Result<()> {
        outside.close().await;
        let mut renames = Vec::new();
        for (index, database) in self.work.databases.iter().enumerate() {
            if database.replacing != Replacing::Nothing {
                renames.push((database.into.clone(), temporary.old_name(index + 1)));
            }
        }
        for (index, database) in self.work.databases.iter().enumerate() {
            renames.push((temporary.name(index + 1), database.into.clone()));
        }
        temporary.rename(&renames).await
    }

    /// A database that the dump takes for granted stays the template that every server has in it.
    fn templates(&self) -> Vec<String> {
        let granted = |database: &&Planned| !database.is_created && database.into == "template1";
        let databases = self.work.databases.iter().filter(granted);
        databases
            .map(|database| {
                let name = quote_identifier(&database.into);
                format!("ALTER DATABASE {name} IS_TEMPLATE true")
            })
            .collect()
    }

    /// Drops the databases whose place was taken; what cannot be dropped is said, and the restore stays done.
    async fn drop_replaced(&self, temporary: &Temporary, notes: &mut Vec<String>) -> bool {
        let mut all = true;
        for (index, database) in self.work.databases.iter().enumerate() {
            if database.replacing == Replacing::Nothing {
                continue;
            }
            let old = temporary.old_name(index + 1);
            // It was empty when it was planned, and no backup was taken of it.
            let was_empty = database.replacing == Replacing::Empty;
            if was_empty && !temporary.is_empty(&old).await.unwrap_or(false) {
                let kept = format!("{}_before_{}", database.into, temporary.id());
                let renamed = temporary.rename(&[(old.clone(), kept.clone())]).await;
                all &= renamed.is_ok();
                let name = if renamed.is_ok() { kept } else { old };
                notes.push(format!(
                    "database {} was empty when the restore began and is not any more: it is kept as {name}",
                    database.into
                ));
                continue;
            }
            if let Err(error) = temporary.drop_database(&old, self.work.major).await {
                all = false;
                notes.push(format!(
                    "the database that {} replaces is left as {old}: {}",
                    database.into,
                    error.sentence()
                ));
            }
        }
        all
    }

    /// Runs what had to wait: changes to roles that were there, and at the very end those to who restores, because they
    /// may take its rights away.
    async fn share(&self, outside: &Session, later: &[String], notes: &mut Vec<String>) {
        let own = |text: &&String| matches!(reach::reach(text.as_bytes()), Reach::Role(role) if role.name == self.target.user);
        let first = later.iter().filter(|text| !own(text));
        for statement in first.chain(later.iter().filter(own)) {
            if let Err(error) = outside.execute_typed(statement, &[]).await {
                let text = format!(
                    "not done: {}: {}",
                    statement::shown(statement.as_bytes()),
                    ServerError::from(&error)
                );
                warn!("{text}");
                notes.push(text);
            }
        }
    }

    /// Takes back what was made, and says how the target is left.
    async fn take_back(
        &self,
        failure: Failure,
        made: &Made,
        temporary: Temporary,
        outside: &Session,
    ) -> Failure {
        let mut left = temporary.clear(self.work.major).await;
        let drops = |kind: &'static str| {
            move |name: &String| {
                let text = format!("DROP {kind} IF EXISTS {}", quote_identifier(name));
                (format!("{} {name}", kind.to_lowercase()), text)
            }
        };
        let tablespaces = made.tablespaces.iter().map(drops("TABLESPACE"));
        let roles = made.roles.iter().map(drops("ROLE"));
        left.extend(temporary.drop_all(tablespaces.chain(roles).collect()).await);
        // As long as something is left, the first database says whose it is.
        if left.is_empty() {
            let first = temporary.target.database.clone();
            if temporary.end(outside, self.work.major).await.is_err() {
                left.push(first);
            }
        }
        let state = if left.is_empty() {
            "the target is as it was before".to_owned()
        } else {
            format!(
                "no database of the target was changed, but these are left there: {}; the next restore sweeps its own databases",
                left.join(", ")
            )
        };
        failure.also(&state)
    }
}
