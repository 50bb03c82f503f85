//! Who may stay connected: so many, and where that is not enough, those who have waited longest for a request go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Whether a request is being answered.
    is_asked: AtomicBool,
    /// Whether there is an answer that the client has not taken yet.
    is_owed: AtomicBool,
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
            is_asked: AtomicBool::new(false),
            is_owed: AtomicBool::new(false),
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
        self.is_asked.store(true, Ordering::Release);
        self.waits(false);
    }

    /// Its answer is there.
    pub(super) fn answered(&self) {
        self.is_owed.store(true, Ordering::Release);
        self.is_asked.store(false, Ordering::Release);
    }

    /// The client has taken all that there was; whether it waits for a request now.
    pub(super) fn has_taken(&self) -> bool {
        self.is_owed.store(false, Ordering::Release);
        let waits = !self.is_asked();
        self.waits(waits);
        waits
    }

    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }

    pub(super) fn is_owed(&self) -> bool {
        self.is_owed.load(Ordering::Acquire)
    }

    /// Resolves when the place is another's.
    pub(super) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
    }

    fn waits(&self, waits: bool) {
        let mut taken = self.places.lock();
        let since = waits.then(|| taken.tick());
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
        assert!(held[0].has_taken());
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
