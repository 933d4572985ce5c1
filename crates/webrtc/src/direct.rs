//! WebRTC-direct: from a browser to a server with a public address and a certificate of its own.
//!
//! Both ends write the other's session description out of what they know: the address names the certificate, and a user
//! name of our choice, sent in the first packet, stands for the rest. Then a Noise handshake on data channel 0 proves who
//! the two are. Source: [WebRTC Direct](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md).
//!
//! A dial takes as long as it takes: the browser gives up after about thirty seconds without an answer, and whoever wants
//! less drops the future, which closes the connection.
//!
//! It does not listen.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{self, BoxFuture, Either, Pending},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
};
use libp2p_webrtc_utils::{Fingerprint, noise, parse_webrtc_dial_addr, sdp};
use send_wrapper::SendWrapper;

use crate::{
    Error, Muxer, is_supported,
    peer_connection::{Kind, PeerConnection},
};

/// How the two agree on a connection that only one of them describes. Servers tell by the user name which one a client
/// speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Our own description is rewritten to have the user name that the server's has.
    One,
}

/// The version that is spoken to every server.
const VERSION: Version = Version::One;

/// The channel of the handshake.
const HANDSHAKE: u16 = 0;

/// The transport.
#[derive(Debug, Clone)]
pub struct Transport {
    identity: Keypair,
    wait: Duration,
}

impl Transport {
    /// A transport for the node of this identity.
    pub fn new(identity: &Keypair) -> Self {
        Self { identity: identity.clone(), wait: Duration::ZERO }
    }

    /// Has each dial wait before it makes a peer connection. A swarm dials all addresses of a peer at once; one that is
    /// reached at another address within this time costs none.
    pub fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// Whether `address` is one that [`Transport`] dials.
pub fn can_dial(address: &Multiaddr) -> bool {
    is_supported() && parse_webrtc_dial_addr(address).is_some()
}

impl transport::Transport for Transport {
    type Output = (PeerId, Muxer);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        if options.role.is_listener() || parse_webrtc_dial_addr(&address).is_none() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if !is_supported() {
            return Err(TransportError::Other(Error::Unsupported));
        }
        let (identity, wait) = (self.identity.clone(), self.wait);
        let dial = async move {
            if !wait.is_zero() {
                Delay::new(wait).await;
            }
            dial(identity, address).await
        };
        Ok(SendWrapper::new(dial).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

async fn dial(identity: Keypair, address: Multiaddr) -> Result<(PeerId, Muxer), Error> {
    // A server with a public address has no need of STUN.
    let mut muxer = Muxer::to_server(PeerConnection::new(&[])?);
    // Before the offer, so that there is something to offer.
    let channel = muxer.connection().open_negotiated(HANDSHAKE)?;
    let (ours, servers) = match VERSION {
        Version::One => describe(muxer.connection(), &address).await?,
    };
    let stream = muxer.handshake(channel);
    let handshake = noise::outbound(identity, stream, servers, ours).boxed_local();
    let lost = muxer.connection().lost().boxed_local();
    let peer = match future::select(handshake, lost).await {
        Either::Left((result, _)) => result.map_err(|error| Error::Handshake(error.to_string()))?,
        Either::Right((error, _)) => return Err(error),
    };
    Ok((peer, muxer))
}

/// Applies both descriptions as version 1 has them. Gives the fingerprints of both ends.
async fn describe(connection: &PeerConnection, address: &Multiaddr) -> Result<(Fingerprint, Fingerprint), Error> {
    let (socket, servers) = parse_webrtc_dial_addr(address).ok_or(Error::NoFingerprint)?;
    let ufrag = sdp::random_ufrag();
    let offer = sdp::with_credentials(&connection.describe(Kind::Offer).await?, &ufrag);
    let ours = sdp::fingerprint(&offer).ok_or(Error::NoFingerprint)?;
    connection.set_local(Kind::Offer, &offer).await?;
    connection.set_remote(Kind::Answer, &sdp::answer(socket, servers, &ufrag)).await?;
    Ok((ours, servers))
}
