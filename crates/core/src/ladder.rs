//! The path ladder: peers that are reached through a relay get a direct path, if they can and it pays.
//!
//! Two pages meet through a relay, always, since that works everywhere and at once. As soon as the relayed link is *in use*
//! (a stream is being opened on it or runs on it) one side tries a direct path beside it: it dials
//! `<relay>/p2p-circuit/webrtc/p2p/<peer>` through the same relay, over which the two sides exchange what ICE needs. The side
//! that dialled the relayed link tries; of two that dialled each other, the one with the smaller peer id; the other side only
//! if nothing has come of it for long.
//!
//! **Make before break.** The direct link takes new streams when a ping has come back on it, and running streams stay where
//! they are. The relayed link is given back by the topology once it is idle. When the direct link is lost, new streams take a
//! relayed one at once; if there is none left, the circuits that led to the peer are dialled again. What an attempt failed of
//! costs nothing but a reason, which [`Machine::explain`](crate::Machine::explain) tells; the next one waits for a backoff,
//! which ends, not too often, when the node wakes up or its network is another.
//!
//! **Budget.** A browser gives a page few WebRTC connections in its life; [`PeerConnections`](crate::PeerConnections) says
//! what they are spent on. `climb` decides for one peer, `stun` finds the relays' STUN servers.
//!
//! Bounds: [`MAX_CLIMBS`] peers, [`MAX_ATTEMPTS`] attempts at once. The ladder never closes a link but a direct one that was
//! not proven, never touches a stream, and says nothing about relays: they are dialled directly anyway.

mod budget;
mod climb;
mod reason;
mod stun;

use std::{cmp::Reverse, time::Duration};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use self::{
    budget::{Room, room},
    climb::{Climb, Next, Seen, failure_of},
    reason::Failure,
    stun::Stun,
};
pub use self::{reason::NotDirect, stun::MAX_STUN_SERVERS};
use crate::{
    address::{is_relayed, is_signalled, signalled_over},
    boundary::{ConnectionId, DialFailure, DialId, DirectFailure, FetchId, Output},
    config::Config,
    context::{Context, relay_of},
    event::Path,
    links::{Link, Links},
    map::{Map, Set},
};

/// The protocol by which two pages agree on a direct path.
pub(crate) const SIGNALLING: &str = "/webrtc-signaling/0.0.1";

/// Peers that are known here: more than a page talks to. Of too many, the one goes that was not used for longest.
const MAX_CLIMBS: usize = 64;

/// Attempts at once. Each gathers addresses and checks them for seconds; browsers get slow with more, and the shell leaves
/// room for as many that others ask for. A guess.
const MAX_ATTEMPTS: usize = 4;

/// Pause when too many dials of all kinds are under way.
const BUSY: Duration = Duration::from_secs(1);

/// How long a peer without a link is remembered, for its reasons and its circuits.
const FORGET: Duration = Duration::from_secs(600);

/// How lately a lost peer must have been used for its circuits to be dialled again at once.
const MISSED: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    climbs: Map<PeerId, Climb>,
    stun: Stun,
    /// When the peers are looked at next.
    look_at: Option<Duration>,
}

