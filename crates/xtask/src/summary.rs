//! Reading the counts out of what test runners print.
//!
//! Understood are the closing lines of cargo-nextest, of Rust's own test harness (one for each binary, summed), of
//! Node.js (`node --test`, spec and TAP) and of Vitest. A runner whose output holds none of them has no counts.

use std::mem;
use std::ops::AddAssign;

/// Bytes of one line that are kept; closing lines are far shorter.
const LINE_CAP: usize = 4096;

/// How many tests passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Finds the counts in a runner's output, given in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    line: Vec<u8>,
    seen: bool,
    /// Closed: what one runner says once, or says for each of several binaries.
    harness: Counts,
    nextest: Counts,
    /// Node.js prints its totals last, so that the last of such lines is the true one.
    node: Counts,
    vitest: Counts,
}

impl Counter {
    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for &byte in piece {
            if byte == b'\n' || byte == b'\r' {
                self.finish();
            } else if self.line.len() < LINE_CAP {
                self.line.push(byte);
            }
        }
    }

    /// The output ends, or a line of it.
    pub(crate) fn finish(&mut self) {
        let line = mem::take(&mut self.line);
        if !line.is_empty() {
            self.read(plain(&String::from_utf8_lossy(&line)).trim());
        }
    }

    /// Adds what another counter found in another stream of the same runner.
    pub(crate) fn add(&mut self, other: &Self) {
        self.seen |= other.seen;
        self.harness += other.harness;
        self.nextest += other.nextest;
        self.node += other.node;
        self.vitest += other.vitest;
    }

    /// The sum, or nothing if no closing line was found.
    pub(crate) fn counts(&self) -> Option<Counts> {
        let mut sum = Counts::default();
        for part in [self.harness, self.nextest, self.node, self.vitest] {
            sum += part;
        }
        self.seen.then_some(sum)
    }

    fn read(&mut self, line: &str) {
        if let Some((_, rest)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            // test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
            self.seen = true;
            self.harness += Counts { passed: before(rest, "passed"), failed: before(rest, "failed") };
        } else if line.starts_with("Summary [") && line.contains(" run: ") {
            // Summary [   1.203s] 42 tests run: 40 passed (1 slow), 1 failed, 1 timed out, 3 skipped
            let Some((_, rest)) = line.split_once(" run: ") else { return };
            self.seen = true;
            let failed = ["failed", "timed out", "exec failed"].iter().map(|word| before(rest, word)).sum();
            self.nextest = Counts { passed: before(rest, "passed"), failed };
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            // ℹ pass 12, or # pass 12; a cancelled test is one that did not pass
            let Some((word, number)) = rest.split_once(' ') else { return };
            let Ok(number) = number.parse::<u64>() else { return };
            match word {
                "pass" => self.node = Counts { passed: number, failed: 0 },
                "fail" => self.node.failed = number,
                "cancelled" => self.node.failed += number,
                _ => return,
            }
            self.seen = true;
        } else if let Some(rest) = line.strip_prefix("Tests  ") {
            // Tests  2 failed | 10 passed (12)
            self.seen = true;
            self.vitest = Counts { passed: before(rest, "passed"), failed: before(rest, "failed") };
        }
    }
}

/// The number in front of a word: `before("3 failed, 1 timed out", "timed out")` is 1; without the word it is 0.
fn before(text: &str, word: &str) -> u64 {
    text.split([',', ';', '|'])
        .filter_map(|part| part.trim().split_once(' '))
        .find(|(_, rest)| *rest == word || rest.starts_with(&format!("{word} (")))
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or(0)
}

/// The text without terminal colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            // A sequence is ESC [ parameters, closed by a letter.
            chars.by_ref().find(|char| char.is_ascii_alphabetic());
        } else {
            plain.push(char);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(output: &str) -> Option<(u64, u64)> {
        let read = |size: usize| {
            let mut counter = Counter::default();
            output.as_bytes().chunks(size).for_each(|piece| counter.feed(piece));
            counter.finish();
            counter.counts().map(|counts| (counts.passed, counts.failed))
        };
        assert_eq!(read(1), read(output.len().max(1)), "the size of the pieces matters");
        read(1)
    }

    #[test]
    fn nextest_is_read() {
        assert_eq!(counted("     Summary [   0.101s] 12 tests run: 12 passed, 0 skipped\n"), Some((12, 0)));
        assert_eq!(
            counted(
                "\u{1b}[31;1m     Summary\u{1b}[0m [   9.1s] \u{1b}[1m7\u{1b}[0m tests run: \u{1b}[1m4\u{1b}[0m \u{1b}[32mpassed\u{1b}[0m (1 slow), 2 failed, 1 timed out, 3 skipped"
            ),
            Some((4, 3))
        );
        assert_eq!(counted("Summary [ 0.1s] 1 test run: 1 passed, 0 skipped"), Some((1, 0)));
        assert_eq!(counted("Summary [ 0.1s] 2/9 tests run: 1 passed, 1 failed, 0 skipped"), Some((1, 1)));
    }

    #[test]
    fn the_harness_is_read_and_summed_over_binaries() {
        let output = "running 5 tests\ntest result: ok. 5 passed; 0 failed; 0 ignored; 0 measured\n\
                      test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counted(output), Some((8, 2)));
    }

    #[test]
    fn node_is_read_in_both_its_formats() {
        assert_eq!(counted("ℹ tests 4\nℹ suites 0\nℹ pass 3\nℹ fail 1\nℹ cancelled 0\nℹ skipped 0"), Some((3, 1)));
        assert_eq!(counted("# pass 1\n# fail 9\nsubtest\n# tests 4\n# pass 2\n# fail 1\n# cancelled 1"), Some((2, 2)));
    }

    #[test]
    fn vitest_is_read() {
        assert_eq!(counted(" Test Files  1 passed (1)\n      Tests  2 failed | 10 passed (12)\n"), Some((10, 2)));
    }

    #[test]
    fn output_without_a_closing_line_has_no_counts() {
        assert_eq!(counted("all good\n# pass the salt\n3 passed\n"), None);
        assert_eq!(counted(""), None);
    }

    #[test]
    fn an_endless_line_costs_no_memory() {
        let mut counter = Counter::default();
        (0..100).for_each(|_| counter.feed(&[b'x'; 10_000]));
        assert!(counter.line.len() <= LINE_CAP);
    }
}
