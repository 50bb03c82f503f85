//! x
pub mod archive;
pub mod catalog;
pub mod error;
pub mod finding;
pub mod ledger;
pub mod manifest;
pub mod outcome;
pub mod sql;
pub mod store;
