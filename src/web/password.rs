//! Passwords: bcrypt hashes, compared one at a time, and remembered when they were right.
//!
//! A comparison takes the better part of a tenth of a second by design. One at a time keeps a flood of wrong passwords to one
//! processor; those that are known to be right do not wait behind it. Wrong ones are not remembered: a flood of them would
//! push out the right ones.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::settings::Secret;

/// Costs of hashes that are taken: bcrypt's lowest, and the one where a comparison takes half a minute. Up to 31 there are,
/// which is days.
const COSTS: std::ops::RangeInclusive<u32> = 4..=18;

/// Right passwords that are remembered. Each user has one, or a few that differ behind bcrypt's 72 bytes.
const REMEMBERED: usize = 100;

/// Passwords that wait for their turn. Those who wait hold a connection, so a flood of wrong ones must not fill the server.
const WAITING: usize = 16;

/// How long a password waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// User and password are right.
    Right,
    /// They are not, or nothing was given.
    Wrong,
    /// Too many others are waiting.
    Busy,
}

/// The users.
pub(super) struct Passwords {
    users: BTreeMap<String, Secret>,
    /// What the password of a user is compared with who does not exist, so that it takes as long.
    nobody: Secret,
    right: Mutex<HashSet<[u8; 32]>>,
    turn: Arc<Semaphore>,
    room: Semaphore,
}

/// Whether a text is a bcrypt hash that can be compared with in time.
pub(super) fn is_hash(text: &str) -> bool {
    cost(text).is_some_and(|cost| COSTS.contains(&cost))
}

fn cost(hash: &str) -> Option<u32> {
    let parts: bcrypt::HashParts = hash.parse().ok()?;
    Some(parts.get_cost())
}

impl Passwords {
    /// The passwords of these users.
    pub(super) fn new(users: BTreeMap<String, Secret>) -> Self {
        let dearest = users.values().filter_map(|hash| cost(&hash.0)).max();
        let cost = dearest.unwrap_or(10);
        Self {
            users,
            nobody: Secret(format!("$2b${cost:02}${}", ".".repeat(53))),
            right: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            room: Semaphore::new(WAITING),
        }
    }

    /// Judges an Authorization header.
    pub(super) async fn check(&self, header: Option<&HeaderValue>) -> Login {
        let Some((user, password)) = header.and_then(credentials) else {
            return Login::Wrong;
        };
        let hash = self.users.get(&user);
        let exists = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).clone();
        let digest = digest(&[user.as_bytes(), hash.0.as_bytes(), &password]);
        if exists && self.remembered().contains(&digest) {
            return Login::Right;
        }
        let Ok(_room) = self.room.try_acquire() else {
            return Login::Busy;
        };
        let turn = Arc::clone(&self.turn).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await else {
            return Login::Busy;
        };
        let compared = tokio::task::spawn_blocking(move || {
            let equal = bcrypt::verify(&password, &hash.0).unwrap_or(false);
            // A client that goes away must not make room for a second comparison.
            drop(turn);
            equal
        });
        if !(compared.await.unwrap_or(false) && exists) {
            return Login::Wrong;
        }
        let mut right = self.remembered();
        if right.len() >= REMEMBERED {
            right.clear();
        }
        right.insert(digest);
        Login::Right
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User and password of `Basic …`.
fn credentials(header: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at(colon);
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some((user, password.get(1..).unwrap_or_default().to_vec()))
}

/// One digest of several texts; their lengths keep `a`, `bc` apart from `ab`, `c`.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
