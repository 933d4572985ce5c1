//! Connections between nodes, attempts to make one, and what travels on them.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{
    DialId, DirectFailure, FetchId, Input, OpId, OpenId, RequestId, name::ServiceName, wire::stream::Status,
};

use crate::{NodeId, net::FetchStep};

/// Identifies a connection; both its ends use the number as their `ConnectionId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WireId(pub(crate) u64);

/// One address of one dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId(pub(crate) u64);

/// The attempts of one dial: the first that succeeds ends the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptGroup(pub(crate) u64);

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) ends: [End; 2],
    pub(crate) via: Option<Via>,
    /// The circuits that run over it.
    pub(crate) circuits: Vec<WireId>,
}

/// One side of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: NodeId,
    /// Whether this side still has the connection.
    pub(crate) open: bool,
    /// Whether this side's machine was told of it.
    pub(crate) known: bool,
    /// When the ping was sent that this side waits for.
    pub(crate) pinging: Option<Duration>,
    /// Service streams on it, and circuits over it at their relay.
    pub(crate) streams: usize,
}

/// What carries a relayed connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    pub(crate) relay: NodeId,
    pub(crate) under: [WireId; 2],
}

impl Wire {
    pub(crate) fn end(&self, node: NodeId) -> &End {
        &self.ends[usize::from(self.ends[0].node != node)]
    }

    pub(crate) fn end_mut(&mut self, node: NodeId) -> &mut End {
        &mut self.ends[usize::from(self.ends[0].node != node)]
    }

    pub(crate) fn other(&self, node: NodeId) -> NodeId {
        self.ends[usize::from(self.ends[0].node == node)].node
    }

    /// The nodes that a packet from `from` passes.
    pub(crate) fn hops(&self, from: NodeId) -> Hops {
        let to = self.other(from);
        match self.via {
            Some(via) => Hops::three(from, via.relay, to),
            None => Hops::two(from, to),
        }
    }
}

/// A packet's way: the nodes first to last, and how often it is travelled, there and back by turns, until it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hops {
    nodes: [NodeId; 3],
    pub(crate) trips: u32,
    /// Whether this is a connection's first packet, before anybody knows how long the way is.
    pub(crate) first: bool,
}

impl Hops {
    pub(crate) fn two(from: NodeId, to: NodeId) -> Self {
        Self::three(from, to, to)
    }

    pub(crate) fn three(from: NodeId, over: NodeId, to: NodeId) -> Self {
        Self { nodes: [from, over, to], trips: 1, first: false }
    }

    /// The same way, for a connection's first packet.
    pub(crate) fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// The same way, travelled this often.
    pub(crate) fn times(self, trips: u32) -> Self {
        Self { trips, ..self }
    }

    /// The hops, without those from a node to itself.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (NodeId, NodeId)> {
        let [a, b, c] = self.nodes;
        [(a, b), (b, c)].into_iter().filter(|(from, to)| from != to)
    }
}

/// One address that is being dialled.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) group: AttemptGroup,
    pub(crate) node: NodeId,
    /// The dial it belongs to; none if that was cancelled, or if it only reaches the relay of a circuit.
    pub(crate) dial: Option<DialId>,
    /// Who must answer.
    pub(crate) peer: Option<PeerId>,
    /// As it was dialled.
    pub(crate) address: Multiaddr,
    /// The node that has the address, or the relay of a circuit.
    pub(crate) target: Option<NodeId>,
    /// The circuit's part of the attempt.
    pub(crate) circuit: Option<Circuit>,
    /// The circuit attempt that waits for this connection to its relay.
    pub(crate) then: Option<AttemptId>,
    /// The relayed connection over which a direct path is agreed on.
    pub(crate) over: Option<WireId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Circuit {
    pub(crate) to: PeerId,
    /// The connections to the relay and from it to the target, once known.
    pub(crate) under: [Option<WireId>; 2],
}

/// What happens to an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The first packet reaches the dialled node.
    Syn,
    /// The handshake is through.
    Established,
    /// The relay is asked for a circuit.
    Hop,
    /// The relay asks the target.
    Stop,
    /// The circuit stands and its own handshake is through.
    Bridged,
    /// The offer of a direct path reaches the peer.
    Offered,
    /// Both sides know each other's addresses.
    Agreed,
    /// A pair of addresses has worked, and the handshake over it is through.
    Paired,
    Failed(&'static str),
    /// There will be no direct path.
    NotDirect(DirectFailure),
}

/// What arrives at an end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// The other side's handshake is through.
    Connected {
        address: Multiaddr,
    },
    /// The other side has closed.
    Close,
    /// The answer to identify, which the other side gives as of its departure.
    Identify,
    /// The answer to a ping sent at this time.
    Pong {
        sent: Duration,
        missed: u32,
    },
    /// The answer to a ping that the machine wanted.
    Echo {
        sent: Duration,
    },
    Ask {
        request: RequestId,
        message: Vec<u8>,
        answered: bool,
    },
    Answer {
        request: RequestId,
        message: Vec<u8>,
    },
    /// To the sender itself: a request without answer is written.
    Written {
        request: RequestId,
    },
    /// The request's stream was reset or could not be negotiated.
    Reset {
        request: RequestId,
        reason: &'static str,
    },
    OpenStream {
        open: OpenId,
        name: ServiceName,
    },
    OpenAnswer {
        open: OpenId,
        status: Status,
    },
    /// The opener has closed a stream.
    StreamClosed,
    Reserve,
    ReserveAnswer {
        accepted: bool,
    },
}

/// What will happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A machine's timer.
    Timer {
        node: NodeId,
        life: u64,
        set: u64,
    },
    /// The last moment at which an order may be answered.
    Overdue {
        node: NodeId,
        life: u64,
        op: OpId,
    },
    /// A fact that does not travel.
    Tell {
        node: NodeId,
        life: u64,
        input: Input,
    },
    /// What travels for an HTTP request.
    Fetch {
        node: NodeId,
        life: u64,
        fetch: FetchId,
        hops: Hops,
        step: FetchStep,
    },
    Arrive {
        wire: WireId,
        to: NodeId,
        hops: Hops,
        packet: Packet,
    },
    Step {
        attempt: AttemptId,
        hops: Hops,
        step: Step,
    },
    /// An attempt has taken longer than the transport allows.
    GiveUp {
        attempt: AttemptId,
    },
    /// The next ping of this end; `missed` were not answered.
    Ping {
        wire: WireId,
        node: NodeId,
        missed: u32,
    },
    /// A ping sent at this time should have been answered.
    PingDue {
        wire: WireId,
        node: NodeId,
        sent: Duration,
        missed: u32,
    },
    /// A reservation is asked for again before it runs out.
    Renew {
        wire: WireId,
        node: NodeId,
    },
}

impl Happening {
    /// The way of what travels.
    pub(crate) fn hops(&self) -> Option<Hops> {
        match self {
            Happening::Arrive { hops, .. } | Happening::Step { hops, .. } | Happening::Fetch { hops, .. } => {
                Some(*hops)
            }
            _ => None,
        }
    }
}
