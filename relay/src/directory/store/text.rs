//! Words: what a full-text search compares.
//!
//! Both databases are given words that were made here, so that both find the same. A word is a run of letters and digits in
//! lower case; words of the query are beginnings of words of the record.

use openred_core::record::Record;

/// Words of one query: what is beyond is not looked for. A guess; people type three.
const MOST_WORDS: usize = 8;

/// Bytes of one word; longer ones are cut, in records and queries alike. It fits every database's index.
const LONGEST_WORD: usize = 64;

/// The words of a query, distinct, in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// The words of a text that somebody typed.
    pub(crate) fn of(text: &str) -> Self {
        let mut words = Vec::new();
        for word in words_of(text) {
            if words.len() < MOST_WORDS && !words.contains(&word) {
                words.push(word);
            }
        }
        Self(words)
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The distinct words by which a record is found, in order.
pub(crate) fn words_of_record(record: &Record) -> Vec<String> {
    let metadata = record.metadata.iter().flat_map(|(key, value)| [key.as_str(), value]);
    let texts = [record.name.as_str(), &record.kind, &record.region];
    let all = texts.into_iter().chain(record.clusters.iter().map(String::as_str)).chain(metadata);
    let mut words: Vec<String> = all.flat_map(words_of).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let runs = text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(|run| {
        let mut word = run.to_lowercase();
        if word.len() > LONGEST_WORD {
            let cut = (0..=LONGEST_WORD).rev().find(|at| word.is_char_boundary(*at));
            word.truncate(cut.unwrap_or(0));
        }
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let words = |text| Words::of(text).iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("Llama-3.1 \"70B\" OR caf\u{c9}* llama"), ["llama", "3", "1", "70b", "or", "caf\u{e9}"]);
        assert!(Words::of(" -- ' ; * ").is_empty());
        assert_eq!(words("a b c d e f g h i j").len(), MOST_WORDS);
        assert_eq!(words(&"\u{e9}".repeat(40)), ["\u{e9}".repeat(32)]);
    }
}
