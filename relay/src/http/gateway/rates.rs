//! Rate limits in a fixed amount of memory.
//!
//! The generic cell rate algorithm (ATM Forum, traffic management 4.0) keeps one number for each client: the time at which its
//! allowance is whole again. Numbers stand in a table of [`BUCKETS`] times [`WAYS`] places, 2 MiB, that never grows. A client
//! that finds its bucket full takes the place of the one whose allowance is nearest to whole; so whoever makes many clients
//! appear can free others of a short wait, and can lock nobody out. Clients are found by a keyed hash that nobody outside can
//! compute.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Buckets of the table.
const BUCKETS: usize = 16 * 1024;

/// Places of a bucket.
const WAYS: usize = 8;

/// An allowance: so many units a second, of which some may be saved up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds in which one unit comes back.
    interval: u64,
    /// Nanoseconds of allowance that may be spent at once.
    burst: u64,
}

impl Rate {
    /// `per_second` units a second, at least 1; `burst` seconds of them may be spent at once.
    pub(crate) fn new(per_second: u32, burst: u64) -> Self {
        Self { interval: 1_000_000_000 / u64::from(per_second.max(1)), burst: burst * 1_000_000_000 }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The client's hash; 0 with a time of 0 is a free place.
    client: u64,
    /// When its allowance is whole again, in nanoseconds since the start.
    whole_at: u64,
}

/// The allowances of all clients.
#[derive(Debug)]
pub(crate) struct Limiter {
    hasher: RandomState,
    buckets: Box<[Mutex<[Place; WAYS]>]>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            buckets: (0..BUCKETS).map(|_| Mutex::new([Place::default(); WAYS])).collect(),
        }
    }
}

impl Limiter {
    /// Spends `cost` units of the client's allowance, or says how long it must wait until it has them. `now` counts from any
    /// fixed start.
    pub(crate) fn take(&self, client: &impl Hash, rate: Rate, cost: u64, now: Duration) -> Result<(), Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let hash = self.hasher.hash_one(client);
        let bucket = &self.buckets[hash as usize % BUCKETS];
        let mut places = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match places.iter().position(|place| place.client == hash) {
            Some(at) => &mut places[at],
            None => {
                let nearest = places.iter_mut().min_by_key(|place| place.whole_at).expect("a bucket has places");
                *nearest = Place { client: hash, whole_at: 0 };
                nearest
            }
        };
        let whole_at = place.whole_at.max(now) + cost * rate.interval;
        // A request that costs more than the whole allowance may pass when the allowance is whole.
        let most = now + rate.burst.max(cost * rate.interval);
        if whole_at > most {
            return Err(Duration::from_nanos(whole_at - most));
        }
        place.whole_at = whole_at;
        Ok(())
    }
}
