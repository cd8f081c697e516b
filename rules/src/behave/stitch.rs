//! One connection out of many records: two records of its two ways, several of its parts, the same by several devices.
//!
//! Flow exporters tell each way in a record of its own. A record that counts one way only waits a little for the other one. What another
//! device tells of the same connection counts as a duplicate, so that volumes and intervals are those of one observer.
//!
//! Where no flags tell, the absence of the other way does: a few small packets that nothing came back to were not answered, if their
//! exporter tells of both ways at all; and one packet each way is no connection of TCP.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::connection::{Connections, Key, REMEMBERED_NS};
use super::due::Due;
use super::observe::{Answer, Observation, What};
use crate::table::Table;

/// How long a record of one way waits for the other: exporters send both within the same export.
const PAIR_NS: i64 = 5 * 1_000_000_000;
/// A connection goes on where the next record begins within so long of the last; beyond, it is a new one with the same ports. TCP sends
/// a SYN again after one second, and two more (RFC 6298 §2).
const GOES_ON_TCP_NS: i64 = 3 * 1_000_000_000;
const GOES_ON_UDP_NS: i64 = 1_000_000_000;

/// Exporters of which it is remembered whether they tell of both ways.
const EXPORTERS_MAX: usize = 20_000;
/// Connections by which that is judged; beyond it the older ones count half.
const JUDGED_MAX: u32 = 4096;
/// What is tried in vain has no more packets (TCP sends a SYN seven times at most), and no larger ones.
const TRIED_PACKETS_MAX: u64 = 7;
const TRIED_BYTES_MAX: u64 = 64;
/// Datagrams that are sent before one gives up.
const ASKED_PACKETS_MAX: u64 = 3;

/// What records have told of a connection.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Seen {
    observer: u64,
    start: i64,
    end: i64,
    /// The number of the record that waits for its other way; 0 for none.
    waiting: u64,
    /// Whether the lower end of its key began.
    low_began: bool,
}

#[derive(Deserialize, Serialize)]
struct Half {
    until: i64,
    o: Observation,
    text: String,
    key: Key,
}

/// What an exporter has told: connections of both ways, and such that must have had another way that it did not tell of.
#[derive(Default, Deserialize, Serialize)]
struct Exporter {
    both: u32,
    half: u32,
}

impl Exporter {
    fn judge(&mut self, both: bool) {
        let told = if both { &mut self.both } else { &mut self.half };
        *told += 1;
        if self.both + self.half > JUDGED_MAX {
            (self.both, self.half) = (self.both / 2, self.half / 2);
        }
    }

    fn tells_both(&self) -> bool {
        self.both >= self.half
    }
}

/// What becomes of a record.
pub(super) enum Taken {
    /// It is to be watched now, as it is now.
    Now,
    /// It waits for its other way, or was added to the record that does.
    Later,
    /// Another device told of it.
    Duplicate,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Stitch {
    /// Records of one way, in the order of their deadlines; the first has the number `first`.
    halves: VecDeque<Half>,
    first: u64,
    exporters: Table<u64, Exporter>,
}

impl Default for Stitch {
    fn default() -> Stitch {
        Stitch { halves: VecDeque::new(), first: 1, exporters: Table::new(EXPORTERS_MAX) }
    }
}

impl Stitch {
    pub(super) fn evicted(&self) -> u64 {
        self.exporters.evicted()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.exporters.byte_len() + self.halves.capacity() * size_of::<Half>()
    }

    /// Reads the connections of records, see [`crate::table::Table::warm`].
    pub(super) fn warm(connections: &Connections, of: &[Observation]) -> u64 {
        let keys = of.iter().map(|o| Key::new(o.tenant, o.transport, (o.source, o.source_port), (o.destination, o.port)));
        connections.warm(keys, |_, known| known.seen.observer)
    }

