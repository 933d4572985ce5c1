//! What `openred relay` was told.

use std::{
    env, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use axum::http::Uri;
use clap::ArgMatches;
use ipnet::IpNet;
use multiaddr::{Multiaddr, Protocol};
use openred_core::{address::RelayAddress, lifecycle::LifecycleConfig, name::NetworkName};

use super::{
    ConfigError, Sources,
    contacts::{self, Contacts},
    file::ConfigFile,
    lifecycle, value,
};
use crate::{
    cli::RelayOptions,
    directory::check_database,
    http::{admin_token::AdminToken, gateway::Limits, server::CONNECTIONS},
};

/// Everything `openred relay` needs to know, checked one by one; whether the addresses are free shows when they are
/// bound.
#[derive(Clone, Debug)]
pub(crate) struct RelayConfig {
    /// Address of the page, the API and WebSocket peers.
    pub(crate) http: SocketAddr,
    /// Address of the metrics.
    pub(crate) metrics: SocketAddr,
    /// Addresses to listen on besides; `None` means QUIC and WebRTC-direct beside `http`.
    pub(crate) listen: Option<Vec<Multiaddr>>,
    /// Where STUN is answered.
    pub(crate) stun: Stun,
    /// Addresses to tell others; empty means those listened on.
    pub(crate) announce: Vec<RelayAddress>,
    /// Relays to join the network through.
    pub(crate) bootstrap: Vec<RelayAddress>,
    /// More of them, as somebody listed them.
    pub(crate) contacts: Contacts,
    /// Where the identity, the certificate and the memory are kept.
    pub(crate) data: PathBuf,
    /// The network.
    pub(crate) network: NetworkName,
    /// The region, for others to see.
    pub(crate) region: String,
    /// Reservations held at a time; `None` is the node's default, as below.
    pub(crate) max_reservations: Option<usize>,
    /// Bytes one circuit may carry; 0 is no limit.
    pub(crate) circuit_bytes: Option<u64>,
    /// Seconds one circuit may last; 0 is no limit.
    pub(crate) circuit_seconds: Option<u64>,
    /// Bytes a second of all traffic with peers, in and out together.
    pub(crate) max_bandwidth: Option<u64>,
    /// Proxies whose word about the client's address is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Where the directory is kept.
    pub(crate) database: Database,
    /// How silent nodes are waited for.
    pub(crate) lifecycle: LifecycleConfig,
    /// What opens the admin routes; without it they are closed.
    pub(crate) admin_token: Option<AdminToken>,
    /// What the gateway lets through.
    pub(crate) limits: Limits,
    /// Connections that have not become peers, at a time.
    pub(crate) max_connections: usize,
    /// How the log is written.
    pub(crate) log_format: LogFormat,
    /// The collector that takes traces; none without it.
    pub(crate) otlp: Option<Uri>,
}

/// Where STUN is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stun {
    /// Nowhere.
    Off,
    /// At this address, or the relay does not start.
    At(SocketAddr),
    /// Where `--http` is, at the usual port or any other.
    Beside,
}

/// Where the directory is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// In the data directory.
    Sqlite,
    /// In PostgreSQL, at this URL.
    Postgres(String),
}

/// The URL has a password in it, which belongs into no log.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "Sqlite",
            Self::Postgres(_) => "Postgres",
        })
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Holds the admin token itself, for systems that give secrets as variables.
pub(super) const ADMIN_TOKEN: &str = "OPENRED_ADMIN_TOKEN";

/// The default of `--http`: only this machine, because a relay in the open is a decision.
pub(crate) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// The default of `--metrics`: 9464 is the port OpenTelemetry's Prometheus exporters use.
pub(crate) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// The default of `--region`.
pub(crate) const REGION: &str = "global";

