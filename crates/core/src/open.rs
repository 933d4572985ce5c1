//! Opening a stream to a provider: whom to try, by which path, and when to go on to the next.
//!
//! An open works through *candidates*, the providers of a name with the best first. For each it tries, in this order: the
//! links that stand already; the endpoints of its record; and, once, the addresses that the provider published since. A
//! silent path costs [`Config::open_attempt`](crate::Config), then the next is tried, so that a relay that died without a
//! word is left behind in seconds.
//!
//! Endpoints are dialled side by side, and each relay once, whichever of its addresses they name: a circuit is asked for
//! only when a link to its relay stands, since libp2p gives a circuit up whose relay is being dialled for another reason.
//!
//! How each provider did goes into the cache, for the ranking of the next answer. If all of them failed and some came from the
//! cache, the network is asked once before the open is given up: what is remembered may be out of date.
//!
//! Bounds: at most 32 candidates, twice, each dialled twice at the most, through at most `MAX_RELAYS` relays.

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::{
    address::{is_relayed, is_signalled},
    boundary::{ConnectionId, DialFailure, DialId, OpId, OpenId, Outcome, Output},
    context::{Connecting, Context},
    dht::{Dht, LookupId, Want, key::Key},
    error::Error,
    event::Path,
    find::{Found, Layer},
    ladder::NotDirect,
    map::{Map, Set},
    name::{ServiceName, ServiceTarget},
    record::Record,
    wire::stream::Status,
};

/// Relays through which one candidate is dialled at once; a node holds reservations at two or three.
const MAX_RELAYS: usize = 8;

/// Peers of whom is remembered why they could not be reached.
const MAX_UNREACHED: usize = 64;

/// One way to say where a stream should lead.
#[derive(Clone, Debug)]
pub enum Target {
    /// Any provider of a name, or the one it names.
    Name(crate::name::ServiceTarget),
    /// The provider of a record that was found before.
    Record(Box<Record>),
    /// A certain peer.
    Peer {
        /// The provider.
        peer: PeerId,
        /// The service.
        name: ServiceName,
    },
}

#[derive(Debug)]
struct Candidate {
    peer: PeerId,
    /// The sequence of its record; 0 if there is none.
    sequence: u64,
    /// Endpoints not dialled yet.
    endpoints: Vec<Multiaddr>,
    looked_up: bool,
    /// Whether any of its addresses could be dialled from here; none if none are known.
    dialled: Option<bool>,
}

#[derive(Debug)]
enum Stage {
    /// Waiting for providers to be found.
    Finding,
    /// Waiting for one of these dials to reach the candidate, and for these relays to be connected before it is dialled
    /// through them by these circuit addresses.
    Dialling {
        dials: Set<DialId>,
        relays: Map<PeerId, Multiaddr>,
    },
    LookingUp(LookupId),
    Opening {
        open: OpenId,
        until: Duration,
    },
}

#[derive(Debug)]
struct Opening {
    name: ServiceName,
    stage: Stage,
    candidates: VecDeque<Candidate>,
    tried: Set<ConnectionId>,
    /// What went wrong so far, in order.
    failures: Vec<String>,
    refused: Option<(PeerId, String)>,
    /// What to ask the network for if all candidates fail; none if it was asked.
    again: Option<ServiceTarget>,
    /// The records whose providers were tried.
    spent: Map<PeerId, u64>,
    /// When the present candidate's turn began.
    since: Duration,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    openings: Map<OpId, Opening>,
    next_open: u64,
    /// Opens that want the network to be asked.
    again: VecDeque<(OpId, ServiceTarget)>,
    /// Why the peers that could not be reached lately could not, the latest first.
    unreached: VecDeque<(PeerId, NotDirect)>,
}

impl Openings {
    pub(crate) fn len(&self) -> usize {
        self.openings.len()
    }

    /// Starts with a name; [`Openings::found`] follows.
    pub(crate) fn start_by_name(&mut self, op: OpId, target: ServiceTarget) {
        let mut opening = Opening::new(target.name.clone(), VecDeque::new());
        opening.again = Some(target);
        self.openings.insert(op, opening);
    }

