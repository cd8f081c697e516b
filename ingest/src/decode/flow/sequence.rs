//! What exporters' sequence numbers say of packets that never came.
//!
//! Each version counts something else: v5 and v7 flows, v9 packets (RFC 3954 §5.1), IPFIX data records of a domain in a transport session (RFC
//! 7011 §3.1), sFlow datagrams of a sub-agent and samples of a source. What is missing between two packets is waited for a moment, as packets
//! overtake each other; what comes within it counts as come, and twice is once. A device that restarts begins anew without a loss: told by
//! its uptime, or by two packets in a row that go on from each other elsewhere (as RFC 3550 §A.1 does for RTP).
//!
//! A datagram's sender can be forged, so the streams are bounded, a leap that no device could have sent is taken for a restart, and streams
//! that never went on in order make room before those that did.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use event::{TenantId, Time};
use serde::{Deserialize, Serialize};

/// Streams that are followed: an exporter has one for each domain, an sFlow agent one for each interface besides.
const STREAMS_MAX: usize = 65_536;
/// Gaps of one stream that are waited for; of further ones the oldest is a loss at once.
const GAPS_MAX: usize = 8;
/// How long what is missing is waited for.
const REORDER_NS: i64 = 2 * SECOND_NS;
/// Numbers of a stream that are remembered to know a packet that comes twice.
const RECENT: usize = 16;
/// What an exporter can count in a second at most: a greater leap is a restart. The fastest routers export some 100,000 records.
const PER_SECOND_MAX: i64 = 1_000_000;
/// By how much the uptime may differ from what has passed since the packet before.
const UPTIME_SLACK_MS: i64 = 60_000;
/// A counter that leaps to near zero by more than [`LEAP_MIN`] has begun anew, though the difference modulo 2^32 is positive.
const NEAR_ZERO: u32 = 1 << 16;
const LEAP_MIN: u32 = 1 << 24;
const SECOND_NS: i64 = 1_000_000_000;

/// What a sequence number counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Unit {
    /// Packets of NetFlow v9, datagrams of sFlow.
    Packets,
    /// Flows of NetFlow v5 and v7, data records of IPFIX.
    Records,
    /// Packet samples of sFlow.
    Samples,
    /// Sets, or the rest of a packet, that made no sense in a packet of which something else did. No sequence has them: they are told as they
    /// come.
    Sets,
}

impl Unit {
    /// Why it is missing, as the ledger names it.
    pub fn reason(self) -> &'static str {
        match self {
            Unit::Packets => "sequence_packets",
            Unit::Records => "sequence_records",
            Unit::Samples => "sequence_samples",
            Unit::Sets => "flow_sets",
        }
    }
}

/// Whose numbers they are. The sender's port is part of it: a transport session counts for itself (RFC 7011 §3.1), and who restarts on another
/// port begins anew.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct StreamKey {
    pub(super) tenant: u32,
    pub(super) source: SocketAddr,
    pub(super) listener: u16,
    pub(super) version: u16,
    pub(super) unit: Unit,
    /// sFlow's agent, which a sender may relay.
    pub(super) agent: Option<IpAddr>,
    /// Domain, engine or sub-agent.
    pub(super) domain: u32,
    /// The class and index of a source of samples.
    pub(super) of: (u32, u32),
}

/// The number of one packet or sample.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub(super) key: StreamKey,
    pub(super) received: Time,
    pub(super) sequence: u32,
    /// By how much it moves the counter on; none where its sets could not be read.
    pub(super) count: Option<u32>,
    pub(super) uptime_ms: Option<u32>,
}

