//! The directory's registry in a relay: where it is kept.

use std::sync::Arc;

use crate::{
    config::relay::{Database, RelayConfig},
    directory::{
        backups::{BackupConfig, Backups},
        guarded::Guarded,
        open_store,
        registry::{Clock, Registry, RegistryConfig, SystemClock},
        store::Store,
    },
    failure::Failure,
};

/// Where copies of the embedded database are kept, in the data directory.
const SNAPSHOTS: &str = "snapshots";

/// Opens the database and reads who is there. The embedded one is also copied now and then; PostgreSQL is its operator's to back
/// up.
pub(super) async fn open(config: &RelayConfig) -> Result<(Registry, Option<Backups>), Failure> {
    let failed = |error| Failure::Failed(format!("--database: {error}"));
    let url = match &config.database {
        Database::Sqlite => None,
        Database::Postgres(url) => Some(url.as_str()),
    };
    let store: Arc<dyn Store> = Arc::new(Guarded::new(open_store(url, &config.data).await.map_err(failed)?));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let waits = RegistryConfig::waiting(config.lifecycle.clone());
    let registry = Registry::open(Arc::clone(&store), waits, Arc::clone(&clock)).await.map_err(failed)?;
    let folder = BackupConfig::new(config.data.join(SNAPSHOTS));
    let backups = url.is_none().then(|| Backups::start(store, clock, folder));
    Ok((registry, backups))
}
