//! How soon two or three islands are one network again after a cut has healed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Scale,
    report::{Table, percent, rounded},
    sample::Sample,
};
use crate::{
    NodeId, Time,
    crowd::{Asked, Crowd, Population, Told},
    scenario::{Model, WorldSpec, run::cut},
};

/// How long the healing is watched.
const WATCHED: u64 = 120;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// The table of the issue.
pub fn table(scale: Scale) -> Table {
    let columns = [
        "cut",
        "lasted s",
        "seed",
        "found at 0 s %",
        "at 10 s %",
        "at 60 s %",
        "whole after s",
        "withdrawn",
        "came back",
    ];
    let title = "islands become one network again";
    let mut table = Table::new("cuts", title, &columns);
    let (population, seeds, lasting): (_, u64, &[u64]) = match scale {
        Scale::Quick => (Population { relays: 30, providers: 20, finders: 12, settled: false }, 1, &[300]),
        Scale::Full => (Population { relays: 100, providers: 60, finders: 40, settled: false }, 3, &[60, 300, 3600]),
    };
    let Population { relays, providers, finders, .. } = population;
    table.condition(format!(
        "{relays} relays, {providers} providers, {finders} finders; great-circle model, QUIC, clients at home"
    ));
    table.condition(
        "a quarter of all services is withdrawn during the cut, and as many new ones are offered on each island",
    );
    table.condition(format!(
        "looked every {} s: finders for services that another island offered during the cut; whole: the first look from \
         which on every find of three looks in a row finds",
        EVERY.as_secs()
    ));
    for lasted in lasting {
        for (word, parts) in [("50/50", &[50.0, 50.0][..]), ("90/10", &[90.0, 10.0]), ("34/33/33", &[34.0, 33.0, 33.0])]
        {
            for seed in 1..=seeds {
                let world = WorldSpec { model: Model::Cities, quic: true, ..WorldSpec::default() };
                let mut crowd = Crowd::gather(world.net(seed), population, seed);
                let row = healing(&mut crowd, parts, *lasted);
                let mut cells = vec![json!(word), json!(lasted), json!(seed)];
                cells.extend(row);
                table.row(cells);
            }
        }
    }
    table
}

fn healing(crowd: &mut Crowd, parts: &[f64], lasted: u64) -> Vec<Value> {
    let islands = cut(crowd, parts);
    let island = |id: NodeId| islands.iter().position(|island| island.contains(&id)).unwrap_or_default();
    crowd.net.run_for((lasted / 2).s());
    let old = crowd.services.len();
    let quarter = old / 4;
    (0..quarter).for_each(|service| crowd.withdraw(service));
    for service in quarter..2 * quarter {
        let provider = crowd.services[service].provider;
        crowd.offer(provider, &format!("during-{service}"));
    }
    crowd.net.run_for((lasted - lasted / 2).s());
    let withdrawn: Vec<_> = (0..quarter).filter(|service| crowd.services[*service].withdrawn).collect();
    crowd.net.heal();
    let start = crowd.net.now();
    let pairs: Vec<_> = crowd
        .finders
        .iter()
        .flat_map(|finder| (old..crowd.services.len()).map(move |service| (*finder, service)))
        .filter(|(finder, service)| island(*finder) != island(crowd.services[*service].provider))
        .collect();
    let mut looks: Vec<(u64, Asked)> = Vec::new();
    for look in 0..=WATCHED / EVERY.as_secs() {
        crowd.net.run_for((start + EVERY * look as u32).saturating_sub(crowd.net.now()));
        let mut asked = Asked::default();
        // Different pairs each time, so that no cache answers for the network.
        for (finder, service) in pairs.iter().skip(look as usize % 7).step_by(7) {
            asked.add(crowd.ask_one(*finder, *service));
        }
        looks.push((look * EVERY.as_secs(), asked));
    }
    let told: Vec<(u64, Told)> = looks.into_iter().map(|(at, asked)| (at, crowd.tell(asked))).collect();
    let whole = told.windows(3).find(|looks| looks.iter().all(|(_, told)| told.found == told.trials));
    let at = |seconds: u64| {
        let told = told.iter().find(|(at, _)| *at == seconds).map(|(_, told)| told);
        told.map_or(Value::Null, |told| percent(told.found, told.trials))
    };
    let mut asked = Asked::default();
    for finder in crowd.finders.clone() {
        for service in &withdrawn {
            asked.add(crowd.ask_one(finder, *service));
        }
    }
    let back = crowd.tell(asked);
    vec![
        at(0),
        at(10),
        at(60),
        whole.map_or(json!("never"), |looks| json!(looks[0].0)),
        json!(withdrawn.len()),
        json!(back.stale),
    ]
}

/// How soon everybody has found other relays after some were lost.
pub fn recovery(scale: Scale) -> Table {
    let columns = ["lost %", "seed", "clients", "all reachable after s", "p50 s", "all finds find after s"];
    let mut table =
        Table::new("recovery", "relays are lost without a word, and their neighbours find others", &columns);
    let (population, seeds): (_, u64) = match scale {
        Scale::Quick => (Population { relays: 40, providers: 20, finders: 20, settled: false }, 1),
        Scale::Full => (Population { relays: 200, providers: 100, finders: 100, settled: false }, 3),
    };
    let Population { relays, providers, finders, .. } = population;
    table.condition(format!(
        "{relays} relays, {providers} providers, {finders} finders; great-circle model, QUIC, clients at home"
    ));
    table.condition(
        "a client is reachable when it is connected to three living relays and one of them holds a place for it",
    );
    for lost in [10u64, 30, 50] {
        for seed in 1..=seeds {
            let world = WorldSpec { model: Model::Cities, quic: true, ..WorldSpec::default() };
            let mut crowd = Crowd::gather(world.net(seed), population, seed);
            let mut relays = crowd.relays.clone();
            crowd.rng.shuffle(&mut relays);
            relays.truncate(relays.len() * lost as usize / 100);
            relays.iter().for_each(|relay| crowd.net.lose(*relay));
            let start = crowd.net.now();
            let mut clients = crowd.finders.clone();
            clients.extend(crowd.services.iter().map(|service| service.provider));
            let mut missing = clients.clone();
            let (mut after, mut looks) = (Sample::default(), Vec::new());
            for second in 0..=90u64 {
                crowd.net.run_for((start + second.s()).saturating_sub(crowd.net.now()));
                missing.retain(|client| {
                    let enough = crowd.net.living_relays_of(*client) >= 3 && crowd.net.is_reachable(*client);
                    if enough {
                        after.add(second as f64);
                    }
                    !enough
                });
                looks.push((second, crowd.ask_living(50)));
            }
            let told: Vec<_> = looks.into_iter().map(|(at, asked)| (at, crowd.tell(asked))).collect();
            let last = told.iter().rev().find(|(_, told)| told.found < told.trials).map(|(at, _)| at + 1);
            table.row(vec![
                json!(lost),
                json!(seed),
                json!(clients.len()),
                if missing.is_empty() { after.cell(1.0) } else { json!(format!("{} never", missing.len())) },
                after.cell(0.5),
                rounded(last.unwrap_or(0) as f64, 0),
            ]);
        }
    }
    table
}
