//! What a drill on a server that others use leaves out, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One thing left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    what: &'static str,
    why: &'static str,
}

/// What was passed over, and how often.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<Note, u64>>);

/// What was passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// What.
    pub what: &'static str,
    /// Why, and how often.
    pub why: String,
}

pub(super) const TABLESPACES: Note = Note {
    what: "tablespaces",
    why: "everything lies in the default tablespace of the scratch server",
};
pub(super) const ROLE_ATTRIBUTES: Note = Note {
    what: "role attributes",
    why: "roles were made without login, password, rights and settings of their own",
};
pub(super) const PREDEFINED_ROLES: Note = Note {
    what: "memberships in predefined roles",
    why: "they would be rights on the scratch server as a whole",
};
pub(super) const WHOLE_SERVER: Note = Note {
    what: "settings of the whole server",
    why: "nothing of the scratch server as a whole is changed",
};
pub(super) const DATABASE_GRANTS: Note = Note {
    what: "grants on databases",
    why: "scratch databases are closed to everyone else on their server",
};
pub(super) const DATABASE_PROPERTIES: Note = Note {
    what: "properties of databases",
    why: "connection limits, templates and labels were not given to scratch databases",
};
pub(super) const DATABASE_SETTINGS: Note = Note {
    what: "settings of databases",
    why: "some may be made by a superuser only",
};
pub(super) const ROW_SECURITY: Note = Note {
    what: "row security of owners",
    why: "FORCE ROW LEVEL SECURITY would keep us from reading the rows back",
};
pub(super) const EXTENSION_COMMENTS: Note = Note {
    what: "comments on extensions",
    why: "some extensions are a superuser's",
};

impl Notes {
    pub(super) fn add(&self, note: Note) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *notes.entry(note).or_default() += 1;
    }

    pub(super) fn all(&self) -> Vec<PassedOver> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = notes.iter().map(|(note, count)| {
            let statements = if *count == 1 {
                "statement"
            } else {
                "statements"
            };
            PassedOver {
                what: note.what,
                why: format!("{} ({count} {statements})", note.why),
            }
        });
        told.collect()
    }
}
