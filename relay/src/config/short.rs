//! What the short-lived commands were told.

use std::{path::PathBuf, time::Duration};

use clap::ArgMatches;
use openred_core::{
    address::RelayAddress,
    name::{NetworkName, ServiceName, ServiceTarget},
};

use super::{
    ConfigError, Origin, Sources,
    contacts::{self, Contacts},
    relay, value,
};
use crate::cli::{FindOptions, IdOptions, NodeOptions, OpenOptions, OutputOptions, PeersOptions, ProvideOptions};

/// The default of `--bootstrap`: the relay that `openred relay` starts when it is told nothing.
const BOOTSTRAP: &str = "http://127.0.0.1:8080";

/// The default of `--timeout`, as in the npm package.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What every short-lived node needs.
#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    /// Relays to join through.
    pub(crate) bootstrap: Vec<RelayAddress>,
    /// More of them, as somebody listed them.
    pub(crate) contacts: Contacts,
    /// The network.
    pub(crate) network: NetworkName,
    /// How long the whole command may wait for the network.
    pub(crate) timeout: Duration,
    /// File of the identity; `None` is an identity of the moment.
    pub(crate) identity: Option<PathBuf>,
    /// File that keeps what is learned of the network.
    pub(crate) memory: Option<PathBuf>,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl NodeConfig {
    fn new(options: &NodeOptions, output: &OutputOptions, from: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut bootstrap = from.many("bootstrap", &options.bootstrap, relay::relay_address)?;
        let contacts: Contacts =
            from.many("bootstrap-list", &options.bootstrap_list, contacts::source)?.into_iter().collect();
        if bootstrap.is_empty() && contacts.list.is_empty() && contacts.urls.is_empty() {
            bootstrap.push(RelayAddress::parse(BOOTSTRAP, false).expect("the default is an address"));
        }
        Ok(Self {
            bootstrap,
            contacts,
            network: from.one("network", options.network.as_deref(), value::parsed)?.unwrap_or_default(),
            timeout: from.one("timeout", options.timeout.as_deref(), value::duration)?.unwrap_or(TIMEOUT),
            identity: from.one("identity", options.identity.as_deref(), value::text)?.map(PathBuf::from),
            memory: from.one("memory", options.memory.as_deref(), value::text)?.map(PathBuf::from),
            json: output.json,
        })
    }
}

/// `openred find`.
#[derive(Clone, Debug)]
pub(crate) struct FindConfig {
    /// How to join.
    pub(crate) node: NodeConfig,
    /// What to look for.
    pub(crate) target: ServiceTarget,
    /// At most this many records; `None` is the node's own limit.
    pub(crate) limit: Option<usize>,
    /// How old a remembered answer may be; `None` is the node's default.
    pub(crate) max_age: Option<Duration>,
}

impl FindConfig {
    /// Checks every option of `openred find`.
    pub(crate) fn new(options: &FindOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let limit = from.one("limit", options.limit.as_deref(), value::number_from(1))?;
        Ok(Self {
            node: NodeConfig::new(&options.node, &options.output, &from)?,
            target: argument(&options.name, "NAME", value::service_target)?,
            max_age: from.one("max-age", options.max_age.as_deref(), value::age)?,
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        })
    }
}

/// `openred provide`.
#[derive(Clone, Debug)]
pub(crate) struct ProvideConfig {
    /// How to join.
    pub(crate) node: NodeConfig,
    /// The name to offer.
    pub(crate) name: ServiceName,
    /// Whether streams are echoed; otherwise one at a time is joined to standard input and output.
    pub(crate) echo: bool,
    /// Kind of the service; may be empty.
    pub(crate) kind: String,
    /// What is said about the service.
    pub(crate) metadata: Vec<(String, String)>,
    /// How long the offer stands; `None` is the node's default.
    pub(crate) ttl: Option<Duration>,
    /// Region; may be empty.
    pub(crate) region: String,
    /// Clusters.
    pub(crate) clusters: Vec<String>,
}

impl ProvideConfig {
    /// Checks every option of `openred provide`. Limits of the record itself are the node's to check.
    pub(crate) fn new(options: &ProvideOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        Ok(Self {
            node: NodeConfig::new(&options.node, &options.output, &from)?,
            name: argument(&options.name, "NAME", value::parsed)?,
            echo: options.echo,
            kind: from.one("type", options.kind.as_deref(), value::text)?.unwrap_or_default(),
            metadata: from.many_with_commas("metadata", &options.metadata, value::key_value)?,
            ttl: from.one("ttl", options.ttl.as_deref(), value::ttl)?,
            region: from.one("region", options.region.as_deref(), value::region)?.unwrap_or_default(),
            clusters: from.many("cluster", &options.cluster, value::text)?,
        })
    }
}

/// `openred open`.
#[derive(Clone, Debug)]
pub(crate) struct OpenConfig {
    /// How to join.
    pub(crate) node: NodeConfig,
    /// What to open.
    pub(crate) target: ServiceTarget,
}

impl OpenConfig {
    /// Checks every option of `openred open`.
    pub(crate) fn new(options: &OpenOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let node = NodeConfig::new(&options.node, &options.output, &Sources::new(matches))?;
        Ok(Self { node, target: argument(&options.name, "NAME", value::service_target)? })
    }
}

/// `openred peers`.
#[derive(Clone, Debug)]
pub(crate) struct PeersConfig {
    /// How to join.
    pub(crate) node: NodeConfig,
}

impl PeersConfig {
    /// Checks every option of `openred peers`.
    pub(crate) fn new(options: &PeersOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        Ok(Self { node: NodeConfig::new(&options.node, &options.output, &Sources::new(matches))? })
    }
}

/// `openred id`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IdConfig {
    /// Where the identity is.
    pub(crate) from: IdSource,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

/// Where `openred id` looks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum IdSource {
    /// In a relay's data directory.
    Data(PathBuf),
    /// In an identity file.
    File(PathBuf),
}

impl IdConfig {
    /// Checks every option of `openred id`.
    pub(crate) fn new(options: &IdOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let from = Sources::new(matches);
        let file = from.one("identity", options.identity.as_deref(), value::text)?;
        let data = from.one("data", options.data.as_deref(), value::text)?;
        let from = match (file, data) {
            (Some(file), _) => IdSource::File(PathBuf::from(file)),
            (None, Some(data)) => IdSource::Data(PathBuf::from(data)),
            (None, None) => IdSource::Data(relay::default_data()?),
        };
        Ok(Self { from, json: options.output.json })
    }
}

/// A positional argument of a command.
pub(super) fn argument<T>(text: &str, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
    parse(text).map_err(|reason| ConfigError::Value {
        option: name.to_owned(),
        value: text.to_owned(),
        origin: Origin::Flag,
        reason,
    })
}
