//! What people write: rules, zone policies, queries. An attacker writes none of them, but who may write one shall not stop the program.

use std::sync::Arc;

use event::Time;
use index::Matcher;
use rules::cases::batch_of;
use rules::policy::{Policy, diff};
use rules::{Detector, LoadOptions, load, matches_plainly};

use crate::readers::Target;

/// What rules and queries are asked about.
const EVENTS: [&str; 3] = [
    r#"{"f":"abc","g":1,"h":"abc","k":"10.1.1.1","source.ip":"192.0.2.1","message":"a b c"}"#,
    r#"{"f":["a","b"],"m":"x /x","l":null,"source.port":443,"user.name":"Taro"}"#,
    "{}",
];

pub(crate) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "rule",
            seeds: seeds(include_str!("../../../rules/tests/fuzz/seed.yaml")),
            run: Box::new(|bytes| rule(&String::from_utf8_lossy(bytes))),
        },
        Target {
            name: "policy",
            seeds: seeds(include_str!("../../../deploy/policy/alpha-prime.yaml")),
            run: Box::new(|bytes| policy(&String::from_utf8_lossy(bytes))),
        },
        Target {
            name: "query",
            seeds: QUERIES.iter().map(|query| query.as_bytes().to_vec()).collect(),
            run: Box::new(|bytes| query(&String::from_utf8_lossy(bytes))),
        },
    ]
}

fn seeds(text: &str) -> Vec<Vec<u8>> {
    text.split("\n---\n").map(|part| part.as_bytes().to_vec()).chain([text.as_bytes().to_vec()]).collect()
}

/// Each part of the query language.
const QUERIES: [&str; 8] = [
    "user.name:taro AND NOT source.ip:10.0.0.0/8",
    "\"a phrase\" OR message:/a(b|c)+/",
    "source.port:>=443 (a OR -b) k:*",
    "event.created:[now-1h TO now}",
    "f:a* g:(1 OR 2) h:\"x y\"~2",
    "k:2001:db8::/32 l:null",
    "パスワード AND m:x?z",
    "!a && b || c",
];

/// It is loaded or refused with reasons, and what is loaded matches as the plain form does.
fn rule(text: &str) {
    let (set, problems) = load(&[("fuzzed".to_owned(), text.to_owned())], &LoadOptions::default());
    assert!(problems.iter().all(|problem| !problem.reason.is_empty() && problem.line >= 1), "{problems:?}");
    let set = Arc::new(set);
    let batch = batch_of(&EVENTS).expect("objects");
    let mut found = Vec::new();
    Detector::new(set.clone()).scan(&batch, &mut found);
    for (row, event) in batch.iter().enumerate() {
        let compiled: Vec<u32> = found.iter().filter(|found| found.row as usize == row).map(|found| found.rule).collect();
        assert_eq!(compiled, matches_plainly(&set, event), "event {row}");
    }
}

/// It is refused with reasons, or is a policy that differs in nothing from itself.
fn policy(text: &str) {
    match Policy::parse(text) {
        Ok((policy, _)) => assert!(diff(&policy, &policy).is_empty()),
        Err(problems) => assert!(!problems.is_empty()),
    }
}

/// It is refused at a place within it, or can be asked of any event.
fn query(text: &str) {
    match index::query::parse(text, Time::from_unix_s(1_775_001_600)) {
        Ok(query) => {
            let matcher = Matcher::new(query);
            for event in batch_of(&EVENTS).expect("objects").iter() {
                std::hint::black_box(matcher.matches(event));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
