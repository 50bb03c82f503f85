//! The statements that make tables anew, under their own names or others.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::choose::Choice;
use super::definitions::{Defined, Definitions};
use super::family::Family;
use super::name::{Name, Taken};
use super::naming::name_all;
use super::part::{Kind, Subject};
use super::rewrite::Renames;
use super::statement::read;
use crate::error::{Failure, FailureKind, Result};

/// What the live database says to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Names that are taken. What goes before the work is not among them.
    pub(super) taken: Taken,
    /// The schemas that are there.
    pub(super) schemas: HashSet<String>,
    /// Tables that are there, of those that are named anywhere.
    pub(super) tables: HashSet<Name>,
    /// Roles that are there, and whether the user may give things to them.
    pub(super) roles: HashMap<String, bool>,
    /// Tablespaces that are there.
    pub(super) tablespaces: HashSet<String>,
    /// The user.
    pub(super) user: String,
}

/// A statement to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// What it is, for messages.
    pub(super) what: String,
    pub(super) text: String,
    /// Settings that the dump makes before it.
    pub(super) tablespace: String,
    pub(super) access_method: String,
}

/// Tables to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) renames: Renames,
    /// The tables under their new names, in the order in which they are made.
    pub(super) tables: Vec<Name>,
    /// Sequences of theirs: as the dump has them, and as they are made.
    pub(super) sequences: Vec<(Name, Name)>,
    /// Before the rows.
    pub(super) before: Vec<Run>,
    /// After them.
    pub(super) after: Vec<Run>,
    pub(super) notes: BTreeSet<String>,
    pub(super) refusals: Vec<String>,
}

/// Which roots get another name, and which.
pub(super) type Roots = HashMap<Name, Option<Name>>;

/// Plans to make the chosen tables.
pub(super) fn make(
    choice: &Choice,
    roots: &Roots,
    definitions: &Definitions,
    family: &Family,
    mut facts: Facts,
) -> Result<Made> {
    let mut made = Made::default();
    name_all(&mut made, choice, roots, definitions, &mut facts);
    let about = definitions.about(&choice.all);
    for defined in &about {
        if let Some(why) = &defined.refused {
            let what = format!(
                "restore table {}: {:?}: {why}",
                defined.part.on,
                defined.shown()
            );
            return Err(Failure::new(FailureKind::Unsafe, what)
                .remedy("treat the file as tampered with, and do not feed it to psql"));
        }
    }
    let owners = definitions.owners();
    let mut maker = Maker {
        choice,
        roots,
        definitions,
        family,
        facts: &facts,
        owners: &owners,
        foreign_keys: definitions.foreign_keys(),
        statistics: statistics(definitions),
        left_out: HashSet::new(),
        made,
    };
    for defined in &about {
        if let Kind::ForeignKey(name, to) = &defined.part.kind {
            maker.target(&defined.part.on, name, to);
        }
    }
    for defined in about {
        maker.add(defined);
    }
    maker.pointed_to();
    Ok(maker.made)
}

fn statistics(definitions: &Definitions) -> HashSet<&Name> {
    let all = definitions.all.iter();
    all.filter(|defined| matches!(defined.part.kind, Kind::Statistics(_)))
        .map(|defined| &defined.part.on)
        .collect()
}

struct Maker<'a> {
    choice: &'a Choice,
    roots: &'a Roots,
    definitions: &'a Definitions,
    family: &'a Family,
    facts: &'a Facts,
    owners: &'a HashMap<Name, Name>,
    foreign_keys: HashSet<(&'a Name, &'a str)>,
    statistics: HashSet<&'a Name>,
    /// Foreign keys that are not made.
    left_out: HashSet<(Name, String)>,
    made: Made,
}

