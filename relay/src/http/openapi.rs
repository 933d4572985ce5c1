//! `/openapi.json`: the API described for machines. The document is written by hand beside this file.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
};

/// The document with the version filled in.
pub(crate) async fn document() -> impl IntoResponse {
    let text = include_str!("openapi/openapi.json").replace("{version}", env!("CARGO_PKG_VERSION"));
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text)
}
