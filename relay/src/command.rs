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

use libp2p_identity::Keypair;
use openred_node::{Config, MemoryFile, Node};

use crate::{config::short::NodeConfig, data_dir, failure::Failure};

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
        let identity = match &config.identity {
            Some(file) => {
                data_dir::identity_in(file).map_err(|error| Failure::Usage(format!("--identity: {error}")))?
            }
            None => Keypair::generate_ed25519(),
        };
        let (file, memory) = match &config.memory {
            Some(path) => {
                let unusable =
                    |error| Failure::Usage(format!("--memory: `{}` cannot be used: {error}", path.display()));
                let (file, memory) = MemoryFile::open(path).map_err(unusable)?;
                (Some(file), memory)
            }
            None => (None, None),
        };
        let node = Node::start(Config {
            bootstrap: config.contacts.list.clone(),
            lists: config.contacts.urls.clone(),
            memory,
            keeper: file.as_ref().map(MemoryFile::keeper),
            ..Config::client(config.network.clone(), identity, config.bootstrap.clone())
        })
        .await?;
        node.ready(config.timeout).await.map_err(no_network)?;
        Ok(Self { node, deadline, memory: file })
    }

    /// What is left of the timeout, at least a moment, so that a slow join still gets an answer that is at hand.
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(500))
    }

    /// Leaves the network; peers learn of it at once rather than by a timeout.
    async fn leave(self) {
        if tokio::time::timeout(FAREWELL, self.node.close()).await.is_err() {
            tracing::debug!("the node took too long to close");
        }
        if let Some(memory) = self.memory {
            memory.settled().await;
        }
    }
}

/// Not being able to join has an exit code of its own, whatever the reason.
fn no_network(error: openred_core::Error) -> Failure {
    match Failure::from(error) {
        Failure::Failed(text) | Failure::NothingFound(text) => Failure::NoNetwork(text),
        other => other,
    }
}
