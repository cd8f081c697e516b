//! What a query says is what is found: each case names the records, read off by eye, not by code that the search shares.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Batch, BatchBuilder, Content, EventId, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use index::{AggregationKind, IndexOptions, Matcher, Messages, Query, SearchLimits, SearchRequest, TermsOrder, Writer, query};

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

/// The messages of events, as a journal gives them.
struct Kept(HashMap<EventId, Vec<String>>);

impl Kept {
    fn of(batch: &Batch) -> Arc<Kept> {
        let texts = |e: event::EventRef<'_>| e.all(FieldId::MESSAGE).map(|value| value.to_string()).collect();
        Arc::new(Kept(batch.iter().map(|e| (e.id(), texts(e))).collect()))
    }
}

impl Messages for Kept {
    fn messages(&self, id: EventId) -> std::io::Result<Vec<String>> {
        Ok(self.0.get(&id).cloned().unwrap_or_default())
    }
}

/// The numbers (from 0) of the records that each query finds, in the index and in the stream; each query is as `read` reads it.
fn check(records: &[Record], read: &dyn Fn(&str) -> Query, cases: &[(&str, &[u64])]) {
    let (batch, writer, _dir) = indexed(records);
    let searcher = writer.searcher().with_messages(Kept::of(&batch));
    for (text, expected) in cases {
        let asked = read(text);
        let matcher = Matcher::new(asked.clone());
        let streamed: Vec<u64> = batch.iter().filter(|e| matcher.matches(*e)).map(|e| e.id().frame.offset - 1).collect();
        assert_eq!(streamed, *expected, "{text}: {asked:?}");
        let found = searcher.search(&SearchRequest::new(asked), &limits()).expect(text);
        assert!(found.complete, "{text}");
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
        ("user.name:\"a b\"~2", 15),
        ("\"failed root\"~x", 14),
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
    let kind = AggregationKind::Terms {
        field: "own.count".to_owned(),
        size: 10,
        order: TermsOrder::Key,
        min_count: 1,
        missing: None,
        chosen: Default::default(),
    };
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
    for (text, position) in [("課?al", 0), ("*.*", 0), ("message:課?b", 8), (&"a-*-".repeat(40), 0)] {
        assert_eq!(query::parse(text, now()).expect_err(text).position, position, "{text}");
    }
}

#[test]
fn a_star_between_words_stands_for_any_text() {
    let records: &[Record] = &[
        ("opened C:\\Tools\\run-me.exe by taro", &[]),
        ("山田が個人番号の照会を拒否 端末12号", &[]),
        ("照会した個人番号", &[]),
        ("番号番号", &[]),
        ("a.b.c c.b.a", &[]),
        ("課Alpha 失敗", &[]),
        ("端末号", &[]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("run-*.exe", &[0]),
        ("tools*.exe", &[0]),
        ("to*xe", &[0]),
        ("*ool*un*taro", &[0]),
        ("taro*run", &[]),
        ("tools\\\\*.exe", &[0]),
        ("exe-*-run", &[]),
        ("個人*照会", &[1]),
        ("照会*個人", &[2]),
        ("山田*個人番号*拒否*号", &[1]),
        ("*個人*番号*", &[1, 2]),
        ("個人*人番", &[]),
        ("番*番号", &[3]),
        ("番号*番号", &[3]),
        ("端末*号", &[1, 6]),
        ("message:*個人*拒否*", &[1]),
        ("c.*.a", &[4]),
        ("a.*.a", &[4]),
        ("b.*.b.*.b", &[]),
        ("課*alpha", &[5]),
        ("課*pha", &[5]),
        ("alp*失敗", &[5]),
        ("失*alp*", &[]),
        ("NOT 番*番号", &[0, 1, 2, 4, 5, 6]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
}

#[test]
fn words_may_be_near_each_other_and_nearly_right() {
    let records: &[Record] = &[
        ("Failed password for root from 10.0.0.1", &[("user.name", "root"), ("dns.question.name", "www.example.com")]),
        ("root has failed", &[("user.name", "toor"), ("dns.question.name", "www.exampel.com")]),
        ("failed to find any of the many words before root", &[("user.name", "admin")]),
        ("C:\\PROGRA~1 roots", &[("source.ip", "10.0.0.1")]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("\"failed root\"", &[]),
        ("\"failed root\"~1", &[]),
        ("\"failed root\"~2", &[0]),
        ("\"failed root\"~3", &[0, 1]),
        ("message:\"failed root\"~20", &[0, 1, 2]),
        ("\"root failed password\"~4", &[0]),
        ("\"failed failed\"~0", &[]),
        ("\"nosuch root\"~9", &[]),
        ("rooot~1", &[0, 1, 2]),
        ("rots~", &[3]),
        ("filed~", &[0, 1, 2]),
        ("user.name:roto~1", &[0]),
        ("user.name:roto~2", &[0]),
        ("dns.question.name:www.example.com~", &[0, 1]),
        ("NOT user.name:root~2", &[2, 3]),
    ];
    check(records, &ours, cases);
    check(records, &lucene, cases);
    check(records, &ours, &[("PROGRA~1", &[3])]);
    for text in ["source.ip:10.0.0.1~1", "source.port:80~"] {
        assert!(query::parse(text, now()).is_err(), "{text}");
    }
}

#[test]
fn operators_are_read_as_other_languages_write_them() {
    let records: &[Record] = &[
        ("a", &[("source.port", "80"), ("user.name", "root"), ("source.ip", "10.1.2.3")]),
        ("b srcip=10.1.9.9", &[("source.port", "443"), ("user.name", "taro"), ("source.ip", "192.0.2.1")]),
        ("c 2001:db8::1", &[("own.count", "5")]),
    ];
    check(
        records,
        &ours,
        &[
            ("source.port >= 100", &[1]),
            ("source.port : 80", &[0]),
            ("source.port = 80", &[0]),
            ("source.port=80", &[0]),
            ("source.port==80 OR own.count == 5", &[0, 2]),
            ("user.name != root", &[1, 2]),
            ("user.name!=root AND source.port:*", &[1]),
            ("user.name != (root OR taro)", &[2]),
            ("own.count > 4", &[2]),
            ("srcip=10.1.9.9", &[1]),
            ("10.1.0.0/16", &[0, 1]),
            ("NOT 10.1.0.0/16", &[2]),
            ("2001:db8::/32", &[]),
            ("**", &[0, 1, 2]),
            ("event.original:b", &[1]),
            ("event.original:srci*", &[1]),
            ("event.original:*", &[0, 1, 2]),
            ("_id:0-2-0", &[1]),
            ("_id:nothing", &[]),
        ],
    );
    check(records, &lucene, &[("10.1.0.0\\/16", &[0, 1]), ("event.original:b", &[1]), ("_id:0\\-2\\-0", &[1])]);
}

#[test]
fn an_expression_goes_over_the_whole_message() {
    let records: &[Record] = &[
        ("x: Failed password for root from 10.0.0.1", &[("message", "Failed password for root from 10.0.0.1")]),
        ("x: Failed password for invalid user admin", &[("message", "Failed password for invalid user admin")]),
        ("x: session opened for root", &[("message", "session opened for root")]),
        ("x: ﾛｸﾞｲﾝ失敗 利用者=山田", &[("message", "ﾛｸﾞｲﾝ失敗 利用者=山田")]),
        ("failed password of a record without a message", &[]),
    ];
    let cases: &[(&str, &[u64])] = &[
        ("message:/failed password/", &[0, 1]),
        ("message:/failed.*root/", &[0]),
        ("message:/FAILED.*(root|admin)/", &[0, 1]),
        (r"message:/for \w+ from \d+\.0\./", &[0]),
        ("message:/^failed/", &[0, 1, 4]),
        ("message:/^failed .*admin$/", &[1]),
        ("message:/for root$/", &[2]),
        ("message:/(opened|closed) for/", &[2]),
        ("message:/ログイン(失敗|成功)/", &[3]),
        ("message:/利用者=山/", &[3]),
        ("message:/roo./", &[0, 2]),
        ("message:/r.o/", &[0, 2]),
        ("NOT message:/failed.*root/", &[1, 2, 3, 4]),
        ("message:/failed.*root/ OR message:/opened.*root/", &[0, 2]),
        ("root AND message:/password.*root/", &[0]),
        ("root AND NOT message:/password.*root/", &[2]),
    ];
    check(records, &ours, cases);
    check(
        records,
        &lucene,
        &[
            ("message:/.*failed.*root.*/", &[0]),
            ("message:/failed.*root/", &[]),
            ("message:/failed.*1/", &[0]),
            ("/.*password for.*/", &[0, 1]),
            ("message:/passw.rd/", &[0, 1, 4]),
        ],
    );
    // Where a record is gone, nobody knows: the answer says so.
    let (_, writer, _dir) = indexed(records);
    let found = writer.searcher().with_messages(Arc::new(Kept(HashMap::new())));
    let found = found.search(&SearchRequest::new(ours("message:/failed.*root/")), &limits()).expect("searches");
    assert_eq!((found.complete, found.total, found.unread), (false, 0, 1));
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
    for text in ["税?課", "a?税", "税?b"] {
        assert_eq!(query::parse(text, now()).expect_err(text).position, 0, "{text}");
    }
}
