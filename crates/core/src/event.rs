//! What the application is told without having asked.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{find::FoundRecord, name::ServiceName, peer_record::SignedPeerRecord, record::SignedRecord};

/// One event. The names of the npm contract are given in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The node's state changed \[`status`\].
    Status(Status),
    /// A step of joining, for people who watch \[`join`\].
    Join(JoinStep),
    /// A peer has its first connection to this node \[`peer:connect`\].
    PeerConnected {
        /// Who.
        peer: PeerId,
        /// How.
        path: Path,
        /// Its address as this node sees it.
        address: Multiaddr,
    },
    /// A peer has lost its last connection to this node \[`peer:disconnect`\].
    PeerDisconnected {
        /// Who.
        peer: PeerId,
        /// Whether this node gave it up because it was silent; else one of the two sides closed it.
        silent: bool,
    },
    /// The best path to a connected peer changed \[`peer:path`\].
    PeerPath {
        /// Who.
        peer: PeerId,
        /// How it is reached from here on.
        path: Path,
    },
    /// A find or an open came upon a live record \[`record:found`\].
    RecordFound(Box<FoundRecord>),
    /// A find or an open learned that a provider took its offer back \[`record:gone`\].
    RecordGone {
        /// The service.
        name: ServiceName,
        /// Who offered it.
        provider: PeerId,
    },
    /// Something is wrong that the node lives with \[`warning`\].
    Warning {
        /// A stable code.
        code: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// A peer has told this relay something of itself that the relay did not know.
    Stated(Box<Statement>),
    /// The reader was slower than the events; this many were dropped \[`lagged`\].
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// What a peer says of itself, signed by it and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// It offers a service, or takes it back.
    Service(SignedRecord),
    /// It is reached at these addresses.
    Addresses(SignedPeerRecord),
}

impl Statement {
    /// Who says it.
    pub fn peer(&self) -> PeerId {
        match self {
            Statement::Service(record) => record.record().provider,
            Statement::Addresses(record) => record.peer(),
        }
    }
}

/// The state of a node, and why if that is not plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// The reason, where the state alone does not say it.
    pub reason: Option<String>,
}

/// The states of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No relay is identified yet.
    Joining,
    /// At least one relay of the network is identified and the DHT answers.
    Ready,
    /// Every relay is lost; the node goes on trying.
    Offline,
    /// The node ended by a fault of its own.
    Crashed,
    /// The application closed the node.
    Closed,
}

impl State {
    /// The word of the npm contract.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Joining => "joining",
            State::Ready => "ready",
            State::Offline => "offline",
            State::Crashed => "crashed",
            State::Closed => "closed",
        }
    }
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Over a connection of its own.
    Direct,
    /// Through a relay.
    Relayed,
}

impl Path {
    /// The word of the npm contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Path::Direct => "direct",
            Path::Relayed => "relayed",
        }
    }
}

/// One step of joining through one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinStep {
    /// The relay as the application named it.
    pub relay: String,
    /// The relay's peer id, once known.
    pub peer: Option<PeerId>,
    /// What happened.
    pub stage: JoinStage,
}

/// The stages of joining, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinStage {
    /// The relay is being dialled.
    Dialling,
    /// A connection stands and the relay's key is proven.
    Connected,
    /// The relay is identified as a member of this network.
    Identified,
    /// The relay answered a DHT request.
    DhtAnswered,
    /// The relay holds a reservation: others can reach this node through it.
    Reserved,
    /// The attempt failed.
    Failed {
        /// A stable code, one of the npm contract's.
        code: &'static str,
        /// The reason in words.
        reason: String,
        /// When the next attempt is due, in milliseconds from now.
        retry_in_ms: u64,
    },
}

impl JoinStage {
    /// The word by which the event names the stage.
    pub fn as_str(&self) -> &'static str {
        match self {
            JoinStage::Dialling => "dial",
            JoinStage::Connected => "connected",
            JoinStage::Identified => "identified",
            JoinStage::DhtAnswered => "dht",
            JoinStage::Reserved => "reserved",
            JoinStage::Failed { .. } => "failed",
        }
    }
}
