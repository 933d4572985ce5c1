//! `GET /v1/bundles/<name>`: the directory as the last layer of a find.
//!
//! It answers from who is registered and present, and from what the node behind it knows at this moment (its own offers, what
//! it holds for others, what it remembers), and asks nobody, so an answer costs a look into memory. The body is a bundle in
//! its wire form, each record of it signed: a directory can leave a provider out and can invent none. Of a name that nobody
//! offers the bundle is empty, and so is the body.
//!
//! Bounds: the target is as long as a name and a peer id at most, the answer as long as a bundle.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use openred_core::{
    Now,
    bundle::{Bundle, MAX_RECORDS},
    dht::key::Key,
    name::{NetworkName, ServiceTarget},
    record::SignedRecord,
    wire,
};

use super::{Shared, problem::Problem};
use crate::clock;

/// The signed records of a service name that this relay knows, without asking anybody.
#[utoipa::path(get, path = "/v1/bundles/{target}", tag = "services", operation_id = "bundle",
    params(("target" = String, Path, description = "The name, or the name, @ and a provider's peer id", example = "chess")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>,
        description = "The bundle in its wire form (proto/bundle.proto of openred-core); empty if nobody is known")))]
pub(crate) async fn bundle(
    State(shared): State<Arc<Shared>>,
    target: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let wrong = |reason: String| Problem::new(StatusCode::BAD_REQUEST, reason);
    let Path(text) = target.map_err(|_| wrong("the name is not UTF-8 in percent-encoding".to_owned()))?;
    let target: ServiceTarget = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let bundle = known(&shared, &target);
    // Who keeps answers decides itself for how long: a node does, by what it knows of the network.
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")], bundle).into_response())
}

/// Who is registered and what the node behind this relay knows, as one bundle.
fn known(shared: &Shared, target: &ServiceTarget) -> Vec<u8> {
    let held = shared.peering.bundle(target).unwrap_or_default();
    let registered = shared.directory.registry.lookup(&target.name, target.provider.as_ref(), MAX_RECORDS);
    let Ok(network) = shared.about.network.parse::<NetworkName>() else { return held };
    if registered.is_empty() {
        return held;
    }
    let mut bundle = Bundle::new(match &target.provider {
        Some(provider) => Key::service_of(&network, &target.name, provider),
        None => Key::service(&network, &target.name),
    });
    let now = Now { elapsed: Duration::ZERO, unix_ms: clock::millis() };
    // The node verified what it holds.
    let held = wire::bundle::decode(&held).unwrap_or_default();
    let held = held.into_iter().filter_map(|envelope| SignedRecord::restore(envelope.to_vec()).ok());
    for record in held.chain(registered.into_iter().map(|view| view.record)) {
        // Only its time may be over, and then nobody wants it.
        let _ = bundle.merge(record, now);
    }
    bundle.encode(now)
}
