//! What a dump brings along runs in the scratch server as superuser, and reaches nothing: no file of ours, no program, no
//! other server.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::archive::gzip;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::{programs, sample};

/// A trigger that tries all of it when rows are loaded, and fails the restore if anything was to be had.
fn trying(place: &Place, port: u16) -> String {
    let witness = place.join("open").join("program");
    let written = place.join("open").join("written");
    let secret = place.join("open").join("secret");
    format!(
        "CREATE EXTENSION dblink WITH SCHEMA public;\n\
         CREATE FUNCTION public.reach() RETURNS trigger LANGUAGE plpgsql AS $s$ DECLARE got text := ''; BEGIN\n\
         BEGIN COPY (SELECT 1) TO PROGRAM 'touch {witness}'; got := got || ' program'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
         BEGIN COPY (SELECT 1) TO '{written}'; got := got || ' write'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
         BEGIN PERFORM pg_catalog.pg_read_file('{secret}'); got := got || ' read'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
         BEGIN PERFORM pg_catalog.pg_read_file('/etc/hostname'); got := got || ' system'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
         BEGIN PERFORM public.dblink_connect('hostaddr=127.0.0.1 port={port} user=x password=x connect_timeout=2');\n\
         got := got || ' network'; EXCEPTION WHEN OTHERS THEN NULL; END;\n\
         IF got <> '' THEN RAISE EXCEPTION 'reached:%', got; END IF; RETURN NULL; END $s$;\n\
         CREATE TRIGGER reach AFTER INSERT ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION public.reach();\n",
        witness = witness.display(),
        written = written.display(),
        secret = secret.display(),
    )
}

#[test]
fn code_in_a_dump_reaches_nothing() {
    let place = Place::new();
    // Open to everyone, so that only the fence is in the way. Without it all five attempts succeed.
    let open = place.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    std::fs::write(open.join("secret"), "secret").unwrap();
    std::fs::set_permissions(open.join("secret"), Permissions::from_mode(0o644)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let trigger = trying(&place, listener.local_addr().unwrap().port());
    let before = "COPY public.orders ";
    let bytes = sample::system().dump();
    let at = bytes
        .windows(before.len())
        .position(|window| window == before.as_bytes())
        .unwrap();
    let path = place.backups().join("reaching.sql.gz");
    std::fs::write(
        &path,
        gzip(&[&bytes[..at], trigger.as_bytes(), b"\n", &bytes[at..]].concat()),
    )
    .unwrap();
    let done = pgvigil(&place)
        .args(["drill", "--json"])
        .args(["--directory", place.backups().to_str().unwrap()])
        .args(["--pg-bin", programs::system().directory.to_str().unwrap()])
        .about(&path)
        .run();
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let fence = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "fence")
        .expect("a check of the fence");
    assert_eq!(
        fence["status"], "passed",
        "this test needs a kernel with Landlock: {fence}"
    );
    let connected = listener.accept().is_ok();
    assert!(
        !done.stderr.contains("reached:") && !connected,
        "connected: {connected}; {}",
        done.stderr
    );
    let names: Vec<_> = std::fs::read_dir(&open)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["secret"]);
    // Some values of the sample read by settings that a foreign dump does not tell; every row was loaded all the same.
    assert!(report["tables"].as_u64().unwrap() > 0);
}
