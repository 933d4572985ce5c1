//! A start in a network that has settled long ago, for simulations of a size at which joining one by one would take hours.

use libp2p_identity::PeerId;

use super::Machine;
use crate::{boundary::Response, time::Now, wire::kad::PeerAddresses};

impl Machine {
    /// Puts DHT servers into the routing table as if each had once been connected and had identified itself; how many the
    /// table holds afterwards. Nothing is sent, and no link is believed to stand.
    ///
    /// For simulations: a node in the world gets to know others by connecting to them.
    pub fn acquaint(&mut self, servers: impl IntoIterator<Item = PeerAddresses>, now: Now) -> usize {
        for server in servers {
            self.dht.table.seen(server, now.elapsed);
        }
        self.dht.table.len()
    }

    /// Answers another peer's request out of table and store, and does nothing else: no other part hears of it.
    ///
    /// For simulations of networks so large that their servers cannot all keep their neighbourhoods too.
    pub fn serve(&mut self, peer: PeerId, message: &[u8], now: Now) -> Response {
        let mut parts = self.parts(now);
        let response = parts.dht.asked(&mut parts.cx, peer, message);
        while self.dht.poll_news().is_some() {}
        self.outputs.clear();
        response
    }
}
