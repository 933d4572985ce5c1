//! The wasm node: cargo, then wasm-bindgen (as a library, pinned by `Cargo.lock`), then wasm-opt (from the npm
//! package binaryen), then the size budget. `wasm-pack.toml` says how.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use wasm_bindgen_cli_support::Bindgen;

use crate::manifest::{Manifest, Target};
use crate::process;
use crate::setup::{self, WASM};
use crate::stamp::{self, Digest};
use crate::steps::{Done, Step};
use crate::workspace::Workspace;

/// Steps: the module and its JavaScript stand in the manifest's output folder, within the budget.
pub(crate) fn steps<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Vec<Step<'a>> {
    vec![compile(ws, manifest), bind(ws, manifest), budget(ws, manifest)]
}

/// Step: cargo builds the module.
pub(crate) fn compile<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Step<'a> {
    Step::new("wasm node: compile", move || {
        let build = &manifest.build;
        let mut cargo = ws.cargo();
        cargo.args(["build", "--locked", "--package", &build.package, "--profile", &build.profile, "--target", WASM]);
        process::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags()))?;
        Ok(Done::Made)
    })
    .takes(!compiled(ws, manifest).exists(), "3 min")
}

/// The user's flags, then one that keeps this machine's paths out of the panic messages of what is published, and one
/// that gives functions names with types, which [`crate::size`] tells crates by.
fn rustflags() -> String {
    let given = match env::var("CARGO_ENCODED_RUSTFLAGS") {
        Ok(flags) => flags.split('\u{1f}').map(String::from).collect::<Vec<_>>(),
        Err(_) => env::var("RUSTFLAGS").unwrap_or_default().split_whitespace().map(String::from).collect(),
    };
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    #[allow(deprecated, reason = "its fault on Windows was repaired before our oldest compiler")]
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let ours = home.map(|home| format!("--remap-path-prefix={}=", home.join("registry/src").display()));
    let ours = ours.into_iter().chain(["-Csymbol-mangling-version=v0".into()]);
    let flags: Vec<_> = given.into_iter().filter(|flag| !flag.is_empty()).chain(ours).collect();
    flags.join("\u{1f}")
}

/// Where cargo puts the module.
fn compiled(ws: &Workspace, manifest: &Manifest) -> PathBuf {
    let profile = match manifest.build.profile.as_str() {
        "dev" => "debug",
        profile => profile,
    };
    ws.target.join(WASM).join(profile).join(manifest.build.package.replace('-', "_")).with_extension("wasm")
}

/// Step: wasm-bindgen and wasm-opt make of it what the npm package imports.
fn bind<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Step<'a> {
    let out_dir = ws.root.join(&manifest.bindgen.out_dir);
    Step::new("wasm node: wasm-bindgen and wasm-opt", move || {
        let stamp = ws.cache().join("wasm.stamp");
        let inputs = inputs(ws, manifest)?;
        let state = || -> Result<String> {
            Ok(format!("{inputs} {}", Digest::default().folder(&out_dir, |_| false)?.finish()))
        };
        if stamp::matches(&stamp, &state()?) {
            return Ok(Done::Kept("unchanged".into()));
        }
        let work = ws.cache().join("pkg");
        generate(ws, manifest, &work, Names::Removed)?;
        replace_folder(&work, &out_dir)?;
        stamp::write(&stamp, &state()?)?;
        Ok(Done::Made)
    })
    .takes(!module(ws, manifest).exists(), "1 min")
}

/// A digest of all that the output is made from.
fn inputs(ws: &Workspace, manifest: &Manifest) -> Result<String> {
    let digest = Digest::default()
        .file(&compiled(ws, manifest))?
        .file(&ws.root.join("web/node_modules/binaryen/package.json"))?
        .text(&wasm_bindgen_version(ws)?)
        .text(&manifest.bindgen.out_name)
        .text(&manifest.wasm_opt.flags.join(" "));
    Ok(digest.finish())
}

fn wasm_bindgen_version(ws: &Workspace) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(&fs::read_to_string(ws.root.join("Cargo.lock")).context("no Cargo.lock")?)?;
    let tool = lock.package.into_iter().find(|package| package.name == "wasm-bindgen-cli-support");
    Ok(tool.context("Cargo.lock has no wasm-bindgen-cli-support")?.version)
}

/// What becomes of the names of functions, which only [`crate::size`] reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// They are left out of what is published.
    Removed,
    /// They stay, mangled.
    Kept,
}

