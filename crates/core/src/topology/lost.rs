//! Peers that were linked and vanished: they are dialled again until they are back or forgotten.
//!
//! This is what lets two halves of a network find each other when whatever parted them is gone, be it after a minute or
//! after a day: one success anywhere is enough, the neighbourhoods then tell each other (see the topology).
//!
//! Each lost peer has its own backoff; the node as a whole makes one attempt in [`PACE`], quicker after a loss and slower
//! while nobody comes back, so that the cost does not grow with the number of the lost. When one comes back, the next
//! [`BURST`] are tried at once: whoever was behind the same cut is back too.
//!
//! Bounds: [`MAX_LOST`] peers, those that were linked longest; each for [`FORGET`] at most.

use std::time::Duration;

use fastrand::Rng;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{backoff::Backoff, map::Map};

/// Lost peers that are looked for. A relay has about as many links that it needs; beyond that one of many will do.
const MAX_LOST: usize = 128;

/// How long a lost peer is looked for: longer than a night's outage. An earlier life's memory lasts longer.
const FORGET: Duration = Duration::from_secs(24 * 60 * 60);

/// Time between two attempts of the node, just after a loss and when nobody has come back for long. The longer one decides
/// how soon two single relays meet again: within it and a backoff, a third of the minute that a healing may take.
const PACE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(10));

/// The same in a burst: the stagger of joining.
const PACE_BURST: Duration = Duration::from_millis(250);

/// Attempts in a burst. A few would do; these cover a wrong guess or two for each.
const BURST: usize = 16;

/// First and longest delay between two attempts at the same peer.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

#[derive(Debug)]
struct Entry {
    addresses: Vec<Multiaddr>,
    /// How long the peer was linked: who stayed long comes back (Stutzbach and Rejaie, 2006).
    lived: Duration,
    since: Duration,
    due: Duration,
    backoff: Backoff,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Lost {
    peers: Map<PeerId, Entry>,
    /// When the next attempt may be made.
    next: Duration,
    /// The pace while nobody comes back.
    pace: Duration,
    burst: usize,
}

impl Lost {
    /// A peer has vanished.
    pub(super) fn add(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        lived: Duration,
        elapsed: Duration,
        rng: &mut Rng,
    ) {
        if addresses.is_empty() {
            return;
        }
        if self.peers.len() >= MAX_LOST && !self.peers.contains_key(&peer) {
            let Some(least) = self.peers.iter().min_by_key(|(_, known)| known.lived) else { return };
            if least.1.lived > lived {
                return;
            }
            let least = *least.0;
            self.peers.remove(&least);
        }
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let due = elapsed + backoff.fail(rng);
        if self.peers.is_empty() {
            self.next = self.next.max(due);
        }
        self.peers.insert(peer, Entry { addresses, lived, since: elapsed, due, backoff });
        self.pace = PACE.0;
    }

    /// A peer is connected and serves the network; true if it was lost.
    pub(super) fn back(&mut self, peer: &PeerId, elapsed: Duration) -> bool {
        let lost = self.peers.remove(peer).is_some();
        if lost && !self.peers.is_empty() {
            self.burst = BURST;
            self.pace = PACE.0;
            self.next = elapsed;
            for entry in self.peers.values_mut() {
                entry.due = entry.due.min(elapsed);
                entry.backoff.reset();
            }
        }
        lost
    }

