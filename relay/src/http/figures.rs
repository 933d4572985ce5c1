//! What the gateway and the directory count, for the metrics. The number of series is fixed.

use std::sync::{Arc, Weak};

use openred_core::lifecycle::{Cause, State};

use super::{
    Shared,
    gateway::{Class, REASONS},
};
use crate::metrics::{
    Source,
    exposition::{Exposition, Kind},
};

/// Writes the figures for as long as the relay runs.
pub(crate) fn source(shared: &Arc<Shared>) -> Source {
    // The metrics are part of what is shared, so they must not keep it alive.
    let shared: Weak<Shared> = Arc::downgrade(shared);
    Box::new(move |text| {
        if let Some(shared) = shared.upgrade() {
            gateway(text, &shared);
            directory(text, &shared);
            traces(text, &shared);
        }
    })
}

fn traces(text: &mut Exposition, shared: &Shared) {
    let Some(traces) = &shared.traces else { return };
    let (sent, dropped) = traces.counts();
    text.metric("openred_trace_spans_sent_total", Kind::Counter, "Spans that the collector took")
        .sample(&[], sent as f64);
    text.metric("openred_trace_spans_dropped_total", Kind::Counter, "Spans that it did not take in time")
        .sample(&[], dropped as f64);
}

fn gateway(text: &mut Exposition, shared: &Shared) {
    let figures = shared.gateway.figures();
    let gauges = [
        ("openred_http_requests_in_flight", "API requests under way", figures.in_flight),
        ("openred_http_requests_in_flight_limit", "API requests that may be under way", figures.in_flight_limit),
        ("openred_http_watchers", "Streams of changes that are open", figures.watchers),
        ("openred_http_watchers_limit", "Streams of changes that may be open", figures.watchers_limit),
    ];
    for (name, help, value) in gauges {
        text.metric(name, Kind::Gauge, help).sample(&[], value as f64);
    }
    let help = "API requests turned away by their class: for load, by the client's address, by its credential";
    let mut refused = text.metric("openred_http_refused_total", Kind::Counter, help);
    for (class, counts) in Class::ALL.iter().zip(figures.refused) {
        for (reason, count) in REASONS.iter().zip(counts) {
            refused.sample(&[("class", class.as_str()), ("reason", reason)], count as f64);
        }
    }
}

fn directory(text: &mut Exposition, shared: &Shared) {
    let stats = shared.directory.registry.stats();
    let mut nodes =
        text.metric("openred_directory_nodes", Kind::Gauge, "Registered nodes by the state of their lifecycle");
    for (state, count) in State::ALL.iter().zip(stats.states) {
        nodes.sample(&[("state", state.as_str())], count as f64);
    }
    let mut brake =
        text.metric("openred_directory_brake", Kind::Gauge, "Whether silent nodes are not judged, by the cause");
    for cause in [Cause::MassSilence, Cause::Absence] {
        let holds = stats.held.is_some_and(|held| held.cause == cause);
        brake.sample(&[("cause", cause.as_str())], if holds { 1.0 } else { 0.0 });
    }
    let silent = stats.held.map_or(0, |held| held.silent);
    let gauges = [
        ("openred_directory_services", "Services that a lookup names", stats.services),
        ("openred_directory_brake_silent_nodes", "Nodes that went silent while the brake holds", silent),
        ("openred_directory_write_queue", "Writes that wait for the database", stats.queued),
        ("openred_directory_write_queue_limit", "Writes that may wait for the database", stats.queue),
        ("openred_directory_unflushed_heartbeats", "Signs of life that are not written down", stats.unflushed),
        (
            "openred_directory_database_up",
            "Whether the database does what is asked of it",
            usize::from(!stats.is_store_down),
        ),
    ];
    for (name, help, value) in gauges {
        text.metric(name, Kind::Gauge, help).sample(&[], value as f64);
    }
    text.metric("openred_directory_changes_total", Kind::Counter, "Changes of nodes and services")
        .sample(&[], stats.newest_change as f64);
}
