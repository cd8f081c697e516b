//! Records over HTTP: lines (`POST /ingest`) and Elasticsearch's bulk form. The answer comes once the records are on disk, so that a sender
//! that was answered may forget them, and one that was not sends again.

use std::collections::HashMap;
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Extension, FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use event::limits::{BATCH_BYTES_MAX, FRAME_BYTES_MAX};
use event::{Content, EventId, Frame, FrameHead, Frames, Position, TenantId, Transport};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::elastic;
use crate::problem::Problem;
use crate::server::Shared;
use crate::store::Identity;

/// Bytes of a body as sent.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of a body once it is unpacked.
pub(crate) const UNPACKED_BYTES_MAX: usize = 16 << 20;
/// How many times larger than sent an unpacked body may be: real log lines stay below 30.
const RATIO_MAX: usize = 100;
/// Records of one request.
const RECORDS_MAX: usize = 100_000;

/// The log as the interface sees it.
pub trait Intake: Send + Sync {
    /// Appends frames, and is done when they are on disk: the place of the first. None where the log is closed.
    fn append(&self, frames: Frames) -> Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>>;

    /// The record as text, in the character set of its sender.
    fn text(&self, frame: Frame<'_>) -> String;

    /// Whether a decoder reads this record now; one that was quarantined may then be released.
    fn reads(&self, frame: Frame<'_>) -> bool;
}

/// Who sends.
pub(crate) type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// What takes no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /ingest`: a record a line, or a JSON array of objects.
pub(crate) async fn lines(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    peer: Peer,
    Query(Nothing {}): Query<Nothing>,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut records = Records::new(&shared, &identity, peer);
    if let Some(objects) = array(&body) {
        objects.iter().try_for_each(|object| records.push(object.get().as_bytes()))?;
    } else {
        for line in body.split(|b| *b == b'\n') {
            records.push(line.strip_suffix(b"\r").unwrap_or(line))?;
        }
    }
    let accepted = records.keep(&shared).await?.frames().count();
    Ok(Json(json!({"accepted": accepted})).into_response())
}

/// The records of a body that is one JSON array, as log shippers send where they are not told to send lines.
fn array(body: &[u8]) -> Option<Vec<&RawValue>> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    Some(elements).filter(|elements| elements.iter().all(|element| element.get().starts_with('{')))
}

/// `_bulk`: lines in pairs, what to do and the record. Records are only ever added: `index` and `create` add, the others are refused.
pub(crate) async fn bulk(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    peer: Peer,
    index: Option<Path<String>>,
    Query(parameters): Query<HashMap<String, String>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let named = index.map_or_else(|| "mihari".to_owned(), |Path(name)| name);
    let started = shared.api.clock.now();
    let mut records = Records::new(&shared, &identity, peer);
    let mut items: Vec<(String, Value)> = Vec::new();
    let mut refused = false;
    let mut lines = body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    while let Some(action) = lines.next() {
        let action: Value =
            serde_json::from_slice(action).map_err(|_| Problem::bad("bad_body", "an action is no JSON object"))?;
        let Some((name, target)) = action.as_object().and_then(|o| o.iter().next()) else {
            return Err(Problem::bad("bad_body", "an action is an object with one member"));
        };
        let index = target.get("_index").and_then(Value::as_str).unwrap_or(&named);
        let failure = |reason: &str| json!({"_index": index, "status": 400, "error": {"type": "illegal_argument_exception", "reason": reason}});
        let item = match name.as_str() {
            "index" | "create" => {
                let Some(record) = lines.next() else { return Err(Problem::bad("bad_body", "the last action has no record")) };
                if record.trim_ascii_start().first() == Some(&b'{') {
                    records.push(record)?;
                    json!({"_index": index, "status": 201})
                } else {
                    failure("a record is a JSON object")
                }
            }
            "update" => {
                lines.next();
                failure("records are never changed")
            }
            "delete" => failure("records are never deleted"),
            _ => return Err(Problem::bad("bad_body", format!("no action is named {name:?}"))),
        };
        refused |= item.get("error").is_some();
        items.push((name.clone(), item));
    }
    // Each has the id of its event, whichever the sender wished for: the same record twice is two.
    let mut kept = records.keep(&shared).await?.frames();
    for (_, item) in items.iter_mut().filter(|(_, item)| item.get("error").is_none()) {
        created(item, kept.next().ok_or_else(Problem::stopping)?);
    }
    refreshed(&shared, &identity, &parameters).await;
    let took_ms = shared.api.clock.now().since_ns(started) / 1_000_000;
    let items: Vec<Value> = items.into_iter().map(|(name, item)| json!({name: item})).collect();
    let answer = json!({"took": took_ms, "errors": refused, "items": items});
    Ok(Json(answer).into_response())
}

/// `POST {index}/_doc`: one record, which gets the id of its event.
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    peer: Peer,
    Path(index): Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let record: &RawValue =
        serde_json::from_slice(&body).map_err(|error| Problem::bad("bad_body", format!("a record is a JSON object: {error}")))?;
    if !record.get().starts_with('{') {
        return Err(Problem::bad("bad_body", "a record is a JSON object"));
    }
    let mut records = Records::new(&shared, &identity, peer);
    // One line: a line's end within would be that of the record elsewhere.
    let text: String = record.get().replace(['\n', '\r'], " ");
    records.push(text.as_bytes())?;
    let kept = records.keep(&shared).await?;
    refreshed(&shared, &identity, &parameters).await;
    let mut answer = json!({"_index": index});
    created(&mut answer, kept.frames().next().ok_or_else(Problem::stopping)?);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Says of a record that it was added, and which event it is.
fn created(answer: &mut Value, frame: Position) {
    answer["_id"] = EventId { frame, nth: 0 }.to_string().into();
    answer["_version"] = 1.into();
    answer["result"] = "created".into();
    answer["_shards"] = json!({"total": 1, "successful": 1, "failed": 0});
    answer["_seq_no"] = frame.offset.into();
    answer["_primary_term"] = 1.into();
}

/// Waits until what was taken is searchable, for whoever asks for that.
async fn refreshed(shared: &Arc<Shared>, identity: &Identity, parameters: &HashMap<String, String>) {
    if parameters.get("refresh").is_some_and(|r| r != "false") && !elastic::searchable(shared, identity).await {
        tracing::warn!("records are on disk, but were not searchable in time for who waits for them");
    }
}

/// Frames of one request.
pub(crate) struct Records {
    lead: FrameHead,
    frames: Vec<Frames>,
    count: usize,
}

impl Records {
    pub(crate) fn new(shared: &Shared, identity: &Identity, peer: Peer) -> Records {
        let lead = FrameHead {
            received: shared.api.clock.now(),
            tenant: TenantId(identity.tenant),
            source: peer.map(|peer| peer.0.0),
            ..FrameHead::new(Transport::Http, Content::Text)
        };
        Records { lead, frames: vec![Frames::default()], count: 0 }
    }