impl RelayConfig {
    /// Reads the configuration file if one is named, then every option by its precedence.
    pub(crate) fn new(options: &RelayOptions, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let sources = match Sources::new(matches).one("config", options.config.as_deref(), value::text)? {
            Some(path) => Sources::with_file(matches, ConfigFile::read(Path::new(&path))?),
            None => Sources::new(matches),
        };
        Self::from_sources(options, &sources)
    }

    fn from_sources(options: &RelayOptions, from: &Sources<'_>) -> Result<Self, ConfigError> {
        let http = from.one("http", options.http.as_deref(), value::socket_address)?.unwrap_or(HTTP);
        let listen = from.many("listen", &options.listen, listen_address)?;
        let data = match from.one("data", options.data.as_deref(), value::text)? {
            Some(path) => PathBuf::from(path),
            None => default_data()?,
        };
        let max_reservations = from.one("max-reservations", options.max_reservations.as_deref(), |text| {
            usize::try_from(value::number_from(1)(text)?).map_err(|_| "give a smaller number".to_owned())
        })?;
        let circuit_bytes = from.one("circuit-bytes", options.circuit_bytes.as_deref(), value::number_from(0))?;
        let circuit_seconds = from.one("circuit-seconds", options.circuit_seconds.as_deref(), value::number_from(0))?;
        let max_bandwidth = from.one("max-bandwidth", options.max_bandwidth.as_deref(), value::number_from(0))?;
        let rate = from.one("rate-limit", options.rate_limit.as_deref(), count_from(0))?;
        let in_flight = from.one("max-requests", options.max_requests.as_deref(), count_from(1))?;
        let max_connections = from.one("max-connections", options.max_connections.as_deref(), count_from(1))?;
        let limits = Limits::default();
        let limits = Limits {
            rate: rate.map_or(limits.rate, |rate| u32::try_from(rate).ok().filter(|rate| *rate > 0)),
            in_flight: in_flight.unwrap_or(limits.in_flight),
            ..limits
        };
        let admin_token = match from.one("admin-token-file", options.admin_token_file.as_deref(), admin_token_in)? {
            None => admin_token_of(env::var(ADMIN_TOKEN).unwrap_or_default())?,
            given => given,
        };
        Ok(Self {
            http,
            metrics: from.one("metrics", options.metrics.as_deref(), value::socket_address)?.unwrap_or(METRICS),
            listen: (!listen.is_empty()).then_some(listen),
            stun: from.one("stun", options.stun.as_deref(), stun)?.unwrap_or(Stun::Beside),
            announce: from.many("announce", &options.announce, announced_address)?,
            bootstrap: from.many("bootstrap", &options.bootstrap, relay_address)?,
            contacts: from.many("bootstrap-list", &options.bootstrap_list, contacts::source)?.into_iter().collect(),
            data,
            network: from.one("network", options.network.as_deref(), value::parsed)?.unwrap_or_default(),
            region: from.one("region", options.region.as_deref(), value::region)?.unwrap_or_else(|| REGION.to_owned()),
            max_reservations,
            circuit_bytes,
            circuit_seconds,
            max_bandwidth: max_bandwidth.filter(|bytes| *bytes > 0),
            trusted_proxies: from.many("trusted-proxy", &options.trusted_proxy, value::network_range)?,
            database: from.one("database", options.database.as_deref(), database)?.unwrap_or(Database::Sqlite),
            lifecycle: lifecycle::waits(&from.many("lifecycle", &options.lifecycle, lifecycle::wait)?)?,
            admin_token,
            limits,
            max_connections: max_connections.unwrap_or(CONNECTIONS),
            log_format: from.one("log-format", options.log_format.as_deref(), log_format)?.unwrap_or_default(),
            otlp: from.one("otlp", options.otlp.as_deref(), collector)?,
        })
    }
}

/// A relay to join through: URL, multiaddr or `host:port`.
pub(crate) fn relay_address(text: &str) -> Result<RelayAddress, String> {
    RelayAddress::parse(text, false).map_err(|error| error.to_string())
}

