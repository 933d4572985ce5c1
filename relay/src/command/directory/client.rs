//! Asks directories by their API.
//!
//! Of several relays the first that answers is asked from then on. Who is told to come back later does, [`RETRIES`] times.
//! Bounds: one answer of [`LARGEST`] bytes at a time, and a list ends when its directory does not get on: at a page that is
//! followed by itself, or after [`EMPTY_PAGES`] without an item.

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
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
        let mut reasons = Vec::new();
        for place in 0..self.origins.len() {
            let origin = self.origins[place].clone();
            match self.get_from(&origin, path).await {
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

    async fn get_from(&self, origin: &str, path: &str) -> Result<Value, Failure> {
        let unreachable = |reason: String| Failure::NoNetwork(format!("{origin} cannot be asked: {reason}"));
        for _ in 0..RETRIES {
            let mut request = Request::get(format!("{origin}{path}")).header(header::ACCEPT, "application/json");
            if let Some(token) = &self.token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.text));
            }
            let request = request.body(Full::new(Bytes::new())).map_err(|error| unreachable(error.to_string()))?;
            let answer = timeout(self.timeout, async {
                let (head, body) = self.http.request(request).await.map_err(|error| reason(&error))?.into_parts();
                let body = Limited::new(body, LARGEST).collect().await.map_err(|error| reason(&*error))?;
                Ok((head.status, head.headers, body.to_bytes()))
            });
            let late = || Err(format!("there was no whole answer within {:?}", self.timeout));
            let (status, headers, body) = answer.await.unwrap_or_else(|_| late()).map_err(unreachable)?;
            if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                sleep(pause(&headers)).await;
                continue;
            }
            let answer = serde_json::from_slice::<Value>(&body);
            return match (status, answer) {
                (StatusCode::OK, Ok(answer)) => Ok(answer),
                (StatusCode::OK, Err(_)) => Err(not_a_directory(origin)),
                (status, answer) => Err(self.refused(origin, status, &answer.unwrap_or_default())),
            };
        }
        Err(Failure::Failed(format!("{origin} is busy and says again and again that it should be asked later")))
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
