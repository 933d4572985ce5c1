//! The distributed hash table: our own Kademlia, wire-compatible with libp2p's.
//!
//! Three things happen here. *Lookups* walk to a key ([`query`]) and gather the values found on the way. *Placements* walk
//! to a key and store something at the closest holders, until a write quorum of them has acknowledged it. *Serving* answers
//! other peers from the [`store`] and the routing [`table`], if this node is a relay.
//!
//! After a value lookup, holders that answered with less than the union of all answers are sent that union ("repair").
//! A peer that let its patience run out is a *suspect*: it is still asked, and never waited for while others answer. Values
//! go to slow holders too, and again nobody waits for them.
//!
//! Bounds: requests are bounded by lookups and placements times `k`; both by the callers' own limits.

pub mod key;
pub mod query;
pub mod store;
pub mod table;

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;

use crate::{
    boundary::{ConnectionId, Output, RequestId, Response as Reply},
    bundle::Bundle,
    context::{Connecting, Context},
    map::{Map, Set},
    peer_record::SignedPeerRecord,
    wire::kad::{PeerAddresses, Request, Response},
};
use key::{Key, Position};
use query::{Next, Query};
use store::Store;
use table::Table;

/// Peers named in an answer, and holders of a value: Kademlia's `k`.
const CLOSEST: usize = 20;

/// Suspects remembered; far more than a node has links.
const MAX_SUSPECTS: usize = 256;

/// How long an answer is waited for before others are asked: four smoothed round trips, as a retransmission timer would
/// (RFC 6298), within these limits. The lower one covers a busy event loop in a background page.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(150), Duration::from_secs(2));

/// Patience with a connected peer that was never pinged, and with one that has to be dialled first (a WAN handshake takes
/// five round trips).
const PATIENCE_UNKNOWN: Duration = Duration::from_millis(500);
const PATIENCE_DIAL: Duration = Duration::from_millis(1500);

/// One walk towards a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookupId(u64);

/// One value or provider record on its way to its holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlacementId(u64);

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
    /// Verified addresses were found.
    Addresses(LookupId, SignedPeerRecord),
    /// A lookup's first answer from this peer has come, with or without a value.
    Answer(PeerId),
    /// A lookup has ended after this many answers.
    LookedUp(LookupId, usize),
    /// A placement reached its write quorum, or ended without one.
    Placed(PlacementId, Placed),
    /// A peer broke the protocol or sent what cannot be believed.
    Misbehaved(PeerId, String),
}

/// How a placement went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Holders that acknowledged so far.
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

#[derive(Debug)]
struct Lookup {
    key: Vec<u8>,
    want: Want,
    query: Query,
    placement: Option<PlacementId>,
    union: Option<Bundle>,
    /// What each holder that answered had.
    holders: Map<PeerId, Option<Bundle>>,
}

#[derive(Debug)]
struct Placement {
    request: Request,
    waiting: Set<RequestId>,
    placed: Placed,
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Lookup(LookupId),
    Placement(PlacementId),
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
    deadline: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Dht {
    pub(crate) table: Table,
    pub(crate) store: Store,
    server: bool,
    lookups: Map<LookupId, Lookup>,
    placements: Map<PlacementId, Placement>,
    requests: Map<RequestId, InFlight>,
    suspects: Set<PeerId>,
    news: VecDeque<News>,
    next_id: u64,
}

impl Dht {
    pub(crate) fn new(local: PeerId, server: bool, store: Store) -> Self {
        Self {
            table: Table::new(Position::of_peer(&local)),
            store,
            server,
            lookups: Map::new(),
            placements: Map::new(),
            requests: Map::new(),
            suspects: Set::new(),
            news: VecDeque::new(),
            next_id: 0,
        }
    }

    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Starts a walk towards a key.
    pub(crate) fn look_up(&mut self, cx: &mut Context<'_>, key: Vec<u8>, want: Want) -> LookupId {
        self.start(cx, key, want, None)
    }

    /// Walks to the key of a request that stores something, and stores it at the closest holders.
    pub(crate) fn place(&mut self, cx: &mut Context<'_>, request: Request) -> PlacementId {
        let id = PlacementId(self.fresh_id());
        let key = request.key().to_vec();
        if self.server {
            self.keep_own(cx, &request);
        }
        let placed = Placed { held: 0, asked: 0 };
        self.placements.insert(id, Placement { request, waiting: Set::new(), placed, told: false });
        self.start(cx, key, Want::Closest, Some(id));
        id
    }

    /// Ends a lookup before its time; what it had in flight is given up.
    pub(crate) fn cancel_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        self.lookups.remove(&id);
        self.drop_requests(cx, Purpose::Lookup(id));
    }

