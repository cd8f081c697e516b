//! Errors as problem documents (RFC 9457) with a stable code.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use index::QueryError;
use serde::Serialize;

/// Bytes of what the framework says of a bad request that are told on.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// What went wrong, for the caller.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// What is wrong with a query, by a name that stays.
    #[serde(rename = "reason", skip_serializing_if = "Option::is_none")]
    of_query: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("error");
        Problem {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code,
            position: None,
            of_query: None,
        }
    }

    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A query that is none.
    pub(crate) fn query(error: &QueryError) -> Problem {
        let problem = Problem::bad("bad_query", error.reason.to_string());
        Problem { position: Some(error.position), of_query: Some(error.reason.code()), ..problem }
    }

    /// The same of this part of a request.
    pub(crate) fn of(self, part: &str) -> Problem {
        Problem { detail: format!("{part}: {}", self.detail), ..self }
    }

    pub(crate) fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    /// What comes too late: the sender keeps it and comes again.
    pub(crate) fn stopping() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the log takes no more records")
    }

    /// A fault of ours: the caller learns that, the log learns what.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
        let mut reasons = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reasons = format!("{reasons}: {inner}");
            source = inner.source();
        }
        tracing::error!(error = reasons, "a request failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed; the program's log says why")
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, and where.
    pub(crate) fn reason(&self) -> String {
        match self.position {
            Some(position) => format!("{} at character {position}", self.detail),
            None => self.detail.clone(),
        }
    }
}

/// What the framework refuses by itself (methods, paths, parameters, sizes, types of bodies) is told as a problem too.
pub(crate) async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_told = response.extensions().get::<Problem>().is_some();
    let is_text = response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if is_told || !is_text || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let code = match status {
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_long",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "bad_media_type",
        _ if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let said = axum::body::to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let detail = if said.is_empty() { status.canonical_reason().unwrap_or("refused").to_lowercase() } else { said };
    let mut told = Problem::new(status, code, detail).into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        told.headers_mut().insert(header::ALLOW, allow.clone());
    }
    told
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).expect("a problem is serialisable");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        // For those who tell it in another form.
        response.extensions_mut().insert(self);
        response
    }
}
