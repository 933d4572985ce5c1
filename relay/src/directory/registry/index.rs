//! What a registry keeps in memory: who is there, since when each was last heard, and who offers what.
//!
//! Everything here follows from the store and from heartbeats. Statements are shared and never copied. A node with one service
//! takes 1.26 kB (`cargo xtask bench directory`): 465 bytes as both were sent, what they take apart as values and in the index of
//! names, and some 130 bytes of liveness. Nodes are found by peer id through a table of numbers.
//!
//! Bounds: the registry asks [`Index::len`] and [`Index::offers`] before it lets in more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    ops::Bound,
    sync::Arc,
};

use hashbrown::{HashTable, hash_table::Entry as TableEntry};
use libp2p_identity::PeerId;
use openred_core::{
    lifecycle::{Cause, EntryId, Lifecycle, Output, State},
    record::SignedRecord,
    time::Now,
};

use super::{
    super::store::{Liveness, NodeRow},
    views::{NodeInfo, NodeView, ServiceView},
};

/// A node in memory.
struct Slot {
    info: Arc<NodeInfo>,
    /// Its last sign of life, in milliseconds since the Unix epoch.
    heard: u64,
    withheld: bool,
    /// Whether the store does not know the last sign of life yet.
    dirty: bool,
}

/// A service in memory: the proof, and what is asked of it all the time.
struct Offer {
    envelope: Box<[u8]>,
    sequence: u64,
    expires: u64,
    withdrawn: bool,
}

/// Offers of one name that a lookup looks at; the rest is for lists. Each costs less than a microsecond.
const LOOKED_AT: usize = 4096;

/// What counts as a life at least when silences are compared, in milliseconds: a minute, about which nothing is to be learned.
const SHORTEST_LIFE: f64 = 60_000.0;

/// See the module's documentation.
pub(super) struct Index {
    lifecycle: Lifecycle,
    slots: Vec<Option<Slot>>,
    by_peer: HashTable<EntryId>,
    hasher: RandomState,
    offers: BTreeMap<(Arc<str>, EntryId), Offer>,
    offered_by: BTreeSet<(EntryId, Arc<str>)>,
    /// Who is banned, and until when.
    pub(super) bans: HashMap<PeerId, u64>,
    dirty: usize,
    news: News,
}

/// What came of the lifecycle.
#[derive(Default)]
pub(super) struct News {
    /// Nodes that are in another state.
    pub(super) moved: Vec<Liveness>,
    /// Nodes that were given up.
    pub(super) died: Vec<PeerId>,
    /// Nodes to ask whether they are there.
    pub(super) check: Vec<PeerId>,
}

impl Index {
    pub(super) fn new(lifecycle: Lifecycle) -> Self {
        Self {
            lifecycle,
            slots: Vec::new(),
            by_peer: HashTable::new(),
            hasher: RandomState::new(),
            offers: BTreeMap::new(),
            offered_by: BTreeSet::new(),
            bans: HashMap::new(),
            dirty: 0,
            news: News::default(),
        }
    }

    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Gives the lifecycle a fact that is not about one node.
    pub(super) fn tell(&mut self, fact: impl FnOnce(&mut Lifecycle)) {
        fact(&mut self.lifecycle);
        self.settle();
    }

    pub(super) fn len(&self) -> usize {
        self.by_peer.len()
    }

    pub(super) fn dirty(&self) -> usize {
        self.dirty
    }

    pub(super) fn services(&self) -> usize {
        self.offers.len()
    }

    pub(super) fn find(&self, peer: &PeerId) -> Option<EntryId> {
        let slots = &self.slots;
        self.by_peer.find(self.hasher.hash_one(peer), |id| is_of(slots, *id, peer)).copied()
    }

    /// How many services a node offers, and whether it offers this one.
    pub(super) fn offers(&self, id: EntryId, name: &str) -> (usize, bool) {
        let mut has = false;
        let count = self.names_of(id).inspect(|offered| has |= &***offered == name).count();
        (count, has)
    }

