//! The person at the other end: progress, signals, and where text goes.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::error::{Failure, Result};
use crate::outcome::Progress;

/// How often the bar is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);

/// Runs a job: shows its progress, and passes Ctrl-C and SIGTERM on to it. A second one ends us at once; the wardens of
/// what we started clean up.
pub(super) async fn watch<T>(progress: &Progress, job: impl Future<Output = T>) -> T {
    let drawing = tokio::spawn(draw(progress.clone()));
    let signals = tokio::spawn(pass_signals(progress.clone()));
    let result = Box::pin(job).await;
    drawing.abort();
    signals.abort();
    // The bar goes when its task is gone.
    let _ = drawing.await;
    result
}

async fn pass_signals(progress: Progress) {
    for _ in 0..2 {
        end_requested().await;
        progress.cancel();
    }
    #[expect(
        clippy::exit,
        reason = "asked twice to end: at once, and not when the job has cleaned up"
    )]
    std::process::exit(130);
}

/// Resolves at the next Ctrl-C or SIGTERM, or when the terminal is closed.
pub(super) async fn end_requested() {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let mut signals: Vec<_> = kinds
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect();
    std::future::poll_fn(|context| {
        let received = signals
            .iter_mut()
            .any(|signal| signal.poll_recv(context).is_ready());
        if received {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

async fn draw(progress: Progress) {
    if !stderr().is_terminal() {
        return log_stages(progress).await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let _gone_with_us = Clear(bar.clone());
    let mut shown = ("", 0);
    loop {
        let (stage, bytes, expected) = progress.now();
        if (stage, expected) != shown {
            shown = (stage, expected);
            // A reset draws, so what it draws comes first.
            bar.set_style(style(expected > 0));
            bar.set_message(stage);
            bar.reset();
            if expected > 0 {
                bar.set_length(expected);
            }
        }
        // Before the first stage there is nothing to show.
        if !stage.is_empty() {
            bar.set_position(bytes);
            bar.tick();
        }
        tokio::time::sleep(REDRAW).await;
    }
}

/// Takes the bar off the screen when its task ends.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(measured: bool) -> ProgressStyle {
    let template = if measured {
        "{msg:>24} {bar:32} {bytes:>10} of about {total_bytes}, {bytes_per_sec}, {elapsed}"
    } else {
        "{msg:>24} {spinner} {bytes:>10}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

async fn log_stages(progress: Progress) {
    let mut last = "";
    loop {
        let (stage, _, _) = progress.now();
        if stage != last && !stage.is_empty() {
            let job_id = Some(progress.job_id()).filter(|id| !id.is_empty());
            info!(job_id, stage, "at work");
            last = stage;
        }
        tokio::time::sleep(REDRAW).await;
    }
}

/// Writes a report to standard output. A reader that has gone away is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document to standard output.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::new(crate::error::FailureKind::Io, "write the report as JSON").because(error)
    })?;
    print(&format!("{text}\n"))
}
