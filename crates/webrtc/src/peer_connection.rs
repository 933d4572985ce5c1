//! One `RTCPeerConnection`: what it does, and what its events have brought.
//!
//! Its handlers are there from its first moment, so a data channel that the remote opens before anybody asks for it is
//! kept with what it brings. Dropping it closes the connection and ends every channel of it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future,
    rc::{Rc, Weak},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
};

use js_sys::{Array, JSON, Object, Promise, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;

use crate::{
    Error,
    channel::{self, Channel},
    js,
    signalling::MAX_CANDIDATES,
};

/// The label of the channel that the caller makes so that there is something to negotiate. It carries nothing.
pub(crate) const INIT: &str = "init";

/// Data channels of one connection at once, both directions. Those of the remote beyond it are closed as they come. Each
/// costs about a kilobyte here. A guess, above the 128 streams that a libp2p swarm negotiates at once; Chromium allows
/// 1024.
pub const MAX_CHANNELS: usize = 256;

/// What a candidate that a STUN server has told says of itself (RFC 8839, section 5.1).
const REFLEXIVE: &str = " typ srflx";

/// The same of an address of this machine, and how the name ends that browsers give in its place. Where they show the address
/// itself, they leave out what a STUN server has told if it is the same.
const HOST: &str = " typ host";
const HIDDEN: &str = ".local ";

static MADE: AtomicU32 = AtomicU32::new(0);

static MADE_FOR_OTHERS: AtomicU32 = AtomicU32::new(0);

/// How many peer connections were made since the page was opened. Browsers count too: Chromium gives a page 500 of them,
/// closed ones included until they are collected.
pub fn peer_connections() -> u32 {
    MADE.load(Ordering::Relaxed)
}

/// How many of them answered the offer of another peer.
pub(crate) fn made_for_others() -> u32 {
    MADE_FOR_OTHERS.load(Ordering::Relaxed)
}

/// Whether this page, or this worker, can make peer connections.
pub fn is_supported() -> bool {
    Reflect::has(&js_sys::global(), &JsValue::from_str("RTCPeerConnection")).unwrap_or(false)
}

/// A peer connection. Dropping it closes it.
pub(crate) struct PeerConnection(SendWrapper<Inner>);

struct Inner {
    connection: js::PeerConnection,
    shared: Rc<Shared>,
    /// Called by the connection for as long as this lives, and detached before it goes.
    on_change: Closure<dyn Fn()>,
    _on_channel: Closure<dyn Fn(js::Event)>,
    _on_candidate: Closure<dyn Fn(js::Event)>,
    transport: RefCell<Option<js::Transport>>,
}

/// What the events of a connection have brought.
struct Shared {
    state: Cell<State>,
    channels: RefCell<Vec<Weak<channel::Shared>>>,
    unread: Rc<Cell<usize>>,
    inbound: RefCell<VecDeque<Channel>>,
    /// The remote's, which it closes itself. A channel that nobody refers to may be closed by the browser.
    init: RefCell<Option<js::DataChannel>>,
    /// Own candidates as JSON, then `None`. At most [`MAX_CANDIDATES`].
    candidates: RefCell<VecDeque<Option<String>>>,
    /// Whether STUN servers are asked and certainly none has answered.
    unseen: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not yet connected.
    Connecting,
    /// Connected.
    Connected,
    /// Without answer, which may pass.
    Disconnected,
    /// Without a path. It does not recover by itself.
    Failed,
    /// Closed by either side.
    Closed,
}

/// Which side of a negotiation a description is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Offer,
    Answer,
}

/// What a negotiation waits for.
#[derive(Debug)]
pub(crate) enum Change {
    /// The state is another than before.
    State(State),
    /// An own candidate was found; `None` after the last.
    Candidate(Option<String>),
}

impl Shared {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// A connection that has failed or is closed stays so.
    fn enter(&self, state: State) {
        if matches!(self.state.get(), State::Failed | State::Closed) {
            return;
        }
        self.state.set(state);
        if matches!(state, State::Failed | State::Closed) {
            let channels = self.channels.take();
            channels.iter().filter_map(Weak::upgrade).for_each(|channel| channel.handle_connection_closed());
        }
        self.wake();
    }

    fn open_channels(&self) -> usize {
        let mut channels = self.channels.borrow_mut();
        channels.retain(|channel| channel.strong_count() > 0);
        channels.len()
    }

    fn adopt(&self, channel: js::DataChannel) -> Channel {
        let channel = Channel::new(channel, self.unread.clone());
        self.channels.borrow_mut().push(channel.shared());
        channel
    }

