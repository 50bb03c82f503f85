//! A whole archive, or some of its databases, onto a server: what the server shares first, then databases side by side.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::Restored;
use super::judge::Blame;
use super::memberships;
use super::policy::Policy;
use super::runner::Runner;
use super::scratch_policy::ScratchPolicy;
use super::source::Source;
use super::steps::Steps;
use super::surroundings::Surroundings;
use super::tasks::Crew;
use crate::catalog::{Catalog, Database, Range};
use crate::error::Result;
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::pg::live;

/// What is restored, and how.
pub struct Job<'a> {
    /// The archive.
    pub archive: &'a Path,
    /// What is in it, as a check has read it just now: its ranges are relied on.
    pub catalog: &'a Catalog,
    /// A part of it; none: all of it.
    pub only: Option<&'a Only>,
    /// Sessions at work at once.
    pub jobs: usize,
    /// Told and asked.
    pub progress: &'a Progress,
}

/// Tables of a database: (schema, name). Shared by all who load it.
pub type Tables = Arc<HashSet<(String, String)>>;

/// A part of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// This database.
    pub database: String,
    /// Only the rows of these tables (schema, name), and no foreign key from them to others; none: all.
    pub tables: Option<Tables>,
}

/// Restores a whole archive into a server that is only there for that, through `target.database`, which no dump has.
/// `tablespaces` gives directories to use instead of those the dump names, which are another machine's.
pub async fn into_scratch(
    job: &Job<'_>,
    target: &Target,
    tablespaces: &mut (dyn FnMut() -> Result<PathBuf> + Send),
) -> Result<Restored> {
    let version = live::version(target).await?;
    let policy = ScratchPolicy {
        tablespaces: Mutex::new(tablespaces),
        memberships: (version.major >= memberships::SINCE).then(Mutex::default),
        superuser: target.user.clone(),
        only: job.only.map(|only| only.database.clone()),
    };
    let wanted = |database: &Database| job.only.is_none_or(|only| only.database == database.name);
    job.run(&policy, target, Blame::Scratch, wanted).await
}

impl Job<'_> {
    /// Restores what the server shares and the databases that are `wanted`.
    pub(super) async fn run(
        &self,
        policy: &dyn Policy,
        target: &Target,
        blame: Blame,
        wanted: impl Fn(&Database) -> bool,
    ) -> Result<Restored> {
        let began = Instant::now();
        let source = Source::open(self.archive)?;
        let version = live::version(target).await?;
        let other_locales = blame == Blame::Scratch;
        let surroundings = Surroundings::new(version, other_locales);
        let surroundings = Arc::new(tokio::sync::Mutex::new(surroundings));
        let crew = Crew {
            target: target.clone(),
            on: target.database.clone(),
            database: String::new(),
            blame,
            permits: Arc::new(Semaphore::new(self.jobs.max(1))),
            surroundings: Arc::clone(&surroundings),
            source: source.clone(),
            hashing: blame == Blame::Target,
            only: self.only.and_then(|only| only.tables.clone()),
            progress: self.progress.clone(),
        };
        let bytes: u64 = self
            .catalog
            .databases
            .iter()
            .filter(|database| wanted(database))
            .map(|database| database.range.length)
            .sum();
        let mut restored = match source {
            Some(source) => {
                self.side_by_side(policy, &crew, &source, bytes, &wanted)
                    .await?
            }
            None => {
                let mut runner = Runner::begin(policy, crew, self.jobs, bytes).await?;
                if let Some(only) = self.nameless() {
                    runner.connect(&only.name).await?;
                }
                runner
                    .run(Steps::stream(self.archive, self.progress))
                    .await?;
                runner.close().await
            }
        };
        let surroundings = surroundings.lock().await;
        restored.lacking = surroundings.lacking();
        restored.unset = surroundings.unset();
        drop(surroundings);
        restored.seconds = began.elapsed().as_secs_f64();
        Ok(restored)
    }

    /// The one database of a dump that does not say which it is.
    fn nameless(&self) -> Option<&Database> {
        match self.catalog.databases.as_slice() {
            [only] if only.name.is_empty() => Some(only),
            _ => None,
        }
    }

    async fn side_by_side(
        &self,
        policy: &dyn Policy,
        crew: &Crew,
        source: &Source,
        bytes: u64,
        wanted: &impl Fn(&Database) -> bool,
    ) -> Result<Restored> {
        let mut runner = Runner::begin(policy, crew.clone(), 1, 0).await?;
        let mut parts = Vec::new();
        let mut end = 0;
        for (index, database) in self.catalog.databases.iter().enumerate() {
            let begin = Range {
                offset: end,
                length: database.range.offset.saturating_sub(end),
            };
            end = database.range.offset.saturating_add(database.range.length);
            if index == 0 {
                // What the server shares stands before the first database.
                let globals = Steps::of_part(source, begin, Vec::new(), self.progress);
                runner.run(globals).await?;
            }
            // What stands between two databases may connect to the second.
            let offset = if index == 0 {
                database.range.offset
            } else {
                begin.offset
            };
            let part = Range {
                offset,
                length: end.saturating_sub(offset),
            };
            if wanted(database) {
                let connected = index == 0 && runner.connected_to(&database.name);
                parts.push((database, part, connected || self.nameless().is_some()));
            }
        }
        let last = Range {
            offset: end,
            length: self.catalog.bytes.saturating_sub(end),
        };
        let mut restored = runner.close().await;
        parts.sort_by_key(|(_, part, _)| std::cmp::Reverse(part.length));
        let parts: Vec<BoxFuture<'_, Result<Restored>>> = parts
            .into_iter()
            .map(|(database, part, connected)| {
                self.part(policy, crew, source, bytes, database, part, connected)
                    .boxed()
            })
            .collect();
        let done: Vec<Restored> = stream::iter(parts)
            .buffer_unordered(policy.databases_at_once(self.jobs).max(1))
            .try_collect()
            .await?;
        for part in done {
            restored.add(part);
        }
        // Behind the last database there are comments only; anything else is found here.
        let mut runner = Runner::begin(policy, crew.clone(), 1, 0).await?;
        runner
            .run(Steps::of_part(source, last, Vec::new(), self.progress))
            .await?;
        restored.add(runner.close().await);
        Ok(restored)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, and each says something else"
    )]
    async fn part(
        &self,
        policy: &dyn Policy,
        crew: &Crew,
        source: &Source,
        bytes: u64,
        database: &Database,
        part: Range,
        connected: bool,
    ) -> Result<Restored> {
        let mut runner = Runner::begin(policy, crew.clone(), self.jobs, bytes).await?;
        if connected {
            runner.connect(&database.name).await?;
        }
        let mut data: Vec<Range> = database.data().collect();
        data.sort_by_key(|range| range.offset);
        runner
            .run(Steps::of_part(source, part, data, self.progress))
            .await?;
        Ok(runner.close().await)
    }
}
