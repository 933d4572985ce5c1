//! What one find's walk through the DHT cost, seen from outside: the messages of the node that asks, and how many hops away
//! those stood who answered.
//!
//! A peer that the node asks out of its own routing table is one hop away; a peer named by an answer, one hop more than the
//! first who named it. This is read from the bytes on the wire and needs nothing from the machine.

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::PeerId;
use openred_core::{
    RequestId,
    dht::key::Key,
    name::ServiceTarget,
    wire::kad::{Request, Response},
};

use super::{Net, orders::Order};
use crate::node::NodeId;

/// The cost of one walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Requests that were sent for it.
    pub requests: u32,
    /// Answers that came.
    pub answers: u32,
    /// How many hops away the first stood who had a value, and when it answered.
    pub first: Option<(u32, Duration)>,
    /// How many hops away the farthest stood who answered.
    pub deepest: u32,
}

/// Walks that are being watched.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    walks: BTreeMap<Order, Watch>,
}

#[derive(Debug)]
struct Watch {
    key: Vec<u8>,
    walk: Walk,
    depths: BTreeMap<PeerId, u32>,
    asked: BTreeMap<RequestId, PeerId>,
}

impl Net {
    /// Begins to look for a name, and watches the walk.
    pub fn seek_watched(&mut self, id: NodeId, target: &str) -> Order {
        let key = self.key_of(target);
        let watch = Watch { key, walk: Walk::default(), depths: BTreeMap::new(), asked: BTreeMap::new() };
        // The walk begins within the order: its number is the next.
        let order = Order { node: id, op: openred_core::OpId(self.next_id + 1) };
        self.watched.walks.insert(order, watch);
        let sought = self.seek(id, target);
        assert_eq!(sought, order, "an order takes the next number");
        order
    }

    /// What a watched walk has cost; it is not watched any more.
    pub fn walk(&mut self, order: Order) -> Option<Walk> {
        self.watched.walks.remove(&order).map(|watch| watch.walk)
    }

    /// The key under which the records of a target stand.
    pub fn key_of(&self, target: &str) -> Vec<u8> {
        let target: ServiceTarget = target.parse().expect("a service's name");
        let network = Default::default();
        let key = match &target.provider {
            Some(provider) => Key::service_of(&network, &target.name, provider),
            None => Key::service(&network, &target.name),
        };
        key.as_bytes().to_vec()
    }

    pub(super) fn watch_request(&mut self, id: NodeId, to: PeerId, request: RequestId, message: &[u8]) {
        let walks = self.watched.walks.iter_mut().filter(|(order, _)| order.node == id);
        for (_, watch) in walks {
            if let Ok(Request::GetValue { key }) = Request::decode(message)
                && key == watch.key
            {
                watch.walk.requests += 1;
                watch.asked.insert(request, to);
            }
        }
    }

    pub(super) fn watch_answer(&mut self, id: NodeId, request: RequestId, message: &[u8]) {
        let now = self.now;
        let walks = self.watched.walks.iter_mut().filter(|(order, _)| order.node == id);
        for (_, watch) in walks {
            let Some(peer) = watch.asked.remove(&request) else { continue };
            let asked = Request::GetValue { key: watch.key.clone() };
            let Ok(Response::GetValue { value, closer }) = Response::decode(&asked, message) else { continue };
            let depth = *watch.depths.entry(peer).or_insert(1);
            watch.walk.answers += 1;
            watch.walk.deepest = watch.walk.deepest.max(depth);
            if value.is_some_and(|value| !value.is_empty()) {
                watch.walk.first.get_or_insert((depth, now));
            }
            for closer in closer {
                watch.depths.entry(closer.peer).or_insert(depth + 1);
            }
        }
    }

    pub(super) fn watches(&self) -> bool {
        !self.watched.walks.is_empty()
    }
}
