//! What a node holds for others: values under value keys, providers under provider keys.
//!
//! The store believes nobody. A value is taken apart and verified, its records are merged with those that are here, and
//! what is given out is only what holds at that time. A record that is not believed costs only itself. Whether a
//! provider is who it says it is cannot be seen from the bytes: the caller passes only what a peer announces of itself.
//!
//! Bounds: all keys together and all bytes together, see [`StoreConfig`]; a bundle and a provider list have theirs.
//! When a cap is exceeded, the key farthest from this node (XOR distance) goes first, because other nodes are
//! responsible for it and lookups will find them; if that is the key just put, the put is refused. What has expired is
//! dropped before anything else is.
//!
//! The store does not decide whom to replicate to, and it does not count requests.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::key::{Distance, Key, KeyError, KeyKind, Position, is_provider_key};
use crate::{
    bundle::{Bundle, BundleError, Merge, Merged, Rejected},
    map::{self, Map},
    name::NetworkName,
    peer_record::{PeerRecordError, SignedPeerRecord},
    time::{Now, PEER_RECORD_TTL, PROVIDER_TTL, millis},
    wire::kad::{MAX_ADDRESSES, PeerAddresses},
};

/// The caps of a [`Store`].
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// How many keys are held, value keys and provider keys together. Each costs up to 1 KiB beyond its bytes. The
    /// default is 65 536, a guess: a service needs up to three, so it is room for 20 000 services.
    pub max_keys: usize,
    /// How many bytes of keys, envelopes and addresses are held. What is decoded beside them takes about as much again.
    /// The default is 64 MiB, a guess: 100 000 records of common length on a relay with 512 MiB.
    pub max_bytes: usize,
    /// How many providers of one key are held: those closest to the key. The default is Kademlia's k = 20.
    pub providers_per_key: usize,
    /// How long a provider is held after it was announced. At most, and by default, [`PROVIDER_TTL`].
    pub provider_ttl: Duration,
    /// How long a peer's addresses are held after they were put. The default is [`PEER_RECORD_TTL`].
    pub peer_record_ttl: Duration,
    /// How far apart expiry sweeps are at least. Reading never shows what has expired, so this costs only memory; a
    /// sweep costs a look at every key. The default is 10 s.
    pub sweep_interval: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            max_keys: 65_536,
            max_bytes: 64 * 1024 * 1024,
            providers_per_key: 20,
            provider_ttl: PROVIDER_TTL,
            peer_record_ttl: PEER_RECORD_TTL,
            sweep_interval: Duration::from_secs(10),
        }
    }
}

/// The values and providers a node holds.
#[derive(Debug)]
pub struct Store {
    network: NetworkName,
    local: Position,
    config: StoreConfig,
    values: Map<Key, Value>,
    providers: Map<Vec<u8>, Providers>,
    /// Every key that is held, by its distance from this node, for finding the farthest.
    by_distance: Map<Distance, Slot>,
    bytes: usize,
    /// No earlier than this, in `Now::elapsed`, does anything expire.
    next_expiry: Option<Duration>,
    /// When the last sweep was, in `Now::elapsed`.
    swept: Option<Duration>,
}

/// What is held under a value key.
#[derive(Debug)]
pub enum Value {
    /// The records of a service.
    Bundle(Bundle),
    /// A peer's addresses.
    Peer {
        /// The newest record the peer signed.
        record: Box<SignedPeerRecord>,
        /// Until when it is held, in `Now::elapsed`.
        until: Duration,
    },
}

impl Value {
    /// What the holder gives out: only what holds at `now`.
    pub fn encode(&self, now: Now) -> Option<Vec<u8>> {
        match self {
            Self::Bundle(bundle) => bundle.spreads(now).then(|| bundle.encode(now)),
            Self::Peer { record, until } => (*until > now.elapsed).then(|| record.envelope().to_vec()),
        }
    }

    /// Whether another holder should be given it. A peer's addresses have no date but their sequence, which is one in ours.
    pub(crate) fn is_fresh(&self, now: Now) -> bool {
        match self {
            Self::Bundle(_) => true,
            Self::Peer { record, .. } => record.record().sequence.saturating_add(millis(PEER_RECORD_TTL)) > now.unix_ms,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Bundle(bundle) => bundle.bytes(),
            Self::Peer { record, .. } => record.envelope().len(),
        }
    }