    pub(crate) fn push(&mut self, record: &[u8]) -> Result<(), Problem> {
        if record.is_empty() {
            return Ok(());
        }
        if self.count >= RECORDS_MAX {
            let detail = format!("{RECORDS_MAX} records at most in one request");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail));
        }
        self.count += 1;
        let kept = &record[..record.len().min(FRAME_BYTES_MAX)];
        if self.frames.last().is_none_or(|frames| frames.byte_len() + kept.len() > BATCH_BYTES_MAX) {
            self.frames.push(Frames::default());
        }
        if let Some(frames) = self.frames.last_mut() {
            frames.push(FrameHead { truncated: kept.len() < record.len(), ..self.lead }, kept);
        }
        Ok(())
    }

    /// Appends them all: where each lies, once they are on disk.
    pub(crate) async fn keep(self, shared: &Shared) -> Result<Kept, Problem> {
        let mut runs = Vec::new();
        for frames in self.frames.into_iter().filter(|frames| !frames.is_empty()) {
            metrics::counter!("mihari_received_frames_total", "transport" => "http").increment(frames.len() as u64);
            metrics::counter!("mihari_received_bytes_total", "transport" => "http").increment(frames.byte_len() as u64);
            let count = frames.len() as u64;
            runs.push((shared.api.intake.append(frames).await.ok_or_else(Problem::stopping)?, count));
        }
        Ok(Kept(runs))
    }
}

