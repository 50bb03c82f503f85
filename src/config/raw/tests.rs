use std::time::Duration;

use super::*;
use crate::config::{Alertmanager, Login, PasswordSource, SslMode, notes};
use crate::error::FailureKind;

/// The example of the README, whole.
const EXAMPLE: &str = r#"
servers:
  - name: postgres-ha
    connection: { host: postgres-ha-postgresql-primary, user: postgres, password_file: /etc/pgvigil/password, sslmode: prefer }
    directory: /backups
    backup: { schedule: "0 2 * * *", timezone: UTC, timeout: 30m, retries: 1, jobs: 1 }   # these are the defaults
    retention: { keep_days: 7, keep_min: 2 }            # also keep_daily/weekly/monthly/yearly
    verify: { schedule: "0 5 * * *" }
    drill:
      schedule: "0 6 * * 0"
      scratch: embedded                                  # or { server: {…} } or { pod: {…} }
      checks:
        - { name: orders of yesterday, database: app_db, sql: "select count(*) from orders where at > now() - interval '1 day'", expect: "> 0" }
    objectives: { max_age: 48h, max_duration: 30m, max_fill: 0.80, max_restore_time: 30m, max_drill_age: 92d }
http: { listen: "0.0.0.0:9959" }
"#;

fn path() -> &'static Path {
    Path::new("/etc/pgvigil.yaml")
}

fn parsed(text: &str) -> Config {
    parse(text, path())
        .map_err(|failure| failure.sentence())
        .expect(text)
}

#[test]
fn the_example_says_nothing_but_the_defaults() {
    let mut written = parsed(EXAMPLE);
    let server = &mut written.servers[0];
    assert_eq!(
        server.connection.host.as_deref(),
        Some("postgres-ha-postgresql-primary")
    );
    assert_eq!(
        server.connection.password,
        PasswordSource::File("/etc/pgvigil/password".into())
    );
    assert_eq!(server.drill.checks.len(), 1);
    server.drill.checks.clear();
    server.connection = Default::default();
    assert_eq!(
        written,
        parsed("servers: [{ name: postgres-ha, directory: /backups }]")
    );
    assert_eq!(written.servers[0].objectives, Default::default());
    assert_eq!(written.servers[0].retention, Default::default());
}

#[test]
fn every_key_is_read() {
    let config = parsed(
        "servers:
  - name: a.b-c_1
    connection:
      host: /run/postgresql
      port: 5433
      user: 007
      database: app
      passfile: /p
      sslmode: verify-full
      sslrootcert: /ca.pem
      connect_timeout: 5s
    directory: /b/
    pg_bin: /usr/lib/postgresql/17/bin
    backup: { schedule: never, retries: 0, timeout: 1h30m, jobs: 4 }
    retention: { keep_days: 30, keep_min: 3, keep_daily: 7, keep_weekly: 4, keep_monthly: 12, keep_yearly: 1 }
    verify: { schedule: '0 4 * * 1-5', timezone: Europe/Berlin }
    drill: { schedule: never, timeout: 2h, scratch: embedded }
    objectives: { max_fill: 1 }
  - { name: other, directory: /bb }
http: { listen: '[::1]:0' }
",
    );
    let server = &config.servers[0];
    assert_eq!(
        (server.connection.port, server.connection.sslmode),
        (Some(5433), SslMode::VerifyFull)
    );
    assert_eq!(server.connection.user.as_deref(), Some("007"));
    assert_eq!(
        server.connection.connect_timeout,
        Some(Duration::from_secs(5))
    );
    assert_eq!(server.directory, Path::new("/b"));
    assert_eq!(
        (&server.backup.schedule, server.backup.timeout),
        (&None, Duration::from_secs(5_400))
    );
    assert_eq!(
        server
            .verify
            .schedule
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("0 4 * * 1-5 Europe/Berlin")
    );
    assert_eq!(
        (&server.drill.schedule, server.drill.timeout),
        (&None, Duration::from_secs(7_200))
    );
    assert_eq!(server.objectives.max_fill, 1.0);
    assert_eq!(config.http.listen.port(), 0);
    let notes = notes(&config);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("backup.jobs 4"), "{notes:?}");
}

