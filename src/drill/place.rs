//! Where a drill has restored: an embedded server of its own, or databases on a server that the configuration names.

use crate::pg::connect::Target;
use crate::pg::scratch::Scratch;
use crate::restore::given::Given;

/// See the module.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Embedded(&'a Scratch),
    Given(&'a Given),
}

impl Place<'_> {
    /// How to reach it. Databases are asked for by the dump's names, whatever they are called there.
    pub(super) fn target(&self) -> &Target {
        match self {
            Self::Embedded(scratch) => scratch.target(),
            Self::Given(given) => given.target(),
        }
    }

    /// What a role of the dump is called there; nothing, where it was not made.
    pub(super) fn role<'b>(&'b self, name: &'b str) -> &'b str {
        match self {
            Self::Embedded(_) => name,
            Self::Given(given) => given.role(name).unwrap_or_default(),
        }
    }
}
