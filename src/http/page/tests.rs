//! The pages as text: what they say, that nothing gets out of its place, that many servers stay readable.

use std::sync::Arc;

use super::*;
use crate::config::Pause;
use crate::ledger::{Job, JobResult};
use crate::status::tests::{at, config, entry, morning};
use crate::status::{Loaded, Paused, ServerStatus, Shared, Space, answer};

fn shared(names: &[&str]) -> Shared {
    let shared = Shared::new(config(names).servers.into_iter().map(Arc::new), at(0, 0));
    shared.write(|snapshot| {
        snapshot.loaded = true;
        for view in &mut snapshot.servers {
            view.status.is_known = true;
            view.space = Space {
                size_bytes: 1_000,
                available_bytes: 600,
                used_bytes: 400,
                ..Space::default()
            };
        }
    });
    shared
}

fn sight(snapshot: &Snapshot) -> Sight<'_> {
    Sight {
        snapshot,
        web_problem: Some("line 2: no <such> key"),
        now: at(7, 0),
    }
}

fn page(shared: &Shared, query: &str) -> String {
    shared.read(|snapshot| render(sight(snapshot), &Wish::read(query)))
}

#[track_caller]
fn says(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

/// A morning after which the newest backup is damaged.
fn damaged() -> Loaded {
    let mut loaded = morning();
    loaded.entries.push(entry(
        Job::Verify,
        JobResult::Failed,
        at(6, 30),
        Some("new"),
    ));
    loaded
}

#[test]
fn before_the_directories_are_read_the_page_says_that_and_nothing_of_backups() {
    let shared = shared(&["a"]);
    shared.write(|snapshot| snapshot.loaded = false);
    let page = page(&shared, "");
    says(&page, &["Reading the backup directories"]);
    assert!(
        !page.contains("no backup") && !page.contains("There is none"),
        "{page}"
    );
}

#[test]
fn one_server_is_the_page_itself_and_everything_is_escaped() {
    let shared = shared(&["a"]);
    let mut loaded = morning();
    loaded
        .entries
        .push(entry(Job::Backup, JobResult::Error, at(6, 30), None));
    loaded.backups[0].file_name = "new<script>".to_owned();
    loaded.backups[0].databases[0].name = "<b>\"db'".to_owned();
    shared.write(|snapshot| {
        snapshot.configuration_error = Some("line 3: no <such> key".to_owned());
        snapshot.notify_problem = Some("Nobody hears: <refused>".to_owned());
    });
    shared.update_nth(0, |view| {
        view.status = ServerStatus::new(&loaded);
        view.queued = vec![Job::Drill];
        view.paused = Some(Paused {
            pause: Pause {
                reason: "<upgrade>".to_owned(),
                until: Some(at(9, 0)),
            },
            since: at(6, 0),
            configured: false,
        });
    });
    let page = page(&shared, "");
    says(
        &page,
        &[
            "Could I restore now?",
            "new&lt;script&gt;",
            "href=\"/servers/a/backups/new%3Cscript%3E\"",
            "&lt;b&gt;&quot;db'",
            "connect to &lt;db&gt;: refused",
            "4h old",
            "42 rows in 7 tables",
            "href=\"/metrics\"",
            "href=\"/api/v1/status\"",
            "line 3: no &lt;such&gt; key",
            "line 2: no &lt;such&gt; key",
            "Nobody hears: &lt;refused&gt;",
            "&lt;upgrade&gt;",
            "in 2h",
            "2026-06-01 09:00:00 UTC",
            "Waiting: drill",
            "PostgreSQL</dt><dd class=\"doubtful\">does not answer",
        ],
    );
    for never in ["<script", "<upgrade", "style=", "onclick", "javascript:"] {
        assert!(!page.contains(never), "{never}\n{page}");
    }
}

#[test]
fn many_servers_are_a_table_with_the_worst_first_that_can_be_narrowed_down() {
    let names: Vec<String> = (0..200).map(|number| format!("pg-{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shared = shared(&names);
    for place in 0..200 {
        let loaded = match place {
            150 => damaged(),
            199 => Loaded::default(),
            _ => morning(),
        };
        shared.update_nth(place, |view| {
            view.status = ServerStatus::new(&loaded);
            view.up = true;
        });
    }
    let order = |query: &str| -> Vec<String> {
        let page = page(&shared, query);
        let rows = page
            .split("<th class=\"name\" role=\"rowheader\" scope=\"row\"><a href=\"/servers/")
            .skip(1);
        rows.map(|row| row.split('"').next().unwrap_or_default().to_owned())
            .collect()
    };
    let all = order("");
    assert_eq!(all.len(), 200);
    assert_eq!(
        (all[0].as_str(), all[1].as_str(), all[2].as_str()),
        ("pg-150", "pg-199", "pg-000")
    );
    assert_eq!(order("show=bad").len(), 2);
    assert_eq!(order("name=PG-01&sort=name").len(), 10);
    assert_eq!(order("sort=age")[0], "pg-199", "none at all is the oldest");
    assert_eq!(order("name=%3Cscript%3E").len(), 0);
    says(
        &page(&shared, ""),
        &["198 of 200 servers for certain", "2 no", "<title>2 no"],
    );
    says(
        &page(&shared, "name=%22%3E%3Cb%3E"),
        &["value=\"&quot;&gt;&lt;b&gt;\"", "No server is like that"],
    );
    assert!(
        page(&shared, "").len() < 300 << 10,
        "{}",
        page(&shared, "").len()
    );
}

#[test]
fn only_who_asks_for_it_is_reloaded() {
    let shared = shared(&["a", "b"]);
    assert!(!page(&shared, "").contains("http-equiv"));
    says(
        &page(&shared, "reload=1"),
        &["http-equiv=\"refresh\"", "Stop reloading"],
    );
}

#[test]
fn a_good_answer_is_doubtful_where_the_directory_cannot_be_read() {
    let shared = shared(&["a"]);
    shared.update_nth(0, |view| view.status = ServerStatus::new(&morning()));
    let level = || shared.read(|snapshot| answer(&snapshot.servers[0], at(7, 0)).level);
    assert_eq!(level(), Level::Good);
    shared.update_nth(0, |view| {
        view.unreadable = Some("read it: denied".to_owned());
    });
    assert_eq!(level(), Level::Doubtful);
    says(
        &page(&shared, ""),
        &["As far as is known: Yes", "read it: denied"],
    );
}

#[test]
fn of_a_directory_that_was_never_read_nothing_is_said() {
    let shared = shared(&["a", "b"]);
    shared.update_nth(0, |view| {
        view.status = ServerStatus::default();
        view.unreadable = Some("read it: denied".to_owned());
    });
    let of = shared.read(|snapshot| render_server(sight(snapshot), "a", &Wish::default()));
    for page in [of.expect("a page"), page(&shared, "show=attention&name=a")] {
        says(
            &page,
            &["Unknown: its directory cannot be read.", "read it: denied"],
        );
        for word in [
            "no backup",
            "There is none",
            "never",
            "None in the ledger",
            "not measured",
        ] {
            assert!(!page.contains(word), "{word}: {page}");
        }
    }
}

#[test]
fn a_server_of_any_name_has_its_page() {
    let shared = shared(&["a.b-c", "other"]);
    let of =
        |name: &str| shared.read(|snapshot| render_server(sight(snapshot), name, &Wish::default()));
    says(
        &of("a.b-c").expect("a page"),
        &[
            "<h1>a.b-c</h1>",
            "There is none.",
            "No: there is no backup.",
        ],
    );
    assert_eq!(of("none"), None);
    assert_eq!(server_path("ä/b c"), "/servers/%C3%A4%2Fb%20c");
}

#[test]
fn what_runs_is_shown_with_how_far_it_is() {
    let shared = shared(&["a"]);
    let progress = crate::outcome::Progress::default();
    progress.stage("dump", 4 << 20);
    progress.add(1 << 20);
    shared.update_nth(0, |view| {
        view.running = Some(crate::status::Running {
            job: Job::Backup,
            started_at: at(6, 58),
            progress: progress.clone(),
        });
    });
    says(
        &page(&shared, ""),
        &[
            "<dd class=\"main\">backup</dd>",
            "2m ago",
            "dump, 1.0 MiB of about 4.0 MiB",
            "<progress max=\"4194304\" value=\"1048576\" aria-label=\"dump of the backup\">",
        ],
    );
    progress.stage("publish", 0);
    let page = page(&shared, "");
    assert!(
        page.contains("publish, 0 B") && !page.contains("<progress"),
        "{page}"
    );
}

#[test]
fn it_says_from_which_backup_to_restore() {
    let shared = shared(&["a"]);
    let best = |loaded: &Loaded| {
        shared.update_nth(0, |view| view.status = ServerStatus::new(loaded));
        page(&shared, "")
    };
    says(
        &best(&morning()),
        &["Newest proven by a test restore: <a href=\"/servers/a/backups/new\">"],
    );
    let page = best(&damaged());
    assert!(
        !page.contains("Newest proven") && !page.contains("Newest found whole"),
        "{page}"
    );
    let mut older = damaged();
    older.entries.push(entry(
        Job::Verify,
        JobResult::Passed,
        at(6, 40),
        Some("old"),
    ));
    says(
        &best(&older),
        &["Newest found whole: <a href=\"/servers/a/backups/old\">"],
    );
}
