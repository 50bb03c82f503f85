//! Samples and their labels.

use std::collections::HashMap;
use std::sync::Arc;

/// Names and values, sorted by name, none of them empty: an empty value is no label. The metric's name is not among them.
/// Clones share the texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, which arithmetic and aggregation drop.
    pub name: Option<Arc<str>>,
    /// The labels.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// Samples of one moment by metric.
#[derive(Clone, Debug, Default)]
pub struct Samples(HashMap<Arc<str>, Series>);

/// The samples of one metric.
pub(super) type Series = Vec<(Labels, f64)>;

impl Labels {
    /// Labels of pairs in any order; of those with one name the last counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut all: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            all.retain(|(known, _)| *known != name);
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        all.sort();
        Self(all.into())
    }

    /// No labels.
    pub fn none() -> Self {
        Self(Arc::from([]))
    }

    /// A label's value; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| **known == *name);
        found.map_or("", |(_, value)| value)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Those of these names alone.
    pub(super) fn only(&self, names: &[String]) -> Self {
        let wanted = |(name, _): &&(Arc<str>, Arc<str>)| names.iter().any(|n| **n == **name);
        if self.0.iter().all(|pair| wanted(&pair)) {
            return self.clone();
        }
        Self(self.0.iter().filter(wanted).cloned().collect())
    }
}

impl Samples {
    /// Adds a sample.
    pub fn add(&mut self, metric: &str, labels: Labels, value: f64) {
        match self.0.get_mut(metric) {
            Some(samples) => samples.push((labels, value)),
            None => {
                self.0.insert(metric.into(), vec![(labels, value)]);
            }
        }
    }

    /// Whether a metric has a sample with this label.
    pub fn has(&self, metric: &str, label: &str, value: &str) -> bool {
        let series = self.0.get(metric).into_iter().flatten();
        series
            .into_iter()
            .any(|(labels, _)| labels.get(label) == value)
    }

    /// Those of a metric, and its name.
    pub(super) fn of(&self, metric: &str) -> Option<(&Arc<str>, &Series)> {
        self.0.get_key_value(metric)
    }
}
