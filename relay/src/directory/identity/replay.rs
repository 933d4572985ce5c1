//! Which challenges have been answered.

use std::collections::{HashSet, VecDeque};

use super::NONCE;

/// The most challenges remembered: a thousand handshakes a second for a minute, in 6 MiB. Beyond that handshakes are refused,
/// because forgetting one would let its answer be used again.
pub(crate) const CAPACITY: usize = 60_000;

/// Answered challenges. What is inserted later is kept longer.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    // Only asked whether it has something; its order reaches nobody.
    seen: HashSet<[u8; NONCE]>,
    order: VecDeque<(u64, [u8; NONCE])>,
}

/// Whether a challenge is answered for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is.
    First,
    /// It is not.
    Before,
    /// There is no room to remember it.
    Full,
}

impl Replays {
    /// Whether the challenge has been answered.
    pub(crate) fn has(&self, nonce: &[u8; NONCE]) -> bool {
        self.seen.contains(nonce)
    }

    /// Remembers a challenge until `until`, in milliseconds since the Unix epoch.
    pub(crate) fn insert(&mut self, nonce: [u8; NONCE], now_ms: u64, until: u64) -> Seen {
        while self.order.front().is_some_and(|(until, _)| *until < now_ms) {
            let Some((_, old)) = self.order.pop_front() else { break };
            self.seen.remove(&old);
        }
        if self.seen.contains(&nonce) {
            return Seen::Before;
        }
        if self.seen.len() >= CAPACITY {
            return Seen::Full;
        }
        self.seen.insert(nonce);
        self.order.push_back((until, nonce));
        Seen::First
    }
}
