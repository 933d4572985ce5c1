//! Traces for a collector: one span for each HTTP request, sent by OpenTelemetry's protocol over HTTP with JSON
//! (opentelemetry.io/docs/specs/otlp). Off unless `--otlp` names a collector.
//!
//! A request that carries `traceparent` (W3C Trace Context) continues that trace, and is left out if its caller did not sample
//! it; others begin a trace. Spans name the route's pattern, never what the client wrote. What a collector does not take in time
//! is dropped and counted: tracing costs a relay no memory and no waiting.
//!
//! Bounds: [`QUEUE`] spans that wait, [`BATCH`] of one request, [`TIMEOUT`] for it. After failures in a row the collector is left
//! alone for a while ([`crate::directory::breaker`]).

pub(crate) mod span;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Method, Request, Uri, header::CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, Limited};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::span::Span;
use crate::{
    directory::breaker::{Breaker, Open},
    outgoing::{Http, client},
};

/// Spans that wait for the collector, about 1 MB.
const QUEUE: usize = 4096;

/// Spans of one request.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(2);

/// Time for one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;

/// Where traces stand below the collector's URL.
const PATH: &str = "/v1/traces";

/// Takes spans. Dropping the last one ends the sending.
pub(crate) struct Exporter {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Exporter {
    /// Sends to the collector at `url`, as the instance `peer` of the service `openred`.
    pub(crate) fn start(url: &Uri, peer: &str) -> Self {
        let (queue, spans) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let target = format!("{}{PATH}", url.to_string().trim_end_matches('/'));
        let task = tokio::spawn(send(spans, target, span::resource(peer), Arc::clone(&counts)));
        Self { queue, counts, task }
    }

    /// Takes a span, or drops it when too many wait.
    pub(crate) fn export(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that the collector took, and spans that were dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.counts.sent.load(Ordering::Relaxed), self.counts.dropped.load(Ordering::Relaxed))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(mut spans: mpsc::Receiver<Span>, target: String, resource: serde_json::Value, counts: Arc<Counts>) {
    let (client, breaker, started) = (client(), Breaker::default(), Instant::now());
    while let Some(batch) = next_batch(&mut spans).await {
        let number = batch.len() as u64;
        let sent = match breaker.admit(started.elapsed()) {
            Err(Open(_)) => Err("it is left alone for a while".to_owned()),
            Ok(()) => {
                let body = span::document(&resource, &batch);
                let sent = timeout(TIMEOUT, post(&client, &target, body)).await;
                let sent = sent.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
                match &sent {
                    Ok(()) => breaker.succeeded(),
                    Err(reason) if breaker.failed(started.elapsed()) => {
                        tracing::warn!(reason, "the collector of traces does not take them");
                    }
                    Err(reason) => tracing::debug!(reason, "a batch of traces was lost"),
                }
                sent
            }
        };
        let count = if sent.is_ok() { &counts.sent } else { &counts.dropped };
        count.fetch_add(number, Ordering::Relaxed);
    }
}

/// Spans until the batch is full or its first one has waited long enough. None when nobody sends any more.
async fn next_batch(spans: &mut mpsc::Receiver<Span>) -> Option<Vec<Span>> {
    let mut batch = vec![spans.recv().await?];
    let full = Instant::now() + LINGER;
    while batch.len() < BATCH {
        match tokio::time::timeout_at(full, spans.recv()).await {
            Ok(Some(span)) => batch.push(span),
            Ok(None) | Err(_) => break,
        }
    }
    Some(batch)
}

async fn post(client: &Http, target: &str, body: Vec<u8>) -> Result<(), String> {
    let request = Request::builder().method(Method::POST).uri(target).header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    // Read to its end, so that the connection can be used again.
    let _ = Limited::new(answer.into_body(), ANSWER).collect().await;
    if status.is_success() { Ok(()) } else { Err(format!("the answer's status is {status}")) }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn a_collector_gets_the_spans_and_one_that_is_gone_costs_only_them() {
        // Only a second call could fail.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sender, mut received) = mpsc::channel::<Value>(8);
        let collect = |State(sender): State<mpsc::Sender<Value>>, Json(body): Json<Value>| async move {
            sender.send(body).await.unwrap();
            "{}"
        };
        let router = Router::new().route(PATH, post(collect)).with_state(sender);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = crate::http::server::Server::start(listener, router, 8);

        let exporter = Exporter::start(&url, "12D3a");
        let mut parent = HeaderMap::new();
        parent.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
        let begun = span::Begun::new(&parent).unwrap();
        exporter.export(begun.end("GET", "/v1/status", 200, "00"));
        let body = received.recv().await.unwrap();
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(
            (span["traceId"].as_str(), span["parentSpanId"].as_str()),
            (Some("0af7651916cd43dd8448eb211c80319c"), Some("b7ad6b7169203331"))
        );
        assert_eq!((span["name"].as_str(), span["kind"].as_u64()), (Some("GET /v1/status"), Some(2)));
        drop(server);

        let gone = Exporter::start(&"http://127.0.0.1:9".parse().unwrap(), "12D3a");
        gone.export(span::Begun::new(&HeaderMap::new()).unwrap().end("GET", "/v1/status", 200, "00"));
        while gone.counts().1 == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gone.counts(), (0, 1));
    }
}
