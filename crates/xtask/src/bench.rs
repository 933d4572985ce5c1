//! `cargo xtask bench`: runs benchmarks; each writes its report to `bench/<name>.json` in the target directory.
//!
//! `join`, `find`, `echo` and the parts of `browser` are programs in `tests/bench/`, given the environment of the tests and
//! `OPENRED_REPORT`, the path of the report. `discovery` is one too, after the simulator has written its own. `size`, the parts
//! of `directory` and `commands` are modules here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::args::Bench;
use crate::commands;
use crate::directory;
use crate::manifest::Manifest;
use crate::package;
use crate::peers;
use crate::process;
use crate::setup;
use crate::size;
use crate::steps::{self, Done, Step};
use crate::test;
use crate::wasm;
use crate::workspace::Workspace;

/// Runs the chosen benchmarks, or if there are none all but those that take long.
pub(crate) fn bench(ws: &Workspace, manifest: &Manifest, mut chosen: Vec<Bench>) -> Result<()> {
    if chosen.is_empty() {
        chosen = vec![Bench::Join, Bench::Find, Bench::Echo, Bench::Size];
    }
    let mut steps = Vec::new();
    let needs_relay = [Bench::DirectoryLoad, Bench::DirectoryPeers];
    if chosen.iter().any(|bench| program(*bench).is_some()) {
        steps.extend(test::set_up_for_browsers(ws));
        steps.extend(package::everything(ws, manifest));
        steps.push(package::pack(ws));
    } else if chosen.iter().any(|bench| needs_relay.contains(bench)) {
        steps.extend(package::set_up(ws));
        steps.extend(package::everything(ws, manifest));
    } else if chosen.contains(&Bench::Size) {
        steps.extend(package::set_up(ws));
        steps.push(wasm::compile(ws, manifest));
    }
    for bench in chosen {
        match bench {
            Bench::DirectoryRegistry | Bench::DirectoryLoad => steps.push(setup::postgres()),
            Bench::DirectoryPeers => steps.extend([peers::etcd(), peers::rnacos(ws)]),
            _ => {}
        }
        if bench == Bench::Discovery {
            steps.push(simulation(ws));
            steps.push(network_of_natives(ws));
        }
        steps.push(match (program(bench), bench) {
            (Some(program), bench) => driver(ws, bench.name(), program),
            (None, Bench::Size) => size::step(ws, manifest),
            (None, Bench::Commands) => commands::step(ws),
            (None, Bench::DirectoryRegistry) => directory::registry(ws),
            (None, Bench::DirectoryLoad) => directory::load(ws),
            (None, Bench::DirectoryPeers) => directory::peers(ws),
            (None, other) => unreachable!("{} is neither a program nor a module", other.name()),
        });
    }
    steps::run(steps).into_result()
}

/// The program in `tests/bench/` that is the benchmark, if it is one.
fn program(bench: Bench) -> Option<&'static str> {
    match bench {
        Bench::Join => Some("join"),
        Bench::Find => Some("find"),
        Bench::Echo => Some("echo"),
        Bench::BrowserPaths => Some("browser/paths"),
        Bench::BrowserDelay => Some("browser/delay"),
        Bench::BrowserStreams => Some("browser/streams"),
        Bench::BrowserMemory => Some("browser/memory"),
        Bench::BrowserCrowd => Some("browser/crowd"),
        Bench::BrowserRest => Some("browser/rest"),
        Bench::BrowserLife => Some("browser/life"),
        Bench::Discovery => Some("discovery"),
        Bench::DirectoryRegistry | Bench::DirectoryLoad | Bench::DirectoryPeers => None,
        Bench::Size | Bench::Commands => None,
    }
}

fn driver<'a>(ws: &'a Workspace, name: &'static str, program: &'static str) -> Step<'a> {
    Step::new(format!("benchmark {name}"), move || {
        let report = report(ws, name)?;
        let mut node = ws.node("tests");
        node.arg(format!("bench/{program}.mjs")).envs(test::environment(ws)?).env("OPENRED_REPORT", &report);
        node.env("OPENRED_COMMIT", commit(ws)).env("OPENRED_DHT_BENCH", dht_bench(ws));
        process::run_showing(&mut node)?;
        setup::ensure_file(&report, "the benchmark should have written it")?;
        eprintln!("      report: {}", report.display());
        Ok(Done::Made)
    })
}

/// The simulator's figures, in a report of their own.
fn simulation(ws: &Workspace) -> Step<'_> {
    Step::new("simulation of discovery", move || {
        let report = report(ws, "discovery-simulation")?;
        let mut cargo = ws.cargo();
        cargo.args(["run", "--locked", "--release", "--package", "openred-sim", "--", "figures", "--json"]);
        process::run_showing(cargo.arg(&report).env("OPENRED_COMMIT", commit(ws)))?;
        setup::ensure_file(&report, "the simulator should have written it")?;
        eprintln!("      report: {}", report.display());
        Ok(Done::Made)
    })
}

/// The program that runs many native nodes.
fn network_of_natives(ws: &Workspace) -> Step<'_> {
    Step::new("a network of native nodes", move || {
        let mut cargo = ws.cargo();
        cargo.args(["build", "--locked", "--release", "--package", "openred-node", "--example", "dht_bench"]);
        process::run_showing(&mut cargo)?;
        setup::ensure_file(&dht_bench(ws), "cargo should have built it")?;
        Ok(Done::Made)
    })
}

fn dht_bench(ws: &Workspace) -> PathBuf {
    ws.target.join("release/examples").join(format!("dht_bench{}", std::env::consts::EXE_SUFFIX))
}

/// Where a benchmark's report goes. What an earlier run left there is gone.
fn report(ws: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = ws.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let path = folder.join(name).with_extension("json");
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(path)
}

/// Writes a report made here.
pub(crate) fn write_report(ws: &Workspace, name: &str, content: &impl Serialize) -> Result<()> {
    let path = report(ws, name)?;
    write(&path, content)?;
    eprintln!("      report: {}", path.display());
    Ok(())
}

fn write(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(content).context("the report cannot be put into words")?;
    fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))
}

/// The commit that is measured, with a mark if there are changes beyond it.
pub(crate) fn commit(ws: &Workspace) -> String {
    let mut git = process::command("git");
    git.current_dir(&ws.root).args(["describe", "--always", "--dirty", "--abbrev=12"]).stderr(Stdio::null());
    let commit = git.output().ok().filter(|output| output.status.success());
    commit.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
