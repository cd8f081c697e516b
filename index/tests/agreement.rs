//! Every kind of query and aggregation against a plain scan of the same events: whatever the shards, the commits and the merges.

mod made;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use event::{Batch, EventRef, FieldId, TenantId, Time, Value};
use index::{
    Absent, Aggregation, AggregationKind, Chosen, IndexOptions, Interval, KeyKind, Matcher, Messages, NumberRange, Only,
    OpenShards, Progress, Query, SearchLimits, SearchRequest, Searcher, Sort, Source, SourceOf, TermsOrder, TimeZone, Visited,
    Writer, query,
};
use made::{Plan, START_S, any_query, build, now};
use proptest::prelude::*;

/// Messages, as a journal gives them: those that [`build`] makes.
struct Kept;

impl Messages for Kept {
    fn messages(&self, id: event::EventId) -> std::io::Result<Vec<String>> {
        Ok(MESSAGES.lock().expect("no panic under it").get(&id).cloned().into_iter().collect())
    }
}

static MESSAGES: Mutex<BTreeMap<event::EventId, String>> = Mutex::new(BTreeMap::new());

fn limits() -> SearchLimits {
    SearchLimits { stop: Arc::new(|| false) }
}

/// The events that a plain scan finds, newest first.
fn scan<'b>(batches: &'b [Batch], text: &str, from: Option<Time>, to: Option<Time>) -> Vec<EventRef<'b>> {
    let matcher = Matcher::new(query::parse(text, now()).expect(text));
    let mut found: Vec<EventRef<'_>> = batches
        .iter()
        .flat_map(Batch::iter)
        .filter(|e| e.tenant() == TenantId(0) && matcher.matches(*e))
        .filter(|e| from.is_none_or(|t| e.time() >= t) && to.is_none_or(|t| e.time() < t))
        .collect();
    found.sort_by_key(|e| std::cmp::Reverse((e.time(), e.id())));
    found
}

fn check_query(searcher: &Searcher, batches: &[Batch], text: &str, from: Option<Time>, to: Option<Time>) {
    let expected: Vec<_> = scan(batches, text, from, to).iter().map(|e| e.id()).collect();
    let base = SearchRequest { from, to, ..SearchRequest::new(query::parse(text, now()).expect(text)) };
    let all = searcher.search(&SearchRequest { size: 1000, ..base.clone() }, &limits()).expect(text);
    assert!(all.complete && all.total_exact);
    assert_eq!(all.hits.iter().map(|h| h.id).collect::<Vec<_>>(), expected, "{text}");
    assert_eq!(all.total, expected.len() as u64, "{text}");
    check_telling(searcher, &base, &expected);
    // All slices together are the whole, in any order.
    let mut slices = Vec::new();
    for id in 0..3 {
        let part = SearchRequest { size: 1000, slice: Some((id, 3)), ..base.clone() };
        let part = searcher.search(&part, &limits()).expect(text);
        assert_eq!(part.total, part.hits.len() as u64, "{text}");
        slices.extend(part.hits.iter().map(|h| h.id));
    }
    slices.sort_by_key(|id| expected.iter().position(|other| other == id));
    assert_eq!(slices, expected, "{text}");
    check_beside(searcher, batches, text);
    // Counted only, the newest only, the oldest only.
    let counted = searcher.search(&SearchRequest { size: 0, ..base.clone() }, &limits()).expect(text);
    assert_eq!(counted.total, expected.len() as u64, "{text}");
    let few = SearchRequest { size: 3, total_max: Some(0), ..base.clone() };
    let newest = searcher.search(&few, &limits()).expect(text);
    assert_eq!(newest.hits.iter().map(|h| h.id).collect::<Vec<_>>(), expected[..expected.len().min(3)], "{text}");
    assert_eq!(newest.cursor.is_some(), expected.len() > 3, "{text}");
    assert!(newest.total <= expected.len() as u64 && (!newest.total_exact || newest.total == expected.len() as u64), "{text}");
    let oldest = searcher.search(&SearchRequest { sort: Sort::Asc, ..few }, &limits()).expect(text);
    let last: Vec<_> = expected.iter().rev().take(3).copied().collect();
    assert_eq!(oldest.hits.iter().map(|h| h.id).collect::<Vec<_>>(), last, "{text}");
}

