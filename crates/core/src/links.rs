//! The connections of this node, the dials under way, and what is known of the peers at the other end.
//!
//! A *link* is one hop between two nodes. Several links may lead to the same peer, direct and relayed; [`Links::best`]
//! says which one a new request takes: one whose last ping came back before one that is silent, direct before relayed, then
//! the youngest. A direct path that was agreed on through a relay counts behind that until the first ping came back on it.
//! Peers without a link are forgotten here; the routing table and the records remember addresses.
//!
//! Bounds: the shell refuses connections beyond its limit, so maps here are as large as that limit at most; dials are
//! bounded by [`MAX_DIALS`].

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::{
    address::is_signalled,
    boundary::{ConnectionId, DialId, FetchId},
    dht::patience::{self, AWAKE, Estimate},
    event::Path,
    map::{Map, Set},
    time::{Now, millis},
};

/// Dials under way at once. A lookup dials ten peers at a time and a few may run; a guess.
const MAX_DIALS: usize = 64;

/// One link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The remote.
    pub(crate) peer: PeerId,
    /// Its address as seen from here.
    pub(crate) address: Multiaddr,
    /// Direct or relayed.
    pub(crate) path: Path,
    /// Whether this node dialled, so that the address leads to the peer again.
    pub(crate) outbound: bool,
    /// When the link came to be.
    pub(crate) since: Now,
    /// What the shell says runs on it: service streams, and at a relay circuits. None until it said anything.
    pub(crate) streams: Option<usize>,
    /// Whether this node has closed it because it does not need it.
    pub(crate) released: bool,
    /// Whether the last ping on it went unanswered.
    silent: bool,
    /// When a ping last came back on it, by both clocks: a machine that sleeps may stop the monotonic one.
    heard: Option<Now>,
    /// When the next ping must have come back; none before the first has, since not every peer answers pings.
    due: Option<Duration>,
    /// Whether the peer has said on it that it answers no pings: it lives, and its silence says nothing.
    pingless: bool,
    /// By when a ping out of turn is to be answered.
    asked: Option<Duration>,
    /// When its peer is dialled once more, unless that ping has been answered.
    second: Option<Duration>,
    /// What the last ping took.
    pub(crate) rtt: Option<Duration>,
}

/// What a connected peer has told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    links: Set<ConnectionId>,
    /// Smoothed round-trip time.
    pub(crate) rtt: Option<Duration>,
    /// What its pings take, with the deviation.
    pub(crate) pings: Option<Estimate>,
    /// What its answers to DHT requests take, negotiation included.
    pub(crate) answers: Option<Estimate>,
    /// Whether it has identified itself.
    pub(crate) identified: bool,
    /// Whether it serves the DHT of this network.
    pub(crate) server: bool,
    /// The network whose DHT it serves, ours or another.
    pub(crate) network: Option<String>,
    /// Whether it relays circuits for others.
    pub(crate) relay: bool,
    /// Whether it agrees on direct paths over relayed links.
    pub(crate) signals: bool,
    /// When a DHT request last went over its links, of either side.
    pub(crate) used: Duration,
    /// The addresses it claims.
    pub(crate) addresses: Vec<Multiaddr>,
}

/// What a peer says of itself when it identifies itself.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) server: bool,
    pub(crate) relay: bool,
    pub(crate) signals: bool,
    pub(crate) network: Option<String>,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// Who wants a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) peer: Option<PeerId>,
    pub(crate) since: Duration,
    pub(crate) limit: Duration,
    /// Whether it is for a link beside another: nobody who wants to be connected waits for that.
    pub(crate) beside: bool,
}

