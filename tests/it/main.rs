//! The program as people use it: real servers, real files, real faults. One module per promise.
//!
//! Nothing here is skipped where something is missing: `.ci/install test` puts all of it there, and a test that lacks a
//! part says which. Nothing waits for luck: conditions are polled until a deadline.
#![allow(
    clippy::unwrap_used,
    reason = "a broken expectation of a test is to end it"
)]

mod backup;
mod backup_faults;
mod broken_backups;
mod browser;
mod cli;
mod crash;
mod dashboards;
mod demo;
mod drill_on_server;
mod drill_proof;
mod drill_scope;
mod end_to_end;
mod extract;
mod fence;
mod http;
mod http_load;
mod layers;
mod lock_waits;
mod logs;
mod notify;
mod objects;
mod observe;
mod page;
mod prune;
mod restore_server;
mod restore_table;
mod room;
mod round_trips;
mod rules;
mod soak;
mod support;
mod surroundings;
mod unsafe_dumps;
mod verify_damage;
mod web_config;
mod wrong_config;
