//! Searching: the newest segments and the newest windows first, no further than the answer needs.
//!
//! ```text
//!  shards that meet the range of time, newest first ─▶ their segments ─▶ windows, newest first ─▶ hits, total, aggregations
//! ```
//!
//! A closed shard is opened when the search comes to it, and only where what it adds cannot be told by what is known of it.
//! Where every hit is to be counted, a segment is one pass. Where only the newest are wanted, it is gone through from its end in pieces
//! that grow, until what is left is older than what was found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use event::{EventId, Time};
use serde::Serialize;
use tantivy::DocId;

use crate::aggregate::{self, Aggregation, AggregationResult, Context, Docs, Finish, Gather, Tally};
use crate::first::Top;
use crate::hit::{Columns, Found, Hit, HitsOf, Place, find};
use crate::kinds::Kinds;
use crate::lower::{Lowering, Unable};
use crate::missing::{Missing, SharedShards, is_damage};
use crate::node::Node;
use crate::opened::{Held, Opened};
use crate::query::Query;
use crate::reader::Reader;
use crate::schema::{Kind, Layout, MESSAGE, is_time_field, kind};
use crate::segment::Segment;
use crate::shard::{Payload, Shard};
use crate::sorted::{self, After, SortedSegment, SortedTop};
use crate::window::{Bits, WINDOW};
use crate::writer::field_names;
use crate::{IndexError, Messages, asked, explained};

/// Hits of one page.
pub const SIZE_MAX: usize = 1000;
/// Windows of the first piece that is searched from the newest end; each next piece is four times as long.
const WINDOWS_FIRST: u32 = 4;

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
    /// The field by whose values they are ordered; none: time.
    pub sort_by: Option<String>,
    /// The field that orders equals, and its order; none: time, the newest first.
    pub then_by: Option<(String, Sort)>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// The fields wanted; none for all.
    pub fields: Option<Vec<String>>,
    /// Aggregations by name.
    pub aggregations: Vec<(String, Aggregation)>,
    /// Hits that are counted at least, where there are so many; none: all. The fewer, the sooner a search for the newest ends.
    pub total_max: Option<u64>,
    /// Which of how many slices: the events of one in so many frames of the log. All slices together hold every event once.
    pub slice: Option<(u32, u32)>,
    /// When what the query can find was received: the first and the last instant. It chooses no hits; what was received at another time is
    /// not missed where it is missing.
    pub received: Option<(Time, Time)>,
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
            sort_by: None,
            then_by: None,
            cursor: None,
            fields: None,
            aggregations: Vec::new(),
            total_max: None,
            slice: None,
            received: None,
        }
    }

    /// The first and the last nanosecond.
    pub(crate) fn range(&self) -> (i64, i64) {
        (self.from.map_or(i64::MIN, Time::unix_ns), self.to.map_or(i64::MAX, |to| to.unix_ns().saturating_sub(1)))
    }

    /// Whether its range meets this one, from the first to the last nanosecond. One that ends before it begins meets none, though it may lie within
    /// one.
    fn meets(&self, (low, high): (i64, i64)) -> bool {
        let (from, last) = self.range();
        from <= last && from <= high && last >= low
    }

    /// Whether it could find events of this part.
    fn misses(&self, missing: &Missing) -> bool {
        let received = self.received.map_or((i64::MIN, i64::MAX), |(low, high)| (low.unix_ns(), high.unix_ns()));
        missing.meets(self.range(), received)
    }
}

