//! Conditional requests (RFC 9110, 13): a client that has the answer already gets none again.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// JSON with an entity tag made of its content, or 304 if the client's is the same. The tag is weak, since the same content may
/// be sent compressed.
pub(crate) fn json(request: &HeaderMap, cache: &'static str, value: &impl Serialize) -> Response {
    // Only maps with other keys than texts cannot be written, and no answer of ours has any.
    let body = serde_json::to_vec(value).unwrap_or_default();
    bytes(request, cache, "application/json", body)
}

/// Likewise for bytes of any type.
pub(crate) fn bytes(request: &HeaderMap, cache: &'static str, media_type: &'static str, body: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&Sha256::digest(&body)[..12]));
    let mut response = if has_tag(request, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(ETAG, HeaderValue::from_str(&format!("W/{tag}")).expect("base64 is a header value"));
    response
}

/// Whether `If-None-Match` names the tag; the comparison is weak (RFC 9110, 13.1.2).
pub(crate) fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    items(headers, IF_NONE_MATCH).any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == tag)
}

/// The members of a comma-separated header, which may be sent in several lines.
pub(crate) fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let has = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]);
            has_tag(&headers, "\"ab-br\"")
        };
        assert!(has("\"ab-br\""));
        assert!(has("\"x\", W/\"ab-br\""));
        assert!(has("*"));
        assert!(!has("\"ab\""));
    }

    #[test]
    fn the_same_content_is_sent_once() {
        let first = json(&HeaderMap::new(), "no-cache", &[1, 2]);
        let tag = first.headers()[ETAG].clone();
        assert_eq!(first.status(), StatusCode::OK);
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, tag)]);
        assert_eq!(json(&known, "no-cache", &[1, 2]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(json(&known, "no-cache", &[1, 3]).status(), StatusCode::OK);
    }
}
