//! Rows as they are kept: what a start reads, without a look into what nodes said.

use libp2p_identity::PeerId;
use openred_core::lifecycle::Standing;

use super::{NodeRow, StoreError, columns};

/// Takes the rows of [`Store::load`](super::Store::load).
pub(crate) type Taker = Box<dyn FnMut(Kept<'_>) + Send>;

/// One of them.
pub(crate) enum Kept<'a> {
    /// A node.
    Node(KeptNode<'a>),
    /// A record of one of the nodes before.
    Service(KeptService<'a>),
}

/// A node's row, the lists in it as the text in which they are kept. Its fields are those of [`NodeRow`].
#[derive(Clone, Copy)]
pub(crate) struct KeptNode<'a> {
    pub(crate) peer: PeerId,
    pub(crate) public_key: &'a [u8],
    pub(crate) addresses: &'a str,
    pub(crate) envelope: Option<&'a [u8]>,
    pub(crate) sequence: u64,
    pub(crate) region: &'a str,
    pub(crate) metadata: &'a str,
    pub(crate) registered: u64,
    pub(crate) updated: u64,
    pub(crate) withheld: bool,
    pub(crate) standing: Standing,
    pub(crate) heard: u64,
}

/// A record's row: what the columns say of the envelope, and the envelope.
#[derive(Clone, Copy)]
pub(crate) struct KeptService<'a> {
    pub(crate) name: &'a str,
    pub(crate) provider: PeerId,
    pub(crate) expires: u64,
    pub(crate) withdrawn: bool,
    pub(crate) envelope: &'a [u8],
}

impl KeptNode<'_> {
    /// The row, read.
    pub(super) fn read(&self) -> Result<NodeRow, StoreError> {
        Ok(NodeRow {
            peer: self.peer,
            public_key: self.public_key.to_vec(),
            addresses: columns::addresses(self.addresses)?,
            envelope: self.envelope.map(<[u8]>::to_vec),
            sequence: self.sequence,
            region: self.region.to_owned(),
            metadata: columns::metadata(self.metadata)?,
            registered: self.registered,
            updated: self.updated,
            withheld: self.withheld,
            standing: self.standing,
            heard: self.heard,
        })
    }
}

impl NodeRow {
    /// Shows the row as it is kept.
    pub(crate) fn kept<T>(&self, look: impl FnOnce(KeptNode<'_>) -> T) -> T {
        look(KeptNode {
            peer: self.peer,
            public_key: &self.public_key,
            addresses: &columns::addresses_text(&self.addresses),
            envelope: self.envelope.as_deref(),
            sequence: self.sequence,
            region: &self.region,
            metadata: &columns::metadata_text(&self.metadata),
            registered: self.registered,
            updated: self.updated,
            withheld: self.withheld,
            standing: self.standing,
            heard: self.heard,
        })
    }
}
