//! The libp2p behaviours of a node, put together; which of them are on depends on the role alone.

use std::time::Duration;

use libp2p::{StreamProtocol, connection_limits, identify, identity::Keypair, ping, relay, swarm::NetworkBehaviour};
use openred_core::name::NetworkName;

use crate::{
    config::RelayLimits,
    platform::{Pages, RelayServer, relay_server},
    streams,
};

/// Everything that speaks on a node's connections.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay_client: relay::client::Behaviour,
    relay: RelayServer,
    pub(crate) pages: Pages,
    pub(crate) streams: streams::Behaviour,
}

/// How often a client pings, and how long one ping may take. libp2p keeps the first failure to itself, so the core does not
/// wait for failures: it counts the time since the last answer (`Config::link_silence`). That must exceed twice the interval,
/// since a ping out of turn, which the core may want, costs a regular one its turn: the next answer is 6 s away then, and 8 s in
/// a hidden page, whose timers are up to a second late each; the core gives it 9 s. At relays it is 14 s of 22.
const CLIENT_PING: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(5));

/// The same for relays, which have many links and are pinged by everybody on them anyway.
const RELAY_PING: (Duration, Duration) = (Duration::from_secs(7), Duration::from_secs(7));

/// Connections to one peer: a direct and a relayed one each way, twice while they are replaced.
const CONNECTIONS_PER_PEER: u32 = 8;

/// Connections of a client; a browser gives a page 255 WebSockets.
const CLIENT_CONNECTIONS: u32 = 256;

/// Connections a relay has for everything but reservations: its mesh, lookups, and clients that hold no reservation.
const RELAY_SPARE_CONNECTIONS: u32 = 4096;

impl Behaviour {
    pub(crate) fn new(
        identity: &Keypair,
        network: &NetworkName,
        relay_client: relay::client::Behaviour,
        pages: Pages,
        limits: Option<&RelayLimits>,
        protocols: Protocols,
    ) -> Self {
        let ping = if limits.is_some() { RELAY_PING } else { CLIENT_PING };
        let identify = identify::Config::new(format!("openred/{network}/1.0.0"), identity.public())
            .with_agent_version(concat!("openred/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_push_listen_addr_updates(true)
            .with_cache_size(0);
        let most = limits.map_or(CLIENT_CONNECTIONS, |limits| {
            RELAY_SPARE_CONNECTIONS.saturating_add(u32::try_from(limits.max_reservations).unwrap_or(u32::MAX))
        });
        let connections = connection_limits::ConnectionLimits::default()
            .with_max_established(Some(most))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER));
        let inbound = match limits {
            Some(_) => vec![protocols.stream, protocols.kad],
            None => vec![protocols.stream],
        };
        Self {
            limits: connection_limits::Behaviour::new(connections),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(ping.0).with_timeout(ping.1)),
            relay_client,
            relay: relay_server(identity.public().to_peer_id(), limits),
            pages,
            streams: streams::Behaviour::new(inbound),
        }
    }
}

/// Our own protocols on one network.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    pub(crate) kad: StreamProtocol,
    pub(crate) stream: StreamProtocol,
}

impl Protocols {
    pub(crate) fn new(network: &NetworkName) -> Self {
        let protocol = |id| StreamProtocol::try_from_owned(id).expect("our protocol ids begin with a slash");
        Self { kad: protocol(network.kad_protocol()), stream: protocol(network.stream_protocol()) }
    }
}

#[cfg(test)]
mod tests {
    use openred_core::{Config, Role};

    use super::*;

    /// What a timer of a hidden page is late at most, while the browser does not think that nothing happens there.
    const LATE: Duration = Duration::from_secs(1);

    #[test]
    fn a_living_link_may_miss_a_turn_after_a_ping_out_of_turn() {
        for (role, (interval, _)) in [(Role::Client, CLIENT_PING), (Role::Relay, RELAY_PING)] {
            let silence = Config::new(NetworkName::default(), role, Vec::new()).link_silence;
            assert!(2 * interval < silence, "{role:?}");
            assert!(2 * (interval + LATE) < silence + silence / 8, "{role:?}, hidden");
        }
    }
}
