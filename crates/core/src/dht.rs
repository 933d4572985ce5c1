//! The distributed hash table: our own Kademlia, wire-compatible with libp2p's.
//!
//! What happens here, and where:
//!
//! - *Lookups* walk to a key ([`query`]) and gather the values found on the way (`lookups.rs`). Holders that answered with
//!   less than the union of all answers are sent that union.
//! - *Placements* walk to a key and store something at the closest holders, until a write quorum of them has acknowledged it
//!   (`placements.rs`). Placements that are due together share walks (`neighbourhood.rs`).
//! - *Serving* answers other peers from the [`store`] and the routing [`table`], if this node is a relay (`serving.rs`),
//!   within a quota for each peer (`quota.rs`).
//! - *Watching*: a relay asks its nearest neighbours in turn whether they are there (`watch.rs`), and when others live near
//!   it than did, it gives the values it holds to those that should hold them (`replication.rs`).
//! - *Probes* ask holders for a provider whether they still hold its offer (`probes.rs`).
//!
//! A peer that let its patience run out (`patience.rs`) is a *suspect*: it is asked while a link to it stands, and never
//! waited for while others answer; without a link it is not dialled again for some seconds unless nobody else is left. Values
//! go to slow holders too, and again nobody waits for them. A silent peer is listened to for a while after the walk that
//! asked it has ended, because its silence is what removes it from the table.
//!
//! **What libp2p-kad does, and what is ours.** The messages, k-buckets, XOR distance, k = 20, α = 10, closest peers in every
//! answer and the check before a peer enters the table are Kademlia's and libp2p's. Ours, because libp2p-kad cannot be
//! configured to it: time limits learned from each peer's answers where it waits 10 s; an end of the walk by the closest
//! peers that can be *reached*; parallelism that grows with silence; doubt of servers that name ghosts; address groups in
//! buckets; acknowledgement after verification; repair of stale holders; a neighbourhood that is watched, and values that
//! move within seconds of a loss where it republishes every 22 hours; shared walks; quotas.
//!
//! Bounds: requests in flight are bounded by lookups and placements times `k`, by the neighbours, by the pushes of one sweep
//! and by one listened-to request a suspect; lookups and placements by the callers' own limits.

pub mod key;
pub mod query;
pub mod store;
pub mod table;

pub(crate) mod diversity;
mod lookups;
mod neighbourhood;
pub(crate) mod patience;
mod placements;
mod probes;
mod quota;
mod replication;
mod serving;
mod watch;

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;

use crate::{
    boundary::{ConnectionId, Output, RequestId},
    bundle::Bundle,
    context::{Connecting, Context},
    map::{Map, Set},
    peer_record::SignedPeerRecord,
    wire::kad::{PeerAddresses, Request, Response},
};
use key::{Key, Position};
use lookups::Lookup;
use patience::{Dials, Estimate};
use placements::Placement;
use probes::Probe;
use quota::Quota;
use replication::Replication;
use store::Store;
use table::Table;
use watch::Watch;

/// Peers named in an answer, and holders of a value: Kademlia's `k`.
const CLOSEST: usize = 20;

/// Suspects remembered; far more than a node has links.
const MAX_SUSPECTS: usize = 256;

/// How long a suspect without a link is not dialled again by walks that find others: a dial in vain takes a place among
/// the dials under way for seconds. A guess; a relay that restarts is back within it.
const SPARED: Duration = Duration::from_secs(15);

/// How long a slow peer's answer is listened for when the walk that asked it has ended. After that the silence counts
/// against it in the routing table. TCP's first retransmissions come after 1 and 3 s.
const EVIDENCE: Duration = Duration::from_secs(3);

/// One walk towards a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookupId(u64);

/// One value or provider record on its way to its holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlacementId(u64);

/// One question to some holders, whether they hold something still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProbeId(u64);

/// What a lookup gathers.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// The closest peers only.
    Closest,
    /// The bundle under this key.
    Bundle(Key),
    /// The addresses of this peer, under its key.
    Addresses(PeerId),
}

