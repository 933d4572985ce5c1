//! The orders of the application, and how each comes to its one end.

use std::time::Duration;

use libp2p_identity::PeerId;
use multiaddr::Multiaddr;

use super::Machine;
use crate::{
    address::is_private,
    boundary::{OpId, Outcome, Output, RegistrationId},
    error::Error,
    event::{Event, State, Status},
    find::{Asker, FindOptions},
    map::Set,
    name::ServiceTarget,
    open::Target,
    orders::{Order, OrderKind},
    publish::{Offer, OfferPatch},
    time::Now,
};

/// Age from which a dial that is under way at a wake is begun anew: it may have been lost in the sleep. Longer than a
/// handshake over an ocean.
const STALE: Duration = Duration::from_secs(3);

/// Time for withdrawals to reach their holders when the node closes.
const FAREWELL: Duration = Duration::from_secs(1);

impl Machine {
    /// Waits until the node has joined.
    pub fn ready(&mut self, op: OpId, limit: Duration, now: Now) {
        self.order(op, OrderKind::Join, "joining", limit, now);
        self.advance(now);
    }

    /// Offers a service; ends when it can be reached and a write quorum holds its record.
    pub fn provide(&mut self, op: OpId, offer: Offer, limit: Duration, now: Now) {
        let name = offer.name.clone();
        let mut parts = self.parts(now);
        match parts.publisher.provide(&mut parts.cx, parts.dht, op, offer) {
            Ok(_) => {
                self.cache.services.offered(&name);
                self.order(op, OrderKind::Publish, "offering the service", limit, now);
            }
            Err(error) => self.done(op, Err(error)),
        }
        self.advance(now);
    }

    /// Changes an offer.
    pub fn update(&mut self, op: OpId, id: RegistrationId, patch: OfferPatch, limit: Duration, now: Now) {
        let mut parts = self.parts(now);
        match parts.publisher.update(&mut parts.cx, parts.dht, op, id, patch) {
            Ok(()) => self.order(op, OrderKind::Publish, "updating the service", limit, now),
            Err(error) => self.done(op, Err(error)),
        }
        self.advance(now);
    }

    /// Takes an offer back. Without `op`, nobody waits for it.
    pub fn withdraw(&mut self, op: Option<OpId>, id: RegistrationId, limit: Duration, now: Now) {
        if let Some(op) = op {
            self.order(op, OrderKind::Publish, "withdrawing the service", limit, now);
        }
        let mut parts = self.parts(now);
        if let (Err(error), Some(op)) = (parts.publisher.withdraw(&mut parts.cx, parts.dht, op, id), op) {
            self.done(op, Err(error));
        }
        self.advance(now);
    }

    /// Looks for providers of a name.
    pub fn find(&mut self, op: OpId, target: ServiceTarget, options: FindOptions, now: Now) {
        self.start_find(Asker::Find(op), target, options, now);
        self.advance(now);
    }

    /// Opens a stream to a provider.
    pub fn open(&mut self, op: OpId, target: Target, limit: Duration, now: Now) {
        if self.openings.len() >= self.config.max_orders {
            let most = self.config.max_orders;
            return self.done(op, Err(Error::Quota(format!("{most} streams are being opened already"))));
        }
        self.order(op, OrderKind::Open, "opening the stream", limit, now);
        match target {
            Target::Name(target) => {
                let parts = self.parts(now);
                parts.openings.start_by_name(op, target.clone());
                self.start_find(Asker::Open(op), target, FindOptions { timeout: limit, ..FindOptions::default() }, now);
            }
            Target::Record(record) => {
                let mut parts = self.parts(now);
                parts.openings.start(&mut parts.cx, parts.dht, op, record.name, record.provider, record.endpoints);
            }
            Target::Peer { peer, name } => {
                let mut parts = self.parts(now);
                let circuits = parts.ladder.circuits(&peer);
                parts.openings.start(&mut parts.cx, parts.dht, op, name, peer, circuits);
            }
        }
        self.advance(now);
    }

    /// Finds out whether a peer is there, at the addresses it gave; ends well once a link to it stands. For relays, which ask
    /// after the nodes of their directories: an address in a private network, or a name, is dialled only by a relay that is
    /// reached in private networks alone, so that nobody can aim it at what lies behind it.
    ///
    /// Ends with `UNREACHABLE` or `TIMEOUT` if the peer is not there, and with `UNSUPPORTED` or `QUOTA` if that cannot be said.
    pub fn reach(&mut self, op: OpId, peer: PeerId, addresses: &[Multiaddr], limit: Duration, now: Now) {
        if !self.config.role.is_relay() {
            return self.done(op, Err(Error::Unsupported("only relays ask after others".to_owned())));
        }
        if self.reaches.len() >= self.config.max_orders {
            let most = self.config.max_orders;
            return self.done(op, Err(Error::Quota(format!("{most} peers are being asked after already"))));
        }
        self.order(op, OrderKind::Open, "reaching the peer", limit, now);
        let own = self.endpoints();
        let private = !own.is_empty() && own.iter().all(is_private);
        let mut parts = self.parts(now);
        parts.reaches.start(&mut parts.cx, op, peer, addresses, private);
        self.advance(now);
    }

    /// The caller of an order gave it up: it ends with [`Error::Aborted`], unless it has ended.
    pub fn cancel(&mut self, op: OpId, now: Now) {
        if !self.orders.contains_key(&op) && !self.finds.orders().any(|find| find == op) {
            return;
        }
        self.give_up(op, now);
        self.done(op, Err(Error::Aborted));
        self.advance(now);
    }

