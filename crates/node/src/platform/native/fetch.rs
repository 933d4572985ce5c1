//! HTTP for the core: one GET, one body of limited size.
//!
//! The client is hyper's with rustls, trusting the roots that secure WebSockets trust here. Connections are kept for
//! [`IDLE`], so that asking the same directory again costs one round trip. It follows no redirect: a directory is asked at
//! the address that was learned, and whoever sits there must not be able to send this node to another one (inside its own
//! network, say).
//!
//! Bounds: a body up to the limit asked for, a whole exchange within [`TIMEOUT`]; how many run at once is the core's to say.

use std::{sync::OnceLock, time::Duration};

use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::platform;

type Https = Client<HttpsConnector<HttpConnector>, Empty<&'static [u8]>>;

/// Name lookup, connection, request and whole answer. The core gives a directory up far earlier; this is for what it
/// forgets.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection waits for another request. Servers keep theirs for a minute or more.
const IDLE: Duration = Duration::from_secs(30);

/// Fetches; made without cost, since most nodes never ask.
#[derive(Debug, Default)]
pub(crate) struct Fetcher(OnceLock<Https>);

impl Fetcher {
    pub(crate) fn new(_: &mut platform::Config) -> Self {
        Self::default()
    }

    /// The body of a `200` answer, or the reason why there is none.
    pub(crate) fn get(
        &self,
        url: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + 'static + use<> {
        let client = self.0.get_or_init(client).clone();
        let url = url.parse();
        async move {
            let url = url.map_err(|error| format!("the URL cannot be read: {error}"))?;
            match tokio::time::timeout(TIMEOUT, get(client, url, limit)).await {
                Ok(result) => result,
                Err(_) => Err(format!("there was no whole answer within {} s", TIMEOUT.as_secs())),
            }
        }
    }
}

fn client() -> Https {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .expect("ring has the versions of TLS that rustls wants");
    let connector = connector.https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .build(connector)
}

async fn get(client: Https, url: Uri, limit: usize) -> Result<Vec<u8>, String> {
    let answer = client.get(url).await.map_err(|error| innermost(&error))?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(format!("the answer's status is {status}"));
    }
    let too_long = || format!("the answer is longer than {limit} bytes");
    match Limited::new(answer.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => Err(innermost(&*error)),
    }
}

/// The wrappers around a failure say where it passed, not what it was.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use axum::{Router, body::Body, http::header::LOCATION, routing::get};
    use futures::stream;
    use tokio::{net::TcpListener, sync::Notify};

    use super::*;

    fn fetcher() -> Fetcher {
        Fetcher::new(&mut platform::Config::default())
    }

    async fn serve(app: Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        address
    }

    #[tokio::test]
    async fn a_body_within_the_limit_arrives_whole() {
        let chunks = || stream::iter((0..10).map(|_| Ok::<_, std::convert::Infallible>(vec![7_u8; 1000])));
        let app = Router::new()
            .route("/chunks", get(move || async move { Body::from_stream(chunks()) }))
            .route("/exact", get(|| async { vec![1_u8; 5000] }));
        let server = serve(app).await;
        let fetcher = fetcher();
        let body = fetcher.get(&format!("http://{server}/chunks"), 10_000).await;
        assert_eq!(body, Ok(vec![7; 10_000]));
        assert_eq!(fetcher.get(&format!("http://{server}/exact"), 5000).await, Ok(vec![1; 5000]));
        for (path, limit) in [("chunks", 9_999), ("exact", 4_999)] {
            let reason = fetcher.get(&format!("http://{server}/{path}"), limit).await.unwrap_err();
            assert!(reason.contains(&format!("longer than {limit} bytes")), "{reason}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_none_gives_its_reason() {
        let app = Router::new()
            .route("/elsewhere", get(|| async { (StatusCode::FOUND, [(LOCATION, "/here")]) }))
            .route("/here", get(|| async { "here" }));
        let server = serve(app).await;
        let fetcher = fetcher();
        let failed = async |url: String| fetcher.get(&url, 100).await.unwrap_err();
        assert!(failed(format!("http://{server}/nothing")).await.contains("404"));
        assert!(failed(format!("http://{server}/elsewhere")).await.contains("302"), "no redirect is followed");
        assert!(failed("no url at all".into()).await.contains("URL"));
        assert!(!failed("http://127.0.0.1:1/".into()).await.is_empty());
        assert!(failed(format!("https://{server}/here")).await.len() > 3, "plain HTTP is no TLS");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_is_gone() {
        let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        /// Tells when the server drops the request.
        struct Tell(Arc<Notify>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let handler = {
            let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
            move || async move {
                let _tell = Tell(ended);
                begun.notify_one();
                std::future::pending::<&str>().await
            }
        };
        let server = serve(Router::new().route("/silence", get(handler))).await;
        let task = platform::spawn({
            let body = fetcher().get(&format!("http://{server}/silence"), 100);
            async move { drop(body.await) }
        });
        begun.notified().await;
        drop(task);
        ended.notified().await;
    }
}
