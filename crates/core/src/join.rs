//! Joining: reaching relays, and saying why one cannot be reached.
//!
//! Relays are known from several *sources*: the application's configuration, an earlier life's memory, and bootstrap
//! lists. Each has an *attempt*: dial, identify, check that it serves this network's DHT, and after a failure try again
//! with backoff and jitter. Joining is complete when one relay is identified and has answered a DHT request.
//!
//! **Configured** relays are all tried, and kept connected for as long as the node lives: the first [`AT_ONCE`] at once,
//! the others [`STAGGER`] apart, as RFC 8305 ("happy eyeballs") spaces its attempts.
//!
//! **The others** are tried beside them only while connections lack: remembered relays first, then those that lists name
//! for the own region, for all, for other regions; within a source one of each address group before a second, else by
//! lot, so that neither a list's first line nor one operator's hundred lines get everybody. They start [`STAGGER`] apart,
//! with at most [`UNDER_WAY`] in flight, those that failed least first. So a list of a thousand silent liars costs three
//! dials a second and never holds a good entry up for more than the liars before it; an entry that leads to another
//! network or another peer is not tried again.
//!
//! Bounds: [`MAX_RELAYS`] configured, [`MAX_OTHERS`] others. This part does not know the routing table; once a node has
//! joined, its topology finds further company there.

mod attempt;

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use self::attempt::{Attempt, Source, Stage, is_hopeless};
use crate::{
    address::RelayAddress,
    bootstrap::{BootstrapList, MAX_ENTRIES},
    boundary::{ConnectionId, DialFailure, DialId, Output},
    context::Context,
    dht::diversity::Group,
    event::JoinStage,
    links::Peer,
    map::{Map, Set},
};

/// Configured relays that are tried; more bring no more safety and cost a dial each.
pub(crate) const MAX_RELAYS: usize = 32;

/// Other relays that are known at a time: a whole list, and what is remembered.
const MAX_OTHERS: usize = MAX_ENTRIES + MAX_RELAYS;

/// Configured relays that are dialled at once: as many as a node wants connections.
const AT_ONCE: usize = 3;

/// Time between two starts: RFC 8305's "connection attempt delay".
const STAGGER: Duration = Duration::from_millis(250);

/// The same between two starts that were in vain before, while nobody is connected and while somebody is: nothing is gained
/// by haste.
const STAGGER_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Attempts at other relays in flight: with [`STAGGER`], four seconds' worth of silent ones.
const UNDER_WAY: usize = 16;

/// The longest delay before a list's relay is tried again; there are many. A guess.
const OTHERS_BACKOFF: Duration = Duration::from_secs(300);

/// Delay before a relay of another network is asked again: only its operator can change that.
const WRONG_NETWORK_RETRY: Duration = Duration::from_secs(60);

/// Relays that a reason names; the rest is counted.
const NAMED: usize = 4;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Join {
    /// Configured relays first.
    attempts: Vec<Attempt>,
    configured: usize,
    backoff: (Duration, Duration),
    /// When the next of the others may start.
    next_start: Duration,
}

impl Join {
    pub(crate) fn new(relays: &[RelayAddress], backoff: (Duration, Duration), elapsed: Duration) -> Self {
        let delay = |index: usize| STAGGER * (index + 1).saturating_sub(AT_ONCE) as u32;
        let attempts: Vec<_> = relays
            .iter()
            .take(MAX_RELAYS)
            .enumerate()
            .map(|(index, relay)| Attempt::configured(relay, elapsed + delay(index), backoff))
            .collect();
        // What the application names has a head start.
        let next_start = if attempts.is_empty() { elapsed } else { elapsed + STAGGER };
        Self { configured: attempts.len(), attempts, backoff, next_start }
    }

    /// Takes up relays that served well in an earlier life, best first.
    pub(crate) fn remember(&mut self, cx: &mut Context<'_>, peers: impl IntoIterator<Item = (PeerId, Vec<Multiaddr>)>) {
        let backoff = self.others_backoff();
        let new = peers.into_iter().filter(|(_, addresses)| !addresses.is_empty()).map(|(peer, addresses)| {
            let text = format!("{}/p2p/{peer}", addresses[0]);
            Attempt::new(text, Source::Remembered, Some(peer), addresses, cx.now.elapsed, backoff)
        });
        let new = new.collect();
        self.add(cx, new, false);
    }

    /// Takes up the relays of a list.
    pub(crate) fn list(&mut self, cx: &mut Context<'_>, list: &BootstrapList) {
        let region = cx.config.region.to_lowercase();
        let source = |of: &str| match of {
            "" => Source::Global,
            of if of == region => Source::OwnRegion,
            _ => Source::Elsewhere,
        };
        let backoff = self.others_backoff();
        let new = list.entries().iter().map(|entry| {
            let address = &entry.address;
            let addresses = vec![address.multiaddr.clone()];
            let (text, source) = (address.to_string(), source(&entry.region));
            let mut attempt = Attempt::new(text, source, address.peer, addresses, cx.now.elapsed, backoff);
            attempt.region.clone_from(&entry.region);
            attempt
        });
        let new = new.collect();
        self.add(cx, new, true);
    }

