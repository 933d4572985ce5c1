//! One simulated node: a machine, its clock, and the books that the real shell keeps between a fact and its answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use openred_core::{
    Config, DialFailure, DialId, Error, FetchId, InboundId, Machine, Now, OpId, OpenId, Outcome, RegistrationId,
    RequestId, Response, event::Event, name::ServiceName,
};

use crate::wire::{AttemptGroup, AttemptId, WireId};

/// Wall-clock time of every simulation's beginning.
pub(crate) const EPOCH_MS: u64 = 1_795_000_000_000;

/// A node of a simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

pub(crate) struct Node {
    pub(crate) keypair: Keypair,
    pub(crate) peer: PeerId,
    pub(crate) config: Config,
    /// Where it listens, over WebSocket first; clients do not.
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) mind: Mind,
    /// Counts restarts, so that what was meant for an earlier life does not reach a later one.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) hearing: Hearing,
    /// It is gone without a word, and only starts again.
    pub(crate) lost: bool,
    /// It is frozen: nothing happens to it, not even its own timers.
    pub(crate) asleep: bool,
    /// It only answers DHT requests: its machine is told nothing else and asks nobody.
    pub(crate) passive: bool,
    /// Nodes in different zones do not hear each other.
    pub(crate) zone: usize,
    /// Places it gives as a relay.
    pub(crate) places: usize,
    /// WebRTC connections that its page has made, over all its lives.
    pub(crate) made: u32,
    /// What the relay says of itself as `bootstrap.json`.
    pub(crate) bootstrap: String,
    pub(crate) books: Books,
    /// What the machine last wanted to be kept for its next life.
    pub(crate) memory: Option<Vec<u8>>,
    pub(crate) traffic: Traffic,
    /// The orders of all its lives.
    pub(crate) orders: BTreeMap<OpId, Fate>,
    /// The events of all its lives.
    pub(crate) events: Vec<(Duration, Event)>,
}

/// Which packets of a node are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hearing {
    /// What it sends is lost.
    pub(crate) mute: bool,
    /// What is sent to it is lost.
    pub(crate) deaf: bool,
}

/// What a node has sent since its making, over all its lives. Bytes are those of the messages themselves, without the
/// framing of the transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// DHT requests.
    pub requests: u64,
    /// Bytes of them.
    pub request_bytes: u64,
    /// Answers to others' DHT requests.
    pub answers: u64,
    /// Bytes of them.
    pub answer_bytes: u64,
    /// Addresses dialled.
    pub dials: u64,
    /// Pings.
    pub pings: u64,
    /// HTTP requests.
    pub fetches: u64,
}

impl Traffic {
    /// DHT messages of both kinds.
    pub fn messages(&self) -> u64 {
        self.requests + self.answers
    }

    /// Bytes of DHT messages of both kinds.
    pub fn bytes(&self) -> u64 {
        self.request_bytes + self.answer_bytes
    }
}

/// What a peer without rules answers to a request.
pub(crate) type Lie = Box<dyn FnMut(&[u8]) -> Response>;

/// What decides for a node.
pub(crate) enum Mind {
    /// It is not running.
    Dead,
    Machine(Box<Machine>),
    /// A peer that follows no rules: it serves the DHT and answers what this function says.
    Hostile(Lie),
}

/// What the shell remembers. Dies with the machine.
#[derive(Default)]
pub(crate) struct Books {
    /// When the machine is woken next, in the time of its life; it may want that later by then.
    pub(crate) timer: Option<Duration>,
    pub(crate) timer_set: u64,
    /// How many times in a row the machine named a deadline that had passed.
    pub(crate) spins: u32,
    pub(crate) wires: BTreeSet<WireId>,
    /// The connections without relay, by whom they lead to, oldest first.
    pub(crate) direct: BTreeMap<NodeId, Vec<WireId>>,
    pub(crate) attempts: BTreeSet<AttemptId>,
    pub(crate) dials: BTreeMap<DialId, Dialling>,
    pub(crate) requests: BTreeMap<RequestId, WireId>,
    pub(crate) fetches: BTreeSet<FetchId>,
    pub(crate) inbound: BTreeMap<InboundId, (WireId, RequestId)>,
    pub(crate) opens: BTreeMap<OpenId, WireId>,
    pub(crate) opened: BTreeMap<OpenId, WireId>,
    pub(crate) streams: BTreeMap<OpId, WireId>,
    pub(crate) provides: BTreeMap<OpId, ServiceName>,
    pub(crate) registrations: BTreeMap<ServiceName, RegistrationId>,
    pub(crate) handlers: BTreeSet<ServiceName>,
    /// Reservations asked for or held at relays.
    pub(crate) places_at: BTreeMap<PeerId, WireId>,
    /// Reservations this relay holds for others.
    pub(crate) places_for: BTreeMap<NodeId, WireId>,
    /// What the machine wants to be used for direct paths.
    pub(crate) stun_servers: Vec<String>,
    /// What a hostile node was answered.
    pub(crate) replies: BTreeMap<RequestId, Option<Vec<u8>>>,
}

#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) group: AttemptGroup,
    pub(crate) failures: Vec<DialFailure>,
}

/// What became of an order.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Pending {
        what: String,
        since: Duration,
    },
    Done {
        outcome: Box<Result<Outcome, Error>>,
        took: Duration,
    },
    /// The node died first.
    Lost,
}

/// The two clocks of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When this life began.
    pub(crate) started: Duration,
    /// How far the wall clock is off, in milliseconds.
    pub(crate) skew_ms: i64,
}

impl Clock {
    pub(crate) fn now(&self, now: Duration) -> Now {
        let unix_ms = (EPOCH_MS + now.as_millis() as u64).saturating_add_signed(self.skew_ms);
        Now { elapsed: now.saturating_sub(self.started), unix_ms }
    }
}

impl Node {
    pub(crate) fn machine(&mut self) -> Option<&mut Machine> {
        match &mut self.mind {
            Mind::Machine(machine) => Some(machine),
            _ => None,
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.mind, Mind::Dead)
    }
}
