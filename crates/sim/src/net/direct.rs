//! Direct paths between pages: signalling over a circuit, then ICE, whose end the story sets.

use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use openred_core::{DialFailure, DirectFailure, Input};

use super::{Net, carry::ASK};
use crate::{
    node::NodeId,
    wire::{AttemptId, Happening, Hops, Step, WireId},
};

/// How long a negotiation may take: the real shell's limit for every connection.
const NEGOTIATION: Duration = Duration::from_secs(10);

/// Trips over the circuit after the offer arrived: the answer, and candidates both ways beside it.
const AGREEING: u32 = 2;

/// Trips of a direct path's making: a check of ICE and its answer, DTLS 1.2 with its four flights, SCTP's four.
const PAIRING: u32 = 10;

/// How ICE ends between two pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ice {
    /// A pair of addresses works at once.
    #[default]
    Works,
    /// None does, which is known after this time.
    Fails(Duration),
    /// UDP does not leave one of the two places, which is known after this time.
    Blocked(Duration),
    /// One of the two pages refuses the offer of the other.
    Refused,
}

impl Net {
    /// Sets how ICE ends between two pages from here on; what stands stays.
    pub fn set_ice(&mut self, one: NodeId, other: NodeId, ice: Ice) {
        self.ice.insert((one.min(other), one.max(other)), ice);
    }

    /// Sets how many WebRTC connections a node's page has made.
    pub fn set_connections_made(&mut self, id: NodeId, made: u32) {
        self.nodes[id.0].made = made;
        self.tell(id, Input::PeerConnections { made });
        self.settle(id);
    }

    /// How many WebRTC connections a node's page has made.
    pub fn connections_made(&self, id: NodeId) -> u32 {
        self.nodes[id.0].made
    }

    /// The direct connections of two pages break, and both learn of it.
    pub fn break_direct(&mut self, one: NodeId, other: NodeId) {
        for wire in self.nodes[one.0].books.direct.get(&other).cloned().unwrap_or_default() {
            self.close_end(wire, one);
            self.close_end(wire, other);
        }
        self.settle(one);
        self.settle(other);
    }

    /// A dial of a direct path begins: the offer goes over a circuit that stands.
    pub(super) fn offer(&mut self, attempt: AttemptId) {
        self.later(attempt, NEGOTIATION, Step::NotDirect(DirectFailure::Timeout));
        let Some(known) = self.attempts.get(&attempt) else { return };
        let (id, peer) = (known.node, known.peer);
        let target = peer.and_then(|peer| self.by_peer.get(&peer).copied());
        let circuit = target.and_then(|target| {
            let relayed = |wire: &&WireId| {
                self.wires.get(wire).is_some_and(|known| known.via.is_some() && known.other(id) == target)
            };
            self.nodes[id.0].books.wires.iter().find(relayed).copied()
        });
        let Some((target, wire)) = target.zip(circuit) else {
            return self.soon(attempt, Step::NotDirect(DirectFailure::Gone));
        };
        if let Some(known) = self.attempts.get_mut(&attempt) {
            (known.target, known.over) = (Some(target), Some(wire));
        }
        self.make_connection(id);
        self.over_circuit(attempt, wire, id, ASK, Step::Offered);
    }

    /// The offer arrives.
    pub(super) fn offered(&mut self, attempt: AttemptId) {
        let Some((id, target, wire)) = self.parties(attempt) else { return };
        let takes = self.nodes[target.0].config.goes_direct()
            && self.nodes[target.0].made < self.nodes[target.0].config.peer_connections.offers;
        if !takes || self.ice_between(id, target) == Ice::Refused {
            return self.over_circuit(attempt, wire, target, 1, Step::NotDirect(DirectFailure::Refused));
        }
        self.make_connection(target);
        self.over_circuit(attempt, wire, target, AGREEING, Step::Agreed);
    }

    /// Both sides have said everything.
    pub(super) fn agreed(&mut self, attempt: AttemptId) {
        let Some((id, target, _)) = self.parties(attempt) else { return };
        match self.ice_between(id, target) {
            Ice::Works | Ice::Refused => self.step_after(attempt, Hops::two(id, target), PAIRING, Step::Paired),
            Ice::Fails(after) => self.later(attempt, after, Step::NotDirect(DirectFailure::Ice)),
            Ice::Blocked(after) => self.later(attempt, after, Step::NotDirect(DirectFailure::UdpBlocked)),
        }
    }

    pub(super) fn paired(&mut self, attempt: AttemptId) {
        let Some(known) = self.attempts.get(&attempt) else { return };
        let (id, target) = (known.node, known.target);
        let Some(target) = target.filter(|target| self.nodes[target.0].is_alive()) else {
            return self.not_direct(attempt, DirectFailure::Ice);
        };
        // Of a page that asked nothing is known but who it is.
        let seen = Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(self.nodes[id.0].peer));
        self.won(attempt, target, None, seen);
    }

    /// There will be no direct path, which both sides learn.
    pub(super) fn not_direct(&mut self, attempt: AttemptId, why: DirectFailure) {
        let Some(known) = self.attempts.get(&attempt) else { return };
        let (id, target, asked) = (known.node, known.target, known.over.is_some());
        let reason = format!("no direct path: {why:?}");
        if let Some(target) = target.filter(|_| asked && why != DirectFailure::Refused) {
            let peer = self.nodes[id.0].peer;
            self.tell_soon(target, Input::OfferFailed { peer, why, reason: reason.clone() });
        }
        self.end_attempt(attempt, DialFailure::NotDirect { why, reason });
    }

    /// A step that travels over the circuit, and fails if that is gone by now.
    fn over_circuit(&mut self, attempt: AttemptId, wire: WireId, from: NodeId, trips: u32, step: Step) {
        match self.wires.get(&wire) {
            Some(known) => {
                let hops = known.hops(from);
                self.step_after(attempt, hops, trips, step);
            }
            None => self.soon(attempt, Step::NotDirect(DirectFailure::Gone)),
        }
    }

    /// Who negotiates over which circuit; if that is gone, so is the attempt.
    fn parties(&mut self, attempt: AttemptId) -> Option<(NodeId, NodeId, WireId)> {
        let known = self.attempts.get(&attempt)?;
        let (id, target, wire) = (known.node, known.target?, known.over?);
        if !self.has(id, wire) || !self.has(target, wire) {
            self.not_direct(attempt, DirectFailure::Gone);
            return None;
        }
        Some((id, target, wire))
    }

    fn ice_between(&self, one: NodeId, other: NodeId) -> Ice {
        self.ice.get(&(one.min(other), one.max(other))).copied().unwrap_or_default()
    }

    /// A page makes one of the WebRTC connections that its browser gives it.
    fn make_connection(&mut self, id: NodeId) {
        self.nodes[id.0].made += 1;
        let made = self.nodes[id.0].made;
        self.tell_soon(id, Input::PeerConnections { made });
    }

    fn soon(&mut self, attempt: AttemptId, step: Step) {
        self.later(attempt, Duration::ZERO, step);
    }

    fn later(&mut self, attempt: AttemptId, after: Duration, step: Step) {
        let Some(known) = self.attempts.get(&attempt) else { return };
        let hops = Hops::two(known.node, known.node);
        self.after(after, Happening::Step { attempt, hops, step });
    }
}
