//! The sidecar as Prometheus and Kubernetes see it: what the disk says is there from the first scrape, a restart changes
//! nothing, and it ends when it is told to.

use std::process::Command;
use std::time::Duration;

use crate::support::place::Place;
use crate::support::program::{all_gone, pgvigil};
use crate::support::sidecar::Sidecar;
use crate::support::{config, fed, programs, sample};

const SECOND: Duration = Duration::from_secs(1);

/// The value of a series by its name and labels.
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find(|line| {
            line.rsplit_once(' ')
                .is_some_and(|(name, _)| name == series)
        })
        .unwrap_or_else(|| panic!("{series} is not in:\n{metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

pub(crate) fn of_sample(metrics: &str, name: &str) -> f64 {
    value(
        metrics,
        &format!("pgvigil_{name}{{server=\"{}\"}}", config::NAME),
    )
}

/// What promtool finds wrong.
fn check(metrics: &str) {
    let mut promtool = Command::new(programs::promtool());
    let output = fed(promtool.args(["check", "metrics"]), metrics.as_bytes());
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "", "promtool");
    assert!(output.status.success());
}

/// The series that come from the disk: those that do not tell the time.
pub(crate) fn from_disk(metrics: &str) -> Vec<&str> {
    metrics
        .lines()
        .filter(|line| {
            ["pgvigil_backup", "pgvigil_verify_", "pgvigil_drill_"]
                .iter()
                .any(|family| line.starts_with(family))
        })
        // What the clock and the directory's other files say is no memory of what was done.
        .filter(|line| {
            !["_age_seconds", "_next_run_", "_directory_size_"]
                .iter()
                .any(|part| line.contains(part))
        })
        .collect()
}

#[test]
fn nothing_has_happened_yet() {
    let place = Place::new();
    let server = sample::system();
    let config = config::write(&place, server, &server.programs().directory, "30m");
    let sidecar = Sidecar::start(&place, &config);
    let metrics = sidecar.metrics();
    check(&metrics);
    for never in [
        "backup_last_success_timestamp_seconds",
        "backup_last_failure_timestamp_seconds",
        "verify_last_success_timestamp_seconds",
        "drill_last_success_timestamp_seconds",
        "drill_proven_backup_timestamp_seconds",
        "backups",
        "backup_attempts_total",
    ] {
        assert_eq!(of_sample(&metrics, never), 0.0, "{never}");
    }
    sidecar.stop();
}

#[test]
fn what_the_disk_says_survives_restarts() {
    let place = Place::new();
    let server = sample::system();
    let config = config::write(&place, server, &server.programs().directory, "30m");
    for verb in ["backup", "verify", "drill"] {
        pgvigil(&place)
            .args([verb, "--config"])
            .about(&config)
            .run()
            .exits(0);
    }
    // One more attempt, which fails.
    let broken = config::write(&place, server, &place.tmp(), "30m");
    pgvigil(&place)
        .args(["backup", "--config"])
        .about(&broken)
        .run()
        .exits(3);
    let config = config::write(&place, server, &server.programs().directory, "30m");

    let sidecar = Sidecar::start(&place, &config);
    let first = sidecar.metrics();
    check(&first);
    let drill = place
        .ledger()
        .into_iter()
        .find(|entry| entry["job"] == "drill")
        .unwrap();
    for (name, wanted) in [
        ("backups", 1.0),
        ("backup_attempts_total", 2.0),
        ("verify_corrupt_backups", 0.0),
        ("drill_attempts_total", 1.0),
        ("drill_mismatches", 0.0),
        (
            "drill_tables_compared",
            drill["drill"]["tables"].as_f64().unwrap(),
        ),
        (
            "drill_rows_compared",
            drill["drill"]["rows"].as_f64().unwrap(),
        ),
    ] {
        assert_eq!(of_sample(&first, name), wanted, "{name}");
    }
    for happened in [
        "backup_last_success_timestamp_seconds",
        "backup_last_failure_timestamp_seconds",
        "backup_last_duration_seconds",
        "verify_last_success_timestamp_seconds",
        "drill_last_success_timestamp_seconds",
        "drill_proven_backup_timestamp_seconds",
        "objective_max_age_seconds",
    ] {
        assert!(of_sample(&first, happened) > 0.0, "{happened}");
    }
    let size = std::fs::metadata(&place.archives()[0]).unwrap().len();
    assert_eq!(of_sample(&first, "backup_last_size_bytes"), size as f64);
    let failed = format!(
        "pgvigil_backup_failures_total{{server=\"{}\",reason=\"version\"}}",
        config::NAME
    );
    assert_eq!(value(&first, &failed), 1.0);
    let rows = format!(
        "pgvigil_backup_database_rows{{server=\"{}\",database=\"we'ird \\\"db\"}}",
        config::NAME
    );
    assert!(value(&first, &rows) > 0.0);
    sidecar.stop();

    let again = Sidecar::start(&place, &config);
    let second = again.metrics();
    assert!(from_disk(&first).len() > 40, "{:?}", from_disk(&first));
    assert_eq!(from_disk(&first), from_disk(&second));
    again.stop();
    all_gone(&place, 5 * SECOND);
}

#[test]
fn pages_and_probes() {
    let place = Place::new();
    sample::backup().put(&place);
    let server = sample::system();
    let config = config::write(&place, server, &server.programs().directory, "30m");
    let sidecar = Sidecar::start(&place, &config);
    for path in ["/-/healthy", "/-/ready", "/livez", "/readyz"] {
        assert_eq!(sidecar.get(path).status, 200, "{path}");
    }
    let page = sidecar.get("/");
    assert_eq!(page.status, 200);
    assert!(page.content_type.starts_with("text/html"));
    assert!(page.body.contains(config::NAME), "{}", page.body);
    for path in ["/api/v1/status", "/api/v1/backups"] {
        let json = sidecar.get(path);
        assert_eq!(
            (json.status, json.content_type.as_str()),
            (200, "application/json")
        );
        assert!(json.body.contains(config::NAME), "{}", json.body);
    }
    for path in ["/nothing", "/metrics/x", "/../etc/passwd"] {
        assert_eq!(sidecar.get(path).status, 404, "{path}");
    }
    assert_eq!(sidecar.get("/-/reload").status, 405);
    // No token is configured, so nobody may act.
    assert_eq!(sidecar.post("/-/reload", "any", "").status, 403);
    sidecar.stop();
}
