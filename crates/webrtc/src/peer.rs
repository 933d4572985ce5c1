//! Browser to browser: signalling over a relayed connection, then a direct one.
//!
//! [`new`] gives a [`Transport`] and a [`Behaviour`], which belong into one swarm. A dial of
//! `<relay>/p2p-circuit/webrtc/p2p/<peer>` goes from the transport to the behaviour. That opens a stream of the
//! signalling protocol on a relayed connection to the peer, which it makes if there is none, and sends the finished
//! connection back to the pending dial. What a remote asks for on a relayed connection goes to the listener, which is
//! there once the swarm listens on [`listen_address`].
//!
//! ```text
//!   swarm.dial ─▶ Transport ── Dial ──▶ Behaviour ── stream on a circuit ─▶ negotiation
//!                     ◀─────────────── Muxer ──────────────────────────────────┘
//!   listener ◀─ Transport ◀─ Incoming ─ Behaviour ◀─ the remote's stream ── negotiation
//! ```
//!
//! A negotiation lives in the behaviour: if the relayed connection ends when both descriptions are exchanged, it goes
//! on with the candidates that it has.
//!
//! # Bounds
//!
//! [`Config::max_negotiations`] at once, of those at most [`Config::max_answered`] that others have asked for, and
//! [`MAX_PER_PEER`] that one peer has; [`Config::timeout`] for each.
//! An offer that has come costs a peer connection, a stream on which none comes does not. Nobody's is answered once the page
//! has made [`Config::max_made`] of them, or [`Config::max_made_for_others`] for offers, nor that of a peer whose last one
//! failed a moment ago: it pauses, longer each time, as do at most `MAX_PEERS` peers at once.
//!
//! # What it does not do
//!
//! It does not announce addresses: whoever holds a reservation has one more address at the relay, with `/webrtc` after
//! `/p2p-circuit`. It does not choose one of two connections that two peers make to each other at once.

mod behaviour;
mod handler;
mod negotiation;
mod pauses;
mod transport;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures::channel::{mpsc, oneshot};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

pub use self::{
    behaviour::{Behaviour, Event},
    handler::Handler,
    transport::{Transport, can_dial},
};
use crate::{Error, Muxer};

/// What a swarm listens on to be dialled, `/webrtc`. Made of its parts, because the reader of multiaddr text that libp2p
/// has brings a hundred kilobytes of codecs into a page's module.
pub fn listen_address() -> Multiaddr {
    Protocol::WebRTC.into()
}

/// Negotiations under way that one peer has asked for. One, and one more that replaces it while it has not timed out.
pub const MAX_PER_PEER: usize = 2;

/// How negotiations are made.
#[derive(Debug, Clone)]
pub struct Config {
    /// STUN servers that tell the browser its public addresses, URLs like `stun:192.0.2.1:3478`. None by default: peers
    /// on one network or with public addresses find each other without, and nobody is told who is here.
    pub ice_servers: Vec<String>,
    /// How long a negotiation may take, from its stream to its connection. The default, 20 s, is what ICE itself takes
    /// to give up, roughly; a dial is usually given less by its swarm.
    pub timeout: Duration,
    /// Negotiations at once, both directions. Each costs a peer connection, which is some hundred kilobytes in the
    /// browser, and one of the number that it gives a page. The default, 16, is a guess.
    pub max_negotiations: usize,
    /// Negotiations at once that others have asked for, so that they cannot keep the page from its own. The default is
    /// half of all.
    pub max_answered: usize,
    /// Peer connections that the page may have made before nobody's offer is answered any more, so that others cannot
    /// use up what the browser allows: Chromium gives a page 500. The default, 400, leaves it 100 of its own choice.
    pub max_made: u32,
    /// Peer connections that the page may have made for offers of others before nobody's is answered any more, so that they
    /// cannot spend what the page needs for its own dials. The default is 150, a guess.
    pub max_made_for_others: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            timeout: Duration::from_secs(20),
            max_negotiations: 16,
            max_answered: 8,
            max_made: 400,
            max_made_for_others: 150,
        }
    }
}

/// The two halves.
pub fn new(config: Config) -> (Transport, Behaviour) {
    // Each is emptied whenever the other half is polled.
    let (to_behaviour, dials) = mpsc::channel(config.max_negotiations);
    let (to_transport, incoming) = mpsc::channel(config.max_negotiations);
    let listening = Arc::new(AtomicBool::new(false));
    (Transport::new(to_behaviour, incoming, listening.clone()), Behaviour::new(config, dials, to_transport, listening))
}

/// A dial that waits for its connection.
#[derive(Debug)]
struct Dial {
    peer: PeerId,
    /// The relayed address of the peer.
    circuit: Multiaddr,
    reply: oneshot::Sender<Result<Muxer, Error>>,
}

/// A connection that a remote has asked for.
#[derive(Debug)]
struct Incoming {
    peer: PeerId,
    muxer: Muxer,
}
