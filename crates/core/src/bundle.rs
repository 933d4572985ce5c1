//! The bundle: the records of one name, merged.
//!
//! A bundle keeps the newest valid record of each provider. Records that hold make the same bundle in whatever order
//! and however often they arrive, so holders that have heard the same things give out the same bytes.
//!
//! - At most [`MAX_RECORDS`] providers. Beyond that those with the smallest sha2-256(provider id || key) stay: a rule
//!   that needs no agreement, and that nobody can win for all names at once.
//! - What was once replaced does not return. A provider's place is kept until the longest-lived record it has shown
//!   here would have expired, so an old record cannot come back when a newer, shorter one runs out or is withdrawn.
//! - Withdrawals are records like others: they take a place, they are passed on, and they last at least as long as what
//!   they withdraw.
//!
//! A bundle does not fetch, store or forward; and it checks dates only against the `now` it is given.

use libp2p_identity::PeerId;
use sha2::{Digest, Sha256};

use crate::{
    dht::key::{Key, KeyKind},
    map::{self, Map},
    record::{RecordError, SignedRecord},
    time::Now,
    wire::bundle as wire,
};

pub use crate::wire::bundle::{BundleError, MAX_ENCODED};

/// The most providers in one bundle (design contract).
pub const MAX_RECORDS: usize = 32;

/// The newest valid record of each provider of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    key: Key,
    places: Map<PeerId, Place>,
}

/// One provider's place in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    record: SignedRecord,
    /// Until when the place is taken, in milliseconds since the Unix epoch: the latest expiry of any record that had
    /// it.
    until: u64,
    /// The sha2-256 that decides who stays when there are too many.
    rank: [u8; 32],
}

impl Place {
    fn taken(&self, now: Now) -> bool {
        self.until > now.unix_ms
    }

    fn live(&self, now: Now) -> bool {
        !self.record.record().withdrawn && self.record.record().expires_at() > now.unix_ms
    }

    /// Whether others should hear of this: it holds, or it keeps something from coming back.
    fn spreads(&self, now: Now) -> bool {
        self.live(now) || (self.record.record().withdrawn && self.taken(now))
    }
}

/// What became of a record that was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It is the first of its provider.
    Added,
    /// It replaced an older one.
    Replaced,
    /// It was here already.
    Known,
    /// A newer one is here.
    Stale,
    /// Others have the places.
    Full,
}

/// What became of the records of an encoded bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Records that were the first of their providers.
    pub added: usize,
    /// Records that replaced older ones.
    pub replaced: usize,
    /// Records that were here already.
    pub known: usize,
    /// Records older than what is here.
    pub stale: usize,
    /// Records for which there was no place.
    pub full: usize,
    /// Records that were not believed.
    pub rejected: Vec<Rejected>,
}

impl Merged {
    /// Whether anything is different from before.
    pub fn changed(&self) -> bool {
        self.added + self.replaced > 0
    }

    /// How many records were valid, wanted or not.
    pub fn valid(&self) -> usize {
        self.added + self.replaced + self.known + self.stale + self.full
    }

    /// How many signatures were checked.
    pub fn checked(&self) -> usize {
        self.valid() - self.known + self.rejected.len()
    }

    pub(crate) fn count(&mut self, merge: Merge) {
        match merge {
            Merge::Added => self.added += 1,
            Merge::Replaced => self.replaced += 1,
            Merge::Known => self.known += 1,
            Merge::Stale => self.stale += 1,
            Merge::Full => self.full += 1,
        }
    }
}

/// A record in a bundle that was not believed. It costs only itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of the bundle: {reason}")]
pub struct Rejected {
    /// Which record of the encoded bundle, from 0.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub reason: RecordError,
}

impl Bundle {
    /// An empty bundle for what stands under `key`. Under the key of a peer no record belongs.
    pub fn new(key: Key) -> Self {
        Self { key, places: Map::new() }
    }

    /// Reads a bundle another peer sent. What is valid of it is kept; the rest is returned with reasons.
    pub fn decode(key: &Key, bytes: &[u8], now: Now) -> Result<(Self, Vec<Rejected>), BundleError> {
        let mut bundle = Self::new(key.clone());
        let merged = bundle.merge_encoded(bytes, now)?;
        Ok((bundle, merged.rejected))
    }

    /// Encodes what others should hear: records that hold, and withdrawals for as long as they keep something away.
    pub fn encode(&self, now: Now) -> Vec<u8> {
        let spreading = self.places.values().filter(|place| place.spreads(now));
        wire::encode(spreading.map(|place| place.record.envelope()))
    }

    /// Merges an encoded bundle record by record. Records that are here already are not verified a second time.
    pub fn merge_encoded(&mut self, bytes: &[u8], now: Now) -> Result<Merged, BundleError> {
        let mut merged = Merged::default();
        for (index, envelope) in wire::decode(bytes)?.into_iter().enumerate() {
            if self.places.values().any(|place| place.taken(now) && place.record.envelope() == envelope) {
                merged.count(Merge::Known);
                continue;
            }
            match SignedRecord::decode(envelope).and_then(|record| self.merge(record, now)) {
                Ok(merge) => merged.count(merge),
                Err(reason) => merged.rejected.push(Rejected { index, reason }),
            }
        }
        Ok(merged)
    }

