//! What a node may say of itself. The limits of service records are those of [`openred_core::record`].

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use openred_core::{
    peer_record::MAX_ADDRESSES,
    record::{MAX_METADATA, MAX_METADATA_ENTRIES, MAX_REGION, SignedRecord},
    time::Now,
};

use super::{
    super::store::{NodeRow, Note},
    RegistryConfig, fresh,
    views::{Addresses, Registration, RegistryError},
};

/// The longest address, in bytes; relayed addresses with certificate hashes take some 200.
const MAX_ADDRESS: usize = 512;

/// The longest key of a note, in bytes.
const MAX_KEY: usize = 128;

/// The longest value of a note, in bytes.
const MAX_VALUE: usize = 4096;

/// The longest text in a line of the audit trail, in characters.
const MAX_TEXT: usize = 256;

/// The row of a registration, if that keeps to the limits.
pub(super) fn row(registration: Registration, now: Now, config: &RegistryConfig) -> Result<NodeRow, RegistryError> {
    let Registration { public_key, addresses, region, metadata } = registration;
    let peer = PeerId::from_public_key(&public_key);
    let (addresses, envelope, sequence) = match addresses {
        Addresses::Signed(record) if record.peer() != peer => {
            return Err(invalid(format!("the peer record is by {}, not by {peer}", record.peer())));
        }
        Addresses::Signed(record) => {
            let said = record.record();
            (said.addresses.clone(), Some(record.envelope().to_vec()), said.sequence)
        }
        Addresses::Stated(addresses) => (addresses, None, now.unix_ms),
    };
    if addresses.len() > MAX_ADDRESSES {
        return Err(invalid(format!("{} addresses, at most {MAX_ADDRESSES}", addresses.len())));
    }
    if addresses.iter().any(|address| address.len() > MAX_ADDRESS) {
        return Err(invalid(format!("an address is longer than {MAX_ADDRESS} bytes")));
    }
    check_text("region", &region)?;
    if region.len() > MAX_REGION {
        return Err(invalid(format!("a region of {} bytes, at most {MAX_REGION}", region.len())));
    }
    check_metadata(&metadata)?;
    Ok(NodeRow {
        peer,
        public_key: public_key.encode_protobuf(),
        addresses,
        envelope,
        sequence,
        region,
        metadata,
        registered: now.unix_ms,
        updated: now.unix_ms,
        withheld: false,
        standing: fresh(now, config),
        heard: now.unix_ms,
    })
}

/// Checks the date of a record, and that databases can take its texts.
pub(super) fn record(record: &SignedRecord, now: Now) -> Result<(), RegistryError> {
    record.check_time(now.unix_ms)?;
    let said = record.record();
    check_text("type", &said.kind)?;
    check_text("region", &said.region)?;
    said.clusters.iter().try_for_each(|cluster| check_text("cluster", cluster))
}

pub(super) fn note(note: &Note) -> Result<(), RegistryError> {
    check_text("space", &note.space)?;
    if note.key.len() > MAX_KEY || note.value.len() > MAX_VALUE {
        return Err(invalid(format!("a note's key has at most {MAX_KEY} bytes, its value {MAX_VALUE}")));
    }
    Ok(())
}

/// A text for a line of the audit trail: bounded, and without characters that could make it look like another line.
pub(super) fn line(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if metadata.len() > MAX_METADATA_ENTRIES {
        return Err(invalid(format!("{} metadata entries, at most {MAX_METADATA_ENTRIES}", metadata.len())));
    }
    if bytes > MAX_METADATA {
        return Err(invalid(format!("{bytes} bytes of metadata (keys and values together), at most {MAX_METADATA}")));
    }
    Ok(())
}

/// Texts that are columns of their own have no control characters: nobody needs them, and PostgreSQL refuses one of them.
fn check_text(what: &str, text: &str) -> Result<(), RegistryError> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(invalid(format!("the {what} has a control character (U+{:04X})", u32::from(c)))),
        None => Ok(()),
    }
}

fn invalid(reason: String) -> RegistryError {
    RegistryError::Invalid(reason)
}
