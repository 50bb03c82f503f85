//! The picture as JSON: structures of its own, so that the inside can change and what others read does not.
//!
//! Times are RFC 3339 in UTC, durations seconds, sizes bytes; what is not known is `null`. `openapi.yaml` describes all of
//! it, and a test holds the two together.

mod backup;
pub(super) mod backups;
pub(super) mod status;

/// The description, as it is served.
pub(super) const DESCRIPTION: &str = include_str!("../openapi.yaml");
