//! A drill on a server that the configuration names, which others use too.
//!
//! The same proof as in an embedded server, with three differences, each said in the report: no fence holds there; what
//! only a superuser may do is not done, or ends the drill as an error that says nothing against the backup; everything
//! has other names there, and is told by the dump's.

use std::time::Instant;

use tracing::{info, warn};

use super::place::Place;
use super::report::{CheckStatus, Report};
use super::{Options, Part, definitions, expected, objects};
use crate::config::{ScratchServer, Server};
use crate::error::{Failure, FailureKind, Result};
use crate::outcome::Progress;
use crate::pg::connect::Target;
use crate::restore::cluster::Job;
use crate::restore::given::{self, Given, without_fence};
use crate::verify::Checked;

/// Most sessions that work at once: the server has others to serve.
const MOST_JOBS: usize = 4;

/// Drops what killed drills left on the server that is named to drill on, if one is. What goes wrong is said in the log:
/// the next drill will meet it too.
pub async fn sweep(server: &Server) {
    let Some(named) = &server.drill.server else {
        return;
    };
    let swept = async {
        let target = Target::resolve(&named.connection)?;
        given::sweep(&target).await
    };
    if let Err(failure) = swept.await {
        warn!(server = server.name, "{}", failure.sentence());
    }
}

/// Restores, compares and checks. What was made is in `made` when this ends, however it ends, and is to be cleared.
#[expect(
    clippy::too_many_arguments,
    reason = "one call, and each says something else"
)]
pub(super) async fn attempted(
    part: &Part<'_>,
    server: &Server,
    named: &ScratchServer,
    checked: &Checked,
    made: &mut Option<Given>,
    options: Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    progress.stage("prepare", 0);
    let target = Target::resolve(&named.connection)?;
    let found = given::look(&target).await?;
    report.scratch_version = found.version.to_string();
    found.check(&target, named.superuser_allowed)?;
    found.takes(&target, expected(checked).server_version.as_deref())?;
    report.check(
        "fence",
        CheckStatus::NotDone,
        without_fence(&target, &found),
    );
    if is_the_source(&target, server) {
        let detail =
            "it stands where the server that is backed up does: the drill is load for that one too";
        report.check(
            "a server of its own",
            CheckStatus::NotDone,
            detail.to_owned(),
        );
    }
    given::sweep(&target).await?;
    let given = made.insert(Given::begin(&target, found).await?);
    report.phase("prepare", began);

    let proven = tokio::select! {
        proven = Box::pin(prove(part, server, checked, given, progress, report)) => proven,
        // Not between two statements only: one may take long, and sessions that are dropped are ended when clearing up.
        () = progress.cancelled() => Err(Failure::new(FailureKind::Cancelled, "stopped on request")),
    };
    if options.keep && !matches!(&proven, Err(error) if error.kind() == FailureKind::Cancelled) {
        keep(given, progress).await;
    }
    proven
}

async fn prove(
    part: &Part<'_>,
    server: &Server,
    checked: &Checked,
    given: &mut Given,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    progress.stage("restore", expected(checked).bytes);
    let job = Job {
        archive: part.archive,
        catalog: part.whole,
        only: part.only.as_ref(),
        jobs: std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST_JOBS),
        progress,
    };
    let (restored, passed_over) = given.restore(&job).await?;
    report.restore_seconds = restored.seconds;
    for one in passed_over {
        report.check(one.what, CheckStatus::NotDone, one.why);
    }
    report.phase("restore", began);

    let place = Place::Given(given);
    super::compared(checked, place, progress, report).await?;
    let began = Instant::now();
    progress.stage("definitions", 0);
    objects::check(checked, &place, report).await?;
    definitions::check_on_server(
        &restored.definitions,
        expected(checked),
        given,
        server.pg_bin.clone(),
        progress,
        report,
    )
    .await?;
    report.phase("definitions", began);
    super::asked(part, checked, place, progress, report).await?;
    report.verdict()
}

/// Whether the server to drill on is, by its address, the one that is backed up. That one is not asked.
fn is_the_source(target: &Target, server: &Server) -> bool {
    Target::resolve(&server.connection).is_ok_and(|source| given::same_address(&source, target))
}

/// Waits, with the databases there, until asked to stop.
async fn keep(given: &Given, progress: &Progress) {
    let target = given.target();
    let databases: Vec<_> = given
        .databases()
        .iter()
        .map(|(name, here)| format!("{name} as {here}"))
        .collect();
    info!(
        "the scratch databases are kept: psql -h {} -p {} -U {} -d …: {}; Ctrl-C drops them",
        target.host,
        target.port,
        target.user,
        databases.join(", ")
    );
    progress.cancelled().await;
}

/// Drops what was made, and has the report and the failure speak of the dump's names.
pub(super) async fn clear(given: Given, report: &mut Report, result: Result<()>) -> Result<()> {
    let began = Instant::now();
    for check in &mut report.checks {
        check.detail = given.in_the_dumps_words(&check.detail);
    }
    let result = result.map_err(|failure| {
        Failure::new(
            failure.kind(),
            given.in_the_dumps_words(&failure.sentence()),
        )
    });
    let cleared = given.clear().await;
    report.phase("cleanup", began);
    match (result, cleared) {
        (Ok(()), cleared) => cleared,
        (failed, Ok(())) => failed,
        (Err(failure), Err(left)) => Err(failure.also(&left.sentence())),
    }
}
