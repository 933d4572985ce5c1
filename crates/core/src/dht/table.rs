//! The routing table: which DHT servers this node knows, sorted by distance.
//!
//! Kademlia's k-buckets (Maymounkov and Mazières, 2002): one bucket for each length of the prefix shared with the local
//! position, at most [`BUCKET`] peers in each. Who is in it, and how:
//!
//! - *Met*: it has been connected and has told that it serves this network's DHT ("check before add"), so hearsay never
//!   gets further than a query's candidates. Only these are named to others, and only while they do not fail.
//! - *Remembered*: known from an earlier life of this node ([`Table::remember`]). Asked like others, replaced first, and
//!   not named to anybody until it was met.
//!
//! A full bucket keeps its old members, which live longest by Kademlia's measurement, unless one was only remembered, has
//! failed, or comes from an address group that has more than its share while the newcomer's has not. Otherwise the member
//! that was not heard for longest is *doubted*: [`Table::poll_doubt`] names it, and if it fails the check the newcomer that
//! waits takes its place, as in the paper.
//!
//! Bounds: 256 buckets of [`BUCKET`] peers with at most 16 addresses each, and one waiting newcomer; of one address group
//! at most `GROUP_IN_TABLE`. The table does not dial and does not ping.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{
    diversity::Group,
    key::{Distance, Position},
};
use crate::{map::Map, wire::kad::PeerAddresses};

/// Peers in a bucket: Kademlia's `k`, 20 in libp2p's specification.
pub const BUCKET: usize = 20;

/// Failures in a row after which a peer leaves the table. One failure is often the network's; a guess.
const FAILURES: u8 = 3;

/// A member of a full bucket that was heard within this time is not doubted: its links' pings come at least this often.
/// libp2p-kad waits 60 s before a pending entry is put in; this is between that and a ping of ours.
const FRESH: Duration = Duration::from_secs(30);

/// Members of one address group in a full bucket before others are preferred: go-libp2p-kad-dht's default for each common
/// prefix length. A bucket that is not full takes more, since a young community's relays often stand with one provider.
const GROUP_IN_BUCKET: usize = 2;

/// Members of one address group in the whole table: one less than half of `k`, so that no group alone is a write quorum
/// of anybody's neighbourhood. go-libp2p-kad-dht takes 3, which needs a network as large as its own.
const GROUP_IN_TABLE: usize = BUCKET / 2 - 1;

#[derive(Clone, Debug)]
struct Entry {
    peer: PeerAddresses,
    position: Position,
    group: Option<Group>,
    /// When it was last heard.
    seen: Duration,
    failures: u8,
    met: bool,
}

impl Entry {
    fn is_live(&self) -> bool {
        self.met && self.failures == 0
    }
}

#[derive(Debug, Default)]
struct Bucket {
    entries: Vec<Entry>,
    /// A newcomer, and the member whose place it gets if that member fails.
    waiting: Option<(Entry, PeerId)>,
}

/// The buckets.
#[derive(Debug)]
pub struct Table {
    local: Position,
    buckets: Map<usize, Bucket>,
    doubted: Vec<PeerAddresses>,
    version: u64,
}

impl Table {
    /// An empty table around the local position.
    pub fn new(local: Position) -> Self {
        Self { local, buckets: Map::new(), doubted: Vec::new(), version: 0 }
    }

