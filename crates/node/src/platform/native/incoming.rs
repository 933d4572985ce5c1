//! WebSockets that an HTTP server has upgraded become libp2p connections.
//!
//! A relay serves its page and its peer-to-peer traffic on one TCP port, so the sockets belong to
//! the HTTP server. It hands each upgraded one to an [`IncomingSender`]; the other end of that
//! channel is a transport with one possible listen address.

use std::{
    fmt, io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{self, Ready},
    ready,
};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::{
    Multiaddr,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Sockets that wait for the node to take them. The listen backlog that tokio gives a TCP socket,
/// for the same reason: all pages come back at once when their relay restarts. Each costs the memory
/// of its socket, and waits no longer than the node needs to get to it.
const BACKLOG: usize = 1024;

/// The sockets' way from the HTTP server to the node.
pub fn channel() -> (IncomingSender, IncomingWebSockets) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (IncomingSender(sender), IncomingWebSockets(receiver))
}

/// The HTTP server's end. Clones share one queue.
#[derive(Clone, Debug)]
pub struct IncomingSender(mpsc::Sender<Incoming>);

/// The node's end, for [`Config::incoming`](crate::platform::Config::incoming).
#[derive(Debug)]
pub struct IncomingWebSockets(mpsc::Receiver<Incoming>);

/// Why a socket was not taken. It has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node is not keeping up.
    #[error("too many connections are waiting to be accepted")]
    Busy,
    /// The node has stopped.
    #[error("the node is closed")]
    Closed,
}

impl IncomingSender {
    /// Hands over a socket that carries the binary messages of an upgraded WebSocket as a stream of
    /// bytes. `remote` is the address of its other end, such as `/ip4/192.0.2.1/tcp/4321/ws`.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the node is gone or does not keep up; the socket is closed then.
    pub fn accept<S>(&self, socket: S, remote: Multiaddr) -> Result<(), Refused>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let socket = Socket(Box::pin(socket));
        self.0.try_send(Incoming { socket, remote }).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Closed(_) => Refused::Closed,
        })
    }
}

/// A socket on its way from the one end to the other.
#[derive(Debug)]
struct Incoming {
    socket: Socket,
    remote: Multiaddr,
}

/// An upgraded socket, whatever the HTTP server made it of.
pub(super) struct Socket(Pin<Box<dyn Io + Send>>);

trait Io: AsyncRead + AsyncWrite {}

impl<S: AsyncRead + AsyncWrite> Io for S {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx)
    }
}

/// The transport at the node's end. It listens on the one address it was made with, and does not
/// dial. If the address stands for all interfaces of the machine, it reports the address of each.
#[derive(Debug)]
pub(super) struct Transport {
    /// The address and the sockets; without them the transport refuses every address.
    source: Option<(Multiaddr, IncomingWebSockets)>,
    state: State,
    /// The interfaces, where the address stands for all of them.
    interfaces: Option<IfWatcher>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum State {
    Idle,
    /// The address has not been announced.
    Starting(ListenerId),
    Listening(ListenerId),
    /// The end of the listener has not been reported.
    Stopping(ListenerId),
}

impl Transport {
    pub(super) fn new(source: Option<(Multiaddr, IncomingWebSockets)>) -> Self {
        Self { source, state: State::Idle, interfaces: None, waker: None }
    }

    fn go(&mut self, state: State) {
        self.state = state;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl transport::Transport for Transport {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Socket>>;
    type Dial = Ready<io::Result<Socket>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        match (&self.source, &self.state) {
            (Some((own, _)), State::Idle) if *own == address => {
                if ip(&address).is_some_and(|ip| ip.is_unspecified()) {
                    self.interfaces = Some(IfWatcher::new().map_err(TransportError::Other)?);
                    self.go(State::Listening(id));
                } else {
                    self.go(State::Starting(id));
                }
                Ok(())
            }
            (Some((own, _)), _) if *own == address => {
                Err(TransportError::Other(io::Error::new(io::ErrorKind::AddrInUse, "already listening")))
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        match self.state {
            State::Starting(current) | State::Listening(current) if current == id => {
                self.go(State::Stopping(id));
                true
            }
            _ => false,
        }
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let this = &mut *self;
        this.waker = Some(cx.waker().clone());
        let Some((address, IncomingWebSockets(sockets))) = &mut this.source else { return Poll::Pending };
        match this.state {
            State::Idle => Poll::Pending,
            State::Starting(listener_id) => {
                this.state = State::Listening(listener_id);
                Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr: address.clone() })
            }
            State::Listening(listener_id) => {
                while let Some(Poll::Ready(event)) = this.interfaces.as_mut().map(|watch| watch.poll_if_event(cx)) {
                    if let Some(event) = interface_event(listener_id, address, event) {
                        return Poll::Ready(event);
                    }
                }
                match ready!(sockets.poll_recv(cx)) {
                    Some(Incoming { socket, remote }) => Poll::Ready(TransportEvent::Incoming {
                        listener_id,
                        upgrade: future::ready(Ok(socket)),
                        local_addr: address.clone(),
                        send_back_addr: remote,
                    }),
                    None => {
                        this.source = None;
                        Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) })
                    }
                }
            }
            State::Stopping(listener_id) => {
                this.source = None;
                Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) })
            }
        }
    }
}

/// What a change of the interfaces means to a listener on all of them.
fn interface_event<U>(
    listener_id: ListenerId,
    all: &Multiaddr,
    event: io::Result<IfEvent>,
) -> Option<TransportEvent<U, io::Error>> {
    let own = |ip: IpAddr| {
        let reachable = match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            // Nobody can dial one without knowing the interface.
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        };
        let alike = self::ip(all)?.is_ipv4() == ip.is_ipv4();
        (reachable && alike).then(|| all.replace(0, |_| Some(Protocol::from(ip))))?
    };
    Some(match event {
        Ok(IfEvent::Up(net)) => TransportEvent::NewAddress { listener_id, listen_addr: own(net.addr())? },
        Ok(IfEvent::Down(net)) => TransportEvent::AddressExpired { listener_id, listen_addr: own(net.addr())? },
        Err(error) => TransportEvent::ListenerError { listener_id, error },
    })
}

/// The IP address that an address begins with.
fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
