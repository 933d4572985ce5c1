//! One find: which layers were asked, what they gave, which is next, and when it is over.
//!
//! The engine asks nobody. [`Find::wishes`] says which layers are due; whoever carries that out tells what came of it by
//! [`Find::asked`], [`Find::gave`] and [`Find::ended`]. Nothing here depends on the order in which equal answers arrive, save
//! the provenance: a record belongs to the layer that gave it first.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::{FindOptions, Layer, LayerConfig, LayerOutcome, LayerReport};
use crate::{
    bundle::{Bundle, Merge},
    cache::services::Cached,
    dht::{LookupId, key::Key},
    map::Map,
    name::ServiceTarget,
    record::{Record, SignedRecord},
    time::Now,
};

/// Shortest and longest settling window. The lower one lets answers that are already on their way arrive, the upper one is for
/// an answer of the DHT that nobody seconds; guesses.
const SETTLE: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(250));

/// The settling window after what is remembered has joined: with the cache's budget before it, it keeps within the 100 ms that
/// known names have (requirement U5).
const SETTLE_REMEMBERED: Duration = Duration::from_millis(30);

/// How much the network stands behind a record, for ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Freshness {
    /// Its holders in the DHT gave it for this find, or lately enough; or this node offers it itself.
    Confirmed,
    /// A directory gave it for this find.
    Told,
    /// It is remembered, and the network has neither confirmed nor contradicted it.
    Remembered,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) layer: Layer,
    pub(super) freshness: Freshness,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// It may yet be asked.
    Idle,
    Asked,
    Over(LayerOutcome),
}

#[derive(Debug)]
struct Track {
    stage: Stage,
    started: Duration,
    /// Until its first records, or its end.
    took: Duration,
    records: usize,
}

/// What is to be done next for a find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) dht: bool,
    /// What is remembered joins.
    pub(super) cache: bool,
    pub(super) directories: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Find {
    pub(super) target: ServiceTarget,
    pub(super) key: Key,
    pub(super) options: FindOptions,
    pub(super) started: Duration,
    /// The walk that this find listens to.
    pub(super) lookup: Option<LookupId>,
    /// Whether this node offers the name itself; else what others say of this node is out of date.
    own: bool,
    local: PeerId,
    pub(super) union: Bundle,
    given: Map<PeerId, Given>,
    pub(super) first: Option<Layer>,
    settled: Option<Duration>,
    /// Whether a second holder has answered; until then the walk is given the longest window.
    seconded: bool,
    /// Until when directories are waited for although the DHT knows nobody.
    patience: Option<Duration>,
    /// What is remembered and has not joined yet.
    remembered: Option<Cached>,
    tracks: [Track; 5],
    /// Whether anybody was asked who could have known.
    pub(super) answered: bool,
    /// Whether a whole walk was answered.
    pub(super) walked: bool,
}

impl Find {
    pub(super) fn new(target: ServiceTarget, key: Key, options: FindOptions, local: PeerId, now: Now) -> Self {
        let idle = || Track { stage: Stage::Idle, started: Duration::ZERO, took: Duration::ZERO, records: 0 };
        let mut tracks: [Track; 5] = std::array::from_fn(|_| idle());
        tracks[Layer::SuperNode as usize].stage =
            Stage::Over(LayerOutcome::Absent("no node is promoted to a super-node in this version"));
        let union = Bundle::new(key.clone());
        Self {
            target,
            key,
            options,
            started: now.elapsed,
            lookup: None,
            own: false,
            local,
            union,
            given: Map::new(),
            first: None,
            settled: None,
            seconded: false,
            patience: None,
            remembered: None,
            tracks,
            answered: false,
            walked: false,
        }
    }

    /// This node offers the name, or does not.
    pub(super) fn own(&mut self, bundle: Option<Bundle>, now: Now) {
        self.asked(Layer::Own, now);
        self.own = bundle.is_some();
        match bundle {
            Some(bundle) => drop(self.absorb(Layer::Own, &bundle, |_| Freshness::Confirmed, now)),
            None => self.ended(Layer::Own, LayerOutcome::Empty, now),
        }
    }

    /// What the cache has, or why it has nothing to say.
    pub(super) fn cache(&mut self, cached: Result<Option<Cached>, &'static str>, now: Now) {
        match cached {
            Ok(Some(cached)) if cached.bundle.live(now).next().is_some() => {
                self.asked(Layer::Cache, now);
                let fresh = cached.age.is_some_and(|age| age <= self.options.max_age);
                let confirmed = cached.bundle.live(now).any(|record| cached.fresh.contains(&record.record().provider));
                self.remembered = Some(cached);
                if fresh && confirmed {
                    self.remember(now);
                    self.end_at_once(now);
                }
            }
            Ok(Some(cached)) => {
                // It has withdrawals only: nobody, and nothing that they withdraw comes back by another layer.
                self.union.merge_all(&cached.bundle, now);
                self.ended(Layer::Cache, LayerOutcome::Empty, now);
            }
            Ok(None) => self.ended(Layer::Cache, LayerOutcome::Empty, now),
            Err(reason) => self.ended(Layer::Cache, LayerOutcome::NotAsked(reason), now),
        }
    }

