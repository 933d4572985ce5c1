//! The options of `openred directory`. Their meaning and defaults are in [`crate::config::directory`].

use clap::{Args, Subcommand, builder::FalseyValueParser};

use super::OutputOptions;

/// `openred directory`.
#[derive(Args, Debug)]
pub(crate) struct DirectoryOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DirectoryCommand,
}

/// What can be done with a directory.
#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// List the nodes of a relay's directory, or their services.
    List(ListOptions),
    /// Show one node, or who offers a service.
    Show(ShowOptions),
    /// Write everything that a directory tells, one JSON object a line.
    Export(ExportOptions),
    /// Register a node that speaks HTTP only and offer a service of it, or say something new of both.
    Register(RegisterOptions),
    /// Say that a registered node lives.
    Heartbeat(HeartbeatOptions),
    /// Copy a directory's database to a file, or put such a copy in the place of a database.
    Snapshot(SnapshotOptions),
}

/// Which relay is asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AskOptions {
    /// The relay whose directory is asked; of several the first that answers [default: http://127.0.0.1:8080]
    #[arg(long, env = "OPENRED_BOOTSTRAP", value_name = "URL|MULTIADDR|HOST:PORT", hide_env = true)]
    pub(crate) bootstrap: Vec<String>,

    /// How long one answer may take: seconds, or with a unit (500ms, 10s, 2m) [default: 10s]
    #[arg(long, env = "OPENRED_TIMEOUT", value_name = "TIME", hide_env = true)]
    pub(crate) timeout: Option<String>,
}

/// `openred directory list`.
#[derive(Args, Debug)]
pub(crate) struct ListOptions {
    /// List services in the place of nodes [default: off]
    #[arg(long, env = "OPENRED_SERVICES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) services: bool,

    /// Only nodes in this state of their lifecycle, such as active or coma; may be repeated [default: any]
    #[arg(long, env = "OPENRED_STATE", value_name = "STATE", hide_env = true)]
    pub(crate) state: Vec<String>,

    /// Only of this region [default: any]
    #[arg(long, env = "OPENRED_REGION", value_name = "NAME", hide_env = true)]
    pub(crate) region: Option<String>,

    /// Only services in which each of these words begins a word, with --services [default: any]
    #[arg(long, env = "OPENRED_TEXT", value_name = "WORDS", hide_env = true)]
    pub(crate) text: Option<String>,

    /// Only services of this type, with --services [default: any]
    #[arg(long = "type", id = "type", env = "OPENRED_TYPE", value_name = "TYPE", hide_env = true)]
    pub(crate) kind: Option<String>,

    /// Only services in this cluster, with --services [default: any]
    #[arg(long, env = "OPENRED_CLUSTER", value_name = "TOPIC", hide_env = true)]
    pub(crate) cluster: Option<String>,

    /// At most this many, 0 for all [default: 100]
    #[arg(long, env = "OPENRED_LIMIT", value_name = "N", hide_env = true)]
    pub(crate) limit: Option<String>,

    #[command(flatten)]
    pub(crate) ask: AskOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred directory show`.
#[derive(Args, Debug)]
pub(crate) struct ShowOptions {
    /// A peer id, the name of a service, or NAME@PEER
    #[arg(value_name = "NAME-OR-PEER")]
    pub(crate) target: String,

    /// File with the operator's token, which shows withheld and banned nodes too; the variable OPENRED_ADMIN_TOKEN may hold
    /// the token itself [default: none, what everybody sees]
    #[arg(long, env = "OPENRED_ADMIN_TOKEN_FILE", value_name = "FILE", hide_env = true)]
    pub(crate) admin_token_file: Option<String>,

    #[command(flatten)]
    pub(crate) ask: AskOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred directory export`.
#[derive(Args, Debug)]
pub(crate) struct ExportOptions {
    /// Write into this file, in the place of what is there [default: standard output]
    #[arg(long, env = "OPENRED_OUTPUT", value_name = "FILE", hide_env = true)]
    pub(crate) output: Option<String>,

    #[command(flatten)]
    pub(crate) ask: AskOptions,
}

/// `openred directory register`.
#[derive(Args, Debug)]
pub(crate) struct RegisterOptions {
    /// File of the node's identity, which signs what is said of it; made if it does not exist [default: none, it must be given]
    #[arg(long, env = "OPENRED_IDENTITY", value_name = "FILE", hide_env = true)]
    pub(crate) identity: Option<String>,

    /// Name of the service that the node offers [default: none, it must be given]
    #[arg(long, env = "OPENRED_NAME", value_name = "NAME", hide_env = true)]
    pub(crate) name: Option<String>,

    /// Where the service is reached, the most important address first, may be repeated [default: none, one must be given]
    #[arg(long, env = "OPENRED_ADDRESS", value_name = "MULTIADDR", hide_env = true)]
    pub(crate) address: Vec<String>,

    /// Kind of the service, for search [default: none]
    #[arg(long = "type", id = "type", env = "OPENRED_TYPE", value_name = "TYPE", hide_env = true)]
    pub(crate) kind: Option<String>,

    /// Region of the node and its service [default: none]
    #[arg(long, env = "OPENRED_REGION", value_name = "NAME", hide_env = true)]
    pub(crate) region: Option<String>,

    /// Something to say about the service, may be repeated; 1 KiB together [default: none]
    #[arg(long, env = "OPENRED_METADATA", value_name = "KEY=VALUE", hide_env = true)]
    pub(crate) metadata: Vec<String>,

    /// How long the offer stands unless it is registered again: seconds, or with a unit (90s, 1h), 1m to 48h [default: 1h]
    #[arg(long, env = "OPENRED_TTL", value_name = "TIME", hide_env = true)]
    pub(crate) ttl: Option<String>,

    #[command(flatten)]
    pub(crate) ask: AskOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred directory heartbeat`.
#[derive(Args, Debug)]
pub(crate) struct HeartbeatOptions {
    /// File of the identity with which the node was registered [default: none, it must be given]
    #[arg(long, env = "OPENRED_IDENTITY", value_name = "FILE", hide_env = true)]
    pub(crate) identity: Option<String>,

    #[command(flatten)]
    pub(crate) ask: AskOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred directory snapshot`.
#[derive(Args, Debug)]
pub(crate) struct SnapshotOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SnapshotCommand,
}

/// What can be done with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Copy a directory's database to a file; its relay may run meanwhile.
    Take(TakeOptions),
    /// Put a copy in the place of a directory's database; no relay may run on it.
    Restore(RestoreOptions),
}

/// Where a directory is kept.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlaceOptions {
    /// Data directory of the relay [default: the one `openred relay` uses]
    #[arg(long, env = "OPENRED_DATA", value_name = "DIR", hide_env = true)]
    pub(crate) data: Option<String>,

    /// Database of the directory: `sqlite` in --data, or `postgres://USER:PASSWORD@HOST/NAME` [default: sqlite]
    #[arg(long, env = "OPENRED_DATABASE", value_name = "URL", hide_env = true)]
    pub(crate) database: Option<String>,
}

/// `openred directory snapshot take`.
#[derive(Args, Debug)]
pub(crate) struct TakeOptions {
    /// The file to write, in the place of what is there
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    #[command(flatten)]
    pub(crate) place: PlaceOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// `openred directory snapshot restore`.
#[derive(Args, Debug)]
pub(crate) struct RestoreOptions {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    /// Also where the database is not empty: what is in it is lost [default: off]
    #[arg(long, env = "OPENRED_REPLACE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) replace: bool,

    #[command(flatten)]
    pub(crate) place: PlaceOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}
