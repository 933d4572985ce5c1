//! What a directory keeps, and where.
//!
//! [`Store`] is the contract; [`sqlite`] and [`postgres`] carry it out, and one conformance suite holds both to it. A store
//! keeps rows and finds them again. It verifies no signature, decides nothing about lifecycles and reads no clock: dates come
//! in as milliseconds since the Unix epoch.
//!
//! Writes come in batches, and a batch is one transaction: when [`Store::apply`] has returned, it survives the death of the
//! process and of the machine. What a batch changes about nodes and services it also appends to the change log, in the same
//! transaction, in an order that readers never see grow in its middle.
//!
//! Lists are read by keyset: a page begins after the last key of the page before, so a row that stays is never missed or
//! seen twice, whatever else is written meanwhile. A store is asked for bounded pages only, and bounds its queues itself.

pub(super) mod columns;
mod kept;
pub(crate) mod postgres;
pub(crate) mod snapshot;
pub(crate) mod sqlite;
mod text;

use std::{collections::BTreeMap, str::FromStr};

use futures::future::BoxFuture;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{
    lifecycle::{Standing, State},
    record::SignedRecord,
};

pub(crate) use self::{
    kept::{Kept, KeptNode, KeptService, Taker},
    text::Words,
};

/// What a store answers.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Where a directory's data lives. See the module's documentation.
pub(crate) trait Store: Send + Sync + 'static {
    /// Carries out all writes or none, durably. The outcomes are in the order of the writes.
    fn apply(&self, writes: Vec<Write>) -> Answer<'_, Vec<Outcome>>;

    /// Nodes in the order of their peer ids' bytes, at most `limit`, after `after`.
    fn nodes(&self, query: NodeQuery, after: Option<PeerId>, limit: usize) -> Answer<'_, Vec<NodeRow>>;

    /// These nodes, as far as they are here, in the order of their peer ids' bytes.
    fn nodes_of(&self, peers: Vec<PeerId>) -> Answer<'_, Vec<NodeRow>>;

    /// Services in the order of their names and then of their providers' bytes, at most `limit`, after `after`.
    fn services(&self, query: ServiceQuery, after: Option<ServiceKey>, limit: usize) -> Answer<'_, Vec<SignedRecord>>;

    /// Every record of these providers, withdrawn ones too.
    fn services_of(&self, providers: Vec<PeerId>) -> Answer<'_, Vec<SignedRecord>>;

    /// Every node, and then every record of them, as they were at one moment: what a start needs. Nothing in them is read, since
    /// only what was verified is kept.
    fn load(&self, taker: Taker) -> Answer<'_, ()>;

    /// The change log after `after`, oldest first, at most `limit`.
    fn changes(&self, after: u64, limit: usize) -> Answer<'_, Changes>;

    /// Liveness that other instances wrote after `stamp`, at most `limit`, oldest first, each with its stamp. A store for one
    /// instance has none.
    fn liveness(&self, stamp: u64, limit: usize) -> Answer<'_, Vec<(u64, Liveness)>>;

    /// The stamp of the newest liveness; 0 if there is none, or for one instance.
    fn newest_stamp(&self) -> Answer<'_, u64>;

    /// The audit trail before `before`, newest first, at most `limit`.
    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditRow>>;

    /// The notes of a space, in the order of their keys, after `after`, at most `limit`; expired ones are left out.
    fn notes(&self, space: &'static str, after: Option<Vec<u8>>, limit: usize, now: u64) -> Answer<'_, Vec<Note>>;

    /// Whether the store can be read and written.
    fn ping(&self) -> Answer<'_, ()>;

    /// Gives every row that is worth keeping to `sink`, as they were at one moment, while others write.
    fn export(&self, sink: Sink) -> Answer<'_, ()>;

    /// Takes all rows from `source` in one transaction, in the place of what was here. If a row fails, nothing has changed.
    fn import(&self, source: Source) -> Answer<'_, u64>;

    /// Lets go of the database, so that it is left as it should be found. Nobody asks it any more.
    fn close(&self) -> Answer<'_, ()>;
}

/// Takes rows of an export. An error ends the export.
pub(crate) type Sink = Box<dyn FnMut(Row) -> Result<(), StoreError> + Send>;

/// Gives rows of an import. An error undoes it.
pub(crate) type Source = Box<dyn Iterator<Item = Result<Row, StoreError>> + Send>;

