//! The behaviour's half: relayed connections, streams on them, negotiations.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::mpsc,
    future::{self, BoxFuture, Either},
    stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr, PeerId, Stream,
    core::{Endpoint, connection::ConnectedPoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, NetworkBehaviour, NotifyHandler,
        ToSwarm,
        behaviour::ConnectionEstablished,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use send_wrapper::SendWrapper;
use web_time::Instant;

use super::{
    Config, Dial, Incoming, MAX_PER_PEER,
    handler::{DialId, Handler, ToBehaviour},
    negotiation,
    pauses::Pauses,
};
use crate::{
    Error, Muxer, address,
    peer_connection::{made_for_others, peer_connections},
};

/// How long the end of a signalling stream may take to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the behaviour tells the swarm's owner. What became of a dial is told to the dial alone.
#[derive(Debug)]
pub enum Event {
    /// A connection that a peer has asked for did not come about.
    IncomingFailed {
        /// Who asked.
        peer: PeerId,
        /// Why not.
        error: Error,
    },
}

/// Negotiates what its [`Transport`](super::Transport) dials and is dialled by.
pub struct Behaviour {
    config: Config,
    dials: mpsc::Receiver<Dial>,
    incoming: mpsc::Sender<Incoming>,
    listening: Arc<AtomicBool>,
    /// Relayed connections, the youngest last. As many as the swarm allows.
    circuits: Vec<Circuit>,
    waiting: Vec<Waiting>,
    negotiations: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Who asked for those of the negotiations that are not ours.
    answering: Vec<PeerId>,
    pauses: Pauses,
    /// Empty whenever the swarm goes idle.
    queue: VecDeque<ToSwarm<Event, DialId>>,
    next_id: u64,
}

/// A relayed connection.
struct Circuit {
    peer: PeerId,
    relay: Option<PeerId>,
    connection: ConnectionId,
}

/// A dial without a stream.
struct Waiting {
    id: DialId,
    dial: Dial,
    on: On,
}

/// What a dial waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// A relayed connection.
    Circuit(ConnectionId),
    /// A stream on this one.
    Stream(ConnectionId),
}

impl On {
    fn is_circuit(self) -> bool {
        matches!(self, Self::Circuit(_))
    }
}

/// What became of a negotiation: of our own nothing is told.
enum Ended {
    Ours,
    Theirs(PeerId, Result<(), Error>),
}

impl Behaviour {
    pub(super) fn new(
        config: Config,
        dials: mpsc::Receiver<Dial>,
        incoming: mpsc::Sender<Incoming>,
        listening: Arc<AtomicBool>,
    ) -> Self {
        Self {
            config,
            dials,
            incoming,
            listening,
            circuits: Vec::new(),
            waiting: Vec::new(),
            negotiations: FuturesUnordered::new(),
            answering: Vec::new(),
            pauses: Pauses::default(),
            queue: VecDeque::new(),
            next_id: 0,
        }
    }

    /// The STUN servers of negotiations to come, as in [`Config::ice_servers`].
    pub fn set_ice_servers(&mut self, servers: Vec<String>) {
        self.config.ice_servers = servers;
    }

    fn is_busy(&self) -> bool {
        self.waiting.len() + self.negotiations.len() >= self.config.max_negotiations
    }

    fn handle_dial(&mut self, dial: Dial) {
        self.waiting.retain(|waiting| !waiting.dial.reply.is_canceled());
        if dial.reply.is_canceled() {
            return;
        }
        if self.is_busy() {
            return refuse(dial, Error::Busy);
        }
        let id = DialId(self.next_id);
        self.next_id += 1;
        let circuit = self.circuit(&dial);
        let dialled = self.waiting.iter().find(|waiting| waiting.dial.peer == dial.peer && waiting.on.is_circuit());
        let on = match (circuit, dialled) {
            (Some(connection), _) => On::Stream(connection),
            (None, Some(waiting)) => waiting.on,
            (None, None) => On::Circuit(self.dial_circuit(dial.peer, dial.circuit.clone())),
        };
        if let On::Stream(connection) = on {
            self.open_stream(dial.peer, connection, id);
        }
        self.waiting.push(Waiting { id, dial, on });
    }

    /// A relayed connection to the peer of a dial: of those through the relay that it names, or else of all, the youngest.
    fn circuit(&self, dial: &Dial) -> Option<ConnectionId> {
        let relay = address::relay_of(&dial.circuit);
        let mut circuits = self.circuits.iter().rev().filter(|circuit| circuit.peer == dial.peer);
        let named = circuits.clone().find(|circuit| circuit.relay == relay);
        named.or_else(|| circuits.next()).map(|circuit| circuit.connection)
    }

