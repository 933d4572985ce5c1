//! The machine: one node's decisions, from joining to closing.
//!
//! It owns the parts and lets them talk: each fact or order goes to the parts it concerns, the DHT's news are handed round,
//! and at the end every part looks whether something is due. Nothing here reads a clock or draws from the system's
//! randomness; two machines given the same inputs do the same.

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;

use crate::{
    address::{is_link_local, is_private},
    boundary::{ConnectionId, DialFailure, DialId, Input, OpId, Outcome, Output, RegistrationId, Timer},
    config::{Config, Role},
    context::Context,
    dht::{Dht, LookupId, News, Want, store::Store},
    error::Error,
    event::{Event, JoinStage, Path, State, Status},
    find::{self, Asker, FindOptions, Finds, Finished},
    join::Join,
    links::{Link, Links},
    map::Set,
    name::ServiceTarget,
    open::{Openings, Target},
    orders::{Order, OrderKind, Orders},
    publish::{Offer, OfferPatch, Publisher},
    reservations::Reservations,
    time::{Now, millis},
    wire::kad::PeerAddresses,
};

/// libp2p's circuit relay v2 protocol, spoken by relays towards those who want a circuit.
const RELAY_HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// Addresses kept of one peer.
const MAX_ADDRESSES: usize = 16;

/// Time for withdrawals to reach their holders when the node closes.
const FAREWELL: Duration = Duration::from_secs(1);

/// Time between two attempts to find company: a relay that restarts is back in seconds. A guess.
const COMPANY_PAUSE: Duration = Duration::from_secs(3);

/// A timer that fires later than this was held back: a page in the background, a machine that slept.
const LATE: Duration = Duration::from_secs(2);

/// How far the wall clock may run from the monotonic one between two looks before it counts as set: less than the shortest
/// ttl, more than any correction of a running clock.
const CLOCK_JUMP: Duration = Duration::from_secs(30);

/// Relay links that a relay itself keeps; a small network becomes a full mesh. A guess.
const RELAY_MESH: usize = 16;

/// A peer as [`Machine::peers`] lists it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// What it is to the network: `relay`, `server` (of the DHT).
    pub roles: Vec<&'static str>,
    /// How it is reached best.
    pub path: Path,
    /// The best link's address as seen from here.
    pub address: Multiaddr,
    /// The addresses it claims to be reached at, unverified.
    pub addresses: Vec<Multiaddr>,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// When the best link came to be, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl PeerInfo {
    /// The transport of the best link: `websocket`, `webrtc-direct`, `quic`, `tcp`, or `circuit`.
    pub fn transport(&self) -> &'static str {
        use multiaddr::Protocol;
        if self.path == Path::Relayed {
            return "circuit";
        }
        let mut transport = "unknown";
        for protocol in &self.address {
            transport = match protocol {
                Protocol::Ws(_) | Protocol::Wss(_) => "websocket",
                Protocol::WebRTCDirect => "webrtc-direct",
                Protocol::QuicV1 => "quic",
                Protocol::Tcp(_) => "tcp",
                _ => transport,
            };
        }
        transport
    }
}

/// Counters of the machine; the shell adds its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connected peers.
    pub peers: usize,
    /// Connected relays of this network.
    pub relays: usize,
    /// Reservations held at relays.
    pub reservations: usize,
    /// Finds that have ended.
    pub finds: u64,
    /// The time they took together.
    pub find_time: Duration,
    /// Service names stored for others.
    pub stored_services: usize,
    /// Bytes stored for others.
    pub stored_bytes: usize,
    /// Peers in the routing table.
    pub routing_table: usize,
}

/// Why a peer is reachable, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// A stable code: `SELF`, `DIRECT`, `RELAYED`, `KNOWN` (not connected, addresses known) or `UNKNOWN`.
    pub code: &'static str,
    /// The same in a sentence.
    pub reason: String,
}

