//! The network and its verbs.

mod carries;
mod carry;
mod connect;
mod exchange;
mod fetch;
mod hostile;
mod look;
mod orders;

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use openred_core::{Config, Machine, Role, address::RelayAddress, name::NetworkName};

pub(crate) use self::fetch::FetchStep;
pub use self::orders::Order;
use crate::{
    Latency,
    node::{Books, Clock, Fate, Mind, Node, NodeId},
    queue::Queue,
    trace::Trace,
    wire::{Attempt, AttemptId, Happening, Hops, Packet, Wire, WireId},
};

/// Events at one instant after which it is believed to go on for ever.
const MAX_AT_ONE_INSTANT: u64 = 1_000_000;

/// Places a relay gives: the real shell's default.
const PLACES: usize = 1024;

/// A simulated network. See the crate's documentation.
pub struct Net {
    /// How long packets travel.
    pub latency: Latency,
    seed: u64,
    rng: Rng,
    now: Duration,
    queue: Queue<Happening>,
    /// What is on its way through a silence.
    held: Vec<Happening>,
    nodes: Vec<Node>,
    by_address: BTreeMap<Multiaddr, NodeId>,
    by_peer: BTreeMap<PeerId, NodeId>,
    wires: BTreeMap<WireId, Wire>,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// What can be fetched from outside of the world, by URL.
    web: BTreeMap<String, Vec<u8>>,
    next_id: u64,
    /// Pending orders, so that waiting for all of them is cheap.
    pending: usize,
    at_instant: u64,
    trace: Trace,
}

