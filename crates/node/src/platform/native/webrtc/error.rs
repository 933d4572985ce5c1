//! Why a WebRTC-direct connection is not made, or ends.

use std::io;

use libp2p_webrtc_utils::noise;
use thiserror::Error;

/// See the module's documentation.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The socket cannot be opened, or the system says that nobody is there.
    #[error("the UDP socket failed: {0}")]
    Socket(#[from] io::Error),
    /// The remote answers no STUN request.
    #[error("the remote does not answer")]
    NoAnswer,
    /// No encrypted session came about.
    #[error("DTLS failed: {0}")]
    Dtls(#[from] dtls::Error),
    /// The remote showed no certificate.
    #[error("the remote shows no certificate")]
    NoCertificate,
    /// The certificate is not the one that the address names.
    #[error("the remote's certificate is not the one that its address names")]
    WrongCertificate,
    /// No association came about, or it takes no channel.
    #[error("SCTP failed: {0}")]
    Sctp(#[from] webrtc_sctp::Error),
    /// A data channel cannot be opened.
    #[error("a data channel failed: {0}")]
    DataChannel(#[from] webrtc_data::Error),
    /// The remote could not show who it is.
    #[error("the remote is not authenticated: {0}")]
    Noise(#[from] noise::Error),
    /// The handshake took too long.
    #[error("the handshake took too long")]
    Timeout,
    /// Too many handshakes are under way, and this one was not getting on.
    #[error("too many handshakes are under way")]
    Displaced,
    /// The listener was closed before the handshake was over.
    #[error("the listener is closed")]
    ListenerClosed,
    /// The remote has closed the connection.
    #[error("the remote has closed the connection")]
    Closed,
    /// Every stream that the association has is in use.
    #[error("too many streams are open")]
    TooManyStreams,
}