    fn handle_channel(&self, channel: js::DataChannel) {
        if channel.label() == INIT && self.init.borrow().is_none() {
            *self.init.borrow_mut() = Some(channel);
        } else if self.open_channels() < MAX_CHANNELS {
            let channel = self.adopt(channel);
            self.inbound.borrow_mut().push_back(channel);
            self.wake();
        } else {
            tracing::debug!("a data channel too many is refused");
            channel.close_channel();
        }
    }

    fn handle_candidate(&self, candidate: Option<js::Candidate>) {
        // An empty one ends a generation of candidates, and there is but one.
        let candidate = candidate.filter(|candidate| !candidate.text().is_empty());
        if candidate.as_ref().is_some_and(|candidate| may_be_seen(&candidate.text())) {
            self.unseen.set(false);
        }
        let json = match candidate {
            Some(candidate) => match JSON::stringify(&candidate).ok().and_then(|json| json.as_string()) {
                Some(json) => Some(json),
                None => return,
            },
            None => None,
        };
        let mut candidates = self.candidates.borrow_mut();
        if candidates.len() < MAX_CANDIDATES {
            candidates.push_back(json);
        }
        self.wake();
    }
}

/// Whether a candidate says that a STUN server has answered, or leaves that open.
fn may_be_seen(candidate: &str) -> bool {
    candidate.contains(REFLEXIVE) || candidate.contains(HOST) && !candidate.contains(HIDDEN)
}

impl PeerConnection {
    /// A connection that asks these STUN servers, URLs like `stun:192.0.2.1:3478`, for its public addresses.
    pub(crate) fn new(ice_servers: &[String]) -> Result<Self, Error> {
        if !is_supported() {
            return Err(Error::Unsupported);
        }
        let connection =
            js::PeerConnection::new(&configuration(ice_servers)).map_err(|error| Error::no_peer_connection(&error))?;
        MADE.fetch_add(1, Ordering::Relaxed);
        let shared = Rc::new(Shared {
            state: Cell::new(State::Connecting),
            channels: RefCell::default(),
            unread: Rc::default(),
            inbound: RefCell::default(),
            init: RefCell::default(),
            candidates: RefCell::default(),
            unseen: Cell::new(!ice_servers.is_empty()),
            waker: Cell::new(None),
        });
        let on_change = Closure::<dyn Fn()>::new({
            let (connection, shared) = (connection.clone(), shared.clone());
            move || shared.enter(state_of(&connection))
        });
        let on_channel = Closure::<dyn Fn(js::Event)>::new({
            let shared = shared.clone();
            move |event: js::Event| shared.handle_channel(event.channel())
        });
        let on_candidate = Closure::<dyn Fn(js::Event)>::new({
            let shared = shared.clone();
            move |event: js::Event| shared.handle_candidate(event.candidate())
        });
        connection.set_onconnectionstatechange(Some(on_change.as_ref().unchecked_ref()));
        connection.set_ondatachannel(Some(on_channel.as_ref().unchecked_ref()));
        connection.set_onicecandidate(Some(on_candidate.as_ref().unchecked_ref()));
        Ok(Self(SendWrapper::new(Inner {
            connection,
            shared,
            on_change,
            _on_channel: on_channel,
            _on_candidate: on_candidate,
            transport: RefCell::default(),
        })))
    }

    /// The same, to answer an offer.
    pub(crate) fn for_other(ice_servers: &[String]) -> Result<Self, Error> {
        let connection = Self::new(ice_servers)?;
        MADE_FOR_OTHERS.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    pub(crate) fn state(&self) -> State {
        self.0.shared.state.get()
    }

    /// Why there is no path, as far as the candidates tell.
    pub(crate) fn no_path(&self) -> Error {
        if self.0.shared.unseen.get() { Error::UdpBlocked } else { Error::NoPath }
    }

    /// Opens a channel whose number the two browsers agree on.
    pub(crate) fn open(&self, label: &str) -> Result<Channel, Error> {
        self.create(label, &JsValue::UNDEFINED)
    }

    /// Opens the channel of this number, as the remote does too.
    pub(crate) fn open_negotiated(&self, number: u16) -> Result<Channel, Error> {
        let options = object(&[("negotiated", JsValue::TRUE), ("id", number.into())]);
        self.create("", &options)
    }

    fn create(&self, label: &str, options: &JsValue) -> Result<Channel, Error> {
        let channel = self.0.connection.create_data_channel(label, options);
        Ok(self.0.shared.adopt(channel.map_err(|error| Error::browser("a data channel", &error))?))
    }

    /// Whether another channel may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.0.shared.open_channels() < MAX_CHANNELS
    }

    /// The next channel that the remote has opened.
    pub(crate) fn next_inbound(&self) -> Option<Channel> {
        self.0.shared.inbound.borrow_mut().pop_front()
    }

