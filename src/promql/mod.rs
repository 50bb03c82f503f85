//! The part of PromQL that rules/pgvigil.rules.yaml is written in, with the meaning that Prometheus gives it.
//!
//! ```text
//! text ── lexer ── parser ──> Expression ── evaluate(samples, time) ──> samples
//! ```
//!
//! Instant vectors alone: selectors with `=` and `!=`, `max by` and `min by`, comparisons that filter, arithmetic, `and`,
//! `or`, `unless`, one-to-one matching by all labels, `time()`, `vector()`, `clamp_min()`. What needs the past (ranges,
//! `absent`) or is not used by our rules is refused when an expression is read, never guessed at.

mod evaluate;
mod lexer;
mod parser;
mod samples;

pub use evaluate::EvaluationError;
pub use parser::{Expression, SyntaxError};
pub use samples::{Labels, Sample, Samples};

#[cfg(test)]
mod tests;