    /// A node registered, here or at another instance. True if it was not here.
    pub(super) fn put_node(&mut self, now: Now, info: NodeInfo, heard: u64) -> bool {
        if let Some(id) = self.find(&info.peer) {
            if let Some(slot) = self.slot_mut(id)
                && info.sequence >= slot.info.sequence
            {
                let registered = slot.info.registered.min(info.registered);
                slot.info = Arc::new(NodeInfo { registered, ..info });
                slot.heard = slot.heard.max(heard);
            }
            self.lifecycle.handle_heard(now, id);
            self.settle();
            return false;
        }
        let id = self.lifecycle.admit(now);
        self.insert(id, Slot { info: Arc::new(info), heard, withheld: false, dirty: false });
        true
    }

    /// A node comes from the store. One that is here is brought up to date.
    pub(super) fn restore_node(&mut self, now: Now, row: NodeRow) {
        let NodeRow { standing, heard, withheld, .. } = row;
        let info = NodeInfo::from(row);
        if let Some(id) = self.find(&info.peer) {
            let is_news = self.slot_mut(id).is_some_and(|slot| {
                slot.withheld = withheld;
                if info.sequence >= slot.info.sequence {
                    slot.info = Arc::new(info);
                }
                heard > slot.heard
            });
            if is_news {
                self.hear_of(now, id, standing.state, heard);
            }
            return;
        }
        if let Some(id) = self.lifecycle.restore(now, standing) {
            self.insert(id, Slot { info: Arc::new(info), heard, withheld, dirty: false });
        }
    }

    /// Another instance heard a node.
    pub(super) fn hear_of(&mut self, now: Now, id: EntryId, state: State, heard: u64) {
        let Some(slot) = self.slot_mut(id) else { return };
        if heard <= slot.heard {
            return;
        }
        slot.heard = heard;
        match state {
            State::Active => {
                self.lifecycle.handle_heard(now, id);
            }
            State::Draining => self.lifecycle.handle_farewell(now, id),
            // How long the silence has lasted is decided here, from what was heard.
            _ => {}
        }
        self.settle();
    }

    /// A sign of life; true if the node was not active.
    pub(super) fn hear(&mut self, now: Now, id: EntryId) -> bool {
        let revived = self.lifecycle.handle_heard(now, id);
        self.mark(now, id);
        self.settle();
        revived
    }

    /// The node says that it is about to stop.
    pub(super) fn drain(&mut self, now: Now, id: EntryId) {
        self.lifecycle.handle_farewell(now, id);
        self.mark(now, id);
        self.settle();
    }

    fn mark(&mut self, now: Now, id: EntryId) {
        let Some(Some(slot)) = self.slots.get_mut(id.index()) else { return };
        slot.heard = slot.heard.max(now.unix_ms);
        self.dirty += usize::from(!std::mem::replace(&mut slot.dirty, true));
    }

    pub(super) fn withhold(&mut self, peer: &PeerId, withheld: bool) {
        if let Some(slot) = self.find(peer).and_then(|id| self.slot_mut(id)) {
            slot.withheld = withheld;
        }
    }

    /// A node is forgotten, with its services.
    pub(super) fn remove(&mut self, peer: &PeerId) {
        let Some(id) = self.find(peer) else { return };
        self.lifecycle.remove(id);
        self.clear(id);
    }

    /// A service record was stored, or comes from the store.
    pub(super) fn put_service(&mut self, record: &SignedRecord) {
        let said = record.record();
        let Some(id) = self.find(&said.provider) else { return };
        let name: Arc<str> = said.name.as_str().into();
        let offer = Offer {
            envelope: record.envelope().into(),
            sequence: said.sequence,
            expires: said.expires_at(),
            withdrawn: said.withdrawn,
        };
        let key = (Arc::clone(&name), id);
        if self.offers.get(&key).is_some_and(|held| held.sequence > offer.sequence) {
            return;
        }
        self.offers.insert(key, offer);
        self.offered_by.insert((id, name));
    }

    /// Replaces all services of a node.
    pub(super) fn set_services(&mut self, peer: &PeerId, records: &[SignedRecord]) {
        let Some(id) = self.find(peer) else { return };
        self.clear_services(id);
        records.iter().for_each(|record| self.put_service(record));
    }