    /// Why a peer could not be reached when that was tried last.
    pub(crate) fn unreached(&self, peer: &PeerId) -> Option<&NotDirect> {
        self.unreached.iter().find(|(known, _)| known == peer).map(|(_, why)| why)
    }

    /// The next open whose providers have all failed and that wants the network to be asked; [`Openings::found`] follows.
    pub(crate) fn next_again(&mut self) -> Option<(OpId, ServiceTarget)> {
        self.again.pop_front()
    }

    /// Starts with a known provider.
    pub(crate) fn start(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        op: OpId,
        name: ServiceName,
        peer: PeerId,
        endpoints: Vec<Multiaddr>,
    ) {
        let candidate = Candidate { peer, sequence: 0, endpoints, looked_up: false, dialled: None };
        let mut opening = Opening::new(name, VecDeque::from([candidate]));
        opening.since = cx.now.elapsed;
        self.openings.insert(op, opening);
        self.advance(cx, dht, op);
    }

    /// The provider whose turn it is in an open.
    pub(crate) fn trying(&self, op: OpId) -> Option<PeerId> {
        self.openings.get(&op)?.candidates.front().map(|candidate| candidate.peer)
    }

    /// The providers of a name are found.
    pub(crate) fn found(&mut self, cx: &mut Context<'_>, dht: &mut Dht, op: OpId, found: Found) {
        let Some(opening) = self.openings.get_mut(&op) else { return };
        if !found.records.iter().any(|found| found.layer == Layer::Cache) {
            opening.again = None;
        }
        opening.since = cx.now.elapsed;
        opening.candidates = found
            .records
            .into_iter()
            .map(|found| found.record)
            .filter(|record| opening.spent.get(&record.provider).is_none_or(|spent| *spent < record.sequence))
            .map(|record| Candidate {
                peer: record.provider,
                sequence: record.sequence,
                endpoints: record.endpoints,
                looked_up: false,
                dialled: None,
            })
            .collect();
        if opening.candidates.is_empty() && opening.failures.is_empty() {
            let name = opening.name.to_string();
            self.openings.remove(&op);
            return cx.done(op, Err(Error::NotFound(name)));
        }
        self.advance(cx, dht, op);
    }

