//! Over the metrics of whole snapshots, with a clock of the tests' own.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::net::TcpListener;

use super::*;
use crate::promql::Samples;
use crate::status::ServerStatus;
use crate::status::tests::{at, config, morning};

fn shared(names: &[&str]) -> Shared {
    let shared = Shared::new(config(names).servers.into_iter().map(Arc::new), at(0, 30));
    shared.write(|snapshot| {
        for view in &mut snapshot.servers {
            view.status.is_known = true;
        }
    });
    shared
}

fn told(labels: &[(&str, &str)]) -> Alertmanager {
    Alertmanager {
        labels: labels
            .iter()
            .map(|&(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        ..Alertmanager::default()
    }
}

fn judged(alerts: &mut Alerts, shared: &Shared, config: &Alertmanager, now: DateTime<Utc>) {
    let wanted = alerts_rules().metrics();
    let mut samples =
        shared.read(|snapshot| metrics::samples(snapshot, now, &wanted, &config.labels));
    let unknown = shared.read(unknown);
    assert_eq!(alerts.evaluate_known(&mut samples, &unknown, now), []);
}

fn alerts_rules() -> Arc<Rules> {
    Arc::new(Rules::built_in().expect("rules"))
}

fn messages(notices: &[Notice], config: &Alertmanager) -> Vec<String> {
    let rules = alerts_rules();
    let mut all: Vec<_> = notices
        .iter()
        .filter_map(|notice| Message::new(notice, &rules, config))
        .map(|message| serde_json::to_string(&message.labels).expect("labels"))
        .collect();
    all.sort();
    all
}

#[test]
fn servers_of_the_snapshot_raise_alerts_with_the_configured_labels() {
    let (shared, config) = (
        shared(&["a", "b"]),
        told(&[("cluster", "c1"), ("team", "db")]),
    );
    shared.update_nth(1, |view| view.up = true);
    let mut alerts = Alerts::new(alerts_rules());
    judged(&mut alerts, &shared, &config, at(1, 0));
    judged(&mut alerts, &shared, &config, at(1, 15));
    let fires = messages(&alerts.due(at(1, 15)), &config);
    let unreachable = r#"{"alertname":"PgvigilServerUnreachable","cluster":"c1","server":"a","severity":"warning","team":"db"}"#;
    let watchdog =
        r#"{"alertname":"PgvigilWatchdog","cluster":"c1","severity":"none","team":"db"}"#;
    assert!(fires.contains(&unreachable.to_owned()), "{fires:#?}");
    assert!(fires.contains(&watchdog.to_owned()), "{fires:#?}");
    let unmeasured = fires
        .iter()
        .filter(|labels| labels.contains("VolumeUnmeasured"));
    assert_eq!(unmeasured.count(), 2, "{fires:#?}");
    assert_eq!(fires.len(), 4);
}

#[test]
fn what_is_said_is_said_again_until_it_is_over_and_a_while_after() {
    let (shared, config) = (shared(&["a"]), told(&[]));
    shared.update_nth(0, |view| view.space.size_bytes = 1);
    let mut alerts = Alerts::new(alerts_rules());
    let unreachable = |notices: Vec<Notice>| {
        let place = alerts_rules()
            .alerts()
            .position(|name| name == "PgvigilServerUnreachable");
        notices
            .into_iter()
            .find(|notice| Some(notice.rule) == place)
    };
    judged(&mut alerts, &shared, &config, at(1, 0));
    assert_eq!(unreachable(alerts.due(at(1, 0))), None, "pending");
    judged(&mut alerts, &shared, &config, at(1, 15));
    let first = unreachable(alerts.due(at(1, 15))).expect("it fires");
    assert_eq!((first.starts_at, first.ends_at), (at(1, 15), at(1, 19)));
    let second = |seconds| at(1, 15) + TimeDelta::seconds(seconds);
    assert_eq!(unreachable(alerts.due(second(45))), None);
    let again = unreachable(alerts.due(second(60))).expect("again");
    assert_eq!((again.starts_at, again.ends_at), (at(1, 15), at(1, 20)));

    shared.update_nth(0, |view| view.up = true);
    judged(&mut alerts, &shared, &config, at(1, 20));
    let kept = unreachable(alerts.due(at(1, 20))).expect("it is kept firing for 10 minutes");
    assert!(!kept.is_over(at(1, 20)));
    judged(&mut alerts, &shared, &config, at(1, 30));
    let over = unreachable(alerts.due(at(1, 30))).expect("it is over");
    assert_eq!((over.starts_at, over.ends_at), (at(1, 15), at(1, 30)));
    assert_eq!(unreachable(alerts.due(at(1, 30))), None);
    judged(&mut alerts, &shared, &config, at(1, 45));
    assert!(
        unreachable(alerts.due(at(1, 45))).is_some(),
        "said for 15 minutes"
    );
    judged(&mut alerts, &shared, &config, at(1, 46));
    assert_eq!(unreachable(alerts.all(at(1, 46))), None, "and then no more");

    // It is another one when it comes back.
    shared.update_nth(0, |view| view.up = false);
    judged(&mut alerts, &shared, &config, at(1, 47));
    judged(&mut alerts, &shared, &config, at(2, 2));
    let next = unreachable(alerts.due(at(2, 2))).expect("it fires");
    assert_eq!(next.starts_at, at(2, 2));
}

#[test]
fn a_restart_ends_nothing_and_has_nothing_wait_anew() {
    let (shared, config) = (shared(&["a"]), told(&[("cluster", "c1")]));
    let mut alerts = Alerts::new(alerts_rules());
    judged(&mut alerts, &shared, &config, at(1, 0));
    judged(&mut alerts, &shared, &config, at(1, 20));
    let (fires, kept) = (
        messages(&alerts.due(at(1, 20)), &config),
        memory::by_server(&alerts),
    );
    let text = serde_json::to_string(&kept).expect("JSON");
    assert_eq!(fires.len(), 3, "unreachable, unmeasured, and the watchdog");

    let mut restarted = Alerts::new(alerts_rules());
    let kept: std::collections::BTreeMap<String, Vec<Kept>> =
        serde_json::from_str(&text).expect("JSON");
    restarted.restore(kept.into_values().flatten());
    judged(&mut restarted, &shared, &config, at(1, 22));
    let notices = restarted.due(at(1, 22));
    assert_eq!(messages(&notices, &config), fires);
    let begun = notices
        .iter()
        .filter(|notice| notice.starts_at == at(1, 20));
    assert_eq!(begun.count(), 2);
    // No backup at all: an hour after the first look, not after the second.
    judged(&mut restarted, &shared, &config, at(2, 0));
    let fires = messages(&restarted.due(at(2, 0)), &config);
    assert!(
        fires.iter().any(|labels| labels.contains("NeverSucceeded")),
        "{fires:#?}"
    );
}

#[test]
fn what_ended_while_nobody_looked_is_over() {
    let (shared, config) = (shared(&["a"]), told(&[]));
    let mut alerts = Alerts::new(alerts_rules());
    judged(&mut alerts, &shared, &config, at(1, 0));
    judged(&mut alerts, &shared, &config, at(1, 20));
    let kept = memory::by_server(&alerts);
    let mut restarted = Alerts::new(alerts_rules());
    restarted.restore(kept.into_values().flatten());
    shared.update_nth(0, |view| view.space.size_bytes = 1);
    judged(&mut restarted, &shared, &config, at(1, 22));
    let notices = restarted.due(at(1, 22));
    let over: Vec<_> = notices
        .into_iter()
        .filter(|notice| notice.is_over(at(1, 22)))
        .collect();
    let labels = messages(&over, &config);
    assert!(
        labels.len() == 1 && labels[0].contains("PgvigilVolumeUnmeasured"),
        "{labels:?}"
    );
}

/// Its directory cannot be read after a restart, and is not empty for that.
#[test]
fn what_was_said_of_a_server_stands_until_its_disk_is_read() {
    let (shared, config) = (shared(&["a", "b"]), told(&[]));
    shared.write(|snapshot| {
        for view in &mut snapshot.servers {
            view.status.corrupt = 1;
        }
    });
    let mut alerts = Alerts::new(alerts_rules());
    judged(&mut alerts, &shared, &config, at(1, 0));
    judged(&mut alerts, &shared, &config, at(1, 20));
    let kept = memory::by_server(&alerts);
    let mut restarted = Alerts::new(alerts_rules());
    restarted.restore(kept.into_values().flatten());
    shared.write(|snapshot| {
        for view in &mut snapshot.servers {
            (view.up, view.space.size_bytes) = (true, 1);
            view.status = ServerStatus::default();
        }
    });
    shared.update_nth(1, |view| view.status.is_known = true);
    let of = |alerts: &Alerts, name: &str, server: &str, now| {
        let named = |labels: &String| labels.contains(name) && labels.contains(server);
        let all = alerts.all(now).into_iter();
        let (over, fires): (Vec<_>, Vec<_>) = all.partition(|notice| notice.is_over(now));
        let some = |notices: Vec<Notice>| messages(&notices, &config).iter().any(named);
        (some(fires), some(over))
    };
    let (a, b) = ("\"server\":\"a\"", "\"server\":\"b\"");
    for minute in [22, 33] {
        let now = at(1, minute);
        judged(&mut restarted, &shared, &config, now);
        assert_eq!(
            of(&restarted, "Corrupt", a, now),
            (true, false),
            "it stands"
        );
        assert_eq!(of(&restarted, "Watchdog", "", now), (true, false));
    }
    assert_eq!(of(&restarted, "Corrupt", b, at(1, 33)), (false, true));
    // What does not come from the disk is judged all the same.
    assert_eq!(of(&restarted, "Unmeasured", a, at(1, 33)), (false, true));
    assert_eq!(of(&restarted, "Unreachable", a, at(1, 33)), (false, true));
    // Of b it is known that it has none.
    judged(&mut restarted, &shared, &config, at(2, 40));
    judged(&mut restarted, &shared, &config, at(3, 40));
    assert_eq!(
        of(&restarted, "NeverSucceeded", b, at(3, 40)),
        (true, false)
    );
    assert_eq!(
        of(&restarted, "NeverSucceeded", a, at(3, 40)),
        (false, false)
    );

    shared.update_nth(0, |view| view.status = ServerStatus::new(&morning()));
    shared.update_nth(0, |view| view.status.corrupt = 0);
    judged(&mut restarted, &shared, &config, at(3, 41));
    assert_eq!(of(&restarted, "Corrupt", a, at(3, 41)), (false, true));
}

#[test]
fn a_clock_that_is_set_back_sends_nothing_that_is_refused_and_stops_nothing() {
    let (shared, config) = (shared(&["a"]), told(&[]));
    let mut alerts = Alerts::new(alerts_rules());
    judged(&mut alerts, &shared, &config, at(5, 0));
    judged(&mut alerts, &shared, &config, at(5, 20));
    let before = alerts.due(at(5, 20)).len();
    assert_eq!(before, 3);
    judged(&mut alerts, &shared, &config, at(1, 0));
    let again = alerts.due(at(1, 0));
    assert_eq!(again.len(), before, "all are said again");
    for notice in again {
        assert!(notice.starts_at <= at(1, 0), "{notice:?}");
        assert!(!notice.is_over(at(1, 0)), "{notice:?}");
    }
    // What waits does so from now on.
    judged(&mut alerts, &shared, &config, at(2, 0));
    let fires = messages(&alerts.due(at(2, 0)), &config);
    assert!(
        fires.iter().any(|labels| labels.contains("NeverSucceeded")),
        "{fires:#?}"
    );
}

/// Nothing was read; the watchdog and what is known all the same go out after a minute, and not before.
#[tokio::test]
async fn a_disk_that_hangs_silences_nobody_for_more_than_a_minute() {
    let taking = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", taking.local_addr().expect("an address"));
    let shared = Shared::new(config(&["a"]).servers.into_iter().map(Arc::new), at(0, 30));
    let wanted = Arc::new(Alertmanager {
        urls: vec![url],
        ..Alertmanager::default()
    });
    let rounds = |began| {
        let (shared, wanted) = (shared.clone(), Arc::clone(&wanted));
        async move {
            let mut office = Office::new(shared, began).expect("rules");
            office.post.deliver_to(&wanted);
            office.round(&wanted, at(1, 0)).await.expect("judged");
            office
        }
    };
    let now = Instant::now();
    assert!(rounds(now).await.alerts.is_none(), "the disk is waited for");
    let _office = rounds(now.checked_sub(READING).expect("a moment")).await;
    let told = tokio::time::timeout(Duration::from_secs(5), taking.accept());
    told.await.expect("in time").expect("somebody is told");
}

#[tokio::test]
async fn a_file_that_could_not_be_read_is_written_anew() {
    use crate::store::alerts::{DIRECTORY, FILE_NAME};
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path().to_owned();
    let file = here.join(DIRECTORY).join(FILE_NAME);
    let directories = std::collections::BTreeMap::from([("a".to_owned(), here.clone())]);
    crate::store::alerts::write(&here, at(1, 0), vec!["what nobody understands"]).expect("written");
    let mut memory = Memory::default();
    assert_eq!(memory.recall(&directories, at(1, 1)).await, []);
    memory.keep(Default::default(), &directories, at(1, 1));
    let written = tokio::time::timeout(Duration::from_secs(5), memory.next());
    written.await.expect("it is written");
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(!text.contains("understands"), "{text}");
}

#[tokio::test]
async fn volumes_that_hang_keep_nobody_else_waiting() {
    let room = Arc::new(tokio::sync::Semaphore::new(2));
    let (end, hangs) = std::sync::mpsc::channel::<()>();
    let hangs = Arc::new(std::sync::Mutex::new(hangs));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let hangs = Arc::clone(&hangs);
        waiting.spawn(memory::blocking(Arc::clone(&room), move || {
            let _ = hangs.lock().expect("a lock").recv();
        }));
    }
    tokio::task::yield_now().await;
    let other = memory::blocking(room, || 7);
    let done = tokio::time::timeout(Duration::from_secs(8), other).await;
    assert_eq!(done.expect("in time"), Some(7));
    drop(end);
    while let Some(done) = waiting.join_next().await {
        assert_eq!(done.expect("joined"), Some(()), "it is heard of in the end");
    }
}

#[tokio::test]
async fn what_holds_is_on_disk_and_only_when_it_changes() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path().to_owned();
    let folder = here.join(crate::store::alerts::DIRECTORY);
    let file = folder.join(crate::store::alerts::FILE_NAME);
    let directories = std::collections::BTreeMap::from([("a".to_owned(), here)]);
    let (shared, config) = (shared(&["a", "elsewhere"]), told(&[]));
    let mut alerts = Alerts::new(alerts_rules());
    let mut memory = Memory::default();
    assert_eq!(memory.recall(&directories, at(1, 0)).await, []);
    judged(&mut alerts, &shared, &config, at(1, 0));
    memory.keep(memory::by_server(&alerts), &directories, at(1, 0));
    memory.next().await;
    let written = || std::fs::read_to_string(&file).expect("written");
    let first = written();
    judged(&mut alerts, &shared, &config, at(1, 5));
    let nothing = |memory: Memory| async move {
        let mut memory = memory;
        let waited = tokio::time::timeout(Duration::from_millis(50), memory.next()).await;
        assert!(waited.is_err(), "nothing is written");
        memory
    };
    memory.keep(memory::by_server(&alerts), &directories, at(1, 5));
    let mut memory = nothing(memory).await;
    assert_eq!(written(), first);
    memory.keep(memory::by_server(&alerts), &directories, at(1, 10));
    memory.next().await;
    assert_ne!(written(), first, "said again after 10 minutes");

    let mut after = Memory::default();
    let kept = after.recall(&directories, at(1, 30)).await;
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.iter().all(|kept| kept.active_at == at(1, 0)));
    assert_eq!(
        Memory::default().recall(&directories, at(2, 11)).await,
        [],
        "too old"
    );

    // Nothing holds any more, which is written once.
    after.keep(Default::default(), &directories, at(1, 31));
    after.next().await;
    assert!(!written().contains("active_at"));
    after.keep(Default::default(), &directories, at(1, 50));
    nothing(after).await;
}

/// Two hundred servers of which each has some alerts; the time is printed by `--nocapture`.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "how long it took is why one runs it by hand"
)]
fn two_hundred_servers_take_little() {
    let names: Vec<String> = (0..200).map(|count| format!("server-{count}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (shared, config) = (
        shared(&names),
        told(&[("cluster", "c1"), ("namespace", "db")]),
    );
    let rules = alerts_rules();
    let wanted = rules.metrics();
    let mut alerts = Alerts::new(Arc::clone(&rules));
    let mut took = Duration::MAX;
    for minute in 0..20 {
        let (now, began) = (at(1, minute), std::time::Instant::now());
        let mut samples: Samples =
            shared.read(|snapshot| metrics::samples(snapshot, now, &wanted, &config.labels));
        let taken = began.elapsed();
        assert_eq!(alerts.evaluate(&mut samples, now), []);
        let judged = began.elapsed();
        let due = alerts.due(now).len();
        let kept = memory::by_server(&alerts).len();
        let all = began.elapsed();
        println!(
            "samples {taken:?}, rules {:?}, rest {:?}; {due} notices, {kept} servers",
            judged - taken,
            all - judged
        );
        took = took.min(all);
    }
    assert!(took < Duration::from_millis(400), "{took:?}");
}
