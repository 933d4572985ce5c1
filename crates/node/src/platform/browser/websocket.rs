//! A WebSocket transport over the browser's own WebSocket, dialling only.
//!
//! Everything is driven by the socket's events, but for one thing the browser has no event for:
//! when what was sent has left. Writing therefore stops while more than [`MAX_UNSENT`] bytes wait
//! in the browser, and only then a timer looks again every [`LOOK_AGAIN`]; a message from the peer,
//! which often says that something has left, is a reason to look as well.
//!
//! A dial succeeds when the socket is open, so that its failures are failures of the dial. Browsers
//! give no reason for them, on purpose, only a number, which nearly always is 1006.
//!
//! Bounds: [`MAX_UNSENT`] going out, [`MAX_UNREAD`] coming in.

use std::{
    cell::{RefCell, RefMut},
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt,
    future::{self, BoxFuture, Pending},
    ready,
};
use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use libp2p::{
    Multiaddr,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use crate::platform::{Sleep, sleep};

/// Bytes that may wait in the browser before writing stops. Whatever is written next, a ping too,
/// queues behind them: 256 KiB are two seconds of a 1 Mbit/s uplink. It is also yamux's initial
/// window, so that a stream can begin at full speed.
const MAX_UNSENT: u32 = 256 * 1024;

/// How often a full socket is looked at. At 256 KiB each time it is no limit below 25 MB/s; a guess.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Bytes that may wait to be read before the connection is given up. A browser cannot tell the peer
/// to pause; yamux does that, stream by stream. What arrives is read at once except while writing is
/// stopped, and then a peer that keeps to its windows sends at most what those add up to.
const MAX_UNREAD: usize = 16 * 1024 * 1024;

/// The regular end of a connection, in RFC 6455, section 7.4.1.
const REGULAR: u16 = 1000;

/// Why a connection could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The page came over https and the address is not encrypted.
    #[error("a page loaded over https may not connect to {0}, which is not encrypted: wss is needed")]
    Insecure(String),
    /// The browser did not even try.
    #[error("the browser refuses to connect to {0}")]
    Refused(String),
    /// The browser tried in vain.
    #[error("the socket closed before it opened (code {0})")]
    NotOpened(u16),
}

/// The transport.
pub(super) struct Transport;

impl transport::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Connection, Error>>;
    type Dial = BoxFuture<'static, Result<Connection, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let url = match Url::parse(&address) {
            Some(url) if options.role.is_dialer() => url,
            _ => return Err(TransportError::MultiaddrNotSupported(address)),
        };
        url.check_page().map_err(TransportError::Other)?;
        Ok(SendWrapper::new(Connection::dial(url)).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

/// What a WebSocket is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    text: String,
    encrypted: bool,
    /// The address is this machine's own.
    loopback: bool,
}

impl Url {
    /// The URL of an address, if it is a WebSocket's: a host, a TCP port, then `/ws`, `/wss`,
    /// `/tls/ws` or `/tls/sni/<host>/ws`, then at most the peer id.
    pub(super) fn parse(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let (host, loopback) = match parts.next()? {
            Protocol::Ip4(ip) => (ip.to_string(), ip.is_loopback()),
            Protocol::Ip6(ip) => (format!("[{ip}]"), ip.is_loopback()),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                (name.to_string(), name == "localhost" || name.ends_with(".localhost"))
            }
            _ => return None,
        };
        let Protocol::Tcp(port) = parts.next()? else { return None };
        let rest: Vec<Protocol<'_>> = parts.filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        let (encrypted, path) = match rest.as_slice() {
            [Protocol::Ws(path)] => (false, path),
            [Protocol::Wss(path)]
            | [Protocol::Tls, Protocol::Ws(path)]
            | [Protocol::Tls, Protocol::Sni(_), Protocol::Ws(path)] => (true, path),
            _ => return None,
        };
        let scheme = if encrypted { "wss" } else { "ws" };
        Some(Self { text: format!("{scheme}://{host}:{port}{path}"), encrypted, loopback })
    }

    /// Whether a browser lets this page connect. Pages loaded over https reach unencrypted servers
    /// on their own machine only: <https://www.w3.org/TR/mixed-content/>.
    pub(super) fn check_page(&self) -> Result<(), Error> {
        if self.encrypted || self.loopback || !is_https_page() {
            return Ok(());
        }
        Err(Error::Insecure(self.text.clone()))
    }
}

/// Whether the page, or the script of the worker, was loaded over https.
fn is_https_page() -> bool {
    let get = |object: &JsValue, key: &str| Reflect::get(object, &JsValue::from_str(key));
    get(&js_sys::global(), "location")
        .and_then(|location| get(&location, "protocol"))
        .is_ok_and(|protocol| protocol == "https:")
}