/// When a search is to stop, though it is not done.
#[derive(Clone)]
pub struct SearchLimits {
    /// Asked from time to time; true ends the search with what it has.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResponse {
    /// Whether everything was searched that the answer depends on: it was not stopped, and nothing is missing.
    pub complete: bool,
    /// Whether it was told to stop before it was done.
    pub stopped: bool,
    /// What the index should hold of the request's range of time, and does not.
    pub missing: Vec<Missing>,
    /// Fields that were asked for and that some events in the range of time may have without a column: their senders brought more names than are
    /// kept. The values are found by the words of the record only.
    pub fields_incomplete: Vec<String>,
    /// Events whose message was to be looked into and is not known any more: its record is gone from the journal. Some may be hits.
    pub unread: u64,
    /// When what the index begins with was received, where it does not begin with the log and the range of time does before: retention has dropped
    /// what was received earlier.
    pub begins: Option<Time>,
    /// All hits, also those of other pages; so far, where it is not complete.
    pub total: u64,
    /// Whether there are no more hits than [`SearchResponse::total`].
    pub total_exact: bool,
    /// The page.
    pub hits: Vec<Hit>,
    /// What was counted, by name.
    pub aggregations: BTreeMap<String, AggregationResult>,
    /// Where each hit stands in the order asked for: as a cursor, it asks for what comes after.
    pub cursors: Vec<String>,
    /// Where the next page begins; none on the last.
    pub cursor: Option<String>,
    /// The part of the range of time that was searched, where it is not complete: from the newest end.
    pub searched_from: Option<Time>,
}

/// What a search knows when a part of the index is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The hits before which none can come any more, in the order asked for, after those that were told before. None where a field orders
    /// them: the last part may have the first.
    pub hits: Vec<Hit>,
    /// Hits so far.
    pub total: u64,
    /// How far the range of time was gone through, from the end that comes first: up to here nothing is missing.
    pub searched_to: Option<Time>,
    /// Parts that are done, and all that there are.
    pub parts: (usize, usize),
}

/// A field and its type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// `ip`, `date`, `long`, `double`, `boolean`, `text` or `keyword`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// What a shard holds and takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardUsage {
    /// Its name.
    pub name: String,
    /// Events in it.
    pub documents: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Segments that a search goes through.
    pub segments: usize,
    /// The earliest and the latest event.
    pub time: Option<(Time, Time)>,
    /// The first and the last log offset.
    pub offsets: (u64, u64),
}

impl Place {
    pub(crate) fn to_cursor(self) -> String {
        format!("{}.{}.{}", self.time, self.seq, self.nth)
    }

    pub(crate) fn from_cursor(text: &str) -> Option<Place> {
        let mut parts = text.split('.');
        let place =
            Place { time: parts.next()?.parse().ok()?, seq: parts.next()?.parse().ok()?, nth: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(place)
    }
}

/// Searches the shards of one tenant.
#[derive(Clone)]
pub struct Searcher {
    layout: Arc<Layout>,
    shards: SharedShards,
    messages: Option<Arc<dyn Messages>>,
}

/// The shards as they are at one moment: every search of it sees the same events. Those that are closed are opened when a search comes to
/// them. It keeps files that have been dropped, or merged away in the shard that is written to, on the disk, so whoever holds one lets it go in time.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) layout: Arc<Layout>,
    pub(crate) shards: Arc<Vec<Opened>>,
    missing: Arc<Vec<Missing>>,
    begins: Option<Time>,
    pub(crate) messages: Option<Arc<dyn Messages>>,
}

impl Searcher {
    pub(crate) fn new(layout: Arc<Layout>, shards: SharedShards) -> Searcher {
        Searcher { layout, shards, messages: None }
    }

    /// The same, whose hits show their messages, which come from there.
    pub fn with_messages(self, messages: Arc<dyn Messages>) -> Searcher {
        Searcher { messages: Some(messages), ..self }
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.read().expect("no code panics under this lock").all.clone()
    }

    /// What it should hold and does not, in log order.
    pub fn missing(&self) -> Vec<Missing> {
        self.shards.read().expect("no code panics under this lock").missing()
    }

    /// The last log offset that is searchable.
    pub fn position(&self) -> u64 {
        self.shards().into_iter().map(|s| s.payload().last).max().unwrap_or(0)
    }

    /// Events that are searchable.
    pub fn documents(&self) -> u64 {
        self.shards().iter().map(|s| s.documents()).sum()
    }

