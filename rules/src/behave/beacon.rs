//! Beacons: one source that comes to one destination again and again, at regular intervals, with like sizes, over the whole time.
//!
//! Four scores of 0 to 1 whose mean is the score, after RITA (github.com/activecm/rita, analysis/beacons.go): timing and size (Bowley
//! skewness of the quartiles, dispersion about the median), histogram (how evenly the connections lie over the span), duration (how much
//! of the span they cover). Other than there: intervals count in nanoseconds, a connection that failed is none, and the histogram's bars
//! follow the span, so that a beacon of seconds is seen within minutes. Few connections lower the duration score. What gets much all the time
//! is a stream that is fetched in pieces.

use event::{EventId, Position};
use serde::{Deserialize, Serialize};

use super::mail::SMTP;
use super::observe::{Observation, What};
use super::sketch::{Distinct, mix, mix_text};
use super::{Found, Parameters, View, guessing};
use crate::table::Table;

/// Connections of one pair that are kept; of more, the newest. The oldest go some at a time: all others move for it.
const SERIES_MAX: usize = 512;
const SERIES_GOING: usize = 64;
/// Connections of all pairs together; beyond it the pairs that were idle longest give way. 32 bytes each.
const SERIES_IN_ALL_MAX: usize = 4_000_000;
/// Connections that begin within so little of each other are one instant: parallel connections tell nothing of intervals.
const INSTANT_NS: i64 = 100_000_000;
/// The same of what nobody answers: it is tried again after one second and after three (RFC 6298), each time perhaps from another port.
const TRIED_AGAIN_NS: i64 = 4_000_000_000;
/// Connections below which the duration score is lowered: a span is covered by chance when there are few.
const SURE_COUNT: f64 = 20.0;
/// Over half a day and more, fewer are sure, and fewer are enough: hours apart, chance keeps no time.
const LONG_NS: i64 = 12 * 3600 * 1_000_000_000;
const LONG_PART: f64 = 0.5;
/// Visits that show a beacon: so many of the first ones, and of the last.
const EVIDENCE_HALF: usize = 25;
/// Of fewer visits many come at like intervals by chance, so that their median deviation must be less than this share of the median: of
/// random visits it is 0.69, of such that come half an interval early or late 0.25.
const CHANCE_COUNT: usize = 100;
const CHANCE_SPREAD: f64 = 0.4;
/// And of fewer still, not spread over so long, only such are taken that keep their time.
const FEW_COUNT: usize = 20;
const FEW_SPREAD: f64 = 0.15;
/// Bytes of a ping and its answer each, with Ethernet's head: 64 of data are the most that systems put into one.
const PING_BYTES_MAX: u64 = 106;
/// So many clients of which none is inside are strangers who come to a server: the infected of one network are hardly more.
const STRANGERS_MIN: u64 = 20;
/// Bars of the histogram.
const BARS_MAX: usize = 48;
/// A difference of sizes that is noise, in bytes.
const SIZE_NOISE: f64 = 32.0;
/// A difference of intervals that is noise, as a share of their median.
const INTERVAL_NOISE: f64 = 0.05;

#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct Key {
    tenant: u32,
    source: u128,
    /// An address, or a name's hash.
    target: u128,
    named: bool,
    port: u16,
    transport: u8,
}

/// One connection; 32 bytes, for there are millions.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Visit {
    start: i64,
    bytes: u64,
    offset: u64,
    partition: u32,
    nth: u16,
}

const _: () = assert!(size_of::<Visit>() == 32);

impl Visit {
    fn new(start: i64, bytes: u64, EventId { frame: Position { partition, offset }, nth }: EventId) -> Visit {
        Visit { start, bytes, offset, partition, nth }
    }

    fn event(&self) -> EventId {
        EventId { frame: Position { partition: self.partition, offset: self.offset }, nth: self.nth }
    }
}

