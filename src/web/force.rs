//! What is in force: the file and all that it names, read together, and read again when any of it changes.
//!
//! A new version that is no good leaves the old one in force. So does one that has no TLS, or no users, where the old one
//! has: an empty file is more likely a mistake than the wish to be open to everyone, and a restart settles it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hyper::header::HeaderMap;

use super::password::Passwords;
use super::rate::Bucket;
use super::settings::{FORM, Settings};
use super::tls::Gate;
use crate::error::{Failure, FailureKind, Result};

/// One version of everything.
pub(super) struct InForce {
    /// TLS, unless plain HTTP is served.
    pub(super) gate: Option<Gate>,
    /// Headers of every answer.
    pub(super) headers: HeaderMap,
    /// Users, unless everyone may come.
    pub(super) passwords: Option<Passwords>,
    /// Limits the requests.
    pub(super) bucket: Option<Arc<Bucket>>,
    notes: Vec<String>,
    stamps: Stamps,
}

/// What tells a version of a file from the next, for each file that was read; links are followed.
pub(super) type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// One file's: device, inode, size, and when content and metadata changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The version in force and the file that it comes from.
pub(super) struct Watched {
    path: PathBuf,
    force: RwLock<Arc<InForce>>,
    problem: Mutex<Option<String>>,
}

impl Watched {
    /// Reads the first version.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let first = InForce::load(path, None)?;
        first.notes.iter().for_each(|note| say(path, note));
        Ok(Self {
            path: path.to_owned(),
            force: RwLock::new(Arc::new(first)),
            problem: Mutex::new(None),
        })
    }

    /// The version in force.
    pub(super) fn force(&self) -> Arc<InForce> {
        Arc::clone(&self.force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a newer version is not in force.
    pub(super) fn problem(&self) -> Option<String> {
        self.stand().clone()
    }

    fn stand(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for changes, and reads what has been the same for two looks: `before` is what the last look gave. A version that
    /// was no good is tried again each time, because what keeps it from being good need not be in its files.
    pub(super) fn look(&self, before: Option<Stamps>) -> Option<Stamps> {
        let force = self.force();
        let now = stamps(force.stamps.iter().map(|(path, _)| path.as_path()));
        let stands = self.stand().is_some();
        if now == force.stamps && !stands {
            return None;
        }
        if !stands && before.as_ref() != Some(&now) {
            return Some(now);
        }
        match InForce::load(&self.path, Some(&force)) {
            Ok(new) => {
                let path = self.path.display();
                tracing::info!("read web configuration {path} again: it is in force");
                new.notes
                    .iter()
                    .filter(|note| !force.notes.contains(note))
                    .for_each(|note| say(&self.path, note));
                *self.force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                *self.stand() = None;
            }
            Err(failure) => {
                let sentence = failure
                    .also("the version before it stays in force")
                    .sentence();
                let mut stand = self.stand();
                if stand.as_ref() != Some(&sentence) {
                    tracing::error!("{sentence}");
                    *stand = Some(sentence);
                }
            }
        }
        None
    }
}

impl InForce {
    fn load(path: &Path, before: Option<&Self>) -> Result<Self> {
        // Taken before the reading: what changes in between is seen at the next look.
        let mut stamps = stamps([path].into_iter());
        let settings = Settings::parse(&FORM.read(path)?, path)?;
        stamps.extend(self::stamps(settings.files()));
        let gate = settings.tls.as_ref().map(Gate::open).transpose();
        let gate = gate.map_err(|problem| FORM.refused(problem, path))?;
        let users = (!settings.users.is_empty()).then_some(settings.users);
        for (gone, what) in [
            (
                gate.is_none() && before.is_some_and(|old| old.gate.is_some()),
                "tls_server_config",
            ),
            (
                users.is_none() && before.is_some_and(|old| old.passwords.is_some()),
                "basic_auth_users",
            ),
        ] {
            if gone {
                let what = format!(
                    "read web configuration {}: it has no {what} any more",
                    path.display()
                );
                return Err(Failure::new(FailureKind::Config, what)
                    .remedy("restart pgvigil if that is meant"));
            }
        }
        // The same limit goes on where it was.
        let old = before.and_then(|before| before.bucket.as_ref());
        let bucket = settings.rate.map(|rate| match old {
            Some(old) if old.rate() == rate => Arc::clone(old),
            _ => Arc::new(Bucket::new(rate)),
        });
        Ok(Self {
            gate,
            headers: settings.headers,
            passwords: users.map(Passwords::new),
            bucket,
            notes: settings.notes,
            stamps,
        })
    }
}

fn say(path: &Path, note: &str) {
    tracing::info!("web configuration {}: {note}", path.display());
}

fn stamps<'a>(paths: impl Iterator<Item = &'a Path>) -> Stamps {
    paths.map(|path| (path.to_owned(), stamp(path))).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        place: (found.dev(), found.ino()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
