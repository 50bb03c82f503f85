//! The status page: for each server, could I restore now, and what says so. Plain HTML that works without scripts and loads
//! nothing; maud escapes every text.
//!
//! [`overview`] is `/`, [`server`] a page for each server, [`backup`] one for each backup. All is rendered from the snapshot,
//! but for a backup's catalog and report, which are read when someone asks.

mod backup;
mod catalog;
mod chart;
mod moment;
mod overview;
mod report;
mod server;
mod trends;
mod wish;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};

use crate::status::{Level, SEGMENT, Snapshot, server_path};

pub(super) use backup::{Backup, render as render_backup};
pub(super) use overview::render;
pub(super) use server::render as render_server;
pub(super) use wish::Wish;

const STYLE: &str = include_str!("style.css");

/// What the browser may do with a page: nothing but apply this one style and send the page's own form, whatever a database
/// is called.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

const fn class(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Doubtful => "doubtful",
        Level::Bad => "bad",
    }
}

/// A word and a sign, so that nobody has to tell colours apart.
const fn word(level: Level) -> &'static str {
    match level {
        Level::Good => "✓ yes",
        Level::Doubtful => "? doubtful",
        Level::Bad => "✗ no",
    }
}

fn chip(level: Level) -> Markup {
    html! { span class={ "chip " (class(level)) } { (word(level)) } }
}

/// The address of a backup's page.
fn backup_path(server: &str, file_name: &str) -> String {
    let file_name = utf8_percent_encode(file_name, SEGMENT);
    format!("{}/backups/{file_name}", server_path(server))
}

/// What pages are made from.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Why the file with passwords and certificates is not in force as it is now.
    pub(super) web_problem: Option<&'a str>,
    pub(super) now: DateTime<Utc>,
}

/// What is around a page's content.
struct Frame<'a> {
    title: &'a str,
    /// Colours its icon.
    level: Option<Level>,
    /// What the visitor asked for, where the page can be asked for again every half minute.
    wish: Option<&'a Wish>,
    now: DateTime<Utc>,
}

impl Frame<'_> {
    fn around(&self, body: &Markup) -> String {
        let Self {
            title,
            level,
            wish,
            now,
        } = *self;
        let color = match level {
            Some(Level::Good) => "17652b",
            Some(Level::Doubtful) => "c98500",
            Some(Level::Bad) => "c21f1f",
            None => "808080",
        };
        let icon = format!(
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='4' fill='%23{color}'/%3E%3C/svg%3E"
        );
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    @if wish.is_some_and(|wish| wish.reload) { meta http-equiv="refresh" content="30"; }
                    title { (title) }
                    link rel="icon" href=(icon);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#content" { "To the content" }
                    header {
                        a.name href="/" { "pgvigil" }
                        nav aria-label="Formats" {
                            @match wish {
                                Some(wish) if wish.reload => a href=(wish.query(false)) { "Stop reloading" },
                                Some(wish) => a href=(wish.query(true)) { "Reload every 30 s" },
                                None => {},
                            }
                            a href="/metrics" { "Metrics" }
                            a href="/api/v1/status" { "Status as JSON" }
                            a href="/api/v1/openapi.yaml" { "API" }
                        }
                    }
                    main id="content" { (body) }
                    footer { "pgvigil " (env!("CARGO_PKG_VERSION")) ", as of " time datetime=(now.to_rfc3339()) { (moment::full(now)) } }
                }
            }
        };
        page.into_string()
    }
}

/// What concerns the process and not one server.
fn service(sight: Sight<'_>) -> Markup {
    let Sight {
        snapshot,
        web_problem,
        ..
    } = sight;
    html! {
        @if snapshot.draining {
            p.verdict.note.doubtful role="status" { "pgvigil is shutting down." }
        }
        @if let Some(error) = &snapshot.configuration_error {
            p.verdict.note.doubtful role="status" { "The configuration was not read again, the one before is in force: " (error) }
        }
        @if let Some(problem) = &snapshot.notify_problem {
            p.verdict.note.doubtful role="status" { (problem) }
        }
        @if let Some(problem) = web_problem {
            p.verdict.note.doubtful role="status" { "The web configuration was not read again, the one before is in force: " (problem) }
        }
        @if !snapshot.loaded {
            p.verdict.note.doubtful role="status" { "Reading the backup directories." }
        }
    }
}

#[cfg(test)]
mod tests;
