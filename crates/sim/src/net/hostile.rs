//! Peers without rules.

use libp2p_identity::Keypair;
use openred_core::{RequestId, Response, Role};

use super::Net;
use crate::{
    Time,
    node::{Mind, NodeId},
};

impl Net {
    /// A DHT server without rules, which answers every request with what `answer` says.
    pub fn hostile(&mut self, answer: impl FnMut(&[u8]) -> Response + 'static) -> NodeId {
        let keypair = self.draw_keypair();
        self.hostile_as(keypair, answer)
    }

    /// The same with an identity of the caller's choice.
    pub fn hostile_as(&mut self, keypair: Keypair, answer: impl FnMut(&[u8]) -> Response + 'static) -> NodeId {
        let id = self.register_as(keypair, Role::Relay, &[], |_| {});
        let node = &mut self.nodes[id.0];
        node.life += 1;
        node.mind = Mind::Hostile(Box::new(answer));
        id
    }

    /// Sends a raw DHT message from a hostile node, over a new connection if there is none; what was answered, or nothing
    /// if the stream was reset or stayed without an answer for a second.
    pub fn say(&mut self, hostile: NodeId, to: NodeId, message: &[u8]) -> Option<Vec<u8>> {
        let peer = self.peer(to);
        self.meet(hostile, to);
        let wire = self.direct_wire(hostile, &peer).expect("they are connected");
        let request = RequestId(self.fresh_id());
        self.request(hostile, wire, request, message.to_vec(), true);
        self.run_until(1.s(), |net| net.nodes[hostile.0].books.replies.contains_key(&request));
        self.nodes[hostile.0].books.replies.remove(&request).flatten()
    }

    /// Begins to connect a hostile node to another.
    pub fn greet(&mut self, hostile: NodeId, other: NodeId) {
        let (peer, address) = (self.peer(other), self.address(other));
        self.raw_dial(hostile, peer, address);
    }

    /// Connects a hostile node to another and lets them identify each other.
    pub fn meet(&mut self, hostile: NodeId, other: NodeId) {
        let peer = self.peer(other);
        if self.direct_wire(hostile, &peer).is_none() {
            let address = self.address(other);
            self.raw_dial(hostile, peer, address);
            self.run_until(1.s(), |net| net.direct_wire(hostile, &peer).is_some());
            self.run_for(100.ms());
        }
    }
}
