//! Legs in crowds, against the obvious form of the matching, and told by several devices.

use proptest::prelude::*;

use super::*;

fn parameters() -> Parameters {
    let node = crate::yaml::documents("type: zone\nwhat: sanitiser").into_iter().next().expect("a document");
    Parameters::read(&node.value.expect("a mapping"), &Default::default()).expect("parameters")
}

/// Milliseconds of its start and length, sanitiser's address, kibibytes, terminal, file.
type Drawn = (bool, i64, i64, u8, u16, u8, u8);

fn leg(&(is_first, start, length, at, kibibytes, terminal, file): &Drawn, source_port: u16) -> (Side, Leg) {
    let (side, at, terminal) = (if is_first { Side::First } else { Side::Second }, 100 + u128::from(at), u128::from(terminal));
    let (source, destination) = if is_first { (1 + terminal, at) } else { (at, 200) };
    let (start, end) = (start * 1_000_003, (start + length) * 1_000_003);
    let leg = Leg {
        event: EventId::default(),
        transport: 6,
        source: (source, source_port),
        destination: (destination, 443),
        from: 0,
        to: 0,
        time: end,
        start,
        end,
        bytes: u64::from(kibibytes) << 10,
        observer: 1,
        due: i64::MAX,
        behalf: if is_first || terminal > 1 { 0 } else { 1 + terminal },
        seen: ((source, source_port), (destination, 443)),
        file: u64::from(file.saturating_sub(3)),
        other: None,
        decided: false,
        over: false,
    };
    (side, leg)
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let one = (any::<bool>(), 0i64..120_000, 0i64..20_000, 0u8..3, 0u16..60_000, 0u8..4, 0u8..6);
    prop::collection::vec(one, 1..40)
}

#[test]
fn legs_of_a_crowd_are_not_compared_one_by_one_and_later_ones_are_again() {
    let (p, mut way) = (parameters(), Way::default());
    let add = |way: &mut Way, is_first: bool, start: i64, kibibytes: u16| {
        let (side, leg) = leg(&(is_first, start, 0, 0, kibibytes, 3, 0), (start % 60_000) as u16);
        (side, way.add(side, leg, &p))
    };
    for at in 0..COMPARED_MAX as i64 {
        add(&mut way, true, at, 60_000);
    }
    // What carries another amount than all of them is not explained by them, another one is when its time is over.
    let (side, odd) = add(&mut way, false, 100, 1);
    let (_, usual) = add(&mut way, false, 101, 60_000);
    for (number, explained) in [(odd, false), (usual, true)] {
        assert!(way.get(side, number).is_some_and(|leg| leg.other.is_none()) && way.is_crowded(side, number, &p));
        assert!(way.settle(side, number, &p));
        assert_eq!(way.decide(side, number), explained);
    }
    let later = 3_600_000;
    add(&mut way, true, later, 60_000);
    let [(_, paired), (_, left)] = [later + 1, later + 2].map(|at| add(&mut way, false, at, 60_000));
    assert!(way.get(side, paired).is_some_and(|leg| leg.other.is_some()));
    assert!(way.get(side, left).is_some_and(|leg| leg.other.is_none()) && !way.is_crowded(side, left, &p));
}

/// Pairs that may be made, by the places of the two legs.
fn possible(legs: &[(Side, Leg)], p: &Parameters) -> Vec<(Distance, usize, usize)> {
    let of = |side| legs.iter().enumerate().filter(move |(_, (is, _))| *is == side);
    let all = of(Side::First).flat_map(|(a, (_, first))| of(Side::Second).map(move |(b, (_, second))| (a, first, b, second)));
    all.filter_map(|(a, first, b, second)| Some((distance(((0, first), (0, second)), p)?, a, b))).collect()
}

/// The most pairs that can be made of these: each first leg takes one for which another finds another (Kuhn 1955).
fn most(pairs: &[(Distance, usize, usize)]) -> usize {
    fn takes(a: usize, pairs: &[(Distance, usize, usize)], seen: &mut BTreeSet<usize>, of: &mut BTreeMap<usize, usize>) -> bool {
        pairs.iter().filter(|pair| pair.1 == a).any(|&(_, _, b)| {
            let free = seen.insert(b) && of.get(&b).copied().is_none_or(|has| takes(has, pairs, seen, of));
            if free {
                of.insert(b, a);
            }
            free
        })
    }
    let (firsts, mut of) = (pairs.iter().map(|pair| pair.1).collect::<BTreeSet<_>>(), BTreeMap::new());
    firsts.into_iter().filter(|a| takes(*a, pairs, &mut BTreeSet::new(), &mut of)).count()
}

