//! `openred`: the relay, and short-lived nodes for the command line.
//!
//! `openred relay` is the network's fixed point: first contact, circuit relay, DHT server, and the server of the page.
//! The other commands join as a node of the moment, do one thing and leave. Logs and messages go to standard error;
//! standard output carries results alone.

mod assets;
mod cli;
mod clock;
mod command;
mod config;
mod data_dir;
mod directory;
mod failure;
mod http;
mod metrics;
mod otlp;
mod outgoing;
mod relay;
mod signals;
mod stun;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command, DirectoryCommand, SnapshotCommand},
    config::{
        ConfigError,
        directory::{ExportConfig, HeartbeatConfig, ListConfig, RegisterConfig, ShowConfig, SnapshotConfig},
        relay::{LogFormat, RelayConfig},
        short::{FindConfig, IdConfig, OpenConfig, PeersConfig, ProvideConfig},
    },
    failure::Failure,
};

/// A request of the directory is some hundred short-lived pieces of memory. With glibc's allocator it takes a seventh more of the
/// processor's time (`cargo xtask bench directory-load`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What a relay logs when OPENRED_LOG is unset: what an operator wants to know, and only trouble from the libraries.
const RELAY_LOG: &str = "warn,openred=info,openred_node=info,openred_core=info";

/// What the other commands log when OPENRED_LOG is unset: their own messages say the rest.
const COMMAND_LOG: &str = "error";

/// How long background work may take to stop once everything is done.
const WIND_DOWN: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let name = cli.command.name();
    let mut own = &matches;
    while let Some((_, inner)) = own.subcommand() {
        own = inner;
    }
    match run(&cli.command, own) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            if matches!(failure, Failure::Usage(_)) {
                eprintln!("\nFor more, see `openred {name} --help`.");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: &Command, matches: &ArgMatches) -> Result<(), Failure> {
    // WebRTC and TLS both look for the process-wide provider and panic without one. Only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let relay = match command {
        Command::Relay(options) => Some(RelayConfig::new(options, matches)?),
        _ => None,
    };
    match &relay {
        Some(config) => start_log(RELAY_LOG, config.log_format)?,
        None => start_log(COMMAND_LOG, LogFormat::Text)?,
    }
    if let Some(config) = relay {
        return block_on(relay::run(config));
    }
    match command {
        Command::Relay(_) => unreachable!("a relay has run by now"),
        Command::Find(options) => block_on(command::find::run(FindConfig::new(options, matches)?)),
        Command::Provide(options) => block_on(command::provide::run(ProvideConfig::new(options, matches)?)),
        Command::Open(options) => block_on(command::open::run(OpenConfig::new(options, matches)?)),
        Command::Peers(options) => block_on(command::peers::run(PeersConfig::new(options, matches)?)),
        Command::Directory(options) => directory_command(&options.command, matches),
        Command::Id(options) => command::id::run(&IdConfig::new(options, matches)?),
    }
}

fn directory_command(command: &DirectoryCommand, matches: &ArgMatches) -> Result<(), Failure> {
    use command::directory::{export, list, register, show, snapshot};
    match command {
        DirectoryCommand::List(options) => block_on(list::run(ListConfig::new(options, matches)?)),
        DirectoryCommand::Show(options) => block_on(show::run(ShowConfig::new(options, matches)?)),
        DirectoryCommand::Export(options) => block_on(export::run(ExportConfig::new(options, matches)?)),
        DirectoryCommand::Register(options) => block_on(register::run(RegisterConfig::new(options, matches)?)),
        DirectoryCommand::Heartbeat(options) => block_on(register::heartbeat(HeartbeatConfig::new(options, matches)?)),
        DirectoryCommand::Snapshot(options) => block_on(snapshot::run(match &options.command {
            SnapshotCommand::Take(options) => SnapshotConfig::take(options, matches)?,
            SnapshotCommand::Restore(options) => SnapshotConfig::restore(options, matches)?,
        })),
    }
}

/// Runs `future` to its end. Reading standard input occupies a thread that nobody can interrupt, so the runtime is not
/// waited for.
fn block_on(future: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the system gives no threads: {error}")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(WIND_DOWN);
    result
}

/// Logs to standard error what OPENRED_LOG says, or `default`.
fn start_log(default: &str, format: LogFormat) -> Result<(), Failure> {
    let given = std::env::var("OPENRED_LOG").unwrap_or_default();
    let text = match given.trim() {
        "" => default,
        given => given,
    };
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::Usage(format!(
            "OPENRED_LOG: `{text}` cannot be used: {error}; give a level such as debug, or targets such as openred=debug,warn"
        ))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).with_ansi(false).init(),
    }
    Ok(())
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}