    /// Drops services that have expired.
    pub(super) fn purge(&mut self, now: u64) {
        let Self { offers, offered_by, bans, .. } = self;
        offers.retain(|(name, id), offer| {
            let stays = offer.expires > now;
            if !stays {
                offered_by.remove(&(*id, Arc::clone(name)));
            }
            stays
        });
        bans.retain(|_, until| *until > now);
    }

    pub(super) fn node(&self, now: Now, peer: &PeerId) -> Option<NodeView> {
        let id = self.find(peer)?;
        self.view(now, id)
    }

    pub(super) fn view(&self, now: Now, id: EntryId) -> Option<NodeView> {
        let slot = self.slots.get(id.index())?.as_ref()?;
        let standing = self.lifecycle.standing(now, id)?;
        let living =
            |name: &Arc<str>| self.offers.get(&(Arc::clone(name), id)).is_some_and(|offer| offer.lives(now.unix_ms));
        let services = self.names_of(id).filter(|name| living(name)).count();
        Some(NodeView { info: Arc::clone(&slot.info), standing, heard: slot.heard, withheld: slot.withheld, services })
    }

    /// The provider of a record as it stands, if others should hear of it.
    pub(super) fn provider(&self, peer: &PeerId) -> Option<(State, u64)> {
        let id = self.find(peer)?;
        let slot = self.slots.get(id.index())?.as_ref()?;
        let state = self.lifecycle.state(id)?;
        (state.is_present() && !slot.withheld && !self.bans.contains_key(peer)).then_some((state, slot.heard))
    }

    /// Living services of a name whose providers are present, at most `limit`.
    pub(super) fn lookup(&self, now: u64, name: &str, limit: usize) -> Vec<ServiceView> {
        let name: Arc<str> = name.into();
        let from = Bound::Included((Arc::clone(&name), EntryId::FIRST));
        let offers = self.offers.range((from, Bound::Unbounded)).take_while(|((of, _), _)| *of == name);
        let living = offers.take(LOOKED_AT).filter(|(_, offer)| offer.lives(now));
        let views = living.filter_map(|((_, id), offer)| {
            let peer = &self.slots.get(id.index())?.as_ref()?.info.peer;
            let (state, heard) = self.provider(peer)?;
            let record = SignedRecord::restore(offer.envelope.to_vec());
            let record =
                record.inspect_err(|error| tracing::error!(%error, %peer, "a service in memory cannot be read"));
            Some(ServiceView { record: record.ok()?, state, heard })
        });
        views.take(limit).collect()
    }

    /// What came of the lifecycle since the last call. Nodes that were given up are gone from here.
    pub(super) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Hears the lifecycle out. This follows each fact at once, since numbers of entries are given again.
    fn settle(&mut self) {
        while let Some(output) = self.lifecycle.poll_output() {
            match output {
                Output::Moved { entry, standing, .. } => {
                    let Some(Some(slot)) = self.slots.get(entry.index()) else { continue };
                    let (peer, heard) = (slot.info.peer, slot.heard);
                    if standing.state == State::Dead {
                        self.clear(entry);
                        self.news.died.push(peer);
                    } else {
                        self.news.moved.push(Liveness { peer, standing, heard, moved: true });
                    }
                }
                Output::Check(entry) => {
                    let slot = self.slots.get(entry.index()).and_then(Option::as_ref);
                    self.news.check.extend(slot.map(|slot| slot.info.peer));
                }
                Output::Held(hold) if hold.cause == Cause::Absence => {
                    tracing::info!("nobody is judged until there was time to be heard");
                }
                Output::Held(hold) => {
                    tracing::warn!(silent = hold.silent, "many nodes fell silent at once; nobody is judged");
                }
                Output::Released(hold) => {
                    tracing::info!(cause = hold.cause.as_str(), silent = hold.silent, "nodes are judged again");
                }
            }
        }
    }

