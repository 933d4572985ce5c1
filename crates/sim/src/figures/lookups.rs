//! How long a find takes, how far it goes and what it costs, by size of the network and by how many are silent.

use std::time::Duration;

use openred_core::{Config, address::RelayAddress, find::Layer};
use serde_json::{Value, json};

use super::{
    Scale, memory,
    report::{Table, percent, rounded},
    sample::Sample,
};
use crate::{Net, NodeId, Time, World, latency::cities::Cities};

/// A server that only answers: it never gets to join, since the one relay it knows refuses it, and so asks nobody anything.
fn without_upkeep(config: &mut Config) {
    let never = Duration::from_secs(24 * 3600);
    config.relays = RelayAddress::parse("/ip4/10.255.255.254/tcp/80/ws", false).into_iter().collect();
    config.join_backoff = (never, never);
    config.watch = never;
}

/// One point of the figure.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// DHT servers.
    pub nodes: usize,
    /// How many of them are silent.
    pub silent: f64,
    /// The one region in which all stand; the whole world if none.
    pub region: Option<&'static str>,
    /// Clients that look.
    pub finders: usize,
    /// Services, each of a client of its own, each sought by every finder once.
    pub services: usize,
    /// Whether servers keep connections, watch their neighbours and look up their neighbourhood again, as they do. Lookups
    /// ask servers one by one and need none of it; without it, a network of 100 000 fits a machine.
    pub upkeep: bool,
    /// What everything is drawn from.
    pub seed: u64,
}

/// What a point showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub(crate) ms: Sample,
    pub(crate) hops: Sample,
    pub(crate) deepest: Sample,
    pub(crate) requests: Sample,
    /// Finds that found the provider.
    pub hits: usize,
    /// Finds.
    pub trials: usize,
    /// Finds that the DHT answered first.
    pub by_dht: usize,
    /// Bytes of resident memory for each node.
    pub memory: Option<usize>,
}

impl Outcome {
    /// The mean number of requests.
    pub fn mean_requests(&self) -> f64 {
        self.requests.mean()
    }

    /// The mean number of hops to the first who had the value.
    pub fn mean_hops(&self) -> f64 {
        self.hops.mean()
    }
}

/// Lookups that each finder makes before those that count, so that it has met others.
const WARM_UP: usize = 10;

/// Measures one point.
pub fn measure(point: Point) -> Outcome {
    let mut net = Net::new(point.seed);
    net.keep_events = false;
    net.quic = true;
    net.latency.settle(World::Cities(point.region.map_or_else(Cities::world, Cities::region_of)));
    let before = memory();
    let relays = net.settled_with(point.nodes, |config| {
        if !point.upkeep {
            without_upkeep(config);
        }
    });
    let mut rng = fastrand::Rng::with_seed(point.seed ^ 0x1007);
    let mut clients = |net: &mut Net, count: usize| -> Vec<NodeId> {
        let mut known = || -> Vec<_> { (0..3).map(|_| relays[rng.usize(..relays.len())]).collect() };
        (0..count).map(|_| net.client(&known())).collect()
    };
    let providers = clients(&mut net, point.services);
    for (service, provider) in providers.iter().enumerate() {
        net.provide(*provider, &name(service));
    }
    net.run_until_idle_or(15.s());
    net.run_for(10.s());
    let silent = (point.silent * point.nodes as f64) as usize;
    let mut order = relays.clone();
    let mut lots = fastrand::Rng::with_seed(point.seed ^ 0x51);
    lots.shuffle(&mut order);
    for relay in &order[..silent] {
        net.lose(*relay);
    }
    let heard = &order[silent..];
    let finders: Vec<_> =
        (0..point.finders).map(|_| net.client(&[0; 3].map(|_| heard[lots.usize(..heard.len())]))).collect();
    for finder in &finders {
        net.ready(*finder);
    }
    net.run_until_idle_or(12.s());
    for round in 0..WARM_UP {
        for finder in &finders {
            net.seek(*finder, &format!("nobody-{round}-{}", net.peer(*finder).to_base58().to_lowercase()));
        }
        net.run_until_idle_or(12.s());
    }
    let after = memory();
    let mut outcome = Outcome {
        memory: after.zip(before).map(|(after, before)| after.saturating_sub(before) / point.nodes.max(1)),
        ..Outcome::default()
    };
    for (service, provider) in providers.into_iter().enumerate() {
        let mut sought = Vec::new();
        for finder in &finders {
            sought.push(net.seek_watched(*finder, &name(service)));
            net.run_for(Duration::from_millis(lots.u64(1..20)));
        }
        net.run_until_idle_or(12.s());
        // The walks behind the answers end too.
        net.run_for(1.s());
        let peer = net.peer(provider);
        for order in sought {
            outcome.trials += 1;
            let walk = net.walk(order).unwrap_or_default();
            if let Some(Ok(openred_core::Outcome::Found(found))) = net.answer(order) {
                outcome.hits += usize::from(found.records.iter().any(|found| found.record.provider == peer));
                outcome.by_dht += usize::from(found.layer == Some(Layer::Dht));
            }
            if let Some(took) = net.took(order) {
                outcome.ms.add_ms(took);
            }
            if let Some((hops, _)) = walk.first {
                outcome.hops.add(f64::from(hops));
            }
            outcome.deepest.add(f64::from(walk.deepest));
            outcome.requests.add(f64::from(walk.requests));
        }
    }
    outcome
}

