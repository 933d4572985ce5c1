//! Counts and times every request. A route is named by its pattern, never by the client's path, so that the number of
//! series is fixed.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::Shared;

/// Put into a response by a fallback handler, which has no route pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteLabel(pub(crate) &'static str);

/// What requests for unknown paths are counted under.
const UNKNOWN: &str = "unknown";

/// The middleware around the whole router.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let label = response.extensions().get::<RouteLabel>().map(|label| label.0);
    let route = label.or(pattern.as_ref().map(MatchedPath::as_str)).unwrap_or(UNKNOWN);
    let elapsed = started.elapsed();
    shared.metrics.request(route, status, elapsed);
    tracing::debug!(%method, route, status, ?elapsed, "answered");
    response
}
