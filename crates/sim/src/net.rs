//! The network and its verbs.

mod carries;
mod carry;
mod connect;
mod direct;
mod exchange;
mod fate;
mod fetch;
mod hostile;
mod look;
mod orders;
mod settled;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fastrand::Rng;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::{Multiaddr, Protocol};
use openred_core::{Config, Machine, Role, address::RelayAddress, name::NetworkName};

pub use self::direct::Ice;
pub(crate) use self::fetch::FetchStep;
use self::watch::Watched;
pub use self::{orders::Order, watch::Walk};
use crate::{
    Latency,
    map::{Ids, Names},
    node::{Books, Clock, Hearing, Mind, Node, NodeId, Traffic},
    queue::Queue,
    trace::Trace,
    wire::{Attempt, AttemptGroup, AttemptId, Happening, Hops, Packet, Wire, WireId},
};

/// Events at one instant after which it is believed to go on for ever.
const MAX_AT_ONE_INSTANT: u64 = 1_000_000;

/// Held packets after which those that would reach nobody are looked for.
const HELD: usize = 4096;

/// Places a relay gives: the real shell's default.
const PLACES: usize = 1024;

/// A simulated network. See the crate's documentation.
pub struct Net {
    /// How long packets travel.
    pub latency: Latency,
    /// Whether relays listen on QUIC too. Off by default: over WebSocket alone a dial takes its longest.
    pub quic: bool,
    /// Whether what machines tell their applications is kept for [`Net::events`]. Large networks do without.
    pub keep_events: bool,
    seed: u64,
    rng: Rng,
    now: Duration,
    queue: Queue<Happening>,
    /// What is on its way through a silence.
    held: Vec<Happening>,
    /// What waits for those who sleep.
    slept: Vec<Happening>,
    /// How many may be held before those are forgotten that nobody waits for.
    held_limit: usize,
    nodes: Vec<Node>,
    by_address: Names<Multiaddr, NodeId>,
    by_peer: Names<PeerId, NodeId>,
    wires: Ids<WireId, Wire>,
    attempts: Ids<AttemptId, Attempt>,
    /// The attempts of each dial that are under way.
    groups: Ids<AttemptGroup, Vec<AttemptId>>,
    /// Ways on which everything is lost, in one direction.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// How direct paths between pages fare, where not all is well.
    ice: BTreeMap<(NodeId, NodeId), Ice>,
    /// What can be fetched from outside of the world, by URL.
    web: BTreeMap<String, Vec<u8>>,
    watched: Watched,
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
            quic: false,
            keep_events: true,
            seed,
            rng,
            now: Duration::ZERO,
            queue: Queue::new(),
            held: Vec::new(),
            slept: Vec::new(),
            held_limit: HELD,
            nodes: Vec::new(),
            by_address: Names::default(),
            by_peer: Names::default(),
            wires: Ids::default(),
            attempts: Ids::default(),
            groups: Ids::default(),
            cuts: BTreeSet::new(),
            ice: BTreeMap::new(),
            web: BTreeMap::new(),
            watched: Watched::default(),
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
        let keypair = self.draw_keypair();
        self.register_as(keypair, role, relays, set)
    }

    fn draw_keypair(&mut self) -> Keypair {
        let mut seed = [0; 32];
        seed.fill_with(|| self.rng.u8(..));
        Keypair::ed25519_from_bytes(seed).expect("32 bytes are a key")
    }

    fn register_as(
        &mut self,
        keypair: Keypair,
        role: Role,
        relays: &[NodeId],
        set: impl FnOnce(&mut Config),
    ) -> NodeId {
        let id = NodeId(self.nodes.len());
        let peer = keypair.public().to_peer_id();
        let mut addresses = Vec::new();
        if role == Role::Relay {
            let host = self.latency.host(id);
            addresses.push(Multiaddr::from(host).with(Protocol::Tcp(80)).with(Protocol::Ws("/".into())));
            if self.quic {
                addresses.push(Multiaddr::from(host).with(Protocol::Udp(80)).with(Protocol::QuicV1));
            }
        }
        let relays = relays.iter().map(|relay| self.address_of(*relay)).collect();
        let mut config = Config::new(NetworkName::default(), role, relays);
        config.region = self.latency.region(id).to_owned();
        set(&mut config);
        self.by_peer.insert(peer, id);
        self.by_address.extend(addresses.iter().map(|address| (address.clone(), id)));
        self.nodes.push(Node {
            keypair,
            peer,
            config,
            addresses,
            mind: Mind::Dead,
            life: 0,
            clock: Clock { started: self.now, skew_ms: 0 },
            hearing: Hearing::default(),
            lost: false,
            asleep: false,
            passive: false,
            zone: 0,
            places: PLACES,
            made: 0,
            bootstrap: "{}".to_owned(),
            books: Books::default(),
            memory: None,
            traffic: Traffic::default(),
            orders: BTreeMap::new(),
            events: Vec::new(),
        });
        id
    }

    fn address_of(&self, relay: NodeId) -> RelayAddress {
        let address = self.nodes[relay.0].addresses.first().expect("only relays have addresses");
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
        for address in node.addresses.clone() {
            self.tell(id, openred_core::Input::Reachable { address });
        }
        self.settle(id);
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
            _ if self.is_asleep(&happening) => self.slept.push(happening),
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
        if self.held.len() > self.held_limit {
            self.forget_held();
        }
    }

    /// A timer that was set at some time: the machine may want to be woken later by then.
    fn timer(&mut self, id: NodeId, life: u64, set: u64) {
        let node = &mut self.nodes[id.0];
        if node.life != life || node.books.timer_set != set || node.passive {
            return;
        }
        node.books.timer = None;
        let now = node.clock.now(self.now);
        let Some(machine) = node.machine() else { return };
        let why = machine.poll_timeout();
        if why.is_some_and(|(at, _)| at <= now.elapsed) {
            machine.handle_timeout(now);
            self.trace.note(self.now, id, 0, &why);
        }
        self.settle(id);
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.queue.push(self.now + delay, happening, &mut self.rng);
    }

    /// The time that a way takes.
    fn travel(&mut self, hops: Hops) -> Duration {
        let (now, rng) = (self.now, &mut self.rng);
        hops.pairs().map(|(from, to)| self.latency.travel(from, to, hops, now, rng)).sum()
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
