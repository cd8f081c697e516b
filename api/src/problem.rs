//! Errors as problem documents (RFC 9457) with a stable code.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

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
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("error");
        Problem { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), code, position: None }
    }

    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
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

    pub(crate) fn at(mut self, position: usize) -> Problem {
        self.position = Some(position);
        self
    }
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
