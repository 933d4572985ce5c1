//! `cargo xtask test`: every check of the project, cheap ones first, with one summary at the end.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};

use crate::args::Part;
use crate::browsers;
use crate::manifest::Manifest;
use crate::package;
use crate::process;
use crate::rig;
use crate::setup::{self, WASM};
use crate::steps::{self, Done, Step};
use crate::summary::{Counter, Counts};
use crate::workspace::Workspace;

/// The packages that run in the browser.
const BROWSER: [&str; 4] = ["openred-core", "openred-webrtc", "openred-node", "openred-wasm"];

/// Runs the tests, or one part of them, and prints the summary. Its last line but the error is `N passed, N failed`.
pub(crate) fn test(ws: &Workspace, manifest: &Manifest, part: Option<Part>) -> Result<()> {
    let mut steps = Vec::new();
    match part {
        None => {
            steps.extend(set_up_for_browsers(ws));
            steps.push(setup::lint_components());
            steps.extend(lint(ws));
            steps.extend(package::everything(ws, manifest));
            steps.push(package::pack(ws));
            // After the build, so that what the relay carries in these tests is the same every time.
            steps.extend(rust(ws));
            steps.push(web(ws));
            steps.extend(end_to_end(ws)?);
        }
        Some(Part::Lint) => {
            steps.extend([setup::wasm_target(), setup::lint_components()]);
            steps.extend(lint(ws));
        }
        Some(Part::Rust) => {
            steps.extend([setup::tools(), setup::wasm_target()]);
            steps.extend(rust(ws));
        }
        Some(Part::Web) => {
            steps.extend(package::set_up(ws));
            steps.extend(package::web(ws, manifest));
            steps.push(web(ws));
        }
        Some(Part::E2e) => {
            steps.extend(set_up_for_browsers(ws));
            steps.extend(package::everything(ws, manifest));
            steps.push(package::pack(ws));
            steps.extend(end_to_end(ws)?);
        }
    }
    let report = steps::run(steps);
    println!("\n{}\n{} passed, {} failed", report.table(), report.counts.passed, report.counts.failed);
    report.into_result()
}

/// Steps: what a build needs is installed, and what tests in browsers need.
pub(crate) fn set_up_for_browsers(ws: &Workspace) -> Vec<Step<'_>> {
    let mut steps = package::set_up(ws);
    steps.push(setup::npm_packages(ws, "tests"));
    steps.extend(browsers::steps());
    steps
}

fn lint(ws: &Workspace) -> Vec<Step<'_>> {
    let cargo = move |title: &str, arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Step::new(title, move || {
            process::run(ws.cargo().args(arguments).env("RUSTDOCFLAGS", "-D warnings"))?;
            Ok(Done::Made)
        })
    };
    let mut clippy_wasm = vec!["clippy", "--locked", "--target", WASM, "--lib"];
    clippy_wasm.extend(BROWSER.iter().flat_map(|package| ["--package", package]));
    clippy_wasm.extend(["--", "-D", "warnings"]);
    vec![
        cargo("formatting", &["fmt", "--all", "--check"]),
        cargo("clippy", &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        cargo("clippy for wasm", &clippy_wasm),
        cargo("documentation", &["doc", "--locked", "--workspace", "--no-deps"]),
    ]
}

fn rust(ws: &Workspace) -> Vec<Step<'_>> {
    let tests = Step::new("Rust tests", move || {
        let mut cargo = ws.cargo();
        if process::succeeds(ws.cargo().args(["nextest", "--version"])) {
            cargo.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
        } else {
            cargo.args(["test", "--locked", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        }
        counted(&mut cargo)
    });
    let documentation = Step::new("Rust documentation tests", move || {
        counted(ws.cargo().args(["test", "--locked", "--workspace", "--no-fail-fast", "--doc"]))
    });
    vec![tests, documentation, no_imports(ws)]
}

/// Step: core asks nothing of JavaScript. `examples/no_imports.rs` of core works the machine; as a wasm module it
/// must be startable without a single import.
fn no_imports(ws: &Workspace) -> Step<'_> {
    const EXAMPLE: &str = "no_imports";
    const SCRIPT: &str = "
        const module = new WebAssembly.Module(require('node:fs').readFileSync(process.argv[1]))
        const imports = WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`)
        if (imports.length > 0) throw new Error(`core imports ${imports.join(', ')}`)
        const status = new WebAssembly.Instance(module).exports.main(0, 0)
        if (status !== 0) throw new Error(`the example ended with ${status}`)";
    Step::new("core for wasm without imports", move || {
        let mut build = ws.cargo();
        build.args(["build", "--locked", "--package", "openred-core", "--example", EXAMPLE, "--target", WASM]);
        process::run(&mut build)?;
        let module = ws.target.join(WASM).join("debug/examples").join(EXAMPLE).with_extension("wasm");
        process::run(ws.node("").arg("-e").arg(SCRIPT).arg(module))?;
        Ok(Done::Tested { counts: Counts { passed: 1, failed: 0 }, failure: None })
    })
}

fn web(ws: &Workspace) -> Step<'_> {
    Step::new("tests of the npm package and the page", move || counted(ws.npm("web").arg("test")))
}

/// Steps: the tests that drive real programs. The files are listed before anything is built, so that a folder
/// without tests is noticed at once.
fn end_to_end(ws: &Workspace) -> Result<Vec<Step<'_>>> {
    let group = |title, folder: &str| -> Result<Step<'_>> {
        let files = test_files(ws, folder)?;
        Ok(Step::new(title, move || {
            let mut node = ws.node("tests");
            node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(files);
            counted(node.envs(environment(ws)?))
        }))
    };
    Ok(vec![
        group("end-to-end tests", "e2e")?,
        group("interop tests", "interop")?,
        rig::step(ws),
        group("WebRTC tests", "webrtc")?,
    ])
}

/// The test files in a folder of `tests/`, relative to `tests/`, in order.
fn test_files(ws: &Workspace, folder: &str) -> Result<Vec<String>> {
    let path = ws.root.join("tests").join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("{} cannot be listed", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            files.push(format!("{folder}/{name}"));
        }
    }
    ensure!(!files.is_empty(), "{} has no test: files named *.test.mjs would be right", path.display());
    files.sort();
    Ok(files)
}

/// What tests and benchmarks that drive real programs read from the environment.
pub(crate) fn environment(ws: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut environment = vec![
        ("OPENRED_BIN", ws.binary()),
        ("OPENRED_NPM_TARBALL", package::tarball(ws)?),
        ("OPENRED_WEBRTC_RIG", rig::folder(ws)),
    ];
    for browser in browsers::ALL {
        environment.push((browser.variable, browser.path()?));
    }
    Ok(environment)
}

/// Runs a test runner and reads its counts.
fn counted(runner: &mut Command) -> Result<Done> {
    let mut counter = Counter::default();
    let result = process::run_counting(runner, &mut counter);
    let Some(counts) = counter.counts() else {
        // None was found, or the runner speaks in a way that is not known here. Neither may pass for a success.
        return result.and(Err(anyhow!("the runner counted no test")));
    };
    let miscounted = || anyhow!("the runner counted failures and ended as if there were none");
    let failure = result.err().or_else(|| (counts.failed > 0).then(miscounted));
    Ok(Done::Tested { counts, failure })
}
