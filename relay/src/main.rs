//! `openred`: the relay, and short-lived nodes for the command line.
//!
//! `openred relay` is the network's fixed point: first contact, circuit relay, DHT server, and the server of the page.
//! The other commands join as a node of the moment, do one thing and leave. Logs and messages go to standard error;
//! standard output carries results alone.

mod assets;
mod cli;
mod command;
mod config;
mod data_dir;
mod failure;
mod http;
mod metrics;
mod relay;
mod signals;
mod stun;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command},
    config::{
        ConfigError,
        relay::RelayConfig,
        short::{FindConfig, IdConfig, OpenConfig, PeersConfig, ProvideConfig},
    },
    failure::Failure,
};

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
    let own = matches.subcommand().map_or(&matches, |(_, own)| own);
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
    start_log(matches!(command, Command::Relay(_)))?;
    // WebRTC and TLS both look for the process-wide provider and panic without one. Only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Relay(options) => {
            let config = RelayConfig::new(options, matches)?;
            block_on(relay::run(config))
        }
        Command::Find(options) => block_on(command::find::run(FindConfig::new(options, matches)?)),
        Command::Provide(options) => block_on(command::provide::run(ProvideConfig::new(options, matches)?)),
        Command::Open(options) => block_on(command::open::run(OpenConfig::new(options, matches)?)),
        Command::Peers(options) => block_on(command::peers::run(PeersConfig::new(options, matches)?)),
        Command::Id(options) => command::id::run(&IdConfig::new(options, matches)?),
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

fn start_log(is_relay: bool) -> Result<(), Failure> {
    let given = std::env::var("OPENRED_LOG").unwrap_or_default();
    let text = match given.trim() {
        "" if is_relay => RELAY_LOG,
        "" => COMMAND_LOG,
        given => given,
    };
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::Usage(format!(
            "OPENRED_LOG: `{text}` cannot be used: {error}; give a level such as debug, or targets such as openred=debug,warn"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}