    /// What each shard holds and takes, in log order.
    ///
    /// # Errors
    /// Where a folder cannot be read.
    pub fn usage(&self) -> Result<Vec<ShardUsage>, IndexError> {
        let time = Time::from_unix_ns;
        let of = |shard: Arc<Shard>| {
            let payload = shard.payload();
            Ok(ShardUsage {
                name: shard.name.clone(),
                documents: shard.documents(),
                bytes: shard.bytes()?,
                segments: shard.segment_count(),
                time: payload.time.map(|(low, high)| (time(low), time(high))),
                offsets: (payload.first, payload.last),
            })
        };
        self.shards().into_iter().map(of).collect()
    }

    /// The fields that any event has, by name.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn fields(&self) -> Result<Vec<FieldInfo>, IndexError> {
        let shards = self.shards();
        let mut rest = Kinds::new();
        for shard in &shards {
            shard.add_kinds(&mut rest)?;
        }
        let kind = |name: &str| match self.layout.kind(name).0 {
            Kind::Ip => "ip",
            Kind::Time => "date",
            Kind::Number => "long",
            Kind::Message => "text",
            Kind::Keyword => "keyword",
            Kind::Rest => rest.get(name).map_or("keyword", |kind| kind.name()),
        };
        let mut fields: Vec<FieldInfo> =
            field_names(&shards).into_iter().map(|name| FieldInfo { kind: kind(&name), name }).collect();
        fields.extend(["@timestamp", "event.received"].map(|name| FieldInfo { name: name.to_owned(), kind: "date" }));
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(fields)
    }

    /// Whether a field of this name is one of those that are listed, or any event has it.
    pub fn knows(&self, name: &str) -> bool {
        let has = |payload: &Payload| payload.rest.contains(name) || payload.refused.contains(name);
        kind(name) != Kind::Rest || self.shards().iter().any(|shard| has(&shard.payload()))
    }

    /// The fields that a request asks for and no event has: as a rule their names are mistaken.
    pub fn unknown(&self, request: &SearchRequest) -> Vec<String> {
        let unknown = |name: &&str| !is_time_field(name) && *name != MESSAGE && !self.knows(name);
        asked::fields(request).into_iter().filter(unknown).map(str::to_owned).collect()
    }

    /// What is searchable now, to be searched more than once.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn snapshot(&self) -> Result<Snapshot, IndexError> {
        self.open(|_| true)
    }

    /// The shards of which something may be wanted.
    fn open(&self, wanted: impl Fn(&Payload) -> bool) -> Result<Snapshot, IndexError> {
        let shards = self.shards();
        let first = shards.iter().map(|shard| shard.payload()).find(|payload| payload.v != 0);
        let begins = first.filter(|payload| payload.first > 1).and_then(|payload| payload.received);
        let begins = begins.map(|(low, _)| Time::from_unix_ns(low));
        let mut opened = Vec::new();
        for shard in shards {
            let payload = shard.payload();
            if payload.time.is_some() && wanted(&payload) {
                match Opened::of(shard.clone()) {
                    Ok(open) => opened.push(open),
                    Err(IndexError::Engine { source, .. }) if is_damage(&source) => shard.note_damage(&source.to_string()),
                    Err(error) => return Err(error),
                }
            }
        }
        let (layout, messages) = (self.layout.clone(), self.messages.clone());
        Ok(Snapshot { layout, shards: Arc::new(opened), missing: Arc::new(self.missing()), begins, messages })
    }

    /// Searches what is searchable now.
    ///
    /// # Errors
    /// Where the request is beyond the limits, or the engine fails.
    pub fn search(&self, request: &SearchRequest, limits: &SearchLimits) -> Result<SearchResponse, IndexError> {
        self.within(request)?.search(request, limits)
    }

    /// As [`Snapshot::search_telling`], of what is searchable now.
    ///
    /// # Errors
    /// Where the request is beyond the limits, or the engine fails.
    pub fn search_telling(
        &self,
        request: &SearchRequest,
        limits: &SearchLimits,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<SearchResponse, IndexError> {
        self.within(request)?.search_telling(request, limits, tell)
    }

    /// The shards that meet the range of time.
    fn within(&self, request: &SearchRequest) -> Result<Snapshot, IndexError> {
        self.open(|payload| payload.time.is_some_and(|time| request.meets(time)))
    }

    /// One event.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn event(&self, id: EventId) -> Result<Option<Hit>, IndexError> {
        self.open(|payload| (payload.first..=payload.last).contains(&id.frame.offset))?.event(id)
    }
}

