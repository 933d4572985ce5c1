//! `cargo xtask bench commands`: cold and warm wall time of `build` and `test` in a fresh copy of the project with an
//! empty target directory.
//!
//! The copy holds what git would hold: all files that are not ignored, with the changes of the working tree. What
//! cargo and npm have downloaded before stays downloaded, so the figures hold no network time on a used machine.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::bench;
use crate::process;
use crate::steps::{Done, Step, human};
use crate::workspace::Workspace;

#[derive(Serialize)]
struct Report {
    commit: String,
    command: &'static str,
    cores: usize,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
    command: &'static str,
    state: &'static str,
    seconds: f64,
}

/// Step: measures and prints the table.
pub(crate) fn step(ws: &Workspace) -> Step<'_> {
    Step::new("benchmark commands", move || {
        let home = ws.cache().join("commands");
        remove(&home)?;
        let clone = home.join("clone");
        copy_sources(ws, &clone)?;
        let runs = [("build", "cold"), ("build", "warm"), ("test", "cold"), ("test", "warm")];
        let runs = runs.into_iter().map(|(command, state)| run(&clone, &home.join("target"), command, state));
        let report = Report {
            commit: bench::commit(ws),
            command: "cargo xtask bench commands",
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            runs: runs.collect::<Result<_>>()?,
        };
        for run in &report.runs {
            println!("cargo xtask {:5}  {}  {:8.1} s", run.command, run.state, run.seconds);
        }
        bench::write_report(ws, "commands", &report)?;
        remove(&home)?;
        Ok(Done::Made)
    })
    .takes(true, "40 min, every time and not only")
}

fn run(clone: &Path, target: &Path, command: &'static str, state: &'static str) -> Result<Run> {
    eprintln!("      cargo xtask {command}, {state}");
    let start = Instant::now();
    // Through the shell's cargo, as a developer would: compiling xtask is part of the time.
    let mut cargo = process::command("cargo");
    process::run(cargo.current_dir(clone).env("CARGO_TARGET_DIR", target).args(["xtask", command]))?;
    let time = start.elapsed();
    eprintln!("      cargo xtask {command}, {state}: {}", human(time));
    Ok(Run { command, state, seconds: time.as_secs_f64() })
}

fn copy_sources(ws: &Workspace, to: &Path) -> Result<()> {
    let mut git = process::command("git");
    git.current_dir(&ws.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = process::output(&mut git)?;
    let names: Vec<_> = list.split_terminator('\0').filter(|name| ws.root.join(name).exists()).collect();
    ensure!(names.contains(&"Cargo.toml"), "git lists no Cargo.toml in {}", ws.root.display());
    for name in names {
        let path = to.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::copy(ws.root.join(name), &path))
            .with_context(|| format!("{name} cannot be copied to {}", to.display()))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    let removed = if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) };
    removed.with_context(|| format!("{} cannot be removed", folder.display()))
}
