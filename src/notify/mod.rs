//! Alerts without Prometheus: the rules are evaluated here, and Alertmanager is told what they say.
//!
//! ```text
//! snapshot ── metrics ──> samples ── rules (promql) ──> state ── due ──> post ──> every Alertmanager
//!                                                         └── memory: alerts/alerts.json beside the backups
//! ```
//!
//! One truth: rules/pgvigil.rules.yaml, which Prometheus is given too, over the samples that it would read. Names, labels,
//! texts and times are the same, so that either may send them, or both.
//!
//! An Alertmanager that does not take them delays nobody: it has one request at a time, and the next round brings it
//! everything again. When pgvigil ends it says nothing; what it said before is good for four minutes, longer than a restart
//! takes, and then Alertmanager takes the alerts for over. The dead man's switch, PgvigilWatchdog, tells that case from good news.

mod access;
mod client;
mod humanize;
mod memory;
mod message;
mod post;
mod rules;
mod state;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::config::Alertmanager;
use crate::error::{Failure, FailureKind, Result};
use crate::metrics;
use crate::status::{Shared, Snapshot};
use memory::Memory;
use post::Post;

pub use client::DEADLINE;
pub use message::Message;
pub use post::send;
pub use rules::{NOT_FROM_INSIDE, Rules};
pub use state::{Alerts, Kept, Notice, RESEND};

/// How often the rules are evaluated: as often as most Prometheus do it.
const EVERY: Duration = Duration::from_secs(15);

/// How long the disk may take to be read at the start before those are judged whose part of it was.
const READING: Duration = Duration::from_secs(60);

/// The Alertmanager that is wanted; `None`: nobody is told anything.
pub type Wanted = Option<Arc<Alertmanager>>;

/// Everything that goes from round to round.
struct Office {
    shared: Shared,
    began: Instant,
    rules: Arc<Rules>,
    /// What the rules look at.
    metrics: BTreeSet<String>,
    /// `None` until what was kept is read.
    alerts: Option<Alerts>,
    memory: Memory,
    post: Post,
    /// The rules that could not be evaluated the last time.
    failing: BTreeSet<String>,
}

/// Evaluates and tells for as long as somebody says what is wanted.
pub async fn run(shared: Shared, mut wanted: watch::Receiver<Wanted>) -> Result<()> {
    loop {
        if wanted.borrow_and_update().is_some() {
            serve(&shared, &mut wanted).await?;
        }
        shared.write(|snapshot| {
            snapshot.notified.clear();
            snapshot.notify_problem = None;
        });
        if wanted.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Whether an Alertmanager would take alerts from us.
pub async fn probe(config: &Alertmanager, url: &str) -> Result<()> {
    client::probe(Arc::new(config.clone()), url).await
}

/// Until nobody is to be told any more.
async fn serve(shared: &Shared, wanted: &mut watch::Receiver<Wanted>) -> Result<()> {
    let mut office = Office::new(shared.clone(), Instant::now())?;
    // Not at once: whether servers answer is not known yet.
    let mut rounds = interval_at(Instant::now() + EVERY, EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Some(config) = wanted.borrow_and_update().clone() else {
            return Ok(());
        };
        office.post.deliver_to(&config);
        loop {
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    break;
                }
                _ = rounds.tick() => office.round(&config, Utc::now()).await?,
                () = office.post.next() => {}
                () = office.memory.next() => {}
            }
        }
    }
}

impl Office {
    fn new(shared: Shared, began: Instant) -> Result<Self> {
        let rules = Arc::new(Rules::built_in()?);
        Ok(Self {
            metrics: rules.metrics(),
            post: Post::new(shared.clone(), Arc::clone(&rules)),
            shared,
            began,
            rules,
            alerts: None,
            memory: Memory::default(),
            failing: BTreeSet::new(),
        })
    }

    async fn round(&mut self, config: &Arc<Alertmanager>, now: DateTime<Utc>) -> Result<()> {
        // One volume that hangs must not silence the servers on the others.
        if !self.shared.read(|snapshot| snapshot.loaded) && self.began.elapsed() < READING {
            return Ok(());
        }
        let directories = self.directories();
        let mut alerts = match self.alerts.take() {
            Some(alerts) => alerts,
            None => {
                let mut alerts = Alerts::new(Arc::clone(&self.rules));
                alerts.restore(self.memory.recall(&directories, now).await);
                alerts
            }
        };
        let (mut samples, unknown) = self.shared.read(|snapshot| {
            let samples = metrics::samples(snapshot, now, &self.metrics, &config.labels);
            (samples, unknown(snapshot))
        });
        let judged = tokio::task::spawn_blocking(move || {
            let failed = alerts.evaluate_known(&mut samples, &unknown, now);
            let kept = memory::by_server(&alerts);
            (alerts, failed, kept)
        });
        let (mut alerts, failed, kept) = judged.await.map_err(|error| {
            Failure::new(FailureKind::Io, "evaluate the alert rules").because(error)
        })?;
        self.complain(failed);
        self.memory.keep(kept, &directories, now);
        self.post.round(config, &mut alerts, now);
        self.alerts = Some(alerts);
        Ok(())
    }

    /// Where the backups of each server are.
    fn directories(&self) -> BTreeMap<String, PathBuf> {
        self.shared.read(|snapshot| {
            let configs = snapshot.servers.iter().map(|view| &view.config);
            configs
                .map(|config| (config.name.clone(), config.directory.clone()))
                .collect()
        })
    }

    /// Each rule once, for as long as it goes on.
    fn complain(&mut self, failed: Vec<(String, crate::promql::EvaluationError)>) {
        for (rule, error) in &failed {
            if !self.failing.contains(rule) {
                tracing::error!(
                    rule,
                    "evaluate an alert rule: {error}; its alerts stay as they were"
                );
            }
        }
        self.failing = failed.into_iter().map(|(rule, _)| rule).collect();
    }
}

/// The servers of which the disk was never read: what was said of them before stands.
fn unknown(snapshot: &Snapshot) -> BTreeSet<String> {
    let views = snapshot.servers.iter();
    let unknown = views.filter(|view| !view.status.is_known);
    unknown.map(|view| view.config.name.clone()).collect()
}

#[cfg(test)]
mod tests;
