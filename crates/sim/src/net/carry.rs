//! Carrying out what a machine wants, as the real shell does.

use openred_core::{DialFailure, DialId, Input, Machine, OpenId, Output, RequestId, Response, wire::kad::MAX_MESSAGE};

use super::Net;
use crate::{
    node::{Mind, NodeId},
    trace::{of_input, of_output},
    wire::{Happening, Packet, WireId},
};

/// How late a timer may be, in microseconds.
const LATE_US: u64 = 1000;

/// Deadlines in the past that a machine may name in a row before it is believed to spin.
const MAX_SPINS: u32 = 8;

/// Trips until a request on a new stream arrives: the stream's protocol travels with it.
pub(super) const ASK: u32 = 1;

impl Net {
    /// Tells a machine a fact. [`Net::settle`] must follow.
    pub(super) fn tell(&mut self, id: NodeId, input: Input) {
        let node = &mut self.nodes[id.0];
        let now = node.clock.now(self.now);
        if node.passive {
            return;
        }
        if let Some(machine) = node.machine() {
            self.trace.note(self.now, id, of_input(&input), &input);
            machine.handle_input(input, now);
        }
    }

    /// Carries out everything a machine wants, then sets its timer.
    pub(super) fn settle(&mut self, id: NodeId) {
        if self.nodes[id.0].passive {
            return;
        }
        while let Some(output) = self.nodes[id.0].machine().and_then(Machine::poll_output) {
            self.trace.note(self.now, id, of_output(&output), &output);
            self.carry_out(id, output);
        }
        let node = &mut self.nodes[id.0];
        let Mind::Machine(machine) = &node.mind else { return };
        let deadline = machine.poll_timeout();
        let elapsed = node.clock.now(self.now).elapsed;
        let past = deadline.filter(|(at, _)| *at <= elapsed);
        node.books.spins = if past.is_some() { node.books.spins + 1 } else { 0 };
        if node.books.spins > MAX_SPINS {
            panic!("seed {}: {id} spins at {elapsed:?} of its life: it goes on naming {past:?}", self.seed);
        }
        let Some((at, _)) = deadline else { return };
        // A timer that goes off early looks what is wanted by then.
        if node.books.timer.is_some_and(|set| set <= at) {
            return;
        }
        node.books.timer = Some(at);
        node.books.timer_set += 1;
        let (life, set) = (node.life, node.books.timer_set);
        let late = std::time::Duration::from_micros(self.rng.u64(0..LATE_US));
        self.after(at.saturating_sub(elapsed) + late, Happening::Timer { node: id, life, set });
    }

    fn carry_out(&mut self, id: NodeId, output: Output) {
        match output {
            Output::Dial { dial, peer, addresses } => self.dial(id, dial, peer, addresses),
            Output::CancelDial { dial } => self.forget_dial(id, dial),
            Output::Disconnect { connection } => self.close_end(WireId(connection.0), id),
            Output::Ping { connection, .. } => self.ping_now(WireId(connection.0), id),
            Output::StunServers(servers) => self.nodes[id.0].books.stun_servers = servers,
            Output::Reserve { relay, address: _ } => self.reserve(id, relay),
            Output::Request { request, connection, message, answered, .. } => {
                self.request(id, WireId(connection.0), request, message, answered);
            }
            Output::CancelRequest { request } => drop(self.nodes[id.0].books.requests.remove(&request)),
            Output::Fetch { fetch, url, limit } => self.fetch(id, fetch, url, limit),
            Output::CancelFetch { fetch } => drop(self.nodes[id.0].books.fetches.remove(&fetch)),
            Output::Remember(memory) => self.nodes[id.0].memory = Some(memory),
            Output::Respond { inbound, response } => {
                if let Some((wire, request)) = self.nodes[id.0].books.inbound.remove(&inbound) {
                    self.respond(id, wire, request, response);
                }
            }
            Output::OpenStream { open, connection, name, .. } => {
                let wire = WireId(connection.0);
                if !self.has(id, wire) {
                    return self.tell(id, Input::OpenFailed { open, reason: "the connection is closed".to_owned() });
                }
                self.nodes[id.0].books.opens.insert(open, wire);
                self.send(id, wire, ASK, Packet::OpenStream { open, name });
            }
            Output::CancelOpen { open } => {
                let books = &mut self.nodes[id.0].books;
                books.opens.remove(&open);
                if let Some(wire) = books.opened.remove(&open) {
                    self.stream_closed(id, wire);
                }
            }
            Output::Done { op, outcome } => self.done(id, op, outcome),
            Output::Event(event) if self.keep_events => self.nodes[id.0].events.push((self.now, event)),
            Output::Event(_) => {}
        }
    }

    /// Sends a request; also what a hostile node does.
    pub(super) fn request(&mut self, id: NodeId, wire: WireId, request: RequestId, message: Vec<u8>, answered: bool) {
        if !self.has(id, wire) {
            return self.tell(id, Input::RequestFailed { request, reason: "the connection is closed".to_owned() });
        }
        if self.watches() {
            let to = self.wires[&wire].other(id);
            self.watch_request(id, self.nodes[to.0].peer, request, &message);
        }
        let node = &mut self.nodes[id.0];
        node.traffic.requests += 1;
        node.traffic.request_bytes += message.len() as u64;
        node.books.requests.insert(request, wire);
        self.send(id, wire, ASK, Packet::Ask { request, message, answered });
        if !answered {
            let hops = self.wires[&wire].hops(id).times(2);
            let negotiated = self.travel(hops);
            self.after(negotiated, Happening::Arrive { wire, to: id, hops, packet: Packet::Written { request } });
        }
    }

    pub(super) fn respond(&mut self, id: NodeId, wire: WireId, request: RequestId, response: Response) {
        match response {
            Response::Message(message) if message.len() <= MAX_MESSAGE => {
                let traffic = &mut self.nodes[id.0].traffic;
                traffic.answers += 1;
                traffic.answer_bytes += message.len() as u64;
                self.send(id, wire, 1, Packet::Answer { request, message });
            }
            Response::Message(_) | Response::Reset => {
                self.send(id, wire, 1, Packet::Reset { request, reason: "the stream was reset" });
            }
            Response::Nothing => {}
        }
    }

    /// A fact of this instant that takes its turn among the others.
    pub(super) fn tell_soon(&mut self, id: NodeId, input: Input) {
        let life = self.nodes[id.0].life;
        self.after(std::time::Duration::ZERO, Happening::Tell { node: id, life, input });
    }

    /// Whether a node has a connection.
    pub(super) fn has(&self, id: NodeId, wire: WireId) -> bool {
        self.nodes[id.0].books.wires.contains(&wire)
    }

    pub(super) fn dial_failed(&mut self, id: NodeId, dial: DialId, failure: DialFailure) {
        self.tell(id, Input::DialFailed { dial, failure });
    }

    pub(super) fn open_failed(&mut self, id: NodeId, open: OpenId, reason: &str) {
        self.tell_soon(id, Input::OpenFailed { open, reason: reason.to_owned() });
    }
}
