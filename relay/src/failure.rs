//! How a command ends when it does not end well: a sentence for standard error and an exit code.

use openred_core::Error;

use crate::data_dir::DataDirError;

/// The end of a command. The exit codes are a contract with scripts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An option or a value is wrong.
    #[error("{0}")]
    Usage(String),
    /// It could not start, or it went wrong while it ran.
    #[error("{0}")]
    Failed(String),
    /// What was asked for does not exist.
    #[error("{0}")]
    NothingFound(String),
    /// No relay of the network could be reached.
    #[error("{0}")]
    NoNetwork(String),
}

impl Failure {
    /// 1 for what was not found or failed, 2 for a wrong option or value, 3 for no network.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::NothingFound(_) => 1,
            Self::Usage(_) => 2,
            Self::NoNetwork(_) => 3,
        }
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The node tells failures apart by the codes of the npm contract.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = format!("{error} ({})", error.code());
        match error.code() {
            "INVALID_NAME" | "INVALID_OPTION" | "INVALID_ADDRESS" | "RECORD_TOO_LARGE" => Self::Usage(text),
            "NO_RELAY" | "WRONG_NETWORK" => Self::NoNetwork(text),
            "NOT_FOUND" => Self::NothingFound(text),
            _ => Self::Failed(text),
        }
    }
}
