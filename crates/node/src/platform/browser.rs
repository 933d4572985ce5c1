//! A node in a web page or a worker: WebSockets and WebRTC of the browser, timers of the event loop.

mod fetch;
mod pages;
mod websocket;

use std::{convert::Infallible, error::Error as StdError, io, time::Duration};

use futures::future::{AbortHandle, abortable};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    multiaddr::Protocol,
    relay, swarm,
};
use openred_webrtc::{direct, peer};
use wasm_bindgen_futures::spawn_local;

pub(crate) use self::fetch::Fetcher;
pub use self::pages::{PageTransport, pages};
pub(crate) use self::pages::{Pages, not_direct, page_address, page_event, set_stun_servers};
use crate::{config::RelayLimits, meter::Meter, shared::Relayed};

/// What the crate has on this platform only: nothing.
pub mod public {}

/// What a node in a browser can be given by its surroundings.
#[derive(Debug, Default)]
pub struct Config {
    /// Fetches over HTTP: called with a URL, the most bytes wanted and an `AbortSignal`, it gives a promise of a
    /// `Uint8Array`, the body of an answer with status 200, or rejects with the reason as a string.
    pub fetch: Option<js_sys::Function>,
}

/// Everything: there is one thread.
pub trait MaybeSend {}

impl<T> MaybeSend for T {}

/// The browser's words are all there is.
pub(crate) fn in_words(_: &(dyn StdError + 'static)) -> Option<&'static str> {
    None
}

/// A running task. Dropping it stops the task.
#[derive(Debug)]
pub struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `task` in the background for as long as the returned handle lives.
#[must_use = "dropping the handle stops the task"]
pub fn spawn(task: impl Future<Output = ()> + MaybeSend + 'static) -> Task {
    let (task, handle) = abortable(task);
    spawn_local(async {
        // An error says that the handle has been dropped.
        let _ = task.await;
    });
    Task(handle)
}

/// The longest time that the event loop can count, in milliseconds: 25 days. It takes a longer one
/// for none at all.
const LONGEST: u128 = i32::MAX as u128;

/// See [`sleep`].
pub type Sleep = Delay;

/// Resolves after `duration`, rounded up to a millisecond; after 25 days at the latest.
pub fn sleep(duration: Duration) -> Sleep {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000).min(LONGEST);
    Delay::new(Duration::from_millis(milliseconds as u64))
}

/// A swarm configuration whose connections run as tasks of the event loop.
pub fn executor_config() -> swarm::Config {
    swarm::Config::with_wasm_executor()
}

/// How many peer connections this page has made.
pub(crate) fn peer_connections() -> u32 {
    openred_webrtc::peer_connections()
}

/// Nothing: a page serves nobody as a relay.
pub(crate) type RelayServer = swarm::dummy::Behaviour;

/// Does not serve, whatever the limits.
pub(crate) fn relay_server(_: PeerId, _: Option<&RelayLimits>) -> RelayServer {
    swarm::dummy::Behaviour
}

/// Knows of no circuits.
pub(crate) fn circuit(event: &Infallible) -> Option<([PeerId; 2], isize)> {
    match *event {}
}

/// Has nothing to count.
pub(crate) fn count_relayed(_: &mut Relayed, event: &Infallible) {
    match *event {}
}

/// How long a relay that is dialled at a WebRTC-direct address may be reached by WebSocket first: a page can make 500 peer
/// connections in its life, and WebSockets without end. TLS, WebSocket, noise and yamux take seven round trips, which is
/// this at 140 ms each. A relay without an address for WebSocket is reached so much later.
const WEBSOCKET_FIRST: Duration = Duration::from_secs(1);

/// WebSocket and WebRTC-direct, with circuit relay over them, and WebRTC between pages.
///
/// # Errors
///
/// If the identity cannot be used for noise.
pub fn transport(
    identity: &Keypair,
    relay: relay::client::Transport,
    pages: PageTransport,
    _: Config,
    meter: &Meter,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    // One type of stream, upgraded once, makes less code than an upgrade of each.
    let streams = super::upgraded(relay.or_transport(websocket::Transport), identity)?;
    let direct = direct::Transport::new(identity).waiting(WEBSOCKET_FIRST);
    let direct = direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed();
    let relays = streams.or_transport(direct).map(|output, _| output.into_inner()).boxed();
    // Negotiations between pages have a time limit of their own.
    Ok(meter.measure(pages::or(pages, super::timed(relays))))
}

/// Whether an address is of a kind that [`transport`] dials from this page. A relayed address counts by its relay; so does
/// that of a page that the relay helps to reach directly, if this page has WebRTC.
pub fn can_dial(address: &Multiaddr) -> bool {
    if address.iter().any(|part| part == Protocol::WebRTC) && !peer::can_dial(address) {
        return false;
    }
    let relay = address.iter().take_while(|part| !matches!(part, Protocol::P2pCircuit)).collect();
    websocket::Url::parse(&relay).is_some_and(|url| url.check_page().is_ok()) || direct::can_dial(&relay)
}
