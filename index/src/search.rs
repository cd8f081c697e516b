//! Searching: shards newest first, one pass a segment for hits, total and aggregations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, RwLock};

use event::{EventId, Position, Time};
use serde::Serialize;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, DynamicColumn};
use tantivy::query::{BooleanQuery, Query as Engine, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{DateTime, DocId, Score, SegmentOrdinal, SegmentReader, Term};

use crate::IndexError;
use crate::lower::{lower, time_range};
use crate::query::Query;
use crate::schema::{IP_FIELDS, Layout, REST, ip_column};
use crate::shard::Shard;
use crate::writer::field_names;

/// Hits of one page.
pub const SIZE_MAX: usize = 1000;
/// Buckets of one histogram.
const BUCKETS_MAX: i64 = 10_000;
/// Values of one terms aggregation.
const TERMS_MAX: usize = 1000;
/// Different values that are counted for one terms aggregation and segment.
const COUNTED_MAX: usize = 1_000_000;
/// Documents between two looks at the clock.
const LOOK_EVERY: u32 = 4096;

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sort {
    /// Newest first.
    #[default]
    Desc,
    /// Oldest first.
    Asc,
}

/// What is searched for.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The query.
    pub query: Query,
    /// The first instant.
    pub from: Option<Time>,
    /// The instant before which it ends.
    pub to: Option<Time>,
    /// Hits wanted, [`SIZE_MAX`] at most.
    pub size: usize,
    /// Their order.
    pub sort: Sort,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// The fields wanted; none for all.
    pub fields: Option<Vec<String>>,
    /// Aggregations by name.
    pub aggregations: Vec<(String, Aggregation)>,
}

impl SearchRequest {
    /// A search for `query` with the usual settings.
    pub fn new(query: Query) -> SearchRequest {
        SearchRequest {
            query,
            from: None,
            to: None,
            size: 50,
            sort: Sort::Desc,
            cursor: None,
            fields: None,
            aggregations: Vec::new(),
        }
    }
}

/// What is counted over all hits.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregation {
    /// Hits per so many milliseconds.
    DateHistogram {
        /// The width of a bucket.
        interval_ms: i64,
    },
    /// The most frequent values of a field.
    Terms {
        /// The field.
        field: String,
        /// How many.
        size: usize,
    },
}

/// When a search is to stop, though it is not done.
#[derive(Clone)]
pub struct SearchLimits {
    /// Asked from time to time; true ends the search with what it has.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// One value and how often it occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// The value, or the start of the interval.
    pub key: String,
    /// How often.
    pub count: u64,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AggregationResult {
    /// The width of a bucket, for histograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// The buckets: by time, or by count.
    pub buckets: Vec<Bucket>,
    /// Hits with other values than those listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<u64>,
}

/// A hit.
#[derive(Clone, Debug, PartialEq)]
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

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResponse {
    /// Whether everything was searched.
    pub complete: bool,
    /// All hits, also those of other pages; so far, where it is not complete.
    pub total: u64,
    /// The page.
    pub hits: Vec<Hit>,
    /// What was counted, by name.
    pub aggregations: BTreeMap<String, AggregationResult>,
    /// Where the next page begins; none on the last.
    pub cursor: Option<String>,
}

/// A field and its type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// `ip`, `date` or `keyword`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// The place of a hit in the order of all: time, then log order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    time: i64,
    seq: u64,
    nth: u64,
}

impl Place {
    fn to_cursor(self) -> String {
        format!("{}.{}.{}", self.time, self.seq, self.nth)
    }

    fn from_cursor(text: &str) -> Option<Place> {
        let mut parts = text.split('.');
        let place =
            Place { time: parts.next()?.parse().ok()?, seq: parts.next()?.parse().ok()?, nth: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(place)
    }
}

/// Searches the shards of one tenant.
#[derive(Clone)]
pub struct Searcher {
    layout: Layout,
    shards: Arc<RwLock<Vec<Arc<Shard>>>>,
}

impl Searcher {
    pub(crate) fn new(layout: Layout, shards: Arc<RwLock<Vec<Arc<Shard>>>>) -> Searcher {
        Searcher { layout, shards }
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.read().expect("no code panics under this lock").clone()
    }