impl Ladder {
    /// Does what is due.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        if !cx.config.goes_direct() {
            return;
        }
        self.stun.advance(cx);
        while let Some(peer) = cx.links.next_wanted() {
            self.used(cx, peer);
        }
        if self.look_at.is_some_and(|at| at <= cx.now.elapsed) {
            self.look(cx);
        }
    }

    /// When [`Ladder::advance`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.look_at.into_iter().chain(self.stun.next_deadline()).min()
    }

    // Facts.

    /// A link stands.
    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, link: &Link) {
        if is_signalled(&link.address) {
            self.climb(cx, link.peer).connected(cx.now.elapsed);
            self.look_soon(cx);
        } else if let (true, Some(climb)) = (link.path == Path::Relayed, self.climbs.get_mut(&link.peer)) {
            if link.outbound {
                climb.remember(&link.address);
            }
            self.look_soon(cx);
        }
    }

    /// The first ping has come back on a link, or the word that none will.
    pub(crate) fn proven(&mut self, cx: &Context<'_>, link: &Link, rtt: Duration) {
        if let (true, Some(climb)) = (is_signalled(&link.address), self.climbs.get_mut(&link.peer)) {
            climb.proven(rtt);
            self.look_soon(cx);
        }
    }

    /// A link has ended. If it was the last one to its peer and direct, the circuits that led there are dialled again by the
    /// side that had tried.
    pub(crate) fn disconnected(&mut self, cx: &mut Context<'_>, link: &Link) {
        let linked = cx.links.is_connected(&link.peer);
        if !linked {
            self.stun.disconnected(cx, &link.peer);
        }
        let elapsed = cx.now.elapsed;
        let Some(climb) = self.climbs.get_mut(&link.peer) else { return };
        if link.path == Path::Relayed {
            if link.streams.is_some_and(|streams| streams > 0) {
                climb.used(false, elapsed);
            }
            return self.look_soon(cx);
        }
        if !is_signalled(&link.address) {
            return;
        }
        if link.released {
            return self.look_soon(cx);
        }
        climb.lost(elapsed.saturating_sub(link.since.elapsed), elapsed, cx.rng);
        let missed = link.streams.is_some_and(|streams| streams > 0) || climb.last_used() + MISSED > elapsed;
        if !linked && link.outbound && missed {
            let mut relays = Set::new();
            for circuit in climb.circuits() {
                // A relay that is connected needs no more than one of its addresses.
                if relay_of(circuit).is_some_and(|relay| cx.links.is_connected(&relay) && relays.insert(relay)) {
                    cx.dial(link.peer, std::slice::from_ref(circuit));
                }
            }
        }
        self.look_soon(cx);
    }

    /// A peer has said what it speaks and where it is reached.
    pub(crate) fn identified(&mut self, cx: &Context<'_>, peer: &PeerId, addresses: &[Multiaddr]) {
        if let Some(climb) = self.climbs.get_mut(peer) {
            addresses.iter().filter(|address| is_relayed(address)).for_each(|circuit| climb.remember(circuit));
            self.look_soon(cx);
        }
    }

    /// What runs on a link to a peer changed.
    pub(crate) fn carries(&mut self, cx: &Context<'_>, connection: ConnectionId, streams: usize) {
        let Some(link) = cx.links.get(connection) else { return };
        let (peer, path) = (link.peer, link.path);
        if cx.config.goes_direct() && (self.climbs.contains_key(&peer) || (path == Path::Relayed && streams > 0)) {
            self.used(cx, peer);
        }
    }

    /// A dial came to nothing; only those of direct paths are known here.
    pub(crate) fn dial_failed(&mut self, cx: &mut Context<'_>, dial: DialId, failure: &DialFailure) {
        let elapsed = cx.now.elapsed;
        let climb = self.climbs.values_mut().find(|climb| climb.tries(dial));
        let Some(climb) = climb else { return };
        climb.failed(failure_of(failure), elapsed, cx.rng);
        self.look_soon(cx);
    }

    /// What a peer asked for did not come about.
    pub(crate) fn offer_failed(&mut self, cx: &mut Context<'_>, peer: PeerId, why: DirectFailure, reason: String) {
        if cx.links.is_connected(&peer) && cx.config.goes_direct() {
            let climb = self.climb(cx, peer);
            climb.their_attempt_failed(Failure::new(why.code(), reason), cx.now.elapsed, cx.rng);
            self.look_soon(cx);
        }
    }

    /// A relay holds a place for this node: from here on others can ask for direct paths.
    pub(crate) fn reserved(&mut self, cx: &mut Context<'_>, relay: PeerId) {
        if cx.config.goes_direct() {
            self.stun.ask(cx, relay);
        }
    }

    /// A relay has answered; nothing happens if the request is not one of the ladder's.
    pub(crate) fn fetched(&mut self, cx: &mut Context<'_>, fetch: FetchId, body: &[u8]) {
        self.stun.fetched(cx, fetch, body);
    }

    /// A relay could not be asked.
    pub(crate) fn fetch_failed(&mut self, cx: &Context<'_>, fetch: FetchId) {
        self.stun.fetch_failed(cx, fetch);
    }

    /// The node woke up.
    pub(crate) fn wake(&mut self, cx: &Context<'_>) {
        self.climbs.values_mut().for_each(|climb| climb.wake(cx.now.elapsed));
        self.look_soon(cx);
    }

    /// The node has a network again, which may be another one.
    pub(crate) fn network_changed(&mut self, cx: &Context<'_>) {
        self.climbs.values_mut().for_each(|climb| climb.network_changed(cx.now.elapsed));
        self.look_soon(cx);
    }

    // What is known.

    /// The circuits that lead to a peer, as far as they are remembered.
    pub(crate) fn circuits(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.climbs.get(peer).map_or_else(Vec::new, |climb| climb.circuits().to_vec())
    }

    /// Why no direct path leads to a peer that is reached through a relay.
    pub(crate) fn explain(
        &self,
        config: &Config,
        links: &Links,
        local: &PeerId,
        peer: &PeerId,
        elapsed: Duration,
    ) -> NotDirect {
        if config.relayed_only {
            return NotDirect::new("RELAYED_ONLY", "this node has chosen relayed paths only");
        }
        if !config.goes_direct() {
            return NotDirect::new("WEBRTC_OFF", "this platform has no WebRTC, or it is switched off");
        }
        let seen = Seen::of(links, peer, local);
        let fresh = Climb::new(config.direct_backoff, Duration::ZERO);
        let climb = self.climbs.get(peer).unwrap_or(&fresh);
        match climb.next(&seen, self.room(config, links), elapsed) {
            Next::Wait(why, _) => why.told(climb.failure()),
            Next::Up | Next::GiveBack(_) | Next::Try(_) => reason::Why::Trying.told(None),
        }
    }

    /// A stream to a peer is being opened through a relay, or what runs on its links changed.
    fn used(&mut self, cx: &Context<'_>, peer: PeerId) {
        let links = cx.links.links_to(&peer);
        let told = cx.links.peer(&peer).into_iter().flat_map(|about| &about.addresses);
        let dialled = links.iter().filter(|(_, link)| link.outbound).map(|(_, link)| &link.address);
        let climb = self.climb(cx, peer);
        climb.used(links.iter().any(|(_, link)| link.streams.is_some_and(|streams| streams > 0)), cx.now.elapsed);
        told.chain(dialled).filter(|address| is_relayed(address)).for_each(|circuit| climb.remember(circuit));
        self.look_soon(cx);
    }

    /// The entry of a peer, which may take the place of another.
    fn climb(&mut self, cx: &Context<'_>, peer: PeerId) -> &mut Climb {
        let elapsed = cx.now.elapsed;
        if !self.climbs.contains_key(&peer) && self.climbs.len() >= MAX_CLIMBS {
            let linked = |peer: &PeerId| cx.links.is_connected(peer);
            let idle = self.climbs.iter().filter(|(_, climb)| !climb.is_trying());
            let least = idle.min_by_key(|(peer, climb)| (linked(peer), climb.last_used())).map(|(peer, _)| *peer);
            least.map(|least| self.climbs.remove(&least));
        }
        self.climbs.get_or_insert_with(peer, || Climb::new(cx.config.direct_backoff, elapsed))
    }

    /// The peers are looked at before anything else happens.
    pub(crate) fn look_soon(&mut self, cx: &Context<'_>) {
        self.look_at = cx.config.goes_direct().then_some(cx.now.elapsed);
    }

    fn trying(&self) -> usize {
        self.climbs.values().filter(|climb| climb.is_trying()).count()
    }

    fn room(&self, config: &Config, links: &Links) -> Room {
        room(&config.peer_connections, links.connections_made, self.trying())
    }

    /// Looks at every peer, and tries those that are worth most.
    fn look(&mut self, cx: &mut Context<'_>) {
        let elapsed = cx.now.elapsed;
        self.look_at = None;
        self.climbs.retain(|peer, climb| cx.links.is_connected(peer) || climb.last_used() + FORGET > elapsed);
        let mut wishes = Vec::new();
        for (peer, climb) in self.climbs.iter_mut() {
            let seen = Seen::of(cx.links, peer, &cx.local);
            match climb.next(&seen, room(&cx.config.peer_connections, cx.links.connections_made, 0), elapsed) {
                Next::Up => {}
                Next::Wait(_, until) => self.look_at = self.look_at.into_iter().chain(until).min(),
                Next::GiveBack(connection) => {
                    cx.links.release(connection);
                    cx.outputs.push_back(Output::Disconnect { connection });
                    climb.failed(
                        Failure::new("TIMEOUT", "no ping came back on the direct connection"),
                        elapsed,
                        cx.rng,
                    );
                }
                Next::Try(value) => wishes.push((Reverse(value), *peer, seen)),
            }
        }
        crate::map::sort_by_key(&mut wishes, |(value, peer, _)| (*value, *peer));
        for (_, peer, seen) in wishes {
            self.attempt(cx, peer, &seen);
        }
    }

    fn attempt(&mut self, cx: &mut Context<'_>, peer: PeerId, seen: &Seen) {
        // Others that are under way may have taken what was left.
        let (trying, room) = (self.trying(), self.room(cx.config, cx.links));
        let Some((climb, circuit)) = self.climbs.get_mut(&peer).zip(seen.circuit.as_ref()) else { return };
        if trying >= MAX_ATTEMPTS || !matches!(climb.next(seen, room, cx.now.elapsed), Next::Try(_)) {
            return;
        }
        match cx.dial_direct(peer, signalled_over(circuit)) {
            Some(dial) => {
                climb.begin(dial, seen.rtt);
                self.stun.needed(cx);
            }
            // Too many dials are under way.
            None => self.look_at = self.look_at.into_iter().chain([cx.after(BUSY)]).min(),
        }
    }
}