impl Snapshot {
    /// Searches.
    ///
    /// # Errors
    /// Where the request is beyond the limits, or the engine fails.
    pub fn search(&self, request: &SearchRequest, limits: &SearchLimits) -> Result<SearchResponse, IndexError> {
        self.search_parts(request, limits, None)
    }

    /// Searches, and tells after each segment what is certain by then. Hits that were told are not in the answer again.
    ///
    /// # Errors
    /// Where the request is beyond the limits, or the engine fails.
    pub fn search_telling(
        &self,
        request: &SearchRequest,
        limits: &SearchLimits,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<SearchResponse, IndexError> {
        self.search_parts(request, limits, Some(tell))
    }

    /// What the index should hold of the request's range of time, and does not.
    pub fn missing(&self, request: &SearchRequest) -> Vec<Missing> {
        self.missing.iter().filter(|missing| request.misses(missing)).cloned().collect()
    }

    /// Opens a shard; none where that cannot be done, which is then among `missing`.
    pub(crate) fn hold(
        &self,
        open: &Opened,
        request: &SearchRequest,
        missing: &mut Vec<Missing>,
    ) -> Result<Option<Held>, IndexError> {
        let lack = match open.segments() {
            Ok(held) => return Ok(Some(held)),
            Err(error @ IndexError::Scarce { .. }) => {
                if open.shard.not_opened() {
                    tracing::warn!(error = explained(&error), "shards cannot be opened: answers are incomplete until they can");
                }
                Missing::unopened(&open.shard, &error)
            }
            Err(IndexError::Engine { source, .. }) if is_damage(&source) => {
                open.shard.note_damage(&source.to_string());
                Missing::within(&open.shard, &source.to_string())
            }
            Err(error) => return Err(error),
        };
        miss(lack, request, missing);
        Ok(None)
    }

    fn fields_incomplete(&self, request: &SearchRequest) -> Vec<String> {
        let opened: Vec<&Opened> = self.shards.iter().filter(|open| open.meets(request.range())).collect();
        let lacks = |name: &&str| opened.iter().any(|open| open.payload.lacks(name, kind(name) != Kind::Rest));
        asked::fields(request).into_iter().filter(lacks).map(str::to_owned).collect()
    }

    fn search_parts(
        &self,
        request: &SearchRequest,
        limits: &SearchLimits,
        mut tell: Option<&mut dyn FnMut(Progress)>,
    ) -> Result<SearchResponse, IndexError> {
        if request.size > SIZE_MAX {
            return Err(IndexError::Refused(format!("size is {SIZE_MAX} at most")));
        }
        if let Some(problem) = aggregate::problem(&request.aggregations) {
            return Err(IndexError::Refused(problem));
        }
        let bad_cursor = || IndexError::Refused("the cursor is none of ours".to_owned());
        let by = request.sort_by.as_deref().unwrap_or("@timestamp");
        let by_field = (by != "@timestamp" || request.then_by.is_some()).then(|| sorted::Fields {
            first: by.to_owned(),
            sort: request.sort,
            then: request.then_by.clone(),
        });
        let cursor = request.cursor.as_deref();
        let after = match cursor.filter(|_| by_field.is_none()) {
            None => None,
            Some(text) => Some(Place::from_cursor(text).ok_or_else(bad_cursor)?),
        };
        let sorted = match (by_field, cursor) {
            (None, _) => None,
            (Some(fields), None) => Some(SortedTop::new(request.size + 1, fields, None)),
            (Some(fields), Some(text)) => {
                let after = After::from_cursor(text).filter(|after| after.fits(&fields)).ok_or_else(bad_cursor)?;
                Some(SortedTop::new(request.size + 1, fields, Some(after)))
            }
        };
        let (from, last) = request.range();
        let newest_first = request.sort == Sort::Desc;
        let opened = &*self.shards;
        // Shard by shard, so that one is open at a time; in each, segment by segment.
        let times = opened.iter().enumerate().filter_map(|(at, open)| open.payload.time.map(|(low, high)| (low, high, at)));
        let mut order: Vec<(i64, i64, usize)> = times.filter(|(low, high, _)| request.meets((*low, *high))).collect();
        sort_parts(&mut order, request.sort);
        let parts_of: Vec<usize> = opened.iter().map(Opened::parts).collect();
        let mut parts: usize = order.iter().map(|(.., shard)| parts_of[*shard]).sum();
        let reader = Reader::new(self.messages.as_ref());
        let mut search = Search {
            request,
            reader: &reader,
            after,
            from,
            last,
            stop: &*limits.stop,
            top: Top::new(if request.size == 0 || sorted.is_some() { 0 } else { request.size + 1 }, request.sort),
            sorted,
            total: 0,
            total_exact: true,
            tallies: Vec::new(),
        };
        let mut hits_of = HitsOf::new(self, request);
        let mut missing = self.missing(request);
        let mut stopped = false;
        let mut searched_from = None;
        let (mut told, mut done) = (0, 0);
        'shards: for (behind, &(low, high, shard)) in (1..).zip(&order) {
            let open = &opened[shard];
            // What comes behind this shard begins there.
            let behind = order.get(behind).map(|(low, high, _)| if newest_first { *high } else { *low });
            let held = match search.passes(open, (low, high)) {
                true => None,
                false if search.stops() => {
                    (stopped, search.total_exact) = (true, false);
                    searched_from = searched_from.or(Some(high.min(last)));
                    break;
                }
                false => self.hold(open, request, &mut missing)?,
            };
            parts -= parts_of[shard];
            let Some(held) = held else { continue };
            let times = held.iter().enumerate().filter_map(|(at, segment)| segment.times().map(|(low, high)| (low, high, at)));
            let mut segments: Vec<_> = times.filter(|(low, high, _)| from <= *high && last >= *low).collect();
            sort_parts(&mut segments, request.sort);
            parts += segments.len();
            for (next, &(low, high, at)) in (1..).zip(&segments) {
                match search.segment(&self.layout, &open.payload, &held[at], shard) {
                    Ok(()) => {}
                    Err(Unable::Stopped) => {
                        (stopped, search.total_exact) = (true, false);
                        searched_from = searched_from.or(Some(high.min(last)));
                        break 'shards;
                    }
                    Err(Unable::TooMuch(what)) => return Err(IndexError::Refused(what.to_owned())),
                    Err(Unable::Engine(source)) if is_damage(&source) => {
                        open.shard.note_damage(&source.to_string());
                        miss(Missing::within(&open.shard, &source.to_string()), request, &mut missing);
                    }
                    Err(Unable::Engine(source)) => return Err(open.shard.fault("search", source)),
                }
                done += 1;
                let next = segments.get(next).map(|(low, high, _)| if newest_first { *high } else { *low });
                let next = if newest_first { next.max(behind) } else { next.into_iter().chain(behind).min() };
                searched_from = Some(next.filter(|_| newest_first).unwrap_or(low).clamp(from, last));
                // What the last part gives is the answer itself.
                if let (Some(tell), Some(next)) = (&mut tell, next) {
                    let certain = search.top.before(next, request.size);
                    let hits = hits_of.all(&certain[told.min(certain.len())..])?;
                    told = certain.len();
                    let searched_to = Some(Time::from_unix_ns(next.clamp(from, last)));
                    tell(Progress { hits, total: search.total, searched_to, parts: (done, parts.max(done + 1)) });
                }
            }
        }
        let (total, total_exact) = (search.total, search.total_exact);
        let (found, cursors, more) = match search.sorted {
            Some(sorted) => sorted.page(request.size),
            None => search.top.page(request.size),
        };
        let cursor = cursors.last().filter(|_| more).cloned();
        let tallies = search.tallies;
        let hits = hits_of.all(&found[told.min(found.len())..])?;
        let mut resolve = |found: &Found| hits_of.hit(found);
        let (aggregations, all_told) = Finish::new(&mut resolve, &*limits.stop).answers(&request.aggregations, tallies)?;
        stopped |= !all_told;
        let searched_from = searched_from.filter(|_| stopped).map(Time::from_unix_ns);
        let all = missing.is_empty() && reader.unread() == 0;
        let (complete, total_exact) = (!stopped && all, total_exact && all);
        Ok(SearchResponse {
            complete,
            stopped,
            missing,
            fields_incomplete: self.fields_incomplete(request),
            unread: reader.unread(),
            begins: self.begins.filter(|begins| request.from.is_none_or(|from| from < *begins)),
            total,
            total_exact,
            hits,
            aggregations,
            cursors,
            cursor,
            searched_from,
        })
    }

