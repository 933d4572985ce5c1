//! The record: the signed statement "peer P offers service S".
//!
//! A [`Record`] is the statement, open to be filled in; a [`SignedRecord`] is the statement together with the envelope
//! that proves it, and cannot be changed. There are two ways to one: [`Record::sign`] and [`SignedRecord::decode`].
//! Both check everything that can be checked without a clock, so whoever holds one need not check again. Dates are
//! checked apart, by [`SignedRecord::check_time`], because they come out differently later.
//!
//! A provider says something new by signing a record with a higher sequence; it takes a service back by signing one
//! that is `withdrawn`. Which of two records holds is decided by [`SignedRecord::is_newer_than`] alike on every node.
//!
//! All limits stand here. They add up to more than an envelope can hold, so each can be used to the full, but not all
//! at once. A record does not say which network it is for: the key it is stored under does.

use std::{collections::BTreeMap, fmt};

use libp2p_identity::{Keypair, PeerId};
use multiaddr::Multiaddr;
use sha2::{Digest, Sha256};

use crate::{
    name::{NameError, ServiceName},
    time::{CLOCK_TOLERANCE, TTL_DEFAULT, TTL_MAX, TTL_MIN, millis},
    wire::{
        envelope::{self, EnvelopeError},
        record::{self as wire, SchemaError},
    },
};

/// The longest envelope, signature included, in bytes (design contract).
pub const MAX_ENVELOPE: usize = 2048;
/// The most metadata, in bytes of all keys and values together (design contract).
pub const MAX_METADATA: usize = 1024;
/// The most metadata entries; what a list can still show.
pub const MAX_METADATA_ENTRIES: usize = 32;
/// The longest type, in bytes.
pub const MAX_KIND: usize = 64;
/// The longest region, in bytes.
pub const MAX_REGION: usize = 32;
/// The most clusters a record names.
pub const MAX_CLUSTERS: usize = 8;
/// The longest name of a cluster, in bytes.
pub const MAX_CLUSTER: usize = 64;
/// The most endpoints; a node has a few relays and a few addresses of its own.
pub const MAX_ENDPOINTS: usize = 16;
/// The length of the post-quantum key's hash, when there is one: sha2-256.
pub const PQ_KEY_HASH: usize = 32;
/// The largest sequence and date: the largest integer that a JavaScript number holds exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// What a provider states about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The service's name.
    pub name: ServiceName,
    /// What sort of service it is, in the provider's words (`type` on the wire and in JavaScript). May be empty.
    pub kind: String,
    /// Who offers it; the key that signs must be this peer's.
    pub provider: PeerId,
    /// Where the provider can be reached, the most important address first.
    pub endpoints: Vec<Multiaddr>,
    /// Whatever else the provider wants to say.
    pub metadata: BTreeMap<String, String>,
    /// Where the provider is, in its own words. May be empty.
    pub region: String,
    /// The clusters the service belongs to.
    pub clusters: Vec<String>,
    /// Grows with each record of the same provider for the same name.
    pub sequence: u64,
    /// When the record was made, in milliseconds since the Unix epoch.
    pub issued_at: u64,
    /// How long it holds from then on, in milliseconds.
    pub ttl: u64,
    /// Whether the service is taken back.
    pub withdrawn: bool,
    /// The sha2-256 of the provider's post-quantum public key, or empty.
    pub pq_key_hash: Vec<u8>,
}

impl Record {
    /// A record with the default lifetime and nothing but what it must have, dated `now_ms`, which is its sequence too.
    pub fn new(name: ServiceName, provider: PeerId, now_ms: u64) -> Self {
        Self {
            name,
            kind: String::new(),
            provider,
            endpoints: Vec::new(),
            metadata: BTreeMap::new(),
            region: String::new(),
            clusters: Vec::new(),
            sequence: now_ms,
            issued_at: now_ms,
            ttl: millis(TTL_DEFAULT),
            withdrawn: false,
            pq_key_hash: Vec::new(),
        }
    }

    /// The record that takes this one back: newer, without what only a living service needs, and valid at least as
    /// long.
    pub fn withdrawal(&self, now_ms: u64) -> Self {
        let left = self.expires_at().saturating_sub(now_ms);
        Self {
            sequence: next_sequence(self.sequence, now_ms),
            ttl: left.clamp(millis(TTL_MIN), millis(TTL_MAX)),
            withdrawn: true,
            ..Self::new(self.name.clone(), self.provider, now_ms)
        }
    }

    /// When the record ceases to hold, in milliseconds since the Unix epoch.
    pub fn expires_at(&self) -> u64 {
        self.issued_at.saturating_add(self.ttl)
    }

