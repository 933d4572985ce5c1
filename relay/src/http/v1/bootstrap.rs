//! `/v1/bootstrap`: relays to join through, by region.
//!
//! Listed are this relay, the relays it is connected to, and registered nodes that say in their metadata that they are relays
//! (`role` = `relay`) and have addresses that lead to them without another relay. A list says where to ask; whether a relay is
//! one shows when it answers.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use openred_core::{address::is_relayed, lifecycle::State as LifeState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Query;
use crate::{
    directory::store::NodeQuery,
    http::{Shared, bootstrap::OtherRelay, conditional, problem::Problem},
};

const FEW_MINUTES: &str = "public, max-age=300";

/// Registered nodes that are looked at, and relays of one region that are listed.
const LOOKED_AT: usize = 1000;
const LISTED: usize = 32;

/// The region of relays that did not say one; `--bootstrap-list` reads it as everywhere.
const EVERYWHERE: &str = "*";

/// Which region.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegionQuery {
    /// Only this region and relays for everywhere.
    #[param(example = "eu")]
    region: Option<String>,
}

/// Relays by region.
#[derive(Serialize, ToSchema)]
pub(crate) struct Regions {
    /// The relays of each region; `*` for those that serve everywhere or did not say.
    regions: BTreeMap<String, Vec<OtherRelay>>,
}

/// Relays to join through, by region.
#[utoipa::path(get, path = "/v1/bootstrap", tag = "relay", operation_id = "bootstrapRegions", params(RegionQuery),
    responses((status = 200, description = "The relays", body = Regions),
        (status = 304, description = "The list that the client has is the current one")))]
pub(crate) async fn regions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<RegionQuery>,
) -> Result<Response, Problem> {
    let regions = relays(&shared, query.region.as_deref()).await?;
    Ok(conditional::json(&headers, FEW_MINUTES, &Regions { regions }))
}

/// The same as text, one relay a line with its region in front, as `openred relay --bootstrap-list` reads it.
#[utoipa::path(get, path = "/v1/bootstrap.txt", tag = "relay", operation_id = "bootstrapList", params(RegionQuery),
    responses((status = 200, description = "The list", content_type = "text/plain", body = String),
        (status = 304, description = "The list that the client has is the current one")))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<RegionQuery>,
) -> Result<Response, Problem> {
    let mut text = String::new();
    for (region, relays) in relays(&shared, query.region.as_deref()).await? {
        for address in relays.iter().filter_map(|relay| relay.addresses.first()) {
            writeln!(text, "{region} {address}").expect("writing to a string succeeds");
        }
    }
    Ok(conditional::bytes(&headers, FEW_MINUTES, "text/plain; charset=utf-8", text.into_bytes()))
}

async fn relays(shared: &Shared, wanted: Option<&str>) -> Result<BTreeMap<String, Vec<OtherRelay>>, Problem> {
    let introduction = shared.peering.introduce();
    let own = OtherRelay { peer_id: shared.about.peer_id.clone(), addresses: introduction.addresses };
    let mut known = vec![(shared.about.region.clone(), own)];
    let question = NodeQuery { states: vec![LifeState::Active], ..NodeQuery::default() };
    let page = shared.directory.registry.nodes(question, None, LOOKED_AT).await?;
    known.extend(page.items.iter().filter(|node| !node.withheld).filter_map(|node| {
        let is_relay = node.info.metadata.get("role").is_some_and(|role| role == "relay");
        let direct = node.info.addresses.iter().filter(|address| !is_relayed(address));
        let addresses = direct.filter_map(|address| address.clone().with_p2p(node.info.peer).ok());
        let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
        let relay = OtherRelay { peer_id: node.info.peer.to_string(), addresses };
        (is_relay && !relay.addresses.is_empty()).then(|| (node.info.region.to_string(), relay))
    }));
    known.extend(introduction.peers.into_iter().map(|relay| (String::new(), relay)));

    let mut regions: BTreeMap<String, Vec<OtherRelay>> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for (region, relay) in known {
        let region = if is_region(&region) { region } else { EVERYWHERE.to_owned() };
        let is_wanted = wanted.is_none_or(|wanted| wanted == region || region == EVERYWHERE);
        let relays = regions.entry(region).or_default();
        if is_wanted && !relay.addresses.is_empty() && relays.len() < LISTED && seen.insert(relay.peer_id.clone()) {
            relays.push(relay);
        }
    }
    regions.retain(|_, relays| !relays.is_empty());
    Ok(regions)
}

/// Whether a node's own words are a region's name; others would break the list's lines.
fn is_region(text: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(right) && text != "global"
}