#[test]
fn alertmanagers_are_read() {
    let notify = |notify: &str| {
        let text = format!("servers: [{{ name: a, directory: /b }}]\n{notify}");
        parsed(&text).alertmanager
    };
    for nobody in ["", "notify: {}", "notify:", "notify: { alertmanager: }"] {
        assert_eq!(notify(nobody), None, "{nobody}");
    }
    let full = notify(
        "notify:
  alertmanager:
    urls: ['http://alertmanager-0:9093', 'https://[::1]/a/prefix/']
    labels: { cluster: prod, Team_1: '007' }
    page_url: https://pgvigil.example.org/
    username: me
    password_file: /etc/password
    ca_file: /etc/ca.pem
",
    );
    let wanted = Alertmanager {
        urls: vec![
            "http://alertmanager-0:9093".to_owned(),
            "https://[::1]/a/prefix".to_owned(),
        ],
        labels: [("cluster", "prod"), ("Team_1", "007")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        page_url: Some("https://pgvigil.example.org/".to_owned()),
        login: Login::Password("me".to_owned(), "/etc/password".into()),
        ca_file: Some("/etc/ca.pem".into()),
    };
    assert_eq!(full, Some(wanted));
    let token = notify("notify: { alertmanager: { urls: ['http://a'], bearer_token_file: /t } }");
    assert_eq!(
        token.map(|wanted| wanted.login),
        Some(Login::Token("/t".into()))
    );
}

#[test]
fn checks_and_freshness_are_read() {
    let config = parsed(
        "servers:
  - name: a
    directory: /b
    drill:
      checks:
        - { name: n, database: d, sql: select 1, expect: '>= 1.50', timeout: 2m }
        - { name: n, database: d, sql: select 1, expect: 'true' }
      freshness: [{ database: d, table: shop.orders, column: at, max_age: 26h }]
",
    );
    let drill = &config.servers[0].drill;
    let minutes: Vec<_> = drill
        .checks
        .iter()
        .map(|check| check.timeout.as_secs() / 60)
        .collect();
    assert_eq!(minutes, [2, 1]);
    assert_eq!(drill.checks[0].expect.to_string(), ">= 1.50");
    assert_eq!(drill.freshness[0].table, "shop.orders");
    assert_eq!(drill.freshness[0].max_age.as_secs(), 26 * 3600);
    assert!(notes(&config).iter().all(|note| !note.contains("check")));
}

/// What is wrong inside of one server, and what the message must say.
const WRONG_IN_SERVER: [(&str, &str); 47] = [
    ("colour: blue", "unknown field `colour`"),
    (
        "backup: { shedule: x }",
        "line 5, servers[0].backup: unknown field `shedule`, expected one of mode,",
    ),
    (
        "name: again",
        "line 5, servers[0]: name is there twice; keep one of them",
    ),
    (
        "pg_bin: bin",
        "line 5, servers[0].pg_bin: \"bin\": not an absolute path",
    ),
    (
        "connection: { port: 0 }",
        "line 5, servers[0].connection.port: \"0\": out of range; use a whole number from 1 to 65535",
    ),
    ("connection: { port: 70000 }", "1 to 65535"),
    ("connection: { port: web }", "\"web\": out of range"),
    (
        "connection: { password: hunter2 }",
        "servers[0].connection.password: secrets do not belong in",
    ),
    ("connection: { password: { a: hunter2 } }", "password_file"),
    (
        "connection: { password_file: /a, passfile: /b }",
        "passfile: \"/b\": there is a password_file too; keep one",
    ),
    (
        "connection: { sslmode: allow }",
        "use disable, prefer, require, verify-ca or verify-full",
    ),
    ("connection: { host: '' }", "connection.host: \"\": empty"),
    (
        "connection: { host: }",
        "line 5, servers[0].connection.host: it has no value",
    ),
    (
        "connection: { host: [a, b] }",
        "line 5, servers[0].connection.host: expected one value",
    ),
    (
        "connection: { connect_timeout: 0s }",
        "connect_timeout: \"0s\": must be more than 0",
    ),
    (
        "connection: [host]",
        "line 5, servers[0].connection: expected keys with values",
    ),
    (
        "backup: { schedule: '0 0 2 * * *' }",
        "backup.schedule: \"0 0 2 * * *\": a schedule has five fields",
    ),
    ("backup: { schedule: '@daily' }", "five fields"),
    ("backup: { schedule: '0 25 * * *' }", "backup.schedule"),
    ("backup: { schedule: '0 0 31 2 *' }", "it never comes due"),
    (
        "backup: { schedule: null }",
        "line 5, servers[0].backup.schedule: ",
    ),
    (
        "backup: { timezone: Mars/Olympus }",
        "backup.timezone: \"Mars/Olympus\": not a time zone",
    ),
    (
        "backup: { timeout: 30 }",
        "backup.timeout: \"30\": not a duration; write it as 30m",
    ),
    ("backup: { timeout: 0m }", "must be more than 0"),
    (
        "backup: { timeout: 99999999999999999999d }",
        "longer than 36500d",
    ),
    (
        "backup: { retries: 11 }",
        "backup.retries: \"11\": out of range; use a whole number from 0 to 10",
    ),
    ("backup: { retries: -1 }", "0 to 10"),
    ("backup: { jobs: 0 }", "1 to 64"),
    (
        "retention: { keep_min: 0 }",
        "retention.keep_min: \"0\": out of range; use a whole number from 1",
    ),
    ("retention: { keep_days: 1.5 }", "retention.keep_days"),
    ("verify: { schedule: often }", "verify.schedule: \"often\""),
    (
        "drill: { scratch: { server: { host: x } } }",
        "drill.scratch.server.user: is missing: a server to drill on is named by host and user",
    ),
    (
        "drill: { scratch: { server: { host: x, user: y, password: z } } }",
        "drill.scratch.server.password: secrets do not belong",
    ),
    (
        "drill: { scratch: { server: { host: x, user: y, fast: true } } }",
        "unknown field `fast`",
    ),
    (
        "drill: { scratch: { server: { host: x, user: y } }, scratch_superuser: maybe }",
        "drill.scratch_superuser: \"maybe\": neither allowed nor refused",
    ),
    (
        "drill: { scratch_superuser: allowed }",
        "drill.scratch_superuser: \"allowed\": there is no scratch.server",
    ),
    (
        "drill: { scratch: { pod: {} } }",
        "drill.scratch: \"pod\" is not supported by this version; use embedded",
    ),
    (
        "drill: { scratch: { fence: tall } }",
        "unknown variant `tall`",
    ),
    ("drill: { scratch: cloud }", "unknown variant `cloud`"),
    (
        "drill: { checks: [{ name: a, database: b, sql: c }] }",
        "servers[0].drill.checks[0].expect: missing",
    ),
    (
        "drill: { checks: [{ name: a, database: b, sql: c, expect: many }] }",
        "servers[0].drill.checks[0].expect: \"many\": not an expectation; write > 0,",
    ),
    (
        "drill: { checks: [{ name: a, database: b, sql: c, expect: '> x' }] }",
        "checks[0].expect: \"> x\": not a number behind",
    ),
    (
        "drill: { checks: [{ name: a, database: b, sql: '', expect: 'true' }] }",
        "checks[0].sql: \"\": empty",
    ),
    (
        "drill: { freshness: [{ database: a, table: b, column: c }] }",
        "servers[0].drill.freshness[0].max_age: missing; freshness needs",
    ),
    (
        "drill: { freshness: [{ database: a, table: b, column: c, max_age: soon }] }",
        "freshness[0].max_age: \"soon\": not a duration",
    ),
    (
        "drill: { freshness: [{ table: b, schema: c }] }",
        "unknown field `schema`",
    ),
    (
        "objectives: { max_fill: 80 }",
        "objectives.max_fill: \"80\": not a ratio",
    ),
];

/// What is wrong with a whole file.
const WRONG_FILES: [(&str, &str); 15] = [
    ("", "line 1, servers: missing"),
    ("servers: []", "servers: missing; name at least one"),
    ("servers: {}", "line 1, servers"),
    ("servers: [", "line 1"),
    ("server: []", "unknown field `server`"),
    ("servers: [{ directory: /b }]", "servers[0].name: missing"),
    ("servers: [{ name: a }]", "servers[0].directory: missing"),
    (
        "servers: [{ name: 'a b', directory: /b }]",
        "\"a b\": not a server name; use 1 to 63",
    ),
    (
        "servers: [{ name: '', directory: /b }]",
        "not a server name",
    ),
    (
        "servers: [{ name: a, directory: b }]",
        "servers[0].directory: \"b\": not an absolute path",
    ),
    ("servers: [{ name: a, directory: /b/../c }]", "leave .. out"),
    (
        "servers: [{ name: a, directory: /b }, { name: a, directory: /c }]",
        "servers[1].name: \"a\": another server has this name",
    ),
    (
        "servers: [{ name: a, directory: /b }, { name: c, directory: /b/ }]",
        "servers[1].directory: \"/b/\": the same as, inside of",
    ),
    (
        "servers: [{ name: a, directory: /b/c }, { name: c, directory: /b }]",
        "around servers[0].directory",
    ),
    (
        "servers: [{ name: a, directory: /b }]\nhttp: { listen: 'localhost:9959' }",
        "line 2, http.listen: \"localhost:9959\": not an address",
    ),
];

fn refused(text: &str) -> String {
    let failure = parse(text, path()).expect_err(text);
    assert_eq!(failure.kind(), FailureKind::Config);
    failure.sentence()
}

#[test]
fn wrong_configurations_are_refused_with_line_key_and_limit() {
    let in_server = WRONG_IN_SERVER.map(|(line, wanted)| {
        (
            format!("servers:\n  - name: a\n\n    directory: /b\n    {line}\n"),
            wanted,
        )
    });
    let files = WRONG_FILES.map(|(text, wanted)| (text.to_owned(), wanted));
    let mut unexpected = Vec::new();
    for (text, wanted) in in_server.into_iter().chain(files) {
        let sentence = refused(&text);
        assert!(
            sentence.starts_with("read configuration /etc/pgvigil.yaml: line "),
            "{sentence}"
        );
        assert!(
            !sentence.contains("hunter2") && !sentence.contains('\n'),
            "{sentence}"
        );
        if !sentence.contains(wanted) {
            unexpected.push(format!("{text}\n  wanted: {wanted}\n  got: {sentence}"));
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn files_have_a_size_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("large.yaml");
    std::fs::write(&file, vec![b'#'; 1 << 21]).expect("a file");
    assert!(
        read(&file)
            .expect_err("too large")
            .sentence()
            .contains("larger than 1048576 bytes")
    );
    assert!(
        read(&folder.path().join("none"))
            .expect_err("missing")
            .sentence()
            .contains("--config")
    );
    std::fs::write(&file, EXAMPLE).expect("a file");
    assert_eq!(read(&file).expect("the example").servers.len(), 1);
}

#[test]
fn a_fence_can_be_required() {
    let of = |scratch: &str| {
        let text = format!(
            "servers:\n  - {{ name: a, directory: /b, drill: {{ scratch: {scratch} }} }}\n"
        );
        parse(&text, Path::new("c"))
            .expect("a configuration")
            .servers[0]
            .drill
            .fence_required
    };
    assert!(of("{ fence: required }"));
    assert!(!of("embedded"));
}

#[test]
fn a_server_can_be_named_to_drill_on() {
    let of = |drill: &str| {
        let text = format!("servers:\n  - {{ name: a, directory: /b, drill: {{ {drill} }} }}\n");
        let config = parse(&text, Path::new("c")).expect("a configuration");
        config.servers[0].drill.server.clone()
    };
    assert_eq!(of("scratch: embedded"), None);
    let server = "scratch: { server: { host: h, port: 5433, user: u, password_file: /p, sslmode: require } }";
    let named = of(server).expect("a server");
    assert!(!named.superuser_allowed);
    assert_eq!(named.connection.host.as_deref(), Some("h"));
    assert_eq!(named.connection.port, Some(5433));
    assert_eq!(named.connection.sslmode, crate::config::SslMode::Require);
    let named = of(&format!("{server}, scratch_superuser: allowed"));
    assert!(named.expect("a server").superuser_allowed);
}
