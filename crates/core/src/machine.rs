//! The machine: one node's decisions, from joining to closing.
//!
//! It owns the parts and lets them talk: each fact or order goes to the parts it concerns, the DHT's news are handed round,
//! and at the end every part looks whether something is due. Nothing here reads a clock or draws from the system's
//! randomness; two machines given the same inputs do the same.

mod facts;
mod finds;
mod look;
mod memory;
mod orders;
mod settled;
mod upkeep;

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;

pub use self::look::{Explanation, PeerInfo, Stats};
pub use crate::ladder::NotDirect;
use crate::{
    bootstrap::Lists,
    boundary::{Output, Timer},
    cache::Cache,
    config::{Config, Role},
    context::Context,
    dht::{Dht, store::Store},
    error::Error,
    event::{State, Status},
    find::Finds,
    join::Join,
    ladder::Ladder,
    links::Links,
    open::Openings,
    orders::Orders,
    publish::Publisher,
    reach::Reaches,
    reservations::Reservations,
    time::Now,
    topology::{Topology, missing_company, seeks},
};

/// Addresses kept of one peer.
const MAX_ADDRESSES: usize = 16;

/// Remembered relays that a new life tries: enough that some live on after the loss of four fifths.
const REMEMBERED: usize = 32;

/// One node's decisions. See the crate's documentation for how a shell drives it.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    local: PeerId,
    rng: Rng,
    links: Links,
    cache: Cache,
    join: Join,
    lists: Lists,
    topology: Topology,
    reservations: Reservations,
    ladder: Ladder,
    dht: Dht,
    publisher: Publisher,
    finds: Finds,
    openings: Openings,
    reaches: Reaches,
    orders: Orders,
    /// The two clocks when they were last read.
    clock: Now,
    /// Whether the platform says that it has no network.
    offline: bool,
    /// Addresses known to lead to this node without a relay.
    public: Vec<Multiaddr>,
    status: Status,
    stats: Stats,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// Starts a node: it begins to join at once. `seed` is the only randomness it will ever have.
    pub fn new(config: Config, keypair: Keypair, seed: u64, now: Now) -> Self {
        let local = keypair.public().to_peer_id();
        let server = config.role.is_relay();
        let store = Store::new(config.network.clone(), &local, config.store.clone());
        let mut machine = Self {
            local,
            rng: Rng::with_seed(seed),
            links: Links::default(),
            cache: Cache::new(&config.cache, &config.network, local),
            join: Join::new(&config.relays, config.join_backoff, now.elapsed),
            lists: Lists::new(&config.lists, !config.relays.is_empty() || !config.bootstrap.is_empty(), now.elapsed),
            topology: Topology::default(),
            reservations: Reservations::default(),
            ladder: Ladder::default(),
            dht: Dht::new(local, server, store),
            publisher: Publisher::new(keypair),
            finds: Finds::default(),
            openings: Openings::default(),
            reaches: Reaches::default(),
            orders: Orders::new(),
            clock: now,
            offline: false,
            public: Vec::new(),
            status: Status { state: State::Joining, reason: None },
            stats: Stats::default(),
            outputs: VecDeque::new(),
            config,
        };
        machine.restore(now);
        let Parts { mut cx, join, topology, .. } = machine.parts(now);
        let remembered = cx.cache.peers.best(REMEMBERED, now).into_iter().map(|known| (known.peer, known.addresses));
        let remembered: Vec<_> = remembered.collect();
        topology.remember(&mut cx, remembered.clone());
        join.remember(&mut cx, remembered);
        let bootstrap = &cx.config.bootstrap;
        join.list(&mut cx, bootstrap);
        machine.advance(now);
        machine
    }

    // What comes out.

    /// The next action; to be called until it gives none after every input and order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the machine wants [`Machine::handle_timeout`], as time since the shell's start, and why.
    pub fn poll_timeout(&self) -> Option<(Duration, Timer)> {
        // A closed node says farewell to its holders and begins nothing else.
        let closed = self.status.state == State::Closed;
        let lacking = self.lacks_contacts();
        let join = self.join.next_deadline(lacking).into_iter().chain(self.lists.next_deadline(lacking)).min();
        let join = join.filter(|_| !closed);
        let servers = self.links.servers();
        let missing = self.is_ready() && missing_company(&self.config, servers, self.dht.table.len()) > 0;
        let topology = self.topology.next_deadline(missing, seeks(&self.config, servers)).filter(|_| !closed);
        let reservation = self.reservations.next_deadline(self.wanted_reservations()).filter(|_| !closed);
        [
            (self.links.next_deadline().into_iter().chain(join).min(), Timer::Join),
            (topology, Timer::Company),
            (self.dht.next_deadline(), Timer::Dht),
            (self.finds.next_deadline(&self.config.layers), Timer::Find),
            (self.publisher.next_deadline(self.is_ready() || closed), Timer::Publish),
            (reservation, Timer::Reservation),
            (self.openings.next_deadline(), Timer::Open),
            (self.links.next_silence().into_iter().chain(self.links.next_second()).min(), Timer::Link),
            (self.ladder.next_deadline().filter(|_| !closed), Timer::Ladder),
            (self.dht.next_expiry(), Timer::Store),
            (self.next_look_at_cache().filter(|_| !closed), Timer::Cache),
            (self.orders.values().map(|order| order.deadline).min(), Timer::Deadline),
        ]
        .into_iter()
        .filter_map(|(at, timer)| Some((at?, timer)))
        .min_by_key(|(at, _)| *at)
    }

    // What the parts of the machine ask of each other.

    fn is_ready(&self) -> bool {
        self.status.state == State::Ready
    }

    /// Whether anybody is connected who can be asked, or nobody needs to be.
    fn has_company(&self) -> bool {
        self.is_alone() || self.links.peers().any(|(_, peer)| peer.server)
    }

    /// Whether there is nobody whom this relay could join: it is a network of its own.
    fn is_alone(&self) -> bool {
        self.config.role.is_relay() && self.join.is_alone() && self.lists.are_read()
    }

    fn next_look_at_cache(&self) -> Option<Duration> {
        self.cache.memory.next_deadline().into_iter().chain(self.cache.services.next_deadline()).min()
    }

    fn wanted_reservations(&self) -> usize {
        if self.config.role == Role::Client { self.config.reservations } else { 0 }
    }

    fn no_relay(&self) -> Error {
        let reasons = self.reasons();
        match self.join.common_code().filter(|_| self.lists.is_empty()) {
            Some("WRONG_NETWORK") => Error::WrongNetwork(reasons),
            Some("UNSUPPORTED") => Error::Unsupported(reasons),
            _ => Error::NoRelay(reasons),
        }
    }

    /// Why no relay is reached, in a sentence.
    fn reasons(&self) -> String {
        let mut reasons = self.join.reasons();
        reasons.extend(self.lists.reasons());
        if reasons.is_empty() {
            return "no relay is configured, listed or remembered; name at least one as a URL, a multiaddr or host:port"
                .to_owned();
        }
        reasons.join("; ")
    }

    /// What may be the reason that an offer is not stored in time.
    fn doubt(&self) -> String {
        if !self.is_ready() {
            self.reasons()
        } else if self.endpoints().is_empty() {
            "no relay holds a reservation for this node, so nobody could reach it".to_owned()
        } else {
            String::new()
        }
    }

    fn parts(&mut self, now: Now) -> Parts<'_> {
        Parts {
            cx: Context {
                now,
                config: &self.config,
                local: self.local,
                links: &mut self.links,
                cache: &mut self.cache,
                rng: &mut self.rng,
                outputs: &mut self.outputs,
                orders: &mut self.orders,
            },
            join: &mut self.join,
            lists: &mut self.lists,
            topology: &mut self.topology,
            reservations: &mut self.reservations,
            ladder: &mut self.ladder,
            dht: &mut self.dht,
            publisher: &mut self.publisher,
            finds: &mut self.finds,
            openings: &mut self.openings,
            reaches: &mut self.reaches,
        }
    }
}

/// The parts, and what they share while they handle one fact.
struct Parts<'a> {
    cx: Context<'a>,
    join: &'a mut Join,
    lists: &'a mut Lists,
    topology: &'a mut Topology,
    reservations: &'a mut Reservations,
    ladder: &'a mut Ladder,
    dht: &'a mut Dht,
    publisher: &'a mut Publisher,
    finds: &'a mut Finds,
    openings: &'a mut Openings,
    reaches: &'a mut Reaches,
}

#[cfg(test)]
mod tests;
