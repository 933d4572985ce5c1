//! Bootstrap lists: relays that somebody wrote down for others, by region or for everybody.
//!
//! The text has one relay a line, `region address` or the address alone; `*` stands for every region, `#` begins a comment.
//! An address is written as in [`RelayAddress`]. What a line says wrong is told with its number and does not cost the
//! others. Whether an entry tells the truth shows when it is dialled; joining sees to it that liars cost little.
//!
//! Lists come from a file ([`Config::bootstrap`](crate::Config)) or from URLs ([`Config::lists`](crate::Config)), which
//! the node fetches itself while it lacks connections.
//!
//! Bounds: [`MAX_BYTES`], [`MAX_ENTRIES`], and [`MAX_REJECTED`] reasons.

mod lists;

use std::fmt;

pub(crate) use self::lists::Lists;
use crate::{
    address::{AddressError, RelayAddress},
    map::Set,
    record::MAX_REGION,
};

/// The longest text that is read, in bytes: sixty for each entry.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most entries of one list. A node wants three connections; this many leave room for a region whose relays are all
/// gone, and a list of nothing but liars is through in some minutes.
pub const MAX_ENTRIES: usize = 1024;

/// The most rejected lines that are named; of a page that is no list, nobody wants to read all.
pub const MAX_REJECTED: usize = 16;

/// The form of a line, for error messages.
const FORM: &str = "a line is `address` or `region address`, and # begins a comment";

/// Relays by region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapList {
    entries: Vec<BootstrapEntry>,
}

/// One relay of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapEntry {
    /// Where the relay stands; empty if it is meant for everybody.
    pub region: String,
    /// Where it is reached.
    pub address: RelayAddress,
}

/// A line that is no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// As `line 3: ...`.
impl fmt::Display for RejectedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.reason)
    }
}

impl BootstrapList {
    /// Reads a list. `secure` says whether `host:port` means a WebSocket with TLS, as it does in a list that came over
    /// https itself.
    pub fn parse(text: &str, secure: bool) -> (Self, Vec<RejectedLine>) {
        let mut list = Self::default();
        let mut rejected = Rejected::default();
        let mut known = Set::new();
        let mut end = 0;
        // A byte order mark is not part of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.split('\n')) {
            end += line.len() + 1;
            if end > MAX_BYTES + 1 {
                rejected.add(number, format!("the list is longer than {MAX_BYTES} bytes; the rest is not read"));
                break;
            }
            let mut words = words(line);
            let (first, second) = (words.next(), words.next());
            let (region, address) = match (first, second, words.next()) {
                (None, ..) => continue,
                (Some(address), None, _) => ("", address),
                (Some("*"), Some(address), None) => ("", address),
                (Some(region), Some(address), None) => (region, address),
                (_, _, Some(_)) => {
                    rejected.add(number, format!("it has more than a region and an address; {FORM}"));
                    continue;
                }
            };
            if list.entries.len() == MAX_ENTRIES {
                rejected.add(number, format!("a list has at most {MAX_ENTRIES} relays; the rest is not read"));
                break;
            }
            if region.len() > MAX_REGION {
                rejected.add(number, format!("its region is longer than {MAX_REGION} bytes; {FORM}"));
                continue;
            }
            match RelayAddress::parse(address, secure) {
                Ok(address) if known.insert((address.multiaddr.clone(), address.peer)) => {
                    list.entries.push(BootstrapEntry { region: region.to_lowercase(), address });
                }
                Ok(_) => rejected.add(number, "the relay is in the list already".to_owned()),
                // The error repeats the text, which may be anything.
                Err(AddressError::TooLong { .. }) => rejected.add(number, "its address is too long".to_owned()),
                Err(error) => rejected.add(number, error.to_string()),
            }
        }
        (list, rejected.lines)
    }

    /// The entries, in the order of the text.
    pub fn entries(&self) -> &[BootstrapEntry] {
        &self.entries
    }

    /// Whether the list names nobody.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the entries of another list that are not in this one, up to [`MAX_ENTRIES`].
    pub fn extend(&mut self, other: Self) {
        let known: Set<_> = self.entries.iter().map(|entry| entry.address.multiaddr.clone()).collect();
        let new = other.entries.into_iter().filter(|entry| !known.contains(&entry.address.multiaddr));
        self.entries.extend(new);
        self.entries.truncate(MAX_ENTRIES);
    }
}

/// The words of a line before its comment. A # within a word belongs to it, as in a URL.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().take_while(|word| !word.starts_with('#'))
}

#[derive(Default)]
struct Rejected {
    lines: Vec<RejectedLine>,
    more: usize,
}

impl Rejected {
    fn add(&mut self, number: usize, reason: String) {
        if self.lines.len() < MAX_REJECTED {
            return self.lines.push(RejectedLine { number, reason });
        }
        self.more += 1;
        let more = self.more;
        if let Some(last) = self.lines.last_mut() {
            // The last place counts all that have none of their own.
            last.reason = format!("this line and {more} more are no relays; {FORM}");
        }
    }
}

#[cfg(test)]
mod tests;
