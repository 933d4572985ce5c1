//! The driver: one task that owns the libp2p swarm and the core machine and translates between them.
//!
//! It decides nothing. Each turn of its loop takes one thing that has happened (the swarm, a command of the application, a
//! finished exchange, the timer), tells the machine, and carries out what the machine wants. Exchanges on streams run as
//! tasks of their own and report back; the driver holds their handles, so that they end with it.
//!
//! Bounds: commands wait in a queue of [`COMMANDS`]; tasks are bounded by the machine's own limits and [`MAX_INBOUND`].

mod carried;
mod exchange;
mod swarm_events;
mod translate;

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    Future, StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Multiaddr, PeerId, Stream, Swarm,
    core::transport::ListenerId,
    multiaddr::Protocol,
    ping,
    swarm::{self, SwarmEvent, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use openred_core::{
    ConnectionId, DialFailure, DialId, Error, FetchId, InboundId, Input, OpId, OpenId, Outcome, Output, RequestId,
    Response, event::Path, map::Map, wire,
};

pub(crate) use self::carried::Carried;
use self::exchange::{Asked, Exchanged};
use crate::{
    behaviour::{Behaviour, BehaviourEvent, Protocols},
    command::Command,
    events::Subscribers,
    handlers::Handlers,
    memory::Keeper,
    platform::{self, Fetcher, Task, now},
    service_stream::ServiceStream,
    shared::Shared,
    streams,
};

/// Commands of the application that wait for the driver.
pub(crate) const COMMANDS: usize = 256;

/// Exchanges that other peers have begun, at once. Each holds a stream and at most one message of 128 KiB.
const MAX_INBOUND: usize = 4096;

/// Reports of finished exchanges that wait for the driver.
const REPORTS: usize = 256;

/// One node at work.
pub(crate) struct Driver {
    parts: Parts,
    books: Books,
    reports: (mpsc::Sender<Exchanged>, mpsc::Receiver<Exchanged>),
    ended: (mpsc::UnboundedSender<ConnectionId>, mpsc::UnboundedReceiver<ConnectionId>),
    timer: Option<(Duration, platform::Sleep)>,
    closed: bool,
}

/// What the driver works with.
pub(crate) struct Parts {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) shared: Shared,
    pub(crate) protocols: Protocols,
    pub(crate) handlers: Handlers,
    pub(crate) subscribers: Subscribers,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Whether the addresses listened on are those by which others reach this node.
    pub(crate) announce_listeners: bool,
    pub(crate) fetcher: Fetcher,
    pub(crate) keeper: Option<Keeper>,
}

/// What the driver remembers between a fact and its answer.
#[derive(Default)]
struct Books {
    next_id: u64,
    connections: Map<ConnectionId, Connection>,
    by_swarm: Map<swarm::ConnectionId, ConnectionId>,
    dials: Map<swarm::ConnectionId, DialId>,
    opening: Map<streams::RequestId, Opening>,
    requests: Map<RequestId, Task>,
    fetches: Map<FetchId, Task>,
    /// Pings that the machine wants, one for each connection.
    pings: Map<ConnectionId, Task>,
    opens: Map<OpenId, Task>,
    opened: Map<OpenId, ServiceStream>,
    /// Circuits through this node, by their ends.
    circuits: Map<PeerId, usize>,
    inbound: Map<InboundId, Task>,
    answers: Map<InboundId, oneshot::Sender<Response>>,
    operations: Map<OpId, oneshot::Sender<Result<Done, Error>>>,
    listening: HashMap<ListenerId, oneshot::Sender<Result<Multiaddr, Error>>>,
    reservations: HashMap<ListenerId, PeerId>,
    /// The peer connections that the machine knows of.
    peer_connections: u32,
}

struct Connection {
    swarm: swarm::ConnectionId,
    peer: PeerId,
    address: Multiaddr,
    path: Path,
    /// Service streams on it.
    streams: usize,
}

