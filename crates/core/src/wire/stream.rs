//! The header of a service stream: the opener names the service, the provider answers, then bytes flow.
//!
//! Both messages are framed by an unsigned varint and at most [`MAX_HEADER`] bytes long. Read them with
//! [`unframe`](super::unframe) and that limit.

use prost::Message;

use super::{Malformed, frame};
use crate::name::{NameError, ServiceName, cut};

/// The longest header, in bytes, without its frame.
pub const MAX_HEADER: usize = 1024;

/// The longest message of an answer, in bytes. Longer ones are cut on both sides.
pub const MAX_MESSAGE: usize = 256;

/// What the opener sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The service to speak to.
    pub name: ServiceName,
}

/// What the provider answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether bytes will flow.
    pub status: Status,
    /// Why not, for people to read. May be empty.
    pub message: String,
}

/// Whether a stream is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything after the answer belongs to the service.
    Ok,
    /// Nobody handles this name here.
    NotFound,
    /// The provider does not want to. Also how statuses that came later are read.
    Refused,
    /// The provider has too much to do; another try may succeed.
    Busy,
}

impl Status {
    fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::NotFound => 1,
            Self::Refused => 2,
            Self::Busy => 3,
        }
    }

    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::NotFound,
            3 => Self::Busy,
            _ => Self::Refused,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct OpenMessage {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct AnswerMessage {
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Open {
    /// Encodes the header, frame included.
    pub fn encode(&self) -> Vec<u8> {
        frame(&OpenMessage { name: self.name.to_string() }.encode_to_vec())
    }

    /// Decodes the header, taken out of its frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        check_size(bytes)?;
        let message = OpenMessage::decode(bytes).map_err(Malformed::from)?;
        Ok(Self { name: message.name.parse()? })
    }
}

impl Answer {
    /// The answer that lets bytes flow.
    pub fn ok() -> Self {
        Self { status: Status::Ok, message: String::new() }
    }

    /// An answer with a reason.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Encodes the answer, frame included.
    pub fn encode(&self) -> Vec<u8> {
        let message = cut(&self.message, MAX_MESSAGE).to_owned();
        frame(&AnswerMessage { status: self.status.number(), message }.encode_to_vec())
    }

    /// Decodes the answer, taken out of its frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        check_size(bytes)?;
        let AnswerMessage { status, mut message } = AnswerMessage::decode(bytes).map_err(Malformed::from)?;
        message.truncate(cut(&message, MAX_MESSAGE).len());
        Ok(Self { status: Status::from_number(status), message })
    }
}

fn check_size(bytes: &[u8]) -> Result<(), HeaderError> {
    if bytes.len() > MAX_HEADER { Err(HeaderError::TooLong { bytes: bytes.len() }) } else { Ok(()) }
}

/// Why bytes are not the header of a service stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header is too long.
    #[error("stream header of {bytes} bytes, at most {MAX_HEADER}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The name is not a service name.
    #[error(transparent)]
    Name(#[from] NameError),
}

#[cfg(test)]
mod tests;
