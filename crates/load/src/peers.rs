//! The directory beside two other registries: the same questions, in turns, each at what it takes at most.
//!
//! `rnacos` speaks its own protocol, the HTTP interface of Nacos; etcd its JSON gateway, as HTTP like the others. What they do for
//! a request differs, and the report says how: see [`System::does`].

mod systems;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use self::systems::{Asks, System};
use crate::{
    Failure,
    drive::drive,
    from_environment,
    nodes::Node,
    pace::Pace,
    process::{self, Process, pinned},
    relay::Start,
};

/// Entries of each registry. Fewer than in the mixed load: `rnacos` forgets who is silent for half a minute.
const ENTRIES: u64 = 10_000;

/// Connections, each with one request at a time.
const CONNECTIONS: usize = 64;

/// Rounds in which all take turns.
const ROUNDS: usize = 3;

/// Each question is asked for so long before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Seconds for which it counts.
const SECONDS: u64 = 5;

/// Measures all three.
pub(crate) async fn run(relay: &Path, rnacos: &Path, etcd: &Path) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let inside = |name: &str| folder.path().join(name);
    let relay = Start::new(relay, &inside("openred"), None).relay()?;
    let mut nodes: Vec<Node> = (0..ENTRIES).map(Node::new).collect();
    relay.admit(&mut nodes, true).await?;
    let (rnacos, rnacos_address) = start_rnacos(rnacos, &inside("rnacos")).await?;
    let (etcd, etcd_address) = start_etcd(etcd, &inside("etcd")).await?;

    let length = Duration::from_secs(from_environment("OPENRED_BENCH_TURN_SECONDS", SECONDS)?);
    let mut turns = Vec::new();
    for round in 0..ROUNDS {
        for (system, process, address) in [
            (System::OpenRed, &relay.process, relay.address),
            (System::Rnacos, &rnacos, rnacos_address),
            (System::Etcd, &etcd, etcd_address),
        ] {
            for question in system.questions() {
                let mut asks = Asks::new(system, question, address, &nodes);
                drive(address, CONNECTIONS, &Pace::closed(WARM_UP), &mut asks).await;
                let (before, own) = (process.usage()?, process::own_cpu()?);
                let tally = drive(address, CONNECTIONS, &Pace::closed(length), &mut asks).await;
                let (after, own) = (process.usage()?, process::own_cpu()? - own);
                if let Some(trouble) = tally.trouble().or(asks.surprise) {
                    return Err(format!("{} does not {question}: {trouble}", system.name()).into());
                }
                let cpu = after.cpu - before.cpu;
                let mut report = tally.report();
                report["round"] = json!(round);
                report["system"] = json!(system.name());
                report["question"] = json!(question);
                report["serverCpuMicrosPerRequest"] = json!(cpu * 1e6 / tally.answers() as f64);
                report["serverCore"] = json!(cpu / length.as_secs_f64());
                report["generatorCore"] = json!(own / length.as_secs_f64());
                report["residentBytes"] = json!(after.resident);
                eprintln!(
                    "      {} {question}: {:.0}/s, p99 {:.1} ms, {:.0} % of its core, generator {:.0} %",
                    system.name(),
                    tally.rate(),
                    tally.ms_at(0.99),
                    cpu / length.as_secs_f64() * 100.0,
                    own / length.as_secs_f64() * 100.0,
                );
                turns.push(report);
            }
        }
    }
    relay.process.stop()?;
    let table = table(&turns);
    Ok(json!({
        "part": "peers", "entries": ENTRIES, "connections": CONNECTIONS, "rounds": ROUNDS,
        "does": System::ALL.map(|system| (system.name().to_owned(), json!(system.does()))).into_iter().collect::<serde_json::Map<_, _>>(),
        "medianPerSecond": table, "turns": turns,
    }))
}

/// The middle rate of all rounds, by system and question.
fn table(turns: &[Value]) -> Value {
    let mut table = json!({});
    for turn in turns {
        let same = |other: &&Value| other["system"] == turn["system"] && other["question"] == turn["question"];
        let rates = turns.iter().filter(same).filter_map(|turn| turn["requestsPerSecond"].as_f64());
        let mut rates: Vec<f64> = rates.collect();
        rates.sort_by(f64::total_cmp);
        let (system, question) = (turn["system"].as_str().unwrap_or(""), turn["question"].as_str().unwrap_or(""));
        table[system][question] = json!(rates[rates.len() / 2].round());
    }
    table
}

async fn start_rnacos(program: &Path, data: &Path) -> Result<(Process, std::net::SocketAddr), Failure> {
    let ports = [process::free_port()?, process::free_port()?, process::free_port()?];
    let address = ([127, 0, 0, 1], ports[0]).into();
    let mut command = pinned(program);
    command.env("RNACOS_SDK_HOST", "127.0.0.1").env("RNACOS_DATA_DIR", data).env("RUST_LOG", "warn");
    let names = ["RNACOS_HTTP_PORT", "RNACOS_GRPC_PORT", "RNACOS_HTTP_CONSOLE_PORT"];
    command.envs(names.iter().zip(ports.map(|port| port.to_string())));
    // It makes files where it stands.
    std::fs::create_dir_all(data)?;
    let process = Process::start_at(command.current_dir(data), address).await?;
    Ok((process, address))
}

async fn start_etcd(program: &Path, data: &Path) -> Result<(Process, std::net::SocketAddr), Failure> {
    let (client, peer) = (process::free_port()?, process::free_port()?);
    let address = ([127, 0, 0, 1], client).into();
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut command = pinned(program);
    command.arg("--data-dir").arg(data).args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}"), "--logger", "zap", "--log-level", "error"]);
    let process = Process::start_at(&mut command, address).await?;
    Ok((process, address))
}
