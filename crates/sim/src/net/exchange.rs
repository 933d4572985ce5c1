//! What travels on connections: requests, streams, reservations, pings.

use std::time::Duration;

use libp2p_identity::PeerId;
use openred_core::{ConnectionId, InboundId, Input, OpenId, RequestId, Role, name::ServiceName, wire::stream::Status};

use super::{Net, carry::ASK};
use crate::{
    node::{Mind, NodeId},
    wire::{Happening, Packet, WireId},
};

/// Ping interval and time limit of clients and of relays: the real shell's.
const CLIENT_PING: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));
const RELAY_PING: (Duration, Duration) = (Duration::from_secs(7), Duration::from_secs(7));

/// Time limit of a ping that needs a new stream, as each after a failure does: libp2p's for negotiating a stream.
const PING_ANEW: Duration = Duration::from_secs(10);

/// Failures in a row that libp2p's ping keeps to itself.
const SILENT_FAILURES: u32 = 1;

/// When a reservation is renewed: three quarters of the hour for which relays hold it.
const RENEWAL: Duration = Duration::from_secs(45 * 60);

/// The protocols of every relay's identify, beside the network's own.
const RELAY_PROTOCOLS: [&str; 2] = ["/ipfs/ping/1.0.0", "/libp2p/circuit/relay/0.2.0/hop"];

/// The protocol by which two pages agree on a direct path.
const SIGNALLING: &str = "/webrtc-signaling/0.0.1";

impl Net {
    /// Sends a packet to the other end; `trips` is how often its way is travelled until it arrives.
    pub(super) fn send(&mut self, from: NodeId, wire: WireId, trips: u32, packet: Packet) {
        let Some(known) = self.wires.get(&wire) else { return };
        let (to, hops) = (known.other(from), known.hops(from).times(trips));
        let travel = self.travel(hops);
        self.after(travel, Happening::Arrive { wire, to, hops, packet });
    }

    pub(super) fn arrive(&mut self, wire: WireId, to: NodeId, packet: Packet) {
        let Some(known) = self.wires.get(&wire) else { return };
        if !known.end(to).open {
            return;
        }
        let (from, relayed) = (known.other(to), known.via.is_some());
        let peer = self.nodes[from.0].peer;
        match packet {
            Packet::Connected { address } => self.connected(to, wire, address, None),
            Packet::Close => self.close_end(wire, to),
            Packet::Identify => self.identified(to, from, relayed),
            Packet::Echo { sent } => {
                let (connection, rtt) = (ConnectionId(wire.0), self.now - sent);
                self.tell(to, Input::Ponged { peer, connection, rtt });
            }
            Packet::Pong { sent, missed } => self.pong(wire, to, peer, sent, missed),
            Packet::Ask { request, message, answered } => self.asked(to, wire, peer, request, message, answered),
            Packet::Answer { request, message } => self.answered(to, request, Ok(message)),
            Packet::Reset { request, reason } => self.answered(to, request, Err(reason)),
            Packet::Written { request } => {
                if self.nodes[to.0].books.requests.remove(&request).is_some() {
                    self.tell(to, Input::Sent { request });
                }
            }
            Packet::OpenStream { open, name } => self.stream_asked(to, wire, open, &name),
            Packet::OpenAnswer { open, status } => self.stream_answered(to, open, status),
            Packet::StreamClosed => self.carries(to, wire, -1),
            Packet::Reserve => self.reservation_asked(to, from, wire),
            Packet::ReserveAnswer { accepted } => self.reservation_answered(to, wire, peer, accepted),
        }
        self.settle(to);
    }

