//! Finding the providers of a name, layer by layer.
//!
//! A find asks its layers in order and says which one answered first: *own* services, then the *DHT*. The layers *cache*,
//! *super-node* and *directory* have their places in [`Layer`] and are not asked by this version.
//!
//! **When it ends.** As soon as the DHT walk has ended, or, once something was found, after a *settling window*: as long
//! again as the first answer took, within `SETTLE`, so that several holders' answers are united without waiting for the
//! slowest. The walk itself goes on behind the answer and repairs stale holders.
//!
//! Bounds: the union holds at most 32 records; finds are bounded by [`Config::max_orders`](crate::Config).

use std::time::Duration;

use libp2p_identity::PeerId;

use crate::{
    boundary::OpId,
    bundle::Bundle,
    context::Context,
    dht::{Dht, LookupId, Want, key::Key},
    event::Event,
    map::Map,
    name::ServiceTarget,
    record::{Record, SignedRecord},
};

/// Shortest and longest settling window. The lower one lets answers that are already on their way arrive; guesses.
const SETTLE: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(250));

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A service of this very node.
    Own,
    /// Remembered from an earlier answer.
    Cache,
    /// The distributed hash table.
    Dht,
    /// A super-node's index.
    SuperNode,
    /// A directory over HTTP.
    Directory,
}

impl Layer {
    /// The word of the npm contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Own => "own",
            Layer::Cache => "cache",
            Layer::Dht => "dht",
            Layer::SuperNode => "super-node",
            Layer::Directory => "directory",
        }
    }
}

/// What health probing believes of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A link to the provider stands, or it is this node.
    Up,
    /// Not asked.
    Unknown,
    /// It has missed an answer.
    Suspect,
    /// It is believed dead.
    Down,
}

impl Verdict {
    /// The word of the npm contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Up => "up",
            Verdict::Unknown => "unknown",
            Verdict::Suspect => "suspect",
            Verdict::Down => "down",
        }
    }
}

/// The limits of one find.
#[derive(Clone, Debug)]
pub struct FindOptions {
    /// Records wanted at most, 1 to 32.
    pub limit: usize,
    /// Time until the find ends with what it has.
    pub timeout: Duration,
}

impl Default for FindOptions {
    fn default() -> Self {
        Self { limit: 32, timeout: Duration::from_secs(10) }
    }
}

/// What a find found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Live records, the best provider first.
    pub records: Vec<FoundRecord>,
    /// The layer that answered first; none if nobody offers the name.
    pub layer: Option<Layer>,
    /// How long the find took.
    pub elapsed: Duration,
}

/// One record and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// The record.
    pub record: Record,
    /// The layer that gave it.
    pub layer: Layer,
    /// Time since it was issued, by this node's clock.
    pub age: Duration,
    /// Whether its provider is believed alive.
    pub verdict: Verdict,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// The application's own find.
    Find(OpId),
    /// The application's open, which needs providers first.
    Open(OpId),
}

#[derive(Debug)]
struct Find {
    target: ServiceTarget,
    options: FindOptions,
    started: Duration,
    /// None until the DHT can be asked.
    lookup: Option<LookupId>,
    union: Bundle,
    /// Whether this node offers the name itself; else what the DHT still says of this node is out of date.
    own: bool,
    first: Option<Layer>,
    settled: Option<Duration>,
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) target: ServiceTarget,
    pub(crate) options: FindOptions,
    /// What this node itself offers under the name.
    pub(crate) own: Option<SignedRecord>,
    /// Whether the DHT can be asked yet.
    pub(crate) ready: bool,
}

/// A find that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) asker: Asker,
    pub(crate) found: Found,
    /// False if not one peer could be asked.
    pub(crate) asked: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Finds {
    finds: Map<Asker, Find>,
}

impl Finds {
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

    pub(crate) fn start(&mut self, cx: &mut Context<'_>, dht: &mut Dht, asker: Asker, order: Order) {
        let Order { target, options, own, ready } = order;
        let mut union = Bundle::new(key(cx, &target));
        let offered = own.is_some();
        if let Some(record) = own {
            // A record that this node signed itself belongs under its own name's key.
            let _ = union.merge(record, cx.now);
        }
        let first = (!union.is_empty()).then_some(Layer::Own);
        let find =
            Find { target, options, started: cx.now.elapsed, lookup: None, union, own: offered, first, settled: None };
        self.finds.insert(asker, find);
        if ready {
            self.ask(cx, dht);
        }
    }

