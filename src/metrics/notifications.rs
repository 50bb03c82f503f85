//! What is said about alerts that we send ourselves.

use super::families::Families;
use super::{number, seconds};
use crate::status::Snapshot;

pub(super) fn sent(out: &mut dyn Families, snapshot: &Snapshot) {
    for notified in &snapshot.notified {
        let name: &[(&str, &str)] = &[("alertmanager", &notified.alertmanager)];
        out.counter(
            "pgvigil_notifications_sent_total",
            "Alerts that Alertmanager took from us, each time they were sent.",
            name,
            number(notified.sent),
        );
        out.counter(
            "pgvigil_notifications_failed_total",
            "Alerts that Alertmanager did not take from us, each time they were sent.",
            name,
            number(notified.failed),
        );
        out.gauge(
            "pgvigil_notifications_last_success_timestamp_seconds",
            "When Alertmanager last took alerts from us; 0: never.",
            name,
            seconds(notified.last_success),
        );
    }
}
