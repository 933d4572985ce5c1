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

/// What stands below the list of commands.
const AFTER_HELP: &str = "\
Every option has an environment variable, OPENRED_ and its name in upper case (OPENRED_HTTP for --http); options that
may be repeated take a comma-separated list there. An empty variable counts as unset. OPENRED_LOG chooses what is
logged to standard error, for example OPENRED_LOG=debug or OPENRED_LOG=openred=debug,warn.

Exit codes: 0 done or found, 1 nothing found or a failure while running, 2 a wrong option or value, 3 no network.";

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

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
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