#[derive(Default, Deserialize, Serialize)]
struct Pair {
    /// By their start.
    visits: Vec<Visit>,
    /// When the first of them began: where a series is long it lies far from the last, which is all that is looked at otherwise.
    first: i64,
    /// All that were seen, also those no longer kept.
    count: u64,
    /// Bytes that came back, of all of them.
    received: u64,
    /// When the score was last made, in visits.
    scored: u64,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Beacon {
    pairs: Table<Key, Pair>,
    /// Who came to a name, by tenant and the name's hash: a proxy's log knows no service by its address.
    names: Table<(u32, u128), Distinct<64, 8>>,
    visits: usize,
    given_up: u64,
}

/// The scores of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) timing: f64,
    pub(super) size: f64,
    pub(super) histogram: f64,
    pub(super) duration: f64,
    interval_ns: i64,
    spread_ns: i64,
    bytes: f64,
    span_ns: i64,
}

impl Scores {
    pub(super) fn total(&self) -> f64 {
        (self.timing + self.size + self.histogram + self.duration) / 4.0
    }
}

impl Beacon {
    pub(super) fn new(p: &Parameters) -> Beacon {
        Beacon { pairs: Table::new(p.entries_max), names: Table::new(p.entries_max), visits: 0, given_up: 0 }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        let bytes = self.pairs.byte_len() + self.names.byte_len() + self.visits * size_of::<Visit>();
        (self.pairs.evicted() + self.names.evicted() + self.given_up, bytes)
    }

    /// Reads the pairs that connections are of, see [`Table::warm`].
    pub(super) fn warm(&self, of: &[&Observation]) -> u64 {
        let connections = of.iter().filter(|o| o.what == What::Flow);
        let keys = connections.map(|o| Key {
            tenant: o.tenant,
            source: o.source,
            target: o.destination,
            named: false,
            port: o.port,
            transport: o.transport,
        });
        self.pairs.warm(keys, |_, pair| pair.visits.last().map_or(0, |visit| visit.bytes))
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        let only_failed = p.answered == "no";
        let named = o.what == What::Proxied;
        let connection = (o.what == What::Flow && !o.continued || named) && o.answer.failed() == only_failed;
        let outward = named || !view.destination_inside && !view.to_many && !view.is_within_one_network();
        if !connection || !outward || (view.source_inside == view.destination_inside && view.source_inside && !named) {
            return;
        }
        // Pings are how one sees whether a place is there; whether they carry much, `carrier` tells. Those that carry more than any system's
        // do by itself may be a few words each time.
        if matches!(o.transport, 1 | 58) && (o.received == 0 || o.sent + o.received <= o.packets.saturating_mul(PING_BYTES_MAX)) {
            return;
        }
        // Mail servers bring mail to others again and again.
        if view.role.mail && o.port == SMTP {
            return;
        }
        // Where neither end is known to be inside, the destination may be a server of ours: whether who comes to one that asks for a password
        // guesses, `guessing` tells; and those who come to what many come to are its clients.
        let many = || view.service.is_some_and(|service| service.outside >= STRANGERS_MIN);
        if !named && !view.source_inside && (guessing::asks_for_passwords(view.protocol(), o.port) || many()) {
            return;
        }
        // What a proxy does regularly one of its clients does, and the proxy's own log says which.
        if view.expected(p) || !named && view.role.proxy {
            return;
        }
        self.pairs.expire(o.time.saturating_sub(p.idle));
        let target = if named { u128::from(mix_text(view.name())) } else { o.destination };
        // Of a name what counts is the name: a proxy's log tells the port of some requests only.
        let port = if named { 0 } else { o.port };
        let key = Key { tenant: o.tenant, source: o.source, target, named, port, transport: o.transport };
        if named {
            self.names.expire(o.time.saturating_sub(p.idle));
            self.names.entry((o.tenant, target), o.time).insert(mix(o.source));
        }
        let before = self.pairs.evicted();
        let pair = self.pairs.entry(key, o.time);
        let kept = pair.visits.len();
        pair.received = pair.received.saturating_add(o.received);
        let instant = if only_failed { TRIED_AGAIN_NS } else { INSTANT_NS };
        pair.add(Visit::new(o.start, if o.sent > 0 { o.sent } else { o.received }, o.event), instant);
        let least = if pair.span() >= LONG_NS { (p.connections as f64 * LONG_PART) as u64 } else { p.connections };
        let due = pair.count >= least.max(4) && pair.count >= pair.scored + (pair.scored / 4).max(1) && pair.span() >= p.span;
        self.visits = self.visits + pair.visits.len() - kept;
        if due {
            pair.scored = pair.count;
            if pair.received_per_second() < p.bytes_per_second
                && let Some(scores) = scores(&pair.visits, p.timing_score).filter(|s| s.total() >= p.score)
                && let Some(share) = prevalence(view, clients(&self.names, view, target), p)
            {
                found.push(describe(view, pair, &scores, share, only_failed));
            }
        }
        if self.pairs.evicted() > before {
            // The pair that gave way took its visits along; few have any to speak of, so the sum is made anew now and then.
            if self.pairs.evicted().is_multiple_of(65_536) {
                self.visits = self.pairs.iter().map(|(_, pair, _)| pair.visits.len()).sum();
            }
        }
        while self.visits > SERIES_IN_ALL_MAX {
            let Some((_, gone)) = self.pairs.pop_oldest() else { break };
            self.visits -= gone.visits.len().min(self.visits);
            self.given_up += 1;
        }
    }
}

