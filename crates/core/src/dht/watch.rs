//! Watching the neighbourhood: the servers nearest to this node hold what it holds, so their loss is its business.
//!
//! Once in [`Config::watch`](crate::Config) one of the `k` nearest servers, in turn, is asked for this node's own position.
//! That shows whether it lives, and it tells of newcomers. If it is silent, all the others are asked at once: a loss of
//! many is seen as a whole within a few seconds, while a loss of one costs twenty messages. Who is silent is asked again
//! each time until it answers or leaves the table. A walk to the own position follows an alarm, and finds who has moved up.
//!
//! The questions are FIND_NODE, not Kademlia's PING: libp2p-kad does not answer that.
//!
//! Bounds: one question in flight to a neighbour; one alarm in [`ALARM_PAUSE`]; [`MEET`] dials for an answer. Clients watch
//! nobody.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{
    CLOSEST, Dht, Purpose, Want,
    key::{Distance, Position},
    replication::VIEW,
};
use crate::{
    context::Context,
    hearsay::believable,
    map::{Map, Set},
    wire::kad::{PeerAddresses, Request},
};

/// Time between two alarms. Within it whoever was asked has answered or has been asked again.
const ALARM_PAUSE: Duration = Duration::from_secs(5);

/// When the walk begins that follows an alarm: the silent have been told from the slow by then.
const WALK_AFTER: Duration = Duration::from_secs(2);

/// The least and the most time for an answer: twice a patience within these. Wrongly taken for silent costs an alarm.
const ANSWER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// Strangers that would be in the view of [`replication`](super::replication) that are connected for one answer. An answer names twenty; whoever is
/// left over is named again.
const MEET: usize = 4;

/// How long a stranger that was tried is left alone, and how many of those are remembered.
const TRY_AGAIN: Duration = Duration::from_secs(60);
const TRIED: usize = 256;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Watch {
    due: Duration,
    /// How far the neighbour is that was asked last.
    last: Option<Distance>,
    /// Strangers that were met or tried, and until when that is enough: the table may have no room for them.
    tried: Map<PeerId, Duration>,
    alarmed: Option<Duration>,
    walk_due: Option<Duration>,
}

impl Watch {
    pub(super) fn next_deadline(&self) -> Duration {
        self.walk_due.map_or(self.due, |walk| walk.min(self.due))
    }
}

impl Dht {
    /// Asks the neighbour whose turn it is.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) {
        if self.watch.walk_due.take_if(|due| *due <= cx.now.elapsed).is_some() {
            let key = cx.local.to_bytes();
            self.look_up(cx, key, Want::Closest);
        }
        if self.watch.due > cx.now.elapsed {
            return;
        }
        self.watch.due = cx.now.elapsed + cx.config.watch.mul_f64(0.9 + 0.2 * cx.rng.f64());
        let local = Position::of_peer(&cx.local);
        let neighbours = self.table.met(&local, CLOSEST);
        let far = |peer: &PeerAddresses| local.distance(&Position::of_peer(&peer.peer));
        let next = neighbours.iter().find(|peer| self.watch.last.is_none_or(|last| far(peer) > last));
        let Some(next) = next.or(neighbours.first()) else { return };
        self.watch.last = Some(far(next));
        let next = next.peer;
        let live: Set<PeerId> = self.table.live(&local, CLOSEST).into_iter().map(|peer| peer.peer).collect();
        for neighbour in neighbours.iter().filter(|known| known.peer == next || !live.contains(&known.peer)) {
            self.ask_neighbour(cx, neighbour);
        }
    }

    /// A neighbour answered and named who is near: strangers among them are met.
    pub(super) fn neighbour_answered(&mut self, cx: &mut Context<'_>, peer: PeerId, named: Vec<PeerAddresses>) {
        let named = believable(cx, &peer, named);
        let local = Position::of_peer(&cx.local);
        let far = |peer: &PeerAddresses| local.distance(&Position::of_peer(&peer.peer));
        let view = self.table.live(&local, VIEW);
        let farthest = view.last().filter(|_| view.len() == VIEW).map(far);
        self.watch.tried.retain(|_, until| *until > cx.now.elapsed);
        let mut left = MEET.min(TRIED.saturating_sub(self.watch.tried.len()));
        for stranger in named {
            let known = view.iter().any(|known| known.peer == stranger.peer) || stranger.peer == cx.local;
            let beyond = farthest.is_some_and(|farthest| far(&stranger) >= farthest);
            let tried = self.watch.tried.contains_key(&stranger.peer) || self.suspects.contains_key(&stranger.peer);
            if left == 0 || known || beyond || tried || cx.links.is_connected(&stranger.peer) {
                continue;
            }
            left -= 1;
            self.watch.tried.insert(stranger.peer, cx.after(TRY_AGAIN));
            cx.connect(stranger.peer, &stranger.addresses);
        }
    }

    /// A neighbour was silent: all are asked.
    pub(super) fn neighbour_failed(&mut self, cx: &mut Context<'_>) {
        if self.watch.alarmed.is_some_and(|at| at + ALARM_PAUSE > cx.now.elapsed) {
            return;
        }
        self.watch.alarmed = Some(cx.now.elapsed);
        self.watch.walk_due.get_or_insert(cx.now.elapsed + WALK_AFTER);
        self.counters.alarms += 1;
        for neighbour in self.table.live(&Position::of_peer(&cx.local), CLOSEST) {
            self.ask_neighbour(cx, &neighbour);
        }
    }

    fn ask_neighbour(&mut self, cx: &mut Context<'_>, neighbour: &PeerAddresses) {
        let asked = |peer| self.requests.values().any(|known| known.purpose == Purpose::Watch && known.peer == peer);
        if asked(neighbour.peer) {
            return;
        }
        // The patience with a suspect is none; here it is asked in earnest.
        let patience = match cx.links.peer(&neighbour.peer) {
            Some(known) => super::patience::linked(known.answers, known.pings),
            None => self.dials.patience(),
        };
        let request = Request::FindNode { key: cx.local.to_bytes() };
        let sent = self.request(cx, neighbour, request, Purpose::Watch);
        match sent.and_then(|sent| self.requests.get_mut(&sent)) {
            Some(request) => request.deadline = cx.now.elapsed + (patience * 2).clamp(ANSWER.0, ANSWER.1),
            // It cannot be dialled, for now or for ever.
            None => self.table.failed(&neighbour.peer),
        }
    }
}
