//! The configuration file of `openred relay`: TOML, one key per option.
//!
//! A key nobody knows is an error, because a misspelt limit that is silently ignored is worse than a relay that does not
//! start. Values are kept as text, so that they go through the same parsers as flags.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::ConfigError;

/// The keys a file may hold, each the name of an option; `config` itself is not among them.
pub(crate) const KEYS: [&str; 23] = [
    "admin-token-file",
    "announce",
    "bootstrap",
    "bootstrap-list",
    "circuit-bytes",
    "circuit-seconds",
    "data",
    "database",
    "http",
    "lifecycle",
    "listen",
    "log-format",
    "max-bandwidth",
    "max-connections",
    "max-requests",
    "max-reservations",
    "metrics",
    "network",
    "otlp",
    "rate-limit",
    "region",
    "stun",
    "trusted-proxy",
];

/// Keys that may hold several values.
const LISTS: [&str; 6] = ["announce", "bootstrap", "bootstrap-list", "lifecycle", "listen", "trusted-proxy"];

/// Similarity (Jaro-Winkler, 0 to 1) from which a wrong key is taken for a misspelling; clap uses a like figure.
const SIMILAR: f64 = 0.7;

/// What one file says.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl ConfigFile {
    /// Reads and checks the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks `text`; `path` is for messages.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |reason: String| ConfigError::File { path: path.to_owned(), reason };
        let table: Table = toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        let mut values = BTreeMap::new();
        for (key, value) in table {
            if !KEYS.contains(&key.as_str()) {
                return Err(wrong(unknown(&key)));
            }
            let texts = texts(&key, &value).map_err(wrong)?;
            values.insert(key, texts);
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The values of one option, as text.
    pub(crate) fn values(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }
}

fn unknown(key: &str) -> String {
    let similarity = |candidate: &&str| strsim::jaro_winkler(candidate, &key.replace('_', "-").to_lowercase());
    let nearest = KEYS.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|nearest| similarity(nearest) >= SIMILAR) {
        Some(nearest) => format!("there is no key `{key}`; did you mean `{nearest}`?"),
        None => format!("there is no key `{key}`; the keys are {}", KEYS.join(", ")),
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) if LISTS.contains(&key) => items.iter().map(|item| scalar(key, item)).collect(),
        other => Ok(vec![scalar(key, other)?]),
    }
}

fn scalar(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        other => {
            let right =
                if LISTS.contains(&key) { "a string or a list of strings" } else { "a string or a whole number" };
            Err(format!("`{key}` is {}; give {right}", article(other.type_str())))
        }
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("relay.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_of_the_relay_is_a_key() {
        let command = Cli::command();
        let relay = command.find_subcommand("relay").unwrap();
        let mut options: Vec<_> = relay.get_arguments().filter_map(|argument| argument.get_long()).collect();
        options.retain(|option| !["config", "help"].contains(option));
        options.sort();
        assert_eq!(options, KEYS);
    }

    #[test]
    fn values_become_text() {
        let file = parse("http = '0.0.0.0:80'\nmax-reservations = 5\nlisten = ['/a', '/b']\nbootstrap = 'x'").unwrap();
        assert_eq!(file.values("http").unwrap(), ["0.0.0.0:80"]);
        assert_eq!(file.values("max-reservations").unwrap(), ["5"]);
        assert_eq!(file.values("listen").unwrap(), ["/a", "/b"]);
        assert_eq!(file.values("bootstrap").unwrap(), ["x"]);
        assert!(file.values("region").is_none());
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_right_one() {
        let reason = parse("max_reservation = 5").unwrap_err();
        assert!(reason.contains("relay.toml") && reason.contains("`max_reservation`"), "{reason}");
        assert!(reason.contains("did you mean `max-reservations`?"), "{reason}");
        let reason = parse("zzz = 1").unwrap_err();
        assert!(
            reason.contains("`zzz`") && reason.contains("the keys are admin-token-file, announce, bootstrap"),
            "{reason}"
        );
        // The file cannot name another file.
        assert!(parse("config = 'x'").is_err());
    }

    #[test]
    fn a_wrong_type_and_broken_toml_are_named() {
        assert!(parse("http = true").unwrap_err().contains("`http` is a boolean; give a string"));
        assert!(parse("http = ['a', 'b']").unwrap_err().contains("`http` is an array"));
        assert!(parse("[http]\nport = 1").unwrap_err().contains("`http` is a table"));
        assert!(parse("http = ").unwrap_err().contains("line 1"));
    }
}
