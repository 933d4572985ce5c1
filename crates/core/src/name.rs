//! The names people and programs use: of networks, of services, and of one provider of a service.
//!
//! A name is checked when it is made, so whoever holds a [`ServiceName`] holds a valid one. The rules leave exactly one
//! spelling of a name (Unicode NFC, lower case), because the bytes of the name are the key under which its records are
//! stored: two spellings would be two places.
//!
//! A name is not proof of anything. Anybody may offer any name; only the peer id says who answers.

use std::{borrow::Cow, fmt, str::FromStr};

use icu_normalizer::ComposingNormalizerBorrowed;
use libp2p_identity::PeerId;

/// The longest network name, in bytes.
pub const MAX_NETWORK_NAME: usize = 32;

/// The longest service name, in bytes of UTF-8.
pub const MAX_SERVICE_NAME: usize = 128;

/// What may not stand in a service name because keys, targets and URLs give it a meaning.
const RESERVED: [char; 4] = ['@', '/', '?', '#'];

/// The name of a network: one to 32 of `a` to `z`, `0` to `9` and `-`.
///
/// Every protocol id of ours carries it, so that networks never mix. The default is `main`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of this network's Kademlia protocol.
    pub fn kad_protocol(&self) -> String {
        format!("/openred/{self}/kad/1.0.0")
    }

    /// The id of the one protocol over which all services of this network are spoken.
    pub fn stream_protocol(&self) -> String {
        format!("/openred/{self}/stream/1.0.0")
    }
}

impl Default for NetworkName {
    fn default() -> Self {
        Self("main".into())
    }
}

impl FromStr for NetworkName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > MAX_NETWORK_NAME || !text.chars().all(valid) {
            return Err(NameError::Network { text: excerpt(text) });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkName({self})")
    }
}

/// The name of a service: 1 to 128 bytes of UTF-8 in NFC and lower case, without white space, control characters or any
/// of `@ / ? #`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match broken_rule(text) {
            None => Ok(Self(text.into())),
            Some(rule) => {
                Err(NameError::Service { text: excerpt(text), rule, suggestion: suggest(text).map(|name| name.0) })
            }
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceName({self})")
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// What a caller asks for: a name, from anybody or from one provider. Written `name` or `name@<peer id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceTarget {
    /// The service's name.
    pub name: ServiceName,
    /// The one provider that will do; any when absent.
    pub provider: Option<PeerId>,
}

impl From<ServiceName> for ServiceTarget {
    fn from(name: ServiceName) -> Self {
        Self { name, provider: None }
    }
}

impl FromStr for ServiceTarget {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((name, provider)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, provider: None });
        };
        let name = name.parse()?;
        match provider.parse() {
            Ok(provider) => Ok(Self { name, provider: Some(provider) }),
            Err(error) => Err(NameError::Provider { text: excerpt(provider), reason: error.to_string() }),
        }
    }
}

impl fmt::Display for ServiceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.provider {
            None => write!(f, "{}", self.name),
            Some(provider) => write!(f, "{}@{provider}", self.name),
        }
    }
}

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text breaks a rule of service names.
    #[error("service name {text} {rule}{}", hint(.suggestion))]
    Service {
        /// The text, quoted, and cut when it is long.
        text: String,
        /// The first rule it breaks.
        rule: Rule,
        /// A valid name that comes close, if there is one.
        suggestion: Option<String>,
    },
    /// What follows `@` is not a peer id.
    #[error("{text} after `@` is not a peer id: {reason}; write `name@<peer id>` with the id in base58")]
    Provider {
        /// The text, quoted, and cut when it is long.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text breaks the rule of network names.
    #[error("network name {text} is not 1 to {MAX_NETWORK_NAME} of a-z, 0-9 and -; for example `main`")]
    Network {
        /// The text, quoted, and cut when it is long.
        text: String,
    },
}

impl NameError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Service { .. } | Self::Provider { .. } => "INVALID_NAME",
            Self::Network { .. } => "INVALID_OPTION",
        }
    }
}

