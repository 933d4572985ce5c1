//! Which peer asks: reads `Authorization` and tells the handlers.
//!
//! Two credentials are read: `libp2p-PeerID`, a step of the handshake or a session ([`crate::directory::identity`]), and
//! `Bearer` with an access token of this directory ([`crate::directory::tokens`]). A wrong credential is refused even where none
//! is needed, so that nobody believes to be known who is not. The answer to a handshake goes into the response's
//! `Authentication-Info`, whatever the handler answers.
//!
//! libp2p's JavaScript client begins its handshake with an `OPTIONS` request to the route itself. A browser's preflight never
//! has `Authorization`, so the two can be told apart: [`begin_by_options`].

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{
        Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use libp2p_identity::PeerId;

use super::{
    Shared,
    gateway::{self, Classes},
    hosts::{self, LocalAddress},
    problem::Problem,
};
use crate::{
    clock,
    directory::{
        identity::{Answer, AuthError, Session, params::without_scheme},
        tokens::RefusedToken,
    },
};

/// Carries a session to the client that has just proved its key.
pub(crate) const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// The peer that asks, for handlers that need one: without it the request is answered with 401 and a challenge.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Names the session or token that was shown.
    pub(crate) credential: String,
    /// When that ceases to hold, in seconds since the Unix epoch.
    pub(crate) until: u64,
}

/// The middleware of routes that peers ask: the gateway, and behind it who asks.
pub(crate) async fn admit_and_identify(
    State((shared, classes)): State<(Arc<Shared>, Classes)>,
    request: Request,
    next: Next,
) -> Response {
    gateway::pass(&shared, classes, request, |request| identify(&shared, request, next)).await
}

async fn identify(shared: &Shared, mut request: Request, next: Next) -> Response {
    let known = match credential(shared, request.headers(), request.extensions()) {
        Ok(known) => known,
        Err(problem) => return problem.into_response(),
    };
    let Some((known, info)) = known else { return next.run(request).await };
    request.extensions_mut().insert(known);
    let mut response = next.run(request).await;
    if let Some(info) = info.and_then(|info| HeaderValue::from_str(&info).ok()) {
        response.headers_mut().insert(AUTHENTICATION_INFO, info);
        // A cache must not give one client's session to another.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Lets a handshake that begins with `OPTIONS` through to [`identify`], which answers it before any handler.
pub(crate) fn begin_by_options(mut request: Request) -> Request {
    if request.method() == Method::OPTIONS && is_handshake(request.headers()) {
        *request.method_mut() = Method::GET;
    }
    request
}

fn is_handshake(headers: &HeaderMap) -> bool {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(without_scheme).is_some_and(|rest| rest.contains("challenge-server=") && !rest.contains("opaque="))
}

type Identified = Option<(Known, Option<String>)>;

fn credential(shared: &Shared, headers: &HeaderMap, extensions: &Extensions) -> Result<Identified, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let text = text.ok_or_else(|| Problem::bad_request("give one Authorization header of visible ASCII"))?;
    if let Some(token) = bearer(text) {
        let claims = shared.directory.issuer.check(token, clock::seconds()).map_err(|error| refused(&error))?;
        return Ok(Some((Known { peer: claims.subject, credential: claims.id, until: claims.expires_at }, None)));
    }
    match step(shared, Some(text), headers, extensions)? {
        Answer::Known { session, .. } if shared.directory.issuer.is_ended(&session) => {
            Err(challenge(shared, headers, extensions, Some(("the session was ended", "SESSION_ENDED"))))
        }
        Answer::Known { session, info } => Ok(Some((known(session), info))),
        Answer::Challenge { header, because } => Err(unauthorized(because).challenge(header)),
    }
}

fn known(session: Session) -> Known {
    let until = session.since / 1000 + crate::directory::identity::SESSION_LIFE.as_secs();
    Known { peer: session.peer, credential: session.id, until }
}

/// The token in `Bearer <token>`.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim_start().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One step of the handshake; `None` as a header begins it.
fn step(
    shared: &Shared,
    header: Option<&str>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Answer, Problem> {
    let connected = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let is_proxied = connected.is_some_and(|ip| {
        let ip = ip.to_canonical();
        shared.trusted_proxies.iter().any(|range| range.contains(&ip))
    });
    let host = hosts::authority(headers, is_proxied);
    let local = extensions.get::<LocalAddress>().map(|LocalAddress(ip)| *ip);
    if !shared.directory.hosts.accept(host, local) {
        let detail = "no key can be proved under this host name; use one that the relay announces (--announce)";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).code("AUTH_HOST"));
    }
    Ok(shared.directory.auth.answer(header, host, clock::millis(), rand::random()))
}

/// 401 with a challenge of the handshake.
fn challenge(
    shared: &Shared,
    headers: &HeaderMap,
    extensions: &Extensions,
    because: Option<(&'static str, &'static str)>,
) -> Problem {
    let (detail, code) = because.unwrap_or(("prove your peer id, or show an access token", "AUTH_REQUIRED"));
    let problem = Problem::new(StatusCode::UNAUTHORIZED, detail).code(code);
    match step(shared, None, headers, extensions) {
        Ok(Answer::Challenge { header, .. }) => problem.challenge(header),
        Ok(Answer::Known { .. }) => problem,
        Err(misdirected) => misdirected,
    }
}

fn unauthorized(because: Option<AuthError>) -> Problem {
    match because {
        None => Problem::new(StatusCode::UNAUTHORIZED, "sign the challenge").code("AUTH_CHALLENGE"),
        Some(AuthError::Busy) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, AuthError::Busy.to_string()).code(AuthError::Busy.code())
        }
        Some(error) => Problem::new(StatusCode::UNAUTHORIZED, error.to_string()).code(error.code()),
    }
}

fn refused(error: &RefusedToken) -> Problem {
    // RFC 6750, 3.1: the one word for a token that does not hold.
    Problem::new(StatusCode::UNAUTHORIZED, error.to_string())
        .code(error.code())
        .challenge("Bearer error=\"invalid_token\"".to_owned())
}

impl FromRequestParts<Arc<Shared>> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| challenge(shared, &parts.headers, &parts.extensions, None))
    }
}
