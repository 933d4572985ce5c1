use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::cli::{Cli, Command};

/// The configuration that a command line gives, with a file if there is one. The environment is not read: process tests
/// cover it.
fn config(arguments: &[&str], file: Option<&str>) -> Result<RelayConfig, String> {
    let command =
        Cli::command().mut_subcommand("relay", |relay| relay.mut_args(|argument| argument.env(None::<&'static str>)));
    let matches =
        command.try_get_matches_from(["openred", "relay"].iter().chain(arguments)).map_err(|e| e.to_string())?;
    let Command::Relay(options) = Cli::from_arg_matches(&matches).unwrap().command else { panic!("not `relay`") };
    let matches = matches.subcommand_matches("relay").unwrap();
    let sources = match file {
        Some(text) => {
            let file = ConfigFile::parse(Path::new("relay.toml"), text).map_err(|error| error.to_string())?;
            Sources::with_file(matches, file)
        }
        None => Sources::new(matches),
    };
    RelayConfig::from_sources(&options, &sources).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_those_of_the_help() {
    let config = config(&["--data", "d"], None).unwrap();
    assert_eq!(config.http.to_string(), "127.0.0.1:8080");
    assert_eq!(config.metrics.to_string(), "127.0.0.1:9464");
    assert_eq!(config.network.to_string(), "main");
    assert_eq!(config.region, "global");
    assert_eq!(config.max_bandwidth, None);
    assert!(config.listen.is_none() && config.announce.is_empty() && config.bootstrap.is_empty());
    let limits = openred_node::RelayLimits::default();
    let help = Cli::command().find_subcommand_mut("relay").unwrap().render_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for default in [
        format!("[default: {}]", config.http),
        format!("[default: {}]", config.metrics),
        format!("[default: {}]", config.region),
        format!("[default: {}]", limits.max_reservations),
        format!("[default: {},", limits.circuit_bytes),
        format!("[default: {},", limits.circuit_duration.as_secs()),
    ] {
        assert!(help.contains(&default), "{default} is not in the help");
    }
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "http = '127.0.0.1:1'\nregion = 'eu'\nbootstrap = ['127.0.0.1:2', '127.0.0.1:3']\ndata = 'd'";
    let config = config(&["--http", "127.0.0.1:4", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"], Some(file)).unwrap();
    assert_eq!(config.http.port(), 4);
    assert_eq!(config.region, "eu");
    assert_eq!(config.bootstrap.len(), 2);
    assert_eq!(config.listen.unwrap().len(), 1);
    assert_eq!(config.metrics, METRICS);
}

#[test]
fn lists_are_repeated_or_separated_by_commas() {
    let proxies = ["--trusted-proxy", "10.0.0.0/8, 127.0.0.1", "--trusted-proxy", "fd00::/8", "--data", "d"];
    assert_eq!(config(&proxies, None).unwrap().trusted_proxies.len(), 3);
}

#[test]
fn a_wrong_value_names_the_option_the_value_and_what_would_be_right() {
    for (option, wrong, right) in [
        ("--http", "8080", "127.0.0.1:8080"),
        ("--metrics", "localhost", "127.0.0.1:8080"),
        ("--listen", "/dns4/example.org/tcp/1", "/ip4/0.0.0.0/udp/8080/quic-v1"),
        ("--listen", "nonsense", "/ip4/0.0.0.0/udp/8080/quic-v1"),
        ("--stun", "on", "0.0.0.0:3478"),
        ("--stun", "3478", "`off`"),
        ("--announce", "example.org:443", "https://relay.example.org"),
        ("--bootstrap", "http://", ""),
        ("--network", "Main!", ""),
        ("--region", "Europe", "us-east"),
        ("--max-reservations", "0", "at least 1"),
        ("--circuit-bytes", "16MB", "whole number"),
        ("--circuit-seconds", "1h", "whole number"),
        ("--max-bandwidth", "fast", "whole number"),
        ("--trusted-proxy", "10.0.0.0/99", "10.0.0.0/8"),
    ] {
        let message = config(&[option, wrong, "--data", "d"], None).unwrap_err();
        assert!(message.contains(option) && message.contains(wrong) && message.contains(right), "{message}");
    }
}

#[test]
fn a_wrong_value_of_the_file_names_the_file() {
    let message = config(&["--data", "d"], Some("http = 8080")).unwrap_err();
    assert!(message.contains("--http: `8080`") && message.contains("(from relay.toml)"), "{message}");
}

#[test]
fn stun_stands_beside_http_or_where_it_is_told_or_nowhere() {
    let stun = |arguments: &[&str]| config(&[&["--data", "d"], arguments].concat(), None).unwrap().stun;
    assert_eq!(stun(&[]), Stun::Beside);
    assert_eq!(stun(&["--stun", "off"]), Stun::Off);
    assert_eq!(stun(&["--stun", "[::]:3478"]), Stun::At("[::]:3478".parse().unwrap()));
    assert_eq!(config(&[], Some("data = 'd'\nstun = 'off'")).unwrap().stun, Stun::Off);
}

#[test]
fn no_limit_is_zero() {
    let config = config(&["--data", "d", "--max-bandwidth", "0", "--circuit-bytes", "0"], None).unwrap();
    assert_eq!((config.max_bandwidth, config.circuit_bytes), (None, Some(0)));
}
