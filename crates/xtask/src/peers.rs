//! The other registries that `cargo xtask bench directory-peers` measures: etcd from Debian, and `rnacos` from crates.io.

use std::path::PathBuf;

use anyhow::ensure;

use crate::apt;
use crate::process;
use crate::setup;
use crate::steps::{Done, Step};
use crate::workspace::Workspace;

/// The version that is measured.
const RNACOS: &str = "0.8.8";

/// Step: etcd is in `PATH`.
pub(crate) fn etcd() -> Step<'static> {
    Step::new("etcd to compare with", || {
        let is_there = || process::succeeds(process::command("etcd").arg("--version"));
        if is_there() {
            return Ok(Done::Kept("found in PATH".into()));
        }
        const BY_HAND: &str = "install etcd 3.4 or newer so that etcd is in PATH";
        apt::install("etcd-server", "etcd", BY_HAND)?;
        ensure!(is_there(), "apt-get installed etcd-server, and etcd is not found: {BY_HAND}");
        Ok(Done::Made)
    })
}

/// Step: `rnacos` is built, in a folder of its own in the target directory.
pub(crate) fn rnacos(ws: &Workspace) -> Step<'_> {
    let program = program(ws);
    let is_new = !program.exists();
    Step::new(format!("rnacos {RNACOS} to compare with"), move || {
        let asked = process::output(process::command(&program).arg("--version")).unwrap_or_default();
        if asked.contains(RNACOS) {
            return Ok(Done::Kept("already built".into()));
        }
        let folder = folder(ws);
        let mut cargo = process::command("cargo");
        cargo.args(["install", "rnacos", "--version", RNACOS, "--locked", "--force", "--root"]).arg(&folder);
        process::run(cargo.env("CARGO_TARGET_DIR", folder.join("build")))?;
        setup::ensure_file(&program, "cargo should have installed it")?;
        Ok(Done::Made)
    })
    .takes(is_new, "15 min")
}

/// The program, once it is built.
pub(crate) fn program(ws: &Workspace) -> PathBuf {
    folder(ws).join("bin").join(format!("rnacos{}", std::env::consts::EXE_SUFFIX))
}

fn folder(ws: &Workspace) -> PathBuf {
    ws.target.join("peers")
}
