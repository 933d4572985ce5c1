//! Direct connections between pages: the transport and the behaviour of `openred-webrtc`, and their words in the core's.

use std::{error::Error as StdError, io, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed},
};
use openred_core::{DialFailure, Input, PeerConnections};
use openred_webrtc::{Error, is_supported, peer};

use crate::platform::reasons::why;

/// How long a negotiation may take once there is a stream for it. Two pages on one network need a tenth of a second, a path
/// that needs more than this is worth little.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Dials pages and is dialled by them.
pub type PageTransport = peer::Transport;

/// Negotiates connections with pages over relayed ones.
pub(crate) type Pages = peer::Behaviour;

/// Both halves. No STUN server is asked before one is named.
pub fn pages(marks: &PeerConnections) -> (PageTransport, Pages) {
    let (max_made, max_made_for_others) = (marks.offers, marks.for_others);
    peer::new(peer::Config { timeout: TIMEOUT, max_made, max_made_for_others, ..peer::Config::default() })
}

/// What to listen on to be dialled by pages; none if this page cannot be.
pub(crate) fn page_address() -> Option<Multiaddr> {
    is_supported().then(peer::listen_address)
}

/// Names the STUN servers of negotiations to come.
pub(crate) fn set_stun_servers(pages: &mut Pages, servers: Vec<String>) {
    pages.set_ice_servers(servers);
}

/// What became of a connection that another page has asked for.
pub(crate) fn page_event(event: peer::Event) -> Input {
    let peer::Event::IncomingFailed { peer, error } = event;
    Input::OfferFailed { peer, why: why(&error), reason: error.to_string() }
}

/// Why a page could not be reached, if `error` is of a dial of one.
pub(crate) fn not_direct(mut error: &(dyn StdError + 'static)) -> Option<DialFailure> {
    loop {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(DialFailure::NotDirect { why: why(error), reason: error.to_string() });
        }
        error = error.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// The transport, put before that of everything else. Its errors stand directly in the `io::Error` that a dial fails with,
/// so that [`not_direct`] finds them.
pub(super) fn or(pages: PageTransport, others: Boxed<(PeerId, StreamMuxerBox)>) -> Boxed<(PeerId, StreamMuxerBox)> {
    pages
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .map_err(io::Error::other)
        .or_transport(others)
        .map(|output, _| output.into_inner())
        .map_err(|error| error.into_inner())
        .boxed()
}
