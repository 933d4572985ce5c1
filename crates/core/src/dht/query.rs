//! One iterative Kademlia lookup: whom to ask next, and when enough have answered.
//!
//! A query walks towards a position in the key space. It keeps the closest candidates it has heard of, asks up to
//! [`QueryConfig::parallelism`] of them at a time, and learns closer ones from every answer. It is a pure iterator:
//! [`Query::next`], [`Query::answered`], [`Query::failed`]; it sends nothing itself and does not know what is asked.
//!
//! **When it ends.** Kademlia (Maymounkov and Mazières, 2002) waits until the `k` closest peers have answered. A peer that
//! stays silent would hold everybody up for its whole time limit, so each request carries a *patience*: a peer silent for
//! longer is *slow*. Slow peers give their place in the parallelism back and are not waited for, as long as anybody has
//! answered at all; a late answer of theirs still counts while the query lives. The `k` closest are those of the peers
//! that can be reached.
//!
//! **Whom it asks.** Closer ones first; among candidates of the same distance class (the same number of bits in common
//! with the target) those that answer soonest, as [`Standing`] says. Each slow peer raises the parallelism by one, up to
//! twice, so that a stretch of silent peers is passed in a few steps.
//!
//! **Liars.** A server can name peers close to the target that do not exist or do not answer. Each answer contributes at
//! most `k` candidates. A source that alone named `GHOSTS` candidates who did not answer is *doubted*: what nobody but it
//! has named is asked last, when everybody else in the window has answered. When there are too many candidates, the
//! farthest of those go that only one source has named, from the source with most of them, so that no source can push the
//! others' candidates out (the aim of S/Kademlia's disjoint paths, Baumgart and Mies 2007, at no cost in messages).
//!
//! Bounds: at most [`QueryConfig::candidates`] candidates that were not asked or have failed are remembered; after
//! `REQUESTS` times `k` requests the query ends with what it has.

use std::{cmp::Reverse, time::Duration};

use libp2p_identity::PeerId;

use super::key::{Distance, Position};
use crate::{
    map::Map,
    wire::kad::{MAX_ADDRESSES, PeerAddresses},
};

/// The limits of one query.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// How many closest peers must have answered: Kademlia's `k`, 20 in libp2p's specification.
    pub closest: usize,
    /// Requests in flight that are not slow. libp2p's specification says 10 for its α; more costs messages, fewer costs
    /// round trips.
    pub parallelism: usize,
    /// Candidates remembered. Three times `k` survives a third of them being silent with room for late arrivals; a guess.
    pub candidates: usize,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self { closest: 20, parallelism: 10, candidates: 60 }
    }
}

/// How soon a peer is expected to answer; the smaller is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A link to it stands.
    Linked,
    /// It has to be dialled.
    Unlinked,
    /// It let something go unanswered lately.
    Suspect,
}

/// Candidates that only one source has named, and that did not answer, after which the source's others are asked last.
/// With a third of all peers silent an honest answer of twenty has seven of those, and then only the order of asking is
/// another; a guess.
const GHOSTS: u8 = 4;

/// Requests of one query, as a multiple of `k`. Walks of 100 000 nodes with a third silent need three; the rest is room
/// for liars, and then somebody else is asked.
const REQUESTS: usize = 10;

/// What a query wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask this peer, then call [`Query::asked`].
    Ask(PeerAddresses),
    /// Nothing before this time unless an answer comes.
    Wait(Option<Duration>),
    /// Enough have answered.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// Put off: asked only if nobody else answers.
    Spared,
    /// Asked, and patient until then (time since the machine's start).
    Waiting(Duration),
    Slow,
    Answered,
    Failed,
}

#[derive(Debug)]
struct Candidate {
    peer: PeerAddresses,
    state: State,
    /// Requests on the way to it, itself included: 1 for what the routing table knew.
    hops: u8,
    /// Who named it first; none for what the routing table knew.
    source: Option<Distance>,
    /// Whether anybody else has named it too.
    confirmed: bool,
    /// Of those that it alone has named, how many did not answer.
    ghosts: u8,
}

/// The state of one lookup.
#[derive(Debug)]
pub struct Query {
    config: QueryConfig,
    target: Position,
    local: PeerId,
    candidates: Map<Distance, Candidate>,
    asked: usize,
}

impl Query {
    /// Starts a query from what the routing table knows.
    pub fn new(config: QueryConfig, local: PeerId, target: Position, start: Vec<PeerAddresses>) -> Self {
        let mut query = Self { config, target, local, candidates: Map::new(), asked: 0 };
        query.learn(None, 1, start);
        query
    }

    /// The position the query walks towards.
    pub fn target(&self) -> &Position {
        &self.target
    }

