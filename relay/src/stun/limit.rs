//! How many answers one group of addresses gets, in memory that does not grow.
//!
//! Each group has a bucket of tokens. The buckets are as many as there are, and a keyed hash says which group uses which:
//! two groups that meet in one share its tokens, and nobody can choose whom to meet. So there is nothing to evict and
//! nothing to fill up.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Instant,
};

/// Buckets, eight bytes each. A relay with a thousand pages behind as many networks has one in sixteen in use.
const BUCKETS: usize = 16_384;

/// Answers in a row: some dozen pages behind one NAT that all start at once and ask five times each.
const BURST: u32 = 256;

/// Answers a second after that. With their headers they are some 4 kB/s, which is all that a forger of source addresses
/// can aim at a group from here.
const PER_SECOND: u32 = 64;

/// Thousandths of a token, so that a millisecond is worth something.
const TOKEN: u32 = 1_000;

/// Counts the answers to each group.
#[derive(Debug)]
pub(crate) struct Limiter {
    start: Instant,
    key: RandomState,
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of a token left at `at`.
    left: u32,
    /// Milliseconds since the start. They come round after 49 days, which only a bucket that rests as long mistakes for less.
    at: u32,
}

impl Limiter {
    /// All buckets are full at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        let full = Bucket { left: BURST * TOKEN, at: 0 };
        Self { start: now, key: RandomState::new(), buckets: vec![full; BUCKETS].into() }
    }

    /// Whether `address` may get an answer; if so it is counted.
    pub(crate) fn allows(&mut self, address: IpAddr, now: Instant) -> bool {
        let at = now.duration_since(self.start).as_millis() as u32;
        let index = self.key.hash_one(group(address)) as usize % BUCKETS;
        let bucket = &mut self.buckets[index];
        let refill = at.wrapping_sub(bucket.at).saturating_mul(PER_SECOND);
        bucket.left = bucket.left.saturating_add(refill).min(BURST * TOKEN);
        bucket.at = at;
        let enough = bucket.left >= TOKEN;
        if enough {
            bucket.left -= TOKEN;
        }
        enough
    }
}

/// What one holder of addresses commonly has: 256 of IPv4, a /48 of IPv6.
fn group(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits() >> 8),
        // The highest bit keeps the two kinds apart.
        IpAddr::V6(address) => (address.to_bits() >> 80) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn granted(limiter: &mut Limiter, address: &str, now: Instant) -> u32 {
        let address: IpAddr = address.parse().unwrap();
        (0..10_000).take_while(|_| limiter.allows(address, now)).count() as u32
    }

    #[test]
    fn a_burst_then_a_rate_for_each_group() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        assert_eq!(granted(&mut limiter, "192.0.2.1", start), BURST);
        assert_eq!(granted(&mut limiter, "192.0.2.200", start), 0);
        assert_eq!(granted(&mut limiter, "::ffff:192.0.2.3", start), 0);
        let later = start + Duration::from_secs(1);
        assert_eq!(granted(&mut limiter, "192.0.2.1", later), PER_SECOND);
        let much_later = start + Duration::from_secs(3_600);
        assert_eq!(granted(&mut limiter, "192.0.2.1", much_later), BURST);
    }

    #[test]
    fn others_are_not_held_back() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        assert_eq!(granted(&mut limiter, "2001:db8:1::1", start), BURST);
        assert_eq!(granted(&mut limiter, "2001:db8:1:ffff::1", start), 0);
        // Each of a hundred meets the first in its bucket with a chance of one in 16 384.
        let others = (0..100).map(|n| granted(&mut limiter, &format!("198.51.{n}.1"), start));
        assert!(others.filter(|granted| *granted == BURST).count() >= 98);
    }

    #[test]
    fn the_clock_of_the_buckets_comes_round() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        for days in [1, 49, 50, 99] {
            let now = start + Duration::from_secs(days * 86_400);
            assert_eq!(granted(&mut limiter, "192.0.2.1", now), BURST, "day {days}");
        }
    }
}
