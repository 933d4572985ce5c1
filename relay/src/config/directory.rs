//! What `openred directory` was told.

use std::{collections::BTreeMap, env, fmt, fs, path::PathBuf, time::Duration};

use clap::ArgMatches;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{
    address::{RelayAddress, origin, parse_multiaddr},
    lifecycle::State,
    name::{ServiceName, ServiceTarget},
};

use super::{
    ConfigError, Sources,
    relay::{self, ADMIN_TOKEN, Database},
    short, value,
};
use crate::{
    cli::directory_options::{
        AskOptions, ExportOptions, HeartbeatOptions, ListOptions, PlaceOptions, RegisterOptions, RestoreOptions,
        ShowOptions, TakeOptions,
    },
    http::admin_token::AdminToken,
};

/// The default of `--bootstrap`, as of the other commands.
const ORIGIN: &str = "http://127.0.0.1:8080";

/// The default of `--limit`: a few screens.
const LIMIT: usize = 100;

/// Whom to ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ask {
    /// Where relays answer HTTP, without a slash at the end; of several the first that answers.
    pub(crate) origins: Vec<String>,
    /// For one answer.
    pub(crate) timeout: Duration,
}

impl Ask {
    fn new(options: &AskOptions, from: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut origins = from.many("bootstrap", &options.bootstrap, http_origin)?;
        if origins.is_empty() {
            origins.push(ORIGIN.to_owned());
        }
        let timeout = from.one("timeout", options.timeout.as_deref(), value::duration)?.unwrap_or(short::TIMEOUT);
        Ok(Self { origins, timeout })
    }
}

/// `openred directory list`.
#[derive(Clone, Debug)]
pub(crate) struct ListConfig {
    /// Whom to ask.
    pub(crate) ask: Ask,
    /// Services in the place of nodes.
    pub(crate) services: bool,
    /// The parameters of the question by their names in the API.
    pub(crate) filters: Vec<(&'static str, String)>,
    /// At most so many.
    pub(crate) limit: usize,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl ListConfig {
    /// Checks every option of `openred directory list`.
    pub(crate) fn new(options: &ListOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let states = from.many("state", &options.state, value::parsed::<State>)?;
        let states = states.into_iter().map(State::as_str).collect::<Vec<_>>().join(",");
        let region = from.one("region", options.region.as_deref(), value::text)?;
        let [text, kind, cluster] = [("text", &options.text), ("type", &options.kind), ("cluster", &options.cluster)]
            .map(|(name, given)| from.one(name, given.as_deref(), value::text));
        let (text, kind, cluster) = (text?, kind?, cluster?);
        let misplaced = match options.services {
            true => (!states.is_empty()).then_some("state"),
            false => [("text", &text), ("type", &kind), ("cluster", &cluster)]
                .into_iter()
                .find_map(|(name, given)| given.as_ref().map(|_| name)),
        };
        if let Some(name) = misplaced {
            let right = if options.services { "nodes; leave --services out" } else { "services; add --services" };
            return Err(ConfigError::Missing(format!("--{name} is about {right}")));
        }
        let given = [("state", Some(states)), ("region", region), ("text", text), ("type", kind), ("cluster", cluster)];
        let given =
            given.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
        let limit = from.one("limit", options.limit.as_deref(), value::number_from(0))?;
        let limit = limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Self {
            ask: Ask::new(&options.ask, &from)?,
            services: options.services,
            filters: given.collect(),
            limit: if limit == 0 { usize::MAX } else { limit },
            json: options.output.json,
        })
    }
}

/// What to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// A node.
    Node(PeerId),
    /// Who offers a service.
    Service(ServiceTarget),
}

/// The operator's token, as it is shown to a relay.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Token {
    /// The token itself.
    pub(crate) text: String,
    /// Where it was given, in words.
    pub(crate) origin: String,
}