/// The hits on both sides of an event in the middle, in the order of the log, which is not that of time.
fn check_beside(searcher: &Searcher, batches: &[Batch], text: &str) {
    let mut hits: Vec<_> = scan(batches, text, None, None).iter().map(|e| e.id()).collect();
    hits.sort_unstable();
    let events: Vec<_> = batches.iter().flat_map(Batch::iter).map(|e| e.id()).collect();
    let Some(id) = events.get(events.len() / 2).copied() else { return };
    let (before, rest) = hits.split_at(hits.partition_point(|hit| *hit < id));
    let behind = &rest[usize::from(rest.first() == Some(&id))..];
    let query = query::parse(text, now()).expect(text);
    let found = searcher.snapshot().expect("opens").beside(id, &query, (3, 5), &limits()).expect(text);
    assert_eq!(found.before, before[before.len().saturating_sub(3)..], "{text}");
    assert_eq!(found.behind, behind[..behind.len().min(5)], "{text}");
    assert!(found.complete);
}

/// What is told on the way is the beginning of the answer, and only what nothing can come before.
fn check_telling(searcher: &Searcher, base: &SearchRequest, newest: &[event::EventId]) {
    for (sort, size) in [(Sort::Desc, 1000), (Sort::Desc, 7), (Sort::Asc, 40)] {
        let request = SearchRequest { size, sort, ..base.clone() };
        let (mut told, mut total, mut done, mut reached) = (Vec::new(), 0, 0, None);
        let mut tell = |progress: Progress| {
            assert!(progress.total >= total && progress.parts.0 == done + 1 && progress.parts.0 < progress.parts.1);
            (total, done, reached) = (progress.total, progress.parts.0, progress.searched_to);
            let inside = |hit: &index::Hit| if sort == Sort::Desc { Some(hit.time) > reached } else { Some(hit.time) < reached };
            assert!(progress.hits.iter().all(inside));
            told.extend(progress.hits.iter().map(|h| h.id));
        };
        let answer = searcher.search_telling(&request, &limits(), &mut tell).expect("searches");
        told.extend(answer.hits.iter().map(|h| h.id));
        let mut expected = newest.to_vec();
        if sort == Sort::Asc {
            expected.reverse();
        }
        expected.truncate(size);
        assert_eq!(told, expected, "{:?}", base.query);
        assert_eq!(answer.total, newest.len() as u64);
    }
}

fn of_text(field: &str, regex: &str) -> Query {
    let test = index::query::Test::Regex(regex::Regex::new(regex).expect("it is one"));
    Query::Field(field.to_owned(), index::query::Test::OfText(Box::new(test)))
}

/// Queries that no text of our own language makes: those of the compatible interface.
fn check_built(searcher: &Searcher, batches: &[Batch]) {
    let all: Vec<EventRef<'_>> = scan(batches, "*", None, None);
    let mut ids: Vec<_> = all.iter().step_by(3).map(|e| e.id()).collect();
    ids.push("0-999999-0".parse().expect("an id"));
    ids.extend(all.first().map(|e| event::EventId { nth: 7, ..e.id() }));
    for built in [
        Query::Ids(ids),
        Query::Ids(Vec::new()),
        Query::WordsPrefix("failed passw".to_owned()),
        Query::WordsPrefix("fai".to_owned()),
        Query::WordsPrefix("from 10.".to_owned()),
        Query::WordsPrefix("password failed".to_owned()),
        Query::WordsPrefix("個人".to_owned()),
        Query::Or(Vec::new()),
        of_text("source.port", "not"),
        of_text("source.bytes", "."),
        of_text("ratio", "."),
        of_text("user.name", "^[0-9]"),
        of_text("source.ip", "."),
    ] {
        let matcher = Matcher::new(built.clone());
        let expected: Vec<_> = all.iter().filter(|e| matcher.matches(**e)).map(|e| e.id()).collect();
        let found =
            searcher.search(&SearchRequest { size: 1000, ..SearchRequest::new(built.clone()) }, &limits()).expect("searches");
        assert_eq!(found.hits.iter().map(|h| h.id).collect::<Vec<_>>(), expected, "{built:?}");
        assert_eq!(found.total, expected.len() as u64, "{built:?}");
        // The log's places of all of them, in its order.
        let mut visited = Vec::new();
        let all = searcher.snapshot().expect("opens").visit(&SearchRequest::new(built.clone()), &limits(), |offsets| {
            visited.extend_from_slice(offsets);
            true
        });
        assert_eq!(all.expect("visits"), Visited { ended: true, missing: Vec::new() });
        let mut offsets: Vec<u64> = expected.iter().map(|id| id.frame.offset).collect();
        offsets.sort_unstable();
        assert_eq!(visited, offsets, "{built:?}");
        // Each hit's own cursor asks for what comes after it.
        if let (Some(cursor), Some(next)) = (found.cursors.first(), expected.get(1)) {
            let after = SearchRequest { size: 1, cursor: Some(cursor.clone()), ..SearchRequest::new(built) };
            assert_eq!(searcher.search(&after, &limits()).expect("searches").hits[0].id, *next);
        }
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Ip(ip) => ip.to_canonical().to_string(),
        other => other.to_string(),
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(n as f64),
        Value::Float(n) => Some(n),
        _ => None,
    }
}

