//! Topology: which links a node keeps beyond those it was told to keep.
//!
//! - **Company.** A node stays connected to [`Config::relay_links`] servers, chosen from the routing table so that they
//!   differ in region, address group and part of the key space ([`worth`]).
//! - **Refreshing.** The neighbourhood of the own position is looked up when the node joins, by relays soon again and then
//!   ever more rarely, up to [`Config::refresh`]; a relay looks up one far part of the key space each time, too, if it knows
//!   no bucketful there. Several links lost within [`WINDOW`] are *churn*: that begins anew at once.
//! - **The lost.** Peers that vanished are dialled again for a day ([`lost`]). When one comes back, both sides look their
//!   neighbourhoods up at once, so that two halves of a network merge their tables; the DHT then merges the values.
//! - **Tidying.** Of more links than [`Config::links`] says the least valuable are closed, those beyond the low mark when
//!   they were not used for [`UNUSED`], those beyond the high mark at once; and of several idle links to one peer all but
//!   the best. Only who dialled a link closes it for the first reason, so that the other side knows a link of its own
//!   dialling that ends for lost; and only one side decides about several links: a client towards a server, else the
//!   smaller peer id. A link that carries streams, of which the shell has not said that it carries none, or that is younger
//!   than [`GRACE`] is not touched.
//!
//! Bounds: the table and the links bound what is looked at; [`lost`] has a cap of its own. This part never names a link to a
//! configured relay, a holder of this node's reservation, or a relay that a circuit of this node runs through.

mod lost;
mod worth;

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use self::lost::Lost;
use crate::{
    boundary::{ConnectionId, Output},
    config::Role,
    context::{Context, relay_of},
    dht::{Dht, LookupId, Want, key::Position, table::BUCKET},
    event::Path,
    join::Join,
    links::Link,
    open::Openings,
    reservations::Reservations,
    wire::kad::PeerAddresses,
};

/// Time between two attempts to find company: a relay that restarts is back in seconds. A guess.
const COMPANY_PAUSE: Duration = Duration::from_secs(3);

/// The refresh that follows a change; each further one takes twice as long. Half of a ping's interval, so that most of what
/// vanished together is known to be gone. A guess.
const REFRESH_SOON: Duration = Duration::from_secs(3);

/// The least time between two refreshes, whatever happens: what a walk over silent peers takes.
const REFRESH_LEAST: Duration = Duration::from_secs(1);

/// Repetition of a walk that nobody answered: the links may be young.
const REFRESH_AGAIN: Duration = Duration::from_secs(1);

/// Links lost within this time count together: a relay's ping interval, within which what died at once is noticed.
const WINDOW: Duration = Duration::from_secs(7);

/// The least links that make churn, and the part of all links (one in so many). Guesses.
const CHURN: (usize, usize) = (2, 5);

/// Lost peers that come back within [`WINDOW`] if a part of the network does; one alone has restarted.
const RETURNS: usize = 2;

/// Age below which a link is not tidied away: a lookup or an open may be about to use it. As go-libp2p's connection
/// manager by default.
const GRACE: Duration = Duration::from_secs(20);

/// How long a link beyond the low mark is kept for the next lookup that could use it; a minute of pings. A guess.
const UNUSED: Duration = Duration::from_secs(60);

/// Keys drawn for one that lies in a wanted part of the key space; the tenth bucket needs a thousand on average.
const DRAWS: usize = 1024;

/// The shallowest bucket: no bit shared with the local position.
const FARTHEST: usize = 255;

/// Buckets that are looked up by turns; beyond the tenth the own neighbourhood reaches, until a network has twenty
/// thousand relays, and lookups of others fill the rest.
const FAR_BUCKETS: usize = 10;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    lost: Lost,
    refreshing: Option<LookupId>,
    refresh_at: Option<Duration>,
    refreshed_at: Option<Duration>,
    /// The time until the refresh after the next.
    pause: Duration,
    /// The next far bucket to be looked up.
    far: usize,
    /// When strangers may be dialled again for company.
    company_at: Duration,
    /// When links are looked at for superfluous ones, if there may be any.
    tidy_at: Option<Duration>,
    losses: VecDeque<Duration>,
    returns: VecDeque<Duration>,
}

/// What tidying must not touch, and what company is chosen from.
pub(crate) struct Neighbours<'a> {
    pub(crate) dht: &'a mut Dht,
    pub(crate) join: &'a Join,
    pub(crate) reservations: &'a Reservations,
    pub(crate) openings: &'a Openings,
}