/// Secrets belong into no log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    fn of(from: &Sources<'_>, file: Option<&str>) -> Result<Option<Self>, ConfigError> {
        let checked = |text: String, origin: String| {
            let text = text.trim().to_owned();
            AdminToken::new(&text).map(|_| Self { text, origin })
        };
        let read = |file: &str| {
            let text = fs::read_to_string(file).map_err(|error| format!("the file cannot be read: {error}"))?;
            checked(text, format!("the token in `{file}` (--admin-token-file)"))
        };
        if let Some(token) = from.one("admin-token-file", file, read)? {
            return Ok(Some(token));
        }
        let Some(text) = env::var(ADMIN_TOKEN).ok().filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        checked(text, format!("the token of the environment variable {ADMIN_TOKEN}")).map(Some).map_err(|reason| {
            ConfigError::Missing(format!("the environment variable {ADMIN_TOKEN} cannot be used: {reason}"))
        })
    }
}

/// `openred directory show`.
#[derive(Clone, Debug)]
pub(crate) struct ShowConfig {
    /// Whom to ask.
    pub(crate) ask: Ask,
    /// What to show.
    pub(crate) target: Shown,
    /// Shows what only operators see.
    pub(crate) token: Option<Token>,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl ShowConfig {
    /// Checks every option of `openred directory show`.
    pub(crate) fn new(options: &ShowOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let target = short::argument(&options.target, "NAME-OR-PEER", shown)?;
        let ask = Ask::new(&options.ask, &from)?;
        // Who offers a service is told to everybody, so no token is shown for it.
        let token = Token::of(&from, options.admin_token_file.as_deref())?.filter(|_| matches!(target, Shown::Node(_)));
        if token.is_some() && ask.origins.len() > 1 {
            let reason = "the operator's token is shown to its own relay only; give one --bootstrap";
            return Err(ConfigError::Missing(reason.to_owned()));
        }
        Ok(Self { ask, target, token, json: options.output.json })
    }
}

/// `openred directory export`.
#[derive(Clone, Debug)]
pub(crate) struct ExportConfig {
    /// Whom to ask.
    pub(crate) ask: Ask,
    /// Where to write; `None` is standard output.
    pub(crate) output: Option<PathBuf>,
}

impl ExportConfig {
    /// Checks every option of `openred directory export`.
    pub(crate) fn new(options: &ExportOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let output = from.one("output", options.output.as_deref(), value::text)?;
        Ok(Self { ask: Ask::new(&options.ask, &from)?, output: output.map(PathBuf::from) })
    }
}

/// `openred directory register`.
#[derive(Clone, Debug)]
pub(crate) struct RegisterConfig {
    /// Whom to tell.
    pub(crate) ask: Ask,
    /// File of the identity.
    pub(crate) identity: PathBuf,
    /// The service's name.
    pub(crate) name: ServiceName,
    /// Where it is reached; at least one.
    pub(crate) addresses: Vec<Multiaddr>,
    /// Kind of the service; may be empty.
    pub(crate) kind: String,
    /// Region; may be empty.
    pub(crate) region: String,
    /// What is said about the service.
    pub(crate) metadata: BTreeMap<String, String>,
    /// How long the offer stands; `None` is the network's default.
    pub(crate) ttl: Option<Duration>,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl RegisterConfig {
    /// Checks every option of `openred directory register`. Limits of the record itself show when it is signed.
    pub(crate) fn new(options: &RegisterOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let name = from.one("name", options.name.as_deref(), value::parsed)?;
        let addresses = from.many("address", &options.address, address)?;
        if addresses.is_empty() {
            return Err(missing("address", ADDRESS));
        }
        let metadata = from.many_with_commas("metadata", &options.metadata, value::key_value)?;
        Ok(Self {
            ask: Ask::new(&options.ask, &from)?,
            identity: identity(options.identity.as_deref(), &from)?,
            name: name.ok_or_else(|| missing("name", "give the name of the service, such as chess"))?,
            addresses,
            kind: from.one("type", options.kind.as_deref(), value::text)?.unwrap_or_default(),
            region: from.one("region", options.region.as_deref(), value::region)?.unwrap_or_default(),
            metadata: metadata.into_iter().collect(),
            ttl: from.one("ttl", options.ttl.as_deref(), value::ttl)?,
            json: options.output.json,
        })
    }
}

/// `openred directory heartbeat`.
#[derive(Clone, Debug)]
pub(crate) struct HeartbeatConfig {
    /// Whom to tell.
    pub(crate) ask: Ask,
    /// File of the identity.
    pub(crate) identity: PathBuf,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl HeartbeatConfig {
    /// Checks every option of `openred directory heartbeat`.
    pub(crate) fn new(options: &HeartbeatOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let identity = identity(options.identity.as_deref(), &from)?;
        Ok(Self { ask: Ask::new(&options.ask, &from)?, identity, json: options.output.json })
    }
}

/// What would be right.
const ADDRESS: &str = "give a multiaddr at which the service is reached, such as /dns/chess.example.org/tcp/443/tls/ws";

fn address(text: &str) -> Result<Multiaddr, String> {
    parse_multiaddr(text).map_err(|error| format!("{error}; {ADDRESS}"))
}

/// The file of an identity, without which these commands say nothing.
fn identity(given: Option<&str>, from: &Sources<'_>) -> Result<PathBuf, ConfigError> {
    let file = from.one("identity", given, value::text)?;
    file.map(PathBuf::from).ok_or_else(|| missing("identity", "give the file of the node's identity, such as node.key"))
}

fn missing(option: &str, right: &str) -> ConfigError {
    ConfigError::Missing(format!("--{option} is missing: {right}"))
}

/// Where a directory is kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The relay's data directory.
    pub(crate) data: PathBuf,
    /// The database.
    pub(crate) database: Database,
}

impl Place {
    fn new(options: &PlaceOptions, from: &Sources<'_>) -> Result<Self, ConfigError> {
        let data = match from.one("data", options.data.as_deref(), value::text)? {
            Some(path) => PathBuf::from(path),
            None => relay::default_data()?,
        };
        let database = from.one("database", options.database.as_deref(), relay::database)?;
        Ok(Self { data, database: database.unwrap_or(Database::Sqlite) })
    }
}

/// `openred directory snapshot`.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotConfig {
    /// The snapshot.
    pub(crate) file: PathBuf,
    /// The directory.
    pub(crate) place: Place,
    /// What to do.
    pub(crate) action: SnapshotAction,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SnapshotAction {
    /// Take one.
    Take,
    /// Restore one into an empty database.
    Restore,
    /// Restore one in the place of whatever is there.
    Replace,
}

impl SnapshotConfig {
    /// Checks every option of `openred directory snapshot take`.
    pub(crate) fn take(options: &TakeOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let place = Place::new(&options.place, &Sources::new(matches))?;
        let (action, json) = (SnapshotAction::Take, options.output.json);
        Ok(Self { file: PathBuf::from(&options.file), place, action, json })
    }