/// A WebSocket as a stream of bytes.
///
/// It can be moved to any thread and used on its own, since libp2p asks everything for that; in a
/// browser there is no other.
pub(super) struct Connection(SendWrapper<Inner>);

struct Inner {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Runs while writing is stopped.
    look_again: Option<Sleep>,
    /// Called by the socket for as long as this lives, and detached before it goes.
    _handlers: Handlers,
}

struct Handlers {
    _open: Closure<dyn FnMut()>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Messages in the order of their arrival; of the first, `consumed` bytes have been read.
    unread: VecDeque<Vec<u8>>,
    unread_bytes: usize,
    consumed: usize,
    opener: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    Opening,
    Open,
    /// With the code of the close event.
    Closed(u16),
    /// The peer has sent what it may not send.
    Broken(&'static str),
}

impl State {
    fn wake_all(&mut self) {
        for waker in [self.opener.take(), self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.wake_all();
    }

    fn receive(&mut self, data: &JsValue) {
        let Some(data) = data.dyn_ref::<ArrayBuffer>() else {
            return self.enter(Phase::Broken("the peer sent text"));
        };
        let message = Uint8Array::new(data);
        if self.unread_bytes + message.length() as usize > MAX_UNREAD {
            return self.enter(Phase::Broken("the peer sent more than it may"));
        }
        self.unread_bytes += message.length() as usize;
        self.unread.push_back(message.to_vec());
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Moves unread bytes to `buf` and returns how many. The empty messages that a peer may send
    /// count for nothing.
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut read = 0;
        while let Some(message) = self.unread.front() {
            let rest = &message[self.consumed..];
            let length = rest.len().min(buf.len() - read);
            buf[read..read + length].copy_from_slice(&rest[..length]);
            read += length;
            self.consumed += length;
            if self.consumed < message.len() {
                break;
            }
            self.unread.pop_front();
            self.consumed = 0;
        }
        self.unread_bytes -= read;
        read
    }
}

impl Connection {
    async fn dial(url: Url) -> Result<Self, Error> {
        let socket = WebSocket::new(&url.text).map_err(|_| Error::Refused(url.text))?;
        let connection = Self::new(socket);
        future::poll_fn(|cx| connection.poll_open(cx)).await?;
        Ok(connection)
    }

    fn new(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::<RefCell<State>>::default();
        let open = Closure::new({
            let state = state.clone();
            move || state.borrow_mut().enter(Phase::Open)
        });
        let message = Closure::new({
            let state = state.clone();
            move |event: MessageEvent| state.borrow_mut().receive(&event.data())
        });
        let close = Closure::new({
            let state = state.clone();
            move |event: CloseEvent| state.borrow_mut().enter(Phase::Closed(event.code()))
        });
        // An error event says nothing, and a close event follows it.
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        let handlers = Handlers { _open: open, _message: message, _close: close };
        Self(SendWrapper::new(Inner { socket, state, look_again: None, _handlers: handlers }))
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.state.borrow_mut()
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.state();
        match state.phase {
            Phase::Opening => {
                state.opener = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Closed(code) => Poll::Ready(Err(Error::NotOpened(code))),
            // What broke it after it opened is an error of the first read.
            Phase::Open | Phase::Broken(_) => Poll::Ready(Ok(())),
        }
    }

    /// Waits until the browser takes more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // The browser knows it before its close event comes, and complains in the console of what is sent meanwhile.
            let is_closing = self.0.socket.ready_state() >= WebSocket::CLOSING;
            if is_closing || matches!(self.state().phase, Phase::Closed(_) | Phase::Broken(_)) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the socket is closed")));
            }
            if self.0.socket.buffered_amount() < MAX_UNSENT {
                self.0.look_again = None;
                return Poll::Ready(Ok(()));
            }
            self.state().writer = Some(cx.waker().clone());
            ready!(self.0.look_again.get_or_insert_with(|| sleep(LOOK_AGAIN)).poll_unpin(cx));
            self.0.look_again = None;
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let read = state.read(buf);
        if read > 0 || buf.is_empty() {
            return Poll::Ready(Ok(read));
        }
        match state.phase {
            Phase::Closed(REGULAR) => Poll::Ready(Ok(0)),
            Phase::Closed(code) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                format!("the socket closed (code {code})"),
            ))),
            Phase::Broken(reason) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason))),
            Phase::Opening | Phase::Open => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        let length = buf.len().min(MAX_UNSENT as usize);
        match self.0.socket.send_with_u8_array(&buf[..length]) {
            Ok(()) => Poll::Ready(Ok(length)),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser sends what it has taken, without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser sends what it has taken, then closes, and nobody has to wait for it.
        close(&self.0.socket);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.socket.url()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        close(&self.socket);
    }
}

/// Closes a socket, unless it is closed.
fn close(socket: &WebSocket) {
    // It fails only for codes that a page may not use.
    let _ = socket.close_with_code(REGULAR);
}
