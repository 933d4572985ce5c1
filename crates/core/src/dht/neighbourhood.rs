//! Who holds what near a point: the end of a walk, good for more keys than the one it went to.
//!
//! Every server that is asked names the `k` closest to the target that it knows. A walk that has come to know fewer than `k`
//! servers, whatever became of them, has therefore been told of all there are, and its end serves every key: with n values to
//! store, a small network costs one walk and not n. In a larger one a walk knows its own `k` for sure and nobody else's, since
//! what lies a little to the side of its target was named by chance; then each key takes its own walk.
//!
//! Bounds: what one query ended with. A neighbourhood is used at the moment the walk ends and not kept: who died since
//! would be asked in vain.

use super::{key::Position, query::Query};
use crate::wire::kad::PeerAddresses;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    around: Position,
    /// Those that answered, and those that were too slow (true).
    seen: Vec<(Position, bool, PeerAddresses)>,
    /// Whether there is nobody else.
    whole: bool,
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
    /// What a query has seen that was to find `k` peers.
    pub(super) fn of(query: &Query, k: usize) -> Self {
        let entry = |late| move |peer: &PeerAddresses| (Position::of_peer(&peer.peer), late, peer.clone());
        let seen = query.closest().map(entry(false)).chain(query.late().map(entry(true))).collect();
        Self { around: *query.target(), seen, whole: query.known() < k }
    }

    /// The `k` holders of the key that the walk went to.
    pub(super) fn own_holders(&self, k: usize) -> Holders {
        self.nearest(&self.around, k)
    }

    /// The `k` holders of any other key, if the walk has seen them for sure.
    pub(super) fn holders(&self, key: &Position, k: usize) -> Option<Holders> {
        self.whole.then(|| self.nearest(key, k))
    }

    fn nearest(&self, key: &Position, k: usize) -> Holders {
        let mut order: Vec<_> =
            self.seen.iter().map(|(position, late, peer)| (key.distance(position), *late, peer)).collect();
        order.sort_unstable_by_key(|(distance, ..)| *distance);
        let closest = order.iter().filter(|(_, late, _)| !late).take(k).map(|(.., peer)| (*peer).clone()).collect();
        let late = order.iter().take(k).filter(|(_, late, _)| *late).map(|(.., peer)| (*peer).clone()).collect();
        Holders { closest, late }
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
    fn a_walk_that_saw_everybody_serves_every_key_and_another_its_own() {
        let all: Vec<_> = (0..19).map(peer).collect();
        let whole = walk(&all, Position::of(b"target"), 20);
        for salt in 0..50_u16 {
            let key = Position::of(&salt.to_le_bytes());
            let holders = whole.holders(&key, 20).expect("everybody was seen");
            let found: Vec<_> = holders.closest.iter().map(|peer| peer.peer).collect();
            assert_eq!(found, nearest(&all, &key, 20));
        }
        let more: Vec<_> = (0..60).map(peer).collect();
        let (target, part) = (Position::of(b"target"), walk(&more, Position::of(b"target"), 20));
        assert!((0..50_u16).all(|salt| part.holders(&Position::of(&salt.to_le_bytes()), 20).is_none()));
        let found: Vec<_> = part.own_holders(20).closest.iter().map(|peer| peer.peer).collect();
        assert_eq!(found, nearest(&more, &target, 20));
    }
}