/// An address for others: a multiaddr or a URL. `host:port` is refused, because it does not say whether TLS stands
/// before the relay.
fn announced_address(text: &str) -> Result<RelayAddress, String> {
    if !text.starts_with('/') && !text.contains("://") {
        return Err(
            "give a multiaddr such as /dns4/relay.example.org/tcp/443/tls/ws, or a URL such as https://relay.example.org"
                .to_owned(),
        );
    }
    relay_address(text)
}

/// An address to answer STUN on, or none.
fn stun(text: &str) -> Result<Stun, String> {
    if text == "off" {
        return Ok(Stun::Off);
    }
    value::socket_address(text).map(Stun::At).map_err(|_| {
        "give `off`, or an IP address and a UDP port from 0 to 65535, such as 0.0.0.0:3478 or [::]:3478".to_owned()
    })
}

/// An address to listen on: a multiaddr that begins with an IP address.
fn listen_address(text: &str) -> Result<Multiaddr, String> {
    let right = "give a multiaddr with an IP address and a port, such as /ip4/0.0.0.0/udp/8080/quic-v1, \
                 /ip4/0.0.0.0/udp/8081/webrtc-direct or /ip4/0.0.0.0/tcp/8082";
    let address: Multiaddr = text.parse().map_err(|error| format!("{error}; {right}"))?;
    if crate::relay::ports::socket_of(&address).is_none() {
        return Err(right.to_owned());
    }
    let over: Vec<Protocol<'_>> = address.iter().skip(1).collect();
    match over[..] {
        [Protocol::Tcp(_)]
        | [Protocol::Tcp(_), Protocol::Ws(_)]
        | [Protocol::Udp(_), Protocol::QuicV1 | Protocol::WebRTCDirect] => Ok(address),
        _ => Err(format!("this relay does not listen so; {right}")),
    }
}

/// A number of things, which fits the machine's words.
fn count_from(least: u64) -> impl Fn(&str) -> Result<usize, String> {
    move |text| {
        let number = value::number_from(least)(text)?;
        let number = u32::try_from(number).map_err(|_| format!("give at most {}", u32::MAX))?;
        usize::try_from(number).map_err(|_| "give a smaller number".to_owned())
    }
}

/// `sqlite`, or the URL of a PostgreSQL database.
pub(super) fn database(text: &str) -> Result<Database, String> {
    if text == "sqlite" {
        return Ok(Database::Sqlite);
    }
    check_database(text).map_err(|reason| format!("{reason}; or give sqlite"))?;
    Ok(Database::Postgres(text.to_owned()))
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("give text or json".to_owned()),
    }
}

/// The URL of a collector.
fn collector(text: &str) -> Result<Uri, String> {
    let url = text.parse::<Uri>().ok().filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() && url.query().is_none()
    });
    url.ok_or_else(|| "give the http or https URL of a collector, such as http://127.0.0.1:4318".to_owned())
}

fn admin_token_in(file: &str) -> Result<AdminToken, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("the file cannot be read: {error}"))?;
    AdminToken::new(text.trim())
}

/// The token of the environment; its text must not be repeated in a message.
fn admin_token_of(text: String) -> Result<Option<AdminToken>, ConfigError> {
    match text.trim() {
        "" => Ok(None),
        text => AdminToken::new(text).map(Some).map_err(|reason| {
            ConfigError::Missing(format!("the environment variable {ADMIN_TOKEN} cannot be used: {reason}"))
        }),
    }
}

/// `$XDG_DATA_HOME/openred`, or `~/.local/share/openred`.
pub(crate) fn default_data() -> Result<PathBuf, ConfigError> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_DATA_HOME")
        .or_else(|| Some(folder("HOME")?.join(".local/share")))
        .map(|base| base.join("openred"))
        .ok_or_else(|| {
            ConfigError::Missing("--data: there is no home directory to keep the data in; give one".to_owned())
        })
}

#[cfg(test)]
mod tests;
