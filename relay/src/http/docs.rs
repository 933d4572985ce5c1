//! `/openapi.json`, and `/docs/`, where people read it: a page of the relay's own that loads nothing from anywhere else.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY},
    },
    response::{Redirect, Response},
    routing::get,
};

use super::{Shared, conditional};

/// The page runs its own script and asks its own relay.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const ALWAYS_ASK: &str = "no-cache";

/// The document and its page.
pub(crate) fn routes(document: Vec<u8>) -> Router<Arc<Shared>> {
    let document: Arc<[u8]> = document.into();
    let file = |media_type: &'static str, text: &'static str| {
        get(move |headers: HeaderMap| async move {
            let mut response = conditional::bytes(&headers, ALWAYS_ASK, media_type, text.as_bytes().to_vec());
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            response
        })
    };
    Router::new()
        .route("/openapi.json", get(move |request: Request| answer(request, Arc::clone(&document))))
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", file("text/html; charset=utf-8", include_str!("docs/index.html")))
        .route("/docs/docs.js", file("text/javascript", include_str!("docs/docs.js")))
        .route("/docs/docs.css", file("text/css", include_str!("docs/docs.css")))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "relay", operation_id = "openapi",
    responses((status = 200, description = "The API, for machines", body = serde_json::Value),
        (status = 304, description = "The document that the client has is the current one")))]
pub(crate) async fn answer(request: Request, document: Arc<[u8]>) -> Response {
    let mut response = conditional::bytes(request.headers(), ALWAYS_ASK, "application/json", document.to_vec());
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