    /// One event.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn event(&self, id: EventId) -> Result<Option<Hit>, IndexError> {
        let holds = |open: &&Opened| (open.payload.first..=open.payload.last).contains(&id.frame.offset);
        for open in self.shards.iter().filter(holds) {
            let segments = match open.segments() {
                Ok(segments) => segments,
                Err(IndexError::Engine { source, .. }) if is_damage(&source) => {
                    open.shard.note_damage(&source.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some((at, doc)) = find(&segments, id) {
                let segment = &segments[at];
                let columns =
                    Columns::open(&self.layout, segment, &open.shard.name, &open.payload, None, self.messages.as_ref())?;
                return columns.hit(Place::of(segment, doc), doc).map(Some);
            }
        }
        Ok(None)
    }
}

/// Adds what an answer to the request lacks, a shard once.
fn miss(lack: Missing, request: &SearchRequest, missing: &mut Vec<Missing>) {
    if request.misses(&lack) && missing.iter().all(|known| known.offsets != lack.offsets) {
        missing.push(lack);
    }
}

/// Puts what has a first and a last time in the order in which it is searched.
fn sort_parts(parts: &mut [(i64, i64, usize)], sort: Sort) {
    match sort {
        Sort::Desc => parts.sort_unstable_by_key(|(_, high, at)| std::cmp::Reverse((*high, *at))),
        Sort::Asc => parts.sort_unstable(),
    }
}

/// What one search has found so far.
struct Search<'r> {
    request: &'r SearchRequest,
    reader: &'r Reader,
    after: Option<Place>,
    from: i64,
    last: i64,
    stop: &'r (dyn Fn() -> bool + Send + Sync),
    top: Top,
    /// Where hits are ordered by a field.
    sorted: Option<SortedTop>,
    total: u64,
    total_exact: bool,
    tallies: Vec<Tally>,
}

impl Search<'_> {
    /// Whether more hits are to be counted.
    fn counting(&self) -> bool {
        self.request.total_max.is_none_or(|max| self.total < max)
    }

