//! The records this node has found, kept for the next one who asks.
//!
//! What is found under `name` and under `name@<peer id>` stands together under the name. Each record knows when the DHT last
//! confirmed it, and each name when the DHT was last asked for everybody: an answer that is fresh enough needs no network.
//! Records that were told by a directory stand here too, but confirm nothing, since a directory answers from a cache itself.
//! Withdrawals stay for as long as they keep something away.
//!
//! **What stays.** When a cap is exceeded, the name with the least *priority* goes: GreedyDual-Size with Frequency (Cherkasova,
//! 1998), `priority = age + uses * cost * quality / size`. `cost` is the measured time the network took to answer, `size` the
//! bytes that are held, `quality` 1, or 1/8 while no provider of the name can be reached, and `age` the priority of what went
//! last, so that what nobody asks for any more is overtaken by what is asked for.
//!
//! **Popular names.** A name that was asked for twice within [`WINDOW`] is looked up again before its answer is too old to be
//! given at once, for as long as it goes on being asked for.
//!
//! **Nobody.** That a whole walk found nobody is remembered for a second.
//!
//! What an earlier life wrote down stays sealed until it is asked for: each record is verified then, so that a start costs no
//! signature checks.
//!
//! Bounds: names and bytes by [`CacheConfig`](super::CacheConfig), 32 records a name, [`MAX_NOBODY`] names of nobody,
//! [`MAX_POPULAR`] popular ones. Nothing is asked here.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{CacheConfig, Stamp};
use crate::{
    bundle::Bundle,
    dht::key::{Key, KeyKind},
    map::{Map, Set},
    name::{NetworkName, ServiceName, ServiceTarget},
    time::Now,
};

/// Names remembered as offered by nobody; each for a second, so a node would have to ask 256 in that time.
const MAX_NOBODY: usize = 256;

/// How long nobody is remembered: an application that polls costs the network one walk a second, and whoever begins to offer
/// is found a second later at worst.
const NOBODY: Duration = Duration::from_secs(1);

/// Names refreshed ahead of time. Each costs a walk of some thirty messages every [`REFRESH`]; a guess.
const MAX_POPULAR: usize = 8;

/// Time within which a second question makes a name popular, and after which it is not popular any more. A guess.
const WINDOW: Duration = Duration::from_secs(30);

/// Age at which a popular name is looked up again: two seconds, the time of a slow walk, before an answer is too old to be
/// given at once by default.
const REFRESH: Duration = Duration::from_secs(8);

/// What an entry costs beside its bytes: the maps' and the decoded records' share.
const OVERHEAD: usize = 256;

/// Least and greatest cost of an answer, in microseconds.
const COST: (u128, u128) = (1_000, 10_000_000);

#[derive(Debug)]
enum Held {
    Open(Bundle),
    /// An encoded bundle of an earlier life, and when its last record expires.
    Sealed(Vec<u8>, u64),
}

#[derive(Debug)]
struct Entry {
    held: Held,
    /// When the DHT was last asked for everybody who offers the name.
    asked: Option<Stamp>,
    /// When the DHT last confirmed each record.
    confirmed: Map<PeerId, Stamp>,
    uses: u32,
    /// When it was used last, and before that, in this life.
    used: (Option<Duration>, Option<Duration>),
    cost: Duration,
    priority: u64,
    /// Bytes it is counted with.
    bytes: usize,
}

/// What the cache has for a question.
#[derive(Debug)]
pub(crate) struct Cached {
    /// What is remembered, under the key of the question; withdrawals included.
    pub(crate) bundle: Bundle,
    /// The providers whose records the DHT confirmed within the time that was asked for.
    pub(crate) fresh: Set<PeerId>,
    /// How long ago the DHT was asked this question.
    pub(crate) age: Option<Duration>,
}

