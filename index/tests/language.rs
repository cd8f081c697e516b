//! What a query says is what is found: each case names the records, read off by eye, not by code that the search shares.

use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{AggregationKind, IndexOptions, Matcher, Query, SearchLimits, SearchRequest, TermsOrder, Writer, query};

/// A record and its fields.
type Record = (&'static str, &'static [(&'static str, &'static str)]);

fn now() -> Time {
    "2026-04-15T10:20:30Z".parse().expect("a time")
}

/// The records as a batch, and in an index.
fn indexed(records: &[Record]) -> (Batch, Writer, tempfile::TempDir) {
    let mut builder = BatchBuilder::default();
    for (offset, (raw, fields)) in records.iter().enumerate() {
        let head = FrameHead {
            position: Position { partition: 0, offset: offset as u64 + 1 },
            // A record is about as old as it says, or it is not believed.
            received: fields.iter().find(|(name, _)| *name == "@timestamp").map_or(now(), |(_, at)| at.parse().expect("a time")),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, raw);
        for (name, text) in *fields {
            let id = FieldId::known(name);
            match (*name, text.parse()) {
                ("@timestamp", _) => row.time(text.parse().expect("a time")),
                ("source.ip" | "destination.ip", _) => row.ip(id, text.parse().expect("an address")),
                (_, Ok(number)) => row.int(id, number),
                _ => match text.parse() {
                    Ok(large) => row.uint(id, large),
                    Err(_) => row.text(id, text),
                },
            }
        }
    }
    let batch = builder.finish(LogRange { partition: 0, first: 1, last: records.len() as u64 }, now());
    let dir = tempfile::tempdir().expect("a folder");
    let (mut writer, _) = Writer::open(&IndexOptions::new(dir.path()), TenantId(0)).expect("opens");
    writer.write(&batch).expect("writes");
    writer.commit().expect("commits");
    (batch, writer, dir)
}

fn limits() -> SearchLimits {
    SearchLimits { stop: Arc::new(|| false) }
}

/// The numbers (from 0) of the records that each query finds, in the index and in the stream; each query is as `read` reads it.
fn check(records: &[Record], read: &dyn Fn(&str) -> Query, cases: &[(&str, &[u64])]) {
    let (batch, writer, _dir) = indexed(records);
    for (text, expected) in cases {
        let asked = read(text);
        let matcher = Matcher::new(asked.clone());
        let streamed: Vec<u64> = batch.iter().filter(|e| matcher.matches(*e)).map(|e| e.id().frame.offset - 1).collect();
        assert_eq!(streamed, *expected, "{text}: {asked:?}");
        let found = writer.searcher().search(&SearchRequest::new(asked), &limits()).expect(text);
        let mut found: Vec<u64> = found.hits.iter().map(|h| h.id.frame.offset - 1).collect();
        found.sort_unstable();
        assert_eq!(found, *expected, "{text}");
    }
}

fn ours(text: &str) -> Query {
    query::parse(text, now()).expect(text)
}

fn lucene(text: &str) -> Query {
    query::parse_lucene(text, &query::Lucene::default(), now()).expect(text)
}

#[test]
fn brackets_of_a_field_bind_as_all_others_do() {
    let records: &[Record] = &[
        ("", &[("event.action", "close"), ("source.port", "80")]),
        ("", &[("event.action", "accept"), ("source.port", "443")]),
        ("", &[("event.action", "reset"), ("source.port", "8443"), ("tags", "web"), ("tags", "slow")]),
    ];
    check(
        records,
        &ours,
        &[
            ("event.action:(close OR accept AND nosuch)", &[0]),
            ("event.action:(nosuch AND close OR accept)", &[1]),
            ("event.action:((close OR accept) AND NOT close)", &[1]),
            ("event.action:(NOT close NOT accept)", &[2]),
            ("event.action:(!close && !reset)", &[1]),
            ("event.action:(!close)", &[1, 2]),
            ("event.action:(close || reset)", &[0, 2]),
            ("event.action:(close accept)", &[]),
            ("tags:(web slow)", &[2]),
            ("tags:(web -slow)", &[]),
            ("source.port:(>=80 <=443)", &[0, 1]),
            ("source.port:(>=80 <=443 NOT 80) OR event.action:(re* \"reset\")", &[1, 2]),
        ],
    );
}

