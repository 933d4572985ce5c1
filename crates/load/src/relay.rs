//! The relay under measurement, as an operator behind a proxy starts it: with its own limits, and with the proxy's word about who
//! asks. So each node has its own allowance, and the limiter works as it does in earnest.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hyper::{body::Bytes, header::HeaderValue};
use libp2p_identity::PeerId;
use openred_core::peer_auth;
use serde_json::Value;

use crate::{
    Failure,
    client::Client,
    nodes::Node,
    process::{Process, pinned},
};

/// Nodes that register at a time.
const LANES: usize = 64;

/// How long to wait when the relay remembers as many handshakes as it can.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module's documentation.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) peer: PeerId,
    /// From the start of the process to its word that it is ready.
    pub(crate) started_in: Duration,
}

/// How a relay is started.
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) database: Option<String>,
    /// The port of the API; 0 at first, then the same again, since sessions hold for one host and port.
    pub(crate) port: u16,
}

impl Start {
    pub(crate) fn new(program: &Path, data: &Path, database: Option<String>) -> Self {
        Self { program: program.to_owned(), data: data.to_owned(), database, port: 0 }
    }

    /// Starts the relay and waits until it is ready.
    pub(crate) fn relay(&mut self) -> Result<Relay, Failure> {
        let mut command = pinned(&self.program);
        command.args(["relay", "--metrics", "127.0.0.1:0", "--stun", "off", "--trusted-proxy", "127.0.0.1/32"]);
        command.args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--http", &format!("127.0.0.1:{}", self.port)]);
        command.arg("--data").arg(&self.data);
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        let begun = Instant::now();
        let process = Process::start(&mut command)?;
        let started_in = begun.elapsed();
        let ready: Value = serde_json::from_str(&process.first_line)?;
        let word = |name: &str| ready[name].as_str().ok_or_else(|| format!("no {name} in {ready}"));
        let address: SocketAddr = word("http")?.trim_start_matches("http://").parse()?;
        self.port = address.port();
        Ok(Relay { peer: word("peerId")?.parse()?, process, address, started_in })
    }
}

impl Relay {
    /// The `Host` of requests.
    pub(crate) fn host(&self) -> HeaderValue {
        HeaderValue::from_str(&self.address.to_string()).expect("an address is a header value")
    }

    /// Each node proves its key, and in the same request registers if `registers`.
    pub(crate) async fn admit(&self, nodes: &mut [Node], registers: bool) -> Result<(), Failure> {
        let share = nodes.len().div_ceil(LANES).max(1);
        let lanes = nodes.chunks_mut(share).map(|nodes| async move {
            let mut client = Client::new(self.address);
            for node in nodes {
                self.admit_one(&mut client, node, registers).await?;
            }
            Ok::<_, Failure>(())
        });
        futures::future::try_join_all(lanes).await.map(drop)
    }

    /// Each node sends a heartbeat.
    pub(crate) async fn hear(&self, nodes: &[Node]) -> Result<(), Failure> {
        let lanes = nodes.chunks(nodes.len().div_ceil(LANES).max(1)).map(|nodes| async move {
            let (host, mut client) = (self.host(), Client::new(self.address));
            for node in nodes {
                let path = format!("{}/heartbeat", node.path());
                let answer = client.ask(node.asks(&host, "POST", &path, Bytes::new())).await?;
                if !answer.status().is_success() {
                    return Err(format!("a heartbeat was answered with {}", answer.status()).into());
                }
            }
            Ok::<_, Failure>(())
        });
        futures::future::try_join_all(lanes).await.map(drop)
    }

    async fn admit_one(&self, client: &mut Client, node: &mut Node, registers: bool) -> Result<(), Failure> {
        let host = self.host();
        let named = self.address.to_string();
        loop {
            node.open_session(&peer_auth::begin(node.keypair()));
            let asked = client.ask(node.asks(&host, "GET", "/v1/auth", Bytes::new())).await?;
            let challenge = text(&asked, "www-authenticate")?;
            node.open_session(&peer_auth::prove(node.keypair(), challenge, &named)?);
            let answer = match registers {
                true => client.ask(node.asks(&host, "PUT", &node.path(), node.registration())).await?,
                false => client.ask(node.asks(&host, "GET", "/v1/auth", Bytes::new())).await?,
            };
            if answer.status().is_success() {
                node.open_session(&peer_auth::session(text(&answer, "authentication-info")?)?);
                return Ok(());
            }
            let why = String::from_utf8_lossy(answer.body());
            if !why.contains("AUTH_BUSY") {
                return Err(format!("a node was not admitted: {why}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn text<'a>(answer: &'a hyper::Response<Bytes>, name: &str) -> Result<&'a str, Failure> {
    let value = answer.headers().get(name).ok_or_else(|| {
        format!("no {name} in an answer with status {}: {}", answer.status(), String::from_utf8_lossy(answer.body()))
    })?;
    Ok(value.to_str()?)
}
