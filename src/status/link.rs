//! Where the pages of the status are, for all who lead there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a segment of a path.
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The path of a server's page.
pub fn server_path(name: &str) -> String {
    format!("/servers/{}", utf8_percent_encode(name, SEGMENT))
}