/// How a leg is told of.
#[derive(Clone, Copy, Debug)]
enum Told {
    Once,
    InParts,
    /// By a device before and by one behind the translation of its source, or its destination.
    Inside,
    Outside,
    /// By those, of which the first one does not know of the translation, and then by the one that does.
    ByThree,
}

fn told() -> impl Strategy<Value = Told> {
    prop::sample::select(vec![Told::Once, Told::InParts, Told::Inside, Told::Outside, Told::ByThree])
}

/// The records that tell of a leg, so that it is the same whichever there are.
fn records(leg: &Leg, told: Told) -> Vec<Leg> {
    let part = Leg { end: leg.start, behalf: 0, file: 0, ..leg.clone() };
    // One device in between translates for all: the ports tell them apart.
    let seen = if leg.source.1.is_multiple_of(2) {
        ((500, 1000 + leg.source.1), leg.destination)
    } else {
        (leg.source, (600, 1000 + leg.source.1))
    };
    let inside = Leg { seen, ..leg.clone() };
    let outside = Leg { source: seen.0, destination: seen.1, seen, observer: 2, ..part.clone() };
    match told {
        Told::Once => vec![leg.clone()],
        Told::InParts => {
            let first = leg.bytes / 2;
            vec![Leg { bytes: first, ..part }, Leg { bytes: leg.bytes - first, ..leg.clone() }]
        }
        Told::Inside => vec![inside, outside],
        Told::Outside => vec![outside, inside],
        Told::ByThree => vec![Leg { observer: 3, ..part }, outside, inside],
    }
}

#[test]
fn a_leg_seen_before_and_after_a_translation_is_one() {
    let p = parameters();
    let (_, first) = leg(&(true, 0, 10_000, 0, 50, 0, 0), 40_000);
    let inside = Leg { seen: ((500, 61_000), first.destination), ..first.clone() };
    let outside = Leg { source: (500, 61_000), seen: ((500, 61_000), first.destination), observer: 2, ..first.clone() };
    let later = |leg: &Leg, ms: i64| Leg { start: leg.start + ms * 1_000_000, end: leg.end + ms * 1_000_000, ..leg.clone() };
    for (name, records, legs) in [
        ("inside first", vec![inside.clone(), outside.clone()], vec![((1, 40_000), 50)]),
        ("outside first", vec![outside.clone(), inside.clone()], vec![((1, 40_000), 50)]),
        ("in parts", vec![outside.clone(), inside.clone(), later(&outside, 10_100)], vec![((1, 40_000), 100)]),
        ("by one that does not know", vec![first.clone(), outside.clone()], vec![((1, 40_000), 50), ((500, 61_000), 50)]),
        ("the port again", vec![inside.clone(), later(&outside, 20_000)], vec![((1, 40_000), 50), ((500, 61_000), 50)]),
        (
            "the port again, by another one",
            vec![inside.clone(), Leg { source: (2, 40_000), ..later(&inside, 20_000) }, later(&outside, 20_000)],
            vec![((1, 40_000), 50), ((2, 40_000), 50)],
        ),
        (
            "another port, and another server",
            vec![
                inside.clone(),
                Leg { source: (500, 61_001), ..outside.clone() },
                Leg { destination: (101, 443), ..outside.clone() },
            ],
            vec![((1, 40_000), 50), ((500, 61_000), 50), ((500, 61_001), 50)],
        ),
    ] {
        let mut way = Way::default();
        for leg in &records {
            way.take(Side::First, leg.clone(), true, &p);
        }
        let mut told: Vec<(End, u64)> = way.firsts.all.values().map(|leg| (leg.source, leg.bytes >> 10)).collect();
        told.sort_unstable();
        assert_eq!(told, legs, "{name}");
        let numbers: Vec<u64> = way.firsts.all.keys().copied().collect();
        numbers.iter().for_each(|number| way.remove(Side::First, *number));
        assert!(way.is_empty() && way.firsts.of.is_empty() && way.firsts.seen.is_empty(), "{name}");
    }
}

