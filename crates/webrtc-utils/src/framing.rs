//! The messages of a stream: protobuf, each behind its length as an unsigned varint.
//!
//! A data channel carries messages of its own, but a frame need not be one of them: js-libp2p sends the length and the
//! rest as two. So a [`Decoder`] takes bytes as they come. It holds at most one frame that is not complete, and what it
//! was fed after it. Source: [Multiplexing](https://github.com/libp2p/specs/blob/master/webrtc/README.md#multiplexing).
//!
//! Framing does not know what a flag means; that is [`state`](crate::state).

#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::protobuf::{self, NotProtobuf};

/// The longest frame, length prefix included, in bytes. Source: the specification.
pub const MAX_MSG_LEN: usize = 16 * 1024;

/// The longest frame that we send, in bytes: nodes with the published `libp2p-webrtc-utils` 0.5.0 lose a data channel
/// on anything longer. The specification allows smaller messages at will.
pub const MAX_SENT_LEN: usize = 8 * 1024;

/// What a frame of data has beside its data, in bytes: two of length, one of field number, two of the data's length.
const OVERHEAD: usize = 5;

/// The most data in a frame that we send, in bytes.
pub const MAX_DATA_LEN: usize = MAX_SENT_LEN - OVERHEAD;

/// The field of [`Message::limit`]: not of the specification, and the last whose number takes one byte.
const LIMIT: u8 = 15;

/// What the sender of a message says about the stream, beside the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// I shall send no more data.
    Fin,
    /// I read no more; what you still send is discarded.
    StopSending,
    /// I give the stream up; forget what I sent.
    ResetStream,
    /// I have your [`Flag::Fin`], and so everything before it.
    FinAck,
}

/// One message. Its data comes before its flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// What the sender says, if anything. A number that is not in the specification reads as nothing.
    pub flag: Option<Flag>,
    /// Bytes of the stream, possibly none.
    pub data: Bytes,
    /// Up to which byte of the stream its sender takes data. See [`window`](crate::window).
    pub limit: Option<u64>,
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame would be longer than the specification allows.
    #[error("a message of {0} bytes, at most {MAX_MSG_LEN} are accepted")]
    TooLong(u32),
    /// The length is not a minimal varint of at most 32 bits.
    #[error("the length of a message is not a varint: {0}")]
    Length(#[from] unsigned_varint::decode::Error),
    /// What the length announced is not the protobuf message.
    #[error("a message is not protobuf: {0}")]
    Protobuf(#[from] NotProtobuf),
}

/// The frame of `flag` alone.
pub fn encode_flag(flag: Flag) -> Bytes {
    protobuf::encode(Some(flag.number()), None).into()
}

/// The frame of `data` alone. It is at most [`MAX_SENT_LEN`] bytes long if the data is at most [`MAX_DATA_LEN`].
pub fn encode_data(data: Bytes) -> Bytes {
    protobuf::encode(None, Some(&data)).into()
}

/// The frame of a limit alone.
pub fn encode_limit(limit: u64) -> Bytes {
    protobuf::encode_number(LIMIT, limit).into()
}

/// Finds the messages in the bytes of a data channel.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes the next bytes. Call [`Decoder::poll_message`] until it gives none before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message.
    ///
    /// # Errors
    ///
    /// What follows a frame that is too long or broken cannot be told apart: the error comes again with every call.
    pub fn poll_message(&mut self) -> Result<Option<Message>, FrameError> {
        let (length, rest) = match unsigned_varint::decode::u32(&self.buffer) {
            Ok(found) => found,
            Err(unsigned_varint::decode::Error::Insufficient) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Without its prefix, so that senders who do not count it are read too.
        if length as usize > MAX_MSG_LEN {
            return Err(FrameError::TooLong(length));
        }
        let length = length as usize;
        if rest.len() < length {
            return Ok(None);
        }
        let prefix = self.buffer.len() - rest.len();
        let message = &self.buffer[prefix..prefix + length];
        let (flag, data) = protobuf::decode(message)?;
        // It comes in messages of its own.
        let limit = if data.is_none() { protobuf::number(message, LIMIT.into()) } else { None };
        let message = Message {
            flag: flag.and_then(Flag::from_number),
            data: data.map(Bytes::copy_from_slice).unwrap_or_default(),
            limit,
        };
        self.buffer.advance(prefix + length);
        if self.buffer.is_empty() {
            // An idle stream keeps no memory.
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }
}

impl Flag {
    fn number(self) -> u64 {
        match self {
            Self::Fin => 0,
            Self::StopSending => 1,
            Self::ResetStream => 2,
            Self::FinAck => 3,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        [Self::Fin, Self::StopSending, Self::ResetStream, Self::FinAck].into_iter().find(|flag| flag.number() == number)
    }
}
