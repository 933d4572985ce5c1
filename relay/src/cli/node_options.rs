//! The options of the short-lived commands: `find`, `provide`, `open`, `peers` and `id`.

use clap::{Args, builder::FalseyValueParser};

use super::OutputOptions;

/// What every short-lived node needs to join a network.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NodeOptions {
    /// A relay to join the network through, may be repeated [default: http://127.0.0.1:8080]
    #[arg(long, env = "OPENRED_BOOTSTRAP", value_name = "URL|MULTIADDR|HOST:PORT", hide_env = true)]
    pub(crate) bootstrap: Vec<String>,

    /// A list of such relays, one a line with its region in front, for everybody with `*` or nothing there; a file, or a URL
    /// that is fetched while connections lack; may be repeated [default: none]
    #[arg(long, env = "OPENRED_BOOTSTRAP_LIST", value_name = "FILE|URL", hide_env = true)]
    pub(crate) bootstrap_list: Vec<String>,

    /// Name of the network: 1 to 32 of a-z, 0-9 and - [default: main]
    #[arg(long, env = "OPENRED_NETWORK", value_name = "NAME", hide_env = true)]
    pub(crate) network: Option<String>,

    /// How long joining and the command itself may take: seconds, or with a unit (500ms, 10s, 2m) [default: 10s]
    #[arg(long, env = "OPENRED_TIMEOUT", value_name = "TIME", hide_env = true)]
    pub(crate) timeout: Option<String>,

    /// Act as the identity in this file, which is made if it does not exist [default: an identity of the moment]
    #[arg(long, env = "OPENRED_IDENTITY", value_name = "FILE", hide_env = true)]
    pub(crate) identity: Option<String>,

    /// Keep in this file what is learned of the network, for the next command to join and find faster, also without the
    /// relays named here; it is made if it does not exist, and one that holds something else is refused [default: nothing is
    /// kept]
    #[arg(long, env = "OPENRED_MEMORY", value_name = "FILE", hide_env = true)]
    pub(crate) memory: Option<String>,
}

/// `openred find`.
#[derive(Args, Debug)]
pub(crate) struct FindOptions {
    /// Name of the service, or NAME@PEER for one provider of it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// At most this many records [default: as many as the network holds, 32]
    #[arg(long, env = "OPENRED_LIMIT", value_name = "N", hide_env = true)]
    pub(crate) limit: Option<String>,

    /// How old an answer of an earlier command may be (see --memory) that is given at once, 0 asks the network: seconds, or
    /// with a unit [default: 10s]
    #[arg(long, env = "OPENRED_MAX_AGE", value_name = "TIME", hide_env = true)]
    pub(crate) max_age: Option<String>,

    #[command(flatten)]
    pub(crate) node: NodeOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred provide`.
#[derive(Args, Debug)]
pub(crate) struct ProvideOptions {
    /// Name of the service
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Answer every stream with its own bytes [default: off; one stream at a time is joined to standard input and
    /// output]
    #[arg(long, env = "OPENRED_ECHO", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) echo: bool,

    /// Kind of the service, for search [default: none]
    #[arg(long = "type", id = "type", env = "OPENRED_TYPE", value_name = "TYPE", hide_env = true)]
    pub(crate) kind: Option<String>,

    /// Something to say about the service, may be repeated; 1 KiB together [default: none]
    #[arg(long, env = "OPENRED_METADATA", value_name = "KEY=VALUE", hide_env = true)]
    pub(crate) metadata: Vec<String>,

    /// How long the offer stands without being renewed: seconds, or with a unit (90s, 1h), 1m to 48h [default: 1h]
    #[arg(long, env = "OPENRED_TTL", value_name = "TIME", hide_env = true)]
    pub(crate) ttl: Option<String>,

    /// Region of the service [default: none]
    #[arg(long, env = "OPENRED_REGION", value_name = "NAME", hide_env = true)]
    pub(crate) region: Option<String>,

    /// Cluster the service belongs to, may be repeated [default: none]
    #[arg(long, env = "OPENRED_CLUSTER", value_name = "TOPIC", hide_env = true)]
    pub(crate) cluster: Vec<String>,

    #[command(flatten)]
    pub(crate) node: NodeOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred open`.
#[derive(Args, Debug)]
pub(crate) struct OpenOptions {
    /// Name of the service, or NAME@PEER for one provider of it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) node: NodeOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred peers`.
#[derive(Args, Debug)]
pub(crate) struct PeersOptions {
    #[command(flatten)]
    pub(crate) node: NodeOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred id`.
#[derive(Args, Debug)]
pub(crate) struct IdOptions {
    /// Data directory of a relay whose peer id is asked for [default: the one `openred relay` uses]
    #[arg(long, env = "OPENRED_DATA", value_name = "DIR", hide_env = true)]
    pub(crate) data: Option<String>,

    /// Identity file whose peer id is asked for, before --data [default: none]
    #[arg(long, env = "OPENRED_IDENTITY", value_name = "FILE", hide_env = true)]
    pub(crate) identity: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}