    /// The last log offset that is searchable.
    pub fn position(&self) -> u64 {
        let payloads = self.shards().into_iter().map(|s| s.payload.read().expect("no code panics under this lock").last);
        payloads.max().unwrap_or(0)
    }

    /// Events that are searchable.
    pub fn documents(&self) -> u64 {
        self.shards().iter().map(|s| s.reader.searcher().num_docs()).sum()
    }

    /// The fields that any event has, by name.
    pub fn fields(&self) -> Vec<FieldInfo> {
        let mut fields: Vec<FieldInfo> =
            field_names(&self.shards()).into_iter().map(|name| FieldInfo { name, kind: "keyword" }).collect();
        fields.extend(IP_FIELDS.iter().map(|name| FieldInfo { name: (*name).to_owned(), kind: "ip" }));
        fields.extend(["@timestamp", "event.received"].map(|name| FieldInfo { name: name.to_owned(), kind: "date" }));
        fields.sort_by(|a, b| a.name.cmp(&b.name).then(a.kind.cmp(b.kind)));
        fields.dedup_by(|a, b| a.name == b.name);
        fields
    }

    /// Searches.
    ///
    /// # Errors
    /// Where the request is beyond the limits, or the engine fails.
    pub fn search(&self, request: &SearchRequest, limits: &SearchLimits) -> Result<SearchResponse, IndexError> {
        if request.size > SIZE_MAX {
            return Err(IndexError::Refused(format!("size is {SIZE_MAX} at most")));
        }
        let after = match &request.cursor {
            None => None,
            Some(text) => {
                Some(Place::from_cursor(text).ok_or_else(|| IndexError::Refused("the cursor is none of ours".to_owned()))?)
            }
        };
        let mut fruit = Fruit::default();
        let mut shards = self.shards();
        shards.reverse();
        let mut opened = Vec::new();
        for shard in shards {
            let range = shard.payload.read().expect("no code panics under this lock").time;
            let Some((low, high)) = range else { continue };
            if request.from.is_some_and(|t| t.unix_ns() > high) || request.to.is_some_and(|t| t.unix_ns() <= low) {
                continue;
            }
            let fail = |source| IndexError::Engine { action: "search", shard: shard.name.clone(), source };
            let searcher = shard.reader.searcher();
            let query: Box<dyn Engine> = Box::new(BooleanQuery::intersection(vec![
                lower(&request.query, &self.layout, &searcher)?,
                time_range(&self.layout, request.from, request.to),
            ]));
            let collector = Pass {
                shard: opened.len(),
                size: request.size,
                sort: request.sort,
                after,
                aggregations: request.aggregations.iter().map(|(_, a)| a.clone()).collect(),
                stop: limits.stop.clone(),
            };
            fruit.merge(searcher.search(&query, &collector).map_err(fail)?);
            opened.push((shard.clone(), searcher));
            if fruit.stopped {
                break;
            }
        }
        fruit.hits.sort_by_key(|(place, ..)| *place);
        if request.sort == Sort::Desc {
            fruit.hits.reverse();
        }
        fruit.hits.truncate(request.size);
        let more = fruit.after_cursor > request.size as u64 && request.size > 0;
        let cursor = fruit.hits.last().filter(|_| more).map(|(place, ..)| place.to_cursor());
        let mut columns = HashMap::new();
        let mut hits = Vec::with_capacity(fruit.hits.len());
        for (place, shard, segment, doc) in &fruit.hits {
            let (shard_info, searcher) = &opened[*shard];
            let reader = searcher.segment_reader(*segment);
            let columns = match columns.entry((*shard, *segment)) {
                std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(Columns::open(reader, shard_info, request.fields.as_deref())?)
                }
            };
            hits.push(columns.hit(*place, *doc)?);
        }
        Ok(SearchResponse { complete: !fruit.stopped, total: fruit.total, hits, aggregations: fruit.finish(request), cursor })
    }

