//! Named tasks that are owned and watched: none ends unseen, none outlives the set.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, FailureKind, Result};

/// A set of tasks. Dropping it aborts them.
#[derive(Default)]
pub(super) struct Tasks {
    set: JoinSet<Result<()>>,
    names: HashMap<Id, Named>,
}

/// What is known of a task.
struct Named {
    name: String,
    /// Once this is cancelled it may end.
    may_end: CancellationToken,
}

impl Tasks {
    /// Starts a task that goes on until `may_end` is cancelled.
    pub(super) fn spawn(
        &mut self,
        name: impl Into<String>,
        may_end: CancellationToken,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let id = self.set.spawn(task).id();
        let name = name.into();
        self.names.insert(id, Named { name, may_end });
    }

    /// Resolves when a task ends that should not: what happened to it. Never, where there is no task.
    pub(super) async fn next(&mut self) -> Failure {
        loop {
            match self.set.join_next_with_id().await {
                Some(Ok((id, Ok(())))) => {
                    if self
                        .names
                        .get(&id)
                        .is_none_or(|task| !task.may_end.is_cancelled())
                    {
                        return self.failure(id, "ended");
                    }
                    self.names.remove(&id);
                }
                Some(Ok((id, Err(failure)))) => return self.failure(id, "failed").because(failure),
                Some(Err(error)) => return self.panicked(&error),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until all tasks have ended, but not longer than `patience`; then aborts what is left. The first failure wins.
    pub(super) async fn finish(&mut self, patience: Duration) -> Result<()> {
        let mut result = Ok(());
        let all = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                result = std::mem::replace(&mut result, Ok(())).and(match ended {
                    Ok((_, ended)) => ended,
                    Err(error) => Err(panicked(&self.names, &error)),
                });
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            self.set.abort_all();
            let what = format!(
                "wait for {} tasks to end: not done after {} s",
                self.set.len(),
                patience.as_secs()
            );
            return Err(Failure::new(FailureKind::Timeout, what));
        }
        result
    }

    fn failure(&self, id: Id, what: &str) -> Failure {
        Failure::new(
            FailureKind::Io,
            format!("task \"{}\" {what}", name(&self.names, id)),
        )
    }

    fn panicked(&self, error: &JoinError) -> Failure {
        panicked(&self.names, error)
    }
}

fn name(names: &HashMap<Id, Named>, id: Id) -> &str {
    names.get(&id).map_or("unknown", |task| task.name.as_str())
}

fn panicked(names: &HashMap<Id, Named>, error: &JoinError) -> Failure {
    let what = format!("task \"{}\" panicked", name(names, error.id()));
    Failure::new(FailureKind::Io, what)
        .remedy("this is a bug; report it with the lines before this one")
}