    fn identified(&mut self, id: NodeId, other: NodeId, relayed: bool) {
        let other = &self.nodes[other.0];
        let network = &other.config.network;
        let mut protocols = vec!["/ipfs/id/1.0.0".to_owned(), network.stream_protocol()];
        if other.config.role == Role::Relay {
            protocols.push(network.kad_protocol());
            protocols.extend(RELAY_PROTOCOLS.map(str::to_owned));
        }
        // As the real shell, which offers signalling on relayed connections only.
        if other.config.goes_direct() && relayed {
            protocols.push(SIGNALLING.to_owned());
        }
        let addresses = match &other.mind {
            Mind::Machine(machine) => machine.endpoints(),
            Mind::Hostile(_) => other.addresses.clone(),
            Mind::Dead => return,
        };
        let peer = other.peer;
        self.tell(id, Input::Identified { peer, protocols, addresses });
    }

    fn asked(&mut self, id: NodeId, wire: WireId, peer: PeerId, request: RequestId, message: Vec<u8>, answered: bool) {
        let inbound = InboundId(self.fresh_id());
        let node = &mut self.nodes[id.0];
        if node.config.role == Role::Client {
            return self.send(id, wire, 1, Packet::Reset { request, reason: "the protocol is not supported" });
        }
        if message.len() > openred_core::wire::kad::MAX_MESSAGE {
            return self.send(id, wire, 1, Packet::Reset { request, reason: "the stream was reset" });
        }
        if let (true, Mind::Machine(machine)) = (node.passive, &mut node.mind) {
            let now = node.clock.now(self.now);
            let response = machine.serve(peer, &message, now);
            if answered {
                self.respond(id, wire, request, response);
            }
            return;
        }
        if let Mind::Hostile(answer) = &mut node.mind {
            let response = answer(&message);
            if answered {
                self.respond(id, wire, request, response);
            }
            return;
        }
        node.books.inbound.insert(inbound, (wire, request));
        self.tell(id, Input::Asked { inbound, peer, message });
    }

    fn answered(&mut self, id: NodeId, request: RequestId, answer: Result<Vec<u8>, &str>) {
        let node = &mut self.nodes[id.0];
        if node.books.requests.remove(&request).is_none() {
            return;
        }
        if let Mind::Hostile(_) = node.mind {
            node.books.replies.insert(request, answer.ok());
            return;
        }
        if let Ok(message) = &answer
            && self.watches()
        {
            self.watch_answer(id, request, message);
        }
        self.tell(
            id,
            match answer {
                Ok(message) => Input::Answered { request, message },
                Err(reason) => Input::RequestFailed { request, reason: reason.to_owned() },
            },
        );
    }

    fn stream_asked(&mut self, id: NodeId, wire: WireId, open: OpenId, name: &ServiceName) {
        let known = self.nodes[id.0].books.handlers.contains(name);
        let status = if known { Status::Ok } else { Status::NotFound };
        if known {
            self.carries(id, wire, 1);
        }
        self.send(id, wire, 1, Packet::OpenAnswer { open, status });
    }

    fn stream_answered(&mut self, id: NodeId, open: OpenId, status: Status) {
        let books = &mut self.nodes[id.0].books;
        let Some(wire) = books.opens.remove(&open) else { return };
        if status == Status::Ok {
            books.opened.insert(open, wire);
            self.carries(id, wire, 1);
            self.tell(id, Input::Opened { open });
        } else {
            self.tell(id, Input::OpenRefused { open, status, message: String::new() });
        }
    }

    // Reservations.

    pub(super) fn reserve(&mut self, id: NodeId, relay: PeerId) {
        self.nodes[id.0].books.places_at.remove(&relay);
        let direct = self.direct_wire(id, &relay);
        let Some(wire) = direct else {
            return self.tell(id, Input::ReservationLost { relay, reason: "the relay is not connected".to_owned() });
        };
        self.nodes[id.0].books.places_at.insert(relay, wire);
        self.send(id, wire, ASK, Packet::Reserve);
    }

    fn reservation_asked(&mut self, relay: NodeId, client: NodeId, wire: WireId) {
        let node = &mut self.nodes[relay.0];
        let books = &mut node.books;
        let accepted = matches!(node.mind, Mind::Machine(_))
            && (books.places_for.contains_key(&client) || books.places_for.len() < node.places);
        if accepted {
            books.places_for.insert(client, wire);
        }
        self.send(relay, wire, 1, Packet::ReserveAnswer { accepted });
    }

