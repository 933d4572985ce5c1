//! The encodings: protobuf messages and their length-prefixed frames.
//!
//! Wire types are not domain types. Each submodule owns the messages of one schema in `proto/` and turns them into the
//! types the rest of core works with; nothing else reads or writes these bytes. The encodings are pinned by the golden
//! vectors in `tests/vectors`.
//!
//! What other peers send is bounded before it is taken apart: frames by the limit given to [`unframe`], repeated fields
//! by counting them before anything is allocated for them. Unknown fields are skipped, as protobuf demands.

pub mod bundle;
pub mod cache;
pub mod envelope;
pub mod kad;
pub mod peer_record;
pub mod record;
pub mod stream;

use prost::encoding::{WireType, decode_key, decode_varint};

/// Puts the unsigned-varint length before a message, as libp2p protocols do.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    [unsigned_varint::encode::usize(message.len(), &mut buffer), message].concat()
}

/// Takes the first frame off `bytes`: the message, and how many bytes the frame takes up in all.
///
/// `None` means that the frame goes on beyond `bytes`. A frame that announces more than `limit` bytes is an error at
/// once, before its message arrives.
pub fn unframe(bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let (length, rest) = match unsigned_varint::decode::usize(bytes) {
        Ok(decoded) => decoded,
        Err(unsigned_varint::decode::Error::Insufficient) => return Ok(None),
        Err(_) => return Err(FrameError::Length),
    };
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    Ok(rest.get(..length).map(|message| (message, bytes.len() - rest.len() + length)))
}

/// Why bytes do not begin with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is not an unsigned varint.
    #[error("the length before the message is not an unsigned varint")]
    Length,
    /// The message would be longer than the protocol allows.
    #[error("message of {length} bytes announced, at most {limit}")]
    TooLong {
        /// The announced length, in bytes.
        length: usize,
        /// The protocol's limit, in bytes.
        limit: usize,
    },
}

/// Bytes that are not the protobuf message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the expected protobuf message: {0}")]
pub struct Malformed(String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// One field of a message: its number and its value, not taken apart further.
type Field<'a> = (u32, Value<'a>);

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no message of ours has.
    Fixed,
}

/// Walks over the fields of a message without allocating, for messages whose repeated fields must be counted first.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = next_field(&mut bytes);
        if field.is_err() {
            bytes = &[];
        }
        Some(field)
    })
}

fn next_field<'a>(bytes: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let (number, wire_type) = decode_key(bytes)?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(decode_varint(bytes)?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(bytes)?).unwrap_or(usize::MAX);
            Value::Bytes(take(bytes, length)?)
        }
        WireType::ThirtyTwoBit => take(bytes, 4).map(|_| Value::Fixed)?,
        WireType::SixtyFourBit => take(bytes, 8).map(|_| Value::Fixed)?,
        WireType::StartGroup | WireType::EndGroup => return Err(Malformed("groups are not supported".into())),
    };
    Ok((number, value))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = bytes.split_at_checked(length).ok_or_else(|| Malformed("a field is cut short".into()))?;
    *bytes = tail;
    Ok(head)
}

#[cfg(test)]
mod tests;