#[test]
fn addresses_and_times_are_found_as_they_are_pasted() {
    let records: &[Record] = &[
        ("deny 2001:db8:7::1a to [fe80::20]:53", &[]),
        ("seen 2001:0db8:0007:0000:0000:0000:0000:001a", &[]),
        ("lease 192.0.2.77:3389 for 02:4b:6c:0e:91:d7", &[]),
        ("2026-04-15T07:08:09.250+09:00 port up 02-4B-6C-0E-91-D7", &[]),
        ("2001 db8", &[("source.ip", "192.0.2.77")]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("2001:db8:7::1a", &[0, 1]),
        ("2001:DB8:7:0:0:0:0:1A", &[0, 1]),
        ("fe80::20", &[0]),
        ("192.0.2.77:3389", &[2]),
        ("02:4b:6c:0e:91:d7", &[2, 3]),
        ("02:4B:6C", &[2, 3]),
        ("07:08", &[3]),
        ("07:08:09", &[3]),
        ("07:08:09.250+09:00", &[3]),
        ("2026-04-15T07:08:09.250+09:00", &[3]),
        ("(07:08 AND port) OR fe80::20", &[0, 3]),
        ("source.ip:192.0.2.77", &[4]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
    let fields = ["source.address".to_owned()];
    let read = |text: &str| {
        query::parse_lucene(text, &query::Lucene { fields: &fields, ..query::Lucene::default() }, now()).expect(text)
    };
    check(&[("", &[("source.address", "fe80::20")])], &read, &[("fe80::20", &[0]), ("fe80::21", &[])]);
}

#[test]
fn what_has_no_letter_or_digit_is_refused_and_finds_nothing_where_it_is_not() {
    let lucene = |text: &str| query::parse_lucene(text, &query::Lucene::default(), now());
    for (text, position) in [
        ("\"../../\"", 0),
        ("${", 0),
        ("root \"'--\"", 5),
        ("NOT \"../\"", 4),
        ("root OR (\u{1f600} x)", 9),
        ("\"\"", 0),
        ("--- x", 4),
    ] {
        for read in [query::parse(text, now()), lucene(text)] {
            match read {
                Err(error) => assert_eq!(error.position, position, "{text}: {error}"),
                // Signs before a word say that it is not meant.
                Ok(query) => assert_eq!(text, "--- x", "{query:?}"),
            }
        }
    }
    // What other interfaces build.
    let built = |text: &str| match text.strip_suffix('*') {
        Some(start) => Query::WordsPrefix(start.to_owned()),
        None => Query::Words(text.to_owned()),
    };
    let records: &[Record] = &[("GET /../../etc", &[]), ("", &[])];
    check(records, &built, &[("../../", &[]), ("'--*", &[]), ("etc", &[0]), ("e*", &[0])]);
}

#[test]
fn dates_are_as_long_as_they_say_and_relative_ones_may_be_rounded() {
    let records: &[Record] = &[
        ("", &[("@timestamp", "2026-03-10T12:00:00Z")]),
        ("", &[("@timestamp", "2026-04-13T23:59:59.999999999Z")]),
        ("", &[("@timestamp", "2026-04-14T00:00:00Z")]),
        ("", &[("@timestamp", "2026-04-14T17:30:00Z")]),
        ("", &[("@timestamp", "2026-04-15T10:20:30Z")]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("@timestamp:2026-04-14", &[2, 3]),
        ("@timestamp:\"2026-04-14\"", &[2, 3]),
        ("@timestamp:2026-04", &[1, 2, 3, 4]),
        ("@timestamp:2026-04-14T17:30", &[3]),
        ("@timestamp:(2026-03 OR 2026-04-15)", &[0, 4]),
        ("@timestamp:>=now-1d/d", &[2, 3, 4]),
        ("@timestamp:>now-1d/d", &[4]),
        ("@timestamp:<now-1d/d", &[0, 1]),
        ("@timestamp:<=now-1d/d", &[0, 1, 2, 3]),
        ("@timestamp:>now-1M", &[1, 2, 3, 4]),
        ("@timestamp:>now-1y", &[0, 1, 2, 3, 4]),
        ("@timestamp:[2026-04-13 TO 2026-04-14]", &[1, 2, 3]),
        ("@timestamp:{2026-04-13 TO 2026-04-15}", &[2, 3]),
        ("@timestamp:>2026-04-14T00:00:00", &[3, 4]),
        ("@timestamp:>=2026-04-14T09:00:00+09:00", &[2, 3, 4]),
        ("@timestamp:>1776187800000", &[4]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
}

#[test]
fn a_value_that_the_field_cannot_have_is_pointed_at() {
    let lucene = |text: &str| query::parse_lucene(text, &query::Lucene::default(), now());
    for (text, position) in [
        ("source.ip:10.0.0/8", 10),
        ("source.ip:999.0.0.1", 10),
        ("a AND source.ip:(10.0.0.1 OR web)", 29),
        ("source.ip:>5", 10),
        ("source.port:abc", 12),
        ("source.port:80/tcp", 12),
        ("source.port:[80 TO http]", 12),
        ("source.port:10.0.0.0/8", 12),
        ("@timestamp:yesterday", 11),
        ("@timestamp:\"last week\"", 11),
        ("@timestamp:>=now-1q", 11),
        ("event.start:2026-13-01", 12),
        ("message:\"../\"", 8),
        ("source.*:10.0.0.1", 0),
        ("*:root", 0),
        ("\"failed root\"~5", 13),
        ("user.name:\"a b\"~2", 15),
    ] {
        for read in [query::parse(text, now()), lucene(text)] {
            assert_eq!(read.expect_err(text).position, position, "{text}");
        }
    }
    // A weight is read over where Lucene is spoken, for nothing is ranked; with us it is none.
    assert_eq!(query::parse("user.name:(a OR root^2.5)", now()).expect_err("a weight").position, 20);
    assert!(lucene("root^2").is_ok());
    let records: &[Record] = &[
        ("x^2", &[("source.ip", "10.3.2.1"), ("source.port", "8080"), ("user.name", "10.0.0/8")]),
        ("", &[("source.port", "http"), ("user.name", "a^2")]),
    ];
    check(
        records,
        &ours,
        &[
            ("source.ip:\"10.0.0.0/8\"", &[0]),
            ("source.ip:(\"10.0.0.0/8\" AND NOT 10.3.2.1)", &[]),
            ("source.port:\"http\"", &[1]),
            ("source.port:ht*", &[1]),
            ("source.port:8080.0", &[0]),
            ("user.name:10.0.0/8", &[0]),
            ("user.name:a\\^2", &[1]),
            ("\"x^2\"", &[0]),
            ("*:* NOT source.port:8080", &[1]),
        ],
    );
}

#[test]
fn whole_numbers_are_told_apart_however_large() {
    let records: &[Record] = &[
        ("", &[("own.count", "9007199254740992"), ("source.bytes", "9007199254740993")]),
        ("", &[("own.count", "9007199254740993"), ("source.bytes", "-9007199254740993")]),
        ("", &[("own.count", "18446744073709551615")]),
        ("", &[("own.count", "18446744073709551614")]),
    ];
    check(
        records,
        &ours,
        &[
            ("own.count:9007199254740993", &[1]),
            ("own.count:9007199254740992", &[0]),
            ("own.count:18446744073709551615", &[2]),
            ("own.count:18446744073709551613", &[]),
            ("own.count:-1", &[]),
            ("source.bytes:9007199254740993", &[0]),
            ("source.bytes:9007199254740992", &[]),
            ("source.bytes:-9007199254740993", &[1]),
            ("source.bytes:>9007199254740992", &[0]),
            ("source.bytes:>=9007199254740994", &[]),
            ("source.bytes:[-9007199254740993 TO -9007199254740993]", &[1]),
            ("source.bytes:<-9007199254740993", &[]),
            ("own.count:{9007199254740992 TO 9007199254740994}", &[1]),
            ("own.count:<=9007199254740992", &[0]),
            ("own.count:>18446744073709551614", &[2]),
            ("own.count:>18446744073709551615", &[]),
        ],
    );
    let (_, writer, _dir) = indexed(records);
    let kind =
        AggregationKind::Terms { field: "own.count".to_owned(), size: 10, order: TermsOrder::Key, min_count: 1, missing: None };
    let request = SearchRequest { aggregations: vec![("all".to_owned(), kind.into())], ..SearchRequest::new(Query::All) };
    let found = writer.searcher().search(&request, &limits()).expect("searches");
    let keys: Vec<&str> = found.aggregations["all"].buckets.iter().map(|b| b.key.as_str()).collect();
    assert_eq!(keys, ["9007199254740992", "9007199254740993", "18446744073709551614", "18446744073709551615"]);
}

/// Records as devices write them, and the same in the usual form of each character, in small letters.
const JAPANESE: &[(&str, &str)] = &[
    ("佐々木課長が総務課Aで〆切を確認", "佐々木課長が総務課aで〆切を確認"),
    ("第3課のﾛｸﾞｲﾝ失敗", "第3課のログイン失敗"),
    ("Ａ社 サーバー停止 ＷＥＢ０１", "a社 サーバー停止 web01"),
    ("か\u{3099}めんロック ハ\u{309a}ス", "がめんロック パス"),
    ("霞ヶ丘一〇〇号：個人番号", "霞ヶ丘一〇〇号:個人番号"),
    ("人人人番号 data社", "人人人番号 data社"),
];

/// The records that have `asked`, by looking at each place. Letters and digits without a wide character or a wildcard beside them are whole words.
fn scan_japanese(asked: &str, (open_before, open_behind): (bool, bool)) -> Vec<u64> {
    let narrow = |c: char| c.is_ascii_alphanumeric();
    let holds = |text: &str| {
        text.match_indices(asked).any(|(at, _)| {
            let (before, behind) = (&text[..at], &text[at + asked.len()..]);
            (open_before || !(asked.starts_with(narrow) && before.ends_with(narrow)))
                && (open_behind || !(asked.ends_with(narrow) && behind.starts_with(narrow)))
        })
    };
    (0..).zip(JAPANESE).filter(|(_, (_, text))| holds(text)).map(|(at, _)| at).collect()
}

#[test]
fn every_part_of_a_japanese_text_is_found_in_whichever_form_it_was_written() {
    let records: Vec<Record> = JAPANESE.iter().map(|(raw, _)| (*raw, &[] as _)).collect();
    let mut asked = std::collections::BTreeMap::new();
    for (raw, usual) in JAPANESE {
        // As it was written, where that is one character for one.
        let written = if raw.chars().count() == usual.chars().count() { raw } else { usual };
        let (written, usual): (Vec<char>, Vec<char>) = (written.chars().collect(), usual.chars().collect());
        for start in 0..usual.len() {
            for end in start + 1..=usual.len().min(start + 5) {
                let part = String::from_iter(&usual[start..end]);
                if part.chars().all(char::is_alphanumeric) {
                    for text in [part.clone(), String::from_iter(&written[start..end])] {
                        for (query, open) in [
                            (text.clone(), (false, false)),
                            (format!("message:{text}"), (false, false)),
                            (format!("*{text}"), (true, false)),
                            (format!("message:{text}*"), (false, true)),
                            (format!("*{text}*"), (true, true)),
                        ] {
                            asked.insert(query, scan_japanese(&part, open));
                        }
                    }
                }
            }
        }
    }
    asked.extend([("ﾛｸﾞｲﾝ失敗".to_owned(), vec![1]), ("\"か\u{3099}めん\"".to_owned(), vec![3])]);
    assert!(
        asked.len() > 1000
            && ["第3課", "*社", "〆切", "message:A", "Ａ社", "message:個人番号*"].iter().all(|q| asked.contains_key(*q))
    );
    let cases: Vec<(&str, &[u64])> = asked.iter().map(|(query, found)| (query.as_str(), found.as_slice())).collect();
    check(&records, &ours, &cases);
    check(&records, &lucene, &cases);
}

#[test]
fn values_are_the_same_in_whichever_form_they_were_written() {
    let records: &[Record] = &[
        ("", &[("user.name", "ﾀﾛｳ１"), ("own.place", "か\u{3099}ん")]),
        ("", &[("user.name", "タロウ1"), ("own.place", "がん")]),
        ("", &[("user.name", "㌔㍿"), ("own.place", "かん")]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("user.name:タロウ1", &[0, 1]),
        ("user.name:ﾀﾛｳ1", &[0, 1]),
        ("user.name:タ*１", &[0, 1]),
        ("user.name:キロ*", &[2]),
        ("own.place:がん", &[0, 1]),
        ("own.place:か\u{3099}*", &[0, 1]),
        ("own.place:か?", &[2]),
        ("own.place:>か", &[0, 1, 2]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
}

#[test]
fn a_pattern_is_of_words_one_after_the_other() {
    let records: &[Record] = &[
        ("opened C:\\Tools\\run-me.exe", &[]),
        ("sys-log started", &[("source.ip", "::1")]),
        ("subsys-logger, exempt", &[]),
        ("10.20.30.40 at 2026-04-15", &[]),
        ("from ::1 to ::17", &[]),
        ("page 1 of 17", &[]),
        ("課Alpha", &[]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("*.exe", &[0]),
        ("*\\\\run-m*.exe", &[0]),
        ("tools\\\\*", &[0]),
        ("*un-m?.ex*", &[0]),
        ("*sys-log*", &[1, 2]),
        ("sys-log*", &[1]),
        ("*sys-log", &[1]),
        ("*empt*", &[2]),
        ("message:*sys-logg*", &[2]),
        ("message:sys-l?g", &[1]),
        ("10.20.*", &[3]),
        ("*.40", &[3]),
        ("10.*.40", &[3]),
        ("2026-*", &[3]),
        ("*課al*", &[6]),
        ("::1", &[4]),
        ("::17", &[4]),
        ("1", &[4, 5]),
        ("message:/^SYS$/", &[1]),
        ("message:/Log/", &[1, 2]),
        ("message:/^[0-9]+\\.20\\./", &[3]),
    ];
    check(records, &ours, cases);
    for text in [
        "run-*.exe",
        "課*al",
        "a*課",
        "*.*",
        "message:*",
        "message:/run me/",
        "message:/C:\\\\/",
        "message:/個人番号/",
        "message:課?b",
    ] {
        match query::parse(text, now()) {
            Err(error) => assert_eq!(error.position, if text.starts_with("message:") { 8 } else { 0 }, "{text}: {error}"),
            Ok(query) => assert!(text == "message:*", "{query:?}"),
        }
    }
}

#[test]
fn japanese_is_found_by_one_character_and_with_wildcards_at_its_ends() {
    let records: &[Record] = &[("住民税課の端末でログイン失敗", &[]), ("会社", &[]), ("社会保険 課", &[]), ("login", &[])];
    let cases: &[(&str, &[u64])] = &[
        ("課", &[0, 2]),
        ("社", &[1, 2]),
        ("税", &[0]),
        ("ログイン*", &[0]),
        ("*民税*", &[0]),
        ("*社", &[1, 2]),
        ("NOT 社*", &[0, 3]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
    for text in ["住*税", "税?課", "a*税", "税*b"] {
        assert_eq!(query::parse(text, now()).expect_err(text).position, 0, "{text}");
    }
}
