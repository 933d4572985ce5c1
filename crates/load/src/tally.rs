//! What came of a run.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency that is told apart, in microseconds.
const LONGEST: u64 = 120_000_000;

/// Latencies in microseconds, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

/// Latencies and statuses.
pub(crate) struct Tally {
    all: Histogram<u64>,
    kinds: BTreeMap<&'static str, Histogram<u64>>,
    statuses: BTreeMap<u16, u64>,
    failed: u64,
    first_failure: Option<String>,
    /// When the first request was due, and when the last answer came.
    time: Option<(Instant, Instant)>,
}

impl Default for Tally {
    fn default() -> Self {
        let (kinds, statuses) = (BTreeMap::new(), BTreeMap::new());
        Self { all: histogram(), kinds, statuses, failed: 0, first_failure: None, time: None }
    }
}

impl Tally {
    /// An answer came; `due` is when its request should have been sent.
    pub(crate) fn answered(&mut self, kind: &'static str, due: Instant, status: u16) {
        let now = Instant::now();
        let (begun, _) = self.time.get_or_insert((due, now));
        self.time = Some(((*begun).min(due), now));
        let micros = u64::try_from((now - due).as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.all.saturating_record(micros);
        self.kinds.entry(kind).or_insert_with(histogram).saturating_record(micros);
        *self.statuses.entry(status).or_default() += 1;
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    /// Answers that came.
    pub(crate) fn answers(&self) -> u64 {
        self.all.len()
    }

    /// Answers in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answers() as f64 / self.seconds().max(1e-9)
    }

    fn seconds(&self) -> f64 {
        self.time.map_or(0.0, |(begun, ended)| (ended - begun).as_secs_f64())
    }

    /// Latency in milliseconds that `quantile` of all answers kept to.
    pub(crate) fn ms_at(&self, quantile: f64) -> f64 {
        self.all.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The part of all requests that ended in a fault of the server's or in none.
    pub(crate) fn faults(&self) -> f64 {
        let faults: u64 = self.statuses.range(500..).map(|(_, count)| count).sum();
        (faults + self.failed) as f64 / (self.answers() + self.failed).max(1) as f64
    }

    /// The first answer that is no success, or the first failure.
    pub(crate) fn trouble(&self) -> Option<String> {
        let status = self.statuses.keys().find(|status| !(200..400).contains(*status));
        self.first_failure.clone().or_else(|| status.map(|status| format!("status {status}")))
    }

    /// Everything as JSON.
    pub(crate) fn report(&self) -> Value {
        let kinds: serde_json::Map<_, _> =
            self.kinds.iter().map(|(kind, latencies)| ((*kind).to_owned(), latency(latencies))).collect();
        let statuses: serde_json::Map<_, _> =
            self.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
        json!({
            "answers": self.answers(), "seconds": self.seconds(), "requestsPerSecond": self.rate(),
            "latencyMs": latency(&self.all), "byKind": kinds, "statuses": statuses, "failed": self.failed,
            "firstFailure": self.first_failure, "faultShare": self.faults(),
        })
    }
}

fn latency(of: &Histogram<u64>) -> Value {
    let ms = |quantile| of.value_at_quantile(quantile) as f64 / 1e3;
    json!({
        "count": of.len(), "p50": ms(0.5), "p95": ms(0.95), "p99": ms(0.99), "p999": ms(0.999), "max": of.max() as f64 / 1e3,
    })
}

/// Milliseconds for a report.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
