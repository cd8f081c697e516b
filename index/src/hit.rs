//! Hits: their place in the order of all, and their fields, read from the columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{EventId, Position, Time};
use serde::Serialize;
use tantivy::columnar::{Column, DynamicColumn};
use tantivy::{DateTime, DocId};

use crate::schema::{HAS_MESSAGE, Layout, MESSAGE, NULLS};
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

/// A hit with its shard, its segment and its document.
pub(crate) type Found = (Place, usize, usize, DocId);

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
