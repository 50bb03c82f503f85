mod asked;
mod histories;
mod pods;
mod reload;

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::status::control::Control;
use crate::status::tests::{at, config, morning};
use crate::store::lock;

/// A clock that begins at one in the morning and runs through a day in about a second.
struct FastClock(Instant);

const SPEED: u32 = 100_000;

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        at(1, 0) + chrono::TimeDelta::from_std(self.0.elapsed() * SPEED).expect("within range")
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration / SPEED))
    }
}

/// What a fake job does.
#[derive(Clone, Copy)]
enum Act {
    Pass,
    Fail(FailureKind),
    Panic,
    UntilCancelled,
    Forever,
}

/// What a directory keeps, without the directory: locks are real, in a folder of the test's own.
struct Disk {
    folder: tempfile::TempDir,
    agendas: Mutex<HashMap<String, Agenda>>,
    pauses: Mutex<HashMap<String, KeptPause>>,
    recorded: Mutex<Vec<(String, Begun, FailureKind)>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            agendas: Mutex::default(),
            pauses: Mutex::default(),
            recorded: Mutex::default(),
        }
    }
}

impl Disk {
    fn claim(&self, server: &str) -> Result<Lock> {
        let directory = self.folder.path().join(server);
        std::fs::create_dir_all(&directory).expect("a directory");
        lock::take(&directory, "test")
    }
}

/// What every fake runner does alike.
macro_rules! on_disk {
    ($disk:expr) => {
        fn claim(&self, server: &config::Server, _: Job) -> Result<Lock> {
            $disk(self).claim(&server.name)
        }

        fn record(&self, server: &config::Server, begun: Begun, failure: &Failure) {
            let disk = $disk(self);
            let mut recorded = disk.recorded.lock().expect("a lock");
            recorded.push((server.name.clone(), begun, failure.kind()));
        }

        fn recall(&self, server: &config::Server) -> Result<Option<Agenda>> {
            let disk = $disk(self);
            let agendas = disk.agendas.lock().expect("a lock");
            Ok(agendas.get(&server.name).cloned())
        }

        fn keep(&self, server: &config::Server, agenda: &Agenda, _: &Lock) -> Result<()> {
            let disk = $disk(self);
            let mut agendas = disk.agendas.lock().expect("a lock");
            agendas.insert(server.name.clone(), agenda.clone());
            Ok(())
        }

        fn recall_pause(&self, server: &config::Server) -> Result<Option<KeptPause>> {
            let disk = $disk(self);
            let pauses = disk.pauses.lock().expect("a lock");
            Ok(pauses.get(&server.name).cloned())
        }

        fn keep_pause(&self, server: &config::Server, pause: &KeptPause) -> Result<()> {
            let disk = $disk(self);
            let mut pauses = disk.pauses.lock().expect("a lock");
            pauses.insert(server.name.clone(), pause.clone());
            Ok(())
        }
    };
}

#[derive(Default)]
struct FakeRunner {
    disk: Arc<Disk>,
    /// What the next runs of a job do; passes once used up.
    acts: Mutex<HashMap<&'static str, VecDeque<Act>>>,
    started: Mutex<Vec<(String, Job)>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    unreadable: AtomicBool,
    unread: Option<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl FakeRunner {
    fn with(job: Job, acts: &[Act]) -> Self {
        let acts = HashMap::from([(job.name(), acts.iter().copied().collect())]);
        Self {
            acts: Mutex::new(acts),
            ..Self::default()
        }
    }

    /// Backups before the first verification: the days run fast, and this thread may be late.
    fn first_night(&self) -> usize {
        let started = self.started.lock().expect("a lock");
        let night = started.iter().take_while(|(_, job)| *job != Job::Verify);
        night.filter(|(_, job)| *job == Job::Backup).count()
    }

    fn count(&self, job: Job) -> usize {
        self.started
            .lock()
            .expect("a lock")
            .iter()
            .filter(|(_, started)| *started == job)
            .count()
    }
}

impl Runner for FakeRunner {
    on_disk!(|runner: &Self| Arc::clone(&runner.disk));