    /// One event.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn event(&self, id: EventId) -> Result<Option<Hit>, IndexError> {
        Ok(self.events_of(id.frame.offset)?.into_iter().find(|hit| hit.id == id))
    }

    /// The events of one frame.
    fn events_of(&self, offset: u64) -> Result<Vec<Hit>, IndexError> {
        let mut hits = Vec::new();
        for shard in self.shards() {
            let fail = |source| IndexError::Engine { action: "search", shard: shard.name.clone(), source };
            let searcher = shard.reader.searcher();
            let query = TermQuery::new(Term::from_field_u64(self.layout.seq, offset), IndexRecordOption::Basic);
            let (stop, sort) = (Arc::new(|| false), Sort::Asc);
            let pass = Pass { shard: 0, size: usize::from(u16::MAX), sort, after: None, aggregations: Vec::new(), stop };
            let fruit = searcher.search(&query, &pass).map_err(fail)?;
            for (place, _, segment, doc) in fruit.hits {
                hits.push(Columns::open(searcher.segment_reader(segment), &shard, None)?.hit(place, doc)?);
            }
        }
        hits.sort_by_key(|hit| hit.id);
        Ok(hits)
    }
}

/// The columns of a segment that hits are told from.
struct Columns {
    received: Column<DateTime>,
    named: Vec<(String, DynamicColumn)>,
}

impl Columns {
    fn open(reader: &SegmentReader, shard: &Shard, wanted: Option<&[String]>) -> Result<Columns, IndexError> {
        let fail = |source| IndexError::Engine { action: "read a column of", shard: shard.name.clone(), source };
        let fast = reader.fast_fields();
        let wants = |name: &str| wanted.is_none_or(|w| w.iter().any(|n| n == name));
        let mut named = Vec::new();
        let payload = shard.payload.read().expect("no code panics under this lock").clone();
        let paths = payload.fields.iter().map(|name| (name.clone(), format!("{REST}.{name}")));
        let ips = IP_FIELDS.iter().map(|name| ((*name).to_owned(), ip_column(name)));
        for (name, column) in paths.chain(ips).filter(|(name, _)| wants(name)) {
            for handle in fast.dynamic_column_handles(&column).map_err(fail)? {
                named.push((name.clone(), handle.open().map_err(|e| fail(e.into()))?));
            }
        }
        Ok(Columns { received: fast.date("received").map_err(fail)?, named })
    }

    fn hit(&self, place: Place, doc: DocId) -> Result<Hit, IndexError> {
        let mut fields: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for (name, column) in &self.named {
            let values: Vec<serde_json::Value> = match column {
                DynamicColumn::Bool(c) => c.values_for_doc(doc).map(Into::into).collect(),
                DynamicColumn::I64(c) => c.values_for_doc(doc).map(Into::into).collect(),
                DynamicColumn::U64(c) => c.values_for_doc(doc).map(Into::into).collect(),
                DynamicColumn::F64(c) => c.values_for_doc(doc).map(Into::into).collect(),
                DynamicColumn::IpAddr(c) => c.values_for_doc(doc).map(|ip| show_ip(ip).into()).collect(),
                DynamicColumn::DateTime(c) => c.values_for_doc(doc).map(|t| show_time(t).into()).collect(),
                DynamicColumn::Bytes(_) => Vec::new(),
                DynamicColumn::Str(c) => {
                    let mut texts = Vec::new();
                    for ord in c.term_ords(doc) {
                        let mut text = String::new();
                        let read = c.ord_to_str(ord, &mut text);
                        let source = |e: std::io::Error| IndexError::Engine {
                            action: "read a column of",
                            shard: String::new(),
                            source: e.into(),
                        };
                        if read.map_err(source)? {
                            texts.push(text.into());
                        }
                    }
                    texts
                }
            };
            if name == "mihari.null" {
                for value in values {
                    fields.entry(value.as_str().unwrap_or("").to_owned()).or_default().push(serde_json::Value::Null);
                }
            } else if !values.is_empty() {
                fields.entry(name.clone()).or_default().extend(values);
            }
        }
        let single = |mut values: Vec<serde_json::Value>| match values.len() {
            1 => values.remove(0),
            _ => serde_json::Value::Array(values),
        };
        let received = self.received.first(doc).map_or(Time::UNKNOWN, |t| Time::from_unix_ns(t.into_timestamp_nanos()));
        Ok(Hit {
            id: EventId { frame: Position { partition: 0, offset: place.seq }, nth: place.nth as u16 },
            time: Time::from_unix_ns(place.time),
            received,
            fields: fields.into_iter().map(|(name, values)| (name, single(values))).collect(),
        })
    }
}

