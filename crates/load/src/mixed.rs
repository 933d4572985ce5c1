//! A directory of many nodes that work: start-up, memory, a ramp to where it breaks, and a long run.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    Failure,
    drive::{Traffic, drive},
    from_environment,
    nodes::{self, Node},
    pace::Pace,
    process::{self, Usage},
    relay::{Relay, Start},
    server,
    tally::{Tally, ms},
    traffic::{self, Mixed},
};

/// Where the directory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// In the embedded database.
    Sqlite,
    /// In a PostgreSQL of the benchmark's own, which shares the relay's core.
    Postgres,
}

/// Nodes that stay, as requirement D1 counts them.
const NODES: u64 = 100_000;

/// Nodes that come and go.
const VISITORS: u64 = 5000;

/// Connections of the generator, as a proxy keeps them open: as many as the relay answers at a time.
const CONNECTIONS: usize = 256;

/// Rates of the ramp, in requests a second. It ends with the first that breaks the relay.
const RAMP: [u32; 14] =
    [1000, 5000, 10_000, 12_000, 14_000, 16_000, 18_000, 20_000, 22_000, 24_000, 27_000, 30_000, 35_000, 40_000];

/// Length of a step of the ramp.
const STEP: Duration = Duration::from_secs(8);

/// What the long run asks for, in requests a second, unless the ramp ended below.
const AIM: u32 = 10_000;

/// Seconds of the long run.
const SECONDS: u64 = 600;

/// What counts as sustained: answered at the rate of the questions, 95 of 100 within 200 ms, fewer than one fault in a thousand
/// (requirement D11).
const KEEPS_UP: f64 = 0.98;
const P95_MS: f64 = 200.0;
const FAULTS: f64 = 0.001;

/// Starts of which the middle one counts.
const STARTS: usize = 5;

/// How long a relay rests before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// Measures the relay at `program`, and gives the report.
pub(crate) async fn run(program: &Path, database: Database) -> Result<Value, Failure> {
    let count = from_environment("OPENRED_BENCH_NODES", NODES)?;
    if !(nodes::WORDS..=NODES).contains(&count) {
        let least = nodes::WORDS;
        return Err(
            format!("OPENRED_BENCH_NODES: {count} is not from {least} (each word is somewhere) to {NODES}").into()
        );
    }
    let folder = tempfile::tempdir()?;
    let postgres = (database == Database::Postgres).then(|| server::Server::with_options(""));
    let url = postgres.as_ref().map(|server| server.database("directory"));
    let postmaster = url.as_deref().map(postmaster).transpose()?;
    let mut start = Start::new(program, folder.path(), url);
    let first_start = start.relay()?;
    let first_ms = ms(first_start.started_in);
    first_start.process.stop()?;
    let empty = starts(&mut start).await?;

    let relay = start.relay()?;
    let setup = Setup { relay, postmaster };
    let mut nodes: Vec<Node> = (0..count).map(Node::new).collect();
    let mut visitors: Vec<Node> = (0..VISITORS).map(|number| Node::new(NODES + number)).collect();
    eprintln!("      {} nodes prove their keys and register", nodes.len());
    let begun = std::time::Instant::now();
    setup.relay.admit(&mut nodes, true).await?;
    setup.relay.admit(&mut visitors, false).await?;
    let admitted_s = begun.elapsed().as_secs_f64();
    let loaded = setup.usage()?;
    // The first of them have been silent for as long as the others took.
    setup.relay.hear(&nodes).await?;

    let mut mixed = Mixed::new(setup.relay.host(), setup.relay.peer, &nodes, &visitors);
    let mut ramp = Vec::new();
    let mut sustained = 0;
    for rate in RAMP {
        let (tally, report) = setup.measure(rate, STEP, &mut mixed).await?;
        ramp.push(report);
        if !is_sustained(rate, &tally) {
            break;
        }
        sustained = rate;
    }
    let length = Duration::from_secs(from_environment("OPENRED_BENCH_SECONDS", SECONDS)?);
    let (_, long) = setup.measure(sustained.clamp(RAMP[0], AIM), length, &mut mixed).await?;
    let (surprises, first) = mixed.surprises;
    if let Some(first) = first {
        eprintln!("      {surprises} answers did not say what was expected: {first}");
    }
    let worked = setup.usage()?;
    setup.relay.process.stop()?;
    let full = starts(&mut start).await?;
    let resident = |usage: Usages| usage.relay.resident;
    Ok(json!({
        "part": "mixed", "database": if database == Database::Sqlite { "sqlite" } else { "postgres" },
        "nodes": nodes.len(), "visitors": visitors.len(), "connections": CONNECTIONS,
        "perMille": traffic::SHARES.iter().map(|(kind, share)| ((*kind).to_owned(), json!(share))).collect::<serde_json::Map<_, _>>(),
        "heartbeatsOfABatch": traffic::BATCH,
        "binaryBytes": std::fs::metadata(program)?.len(),
        "firstStartMs": first_ms, "startEmpty": empty.report(), "startFull": full.report(),
        "bytesPerNode": full.resident.saturating_sub(empty.resident) / nodes.len() as u64,
        "residentAfterLoading": resident(loaded), "residentAfterWork": resident(worked),
        "admittedPerSecond": nodes.len() as f64 / admitted_s,
        "unexpectedAnswers": surprises, "ramp": ramp, "sustainedPerSecond": sustained, "long": long,
    }))
}