    fn run(
        &self,
        server: Arc<config::Server>,
        work: Work,
        progress: Progress,
    ) -> BoxFuture<'static, Result<()>> {
        let job = work.job;
        self.started
            .lock()
            .expect("a lock")
            .push((server.name.clone(), job));
        let act = self
            .acts
            .lock()
            .expect("a lock")
            .get_mut(job.name())
            .and_then(VecDeque::pop_front);
        Box::pin(async move {
            match act.unwrap_or(Act::Pass) {
                Act::Pass => Ok(()),
                Act::Fail(kind) => Err(Failure::new(kind, "fake")),
                Act::Panic => panic!("a fake panic"),
                Act::UntilCancelled => {
                    progress.cancelled().await;
                    progress.check()
                }
                Act::Forever => std::future::pending().await,
            }
        })
    }

    fn load(&self, _: &config::Server) -> Result<Loaded> {
        if let Some(unread) = &self.unread {
            let _ = unread.lock().expect("a lock").recv();
        }
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(Failure::new(FailureKind::Directory, "read /b/a").remedy("mount it"));
        }
        Ok(morning())
    }

    fn probe(&self, _: Arc<config::Server>) -> BoxFuture<'static, bool> {
        Box::pin(async { true })
    }

    fn space(&self, _: &config::Server, _: Option<u64>) -> Option<Space> {
        Some(Space {
            size_bytes: 100,
            available_bytes: 25,
            used_bytes: 75,
            files_free: 9,
            ..Space::default()
        })
    }
}

struct Served<R> {
    runner: Arc<R>,
    stop: Stop,
    address: SocketAddr,
    control: Arc<dyn Control>,
    task: JoinHandle<Result<()>>,
}

async fn served<R: Runner>(names: &[&str], runner: R) -> Served<R> {
    served_as(config(names), None, Arc::new(runner)).await
}

async fn served_as<R: Runner>(config: Config, path: Option<PathBuf>, runner: Arc<R>) -> Served<R> {
    served_by(config, path, runner, Arc::new(FastClock(Instant::now()))).await
}

async fn served_by<R: Runner>(
    config: Config,
    path: Option<PathBuf>,
    runner: Arc<R>,
    clock: Arc<FastClock>,
) -> Served<R> {
    let stop = Stop::default();
    let (tell, hear) = oneshot::channel();
    let (serving, control) = serve_by(
        config,
        path,
        runner.clone(),
        clock,
        stop.clone(),
        |address| tell.send(address).expect("heard"),
    )
    .await
    .expect("it starts");
    let task = tokio::spawn(serving);
    Served {
        runner,
        stop,
        address: hear.await.expect("an address"),
        control,
        task,
    }
}