impl Topology {
    /// Does what is due; `ready` says whether the node has joined.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, others: &mut Neighbours<'_>, ready: bool) {
        self.refresh(cx, others.dht);
        self.keep_company(cx, others.dht, ready);
        self.seek_lost(cx);
        if self.tidy_at.is_some_and(|at| at <= cx.now.elapsed) {
            self.tidy(cx, others);
        }
    }

    /// When [`Topology::advance`] has something to do; `missing` as [`missing_company`] says.
    pub(crate) fn next_deadline(&self, missing: bool, seeks: bool) -> Option<Duration> {
        let company = missing.then_some(self.company_at);
        let lost = if seeks { self.lost.next_deadline() } else { None };
        let refresh = self.refresh_at.filter(|_| self.refreshing.is_none());
        [company, lost, self.tidy_at, refresh].into_iter().flatten().min()
    }

    /// A peer has identified itself as a server of this network, or as something else; true if a part of the network is back
    /// with it: several lost ones return.
    pub(crate) fn identified(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        peer: PeerId,
        server: bool,
        ready: bool,
    ) -> bool {
        if !server {
            self.lost.forget(&peer);
            return false;
        }
        let back = self.lost.back(&peer, cx.now.elapsed);
        if back {
            self.changed(cx, Duration::ZERO);
            count(&mut self.returns, cx.now.elapsed);
        }
        if !ready {
            // A walk that began without this peer may be waiting for a silent one.
            if let Some(walk) = self.refreshing.take() {
                dht.cancel_lookup(cx, walk);
            }
            self.refreshed_at = None;
            self.changed(cx, Duration::ZERO);
        }
        let (low, high) = cx.config.links;
        match servers(cx) {
            count if count > high => self.tidy_in(cx, GRACE),
            count if count > low => self.tidy_in(cx, UNUSED),
            _ => {}
        }
        back && self.returns.len() >= RETURNS
    }

    /// A further link to a connected peer stands.
    pub(crate) fn connected_again(&mut self, cx: &Context<'_>) {
        self.tidy_in(cx, GRACE);
    }

    /// A connection carries nothing.
    pub(crate) fn idle(&mut self, cx: &Context<'_>, peer: &PeerId) {
        if cx.links.links_to(peer).len() > 1 {
            self.tidy_in(cx, Duration::ZERO);
        }
    }

    /// A server has lost its last link, which was this one.
    pub(crate) fn disconnected(&mut self, cx: &mut Context<'_>, peer: PeerId, link: &Link, addresses: Vec<Multiaddr>) {
        // A link that the other side made and ended was given back, for all that is known here.
        if link.released || !(link.outbound || link.is_silent()) {
            return;
        }
        let elapsed = cx.now.elapsed;
        let lived = elapsed.saturating_sub(link.since.elapsed);
        let direct = addresses.into_iter().filter(|address| cx.config.may_dial(address)).collect();
        self.lost.add(peer, direct, lived, elapsed, cx.rng);
        count(&mut self.losses, elapsed);
        let links = servers(cx);
        // A single loss is the neighbour watch's affair.
        if self.losses.len() >= CHURN.0.max(links / CHURN.1) {
            self.losses.clear();
            self.company_at = elapsed;
            self.changed(cx, Duration::ZERO);
        }
    }

    /// Peers remembered from an earlier life count as lost, so that an island that restarts looks for the rest of the world.
    pub(crate) fn remember(&mut self, cx: &mut Context<'_>, peers: impl IntoIterator<Item = (PeerId, Vec<Multiaddr>)>) {
        for (peer, addresses) in peers {
            self.lost.add(peer, addresses, Duration::ZERO, cx.now.elapsed, cx.rng);
        }
    }

    /// The network has come back, or the machine woke up: the neighbourhood may have changed.
    pub(crate) fn wake(&mut self, cx: &mut Context<'_>) {
        self.changed(cx, Duration::ZERO);
    }

    /// A lookup has ended after so many answers; true if it was one of these.
    pub(crate) fn looked_up(&mut self, cx: &mut Context<'_>, lookup: LookupId, answers: usize) -> bool {
        if self.refreshing != Some(lookup) {
            return false;
        }
        self.refreshing = None;
        let pause = if answers == 0 {
            REFRESH_AGAIN
        } else {
            // Relays are what others look for; a client's own neighbourhood concerns nobody else.
            let first = if cx.config.role.is_relay() { REFRESH_SOON } else { cx.config.refresh };
            self.pause = (self.pause * 2).max(first).min(cx.config.refresh);
            self.pause.mul_f64(0.75 + 0.5 * cx.rng.f64())
        };
        let next = cx.after(pause);
        // What changed during the walk may want an earlier one.
        self.refresh_at = Some(self.refresh_at.map_or(next, |at| at.min(next)));
        true
    }

    /// Whether a peer has vanished and is looked for.
    pub(crate) fn seeks(&self, peer: &PeerId) -> bool {
        self.lost.contains(peer)
    }

    /// How many peers are looked for.
    pub(crate) fn lost(&self) -> usize {
        self.lost.len()
    }

    /// The surroundings changed: they are looked up after `delay`, and then ever more rarely.
    fn changed(&mut self, cx: &Context<'_>, delay: Duration) {
        let earliest = self.refreshed_at.map_or(Duration::ZERO, |at| at + REFRESH_LEAST);
        let at = cx.after(delay).max(earliest);
        self.refresh_at = Some(self.refresh_at.map_or(at, |known| known.min(at)));
        self.pause = Duration::ZERO;
    }

    /// Looks up the neighbourhood of the own position when that is due, and a relay one far bucket.
    fn refresh(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        if self.refreshing.is_some() || self.refresh_at.is_none_or(|at| at > cx.now.elapsed) {
            return;
        }
        self.refresh_at = None;
        self.refreshed_at = Some(cx.now.elapsed);
        self.refreshing = Some(dht.look_up(cx, cx.local.to_bytes(), Want::Closest));
        if cx.config.role.is_relay() && dht.table.len() > BUCKET {
            let (local, bucket) = (Position::of_peer(&cx.local), FARTHEST - self.far);
            self.far = (self.far + 1) % FAR_BUCKETS;
            let of_bucket =
                |known: &&PeerAddresses| local.distance(&Position::of_peer(&known.peer)).bucket() == Some(bucket);
            if dht.table.peers().filter(of_bucket).count() >= BUCKET {
                return;
            }
            let key = (0..DRAWS).map(|_| cx.rng.u128(..).to_be_bytes());
            let mut key = key.filter(|key| local.distance(&Position::of(key)).bucket() == Some(bucket));
            if let Some(key) = key.next() {
                // Nobody waits for its end; it fills the table on its way.
                dht.look_up(cx, key.to_vec(), Want::Closest);
            }
        }
    }

    /// Stays connected to a few relays more than it needs.
    fn keep_company(&mut self, cx: &mut Context<'_>, dht: &Dht, ready: bool) {
        let missing = missing_company(cx.config, servers(cx), dht.table.len());
        if !ready || missing == 0 || self.company_at > cx.now.elapsed {
            return;
        }
        self.company_at = cx.now.elapsed + COMPANY_PAUSE;
        let known: Vec<_> = dht.table.peers().cloned().collect();
        for known in worth::strangers(cx, known, cx.config.role.is_relay(), missing) {
            cx.connect(known.peer, &known.addresses);
        }
    }

    /// Dials one of the lost, if it is time.
    fn seek_lost(&mut self, cx: &mut Context<'_>) {
        if !seeks(cx.config, servers(cx)) {
            return;
        }
        if let Some((peer, addresses)) = self.lost.next(cx.now.elapsed, cx.rng)
            && peer != cx.local
        {
            cx.connect(peer, &addresses);
        }
    }

    fn tidy_in(&mut self, cx: &Context<'_>, delay: Duration) {
        let at = cx.after(delay);
        self.tidy_at = Some(self.tidy_at.map_or(at, |known| known.min(at)));
    }

    /// Closes what is superfluous.
    fn tidy(&mut self, cx: &mut Context<'_>, others: &Neighbours<'_>) {
        self.tidy_at = None;
        let mut close = doubles(cx, others);
        let (low, high) = cx.config.links;
        let count = servers(cx);
        if count > low {
            let ranked = worth::ranked(cx, cx.config.role.is_relay());
            let least = ranked.into_iter().skip(low).map(|(peer, _)| peer).collect::<Vec<_>>();
            let free = least.into_iter().filter(|peer| {
                let links = cx.links.links_to(peer);
                links.iter().all(|(id, link)| link.outbound && is_idle(cx, others, *id, link))
                    && (count > high || is_unused(cx, peer))
                    && !others.join.keeps(peer)
                    && !is_relied_on(cx, others, peer)
            });
            let free: Vec<_> = free.collect();
            close.extend(free.iter().flat_map(|peer| cx.links.links_to(peer)).map(|(id, _)| id));
        }
        for connection in close {
            cx.links.release(connection);
            cx.outputs.push_back(Output::Disconnect { connection });
        }
        if cx.links.peers().any(|(peer, _)| decides(cx, peer) && doubled(cx, peer)) {
            self.tidy_in(cx, GRACE);
        } else if count > low {
            self.tidy_in(cx, UNUSED / 2);
        }
    }
}