impl Pair {
    /// From the first to the last visit that is kept, in nanoseconds.
    fn span(&self) -> i64 {
        self.visits.last().map_or(0, |last| last.start - self.first)
    }

    /// Bytes that come back a second, all the time: of what waits for commands little.
    fn received_per_second(&self) -> f64 {
        let kept = self.visits.len().max(1) as f64 / self.count.max(1) as f64;
        self.received as f64 * kept * 1e9 / self.span().max(1) as f64
    }

    /// Adds a visit; what begins within `instant` of another is one with it.
    fn add(&mut self, visit: Visit, instant: i64) {
        self.count += 1;
        // Mostly the newest.
        let at = match self.visits.last() {
            Some(last) if last.start > visit.start => self.visits.partition_point(|other| other.start <= visit.start),
            _ => self.visits.len(),
        };
        let near = |other: Option<&Visit>| other.is_some_and(|other| (other.start - visit.start).abs() < instant);
        if near(at.checked_sub(1).and_then(|before| self.visits.get(before))) {
            self.visits[at - 1].bytes += visit.bytes;
            self.count -= 1;
            return;
        }
        if near(self.visits.get(at)) {
            self.visits[at].bytes += visit.bytes;
            self.count -= 1;
            return;
        }
        if at == 0 {
            self.first = visit.start;
        }
        self.visits.insert(at, visit);
        if self.visits.len() > SERIES_MAX {
            self.visits.drain(..SERIES_GOING);
            self.first = self.visits[0].start;
        }
    }
}

/// How many sources inside come to where the observation goes.
fn clients(names: &Table<(u32, u128), Distinct<64, 8>>, view: &View<'_>, target: u128) -> Option<u64> {
    match view.o.what {
        What::Proxied => names.get(&(view.o.tenant, target)).map(Distinct::count),
        _ => view.service.map(|service| service.inside),
    }
}

/// The share of the sources inside that come to this destination, where there are enough to say; none where it is too common to be a
/// beacon of one of them.
fn prevalence(view: &View<'_>, clients: Option<u64>, p: &Parameters) -> Option<Option<f64>> {
    const SOURCES_MIN: u64 = 10;
    let all = view.sources_inside;
    let Some(clients) = clients.filter(|_| all >= SOURCES_MIN) else { return Some(None) };
    let share = clients as f64 / all as f64;
    (share < p.prevalence).then_some(Some(share))
}

fn describe(view: &View<'_>, pair: &Pair, s: &Scores, share: Option<f64>, failed: bool) -> Found {
    let group: &[&str] = if view.o.what == What::Proxied {
        &["source.ip", "destination.domain"]
    } else {
        &["source.ip", "destination.ip", "destination.port", "network.transport"]
    };
    let mut found = Found::at(view, group);
    found.start = pair.visits.first().map_or(view.o.start, |visit| visit.start);
    // In the order of their starts, not of their ids: which ones a folded alert keeps must not hang on the order of arrival.
    let (head, tail) = pair.visits.split_at(pair.visits.len().min(EVIDENCE_HALF));
    found.evidence = head.iter().chain(&tail[tail.len().saturating_sub(EVIDENCE_HALF)..]).map(Visit::event).collect();
    found.score("score", s.total());
    found.score("score.timing", s.timing);
    found.score("score.size", s.size);
    found.score("score.histogram", s.histogram);
    found.score("score.duration", s.duration);
    found.explain("connections", pair.count);
    found.seconds("interval_median_s", s.interval_ns);
    found.seconds("interval_spread_s", s.spread_ns);
    found.explain("bytes_median", s.bytes);
    found.explain("bytes_received_per_second", format!("{:.1}", pair.received_per_second()));
    found.seconds("span_s", s.span_ns);
    found.explain("answered", if failed { "no" } else { "yes" });
    match share {
        Some(share) => found.score("prevalence", share),
        None => found.explain("prevalence", "too few sources to say"),
    }
    found
}

