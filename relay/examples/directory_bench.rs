//! The directory's registry and stores without HTTP, measured as `cargo xtask bench directory` asks.
//!
//! `directory_bench figures NODES sqlite|postgres` prints one JSON object with what it measured; `directory_bench kill ROUNDS`
//! registers in a process of its own and kills it, again and again, and counts what was acknowledged and is lost.

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the relay uses what is not measured here")]
#[path = "../src/directory"]
mod directory {
    pub(crate) mod registry;
    pub(crate) mod store;
}
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
#[path = "../src/directory/store/postgres/server.rs"]
mod server;

use std::{
    collections::BTreeMap,
    error::Error,
    hint::black_box,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libp2p_identity::{Keypair, PeerId};
use openred_core::{
    lifecycle::{Lifecycle, LifecycleConfig},
    peer_record::PeerRecord,
    record::{Record, SignedRecord},
    time::Now,
};
use serde_json::{Value, json};

use crate::directory::{
    registry::{Addresses, Registration, Registry, RegistryConfig, SystemClock},
    store::{ServiceQuery, Store, Words, postgres::PostgresStore, snapshot, sqlite::SqliteStore},
};

/// Registrations under way at a time.
const AT_A_TIME: u64 = 512;

/// Calls of one measurement that is repeated.
const CALLS: u64 = 200_000;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["figures", nodes, "sqlite"] => {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("directory.sqlite");
            figures(nodes.parse()?, path.to_str().ok_or("the temporary folder is not UTF-8")?).await
        }
        ["figures", nodes, "postgres"] => {
            let server = server::Server::with_options("");
            figures(nodes.parse()?, &server.database("directory")).await
        }
        ["start", place] => start(place).await,
        ["kill", rounds] => kill(rounds.parse()?).await,
        ["victim", path, first] => victim(Path::new(path), first.parse()?).await,
        _ => Err("usage: directory_bench figures NODES sqlite|postgres, or directory_bench kill ROUNDS".into()),
    }
}

/// A store: SQLite in a file, or PostgreSQL at a URL.
async fn open(place: &str) -> Result<Arc<dyn Store>, Failure> {
    Ok(match place.starts_with("postgres:") {
        true => Arc::new(PostgresStore::open(place, i64::from(std::process::id())).await?),
        false => Arc::new(SqliteStore::open(Path::new(place)).await?),
    })
}

/// What a start costs with what is there.
async fn start(place: &str) -> Result<(), Failure> {
    let store = open(place).await?;
    let (before, cpu, begun) = (resident(), cpu_ms(), Instant::now());
    let registry = registry(store).await?;
    let (start_ms, start_cpu_ms) = (ms(begun), cpu_ms() - cpu);
    let nodes = registry.stats().states[0];
    let resident_bytes = resident().saturating_sub(before);
    println!(
        "{}",
        json!({ "nodes": nodes, "startMs": start_ms, "startCpuMs": start_cpu_ms, "residentBytes": resident_bytes })
    );
    Ok(())
}

