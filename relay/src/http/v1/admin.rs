//! `/v1/admin`: for the operator, who has the admin token. Without one configured the routes do not open for anybody.
//!
//! Pages of other origins cannot use these routes: they have no CORS headers.

use std::sync::Arc;

use axum::{
    Json,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Body, Path, Query, peer_id},
    nodes::Node,
    page_size, revoke_peer,
    status::Status,
};
use crate::{
    directory::{registry::RegistryError, store::AuditRow},
    http::{
        Shared, audit,
        gateway::{self, Class, Classes},
        identify::bearer,
        problem::Problem,
        refusing_other_methods,
    },
};

/// Who does what is done here, in the audit trail.
const OPERATOR: &str = "operator";

/// The routes, each behind the token.
pub(super) fn routes(shared: &Arc<Shared>) -> OpenApiRouter<Arc<Shared>> {
    let routes = OpenApiRouter::new()
        .routes(routes!(stats))
        .routes(routes!(inspect, evict))
        .routes(routes!(withhold, restore))
        .routes(routes!(ban, unban))
        .routes(routes!(drain, resume))
        .routes(routes!(release_brake))
        .routes(routes!(trail));
    refusing_other_methods(routes)
        .layer(from_fn_with_state(Arc::clone(shared), only_the_operator))
        .layer(DefaultBodyLimit::max(gateway::BODY_BYTES))
        .layer(from_fn_with_state((Arc::clone(shared), Classes(Class::Admin, Class::Admin)), gateway::admit))
}

async fn only_the_operator(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Some(token) = &shared.directory.admin else {
        let detail = "administration is off; it opens with --admin-token-file";
        return Problem::new(StatusCode::FORBIDDEN, detail).code("ADMIN_OFF").into_response();
    };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    if !given.is_some_and(|given| token.is(given)) {
        tracing::info!(target: "openred::audit", "a request without the operator's token was refused");
        let problem =
            Problem::new(StatusCode::UNAUTHORIZED, "give the operator's token: `authorization: Bearer <token>`");
        return problem.code("ADMIN_TOKEN").challenge("Bearer realm=\"admin\"".to_owned()).into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What an operator sees of the directory.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminStats {
    #[serde(flatten)]
    status: Status,
    /// Writes that wait for the database.
    queued_writes: usize,
    /// Writes that may wait.
    write_queue: usize,
    /// Signs of life that are not written down.
    unflushed_heartbeats: usize,
    /// Whether the database can be read and written.
    is_database_up: bool,
    /// Requests under way.
    requests_in_flight: usize,
    /// Watchers.
    watchers: usize,
    /// Whether the relay is draining.
    is_draining: bool,
}

/// What the directory is doing, in full.
#[utoipa::path(get, path = "/v1/admin/stats", tag = "admin", operation_id = "adminStats", security(("admin" = [])),
    responses((status = 200, description = "Its figures", body = AdminStats)))]
async fn stats(State(shared): State<Arc<Shared>>) -> Json<AdminStats> {
    let is_database_up = shared.directory.registry.ping().await.is_ok();
    let stats = shared.directory.registry.stats();
    let gateway = shared.gateway.figures();
    Json(AdminStats {
        status: Status::of(&shared),
        queued_writes: stats.queued,
        write_queue: stats.queue,
        unflushed_heartbeats: stats.unflushed,
        is_database_up,
        requests_in_flight: gateway.in_flight,
        watchers: gateway.watchers,
        is_draining: !shared.phase.is_ready(),
    })
}

/// A node as an operator sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminNode {
    /// What everybody sees; missing if the node is not registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    /// Whether an operator keeps it out of answers.
    is_withheld: bool,
    /// Until when it is banned; 2^53 - 1 is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    banned_until: Option<u64>,
}

/// One node, withheld and banned ones too.
#[utoipa::path(get, path = "/v1/admin/nodes/{peerId}", tag = "admin", operation_id = "inspectNode", security(("admin" = [])),
    params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 200, description = "The node", body = AdminNode), (status = 404, description = "Nothing is known of it")))]
async fn inspect(State(shared): State<Arc<Shared>>, Path(peer): Path<String>) -> Result<Json<AdminNode>, Problem> {
    let peer = peer_id(&peer)?;
    let registry = &shared.directory.registry;
    let (view, banned) = (registry.node(&peer), registry.banned(&peer));
    if view.is_none() && banned.is_none() {
        return Err(RegistryError::UnknownNode(peer).into());
    }
    let is_withheld = view.as_ref().is_some_and(|view| view.withheld);
    let banned_until = banned.map(|until| until.min(FOR_EVER));
    Ok(Json(AdminNode { node: view.map(Node::from), is_withheld, banned_until }))
}

/// Removes a node and its services. It may register again.
#[utoipa::path(delete, path = "/v1/admin/nodes/{peerId}", tag = "admin", operation_id = "evictNode", security(("admin" = [])),
    params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 204, description = "It is gone"), (status = 404, description = "It is not registered")))]
async fn evict(State(shared): State<Arc<Shared>>, Path(peer): Path<String>) -> Result<StatusCode, Problem> {
    let peer = peer_id(&peer)?;
    shared.directory.registry.evict(peer).await?;
    audit::record(&shared, OPERATOR, "node:evict", &peer.to_string(), "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps a node and its services out of answers, so that its users leave it.
#[utoipa::path(put, path = "/v1/admin/nodes/{peerId}/drain", tag = "admin", operation_id = "withholdNode",
    security(("admin" = [])), params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 204, description = "It is kept out"), (status = 404, description = "It is not registered")))]