    fn next_expiry(&self, now: Now) -> Option<Duration> {
        match self {
            Self::Bundle(bundle) => {
                let left = bundle.next_expiry()?.saturating_sub(now.unix_ms);
                Some(now.elapsed.saturating_add(Duration::from_millis(left)))
            }
            Self::Peer { until, .. } => Some(*until),
        }
    }
}

/// The providers of one key, closest to the key first.
#[derive(Debug, Default)]
struct Providers(Map<Distance, Provider>);

#[derive(Debug)]
struct Provider {
    announced: PeerAddresses,
    /// Until when it is held, in `Now::elapsed`.
    until: Duration,
}

impl Providers {
    fn bytes(&self) -> usize {
        let addresses = |provider: &Provider| provider.announced.addresses.iter().map(Multiaddr::len).sum::<usize>();
        self.0.values().map(|provider| provider.announced.peer.as_ref().encoded_len() + addresses(provider)).sum()
    }
}

/// Which map a key is in.
#[derive(Debug, Clone)]
enum Slot {
    Value(Key),
    Providers(Vec<u8>),
}

/// What became of a value that was put.
#[derive(Debug, Clone)]
pub struct PutOutcome {
    /// The key, parsed.
    pub key: Key,
    /// What became of its records. A peer record counts as one.
    pub merged: Merged,
}

/// What became of a provider that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// It was not held before.
    Added,
    /// It is held anew, with the addresses it announces today.
    Refreshed,
    /// As many closer to the key are held as may be.
    TooFar,
}

impl Store {
    /// An empty store of the node `local` in `network`.
    pub fn new(network: NetworkName, local: &PeerId, config: StoreConfig) -> Self {
        Self {
            network,
            local: Position::of_peer(local),
            config,
            values: Map::new(),
            providers: Map::new(),
            by_distance: Map::new(),
            bytes: 0,
            next_expiry: None,
            swept: None,
        }
    }

    /// Takes what of a value is valid and new.
    pub fn put(&mut self, key: &[u8], value: &[u8], now: Now) -> Result<PutOutcome, PutRefused> {
        let key = Key::parse(&self.network, key)?;
        let merged = match key.kind() {
            KeyKind::Service(_) | KeyKind::ServiceOf(..) => self.put_bundle(&key, value, now)?,
            KeyKind::Peer(peer) => self.put_peer(&key, *peer, value, now)?,
        };
        if !self.trim(now, &key.position()) {
            return Err(PutRefused::Full { checked: merged.checked() });
        }
        Ok(PutOutcome { key, merged })
    }

    fn put_bundle(&mut self, key: &Key, value: &[u8], now: Now) -> Result<Merged, PutRefused> {
        let mut fresh = None;
        let held = match self.values.get_mut(key) {
            Some(Value::Bundle(bundle)) => bundle,
            _ => fresh.insert(Bundle::new(key.clone())),
        };
        let before = held.bytes();
        let merged = held.merge_encoded(value, now)?;
        let after = held.bytes();
        self.bytes = self.bytes + after - before;
        if let Some(bundle) = fresh
            && !bundle.is_empty()
        {
            // Its envelopes are counted already.
            self.bytes += key.as_bytes().len();
            self.place(key.position(), Slot::Value(key.clone()));
            self.values.insert(key.clone(), Value::Bundle(bundle));
        }
        self.note_expiry(self.values.get(key).and_then(|value| value.next_expiry(now)));
        match (merged.valid(), merged.rejected.is_empty()) {
            (0, true) => Err(PutRefused::Empty),
            (0, false) => Err(PutRefused::AllBad { rejected: merged.rejected }),
            _ => Ok(merged),
        }
    }

    fn put_peer(&mut self, key: &Key, peer: PeerId, value: &[u8], now: Now) -> Result<Merged, PutRefused> {
        let record = SignedPeerRecord::decode(value)?;
        if record.peer() != peer {
            return Err(PutRefused::OtherPeer { record: record.peer() });
        }
        let held = match self.values.get(key) {
            Some(Value::Peer { record, until }) if *until > now.elapsed => Some(record),
            _ => None,
        };
        let merge = match held {
            Some(held) if **held == record => Merge::Known,
            Some(held) if !record.is_newer_than(held) => Merge::Stale,
            Some(_) => Merge::Replaced,
            None => Merge::Added,
        };
        if matches!(merge, Merge::Added | Merge::Replaced) {
            let until = now.elapsed.saturating_add(self.config.peer_record_ttl);
            self.forget_value(key);
            self.bytes += key.as_bytes().len() + record.envelope().len();
            self.place(key.position(), Slot::Value(key.clone()));
            self.values.insert(key.clone(), Value::Peer { record: Box::new(record), until });
            self.note_expiry(Some(until));
        }
        let mut merged = Merged::default();
        merged.count(merge);
        Ok(merged)
    }

