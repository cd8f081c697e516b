//! Queries meant to do harm: each is refused or answered, stops when it is told to, and leaves the index as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{
    Aggregation, AggregationKind, IndexError, IndexOptions, Interval, SearchLimits, SearchRequest, Searcher, Sort, TermsOrder,
    TimeZone, Writer, query,
};

const EVENTS: u64 = 3000;

fn filled(dir: &std::path::Path) -> Writer {
    let (mut writer, _) = Writer::open(&IndexOptions::new(dir), TenantId(0)).expect("opens");
    for first in (1..EVENTS).step_by(1000) {
        let mut builder = BatchBuilder::default();
        for offset in first..first + 1000 {
            let head = FrameHead {
                position: Position { partition: 0, offset },
                received: Time::from_unix_s(offset as i64),
                tenant: TenantId(0),
                source: None,
                origin: None,
                transport: Transport::Udp,
                content: Content::Text,
                truncated: false,
                listener: 0,
            };
            let raw = format!("word{offset} {} aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{} 日本語", offset * 7919, offset % 97);
            let mut row = builder.row(&head, 0, &raw);
            row.text(FieldId::USER_NAME, &format!("user{offset}"));
            row.int(FieldId::SOURCE_BYTES, offset as i64 * 31);
            row.ip(FieldId::SOURCE_IP, std::net::Ipv4Addr::from_bits(offset as u32 * 65_537).into());
        }
        writer.write(&builder.finish(LogRange { partition: 0, first, last: first + 999 }, Time::EPOCH)).expect("writes");
        writer.commit().expect("commits");
    }
    writer
}

/// Five hundred texts of a dozen kinds.
fn hostile() -> Vec<String> {
    let mut all = Vec::new();
    for n in 1..=50usize {
        all.push(format!("{}a{}", "(".repeat(n * 3), ")".repeat(n * 3)));
        all.push(format!("{}word1", "NOT ".repeat(n * 60)));
        all.push(format!("NOT ({})", vec!["NOT *a*"; n * 2].join(" OR ")));
        all.push(format!("*{}*", "a*".repeat(n)));
        all.push(format!("user.name:/{}{}b/", "(a|aa)+".repeat(n), "x?".repeat(n)));
        all.push(format!("user.name:/(((a{{1,{n}}}){{1,{n}}}){{1,{n}}}){{1,{n}}}/"));
        all.push(vec![format!("source.ip:*{n}*"); n * 4].join(" OR "));
        all.push(vec!["source.bytes:/[0-9]+9$/"; n * 2].join(" OR "));
        all.push(format!(
            "source.ip:[0.0.0.0 TO ffff::{n:x}] AND source.bytes:[* TO 1e{}] AND @timestamp:[now-{}w TO *]",
            n * 6,
            n * 100_000
        ));
        all.push(format!("\"{}\"", "aaaa ".repeat(n * 60)));
    }
    assert_eq!(all.len(), 500);
    all
}

fn ask(searcher: &Searcher, text: &str, stop_after: u32) -> Result<bool, String> {
    let query = query::parse(text, Time::from_unix_s(1_775_001_600)).map_err(|e| e.to_string())?;
    let looks = Arc::new(AtomicU32::new(0));
    let stop = Arc::new(move || looks.fetch_add(1, Ordering::Relaxed) >= stop_after);
    match searcher.search(&SearchRequest::new(query), &SearchLimits { stop }) {
        Ok(answer) => Ok(answer.complete),
        Err(IndexError::Refused(reason)) => Err(reason),
        Err(error) => panic!("{text:.80}: {error}"),
    }
}

#[test]
fn five_hundred_hostile_queries_are_refused_or_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let writer = filled(dir.path());
    let searcher = writer.searcher();
    let (mut answered, mut refused) = (0, 0);
    for text in hostile() {
        match ask(&searcher, &text, u32::MAX) {
            Ok(complete) => {
                assert!(complete, "{text:.80}");
                answered += 1;
            }
            Err(reason) => {
                assert!(!reason.is_empty());
                refused += 1;
            }
        }
    }
    assert!(answered > 100 && refused > 50, "{answered} answered, {refused} refused");
    // Whatever was asked, what is there is still found.
    assert_eq!(ask(&searcher, "word17", u32::MAX), Ok(true));
    assert_eq!(searcher.documents(), EVENTS);
}

#[test]
fn a_search_stops_at_the_first_look_that_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let writer = filled(dir.path());
    for text in ["*", "*aa*", "NOT *aa*", "user.name:/9$/ OR source.bytes:*9", "source.ip:0.0.0.0/1", "word1 OR word2"] {
        assert_eq!(ask(&writer.searcher(), text, 0), Ok(false), "{text}");
        assert_eq!(ask(&writer.searcher(), text, u32::MAX), Ok(true), "{text}");
    }
}

