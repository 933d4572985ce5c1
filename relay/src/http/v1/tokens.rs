//! `/v1/auth` and `/v1/tokens`: sessions, access tokens, links, and the keys to check them with.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use openred_core::token::{Kind, MAX_AUDIENCE, TokenError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, peer_id};
use crate::{
    clock,
    directory::{
        registry::RegistryError,
        tokens::{RefusedToken, revocations::Full},
    },
    http::{Shared, audit, conditional, identify::Known, problem::Problem},
};

/// How long others may keep the key set; [`crate::directory::tokens::keys::KEY_SET_AGE`].
const KEY_SET_CACHE: &str = "public, max-age=3600";

/// A peer that has proved its key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Whoami {
    /// The peer id, base58.
    peer_id: String,
    /// When the session or token ceases to hold, in milliseconds since the Unix epoch.
    expires_at: u64,
}

/// Proves a peer id and says whose it is.
///
/// Without a credential the answer is 401 with a challenge of the `libp2p-PeerID` scheme (libp2p/specs, http/peer-id-auth.md).
/// The handshake may be done on every other route as well.
#[utoipa::path(get, path = "/v1/auth", tag = "tokens", operation_id = "whoami", security(("peerId" = []), ("bearer" = [])),
    responses((status = 200, description = "The peer is known; after a handshake `authentication-info` carries its session",
        body = Whoami)))]
pub(crate) async fn whoami(known: Known) -> Response {
    no_store(Whoami { peer_id: known.peer.to_string(), expires_at: known.until * 1000 })
}

/// Ends the session or token that is shown.
#[utoipa::path(delete, path = "/v1/auth", tag = "tokens", operation_id = "endSession",
    security(("peerId" = []), ("bearer" = [])),
    responses((status = 204, description = "It holds no longer")))]
pub(crate) async fn end_session(State(shared): State<Arc<Shared>>, known: Known) -> Result<StatusCode, Problem> {
    super::revoke(&shared, &known.credential, known.until).await?;
    audit::record(&shared, &known.peer.to_string(), "session:end", &known.credential, "").await;
    Ok(StatusCode::NO_CONTENT)
}

/// What a token is wanted for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// Who is to believe the token: any text that its reader knows for its own, at most 256 bytes. By default this directory.
    #[schema(max_length = 256, min_length = 1, example = "https://shop.example")]
    audience: Option<String>,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenAnswer {
    /// The token, a JWT signed with EdDSA; `authorization: Bearer <token>`.
    token: String,
    /// Names the token (`jti`).
    id: String,
    /// Who may believe it (`aud`).
    audience: String,
    /// Whom it is about (`sub`), base58.
    peer_id: String,
    /// When it ceases to hold, in milliseconds since the Unix epoch.
    expires_at: u64,
}

/// Issues an access token about the peer that asks, for five minutes.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "issueToken",
    security(("peerId" = []), ("bearer" = [])), request_body = TokenRequest,
    responses((status = 201, description = "The token", body = TokenAnswer)))]
pub(crate) async fn issue(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Body(request): Body<TokenRequest>,
) -> Result<Response, Problem> {
    super::in_standing(&shared, &known.peer)?;
    let issuer = &shared.directory.issuer;
    let audience = request.audience.unwrap_or_else(|| issuer.own().to_string());
    if audience.is_empty() || audience.len() > MAX_AUDIENCE {
        let detail = format!("give an audience of 1 to {MAX_AUDIENCE} bytes, or none for this directory");
        return Err(Problem::bad_request(detail).code("TOKEN_AUDIENCE"));
    }
    let issued = issuer.access(known.peer, audience, rand::random(), clock::seconds()).map_err(unsigned)?;
    let answer = TokenAnswer {
        token: issued.token,
        id: issued.claims.id,
        audience: issued.claims.audience,
        peer_id: known.peer.to_string(),
        expires_at: issued.claims.expires_at * 1000,
    };
    audit::record(&shared, &answer.peer_id, "token:issue", &answer.id, "").await;
    Ok((StatusCode::CREATED, no_store(answer)).into_response())
}

/// With whom a link is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LinkRequest {
    /// The other peer, base58; it must be registered here.
    #[schema(example = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")]
    peer_id: String,
}

/// Both tokens of a link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkAnswer {
    /// Names the link; `link` in both tokens.
    link: String,
    /// About the peer that asks, to be shown to the other one.
    own: String,
    /// About the other peer: hand it over when you meet, and it shows it to you.
    other: String,
    /// When both cease to hold, in milliseconds since the Unix epoch.
    expires_at: u64,
}

