//! What both databases keep in the same form, whatever their column types.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{lifecycle::State, record::SignedRecord};

use super::StoreError;

/// Dates and sequences as signed integers, the only ones that databases have. What does not fit is for ever.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number behind [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    if number == i64::MAX { u64::MAX } else { u64::try_from(number).unwrap_or(0) }
}

pub(in crate::directory) fn addresses_text(addresses: &[Multiaddr]) -> String {
    serde_json::to_string(addresses).expect("multiaddrs are text")
}

pub(in crate::directory) fn addresses(text: &str) -> Result<Vec<Multiaddr>, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt("addresses", error))
}

pub(in crate::directory) fn metadata_text(metadata: &BTreeMap<String, String>) -> String {
    serde_json::to_string(metadata).expect("strings can be written as JSON")
}

pub(in crate::directory) fn metadata(text: &str) -> Result<BTreeMap<String, String>, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt("metadata", error))
}

pub(super) fn peer(bytes: &[u8]) -> Result<PeerId, StoreError> {
    PeerId::from_bytes(bytes).map_err(|error| corrupt("peer id", error))
}

pub(super) fn state(text: &str) -> Result<State, StoreError> {
    text.parse().map_err(|error| corrupt("state", error))
}

pub(super) fn record(envelope: Vec<u8>) -> Result<SignedRecord, StoreError> {
    SignedRecord::restore(envelope).map_err(|error| corrupt("service record", error))
}

fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a {what} cannot be read: {error}"))
}
