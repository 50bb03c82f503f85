//! What goes wrong leaves the live database as it was, and says what to do.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::stand::{assert_same, system};
use crate::support::place::Place;
use crate::support::wait_until;

#[test]
fn a_locked_table_is_waited_for_and_who_locks_it_is_named() {
    let stand = system();
    let shop = stand.shop();
    let mut psql = stand.server.client("psql");
    psql.args(["-Xq", "-d", &shop.name])
        .env("PGAPPNAME", "nightly report");
    let mut child = psql
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"begin; select count(*) from tickets;\n")
        .unwrap();
    let holding = format!(
        "select count(*) from pg_locks where relation = '{}'::regclass",
        "tickets"
    );
    wait_until("the table is locked", Duration::from_secs(20), || {
        shop.psql(&holding) != "0"
    });
    shop.fails(
        &["--table", "tickets", "--truncate", "--lock-timeout", "2s"],
        3,
        &[
            "lock public.tickets, which waited for process",
            "nightly report",
            "pg_terminate_backend",
            "nothing in database",
        ],
    );
    // A reader is not in the way of a table beside it.
    shop.restores(&["--table", "tickets"], &["tickets_restored"]);
    stdin
        .write_all(b"lock table customers in exclusive mode;\n")
        .unwrap();
    let holding = "select count(*) from pg_locks where relation = 'customers'::regclass and mode = 'ExclusiveLock'";
    wait_until("the table is locked", Duration::from_secs(20), || {
        shop.psql(holding) == "1"
    });
    shop.fails(
        &["--table", "orders", "--append", "--lock-timeout", "2s"],
        3,
        &["lock public.customers, public.items", "nightly report"],
    );
    // Stopped while it waits.
    let place = Place::new();
    let before = shop.dump(&["--exclude-table-data=customers"]);
    let running = shop
        .restore(&place, &stand.archive, "postgres")
        .args(["--table", "orders", "--append", "--lock-timeout", "60s"])
        .start();
    let waiting = "select count(*) from pg_stat_activity where application_name = 'pgvigil' and wait_event_type = 'Lock' and datname = current_database()";
    wait_until("it waits", Duration::from_secs(30), || {
        shop.psql(waiting) == "1"
    });
    running.signal(Signal::INT);
    let done = running.wait(Duration::from_secs(20)).exits(3);
    assert!(
        done.sentence().contains("stopped on request"),
        "{}",
        done.stderr
    );
    wait_until("nobody waits", Duration::from_secs(10), || {
        shop.psql(waiting) == "0"
    });
    drop(stdin);
    child.wait().unwrap();
    assert_same(&before, &shop.dump(&["--exclude-table-data=customers"]));
}

#[test]
fn a_foreign_file_needs_no_manifest() {
    let stand = system();
    let shop = stand.shop();
    let archive = stand.foreign("plain.sql.gz", |text| text);
    let place = Place::new();
    let run = |args: &[&str]| {
        let done = shop.restore(&place, &archive, "postgres").args(args).run();
        done.exits(0).stdout
    };
    let whole = shop.dump(&[]);
    shop.psql("truncate tickets; alter table orders disable trigger all; delete from orders; alter table orders enable trigger all; alter table orders enable always trigger guard_always");
    let said = run(&["--table", "tickets", "--table", "orders", "--truncate"]);
    assert!(
        said.contains("the time zone of the dump is not known"),
        "{said}"
    );
    assert_same(&whole, &shop.dump(&[]));
    run(&["--table", "events", "--table", "moods"]);
    assert_eq!(
        shop.psql(
            "select (select count(*) from events_restored), (select count(*) from moods_restored)"
        ),
        "900|100"
    );
}

#[test]
fn damage_is_never_committed() {
    let stand = system();
    let shop = stand.shop();
    let bytes = std::fs::read(&stand.archive).unwrap();
    let manifest = std::fs::read(format!("{}.manifest.json", stand.archive.display())).unwrap();
    let place = Place::new();
    let path = place.join("postgresql_backup_20240101_000000.sql.gz");
    std::fs::write(format!("{}.manifest.json", path.display()), manifest).unwrap();
    let members = crate::support::archive::members(&bytes);
    let text = |member: &[u8]| {
        let file = place.join("member.gz");
        std::fs::write(&file, member).unwrap();
        crate::support::archive::gunzip(&file)
    };
    // Rows of the table: a bit of them flipped.
    let hit = members
        .iter()
        .position(|member| String::from_utf8_lossy(&text(member)).contains("ticket 7"))
        .unwrap();
    let mut damaged = members.clone();
    let middle = damaged[hit].len() / 2 + 10;
    damaged[hit][middle] ^= 1;
    std::fs::write(&path, damaged.concat()).unwrap();
    for mode in [&["--truncate"][..], &["--append"], &[]] {
        let args = [&["--table", "tickets"], mode].concat();
        shop.fails_with(
            &path,
            &args,
            1,
            &["its bytes do not have its checksum", "nothing was restored"],
        );
    }
    // Its member left out.
    damaged.remove(hit);
    std::fs::write(&path, damaged.concat()).unwrap();
    shop.fails_with(&path, &["--table", "tickets", "--truncate"], 1, &[]);
    // Cut off.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    shop.fails_with(&path, &["--table", "tickets", "--truncate"], 1, &[]);
}

