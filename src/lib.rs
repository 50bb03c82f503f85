//! pgvigil keeps vigil over PostgreSQL backups: it takes them, proves that they restore, and tells Prometheus.
//!
//! ```text
//!  schedule ──> backup ──> verify ──> drill                     one job = one ledger entry
//!                 │           │          │
//!    pg_dumpall stdout        │          └─ archive ─> sql events ─> tokio-postgres (scratch server)
//!         │                   │                then COPY OUT of every table, compared with the catalog
//!    sql scanner ─ events ─> catalog builder
//!         │                   │
//!    block cutter ─> deflate workers ─> ordered writer ─> .partial ─fsync─ rename ─> manifest ─> ledger
//!  ledger and manifests ─> status ─> metrics, page               a restart changes nothing
//! ```
//!
//! # Words
//! *server*: one PostgreSQL instance. *backup*: one published file and its manifest. *archive*: the gzip file. *catalog*:
//! what is inside a dump. *manifest*: the catalog plus how the backup was made. *ledger*: the append-only record of
//! everything that was attempted. *verify*: read the file and check it. *drill*: restore it somewhere disposable and
//! compare. *scratch*: that disposable place.
//!
//! # Layers
//! ```text
//! cli                                        what a person types
//! daemon                                     runs what is due, fans outcomes out
//! backup observe verify restore drill prune recorder  |  status metrics web http notify      jobs  |  reports
//! archive store pg                           world: bytes, files, servers
//! sql catalog manifest ledger retention forecast outcome finding schedule agenda wildcard promql config error   pure: no files, no clock
//! ```
//! A module imports only from layers below it; jobs and reports never see each other; among the jobs, a drill uses verify
//! and restore, whoever observes uses verify, and a backup that lacks room prunes. `tests/it/layers.rs` reads the `use`
//! lines and fails on any other edge.
//!
//! # Where to look
//! | question | open |
//! |---|---|
//! | when is a backup real? | [`backup`] (its list of stages), [`store::publish`] |
//! | when is a file of someone else a backup? | [`observe`] |
//! | which bytes are in the file? | [`archive`], [`archive::header`] |
//! | why was this line of a dump misread? | [`sql::scanner`] and its lexer |
//! | how is "same data" defined? | [`catalog::hash`], [`pg::measure`] |
//! | what may a dump make us run? | [`sql::statement`], [`restore`] |
//! | what does a restore onto a server touch? | [`restore::server`], [`sql::reach`] |
//! | how does one table come back? | [`restore::table`] |
//! | what does a drill do? | [`drill`] |
//! | what does a drill on a server of mine touch? | [`restore::given`] |
//! | why did a job run, or not? | [`agenda`] |
//! | what may a check expect? | [`config::expect`] |
//! | what does an exit code or `reason` mean? | [`error::FailureKind::policy`] |
//! | will the next one fit, and when will none? | [`forecast`] |
//! | which backup stays, which goes, and why? | [`retention`] |
//! | what removes files, and which never? | [`prune`], [`store::remove`] |
//! | was the record tampered with? | [`ledger::check`], [`store::ledger`] |
//! | who ends the children? | [`pg::warden`] |
//! | what does a dump wait for? | [`pg::lock_waits`] |
//! | how is a configuration refused? | [`config::raw`] and its `refusal` |
//! | what is in a line of the log? | `cli::log`, [`recorder`] |
//! | which metric means what? | [`metrics`] |
//! | who tells Alertmanager, and what? | [`notify`], [`promql`] |
//! | who may talk to the server? | [`web`] |

pub mod agenda;
pub mod archive;
pub mod backup;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod drill;
pub mod error;
pub mod finding;
pub mod forecast;
pub mod http;
pub mod ledger;
pub mod manifest;
pub mod metrics;
pub mod notify;
pub mod observe;
pub mod outcome;
pub mod pg;
pub mod promql;
pub mod prune;
pub mod recorder;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod sql;
pub mod status;
pub mod store;
pub mod verify;
pub mod web;
pub mod wildcard;
