//! libp2p's words in the core's.

use std::error::Error as StdError;

use libp2p::{Multiaddr, PeerId, TransportError, core::ConnectedPoint, multiaddr::Protocol, swarm::DialError};
use openred_core::DialFailure;

use crate::platform;

/// The innermost reason of an error: the wrappers around it say where it passed, not what it was.
pub(super) fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

pub(super) fn dial_failure(error: &DialError) -> DialFailure {
    match error {
        DialError::LocalPeerId { .. } => DialFailure::Myself,
        DialError::WrongPeerId { obtained, .. } => DialFailure::WrongPeer { obtained: *obtained },
        DialError::NoAddresses => DialFailure::Unsupported,
        DialError::Transport(failures) => {
            let not_direct = failures.iter().find_map(|(_, failure)| match failure {
                TransportError::MultiaddrNotSupported(_) => None,
                TransportError::Other(error) => platform::not_direct(error),
            });
            if let Some(failure) = not_direct {
                return failure;
            }
            let mut reasons: Vec<String> = failures
                .iter()
                .filter_map(|(_, failure)| match failure {
                    TransportError::MultiaddrNotSupported(_) => None,
                    TransportError::Other(error) => Some(cause(error)),
                })
                .collect();
            openred_core::map::sort_by_key(&mut reasons, |reason| reason.clone());
            reasons.dedup();
            if reasons.is_empty() { DialFailure::Unsupported } else { DialFailure::Failed(reasons.join("; ")) }
        }
        other => DialFailure::Failed(cause(other)),
    }
}

/// Where a peer is seen from here. Of a peer that came in through a circuit libp2p tells the id alone; the relay stands in
/// the address it was listened for, as it was dialled: without its id if that was not known, which `peer_at` tells then.
pub(super) fn remote_address(
    endpoint: &ConnectedPoint,
    peer: PeerId,
    peer_at: impl FnOnce(&Multiaddr) -> Option<PeerId>,
) -> Multiaddr {
    match endpoint {
        ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => {
            let circuit = local_addr.iter().take_while(|protocol| !matches!(protocol, Protocol::P2pCircuit));
            let mut relay: Multiaddr = circuit.collect();
            if !ends_in_peer(&relay)
                && let Some(id) = peer_at(&relay)
            {
                relay.push(Protocol::P2p(id));
            }
            relay.with(Protocol::P2pCircuit).with(Protocol::P2p(peer))
        }
        // Of a page that asked for a connection nothing is known but who it is.
        ConnectedPoint::Listener { local_addr, send_back_addr } if send_back_addr.is_empty() => {
            local_addr.clone().with(Protocol::P2p(peer))
        }
        _ => endpoint.get_remote_address().clone(),
    }
}

fn ends_in_peer(address: &Multiaddr) -> bool {
    matches!(address.iter().last(), Some(Protocol::P2p(_)))
}

/// Whether an address is `bare`, with a peer id at its end or without.
pub(super) fn same_but_for_peer(address: &Multiaddr, bare: &Multiaddr) -> bool {
    address.iter().filter(|protocol| !matches!(protocol, Protocol::P2p(_))).eq(bare.iter())
}