/// How many relays more this node would be connected to, if it knows so many.
pub(crate) fn missing_company(config: &crate::Config, connected: usize, known: usize) -> usize {
    config.relay_links.min(known).saturating_sub(connected)
}

/// Whether the lost are looked for: relays hold the network together, a client needs a few links.
pub(crate) fn seeks(config: &crate::Config, connected: usize) -> bool {
    config.role.is_relay() || connected < config.relay_links
}

/// Adds a moment to those of the last [`WINDOW`].
fn count(moments: &mut VecDeque<Duration>, elapsed: Duration) {
    moments.retain(|at| *at + WINDOW > elapsed);
    moments.push_back(elapsed);
}

fn servers(cx: &Context<'_>) -> usize {
    cx.links.servers()
}

/// Whether several links lead to a peer that are not given up already.
fn doubled(cx: &Context<'_>, peer: &PeerId) -> bool {
    cx.links.links_to(peer).iter().filter(|(_, link)| !link.released).count() > 1
}

/// Whether it is this side that decides about several links to a peer. If both did, they might close all of them.
fn decides(cx: &Context<'_>, peer: &PeerId) -> bool {
    let server = cx.links.peer(peer).is_some_and(|known| known.server);
    match (cx.config.role, server) {
        (Role::Client, true) => true,
        (Role::Relay, false) => false,
        _ => cx.local < *peer,
    }
}

