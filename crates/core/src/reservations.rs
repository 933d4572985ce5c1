//! The reservation keeper: a node behind a NAT, or in a browser, is reached through relays that hold a place for it.
//!
//! The keeper wants [`Config::reservations`](crate::Config) reservations at different relays. A lost one is asked for
//! again with backoff, at the same relay or another, whichever is connected and not waiting. libp2p's relay client renews
//! a reservation before it expires and reports when that fails; when the link to the relay dies, the reservation is gone.
//!
//! Bounds: one entry for each connected relay.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use crate::{
    address::{circuit_through, signalled_over},
    backoff::Backoff,
    boundary::Output,
    config::Config,
    context::Context,
    map::Map,
};

/// First and longest delay before a relay that refused is asked again. A full relay gets places back when others leave;
/// guesses.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Time for a relay to answer: one round trip and its own patience; a guess.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Stage {
    Asked { until: Duration },
    Held,
    Waiting { until: Duration },
}

#[derive(Debug)]
struct Entry {
    stage: Stage,
    backoff: Backoff,
    /// The addresses at which the relay is reached, best first.
    addresses: Vec<Multiaddr>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    relays: Map<PeerId, Entry>,
}

impl Reservations {
    /// Asks connected relays for what is missing.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) {
        for entry in self.relays.values_mut() {
            if let Stage::Asked { until } = entry.stage
                && until <= cx.now.elapsed
            {
                entry.stage = Stage::Waiting { until: cx.now.elapsed + entry.backoff.fail(cx.rng) };
            }
        }
        let missing = cx.config.reservations.saturating_sub(self.engaged());
        if missing == 0 {
            return;
        }
        let mut candidates: Vec<(Option<Duration>, PeerId)> = cx
            .links
            .peers()
            .filter(|(id, peer)| peer.relay && peer.server && self.may_ask(id, cx.now.elapsed))
            .map(|(id, peer)| (peer.rtt, *id))
            .collect();
        // Relays with a measured round trip first, the nearest of them before the others.
        crate::map::sort_by_key(&mut candidates, |(rtt, id)| (rtt.is_none(), *rtt, *id));
        for (_, relay) in candidates.into_iter().take(missing) {
            self.ask(cx, relay);
        }
    }

    pub(crate) fn held(&mut self, relay: &PeerId) -> bool {
        let Some(entry) = self.relays.get_mut(relay) else { return false };
        let new = !matches!(entry.stage, Stage::Held);
        entry.stage = Stage::Held;
        entry.backoff.reset();
        new
    }

    /// True if a held reservation was lost.
    pub(crate) fn lost(&mut self, cx: &mut Context<'_>, relay: &PeerId) -> bool {
        let Some(entry) = self.relays.get_mut(relay) else { return false };
        let held = matches!(entry.stage, Stage::Held);
        entry.stage = Stage::Waiting { until: cx.now.elapsed + entry.backoff.fail(cx.rng) };
        held
    }

    /// The last link to a relay is gone; true if a reservation went with it.
    pub(crate) fn disconnected(&mut self, relay: &PeerId) -> bool {
        self.relays.remove(relay).is_some_and(|entry| matches!(entry.stage, Stage::Held))
    }

    /// Asks every relay again that refused, whatever its backoff says: the network has come back.
    pub(crate) fn retry_now(&mut self, elapsed: Duration) {
        for entry in self.relays.values_mut() {
            if let Stage::Waiting { until } = &mut entry.stage {
                *until = elapsed.min(*until);
                entry.backoff.reset();
            }
        }
    }

    /// The addresses at which others reach this node through its reservations, every relay's best one first. If it `goes_direct`,
    /// each that a page can dial stands there a second time, as that of a direct path: those of the best addresses behind them,
    /// the others at the end, since records are cut there.
    pub(crate) fn endpoints(&self, config: &Config) -> Vec<Multiaddr> {
        let held: Vec<_> = self.relays.iter().filter(|(_, entry)| matches!(entry.stage, Stage::Held)).collect();
        let most = held.iter().map(|(_, entry)| entry.addresses.len()).max().unwrap_or(0);
        let (mut endpoints, mut direct) = (Vec::new(), Vec::new());
        for rank in 0..most {
            for (relay, address) in held.iter().filter_map(|(relay, entry)| Some((**relay, entry.addresses.get(rank)?)))
            {
                let circuit = circuit_through(address, relay);
                if config.goes_direct() && (config.can_dial)(address) {
                    direct.push(signalled_over(&circuit));
                }
                endpoints.push(circuit);
            }
            if rank == 0 {
                endpoints.append(&mut direct);
            }
        }
        endpoints.append(&mut direct);
        endpoints
    }

    /// Whether a place at this relay is held or asked for.
    pub(crate) fn concerns(&self, relay: &PeerId) -> bool {
        self.relays.get(relay).is_some_and(|entry| !matches!(entry.stage, Stage::Waiting { .. }))
    }

    /// The relays that hold a place for this node.
    pub(crate) fn holders(&self) -> Vec<PeerId> {
        let held = self.relays.iter().filter(|(_, entry)| matches!(entry.stage, Stage::Held));
        held.map(|(relay, _)| *relay).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.relays.values().filter(|entry| matches!(entry.stage, Stage::Held)).count()
    }

    /// When [`Reservations::advance`] has something to do, if `wanted` reservations are wanted.
    pub(crate) fn next_deadline(&self, wanted: usize) -> Option<Duration> {
        let missing = self.engaged() < wanted;
        self.relays
            .values()
            .filter_map(|entry| match entry.stage {
                Stage::Asked { until } => Some(until),
                Stage::Waiting { until } if missing => Some(until),
                _ => None,
            })
            .min()
    }

    fn engaged(&self) -> usize {
        self.relays.values().filter(|entry| !matches!(entry.stage, Stage::Waiting { .. })).count()
    }

    fn may_ask(&self, relay: &PeerId, elapsed: Duration) -> bool {
        self.relays.get(relay).is_none_or(|entry| matches!(entry.stage, Stage::Waiting { until } if until <= elapsed))
    }

    fn ask(&mut self, cx: &mut Context<'_>, relay: PeerId) {
        let Some(peer) = cx.links.peer(&relay) else { return };
        let Some((_, link)) = cx.links.best(&relay) else { return };
        let seen = strip_peer(&link.address);
        let mut addresses = vec![seen.clone()];
        addresses.extend(peer.addresses.iter().map(strip_peer).filter(|address| *address != seen));
        let stage = Stage::Asked { until: cx.after(ANSWER) };
        match self.relays.get_mut(&relay) {
            Some(entry) => (entry.stage, entry.addresses) = (stage, addresses),
            None => {
                let backoff = Backoff::new(RETRY.0, RETRY.1);
                self.relays.insert(relay, Entry { stage, backoff, addresses });
            }
        }
        cx.outputs.push_back(Output::Reserve { relay, address: seen });
    }
}

fn strip_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|protocol| !matches!(protocol, multiaddr::Protocol::P2p(_))).collect()
}

#[cfg(test)]
mod tests;
