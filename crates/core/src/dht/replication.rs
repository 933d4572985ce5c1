//! Keeping every value at `k` holders while servers come and go.
//!
//! Each server compares who lives near it (the *view*: the nearest [`VIEW`] servers that were met and do not fail) with the
//! view at its last sweep. If they differ, it sweeps through its store in the order of the key space. For each key the `k`
//! closest of the old view were to hold the value, and the `k` closest of the new one are to: the difference is pushed the
//! value, by the first [`PUSHERS`] of those that were to hold it and live, so that it arrives even if two of them are
//! wrong, and is not sent twenty times. A newcomer is so given what it is close to.
//!
//! Who *was* to hold a value is an opinion: a view does not reach as far to the other side of a key. With all holders
//! alive that makes no odds. After a *mass loss*, of a quarter of the view or more, the few who are left may be those of
//! whom it is wrong, so nobody is believed to hold the value, twice as many push it, and every value that has one holder
//! left gets to `k` again.
//!
//! What is pushed is what holders merge: the newest record of each provider, withdrawals included, so nothing comes back
//! that was taken back. Addresses of peers are pushed only while their own date says they are fresh, since holders give
//! them a whole life when they arrive; announcements of providers cannot be pushed, their provider repeats them. Nothing is
//! dropped here: who is not among the closest any more keeps what it has until it expires or the store is full.
//!
//! libp2p-kad and go-libp2p-kad-dht leave this to republishing every 22 hours.
//!
//! Bounds: [`Config::repair_rate`](crate::Config) messages a second, [`IN_FLIGHT`] of them unanswered, [`CHUNK`] keys in a
//! step of [`STEP`]; two views and the pushes of one chunk in memory.

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;

use super::{
    CLOSEST, Dht, Purpose,
    key::{Distance, Key, Position},
};
use crate::{
    context::Context,
    map::Set,
    wire::kad::{PeerAddresses, Request},
};

/// Servers in a view: three times `k`. Keys that are held here lie so near that their `k` closest are among them.
pub(super) const VIEW: usize = 3 * CLOSEST;

/// Holders that push the same value. One may be wrong about who lives, one may have missed the value itself.
const PUSHERS: usize = 3;

/// How long a difference is looked at before a sweep: a burst of losses is one loss, and a restart none. And how much of it
/// is by chance, so that neighbours do not all begin at once.
const SETTLE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

/// Keys looked at in one step, and the time between two steps: a millisecond of work each on a common machine, and five
/// seconds for a full store.
const CHUNK: usize = 256;
const STEP: Duration = Duration::from_millis(20);

/// Pushes that may be unanswered; a silent target is found out before it holds up more than these.
const IN_FLIGHT: usize = 64;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Replication {
    /// Who lived at the last sweep.
    settled: Vec<Near>,
    /// The table's version that was compared last.
    version: Option<u64>,
    due: Option<Duration>,
    sweep: Option<Sweep>,
}

#[derive(Clone, Debug)]
struct Near {
    position: Position,
    peer: PeerAddresses,
}

#[derive(Debug)]
struct Sweep {
    view: Vec<Near>,
    /// How far from this node the last key was that was looked at.
    last: Option<Distance>,
    pushes: VecDeque<(Key, PeerAddresses)>,
    /// When the next step is due.
    due: Duration,
    /// Whether so many were lost that nobody is believed to hold anything.
    mass: bool,
    /// Whether all keys were looked at.
    whole: bool,
    /// Parts of a push that may be sent, in the unit of the rate.
    allowance: f64,
}

impl Replication {
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.sweep.as_ref().map(|sweep| sweep.due).or(self.due)
    }
}

impl Dht {
    /// Compares views, begins a sweep, takes the next step of one.
    pub(super) fn replicate(&mut self, cx: &mut Context<'_>) {
        if cx.config.repair_rate == 0 {
            return;
        }
        if self.replication.sweep.is_some() {
            return self.step(cx);
        }
        let version = self.table.version();
        if self.replication.version != Some(version) {
            self.replication.version = Some(version);
            let soon = cx.now.elapsed + SETTLE.0 + SETTLE.1.mul_f64(cx.rng.f64());
            self.replication.due.get_or_insert(soon);
        }
        if self.replication.due.take_if(|due| *due <= cx.now.elapsed).is_none() {
            return;
        }
        let view = self.view(cx);
        let ids = |view: &[Near]| view.iter().map(|near| near.peer.peer).collect::<Set<PeerId>>();
        if self.store.is_empty() || ids(&view) == ids(&self.replication.settled) {
            self.replication.settled = view;
            return;
        }
        self.counters.sweeps += 1;
        let due = cx.now.elapsed;
        let settled = &self.replication.settled;
        let stayed = settled.iter().filter(|one| contains(&view, one)).count();
        let mass = stayed * 4 < settled.len() * 3;
        let sweep = Sweep { view, last: None, pushes: VecDeque::new(), due, mass, whole: false, allowance: 0.0 };
        self.replication.sweep = Some(sweep);
        self.step(cx);
    }

