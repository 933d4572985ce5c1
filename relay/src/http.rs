//! What a relay answers on its one TCP port: the page, the npm package's files, the API, and WebSocket peers.
//!
//! [`app`] makes the router from a [`Shared`]; it opens no socket, so tests call it as a function. The network is seen
//! through [`Peering`] alone. A request of any method for a path nobody knows, and every failure, is answered by a
//! problem document (RFC 9457). Request bodies are taken by [`v1`] alone, behind its [`gateway`].
//!
//! A WebSocket upgrade is peer-to-peer traffic on every path that is not a route, so that a reverse proxy may put the
//! relay below any path.

pub(crate) mod admin_token;
pub(crate) mod audit;
pub(crate) mod bootstrap;
pub(crate) mod bundles;
pub(crate) mod client_address;
pub(crate) mod conditional;
pub(crate) mod docs;
pub(crate) mod figures;
pub(crate) mod gateway;
pub(crate) mod health;
pub(crate) mod hosts;
pub(crate) mod identify;
pub(crate) mod observe;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod routing;
pub(crate) mod server;
pub(crate) mod v1;
pub(crate) mod websocket;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use ipnet::IpNet;
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::{name::ServiceTarget, record::Record};
use tower::util::MapResponseLayer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    bootstrap::{About, Introduction},
    gateway::Gateway,
    health::Phase,
    problem::Problem,
    routing::names::Names,
    v1::Directory,
    websocket::PeerSocket,
};
use crate::{assets::Asset, metrics::Metrics, otlp::Exporter};

/// The network as the HTTP side sees it.
pub(crate) trait Peering: Send + Sync + 'static {
    /// Where this relay can be reached, and which other relays it knows.
    fn introduce(&self) -> Introduction;

    /// What is known of a service without asking anybody, in its wire form.
    fn bundle(&self, target: &ServiceTarget) -> Option<Vec<u8>>;

    /// The providers that this node holds under a provider key of the DHT, without asking anybody.
    fn providers(&self, key: &[u8]) -> Vec<(PeerId, Vec<Multiaddr>)>;

    /// Where a peer can be reached, as far as this node knows without asking anybody.
    fn addresses_of(&self, peer: &PeerId) -> Vec<Multiaddr>;

    /// Looks for a service in the network for at most `limit`.
    fn find(&self, target: ServiceTarget, limit: Duration) -> BoxFuture<'static, Vec<Record>>;

    /// Takes over an upgraded connection; one that cannot be taken is dropped, which closes it.
    fn accept(&self, socket: PeerSocket, remote: Multiaddr);
}

/// What every handler shares.
pub(crate) struct Shared {
    /// What does not change while the relay runs.
    pub(crate) about: About,
    /// Starting, ready or draining.
    pub(crate) phase: Phase,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The network.
    pub(crate) peering: Arc<dyn Peering>,
    /// Who is let through to the API.
    pub(crate) gateway: Arc<Gateway>,
    /// The directory.
    pub(crate) directory: Directory,
    /// The names behind CIDs.
    pub(crate) names: Names,
    /// Takes a span of each request, if traces are wanted.
    pub(crate) traces: Option<Exporter>,
    /// Proxies whose word about the client's address is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The page.
    pub(crate) site: &'static [Asset],
    /// The npm package.
    pub(crate) npm: &'static [Asset],
}

/// For answers that are not the page: no script, no frame, nothing to load.
const STRICT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The relay's HTTP service.
pub(crate) fn app(shared: Arc<Shared>) -> Router {
    let any_origin = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::HEAD]).allow_headers(Any);
    let open = OpenApiRouter::new()
        .routes(routes!(bootstrap::document))
        .routes(routes!(bundles::bundle))
        .routes(routes!(page::npm_index))
        .route("/npm/{*path}", get(page::npm_file));
    let open = refusing_other_methods(open).layer(any_origin);
    let own =
        OpenApiRouter::new().routes(routes!(page::root)).routes(routes!(health::alive)).routes(routes!(health::ready));
    let (router, document) = OpenApiRouter::with_openapi(openapi::base())
        .merge(own)
        .merge(open)
        .merge(v1::routes(&shared))
        .split_for_parts();
    router
        .merge(docs::routes(openapi::complete(document)))
        .fallback(page::site_file)
        .method_not_allowed_fallback(method_not_allowed)
        .layer((
            middleware::from_fn_with_state(Arc::clone(&shared), observe::observe),
            MapResponseLayer::new(with_default_headers),
            CatchPanicLayer::custom(panicked),
        ))
        .with_state(shared)
}

/// Sets the answer to methods that a route does not have. It is set before the layers, so that a browser's preflight request meets
/// the layer first.
fn refusing_other_methods(router: OpenApiRouter<Arc<Shared>>) -> OpenApiRouter<Arc<Shared>> {
    let (router, document) = router.split_for_parts();
    OpenApiRouter::with_openapi(document).merge(router.method_not_allowed_fallback(method_not_allowed).into())
}

/// The Prometheus metrics. They stand at `/metrics`, and at `/` for whoever follows the bare address.
pub(crate) fn metrics_app(metrics: Arc<Metrics>) -> Router {
    async fn metrics_text(State(metrics): State<Arc<Metrics>>) -> Response {
        ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
    }
    Router::new()
        .route("/", get(metrics_text))
        .route("/metrics", get(metrics_text))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "the metrics stand at /metrics") })
        .method_not_allowed_fallback(method_not_allowed)
        .layer((MapResponseLayer::new(with_default_headers), CatchPanicLayer::custom(panicked)))
        .with_state(metrics)
}

/// Headers that every answer has, unless its handler set its own.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(STRICT_POLICY)),
    (X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
];

fn with_default_headers<B>(mut response: axum::http::Response<B>) -> axum::http::Response<B> {
    for (name, value) in DEFAULT_HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible here; the `allow` header says what is"),
    )
}

/// The panic itself has been reported on standard error by then; the client learns nothing of it.
fn panicked(_panic: Box<dyn std::any::Any + Send>) -> axum::http::Response<Body> {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the relay failed to answer; its log says why").into_response()
}

#[cfg(test)]
pub(crate) mod tests;
