//! All finds that have not ended, and the walks and requests they listen to.
//!
//! A walk is shared: a find that may be answered from the cache listens to a walk for the same key that is under way, so that
//! a crowd that asks for one name costs one walk. A walk outlives the find that began it, and what it gives reaches the
//! cache. Besides there are walks for nobody: the check of an answer that the cache gave, and the refreshing of popular names.

use std::{collections::VecDeque, time::Duration};

use super::{
    FindOptions, FindStory, Found, Layer, LayerOutcome, MAX_STORIES, answer,
    directories::{Asking, Directories, Reply},
    engine::{Find, Wishes},
};
use crate::{
    boundary::{FetchId, OpId},
    bundle::Bundle,
    cache::services::Quality,
    context::Context,
    dht::{Dht, LookupId, Want, key::Key},
    event::Event,
    find::Verdict,
    map::Map,
    name::ServiceTarget,
    record::SignedRecord,
    time::Now,
};

/// Age from which an answer of the cache is checked behind it.
const CHECK: Duration = Duration::from_secs(1);

/// Walks at once that no find waits for. Each is some thirty messages; a guess.
const MAX_BACKGROUND: usize = 4;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// The application's own find.
    Find(OpId),
    /// The application's open, which needs providers first.
    Open(OpId),
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) target: ServiceTarget,
    pub(crate) options: FindOptions,
    /// What this node itself offers under the name.
    pub(crate) own: Option<SignedRecord>,
}

/// A find that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) asker: Asker,
    pub(crate) found: Found,
    /// False if nobody could be asked.
    pub(crate) asked: bool,
}

/// A walk for records.
#[derive(Debug)]
struct Walk {
    target: ServiceTarget,
    started: Duration,
    /// Whether a record came that holds.
    found: bool,
    /// Whether no find began it.
    background: bool,
    /// Whether a find has ended that listened to it: behind its answer the walk goes on, whoever gives up later.
    used: bool,
}

/// How finds have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// By the layer that answered first.
    pub(crate) by_layer: [u64; 5],
    /// Answered from the cache without asking the network.
    pub(crate) hits: u64,
    /// The cache was asked and could not answer alone.
    pub(crate) misses: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Finds {
    finds: Map<Asker, Find>,
    walks: Map<LookupId, Walk>,
    asking: Map<Asker, Asking>,
    directories: Directories,
    stories: VecDeque<FindStory>,
    pub(crate) counts: Counts,
}

impl Finds {
    /// Walks under way.
    pub(crate) fn walks(&self) -> usize {
        self.walks.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.finds.len()
    }

    /// The application's own finds that have not ended.
    pub(crate) fn orders(&self) -> impl Iterator<Item = OpId> {
        self.finds.keys().filter_map(|asker| match asker {
            Asker::Find(op) => Some(*op),
            Asker::Open(_) => None,
        })
    }