    /// The DHT can be asked: finds that waited for it start.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>, dht: &mut Dht) {
        for find in self.finds.values_mut().filter(|find| find.lookup.is_none()) {
            let key = key(cx, &find.target);
            find.lookup = Some(dht.look_up(cx, key.as_bytes().to_vec(), Want::Bundle(key)));
        }
    }

    /// Records were found on a walk.
    pub(crate) fn found(&mut self, cx: &Context<'_>, lookup: LookupId, bundle: &Bundle) {
        let now = cx.now;
        for find in self.finds.values_mut().filter(|find| find.lookup == Some(lookup)) {
            find.union.merge_all(bundle, now);
            if find.live(cx).next().is_some() {
                find.first.get_or_insert(Layer::Dht);
                let took = now.elapsed.saturating_sub(find.started);
                find.settled.get_or_insert(now.elapsed + took.clamp(SETTLE.0, SETTLE.1));
            }
        }
    }

    /// A walk has ended; returns the find that waited for it.
    pub(crate) fn looked_up(&mut self, cx: &mut Context<'_>, lookup: LookupId, asked: bool) -> Option<Finished> {
        let asker = *self.finds.iter().find(|(_, find)| find.lookup == Some(lookup))?.0;
        self.finish(cx, asker, asked)
    }

    /// Finds whose window or time budget is over.
    pub(crate) fn overdue(&mut self, cx: &mut Context<'_>) -> Vec<Finished> {
        let due: Vec<_> =
            self.finds.iter().filter(|(_, find)| find.deadline() <= cx.now.elapsed).map(|(asker, _)| *asker).collect();
        due.into_iter()
            .filter_map(|asker| {
                let asked = self.finds.get(&asker).is_some_and(|find| find.lookup.is_some());
                self.finish(cx, asker, asked)
            })
            .collect()
    }

    /// The caller gave up.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, dht: &mut Dht, asker: Asker) -> bool {
        let Some(find) = self.finds.remove(&asker) else { return false };
        if let Some(lookup) = find.lookup {
            dht.cancel_lookup(cx, lookup);
        }
        true
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.finds.values().map(Find::deadline).min()
    }

    fn finish(&mut self, cx: &mut Context<'_>, asker: Asker, asked: bool) -> Option<Finished> {
        let find = self.finds.remove(&asker)?;
        let mut records: Vec<_> = find
            .live(cx)
            .map(|record| FoundRecord {
                layer: if record.provider == cx.local { Layer::Own } else { Layer::Dht },
                age: Duration::from_millis(cx.now.unix_ms.saturating_sub(record.issued_at)),
                verdict: verdict(cx, &record.provider),
                record: record.clone(),
            })
            .collect();
        records.sort_by_key(|found| (found.verdict, found.age, found.record.provider));
        records.truncate(find.options.limit);
        for found in &records {
            cx.emit(Event::RecordFound(Box::new(found.clone())));
        }
        for gone in find.union.records().map(|record| record.record()).filter(|record| record.withdrawn) {
            cx.emit(Event::RecordGone { name: gone.name.clone(), provider: gone.provider });
        }
        let elapsed = cx.now.elapsed.saturating_sub(find.started);
        Some(Finished { asker, asked, found: Found { layer: find.first, records, elapsed } })
    }
}

impl Find {
    fn live(&self, cx: &Context<'_>) -> impl Iterator<Item = &Record> {
        let local = cx.local;
        let records = self.union.live(cx.now).map(|record| record.record());
        records.filter(move |record| self.own || record.provider != local)
    }

    fn deadline(&self) -> Duration {
        let budget = self.started + self.options.timeout;
        self.settled.map_or(budget, |settled| settled.min(budget))
    }
}

fn key(cx: &Context<'_>, target: &ServiceTarget) -> Key {
    match &target.provider {
        Some(provider) => Key::service_of(&cx.config.network, &target.name, provider),
        None => Key::service(&cx.config.network, &target.name),
    }
}

fn verdict(cx: &Context<'_>, provider: &PeerId) -> Verdict {
    if *provider == cx.local || cx.links.is_connected(provider) { Verdict::Up } else { Verdict::Unknown }
}