    /// Drops endpoints from the end until the record may be signed, if endpoints are what makes it too large.
    ///
    /// Returns how many were dropped. A record that is too large without any endpoint keeps none and is still refused
    /// by [`sign`](Self::sign).
    pub fn fit_endpoints(&mut self) -> usize {
        let before = self.endpoints.len();
        self.endpoints.truncate(MAX_ENDPOINTS);
        while self.envelope_len() > MAX_ENVELOPE && self.endpoints.pop().is_some() {}
        before - self.endpoints.len()
    }

    /// How long the envelope of this record is, signature included, in bytes.
    pub fn envelope_len(&self) -> usize {
        envelope::sealed_len(wire::PURPOSE, wire::encoded_len(self))
    }

    /// Checks every limit that does not need a clock.
    pub fn check(&self) -> Result<(), RecordError> {
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let cluster = self.clusters.iter().map(String::len).max().unwrap_or(0);
        let measures = [
            (Measure::Kind, self.kind.len(), MAX_KIND),
            (Measure::Metadata, metadata, MAX_METADATA),
            (Measure::MetadataEntries, self.metadata.len(), MAX_METADATA_ENTRIES),
            (Measure::Region, self.region.len(), MAX_REGION),
            (Measure::Clusters, self.clusters.len(), MAX_CLUSTERS),
            (Measure::Cluster, cluster, MAX_CLUSTER),
            (Measure::Endpoints, self.endpoints.len(), MAX_ENDPOINTS),
            (Measure::Envelope, self.envelope_len(), MAX_ENVELOPE),
        ];
        if let Some((measure, size, limit)) = measures.into_iter().find(|(_, size, limit)| size > limit) {
            return Err(RecordError::TooLarge { measure, size, limit });
        }
        if !(millis(TTL_MIN)..=millis(TTL_MAX)).contains(&self.ttl) {
            return Err(RecordError::Ttl { ttl: self.ttl });
        }
        if self.sequence > MAX_NUMBER || self.issued_at > MAX_NUMBER {
            return Err(RecordError::Number);
        }
        if !matches!(self.pq_key_hash.len(), 0 | PQ_KEY_HASH) {
            return Err(RecordError::PqKeyHash { bytes: self.pq_key_hash.len() });
        }
        Ok(())
    }

    /// Signs the record with the provider's key.
    pub fn sign(self, keypair: &Keypair) -> Result<SignedRecord, RecordError> {
        self.check()?;
        let signer = keypair.public().to_peer_id();
        if signer != self.provider {
            return Err(RecordError::NotByProvider { signer });
        }
        let envelope = envelope::seal(keypair, wire::PURPOSE, wire::encode(&self))?;
        Ok(SignedRecord::new(self, envelope))
    }
}

/// The sequence after `last`: above it, and never below the time, so that a provider that lost its last one still
/// counts upwards.
pub fn next_sequence(last: u64, now_ms: u64) -> u64 {
    last.saturating_add(1).max(now_ms)
}

/// A record and the envelope that proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: Record,
    envelope: Vec<u8>,
    digest: [u8; 32],
}

impl SignedRecord {
    fn new(record: Record, envelope: Vec<u8>) -> Self {
        let digest = Sha256::digest(&envelope).into();
        Self { record, envelope, digest }
    }

    /// Reads an envelope from another peer: its size, signature, schema and limits, and that the provider signed it.
    ///
    /// Dates are not checked, see [`check_time`](Self::check_time).
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(RecordError::TooLarge { measure: Measure::Envelope, size: bytes.len(), limit: MAX_ENVELOPE });
        }
        let opened = envelope::open(bytes, wire::PURPOSE)?;
        let record = wire::decode(&opened.payload)?;
        let signer = opened.signer.to_peer_id();
        if signer != record.provider {
            return Err(RecordError::NotByProvider { signer });
        }
        record.check()?;
        Ok(Self::new(record, opened.canonical))
    }

    /// Reads an envelope that [`decode`](Self::decode) has accepted before and that has been kept where only this node writes.
    ///
    /// The signature, which costs more than all the rest, is not checked again.
    #[cfg(feature = "server")]
    pub fn restore(envelope: Vec<u8>) -> Result<Self, RecordError> {
        let record = wire::decode(&envelope::reopen(&envelope, wire::PURPOSE)?)?;
        Ok(Self::new(record, envelope))
    }

    /// Whether the record may be believed at this time, given as milliseconds since the Unix epoch: not expired, and
    /// not dated further ahead than clocks may differ.
    pub fn check_time(&self, now_ms: u64) -> Result<(), RecordError> {
        self.check_issued(now_ms)?;
        if self.record.expires_at() <= now_ms {
            return Err(RecordError::Expired { since: now_ms - self.record.expires_at() });
        }
        Ok(())
    }

    /// The half of [`check_time`](Self::check_time) that also holds for withdrawals that have outlived their own
    /// lifetime.
    pub(crate) fn check_issued(&self, now_ms: u64) -> Result<(), RecordError> {
        let ahead = self.record.issued_at.saturating_sub(now_ms);
        if ahead > millis(CLOCK_TOLERANCE) { Err(RecordError::Future { ahead }) } else { Ok(()) }
    }

    /// The statement.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The statement, without its proof.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// The proof: the encoded envelope, at most [`MAX_ENVELOPE`] bytes.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Whether this record replaces `other` of the same provider and name.
    ///
    /// The higher sequence does. Of two different records with one sequence, the one whose envelope has the smaller
    /// sha2-256 does, so that all holders keep the same.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.record.sequence, other.digest) > (other.record.sequence, self.digest)
    }
}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedRecord").field(&self.record).finish()
    }
}

