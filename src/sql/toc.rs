//! Comment lines that pg_dump and pg_dumpall write: hints for people and for the order of work, and the end markers.

/// A comment line that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// `-- PostgreSQL database cluster dump`
    ClusterBegin,
    /// `-- PostgreSQL database cluster dump complete`
    ClusterEnd,
    /// `-- PostgreSQL database dump`
    DatabaseBegin,
    /// `-- PostgreSQL database dump complete`
    DatabaseEnd,
    /// `-- Dumped from database version …`
    ServerVersion(String),
    /// `-- Dumped by pg_dump version …`
    ToolVersion(String),
    /// `-- Started on …`, of a verbose dump
    Started(String),
    /// `-- Completed on …`, of a verbose dump
    Completed(String),
}

/// Reads a comment line.
pub fn marker(line: &[u8]) -> Option<Marker> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("-- ")?;
    if let Some(version) = text.strip_prefix("Dumped from database version ") {
        return Some(Marker::ServerVersion(version.to_owned()));
    }
    if let Some(version) = text.strip_prefix("Dumped by pg_dump version ") {
        return Some(Marker::ToolVersion(version.to_owned()));
    }
    if let Some(time) = text.strip_prefix("Started on ") {
        return Some(Marker::Started(time.to_owned()));
    }
    if let Some(time) = text.strip_prefix("Completed on ") {
        return Some(Marker::Completed(time.to_owned()));
    }
    match text {
        "PostgreSQL database cluster dump" => Some(Marker::ClusterBegin),
        "PostgreSQL database cluster dump complete" => Some(Marker::ClusterEnd),
        "PostgreSQL database dump" => Some(Marker::DatabaseBegin),
        "PostgreSQL database dump complete" => Some(Marker::DatabaseEnd),
        _ => None,
    }
}
