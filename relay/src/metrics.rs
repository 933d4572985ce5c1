//! What a relay counts, in Prometheus' text format (version 0.0.4).
//!
//! HTTP requests are counted here as they happen; what the node counts is read from it when somebody asks. The number of
//! series is fixed by the routes and their statuses: nothing a client writes becomes a label.

pub(crate) mod exposition;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openred_core::find::Layer;

use self::exposition::{Exposition, Kind};
use crate::stun;

/// Upper bounds of the latency histogram, in seconds: from a cached file to a stuck handler.
const BOUNDS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What the node counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkFigures {
    /// Peers connected.
    pub(crate) peers: u64,
    /// Reservations held for others.
    pub(crate) reservations: u64,
    /// Circuits between others.
    pub(crate) circuits: u64,
    /// Names under which records are stored.
    pub(crate) stored_services: u64,
    /// Bytes of all stored values.
    pub(crate) stored_bytes: u64,
    /// Peers in the routing table of the DHT.
    pub(crate) routing_table: u64,
    /// Finds of this relay itself, by the layer that answered first, in the order of [`Layer::ALL`].
    pub(crate) finds: [u64; 5],
    /// Finds answered from the cache.
    pub(crate) cache_hits: u64,
    /// Finds for which the cache did not do.
    pub(crate) cache_misses: u64,
    /// Names in the cache.
    pub(crate) cached_services: u64,
    /// Bytes of the cache's names.
    pub(crate) cached_bytes: u64,
    /// Relays and DHT servers that are remembered.
    pub(crate) remembered_peers: u64,
    /// Servers that vanished and are looked for.
    pub(crate) lost_peers: u64,
    /// DHT requests sent.
    pub(crate) dht_requests: u64,
    /// DHT requests of others that were looked at.
    pub(crate) dht_served: u64,
    /// DHT requests of others beyond their quota.
    pub(crate) dht_refused: u64,
    /// DHT walks that have ended.
    pub(crate) dht_walks: u64,
    /// Bytes received from peers.
    pub(crate) bytes_received: u64,
    /// Bytes sent to peers.
    pub(crate) bytes_sent: u64,
}

/// Asks the node for its figures; `None` while it cannot answer.
pub(crate) type Figures = Box<dyn Fn() -> Option<NetworkFigures> + Send + Sync>;

/// The relay's counters.
pub(crate) struct Metrics {
    figures: Figures,
    started: SystemTime,
    websockets: AtomicU64,
    stun: Arc<stun::Counters>,
    requests: Mutex<BTreeMap<String, Route>>,
}

#[derive(Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    /// Requests by the first bound they stay within; the last is above all bounds.
    by_bound: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Counts from zero; `figures` asks the node.
    pub(crate) fn new(figures: Figures) -> Self {
        Self {
            figures,
            started: SystemTime::now(),
            websockets: AtomicU64::new(0),
            stun: Arc::default(),
            requests: Mutex::default(),
        }
    }

    /// What the STUN server counts in.
    pub(crate) fn stun(&self) -> Arc<stun::Counters> {
        Arc::clone(&self.stun)
    }

    /// A request was answered. `route` is a pattern, one of a fixed number.
    pub(crate) fn request(&self, route: &str, status: u16, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let bound = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if !requests.contains_key(route) {
            requests.insert(route.to_owned(), Route::default());
        }
        let Some(counts) = requests.get_mut(route) else { return };
        *counts.by_status.entry(status).or_default() += 1;
        counts.by_bound[bound] += 1;
        counts.seconds += seconds;
    }

    /// A connection became a WebSocket.
    pub(crate) fn websocket(&self) {
        self.websockets.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything as text.
    pub(crate) fn render(&self) -> String {
        let figures = (self.figures)();
        let mut text = Exposition::default();
        text.metric("openred_build_info", Kind::Gauge, "The version that runs; always 1")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        text.metric("process_start_time_seconds", Kind::Gauge, "When the relay started, in seconds since 1970")
            .sample(&[], started.as_secs_f64());
        text.metric("openred_up", Kind::Gauge, "Whether the node answers")
            .sample(&[], if figures.is_some() { 1.0 } else { 0.0 });
        if let Some(figures) = figures {
            network(&mut text, &figures);
        }
        text.metric("openred_websocket_upgrades_total", Kind::Counter, "Connections that became WebSocket peers")
            .sample(&[], self.websockets.load(Ordering::Relaxed) as f64);
        let mut stun =
            text.metric("openred_stun_datagrams_total", Kind::Counter, "STUN datagrams by what became of them");
        for (result, count) in self.stun.read() {
            stun.sample(&[("result", result)], count as f64);
        }
        self.http(&mut text);
        text.into_text()
    }

    fn http(&self, text: &mut Exposition) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = text.metric("openred_http_requests_total", Kind::Counter, "HTTP requests by route and status");
        for (route, counts) in requests.iter() {
            for (status, count) in &counts.by_status {
                total.sample(&[("route", route), ("status", &status.to_string())], *count as f64);
            }
        }
        let name = "openred_http_request_duration_seconds";
        let mut durations =
            text.metric(name, Kind::Histogram, "Time to answer an HTTP request, without sending the body");
        for (route, counts) in requests.iter() {
            let mut within = 0;
            for (bound, count) in BOUNDS.iter().zip(&counts.by_bound) {
                within += count;
                durations.part("_bucket", &[("route", route), ("le", &bound.to_string())], within as f64);
            }
            let all: u64 = counts.by_bound.iter().sum();
            durations.part("_bucket", &[("route", route), ("le", "+Inf")], all as f64);
            durations.part("_sum", &[("route", route)], counts.seconds);
            durations.part("_count", &[("route", route)], all as f64);
        }
    }
}

