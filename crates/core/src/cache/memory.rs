//! When the cache is written down, and how it comes back.
//!
//! What was learned is handed out as [`Output::Remember`](crate::Output) at most every
//! [`CacheConfig::remember_every`](super::CacheConfig), if something changed; sooner once after the start, because many visits
//! are short; and when the node is closed. Dates and round trips change all the time and alone are written every
//! [`REWRITE`].
//!
//! What comes back is set aside if it is damaged, of another version or of another network: the node starts without it.

use std::time::Duration;

use super::{Cache, Stamp, providers::Performance};
use crate::{
    config::Config,
    time::Now,
    wire::cache::{self as wire, RememberedProvider, Snapshot, SnapshotError},
};

/// Time from the first change to the first writing: a visit of a few seconds is enough to join warm the next time.
const FIRST: Duration = Duration::from_secs(2);

/// Time after which dates and round trips are written although nothing else has changed; a guess.
const REWRITE: Duration = Duration::from_secs(600);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When it is to be written; none if nothing has changed.
    due: Option<Duration>,
    written: Option<Duration>,
}

impl Memory {
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.due.or_else(|| Some(self.written?.saturating_add(REWRITE)))
    }
}

impl Cache {
    /// What is to be remembered, if it is time to write it down.
    pub(crate) fn write_if_due(
        &mut self,
        config: &Config,
        publisher: impl FnOnce() -> Vec<u8>,
        now: Now,
    ) -> Option<Vec<u8>> {
        // Both are asked, so that both forget that they have changed.
        let changed = self.peers.take_changed() | self.services.take_changed();
        if changed && self.memory.due.is_none() {
            let soon = now.elapsed.saturating_add(FIRST);
            let spaced = self.memory.written.map(|at| at.saturating_add(config.cache.remember_every));
            self.memory.due = Some(spaced.unwrap_or(soon).max(now.elapsed));
        }
        let due = self.memory.next_deadline().is_some_and(|at| at <= now.elapsed);
        due.then(|| self.write(config, publisher(), now))
    }

    /// What is to be remembered.
    pub(crate) fn write(&mut self, config: &Config, publisher: Vec<u8>, now: Now) -> Vec<u8> {
        (self.memory.due, self.memory.written) = (None, Some(now.elapsed));
        let providers = self.providers.iter().map(|(peer, known)| RememberedProvider {
            peer: *peer,
            answers: known.answers,
            failures: known.failures,
            took: known.took,
            at: known.at.unix_ms(now),
        });
        let snapshot = Snapshot {
            network: config.network.to_string(),
            written: now.unix_ms,
            peers: self.peers.best(usize::MAX, now),
            services: self.services.remembered(now),
            providers: providers.collect(),
            publisher,
        };
        wire::encode(snapshot, config.cache.max_memory)
    }

    /// Takes what an earlier life wrote down; returns what it wrote for the publisher.
    pub(crate) fn restore(&mut self, config: &Config, bytes: &[u8], now: Now) -> Result<Vec<u8>, SnapshotError> {
        let snapshot = wire::decode(bytes)?;
        if snapshot.network != config.network.as_str() {
            return Err(SnapshotError::OtherNetwork { network: snapshot.network });
        }
        for peer in snapshot.peers {
            self.peers.restore(peer, now);
        }
        for service in snapshot.services {
            self.services.restore(service, now);
        }
        for RememberedProvider { peer, answers, failures, took, at } in snapshot.providers {
            self.providers.restore(peer, Performance { answers, failures, took, at: Stamp::remembered(at) });
        }
        Ok(snapshot.publisher)
    }
}
