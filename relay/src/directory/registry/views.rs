//! What goes into a registry and what comes out of it.

use std::collections::BTreeMap;

use libp2p_identity::{PeerId, PublicKey};
use multiaddr::Multiaddr;
use openred_core::{
    lifecycle::{Hold, STATES, Standing, State},
    peer_record::SignedPeerRecord,
    record::{RecordError, SignedRecord},
};

use super::super::store::{NodeRow, StoreError};

/// What a node says of itself, after it has proven its peer id.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// The key that it proved to have.
    pub(crate) public_key: PublicKey,
    /// Where it can be reached.
    pub(crate) addresses: Addresses,
    /// Where it stands, in its own words; may be empty.
    pub(crate) region: String,
    /// Whatever else it wants to say.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Where a node says it can be reached, and who can check that it said so.
#[derive(Clone, Debug)]
pub(crate) enum Addresses {
    /// In its signed peer record, which everybody can check.
    Signed(Box<SignedPeerRecord>),
    /// In an authenticated request, so that only this directory knows. Nodes with RSA keys sign no peer records.
    Stated(Vec<Multiaddr>),
}

/// What a registration came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Registered {
    /// Whether the directory did not know the node before.
    pub(crate) is_new: bool,
    /// Where the node stands.
    pub(crate) standing: Standing,
}

/// What a node said of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeInfo {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Its public key in libp2p's protobuf encoding.
    pub(crate) public_key: Box<[u8]>,
    /// Where it says it can be reached.
    pub(crate) addresses: Box<[Multiaddr]>,
    /// The signed peer record that says so, if the node gave one.
    pub(crate) envelope: Option<Box<[u8]>>,
    /// Grows with every registration.
    pub(crate) sequence: u64,
    /// Where it stands, in its own words.
    pub(crate) region: Box<str>,
    /// Whatever else it says.
    pub(crate) metadata: BTreeMap<String, String>,
    /// When it registered first, in milliseconds since the Unix epoch.
    pub(crate) registered: u64,
    /// When it last said something new of itself, in milliseconds since the Unix epoch.
    pub(crate) updated: u64,
}

impl From<NodeRow> for NodeInfo {
    fn from(row: NodeRow) -> Self {
        Self {
            peer: row.peer,
            public_key: row.public_key.into(),
            addresses: row.addresses.into(),
            envelope: row.envelope.map(Into::into),
            sequence: row.sequence,
            region: row.region.into(),
            metadata: row.metadata,
            registered: row.registered,
            updated: row.updated,
        }
    }
}

/// A node as the directory sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeView {
    /// What it said.
    pub(crate) info: NodeInfo,
    /// Where it stands in its lifecycle.
    pub(crate) standing: Standing,
    /// Its last sign of life, in milliseconds since the Unix epoch.
    pub(crate) heard: u64,
    /// Whether an operator keeps it out of answers.
    pub(crate) withheld: bool,
    /// How many services it offers here.
    pub(crate) services: usize,
}

/// A service as the directory sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceView {
    /// The provider's statement with its proof.
    pub(crate) record: SignedRecord,
    /// Where the provider stands in its lifecycle.
    pub(crate) state: State,
    /// Its last sign of life, in milliseconds since the Unix epoch.
    pub(crate) heard: u64,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T, K> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// After what the next page begins; none if this one is the last. A page with a next one may have few items, or none.
    pub(crate) next: Option<K>,
}

/// What the directory is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    /// How many nodes are in each state, in the order of [`State::ALL`].
    pub(crate) states: [usize; STATES],
    /// How many services a lookup would name, as they were within the last second.
    pub(crate) services: usize,
    /// Since when and why nobody is judged.
    pub(crate) held: Option<Hold>,
    /// Writes that wait for the database.
    pub(crate) queued: usize,
    /// Writes that may wait.
    pub(crate) queue: usize,
    /// Signs of life that are not written down.
    pub(crate) unflushed: usize,
    /// Whether the database could not do what was last asked of it, and has not been able to since.
    pub(crate) is_store_down: bool,
    /// The number of the newest change.
    pub(crate) newest_change: u64,
}

/// Why a registry did not do what it was asked. The texts are for clients: they tell nothing of the inside.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The node is not registered here.
    #[error("{0} is not registered here; register it first")]
    UnknownNode(PeerId),
    /// What is here is newer.
    #[error("a newer statement of the same node is here already")]
    Stale,
    /// An operator does not let the node take part.
    #[error("{peer} is banned from this directory{}", end_of_ban(*.until))]
    Banned {
        /// Who.
        peer: PeerId,
        /// Until when, in milliseconds since the Unix epoch; `u64::MAX` is for ever.
        until: u64,
    },
    /// What the node says of itself breaks a limit.
    #[error("{0}")]
    Invalid(String),
    /// The record breaks a limit, or its time is over.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no room for another node.
    #[error("this directory has no room for another node; use another relay")]
    Full,
    /// The node offers as many services as it may.
    #[error("a node may offer {0} services here; withdraw one first")]
    TooManyServices(usize),
    /// Too many writes wait.
    #[error("this directory is busy; try again in a moment")]
    Busy,
    /// The database does not answer.
    #[error("this directory cannot reach its database; try again later")]
    Unavailable,
    /// The database is full.
    #[error("this directory has no room on its disk; try another relay")]
    StorageFull,
    /// Something went wrong that the log of the relay tells.
    #[error("this directory failed; its log says why")]
    Failed,
}

impl RegistryError {
    /// Whether the same may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::StorageFull | Self::Failed)
    }

    /// The stable code of this error.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownNode(_) => "NOT_FOUND",
            Self::Stale | Self::Banned { .. } => "REFUSED",
            Self::Invalid(_) => "INVALID_OPTION",
            Self::Record(error) => error.code(),
            Self::Full | Self::TooManyServices(_) => "QUOTA",
            Self::Busy | Self::Unavailable | Self::StorageFull | Self::Failed => "STORAGE",
        }
    }
}

/// The log is told what the client is not.
impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => {
                tracing::warn!(reason, "the directory's database is not available");
                Self::Unavailable
            }
            StoreError::Full(reason) => {
                tracing::error!(reason, "the directory's database has no room left");
                Self::StorageFull
            }
            error => {
                tracing::error!(%error, "the directory's database failed");
                Self::Failed
            }
        }
    }
}

fn end_of_ban(until: u64) -> String {
    if until == u64::MAX { String::new() } else { format!(" until {until} (milliseconds since 1970)") }
}
