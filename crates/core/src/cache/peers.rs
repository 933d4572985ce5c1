//! The relays and DHT servers this node has met, remembered beyond their links.
//!
//! A peer enters when it has identified itself as a server of this network's DHT; whoever is only named by others does not.
//! What is learned of it afterwards ranks it: failures in a row, whether it relays, how lately it was seen and how far away
//! it is ([`Rank`]). Of too many the worst ranked goes.
//!
//! Dates are wall-clock time, because they outlive the process; one that lies in the future, by a clock that was set, counts
//! as unknown. This module dials nobody: joining, and the search for lost peers after a restart, take [`Peers::best`].
//!
//! Bounds: [`CacheConfig::max_peers`](super::CacheConfig) peers with at most [`MAX_ADDRESSES`] addresses each.

use std::{cmp::Reverse, time::Duration};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{map::Map, time::Now};

/// Addresses kept of one peer; as many as identification takes.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// Failures beyond this count make no difference.
const MANY_FAILURES: u32 = 5;

/// What a peer is to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    /// It serves the DHT of this network.
    pub(crate) server: bool,
    /// It relays circuits for others.
    pub(crate) relay: bool,
}

/// What is remembered of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedPeer {
    pub(crate) peer: PeerId,
    /// Where it was reached or says it is, without the final `/p2p`; WebRTC-direct addresses carry their certificates' hashes.
    pub(crate) addresses: Vec<Multiaddr>,
    /// Whether the first address led to it from here; the others are its own words.
    pub(crate) proven: bool,
    pub(crate) roles: Roles,
    /// Where it stands, if a list said so; else empty.
    pub(crate) region: String,
    /// Smoothed round-trip time of its last link.
    pub(crate) rtt: Option<Duration>,
    /// How often it identified itself.
    pub(crate) successes: u32,
    /// Dials that failed since it was last met.
    pub(crate) failures: u32,
    /// When it was last heard, in milliseconds since the Unix epoch.
    pub(crate) seen: u64,
    /// When a dial last failed, in milliseconds since the Unix epoch; 0 if none did.
    pub(crate) failed: u64,
}

/// Which of two peers is asked first; the order of the fields is the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Few failures in a row first.
    failures: u32,
    /// Relays first: they give a place as well as answers.
    other_than_relay: bool,
    /// Hours since it was seen, in powers of two: who was there lately is likely to be there still (session lengths in
    /// peer-to-peer networks have a heavy tail; Stutzbach and Rejaie, 2006).
    unseen: u32,
    /// The nearer first, unmeasured last.
    rtt: Duration,
    /// Well-proven first.
    successes: Reverse<u32>,
    peer: PeerId,
}

impl RememberedPeer {
    /// How long ago the peer was heard; none if the date cannot be believed.
    pub(crate) fn age(&self, now: Now) -> Option<Duration> {
        now.unix_ms.checked_sub(self.seen).map(Duration::from_millis)
    }

    fn rank(&self, now: Now) -> Rank {
        // A date in the future is worth no more than the oldest.
        let hours = self.age(now).map_or(u64::MAX, |age| age.as_secs() / 3600);
        Rank {
            failures: self.failures.min(MANY_FAILURES),
            other_than_relay: !self.roles.relay,
            unseen: u64::BITS - hours.leading_zeros(),
            rtt: self.rtt.unwrap_or(Duration::MAX),
            successes: Reverse(self.successes),
            peer: self.peer,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Peers {
    peers: Map<PeerId, RememberedPeer>,
    most: usize,
    /// Whether something changed that a next life would miss.
    changed: bool,
}

impl Peers {
    pub(crate) fn new(most: usize) -> Self {
        Self { peers: Map::new(), most, changed: false }
    }

    /// A peer has identified itself over a link. `addresses` are in the order of their worth; the first one is `proven` if
    /// this node dialled it. Peers that do not serve this network's DHT are not remembered.
    pub(crate) fn met(
        &mut self,
        peer: PeerId,
        addresses: &[Multiaddr],
        proven: bool,
        roles: Roles,
        rtt: Option<Duration>,
        now: Now,
    ) {
        if !roles.server {
            return self.forget(&peer);
        }
        let known = self.peers.get_or_insert_with(peer, || RememberedPeer {
            peer,
            addresses: Vec::new(),
            proven: false,
            roles,
            region: String::new(),
            rtt: None,
            successes: 0,
            failures: 0,
            seen: 0,
            failed: 0,
        });
        // What led to it once is kept in front when it comes by itself: its own words may be wrong.
        let kept = (!proven && known.proven).then(|| known.addresses.first().cloned()).flatten();
        let mut fresh: Vec<Multiaddr> = Vec::new();
        for address in kept.iter().chain(addresses) {
            if fresh.len() < MAX_ADDRESSES && !fresh.contains(address) {
                fresh.push(address.clone());
            }
        }
        let different = known.addresses != fresh || known.roles != roles || known.failures > 0;
        known.proven = !fresh.is_empty() && (proven || kept.is_some());
        known.addresses = fresh;
        known.roles = roles;
        known.rtt = rtt.or(known.rtt);
        known.successes = known.successes.saturating_add(1);
        (known.failures, known.failed, known.seen) = (0, 0, now.unix_ms);
        self.changed |= different;
        self.trim(now);
    }

    /// A link's ping came back.
    pub(crate) fn heard(&mut self, peer: &PeerId, rtt: Option<Duration>, now: Now) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.rtt = rtt.or(known.rtt);
            (known.failures, known.failed, known.seen) = (0, 0, now.unix_ms);
        }
    }

    /// A dial of a peer came to nothing, or nobody answered behind it.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Now) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.failures = known.failures.saturating_add(1);
            known.failed = now.unix_ms;
            self.changed = true;
        }
    }

    /// A list tells where a peer stands.
    pub(crate) fn stands_in(&mut self, peer: &PeerId, region: &str) {
        if let Some(known) = self.peers.get_mut(peer).filter(|known| known.region != region) {
            known.region = region.to_owned();
            self.changed = true;
        }
    }

    /// It is no server of this network.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.changed |= self.peers.remove(peer).is_some();
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<&RememberedPeer> {
        self.peers.get(peer)
    }

    /// The peers most worth a dial, best first.
    pub(crate) fn best(&self, count: usize, now: Now) -> Vec<RememberedPeer> {
        self.ranked(now).into_iter().take(count).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// All of them, best first.
    pub(crate) fn ranked(&self, now: Now) -> Vec<&RememberedPeer> {
        let mut peers: Vec<_> = self.peers.values().collect();
        peers.sort_by_cached_key(|known| known.rank(now));
        peers
    }

    /// What an earlier life remembered; what is known already wins.
    pub(crate) fn restore(&mut self, remembered: RememberedPeer, now: Now) {
        if remembered.roles.server && !self.peers.contains_key(&remembered.peer) {
            self.peers.insert(remembered.peer, remembered);
            self.trim(now);
        }
    }

    /// Whether something changed since this was last asked that a next life would miss. Round trips and dates alone do not
    /// count; they change all the time.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn trim(&mut self, now: Now) {
        while self.peers.len() > self.most.max(1) {
            let Some(worst) = self.peers.values().max_by_key(|known| known.rank(now)).map(|known| known.peer) else {
                return;
            };
            self.peers.remove(&worst);
        }
    }
}

#[cfg(test)]
mod tests;
