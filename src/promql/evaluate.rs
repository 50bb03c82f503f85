//! What an expression gives at a moment, as Prometheus has it.
//!
//! Two vectors are matched by all labels but the metric's name. Comparisons keep the left value and its name, arithmetic
//! and aggregation drop the name. Two samples of the same labels on one side of a match, or in what arithmetic gives, are
//! an error.

use std::collections::{HashMap, HashSet};

use super::parser::{Arithmetic, Best, Comparison, Expression, Matcher, Node, Operator, Set};
use super::samples::{Labels, Sample, Samples};

/// Why an expression gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// Two samples of one side have the same labels.
    #[error("several series have the same labels on one side of an operator")]
    ManyToMany,
    /// Without their names, two series are the same.
    #[error("the result holds the same labels twice")]
    SameLabels,
}

/// What a part gives.
enum Value {
    Scalar(f64),
    Vector(Vec<Sample>),
}

type Evaluated<T> = Result<T, EvaluationError>;

impl Expression {
    /// What it gives over these samples; `time` is in seconds since 1970. A number is a sample without labels.
    pub fn evaluate(&self, samples: &Samples, time: f64) -> Evaluated<Vec<Sample>> {
        Ok(match (At { samples, time }).value(&self.0)? {
            Value::Vector(samples) => samples,
            Value::Scalar(value) => vec![bare(value)],
        })
    }
}

/// A moment.
#[derive(Clone, Copy)]
struct At<'a> {
    samples: &'a Samples,
    time: f64,
}

impl At<'_> {
    fn value(self, node: &Node) -> Evaluated<Value> {
        Ok(match node {
            Node::Number(number) => Value::Scalar(*number),
            Node::Time => Value::Scalar(self.time),
            Node::Vector(of) => Value::Vector(vec![bare(self.scalar(of)?)]),
            Node::ClampMin(of, least) => {
                let least = self.scalar(least)?;
                Value::Vector(nameless(self.vector(of)?, |value| at_least(value, least))?)
            }
            Node::Selector { metric, matchers } => Value::Vector(self.selected(metric, matchers)),
            Node::Aggregate { best, by, of } => Value::Vector(best_by(*best, by, self.vector(of)?)),
            Node::Binary(operator, first, second) => {
                match (*operator, self.value(first)?, self.value(second)?) {
                    (Operator::Arithmetic(how), Value::Scalar(a), Value::Scalar(b)) => {
                        Value::Scalar(how.of(a, b))
                    }
                    (operator, first, second) => Value::Vector(binary(operator, first, second)?),
                }
            }
        })
    }

    /// The parser lets no vector in where a number is wanted, and none out.
    fn scalar(self, node: &Node) -> Evaluated<f64> {
        Ok(match self.value(node)? {
            Value::Scalar(value) => value,
            Value::Vector(samples) => samples.first().map_or(f64::NAN, |sample| sample.value),
        })
    }

    fn vector(self, node: &Node) -> Evaluated<Vec<Sample>> {
        Ok(match self.value(node)? {
            Value::Vector(samples) => samples,
            Value::Scalar(value) => vec![bare(value)],
        })
    }

    fn selected(self, metric: &str, matchers: &[Matcher]) -> Vec<Sample> {
        let Some((name, samples)) = self.samples.of(metric) else {
            return Vec::new();
        };
        let fits = |labels: &Labels| {
            let holds = |one: &Matcher| (labels.get(&one.label) == one.value) == one.equal;
            matchers.iter().all(holds)
        };
        let samples = samples.iter().filter(|(labels, _)| fits(labels));
        samples
            .map(|(labels, value)| Sample {
                name: Some(name.clone()),
                labels: labels.clone(),
                value: *value,
            })
            .collect()
    }
}

fn bare(value: f64) -> Sample {
    Sample {
        name: None,
        labels: Labels::none(),
        value,
    }
}

/// Go's `math.Max`: what is not a number stays so.
fn at_least(value: f64, least: f64) -> f64 {
    if value.is_nan() || least.is_nan() {
        return f64::NAN;
    }
    value.max(least)
}

