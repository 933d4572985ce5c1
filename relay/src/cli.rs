//! The command line: what may be written, as clap reads it.
//!
//! Values arrive here as text only. [`crate::config`] turns them into types, so that a flag, an environment variable and
//! a line of the configuration file are parsed and refused by the same code.

pub(crate) mod directory_options;
pub(crate) mod node_options;
pub(crate) mod relay_options;

use clap::{Args, Parser, Subcommand, builder::FalseyValueParser};

pub(crate) use self::{
    directory_options::{DirectoryCommand, DirectoryOptions, SnapshotCommand},
    node_options::{FindOptions, IdOptions, NodeOptions, OpenOptions, PeersOptions, ProvideOptions},
    relay_options::RelayOptions,
};

/// What stands below the list of commands. Each paragraph is one line, which is broken where the terminal ends.
const AFTER_HELP: &str = "\
Every option has an environment variable, OPENRED_ and its name in upper case (OPENRED_HTTP for --http); options that \
may be repeated take a comma-separated list there. An empty variable counts as unset. OPENRED_LOG chooses what is \
logged to standard error, for example OPENRED_LOG=debug or OPENRED_LOG=openred=debug,warn.

Exit codes: 0 done or found, 1 nothing found or a failure while running, 2 a wrong option or value, 3 no network.";

/// What stands below the options of a relay.
const RELAY_PORTS: &str = "\
Ports that a relay opens unless told otherwise: TCP 8080 for the page, the API and WebSocket peers (--http); beside it, on \
the same address, UDP 8080 for QUIC and UDP 8081 for WebRTC-direct (--listen), and UDP 3478 for STUN (--stun); TCP 9464 \
for metrics (--metrics). All of them on 127.0.0.1 until --http says where else.";

/// OpenRed: find a service by its name on any page or machine, and talk to it.
#[derive(Debug, Parser)]
#[command(name = "openred", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of the binary.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a relay: the page, a first contact, circuits between browsers, and a part of the directory.
    #[command(after_help = RELAY_PORTS)]
    Relay(Box<RelayOptions>),
    /// Find who offers a service.
    Find(FindOptions),
    /// Offer a service until stopped.
    Provide(ProvideOptions),
    /// Open a stream to a service and join it to standard input and output.
    Open(OpenOptions),
    /// Show whom a node that joins here is connected to.
    Peers(PeersOptions),
    /// Read a relay's directory, and copy its database.
    Directory(DirectoryOptions),
    /// Print the peer id of an identity.
    Id(IdOptions),
}

impl Command {
    /// The word by which the command is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Relay(_) => "relay",
            Self::Find(_) => "find",
            Self::Provide(_) => "provide",
            Self::Open(_) => "open",
            Self::Peers(_) => "peers",
            Self::Directory(_) => "directory",
            Self::Id(_) => "id",
        }
    }
}

/// How results are printed.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutputOptions {
    /// Print one JSON object per line, with the field names of the npm package [default: a table for people]
    #[arg(long, env = "OPENRED_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::relay::{HTTP as RELAY_HTTP, METRICS as RELAY_METRICS};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_is_broken_where_the_terminal_ends() {
        let help = Cli::command().term_width(80).render_help().to_string();
        let below = help.split_once("Every option").unwrap().1;
        let short = below.split("\n\n").flat_map(|paragraph| paragraph.lines().rev().skip(1));
        // A line that is not the last of its paragraph is broken because the next word does not fit.
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert!(short.clone().count() >= 4 && short.clone().all(|line| line.chars().count() > 50), "{help}");
    }

    #[test]
    fn a_relays_help_names_the_ports_that_it_opens() {
        let mut relay = Cli::command().find_subcommand("relay").unwrap().clone();
        let help = relay.render_help().to_string();
        let ports = [RELAY_HTTP.port(), RELAY_HTTP.port() + 1, RELAY_METRICS.port(), 3478];
        assert!(ports.iter().all(|port| help.contains(&port.to_string())), "{help}");
    }

    #[test]
    fn every_option_has_an_environment_variable_and_a_line_of_help() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let Some(long) = argument.get_long().filter(|long| !["help", "version"].contains(long)) else {
                    continue;
                };
                let variable = format!("OPENRED_{}", long.replace('-', "_").to_uppercase());
                let context = format!("--{long} of {}", command.get_name());
                assert_eq!(
                    argument.get_env().map(|name| name.to_string_lossy().into_owned()),
                    Some(variable),
                    "{context}"
                );
                assert!(argument.get_help().is_some_and(|help| help.to_string().contains("[default: ")), "{context}");
            }
        }
    }
}
