//! `/v1/status`: what the directory is doing, for everybody to see.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use openred_core::lifecycle::State as LifeState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{Shared, conditional};

/// What the directory is doing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// The directory's peer id, base58: the issuer of tokens, and the audience of those for itself.
    peer_id: String,
    /// Nodes by the state of their lifecycle.
    #[schema(example = json!({ "active": 12, "coma": 1 }))]
    nodes: BTreeMap<&'static str, usize>,
    /// Services that a lookup names: their providers are thought to be there. A second old at most.
    services: usize,
    /// Why and since when no silent node is judged; missing if nodes are judged as always.
    #[serde(skip_serializing_if = "Option::is_none")]
    brake: Option<Brake>,
    /// How often a heartbeat should come, in milliseconds.
    heartbeat_ms: u64,
    /// The number of the newest change, for `GET /v1/watch?after=`.
    newest_change: u64,
}

/// A time in which nobody is judged.
#[derive(Serialize, ToSchema)]
pub(crate) struct Brake {
    /// `mass-silence` (many nodes went silent at once, so it may be the directory that is deaf) or `absence` (it has just
    /// started).
    #[schema(example = "mass-silence")]
    cause: &'static str,
    /// Since when.
    since: u64,
    /// How many nodes went silent and are not back.
    silent: usize,
}

impl Status {
    pub(super) fn of(shared: &Shared) -> Self {
        let registry = &shared.directory.registry;
        let stats = registry.stats();
        Self {
            peer_id: shared.about.peer_id.clone(),
            nodes: LifeState::ALL
                .iter()
                .map(|state| state.as_str())
                .zip(stats.states)
                .filter(|(_, n)| *n > 0)
                .collect(),
            services: stats.services,
            brake: stats.held.map(|held| Brake { cause: held.cause.as_str(), since: held.since, silent: held.silent }),
            heartbeat_ms: u64::try_from(registry.heartbeat_interval().as_millis()).unwrap_or(u64::MAX),
            newest_change: stats.newest_change,
        }
    }
}

/// What the directory is doing: nodes by state, services, and whether the brake holds.
#[utoipa::path(get, path = "/v1/status", tag = "nodes", operation_id = "status",
    responses((status = 200, description = "The directory", body = Status),
        (status = 304, description = "What the client has is current")))]
pub(crate) async fn status(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    conditional::json(&headers, "no-cache", &Status::of(&shared))
}