impl<R> Served<R> {
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Asks until the answer holds a text.
    async fn until(&self, path: &str, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get(path).await;
            if answer.contains(wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{path} never said {wanted}: {answer}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) -> Result<()> {
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("ends")
            .expect("no panic")
    }
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_when_due_and_the_disk_is_told() {
    let served = served(&["a", "b"], FakeRunner::default()).await;
    served.until("/metrics", "pgvigil_up{server=\"b\"} 1").await;
    served
        .until("/metrics", "pgvigil_volume_fill_ratio{server=\"a\"} 0.75")
        .await;
    served
        .until("/metrics", "pgvigil_backups{server=\"a\"} 3")
        .await;
    served
        .until(
            "/metrics",
            "pgvigil_drill_expected_interval_seconds{server=\"a\"} 604800",
        )
        .await;
    eventually("two nights", || {
        served.runner.count(Job::Backup) >= 4 && served.runner.count(Job::Verify) >= 4
    })
    .await;
    let started = served.runner.started.lock().expect("a lock").clone();
    let of_a: Vec<_> = started
        .iter()
        .filter(|(name, _)| name == "a")
        .map(|(_, job)| *job)
        .take(3)
        .collect();
    assert_eq!(of_a, [Job::Backup, Job::Prune, Job::Verify]);
    served.stop.drain();
    served.end().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_pass_later_is_tried_again_and_nothing_else() {
    let fail = Act::Fail(FailureKind::Connect);
    let served_once = served(&["a"], FakeRunner::with(Job::Backup, &[fail, fail])).await;
    eventually("a verification", || {
        served_once.runner.count(Job::Verify) > 0
    })
    .await;
    assert_eq!(served_once.runner.first_night(), 2, "retries: 1");
    let served = served(
        &["a"],
        FakeRunner::with(Job::Backup, &[Act::Fail(FailureKind::Auth)]),
    )
    .await;
    eventually("a verification", || served.runner.count(Job::Verify) > 0).await;
    assert_eq!(served.runner.first_night(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_only_when_the_disk_was_read() {
    let (release, unread) = std::sync::mpsc::channel();
    let served = served(
        &["a", "b"],
        FakeRunner {
            unread: Some(unread.into()),
            ..FakeRunner::default()
        },
    )
    .await;
    assert!(served.get("/-/ready").await.starts_with("HTTP/1.1 503"));
    assert!(served.get("/-/healthy").await.starts_with("HTTP/1.1 200"));
    release.send(()).expect("heard");
    assert!(served.get("/-/ready").await.starts_with("HTTP/1.1 503"));
    drop(release);
    served.until("/-/ready", "HTTP/1.1 200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_directory_is_said_and_read_again() {
    let runner = FakeRunner::default();
    runner.unreadable.store(true, Ordering::SeqCst);
    let served = served(&["a"], runner).await;
    served.until("/", "read /b/a; mount it").await;
    served.until("/-/ready", "HTTP/1.1 200").await;
    served.until("/", "its directory cannot be read").await;
    let metrics = served.get("/metrics").await;
    assert!(metrics.contains("pgvigil_up{server=\"a\"}"), "{metrics}");
    assert!(!metrics.contains("pgvigil_backups{"), "{metrics}");
    served.runner.unreadable.store(false, Ordering::SeqCst);
    served
        .until("/metrics", "pgvigil_backups{server=\"a\"} 3")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_takes_it_down() {
    let served = served(&["a"], FakeRunner::with(Job::Backup, &[Act::Panic])).await;
    let failure = served.end().await.expect_err("an error");
    assert!(
        failure.sentence().contains("task \"jobs of a\" panicked"),
        "{}",
        failure.sentence()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_cancels_the_running_job_and_waits_for_it() {
    let served = served(
        &["a"],
        FakeRunner::with(Job::Backup, &[Act::UntilCancelled]),
    )
    .await;
    served
        .until("/metrics", "pgvigil_backup_in_progress{server=\"a\"} 1")
        .await;
    served.stop.drain();
    served.end().await.expect("ended in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_draining_it_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let served = served(&["a"], FakeRunner::with(Job::Backup, &[Act::Forever])).await;
    served
        .until("/metrics", "pgvigil_backup_in_progress{server=\"a\"} 1")
        .await;
    served.stop.drain();
    served.until("/-/ready", "shutting down").await;
    assert!(served.get("/metrics").await.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    served.stop.abort();
    let failure = served.end().await.expect_err("an error");
    assert_eq!(failure.kind(), FailureKind::Cancelled);
    assert!(started.elapsed() < PATIENCE / 2);
}

/// Counts jobs that run side by side.
struct Crowd(Arc<FakeRunner>);

impl Runner for Crowd {
    on_disk!(|runner: &Self| Arc::clone(&runner.0.disk));

    fn run(
        &self,
        _: Arc<config::Server>,
        work: Work,
        _: Progress,
    ) -> BoxFuture<'static, Result<()>> {
        if work.job == Job::Prune {
            return Box::pin(async { Ok(()) });
        }
        let fake = Arc::clone(&self.0);
        Box::pin(async move {
            let running = fake.running.fetch_add(1, Ordering::SeqCst) + 1;
            fake.most_running.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            fake.running.fetch_sub(1, Ordering::SeqCst);
            fake.started
                .lock()
                .expect("a lock")
                .push((String::new(), Job::Backup));
            Ok(())
        })
    }

    fn load(&self, _: &config::Server) -> Result<Loaded> {
        Ok(Loaded::default())
    }

    fn probe(&self, _: Arc<config::Server>) -> BoxFuture<'static, bool> {
        Box::pin(std::future::pending())
    }

    fn space(&self, _: &config::Server, _: Option<u64>) -> Option<Space> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_run_side_by_side_but_not_all() {
    let fake = Arc::new(FakeRunner::default());
    let served = served(&["a", "b", "c", "d", "e", "f", "g"], Crowd(fake.clone())).await;
    eventually("all had their turn", || fake.count(Job::Backup) >= 14).await;
    assert_eq!(fake.most_running.load(Ordering::SeqCst), 4);
    served.stop.drain();
    served.end().await.expect("ended in order");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut config = config(&["a"]);
    config.http.listen = taken.local_addr().expect("an address");
    let failure = serve(
        config,
        None,
        Arc::new(FakeRunner::default()),
        Stop::default(),
        |_| (),
    )
    .await
    .expect_err("taken");
    assert!(failure.sentence().contains(&format!(
        "listen on {}",
        taken.local_addr().expect("an address")
    )));
}