    /// Checks every option of `openred directory snapshot restore`.
    pub(crate) fn restore(options: &RestoreOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let place = Place::new(&options.place, &Sources::new(matches))?;
        let action = if options.replace { SnapshotAction::Replace } else { SnapshotAction::Restore };
        Ok(Self { file: PathBuf::from(&options.file), place, action, json: options.output.json })
    }
}

fn shown(text: &str) -> Result<Shown, String> {
    match text.parse::<PeerId>() {
        Err(_) if !value::is_like_a_peer_id(text) => value::service_target(text).map(Shown::Service),
        _ => value::peer_id(text).map(Shown::Node),
    }
}

/// Where a relay answers HTTP. Of a URL the path stays, since a proxy may put a relay below one.
fn http_origin(text: &str) -> Result<String, String> {
    let address = RelayAddress::parse(text, false).map_err(|error| error.to_string())?;
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    if is_url {
        return match text.contains(['?', '#']) {
            true => Err("give the URL of a relay without a query, such as https://relay.example.org".to_owned()),
            false => Ok(text.trim_end_matches('/').to_owned()),
        };
    }
    origin(&address.multiaddr).ok_or_else(|| {
        "a directory answers HTTP; give a URL such as https://relay.example.org, host:port, or a multiaddr that ends in /ws"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_asked_where_it_answers_http() {
        for (text, expected) in [
            ("https://relay.example.org/", "https://relay.example.org"),
            ("https://example.org/relay/", "https://example.org/relay"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("/dns/relay.example.org/tcp/443/tls/ws", "https://relay.example.org:443"),
            ("ws://127.0.0.1:80", "http://127.0.0.1:80"),
        ] {
            assert_eq!(http_origin(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["", "relay", "/ip4/192.0.2.1/udp/4001/quic-v1", "https://relay.example.org/?x=1", "ftp://x"] {
            assert!(http_origin(wrong).is_err(), "{wrong}");
        }
    }
}