    /// Merges one record. Errors if it does not belong under the key, or not into this time.
    pub fn merge(&mut self, record: SignedRecord, now: Now) -> Result<Merge, RecordError> {
        self.check_key(&record)?;
        record.check_issued(now.unix_ms)?;
        let until = record.record().expires_at();
        match self.places.get_mut(&record.record().provider).filter(|place| place.taken(now)) {
            None => {
                record.check_time(now.unix_ms)?;
                Ok(self.take_place(record, until, now))
            }
            Some(place) if place.record == record => Ok(Merge::Known),
            Some(place) if !record.is_newer_than(&place.record) => Ok(Merge::Stale),
            Some(place) => {
                // A late withdrawal still does its work: what it withdraws may hold longer than itself.
                if !record.record().withdrawn {
                    record.check_time(now.unix_ms)?;
                }
                place.until = place.until.max(until);
                place.record = record;
                Ok(Merge::Replaced)
            }
        }
    }

    /// Merges what another bundle of the same key has. Returns whether that changed anything.
    pub fn merge_all(&mut self, other: &Bundle, now: Now) -> bool {
        let mut merged = Merged::default();
        for place in other.places.values() {
            // Only dates can be wrong with a record that is in a bundle of this key, and then it is not wanted.
            if let Ok(merge) = self.merge(place.record.clone(), now) {
                merged.count(merge);
            }
        }
        merged.changed()
    }

    fn check_key(&self, record: &SignedRecord) -> Result<(), RecordError> {
        let record = record.record();
        let belongs = match self.key.kind() {
            KeyKind::Service(name) => record.name == *name,
            KeyKind::ServiceOf(name, provider) => record.name == *name && record.provider == *provider,
            KeyKind::Peer(_) => false,
        };
        if belongs { Ok(()) } else { Err(RecordError::WrongKey) }
    }

    fn take_place(&mut self, record: SignedRecord, until: u64, now: Now) -> Merge {
        let provider = record.record().provider;
        let rank = Sha256::new().chain_update(provider.to_bytes()).chain_update(self.key.as_bytes()).finalize().into();
        self.expire(now);
        if self.places.len() >= MAX_RECORDS {
            let last = self.places.iter().max_by_key(|(_, place)| place.rank);
            match last.map(|(provider, place)| (*provider, place.rank)) {
                Some((last, highest)) if rank < highest => self.places.remove(&last),
                _ => return Merge::Full,
            };
        }
        self.places.insert(provider, Place { record, until, rank });
        Merge::Added
    }

    /// Frees the places whose time is over. Returns how many.
    pub fn expire(&mut self, now: Now) -> usize {
        let before = self.places.len();
        self.places.retain(|_, place| place.taken(now));
        before - self.places.len()
    }

    /// When [`expire`](Self::expire) will next free a place, in milliseconds since the Unix epoch.
    pub fn next_expiry(&self) -> Option<u64> {
        self.places.values().map(|place| place.until).min()
    }

    /// Whether a holder of this bundle has nothing to learn from `other`: each record there is here, or a newer one is.
    ///
    /// Records that would have no place here, because others have them all, are nothing to learn. Dates are not looked
    /// at: compare bundles that were merged, decoded or [expired](Self::expire) at the same time.
    pub fn covers(&self, other: &Bundle) -> bool {
        let full = self.places.len() >= MAX_RECORDS;
        let highest = self.places.values().map(|place| place.rank).max().filter(|_| full);
        other.places.iter().all(|(provider, theirs)| match self.places.get(provider) {
            Some(ours) => !theirs.record.is_newer_than(&ours.record),
            None => highest.is_some_and(|highest| theirs.rank > highest),
        })
    }

    /// The key this is the bundle of.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// All records, withdrawals and expired ones included, in the order of their providers' ids.
    pub fn records(&self) -> Records<'_> {
        Records(self.places.iter())
    }

    /// The records that hold at `now`: not expired, not withdrawn.
    pub fn live(&self, now: Now) -> impl Iterator<Item = &SignedRecord> {
        self.places.values().filter(move |place| place.live(now)).map(|place| &place.record)
    }

    /// Whether there is anything others should hear.
    pub fn spreads(&self, now: Now) -> bool {
        self.places.values().any(|place| place.spreads(now))
    }

    /// The record of one provider, whatever its state.
    pub fn get(&self, provider: &PeerId) -> Option<&SignedRecord> {
        self.places.get(provider).map(|place| &place.record)
    }

    /// How many providers have a place.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no provider has a place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The length of all envelopes together, in bytes.
    pub fn bytes(&self) -> usize {
        self.records().map(|record| record.envelope().len()).sum()
    }
}

/// The records of a bundle. See [`Bundle::records`].
#[derive(Debug, Clone)]
pub struct Records<'a>(map::Iter<'a, PeerId, Place>);

impl<'a> Iterator for Records<'a> {
    type Item = &'a SignedRecord;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(_, place)| &place.record)
    }
}

#[cfg(test)]
mod tests;
