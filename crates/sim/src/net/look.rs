//! What a test can see of the network.

use std::time::Duration;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use openred_core::{
    Explanation, Machine, Role,
    event::{Event, State},
    name::ServiceTarget,
};

use super::{Net, orders::Order};
use crate::{
    node::{Hearing, Mind, NodeId, Traffic},
    wire::Hops,
};

impl Net {
    /// The machine of a running node.
    ///
    /// # Panics
    ///
    /// If the node is dead or hostile.
    pub fn machine(&self, id: NodeId) -> &Machine {
        match &self.nodes[id.0].mind {
            Mind::Machine(machine) => machine,
            _ => panic!("{id} has no machine"),
        }
    }

    /// A node's peer id.
    pub fn peer(&self, id: NodeId) -> PeerId {
        self.nodes[id.0].peer
    }

    /// The node of a peer id.
    pub fn node(&self, peer: &PeerId) -> Option<NodeId> {
        self.by_peer.get(peer).copied()
    }

    /// A node's key, for signing what it would not.
    pub fn keypair(&self, id: NodeId) -> &Keypair {
        &self.nodes[id.0].keypair
    }

    /// How many relays a node is connected to directly that live and are heard.
    pub fn living_relays_of(&self, id: NodeId) -> usize {
        let others = self.nodes[id.0].books.direct.keys();
        others.filter(|other| self.nodes[other.0].config.role == Role::Relay && self.is_heard(**other)).count()
    }

    /// Whether a living relay to which a client is connected holds a place for it.
    pub fn is_reachable(&self, id: NodeId) -> bool {
        let mut others = self.nodes[id.0].books.direct.keys();
        others.any(|other| self.is_heard(*other) && self.nodes[other.0].books.places_for.contains_key(&id))
    }

    /// How many connections a node has.
    pub fn links_of(&self, id: NodeId) -> usize {
        self.nodes[id.0].books.wires.len()
    }

    /// What a node answers a directory's client about a service, if it knows anything.
    pub fn bundle(&self, id: NodeId, target: &ServiceTarget) -> Option<Vec<u8>> {
        let node = &self.nodes[id.0];
        match &node.mind {
            Mind::Machine(machine) => machine.bundle(target, node.clock.now(self.now)),
            _ => None,
        }
    }

    /// Where a relay listens.
    pub fn address(&self, relay: NodeId) -> Multiaddr {
        self.nodes[relay.0].addresses.first().cloned().expect("only relays listen")
    }

    /// How many connections of two nodes stand, as the first sees it.
    pub fn links_between(&self, id: NodeId, other: NodeId) -> usize {
        let wires = self.nodes[id.0].books.wires.iter();
        wires.filter(|wire| self.wires.get(wire).is_some_and(|known| known.other(id) == other)).count()
    }

    /// Of those the ones without a relay.
    pub fn direct_links_between(&self, id: NodeId, other: NodeId) -> usize {
        self.nodes[id.0].books.direct.get(&other).map_or(0, Vec::len)
    }

    /// The STUN servers that a node uses for direct paths.
    pub fn stun_servers(&self, id: NodeId) -> &[String] {
        &self.nodes[id.0].books.stun_servers
    }

    /// How a node reaches another, and why.
    pub fn explain(&self, id: NodeId, other: NodeId) -> Explanation {
        self.machine(id).explain(&self.peer(other))
    }

    /// A node's wall clock.
    pub fn unix_ms(&self, id: NodeId) -> u64 {
        self.nodes[id.0].clock.now(self.now).unix_ms
    }

    /// What a node has sent.
    pub fn traffic(&self, id: NodeId) -> Traffic {
        self.nodes[id.0].traffic
    }

    /// Every node, in the order of their making.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// Whether a node is running.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.nodes[id.0].is_alive()
    }

    /// Whether a node is running, hears and is heard.
    pub fn is_heard(&self, id: NodeId) -> bool {
        self.is_alive(id) && self.nodes[id.0].hearing == Hearing::default()
    }

    /// Whether no silence and no cut stands between two nodes.
    pub fn hear_each_other(&self, one: NodeId, other: NodeId) -> bool {
        !self.blocked(Hops::two(one, other).times(2))
    }

    /// Whether a node has joined.
    pub fn is_ready(&self, id: NodeId) -> bool {
        matches!(&self.nodes[id.0].mind, Mind::Machine(machine) if machine.status().state == State::Ready)
    }

    /// The relays that hold a reservation for a node.
    pub fn reserved_at(&self, client: NodeId) -> Vec<NodeId> {
        let holds = |relay: &NodeId| self.nodes[relay.0].books.places_for.contains_key(&client);
        (0..self.nodes.len()).map(NodeId).filter(holds).collect()
    }

    /// What a node last wanted to be kept for its next life.
    pub fn memory(&self, id: NodeId) -> Option<&[u8]> {
        self.nodes[id.0].memory.as_deref()
    }

    /// Everything a node told its application, with the time.
    pub fn events(&self, id: NodeId) -> &[(Duration, Event)] {
        &self.nodes[id.0].events
    }

    /// The warnings with a code that a node gave.
    pub fn warnings(&self, id: NodeId, wanted: &str) -> Vec<String> {
        let warning = |event: &Event| match event {
            Event::Warning { code, message } if *code == wanted => Some(message.clone()),
            _ => None,
        };
        self.nodes[id.0].events.iter().filter_map(|(_, event)| warning(event)).collect()
    }

    /// Where the stream of an answered open leads, while it lives.
    pub fn stream(&self, order: Order) -> Option<NodeId> {
        let wire = self.nodes[order.node.0].books.streams.get(&order.op)?;
        Some(self.wires.get(wire)?.other(order.node))
    }

    /// The relay through which the stream of an answered open runs, if it does.
    pub fn stream_relay(&self, order: Order) -> Option<NodeId> {
        let wire = self.nodes[order.node.0].books.streams.get(&order.op)?;
        Some(self.wires.get(wire)?.via?.relay)
    }
}