    /// A peer turned out to be something else.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// Whom to dial at this time, if anybody.
    pub(super) fn next(&mut self, elapsed: Duration, rng: &mut Rng) -> Option<(PeerId, Vec<Multiaddr>)> {
        if self.next > elapsed {
            return None;
        }
        self.peers.retain(|_, entry| entry.since + FORGET > elapsed);
        // Who has waited longest is next; peers that vanished together differ by their jitter.
        let (peer, entry) =
            self.peers.iter_mut().filter(|(_, entry)| entry.due <= elapsed).min_by_key(|(_, e)| e.due)?;
        entry.due = elapsed + entry.backoff.fail(rng);
        let found = (*peer, entry.addresses.clone());
        let pace = if self.burst > 0 {
            self.burst -= 1;
            PACE_BURST
        } else {
            let pace = self.pace.max(PACE.0);
            self.pace = (pace + PACE.0 / 4).min(PACE.1);
            pace
        };
        self.next = elapsed + pace.mul_f64(0.5 + 0.5 * rng.f64());
        Some(found)
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.peers.values().map(|entry| entry.due).min().map(|due| due.max(self.next))
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PeerId {
        let key = libp2p_identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes are a seed");
        key.public().to_peer_id()
    }

    fn address() -> Vec<Multiaddr> {
        vec!["/ip4/10.0.0.1/tcp/80/ws".parse().expect("an address")]
    }

    /// The attempts of an hour, as time and peer.
    fn attempts(lost: &mut Lost, from: Duration, time: Duration) -> Vec<(Duration, PeerId)> {
        let mut rng = Rng::with_seed(1);
        let mut made = Vec::new();
        while let Some(at) = lost.next_deadline().filter(|at| *at < from + time) {
            match lost.next(at, &mut rng) {
                Some((peer, _)) => made.push((at, peer)),
                None => assert!(lost.len() == 0, "a deadline without anything to do at {at:?}"),
            }
        }
        made
    }

    #[test]
    fn the_cost_does_not_grow_with_the_number_of_the_lost() {
        for count in [1, 8, 200] {
            let (mut lost, mut rng) = (Lost::default(), Rng::with_seed(2));
            for seed in 0..count {
                lost.add(peer(seed), address(), Duration::from_secs(60), Duration::ZERO, &mut rng);
            }
            assert!(lost.len() <= MAX_LOST);
            let made = attempts(&mut lost, Duration::ZERO, Duration::from_secs(3600));
            let per_minute = made.len() / 60;
            assert!((3..=9).contains(&per_minute), "{per_minute} attempts a minute with {count} lost");
            let gaps = made.windows(2).map(|pair| pair[1].0 - pair[0].0);
            assert!(gaps.max() <= Some(RETRY.1), "one of {count} is tried often enough");
        }
    }

    #[test]
    fn everybody_has_a_turn_and_one_who_is_back_brings_the_others_forward() {
        let (mut lost, mut rng) = (Lost::default(), Rng::with_seed(3));
        for seed in 0..20 {
            lost.add(peer(seed), address(), Duration::from_secs(60), Duration::ZERO, &mut rng);
        }
        let minutes = Duration::from_secs(600);
        let tried = attempts(&mut lost, Duration::ZERO, minutes);
        for seed in 0..20 {
            assert!(tried.iter().any(|(_, tried)| *tried == peer(seed)), "{seed} has a turn");
        }
        assert!(lost.back(&peer(7), minutes));
        assert!(!lost.back(&peer(7), minutes));
        let burst = attempts(&mut lost, minutes, Duration::from_secs(4));
        assert!(burst.len() >= BURST, "{} attempts in four seconds", burst.len());
        assert!(burst.iter().all(|(_, tried)| *tried != peer(7)));
    }

    #[test]
    fn a_day_later_and_after_a_long_sleep_nothing_storms() {
        let (mut lost, mut rng) = (Lost::default(), Rng::with_seed(4));
        for seed in 0..20 {
            lost.add(peer(seed), address(), Duration::from_secs(60), Duration::ZERO, &mut rng);
        }
        let morning = Duration::from_secs(8 * 3600);
        assert!(lost.next(morning, &mut rng).is_some());
        assert!(lost.next(morning, &mut rng).is_none(), "one attempt, however long nobody could make any");
        assert!(lost.next(FORGET, &mut rng).is_none());
        assert_eq!(lost.next_deadline(), None, "after a day they are forgotten");
    }
}
