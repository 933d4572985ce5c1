//! libp2p's words in the core's.

use std::{error::Error as StdError, io};

use libp2p::{
    Multiaddr, PeerId, TransportError,
    core::{ConnectedPoint, upgrade::NegotiationError},
    multiaddr::Protocol,
    ping,
    swarm::DialError,
};
use openred_core::DialFailure;

use crate::platform;

/// The innermost reason of an error: the wrappers around it say where it passed, not what it was.
pub(super) fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    loop {
        if let Some(words) = platform::in_words(innermost) {
            return words.to_owned();
        }
        let Some(source) = innermost.source() else { return innermost.to_string() };
        innermost = source;
    }
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

/// Whether a ping failed because the peer answers none.
pub(super) fn no_pings(failure: &ping::Failure) -> bool {
    match failure {
        ping::Failure::Unsupported => true,
        ping::Failure::Timeout => false,
        ping::Failure::Other { error } => error.downcast_ref().is_some_and(is_refusal),
    }
}

/// Whether a stream failed because the peer does not speak its protocol. Since a stream names its one protocol together with
/// its first bytes, that shows as the answer to them is read.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    let negotiation = error.get_ref().and_then(|error| error.downcast_ref::<NegotiationError>());
    matches!(negotiation, Some(NegotiationError::Failed))
}

fn ends_in_peer(address: &Multiaddr) -> bool {
    matches!(address.iter().last(), Some(Protocol::P2p(_)))
}

/// Whether an address is `bare`, with a peer id at its end or without.
pub(super) fn same_but_for_peer(address: &Multiaddr, bare: &Multiaddr) -> bool {
    address.iter().filter(|protocol| !matches!(protocol, Protocol::P2p(_))).eq(bare.iter())
}

#[cfg(test)]
mod tests {
    use futures::future::Either;
    use libp2p::{
        core::upgrade::Version,
        swarm::{SwarmEvent, dummy},
    };

    use super::*;
    use crate::testing::{connect, drive, listen, swarm_with};

    #[tokio::test]
    async fn a_peer_that_answers_no_pings_is_told_from_one_that_is_silent() {
        let lazy = platform::executor_config().with_substream_upgrade_protocol_override(Version::V1Lazy);
        let often = ping::Config::new().with_interval(std::time::Duration::from_millis(1));
        let mut near = swarm_with(lazy, |_, _| ping::Behaviour::new(often));
        let mut far = swarm_with(platform::executor_config(), |_, _| dummy::Behaviour);
        let address = listen(&mut far, "/ip4/127.0.0.1/tcp/0").await;
        connect(&mut near, &mut far, address).await;
        let failure = drive(&mut near, &mut far, |event| match event {
            Either::Left(SwarmEvent::Behaviour(ping::Event { result, .. })) => {
                Some(result.expect_err("nobody answers"))
            }
            _ => None,
        });
        let failure = failure.await;
        assert!(no_pings(&failure), "{failure:?}");
        assert!(!no_pings(&ping::Failure::Timeout));
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(!no_pings(&ping::Failure::Other { error: Box::new(reset) }));
    }
}
