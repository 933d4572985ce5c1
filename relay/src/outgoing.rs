//! HTTP to others: one client, which trusts the roots that secure WebSockets trust here, and follows no redirect.

use std::error::Error;

use axum::body::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// See the module's documentation.
pub(crate) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that keeps one connection to each host.
pub(crate) fn client() -> Http {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .expect("ring has the versions of TLS that rustls wants");
    let connector = connector.https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_max_idle_per_host(1).build(connector)
}

/// Why a request failed, in one sentence. The wrappers around a failure say where it passed, not what it was.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    if let Some(inner) = error.source() {
        return reason(inner);
    }
    let text = error.to_string();
    // The system's resolver has no code of its own for it.
    match text.strip_prefix("failed to lookup address information: ") {
        Some(why) => format!("DNS knows no address of this name ({why})"),
        None => text,
    }
}