    /// The value under a key, encoded, with only what holds at `now`. Nothing if that is nothing.
    pub fn get(&self, key: &[u8], now: Now) -> Option<Vec<u8>> {
        self.values.get(&Key::parse(&self.network, key).ok()?)?.encode(now)
    }

    /// What is held under a key, decoded.
    pub fn value(&self, key: &Key) -> Option<&Value> {
        self.values.get(key)
    }

    /// Remembers that a peer announced itself under a provider key.
    pub fn add_provider(&mut self, key: &[u8], provider: PeerAddresses, now: Now) -> Result<Announced, PutRefused> {
        if !is_provider_key(key) {
            return Err(PutRefused::NotAProviderKey);
        }
        let position = Position::of(key);
        let distance = position.distance(&Position::of_peer(&provider.peer));
        let until = now.elapsed.saturating_add(self.config.provider_ttl.min(PROVIDER_TTL));
        let mut announced = provider;
        announced.addresses.truncate(MAX_ADDRESSES);

        if !self.providers.contains_key(key) {
            self.bytes += key.len();
            self.place(position, Slot::Providers(key.to_vec()));
        }
        let providers = self.providers.get_or_insert_with(key.to_vec(), Providers::default);
        let before = providers.bytes();
        providers.0.retain(|_, provider| provider.until > now.elapsed);
        let known = providers.0.insert(distance, Provider { announced, until }).is_some();
        let dropped =
            if providers.0.len() > self.config.providers_per_key.max(1) { providers.0.pop_last() } else { None };
        self.bytes = self.bytes + providers.bytes() - before;
        self.note_expiry(Some(until));

        match dropped {
            Some((farthest, _)) if farthest == distance => Ok(Announced::TooFar),
            _ if !self.trim(now, &position) => Err(PutRefused::Full { checked: 0 }),
            _ if known => Ok(Announced::Refreshed),
            _ => Ok(Announced::Added),
        }
    }

    /// The providers of a provider key, closest to the key first.
    pub fn providers(&self, key: &[u8], now: Now) -> Vec<PeerAddresses> {
        let held = self.providers.get(key).into_iter().flat_map(|providers| providers.0.values());
        held.filter(|provider| provider.until > now.elapsed).map(|provider| provider.announced.clone()).collect()
    }

    /// Drops what has expired. Returns how many records and providers that were.
    pub fn expire(&mut self, now: Now) -> usize {
        let before = self.records();
        for value in self.values.values_mut() {
            if let Value::Bundle(bundle) = value {
                bundle.expire(now);
            }
        }
        self.values.retain(|_, value| match value {
            Value::Bundle(bundle) => !bundle.is_empty(),
            Value::Peer { until, .. } => *until > now.elapsed,
        });
        for providers in self.providers.values_mut() {
            providers.0.retain(|_, provider| provider.until > now.elapsed);
        }
        self.providers.retain(|_, providers| !providers.0.is_empty());
        self.reindex(now);
        before - self.records()
    }

    /// When [`expire`](Self::expire) should be called next, in `Now::elapsed`. Nothing while nothing is held.
    pub fn next_expiry(&self) -> Option<Duration> {
        let earliest = self.swept.map_or(Duration::ZERO, |swept| swept.saturating_add(self.config.sweep_interval));
        self.next_expiry.filter(|_| !self.is_empty()).map(|next| next.max(earliest))
    }

    /// How many keys are held, value keys and provider keys together.
    pub fn len(&self) -> usize {
        self.by_distance.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_distance.is_empty()
    }

