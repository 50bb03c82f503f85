//! The example for Alertmanager: it fits together, every alert finds its way, and messages read as they should.

use std::fs;
use std::process::Command;

use super::{alerts, rules, run};
use crate::support::programs;

#[test]
fn amtool_takes_the_example() {
    let mut check = Command::new(programs::amtool());
    check
        .arg("check-config")
        .arg(rules().join("alertmanager/alertmanager.example.yaml"));
    assert_eq!(run(&mut check), Ok(()));
}

#[test]
fn alerts_find_their_receivers() {
    let text = fs::read_to_string(rules().join("alertmanager/tests/routes")).unwrap();
    let mut routes = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (labels, receivers) = line.split_once(" -> ").expect("labels -> receivers");
        assert!(finds(labels.split(' '), receivers), "{line}");
        routes += 1;
    }
    assert!(routes > 4, "{routes} routes");
    assert!(!finds(["alertname=Other"].into_iter(), "pager"));
}

#[test]
fn every_alert_finds_the_receivers_of_its_severity() {
    for alert in alerts() {
        let receivers = match alert.severity.as_str() {
            "critical" => "pager,chat",
            "warning" => "chat-and-mail",
            _ => "dead-mans-switch",
        };
        let labels = [
            format!("alertname={}", alert.name),
            format!("severity={}", alert.severity),
        ];
        assert!(
            finds(labels.iter().map(String::as_str), receivers),
            "{alert:?}"
        );
    }
}

#[test]
fn messages_read_as_they_should() {
    for case in ["firing", "resolved"] {
        let folder = rules().join("alertmanager/tests");
        let wanted = fs::read_to_string(folder.join(format!("{case}.txt"))).unwrap();
        let mut told = String::new();
        for template in ["title", "link", "colour", "text", "html"] {
            let kind = if template == "html" { "html" } else { "text" };
            let output = Command::new(programs::amtool())
                .args(["template", "render"])
                .arg(format!(
                    "--template.glob={}",
                    rules().join("alertmanager/templates/*.tmpl").display()
                ))
                .arg(format!(
                    "--template.text={{{{ template \"pgvigil.{template}\" . }}}}"
                ))
                .arg(format!("--template.type={kind}"))
                .arg(format!(
                    "--template.data={}",
                    folder.join(format!("{case}.json")).display()
                ))
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            told += &format!(
                "== {template}\n{}\n",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        assert_eq!(told, wanted, "{case}.json, rendered, and {case}.txt");
    }
}

fn finds<'a>(labels: impl Iterator<Item = &'a str>, receivers: &str) -> bool {
    let mut test = Command::new(programs::amtool());
    test.args(["config", "routes", "test", "--config.file"])
        .arg(rules().join("alertmanager/alertmanager.example.yaml"))
        .arg(format!("--verify.receivers={receivers}"))
        .args(labels);
    run(&mut test).is_ok()
}
