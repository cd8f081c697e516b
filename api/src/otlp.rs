//! Logs over OTLP/HTTP (OpenTelemetry Protocol 1, "OTLP/HTTP"): `POST /v1/logs`, protobuf or JSON, answered once the records are on disk.
//!
//! A record becomes one JSON object: its body as `message`, its attributes and those of its resource by their names, which follow ECS where the
//! semantic conventions do. Protobuf is read field by field here: seven messages of it are needed, and no more than these bounds allow.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event::{Time, hexadecimal};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::intake::{Peer, Records};
use crate::problem::Problem;
use crate::server::Shared;
use crate::store::Identity;

/// Lists and maps within each other in one value; what a program logs is flat.
const DEPTH_MAX: usize = 16;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// `POST /v1/logs`.
pub(crate) async fn logs(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    peer: Peer,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = match kind.split(';').next().unwrap_or("").trim() {
        PROTOBUF => PROTOBUF,
        JSON => JSON,
        _ => {
            let detail = format!("{PROTOBUF} or {JSON} is expected");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_type", detail));
        }
    };
    let mut records = Records::new(&shared, &identity, peer);
    let mut keep = |record: &Log, of: &Scope| records.push(text(record, of).as_bytes());
    match kind {
        PROTOBUF => protobuf::request(&body, &mut keep)?,
        _ => json::request(&body, &mut keep)?,
    }
    records.keep(&shared).await?;
    // An answer without members says that every record was taken, in both forms.
    let answer = if kind == JSON { "{}" } else { "" };
    Ok(([(header::CONTENT_TYPE, kind)], answer).into_response())
}

fn bad(detail: &'static str) -> Problem {
    Problem::bad("bad_body", detail)
}

/// Names and values.
type Attributes = Vec<(String, Value)>;

/// What the records of one scope have in common.
#[derive(Clone, Default)]
struct Scope {
    resource: Attributes,
    name: String,
    version: String,
}

/// One record.
#[derive(Default)]
struct Log {
    time_ns: u64,
    observed_ns: u64,
    severity: u64,
    severity_text: String,
    body: Option<Value>,
    attributes: Attributes,
    trace: String,
    span: String,
    event: String,
}

/// The record as one flat JSON object. What the record says of itself stands before what its resource says.
fn text(log: &Log, scope: &Scope) -> String {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        if !name.is_empty() && !members.contains_key(name) && value != Value::Null {
            members.insert(name.to_owned(), value);
        }
    };
    let words = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let time = [log.time_ns, log.observed_ns].into_iter().find(|ns| *ns > 0).and_then(|ns| i64::try_from(ns).ok());
    put("@timestamp", time.map_or(Value::Null, |ns| Time::from_unix_ns(ns).to_string().into()));
    put("log.level", words(if log.severity_text.is_empty() { severity(log.severity) } else { &log.severity_text }));
    match &log.body {
        Some(Value::Object(body)) => body.iter().for_each(|(name, value)| put(name, value.clone())),
        Some(Value::String(body)) => put("message", Value::from(body.as_str())),
        Some(other) => put("message", Value::from(other.to_string())),
        None => {}
    }
    log.attributes.iter().chain(&scope.resource).for_each(|(name, value)| put(name, value.clone()));
    for (name, value) in [
        ("trace.id", &log.trace),
        ("span.id", &log.span),
        ("event.action", &log.event),
        ("otel.scope.name", &scope.name),
        ("otel.scope.version", &scope.version),
    ] {
        put(name, words(value));
    }
    Value::Object(members).to_string()
}

/// The name of a severity number (OpenTelemetry, "Logs Data Model", Displaying Severity).
fn severity(number: u64) -> &'static str {
    match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "",
    }
}

/// The binary form (Protocol Buffers, "Encoding"; `opentelemetry/proto/collector/logs/v1`).
mod protobuf {
    use super::{Attributes, Engine, Log, Map, Problem, STANDARD, Scope, Value, bad, hexadecimal};

