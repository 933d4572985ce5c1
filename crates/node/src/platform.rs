//! What differs between a native node and a node in a web page.
//!
//! The twin modules `native` and `browser` have the same public names with the same signatures;
//! the rest of the crate reads as if there was one platform. No other file tells the targets apart.

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod native;
/// Of the browser's side, and built natively for its test.
#[cfg(any(target_family = "wasm", test))]
mod reasons;

#[cfg(target_family = "wasm")]
use browser as current;
#[cfg(not(target_family = "wasm"))]
use native as current;

use std::{io, sync::OnceLock, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    noise,
};
use openred_core::time::Now;
use web_time::{Instant, SystemTime, UNIX_EPOCH};

pub use self::current::{
    Config, MaybeSend, PageTransport, Sleep, Task, can_dial, executor_config, pages, public, sleep, spawn, transport,
};
pub(crate) use self::current::{
    Fetcher, Pages, RelayServer, circuit, count_relayed, in_words, not_direct, page_address, page_event,
    peer_connections, relay_server, set_stun_servers,
};
use crate::muxer;

/// How long it may take to make a connection in either direction, from the first packet (or the
/// name lookup) to the multiplexer. The default of libp2p's own builder.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time, as a core machine wants it. It counts from the first call in the process; a wall clock
/// that stands before the Unix epoch reads as the epoch.
pub fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { elapsed: elapsed(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
}

/// Monotonic time since the first call in the process.
pub(crate) fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Randomness to start a core machine with.
///
/// # Panics
///
/// If the operating system or the browser has no source of randomness: nothing that a node does
/// would be safe without one.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("a source of randomness");
    seed
}

/// Puts noise and yamux on a transport of byte streams.
fn upgraded<T>(transport: T, identity: &Keypair) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let noise = noise::Config::new(identity).map_err(io::Error::other)?;
    let upgraded = transport.upgrade(Version::V1Lazy).authenticate(noise).multiplex(muxer::Config);
    Ok(upgraded.boxed())
}

/// Bounds the time of every connection.
fn timed(transport: Boxed<(PeerId, StreamMuxerBox)>) -> Boxed<(PeerId, StreamMuxerBox)> {
    TransportTimeout::new(transport, CONNECT_TIMEOUT).boxed()
}