fn network(text: &mut Exposition, figures: &NetworkFigures) {
    let gauges = [
        ("openred_connections", "Peers connected", figures.peers),
        (
            "openred_reservations",
            "Reservations held for nodes that are reachable through this relay",
            figures.reservations,
        ),
        ("openred_circuits", "Circuits between two other nodes", figures.circuits),
        ("openred_stored_services", "Service names with stored records", figures.stored_services),
        ("openred_stored_bytes", "Bytes of all values stored for the DHT", figures.stored_bytes),
        ("openred_routing_table_peers", "Peers in the routing table of the DHT", figures.routing_table),
        ("openred_cached_services", "Service names in the cache", figures.cached_services),
        ("openred_cached_bytes", "Bytes of the cache's service names", figures.cached_bytes),
        ("openred_remembered_peers", "Relays and DHT servers remembered for the next start", figures.remembered_peers),
        ("openred_lost_peers", "DHT servers that vanished and are looked for", figures.lost_peers),
    ];
    for (name, help, value) in gauges {
        text.metric(name, Kind::Gauge, help).sample(&[], value as f64);
    }
    let mut finds =
        text.metric("openred_finds_total", Kind::Counter, "Finds of this node by the layer that answered first");
    for (layer, count) in Layer::ALL.iter().zip(figures.finds) {
        finds.sample(&[("layer", layer.as_str())], count as f64);
    }
    let counters = [
        ("openred_cache_hits_total", "Finds answered from the cache", figures.cache_hits),
        ("openred_cache_misses_total", "Finds for which the cache did not do", figures.cache_misses),
        ("openred_dht_requests_total", "DHT requests sent", figures.dht_requests),
        ("openred_dht_served_total", "DHT requests of others that were looked at", figures.dht_served),
        ("openred_dht_refused_total", "DHT requests of others beyond their quota", figures.dht_refused),
        ("openred_dht_walks_total", "DHT walks that have ended", figures.dht_walks),
    ];
    for (name, help, value) in counters {
        text.metric(name, Kind::Counter, help).sample(&[], value as f64);
    }
    text.metric("openred_received_bytes_total", Kind::Counter, "Bytes received from peers")
        .sample(&[], figures.bytes_received as f64);
    text.metric("openred_sent_bytes_total", Kind::Counter, "Bytes sent to peers")
        .sample(&[], figures.bytes_sent as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(figures: Option<NetworkFigures>) -> Metrics {
        Metrics::new(Box::new(move || figures))
    }

    #[test]
    fn requests_are_counted_by_route_and_status_and_bound() {
        let metrics = metrics(Some(NetworkFigures {
            peers: 3,
            bytes_sent: 1 << 40,
            finds: [0, 4, 5, 0, 1],
            dht_walks: 9,
            ..NetworkFigures::default()
        }));
        metrics.request("/healthz", 200, Duration::from_micros(400));
        metrics.request("/healthz", 200, Duration::from_millis(20));
        metrics.request("/healthz", 503, Duration::from_secs(60));
        let text = metrics.render();
        for line in [
            "openred_http_requests_total{route=\"/healthz\",status=\"200\"} 2",
            "openred_http_requests_total{route=\"/healthz\",status=\"503\"} 1",
            "openred_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"0.0005\"} 1",
            "openred_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"0.05\"} 2",
            "openred_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"5\"} 2",
            "openred_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"+Inf\"} 3",
            "openred_http_request_duration_seconds_count{route=\"/healthz\"} 3",
            "openred_connections 3",
            "openred_finds_total{layer=\"cache\"} 4",
            "openred_finds_total{layer=\"directory\"} 1",
            "openred_dht_walks_total 9",
            "openred_sent_bytes_total 1099511627776",
            "openred_up 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_node_that_does_not_answer_is_down_and_has_no_figures() {
        let text = metrics(None).render();
        assert!(text.contains("openred_up 0\n"));
        assert!(!text.contains("openred_connections"));
    }
}
