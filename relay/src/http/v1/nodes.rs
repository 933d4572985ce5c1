//! `/v1/nodes`: who is there.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::{PeerId, PublicKey};
use multiaddr::Multiaddr;
use openred_core::{
    address::parse_multiaddr,
    lifecycle::{Standing, State as LifeState},
    peer_record::SignedPeerRecord,
    record::SignedRecord,
    wire::envelope::inline_key,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    cursor,
    extract::{Body, Path, Query, peer_id},
    page_size, read_cursor,
    services::record_of,
};
use crate::{
    directory::{
        registry::{Addresses, NodeView, Registration},
        store::NodeQuery,
    },
    http::{Shared, audit, conditional, identify::Known, problem::Problem},
};

/// What becomes out of date within a heartbeat is asked for again.
const ALWAYS_ASK: &str = "no-cache";

/// Services of one registration; more are published by `POST /v1/services`.
const MOST_RECORDS: usize = 64;

/// Milliseconds. Deadlines run on another clock than the one they are told by, so the last digits differ from look to look, and
/// an answer that is the same must have the same entity tag.
const MINUTE: u64 = 60_000;

/// A node as the directory sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    /// The peer id, base58.
    peer_id: String,
    /// Where it says it can be reached, the most important address first.
    addresses: Vec<String>,
    /// The libp2p peer record that says so, signed by the node, in base64url; for everybody to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// Where it stands, in its own words.
    region: String,
    /// Whatever else it says.
    metadata: BTreeMap<String, String>,
    /// Grows with every registration.
    sequence: u64,
    /// When it registered first.
    registered_at: u64,
    /// When it last said something new of itself.
    updated_at: u64,
    /// Its last sign of life.
    heard_at: u64,
    /// Where it stands in its lifecycle: `active`, `draining`, `pending-first-check`, `failed-first-check`, `retry-48-hours`,
    /// `retry-2-weeks`, `retry-2-months` or `coma`.
    #[schema(example = "active")]
    state: &'static str,
    /// Since when.
    state_since: u64,
    /// When that ends unless the node is heard, rounded up to a minute.
    state_until: u64,
    /// How many services it offers here.
    services: usize,
}

impl From<NodeView> for Node {
    fn from(view: NodeView) -> Self {
        let NodeView { info, standing, heard, services, .. } = view;
        Self {
            peer_id: info.peer.to_string(),
            addresses: info.addresses.iter().map(ToString::to_string).collect(),
            record: info.envelope.as_deref().map(|envelope| BASE64URL_NOPAD.encode(envelope)),
            region: info.region.to_string(),
            metadata: info.metadata.clone(),
            sequence: info.sequence,
            registered_at: info.registered,
            updated_at: info.updated,
            heard_at: heard,
            state: standing.state.as_str(),
            state_since: standing.since,
            state_until: standing.deadline.checked_next_multiple_of(MINUTE).unwrap_or(standing.deadline),
            services,
        }
    }
}

/// Which nodes.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NodesQuery {
    /// Only of this region.
    region: Option<String>,
    /// Only in this state; several are separated by commas.
    #[param(example = "active,draining")]
    state: Option<String>,
    /// Items of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Part of the list of nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodesPage {
    nodes: Vec<Node>,
    /// The `cursor` of the next page; missing in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lists nodes.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", operation_id = "listNodes", params(NodesQuery),
    responses((status = 200, description = "A page of them", body = NodesPage),
        (status = 304, description = "The page that the client has is the current one")))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(query): Query<NodesQuery>,
) -> Result<Response, Problem> {
    let states = query.state.iter().flat_map(|text| text.split(',')).map(|text| {
        text.trim().parse::<LifeState>().map_err(|error| Problem::bad_request(error.to_string()).code("STATE_INVALID"))
    });
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let after = query.cursor.as_deref().map(peer_cursor).transpose()?;
    let region = query.region.filter(|region| !region.is_empty());
    let question = NodeQuery { region, states };
    let page = shared.directory.registry.nodes(question, after, page_size(query.limit)).await?;
    let nodes = page.items.into_iter().filter(|node| !node.withheld).map(Node::from).collect();
    let next = page.next.map(|peer| cursor(&peer.to_bytes()));
    Ok(conditional::json(&headers, ALWAYS_ASK, &NodesPage { nodes, next }))
}

