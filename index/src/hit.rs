//! Hits: their place in the order of all, and their fields, read from the columns.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event::{EventId, Position, Time};
use serde::Serialize;
use tantivy::columnar::{Column, DynamicColumn};
use tantivy::error::DataCorruption;
use tantivy::{DateTime, DocId};

use crate::opened::Held;
use crate::schema::{HAS_MESSAGE, Layout, MESSAGE, NULLS};
use crate::search::{SearchRequest, Snapshot};
use crate::segment::Segment;
use crate::shard::Payload;
use crate::shown::show;
use crate::{IndexError, Messages};

/// A hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The event.
    pub id: EventId,
    /// When it happened.
    pub time: Time,
    /// When it was received.
    pub received: Time,
    /// Its fields, each with its values.
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// The place of a hit in the order of all: time, then log order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) time: i64,
    pub(crate) seq: u64,
    pub(crate) nth: u64,
}

impl Place {
    pub(crate) fn of(segment: &Segment, doc: DocId) -> Place {
        Place { time: segment.time_of(doc), seq: segment.seq.get_val(doc), nth: segment.nth.get_val(doc) }
    }

    pub(crate) fn id(self) -> EventId {
        EventId { frame: Position { partition: 0, offset: self.seq }, nth: self.nth as u16 }
    }
}

/// A hit with its shard. Where it is in the shard it is looked up: its segments may be others by then.
pub(crate) type Found = (Place, usize);

/// The segment among these of one shard, in log order, and the document in it, of an event.
pub(crate) fn find(segments: &[Arc<Segment>], id: EventId) -> Option<(usize, DocId)> {
    let offset = id.frame.offset;
    let end = segments.partition_point(|segment| segment.first() <= offset);
    let of = |at: &usize| segments[*at].documents_of(offset).find(|doc| segments[*at].nth.get_val(*doc) == u64::from(id.nth));
    // A frame may lie on both sides of a border.
    (0..end).rev().take_while(|at| segments[*at].last() >= offset).find_map(|at| Some((at, of(&at)?)))
}

/// The columns of a segment that hits are told from.
pub(crate) struct Columns {
    received: Column<DateTime>,
    named: Vec<(String, DynamicColumn)>,
    /// Which documents have a message, and where it comes from.
    messages: Option<(Column<bool>, Arc<dyn Messages>)>,
    shard: String,
    wanted: Option<Vec<String>>,
}

impl Columns {
    pub(crate) fn open(
        layout: &Layout,
        segment: &Segment,
        shard: &str,
        payload: &Payload,
        wanted: Option<&[String]>,
        messages: Option<&Arc<dyn Messages>>,
    ) -> Result<Columns, IndexError> {
        let fail = |source| IndexError::Engine { action: "read a column of", shard: shard.to_owned(), source };
        let wants = |name: &str| wanted.is_none_or(|w| w.iter().any(|n| n == name));
        let mut named = Vec::new();
        let names: std::collections::BTreeSet<&String> = payload.fields.union(&payload.rest).collect();
        for name in names.into_iter().filter(|name| (wants(name) || *name == NULLS) && *name != MESSAGE) {
            for column in segment.columns(layout, name, payload.rest.contains(name)).map_err(fail)? {
                named.push((name.clone(), column));
            }
        }
        let messages = messages.filter(|_| wants(MESSAGE) && payload.fields.contains(MESSAGE));
        let messages = match messages {
            Some(messages) => Some((segment.reader.fast_fields().bool(HAS_MESSAGE).map_err(fail)?, messages.clone())),
            None => None,
        };
        Ok(Columns {
            received: segment.received().map_err(fail)?,
            named,
            messages,
            shard: shard.to_owned(),
            wanted: wanted.map(<[String]>::to_vec),
        })
    }