    /// What to do at `elapsed`, the time since the machine's start; `standing` says of a peer how soon it may answer.
    pub fn next(&mut self, elapsed: Duration, standing: &dyn Fn(&PeerId) -> Standing) -> Next {
        self.tire(elapsed);
        let answered = self.answers();
        let slow = self.slow().count();
        let parallelism = self.config.parallelism + slow.min(self.config.parallelism);
        // What is doubted is looked at when nothing else is left in the window.
        for doubted in [false, true] {
            let window = self.window(doubted);
            let wakes = window.clone().filter_map(|(_, known)| known.state.wake());
            if wakes.clone().count() < parallelism {
                let fresh = window.filter(|(_, known)| known.state == State::New);
                let next = fresh.min_by_key(|(distance, known)| {
                    (Reverse(distance.leading_zeros()), standing(&known.peer.peer), **distance)
                });
                if let Some((_, known)) = next.filter(|_| self.asked < REQUESTS * self.config.closest) {
                    return Next::Ask(known.peer.clone());
                }
            }
            let wake = wakes.min();
            if wake.is_some() {
                return Next::Wait(wake);
            }
        }
        if answered > 0 {
            return Next::Finished;
        }
        let spared = self.candidates.values().find(|known| known.state == State::Spared);
        match spared {
            Some(known) => Next::Ask(known.peer.clone()),
            None if slow > 0 => Next::Wait(None),
            None => Next::Finished,
        }
    }

    /// A request to `peer` is on its way; it is not slow before `patient_until`.
    pub fn asked(&mut self, peer: &PeerId, patient_until: Duration) {
        self.asked += 1;
        self.set(peer, State::Waiting(patient_until));
    }

    /// `peer` is not worth a request, unless nobody else answers; false if it has come to that.
    pub fn spare(&mut self, peer: &PeerId) -> bool {
        let distance = self.target.distance(&Position::of_peer(peer));
        let fresh = self.candidates.get(&distance).is_some_and(|known| known.state == State::New);
        if fresh {
            self.turn(distance, State::Spared);
        }
        fresh
    }

    /// `peer` answered and named peers closer to the target.
    pub fn answered(&mut self, peer: &PeerId, closer: Vec<PeerAddresses>) {
        self.set(peer, State::Answered);
        let distance = self.target.distance(&Position::of_peer(peer));
        let hops = self.hops(peer).unwrap_or(0);
        self.learn(Some(distance), hops.saturating_add(1), closer);
    }

    /// `peer` could not be reached, did not answer within the hard limit, or answered with nonsense.
    pub fn failed(&mut self, peer: &PeerId) {
        self.set(peer, State::Failed);
    }

    /// When the next waiting peer becomes slow.
    pub fn next_wake(&self) -> Option<Duration> {
        self.candidates.values().filter_map(|known| known.state.wake()).min()
    }

    /// The peers that were asked and let their patience run out.
    pub fn slow(&self) -> impl Iterator<Item = PeerId> {
        self.candidates.values().filter(|known| known.state == State::Slow).map(|known| known.peer.peer)
    }

    /// The closest peers that have answered, closest first, at most `k`.
    pub fn closest(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.candidates
            .values()
            .filter(|known| known.state == State::Answered)
            .map(|known| &known.peer)
            .take(self.config.closest)
    }

    /// The slow peers that would be among the `k` closest if they had answered.
    pub fn late(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.candidates
            .values()
            .filter(|known| matches!(known.state, State::Answered | State::Slow))
            .take(self.config.closest)
            .filter(|known| known.state == State::Slow)
            .map(|known| &known.peer)
    }

    /// How many peers have answered.
    pub fn answers(&self) -> usize {
        self.candidates.values().filter(|known| known.state == State::Answered).count()
    }

    /// How many peers were asked and are slow or have failed.
    pub fn misses(&self) -> usize {
        self.candidates.values().filter(|known| matches!(known.state, State::Slow | State::Failed)).count()
    }

    /// How many peers it knows, whatever became of them.
    pub fn known(&self) -> usize {
        self.candidates.len()
    }

    /// How many requests were sent.
    pub fn requests(&self) -> usize {
        self.asked
    }

    /// How many requests one after the other lead to this peer, its own included: its hops from here.
    pub fn hops(&self, peer: &PeerId) -> Option<u8> {
        let distance = self.target.distance(&Position::of_peer(peer));
        self.candidates.get(&distance).map(|known| known.hops)
    }

    /// The candidates that count: as many of the closest as must answer. Whoever failed, is slow or was put off is passed
    /// over.
    fn window(&self, doubted: bool) -> impl Iterator<Item = (&Distance, &Candidate)> + Clone {
        self.candidates
            .iter()
            .filter(move |(_, known)| match known.state {
                State::Failed | State::Slow | State::Spared => false,
                State::New | State::Waiting(_) => doubted || !self.doubts(known),
                State::Answered => true,
            })
            .take(self.config.closest)
    }