    fn others_backoff(&self) -> (Duration, Duration) {
        (self.backoff.0, OTHERS_BACKOFF.max(self.backoff.1))
    }

    fn add(&mut self, cx: &mut Context<'_>, new: Vec<Attempt>, by_lot: bool) {
        let mut peers: Set<PeerId> = Set::new();
        let mut addresses: Set<Multiaddr> = Set::new();
        let mut groups: Map<(Source, Group), usize> = Map::new();
        for known in &self.attempts {
            peers.extend(known.expected);
            addresses.extend(known.addresses.iter().cloned());
            if let Some(group) = known.group() {
                *groups.get_or_insert_with((known.source, group), || 0) += 1;
            }
        }
        for (position, mut attempt) in (0..).zip(new) {
            let peer = attempt.expected;
            let known = peer.is_some_and(|peer| peer == cx.local || !peers.insert(peer));
            // An address without a peer id may lead to anybody, but not to somebody new twice.
            if known || (peer.is_none() && attempt.addresses.iter().all(|address| addresses.contains(address))) {
                continue;
            }
            addresses.extend(attempt.addresses.iter().cloned());
            if self.attempts.len() - self.configured >= MAX_OTHERS && !self.make_room() {
                return;
            }
            let nth = match attempt.group() {
                Some(group) => groups.get_or_insert_with((attempt.source, group), || 0),
                None => &mut 0,
            };
            attempt.rank = (*nth, if by_lot { cx.rng.u32(..) } else { position });
            *nth += 1;
            self.attempts.push(attempt);
        }
    }

    /// Forgets the one of the others that failed most; false if none did.
    fn make_room(&mut self) -> bool {
        let worst = (self.configured..self.attempts.len())
            .filter(|index| matches!(self.attempts[*index].stage, Stage::Due(_) | Stage::Refused | Stage::Myself))
            .max_by_key(|index| self.attempts[*index].failures)
            .filter(|index| self.attempts[*index].failures > 0);
        worst.map(|index| self.attempts.remove(index)).is_some()
    }

    /// `lacking` says whether connections lack.
    pub(crate) fn next_deadline(&self, lacking: bool) -> Option<Duration> {
        let may_start = lacking && self.under_way() < UNDER_WAY;
        self.attempts
            .iter()
            .filter_map(|attempt| match attempt.stage {
                Stage::Identifying(_, at) => Some(at),
                Stage::Due(at) if attempt.is_configured() => Some(at),
                Stage::Due(at) if may_start => Some(at.max(self.next_start)),
                _ => None,
            })
            .min()
    }