/// One name as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RememberedService {
    pub(crate) name: ServiceName,
    /// The encoded bundle; not verified.
    pub(crate) bundle: Vec<u8>,
    /// When its last record expires, in milliseconds since the Unix epoch.
    pub(crate) until: u64,
    /// When the DHT was last asked for it, in milliseconds since the Unix epoch; 0 if never.
    pub(crate) asked: u64,
    pub(crate) uses: u32,
    pub(crate) cost: Duration,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Services {
    network: NetworkName,
    local: PeerId,
    most: usize,
    most_bytes: usize,
    entries: Map<ServiceName, Entry>,
    bytes: usize,
    /// The priority of what went last.
    age: u64,
    nobody: Map<ServiceTarget, Duration>,
    /// When each popular name is to be looked up again.
    popular: Map<ServiceName, Duration>,
    changed: bool,
}

impl Services {
    pub(crate) fn new(network: NetworkName, local: PeerId, config: &CacheConfig) -> Self {
        Self {
            network,
            local,
            most: config.max_services,
            most_bytes: config.max_bytes,
            entries: Map::new(),
            bytes: 0,
            age: 0,
            nobody: Map::new(),
            popular: Map::new(),
            changed: false,
        }
    }

    /// Records were found. With `cost`, the time it took, the DHT confirmed them; without, somebody told them.
    pub(crate) fn learn(&mut self, bundle: &Bundle, cost: Option<Duration>, now: Now) {
        let (KeyKind::Service(name) | KeyKind::ServiceOf(name, _)) = bundle.key().kind() else { return };
        let fresh: Vec<_> = bundle.records().filter(|record| record.record().provider != self.local).collect();
        if fresh.is_empty() {
            return;
        }
        self.nobody.retain(|target, _| target.name != *name);
        let key = Key::service(&self.network, name);
        let entry = self.entries.get_or_insert_with(name.clone(), || Entry::new(Bundle::new(key.clone())));
        let held = entry.open(&key, now);
        for record in fresh {
            // Only dates can be wrong with a record that stands in a bundle of this name, and then it is not wanted.
            let _ = held.merge(record.clone(), now);
        }
        held.expire(now);
        let known: Set<PeerId> = held.records().map(|record| record.record().provider).collect();
        if let Some(cost) = cost {
            entry.cost = cost;
            for provider in bundle.live(now).map(|record| record.record().provider) {
                if known.contains(&provider) {
                    entry.confirmed.insert(provider, Stamp::at(now));
                }
            }
        }
        entry.confirmed.retain(|provider, _| known.contains(provider));
        self.changed = true;
        self.weigh(name, true);
        self.trim(now);
    }