/// One row of an export.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// A node.
    Node(NodeRow),
    /// A service record.
    Service(SignedRecord),
    /// A note.
    Note(Note),
    /// Something that was done to the directory.
    Audit(AuditRow),
}

/// A node as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeRow {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Its public key in libp2p's protobuf encoding.
    pub(crate) public_key: Vec<u8>,
    /// Where it says it can be reached, the most important address first.
    pub(crate) addresses: Vec<Multiaddr>,
    /// The signed peer record that says so, if the node gave one.
    pub(crate) envelope: Option<Vec<u8>>,
    /// Grows with every registration of the node; of two the higher counts.
    pub(crate) sequence: u64,
    /// Where it stands, in its own words; may be empty.
    pub(crate) region: String,
    /// Whatever else it wants to say.
    pub(crate) metadata: BTreeMap<String, String>,
    /// When it registered first, in milliseconds since the Unix epoch.
    pub(crate) registered: u64,
    /// When it last said something new of itself, in milliseconds since the Unix epoch.
    pub(crate) updated: u64,
    /// Whether an operator keeps it out of answers.
    pub(crate) withheld: bool,
    /// Where it stands in its lifecycle, as far as that has been written.
    pub(crate) standing: Standing,
    /// The last sign of life that has been written, in milliseconds since the Unix epoch.
    pub(crate) heard: u64,
}

/// A node's liveness as it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Liveness {
    /// Whose.
    pub(crate) peer: PeerId,
    /// Where it stands.
    pub(crate) standing: Standing,
    /// Its last sign of life, in milliseconds since the Unix epoch. Of two rows the one with the later sign counts.
    pub(crate) heard: u64,
    /// Whether the state is another than before, which is worth a line in the change log.
    pub(crate) moved: bool,
}

/// One record of one provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ServiceKey {
    /// The service's name.
    pub(crate) name: String,
    /// Who offers it.
    pub(crate) provider: PeerId,
}

/// Something that is remembered for a time: a ban, a revoked token, a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Note {
    /// What sort of note it is.
    pub(crate) space: String,
    /// What it is about, at most 128 bytes.
    pub(crate) key: Vec<u8>,
    /// What it says, at most 4 KiB.
    pub(crate) value: Vec<u8>,
    /// Until when it holds, in milliseconds since the Unix epoch; `u64::MAX` is for ever.
    pub(crate) expires: u64,
}

/// Something that was done to the directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AuditRow {
    /// Its number; the store gives it.
    pub(crate) id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) at: u64,
    /// Who did it: a peer id, or the name of an operator's token.
    pub(crate) actor: String,
    /// What was done, a fixed word.
    pub(crate) action: String,
    /// To whom or what.
    pub(crate) subject: String,
    /// Whatever else is worth knowing.
    pub(crate) detail: String,
}

/// One write of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// A node registers, or says something new of itself. Stale if what is here has a higher sequence. The first
    /// registration's date stays, and so does [`NodeRow::withheld`].
    Node(Box<NodeRow>),
    /// A node and its services are forgotten.
    Forget {
        /// Who.
        peer: PeerId,
        /// Why: [`ChangeKind::Left`], [`ChangeKind::Evicted`] or [`ChangeKind::Died`].
        why: ChangeKind,
        /// When, in milliseconds since the Unix epoch.
        at: u64,
    },
    /// A service record. Stale if what is here is newer. Of a withdrawal the record itself stays until the next purge after
    /// its end, so that what it withdraws cannot come back.
    Service {
        /// The record; its provider must be a node.
        record: Box<SignedRecord>,
        /// When, in milliseconds since the Unix epoch.
        at: u64,
    },
    /// Signs of life, and moves of lifecycles.
    Liveness(Vec<Liveness>, u64),
    /// An operator keeps a node out of answers, or ends that.
    Withhold {
        /// Who.
        peer: PeerId,
        /// Whether it is kept out.
        withheld: bool,
        /// When, in milliseconds since the Unix epoch.
        at: u64,
    },
    /// A note, in the place of one with the same key.
    Note(Note),
    /// A note holds no longer.
    Unnote {
        /// Its space.
        space: &'static str,
        /// Its key.
        key: Vec<u8>,
    },
    /// A line for the audit trail; its number is ignored.
    Audit(AuditRow),
    /// Removes what has expired, and of the logs what is beyond their lengths.
    Purge {
        /// What ended before this has expired, in milliseconds since the Unix epoch.
        now: u64,
        /// Lines of the change log to keep.
        changes: u64,
        /// Lines of the audit trail to keep.
        audit: u64,
    },
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Applied,
    /// Exactly this record was here already; nothing changed.
    Known,
    /// What is here is newer; nothing changed.
    Stale,
    /// There was nothing to write to: no such node or note.
    Absent,
}

