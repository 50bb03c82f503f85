//! PostgreSQL's programs and servers.
//!
//! [`process`] runs programs, each under a [`warden`] that outlives us by just as long as cleaning up takes. [`binaries`]
//! finds them by version, [`connect`] opens sessions, [`live`] asks a server what a whole dump of it must hold, [`dump`]
//! is pg_dumpall's command line, [`lock_waits`] sees what it waits for, [`scratch`] a throwaway server, [`locale`] what serves where it lacks one, [`measure`]
//! reads tables back to be compared, [`objects`] lists everything else by name, [`url`] reads what a person types to name a
//! server.

pub mod binaries;
mod claim;
pub mod connect;
pub mod dump;
pub mod fence;
mod large_objects;
pub mod live;
pub mod locale;
pub mod lock_waits;
pub mod measure;
pub mod objects;
pub mod passfile;
pub mod preload;
pub mod process;
pub mod scratch;
pub mod shared;
pub mod tls;
pub mod url;
pub mod user;
pub mod version;
pub mod warden;