/// What of a record is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The whole envelope, in bytes.
    Envelope,
    /// The type, in bytes.
    Kind,
    /// Keys and values of the metadata, in bytes.
    Metadata,
    /// The number of metadata entries.
    MetadataEntries,
    /// The region, in bytes.
    Region,
    /// The number of clusters.
    Clusters,
    /// The longest name of a cluster, in bytes.
    Cluster,
    /// The number of endpoints.
    Endpoints,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "bytes of signed record",
            Self::Kind => "bytes of type",
            Self::Metadata => "bytes of metadata (keys and values together)",
            Self::MetadataEntries => "metadata entries",
            Self::Region => "bytes of region",
            Self::Clusters => "clusters",
            Self::Cluster => "bytes in the name of a cluster",
            Self::Endpoints => "endpoints",
        })
    }
}

/// Why a record cannot be signed or is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Something is larger than records may be.
    #[error("{size} {measure}, at most {limit}")]
    TooLarge {
        /// What is.
        measure: Measure,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The lifetime is out of bounds.
    #[error("ttl of {ttl} ms is not between {} ms and {} ms", millis(TTL_MIN), millis(TTL_MAX))]
    Ttl {
        /// The lifetime, in milliseconds.
        ttl: u64,
    },
    /// The sequence or the date does not fit a JavaScript number.
    #[error("sequence or issued_at is above {MAX_NUMBER}")]
    Number,
    /// The post-quantum key's hash is not a sha2-256.
    #[error("post-quantum key hash of {bytes} bytes, must be {PQ_KEY_HASH}")]
    PqKeyHash {
        /// Its length.
        bytes: usize,
    },
    /// The name is not valid.
    #[error(transparent)]
    Name(NameError),
    /// The payload is not a record.
    #[error("not a service record")]
    Schema(#[source] SchemaError),
    /// The envelope is not one, or its signature does not hold.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The record is signed, but by somebody else than the provider it names.
    #[error("record is signed by {signer}, not by the provider it names")]
    NotByProvider {
        /// Who signed.
        signer: PeerId,
    },
    /// The record is dated further ahead than clocks may differ.
    #[error("record is dated {ahead} ms in the future")]
    Future {
        /// By how many milliseconds.
        ahead: u64,
    },
    /// The record no longer holds.
    #[error("record expired {since} ms ago")]
    Expired {
        /// How many milliseconds ago.
        since: u64,
    },
    /// The record does not belong under the key it came with.
    #[error("record of another name or provider than its key")]
    WrongKey,
}

impl RecordError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "RECORD_TOO_LARGE",
            Self::Ttl { .. } | Self::Number | Self::PqKeyHash { .. } => "INVALID_OPTION",
            Self::Name(error) => error.code(),
            Self::Schema(_)
            | Self::Envelope(_)
            | Self::NotByProvider { .. }
            | Self::Future { .. }
            | Self::Expired { .. }
            | Self::WrongKey => "REFUSED",
        }
    }

    /// Whether only time makes the record wrong: an honest peer with another clock can send such a one.
    pub fn is_about_time(&self) -> bool {
        matches!(self, Self::Future { .. } | Self::Expired { .. })
    }
}

impl From<SchemaError> for RecordError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Name(error) => Self::Name(error),
            SchemaError::Endpoints { count } => {
                Self::TooLarge { measure: Measure::Endpoints, size: count, limit: MAX_ENDPOINTS }
            }
            error => Self::Schema(error),
        }
    }
}

#[cfg(test)]
mod tests;
