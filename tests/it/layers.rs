//! The layers of src/lib.rs, read from the sources: no edge but those that are allowed, and one TLS library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top; a module may use any module of a layer below its own.
const LAYERS: [&[&str]; 5] = [
    &[
        "agenda",
        "catalog",
        "config",
        "error",
        "finding",
        "forecast",
        "ledger",
        "manifest",
        "outcome",
        "promql",
        "retention",
        "schedule",
        "sql",
        "wildcard",
    ],
    &["archive", "pg", "store"],
    &[
        "backup", "drill", "observe", "prune", "recorder", "restore", "verify", "http", "metrics",
        "notify", "status", "web",
    ],
    &["daemon"],
    &["cli"],
];

/// Edges inside of a layer. Jobs and reports are one layer, so no edge leads from one to the other but one of these.
const INSIDE: &[(&str, &str)] = &[
    // The pure modules.
    ("agenda", "ledger"),
    ("agenda", "schedule"),
    ("catalog", "finding"),
    ("catalog", "sql"),
    ("config", "error"),
    ("config", "schedule"),
    ("forecast", "config"),
    ("forecast", "ledger"),
    ("forecast", "retention"),
    ("forecast", "schedule"),
    ("ledger", "error"),
    ("ledger", "finding"),
    ("manifest", "catalog"),
    ("outcome", "error"),
    ("retention", "config"),
    ("retention", "ledger"),
    // The world: none. Files, formats and servers know nothing of each other.
    // The jobs.
    ("backup", "prune"),
    ("backup", "recorder"),
    ("drill", "recorder"),
    ("drill", "restore"),
    ("drill", "verify"),
    ("observe", "recorder"),
    ("observe", "verify"),
    ("prune", "recorder"),
    ("verify", "recorder"),
    // The reports.
    ("http", "metrics"),
    ("http", "status"),
    ("http", "web"),
    ("metrics", "status"),
    ("notify", "metrics"),
    ("notify", "status"),
];

#[test]
fn every_module_has_a_layer() {
    let mut placed: Vec<_> = LAYERS.concat();
    placed.sort_unstable();
    let there: Vec<_> = modules().into_keys().collect();
    assert_eq!(there, placed, "modules of src, and those with a layer");
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut used: BTreeSet<&(&str, &str)> = BTreeSet::new();
    for (module, files) in modules() {
        for file in files {
            for (line, other) in uses(&fs::read_to_string(&file).unwrap()) {
                let place = format!("{}:{line}", file.display());
                assert!(
                    layer(&other).is_some(),
                    "{place}: crate::{other} is no module with a layer"
                );
                if other == module || layer(&other) < layer(&module) {
                    continue;
                }
                let edge = INSIDE
                    .iter()
                    .find(|(from, to)| *from == module && *to == other);
                assert!(edge.is_some(), "{place}: {module} may not use {other}");
                used.extend(edge);
            }
        }
    }
    let stale: Vec<_> = INSIDE.iter().filter(|edge| !used.contains(edge)).collect();
    assert!(stale.is_empty(), "allowed, but not used: {stale:?}");
}

/// Paths from the root of the crate are written with `crate::`, or the test above would not see them.
#[test]
fn no_module_climbs_to_the_root_by_super() {
    for (_, files) in modules() {
        for file in files {
            let inside = file.strip_prefix(source()).unwrap();
            // The module of src/x.rs and of src/x/mod.rs is one below the root.
            let named = usize::from(!inside.ends_with("mod.rs"));
            let depth = inside.components().count() - 1 + named;
            let text = fs::read_to_string(&file).unwrap();
            for module in LAYERS.concat() {
                let path = format!("{}{module}::", "super::".repeat(depth));
                assert!(!text.contains(&path), "{}: {path}", file.display());
            }
        }
    }
}

#[test]
fn reads_every_form_of_a_path() {
    let text = "// crate::comment\nuse crate::{\n    store, verify::run,\n    pg::{a, b},\n};\nlet x = crate::error::Failure; \"crate::in_a_text\"; pub(in crate::cli) fn f();";
    let found: Vec<_> = uses(text).into_iter().map(|(_, other)| other).collect();
    assert_eq!(found, ["store", "verify", "pg", "error", "cli"]);
}

#[test]
fn one_tls_library_and_it_is_ring() {
    let lock = fs::read_to_string(source().with_file_name("Cargo.lock")).unwrap();
    let has = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    assert!(has("ring"));
    for other in [
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl",
        "openssl-sys",
        "native-tls",
    ] {
        assert!(!has(other), "{other} is in Cargo.lock");
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules of the crate's root with their files.
fn modules() -> BTreeMap<String, Vec<PathBuf>> {
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut directories = vec![source()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let inside = path.strip_prefix(source()).unwrap().to_str().unwrap();
            if inside.ends_with(".rs") && !["lib.rs", "main.rs"].contains(&inside) {
                let name = inside.split('/').next().unwrap().trim_end_matches(".rs");
                modules.entry(name.to_owned()).or_default().push(path);
            }
        }
    }
    modules
}

/// The modules that a source names behind `crate::`, with their lines.
fn uses(text: &str) -> Vec<(usize, String)> {
    let code: String = text
        .split_inclusive('\n')
        .map(|line| {
            // Texts in one line, and comments.
            let code = line.split("//").next().unwrap();
            let bare: String = code.split('"').step_by(2).collect();
            bare.trim_end().to_owned() + "\n"
        })
        .collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).map(|name| (line, name))),
            None => found.push((line, head(rest))),
        }
    }
    found
}

/// The first name of each path of a group, up to its closing brace.
fn group_heads(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let mut heads = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(String::new()),
            _ => heads.last_mut().unwrap().push(c),
        }
    }
    heads
        .into_iter()
        .map(|path| head(path.trim()))
        .filter(|name| !name.is_empty())
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}