/// What was decided of one of two stays, when a third record tells that they are one.
#[test]
fn what_is_decided_stays_when_two_turn_out_to_be_one() {
    let p = parameters();
    let (_, first) = leg(&(true, 0, 10_000, 0, 50, 0, 0), 40_000);
    let seen = ((500, 61_000), first.destination);
    let outside = Leg { source: seen.0, seen, observer: 2, ..first.clone() };
    let (_, second) = leg(&(false, 5, 10, 0, 50, 2, 0), 50_000);
    let mut way = Way::default();
    let number = way.take(Side::First, outside, true, &p).expect("new");
    let other = way.take(Side::Second, second, true, &p).expect("new");
    assert!(way.decide(Side::First, number));
    let twin = way.take(Side::First, first.clone(), true, &p).expect("nothing says yet that it is the same");
    assert_eq!(way.take(Side::First, Leg { seen, ..first.clone() }, true, &p), None);
    assert!(way.get(Side::First, twin).is_none());
    assert_eq!(way.get(Side::First, number).map(|leg| (leg.source, leg.decided)), Some((first.source, true)));
    assert_eq!(way.explained_by(Side::Second, other).map(|leg| leg.source), Some(first.source));
}

proptest! {
    /// In a crowd, from whatever leg on it is one, there are as many pairs as there can be, each of two that may be one.
    #[test]
    fn a_crowd_has_as_many_pairs_as_it_can(all in drawn(), order in any::<u64>(), since in 0usize..40) {
        let p = parameters();
        let legs: Vec<(Side, Leg)> = all.iter().enumerate().map(|(n, one)| leg(one, n as u16)).collect();
        let mut way = Way::default();
        let mut numbers = Vec::new();
        for (n, (side, leg)) in legs.iter().enumerate() {
            if n == since {
                (0..3).for_each(|minute| way.crowd(minute));
            }
            numbers.push((mix(u128::from(order) << 64 | n as u128), *side, way.add(*side, leg.clone(), &p)));
        }
        numbers.sort_unstable();
        for (_, side, number) in &numbers {
            let alone = way.get(*side, *number).is_some_and(|leg| leg.other.is_none());
            prop_assert!(!alone || way.settle(*side, *number, &p));
            way.decide(*side, *number);
        }
        let pairs: Vec<Distance> = way.firsts.all.values().filter_map(|leg| leg.other).collect();
        for (side, number) in pairs.iter().flat_map(|pair| [(Side::First, pair.first), (Side::Second, pair.second)]) {
            let other = way.get(side, number).and_then(|leg| leg.other);
            prop_assert!(other.is_some_and(|other| pairs.contains(&other)));
            prop_assert!(way.explained_by(side, number).is_some_and(|leg| leg.decided));
        }
        prop_assert_eq!(pairs.len(), most(&possible(&legs, &p)));
    }

    /// Against the obvious form: of all pairs the nearest is taken, and again of those that are left. In whatever order they come, and
    /// however they are told.
    #[test]
    fn pairs_are_those_that_are_nearest(all in drawn(), order in any::<u64>(), told in prop::collection::vec(told(), 40)) {
        let p = parameters();
        let legs: Vec<(Side, Leg)> = all.iter().enumerate().map(|(n, one)| leg(one, n as u16)).collect();
        let mut pairs = possible(&legs, &p);
        pairs.sort();
        prop_assume!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
        let (mut taken, mut expected) = (BTreeSet::new(), BTreeSet::new());
        for (_, a, b) in pairs {
            if !taken.contains(&a) && !taken.contains(&b) {
                taken.extend([a, b]);
                expected.insert((a as u16, b as u16));
            }
        }
        let mut places: Vec<usize> = (0..legs.len()).collect();
        places.sort_by_key(|n| mix(u128::from(order) << 64 | *n as u128));
        let mut way = Way::default();
        for n in places {
            let (side, leg) = &legs[n];
            let new = records(leg, told[n]).into_iter().filter(|record| way.take(*side, record.clone(), true, &p).is_some()).count();
            prop_assert!((1..=2).contains(&new));
        }
        prop_assert_eq!(way.firsts.all.len() + way.seconds.all.len(), legs.len());
        let port = |side, number| way.get(side, number).expect("there").source.1;
        let found: BTreeSet<(u16, u16)> = way.firsts.all.values().filter_map(|leg| leg.other)
            .map(|has| (port(Side::First, has.first), port(Side::Second, has.second))).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(way.seconds.all.values().filter(|leg| leg.other.is_some()).count(), expected.len());
    }
}
