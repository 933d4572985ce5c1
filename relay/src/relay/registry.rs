//! The directory's registry in a relay: where it is kept, and what the relay tells it of the nodes it is connected to.

use std::{sync::Arc, time::Duration};

use libp2p_identity::PeerId;
use openred_node::Node;
use tokio::{task::JoinHandle, time::interval};

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
    http::Shared,
};

/// Where copies of the embedded database are kept, in the data directory.
const SNAPSHOTS: &str = "snapshots";

/// How often the registry hears of the peers that are connected: three times before one is missed.
const TELL: Duration = Duration::from_secs(20);

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
    let registry =
        Registry::open(Arc::clone(&store), RegistryConfig::default(), Arc::clone(&clock)).await.map_err(failed)?;
    let folder = BackupConfig::new(config.data.join(SNAPSHOTS));
    let backups = url.is_none().then(|| Backups::start(store, clock, folder));
    Ok((registry, backups))
}

/// Tells the registry whom the relay is connected to, so that those nodes need no heartbeats over HTTP. Dropping it ends that.
pub(super) struct Contact(JoinHandle<()>);

impl Contact {
    /// Tells at once, then again and again, and whenever the registry wants nodes to be checked.
    pub(super) fn start(shared: Arc<Shared>, node: Node) -> Self {
        Self(tokio::spawn(async move {
            let registry = &shared.directory.registry;
            let mut tells = interval(TELL);
            let mut checks = registry.checks();
            loop {
                tokio::select! {
                    _ = tells.tick() => registry.heard(connected(&node)),
                    Ok(()) = checks.changed() => {
                        // Who is connected is there. Who is not may be behind a firewall, and its own heartbeat says more than
                        // a dial that fails.
                        let wanted = checks.borrow_and_update().clone();
                        registry.heard(connected(&node).into_iter().filter(|peer| wanted.contains(peer)));
                    }
                }
            }
        }))
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn connected(node: &Node) -> Vec<PeerId> {
    node.peers().unwrap_or_default().into_iter().map(|peer| peer.peer).collect()
}
