//! The peer record (RFC 0003): a peer's own signed statement of where it can be reached.
//!
//! Each node publishes one under `/openred/<network>/peer/<peer id>`, in the format of the other libp2p
//! implementations. It has no date and no lifetime; the highest sequence is the newest, and holders forget it after
//! [`PEER_RECORD_TTL`](crate::time::PEER_RECORD_TTL).

use std::fmt;

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use sha2::{Digest, Sha256};

use crate::wire::{
    envelope::{self, EnvelopeError},
    peer_record::{self as wire, SchemaError},
};

/// The longest envelope that is looked at, in bytes; room for [`MAX_ADDRESSES`] relayed addresses.
pub const MAX_ENVELOPE: usize = 4096;
/// The most addresses that are signed or read.
pub const MAX_ADDRESSES: usize = 32;

/// Where a peer says it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRecord {
    /// The peer; its key must sign.
    pub peer: PeerId,
    /// Grows with each record of the peer; ours are milliseconds since the Unix epoch.
    pub sequence: u64,
    /// Its addresses, the most important first.
    pub addresses: Vec<Multiaddr>,
}

impl PeerRecord {
    /// Signs the record with the peer's key.
    pub fn sign(self, keypair: &Keypair) -> Result<SignedPeerRecord, PeerRecordError> {
        let signer = keypair.public().to_peer_id();
        if signer != self.peer {
            return Err(PeerRecordError::NotByPeer { signer });
        }
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(PeerRecordError::TooMany { addresses: self.addresses.len() });
        }
        let envelope = envelope::seal(keypair, wire::PURPOSE, wire::encode(&self))?;
        check_size(&envelope)?;
        Ok(SignedPeerRecord::new(self, envelope))
    }
}

/// A peer record and the envelope that proves it. Valid by construction, and cannot be changed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPeerRecord {
    record: PeerRecord,
    envelope: Vec<u8>,
    digest: [u8; 32],
}

impl SignedPeerRecord {
    fn new(record: PeerRecord, envelope: Vec<u8>) -> Self {
        let digest = Sha256::digest(&envelope).into();
        Self { record, envelope, digest }
    }

    /// Reads an envelope from another peer: its size, signature and schema, and that it is signed by the peer it is of.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerRecordError> {
        check_size(bytes)?;
        let opened = envelope::open(bytes, wire::PURPOSE)?;
        let record = wire::decode(&opened.payload)?;
        let signer = opened.signer.to_peer_id();
        if signer != record.peer {
            return Err(PeerRecordError::NotByPeer { signer });
        }
        Ok(Self::new(record, opened.canonical))
    }

    /// Reads an envelope that [`decode`](Self::decode) has accepted before and that has been kept where only this node writes.
    /// The signature is not checked again.
    #[cfg(feature = "server")]
    pub fn restore(envelope: Vec<u8>) -> Result<Self, PeerRecordError> {
        let record = wire::decode(&envelope::reopen(&envelope, wire::PURPOSE)?)?;
        Ok(Self::new(record, envelope))
    }

    /// The statement.
    pub fn record(&self) -> &PeerRecord {
        &self.record
    }

    /// Whose addresses these are.
    pub fn peer(&self) -> PeerId {
        self.record.peer
    }

    /// The proof: the encoded envelope, at most [`MAX_ENVELOPE`] bytes.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Whether this record replaces `other` of the same peer; by the rule of service records.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.record.sequence, other.digest) > (other.record.sequence, self.digest)
    }
}

impl fmt::Debug for SignedPeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedPeerRecord").field(&self.record).finish()
    }
}

fn check_size(envelope: &[u8]) -> Result<(), PeerRecordError> {
    if envelope.len() > MAX_ENVELOPE { Err(PeerRecordError::TooLarge { bytes: envelope.len() }) } else { Ok(()) }
}

/// Why a peer record cannot be signed or is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRecordError {
    /// The envelope is too long.
    #[error("peer record of {bytes} bytes, at most {MAX_ENVELOPE}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// There are too many addresses to sign.
    #[error("{addresses} addresses, at most {MAX_ADDRESSES}")]
    TooMany {
        /// How many there are.
        addresses: usize,
    },
    /// The envelope is not one, or its signature does not hold.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is not a peer record.
    #[error("not a peer record")]
    Schema(#[from] SchemaError),
    /// The record is signed, but by somebody else than the peer it names.
    #[error("peer record is signed by {signer}, not by the peer it names")]
    NotByPeer {
        /// Who signed.
        signer: PeerId,
    },
}

impl PeerRecordError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooMany { .. } => "RECORD_TOO_LARGE",
            Self::Envelope(_) | Self::Schema(_) | Self::NotByPeer { .. } => "REFUSED",
        }
    }
}

#[cfg(test)]
mod tests;
