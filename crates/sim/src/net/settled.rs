//! A network of relays that has settled long ago, made at once.
//!
//! Every relay's routing table holds what Kademlia promises of a table after long use: of each bucket the whole, if fewer
//! than [`BUCKET`] live there, else [`BUCKET`] of them drawn from the seed. Nobody is connected to anybody; what such a
//! relay keeps connected, it dials when the time runs.

use openred_core::{
    Config, Role,
    dht::{key::Position, table::BUCKET},
    wire::kad::PeerAddresses,
};

use super::Net;
use crate::node::NodeId;

impl Net {
    /// Adds this many relays that know each other as in a network that has settled.
    pub fn settled(&mut self, count: usize) -> Vec<NodeId> {
        self.settled_with(count, |_| {})
    }

    /// The same with other settings than the default.
    pub fn settled_with(&mut self, count: usize, set: impl Fn(&mut Config)) -> Vec<NodeId> {
        let relays: Vec<_> = (0..count).map(|_| self.register(Role::Relay, &[], &set)).collect();
        let mut ring: Vec<_> = relays.iter().map(|id| (Position::of_peer(&self.peer(*id)), *id)).collect();
        ring.sort();
        let known: Vec<_> = ring.iter().map(|(_, id)| self.known(*id)).collect();
        for (own, id) in &ring {
            self.start(*id);
            let mut servers = Vec::new();
            self.gather(&ring, own, 0, (0, ring.len()), &mut servers);
            let servers: Vec<_> = servers.into_iter().map(|place| known[place].clone()).collect();
            let node = &mut self.nodes[id.0];
            let now = node.clock.now(self.now);
            if let Some(machine) = node.machine() {
                machine.acquaint(servers, now);
            }
            self.settle(*id);
        }
        relays
    }

    fn known(&self, id: NodeId) -> PeerAddresses {
        PeerAddresses { peer: self.nodes[id.0].peer, addresses: self.nodes[id.0].addresses.clone() }
    }

    /// Draws the members of every bucket from those that share at least `bits` bits with `own`, who are `within` the ring.
    fn gather(
        &mut self,
        ring: &[(Position, NodeId)],
        own: &Position,
        bits: usize,
        within: (usize, usize),
        servers: &mut Vec<usize>,
    ) {
        let (start, end) = within;
        if end - start <= 1 || bits == 256 {
            return;
        }
        let bit = |position: &Position| position.as_bytes()[bits / 8] >> (7 - bits % 8) & 1 == 1;
        let middle = start + ring[start..end].partition_point(|(position, _)| !bit(position));
        let (near, far) = if bit(own) { ((middle, end), (start, middle)) } else { ((start, middle), (middle, end)) };
        let crowd = far.1 - far.0;
        if crowd <= BUCKET {
            servers.extend(far.0..far.1);
        } else {
            let mut drawn = Vec::with_capacity(BUCKET);
            while drawn.len() < BUCKET {
                let place = far.0 + self.rng.usize(..crowd);
                if !drawn.contains(&place) {
                    drawn.push(place);
                }
            }
            servers.extend(drawn);
        }
        self.gather(ring, own, bits + 1, near, servers);
    }
}