    /// The network answered a moment ago that nobody offers the name.
    pub(super) fn nobody(&mut self, now: Now) {
        self.asked(Layer::Cache, now);
        self.ended(Layer::Cache, LayerOutcome::Empty, now);
        self.answered = true;
        self.end_at_once(now);
    }

    /// Nothing is asked any more: the find ends in this moment.
    fn end_at_once(&mut self, now: Now) {
        let reason = LayerOutcome::NotAsked("the cache's answer is fresh");
        self.ended(Layer::Dht, reason.clone(), now);
        self.ended(Layer::Directory, reason, now);
        self.settled = Some(now.elapsed);
    }

    /// What is remembered joins the answer.
    pub(super) fn remember(&mut self, now: Now) {
        let Some(cached) = self.remembered.take() else { return };
        let freshness = |provider: &PeerId| {
            if cached.fresh.contains(provider) { Freshness::Confirmed } else { Freshness::Remembered }
        };
        let live = self.absorb(Layer::Cache, &cached.bundle, freshness, now);
        if live == 0 {
            self.ended(Layer::Cache, LayerOutcome::Empty, now);
        }
    }

    /// A layer is asked.
    pub(super) fn asked(&mut self, layer: Layer, now: Now) {
        let started = now.elapsed.saturating_sub(self.started);
        let track = &mut self.tracks[layer as usize];
        if track.stage == Stage::Idle {
            (track.stage, track.started) = (Stage::Asked, started);
        }
    }

    /// A layer gave records; they are verified.
    pub(super) fn gave(&mut self, layer: Layer, bundle: &Bundle, now: Now) {
        let freshness = if layer == Layer::Directory { Freshness::Told } else { Freshness::Confirmed };
        self.answered = true;
        self.absorb(layer, bundle, |_| freshness, now);
    }

    /// A second holder has answered on the walk: the answer does not hang on one word.
    pub(super) fn seconded(&mut self, now: Now) {
        self.seconded = true;
        let window = now.elapsed.saturating_sub(self.started).clamp(SETTLE.0, SETTLE.1);
        self.settled = self.settled.map(|settled| settled.min(now.elapsed.saturating_add(window)));
    }

    /// A layer has nothing more to say.
    pub(super) fn ended(&mut self, layer: Layer, outcome: LayerOutcome, now: Now) {
        let at = now.elapsed.saturating_sub(self.started);
        let track = &mut self.tracks[layer as usize];
        match track.stage {
            Stage::Over(_) => {}
            _ if track.records > 0 => track.stage = Stage::Over(LayerOutcome::Answered),
            Stage::Asked => {
                track.took = at.saturating_sub(track.started);
                track.stage = Stage::Over(outcome);
            }
            Stage::Idle => track.stage = Stage::Over(outcome),
        }
    }

    /// The walk has ended; whether anybody answered on it.
    pub(super) fn walked(&mut self, answers: bool, config: &LayerConfig, now: Now) {
        self.walked = answers;
        self.answered |= answers;
        if answers {
            self.ended(Layer::Dht, LayerOutcome::Empty, now);
            self.patience.get_or_insert(now.elapsed.saturating_add(config.directory_wait));
        } else {
            self.ended(Layer::Dht, LayerOutcome::Failed("no peer answered".to_owned()), now);
        }
    }

    /// What is due.
    pub(super) fn wishes(&self, config: &LayerConfig, ready: bool, now: Now) -> Wishes {
        let idle = |layer: Layer| self.tracks[layer as usize].stage == Stage::Idle;
        let asked = |layer: Layer| self.tracks[layer as usize].stage == Stage::Asked;
        let dht = ready && idle(Layer::Dht);
        let found = self.found(now);
        let late = self.hedge(Layer::Dht, config.dht).is_some_and(|at| at <= now.elapsed);
        let ended = !idle(Layer::Dht) && !asked(Layer::Dht);
        // What is remembered answers before directories are asked in the DHT's place.
        let empty = ended && self.remembered.is_none();
        let before = idle(Layer::Dht) && !ready;
        let directories = idle(Layer::Directory) && !found && !dht && (late || empty || before);
        let others = dht || asked(Layer::Dht) || directories || asked(Layer::Directory);
        let waited = now.elapsed.saturating_sub(self.started) >= config.cache;
        let cache = self.remembered.is_some() && (waited || ended || !others);
        Wishes { dht, cache, directories }
    }

