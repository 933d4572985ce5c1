//! Finding out whether a peer is there: a link that stands or can be made proves it, since its other end has the peer's key.
//!
//! This is what a relay's directory wants to know of nodes that fell silent. Their addresses were given by themselves, so
//! only those of the public Internet are dialled, unless this relay itself is reached at private addresses alone: no private
//! ones, no translators or tunnels that could lead to such, and no names, which lead wherever their owners want. A relay is
//! asked for a circuit only if a link to it stands. A link that was made stays: the topology and the shell give
//! back what nobody uses.
//!
//! Bounds: [`Config::max_orders`](crate::Config) questions at once.

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    address::is_global,
    boundary::{DialFailure, OpId, Outcome},
    context::{Connecting, Context, relay_of},
    error::Error,
    map::Map,
};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Reaches {
    waiting: Map<OpId, PeerId>,
}

impl Reaches {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Begins; `private` says whether private addresses may be dialled.
    pub(crate) fn start(
        &mut self,
        cx: &mut Context<'_>,
        op: OpId,
        peer: PeerId,
        addresses: &[Multiaddr],
        private: bool,
    ) {
        let own = |address: &Multiaddr| relay_of(address) == Some(cx.local);
        if !addresses.is_empty() && addresses.iter().all(own) && !cx.links.is_connected(&peer) {
            let reason = "it is reached through this relay alone, and is not connected to it";
            return cx.done(op, Err(Error::Unreachable(reason.to_owned())));
        }
        let way = |address: &&Multiaddr| match relay_of(address) {
            Some(relay) => cx.links.is_connected(&relay),
            None => private || is_global(address),
        };
        let ways: Vec<Multiaddr> = addresses.iter().filter(way).cloned().collect();
        match cx.connect(peer, &ways) {
            Connecting::Connected(_) => cx.done(op, Ok(Outcome::Reached)),
            Connecting::Dialling => drop(self.waiting.insert(op, peer)),
            Connecting::Impossible => {
                let reason = "none of its addresses can, or may, be dialled from here";
                cx.done(op, Err(Error::Unsupported(reason.to_owned())));
            }
        }
    }

    /// A link to a peer stands.
    pub(crate) fn connected(&mut self, cx: &mut Context<'_>, peer: &PeerId) {
        for op in self.take(peer) {
            cx.done(op, Ok(Outcome::Reached));
        }
    }

    /// A dial of a peer failed.
    pub(crate) fn dial_failed(&mut self, cx: &mut Context<'_>, peer: &PeerId, failure: &DialFailure) {
        if cx.links.is_connected(peer) || cx.links.is_dialling(peer) {
            return;
        }
        for op in self.take(peer) {
            cx.done(op, Err(Error::Unreachable(failure.to_string())));
        }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn cancel(&mut self, op: OpId) {
        self.waiting.remove(&op);
    }

    fn take(&mut self, peer: &PeerId) -> Vec<OpId> {
        let waiting: Vec<OpId> = self.waiting.iter().filter(|(_, wanted)| *wanted == peer).map(|(op, _)| *op).collect();
        waiting.iter().for_each(|op| self.cancel(*op));
        waiting
    }
}

#[cfg(test)]
mod tests;