/// One node's decisions. See the crate's documentation for how a shell drives it.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    local: PeerId,
    rng: Rng,
    links: Links,
    join: Join,
    reservations: Reservations,
    dht: Dht,
    publisher: Publisher,
    finds: Finds,
    openings: Openings,
    orders: Orders,
    /// The two clocks when they were last read.
    clock: Now,
    /// Addresses known to lead to this node without a relay.
    public: Vec<Multiaddr>,
    status: Status,
    refresh: Option<LookupId>,
    refresh_at: Option<Duration>,
    /// When strangers may be dialled again for company.
    company_at: Duration,
    stats: Stats,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// Starts a node: it begins to join at once. `seed` is the only randomness it will ever have.
    pub fn new(config: Config, keypair: Keypair, seed: u64, now: Now) -> Self {
        let local = keypair.public().to_peer_id();
        let server = config.role == Role::Relay;
        let store = Store::new(config.network.clone(), &local, config.store.clone());
        // A relay that nobody sent anywhere is a network of its own.
        let alone = server && config.relays.is_empty();
        let state = if alone { State::Ready } else { State::Joining };
        let mut machine = Self {
            local,
            rng: Rng::with_seed(seed),
            links: Links::default(),
            join: Join::new(&config.relays, config.join_backoff),
            reservations: Reservations::default(),
            dht: Dht::new(local, server, store),
            publisher: Publisher::new(keypair),
            finds: Finds::default(),
            openings: Openings::default(),
            orders: Orders::new(),
            clock: now,
            public: Vec::new(),
            status: Status { state, reason: None },
            refresh: None,
            refresh_at: None,
            company_at: Duration::ZERO,
            stats: Stats::default(),
            outputs: VecDeque::new(),
            config,
        };
        machine.advance(now);
        machine
    }

    // Getters.

    /// This node's id.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// The state, and why if that is not plain.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The connected peers, in the order of their ids.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.links
            .peers()
            .filter_map(|(id, peer)| {
                let (_, link) = self.links.best(id)?;
                let mut roles = Vec::new();
                roles.extend((peer.relay && peer.server).then_some("relay"));
                roles.extend(peer.server.then_some("server"));
                Some(PeerInfo {
                    peer: *id,
                    roles,
                    path: link.path,
                    address: link.address.clone(),
                    addresses: peer.addresses.clone(),
                    rtt: peer.rtt,
                    since: link.since.unix_ms,
                })
            })
            .collect()
    }

    /// Counters up to this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.links.peers().count(),
            relays: self.links.peers().filter(|(_, peer)| peer.relay && peer.server).count(),
            reservations: self.reservations.count(),
            stored_services: self.dht.store.services(),
            stored_bytes: self.dht.store.bytes(),
            routing_table: self.dht.table.len(),
            ..self.stats.clone()
        }
    }

    /// What this node holds for others.
    pub fn store(&self) -> &Store {
        &self.dht.store
    }

    /// The addresses at which others reach this node, without the final `/p2p`.
    pub fn endpoints(&self) -> Vec<Multiaddr> {
        let mut endpoints = self.public.clone();
        endpoints.extend(self.reservations.endpoints());
        endpoints
    }

    /// Why a peer is reachable, or is not.
    pub fn explain(&self, peer: &PeerId) -> Explanation {
        if *peer == self.local {
            return Explanation { code: "SELF", reason: "this is the node itself".to_owned() };
        }
        match self.links.best(peer) {
            Some((_, link)) if link.path == Path::Direct => {
                Explanation { code: "DIRECT", reason: format!("connected over {}", link.address) }
            }
            Some((_, link)) => Explanation { code: "RELAYED", reason: format!("connected through {}", link.address) },
            None if self.dht.table.peers().any(|known| known.peer == *peer) => Explanation {
                code: "KNOWN",
                reason: "not connected; its addresses are known and are dialled when needed".to_owned(),
            },
            None => Explanation {
                code: "UNKNOWN",
                reason: "not connected; opening a stream would look its addresses up".to_owned(),
            },
        }
    }

    // Orders of the application.

    /// Waits until the node has joined.
    pub fn ready(&mut self, op: OpId, limit: Duration, now: Now) {
        self.order(op, OrderKind::Join, "joining", limit, now);
        self.advance(now);
    }

    /// Offers a service; ends when it can be reached and a write quorum holds its record.
    pub fn provide(&mut self, op: OpId, offer: Offer, limit: Duration, now: Now) {
        let mut parts = self.parts(now);
        match parts.publisher.provide(&mut parts.cx, parts.dht, op, offer) {
            Ok(_) => self.order(op, OrderKind::Publish, "offering the service", limit, now),
            Err(error) => self.done(op, Err(error)),
        }
        self.advance(now);
    }

    /// Changes an offer.
    pub fn update(&mut self, op: OpId, id: RegistrationId, patch: OfferPatch, limit: Duration, now: Now) {
        let mut parts = self.parts(now);
        match parts.publisher.update(&mut parts.cx, parts.dht, op, id, patch) {
            Ok(()) => self.order(op, OrderKind::Publish, "updating the service", limit, now),
            Err(error) => self.done(op, Err(error)),
        }
        self.advance(now);
    }

    /// Takes an offer back. Without `op`, nobody waits for it.
    pub fn withdraw(&mut self, op: Option<OpId>, id: RegistrationId, limit: Duration, now: Now) {
        if let Some(op) = op {
            self.order(op, OrderKind::Publish, "withdrawing the service", limit, now);
        }
        let mut parts = self.parts(now);
        if let (Err(error), Some(op)) = (parts.publisher.withdraw(&mut parts.cx, parts.dht, op, id), op) {
            self.done(op, Err(error));
        }
        self.advance(now);
    }

    /// Looks for providers of a name.
    pub fn find(&mut self, op: OpId, target: ServiceTarget, options: FindOptions, now: Now) {
        self.start_find(Asker::Find(op), target, options, now);
        self.advance(now);
    }

    /// Opens a stream to a provider.
    pub fn open(&mut self, op: OpId, target: Target, limit: Duration, now: Now) {
        if self.openings.len() >= self.config.max_orders {
            let most = self.config.max_orders;
            return self.done(op, Err(Error::Quota(format!("{most} streams are being opened already"))));
        }
        self.order(op, OrderKind::Open, "opening the stream", limit, now);
        match target {
            Target::Name(target) => {
                let parts = self.parts(now);
                parts.openings.start_by_name(op, target.name.clone());
                self.start_find(Asker::Open(op), target, FindOptions { timeout: limit, ..FindOptions::default() }, now);
            }
            Target::Record(record) => {
                let mut parts = self.parts(now);
                parts.openings.start(&mut parts.cx, parts.dht, op, record.name, record.provider, record.endpoints);
            }
            Target::Peer { peer, name } => {
                let mut parts = self.parts(now);
                parts.openings.start(&mut parts.cx, parts.dht, op, name, peer, Vec::new());
            }
        }
        self.advance(now);
    }

    /// The caller of an order gave it up: it ends with [`Error::Aborted`], unless it has ended.
    pub fn cancel(&mut self, op: OpId, now: Now) {
        if !self.orders.contains_key(&op) && !self.finds.orders().any(|find| find == op) {
            return;
        }
        self.give_up(op, now);
        self.done(op, Err(Error::Aborted));
        self.advance(now);
    }

    /// The network came back, or the page woke up: everything that waits for its turn is tried at once.
    pub fn wake(&mut self, now: Now) {
        self.join.retry_now(now.elapsed);
        self.advance(now);
    }

    /// Takes all offers back and ends every order.
    pub fn close(&mut self, op: OpId, now: Now) {
        self.set_status(State::Closed, None);
        let pending: Vec<_> = self.orders.keys().copied().chain(self.finds.orders()).collect();
        for pending in pending {
            self.give_up(pending, now);
            self.done(pending, Err(Error::Closed));
        }
        let mut parts = self.parts(now);
        parts.publisher.withdraw_all(&mut parts.cx, parts.dht);
        self.order(op, OrderKind::Close, "closing", FAREWELL, now);
        self.advance(now);
    }

    // Facts.

    /// Takes one fact from the world.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        match input {
            Input::Connected { peer, connection, address, relayed, dial } => {
                let path = if relayed { Path::Relayed } else { Path::Direct };
                self.connected(peer, connection, address, path, dial, now);
            }
            Input::Disconnected { peer, connection } => self.disconnected(peer, connection, now),
            Input::DialFailed { dial, failure } => self.dial_failed(dial, &failure, now),
            Input::Identified { peer, protocols, addresses } => self.identified(peer, &protocols, addresses, now),
            Input::Ponged { peer, connection, rtt } => {
                self.links.ponged(connection, rtt, now.elapsed);
                self.dht.heard(&peer);
                // Requests that timed out may have cost a live server its place in the table.
                if let Some(known) = self.links.peer(&peer).filter(|known| known.server) {
                    let addresses = known.addresses.clone();
                    self.dht.table.seen(PeerAddresses { peer, addresses }, now.elapsed);
                }
            }
            Input::PingFailed { connection, .. } => self.unheard(connection),
            Input::Reserved { relay } => {
                if self.reservations.held(&relay) {
                    let mut parts = self.parts(now);
                    parts.join.tell(&mut parts.cx, relay, JoinStage::Reserved);
                    self.endpoints_changed(now);
                }
            }
            Input::ReservationLost { relay, reason } => {
                let mut parts = self.parts(now);
                if parts.reservations.lost(&mut parts.cx, &relay) {
                    let message = format!("the reservation at {relay} is lost: {reason}");
                    parts.cx.emit(Event::Warning { code: "NO_RELAY", message });
                    self.endpoints_changed(now);
                }
            }
            Input::Reachable { address } => {
                if !is_link_local(&address) && !self.public.contains(&address) && self.public.len() < MAX_ADDRESSES {
                    self.public.push(address);
                    self.endpoints_changed(now);
                }
            }
            Input::Answered { request, message } => {
                let mut parts = self.parts(now);
                parts.dht.answered(&mut parts.cx, request, &message);
            }
            Input::Sent { request } => {
                let mut parts = self.parts(now);
                parts.dht.sent(&mut parts.cx, request);
            }
            Input::RequestFailed { request, .. } => {
                let mut parts = self.parts(now);
                parts.dht.request_failed(&mut parts.cx, request);
            }
            Input::Asked { inbound, peer, message } => {
                let mut parts = self.parts(now);
                let response = parts.dht.asked(&mut parts.cx, peer, &message);
                self.outputs.push_back(Output::Respond { inbound, response });
            }
            Input::Opened { open } => {
                let mut parts = self.parts(now);
                parts.openings.opened(&mut parts.cx, open);
            }
            Input::OpenRefused { open, status, message } => {
                let mut parts = self.parts(now);
                parts.openings.refused(&mut parts.cx, parts.dht, open, status, &message);
            }
            Input::OpenFailed { open, reason } => {
                let mut parts = self.parts(now);
                parts.openings.open_failed(&mut parts.cx, parts.dht, open, reason);
            }
        }
        self.advance(now);
    }

    /// The time that [`Machine::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        let late = self.poll_timeout().is_some_and(|(due, _)| now.elapsed > due + LATE);
        if late {
            // The process slept, or its timers were held back: nobody had a chance to be heard meanwhile.
            self.links.forgive(now.elapsed);
        }
        for connection in self.links.unheard(now.elapsed, self.config.link_silence) {
            self.unheard(connection);
        }
        if self.dht.store.next_expiry().is_some_and(|at| at <= now.elapsed) {
            self.dht.store.expire(now);
        }
        self.advance(now);
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
        let join = self.join.next_deadline().filter(|_| !closed);
        let refresh = self.refresh_at.filter(|_| !closed);
        let reservation = self.reservations.next_deadline(self.wanted_reservations()).filter(|_| !closed);
        [
            (self.links.next_deadline().into_iter().chain(join).min(), Timer::Join),
            (self.missing_company().map(|_| self.company_at), Timer::Company),
            (self.dht.next_deadline().into_iter().chain(refresh).min(), Timer::Dht),
            (self.finds.next_deadline(), Timer::Find),
            (self.publisher.next_deadline(self.is_ready() || closed), Timer::Publish),
            (reservation, Timer::Reservation),
            (self.openings.next_deadline(), Timer::Open),
            (self.links.next_silence(self.config.link_silence), Timer::Link),
            (self.dht.store.next_expiry(), Timer::Store),
            (self.orders.values().map(|order| order.deadline).min(), Timer::Deadline),
        ]
        .into_iter()
        .filter_map(|(at, timer)| Some((at?, timer)))
        .min_by_key(|(at, _)| *at)
    }

    // The parts at work.

    fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        address: Multiaddr,
        path: Path,
        dial: Option<DialId>,
        now: Now,
    ) {
        let before = self.links.best(&peer).map(|(_, link)| link.path);
        let link = Link::new(peer, address.clone(), path, dial.is_some(), now);
        self.links.connected(connection, link);
        if let Some(dial) = dial {
            self.links.dialled(dial);
        }
        let mut parts = self.parts(now);
        match before {
            None => parts.cx.emit(Event::PeerConnected { peer, path, address }),
            Some(Path::Relayed) if path == Path::Direct => parts.cx.emit(Event::PeerPath { peer, path }),
            Some(_) => {}
        }
        if let Some(dial) = dial {
            parts.join.connected(&mut parts.cx, dial, peer, connection);
        }
        parts.openings.connected(&mut parts.cx, parts.dht, peer, dial);
        parts.dht.connected(&mut parts.cx, peer, connection);
    }

    fn disconnected(&mut self, peer: PeerId, connection: ConnectionId, now: Now) {
        let before = self.links.best(&peer).map(|(_, link)| link.path);
        let last = self.links.disconnected(connection);
        let mut parts = self.parts(now);
        if !last {
            let after = parts.cx.links.best(&peer).map(|(_, link)| link.path);
            if let (Some(path), true) = (after, before != after) {
                parts.cx.emit(Event::PeerPath { peer, path });
            }
            return;
        }
        parts.cx.emit(Event::PeerDisconnected { peer });
        parts.join.disconnected(&mut parts.cx, peer);
        if self.reservations.disconnected(&peer) {
            self.endpoints_changed(now);
        }
        if self.status.state == State::Ready && !self.has_company() {
            let reason = format!("every relay is lost: {}", self.join.reasons());
            self.set_status(State::Offline, Some(reason));
        }
    }

    /// A link is believed dead: it is closed, and its peer is not waited for.
    fn unheard(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.links.silent(connection) {
            self.dht.suspect(peer);
        }
        self.outputs.push_back(Output::Disconnect { connection });
    }

    fn dial_failed(&mut self, dial: DialId, failure: &DialFailure, now: Now) {
        let Some(known) = self.links.dialled(dial) else { return };
        let mut parts = self.parts(now);
        parts.join.dial_failed(&mut parts.cx, dial, failure);
        parts.openings.dial_failed(&mut parts.cx, parts.dht, dial, known.peer, failure);
        if let Some(peer) = known.peer {
            parts.dht.dial_failed(&mut parts.cx, peer);
        }
    }

    fn identified(&mut self, peer: PeerId, protocols: &[String], addresses: Vec<Multiaddr>, now: Now) {
        let Some(link) = self.links.best(&peer).map(|(_, link)| link.clone()) else { return };
        let server = protocols.contains(&self.config.network.kad_protocol());
        let relay = protocols.iter().any(|protocol| protocol == RELAY_HOP);
        let network = protocols.iter().find_map(|protocol| network_of(protocol)).map(str::to_owned);
        // Addresses of a peer's own local network mean nothing to those who met it elsewhere.
        let elsewhere = !is_private(&link.address);
        let claimed = addresses.into_iter().filter(|address| !(elsewhere && is_private(address)));
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in (link.outbound && link.path == Path::Direct).then_some(link.address).into_iter().chain(claimed) {
            let address = without_peer(address);
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let Some(known) = self.links.peer_mut(&peer) else { return };
        (known.identified, known.server, known.relay, known.network) = (true, server, relay, network);
        known.addresses = addresses.clone();
        let known = known.clone();
        if server {
            self.dht.table.seen(PeerAddresses { peer, addresses }, now.elapsed);
            if !self.is_ready() {
                // A walk that began without this peer may be waiting for a silent one.
                if let Some(walk) = self.refresh.take() {
                    let mut parts = self.parts(now);
                    parts.dht.cancel_lookup(&mut parts.cx, walk);
                }
                self.refresh_at = Some(now.elapsed);
            }
        } else {
            self.dht.table.remove(&peer);
        }
        let mut parts = self.parts(now);
        parts.join.identified(&mut parts.cx, peer, &known);
    }

    /// Lets every part do what is due.
    fn advance(&mut self, now: Now) {
        let by_elapsed = self.clock + now.elapsed.saturating_sub(self.clock.elapsed);
        if now.unix_ms.abs_diff(by_elapsed.unix_ms) > millis(CLOCK_JUMP) {
            self.publisher.clock_was_set(now);
        }
        self.clock = now;
        let mut parts = self.parts(now);
        for dial in parts.cx.links.overdue(now.elapsed) {
            parts.cx.outputs.push_back(Output::CancelDial { dial });
            let limit = parts.cx.config.dial_timeout.as_secs();
            let failure = DialFailure::Failed(format!("no answer within {limit} s"));
            let peer = parts.cx.links.dialled(dial).and_then(|known| known.peer);
            parts.join.dial_failed(&mut parts.cx, dial, &failure);
            parts.openings.dial_failed(&mut parts.cx, parts.dht, dial, peer, &failure);
            if let Some(peer) = peer {
                parts.dht.dial_failed(&mut parts.cx, peer);
            }
        }
        parts.openings.overdue(&mut parts.cx, parts.dht);
        if self.status.state != State::Closed {
            let mut parts = self.parts(now);
            parts.join.advance(&mut parts.cx);
            if parts.cx.config.role == Role::Client {
                parts.reservations.advance(&mut parts.cx);
            }
            self.refresh(now);
            self.keep_company(now);
        }
        let ready = self.is_ready() || self.status.state == State::Closed;
        let mut parts = self.parts(now);
        parts.publisher.advance(&mut parts.cx, parts.dht, ready);
        parts.dht.advance(&mut parts.cx);
        self.hand_round_news(now);
        self.end_overdue_orders(now);
    }

    fn hand_round_news(&mut self, now: Now) {
        while let Some(news) = self.dht.poll_news() {
            let state = self.status.state;
            let refreshed = matches!(news, News::LookedUp(lookup, _) if self.refresh == Some(lookup));
            let mut parts = self.parts(now);
            match news {
                News::Bundle(lookup, bundle) => parts.finds.found(&parts.cx, lookup, &bundle),
                News::Addresses(lookup, record) => {
                    parts.openings.addresses(&mut parts.cx, parts.dht, lookup, &record.record().addresses);
                }
                News::Answer(peer) => {
                    if matches!(state, State::Joining | State::Offline) {
                        parts.join.tell(&mut parts.cx, peer, JoinStage::DhtAnswered);
                        self.set_status(State::Ready, None);
                        self.joined(now);
                    }
                }
                News::LookedUp(lookup, answers) => {
                    if refreshed {
                        self.refresh = None;
                        let pause = self.config.refresh.mul_f64(0.75 + 0.5 * self.rng.f64());
                        // A walk that nobody answered is repeated soon: the links may be young.
                        let pause = if answers > 0 { pause } else { Duration::from_secs(1) };
                        self.refresh_at = Some(now.elapsed + pause);
                        continue;
                    }
                    parts.openings.looked_up(&mut parts.cx, parts.dht, lookup);
                    if let Some(finished) = parts.finds.looked_up(&mut parts.cx, lookup, answers > 0) {
                        self.finish_find(finished, now);
                    }
                }
                News::Placed(placement, placed) => parts.publisher.placed(&mut parts.cx, placement, placed),
                News::Misbehaved(peer, reason) => {
                    parts.cx.emit(Event::Warning { code: "MISBEHAVED", message: format!("{peer}: {reason}") });
                }
            }
        }
        let mut parts = self.parts(now);
        for finished in parts.finds.overdue(&mut parts.cx) {
            self.finish_find(finished, now);
        }
    }

    fn joined(&mut self, now: Now) {
        let mut parts = self.parts(now);
        parts.finds.ask(&mut parts.cx, parts.dht);
        parts.publisher.advance(&mut parts.cx, parts.dht, true);
        let waiting: Vec<_> =
            self.orders.iter().filter(|(_, order)| order.kind == OrderKind::Join).map(|(op, _)| *op).collect();
        for op in waiting {
            self.done(op, Ok(Outcome::Joined));
        }
    }

    fn start_find(&mut self, asker: Asker, target: ServiceTarget, options: FindOptions, now: Now) {
        if self.finds.len() >= self.config.max_orders {
            let most = self.config.max_orders;
            let (Asker::Find(op) | Asker::Open(op)) = asker;
            self.give_up(op, now);
            return self.done(op, Err(Error::Quota(format!("{most} finds are running already"))));
        }
        let ready = self.is_ready();
        let mut parts = self.parts(now);
        let meant = target.provider.is_none_or(|provider| provider == parts.cx.local);
        let own = if meant { parts.publisher.own(&parts.cx, &target.name) } else { None };
        parts.finds.start(&mut parts.cx, parts.dht, asker, find::Order { target, options, own, ready });
    }

    fn finish_find(&mut self, finished: Finished, now: Now) {
        let Finished { asker, found, asked } = finished;
        let nobody = !asked && found.records.is_empty();
        match asker {
            Asker::Find(op) => {
                self.stats.finds += 1;
                self.stats.find_time += found.elapsed;
                let outcome = if nobody { Err(self.no_relay()) } else { Ok(Outcome::Found(found)) };
                self.done(op, outcome);
            }
            Asker::Open(op) if nobody => {
                self.give_up(op, now);
                let error = self.no_relay();
                self.done(op, Err(error));
            }
            Asker::Open(op) => {
                let mut parts = self.parts(now);
                parts.openings.found(&mut parts.cx, parts.dht, op, found);
            }
        }
    }

    /// Looks up the neighbourhood of the own position when that is due.
    fn refresh(&mut self, now: Now) {
        if self.refresh.is_none() && self.refresh_at.is_some_and(|at| at <= now.elapsed) {
            self.refresh_at = None;
            let mut parts = self.parts(now);
            let key = parts.cx.local.to_bytes();
            let lookup = parts.dht.look_up(&mut parts.cx, key, Want::Closest);
            self.refresh = Some(lookup);
        }
    }

    /// Stays connected to a few relays more than it needs.
    fn keep_company(&mut self, now: Now) {
        let Some(missing) = self.missing_company().filter(|_| self.company_at <= now.elapsed) else { return };
        self.company_at = now.elapsed + COMPANY_PAUSE;
        let mut parts = self.parts(now);
        let position = crate::dht::key::Position::of_peer(&parts.cx.local);
        let known = parts.dht.table.closest(&position, RELAY_MESH * 2);
        let strangers =
            known.iter().filter(|known| !parts.cx.links.is_connected(&known.peer)).cloned().collect::<Vec<_>>();
        for known in strangers.into_iter().take(missing) {
            parts.cx.connect(known.peer, &known.addresses);
        }
    }

    /// How many relays more this node would be connected to, if it knows any.
    fn missing_company(&self) -> Option<usize> {
        let wanted = if self.config.role == Role::Relay { RELAY_MESH } else { self.config.relay_links };
        let connected = self.links.peers().filter(|(_, peer)| peer.server).count();
        let wanted = wanted.min(self.dht.table.len());
        (self.is_ready() && connected < wanted).then(|| wanted - connected)
    }

    fn endpoints_changed(&mut self, now: Now) {
        let endpoints = self.endpoints();
        let mut parts = self.parts(now);
        parts.publisher.set_endpoints(&mut parts.cx, endpoints);
    }

    fn end_overdue_orders(&mut self, now: Now) {
        if self.publisher.is_idle() {
            let closing = self.orders.iter().find(|(_, order)| order.kind == OrderKind::Close).map(|(op, _)| *op);
            if let Some(op) = closing {
                self.done(op, Ok(Outcome::Closed));
            }
        }
        let joining = self.orders.iter().filter(|(_, order)| order.kind == OrderKind::Join);
        let overdue: Vec<_> = if self.is_ready() {
            joining.map(|(op, _)| *op).collect()
        } else {
            let hopeless = self.join.hopeless();
            self.orders
                .iter()
                .filter(|(_, order)| order.deadline <= now.elapsed || (hopeless && order.kind == OrderKind::Join))
                .map(|(op, _)| *op)
                .collect()
        };
        let late = self.orders.iter().filter(|(_, order)| order.deadline <= now.elapsed).map(|(op, _)| *op);
        let overdue: Set<_> = overdue.into_iter().chain(late).collect();
        for op in overdue {
            let Some(order) = self.orders.get(&op) else { continue };
            let (kind, what, limit) = (order.kind, order.what, order.limit);
            let hint = self.give_up(op, now);
            let outcome = match kind {
                OrderKind::Join if self.is_ready() => Ok(Outcome::Joined),
                OrderKind::Join => Err(self.no_relay()),
                OrderKind::Close => Ok(Outcome::Closed),
                OrderKind::Open if !hint.is_empty() => Err(Error::Unreachable(hint)),
                OrderKind::Publish | OrderKind::Open => Err(Error::Timeout { what, limit, hint: self.doubt() }),
            };
            self.done(op, outcome);
        }
    }

    /// Takes an order out of every part; what is known of its trouble.
    fn give_up(&mut self, op: OpId, now: Now) -> String {
        let mut parts = self.parts(now);
        parts.finds.cancel(&mut parts.cx, parts.dht, Asker::Find(op));
        parts.finds.cancel(&mut parts.cx, parts.dht, Asker::Open(op));
        parts.publisher.cancel(&mut parts.cx, parts.dht, op);
        parts.openings.cancel(&mut parts.cx, parts.dht, op).unwrap_or_default()
    }

    fn order(&mut self, op: OpId, kind: OrderKind, what: &'static str, limit: Duration, now: Now) {
        let deadline = now.elapsed.saturating_add(limit);
        self.orders.insert(op, Order { kind, what, limit, deadline });
    }

    fn done(&mut self, op: OpId, outcome: Result<Outcome, Error>) {
        self.orders.remove(&op);
        self.outputs.push_back(Output::Done { op, outcome });
    }

    fn set_status(&mut self, state: State, reason: Option<String>) {
        let status = Status { state, reason };
        if status != self.status {
            self.status = status.clone();
            self.outputs.push_back(Output::Event(Event::Status(status)));
        }
    }

    fn is_ready(&self) -> bool {
        self.status.state == State::Ready
    }

    /// Whether anybody is connected who can be asked, or nobody needs to be.
    fn has_company(&self) -> bool {
        let alone = self.config.role == Role::Relay && self.config.relays.is_empty();
        alone || self.links.peers().any(|(_, peer)| peer.server)
    }

    fn wanted_reservations(&self) -> usize {
        if self.config.role == Role::Client { self.config.reservations } else { 0 }
    }

    fn no_relay(&self) -> Error {
        let reasons = self.join.reasons();
        match self.join.common_code() {
            Some("WRONG_NETWORK") => Error::WrongNetwork(reasons),
            Some("UNSUPPORTED") => Error::Unsupported(reasons),
            _ => Error::NoRelay(reasons),
        }
    }

    /// What may be the reason that an offer is not stored in time.
    fn doubt(&self) -> String {
        if !self.is_ready() {
            self.join.reasons()
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
                rng: &mut self.rng,
                outputs: &mut self.outputs,
                orders: &mut self.orders,
            },
            join: &mut self.join,
            reservations: &mut self.reservations,
            dht: &mut self.dht,
            publisher: &mut self.publisher,
            finds: &mut self.finds,
            openings: &mut self.openings,
        }
    }
}

/// The parts, and what they share while they handle one fact.
struct Parts<'a> {
    cx: Context<'a>,
    join: &'a mut Join,
    reservations: &'a mut Reservations,
    dht: &'a mut Dht,
    publisher: &'a mut Publisher,
    finds: &'a mut Finds,
    openings: &'a mut Openings,
}

/// The network whose DHT a protocol id belongs to.
fn network_of(protocol: &str) -> Option<&str> {
    protocol.strip_prefix("/openred/")?.strip_suffix("/kad/1.0.0")
}

fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(multiaddr::Protocol::P2p(_))) {
        address.pop();
    }
    address
}