    /// The network came back, or the page woke up: everything that waits for its turn is tried at once, and every link that
    /// was not heard a moment ago must show within a second and a half that it lives.
    pub fn wake(&mut self, now: Now) {
        if std::mem::take(&mut self.offline) {
            return self.network_changed(now);
        }
        // Whoever only looks at another tab for a moment loses no link, however busy the page is at its return.
        self.awaken(self.config.link_silence / 2, now);
        let parts = self.parts(now);
        parts.ladder.wake(&parts.cx);
        self.advance(now);
    }

    /// The node is in another network, a mobile one after Wi-Fi for example. The same as [`Machine::wake`], but no link is
    /// believed to have come along, however lately it was heard.
    pub fn network_changed(&mut self, now: Now) {
        self.awaken(Duration::ZERO, now);
        let parts = self.parts(now);
        parts.ladder.network_changed(&parts.cx);
        self.advance(now);
    }

    /// Tries at once what waits for its turn, and doubts links that were not heard within `trusted`.
    fn awaken(&mut self, trusted: Duration, now: Now) {
        for dial in self.links.older(now.elapsed, STALE) {
            self.give_dial_up(dial, now);
        }
        for (peer, connection) in self.links.doubt(now, trusted) {
            self.outputs.push_back(Output::Ping { peer, connection });
        }
        self.join.retry_now(now.elapsed);
        self.lists.retry_now(now.elapsed);
        self.reservations.retry_now(now.elapsed);
        let mut parts = self.parts(now);
        parts.topology.wake(&mut parts.cx);
    }

    /// The page goes this very moment, and what it does not do at once it never does: WebRTC connections are closed, since
    /// browsers end those of a page that goes without a word, and peers notice after some twenty seconds. Sockets they close.
    pub fn hang_up(&mut self, now: Now) {
        for connection in self.links.over_webrtc() {
            self.links.release(connection);
            self.outputs.push_back(Output::Disconnect { connection });
        }
        self.advance(now);
    }

    /// Takes all offers back and ends every order.
    pub fn close(&mut self, op: OpId, now: Now) {
        self.set_status(State::Closed, None);
        self.remember_all(now);
        let pending: Vec<_> = self.orders.keys().copied().chain(self.finds.orders()).collect();
        for pending in pending {
            self.give_up(pending, now);
            self.done(pending, Err(Error::Closed));
        }
        let mut parts = self.parts(now);
        parts.publisher.withdraw_all(&mut parts.cx, parts.dht);
        self.order(op, OrderKind::Close, "closing", FAREWELL, now);
        self.advance(now);
    }

    pub(super) fn end_overdue_orders(&mut self, now: Now) {
        if self.publisher.is_idle() {
            let closing = self.orders.iter().find(|(_, order)| order.kind == OrderKind::Close).map(|(op, _)| *op);
            if let Some(op) = closing {
                self.done(op, Ok(Outcome::Closed));
            }
        }
        let joining = self.orders.iter().filter(|(_, order)| order.kind == OrderKind::Join);
        let overdue: Vec<_> = if self.is_ready() {
            joining.map(|(op, _)| *op).collect()
        } else {
            let hopeless = self.join.hopeless() && self.lists.is_empty();
            self.orders
                .iter()
                .filter(|(_, order)| order.deadline <= now.elapsed || (hopeless && order.kind == OrderKind::Join))
                .map(|(op, _)| *op)
                .collect()
        };
        let late = self.orders.iter().filter(|(_, order)| order.deadline <= now.elapsed).map(|(op, _)| *op);
        let overdue: Set<_> = overdue.into_iter().chain(late).collect();
        for op in overdue {
            let Some(order) = self.orders.get(&op) else { continue };
            let (kind, what, limit) = (order.kind, order.what, order.limit);
            if let Some(silent) = self.openings.trying(op) {
                self.cache.providers.failed(silent, now);
            }
            let hint = self.give_up(op, now);
            let outcome = match kind {
                OrderKind::Join if self.is_ready() => Ok(Outcome::Joined),
                OrderKind::Join => Err(self.no_relay()),
                OrderKind::Close => Ok(Outcome::Closed),
                OrderKind::Open if !hint.is_empty() => Err(Error::Unreachable(hint)),
                OrderKind::Publish | OrderKind::Open => Err(Error::Timeout { what, limit, hint: self.doubt() }),
            };
            self.done(op, outcome);
        }
    }

    /// Takes an order out of every part; what is known of its trouble.
    pub(super) fn give_up(&mut self, op: OpId, now: Now) -> String {
        let mut parts = self.parts(now);
        parts.finds.cancel(&mut parts.cx, parts.dht, Asker::Find(op));
        parts.finds.cancel(&mut parts.cx, parts.dht, Asker::Open(op));
        parts.publisher.cancel(&mut parts.cx, parts.dht, op);
        parts.reaches.cancel(op);
        parts.openings.cancel(&mut parts.cx, parts.dht, op).unwrap_or_default()
    }

    pub(super) fn order(&mut self, op: OpId, kind: OrderKind, what: &'static str, limit: Duration, now: Now) {
        let deadline = now.elapsed.saturating_add(limit);
        self.orders.insert(op, Order { kind, what, limit, deadline });
    }

    pub(super) fn done(&mut self, op: OpId, outcome: Result<Outcome, Error>) {
        self.orders.remove(&op);
        self.outputs.push_back(Output::Done { op, outcome });
    }

    pub(super) fn set_status(&mut self, state: State, reason: Option<String>) {
        let status = Status { state, reason };
        if status != self.status {
            self.status = status.clone();
            self.outputs.push_back(Output::Event(Event::Status(status)));
        }
    }
}
