//! The limits of a registry.

use std::time::Duration;

use openred_core::lifecycle::{LifecycleConfig, LifecycleConfigError};

/// What a registry is told once, at its start.
#[derive(Clone, Debug)]
pub(crate) struct RegistryConfig {
    /// How silent nodes are waited for.
    pub(crate) lifecycle: LifecycleConfig,
    /// Nodes, silent ones included. The default is 250 000, some 150 MB with a service each; D1 asks for 100 000.
    pub(crate) max_nodes: usize,
    /// Services of one node. The default is 64, a guess.
    pub(crate) max_services: usize,
    /// How often signs of life are written down. The default is 30 s: other instances hear of them well within the silence
    /// that they allow, and a node that beats more often costs no more.
    pub(crate) flush: Duration,
    /// How often the change log is read for what other instances did. The default is 1 s: it is one question to an index.
    pub(crate) tail: Duration,
    /// How often what has expired is removed. The default is 60 s; nobody is shown what has expired, so it costs only room.
    pub(crate) purge: Duration,
    /// Writes that wait at a time; beyond, callers are told to come back. The default is 4 096, two seconds of a slow disk.
    pub(crate) queue: usize,
    /// Writes of one transaction. The default is 512: a sync of the disk shared by so many costs each of them little, and
    /// the lock is given back within some milliseconds.
    pub(crate) batch: usize,
    /// Lines of the change log that are kept, for watchers that come back. The default is 100 000, some 15 MB.
    pub(crate) changes: u64,
    /// Of them, lines that are kept in memory. The default is 4 096, some 400 kB.
    pub(crate) changes_in_memory: usize,
    /// Lines of the audit trail that are kept. The default is 100 000, some 20 MB.
    pub(crate) audit: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            lifecycle: LifecycleConfig::default(),
            max_nodes: 250_000,
            max_services: 64,
            flush: Duration::from_secs(30),
            tail: Duration::from_secs(1),
            purge: Duration::from_secs(60),
            queue: 4096,
            batch: 512,
            changes: 100_000,
            changes_in_memory: 4096,
            audit: 100_000,
        }
    }
}

impl RegistryConfig {
    /// The defaults, with other waits for silent nodes. Signs of life are written and read as often as these need.
    pub(crate) fn waiting(lifecycle: LifecycleConfig) -> Self {
        let default = Self::default();
        let (flush, tail) = (default.flush.min(lifecycle.active / 3), default.tail.min(lifecycle.active / 10));
        Self { lifecycle, flush, tail, ..default }
    }

    /// Checks that the limits fit together.
    pub(crate) fn validate(&self) -> Result<(), RegistryConfigError> {
        self.lifecycle.validate()?;
        if self.flush.saturating_add(self.tail).saturating_mul(2) > self.lifecycle.active {
            return Err(RegistryConfigError::Flush);
        }
        let counts = [self.max_nodes, self.max_services, self.queue, self.batch, self.changes_in_memory];
        if counts.contains(&0) {
            return Err(RegistryConfigError::Nothing);
        }
        Ok(())
    }
}

/// Why a registry cannot work with its limits.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RegistryConfigError {
    /// The times of the lifecycle do not fit together.
    #[error("lifecycle: {0}")]
    Lifecycle(#[from] LifecycleConfigError),
    /// Another instance could find nodes silent that are not.
    #[error(
        "flush and tail together are longer than half of lifecycle.active, so other instances hear of heartbeats too late"
    )]
    Flush,
    /// A limit of zero leaves nothing.
    #[error("max_nodes, max_services, queue, batch and changes_in_memory must be at least 1")]
    Nothing,
}