/// Writes JavaScript and optimised module into an empty `folder`.
pub(crate) fn generate(ws: &Workspace, manifest: &Manifest, folder: &Path, names: Names) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;

    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(compiled(ws, manifest))
        .out_name(&manifest.bindgen.out_name)
        .typescript(false)
        .demangle(false)
        .remove_name_section(names == Names::Removed)
        .remove_producers_section(true);
    match manifest.bindgen.target {
        Target::Web => bindgen.web(true)?,
    };
    bindgen.generate(folder).context("wasm-bindgen failed")?;

    let tool = ws.root.join("web/node_modules/binaryen/bin/wasm-opt");
    setup::ensure_file(&tool, "web/package.json should have binaryen among its devDependencies")?;
    let module = folder.join(module_name(manifest));
    let small = module.with_extension("small");
    let mut optimise = ws.node("web");
    optimise.arg(&tool).args(&manifest.wasm_opt.flags);
    if names == Names::Kept {
        optimise.arg("--debuginfo");
    }
    process::run(optimise.arg(&module).arg("--output").arg(&small))?;
    fs::rename(&small, &module).with_context(|| format!("{} cannot be replaced", module.display()))
}

fn module_name(manifest: &Manifest) -> String {
    format!("{}_bg.wasm", manifest.bindgen.out_name)
}

/// The finished module, as it is published.
pub(crate) fn module(ws: &Workspace, manifest: &Manifest) -> PathBuf {
    ws.root.join(&manifest.bindgen.out_dir).join(module_name(manifest))
}

fn replace_folder(from: &Path, to: &Path) -> Result<()> {
    fn copy(from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &target)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
    let replaced = if to.exists() { fs::remove_dir_all(to) } else { Ok(()) };
    replaced.and_then(|()| copy(from, to)).with_context(|| format!("{} cannot be written", to.display()))
}

/// Sizes of one file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    /// As it lies on disk.
    pub(crate) raw: u64,
    /// After gzip at level 9.
    pub(crate) gzip: u64,
    /// After brotli at level 11.
    pub(crate) brotli: u64,
}

/// Step: the module keeps to the budget.
fn budget<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Step<'a> {
    Step::new("wasm node: size budget", move || {
        let sizes = sizes(ws, &module(ws, manifest))?;
        eprintln!("      {}", within(sizes, manifest.budget.brotli)?);
        Ok(Done::Made)
    })
}

/// The sizes and the budget in a sentence; an error if there is more than the budget allows.
fn within(sizes: Sizes, budget: u64) -> Result<String> {
    let kb = |bytes: u64| format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100);
    let told = format!("{} raw, {} gzip, {} brotli", kb(sizes.raw), kb(sizes.gzip), kb(sizes.brotli));
    if sizes.brotli > budget {
        bail!(
            "the wasm module is {} bytes after brotli, {} over the budget of {budget} bytes in wasm-pack.toml \
             ({told}); `cargo xtask size` says what takes them",
            sizes.brotli,
            sizes.brotli - budget
        );
    }
    Ok(format!("{told}; the budget of {} brotli leaves {}", kb(budget), kb(budget - sizes.brotli)))
}

/// Measures a file, or remembers having measured the same content.
pub(crate) fn sizes(ws: &Workspace, file: &Path) -> Result<Sizes> {
    const SCRIPT: &str = "
        const { brotliCompressSync, constants, gzipSync } = require('node:zlib')
        const bytes = require('node:fs').readFileSync(process.argv[1])
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
        console.log(JSON.stringify({
            raw: bytes.length,
            gzip: gzipSync(bytes, { level: 9 }).length,
            brotli: brotliCompressSync(bytes, { params }).length,
        }))";
    setup::ensure_file(file, "it should have been built before it is measured")?;
    let digest = Digest::default().file(file)?.finish();
    let known = ws.cache().join("sizes").join(digest);
    if let Some(sizes) = fs::read_to_string(&known).ok().and_then(|text| serde_json::from_str(&text).ok()) {
        return Ok(sizes);
    }
    let answer = process::output(ws.node("").arg("-e").arg(SCRIPT).arg(file))?;
    let sizes = serde_json::from_str(&answer).context("the sizes cannot be understood")?;
    stamp::write(&known, &answer)?;
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_budget_is_an_error_that_names_both_numbers() {
        let sizes = Sizes { raw: 1_300_000, gzip: 500_000, brotli: 420_001 };
        let error = within(sizes, 420_000).expect_err("one byte too many").to_string();
        assert!(error.contains("420001 bytes") && error.contains("budget of 420000 bytes"), "{error}");
        let told = within(Sizes { brotli: 420_000, ..sizes }, 420_000).expect("exactly the budget");
        assert!(told.contains("420.0 kB brotli") && told.contains("leaves 0.0 kB"), "{told}");
    }
}