    /// The nodes that are away whose silence is longest compared with the time that they were here, at most `count`: a page that
    /// was open for a minute goes before a server that ran for a year.
    pub(super) fn longest_silent(&self, now: Now, count: usize) -> Vec<PeerId> {
        let mut silent: Vec<(f64, PeerId)> = Vec::new();
        for id in self.lifecycle.ids() {
            let Some(Some(slot)) = self.slots.get(id.index()) else { continue };
            if self.lifecycle.state(id).is_none_or(State::is_present) {
                continue;
            }
            let silence = now.unix_ms.saturating_sub(slot.heard) as f64;
            let life = slot.heard.saturating_sub(slot.info.registered) as f64;
            silent.push((silence / (life + SHORTEST_LIFE), slot.info.peer));
        }
        silent.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        silent.truncate(count);
        silent.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Signs of life that the store does not know, ordered by peer so that neighbours in the store are written together. They
    /// count as known with this.
    pub(super) fn take_dirty(&mut self, now: Now) -> Vec<Liveness> {
        let mut rows = Vec::with_capacity(self.dirty);
        for id in self.lifecycle.ids() {
            let Some(Some(slot)) = self.slots.get_mut(id.index()) else { continue };
            if std::mem::take(&mut slot.dirty)
                && let Some(standing) = self.lifecycle.standing(now, id)
            {
                rows.push(Liveness { peer: slot.info.peer, standing, heard: slot.heard, moved: false });
            }
        }
        self.dirty = 0;
        rows.sort_by_cached_key(|row| row.peer.to_bytes());
        rows
    }

    /// Rows of [`take_dirty`](Self::take_dirty) could not be written.
    pub(super) fn put_back(&mut self, rows: &[Liveness]) {
        for row in rows {
            let Some(slot) = self.find(&row.peer).and_then(|id| self.slots.get_mut(id.index())?.as_mut()) else {
                continue;
            };
            self.dirty += usize::from(!std::mem::replace(&mut slot.dirty, true));
        }
    }

    fn slot_mut(&mut self, id: EntryId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index())?.as_mut()
    }

    fn names_of(&self, id: EntryId) -> impl Iterator<Item = &Arc<str>> {
        let from = Bound::Included((id, Arc::from("")));
        self.offered_by.range((from, Bound::Unbounded)).take_while(move |(of, _)| *of == id).map(|(_, name)| name)
    }

    fn insert(&mut self, id: EntryId, slot: Slot) {
        let hash = self.hasher.hash_one(slot.info.peer);
        if self.slots.len() <= id.index() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        let peer = slot.info.peer;
        self.slots[id.index()] = Some(slot);
        let Self { slots, by_peer, hasher, .. } = self;
        let rehash = |id: &EntryId| slots[id.index()].as_ref().map_or(0, |slot| hasher.hash_one(slot.info.peer));
        match by_peer.entry(hash, |id| is_of(slots, *id, &peer), rehash) {
            TableEntry::Occupied(mut known) => *known.get_mut() = id,
            TableEntry::Vacant(place) => {
                place.insert(id);
            }
        }
    }

    /// Removes what is kept of an entry beside its lifecycle.
    fn clear(&mut self, id: EntryId) {
        self.clear_services(id);
        let Some(peer) = self.slots.get(id.index()).and_then(|slot| Some(slot.as_ref()?.info.peer)) else { return };
        let hash = self.hasher.hash_one(peer);
        if let Ok(known) = self.by_peer.find_entry(hash, |known| *known == id) {
            known.remove();
        }
        let slot = self.slots[id.index()].take();
        self.dirty -= usize::from(slot.is_some_and(|slot| slot.dirty));
    }

    fn clear_services(&mut self, id: EntryId) {
        let names: Vec<Arc<str>> = self.names_of(id).cloned().collect();
        for name in names {
            self.offered_by.remove(&(id, Arc::clone(&name)));
            self.offers.remove(&(name, id));
        }
    }
}

impl Offer {
    fn lives(&self, now: u64) -> bool {
        !self.withdrawn && self.expires > now
    }
}

impl From<NodeRow> for NodeInfo {
    fn from(row: NodeRow) -> Self {
        Self {
            peer: row.peer,
            public_key: row.public_key.into(),
            addresses: row.addresses.into(),
            envelope: row.envelope.map(Into::into),
            sequence: row.sequence,
            region: row.region.into(),
            metadata: row.metadata,
            registered: row.registered,
            updated: row.updated,
        }
    }
}

fn is_of(slots: &[Option<Slot>], id: EntryId, peer: &PeerId) -> bool {
    slots.get(id.index()).is_some_and(|slot| slot.as_ref().is_some_and(|slot| slot.info.peer == *peer))
}