/// What an exporter has sent and was not received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Missing {
    /// Whose it is.
    pub tenant: TenantId,
    /// The exporter.
    pub exporter: IpAddr,
    /// When the packet behind the gap was received.
    pub received: Time,
    /// What is counted.
    pub unit: Unit,
    /// How many.
    pub count: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Stream {
    /// The number that is expected next.
    next: Option<u32>,
    /// Where a packet that made no sense said the next would be.
    suspect: Option<u32>,
    uptime_ms: Option<u32>,
    received_ns: i64,
    /// It went on in order.
    proven: bool,
    gaps: Vec<Gap>,
    recent: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Gap {
    from: u32,
    length: u32,
    /// Of the length, what has not come yet.
    missing: u32,
    since_ns: i64,
}

/// Follows the sequence numbers of all exporters.
#[derive(Default)]
pub struct Sequences {
    streams: BTreeMap<StreamKey, Stream>,
    /// Whether it is proven, the second when it was last heard: who goes first is first.
    by_age: BTreeSet<(bool, i64, StreamKey)>,
    /// When gaps were opened that may still be waited for.
    waiting: BTreeSet<(i64, StreamKey)>,
    restarts: u64,
}

impl Sequences {
    /// How many streams are followed.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How often a device began anew.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Follows the numbers of packets in the order of their receipt, of which the log has all up to `now`. Appends what is found missing.
    pub fn advance(&mut self, heard: &[Heard], now: Time, missing: &mut Vec<Missing>) {
        for one in heard {
            self.settle(one.received.unix_ns(), missing);
            self.hear(one, missing);
        }
        self.settle(now.unix_ns(), missing);
    }

    /// Gives up waiting for what has been missing too long.
    fn settle(&mut self, now_ns: i64, missing: &mut Vec<Missing>) {
        while let Some((since_ns, key)) = self.waiting.first().copied()
            && now_ns.saturating_sub(since_ns) >= REORDER_NS
        {
            self.waiting.pop_first();
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            stream.gaps.retain(|gap| {
                let waited_for = gap.since_ns > since_ns;
                if !waited_for {
                    tell(&key, gap, missing);
                }
                waited_for
            });
        }
    }

    fn hear(&mut self, heard: &Heard, missing: &mut Vec<Missing>) {
        let (key, received_ns) = (heard.key, heard.received.unix_ns());
        if key.unit == Unit::Sets {
            missing.extend(heard.count.map(|count| missing_of(&key, received_ns, count)));
            return;
        }
        if !self.streams.contains_key(&key) {
            while self.streams.len() >= STREAMS_MAX {
                let Some((.., oldest)) = self.by_age.first().copied() else { break };
                self.forget(&oldest, missing);
            }
            self.by_age.insert((false, received_ns.div_euclid(SECOND_NS), key));
            self.streams.insert(key, Stream { received_ns, ..Stream::default() });
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let age = |stream: &Stream| (stream.proven, stream.received_ns.div_euclid(SECOND_NS), key);
        let before = age(stream);
        match stream.hear(heard) {
            Found::InOrder => {}
            Found::Restart => {
                self.restarts += 1;
                // What was waited for before will not come: it was sent before the restart.
                for gap in stream.gaps.drain(..) {
                    self.waiting.remove(&(gap.since_ns, key));
                    tell(&key, &gap, missing);
                }
            }
            Found::Gap => {
                self.waiting.insert((received_ns, key));
                if stream.gaps.len() > GAPS_MAX {
                    let oldest = stream.gaps.remove(0);
                    if oldest.since_ns != received_ns {
                        self.waiting.remove(&(oldest.since_ns, key));
                    }
                    tell(&key, &oldest, missing);
                }
            }
        }
        let after = age(stream);
        if after != before {
            self.by_age.remove(&before);
            self.by_age.insert(after);
        }
    }

    fn forget(&mut self, key: &StreamKey, missing: &mut Vec<Missing>) {
        let Some(stream) = self.streams.remove(key) else { return };
        self.by_age.remove(&(stream.proven, stream.received_ns.div_euclid(SECOND_NS), *key));
        for gap in &stream.gaps {
            self.waiting.remove(&(gap.since_ns, *key));
            tell(key, gap, missing);
        }
        metrics::counter!("mihari_flow_sequences_evicted_total").increment(1);
    }

    /// The state as bytes, for [`Sequences::restore`].
    pub fn snapshot(&self) -> Vec<u8> {
        let streams: Vec<_> = self.streams.iter().collect();
        serde_json::to_vec(&(2u8, self.restarts, streams)).expect("plain values are serialisable")
    }

    /// Takes up what [`Sequences::snapshot`] gave. False, and nothing changed, where the bytes are none.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let Ok((2, restarts, streams)) = serde_json::from_slice::<(u8, u64, Vec<(StreamKey, Stream)>)>(bytes) else {
            return false;
        };
        *self = Sequences { restarts, ..Sequences::default() };
        for (key, mut stream) in streams.into_iter().take(STREAMS_MAX) {
            stream.gaps.truncate(GAPS_MAX);
            stream.recent.truncate(RECENT);
            self.by_age.insert((stream.proven, stream.received_ns.div_euclid(SECOND_NS), key));
            self.waiting.extend(stream.gaps.iter().map(|gap| (gap.since_ns, key)));
            self.streams.insert(key, stream);
        }
        true
    }
}

