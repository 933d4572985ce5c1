//! The routing table: which DHT servers this node knows, sorted by distance.
//!
//! Kademlia's k-buckets (Maymounkov and Mazières, 2002): one bucket for each length of the prefix shared with the local
//! position, at most [`BUCKET`] peers in each. Only peers that have been connected and have told that they serve this
//! network's DHT come in ("check before add"), so hearsay never gets further than a query's candidates. A full bucket
//! keeps its old members, which live longest by Kademlia's measurement, unless one of them has failed.
//!
//! Bounds: 256 buckets of [`BUCKET`] peers with at most 16 addresses each. The table does not dial and does not ping.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::key::Position;
use crate::{map::Map, wire::kad::PeerAddresses};

/// Peers in a bucket: Kademlia's `k`, 20 in libp2p's specification.
pub const BUCKET: usize = 20;

/// Failures in a row after which a peer leaves the table. One failure is often the network's; a guess.
const FAILURES: u8 = 3;

#[derive(Clone, Debug)]
struct Entry {
    peer: PeerAddresses,
    seen: Duration,
    failures: u8,
}

/// The buckets.
#[derive(Debug)]
pub struct Table {
    local: Position,
    buckets: Map<usize, Vec<Entry>>,
}

impl Table {
    /// An empty table around the local position.
    pub fn new(local: Position) -> Self {
        Self { local, buckets: Map::new() }
    }

    /// A peer is connected and serves the DHT of this network; true if the table holds it afterwards.
    pub fn seen(&mut self, peer: PeerAddresses, elapsed: Duration) -> bool {
        let Some(index) = self.bucket(&peer.peer) else { return false };
        let bucket = self.buckets.get_or_insert_with(index, Vec::new);
        let entry = Entry { peer, seen: elapsed, failures: 0 };
        if let Some(known) = bucket.iter_mut().find(|known| known.peer.peer == entry.peer.peer) {
            *known = entry;
            return true;
        }
        if bucket.len() == BUCKET {
            let Some(worst) = bucket
                .iter()
                .enumerate()
                .filter(|(_, known)| known.failures > 0)
                .min_by_key(|(_, known)| known.seen)
                .map(|(position, _)| position)
            else {
                return false;
            };
            bucket.remove(worst);
        }
        bucket.push(entry);
        true
    }

    /// A peer did not answer or could not be dialled.
    pub fn failed(&mut self, peer: &PeerId) {
        let Some(bucket) = self.bucket(peer).and_then(|index| self.buckets.get_mut(&index)) else { return };
        if let Some(position) = bucket.iter().position(|known| known.peer.peer == *peer) {
            bucket[position].failures += 1;
            if bucket[position].failures >= FAILURES {
                bucket.remove(position);
            }
        }
    }

    /// A peer answered: its failures so far do not count.
    pub fn heard(&mut self, peer: &PeerId) {
        let Some(bucket) = self.bucket(peer).and_then(|index| self.buckets.get_mut(&index)) else { return };
        if let Some(known) = bucket.iter_mut().find(|known| known.peer.peer == *peer) {
            known.failures = 0;
        }
    }

    /// A peer no longer serves the DHT of this network.
    pub fn remove(&mut self, peer: &PeerId) {
        if let Some(bucket) = self.bucket(peer).and_then(|index| self.buckets.get_mut(&index)) {
            bucket.retain(|known| known.peer.peer != *peer);
        }
    }

    /// The closest peers to a position, closest first.
    pub fn closest(&self, target: &Position, count: usize) -> Vec<PeerAddresses> {
        let mut peers: Vec<_> = self.peers().collect();
        peers.sort_by_cached_key(|peer| target.distance(&Position::of_peer(&peer.peer)));
        peers.into_iter().take(count).cloned().collect()
    }

    /// Every peer, nearest bucket last.
    pub fn peers(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.buckets.values().flatten().map(|entry| &entry.peer)
    }

    /// How many peers the table holds.
    pub fn len(&self) -> usize {
        self.buckets.values().map(Vec::len).sum()
    }

    /// Whether the table holds nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bucket(&self, peer: &PeerId) -> Option<usize> {
        self.local.distance(&Position::of_peer(peer)).bucket()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u16) -> PeerAddresses {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        let key = libp2p_identity::Keypair::ed25519_from_bytes(bytes).expect("32 bytes are a seed");
        PeerAddresses { peer: key.public().to_peer_id(), addresses: Vec::new() }
    }

    #[test]
    fn closest_are_sorted_and_the_local_peer_never_enters() {
        let local = peer(0);
        let mut table = Table::new(Position::of_peer(&local.peer));
        assert!(!table.seen(local, Duration::ZERO));
        for seed in 1..60 {
            table.seen(peer(seed), Duration::ZERO);
        }
        let target = Position::of(b"target");
        let distances: Vec<_> =
            table.closest(&target, 10).iter().map(|p| target.distance(&Position::of_peer(&p.peer))).collect();
        assert_eq!(distances.len(), 10);
        assert!(distances.is_sorted());
    }

    #[test]
    fn a_full_bucket_keeps_the_old_until_one_fails() {
        let mut table = Table::new(Position::of_peer(&peer(0).peer));
        let crowd: Vec<_> = (1..200).map(peer).collect();
        let far: Vec<_> = crowd.iter().filter(|p| table.bucket(&p.peer) == Some(255)).cloned().collect();
        assert!(far.len() > BUCKET + 1, "half of all peers share no bit with the local one");
        for peer in &far {
            table.seen(peer.clone(), Duration::ZERO);
        }
        assert_eq!(table.len(), BUCKET);
        assert!(!table.seen(far[BUCKET].clone(), Duration::ZERO));
        table.failed(&far[3].peer);
        assert!(table.seen(far[BUCKET].clone(), Duration::ZERO), "a failed member makes room");
        assert_eq!(table.len(), BUCKET);
        assert!(table.peers().all(|p| p.peer != far[3].peer));
    }

    #[test]
    fn three_failures_in_a_row_remove_a_peer_and_an_answer_forgives() {
        let mut table = Table::new(Position::of_peer(&peer(0).peer));
        table.seen(peer(1), Duration::ZERO);
        table.failed(&peer(1).peer);
        table.failed(&peer(1).peer);
        table.seen(peer(1), Duration::ZERO);
        table.failed(&peer(1).peer);
        table.failed(&peer(1).peer);
        assert_eq!(table.len(), 1);
        table.failed(&peer(1).peer);
        assert!(table.is_empty());
    }
}
