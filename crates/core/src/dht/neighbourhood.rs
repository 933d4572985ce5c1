//! Who holds what near a point: the end of a walk, good for more keys than the one it went to.
//!
//! A walk to T that ended with peers out to the distance D has seen *every* peer that can be reached within D of T. For
//! another key K, the `k` closest of those are the `k` closest of all if everything as near to K as the last of them lies
//! within D of T. Distances are XORs, so a peer Q with d(K,Q) ≤ r has d(T,Q) = d(T,K) ⊕ d(K,Q): if both d(T,K) and r share
//! more leading zeros than D, so does d(T,Q), and Q was seen. That is the rule of [`Neighbourhood::holders`]; and a walk that
//! found fewer peers than it was to find has seen all there are, and serves every key.
//!
//! With n keys to store in a network of N servers that turns n walks into about N/k at most, and into one where all
//! servers are fewer than twice `k`.
//!
//! Bounds: what one query ended with. A neighbourhood is used at the moment the walk ends and not kept: who died since
//! would be asked in vain.

use super::{
    key::{Distance, Position},
    query::Query,
};
use crate::wire::kad::PeerAddresses;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    around: Position,
    /// Those that answered, and those that were too slow (true).
    seen: Vec<(Position, bool, PeerAddresses)>,
    /// Leading zeros of the distance within which everybody was seen; none if everybody was seen.
    reach: Option<u32>,
}

/// Where a value belongs.
#[derive(Debug)]
pub(super) struct Holders {
    /// The closest that answered, closest first.
    pub(super) closest: Vec<PeerAddresses>,
    /// Those that would be among them if they had not been too slow.
    pub(super) late: Vec<PeerAddresses>,
}

impl Neighbourhood {
    /// What a query has seen that was to find `wanted` peers.
    pub(super) fn of(query: &Query, wanted: usize) -> Self {
        let around = *query.target();
        let entry = |late| move |peer: &PeerAddresses| (Position::of_peer(&peer.peer), late, peer.clone());
        let answered: Vec<_> = query.closest().map(entry(false)).collect();
        let reach = answered.last().filter(|_| answered.len() >= wanted);
        let reach = reach.map(|(farthest, ..)| around.distance(farthest).leading_zeros());
        let seen = answered.into_iter().chain(query.late().map(entry(true))).collect();
        Self { around, seen, reach }
    }

    /// The `k` holders of the key that the walk went to.
    pub(super) fn own_holders(&self, k: usize) -> Holders {
        self.nearest(&self.around, k).0
    }

    /// The `k` holders of another key, if the walk has seen them for sure.
    pub(super) fn holders(&self, key: &Position, k: usize) -> Option<Holders> {
        let (holders, farthest) = self.nearest(key, k);
        let Some(reach) = self.reach else { return Some(holders) };
        let within = |distance: Distance| distance.leading_zeros() > reach;
        (holders.closest.len() == k && within(farthest?) && within(self.around.distance(key))).then_some(holders)
    }

    fn nearest(&self, key: &Position, k: usize) -> (Holders, Option<Distance>) {
        let mut order: Vec<_> =
            self.seen.iter().map(|(position, late, peer)| (key.distance(position), *late, peer)).collect();
        crate::map::sort_by_key(&mut order, |(distance, ..)| *distance);
        let closest: Vec<_> = order.iter().filter(|(_, late, _)| !late).take(k).collect();
        let farthest = closest.last().map(|(distance, ..)| *distance);
        let closest = closest.into_iter().map(|(.., peer)| (*peer).clone()).collect();
        let late = order.iter().take(k).filter(|(_, late, _)| *late).map(|(.., peer)| (*peer).clone()).collect();
        (Holders { closest, late }, farthest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p_identity::{Keypair, PeerId};

    use super::*;
    use crate::dht::query::{Next, QueryConfig, Standing};

    fn peer(seed: u16) -> PeerAddresses {
        let mut bytes = [3; 32];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        let key = Keypair::ed25519_from_bytes(bytes).expect("32 bytes are a seed");
        PeerAddresses { peer: key.public().to_peer_id(), addresses: Vec::new() }
    }

    fn nearest(all: &[PeerAddresses], key: &Position, k: usize) -> Vec<PeerId> {
        let mut ids: Vec<_> = all.iter().map(|peer| peer.peer).collect();
        ids.sort_by_cached_key(|peer| key.distance(&Position::of_peer(peer)));
        ids.truncate(k);
        ids
    }

    /// A walk in a network where everybody knows everybody.
    fn walk(all: &[PeerAddresses], target: Position, wanted: usize) -> Neighbourhood {
        let config = QueryConfig { closest: wanted, ..QueryConfig::default() };
        let start = nearest(all, &target, wanted);
        let start = all.iter().filter(|peer| start.contains(&peer.peer)).cloned().collect();
        let mut query = Query::new(config, peer(9999).peer, target, start);
        while let Next::Ask(next) = query.next(Duration::ZERO, &|_| Standing::Linked) {
            query.asked(&next.peer, Duration::MAX);
            query.answered(&next.peer, Vec::new());
        }
        Neighbourhood::of(&query, wanted)
    }

    #[test]
    fn what_it_serves_it_serves_exactly() {
        let all: Vec<_> = (0..200).map(peer).collect();
        let mut served = 0;
        for target in 0..5_u16 {
            let target = Position::of(&target.to_be_bytes());
            let wide = walk(&all, target, 40);
            for salt in 0..60_u16 {
                let key = Position::of(&salt.to_le_bytes());
                if let Some(holders) = wide.holders(&key, 20) {
                    served += 1;
                    let found: Vec<_> = holders.closest.iter().map(|peer| peer.peer).collect();
                    assert_eq!(found, nearest(&all, &key, 20));
                }
            }
        }
        assert!(served > 5, "{served} of 300 keys shared a walk");
    }

    #[test]
    fn a_walk_that_saw_everybody_serves_every_key() {
        let all: Vec<_> = (0..25).map(peer).collect();
        let wide = walk(&all, Position::of(b"target"), 40);
        for salt in 0..50_u16 {
            let key = Position::of(&salt.to_le_bytes());
            let holders = wide.holders(&key, 20).expect("everybody was seen");
            let found: Vec<_> = holders.closest.iter().map(|peer| peer.peer).collect();
            assert_eq!(found, nearest(&all, &key, 20));
        }
        let narrow = walk(&all, Position::of(b"target"), 20);
        let far = (0..50_u16).map(|salt| Position::of(&salt.to_le_bytes()));
        assert!(far.filter(|key| narrow.holders(key, 20).is_some()).count() < 10, "it saw its own twenty only");
    }
}