impl Dial {
    fn deadline(&self) -> Duration {
        self.since + self.limit
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Map<ConnectionId, Link>,
    peers: Map<PeerId, Peer>,
    dials: Map<DialId, Dial>,
    next_dial: u64,
    next_fetch: u64,
    /// Peers to which a stream is being opened through a relay; the ladder takes them at once.
    wanted: Set<PeerId>,
    /// No link is due before this time; it may be later.
    due: Option<Duration>,
    /// No link has its peer dialled once more before this time; it may be later.
    second: Option<Duration>,
    /// Until when links are being doubted already.
    doubted_until: Duration,
    servers: usize,
    /// WebRTC connections that the platform has made.
    pub(crate) connections_made: u32,
}

impl Link {
    pub(crate) fn new(peer: PeerId, address: Multiaddr, path: Path, outbound: bool, since: Now) -> Self {
        Self {
            peer,
            address,
            path,
            outbound,
            since,
            streams: None,
            released: false,
            silent: false,
            heard: None,
            due: None,
            pingless: false,
            asked: None,
            second: None,
            rtt: None,
        }
    }

    /// Whether a ping has come back on it, or a word that none will.
    pub(crate) fn is_proven(&self) -> bool {
        self.due.is_some() || self.pingless
    }

    /// Whether new streams take it: less is better. A direct path that was agreed on through a relay must have proven itself.
    pub(crate) fn rank(&self) -> (bool, bool, u8) {
        let rank = match self.path {
            Path::Direct if !self.is_proven() && is_signalled(&self.address) => 2,
            Path::Direct => 0,
            Path::Relayed => 1,
        };
        (self.released, self.silent, rank)
    }

    /// Whether a ping came back on it less than `age` ago by both clocks.
    fn was_heard_within(&self, age: Duration, now: Now) -> bool {
        self.heard.is_some_and(|heard| {
            let by_wall = now.unix_ms.saturating_sub(heard.unix_ms);
            now.elapsed.saturating_sub(heard.elapsed) < age && by_wall < millis(age)
        })
    }

    /// Whether it is believed dead.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether it was to be heard again, has not been, and still has time.
    fn is_doubted(&self, elapsed: Duration) -> bool {
        !self.silent && self.asked.is_some_and(|until| until > elapsed && self.due == Some(until))
    }

    /// Whether its peer can be dialled once more beside it: a WebSocket costs a page nothing, WebRTC one of few connections.
    fn can_have_second(&self) -> bool {
        self.outbound && self.path == Path::Direct && !self.is_over_webrtc()
    }

    fn is_over_websocket(&self) -> bool {
        self.path == Path::Direct && self.address.iter().any(|part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_)))
    }

    fn is_over_webrtc(&self) -> bool {
        self.path == Path::Direct
            && self.address.iter().any(|part| matches!(part, Protocol::WebRTC | Protocol::WebRTCDirect))
    }
}

impl Links {
    /// A new link; true if it is the peer's first.
    pub(crate) fn connected(&mut self, connection: ConnectionId, link: Link) -> bool {
        let peer = self.peers.get_or_insert_with(link.peer, Peer::default);
        let first = peer.links.is_empty();
        peer.links.insert(connection);
        self.links.insert(connection, link);
        first
    }