/// What a stream that is being opened is for.
enum Opening {
    Ping(ConnectionId),
    Request { request: RequestId, message: Vec<u8>, answered: bool },
    Service { open: OpenId, name: String, peer: PeerId, connection: ConnectionId, path: Path },
}

/// How an operation ended well, with the stream if it was for one.
#[derive(Debug)]
pub(crate) enum Done {
    Outcome(Outcome),
    Stream(ServiceStream),
}

/// Lives for one turn of the loop and is stored nowhere, so its size costs nothing.
#[allow(clippy::large_enum_variant)]
enum Wake {
    Swarm(SwarmEvent<BehaviourEvent>),
    Command(Option<Command>),
    Exchanged(Exchanged),
    /// A service stream of this connection has ended.
    Ended(ConnectionId),
    Timer,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (reports, ended) = (mpsc::channel(REPORTS), mpsc::unbounded());
        Self { parts, books: Books::default(), reports, ended, timer: None, closed: false }
    }

    /// Listens on an address; the answer comes when the transport has bound it.
    pub(crate) fn listen(&mut self, address: Multiaddr) -> oneshot::Receiver<Result<Multiaddr, Error>> {
        let (sender, bound) = oneshot::channel();
        match self.parts.swarm.listen_on(address.clone()) {
            Ok(listener) => drop(self.books.listening.insert(listener, sender)),
            Err(error) => {
                let error = Error::InvalidOption(format!("cannot listen on {address}: {}", translate::cause(&error)));
                // The receiver is in this very function's hands.
                let _ = sender.send(Err(error));
            }
        }
        bound
    }

    /// Says that an address leads to this node.
    pub(crate) fn announce(&mut self, address: Multiaddr) {
        self.parts.swarm.add_external_address(address.clone());
        self.parts.shared.tell(Input::Reachable { address });
    }

    /// Lets other pages ask for direct connections.
    pub(crate) fn accept_pages(&mut self) {
        // A page that cannot be asked can still ask.
        if let Some(address) = platform::page_address()
            && let Err(error) = self.parts.swarm.listen_on(address)
        {
            tracing::warn!(%error, "pages cannot ask for direct connections");
        }
    }

    /// Runs until the application closes the node or drops its last handle.
    pub(crate) async fn run(mut self) {
        loop {
            self.carry_out();
            if self.closed {
                return self.end();
            }
            match poll_fn(|cx| self.poll_wake(cx)).await {
                Wake::Swarm(event) => self.swarm_event(event),
                Wake::Exchanged(report) => self.exchanged(report),
                Wake::Ended(connection) => self.carried(connection),
                Wake::Timer => self.parts.shared.lock().machine.handle_timeout(now()),
                Wake::Command(None) => return,
                Wake::Command(Some(command)) => self.command(command),
            }
        }
    }

    /// Whoever holds a part of the node learns that it is closed.
    fn end(self) {
        self.parts.handlers.close();
        self.parts.subscribers.close();
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(command) = self.parts.commands.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Command(command));
        }
        if let Poll::Ready(Some(report)) = self.reports.1.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Exchanged(report));
        }
        if let Poll::Ready(Some(connection)) = self.ended.1.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Ended(connection));
        }
        if let Poll::Ready(Some(event)) = self.parts.swarm.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Swarm(event));
        }
        match &mut self.timer {
            Some((_, sleep)) => match Pin::new(sleep).poll(cx) {
                Poll::Ready(()) => {
                    self.timer = None;
                    Poll::Ready(Wake::Timer)
                }
                Poll::Pending => Poll::Pending,
            },
            None => Poll::Pending,
        }
    }

    /// Does everything the machine wants, then sets the timer.
    fn carry_out(&mut self) {
        let made = platform::peer_connections();
        if made != self.books.peer_connections {
            self.books.peer_connections = made;
            self.parts.shared.tell(Input::PeerConnections { made });
        }
        while let Some(output) = self.parts.shared.poll_output() {
            self.output(output);
        }
        let deadline = self.parts.shared.poll_timeout();
        if self.timer.as_ref().map(|(at, _)| *at) != deadline {
            self.timer = deadline.map(|at| (at, platform::sleep(at.saturating_sub(platform::elapsed()))));
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Dial { dial, peer, addresses } => self.dial(dial, peer, addresses),
            Output::CancelDial { dial } => self.books.dials.retain(|_, known| *known != dial),
            Output::Disconnect { connection } => {
                if let Some(known) = self.books.connections.get(&connection) {
                    self.parts.swarm.close_connection(known.swarm);
                }
            }
            Output::Ping { peer, connection } => {
                self.open(peer, connection, ping::PROTOCOL_NAME, Opening::Ping(connection))
            }
            Output::StunServers(servers) => {
                platform::set_stun_servers(&mut self.parts.swarm.behaviour_mut().pages, servers);
            }
            Output::Reserve { relay, address } => self.reserve(relay, address),
            Output::Request { request, peer, connection, message, answered } => {
                let protocol = self.parts.protocols.kad.clone();
                self.open(peer, connection, protocol, Opening::Request { request, message, answered });
            }
            Output::CancelRequest { request } => {
                self.books.requests.remove(&request);
                self.books.opening.retain(
                    |_, opening| !matches!(opening, Opening::Request { request: known, .. } if *known == request),
                );
            }
            Output::Fetch { fetch, url, limit } => {
                let body = self.parts.fetcher.get(&url, limit);
                let task = platform::spawn(exchange::fetch(fetch, body, self.reports.0.clone()));
                self.books.fetches.insert(fetch, task);
            }
            Output::CancelFetch { fetch } => drop(self.books.fetches.remove(&fetch)),
            Output::Remember(memory) => {
                if let Some(keeper) = &mut self.parts.keeper {
                    keeper.keep(memory);
                }
            }
            Output::Respond { inbound, response } => {
                if let Some(answer) = self.books.answers.remove(&inbound) {
                    // The exchange may have ended meanwhile; then nobody waits.
                    let _ = answer.send(response);
                }
            }
            Output::OpenStream { open, peer, connection, name, .. } => {
                let path = self.books.connections.get(&connection).map_or(Path::Direct, |known| known.path);
                let protocol = self.parts.protocols.stream.clone();
                self.open(
                    peer,
                    connection,
                    protocol,
                    Opening::Service { open, name: name.to_string(), peer, connection, path },
                );
            }
            Output::CancelOpen { open } => {
                self.books.opens.remove(&open);
                self.books.opened.remove(&open);
                self.books
                    .opening
                    .retain(|_, opening| !matches!(opening, Opening::Service { open: known, .. } if *known == open));
            }
            Output::Done { op, outcome } => self.done(op, outcome),
            Output::Event(event) => {
                tracing::debug!(?event, "event");
                self.parts.subscribers.send(&event);
            }
        }
    }

    fn done(&mut self, op: OpId, outcome: Result<Outcome, Error>) {
        self.closed |= matches!(outcome, Ok(Outcome::Closed));
        let Some(waiter) = self.books.operations.remove(&op) else { return };
        let done = match outcome {
            Ok(Outcome::Opened(open)) => match self.books.opened.remove(&open) {
                Some(stream) => Ok(Done::Stream(stream)),
                None => Err(Error::Unreachable("the stream broke as it was opened".to_owned())),
            },
            Ok(outcome) => Ok(Done::Outcome(outcome)),
            Err(error) => Err(error),
        };
        // A caller that went away has told so by a cancellation, or will.
        let _ = waiter.send(done);
    }

    fn dial(&mut self, dial: DialId, peer: Option<PeerId>, addresses: Vec<Multiaddr>) {
        let options = match (peer, addresses.first()) {
            (Some(peer), _) => DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (None, None) => return self.parts.shared.tell(failed_dial(dial, DialFailure::Unsupported)),
        };
        let connection = options.connection_id();
        match self.parts.swarm.dial(options) {
            Ok(()) => drop(self.books.dials.insert(connection, dial)),
            Err(error) => self.parts.shared.tell(failed_dial(dial, translate::dial_failure(&error))),
        }
    }

    fn reserve(&mut self, relay: PeerId, address: Multiaddr) {
        let old: Vec<_> =
            self.books.reservations.iter().filter(|(_, known)| **known == relay).map(|(id, _)| *id).collect();
        for listener in old {
            self.books.reservations.remove(&listener);
            self.parts.swarm.remove_listener(listener);
        }
        let circuit = address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
        match self.parts.swarm.listen_on(circuit) {
            Ok(listener) => drop(self.books.reservations.insert(listener, relay)),
            Err(error) => {
                let reason = translate::cause(&error);
                self.parts.shared.tell(Input::ReservationLost { relay, reason });
            }
        }
    }

    fn open(&mut self, peer: PeerId, connection: ConnectionId, protocol: libp2p::StreamProtocol, opening: Opening) {
        match self.books.connections.get(&connection) {
            Some(known) => {
                self.books.next_id += 1;
                let request = streams::RequestId(self.books.next_id);
                self.books.opening.insert(request, opening);
                self.parts.swarm.behaviour_mut().streams.open(request, peer, known.swarm, protocol);
            }
            None => self.open_failed(opening, "the connection is closed".to_owned()),
        }
    }

    fn open_failed(&mut self, opening: Opening, reason: String) {
        let input = match opening {
            // Its silence says enough.
            Opening::Ping(_) => return,
            Opening::Request { request, .. } => Input::RequestFailed { request, reason },
            Opening::Service { open, .. } => Input::OpenFailed { open, reason },
        };
        self.parts.shared.tell(input);
    }

    fn stream_event(&mut self, event: streams::Event) {
        match event {
            streams::Event::Opened { request, stream, .. } => match self.books.opening.remove(&request) {
                Some(opening) => self.opened(opening, stream),
                None => drop(stream),
            },
            streams::Event::OpenFailed { request, error, .. } => {
                if let Some(opening) = self.books.opening.remove(&request) {
                    self.open_failed(opening, error.to_string());
                }
            }
            streams::Event::Inbound { peer, connection, protocol, stream } => {
                self.accept(peer, connection, protocol == self.parts.protocols.kad, stream);
            }
        }
    }

    fn opened(&mut self, opening: Opening, stream: Stream) {
        let report = self.reports.0.clone();
        match opening {
            Opening::Ping(connection) => {
                let task = platform::spawn(exchange::ping(connection, stream, report));
                self.books.pings.insert(connection, task);
            }
            Opening::Request { request, message, answered } => {
                let task = platform::spawn(exchange::request(request, stream, message, answered, report));
                self.books.requests.insert(request, task);
            }
            Opening::Service { open, name, peer, connection, path } => {
                let carried = self.carry(connection);
                let stream = ServiceStream::new(stream, path, peer, name).carried(carried);
                self.books.opens.insert(open, platform::spawn(exchange::open(open, stream, report)));
            }
        }
    }

    /// Another peer opened a stream; beyond the limit it is dropped, which resets it.
    fn accept(&mut self, peer: PeerId, connection: swarm::ConnectionId, is_dht: bool, stream: Stream) {
        if self.books.inbound.len() >= MAX_INBOUND {
            tracing::debug!(%peer, limit = MAX_INBOUND, "too many inbound streams");
            return;
        }
        self.books.next_id += 1;
        let id = InboundId(self.books.next_id);
        let path = self.path(connection);
        let report = self.reports.0.clone();
        let task = if is_dht {
            platform::spawn(exchange::serve(id, peer, stream, report))
        } else {
            let carried = self.books.by_swarm.get(&connection).copied().map(|connection| self.carry(connection));
            let handlers = self.parts.handlers.clone();
            platform::spawn(exchange::accept(id, peer, path, stream, carried, handlers, report))
        };
        self.books.inbound.insert(id, task);
    }

    fn exchanged(&mut self, report: Exchanged) {
        let input = match report {
            Exchanged::Ping { connection, took: rtt, result } => {
                self.books.pings.remove(&connection);
                let Some(peer) = self.books.connections.get(&connection).map(|known| known.peer) else { return };
                match result {
                    Ok(()) => Input::Ponged { peer, connection, rtt },
                    Err(error) if translate::is_refusal(&error) => Input::PingRefused { peer, connection, rtt },
                    // Its silence says enough.
                    Err(_) => return,
                }
            }
            Exchanged::Request { request, result } => {
                self.books.requests.remove(&request);
                match result {
                    Ok(Some(message)) => Input::Answered { request, message },
                    Ok(None) => Input::Sent { request },
                    Err(error) => Input::RequestFailed { request, reason: error.to_string() },
                }
            }
            Exchanged::Fetch { fetch, result } => {
                if self.books.fetches.remove(&fetch).is_none() {
                    return;
                }
                match result {
                    Ok(body) => Input::Fetched { fetch, body },
                    Err(reason) => Input::FetchFailed { fetch, reason },
                }
            }
            Exchanged::Open { open, result } => {
                if self.books.opens.remove(&open).is_none() {
                    return;
                }
                match *result {
                    Ok((stream, answer)) if answer.status == wire::stream::Status::Ok => {
                        self.books.opened.insert(open, stream);
                        Input::Opened { open }
                    }
                    Ok((_, answer)) => Input::OpenRefused { open, status: answer.status, message: answer.message },
                    Err(error) => Input::OpenFailed { open, reason: error.to_string() },
                }
            }
            Exchanged::Asked(Asked { inbound, peer, message, answer }) => {
                self.books.answers.insert(inbound, answer);
                Input::Asked { inbound, peer, message }
            }
            Exchanged::Served { inbound } => {
                self.books.inbound.remove(&inbound);
                self.books.answers.remove(&inbound);
                return;
            }
        };
        self.parts.shared.tell(input);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Operation { op, operation, done } => {
                self.books.operations.insert(op, done);
                operation.start(&mut self.parts.shared.lock().machine, op, now());
            }
            Command::Cancel(op) => {
                if self.books.operations.remove(&op).is_some() {
                    self.parts.shared.lock().machine.cancel(op, now());
                }
            }
            Command::Withdraw(registration) => {
                self.parts.shared.lock().machine.withdraw(None, registration, Duration::ZERO, now());
            }
            Command::Wake => self.parts.shared.lock().machine.wake(now()),
            Command::NetworkChanged => self.parts.shared.lock().machine.network_changed(now()),
            Command::HangUp => self.parts.shared.lock().machine.hang_up(now()),
            Command::Abandon => self.closed = true,
            Command::NetworkGone => self.parts.shared.tell(Input::NetworkGone),
            Command::Tick => self.parts.shared.lock().machine.handle_timeout(now()),
        }
    }

    fn path(&self, connection: swarm::ConnectionId) -> Path {
        let known = self.books.by_swarm.get(&connection).and_then(|id| self.books.connections.get(id));
        known.map_or(Path::Direct, |known| known.path)
    }

    /// Whom this node is connected to at an address, which does not end in a peer id.
    fn peer_at(&self, address: &Multiaddr) -> Option<PeerId> {
        let mut known = self.books.connections.values();
        known.find(|known| translate::same_but_for_peer(&known.address, address)).map(|known| known.peer)
    }
}

fn failed_dial(dial: DialId, failure: DialFailure) -> Input {
    Input::DialFailed { dial, failure }
}