    fn reservation_answered(&mut self, id: NodeId, wire: WireId, relay: PeerId, accepted: bool) {
        let books = &mut self.nodes[id.0].books;
        if books.places_at.get(&relay) != Some(&wire) {
            return;
        }
        if accepted {
            self.after(RENEWAL, Happening::Renew { wire, node: id });
            self.tell(id, Input::Reserved { relay });
        } else {
            books.places_at.remove(&relay);
            self.tell(id, Input::ReservationLost { relay, reason: "the relay has no place left".to_owned() });
        }
    }

    pub(super) fn renew(&mut self, wire: WireId, id: NodeId) {
        if self.nodes[id.0].books.places_at.values().any(|held| *held == wire) {
            self.send(id, wire, ASK, Packet::Reserve);
        }
    }

    // Pings.

    /// The machine wants a ping on a stream of its own: opening that and the ping travel together.
    pub(super) fn ping_now(&mut self, wire: WireId, id: NodeId) {
        let Some(known) = self.wires.get(&wire) else { return };
        let hops = known.hops(id).times(2);
        self.nodes[id.0].traffic.pings += 1;
        let (sent, travel) = (self.now, self.travel(hops));
        self.after(travel, Happening::Arrive { wire, to: id, hops, packet: Packet::Echo { sent } });
    }

    pub(super) fn ping(&mut self, wire: WireId, id: NodeId, missed: u32) {
        let Some(known) = self.wires.get_mut(&wire) else { return };
        if !known.end(id).open || self.nodes[id.0].passive {
            return;
        }
        known.end_mut(id).pinging = Some(self.now);
        let hops = known.hops(id).times(2);
        self.nodes[id.0].traffic.pings += 1;
        let travel = self.travel(hops);
        let packet = Packet::Pong { sent: self.now, missed };
        self.after(travel, Happening::Arrive { wire, to: id, hops, packet });
    }

    /// A pong is late: its time limit counts.
    pub(super) fn expect_pong(&mut self, wire: WireId, id: NodeId, sent: Duration, missed: u32) {
        let limit = if missed == 0 { self.ping_times(id).1 } else { PING_ANEW };
        let left = (sent + limit).saturating_sub(self.now);
        self.after(left, Happening::PingDue { wire, node: id, sent, missed });
    }

    pub(super) fn ping_due(&mut self, wire: WireId, id: NodeId, sent: Duration, missed: u32) {
        let Some(known) = self.wires.get_mut(&wire) else { return };
        let peer = self.nodes[known.other(id).0].peer;
        let end = known.end_mut(id);
        if !end.open || end.pinging != Some(sent) {
            return;
        }
        end.pinging = None;
        let interval = self.ping_times(id).0;
        self.after(interval, Happening::Ping { wire, node: id, missed: missed + 1 });
        if missed + 1 > SILENT_FAILURES {
            self.tell(id, Input::PingFailed { peer, connection: ConnectionId(wire.0) });
            self.settle(id);
        }
    }

    fn pong(&mut self, wire: WireId, id: NodeId, peer: PeerId, sent: Duration, _missed: u32) {
        let Some(end) = self.wires.get_mut(&wire).map(|known| known.end_mut(id)) else { return };
        if end.pinging != Some(sent) {
            return;
        }
        end.pinging = None;
        let rtt = self.now - sent;
        let interval = self.ping_times(id).0;
        self.after(interval, Happening::Ping { wire, node: id, missed: 0 });
        self.tell(id, Input::Ponged { peer, connection: ConnectionId(wire.0), rtt });
    }

    fn ping_times(&self, id: NodeId) -> (Duration, Duration) {
        match self.nodes[id.0].config.role {
            Role::Client => CLIENT_PING,
            Role::Relay => RELAY_PING,
        }
    }
}
