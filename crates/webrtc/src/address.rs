//! Addresses of browsers behind relays.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// The circuit and the peer behind `<relay>/p2p/<relay's id>/p2p-circuit/webrtc/p2p/<peer>`: the same address without
/// `/webrtc`, over which the signalling goes. `None` for any other address.
pub(crate) fn circuit_of(address: &Multiaddr) -> Option<(Multiaddr, PeerId)> {
    let parts: Vec<_> = address.iter().collect();
    let (Protocol::P2p(peer), front) = parts.split_last()? else { return None };
    let relay = relay_part(front)?.iter().cloned();
    Some((relay.chain([Protocol::P2pCircuit, Protocol::P2p(*peer)]).collect(), *peer))
}

/// Whether an address is that of a browser behind a relay; the browser's id may be missing at its end.
pub(crate) fn leads_to_browser(address: &Multiaddr) -> bool {
    let parts: Vec<_> = address.iter().collect();
    let front = match parts.split_last() {
        Some((Protocol::P2p(_), front)) => front,
        _ => &parts,
    };
    relay_part(front).is_some()
}

/// What stands before `/p2p-circuit/webrtc`. A relay that is itself behind a relay, or behind a browser, is none of ours.
fn relay_part<'a, 'p>(parts: &'p [Protocol<'a>]) -> Option<&'p [Protocol<'a>]> {
    let [relay @ .., Protocol::P2pCircuit, Protocol::WebRTC] = parts else { return None };
    let is_plain = !relay.iter().any(|part| matches!(part, Protocol::P2pCircuit | Protocol::WebRTC));
    (is_plain && matches!(relay, [_, .., Protocol::P2p(_)])).then_some(relay)
}

/// The relay that a circuit's address leads through.
pub(crate) fn relay_of(circuit: &Multiaddr) -> Option<PeerId> {
    let relay = circuit.iter().take_while(|part| !matches!(part, Protocol::P2pCircuit)).last();
    if let Some(Protocol::P2p(relay)) = relay { Some(relay) } else { None }
}

/// Whether bytes to this address go through a relay. The address of a browser names a relay too, which only helps to
/// find it.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    let mut relayed = false;
    for part in address.iter() {
        match part {
            Protocol::P2pCircuit => relayed = true,
            Protocol::WebRTC => relayed = false,
            _ => {}
        }
    }
    relayed
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/ip4/127.0.0.1/tcp/8080/ws/p2p/12D3KooWNpDk9w6WrEEcdsEH1y47W71S36yFjw4sd3j7omzgCSMS";
    const PEER: &str = "12D3KooWGQmdpzHXCqLno4mMxWXKNFQHASBeF99gTm2JR8Vu5Bdc";
    const PEER_ALONE: &str = "/p2p-circuit/p2p/12D3KooWGQmdpzHXCqLno4mMxWXKNFQHASBeF99gTm2JR8Vu5Bdc";

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddr")
    }

    #[test]
    fn the_circuit_to_a_browser() {
        let (circuit, peer) = circuit_of(&address(&format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}"))).unwrap();
        assert_eq!(circuit, address(&format!("{RELAY}/p2p-circuit/p2p/{PEER}")));
        assert_eq!(peer.to_string(), PEER);
        assert_eq!(circuit_of(&circuit), None);
        assert!(!leads_to_browser(&circuit));
        for text in [format!("{RELAY}/p2p-circuit/webrtc"), format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}")] {
            assert!(leads_to_browser(&address(&text)), "{text}");
        }
        assert_eq!(relay_of(&circuit), Some(RELAY.rsplit('/').next().unwrap().parse().unwrap()));
        assert_eq!(relay_of(&address(PEER_ALONE)), None);
    }

    #[test]
    fn other_addresses_have_none() {
        for text in [
            format!("{RELAY}/p2p-circuit/p2p/{PEER}"),
            format!("{RELAY}/p2p-circuit/webrtc"),
            format!("{RELAY}/webrtc/p2p/{PEER}"),
            format!("/p2p-circuit/webrtc/p2p/{PEER}"),
            format!("/p2p/{PEER}/p2p-circuit/webrtc/p2p/{PEER}"),
            format!("/ip4/127.0.0.1/tcp/8080/ws/p2p-circuit/webrtc/p2p/{PEER}"),
            format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}/p2p-circuit/webrtc/p2p/{PEER}"),
            format!("/webrtc/p2p/{PEER}"),
        ] {
            assert_eq!(circuit_of(&address(&text)), None, "{text}");
        }
    }

    #[test]
    fn a_browser_is_not_behind_its_relay() {
        for (text, relayed) in [
            (format!("{RELAY}/p2p-circuit/p2p/{PEER}"), true),
            (format!("{RELAY}/p2p-circuit"), true),
            (format!("{RELAY}/p2p-circuit/webrtc/p2p/{PEER}"), false),
            (format!("/webrtc/p2p/{PEER}"), false),
            (RELAY.to_owned(), false),
        ] {
            assert_eq!(is_relayed(&address(&text)), relayed, "{text}");
        }
    }
}
