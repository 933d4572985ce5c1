//! Heartbeats: one of the node that asks, or many that were signed by their nodes.
//!
//! A signed heartbeat is a signature over three parts, each behind its length as an unsigned varint: the text
//! `openred-heartbeat`, the bytes of the directory's peer id, and the time in milliseconds as decimal text. It counts while that
//! time is not more than a minute off, so seen again it tells nothing new.

use std::sync::Arc;

use axum::{Json, extract::State};
use libp2p_identity::PeerId;
use openred_core::{token::LEEWAY, wire::frame};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    extract::{Body, Path, peer_id},
    nodes::{RegisteredNode, bytes_of, key_of, own},
};
use crate::{
    clock,
    http::{Shared, identify::Known, problem::Problem},
};

/// Heartbeats of one batch: some ten milliseconds of signatures.
const MOST: usize = 256;

/// What tells a heartbeat from everything else that a node signs.
const DOMAIN: &[u8] = b"openred-heartbeat";

/// A sign of life of the node that asks. It wakes a node from every state of its lifecycle.
#[utoipa::path(post, path = "/v1/nodes/{peerId}/heartbeat", tag = "nodes", operation_id = "heartbeat",
    security(("peerId" = []), ("bearer" = [])),
    params(("peerId" = String, Path, description = "The peer id of the node that asks, base58")),
    responses((status = 200, description = "It is active", body = RegisteredNode),
        (status = 404, description = "It is not registered, so it must register again")))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Path(peer): Path<String>,
) -> Result<Json<RegisteredNode>, Problem> {
    let peer = own(&known, &peer)?;
    let standing = shared.directory.registry.heartbeat(&peer)?;
    Ok(Json(RegisteredNode::new(&shared, standing)))
}

/// Signs of life of many nodes, each signed by its node.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Heartbeats {
    #[schema(max_items = 256)]
    heartbeats: Vec<SignedHeartbeat>,
}

/// One of them.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignedHeartbeat {
    /// Whose it is, base58; a peer id that holds its key.
    peer_id: String,
    /// When it was signed.
    at: u64,
    /// The signature in base64url. It covers, each behind its length as an unsigned varint: the text `openred-heartbeat`, the
    /// bytes of the directory's peer id, and `at` as decimal text.
    signature: String,
}

/// What became of each, in the order of the question.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeartbeatsAnswer {
    results: Vec<HeartbeatResult>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeartbeatResult {
    /// Whose it is.
    peer_id: String,
    /// The state of the node, if the heartbeat counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why it does not count: `NOT_FOUND` (register again), `HEARTBEAT_TIME`, `HEARTBEAT_SIGNATURE`, `PEER_INVALID`, `KEY_INVALID`,
    /// `BASE64_INVALID` or `REFUSED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Takes signs of life of many nodes from whoever collects them. Each stands for itself; nobody needs to be known.
#[utoipa::path(post, path = "/v1/heartbeats", tag = "nodes", operation_id = "heartbeats", request_body = Heartbeats,
    responses((status = 200, description = "What became of each", body = HeartbeatsAnswer)))]
pub(crate) async fn batch(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<Heartbeats>,
) -> Result<Json<HeartbeatsAnswer>, Problem> {
    if request.heartbeats.len() > MOST {
        return Err(Problem::bad_request(format!("at most {MOST} heartbeats at a time")).code("QUOTA"));
    }
    let now = clock::millis();
    let results = request.heartbeats.into_iter().map(|heartbeat| {
        let (state, code) = match accept(&shared, &heartbeat, now) {
            Ok(state) => (Some(state), None),
            Err(code) => (None, Some(code)),
        };
        HeartbeatResult { peer_id: heartbeat.peer_id, state, code }
    });
    Ok(Json(HeartbeatsAnswer { results: results.collect() }))
}

fn accept(shared: &Shared, heartbeat: &SignedHeartbeat, now: u64) -> Result<&'static str, &'static str> {
    if heartbeat.at.abs_diff(now) > LEEWAY.as_millis() as u64 {
        return Err("HEARTBEAT_TIME");
    }
    let peer = peer_id(&heartbeat.peer_id).map_err(|_| "PEER_INVALID")?;
    let registry = &shared.directory.registry;
    // A signature is checked for nodes that are here only.
    if !registry.knows(&peer) {
        return Err("NOT_FOUND");
    }
    let key = key_of(&peer, None).map_err(|_| "KEY_INVALID")?;
    let signature = bytes_of(&heartbeat.signature).map_err(|_| "BASE64_INVALID")?;
    if !key.verify(&signed_bytes(&shared.directory.issuer.own(), heartbeat.at), &signature) {
        return Err("HEARTBEAT_SIGNATURE");
    }
    registry.heartbeat(&peer).map(|standing| standing.state.as_str()).map_err(|error| error.code())
}

/// What a node signs as its heartbeat to `directory` at `at`.
pub(crate) fn signed_bytes(directory: &PeerId, at: u64) -> Vec<u8> {
    [DOMAIN, &directory.to_bytes(), at.to_string().as_bytes()].map(frame).concat()
}
