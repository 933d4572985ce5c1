//! The router, called as a function.

use std::net::SocketAddr;

use axum::{
    body::to_bytes,
    extract::ConnectInfo,
    http::{Request, header},
};
use libp2p_identity::Keypair;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::{
    assets::Content,
    clock,
    directory::{
        guarded::Guarded,
        identity::PeerAuth,
        registry::{Registry, RegistryConfig, SystemClock},
        store::sqlite::SqliteStore,
        tokens::{Issuer, keys::KeyRing},
    },
    metrics::NetworkFigures,
};

struct Fake;

impl Peering for Fake {
    fn introduce(&self) -> Introduction {
        let peers =
            vec![bootstrap::OtherRelay { peer_id: "12D3b".into(), addresses: vec!["/ip4/192.0.2.2/p2p/12D3b".into()] }];
        let stun = vec!["stun:192.0.2.1:3478".into()];
        Introduction { addresses: vec!["/ip4/192.0.2.1/tcp/80/ws/p2p/12D3a".into()], peers, stun }
    }

    fn providers(&self, _: &[u8]) -> Vec<(PeerId, Vec<Multiaddr>)> {
        Vec::new()
    }

    fn addresses_of(&self, _: &PeerId) -> Vec<Multiaddr> {
        Vec::new()
    }

    fn find(&self, _: ServiceTarget, _: Duration) -> BoxFuture<'static, Vec<Record>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn bundle(&self, target: &ServiceTarget) -> Option<Vec<u8>> {
        (target.name.as_str() == "caf\u{e9}").then(|| vec![7, target.provider.is_some().into()])
    }

    fn accept(&self, _: PeerSocket, _: Multiaddr) {
        unreachable!("a request without a connection is never upgraded");
    }
}

static SITE: &[Asset] = &[
    Asset {
        path: "assets/main-0123abcd.js",
        media_type: "text/javascript",
        hash: "aa",
        content: &Content { plain: b"plain", brotli: Some(b"br"), gzip: Some(b"gz") },
    },
    Asset {
        path: "index.html",
        media_type: "text/html; charset=utf-8",
        hash: "bb",
        content: &Content { plain: b"<page>", brotli: None, gzip: None },
    },
];

static NPM: &[Asset] = &[
    Asset {
        path: "index.js",
        media_type: "text/javascript",
        hash: "cc",
        content: &Content { plain: b"export {}", brotli: None, gzip: None },
    },
    Asset {
        path: "openred_bg.wasm",
        media_type: "application/wasm",
        hash: "dd",
        content: &Content { plain: b"\0asm", brotli: Some(b"br"), gzip: None },
    },
];

/// What a router is made of, with a directory of its own that is gone with it.
pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    data: tempfile::TempDir,
}

impl World {
    /// A relay with this page and package, and whatever else `change` makes of it.
    pub(crate) async fn new(site: &'static [Asset], npm: &'static [Asset], change: impl FnOnce(&mut Shared)) -> Self {
        let figures = Box::new(|| Some(NetworkFigures::default()));
        let limits = bootstrap::Limits {
            reservations: 5,
            circuits: 6,
            circuit_bytes: 7,
            circuit_seconds: 8,
            max_bandwidth: None,
        };
        let key = relay_key();
        let peer = key.public().to_peer_id();
        let about = About { peer_id: peer.to_string(), network: "main".into(), region: "eu".into(), limits };
        let data = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&data.path().join("directory.db")).await.unwrap();
        let registry = Registry::open(
            Arc::new(Guarded::new(Arc::new(store))),
            RegistryConfig::default(),
            Arc::new(SystemClock::default()),
        )
        .await
        .unwrap();
        let directory = Directory {
            auth: PeerAuth::new(key, clock::millis()),
            issuer: Issuer::new(peer, KeyRing::new(clock::seconds(), [3; 32])),
            hosts: hosts::Hosts::of(&["/dns/relay.example/tcp/443/tls/ws".parse().unwrap()]),
            admin: None,
            registry,
        };
        let mut shared = Shared {
            about,
            phase: Phase::default(),
            metrics: Arc::new(Metrics::new(figures)),
            peering: Arc::new(Fake),
            gateway: Arc::new(Gateway::new(gateway::Limits { rate: None, ..gateway::Limits::default() })),
            directory,
            names: Names::default(),
            traces: None,
            trusted_proxies: Vec::new(),
            site,
            npm,
        };
        shared.phase.set_ready();
        change(&mut shared);
        let shared = Arc::new(shared);
        shared.metrics.add(figures::source(&shared));
        let router = app(Arc::clone(&shared));
        Self { shared, router, data }
    }

    /// The file of the directory's database.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.data.path().join("directory.db")
    }

    /// A relay that was built whole and is ready.
    pub(crate) async fn built() -> Self {
        Self::new(SITE, NPM, |_| {}).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMapExt, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, HeaderMapExt(parts.headers), to_bytes(body, 1 << 20).await.unwrap().to_vec())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMapExt, Vec<u8>) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

