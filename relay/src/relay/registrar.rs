//! Registers the nodes that use this relay, so that they stand in its directory without speaking HTTP.
//!
//! A node uses the relays that hold a reservation for it. What it says of itself it has signed anyway, for the DHT: its
//! addresses and its services; and it sends both to the relays that it uses, however far from the key they are. So a
//! registration costs no message of its own. The connection is the sign of life: it is told to the registry every
//! [`TELL`], and so is who hangs up.
//!
//! Two tasks, since registrations wait for the database and signs of life must not: a database that is slow or away would make
//! everybody look silent. One tells who is connected ([`telling`]), the other enters what nodes say ([`Desk`]).
//!
//! Who offers something is registered at once, others when their reservation has stood for [`SETTLED`], so that a command
//! that looks something up and leaves is not remembered for two years.
//!
//! News come as events. When some were missed, or the database could not take them, everything that the node holds of those
//! it has reservations for is read anew.
//!
//! Bounds: nodes with reservations, [`MOST_WAITING`] others for a moment, [`AT_ONCE`] registrations at a time.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use libp2p_identity::{PeerId, PublicKey};
use openred_core::{
    event::{Event, State, Statement, Status},
    map::Set,
    peer_record::{MAX_ADDRESSES, SignedPeerRecord},
    record::SignedRecord,
    wire::envelope::inline_key,
};
use openred_node::{Events, Node};
use tokio::{task::JoinSet, time::interval};

use crate::{
    directory::registry::{Addresses, NodeView, Registration, Registry, RegistryError},
    http::{Shared, audit},
};

/// How often the registry hears of the peers that are connected, unless it waits for heartbeats for less than four times as
/// long: several times before one is missed.
const TELL: Duration = Duration::from_secs(20);

/// How often is looked for nodes that are to be registered.
const LOOK: Duration = Duration::from_secs(1);

/// How long a node that offers nothing holds its reservation before it is registered: longer than a command takes that looks
/// something up. A guess.
const SETTLED: Duration = Duration::from_secs(5);

/// Until a node is looked at that stored something here before its reservation was seen, or before its addresses came: the answer
/// to a reservation is sent before the relay counts it. A guess.
const SOON: Duration = Duration::from_millis(500);

/// Until a node is tried again that the directory refused, and until everything is read anew when the database failed or events
/// were missed. Guesses.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

/// Nodes that are looked at again: those that stored something here within [`SOON`].
const MOST_WAITING: usize = 4096;

/// Registrations that wait for the database at a time; they share its transactions.
const AT_ONCE: usize = 64;

/// Events that are taken together.
const BATCH: usize = 256;

/// Registers nodes while it lives.
pub(super) struct Registrar {
    /// Held for their end.
    _tasks: JoinSet<()>,
}

impl Registrar {
    /// Begins with what happens from here on.
    pub(super) fn start(shared: Arc<Shared>, node: Node) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(telling(Arc::clone(&shared), node.clone(), node.events()));
        let events = node.events();
        let desk = Desk { shared, node, waiting: BTreeMap::new(), behind: None };
        tasks.spawn(desk.run(events));
        Self { _tasks: tasks }
    }
}

/// Tells the registry who is connected and who hung up. It waits for the node alone.
async fn telling(shared: Arc<Shared>, node: Node, mut events: Events) {
    let registry = &shared.directory.registry;
    let mut tells = interval(TELL.min(registry.waits().active / 4));
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::PeerConnected { peer, .. }) => registry.heard([peer]),
                Some(Event::PeerDisconnected { peer, silent: false }) => registry.hung_up(&peer),
                // From here on it is the relay that hangs up.
                Some(Event::Status(Status { state: State::Closed, .. })) | None => return,
                // A hang-up that was missed is a silence like any other, and the next tick makes up for the rest.
                Some(_) => {}
            },
            _ = tells.tick() => registry.heard(connected(&node)),
        }
    }
}

/// Enters nodes and what they offer.
struct Desk {
    shared: Arc<Shared>,
    node: Node,
    /// Nodes that are not registered, and when they are looked at.
    waiting: BTreeMap<PeerId, Instant>,
    /// When everything is read anew, if something was missed.
    behind: Option<Instant>,
}