    /// Ends a placement before its time.
    pub(crate) fn cancel_placement(&mut self, cx: &mut Context<'_>, id: PlacementId) {
        self.placements.remove(&id);
        self.drop_requests(cx, Purpose::Placement(id));
        let lookups: Vec<_> =
            self.lookups.iter().filter(|(_, lookup)| lookup.placement == Some(id)).map(|(id, _)| *id).collect();
        for lookup in lookups {
            self.cancel_lookup(cx, lookup);
        }
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
        self.table.heard(peer);
    }

    /// A peer let something go unanswered: it is asked, and not waited for.
    pub(crate) fn suspect(&mut self, peer: PeerId) {
        self.suspects.insert(peer);
        if self.suspects.len() > MAX_SUSPECTS {
            // Any other: whoever is silent still is a suspect again after one request.
            let other = self.suspects.iter().copied().find(|other| *other != peer);
            other.map(|other| self.suspects.remove(&other));
        }
    }

    /// A request of ours was answered.
    pub(crate) fn answered(&mut self, cx: &mut Context<'_>, id: RequestId, message: &[u8]) {
        let Some(request) = self.requests.remove(&id) else { return };
        self.heard(&request.peer);
        match Response::decode(&request.request, message) {
            Ok(response) => match request.purpose {
                Purpose::Lookup(lookup) => self.lookup_answered(cx, lookup, request.peer, response),
                Purpose::Placement(placement) => self.placement_answered(placement, id, true),
                Purpose::Courtesy => {}
            },
            Err(error) => {
                self.news.push_back(News::Misbehaved(request.peer, error.to_string()));
                self.charge(request.purpose, id, request.peer);
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
        self.charge(request.purpose, id, request.peer);
        self.advance(cx);
    }

    /// Another peer asks.
    pub(crate) fn asked(&mut self, cx: &mut Context<'_>, peer: PeerId, message: &[u8]) -> Reply {
        if !self.server {
            return Reply::Reset;
        }
        let request = match Request::decode(message) {
            Ok(request) => request,
            Err(error) => {
                self.news.push_back(News::Misbehaved(peer, error.to_string()));
                return Reply::Reset;
            }
        };
        let closer = || self.closer(&Position::of(request.key()), &peer);
        let response = match &request {
            Request::Ping => Response::Ping,
            Request::FindNode { .. } => Response::FindNode { closer: closer() },
            Request::GetValue { key } => Response::GetValue { value: self.store.get(key, cx.now), closer: closer() },
            Request::GetProviders { key } => {
                Response::GetProviders { providers: self.store.providers(key, cx.now), closer: closer() }
            }
            Request::PutValue { key, value } => match self.store.put(key, value, cx.now) {
                Ok(_) => Response::PutValue { key: key.clone(), value: value.clone() },
                Err(refused) => {
                    self.news.push_back(News::Misbehaved(peer, refused.to_string()));
                    return Reply::Reset;
                }
            },
            Request::AddProvider { key, provider } => {
                if provider.peer != peer {
                    let reason = format!("it announced {} as a provider in its place", provider.peer);
                    self.news.push_back(News::Misbehaved(peer, reason));
                } else if let Err(refused) = self.store.add_provider(key, provider.clone(), cx.now) {
                    self.news.push_back(News::Misbehaved(peer, refused.to_string()));
                }
                return Reply::Nothing;
            }
        };
        Reply::Message(response.encode(&request))
    }

    /// Gives up what has taken too long and sends what is due.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        let overdue: Vec<_> =
            self.requests.iter().filter(|(_, request)| request.deadline <= cx.now.elapsed).map(|(id, _)| *id).collect();
        for id in overdue {
            cx.outputs.push_back(Output::CancelRequest { request: id });
            if let Some(request) = self.requests.remove(&id) {
                self.suspect(request.peer);
                self.table.failed(&request.peer);
                self.charge(request.purpose, id, request.peer);
            }
        }
        let lookups: Vec<_> = self.lookups.keys().copied().collect();
        for id in lookups {
            self.advance_lookup(cx, id);
        }
    }

    /// Whether a request is on its way over a connection.
    pub(crate) fn uses(&self, connection: ConnectionId) -> bool {
        self.requests.values().any(|request| request.connection == Some(connection))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let requests = self.requests.values().map(|request| request.deadline);
        let lookups = self.lookups.values().filter_map(|lookup| lookup.query.next_wake());
        requests.chain(lookups).min()
    }

    fn start(&mut self, cx: &mut Context<'_>, key: Vec<u8>, want: Want, placement: Option<PlacementId>) -> LookupId {
        let id = LookupId(self.fresh_id());
        let target = Position::of(&key);
        let start = self.table.closest(&target, cx.config.query.closest);
        let query = Query::new(cx.config.query.clone(), cx.local, target, start);
        let mut lookup = Lookup { key, want, query, placement, union: None, holders: Map::new() };
        if self.server
            && let Some(value) = self.store.get(&lookup.key, cx.now)
        {
            self.news.extend(lookup.absorb(cx, id, cx.local, Some(&value)));
        }
        self.lookups.insert(id, lookup);
        self.advance_lookup(cx, id);
        id
    }

    fn advance_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        loop {
            let Some(lookup) = self.lookups.get_mut(&id) else { return };
            match lookup.query.next(cx.now.elapsed) {
                Next::Ask(peer) => {
                    let patience = patience(cx, &peer.peer, &self.suspects);
                    lookup.query.asked(&peer.peer, cx.after(patience));
                    let request = match lookup.want {
                        Want::Closest => Request::FindNode { key: lookup.key.clone() },
                        Want::Bundle(_) | Want::Addresses(_) => Request::GetValue { key: lookup.key.clone() },
                    };
                    if self.request(cx, &peer, request, Purpose::Lookup(id)).is_none()
                        && let Some(lookup) = self.lookups.get_mut(&id)
                    {
                        lookup.query.failed(&peer.peer);
                    }
                }
                Next::Wait(_) => {
                    let slow: Vec<_> = lookup.query.slow().collect();
                    return slow.into_iter().for_each(|peer| self.suspect(peer));
                }
                Next::Finished => return self.finish_lookup(cx, id),
            }
        }
    }

