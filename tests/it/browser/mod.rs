//! The status page in a real browser: accessible to everyone, at home on a phone, without scripts, and without anything
//! from elsewhere.
//!
//! With PGVIGIL_SCREENSHOTS set to a directory, pictures of what is looked at are left there (`make screenshots`).

mod driver;
mod scenes;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use driver::{Browser, Look};
use scenes::Scene;

/// The tallest picture that is taken, in CSS pixels.
const TALLEST: u64 = 1_600;

/// axe-core, which knows the rules of accessibility.
fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/axe/axe.min.js");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run .ci/install test", path.display()))
}

#[test]
fn the_pages_are_accessible_fit_the_screen_and_load_nothing() {
    let (axe, browser) = (axe(), Browser::start(true));
    // Who checks the checker: a picture without words, quiet text on a quiet ground, no language.
    browser.open(
        "data:text/html,<img src='data:,'><p style='color:%23bbb;background:%23fff'>words</p>",
    );
    let found = violations(&browser, &axe).join("\n");
    for rule in ["image-alt", "color-contrast", "html-has-lang"] {
        assert!(found.contains(rule), "axe does not see {rule}: {found}");
    }
    browser.complaints();
    for scene in Scene::all() {
        let (name, address) = (scene.name, scene.url(""));
        for (page, path) in pages(&scene) {
            for look in Look::ALL {
                let what = format!("{name} {page} {}", look.name());
                browser.look(look);
                browser.open(&scene.url(&path));
                let violations = violations(&browser, &axe);
                assert!(violations.is_empty(), "{what}: {violations:#?}");
                let wide =
                    browser.evaluate("return [document.documentElement.scrollWidth, innerWidth]");
                assert!(
                    wide[0].as_u64() <= wide[1].as_u64(),
                    "{what} is wider than the screen: {wide}"
                );
                let loaded = browser
                    .evaluate("return performance.getEntriesByType('resource').map(e => e.name)");
                let foreign: Vec<_> = loaded
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|url| !url.as_str().unwrap().starts_with("data:"))
                    .collect();
                assert!(foreign.is_empty(), "{what} of {address} loads {foreign:?}");
                assert_eq!(browser.complaints(), [] as [String; 0], "{what}");
                if page.is_empty() {
                    take_picture(&browser, look, name);
                } else if (page, look) == ("backup", Look::Light) {
                    take_picture(&browser, look, page);
                }
            }
        }
    }
}

#[test]
fn the_page_works_without_scripts_and_with_the_keyboard_alone() {
    let browser = Browser::start(false);
    browser.open("data:text/html,<title>off</title><script>document.title='on'</script>");
    assert_eq!(
        browser.evaluate("return document.title"),
        "off",
        "scripts are to be off"
    );
    let scene = Scene::many("few", 45);
    browser.look(Look::Light);
    browser.open(&scene.url("/"));
    let servers =
        "return [...document.querySelectorAll('table.overview tbody th')].map(e => e.innerText)";
    let all = browser.evaluate(servers);
    assert_eq!(all.as_array().unwrap().len(), 45);
    // The worst first.
    assert_eq!(all[0], "team-01-postgres-07");
    browser.submit("#name", "team-04");
    let some = browser.evaluate(servers);
    let names: Vec<_> = some
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(names.len(), 5);
    assert!(
        names.iter().all(|name| name.starts_with("team-04")),
        "{names:?}"
    );
    // From the top of the page with the tabulator alone.
    let here = "const e = document.activeElement; return e.id || e.getAttribute('href') || e.getAttribute('aria-label') || e.tagName";
    browser.open(&scene.url("/"));
    let mut reached = Vec::new();
    for _ in 0..16 {
        browser.press('\u{e004}');
        reached.push(browser.evaluate(here).as_str().unwrap().to_owned());
    }
    for wanted in [
        "#content",
        "/metrics",
        "name",
        "show",
        "sort",
        "BUTTON",
        "Servers",
        "/servers/team-01-postgres-07",
    ] {
        assert!(
            reached.iter().any(|one| one == wanted),
            "{wanted}: {reached:?}"
        );
    }
}

/// The pages of a scene that are looked at: a name for the picture, and the path.
fn pages(scene: &Scene) -> Vec<(&'static str, String)> {
    let mut pages = vec![("", "/".to_owned())];
    match scene.name {
        "healthy" => {
            let page = scene.sidecar.get("/").body;
            let newest = page
                .split("href=\"/servers/orders/backups/")
                .nth(1)
                .unwrap();
            let newest = newest.split('"').next().unwrap();
            pages.push(("backup", format!("/servers/orders/backups/{newest}")));
        }
        "many" => {
            pages.push(("narrowed", "/?show=attention".to_owned()));
            pages.push(("server", "/servers/team-01-postgres-07".to_owned()));
        }
        _ => {}
    }
    pages
}

/// What axe finds wrong: rule, and where.
fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    let run = "const done = arguments[arguments.length - 1]; axe.run(document, { resultTypes: ['violations'] }).then(r => done(r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).slice(0, 3).join(' | '))), e => done(['axe: ' + e]))";
    let found = browser.evaluate_later(&format!("{axe};\n{run}"));
    let found = found.as_array().unwrap().iter();
    found
        .map(|violation| violation.as_str().unwrap().to_owned())
        .collect()
}

fn take_picture(browser: &Browser, look: Look, name: &str) {
    let Some(directory) = std::env::var_os("PGVIGIL_SCREENSHOTS").map(PathBuf::from) else {
        return;
    };
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{name}-{}.png", look.name()));
    fs::write(path, browser.picture(look, TALLEST)).unwrap();
}
