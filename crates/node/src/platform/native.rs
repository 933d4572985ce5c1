//! A node outside a browser: sockets, tokio.

mod fetch;
pub mod incoming;
mod memory_file;
mod relay_server;
pub mod webrtc;

#[cfg(test)]
mod tests;

use std::{convert::Infallible, error::Error as StdError, io, pin::Pin, time::Duration};

use futures::future::Either;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    dns,
    identity::Keypair,
    multiaddr::Protocol,
    quic, relay, swarm, tcp, websocket,
};
use openred_core::{DialFailure, Input, PeerConnections};

pub(crate) use self::fetch::Fetcher;
use self::incoming::IncomingWebSockets;
pub(crate) use self::relay_server::{RelayServer, circuit, count_relayed, relay_server};
use crate::meter::Meter;

/// What the crate has on this platform only.
pub mod public {
    pub use super::{
        incoming,
        memory_file::{MemoryFile, MemoryFileError},
        webrtc,
    };
}

/// What a native node can be given by its surroundings.
#[derive(Debug, Default)]
pub struct Config {
    /// WebSockets that an HTTP server upgrades, and the address under which they arrive: one that
    /// ends in `/ws`, to be listened on like any other.
    pub incoming: Option<(Multiaddr, IncomingWebSockets)>,
    /// Key and certificate for WebRTC-direct, as [`webrtc::generate_certificate`] returns them.
    /// Without one, each start makes its own, and WebRTC addresses do not survive a restart.
    pub webrtc_certificate: Option<String>,
    /// An Internet in memory in the place of the system's.
    #[cfg(test)]
    pub(crate) internet: Option<crate::testing::internet::Host>,
}

/// `Send` where tasks run on several threads.
pub trait MaybeSend: Send {}

impl<T: Send> MaybeSend for T {}

/// A running task. Dropping it stops the task.
#[derive(Debug)]
pub struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `task` in the background for as long as the returned handle lives.
///
/// # Panics
///
/// Outside a tokio runtime.
#[must_use = "dropping the handle stops the task"]
pub fn spawn(task: impl Future<Output = ()> + MaybeSend + 'static) -> Task {
    Task(tokio::spawn(task))
}

/// See [`sleep`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves after `duration`.
///
/// # Panics
///
/// When polled outside a tokio runtime.
pub fn sleep(duration: Duration) -> Sleep {
    Box::pin(tokio::time::sleep(duration))
}

/// A swarm configuration whose connections run as tokio tasks.
pub fn executor_config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
}

/// None are counted: the limit is one of browsers.
pub(crate) fn peer_connections() -> u32 {
    0
}

/// Dials no pages: what connects them is a browser's.
#[derive(Debug)]
pub struct PageTransport;

/// Negotiates nothing.
pub(crate) type Pages = swarm::dummy::Behaviour;

/// Both halves of nothing.
pub fn pages(_: &PeerConnections) -> (PageTransport, Pages) {
    (PageTransport, swarm::dummy::Behaviour)
}

/// Nothing: pages do not dial native nodes.
pub(crate) fn page_address() -> Option<Multiaddr> {
    None
}

/// Has nothing to tell.
pub(crate) fn page_event(event: Infallible) -> Input {
    match event {}
}

/// Dials no pages.
pub(crate) fn not_direct(_: &(dyn StdError + 'static)) -> Option<DialFailure> {
    None
}

/// What is to be told of an error in the place of its own words, which are for those who know DNS.
pub(crate) fn in_words(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let unresolved = error.downcast_ref::<dns::ResolveError>()?;
    unresolved.is_no_records_found().then_some("DNS knows no address of this name")
}

/// Asks none of them.
pub(crate) fn set_stun_servers(_: &mut Pages, _: Vec<String>) {}

/// TCP, QUIC, WebSocket and WebRTC-direct, with circuit relay over all of them.
///
/// # Errors
///
/// If the system's name server configuration cannot be read, or the WebRTC certificate.
pub fn transport(
    identity: &Keypair,
    relay: relay::client::Transport,
    _: PageTransport,
    config: Config,
    meter: &Meter,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    // Several parts of the tree below ask rustls for the process's provider, and DTLS panics when
    // there is none. One that the program has installed itself stays.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let relayed = super::upgraded(relay, identity)?;
    #[cfg(test)]
    if let Some(host) = &config.internet {
        let hosted = super::upgraded(host.transport(), identity)?;
        let all = relayed.or_transport(hosted).map(|either, _| either.into_inner());
        return Ok(meter.measure(super::timed(all.boxed())));
    }
    let incoming = super::upgraded(incoming::Transport::new(config.incoming), identity)?;
    let websocket = super::upgraded(websocket::Config::new(dns::tokio::Transport::system(tcp())?), identity)?;
    let quic = quic::tokio::Transport::new(quic::Config::new(identity));
    let webrtc = webrtc::transport(identity, config.webrtc_certificate.as_deref())?;
    let plain = super::upgraded(tcp(), identity)?
        .or_transport(quic)
        .map(|either, _| match either {
            Either::Left(made) => made,
            Either::Right((peer, connection)) => (peer, StreamMuxerBox::new(connection)),
        })
        .or_transport(webrtc)
        .map(|either, _| either.into_inner());

    // Each takes the addresses it understands and leaves the others to the next. The resolver takes
    // every address, so it is the last; a secure WebSocket has to know the name, so it resolves on
    // its own.
    let all = relayed
        .or_transport(incoming)
        .map(|either, _| either.into_inner())
        .or_transport(websocket)
        .map(|either, _| either.into_inner())
        .or_transport(dns::tokio::Transport::system(plain)?)
        .map(|either, _| either.into_inner());
    Ok(meter.measure(super::timed(all.boxed())))
}

/// Whether an address is of a kind that [`transport`] dials. A relayed address counts by its relay; that of a page behind
/// one does not.
///
/// WebRTC-direct does not: a native node has QUIC or TCP to every relay.
pub fn can_dial(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Dnsaddr, Ip4, Ip6, P2p, P2pCircuit, QuicV1, Sni, Tcp, Tls, Udp, Ws, Wss};

    if address.iter().any(|part| part == Protocol::WebRTC) {
        return false;
    }
    let hop: Vec<Protocol<'_>> =
        address.iter().take_while(|part| !matches!(part, P2pCircuit)).filter(|part| !matches!(part, P2p(_))).collect();
    match hop.as_slice() {
        [Dnsaddr(_)] => true,
        [Ip4(_) | Ip6(_) | Dns(_) | Dns4(_) | Dns6(_), rest @ ..] => matches!(
            rest,
            [Tcp(_)]
                | [Tcp(_), Ws(_) | Wss(_)]
                | [Tcp(_), Tls, Ws(_)]
                | [Tcp(_), Tls, Sni(_), Ws(_)]
                | [Udp(_), QuicV1]
        ),
        _ => false,
    }
}
