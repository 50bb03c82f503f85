//! What a dump sets for its session, so that other sessions can be given the same.

use std::sync::Arc;

/// Settings in the order in which they were first made.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The section's client_encoding. Our sessions themselves speak UTF-8, so it is never sent as a statement.
    pub(super) encoding: String,
    /// (name, statement)
    statements: Arc<Vec<(String, String)>>,
    /// Counts changes: a session with the same number has them all.
    pub(super) version: u64,
}

impl Settings {
    /// Notes a statement that sets this.
    pub(super) fn note(&mut self, name: String, statement: String) {
        let statements = Arc::make_mut(&mut self.statements);
        match statements.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = statement,
            None => statements.push((name, statement)),
        }
        self.version += 1;
    }

    /// What to run in a session that has none of them.
    pub(super) fn statements(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|(_, text)| text.as_str())
    }
}
