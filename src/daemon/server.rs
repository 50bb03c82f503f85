//! One server's task: waits for what is due or asked for, runs one job at a time, reads the disk after each.
//!
//! A job is run in this order: room among the jobs of all servers, the lock of the directory, the agenda as it is on disk
//! (another pod may have been faster), the mark that the run has begun, the work, the mark that it has ended. What passed
//! is followed by pruning under the same lock.

mod kept;
mod shown;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::OwnedSemaphorePermit;

use super::desk::{self, Desk};
use super::{Context, Work, attempt};
use crate::agenda::{Agenda, Begun, Due, Ending, Rule, Rules, SCHEDULED};
use crate::config::{Mode, Server};
use crate::drill;
use crate::error::{Failure, FailureKind, Result};
use crate::ledger::Job;
use crate::outcome::Progress;
use crate::schedule::Schedule;
use crate::status::{PerJob, Running};
use crate::store::lock::Lock;

/// Longest wait at a time, so that a jump of the clock is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often the lock of the directory is tried again.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// How many servers' directories were not read yet.
#[derive(Clone)]
pub(super) struct Unread(Arc<AtomicUsize>);

struct Task {
    context: Context,
    id: u64,
    desk: Desk,
    agenda: Agenda,
    /// Whether the agenda on disk says what ours does.
    is_kept: bool,
    /// The usual time between runs, and the configuration and day that it is of: it takes a while to work out.
    interval: Option<(Arc<Server>, NaiveDate, PerJob<Duration>)>,
}

/// What to run, and why.
#[derive(Clone, Copy)]
enum Wanted {
    Scheduled(Due),
    ByHand(Job),
}

impl Unread {
    /// None was read.
    pub(super) fn new(servers: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(servers)))
    }

    /// One more was read; true for the last.
    fn count_down(&self) -> bool {
        // Servers that a reload adds are not counted, and must not count again.
        let one_less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less)
            == Ok(1)
    }
}

impl Wanted {
    fn job(self) -> Job {
        match self {
            Self::Scheduled(due) => due.job,
            Self::ByHand(job) => job,
        }
    }

    fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Scheduled(due) => Some(due.at),
            Self::ByHand(_) => None,
        }
    }
}

/// What the configuration wants of a server's jobs. Where something else takes the backups, none is due here.
fn rules(server: &Server) -> Rules {
    let (backup, verify, drill) = (&server.backup, &server.verify, &server.drill);
    let retry_delay = backup.retry_delay;
    let rule = |schedule: &Option<Schedule>, jitter, retries| Rule {
        schedule: schedule.clone(),
        jitter,
        retries,
        retry_delay,
    };
    let own = backup
        .schedule
        .clone()
        .filter(|_| backup.mode == Mode::Take);
    Rules {
        server: server.name.clone(),
        backup: rule(&own, backup.jitter, backup.retries),
        verify: rule(&verify.schedule, verify.jitter, verify.retries),
        drill: rule(&drill.schedule, drill.jitter, drill.retries),
    }
}

/// Runs a server's jobs until the drain, or until the configuration has it no longer.
pub(super) async fn run(context: Context, id: u64, desk: Desk, unread: Unread) -> Result<()> {
    let mut task = Task {
        context,
        id,
        desk,
        agenda: Agenda::default(),
        is_kept: false,
        interval: None,
    };
    let mut readable = task.reload().await;
    let server = task.desk.config();
    task.recall(&server).await;
    task.settle_pause(&server).await;
    task.tidy(&server).await;
    task.publish(&server);
    if unread.count_down() {
        task.context.shared.write(|snapshot| snapshot.loaded = true);
        tracing::info!("ready");
    }
    drill::sweep(&server).await;
    while !task.context.stop.is_draining() && !task.desk.is_retired() {
        let server = task.desk.config();
        task.settle_pause(&server).await;
        if !task.is_kept {
            task.tidy(&server).await;
        }
        if task.desk.is_to_read() {
            readable = task.reload().await;
        }
        match task.wanted(&server) {
            Some(wanted) => {
                task.work(&server, wanted).await;
                readable = task.reload().await;
                task.publish(&server);
            }
            None => {
                task.publish(&server);
                task.wait(&server).await;
                if !readable {
                    readable = task.reload().await;
                }
            }
        }
    }
    Ok(())
}

