//! The native WebRTC-direct transport and its certificate.
//!
//! The hash of the certificate is part of every WebRTC-direct address, so a node that wants its
//! addresses to survive a restart keeps the certificate.

mod closing;

use std::io;

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
};
use libp2p_webrtc::tokio::Certificate;

use self::closing::Closing;

/// A new key and certificate as PEM text, for
/// [`Config::webrtc_certificate`](crate::platform::Config::webrtc_certificate).
///
/// # Panics
///
/// If the system has no source of randomness.
pub fn generate_certificate() -> String {
    generate().serialize_pem()
}

/// The transport, with the given certificate or one of its own.
pub(super) fn transport(identity: &Keypair, certificate: Option<&str>) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let certificate = certificate.map_or_else(|| Ok(generate()), parse)?;
    let transport = libp2p_webrtc::tokio::Transport::new(identity.clone(), certificate);
    Ok(transport.map(|(peer, connection), _| (peer, StreamMuxerBox::new(Closing::new(connection)))).boxed())
}

fn generate() -> Certificate {
    Certificate::generate(&mut rand::rng()).expect("a key pair can be generated")
}

fn parse(pem: &str) -> io::Result<Certificate> {
    let invalid =
        |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("not a WebRTC certificate: {reason}"));
    // webrtc-rs keeps eight bytes of expiry in a block of its own, and panics if there are fewer.
    let block = pem.lines().skip_while(|line| *line != "-----BEGIN EXPIRES-----").nth(1);
    if block.is_none_or(|line| line.len() != 12 || !line.ends_with('=')) {
        return Err(invalid("the expiry is missing".to_owned()));
    }
    Certificate::from_pem(pem).map_err(|error| invalid(error.to_string()))
}
