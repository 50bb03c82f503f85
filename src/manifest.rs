//! The manifest: the catalog plus how the backup was made, as JSON beside the archive.
//!
//! Times are RFC 3339 in UTC, durations seconds, sizes bytes. Readers refuse a `format_version` that they do not know.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;

/// Version of this format.
pub const FORMAT_VERSION: u32 = 1;

/// Largest manifest that is read: about a million tables.
pub const SIZE_LIMIT: u64 = 512 << 20;

/// What a finished backup is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// pgvigil's version.
    pub pgvigil_version: String,
    /// The server's name in the configuration.
    pub server: String,
    /// When the dump began.
    pub started_at: DateTime<Utc>,
    /// When the archive was complete.
    pub finished_at: DateTime<Utc>,
    /// Wall time of the backup.
    pub duration_seconds: f64,
    /// Who was dumped.
    pub source: Source,
    /// The file.
    pub archive: ArchiveFacts,
    /// Set where someone else made the backup, and pgvigil found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// What is in it.
    pub catalog: Catalog,
}

/// How a file of someone else was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// When the file had last been written when it was read: what is written later is another backup.
    pub written_at: DateTime<Utc>,
}

/// The server that was dumped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Version of the server, as it says it.
    pub server_version: String,
    /// Version of pg_dumpall.
    pub tool_version: String,
    /// Settings of the dump's sessions that change how values read, by database.
    pub sessions: Vec<SessionSettings>,
    /// Size of each database, pg_database_size.
    pub database_sizes: Vec<DatabaseSize>,
    /// Versions of extensions, which a dump does not say; none in manifests from before they were asked for.
    #[serde(default)]
    pub extension_versions: Vec<ExtensionVersion>,
}

/// Settings that change how values read in COPY text and that pg_dump leaves as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSettings {
    /// The database.
    pub database: String,
    /// `TimeZone`: how timestamptz reads.
    pub timezone: String,
    /// `bytea_output`: how bytea reads.
    pub bytea_output: String,
    /// `lc_monetary`: how money reads.
    pub lc_monetary: String,
}

/// A database's size on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSize {
    /// The database.
    pub database: String,
    /// pg_database_size when the dump began.
    pub bytes: u64,
}

/// An extension's version in a database when the dump began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionVersion {
    /// The database.
    pub database: String,
    /// The extension.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The file, as it was published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFacts {
    /// Its name.
    pub file_name: String,
    /// Its size.
    pub bytes: u64,
    /// Bytes of dump text in it.
    pub uncompressed_bytes: u64,
    /// gzip members, the closing empty one included.
    pub members: u64,
    /// The number all its members carry, in hex; empty where pgvigil did not make it.
    pub archive_id: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest; the error says why it cannot be used.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(text).map_err(ManifestError::Json)?;
        if manifest.format_version != FORMAT_VERSION {
            return Err(ManifestError::Version(manifest.format_version));
        }
        Ok(manifest)
    }

    /// The manifest as JSON, one line break at its end.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(ManifestError::Json)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Whether pgvigil made the backup. Of any other file nobody knows under which settings it was made, and it is not ours
    /// to remove.
    pub fn is_ours(&self) -> bool {
        self.observed.is_none()
    }

    /// Whether it can be about a file of this size and age. One that someone else made may be written again under its name.
    pub fn fits(&self, bytes: u64, written_at: DateTime<Utc>) -> bool {
        self.observed
            .as_ref()
            .is_none_or(|found| found.written_at == written_at && self.archive.bytes == bytes)
    }

    /// The settings of the dump's session in a database.
    pub fn session(&self, database: &str) -> Option<&SessionSettings> {
        self.source
            .sessions
            .iter()
            .find(|session| session.database == database)
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of this form.
    #[error("not a manifest")]
    Json(#[source] serde_json::Error),
    /// From another pgvigil.
    #[error("format version {0} is not known to this pgvigil")]
    Version(u32),
}
