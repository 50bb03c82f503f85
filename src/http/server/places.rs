//! Who may stay connected: so many, and where that is not enough, those who have waited longest for a request go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All places. Clones share them.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<Taken>>);

struct Taken {
    capacity: usize,
    /// Counts who came and who began to wait again, so that its values tell who did so earlier.
    clock: u64,
    by: HashMap<u64, Holder>,
}

struct Holder {
    /// Since when it waits for a request; `None` while it is being answered.
    waits_since: Option<u64>,
    dismissed: CancellationToken,
}

/// The place of one connection; free again when dropped.
pub(super) struct Place {
    id: u64,
    places: Places,
    dismissed: CancellationToken,
    stage: AtomicU8,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// No request has come since the last answer.
    Waiting,
    /// A request is being answered.
    Asked,
    /// The answer is there and not yet taken.
    Answered,
}

impl Places {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken {
            capacity,
            clock: 0,
            by: HashMap::new(),
        })))
    }

    /// A place: a free one, or that of who has waited longest; `None` where all are being answered.
    pub(super) fn take(&self) -> Option<Place> {
        let mut taken = self.lock();
        if taken.by.len() >= taken.capacity && !taken.dismiss_one() {
            return None;
        }
        let id = taken.tick();
        let dismissed = CancellationToken::new();
        let holder = Holder {
            waits_since: Some(id),
            dismissed: dismissed.clone(),
        };
        taken.by.insert(id, holder);
        Some(Place {
            id,
            places: self.clone(),
            dismissed,
            stage: AtomicU8::new(Stage::Waiting as u8),
        })
    }

    /// Ends the connection that has waited longest, if one waits.
    pub(super) fn dismiss_one(&self) {
        self.lock().dismiss_one();
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn dismiss_one(&mut self) -> bool {
        let waiting = self
            .by
            .iter()
            .filter_map(|(id, holder)| holder.waits_since.map(|since| (since, *id)));
        let Some((_, id)) = waiting.min() else {
            return false;
        };
        if let Some(holder) = self.by.remove(&id) {
            holder.dismissed.cancel();
        }
        true
    }
}

impl Place {
    /// A request has come.
    pub(super) fn asked(&self) {
        self.enter(Stage::Asked);
    }

    /// Its answer is there.
    pub(super) fn answered(&self) {
        self.enter(Stage::Answered);
    }

    /// The client has taken the answer.
    pub(super) fn waits(&self) {
        self.enter(Stage::Waiting);
    }

    /// What the connection is at.
    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            stage if stage == Stage::Waiting as u8 => Stage::Waiting,
            stage if stage == Stage::Asked as u8 => Stage::Asked,
            _ => Stage::Answered,
        }
    }

    /// Resolves when the place is another's.
    pub(super) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        let mut taken = self.places.lock();
        let since = (stage == Stage::Waiting).then(|| taken.tick());
        if let Some(holder) = taken.by.get_mut(&self.id) {
            holder.waits_since = since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_goes_and_who_is_answered_stays() {
        let places = Places::new(3);
        let held: Vec<_> = (0..3).filter_map(|_| places.take()).collect();
        let gone = |n: usize| held[n].dismissed.is_cancelled();
        held[0].asked();
        let fourth = places.take().expect("a place");
        assert!(!gone(0) && gone(1) && !gone(2));
        held[0].answered();
        let fifth = places.take().expect("a place");
        assert!(
            !gone(0) && gone(2),
            "an answer that is not taken yet counts"
        );
        held[0].waits();
        fourth.asked();
        let sixth = places.take().expect("a place");
        assert!(
            fifth.dismissed.is_cancelled(),
            "it waits longer than the first, which was just answered"
        );
        held[0].asked();
        sixth.asked();
        assert!(places.take().is_none(), "all are being answered");
        drop(sixth);
        assert!(places.take().is_some());
    }
}
