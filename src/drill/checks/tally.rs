//! What a look at all databases found: how many things, which of them are wrong.

use super::BUDGET;
use crate::drill::report::{Check, CheckKind, CheckStatus};

/// Things named in a message; the others are counted.
const NAMED: usize = 3;

/// The words of a check.
pub(super) struct Words {
    /// Its name.
    pub(super) name: &'static str,
    /// What is counted.
    pub(super) things: &'static str,
    /// What all are if nothing is wrong.
    pub(super) good: &'static str,
    /// What the wrong ones are.
    pub(super) wrong: &'static str,
    /// What those are that only look wrong.
    pub(super) noted: &'static str,
}

/// Counts and names.
pub(super) struct Tally {
    words: Words,
    /// Things looked at.
    pub(super) seen: u64,
    /// Those that are wrong.
    pub(super) wrong: Named,
    /// Those worth telling, for which the dump says the same.
    pub(super) noted: Named,
    /// Those that could not be looked at.
    pub(super) left: Named,
    /// Why a part was not done.
    pub(super) not_done: Option<String>,
}

/// The first few by name, and how many.
#[derive(Default)]
pub(super) struct Named {
    count: u64,
    first: Vec<String>,
}

impl Named {
    pub(super) fn add(&mut self, name: String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(name);
        }
    }

    /// Adds things of one database.
    pub(super) fn extend(&mut self, names: Vec<String>, database: &str) {
        for name in names {
            self.add(format!("{name} of database {database}"));
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Tally {
    pub(super) fn new(words: Words) -> Self {
        Self {
            words,
            seen: 0,
            wrong: Named::default(),
            noted: Named::default(),
            left: Named::default(),
            not_done: None,
        }
    }

    /// Leaves a thing out because the time was up.
    pub(super) fn out_of_time(&mut self, name: String) {
        self.left.add(name);
        let minutes = BUDGET.as_secs() / 60;
        self.not_done(|| format!("the {minutes} minutes for this check were up"));
    }

    /// Keeps the first reason why something was not done.
    pub(super) fn not_done(&mut self, why: impl FnOnce() -> String) {
        self.not_done.get_or_insert_with(why);
    }

    /// The result. What was left out is never a pass.
    pub(super) fn check(self) -> Check {
        let Words {
            name,
            things,
            good,
            wrong,
            noted,
        } = self.words;
        let status = match (self.wrong.count, self.left.count, &self.not_done) {
            (1.., ..) => CheckStatus::Failed,
            (0, 0, None) => CheckStatus::Passed,
            _ => CheckStatus::NotDone,
        };
        let mut parts = vec![match self.wrong.count {
            0 => format!("{} {things}: {good}", self.seen),
            count => format!("{count} of {} {things} {wrong}: {}", self.seen, self.wrong),
        }];
        if self.noted.count > 0 {
            parts.push(format!("{} {noted}: {}", self.noted.count, self.noted));
        }
        if self.left.count > 0 {
            parts.push(format!("{} not checked: {}", self.left.count, self.left));
        }
        if let Some(why) = self.not_done {
            // Nothing was looked at: the reason is all there is to say.
            if self.seen == 0 && status == CheckStatus::NotDone {
                parts.remove(0);
            }
            parts.push(why);
        }
        Check {
            name: name.to_owned(),
            kind: CheckKind::Soundness,
            status,
            detail: parts.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally::new(Words {
            name: "indexes",
            things: "indexes",
            good: "none invalid",
            wrong: "not valid",
            noted: "incomplete, as dumped",
        })
    }

    #[test]
    fn all_good() {
        let mut tally = tally();
        tally.seen = 7;
        tally.noted.extend(vec!["public.p".to_owned()], "app");
        let check = tally.check();
        assert_eq!(check.status, CheckStatus::Passed);
        assert_eq!(
            check.detail,
            "7 indexes: none invalid; 1 incomplete, as dumped: public.p of database app"
        );
    }

    #[test]
    fn the_first_wrong_ones_are_named() {
        let mut tally = tally();
        tally.seen = 9;
        for name in ["a", "b", "c", "d", "e"] {
            tally.wrong.add(name.to_owned());
        }
        tally.left.add("f: why".to_owned());
        let check = tally.check();
        assert_eq!(check.status, CheckStatus::Failed);
        assert_eq!(
            check.detail,
            "5 of 9 indexes not valid: a, b, c and 2 more; 1 not checked: f: why"
        );
    }

    #[test]
    fn what_was_left_out_is_no_pass() {
        let mut one = tally();
        one.seen = 3;
        one.left.add("f: why".to_owned());
        assert_eq!(one.check().status, CheckStatus::NotDone);
        let mut late = tally();
        late.seen = 3;
        late.out_of_time("f".to_owned());
        late.out_of_time("g".to_owned());
        let check = late.check();
        assert_eq!(check.status, CheckStatus::NotDone);
        assert_eq!(
            check.detail,
            "3 indexes: none invalid; 2 not checked: f, g; the 10 minutes for this check were up"
        );
        let mut none = tally();
        none.not_done(|| "no extension".to_owned());
        none.not_done(|| "another reason".to_owned());
        let check = none.check();
        assert_eq!(
            (check.status, check.detail.as_str()),
            (CheckStatus::NotDone, "no extension")
        );
    }
}
