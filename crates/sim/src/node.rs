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
    RequestId, Response, Timer, event::Event, name::ServiceName,
};

use crate::wire::{AttemptGroup, WireId};

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
    /// Where it listens; clients do not.
    pub(crate) address: Option<Multiaddr>,
    pub(crate) mind: Mind,
    /// Counts restarts, so that what was meant for an earlier life does not reach a later one.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) silent: bool,
    /// Nodes in different zones do not hear each other.
    pub(crate) zone: usize,
    /// Places it gives as a relay.
    pub(crate) places: usize,
    pub(crate) books: Books,
    /// What the machine last wanted to be kept for its next life.
    pub(crate) memory: Option<Vec<u8>>,
    /// The orders of all its lives.
    pub(crate) orders: BTreeMap<OpId, Fate>,
    /// The events of all its lives.
    pub(crate) events: Vec<(Duration, Event)>,
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
    pub(crate) timer: Option<(Duration, Timer)>,
    pub(crate) timer_set: u64,
    /// How many times in a row the machine named a deadline that had passed.
    pub(crate) spins: u32,
    pub(crate) wires: BTreeSet<WireId>,
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
