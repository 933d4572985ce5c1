//! `wasm-pack.toml`, the build manifest of the wasm package.
//!
//! Every key must be there and no other may be: a misspelt key is an error, never a silent default.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::workspace::Workspace;

/// The file's name, in the root of the workspace.
const FILE: &str = "wasm-pack.toml";

/// The whole manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    /// What cargo builds.
    pub(crate) build: Build,
    /// What wasm-bindgen makes of it.
    pub(crate) bindgen: Bindgen,
    /// How wasm-opt shrinks it.
    pub(crate) wasm_opt: WasmOpt,
    /// How large the result may be.
    pub(crate) budget: Budget,
}

/// What cargo builds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Build {
    /// Name of the package.
    pub(crate) package: String,
    /// Name of the profile in the root `Cargo.toml`.
    pub(crate) profile: String,
}

/// What wasm-bindgen makes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Bindgen {
    /// Shape of the generated JavaScript.
    pub(crate) target: Target,
    /// Folder of the output, relative to the root of the workspace. Its content is replaced.
    pub(crate) out_dir: String,
    /// Stem of the output files: `<stem>.js` and `<stem>_bg.wasm`.
    pub(crate) out_name: String,
}

/// The shapes of JavaScript that `web/src/raw.ts` can import.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// An ES module for browsers, without a bundler.
    Web,
}

/// How wasm-opt shrinks it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WasmOpt {
    /// Arguments before input and output.
    pub(crate) flags: Vec<String>,
}

/// How large the result may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Budget {
    /// Bytes of the module after brotli at its highest level.
    pub(crate) brotli: u64,
}

impl Manifest {
    /// Reads and checks the manifest of the workspace.
    pub(crate) fn read(ws: &Workspace) -> Result<Self> {
        let text = fs::read_to_string(ws.root.join(FILE)).with_context(|| format!("{FILE} cannot be read"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).with_context(|| format!("{FILE} is not as it should be"))?;
        let out_dir = &manifest.bindgen.out_dir;
        ensure!(
            out_dir.starts_with("web/") && out_dir.split('/').all(|part| !part.is_empty() && part != ".."),
            "{FILE}: out-dir is `{out_dir}`; a folder inside web/, such as web/pkg, would be right, for it is emptied"
        );
        ensure!(manifest.budget.brotli > 0, "{FILE}: the budget brotli is 0; a number of bytes would be right");
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
        [build]
        package = "some-wasm"
        profile = "small"
        [bindgen]
        target = "web"
        out-dir = "web/pkg"
        out-name = "some"
        [wasm-opt]
        flags = ["-Oz"]
        [budget]
        brotli = 400_000
    "#;

    fn refused(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "{from} is not in the sample");
        format!("{:#}", Manifest::parse(&SAMPLE.replace(from, to)).expect_err(to))
    }

    #[test]
    fn every_key_arrives() {
        let manifest = Manifest::parse(SAMPLE).expect("valid");
        assert_eq!(manifest.build.package, "some-wasm");
        assert_eq!(manifest.build.profile, "small");
        assert_eq!(manifest.bindgen.target, Target::Web);
        assert_eq!(manifest.bindgen.out_dir, "web/pkg");
        assert_eq!(manifest.bindgen.out_name, "some");
        assert_eq!(manifest.wasm_opt.flags, ["-Oz"]);
        assert_eq!(manifest.budget.brotli, 400_000);
    }

    #[test]
    fn the_manifest_of_the_project_is_valid_and_says_who_reads_it() {
        let ours = include_str!("../../../wasm-pack.toml");
        Manifest::parse(ours).expect("valid");
        assert!(ours.lines().next().is_some_and(|line| line.contains("cargo xtask")));
    }

    #[test]
    fn unknown_missing_and_wrong_keys_are_refused_by_name() {
        assert!(refused("profile =", "profil =").contains("profil"));
        assert!(refused("[budget]", "[budgets]").contains("budgets"));
        assert!(refused("package = \"some-wasm\"", "").contains("package"));
        assert!(refused("\"web\"", "\"bundler\"").contains("bundler"));
        assert!(refused("400_000", "\"400 kB\"").contains("brotli"));
        assert!(refused("400_000", "0").contains("brotli"));
        assert!(refused("web/pkg", "web/../src").contains("out-dir"));
        assert!(refused("web/pkg", "/tmp").contains("out-dir"));
    }
}
