//! Set-up: what a fresh machine with Rust, Node.js and a C compiler still lacks. Browsers are in [`crate::browsers`].
//!
//! Each function finds out whether there is anything to do before it does anything, and leaves alone what it cannot
//! install: then its error says in one sentence what is missing and how to get it.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::stamp::{self, Digest};
use crate::steps::{Done, Step};
use crate::workspace::Workspace;

/// The compiler's name for the browser.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// The oldest Node.js that Vite and the npm package's tools run on.
const NODE: (u32, u32) = (20, 19);

/// Step: Node.js and a C compiler are there.
pub(crate) fn tools() -> Step<'static> {
    Step::new("tools: Node.js, npm, C compiler", || {
        let version = process::output(process::command("node").arg("--version"))
            .with_context(|| format!("Node.js {}.{} or newer is needed: https://nodejs.org", NODE.0, NODE.1))?;
        let version = version.trim();
        ensure!(
            node_is_new_enough(version),
            "Node.js {}.{} or newer is needed, this is {version}: https://nodejs.org",
            NODE.0,
            NODE.1
        );
        ensure!(
            process::succeeds(process::command(if cfg!(windows) { "npm.cmd" } else { "npm" }).arg("--version")),
            "npm is needed and was not found in PATH; it comes with Node.js: https://nodejs.org"
        );
        if !cfg!(windows) {
            let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
            ensure!(
                process::succeeds(process::command(&compiler).arg("--version")),
                "a C compiler is needed and `{compiler}` was not found; install gcc or clang \
                 (Debian: apt-get install build-essential) or set CC"
            );
        }
        Ok(Done::Kept(format!("found, Node.js {version}")))
    })
}

fn node_is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= NODE
}

/// Step: the standard library for wasm is installed.
pub(crate) fn wasm_target() -> Step<'static> {
    Step::new(format!("Rust target {WASM}"), || {
        let sysroot = process::output(process::command("rustc").args(["--print", "sysroot"]))?;
        if Path::new(sysroot.trim()).join("lib/rustlib").join(WASM).join("lib").is_dir() {
            return Ok(Done::Kept("already there".into()));
        }
        rustup(&["target", "add", WASM], &format!("the Rust target {WASM}"))?;
        Ok(Done::Made)
    })
}

/// Step: rustfmt and clippy are installed.
pub(crate) fn lint_components() -> Step<'static> {
    Step::new("Rust components rustfmt and clippy", || {
        let there = |tool| process::succeeds(process::command("cargo").args([tool, "--version"]));
        if there("fmt") && there("clippy") {
            return Ok(Done::Kept("already there".into()));
        }
        rustup(&["component", "add", "rustfmt", "clippy"], "one of the Rust components rustfmt and clippy")?;
        Ok(Done::Made)
    })
}

fn rustup(arguments: &[&str], missing: &str) -> Result<()> {
    ensure!(
        process::succeeds(process::command("rustup").arg("--version")),
        "{missing} is missing, and so is rustup, which would install it; install rustup (https://rustup.rs) or \
         take it from where your Rust comes from"
    );
    process::run(process::command("rustup").args(arguments))
}

/// Step: the npm packages of `web` or `tests` are those of its `package-lock.json`.
pub(crate) fn npm_packages<'a>(ws: &'a Workspace, folder: &'static str) -> Step<'a> {
    let modules = ws.root.join(folder).join("node_modules");
    let title = format!("npm packages of {folder}/");
    Step::new(title, move || {
        let lock = ws.root.join(folder).join("package-lock.json");
        ensure_file(&lock, "it pins every npm package; `npm install` there makes it")?;
        let digest = Digest::default()
            .file(&lock)?
            .file(&ws.root.join(folder).join("package.json"))?
            .text(process::output(process::command("node").arg("--version"))?.trim())
            .finish();
        // npm ci begins by removing the folder, and the stamp with it.
        let stamp = modules.join(".openred-stamp");
        if stamp::matches(&stamp, &digest) {
            return Ok(Done::Kept("already as package-lock.json says".into()));
        }
        process::run(ws.npm(folder).args(["ci", "--no-audit", "--no-fund"]))?;
        stamp::write(&stamp, &digest)?;
        Ok(Done::Made)
    })
}

/// An error that names the file if it is not there.
pub(crate) fn ensure_file(path: &Path, why: &str) -> Result<()> {
    ensure!(path.is_file(), "{} is missing: {why}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_node_is_told_by_both_numbers() {
        for version in ["v20.19.0", "v20.20.2", "v22.0.1", "v100.0.0"] {
            assert!(node_is_new_enough(version), "{version}");
        }
        for version in ["v20.9.1", "v20.18.3", "v18.20.0", "v9.99.0", "", "node"] {
            assert!(!node_is_new_enough(version), "{version}");
        }
    }
}