    fn stops(&self) -> bool {
        (self.stop)()
    }

    /// Whether more is asked of hits than how many they are and which come first.
    fn aggregating(&self) -> bool {
        !self.request.aggregations.is_empty() || self.sorted.is_some()
    }

    /// Whether no hit between these times can be among the first.
    fn beaten(&self, (low, high): (i64, i64)) -> bool {
        self.top.closed_to(if self.request.sort == Sort::Desc { high } else { low })
    }

    /// Takes what a shard that is closed adds to the answer where that can be told without opening it. False: it must be opened.
    fn passes(&mut self, open: &Opened, times: (i64, i64)) -> bool {
        if open.is_written() {
            return false;
        }
        let beaten = self.beaten(times) && !self.aggregating();
        if beaten && !self.counting() {
            self.total_exact = false;
            return true;
        }
        let whole = self.from <= times.0 && self.last >= times.1 && self.request.slice.is_none();
        if beaten && whole && matches!(self.request.query, Query::All) {
            self.total += open.shard.documents();
            return true;
        }
        !asked::looks_behind(&self.request.aggregations) && !asked::may_be_in(&self.request.query, &open.payload)
    }

    fn segment(&mut self, layout: &Layout, payload: &Payload, segment: &Segment, shard: usize) -> Result<(), Unable> {
        let Some((low, high)) = segment.times() else { return Ok(()) };
        if self.stops() {
            return Err(Unable::Stopped);
        }
        let aggregating = self.aggregating();
        if !aggregating && self.beaten((low, high)) && !self.counting() {
            self.total_exact = false;
            return Ok(());
        }
        let stop = || (self.stop)();
        let lowering = Lowering { layout, segment, rest: &payload.rest, reader: self.reader, stop: &stop };
        let mut node = lowering.query(&self.request.query)?;
        let windows = segment.windows_within(self.from, self.last);
        let whole = self.from <= low && self.last >= high;
        let known = node.known_count(segment.max_doc()).filter(|_| whole && !aggregating && self.request.slice.is_none());
        if let Some(known) = known {
            self.total += known;
            if self.beaten((low, high)) {
                return Ok(());
            }
        }
        let context = Context { lowering: &lowering, shard };
        let gathers = self.request.aggregations.iter().map(|(_, a)| Gather::new(a, &context, false));
        let mut gathers = gathers.collect::<Result<Vec<_>, _>>()?;
        let sorted = self.sorted.as_ref().map(|top| top.segment(&lowering)).transpose()?;
        let counted = known.is_some();
        let mut pass = Pass { segment, shard, counted, sorted, docs: Vec::new(), times: Vec::new() };
        if aggregating || (self.request.total_max.is_none() && known.is_none()) {
            self.piece(&mut pass, &mut node, windows, &mut gathers)?;
        } else {
            self.pieces(&mut pass, &mut node, windows)?;
        }
        if let (Some(top), Some(sorted)) = (&mut self.sorted, pass.sorted) {
            top.take(sorted)?;
        }
        if !gathers.is_empty() {
            let mut counted = Vec::with_capacity(gathers.len());
            for gather in gathers {
                counted.extend(gather.finish(1)?);
            }
            aggregate::merge_all(&mut self.tallies, counted);
        }
        Ok(())
    }