    /// A link to a peer stands, by this dial if it was one of this node's.
    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, dht: &mut Dht, peer: PeerId, dial: Option<DialId>) {
        self.unreached.retain(|(known, _)| *known != peer);
        let ops: Vec<_> = self.openings.keys().copied().collect();
        let mut shared: Map<PeerId, Option<DialId>> = Map::new();
        for op in ops {
            let Some(opening) = self.openings.get_mut(&op) else { continue };
            let Stage::Dialling { dials, relays } = &mut opening.stage else { continue };
            if let Some(circuit) = relays.remove(&peer)
                && let Some(target) = opening.candidates.front().map(|candidate| candidate.peer)
            {
                dials.extend(*shared.get_or_insert_with(target, || cx.dial(target, &[circuit])));
            }
            let reached = dial.is_some_and(|dial| dials.contains(&dial));
            if reached || (dials.is_empty() && relays.is_empty()) {
                self.advance(cx, dht, op);
            }
        }
    }

    /// A dial failed; `peer` is whom it was for.
    pub(crate) fn dial_failed(
        &mut self,
        cx: &mut Context<'_>,
        dht: &mut Dht,
        dial: DialId,
        peer: Option<PeerId>,
        failure: &DialFailure,
    ) {
        let lost = peer.filter(|peer| !cx.links.is_connected(peer) && !cx.links.is_dialling(peer));
        let ops: Vec<_> = self.openings.keys().copied().collect();
        for op in ops {
            let Some(opening) = self.openings.get_mut(&op) else { continue };
            let Stage::Dialling { dials, relays } = &mut opening.stage else { continue };
            let relay = lost.filter(|peer| relays.remove(peer).is_some());
            if !dials.remove(&dial) && relay.is_none() {
                continue;
            }
            let over = dials.is_empty() && relays.is_empty();
            let who = relay.or(opening.candidates.front().map(|candidate| candidate.peer));
            if let Some(who) = who {
                opening.failed(format!("{who}: {failure}"));
            }
            if over {
                self.advance(cx, dht, op);
            }
        }
    }

    /// Addresses of a provider were found in the DHT.
    pub(crate) fn addresses(&mut self, cx: &mut Context<'_>, dht: &mut Dht, lookup: LookupId, addresses: &[Multiaddr]) {
        let Some(op) = self.waiting_for_lookup(lookup) else { return };
        dht.cancel_lookup(cx, lookup);
        if let Some(candidate) = self.openings.get_mut(&op).and_then(|opening| opening.candidates.front_mut()) {
            candidate.endpoints = addresses.to_vec();
        }
        self.advance(cx, dht, op);
    }

    /// A walk for a provider's addresses has ended and found none.
    pub(crate) fn looked_up(&mut self, cx: &mut Context<'_>, dht: &mut Dht, lookup: LookupId) {
        if let Some(op) = self.waiting_for_lookup(lookup) {
            self.advance(cx, dht, op);
        }
    }

    pub(crate) fn opened(&mut self, cx: &mut Context<'_>, open: OpenId) {
        match self.waiting_for_open(open) {
            Some(op) => {
                let opening = self.openings.remove(&op);
                if let Some(candidate) = opening.as_ref().and_then(|opening| opening.candidates.front()) {
                    let took = opening.as_ref().map_or(Duration::ZERO, |opening| cx.now.elapsed - opening.since);
                    cx.cache.providers.answered(candidate.peer, took, cx.now);
                }
                cx.done(op, Ok(Outcome::Opened(open)));
            }
            None => cx.outputs.push_back(Output::CancelOpen { open }),
        }
    }

    pub(crate) fn refused(&mut self, cx: &mut Context<'_>, dht: &mut Dht, open: OpenId, status: Status, message: &str) {
        let Some(op) = self.waiting_for_open(open) else { return };
        let Some(opening) = self.openings.get_mut(&op) else { return };
        let began = opening.since;
        let Some(candidate) = opening.next(cx.now.elapsed) else { return };
        let reason = match status {
            Status::NotFound => "it does not serve this name".to_owned(),
            Status::Busy => format!("it is busy {message}").trim_end().to_owned(),
            _ if message.is_empty() => "it gave no reason".to_owned(),
            _ => message.to_owned(),
        };
        let took = cx.now.elapsed.saturating_sub(began);
        cx.cache.providers.answered(candidate.peer, took, cx.now);
        opening.failures.push(format!("{}: {reason}", candidate.peer));
        opening.refused = Some((candidate.peer, reason));
        self.advance(cx, dht, op);
    }

    pub(crate) fn open_failed(&mut self, cx: &mut Context<'_>, dht: &mut Dht, open: OpenId, reason: String) {
        if let Some(op) = self.waiting_for_open(open) {
            self.fail(cx, dht, op, reason);
        }
    }

    /// Leaves paths behind that have been silent for too long.
    pub(crate) fn overdue(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        let overdue: Vec<_> = self
            .openings
            .iter()
            .filter_map(|(op, opening)| match opening.stage {
                Stage::Opening { open, until } if until <= cx.now.elapsed => Some((*op, open)),
                _ => None,
            })
            .collect();
        for (op, open) in overdue {
            cx.outputs.push_back(Output::CancelOpen { open });
            let limit = cx.config.open_attempt.as_millis();
            self.fail(cx, dht, op, format!("the path was silent for {limit} ms"));
        }
    }

    /// The caller gave up, or ran out of time; what went wrong so far.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, dht: &mut Dht, op: OpId) -> Option<String> {
        let opening = self.openings.remove(&op)?;
        match opening.stage {
            Stage::Opening { open, .. } => cx.outputs.push_back(Output::CancelOpen { open }),
            Stage::LookingUp(lookup) => dht.cancel_lookup(cx, lookup),
            Stage::Finding | Stage::Dialling { .. } => {}
        }
        Some(opening.failures.join("; "))
    }

    /// Whether a stream is being opened on a connection.
    pub(crate) fn uses(&self, connection: ConnectionId) -> bool {
        let opening = |opening: &Opening| matches!(opening.stage, Stage::Opening { .. });
        self.openings.values().any(|known| opening(known) && known.tried.contains(&connection))
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.openings
            .values()
            .filter_map(|opening| match opening.stage {
                Stage::Opening { until, .. } => Some(until),
                _ => None,
            })
            .min()
    }

    /// Takes the next step for the first candidate, or goes on to the next one.
    fn advance(&mut self, cx: &mut Context<'_>, dht: &mut Dht, op: OpId) {
        loop {
            let Some(opening) = self.openings.get_mut(&op) else { return };
            let Some(candidate) = opening.candidates.front_mut() else { return self.give_up(cx, op) };
            let peer = candidate.peer;
            if peer == cx.local {
                opening.failures.push(format!("{peer} is this node itself"));
                opening.next(cx.now.elapsed);
                continue;
            }
            let links = cx.links.links_to(&peer).into_iter().map(|(id, link)| (id, link.path));
            let link = links.into_iter().find(|(id, _)| !opening.tried.contains(id));
            if let Some((connection, path)) = link {
                if path == Path::Relayed && cx.config.goes_direct() {
                    cx.links.want(peer);
                }
                opening.tried.insert(connection);
                self.next_open += 1;
                let open = OpenId(self.next_open);
                opening.stage = Stage::Opening { open, until: cx.after(cx.config.open_attempt) };
                let name = opening.name.clone();
                cx.outputs.push_back(Output::OpenStream { open, op, peer, connection, name });
                return;
            }
            if !candidate.endpoints.is_empty() {
                let endpoints = std::mem::take(&mut candidate.endpoints);
                let (dials, relays) = dial_all(cx, dht, peer, &endpoints);
                if !dials.is_empty() || !relays.is_empty() {
                    candidate.dialled = Some(true);
                    opening.stage = Stage::Dialling { dials, relays };
                    return;
                }
                candidate.dialled.get_or_insert(false);
                opening.failures.push(format!("{peer}: none of its addresses can be dialled from here"));
                continue;
            }
            if !candidate.looked_up {
                candidate.looked_up = true;
                let key = Key::peer(&cx.config.network, &peer);
                let lookup = dht.look_up(cx, key.as_bytes().to_vec(), Want::Addresses(peer));
                opening.stage = Stage::LookingUp(lookup);
                return;
            }
            let dialled = candidate.dialled;
            opening.next(cx.now.elapsed);
            cx.cache.providers.failed(peer, cx.now);
            let said = opening.failures.last().map_or("nothing answers", String::as_str);
            let why = match dialled {
                Some(true) => Some(NotDirect::new("GONE", format!("no address leads to it any more: {said}"))),
                Some(false) => {
                    Some(NotDirect::new("NO_COMMON_RELAY", "none of its addresses can be dialled from here"))
                }
                None => None,
            };
            if let Some(why) = why.filter(|_| !cx.links.is_connected(&peer)) {
                self.unreached.retain(|(known, _)| *known != peer);
                self.unreached.truncate(MAX_UNREACHED - 1);
                self.unreached.push_front((peer, why));
            }
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, dht: &mut Dht, op: OpId, reason: String) {
        if let Some(opening) = self.openings.get_mut(&op)
            && let Some(candidate) = opening.candidates.front()
        {
            let failure = format!("{}: {reason}", candidate.peer);
            opening.failed(failure);
        }
        self.advance(cx, dht, op);
    }

    fn give_up(&mut self, cx: &mut Context<'_>, op: OpId) {
        if let Some(opening) = self.openings.get_mut(&op)
            && let Some(target) = opening.again.take()
        {
            opening.stage = Stage::Finding;
            return self.again.push_back((op, target));
        }
        let Some(opening) = self.openings.remove(&op) else { return };
        let error = match opening.refused {
            Some((peer, reason)) => Error::Refused { peer, reason },
            None if opening.failures.is_empty() => {
                Error::Unreachable(format!("no address of any provider of \"{}\" is known", opening.name))
            }
            None => Error::Unreachable(format!(
                "no provider of \"{}\" could be reached: {}",
                opening.name,
                opening.failures.join("; ")
            )),
        };
        cx.done(op, Err(error));
    }

    fn waiting_for_lookup(&self, lookup: LookupId) -> Option<OpId> {
        self.find(|stage| matches!(stage, Stage::LookingUp(waiting) if *waiting == lookup))
    }

    fn waiting_for_open(&self, open: OpenId) -> Option<OpId> {
        self.find(|stage| matches!(stage, Stage::Opening { open: waiting, .. } if *waiting == open))
    }

    fn find(&self, waits: impl Fn(&Stage) -> bool) -> Option<OpId> {
        self.openings.iter().find(|(_, opening)| waits(&opening.stage)).map(|(op, _)| *op)
    }
}

