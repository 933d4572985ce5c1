//! From text to types: what the commands were told, by whom, and what they do when told nothing.
//!
//! Each option is looked for in four places: the command line, the environment, the configuration file (only
//! `openred relay` has one), and the defaults here. [`Sources`] finds the text and remembers where it stood; the parsers
//! of [`value`] turn it into a type or say what would be right. Nothing outside this module reads an option's text.

pub(crate) mod contacts;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod lifecycle;
pub(crate) mod relay;
pub(crate) mod short;
pub(crate) mod value;

use std::{fmt, path::PathBuf};

use clap::{ArgMatches, parser::ValueSource};

use self::file::ConfigFile;

/// Where a value was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// On the command line.
    Flag,
    /// In an environment variable of this name.
    Environment(String),
    /// In the configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => Ok(()),
            Self::Environment(name) => write!(f, " (from the environment variable {name})"),
            Self::File(path) => write!(f, " (from {})", path.display()),
        }
    }
}

/// Why the options cannot be used. All of these are the caller's to correct: exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// One value is wrong.
    #[error("{option}: `{value}` cannot be used{origin}: {reason}")]
    Value {
        /// The option or argument as the user would write it.
        option: String,
        /// The text that was given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The configuration file cannot be read.
    #[error("--config: `{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration file is not TOML, or a value in it has the wrong type.
    #[error("--config: `{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// An option that has no default on this machine.
    #[error("{0}")]
    Missing(String),
}

/// The places where options are looked for.
pub(crate) struct Sources<'a> {
    matches: &'a ArgMatches,
    file: Option<ConfigFile>,
}

impl<'a> Sources<'a> {
    /// Looks at the command line and the environment only.
    pub(crate) fn new(matches: &'a ArgMatches) -> Self {
        Self { matches, file: None }
    }

    /// Looks at the configuration file too.
    pub(crate) fn with_file(matches: &'a ArgMatches, file: ConfigFile) -> Self {
        Self { matches, file: Some(file) }
    }

    /// One value of the option `name` (as in `--name`); `given` is what clap found. `None` means: use the default.
    pub(crate) fn one<T>(
        &self,
        name: &str,
        given: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let (texts, origin) = self.texts(name, given.into_iter().collect());
        // The last one counts where a file gives several.
        texts.last().map(|text| parsed(name, text, &origin, &parse)).transpose()
    }

    /// All values of an option that may be repeated or given as a comma-separated list. Empty means: use the default.
    pub(crate) fn many<T>(
        &self,
        name: &str,
        given: &[String],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let (texts, origin) = self.texts(name, given.iter().map(String::as_str).collect());
        let items = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
        items.map(|text| parsed(name, text, &origin, &parse)).collect()
    }

    /// Like [`Self::many`], but a comma is part of the value on the command line.
    pub(crate) fn many_with_commas<T>(
        &self,
        name: &str,
        given: &[String],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let (texts, origin) = self.texts(name, given.iter().map(String::as_str).collect());
        if origin != Origin::Flag {
            return self.many(name, given, parse);
        }
        texts.iter().map(|text| parsed(name, text, &origin, &parse)).collect()
    }

    /// The text of an option and where it stood; empty texts of the environment count as unset.
    fn texts(&self, name: &str, given: Vec<&str>) -> (Vec<String>, Origin) {
        let from_environment = self.matches.value_source(&name.replace('-', "_")) == Some(ValueSource::EnvVariable);
        let given: Vec<String> =
            given.into_iter().filter(|text| !(from_environment && text.trim().is_empty())).map(str::to_owned).collect();
        if given.is_empty() {
            return match self.file.as_ref().and_then(|file| Some((file.values(name)?, file))) {
                Some((values, file)) => (values.to_vec(), Origin::File(file.path().to_owned())),
                None => (Vec::new(), Origin::Flag),
            };
        }
        (given, if from_environment { Origin::Environment(variable(name)) } else { Origin::Flag })
    }
}

/// The environment variable of an option.
pub(crate) fn variable(name: &str) -> String {
    format!("OPENRED_{}", name.replace('-', "_").to_uppercase())
}

fn parsed<T>(
    name: &str,
    text: &str,
    origin: &Origin,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    parse(text).map_err(|reason| ConfigError::Value {
        option: format!("--{name}"),
        value: without_password(text),
        origin: origin.clone(),
        reason,
    })
}

/// A value as it may stand in a message: what is before the host of a URL stays out of logs.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}...{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    }
}
