//! Many real relays on loopback TCP in one process, timed as `tests/bench/discovery.mjs` asks.
//!
//! `dht_bench 200` starts 200 relays and prints `{ "nodes", "startMs", "bytesPerNode" }`. Then each line of standard input,
//! `put N` or `get N`, runs N operations one after the other, each from another relay, and is answered by a line
//! `{ "ms": [..], "failed" }`: `put` offers a fresh name (done when a write quorum holds its record), `get` finds a name that was
//! put before, asking the network whatever the cache knows. The end of the input ends the program.

use std::{
    error::Error,
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use openred_node::{
    Config, Keypair, Node, Registration, RelayLimits, Role,
    core::{address::RelayAddress, find::FindOptions, name::NetworkName, publish::Offer},
};

/// Relays that each one is told of.
const KNOWN: usize = 3;

struct Bench {
    nodes: Vec<Node>,
    /// Kept, since dropping one takes the offer back.
    offers: Vec<Registration>,
    names: Vec<String>,
    asked: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(200), |count| count.parse())?;
    let (before, begun) = (resident(), Instant::now());
    let mut bench = Bench { nodes: Vec::new(), offers: Vec::new(), names: Vec::new(), asked: 0 };
    for number in 0..count {
        bench.start(number).await?;
    }
    // Tables fill, and links that nobody needs are given back.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let bytes = resident().saturating_sub(before) / count as u64;
    let start_ms = begun.elapsed().as_millis();
    say(&format!(r#"{{"nodes":{count},"startMs":{start_ms},"bytesPerNode":{bytes}}}"#))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, times) = line.split_once(' ').ok_or("give `put N` or `get N`")?;
        let times: usize = times.parse()?;
        let mut measured = Vec::new();
        for _ in 0..times {
            let (begun, done) = (Instant::now(), if what == "put" { bench.put().await } else { bench.get().await });
            if done {
                measured.push(format!("{:.3}", begun.elapsed().as_secs_f64() * 1e3));
            }
        }
        say(&format!(r#"{{"ms":[{}],"failed":{}}}"#, measured.join(","), times - measured.len()))?;
    }
    // Thousands of farewells would take longer than the measurements.
    std::process::exit(0)
}

impl Bench {
    async fn start(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        // Earlier relays, spread over all of them.
        let known = (0..KNOWN.min(number)).map(|n| &self.nodes[(number * 7 + n * 31) % number]);
        let known: Vec<_> =
            known.flat_map(Node::addresses).map(|known| RelayAddress::parse(&known.to_string(), false)).collect();
        let known = known.into_iter().collect::<Result<Vec<_>, _>>()?;
        let node = Node::start(Config {
            role: Role::Relay(RelayLimits::default()),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
            ..Config::client(NetworkName::default(), Keypair::generate_ed25519(), known)
        })
        .await?;
        node.ready(Duration::from_secs(30)).await?;
        self.nodes.push(node);
        Ok(())
    }

    /// The next node in an order that has nothing to do with the names.
    fn node(&mut self) -> &Node {
        self.asked += 1;
        &self.nodes[self.asked * 61 % self.nodes.len()]
    }

    async fn put(&mut self) -> bool {
        let name = format!("service-{}", self.names.len());
        let Ok(parsed) = name.parse() else { return false };
        let offered = self.node().provide(Offer::new(parsed)).await;
        self.names.push(name);
        offered.map(|offer| self.offers.push(offer)).is_ok()
    }

    async fn get(&mut self) -> bool {
        let Some(Ok(target)) = self.names.get(self.asked * 17 % self.names.len().max(1)).map(|name| name.parse())
        else {
            return false;
        };
        let options = FindOptions { max_age: Duration::ZERO, ..FindOptions::default() };
        self.node().find(&target, options).await.is_ok_and(|found| !found.records.is_empty())
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The process's memory in bytes, where the system tells.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}
