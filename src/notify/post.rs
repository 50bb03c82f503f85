//! Brings notices to every Alertmanager, each with one request at a time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use super::client::{self, Reading};
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
    reading: Reading,
}

/// What became of a delivery.
struct Delivered {
    url: String,
    taken: usize,
    result: Result<()>,
    left: usize,
}

/// Sends notices to an Alertmanager, a part at a time: one that is refused keeps no other from it. Gives how many were
/// taken, and the first failure.
pub async fn send(
    config: &Arc<Alertmanager>,
    url: &str,
    notices: &[Notice],
    rules: &Rules,
) -> (usize, Result<()>) {
    send_reading(config, url, notices, rules, &Reading::default()).await
}

async fn send_reading(
    config: &Arc<Alertmanager>,
    url: &str,
    notices: &[Notice],
    rules: &Rules,
    reading: &Reading,
) -> (usize, Result<()>) {
    let (mut taken, mut result) = (0, Ok(()));
    for part in notices.chunks(BATCH) {
        let sent = match body(part, rules, config) {
            Ok(body) => client::post(Arc::clone(config), url, body, reading).await,
            Err(error) => Err(Failure::new(FailureKind::Io, "write alerts as JSON").because(error)),
        };
        let Err(failure) = sent else {
            taken += part.len();
            continue;
        };
        let is_away = is_away(&failure);
        result = result.and(Err(failure));
        if is_away {
            break;
        }
    }
    (taken, result)
}

/// Whether the next request would fare no better: nobody answered, or nothing could be asked.
fn is_away(failure: &Failure) -> bool {
    matches!(
        failure.kind(),
        FailureKind::Connect | FailureKind::Timeout | FailureKind::Config
    )
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
            let reading = Arc::clone(&member.reading);
            self.on_the_way.spawn(async move {
                let sent = send_reading(&config, &url, &notices, &rules, &reading);
                let (taken, result) = sent.await;
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
        let problem = problem(&self.members);
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
            reading: Reading::default(),
        }
    }
}

/// What people are to know: alerts arrive as long as one member takes them.
fn problem(members: &[Member]) -> Option<String> {
    let mut problems = members.iter().filter_map(|member| member.problem.as_ref());
    let first = problems.next()?;
    let (away, all) = (1 + problems.count(), members.len());
    Some(if away == all {
        format!("Alerts do not reach Alertmanager: {first}")
    } else {
        format!("Alerts do not reach {away} of {all} Alertmanagers, but the others: {first}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nobody_takes_them_alerts_reach_nobody() {
        let mut members = ["http://a", "http://b"].map(Member::new);
        assert_eq!(problem(&members), None);
        members[1].problem = Some("b is away".to_owned());
        assert_eq!(
            problem(&members).as_deref(),
            Some("Alerts do not reach 1 of 2 Alertmanagers, but the others: b is away")
        );
        members[0].problem = Some("a is away".to_owned());
        assert_eq!(
            problem(&members).as_deref(),
            Some("Alerts do not reach Alertmanager: a is away")
        );
    }
}
