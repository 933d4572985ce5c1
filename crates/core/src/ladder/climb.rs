//! One peer that is reached through a relay, on its way to a direct path: whether to try now, and if not, why.
//!
//! A pure machine: it is told what is [`Seen`] of the links to the peer, what an attempt came to, and the time.

use std::{cmp::Reverse, time::Duration};

use fastrand::Rng;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    address::is_signalled,
    backoff::Backoff,
    boundary::{ConnectionId, DialFailure, DialId, DirectFailure},
    event::Path,
    ladder::{
        budget::Room,
        reason::{Failure, Why},
    },
    links::Links,
};

/// How long a relayed link counts as in use after its last stream: requests that follow each other use it by turns.
const LINGER: Duration = Duration::from_secs(10);

/// How long streams must have run for a peer to count as valuable: longer than one request takes. A guess.
const VALUABLE: Duration = Duration::from_secs(10);

/// When the side that was dialled tries as well: the other one would have come to its end by then.
const OTHERS_TURN: Duration = Duration::from_secs(30);

/// Time for the first ping on a direct link to come back: several round trips around the world.
const PROOF: Duration = Duration::from_secs(5);

/// A direct link that lived this long worked, so that the next attempt is made [`SOON`] after its loss.
const WORKED: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(1);

/// The least time between two wakes that end a backoff: a visitor who changes tabs all the time must not spend the page's
/// connections.
const WAKES: Duration = Duration::from_secs(600);

/// Circuits to one peer that are remembered; it holds reservations at two or three relays.
const MAX_CIRCUITS: usize = 4;

/// What the links say of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Whether a direct link stands and has proven itself.
    pub(super) direct: bool,
    /// A direct link from which no ping has come back, and since when it stands.
    pub(super) unproven: Option<(ConnectionId, Duration)>,
    /// The best relayed link's address.
    pub(super) circuit: Option<Multiaddr>,
    /// Its round trip.
    pub(super) rtt: Option<Duration>,
    /// Streams on relayed links.
    pub(super) streams: usize,
    /// Whether it is this side that tries first: the one that dialled the relayed link; of two that dialled each other, the one
    /// with the smaller id.
    pub(super) first: bool,
    pub(super) identified: bool,
    /// Whether the peer speaks the signalling protocol.
    pub(super) signals: bool,
}

impl Seen {
    pub(super) fn of(links: &Links, peer: &PeerId, local: &PeerId) -> Self {
        let mut seen = Self::default();
        let Some(about) = links.peer(peer) else { return seen };
        (seen.identified, seen.signals) = (about.identified, about.signals);
        let (mut dialled, mut answered) = (false, false);
        for (id, link) in links.links_to(peer) {
            match link.path {
                Path::Relayed => seen.streams += link.streams.unwrap_or(0),
                Path::Direct if link.released || link.is_silent() => {}
                Path::Direct if is_signalled(&link.address) && !link.is_proven() => {
                    seen.unproven = Some((id, link.since.elapsed));
                }
                Path::Direct => seen.direct = true,
            }
            if link.path == Path::Relayed && !link.released && !link.is_silent() {
                if seen.circuit.is_none() {
                    (seen.circuit, seen.rtt) = (Some(link.address.clone()), link.rtt);
                }
                dialled |= link.outbound;
                answered |= !link.outbound;
            }
        }
        seen.first = dialled && (!answered || local < peer);
        seen
    }
}

/// How much an attempt is worth; more is better, and the fields first to last are the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    /// A direct path to this peer was not slower when it was last measured, or never was.
    gains: bool,
    /// Streams that run through the relay.
    streams: usize,
    /// What the relayed path takes: the slower, the more there is to gain.
    rtt: Option<Duration>,
    /// Who waits longest.
    since: Reverse<Duration>,
}

