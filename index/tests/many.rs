//! Thousands of events in many segments against a scan: phrases with many candidates a window, the first of many values, words by a part.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport, Value};
use index::{AggregationKind, IndexOptions, Matcher, SearchLimits, SearchRequest, Searcher, TermsOrder, Writer, query};

fn start() -> Time {
    "2026-04-01T00:00:00Z".parse().expect("a time")
}

/// Numbers that look like chance and are the same each time.
fn chance(state: &mut u64, sides: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % sides
}

/// Events whose words repeat and overlap, whose users are many and whose addresses are skewed.
fn batch(first: u64, n: u64, seed: u64) -> Batch {
    let mut state = seed * 7919 + first;
    let mut builder = BatchBuilder::default();
    for offset in first..first + n {
        let head = FrameHead {
            position: Position { partition: 0, offset },
            received: start().plus_ns(offset as i64 * 1_000_000),
            tenant: TenantId(0),
            source: None,
            origin: None,
            transport: Transport::Udp,
            content: Content::Text,
            truncated: false,
            listener: 0,
        };
        let mut raw = String::new();
        for _ in 0..chance(&mut state, 12) {
            raw.push_str(
                ["failed ", "password ", "for ", "failed password ", "invalid ", "a b a b "][chance(&mut state, 6) as usize],
            );
        }
        let user = match chance(&mut state, 3) {
            0 => format!("user{}", chance(&mut state, 2000)),
            1 => format!("clerk{}", chance(&mut state, 5)),
            _ => format!("User{}", chance(&mut state, 40)),
        };
        raw.push_str(&user);
        let mut row = builder.row(&head, 0, &raw);
        row.time(start().plus_ns(offset as i64 * 1_000_000));
        if chance(&mut state, 4) > 0 {
            row.text(FieldId::USER_NAME, &user);
        }
        let wide = chance(&mut state, 250) as u8;
        let ip = [10, (wide / 16) & chance(&mut state, 16) as u8, 0, wide & chance(&mut state, 256) as u8];
        row.ip(FieldId::SOURCE_IP, IpAddr::from(ip));
        // A field that is text in one event and a number in another.
        match chance(&mut state, 3) {
            0 => row.text(FieldId::known("mixed"), &format!("m{}", chance(&mut state, 9))),
            1 => row.int(FieldId::known("mixed"), chance(&mut state, 9) as i64),
            _ => row.bool(FieldId::known("flag"), chance(&mut state, 3) == 0),
        };
    }
    builder.finish(LogRange { partition: 0, first, last: first + n - 1 }, start())
}

fn limits() -> SearchLimits {
    SearchLimits { stop: Arc::new(|| false) }
}

/// Some twenty segments of different sizes in three shards.
fn index(seed: u64) -> (tempfile::TempDir, Writer, Vec<Batch>) {
    let dir = tempfile::tempdir().expect("a folder");
    let options = IndexOptions { shard_documents: 5000, ..IndexOptions::new(dir.path()) };
    let (mut writer, _) = Writer::open(&options, TenantId(0)).expect("opens");
    let (mut first, mut batches) = (1, Vec::new());
    for n in [4000, 900, 300, 100, 2500, 2400, 1, 7, 64, 65, 700, 30, 30, 30, 30, 900] {
        let batch = batch(first, n, seed);
        writer.write(&batch).expect("writes");
        writer.commit().expect("commits");
        batches.push(batch);
        first += n;
    }
    (dir, writer, batches)
}

fn scan(batches: &[Batch], text: &str) -> u64 {
    let matcher = Matcher::new(query::parse(text, start()).expect(text));
    batches.iter().flat_map(Batch::iter).filter(|event| matcher.matches(*event)).count() as u64
}

#[test]
fn phrases_and_parts_of_words_are_those_of_a_scan() {
    let (_dir, writer, batches) = index(1);
    let searcher = writer.searcher();
    for text in [
        "\"failed password\"",
        "\"password failed password\"",
        "\"failed failed failed\"",
        "\"a b a\"",
        "\"b a b a b\"",
        "\"password for\" AND \"for password\"",
        "\"failed password\" AND source.ip:10.0.0.0/12",
        "\"failed password\" AND source.ip:10.8.0.0/16 AND \"a b\"",
        "\"failed password\" NOT \"invalid failed\"",
        "\"failed password\" OR \"a b a b a b\"",
        "source.ip:10.1.0.0/16 AND NOT \"failed password\"",
        "\"failed password for user17\"",
        "*asswor*",
        "*ser1*",
        "*lerk*",
        "message:/er[0-9]$/",
        "user.name:*ser17* AND *ailed",
        "*nothing*",
    ] {
        let request = SearchRequest { size: 3, ..SearchRequest::new(query::parse(text, start()).expect(text)) };
        // Twice: the second time from what is kept of the first.
        for _ in 0..2 {
            let found = searcher.search(&request, &limits()).expect(text);
            assert_eq!(found.total, scan(&batches, text), "{text}");
        }
    }
}