/// Idle links to peers that have a better one, about which this side decides.
fn doubles(cx: &Context<'_>, others: &Neighbours<'_>) -> Vec<ConnectionId> {
    let peers = cx.links.peers().map(|(peer, _)| *peer);
    let mut close = Vec::new();
    for peer in peers.filter(|peer| decides(cx, peer) && doubled(cx, peer)) {
        let mut links = cx.links.links_to(&peer);
        // Of equal links the one in use stays, else the newest.
        crate::map::sort_by_key(&mut links, |(_, link)| (link.rank(), link.streams == Some(0)));
        let Some(((_, best), rest)) = links.split_first() else { continue };
        // The one that stays has proven itself; a reservation may live on any link to its relay.
        if best.is_silent() || is_young(cx, best) || others.reservations.concerns(&peer) {
            continue;
        }
        let direct = best.path == Path::Direct;
        let idle = rest.iter().filter(|(id, link)| is_idle(cx, others, *id, link));
        close.extend(idle.filter(|(_, link)| direct || link.path == Path::Relayed).map(|(id, _)| *id));
    }
    close
}

/// Whether nobody has asked anything over the links to a peer for long.
fn is_unused(cx: &Context<'_>, peer: &PeerId) -> bool {
    cx.links.peer(peer).is_none_or(|known| known.used + UNUSED <= cx.now.elapsed)
}

fn is_young(cx: &Context<'_>, link: &Link) -> bool {
    link.since.elapsed + GRACE > cx.now.elapsed
}

/// Whether nothing runs on a link, as far as both the shell and this node know.
fn is_idle(cx: &Context<'_>, others: &Neighbours<'_>, id: ConnectionId, link: &Link) -> bool {
    !link.released
        && !is_young(cx, link)
        && link.streams == Some(0)
        && !others.openings.uses(id)
        && !others.dht.uses(id)
}

/// Whether this node needs a link to the peer for something else: a reservation, or a circuit through it.
fn is_relied_on(cx: &Context<'_>, others: &Neighbours<'_>, peer: &PeerId) -> bool {
    others.reservations.concerns(peer)
        || cx.links.links().any(|link| link.path == Path::Relayed && relay_of(&link.address) == Some(*peer))
}