fn peer_cursor(text: &str) -> Result<PeerId, Problem> {
    let wrong = || Problem::bad_request("the cursor is not one of this list's").code("CURSOR_INVALID");
    PeerId::from_bytes(&read_cursor(text)?).map_err(|_| wrong())
}

/// One node.
#[utoipa::path(get, path = "/v1/nodes/{peerId}", tag = "nodes", operation_id = "node",
    params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 200, description = "The node", body = Node), (status = 404, description = "It is not registered here"),
        (status = 304, description = "What the client has is current")))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(peer): Path<String>,
) -> Result<Response, Problem> {
    let peer = peer_id(&peer)?;
    let view = shared.directory.registry.node(&peer).filter(|view| !view.withheld);
    let view = view.ok_or_else(|| unknown(&peer))?;
    Ok(conditional::json(&headers, ALWAYS_ASK, &Node::from(view)))
}

fn unknown(peer: &PeerId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("{peer} is not registered here")).code("NOT_FOUND")
}

/// What a node says of itself.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RegisterNode {
    /// Its libp2p peer record (libp2p/specs, RFC 0003), signed by itself, in base64url. In the place of `addresses`: everybody
    /// can check it.
    record: Option<String>,
    /// Where it can be reached, as multiaddrs, the most important first; for nodes that sign no peer records.
    #[serde(default)]
    addresses: Vec<String>,
    /// Where it stands, in its own words; at most 32 bytes.
    #[serde(default)]
    #[schema(max_length = 32, example = "eu")]
    region: String,
    /// Whatever else it says; at most 32 entries and 1024 bytes.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Its public key in libp2p's protobuf encoding, in base64url; only RSA nodes need it, others have it in their peer id.
    public_key: Option<String>,
    /// Signed service records (proto/record.proto of openred-core), in base64url: what the node offers.
    #[serde(default)]
    #[schema(max_items = 64)]
    services: Vec<String>,
}

/// What a registration came to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegisteredNode {
    /// Where the node stands in its lifecycle.
    #[schema(example = "active")]
    pub(super) state: &'static str,
    /// When that ends unless the node is heard.
    pub(super) state_until: u64,
    /// How often a heartbeat should come, in milliseconds. A node that is connected to this relay peer-to-peer needs to send none.
    pub(super) heartbeat_ms: u64,
}

impl RegisteredNode {
    pub(super) fn new(shared: &Shared, standing: Standing) -> Self {
        let interval = shared.directory.registry.heartbeat_interval();
        Self {
            state: standing.state.as_str(),
            state_until: standing.deadline.checked_next_multiple_of(MINUTE).unwrap_or(standing.deadline),
            heartbeat_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Registers the node that asks, or says something new of it. When the answer comes, it is durable.
#[utoipa::path(put, path = "/v1/nodes/{peerId}", tag = "nodes", operation_id = "registerNode",
    security(("peerId" = []), ("bearer" = [])), request_body = RegisterNode,
    params(("peerId" = String, Path, description = "The peer id of the node that asks, base58")),
    responses((status = 200, description = "It was known before", body = RegisteredNode),
        (status = 201, description = "It is new", body = RegisteredNode),
        (status = 409, description = "A newer statement is here already"),
        (status = 422, description = "A record in it is not right")))]
pub(crate) async fn register(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Path(peer): Path<String>,
    Body(request): Body<RegisterNode>,
) -> Result<Response, Problem> {
    let peer = own(&known, &peer)?;
    if request.services.len() > MOST_RECORDS {
        let detail = format!("at most {MOST_RECORDS} services at a time; publish more with POST /v1/services");
        return Err(Problem::bad_request(detail).code("QUOTA"));
    }
    // All records are looked at before anything is written.
    let records = request.services.iter().map(|text| record_of(text, Some(&peer)));
    let records = records.collect::<Result<Vec<SignedRecord>, _>>()?;
    let registration = Registration {
        public_key: key_of(&peer, request.public_key.as_deref())?,
        addresses: addresses_of(request.record.as_deref(), &request.addresses)?,
        region: request.region,
        metadata: request.metadata,
    };
    let registry = &shared.directory.registry;
    let registered = registry.register(registration).await?;
    let publish = async {
        for record in records {
            registry.publish(record).await?;
        }
        Ok::<_, Problem>(())
    };
    let note = async {
        if registered.is_new {
            audit::record(&shared, &peer.to_string(), "node:register", "", "").await;
        }
    };
    // Both wait for the disk, and can wait for the same turn of it.
    let (published, ()) = tokio::join!(publish, note);
    published?;
    let status = if registered.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(RegisteredNode::new(&shared, registered.standing))).into_response())
}