/// What the rest of the machine is told.
#[derive(Debug)]
pub(crate) enum News {
    /// Verified records were found.
    Bundle(LookupId, Bundle),
    /// A second holder has answered with a value: what is known does not hang on one word.
    Seconded(LookupId),
    /// Verified records came after their walk had ended, and how long they took.
    Late(Bundle, Duration),
    /// Verified addresses were found.
    Addresses(LookupId, SignedPeerRecord),
    /// A lookup's first answer from this peer has come, with or without a value.
    Answer(PeerId),
    /// A lookup has ended.
    LookedUp(LookupId, Walk),
    /// A placement reached its write quorum, or ended without one; these were asked.
    Placed(PlacementId, Placed, Vec<PeerAddresses>),
    /// A probe has ended.
    Probed(ProbeId, Probed),
    /// A peer broke the protocol or sent what cannot be believed.
    Misbehaved(PeerId, String),
}

/// How a walk went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Peers that answered, this node included if it serves.
    pub answers: usize,
    /// Peers that were asked and were slow or failed.
    pub misses: usize,
    /// Requests that were sent.
    pub requests: usize,
    /// Requests one after the other that led to the closest peer that answered.
    pub hops: u8,
    /// The same for the answer that brought the first value, if any did; 0 if this node held it.
    pub found: Option<u8>,
}

/// How a placement went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Holders that acknowledged so far.
    pub(crate) held: usize,
    /// Holders that were asked.
    pub(crate) asked: usize,
}

/// How a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probed {
    /// Holders that have what was expected.
    pub(crate) held: usize,
    /// Holders that were asked.
    pub(crate) asked: usize,
}

impl Placed {
    /// More than half of those asked, and at least one.
    pub(crate) fn is_quorum(self) -> bool {
        self.held > self.asked / 2
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Lookup(LookupId),
    Placement(PlacementId),
    Probe(ProbeId),
    /// Is this neighbour there?
    Watch,
    /// A value for a server that should hold it from here on.
    Push,
    /// A repair, or a value for a slow holder: nobody waits for the answer.
    Courtesy,
}

#[derive(Debug)]
struct InFlight {
    peer: PeerId,
    purpose: Purpose,
    request: Request,
    /// None while the peer is being dialled.
    connection: Option<ConnectionId>,
    /// Whether it had to be dialled first.
    dialled: bool,
    started: Duration,
    deadline: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Dht {
    pub(crate) table: Table,
    pub(crate) store: Store,
    server: bool,
    /// The relays that hold a place for this node.
    pub(crate) relays: Vec<PeerId>,
    lookups: Map<LookupId, Lookup>,
    placements: Map<PlacementId, Placement>,
    /// Placements that wait for a walk, in the order of the key space.
    queue: Set<(Position, PlacementId)>,
    probes: Map<ProbeId, Probe>,
    requests: Map<RequestId, InFlight>,
    /// Who let something go unanswered, and until when it is not dialled in vain again.
    suspects: Map<PeerId, Duration>,
    dials: Dials,
    watch: Watch,
    replication: Replication,
    quota: Quota,
    /// The time of the fact that is being handled.
    elapsed: Duration,
    counters: Counters,
    news: VecDeque<News>,
    next_id: u64,
}

impl Dht {
    pub(crate) fn new(local: PeerId, server: bool, store: Store) -> Self {
        Self {
            table: Table::new(Position::of_peer(&local)),
            store,
            server,
            relays: Vec::new(),
            lookups: Map::new(),
            placements: Map::new(),
            queue: Set::new(),
            probes: Map::new(),
            requests: Map::new(),
            suspects: Map::new(),
            dials: Dials::default(),
            watch: Watch::default(),
            replication: Replication::default(),
            quota: Quota::new(),
            elapsed: Duration::ZERO,
            counters: Counters::default(),
            news: VecDeque::new(),
            next_id: 0,
        }
    }

    /// A fact that happened at this time is about to be handled.
    pub(crate) fn at(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// A link to a peer stands: what waits for it is sent.
    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, peer: PeerId, connection: ConnectionId) {
        self.heard(&peer);
        for (id, request) in self.requests.iter_mut() {
            if request.peer == peer && request.connection.is_none() {
                request.connection = Some(connection);
                send(cx, *id, request, connection);
            }
        }
    }

    /// A dial of a peer failed: what waits for it fails, unless another dial is under way.
    pub(crate) fn dial_failed(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        if cx.links.is_connected(&peer) || cx.links.is_dialling(&peer) {
            return;
        }
        self.table.failed(&peer);
        self.suspect(peer);
        let waiting: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, request)| request.peer == peer && request.connection.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.request_failed(cx, id);
        }
    }

