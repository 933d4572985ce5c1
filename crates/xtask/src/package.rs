//! What is made of the wasm node: the npm package, the page, the tarball, and the binary that carries them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::manifest::Manifest;
use crate::process;
use crate::setup;
use crate::stamp::{self, Digest};
use crate::steps::{Done, Step};
use crate::wasm;
use crate::workspace::Workspace;

/// Steps: what a build needs is installed.
pub(crate) fn set_up(ws: &Workspace) -> Vec<Step<'_>> {
    vec![setup::tools(), setup::wasm_target(), setup::npm_packages(ws, "web")]
}

/// Steps: npm package and page are built from the sources of `web/`.
pub(crate) fn web<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Vec<Step<'a>> {
    let mut steps = wasm::steps(ws, manifest);
    steps.push(npm_build(ws));
    steps
}

/// Steps: npm package, page, and the relay that carries them.
pub(crate) fn everything<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Vec<Step<'a>> {
    let mut steps = web(ws, manifest);
    steps.push(relay(ws));
    steps
}

fn npm_build(ws: &Workspace) -> Step<'_> {
    Step::new("npm package and page", move || {
        let web = ws.root.join("web");
        let stamp = ws.cache().join("web.stamp");
        // The packages are told by the lock file, which is read; the others are made by the build, or are no part of it.
        let no_input = |name: &str| {
            matches!(name, "node_modules" | "dist" | "site" | ".cache" | "LICENSE" | "test") || name.ends_with(".tgz")
        };
        let inputs = Digest::default().folder(&web, no_input)?.file(&ws.root.join("LICENSE"))?.finish();
        let state = || -> Result<String> {
            let outputs =
                Digest::default().folder(&web.join("dist"), |_| false)?.folder(&web.join("site"), |_| false)?;
            Ok(format!("{inputs} {}", outputs.finish()))
        };
        if stamp::matches(&stamp, &state()?) {
            return Ok(Done::Kept("unchanged".into()));
        }
        process::run(ws.npm("web").args(["run", "build"]))?;
        for made in ["dist/index.js", "dist/index.d.ts", "site/index.html"] {
            setup::ensure_file(&web.join(made), "`npm run build` in web/ should have made it")?;
        }
        stamp::write(&stamp, &state()?)?;
        Ok(Done::Made)
    })
}

/// Step: the release binary, with page and npm files inside.
fn relay(ws: &Workspace) -> Step<'_> {
    Step::new("relay", move || {
        process::run(ws.cargo().args(["build", "--locked", "--release", "--package", "openred"]))?;
        setup::ensure_file(&ws.binary(), "cargo should have built it")?;
        Ok(Done::Made)
    })
    .takes(!ws.binary().exists(), "7 min")
}

/// Step: the npm package as a tarball.
pub(crate) fn pack(ws: &Workspace) -> Step<'_> {
    Step::new("npm tarball", move || {
        let folder = ws.target.join("npm");
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        // The scripts that npm would run first have been run by the steps before.
        let mut npm = ws.npm("web");
        npm.args(["pack", "--loglevel=error", "--ignore-scripts", "--pack-destination"]).arg(&folder);
        process::run(&mut npm)?;
        setup::ensure_file(&tarball(ws)?, "`npm pack` should have made it")?;
        Ok(Done::Made)
    })
}

/// Where the tarball stands once it is packed.
pub(crate) fn tarball(ws: &Workspace) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let text = fs::read_to_string(ws.root.join("web/package.json")).context("web/package.json cannot be read")?;
    let package: Package = serde_json::from_str(&text).context("web/package.json has no name and version")?;
    Ok(ws.target.join("npm").join(tarball_name(&package.name, &package.version)))
}

/// npm's rule: the scope loses its `@`, the slash becomes a dash.
fn tarball_name(name: &str, version: &str) -> String {
    format!("{}-{version}.tgz", name.trim_start_matches('@').replace('/', "-"))
}

/// Becomes the relay. Returns only if that fails or, where a process cannot become another, when the relay ends.
pub(crate) fn run_relay(ws: &Workspace, extra: &[String]) -> Result<()> {
    let mut relay = process::command(ws.binary());
    relay.arg("relay").args(extra);
    eprintln!("starting `openred relay {}`; Ctrl-C stops it", extra.join(" ").trim());
    become_it(&mut relay)
}

#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("the relay cannot be started")
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<()> {
    let status = command.status().context("the relay cannot be started")?;
    anyhow::ensure!(status.success(), "the relay ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tarballs_are_named_as_npm_names_them() {
        assert_eq!(tarball_name("@openred/node", "0.1.0"), "openred-node-0.1.0.tgz");
        assert_eq!(tarball_name("plain", "1.2.3-rc.1"), "plain-1.2.3-rc.1.tgz");
    }
}