    /// When [`Find::wishes`] or [`Find::is_over`] may say something else although nothing has happened.
    pub(super) fn next_deadline(&self, config: &LayerConfig) -> Duration {
        let cache = self.remembered.as_ref().map(|_| self.started.saturating_add(config.cache));
        let idle = self.tracks[Layer::Directory as usize].stage == Stage::Idle;
        let dht = self.hedge(Layer::Dht, config.dht).filter(|_| idle && self.first.is_none());
        let next = cache.into_iter().chain(dht).min();
        let deadline = self.deadline(config);
        next.map_or(deadline, |next| next.min(deadline))
    }

    /// Whether the answer is to be given.
    pub(super) fn is_over(&self, config: &LayerConfig, now: Now) -> bool {
        let over = |layer: Layer| matches!(self.tracks[layer as usize].stage, Stage::Over(_));
        let all = over(Layer::Dht) && (over(Layer::Directory) || self.found(now)) && self.remembered.is_none();
        all || self.deadline(config) <= now.elapsed
    }

    /// Whether there is a record to give.
    pub(super) fn found(&self, now: Now) -> bool {
        self.live(now).next().is_some()
    }

    /// The records that the answer would have, and where each comes from.
    pub(super) fn live(&self, now: Now) -> impl Iterator<Item = (&Record, Given)> {
        let (own, local) = (self.own, self.local);
        let records = self.union.live(now).map(|record| record.record());
        records
            .filter(move |record| own || record.provider != local)
            .filter_map(|record| Some((record, *self.given.get(&record.provider)?)))
    }

    /// What each layer did.
    pub(super) fn report(&self, now: Now) -> Vec<LayerReport> {
        let elapsed = now.elapsed.saturating_sub(self.started);
        let report = |layer: Layer| {
            let Track { stage, started, took, records } = &self.tracks[layer as usize];
            let (outcome, took) = match stage {
                Stage::Over(outcome) => (outcome.clone(), *took),
                _ if *records > 0 => (LayerOutcome::Answered, *took),
                Stage::Asked => (LayerOutcome::Overtaken, elapsed.saturating_sub(*started)),
                Stage::Idle if layer == Layer::Dht => {
                    (LayerOutcome::NotAsked("the node had not joined yet"), Duration::ZERO)
                }
                Stage::Idle => (LayerOutcome::NotAsked("an earlier layer answered"), Duration::ZERO),
            };
            LayerReport { layer, outcome, started: *started, took, records: *records }
        };
        Layer::ALL.into_iter().map(report).collect()
    }

    /// When a layer that was asked has used up its budget.
    fn hedge(&self, layer: Layer, budget: Duration) -> Option<Duration> {
        let track = &self.tracks[layer as usize];
        (track.stage == Stage::Asked).then(|| self.started.saturating_add(track.started).saturating_add(budget))
    }

    fn deadline(&self, config: &LayerConfig) -> Duration {
        let timeout = self.started.saturating_add(self.options.timeout);
        // Who offers the name itself knows somebody already, and gives others the time of a rare name to be known too.
        let own = self.own.then(|| self.started.saturating_add(config.dht * 2));
        // Nobody is waited for without having been asked.
        let asking = self.tracks[Layer::Directory as usize].stage == Stage::Asked;
        let patience = self.patience.filter(|_| asking);
        [self.settled, own, patience].into_iter().flatten().min().map_or(timeout, |at| at.min(timeout))
    }

    /// Unites what a layer gave with the rest; returns how many live records it gave.
    fn absorb(&mut self, layer: Layer, bundle: &Bundle, freshness: impl Fn(&PeerId) -> Freshness, now: Now) -> usize {
        for record in bundle.records() {
            let provider = record.record().provider;
            let fresh = Given { layer, freshness: freshness(&provider) };
            match self.union.merge(record.clone(), now) {
                Ok(Merge::Added | Merge::Replaced) => drop(self.given.insert(provider, fresh)),
                Ok(Merge::Known) => {
                    let given = self.given.get_or_insert_with(provider, || fresh);
                    given.freshness = given.freshness.min(fresh.freshness);
                }
                Ok(Merge::Stale | Merge::Full) | Err(_) => {}
            }
        }
        let (own, local) = (self.own, self.local);
        let stands = |record: &&SignedRecord| {
            let provider = &record.record().provider;
            (own || *provider != local) && self.union.get(provider) == Some(record)
        };
        let live = bundle.live(now).filter(stands).count();
        let elapsed = now.elapsed.saturating_sub(self.started);
        let track = &mut self.tracks[layer as usize];
        if live > 0 && track.records == 0 {
            track.took = elapsed.saturating_sub(track.started);
        }
        track.records = track.records.max(live);
        if self.live(now).next().is_some() {
            self.first.get_or_insert(layer);
            if layer != Layer::Own {
                let window = match layer {
                    Layer::Cache => SETTLE_REMEMBERED,
                    Layer::Dht if !self.seconded => SETTLE.1,
                    _ => elapsed.clamp(SETTLE.0, SETTLE.1),
                };
                self.settled.get_or_insert(now.elapsed.saturating_add(window));
            }
        }
        live
    }
}

#[cfg(test)]
mod tests;
