//! Who offers what: services by their names and by their nodes.
//!
//! An offer is one piece of memory for its text (its name, and its proof as [`super::proof`] keeps it) and 48 bytes beside it.
//! Offers of one name form a ring, in the order in which they came, so that nobody is put before those who were first; offers of
//! one node form a chain, which is short ([`RegistryConfig::max_services`](super::super::RegistryConfig::max_services)). Both are
//! numbers in the offers themselves, and one table of numbers leads from names to rings.

use std::{
    hash::{BuildHasher, RandomState},
    iter::successors,
};

use hashbrown::{HashTable, hash_table::Entry};
use libp2p_identity::PeerId;
use openred_core::lifecycle::EntryId;

use super::proof;

/// Where an offer stands among all.
type Place = u32;

/// No place; the end of a chain.
const NOWHERE: Place = Place::MAX;

/// A service in memory: the proof, and what is asked of it all the time.
pub(super) struct Offer {
    /// The name, and behind it the proof.
    text: Box<[u8]>,
    /// When it ceases to hold, in milliseconds since the Unix epoch.
    pub(super) expires: u64,
    /// Who offers it.
    pub(super) node: EntryId,
    /// The next offer of the node; of a free place, the next free one.
    next_of_node: Place,
    /// The ring of the name.
    next: Place,
    previous: Place,
    name_length: u8,
    withdrawn: bool,
}

impl Offer {
    pub(super) fn name(&self) -> &[u8] {
        &self.text[..usize::from(self.name_length)]
    }

    /// The envelope in which the provider said all this.
    pub(super) fn envelope(&self, provider: &PeerId) -> Vec<u8> {
        proof::unpack(&self.text[usize::from(self.name_length)..], provider)
    }

    /// Whether the provider took it back.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// Whether others should hear of it.
    pub(super) fn lives(&self, now: u64) -> bool {
        !self.withdrawn && self.expires > now
    }
}

/// What is told of an offer.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) expires: u64,
    pub(super) withdrawn: bool,
    pub(super) envelope: &'a [u8],
}

/// See the module's documentation.
pub(super) struct Offers {
    offers: Vec<Offer>,
    /// The first free place.
    free: Place,
    /// The first offer of each name.
    by_name: HashTable<Place>,
    /// The first offer of each node, by the node's number.
    by_node: Vec<Place>,
    hasher: RandomState,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            offers: Vec::new(),
            free: NOWHERE,
            by_name: HashTable::new(),
            by_node: Vec::new(),
            hasher: RandomState::new(),
        }
    }
}

impl Offers {
    /// What a node offers.
    pub(super) fn of_node(&self, node: EntryId) -> impl Iterator<Item = &Offer> {
        self.places_of(node).map(|place| self.at(place))
    }

    /// Who offers a name, in the order in which they began to.
    pub(super) fn of_name(&self, name: &str) -> impl Iterator<Item = &Offer> {
        let is_it = |place: &Place| self.at(*place).name() == name.as_bytes();
        let first = self.by_name.find(self.hasher.hash_one(name.as_bytes()), is_it).copied();
        let next = move |place: &Place| Some(self.at(*place).next).filter(|next| Some(*next) != first);
        successors(first, next).map(|place| self.at(place))
    }

    /// What a node offers under a name.
    pub(super) fn find(&self, node: EntryId, name: &str) -> Option<&Offer> {
        self.place(node, name).map(|place| self.at(place))
    }

    /// A node offers something, in the place of what it offered under the same name.
    pub(super) fn put(&mut self, node: EntryId, provider: &PeerId, told: &Told<'_>) {
        let proof = proof::pack(told.envelope, provider);
        // No name is longer than 128 bytes (`openred_core::name`).
        let Ok(name_length) = u8::try_from(told.name.len()) else { return };
        let place = self.place(node, told.name).unwrap_or_else(|| self.append(node, told.name.as_bytes()));
        let offer = &mut self.offers[place as usize];
        offer.text = [told.name.as_bytes(), &proof].concat().into();
        (offer.name_length, offer.expires, offer.withdrawn) = (name_length, told.expires, told.withdrawn);
    }

    /// A node offers nothing any more.
    pub(super) fn clear(&mut self, node: EntryId) {
        let places: Vec<Place> = self.places_of(node).collect();
        places.into_iter().for_each(|place| self.remove(place));
    }

    /// Drops what has expired.
    pub(super) fn purge(&mut self, now: u64) {
        for place in 0..self.offers.len() as Place {
            if !self.at(place).text.is_empty() && self.at(place).expires <= now {
                self.remove(place);
            }
        }
    }

    fn at(&self, place: Place) -> &Offer {
        &self.offers[place as usize]
    }

    fn places_of(&self, node: EntryId) -> impl Iterator<Item = Place> {
        let there = |place: &Place| *place != NOWHERE;
        let first = self.by_node.get(node.index()).copied().filter(there);
        successors(first, move |place| Some(self.at(*place).next_of_node).filter(there))
    }

    fn place(&self, node: EntryId, name: &str) -> Option<Place> {
        self.places_of(node).find(|place| self.at(*place).name() == name.as_bytes())
    }