/// What is to be done about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A direct path stands.
    Up,
    /// Nothing until something happens, or at most until then.
    Wait(Why, Option<Duration>),
    /// No ping came back on this direct link.
    GiveBack(ConnectionId),
    Try(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not to be tried before.
    Resting(Duration),
    Trying(DialId),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Climb {
    stage: Stage,
    backoff: Backoff,
    /// When the peer came into use, and when it was last used.
    since: Duration,
    used: Duration,
    running: bool,
    /// When a wake last ended the backoff.
    woken: Option<Duration>,
    /// The relayed round trip at the time of the last attempt, and whether the direct one was not longer.
    relayed: Option<Duration>,
    gains: bool,
    /// Why the last attempt failed.
    failure: Option<Failure>,
    circuits: Vec<Multiaddr>,
}

impl Climb {
    pub(super) fn new(backoff: (Duration, Duration), elapsed: Duration) -> Self {
        Self {
            stage: Stage::Resting(Duration::ZERO),
            backoff: Backoff::new(backoff.0, backoff.1),
            since: elapsed,
            used: elapsed,
            running: false,
            woken: None,
            relayed: None,
            gains: true,
            failure: None,
            circuits: Vec::new(),
        }
    }

    /// A stream is being opened, begins or ends, and whether any runs from here on.
    pub(super) fn used(&mut self, running: bool, elapsed: Duration) {
        if !self.running && self.used + LINGER <= elapsed {
            self.since = elapsed;
        }
        (self.used, self.running) = (elapsed, running);
    }

    pub(super) fn last_used(&self) -> Duration {
        self.used
    }

    /// What is to be done, as things stand.
    pub(super) fn next(&self, seen: &Seen, room: Room, elapsed: Duration) -> Next {
        if seen.direct {
            return Next::Up;
        }
        if let Some((connection, since)) = seen.unproven {
            let until = since + PROOF;
            return if until > elapsed { Next::Wait(Why::Trying, Some(until)) } else { Next::GiveBack(connection) };
        }
        let resting = match self.stage {
            Stage::Trying(_) => return Next::Wait(Why::Trying, None),
            Stage::Resting(until) => Some(until).filter(|until| *until > elapsed),
        };
        if seen.circuit.is_none() || !seen.identified {
            return Next::Wait(Why::Unknown, None);
        }
        if !seen.signals {
            return Next::Wait(Why::OffThere, None);
        }
        let failed = if self.failure.is_some() { Why::Failed } else { Why::Unused };
        if seen.streams == 0 && self.used + LINGER <= elapsed {
            return Next::Wait(failed, None);
        }
        if let Some(until) = resting {
            return Next::Wait(failed, Some(until));
        }
        if !seen.first && self.since + OTHERS_TURN > elapsed {
            return Next::Wait(Why::Theirs, Some(self.since + OTHERS_TURN));
        }
        let valuable = self.since + VALUABLE;
        match room {
            Room::None => return Next::Wait(Why::Quota, None),
            Room::Valuable if seen.streams == 0 || !self.gains => return Next::Wait(Why::Quota, None),
            Room::Valuable if valuable > elapsed => return Next::Wait(Why::Quota, Some(valuable)),
            Room::Valuable | Room::Enough => {}
        }
        Next::Try(Value { gains: self.gains, streams: seen.streams, rtt: seen.rtt, since: Reverse(self.since) })
    }

    /// An attempt of this side begins; the relayed path takes this long.
    pub(super) fn begin(&mut self, dial: DialId, relayed: Option<Duration>) {
        self.stage = Stage::Trying(dial);
        self.relayed = relayed;
    }

    pub(super) fn is_trying(&self) -> bool {
        matches!(self.stage, Stage::Trying(_))
    }

    pub(super) fn tries(&self, dial: DialId) -> bool {
        self.stage == Stage::Trying(dial)
    }

    /// An attempt of either side has led to a link, which is not proven yet.
    pub(super) fn connected(&mut self, elapsed: Duration) {
        self.stage = Stage::Resting(elapsed);
    }

    /// The first ping on a direct link took this long.
    pub(super) fn proven(&mut self, rtt: Duration) {
        self.failure = None;
        self.backoff.reset();
        self.gains = self.relayed.is_none_or(|relayed| rtt <= relayed);
    }

    /// An attempt of either side failed.
    pub(super) fn failed(&mut self, failure: Failure, elapsed: Duration, rng: &mut Rng) {
        self.stage = Stage::Resting(elapsed + self.backoff.fail(rng));
        self.failure = Some(failure);
    }

    /// An attempt of the other side failed; one of this side goes on.
    pub(super) fn their_attempt_failed(&mut self, failure: Failure, elapsed: Duration, rng: &mut Rng) {
        if !self.is_trying() {
            self.failed(failure, elapsed, rng);
        }
    }

    /// A direct link that stood this long is lost.
    pub(super) fn lost(&mut self, lived: Duration, elapsed: Duration, rng: &mut Rng) {
        let pause = if lived >= WORKED { SOON.mul_f64(0.5 + 0.5 * rng.f64()) } else { self.backoff.fail(rng) };
        self.stage = Stage::Resting(elapsed + pause);
        (self.since, self.running) = (elapsed, false);
        self.failure = Some(Failure::new("LOST", "the direct connection was lost"));
    }

    /// The page has woken up, perhaps in another network.
    pub(super) fn wake(&mut self, elapsed: Duration) {
        if self.woken.is_none_or(|at| at + WAKES <= elapsed) {
            self.network_changed(elapsed);
        }
    }

    /// The network is another: what failed before may work.
    pub(super) fn network_changed(&mut self, elapsed: Duration) {
        self.woken = Some(elapsed);
        self.backoff.reset();
        if let Stage::Resting(until) = &mut self.stage {
            *until = elapsed.min(*until);
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The circuits that led to the peer, or by which it says that it is reached.
    pub(crate) fn circuits(&self) -> &[Multiaddr] {
        &self.circuits
    }

    pub(super) fn remember(&mut self, circuit: &Multiaddr) {
        if !self.circuits.contains(circuit) {
            self.circuits.insert(0, circuit.clone());
            self.circuits.truncate(MAX_CIRCUITS);
        }
    }
}

/// What a failed dial says about a direct path.
pub(super) fn failure_of(failure: &DialFailure) -> Failure {
    let code = match failure {
        DialFailure::NotDirect { why, .. } => why.code(),
        DialFailure::Unsupported => DirectFailure::Unsupported.code(),
        DialFailure::Myself | DialFailure::WrongPeer { .. } | DialFailure::Failed(_) => "FAILED",
    };
    Failure::new(code, failure.to_string())
}

#[cfg(test)]
mod tests;
