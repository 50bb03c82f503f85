//! The same samples as values, for rules that are evaluated here.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::families::Families;
use crate::promql::{Labels, Samples};
use crate::status::Snapshot;

/// What Prometheus would read at a moment, of the `wanted` metrics alone. `labels` are those that it would give the target.
pub fn samples(
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    wanted: &BTreeSet<String>,
    labels: &BTreeMap<String, String>,
) -> Samples {
    let mut out = Values {
        wanted,
        target: labels,
        samples: Samples::default(),
        last: (Vec::new(), Labels::none()),
    };
    // Also the labels of what has none of its own.
    out.last.1 = out.labels(&[]);
    super::all(&mut out, snapshot, now);
    out.samples
}

struct Values<'a> {
    wanted: &'a BTreeSet<String>,
    target: &'a BTreeMap<String, String>,
    samples: Samples,
    /// The last labels: most samples of a server have the same, and share them.
    last: (Vec<(String, String)>, Labels),
}

impl Values<'_> {
    fn labels(&self, own: &[(&str, &str)]) -> Labels {
        let target = self.target.iter();
        let target = target.map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::new(target.chain(own.iter().copied()))
    }
}

impl Families for Values<'_> {
    fn add(
        &mut self,
        name: &'static str,
        _help: &'static str,
        _kind: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        if !self.wanted.contains(name) {
            return;
        }
        let known = self.last.0.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        if !known.eq(labels.iter().copied()) {
            let own = labels.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
            self.last = (own.collect(), self.labels(labels));
        }
        self.samples.add(name, self.last.1.clone(), value);
    }
}
