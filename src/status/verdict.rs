//! The answer to the one question that matters: could I restore now?

use chrono::{DateTime, TimeDelta, Utc};

use super::{ServerStatus, ServerView};
use crate::config::{Objectives, units};
use crate::ledger::JobResult;

/// How far the clocks of two machines may differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// How good the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Proven and within the objectives.
    Good,
    /// Probably; something is missing or late.
    Doubtful,
    /// No.
    Bad,
}

/// The answer, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How good it is.
    pub level: Level,
    /// It in one sentence.
    pub sentence: String,
}

/// Answers for a server. What is good as far as is known is doubtful where its directory or volume cannot be looked at.
pub fn answer(view: &ServerView, now: DateTime<Utc>) -> Verdict {
    if !view.status.is_known {
        let sentence = match view.unreadable {
            Some(_) => "Unknown: its directory cannot be read.",
            None => "Unknown: its directory was not read yet.",
        };
        return Verdict {
            level: Level::Doubtful,
            sentence: sentence.to_owned(),
        };
    }
    let verdict = verdict(&view.status, &view.config.objectives, now);
    let is_blind =
        view.unreadable.is_some() || view.observe_trouble.is_some() || view.space.is_unknown();
    match verdict.level {
        Level::Good if is_blind => Verdict {
            level: Level::Doubtful,
            sentence: format!("As far as is known: {}", verdict.sentence),
        },
        _ => verdict,
    }
}

/// Answers from what is known at `now`. What was not proven is never called good.
pub fn verdict(status: &ServerStatus, objectives: &Objectives, now: DateTime<Utc>) -> Verdict {
    let answer = |level, sentence: &str| Verdict {
        level,
        sentence: sentence.to_owned(),
    };
    let Some(newest) = &status.newest else {
        let sentence = match (status.kept, &status.newer_is_cut) {
            (0, _) => "No: there is no backup.",
            (_, Some(_)) => "No: no file is a whole backup.",
            _ => "Unknown: there are only files that pgvigil did not make.",
        };
        return answer(Level::Bad, sentence);
    };
    if status.newest_verified == Some(JobResult::Failed) || status.newer_is_cut.is_some() {
        return answer(Level::Bad, "Not from the newest backup: it is damaged.");
    }
    if newest.finished_at - now > CLOCKS_DIFFER {
        return answer(
            Level::Doubtful,
            "Unknown: the newest backup is dated in the future, so that nobody knows how old it is; look at the clocks.",
        );
    }
    let age = (now - newest.finished_at).to_std().unwrap_or_default();
    if age > objectives.max_age {
        let limit = units::format_duration(objectives.max_age);
        return answer(
            Level::Bad,
            &format!(
                "Only an old state: the newest backup is {} old, the limit is {limit}.",
                units::format_age(age)
            ),
        );
    }
    let Some(proven_at) = status.proven_backup_at else {
        let sentence = match status.newest_verified {
            Some(JobResult::Passed) => {
                "Probably: the newest backup is whole, but no backup was ever test-restored."
            }
            _ => "Perhaps: no backup was ever test-restored, and the newest is not verified yet.",
        };
        return answer(Level::Doubtful, sentence);
    };
    if status.drill.last_failure > status.drill.last_success {
        return answer(
            Level::Bad,
            "Do not count on it: the last test restore failed.",
        );
    }
    let drilled = status.drill.last_success.unwrap_or(proven_at);
    if (now - drilled).to_std().unwrap_or_default() > objectives.max_drill_age {
        return answer(
            Level::Doubtful,
            "Probably: the last test restore passed, but is too long ago.",
        );
    }
    match status.newest_verified {
        Some(JobResult::Passed) => answer(
            Level::Good,
            "Yes: the newest backup is whole, and the last test restore gave back every row.",
        ),
        _ if proven_at >= newest.finished_at => answer(
            Level::Good,
            "Yes: a test restore of the newest backup gave back every row.",
        ),
        _ => answer(
            Level::Good,
            "Yes: the last test restore gave back every row; the newest backup is not verified yet.",
        ),
    }
}