    /// A peer is connected and serves the DHT of this network; true if the table holds it afterwards.
    pub fn seen(&mut self, peer: PeerAddresses, elapsed: Duration) -> bool {
        let position = Position::of_peer(&peer.peer);
        let Some(index) = self.local.distance(&position).bucket() else { return false };
        let group = Group::of(&peer.addresses);
        let crowded = group.is_some_and(|group| self.of_group(group, &peer.peer) >= GROUP_IN_TABLE);
        let bucket = self.buckets.get_or_insert_with(index, Bucket::default);
        bucket.waiting.take_if(|(newcomer, doubted)| newcomer.peer.peer == peer.peer || *doubted == peer.peer);
        let entry = Entry { peer, position, group, seen: elapsed, failures: 0, met: true };
        if let Some(known) = bucket.find(&entry.peer.peer) {
            if !known.is_live() {
                self.version += 1;
            }
            *known = entry;
            return true;
        }
        if crowded {
            return false;
        }
        if bucket.entries.len() >= BUCKET {
            let Some(place) = bucket.weakest(&entry) else {
                self.doubted.extend(bucket.doubt(entry, elapsed));
                return false;
            };
            let removed = bucket.entries.remove(place).peer.peer;
            bucket.waiting.take_if(|(_, doubted)| *doubted == removed);
        }
        bucket.entries.push(entry);
        self.version += 1;
        true
    }

    /// A peer is known from an earlier life, by hearsay of ourselves: it is asked, and not vouched for.
    pub fn remember(&mut self, peer: PeerAddresses) {
        let position = Position::of_peer(&peer.peer);
        let Some(index) = self.local.distance(&position).bucket() else { return };
        let group = Group::of(&peer.addresses);
        if group.is_some_and(|group| self.of_group(group, &peer.peer) >= GROUP_IN_TABLE) {
            return;
        }
        let bucket = self.buckets.get_or_insert_with(index, Bucket::default);
        if bucket.entries.len() < BUCKET && bucket.find(&peer.peer).is_none() {
            let entry = Entry { peer, position, group, seen: Duration::ZERO, failures: 0, met: false };
            bucket.entries.push(entry);
        }
    }

    /// A peer did not answer or could not be dialled.
    pub fn failed(&mut self, peer: &PeerId) {
        let Some(bucket) = self.bucket_of(peer) else { return };
        let Some(place) = bucket.entries.iter().position(|known| known.peer.peer == *peer) else { return };
        let entry = &mut bucket.entries[place];
        let was_live = entry.is_live();
        entry.failures = entry.failures.saturating_add(1);
        if let Some((newcomer, _)) = bucket.waiting.take_if(|(_, doubted)| doubted == peer) {
            bucket.entries[place] = newcomer;
        } else if bucket.entries[place].failures >= FAILURES {
            bucket.entries.remove(place);
        }
        if was_live {
            self.version += 1;
        }
    }

    /// A peer answered: its failures so far do not count.
    pub fn heard(&mut self, peer: &PeerId, elapsed: Duration) {
        let Some(bucket) = self.bucket_of(peer) else { return };
        let Some(known) = bucket.find(peer) else { return };
        let back = known.met && known.failures > 0;
        (known.failures, known.seen) = (0, elapsed);
        bucket.waiting.take_if(|(_, doubted)| doubted == peer);
        if back {
            self.version += 1;
        }
    }

    /// A peer no longer serves the DHT of this network.
    pub fn remove(&mut self, peer: &PeerId) {
        let Some(bucket) = self.bucket_of(peer) else { return };
        let before = bucket.entries.len();
        bucket.waiting.take_if(|(newcomer, _)| newcomer.peer.peer == *peer);
        bucket.entries.retain(|known| known.peer.peer != *peer);
        // Whoever waits for a place has it.
        if let Some((newcomer, _)) = bucket.waiting.take_if(|(_, doubted)| doubted == peer) {
            bucket.entries.push(newcomer);
        }
        if bucket.entries.len() < before {
            self.version += 1;
        }
    }

    /// A member of a full bucket that should be asked whether it is still there, because somebody waits for its place.
    pub fn poll_doubt(&mut self) -> Option<PeerAddresses> {
        self.doubted.pop()
    }

    /// The closest peers to a position, closest first, the remembered and the failing ones too.
    pub fn closest(&self, target: &Position, count: usize) -> Vec<PeerAddresses> {
        self.nearest(target, count, &|_| true).into_iter().map(|(_, entry)| entry.peer.clone()).collect()
    }

    /// The closest peers to a position that were met and do not fail, closest first.
    pub fn live(&self, target: &Position, count: usize) -> Vec<PeerAddresses> {
        self.nearest(target, count, &Entry::is_live).into_iter().map(|(_, entry)| entry.peer.clone()).collect()
    }