impl Desk {
    async fn run(mut self, events: Events) {
        let mut events = events.ready_chunks(BATCH);
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                batch = events.next() => match batch {
                    Some(batch) => self.hear(batch).await,
                    None => return,
                },
                _ = looks.tick() => self.look().await,
            }
        }
    }

    fn registry(&self) -> &Registry {
        &self.shared.directory.registry
    }

    async fn hear(&mut self, events: Vec<Event>) {
        let mut stated = BTreeMap::<PeerId, Vec<Statement>>::new();
        for event in events {
            match event {
                Event::Stated(statement) => stated.entry(statement.peer()).or_default().push(*statement),
                Event::Lagged { .. } => drop(self.behind.get_or_insert_with(|| Instant::now() + PAUSE.1)),
                _ => {}
            }
        }
        let reserved = self.reserved();
        stated.retain(|peer, _| {
            // Who is registered may have given its reservation back a moment ago, with what it offered.
            let is_meant = reserved.contains(peer) || self.shared.directory.registry.knows(peer);
            // What it offers and where it is are two messages, and what is read a moment later has both.
            let is_whole = self.shared.directory.registry.knows(peer)
                || self.node.signed_addresses(peer).is_ok_and(|record| record.is_some());
            let is_entered = is_meant && is_whole;
            if !is_entered && self.waiting.len() < MOST_WAITING {
                self.waiting.insert(*peer, Instant::now() + SOON);
            }
            is_entered
        });
        self.enter(stated, false).await;
    }

    async fn look(&mut self) {
        let (now, reserved) = (Instant::now(), self.reserved());
        for peer in reserved.iter() {
            if !self.registry().knows(peer) {
                self.waiting.entry(*peer).or_insert(now + SETTLED);
            }
        }
        let due = self.waiting.iter().filter(|(peer, at)| **at <= now && reserved.contains(peer));
        let due: Set<PeerId> = due.map(|(peer, _)| *peer).collect();
        self.waiting.retain(|_, at| *at > now);
        let is_behind = self.behind.take_if(|at| *at <= now).is_some();
        let wanted = if is_behind { &reserved } else { &due };
        if wanted.is_empty() {
            return;
        }
        let mut stated = BTreeMap::<PeerId, Vec<Statement>>::new();
        for statement in self.node.statements_of(wanted).unwrap_or_default() {
            stated.entry(statement.peer()).or_default().push(statement);
        }
        for peer in due.iter() {
            stated.entry(*peer).or_default();
        }
        self.enter(stated, true).await;
    }

    /// Enters what nodes said of themselves. `settled` registers those too that offer nothing.
    async fn enter(&mut self, stated: BTreeMap<PeerId, Vec<Statement>>, settled: bool) {
        let entering = stated.into_iter().map(|(peer, statements)| {
            let entry = self.enter_one(peer, statements, settled);
            async move { (peer, entry.await) }
        });
        let entered: Vec<_> = stream::iter(entering.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        let registered: Vec<PeerId> =
            entered.iter().filter(|(_, result)| matches!(result, Ok(true))).map(|(peer, _)| *peer).collect();
        if !registered.is_empty() {
            // Who hung up while the database took its time was not known then, or counts as heard since.
            let there: Set<PeerId> = connected(&self.node).into_iter().collect();
            let gone = registered.iter().filter(|peer| !there.contains(peer));
            gone.for_each(|peer| self.registry().hung_up(peer));
        }
        for (peer, result) in entered {
            let Err(error) = result else { continue };
            tracing::debug!(%peer, %error, "a node that uses this relay could not be registered");
            if error.is_passing() {
                self.behind = Some(Instant::now() + PAUSE.1);
            } else {
                self.waiting.insert(peer, Instant::now() + PAUSE.0);
            }
        }
    }

    /// True if the node was registered, or registered anew.
    async fn enter_one(&self, peer: PeerId, statements: Vec<Statement>, settled: bool) -> Result<bool, RegistryError> {
        let (mut signed, mut records) = (None, Vec::new());
        for statement in statements {
            match statement {
                Statement::Addresses(record) => signed = Some(record),
                Statement::Service(record) => records.push(record),
            }
        }
        let known = self.registry().node(&peer);
        let is_new = match &known {
            None => settled || records.iter().any(|record| !record.record().withdrawn),
            Some(known) => signed.as_ref().is_some_and(|record| record.record().sequence > known.info.sequence),
        };
        if known.is_none() && !is_new {
            return Ok(false);
        }
        let (mut is_registered, mut is_entered) = (false, false);
        if is_new && let Some(registration) = self.registration(peer, known, signed, &records) {
            match self.registry().register(registration).await {
                Ok(registered) => (is_registered, is_entered) = (true, registered.is_new),
                // What it said over HTTP is newer.
                Err(RegistryError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        let publish = async {
            for record in records {
                match self.registry().publish(record).await {
                    Ok(_) | Err(RegistryError::Stale) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(is_registered)
        };
        let note = async {
            if is_entered {
                audit::record(&self.shared, &peer.to_string(), "node:register", "", "peer-to-peer").await;
            }
        };
        // Both wait for the disk, and can wait for the same turn of it.
        let (published, ()) = tokio::join!(publish, note);
        published
    }

    /// What a node says of itself: the addresses that it signed, or that it told when it connected; and what it said over
    /// HTTP, if it did. None of a node whose peer id does not hold its key.
    fn registration(
        &self,
        peer: PeerId,
        known: Option<NodeView>,
        signed: Option<SignedPeerRecord>,
        records: &[SignedRecord],
    ) -> Option<Registration> {
        let signed = signed.or_else(|| self.node.signed_addresses(&peer).unwrap_or_default());
        let addresses = match signed {
            Some(record) => Addresses::Signed(Box::new(record)),
            None => {
                let told = self.node.addresses_of(&peer).unwrap_or_default();
                Addresses::Stated(told.into_iter().take(MAX_ADDRESSES).collect())
            }
        };
        let (region, metadata) = match known {
            Some(known) => (known.info.region.to_string(), known.info.metadata.clone()),
            None => (records.first().map(|record| record.record().region.clone()).unwrap_or_default(), BTreeMap::new()),
        };
        Some(Registration { public_key: key_of(&peer)?, addresses, region, metadata })
    }

    fn reserved(&self) -> Set<PeerId> {
        self.node.reserved().unwrap_or_default()
    }
}

fn connected(node: &Node) -> Vec<PeerId> {
    node.peers().unwrap_or_default().into_iter().map(|peer| peer.peer).collect()
}

/// The key that a peer id holds; of RSA keys it is only the hash.
fn key_of(peer: &PeerId) -> Option<PublicKey> {
    PublicKey::try_decode_protobuf(inline_key(peer)?).ok()
}
