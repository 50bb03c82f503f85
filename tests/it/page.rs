//! A backup's page: what is read from disk for it, and what is not.

use std::fs;
use std::time::Duration;

use crate::support::config;
use crate::support::place::Place;
use crate::support::program::pgvigil;
use crate::support::programs;
use crate::support::sample;
use crate::support::sidecar::Sidecar;
use crate::support::wait_until;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_backups_page_shows_what_is_in_it_and_the_report_of_its_drill() {
    let place = Place::new();
    let server = sample::system();
    let config = config::write(&place, server, &programs::system().directory, "10m");
    let run = |command: &str| {
        pgvigil(&place)
            .args(["--config"])
            .about(&config)
            .args([command])
            .run()
            .exits(0)
    };
    run("backup");
    run("drill");
    let archive = place.archives().pop().unwrap();
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
    let sidecar = Sidecar::start(&place, &config);
    let path = format!("/servers/{}/backups/{name}", config::NAME);
    let page = sidecar.get(&path);
    assert_eq!(
        (page.status, page.content_type.as_str()),
        (200, "text/html; charset=utf-8")
    );
    for text in [
        "Yes: a test restore of this very backup gave back every row.",
        "app_db",
        "Proven: it was restored into a scratch server",
        "<h3>Phases</h3>",
        "btree indexes",
        "pgvigil restore ",
    ] {
        assert!(page.body.contains(text), "{text}\n{}", page.body);
    }
    // Somebody writes into the report: it is not shown, and the page says why.
    let reports = place.backups().join("drills");
    let report = fs::read_dir(&reports)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .unwrap();
    let text = fs::read_to_string(&report).unwrap();
    fs::write(&report, text.replace("\"passed\"", "\"failed\"")).unwrap();
    let page = sidecar.get(&path).body;
    assert!(page.contains("is not what was written"), "{page}");
    fs::remove_file(&report).unwrap();
    assert!(sidecar.get(&path).body.contains("is not there"));
    // A manifest that is none is said, and nothing ends.
    fs::write(format!("{}.manifest.json", archive.display()), "{").unwrap();
    let page = sidecar.get(&path);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("read manifest"), "{}", page.body);
    let huge = fs::File::create(format!("{}.manifest.json", archive.display())).unwrap();
    huge.set_len(100 << 20).unwrap();
    let page = sidecar.get(&path).body;
    assert!(page.contains("it is larger than 12 MiB"), "{page}");
    let peak = sidecar.memory_kib("VmHWM:");
    assert!(peak < 64 << 10, "{peak} KiB");
    for other in [
        "ledger.jsonl",
        "..%2Fpgvigil.yaml",
        "drills",
        "%2e%2e%2fpgvigil.yaml",
        "none.sql.gz",
    ] {
        let answer = sidecar.get(&format!("/servers/{}/backups/{other}", config::NAME));
        assert_eq!(answer.status, 404, "{other}: {}", answer.body);
    }
    assert_eq!(
        sidecar.get(&format!("/servers/none/backups/{name}")).status,
        404
    );
    // Somebody cuts it, and then removes it: the page of the backup says so at once, that of the server soon.
    let file = fs::OpenOptions::new().write(true).open(&archive).unwrap();
    file.set_len(1_000).unwrap();
    assert!(
        sidecar
            .get(&path)
            .body
            .contains("No: the file is gone, or is not as long as it was.")
    );
    fs::remove_file(&archive).unwrap();
    fs::remove_file(format!("{}.manifest.json", archive.display())).unwrap();
    wait_until("it is known to be gone", 60 * SECOND, || {
        sidecar.get("/").body.contains("No: there is no backup.")
    });
    assert_eq!(sidecar.get(&path).status, 404);
    sidecar.stop();
}
