//! One table, or a few, of a backup into a live database.
mod definitions;
mod foreign_keys;
mod live;
mod name;
pub mod pattern;
mod rewrite;
mod sequences;
mod source;
mod statement;
mod work;