/// Forgets the node that asks, and its services.
#[utoipa::path(delete, path = "/v1/nodes/{peerId}", tag = "nodes", operation_id = "deregisterNode",
    security(("peerId" = []), ("bearer" = [])),
    params(("peerId" = String, Path, description = "The peer id of the node that asks, base58")),
    responses((status = 204, description = "It is gone"), (status = 404, description = "It was not registered")))]
pub(crate) async fn deregister(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Path(peer): Path<String>,
) -> Result<StatusCode, Problem> {
    let peer = own(&known, &peer)?;
    shared.directory.registry.deregister(peer).await?;
    audit::record(&shared, &peer.to_string(), "node:deregister", "", "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Says that the node that asks is about to stop: its services are not named any more, and its silence is no fault. A heartbeat
/// takes that back.
#[utoipa::path(post, path = "/v1/nodes/{peerId}/drain", tag = "nodes", operation_id = "drainNode",
    security(("peerId" = []), ("bearer" = [])),
    params(("peerId" = String, Path, description = "The peer id of the node that asks, base58")),
    responses((status = 200, description = "It is draining", body = RegisteredNode),
        (status = 404, description = "It is not registered")))]
pub(crate) async fn drain(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Path(peer): Path<String>,
) -> Result<Json<RegisteredNode>, Problem> {
    let peer = own(&known, &peer)?;
    let standing = shared.directory.registry.farewell(&peer)?;
    Ok(Json(RegisteredNode::new(&shared, standing)))
}

/// The node in the path, which must be the one that asks.
pub(super) fn own(known: &Known, text: &str) -> Result<PeerId, Problem> {
    let peer = peer_id(text)?;
    if peer == known.peer {
        return Ok(peer);
    }
    let detail = format!("you are {}; a node speaks for itself only", known.peer);
    Err(Problem::new(StatusCode::FORBIDDEN, detail).code("PEER_MISMATCH"))
}

/// The public key of a peer: of Ed25519 peers the id holds it, others send it along.
pub(super) fn key_of(peer: &PeerId, given: Option<&str>) -> Result<PublicKey, Problem> {
    let given = given.map(bytes_of).transpose()?;
    let bytes = given.or_else(|| inline_key(peer).map(<[u8]>::to_vec)).ok_or_else(|| {
        Problem::bad_request("`publicKey` is needed, since this peer id does not hold its key").code("KEY_INVALID")
    })?;
    let key = PublicKey::try_decode_protobuf(&bytes).ok().filter(|key| key.to_peer_id() == *peer);
    key.ok_or_else(|| Problem::bad_request("`publicKey` is not the key of this peer id").code("KEY_INVALID"))
}

pub(super) fn bytes_of(text: &str) -> Result<Vec<u8>, Problem> {
    BASE64URL_NOPAD
        .decode(text.trim_end_matches('=').as_bytes())
        .map_err(|_| Problem::bad_request("bytes are written in base64url (RFC 4648, 5)").code("BASE64_INVALID"))
}

fn addresses_of(record: Option<&str>, addresses: &[String]) -> Result<Addresses, Problem> {
    let Some(record) = record else {
        let parse = |text: &String| {
            parse_multiaddr(text).map_err(|_| {
                Problem::bad_request("an address is not a multiaddr such as /ip4/192.0.2.1/tcp/4001")
                    .code("INVALID_ADDRESS")
            })
        };
        return Ok(Addresses::Stated(addresses.iter().map(parse).collect::<Result<Vec<Multiaddr>, _>>()?));
    };
    if !addresses.is_empty() {
        return Err(Problem::bad_request("give `record` or `addresses`, not both").code("BODY_INVALID"));
    }
    let record = SignedPeerRecord::decode(&bytes_of(record)?);
    let record =
        record.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).code("REFUSED"))?;
    Ok(Addresses::Signed(Box::new(record)))
}