/// The scores of visits; none where they are too few, or their timing alone, which tells most of them, is below `timing_min`.
fn scores(visits: &[Visit], timing_min: f64) -> Option<Scores> {
    if visits.len() < 4 {
        return None;
    }
    let (first, last) = (visits.first()?.start, visits.last()?.start);
    let span_ns = last - first;
    let mut intervals: Vec<f64> = visits.windows(2).map(|pair| (pair[1].start - pair[0].start) as f64).collect();
    let of_intervals = quartiles(&mut intervals);
    let median = of_intervals.1;
    let (timing, spread) = regularity(&mut intervals, of_intervals, median * INTERVAL_NOISE);
    let most = match visits.len() {
        ..FEW_COUNT if span_ns < LONG_NS => FEW_SPREAD,
        ..CHANCE_COUNT => CHANCE_SPREAD,
        _ => f64::INFINITY,
    };
    if timing < timing_min || spread > median * most {
        return None;
    }
    let mut bytes: Vec<f64> = visits.iter().map(|visit| visit.bytes as f64).collect();
    let of_bytes = quartiles(&mut bytes);
    let (size, _) = regularity(&mut bytes, of_bytes, SIZE_NOISE);
    let bars = bars(visits, first, span_ns);
    let mean = visits.len() as f64 / bars.len() as f64;
    let variance = bars.iter().map(|n| (*n as f64 - mean).powi(2)).sum::<f64>() / bars.len() as f64;
    let evenness = (1.0 - variance.sqrt() / mean).max(0.0);
    let histogram = if span_ns >= 11 * 3_600_000_000_000 { evenness.max(two_levels(&bars)) } else { evenness };
    let covered = bars.iter().filter(|n| **n > 0).count() as f64 / bars.len() as f64;
    let sure = if span_ns >= LONG_NS { SURE_COUNT * LONG_PART } else { SURE_COUNT };
    let duration = covered * (visits.len() as f64 / sure).min(1.0);
    Some(Scores {
        timing,
        size,
        histogram,
        duration,
        interval_ns: median as i64,
        spread_ns: spread as i64,
        bytes: of_bytes.1,
        span_ns,
    })
}

/// How many visits each of equal parts of the span has: hours where it is more than a day, and there are enough to fill them.
fn bars(visits: &[Visit], first: i64, span_ns: i64) -> Vec<usize> {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let few = (visits.len() / 4).clamp(4, 24);
    let count =
        if span_ns > 24 * HOUR_NS { few.max(((span_ns / HOUR_NS) as usize).min(visits.len() / 2)) } else { few }.min(BARS_MAX);
    let mut bars = vec![0; count];
    for visit in visits {
        let at = ((visit.start - first) as f64 / span_ns.max(1) as f64 * count as f64) as usize;
        bars[at.min(count - 1)] += 1;
    }
    bars
}

/// The share of the bars that stand at one of two heights: a beacon that runs in office hours only.
fn two_levels(bars: &[usize]) -> f64 {
    let highest = bars.iter().copied().max().unwrap_or(0);
    let width = (highest / 10).max(1);
    let mut levels = vec![0usize; highest / width + 1];
    for bar in bars {
        levels[bar / width] += 1;
    }
    levels.sort_unstable();
    levels.iter().rev().take(2).sum::<usize>() as f64 / bars.len() as f64
}