/// The relay's own key.
pub(crate) fn relay_key() -> Keypair {
    Keypair::ed25519_from_bytes([1; 32]).unwrap()
}

async fn built() -> World {
    World::built().await
}

async fn send(world: &World, request: Request<Body>) -> (StatusCode, HeaderMapExt, Vec<u8>) {
    world.send(request).await
}

async fn get_with(world: &World, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMapExt, Vec<u8>) {
    world.get(path, headers).await
}

/// Headers, read as text.
pub(crate) struct HeaderMapExt(pub(crate) axum::http::HeaderMap);

impl HeaderMapExt {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test]
async fn the_page_may_run_wasm_and_is_always_asked_for_again() {
    let (status, headers, body) = get_with(&built().await, "/", &[]).await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, b"<page>".as_slice()));
    assert_eq!(headers.text("cache-control"), "no-cache");
    assert!(headers.text("content-security-policy").contains("'wasm-unsafe-eval'"));
    assert!(headers.text("content-security-policy").contains("connect-src 'self' ws: wss: http: https:"));
    assert_eq!(headers.text("x-content-type-options"), "nosniff");
    assert_eq!(headers.text("referrer-policy"), "no-referrer");

    let tag = headers.text("etag").to_owned();
    let (status, headers, body) = get_with(&built().await, "/", &[("if-none-match", &tag)]).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers.text("etag"), tag);
}