/// A rule of service names that a text breaks. Positions count bytes of the text as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// There is no text.
    Empty,
    /// The text is longer than [`MAX_SERVICE_NAME`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// White space.
    WhiteSpace {
        /// The character.
        found: char,
        /// Where it begins.
        at: usize,
    },
    /// A control character.
    Control {
        /// The character.
        found: char,
        /// Where it begins.
        at: usize,
    },
    /// One of `@ / ? #`.
    Reserved {
        /// The character.
        found: char,
        /// Where it begins.
        at: usize,
    },
    /// A character that has a lower-case form.
    UpperCase {
        /// The character.
        found: char,
        /// Where it begins.
        at: usize,
    },
    /// The text is not in Unicode normalization form C.
    NotNfc {
        /// The first character that NFC writes differently.
        found: char,
        /// Where it begins.
        at: usize,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut character = |what: &str, found: char, at: usize| {
            write!(f, "has {what} ('{}', U+{:04X}) at byte {at}", found.escape_debug(), u32::from(found))
        };
        match *self {
            Self::Empty => write!(f, "is empty: it must have 1 to {MAX_SERVICE_NAME} bytes"),
            Self::TooLong { bytes } => write!(f, "is too long: {bytes} bytes of UTF-8, at most {MAX_SERVICE_NAME}"),
            Self::WhiteSpace { found, at } => character("white space", found, at),
            Self::Control { found, at } => character("a control character", found, at),
            Self::Reserved { found, at } => character("one of the reserved @ / ? #", found, at),
            Self::UpperCase { found, at } => character("a character that is not lower case", found, at),
            Self::NotNfc { found, at } => character("a character that Unicode NFC writes otherwise", found, at),
        }
    }
}

/// The first rule that `text` breaks.
fn broken_rule(text: &str) -> Option<Rule> {
    if text.is_empty() {
        return Some(Rule::Empty);
    }
    if text.len() > MAX_SERVICE_NAME {
        return Some(Rule::TooLong { bytes: text.len() });
    }
    let forbidden = text.char_indices().find_map(|(at, found)| match found {
        _ if found.is_whitespace() => Some(Rule::WhiteSpace { found, at }),
        _ if found.is_control() => Some(Rule::Control { found, at }),
        _ if RESERVED.contains(&found) => Some(Rule::Reserved { found, at }),
        _ => None,
    });
    if forbidden.is_some() {
        return forbidden;
    }
    if let Some((at, found)) = first_difference(text, text.to_lowercase().chars()) {
        return Some(Rule::UpperCase { found, at });
    }
    first_difference(text, nfc(text).chars()).map(|(at, found)| Rule::NotNfc { found, at })
}

/// The text in Unicode normalization form C.
fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The first character of `text` that `other` does not have in the same place.
fn first_difference(text: &str, mut other: impl Iterator<Item = char>) -> Option<(usize, char)> {
    text.char_indices().find(|(_, found)| other.next() != Some(*found))
}

/// A valid name close to `text`: lower case, NFC, a hyphen for white space, without what is forbidden, cut to length.
fn suggest(text: &str) -> Option<ServiceName> {
    // Far more than a name can hold, and little enough to work on.
    let start = cut(text, 4 * MAX_SERVICE_NAME);
    let words = start.split_whitespace().collect::<Vec<_>>().join("-");
    let mut name: String = words.chars().filter(|c| !c.is_control() && !RESERVED.contains(c)).collect();
    name = nfc(&nfc(&name).to_lowercase()).into_owned();
    name.truncate(cut(&name, MAX_SERVICE_NAME).len());
    broken_rule(&name).is_none().then_some(ServiceName(name))
}

fn hint(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(name) => format!("; for example \"{name}\" would do"),
        None => "; a name is lower-case text such as \"chess\"".into(),
    }
}

/// `text` quoted for a message, cut when nobody would read it to its end.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 64;
    let start = cut(text, SHOWN);
    if start.len() < text.len() { format!("{start:?}...") } else { format!("{text:?}") }
}

/// The start of `text`, at most `bytes` long and cut between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