async fn figures(nodes: u64, place: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let registry = registry(open(place).await?).await?;
    let empty_ms = ms(begun);

    let now = unix_ms();
    let statements: Vec<(Registration, SignedRecord)> = (0..nodes).map(|number| statement(number, now)).collect();
    let record_bytes = statements.iter().map(|(node, service)| bytes(node, service)).sum::<usize>() / nodes as usize;
    let peers: Vec<PeerId> = statements.iter().map(|(node, _)| node.public_key.to_peer_id()).collect();
    let begun = Instant::now();
    register(&registry, statements).await?;
    let register_s = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    (0..CALLS).for_each(|call| drop(black_box(registry.heartbeat(&peers[(call * 7919 % nodes) as usize]))));
    let heartbeat_us = begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64;
    let names: Vec<_> = (0..1000).map(|number| format!("service-{number}").parse().unwrap()).collect();
    let begun = Instant::now();
    (0..CALLS).for_each(|call| drop(black_box(registry.lookup(&names[(call * 7919 % 1000) as usize], None, 1))));
    let lookup_us = begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64;

    let mut searches = Vec::new();
    for number in 0..200 {
        let query = ServiceQuery { words: Words::of(&format!("tier{} game", number % 50)), ..ServiceQuery::default() };
        let begun = Instant::now();
        let page = registry.services(query, None, 20).await?;
        searches.push(ms(begun));
        assert!(!page.items.is_empty());
    }
    searches.sort_by(f64::total_cmp);

    peers.iter().for_each(|peer| drop(registry.heartbeat(peer)));
    let begun = Instant::now();
    registry.close().await;
    registry.audit("bench", "flush", "", "").await?;
    let flush_ms = ms(begun);

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("copy.snapshot");
    let begun = Instant::now();
    let taken = snapshot::take(&**registry.store(), &file, now).await?;
    let snapshot_ms = ms(begun);
    drop(registry);

    // A process in which nothing was before shows the memory that it takes.
    let child = Command::new(std::env::current_exe()?).args(["start", place]).output()?;
    let started: Value = serde_json::from_slice(&child.stdout)?;
    assert_eq!(started["nodes"].as_u64(), Some(nodes));
    let resident_bytes = started["residentBytes"].as_u64().unwrap_or(0) / nodes;
    println!(
        "{}",
        json!({
            "store": if place.starts_with("postgres:") { "postgres" } else { "sqlite" }, "nodes": nodes,
            "startEmptyMs": empty_ms, "startMs": started["startMs"], "startCpuMs": started["startCpuMs"],
            "registrationsAndServicesPerSecond": 2.0 * nodes as f64 / register_s,
            "heartbeatUs": heartbeat_us, "lookupUs": lookup_us,
            "searchP50Ms": searches[100], "searchP95Ms": searches[190],
            "flushAllMs": flush_ms, "snapshotMs": snapshot_ms, "snapshotBytes": taken.bytes,
            "recordBytesPerNode": record_bytes, "residentBytesPerNode": resident_bytes,
            "sweep": sweep(nodes as usize),
        })
    );
    Ok(())
}

/// What the lifecycle costs: a look when nothing is due, a day of heartbeats, and everybody falling silent.
fn sweep(nodes: usize) -> Value {
    let mut config = LifecycleConfig::default();
    config.brake.count = usize::MAX;
    let mut now = Now { elapsed: Duration::ZERO, unix_ms: 1_795_000_000_000 };
    let mut lifecycle = Lifecycle::new(config, now);
    let ids: Vec<_> = (0..nodes).map(|_| lifecycle.admit(now)).collect();
    let begun = Instant::now();
    (0..CALLS).for_each(|_| lifecycle.handle_timeout(black_box(now)));
    let idle_ns = begun.elapsed().as_secs_f64() * 1e9 / CALLS as f64;

    // An hour in which everybody sends a heartbeat every thirty seconds, spread over them, and a look every half second.
    let (mut looks, mut longest, mut beats) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for tick in 0..7200_usize {
        now = now + Duration::from_millis(500);
        let begun = Instant::now();
        for id in ids.iter().skip(tick % 60).step_by(60) {
            black_box(lifecycle.handle_heard(now, *id));
        }
        beats += begun.elapsed();
        let begun = Instant::now();
        lifecycle.handle_timeout(now);
        looks += begun.elapsed();
        longest = longest.max(begun.elapsed());
        while lifecycle.poll_output().is_some() {}
    }
    let steady_us = looks.as_secs_f64() * 1e6 / 7200.0;

    // Everybody falls silent at once.
    let begun = Instant::now();
    let (mut calls, mut longest_move) = (0, Duration::ZERO);
    now = now + Duration::from_secs(90);
    while lifecycle.count(openred_core::lifecycle::State::Active) > 0 {
        let begun = Instant::now();
        lifecycle.handle_timeout(now);
        longest_move = longest_move.max(begun.elapsed());
        while lifecycle.poll_output().is_some() {}
        calls += 1;
    }
    json!({
        "idleNs": idle_ns, "steadyMeanUs": steady_us, "steadyLongestUs": longest.as_secs_f64() * 1e6,
        "heartbeatNs": beats.as_secs_f64() * 1e9 / (7200 * nodes / 60) as f64,
        "allSilentMs": ms(begun), "allSilentCalls": calls, "longestCallUs": longest_move.as_secs_f64() * 1e6,
    })
}

async fn registry(store: Arc<dyn Store>) -> Result<Registry, Failure> {
    Ok(Registry::open(store, RegistryConfig::default(), Arc::new(SystemClock::default())).await?)
}

