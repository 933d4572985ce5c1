//! `/routing/v1`: delegated routing (specs.ipfs.tech, `http-routing-v1`), so that clients made for IPFS find providers and peers.
//!
//! The CID of a service is that of its provider key in the DHT: version 1, codec raw, the sha2-256 of
//! `/openred/<network>/service/<name>`. Answers come from the directory, from what this relay holds for the DHT, and from a find
//! if the directory knows the name behind the hash ([`names`]). JSON waits for the find; NDJSON begins with what is at hand.
//!
//! Bounds: providers of an answer, time of a find. IPNS is not served.

pub(crate) mod cid;
pub(crate) mod filter;
pub(crate) mod names;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use libp2p_identity::PeerId;
use multiaddr::Multiaddr;
use openred_core::name::{ServiceName, ServiceTarget};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{cid::Cid, filter::Filter};
use super::{
    Shared,
    conditional::items,
    problem::Problem,
    v1::extract::{Path, Query},
};

/// Providers of one answer.
const MOST: usize = 100;

/// Time of a find; with the rest it stays below the time of a request.
const FIND: Duration = Duration::from_secs(5);

/// How long an answer may be kept: the specification's figures for one with content and for an empty one.
const WITH_CONTENT: &str = "public, max-age=300, stale-while-revalidate=172800, stale-if-error=172800";
const EMPTY: &str = "public, max-age=15, stale-while-revalidate=172800, stale-if-error=172800";

const NDJSON: &str = "application/x-ndjson";

/// The two routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(providers)).routes(routes!(peers))
}

/// A peer in the schema of delegated routing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PeerSchema {
    /// Always `peer`.
    schema: &'static str,
    /// The peer id, base58.
    #[serde(rename = "ID")]
    #[schema(rename = "ID")]
    id: String,
    /// Its addresses.
    addrs: Vec<String>,
    /// Protocols of content that it speaks; those of services are not told.
    protocols: Vec<String>,
}

impl PeerSchema {
    fn new(peer: &PeerId, addresses: &[Multiaddr], filter: &Filter) -> Option<Self> {
        let addresses = filter.apply(addresses)?;
        let addrs = addresses.iter().map(ToString::to_string).collect();
        Some(Self { schema: "peer", id: peer.to_string(), addrs, protocols: Vec::new() })
    }
}

/// Which addresses are wanted (IPIP-484).
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterQuery {
    /// Names of multiaddr protocols separated by commas: addresses with one of them stay, with `!name` those without it;
    /// `unknown` keeps peers without addresses.
    #[param(example = "!p2p-circuit")]
    filter_addrs: Option<String>,
    /// Names of transfer protocols separated by commas. Nobody here has any, so peers stay if `unknown` is among them.
    #[param(example = "unknown")]
    filter_protocols: Option<String>,
}

/// Who provides a service.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProvidersAnswer {
    providers: Vec<PeerSchema>,
}

/// Where a peer is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PeersAnswer {
    peers: Vec<PeerSchema>,
}

/// Who provides the service whose CID this is; as JSON, or as a stream of NDJSON if `accept` asks for it.
#[utoipa::path(get, path = "/routing/v1/providers/{cid}", tag = "routing", operation_id = "findProviders",
    params(("cid" = String, Path, description = "Version 1, raw, sha2-256 of /openred/<network>/service/<name>",
        example = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"), FilterQuery),
    responses((status = 200, description = "The providers; none if nobody is known", content(
        (ProvidersAnswer = "application/json"), (PeerSchema = "application/x-ndjson"))),
        (status = 422, description = "It is no CID")))]
