//! What a registry keeps in memory: who is there, since when each was last heard, and who offers what.
//!
//! Everything here follows from the store and from heartbeats. What nodes said is kept once, as the bytes that they signed, and
//! read when it is asked for ([`statement`], [`offers`]). Beside that a node takes 48 bytes in its lifecycle, 56 here and 48 for
//! each service, and some bytes in the tables that lead from peer ids and names to them; `cargo xtask bench directory` measures
//! what it comes to.
//!
//! Bounds: the registry asks [`Index::len`] and [`Index::offers`] before it lets in more.

mod offers;
mod proof;
mod statement;

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use hashbrown::{HashTable, hash_table::Entry as TableEntry};
use libp2p_identity::PeerId;
use openred_core::{
    lifecycle::{Cause, EntryId, Lifecycle, Output, Standing, State},
    record::SignedRecord,
    time::Now,
};

use self::{
    offers::{Offer, Offers, Told},
    statement::{Dates, Statement},
};
use super::{
    super::store::{Kept, KeptNode, Liveness, NodeRow},
    views::{NodeInfo, NodeView, ServiceView},
};

/// A node in memory.
struct Slot {
    statement: Statement,
    dates: Dates,
    /// Its last sign of life, in milliseconds since the Unix epoch.
    heard: u64,
    withheld: bool,
    /// Whether the store does not know the last sign of life yet.
    dirty: bool,
}

/// Offers of one name that a lookup looks at; the rest is for lists. Each costs less than a microsecond.
const LOOKED_AT: usize = 4096;

/// How long a count of the services holds, since counting looks at all of them: some milliseconds with 100 000 nodes. A guess.
const COUNTED: Duration = Duration::from_secs(1);

/// What counts as a life at least when silences are compared, in milliseconds: a minute, about which nothing is to be learned.
const SHORTEST_LIFE: f64 = 60_000.0;

/// See the module's documentation.
pub(super) struct Index {
    lifecycle: Lifecycle,
    slots: Vec<Option<Slot>>,
    by_peer: HashTable<EntryId>,
    hasher: RandomState,
    offers: Offers,
    /// Who is banned, and until when.
    pub(super) bans: HashMap<PeerId, u64>,
    dirty: usize,
    /// How many services a lookup would name, and since when that is so, in elapsed time.
    counted: Option<(Duration, usize)>,
    news: News,
    /// Nodes to ask whether they are there, until somebody takes them; each is here.
    wished: BTreeSet<EntryId>,
}

/// What came of the lifecycle.
#[derive(Default)]
pub(super) struct News {
    /// Nodes that are in another state.
    pub(super) moved: Vec<Liveness>,
    /// Nodes that were given up.
    pub(super) died: Vec<PeerId>,
}

