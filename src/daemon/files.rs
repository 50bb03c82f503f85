//! Watches over a server's backups where something else takes them, beside the jobs: what is being written is known also
//! while a drill runs. A file is read when no job has the directory, and one at a time.

use std::time::Duration;

use super::Context;
use super::desk::Desk;
use crate::config::Server;
use crate::error::Result;
use crate::ledger::Job;
use crate::observe::{self, Memory};
use crate::outcome::Progress;
use crate::status::{BackupSummary, Running};

/// How long to wait where there is nothing to watch over, what there is cannot be listed, or a job has the directory.
const AGAIN: Duration = Duration::from_secs(10);

/// Looks, and reads what is ready, until the drain or until the configuration has the server no longer.
pub(super) async fn watch(context: Context, id: u64, desk: Desk) -> Result<()> {
    let mut memory = Memory::default();
    while !desk.is_retired() && !context.stop.is_draining() {
        let server = desk.config();
        let wait = if server.observes().is_some() {
            round(&context, id, &desk, &server, &mut memory).await
        } else {
            memory = Memory::default();
            show(&context, id, &observe::Seen::default());
            AGAIN
        };
        if context.pause(wait).await.is_none() {
            break;
        }
    }
    Ok(())
}

/// One look, and at most one file read; how long to wait before the next.
async fn round(
    context: &Context,
    id: u64,
    desk: &Desk,
    server: &Server,
    memory: &mut Memory,
) -> Duration {
    let seen = match observe::look(server, memory).await {
        Ok(seen) => seen,
        Err(failure) => {
            // Whoever reads the directory for the reports says it too.
            tracing::debug!(server = server.name, "{}", failure.sentence());
            return AGAIN;
        }
    };
    show(context, id, &seen);
    let paused = desk
        .pause()
        .is_some_and(|pause| pause.holds(context.clock.now()));
    let mut wait = seen.again;
    let mut changed = seen.changed;
    if let Some(name) = seen.ready.filter(|_| !paused) {
        wait = if read(context, id, desk, server, memory, &name).await {
            changed = true;
            Duration::ZERO
        } else {
            AGAIN
        };
    }
    if changed {
        desk.read_again(
            memory
                .unwritten()
                .map(BackupSummary::from_manifest)
                .collect(),
        );
    }
    wait
}

fn show(context: &Context, id: u64, seen: &observe::Seen) {
    context.shared.update(id, |view| {
        view.observed_growing = seen.growing;
        view.observe_trouble.clone_from(&seen.trouble);
    });
}

/// Reads one file when there is room for it; whether that could be done now.
async fn read(
    context: &Context,
    id: u64,
    desk: &Desk,
    server: &Server,
    memory: &mut Memory,
    name: &str,
) -> bool {
    let room = context.room();
    let Some(Ok(room)) = context.before_drain(room.acquire_owned()).await else {
        return false;
    };
    let progress = Progress::default();
    let running = Running {
        job: Job::Verify,
        started_at: context.clock.now(),
        progress: progress.clone(),
    };
    context.shared.update(id, |view| {
        view.running.get_or_insert(running);
    });
    let mut take = Box::pin(observe::take(server, memory, name, &progress));
    let retired = desk.retired();
    let over = async {
        tokio::select! {
            () = context.stop.draining() => {}
            () = retired.cancelled() => {}
        }
    };
    let taken = tokio::select! {
        taken = &mut take => taken,
        () = over => {
            progress.cancel();
            take.await
        }
    };
    drop(room);
    context.shared.update(id, |view| {
        view.running
            .take_if(|running| running.progress.is(&progress));
    });
    match taken {
        Ok(_) => true,
        Err(failure) => {
            tracing::debug!(server = server.name, "{}", failure.sentence());
            false
        }
    }
}
