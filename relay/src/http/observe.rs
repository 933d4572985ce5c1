//! Counts, times and names every request, and writes it to the log.
//!
//! A route is named by its pattern, never by the client's path, so that the number of series is fixed and nothing a client
//! writes gets into the log. Each request has an id, which stands in the response as `x-request-id` and in every line that is
//! logged on its behalf. The log of requests has the target `openred::request` and the level debug, failures of ours warn.

use std::{fmt, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::{Shared, gateway::Client};
use crate::otlp::span::Begun;

/// Put into a response by a fallback handler, which has no route pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteLabel(pub(crate) &'static str);

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The header that carries the id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What requests for unknown paths are counted under.
const UNKNOWN: &str = "unknown";

/// The middleware around the whole router.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId(rand::random());
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());
    let traced = shared.traces.as_ref().and_then(|traces| Some((traces, Begun::new(request.headers())?)));
    request.extensions_mut().insert(id);
    let span = tracing::info_span!("request", %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let text = id.to_string();
    response.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(&text).expect("hexadecimal is a header value"));
    let status = response.status().as_u16();
    let label = response.extensions().get::<RouteLabel>().map(|label| label.0);
    let route = label.or(pattern.as_ref().map(MatchedPath::as_str)).unwrap_or(UNKNOWN);
    let elapsed = started.elapsed();
    match method {
        "GET" | "HEAD" => shared.metrics.request(route, status, elapsed),
        _ if route == UNKNOWN => shared.metrics.request(route, status, elapsed),
        _ => shared.metrics.request(&format!("{method} {route}"), status, elapsed),
    }
    if let Some((traces, begun)) = traced {
        traces.export(begun.end(method, route, status, &text));
    }
    let client = response.extensions().get::<Client>().map(|Client(ip)| tracing::field::display(*ip));
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    if status >= 500 && status != 503 {
        tracing::warn!(target: "openred::request", parent: &span, method, route, status, micros, client, "failed");
    } else {
        tracing::debug!(target: "openred::request", parent: &span, method, route, status, micros, client, "answered");
    }
    response
}

/// The method as one of a fixed number of words.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "OTHER",
    }
}
