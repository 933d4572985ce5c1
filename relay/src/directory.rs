//! The directory: the HTTP registry on a relay, seen without HTTP.
//!
//! [`registry::Registry`] is what handlers talk to. It keeps who is alive in memory, lets [`openred_core::lifecycle`] decide
//! about the silent, and keeps everything else in a [`store::Store`]: SQLite beside the relay's identity, or PostgreSQL when
//! several instances share one directory. [`backups`] takes snapshots of it now and then.
//!
//! [`identity`] proves who asks, and [`tokens`] states it for others to check; neither knows the registry.
//!
//! What stands here does not know HTTP or the network.

pub(crate) mod backups;
pub(crate) mod breaker;
pub(crate) mod guarded;
pub(crate) mod identity;
pub(crate) mod registry;
pub(crate) mod store;
pub(crate) mod tokens;

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use self::store::{Store, StoreError, postgres::PostgresStore, sqlite::SqliteStore};

/// The SQLite file in a relay's data directory.
const FILE: &str = "directory.sqlite";

/// The embedded database of a directory, in a relay's data directory.
pub(crate) fn file_in(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Opens the store of a directory: the PostgreSQL database at a URL, or without one the file in the data directory.
pub(crate) async fn open_store(database: Option<&str>, data: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Some(url) => Arc::new(PostgresStore::open(url, origin()).await?),
        None => Arc::new(SqliteStore::open(&file_in(data)).await?),
    })
}

/// Like [`open_store`], to read it alone. Nothing is made or brought up to date.
pub(crate) async fn open_store_to_copy(database: Option<&str>, data: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Some(url) => Arc::new(PostgresStore::open_to_copy(url, origin()).await?),
        None => Arc::new(SqliteStore::open_to_copy(&file_in(data)).await?),
    })
}

/// Like [`open_store`], to replace what is in it: refused while relays use a PostgreSQL database. The lock of the data directory
/// keeps relays off the file in it.
pub(crate) async fn open_store_alone(database: Option<&str>, data: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Some(url) => Arc::new(PostgresStore::open_alone(url, origin()).await?),
        None => Arc::new(SqliteStore::open(&file_in(data)).await?),
    })
}

/// A number that tells this process from others on one PostgreSQL database. Only two equal ones at one time would be a mistake,
/// and then each would take the other's rows for its own.
fn origin() -> i64 {
    RandomState::new().hash_one(std::process::id()) as i64
}

/// Checks the URL of a database as far as that goes without asking it. What is wrong, and what would be right, without the
/// password.
pub(crate) fn check_database(url: &str) -> Result<(), String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(
            "the URL of a PostgreSQL database would be right, such as postgres://user:password@host/name".to_owned()
        );
    }
    url.parse::<tokio_postgres::Config>().map(drop).map_err(|_| {
        "this is no URL of a PostgreSQL database; postgres://user:password@host/name would be right, with special characters \
         percent-encoded"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_database_is_told_what_would_be_right_and_not_its_password() {
        for url in
            ["postgres://openred:secret@db.example.org/openred?sslmode=require", "postgresql:///openred?host=/run/pg"]
        {
            assert_eq!(check_database(url), Ok(()), "{url}");
        }
        for url in
            ["mysql://a:hunter2@host/x", "directory.sqlite", "postgres://a:hunter2@[x/y", "postgres://h/x?hunter2=1"]
        {
            let error = check_database(url).unwrap_err();
            assert!(error.contains("postgres://user:password@host/name") && !error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn without_a_database_the_directory_is_a_file_beside_the_identity() {
        let data = tempfile::tempdir().unwrap();
        open_store(None, data.path()).await.unwrap().ping().await.unwrap();
        assert!(data.path().join(FILE).is_file());
    }
}
