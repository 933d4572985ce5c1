//! Facts from the world, each handed to the parts that it concerns.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::{MAX_ADDRESSES, Machine};
use crate::{
    address::{is_link_local, is_private, is_signalled, without_peer},
    boundary::{ConnectionId, DialFailure, DialId, Input, Output},
    cache::peers::Roles,
    dht::patience::AWAKE,
    event::{Event, JoinStage, Path, State},
    ladder::SIGNALLING,
    links::{Link, Told},
    time::Now,
    wire::kad::PeerAddresses,
};

/// libp2p's circuit relay v2 protocol, spoken by relays towards those who want a circuit.
const RELAY_HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// A timer that fires later than this was held back: a page in the background, a machine that slept.
const LATE: Duration = Duration::from_secs(2);

impl Machine {
    /// Takes one fact from the world.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        self.dht.at(now.elapsed);
        self.check_links(now);
        match input {
            Input::Connected { peer, connection, address, relayed, dial } => {
                let path = if relayed { Path::Relayed } else { Path::Direct };
                self.connected(peer, connection, address, path, dial, now);
            }
            Input::Disconnected { peer, connection } => self.disconnected(peer, connection, now),
            Input::DialFailed { dial, failure } => self.dial_failed(dial, &failure, now),
            Input::Identified { peer, protocols, addresses } => self.identified(peer, &protocols, addresses, now),
            Input::Ponged { peer, connection, rtt } => {
                let before = self.links.path_to(&peer);
                if self.links.ponged(connection, rtt, now, self.config.link_silence) {
                    self.proven(connection, rtt, before, now);
                }
                let smoothed = self.links.peer(&peer).and_then(|known| known.rtt);
                self.cache.peers.heard(&peer, smoothed, now);
                self.dht.heard(&peer);
                // Requests that timed out may have cost a live server its place in the table.
                if let Some(known) = self.links.peer(&peer).filter(|known| known.server) {
                    let addresses = known.addresses.clone();
                    self.dht.table.seen(PeerAddresses { peer, addresses }, now.elapsed);
                }
            }
            Input::PingRefused { peer, connection, rtt } => {
                let before = self.links.path_to(&peer);
                if self.links.ping_refused(connection, rtt) {
                    self.proven(connection, rtt, before, now);
                }
            }
            // The regular ping was reset for one out of turn, whose answer says more.
            Input::PingFailed { connection, .. } if self.links.is_asked(connection, now.elapsed) => {}
            Input::PingFailed { connection, .. } => self.unheard(connection),
            Input::Carries { connection, streams } => {
                let peer = self.links.carries(connection, streams).filter(|_| streams == 0);
                let parts = self.parts(now);
                if let Some(peer) = peer {
                    parts.topology.idle(&parts.cx, &peer);
                }
                parts.ladder.carries(&parts.cx, connection, streams);
            }
            Input::OfferFailed { peer, why, reason } => {
                let mut parts = self.parts(now);
                parts.ladder.offer_failed(&mut parts.cx, peer, why, reason);
            }
            Input::PeerConnections { made } => {
                self.links.connections_made = made;
                let parts = self.parts(now);
                parts.ladder.look_soon(&parts.cx);
            }
            Input::NetworkGone => self.network_gone(),
            Input::Reserved { relay } => {
                let mut parts = self.parts(now);
                parts.ladder.reserved(&mut parts.cx, relay);
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
                self.links.used(&peer, now.elapsed);
                self.links.alive(&peer, now.elapsed, self.config.link_silence);
                let mut parts = self.parts(now);
                let response = parts.dht.asked(&mut parts.cx, peer, &message);
                self.outputs.push_back(Output::Respond { inbound, response });
            }
            Input::Fetched { fetch, body } => {
                let mut parts = self.parts(now);
                if let Some(list) = parts.lists.fetched(&mut parts.cx, fetch, &body) {
                    parts.join.list(&mut parts.cx, &list);
                }
                parts.ladder.fetched(&mut parts.cx, fetch, &body);
                parts.finds.fetched(&mut parts.cx, fetch, &body);
            }
            Input::FetchFailed { fetch, reason } => {
                let mut parts = self.parts(now);
                parts.lists.fetch_failed(&mut parts.cx, fetch, &reason);
                parts.ladder.fetch_failed(&parts.cx, fetch);
                parts.finds.fetch_failed(&mut parts.cx, fetch, reason);
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
        self.dht.at(now.elapsed);
        self.check_links(now);
        if self.dht.next_expiry().is_some_and(|at| at <= now.elapsed) {
            self.dht.store.expire(now);
        }
        self.advance(now);
    }

    /// Gives up links that were not heard for too long.
    fn check_links(&mut self, now: Now) {
        if self.links.next_silence().is_none_or(|at| at > now.elapsed) {
            return;
        }
        let late = self.poll_timeout().is_some_and(|(due, _)| now.elapsed > due + LATE);
        if late {
            // The process slept, or its timers were held back: nobody had a chance to be heard meanwhile.
            self.links.forgive(now.elapsed, self.config.link_silence);
            let parts = self.parts(now);
            parts.dht.forgive(&parts.cx);
        }
        for connection in self.links.unheard(now.elapsed) {
            self.unheard(connection);
        }
    }

    pub(super) fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        address: Multiaddr,
        path: Path,
        dial: Option<DialId>,
        now: Now,
    ) {
        let before = self.links.path_to(&peer);
        let link = Link::new(peer, address.clone(), path, dial.is_some(), now);
        self.links.connected(connection, link.clone());
        let beside = dial.and_then(|dial| self.links.dialled(dial)).is_some_and(|dial| dial.beside);
        if beside && before.is_some() && !is_signalled(&link.address) {
            self.stands_in(peer, connection, now);
        }
        match before {
            None => self.outputs.push_back(Output::Event(Event::PeerConnected { peer, path, address })),
            Some(_) => self.path_may_differ(peer, before),
        }
        if is_signalled(&link.address) {
            // The shell's first ping waits for a timer, which comes late in hidden pages, and says nothing of who answers none.
            self.links.asked(connection, now.elapsed + AWAKE);
            self.outputs.push_back(Output::Ping { peer, connection });
        }
        if dial.is_none() && self.config.role.is_relay() {
            for earlier in self.links.doubt_earlier(&peer, connection, now.elapsed) {
                self.outputs.push_back(Output::Ping { peer, connection: earlier });
            }
        }
        let mut parts = self.parts(now);
        parts.ladder.connected(&mut parts.cx, &link);
        if before.is_some() {
            parts.topology.connected_again(&parts.cx);
        }
        if let Some(dial) = dial {
            parts.join.connected(&mut parts.cx, dial, peer, connection);
        }
        parts.openings.connected(&mut parts.cx, parts.dht, peer, dial);
        if parts.cx.config.role.is_relay() {
            parts.reaches.connected(&mut parts.cx, &peer);
        }
        parts.dht.connected(&mut parts.cx, peer, connection);
    }

