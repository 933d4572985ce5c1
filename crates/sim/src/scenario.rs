//! Scenarios in files: a world, a population, what befalls it, and what must hold.
//!
//! ```toml
//! says = "four of five fall silent at once, and what the others offer is found again"
//! seeds = [1, 2]
//!
//! [world]                       # all of it may be left out
//! model = "cities"              # even (default), cities, measured
//! region = "eu"                 # of cities: only this region
//! quic = true                   # relays listen on QUIC too
//! loss = 0.01                   # of all packets
//!
//! [full]                        # for the command line
//! relays = 500
//! providers = 200
//! finders = 50
//!
//! [small]                       # for the test: a few seconds
//! relays = 60
//! providers = 30
//! finders = 10
//!
//! [[event]]
//! at = 0                        # seconds after everybody has joined and offered
//! do = "lose"                   # gone without a word; also kill, silence, mute, deafen
//! part = 0.8                    # of the relays, and of the providers and finders
//! whom = "random"               # random (default), regions, best-connected; relays = true spares all others
//!
//! [[check]]
//! at = 60
//! finds = 200                   # of services whose provider lives
//! found = 99.0                  # percent, at least
//! p95_ms = 500                  # of those that found, at most
//! stale = 1.0                   # percent of finds of services that are gone, at most
//! ```
//!
//! Other events: `cut` (`parts = [50, 50]` in percent), `heal`, `withdraw` (`part` of the services), `churn` (`median_s`,
//! `away_s`), `flash` (`finders`: so many join at once and then count as finders), `liars` (`part` of the relays in number, and `how`:
//! see [`liars`]), `jump-clock` (`part`, `seconds`), `loss` (`part` of all packets).
//!
//! The test of every file in `crates/sim/scenarios` runs the small population with the first seed; the command line runs
//! `cargo run --release -p openred-sim -- scenario FILE [--seed N] [--small]`. A seed that failed joins the file's seeds.

pub mod liars;
pub(crate) mod run;

use serde::Deserialize;

pub use self::run::{Held, run};
use crate::{
    Net, World,
    crowd::Population,
    latency::{cities::Cities, measured::Measured},
};

/// A scenario, as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What is told, in a sentence.
    pub says: String,
    /// Seeds to run, the first in the tests.
    pub seeds: Vec<u64>,
    /// Where it takes place.
    #[serde(default)]
    pub world: WorldSpec,
    /// Who takes part at full size.
    pub full: Population,
    /// Who takes part in the tests.
    pub small: Population,
    /// What befalls them.
    #[serde(default, rename = "event")]
    pub events: Vec<Event>,
    /// What must hold.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
}

/// Where a scenario takes place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldSpec {
    /// The model of distances.
    pub model: Model,
    /// The only region, of cities.
    pub region: Option<String>,
    /// Whether relays listen on QUIC too.
    pub quic: bool,
    /// The part of all packets that is lost.
    pub loss: f64,
}

/// A model of distances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// All pairs alike.
    #[default]
    Even,
    /// Great circles between cities.
    Cities,
    /// The Seattle measurement; a scenario without the data at hand takes place among cities.
    Measured,
}

/// Something that befalls the network.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// Seconds after everybody has joined and offered.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What befalls the network.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the module's documentation says what each is")]
pub enum Act {
    Lose(Those),
    Kill(Those),
    Silence(Those),
    Mute(Those),
    Deafen(Those),
    Cut { parts: Vec<f64> },
    Heal {},
    Withdraw { part: f64 },
    Churn { median_s: f64, away_s: f64 },
    Flash { finders: usize },
    Liars { part: f64, how: liars::How },
    JumpClock { part: f64, seconds: i64 },
    Loss { part: f64 },
}

/// Whom it befalls.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Those {
    /// The part of all.
    pub part: f64,
    /// Who of them.
    #[serde(default)]
    pub whom: Whom,
    /// Whether only relays.
    #[serde(default)]
    pub relays: bool,
}

/// Who of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// Any.
    #[default]
    Random,
    /// Whole regions, one after the other.
    Regions,
    /// Those with the most peers first.
    BestConnected,
}

/// What must hold at some time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Seconds after everybody has joined and offered.
    pub at: f64,
    /// Finds of services whose provider lives.
    pub finds: usize,
    /// Percent that must find.
    pub found: f64,
    /// The 95th percentile of their times, in milliseconds.
    pub p95_ms: Option<f64>,
    /// Percent of finds of services that are gone which may name the provider all the same. Asks as many finds again.
    pub stale: Option<f64>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// Says what the file should not or should have said.
    pub fn read(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if scenario.seeds.is_empty() {
            return Err("seeds: at least one".to_owned());
        }
        if let Some(region) = &scenario.world.region
            && !crate::latency::cities::REGIONS.contains(&region.as_str())
        {
            return Err(format!("region: {region:?} is none of {:?}", crate::latency::cities::REGIONS));
        }
        Ok(scenario)
    }
}

impl WorldSpec {
    /// An empty network there.
    pub fn net(&self, seed: u64) -> Net {
        let mut net = Net::new(seed);
        let cities = || self.region.as_deref().map_or_else(Cities::world, Cities::region_of);
        net.latency.settle(match self.model {
            Model::Even => World::Even,
            Model::Cities => World::Cities(cities()),
            Model::Measured => Measured::seattle().map_or_else(|_| World::Cities(cities()), World::Measured),
        });
        net.latency.loss = self.loss;
        net.quic = self.quic;
        net
    }
}
