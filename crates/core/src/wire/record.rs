//! The payload of a service record's envelope.
//!
//! Endpoints in a form this version cannot read are skipped, not refused: a provider may be reachable over transports
//! that came later, and the signed bytes are passed on as they are.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use prost::Message;

use super::{Malformed, envelope::Purpose};
use crate::{
    name::NameError,
    record::{MAX_ENDPOINTS, Record},
};

/// What a service record's signature is for.
pub const PURPOSE: Purpose = Purpose { domain: "openred-service-record", payload_type: b"/openred/service-record" };

#[derive(Clone, PartialEq, Message)]
struct ServiceRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    r#type: String,
    #[prost(bytes = "vec", tag = "3")]
    provider: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    endpoints: Vec<Vec<u8>>,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    region: String,
    #[prost(string, repeated, tag = "7")]
    clusters: Vec<String>,
    #[prost(uint64, tag = "8")]
    sequence: u64,
    #[prost(uint64, tag = "9")]
    issued_at: u64,
    #[prost(uint64, tag = "10")]
    ttl: u64,
    #[prost(bool, tag = "11")]
    withdrawn: bool,
    #[prost(bytes = "vec", tag = "12")]
    pq_key_hash: Vec<u8>,
}

/// Encodes a record as the payload of its envelope.
pub fn encode(record: &Record) -> Vec<u8> {
    message(record).encode_to_vec()
}

/// How many bytes [`encode`] returns.
pub fn encoded_len(record: &Record) -> usize {
    message(record).encoded_len()
}

fn message(record: &Record) -> ServiceRecord {
    ServiceRecord {
        name: record.name.to_string(),
        r#type: record.kind.clone(),
        provider: record.provider.to_bytes(),
        endpoints: record.endpoints.iter().map(Multiaddr::to_vec).collect(),
        metadata: record.metadata.clone(),
        region: record.region.clone(),
        clusters: record.clusters.clone(),
        sequence: record.sequence,
        issued_at: record.issued_at,
        ttl: record.ttl,
        withdrawn: record.withdrawn,
        pq_key_hash: record.pq_key_hash.clone(),
    }
}

/// Decodes the payload of an envelope. The limits of records are for [`Record::check`] to enforce.
pub fn decode(payload: &[u8]) -> Result<Record, SchemaError> {
    let message = ServiceRecord::decode(payload).map_err(Malformed::from)?;
    if message.endpoints.len() > MAX_ENDPOINTS {
        return Err(SchemaError::Endpoints { count: message.endpoints.len() });
    }
    Ok(Record {
        name: message.name.parse()?,
        kind: message.r#type,
        provider: PeerId::from_bytes(&message.provider).map_err(|_| SchemaError::Provider)?,
        endpoints: message.endpoints.into_iter().filter_map(|bytes| Multiaddr::try_from(bytes).ok()).collect(),
        metadata: message.metadata,
        region: message.region,
        clusters: message.clusters,
        sequence: message.sequence,
        issued_at: message.issued_at,
        ttl: message.ttl,
        withdrawn: message.withdrawn,
        pq_key_hash: message.pq_key_hash,
    })
}

/// Why a payload is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are not the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The provider is not a peer id.
    #[error("the provider is not a peer id")]
    Provider,
    /// There are more endpoints than a record may have, readable or not.
    #[error("{count} endpoints, at most {MAX_ENDPOINTS}")]
    Endpoints {
        /// How many there are.
        count: usize,
    },
}

#[cfg(test)]
mod tests;
