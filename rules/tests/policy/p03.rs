//! The proof, and what two policies decide differently.

use std::net::IpAddr;

use event::Time;
use proptest::prelude::*;
use rules::policy::{Change, Communication, Decision, Policy, diff};

use crate::records::POLICY;

/// A line of a generated policy: zones, protocol, ports.
type Cell = (usize, usize, bool, u16, u16);

fn policy_of(cells: &[Cell]) -> String {
    let mut text = String::from("zones:\n");
    for zone in 0..4 {
        let body = if zone == 3 { "rest: true".to_owned() } else { format!("cidr: [10.{zone}.0.0/16]") };
        text.push_str(&format!("  z{zone}: {{{body}}}\n"));
    }
    text.push_str("allow:\n");
    for (from, to, udp, low, high) in cells {
        let protocol = if *udp { "udp" } else { "tcp" };
        text.push_str(&format!("  - {{from: z{from}, to: z{to}, service: [{protocol}/{low}-{high}]}}\n"));
    }
    text
}

proptest! {
    /// A policy of which one cell was changed differs in that cell, and where it differs the verdict does, and nowhere else.
    #[test]
    fn p03_the_mutation_of_one_cell_is_noticed(
        cells in prop::collection::vec((0usize..4, 0usize..4, any::<bool>(), 0u16..50, 0u16..9), 1..9),
        which in any::<prop::sample::Index>(),
        (edge, up) in (0u8..3, any::<bool>()),
    ) {
        // One line a pair and protocol, so that none decides what another does.
        let mut seen = std::collections::BTreeSet::new();
        let lines: Vec<Cell> = cells
            .into_iter()
            .filter(|c| c.0 != c.1 && seen.insert((c.0, c.1, c.2)))
            .map(|(from, to, udp, low, more)| (from, to, udp, low + 1, low + 1 + more))
            .collect();
        prop_assume!(!lines.is_empty());
        let at = which.index(lines.len());
        let mut mutant = lines.clone();
        let (from, to, udp, low, high) = &mut mutant[at];
        match (edge, up) {
            (0, true) => *low -= 1,
            (0, false) if *low < *high => *low += 1,
            (1, true) => *high += 1,
            (1, false) if *low < *high => *high -= 1,
            _ => *udp = !*udp,
        }
        let (from, to) = (*from, *to);
        prop_assume!(mutant.iter().filter(|c| (c.0, c.1, c.2) == (mutant[at].0, mutant[at].1, mutant[at].2)).count() == 1);
        let (a, b) = (Policy::parse(&policy_of(&lines)).expect("valid").0, Policy::parse(&policy_of(&mutant)).expect("valid").0);
        prop_assert_ne!(&a.sha256, &b.sha256);
        let changes = diff(&a, &b);
        prop_assert!(!changes.is_empty());
        let address = |zone: usize| IpAddr::from([if zone == 3 { 11 } else { 10 }, zone as u8, 0, 1]);
        for (x, y) in (0..4).flat_map(|x| (0..4).map(move |y| (x, y))).filter(|(x, y)| x != y) {
            for (protocol, name) in [(6u8, "tcp"), (17, "udp")] {
                for port in 0..70u16 {
                    let c = Communication { source: address(x), destination: address(y), protocol: Some(protocol), port: Some(port), time: Time::UNKNOWN };
                    let allowed = |p: &Policy| matches!(p.decide(&c), Decision::Allowed(_));
                    let told = changes.iter().any(|change| matches!(change, Change::Service { from, to, service, .. }
                        if *from == format!("z{x}") && *to == format!("z{y}") && covers(service, name, port)));
                    prop_assert_eq!(allowed(&a) != allowed(&b), told, "{} -> {} {}/{}: {:?}", x, y, name, port, &changes);
                    prop_assert!(allowed(&a) == allowed(&b) || (x, y) == (from, to));
                }
            }
        }
        prop_assert_eq!(diff(&a, &a), []);
    }
}

fn covers(service: &str, protocol: &str, port: u16) -> bool {
    let Some((name, ports)) = service.split_once('/') else { return service == protocol };
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    name == protocol && (low.parse().expect("a port")..=high.parse().expect("a port")).contains(&port)
}

#[test]
fn p03_a_prefix_that_changes_its_zone_is_noticed() {
    let moved = POLICY.replace("10.9.1.0/24", "10.9.1.0/25");
    let (a, b) = (Policy::parse(POLICY).expect("valid").0, Policy::parse(&moved).expect("valid").0);
    let expected = Change::Zone {
        first: "10.9.1.128".to_owned(),
        last: "10.9.1.255".to_owned(),
        before: "sanitiser".to_owned(),
        after: "outside".to_owned(),
    };
    assert_eq!(diff(&a, &b), [expected]);
    let longer = POLICY.replace("until: 2026-04-01", "until: 2027-03-31");
    let [Change::Service { from, to, service, .. }] = &diff(&a, &Policy::parse(&longer).expect("valid").0)[..] else {
        panic!("one change")
    };
    assert_eq!((from.as_str(), to.as_str(), service.as_str()), ("mynumber", "lgwan", "tcp/1433"));
}