    /// A message: fields one after the other, in any order; those that nobody knows are stepped over.
    struct Message<'b>(&'b [u8]);

    enum Field<'b> {
        Number(u64),
        Bytes(&'b [u8]),
    }

    impl<'b> Field<'b> {
        fn number(&self) -> u64 {
            match self {
                Field::Number(n) => *n,
                Field::Bytes(_) => 0,
            }
        }

        fn bytes(&self) -> &'b [u8] {
            match self {
                Field::Number(_) => &[],
                Field::Bytes(bytes) => bytes,
            }
        }

        fn text(&self) -> String {
            String::from_utf8_lossy(self.bytes()).into_owned()
        }
    }

    const CUT: &str = "the body is no protobuf message, or is cut";

    impl<'b> Message<'b> {
        fn next(&mut self) -> Result<Option<(u64, Field<'b>)>, Problem> {
            if self.0.is_empty() {
                return Ok(None);
            }
            let key = self.varint()?;
            let field = match key & 7 {
                0 => Field::Number(self.varint()?),
                1 => Field::Number(u64::from_le_bytes(self.fixed()?)),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| bad(CUT))?;
                    let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(|| bad(CUT))?;
                    self.0 = rest;
                    Field::Bytes(bytes)
                }
                5 => Field::Number(u32::from_le_bytes(self.fixed()?).into()),
                _ => return Err(bad(CUT)),
            };
            Ok(Some((key >> 3, field)))
        }

        fn varint(&mut self) -> Result<u64, Problem> {
            let mut value = 0u64;
            for shift in (0..64).step_by(7) {
                let (byte, rest) = self.0.split_first().ok_or_else(|| bad(CUT))?;
                self.0 = rest;
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    return Ok(value);
                }
            }
            Err(bad(CUT))
        }

        fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
            let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| bad(CUT))?;
            self.0 = rest;
            Ok(*bytes)
        }
    }

    type Keep<'k> = dyn FnMut(&Log, &Scope) -> Result<(), Problem> + 'k;

    pub(super) fn request(body: &[u8], keep: &mut Keep<'_>) -> Result<(), Problem> {
        let mut request = Message(body);
        while let Some((number, field)) = request.next()? {
            if number == 1 {
                resource_logs(field.bytes(), keep)?;
            }
        }
        Ok(())
    }

    fn resource_logs(bytes: &[u8], keep: &mut Keep<'_>) -> Result<(), Problem> {
        // Fields may stand in any order: the resource is looked for first.
        let mut scope = Scope::default();
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 1 {
                attributes(field.bytes(), 1, &mut scope.resource)?;
            }
        }
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 2 {
                scope_logs(field.bytes(), &scope, keep)?;
            }
        }
        Ok(())
    }

    fn scope_logs(bytes: &[u8], of: &Scope, keep: &mut Keep<'_>) -> Result<(), Problem> {
        let mut scope = of.clone();
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 1 {
                let mut named = Message(field.bytes());
                while let Some((number, field)) = named.next()? {
                    match number {
                        1 => scope.name = field.text(),
                        2 => scope.version = field.text(),
                        _ => {}
                    }
                }
            }
        }
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            if number == 2 {
                keep(&log(field.bytes())?, &scope)?;
            }
        }
        Ok(())
    }

    fn log(bytes: &[u8]) -> Result<Log, Problem> {
        let mut log = Log::default();
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => log.time_ns = field.number(),
                2 => log.severity = field.number(),
                3 => log.severity_text = field.text(),
                5 => log.body = Some(value(field.bytes(), 0)?),
                6 => log.attributes.push(pair(field.bytes(), 0)?),
                9 => log.trace = hexadecimal(field.bytes()),
                10 => log.span = hexadecimal(field.bytes()),
                11 => log.observed_ns = field.number(),
                12 => log.event = field.text(),
                _ => {}
            }
        }
        Ok(log)
    }

    /// The `KeyValue`s that a message has as its field `which`.
    fn attributes(bytes: &[u8], which: u64, out: &mut Attributes) -> Result<(), Problem> {
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            if number == which {
                out.push(pair(field.bytes(), 0)?);
            }
        }
        Ok(())
    }

    fn pair(bytes: &[u8], depth: usize) -> Result<(String, Value), Problem> {
        let (mut key, mut held) = (String::new(), Value::Null);
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => key = field.text(),
                2 => held = value(field.bytes(), depth)?,
                _ => {}
            }
        }
        Ok((key, held))
    }

    /// An `AnyValue`.
    fn value(bytes: &[u8], depth: usize) -> Result<Value, Problem> {
        if depth > super::DEPTH_MAX {
            return Err(bad(super::TOO_DEEP));
        }
        let mut held = Value::Null;
        let mut message = Message(bytes);
        while let Some((number, field)) = message.next()? {
            held = match number {
                1 => Value::from(field.text()),
                2 => Value::from(field.number() != 0),
                3 => Value::from(field.number().cast_signed()),
                4 => Value::from(f64::from_bits(field.number())),
                5 => {
                    let (mut list, mut message) = (Vec::new(), Message(field.bytes()));
                    while let Some((number, field)) = message.next()? {
                        if number == 1 {
                            list.push(value(field.bytes(), depth + 1)?);
                        }
                    }
                    Value::Array(list)
                }
                6 => {
                    let (mut map, mut message) = (Map::new(), Message(field.bytes()));
                    while let Some((number, field)) = message.next()? {
                        if number == 1 {
                            let (key, value) = pair(field.bytes(), depth + 1)?;
                            map.insert(key, value);
                        }
                    }
                    Value::Object(map)
                }
                7 => Value::from(STANDARD.encode(field.bytes())),
                _ => held,
            };
        }
        Ok(held)
    }
}

