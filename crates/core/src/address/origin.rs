//! Where a relay answers HTTP, as its addresses tell.

use multiaddr::{Multiaddr, Protocol};

/// Where a relay with this WebSocket address answers HTTP: scheme, host and port. None for other transports.
pub fn origin(address: &Multiaddr) -> Option<String> {
    let host = host(address)?;
    let mut protocols = address.iter().skip(1);
    let Some(Protocol::Tcp(port)) = protocols.next() else { return None };
    let scheme = match (protocols.next()?, protocols.next()) {
        (Protocol::Ws(_), None | Some(Protocol::P2p(_))) => "http",
        (Protocol::Wss(_), None | Some(Protocol::P2p(_))) => "https",
        (Protocol::Tls, Some(Protocol::Ws(_))) => "https",
        _ => return None,
    };
    Some(format!("{scheme}://{host}:{port}"))
}

/// The host of an address as URLs write it.
pub(crate) fn host(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host) => Some(host.into_owned()),
        _ => None,
    }
}

/// Whether two addresses name the same host in the same way.
pub(crate) fn same_host(a: &Multiaddr, b: &Multiaddr) -> bool {
    match (a.iter().next(), b.iter().next()) {
        (
            Some(Protocol::Dns(a) | Protocol::Dns4(a) | Protocol::Dns6(a)),
            Some(Protocol::Dns(b) | Protocol::Dns4(b) | Protocol::Dns6(b)),
        ) => a == b,
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    #[test]
    fn a_websocket_address_names_the_origin_of_its_relay() {
        let peer = libp2p_identity::Keypair::ed25519_from_bytes([1; 32]).expect("a key").public().to_peer_id();
        for (text, expected) in [
            ("/ip4/192.0.2.1/tcp/8080/ws", Some("http://192.0.2.1:8080")),
            ("/ip6/2001:db8::1/tcp/80/ws", Some("http://[2001:db8::1]:80")),
            ("/dns/relay.example/tcp/443/tls/ws", Some("https://relay.example:443")),
            ("/dns4/relay.example/tcp/443/wss", Some("https://relay.example:443")),
            ("/ip4/192.0.2.1/tcp/8080", None),
            ("/ip4/192.0.2.1/tcp/8080/tls", None),
            ("/ip4/192.0.2.1/udp/8080/quic-v1", None),
            ("/memory/1", None),
        ] {
            assert_eq!(origin(&address(text)).as_deref(), expected, "{text}");
        }
        let ending = address("/ip4/192.0.2.1/tcp/8080/ws").with(Protocol::P2p(peer));
        assert_eq!(origin(&ending).as_deref(), Some("http://192.0.2.1:8080"));
        let circuit = ending.with(Protocol::P2pCircuit);
        assert_eq!(origin(&circuit).as_deref(), Some("http://192.0.2.1:8080"), "the relay's own, which is harmless");
    }

    #[test]
    fn only_hosts_that_were_reached_count_as_the_same() {
        let reached = address("/ip4/192.0.2.1/udp/4001/quic-v1");
        assert!(same_host(&reached, &address("/ip4/192.0.2.1/tcp/80/ws")));
        assert!(!same_host(&reached, &address("/ip4/192.0.2.2/tcp/80/ws")));
        assert!(!same_host(&reached, &address("/dns/victim.example/tcp/80/ws")));
        assert!(same_host(&address("/dns4/a.example/tcp/1"), &address("/dns/a.example/tcp/80/ws")));
    }
}