    fn finish_lookup(&mut self, cx: &mut Context<'_>, id: LookupId) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        for peer in lookup.query.slow() {
            self.suspect(peer);
        }
        self.drop_requests(cx, Purpose::Lookup(id));
        match lookup.placement {
            Some(placement) => {
                self.store_at(cx, placement, lookup.query.closest().cloned().collect());
                self.store_late(cx, placement, lookup.query.late().cloned().collect());
                self.settle_placement(placement);
            }
            None => {
                self.repair(cx, &lookup);
                self.news.push_back(News::LookedUp(id, lookup.query.answers() + usize::from(self.server)));
            }
        }
    }

    fn store_at(&mut self, cx: &mut Context<'_>, id: PlacementId, holders: Vec<PeerAddresses>) {
        let Some(placement) = self.placements.get(&id) else { return };
        let request = placement.request.clone();
        for holder in holders {
            let sent = self.request(cx, &holder, request.clone(), Purpose::Placement(id));
            if let Some(placement) = self.placements.get_mut(&id) {
                placement.placed.asked += 1;
                placement.waiting.extend(sent);
            }
        }
    }

    /// Sends a value also to those that were too slow to be waited for, and does not wait for them here either: if all
    /// were slow for a moment, the first that answered would be the only holder.
    fn store_late(&mut self, cx: &mut Context<'_>, id: PlacementId, late: Vec<PeerAddresses>) {
        let Some(request) = self.placements.get(&id).map(|placement| placement.request.clone()) else { return };
        for holder in late {
            self.request(cx, &holder, request.clone(), Purpose::Courtesy);
        }
    }

    fn lookup_answered(&mut self, cx: &mut Context<'_>, id: LookupId, peer: PeerId, response: Response) {
        self.news.push_back(News::Answer(peer));
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let closer = match response {
            Response::FindNode { closer } => closer,
            Response::GetValue { value, closer } => {
                let news = lookup.absorb(cx, id, peer, value.as_deref());
                self.news.extend(news);
                closer
            }
            _ => return,
        };
        if let Some(lookup) = self.lookups.get_mut(&id) {
            lookup.query.answered(&peer, closer);
        }
    }

    fn placement_answered(&mut self, id: PlacementId, request: RequestId, held: bool) {
        let Some(placement) = self.placements.get_mut(&id) else { return };
        placement.waiting.remove(&request);
        placement.placed.held += usize::from(held);
        self.settle_placement(id);
    }

    /// Tells when a placement has its quorum, and again never; ends it when nothing is waited for.
    fn settle_placement(&mut self, id: PlacementId) {
        let Some(placement) = self.placements.get_mut(&id) else { return };
        let ended = placement.waiting.is_empty();
        let alone = self.server && placement.placed.asked == 0;
        if !placement.told && (placement.placed.is_quorum() || ended) {
            placement.told = true;
            // A relay without any neighbour holds its own values; that is all there is.
            let placed = if alone { Placed { held: 1, asked: 1 } } else { placement.placed };
            self.news.push_back(News::Placed(id, placed));
        }
        if ended {
            self.placements.remove(&id);
        }
    }

    /// Books a failure where it belongs.
    fn charge(&mut self, purpose: Purpose, id: RequestId, peer: PeerId) {
        match purpose {
            Purpose::Lookup(lookup) => {
                if let Some(lookup) = self.lookups.get_mut(&lookup) {
                    lookup.query.failed(&peer);
                }
            }
            Purpose::Placement(placement) => self.placement_answered(placement, id, false),
            Purpose::Courtesy => {}
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
        let deadline = cx.after(cx.config.request_timeout);
        let request = InFlight { peer: to.peer, purpose, request, connection, deadline };
        if let Some(connection) = connection {
            send(cx, id, &request, connection);
        }
        self.requests.insert(id, request);
        Some(id)
    }

    /// Sends the union to the holders near the key that had less.
    fn repair(&mut self, cx: &mut Context<'_>, lookup: &Lookup) {
        let Some(union) = lookup.union.as_ref().filter(|union| union.spreads(cx.now)) else { return };
        let stale: Vec<_> = lookup
            .query
            .closest()
            .filter(|holder| match lookup.holders.get(&holder.peer) {
                Some(Some(had)) => !had.covers(union),
                Some(None) => true,
                None => false,
            })
            .cloned()
            .collect();
        for holder in stale {
            let request = Request::PutValue { key: lookup.key.clone(), value: union.encode(cx.now) };
            self.request(cx, &holder, request, Purpose::Courtesy);
        }
    }

    /// A relay is a holder of its own values too.
    fn keep_own(&mut self, cx: &mut Context<'_>, request: &Request) {
        let kept = match request {
            Request::PutValue { key, value } => self.store.put(key, value, cx.now).map(drop),
            Request::AddProvider { key, provider } => self.store.add_provider(key, provider.clone(), cx.now).map(drop),
            _ => Ok(()),
        };
        if let Err(refused) = kept {
            self.news.push_back(News::Misbehaved(cx.local, refused.to_string()));
        }
    }

    fn closer(&self, target: &Position, asker: &PeerId) -> Vec<PeerAddresses> {
        let mut closer = self.table.closest(target, CLOSEST + 1);
        closer.retain(|peer| peer.peer != *asker);
        closer.truncate(CLOSEST);
        closer
    }

    fn drop_requests(&mut self, cx: &mut Context<'_>, purpose: Purpose) {
        let outputs = &mut cx.outputs;
        self.requests.retain(|id, request| {
            let keep = request.purpose != purpose;
            if !keep && request.connection.is_some() {
                outputs.push_back(Output::CancelRequest { request: *id });
            }
            keep
        });
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Lookup {
    /// Verifies what a holder had and merges it; returns what is new or wrong.
    fn absorb(&mut self, cx: &Context<'_>, id: LookupId, from: PeerId, value: Option<&[u8]>) -> Vec<News> {
        let mut news = Vec::new();
        let bundle = match (&self.want, value) {
            (Want::Bundle(key), Some(value)) => match Bundle::decode(key, value, cx.now) {
                Ok((bundle, rejected)) => {
                    for rejected in rejected.into_iter().filter(|rejected| !rejected.reason.is_about_time()) {
                        news.push(News::Misbehaved(from, rejected.reason.to_string()));
                    }
                    let union = self.union.get_or_insert_with(|| Bundle::new(key.clone()));
                    if union.merge_all(&bundle, cx.now) {
                        news.push(News::Bundle(id, union.clone()));
                    }
                    Some(bundle)
                }
                Err(error) => {
                    news.push(News::Misbehaved(from, error.to_string()));
                    None
                }
            },
            (Want::Addresses(peer), Some(value)) => {
                match SignedPeerRecord::decode(value) {
                    Ok(record) if record.record().peer == *peer => news.push(News::Addresses(id, record)),
                    Ok(record) => {
                        let reason = format!("it answered with addresses of {} for {peer}", record.record().peer);
                        news.push(News::Misbehaved(from, reason));
                    }
                    Err(error) => news.push(News::Misbehaved(from, error.to_string())),
                }
                None
            }
            _ => None,
        };
        self.holders.insert(from, bundle);
        news
    }
}

fn send(cx: &mut Context<'_>, id: RequestId, request: &InFlight, connection: ConnectionId) {
    cx.outputs.push_back(Output::Request {
        request: id,
        peer: request.peer,
        connection,
        message: request.request.encode(),
        answered: !matches!(request.request, Request::AddProvider { .. }),
    });
}

fn patience(cx: &Context<'_>, peer: &PeerId, suspects: &Set<PeerId>) -> Duration {
    if suspects.contains(peer) {
        return Duration::ZERO;
    }
    match cx.links.peer(peer) {
        Some(known) => known.rtt.map_or(PATIENCE_UNKNOWN, |rtt| (rtt * 4).clamp(PATIENCE.0, PATIENCE.1)),
        None => PATIENCE_DIAL,
    }
}
