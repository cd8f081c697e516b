//! The cases of every description, and what the language itself promises.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use event::{BatchBuilder, Content, Frame, FrameHead, LogRange, Time, Transport};

use super::file::{File, Scalar};
use super::*;
use crate::decode::DecodeSettings;
use crate::decode::grams::Grams;
use crate::decode::syslog::{self, Header};
use crate::decode::text::TextDecoder;

/// What `raw` becomes, as text by field; several values joined by `|`.
fn event(decoder: &mut TextDecoder, raw: &str) -> BTreeMap<String, String> {
    let mut builder = BatchBuilder::default();
    let head = FrameHead::new(Transport::File, Content::Text);
    decoder.decode_as(Frame { head, bytes: raw.as_bytes() }, None, &mut builder);
    let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
    let event = batch.event(0);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (field, value) in event.cells() {
        let text = value.to_string();
        found.entry(field.name().to_owned()).and_modify(|all| *all = format!("{all}|{text}")).or_insert(text);
    }
    found.insert("mihari.format".to_owned(), event.format().name().to_owned());
    if event.time() != Time::UNKNOWN {
        found.insert("@timestamp".to_owned(), event.time().to_string());
    }
    let source = event.log_source().parts();
    for (name, part) in [("product", source.product), ("category", source.category), ("service", source.service)] {
        found.extend(part.map(|part| (format!("logsource.{name}"), part.to_owned())));
    }
    found
}

fn settings(zone: &str) -> DecodeSettings {
    DecodeSettings::new(zone, "2026-04-01T00:00:00Z".parse().unwrap()).unwrap()
}

/// Runs the cases of `files`, sent from `zone`; what did not come as expected.
fn problems(files: &[(String, String)], zone: &str) -> Vec<String> {
    let mut settings = settings(zone);
    settings.add_formats(files).unwrap();
    let mut decoder = TextDecoder::new(&Arc::new(settings));
    let mut problems = Vec::new();
    for (path, text) in files {
        let file: File = read(path, text).unwrap();
        if file.cases.is_empty() {
            problems.push(format!("{path}: no cases"));
        }
        for case in &file.cases {
            let got = event(&mut decoder, &case.raw);
            let mut check = |field: &str, expected: Option<String>| {
                let found = got.get(field);
                if found != expected.as_ref() {
                    problems.push(format!("{path}: {:?}\n    {field}: expected {expected:?}, found {found:?}", case.raw));
                }
            };
            check("mihari.format", Some(case.format.clone().unwrap_or_else(|| file.name.clone())));
            for (field, values) in &case.expect {
                let expected: Vec<String> = values.iter().filter(|v| **v != Scalar::Null(())).map(Scalar::to_string).collect();
                check(field, (!expected.is_empty()).then(|| expected.join("|")));
            }
        }
    }
    problems
}

#[test]
fn the_cases_of_every_description_hold() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("formats")).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    assert_eq!(files.len(), SHIPPED.len(), "every file is built in");
    let problems_of = |files: &[(String, String)], zone: &str| {
        let problems = problems(files, zone);
        assert!(problems.is_empty(), "from {zone}: {}", problems.join("\n"));
    };
    problems_of(&files, "UTC");
    files.retain(|(path, text)| read(path, text).unwrap().zone.is_some());
    assert!(!files.is_empty());
    problems_of(&files, "Asia/Tokyo");
}

