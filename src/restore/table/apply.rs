//! The transaction: all of it, or nothing.

use std::time::Instant;

use serde::Serialize;

use super::fill::{Fill, Silence, list};
use super::load::{self, Load};
use super::make::{Made, Run};
use super::name::Name;
use super::source::Rows;
use super::work::Work;
use super::{Planned, Task, foreign_keys, live, sequences, triggers};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::sql::name::{quote_identifier, quote_literal};

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Done {
    /// The tables that hold rows of the backup now.
    pub tables: Vec<DoneTable>,
    /// Rows in all.
    pub rows: u64,
    /// Wall time.
    pub seconds: f64,
    /// Sequences that were moved on or set.
    pub sequences: Vec<String>,
    /// What could not be done or compared as usual.
    pub notes: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoneTable {
    /// Its name on the server.
    pub name: String,
    /// Rows loaded.
    pub rows: u64,
}

/// Rows of each table, and what could not be compared as usual.
struct Loaded {
    rows: Vec<u64>,
    notes: Vec<String>,
}

impl Planned {
    /// Does what was planned. After a failure nothing on the target has changed.
    pub async fn apply(&self, target: &Target, progress: &Progress) -> Result<Done> {
        if let [first, more @ ..] = self.refusals.as_slice() {
            let others = match more.len() {
                0 => String::new(),
                more => format!(" (and {more} more reasons)"),
            };
            let what = format!(
                "restore tables into database {}: {first}{others}",
                self.request.into
            );
            return Err(Failure::new(FailureKind::Usage, what));
        }
        let began = Instant::now();
        progress.stage("lock", 0);
        let into = &self.request.into;
        let work = Work::begin(
            target,
            into,
            self.request.settings.as_ref(),
            self.request.lock_timeout,
            progress,
        )
        .await?;
        let (mut done, id) = match Box::pin(self.transact(&work)).await {
            Ok(done) => done,
            Err(failure) => {
                work.roll_back().await;
                return Err(failure.also(&format!("nothing in database {into} has changed")));
            }
        };
        work.commit(&id, target, into).await?;
        done.seconds = began.elapsed().as_secs_f64();
        Ok(done)
    }

    /// Bytes of rows.
    pub(super) fn bytes(&self) -> u64 {
        self.loads.iter().map(|load| load.table.bytes).sum()
    }

    async fn transact(&self, work: &Work<'_>) -> Result<(Done, String)> {
        let (loaded, moved) = match &self.work {
            Task::Make { made, dropped } => self.make(work, made, dropped).await?,
            Task::Fill { fill, empty } => Box::pin(self.fill(work, fill, *empty)).await?,
        };
        let Loaded { rows, notes } = loaded;
        // What the tables' own constraints have put off would otherwise fail the commit.
        work.run("check what is deferred", "set constraints all immediate")
            .await?;
        let tables = self.loads.iter().zip(&rows).map(|(load, rows)| DoneTable {
            name: load.into.to_string(),
            rows: *rows,
        });
        let done = Done {
            tables: tables.collect(),
            rows: rows.iter().sum(),
            seconds: 0.0,
            sequences: moved.iter().map(ToString::to_string).collect(),
            notes,
        };
        Ok((done, work.id().await?))
    }

    /// Loads the rows and reads them back. That comes before row level security is there, which could hide them.
    async fn load(&self, work: &Work<'_>) -> Result<Loaded> {
        work.progress.stage("restore", self.bytes());
        let runs = self.loads.iter().enumerate().flat_map(|(number, load)| {
            let ranges = load.table.data.iter();
            ranges.map(move |range| (*range, number))
        });
        let archive = Rows::read(&self.request.archive, runs.collect());
        let rows = Box::pin(load::load(work, &self.loads, &self.encoding, archive)).await?;
        work.progress.stage("compare", self.bytes());
        let settings_known = self.request.settings.is_some();
        let notes = load::compare(work, &self.loads, &self.encoding, settings_known).await?;
        Ok(Loaded { rows, notes })
    }

    async fn make(
        &self,
        work: &Work<'_>,
        made: &Made,
        dropped: &[Name],
    ) -> Result<(Loaded, Vec<Name>)> {
        if !dropped.is_empty() {
            let names: Vec<_> = dropped.iter().map(Name::quoted).collect();
            let names = names.join(", ");
            let what = format!("lock {}", list(dropped));
            let lock = format!("lock table {names} in access exclusive mode");
            work.run(&what, &lock).await?;
            let what = format!("drop {}", list(dropped));
            work.run(&what, &format!("drop table {names}")).await?;
        }
        run_all(work, &made.before).await?;
        let sequences = made.sequences.iter().map(|(_, new)| new);
        privileges_of_nobody(work, "table", made.tables.iter()).await?;
        privileges_of_nobody(work, "sequence", sequences).await?;
        let rows = self.load(work).await?;
        let mut set = Vec::new();
        for (old, new) in &made.sequences {
            let value = self
                .sequences
                .iter()
                .find(|known| known.schema == old.schema && known.name == old.name);
            if let Some(value) = value {
                let sql = format!(
                    "select pg_catalog.setval({}, {}, {})",
                    quote_literal(&new.quoted()),
                    value.value,
                    value.called
                );
                work.run(&format!("set sequence {new}"), &sql).await?;
                set.push(new.clone());
            }
        }
        work.progress.stage("indexes and constraints", 0);
        run_all(work, &made.after).await?;
        Ok((rows, set))
    }

    async fn fill(&self, work: &Work<'_>, fill: &Fill, empty: bool) -> Result<(Loaded, Vec<Name>)> {
        let names: Vec<Name> = self.loads.iter().map(|load| load.into.clone()).collect();
        let mode = if empty {
            "access exclusive"
        } else {
            "share row exclusive"
        };
        lock(work, &self.lockable(), mode).await?;
        let live = live::tables(&work.session, &names).await?;
        let oids: Vec<u32> = live.values().map(|table| table.oid).collect();
        let keys = if fill.silence == Silence::Replica {
            foreign_keys::of(work, &oids).await?
        } else {
            Vec::new()
        };
        let mut others: Vec<&Name> = keys
            .iter()
            .flat_map(foreign_keys::ForeignKey::tables)
            .filter(|name| !names.contains(name))
            .collect();
        others.sort();
        others.dedup();
        let others: Vec<_> = others.iter().map(|name| ((*name).clone(), true)).collect();
        lock(work, &others, "share row exclusive").await?;
        let silenced = triggers::silence(work, fill.silence, &oids).await?;
        if empty {
            remove(work, &self.lockable(), fill).await?;
        }
        let rows = self.load(work).await?;
        silenced.end(work).await?;
        work.progress.stage("check", 0);
        Box::pin(foreign_keys::check(work, &keys)).await?;
        let mut moved = Vec::new();
        // A partitioned table has no rows here, but the sequences.
        let with_sequences = live::tables(&work.session, &self.tables).await?;
        for name in &self.tables {
            if let Some(table) = with_sequences.get(name) {
                moved.extend(Box::pin(sequences::advance(work, table, &self.sequences)).await?);
            }
        }
        Ok((rows, moved))
    }

    /// The live tables to fill, and whether with all that is below them: a partitioned one has no rows by itself.
    fn lockable(&self) -> Vec<(Name, bool)> {
        let partitioned = |load: &Load| {
            let live = self.live.iter().find(|table| table.name == load.into);
            live.is_some_and(|table| table.kind == "p")
        };
        self.loads
            .iter()
            .map(|load| (load.into.clone(), partitioned(load)))
            .collect()
    }
}

/// `only` before those that are meant alone.
fn table_list<'a>(tables: impl Iterator<Item = &'a (Name, bool)>) -> String {
    let names: Vec<_> = tables
        .map(|(name, below)| format!("{}{}", if *below { "" } else { "only " }, name.quoted()))
        .collect();
    names.join(", ")
}

