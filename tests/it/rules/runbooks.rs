//! The runbooks: one for each alert, whose links lead somewhere and whose commands exist.

use std::fs;
use std::process::Command;

use super::{alerts, files, rules};
use crate::support::place::executable;

const HEADINGS: [&str; 4] = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];

#[test]
fn every_alert_has_a_runbook_with_four_headings_and_no_runbook_is_left_over() {
    let mut wanted: Vec<String> = alerts().into_iter().map(|alert| alert.name).collect();
    wanted.sort();
    let there: Vec<String> = files(&rules().join("runbooks"), "md")
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, wanted);
    for name in wanted {
        let text = fs::read_to_string(rules().join(format!("runbooks/{name}.md"))).unwrap();
        assert!(text.starts_with(&format!("# {name}\n")), "{name}");
        let headings: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(headings, HEADINGS, "{name}");
        for part in text.split("\n## ").skip(1) {
            assert!(part.lines().count() > 2, "{name}: nothing below {part}");
        }
    }
}

#[test]
fn the_link_of_every_alert_leads_to_its_runbook() {
    for alert in alerts() {
        let url = alert.annotations["runbook_url"].as_str().unwrap();
        let (_, path) = url
            .split_once("/blob/main/")
            .expect("a link into the repository");
        assert_eq!(path, format!("rules/runbooks/{}.md", alert.name));
        assert!(
            rules().parent().unwrap().join(path).is_file(),
            "{url} leads nowhere"
        );
    }
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut pages = files(&rules(), "md");
    pages.extend(files(&rules().join("runbooks"), "md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if !target.starts_with("https://") {
                let path = page.parent().unwrap().join(target);
                assert!(path.is_file(), "{}: {target} leads nowhere", page.display());
            }
        }
    }
}

#[test]
fn every_command_in_the_runbooks_exists_with_its_options() {
    let mut commands = 0;
    for page in files(&rules().join("runbooks"), "md") {
        let text = fs::read_to_string(&page).unwrap();
        for command in code(&text).iter().flat_map(|code| calls(code)) {
            let place = format!("{}: {command}", page.display());
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let help = help(&words).unwrap_or_else(|| panic!("{place}: no such command"));
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(
                    help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                        .any(|word| word == option),
                    "{place}: no option {option}"
                );
            }
            commands += 1;
        }
    }
    assert!(commands > 50, "{commands} commands");
}

#[test]
fn finds_commands_in_code_alone() {
    let text = "pgvigil is it\n```\npgvigil list\nkubectl exec deploy/pgvigil -- pgvigil check\n```\nSee `pgvigil verify --all`.";
    let found: Vec<String> = code(text).iter().flat_map(|code| calls(code)).collect();
    assert_eq!(
        found,
        ["pgvigil list", "pgvigil check", "pgvigil verify --all"]
    );
    assert!(help(&["dance"]).is_none());
    assert!(help(&["ledger", "dance"]).is_none());
}

/// Lines of blocks, and what stands in backquotes elsewhere.
fn code(text: &str) -> Vec<&str> {
    let blocks = text.split("```");
    blocks
        .enumerate()
        .flat_map(|(at, part)| {
            let lines: Vec<&str> = if at % 2 == 1 {
                part.lines().collect()
            } else {
                part.split('`').skip(1).step_by(2).collect()
            };
            lines
        })
        .collect()
}

/// The calls of pgvigil in a line.
fn calls(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap();
    line.match_indices("pgvigil ")
        .filter(|(at, _)| *at == 0 || line[..*at].ends_with("-- "))
        .map(|(at, _)| line[at..].split(" | ").next().unwrap().to_owned())
        .collect()
}

/// The help of the command that these words call.
fn help(words: &[&str]) -> Option<String> {
    let depth = if words.first() == Some(&"ledger") {
        2
    } else {
        1
    };
    let mut ask = Command::new(executable());
    ask.arg("help").args(words.iter().take(depth));
    let output = ask.output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
