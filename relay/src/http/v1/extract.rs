//! Reading requests: what cannot be read is answered by a problem document that says what is wrong with it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::http::{Shared, problem::Problem};

/// A JSON body. The gateway bounds its bytes and the time it takes; serde_json bounds its depth to 128.
pub(crate) struct Body<T>(pub(crate) T);

/// The query of the URL.
pub(crate) struct Query<T>(pub(crate) T);

/// The variable parts of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Problem> {
        match Json::from_request(request, shared).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                let detail = "the body must be JSON, with `content-type: application/json`";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).code("BODY_TYPE"))
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large").code("BODY_TOO_LARGE"))
            }
            // A body that breaks off, or cannot be read as what it should be.
            Err(rejection) => Err(Problem::bad_request(in_json_words(&rejection.body_text())).code("BODY_INVALID")),
        }
    }
}

/// What is wrong with a body, without the names that types have in the code.
fn in_json_words(text: &str) -> String {
    const LEAD: &str = "Failed to deserialize the JSON body into the target type: ";
    let text = text.strip_prefix(LEAD).map_or_else(|| text.to_owned(), |rest| format!("not what belongs here: {rest}"));
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text };
    let (what, place) = expected.split_at(expected.find(" at line ").unwrap_or(expected.len()));
    let what = match what {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "a sequence" => "a list",
        _ if what.starts_with("struct ") => "an object",
        _ => what,
    };
    format!("{found}, expected {what}{place}")
}

/// What is wrong with a query: which parameter, and what would be right.
fn in_query_words(text: &str) -> String {
    const LEAD: &str = "Failed to deserialize query string: ";
    let text = text.strip_prefix(LEAD).unwrap_or(text);
    // The path of the place, which is empty or the parameter's name, stands before the reason.
    let (place, reason) = text.split_once(": ").unwrap_or(("", text));
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    for reason in [reason, text] {
        if reason.starts_with("unknown field ") {
            let known = reason.split_once(", expected ").map_or("", |(_, known)| known.trim_start_matches("one of "));
            return format!("the query has no parameter `{}` here; these there are: {known}", quoted(reason));
        }
        if reason.starts_with("duplicate field ") {
            return format!("the parameter `{}` stands twice in the query; give it once", quoted(reason));
        }
        if reason.starts_with("missing field ") {
            return format!("the parameter `{}` is missing in the query", quoted(reason));
        }
    }
    match reason {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            format!("the parameter `{place}` is a whole number of at least 0, such as {place}=10")
        }
        "number too large to fit in target type" => format!("the parameter `{place}` is too large a number"),
        "provided string was not `true` or `false`" => format!("the parameter `{place}` is true or false"),
        _ if place.is_empty() => format!("the query cannot be read: {reason}"),
        _ => format!("the parameter `{place}` cannot be read: {reason}"),
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Shared>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let read: Result<_, QueryRejection> = axum::extract::Query::from_request_parts(parts, shared).await;
        match read {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::bad_request(in_query_words(&rejection.body_text())).code("QUERY_INVALID")),
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let read: Result<_, PathRejection> = axum::extract::Path::from_request_parts(parts, shared).await;
        match read {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(_) => Err(Problem::bad_request("a part of the path is not what belongs there").code("PATH_INVALID")),
        }
    }
}

/// Reads a peer id, base58 (`12D3Koo...`, `Qm...`).
pub(crate) fn peer_id(text: &str) -> Result<libp2p_identity::PeerId, Problem> {
    text.parse().map_err(|_| Problem::bad_request("give a peer id in base58, such as 12D3Koo...").code("PEER_INVALID"))
}
