//! Finding while everybody comes and goes, and how often an answer names somebody who is gone.

use std::time::Duration;

use serde_json::json;

use super::{
    Scale,
    report::{Table, percent, rounded},
    sample::Sample,
};
use crate::{
    Time,
    churn::{Churn, Sessions},
    crowd::{Crowd, Population, Told},
    scenario::{Model, WorldSpec},
};

/// The table of the issue.
pub fn table(scale: Scale) -> Table {
    let columns = [
        "median session s",
        "virtual s",
        "departures",
        "returns",
        "finds",
        "missed",
        "found %",
        "95 % sure above %",
        "gone",
        "stale %",
        "p50 ms",
        "p95 ms",
    ];
    let mut table = Table::new("churn", "finds while relays and providers come and go", &columns);
    let (population, rounds, seeds): (_, usize, u64) = match scale {
        Scale::Quick => (Population { relays: 40, providers: 40, finders: 20, settled: false }, 100, 1),
        Scale::Full => (Population { relays: 200, providers: 200, finders: 100, settled: false }, 900, 2),
    };
    let Population { relays, providers, finders, .. } = population;
    table.condition(format!("{relays} relays, {providers} providers, {finders} finders that stay; seeds 1 to {seeds}"));
    table.condition("great-circle model, QUIC and WebSocket, clients at home");
    table.condition(
        "sessions: Weibull of shape 0.5; absences: exponential, mean 600 s; half leave without a word; warm returns",
    );
    table.condition(
        "found: of services whose provider lives and has offered; stale: of finds of services whose provider is gone",
    );
    for median in [7200, 1800] {
        let (mut told, mut departures, mut returns) = (Told::default(), 0, 0);
        let mut virtual_s = 0.0;
        for seed in 1..=seeds {
            let world = WorldSpec { model: Model::Cities, quic: true, ..WorldSpec::default() };
            let mut crowd = Crowd::gather(world.net(seed), population, seed);
            let mut nodes = crowd.relays.clone();
            nodes.extend(crowd.services.iter().map(|service| service.provider));
            let sessions = Sessions { median: Duration::from_secs(median), ..Sessions::default() };
            let mut churn = Churn::begin(&crowd.net, &nodes, sessions, seed);
            let start = crowd.net.now();
            for _ in 0..rounds {
                let asked = crowd.ask(20);
                churn.run_for(&mut crowd, 2.s());
                told.add(crowd.tell(asked));
            }
            virtual_s += (crowd.net.now() - start).as_secs_f64();
            departures += churn.departures;
            returns += churn.returns;
        }
        let mut took = Sample::default();
        told.took.iter().for_each(|time| took.add_ms(*time));
        table.row(vec![
            json!(median),
            rounded(virtual_s, 0),
            json!(departures),
            json!(returns),
            json!(told.trials),
            json!(told.trials - told.found),
            percent(told.found, told.trials),
            rounded(100.0 * sure(told.trials, told.trials - told.found), 4),
            json!(told.gone),
            percent(told.stale, told.gone),
            percent(told.stale, told.stale + told.found),
            took.cell(0.5),
            took.cell(0.95),
        ]);
    }
    table
}

/// The rate above which the true one lies with 95 % confidence: without a failure by the rule of three, otherwise by the
/// normal approximation of the Poisson distribution of failures.
fn sure(trials: usize, missed: usize) -> f64 {
    let most = if missed == 0 { 3.0 } else { missed as f64 + 1.645 * (missed as f64).sqrt() + 1.35 };
    1.0 - most / trials.max(1) as f64
}