    fn dial_circuit(&mut self, peer: PeerId, circuit: Multiaddr) -> ConnectionId {
        // The dial that asks is a dial of the same peer, so any other condition would prevent this one.
        let opts = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![circuit]).build();
        let connection = opts.connection_id();
        self.queue.push_back(ToSwarm::Dial { opts });
        connection
    }

    fn open_stream(&mut self, peer_id: PeerId, connection: ConnectionId, event: DialId) {
        let handler = NotifyHandler::One(connection);
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
    }

    fn handle_established(&mut self, peer: PeerId, relay: Option<PeerId>, connection: ConnectionId) {
        self.circuits.push(Circuit { peer, relay, connection });
        let mut ready = Vec::new();
        for waiting in &mut self.waiting {
            if waiting.dial.peer == peer && waiting.on.is_circuit() {
                waiting.on = On::Stream(connection);
                ready.push(waiting.id);
            }
        }
        ready.into_iter().for_each(|id| self.open_stream(peer, connection, id));
    }

    /// Fails the dials that wait for what will not come.
    fn fail_waiting(&mut self, on: On, error: &Error) {
        let (failed, kept) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.on == on);
        self.waiting = kept;
        let failed: Vec<Waiting> = failed;
        failed.into_iter().for_each(|waiting| refuse(waiting.dial, error.clone()));
    }

    fn handle_opened(&mut self, id: DialId, stream: Result<Stream, Error>) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else { return };
        let dial = self.waiting.swap_remove(at).dial;
        match stream {
            Ok(stream) => {
                let negotiation = call(dial, stream, self.config.clone());
                self.negotiations.push(SendWrapper::new(negotiation).boxed());
            }
            Err(error) => refuse(dial, error),
        }
    }

    /// A stream that is dropped is reset, which is an answer too.
    fn handle_inbound(&mut self, peer: PeerId, stream: Stream) {
        if self.pauses.holds(&peer, Instant::now()) {
            tracing::debug!(%peer, "an offer comes too soon after one that failed");
            return;
        }
        let of_peer = self.answering.iter().filter(|other| **other == peer).count();
        let many = self.answering.len() >= self.config.max_answered || of_peer >= MAX_PER_PEER;
        if many || self.is_busy() {
            return self.incoming_failed(peer, Error::Busy);
        }
        // Each of those under way may make one more.
        let under_way = self.answering.len() as u32;
        let spent = peer_connections() + under_way >= self.config.max_made
            || made_for_others() + under_way >= self.config.max_made_for_others;
        if spent {
            return self.incoming_failed(peer, Error::Spent);
        }
        self.answering.push(peer);
        let negotiation = answer(peer, stream, self.config.clone(), self.incoming.clone());
        self.negotiations.push(SendWrapper::new(negotiation).boxed());
    }

    fn handle_ended(&mut self, ended: Ended) {
        let Ended::Theirs(peer, result) = ended else { return };
        if let Some(at) = self.answering.iter().position(|other| *other == peer) {
            self.answering.swap_remove(at);
        }
        match result {
            Ok(()) => self.pauses.end(&peer),
            Err(error) => {
                if error.is_of_offer() {
                    self.pauses.begin(peer, Instant::now());
                }
                self.incoming_failed(peer, error);
            }
        }
    }

    fn incoming_failed(&mut self, peer: PeerId, error: Error) {
        self.queue.push_back(ToSwarm::GenerateEvent(Event::IncomingFailed { peer, error }));
    }
}

fn refuse(dial: Dial, error: Error) {
    // A dial that has been given up is told nothing.
    let _ = dial.reply.send(Err(error));
}

/// Negotiates for a dial, for as long as it is not given up.
async fn call(mut dial: Dial, stream: Stream, config: Config) -> Ended {
    let connect = negotiation::call(stream, &config.ice_servers, config.timeout).boxed_local();
    let connected = match future::select(connect, dial.reply.cancellation()).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => return Ended::Ours,
    };
    match connected {
        Ok((connection, stream)) => {
            let _ = dial.reply.send(Ok(Muxer::to_browser(connection)));
            negotiation::close(stream, CLOSE_TIMEOUT).await;
        }
        Err(error) => refuse(dial, error),
    }
    Ended::Ours
}

/// Negotiates for a peer that has asked.
async fn answer(peer: PeerId, stream: Stream, config: Config, mut incoming: mpsc::Sender<Incoming>) -> Ended {
    let connected = negotiation::answer(stream, &config.ice_servers, config.timeout).await;
    let result = match connected {
        Ok((connection, stream)) => {
            let handed = incoming.send(Incoming { peer, muxer: Muxer::to_browser(connection) }).await;
            negotiation::close(stream, CLOSE_TIMEOUT).await;
            handed.map_err(|_| Error::Closing)
        }
        Err(error) => Err(error),
    };
    Ended::Theirs(peer, result)
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new(address::is_relayed(local), self.listening.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new(address::is_relayed(remote), self.listening.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                let address = match endpoint {
                    ConnectedPoint::Dialer { address, .. } => address,
                    ConnectedPoint::Listener { local_addr, .. } => local_addr,
                };
                if address::is_relayed(address) {
                    self.handle_established(peer_id, address::relay_of(address), connection_id);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.circuits.retain(|circuit| circuit.connection != connection_id);
                let error = Error::NoCircuit("it is closed".to_owned());
                self.fail_waiting(On::Stream(connection_id), &error);
            }
            FromSwarm::DialFailure(DialFailure { connection_id, error, .. }) => {
                self.fail_waiting(On::Circuit(connection_id), &Error::NoCircuit(error.to_string()));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: ToBehaviour) {
        match event {
            ToBehaviour::Opened(id, stream) => self.handle_opened(id, stream),
            ToBehaviour::Inbound(stream) => self.handle_inbound(peer, stream),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, DialId>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Poll::Ready(event);
            }
            if let Poll::Ready(Some(ended)) = self.negotiations.poll_next_unpin(cx) {
                self.handle_ended(ended);
                continue;
            }
            match self.dials.poll_next_unpin(cx) {
                Poll::Ready(Some(dial)) => self.handle_dial(dial),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}
