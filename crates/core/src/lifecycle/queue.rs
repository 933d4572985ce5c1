//! Entries in the order of the times under which they are filed.
//!
//! A heap that knows where each entry stands, so that one is filed anew or taken out without a search. Of equal times the smaller
//! number is first. An entry costs 16 bytes.

use super::EntryId;

/// Entries beneath each. Four times stand in one line of a processor's cache, and make the heap half as deep as two would.
const BENEATH: usize = 4;

/// The place of an entry that is not filed.
const NOWHERE: u32 = u32::MAX;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The heap, in two parts: times, and whose they are. None is before the one above it.
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
        self.settle(place, (time, id));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) {
        let Some(place) = self.place(id) else { return };
        self.places[id.index()] = NOWHERE;
        let last = self.times.pop().zip(self.ids.pop());
        if let Some(last) = last.filter(|_| place < self.times.len()) {
            self.settle(place, last);
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
        self.times.push(u64::MAX);
        self.ids.push(id);
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, NOWHERE);
        }
        self.times.len() - 1
    }

    /// Puts an entry where it belongs, on the way up or down from a place that is free.
    fn settle(&mut self, mut place: usize, entry: (u64, EntryId)) {
        while let Some(above) = place.checked_sub(1).map(|place| place / BENEATH)
            && entry < self.at(above)
        {
            self.put(place, self.at(above));
            place = above;
        }
        while let Some((below, first)) = self.first_beneath(place)
            && first < entry
        {
            self.put(place, first);
            place = below;
        }
        self.put(place, entry);
    }

    /// The first of those beneath a place, and where it stands.
    fn first_beneath(&self, place: usize) -> Option<(usize, (u64, EntryId))> {
        let begin = place * BENEATH + 1;
        let beneath = begin..self.times.len().min(begin + BENEATH);
        beneath.map(|below| (below, self.at(below))).min_by_key(|(_, entry)| *entry)
    }

    fn at(&self, place: usize) -> (u64, EntryId) {
        (self.times[place], self.ids[place])
    }

    fn put(&mut self, place: usize, (time, id): (u64, EntryId)) {
        (self.times[place], self.ids[place]) = (time, id);
        self.places[id.index()] = place as u32;
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
