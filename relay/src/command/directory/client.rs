//! Asks directories by their API.
//!
//! Of several relays the first that answers is asked from then on. Who is told to come back later does, [`RETRIES`] times.
//! Bounds: one answer of [`LARGEST`] bytes at a time, and a list ends when its directory does not get on: at a page that is
//! followed by itself, or after [`EMPTY_PAGES`] without an item.

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header, uri::Authority},
};
use http_body_util::{BodyExt, Full, Limited};
use libp2p_identity::Keypair;
use openred_core::peer_auth;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::super::{NO_RELAY_HELP, output::printable};
use crate::{
    config::directory::{Ask, Token},
    failure::Failure,
    outgoing::{Http, client, reason},
};

/// A page of a thousand items with their records takes some 3 MB.
const LARGEST: usize = 32 * 1024 * 1024;

/// How often a directory may say that it is busy.
const RETRIES: usize = 10;

/// Pause if a busy directory does not say how long, and the longest that is heeded.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Items of a page, as many as the API gives.
pub(super) const PAGE: usize = 1000;

/// Pages without an item that may follow each other, a guess: pages are thin only where an operator withholds nodes.
const EMPTY_PAGES: usize = 1000;

/// See the module's documentation.
pub(super) struct Directory {
    http: Http,
    origins: Vec<String>,
    timeout: Duration,
    token: Option<Token>,
}

impl Directory {
    /// Asks nobody yet. With a token it asks as the operator.
    pub(super) fn new(ask: &Ask, token: Option<&Token>) -> Self {
        Self { http: client(), origins: ask.origins.clone(), timeout: ask.timeout, token: token.cloned() }
    }

