//! The lifecycle of a directory's entries: how a node that falls silent is waited for, asked after, and at last given up.
//!
//! A directory that forgets too early costs everybody more than one that remembers too long, so patience grows with every
//! step. An entry keeps its identity and all its data in every state but the last, and one sign of life puts it back to
//! `active` at once, however long it was away. This table is the whole machine; the times are those of [`LifecycleConfig`],
//! here with their defaults:
//!
//! | state | for | then | and at its end |
//! |---|---|---|---|
//! | `active` | 90 s without a heartbeat | `pending-first-check` | the node is checked |
//! | `active`, hung up | 30 s without a heartbeat | `pending-first-check` | the node is checked |
//! | `pending-first-check` | 5 min, or until the check fails | `failed-first-check` | |
//! | `failed-first-check` | 1 h | `retry-48-hours` | |
//! | `retry-48-hours` | 48 h | `retry-2-weeks` | the node is checked |
//! | `retry-2-weeks` | two weeks | `retry-2-months` | the node is checked |
//! | `retry-2-months` | 60 days | `coma` | the node is checked |
//! | `coma` | 730 days | `dead` | |
//! | `draining` | 1 h | `retry-48-hours` | |
//! | `dead` | | | the entry is forgotten |
//!
//! [`handle_heard`](Lifecycle::handle_heard) leads from every state but `dead` to `active`,
//! [`handle_farewell`](Lifecycle::handle_farewell) to `draining`, and there are no other moves. A node has hung up when its
//! connection to the directory ended in good order ([`handle_hung_up`](Lifecycle::handle_hung_up)): it may be gone, or a page
//! that is loaded again, or send heartbeats in another way, so it is waited for during one
//! [`heartbeat`](LifecycleConfig::heartbeat).
//!
//! **Nobody is judged while the directory itself may be the one that is deaf.** When many nodes leave `active` at once
//! ([`BrakeConfig`]), the brake holds: time stands still for every entry, failed checks count for nothing, and heartbeats and
//! successful checks do what they always do. A node that has hung up does not count, since a directory that hears others hang
//! up is not deaf: pages come and go by the dozen. The brake lets go [`grace`](LifecycleConfig::grace) after enough of the
//! silent ones came back, when an operator says so, or at its limit. After a start with known entries, and after a stall of
//! the process, time stands still for `grace` too.
//!
//! # Driving it
//!
//! After each call that takes a fact: [`poll_output`](Lifecycle::poll_output) until there is none, then
//! [`handle_timeout`](Lifecycle::handle_timeout) at the time of [`poll_timeout`](Lifecycle::poll_timeout). Waiting is
//! measured by [`Now::elapsed`], so a wall clock that jumps kills nobody; dates are for people and for the next life.
//!
//! A heartbeat costs no search: the deadline moves, and the queue finds out when the old one comes. The machine does not
//! know who the entries are; it numbers them. Bounds: an entry costs 48 bytes, and the caller decides how many there are.

mod config;
mod hold;
mod queue;
mod state;

use std::{collections::VecDeque, time::Duration};

pub use self::{
    config::{BrakeConfig, LifecycleConfig, LifecycleConfigError},
    hold::{Cause, Hold},
    state::{STATES, State, UnknownState},
};
use self::{
    hold::{Brake, Silence},
    queue::Queue,
};
use crate::time::{Now, millis};

/// The number of an entry, small and dense; numbers of removed entries are given again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryId(u32);

impl EntryId {
    /// The smallest number.
    pub const FIRST: Self = Self(0);

    /// The number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an entry stands, as it is kept for the directory's next life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// When it was entered, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When it ends unless the node is heard, in milliseconds since the Unix epoch. While the brake holds it moves on.
    pub deadline: u64,
}

/// What comes of facts and time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// An entry is in another state. An entry that is [`State::Dead`] is gone with this.
    Moved {
        /// The entry.
        entry: EntryId,
        /// Where it was.
        from: State,
        /// Where it is.
        standing: Standing,
    },
    /// The node should be asked whether it is there. The answer is a fact for [`Lifecycle::handle_heard`] or
    /// [`Lifecycle::handle_unreached`]; none is no harm.
    Check(EntryId),
    /// Time stands still.
    Held(Hold),
    /// Time goes on.
    Released(Hold),
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    /// When the state was entered, in milliseconds since the Unix epoch.
    since: u64,
    /// When it ends, in milliseconds of the lifecycle's own time.
    deadline: u64,
    /// Its silence, while that counts for the brake.
    silent: Option<Silence>,
    /// Whether its connection ended in good order and it was not heard since.
    hung_up: bool,
}

/// The machine; see the module's documentation.
#[derive(Debug)]
pub struct Lifecycle {
    config: LifecycleConfig,
    entries: Vec<Option<Entry>>,
    free: Vec<EntryId>,
    /// Each entry under a time that is not after its deadline.
    queue: Queue,
    counts: [usize; STATES],
    brake: Brake,
    outputs: VecDeque<Output>,
}