impl Maker<'_> {
    fn note(&mut self, note: String) {
        self.made.notes.insert(note);
    }

    fn is_chosen(&self, name: &Name) -> bool {
        self.choice.root_of.contains_key(name)
    }

    /// Whether the table that a statement is about gets another name.
    fn is_renamed(&self, on: &Name) -> bool {
        let table = self.owners.get(on).unwrap_or(on);
        let root = self.choice.root_of.get(table).unwrap_or(table);
        self.roots.get(root).is_some_and(Option::is_some)
    }

    fn add(&mut self, defined: &Defined) {
        let on = &defined.part.on;
        let renamed = self.is_renamed(on);
        let before = match &defined.part.kind {
            Kind::Table { parents, .. } => {
                self.parents(on, parents);
                true
            }
            Kind::Sequence | Kind::OwnedBy(_) | Kind::Identity(_) | Kind::Setting => true,
            Kind::Attach(partition) if self.is_chosen(partition) => true,
            // A statistics object is made behind the rows, and has its owner from then on.
            Kind::Owner(role) if self.may_own(on, role) => !self.statistics.contains(on),
            Kind::Attach(_) | Kind::Owner(_) | Kind::ForeignTable | Kind::Insert => return,
            Kind::AttachIndex(index) => {
                if self
                    .owners
                    .get(index)
                    .is_none_or(|table| !self.is_chosen(table))
                {
                    return;
                }
                false
            }
            Kind::Key(_)
            | Kind::Check
            | Kind::Index(_)
            | Kind::IndexSetting
            | Kind::Statistics(_)
            | Kind::RowSecurity
            | Kind::Label
            | Kind::Comment(Subject::Relation) => false,
            Kind::Comment(Subject::Constraint(name)) => {
                let key = (on.clone(), name.clone());
                if self.left_out.contains(&key)
                    || renamed && self.foreign_keys.contains(&(on, name.as_str()))
                {
                    return;
                }
                false
            }
            Kind::Grant(roles) => {
                if !self.may_grant(on, roles) {
                    return;
                }
                false
            }
            Kind::Publication(name) => {
                return self.note(format!(
                    "table {on} is in publication {name} in the backup; what is restored is not: add it with ALTER PUBLICATION"
                ));
            }
            Kind::ForeignKey(..)
            | Kind::Trigger(_)
            | Kind::Rule(_)
            | Kind::Policy(_)
            | Kind::Comment(Subject::Code)
                if renamed =>
            {
                return self.not_beside(on, &defined.part.kind);
            }
            Kind::ForeignKey(name, _) => {
                if self.left_out.contains(&(on.clone(), name.clone())) {
                    return;
                }
                false
            }
            Kind::Trigger(_) | Kind::Rule(_) | Kind::Policy(_) | Kind::Comment(Subject::Code) => {
                false
            }
        };
        self.run(defined, before);
    }

    fn run(&mut self, defined: &Defined, before: bool) {
        let renames = &self.made.renames;
        // These are made where nothing has another name; what they name besides keeps its own.
        let as_it_is = matches!(
            defined.part.kind,
            Kind::ForeignKey(..) | Kind::Trigger(_) | Kind::Rule(_) | Kind::Policy(_)
        );
        let text = if as_it_is {
            defined.text.clone()
        } else {
            renames.apply(&defined.text, &defined.part)
        };
        // Whatever became of the text, what has another name must be about that: never about the live table.
        let new = renames.of(&defined.part.on);
        let about_new = read(&text).is_some_and(|part| part.on == new);
        let renamed = self.is_renamed(&defined.part.on);
        if renamed && (!defined.part.readable || !about_new || new == defined.part.on) {
            self.made.refusals.push(format!(
                "table {}: names in {:?} cannot all be read, so it cannot get another name",
                defined.part.on,
                defined.shown()
            ));
        }
        let mut tablespace = defined.tablespace.clone();
        if !tablespace.is_empty() && !self.facts.tablespaces.contains(&tablespace) {
            self.note(format!(
                "the server has no tablespace {tablespace}: the database's own is used"
            ));
            tablespace.clear();
        }
        let run = Run {
            what: format!(
                "make table {}: {:?}",
                self.made.renames.of(&defined.part.on),
                defined.shown()
            ),
            text,
            tablespace,
            access_method: defined.access_method.clone(),
        };
        if before {
            self.made.before.push(run);
        } else {
            self.made.after.push(run);
        }
    }

    /// A child without its parent would lack the columns that it has from there, or show its rows in the live parent.
    fn parents(&mut self, on: &Name, parents: &[Name]) {
        for parent in parents {
            let same = self.is_chosen(parent) && self.is_renamed(parent) == self.is_renamed(on);
            if !same {
                self.made.refusals.push(format!(
                    "table {on} inherits from table {parent}, whose rows its own would show up among: restore both (--table {parent}), or its rows with --truncate"
                ));
            }
        }
        let parent = self
            .family
            .parent(on)
            .filter(|parent| !self.is_chosen(parent));
        if let Some(parent) = parent {
            let attach = parent.quoted();
            self.note(format!(
                "table {on} is a partition of table {parent} in the backup; it becomes a table of its own: see ALTER TABLE {attach} ATTACH PARTITION"
            ));
        }
    }

    fn may_own(&mut self, on: &Name, role: &str) -> bool {
        let user = &self.facts.user;
        let why = match self.facts.roles.get(role) {
            Some(true) => return true,
            Some(false) => format!("{user} may not give it to its owner {role}"),
            None => format!("the server has no role {role}, its owner"),
        };
        let note = format!("{} belongs to {user}: {why}", self.made.renames.of(on));
        self.note(note);
        false
    }

    fn may_grant(&mut self, on: &Name, roles: &[String]) -> bool {
        let missing: Vec<_> = roles
            .iter()
            .filter(|role| !self.facts.roles.contains_key(*role))
            .cloned()
            .collect();
        if missing.is_empty() {
            return true;
        }
        let note = format!(
            "privileges of role {} on {on} are left out: the server has no such role",
            missing.join(", ")
        );
        self.note(note);
        false
    }

    fn not_beside(&mut self, on: &Name, kind: &Kind) {
        let (what, name) = match kind {
            Kind::ForeignKey(name, to) => (format!("foreign key to table {to}"), name),
            Kind::Trigger(name) => ("trigger".to_owned(), name),
            Kind::Rule(name) => ("rule".to_owned(), name),
            Kind::Policy(name) => (
                "policy (row level security stays as in the backup, so that nobody sees more than before)".to_owned(),
                name,
            ),
            _ => return,
        };
        self.note(format!(
            "not made beside the live table: of table {on} the {what} {name}"
        ));
    }

    /// Leaves a foreign key out if the table that it points to will not be there.
    fn target(&mut self, on: &Name, name: &str, to: &Name) {
        let there = self.facts.tables.contains(to) || self.is_chosen(to) && !self.is_renamed(to);
        if !there && !self.is_renamed(on) {
            self.left_out.insert((on.clone(), name.to_owned()));
            self.note(format!(
                "foreign key {name} of table {on} is left out: the live database has no table {to}"
            ));
        }
    }

    /// Keys of other tables that pointed to a table which is made under its own name.
    fn pointed_to(&mut self) {
        for defined in &self.definitions.all {
            let on = &defined.part.on;
            if let Kind::ForeignKey(name, to) = &defined.part.kind
                && self.is_chosen(to)
                && !self.is_renamed(to)
                && !self.is_chosen(on)
            {
                self.note(format!(
                    "foreign key {name} of table {on} pointed to table {to} in the backup; other tables are not changed, so it is not made"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
