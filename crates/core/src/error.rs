//! Why an order of the application could not be carried out.
//!
//! One enum for the whole product: the native API, the command line and the npm package tell the same failures apart by
//! the same [`Error::code`]. Messages are for people; codes are the contract.

use std::time::Duration;

use libp2p_identity::PeerId;

use crate::{address::AddressError, name::NameError, record::RecordError};

/// The failure of one order.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service or network name breaks a rule; the text says which and what would be right.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An address could not be understood or cannot be dialled from here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The record that was to be signed breaks a limit.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An option has a value outside its range.
    #[error("{0}")]
    InvalidOption(String),
    /// No relay could be reached; the text names each one tried and why it failed.
    #[error("no relay could be reached: {0}")]
    NoRelay(String),
    /// Relays answered, but none of them on this network.
    #[error("{0}")]
    WrongNetwork(String),
    /// The order's own time limit ran out.
    #[error("{what} took longer than {} ms{}", limit.as_millis(), detail(hint))]
    Timeout {
        /// What was being done.
        what: &'static str,
        /// The limit that ran out.
        limit: Duration,
        /// What was seen until then; may be empty.
        hint: String,
    },
    /// The caller gave the order up.
    #[error("the call was aborted")]
    Aborted,
    /// The node is closed.
    #[error("the node is closed")]
    Closed,
    /// The node ended by a fault of its own.
    #[error("the node crashed: {0}")]
    Crashed(String),
    /// Nobody offers the service.
    #[error("nobody offers {0:?}")]
    NotFound(String),
    /// Providers are known, but none could be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The provider answered and said no.
    #[error("{peer} refused the stream: {reason}")]
    Refused {
        /// Who refused.
        peer: PeerId,
        /// The provider's own words, bounded.
        reason: String,
    },
    /// A bound of this node was reached.
    #[error("{0}")]
    Quota(String),
    /// The platform cannot do what was asked.
    #[error("{0}")]
    Unsupported(String),
    /// Listening, storage or another service of the machine failed.
    #[error("{0}")]
    Storage(String),
}

impl Error {
    /// The stable code of the npm contract and of `--json` output.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Name(error) => error.code(),
            Error::Address(error) => error.code(),
            Error::Record(error) => error.code(),
            Error::InvalidOption(_) => "INVALID_OPTION",
            Error::NoRelay(_) => "NO_RELAY",
            Error::WrongNetwork(_) => "WRONG_NETWORK",
            Error::Timeout { .. } => "TIMEOUT",
            Error::Aborted => "ABORTED",
            Error::Closed => "CLOSED",
            Error::Crashed(_) => "CRASHED",
            Error::NotFound(_) => "NOT_FOUND",
            Error::Unreachable(_) => "UNREACHABLE",
            Error::Refused { .. } => "REFUSED",
            Error::Quota(_) => "QUOTA",
            Error::Unsupported(_) => "UNSUPPORTED",
            Error::Storage(_) => "STORAGE",
        }
    }
}

fn detail(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}