    pub(crate) fn hit(&self, place: Place, doc: DocId) -> Result<Hit, IndexError> {
        let fail = |source| IndexError::Engine { action: "read a column of", shard: self.shard.clone(), source };
        let mut fields: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for (name, column) in &self.named {
            let mut values: Vec<serde_json::Value> = Vec::new();
            match column {
                DynamicColumn::Bool(c) => values.extend(c.values_for_doc(doc).map(serde_json::Value::from)),
                DynamicColumn::I64(c) => values.extend(c.values_for_doc(doc).map(serde_json::Value::from)),
                DynamicColumn::U64(c) => values.extend(c.values_for_doc(doc).map(serde_json::Value::from)),
                DynamicColumn::F64(c) => values.extend(c.values_for_doc(doc).map(serde_json::Value::from)),
                other => show(other, doc, |text| values.push(text.into())).map_err(|e| fail(e.into()))?,
            }
            if name == NULLS {
                for name in values.iter().filter_map(|v| v.as_str()) {
                    if self.wanted.as_ref().is_none_or(|w| w.iter().any(|n| n == name)) {
                        fields.entry(name.to_owned()).or_default().push(serde_json::Value::Null);
                    }
                }
            } else if !values.is_empty() {
                fields.entry(name.clone()).or_default().extend(values);
            }
        }
        let id = place.id();
        if let Some((_, messages)) = self.messages.as_ref().filter(|(has, _)| has.first(doc) == Some(true)) {
            match messages.messages(id) {
                Ok(texts) if texts.is_empty() => {} // The journal no longer has its record.
                Ok(texts) => drop(fields.insert(MESSAGE.to_owned(), texts.into_iter().map(serde_json::Value::from).collect())),
                Err(error) => tracing::warn!(%error, "failed to read the message of a hit"),
            }
        }
        let single = |mut values: Vec<serde_json::Value>| match values.len() {
            1 => values.remove(0),
            _ => serde_json::Value::Array(values),
        };
        let received = self.received.first(doc).map_or(Time::UNKNOWN, |t| Time::from_unix_ns(t.into_timestamp_nanos()));
        Ok(Hit {
            id,
            time: Time::from_unix_ns(place.time),
            received,
            fields: fields.into_iter().map(|(name, values)| (name, single(values))).collect(),
        })
    }
}

/// Shards whose segments and columns stay open between the hits that are read from them.
const READ_FROM_MAX: usize = 4;

/// Reads hits from the columns of their segments.
pub(crate) struct HitsOf<'s> {
    snapshot: &'s Snapshot,
    request: &'s SearchRequest,
    shards: HashMap<usize, (Held, HashMap<usize, Columns>)>,
}

impl<'s> HitsOf<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot, request: &'s SearchRequest) -> HitsOf<'s> {
        HitsOf { snapshot, request, shards: HashMap::new() }
    }

    /// These hits, in their order. Each shard is opened once.
    pub(crate) fn all(&mut self, found: &[Found]) -> Result<Vec<Hit>, IndexError> {
        let mut by_shard: Vec<usize> = (0..found.len()).collect();
        by_shard.sort_by_key(|at| found[*at].1);
        let mut hits = by_shard.into_iter().map(|at| Ok((at, self.hit(&found[at])?))).collect::<Result<Vec<_>, IndexError>>()?;
        hits.sort_unstable_by_key(|(at, _)| *at);
        Ok(hits.into_iter().map(|(_, hit)| hit).collect())
    }

    pub(crate) fn hit(&mut self, (place, shard): &Found) -> Result<Hit, IndexError> {
        if self.shards.len() >= READ_FROM_MAX && !self.shards.contains_key(shard) {
            self.shards.clear();
        }
        let open = &self.snapshot.shards[*shard];
        let (segments, columns) = match self.shards.entry(*shard) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert((open.segments()?, HashMap::new())),
        };
        let lost = || DataCorruption::comment_only("a hit is not where it was found");
        let (at, doc) = find(segments, place.id()).ok_or_else(|| open.shard.fault("read a hit of", lost().into()))?;
        let columns = match columns.entry(at) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Columns::open(
                &self.snapshot.layout,
                &segments[at],
                &open.shard.name,
                &open.payload,
                self.request.fields.as_deref(),
                self.snapshot.messages.as_ref(),
            )?),
        };
        columns.hit(*place, doc)
    }
}