#[test]
fn rows_that_are_not_those_of_the_manifest_are_never_committed() {
    let stand = system();
    let shop = stand.shop();
    let place = Place::new();
    let path = place.join("postgresql_backup_20240101_000000.sql.gz");
    std::fs::copy(&stand.archive, &path).unwrap();
    let manifest =
        std::fs::read_to_string(format!("{}.manifest.json", stand.archive.display())).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let databases = manifest["catalog"]["databases"].as_array_mut().unwrap();
    let shop_of = databases
        .iter_mut()
        .find(|database| database["name"] == "shop")
        .unwrap();
    let tables = shop_of["tables"].as_array_mut().unwrap();
    let tickets = tables
        .iter_mut()
        .find(|table| table["name"] == "tickets")
        .unwrap();
    tickets["hash"] = "00000000000000000000000000000001".into();
    std::fs::write(
        format!("{}.manifest.json", path.display()),
        manifest.to_string(),
    )
    .unwrap();
    for mode in [&["--truncate"][..], &["--append"], &[]] {
        shop.psql("truncate tickets");
        let args = [&["--table", "tickets"], mode].concat();
        shop.fails_with(
            &path,
            &args,
            1,
            &["not those of its manifest", "nothing in database"],
        );
    }
}

#[test]
fn a_tampered_dump_is_not_run() {
    let stand = system();
    let shop = stand.shop();
    for (number, (text, instead, code)) in [
        (
            "CREATE TABLE public.tickets (",
            "CREATE TABLE public.tickets AS SELECT 1 AS id; --(",
            1,
        ),
        (
            "COPY public.tickets (id, subject) FROM stdin;",
            "\\! touch x\nCOPY public.tickets (id, subject) FROM stdin;",
            1,
        ),
        (
            "CREATE TABLE public.tickets (",
            "CREATE TABLE public.tickets (x integer, ",
            0,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let archive = stand.foreign(&format!("tampered{number}.sql.gz"), |whole| {
            assert!(whole.contains(text));
            whole.replace(text, instead)
        });
        if code > 0 {
            shop.fails_with(&archive, &["--table", "tickets"], code, &["psql"]);
        } else {
            let place = Place::new();
            shop.restore(&place, &archive, "postgres")
                .args(["--table", "tickets"])
                .run()
                .exits(0);
        }
    }
}

#[test]
fn rows_as_statements_are_refused() {
    let stand = system();
    let shop = stand.shop();
    let place = Place::new();
    let path = place.join("inserts.sql.gz");
    let output = stand
        .server
        .client("pg_dump")
        .args(["--inserts", "shop"])
        .output()
        .unwrap();
    std::fs::write(&path, crate::support::archive::gzip(&output.stdout)).unwrap();
    let url = format!(
        "host={} user=postgres dbname={}",
        stand.server.socket().display(),
        shop.name
    );
    let done = crate::support::program::pgvigil(&place)
        .args(["restore"])
        .about(&path)
        .args(["--to", &url, "--table", "tickets", "--yes"])
        .run()
        .exits(2);
    assert!(done.sentence().contains("INSERT"), "{}", done.stderr);
}

#[test]
fn a_connection_string_is_read_and_its_password_is_never_shown() {
    let stand = system();
    let place = Place::new();
    let done = crate::support::program::pgvigil(&place)
        .env("PGVIGIL_LOG_LEVEL", "warn")
        .args(["restore"])
        .about(&stand.archive)
        .args([
            "--to",
            "postgresql://a:geheim@127.0.0.1:1/shop",
            "--table",
            "tickets",
        ])
        .run()
        .exits(3);
    assert!(
        done.stderr.contains("visible to every user"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("geheim"), "{}", done.stderr);
}
