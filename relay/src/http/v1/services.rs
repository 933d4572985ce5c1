//! `/v1/services`: what is offered.
//!
//! A service is a record that its provider signed, the same as in the DHT. A directory can leave one out; it can neither make nor
//! change one, and every answer carries the signed bytes (`record`) for the client to check.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::PeerId;
use openred_core::{
    name::ServiceTarget,
    record::SignedRecord,
    wire::{bundle, frame, unframe},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    cursor,
    extract::{Body, Path, Query},
    nodes::bytes_of,
    page_size, read_cursor,
};
use crate::{
    clock,
    directory::{
        registry::ServiceView,
        store::{ServiceKey, ServiceQuery, Words},
    },
    http::{Shared, conditional, problem::Problem},
};

const ALWAYS_ASK: &str = "no-cache";

/// Providers of one name in one answer.
const MOST_PROVIDERS: usize = 100;

/// Records that are published at a time.
const MOST_RECORDS: usize = 64;

/// A service that a provider offers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Service {
    /// The service's name.
    #[schema(example = "chess")]
    name: String,
    /// What sort of service it is, in the provider's words.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    kind: String,
    /// The provider's peer id, base58.
    provider: String,
    /// Where it can be reached, as multiaddrs.
    endpoints: Vec<String>,
    /// Whatever else the provider says.
    metadata: BTreeMap<String, String>,
    /// Where the provider is, in its own words.
    region: String,
    /// The clusters the service belongs to.
    clusters: Vec<String>,
    /// Grows with each record of the same provider and name.
    sequence: u64,
    /// When the record was made.
    issued_at: u64,
    /// How long it holds from then on, in milliseconds.
    ttl: u64,
    /// The layer that gave it: `directory` or `dht`.
    layer: &'static str,
    /// Where the provider stands in its lifecycle; only of registered nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// The provider's last sign of life; only of registered nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<u64>,
    /// All of this as the provider signed it (proto/record.proto of openred-core), in base64url.
    record: String,
}

impl Service {
    fn new(signed: &SignedRecord, layer: &'static str) -> Self {
        let record = signed.record();
        Self {
            name: record.name.to_string(),
            kind: record.kind.clone(),
            provider: record.provider.to_string(),
            endpoints: record.endpoints.iter().map(ToString::to_string).collect(),
            metadata: record.metadata.clone(),
            region: record.region.clone(),
            clusters: record.clusters.clone(),
            sequence: record.sequence,
            issued_at: record.issued_at,
            ttl: record.ttl,
            layer,
            state: None,
            heard_at: None,
            record: BASE64URL_NOPAD.encode(signed.envelope()),
        }
    }
}

impl From<&ServiceView> for Service {
    fn from(view: &ServiceView) -> Self {
        let state = Some(view.state.as_str());
        Self { state, heard_at: Some(view.heard), ..Self::new(&view.record, "directory") }
    }
}

/// Which services.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ServicesQuery {
    /// Words, each of which begins a word of the name, type, region, clusters or metadata.
    text: Option<String>,
    /// Only of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only of this region.
    region: Option<String>,
    /// Only in this cluster.
    cluster: Option<String>,
    /// Items of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Services.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServicesPage {
    services: Vec<Service>,
    /// The `cursor` of the next page; missing in the last one. A page with a next one may have few items, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Searches and lists services of registered nodes that are there, in the order of their names.
#[utoipa::path(get, path = "/v1/services", tag = "services", operation_id = "searchServices", params(ServicesQuery),
    responses((status = 200, description = "A page of them", body = ServicesPage),
        (status = 304, description = "The page that the client has is the current one")))]
pub(crate) async fn search(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<ServicesQuery>,
) -> Result<Response, Problem> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let question = ServiceQuery {
        words: Words::of(query.text.as_deref().unwrap_or_default()),
        kind: given(query.kind),
        region: given(query.region),
        cluster: given(query.cluster),
        ..ServiceQuery::default()
    };
    let after = query.cursor.as_deref().map(service_cursor).transpose()?;
    let page = shared.directory.registry.services(question, after, page_size(query.limit)).await?;
    let services = page.items.iter().map(Service::from).collect();
    let next = page
        .next
        .map(|key| cursor(&[key.provider.to_bytes(), key.name.into_bytes()].map(|part| frame(&part)).concat()));
    Ok(conditional::json(&headers, ALWAYS_ASK, &ServicesPage { services, next }))
}

fn service_cursor(text: &str) -> Result<ServiceKey, Problem> {
    let bytes = read_cursor(text)?;
    let read = || {
        let (provider, used) = unframe(&bytes, bytes.len()).ok()??;
        let (name, _) = unframe(&bytes[used..], bytes.len()).ok()??;
        Some(ServiceKey {
            name: std::str::from_utf8(name).ok()?.to_owned(),
            provider: PeerId::from_bytes(provider).ok()?,
        })
    };
    read().ok_or_else(|| Problem::bad_request("the cursor is not one of this list's").code("CURSOR_INVALID"))
}

