//! The node as an application holds it.

use std::{sync::Arc, time::Duration};

use futures::channel::{mpsc, oneshot};
use libp2p::{Multiaddr, PeerId, Swarm, core::upgrade::Version, multiaddr::Protocol, relay};
use openred_core::{
    Error, Explanation, Machine, Outcome, PeerInfo,
    event::{Statement, Status},
    find::{FindOptions, FindStory, Found},
    map::Set,
    name::{ServiceName, ServiceTarget},
    open::Target,
    peer_record::SignedPeerRecord,
    publish::Offer,
};

use crate::{
    behaviour::{Behaviour, Protocols},
    command::{Command, Operation},
    config::{Config, Role},
    driver::{COMMANDS, Done, Driver, Parts},
    events::{Events, Subscribers},
    handlers::{Handler, Handlers},
    meter::Meter,
    operator::{Operator, Registration, STORE_LIMIT},
    platform::{self, Task, now},
    service_stream::ServiceStream,
    shared::{Shared, State},
    stats::Stats,
};

/// Quiet connections are kept this long. libp2p's 10 s would close a relay's link between two lookups; keeping one costs
/// some kilobytes.
const IDLE: Duration = Duration::from_secs(600);

/// A node of the network. Clones are handles to the same node; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer_id: PeerId,
    operator: Operator,
    shared: Shared,
    meter: Meter,
    started: Duration,
    handlers: Handlers,
    subscribers: Subscribers,
    /// The driver; dropped, and so stopped, with the last handle.
    _task: Task,
}

