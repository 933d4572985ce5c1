//! What peers say about other peers, before anybody acts on it.
//!
//! A DHT answer names peers and where they are. None of it is proven, and dialling costs: so what cannot lead anywhere is
//! dropped, and what would turn this node against its own surroundings is, too. A peer that was met on the public Internet
//! has nothing to say about private networks: it would have every reader dial into its own home.
//!
//! Bounds: the wire format has bounded peers, addresses and their lengths before ([`crate::wire::kad`]). Whether a peer
//! exists shows when it is dialled.

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::{
    address::{is_link_local, is_private},
    context::Context,
    wire::kad::PeerAddresses,
};

/// What remains of the peers that `by` named. Who has no link any more counts as met on the public Internet. Peers that are
/// linked need no address.
pub(crate) fn believable(cx: &Context<'_>, by: &PeerId, named: Vec<PeerAddresses>) -> Vec<PeerAddresses> {
    let public = cx.links.best(by).is_none_or(|(_, link)| !is_private(&link.address));
    let named = named.into_iter().filter(|named| named.peer != cx.local).map(|mut named| {
        named.addresses.retain(|address| leads_somewhere(address) && !(public && is_private(address)));
        named
    });
    named.filter(|named| !named.addresses.is_empty() || cx.links.is_connected(&named.peer)).collect()
}

/// Whether anybody but its owner could dial an address.
fn leads_somewhere(address: &Multiaddr) -> bool {
    let mut protocols = address.iter();
    let host = match protocols.next() {
        Some(Protocol::Ip4(ip)) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        Some(Protocol::Ip6(ip)) => !(ip.is_unspecified() || ip.is_multicast()),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    let port = matches!(protocols.next(), Some(Protocol::Tcp(1..) | Protocol::Udp(1..)));
    // A circuit through a circuit is nothing that relays grant.
    let circuits = protocols.filter(|protocol| *protocol == Protocol::P2pCircuit).count();
    host && port && circuits <= 1 && !is_link_local(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_dial_is_dropped() {
        let relay = "12D3KooWAJGZKj2ABj93qZt6wf6sxKjWR9AqMBTD62c7qVtKJSu5";
        let good = [
            "/ip4/203.0.113.7/tcp/443/tls/ws".to_owned(),
            "/ip6/2001:db8::1/udp/4001/quic-v1".to_owned(),
            "/dns/relay.example/tcp/80/ws".to_owned(),
            "/ip4/192.168.1.2/tcp/80/ws".to_owned(),
            format!("/ip4/203.0.113.7/tcp/80/ws/p2p/{relay}/p2p-circuit"),
        ];
        let bad = [
            "/ip4/0.0.0.0/tcp/80/ws".to_owned(),
            "/ip4/224.0.0.1/udp/1/quic-v1".to_owned(),
            "/ip4/255.255.255.255/tcp/1".to_owned(),
            "/ip6/ff02::1/tcp/80".to_owned(),
            "/ip6/fe80::1/tcp/80".to_owned(),
            "/ip4/169.254.169.254/tcp/80".to_owned(),
            "/ip4/203.0.113.7/tcp/0/ws".to_owned(),
            "/ip4/203.0.113.7".to_owned(),
            "/tcp/80".to_owned(),
            "/unix/socket".to_owned(),
            format!("/ip4/203.0.113.7/tcp/80/ws/p2p/{relay}/p2p-circuit/p2p/{relay}/p2p-circuit"),
        ];
        for (texts, right) in [(&good[..], true), (&bad, false)] {
            for text in texts {
                let address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(leads_somewhere(&address), right, "{text}");
            }
        }
    }
}