fn show_ip(ip: Ipv6Addr) -> String {
    IpAddr::V6(ip).to_canonical().to_string()
}

fn show_time(time: DateTime) -> String {
    Time::from_unix_ns(time.into_timestamp_nanos()).to_string()
}

type Found = (Place, usize, SegmentOrdinal, DocId);

/// One pass over the hits of a shard.
struct Pass {
    shard: usize,
    size: usize,
    sort: Sort,
    after: Option<Place>,
    aggregations: Vec<Aggregation>,
    stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

#[derive(Default)]
struct Fruit {
    stopped: bool,
    total: u64,
    after_cursor: u64,
    hits: Vec<Found>,
    counts: Vec<Counts>,
}

/// What one aggregation has counted.
enum Counts {
    Times(BTreeMap<i64, u64>),
    Values(HashMap<String, u64>),
}

impl Fruit {
    fn merge(&mut self, other: Fruit) {
        self.stopped |= other.stopped;
        self.total += other.total;
        self.after_cursor += other.after_cursor;
        self.hits.extend(other.hits);
        if self.counts.is_empty() {
            self.counts = other.counts;
            return;
        }
        for (mine, other) in self.counts.iter_mut().zip(other.counts) {
            match (mine, other) {
                (Counts::Times(mine), Counts::Times(other)) => {
                    other.into_iter().for_each(|(k, n)| *mine.entry(k).or_default() += n);
                }
                (Counts::Values(mine), Counts::Values(other)) => {
                    other.into_iter().for_each(|(k, n)| *mine.entry(k).or_default() += n);
                }
                _ => {}
            }
        }
    }