    /// A link ended; what it was, and what is known of its peer if it was the last one.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId) -> Option<(Link, Option<Peer>)> {
        let link = self.links.remove(&connection)?;
        let peer = self.peers.get_mut(&link.peer)?;
        peer.links.remove(&connection);
        let last = if peer.links.is_empty() { self.peers.remove(&link.peer) } else { None };
        self.servers -= usize::from(last.as_ref().is_some_and(|last| last.server));
        Some((link, last))
    }

    /// What runs on a connection; whom it leads to.
    pub(crate) fn carries(&mut self, connection: ConnectionId, streams: usize) -> Option<PeerId> {
        let link = self.links.get_mut(&connection)?;
        link.streams = Some(streams);
        Some(link.peer)
    }

    /// A DHT request goes to a peer, or has come from it.
    pub(crate) fn used(&mut self, peer: &PeerId, elapsed: Duration) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.used = elapsed;
        }
    }

    /// A link is closed because it is not needed.
    pub(crate) fn release(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.released = true;
        }
    }

    /// The links that are WebRTC connections themselves.
    pub(crate) fn over_webrtc(&self) -> Vec<ConnectionId> {
        self.links.iter().filter(|(_, link)| link.is_over_webrtc()).map(|(id, _)| *id).collect()
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// How many connected peers serve the DHT.
    pub(crate) fn servers(&self) -> usize {
        self.servers
    }

    /// A peer has told what it is; what is known of it then.
    pub(crate) fn identified(&mut self, peer: &PeerId, told: Told) -> Option<Peer> {
        let known = self.peers.get_mut(peer)?;
        self.servers = self.servers + usize::from(told.server) - usize::from(known.server);
        known.identified = true;
        (known.server, known.relay, known.signals) = (told.server, told.relay, told.signals);
        (known.network, known.addresses) = (told.network, told.addresses);
        Some(known.clone())
    }

    /// A ping came back, and the next must within `silence`; true if it is the first on this link.
    ///
    /// A ping out of turn costs the regular one its turn: rust-libp2p answers on one stream at a time and resets the other, of
    /// which its pinger says nothing and waits for another interval. The next answer may so be two intervals away, which timers
    /// of hidden pages make a second longer each; at a client this is all of `silence`, so an eighth is added to it.
    pub(crate) fn ponged(&mut self, connection: ConnectionId, rtt: Duration, now: Now, silence: Duration) -> bool {
        let Some(link) = self.links.get_mut(&connection) else { return false };
        let out_of_turn = link.asked.is_some_and(|asked| now.elapsed < asked + silence);
        let patience = if out_of_turn { silence + silence / 8 } else { silence };
        let (first, due) = (!link.is_proven(), now.elapsed + patience);
        (link.silent, link.second) = (false, None);
        (link.heard, link.due, link.rtt) = (Some(now), Some(due), Some(rtt));
        self.due.get_or_insert(due);
        let peer = self.peers.get_or_insert_with(link.peer, Peer::default);
        Estimate::learn(&mut peer.pings, rtt);
        peer.rtt = peer.pings.map(|pings| pings.smoothed);
        first
    }

    /// A link is pinged out of turn, and answers by `until` if it lives.
    pub(crate) fn asked(&mut self, connection: ConnectionId, until: Duration) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.asked = Some(until);
        }
    }

    /// Whether a ping out of turn is under way on a link.
    pub(crate) fn is_asked(&self, connection: ConnectionId, elapsed: Duration) -> bool {
        self.links.get(&connection).and_then(|link| link.asked).is_some_and(|asked| asked > elapsed)
    }

    /// The peer answers no pings, which it said after `rtt`; true if nothing was known of it on this link before.
    pub(crate) fn ping_refused(&mut self, connection: ConnectionId, rtt: Duration) -> bool {
        let Some(link) = self.links.get_mut(&connection).filter(|link| !link.is_proven()) else { return false };
        (link.pingless, link.rtt) = (true, Some(rtt));
        true
    }

    /// Links whose pings came back once and have not in time.
    pub(crate) fn unheard(&mut self, elapsed: Duration) -> Vec<ConnectionId> {
        let overdue = |link: &Link| !link.silent && link.due.is_some_and(|due| due <= elapsed);
        let unheard = self.links.iter().filter(|(_, link)| overdue(link)).map(|(id, _)| *id).collect();
        let others = self.links.values().filter(|link| !link.silent && !overdue(link));
        self.due = others.filter_map(|link| link.due).min();
        unheard
    }

    /// When [`Links::unheard`] may find one. It is asked after every fact, so it is a bound that is not always the least.
    pub(crate) fn next_silence(&self) -> Option<Duration> {
        self.due
    }

    /// Wants links that were heard before, but not within `trusted`, to be heard again within [`AWAKE`]. Those links, so that
    /// they can be pinged; none of them while it is doubted already. [`Links::late`] names them if that takes unusually long.
    pub(crate) fn doubt(&mut self, now: Now, trusted: Duration) -> Vec<(PeerId, ConnectionId)> {
        let until = now.elapsed + AWAKE;
        let under_way = Some(self.doubted_until).filter(|until| *until > now.elapsed);
        let mut doubted = Vec::new();
        for (id, link) in self.links.iter_mut().filter(|(_, link)| link.due.is_some() && !link.silent) {
            if link.was_heard_within(trusted, now) || under_way.is_some_and(|until| link.due <= Some(until)) {
                continue;
            }
            (link.due, link.asked) = (Some(until), Some(until));
            if link.can_have_second() {
                let pings = self.peers.get(&link.peer).and_then(|peer| peer.pings);
                link.second = Some(now.elapsed + patience::ping(pings));
            }
            doubted.push((link.peer, *id));
        }
        self.doubted_until = until;
        self.due = self.links.values().filter(|link| !link.silent).filter_map(|link| link.due).min();
        self.second = self.links.values().filter_map(|link| link.second).min();
        doubted
    }

    /// When [`Links::late`] may name one.
    pub(crate) fn next_second(&self) -> Option<Duration> {
        self.second
    }

    /// Doubted links that were not heard for longer than their pings take, each once: whom they lead to, and where.
    pub(crate) fn late(&mut self, elapsed: Duration) -> Vec<(PeerId, Multiaddr)> {
        if self.second.is_none_or(|at| at > elapsed) {
            return Vec::new();
        }
        let late = self.links.values_mut().filter_map(|link| {
            link.second.take_if(|at| *at <= elapsed)?;
            link.is_doubted(elapsed).then(|| (link.peer, link.address.clone()))
        });
        let late = late.collect();
        self.second = self.links.values().filter_map(|link| link.second).min();
        late
    }

    /// The links to a peer that are still doubted.
    pub(crate) fn doubted(&self, peer: &PeerId, elapsed: Duration) -> Vec<ConnectionId> {
        let links = self.links_to(peer).into_iter();
        links.filter(|(_, link)| link.can_have_second() && link.is_doubted(elapsed)).map(|(id, _)| id).collect()
    }

    /// A peer was heard otherwise than by a ping: if one link alone leads to it, that one lives.
    pub(crate) fn alive(&mut self, peer: &PeerId, elapsed: Duration, silence: Duration) {
        let mut links = self.peers.get(peer).into_iter().flat_map(|peer| peer.links.iter());
        if let (Some(only), None) = (links.next(), links.next())
            && let Some(link) = self.links.get_mut(only)
        {
            link.due = link.due.map(|due| due.max(elapsed + silence));
        }
    }

    /// Wants the other links that a peer has made to be heard again: who connects anew may have lost them without a word, and a
    /// relay would send circuits over them. Those that were heard before, so that they can be pinged. Pages, which sleep, have as
    /// long as their pings usually take; others [`AWAKE`], since who is overloaded connects anew too, and would only do so more
    /// often if it were given up sooner.
    pub(crate) fn doubt_earlier(
        &mut self,
        peer: &PeerId,
        newest: ConnectionId,
        elapsed: Duration,
    ) -> Vec<ConnectionId> {
        let page = elapsed + patience::ping(self.peers.get(peer).and_then(|peer| peer.pings));
        let earlier = |(id, link): &(&ConnectionId, &mut Link)| {
            link.peer == *peer && **id != newest && !link.outbound && !link.silent && link.due.is_some()
        };
        let mut doubted = Vec::new();
        for (id, link) in self.links.iter_mut().filter(earlier) {
            let until = if link.is_over_websocket() { page } else { elapsed + AWAKE };
            link.due = link.due.map(|due| due.min(until));
            link.asked = Some(until);
            self.due = self.due.into_iter().chain([until]).min();
            doubted.push(*id);
        }
        doubted
    }

    /// Gives every link its whole time again.
    pub(crate) fn forgive(&mut self, elapsed: Duration, silence: Duration) {
        for link in self.links.values_mut() {
            link.due = link.due.map(|_| elapsed + silence);
        }
        self.due = self.due.map(|_| elapsed + silence);
    }

    /// A ping went unanswered; whom the link leads to.
    pub(crate) fn silent(&mut self, connection: ConnectionId) -> Option<PeerId> {
        let link = self.links.get_mut(&connection)?;
        link.silent = true;
        Some(link.peer)
    }

    pub(crate) fn peer(&self, peer: &PeerId) -> Option<&Peer> {
        self.peers.get(peer)
    }

    pub(crate) fn peer_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    /// Connected peers, in the order of their ids.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// All links to a peer, best first.
    pub(crate) fn links_to(&self, peer: &PeerId) -> Vec<(ConnectionId, &Link)> {
        let mut links: Vec<_> = self
            .peers
            .get(peer)
            .into_iter()
            .flat_map(|peer| peer.links.iter())
            .filter_map(|id| self.links.get(id).map(|link| (*id, link)))
            .collect();
        crate::map::sort_by_key(&mut links, |(id, link)| (link.rank(), std::cmp::Reverse(*id)));
        links
    }

    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&Link> {
        self.links.get(&connection)
    }

    /// How a peer is reached best.
    pub(crate) fn path_to(&self, peer: &PeerId) -> Option<Path> {
        self.best(peer).map(|(_, link)| link.path)
    }

    /// A stream is being opened through a relay.
    pub(crate) fn want(&mut self, peer: PeerId) {
        self.wanted.insert(peer);
    }

    /// A peer to which a stream is being opened through a relay.
    pub(crate) fn next_wanted(&mut self) -> Option<PeerId> {
        let peer = self.wanted.iter().next().copied()?;
        self.wanted.remove(&peer);
        Some(peer)
    }

    pub(crate) fn best(&self, peer: &PeerId) -> Option<(ConnectionId, &Link)> {
        self.links_to(peer).into_iter().next()
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// Registers a dial to start; none if too many are under way.
    pub(crate) fn dial(&mut self, peer: Option<PeerId>, since: Duration, limit: Duration) -> Option<DialId> {
        self.register(Dial { peer, since, limit, beside: false })
    }

    /// The same for a link beside another: a direct path beside a relayed one, or what may stand in for a dead one.
    pub(crate) fn dial_beside(&mut self, peer: PeerId, since: Duration, limit: Duration) -> Option<DialId> {
        self.register(Dial { peer: Some(peer), since, limit, beside: true })
    }

    fn register(&mut self, dial: Dial) -> Option<DialId> {
        if self.dials.len() >= MAX_DIALS {
            return None;
        }
        self.next_dial += 1;
        let id = DialId(self.next_dial);
        self.dials.insert(id, dial);
        Some(id)
    }

    /// The number of a new HTTP request; all parts of the machine draw from here.
    pub(crate) fn next_fetch(&mut self) -> FetchId {
        self.next_fetch += 1;
        FetchId(self.next_fetch)
    }

    /// A dial has ended, one way or the other.
    pub(crate) fn dialled(&mut self, dial: DialId) -> Option<Dial> {
        self.dials.remove(&dial)
    }

    /// The dials of a peer that are under way, but for those beside a link.
    pub(crate) fn dials_to(&self, peer: &PeerId) -> impl Iterator<Item = DialId> {
        self.dials.iter().filter(move |(_, dial)| dial.peer == Some(*peer) && !dial.beside).map(|(id, _)| *id)
    }

    pub(crate) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.dials_to(peer).next().is_some()
    }

    /// Dials that have taken too long at `elapsed`.
    pub(crate) fn overdue(&self, elapsed: Duration) -> Vec<DialId> {
        self.dials.iter().filter(|(_, dial)| dial.deadline() <= elapsed).map(|(id, _)| *id).collect()
    }

    /// Dials that began this long ago, but for those beside a link.
    pub(crate) fn older(&self, elapsed: Duration, age: Duration) -> Vec<DialId> {
        self.dials.iter().filter(|(_, dial)| !dial.beside && dial.since + age <= elapsed).map(|(id, _)| *id).collect()
    }

    /// How long a dial has been under way.
    pub(crate) fn dial_age(&self, dial: DialId, elapsed: Duration) -> Option<Duration> {
        self.dials.get(&dial).map(|dial| elapsed.saturating_sub(dial.since))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.dials.values().map(Dial::deadline).min()
    }
}

#[cfg(test)]
mod tests;
