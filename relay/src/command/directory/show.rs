//! `openred directory show`: one node, or who offers a service.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::output::{print_json, print_line, printable, readable},
    ago,
    client::{Directory, escaped},
    list, pairs, text,
};
use crate::{
    clock,
    config::directory::{ShowConfig, Shown},
    failure::Failure,
};

/// Prints it. What is not there is a failure with an exit code of its own.
pub(crate) async fn run(config: ShowConfig) -> Result<(), Failure> {
    let mut directory = Directory::new(&config.ask, config.token.as_ref());
    match &config.target {
        Shown::Node(peer) => {
            let admin = if config.token.is_some() { "/admin" } else { "" };
            let answer = directory.get(&format!("/v1{admin}/nodes/{peer}")).await?;
            if config.json {
                print_json(&answer);
            } else if config.token.is_some() {
                node(&answer["node"]);
                line("withheld", &text(&answer, "isWithheld"));
                line("banned until", &text(&answer, "bannedUntil"));
            } else {
                node(&answer);
            }
        }
        Shown::Service(target) => {
            let mut answer = directory.get(&format!("/v1/services/{}", escaped(&target.to_string()))).await?;
            let Value::Array(services) = answer["services"].take() else { return Ok(()) };
            if services.is_empty() {
                return Err(Failure::NothingFound(format!("the directory knows nobody who offers `{target}`")));
            }
            if config.json {
                services.iter().for_each(print_json);
            } else {
                list::services(&services);
            }
        }
    }
    Ok(())
}

/// A node, a line for each thing that is known.
fn node(node: &Value) {
    let Some(until) = node["stateUntil"].as_u64() else { return };
    let left = readable(Duration::from_millis(until.saturating_sub(clock::millis())));
    line("node", &text(node, "peerId"));
    line("state", &format!("{} for {}, {left} left", text(node, "state"), ago(node, "stateSince")));
    line("heard", &format!("{} ago", ago(node, "heardAt")));
    line("registered", &format!("{} ago", ago(node, "registeredAt")));
    line("services", &text(node, "services"));
    line("region", &text(node, "region"));
    line("metadata", &pairs(&node["metadata"]));
    for address in node["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line("address", address);
    }
    line("signed", if node["record"].is_string() { "yes" } else { "no" });
}

fn line(name: &str, value: &str) {
    if !value.is_empty() {
        print_line(&format!("{name:13} {}", printable(value)));
    }
}