    /// Goes through a segment from the end that comes first, in growing pieces, until nothing can be added to the answer.
    fn pieces(&mut self, pass: &mut Pass<'_>, node: &mut Node, windows: Range<u32>) -> Result<(), Unable> {
        let mut left = windows;
        let mut length = WINDOWS_FIRST;
        while !left.is_empty() {
            let (closed, piece) = match self.request.sort {
                Sort::Desc => {
                    let piece = left.end.saturating_sub(length).max(left.start)..left.end;
                    (pass.segment.latest_before(left.end).is_none_or(|t| self.top.closed_to(t)), piece)
                }
                Sort::Asc => {
                    let piece = left.start..left.start.saturating_add(length).min(left.end);
                    (pass.segment.earliest_from(left.start).is_none_or(|t| self.top.closed_to(t)), piece)
                }
            };
            if closed && (pass.counted || !self.counting()) {
                self.total_exact &= pass.counted;
                return Ok(());
            }
            node.rewind();
            self.piece(pass, node, piece.clone(), &mut [])?;
            match self.request.sort {
                Sort::Desc => left.end = piece.start,
                Sort::Asc => left.start = piece.end,
            }
            length = length.saturating_mul(4);
        }
        Ok(())
    }

    /// Goes through some windows.
    fn piece(&mut self, pass: &mut Pass<'_>, node: &mut Node, windows: Range<u32>, gathers: &mut [Gather]) -> Result<(), Unable> {
        let max_doc = pass.segment.max_doc();
        let background = gathers.iter().any(Gather::wants_background);
        let mut window = windows.start;
        while window < windows.end {
            let start = window * WINDOW;
            if !background {
                let next = node.next(start)?;
                if next >= max_doc {
                    break;
                }
                if next / WINDOW > window {
                    window = next / WINDOW;
                    continue;
                }
            }
            if (self.stop)() {
                return Err(Unable::Stopped);
            }
            let len = (max_doc - start).min(WINDOW);
            let Some(whole) = pass.segment.window_within(window, self.from, self.last) else {
                window += 1;
                continue;
            };
            let within = (!whole).then(|| pass.within(start, len, self.from, self.last));
            if background {
                pass.docs.clear();
                within.clone().unwrap_or_else(|| Bits::first(len)).each(|at| pass.docs.push(start + at));
                gathers.iter_mut().for_each(|g| g.background(&pass.docs));
            }
            let mut bits = Bits::none();
            node.fill(start, len, &mut bits)?;
            if let Some(within) = within {
                bits.and(&within);
            }
            if let Some((id, of)) = self.request.slice {
                bits.retain(|at| pass.segment.seq.get_val(start + at) % u64::from(of.max(1)) == u64::from(id));
            }
            self.hits(pass, window, &bits, gathers)?;
            window += 1;
        }
        Ok(())
    }

