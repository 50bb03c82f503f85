//! The restore engine: a dump's text becomes statements and COPY streams on connections of ours, one by one, and not one
//! error is tolerated.
//!
//! The text is never handed to anyone who would interpret it: [`steps`] parses it on a thread of its own and hands owned
//! steps through a bounded queue to [`apply`], which runs them. Every statement goes as a single one (the extended
//! protocol takes no more), is read first, and is refused if no dump holds it. What the dump expects of this machine and does
//! not find, `surroundings` replaces where no row depends on it, and remembers.

pub mod apply;
mod memberships;
pub mod plan;
pub mod steps;
mod surroundings;

pub use apply::{Restored, restore};
pub use surroundings::Lacking;
