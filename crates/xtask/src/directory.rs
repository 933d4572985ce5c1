//! `cargo xtask bench directory`, in three parts.
//!
//! `directory-registry` is what the registry costs on SQLite and on PostgreSQL with 100 000 nodes, and whether anything that it
//! acknowledged is lost when it is killed. `directory-load` is the relay under the load of as many nodes over HTTP, with start-up
//! and memory. `directory-peers` is the relay beside other registries.
//!
//! The programs are `relay/examples/directory_bench.rs` and `crates/load`; each of their runs prints one JSON
//! object, which the report holds. Under load servers have one core, and the generator another.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::bench;
use crate::peers;
use crate::process;
use crate::steps::{Done, Step};
use crate::workspace::Workspace;

/// Nodes, as requirement D1 counts them.
const NODES: &str = "100000";

/// How often the directory is killed, as requirement D3 asks.
const KILLS: &str = "120";

/// The core of the generator; servers are on core 0.
const GENERATOR: &str = "1";

#[derive(Serialize)]
struct Report {
    commit: String,
    command: String,
    cores: usize,
    runs: Vec<Value>,
}

/// Step: measures the registry alone, and prints what each run says.
pub(crate) fn registry(ws: &Workspace) -> Step<'_> {
    Step::new("benchmark directory-registry", move || {
        let mut cargo = ws.cargo();
        cargo.args(["build", "--locked", "--release", "--package", "openred", "--example", "directory_bench"]);
        process::run_showing(&mut cargo)?;
        let program = program(ws, "examples/directory_bench");
        let runs = [&["figures", NODES, "sqlite"][..], &["figures", NODES, "postgres"], &["kill", KILLS]];
        let runs = runs.into_iter().map(|arguments| run(process::command(&program).args(arguments)));
        report(ws, "directory-registry", runs.collect::<Result<_>>()?)
    })
}

/// Step: measures the relay under load.
pub(crate) fn load(ws: &Workspace) -> Step<'_> {
    Step::new("benchmark directory-load", move || {
        build_generator(ws)?;
        let runs =
            ["sqlite", "postgres"].map(|database| run(generator(ws).arg("mixed").arg(ws.binary()).arg(database)));
        report(ws, "directory-load", runs.into_iter().collect::<Result<_>>()?)
    })
    .takes(true, "27 min, every time and not only")
}

/// Step: measures the relay beside others.
pub(crate) fn peers(ws: &Workspace) -> Step<'_> {
    Step::new("benchmark directory-peers", move || {
        build_generator(ws)?;
        let run = run(generator(ws).arg("peers").arg(ws.binary()).arg(peers::program(ws)).arg("etcd"))?;
        report(ws, "directory-peers", vec![run])
    })
}

fn report(ws: &Workspace, name: &str, runs: Vec<Value>) -> Result<Done> {
    let report = Report {
        commit: bench::commit(ws),
        command: format!("cargo xtask bench {name}"),
        cores: std::thread::available_parallelism().map_or(0, Into::into),
        runs,
    };
    for run in &report.runs {
        println!("{run:#}");
    }
    bench::write_report(ws, name, &report)?;
    Ok(Done::Made)
}

fn build_generator(ws: &Workspace) -> Result<()> {
    process::run_showing(ws.cargo().args(["build", "--locked", "--release", "--package", "openred-load"]))
}

/// The generator on its core.
fn generator(ws: &Workspace) -> Command {
    let mut command = process::command("taskset");
    command.args(["-c", GENERATOR]).arg(program(ws, "openred-load"));
    command
}

/// Runs a program that tells on standard error how far it is, and prints one JSON object.
fn run(command: &mut Command) -> Result<Value> {
    let words = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    eprintln!("      {} {words}", command.get_program().to_string_lossy());
    let text = process::output(command.stderr(Stdio::inherit()))?;
    serde_json::from_str(&text).with_context(|| format!("`{words}` did not print one JSON object but {text}"))
}

fn program(ws: &Workspace, name: &str) -> PathBuf {
    ws.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
