//! One iterative Kademlia lookup: whom to ask next, and when enough have answered.
//!
//! A query walks towards a position in the key space. It keeps the closest candidates it has heard of, asks up to
//! [`QueryConfig::parallelism`] of them at a time, and learns closer ones from every answer. It is a pure iterator:
//! [`Query::next`], [`Query::answered`], [`Query::failed`]; it sends nothing itself and does not know what is asked.
//!
//! **When it ends.** Kademlia (Maymounkov and Mazières, 2002) waits until the `k` closest peers have answered. A peer that
//! stays silent would hold everybody up for its whole time limit, so each request carries a *patience*: a peer silent for
//! longer is *slow*. Slow peers give their place in the parallelism back and are not waited for, as long as anybody has
//! answered at all; a late answer of theirs still counts while the query lives.
//!
//! Bounds: at most [`QueryConfig::candidates`] candidates are remembered, the closest ones.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::key::{Distance, Position};
use crate::{map::Map, wire::kad::PeerAddresses};

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
}

/// The state of one lookup.
#[derive(Debug)]
pub struct Query {
    config: QueryConfig,
    target: Position,
    local: PeerId,
    candidates: Map<Distance, Candidate>,
}

impl Query {
    /// Starts a query from what the routing table knows.
    pub fn new(config: QueryConfig, local: PeerId, target: Position, start: Vec<PeerAddresses>) -> Self {
        let mut query = Self { config, target, local, candidates: Map::new() };
        query.learn(start);
        query
    }

    /// The position the query walks towards.
    pub fn target(&self) -> &Position {
        &self.target
    }

    /// What to do at `elapsed`, the time since the machine's start.
    pub fn next(&mut self, elapsed: Duration) -> Next {
        for candidate in self.candidates.values_mut() {
            if matches!(candidate.state, State::Waiting(until) if until <= elapsed) {
                candidate.state = State::Slow;
            }
        }
        let mut waiting = 0;
        let mut answered = 0;
        let mut relevant = 0;
        let mut slow = false;
        let mut wake: Option<Duration> = None;
        for candidate in self.candidates.values() {
            match candidate.state {
                State::Failed => continue,
                State::Slow => {
                    slow = true;
                    continue;
                }
                State::New if waiting < self.config.parallelism => return Next::Ask(candidate.peer.clone()),
                State::New => break,
                State::Waiting(until) => {
                    waiting += 1;
                    wake = Some(wake.map_or(until, |at| at.min(until)));
                }
                State::Answered => answered += 1,
            }
            relevant += 1;
            if relevant == self.config.closest {
                break;
            }
        }
        if waiting == 0 && (answered > 0 || !slow) { Next::Finished } else { Next::Wait(wake) }
    }

    /// A request to `peer` is on its way; it is not slow before `patient_until`.
    pub fn asked(&mut self, peer: &PeerId, patient_until: Duration) {
        self.set(peer, State::Waiting(patient_until));
    }

    /// `peer` answered and named peers closer to the target.
    pub fn answered(&mut self, peer: &PeerId, closer: Vec<PeerAddresses>) {
        self.set(peer, State::Answered);
        self.learn(closer);
    }

    /// `peer` could not be reached, did not answer within the hard limit, or answered with nonsense.
    pub fn failed(&mut self, peer: &PeerId) {
        self.set(peer, State::Failed);
    }

    /// When the next waiting peer becomes slow.
    pub fn next_wake(&self) -> Option<Duration> {
        self.candidates
            .values()
            .filter_map(|candidate| match candidate.state {
                State::Waiting(until) => Some(until),
                _ => None,
            })
            .min()
    }

    /// The peers that were asked and let their patience run out.
    pub fn slow(&self) -> impl Iterator<Item = PeerId> {
        self.candidates.values().filter(|candidate| candidate.state == State::Slow).map(|candidate| candidate.peer.peer)
    }

    /// The closest peers that have answered, closest first, at most `k`.
    pub fn closest(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.candidates
            .values()
            .filter(|candidate| candidate.state == State::Answered)
            .map(|candidate| &candidate.peer)
            .take(self.config.closest)
    }

    /// The slow peers that would be among the `k` closest if they had answered.
    pub fn late(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.candidates
            .values()
            .filter(|candidate| matches!(candidate.state, State::Answered | State::Slow))
            .take(self.config.closest)
            .filter(|candidate| candidate.state == State::Slow)
            .map(|candidate| &candidate.peer)
    }

    /// How many peers have answered.
    pub fn answers(&self) -> usize {
        self.candidates.values().filter(|candidate| candidate.state == State::Answered).count()
    }

    fn set(&mut self, peer: &PeerId, state: State) {
        let distance = self.target.distance(&Position::of_peer(peer));
        if let Some(candidate) = self.candidates.get_mut(&distance) {
            candidate.state = state;
        }
    }

    fn learn(&mut self, peers: Vec<PeerAddresses>) {
        for peer in peers {
            if peer.peer == self.local {
                continue;
            }
            let distance = self.target.distance(&Position::of_peer(&peer.peer));
            self.candidates.get_or_insert_with(distance, || Candidate { peer, state: State::New });
        }
        while self.candidates.len() > self.config.candidates {
            let farthest_new = self
                .candidates
                .iter()
                .rev()
                .find(|(_, candidate)| matches!(candidate.state, State::New | State::Failed))
                .map(|(distance, _)| *distance);
            match farthest_new {
                Some(distance) => self.candidates.remove(&distance),
                None => break,
            };
        }
    }
}

#[cfg(test)]
mod tests;
