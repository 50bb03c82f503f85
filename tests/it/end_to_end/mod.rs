//! From the fault to the text that a person reads, with nothing made up in between: PostgreSQL, pgvigil, Prometheus,
//! Alertmanager, and who receives its messages.
//!
//! Six things go wrong at once, each with a server of its own, and each is mended when it was told. Beside them two servers
//! stay well all the time. `make test` runs it with minutes made seconds, `make end-to-end` as it is (it takes 50 minutes).

mod faults;
mod form;
mod receiver;
mod site;
mod stack;
mod transcript;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::program::all_gone;
use crate::support::{place::Place, wait_until};
use faults::Fault;
use form::Form;
use receiver::{Message, Notification, Receiver};
use site::{HEALTHY, Site};
use stack::Stack;
use transcript::Transcript;

const MINUTE: Duration = Duration::from_secs(60);

/// How far a fault has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    There,
    /// It was told, and is mended.
    Mended,
    /// That was told too.
    Over,
}

/// Alerts by name and server.
type Alerts = BTreeSet<(String, String)>;

#[test]
fn six_faults_are_told_and_so_is_their_end() {
    let form = Form::asked();
    let mut transcript = Transcript::begin(form);
    transcript.note(&format!(
        "the {} form: Prometheus asks every {}",
        form.name(),
        form.interval()
    ));
    let mut site = Site::start();
    let receiver = Receiver::start();
    let stacks = Place::new();
    let stack = Stack::start(form, &stacks, &receiver, &site.targets());
    let up = format!("sum(pgvigil_up) == {}", HEALTHY.len() + faults::ALL.len());
    wait_until("all servers are seen", 2 * MINUTE, || {
        !stack.ask(&up).is_empty()
    });
    transcript.note("all servers are seen");
    for fault in faults::ALL {
        transcript.note(&format!("{}: {}", fault.server, fault.happens));
        (fault.brings)(&mut site);
    }
    let heard = watch(form, &mut site, &receiver, &mut transcript);
    only_those_were_told(&heard);
    pages_and_mails_went_out(&heard);
    let healthy = the_healthy_were_at_work(&site, &stack);
    only_those_fired(&stack);
    transcript.note(&healthy);
    transcript.note("all six were told and are over, and nothing else was");
    eprintln!("{}", transcript.path().display());
    drop(stack);
    let place = site.stop();
    all_gone(&place, Duration::from_secs(20));
    all_gone(&stacks, Duration::from_secs(20));
}

