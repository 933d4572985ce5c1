//! What a relay does for others: libp2p's circuit relay, within the limits of its role.

use std::{num::NonZeroU32, time::Duration};

use libp2p::{PeerId, relay, swarm::behaviour::toggle::Toggle};

use crate::{config::RelayLimits, shared::Relayed};

/// The behaviour of a relay, which is off in a client.
pub(crate) type RelayServer = Toggle<relay::Behaviour>;

/// Serves as a relay within limits, or not.
pub(crate) fn relay_server(local: PeerId, limits: Option<&RelayLimits>) -> RelayServer {
    limits.map(|limits| relay::Behaviour::new(local, relay_config(limits))).into()
}

/// Keeps count of what this node gives.
pub(crate) fn count_relayed(relayed: &mut Relayed, event: &relay::Event) {
    match event {
        relay::Event::ReservationReqAccepted { src_peer_id, renewed: false } => {
            *relayed.reservations.get_or_insert_with(*src_peer_id, || 0) += 1;
        }
        relay::Event::ReservationTimedOut { src_peer_id } | relay::Event::ReservationClosed { src_peer_id } => {
            relayed.reservations.retain(|peer, held| {
                *held -= usize::from(peer == src_peer_id);
                *held > 0
            });
        }
        relay::Event::CircuitReqAccepted { .. } => relayed.circuits += 1,
        relay::Event::CircuitClosed { .. } => relayed.circuits = relayed.circuits.saturating_sub(1),
        _ => {}
    }
}

/// The ends of a circuit that begins (1) or ends (-1).
pub(crate) fn circuit(event: &relay::Event) -> Option<([PeerId; 2], isize)> {
    match event {
        relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => Some(([*src_peer_id, *dst_peer_id], 1)),
        relay::Event::CircuitClosed { src_peer_id, dst_peer_id, .. } => Some(([*src_peer_id, *dst_peer_id], -1)),
        _ => None,
    }
}

/// libp2p's own limits are for strangers on a public network and far too small for a service: 128 KiB and two minutes a
/// circuit. Its limiter by IP address is left out, since everybody behind one proxy shares an address.
fn relay_config(limits: &RelayLimits) -> relay::Config {
    let per_minute = |count| NonZeroU32::new(count).expect("a rate is not zero");
    let config = relay::Config {
        max_reservations: limits.max_reservations,
        max_reservations_per_peer: limits.max_reservations_per_peer,
        reservation_duration: limits.reservation_duration,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.max_circuits,
        max_circuits_per_peer: limits.max_circuits_per_peer,
        max_circuit_duration: match limits.circuit_duration {
            // libp2p would close a circuit without duration at once; its own maximum is some 136 years.
            duration if duration.is_zero() => Duration::from_secs(u32::MAX.into()),
            duration => duration,
        },
        max_circuit_bytes: limits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    };
    config
        .reservation_rate_per_peer(per_minute(30), Duration::from_secs(2))
        .circuit_src_per_peer(per_minute(240), Duration::from_millis(250))
}