async fn register(registry: &Registry, statements: Vec<(Registration, SignedRecord)>) -> Result<(), Failure> {
    let lanes = statements.len().div_ceil(AT_A_TIME as usize).max(1);
    let mut statements = statements.into_iter();
    let lanes = (0..AT_A_TIME).map(|_| statements.by_ref().take(lanes).collect::<Vec<_>>()).collect::<Vec<_>>();
    let lanes = lanes.into_iter().map(|lane| async {
        for (node, service) in lane {
            registry.register(node).await?;
            registry.publish(service).await?;
        }
        Ok::<_, Failure>(())
    });
    futures::future::try_join_all(lanes).await.map(drop)
}

/// What a node of this number says of itself, and of its service.
fn statement(number: u64, now: u64) -> (Registration, SignedRecord) {
    let keypair = keypair(number);
    let peer = keypair.public().to_peer_id();
    let address = format!("/ip4/198.51.{}.{}/udp/4001/quic-v1", number / 250 % 250, number % 250);
    let record = PeerRecord { peer, sequence: now, addresses: vec![address.parse().unwrap()] };
    let service = Record {
        kind: "game".into(),
        region: "eu".into(),
        metadata: BTreeMap::from([("title".into(), format!("tier{}", number % 50))]),
        ttl: 48 * 3_600_000,
        ..Record::new(format!("service-{number}").parse().unwrap(), peer, now)
    };
    let registration = Registration {
        public_key: keypair.public(),
        addresses: Addresses::Signed(Box::new(record.sign(&keypair).unwrap())),
        region: "eu".into(),
        metadata: BTreeMap::new(),
    };
    (registration, service.sign(&keypair).unwrap())
}

/// The bytes of what a node said: both envelopes, its key, its address, its region and the service's name.
fn bytes(node: &Registration, service: &SignedRecord) -> usize {
    let Addresses::Signed(record) = &node.addresses else { return 0 };
    let addresses: usize = record.record().addresses.iter().map(|address| address.len()).sum();
    let said = record.envelope().len() + addresses + node.public_key.encode_protobuf().len() + node.region.len();
    said + service.envelope().len() + service.record().name.as_str().len()
}

fn keypair(number: u64) -> Keypair {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Keypair::ed25519_from_bytes(secret).expect("32 bytes are a secret key")
}

/// Registers until it is killed, and prints each number that was acknowledged.
async fn victim(path: &Path, first: u64) -> Result<(), Failure> {
    let registry = registry(Arc::new(SqliteStore::open(path).await?)).await?;
    let now = unix_ms();
    let lanes = (0..64).map(|lane| {
        let registry = &registry;
        async move {
            for number in (first + lane..).step_by(64) {
                let (node, service) = statement(number, now);
                registry.register(node).await?;
                registry.publish(service).await?;
                println!("{number}");
            }
            Ok::<_, Failure>(())
        }
    });
    futures::future::try_join_all(lanes).await.map(drop)
}

async fn kill(rounds: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("directory.sqlite");
    let (mut acknowledged, mut lost, mut first) = (Vec::new(), 0, 0);
    for round in 0..rounds {
        let mut command = Command::new(std::env::current_exe()?);
        let mut victim = command.arg("victim").arg(&path).arg(first.to_string()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(victim.stdout.take().ok_or("no output")?).lines().map_while(Result::ok);
        let wanted = 1 + (round * 37 % 400) as usize;
        let mut heard: Vec<u64> = lines.by_ref().filter_map(|line| line.parse().ok()).take(wanted).collect();
        victim.kill()?;
        victim.wait()?;
        heard.extend(lines.filter_map(|line| line.parse::<u64>().ok()));
        first = heard.iter().max().copied().unwrap_or(first) + 1000;
        acknowledged.extend(heard);
        let registry = self::registry(Arc::new(SqliteStore::open(&path).await?)).await?;
        let is_here = |number: &&u64| {
            let node = registry.node(&keypair(**number).public().to_peer_id());
            node.is_some_and(|node| node.services == 1)
        };
        lost += acknowledged.len() - acknowledged.iter().filter(is_here).count();
    }
    println!("{}", json!({ "killed": rounds, "acknowledged": acknowledged.len(), "lost": lost }));
    if lost > 0 { Err(format!("{lost} acknowledged registrations are lost").into()) } else { Ok(()) }
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Bytes of this process in memory; 0 where the system does not tell.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Processor time of this process in milliseconds, which a busy machine does not stretch; 0 where the system does not tell.
fn cpu_ms() -> u64 {
    /// A tick of Linux' accounts, whatever the kernel's own is.
    const TICK_MS: u64 = 10;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_MS
}