    /// A peer answered something, so it is no suspect.
    pub(crate) fn heard(&mut self, peer: &PeerId) {
        self.suspects.remove(peer);
        self.table.heard(peer, self.elapsed);
    }

    /// A peer let something go unanswered: it is asked, and not waited for.
    pub(crate) fn suspect(&mut self, peer: PeerId) {
        self.suspects.insert(peer, self.elapsed + SPARED);
        if self.suspects.len() > MAX_SUSPECTS {
            // Any other: whoever is silent still is a suspect again after one request.
            let other = self.suspects.keys().copied().find(|other| *other != peer);
            other.map(|other| self.suspects.remove(&other));
        }
    }

    /// The process slept: nobody had a chance to be heard meanwhile.
    pub(crate) fn forgive(&mut self, cx: &Context<'_>) {
        for request in self.requests.values_mut() {
            request.deadline = cx.after(cx.config.request_timeout);
        }
    }

    /// What was counted so far.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A request of ours was answered.
    pub(crate) fn answered(&mut self, cx: &mut Context<'_>, id: RequestId, message: &[u8]) {
        let Some(request) = self.requests.remove(&id) else { return };
        self.heard(&request.peer);
        let took = cx.now.elapsed.saturating_sub(request.started);
        if request.dialled {
            self.dials.took(took);
        } else if let Some(known) = cx.links.peer_mut(&request.peer) {
            Estimate::learn(&mut known.answers, took);
        }
        match Response::decode(&request.request, message) {
            Ok(response) => match request.purpose {
                Purpose::Lookup(lookup) => self.lookup_answered(cx, lookup, request.peer, response),
                Purpose::Placement(placement) => self.placement_answered(placement, id, true),
                Purpose::Probe(probe) => {
                    let value = match &response {
                        Response::GetValue { value, .. } => value.as_deref(),
                        _ => None,
                    };
                    self.probe_answered(cx, probe, id, request.peer, Some(value));
                }
                Purpose::Courtesy => self.answered_late(cx, &request.request, response, took),
                Purpose::Watch => {
                    if self.serves()
                        && let Response::FindNode { closer } = response
                    {
                        self.neighbour_answered(cx, request.peer, closer);
                    }
                }
                Purpose::Push => {}
            },
            Err(error) => {
                self.news.push_back(News::Misbehaved(request.peer, error.to_string()));
                self.charge(cx, request.purpose, id, request.peer);
            }
        }
        self.advance(cx);
    }

    /// A request without an answer was written.
    pub(crate) fn sent(&mut self, cx: &mut Context<'_>, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else { return };
        if let Purpose::Placement(placement) = request.purpose {
            self.placement_answered(placement, id, true);
        }
        self.advance(cx);
    }

    /// A request could not be sent or was reset.
    pub(crate) fn request_failed(&mut self, cx: &mut Context<'_>, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else { return };
        self.charge(cx, request.purpose, id, request.peer);
        self.advance(cx);
    }