    /// Makes a place for a name that the node does not offer, at the end of the name's ring.
    fn append(&mut self, node: EntryId, name: &[u8]) -> Place {
        if self.by_node.len() <= node.index() {
            self.by_node.resize(node.index() + 1, NOWHERE);
        }
        let place = if self.free == NOWHERE { self.offers.len() as Place } else { self.free };
        let offer = Offer {
            text: name.into(),
            expires: 0,
            node,
            next_of_node: self.by_node[node.index()],
            next: place,
            previous: place,
            name_length: name.len() as u8,
            withdrawn: false,
        };
        if self.free == NOWHERE {
            self.offers.push(offer);
        } else {
            self.free = self.at(place).next_of_node;
            self.offers[place as usize] = offer;
        }
        self.by_node[node.index()] = place;
        let Self { offers, by_name, hasher, .. } = self;
        let name_at = |place: &Place| offers[*place as usize].name();
        match by_name.entry(
            hasher.hash_one(name),
            |place| name_at(place) == name,
            |place| hasher.hash_one(name_at(place)),
        ) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let last = offers[first as usize].previous;
                (offers[place as usize].previous, offers[place as usize].next) = (last, first);
                (offers[last as usize].next, offers[first as usize].previous) = (place, place);
            }
        }
        place
    }

    fn remove(&mut self, place: Place) {
        let Offer { node, next_of_node, next, previous, .. } = *self.at(place);
        let before = self.places_of(node).find(|before| self.at(*before).next_of_node == place);
        match before {
            Some(before) => self.offers[before as usize].next_of_node = next_of_node,
            None => self.by_node[node.index()] = next_of_node,
        }
        (self.offers[previous as usize].next, self.offers[next as usize].previous) = (next, previous);
        let hash = self.hasher.hash_one(self.at(place).name());
        if let Ok(mut entry) = self.by_name.find_entry(hash, |first| *first == place) {
            if next == place {
                entry.remove();
            } else {
                *entry.get_mut() = next;
            }
        }
        let offer = &mut self.offers[place as usize];
        (offer.text, offer.name_length, offer.next_of_node) = (Box::default(), 0, self.free);
        self.free = place;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openred_core::{
        lifecycle::{Lifecycle, LifecycleConfig},
        time::Now,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::directory::store::conformance::peer;

    /// What happens to the offers of a few nodes.
    #[derive(Clone, Debug)]
    enum Happens {
        Put { node: usize, name: usize, expires: u64, withdrawn: bool },
        Clear { node: usize },
        Purge { now: u64 },
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            8 => (0..6_usize, 0..5_usize, 1..100_u64, any::<bool>())
                .prop_map(|(node, name, expires, withdrawn)| Happens::Put { node, name, expires, withdrawn }),
            1 => (0..6_usize).prop_map(|node| Happens::Clear { node }),
            1 => (0..100_u64).prop_map(|now| Happens::Purge { now }),
        ]
    }

    const NAMES: [&str; 5] = ["chess", "go", "chess-2", "a", "\u{e9}"];

    proptest! {
        #[test]
        fn whatever_is_offered_and_ends_both_ways_lead_to_the_same(steps in proptest::collection::vec(happens(), 0..80)) {
            let now = Now { elapsed: std::time::Duration::ZERO, unix_ms: 0 };
            let mut lifecycle = Lifecycle::new(LifecycleConfig::default(), now);
            let nodes: Vec<EntryId> = (0..6).map(|_| lifecycle.admit(now)).collect();
            let mut offers = Offers::default();
            // By name, in the order in which they came: node, end, and whether it is taken back.
            let mut model = BTreeMap::<&str, Vec<(usize, u64, bool)>>::new();
            for step in steps {
                match step {
                    Happens::Put { node, name, expires, withdrawn } => {
                        let told = Told { name: NAMES[name], expires, withdrawn, envelope: &[node as u8, expires as u8] };
                        offers.put(nodes[node], &peer(1), &told);
                        let ring = model.entry(NAMES[name]).or_default();
                        match ring.iter_mut().find(|offer| offer.0 == node) {
                            Some(offer) => *offer = (node, expires, withdrawn),
                            None => ring.push((node, expires, withdrawn)),
                        }
                    }
                    Happens::Clear { node } => {
                        offers.clear(nodes[node]);
                        model.values_mut().for_each(|ring| ring.retain(|offer| offer.0 != node));
                    }
                    Happens::Purge { now } => {
                        offers.purge(now);
                        model.values_mut().for_each(|ring| ring.retain(|offer| offer.1 > now));
                    }
                }
                for name in NAMES {
                    let expected = model.get(name).cloned().unwrap_or_default();
                    let found = offers.of_name(name).map(|offer| {
                        let node = nodes.iter().position(|node| *node == offer.node).unwrap();
                        assert_eq!(offer.envelope(&peer(1)), [node as u8, offer.expires as u8]);
                        (node, offer.expires, !offer.lives(0))
                    });
                    prop_assert_eq!(found.collect::<Vec<_>>(), expected);
                }
                for (number, node) in nodes.iter().enumerate() {
                    let expected = model.values().flatten().filter(|offer| offer.0 == number).count();
                    prop_assert_eq!(offers.of_node(*node).count(), expected);
                }
            }
        }
    }

    #[test]
    fn an_offer_costs_what_the_documentation_says() {
        assert_eq!(size_of::<Offer>(), 48);
    }
}