async fn withhold(State(shared): State<Arc<Shared>>, Path(peer): Path<String>) -> Result<StatusCode, Problem> {
    let peer = peer_id(&peer)?;
    shared.directory.registry.withhold(peer, true).await?;
    audit::record(&shared, OPERATOR, "node:drain", &peer.to_string(), "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a node into answers again.
#[utoipa::path(delete, path = "/v1/admin/nodes/{peerId}/drain", tag = "admin", operation_id = "restoreNode",
    security(("admin" = [])), params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 204, description = "It is back"), (status = 404, description = "It is not registered")))]
async fn restore(State(shared): State<Arc<Shared>>, Path(peer): Path<String>) -> Result<StatusCode, Problem> {
    let peer = peer_id(&peer)?;
    shared.directory.registry.withhold(peer, false).await?;
    audit::record(&shared, OPERATOR, "node:restore", &peer.to_string(), "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// For how long.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BanRequest {
    /// Until when; for ever if it is missing.
    until: Option<u64>,
}

/// The largest time that a JavaScript number holds exactly.
const FOR_EVER: u64 = (1 << 53) - 1;

/// Removes a node and does not let it back; its sessions and tokens end.
#[utoipa::path(put, path = "/v1/admin/bans/{peerId}", tag = "admin", operation_id = "banNode", security(("admin" = [])),
    params(("peerId" = String, Path, description = "Its peer id, base58")), request_body = BanRequest,
    responses((status = 204, description = "It is banned")))]
async fn ban(
    State(shared): State<Arc<Shared>>,
    Path(peer): Path<String>,
    Body(request): Body<BanRequest>,
) -> Result<StatusCode, Problem> {
    let peer = peer_id(&peer)?;
    let until = request.until.filter(|until| *until < FOR_EVER).unwrap_or(u64::MAX);
    shared.directory.registry.ban(peer, until).await?;
    revoke_peer(&shared, peer).await?;
    audit::record(&shared, OPERATOR, "node:ban", &peer.to_string(), "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a node back.
#[utoipa::path(delete, path = "/v1/admin/bans/{peerId}", tag = "admin", operation_id = "unbanNode", security(("admin" = [])),
    params(("peerId" = String, Path, description = "Its peer id, base58")),
    responses((status = 204, description = "It may come back"), (status = 404, description = "It was not banned")))]
async fn unban(State(shared): State<Arc<Shared>>, Path(peer): Path<String>) -> Result<StatusCode, Problem> {
    let peer = peer_id(&peer)?;
    if !shared.directory.registry.unban(peer).await? {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("{peer} is not banned")).code("NOT_FOUND"));
    }
    audit::record(&shared, OPERATOR, "node:unban", &peer.to_string(), "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Drains the relay: `/readyz` says 503, new peers and watchers are sent elsewhere, and everything else goes on.
#[utoipa::path(put, path = "/v1/admin/drain", tag = "admin", operation_id = "drainRelay", security(("admin" = [])),
    responses((status = 204, description = "It drains")))]
async fn drain(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.phase.set_draining();
    audit::record(&shared, OPERATOR, "relay:drain", "", "").await;
    StatusCode::NO_CONTENT
}

/// Ends the draining.
#[utoipa::path(delete, path = "/v1/admin/drain", tag = "admin", operation_id = "resumeRelay", security(("admin" = [])),
    responses((status = 204, description = "It is ready again")))]
async fn resume(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.phase.set_ready();
    audit::record(&shared, OPERATOR, "relay:resume", "", "").await;
    StatusCode::NO_CONTENT
}

/// Lets the brake go, so that silent nodes are judged again.
#[utoipa::path(delete, path = "/v1/admin/brake", tag = "admin", operation_id = "releaseBrake", security(("admin" = [])),
    responses((status = 204, description = "Nodes are judged as always")))]
async fn release_brake(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.directory.registry.release_brake();
    audit::record(&shared, OPERATOR, "brake:release", "", "").await;
    StatusCode::NO_CONTENT
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrailQuery {
    /// Lines before this one.
    before: Option<u64>,
    /// Lines of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// Part of the audit trail, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Trail {
    lines: Vec<TrailLine>,
    /// `before` of the next page; missing in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Something that was done to the directory.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrailLine {
    /// Its number.
    id: u64,
    /// When.
    at: u64,
    /// Who did it: a peer id, or `operator`.
    actor: String,
    /// What was done.
    #[schema(example = "node:ban")]
    action: String,
    /// To whom or what.
    subject: String,
    /// Whatever else is worth knowing.
    detail: String,
}

impl From<AuditRow> for TrailLine {
    fn from(row: AuditRow) -> Self {
        let AuditRow { id, at, actor, action, subject, detail } = row;
        Self { id, at, actor, action, subject, detail }
    }
}

/// What was done to the directory, newest first.
#[utoipa::path(get, path = "/v1/admin/audit", tag = "admin", operation_id = "auditTrail", security(("admin" = [])),
    params(TrailQuery), responses((status = 200, description = "Lines of the audit trail", body = Trail)))]
async fn trail(State(shared): State<Arc<Shared>>, Query(query): Query<TrailQuery>) -> Result<Json<Trail>, Problem> {
    let limit = page_size(query.limit);
    let rows = shared.directory.registry.audit_trail(query.before, limit).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.id)).flatten();
    Ok(Json(Trail { lines: rows.into_iter().map(TrailLine::from).collect(), next }))
}
