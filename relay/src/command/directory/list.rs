//! `openred directory list`: nodes or services, in tables or as the API tells them.

use serde_json::Value;

use super::{
    super::output::{Table, counted, print_json},
    about, ago,
    client::{Directory, escaped},
    first_of, text,
};
use crate::{config::directory::ListConfig, failure::Failure};

/// Prints what is listed. Nothing at all is a failure with an exit code of its own.
pub(crate) async fn run(config: ListConfig) -> Result<(), Failure> {
    let kind = if config.services { "services" } else { "nodes" };
    let query: Vec<_> = config.filters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let path = format!("/v1/{kind}?{}", query.join("&"));
    let mut directory = Directory::new(&config.ask, None);
    let mut found = Vec::new();
    let listing = directory.pages(path.trim_end_matches('?'), kind, config.limit, |item| {
        if config.json {
            print_json(&item);
        } else {
            found.push(item);
        }
        Ok(())
    });
    let (count, has_more) = listing.await?;
    if count == 0 {
        return Err(Failure::NothingFound(format!("the directory has no {kind} like that")));
    }
    if !config.json {
        if config.services {
            services(&found)
        } else {
            nodes(&found)
        };
        let more = if has_more { "; there are more, see --limit" } else { "" };
        eprintln!("{}{more}", counted(count, kind.trim_end_matches('s')));
    }
    Ok(())
}

/// A table of nodes.
fn nodes(nodes: &[Value]) {
    let mut table = Table::new(["NODE", "STATE", "SINCE", "HEARD", "SERVICES", "REGION", "REACH"]);
    for node in nodes {
        table.row([
            text(node, "peerId"),
            text(node, "state"),
            ago(node, "stateSince"),
            ago(node, "heardAt"),
            text(node, "services"),
            text(node, "region"),
            first_of(node, "addresses"),
        ]);
    }
    table.print();
}

/// A table of services.
pub(super) fn services(services: &[Value]) {
    let mut table = Table::new(["NAME", "PROVIDER", "LAYER", "STATE", "AGE", "REGION", "REACH", "ABOUT"]);
    for service in services {
        table.row([
            text(service, "name"),
            text(service, "provider"),
            text(service, "layer"),
            text(service, "state"),
            ago(service, "issuedAt"),
            text(service, "region"),
            first_of(service, "endpoints"),
            about(service),
        ]);
    }
    table.print();
}