fn name(service: usize) -> String {
    format!("service-{service}")
}

/// A network of 1 000; with all upkeep too, to show that lookups do not depend on it.
pub fn thousand(scale: Scale) -> Table {
    let (finders, services) = if scale == Scale::Quick { (20, 8) } else { (50, 20) };
    let point = Point { nodes: 1000, silent: 0.0, region: None, finders, services, upkeep: true, seed: 1000 };
    let more = [Point { region: Some("eu"), silent: 0.2, ..point }, point];
    table("lookups-1000", point, scale, &more)
}

/// A network of 10 000.
pub fn ten_thousand(scale: Scale) -> Table {
    let point =
        Point { nodes: 10_000, silent: 0.0, region: None, finders: 50, services: 20, upkeep: false, seed: 10_000 };
    table("lookups-10000", point, scale, &[])
}

/// A network of 100 000.
pub fn hundred_thousand(scale: Scale) -> Table {
    let point =
        Point { nodes: 100_000, silent: 0.0, region: None, finders: 50, services: 20, upkeep: false, seed: 100_000 };
    table("lookups-100000", point, scale, &[])
}

fn table(name: &'static str, point: Point, scale: Scale, more: &[Point]) -> Table {
    let columns = [
        "nodes",
        "silent %",
        "where",
        "upkeep",
        "finds",
        "found %",
        "by the dht %",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "hops mean",
        "hops max",
        "deepest max",
        "requests",
        "kB a node",
    ];
    let mut table = Table::new(name, format!("finds through the DHT of {} servers", point.nodes), &columns);
    table.condition("real machines, all nodes DHT servers with the routing tables of a settled network; clients look");
    table.condition("great-circle model, QUIC and WebSocket; silent: lost without a word, still in the tables");
    table.condition(format!(
        "{} finders, each of whom has looked for {WARM_UP} other names before; seed {}",
        point.finders, point.seed
    ));
    table.condition("hops: to the first who had the value; deepest: to the farthest who answered");
    table.condition("requests: of the whole walk, which goes on behind the answer");
    table.condition(
        "without upkeep servers only answer: they keep no connections and do not watch each other; memory is what the \
         process grew by",
    );
    let places: &[_] = match scale {
        Scale::Quick => &[(0.3, None), (0.2, Some("eu"))],
        Scale::Full => {
            &[(0.0, None), (0.1, None), (0.3, None), (0.0, Some("eu")), (0.2, Some("eu")), (0.3, Some("eu"))]
        }
    };
    let points =
        places.iter().map(|(silent, region)| Point { silent: *silent, region: *region, upkeep: false, ..point });
    for point in points.chain(more.iter().copied().filter(|_| scale == Scale::Full)) {
        let outcome = measure(point);
        table.row(row(&point, &outcome));
    }
    table
}

fn row(point: &Point, outcome: &Outcome) -> Vec<Value> {
    vec![
        json!(point.nodes),
        rounded(point.silent * 100.0, 0),
        json!(point.region.unwrap_or("world")),
        json!(if point.upkeep { "yes" } else { "no" }),
        json!(outcome.trials),
        percent(outcome.hits, outcome.trials),
        percent(outcome.by_dht, outcome.trials),
        outcome.ms.cell(0.5),
        outcome.ms.cell(0.95),
        outcome.ms.cell(0.99),
        rounded(outcome.mean_hops(), 2),
        outcome.hops.cell(1.0),
        outcome.deepest.cell(1.0),
        rounded(outcome.requests.mean(), 1),
        outcome.memory.map_or(Value::Null, |bytes| rounded(bytes as f64 / 1e3, 0)),
    ]
}