    /// Begins a find: what is known here is known at once. [`Finds::advance`] does the rest.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>, dht: &mut Dht, asker: Asker, order: Order) {
        let Order { target, options, own } = order;
        let now = cx.now;
        let key = key(cx, &target);
        let mut find = Find::new(target.clone(), key.clone(), options.clone(), cx.local, now);
        let own = own.map(|record| {
            let mut bundle = Bundle::new(key.clone());
            // A record that this node signed itself belongs under its own name's key.
            let _ = bundle.merge(record, now);
            bundle
        });
        find.own(own, now);
        if options.max_age.is_zero() {
            find.cache(Err("an answer of the network is demanded"), now);
        } else if cx.cache.services.is_nobody(&target, now) {
            find.nobody(now);
            self.counts.hits += 1;
        } else {
            let cached = cx.cache.services.get(&target, &key, options.max_age, now);
            let age = cached.as_ref().and_then(|cached| cached.age);
            let poor = cached.as_ref().is_some_and(|cached| {
                let verdict = |record: &SignedRecord| answer::verdict(cx, &record.record().provider);
                cached.bundle.live(now).all(|record| verdict(record) >= Verdict::Suspect)
            });
            find.cache(Ok(cached), now);
            let hit = find.is_over(&cx.config.layers, now);
            self.counts.hits += u64::from(hit);
            self.counts.misses += u64::from(!hit);
            cx.cache.services.used(&target.name, if poor { Quality::Poor } else { Quality::Good }, now);
            if hit && age.is_some_and(|age| age > CHECK) {
                self.walk_behind(cx, dht, target);
            }
        }
        self.finds.insert(asker, find);
    }

    /// Asks whom it is time to ask, and ends what is over. `ready` tells whether the DHT can be asked.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, dht: &mut Dht, ready: bool) -> Vec<Finished> {
        self.give_up_silent(cx);
        self.make_room(cx, dht);
        while let Some(name) = cx.cache.services.next_due(cx.now) {
            if ready {
                self.walk_behind(cx, dht, name.into());
            }
        }
        let mut over = Vec::new();
        let mut finds = std::mem::take(&mut self.finds);
        for (asker, find) in finds.iter_mut() {
            loop {
                let wishes = find.wishes(&cx.config.layers, ready, cx.now);
                if wishes == Wishes::default() || find.is_over(&cx.config.layers, cx.now) {
                    break;
                }
                if wishes.dht {
                    find.asked(Layer::Dht, cx.now);
                    find.lookup = Some(self.listen(cx, dht, find));
                }
                if wishes.cache {
                    find.remember(cx.now);
                }
                if wishes.directories {
                    self.begin_asking(cx, *asker, find);
                }
            }
            self.ask_directories(cx, *asker, find);
            if find.is_over(&cx.config.layers, cx.now) {
                over.push(*asker);
            }
        }
        self.finds = finds;
        over.into_iter().filter_map(|asker| self.finish(cx, asker)).collect()
    }

    /// Records were found on a walk.
    pub(crate) fn found(&mut self, cx: &mut Context<'_>, lookup: LookupId, bundle: &Bundle) {
        let now = cx.now;
        let Some(walk) = self.walks.get_mut(&lookup) else { return };
        cx.cache.services.learn(bundle, Some(now.elapsed.saturating_sub(walk.started)), now);
        if bundle.live(now).next().is_some() {
            walk.found = true;
            if walk.target.provider.is_none() {
                cx.cache.services.asked(&walk.target.name, now);
            }
        }
        for find in self.finds.values_mut().filter(|find| find.lookup == Some(lookup)) {
            find.gave(Layer::Dht, bundle, now);
        }
    }

    /// A second holder has answered on a walk.
    pub(crate) fn seconded(&mut self, lookup: LookupId, now: Now) {
        for find in self.finds.values_mut().filter(|find| find.lookup == Some(lookup)) {
            find.seconded(now);
        }
    }

    /// A walk has ended; whether anybody answered on it.
    pub(crate) fn looked_up(&mut self, cx: &mut Context<'_>, lookup: LookupId, answers: bool) {
        let Some(walk) = self.walks.remove(&lookup) else { return };
        if walk.found && walk.target.provider.is_none() {
            cx.cache.services.asked(&walk.target.name, cx.now);
        }
        for find in self.finds.values_mut().filter(|find| find.lookup == Some(lookup)) {
            find.walked(answers, &cx.config.layers, cx.now);
        }
    }

    /// A directory answered.
    pub(crate) fn fetched(&mut self, cx: &mut Context<'_>, fetch: FetchId, body: &[u8]) {
        let reply = self.directories.fetched(cx, fetch, body);
        self.replied(cx, reply);
    }

    /// A directory could not be asked.
    pub(crate) fn fetch_failed(&mut self, cx: &mut Context<'_>, fetch: FetchId, reason: String) {
        let reply = self.directories.failed(cx, fetch, reason);
        self.replied(cx, reply);
    }

    /// The caller gave up.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, dht: &mut Dht, asker: Asker) -> bool {
        let Some(find) = self.finds.remove(&asker) else { return false };
        self.asking.remove(&asker);
        self.directories.cancel(cx, asker);
        let shared = |lookup| self.finds.values().any(|other| other.lookup == Some(lookup));
        if let Some(lookup) = find.lookup.filter(|lookup| !shared(*lookup))
            && self.walks.get(&lookup).is_some_and(|walk| !walk.background && !walk.used)
        {
            self.walks.remove(&lookup);
            dht.cancel_lookup(cx, lookup);
        }
        true
    }

    pub(crate) fn next_deadline(&self, config: &super::LayerConfig) -> Option<Duration> {
        let finds = self.finds.values().map(|find| find.next_deadline(config));
        let asking = self.asking.values().filter_map(Asking::next_deadline);
        finds.chain(asking).chain(self.directories.next_deadline()).min()
    }

    /// What became of the latest find of a target.
    pub(crate) fn story(&self, target: &ServiceTarget) -> Option<&FindStory> {
        self.stories.iter().rev().find(|story| story.target == *target)
    }

    /// The walk that a find listens to: one that is under way if an answer of the cache would do, else its own.
    fn listen(&mut self, cx: &mut Context<'_>, dht: &mut Dht, find: &Find) -> LookupId {
        let shared = self
            .walks
            .iter()
            .find(|(_, walk)| walk.target == find.target && !walk.found && !find.options.max_age.is_zero());
        match shared {
            Some((lookup, _)) => *lookup,
            None => self.walk(cx, dht, find.target.clone(), false),
        }
    }

    /// Looks a target up for the cache alone.
    fn walk_behind(&mut self, cx: &mut Context<'_>, dht: &mut Dht, target: ServiceTarget) {
        let busy = self.walks.values().filter(|walk| walk.background).count() >= MAX_BACKGROUND;
        if !busy && !self.walks.values().any(|walk| walk.target == target) {
            self.walk(cx, dht, target, true);
        }
    }

    fn walk(&mut self, cx: &mut Context<'_>, dht: &mut Dht, target: ServiceTarget, background: bool) -> LookupId {
        let key = key(cx, &target);
        let started = cx.now.elapsed;
        let lookup = dht.look_up(cx, key.as_bytes().to_vec(), Want::Bundle(key));
        self.walks.insert(lookup, Walk { target, started, found: false, background, used: false });
        lookup
    }

    /// Ends the oldest walks that nobody listens to, if there are more than finds may be.
    fn make_room(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        let excess = self.walks.len().saturating_sub(cx.config.max_orders);
        if excess == 0 {
            return;
        }
        let heard = |lookup: &LookupId| self.finds.values().any(|find| find.lookup == Some(*lookup));
        let oldest: Vec<_> = self.walks.keys().filter(|lookup| !heard(lookup)).take(excess).copied().collect();
        for lookup in oldest {
            self.walks.remove(&lookup);
            dht.cancel_lookup(cx, lookup);
        }
    }

    fn begin_asking(&mut self, cx: &mut Context<'_>, asker: Asker, find: &mut Find) {
        match self.directories.choose(cx) {
            Ok(asking) => {
                find.asked(Layer::Directory, cx.now);
                self.asking.insert(asker, asking);
            }
            Err(reason) => find.ended(Layer::Directory, LayerOutcome::NotAsked(reason), cx.now),
        }
    }

    /// Asks the next directories, one after the other and then side by side.
    fn ask_directories(&mut self, cx: &mut Context<'_>, asker: Asker, find: &mut Find) {
        let Some(asking) = self.asking.get_mut(&asker) else { return };
        self.directories.ask(cx, asking, asker, &find.target, &find.key);
        if let Some((answered, failure)) = asking.over() {
            self.asking.remove(&asker);
            find.answered |= answered;
            let outcome = failure.filter(|_| !answered).map_or(LayerOutcome::Empty, LayerOutcome::Failed);
            find.ended(Layer::Directory, outcome, cx.now);
        }
    }

    fn give_up_silent(&mut self, cx: &mut Context<'_>) {
        for reply in self.directories.overdue(cx) {
            self.replied(cx, Some(reply));
        }
    }

    /// Takes what a directory said.
    fn replied(&mut self, cx: &mut Context<'_>, reply: Option<Reply>) {
        let Some(Reply { asker, fetch, result }) = reply else { return };
        if let Ok(Some(bundle)) = &result {
            cx.cache.services.learn(bundle, None, cx.now);
            if let Some(find) = self.finds.get_mut(&asker) {
                find.gave(Layer::Directory, bundle, cx.now);
            }
        }
        if let Some(asking) = self.asking.get_mut(&asker) {
            asking.replied(fetch, result);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, asker: Asker) -> Option<Finished> {
        let mut find = self.finds.remove(&asker)?;
        self.asking.remove(&asker);
        if let Some(walk) = find.lookup.and_then(|lookup| self.walks.get_mut(&lookup)) {
            walk.used = true;
        }
        find.remember(cx.now);
        let records = answer::ranked(cx, &find);
        for found in &records {
            cx.emit(Event::RecordFound(Box::new(found.clone())));
        }
        for gone in find.union.records().map(|record| record.record()).filter(|record| record.withdrawn) {
            cx.emit(Event::RecordGone { name: gone.name.clone(), provider: gone.provider });
        }
        let asked = find.answered || (find.lookup.is_some() && self.is_walking(&find));
        if records.is_empty() && find.walked {
            cx.cache.services.found_nobody(find.target.clone(), cx.now);
        }
        let layer = find.first.filter(|_| !records.is_empty());
        if let Some(layer) = layer {
            self.counts.by_layer[layer as usize] += 1;
        }
        let elapsed = cx.now.elapsed.saturating_sub(find.started);
        let found = Found { records, layer, elapsed, layers: find.report(cx.now) };
        self.tell(&find.target, &found, asked, cx.now);
        Some(Finished { asker, found, asked })
    }

    /// Whether the walk of a find goes on: somebody was asked and may yet answer.
    fn is_walking(&self, find: &Find) -> bool {
        find.lookup.is_some_and(|lookup| self.walks.contains_key(&lookup))
    }

    fn tell(&mut self, target: &ServiceTarget, found: &Found, asked: bool, now: Now) {
        self.stories.retain(|story| story.target != *target);
        if self.stories.len() >= MAX_STORIES {
            self.stories.pop_front();
        }
        let code = match (found.records.is_empty(), asked) {
            (false, _) => "FOUND",
            (true, true) => "NOBODY",
            (true, false) => "UNANSWERED",
        };
        self.stories.push_back(FindStory {
            target: target.clone(),
            code,
            layer: found.layer,
            records: found.records.len(),
            elapsed: found.elapsed,
            at: now.unix_ms,
            layers: found.layers.clone(),
        });
    }
}

fn key(cx: &Context<'_>, target: &ServiceTarget) -> Key {
    match &target.provider {
        Some(provider) => Key::service_of(&cx.config.network, &target.name, provider),
        None => Key::service(&cx.config.network, &target.name),
    }
}