    /// The closest peers to a position that were met, failing or not, closest first.
    pub fn met(&self, target: &Position, count: usize) -> Vec<PeerAddresses> {
        self.nearest(target, count, &|entry| entry.met).into_iter().map(|(_, entry)| entry.peer.clone()).collect()
    }

    /// Every peer, nearest bucket first.
    pub fn peers(&self) -> impl Iterator<Item = &PeerAddresses> {
        self.buckets.values().flat_map(|bucket| &bucket.entries).map(|entry| &entry.peer)
    }

    /// Grows whenever another set of peers is live.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many peers the table holds.
    pub fn len(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.entries.len()).sum()
    }

    /// Whether the table holds nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The closest entries that are wanted, sorted.
    ///
    /// Only as many buckets are sorted as are needed: with the target in bucket b, those in b are closest to it, those in
    /// all nearer buckets share the next distance class, and then each farther bucket is a class of its own.
    fn nearest(&self, target: &Position, count: usize, wanted: &dyn Fn(&Entry) -> bool) -> Vec<(Distance, &Entry)> {
        let home = self.local.distance(target).bucket();
        let mut found: Vec<(Distance, &Entry)> = Vec::new();
        let mut take = |from: &dyn Fn(usize) -> bool| {
            let sorted = found.len();
            for (_, bucket) in self.buckets.iter().filter(|(index, _)| from(**index)) {
                let wanted = bucket.entries.iter().filter(|entry| wanted(entry));
                found.extend(wanted.map(|entry| (target.distance(&entry.position), entry)));
            }
            found[sorted..].sort_unstable_by_key(|(distance, _)| *distance);
            found.len() >= count
        };
        let mut enough = false;
        if let Some(home) = home {
            enough = take(&|index| index == home) || take(&|index| index < home);
        }
        for index in self.buckets.keys().filter(|index| home.is_none_or(|home| **index > home)) {
            if enough {
                break;
            }
            enough = take(&|other| other == *index);
        }
        found.truncate(count);
        found
    }

    /// How many others than this peer the table holds of an address group.
    fn of_group(&self, group: Group, but: &PeerId) -> usize {
        let entries = self.buckets.values().flat_map(|bucket| &bucket.entries);
        entries.filter(|entry| entry.group == Some(group) && entry.peer.peer != *but).count()
    }

    fn bucket_of(&mut self, peer: &PeerId) -> Option<&mut Bucket> {
        let index = self.local.distance(&Position::of_peer(peer)).bucket()?;
        self.buckets.get_mut(&index)
    }
}

impl Bucket {
    fn find(&mut self, peer: &PeerId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|known| known.peer.peer == *peer)
    }

    /// The member that makes room for a newcomer without being asked.
    fn weakest(&self, newcomer: &Entry) -> Option<usize> {
        let of_group = |group: Option<Group>| match group {
            Some(_) => self.entries.iter().filter(|entry| entry.group == group).count(),
            None => 0,
        };
        let has_room = of_group(newcomer.group) < GROUP_IN_BUCKET;
        let crowds = |entry: &Entry| has_room && of_group(entry.group) > GROUP_IN_BUCKET;
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.is_live() || crowds(entry))
            .min_by_key(|(_, entry)| (entry.met, entry.failures == 0, entry.seen))
            .map(|(place, _)| place)
    }

    /// Lets a newcomer wait for the place of the member that was not heard for longest; names that member.
    fn doubt(&mut self, newcomer: Entry, elapsed: Duration) -> Option<PeerAddresses> {
        if self.waiting.is_some() {
            return None;
        }
        let oldest = self.entries.iter().min_by_key(|entry| entry.seen)?;
        if oldest.seen + FRESH > elapsed {
            return None;
        }
        let doubted = oldest.peer.clone();
        self.waiting = Some((newcomer, doubted.peer));
        Some(doubted)
    }
}

#[cfg(test)]
mod tests;
