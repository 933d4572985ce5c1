//! Which name is behind a hash: a CID of a service says only the sha2-256 of its key.
//!
//! The names of the directory are hashed when the first question comes and then kept up to date from its change log, so a relay
//! that nobody asks pays nothing. Names that are gone stay until the map is read anew; asking for them finds nobody.
//!
//! Bounds: [`MOST`] names; beyond, services are found by name only.

use std::collections::BTreeMap;

use openred_core::{
    dht::key::Key,
    name::{NetworkName, ServiceName},
};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::{
    directory::{registry::RegistryError, store::ServiceQuery},
    http::Shared,
};

/// The most names, some 50 MB.
const MOST: usize = 500_000;

/// Items that are read at a time.
const PAGE: usize = 1000;

/// Names by the sha2-256 of their keys.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    names: BTreeMap<[u8; 32], ServiceName>,
    /// The change up to which they are read; none before the first time.
    upto: Option<u64>,
}

impl Names {
    /// The name whose key has this hash, if the directory has had it.
    pub(crate) async fn name(&self, shared: &Shared, digest: &[u8; 32]) -> Result<Option<ServiceName>, RegistryError> {
        let mut known = self.0.lock().await;
        known.catch_up(shared).await?;
        Ok(known.names.get(digest).cloned())
    }
}

impl Known {
    async fn catch_up(&mut self, shared: &Shared) -> Result<(), RegistryError> {
        let registry = &shared.directory.registry;
        let newest = *registry.newest_change().borrow();
        while let Some(upto) = self.upto.filter(|upto| *upto < newest) {
            let changes = registry.changes(upto, PAGE).await?;
            if changes.dropped > upto {
                self.upto = None;
                break;
            }
            let read_to = changes.changes.last().map_or(newest, |change| change.id);
            for name in changes.changes.into_iter().filter_map(|change| change.name) {
                self.add(shared, &name);
            }
            self.upto = Some(read_to);
        }
        if self.upto.is_none() {
            self.names.clear();
            let mut after = None;
            loop {
                let page = registry.services(ServiceQuery::default(), after, PAGE).await?;
                page.items.iter().for_each(|view| self.add(shared, view.record.record().name.as_str()));
                after = page.next;
                if after.is_none() || self.names.len() >= MOST {
                    break;
                }
            }
            self.upto = Some(newest);
        }
        Ok(())
    }

    fn add(&mut self, shared: &Shared, name: &str) {
        let (Ok(name), Ok(network)) = (name.parse::<ServiceName>(), shared.about.network.parse::<NetworkName>()) else {
            return;
        };
        if self.names.len() < MOST {
            let digest = Sha256::digest(Key::service(&network, &name).as_bytes()).into();
            self.names.insert(digest, name);
        }
    }
}
