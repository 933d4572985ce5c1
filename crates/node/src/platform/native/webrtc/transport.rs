//! Listening and dialling, for libp2p.
//!
//! A listener on all interfaces tells the address of each. Handshakes and dials are futures that the swarm runs; each is
//! bounded in time by [`handshake`].

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::SelectAll};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
    multiaddr::Protocol,
};
use libp2p_webrtc_utils::parse_webrtc_dial_addr;

use super::{
    caller::Caller,
    certificate::Certificate,
    connection::Connection,
    error::Error,
    handshake::{self, Identity},
    udp_mux::{Newcomer, UdpMux},
};

/// See the module's documentation.
pub(super) struct Transport {
    identity: Arc<Identity>,
    listeners: SelectAll<Listener>,
    /// Whoever waits for a first listener.
    waker: Option<Waker>,
}

type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;
type Event = TransportEvent<Upgrade, Error>;

impl Transport {
    pub(super) fn new(keypair: Keypair, certificate: Certificate) -> Self {
        Self { identity: Arc::new(Identity { keypair, certificate }), listeners: SelectAll::new(), waker: None }
    }
}

impl transport::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let socket = listen_address(&address).ok_or(TransportError::MultiaddrNotSupported(address))?;
        let listener = Listener::bind(id, socket, self.identity.clone());
        self.listeners.push(listener.map_err(|error| TransportError::Other(error.into()))?);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listeners.iter_mut().find(|listener| listener.id == id).is_some_and(Listener::close)
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let target = parse_webrtc_dial_addr(&address).filter(|(socket, _)| is_somebody(*socket));
        let (socket, certificate) = target.ok_or(TransportError::MultiaddrNotSupported(address))?;
        Ok(handshake::dial(Caller::call(socket), certificate, self.identity.clone()).boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Some(event)) = self.listeners.poll_next_unpin(cx) {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Yields events, at last that it is closed.
struct Listener {
    id: ListenerId,
    identity: Arc<Identity>,
    /// `None` once it is closed.
    mux: Option<UdpMux>,
    local: SocketAddr,
    /// The interfaces, where the address stands for all of them.
    interfaces: Option<IfWatcher>,
    /// To be told first.
    pending: Option<Event>,
    waker: Option<Waker>,
}

impl Listener {
    fn bind(id: ListenerId, address: SocketAddr, identity: Arc<Identity>) -> io::Result<Self> {
        let mux = UdpMux::bind(address)?;
        let local = mux.local_address();
        let interfaces = if local.ip().is_unspecified() { Some(IfWatcher::new()?) } else { None };
        let mut listener = Self { id, identity, mux: Some(mux), local, interfaces, pending: None, waker: None };
        if listener.interfaces.is_none() {
            listener.pending =
                Some(TransportEvent::NewAddress { listener_id: id, listen_addr: listener.address(local.ip()) });
        }
        Ok(listener)
    }

    /// Whether it was open.
    fn close(&mut self) -> bool {
        let was_open = self.mux.take().is_some();
        if was_open {
            self.pending = Some(TransportEvent::ListenerClosed { listener_id: self.id, reason: Ok(()) });
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        was_open
    }

    /// How it is dialled at an interface's address.
    fn address(&self, ip: IpAddr) -> Multiaddr {
        remote_address(SocketAddr::new(ip, self.local.port()))
            .with(Protocol::Certhash(self.identity.certificate.fingerprint().to_multihash()))
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(interfaces) = &mut self.interfaces else { return Poll::Pending };
        while let Poll::Ready(event) = interfaces.poll_if_event(cx) {
            let (ip, is_up) = match event {
                Ok(IfEvent::Up(net)) => (net.addr(), true),
                Ok(IfEvent::Down(net)) => (net.addr(), false),
                Err(error) => {
                    let error = error.into();
                    return Poll::Ready(TransportEvent::ListenerError { listener_id: self.id, error });
                }
            };
            if ip.is_ipv4() == self.local.is_ipv4() {
                let (listener_id, listen_addr) = (self.id, self.address(ip));
                return Poll::Ready(match is_up {
                    true => TransportEvent::NewAddress { listener_id, listen_addr },
                    false => TransportEvent::AddressExpired { listener_id, listen_addr },
                });
            }
        }
        Poll::Pending
    }

    fn incoming(&self, newcomer: Newcomer) -> Event {
        TransportEvent::Incoming {
            listener_id: self.id,
            local_addr: self.address(self.local.ip()),
            send_back_addr: remote_address(newcomer.address),
            upgrade: handshake::accept(newcomer, self.identity.clone()).boxed(),
        }
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.pending.take() {
            return Poll::Ready(Some(event));
        }
        if self.mux.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(event) = self.poll_interfaces(cx) {
            return Poll::Ready(Some(event));
        }
        if let Some(mux) = &mut self.mux
            && let Poll::Ready(newcomer) = mux.poll_newcomer(cx)
        {
            return Poll::Ready(Some(self.incoming(newcomer)));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn is_somebody(socket: SocketAddr) -> bool {
    socket.port() != 0 && !socket.ip().is_unspecified()
}

/// Without a certificate, which only who listens has in its address.
fn remote_address(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Udp(socket.port())).with(Protocol::WebRTCDirect)
}

/// The socket of `/ip4|ip6/../udp/../webrtc-direct`.
fn listen_address(address: &Multiaddr) -> Option<SocketAddr> {
    let parts: Vec<_> = address.iter().collect();
    let [host, Protocol::Udp(port), Protocol::WebRTCDirect] = parts.as_slice() else { return None };
    match host {
        Protocol::Ip4(ip) => Some(SocketAddr::new((*ip).into(), *port)),
        Protocol::Ip6(ip) => Some(SocketAddr::new((*ip).into(), *port)),
        _ => None,
    }
}
