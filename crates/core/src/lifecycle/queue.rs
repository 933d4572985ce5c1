//! Entries in the order of the times under which they are filed.
//!
//! A binary heap that knows where each entry stands, so that one is filed anew or taken out without a search. Of equal times
//! the smaller number is first. An entry costs 16 bytes.

use super::EntryId;

/// The place of an entry that is not filed.
const NOWHERE: u32 = u32::MAX;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The heap, in two parts: times, and whose they are. None is before the one that stands at half its place.
    times: Vec<u64>,
    ids: Vec<EntryId>,
    /// Where in the heap an entry stands, by its number.
    places: Vec<u32>,
}

impl Queue {
    /// Who is next, and when.
    pub(super) fn first(&self) -> Option<(u64, EntryId)> {
        Some((*self.times.first()?, *self.ids.first()?))
    }

    /// Under which time an entry is filed.
    pub(super) fn time(&self, id: EntryId) -> Option<u64> {
        self.times.get(self.place(id)?).copied()
    }

    /// Files an entry under a time, wherever it was before.
    pub(super) fn file(&mut self, time: u64, id: EntryId) {
        let place = self.place(id).unwrap_or_else(|| self.append(id));
        self.times[place] = time;
        self.settle(place);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) {
        let Some(place) = self.place(id) else { return };
        let last = self.times.len() - 1;
        self.swap(place, last);
        self.times.pop();
        self.ids.pop();
        self.places[id.index()] = NOWHERE;
        if place < last {
            self.settle(place);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    fn place(&self, id: EntryId) -> Option<usize> {
        self.places.get(id.index()).filter(|place| **place != NOWHERE).map(|place| *place as usize)
    }

    /// Makes a place for an entry at the end.
    fn append(&mut self, id: EntryId) -> usize {
        let place = self.times.len();
        self.times.push(u64::MAX);
        self.ids.push(id);
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, NOWHERE);
        }
        self.places[id.index()] = place as u32;
        place
    }

    /// Moves what stands at a place to where it belongs.
    fn settle(&mut self, mut place: usize) {
        while let Some(above) =
            place.checked_sub(1).map(|place| place / 2).filter(|above| self.is_before(place, *above))
        {
            self.swap(place, above);
            place = above;
        }
        loop {
            let below = [2 * place + 1, 2 * place + 2].into_iter().filter(|below| *below < self.times.len());
            let Some(below) = below.min_by_key(|below| self.key(*below)).filter(|below| self.is_before(*below, place))
            else {
                break;
            };
            self.swap(place, below);
            place = below;
        }
    }

    fn key(&self, place: usize) -> (u64, EntryId) {
        (self.times[place], self.ids[place])
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        self.key(a) < self.key(b)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.times.swap(a, b);
        self.ids.swap(a, b);
        for place in [a, b] {
            self.places[self.ids[place].index()] = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_filed_and_taken_out_the_first_is_next(
            steps in proptest::collection::vec((0..12_u32, proptest::option::of(0..9_u64)), 0..200),
        ) {
            let (mut queue, mut model) = (Queue::default(), BTreeSet::new());
            for (number, time) in steps {
                let id = EntryId(number);
                model.retain(|(_, other)| *other != id);
                match time {
                    Some(time) => {
                        queue.file(time, id);
                        model.insert((time, id));
                    }
                    None => queue.remove(id),
                }
                prop_assert_eq!(queue.first(), model.first().copied());
                prop_assert_eq!(queue.time(id), time);
                prop_assert_eq!(queue.len(), model.len());
            }
            while let Some((time, id)) = queue.first() {
                prop_assert_eq!(model.pop_first(), Some((time, id)));
                queue.remove(id);
            }
            prop_assert!(model.is_empty());
        }
    }
}
