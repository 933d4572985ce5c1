//! The module that the pages of `tests/webrtc` run: an example of `openred-webrtc`, built as debugging wants it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::process;
use crate::setup::{self, WASM};
use crate::stamp::{self, Digest};
use crate::steps::{self, Done, Step};
use crate::workspace::Workspace;

const EXAMPLE: &str = "webrtc_rig";

/// Builds it alone and prints the folder.
pub(crate) fn rig(ws: &Workspace) -> Result<()> {
    steps::run(vec![setup::wasm_target(), step(ws)]).into_result()?;
    println!("{}", folder(ws).display());
    Ok(())
}

/// Step: module and JavaScript stand in [`folder`].
pub(crate) fn step(ws: &Workspace) -> Step<'_> {
    Step::new("page of the WebRTC tests", move || {
        let mut cargo = ws.cargo();
        cargo.args(["build", "--locked", "--package", "openred-webrtc", "--example", EXAMPLE, "--target", WASM]);
        process::run(&mut cargo)?;
        let module = ws.target.join(WASM).join("debug/examples").join(EXAMPLE).with_extension("wasm");
        let stamp = ws.cache().join("webrtc-rig.stamp");
        let digest = Digest::default().file(&module)?.finish();
        let folder = folder(ws);
        if folder.exists() && stamp::matches(&stamp, &digest) {
            return Ok(Done::Kept("unchanged".into()));
        }
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let mut bindgen = Bindgen::new();
        bindgen.input_path(module).typescript(false).web(true)?.generate(&folder).context("wasm-bindgen failed")?;
        stamp::write(&stamp, &digest)?;
        Ok(Done::Made)
    })
}

/// Where the pages find it.
pub(crate) fn folder(ws: &Workspace) -> PathBuf {
    ws.target.join("webrtc-rig")
}
