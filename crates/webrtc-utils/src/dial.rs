//! Addresses of WebRTC-direct.

use std::net::{IpAddr, SocketAddr};

use libp2p_core::{Multiaddr, multiaddr::Protocol};

use crate::Fingerprint;

/// The socket and the certificate behind `/ip4|ip6/../udp/../webrtc-direct/certhash/..`, with or without `/p2p/..`
/// after it. `None` for any other address, and for a certificate hash that is not sha2-256.
///
/// Source: [Addressing](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md#addressing).
pub fn parse_webrtc_dial_addr(addr: &Multiaddr) -> Option<(SocketAddr, Fingerprint)> {
    let mut parts: Vec<_> = addr.iter().collect();
    if let Some(Protocol::P2p(_)) = parts.last() {
        parts.pop();
    }
    let [host, Protocol::Udp(port), Protocol::WebRTCDirect, Protocol::Certhash(hash)] = parts.as_slice() else {
        return None;
    };
    let ip = match host {
        Protocol::Ip4(ip) => IpAddr::from(*ip),
        Protocol::Ip6(ip) => IpAddr::from(*ip),
        _ => return None,
    };
    Some((SocketAddr::new(ip, *port), Fingerprint::try_from_multihash(*hash)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "uEiAw_J9GnCB0Gd_dCqtfJ6hsljyU5AVI25N1zKLpFXs7mQ";
    const PEER: &str = "12D3KooWNpDk9w6WrEEcdsEH1y47W71S36yFjw4sd3j7omzgCSMS";

    fn parse(address: &str) -> Option<(SocketAddr, Fingerprint)> {
        parse_webrtc_dial_addr(&address.parse().expect("a multiaddr"))
    }

    #[test]
    fn with_and_without_a_peer_over_both_families() {
        for (host, socket) in [("/ip4/127.0.0.1", "127.0.0.1:39901"), ("/ip6/::1", "[::1]:39901")] {
            let address = format!("{host}/udp/39901/webrtc-direct/certhash/{HASH}");
            let (found, fingerprint) = parse(&address).expect("can be dialled");
            assert_eq!(found, socket.parse().unwrap());
            assert!(fingerprint.to_sdp_format().starts_with("30:FC:9F:46"), "{fingerprint:?}");
            assert_eq!(parse(&format!("{address}/p2p/{PEER}")), Some((found, fingerprint)));
        }
    }

    #[test]
    fn other_addresses_cannot_be_dialled() {
        let sha1 = "uERQAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for address in [
            "/ip4/127.0.0.1/udp/1/webrtc-direct".to_owned(),
            format!("/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/{sha1}"),
            format!("/ip4/127.0.0.1/tcp/1/webrtc-direct/certhash/{HASH}"),
            format!("/dns4/example.org/udp/1/webrtc-direct/certhash/{HASH}"),
            format!("/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/{HASH}/p2p/{PEER}/p2p-circuit"),
            format!("/p2p/{PEER}"),
        ] {
            assert_eq!(parse(&address), None, "{address}");
        }
    }
}
