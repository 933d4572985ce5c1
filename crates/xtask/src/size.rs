//! `cargo xtask size`: what takes the bytes of the wasm module, by crate.
//!
//! The module is made once more as it is published, only that functions keep their names, and the size of every
//! function body is added up under the crate that its name belongs to. Code that the compiler inlined counts where it
//! was inlined to; a generic function of the standard library counts for the crate whose types it works on. Data
//! (strings, tables) has no owner.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use crate::bench;
use crate::manifest::Manifest;
use crate::steps::{Done, Step};
use crate::wasm::{self, Names, Sizes};
use crate::workspace::Workspace;

/// Rows of the printed table; the report holds all.
const SHOWN: usize = 30;

#[derive(Serialize)]
struct Report {
    commit: String,
    command: &'static str,
    /// Of the module as it is published; absent if it has not been built.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Sizes>,
    budget_brotli: u64,
    /// Bytes of the named module without its names.
    total: u64,
    /// Bytes by owner, largest first.
    owners: Vec<Owner>,
}

#[derive(Serialize)]
struct Owner {
    name: String,
    bytes: u64,
    functions: u64,
}

/// Step: measures, prints the table and writes the report.
pub(crate) fn step<'a>(ws: &'a Workspace, manifest: &'a Manifest) -> Step<'a> {
    Step::new("benchmark size", move || {
        let folder = ws.cache().join("named");
        wasm::generate(ws, manifest, &folder, Names::Kept)?;
        let module = folder.join(wasm::module(ws, manifest).file_name().context("the module has no name")?);
        let owners = owners(&module)?;
        let published = wasm::module(ws, manifest);
        let report = Report {
            commit: bench::commit(ws),
            command: "cargo xtask bench size",
            published: published.exists().then(|| wasm::sizes(ws, &published)).transpose()?,
            budget_brotli: manifest.budget.brotli,
            total: owners.iter().map(|owner| owner.bytes).sum(),
            owners,
        };
        print(&report);
        bench::write_report(ws, "size", &report)?;
        Ok(Done::Made)
    })
}

fn print(report: &Report) {
    println!("{:>9}  {:>6}  {:>9}  crate", "bytes", "share", "functions");
    let row = |bytes: u64, functions: u64, name: &str| {
        println!("{bytes:>9}  {:>5.1}%  {functions:>9}  {name}", bytes as f64 * 100.0 / report.total as f64);
    };
    for owner in report.owners.iter().take(SHOWN) {
        row(owner.bytes, owner.functions, &owner.name);
    }
    let rest = report.owners.iter().skip(SHOWN);
    let (bytes, functions) = rest.fold((0, 0), |sum, owner| (sum.0 + owner.bytes, sum.1 + owner.functions));
    row(bytes, functions, "all others");
    row(report.total, report.owners.iter().map(|owner| owner.functions).sum(), "together");
    if let Some(Sizes { raw, gzip, brotli }) = report.published {
        println!("published: {raw} bytes, {gzip} gzip, {brotli} brotli; budget {} brotli", report.budget_brotli);
    }
}