/// Which nodes are asked for; what is none or empty does not matter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct NodeQuery {
    /// Of this region.
    pub(crate) region: Option<String>,
    /// In one of these states, as far as they have been written.
    pub(crate) states: Vec<State>,
}

/// Which services are asked for; what is none or empty does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceQuery {
    /// All of these words begin a word of the name, the type, the region, the clusters or the metadata.
    pub(crate) words: Words,
    /// Of this name.
    pub(crate) name: Option<String>,
    /// Of this type.
    pub(crate) kind: Option<String>,
    /// Of this region.
    pub(crate) region: Option<String>,
    /// In this cluster.
    pub(crate) cluster: Option<String>,
    /// Living at this time, in milliseconds since the Unix epoch: not expired and not withdrawn. Without it all are found.
    pub(crate) living_at: Option<u64>,
}

/// A part of the change log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Changes {
    /// The changes, oldest first.
    pub(crate) changes: Vec<Change>,
    /// The number of the newest change that ever was; 0 if there was none.
    pub(crate) newest: u64,
    /// The number of the newest change that is not kept; whoever read up to before it has missed something.
    pub(crate) dropped: u64,
}

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Change {
    /// Its number; numbers grow, and may leave gaps.
    pub(crate) id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) at: u64,
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// To which node, or to a service of which provider.
    pub(crate) peer: PeerId,
    /// The service's name, if it is about a service.
    pub(crate) name: Option<String>,
    /// The state that the node is in, if that is what changed.
    pub(crate) state: Option<State>,
    /// Whether another instance wrote it.
    pub(crate) is_foreign: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum ChangeKind {
    /// A node registered, or said something new of itself.
    Registered,
    /// A node is in another state.
    Moved,
    /// An operator keeps a node out of answers.
    Withheld,
    /// An operator does so no longer.
    Restored,
    /// A node deregistered.
    Left,
    /// An operator removed a node.
    Evicted,
    /// A node was given up.
    Died,
    /// A provider offers a service, or said something new of it.
    Published,
    /// A provider took a service back.
    Withdrawn,
}

impl ChangeKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 9] = [
        Self::Registered,
        Self::Moved,
        Self::Withheld,
        Self::Restored,
        Self::Left,
        Self::Evicted,
        Self::Died,
        Self::Published,
        Self::Withdrawn,
    ];

    /// The kind's name for people and programs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "node:registered",
            Self::Moved => "node:moved",
            Self::Withheld => "node:withheld",
            Self::Restored => "node:restored",
            Self::Left => "node:left",
            Self::Evicted => "node:evicted",
            Self::Died => "node:died",
            Self::Published => "service:published",
            Self::Withdrawn => "service:withdrawn",
        }
    }
}

impl FromStr for ChangeKind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| StoreError::Corrupt(format!("`{text}` is no kind of change")))
    }
}

/// Why a store did not do what it was asked. The texts are for the log of the relay, not for clients.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, is locked, or is too busy; later it may do.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk is full. Reading goes on.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// What it holds cannot be read.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// It does not take what it was given.
    #[error("the database refused a row: {0}")]
    Refused(String),
    /// It was made by a newer release.
    #[error("the database is at version {found}, and this release knows {known} at most; use the release that made it")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It was made by an older release, and is only to be read.
    #[error(
        "the database is at version {found}, and this release copies version {known}; start its relay with this release once, \
         which brings it up to date, or use the release that made it; nothing was changed"
    )]
    Older {
        /// Its version; 0 if it is no directory.
        found: i64,
        /// The version known here.
        known: i64,
    },
    /// A snapshot is not whole.
    #[error("{0}")]
    Snapshot(String),
}

impl StoreError {
    /// Whether the same may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_))
    }
}

impl ServiceKey {
    /// The key of a record.
    pub(crate) fn of(record: &SignedRecord) -> Self {
        let record = record.record();
        Self { name: record.name.to_string(), provider: record.provider }
    }
}

#[cfg(test)]
pub(crate) mod conformance;