    fn view(&self, cx: &Context<'_>) -> Vec<Near> {
        let local = Position::of_peer(&cx.local);
        let mut near = self.table.live(&local, VIEW);
        // A full bucket has no room for a newcomer that stands here all the same.
        for (peer, known) in cx.links.peers().filter(|(_, known)| known.server) {
            if !self.suspects.contains_key(peer) && !near.iter().any(|near| near.peer == *peer) {
                near.push(PeerAddresses { peer: *peer, addresses: known.addresses.clone() });
            }
        }
        near.sort_by_cached_key(|peer| local.distance(&Position::of_peer(&peer.peer)));
        near.truncate(VIEW);
        near.into_iter().map(|peer| Near { position: Position::of_peer(&peer.peer), peer }).collect()
    }

    fn step(&mut self, cx: &mut Context<'_>) {
        let Some(mut sweep) = self.replication.sweep.take_if(|sweep| sweep.due <= cx.now.elapsed) else { return };
        sweep.due = cx.now.elapsed + STEP;
        if sweep.pushes.is_empty() && !sweep.whole {
            self.look_at_chunk(cx, &mut sweep);
        }
        let rate = f64::from(cx.config.repair_rate);
        sweep.allowance = (sweep.allowance + rate * STEP.as_secs_f64()).min(rate.max(1.0));
        let mut unanswered = self.requests.values().filter(|request| request.purpose == Purpose::Push).count();
        while sweep.allowance >= 1.0 && unanswered < IN_FLIGHT {
            let Some((key, to)) = sweep.pushes.pop_front() else { break };
            // Whoever turned out silent since has been counted as lost, and the next sweep finds another.
            if self.suspects.contains_key(&to.peer) {
                continue;
            }
            let value = self.store.value(&key).filter(|value| value.is_fresh(cx.now)).and_then(|v| v.encode(cx.now));
            let Some(value) = value else { continue };
            let request = Request::PutValue { key: key.as_bytes().to_vec(), value };
            if self.request(cx, &to, request, Purpose::Push).is_some() {
                (unanswered, sweep.allowance) = (unanswered + 1, sweep.allowance - 1.0);
                self.counters.pushed += 1;
            }
        }
        if sweep.whole && sweep.pushes.is_empty() {
            self.replication.settled = sweep.view;
        } else {
            self.replication.sweep = Some(sweep);
        }
    }

    fn look_at_chunk(&self, cx: &Context<'_>, sweep: &mut Sweep) {
        let local = Position::of_peer(&cx.local);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut keys = 0;
        for (distance, key) in self.store.beyond(sweep.last) {
            sweep.last = Some(distance);
            keys += 1;
            let position = local.at(&distance);
            closest(&self.replication.settled, &position, &mut old);
            closest(&sweep.view, &position, &mut new);
            let nearer = |one: &&Near| position.distance(&one.position) < distance;
            let before_me = old.iter().copied().filter(|one| nearer(one) && contains(&sweep.view, one)).count();
            if before_me < if sweep.mass { 2 * PUSHERS } else { PUSHERS } {
                // This node itself has one of the places, if it is near enough.
                let mine = new.iter().copied().filter(nearer).count() < CLOSEST;
                let places = if mine { CLOSEST - 1 } else { CLOSEST };
                let lacks = |one: &&Near| sweep.mass || !old.iter().any(|old| old.peer.peer == one.peer.peer);
                let targets = new.iter().copied().take(places).filter(lacks).map(|one| (key.clone(), one.peer.clone()));
                sweep.pushes.extend(targets);
            }
            if keys == CHUNK {
                return;
            }
        }
        sweep.whole = true;
    }
}

/// The `k` closest of a view to a key, closest first.
fn closest<'a>(view: &'a [Near], key: &Position, found: &mut Vec<&'a Near>) {
    found.clear();
    found.extend(view);
    let distance = |near: &&Near| key.distance(&near.position);
    if found.len() > CLOSEST {
        found.select_nth_unstable_by_key(CLOSEST - 1, distance);
        found.truncate(CLOSEST);
    }
    found.sort_unstable_by_key(distance);
}

fn contains(view: &[Near], one: &Near) -> bool {
    view.iter().any(|near| near.position == one.position)
}
