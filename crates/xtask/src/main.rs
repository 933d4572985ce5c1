//! Every developer command of OpenRed: `cargo xtask run`, `build`, `test`, `check`, `npm-pack`, `bench`, `size`.
//!
//! A command is a list of steps ([`steps`]); each step finds out whether it has anything to do, says what it does,
//! and shows the output of the programs it runs. Results go to standard output, all else to standard error. The exit
//! code is 0, 1 if a step failed, 2 for a command line that makes no sense.
//!
//! xtask decides nothing about the product: how the wasm module is built stands in `wasm-pack.toml`, how the npm
//! package is built in `web/package.json`, and the relay embeds what it finds in `web/`.

mod apt;
mod args;
mod bench;
mod browsers;
mod commands;
mod directory;
mod manifest;
mod package;
mod peers;
mod process;
mod rig;
mod setup;
mod size;
mod stamp;
mod steps;
mod summary;
mod test;
mod wasm;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::Command;
use crate::manifest::Manifest;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let words: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let command = match args::parse(&words) {
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(command) => command,
        Err(usage) => {
            eprintln!("{usage}\n`cargo xtask help` explains the commands");
            return ExitCode::from(2);
        }
    };
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    let ws = Workspace::locate()?;
    let manifest = Manifest::read(&ws)?;
    let lock = ws.lock()?;
    match command {
        Command::Run(extra) => {
            build(&ws, &manifest)?;
            drop(lock);
            package::run_relay(&ws, &extra)
        }
        Command::Build => {
            build(&ws, &manifest)?;
            println!("{}", ws.binary().display());
            Ok(())
        }
        Command::Test(part) => test::test(&ws, &manifest, part),
        Command::NpmPack => {
            let mut steps = package::set_up(&ws);
            steps.extend(package::web(&ws, &manifest));
            steps.push(package::pack(&ws));
            steps::run(steps).into_result()?;
            println!("{}", package::tarball(&ws)?.display());
            Ok(())
        }
        Command::Rig => rig::rig(&ws),
        Command::Bench(bench) => bench::bench(&ws, &manifest, bench),
        Command::Help => Ok(()),
    }
}

fn build(ws: &Workspace, manifest: &Manifest) -> Result<()> {
    let mut steps = package::set_up(ws);
    steps.extend(package::everything(ws, manifest));
    steps::run(steps).into_result()
}