#[test]
fn the_language_does_what_its_page_says() {
    let file = r#"
name: trial
about: every part of the language
source: {product: trial}
native: trial.
set: {event.category: [network, session], event.kind: event}
parts:
  account: ['{user.domain}\\{user.name}', '{user.name}@{user.domain}', '{user.name}']
keys:
  src: source:endpoint
  who: user.name:=account
  act: event.action:text lower
  size: [source.bytes:int, network.bytes:int]
values:
  act: {deny: {event.outcome: failure, event.type: denied}, '*': {event.outcome: unknown}}
  proto: {6: {network.transport: tcp}}
lines:
  - '%one {@timestamp:time} ((user|account)) {user.name:last} from {source.ip:ip}[[ port {source.port:int}]][[ (reason {event.reason})]]'
  - {line: '%two {*:pairs}', has: [src], set: {event.module: two}}
  - {line: '%three {*:csv separator=;}', columns: [src, _, who]}
  - {line: '%four {*:json}', is: {act: [Deny, Allow]}}
  - '%five {.a:word}{ }[{.b:quoted}] {.c:hex} {event.duration:milliseconds}ms {source.mac:mac}, \{{.d:list separator=|}\}'
cases:
  - raw: '%one Apr  1 09:00:00 user taro from office from 2001:db8::1 port 22 (reason too late)'
    expect: {user.name: taro from office, source.ip: 2001:db8::1, source.port: 22, event.reason: too late,
             '@timestamp': 2026-04-01T09:00:00Z, event.category: [network, session], logsource.product: trial}
  - raw: '%one 2026-04-01 09:00:00 +0900 account taro from 192.0.2.1'
    expect: {user.name: taro, source.port: null, '@timestamp': 2026-04-01T00:00:00Z, event.reason: null}
  # Nothing of a line is written that it does not fit as a whole.
  - raw: '%one Apr  1 09:00:00 user taro from 192.0.2.1 port x'
    format: unknown
    expect: {source.port: null, event.module: null, mihari.flags: guessed}
  - raw: '%two src=192.0.2.1:80 who=CITY\taro act=DENY size=7 proto=6 more="x y"'
    expect: {source.ip: 192.0.2.1, source.port: 80, user.domain: CITY, user.name: taro, event.action: deny, event.outcome: failure,
             event.type: denied, source.bytes: 7, network.bytes: 7, network.transport: tcp, trial.more: x y, trial.act: DENY,
             event.module: two}
  - raw: '%three [2001:db8::9]:443;x;"taro@city ""a"""'
    expect: {source.ip: 2001:db8::9, source.port: 443, user.name: taro, user.domain: city "a"}
  - raw: '%four {"act":"Allow","who":"jiro","deep":{"x":[1,2]}}'
    expect: {event.action: allow, event.outcome: unknown, user.name: jiro, trial.deep.x: [1, 2]}
  # No line of it fits: what stands behind the word is an object of nobody known.
  - raw: '%four {"act":"Other","who":"jiro"}'
    format: json
    expect: {act: Other, trial.act: null}
  - raw: '%five one   ["say \"two\""] 0x1F 1.5ms 00:11:22:aa:bb:cc, {p| q}'
    expect: {trial.a: one, trial.b: say "two", trial.c: 31, event.duration: 1500000, source.mac: 00:11:22:aa:bb:cc, trial.d: [p, q]}
"#;
    let problems = problems(&[("trial".to_owned(), file.to_owned())], "UTC");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, reason) in [
        ("lines: ['{a}{b}']", "needs a literal or the end"),
        ("lines: ['{a']", "a brace is not closed"),
        ("lines: ['[[a']", "a group is not closed by ]]"),
        ("lines: ['{a:nothing}']", "no type is named"),
        ("lines: ['{_:=nothing}']", "no parts are named"),
        ("lines: ['{a:int loud}']", "int knows no word"),
        ("base: [nothing]", "no description is named"),
        ("surplus: 1", "unknown field"),
        ("zone: Nowhere", "no time zone is named"),
        ("keys: {a: '@timestamp'}", "@timestamp needs a type of time"),
    ] {
        let text = format!("name: trial\n{text}\n");
        let error = Library::with([("trial", text.as_str())].into_iter()).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_line_that_fits_is_asked() {
    /// Each record is held against its own description and each one of so many others.
    const OTHERS: usize = 16;
    let settings = settings("UTC");
    let library = Library::shipped();
    let files: Vec<File> = SHIPPED.iter().map(|(path, text)| read(path, text).unwrap()).collect();
    let (mut hits, mut found, mut fitting) = (Vec::new(), Vec::new(), 0);
    for (nth, (case, name)) in files.iter().flat_map(|file| file.cases.iter().map(|case| (case, &file.name))).enumerate() {
        for header in [Header { message: &case.raw, ..Header::default() }, syslog::header(&case.raw)] {
            let context = Context {
                record: &case.raw,
                header,
                zone: &settings.time_zone,
                reference: settings.reference,
                grams: Grams::new(),
                first_time: FirstTime::default(),
            };
            let message = trimmed(header.message);
            let Some(first) = message.bytes().next() else { continue };
            for (_, plan) in library.plans.iter().enumerate().filter(|(at, plan)| (at + nth) % OTHERS == 0 || plan.name == *name)
            {
                let mut asked = Vec::new();
                plan.candidates(first).find(&context, false, &mut found, |at| {
                    asked.push(usize::from(at));
                    false
                });
                for (at, line) in plan.lines.iter().enumerate() {
                    let fits = line.template.matches(message, &context.first_time, &mut hits)
                        && writer::accepts(line, message, &hits, None);
                    assert!(!fits || asked.contains(&at), "{}, line {at}: {message}", plan.name);
                    fitting += usize::from(fits);
                }
            }
        }
    }
    assert!(fitting > files.len());
}

#[test]
fn matching_stays_linear() {
    // Every literal stands everywhere, no capture can be right: a matcher that goes back would not come to an end.
    let text = "name: trial\nlines: ['%x {a}a{b}a{c}a{d}a{e}a{f}a{g}a[[{h}a[[{i}a]]]]b']\n";
    let mut settings = settings("UTC");
    settings.add_formats(&[("trial".to_owned(), text.to_owned())]).unwrap();
    let mut decoder = TextDecoder::new(&Arc::new(settings));
    let got = event(&mut decoder, &format!("%x {}", "a".repeat(200_000)));
    assert_eq!(got["mihari.format"], "unknown");
}

#[test]
fn a_time_is_known_again_as_it_is_read_alone() {
    use crate::decode::stamp;
    for (text, known) in [
        ("2026-04-01T09:00:00.5+09:00 x", true),
        ("2026-04-01 09:00:00 UTC x", true),
        ("Apr  1 09:00:00 2026 x", true),
        ("Apr  1 09:00:00 GMT x", true),
        ("04/01/2026 09:00:00 PM x", true),
        ("2026-04-01 09:00:00:123 x", false),
    ] {
        let first = FirstTime::default();
        first.behind(text);
        let (_, rest) = stamp::any(text).unwrap();
        let time = &text[..text.len() - rest.len()];
        let alone = stamp::any(time).map(|(stamp, _)| stamp);
        assert_eq!(first.stamp(time), alone.filter(|_| known), "{text}");
        assert_eq!(first.stamp(&text[..1]), None);
    }
}
