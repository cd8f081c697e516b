//! What a draft of the zone policy would have said of what is stored, beside what was said: before it is put into force. Of what was stored
//! before there was a policy nothing was said; a draft tells of it what leaves a zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport};
use index::{Hit, SearchRequest, Sort};
use rules::policy::{self, Policy, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::server::Shared;
use crate::store::Identity;
use crate::{search, zones};

/// Records of one page.
const PAGE: usize = 1000;
/// How long it may take before it answers with what it has; below the time of a request.
const TIME_NS_MAX: i64 = 20 * 1_000_000_000;
/// Kinds of change in one answer; further ones are summed up.
const CHANGES_MAX: usize = 1000;
/// What a verdict hangs on beside what [`policy::fields`] names.
const LOG_SOURCE: [&str; 3] = ["mihari.log_source.category", "mihari.log_source.product", "mihari.log_source.service"];
/// Those that a policy writes.
const SAID: [&str; 6] = ["zone.source", "zone.destination", "policy.verdict", "policy.clause", "policy.initiator", "policy.line"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhatIfBody {
    yaml: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Change {
    from: String,
    to: String,
    service: String,
    /// Zones and verdict as they were said.
    before: String,
    /// And as they would be.
    after: String,
}

#[derive(Default)]
struct Found {
    changes: BTreeMap<Change, (u64, Option<String>)>,
    looked_at: u64,
    beyond: u64,
}

pub(crate) async fn what_if(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Identity>,
    body: Result<Json<WhatIfBody>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|e| Problem::bad("bad_body", e.body_text()))?;
    if body.yaml.len() > rules::yaml::FILE_BYTES_MAX {
        return Err(Problem::bad("too_long", format!("{} bytes at most", rules::yaml::FILE_BYTES_MAX)));
    }
    let (draft, warnings) = Policy::parse(&body.yaml).map_err(|problems| zones::refused(&problems))?;
    let renamed = Arc::new(renamed(&shared, &draft).await?);
    let (draft, began) = (Arc::new(draft), shared.api.clock.now());
    let (from, to) = (search::instant(body.from.as_deref(), "from", began)?, search::instant(body.to.as_deref(), "to", began)?);
    let from = from.unwrap_or_else(|| began.plus_ns(-86_400 * 1_000_000_000));
    search::ordered(from, to.unwrap_or(Time::MAX))?;
    let mut request = SearchRequest::new(search::parse("source.ip:* OR zone.source:*", began)?);
    (request.from, request.to, request.sort, request.size) = (Some(from), to, Sort::Desc, PAGE);
    request.fields = Some(policy::fields().chain(LOG_SOURCE).chain(SAID).map(str::to_owned).collect());
    request.total_max = Some(0);
    let (mut found, mut complete) = (Found::default(), true);
    loop {
        let (page, draft, renamed) = (request.clone(), draft.clone(), renamed.clone());
        let (answer, part, whole) = search::run(&shared, &identity, search::SEARCH_NS_MAX, move |on, limits| {
            let answer = on.searcher.search(&page, limits)?;
            let part = compare(&draft, &renamed, &answer.hits);
            let whole = on.lacks_of(&answer).is_empty();
            Ok((answer, part, whole))
        })
        .await?;
        found.add(part);
        complete &= whole;
        request.cursor = answer.cursor;
        if request.cursor.is_none() || answer.stopped {
            break;
        }
        if shared.api.clock.now().since_ns(began) > TIME_NS_MAX {
            complete = false;
            break;
        }
    }
    let changes: Vec<Value> = found
        .changes
        .iter()
        .map(|(change, (count, example))| {
            let mut row = json!(change);
            (row["count"], row["example"]) = (json!(count), json!(example));
            row
        })
        .collect();
    Ok(Json(json!({"looked_at": found.looked_at, "complete": complete, "changes": changes, "beyond": found.beyond,
        "renamed": *renamed,
        "sha256": draft.sha256, "warnings": warnings}))
    .into_response())
}

/// The zones that the draft calls otherwise than the policy that came into force last, with their new names.
async fn renamed(shared: &Arc<Shared>, draft: &Policy) -> Result<BTreeMap<String, String>, Problem> {
    let text = shared
        .read(|store| {
            let last = store.policy_versions()?.into_iter().next();
            last.map_or(Ok(None), |version| store.policy_text(&version.sha256))
        })
        .await?;
    // One that was in force and that this program does not read has no zones to compare.
    let last = text.and_then(|text| Policy::parse(&text).ok());
    Ok(last.map_or_else(BTreeMap::new, |(last, _)| policy::renamed(&last, draft)))
}

impl Found {
    fn add(&mut self, part: Found) {
        self.looked_at += part.looked_at;
        self.beyond += part.beyond;
        for (change, (count, example)) in part.changes {
            if self.changes.len() >= CHANGES_MAX && !self.changes.contains_key(&change) {
                self.beyond += count;
                continue;
            }
            let entry = self.changes.entry(change).or_insert((0, example));
            entry.0 += count;
        }
    }
}

/// What the draft would say otherwise of these records. Zones that it renames are those that they were.
fn compare(draft: &Policy, renamed: &BTreeMap<String, String>, hits: &[Hit]) -> Found {
    let batch = batch(hits);
    let mut found = Found { looked_at: hits.len() as u64, ..Found::default() };
    for (hit, verdict) in hits.iter().zip(draft.verdicts(&batch)) {
        let before = |name: &str| hit.fields.get(name).and_then(|v| first(v).as_str()).unwrap_or("").to_owned();
        let said = before("policy.verdict");
        // The zones of a record are those of its source and its destination; told are those of who began and who was called.
        let forth = verdict.is_none_or(|verdict| verdict.from_source);
        let zone = |name: &str| renamed.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let (source, destination) = (zone(&before("zone.source")), zone(&before("zone.destination")));
        let (from, to) = if forth { (source, destination) } else { (destination, source) };
        let (new_from, new_to, new_said) =
            verdict.map_or(("", "", ""), |verdict| (verdict.from, verdict.to, verdict.verdict.name()));
        let unsaid = said.is_empty() && (new_said.is_empty() || new_said == Verdict::Internal.name());
        if unsaid || (from.as_str(), to.as_str(), said.as_str()) == (new_from, new_to, new_said) {
            continue;
        }
        let (from, to) = if said.is_empty() { (new_from.to_owned(), new_to.to_owned()) } else { (from, to) };
        let text = |name: &str| hit.fields.get(name).map(first).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let transport = text("network.transport").or_else(|| text("network.iana_number")).unwrap_or_else(|| "any".to_owned());
        let port = text(if forth { "destination.port" } else { "source.port" });
        let service = port.map_or(transport.clone(), |port| format!("{transport}/{port}"));
        let words = |verdict: &str, zones: (&str, &str)| {
            if (from.as_str(), to.as_str()) == (new_from, new_to) {
                verdict.to_owned()
            } else {
                format!("{verdict} ({} → {})", zones.0, zones.1)
            }
        };
        let (before, after) = (words(&said, (&from, &to)), words(new_said, (new_from, new_to)));
        let change = Change { from: from.clone(), to: to.clone(), service, before, after };
        let entry = found.changes.entry(change).or_insert_with(|| (0, Some(hit.id.to_string())));
        entry.0 += 1;
    }
    found
}

/// Of a field with several values the first.
fn first(value: &Value) -> &Value {
    value.as_array().and_then(|all| all.first()).unwrap_or(value)
}

/// The records as the policy sees them, without what was said of them.
fn batch(hits: &[Hit]) -> Batch {
    let mut builder = BatchBuilder::default();
    for (at, hit) in hits.iter().enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: at as u64 + 1 },
            received: hit.received,
            ..FrameHead::new(Transport::Internal, Content::Text)
        };
        let mut row = builder.row(&head, 0, "");
        row.time(hit.time);
        let part = |name: &str| hit.fields.get(name).and_then(|v| first(v).as_str());
        let (category, product, service) =
            (part("mihari.log_source.category"), part("mihari.log_source.product"), part("mihari.log_source.service"));
        row.log_source(LogSourceId::intern(LogSource { category, product, service }));
        for (name, value) in &hit.fields {
            if SAID.contains(&name.as_str()) || name.starts_with("mihari.") {
                continue;
            }
            let Some(field) = FieldId::intern(name) else { continue };
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                match value {
                    Value::String(text) if name.ends_with(".ip") => {
                        if let Ok(ip) = text.parse() {
                            row.ip(field, ip);
                        }
                    }
                    Value::String(text) => row.text(field, text),
                    Value::Number(n) => {
                        if let Some(n) = n.as_i64() {
                            row.int(field, n);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    builder.finish(LogRange { partition: 0, first: 1, last: hits.len() as u64 }, Time::UNKNOWN)
}
