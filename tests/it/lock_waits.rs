//! A lock that someone else holds: a backup waits for it only so long, says which it is and whose, and leaves nothing
//! behind that would keep the next one from its end.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use crate::support::fake;
use crate::support::place::Place;
use crate::support::program::{Done, Pgvigil, pgvigil};
use crate::support::programs::{self, Programs};
use crate::support::server::Server;
use crate::support::{config, wait_until};

/// A session that keeps its transaction open until it is dropped.
struct Holder {
    psql: Child,
    stdin: Option<ChildStdin>,
    pid: String,
}

impl Holder {
    /// Runs `sql` in a transaction, as user app of application migration, and goes on with `then`.
    fn begin(server: &Server, sql: &str, then: &str) -> Self {
        let mut psql = server
            .client("psql")
            .env("PGUSER", "app")
            .env("PGAPPNAME", "migration")
            .args(["-Xq", "-d", "app_db"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = psql.stdin.take().unwrap();
        write!(stdin, "begin;\n{sql};\n{then}\n").unwrap();
        stdin.flush().unwrap();
        let ask = "select a.pid from pg_stat_activity a join pg_locks l using (pid) \
                   where application_name = 'migration' and mode in ('AccessExclusiveLock', 'AccessShareLock') \
                     and relation = (select oid from pg_class where relname = 'orders') and granted";
        let mut pid = String::new();
        wait_until("the lock is held", Duration::from_secs(10), || {
            pid = server.psql("app_db", ask);
            !pid.is_empty()
        });
        Self {
            psql,
            stdin: Some(stdin),
            pid,
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

const LOCK: &str = "lock table public.orders in access exclusive mode";

fn server(programs: &Programs) -> Server {
    let server = Server::start(programs);
    server.psql("postgres", "create role app login");
    server.psql("postgres", "create database app_db owner app");
    let table = "set role app; create table public.orders as select 1 as id; create table public.aside as select 1 as id";
    server.psql("postgres", "alter database app_db owner to app");
    server.psql("app_db", "grant all on schema public to app");
    server.psql("app_db", table);
    server
}

/// A backup with this said of it in the configuration.
fn backup(place: &Place, server: &Server, said: &str) -> Pgvigil {
    let pg_bin = server.programs().directory.clone();
    let said = format!("schedule: never, {said}");
    let config = config::write_backup(place, server, &pg_bin, &said);
    pgvigil(place).args(["backup", "--config"]).about(&config)
}

#[track_caller]
fn is_told(place: &Place, done: Done, result: &str, reason: &str, parts: &[&str]) {
    let done = done.exits(3);
    let sentence = done.sentence();
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in: {sentence}");
    }
    assert_eq!(place.names(), Vec::<String>::new(), "nothing was published");
    let entry = place.ledger().pop().expect("an entry in the ledger");
    assert_eq!(
        (
            entry["job"].as_str(),
            entry["result"].as_str(),
            entry["reason"].as_str()
        ),
        (Some("backup"), Some(result), Some(reason))
    );
    assert_eq!(entry["message"], sentence);
    assert_eq!(place.processes(), Vec::<String>::new());
}

/// No session of ours is left on the server.
#[track_caller]
fn nobody_of_us(server: &Server) {
    wait_until("our sessions are gone", Duration::from_secs(10), || {
        let ask = "select count(*) from pg_stat_activity where application_name like 'pgvigil%'";
        server.psql("postgres", ask) == "0"
    });
}

#[test]
fn a_lock_that_is_not_given_up_is_named_with_its_holder() {
    for programs in [programs::system(), programs::eighteen()] {
        let server = server(&programs);
        let place = Place::new();
        let idle = Holder::begin(&server, LOCK, "");
        let done = backup(&place, &server, "lock_timeout: 2s").run();
        let process = format!("process {} (user app, application 'migration'", idle.pid);
        is_told(
            &place,
            done,
            "failed",
            "lock_timeout",
            &[
                "take a backup: pg_dump waited 2s for a lock on app_db public.orders, held by",
                &process,
                "idle in transaction since 20",
                "canceling statement",
                "end that session, or give it more with backup.lock_timeout",
            ],
        );
        nobody_of_us(&server);
        drop(idle);

        let active = Holder::begin(&server, LOCK, "select pg_sleep(600);");
        let done = backup(&place, &server, "lock_timeout: 2s")
            .args(["--json"])
            .run();
        let done = done.exits(3);
        assert_eq!(done.json()["reason"], "lock_timeout");
        let message = done.json()["message"].to_string();
        assert!(
            message.contains("active, in a transaction since 20"),
            "{message}"
        );
        server.psql(
            "postgres",
            &format!("select pg_terminate_backend({})", active.pid),
        );
        drop(active);
        backup(&place, &server, "lock_timeout: 2s").run().exits(0);
        assert_eq!(place.archives().len(), 1);
    }
}

/// The session in front of us waits too: the one to end is the one that it waits for.
#[test]
fn who_waits_before_us_is_named_with_whom_it_waits_for() {
    let server = server(&programs::system());
    let place = Place::new();
    let reader = Holder::begin(&server, "select * from public.orders", "");
    let mut writer = server
        .client("psql")
        .env("PGUSER", "app")
        .env("PGAPPNAME", "deploy")
        .args(["-Xq", "-d", "app_db", "-c", "begin", "-c", LOCK])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let waits = "select count(*) from pg_stat_activity where application_name = 'deploy' and wait_event_type = 'Lock'";
    wait_until("the writer waits", Duration::from_secs(10), || {
        server.psql("postgres", waits) == "1"
    });
    let done = backup(&place, &server, "lock_timeout: 2s").run();
    let behind = format!("which waits for process {} (user app", reader.pid);
    is_told(
        &place,
        done,
        "failed",
        "lock_timeout",
        &["application 'deploy'", &behind],
    );
    drop(reader);
    let _ = writer.wait();
}

#[test]
fn the_whole_time_can_be_up_before_that_for_a_lock() {
    let server = server(&programs::system());
    let place = Place::new();
    let holder = Holder::begin(&server, LOCK, "");
    let began = Instant::now();
    let done = backup(&place, &server, "timeout: 4s, lock_timeout: 10m").run();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let process = format!("process {} (user app", holder.pid);
    is_told(
        &place,
        done,
        "timeout",
        "timeout",
        &[
            "the time for it was up while pg_dump waited, for ",
            "for a lock on app_db public.orders, held by",
            &process,
            "backup.timeout",
        ],
    );
    nobody_of_us(&server);
    drop(holder);
    backup(&place, &server, "timeout: 1m").run().exits(0);
}

/// A dump that listens to nothing is killed, its session on the server is ended too, and the next run works.
#[test]
fn a_dump_that_does_not_listen_leaves_neither_process_nor_session() {
    let server = server(&programs::system());
    let place = Place::new();
    let holder = Holder::begin(&server, LOCK, "");
    let script = format!(
        "trap '' TERM\nPGDATABASE=app_db '{}' -Xc 'begin; {LOCK}'\nsleep 600",
        server.programs().program("psql").display()
    );
    let fake = fake::dumpall(&place, server.programs(), &script);
    let said = "schedule: never, timeout: 2s, lock_timeout: 10m";
    let config = config::write_backup(&place, &server, &fake, said);
    let began = Instant::now();
    let done = pgvigil(&place)
        .args(["backup", "--config"])
        .about(&config)
        .run();
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(12) && took < Duration::from_secs(30),
        "TERM, ten seconds, KILL: {took:?}"
    );
    is_told(
        &place,
        done,
        "timeout",
        "timeout",
        &["a lock on app_db public.orders, held by process"],
    );
    nobody_of_us(&server);
    drop(holder);
    backup(&place, &server, "timeout: 1m").run().exits(0);
}

#[test]
fn a_lock_that_is_given_up_in_time_is_waited_for() {
    let server = server(&programs::system());
    let place = Place::new();
    let holder = Holder::begin(&server, LOCK, "");
    let running = backup(&place, &server, "lock_timeout: 1m").start();
    std::thread::sleep(Duration::from_secs(3));
    drop(holder);
    running.wait(Duration::from_secs(60)).exits(0);
    assert_eq!(place.archives().len(), 1);
    assert_eq!(place.ledger()[0]["result"], "passed");
    nobody_of_us(&server);
}

/// A long wait is a line in the log while it lasts, once for each holder.
#[test]
fn a_long_wait_is_said_while_it_lasts() {
    let server = server(&programs::system());
    let place = Place::new();
    let holder = Holder::begin(&server, LOCK, "");
    let done = backup(&place, &server, "lock_timeout: 15s")
        .env("PGVIGIL_LOG_LEVEL", "warn")
        .run()
        .exits(3);
    let job = place.ledger()[0]["job_id"].as_str().unwrap().to_owned();
    let lines: Vec<_> = done
        .stderr
        .lines()
        .filter(|line| line.contains("waits for a lock"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("not one line: {}", done.stderr);
    };
    let process = format!("process {}", holder.pid);
    for part in ["public.orders", &process, &job] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

/// A watcher that is let in nowhere says nothing, and neither fails the backup nor hides why it failed.
#[test]
fn a_server_that_lets_no_watcher_in_is_backed_up_all_the_same() {
    let server = server(&programs::system());
    let place = Place::new();
    let closed = r#"psql() { "$REAL/psql" -XqAt -c "$1"; }
hba=$(psql 'show hba_file')
data=${hba%/*} server=$(head -1 "${hba%/*}/postmaster.pid")
within() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; echo "in vain: $*" >&2; exit 1; }
turned_away() { grep -q 'pg_hba.conf rejects connection' "$data/../log"; }
open() { psql 'select 1' > /dev/null 2>&1; }
: > "$data/../log"
echo 'local all all reject' > "$hba"; psql 'select pg_reload_conf()' > /dev/null; within turned_away
echo 'local all all trust' > "$hba"; kill -HUP $server; within open
"#;
    let run = |script: String| {
        let fake = fake::dumpall(&place, server.programs(), &script);
        let said = "schedule: never, lock_timeout: 1s";
        let config = config::write_backup(&place, &server, &fake, said);
        let command = pgvigil(&place).args(["backup", "--config"]).about(&config);
        command.env("PGVIGIL_LOG_LEVEL", "debug").run()
    };
    let done = run(format!("{closed}{}", fake::REAL)).exits(0);
    assert!(
        done.stderr.contains("could not look for lock waits"),
        "{}",
        done.stderr
    );

    let said = "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n\
         pg_dump: detail: Query was: LOCK TABLE public.orders IN ACCESS SHARE MODE\n\
         pg_dumpall: error: pg_dump failed on database \\\"app_db\\\", exiting";
    let done = run(format!("{closed}printf \"{said}\\n\" >&2; exit 1")).exits(3);
    let sentence = done.stderr.lines().last().unwrap();
    let wanted = "waited 1s for a lock on app_db public.orders, whose holder was not seen: pg_dumpall exited with status 1";
    assert!(sentence.contains(wanted), "{sentence}");
    assert_eq!(place.ledger()[1]["reason"], "lock_timeout");
}

/// The same statement fails for other reasons too.
#[test]
fn a_table_that_may_not_be_locked_is_no_lock_wait() {
    let server = server(&programs::system());
    let place = Place::new();
    let said = "pg_dump: error: query failed: ERROR:  permission denied for table orders\n\
         pg_dump: detail: Query was: LOCK TABLE public.orders IN ACCESS SHARE MODE";
    let script = format!("printf '{said}\\n' >&2; exit 1");
    let fake = fake::dumpall(&place, server.programs(), &script);
    let config = config::write(&place, &server, &fake, "1m");
    pgvigil(&place)
        .args(["backup", "--config"])
        .about(&config)
        .run()
        .exits(1);
    assert_eq!(place.ledger()[0]["reason"], "dump_failed");
}

/// A transaction prepared for two-phase commit has locks and no process.
#[test]
fn a_prepared_transaction_is_named() {
    let server = Server::start_with(&programs::system(), &["max_prepared_transactions=4"]);
    server.psql("postgres", "create table public.orders ()");
    let sql = format!("begin; {LOCK}; prepare transaction 'forgotten'");
    server.psql("postgres", &sql);
    let place = Place::new();
    let done = backup(&place, &server, "lock_timeout: 2s").run();
    is_told(
        &place,
        done,
        "failed",
        "lock_timeout",
        &[
            "a lock on postgres public.orders, held by prepared transaction 'forgotten' (user postgres, prepared 20",
        ],
    );
}
