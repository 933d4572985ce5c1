//! `openred relay`, put together: data directory, ports, node, HTTP, and an orderly end.
//!
//! The order of starting is the order in which things can fail for reasons of the operator's: first what shows without a trace,
//! whose data directory it is and whether the ports are free, then what is on disk, then the node. So a start that fails makes no
//! identity that nobody knows. Only when everything is bound does the ready line go to standard output. The end is the
//! reverse: `/readyz` says no for [`NOTICE`], then the node closes its connections, then HTTP finishes what it answers.

mod checks;
pub(crate) mod peering;
pub(crate) mod ports;
mod registrar;
pub(crate) mod registry;
pub(crate) mod token_keys;

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use multiaddr::Multiaddr;
use openred_core::event::{Event, State, Status};
use openred_node::{Config, Events, MemoryFile, MemoryFileError, Node, RelayLimits, Role, platform, webrtc};
use serde_json::json;
use tokio::time::{sleep, timeout};

use self::{checks::Checks, peering::NodePeering, ports::PortError, registrar::Registrar, token_keys::TokenKeys};
use crate::{
    assets, clock,
    config::relay::{RelayConfig, Stun},
    data_dir::{self, DataDir},
    directory::{
        backups::Backups,
        identity::PeerAuth,
        tokens::{Issuer, keys::KeyRing},
    },
    failure::Failure,
    http::{
        self, Shared,
        bootstrap::{About, Limits},
        gateway::Gateway,
        health::Phase,
        hosts::Hosts,
        routing::names::Names,
        server::Server,
        v1::Directory,
    },
    metrics::Metrics,
    otlp::Exporter,
    signals::Signals,
    stun,
};

/// How long `/readyz` refuses before connections close, so that whoever asks can send new peers elsewhere.
const NOTICE: Duration = Duration::from_secs(1);

/// Time for the node to say goodbye to its peers. With the other steps the end stays below the promised 5 s.
const FAREWELL: Duration = Duration::from_secs(2);

/// Time for a slow disk to take what the node learned.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Time for HTTP requests under way.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Connections to the metrics at a time: a few collectors.
const SCRAPERS: usize = 64;

/// Runs a relay until a signal asks it to end, or until it cannot go on.
pub(crate) async fn run(config: RelayConfig) -> Result<(), Failure> {
    let mut signals =
        Signals::listen().map_err(|error| Failure::Failed(format!("signals cannot be received: {error}")))?;
    let mut relay = tokio::select! {
        started = Relay::start(config) => started?,
        // Nobody relies on it yet.
        _ = signals.next() => return Ok(()),
    };
    relay.announce();
    let crashed = tokio::select! {
        _ = signals.next() => None,
        reason = relay.crashed() => Some(reason),
    };
    tokio::select! {
        () = relay.end() => {}
        // Who asks twice does not want to wait. Nothing is lost: files are written whole or not at all.
        code = signals.next() => std::process::exit(code),
    }
    match crashed {
        Some(reason) => Err(Failure::Failed(format!("the node ended by a fault of its own: {reason}"))),
        None => Ok(()),
    }
}

/// A running relay.
struct Relay {
    node: Node,
    /// Read for the log. It is the first reader, so it is told what happened before there was any.
    events: Events,
    shared: Arc<Shared>,
    /// Keep what is shared in order for as long as they are held.
    upkeep: (TokenKeys, Registrar, Checks, Option<Backups>),
    http: Server,
    http_address: SocketAddr,
    metrics: Server,
    metrics_address: SocketAddr,
    stun_address: Option<SocketAddr>,
    memory: Option<MemoryFile>,
    /// Answers until the end.
    _stun: Option<stun::Server>,
    /// Held until the end: it keeps other processes out.
    _data: DataDir,
}