    fn finish(self, request: &SearchRequest) -> BTreeMap<String, AggregationResult> {
        let mut counts = self.counts.into_iter();
        let mut results = BTreeMap::new();
        for (name, aggregation) in &request.aggregations {
            let result = match (aggregation, counts.next()) {
                (Aggregation::DateHistogram { interval_ms }, Some(Counts::Times(times))) => {
                    let bucket = |(key, count)| Bucket { key: Time::from_unix_ms(key).to_string(), count };
                    AggregationResult {
                        interval_ms: Some(*interval_ms),
                        buckets: times.into_iter().map(bucket).collect(),
                        other: None,
                    }
                }
                (Aggregation::Terms { size, .. }, Some(Counts::Values(values))) => {
                    let all: u64 = values.values().sum();
                    let mut buckets: Vec<Bucket> = values.into_iter().map(|(key, count)| Bucket { key, count }).collect();
                    buckets.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
                    buckets.truncate((*size).min(TERMS_MAX));
                    let other = all - buckets.iter().map(|b| b.count).sum::<u64>();
                    AggregationResult { interval_ms: None, buckets, other: Some(other) }
                }
                (Aggregation::DateHistogram { interval_ms }, _) => {
                    AggregationResult { interval_ms: Some(*interval_ms), buckets: Vec::new(), other: None }
                }
                (Aggregation::Terms { .. }, _) => AggregationResult { interval_ms: None, buckets: Vec::new(), other: Some(0) },
            };
            results.insert(name.clone(), result);
        }
        results
    }
}

impl Collector for Pass {
    type Fruit = Fruit;
    type Child = SegmentPass;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<SegmentPass> {
        let fast = reader.fast_fields();
        let mut aggregations = Vec::new();
        for aggregation in &self.aggregations {
            aggregations.push(match aggregation {
                Aggregation::DateHistogram { interval_ms } => Counting::Times((*interval_ms).max(1), BTreeMap::new()),
                Aggregation::Terms { field, .. } => {
                    let mut handles = fast.dynamic_column_handles(&format!("{REST}.{field}"))?;
                    if IP_FIELDS.contains(&field.as_str()) {
                        handles.extend(fast.dynamic_column_handles(&ip_column(field))?);
                    }
                    let columns = handles.iter().map(|h| h.open()).collect::<std::io::Result<Vec<_>>>()?;
                    Counting::Values(columns.into_iter().map(|c| (c, HashMap::new())).collect())
                }
            });
        }
        Ok(SegmentPass {
            shard: self.shard,
            segment,
            size: self.size,
            sort: self.sort,
            after: self.after,
            time: fast.date("time")?,
            seq: fast.u64("seq")?,
            nth: fast.u64("nth")?,
            heap_desc: BinaryHeap::new(),
            heap_asc: BinaryHeap::new(),
            total: 0,
            after_cursor: 0,
            aggregations,
            stop: self.stop.clone(),
            until_look: LOOK_EVERY,
            stopped: (self.stop)(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Fruit>) -> tantivy::Result<Fruit> {
        let mut all = Fruit::default();
        for fruit in fruits {
            all.merge(fruit);
        }
        Ok(all)
    }
}

enum Counting {
    Times(i64, BTreeMap<i64, u64>),
    Values(Vec<(DynamicColumn, HashMap<u128, u64>)>),
}

struct SegmentPass {
    shard: usize,
    segment: SegmentOrdinal,
    size: usize,
    sort: Sort,
    after: Option<Place>,
    time: Column<DateTime>,
    seq: Column<u64>,
    nth: Column<u64>,
    heap_desc: BinaryHeap<Reverse<(Place, DocId)>>,
    heap_asc: BinaryHeap<(Place, DocId)>,
    total: u64,
    after_cursor: u64,
    aggregations: Vec<Counting>,
    stop: Arc<dyn Fn() -> bool + Send + Sync>,
    until_look: u32,
    stopped: bool,
}

impl SegmentCollector for SegmentPass {
    type Fruit = Fruit;

    fn collect(&mut self, doc: DocId, _score: Score) {
        if self.stopped {
            return;
        }
        self.until_look -= 1;
        if self.until_look == 0 {
            self.until_look = LOOK_EVERY;
            self.stopped = (self.stop)();
        }
        self.total += 1;
        let time = self.time.first(doc).map_or(0, DateTime::into_timestamp_nanos);
        for counting in &mut self.aggregations {
            count(counting, doc, time);
        }
        let full = match self.sort {
            Sort::Desc => {
                self.heap_desc.len() >= self.size && self.heap_desc.peek().is_none_or(|Reverse((worst, _))| time < worst.time)
            }
            Sort::Asc => self.heap_asc.len() >= self.size && self.heap_asc.peek().is_none_or(|(worst, _)| time > worst.time),
        };
        if full && self.after.is_none() {
            self.after_cursor += 1;
            return;
        }
        let place = Place { time, seq: self.seq.first(doc).unwrap_or(0), nth: self.nth.first(doc).unwrap_or(0) };
        let behind = match (self.after, self.sort) {
            (None, _) => true,
            (Some(after), Sort::Desc) => place < after,
            (Some(after), Sort::Asc) => place > after,
        };
        if !behind {
            return;
        }
        self.after_cursor += 1;
        match self.sort {
            Sort::Desc => {
                self.heap_desc.push(Reverse((place, doc)));
                if self.heap_desc.len() > self.size {
                    self.heap_desc.pop();
                }
            }
            Sort::Asc => {
                self.heap_asc.push((place, doc));
                if self.heap_asc.len() > self.size {
                    self.heap_asc.pop();
                }
            }
        }
    }

    fn harvest(self) -> Fruit {
        let (shard, segment) = (self.shard, self.segment);
        let found = |(place, doc)| (place, shard, segment, doc);
        let hits = self.heap_desc.into_iter().map(|Reverse(hit)| hit).chain(self.heap_asc).map(found).collect();
        let counts = self
            .aggregations
            .into_iter()
            .map(|counting| match counting {
                Counting::Times(_, times) => Counts::Times(times),
                Counting::Values(columns) => Counts::Values(named(columns)),
            })
            .collect();
        Fruit { stopped: self.stopped, total: self.total, after_cursor: self.after_cursor, hits, counts }
    }
}

fn count(counting: &mut Counting, doc: DocId, time: i64) {
    match counting {
        Counting::Times(interval_ms, times) => {
            let key = time.div_euclid(1_000_000).div_euclid(*interval_ms) * *interval_ms;
            if times.len() < BUCKETS_MAX as usize || times.contains_key(&key) {
                *times.entry(key).or_default() += 1;
            }
        }
        Counting::Values(columns) => {
            for (column, counts) in columns {
                let mut add = |key: u128| {
                    if counts.len() < COUNTED_MAX || counts.contains_key(&key) {
                        *counts.entry(key).or_default() += 1;
                    }
                };
                match column {
                    DynamicColumn::Bool(c) => c.values_for_doc(doc).for_each(|v| add(v.into())),
                    DynamicColumn::I64(c) => c.values_for_doc(doc).for_each(|v| add(v as u64 as u128)),
                    DynamicColumn::U64(c) => c.values_for_doc(doc).for_each(|v| add(v.into())),
                    DynamicColumn::F64(c) => c.values_for_doc(doc).for_each(|v| add(v.to_bits().into())),
                    DynamicColumn::IpAddr(c) => c.values_for_doc(doc).for_each(|v| add(v.to_bits())),
                    DynamicColumn::DateTime(c) => {
                        c.values_for_doc(doc).for_each(|v| add(v.into_timestamp_nanos() as u64 as u128));
                    }
                    DynamicColumn::Bytes(_) => {}
                    DynamicColumn::Str(c) => c.term_ords(doc).for_each(|v| add(v.into())),
                }
            }
        }
    }
}

/// Counted keys as the values that they stand for.
fn named(columns: Vec<(DynamicColumn, HashMap<u128, u64>)>) -> HashMap<String, u64> {
    let mut all = HashMap::new();
    for (column, counts) in columns {
        for (key, n) in counts {
            let text = match &column {
                DynamicColumn::Bool(_) => (key != 0).to_string(),
                DynamicColumn::I64(_) => (key as u64 as i64).to_string(),
                DynamicColumn::U64(_) => (key as u64).to_string(),
                DynamicColumn::F64(_) => f64::from_bits(key as u64).to_string(),
                DynamicColumn::IpAddr(_) => show_ip(key.into()),
                DynamicColumn::DateTime(_) => Time::from_unix_ns(key as u64 as i64).to_string(),
                DynamicColumn::Bytes(_) => continue,
                DynamicColumn::Str(c) => {
                    let mut text = String::new();
                    match c.ord_to_str(key as u64, &mut text) {
                        Ok(true) => text,
                        _ => continue,
                    }
                }
            };
            *all.entry(text).or_default() += n;
        }
    }
    all
}