pub(crate) async fn providers(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(text): Path<String>,
    Query(query): Query<FilterQuery>,
) -> Result<Response, Problem> {
    let cid: Cid = text.parse().map_err(|_| unprocessable("this is no CID"))?;
    let filter = Filter::new(query.filter_addrs.as_deref(), query.filter_protocols.as_deref());
    let name = match cid.sha2_256() {
        Some(digest) => shared.names.name(&shared, &digest).await?,
        None => None,
    };
    let mut known = BTreeMap::new();
    if let Some(name) = &name {
        for view in shared.directory.registry.lookup(name, None, MOST) {
            let record = view.record.into_record();
            known.insert(record.provider, record.endpoints);
        }
    }
    for (peer, addresses) in shared.peering.providers(&cid.multihash) {
        known.entry(peer).or_insert(addresses);
    }
    let schema = |(peer, addresses): (PeerId, Vec<Multiaddr>)| PeerSchema::new(&peer, &addresses, &filter);
    if !wants_ndjson(&headers) {
        if let Some(name) = name {
            for (peer, addresses) in find(&shared, name).await {
                known.entry(peer).or_insert(addresses);
            }
        }
        let providers: Vec<_> = known.into_iter().take(MOST).filter_map(schema).collect();
        let cache = if providers.is_empty() { EMPTY } else { WITH_CONTENT };
        return Ok(answer(cache, Json(ProvidersAnswer { providers })));
    }
    let at_hand: Vec<_> = known.clone().into_iter().take(MOST).filter_map(schema).map(|peer| line(&peer)).collect();
    let later = async move {
        let found = match name {
            Some(name) => find(&shared, name).await,
            None => Vec::new(),
        };
        let new = found.into_iter().filter(|(peer, _)| !known.contains_key(peer));
        new.take(MOST)
            .filter_map(|(peer, addresses)| PeerSchema::new(&peer, &addresses, &filter))
            .map(|peer| line(&peer))
            .collect()
    };
    // An empty first chunk is not sent, so that what is at hand goes out at once and the rest when it comes.
    let chunks = stream::iter([at_hand.concat()]).chain(stream::once(async move {
        let lines: Vec<Vec<u8>> = later.await;
        lines.concat()
    }));
    let chunks = chunks.filter(|chunk| std::future::ready(!chunk.is_empty()));
    Ok(ndjson(Body::from_stream(chunks.map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk))))))
}

/// Where a peer can be reached; as JSON, or as NDJSON if `accept` asks for it.
#[utoipa::path(get, path = "/routing/v1/peers/{peerId}", tag = "routing", operation_id = "findPeers",
    params(("peerId" = String, Path, description = "A peer id as a CID (codec libp2p-key) or in base58",
        example = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"), FilterQuery),
    responses((status = 200, description = "The peer, if it is known", content(
        (PeersAnswer = "application/json"), (PeerSchema = "application/x-ndjson"))),
        (status = 422, description = "It is no peer id")))]
pub(crate) async fn peers(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(text): Path<String>,
    Query(query): Query<FilterQuery>,
) -> Result<Response, Problem> {
    let peer = cid::peer_id(&text).ok_or_else(|| unprocessable("this is no peer id"))?;
    let filter = Filter::new(query.filter_addrs.as_deref(), query.filter_protocols.as_deref());
    let registered = shared.directory.registry.node(&peer).filter(|view| !view.withheld);
    let mut addresses = registered.map(|view| view.info.addresses.to_vec()).unwrap_or_default();
    for address in shared.peering.addresses_of(&peer) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let found = if addresses.is_empty() { None } else { PeerSchema::new(&peer, &addresses, &filter) };
    if wants_ndjson(&headers) {
        return Ok(ndjson(Body::from(found.as_ref().map(line).unwrap_or_default())));
    }
    let cache = if found.is_some() { WITH_CONTENT } else { EMPTY };
    Ok(answer(cache, Json(PeersAnswer { peers: found.into_iter().collect() })))
}

async fn find(shared: &Shared, name: ServiceName) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let target = ServiceTarget { name, provider: None };
    let records = shared.peering.find(target, FIND).await;
    records.into_iter().map(|record| (record.provider, record.endpoints)).collect()
}

/// The status that the specification has for what does not conform.
fn unprocessable(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).code("CID_INVALID")
}

/// Whether NDJSON stands in `Accept`; clients that can read it prefer it.
fn wants_ndjson(headers: &HeaderMap) -> bool {
    items(headers, ACCEPT)
        .any(|item| item.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(NDJSON)))
}

fn line(peer: &PeerSchema) -> Vec<u8> {
    let mut line = serde_json::to_vec(peer).unwrap_or_default();
    line.push(b'\n');
    line
}

fn ndjson(body: Body) -> Response {
    let mut response = answer(EMPTY, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

fn answer(cache: &'static str, body: impl IntoResponse) -> Response {
    ([(CACHE_CONTROL, cache), (VARY, "accept")], body).into_response()
}