    /// The DHT has answered for everybody who offers the name.
    pub(crate) fn asked(&mut self, name: &ServiceName, now: Now) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.asked = Some(Stamp::at(now));
        }
        self.expect(name, now);
    }

    /// A whole walk found nobody.
    pub(crate) fn found_nobody(&mut self, target: ServiceTarget, now: Now) {
        self.nobody.retain(|_, until| *until > now.elapsed);
        if self.nobody.len() < MAX_NOBODY {
            self.nobody.insert(target, now.elapsed.saturating_add(NOBODY));
        }
    }

    /// Whether a whole walk found nobody a moment ago.
    pub(crate) fn is_nobody(&self, target: &ServiceTarget, now: Now) -> bool {
        self.nobody.get(target).is_some_and(|until| *until > now.elapsed)
    }

    /// This node begins to offer the name.
    pub(crate) fn offered(&mut self, name: &ServiceName) {
        self.nobody.retain(|target, _| target.name != *name);
    }

    /// The application asks for a name. Counts as a use, whatever becomes of the answer.
    pub(crate) fn used(&mut self, name: &ServiceName, quality: Quality, now: Now) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.uses = entry.uses.saturating_add(1);
        entry.used = (Some(now.elapsed), entry.used.0);
        self.weigh(name, quality == Quality::Good);
        self.expect(name, now);
    }

    /// What is remembered of a question; `max_age` says what is fresh.
    pub(crate) fn get(&mut self, target: &ServiceTarget, key: &Key, max_age: Duration, now: Now) -> Option<Cached> {
        let network = &self.network;
        let entry = self.entries.get_mut(&target.name)?;
        let all = Key::service(network, &target.name);
        entry.open(&all, now);
        let Held::Open(held) = &entry.held else { return None };
        let mut bundle = Bundle::new(key.clone());
        bundle.merge_all(held, now);
        let fresh: Set<PeerId> = entry
            .confirmed
            .iter()
            .filter(|(_, at)| at.age(now).is_some_and(|age| age <= max_age))
            .map(|(provider, _)| *provider)
            .collect();
        let asked = match &target.provider {
            Some(provider) => entry.confirmed.get(provider),
            None => entry.asked.as_ref(),
        };
        let age = asked.and_then(|at| at.age(now));
        Some(Cached { bundle, fresh, age })
    }

    /// What others may be told. What an earlier life wrote down is told once this node has asked for it itself: whoever asks a
    /// directory must not make it check signatures.
    pub(crate) fn tell(&self, name: &ServiceName) -> Option<&Bundle> {
        match &self.entries.get(name)?.held {
            Held::Open(bundle) => Some(bundle),
            Held::Sealed(..) => None,
        }
    }

    /// The next popular name that is due to be looked up again. It is due once.
    pub(crate) fn next_due(&mut self, now: Now) -> Option<ServiceName> {
        let name = self.popular.iter().find(|(_, at)| **at <= now.elapsed).map(|(name, _)| name.clone())?;
        self.popular.remove(&name);
        Some(name)
    }

    /// When [`Services::next_due`] has something to say.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.popular.values().min().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held, overhead included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops what has expired.
    pub(crate) fn expire(&mut self, now: Now) {
        let mut bytes = 0;
        self.entries.retain(|name, entry| {
            let keep = match &mut entry.held {
                Held::Open(bundle) => {
                    bundle.expire(now);
                    !bundle.is_empty()
                }
                Held::Sealed(_, until) => *until > now.unix_ms,
            };
            entry.bytes = entry.size(name);
            bytes += if keep { entry.bytes } else { 0 };
            keep
        });
        self.bytes = bytes;
    }

    /// What should outlive the process, the most valuable first.
    pub(crate) fn remembered(&mut self, now: Now) -> Vec<RememberedService> {
        self.expire(now);
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, entry)| (std::cmp::Reverse(entry.priority), *name));
        entries
            .into_iter()
            .map(|(name, entry)| {
                let (bundle, until) = match &entry.held {
                    Held::Open(bundle) => (bundle.encode(now), last_expiry(bundle)),
                    Held::Sealed(bytes, until) => (bytes.clone(), *until),
                };
                let asked = entry.asked.as_ref().map_or(0, |at| at.unix_ms(now));
                RememberedService { name: name.clone(), bundle, until, asked, uses: entry.uses, cost: entry.cost }
            })
            .filter(|remembered| !remembered.bundle.is_empty())
            .collect()
    }

    /// What an earlier life remembered; to be given in the order of [`Services::remembered`]. It is not looked into here.
    pub(crate) fn restore(&mut self, remembered: RememberedService, now: Now) {
        if remembered.until <= now.unix_ms || self.entries.contains_key(&remembered.name) {
            return;
        }
        let mut entry = Entry::new(Bundle::new(Key::service(&self.network, &remembered.name)));
        // A record lives two days at most: a date beyond is not believed and costs its name nothing but that.
        entry.held = Held::Sealed(remembered.bundle, remembered.until);
        entry.asked = (remembered.asked > 0).then(|| Stamp::remembered(remembered.asked));
        (entry.uses, entry.cost) = (remembered.uses, remembered.cost);
        let name = remembered.name;
        self.entries.insert(name.clone(), entry);
        self.weigh(&name, true);
        self.trim(now);
    }

    /// Whether something changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Plans the next look at a popular name.
    fn expect(&mut self, name: &ServiceName, now: Now) {
        let Some(entry) = self.entries.get(name) else { return };
        let popular = match entry.used {
            (Some(last), Some(before)) => {
                last.saturating_sub(before) <= WINDOW && now.elapsed.saturating_sub(last) <= WINDOW
            }
            _ => false,
        };
        let age = entry.asked.as_ref().and_then(|at| at.age(now));
        match age.filter(|_| popular) {
            Some(age) if self.popular.len() < MAX_POPULAR || self.popular.contains_key(name) => {
                self.popular.insert(name.clone(), now.elapsed.saturating_add(REFRESH.saturating_sub(age)));
            }
            Some(_) => {}
            None => drop(self.popular.remove(name)),
        }
    }

    /// Counts an entry's bytes and priority anew.
    fn weigh(&mut self, name: &ServiceName, good: bool) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        self.bytes -= entry.bytes;
        entry.bytes = entry.size(name);
        self.bytes += entry.bytes;
        let cost = entry.cost.as_micros().clamp(COST.0, COST.1) as u64;
        let quality = if good { 8 } else { 1 };
        // The factor keeps small worths apart from one another; nothing here comes near the end of 64 bits.
        let worth = u64::from(entry.uses.saturating_add(1).min(1 << 16)) * cost * quality * 128 / entry.bytes as u64;
        entry.priority = self.age.saturating_add(worth);
    }

    fn trim(&mut self, now: Now) {
        if self.entries.len() > self.most || self.bytes > self.most_bytes {
            self.expire(now);
        }
        while self.entries.len() > self.most.max(1) || (self.bytes > self.most_bytes && self.entries.len() > 1) {
            let least = self.entries.iter().min_by_key(|(_, entry)| entry.priority).map(|(name, _)| name.clone());
            let Some(entry) = least.as_ref().and_then(|name| self.entries.remove(name)) else { return };
            self.age = self.age.max(entry.priority);
            self.bytes -= entry.bytes;
            least.map(|name| self.popular.remove(&name));
        }
    }
}

