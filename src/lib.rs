//! x
pub mod catalog;
pub mod config;
pub mod daemon;
pub mod error;
pub mod finding;
pub mod http;
pub mod ledger;
pub mod manifest;
pub mod metrics;
pub mod outcome;
pub mod schedule;
pub mod sql;
pub mod status;
