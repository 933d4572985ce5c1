//! What runs on connections, as shells count it for their machines: service streams, and circuits at their relay.

use openred_core::{ConnectionId, Input};

use super::{Net, orders::Order};
use crate::{
    node::NodeId,
    wire::{Packet, Via, WireId},
};

impl Net {
    /// One side closes the stream of an answered open; the other side learns of it.
    pub fn close_stream(&mut self, order: Order) {
        let id = order.node;
        if let Some(wire) = self.nodes[id.0].books.streams.remove(&order.op) {
            self.stream_closed(id, wire);
            self.settle(id);
        }
    }

    /// The opener's side of a stream has ended.
    pub(super) fn stream_closed(&mut self, id: NodeId, wire: WireId) {
        self.carries(id, wire, -1);
        self.send(id, wire, 1, Packet::StreamClosed);
    }

    /// The number of streams and circuits on one side of a connection changes.
    pub(super) fn carries(&mut self, id: NodeId, wire: WireId, change: isize) {
        let Some(end) = self.wires.get_mut(&wire).map(|known| known.end_mut(id)) else { return };
        if end.node != id || !end.open {
            return;
        }
        end.streams = end.streams.saturating_add_signed(change);
        let streams = end.streams;
        self.tell_soon(id, Input::Carries { connection: ConnectionId(wire.0), streams });
    }

    /// A circuit begins or ends at its relay.
    pub(super) fn circuit(&mut self, via: Via, change: isize) {
        for under in via.under {
            self.carries(via.relay, under, change);
        }
    }
}
