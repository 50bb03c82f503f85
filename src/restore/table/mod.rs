//! One table, or a few, of a backup into a live database.
mod definitions;
mod name;
pub mod pattern;
mod rewrite;
mod statement;