fn terms(field: &str, size: usize) -> AggregationKind {
    AggregationKind::Terms {
        field: field.to_owned(),
        size,
        order: TermsOrder::Count,
        min_count: 1,
        missing: None,
        chosen: Default::default(),
    }
}

/// Values of a field that each hit has, each once.
fn values(hits: &[EventRef<'_>], field: &'static str) -> Vec<BTreeSet<String>> {
    let id = FieldId::known(field);
    hits.iter().map(|e| e.all(id).filter(|v| *v != Value::Null).map(|v| shown(&v)).collect()).collect()
}

fn counted(hits: &[EventRef<'_>], field: &'static str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    values(hits, field).into_iter().flatten().for_each(|v| *all.entry(v).or_default() += 1);
    all
}

fn check_aggregations(searcher: &Searcher, batches: &[Batch], text: &str) {
    let hits = scan(batches, text, None, None);
    let field = |name: &str| name.to_owned();
    let minutes = AggregationKind::DateHistogram {
        field: field("@timestamp"),
        interval: Interval::ms(60_000),
        zone: TimeZone::UTC,
        min_count: 1,
        bounds: None,
        missing: None,
    };
    let nested = Aggregation {
        kind: minutes,
        inner: vec![(
            field("users"),
            Aggregation {
                kind: terms("user.name", 100),
                inner: vec![(field("bytes"), AggregationKind::Stats { field: field("source.bytes"), missing: None }.into())],
            },
        )],
    };
    let range = |key: &str, from, to| NumberRange { key: key.to_owned(), from, to };
    let ranges = vec![range("low", None, Some(0.0)), range("high", Some(0.0), None)];
    let filter = |text: &str| query::parse(text, now()).expect(text);
    let aggregations: Vec<(String, Aggregation)> = vec![
        (field("nested"), nested),
        (field("ips"), terms("source.ip", 1000).into()),
        (field("tags"), terms("tags", 1000).into()),
        (field("own"), terms("own.name", 1000).into()),
        (field("ports"), terms("source.port", 1000).into()),
        (field("distinct"), AggregationKind::Cardinality { field: field("source.ip") }.into()),
        (field("distinct_users"), AggregationKind::Cardinality { field: field("user.name") }.into()),
        (field("values"), AggregationKind::ValueCount { field: field("tags") }.into()),
        (field("counts"), terms("own.counts", 1000).into()),
        (field("words"), terms("own.words", 1000).into()),
        (field("distinct_words"), AggregationKind::Cardinality { field: field("own.words") }.into()),
        (field("counts_values"), AggregationKind::ValueCount { field: field("own.counts") }.into()),
        (field("counts_stats"), AggregationKind::Stats { field: field("own.counts"), missing: None }.into()),
        (field("part_stats"), AggregationKind::Stats { field: field("own.part"), missing: None }.into()),
        (field("stats"), AggregationKind::Stats { field: field("source.bytes"), missing: None }.into()),
        (field("ranges"), AggregationKind::Range { field: field("source.bytes"), ranges }.into()),
        (
            field("filters"),
            AggregationKind::Filters {
                filters: vec![(field("a"), filter("failed")), (field("b"), filter("NOT user.name:taro"))],
            }
            .into(),
        ),
        (
            field("pairs"),
            AggregationKind::Composite {
                sources: vec![
                    (field("user"), Source::terms(field("user.name"))),
                    (field("ip"), Source::terms(field("source.ip"))),
                ],
                size: 1000,
                after: None,
            }
            .into(),
        ),
        (field("newest"), AggregationKind::TopHits { size: 2, sort: Sort::Desc }.into()),
        (field("oldest"), AggregationKind::TopHits { size: 2, sort: Sort::Asc }.into()),
        (
            field("percentiles"),
            AggregationKind::Percentiles { field: field("source.bytes"), percents: vec![0.0, 50.0, 100.0], missing: None }.into(),
        ),
        (field("unusual"), AggregationKind::Significant { field: field("user.name"), size: 100 }.into()),
    ];
    let request = SearchRequest { size: 0, aggregations, ..SearchRequest::new(filter(text)) };
    let found = searcher.search(&request, &limits()).expect(text).aggregations;
    let buckets = |name: &str| -> BTreeMap<String, u64> {
        found[name].buckets.iter().filter(|b| b.count > 0).map(|b| (b.key.clone(), b.count)).collect()
    };
    assert_eq!(buckets("ips"), counted(&hits, "source.ip"), "{text}");
    assert!(found["ips"].buckets.is_sorted_by(|a, b| a.count >= b.count), "{text}");
    assert_eq!(buckets("tags"), counted(&hits, "tags"), "{text}");
    assert_eq!(buckets("own"), counted(&hits, "own.name"), "{text}");
    assert_eq!(buckets("ports"), counted(&hits, "source.port"), "{text}");
    assert_eq!(found["distinct"].value, Some(counted(&hits, "source.ip").len() as f64), "{text}");
    assert_eq!(found["distinct_users"].value, Some(counted(&hits, "user.name").len() as f64), "{text}");
    assert_eq!(found["values"].value, Some(counted(&hits, "tags").values().sum::<u64>() as f64), "{text}");
    let bytes: Vec<i64> = hits.iter().filter_map(|e| e.get(FieldId::SOURCE_BYTES).and_then(|v| v.as_int())).collect();
    let figure = |name: &str| found["stats"].values[name];
    assert_eq!(figure("count"), Some(bytes.len() as f64), "{text}");
    assert_eq!(figure("sum"), Some(bytes.iter().sum::<i64>() as f64), "{text}");
    assert_eq!(figure("min"), bytes.iter().min().map(|n| *n as f64), "{text}");
    assert_eq!(figure("max"), bytes.iter().max().map(|n| *n as f64), "{text}");
    assert_eq!(buckets("counts"), counted(&hits, "own.counts"), "{text}");
    assert_eq!(buckets("words"), counted(&hits, "own.words"), "{text}");
    assert_eq!(found["distinct_words"].value, Some(counted(&hits, "own.words").len() as f64), "{text}");
    // A number that an event has twice is measured twice.
    for (name, own) in [("counts_stats", "own.counts"), ("part_stats", "own.part")] {
        let all: Vec<f64> = hits.iter().flat_map(|e| e.all(FieldId::known(own)).filter_map(number)).collect();
        assert_eq!(found[name].values["count"], Some(all.len() as f64), "{text}");
        assert_eq!(found[name].values["sum"], Some(all.iter().sum::<f64>()), "{text}");
        assert_eq!(found[name].values["min"], all.iter().copied().reduce(f64::min), "{text}");
        if own == "own.counts" {
            assert_eq!(found["counts_values"].value, Some(all.len() as f64), "{text}");
        }
    }
    let range = |low: bool| bytes.iter().filter(|n| (**n < 0) == low).count() as u64;
    assert_eq!(found["ranges"].buckets.iter().map(|b| b.count).collect::<Vec<_>>(), [range(true), range(false)], "{text}");
    let filtered = |text: &str| {
        let matcher = Matcher::new(filter(text));
        hits.iter().filter(|e| matcher.matches(**e)).count() as u64
    };
    let expected = [filtered("failed"), filtered("NOT user.name:taro")];
    assert_eq!(found["filters"].buckets.iter().map(|b| b.count).collect::<Vec<_>>(), expected, "{text}");
    let mut pairs: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for (users, ips) in values(&hits, "user.name").into_iter().zip(values(&hits, "source.ip")) {
        for user in &users {
            for ip in &ips {
                *pairs.entry(vec![user.clone(), ip.clone()]).or_default() += 1;
            }
        }
    }
    assert_eq!(found["pairs"].buckets.iter().map(|b| (b.keys.clone(), b.count)).collect::<BTreeMap<_, _>>(), pairs, "{text}");
    let newest: Vec<_> = hits.iter().take(2).map(|e| e.id()).collect();
    assert_eq!(found["newest"].hits.iter().map(|h| h.id).collect::<Vec<_>>(), newest, "{text}");
    let oldest: Vec<_> = hits.iter().rev().take(2).map(|e| e.id()).collect();
    assert_eq!(found["oldest"].hits.iter().map(|h| h.id).collect::<Vec<_>>(), oldest, "{text}");
    let mut sorted = bytes.clone();
    sorted.sort_unstable();
    for (percent, rank) in [("0", 0.0), ("50", 0.5), ("100", 1.0)] {
        let value = sorted.get((rank * (sorted.len().saturating_sub(1)) as f64).round() as usize).map(|n| *n as f64);
        let told = found["percentiles"].values[percent];
        match (value, told) {
            (Some(value), Some(told)) => assert!((value - told).abs() <= 0.011 * value.abs(), "{text} {percent}: {value} {told}"),
            (value, told) => assert_eq!(value, told, "{text}"),
        }
    }
    // Within each minute the users, within each user the bytes.
    let mut minutes: BTreeMap<String, BTreeMap<String, (u64, i64)>> = BTreeMap::new();
    for hit in &hits {
        let minute = Time::from_unix_s(hit.time().unix_s().div_euclid(60) * 60).to_string();
        let users = minutes.entry(minute).or_default();
        for user in hit.all(FieldId::USER_NAME) {
            let bytes = hit.get(FieldId::SOURCE_BYTES).and_then(|v| v.as_int()).unwrap_or(0);
            let entry = users.entry(shown(&user)).or_default();
            *entry = (entry.0 + 1, entry.1 + bytes);
        }
    }
    let told: BTreeMap<String, BTreeMap<String, (u64, i64)>> = found["nested"]
        .buckets
        .iter()
        .map(|minute| {
            let user = |b: &index::Bucket| (b.key.clone(), (b.count, b.aggs["bytes"].values["sum"].expect("a sum") as i64));
            (minute.key.clone(), minute.aggs["users"].buckets.iter().map(user).collect())
        })
        .collect();
    assert_eq!(told, minutes, "{text}");
    // What stands out is more frequent among the hits than among all.
    let all = scan(batches, "*", None, None);
    let (here, there) = (counted(&hits, "user.name"), counted(&all, "user.name"));
    for bucket in &found["unusual"].buckets {
        assert_eq!((Some(&bucket.count), bucket.background), (here.get(&bucket.key), there.get(&bucket.key).copied()), "{text}");
        assert!(bucket.count as f64 / hits.len() as f64 > there[&bucket.key] as f64 / all.len() as f64, "{text}");
    }
    let stands_out =
        |(key, n): &(&String, &u64)| **n >= 3 && **n as f64 / hits.len() as f64 > there[*key] as f64 / all.len() as f64;
    let told: BTreeSet<&String> = found["unusual"].buckets.iter().map(|b| &b.key).collect();
    assert_eq!(told, here.iter().filter(stands_out).map(|(key, _)| key).collect(), "{text}");
    assert!(found["unusual"].buckets.is_sorted_by(|a, b| a.score >= b.score), "{text}");
    check_sorted(searcher, &hits, text);
    check_deep(searcher, &hits, text);
    check_keys(searcher, &hits, text);
}

/// By two fields, page by page: of several values the one that comes first, what has none last, of equals the newest first.
fn check_sorted(searcher: &Searcher, hits: &[EventRef<'_>], text: &str) {
    fn first<T: Ord>(values: impl Iterator<Item = T>, sort: Sort) -> Option<T> {
        if sort == Sort::Desc { values.max() } else { values.min() }
    }
    fn order<T: Ord>(a: &Option<T>, b: &Option<T>, sort: Sort) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if sort == Sort::Desc => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
    for (sort, then) in [(Sort::Desc, Sort::Asc), (Sort::Asc, Sort::Desc)] {
        let keys = |e: &EventRef<'_>| {
            let number = first(e.all(FieldId::known("own.counts")).filter_map(|v| v.as_int()), sort);
            (number, first(e.all(FieldId::USER_NAME).map(|v| v.to_string()), then))
        };
        let mut expected: Vec<_> = hits.iter().map(|e| (keys(e), e.id())).collect();
        expected.sort_by(|(a, _), (b, _)| order(&a.0, &b.0, sort).then_with(|| order(&a.1, &b.1, then)));
        let then_by = Some(("user.name".to_owned(), then));
        let sort_by = Some("own.counts".to_owned());
        let base =
            SearchRequest { size: 50, sort, sort_by, then_by, ..SearchRequest::new(query::parse(text, now()).expect(text)) };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = searcher.search(&SearchRequest { cursor, ..base.clone() }, &limits()).expect(text);
            assert_eq!(page.total, hits.len() as u64, "{text}");
            found.extend(page.hits.iter().map(|h| h.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), "{text}");
    }
}

/// Which values are listed, combinations of several fields, keys with parts that have no value, and intervals that two values of an event
/// lie in.
fn check_keys(searcher: &Searcher, hits: &[EventRef<'_>], text: &str) {
    let base = SearchRequest { size: 0, ..SearchRequest::new(query::parse(text, now()).expect(text)) };
    let ask = |kind: AggregationKind| {
        let request = SearchRequest { aggregations: vec![("a".to_owned(), kind.into())], ..base.clone() };
        searcher.search(&request, &limits()).expect(text).aggregations.remove("a").expect("it was asked for")
    };
    let counts = |kind: AggregationKind| -> BTreeMap<String, u64> {
        ask(kind).buckets.into_iter().filter(|b| b.count > 0).map(|b| (b.key, b.count)).collect()
    };
    let listed = |field: &str, chosen: Chosen| AggregationKind::Terms {
        field: field.to_owned(),
        size: 1000,
        order: TermsOrder::CountAscending,
        min_count: 1,
        missing: None,
        chosen,
    };
    let users = counted(hits, "user.name");
    let some = Chosen {
        include: Some(Only::Regex(regex::Regex::new("^[tJj*]").expect("it is one"))),
        exclude: Some(Only::Values(["Jiro".to_owned()].into())),
        count_max: None,
    };
    let mut expected = users.clone();
    expected.retain(|user, _| user.starts_with(['t', 'J', 'j', '*']) && user != "Jiro");
    assert_eq!(counts(listed("user.name", some)), expected, "{text}");
    let rare = Chosen { count_max: Some(2), ..Chosen::default() };
    let mut expected = counted(hits, "own.words");
    expected.retain(|_, n| *n <= 2);
    assert_eq!(counts(listed("own.words", rare)), expected, "{text}");
    let mut parts = BTreeMap::new();
    for part in 0..3 {
        let only = Chosen { include: Some(Only::Part { part, of: 3 }), ..Chosen::default() };
        for (value, count) in counts(listed("user.name", only)) {
            assert_eq!(parts.insert(value, count), None, "{text}");
        }
    }
    assert_eq!(parts, users, "{text}");
    // Combinations, those without a tag under a name.
    let tags = values(hits, "tags");
    let mut expected: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for (users, tags) in values(hits, "user.name").iter().zip(&tags) {
        let none = BTreeSet::from(["-".to_owned()]);
        for user in users {
            for tag in if tags.is_empty() { &none } else { tags } {
                *expected.entry(vec![user.clone(), tag.clone()]).or_default() += 1;
            }
        }
    }
    let sources = vec![Source::terms("user.name"), Source { absent: Absent::As("-".to_owned()), ..Source::terms("tags") }];
    let combined = ask(AggregationKind::MultiTerms { sources, size: 1000, order: TermsOrder::Count, min_count: 1 });
    assert!(combined.buckets.is_sorted_by(|a, b| a.count >= b.count), "{text}");
    assert_eq!(combined.buckets.into_iter().map(|b| (b.keys, b.count)).collect::<BTreeMap<_, _>>(), expected, "{text}");
    // Page by page: what has no tag first, what has no count last.
    type Place = (Option<String>, Reverse<Option<i64>>);
    let numbers = |hit: &EventRef<'_>| -> BTreeSet<Option<i64>> {
        let some: BTreeSet<_> = hit.all(FieldId::known("own.counts")).filter_map(|v| v.as_int()).map(Some).collect();
        if some.is_empty() { [None].into() } else { some }
    };
    let mut expected: BTreeMap<Place, u64> = BTreeMap::new();
    for (hit, tags) in hits.iter().zip(&tags) {
        let tags: Vec<Option<String>> = if tags.is_empty() { vec![None] } else { tags.iter().cloned().map(Some).collect() };
        for tag in tags {
            for number in numbers(hit) {
                *expected.entry((tag.clone(), Reverse(number))).or_default() += 1;
            }
        }
    }
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let null = |field: &str, descending| Source { absent: Absent::Null, descending, ..Source::terms(field) };
        let sources = vec![("tag".to_owned(), null("tags", false)), ("count".to_owned(), null("own.counts", true))];
        let page = ask(AggregationKind::Composite { sources, size: 3, after });
        let part = |text: &String, kind: &KeyKind| (*kind != KeyKind::Null).then(|| text.clone());
        pages.extend(page.buckets.iter().map(|b| {
            let number = part(&b.keys[1], &b.kinds[1]).map(|text| text.parse().expect("a number"));
            ((part(&b.keys[0], &b.kinds[0]), Reverse(number)), b.count)
        }));
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, expected.into_iter().collect::<Vec<_>>(), "{text}");
    // Two values of an event within one interval make it one hit of it.
    let all: Vec<Vec<i64>> =
        hits.iter().map(|hit| hit.all(FieldId::known("own.counts")).filter_map(|v| v.as_int()).collect()).collect();
    let within =
        |low: i64, high: i64| all.iter().filter(|numbers| numbers.iter().any(|n| (low..high).contains(n))).count() as u64;
    let interval = AggregationKind::Histogram { field: "own.counts".to_owned(), interval: 2.0, offset: -1.0, missing: None };
    let mut expected = BTreeMap::from([("-1".to_owned(), within(-1, 1)), ("1".to_owned(), within(1, 3))]);
    expected.retain(|_, n| *n > 0);
    assert_eq!(counts(interval), expected, "{text}");
    // What has no number is counted under one, as if it had that: once, whichever column the others are in.
    let without = all.iter().filter(|numbers| numbers.is_empty()).count() as u64;
    for missing in [1, 7] {
        let terms = AggregationKind::Terms {
            field: "own.counts".to_owned(),
            size: 1000,
            order: TermsOrder::Count,
            min_count: 1,
            missing: Some(missing.to_string()),
            chosen: Chosen::default(),
        };
        let mut expected = counted(hits, "own.counts");
        *expected.entry(missing.to_string()).or_default() += without;
        expected.retain(|_, n| *n > 0);
        assert_eq!(counts(terms), expected, "{text}");
        let (field, missing) = ("own.counts".to_owned(), missing as f64);
        let interval = AggregationKind::Histogram { field, interval: 1000.0, offset: 0.0, missing: Some(missing) };
        let of_all: u64 = counts(interval).values().sum();
        let several = all.iter().map(|numbers| numbers.iter().map(|n| n.div_euclid(1000)).collect::<BTreeSet<_>>().len());
        assert_eq!(of_all, several.sum::<usize>() as u64 + without, "{text}");
    }
    // Numbers in their order, whole ones and others.
    let by_value = AggregationKind::Terms {
        field: "own.part".to_owned(),
        size: 1000,
        order: TermsOrder::Key,
        min_count: 1,
        missing: None,
        chosen: Chosen::default(),
    };
    let told = ask(by_value).buckets.into_iter().map(|b| b.key.parse().expect("a number"));
    assert!(told.is_sorted_by(|a: &f64, b| a < b), "{text}");
    let range = NumberRange { key: "all".to_owned(), from: Some(-1.0), to: Some(2.0) };
    let range = ask(AggregationKind::Range { field: "own.counts".to_owned(), ranges: vec![range] });
    assert_eq!(range.buckets[0].count, within(-1, 2), "{text}");
    let ranks = ask(AggregationKind::PercentileRanks { field: "own.counts".to_owned(), values: vec![0.0], missing: None });
    let flat: Vec<i64> = all.concat();
    let share = flat.iter().filter(|n| **n <= 0).count() as f64 / flat.len() as f64 * 100.0;
    match ranks.values["0"] {
        Some(rank) => assert!((rank - share).abs() < 1e-9, "{text}: {rank} {share}"),
        None => assert!(flat.is_empty(), "{text}"),
    }
    // What stands for no number is measured as one.
    let with: Vec<i64> = all.iter().flat_map(|of| if of.is_empty() { vec![-9] } else { of.clone() }).collect();
    let figures = ask(AggregationKind::Stats { field: "own.counts".to_owned(), missing: Some(-9.0) }).values;
    assert_eq!((figures["count"], figures["sum"]), (Some(with.len() as f64), Some(with.iter().sum::<i64>() as f64)), "{text}");
}

/// Buckets three deep, composite ones within, the newest hits of each innermost bucket; and a composite aggregation page by page.
fn check_deep(searcher: &Searcher, hits: &[EventRef<'_>], text: &str) {
    let minutes =
        || SourceOf::DateHistogram { field: "@timestamp".to_owned(), interval: Interval::ms(60_000), zone: TimeZone::UTC }.into();
    let within = |name: &str, aggregation: Aggregation| vec![(name.to_owned(), aggregation)];
    let newest = AggregationKind::TopHits { size: 2, sort: Sort::Desc }.into();
    let pairs = |size, after| AggregationKind::Composite {
        sources: vec![("minute".to_owned(), minutes()), ("ip".to_owned(), Source::terms("source.ip"))],
        size,
        after,
    };
    let pairs_of_line = Aggregation { kind: pairs(1000, None), inner: within("newest", newest) };
    let filters = ["failed", "NOT failed"].map(|text| (text.to_owned(), query::parse(text, now()).expect(text))).into();
    let lines = Aggregation { kind: AggregationKind::Filters { filters }, inner: within("pairs", pairs_of_line) };
    let users = Aggregation { kind: terms("user.name", 1000), inner: within("lines", lines) };
    let base = SearchRequest { size: 0, ..SearchRequest::new(query::parse(text, now()).expect(text)) };
    let ask = |aggregation: Aggregation| {
        let request = SearchRequest { aggregations: within("a", aggregation), ..base.clone() };
        searcher.search(&request, &limits()).expect(text).aggregations.remove("a").expect("it was asked for")
    };
    type Place = (String, bool, Vec<String>);
    let failed = Matcher::new(query::parse("failed", now()).expect("a query"));
    let mut expected: BTreeMap<Place, Vec<event::EventId>> = BTreeMap::new();
    let mut keys: BTreeMap<(i64, u128), u64> = BTreeMap::new();
    for hit in hits {
        let minute = hit.time().unix_s().div_euclid(60) * 60;
        for ip in hit.all(FieldId::SOURCE_IP).filter_map(|v| v.as_ip()) {
            let bits = match ip {
                std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
                std::net::IpAddr::V6(ip) => ip.to_bits(),
            };
            *keys.entry((minute, bits)).or_default() += 1;
            for user in hit.all(FieldId::USER_NAME) {
                let pair = vec![Time::from_unix_s(minute).to_string(), shown(&Value::Ip(ip))];
                expected.entry((shown(&user), failed.matches(*hit), pair)).or_default().push(hit.id());
            }
        }
    }
    let mut told: BTreeMap<Place, Vec<event::EventId>> = BTreeMap::new();
    for user in ask(users).buckets {
        for line in &user.aggs["lines"].buckets {
            for pair in &line.aggs["pairs"].buckets {
                let newest: Vec<_> = pair.aggs["newest"].hits.iter().map(|h| h.id).collect();
                let place = (user.key.clone(), line.key == "failed", pair.keys.clone());
                let all = &expected[&place];
                assert_eq!((pair.count, &newest[..]), (all.len() as u64, &all[..all.len().min(2)]), "{text}");
                told.insert(place, all.clone());
            }
        }
    }
    assert_eq!(told, expected, "{text}");
    // Page by page, in the order of the keys.
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = ask(pairs(3, after).into());
        assert!(page.buckets.len() <= 3);
        pages.extend(page.buckets.into_iter().map(|b| (b.keys, b.count)));
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    let key = |((minute, ip), count): (&(i64, u128), &u64)| {
        let ip = std::net::IpAddr::V6((*ip).into()).to_canonical().to_string();
        (vec![Time::from_unix_s(*minute).to_string(), ip], *count)
    };
    assert_eq!(pages, keys.iter().map(key).collect::<Vec<_>>(), "{text}");
    // A page goes on behind a key that is not there any more.
    if let Some(((minute, ip), _)) = keys.iter().nth(keys.len() / 2) {
        let gone = [Time::from_unix_s(*minute).to_string(), shown(&Value::Ip(std::net::Ipv6Addr::from(ip + 1).into()))]
            .map(Some)
            .to_vec();
        let rest: Vec<_> = keys.range((*minute, ip + 1)..).filter(|(k, _)| **k != (*minute, ip + 1)).map(key).collect();
        let page = ask(pairs(1000, Some(gone)).into());
        assert_eq!(page.buckets.into_iter().map(|b| (b.keys, b.count)).collect::<Vec<_>>(), rest, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_index_and_a_scan_agree(
        plans in prop::collection::vec(any::<Plan>(), 1..400),
        commit in 5usize..60,
        shard in 30u64..250,
        // Closed shards are opened when a search comes to them, one of them at once or a few or all, and merged all the while.
        (open, closed_segments) in (prop::sample::select(vec![1usize, 7, 1000, 1000]), 0usize..30),
        queries in prop::collection::vec(any_query(), 40),
        range in (0i64..400, 0i64..400),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let open_shards = OpenShards::new(open);
        let options = IndexOptions {
            shard_documents: shard,
            closed_segments,
            open_shards: open_shards.clone(),
            ..IndexOptions::new(dir.path())
        };
        let (mut writer, _) = Writer::open(&options, TenantId(0)).expect("opens");
        let searcher = writer.searcher().with_messages(Arc::new(Kept));
        MESSAGES.lock().expect("no panic under it").clear();
        let mut batches: Vec<Batch> = Vec::new();
        let mut queries_left = queries.iter().cycle();
        let mut first = 1;
        for piece in plans.chunks(commit) {
            let batch = build(piece, first);
            first += piece.len() as u64;
            let messages = batch.iter().filter_map(|e| Some((e.id(), e.get(FieldId::MESSAGE)?.to_string())));
            MESSAGES.lock().expect("no panic under it").extend(messages);
            writer.write(&batch).expect("writes");
            writer.commit().expect("commits");
            batches.push(batch);
            // While merges run and shards close.
            check_query(&searcher, &batches, queries_left.next().expect("it cycles"), None, None);
        }
        let (low, high) = (range.0.min(range.1), range.0.max(range.1));
        let time = |s: i64| Some(Time::from_unix_s(START_S + s));
        for round in 0..2 {
            for (n, text) in queries.iter().enumerate() {
                match n % 3 {
                    0 => check_query(&searcher, &batches, text, time(low), time(high)),
                    1 => check_query(&searcher, &batches, text, None, None),
                    _ => check_aggregations(&searcher, &batches, text),
                }
            }
            check_built(&searcher, &batches);
            prop_assert!(open_shards.segments() <= open, "{open_shards:?}");
            if round == 0 {
                writer.settle().expect("merges");
            }
        }
    }
}