/// The owners of a module's bytes, largest first.
fn owners(path: &Path) -> Result<Vec<Owner>> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut imported = 0;
    let mut bodies = Vec::new();
    let mut names = BTreeMap::new();
    let mut other = BTreeMap::<&str, u64>::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                *other.entry("(imports)").or_default() += imports.range().len() as u64;
                for import in imports {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range().len() as u64),
            Payload::DataSection(data) => *other.entry("(data)").or_default() += data.range().len() as u64,
            Payload::ElementSection(elements) => {
                *other.entry("(function tables)").or_default() += elements.range().len() as u64;
            }
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(section) = custom.as_known() {
                    for subsection in section {
                        if let Name::Function(functions) = subsection? {
                            for naming in functions {
                                let naming = naming?;
                                names.insert(naming.index, naming.name);
                            }
                        }
                    }
                } else {
                    *other.entry("(custom sections)").or_default() += custom.range().len() as u64;
                }
            }
            Payload::TypeSection(section) => *other.entry("(types)").or_default() += section.range().len() as u64,
            Payload::FunctionSection(section) => *other.entry("(types)").or_default() += section.range().len() as u64,
            Payload::ExportSection(section) => *other.entry("(exports)").or_default() += section.range().len() as u64,
            _ => {}
        }
    }
    ensure!(
        names.len() * 2 > bodies.len(),
        "only {} of {} functions have a name: the profile in Cargo.toml should not strip symbols",
        names.len(),
        bodies.len()
    );

    let mut sums = BTreeMap::<String, (u64, u64)>::new();
    for (index, size) in (imported..).zip(bodies) {
        let sum = sums.entry(names.get(&index).map_or_else(|| "(unnamed)".into(), |name| owner(name))).or_default();
        *sum = (sum.0 + size, sum.1 + 1);
    }
    sums.extend(other.into_iter().map(|(name, bytes)| (name.to_owned(), (bytes, 0))));
    let mut owners: Vec<_> =
        sums.into_iter().map(|(name, (bytes, functions))| Owner { name, bytes, functions }).collect();
    owners.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(owners)
}

/// The crate that a mangled name belongs to.
fn owner(mangled: &str) -> String {
    match rustc_demangle::try_demangle(mangled) {
        // Only core gives methods to types that are in no crate: <[u8]>::len.
        Ok(symbol) => crate_of(&format!("{symbol:#}")).unwrap_or("core").to_owned(),
        Err(_) => "(exports and the compiler's runtime)".into(),
    }
}

/// The first crate that a name mentions and that is not the standard library's, else the first: a `BTreeMap` of a
/// crate's own types, and dropping one, is that crate's doing.
fn crate_of(path: &str) -> Option<&str> {
    const STANDARD: [&str; 6] = ["alloc", "core", "hashbrown", "std", "__rustc", "compiler_builtins"];
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    // A crate is a word in front of `::` with no `::` before it.
    let crates = path.match_indices("::").filter_map(|(end, _)| {
        let before = &path[..end];
        let start = before.rfind(|char| !is_word(char)).map_or(0, |at| at + 1);
        let word = &before[start..];
        let is_first = !before[..start].ends_with("::");
        (is_first && !word.is_empty()).then_some(word)
    });
    let mut first = None;
    for name in crates {
        if !STANDARD.contains(&name) {
            return Some(name);
        }
        first = first.or(Some(name));
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_crate() {
        let cases = [
            ("libp2p_swarm::Swarm<T>::poll", Some("libp2p_swarm")),
            ("<&mut a::B<c::D> as e::F>::g", Some("a")),
            ("<alloc::vec::Vec<core::option::Option<a::B>>>::push", Some("a")),
            ("core::ptr::drop_in_place::<yamux::Connection>", Some("yamux")),
            ("<alloc::string::String as core::fmt::Write>::write_str", Some("alloc")),
            ("<core::iter::Map<_, std::x::y> as core::iter::Iterator>::next", Some("core")),
            ("<[u8]>::len", None),
            ("main", None),
        ];
        for (path, expected) in cases {
            assert_eq!(crate_of(path), expected, "{path}");
        }
    }

    #[test]
    fn mangled_names_of_both_kinds_are_understood() {
        assert_eq!(owner("_ZN5yamux4Conn4poll17h0123456789abcdefE"), "yamux");
        assert_eq!(owner("_ZN4core3ptr38drop_in_place$LT$yamux..Connection$GT$17h0123456789abcdefE"), "yamux");
        assert_eq!(owner("_RNvMNtCs1234_4core3numh3foo"), "core");
        assert_eq!(owner("_RNvCs1234_7mycrate3foo"), "mycrate");
        assert_eq!(owner("memcpy"), "(exports and the compiler's runtime)");
    }
}