/// Runs of frames that are on disk, as they were appended: where each begins, and how many it has.
pub(crate) struct Kept(Vec<(Position, u64)>);

impl Kept {
    /// Where each frame lies.
    pub(crate) fn frames(self) -> impl Iterator<Item = Position> {
        let of = |(first, count): (Position, u64)| (0..count).map(move |nth| Position { offset: first.offset + nth, ..first });
        self.0.into_iter().flat_map(of)
    }
}

/// Unpacks the body of a request before anything reads it, to `bytes_max` at most: `_bulk` is sent packed as a rule, and the clients of
/// Elasticsearch that are told to pack it (`http_compress`) pack every request.
pub(crate) async fn unpacked(State(bytes_max): State<usize>, request: Request, next: Next) -> Response {
    let packing = request.headers().get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?").to_ascii_lowercase());
    let Some(packing) = packing.filter(|packing| packing != "identity") else { return next.run(request).await };
    let (mut head, body) = request.into_parts();
    let body = match Bytes::from_request(Request::from_parts(head.clone(), body), &()).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    match unpack(&packing, &body, bytes_max) {
        Ok(unpacked) => {
            head.headers.remove(header::CONTENT_ENCODING);
            head.headers.insert(header::CONTENT_LENGTH, unpacked.len().into());
            next.run(Request::from_parts(head, unpacked.into())).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The body without its packing. What it says of its own size is not believed.
fn unpack(packing: &str, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut unpacked = Vec::new();
    let limit = bytes_max.min(body.len().saturating_mul(RATIO_MAX)) as u64;
    let broken = |_| Problem::bad("bad_body", "the body cannot be unpacked");
    match packing {
        "gzip" => flate2::read::MultiGzDecoder::new(body).take(limit + 1).read_to_end(&mut unpacked).map_err(broken)?,
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
            decoder.take(limit + 1).read_to_end(&mut unpacked).map_err(broken)?
        }
        other => {
            let detail = format!("the packing {other:?} is not known; gzip and zstd are");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", detail));
        }
    };
    if unpacked.len() as u64 > limit {
        let detail = format!("unpacked, a body has {bytes_max} bytes at most and {RATIO_MAX} times what was sent");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("packs");
        encoder.finish().expect("packs")
    }

    #[test]
    fn an_array_of_objects_is_as_many_records() {
        let of = |body: &'static str| array(body.as_bytes()).map(|all| all.iter().map(|one| one.get()).collect::<Vec<_>>());
        assert_eq!(of(" [{\"a\": 1},\n {\"b\":[2]}]\n"), Some(vec!["{\"a\": 1}", "{\"b\":[2]}"]));
        for lines in ["[error] x\n", "[1,2]", "[{\"a\":1}]\n[{\"a\":2}]\n", "{\"a\":[{}]}", "[{\"a\":1}"] {
            assert_eq!(of(lines), None, "{lines}");
        }
        assert_eq!(of("[]"), Some(Vec::new()));
    }

    #[test]
    fn packed_bodies_are_unpacked_and_bombs_are_not() {
        let text = b"<13>one\n<13>two\n";
        assert_eq!(unpack("gzip", &gzip(text), 1000).expect("gzip"), &text[..]);
        let zstd = zstd::encode_all(&text[..], 3).expect("packs");
        assert_eq!(unpack("zstd", &zstd, 1000).expect("zstd"), &text[..]);
        let zeros = vec![0; 4 << 20];
        assert!(unpack("gzip", &gzip(&zeros), UNPACKED_BYTES_MAX).is_err(), "a thousand times its size");
        assert!(unpack("zstd", &zstd::encode_all(&zeros[..], 3).expect("packs"), UNPACKED_BYTES_MAX).is_err());
        assert!(unpack("gzip", &gzip(text), text.len() - 1).is_err(), "more than there may be");
        assert!(unpack("gzip", &gzip(text)[..10], 1000).is_err(), "cut");
        assert!(unpack("br", text, 1000).is_err(), "unknown");
    }
}
