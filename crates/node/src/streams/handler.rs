//! The part of the streams behaviour that lives with one connection.
//!
//! Requests are taken in order. At most `max_opening` are with the swarm at once; the others wait
//! here, and their waiting counts against their timeout. It needs no timer of its own for that:
//! all requests have the same timeout, so whoever has waited too long is behind a request that has
//! timed out as well, and is found when that one leaves.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use web_time::Instant;

use super::{Config, OpenError, RequestId};

/// What the behaviour orders.
#[derive(Debug)]
pub enum FromBehaviour {
    Open { request: RequestId, protocol: StreamProtocol },
    SetInbound(Arc<[StreamProtocol]>),
}

/// What the behaviour is told.
#[derive(Debug)]
pub enum ToBehaviour {
    Opened { request: RequestId, stream: Stream },
    Failed { request: RequestId, error: OpenError },
    Inbound { protocol: StreamProtocol, stream: Stream },
}

#[derive(Debug)]
pub struct Handler {
    config: Config,
    inbound: Arc<[StreamProtocol]>,
    waiting: VecDeque<Waiting>,
    /// Requests that are with the swarm.
    opening: usize,
    /// Never more than a few: the swarm polls the handler between any two facts it reports.
    events: VecDeque<ToBehaviour>,
}

#[derive(Debug)]
struct Waiting {
    request: RequestId,
    protocol: StreamProtocol,
    since: Instant,
}

impl Handler {
    pub(super) fn new(config: Config, inbound: Arc<[StreamProtocol]>) -> Self {
        Self { config, inbound, waiting: VecDeque::new(), opening: 0, events: VecDeque::new() }
    }

    fn fail(&mut self, request: RequestId, error: OpenError) {
        self.events.push_back(ToBehaviour::Failed { request, error });
    }

    /// What is left of the timeout of a request, or `None` if nothing is.
    fn time_left(&self, waiting: &Waiting) -> Option<Duration> {
        self.config.open_timeout.checked_sub(waiting.since.elapsed()).filter(|left| !left.is_zero())
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = FromBehaviour;
    type ToBehaviour = ToBehaviour;
    type InboundProtocol = AnyOf;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = RequestId;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf> {
        SubstreamProtocol::new(AnyOf(self.inbound.to_vec()), ())
    }

    fn on_behaviour_event(&mut self, order: FromBehaviour) {
        match order {
            FromBehaviour::SetInbound(inbound) => self.inbound = inbound,
            FromBehaviour::Open { request, .. } if self.waiting.len() >= self.config.max_waiting => {
                let waiting = self.waiting.len();
                self.fail(request, OpenError::Io(format!("{waiting} streams are waiting already")));
            }
            FromBehaviour::Open { request, protocol } => {
                self.waiting.push_back(Waiting { request, protocol, since: Instant::now() });
            }
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, AnyOf, ReadyUpgrade<StreamProtocol>, (), RequestId>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                info: (),
            }) => self.events.push_back(ToBehaviour::Inbound { protocol, stream }),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: request }) => {
                self.opening -= 1;
                self.events.push_back(ToBehaviour::Opened { request, stream });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: request, error }) => {
                self.opening -= 1;
                self.fail(
                    request,
                    match error {
                        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                        StreamUpgradeError::Timeout => OpenError::Timeout,
                        StreamUpgradeError::Io(error) => OpenError::Io(error.to_string()),
                        StreamUpgradeError::Apply(never) => match never {},
                    },
                );
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, RequestId, ToBehaviour>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
            }
            if self.opening >= self.config.max_opening {
                return Poll::Pending;
            }
            let Some(next) = self.waiting.pop_front() else { return Poll::Pending };
            let Some(timeout) = self.time_left(&next) else {
                self.fail(next.request, OpenError::Timeout);
                continue;
            };
            self.opening += 1;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(next.protocol), next.request).with_timeout(timeout);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Option<ToBehaviour>> {
        Poll::Ready(self.events.pop_front())
    }
}

/// Accepts any one of several protocols and says which it was.
#[derive(Debug)]
pub struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for AnyOf {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