async fn lock(work: &Work<'_>, tables: &[(Name, bool)], mode: &str) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = tables.iter().map(|(name, _)| name).collect();
    let what = format!("lock {}", list(&names));
    let sql = format!("lock table {} in {mode} mode", table_list(tables.iter()));
    work.run(&what, &sql).await?;
    Ok(())
}

/// Removes the rows, and never one of another table.
async fn remove(work: &Work<'_>, tables: &[(Name, bool)], fill: &Fill) -> Result<()> {
    let of = |names: &[Name]| {
        let some = tables.iter().filter(|(name, _)| names.contains(name));
        some.cloned().collect::<Vec<_>>()
    };
    let truncated = of(&fill.truncated);
    if !truncated.is_empty() {
        let what = format!("truncate {}", list(&fill.truncated));
        let sql = format!("truncate {} restrict", table_list(truncated.iter()));
        work.run(&what, &sql).await?;
    }
    for table in of(&fill.deleted) {
        let what = format!("delete the rows of {}", table.0);
        let sql = format!("delete from {}", table_list(std::iter::once(&table)));
        work.run(&what, &sql).await?;
    }
    Ok(())
}

/// Runs statements of the dump, each by itself, under the settings that the dump had there.
async fn run_all(work: &Work<'_>, runs: &[Run]) -> Result<()> {
    let (mut tablespace, mut access_method) = (None, None);
    for run in runs {
        if tablespace != Some(&run.tablespace) {
            let set = format!(
                "set local default_tablespace = {}",
                quote_literal(&run.tablespace)
            );
            work.run(&run.what, &set).await?;
            tablespace = Some(&run.tablespace);
        }
        if access_method != Some(&run.access_method) && !run.access_method.is_empty() {
            let set = format!(
                "set local default_table_access_method = {}",
                quote_literal(&run.access_method)
            );
            work.run(&run.what, &set).await?;
            access_method = Some(&run.access_method);
        }
        work.run(&run.what, &run.text).await?;
    }
    Ok(())
}

/// What ALTER DEFAULT PRIVILEGES of the live database gave on what was just made, nobody had in the backup.
async fn privileges_of_nobody(
    work: &Work<'_>,
    kind: &str,
    names: impl Iterator<Item = &Name>,
) -> Result<()> {
    let sql = "select distinct a.grantee = 0, r.rolname::text from pg_catalog.pg_class c \
         cross join lateral pg_catalog.aclexplode(c.relacl) a left join pg_catalog.pg_roles r on r.oid = a.grantee \
        where c.oid = $1::text::regclass and a.grantee <> c.relowner";
    for name in names {
        let what = format!("take back the default privileges on {kind} {name}");
        for row in work.ask(&what, sql, &[&name.quoted()]).await? {
            let role: Option<String> = row.get(1);
            let grantee = match role {
                _ if row.get(0) => "public".to_owned(),
                Some(role) => quote_identifier(&role),
                None => continue,
            };
            let revoke = format!("revoke all on {kind} {} from {grantee}", name.quoted());
            work.run(&what, &revoke).await?;
        }
    }
    Ok(())
}