#[tokio::test]
async fn a_file_is_sent_in_the_best_encoding_with_a_tag_of_its_own() {
    let mut tags = Vec::new();
    for (accepted, encoding, expected) in [("gzip, br", "br", "br"), ("gzip", "gzip", "gz"), ("", "", "plain")] {
        let (status, headers, body) =
            get_with(&built().await, "/assets/main-0123abcd.js", &[("accept-encoding", accepted)]).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, expected.as_bytes()));
        assert_eq!(headers.text("content-encoding"), encoding);
        assert_eq!(headers.text("vary"), "accept-encoding");
        assert!(headers.text("cache-control").contains("immutable"));
        tags.push(headers.text("etag").to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

#[tokio::test]
async fn the_package_is_importable_from_any_origin() {
    let (status, headers, _) = get_with(
        &built().await,
        "/npm/openred_bg.wasm",
        &[("origin", "https://example.org"), ("accept-encoding", "br")],
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers.text("content-type"), "application/wasm");
    assert_eq!(headers.text("content-encoding"), "br");
    assert_eq!(headers.text("access-control-allow-origin"), "*");
    assert_eq!(headers.text("cross-origin-resource-policy"), "cross-origin");
    let (_, _, body) = get_with(&built().await, "/npm/", &[]).await;
    assert_eq!(json(&body)["files"], serde_json::json!(["index.js", "openred_bg.wasm"]));
    let (status, headers, _) = get_with(&built().await, "/npm/../index.html", &[]).await;
    assert_eq!((status, headers.text("content-type")), (StatusCode::NOT_FOUND, "application/problem+json"));
}

#[tokio::test]
async fn a_preflight_request_is_answered() {
    for path in ["/npm/index.js", "/bootstrap.json"] {
        let request = Request::options(path)
            .header(header::ORIGIN, "https://example.org")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
            .body(Body::empty())
            .unwrap();
        let (status, headers, _) = send(&built().await, request).await;
        assert_eq!((status, headers.text("access-control-allow-origin")), (StatusCode::OK, "*"));
    }
    let (status, headers, _) =
        send(&built().await, Request::delete("/npm/index.js").body(Body::empty()).unwrap()).await;
    assert_eq!((status, headers.text("content-type")), (StatusCode::METHOD_NOT_ALLOWED, "application/problem+json"));
}

#[tokio::test]
async fn bootstrap_says_what_the_contract_demands() {
    let (status, headers, body) =
        get_with(&built().await, "/bootstrap.json", &[("origin", "https://example.org")]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers.text("access-control-allow-origin"), "*");
    let body = json(&body);
    for field in ["peerId", "network", "region", "addresses", "services", "peers", "version", "limits", "stun"] {
        assert!(!body[field].is_null(), "{field} is missing");
    }
    assert_eq!(body["addresses"][0], "/ip4/192.0.2.1/tcp/80/ws/p2p/12D3a");
    assert_eq!(body["peers"][0]["peerId"], "12D3b");
    assert_eq!(body["stun"], serde_json::json!(["stun:192.0.2.1:3478"]));
    assert!(body["services"].as_array().unwrap().contains(&"stun".into()));
    let limits = serde_json::json!({ "reservations": 5, "circuits": 6, "circuitBytes": 7, "circuitSeconds": 8 });
    assert_eq!(body["limits"], limits);
}

#[tokio::test]
async fn readiness_follows_the_phase_and_life_does_not() {
    let world = World::new(SITE, NPM, |shared| shared.phase = Phase::default()).await;
    for (step, expected) in [
        (Phase::is_ready as fn(&Phase) -> bool, (StatusCode::SERVICE_UNAVAILABLE, "starting")),
        (
            |phase| {
                phase.set_ready();
                true
            },
            (StatusCode::OK, "ready"),
        ),
        (
            |phase| {
                phase.set_draining();
                true
            },
            (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        ),
    ] {
        step(&world.shared.phase);
        let (status, headers, body) = get_with(&world, "/readyz", &[]).await;
        assert_eq!((status, json(&body)["status"].as_str().unwrap()), expected);
        assert_eq!(headers.text("content-type"), "application/json");
        assert_eq!(get_with(&world, "/healthz", &[]).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_relay_that_cannot_reach_its_database_is_not_ready_and_says_why() {
    let world = built().await;
    let ready = async || {
        let (status, _, body) = get_with(&world, "/readyz", &[]).await;
        (status, json(&body))
    };
    let locker = rusqlite::Connection::open(world.database()).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    world.shared.directory.registry.audit("somebody", "something", "", "").await.unwrap_err();
    let (status, body) = ready().await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"no-database".into()));
    assert!(body["reason"].as_str().unwrap().contains("cannot reach its database"), "{body}");
    assert_eq!(get_with(&world, "/healthz", &[]).await.0, StatusCode::OK);
    locker.execute_batch("ROLLBACK").unwrap();
    let back = async {
        while ready().await != (StatusCode::OK, serde_json::json!({ "status": "ready" })) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
}

#[tokio::test]
async fn failures_are_problem_documents() {
    for (request, status) in [
        (Request::get("/nothing"), StatusCode::NOT_FOUND),
        (Request::post("/nothing"), StatusCode::NOT_FOUND),
        (Request::post("/assets/main-0123abcd.js"), StatusCode::NOT_FOUND),
        (Request::get("/npm/nothing.js"), StatusCode::NOT_FOUND),
        (Request::delete("/healthz"), StatusCode::METHOD_NOT_ALLOWED),
        (Request::post("/"), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (found, headers, body) = send(&built().await, request.body(Body::empty()).unwrap()).await;
        assert_eq!((found, headers.text("content-type")), (status, "application/problem+json"));
        let body = json(&body);
        assert_eq!(body["status"], status.as_u16());
        assert!(body["title"].is_string() && body["detail"].is_string());
    }
}

#[tokio::test]
async fn a_relay_without_its_page_says_so() {
    let world = World::new(&[], &[], |_| {}).await;
    let (status, headers, body) = get_with(&world, "/", &[]).await;
    assert_eq!((status, headers.text("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(String::from_utf8(body).unwrap().contains("cargo xtask build"));
    let (status, _, body) = get_with(&world, "/npm/index.js", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(json(&body)["detail"].as_str().unwrap().contains("cargo xtask build"));
}

#[tokio::test]
async fn a_wrong_upgrade_is_refused_in_words() {
    let upgrade = |path: &str, version: &str| {
        Request::get(path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, version)
            .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))))
            .body(Body::empty())
            .unwrap()
    };
    for path in ["/", "/any/path"] {
        let (status, headers, _) = send(&built().await, upgrade(path, "12")).await;
        assert!(status.is_client_error(), "{status}");
        assert_eq!(headers.text("content-type"), "application/problem+json");
    }
    let draining = built().await;
    draining.shared.phase.set_draining();
    assert_eq!(send(&draining, upgrade("/", "13")).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn requests_are_counted_by_pattern_and_unknown_paths_together() {
    let world = built().await;
    for path in ["/npm/index.js", "/npm/openred_bg.wasm", "/a", "/b", "/assets/main-0123abcd.js"] {
        get_with(&world, path, &[]).await;
    }
    let response = metrics_app(Arc::clone(&world.shared.metrics))
        .oneshot(Request::get("/metrics").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    for line in [
        "openred_http_requests_total{route=\"/npm/{*path}\",status=\"200\"} 2",
        "openred_http_requests_total{route=\"unknown\",status=\"404\"} 2",
        "openred_http_requests_total{route=\"/{page file}\",status=\"200\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_description_names_every_route() {
    let (_, _, body) = get_with(&built().await, "/openapi.json", &[]).await;
    let document = json(&body);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for path in ["/", "/npm/", "/npm/{path}", "/bootstrap.json", "/healthz", "/readyz", "/openapi.json"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn the_directory_gives_bundles_to_any_origin() {
    let peer = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let world = built().await;
    let get = async |path: String| get_with(&world, &path, &[("origin", "https://page.example")]).await;
    for (target, body) in [("caf%C3%A9".to_owned(), [7, 0]), (format!("caf%C3%A9@{peer}"), [7, 1])] {
        let (status, headers, bytes) = get(format!("/v1/bundles/{target}")).await;
        assert_eq!((status, bytes.as_slice()), (StatusCode::OK, body.as_slice()), "{target}");
        assert_eq!(headers.text("content-type"), "application/octet-stream");
        assert_eq!(headers.text("access-control-allow-origin"), "*");
        assert_eq!(headers.text("cache-control"), "no-store");
    }
    let (status, _, body) = get("/v1/bundles/nobody".into()).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0), "the bundle of a name that nobody offers is empty");

    let long = "a".repeat(129);
    for wrong in ["UPPER", "a%20b", "a@nobody", "%FF", "caf%C3%A9@", long.as_str()] {
        let (status, headers, body) = get(format!("/v1/bundles/{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(headers.text("content-type"), "application/problem+json");
        assert!(json(&body)["detail"].as_str().unwrap().len() > 10, "{wrong}");
    }
}
