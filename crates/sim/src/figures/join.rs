//! How long joining takes.

use std::time::Duration;

use serde_json::json;

use super::{
    Scale,
    report::{Table, percent},
    sample::Sample,
};
use crate::{
    NodeId, Order, Time,
    crowd::{Crowd, Population},
    scenario::{Model, WorldSpec},
};

/// The table of the issue.
pub fn table(scale: Scale) -> Table {
    let columns = ["how", "clients", "joined %", "p50 ms", "p95 ms", "p99 ms", "most ms"];
    let mut table = Table::new("join", "clients join", &columns);
    let (relays, clients, seeds): (_, _, u64) = match scale {
        Scale::Quick => (40, 50, 1),
        Scale::Full => (300, 300, 3),
    };
    table.condition(format!(
        "{relays} relays; seeds 1 to {seeds}; great-circle model, clients at home, 1 % of packets lost"
    ));
    table.condition(
        "each client is configured with three relays drawn at random; ready: one is identified and the DHT answers",
    );
    let mut rows = [
        ("cold", Sample::default(), 0),
        ("cold, two of the three silent", Sample::default(), 0),
        ("warm, all three silent", Sample::default(), 0),
    ];
    for seed in 1..=seeds {
        let world = WorldSpec { model: Model::Cities, quic: true, loss: 0.01, ..WorldSpec::default() };
        let population = Population { relays, providers: 0, finders: 0, settled: false };
        let mut crowd = Crowd::gather(world.net(seed), population, seed);
        let silent: Vec<_> = (0..3).map(|_| crowd.net.relay_knowing(&crowd.relays[..3])).collect();
        crowd.net.run_for(5.s());
        // What is remembered is learned before the configured relays fall silent.
        let visitors: Vec<_> = (0..clients).map(|_| crowd.net.client(&silent)).collect();
        for visitor in &visitors {
            crowd.net.latency.at_home(*visitor);
        }
        crowd.net.run_for(120.s());
        visitors.iter().for_each(|visitor| crowd.net.kill(*visitor));
        silent.iter().for_each(|relay| crowd.net.silence(*relay));
        let orders: Vec<_> = (0..clients)
            .map(|_| {
                let id = crowd.client();
                arrive(&mut crowd, id)
            })
            .collect();
        count(&mut crowd, orders, &mut rows[0]);
        let mut orders = Vec::new();
        for _ in 0..clients {
            let living = crowd.relays[crowd.rng.usize(..crowd.relays.len())];
            let id = crowd.net.client(&[silent[0], silent[1], living]);
            crowd.net.latency.at_home(id);
            orders.push(arrive(&mut crowd, id));
        }
        count(&mut crowd, orders, &mut rows[1]);
        let mut orders = Vec::new();
        for visitor in visitors {
            crowd.net.restart_warm(visitor);
            orders.push(arrive(&mut crowd, visitor));
        }
        count(&mut crowd, orders, &mut rows[2]);
    }
    for (how, took, tried) in rows {
        let cells = [0.5, 0.95, 0.99, 1.0].map(|q| took.cell(q));
        let mut row = vec![json!(how), json!(tried), percent(took.len(), tried)];
        row.extend(cells);
        table.row(row);
    }
    table
}

/// A client that has just started waits until it has joined; the next comes a little later.
fn arrive(crowd: &mut Crowd, id: NodeId) -> Order {
    let order = crowd.net.ready(id);
    crowd.net.run_for(Duration::from_millis(20));
    order
}

fn count(crowd: &mut Crowd, orders: Vec<Order>, row: &mut (&'static str, Sample, usize)) {
    crowd.net.run_until_idle_or(12.s());
    for order in orders {
        row.2 += 1;
        if let (Some(Ok(_)), Some(took)) = (crowd.net.answer(order), crowd.net.took(order)) {
            row.1.add_ms(took);
        }
    }
}
