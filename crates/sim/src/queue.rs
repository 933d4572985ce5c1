//! What will happen, in the order of time. At one instant the order is drawn from the seed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use fastrand::Rng;

/// The events of a world.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    order: BinaryHeap<Reverse<(Duration, u32, u64)>>,
    events: BTreeMap<u64, E>,
    next: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new(), events: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn push(&mut self, at: Duration, event: E, rng: &mut Rng) {
        self.next += 1;
        self.order.push(Reverse((at, rng.u32(..), self.next)));
        self.events.insert(self.next, event);
    }

    /// The next event that is due until `end`.
    pub(crate) fn pop_until(&mut self, end: Duration) -> Option<(Duration, E)> {
        let Reverse((at, _, id)) = *self.order.peek()?;
        if at > end {
            return None;
        }
        self.order.pop();
        self.events.remove(&id).map(|event| (at, event))
    }
}