fn missing_of(key: &StreamKey, received_ns: i64, count: u32) -> Missing {
    Missing {
        tenant: TenantId(key.tenant),
        exporter: key.source.ip().to_canonical(),
        received: Time::from_unix_ns(received_ns),
        unit: key.unit,
        count: count.into(),
    }
}

fn tell(key: &StreamKey, gap: &Gap, missing: &mut Vec<Missing>) {
    if gap.missing > 0 {
        missing.push(missing_of(key, gap.since_ns, gap.missing));
    }
}

enum Found {
    /// As expected, or late, or twice, or of no sense yet.
    InOrder,
    Gap,
    Restart,
}

impl Stream {
    fn hear(&mut self, heard: &Heard) -> Found {
        let Heard { sequence, count, received, .. } = *heard;
        let received_ns = received.unix_ns();
        let elapsed_ns = received_ns.saturating_sub(self.received_ns).max(0);
        let restarted = self.restarted(heard.uptime_ms, elapsed_ns);
        self.received_ns = self.received_ns.max(received_ns);
        let Some(next) = self.next else {
            self.go_on(heard);
            return Found::InOrder;
        };
        if restarted {
            self.go_on(heard);
            return Found::Restart;
        }
        let ahead = sequence.wrapping_sub(next);
        if ahead == 0 {
            self.proven = true;
            self.go_on(heard);
            return Found::InOrder;
        }
        let possible = PER_SECOND_MAX.saturating_mul(elapsed_ns / SECOND_NS + 1).min(i64::from(i32::MAX));
        let anew = sequence < NEAR_ZERO && ahead > LEAP_MIN;
        if i64::from(ahead) <= possible && !anew {
            self.gaps.push(Gap { from: next, length: ahead, missing: ahead, since_ns: received_ns });
            self.go_on(heard);
            return Found::Gap;
        }
        if count == Some(0) || self.recent.contains(&sequence) {
            return Found::InOrder; // It carries nothing (templates), or came twice.
        }
        if let Some(gap) = self.gaps.iter_mut().find(|gap| sequence.wrapping_sub(gap.from) < gap.length) {
            gap.missing = gap.missing.saturating_sub(count.unwrap_or(0));
            self.remember(sequence);
            return Found::InOrder;
        }
        if self.suspect == Some(sequence) {
            self.go_on(heard);
            return Found::Restart;
        }
        self.suspect = count.map(|count| sequence.wrapping_add(count));
        Found::InOrder
    }

    /// Whether the device's uptime is another than what has passed since its last packet. The counter wraps after 49 days.
    fn restarted(&self, uptime_ms: Option<u32>, elapsed_ns: i64) -> bool {
        let (Some(before), Some(now)) = (self.uptime_ms, uptime_ms) else { return false };
        let expected = i64::from(before) + elapsed_ns / 1_000_000;
        i64::from(now.wrapping_sub(expected as u32).cast_signed()).abs() > UPTIME_SLACK_MS
    }

    fn go_on(&mut self, heard: &Heard) {
        self.next = heard.count.map(|count| heard.sequence.wrapping_add(count));
        self.suspect = None;
        self.uptime_ms = heard.uptime_ms;
        if heard.count != Some(0) {
            self.remember(heard.sequence);
        }
    }