impl Relay {
    /// Binds and starts everything.
    async fn start(config: RelayConfig) -> Result<Self, Failure> {
        data_dir::check(&config.data)?;
        let peer = data_dir::peek_identity(&config.data)?.map(|identity| identity.public().to_peer_id());
        let announce = announced(&config, peer)?;

        let listener = ports::bind_http(config.http, config.listen.is_none()).await?;
        let http_address = ports::local(&listener);
        let metrics_listener = ports::bind("--metrics", config.metrics).await?;
        let metrics_address = ports::local(&metrics_listener);
        let others = match &config.listen {
            Some(addresses) => {
                ports::check(addresses).await?;
                addresses.clone()
            }
            None => {
                ports::check_beside(http_address).await?;
                ports::beside(http_address)
            }
        };

        let stun_socket = match config.stun {
            Stun::Off => None,
            Stun::At(address) => Some(ports::bind_stun(address, &others).await?),
            Stun::Beside => Some(ports::bind_stun_beside(http_address, config.http.port() != 0, &others).await?),
        };
        let stun_address =
            stun_socket.as_ref().map(|socket| socket.local_addr().expect("a bound socket has an address"));

        let data = DataDir::open(&config.data)?;
        let (registry, backups) = registry::open(&config).await?;
        let identity = data.identity()?;
        let certificate = data.certificate(webrtc::generate_certificate, webrtc::check_certificate)?;
        let ring =
            data.token_keys(|| KeyRing::new(clock::seconds(), rand::random()).to_bytes(), KeyRing::from_bytes)?;
        let (memory_file, memory) = memory(&config.data);

        let limits = limits(&config);
        let (sender, incoming) = openred_node::incoming::channel();
        let websocket = ports::websocket(http_address);
        let auth = PeerAuth::new(identity.clone(), clock::millis());
        let hosts = Hosts::of(config.announce.iter().map(|address| &address.multiaddr));
        let node = Node::start(Config {
            role: Role::Relay(limits.clone()),
            region: config.region.clone(),
            bootstrap: config.contacts.list.clone(),
            lists: config.contacts.urls.clone(),
            memory,
            keeper: memory_file.as_ref().map(MemoryFile::keeper),
            listen: [vec![websocket.clone()], others].concat(),
            announce,
            max_bandwidth: config.max_bandwidth,
            platform: platform::Config { incoming: Some((websocket, incoming)), webrtc_certificate: Some(certificate) },
            ..Config::client(config.network.clone(), identity, config.bootstrap.clone())
        })
        .await?;

        let events = node.events();
        let peering = Arc::new(NodePeering::new(node.clone(), sender, stun_address));
        let metrics = Arc::new(Metrics::new(peering::figures(node.clone())));
        let directory =
            Directory { auth, issuer: Issuer::new(node.peer_id(), ring), hosts, admin: config.admin_token, registry };
        let shared = Arc::new(Shared {
            about: About {
                peer_id: node.peer_id().to_string(),
                network: config.network.to_string(),
                region: config.region,
                limits: Limits {
                    reservations: limits.max_reservations,
                    circuits: limits.max_circuits,
                    circuit_bytes: limits.circuit_bytes,
                    circuit_seconds: limits.circuit_duration.as_secs(),
                    max_bandwidth: config.max_bandwidth,
                },
            },
            phase: Phase::default(),
            metrics: Arc::clone(&metrics),
            peering,
            gateway: Arc::new(Gateway::new(config.limits)),
            directory,
            names: Names::default(),
            traces: config.otlp.as_ref().map(|url| Exporter::start(url, &node.peer_id().to_string())),
            trusted_proxies: config.trusted_proxies,
            site: assets::site(),
            npm: assets::npm(),
        });
        let stun = stun_socket.map(|socket| stun::Server::start(socket, metrics.stun()));
        // Peers may have been waiting in the backlog since the port was bound; the first answer must not be a refusal.
        shared.phase.set_ready();
        metrics.add(http::figures::source(&shared));
        let http = Server::start(listener, http::app(Arc::clone(&shared)), config.max_connections);
        let metrics = Server::start(metrics_listener, http::metrics_app(metrics), SCRAPERS);
        let upkeep = (
            TokenKeys::start(Arc::clone(&shared), data.token_key_file()),
            Registrar::start(Arc::clone(&shared), node.clone()),
            Checks::start(Arc::clone(&shared), node.clone()),
            backups,
        );
        Ok(Self {
            node,
            events,
            shared,
            upkeep,
            http,
            http_address,
            metrics,
            metrics_address,
            stun_address,
            memory: memory_file,
            _stun: stun,
            _data: data,
        })
    }

