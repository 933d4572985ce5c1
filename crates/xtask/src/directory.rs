//! `cargo xtask bench directory`: what the directory's registry costs on SQLite and on PostgreSQL with 100 000 nodes, and whether
//! anything that it acknowledged is lost when it is killed.
//!
//! The program is `relay/examples/directory_bench.rs`; each of its runs prints one JSON object, which the report holds.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::bench;
use crate::process;
use crate::steps::{Done, Step};
use crate::workspace::Workspace;

/// Nodes, as requirement D1 counts them.
const NODES: &str = "100000";

/// How often the directory is killed, as requirement D3 asks.
const KILLS: &str = "120";

#[derive(Serialize)]
struct Report {
    commit: String,
    command: &'static str,
    cores: usize,
    runs: Vec<Value>,
}

/// Step: measures, and prints what each run says.
pub(crate) fn step(ws: &Workspace) -> Step<'_> {
    Step::new("benchmark directory", move || {
        let mut cargo = ws.cargo();
        cargo.args(["build", "--locked", "--release", "--package", "openred", "--example", "directory_bench"]);
        process::run_showing(&mut cargo)?;
        let runs = [&["figures", NODES, "sqlite"][..], &["figures", NODES, "postgres"], &["kill", KILLS]];
        let report = Report {
            commit: bench::commit(ws),
            command: "cargo xtask bench directory",
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            runs: runs.into_iter().map(|arguments| run(ws, arguments)).collect::<Result<_>>()?,
        };
        for run in &report.runs {
            println!("{run:#}");
        }
        bench::write_report(ws, "directory", &report)?;
        Ok(Done::Made)
    })
}

fn run(ws: &Workspace, arguments: &[&str]) -> Result<Value> {
    eprintln!("      directory_bench {}", arguments.join(" "));
    let text = process::output(process::command(program(ws)).args(arguments))?;
    serde_json::from_str(&text).with_context(|| format!("directory_bench did not print one JSON object but {text}"))
}

fn program(ws: &Workspace) -> PathBuf {
    ws.target.join("release/examples").join(format!("directory_bench{}", std::env::consts::EXE_SUFFIX))
}