impl Net {
    /// An empty network. Everything that happens in it follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            latency: Latency::new(rng.u64(..)),
            seed,
            rng,
            now: Duration::ZERO,
            queue: Queue::new(),
            held: Vec::new(),
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            wires: BTreeMap::new(),
            attempts: BTreeMap::new(),
            web: BTreeMap::new(),
            next_id: 0,
            pending: 0,
            at_instant: 0,
            trace: Trace::new(seed),
        }
    }

    // Who takes part.

    /// A relay that nobody sends anywhere.
    pub fn relay(&mut self) -> NodeId {
        self.relay_knowing(&[])
    }

    /// A relay with these bootstrap relays.
    pub fn relay_knowing(&mut self, relays: &[NodeId]) -> NodeId {
        self.relay_with(relays, |_| {})
    }

    /// A relay with other settings than the default.
    pub fn relay_with(&mut self, relays: &[NodeId], set: impl FnOnce(&mut Config)) -> NodeId {
        self.add(Role::Relay, relays, set)
    }

    /// A client that is configured with these relays.
    pub fn client(&mut self, relays: &[NodeId]) -> NodeId {
        self.client_with(relays, |_| {})
    }

    /// A client with other settings than the default.
    pub fn client_with(&mut self, relays: &[NodeId], set: impl FnOnce(&mut Config)) -> NodeId {
        self.add(Role::Client, relays, set)
    }

    fn add(&mut self, role: Role, relays: &[NodeId], set: impl FnOnce(&mut Config)) -> NodeId {
        let id = self.register(role, relays, set);
        self.start(id);
        id
    }

    fn register(&mut self, role: Role, relays: &[NodeId], set: impl FnOnce(&mut Config)) -> NodeId {
        let id = NodeId(self.nodes.len());
        let mut seed = [0; 32];
        seed.fill_with(|| self.rng.u8(..));
        let keypair = Keypair::ed25519_from_bytes(seed).expect("32 bytes are a key");
        let peer = keypair.public().to_peer_id();
        let address = (role == Role::Relay).then(|| {
            let (high, low) = (id.0 / 250, id.0 % 250 + 1);
            format!("/ip4/10.0.{high}.{low}/tcp/80/ws").parse().expect("a multiaddr")
        });
        let relays = relays.iter().map(|relay| self.address_of(*relay)).collect();
        let mut config = Config::new(NetworkName::default(), role, relays);
        set(&mut config);
        self.by_peer.insert(peer, id);
        self.by_address.extend(address.clone().map(|address| (address, id)));
        self.nodes.push(Node {
            keypair,
            peer,
            config,
            address,
            mind: Mind::Dead,
            life: 0,
            clock: Clock { started: self.now, skew_ms: 0 },
            silent: false,
            zone: 0,
            places: PLACES,
            books: Books::default(),
            memory: None,
            orders: BTreeMap::new(),
            events: Vec::new(),
        });
        id
    }

    fn address_of(&self, relay: NodeId) -> RelayAddress {
        let address = self.nodes[relay.0].address.as_ref().expect("only relays have addresses");
        RelayAddress::parse(&address.to_string(), false).expect("a relay's address")
    }

    fn start(&mut self, id: NodeId) {
        let seed = self.rng.u64(..);
        let node = &mut self.nodes[id.0];
        node.life += 1;
        node.clock.started = self.now;
        node.books = Books::default();
        let now = node.clock.now(self.now);
        let machine = Machine::new(node.config.clone(), node.keypair.clone(), seed, now);
        node.mind = Mind::Machine(Box::new(machine));
        if let Some(address) = node.address.clone() {
            self.tell(id, openred_core::Input::Reachable { address });
        }
        self.settle(id);
    }

    // What befalls them.

    /// The node dies: its connections close at once, dials to it are refused.
    pub fn kill(&mut self, id: NodeId) {
        self.trace.note(self.now, id, &"is killed");
        self.nodes[id.0].mind = Mind::Dead;
        self.attempts.retain(|_, attempt| attempt.node != id);
        for wire in self.nodes[id.0].books.wires.clone() {
            self.close_end(wire, id);
        }
        let node = &mut self.nodes[id.0];
        for fate in node.orders.values_mut() {
            if matches!(fate, Fate::Pending { .. }) {
                *fate = Fate::Lost;
                self.pending -= 1;
            }
        }
        node.silent = false;
        self.release();
    }

    /// The node starts again, with its identity and address and an empty memory.
    pub fn restart(&mut self, id: NodeId) {
        if self.nodes[id.0].is_alive() {
            self.kill(id);
        }
        self.nodes[id.0].config.memory = None;
        self.start(id);
    }

    /// The node starts again with what it last wanted to be kept for its next life.
    pub fn restart_warm(&mut self, id: NodeId) {
        let memory = self.nodes[id.0].memory.clone();
        self.restart_with_memory(id, memory);
    }

    /// The node starts again, and is given these bytes as what its earlier life remembered.
    pub fn restart_with_memory(&mut self, id: NodeId, memory: Option<Vec<u8>>) {
        if self.nodes[id.0].is_alive() {
            self.kill(id);
        }
        self.nodes[id.0].config.memory = memory;
        self.start(id);
    }

    /// The node becomes a black hole: nothing reaches it, nothing leaves it, nothing is refused. It lives on.
    pub fn silence(&mut self, id: NodeId) {
        self.trace.note(self.now, id, &"falls silent");
        self.nodes[id.0].silent = true;
    }

    /// The node is heard again.
    pub fn unsilence(&mut self, id: NodeId) {
        self.trace.note(self.now, id, &"is heard again");
        self.nodes[id.0].silent = false;
        self.release();
    }

    /// Cuts the network: these nodes hear each other only, and everybody else does not hear them.
    pub fn partition(&mut self, island: &[NodeId]) {
        let zone = self.nodes.iter().map(|node| node.zone).max().unwrap_or(0) + 1;
        for id in island {
            self.trace.note(self.now, *id, &"is cut off");
            self.nodes[id.0].zone = zone;
        }
    }

    /// Ends every silence and every partition.
    pub fn heal(&mut self) {
        for node in &mut self.nodes {
            (node.silent, node.zone) = (false, 0);
        }
        self.release();
    }

    /// Moves a node's wall clock; its monotonic clock does not notice.
    pub fn jump_clock(&mut self, id: NodeId, milliseconds: i64) {
        self.nodes[id.0].clock.skew_ms += milliseconds;
    }

    /// How many places a relay gives from here on.
    pub fn set_places(&mut self, relay: NodeId, places: usize) {
        self.nodes[relay.0].places = places;
    }

    fn blocked(&self, hops: Hops) -> bool {
        hops.pairs().any(|(from, to)| {
            let (from, to) = (&self.nodes[from.0], &self.nodes[to.0]);
            from.silent || to.silent || from.zone != to.zone
        })
    }

    /// What was held goes on its way, where the way is free again.
    fn release(&mut self) {
        for happening in std::mem::take(&mut self.held) {
            match happening.hops() {
                Some(hops) if !self.blocked(hops) => {
                    let travel = self.travel(hops, 1);
                    self.after(travel, happening);
                }
                _ => self.held.push(happening),
            }
        }
    }

    // The course of time.

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until every order is answered, at most this long. True if they are.
    pub fn run_until_idle_or(&mut self, limit: Duration) -> bool {
        self.run_until(limit, |net| net.pending == 0)
    }

    /// Runs until something is so, at most this long. True if it came about.
    pub fn run_until(&mut self, limit: Duration, so: impl Fn(&Net) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if so(self) {
                return true;
            }
            if !self.step(end) {
                return so(self);
            }
        }
    }

    /// Time since the beginning of the world.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// A hash of everything that reached or left a machine so far.
    pub fn trace(&self) -> u64 {
        self.trace.hash()
    }

    /// Lets the next thing happen; false if there is none until `end`, which is the time then.
    fn step(&mut self, end: Duration) -> bool {
        let Some((at, happening)) = self.queue.pop_until(end) else {
            self.now = end;
            return false;
        };
        self.at_instant = if at > self.now { 0 } else { self.at_instant + 1 };
        assert!(
            self.at_instant < MAX_AT_ONE_INSTANT,
            "seed {}: {at:?} does not end; the last of it: {happening:?}",
            self.seed
        );
        self.now = at;
        match happening.hops() {
            Some(hops) if self.blocked(hops) => self.hold(happening),
            _ => self.happen(happening),
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Timer { node, life, set } => self.timer(node, life, set),
            Happening::Overdue { node, life, op } => self.must_be_answered(node, life, op),
            Happening::Tell { node, life, input } => {
                if self.nodes[node.0].life == life {
                    self.tell(node, input);
                    self.settle(node);
                }
            }
            Happening::Fetch { node, life, fetch, hops, step } => self.fetch_step(node, life, fetch, hops, step),
            Happening::Arrive { wire, to, packet, .. } => self.arrive(wire, to, packet),
            Happening::Step { attempt, step, .. } => self.advance(attempt, step),
            Happening::GiveUp { attempt } => self.fail_attempt(attempt, "the connection attempt timed out"),
            Happening::Ping { wire, node, missed } => self.ping(wire, node, missed),
            Happening::PingDue { wire, node, sent, missed } => self.ping_due(wire, node, sent, missed),
            Happening::Renew { wire, node } => self.renew(wire, node),
        }
    }

    /// What runs into a silence waits there.
    fn hold(&mut self, happening: Happening) {
        if let Happening::Arrive { wire, to, packet: Packet::Pong { sent, missed }, .. } = happening {
            self.expect_pong(wire, to, sent, missed);
        }
        self.held.push(happening);
    }

    fn timer(&mut self, id: NodeId, life: u64, set: u64) {
        let node = &mut self.nodes[id.0];
        if node.life != life || node.books.timer_set != set {
            return;
        }
        let why = node.books.timer.take();
        let now = node.clock.now(self.now);
        if let Some(machine) = node.machine() {
            machine.handle_timeout(now);
            self.trace.note(self.now, id, &why);
            self.settle(id);
        }
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.queue.push(self.now + delay, happening, &mut self.rng);
    }

    /// The time of this many one-way trips.
    fn travel(&mut self, hops: Hops, trips: u32) -> Duration {
        let once: Duration = hops.pairs().map(|(from, to)| self.latency.draw(from, to, &mut self.rng)).sum();
        once * trips
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, at, lines) = (self.seed, self.now, self.trace.lines());
            eprintln!("the network of seed {seed} was at {at:?}, after {lines} inputs and outputs");
        }
    }
}