    /// Gives up what has taken too long and sends what is due.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        while let Some(doubted) = self.table.poll_doubt() {
            let request = Request::FindNode { key: cx.local.to_bytes() };
            if self.request(cx, &doubted, request, Purpose::Courtesy).is_none() {
                self.table.failed(&doubted.peer);
            }
        }
        let overdue: Vec<_> =
            self.requests.iter().filter(|(_, request)| request.deadline <= cx.now.elapsed).map(|(id, _)| *id).collect();
        for id in overdue {
            cx.outputs.push_back(Output::CancelRequest { request: id });
            if let Some(request) = self.requests.remove(&id) {
                self.suspect(request.peer);
                self.table.failed(&request.peer);
                self.charge(cx, request.purpose, id, request.peer);
            }
        }
        let lookups: Vec<_> = self.lookups.keys().copied().collect();
        for id in lookups {
            self.advance_lookup(cx, id);
        }
        self.walk_for_placements(cx);
        if self.serves() {
            self.watch(cx);
            self.replicate(cx);
        }
    }

    /// Whether this node serves others. The compiler drops what only servers do from a build that cannot.
    fn serves(&self) -> bool {
        cfg!(feature = "server") && self.server
    }

    /// When something stored for others expires.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        if self.serves() { self.store.next_expiry() } else { None }
    }

    /// Whether a request is on its way over a connection.
    pub(crate) fn uses(&self, connection: ConnectionId) -> bool {
        self.requests.values().any(|request| request.connection == Some(connection))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let requests = self.requests.values().map(|request| request.deadline);
        let lookups = self.lookups.values().filter_map(|lookup| lookup.query.next_wake());
        let kept = if self.serves() && !self.table.is_empty() {
            [Some(self.watch.next_deadline()), self.replication.next_deadline()]
        } else {
            [None, None]
        };
        requests.chain(lookups).chain(kept.into_iter().flatten()).min()
    }

    /// Books a failure where it belongs.
    fn charge(&mut self, cx: &mut Context<'_>, purpose: Purpose, id: RequestId, peer: PeerId) {
        match purpose {
            Purpose::Lookup(lookup) => {
                if let Some(lookup) = self.lookups.get_mut(&lookup) {
                    lookup.query.failed(&peer);
                }
            }
            Purpose::Placement(placement) => self.placement_answered(placement, id, false),
            Purpose::Probe(probe) => self.probe_answered(cx, probe, id, peer, None),
            Purpose::Watch if self.serves() => self.neighbour_failed(cx),
            Purpose::Watch | Purpose::Push | Purpose::Courtesy => {}
        }
    }

    fn request(
        &mut self,
        cx: &mut Context<'_>,
        to: &PeerAddresses,
        request: Request,
        purpose: Purpose,
    ) -> Option<RequestId> {
        let connection = match cx.connect(to.peer, &to.addresses) {
            Connecting::Connected(connection) => Some(connection),
            Connecting::Dialling => None,
            Connecting::Impossible => return None,
        };
        let id = RequestId(self.fresh_id());
        let (started, deadline) = (cx.now.elapsed, cx.after(cx.config.request_timeout));
        let dialled = connection.is_none();
        let request = InFlight { peer: to.peer, purpose, request, connection, dialled, started, deadline };
        self.counters.requests += 1;
        if let Some(connection) = connection {
            send(cx, id, &request, connection);
        }
        self.requests.insert(id, request);
        Some(id)
    }

    /// Gives requests up. Those to silent peers are listened to for a while longer: silence is evidence.
    fn drop_requests(&mut self, cx: &mut Context<'_>, purpose: Purpose) {
        let (outputs, suspects) = (&mut cx.outputs, &self.suspects);
        let until = cx.now.elapsed + EVIDENCE;
        let watched: Set<PeerId> = self
            .requests
            .values()
            .filter(|request| request.purpose == Purpose::Courtesy)
            .map(|request| request.peer)
            .collect();
        self.requests.retain(|id, request| {
            if request.purpose != purpose {
                return true;
            }
            let linked = request.connection.is_some();
            if linked && suspects.contains_key(&request.peer) && !watched.contains(&request.peer) {
                request.purpose = Purpose::Courtesy;
                request.deadline = request.deadline.min(until);
                return true;
            }
            if linked {
                outputs.push_back(Output::CancelRequest { request: *id });
            }
            false
        });
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Numbers since the node's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent to other peers, of all kinds.
    pub requests: u64,
    /// Requests of other peers that were looked at.
    pub served: u64,
    /// Requests of other peers that exceeded their quota.
    pub refused: u64,
    /// Alarms in the neighbourhood: a neighbour was silent, and all were asked.
    pub alarms: u64,
    /// Sweeps through the store because the neighbourhood is another.
    pub sweeps: u64,
    /// Values pushed to servers that should hold them.
    pub pushed: u64,
    /// Walks that have ended.
    pub walks: u64,
    /// The hops of all walks together.
    pub hops: u64,
    /// The most hops of any walk.
    pub most_hops: u8,
    /// The requests of all walks together.
    pub walk_requests: u64,
    /// How the latest walk went.
    pub last: Walk,
}

fn send(cx: &mut Context<'_>, id: RequestId, request: &InFlight, connection: ConnectionId) {
    cx.links.used(&request.peer, cx.now.elapsed);
    cx.outputs.push_back(Output::Request {
        request: id,
        peer: request.peer,
        connection,
        message: request.request.encode(),
        answered: !matches!(request.request, Request::AddProvider { .. }),
    });
}