    /// Starts what is due and gives up what has taken too long.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, lacking: bool) {
        for attempt in &mut self.attempts {
            match attempt.stage {
                Stage::Due(at) if at <= cx.now.elapsed && attempt.is_configured() => attempt.start(cx),
                Stage::Identifying(connection, until) if until <= cx.now.elapsed => {
                    cx.outputs.push_back(Output::Disconnect { connection });
                    let limit = cx.config.join_attempt.as_secs();
                    attempt.fail(cx, "NO_RELAY", format!("it connected but did not identify itself within {limit} s"));
                }
                _ => {}
            }
        }
        while lacking && self.next_start <= cx.now.elapsed && self.under_way() < UNDER_WAY {
            let due = |attempt: &&mut Attempt| matches!(attempt.stage, Stage::Due(at) if at <= cx.now.elapsed);
            let others = self.attempts[self.configured..].iter_mut().filter(due);
            let Some(next) = others.min_by_key(|attempt| (attempt.failures, attempt.source, attempt.rank)) else {
                return;
            };
            let again = next.failures > 0;
            next.start(cx);
            // What cannot be dialled costs nothing and delays nobody.
            if next.stage != Stage::Refused {
                let pause = if cx.links.servers() == 0 { STAGGER_AGAIN.0 } else { STAGGER_AGAIN.1 };
                self.next_start = cx.after(if again { pause } else { STAGGER });
            }
        }
    }

    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, dial: DialId, peer: PeerId, connection: ConnectionId) {
        let until = cx.after(cx.config.join_attempt);
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.stage == Stage::Dialling(dial)) {
            attempt.peer = Some(peer);
            attempt.stage = Stage::Identifying(connection, until);
            attempt.tell(cx, JoinStage::Connected);
            if let Some(known) = cx.links.peer(&peer).filter(|known| known.identified).cloned() {
                self.identified(cx, peer, &known);
            }
        }
    }

    pub(crate) fn dial_failed(&mut self, cx: &mut Context<'_>, dial: DialId, failure: &DialFailure) {
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.stage == Stage::Dialling(dial)) else {
            return;
        };
        match failure {
            DialFailure::Myself => attempt.stage = Stage::Myself,
            DialFailure::Unsupported => attempt.fail(cx, "UNSUPPORTED", failure.to_string()),
            DialFailure::WrongPeer { .. } => attempt.fail(cx, "INVALID_ADDRESS", failure.to_string()),
            DialFailure::NotDirect { .. } | DialFailure::Failed(_) => attempt.fail(cx, "NO_RELAY", failure.to_string()),
        }
    }

    /// A peer has identified itself; `known` says whether it serves this network's DHT.
    pub(crate) fn identified(&mut self, cx: &mut Context<'_>, peer: PeerId, known: &Peer) {
        let network = cx.config.network.to_string();
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.peer == Some(peer)) {
            let waiting = match attempt.stage {
                Stage::Identifying(connection, _) => Some(connection),
                Stage::Due(_) => None,
                _ => continue,
            };
            if known.server {
                attempt.joined(cx);
            } else if let Some(connection) = waiting {
                cx.outputs.push_back(Output::Disconnect { connection });
                let reason = match &known.network {
                    Some(other) => format!("it serves the network \"{other}\", not \"{network}\""),
                    None => format!("it is a libp2p node, but not a relay of the network \"{network}\""),
                };
                attempt.fail_for(cx, "WRONG_NETWORK", reason, WRONG_NETWORK_RETRY);
            }
        }
    }

    /// A peer has lost its last link.
    pub(crate) fn disconnected(&mut self, cx: &mut Context<'_>, peer: PeerId) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.peer == Some(peer)) {
            match attempt.stage {
                Stage::Identifying(..) => {
                    attempt.fail(cx, "NO_RELAY", "it closed the connection before it identified itself".to_owned());
                }
                Stage::Member => attempt.fail(cx, "NO_RELAY", "the connection was lost".to_owned()),
                _ => {}
            }
        }
    }

    /// Tries every relay at once, whatever its backoff says: the network has come back.
    pub(crate) fn retry_now(&mut self, elapsed: Duration) {
        for attempt in &mut self.attempts {
            if matches!(attempt.stage, Stage::Due(_)) {
                attempt.stage = Stage::Due(elapsed);
                attempt.failures = 0;
            }
        }
        self.next_start = self.next_start.min(elapsed);
    }

    /// Tells a step that happened behind identification, if `peer` is a relay that was tried.
    pub(crate) fn tell(&self, cx: &mut Context<'_>, peer: PeerId, stage: JoinStage) {
        if let Some(attempt) = self.attempts.iter().find(|attempt| attempt.peer == Some(peer)) {
            attempt.tell(cx, stage);
        }
    }

    /// Whether the application named this peer, so that its link is kept whatever it is worth.
    pub(crate) fn keeps(&self, peer: &PeerId) -> bool {
        self.attempts[..self.configured].iter().any(|attempt| attempt.peer == Some(*peer))
    }

    /// Whether everybody that somebody named is this node itself. What is only remembered may be gone for good.
    pub(crate) fn is_alone(&self) -> bool {
        let named = |attempt: &&Attempt| attempt.source != Source::Remembered;
        self.attempts.iter().filter(named).all(|attempt| attempt.stage == Stage::Myself)
    }

    /// The code that all attempts failed with, if it is the same.
    pub(crate) fn common_code(&self) -> Option<&'static str> {
        let mut codes = self.attempts.iter().map(|attempt| attempt.failure.as_ref().map(|(code, _)| *code));
        let first = codes.next()??;
        codes.all(|code| code == Some(first)).then_some(first)
    }

    /// Whether no attempt can succeed by trying again, or there is none to make.
    pub(crate) fn hopeless(&self) -> bool {
        let hopeless = |attempt: &Attempt| attempt.failure.as_ref().is_some_and(|(code, _)| is_hopeless(code));
        self.attempts.iter().all(hopeless)
    }

    /// One sentence that names relays tried and why they failed: the configured ones, then some of the others.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let (configured, others) = self.attempts.split_at(self.configured);
        let mut reasons: Vec<String> = configured.iter().take(NAMED).map(Attempt::reason).collect();
        if let Some(more @ 1..) = configured.len().checked_sub(NAMED) {
            let codes = configured[NAMED..].iter().filter(|attempt| attempt.failure.is_some()).count();
            reasons.push(format!("{more} more configured relays, of which {codes} failed"));
        }
        for (remembered, what) in [(true, "remembered"), (false, "listed")] {
            let others = others.iter().filter(|attempt| (attempt.source == Source::Remembered) == remembered);
            let others: Vec<_> = others.collect();
            let failed: Vec<_> = others.iter().filter(|attempt| attempt.failure.is_some()).collect();
            if let Some(last) = failed.last() {
                let (failed, all) = (failed.len(), others.len());
                reasons.push(format!("{failed} of {all} {what} relays failed, as {}", last.reason()));
            } else if !others.is_empty() {
                reasons.push(format!("none of {} {what} relays was reached yet", others.len()));
            }
        }
        reasons
    }

    fn under_way(&self) -> usize {
        self.attempts[self.configured..].iter().filter(|attempt| attempt.is_under_way()).count()
    }
}
