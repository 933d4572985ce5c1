//! SQLite's errors as the store's.

use rusqlite::{Error, ErrorCode};

use super::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => Self::Refused(text),
            Some(_) => Self::Unavailable(text),
            None => match error {
                Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..) => Self::Corrupt(text),
                _ => Self::Refused(text),
            },
        }
    }
}

/// An error of opening names what is to be done about it.
pub(super) fn opening(error: Error) -> StoreError {
    match error.into() {
        StoreError::Corrupt(text) => StoreError::Corrupt(format!(
            "{text}; restore a snapshot, or move the file away and start again with an empty directory"
        )),
        other => other,
    }
}
