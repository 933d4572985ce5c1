//! The short-lived commands: each joins as a node, does one thing and leaves.
//!
//! Results go to standard output, everything else to standard error. What other nodes wrote is shown with its control
//! characters escaped, so that a record cannot write to the terminal.

pub(crate) mod directory;
pub(crate) mod find;
pub(crate) mod id;
pub(crate) mod open;
pub(crate) mod output;
pub(crate) mod peers;
pub(crate) mod pipe;
pub(crate) mod provide;

use std::time::{Duration, Instant};

use futures::future::join_all;
use http_body_util::{BodyExt, Limited};
use libp2p_identity::Keypair;
use openred_core::{
    address::{RelayAddress, origin},
    name::ServiceTarget,
};
use openred_node::{Config, MemoryFile, Node};
use serde_json::Value;
use tokio::time::timeout;

use crate::{config::short::NodeConfig, data_dir, failure::Failure, outgoing};

/// How long a node that is done may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// A node that has joined, and the time the command has left.
struct Session {
    node: Node,
    deadline: Instant,
    memory: Option<MemoryFile>,
}

impl Session {
    /// Joins; a network that cannot be reached within the timeout is a failure of its own kind.
    async fn join(config: &NodeConfig) -> Result<Self, Failure> {
        let deadline = Instant::now() + config.timeout;
        let (file, memory) = match &config.memory {
            Some(path) => {
                let unusable =
                    |error| Failure::Usage(format!("--memory: `{}` cannot be used: {error}", path.display()));
                let (file, memory) = MemoryFile::open(path).map_err(unusable)?;
                (Some(file), memory)
            }
            None => (None, None),
        };
        let identity = match &config.identity {
            Some(file) => {
                data_dir::identity_in(file).map_err(|error| Failure::Usage(format!("--identity: {error}")))?
            }
            None => Keypair::generate_ed25519(),
        };
        let node = Node::start(Config {
            bootstrap: config.contacts.list.clone(),
            lists: config.contacts.urls.clone(),
            memory,
            keeper: file.as_ref().map(MemoryFile::keeper),
            ..Config::client(config.network.clone(), identity, config.bootstrap.clone())
        })
        .await?;
        if let Err(error) = node.ready(config.timeout).await {
            return Err(no_network(error, &config.bootstrap).await);
        }
        Ok(Self { node, deadline, memory: file })
    }

    /// What is left of the timeout, at least a moment, so that a slow join still gets an answer that is at hand.
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(500))
    }

    /// Leaves the network; peers learn of it at once rather than by a timeout.
    async fn leave(self) {
        if timeout(FAREWELL, self.node.close()).await.is_err() {
            tracing::debug!("the node took too long to close");
        }
        if let Some(memory) = self.memory {
            memory.settled().await;
        }
    }
}

/// What helps where no relay answers.
const NO_RELAY_HELP: &str = "start one with `openred relay`, or name one that runs with --bootstrap";

/// How long a server that is no relay has to show it.
const LOOK: Duration = Duration::from_secs(2);

/// The most that is read of what it shows, in bytes.
const LOOKED_AT: usize = 1024 * 1024;

/// Not being able to join has an exit code of its own, whatever the reason. Whoever answers HTTP where a relay should be is asked
/// whether it is one.
async fn no_network(error: openred_core::Error, bootstrap: &[RelayAddress]) -> Failure {
    let is_unreached = error.code() == "NO_RELAY";
    match Failure::from(error) {
        Failure::NoNetwork(text) if is_unreached => {
            let origins = bootstrap.iter().filter_map(|relay| origin(&relay.multiaddr));
            let strangers = join_all(origins.map(async |origin| (is_stranger(&origin).await, origin))).await;
            let strangers: Vec<_> = strangers.into_iter().filter_map(|(is, origin)| is.then_some(origin)).collect();
            let help = match strangers.as_slice() {
                [] => NO_RELAY_HELP.to_owned(),
                strangers => format!(
                    "{} is no OpenRed relay: it answers, but not at /bootstrap.json as relays do; {NO_RELAY_HELP}",
                    strangers.join(" and ")
                ),
            };
            Failure::NoNetwork(format!("{text}; {help}"))
        }
        Failure::Failed(text) | Failure::NothingFound(text) => Failure::NoNetwork(text),
        other => other,
    }
}

/// Whether somebody answers at `origin` who is no relay.
async fn is_stranger(origin: &str) -> bool {
    let Ok(url) = format!("{origin}/bootstrap.json").parse() else { return false };
    let asked = timeout(LOOK, async {
        let body = outgoing::client().get(url).await.ok()?.into_body();
        Limited::new(body, LOOKED_AT).collect().await.ok().map(|body| body.to_bytes())
    });
    let Ok(Some(body)) = asked.await else { return false };
    !serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["peerId"].is_string())
}

/// That nobody was found, in a sentence.
fn nobody_offers(target: &ServiceTarget) -> String {
    match &target.provider {
        None => format!("nobody offers `{target}`"),
        Some(_) => {
            format!("nobody offers `{target}`; compare the peer id, which is another node's with one character changed")
        }
    }
}
