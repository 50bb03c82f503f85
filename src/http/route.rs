//! Which paths there are: one table, which the server goes by and which the description of the API is checked against.

use percent_encoding::percent_decode_str;

use crate::ledger::Job;

/// What stands for a server's name in a path of [`ROUTES`], and for the file name of a backup.
const NAME: &str = "{name}";
const FILE: &str = "{file}";

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The page for people.
    Page,
    /// The page of one server.
    Server,
    /// The page of one backup.
    Backup,
    /// What Prometheus reads.
    Metrics,
    /// Whether the process is alive.
    Healthy,
    /// Whether what it says can be counted on.
    Ready,
    /// How every server is, as JSON.
    Status,
    /// Every backup kept, as JSON.
    Backups,
    /// The description of the API.
    Description,
    /// Runs a job of a server.
    Start(Job),
    /// Pauses a server.
    Pause,
    /// Ends the pause of a server.
    Resume,
    /// Reads the configuration again.
    Reload,
}

/// A path that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// What it is for.
    pub(super) kind: Kind,
    /// The server that it names, decoded; empty where it names none.
    pub(super) server: String,
    /// The backup's file, likewise.
    pub(super) backup: String,
}

/// Every path. Nothing else is served.
pub(super) const ROUTES: [(&str, Kind); 17] = [
    ("/", Kind::Page),
    ("/servers/{name}", Kind::Server),
    ("/servers/{name}/backups/{file}", Kind::Backup),
    ("/metrics", Kind::Metrics),
    ("/-/healthy", Kind::Healthy),
    ("/livez", Kind::Healthy),
    ("/-/ready", Kind::Ready),
    ("/readyz", Kind::Ready),
    ("/api/v1/status", Kind::Status),
    ("/api/v1/backups", Kind::Backups),
    ("/api/v1/openapi.yaml", Kind::Description),
    ("/api/v1/servers/{name}/backup", Kind::Start(Job::Backup)),
    ("/api/v1/servers/{name}/verify", Kind::Start(Job::Verify)),
    ("/api/v1/servers/{name}/drill", Kind::Start(Job::Drill)),
    ("/api/v1/servers/{name}/pause", Kind::Pause),
    ("/api/v1/servers/{name}/resume", Kind::Resume),
    ("/-/reload", Kind::Reload),
];

impl Kind {
    /// Whether it changes something. Such a path takes POST alone, any other GET and HEAD.
    pub(super) const fn is_action(self) -> bool {
        matches!(
            self,
            Self::Start(_) | Self::Pause | Self::Resume | Self::Reload
        )
    }

    /// The methods that it takes, as the header `Allow` lists them.
    pub(super) const fn methods(self) -> &'static str {
        if self.is_action() {
            "POST"
        } else {
            "GET, HEAD"
        }
    }
}

/// The route of a path as it was sent.
pub(super) fn find(path: &str) -> Option<Route> {
    ROUTES
        .iter()
        .find_map(|(template, kind)| follow(template, *kind, path))
}

/// The route, where the path is like the template, segment by segment.
fn follow(template: &str, kind: Kind, path: &str) -> Option<Route> {
    let mut route = Route {
        kind,
        server: String::new(),
        backup: String::new(),
    };
    let mut segments = path.split('/');
    for wanted in template.split('/') {
        let segment = segments.next()?;
        match wanted {
            NAME => route.server = name(segment)?,
            FILE => route.backup = name(segment)?,
            _ if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(route)
}

/// A name out of a path; `None` where it is no text.
fn name(segment: &str) -> Option<String> {
    if segment.is_empty() {
        return None;
    }
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_and_are_one_segment() {
        let server = |path: &str| find(path).map(|route| route.server);
        let backup = |name: &str| format!("/api/v1/servers/{name}/backup");
        assert_eq!(server(&backup("a")).as_deref(), Some("a"));
        assert_eq!(server(&backup("%61.b")).as_deref(), Some("a.b"));
        assert_eq!(server(&backup("a%2Fb")).as_deref(), Some("a/b"));
        // What is no escape stays as it is, and names no server then.
        assert_eq!(server(&backup("%6")).as_deref(), Some("%6"));
        let page = find("/servers/a%2Fb/backups/..%2Fc").expect("a backup's page");
        assert_eq!(
            (page.server.as_str(), page.backup.as_str()),
            ("a/b", "../c")
        );
        for none in [
            &backup(""),
            &backup("a/b"),
            &backup("%ff"),
            "/api/v1/servers/a",
            "/metrics/",
            "/servers/",
            "/servers/a/",
            "/servers/a/backups/",
            "/servers/a/backups/b/c",
        ] {
            assert_eq!(server(none), None, "{none}");
        }
    }
}
