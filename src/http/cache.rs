//! What was rendered last, for whoever asks within the same second: many who ask at once cost as much as one.
//!
//! The bytes are those of one version of the snapshot and one second of the clock, so nothing that is served is staler
//! than a second. All answers that are not taken yet are held in memory, and together they are bounded.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::encoding::{Encoding, gzip};

/// KiB of rendered answers in memory at once. Those of 200 servers are below 3 MiB; what asks for more does not read.
const ROOM: u32 = 32 << 10;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The metrics.
    Metrics,
    /// The page for people.
    Page,
    /// The status as JSON.
    Status,
    /// The backups of all servers as JSON.
    Backups,
}

/// Which state of the world was rendered: version of the snapshot, second of the clock.
pub(super) type Stamp = (u64, i64);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrendered {
    /// It failed; the log says why.
    Failed,
    /// Too many answers are not taken yet.
    Full,
}

/// The answers.
pub(super) struct Cache {
    slots: [Mutex<Slot>; 4],
    /// Held while something is rendered that is not kept.
    single: Mutex<()>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Slot {
    stamp: Stamp,
    plain: Option<Bytes>,
    packed: Option<Bytes>,
}

/// Bytes, and the room that they take until the last client has them.
struct Held {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| Mutex::default()),
            single: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM as usize)),
        }
    }
}

impl Cache {
    /// The bytes of an item as of `stamp`, which is asked when it is our turn, rendered now if they are not there.
    pub(super) async fn get(
        &self,
        item: Item,
        encoding: Encoding,
        stamp: impl FnOnce() -> Stamp,
        render: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Bytes, Unrendered> {
        let mut slot = match self.slots.get(item as usize) {
            Some(slot) => slot.lock().await,
            None => return Err(Unrendered::Failed),
        };
        let stamp = stamp();
        if slot.stamp != stamp {
            // Dropped before the next is made, so that the two are not held at once.
            *slot = Slot {
                stamp,
                ..Slot::default()
            };
        }
        let place = match encoding {
            Encoding::Identity => &mut slot.plain,
            Encoding::Gzip => &mut slot.packed,
        };
        if let Some(bytes) = place {
            return Ok(bytes.clone());
        }
        let bytes = self.made(encoding, render)?;
        *place = Some(bytes.clone());
        Ok(bytes)
    }

    /// The bytes of something that is not kept; one after the other.
    pub(super) async fn once(
        &self,
        encoding: Encoding,
        render: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Bytes, Unrendered> {
        let _single = self.single.lock().await;
        self.made(encoding, render)
    }

    fn made(
        &self,
        encoding: Encoding,
        render: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Bytes, Unrendered> {
        let bytes = render()
            .and_then(|plain| match encoding {
                Encoding::Identity => Some(plain),
                Encoding::Gzip => gzip(&plain),
            })
            .ok_or(Unrendered::Failed)?;
        // One that is larger than all the room takes all of it.
        let size = u32::try_from(bytes.len().div_ceil(1 << 10)).unwrap_or(ROOM);
        let room = Arc::clone(&self.room).try_acquire_many_owned(size.min(ROOM));
        let room = room.map_err(|_| Unrendered::Full)?;
        Ok(Bytes::from_owner(Held { bytes, _room: room }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn within_a_stamp_each_encoding_is_rendered_once() {
        let (cache, rendered) = (Cache::default(), AtomicU32::new(0));
        let get = |stamp: Stamp, encoding| {
            let render = || {
                let times = rendered.fetch_add(1, Ordering::Relaxed);
                Some(format!("{times}").into_bytes())
            };
            cache.get(Item::Metrics, encoding, move || stamp, render)
        };
        let all = futures_util::future::join_all((0..9).map(|_| get((1, 1), Encoding::Identity)));
        assert!(all.await.iter().all(|bytes| *bytes == Ok(Bytes::from("0"))));
        assert_ne!(get((1, 1), Encoding::Gzip).await, Ok(Bytes::from("0")));
        assert_eq!(get((1, 2), Encoding::Identity).await, Ok(Bytes::from("2")));
        assert_eq!(get((2, 2), Encoding::Identity).await, Ok(Bytes::from("3")));
    }

    #[tokio::test]
    async fn answers_that_nobody_takes_are_bounded_and_give_their_room_back() {
        let cache = Cache::default();
        let large = || cache.once(Encoding::Identity, || Some(vec![0; 10 << 20]));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(large().await.expect("room"));
        }
        assert_eq!(large().await, Err(Unrendered::Full));
        let copy = held.first().cloned();
        held.remove(0);
        assert_eq!(large().await, Err(Unrendered::Full), "a copy is still held");
        drop(copy);
        assert!(large().await.is_ok());
        held.clear();
        let huge = cache.once(Encoding::Identity, || Some(vec![0; 40 << 20]));
        assert!(huge.await.is_ok(), "one is served whatever its size");
    }
}