/// How regular numbers are, from 0 to 1: the mean of 1 less the Bowley skewness and of 1 less the median deviation over the median.
/// Quartiles closer than `noise` are not skewed, and of few numbers the skewness is mostly chance, so it counts less. Gives the median
/// deviation too. The quartiles are those of the numbers, which become their deviations.
fn regularity(numbers: &mut [f64], (low, median, high): (f64, f64, f64), noise: f64) -> (f64, f64) {
    let skewness = if high - low <= noise || median == low || median == high {
        0.0
    } else {
        ((low + high - 2.0 * median) / (high - low)).abs()
    };
    let sure = 1.0 - 1.0 / (numbers.len() as f64).sqrt();
    numbers.iter_mut().for_each(|n| *n = (*n - median).abs());
    let deviation = middle(numbers);
    let dispersion = match (deviation, median) {
        (0.0, _) => 1.0,
        (_, m) if m <= 0.0 => 0.0,
        (d, m) => ((m - d) / m).max(0.0),
    };
    (f64::midpoint(1.0 - skewness * sure, dispersion), deviation)
}

/// The median, between neighbours. Moves the numbers about.
fn middle(numbers: &mut [f64]) -> f64 {
    let half = numbers.len() / 2;
    if half == 0 {
        return numbers.first().copied().unwrap_or(0.0);
    }
    let even = numbers.len().is_multiple_of(2);
    let (below, at, _) = numbers.select_nth_unstable_by(half, f64::total_cmp);
    let before = below.iter().copied().fold(f64::MIN, f64::max);
    if even { f64::midpoint(before, *at) } else { *at }
}

/// The quartiles, between neighbours by proportion. Sorts.
fn quartiles(numbers: &mut [f64]) -> (f64, f64, f64) {
    numbers.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (numbers.len().saturating_sub(1)) as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        match (numbers.get(below), numbers.get(above)) {
            (Some(a), Some(b)) => a + (b - a) * place.fract(),
            _ => 0.0,
        }
    };
    (at(0.25), at(0.5), at(0.75))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visits(times: impl Iterator<Item = f64>, bytes: impl Fn(usize) -> u64) -> Vec<Visit> {
        let mut pair = Pair::default();
        for (n, seconds) in times.enumerate() {
            pair.add(Visit::new((seconds * 1e9) as i64, bytes(n), EventId::default()), INSTANT_NS);
        }
        pair.visits
    }

    #[test]
    fn regular_is_high_and_browsing_is_low() {
        let exact = scores(&visits((0..60).map(|n| f64::from(n) * 60.0), |_| 400), 0.0).expect("scores");
        assert!(exact.total() > 0.97, "{exact:?}");
        // Below a second: whole seconds would hide the interval.
        let quick = scores(&visits((0..400).map(|n| f64::from(n) * 0.25), |_| 400), 0.0).expect("scores");
        assert!(quick.total() > 0.95 && quick.interval_ns == 250_000_000, "{quick:?}");
        // Sizes and times as of pages: bursts, then nothing.
        let pages = (0..60).map(|n| f64::from(n / 10) * 300.0 + f64::from(n % 10) * f64::from(n % 7) * 0.9);
        assert_eq!(scores(&visits(pages, |n| 300 + (n as u64 * 7919) % 5000), 0.0), None);
    }

    #[test]
    fn a_beacon_of_office_hours_has_two_levels() {
        let hours = (0..3).flat_map(|day| (9..17).map(move |hour| day * 24 + hour));
        let times = hours.flat_map(|hour| (0..6).map(move |n| f64::from(hour) * 3600.0 + f64::from(n) * 600.0));
        let score = scores(&visits(times, |_| 400), 0.0).expect("scores");
        assert!(score.histogram > 0.7, "{score:?}");
    }

    proptest! {
        /// Scores are shares, whatever comes.
        #[test]
        fn scores_are_between_0_and_1(times in prop::collection::vec(0.0f64..1e6, 4..100), sizes in prop::collection::vec(0u64..u64::from(u32::MAX), 100)) {
            if let Some(s) = scores(&visits(times.into_iter(), |n| sizes[n % 100]), 0.0) {
                for part in [s.timing, s.size, s.histogram, s.duration, s.total()] {
                    prop_assert!((0.0..=1.0).contains(&part), "{s:?}");
                }
            }
        }
    }
}