    /// Whether only a source that named too many ghosts has named this candidate.
    fn doubts(&self, known: &Candidate) -> bool {
        let source = known.source.filter(|_| !known.confirmed);
        source.and_then(|source| self.candidates.get(&source)).is_some_and(|source| source.ghosts >= GHOSTS)
    }

    /// Who let its patience run out is slow.
    fn tire(&mut self, elapsed: Duration) {
        let tired = |known: &Candidate| matches!(known.state, State::Waiting(until) if until <= elapsed);
        let tired: Vec<_> = self.candidates.iter().filter(|(_, known)| tired(known)).map(|(at, _)| *at).collect();
        tired.into_iter().for_each(|distance| self.turn(distance, State::Slow));
    }

    fn set(&mut self, peer: &PeerId, state: State) {
        self.turn(self.target.distance(&Position::of_peer(peer)), state);
    }

    /// Changes a candidate's state, and with it what its source is believed.
    fn turn(&mut self, distance: Distance, state: State) {
        let Some(known) = self.candidates.get_mut(&distance) else { return };
        let (before, source) = (known.state.is_ghost(), known.source.filter(|_| !known.confirmed));
        known.state = state;
        if let Some(source) = source.and_then(|source| self.candidates.get_mut(&source)) {
            match (before, state.is_ghost()) {
                (false, true) => source.ghosts = source.ghosts.saturating_add(1),
                (true, false) => source.ghosts = source.ghosts.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn learn(&mut self, source: Option<Distance>, hops: u8, peers: Vec<PeerAddresses>) {
        let mut named: Vec<_> = peers
            .into_iter()
            .filter(|peer| peer.peer != self.local)
            .map(|peer| (self.target.distance(&Position::of_peer(&peer.peer)), peer))
            .collect();
        if source.is_some() {
            named.sort_by_key(|(distance, _)| *distance);
            named.truncate(self.config.closest);
        }
        for (distance, peer) in named {
            match self.candidates.get_mut(&distance) {
                Some(known) => known.named_again(source, hops, peer),
                None => drop(self.candidates.insert(distance, Candidate::new(peer, hops, source))),
            }
        }
        let idle = self.candidates.values().filter(|known| known.is_idle()).count();
        for _ in self.config.candidates..idle {
            let Some(distance) = self.superfluous() else { break };
            self.candidates.remove(&distance);
        }
    }

    /// The candidate that is given up first when there are too many: of a source that alone has named more than half a
    /// window, the farthest of those; else the farthest of all.
    fn superfluous(&self) -> Option<Distance> {
        let alone = |known: &&Candidate| known.is_idle() && !known.confirmed && known.source.is_some();
        let mut shares: Map<Option<Distance>, usize> = Map::new();
        for known in self.candidates.values().filter(alone) {
            *shares.get_or_insert_with(known.source, || 0) += 1;
        }
        let most =
            shares.iter().max_by_key(|(_, share)| **share).filter(|(_, share)| **share * 2 > self.config.closest);
        let goes = |known: &Candidate| match most {
            Some((source, _)) => alone(&known) && known.source == *source,
            None => known.is_idle(),
        };
        self.candidates.iter().rev().find(|(_, known)| goes(known)).map(|(distance, _)| *distance)
    }
}

impl Candidate {
    fn new(peer: PeerAddresses, hops: u8, source: Option<Distance>) -> Self {
        Self { peer, state: State::New, hops, source, confirmed: false, ghosts: 0 }
    }

    /// Whether it could be forgotten without losing sight of a request.
    fn is_idle(&self) -> bool {
        matches!(self.state, State::New | State::Failed | State::Spared)
    }

    /// Somebody else has named it too. What it says of the addresses counts: the first may have lied about them.
    fn named_again(&mut self, source: Option<Distance>, hops: u8, peer: PeerAddresses) {
        if self.source == source {
            return;
        }
        self.hops = self.hops.min(hops);
        if std::mem::replace(&mut self.confirmed, true) {
            return;
        }
        let known = &mut self.peer.addresses;
        let other: Vec<_> = peer.addresses.into_iter().filter(|address| !known.contains(address)).collect();
        if other.is_empty() {
            return;
        }
        match self.state {
            State::Failed => (self.state, *known) = (State::New, other),
            State::New => {
                // Room for both, whatever the first has filled it with.
                known.truncate(MAX_ADDRESSES / 2);
                known.extend(other);
                known.truncate(MAX_ADDRESSES);
            }
            _ => {}
        }
    }
}

impl State {
    fn wake(self) -> Option<Duration> {
        match self {
            State::Waiting(until) => Some(until),
            _ => None,
        }
    }

    fn is_ghost(self) -> bool {
        matches!(self, State::Slow | State::Failed)
    }
}

#[cfg(test)]
mod tests;
