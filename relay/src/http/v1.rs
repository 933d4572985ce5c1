//! `/v1`: the directory as resources.
//!
//! Handlers translate: they read a request, ask the registry or the issuer of tokens, and write the answer. What they say and
//! take is described by their types, from which the OpenAPI document is made ([`super::openapi`]).
//!
//! Each group of routes has a class for the gateway ([`super::gateway`]). All may be asked by pages of any origin; the admin
//! routes need the operator's token ([`admin`]) and are closed without one.
//!
//! Times are milliseconds since the Unix epoch, peer ids base58, bytes base64url without padding. Lists have pages: `next` of an
//! answer is the `cursor` of the next question, and a page without `next` is the last.

pub(crate) mod admin;
pub(crate) mod bootstrap;
pub(crate) mod extract;
pub(crate) mod heartbeats;
pub(crate) mod nodes;
pub(crate) mod services;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod watch;

use std::{sync::Arc, time::Duration};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::DefaultBodyLimit,
    http::{
        HeaderName, Method, StatusCode,
        header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::BASE64URL_NOPAD;
use libp2p_identity::PeerId;
use openred_core::token::{LEEWAY, LINK_LIFE};
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower_http::{
    compression::CompressionLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Shared,
    admin_token::AdminToken,
    gateway::{self, Class, Classes},
    hosts::Hosts,
    identify::{self, AUTHENTICATION_INFO},
    observe::REQUEST_ID,
    problem::Problem,
    refusing_other_methods, routing,
};
use crate::{
    clock,
    directory::{
        identity::PeerAuth,
        registry::{Registry, RegistryError},
        store::Note,
        tokens::{Issuer, REVOKED_PEERS, REVOKED_TOKENS},
    },
};

/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// Items of a page when the client does not say.
const PAGE: usize = 100;

/// Items of a page at most.
const LARGEST_PAGE: usize = 1000;

/// What the handlers of the directory work with.
pub(crate) struct Directory {
    /// Proves who asks.
    pub(crate) auth: PeerAuth,
    /// Issues and checks tokens.
    pub(crate) issuer: Issuer,
    /// The host names under which keys may be proved.
    pub(crate) hosts: Hosts,
    /// What opens the admin routes.
    pub(crate) admin: Option<AdminToken>,
    /// Who is there.
    pub(crate) registry: Registry,
}

/// All routes of the API.
pub(crate) fn routes(shared: &Arc<Shared>) -> OpenApiRouter<Arc<Shared>> {
    let any_origin = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        // `Authorization` is never covered by a wildcard.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_AGE);
    let class = |read, write, router: OpenApiRouter<Arc<Shared>>| {
        refusing_other_methods(router).layer((
            from_fn_with_state((Arc::clone(shared), Classes(read, write)), identify::admit_and_identify),
            DefaultBodyLimit::max(gateway::BODY_BYTES),
        ))
    };
    let relay = OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(bootstrap::regions))
        .routes(routes!(bootstrap::list))
        .routes(routes!(tokens::keys))
        .route("/.well-known/jwks.json", get(tokens::keys));
    let nodes = OpenApiRouter::new()
        .routes(routes!(nodes::one, nodes::register, nodes::deregister))
        .routes(routes!(nodes::drain))
        .routes(routes!(services::lookup));
    let lists = OpenApiRouter::new()
        .routes(routes!(nodes::list))
        .routes(routes!(services::search, services::publish))
        .merge(routing::routes());
    let heartbeats = OpenApiRouter::new().routes(routes!(heartbeats::one)).routes(routes!(heartbeats::batch));
    let tokens = OpenApiRouter::new()
        .routes(routes!(tokens::whoami, tokens::end_session))
        .routes(routes!(tokens::issue))
        .routes(routes!(tokens::link))
        .routes(routes!(tokens::inspect))
        .routes(routes!(tokens::revoke));
    let watch = OpenApiRouter::new().routes(routes!(watch::watch));
    OpenApiRouter::new()
        .merge(class(Class::Read, Class::Read, relay))
        .merge(class(Class::Read, Class::Write, nodes))
        .merge(class(Class::Search, Class::Write, lists))
        .merge(class(Class::Read, Class::Heartbeat, heartbeats))
        .merge(class(Class::Prove, Class::Prove, tokens))
        .merge(class(Class::Watch, Class::Watch, watch))
        .layer((
            MapRequestLayer::new(identify::begin_by_options),
            any_origin,
            MapResponseLayer::new(in_words),
            CompressionLayer::new(),
        ))
        .merge(admin::routes(shared))
}

/// A client that takes neither compressed nor plain answers is told so; the compression itself says nothing.
fn in_words<B>(response: Response<B>) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    if response.status() != StatusCode::NOT_ACCEPTABLE {
        return response.map(Body::new);
    }
    let detail = "`accept-encoding` leaves nothing that is possible here; allow `gzip` or `identity`";
    Problem::new(StatusCode::NOT_ACCEPTABLE, detail).code("ENCODING").into_response()
}

/// Headers that scripts of other origins may read.
const EXPOSED: [HeaderName; 5] = [AUTHENTICATION_INFO, ETAG, REQUEST_ID, RETRY_AFTER, WWW_AUTHENTICATE];

/// Items of a page, as the client wishes.
fn page_size(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
}

/// A cursor: where a list goes on, opaque to the client.
fn cursor(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<Vec<u8>, Problem> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| Problem::bad_request("the cursor is not one of this directory's").code("CURSOR_INVALID"))
}

/// Whether the peer may be told things in its name.
fn in_standing(shared: &Shared, peer: &PeerId) -> Result<(), Problem> {
    match shared.directory.registry.banned(peer) {
        Some(until) => Err(RegistryError::Banned { peer: *peer, until }.into()),
        None => Ok(()),
    }
}

/// Takes a token or session back, here and on every instance of the directory. `until` is its end in seconds.
async fn revoke(shared: &Shared, id: &str, until: u64) -> Result<(), Problem> {
    let now = clock::seconds();
    shared.directory.issuer.revoke(id, until, now)?;
    let expires = (until + LEEWAY.as_secs()) * 1000;
    let note = Note { space: REVOKED_TOKENS.to_owned(), key: id.as_bytes().to_vec(), value: Vec::new(), expires };
    Ok(shared.directory.registry.remember(note).await?)
}

/// Takes back everything that was issued about a peer.
async fn revoke_peer(shared: &Shared, peer: PeerId) -> Result<(), Problem> {
    let now = clock::seconds();
    shared.directory.issuer.revoke_peer(peer, now)?;
    let expires = (now + LINK_LIFE.as_secs() + 2 * LEEWAY.as_secs()) * 1000;
    let value = now.to_be_bytes().to_vec();
    let note = Note { space: REVOKED_PEERS.to_owned(), key: peer.to_bytes(), value, expires };
    Ok(shared.directory.registry.remember(note).await?)
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let status = match &error {
            RegistryError::UnknownNode(_) => StatusCode::NOT_FOUND,
            RegistryError::Stale => StatusCode::CONFLICT,
            RegistryError::Banned { .. } => StatusCode::FORBIDDEN,
            RegistryError::Invalid(_) | RegistryError::Record(_) => StatusCode::UNPROCESSABLE_ENTITY,
            RegistryError::TooManyServices(_) => StatusCode::CONFLICT,
            RegistryError::Full | RegistryError::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            RegistryError::Busy | RegistryError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RegistryError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = Self::new(status, error.to_string()).code(error.code());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(Duration::from_secs(2)) } else { problem }
    }
}

#[cfg(test)]
mod tests;