fn first_terms(searcher: &Searcher, field: &str, size: usize, text: &str, min_count: u64) -> (Vec<(String, u64)>, u64) {
    let mut request = SearchRequest { size: 0, ..SearchRequest::new(query::parse(text, start()).expect(text)) };
    let terms = AggregationKind::Terms {
        field: field.to_owned(),
        size,
        order: TermsOrder::Count,
        min_count,
        missing: None,
        chosen: Default::default(),
    };
    request.aggregations.push(("t".to_owned(), terms.into()));
    let found = searcher.search(&request, &limits()).expect(text);
    let answer = &found.aggregations["t"];
    assert!(!answer.approximate);
    (answer.buckets.iter().map(|b| (b.key.clone(), b.count)).collect(), answer.other.expect("terms say it"))
}

#[test]
fn the_first_values_are_those_of_a_scan() {
    for seed in 1..4 {
        let (_dir, mut writer, batches) = index(seed);
        let searcher = writer.searcher();
        for settled in [false, true] {
            if settled {
                writer.settle().expect("merges");
            }
            for field in ["user.name", "source.ip", "mixed", "flag", "event.action"] {
                for text in ["*", "failed", "source.ip:10.0.0.0/12"] {
                    let matcher = Matcher::new(query::parse(text, start()).expect(text));
                    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                    for event in batches.iter().flat_map(Batch::iter).filter(|event| matcher.matches(*event)) {
                        for value in event.all(FieldId::known(field)) {
                            let shown = match value {
                                Value::Text(text) => text.to_owned(),
                                other => other.to_string(),
                            };
                            *counts.entry(shown).or_default() += 1;
                        }
                    }
                    let all: u64 = counts.values().sum();
                    for (size, min_count) in [(1, 1), (5, 1), (10, 20), (100, 1), (3000, 1), (0, 1)] {
                        let (found, other) = first_terms(&searcher, field, size, text, min_count);
                        let mut expected: Vec<u64> = counts.values().copied().filter(|n| *n >= min_count).collect();
                        expected.sort_unstable_by(|a, b| b.cmp(a));
                        expected.truncate(size);
                        let what = format!("{field} {text} {size} {min_count} {seed}");
                        assert_eq!(found.iter().map(|(_, n)| *n).collect::<Vec<_>>(), expected, "{what}");
                        assert!(found.iter().all(|(key, n)| counts.get(key) == Some(n)), "{what}: {found:?}");
                        assert_eq!(other, all - expected.iter().sum::<u64>(), "{what}");
                        // Of equals the smaller value comes first.
                        if field == "user.name" {
                            let mut sorted: Vec<(&String, &u64)> = counts.iter().filter(|(_, n)| **n >= min_count).collect();
                            sorted.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
                            let names: Vec<&String> = sorted.iter().take(size).map(|(name, _)| *name).collect();
                            assert_eq!(found.iter().map(|(key, _)| key).collect::<Vec<_>>(), names, "{what}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_shard_closes_while_a_merge_of_it_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    // The eighth commit begins a merge, the ninth finds it running, the tenth closes the shard.
    let commits = [4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 1, 1];
    let options = IndexOptions { shard_documents: commits.iter().sum(), ..IndexOptions::new(dir.path()) };
    let (mut writer, _) = Writer::open(&options, TenantId(0)).expect("opens");
    let (mut first, mut batches) = (1, Vec::new());
    for n in commits.into_iter().chain([10]) {
        let batch = batch(first, n, 1);
        writer.write(&batch).expect("writes");
        writer.commit().expect("commits");
        batches.push(batch);
        first += n;
    }
    writer.settle().expect("the closed shard's merges ended well");
    let searcher = writer.searcher();
    assert_eq!(searcher.usage().expect("reads").len(), 2, "shards");
    let request = SearchRequest { size: 0, ..SearchRequest::new(query::parse("failed", start()).expect("a query")) };
    assert_eq!(searcher.search(&request, &limits()).expect("searches").total, scan(&batches, "failed"));
}
