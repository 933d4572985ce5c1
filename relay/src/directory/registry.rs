//! Who is in the directory: the one interface for everything above.
//!
//! Memory answers what is asked all the time (heartbeats, one node, the providers of a name); the store answers lists and
//! searches, and holds everything durably. Statements are written before they are acknowledged ([`writer`]); signs of life
//! are kept in memory and written in batches ([`upkeep`]), because they are the load, and after a restart nobody is judged
//! until there was time for new ones.
//!
//! Callers have verified signatures and identities: what comes in is typed as verified. The registry checks limits, bans,
//! sequences and dates. It knows no HTTP.
//!
//! Several registries may share a PostgreSQL store: each follows the change log of the others and their signs of life.
//!
//! Dropping the registry ends its tasks; [`Registry::close`] writes down first what memory alone knows.

mod changes;
mod clock;
mod config;
mod index;
mod limits;
mod upkeep;
mod views;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p_identity::PeerId;
use openred_core::{
    lifecycle::{Lifecycle, LifecycleConfig, Standing, State},
    name::ServiceName,
    record::SignedRecord,
    time::{Now, millis},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};

#[cfg(test)]
pub(crate) use self::clock::TestClock;
use self::{changes::ChangeLog, index::Index, writer::Job};
pub(crate) use self::{
    clock::{Clock, SystemClock},
    config::RegistryConfig,
    views::{Addresses, NodeView, Page, Registered, Registration, RegistryError, ServiceView, Stats},
};
use super::store::{
    AuditRow, ChangeKind, Changes, NodeQuery, Note, Outcome, ServiceKey, ServiceQuery, Store, StoreError, Write,
};

/// Nodes of one page, at most.
const MOST_ITEMS: usize = 1000;

/// Pages of the store that are read for one page of services, while providers that are away leave it short.
const PAGES: usize = 4;

/// The part of all nodes that gives way at once when the directory is full: one in so many, since choosing them looks at all.
const GIVING_WAY: usize = 200;

/// Where bans are noted.
const BANS: &str = "ban";

/// See the module's documentation.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    /// Held for their end.
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    config: RegistryConfig,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    index: Mutex<Index>,
    changes: ChangeLog,
    jobs: mpsc::Sender<Job>,
    /// Why the database did not do what was last asked of it, if it may do so later.
    trouble: Mutex<Option<StoreError>>,
    /// Wakes who waits for a check that the lifecycle wishes.
    wished: Notify,
}