/// Dials a peer directly and through every relay that is connected, and connects the other relays first. Dials of the same
/// peer that are under way are shared: libp2p asks a relay for ten circuits at a time and drops what exceeds that.
///
/// Direct paths behind relays are the ladder's to try. A node that has chosen relayed paths only shows its address to nobody
/// but relays and DHT servers that it knows, whatever a record says: see [`own_addresses`].
fn dial_all(
    cx: &mut Context<'_>,
    dht: &Dht,
    peer: PeerId,
    endpoints: &[Multiaddr],
) -> (Set<DialId>, Map<PeerId, Multiaddr>) {
    let under_way: Set<DialId> = cx.links.dials_to(&peer).collect();
    if !under_way.is_empty() {
        return (under_way, Map::new());
    }
    let endpoints = endpoints.iter().filter(|address| !is_signalled(address)).cloned();
    let (circuits, mut direct): (Vec<Multiaddr>, Vec<Multiaddr>) = endpoints.partition(is_relayed);
    if cx.config.relayed_only {
        direct = own_addresses(cx, dht, &peer);
    }
    let mut dials: Set<DialId> = cx.dial(peer, &direct).into_iter().collect();
    let mut ways: Map<PeerId, (Multiaddr, Vec<Multiaddr>)> = Map::new();
    for circuit in circuits {
        let Some((relay, address)) = split(&circuit) else { continue };
        if ways.len() < MAX_RELAYS || ways.contains_key(&relay) {
            ways.get_or_insert_with(relay, || (circuit, Vec::new())).1.push(address);
        }
    }
    let mut relays = Map::new();
    for (relay, (circuit, mut addresses)) in ways {
        if cx.config.relayed_only {
            addresses = own_addresses(cx, dht, &relay);
        }
        match cx.connect(relay, &addresses) {
            Connecting::Connected(_) => dials.extend(cx.dial(peer, &[circuit])),
            Connecting::Dialling => drop(relays.insert(relay, circuit)),
            Connecting::Impossible => {}
        }
    }
    (dials, relays)
}

