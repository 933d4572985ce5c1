//! The newest changes in memory, so that any number of watchers costs the store one reader.
//!
//! Bounds: as many changes as the configuration says; older ones are read from the store.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::super::store::{Change, Changes};

/// See the module's documentation.
pub(super) struct ChangeLog {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
    most: usize,
}

#[derive(Default)]
struct Kept {
    changes: VecDeque<Change>,
    /// The number of the newest change that is not in memory.
    before: u64,
    dropped: u64,
}

impl ChangeLog {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0), most }
    }

    /// Starts after this change.
    pub(super) fn start(&self, newest: u64) {
        self.kept().before = newest;
        self.newest.send_replace(newest);
    }

    /// Where to read on in the store.
    pub(super) fn position(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Takes what was read after [`position`](Self::position).
    pub(super) fn extend(&self, dropped: u64, changes: impl IntoIterator<Item = Change>) {
        let mut kept = self.kept();
        kept.dropped = dropped;
        kept.changes.extend(changes);
        while kept.changes.len() > self.most {
            let oldest = kept.changes.pop_front().map(|change| change.id);
            kept.before = oldest.unwrap_or(kept.before);
        }
        if let Some(newest) = kept.changes.back().map(|change| change.id) {
            drop(kept);
            self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
    }

    /// Changes after `after`; none if memory does not reach back so far.
    pub(super) fn after(&self, after: u64, limit: usize) -> Option<Changes> {
        let kept = self.kept();
        if after < kept.before {
            return None;
        }
        let first = kept.changes.partition_point(|change| change.id <= after);
        let changes = kept.changes.iter().skip(first).take(limit).cloned().collect();
        Some(Changes { changes, newest: self.position(), dropped: kept.dropped })
    }

    /// The number of the newest change.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