    /// Takes the hits of one window.
    fn hits(&mut self, pass: &mut Pass<'_>, window: u32, bits: &Bits, gathers: &mut [Gather]) -> Result<(), Unable> {
        let start = window * WINDOW;
        if !pass.counted {
            self.total += u64::from(bits.count());
        }
        if !gathers.is_empty() || pass.sorted.is_some() {
            pass.docs.clear();
            bits.each(|at| pass.docs.push(start + at));
            let len = (pass.segment.max_doc() - start).min(WINDOW);
            let docs = Docs { start, len, docs: &pass.docs, parents: None };
            for gather in gathers.iter_mut() {
                gather.add(&docs)?;
            }
            if let (Some(sorted), Some(top)) = (&mut pass.sorted, &self.sorted) {
                sorted.add(top, pass.segment, pass.shard, &pass.docs);
            }
        }
        if self.top.size == 0 {
            return Ok(());
        }
        let Some((low, high)) = pass.segment.window_times(window) else { return Ok(()) };
        let best = if self.request.sort == Sort::Desc { high } else { low };
        if self.top.closed_to(best) {
            return Ok(());
        }
        let (segment, shard) = (pass.segment, pass.shard);
        bits.each(|at| {
            let doc = start + at;
            let time = segment.time_of(doc);
            if self.top.closed_to(time) {
                return;
            }
            let place = Place { time, seq: segment.seq.get_val(doc), nth: segment.nth.get_val(doc) };
            let behind = match (self.after, self.request.sort) {
                (None, _) => true,
                (Some(after), Sort::Desc) => place < after,
                (Some(after), Sort::Asc) => place > after,
            };
            if behind {
                self.top.add((place, shard));
            }
        });
        Ok(())
    }
}

/// Going through one segment.
struct Pass<'s> {
    segment: &'s Segment,
    shard: usize,
    /// Whether its hits are in the total already.
    counted: bool,
    sorted: Option<SortedSegment>,
    docs: Vec<DocId>,
    times: Vec<tantivy::DateTime>,
}

impl Pass<'_> {
    /// The documents of a window whose time lies in `from..=last`.
    fn within(&mut self, start: DocId, len: u32, from: i64, last: i64) -> Bits {
        self.times.resize(len as usize, tantivy::DateTime::default());
        self.segment.time.get_range(u64::from(start), &mut self.times);
        let mut bits = Bits::none();
        for (at, time) in self.times.iter().enumerate() {
            if (from..=last).contains(&time.into_timestamp_nanos()) {
                bits.set(at as u32);
            }
        }
        bits
    }
}
