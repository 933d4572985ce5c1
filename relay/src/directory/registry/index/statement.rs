//! What a node said of itself, in one piece of memory: read when somebody asks for the node, and not before.
//!
//! First comes the peer id, by which the index finds the node; then, each behind its length, what the store keeps in columns.
//! What is told elsewhere in it is left out: the key if the peer id holds it, the addresses if a signed peer record tells them,
//! and of that record the key once more ([`super::proof`]).

use libp2p_identity::PeerId;
use openred_core::{
    peer_record::SignedPeerRecord,
    wire::{envelope::inline_key, frame, unframe},
};

use super::proof;
use crate::directory::{
    registry::views::NodeInfo,
    store::{KeptNode, StoreError, columns},
};

/// See the module's documentation.
pub(super) struct Statement(Box<[u8]>);

/// Dates and numbers of a statement, which the index keeps beside it.
#[derive(Clone, Copy)]
pub(super) struct Dates {
    /// Grows with every registration.
    pub(super) sequence: u64,
    /// When the node registered first, in milliseconds since the Unix epoch.
    pub(super) registered: u64,
    /// When it last said something new of itself, in milliseconds since the Unix epoch.
    pub(super) updated: u64,
}

impl Dates {
    pub(super) fn of(row: &KeptNode<'_>) -> Self {
        Self { sequence: row.sequence, registered: row.registered, updated: row.updated }
    }
}

impl Statement {
    pub(super) fn of(row: &KeptNode<'_>) -> Self {
        let envelope = row.envelope.map(|envelope| proof::pack(envelope, &row.peer)).unwrap_or_default();
        let addresses = if envelope.is_empty() { row.addresses.as_bytes() } else { &[] };
        let key = if inline_key(&row.peer) == Some(row.public_key) { &[] } else { row.public_key };
        let parts = [key, addresses, &envelope, row.region.as_bytes(), row.metadata.as_bytes()];
        let mut bytes = row.peer.to_bytes();
        parts.into_iter().for_each(|part| bytes.extend(frame(part)));
        Self(bytes.into())
    }

    pub(super) fn peer(&self) -> PeerId {
        PeerId::from_bytes(self.peer_bytes()).expect("a statement begins with a peer id")
    }

    /// The digest of the peer id, which is as good as a random number.
    pub(super) fn digest(&self) -> &[u8] {
        &self.peer_bytes()[2..]
    }

    pub(super) fn is_of(&self, peer: &PeerId) -> bool {
        self.digest() == peer.as_ref().digest() && u64::from(self.0[0]) == peer.as_ref().code()
    }

    /// All that was said. It fails if the database gave something that it never took.
    pub(super) fn read(&self, dates: Dates) -> Result<NodeInfo, StoreError> {
        let peer = self.peer();
        let mut rest = &self.0[self.peer_bytes().len()..];
        let mut part = || {
            let (part, length) = unframe(rest, rest.len()).ok().flatten().unwrap_or_default();
            rest = &rest[length..];
            part
        };
        let [key, addresses, envelope, region, metadata] = [part(), part(), part(), part(), part()];
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let envelope = (!envelope.is_empty()).then(|| proof::unpack(envelope, &peer));
        let addresses = match &envelope {
            Some(envelope) => SignedPeerRecord::restore(envelope.clone())
                .map(|record| record.record().addresses.clone())
                .map_err(|error| StoreError::Corrupt(format!("a peer record cannot be read: {error}")))?,
            None => columns::addresses(text(addresses))?,
        };
        Ok(NodeInfo {
            peer,
            public_key: if key.is_empty() { inline_key(&peer).unwrap_or_default() } else { key }.into(),
            addresses: addresses.into(),
            envelope: envelope.map(Into::into),
            sequence: dates.sequence,
            region: text(region).into(),
            metadata: columns::metadata(text(metadata))?,
            registered: dates.registered,
            updated: dates.updated,
        })
    }

    /// The peer id: a code and a length of one byte each, since [`PeerId`] knows no others, and the digest.
    fn peer_bytes(&self) -> &[u8] {
        &self.0[..2 + usize::from(self.0[1])]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use multiaddr::multihash::Multihash;
    use openred_core::peer_record::PeerRecord;

    use super::*;
    use crate::directory::store::{
        NodeRow,
        conformance::{keypair, node, peer},
    };

    /// What comes out of the memory of a row.
    fn read_back(row: &NodeRow) -> Result<NodeInfo, StoreError> {
        let (statement, dates) = row.kept(|kept| (Statement::of(&kept), Dates::of(&kept)));
        assert!(statement.is_of(&row.peer) && !statement.is_of(&peer(99)));
        statement.read(dates)
    }

    /// A node that signed where it can be reached.
    fn signed_node(number: u64) -> NodeRow {
        let row = node(number);
        let record = PeerRecord { peer: row.peer, sequence: row.sequence, addresses: row.addresses.clone() };
        let record = record.sign(&keypair(number)).unwrap();
        NodeRow { envelope: Some(record.envelope().to_vec()), ..row }
    }

    #[test]
    fn what_a_node_said_is_read_as_it_was() {
        // Without a record, with one, and of a peer id that does not hold its key, as those of RSA keys.
        let hashed = PeerId::from_multihash(Multihash::wrap(0x12, &[7; 32]).unwrap()).unwrap();
        let stated = NodeRow { peer: hashed, public_key: vec![8; 294], ..node(1) };
        for row in
            [node(1), signed_node(2), stated, NodeRow { addresses: Vec::new(), metadata: BTreeMap::new(), ..node(3) }]
        {
            assert_eq!(read_back(&row).unwrap(), NodeInfo::from(row));
        }
    }

    #[test]
    fn a_signed_statement_takes_little_more_than_its_signature_and_what_it_says() {
        let row = NodeRow { metadata: BTreeMap::new(), ..signed_node(2) };
        let envelope = row.envelope.as_deref().map_or(0, <[u8]>::len);
        let bytes = row.kept(|kept| Statement::of(&kept)).0.len();
        assert!(bytes < envelope + 15, "{bytes} bytes for an envelope of {envelope}");
    }

    #[test]
    fn a_row_that_nobody_could_have_written_is_told_and_harms_nobody() {
        let record = NodeRow { envelope: Some(vec![1, 2, 3]), ..node(2) };
        assert!(read_back(&record).unwrap_err().to_string().contains("peer record"));
        let statement = node(1).kept(|kept| Statement::of(&KeptNode { metadata: "no JSON", ..kept }));
        let dates = Dates { sequence: 1, registered: 1, updated: 1 };
        assert!(statement.read(dates).unwrap_err().to_string().contains("metadata"));
    }
}
