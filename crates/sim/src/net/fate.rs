//! What befalls nodes and the ways between them.

use std::time::Duration;

use super::{HELD, Net};
use crate::{
    node::{Fate, Hearing, Mind, NodeId},
    wire::{Happening, Hops},
};

/// How late a sleeper may be with its answers.
const LATE: Duration = Duration::from_secs(1);

impl Net {
    /// The node dies: its connections close at once, dials to it are refused.
    pub fn kill(&mut self, id: NodeId) {
        self.trace.note(self.now, id, 1, &"is killed");
        self.nodes[id.0].lost = false;
        self.end(id);
        for wire in self.nodes[id.0].books.wires.clone() {
            self.close_end(wire, id);
        }
        self.unsilence(id);
    }

    /// The node is gone without a word, as in a power cut: a black hole that never comes back to this life. Unlike a
    /// silenced node it does not live on, so that it costs nothing.
    pub fn lose(&mut self, id: NodeId) {
        self.trace.note(self.now, id, 2, &"is lost");
        self.end(id);
        let node = &mut self.nodes[id.0];
        node.lost = true;
        node.hearing = Hearing { mute: true, deaf: true };
    }

    /// Everything that a life had begun ends.
    fn end(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        node.mind = Mind::Dead;
        for fate in node.orders.values_mut() {
            if matches!(fate, Fate::Pending { .. }) {
                *fate = Fate::Lost;
                self.pending -= 1;
            }
        }
        for attempt in std::mem::take(&mut node.books.attempts) {
            self.forget_attempt(attempt);
        }
    }

    /// The node starts again, with its identity and address and an empty memory.
    pub fn restart(&mut self, id: NodeId) {
        self.restart_with_memory(id, None);
    }

    /// The node starts again with what it last wanted to be kept for its next life.
    pub fn restart_warm(&mut self, id: NodeId) {
        let memory = self.nodes[id.0].memory.clone();
        self.restart_with_memory(id, memory);
    }

    /// The node starts again, and is given these bytes as what its earlier life remembered.
    pub fn restart_with_memory(&mut self, id: NodeId, memory: Option<Vec<u8>>) {
        if self.nodes[id.0].is_alive() || self.nodes[id.0].lost {
            // Who comes back after a loss resets the connections of its earlier life.
            self.kill(id);
        }
        self.nodes[id.0].config.memory = memory;
        self.start(id);
    }

    /// The node becomes a black hole: nothing reaches it, nothing leaves it, nothing is refused. It lives on.
    pub fn silence(&mut self, id: NodeId) {
        self.trace.note(self.now, id, 3, &"falls silent");
        self.nodes[id.0].hearing = Hearing { mute: true, deaf: true };
    }

    /// Everything the node sends is lost, and what is sent to it arrives.
    pub fn mute(&mut self, id: NodeId) {
        self.trace.note(self.now, id, 4, &"falls mute");
        self.nodes[id.0].hearing.mute = true;
    }

    /// Everything that is sent to the node is lost, and what it sends arrives.
    pub fn deafen(&mut self, id: NodeId) {
        self.trace.note(self.now, id, 5, &"goes deaf");
        self.nodes[id.0].hearing.deaf = true;
    }

    /// The node is heard again, and hears.
    pub fn unsilence(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.hearing == Hearing::default() || node.lost {
            return;
        }
        node.hearing = Hearing::default();
        self.trace.note(self.now, id, 6, &"is heard again");
        self.release();
    }