impl Registry {
    /// Reads the store and begins to work. Nobody is judged until the nodes had time to be heard.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        config: RegistryConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        if let Err(error) = config.validate() {
            return Err(StoreError::Refused(error.to_string()));
        }
        let lifecycle = Lifecycle::new(config.lifecycle.clone(), clock.now());
        let (jobs, waiting) = mpsc::channel(config.queue);
        let shared = Arc::new(Shared {
            index: Mutex::new(Index::new(lifecycle)),
            changes: ChangeLog::new(config.changes_in_memory),
            jobs,
            trouble: Mutex::default(),
            wished: Notify::new(),
            config,
            clock,
            store,
        });
        let stamp = upkeep::load(&shared).await?;
        let (written, writes) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer::run(Arc::clone(&shared), waiting, written));
        tasks.spawn(upkeep::judge(Arc::clone(&shared)));
        tasks.spawn(upkeep::keep(Arc::clone(&shared)));
        tasks.spawn(upkeep::follow(Arc::clone(&shared), writes, stamp));
        Ok(Self { shared, tasks: Mutex::new(tasks) })
    }

    /// Writes down the signs of life that only memory knows, ends the registry's tasks and lets go of the database. Afterwards
    /// nothing can be written.
    pub(crate) async fn close(&self) {
        upkeep::flush(&self.shared).await;
        // The queue is in order, so when this is written the others are. Why it could not be stands in the log.
        let _ = self.shared.write(Write::Liveness(Vec::new(), self.now().unix_ms)).await;
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        if let Err(error) = self.shared.store.close().await {
            tracing::warn!(%error, "the directory's database could not be closed; it mends itself when it is opened");
        }
    }

    /// A node registers, or says something new of itself. When this returns, it is durable.
    pub(crate) async fn register(&self, registration: Registration) -> Result<Registered, RegistryError> {
        let now = self.now();
        let row = limits::row(registration, now, &self.shared.config)?;
        let peer = row.peer;
        let (is_new, in_the_way) = {
            let index = self.shared.index();
            not_banned(&index, &peer, now)?;
            let is_new = index.find(&peer).is_none();
            let is_full = is_new && index.len() >= self.shared.config.max_nodes;
            (is_new, is_full.then(|| index.longest_silent(now, self.shared.config.max_nodes.div_ceil(GIVING_WAY))))
        };
        if let Some(peers) = in_the_way {
            self.make_room(peers, now).await?;
        }
        match self.shared.write(Write::Node(Box::new(row))).await? {
            Outcome::Stale => Err(RegistryError::Stale),
            _ => Ok(Registered { is_new, standing: self.standing(&peer).ok_or(RegistryError::UnknownNode(peer))? }),
        }
    }

    /// A node leaves for good. Its services go with it.
    pub(crate) async fn deregister(&self, peer: PeerId) -> Result<(), RegistryError> {
        self.forget(peer, ChangeKind::Left).await
    }

    /// A provider offers a service, changes it, or takes it back. When this returns, it is durable. True if something is new.
    pub(crate) async fn publish(&self, record: SignedRecord) -> Result<bool, RegistryError> {
        let now = self.now();
        let peer = record.record().provider;
        limits::record(&record, now)?;
        {
            let index = self.shared.index();
            not_banned(&index, &peer, now)?;
            let id = index.find(&peer).ok_or(RegistryError::UnknownNode(peer))?;
            let (count, has) = index.offers(id, record.record().name.as_str());
            if !has && count >= self.shared.config.max_services {
                return Err(RegistryError::TooManyServices(self.shared.config.max_services));
            }
        }
        match self.shared.write(Write::Service { record: Box::new(record), at: now.unix_ms }).await? {
            Outcome::Applied => Ok(true),
            Outcome::Known => Ok(false),
            Outcome::Stale => Err(RegistryError::Stale),
            Outcome::Absent => Err(RegistryError::UnknownNode(peer)),
        }
    }

    /// A signed heartbeat.
    pub(crate) fn heartbeat(&self, peer: &PeerId) -> Result<Standing, RegistryError> {
        self.sign_of_life(peer, |index, now, id| {
            index.hear(now, id);
        })
    }

    /// A node says that it is about to stop. A heartbeat takes that back.
    pub(crate) fn farewell(&self, peer: &PeerId) -> Result<Standing, RegistryError> {
        self.sign_of_life(peer, |index, now, id| index.drain(now, id))
    }

    /// Peers are connected to this relay, or a check reached them, under their own identity. Who is not registered is passed
    /// over.
    pub(crate) fn heard(&self, peers: impl IntoIterator<Item = PeerId>) {
        let now = self.now();
        let mut index = self.shared.index();
        for peer in peers {
            if not_banned(&index, &peer, now).is_ok()
                && let Some(id) = index.find(&peer)
            {
                index.hear(now, id);
            }
        }
    }

    /// A node's peer-to-peer connection to this relay ended, and not by silence. One that has taken back all that it offered, or
    /// does it yet, has stopped; others are asked after soon.
    pub(crate) fn hung_up(&self, peer: &PeerId) {
        let now = self.now();
        let mut index = self.shared.index();
        if let Some(id) = index.find(peer) {
            index.hang_up(now, id);
        }
    }

    /// A check did not reach a node.
    pub(crate) fn unreached(&self, peer: &PeerId) {
        let now = self.now();
        let mut index = self.shared.index();
        if let Some(id) = index.find(peer) {
            index.tell(|lifecycle| lifecycle.handle_unreached(now, id));
        }
    }

    /// Whom to ask whether they are there, as the lifecycle wishes: at most `most`, as soon as there is somebody. Each is told
    /// to one caller, once; nobody has to ask. Dropping the future loses nothing.
    pub(crate) async fn wished_checks(&self, most: usize) -> Vec<PeerId> {
        loop {
            let peers = self.shared.index().take_wished(most);
            if !peers.is_empty() {
                return peers;
            }
            self.shared.wished.notified().await;
        }
    }

    /// Whether a node is registered.
    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.shared.index().find(peer).is_some()
    }

    /// One node.
    pub(crate) fn node(&self, peer: &PeerId) -> Option<NodeView> {
        self.shared.index().node(self.now(), peer)
    }

    /// Nodes in the order of their peer ids' bytes, after `after`, at most `limit` and [`MOST_ITEMS`].
    pub(crate) async fn nodes(
        &self,
        query: NodeQuery,
        after: Option<PeerId>,
        limit: usize,
    ) -> Result<Page<NodeView, PeerId>, RegistryError> {
        let limit = limit.clamp(1, MOST_ITEMS);
        let states = query.states.clone();
        let rows = self.shared.store.nodes(query, after, limit).await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.peer)).flatten();
        let now = self.now();
        let index = self.shared.index();
        let views = rows.into_iter().map(|row| index.view(now, row));
        // Memory knows the states better than the store.
        let items = views.filter(|view| states.is_empty() || states.contains(&view.standing.state)).collect();
        Ok(Page { items, next })
    }

    /// Who offers a service, from memory: providers that are present and not kept out, at most `limit` and [`MOST_ITEMS`]; with
    /// `provider` that one, if it does.
    pub(crate) fn lookup(&self, name: &ServiceName, provider: Option<&PeerId>, limit: usize) -> Vec<ServiceView> {
        let (index, now) = (self.shared.index(), self.now().unix_ms);
        match provider {
            Some(provider) => index.offer(now, name.as_str(), provider).into_iter().collect(),
            None => index.lookup(now, name.as_str(), limit.clamp(1, MOST_ITEMS)),
        }
    }

    /// Services in the order of their names, whose providers are present, after `after`, at most `limit` and [`MOST_ITEMS`].
    pub(crate) async fn services(
        &self,
        query: ServiceQuery,
        mut after: Option<ServiceKey>,
        limit: usize,
    ) -> Result<Page<ServiceView, ServiceKey>, RegistryError> {
        let limit = limit.clamp(1, MOST_ITEMS);
        let query = ServiceQuery { living_at: Some(self.now().unix_ms), ..query };
        let mut items = Vec::new();
        for _ in 0..PAGES {
            let wanted = limit - items.len();
            let records = self.shared.store.services(query.clone(), after.clone(), wanted).await?;
            let is_last = records.len() < wanted;
            after = records.last().map(ServiceKey::of).or(after);
            let index = self.shared.index();
            items.extend(records.into_iter().filter_map(|record| {
                let (state, heard) = index.provider(&record.record().provider)?;
                Some(ServiceView { record, state, heard })
            }));
            if is_last {
                return Ok(Page { items, next: None });
            }
            if items.len() >= limit {
                break;
            }
        }
        Ok(Page { items, next: after })
    }

    /// The change log after `after`, oldest first, at most `limit` and [`MOST_ITEMS`]. If
    /// [`Changes::dropped`] is above `after`, the reader has missed something and should list anew.
    pub(crate) async fn changes(&self, after: u64, limit: usize) -> Result<Changes, RegistryError> {
        let limit = limit.clamp(1, MOST_ITEMS);
        match self.shared.changes.after(after, limit) {
            Some(changes) => Ok(changes),
            None => Ok(self.shared.store.changes(after, limit).await?),
        }
    }

    /// The number of the newest change; it changes when there are new ones to read.
    pub(crate) fn newest_change(&self) -> watch::Receiver<u64> {
        self.shared.changes.newest()
    }

    /// What the directory is doing.
    pub(crate) fn stats(&self) -> Stats {
        let now = self.now();
        let mut index = self.shared.index();
        let services = index.services(now);
        let lifecycle = index.lifecycle();
        Stats {
            states: State::ALL.map(|state| lifecycle.count(state)),
            services,
            held: lifecycle.held(),
            queued: self.shared.config.queue - self.shared.jobs.capacity(),
            queue: self.shared.config.queue,
            unflushed: index.dirty(),
            is_store_down: self.shared.trouble().is_some(),
            newest_change: *self.shared.changes.newest().borrow(),
        }
    }

    /// Whether the database could not be reached lately. While that is so it is asked again by itself.
    pub(crate) fn is_store_away(&self) -> bool {
        matches!(*self.shared.trouble(), Some(StoreError::Unavailable(_)))
    }

    /// Whether the database can be read and written.
    pub(crate) async fn ping(&self) -> Result<(), RegistryError> {
        Ok(self.shared.store.ping().await?)
    }

    /// An operator removes a node. It may register again.
    pub(crate) async fn evict(&self, peer: PeerId) -> Result<(), RegistryError> {
        self.forget(peer, ChangeKind::Evicted).await
    }

    /// An operator removes a node and does not let it back until a date, in milliseconds since the Unix epoch; `u64::MAX` is
    /// for ever.
    pub(crate) async fn ban(&self, peer: PeerId, until: u64) -> Result<(), RegistryError> {
        let note = Note { space: BANS.to_owned(), key: peer.to_bytes(), value: Vec::new(), expires: until };
        self.shared.write(Write::Note(note)).await?;
        self.shared.index().bans.insert(peer, until);
        match self.forget(peer, ChangeKind::Evicted).await {
            Err(RegistryError::UnknownNode(_)) => Ok(()),
            other => other,
        }
    }

    /// An operator lets a node back. True if it was banned.
    pub(crate) async fn unban(&self, peer: PeerId) -> Result<bool, RegistryError> {
        let outcome = self.shared.write(Write::Unnote { space: BANS, key: peer.to_bytes() }).await?;
        self.shared.index().bans.remove(&peer);
        Ok(outcome == Outcome::Applied)
    }

    /// Until when a peer is banned, in milliseconds since the Unix epoch.
    pub(crate) fn banned(&self, peer: &PeerId) -> Option<u64> {
        let now = self.now();
        self.shared.index().bans.get(peer).copied().filter(|until| *until > now.unix_ms)
    }

    /// An operator keeps a node's services out of answers, so that its users leave it, or ends that. The node itself notices
    /// nothing.
    pub(crate) async fn withhold(&self, peer: PeerId, withheld: bool) -> Result<(), RegistryError> {
        let at = self.now().unix_ms;
        match self.shared.write(Write::Withhold { peer, withheld, at }).await? {
            Outcome::Absent => Err(RegistryError::UnknownNode(peer)),
            _ => Ok(()),
        }
    }

    /// An operator lets the brake go.
    pub(crate) fn release_brake(&self) {
        let now = self.now();
        self.shared.index().tell(|lifecycle| lifecycle.release(now));
    }

    /// Notes what was done, by whom and to whom. When this returns, it is durable.
    pub(crate) async fn audit(
        &self,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), RegistryError> {
        let [actor, action, subject, detail] = [actor, action, subject, detail].map(limits::line);
        let line = AuditRow { id: 0, at: self.now().unix_ms, actor, action, subject, detail };
        self.shared.write(Write::Audit(line)).await.map(drop)
    }

    /// The audit trail before line `before`, newest first, at most `limit` and [`MOST_ITEMS`].
    pub(crate) async fn audit_trail(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditRow>, RegistryError> {
        Ok(self.shared.store.audit(before, limit.clamp(1, MOST_ITEMS)).await?)
    }

    /// Remembers something for the directory's own use until a date; every instance of the directory can recall it. Spaces
    /// are fixed words; a key has at most 128 bytes, a value 4 KiB.
    pub(crate) async fn remember(&self, note: Note) -> Result<(), RegistryError> {
        limits::note(&note)?;
        self.shared.write(Write::Note(note)).await.map(drop)
    }

    /// Everything that is remembered in a space and has not expired, after the key `after`, at most `limit` and
    /// [`MOST_ITEMS`], from the store.
    pub(crate) async fn recall(
        &self,
        space: &'static str,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Note>, RegistryError> {
        let limit = limit.clamp(1, MOST_ITEMS);
        Ok(self.shared.store.notes(space, after, limit, self.now().unix_ms).await?)
    }

    /// How silent nodes are waited for.
    pub(crate) fn waits(&self) -> &LifecycleConfig {
        &self.shared.config.lifecycle
    }

    /// How often nodes should send a heartbeat.
    pub(crate) fn heartbeat_interval(&self) -> Duration {
        self.shared.config.lifecycle.heartbeat
    }

    /// Where the directory's data lives.
    #[allow(dead_code, reason = "tests and the benchmark copy it")]
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    fn standing(&self, peer: &PeerId) -> Option<Standing> {
        let index = self.shared.index();
        index.lifecycle().standing(self.now(), index.find(peer)?)
    }

    fn sign_of_life(
        &self,
        peer: &PeerId,
        sign: impl FnOnce(&mut Index, Now, openred_core::lifecycle::EntryId),
    ) -> Result<Standing, RegistryError> {
        let now = self.now();
        let mut index = self.shared.index();
        not_banned(&index, peer, now)?;
        let id = index.find(peer).ok_or(RegistryError::UnknownNode(*peer))?;
        sign(&mut index, now, id);
        index.lifecycle().standing(now, id).ok_or(RegistryError::UnknownNode(*peer))
    }

    /// Nodes are given up early, so that others find room.
    async fn make_room(&self, peers: Vec<PeerId>, now: Now) -> Result<(), RegistryError> {
        if peers.is_empty() {
            return Err(RegistryError::Full);
        }
        tracing::info!(nodes = peers.len(), "the directory is full; nodes that were silent for long give way");
        let at = now.unix_ms;
        let gone = peers.into_iter().map(|peer| self.shared.write(Write::Forget { peer, why: ChangeKind::Died, at }));
        // One that went by itself meanwhile makes room too.
        futures::future::try_join_all(gone).await.map(drop)
    }

    async fn forget(&self, peer: PeerId, why: ChangeKind) -> Result<(), RegistryError> {
        match self.shared.write(Write::Forget { peer, why, at: self.now().unix_ms }).await? {
            Outcome::Absent => Err(RegistryError::UnknownNode(peer)),
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// A panic while the index was held leaves at worst one node wrong; the next sign of life mends it.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes, and waits until it is durable.
    async fn write(&self, write: Write) -> Result<Outcome, RegistryError> {
        let (done, outcome) = oneshot::channel();
        self.jobs.try_send(Job { write, done: Some(done) }).map_err(|_| RegistryError::Busy)?;
        Ok(outcome.await.map_err(|_| RegistryError::Failed)??)
    }
}

fn not_banned(index: &Index, peer: &PeerId, now: Now) -> Result<(), RegistryError> {
    match index.bans.get(peer) {
        Some(until) if *until > now.unix_ms => Err(RegistryError::Banned { peer: *peer, until: *until }),
        _ => Ok(()),
    }
}

/// Where a node stands that registers at this moment.
fn fresh(now: Now, config: &RegistryConfig) -> Standing {
    let deadline = now.unix_ms.saturating_add(millis(config.lifecycle.active));
    Standing { state: State::Active, since: now.unix_ms, deadline }
}

#[cfg(test)]
mod tests;
