//! Making and losing connections.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use openred_core::{
    ConnectionId, DialFailure, DialId, Input,
    address::{is_relayed, is_signalled},
};

use super::{Net, carry::ASK};
use crate::{
    node::{Dialling, NodeId},
    wire::{Attempt, AttemptGroup, AttemptId, Circuit, End, Happening, Hops, Packet, Step, Via, Wire, WireId},
};

/// One-way trips of a handshake: TCP, WebSocket upgrade, Noise, yamux; of which the first packet takes one.
const HANDSHAKE: u32 = 8;

/// One-way trips of QUIC's handshake, TLS included (RFC 9001); the first packet takes one.
const QUIC_HANDSHAKE: u32 = 2;

/// One-way trips of a handshake on a circuit that stands: Noise and yamux.
const CIRCUIT_HANDSHAKE: u32 = 4;

/// How long an attempt may take: the real shell's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Net {
    pub(super) fn dial(&mut self, id: NodeId, dial: DialId, peer: Option<PeerId>, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            return self.dial_failed(id, dial, DialFailure::Unsupported);
        }
        let group = AttemptGroup(self.fresh_id());
        self.nodes[id.0].books.dials.insert(dial, Dialling { group, failures: Vec::new() });
        for address in addresses {
            self.attempt(id, group, Some(dial), peer, address, None);
        }
    }

    /// A dial of a node without a machine.
    pub(super) fn raw_dial(&mut self, id: NodeId, peer: PeerId, address: Multiaddr) {
        let group = AttemptGroup(self.fresh_id());
        self.attempt(id, group, None, Some(peer), address, None);
    }

    /// The real shell forgets whom a dial was for; the dial goes on.
    pub(super) fn forget_dial(&mut self, id: NodeId, dial: DialId) {
        if let Some(dialling) = self.nodes[id.0].books.dials.remove(&dial) {
            for attempt in self.groups.get(&dialling.group).into_iter().flatten() {
                if let Some(attempt) = self.attempts.get_mut(attempt) {
                    attempt.dial = None;
                }
            }
        }
    }

    fn attempt(
        &mut self,
        id: NodeId,
        group: AttemptGroup,
        dial: Option<DialId>,
        peer: Option<PeerId>,
        address: Multiaddr,
        then: Option<AttemptId>,
    ) {
        let attempt = AttemptId(self.fresh_id());
        let (host, circuit) = split(&address);
        let target = self.by_address.get(&host).copied();
        let circuit = circuit.map(|to| Circuit { to, under: [None, None] });
        let direct = is_signalled(&address);
        let known = Attempt { group, node: id, dial, peer, address, target, circuit, then, over: None };
        self.attempts.insert(attempt, known);
        self.groups.entry(group).or_default().push(attempt);
        let node = &mut self.nodes[id.0];
        node.traffic.dials += 1;
        node.books.attempts.insert(attempt);
        if direct {
            return self.offer(attempt);
        }
        self.after(CONNECT_TIMEOUT, Happening::GiveUp { attempt });
        let Some(target) = target else {
            // Nobody has the address, but the machine there refuses.
            let travel = self.latency.nowhere(&mut self.rng) * 2;
            let hops = Hops::two(id, id);
            return self.after(travel, Happening::Step { attempt, hops, step: Step::Failed("connection refused") });
        };
        let relay = self.nodes[target.0].peer;
        match (circuit, self.direct_wire(id, &relay)) {
            (None, _) => self.step_after(attempt, Hops::two(id, target).first(), 1, Step::Syn),
            (Some(_), Some(wire)) => self.hop(attempt, wire),
            (Some(_), None) => {
                let group = AttemptGroup(self.fresh_id());
                self.attempt(id, group, None, Some(relay), host, Some(attempt));
            }
        }
    }

    /// Asks the relay for a circuit over a connection that stands.
    fn hop(&mut self, attempt: AttemptId, wire: WireId) {
        let Some(known) = self.attempts.get_mut(&attempt) else { return };
        if let Some(circuit) = &mut known.circuit {
            circuit.under[0] = Some(wire);
        }
        if let Some(relay) = known.target {
            let hops = Hops::two(known.node, relay);
            self.step_after(attempt, hops, ASK, Step::Hop);
        }
    }

    pub(super) fn step_after(&mut self, attempt: AttemptId, hops: Hops, trips: u32, step: Step) {
        let hops = hops.times(trips);
        let travel = self.travel(hops);
        self.after(travel, Happening::Step { attempt, hops, step });
    }

    /// The next step of an attempt.
    pub(super) fn advance(&mut self, attempt: AttemptId, step: Step) {
        let Some(known) = self.attempts.get(&attempt) else { return };
        let Some(target) = known.target else { return self.fail_attempt(attempt, "connection refused") };
        let id = known.node;
        let (there, back) = (Hops::two(id, target), Hops::two(target, id));
        match step {
            Step::Failed(reason) => self.fail_attempt(attempt, reason),
            Step::Syn if target == id => self.end_attempt(attempt, DialFailure::Myself),
            Step::Syn if self.nodes[target.0].is_alive() => {
                let handshake = if is_quic(&known.address) { QUIC_HANDSHAKE } else { HANDSHAKE };
                self.step_after(attempt, there, handshake - 1, Step::Established);
            }
            Step::Syn => self.step_after(attempt, back, 1, Step::Failed("connection refused")),
            Step::Established => self.established(attempt, id, target),
            Step::Hop => self.bridge(attempt, id, target),
            Step::Stop => self.stopped(attempt, id, target),
            Step::Bridged => self.bridged(attempt, id, target),
            Step::Offered => self.offered(attempt),
            Step::Agreed => self.agreed(attempt),
            Step::Paired => self.paired(attempt),
            Step::NotDirect(why) => self.not_direct(attempt, why),
        }
    }

    fn established(&mut self, attempt: AttemptId, id: NodeId, target: NodeId) {
        if !self.nodes[target.0].is_alive() {
            return self.fail_attempt(attempt, "connection reset");
        }
        let obtained = self.nodes[target.0].peer;
        let Some(known) = self.attempts.get(&attempt) else { return };
        if known.peer.is_some_and(|peer| peer != obtained) {
            return self.end_attempt(attempt, DialFailure::WrongPeer { obtained });
        }
        let then = known.then;
        let port = 49152 + (attempt.0 % 16384) as u16;
        let seen = Multiaddr::from(self.latency.host(id));
        let seen = if is_quic(&known.address) {
            seen.with(Protocol::Udp(port)).with(Protocol::QuicV1)
        } else {
            seen.with(Protocol::Tcp(port)).with(Protocol::Ws("/".into()))
        };
        let wire = self.won(attempt, target, None, seen);
        if let Some(then) = then {
            self.hop(then, wire);
        }
    }

    /// The relay looks whether it holds a place for the target.
    fn bridge(&mut self, attempt: AttemptId, id: NodeId, relay: NodeId) {
        let Some(circuit) = self.attempts.get_mut(&attempt).and_then(|known| known.circuit.as_mut()) else { return };
        let Some(first) = circuit.under[0] else { return };
        let target = self.by_peer.get(&circuit.to).copied();
        let second = target.and_then(|target| self.nodes[relay.0].books.places_for.get(&target).copied());
        circuit.under[1] = second;
        let (Some(target), Some(second)) = (target, second) else {
            return self.step_after(attempt, Hops::two(relay, id), 1, Step::Failed("the relay holds no reservation"));
        };
        if self.has(relay, first) && self.has(relay, second) {
            self.step_after(attempt, Hops::two(relay, target), ASK, Step::Stop);
        }
    }

    /// The target takes the circuit.
    fn stopped(&mut self, attempt: AttemptId, id: NodeId, relay: NodeId) {
        let Some(Circuit { to, .. }) = self.attempts.get(&attempt).and_then(|known| known.circuit) else { return };
        let Some(target) = self.by_peer.get(&to).copied() else { return };
        let hops = Hops::three(id, relay, target);
        self.step_after(attempt, hops, CIRCUIT_HANDSHAKE + 1, Step::Bridged);
    }

    fn bridged(&mut self, attempt: AttemptId, id: NodeId, relay: NodeId) {
        let Some(Circuit { to, under: [Some(first), Some(second)] }) =
            self.attempts.get(&attempt).and_then(|known| known.circuit)
        else {
            return;
        };
        let Some(target) = self.by_peer.get(&to).copied() else { return };
        let stands =
            self.has(id, first) && self.has(relay, first) && self.has(relay, second) && self.has(target, second);
        if !stands {
            return self.fail_attempt(attempt, "the circuit broke before it stood");
        }
        let (relay_peer, peer) = (self.nodes[relay.0].peer, self.nodes[id.0].peer);
        let seen = self.nodes[relay.0].addresses.first().cloned().unwrap_or_else(Multiaddr::empty);
        let seen = seen.with(Protocol::P2p(relay_peer)).with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
        self.won(attempt, target, Some(Via { relay, under: [first, second] }), seen);
    }

    /// An attempt has a connection: the others of its dial end.
    pub(super) fn won(&mut self, attempt: AttemptId, target: NodeId, via: Option<Via>, seen: Multiaddr) -> WireId {
        let wire = WireId(self.fresh_id());
        let Some(won) = self.forget_attempt(attempt) else { return wire };
        for other in self.groups.get(&won.group).cloned().unwrap_or_default() {
            self.forget_attempt(other);
        }
        let end = |node, known| End { node, open: true, known, pinging: None, streams: 0 };
        let ends = [end(won.node, true), end(target, false)];
        self.wires.insert(wire, Wire { ends, via, circuits: Vec::new() });
        for under in via.into_iter().flat_map(|via| via.under) {
            if let Some(under) = self.wires.get_mut(&under) {
                under.circuits.push(wire);
            }
        }
        self.hold_end(target, won.node, wire, via.is_some());
        if let Some(via) = via {
            self.circuit(via, 1);
        }
        self.send(won.node, wire, 1, Packet::Connected { address: seen });
        let dial = won.dial.filter(|dial| self.nodes[won.node.0].books.dials.remove(dial).is_some());
        self.connected(won.node, wire, won.address, dial);
        self.settle(won.node);
        wire
    }

    /// Takes an attempt out of the books.
    pub(super) fn forget_attempt(&mut self, attempt: AttemptId) -> Option<Attempt> {
        let known = self.attempts.remove(&attempt)?;
        self.nodes[known.node.0].books.attempts.remove(&attempt);
        if let Some(group) = self.groups.get_mut(&known.group) {
            group.retain(|other| *other != attempt);
            if group.is_empty() {
                self.groups.remove(&known.group);
            }
        }
        Some(known)
    }

    /// A node has one end of a connection.
    fn hold_end(&mut self, id: NodeId, other: NodeId, wire: WireId, relayed: bool) {
        let books = &mut self.nodes[id.0].books;
        if books.wires.insert(wire) && !relayed {
            books.direct.entry(other).or_default().push(wire);
        }
    }

    /// A node has its end of a connection no longer.
    fn drop_end(&mut self, id: NodeId, other: NodeId, wire: WireId) {
        let books = &mut self.nodes[id.0].books;
        books.wires.remove(&wire);
        if let Some(direct) = books.direct.get_mut(&other) {
            direct.retain(|known| *known != wire);
            if direct.is_empty() {
                books.direct.remove(&other);
            }
        }
    }

    /// One side learns that a connection stands.
    pub(super) fn connected(&mut self, id: NodeId, wire: WireId, address: Multiaddr, dial: Option<DialId>) {
        let Some(known) = self.wires.get_mut(&wire) else { return };
        known.end_mut(id).known = true;
        let (other, relayed, hops) = (known.other(id), known.via.is_some(), known.hops(id));
        self.hold_end(id, other, wire, relayed);
        let peer = self.nodes[other.0].peer;
        // Opening the stream takes a round trip, and the answer comes with its end.
        let asking = hops.times(ASK);
        let travel = self.travel(asking);
        self.after(travel, Happening::Arrive { wire, to: id, hops: asking, packet: Packet::Identify });
        let negotiated = self.travel(hops.times(2));
        self.after(negotiated, Happening::Ping { wire, node: id, missed: 0 });
        self.tell(id, Input::Connected { peer, connection: ConnectionId(wire.0), address, relayed, dial });
        self.carries(id, wire, 0);
    }

    pub(super) fn fail_attempt(&mut self, attempt: AttemptId, reason: &str) {
        self.end_attempt(attempt, DialFailure::Failed(reason.to_owned()));
    }

    pub(super) fn end_attempt(&mut self, attempt: AttemptId, failure: DialFailure) {
        let Some(ended) = self.forget_attempt(attempt) else { return };
        if let Some(then) = ended.then {
            self.end_attempt(then, failure.clone());
        }
        let id = ended.node;
        let Some(dial) = ended.dial else { return };
        let more = self.groups.contains_key(&ended.group);
        let Some(dialling) = self.nodes[id.0].books.dials.get_mut(&dial) else { return };
        dialling.failures.push(failure);
        if more {
            return;
        }
        if let Some(dialling) = self.nodes[id.0].books.dials.remove(&dial) {
            self.dial_failed(id, dial, together(dialling.failures));
            self.settle(id);
        }
    }

    /// One side closes a connection, or learns that it is closed.
    pub(super) fn close_end(&mut self, wire: WireId, id: NodeId) {
        let Some(known) = self.wires.get_mut(&wire) else { return };
        let end = known.end_mut(id);
        if !end.open {
            return;
        }
        end.open = false;
        let told = end.known;
        let other = known.other(id);
        let peer = self.nodes[other.0].peer;
        let circuits = known.circuits.clone();
        if known.ends.iter().any(|end| end.open) {
            self.send(id, wire, 1, Packet::Close);
        } else {
            self.forget_wire(wire);
        }
        self.drop_end(id, other, wire);
        if told {
            self.tell_soon(id, Input::Disconnected { peer, connection: ConnectionId(wire.0) });
        }
        self.end_exchanges(wire, id, peer);
        self.end_circuits(circuits, id);
    }

    fn forget_wire(&mut self, wire: WireId) {
        let Some(known) = self.wires.remove(&wire) else { return };
        for under in known.via.into_iter().flat_map(|via| via.under) {
            if let Some(under) = self.wires.get_mut(&under) {
                under.circuits.retain(|circuit| *circuit != wire);
            }
        }
        if let Some(via) = known.via {
            self.circuit(via, -1);
        }
    }

    /// What ran on a connection ends with it.
    fn end_exchanges(&mut self, wire: WireId, id: NodeId, peer: PeerId) {
        let books = &mut self.nodes[id.0].books;
        books.inbound.retain(|_, (on, _)| *on != wire);
        books.streams.retain(|_, on| *on != wire);
        books.opened.retain(|_, on| *on != wire);
        books.places_for.retain(|_, on| *on != wire);
        let requests: Vec<_> =
            books.requests.iter().filter(|(_, on)| **on == wire).map(|(request, _)| *request).collect();
        let opens: Vec<_> = books.opens.iter().filter(|(_, on)| **on == wire).map(|(open, _)| *open).collect();
        books.requests.retain(|_, on| *on != wire);
        books.opens.retain(|_, on| *on != wire);
        let place = books.places_at.get(&peer) == Some(&wire);
        if place {
            books.places_at.remove(&peer);
            self.tell_soon(id, Input::ReservationLost { relay: peer, reason: "the connection is closed".to_owned() });
        }
        for request in requests {
            self.tell_soon(id, Input::RequestFailed { request, reason: "the connection is closed".to_owned() });
        }
        for open in opens {
            self.open_failed(id, open, "the connection is closed");
        }
        let lost = |attempt: &&AttemptId| {
            let circuit = self.attempts.get(attempt).and_then(|known| known.circuit);
            circuit.is_some_and(|circuit| circuit.under[0] == Some(wire))
        };
        let attempts: Vec<_> = self.nodes[id.0].books.attempts.iter().filter(lost).copied().collect();
        for attempt in attempts {
            let step = Step::Failed("the connection to the relay is closed");
            self.after(Duration::ZERO, Happening::Step { attempt, hops: Hops::two(id, id), step });
        }
    }

    /// Circuits over a connection end with it: at once at this end, and for the others as the relay tells them.
    fn end_circuits(&mut self, circuits: Vec<WireId>, id: NodeId) {
        for circuit in circuits {
            let Some(known) = self.wires.get(&circuit) else { continue };
            if known.via.is_some_and(|via| via.relay == id) {
                for to in [known.ends[0].node, known.ends[1].node] {
                    let hops = Hops::two(id, to);
                    let travel = self.travel(hops);
                    self.after(travel, Happening::Arrive { wire: circuit, to, hops, packet: Packet::Close });
                }
            } else {
                self.close_end(circuit, id);
            }
        }
    }

    /// A connection without relay to a peer, the oldest.
    pub(super) fn direct_wire(&self, id: NodeId, peer: &PeerId) -> Option<WireId> {
        let other = self.by_peer.get(peer)?;
        self.nodes[id.0].books.direct.get(other)?.first().copied()
    }
}

fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

/// The address that is dialled first, and the target behind a circuit.
fn split(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    if !is_relayed(address) && !is_signalled(address) {
        return (address.clone(), None);
    }
    let host = address.iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect();
    let target = match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    };
    (host, target)
}

/// The failures of one dial as libp2p's shell tells them.
fn together(failures: Vec<DialFailure>) -> DialFailure {
    let told = |failure: &&DialFailure| !matches!(failure, DialFailure::Failed(_) | DialFailure::Unsupported);
    if let Some(failure) = failures.iter().find(told) {
        return failure.clone();
    }
    let mut reasons: Vec<_> = failures
        .into_iter()
        .filter_map(|failure| match failure {
            DialFailure::Failed(reason) => Some(reason),
            _ => None,
        })
        .collect();
    reasons.sort();
    reasons.dedup();
    if reasons.is_empty() { DialFailure::Unsupported } else { DialFailure::Failed(reasons.join("; ")) }
}
