//! How often something may be done: a token bucket, kept as the one moment at which it is full again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// So often at once.
    pub(super) burst: u32,
    /// And once more each.
    pub(super) every: Duration,
}

/// A bucket; `None` is full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

/// A bucket for each address that has spent something.
pub(super) struct PerPeer {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// Addresses that are remembered. Whoever has more of them can guess with each, which a long token outlasts.
const PEERS: usize = 1_024;

impl Bucket {
    /// Takes one token, or says how long to wait for it.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let lacking = self.lacking(now);
        let allowed = rate.every * rate.burst.saturating_sub(1);
        if lacking > allowed {
            return Err(lacking - allowed);
        }
        self.full_at = Some(now + lacking + rate.every);
        Ok(())
    }

    /// Gives one token back.
    fn refund(&mut self, rate: Rate) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(rate.every));
    }

    /// How long until it is full.
    fn lacking(&self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

impl PerPeer {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of a peer, or says how long to wait for it.
    pub(super) fn take(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if buckets.len() >= PEERS && !buckets.contains_key(&peer) {
            buckets.retain(|_, bucket| !bucket.lacking(now).is_zero());
            let fullest = buckets
                .iter()
                .min_by_key(|(_, bucket)| bucket.full_at)
                .map(|(peer, _)| *peer);
            if let (Some(fullest), true) = (fullest, buckets.len() >= PEERS) {
                buckets.remove(&fullest);
            }
        }
        buckets.entry(peer).or_default().take(self.rate, now)
    }

    /// Gives a token back.
    pub(super) fn refund(&self, peer: IpAddr) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&network(peer)) {
            bucket.refund(self.rate);
        }
    }
}

/// What one person has of addresses: one of IPv4, 2^64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: Duration::from_secs(10),
    };

    #[test]
    fn a_burst_and_then_one_after_the_other() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, now), Ok(()));
        }
        assert_eq!(bucket.take(RATE, now), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(RATE, after(4)), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(RATE, after(10)), Ok(()));
        assert!(bucket.take(RATE, after(10)).is_err());
        // Waiting longer than it takes to fill it gives no more than the burst.
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, after(1_000)), Ok(()));
        }
        assert!(bucket.take(RATE, after(1_000)).is_err());
        bucket.refund(RATE);
        assert_eq!(bucket.take(RATE, after(1_000)), Ok(()));
    }

    #[test]
    fn peers_do_not_wait_for_each_other_and_are_not_remembered_without_end() {
        let (peers, now) = (PerPeer::new(RATE), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let one = address("10.0.0.1");
        while peers.take(one, now).is_ok() {}
        assert!(peers.take(address("::ffff:10.0.0.1"), now).is_err());
        assert!(peers.take(address("10.0.0.2"), now).is_ok());
        while peers.take(address("2001:db8::1"), now).is_ok() {}
        assert!(peers.take(address("2001:db8::ffff:1:2:3"), now).is_err());
        assert!(peers.take(address("2001:db8:0:1::1"), now).is_ok());
        for n in 0..3_000_u32 {
            let _ = peers.take(IpAddr::V4(n.into()), now);
        }
        let held = peers.buckets.lock().expect("not poisoned").len();
        assert!(held <= PEERS, "{held}");
        assert!(
            peers.take(one, now).is_err(),
            "who guessed most is forgotten last"
        );
    }
}