fn best_by(best: Best, by: &[String], samples: Vec<Sample>) -> Vec<Sample> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Sample> = Vec::new();
    for Sample { labels, value, .. } in samples {
        let labels = labels.only(by);
        let place = *places.entry(labels.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) if best.is_better(value, group.value) => group.value = value,
            Some(_) => {}
            None => groups.push(Sample {
                name: None,
                labels,
                value,
            }),
        }
    }
    groups
}

fn binary(operator: Operator, first: Value, second: Value) -> Evaluated<Vec<Sample>> {
    match (operator, first, second) {
        (Operator::Set(set), Value::Vector(first), Value::Vector(second)) => {
            Ok(set.of(first, second))
        }
        (Operator::Compare(how), Value::Vector(first), Value::Scalar(number)) => Ok(first
            .into_iter()
            .filter(|sample| how.holds(sample.value, number))
            .collect()),
        (Operator::Compare(how), Value::Scalar(number), Value::Vector(second)) => Ok(second
            .into_iter()
            .filter(|sample| how.holds(number, sample.value))
            .collect()),
        (Operator::Compare(how), Value::Vector(first), Value::Vector(second)) => {
            matched(first, second, |sample, other| {
                how.holds(sample.value, other).then_some(sample)
            })
        }
        (Operator::Arithmetic(how), Value::Vector(first), Value::Scalar(number)) => {
            nameless(first, |value| how.of(value, number))
        }
        (Operator::Arithmetic(how), Value::Scalar(number), Value::Vector(second)) => {
            nameless(second, |value| how.of(number, value))
        }
        (Operator::Arithmetic(how), Value::Vector(first), Value::Vector(second)) => {
            matched(first, second, |sample, other| {
                Some(Sample {
                    name: None,
                    value: how.of(sample.value, other),
                    ..sample
                })
            })
        }
        // The parser lets neither through.
        (Operator::Set(_) | Operator::Compare(_), _, _)
        | (Operator::Arithmetic(_), Value::Scalar(_), Value::Scalar(_)) => Ok(Vec::new()),
    }
}

/// One-to-one, by all labels.
fn matched(
    first: Vec<Sample>,
    second: Vec<Sample>,
    join: impl Fn(Sample, f64) -> Option<Sample>,
) -> Evaluated<Vec<Sample>> {
    let mut others = HashMap::with_capacity(second.len());
    for sample in second {
        if others.insert(sample.labels, sample.value).is_some() {
            return Err(EvaluationError::ManyToMany);
        }
    }
    let mut taken = HashSet::new();
    let mut joined = Vec::new();
    for sample in first {
        let Some(other) = others.get(&sample.labels) else {
            continue;
        };
        let labels = sample.labels.clone();
        if let Some(sample) = join(sample, *other) {
            if !taken.insert(labels) {
                return Err(EvaluationError::ManyToMany);
            }
            joined.push(sample);
        }
    }
    Ok(joined)
}

/// The same samples with other values and no names.
fn nameless(samples: Vec<Sample>, change: impl Fn(f64) -> f64) -> Evaluated<Vec<Sample>> {
    let mut seen = HashSet::with_capacity(samples.len());
    samples
        .into_iter()
        .map(|sample| {
            if !seen.insert(sample.labels.clone()) {
                return Err(EvaluationError::SameLabels);
            }
            Ok(Sample {
                name: None,
                value: change(sample.value),
                ..sample
            })
        })
        .collect()
}

impl Set {
    fn of(self, mut first: Vec<Sample>, second: Vec<Sample>) -> Vec<Sample> {
        let labels = |samples: &[Sample]| -> HashSet<Labels> {
            samples.iter().map(|sample| sample.labels.clone()).collect()
        };
        match self {
            Self::And => {
                let there = labels(&second);
                first.retain(|sample| there.contains(&sample.labels));
            }
            Self::Unless => {
                let there = labels(&second);
                first.retain(|sample| !there.contains(&sample.labels));
            }
            Self::Or => {
                let there = labels(&first);
                let new = second.into_iter();
                first.extend(new.filter(|sample| !there.contains(&sample.labels)));
            }
        }
        first
    }
}

impl Comparison {
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
        }
    }
}

impl Arithmetic {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
        }
    }
}

impl Best {
    /// Anything is better than what is not a number.
    fn is_better(self, value: f64, known: f64) -> bool {
        known.is_nan()
            || match self {
                Self::Max => value > known,
                Self::Min => value < known,
            }
    }
}
