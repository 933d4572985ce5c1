//! Where things are: the root of the workspace, the target directory, and what stands in them.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The places every step works with.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, wherever the environment or the configuration puts it.
    pub(crate) target: PathBuf,
    cargo: OsString,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo where it is.
    pub(crate) fn locate() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut ask = process::command(&cargo);
        ask.args(["metadata", "--no-deps", "--format-version", "1"]);
        let answer = process::output(&mut ask)?;
        let metadata: Metadata = serde_json::from_str(&answer).context("`cargo metadata` cannot be understood")?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, cargo })
    }

    /// A cargo command in the root, with this target directory.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = process::command(&self.cargo);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// An npm command in a folder of the workspace (`web` or `tests`).
    pub(crate) fn npm(&self, folder: &str) -> Command {
        let mut command = process::command(if cfg!(windows) { "npm.cmd" } else { "npm" });
        command.current_dir(self.root.join(folder));
        command
    }

    /// A Node.js command in a folder of the workspace.
    pub(crate) fn node(&self, folder: &str) -> Command {
        let mut command = process::command("node");
        command.current_dir(self.root.join(folder));
        command
    }

    /// The binary `openred`, once it is built.
    pub(crate) fn binary(&self) -> PathBuf {
        self.target.join("release").join(format!("openred{}", env::consts::EXE_SUFFIX))
    }

    /// Waits until no other xtask works in this target directory: two would replace each other's output. The lock
    /// ends with the file that is returned.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.cache().join("lock");
        let opened = fs::create_dir_all(self.cache()).and_then(|()| File::create(&path));
        let file = opened.with_context(|| format!("{} cannot be opened", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another `cargo xtask` in {}", self.target.display());
            file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        }
        Ok(file)
    }

    /// What xtask itself keeps between runs.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("xtask")
    }
}
