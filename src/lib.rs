//! x
pub mod archive;
pub mod backup;
pub mod catalog;
pub mod config;
pub mod drill;
pub mod error;
pub mod finding;
pub mod ledger;
pub mod manifest;
pub mod outcome;
pub mod pg;
pub mod recorder;
pub mod restore;
pub mod schedule;
pub mod sql;
pub mod store;
pub mod verify;
