//! The messages of the conversation: protobuf behind a length.

use libp2p_webrtc_utils::protobuf;
use unsigned_varint::decode;

use super::{MAX_MESSAGE, SignalError};

/// What says that no more candidates follow. js-libp2p sends nothing of the kind and understands this.
pub(super) const NO_MORE_CANDIDATES: &str = "null";

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Offer = 0,
    Answer = 1,
    Candidate = 2,
}

pub(super) fn encode(kind: Kind, data: &str) -> Vec<u8> {
    protobuf::encode(Some(kind as u64), Some(data.as_bytes()))
}

/// A message and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first message and what follows it, or `None` if it is not complete.
pub(super) fn split(bytes: &[u8]) -> Result<Option<Split<'_>>, SignalError> {
    let (length, rest) = match decode::u32(bytes) {
        Ok((length, rest)) => (length as usize, rest),
        Err(decode::Error::Insufficient) => return Ok(None),
        Err(_) => return Err(SignalError::Garbage("its length is not a varint")),
    };
    if length > MAX_MESSAGE {
        return Err(SignalError::TooLong(length));
    }
    Ok(rest.split_at_checked(length))
}

pub(super) fn decode(message: &[u8]) -> Result<(Kind, &str), SignalError> {
    let (kind, data) = protobuf::decode(message).map_err(|_| SignalError::Garbage("it is not protobuf"))?;
    let kind = match kind {
        Some(0) => Kind::Offer,
        Some(1) => Kind::Answer,
        Some(2) => Kind::Candidate,
        Some(_) => return Err(SignalError::Garbage("its type is unknown")),
        None => return Err(SignalError::Garbage("it has no type")),
    };
    let data = str::from_utf8(data.unwrap_or_default()).map_err(|_| SignalError::Garbage("it is not text"))?;
    Ok((kind, data))
}

/// Whether the JSON of a candidate says that none follow: `null` is the end of all, an empty string that of one
/// generation, and a message without data stands for either.
pub(super) fn is_end_of_candidates(json: &str) -> bool {
    let json = json.trim();
    matches!(json, "" | "null" | "\"\"") || json.contains("\"candidate\":\"\"")
}
