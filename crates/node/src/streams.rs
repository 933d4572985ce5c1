//! Raw substreams: opening them on a chosen connection and accepting them by protocol.
//!
//! What travels on a stream is the business of whoever asked for it; this behaviour negotiates the
//! protocol and hands the stream over. Every [`Behaviour::open`] is answered by exactly one
//! [`Event::Opened`] or [`Event::OpenFailed`] with the same [`RequestId`], also when the connection
//! dies in between or was never there.
//!
//! Bounds: [`Config`] caps what one connection opens at once and what may wait behind that. The
//! number of streams that are open is bounded below, by the multiplexer. The behaviour's own queue
//! holds orders that the swarm has not taken yet and is empty whenever the swarm goes idle.
//!
//! It does not dial, and it does not keep a connection alive by itself: an open stream does that,
//! and so does one that is being negotiated.

mod handler;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandlerInEvent,
        ToSwarm, behaviour::ConnectionEstablished,
    },
};

use openred_core::map::{Map, Set};

use self::handler::{FromBehaviour, Handler, ToBehaviour};

/// Names one call of [`Behaviour::open`]. The caller chooses it, and does not use it again while
/// the call is unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The limits of one connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Streams being negotiated at once. The default, 128, is the number of inbound streams that
    /// a libp2p swarm negotiates at once on a connection: more would only wait at the other side.
    pub max_opening: usize,
    /// Requests waiting for one of those places; what comes on top fails at once. Each costs about
    /// a hundred bytes. The default, 1024, is a guess at the burst of a node that republishes
    /// everything it has through one connection.
    pub max_waiting: usize,
    /// How long a request may take, waiting included. The default, 10 s, is libp2p's own.
    pub open_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_opening: 128, max_waiting: 1024, open_timeout: Duration::from_secs(10) }
    }
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The peer answered that it does not speak the protocol.
    #[error("the peer does not support the protocol")]
    Unsupported,
    /// There was no answer within [`Config::open_timeout`].
    #[error("the peer did not answer in time")]
    Timeout,
    /// The stream failed while it was being negotiated, or too many were waiting already.
    #[error("{0}")]
    Io(String),
    /// The connection is gone.
    #[error("the connection is closed")]
    ConnectionClosed,
}

/// What the behaviour tells the swarm's owner.
#[derive(Debug)]
pub enum Event {
    /// A requested stream is open and negotiated.
    Opened {
        /// The request this answers.
        request: RequestId,
        /// The peer at the other end.
        peer: PeerId,
        /// The connection that carries the stream.
        connection: ConnectionId,
        /// The stream.
        stream: Stream,
    },
    /// A requested stream could not be opened.
    OpenFailed {
        /// The request this answers.
        request: RequestId,
        /// The peer that was asked.
        peer: PeerId,
        /// The connection on which it was asked.
        connection: ConnectionId,
        /// Why not.
        error: OpenError,
    },
    /// The peer opened a stream with one of the inbound protocols.
    Inbound {
        /// The peer that opened it.
        peer: PeerId,
        /// The connection that carries the stream.
        connection: ConnectionId,
        /// The protocol it chose.
        protocol: StreamProtocol,
        /// The stream.
        stream: Stream,
    },
}

/// The behaviour; see the module's documentation.
#[derive(Debug)]
pub struct Behaviour {
    config: Config,
    inbound: Arc<[StreamProtocol]>,
    connections: Map<ConnectionId, Connection>,
    queue: VecDeque<ToSwarm<Event, FromBehaviour>>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    /// Requests that the handler has not answered.
    unanswered: Set<RequestId>,
}

impl Behaviour {
    /// A behaviour that accepts streams of the `inbound` protocols, with the default [`Config`].
    pub fn new(inbound: Vec<StreamProtocol>) -> Self {
        Self::with_config(inbound, Config::default())
    }

    /// A behaviour that accepts streams of the `inbound` protocols, within `config`.
    pub fn with_config(inbound: Vec<StreamProtocol>, config: Config) -> Self {
        Self { config, inbound: inbound.into(), connections: Map::new(), queue: VecDeque::new(), waker: None }
    }

    /// Replaces the inbound protocols, on existing connections too.
    ///
    /// Streams that are open or being negotiated stay. Identify tells connected peers.
    pub fn set_inbound(&mut self, inbound: Vec<StreamProtocol>) {
        self.inbound = inbound.into();
        for (&connection, &Connection { peer, .. }) in &self.connections {
            self.queue.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(connection),
                event: FromBehaviour::SetInbound(self.inbound.clone()),
            });
        }
        self.wake();
    }

    /// Opens a stream to `peer` with `protocol` on `connection`.
    ///
    /// One [`Event::Opened`] or [`Event::OpenFailed`] with `request` follows.
    pub fn open(&mut self, request: RequestId, peer: PeerId, connection: ConnectionId, protocol: StreamProtocol) {
        match self.connections.get_mut(&connection) {
            Some(known) if known.peer == peer => {
                known.unanswered.insert(request);
                self.queue.push_back(ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(connection),
                    event: FromBehaviour::Open { request, protocol },
                });
            }
            _ => self.emit(Event::OpenFailed { request, peer, connection, error: OpenError::ConnectionClosed }),
        }
        self.wake();
    }

    fn handler(&self) -> Handler {
        Handler::new(self.config.clone(), self.inbound.clone())
    }

    fn emit(&mut self, event: Event) {
        self.queue.push_back(ToSwarm::GenerateEvent(event));
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                let connection = Connection { peer: peer_id, unanswered: Set::new() };
                self.connections.insert(connection_id, connection);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                let Some(closed) = self.connections.remove(&connection_id) else { return };
                for request in closed.unanswered {
                    self.emit(Event::OpenFailed {
                        request,
                        peer: closed.peer,
                        connection: connection_id,
                        error: OpenError::ConnectionClosed,
                    });
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: ToBehaviour) {
        let answered = match &event {
            ToBehaviour::Opened { request, .. } | ToBehaviour::Failed { request, .. } => Some(request),
            ToBehaviour::Inbound { .. } => None,
        };
        if let (Some(request), Some(known)) = (answered, self.connections.get_mut(&connection)) {
            known.unanswered.remove(request);
        }
        self.emit(match event {
            ToBehaviour::Opened { request, stream } => Event::Opened { request, peer, connection, stream },
            ToBehaviour::Failed { request, error } => Event::OpenFailed { request, peer, connection, error },
            ToBehaviour::Inbound { protocol, stream } => Event::Inbound { peer, connection, protocol, stream },
        });
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some(order) => Poll::Ready(order),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
