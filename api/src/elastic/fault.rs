//! Errors as Elasticsearch writes them: `{"error": {"type", "reason", "root_cause"}, "status"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::problem::Problem;

/// What went wrong, for a client of Elasticsearch.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    kind: &'static str,
    reason: String,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Fault {
        Fault { status, kind, reason: reason.into() }
    }

    /// The request is not written as it should be.
    pub(crate) fn parsing(reason: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// The request asks for what we have not, or for too much.
    pub(crate) fn illegal(reason: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn body(&self) -> Value {
        let cause = json!({"type": self.kind, "reason": self.reason});
        json!({"error": {"root_cause": [cause], "type": self.kind, "reason": self.reason}, "status": self.status()})
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        let kind = match problem.code() {
            "unauthorized" => "security_exception",
            "not_found" => "resource_not_found_exception",
            "bad_query" => "query_shard_exception",
            "bad_body" => "parse_exception",
            "too_many_failures" | "stopping" | "timeout" => "rejected_execution_exception",
            "internal" => "internal_exception",
            _ => "illegal_argument_exception",
        };
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Fault::new(status, kind, problem.reason())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

/// The members of one object of a request, taken one by one; what is left is unknown.
pub(crate) struct Members {
    of: String,
    map: serde_json::Map<String, Value>,
}

impl Members {
    pub(crate) fn new(of: &str, value: Value) -> Result<Members, Fault> {
        match value {
            Value::Object(map) => Ok(Members { of: of.to_owned(), map }),
            other => Err(Fault::parsing(format!("[{of}] must be an object, not {}", kind_of(&other)))),
        }
    }

    /// A member, unless it is null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|v| !v.is_null())
    }

    pub(crate) fn required(&mut self, name: &str) -> Result<Value, Fault> {
        let of = self.of.clone();
        self.take(name).ok_or_else(|| Fault::parsing(format!("[{of}] requires [{name}]")))
    }

    /// A text, or what is written as one.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        self.take(name).map(|v| text_of(&v).ok_or_else(|| self.bad(name, "a text"))).transpose()
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<f64>, Fault> {
        self.take(name).map(|v| number_of(&v).ok_or_else(|| self.bad(name, "a number"))).transpose()
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<usize>, Fault> {
        let number = self.number(name)?;
        number.map(|n| if n >= 0.0 && n.fract() == 0.0 { Ok(n as usize) } else { Err(self.bad(name, "a count")) }).transpose()
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        self.take(name)
            .map(|v| match &v {
                Value::Bool(b) => Ok(*b),
                Value::String(text) => text.parse().map_err(|_| self.bad(name, "true or false")),
                _ => Err(self.bad(name, "true or false")),
            })
            .transpose()
    }

    /// Refuses a member by its name where it asks for something else than what is done: `fits` says of a value that it does not.
    pub(crate) fn fits(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<(), Fault> {
        match self.take(name).filter(|value| !fits(value)) {
            None => Ok(()),
            Some(value) => Err(Fault::illegal(format!("[{}] does not support [{name}] of {value}", self.of))),
        }
    }

    /// Members that say how something is ranked or computed, which changes no answer of ours.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.map.shift_remove(*name)));
    }

    /// The one member that is left, with its name.
    pub(crate) fn single(mut self) -> Result<(String, Value), Fault> {
        match (self.map.len(), self.map.keys().next().cloned()) {
            (1, Some(name)) => {
                let value = self.map.shift_remove(&name).unwrap_or(Value::Null);
                Ok((name, value))
            }
            _ => Err(Fault::parsing(format!("[{}] must have exactly one member", self.of))),
        }
    }

    pub(crate) fn rest(self) -> serde_json::Map<String, Value> {
        self.map
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::parsing(format!("[{}] does not support [{name}]", self.of))),
        }
    }

    fn bad(&self, name: &str, wanted: &str) -> Fault {
        Fault::parsing(format!("[{}] [{name}] must be {wanted}", self.of))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A scalar as text.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

pub(crate) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// One or a list of them.
pub(crate) fn list_of(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}
