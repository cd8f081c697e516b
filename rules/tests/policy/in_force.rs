//! Another policy comes into force while conversations, sessions and behaviours go on.

use rules::policy::Verdict;
use rules::{LoadOptions, load};

use crate::records::{POLICY, Ran, Record, flow, groups, rules_of, run_under};

/// The policy with a zone, lines and a remark more at its beginning, so that no zone has its number and no invariant its line; and without the
/// line that lets the Internet zone ask the cloud's proxy.
fn other() -> String {
    let more = "zones:\n  # Their own network.\n  school:    {cidr: [10.7.0.0/16]}";
    let text = POLICY.replacen("zones:", more, 1).replace("tcp/8080, ", "");
    assert_ne!(text.lines().count(), POLICY.lines().count());
    text
}

/// Runs records under [`POLICY`] and, from the record of a number on, under the other one: each a batch, with and without interruptions.
fn swapped(from: u64, records: &[Record], what: &[&str]) -> [Ran; 2] {
    let policies = [(1, POLICY), (from, &*other())];
    [false, true].map(|interrupted| run_under(&rules_of(what), &policies, records.iter().cloned(), 1, interrupted))
}

/// What was said stands; what is told of the same conversation afterwards is judged by the policy of then.
#[test]
fn a_conversation_is_judged_by_the_policy_of_its_records() {
    let (from, to) = (("10.3.16.9", 50_000), ("172.20.1.10", 8080));
    let ends = flow(400_000, ("10.3.16.9", 50_001), ("172.20.1.10", 53));
    // Told each minute; the other policy is there when the watermark has passed the third of them.
    let mut records: Vec<Record> = (0..6).map(|minute| flow(minute * 60_000, from, to)).collect();
    records.push(ends);
    for ran in swapped(5, &records, &["zone-violation"]) {
        assert_eq!(groups(&ran), [["10.3.16.9", "172.20.1.10"]]);
        let told = |verdict| ran.cells.get(&("internet".to_owned(), "seccloud".to_owned(), verdict)).copied();
        assert_eq!((told(Verdict::Kept), told(Verdict::Violation)), (Some(1), Some(2)), "{:?}", ran.cells);
    }
}

/// A session through the sanitiser whose legs are told before and after is whole; a leg that has no other is told with its zones' names.
#[test]
fn legs_are_known_over_a_change_of_the_policy() {
    let first = flow(0, ("10.2.16.9", 50_000), ("10.9.1.20", 443));
    let second = flow(20_000, ("10.9.1.21", 50_000), ("10.3.10.8", 443));
    let between = |ms| flow(ms, ("10.3.16.9", 50_000), ("172.20.1.10", 53));
    // The first leg is taken when the watermark has passed it.
    for (records, alone) in [
        (vec![first.clone(), between(40_000), Record { delay_ms: 29_000, ..second.clone() }, between(7_200_000)], false),
        (vec![first, between(40_000), between(50_000), between(7_200_000)], true),
        (vec![second, between(60_000), between(70_000), between(7_200_000)], true),
    ] {
        for ran in swapped(3, &records, &["zone-sanitiser"]) {
            assert_eq!(ran.new.len(), usize::from(alone), "{:?}", groups(&ran));
            for alert in &ran.new {
                let zones = ["zone.source", "zone.destination"].map(|field| &alert.fields[field]);
                let lgwan = &alert.group["source.ip"] == "10.2.16.9";
                assert_eq!(zones, if lgwan { ["lgwan", "sanitiser"] } else { ["sanitiser", "internet"] });
            }
        }
    }
}

/// A session that goes on was explained by the policy of then: its next record is no leg of its own.
#[test]
fn a_leg_that_goes_on_over_a_change_is_no_other_leg() {
    let first = |minute: i64| Record { start_ms: 0, ..flow(minute * 60_000, ("10.2.16.9", 50_000), ("10.9.1.20", 443)) };
    let second = flow(5_000, ("10.9.1.21", 50_000), ("10.3.10.8", 443));
    let end = flow(14_400_000, ("10.3.16.9", 50_000), ("172.20.1.10", 53));
    // Told each minute for an hour, so that the second leg is long forgotten.
    for from in [4, 40] {
        let records: Vec<Record> = [second.clone()].into_iter().chain((1..60).map(first)).chain([end.clone()]).collect();
        for ran in swapped(from, &records, &["zone-sanitiser"]) {
            assert!(ran.new.is_empty(), "{from}: {:?}", ran.new.iter().map(|alert| &alert.explanation).collect::<Vec<_>>());
        }
    }
}

/// Half of a scan before, half after.
#[test]
fn behaviours_keep_what_they_have_seen() {
    let text = "title: scan\nlevel: high\nbehaviour: {type: scan, class: inside, ports: 20}\n";
    let (set, problems) = load(&[("own".to_owned(), text.to_owned())], &LoadOptions::default());
    assert_eq!(problems, []);
    let set = std::sync::Arc::new(set);
    let probe =
        |n: u16| Record { flags: Some(0x02), ..flow(i64::from(n) * 900, ("10.2.16.9", 40_000 + n), ("10.2.16.10", 1 + n)) };
    let runs = |count: u16, policies: &[(u64, &str)]| {
        [false, true].map(|interrupted| run_under(&set, policies, (0..count).map(probe), 1, interrupted).new.len())
    };
    let both = [(1, POLICY), (14, &*other())];
    assert_eq!((runs(15, &both), runs(28, &both)), ([0, 0], [1, 1]));
    assert_eq!(runs(28, &both[..1]), [1, 1], "as without the change");
}