/// What zones are called and which clause speaks of them, and the model.
#[test]
fn p03_what_a_zone_is_called_is_compared() {
    let a = Policy::parse(POLICY).expect("valid").0;
    let named = |zone: &str, before: &str, after: &str| Change::Named {
        zone: zone.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    for (find, put, change) in [
        (
            "sanitiser: {cidr",
            "sanitiser: {name: {en: Sanitiser, ja: 無害化}, cidr",
            named("sanitiser", "no name", "en Sanitiser, ja 無害化"),
        ),
        ("\"6(3)②\"", "\"6(3)③\"", named("lgwan", "clause 6(3)②", "clause 6(3)③")),
        ("clause: \"6(3)②\"", "name: {ja: 行政}", named("lgwan", "clause 6(3)②", "ja 行政")),
        ("zones:", "zones:\n  spare: {cidr: [192.0.2.0/24], clause: \"8\"}", named("spare", "nothing", "clause 8")),
        ("model: alpha", "model: beta", Change::Model { before: "alpha".to_owned(), after: "beta".to_owned() }),
    ] {
        let text = POLICY.replacen(find, put, 1);
        let b = Policy::parse(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).0;
        let changes = diff(&a, &b).into_iter().filter(|change| !matches!(change, Change::Zone { .. }));
        assert_eq!(changes.collect::<Vec<_>>(), [change]);
    }
}

/// A zone of another name and the same addresses is told as that, wherever it stands; what changes beside is told under the new name.
#[test]
fn p03_a_renamed_zone_is_the_same_zone() {
    let seen = format!("{POLICY}observe:\n  - {{sensor: fw-7, cells: [[lgwan, \"*\"], [outside, sanitiser]], heartbeat: 5m}}\n");
    let a = Policy::parse(&seen).expect("valid").0;
    let renamed = |before: &str, after: &str| Change::Renamed { before: before.to_owned(), after: after.to_owned() };
    let against = |text: &str| diff(&a, &Policy::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).0);
    let both = seen.replace("lgwan", "gyosei").replace("outside", "world").replace("sanitiser", "clean");
    assert_eq!(against(&both), [renamed("lgwan", "gyosei"), renamed("outside", "world"), renamed("sanitiser", "clean")]);
    let more = both.replace("{from: clean, to: internet, service: [tcp/443]}", "{from: clean, to: internet, service: [tcp/444]}");
    let told = against(&more);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(
        told[3..].iter().all(|change| matches!(change, Change::Service { from, to, .. } if from == "clean" && to == "internet"))
    );
    // Other addresses are another zone; so is a name that the first policy has for others.
    let moved = against(&seen.replace("sanitiser", "clean").replace("10.9.1.0/24", "10.9.1.0/25"));
    assert!(!moved.iter().any(|change| matches!(change, Change::Renamed { .. })), "{moved:?}");
    let swapped = against(&seen.replace("lgwan", "§").replace("seccloud", "lgwan").replace('§', "seccloud"));
    assert!(swapped.len() > 2 && !swapped.iter().any(|change| matches!(change, Change::Renamed { .. })), "{swapped:?}");
}

/// Who answers for a line, why, and what a sensor sees are part of what is in force.
#[test]
fn p03_what_a_line_is_for_and_what_is_seen_is_compared() {
    let seen = format!("{POLICY}observe:\n  - {{sensor: fw-7, address: [192.0.2.7], cells: [[lgwan, \"*\"]], heartbeat: 5m}}\n");
    let a = Policy::parse(&seen).expect("valid").0;
    let nothing = Policy::parse(POLICY).expect("valid").0;
    let sensor = |before: &str, after: &str| Change::Sensor {
        sensor: "fw-7".to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    assert_eq!(diff(&a, &nothing), [sensor("sees lgwan → * from 192.0.2.7/32 every 5m", "nothing")]);
    let slower = Policy::parse(&seen.replace("5m", "9m").replace("\"*\"", "outside")).expect("valid").0;
    let said = sensor("sees lgwan → * from 192.0.2.7/32 every 5m", "sees lgwan → outside from 192.0.2.7/32 every 9m");
    assert_eq!(diff(&a, &slower), [said]);
    for (find, put) in [("owner: o", "owner: 税務課"), ("R8-014", "R8-015"), ("owner: o", "owner: o, reason: 統合宛名連携")]
    {
        let other = Policy::parse(&seen.replace(find, put)).expect("valid").0;
        let [Change::Service { before, after, .. }] = &diff(&a, &other)[..] else { panic!("one change") };
        assert_eq!(before.matches('(').count(), 1, "{before}");
        assert_ne!(before, after);
    }
}
