//! What can be seen of a machine from outside.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::{Machine, NotDirect};
use crate::{
    dht::{Counters, store::Store},
    event::{Path, Status},
};

/// A peer as [`Machine::peers`] lists it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// What it is to the network: `relay`, `server` (of the DHT).
    pub roles: Vec<&'static str>,
    /// How it is reached best.
    pub path: Path,
    /// The best link's address as seen from here.
    pub address: Multiaddr,
    /// The addresses it claims to be reached at, unverified.
    pub addresses: Vec<Multiaddr>,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// When the best link came to be, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl PeerInfo {
    /// The transport of the best link: `websocket`, `webrtc-direct`, `webrtc`, `quic`, `tcp`, or `circuit`.
    pub fn transport(&self) -> &'static str {
        use multiaddr::Protocol;
        if self.path == Path::Relayed {
            return "circuit";
        }
        let mut transport = "unknown";
        for protocol in &self.address {
            transport = match protocol {
                Protocol::Ws(_) | Protocol::Wss(_) => "websocket",
                Protocol::WebRTCDirect => "webrtc-direct",
                Protocol::WebRTC => "webrtc",
                Protocol::QuicV1 => "quic",
                Protocol::Tcp(_) => "tcp",
                _ => transport,
            };
        }
        transport
    }
}

/// Counters of the machine; the shell adds its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connected peers.
    pub peers: usize,
    /// Connected relays of this network.
    pub relays: usize,
    /// Reservations held at relays.
    pub reservations: usize,
    /// Finds that have ended.
    pub finds: u64,
    /// The time they took together.
    pub find_time: Duration,
    /// Service names stored for others.
    pub stored_services: usize,
    /// Bytes stored for others.
    pub stored_bytes: usize,
    /// Peers in the routing table.
    pub routing_table: usize,
    /// What the DHT has counted.
    pub dht: Counters,
    /// Finds that found something, by the layer that answered first, in the order of [`Layer::ALL`](crate::find::Layer::ALL).
    pub finds_by_layer: [u64; 5],
    /// Finds that were answered from the cache without asking the network.
    pub cache_hits: u64,
    /// Finds for which the cache was asked and the network had to be asked as well.
    pub cache_misses: u64,
    /// Names in the cache.
    pub cached_services: usize,
    /// Bytes they take.
    pub cached_bytes: usize,
    /// Relays and DHT servers that are remembered.
    pub remembered_peers: usize,
    /// Servers of this network that were linked, vanished, and are looked for.
    pub lost: usize,
}

/// Why a peer is reachable, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// A stable code: `SELF`, `DIRECT`, `RELAYED`, `KNOWN` (not connected, addresses known) or `UNKNOWN`.
    pub code: &'static str,
    /// The same in a sentence.
    pub reason: String,
    /// Why there is no direct path, if the peer is reached through a relay, or could not be reached lately.
    pub not_direct: Option<NotDirect>,
}

impl Explanation {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), not_direct: None }
    }
}

impl Machine {
    /// This node's id.
    pub fn local(&self) -> PeerId {
        self.local
    }

    /// The state, and why if that is not plain.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The connected peers, in the order of their ids.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.links
            .peers()
            .filter_map(|(id, peer)| {
                let (_, link) = self.links.best(id)?;
                let mut roles = Vec::new();
                roles.extend((peer.relay && peer.server).then_some("relay"));
                roles.extend(peer.server.then_some("server"));
                Some(PeerInfo {
                    peer: *id,
                    roles,
                    path: link.path,
                    address: link.address.clone(),
                    addresses: peer.addresses.clone(),
                    rtt: peer.rtt,
                    since: link.since.unix_ms,
                })
            })
            .collect()
    }

    /// Counters up to this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            peers: self.links.peers().count(),
            relays: self.links.peers().filter(|(_, peer)| peer.relay && peer.server).count(),
            reservations: self.reservations.count(),
            stored_services: self.dht.store.services(),
            stored_bytes: self.dht.store.bytes(),
            routing_table: self.dht.table.len(),
            dht: self.dht.counters().clone(),
            finds_by_layer: self.finds.counts.by_layer,
            cache_hits: self.finds.counts.hits,
            cache_misses: self.finds.counts.misses,
            cached_services: self.cache.services.len(),
            cached_bytes: self.cache.services.bytes(),
            remembered_peers: self.cache.peers.len(),
            lost: self.topology.lost(),
            ..self.stats.clone()
        }
    }

    /// What this node holds for others.
    pub fn store(&self) -> &Store {
        &self.dht.store
    }

    /// The addresses at which others reach this node, without the final `/p2p`.
    pub fn endpoints(&self) -> Vec<Multiaddr> {
        let mut endpoints = self.public.clone();
        endpoints.extend(self.reservations.endpoints(&self.config));
        endpoints
    }

    /// Why a peer is reachable, or is not; and if not directly, why.
    pub fn explain(&self, peer: &PeerId) -> Explanation {
        if *peer == self.local {
            return Explanation::new("SELF", "this is the node itself");
        }
        let mut explanation = match self.links.best(peer) {
            Some((_, link)) if link.path == Path::Direct => {
                return Explanation::new("DIRECT", format!("connected over {}", link.address));
            }
            Some((_, link)) => Explanation::new("RELAYED", format!("connected through {}", link.address)),
            None if self.dht.table.peers().any(|known| known.peer == *peer) => {
                Explanation::new("KNOWN", "not connected; its addresses are known and are dialled when needed")
            }
            None if self.topology.seeks(peer) => {
                Explanation::new("KNOWN", "not connected; it vanished, and is dialled again until it is back")
            }
            None => Explanation::new("UNKNOWN", "not connected; opening a stream would look its addresses up"),
        };
        explanation.not_direct = match self.links.is_connected(peer) {
            true => Some(self.ladder.explain(&self.config, &self.links, &self.local, peer, self.clock.elapsed)),
            false => self.openings.unreached(peer).cloned(),
        };
        explanation
    }
}
