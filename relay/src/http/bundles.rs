//! `GET /v1/bundles/<name>`: the directory as the last layer of a find.
//!
//! It answers from what the node behind it knows at this moment (its own offers, what it holds for others, what it
//! remembers) and asks nobody, so an answer costs a look into memory. The body is a bundle in its wire form, each record of
//! it signed: a directory can leave a provider out and can invent none. Of a name that nobody offers the bundle is empty, and
//! so is the body.
//!
//! Bounds: the target is as long as a name and a peer id at most, the answer as long as a bundle.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use openred_core::name::ServiceTarget;

use super::{Shared, problem::Problem};

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
    let bundle = shared.peering.bundle(&target).unwrap_or_default();
    // Who keeps answers decides itself for how long: a node does, by what it knows of the network.
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")], bundle).into_response())
}
