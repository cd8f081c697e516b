//! What the shipped behaviours make of traffic that they were not written against: attacks and near misses made anew from random numbers,
//! told by five kinds of sensors. Every attack is found in every form; a working day without any gives at most an alert in 10,000
//! connections. Prints recall by kind with `-- --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

mod attacks;
mod day;
mod flow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{BatchBuilder, Content, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport};
use flow::{Dice, Flow, Form, Record};
use rules::{Behaviour, BehaviourOptions, LoadOptions, RuleSet, Site, load, pack};

const LATENESS_NS: i64 = 30_000_000_000;

/// The shipped behaviours that watch flows.
fn shipped() -> Arc<RuleSet> {
    let files: Vec<(String, String)> = pack()
        .iter()
        .filter(|(_, text)| text.contains("\nbehaviour:\n") && !text.contains("  type: source\n"))
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let (set, problems) = load(&files, &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

/// The alerts as they stand in the end, by id: title, group and explanation.
fn watch(set: &Arc<RuleSet>, flows: &[Flow], form: Form) -> BTreeMap<String, (String, String)> {
    let site = Arc::new(Site::new(&[], None).expect("the default"));
    let mut behaviour = Behaviour::new(set.clone(), BehaviourOptions { lateness_ns: LATENESS_NS, site });
    let source = LogSourceId::intern(LogSource { category: Some("flow"), ..LogSource::default() });
    let mut records: Vec<Record> = flows.iter().flat_map(|flow| flow.records(form)).collect();
    records.sort_by_key(|record| record.received_ns);
    let (mut out, mut offset) = (Vec::new(), 0);
    for chunk in records.chunks(256) {
        let mut builder = BatchBuilder::default();
        let first = offset + 1;
        let mut received = Time::UNKNOWN;
        for record in chunk {
            offset += 1;
            received = Time::from_unix_ns(record.received_ns);
            let head = FrameHead {
                position: Position { partition: 0, offset },
                received,
                source: Some(([192, 0, 2, 1], 2055).into()),
                ..FrameHead::new(Transport::Udp, Content::Flow)
            };
            let mut row = builder.row(&head, 0, "");
            row.log_source(source);
            record.fill(&mut row);
        }
        behaviour.advance(&builder.finish(LogRange { partition: 0, first, last: offset }, received), &mut out);
    }
    behaviour.flush(&mut out);
    let told = |change: rules::alert::AlertChange| {
        let alert = change.alert();
        (alert.id.clone(), (alert.rule.title.clone(), format!("{:?} {:?}", alert.group, alert.explanation)))
    };
    out.into_iter().map(told).collect()
}

#[test]
fn every_attack_is_found_whatever_tells_of_it() {
    let set = shipped();
    let mut missed = Vec::new();
    for (name, titles, make) in attacks::ATTACKS {
        let (mut found, mut all) = (0, 0);
        for seed in 0..4u64 {
            for form in Form::ALL {
                let flows = make(&mut Dice::new(seed * 31 + form as u64));
                let alerts = watch(&set, &flows, form);
                let told: BTreeSet<&str> = alerts.values().map(|(title, _)| title.as_str()).collect();
                all += 1;
                if titles.iter().any(|title| told.contains(title)) {
                    found += 1;
                } else {
                    missed.push(format!("{name}, seed {seed}, {form:?}: {} flows, {told:?}", flows.len()));
                }
            }
        }
        println!("{name}: {found} of {all}");
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn a_day_without_attacks_is_quiet() {
    let set = shipped();
    let (mut connections, mut alerts) = (0, Vec::new());
    for seed in 0..2u64 {
        for form in Form::ALL {
            let flows = day::day(&mut Dice::new(1000 + seed * 31 + form as u64));
            connections += flows.len();
            for (title, told) in watch(&set, &flows, form).into_values() {
                alerts.push(format!("seed {seed}, {form:?}: {title} {told}"));
            }
        }
    }
    println!("{} alerts in {connections} connections of {} days", alerts.len(), 2 * Form::ALL.len());
    alerts.iter().for_each(|alert| println!("    {alert}"));
    assert!(alerts.len() * 10_000 <= connections, "{alerts:#?}");
}
