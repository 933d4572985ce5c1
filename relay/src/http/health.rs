//! `/healthz` and `/readyz`: for supervisors and load balancers.
//!
//! Alive means that the process answers. Ready means that the listeners are bound and the directory's database can be reached,
//! whatever the other relays do: a relay that is alone is still a first contact. A relay whose database is away goes on with
//! what is in its memory, and says what is wrong.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;

/// Where the relay stands between start and end.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Phase {
    /// The listeners are bound.
    pub(crate) fn set_ready(&self) {
        self.0.store(READY, Ordering::Release);
    }

    /// The relay is about to end.
    pub(crate) fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// Whether new work is welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    fn name(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            STARTING => "starting",
            READY => "ready",
            _ => "draining",
        }
    }
}

/// How the process is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive`, or `starting`, `ready`, `no-database` or `draining`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// What a relay lacks without its database.
const NO_DATABASE: &str = "the directory cannot reach its database: nodes and services that are in memory are found, and new ones \
                           are refused; the network goes on";

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "relay", operation_id = "alive",
    responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn alive() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(Health { status: "alive", reason: None }))
}

/// Whether the listeners are bound and the directory's database can be reached.
#[utoipa::path(get, path = "/readyz", tag = "relay", operation_id = "ready",
    responses((status = 200, description = "They are", body = Health),
        (status = 503, description = "Not yet, or not any more, or the database is away", body = Health)))]
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (status, health) = match shared.phase.name() {
        "ready" if shared.directory.registry.is_store_away() => {
            (StatusCode::SERVICE_UNAVAILABLE, Health { status: "no-database", reason: Some(NO_DATABASE) })
        }
        status @ "ready" => (StatusCode::OK, Health { status, reason: None }),
        status => (StatusCode::SERVICE_UNAVAILABLE, Health { status, reason: None }),
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(health))
}