fn is_sustained(rate: u32, tally: &Tally) -> bool {
    tally.rate() >= f64::from(rate) * KEEPS_UP && tally.ms_at(0.95) <= P95_MS && tally.faults() < FAULTS
}

/// What starts with the same data cost.
struct Starts {
    ms: Vec<f64>,
    /// Bytes in memory, at rest after the last one.
    resident: u64,
}

impl Starts {
    fn report(&self) -> Value {
        json!({ "ms": self.ms[self.ms.len() / 2], "allMs": self.ms, "residentBytes": self.resident })
    }
}

async fn starts(start: &mut Start) -> Result<Starts, Failure> {
    let (mut times, mut resident) = (Vec::new(), 0);
    for _ in 0..STARTS {
        let relay = start.relay()?;
        times.push(ms(relay.started_in));
        tokio::time::sleep(REST).await;
        resident = relay.process.usage()?.resident;
        relay.process.stop()?;
    }
    times.sort_by(f64::total_cmp);
    Ok(Starts { ms: times, resident })
}

/// The relay and its database.
struct Setup {
    relay: Relay,
    postmaster: Option<u32>,
}

#[derive(Clone, Copy)]
struct Usages {
    relay: Usage,
    database: Usage,
}

impl Setup {
    fn usage(&self) -> Result<Usages, Failure> {
        if let Some(pid) = self.postmaster {
            process::pin_with_children(pid)?;
        }
        let database = self.postmaster.map(process::usage_with_children).transpose()?.unwrap_or_default();
        Ok(Usages { relay: self.relay.process.usage()?, database })
    }

    async fn measure<T: Traffic>(
        &self,
        rate: u32,
        length: Duration,
        traffic: &mut T,
    ) -> Result<(Tally, Value), Failure> {
        let before = self.usage()?;
        let pace = Pace::open(rate, length);
        let tally = drive(self.relay.address, CONNECTIONS, &pace, traffic).await;
        let after = self.usage()?;
        let micros = |after: Usage, before: Usage| (after.cpu - before.cpu) * 1e6 / tally.answers().max(1) as f64;
        let mut report = tally.report();
        report["offeredPerSecond"] = json!(rate);
        report["sustained"] = json!(is_sustained(rate, &tally));
        report["relayCpuMicrosPerRequest"] = json!(micros(after.relay, before.relay));
        report["databaseCpuMicrosPerRequest"] = json!(micros(after.database, before.database));
        report["residentBytes"] = json!(after.relay.resident);
        report["generatorLagMs"] = json!(ms(pace.lag()));
        eprintln!(
            "      {rate}/s: {:.0}/s answered, p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, faults {:.4} %, {:.0} µs of the relay's core",
            tally.rate(),
            tally.ms_at(0.5),
            tally.ms_at(0.95),
            tally.ms_at(0.99),
            tally.faults() * 100.0,
            micros(after.relay, before.relay),
        );
        if let Some(trouble) = tally.trouble() {
            eprintln!("      {trouble}");
        }
        Ok((tally, report))
    }
}

/// The first process of the PostgreSQL at a URL of [`server::Server`]'s, moved to the servers' core.
fn postmaster(url: &str) -> Result<u32, Failure> {
    let folder = url.split(['@', '/']).find(|part| part.contains("%2F")).ok_or("the database is not in a folder")?;
    let file = Path::new(&folder.replace("%2F", "/")).join("data/postmaster.pid");
    let text = std::fs::read_to_string(&file)?;
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).ok_or("no process in postmaster.pid")?;
    process::pin_with_children(pid)?;
    Ok(pid)
}