    /// Prints the ready line, and for people the same in a log line.
    fn announce(&self) {
        let addresses = peering::addresses(&self.node);
        let line = json!({
            "peerId": self.node.peer_id().to_string(),
            "http": format!("http://{}", reachable(self.http_address)),
            "metrics": format!("http://{}", reachable(self.metrics_address)),
            "addresses": addresses,
        });
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            tracing::warn!(%error, "the ready line could not be printed");
        }
        tracing::info!(
            peer = %self.node.peer_id(),
            page = %format_args!("http://{}", reachable(self.http_address)),
            metrics = %format_args!("http://{}/metrics", reachable(self.metrics_address)),
            stun = self.stun_address.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            "the relay is ready"
        );
        if assets::site().is_empty() {
            tracing::warn!("the page is not inside this program; `cargo xtask build` makes one that has it");
        }
    }

    /// Resolves if the node ends by itself, with the reason. Steps of joining are logged on the way.
    async fn crashed(&mut self) -> String {
        let mut told = self.node.status();
        tracing::info!(state = told.state.as_str(), reason = told.reason, "the node's state");
        while let Some(event) = self.events.next().await {
            match event {
                Event::Status(Status { state: State::Crashed, reason }) => return reason.unwrap_or_default(),
                // What happened before there was a reader comes too.
                Event::Status(status) if status == told => {}
                Event::Status(status) => {
                    tracing::info!(state = status.state.as_str(), reason = status.reason, "the node's state");
                    told = status;
                }
                Event::Join(step) => {
                    tracing::info!(relay = step.relay, stage = step.stage.as_str(), detail = ?step.stage, "joining");
                }
                Event::Warning { code, message } => tracing::warn!(code, message, "the node warns"),
                Event::Lagged { missed } => tracing::debug!(missed, "events were missed"),
                other => tracing::debug!(event = ?other, "event"),
            }
        }
        "it stopped without giving a reason".to_owned()
    }

    async fn end(self) {
        self.shared.phase.set_draining();
        tracing::info!("ending");
        sleep(NOTICE).await;
        if timeout(FAREWELL, self.node.close()).await.is_err() {
            tracing::warn!("the node took too long to close");
        }
        if let Some(memory) = &self.memory
            && timeout(LAST_WORDS, memory.settled()).await.is_err()
        {
            tracing::warn!("what the node learned could not be written in time");
        }
        tokio::join!(self.http.stop(LAST_ANSWERS), self.metrics.stop(LAST_ANSWERS));
        // What of this is in the middle of something ends at its next wait; a database that was closed stays closed.
        drop(self.upkeep);
        if timeout(LAST_WORDS, self.shared.directory.registry.close()).await.is_err() {
            tracing::warn!(
                "the last signs of life could not be written, or the database closed, in time; nodes repeat them"
            );
        }
        tracing::info!("ended");
    }
}

/// What an earlier run learned of the network, and where this one writes it. A relay without memory joins as if it was new,
/// so a file that cannot be read costs a line in the log; one that holds something else is moved aside.
fn memory(data: &Path) -> (Option<MemoryFile>, Option<Vec<u8>>) {
    let path = data.join("memory");
    let opened = MemoryFile::open(&path).or_else(|error| {
        let aside = path.with_extension("set-aside");
        if !matches!(error, MemoryFileError::Foreign) || fs::rename(&path, &aside).is_err() {
            return Err(error);
        }
        tracing::warn!(file = %aside.display(), "what was learned of the network cannot be read and was set aside");
        MemoryFile::open(&path)
    });
    match opened {
        Ok((file, memory)) => (Some(file), memory),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "what was learned of the network cannot be read or kept");
            (None, None)
        }
    }
}

fn limits(config: &RelayConfig) -> RelayLimits {
    let default = RelayLimits::default();
    RelayLimits {
        max_reservations: config.max_reservations.unwrap_or(default.max_reservations),
        circuit_bytes: config.circuit_bytes.unwrap_or(default.circuit_bytes),
        circuit_duration: config.circuit_seconds.map_or(default.circuit_duration, Duration::from_secs),
        ..default
    }
}

/// What `--announce` says, without the own peer id, which the node adds. A relay that starts first has none to be named yet.
fn announced(config: &RelayConfig, own: Option<libp2p_identity::PeerId>) -> Result<Vec<Multiaddr>, Failure> {
    let announced = config.announce.iter().map(|address| match address.peer {
        Some(other) if Some(other) != own => {
            let own = own.map(|own| format!(", or end it in /p2p/{own}")).unwrap_or_default();
            Err(Failure::Usage(format!("--announce: `{address}` names another relay's peer id; leave /p2p out{own}")))
        }
        _ => Ok(address.multiaddr.clone()),
    });
    announced.collect()
}

/// An address to write into a URL: who listens everywhere can be reached through the loopback interface.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_through_loopback() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }
}