/// Where a relay or DHT server is reached by what this node itself knows: the routing table, or its configuration.
fn own_addresses(cx: &Context<'_>, dht: &Dht, peer: &PeerId) -> Vec<Multiaddr> {
    let met = dht.table.peers().find(|known| known.peer == *peer).into_iter().flat_map(|known| known.addresses.clone());
    let configured = cx.config.relays.iter().filter(|relay| relay.peer == Some(*peer));
    met.chain(configured.map(|relay| relay.multiaddr.clone())).collect()
}

/// The relay of a circuit address, and the address at which the relay itself is reached.
fn split(circuit: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = Multiaddr::empty();
    let mut relay = None;
    for protocol in circuit {
        match protocol {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return Some((relay?, address)),
            protocol => address.push(protocol),
        }
    }
    None
}

impl Opening {
    fn new(name: ServiceName, candidates: VecDeque<Candidate>) -> Self {
        Self {
            name,
            stage: Stage::Finding,
            candidates,
            tried: Set::new(),
            failures: Vec::new(),
            refused: None,
            again: None,
            spent: Map::new(),
            since: Duration::ZERO,
        }
    }

    /// Takes note of what went wrong. Who is dialled several ways, or anew, may fail as before.
    fn failed(&mut self, failure: String) {
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    /// The present candidate has failed: the next one's turn begins.
    fn next(&mut self, elapsed: Duration) -> Option<Candidate> {
        let candidate = self.candidates.pop_front()?;
        self.spent.insert(candidate.peer, candidate.sequence);
        self.since = elapsed;
        Some(candidate)
    }
}
