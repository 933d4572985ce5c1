//! Why there is no connection, or none any more.

use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};

use crate::signalling::SignalError;

/// Characters kept of what the browser says about a failure.
const MAX_TEXT: usize = 200;

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// There is no `RTCPeerConnection` here: a worker, or WebRTC is switched off.
    #[error("WebRTC is not available here")]
    Unsupported,
    /// The browser makes no peer connection, as a rule because it has made too many for the page.
    #[error("the browser makes no peer connection: {0}")]
    NoPeerConnection(String),
    /// The browser refused something.
    #[error("the browser refused {what}: {reason}")]
    Browser {
        /// What was asked of it.
        what: &'static str,
        /// What it answered.
        reason: String,
    },
    /// No pair of addresses worked, or those that did have stopped working for good.
    #[error("no direct path works")]
    NoPath,
    /// The same, and no STUN server that was asked has answered, as far as the candidates tell: UDP does not get out of this
    /// network, or not back.
    #[error("no direct path works, and no STUN server could be reached over UDP")]
    UdpBlocked,
    /// The connection was closed by the remote, or was without answer for too long.
    #[error("the connection is lost: {0}")]
    Lost(&'static str),
    /// Not within [`peer::Config::timeout`](crate::peer::Config).
    #[error("not connected in time")]
    Timeout,
    /// Too many negotiations are under way.
    #[error("too many negotiations are under way")]
    Busy,
    /// So many peer connections were made that this one is not: the rest is for what the page itself wants.
    #[error("too many peer connections were made already")]
    Spent,
    /// There is no relayed connection to the peer, and none could be made.
    #[error("no relayed connection to the peer: {0}")]
    NoCircuit(String),
    /// The peer does not speak the signalling protocol.
    #[error("no signalling with the peer: {0}")]
    NoSignalling(String),
    /// The peer ended the conversation without an answer: it has too many under way, or wants no direct connection.
    #[error("the peer does not answer the offer of a direct connection")]
    Refused,
    /// The peer broke the signalling protocol.
    #[error("signalling failed: {0}")]
    Signalling(#[from] SignalError),
    /// The description that the browser made names no sha-256 fingerprint.
    #[error("the browser's description has no sha-256 fingerprint")]
    NoFingerprint,
    /// The server could not prove who it is.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The other half of the transport is gone.
    #[error("the transport is being closed")]
    Closing,
}

impl Error {
    /// A short stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NoPeerConnection(_) => "no-peer-connection",
            Self::Browser { .. } => "browser",
            Self::NoPath => "no-path",
            Self::UdpBlocked => "udp-blocked",
            Self::Lost(_) => "lost",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Spent => "spent",
            Self::NoCircuit(_) => "no-circuit",
            Self::NoSignalling(_) => "no-signalling",
            Self::Refused => "refused",
            Self::Signalling(error) => error.code(),
            Self::NoFingerprint => "no-fingerprint",
            Self::Handshake(_) => "handshake",
            Self::Closing => "closing",
        }
    }

    /// Whether it says something of who made the offer, and not of this page or of the way between.
    pub(crate) fn is_of_offer(&self) -> bool {
        let ours =
            matches!(self, Self::Unsupported | Self::NoPeerConnection(_) | Self::Busy | Self::Spent | Self::Closing);
        !ours && !matches!(self, Self::NoCircuit(_))
    }

    pub(crate) fn browser(what: &'static str, error: &JsValue) -> Self {
        Self::Browser { what, reason: text(error) }
    }

    pub(crate) fn no_peer_connection(error: &JsValue) -> Self {
        Self::NoPeerConnection(text(error))
    }
}

/// What the browser says.
fn text(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    let text = message.or_else(|| error.as_string()).unwrap_or_else(|| "no reason given".to_owned());
    text.chars().take(MAX_TEXT).collect()
}