/// Reads what arrives, mends what was told, until all is told and over and there were signs of life. Gives all that arrived.
fn watch(
    form: Form,
    site: &mut Site,
    receiver: &Receiver,
    transcript: &mut Transcript,
) -> Vec<Notification> {
    let end = Instant::now() + form.deadline();
    let mut stages = faults::ALL.map(|fault| (fault, Stage::There));
    let mut heard = Vec::new();
    while signs_of_life(&heard) < 2 || stages.iter().any(|(_, stage)| *stage != Stage::Over) {
        let open: Vec<_> = stages
            .iter()
            .filter(|(_, stage)| *stage != Stage::Over)
            .map(|(fault, stage)| (fault.server, stage))
            .collect();
        assert!(Instant::now() < end, "in vain: {open:?}");
        for (at, notification) in receiver.since(heard.len()) {
            transcript.arrived(at, &notification);
            if let Notification::Chat(message) = &notification {
                for (fault, stage) in &mut stages {
                    *stage = next(fault, *stage, message, site, transcript);
                }
            }
            heard.push(notification);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    heard
}

fn signs_of_life(heard: &[Notification]) -> usize {
    let alive = heard
        .iter()
        .filter(|one| matches!(one, Notification::Alive));
    alive.count()
}

fn next(
    fault: &Fault,
    stage: Stage,
    message: &Message,
    site: &mut Site,
    transcript: &mut Transcript,
) -> Stage {
    match stage {
        Stage::There if fault.is_told_by(message) => {
            assert_eq!(message.link, fault.runbook());
            let colour = if fault.severity == "critical" {
                "danger"
            } else {
                "warning"
            };
            assert_eq!(message.colour, colour);
            transcript.note(&format!("{}: {}", fault.server, fault.mending));
            (fault.mend)(site);
            Stage::Mended
        }
        Stage::Mended if fault.is_ended_by(message) => {
            assert_eq!(message.colour, "good");
            Stage::Over
        }
        other => other,
    }
}

/// Every message is about a fault that was made, in the words that were expected.
fn only_those_were_told(heard: &[Notification]) {
    for notification in heard {
        let (Notification::Chat(message) | Notification::Mail(message)) = notification else {
            continue;
        };
        let known = faults::ALL
            .iter()
            .any(|fault| fault.is_told_by(message) || fault.is_ended_by(message));
        let (alert, server) = faults::BESIDES;
        let besides =
            message.text.contains(alert) && message.title.contains(&format!("[{server} "));
        assert!(known || besides, "{message:#?}");
    }
}

/// What wakes somebody woke somebody, and what can wait went by mail; both heard the end of it.
fn pages_and_mails_went_out(heard: &[Notification]) {
    for fault in faults::ALL {
        let paged = |status: &str| {
            heard.iter().any(|one| match one {
                Notification::Pager(json) => {
                    let alert = &json["alerts"][0];
                    json["status"] == status
                        && alert["labels"]["alertname"] == fault.alert
                        && alert["labels"]["server"] == fault.server
                        && alert["annotations"]["runbook_url"] == fault.runbook().as_str()
                }
                _ => false,
            })
        };
        let mailed = |is: fn(&Fault, &Message) -> bool| {
            heard
                .iter()
                .any(|one| matches!(one, Notification::Mail(message) if is(&fault, message)))
        };
        let critical = fault.severity == "critical";
        assert_eq!(paged("firing"), critical, "{} at the pager", fault.alert);
        assert_eq!(paged("resolved"), critical, "{} at the pager", fault.alert);
        assert_eq!(
            mailed(Fault::is_told_by),
            !critical,
            "{} by mail",
            fault.alert
        );
        assert_eq!(
            mailed(Fault::is_ended_by),
            !critical,
            "{} by mail",
            fault.alert
        );
    }
}

/// Prometheus' own record, which holds what Alertmanager kept silent too.
fn only_those_fired(stack: &Stack) {
    let fired =
        stack.ask("group by (alertname, server) (last_over_time(ALERTS{alertstate='firing'}[1d]))");
    let label = |metric: &Value, name: &str| metric[name].as_str().unwrap_or_default().to_owned();
    let mut fired: Alerts = fired
        .iter()
        .map(|(metric, _)| (label(metric, "alertname"), label(metric, "server")))
        .collect();
    let (alert, server) = faults::BESIDES;
    fired.remove(&(alert.to_owned(), server.to_owned()));
    let expected = faults::ALL
        .iter()
        .map(|fault| (fault.alert.to_owned(), fault.server.to_owned()))
        .chain([("PgvigilWatchdog".to_owned(), String::new())]);
    assert_eq!(fired, expected.collect::<Alerts>());
}

/// Silence says something only where there was something to hear. Gives what there was.
fn the_healthy_were_at_work(site: &Site, stack: &Stack) -> String {
    let mut told = Vec::new();
    for server in HEALTHY {
        let done = |job: &str| site.ledger(server, job).len();
        wait_until("the healthy have done all there is", 5 * MINUTE, || {
            done("backup") > 1 && done("verify") > 1 && done("drill") > 1
        });
        let failed = |job: &str| {
            let entries = site.ledger(server, job);
            entries.iter().any(|entry| entry["result"] != "passed")
        };
        for job in ["backup", "verify", "drill"] {
            assert!(!failed(job), "{job} of {server}");
        }
        let seen = stack.ask(&format!(
            "count_over_time(pgvigil_up{{server='{server}'}}[1d])"
        ));
        told.push(format!(
            "{server}: all passed ({} backups, {} verifications, {} test restores), {} scrapes, no alert",
            done("backup"),
            done("verify"),
            done("drill"),
            seen[0].1
        ));
    }
    told.join("; ")
}