/// Runs what may block on a thread of its own; a panic goes on in the caller.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Task {
    fn now(&self) -> DateTime<Utc> {
        self.context.clock.now()
    }

    /// What to run now. What a person asks for runs also while the server is paused.
    fn wanted(&mut self, server: &Server) -> Option<Wanted> {
        if let Some(job) = self.desk.take() {
            self.context
                .shared
                .update(self.id, |view| view.queued = self.desk.queue());
            return Some(Wanted::ByHand(job));
        }
        let now = self.now();
        if self.skip_paused(server, now) {
            return None;
        }
        self.agenda.due(&rules(server), now).map(Wanted::Scheduled)
    }

    /// Passes over what falls into a pause; true while it holds.
    fn skip_paused(&mut self, server: &Server, now: DateTime<Utc>) -> bool {
        let Some(pause) = self.desk.pause() else {
            return false;
        };
        let until = pause.until.map_or(now, |until| until.min(now));
        self.agenda.skip(&rules(server), pause.since, until);
        pause.holds(now)
    }

    /// Waits until something may be due, or someone asks for something.
    async fn wait(&self, server: &Server) {
        let (now, rules, retired) = (self.now(), rules(server), self.desk.retired());
        let over = self.desk.pause().filter(|pause| pause.holds(now));
        let next = match over {
            // Whatever is due waits for that.
            Some(pause) => pause.until,
            None => SCHEDULED
                .into_iter()
                .filter_map(|job| self.agenda.next(&rules, job, now))
                .min(),
        };
        let wait = next.map_or(LONGEST_WAIT, |at| {
            (at - now).to_std().unwrap_or_default().min(LONGEST_WAIT)
        });
        tokio::select! {
            () = self.context.stop.draining() => {}
            () = retired.cancelled() => {}
            () = self.desk.changed() => {}
            () = self.context.clock.sleep(wait) => {}
        }
    }

    /// Runs a job, if it is still wanted when it can begin.
    async fn work(&mut self, server: &Arc<Server>, wanted: Wanted) {
        let (job, began) = (wanted.job(), self.now());
        self.desk.set_running(Some(job));
        match self.claim(server, job).await {
            Some(Ok((room, lock))) => self.locked(server, wanted, room, Arc::new(lock)).await,
            Some(Err(failure)) => self.refused(server, wanted, began, &failure).await,
            None => {}
        }
        self.desk.set_running(None);
        self.context.shared.update(self.id, |view| {
            view.waiting = None;
            view.running = None;
        });
    }

    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let room = self.context.room();
        // It is never closed.
        self.unless_over(room.acquire_owned()).await?.ok()
    }

    /// What `work` gives, or `None` where the drain came first, or the server is gone from the configuration.
    async fn unless_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let retired = self.desk.retired();
        tokio::select! {
            biased;
            () = retired.cancelled() => None,
            value = self.context.before_drain(work) => value,
        }
    }

    /// Room among all jobs and the lock of the directory, as soon as both are free; who waits for a lock takes no room from
    /// others. `None` where the drain came first.
    async fn claim(
        &self,
        server: &Arc<Server>,
        job: Job,
    ) -> Option<Result<(OwnedSemaphorePermit, Lock)>> {
        let deadline = Instant::now() + attempt::limit(server, job);
        let mut told = String::new();
        loop {
            let room = self.room().await?;
            let (runner, config) = (Arc::clone(&self.context.runner), Arc::clone(server));
            let claimed = self
                .unless_over(blocking(move || runner.claim(&config, job)))
                .await?;
            match claimed {
                Err(busy) if busy.kind() == FailureKind::Busy && Instant::now() < deadline => {
                    let why = busy.sentence();
                    if why != told {
                        tracing::warn!(server = server.name, job = job.name(), "waits: {why}");
                        self.context
                            .shared
                            .update(self.id, |view| view.waiting = Some(why.clone()));
                        told = why;
                    }
                    drop(room);
                    self.unless_over(tokio::time::sleep(TRY_EVERY)).await?;
                }
                other => {
                    self.context
                        .shared
                        .update(self.id, |view| view.waiting = None);
                    return Some(other.map(|lock| (room, lock)));
                }
            }
        }
    }

    /// The directory is ours: the run begins, unless someone else was faster.
    async fn locked(
        &mut self,
        server: &Arc<Server>,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
        lock: Arc<Lock>,
    ) {
        self.recall(server).await;
        self.take_up(server).await;
        let rules = rules(server);
        let now = self.now();
        match wanted {
            Wanted::ByHand(job) => self.agenda.begin_by_hand(job, now),
            Wanted::Scheduled(due) => {
                if self.agenda.due(&rules, now) != Some(due) {
                    tracing::info!(
                        server = server.name,
                        job = due.job.name(),
                        due = %due.at,
                        "not run: it is no longer due, someone else was faster"
                    );
                    return self.keep(server, &lock).await;
                }
                self.agenda.begin(due, now);
            }
        }
        self.keep(server, &lock).await;
        let result = self.attempt(server, wanted, room, &lock).await;
        self.ended(server, wanted, &result);
        self.keep(server, &lock).await;
        if wanted.job() == Job::Backup && result.is_ok() {
            self.prune(server, &lock).await;
        }
    }

    async fn attempt(
        &self,
        server: &Arc<Server>,
        wanted: Wanted,
        room: OwnedSemaphorePermit,
        lock: &Arc<Lock>,
    ) -> Result<()> {
        let (job, started_at, progress) = (wanted.job(), self.now(), Progress::default());
        let running = Running {
            job,
            started_at,
            progress: progress.clone(),
        };
        self.context
            .shared
            .update(self.id, |view| view.running = Some(running));
        let work = Work {
            job,
            due: wanted.due(),
            lock: Arc::clone(lock),
        };
        let ended = attempt::run(&self.context, Arc::clone(server), work, &progress, room).await;
        self.context
            .shared
            .update(self.id, |view| view.running = None);
        if let (false, Err(failure)) = (ended.recorded, &ended.result) {
            self.record(server, job, wanted.due(), started_at, failure)
                .await;
        }
        ended.result
    }

    /// Marks the end of a run, and says what comes of it.
    fn ended(&mut self, server: &Server, wanted: Wanted, result: &Result<()>) {
        let ending = match result {
            Err(failure) if failure.kind() == FailureKind::Cancelled => Ending::Stopped,
            Err(failure) if failure.kind().policy().retry => Ending::MayPass,
            _ => Ending::Done,
        };
        let again = self.agenda.end(&rules(server), self.now(), ending);
        if let (Some(at), Ending::MayPass) = (again, ending) {
            tracing::warn!(
                server = server.name,
                job = wanted.job().name(),
                at = %at.format("%Y-%m-%dT%H:%M:%SZ"),
                "will be tried again"
            );
        }
    }

    /// A job that could not begin is an attempt too.
    async fn refused(
        &mut self,
        server: &Arc<Server>,
        wanted: Wanted,
        began: DateTime<Utc>,
        failure: &Failure,
    ) {
        self.record(server, wanted.job(), wanted.due(), began, failure)
            .await;
        // Marked in memory only, since the directory is not ours: whoever has it has an agenda of its own.
        match wanted {
            Wanted::ByHand(job) => self.agenda.begin_by_hand(job, began),
            Wanted::Scheduled(due) => self.agenda.begin(due, began),
        }
        let retry = failure.kind().policy().retry;
        let ending = if retry { Ending::MayPass } else { Ending::Done };
        self.agenda.end(&rules(server), self.now(), ending);
    }

    async fn record(
        &self,
        server: &Arc<Server>,
        job: Job,
        due: Option<DateTime<Utc>>,
        started_at: DateTime<Utc>,
        failure: &Failure,
    ) {
        let begun = Begun {
            job,
            due,
            attempt: 1,
            started_at,
        };
        let what = failure.retold();
        let (runner, config) = (Arc::clone(&self.context.runner), Arc::clone(server));
        blocking(move || runner.record(&config, begun, &what)).await;
    }

    /// Removes what is no longer wanted. That fails by itself: the backup is there all the same.
    async fn prune(&self, server: &Arc<Server>, lock: &Arc<Lock>) {
        let work = Work {
            job: Job::Prune,
            due: None,
            lock: Arc::clone(lock),
        };
        let progress = Progress::default();
        let running = self
            .context
            .runner
            .run(Arc::clone(server), work, progress.clone());
        // It records and logs its own failure.
        let _ = tokio::time::timeout(server.backup.timeout, running).await;
        progress.cancel();
    }
}
