//! Brings notices to every Alertmanager, each with one request at a time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use super::client;
use super::message::body;
use super::rules::Rules;
use super::state::{Alerts, Notice};
use crate::config::Alertmanager;
use crate::error::{Failure, FailureKind, Result};
use crate::status::{Notified, Shared};

/// Alerts in one request, as Prometheus has it: about 80 KB.
const BATCH: usize = 64;

/// Who is told.
pub(super) struct Post {
    shared: Shared,
    rules: Arc<Rules>,
    members: Vec<Member>,
    on_the_way: JoinSet<Delivered>,
}

/// One Alertmanager.
struct Member {
    notified: Notified,
    /// A request of ours is not answered yet.
    busy: bool,
    /// It missed something, and is told everything again.
    behind: bool,
    problem: Option<String>,
}

/// What became of a delivery.
struct Delivered {
    url: String,
    taken: usize,
    result: Result<()>,
    left: usize,
}

/// Sends notices to an Alertmanager, a part at a time, until one is not taken. Gives how many were.
pub async fn send(
    config: &Arc<Alertmanager>,
    url: &str,
    notices: &[Notice],
    rules: &Rules,
) -> (usize, Result<()>) {
    let mut taken = 0;
    for part in notices.chunks(BATCH) {
        let sent = match body(part, rules, config) {
            Ok(body) => client::post(Arc::clone(config), url, body).await,
            Err(error) => Err(Failure::new(FailureKind::Io, "write alerts as JSON").because(error)),
        };
        if sent.is_err() {
            return (taken, sent);
        }
        taken += part.len();
    }
    (taken, Ok(()))
}

impl Post {
    pub(super) fn new(shared: Shared, rules: Arc<Rules>) -> Self {
        Self {
            shared,
            rules,
            members: Vec::new(),
            on_the_way: JoinSet::new(),
        }
    }

    /// From now on these are told; each hears everything first.
    pub(super) fn deliver_to(&mut self, config: &Alertmanager) {
        let mut before = std::mem::take(&mut self.members);
        for url in &config.urls {
            let known = before
                .iter()
                .position(|member| member.notified.alertmanager == *url);
            let mut member =
                known.map_or_else(|| Member::new(url), |place| before.swap_remove(place));
            member.behind = true;
            self.members.push(member);
        }
        self.show();
    }

    /// Sends what is due, and everything to those who missed something.
    pub(super) fn round(
        &mut self,
        config: &Arc<Alertmanager>,
        alerts: &mut Alerts,
        now: DateTime<Utc>,
    ) {
        let due: Arc<[Notice]> = alerts.due(now).into();
        let mut all: Option<Arc<[Notice]>> = None;
        for member in &mut self.members {
            if member.busy {
                member.behind |= !due.is_empty();
                continue;
            }
            let notices = if std::mem::take(&mut member.behind) {
                all.get_or_insert_with(|| alerts.all(now).into())
            } else {
                &due
            };
            if notices.is_empty() {
                continue;
            }
            member.busy = true;
            let (config, notices, rules) = (
                Arc::clone(config),
                Arc::clone(notices),
                Arc::clone(&self.rules),
            );
            let url = member.notified.alertmanager.clone();
            self.on_the_way.spawn(async move {
                let (taken, result) = send(&config, &url, &notices, &rules).await;
                Delivered {
                    url,
                    taken,
                    result,
                    left: notices.len() - taken,
                }
            });
        }
    }

    /// Hears what became of one delivery; waits for as long as there is none.
    pub(super) async fn next(&mut self) {
        match self.on_the_way.join_next().await {
            Some(Ok(delivered)) => self.heard(delivered),
            Some(Err(error)) => {
                // A bug; whoever it was for gets everything again.
                tracing::error!("send alerts: {error}");
                for member in &mut self.members {
                    (member.busy, member.behind) = (false, true);
                }
            }
            None => std::future::pending().await,
        }
    }

    fn heard(&mut self, delivered: Delivered) {
        let mut members = self.members.iter_mut();
        let Some(member) = members.find(|member| member.notified.alertmanager == delivered.url)
        else {
            return;
        };
        member.busy = false;
        member.notified.sent += delivered.taken as u64;
        if delivered.taken > 0 {
            member.notified.last_success = Some(Utc::now());
        }
        let url = &delivered.url;
        match delivered.result {
            Ok(()) => {
                if member.problem.take().is_some() {
                    tracing::info!(alertmanager = url, "Alertmanager takes alerts again");
                }
            }
            Err(failure) => {
                member.notified.failed += delivered.left as u64;
                member.behind = true;
                let sentence = failure.sentence();
                if member.problem.is_none() {
                    tracing::warn!(
                        alertmanager = url,
                        reason = failure.kind().policy().label,
                        "{sentence}"
                    );
                }
                member.problem = Some(sentence);
            }
        }
        self.show();
    }

    fn show(&self) {
        let notified = self
            .members
            .iter()
            .map(|member| member.notified.clone())
            .collect();
        let problem = self
            .members
            .iter()
            .find_map(|member| member.problem.clone());
        self.shared.write(|snapshot| {
            snapshot.notified = notified;
            snapshot.notify_problem = problem;
        });
    }
}

impl Member {
    fn new(url: &str) -> Self {
        Self {
            notified: Notified {
                alertmanager: url.to_owned(),
                ..Notified::default()
            },
            busy: false,
            behind: true,
            problem: None,
        }
    }
}