    fn remember(&mut self, sequence: u32) {
        if self.recent.len() >= RECENT {
            self.recent.remove(0);
        }
        self.recent.push(sequence);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(unit: Unit, seconds: f64, sequence: u32, count: u32, uptime_ms: Option<u32>) -> Heard {
        let key = StreamKey {
            tenant: 0,
            source: "192.0.2.1:2055".parse().unwrap(),
            listener: 0,
            version: 9,
            unit,
            agent: None,
            domain: 7,
            of: (0, 0),
        };
        let received = Time::from_unix_s(1_700_000_000).plus_ns((seconds * 1e9) as i64);
        Heard { key, received, sequence, count: Some(count), uptime_ms }
    }

    /// What is missing of packets (seconds, number, count), once nothing is waited for.
    fn missing(packets: &[(f64, u32, u32)]) -> u64 {
        let list: Vec<_> = packets.iter().map(|(s, n, count)| heard(Unit::Records, *s, *n, *count, None)).collect();
        count(&list)
    }

    fn count(list: &[Heard]) -> u64 {
        let (mut sequences, mut missing) = (Sequences::default(), Vec::new());
        let end = list.last().unwrap().received.plus_ns(REORDER_NS);
        sequences.advance(list, end, &mut missing);
        assert!(sequences.waiting.is_empty());
        missing.iter().map(|m| m.count).sum()
    }

    #[test]
    fn gaps_are_counted_and_what_comes_late_or_twice_is_none() {
        assert_eq!(missing(&[(0.0, 100, 10), (0.1, 110, 10), (0.2, 120, 10)]), 0);
        assert_eq!(missing(&[(0.0, 100, 10), (0.1, 120, 10)]), 10, "a gap");
        assert_eq!(missing(&[(0.0, 100, 10), (0.1, 120, 10), (0.2, 110, 10), (0.3, 130, 1)]), 0, "overtaken");
        assert_eq!(missing(&[(0.0, 100, 10), (0.1, 130, 10), (0.2, 110, 10), (0.3, 110, 10)]), 10, "one of two, twice");
        assert_eq!(missing(&[(0.0, 100, 10), (0.1, 120, 10), (9.0, 110, 10), (9.1, 130, 10)]), 10, "too late");
        assert_eq!(missing(&[(0.0, 1, 1), (0.1, 2, 1), (0.2, 3, 1), (0.3, 1, 1), (0.4, 2, 1), (0.5, 4, 1)]), 0, "all twice");
    }

    #[test]
    fn a_restart_is_no_loss() {
        assert_eq!(missing(&[(0.0, 90_000, 10), (0.1, 90_010, 10), (5.0, 0, 10), (5.1, 10, 10), (5.2, 30, 10)]), 10);
        assert_eq!(missing(&[(0.0, 3_000_000_000, 10), (5.0, 0, 10), (5.1, 10, 10), (5.2, 20, 10)]), 0, "from beyond half");
        assert_eq!(missing(&[(0.0, 5, 10), (5.0, 2_000_000_000, 10), (5.1, 2_000_000_010, 10)]), 0, "a leap that cannot be");
        assert_eq!(missing(&[(0.0, 5, 10), (0.1, 2_000_000_000, 10), (0.2, 15, 10)]), 0, "a stray packet");
        let uptime = |s: f64, n, uptime| heard(Unit::Packets, s, n, 1, Some(uptime));
        assert_eq!(count(&[uptime(0.0, 10, 500_000), uptime(100.0, 400, 1_000)]), 0, "its uptime fell");
        assert_eq!(count(&[uptime(0.0, 10, 3_000_000_000), uptime(100.0, 400, 1_000)]), 0, "its uptime fell from beyond half");
        assert_eq!(count(&[uptime(0.0, 10, 500_000), uptime(100.0, 400, 600_000)]), 389);
        assert_eq!(count(&[uptime(0.0, 10, u32::MAX - 50_000), uptime(100.0, 400, 49_999)]), 389, "its uptime wrapped");
    }

    #[test]
    fn numbers_wrap() {
        assert_eq!(missing(&[(0.0, u32::MAX - 4, 5), (0.1, 0, 5), (0.2, 5, 5)]), 0);
        assert_eq!(missing(&[(0.0, u32::MAX - 9, 5), (0.1, 5, 5)]), 10);
        assert_eq!(missing(&[(0.0, u32::MAX - 9, 5), (0.1, 5, 5), (0.2, u32::MAX - 4, 5), (0.3, 0, 5)]), 0);
    }

    #[test]
    fn a_packet_of_unknown_length_is_no_gap() {
        let list = [
            heard(Unit::Records, 0.0, 10, 5, None),
            Heard { count: None, ..heard(Unit::Records, 0.1, 15, 0, None) },
            heard(Unit::Records, 0.2, 40, 5, None),
            heard(Unit::Records, 0.3, 46, 5, None),
        ];
        assert_eq!(count(&list), 1);
    }

    #[test]
    fn forged_streams_make_room_before_real_ones() {
        let mut sequences = Sequences::default();
        let mut missing = Vec::new();
        let mut real: Vec<Heard> = [1, 2].iter().map(|n| heard(Unit::Packets, f64::from(*n), *n, 1, None)).collect();
        sequences.advance(&real, real[1].received, &mut missing);
        for n in 0..2 * STREAMS_MAX as u32 {
            let mut forged = heard(Unit::Packets, 3.0 + f64::from(n / 1000), n, 1, None);
            forged.key.domain = n + 8;
            sequences.advance(&[forged], forged.received, &mut missing);
        }
        assert_eq!((sequences.streams(), sequences.by_age.len()), (STREAMS_MAX, STREAMS_MAX));
        real = vec![heard(Unit::Packets, 1000.0, 4, 1, None)];
        sequences.advance(&real, real[0].received.plus_ns(REORDER_NS), &mut missing);
        assert_eq!(missing.iter().map(|m| m.count).collect::<Vec<_>>(), [1]);
    }

    proptest! {
        /// Packets are lost, doubled and overtaken by up to three others; whatever the batches and restarts of ours, what is told missing is what
        /// was lost.
        #[test]
        fn what_is_lost_is_what_is_told(
            start in any::<u32>(), packets in prop::collection::vec((0u32..40, 0u8..10, 0usize..4), 2..80), batch in 1usize..7,
        ) {
            let (mut sequence, mut sent, mut lost) = (start, Vec::new(), 0u64);
            let last = packets.len() - 1;
            for (n, (count, fate, delay)) in packets.iter().enumerate() {
                // The first and the last are received, in their places: nobody can tell what was sent before and after.
                let (lose, twice) = (*fate == 0 && n > 0 && n < last, *fate == 1 && n > 0);
                let delay = if n > 0 && n < last { *delay } else { 0 };
                if lose {
                    lost += u64::from(*count);
                } else {
                    for copy in 0..=usize::from(twice) {
                        sent.push((n + if n == last { 8 } else { delay + 3 * copy }, sequence, *count));
                    }
                }
                sequence = sequence.wrapping_add(*count);
            }
            sent.sort_by_key(|(at, ..)| *at);
            let list: Vec<_> =
                sent.iter().enumerate().map(|(n, (_, s, count))| heard(Unit::Records, n as f64 / 100.0, *s, *count, None)).collect();
            let (mut sequences, mut missing) = (Sequences::default(), Vec::new());
            for part in list.chunks(batch) {
                sequences.advance(part, part.last().unwrap().received, &mut missing);
                let state = sequences.snapshot();
                let mut taken_up = Sequences::default();
                prop_assert!(taken_up.restore(&state));
                prop_assert_eq!(taken_up.snapshot(), state);
                sequences = taken_up;
            }
            sequences.advance(&[], Time::from_unix_s(1_700_000_100), &mut missing);
            prop_assert_eq!(missing.iter().map(|m| m.count).sum::<u64>(), lost);
            prop_assert_eq!(sequences.restarts(), 0);
        }
    }
}