impl Lifecycle {
    /// A lifecycle without entries. The configuration must be valid.
    pub fn new(config: LifecycleConfig, now: Now) -> Self {
        debug_assert_eq!(config.validate(), Ok(()));
        Self {
            brake: Brake::new(now),
            config,
            entries: Vec::new(),
            free: Vec::new(),
            queue: Queue::default(),
            counts: [0; STATES],
            outputs: VecDeque::new(),
        }
    }

    /// A node registers: its entry is `active`.
    pub fn admit(&mut self, now: Now) -> EntryId {
        let deadline = self.brake.time(now) + millis(self.config.active);
        let (state, since) = (State::Active, now.unix_ms);
        self.insert(Entry { state, since, deadline, silent: None, hung_up: false })
    }

    /// An entry of an earlier life, or of another instance. What is left of its time is believed as far as it is plausible, so
    /// that a wrong clock costs one step at most. None for dead entries.
    pub fn restore(&mut self, now: Now, standing: Standing) -> Option<EntryId> {
        if standing.state == State::Dead {
            return None;
        }
        let left = standing.deadline.saturating_sub(now.unix_ms).min(millis(self.config.stay(standing.state)));
        let deadline = self.brake.time(now) + left;
        let Standing { state, since, .. } = standing;
        Some(self.insert(Entry { state, since, deadline, silent: None, hung_up: false }))
    }

    /// The directory was away and knows nothing of what its nodes did: nobody is judged for the time of grace.
    pub fn handle_absence(&mut self, now: Now) {
        let until = now.elapsed + self.config.grace;
        if let Some(hold) = self.brake.hold(now, Cause::Absence, until) {
            self.outputs.push_back(Output::Held(hold));
        }
    }

    /// A sign of life: a signed heartbeat, or a check that reached the node under its identity. True if the entry was not
    /// active.
    pub fn handle_heard(&mut self, now: Now, id: EntryId) -> bool {
        self.spoke(now, id, State::Active)
    }

    /// The node says that it is about to stop.
    pub fn handle_farewell(&mut self, now: Now, id: EntryId) {
        self.spoke(now, id, State::Draining);
    }

    /// The node's connection to the directory ended, and not by silence. It may be back in a moment, or send heartbeats in
    /// another way, so an active node stays so for the time of one heartbeat; and its silence from here on is its own.
    pub fn handle_hung_up(&mut self, now: Now, id: EntryId) {
        let deadline = self.brake.time(now) + millis(self.config.heartbeat);
        let Some(Some(entry)) = self.entries.get_mut(id.index()) else { return };
        entry.hung_up = true;
        if entry.state == State::Active && deadline < entry.deadline {
            entry.deadline = deadline;
            self.queue.file(deadline, id);
        }
    }

    /// A check did not reach the node. It ends a pending first check, and means nothing in other states: heartbeats outweigh
    /// checks, since a node behind a firewall sends what it cannot receive.
    pub fn handle_unreached(&mut self, now: Now, id: EntryId) {
        let pending = self.entry(id).is_some_and(|entry| entry.state == State::PendingFirstCheck);
        if pending && self.brake.held().is_none() {
            self.advance(now, id);
        }
    }

    /// The node is no longer to be waited for.
    pub fn remove(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(id.index()).and_then(Option::take) else { return };
        self.queue.remove(id);
        self.counts[entry.state as usize] -= 1;
        self.brake.forget(entry.silent);
        self.free.push(id);
    }

