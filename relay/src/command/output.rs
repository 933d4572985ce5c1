//! What the commands print: JSON with the npm package's field names, or an aligned table for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use openred_core::{PeerInfo, find::FoundRecord, record::Record};
use serde::Serialize;

/// A record as the npm package shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    provider: String,
    endpoints: Vec<String>,
    metadata: &'a BTreeMap<String, String>,
    region: &'a str,
    clusters: &'a [String],
    sequence: u64,
    issued_at: u64,
    ttl: u64,
    #[serde(flatten)]
    found: Option<FoundView>,
}

/// What `find` adds to a record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundView {
    layer: &'static str,
    age_ms: u64,
    verdict: &'static str,
}

impl<'a> RecordView<'a> {
    /// A record of our own.
    pub(crate) fn own(record: &'a Record) -> Self {
        Self {
            name: record.name.as_str(),
            kind: &record.kind,
            provider: record.provider.to_string(),
            endpoints: record.endpoints.iter().map(ToString::to_string).collect(),
            metadata: &record.metadata,
            region: &record.region,
            clusters: &record.clusters,
            sequence: record.sequence,
            issued_at: record.issued_at,
            ttl: record.ttl,
            found: None,
        }
    }

    /// A record that was found.
    pub(crate) fn found(found: &'a FoundRecord) -> Self {
        let view =
            FoundView { layer: found.layer.as_str(), age_ms: milliseconds(found.age), verdict: found.verdict.as_str() };
        Self { found: Some(view), ..Self::own(&found.record) }
    }
}

/// A peer as the npm package shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerView<'a> {
    peer_id: String,
    roles: &'a [&'static str],
    path: &'static str,
    transport: &'static str,
    address: String,
    rtt_ms: Option<f64>,
    since: u64,
}

impl<'a> From<&'a PeerInfo> for PeerView<'a> {
    fn from(peer: &'a PeerInfo) -> Self {
        Self {
            peer_id: peer.peer.to_string(),
            roles: &peer.roles,
            path: peer.path.as_str(),
            transport: peer.transport(),
            address: peer.address.to_string(),
            rtt_ms: peer.rtt.map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
            since: peer.since,
        }
    }
}

/// Prints one JSON object on a line of its own. A reader that has gone is no failure of ours.
pub(crate) fn print_json(value: &impl Serialize) {
    let line = serde_json::to_string(value).expect("what we print is made of strings and numbers");
    print_line(&line);
}

/// Prints one line to standard output at once, also into a pipe. A reader that has gone is no failure of ours.
pub(crate) fn print_line(line: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "standard output is closed");
    }
}

/// A table whose columns are as wide as their widest cell.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned)] }
    }

    /// Adds a row; empty cells show a dash.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) }));
    }

    /// The lines, without white space at their ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..N).map(width).collect();
        let line = |row: &[String; N]| {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }

    /// Prints the table to standard output.
    pub(crate) fn print(&self) {
        self.lines().iter().for_each(|line| print_line(line));
    }
}

/// The text with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Characters that reorder the text around them (Unicode's bidirectional controls) or end a line without being control
/// characters.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number of things, whose word is given in the singular: `1 node`, `2 nodes`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// A time in the largest unit that keeps it readable: `0.3 ms`, `40 ms`, `12 s`, `5 min`, `3 h`.
pub(crate) fn readable(time: Duration) -> String {
    match time.as_secs() {
        0 if time.as_millis() < 10 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_cells_are_seen() {
        let mut table = Table::new(["A", "LONG", "C"]);
        table.row(["wide cell".into(), String::new(), "x".into()]);
        table.row(["é".into(), "y".into(), String::new()]);
        assert_eq!(table.lines(), ["A          LONG  C", "wide cell  -     x", "é          y     -"]);
    }

    #[test]
    fn a_record_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{202e}d é"), "a\\u{1b}[31mb\\r\\nc\\u{202e}d é");
    }

    #[test]
    fn times_are_readable() {
        let seconds = |seconds| readable(Duration::from_secs(seconds));
        assert_eq!(readable(Duration::from_micros(340)), "0.3 ms");
        assert_eq!(readable(Duration::from_millis(40)), "40 ms");
        assert_eq!([seconds(1), seconds(119), seconds(120), seconds(7200)], ["1 s", "119 s", "2 min", "2 h"]);
    }
}
