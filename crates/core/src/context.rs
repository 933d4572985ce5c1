//! What every part of the machine shares while it handles one fact: the time, the links, and where actions go.

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::{
    address::is_signalled,
    boundary::{ConnectionId, DialId, OpId, Outcome, Output},
    cache::Cache,
    config::Config,
    error::Error,
    event::Event,
    links::Links,
    orders::Orders,
    time::Now,
};

/// Addresses tried in one dial. libp2p dials eight at a time.
const MAX_DIAL_ADDRESSES: usize = 16;

/// See the module's documentation.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) local: PeerId,
    pub(crate) links: &'a mut Links,
    pub(crate) cache: &'a mut Cache,
    pub(crate) rng: &'a mut Rng,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) orders: &'a mut Orders,
}

/// How far a wish to be connected has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connecting {
    /// A link stands.
    Connected(ConnectionId),
    /// A dial is under way.
    Dialling,
    /// No address can be dialled from here.
    Impossible,
}

impl Context<'_> {
    pub(crate) fn after(&self, delay: Duration) -> Duration {
        self.now.elapsed + delay
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn done(&mut self, op: OpId, outcome: Result<Outcome, Error>) {
        self.orders.remove(&op);
        self.outputs.push_back(Output::Done { op, outcome });
    }

    /// Makes sure that a link to the peer stands or is being dialled.
    pub(crate) fn connect(&mut self, peer: PeerId, addresses: &[Multiaddr]) -> Connecting {
        if let Some((connection, _)) = self.links.best(&peer) {
            return Connecting::Connected(connection);
        }
        if self.links.is_dialling(&peer) {
            return Connecting::Dialling;
        }
        match self.dial(peer, addresses) {
            Some(_) => Connecting::Dialling,
            None => Connecting::Impossible,
        }
    }

    /// A dial of a peer came to nothing.
    pub(crate) fn unreachable(&mut self, peer: &PeerId) {
        if !self.links.is_connected(peer) && !self.links.is_dialling(peer) {
            self.cache.peers.failed(peer, self.now);
        }
    }

    /// Dials a peer at the addresses that this node may and can dial, whether or not a link stands already. Direct paths
    /// behind a relay are left out, whoever names them: they are the ladder's, see [`Context::dial_direct`].
    pub(crate) fn dial(&mut self, peer: PeerId, addresses: &[Multiaddr]) -> Option<DialId> {
        let mut dialable: Vec<Multiaddr> = Vec::new();
        for address in addresses.iter().filter(|address| !is_signalled(address)) {
            let address = complete(address, peer);
            let linked = relay_of(&address).is_some_and(|relay| self.links.is_connected(&relay));
            if (linked || self.config.may_dial(&address)) && !dialable.contains(&address) {
                dialable.push(address);
            }
        }
        self.spare(Some(peer), &mut dialable);
        dialable.truncate(MAX_DIAL_ADDRESSES);
        if peer == self.local || dialable.is_empty() {
            return None;
        }
        let dial = self.links.dial(Some(peer), self.now.elapsed, self.config.dial_timeout)?;
        self.outputs.push_back(Output::Dial { dial, peer: Some(peer), addresses: dialable });
        Some(dial)
    }

    /// Leaves WebRTC-direct out of a dial, if the page has spent much: unless the relay is configured, or the peer was reached
    /// so before; and if the peer is known to be reached by other means, unless there are none.
    pub(crate) fn spare(&self, peer: Option<PeerId>, addresses: &mut Vec<Multiaddr>) {
        if self.links.connections_made < self.config.peer_connections.spare_relays {
            return;
        }
        let direct = |address: &Multiaddr| address.iter().any(|protocol| protocol == Protocol::WebRTCDirect);
        let known = peer.and_then(|peer| self.cache.peers.get(&peer)).filter(|known| known.proven);
        let proven = known.and_then(|known| known.addresses.first()).map(direct);
        let otherwise = proven == Some(false) && !addresses.iter().all(direct);
        let configured = |address: &Multiaddr| {
            let mut relays = self.config.relays.iter();
            relays.any(|relay| relay.multiaddr == *address || (relay.peer.is_some() && relay.peer == peer))
        };
        addresses.retain(|address| !direct(address) || (!otherwise && (proven == Some(true) || configured(address))));
    }

    /// Dials a peer once more where a link leads that may be dead.
    pub(crate) fn dial_again(&mut self, peer: PeerId, address: Multiaddr) {
        if let Some(dial) = self.links.dial_beside(peer, self.now.elapsed, self.config.dial_timeout) {
            let addresses = vec![complete(&address, peer)];
            self.outputs.push_back(Output::Dial { dial, peer: Some(peer), addresses });
        }
    }

    /// Dials a peer at the address of a direct path, beside the relayed link over which it is agreed on.
    pub(crate) fn dial_direct(&mut self, peer: PeerId, address: Multiaddr) -> Option<DialId> {
        let dial = self.links.dial_beside(peer, self.now.elapsed, self.config.direct_attempt)?;
        let addresses = vec![complete(&address, peer)];
        self.outputs.push_back(Output::Dial { dial, peer: Some(peer), addresses });
        Some(dial)
    }
}

/// The relay of a circuit address.
pub(crate) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut last = None;
    for protocol in address {
        match protocol {
            Protocol::P2p(peer) => last = Some(peer),
            Protocol::P2pCircuit => return last,
            _ => {}
        }
    }
    None
}

/// A circuit address names its target behind the circuit; every other address does without.
fn complete(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    let mut address = address.clone();
    let ends_in_peer = matches!(address.iter().last(), Some(Protocol::P2p(_)));
    let behind = address.iter().any(|protocol| protocol == Protocol::P2pCircuit);
    match (behind, ends_in_peer) {
        (true, false) => address.push(Protocol::P2p(peer)),
        (false, true) => drop(address.pop()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests;