    /// Lets the brake go before the silent nodes are back. Who went silent until now trips it no more.
    pub fn release(&mut self, now: Now) {
        self.pardon(u64::MAX);
        if let Some(hold) = self.brake.release(now) {
            self.outputs.push_back(Output::Released(hold));
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.is_late(now) {
            return self.handle_absence(now);
        }
        if let Some(hold) = self.brake.held() {
            if self.brake.ends_at().is_none_or(|end| now.elapsed < end) {
                return;
            }
            match hold.cause {
                Cause::MassSilence if self.brake.at_limit(now) => self.release(now),
                _ => self.outputs.extend(self.brake.release(now).map(Output::Released)),
            }
        }
        let time = self.brake.time(now);
        self.pardon(time.saturating_sub(millis(self.config.brake.window)));
        for _ in 0..self.config.moves {
            let Some((filed, id)) = self.queue.first() else { break };
            if filed > time {
                break;
            }
            let Some(deadline) = self.entry(id).map(|entry| entry.deadline) else { break };
            if deadline > time {
                self.queue.file(deadline, id);
                continue;
            }
            self.advance(now, id);
            if self.brake.held().is_some() {
                break;
            }
        }
    }

    /// What came of facts and time, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), in [`Now::elapsed`]. It may be earlier than anything happens.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.brake.held().is_some() {
            return self.brake.ends_at();
        }
        self.queue.first().map(|(filed, _)| self.brake.elapsed_at(filed))
    }

    /// The state of an entry.
    pub fn state(&self, id: EntryId) -> Option<State> {
        self.entry(id).map(|entry| entry.state)
    }

    /// Where an entry stands, with dates as they are if time passes from now on.
    pub fn standing(&self, now: Now, id: EntryId) -> Option<Standing> {
        let entry = self.entry(id)?;
        let left = entry.deadline.saturating_sub(self.brake.time(now));
        Some(Standing { state: entry.state, since: entry.since, deadline: now.unix_ms.saturating_add(left) })
    }

    /// Whether the connection of an entry ended in good order, and it was not heard since.
    pub fn has_hung_up(&self, id: EntryId) -> bool {
        self.entry(id).is_some_and(|entry| entry.hung_up)
    }

    /// How many entries are in a state.
    pub fn count(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries that are here, by number.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> {
        let entries = self.entries.iter().zip(0..);
        entries.filter(|(entry, _)| entry.is_some()).map(|(_, number)| EntryId(number))
    }

    /// Whether time stands still, since when and why.
    pub fn held(&self) -> Option<Hold> {
        self.brake.held()
    }

    /// The times in use.
    pub fn config(&self) -> &LifecycleConfig {
        &self.config
    }

    fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.index())?.as_ref()
    }

    fn insert(&mut self, entry: Entry) -> EntryId {
        self.counts[entry.state as usize] += 1;
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            EntryId(u32::try_from(self.entries.len() - 1).expect("four thousand million entries do not fit in memory"))
        });
        self.queue.file(entry.deadline, id);
        self.entries[id.index()] = Some(entry);
        id
    }

    /// The node has shown itself, and is in `state` then.
    fn spoke(&mut self, now: Now, id: EntryId, state: State) -> bool {
        let deadline = self.brake.time(now) + millis(self.config.stay(state));
        let Some(Some(entry)) = self.entries.get_mut(id.index()) else { return false };
        (entry.deadline, entry.hung_up) = (deadline, false);
        self.brake.forget(entry.silent.take());
        let from = std::mem::replace(&mut entry.state, state);
        if from != state {
            // In the same state a deadline only moves on, and the queue finds out by itself.
            if self.queue.time(id).is_some_and(|filed| deadline < filed) {
                self.queue.file(deadline, id);
            }
            self.moved(now, id, from);
        }
        self.ease(now);
        from != state
    }

    /// Moves an entry one step on.
    fn advance(&mut self, now: Now, id: EntryId) {
        let time = self.brake.time(now);
        let Some(Some(entry)) = self.entries.get_mut(id.index()) else { return };
        let from = entry.state;
        entry.state = from.after_silence();
        let counts = from == State::Active && !entry.hung_up;
        if counts {
            entry.silent = Some(self.brake.note(time, id));
        }
        if entry.state == State::Dead {
            self.moved(now, id, from);
            return self.remove(id);
        }
        entry.deadline = time + millis(self.config.stay(entry.state));
        self.queue.file(entry.deadline, id);
        self.moved(now, id, from);
        if from.ends_with_check() {
            self.outputs.push_back(Output::Check(id));
        }
        let there = self.counts[State::Active as usize];
        if counts && self.brake.is_tripped(&self.config.brake, there) {
            let until = now.elapsed + self.config.brake.limit;
            self.outputs.extend(self.brake.hold(now, Cause::MassSilence, until).map(Output::Held));
        }
    }

    /// Tells that an entry, whose state has been set, was elsewhere before.
    fn moved(&mut self, now: Now, id: EntryId, from: State) {
        let Some(Some(entry)) = self.entries.get_mut(id.index()) else { return };
        entry.since = now.unix_ms;
        self.counts[from as usize] -= 1;
        self.counts[entry.state as usize] += 1;
        let left = entry.deadline.saturating_sub(self.brake.time(now));
        let deadline = now.unix_ms.saturating_add(left);
        let standing = Standing { state: entry.state, since: now.unix_ms, deadline };
        self.outputs.push_back(Output::Moved { entry: id, from, standing });
    }

    /// Who went silent before `time` does not count for the brake.
    fn pardon(&mut self, time: u64) {
        while let Some((silence, id)) = self.brake.outdated(time) {
            if let Some(Some(entry)) = self.entries.get_mut(id.index())
                && entry.silent == Some(silence)
            {
                self.brake.forget(entry.silent.take());
            }
        }
    }

    /// The brake lets go soon if enough of the silent nodes are back.
    fn ease(&mut self, now: Now) {
        let there = self.counts[State::Active as usize];
        if self.brake.is_over(&self.config.brake, there) {
            self.brake.ease(now.elapsed + self.config.grace);
        }
    }

    /// Whether nobody called for longer than a node in good health may be silent: the process stood still.
    fn is_late(&self, now: Now) -> bool {
        self.poll_timeout().is_some_and(|due| now.elapsed > due.saturating_add(self.config.active))
    }
}

#[cfg(test)]
mod tests;
