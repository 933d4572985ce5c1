//! The native WebRTC-direct transport and its certificate.
//!
//! Source: [WebRTC-direct](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md), version 1. It is ours, on
//! the DTLS, SCTP and data channels of webrtc-rs and on `libp2p-webrtc-utils`, without the peer connections of webrtc-rs:
//! those cost some 145 kB each for as long as nobody closes them, and begin with a datagram that anybody can forge.
//!
//! A datagram goes this way: `udp_mux` reads it from the listener's socket and knows whose it is. A STUN request is
//! answered by `ice` and forgotten. The first message of a DTLS handshake makes a connection, if `admission` lets it;
//! `handshake` makes DTLS, SCTP and Noise of it, `closing` sees to it that what was begun is closed, and
//! `connection` is the streams. `caller` is the socket of a connection that this side dials, and `transport`
//! joins them for libp2p.
//!
//! Version 2 of the protocol differs in the credentials of ICE, which only `ice` knows.

mod admission;
mod caller;
mod certificate;
mod closing;
mod connection;
mod error;
mod handshake;
mod ice;
mod transport;
mod udp_mux;

#[cfg(test)]
mod tests;

use std::io;

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
};

use self::{certificate::Certificate, transport::Transport};

/// A new key and certificate as PEM text, for
/// [`Config::webrtc_certificate`](crate::platform::Config::webrtc_certificate).
///
/// The hash of the certificate is part of every WebRTC-direct address, so a node that wants its addresses to survive a
/// restart keeps the certificate.
///
/// # Panics
///
/// If the system has no source of randomness.
pub fn generate_certificate() -> String {
    Certificate::generate().to_pem()
}

/// Whether `pem` is what [`generate_certificate`] returns.
///
/// # Errors
///
/// What is missing or damaged, as a sentence's end.
pub fn check_certificate(pem: &str) -> Result<(), String> {
    Certificate::from_pem(pem).map(drop).map_err(|error| error.to_string())
}

/// The transport, with the given certificate or one of its own.
pub(super) fn transport(identity: &Keypair, certificate: Option<&str>) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let certificate = certificate
        .map_or_else(|| Ok(Certificate::generate()), Certificate::from_pem)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not a WebRTC certificate: {error}")))?;
    let transport = Transport::new(identity.clone(), certificate);
    Ok(transport.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))).boxed())
}