const TOO_DEEP: &str = "a value has too many lists and maps within each other";

/// The JSON form (OTLP 1, "JSON Protobuf Encoding"): names in lower camel case, 64-bit numbers also as text, identifiers in hexadecimal.
mod json {
    use super::{Attributes, Deserialize, Log, Map, Problem, Scope, Value, bad};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        #[serde(default)]
        resource_logs: Vec<ResourceLogs>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct ResourceLogs {
        resource: Named,
        scope_logs: Vec<ScopeLogs>,
    }

    /// A resource or a scope.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        name: String,
        version: String,
        attributes: Vec<Pair>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ScopeLogs {
        scope: Named,
        log_records: Vec<Record>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Record {
        time_unix_nano: Value,
        observed_time_unix_nano: Value,
        severity_number: Value,
        severity_text: String,
        body: Value,
        attributes: Vec<Pair>,
        trace_id: String,
        span_id: String,
        event_name: String,
    }

    #[derive(Deserialize)]
    struct Pair {
        #[serde(default)]
        key: String,
        #[serde(default)]
        value: Value,
    }

    type Keep<'k> = dyn FnMut(&Log, &Scope) -> Result<(), Problem> + 'k;

    pub(super) fn request(body: &[u8], keep: &mut Keep<'_>) -> Result<(), Problem> {
        let request: Request = serde_json::from_slice(body).map_err(|_| bad("the body is no logs request in JSON"))?;
        for of_resource in request.resource_logs {
            let resource = attributes(of_resource.resource.attributes)?;
            for of_scope in of_resource.scope_logs {
                let Named { name, version, .. } = of_scope.scope;
                let scope = Scope { resource: resource.clone(), name, version };
                for record in of_scope.log_records {
                    keep(&log(record)?, &scope)?;
                }
            }
        }
        Ok(())
    }

    fn log(record: Record) -> Result<Log, Problem> {
        Ok(Log {
            time_ns: number(&record.time_unix_nano),
            observed_ns: number(&record.observed_time_unix_nano),
            severity: number(&record.severity_number),
            severity_text: record.severity_text,
            body: if record.body.is_null() { None } else { Some(value(record.body, 0)?) },
            attributes: attributes(record.attributes)?,
            trace: record.trace_id,
            span: record.span_id,
            event: record.event_name,
        })
    }

    fn number(value: &Value) -> u64 {
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
    }

    fn attributes(pairs: Vec<Pair>) -> Result<Attributes, Problem> {
        pairs.into_iter().map(|pair| Ok((pair.key, value(pair.value, 0)?))).collect()
    }

    /// An `AnyValue`: an object with one member.
    fn value(held: Value, depth: usize) -> Result<Value, Problem> {
        if depth > super::DEPTH_MAX {
            return Err(bad(super::TOO_DEEP));
        }
        let Value::Object(members) = held else { return Ok(Value::Null) };
        let Some((kind, held)) = members.into_iter().next() else { return Ok(Value::Null) };
        let values = |mut held: Value| match held.get_mut("values").map(Value::take) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        };
        Ok(match kind.as_str() {
            "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => held,
            "intValue" => held.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(held, Value::from),
            "arrayValue" => Value::Array(values(held).into_iter().map(|item| value(item, depth + 1)).collect::<Result<_, _>>()?),
            "kvlistValue" => {
                let mut map = Map::new();
                for mut pair in values(held) {
                    let key = pair.get("key").and_then(Value::as_str).unwrap_or("").to_owned();
                    map.insert(key, value(pair.get_mut("value").map(Value::take).unwrap_or_default(), depth + 1)?);
                }
                Value::Object(map)
            }
            _ => Value::Null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the `opentelemetry-proto` package of Python (1.x) writes a request of two records, and the same as OTLP writes it in JSON.
    const WRITTEN: &str = "0ab8020a2f0a180a0c736572766963652e6e616d6512080a06706f7274616c0a130a09686f73742e6e616d6512060a04776562311284020a0c0a056c6f67696e1203312e\
        3212c2010915cd1b0b8d12a218100d1a075761726e696e672a1d0a1be383ade382b0e382a4e383b3e5a4b1e6959720666f72207461726f32130a09757365722e6e616d65\
        12060a047461726f32170a08617474656d707473120b18fdffffffffffffffff0132120a05726174696f120921000000000000e03f320c0a066c6f636b65641202100132\
        140a0474616773120c2a0a0a030a01610a030a0162320b0a0372617712043a0200ff4a10000102030405060708090a0b0c0d0e0f52080001020304050607122f10092a15\
        32130a070a0161120218010a080a016212030a01785900ca5a3f8d12a218620b757365722e6c6f676f7574";
    const IN_JSON: &str = r#"{"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "portal"}},
        {"key": "host.name", "value": {"stringValue": "web1"}}]}, "scopeLogs": [{"scope": {"name": "login", "version": "1.2"}, "logRecords": [
        {"timeUnixNano": "1775001600123456789", "severityNumber": 13, "severityText": "Warning", "body": {"stringValue": "ログイン失敗 for taro"},
         "attributes": [{"key": "user.name", "value": {"stringValue": "taro"}}, {"key": "attempts", "value": {"intValue": "-3"}},
         {"key": "ratio", "value": {"doubleValue": 0.5}}, {"key": "locked", "value": {"boolValue": true}},
         {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}},
         {"key": "raw", "value": {"bytesValue": "AP8="}}], "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607"},
        {"severityNumber": 9, "body": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}, {"key": "b", "value": {"stringValue": "x"}}]}},
         "observedTimeUnixNano": 1775001601000000000, "eventName": "user.logout"}]}]}]}"#;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
    }

    fn texts(
        read: impl FnOnce(&mut dyn FnMut(&Log, &Scope) -> Result<(), Problem>) -> Result<(), Problem>,
    ) -> Option<Vec<String>> {
        let mut out = Vec::new();
        let mut keep = |log: &Log, scope: &Scope| {
            out.push(text(log, scope));
            Ok(())
        };
        read(&mut keep).ok().map(|()| out)
    }

    #[test]
    fn both_forms_give_the_same_records() {
        let expected = [
            r#"{"@timestamp":"2026-04-01T00:00:00.123456789Z","log.level":"Warning","message":"ログイン失敗 for taro","user.name":"taro","attempts":-3,"ratio":0.5,"locked":true,"tags":["a","b"],"raw":"AP8=","service.name":"portal","host.name":"web1","trace.id":"000102030405060708090a0b0c0d0e0f","span.id":"0001020304050607","otel.scope.name":"login","otel.scope.version":"1.2"}"#,
            r#"{"@timestamp":"2026-04-01T00:00:01Z","log.level":"info","a":1,"b":"x","service.name":"portal","host.name":"web1","event.action":"user.logout","otel.scope.name":"login","otel.scope.version":"1.2"}"#,
        ];
        assert_eq!(texts(|keep| protobuf::request(&bytes(WRITTEN), keep)).expect("protobuf"), expected);
        assert_eq!(texts(|keep| json::request(IN_JSON.as_bytes(), keep)).expect("JSON"), expected);
    }

    #[test]
    fn what_is_cut_or_too_deep_is_refused() {
        let whole = bytes(WRITTEN);
        for length in 1..whole.len() {
            assert!(texts(|keep| protobuf::request(&whole[..length], keep)).is_none(), "cut at {length}");
        }
        // A list in a list, and so on: each one byte of tag and length more.
        let mut value = vec![0x0a, 1, b'x'];
        for _ in 0..40 {
            value = [&[0x0a, value.len() as u8][..], &value].concat();
            value = [&[0x2a, value.len() as u8][..], &value].concat();
            if value.len() > 100 {
                break;
            }
        }
        let within = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8][..], inner].concat();
        let request = within(0x0a, &within(0x12, &within(0x12, &within(0x2a, &value))));
        assert!(texts(|keep| protobuf::request(&request, keep)).is_none(), "too deep");
        let deep = format!(
            "{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{}{}}}]}}]}}]}}",
            "{\"arrayValue\":{\"values\":[".repeat(20),
            "]}}".repeat(20)
        );
        assert!(texts(|keep| json::request(deep.as_bytes(), keep)).is_none(), "too deep");
        assert_eq!(texts(|keep| protobuf::request(b"", keep)), Some(Vec::new()));
        assert_eq!(texts(|keep| json::request(b"{}", keep)), Some(Vec::new()));
        assert!(texts(|keep| json::request(b"[", keep)).is_none());
    }
}