    /// Takes a record, whose texts are in `text`; turns it where its connection is known to go the other way.
    pub(super) fn take(&mut self, connections: &mut Connections, o: &mut Observation, text: &str) -> Taken {
        if o.what != What::Flow || o.source_port == 0 && o.port == 0 || o.destination == 0 {
            return Taken::Now;
        }
        let (from, to) = ((o.source, o.source_port), (o.destination, o.port));
        let key = Key::new(o.tenant, o.transport, from, to);
        connections.expire(o.time.saturating_sub(REMEMBERED_NS));
        let seen = &mut connections.entry(key, o.time).seen;
        if seen.end != 0 && o.start.saturating_sub(seen.end) <= REMEMBERED_NS && goes_on(seen, o) {
            if seen.observer != o.observer {
                if let Some(half) = half(&mut self.halves, self.first, seen.waiting) {
                    complete(&mut half.o, o);
                }
                return Taken::Duplicate;
            }
            let (start, same_way) = (seen.start.min(o.start), seen.low_began == key.is_low(from));
            seen.start = start;
            seen.end = seen.end.max(o.end);
            if let Some(half) = half(&mut self.halves, self.first, seen.waiting) {
                add(&mut half.o, o, same_way);
                return Taken::Later;
            }
            if !same_way {
                turn(o);
            }
            (o.start, o.continued) = (start, true);
            return Taken::Now;
        }
        let waits = !o.both_ways && matches!(o.answer, Answer::Unknown | Answer::Yes | Answer::No) && o.flags != Some(0x02);
        let number = if waits { self.first + self.halves.len() as u64 } else { 0 };
        *seen = Seen { observer: o.observer, low_began: key.is_low(from), start: o.start, end: o.end.max(1), waiting: number };
        if !waits {
            return Taken::Now;
        }
        let (mut own, mut o) = (String::new(), *o);
        o.move_texts(text, &mut own);
        self.halves.push_back(Half { until: o.time.saturating_add(PAIR_NS), o, text: own, key });
        Taken::Later
    }

    /// Takes the records on that have waited long enough by `now`.
    pub(super) fn release(&mut self, connections: &mut Connections, now: i64, due: &mut Due) {
        while self.halves.front().is_some_and(|half| half.until <= now) {
            let Some(Half { mut o, text: own, key, .. }) = self.halves.pop_front() else { return };
            if let Some(known) = connections.get_mut(&key).filter(|known| known.seen.waiting == self.first) {
                known.seen.waiting = 0;
            }
            self.first += 1;
            self.settle(&mut o);
            due.push_waited(o, &own);
        }
    }

    /// Decides, of what has waited in vain or was told both ways, whether it was answered, where its records did not say.
    fn settle(&mut self, o: &mut Observation) {
        let each = (o.sent + o.received) / o.packets.max(1);
        let tried = match o.transport {
            // What counts no packets does not tell of what came back, in this record or another.
            _ if o.packets == 0 => false,
            6 => o.packets <= TRIED_PACKETS_MAX && each <= TRIED_BYTES_MAX,
            17 => o.packets <= ASKED_PACKETS_MAX,
            _ => false,
        };
        if o.received > 0 && o.sent == 0 {
            return; // An answer whose question was not told of.
        }
        if o.received > 0 {
            self.exporters.entry(o.observer, o.time).judge(true);
            if o.transport == 6 && o.flags.is_none() && o.packets <= 2 && each <= TRIED_BYTES_MAX && o.answer == Answer::Yes {
                o.answer = Answer::Refused;
            }
        } else if !tried && o.transport == 6 {
            self.exporters.entry(o.observer, o.time).judge(false);
        } else if tried && o.answer == Answer::Unknown && o.sampling <= 1 {
            let known = self.exporters.get(&o.observer);
            if known.is_none_or(Exporter::tells_both) {
                o.answer = Answer::No;
            }
        }
    }
}

fn half(halves: &mut VecDeque<Half>, first: u64, number: u64) -> Option<&mut Half> {
    halves.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
}

fn goes_on(seen: &Seen, o: &Observation) -> bool {
    let gap = o.start.saturating_sub(seen.end);
    match (o.transport, o.flags) {
        // A later part of a long connection has no SYN any more.
        (6, Some(flags)) if flags & 0x02 == 0 => true,
        (6, _) => gap <= GOES_ON_TCP_NS,
        _ => gap <= GOES_ON_UDP_NS,
    }
}

/// Adds another record of the same observer to one that waits.
fn add(half: &mut Observation, o: &Observation, same_way: bool) {
    // What was turned when it was read counts what came back already.
    let (sent, received) = if same_way { (o.sent, o.received) } else { (o.received, o.sent) };
    half.sent += sent;
    half.received += received;
    half.packets += o.packets;
    half.start = half.start.min(o.start);
    half.end = half.end.max(o.end);
    if received > 0 {
        half.both_ways = true;
        half.answer = if o.answer == Answer::Refused { Answer::Refused } else { Answer::Yes };
    }
}

/// Learns from another device what this record does not say.
fn complete(half: &mut Observation, o: &Observation) {
    if half.answer == Answer::Unknown || o.both_ways && !half.both_ways {
        half.answer = o.answer;
    }
    if o.both_ways && !half.both_ways && (half.source, half.source_port) == (o.source, o.source_port) {
        (half.sent, half.received, half.both_ways) = (half.sent.max(o.sent), half.received.max(o.received), true);
    }
}

fn turn(o: &mut Observation) {
    std::mem::swap(&mut o.source, &mut o.destination);
    std::mem::swap(&mut o.source_port, &mut o.port);
    std::mem::swap(&mut o.sent, &mut o.received);
}
