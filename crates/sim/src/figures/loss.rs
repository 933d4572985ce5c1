//! Four of five nodes fall silent at once: what is found, when, and by which layer.

use openred_core::find::Layer;
use serde_json::json;

use super::{
    Scale,
    report::{Table, percent, rounded},
    sample::Sample,
};
use crate::{
    Time,
    crowd::{Crowd, Population, Told},
    scenario::{Model, Those, Whom, WorldSpec, run::chosen},
};

/// Seconds after the loss at which is looked.
const AT: [u64; 4] = [0, 10, 30, 60];

/// The part that is lost.
const LOST: f64 = 0.8;

/// Finds of each finder at each moment: few enough that none waits for another's dials.
const FINDS: usize = 4;

/// The table of the issue.
pub fn table(scale: Scale) -> Table {
    let columns = [
        "lost",
        "after s",
        "finds",
        "found %",
        "cache first %",
        "dht first %",
        "directory first %",
        "held %",
        "holders p50",
        "p50 ms",
        "p95 ms",
    ];
    let title = "80 % of all nodes are lost at one instant, without a word";
    let mut table = Table::new("loss", title, &columns);
    let (population, seeds): (_, u64) = match scale {
        Scale::Quick => (Population { relays: 60, providers: 60, finders: 60, settled: false }, 1),
        Scale::Full => (Population { relays: 500, providers: 300, finders: 300, settled: false }, 5),
    };
    let Population { relays, providers, finders, .. } = population;
    table.condition(format!(
        "{relays} relays, {providers} providers, {finders} finders joined one by one; seeds 1 to {seeds}"
    ));
    table.condition("great-circle model, six regions, QUIC and WebSocket, clients at home");
    table.condition("finds of services whose provider lives, by finders that live; a tenth of all were found before");
    table.condition(format!(
        "held: services with a record at any living relay; the arithmetic for k = 20: {:.2} %",
        100.0 * (1.0 - LOST.powi(20))
    ));
    for (whom, word) in [(Whom::Random, "random"), (Whom::Regions, "regions"), (Whom::BestConnected, "best connected")]
    {
        let mut told = AT.map(|_| Told::default());
        let mut holders = AT.map(|_| Sample::default());
        for seed in 1..=seeds {
            let world = WorldSpec { model: Model::Cities, quic: true, ..WorldSpec::default() };
            let mut crowd = Crowd::gather(world.net(seed), population, seed);
            let used = crowd.ask_living(finders * providers / 10);
            crowd.tell(used);
            crowd.net.run_for(30.s());
            for id in chosen(&mut crowd, &Those { part: LOST, whom, relays: false }) {
                crowd.net.lose(id);
            }
            let start = crowd.net.now();
            let mut asked = Vec::new();
            for (place, at) in AT.into_iter().enumerate() {
                crowd.net.run_for((start + at.s()).saturating_sub(crowd.net.now()));
                for service in crowd.living() {
                    holders[place].add(crowd.holders(service) as f64);
                }
                let heard = crowd.finders.iter().filter(|finder| crowd.net.is_heard(**finder)).count();
                asked.push(crowd.ask_living(FINDS * heard));
            }
            for (asked, told) in asked.into_iter().zip(&mut told) {
                told.add(crowd.tell(asked));
            }
        }
        for ((at, told), holders) in AT.into_iter().zip(told).zip(holders) {
            let by = |layer| percent(told.by_layer.get(&layer).copied().unwrap_or(0), told.trials);
            let mut took = Sample::default();
            told.took.iter().for_each(|time| took.add_ms(*time));
            table.row(vec![
                json!(word),
                json!(at),
                json!(told.trials),
                percent(told.found, told.trials),
                by(Layer::Cache),
                by(Layer::Dht),
                by(Layer::Directory),
                percent(holders.at_least(1.0), holders.len()),
                holders.quantile(0.5).map_or(serde_json::Value::Null, |count| rounded(count, 0)),
                took.cell(0.5),
                took.cell(0.95),
            ]);
        }
    }
    table
}