    /// Everything on its way from one node to another is lost. The other direction stays as it is.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.trace.note(self.now, from, 7, &("is not heard by", to));
        self.cuts.insert((from, to));
    }

    /// The node is frozen, as a page in the background or a machine whose lid is closed: it hears and says nothing, and its
    /// timers stand still.
    pub fn fall_asleep(&mut self, id: NodeId) {
        self.silence(id);
        self.nodes[id.0].asleep = true;
    }

    /// The node goes on where it stopped, late for everything, and is told that it woke up.
    pub fn wake_up(&mut self, id: NodeId) {
        self.nodes[id.0].asleep = false;
        self.unsilence(id);
        let slept = std::mem::take(&mut self.slept);
        for happening in slept {
            // Its own timers come before the moment at which the application must have heard from it.
            let delay = if matches!(happening, Happening::Overdue { .. }) { LATE } else { Duration::ZERO };
            match self.is_asleep(&happening) {
                true => self.slept.push(happening),
                false => self.after(delay, happening),
            }
        }
        self.wake(id);
    }

    /// Whether something would happen to a node that sleeps.
    pub(super) fn is_asleep(&self, happening: &Happening) -> bool {
        let of_attempt = |attempt| self.attempts.get(attempt).map(|known| known.node);
        let node = match happening {
            Happening::Timer { node, .. }
            | Happening::Overdue { node, .. }
            | Happening::Tell { node, .. }
            | Happening::Fetch { node, .. }
            | Happening::Ping { node, .. }
            | Happening::PingDue { node, .. }
            | Happening::Renew { node, .. } => Some(*node),
            Happening::Arrive { to, .. } => Some(*to),
            Happening::Step { attempt, .. } | Happening::GiveUp { attempt } => of_attempt(attempt),
        };
        node.is_some_and(|node| self.nodes[node.0].asleep)
    }

    /// Cuts the network: these nodes hear each other only, and everybody else does not hear them.
    pub fn partition(&mut self, island: &[NodeId]) {
        let zone = self.nodes.iter().map(|node| node.zone).max().unwrap_or(0) + 1;
        for id in island {
            self.trace.note(self.now, *id, 8, &"is cut off");
            self.nodes[id.0].zone = zone;
        }
    }

    /// Ends every silence, every cut and every partition. Who is lost stays lost.
    pub fn heal(&mut self) {
        for node in &mut self.nodes {
            node.zone = 0;
            if !node.lost {
                node.hearing = Hearing::default();
            }
        }
        self.cuts.clear();
        self.release();
    }

    /// Moves a node's wall clock; its monotonic clock does not notice.
    pub fn jump_clock(&mut self, id: NodeId, milliseconds: i64) {
        self.nodes[id.0].clock.skew_ms += milliseconds;
    }

    /// How many places a relay gives from here on.
    pub fn set_places(&mut self, relay: NodeId, places: usize) {
        self.nodes[relay.0].places = places;
    }

    pub(super) fn blocked(&self, hops: Hops) -> bool {
        hops.pairs().any(|(from, to)| self.lost_between(from, to) || (hops.trips > 1 && self.lost_between(to, from)))
    }

    fn lost_between(&self, from: NodeId, to: NodeId) -> bool {
        let (sender, receiver) = (&self.nodes[from.0], &self.nodes[to.0]);
        let cut = !self.cuts.is_empty() && self.cuts.contains(&(from, to));
        sender.hearing.mute || receiver.hearing.deaf || sender.zone != receiver.zone || cut
    }

    /// What was held goes on its way, where the way is free again.
    fn release(&mut self) {
        for happening in std::mem::take(&mut self.held) {
            match happening.hops() {
                Some(hops) if !self.blocked(hops) => {
                    let travel = self.travel(hops.times(1));
                    self.after(travel, happening);
                }
                _ => self.held.push(happening),
            }
        }
    }

    /// Forgets what nobody would receive, were it ever heard again.
    pub(super) fn forget_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        held.retain(|happening| match happening {
            Happening::Arrive { wire, to, .. } => self.wires.get(wire).is_some_and(|known| known.end(*to).open),
            Happening::Step { attempt, .. } => self.attempts.contains_key(attempt),
            Happening::Fetch { node, life, fetch, .. } => {
                let node = &self.nodes[node.0];
                node.life == *life && node.books.fetches.contains(fetch)
            }
            _ => true,
        });
        self.held = held;
        self.held_limit = HELD.max(2 * self.held.len());
    }
}
