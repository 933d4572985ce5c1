//! The simulator's part of the project's figures: each a table with its conditions, from a fixed seed.

pub mod churn;
pub mod cuts;
pub mod join;
pub mod lookups;
pub mod loss;
pub mod report;
mod sample;

use report::Table;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// Small networks and few trials: a look within a minute.
    Quick,
    /// What the figures claim.
    Full,
}

/// A figure: the word by which it is asked for, the smallest scale at which it is part of all, and what measures it.
pub type Figure = (&'static str, Scale, fn(Scale) -> Table);

/// Every figure.
pub const FIGURES: [Figure; 8] = [
    ("join", Scale::Quick, join::table),
    ("recovery", Scale::Quick, cuts::recovery),
    ("cuts", Scale::Quick, cuts::table),
    ("loss", Scale::Quick, loss::table),
    ("churn", Scale::Quick, churn::table),
    ("lookups-1000", Scale::Quick, lookups::thousand),
    ("lookups-10000", Scale::Full, lookups::ten_thousand),
    ("lookups-100000", Scale::Full, lookups::hundred_thousand),
];

/// Resident memory of this process in bytes, where the system tells.
pub(crate) fn memory() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    // The second number counts pages, of 4 KiB on the machines that these figures are measured on.
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}
