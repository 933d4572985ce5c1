//! `openred directory`: a relay's directory from the outside, by its API; and its database, where it lies.
//!
//! What is printed for programs is what the API answers, one object a line.

pub(crate) mod client;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod register;
pub(crate) mod show;
pub(crate) mod snapshot;

use std::time::Duration;

use serde_json::Value;

use super::output::readable;
use crate::clock;

/// A text of an answer; nothing if it is not there.
fn text(object: &Value, field: &str) -> String {
    match &object[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// How long ago a time of an answer is.
fn ago(object: &Value, field: &str) -> String {
    let Some(at) = object[field].as_u64() else { return String::new() };
    readable(Duration::from_millis(clock::millis().saturating_sub(at)))
}

/// The first of a list, and how many more there are.
fn first_of(object: &Value, field: &str) -> String {
    let items = object[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = items.first().and_then(Value::as_str).unwrap_or_default();
    if items.len() > 1 { format!("{first} (+{})", items.len() - 1) } else { first.to_owned() }
}

/// Type, clusters and metadata in one cell.
fn about(service: &Value) -> String {
    let kind = Some(text(service, "type")).filter(|kind| !kind.is_empty()).map(|kind| format!("type={kind}"));
    let clusters = service["clusters"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let clusters = clusters.map(|cluster| format!("cluster={cluster}"));
    kind.into_iter()
        .chain(clusters)
        .chain([pairs(&service["metadata"])])
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

/// `key=value` of each entry.
fn pairs(metadata: &Value) -> String {
    let entries = metadata.as_object().into_iter().flatten();
    entries.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(" ")
}
