//! The part of the behaviour that lives with one connection: streams of the signalling protocol, asked for and offered.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    option,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use crate::{Error, signalling};

const PROTOCOL: StreamProtocol = StreamProtocol::new(signalling::PROTOCOL);

/// Names one dial within a behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialId(pub(super) u64);

/// What the behaviour is told.
#[derive(Debug)]
pub enum ToBehaviour {
    /// The stream that a dial asked for, or why there is none.
    Opened(DialId, Result<Stream, Error>),
    /// A stream that the remote has opened.
    Inbound(Stream),
}

/// The handler of one connection.
#[derive(Debug)]
pub struct Handler {
    /// Whether the connection goes through a relay. On others signalling is neither offered nor used.
    relayed: bool,
    listening: Arc<AtomicBool>,
    /// At most as many as there are negotiations.
    asked: VecDeque<DialId>,
    opening: usize,
    /// Never more than a few: the swarm polls the handler between any two facts it reports.
    events: VecDeque<ToBehaviour>,
}

type Outbound = ReadyUpgrade<StreamProtocol>;

impl Handler {
    pub(super) fn new(relayed: bool, listening: Arc<AtomicBool>) -> Self {
        Self { relayed, listening, asked: VecDeque::new(), opening: 0, events: VecDeque::new() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = DialId;
    type ToBehaviour = ToBehaviour;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = DialId;

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        let offered = self.relayed && self.listening.load(Ordering::Relaxed);
        SubstreamProtocol::new(Inbound(offered.then_some(PROTOCOL)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.opening > 0 || !self.asked.is_empty()
    }

    fn on_behaviour_event(&mut self, dial: DialId) {
        self.asked.push_back(dial);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound, (), DialId>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                self.events.push_back(ToBehaviour::Inbound(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                self.opening -= 1;
                self.events.push_back(ToBehaviour::Opened(info, Ok(stream)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.opening -= 1;
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => {
                        Error::NoSignalling("the peer does not speak the protocol".to_owned())
                    }
                    StreamUpgradeError::Timeout => Error::Timeout,
                    StreamUpgradeError::Io(error) => Error::NoCircuit(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                self.events.push_back(ToBehaviour::Opened(info, Err(error)));
            }
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Outbound, DialId, ToBehaviour>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        let Some(dial) = self.asked.pop_front() else { return Poll::Pending };
        self.opening += 1;
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), dial);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }
}

/// Accepts the protocol, or nothing.
#[derive(Debug)]
pub struct Inbound(Option<StreamProtocol>);

impl UpgradeInfo for Inbound {
    type Info = StreamProtocol;
    type InfoIter = option::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Inbound {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