/// Issues a pair of tokens with which two peers verify each other for an hour without asking again.
///
/// Each token is bound to its subject's key and is worth nothing in other hands. How to check one stands in the documentation
/// of `openred_core::token`.
#[utoipa::path(post, path = "/v1/tokens/links", tag = "tokens", operation_id = "issueLink",
    security(("peerId" = []), ("bearer" = [])), request_body = LinkRequest,
    responses((status = 201, description = "Both tokens", body = LinkAnswer)))]
pub(crate) async fn link(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Body(request): Body<LinkRequest>,
) -> Result<Response, Problem> {
    super::in_standing(&shared, &known.peer)?;
    let other = peer_id(&request.peer_id)?;
    if other == known.peer {
        return Err(Problem::bad_request("a link needs another peer than the one that asks").code("PEER_INVALID"));
    }
    if !shared.directory.registry.knows(&other) {
        return Err(RegistryError::UnknownNode(other).into());
    }
    let issuer = &shared.directory.issuer;
    let pair = issuer.link(known.peer, other, rand::random(), clock::seconds()).map_err(unsigned)?;
    audit::record(&shared, &known.peer.to_string(), "link:issue", &other.to_string(), &pair.id).await;
    let answer = LinkAnswer { link: pair.id, own: pair.first, other: pair.second, expires_at: pair.expires_at * 1000 };
    Ok((StatusCode::CREATED, no_store(answer)).into_response())
}

/// A token of this directory's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ShownToken {
    /// The token in compact form.
    #[schema(max_length = 2048)]
    token: String,
}

/// What becomes of a token that is looked at (RFC 7662).
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inspection {
    /// Whether it holds and was not taken back. If not, nothing else is said.
    active: bool,
    /// `access` or `link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Whom it is about, base58.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    /// Who may believe it.
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    /// Names the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// When it ceases to hold, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

/// Says whether a token still holds; only the directory knows what was taken back.
#[utoipa::path(post, path = "/v1/tokens/inspect", tag = "tokens", operation_id = "inspectToken", request_body = ShownToken,
    responses((status = 200, description = "What it states, if it holds", body = Inspection)))]
pub(crate) async fn inspect(State(shared): State<Arc<Shared>>, Body(shown): Body<ShownToken>) -> Response {
    let inspection = match shared.directory.issuer.inspect(&shown.token, clock::seconds()) {
        Err(_) => Inspection::default(),
        Ok((kind, claims)) => Inspection {
            active: true,
            kind: Some(match kind {
                Kind::Access => "access",
                Kind::Link => "link",
            }),
            peer_id: Some(claims.subject.to_string()),
            audience: Some(claims.audience),
            id: Some(claims.id),
            expires_at: Some(claims.expires_at * 1000),
        },
    };
    no_store(inspection)
}

/// Takes a token of one's own back before its time.
#[utoipa::path(post, path = "/v1/tokens/revoke", tag = "tokens", operation_id = "revokeToken",
    security(("peerId" = []), ("bearer" = [])), request_body = ShownToken,
    responses((status = 204, description = "It holds no longer, or never did")))]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    known: Known,
    Body(shown): Body<ShownToken>,
) -> Result<StatusCode, Problem> {
    match shared.directory.issuer.inspect(&shown.token, clock::seconds()) {
        Ok((_, claims)) if claims.subject == known.peer => {
            super::revoke(&shared, &claims.id, claims.expires_at).await?;
            audit::record(&shared, &known.peer.to_string(), "token:revoke", &claims.id, "").await;
        }
        Ok(_) => {
            let detail = "the token is about another peer; each peer takes back its own";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail).code("TOKEN_HOLDER"));
        }
        // As RFC 7009 has it: what does not hold needs no taking back.
        Err(RefusedToken::Revoked | RefusedToken::Token(TokenError::Expired { .. })) => {}
        Err(error) => return Err(Problem::bad_request(error.to_string()).code(error.code())),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The public keys that sign tokens, as a JSON Web Key Set (RFC 7517).
#[utoipa::path(get, path = "/v1/tokens/jwks", tag = "tokens", operation_id = "tokenKeys",
    responses((status = 200, description = "The key set; also at /.well-known/jwks.json", body = serde_json::Value),
        (status = 304, description = "The client's is the current one")))]
pub(crate) async fn keys(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let keys = shared.directory.issuer.keys(clock::seconds()).to_json();
    conditional::bytes(&headers, KEY_SET_CACHE, "application/json", keys.into_bytes())
}

fn no_store(answer: impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

fn unsigned(error: TokenError) -> Problem {
    tracing::error!(%error, "a token could not be signed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the token could not be made; the relay's log says why")
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        let detail = "no more can be taken back until something expires; try again in a few minutes";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).code("REVOCATIONS_FULL")
    }
}
