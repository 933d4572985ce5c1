//! The value under a service's key: the envelopes of its records.

use prost::Message;

use super::{Malformed, Value, fields};
use crate::bundle::MAX_RECORDS;

/// The longest encoded bundle that is looked at, in bytes: as many records as a bundle may have, each as long as a
/// record may be, and their framing.
pub const MAX_ENCODED: usize = 70 * 1024;

#[derive(Clone, PartialEq, Message)]
struct Bundle {
    #[prost(bytes = "vec", repeated, tag = "1")]
    records: Vec<Vec<u8>>,
}

/// Encodes envelopes as a bundle.
pub fn encode<'a>(envelopes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    Bundle { records: envelopes.map(<[u8]>::to_vec).collect() }.encode_to_vec()
}

/// The envelopes of an encoded bundle, not looked into.
pub fn decode(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    if bytes.len() > MAX_ENCODED {
        return Err(BundleError::TooLarge { bytes: bytes.len() });
    }
    let mut envelopes = Vec::new();
    for field in fields(bytes) {
        if let (1, Value::Bytes(envelope)) = field? {
            if envelopes.len() == MAX_RECORDS {
                return Err(BundleError::TooMany);
            }
            envelopes.push(envelope);
        }
    }
    Ok(envelopes)
}

/// Why bytes are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The value is longer than the largest bundle.
    #[error("bundle of {bytes} bytes, at most {MAX_ENCODED}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// There are more records than a bundle has.
    #[error("bundle of more than {MAX_RECORDS} records")]
    TooMany,
    /// The bytes are not the message.
    #[error("not a bundle")]
    Malformed(#[from] Malformed),
}

#[cfg(test)]
mod tests;