impl Node {
    /// Starts a node and returns once its listeners are bound. Joining goes on in the background; see [`Node::ready`].
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or the platform's transports cannot be set up.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        let listen = std::mem::take(&mut config.listen);
        let (node, bound) = Self::spawn_listening(config, listen)?;
        for bound in bound {
            bound.await.map_err(|_| Error::Closed)??;
        }
        Ok(node)
    }

    /// Starts a node that does not listen.
    ///
    /// # Errors
    ///
    /// If the platform's transports cannot be set up.
    pub fn spawn(config: Config) -> Result<Self, Error> {
        Ok(Self::spawn_listening(config, Vec::new())?.0)
    }

    fn spawn_listening(config: Config, listen: Vec<Multiaddr>) -> Result<(Self, Vec<Bound>), Error> {
        let identity = config.identity;
        let peer_id = identity.public().to_peer_id();
        let (role, limits) = match config.role {
            Role::Client => (openred_core::Role::Client, None),
            Role::Relay(limits) => (openred_core::Role::Relay, Some(limits)),
        };
        let mut decisions = openred_core::Config::new(config.network.clone(), role, config.relays);
        decisions.bootstrap = config.bootstrap;
        decisions.lists = config.lists;
        decisions.region = config.region;
        decisions.can_dial = platform::can_dial;
        decisions.dial_private = config.dial_private;
        decisions.relayed_only = config.relayed_only;
        decisions.memory = config.memory;
        decisions.webrtc = platform::page_address().is_some();
        let goes_direct = decisions.goes_direct();

        let meter = Meter::new(config.max_bandwidth);
        let (relay_transport, relay_client) = relay::client::new(peer_id);
        let mut platform = config.platform;
        let fetcher = platform::Fetcher::new(&mut platform);
        let (page_transport, pages) = platform::pages(&decisions.peer_connections);
        let transport = platform::transport(&identity, relay_transport, page_transport, platform, &meter)
            .map_err(|error| Error::Unsupported(format!("the transports cannot be set up: {error}")))?;
        let protocols = Protocols::new(&config.network);
        let behaviour =
            Behaviour::new(&identity, &config.network, relay_client, pages, limits.as_ref(), protocols.clone());
        // A new stream names its one protocol together with its first message, which saves each request a round trip.
        let settings = platform::executor_config()
            .with_idle_connection_timeout(IDLE)
            .with_substream_upgrade_protocol_override(Version::V1Lazy);
        let swarm = Swarm::new(transport, behaviour, peer_id, settings);

        let [a, b, c, d, e, f, g, h, ..] = platform::seed();
        let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let machine = Machine::new(decisions, identity, seed, now());

        let shared = Shared::new(machine);
        let (handlers, subscribers) = (Handlers::default(), Subscribers::default());
        let (commands, received) = mpsc::channel(COMMANDS);
        let announce_listeners = limits.is_some() && config.announce.is_empty();
        let mut driver = Driver::new(Parts {
            swarm,
            shared: shared.clone(),
            protocols,
            handlers: handlers.clone(),
            subscribers: subscribers.clone(),
            commands: received,
            announce_listeners,
            fetcher,
            keeper: config.keeper,
        });
        for address in config.announce {
            driver.announce(address);
        }
        if goes_direct {
            driver.accept_pages();
        }
        let bound = listen.into_iter().map(|address| driver.listen(address)).collect();
        let inner = Inner {
            peer_id,
            operator: Operator::new(commands),
            shared,
            meter,
            started: now().elapsed,
            handlers,
            subscribers,
            _task: platform::spawn(driver.run()),
        };
        Ok((Self(Arc::new(inner)), bound))
    }

    /// This node's id.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id
    }

    /// The state at this moment, and why if that is not plain.
    pub fn status(&self) -> Status {
        self.0.shared.lock().machine.status().clone()
    }

    /// The addresses at which others reach this node, each ending in `/p2p/<own id>`.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let endpoints = self.0.shared.lock().machine.endpoints().into_iter();
        endpoints.map(|address| address.with(Protocol::P2p(self.0.peer_id))).collect()
    }

    /// Waits until the node has joined: one relay is identified on this network and the DHT answers.
    ///
    /// # Errors
    ///
    /// `NO_RELAY` or `WRONG_NETWORK` after `limit`, or as soon as no attempt can succeed any more; the text names every
    /// relay tried and why it failed.
    pub async fn ready(&self, limit: Duration) -> Result<(), Error> {
        self.operate(Operation::Ready { limit }).await.map(drop)
    }

    /// Offers a service. Resolves once the node can be reached and a write quorum holds the record.
    ///
    /// # Errors
    ///
    /// If the offer breaks a limit, if the name is offered by this node already, or `TIMEOUT` after 30 s.
    pub async fn provide(&self, offer: Offer) -> Result<Registration, Error> {
        let name = offer.name.clone();
        match self.operate(Operation::Provide { offer, limit: STORE_LIMIT }).await? {
            Done::Outcome(Outcome::Provided(id)) => {
                Ok(Registration { operator: self.0.operator.clone(), name, id, withdrawn: false })
            }
            other => unexpected(&other),
        }
    }

    /// Looks for the providers of a name. A name that nobody offers is found with no records.
    ///
    /// # Errors
    ///
    /// `NO_RELAY` if nobody could be asked within the time limit.
    pub async fn find(&self, target: &ServiceTarget, options: FindOptions) -> Result<Found, Error> {
        match self.operate(Operation::Find { target: target.clone(), options }).await? {
            Done::Outcome(Outcome::Found(found)) => Ok(found),
            other => unexpected(&other),
        }
    }

    /// Answers for a name from here on; dropping the handler ends that.
    ///
    /// # Errors
    ///
    /// If the name has a handler already.
    pub fn handle(&self, name: ServiceName) -> Result<Handler, Error> {
        if self.0.operator.is_closed() {
            return Err(Error::Closed);
        }
        self.0.handlers.register(name)
    }

    /// Opens a stream to a provider.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND`, `UNREACHABLE`, `REFUSED` or `TIMEOUT`, with what was tried.
    pub async fn open(&self, target: Target, limit: Duration) -> Result<ServiceStream, Error> {
        match self.operate(Operation::Open { target, limit }).await? {
            Done::Stream(stream) => Ok(stream),
            other => unexpected(&other),
        }
    }

    /// Finds out whether a peer is there, at the addresses it gave; for relays, see
    /// [`Machine::reach`](openred_core::Machine::reach).
    ///
    /// # Errors
    ///
    /// `UNREACHABLE` or `TIMEOUT` if it is not, `UNSUPPORTED` or `QUOTA` if that cannot be said.
    pub async fn reach(&self, peer: PeerId, addresses: Vec<Multiaddr>, limit: Duration) -> Result<(), Error> {
        self.operate(Operation::Reach { peer, addresses, limit }).await.map(drop)
    }

    /// Events from here on. A reader that is too slow gets [`Event::Lagged`](openred_core::event::Event::Lagged).
    pub fn events(&self) -> Events {
        self.0.subscribers.subscribe()
    }

    /// The connected peers.
    ///
    /// # Errors
    ///
    /// `CLOSED` after the node's end; so for the other questions below.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask(|state| state.machine.peers())
    }

    /// Counters up to this moment.
    pub fn stats(&self) -> Result<Stats, Error> {
        let (stats, relayed) = self.ask(|state| (state.machine.stats(), state.relayed.clone()))?;
        Ok(Stats {
            uptime: now().elapsed.saturating_sub(self.0.started),
            peers: stats.peers,
            relays: stats.relays,
            reservations: stats.reservations,
            bytes_in: self.0.meter.bytes_in(),
            bytes_out: self.0.meter.bytes_out(),
            finds: stats.finds,
            find_time: stats.find_time.checked_div(u32::try_from(stats.finds).unwrap_or(u32::MAX)).unwrap_or_default(),
            peer_connections: platform::peer_connections().into(),
            reservations_held: relayed.reservations.values().sum(),
            circuits: relayed.circuits,
            stored_services: stats.stored_services,
            stored_bytes: stats.stored_bytes,
            routing_table: stats.routing_table,
            finds_by_layer: stats.finds_by_layer,
            cache_hits: stats.cache_hits,
            cache_misses: stats.cache_misses,
            cached_services: stats.cached_services,
            cached_bytes: stats.cached_bytes,
            remembered_peers: stats.remembered_peers,
            lost_peers: stats.lost,
            dht_requests: stats.dht.requests,
            dht_served: stats.dht.served,
            dht_refused: stats.dht.refused,
            dht_walks: stats.dht.walks,
        })
    }

    /// Why a peer is reachable, or is not.
    pub fn explain(&self, peer: &PeerId) -> Result<Explanation, Error> {
        self.ask(|state| state.machine.explain(peer))
    }

    /// What each layer did in the latest find of a service; none if it was not looked for, or too long ago.
    pub fn explain_find(&self, target: &ServiceTarget) -> Result<Option<FindStory>, Error> {
        self.ask(|state| state.machine.explain_find(target))
    }

    /// What this node knows of a service without asking anybody, as a directory gives it; none if it knows nobody.
    pub fn bundle(&self, target: &ServiceTarget) -> Result<Option<Vec<u8>>, Error> {
        self.ask(|state| state.machine.bundle(target, now()))
    }

    /// The providers that this node holds under a provider key of the DHT; nobody is asked. Each address is without the peer's
    /// own id at its end.
    pub fn held_providers(&self, key: &[u8]) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, Error> {
        let held = self.ask(|state| state.machine.held_providers(key, now()))?;
        Ok(held.into_iter().map(|held| (held.peer, held.addresses)).collect())
    }

    /// Who holds a reservation at this node, a relay.
    pub fn reserved(&self) -> Result<Set<PeerId>, Error> {
        self.ask(|state| state.relayed.reservations.keys().copied().collect())
    }

    /// What these peers have said of themselves, as far as this node, a relay, holds it for others. Nobody is asked.
    pub fn statements_of(&self, peers: &Set<PeerId>) -> Result<Vec<Statement>, Error> {
        self.ask(|state| state.machine.statements_of(peers, now()))
    }

    /// The addresses that a peer has signed, if this node, a relay, holds them for others.
    pub fn signed_addresses(&self, peer: &PeerId) -> Result<Option<SignedPeerRecord>, Error> {
        self.ask(|state| state.machine.signed_addresses(peer, now()))
    }

    /// Where a peer can be reached, as far as this node knows without asking anybody.
    pub fn addresses_of(&self, peer: &PeerId) -> Result<Vec<Multiaddr>, Error> {
        self.ask(|state| state.machine.addresses_of(peer, now()))
    }

    /// Tries at once whatever waits for its turn, and makes sure that links live: the network has come back, or the page woke
    /// up.
    pub async fn wake(&self) -> Result<(), Error> {
        self.0.operator.send(Command::Wake).await
    }

    /// The same when the network is another one: no link is believed to have come along.
    pub async fn network_changed(&self) -> Result<(), Error> {
        self.0.operator.send(Command::NetworkChanged).await
    }

    /// Says that the platform has no network, so that the node is offline until [`Node::wake`].
    pub async fn network_gone(&self) -> Result<(), Error> {
        self.0.operator.send(Command::NetworkGone).await
    }

    /// Does what is due by the clock. Nobody has to call it: the node has a timer, but a browser holds those of a hidden page
    /// back for up to a minute, and whoever else has one that is on time can lend it.
    pub fn tick(&self) {
        self.0.operator.send_now(Command::Tick);
    }

    /// Takes all offers back, as far as that can be told within a second, and stops the node for all its handles.
    pub async fn close(self) {
        // A node that is closed already stays closed.
        let _ = self.operate(Operation::Close).await;
    }

    /// Closes the connections whose end the other side would notice late: the page that this node is goes this very moment, and
    /// what it does not do at once it never does.
    pub fn hang_up(&self) {
        self.0.operator.send_now(Command::HangUp);
    }

    /// Stops the node at once for all its handles, connections included, and takes nothing back: another node goes on as this
    /// peer. What waits for an answer ends with `CLOSED`.
    pub fn abandon(&self) {
        self.0.operator.send_now(Command::Abandon);
    }

    fn ask<T>(&self, question: impl FnOnce(&State) -> T) -> Result<T, Error> {
        let state = self.0.shared.lock();
        if self.0.operator.is_closed() { Err(Error::Closed) } else { Ok(question(&state)) }
    }

    async fn operate(&self, operation: Operation) -> Result<Done, Error> {
        self.0.operator.operate(operation).await
    }
}

type Bound = oneshot::Receiver<Result<Multiaddr, Error>>;

fn unexpected<T>(done: &Done) -> Result<T, Error> {
    unreachable!("an operation ended as another kind: {done:?}")
}
