//! Failures as problem documents (RFC 9457, `application/problem+json`).
//!
//! Besides the members of the standard a document may have `code`, a stable word by which programs tell failures apart.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// One failure, for the client to read. It names nothing that the client did not send or could not know.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
    challenges: Vec<String>,
}

/// The document, as it is written.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    /// Always `about:blank`: the status says which kind of failure it is.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'a str,
    /// The status.
    #[schema(example = 404)]
    status: u16,
    /// What is wrong, for people.
    detail: &'a str,
    /// What is wrong, for programs; a stable word in upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "RATE_LIMITED")]
    code: Option<&'static str>,
}

impl Problem {
    /// A failure of this kind; `detail` is a sentence for people without a final dot.
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), code: None, retry_after: None, challenges: Vec::new() }
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// With a stable word for programs.
    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// With the time after which another try makes sense.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// With a way to authenticate.
    pub(crate) fn challenge(mut self, header: String) -> Self {
        self.challenges.push(header);
        self
    }

    /// The status of the response.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(time) = self.retry_after {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(RETRY_AFTER, HeaderValue::from(time.as_millis().div_ceil(1000).max(1) as u64));
        }
        for challenge in self.challenges {
            // Made of base64 and our own words.
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                headers.append(WWW_AUTHENTICATE, value);
            }
        }
        response
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
