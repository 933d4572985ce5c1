//! Spans, and how the protocol writes them in JSON: ids in hexadecimal, times and integers as decimal text.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use serde_json::{Value, json};

/// The kind of a span that serves a request.
const SERVER: u8 = 2;

/// The status of a span whose request failed inside.
const FAILED: u8 = 2;

/// A request whose answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Begun {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    /// Since the Unix epoch.
    at: Duration,
    started: Instant,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    begun: Begun,
    took: Duration,
    method: &'static str,
    route: String,
    status: u16,
    request: String,
}

impl Begun {
    /// Begins a span, in the trace of the caller if it names one. None if the caller does not want it traced.
    pub(crate) fn new(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parent);
        let (trace, parent) = match given {
            Some((_, _, false)) => return None,
            Some((trace, parent, true)) => (trace, Some(parent)),
            None => (rand::random(), None),
        };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Self { trace, id: rand::random(), parent, at, started: Instant::now() })
    }

    /// The request was answered. `route` is a pattern, one of a fixed number.
    pub(crate) fn end(self, method: &'static str, route: &str, status: u16, request: &str) -> Span {
        let took = self.started.elapsed();
        Span { begun: self, took, method, route: route.to_owned(), status, request: request.to_owned() }
    }
}

/// Trace, parent and whether it is sampled, as `traceparent` writes them (version 00: two zeros, 32, 16 and 2 hexadecimal digits).
fn parent(text: &str) -> Option<(u128, u64, bool)> {
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)).then_some(part)
    };
    let (version, trace, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let (trace, parent) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(parent, 16).ok()?);
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (version != "ff" && trace != 0 && parent != 0).then_some((trace, parent, sampled))
}

/// What all spans of this relay have in common.
pub(crate) fn resource(peer: &str) -> Value {
    json!({ "attributes": [
        text("service.name", "openred"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", peer),
    ] })
}

/// A request to the collector.
pub(crate) fn document(resource: &Value, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(Span::as_json).collect();
    let document = json!({ "resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{ "scope": { "name": "openred" }, "spans": spans }],
    }] });
    serde_json::to_vec(&document).expect("the document is JSON")
}

impl Span {
    fn as_json(&self) -> Value {
        let Begun { trace, id, parent, at, .. } = self.begun;
        let mut span = json!({
            "traceId": format!("{trace:032x}"),
            "spanId": format!("{id:016x}"),
            "name": format!("{} {}", self.method, self.route),
            "kind": SERVER,
            "startTimeUnixNano": at.as_nanos().to_string(),
            "endTimeUnixNano": (at + self.took).as_nanos().to_string(),
            "attributes": [
                text("http.request.method", self.method),
                text("http.route", &self.route),
                json!({ "key": "http.response.status_code", "value": { "intValue": self.status.to_string() } }),
                text("openred.request.id", &self.request),
            ],
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        if self.status >= 500 {
            span["status"] = json!({ "code": FAILED });
        }
        span
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_parent_counts() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        assert_eq!(
            parent(&format!("00-{trace}-{span}-01")),
            Some((0x0af7651916cd43dd8448eb211c80319c, 0xb7ad6b7169203331, true))
        );
        assert!(parent(&format!("00-{trace}-{span}-00")).is_some_and(|(_, _, sampled)| !sampled));
        assert!(parent(&format!("01-{trace}-{span}-01-more")).is_some(), "of a later version");
        for wrong in [
            "",
            "00",
            &format!("ff-{trace}-{span}-01"),
            &format!("00-{}-{span}-01", "0".repeat(32)),
            &format!("00-{trace}-{span}-0"),
            &format!("00-{}-{span}-01", trace.to_uppercase()),
        ] {
            assert_eq!(parent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_caller_that_does_not_sample_is_left_alone() {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("traceparent"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".parse().unwrap(),
        )]);
        assert_eq!(Begun::new(&headers), None);
    }
}
