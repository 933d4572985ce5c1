//! The node behind the HTTP side: who it is, whom it knows, what it counts, and where new WebSockets go.

use std::net::SocketAddr;

use multiaddr::{Multiaddr, Protocol};
use openred_core::{PeerInfo, address::is_relayed, name::ServiceTarget};
use openred_node::{Node, incoming::IncomingSender};

use crate::{
    http::{
        Peering,
        bootstrap::{Introduction, OtherRelay},
        websocket::PeerSocket,
    },
    metrics::{Figures, NetworkFigures},
    stun::urls::urls,
};

/// Other relays named to whoever asks. A node wants two or three; more would be a map of the network.
const OTHER_RELAYS: usize = 16;

/// Addresses named of each: what a relay has, on a few interfaces.
const ADDRESSES: usize = 8;

/// The role of a peer that is a relay, as the node names it.
const RELAY: &str = "relay";

/// A node and the way in for its WebSockets.
pub(crate) struct NodePeering {
    node: Node,
    sender: IncomingSender,
    stun: Option<SocketAddr>,
}

impl NodePeering {
    /// `sender` leads to the listener that `node` was started with; `stun` is where STUN is answered.
    pub(crate) fn new(node: Node, sender: IncomingSender, stun: Option<SocketAddr>) -> Self {
        Self { node, sender, stun }
    }
}

impl Peering for NodePeering {
    fn introduce(&self) -> Introduction {
        // A node that is closing knows nobody, which is a right answer too.
        let peers = self.node.peers().unwrap_or_default();
        let relays = peers.into_iter().filter(|peer| peer.roles.contains(&RELAY));
        let others = relays.map(other_relay).filter(|relay| !relay.addresses.is_empty());
        let addresses = sorted(self.node.addresses());
        Introduction {
            stun: self.stun.map(|bound| urls(bound, &addresses)).unwrap_or_default(),
            addresses: texts(&addresses),
            peers: others.take(OTHER_RELAYS).collect(),
        }
    }

    fn bundle(&self, target: &ServiceTarget) -> Option<Vec<u8>> {
        // A node that is closing knows nobody.
        self.node.bundle(target).unwrap_or_default()
    }

    fn accept(&self, socket: PeerSocket, remote: Multiaddr) {
        tracing::debug!(%remote, "a WebSocket");
        if let Err(error) = self.sender.accept(socket, remote.clone()) {
            tracing::warn!(%error, %remote, "a WebSocket was turned away");
        }
    }
}

/// The node's addresses, WebSocket first.
pub(crate) fn addresses(node: &Node) -> Vec<String> {
    texts(&sorted(node.addresses()))
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// A relay by the addresses it claims; those through further relays do not help a node that has none.
fn other_relay(relay: PeerInfo) -> OtherRelay {
    let direct = relay.addresses.into_iter().filter(|address| !is_relayed(address) && !is_unspecified(address));
    let complete = direct.filter_map(|address| address.with_p2p(relay.peer).ok()).collect();
    let texts = sorted(complete).iter().take(ADDRESSES).map(ToString::to_string).collect();
    OtherRelay { peer_id: relay.peer.to_string(), addresses: texts }
}

/// Whether the address says "every interface", which means something to who listens and nothing to who dials.
fn is_unspecified(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    }
}

/// WebSocket first, because every node of ours can dial it.
fn sorted(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let is_websocket =
        |address: &Multiaddr| address.iter().any(|part| matches!(part, Protocol::Ws(_) | Protocol::Wss(_)));
    addresses.sort_by_key(|address| !is_websocket(address));
    addresses
}

/// Reads the node's figures whenever it is called.
pub(crate) fn figures(node: Node) -> Figures {
    Box::new(move || {
        let stats = node.stats().ok()?;
        Some(NetworkFigures {
            peers: stats.peers as u64,
            reservations: stats.reservations_held as u64,
            circuits: stats.circuits as u64,
            stored_services: stats.stored_services as u64,
            stored_bytes: stats.stored_bytes as u64,
            routing_table: stats.routing_table as u64,
            finds: stats.finds_by_layer,
            cache_hits: stats.cache_hits,
            cache_misses: stats.cache_misses,
            cached_services: stats.cached_services as u64,
            cached_bytes: stats.cached_bytes as u64,
            remembered_peers: stats.remembered_peers as u64,
            lost_peers: stats.lost_peers as u64,
            dht_requests: stats.dht_requests,
            dht_served: stats.dht_served,
            dht_refused: stats.dht_refused,
            dht_walks: stats.dht_walks,
            bytes_received: stats.bytes_in,
            bytes_sent: stats.bytes_out,
        })
    })
}