    /// A link was made because another was not heard after a wake. That one is dead if it was not heard until this one stands,
    /// which takes several round trips; else this one is not needed.
    fn stands_in(&mut self, peer: PeerId, connection: ConnectionId, now: Now) {
        let dead = self.links.doubted(&peer, now.elapsed);
        if dead.is_empty() {
            self.links.release(connection);
            self.outputs.push_back(Output::Disconnect { connection });
        }
        for connection in dead {
            self.unheard(connection);
        }
    }

    /// The first answer has come back on a link, after `rtt`; `before` is how its peer was reached until then.
    fn proven(&mut self, connection: ConnectionId, rtt: Duration, before: Option<Path>, now: Now) {
        let Some(link) = self.links.get(connection).cloned() else { return };
        let parts = self.parts(now);
        parts.ladder.proven(&parts.cx, &link, rtt);
        self.path_may_differ(link.peer, before);
    }

    pub(super) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId, now: Now) {
        let before = self.links.path_to(&peer);
        let Some((link, last)) = self.links.disconnected(connection) else { return };
        self.path_may_differ(peer, before);
        let mut parts = self.parts(now);
        parts.ladder.disconnected(&mut parts.cx, &link);
        let Some(last) = last else {
            // Its place was held over the oldest link.
            let oldest = self.links.links_to(&peer).iter().all(|(_, other)| other.since.elapsed >= link.since.elapsed);
            if link.is_silent() && oldest && self.reservations.disconnected(&peer) {
                self.endpoints_changed(now);
            }
            return;
        };
        parts.cx.emit(Event::PeerDisconnected { peer, silent: link.is_silent() });
        if last.server && !link.released {
            let left = parts.cx.links.servers();
            parts.publisher.link_lost(&mut parts.cx, left);
        }
        parts.join.disconnected(&mut parts.cx, peer);
        if last.server {
            parts.topology.disconnected(&mut parts.cx, peer, &link, last.addresses);
        }
        if self.reservations.disconnected(&peer) {
            self.endpoints_changed(now);
        }
        if self.status.state == State::Ready && !self.has_company() {
            let reason = format!("every relay is lost: {}", self.reasons());
            self.set_status(State::Offline, Some(reason));
        }
    }

    /// Tells the application if a connected peer is not reached as it was `before`.
    fn path_may_differ(&mut self, peer: PeerId, before: Option<Path>) {
        if let Some(path) = self.links.path_to(&peer).filter(|path| before != Some(*path)) {
            self.outputs.push_back(Output::Event(Event::PeerPath { peer, path }));
        }
    }

    /// The platform has no network. Links are left alone: they may outlive it, and end by their silence if they do not.
    fn network_gone(&mut self) {
        self.offline = true;
        if self.is_ready() {
            self.set_status(State::Offline, Some("this device has no network".to_owned()));
        }
    }

    /// A link is believed dead: it is closed, and its peer is not waited for.
    pub(super) fn unheard(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.links.get(connection).map(|link| link.peer) {
            let before = self.links.path_to(&peer);
            self.links.silent(connection);
            self.path_may_differ(peer, before);
            self.dht.suspect(peer);
        }
        self.outputs.push_back(Output::Disconnect { connection });
    }

    pub(super) fn dial_failed(&mut self, dial: DialId, failure: &DialFailure, now: Now) {
        let Some(known) = self.links.dialled(dial) else { return };
        let mut parts = self.parts(now);
        if known.beside {
            return parts.ladder.dial_failed(&mut parts.cx, dial, failure);
        }
        parts.join.dial_failed(&mut parts.cx, dial, failure);
        parts.openings.dial_failed(&mut parts.cx, parts.dht, dial, known.peer, failure);
        if let Some(peer) = known.peer {
            parts.cx.unreachable(&peer);
            parts.dht.dial_failed(&mut parts.cx, peer);
            if parts.cx.config.role.is_relay() {
                parts.reaches.dial_failed(&mut parts.cx, &peer, failure);
            }
        }
    }

    pub(super) fn identified(&mut self, peer: PeerId, protocols: &[String], addresses: Vec<Multiaddr>, now: Now) {
        let Some(link) = self.links.best(&peer).map(|(_, link)| link.clone()) else { return };
        // Who is taken for a server is dialled later. Behind a circuit anybody can claim to be one, and a node that has chosen
        // relayed paths only would show its address.
        let mut links = self.links.links_to(&peer).into_iter();
        let met = !self.config.relayed_only || links.any(|(_, link)| link.path == Path::Direct);
        let server = met && protocols.contains(&self.config.network.kad_protocol());
        let relay = protocols.iter().any(|protocol| protocol == RELAY_HOP);
        let network = protocols.iter().find_map(|protocol| network_of(protocol)).map(str::to_owned);
        // Addresses of a peer's own local network mean nothing to those who met it elsewhere.
        let elsewhere = !is_private(&link.address);
        let claimed = addresses.into_iter().filter(|address| !(elsewhere && is_private(address)));
        let mut addresses: Vec<Multiaddr> = Vec::new();
        let proven = link.outbound && link.path == Path::Direct && !is_signalled(&link.address);
        // Signalling is offered on relayed links only, and nobody says over which link this was said.
        let known = self.links.peer(&peer).is_some_and(|known| known.signals);
        let beside = known && self.links.links_to(&peer).iter().any(|(_, link)| is_signalled(&link.address));
        let signals = beside || protocols.iter().any(|protocol| protocol == SIGNALLING);
        for address in proven.then_some(link.address).into_iter().chain(claimed) {
            let address = without_peer(address);
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let told = Told { server, relay, signals, network, addresses: addresses.clone() };
        let Some(known) = self.links.identified(&peer, told) else { return };
        self.cache.peers.met(peer, &addresses, proven, Roles { server, relay }, known.rtt, now);
        let parts = self.parts(now);
        parts.ladder.identified(&parts.cx, &peer, &addresses);
        if server {
            self.dht.table.seen(PeerAddresses { peer, addresses }, now.elapsed);
        } else {
            self.dht.table.remove(&peer);
        }
        let ready = self.is_ready();
        let mut parts = self.parts(now);
        if parts.topology.identified(&mut parts.cx, parts.dht, peer, server, ready) {
            // Whoever comes back may bring a part of the network that has not heard of this node's offers.
            parts.publisher.alarm(&mut parts.cx);
        }
        parts.join.identified(&mut parts.cx, peer, &known);
    }
}

/// The network whose DHT a protocol id belongs to.
fn network_of(protocol: &str) -> Option<&str> {
    protocol.strip_prefix("/openred/")?.strip_suffix("/kad/1.0.0")
}
