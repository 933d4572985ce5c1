//! Finding the providers of a name, layer by layer.
//!
//! A find asks its layers in their order: *own* services, the *cache*, the *DHT*, *super-nodes* (not in this version), and
//! the *directories* of relays over HTTP. `engine` decides for one find which layer is asked when, `finds` carries that
//! out for all of them, `answer` ranks what was found, and `directories` asks over HTTP.
//!
//! **A late layer is overtaken, never waited for.** Each layer has a time budget ([`LayerConfig`]). When it is over, or when
//! the layer has ended with nothing, the next one begins, and both go on side by side; whatever comes first counts. A find
//! that must begin before the node has joined asks cache and directories at once and the DHT as soon as it can be asked.
//!
//! **The cache.** An answer that the DHT confirmed within [`FindOptions::max_age`] is given at once, and is checked behind the
//! answer if it is older than a second. An older one joins if the DHT has not answered within its budget. What is
//! remembered and not contradicted by the network is never lost: it stands last in the answer. That nobody offers a name
//! is remembered for a second. Everything found goes into the cache, also what comes after the find has ended.
//!
//! **When it ends.** As soon as every layer has ended; or, once something was found, after a *settling window*: as long again
//! as the first answer took, within `SETTLE`, and shorter after what is remembered, so that several holders' answers are
//! united without waiting for the slowest; or when its time is over, with what there is. The walk itself goes on behind the
//! answer and repairs stale holders.
//!
//! Bounds: the union holds at most 32 records; finds are bounded by [`Config::max_orders`](crate::Config), walks behind answers
//! by `MAX_BACKGROUND`, requests to directories by `MAX_FETCHES`, remembered stories by [`MAX_STORIES`].

mod answer;
mod directories;
mod engine;
mod finds;

use std::time::Duration;

pub(crate) use self::finds::{Asker, Finds, Finished, Order};
use crate::{name::ServiceTarget, record::Record};

/// Stories of finds that are kept for [`Machine::explain_find`](crate::Machine::explain_find): a page of them, for people.
pub const MAX_STORIES: usize = 64;

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
    /// All layers, in the order in which they are asked.
    pub const ALL: [Layer; 5] = [Layer::Own, Layer::Cache, Layer::Dht, Layer::SuperNode, Layer::Directory];

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
    /// A link to the provider stands, it answered a moment ago, or it is this node.
    Up,
    /// Not asked.
    Unknown,
    /// It could not be reached.
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
    /// A remembered answer that the network confirmed within this time is given at once; zero asks the network. 10 s by
    /// default: a provider that goes is noticed by nobody sooner than by a failed open, and an open tries the next one.
    pub max_age: Duration,
}

impl Default for FindOptions {
    fn default() -> Self {
        Self { limit: 32, timeout: Duration::from_secs(10), max_age: Duration::from_secs(10) }
    }
}

/// The time budgets of the layers. After a layer's budget the next one is asked too.
#[derive(Clone, Debug)]
pub struct LayerConfig {
    /// How long the DHT has for an answer before an older one of the cache joins. 60 ms leave the known names their 100 ms
    /// (requirement U5), settling included, when the network is slow; it is some four round trips within a region.
    pub cache: Duration,
    /// How long the DHT has before directories are asked as well: half of the 500 ms that rare names have (requirement U5),
    /// so that a directory has the other half.
    pub dht: Duration,
    /// How long one directory has for an answer: a TLS handshake over a slow mobile link. Nobody waits for it while others
    /// answer.
    pub directory: Duration,
    /// How long a find goes on waiting for directories after the DHT has answered that nobody is known: the half of the
    /// 500 ms of rare names that [`LayerConfig::dht`] leaves. A service that is registered over HTTP alone is found by nobody
    /// else; a guess.
    pub directory_wait: Duration,
    /// Time between two directories that are asked for one find: the least that RFC 8305 allows between two attempts.
    pub stagger: Duration,
    /// Directories asked for one find. Each holds much the same; a guess.
    pub directories: usize,
}

impl Default for LayerConfig {
    fn default() -> Self {
        Self {
            cache: Duration::from_millis(60),
            dht: Duration::from_millis(250),
            directory: Duration::from_secs(3),
            directory_wait: Duration::from_millis(250),
            stagger: Duration::from_millis(100),
            directories: 3,
        }
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
    /// What each layer did, in the order in which layers are asked.
    pub layers: Vec<LayerReport>,
}

/// One record and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// The record.
    pub record: Record,
    /// The layer that gave it first.
    pub layer: Layer,
    /// Time since it was issued, by this node's clock.
    pub age: Duration,
    /// Whether its provider is believed alive.
    pub verdict: Verdict,
}

/// What one layer did for one find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerReport {
    /// The layer.
    pub layer: Layer,
    /// How it ended.
    pub outcome: LayerOutcome,
    /// When it was asked, since the find began; zero if it was not.
    pub started: Duration,
    /// How long it took to answer, or how long it was given.
    pub took: Duration,
    /// The live records that it gave.
    pub records: usize,
}

/// How a layer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerOutcome {
    /// It gave records.
    Answered,
    /// It answered that it knows nobody.
    Empty,
    /// It could not answer; why.
    Failed(String),
    /// It was asked, and others were faster.
    Overtaken,
    /// It was not asked; why.
    NotAsked(&'static str),
    /// It does not exist in this version; why.
    Absent(&'static str),
}

impl LayerOutcome {
    /// The word of the npm contract.
    pub fn as_str(&self) -> &'static str {
        match self {
            LayerOutcome::Answered => "answered",
            LayerOutcome::Empty => "empty",
            LayerOutcome::Failed(_) => "failed",
            LayerOutcome::Overtaken => "overtaken",
            LayerOutcome::NotAsked(_) => "not-asked",
            LayerOutcome::Absent(_) => "absent",
        }
    }

    /// Why, where the outcome alone does not say it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            LayerOutcome::Failed(reason) => Some(reason),
            LayerOutcome::NotAsked(reason) | LayerOutcome::Absent(reason) => Some(reason),
            _ => None,
        }
    }
}

/// The latest find of one target: what each layer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindStory {
    /// What was looked for.
    pub target: ServiceTarget,
    /// A stable code: `FOUND`, `NOBODY` (the network answered that nobody offers it) or `UNANSWERED` (nobody could be asked).
    pub code: &'static str,
    /// The layer that answered first.
    pub layer: Option<Layer>,
    /// How many records were given.
    pub records: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// When it ended, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What each layer did, in the order in which layers are asked.
    pub layers: Vec<LayerReport>,
}

impl FindStory {
    /// The same in a sentence.
    pub fn reason(&self) -> String {
        let Self { target, records, elapsed, .. } = self;
        let took = elapsed.as_millis();
        match (self.code, self.layer) {
            ("FOUND", Some(layer)) => {
                format!("{records} found for {target} in {took} ms, first by the layer {}", layer.as_str())
            }
            ("NOBODY", _) => format!("nobody offers {target}, as the network answered within {took} ms"),
            _ => format!("nobody could be asked for {target} within {took} ms"),
        }
    }
}
