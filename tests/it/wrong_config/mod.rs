//! Configurations as people get them wrong: exit code 2, and one sentence with the line, the key and what to do. None of
//! them takes long or much memory, whatever is in the file.

mod table;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::are_root;
use crate::support::place::{Place, executable};
use crate::support::program::{Done, Pgvigil, pgvigil};
use table::{FILES, IN_SERVER};

/// What no secret in a file may do is show.
const SECRET: &str = "hunter2";

fn check(place: &Place, config: &Path) -> Pgvigil {
    pgvigil(place).args(["check", "--config"]).about(config)
}

/// One sentence, exit code 2, nothing that a terminal obeys, no secret; gives the sentence behind the file's name.
#[track_caller]
fn refused(done: Done, config: &Path) -> String {
    let done = done.exits(2);
    let sentence = done.sentence().to_owned();
    assert_eq!(done.stdout, "");
    assert!(!sentence.contains(SECRET), "{sentence}");
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
    assert!(sentence.len() < 1500, "{} bytes", sentence.len());
    let named = format!("read configuration {}: ", config.display());
    let behind = sentence.strip_prefix(&named);
    behind.unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

#[test]
fn each_is_refused_with_its_line_its_key_and_what_to_do() {
    let place = Place::new();
    let config = place.join("pgvigil.yaml");
    let in_server = IN_SERVER.map(|(line, key, what, remedy)| {
        let text = format!("servers:\n  - name: a\n    directory: /b\n    {line}\n");
        let dot = if key.is_empty() { "" } else { "." };
        (
            text,
            format!("line 4, servers[0]{dot}{key}: "),
            what,
            remedy,
        )
    });
    let files =
        FILES.map(|(text, at, what, remedy)| (text.to_owned(), at.to_owned(), what, remedy));
    let mut unexpected = Vec::new();
    for (text, at, what, remedy) in in_server.into_iter().chain(files) {
        fs::write(&config, &text).unwrap();
        let said = refused(check(&place, &config).run(), &config);
        let parts = said.rsplit_once("; ");
        let good = said.starts_with(&at)
            && parts.is_some_and(|(first, last)| {
                first.contains(what) && (last.contains(remedy) || first.contains(remedy))
            });
        if !good {
            unexpected.push(format!(
                "{text}  wanted: {at} … {what} … {remedy}\n  got: {said}"
            ));
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

#[test]
fn what_is_no_text_is_refused_too() {
    let place = Place::new();
    let config = place.join("pgvigil.yaml");
    let utf16: Vec<u8> = "\u{feff}servers:\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (bytes, at) in [
        (
            b"servers:\n  - name: M\xfcnchen\n".to_vec(),
            "line 2: not a text in UTF-8",
        ),
        (utf16, "line 1: not a text in UTF-8"),
        (
            fs::read(executable()).unwrap()[..65536].to_vec(),
            "line 1: not a text in UTF-8",
        ),
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(),
            "line 1: not a text in UTF-8",
        ),
        (b"servers: []\0\n".to_vec(), "line 1: unexpected character"),
        (vec![0; 4096], "line 1: unexpected character"),
    ] {
        fs::write(&config, bytes).unwrap();
        let said = refused(check(&place, &config).run(), &config);
        assert!(said.starts_with(at) && said.contains("; "), "{at}: {said}");
    }
}

#[test]
fn a_file_that_cannot_be_read() {
    let place = Place::new();
    let missing = place.join("missing.yaml");
    let said = refused(check(&place, &missing).run(), &missing);
    assert!(
        said.contains("No such file") && said.contains("--config"),
        "{said}"
    );
    let directory = place.tmp();
    let said = refused(check(&place, &directory).run(), &directory);
    assert!(
        said.contains("Is a directory") && said.contains("--config"),
        "{said}"
    );

    let closed = place.join("closed.yaml");
    fs::write(&closed, "servers: []\n").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let mut command = check(&place, &closed);
    if are_root() {
        place.give_to_nobody();
        command = command.under_nobody();
    }
    let said = refused(command.run(), &closed);
    assert!(
        said.contains("Permission denied") && said.contains("--config"),
        "{said}"
    );
}

/// Two names of one directory are one directory.
#[test]
fn directories_that_links_lead_into_each_other() {
    let place = Place::new();
    let config = place.join("pgvigil.yaml");
    fs::create_dir(place.backups().join("inner")).unwrap();
    symlink(place.backups(), place.join("link")).unwrap();
    symlink(place.backups().join("inner"), place.join("deep")).unwrap();
    for (first, second) in [
        ("backups", "link"),
        ("backups", "deep"),
        ("deep", "link"),
        ("link/inner", "backups/inner"),
    ] {
        let one = |name: &str, path: &str| {
            format!(
                "  - {{ name: {name}, directory: '{}' }}\n",
                place.join(path).display()
            )
        };
        fs::write(
            &config,
            format!("servers:\n{}{}", one("a", first), one("b", second)),
        )
        .unwrap();
        let said = refused(check(&place, &config).run(), &config);
        let wanted = "line 3, servers[1].directory: ";
        assert!(
            said.starts_with(wanted) && said.contains("servers[0].directory"),
            "{first} {second}: {said}"
        );
    }
}

/// Whatever is in the file: less than 64 MiB and two seconds.
#[test]
fn none_takes_long_or_much_memory() {
    let place = Place::new();
    let config = place.join("pgvigil.yaml");
    let nested: String = ('b'..='j')
        .map(|name| {
            let before = char::from(u8::try_from(name).unwrap() - 1);
            format!(", &{name} [{}]", vec![format!("*{before}"); 9].join(","))
        })
        .collect();
    let laughs = format!("[&a [x,x,x,x,x,x,x,x,x]{nested}]");
    let long = "y".repeat(200_000);
    let many: Vec<_> = (0..25_000)
        .map(|count| format!("{{name: a{count}, directory: /d{count}}}"))
        .collect();
    let said = "write it without aliases";
    let files = [
        (
            format!("servers: [{{name: a, directory: /b, connection: {{ password: {laughs} }} }}]"),
            said,
        ),
        (
            format!(
                "servers: [{{name: a, directory: /b, drill: {{ scratch: {{ pod: {laughs} }} }} }}]"
            ),
            said,
        ),
        (format!("a: {laughs}\nservers: []\n"), "unknown field `a`"),
        (
            format!(
                "servers: [{{name: a, directory: /b, drill: {{ checks: [ {{ name: &x {long}, database: b, sql: c, expect: '> 0' }}{} ] }} }}]",
                ", {name: *x, database: *x, sql: *x, expect: '> 0'}".repeat(8_000)
            ),
            said,
        ),
        (
            format!(
                "servers:\n  - name: a\n    directory: /b\n    drill:\n      checks:\n        - &c {{ name: a, database: b, sql: c, expect: '> 0' }}\n{}",
                "        - *c\n".repeat(60_000)
            ),
            said,
        ),
        ("servers: &a [*a]\n".to_owned(), "Recursive reference"),
        (
            format!("servers: {}", "[".repeat(900_000)),
            "nested too deeply",
        ),
        (
            format!("servers: {}", "{a: ".repeat(200_000)),
            "expected a list",
        ),
        ("- ".repeat(500_000), "expected keys with values"),
        (
            (0..1_300)
                .map(|depth| format!("{}a:\n", " ".repeat(depth)))
                .collect(),
            "unknown field `a`",
        ),
        (format!("servers: [{}]\nhttp: x\n", many.join(",")), ""),
        (
            format!(
                "servers: [{{name: a, directory: /b, backup: {{ timeout: {} }} }}]",
                "9".repeat(900_000)
            ),
            "9…\": not a duration",
        ),
        (
            format!(
                "servers: [{{name: a, directory: /b, {}: 1 }}]",
                "k".repeat(900_000)
            ),
            "unknown field `kkk",
        ),
        ("#".repeat(10_000_000), "larger than 1048576 bytes"),
        (
            format!(
                "servers:\n{}",
                "  - { name: a, directory: /b }\n".repeat(330_000)
            ),
            "larger than 1048576 bytes",
        ),
    ];
    for (text, wanted) in files {
        fs::write(&config, &text).unwrap();
        let began = Instant::now();
        // What is asked of the system for data, stacks included.
        let limited = format!(
            "ulimit -d 65536 && exec '{}' check --config '{}'",
            executable().display(),
            config.display()
        );
        let done = Pgvigil::by("sh", &place).args(["-c", &limited]).run();
        let took = began.elapsed();
        let begin = text.get(..60).unwrap_or(&text);
        assert!(took < Duration::from_secs(2), "{begin}: {took:?}");
        let said = refused(done, &config);
        assert!(said.contains(wanted), "{begin}: {said}");
    }
}

/// The same as one JSON document, and in the sidecar's log.
#[test]
fn programs_are_told_in_their_own_forms() {
    let place = Place::new();
    let config = place.join("pgvigil.yaml");
    fs::write(
        &config,
        "servers:\n  - name: a\n    directory: /b\n    backup: { shedule: x }\n",
    )
    .unwrap();
    for verb in ["check", "list", "backup"] {
        let done = pgvigil(&place)
            .args([verb, "--json", "--config"])
            .about(&config)
            .run()
            .exits(2);
        let told = done.json();
        assert_eq!(
            (&told["result"], &told["reason"]),
            (&"error".into(), &"config".into())
        );
        assert_eq!(told["message"], done.sentence());
    }
    let serve = |format: &str| {
        let command = pgvigil(&place).args(["serve", "--log-format", format, "--config"]);
        let done = command.about(&config).run().exits(2);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        done.stderr
    };
    let line: Value = serde_json::from_str(&serve("json")).unwrap();
    assert_eq!(
        (&line["level"], &line["reason"]),
        (&"error".into(), &"config".into())
    );
    assert!(
        line["msg"]
            .as_str()
            .unwrap()
            .contains("line 4, servers[0].backup: unknown field"),
        "{line}"
    );
    let line = serve("logfmt");
    assert!(
        line.contains(" level=error msg=\"read configuration ")
            && line.ends_with(" reason=config\n"),
        "{line}"
    );
}
