//! The embedded files over HTTP: the page at `/` with what it loads, and the npm package below `/npm/`.
//!
//! Each file has a strong entity tag per encoding and is sent in the best one the client takes of those that were made
//! at build time; nothing is compressed while serving. A file whose name carries its hash is immutable, the page is
//! always asked for again, and a package file may be reused for a few minutes.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY},
    },
    response::{Html, IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    conditional::{has_tag, items},
    observe::RouteLabel,
    problem::Problem,
    websocket,
};
use crate::assets::{self, Asset};

/// The page runs wasm, talks to relays anywhere, and loads nothing but its own files. Styles may stand in attributes. Every
/// embedded file carries it, because a worker obeys the policy of its script.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data: blob:; connect-src 'self' ws: wss: http: https:; object-src 'none'; \
                           base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const ALWAYS_ASK: &str = "no-cache";

/// Package files keep their names from version to version: five minutes is short enough to see an update of the relay,
/// and long enough that the files of one import are of one version.
const FEW_MINUTES: &str = "public, max-age=300";

/// The page; with `Upgrade: websocket`, peer-to-peer traffic.
#[utoipa::path(get, path = "/", tag = "relay", operation_id = "page",
    responses((status = 101, description = "The connection carries libp2p over WebSocket from here on"),
        (status = 200, description = "The page", content_type = "text/html", body = String),
        (status = 304, description = "The page that the client has is the current one")))]
pub(crate) async fn root(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if websocket::is_upgrade(request.headers()) {
        return websocket::upgrade(shared, request).await;
    }
    match assets::find(shared.site, "index.html") {
        Some(page) => send(page, request.headers(), ALWAYS_ASK),
        None => {
            let headers = [(CACHE_CONTROL, ALWAYS_ASK), (CONTENT_SECURITY_POLICY, POLICY)];
            (headers, Html(include_str!("page/note.html"))).into_response()
        }
    }
}

/// Every other path: a file of the page, a peer that wants a WebSocket, or nothing.
pub(crate) async fn site_file(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if websocket::is_upgrade(request.headers()) {
        return labelled(websocket::upgrade(shared, request).await, "/{websocket}");
    }
    let path = request.uri().path().trim_start_matches('/');
    let file = assets::find(shared.site, path).filter(|_| is_read(request.method()));
    let Some(file) = file else {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing here").into_response();
    };
    let cache = if file.is_named_by_content() { IMMUTABLE } else { ALWAYS_ASK };
    labelled(send(file, request.headers(), cache), "/{page file}")
}

/// The npm package on this relay.
#[derive(Serialize, ToSchema)]
pub(crate) struct Package {
    #[schema(example = "@openred/node")]
    name: &'static str,
    version: &'static str,
    /// Paths below `/npm/`.
    files: Vec<&'static str>,
}

/// The files of the npm package @openred/node on this relay.
#[utoipa::path(get, path = "/npm/", tag = "relay", operation_id = "listPackage",
    responses((status = 200, description = "The list of files", body = Package)))]
pub(crate) async fn npm_index(State(shared): State<Arc<Shared>>) -> Response {
    if shared.npm.is_empty() {
        return not_built().into_response();
    }
    let files = shared.npm.iter().map(|asset| asset.path).collect();
    let package = Package { name: "@openred/node", version: env!("CARGO_PKG_VERSION"), files };
    ([(CACHE_CONTROL, FEW_MINUTES)], Json(package)).into_response()
}

/// One file of the npm package; /npm/index.js can be imported from any origin.
#[utoipa::path(get, path = "/npm/{path}", tag = "relay", operation_id = "packageFile",
    params(("path" = String, Path, description = "One of the files of /npm/", example = "index.js")),
    responses((status = 200, description = "The file", content_type = "*/*", body = Vec<u8>),
        (status = 304, description = "The file that the client has is the current one")))]
pub(crate) async fn npm_file(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if shared.npm.is_empty() {
        return not_built().into_response();
    }
    let Some(file) = assets::find(shared.npm, &path) else {
        return Problem::new(StatusCode::NOT_FOUND, "the package has no such file; /npm/ lists them").into_response();
    };
    let mut response = send(file, &headers, FEW_MINUTES);
    // Pages that isolate themselves (COEP) may load the package too.
    response.headers_mut().insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}

fn not_built() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "the npm package is not inside this program; build it with `cargo xtask build`")
}

fn labelled(mut response: Response, label: &'static str) -> Response {
    response.extensions_mut().insert(RouteLabel(label));
    response
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The file in the best encoding, or 304 when the client has it already.
fn send(file: &Asset, request: &HeaderMap, cache: &'static str) -> Response {
    let accepts = |coding| accepts(request, coding);
    let (bytes, encoding) = match (file.content.brotli, file.content.gzip) {
        (Some(brotli), _) if accepts("br") => (brotli, Some("br")),
        (_, Some(gzip)) if accepts("gzip") => (gzip, Some("gzip")),
        _ => (file.content.plain, None),
    };
    let tag = match encoding {
        Some(encoding) => format!("\"{}-{encoding}\"", file.hash),
        None => format!("\"{}\"", file.hash),
    };
    let known = has_tag(request, &tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(Bytes::from_static(bytes)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("a hash in hexadecimal is a header value"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if !known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    response
}

/// Whether `Accept-Encoding` names the coding, or `*`, with a quality other than 0 (RFC 9110, 12.5.3).
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let mut any = false;
    for item in items(headers, ACCEPT_ENCODING) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.trim().parse::<f32>().ok());
        let wanted = quality.is_some_and(|quality| quality > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn encodings_are_read_with_their_quality() {
        let accepts = |value: &str, coding| accepts(&headers(ACCEPT_ENCODING, value), coding);
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("gzip;q=0.5,BR;q=1.0", "br"));
        assert!(accepts("*", "br"));
        assert!(!accepts("br;q=0, *", "br"));
        assert!(!accepts("*;q=0", "br"));
        assert!(!accepts("gzip", "br"));
        assert!(!accepts("br;q=x", "br"));
        assert!(!super::accepts(&HeaderMap::new(), "br"));
    }
}
