//! The node behind the HTTP side: who it is, whom it knows, what it counts, and where new WebSockets go.

use futures::future::BoxFuture;
use multiaddr::Multiaddr;
use openred_node::{Node, incoming::IncomingSender};

use super::is_websocket;
use crate::{
    http::{
        Peering,
        bootstrap::{Introduction, OtherRelay},
        websocket::PeerSocket,
    },
    metrics::{Figures, NetworkFigures},
};

/// Other relays named to whoever asks. A node wants two or three; more would be a map of the network.
const OTHER_RELAYS: usize = 16;

/// The role of a peer that is a relay, as the node names it.
const RELAY: &str = "relay";

/// A node and the way in for its WebSockets.
pub(crate) struct NodePeering {
    node: Node,
    sender: IncomingSender,
}

impl NodePeering {
    /// `sender` leads to the listener that `node` was started with.
    pub(crate) fn new(node: Node, sender: IncomingSender) -> Self {
        Self { node, sender }
    }
}

impl Peering for NodePeering {
    fn introduce(&self) -> BoxFuture<'_, Introduction> {
        Box::pin(async {
            // A node that is closing knows nobody, which is a right answer too.
            let peers = self.node.peers().await.unwrap_or_default();
            let relays = peers.into_iter().filter(|peer| peer.roles.contains(&RELAY));
            let others = relays.map(|relay| OtherRelay {
                peer_id: relay.peer.to_string(),
                addresses: vec![with_peer(relay.address, relay.peer)],
            });
            Introduction { addresses: addresses(&self.node), peers: others.take(OTHER_RELAYS).collect() }
        })
    }

    fn accept(&self, socket: PeerSocket, remote: Multiaddr) {
        if let Err(error) = self.sender.accept(socket, remote.clone()) {
            tracing::warn!(%error, %remote, "a WebSocket was turned away");
        }
    }
}

/// The node's addresses, WebSocket first: every node of ours can dial that.
pub(crate) fn addresses(node: &Node) -> Vec<String> {
    let mut addresses = node.addresses();
    addresses.sort_by_key(|address| !is_websocket(address));
    addresses.iter().map(ToString::to_string).collect()
}

/// Reads the node's figures whenever it is called.
pub(crate) fn figures(node: Node) -> Figures {
    Box::new(move || {
        let node = node.clone();
        Box::pin(async move {
            let stats = node.stats().await.ok()?;
            Some(NetworkFigures {
                peers: stats.peers as u64,
                reservations: stats.reservations_held as u64,
                circuits: stats.circuits as u64,
                stored_services: stats.stored_services as u64,
                stored_bytes: stats.stored_bytes as u64,
                routing_table: stats.routing_table as u64,
                bytes_received: stats.bytes_in,
                bytes_sent: stats.bytes_out,
            })
        })
    })
}

fn with_peer(address: Multiaddr, peer: libp2p_identity::PeerId) -> String {
    address.with_p2p(peer).unwrap_or_else(|address| address).to_string()
}