#[test]
fn aggregations_that_are_too_large_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let writer = filled(dir.path());
    let terms = |size: usize, inner: Vec<(String, Aggregation)>| Aggregation {
        kind: AggregationKind::Terms {
            field: "user.name".to_owned(),
            size,
            order: TermsOrder::Count,
            min_count: 1,
            missing: None,
            chosen: Default::default(),
        },
        inner,
    };
    let histogram = |interval, min_count| -> Aggregation {
        AggregationKind::DateHistogram {
            field: "@timestamp".to_owned(),
            interval,
            zone: TimeZone::UTC,
            min_count,
            bounds: Some((Time::EPOCH, Time::from_unix_s(10_000_000_000))),
            missing: None,
        }
        .into()
    };
    let name = || "a".to_owned();
    let deep = terms(1, vec![(name(), terms(1, vec![(name(), terms(1, vec![(name(), terms(1, Vec::new()))]))]))]);
    let cases: Vec<(Vec<(String, Aggregation)>, &str)> = vec![
        (vec![(name(), deep)], "3 deep"),
        (vec![(name(), terms(1_000_000, Vec::new()))], "10000 values"),
        ((0..60).map(|n| (n.to_string(), terms(1, Vec::new()))).collect(), "50 aggregations"),
        (vec![(name(), histogram(Interval::ms(1), 0))], "more than 65536 buckets"),
        (vec![(name(), histogram(Interval::ms(0), 1))], "more than 0"),
        (
            vec![(name(), AggregationKind::Histogram { field: name(), interval: f64::NAN, offset: 0.0, missing: None }.into())],
            "more than 0",
        ),
        (vec![(name(), terms(10_000, vec![(name(), terms(10_000, vec![(name(), histogram(Interval::ms(1000), 1))]))]))], ""),
    ];
    for (aggregations, reason) in cases {
        let request = SearchRequest { aggregations, ..SearchRequest::new(index::Query::All) };
        let found = writer.searcher().search(&request, &SearchLimits { stop: Arc::new(|| false) });
        match found {
            Err(IndexError::Refused(told)) => assert!(told.contains(reason) && !reason.is_empty(), "{told}"),
            Ok(answer) => assert!(reason.is_empty() && answer.complete),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn hits_within_buckets_are_bounded_in_all_and_read_no_longer_than_wanted() {
    let dir = tempfile::tempdir().expect("a folder");
    let writer = filled(dir.path());
    let ask = |buckets: usize, hits: usize, looks_max: u32| {
        let kind = AggregationKind::Terms {
            field: "user.name".to_owned(),
            size: buckets,
            order: TermsOrder::Count,
            min_count: 1,
            missing: None,
            chosen: Default::default(),
        };
        let newest = ("newest".to_owned(), AggregationKind::TopHits { size: hits, sort: Sort::Desc }.into());
        let all = Aggregation { kind: AggregationKind::Filters { filters: copies(hits) }, inner: vec![newest.clone()] };
        let aggregations = vec![("users".to_owned(), Aggregation { kind, inner: vec![newest] }), ("all".to_owned(), all)];
        let request = SearchRequest { size: 0, aggregations, ..SearchRequest::new(index::Query::All) };
        let looks = Arc::new(AtomicU32::new(0));
        let counted = looks.clone();
        let stop = Arc::new(move || counted.fetch_add(1, Ordering::Relaxed) >= looks_max);
        (writer.searcher().search(&request, &SearchLimits { stop }), looks.load(Ordering::Relaxed))
    };
    // 3,000 users with one event each, and 100 times the newest 100 of all.
    let (found, _) = ask(3000, 100, u32::MAX);
    assert!(matches!(&found, Err(IndexError::Refused(why)) if why.contains("10000 hits")), "{found:?}");
    let (found, looks) = ask(3000, 50, u32::MAX);
    let told = |found: &index::SearchResponse| -> usize {
        let buckets = found.aggregations.values().flat_map(|all| &all.buckets);
        buckets.map(|b| b.aggs["newest"].hits.len()).sum()
    };
    let found = found.expect("searches");
    assert_eq!((told(&found), found.complete), (3000 + 50 * 50, true));
    // Told to stop among the hits, it leaves the rest of them out.
    let (found, _) = ask(3000, 50, looks - 1000);
    let found = found.expect("searches");
    assert_eq!((told(&found), found.complete), (3000 + 50 * 50 - 1000, false));
    assert_eq!(found.aggregations["users"].buckets.len(), 3000);
}

/// So many filters of everything.
fn copies(count: usize) -> Vec<(String, index::Query)> {
    (0..count).map(|n| (n.to_string(), index::Query::All)).collect()
}