    /// How many bytes of keys, envelopes and addresses are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All values in the order of their keys.
    pub fn entries(&self) -> map::Iter<'_, Key, Value> {
        self.values.iter()
    }

    /// All values, those closest to this node first. Keys that lie together come together, so that one lookup can serve
    /// its neighbours.
    pub fn nearest(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.by_distance.values().filter_map(|slot| match slot {
            Slot::Value(key) => self.values.get_key_value(key),
            Slot::Providers(_) => None,
        })
    }

    /// The keys of values farther from this node than a distance, nearest first, with their distances.
    pub(crate) fn beyond(&self, distance: Option<Distance>) -> impl Iterator<Item = (Distance, &Key)> {
        let slots = match distance {
            Some(distance) => self.by_distance.beyond(&distance),
            None => self.by_distance.iter(),
        };
        slots.filter_map(|(distance, slot)| match slot {
            Slot::Value(key) => Some((*distance, key)),
            Slot::Providers(_) => None,
        })
    }

    /// How many services somebody offers, by the bundles held here. What expired since the last sweep counts.
    pub fn services(&self) -> usize {
        let offered = |(key, value): &(&Key, &Value)| match (key.kind(), value) {
            (KeyKind::Service(_), Value::Bundle(bundle)) => bundle.records().any(|record| !record.record().withdrawn),
            _ => false,
        };
        self.values.iter().filter(offered).count()
    }

    /// How many records, peer records and providers are held.
    fn records(&self) -> usize {
        let values = self.values.values().map(|value| match value {
            Value::Bundle(bundle) => bundle.len(),
            Value::Peer { .. } => 1,
        });
        values.sum::<usize>() + self.providers.values().map(|providers| providers.0.len()).sum::<usize>()
    }

    fn place(&mut self, position: Position, slot: Slot) {
        self.by_distance.insert(self.local.distance(&position), slot);
    }

    fn forget_value(&mut self, key: &Key) {
        if let Some(value) = self.values.remove(key) {
            self.bytes -= key.as_bytes().len() + value.bytes();
            self.by_distance.remove(&self.local.distance(&key.position()));
        }
    }

    fn forget_providers(&mut self, key: &[u8]) {
        if let Some(providers) = self.providers.remove(key) {
            self.bytes -= key.len() + providers.bytes();
            self.by_distance.remove(&self.local.distance(&Position::of(key)));
        }
    }

    fn over(&self) -> bool {
        self.len() > self.config.max_keys || self.bytes > self.config.max_bytes
    }

    /// Keeps the caps. Returns whether what lies at `position`, if anything, is still held.
    fn trim(&mut self, now: Now, position: &Position) -> bool {
        if self.over() && self.next_expiry.is_some_and(|next| next <= now.elapsed) {
            self.expire(now);
        }
        let distance = self.local.distance(position);
        let held = self.by_distance.contains_key(&distance);
        while self.over() {
            let Some((_, farthest)) = self.by_distance.last_key_value() else { break };
            match farthest.clone() {
                Slot::Value(key) => self.forget_value(&key),
                Slot::Providers(key) => self.forget_providers(&key),
            }
        }
        !held || self.by_distance.contains_key(&distance)
    }

    fn note_expiry(&mut self, at: Option<Duration>) {
        self.next_expiry = match (self.next_expiry, at) {
            (Some(held), Some(at)) => Some(held.min(at)),
            (held, at) => held.or(at),
        };
    }

    /// Counts and indexes everything anew after a sweep.
    fn reindex(&mut self, now: Now) {
        let (values, providers) = (&self.values, &self.providers);
        self.by_distance.retain(|_, slot| match slot {
            Slot::Value(key) => values.contains_key(key),
            Slot::Providers(key) => providers.contains_key(key),
        });
        self.bytes = values.iter().map(|(key, value)| key.as_bytes().len() + value.bytes()).sum::<usize>()
            + providers.iter().map(|(key, providers)| key.len() + providers.bytes()).sum::<usize>();
        let expiries = values.values().filter_map(|value| value.next_expiry(now));
        let provider_expiries = providers.values().flat_map(|held| held.0.values().map(|provider| provider.until));
        self.next_expiry = expiries.chain(provider_expiries).min();
        self.swept = Some(now.elapsed);
    }
}

/// Why a value or a provider is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutRefused {
    /// The key is not a value key of this network.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is not a sha2-256 multihash.
    #[error("not a provider key: a sha2-256 multihash")]
    NotAProviderKey,
    /// The value is not a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle has no records.
    #[error("bundle without records")]
    Empty,
    /// No record of the bundle is believed.
    #[error("none of the {} records is valid; the first: {}", rejected.len(), rejected[0].reason)]
    AllBad {
        /// The records and their reasons, at least one.
        rejected: Vec<Rejected>,
    },
    /// The value is not a signed peer record.
    #[error(transparent)]
    PeerRecord(#[from] PeerRecordError),
    /// The peer record is of another peer than its key.
    #[error("peer record of {record} under the key of another peer")]
    OtherPeer {
        /// Whose record it is.
        record: PeerId,
    },
    /// The store is full, and everything in it is closer to this node.
    #[error("the store is full")]
    Full {
        /// How many signatures had been checked by then.
        checked: usize,
    },
}

#[cfg(test)]
mod tests;