/// How good an answer the providers of a name make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// Some provider may be reached, as far as is known.
    Good,
    /// None of them could be.
    Poor,
}

impl Entry {
    fn new(bundle: Bundle) -> Self {
        Self {
            held: Held::Open(bundle),
            asked: None,
            confirmed: Map::new(),
            uses: 0,
            used: (None, None),
            // What is typical of a wide-area walk.
            cost: Duration::from_millis(100),
            priority: 0,
            bytes: 0,
        }
    }

    /// The records, verified if they were sealed. What cannot be read is as good as forgotten.
    fn open(&mut self, key: &Key, now: Now) -> &mut Bundle {
        if let Held::Sealed(bytes, _) = &self.held {
            let opened = Bundle::decode(key, bytes, now).map(|(bundle, _)| bundle);
            let bundle = opened.unwrap_or_else(|_| Bundle::new(key.clone()));
            // A life ends and the next begins: what the DHT said of the whole name, it said of its records.
            if let Some(asked) = &self.asked {
                self.confirmed = bundle.live(now).map(|record| (record.record().provider, asked.clone())).collect();
            }
            self.held = Held::Open(bundle);
        }
        match &mut self.held {
            Held::Open(bundle) => bundle,
            Held::Sealed(..) => unreachable!("it was opened a moment ago"),
        }
    }

    fn size(&self, name: &ServiceName) -> usize {
        let records = match &self.held {
            Held::Open(bundle) => bundle.bytes(),
            Held::Sealed(bytes, _) => bytes.len(),
        };
        OVERHEAD + name.as_str().len() + records
    }
}

fn last_expiry(bundle: &Bundle) -> u64 {
    bundle.records().map(|record| record.record().expires_at()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