    /// One answer. `path` begins with a slash and is escaped.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let authorization = self.token.as_ref().map(|token| format!("Bearer {}", token.text));
        let asked = async |directory: &Self, origin: &str| {
            let answer = directory.exchange(origin, &Method::GET, path, authorization.as_deref(), None).await?;
            directory.read(origin, &answer)
        };
        self.first(asked).await
    }

    /// Says something as the node with this identity, which is proved first; the answer.
    pub(super) async fn say(
        &mut self,
        identity: &Keypair,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let said = async |directory: &Self, origin: &str| {
            let begun = peer_auth::begin(identity);
            let asked = directory.exchange(origin, &Method::GET, "/v1/auth", Some(&begun), None).await?;
            let challenge = asked.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let Some(challenge) = challenge else {
                // It says what keeps it from asking.
                return directory.read(origin, &asked).and_then(|_| Err(not_a_directory(origin)));
            };
            let host = authority(origin)?;
            let proved = peer_auth::prove(identity, challenge, host.as_str())
                .map_err(|error| Failure::Failed(format!("{origin} asks in vain who this is: {error}")))?;
            let answer = directory.exchange(origin, &method, path, Some(&proved), body).await?;
            directory.read(origin, &answer)
        };
        self.first(said).await
    }

    /// Asks the relays in turn until one answers, which is asked from then on.
    async fn first(&mut self, ask: impl AsyncFn(&Self, &str) -> Result<Value, Failure>) -> Result<Value, Failure> {
        let mut reasons = Vec::new();
        for place in 0..self.origins.len() {
            let origin = self.origins[place].clone();
            match ask(self, &origin).await {
                Err(Failure::NoNetwork(reason)) => reasons.push(reason),
                answer => {
                    self.origins = vec![origin];
                    return answer;
                }
            }
        }
        Err(Failure::NoNetwork(format!("{}; {NO_RELAY_HELP}", reasons.join("; "))))
    }

    /// All items of a list, page by page, at most `most`; whether there are more. `items` names the list in an answer, `path`
    /// has its query.
    pub(super) async fn pages(
        &mut self,
        path: &str,
        items: &str,
        most: usize,
        mut each: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(usize, bool), Failure> {
        let (mut count, mut next, mut empty) = (0, None::<String>, 0);
        loop {
            let limit = PAGE.min(most - count);
            let last = next;
            let cursor = last.as_ref().map(|cursor| format!("&cursor={}", escaped(cursor))).unwrap_or_default();
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{separator}limit={limit}{cursor}")).await?;
            next = page["next"].as_str().map(str::to_owned);
            let Value::Array(found) = page[items].take() else { return Err(not_a_directory(&self.origins[0])) };
            empty = if found.is_empty() { empty + 1 } else { 0 };
            if next.is_some() && (next == last || empty > EMPTY_PAGES) {
                return Err(Failure::Failed(format!(
                    "{} does not get on with its list of {items}: it gives pages without end; ask another relay",
                    self.origins[0]
                )));
            }
            for item in found {
                count += 1;
                each(item)?;
            }
            if next.is_none() || count >= most {
                return Ok((count, next.is_some()));
            }
        }
    }

    /// One request and its whole answer, unless the relay is busy again and again.
    async fn exchange(
        &self,
        origin: &str,
        method: &Method,
        path: &str,
        authorization: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Response<Bytes>, Failure> {
        let unreachable = |reason: String| Failure::NoNetwork(format!("{origin} cannot be asked: {reason}"));
        for _ in 0..RETRIES {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("{origin}{path}"))
                .header(header::HOST, authority(origin)?.as_str())
                .header(header::ACCEPT, "application/json");
            if let Some(authorization) = authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            if body.is_some() {
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            let body = Bytes::from(body.map(Value::to_string).unwrap_or_default());
            let request = request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
            let answer = timeout(self.timeout, async {
                let (head, body) = self.http.request(request).await.map_err(|error| reason(&error))?.into_parts();
                let body = Limited::new(body, LARGEST).collect().await.map_err(|error| reason(&*error))?;
                Ok(Response::from_parts(head, body.to_bytes()))
            });
            let late = || Err(format!("there was no whole answer within {:?}", self.timeout));
            let answer = answer.await.unwrap_or_else(|_| late()).map_err(unreachable)?;
            if !matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                return Ok(answer);
            }
            sleep(pause(answer.headers())).await;
        }
        Err(Failure::Failed(format!("{origin} is busy and says again and again that it should be asked later")))
    }

    /// What an answer says.
    fn read(&self, origin: &str, answer: &Response<Bytes>) -> Result<Value, Failure> {
        match (answer.status(), serde_json::from_slice::<Value>(answer.body())) {
            (StatusCode::OK | StatusCode::CREATED, Ok(said)) => Ok(said),
            (StatusCode::OK | StatusCode::CREATED, Err(_)) => Err(not_a_directory(origin)),
            (status, said) => Err(self.refused(origin, status, &said.unwrap_or_default())),
        }
    }

    fn refused(&self, origin: &str, status: StatusCode, problem: &Value) -> Failure {
        let Some(detail) = problem["detail"].as_str() else { return not_a_directory(origin) };
        let text = format!("{origin}: {}", printable(detail));
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, Some(Token { origin: given, .. })) => Failure::Failed(format!(
                "{origin} refused {given}: give the operator's token with which that relay was started"
            )),
            (StatusCode::FORBIDDEN, Some(Token { origin: given, .. })) => Failure::Failed(format!(
                "{origin} refused {given}: it was started without an operator's token (openred relay --admin-token-file); \
                 leave the token out, or give that relay one"
            )),
            (StatusCode::NOT_FOUND, _) if problem["code"] == "NOT_FOUND" => Failure::NothingFound(text),
            (StatusCode::BAD_REQUEST, _) => Failure::Usage(text),
            _ => Failure::Failed(text),
        }
    }
}

fn not_a_directory(origin: &str) -> Failure {
    Failure::Failed(format!("{origin} answers, but not as a relay's directory does; give the URL of a relay"))
}

fn pause(headers: &HeaderMap) -> Duration {
    let told = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    told.map_or(PAUSE.0, Duration::from_secs).min(PAUSE.1)
}

/// The host and port in an origin, as they stand in the `Host` header.
fn authority(origin: &str) -> Result<Authority, Failure> {
    let authority = origin.parse::<Uri>().ok().and_then(|url| url.authority().cloned());
    authority.ok_or_else(|| Failure::Usage(format!("--bootstrap: `{origin}` has no host; give the URL of a relay")))
}

/// A text as a part of a URL's path or query (RFC 3986).
pub(super) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}