    /// Has `cx` woken at the next event.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        self.0.shared.waker.set(Some(cx.waker().clone()));
    }

    /// The next change since `known` was the state.
    pub(crate) fn poll_change(&self, cx: &Context<'_>, known: State) -> Poll<Change> {
        let state = self.state();
        if state != known {
            return Poll::Ready(Change::State(state));
        }
        if let Some(candidate) = self.0.shared.candidates.borrow_mut().pop_front() {
            return Poll::Ready(Change::Candidate(candidate));
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Resolves once the connection has failed or is closed.
    pub(crate) async fn lost(&self) -> Error {
        future::poll_fn(|cx| match self.state() {
            State::Failed => Poll::Ready(Error::NoPath),
            State::Closed => Poll::Ready(Error::Lost("closed")),
            State::Connecting | State::Connected | State::Disconnected => {
                self.wait(cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Makes a description of this side.
    pub(crate) async fn describe(&self, kind: Kind) -> Result<String, Error> {
        let connection = &self.0.connection;
        let description = match kind {
            Kind::Offer => perform("an offer", connection.create_offer()).await?,
            Kind::Answer => perform("an answer", connection.create_answer()).await?,
        };
        description.unchecked_into::<js::Description>().sdp().ok_or(Error::NoFingerprint)
    }

    /// Applies a description of this side; candidates are looked for from then on.
    pub(crate) async fn set_local(&self, kind: Kind, sdp: &str) -> Result<(), Error> {
        let description = description(kind, sdp);
        perform("its description", self.0.connection.set_local_description(&description)).await?;
        self.watch_transport();
        Ok(())
    }

    /// Applies the description of the remote.
    pub(crate) async fn set_remote(&self, kind: Kind, sdp: &str) -> Result<(), Error> {
        let description = description(kind, sdp);
        perform("the remote's description", self.0.connection.set_remote_description(&description)).await?;
        self.watch_transport();
        Ok(())
    }

    /// Adds a candidate of the remote, as JSON.
    pub(crate) async fn add_candidate(&self, json: &str) -> Result<(), Error> {
        let what = "a candidate";
        let candidate = JSON::parse(json).map_err(|error| Error::browser(what, &error))?;
        perform(what, self.0.connection.add_ice_candidate(&candidate)).await.map(|_| ())
    }

    /// The remote has no more candidates.
    pub(crate) async fn end_of_candidates(&self) -> Result<(), Error> {
        let none = JsValue::UNDEFINED;
        perform("the end of candidates", self.0.connection.add_ice_candidate(&none)).await.map(|_| ())
    }

    /// A remote that closes its connection is seen at once by the transport of the channels, and only much later by the
    /// connection. Browsers make the transport with the answer, or with the offer already.
    fn watch_transport(&self) {
        let Some(transport) = self.0.connection.sctp() else { return };
        transport.set_onstatechange(Some(self.0.on_change.as_ref().unchecked_ref()));
        *self.0.transport.borrow_mut() = Some(transport);
    }

    /// Closes the connection and ends its channels.
    pub(crate) fn close(&self) {
        self.0.connection.close();
        self.0.shared.enter(State::Closed);
    }
}

/// What comes of a call that promises something.
async fn perform(what: &'static str, promise: Result<Promise, JsValue>) -> Result<JsValue, Error> {
    let promise = promise.map_err(|error| Error::browser(what, &error))?;
    JsFuture::from(promise).await.map_err(|error| Error::browser(what, &error))
}

fn state_of(connection: &js::PeerConnection) -> State {
    if connection.sctp().is_some_and(|transport| transport.state() == "closed") {
        return State::Closed;
    }
    match connection.connection_state().as_str() {
        "connected" => State::Connected,
        "disconnected" => State::Disconnected,
        "failed" => State::Failed,
        "closed" => State::Closed,
        _ => State::Connecting,
    }
}

fn configuration(ice_servers: &[String]) -> JsValue {
    let urls: Array = ice_servers.iter().map(|url| JsValue::from_str(url)).collect();
    let servers = Array::new();
    if urls.length() > 0 {
        servers.push(&object(&[("urls", urls.into())]));
    }
    object(&[("iceServers", servers.into())])
}

fn description(kind: Kind, sdp: &str) -> JsValue {
    let kind = match kind {
        Kind::Offer => "offer",
        Kind::Answer => "answer",
    };
    object(&[("type", kind.into()), ("sdp", sdp.into())])
}

fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in entries {
        // Setting fails on frozen objects only.
        let _ = Reflect::set(&object, &JsValue::from_str(key), value);
    }
    object.into()
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connection.set_onconnectionstatechange(None);
        self.connection.set_ondatachannel(None);
        self.connection.set_onicecandidate(None);
        if let Some(transport) = self.transport.borrow().as_ref() {
            transport.set_onstatechange(None);
        }
        self.connection.close();
        self.shared.enter(State::Closed);
    }
}