impl Index {
    pub(super) fn new(lifecycle: Lifecycle) -> Self {
        Self {
            lifecycle,
            slots: Vec::new(),
            by_peer: HashTable::new(),
            hasher: RandomState::new(),
            offers: Offers::default(),
            bans: HashMap::new(),
            dirty: 0,
            counted: None,
            news: News::default(),
            wished: BTreeSet::new(),
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

    /// How many services a lookup would name, as they were within the last [`COUNTED`].
    pub(super) fn services(&mut self, now: Now) -> usize {
        if let Some((at, count)) = self.counted
            && now.elapsed < at + COUNTED
        {
            return count;
        }
        let named =
            |id: &EntryId| self.slot(*id).is_some_and(|slot| self.standing_of(*id, &slot.statement.peer()).is_some());
        let nodes = self.lifecycle.ids().filter(named);
        let count = nodes.map(|id| self.living(now, id)).sum();
        self.counted = Some((now.elapsed, count));
        count
    }

    pub(super) fn find(&self, peer: &PeerId) -> Option<EntryId> {
        let hash = self.hasher.hash_one(peer.as_ref().digest());
        self.by_peer.find(hash, |id| self.slot(*id).is_some_and(|slot| slot.statement.is_of(peer))).copied()
    }

    /// How many services a node offers, and whether it offers this one.
    pub(super) fn offers(&self, id: EntryId, name: &str) -> (usize, bool) {
        (self.offers.of_node(id).count(), self.offers.find(id, name).is_some())
    }

    /// A node registered here.
    pub(super) fn put_node(&mut self, now: Now, row: &NodeRow) {
        let Some(id) = self.find(&row.peer) else {
            let id = self.lifecycle.admit(now);
            return self.insert(id, &row.peer, row.kept(|kept| Slot::new(&kept)));
        };
        if let Some(slot) = self.slot_mut(id)
            && row.sequence >= slot.dates.sequence
        {
            let registered = slot.dates.registered.min(row.registered);
            row.kept(|kept| slot.say(&kept));
            slot.dates.registered = registered;
            slot.heard = slot.heard.max(row.heard);
        }
        self.lifecycle.handle_heard(now, id);
        self.settle();
    }

    /// A node or a service comes from the store at the start.
    pub(super) fn restore(&mut self, now: Now, kept: &Kept<'_>) {
        match kept {
            Kept::Node(node) => self.restore_node(now, node),
            Kept::Service(service) => {
                let Some(id) = self.find(&service.provider) else { return };
                let told = Told {
                    name: service.name,
                    expires: service.expires,
                    withdrawn: service.withdrawn,
                    envelope: service.envelope,
                };
                self.offers.put(id, &service.provider, &told);
            }
        }
    }

    /// A node comes from the store. One that is here is brought up to date.
    pub(super) fn restore_node(&mut self, now: Now, node: &KeptNode<'_>) {
        let Some(id) = self.find(&node.peer) else {
            if let Some(id) = self.lifecycle.restore(now, node.standing) {
                self.insert(id, &node.peer, Slot::new(node));
            }
            return;
        };
        if let Some(slot) = self.slot_mut(id) {
            slot.withheld = node.withheld;
            if node.sequence >= slot.dates.sequence {
                slot.say(node);
            }
        }
        self.hear_of(now, id, node.standing.state, node.heard);
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

    /// The node's connection to this relay ended, and not by silence.
    pub(super) fn hang_up(&mut self, now: Now, id: EntryId) {
        self.lifecycle.handle_hung_up(now, id);
        self.settle();
        self.see_off(now, id);
    }

    /// A node that has hung up and has taken back all that it offered has stopped as one that says farewell does.
    fn see_off(&mut self, now: Now, id: EntryId) {
        let has_withdrawn = self.offers.of_node(id).any(|offer| offer.is_withdrawn());
        if self.lifecycle.has_hung_up(id) && has_withdrawn && self.living(now, id) == 0 {
            self.drain(now, id);
        }
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

    /// A service record was stored.
    pub(super) fn put_service(&mut self, now: Now, record: &SignedRecord) {
        let said = record.record();
        let Some(id) = self.find(&said.provider) else { return };
        let held = self.offers.find(id, said.name.as_str()).map(|offer| offer.envelope(&said.provider));
        if held.and_then(|envelope| SignedRecord::restore(envelope).ok()).is_some_and(|held| held.is_newer_than(record))
        {
            return;
        }
        let told = Told {
            name: said.name.as_str(),
            expires: said.expires_at(),
            withdrawn: said.withdrawn,
            envelope: record.envelope(),
        };
        self.offers.put(id, &said.provider, &told);
        self.see_off(now, id);
    }

    /// Replaces all services of a node.
    pub(super) fn set_services(&mut self, now: Now, peer: &PeerId, records: &[SignedRecord]) {
        let Some(id) = self.find(peer) else { return };
        self.offers.clear(id);
        records.iter().for_each(|record| self.put_service(now, record));
    }

    /// Drops services that have expired.
    pub(super) fn purge(&mut self, now: u64) {
        self.offers.purge(now);
        self.bans.retain(|_, until| *until > now);
    }

    /// A node as it stands.
    pub(super) fn node(&self, now: Now, peer: &PeerId) -> Option<NodeView> {
        let id = self.find(peer)?;
        let slot = self.slot(id)?;
        let info = slot.statement.read(slot.dates);
        let info = info.inspect_err(|error| tracing::error!(%error, %peer, "a node in memory cannot be read"));
        let (standing, services) = self.life(now, id)?;
        Some(NodeView { info: info.ok()?, standing, heard: slot.heard, withheld: slot.withheld, services })
    }

    /// A node of which the store has just told, as it stands.
    pub(super) fn view(&self, now: Now, row: NodeRow) -> NodeView {
        let NodeRow { standing, heard, withheld, .. } = row;
        let here = self.find(&row.peer).and_then(|id| Some((self.slot(id)?, self.life(now, id)?)));
        let info = NodeInfo::from(row);
        match here {
            Some((slot, (standing, services))) => {
                NodeView { info, standing, heard: slot.heard, withheld: slot.withheld, services }
            }
            None => NodeView { info, standing, heard, withheld, services: 0 },
        }
    }

    /// Where a node stands, and how many living services it offers.
    fn life(&self, now: Now, id: EntryId) -> Option<(Standing, usize)> {
        Some((self.lifecycle.standing(now, id)?, self.living(now, id)))
    }

    /// How many services of a node live.
    fn living(&self, now: Now, id: EntryId) -> usize {
        self.offers.of_node(id).filter(|offer| offer.lives(now.unix_ms)).count()
    }

    /// The provider of a record as it stands, if others should hear of it.
    pub(super) fn provider(&self, peer: &PeerId) -> Option<(State, u64)> {
        self.standing_of(self.find(peer)?, peer)
    }

    fn standing_of(&self, id: EntryId, peer: &PeerId) -> Option<(State, u64)> {
        let slot = self.slot(id)?;
        let state = self.lifecycle.state(id)?;
        (state.is_present() && !slot.withheld && !self.bans.contains_key(peer)).then_some((state, slot.heard))
    }

    /// Living services of a name whose providers are present, at most `limit`.
    pub(super) fn lookup(&self, now: u64, name: &str, limit: usize) -> Vec<ServiceView> {
        let living = self.offers.of_name(name).take(LOOKED_AT).filter(|offer| offer.lives(now));
        living.filter_map(|offer| self.service(offer)).take(limit).collect()
    }

    /// What one provider offers under a name, if it lives and its provider is present.
    pub(super) fn offer(&self, now: u64, name: &str, provider: &PeerId) -> Option<ServiceView> {
        let offer = self.offers.find(self.find(provider)?, name).filter(|offer| offer.lives(now))?;
        self.service(offer)
    }

    fn service(&self, offer: &Offer) -> Option<ServiceView> {
        let peer = self.slot(offer.node)?.statement.peer();
        let (state, heard) = self.standing_of(offer.node, &peer)?;
        let record = SignedRecord::restore(offer.envelope(&peer));
        let record = record.inspect_err(|error| tracing::error!(%error, %peer, "a service in memory cannot be read"));
        Some(ServiceView { record: record.ok()?, state, heard })
    }

    /// What came of the lifecycle since the last call. Nodes that were given up are gone from here.
    pub(super) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Whether there are nodes to ask whether they are there.
    pub(super) fn is_check_wished(&self) -> bool {
        !self.wished.is_empty()
    }

    /// Nodes to ask whether they are there, at most `most`; they are not wished for any more.
    pub(super) fn take_wished(&mut self, most: usize) -> Vec<PeerId> {
        let taken: Vec<EntryId> = self.wished.iter().copied().take(most).collect();
        for id in &taken {
            self.wished.remove(id);
        }
        taken.into_iter().filter_map(|id| Some(self.slot(id)?.statement.peer())).collect()
    }

    /// Hears the lifecycle out. This follows each fact at once, since numbers of entries are given again.
    fn settle(&mut self) {
        while let Some(output) = self.lifecycle.poll_output() {
            match output {
                Output::Moved { entry, standing, .. } => {
                    let Some(slot) = self.slot(entry) else { continue };
                    let (peer, heard) = (slot.statement.peer(), slot.heard);
                    if standing.state == State::Dead {
                        self.clear(entry);
                        self.news.died.push(peer);
                    } else {
                        self.news.moved.push(Liveness { peer, standing, heard, moved: true });
                    }
                }
                Output::Check(entry) => {
                    self.wished.insert(entry);
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
            let Some(slot) = self.slot(id) else { continue };
            if self.lifecycle.state(id).is_none_or(State::is_present) {
                continue;
            }
            let silence = now.unix_ms.saturating_sub(slot.heard) as f64;
            let life = slot.heard.saturating_sub(slot.dates.registered) as f64;
            silent.push((silence / (life + SHORTEST_LIFE), slot.statement.peer()));
        }
        silent.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        silent.truncate(count);
        silent.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Signs of life that the store does not know. They count as known with this.
    pub(super) fn take_dirty(&mut self, now: Now) -> Vec<Liveness> {
        let mut rows = Vec::with_capacity(self.dirty);
        for id in self.lifecycle.ids() {
            let Some(Some(slot)) = self.slots.get_mut(id.index()) else { continue };
            if std::mem::take(&mut slot.dirty)
                && let Some(standing) = self.lifecycle.standing(now, id)
            {
                rows.push(Liveness { peer: slot.statement.peer(), standing, heard: slot.heard, moved: false });
            }
        }
        self.dirty = 0;
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

    fn slot(&self, id: EntryId) -> Option<&Slot> {
        self.slots.get(id.index())?.as_ref()
    }

    fn slot_mut(&mut self, id: EntryId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index())?.as_mut()
    }

    fn insert(&mut self, id: EntryId, peer: &PeerId, slot: Slot) {
        if self.slots.len() <= id.index() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        self.slots[id.index()] = Some(slot);
        let Self { slots, by_peer, hasher, .. } = self;
        let statement = |id: &EntryId| slots.get(id.index()).and_then(|slot| Some(&slot.as_ref()?.statement));
        match by_peer.entry(
            hasher.hash_one(peer.as_ref().digest()),
            |id| statement(id).is_some_and(|statement| statement.is_of(peer)),
            |id| statement(id).map_or(0, |statement| hasher.hash_one(statement.digest())),
        ) {
            TableEntry::Occupied(mut known) => *known.get_mut() = id,
            TableEntry::Vacant(place) => {
                place.insert(id);
            }
        }
    }

    /// Removes what is kept of an entry beside its lifecycle.
    fn clear(&mut self, id: EntryId) {
        self.offers.clear(id);
        self.wished.remove(&id);
        let Some(slot) = self.slots.get_mut(id.index()).and_then(Option::take) else { return };
        if let Ok(known) = self.by_peer.find_entry(self.hasher.hash_one(slot.statement.digest()), |known| *known == id)
        {
            known.remove();
        }
        self.dirty -= usize::from(slot.dirty);
    }
}

impl Slot {
    fn new(node: &KeptNode<'_>) -> Self {
        let (statement, dates) = (Statement::of(node), Dates::of(node));
        Self { statement, dates, heard: node.heard, withheld: node.withheld, dirty: false }
    }

    /// The node says something new of itself.
    fn say(&mut self, node: &KeptNode<'_>) {
        (self.statement, self.dates) = (Statement::of(node), Dates::of(node));
    }
}