/// Who offers a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Providers {
    services: Vec<Service>,
}

/// Who offers a service: registered nodes that are there, and what this relay knows of the DHT. Nobody is asked.
#[utoipa::path(get, path = "/v1/services/{name}", tag = "services", operation_id = "lookupService",
    params(("name" = String, Path, description = "The service's name, or the name, @ and a provider's peer id",
        example = "chess")),
    responses((status = 200, description = "Its providers; none if nobody is known", body = Providers),
        (status = 304, description = "What the client has is current")))]
pub(crate) async fn lookup(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(target): Path<String>,
) -> Result<Response, Problem> {
    let target: ServiceTarget =
        target.parse().map_err(|error| Problem::bad_request(format!("{error}")).code("INVALID_NAME"))?;
    let registered = shared.directory.registry.lookup(&target.name, target.provider.as_ref(), MOST_PROVIDERS);
    let seen: Vec<_> = registered.iter().map(|view| view.record.record().provider).collect();
    let mut services: Vec<Service> = registered.iter().map(Service::from).collect();
    for record in known_to_the_node(&shared, &target) {
        if !seen.contains(&record.record().provider) && services.len() < MOST_PROVIDERS {
            services.push(Service::new(&record, "dht"));
        }
    }
    Ok(conditional::json(&headers, ALWAYS_ASK, &Providers { services }))
}

/// The living records that the node behind this relay holds or remembers; it has verified them.
fn known_to_the_node(shared: &Shared, target: &ServiceTarget) -> Vec<SignedRecord> {
    let Some(bytes) = shared.peering.bundle(target) else { return Vec::new() };
    let envelopes = bundle::decode(&bytes).unwrap_or_default();
    let now = clock::millis();
    let records = envelopes.into_iter().filter_map(|envelope| SignedRecord::restore(envelope.to_vec()).ok());
    records.filter(|record| !record.record().withdrawn && record.check_time(now).is_ok()).collect()
}

/// Records to publish.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PublishServices {
    /// Signed service records (proto/record.proto of openred-core), in base64url. A withdrawal is such a record too.
    #[schema(max_items = 64)]
    records: Vec<String>,
}

/// What became of the records, in the order of the question.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    results: Vec<PublishedRecord>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishedRecord {
    /// The service's name, if the record could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether the record counts now. The same record again counts too.
    accepted: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Publishes records, changes or withdraws services. Each record proves itself, so whoever has one may bring it; its provider must
/// be registered. When the answer comes, accepted records are durable.
#[utoipa::path(post, path = "/v1/services", tag = "services", operation_id = "publishServices", request_body = PublishServices,
    responses((status = 200, description = "What became of each", body = Published)))]
pub(crate) async fn publish(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<PublishServices>,
) -> Result<Json<Published>, Problem> {
    if request.records.len() > MOST_RECORDS {
        return Err(Problem::bad_request(format!("at most {MOST_RECORDS} records at a time")).code("QUOTA"));
    }
    let mut results = Vec::with_capacity(request.records.len());
    for text in &request.records {
        results.push(publish_one(&shared, text).await);
    }
    Ok(Json(Published { results }))
}

async fn publish_one(shared: &Shared, text: &str) -> PublishedRecord {
    let refused =
        |name, code, detail| PublishedRecord { name, accepted: false, code: Some(code), detail: Some(detail) };
    let bytes = match bytes_of(text) {
        Ok(bytes) => bytes,
        Err(_) => return refused(None, "BASE64_INVALID", "bytes are written in base64url".to_owned()),
    };
    let record = match SignedRecord::decode(&bytes) {
        Ok(record) => record,
        Err(error) => return refused(None, error.code(), error.to_string()),
    };
    let name = record.record().name.to_string();
    match shared.directory.registry.publish(record).await {
        Ok(_) => PublishedRecord { name: Some(name), accepted: true, code: None, detail: None },
        Err(error) => refused(Some(name), error.code(), error.to_string()),
    }
}

/// A record in base64url, signed by `provider` if one is given.
pub(super) fn record_of(text: &str, provider: Option<&PeerId>) -> Result<SignedRecord, Problem> {
    let refused = |detail: String, code| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).code(code);
    let record = SignedRecord::decode(&bytes_of(text)?).map_err(|error| refused(error.to_string(), error.code()))?;
    match provider {
        Some(provider) if record.record().provider != *provider => {
            Err(refused(format!("a record is by {}, not by {provider}", record.record().provider), "REFUSED"))
        }
        _ => Ok(record),
    }
}
