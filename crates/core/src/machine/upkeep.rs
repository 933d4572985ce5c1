//! What is done whenever time passes or anything happens: each part looks whether something is due, and news go round.

use std::time::Duration;

use super::{Machine, Parts};
use crate::{
    boundary::{DialFailure, DialId, Outcome, Output},
    config::Role,
    dht::News,
    event::{Event, JoinStage, State},
    orders::OrderKind,
    time::{Now, millis},
    topology::Neighbours,
};

/// How far the wall clock may run from the monotonic one between two looks before it counts as set: less than the shortest
/// ttl, more than any correction of a running clock.
const CLOCK_JUMP: Duration = Duration::from_secs(30);

/// Connections that joining seeks; the network itself names further ones. Two more than one, so that neither a liar nor a
/// relay that ends leaves a new node alone; a guess.
const FIRST_CONTACTS: usize = 3;

impl Machine {
    /// Lets every part do what is due.
    pub(super) fn advance(&mut self, now: Now) {
        self.dht.at(now.elapsed);
        let by_elapsed = self.clock + now.elapsed.saturating_sub(self.clock.elapsed);
        if now.unix_ms.abs_diff(by_elapsed.unix_ms) > millis(CLOCK_JUMP) {
            self.publisher.clock_was_set(now);
        }
        self.clock = now;
        for dial in self.links.overdue(now.elapsed) {
            self.give_dial_up(dial, now);
        }
        for (peer, address) in self.links.late(now.elapsed) {
            self.parts(now).cx.dial_again(peer, address);
        }
        let mut parts = self.parts(now);
        parts.openings.overdue(&mut parts.cx, parts.dht);
        if self.status.state != State::Closed {
            let lacking = self.lacks_contacts();
            let mut parts = self.parts(now);
            parts.join.advance(&mut parts.cx, lacking);
            parts.lists.advance(&mut parts.cx, lacking);
            if self.status.state == State::Joining && self.is_alone() {
                // A relay that nobody sent anywhere is a network of its own.
                self.set_status(State::Ready, None);
                self.joined(now);
            }
            let mut parts = self.parts(now);
            if parts.cx.config.role == Role::Client {
                parts.reservations.advance(&mut parts.cx);
            }
            let ready = self.is_ready();
            let Parts { mut cx, topology, dht, join, reservations, openings, .. } = self.parts(now);
            topology.advance(&mut cx, &mut Neighbours { dht, join, reservations, openings }, ready);
        }
        let ready = self.is_ready() || self.status.state == State::Closed;
        let mut parts = self.parts(now);
        parts.publisher.advance(&mut parts.cx, parts.dht, ready);
        parts.dht.advance(&mut parts.cx);
        self.settle_finds(now);
        self.end_overdue_orders(now);
        if self.status.state != State::Closed {
            let mut parts = self.parts(now);
            parts.ladder.advance(&mut parts.cx);
            self.remember(now);
        }
    }

    /// Gives a dial up that has taken too long.
    pub(super) fn give_dial_up(&mut self, dial: DialId, now: Now) {
        let age = self.links.dial_age(dial, now.elapsed).unwrap_or_default();
        self.outputs.push_back(Output::CancelDial { dial });
        let failure = DialFailure::Failed(format!("no answer within {} s", age.as_secs()));
        self.dial_failed(dial, &failure, now);
    }

    pub(super) fn hand_round_news(&mut self, now: Now) {
        while let Some(news) = self.dht.poll_news() {
            let (state, offline) = (self.status.state, self.offline);
            let mut parts = self.parts(now);
            match news {
                News::Bundle(lookup, bundle) => parts.finds.found(&mut parts.cx, lookup, &bundle),
                News::Seconded(lookup) => parts.finds.seconded(lookup, now),
                News::Late(bundle, took) => parts.cx.cache.services.learn(&bundle, Some(took), now),
                News::Addresses(lookup, record) => {
                    parts.openings.addresses(&mut parts.cx, parts.dht, lookup, &record.record().addresses);
                }
                News::Answer(peer) => {
                    if matches!(state, State::Joining | State::Offline) && !offline {
                        parts.join.tell(&mut parts.cx, peer, JoinStage::DhtAnswered);
                        if state == State::Offline {
                            parts.publisher.alarm(&mut parts.cx);
                        }
                        self.set_status(State::Ready, None);
                        self.joined(now);
                    }
                }
                News::LookedUp(lookup, walk) => {
                    parts.publisher.walked(&mut parts.cx, walk);
                    if parts.topology.looked_up(&mut parts.cx, lookup, walk.answers) {
                        continue;
                    }
                    parts.openings.looked_up(&mut parts.cx, parts.dht, lookup);
                    parts.finds.looked_up(&mut parts.cx, lookup, walk.answers > 0);
                }
                News::Placed(placement, placed, holders) => {
                    parts.publisher.placed(&mut parts.cx, placement, placed, holders);
                }
                News::Probed(probe, probed) => parts.publisher.probed(&mut parts.cx, probe, probed),
                News::Misbehaved(peer, reason) => {
                    parts.cx.emit(Event::Warning { code: "MISBEHAVED", message: format!("{peer}: {reason}") });
                }
            }
        }
    }

    pub(super) fn joined(&mut self, now: Now) {
        let mut parts = self.parts(now);
        parts.publisher.advance(&mut parts.cx, parts.dht, true);
        let waiting: Vec<_> =
            self.orders.iter().filter(|(_, order)| order.kind == OrderKind::Join).map(|(op, _)| *op).collect();
        for op in waiting {
            self.done(op, Ok(Outcome::Joined));
        }
    }

    /// Whether relays that nobody named as a must are to be tried: too few are connected, and the network names no others.
    pub(super) fn lacks_contacts(&self) -> bool {
        let connected = self.links.servers();
        connected < FIRST_CONTACTS.min(self.config.relay_links)
            && (!self.is_ready() || self.dht.table.len() <= connected)
    }

    pub(super) fn endpoints_changed(&mut self, now: Now) {
        let endpoints = self.endpoints();
        self.dht.relays = self.reservations.holders();
        let mut parts = self.parts(now);
        parts.publisher.set_endpoints(&mut parts.cx, endpoints);
    }
}
