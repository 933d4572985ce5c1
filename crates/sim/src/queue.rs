//! What will happen, in the order of time. At one instant the order is drawn from the seed.
//!
//! The heap holds times and places only; the events wait in a slab, whose free places are used again, so that sorting
//! moves 32 bytes whatever an event weighs.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;

/// When, the lot drawn for that instant, the number of the event, and its place.
type Due = (Duration, u32, u64, u32);

/// The events of a world.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    order: BinaryHeap<Reverse<Due>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    next: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), next: 0 }
    }

    pub(crate) fn push(&mut self, at: Duration, event: E, rng: &mut Rng) {
        self.next += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place as usize] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                u32::try_from(self.events.len() - 1).expect("fewer than four billion things are to happen")
            }
        };
        self.order.push(Reverse((at, rng.u32(..), self.next, place)));
    }

    /// The next event that is due until `end`.
    pub(crate) fn pop_until(&mut self, end: Duration) -> Option<(Duration, E)> {
        let Reverse((at, _, _, place)) = *self.order.peek()?;
        if at > end {
            return None;
        }
        self.order.pop();
        self.free.push(place);
        self.events[place as usize].take().map(|event| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_and_places_are_used_again() {
        let mut rng = Rng::with_seed(1);
        let mut queue = Queue::new();
        for round in 0..10u64 {
            for ms in [5, 1, 3] {
                queue.push(Duration::from_millis(round * 10 + ms), ms, &mut rng);
            }
            assert_eq!(queue.pop_until(Duration::from_millis(round * 10)), None);
            let end = Duration::from_millis(round * 10 + 9);
            let told: Vec<_> = std::iter::from_fn(|| queue.pop_until(end)).map(|(_, event)| event).collect();
            assert_eq!(told, [1, 3, 5]);
        }
        assert_eq!(queue.events.len(), 3);
    }
}
