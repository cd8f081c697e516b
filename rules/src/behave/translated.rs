//! One connection before and behind a translation of its addresses. Where one record names both, what somebody else tells from behind it is
//! of the same connection: it counts once, and for who really asked.
//!
//! ```text
//!  a firewall tells   10.3.16.9:50000 ─▶ 198.51.100.7:443, seen as 203.0.113.1:61000
//!  an exporter tells  203.0.113.1:61000 ─▶ 198.51.100.7:443     the same, and of the same time: taken as from 10.3.16.9:50000
//! ```
//!
//! A firewall tells of most sessions when they have ended, after exporters behind it. So what comes from an address that others are seen as
//! waits for the firewall, and is taken as it was told where that tells nothing. What it tells later than that of a long session has been
//! taken already. Where a port was given to another one so soon that it may be either's, it is nobody's.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::connection::{End, Key, REMEMBERED_NS};
use super::conversation::REOPENED_NS;
use super::observe::{Answer, Observation, What, is_service};
use crate::table::Table;

/// Translated connections that are known; beyond it the one idle longest is forgotten (counted).
const KNOWN_MAX: usize = 200_000;
/// How long one is known after it was last told of: the longest active timeout that exporters come with.
const KNOWN_NS: i64 = 1800 * 1_000_000_000;
/// Addresses that others are seen as, which are known; and how long after the last time.
const ADDRESSES_MAX: usize = 20_000;
const ADDRESS_NS: i64 = 86_400 * 1_000_000_000;
/// Records that wait; beyond it the first one is taken as it was told (counted).
const WAITING_MAX: usize = 100_000;

/// Of a connection's ends behind a translation, what they were before.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Before {
    source: End,
    destination: End,
    /// Whether behind the translation the lower end of the key is the source's.
    low_began: bool,
    start: i64,
    /// Until when it was told of, and whether it goes on beyond: only its begin was told by who translates.
    end: i64,
    open: bool,
}

/// The last two connections that had these ends.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Known([Option<Before>; 2]);

#[derive(Deserialize, Serialize)]
struct Waits {
    until: i64,
    o: Observation,
    text: String,
}

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Translated {
    /// By tenant, transport and the ends behind the translation.
    known: Table<Key, Known>,
    /// By tenant and address: which device told last that somebody is seen as that.
    addresses: Table<(u32, u128), u64>,
    waiting: VecDeque<Waits>,
    hurried: u64,
}

impl Default for Translated {
    fn default() -> Translated {
        Translated { known: Table::new(KNOWN_MAX), addresses: Table::new(ADDRESSES_MAX), waiting: VecDeque::new(), hurried: 0 }
    }
}

impl Translated {
    pub(super) fn evicted(&self) -> u64 {
        self.known.evicted() + self.addresses.evicted() + self.hurried
    }

    pub(super) fn byte_len(&self) -> usize {
        let texts: usize = self.waiting.iter().map(|waits| waits.text.len()).sum();
        self.known.byte_len() + self.addresses.byte_len() + self.waiting.capacity() * size_of::<Waits>() + texts
    }

    /// Whether a record may be from behind a translation that nobody has told of yet.
    pub(super) fn waits(&self, o: &Observation) -> bool {
        if self.addresses.len() == 0 || !has_ends(o) || o.seen_as != 0 || o.answer == Answer::Denied {
            return false;
        }
        // Who translates tells itself what is translated.
        let by_another = |address| self.addresses.get(&(o.tenant, address)).is_some_and(|device| *device != o.observer);
        // What only comes back, and is not asked of a service there.
        let answers = || o.one_way && !is_service(o.port) && o.flags.is_none_or(|flags| flags & 0x12 != 0x02);
        (by_another(o.source) || answers() && by_another(o.destination)) && self.before(o).is_none()
    }

    /// Lets a record wait, with its texts.
    pub(super) fn hold(&mut self, o: &Observation, text: &str) {
        let (mut own, mut o) = (String::new(), *o);
        o.move_texts(text, &mut own);
        self.waiting.push_back(Waits { until: o.time.saturating_add(REMEMBERED_NS), o, text: own });
    }

    /// Gives the first of the records that have waited long enough by `now`, or are too many.
    pub(super) fn release(&mut self, now: i64) -> Option<(Observation, String)> {
        let until = self.waiting.front()?.until;
        if until > now && self.waiting.len() <= WAITING_MAX {
            return None;
        }
        self.hurried += u64::from(until > now);
        let Waits { mut o, text, .. } = self.waiting.pop_front()?;
        o.time = until.min(now);
        Some((o, text))
    }

    /// Takes a flow: learns what it tells of a translation, and tells it as it was before one that others have told of. Where it tells of a
    /// connection that is new, gives how that is keyed by who stands behind the translation.
    pub(super) fn take(&mut self, o: &mut Observation) -> Option<Key> {
        let tells = o.translated != 0 || o.seen_as != 0;
        self.tell_before(o);
        if tells { self.learn(o) } else { None }
    }

    fn learn(&mut self, o: &Observation) -> Option<Key> {
        // Of one way of two it is not always plain whose answer it is, and so which of the ends are behind.
        let plain = o.known || o.turned || !o.one_way || is_service(o.port) && !is_service(o.source_port);
        // A source's port is any; what is called has the port that was called, where no other one is told.
        let told = o.seen_as == 0 || o.seen_as_port != 0;
        if !has_ends(o) || !plain || !told || o.answer == Answer::Denied {
            return None;
        }
        self.known.expire(o.time.saturating_sub(KNOWN_NS));
        self.addresses.expire(o.time.saturating_sub(ADDRESS_NS));
        if o.seen_as != 0 {
            *self.addresses.entry((o.tenant, o.seen_as), o.time) = o.observer;
        }
        let source = if o.seen_as == 0 { (o.source, o.source_port) } else { (o.seen_as, o.seen_as_port) };
        let destination = match (o.translated, o.translated_port) {
            (0, _) => (o.destination, o.port),
            (ip, 0) => (ip, o.port),
            end => end,
        };
        let key = Key::new(o.tenant, o.transport, source, destination);
        let before = Before {
            source: (o.source, o.source_port),
            destination: (o.destination, o.port),
            low_began: key.is_low(source),
            start: o.start,
            end: o.end,
            open: o.begins,
        };
        let Known([last, other]) = self.known.entry(key, o.time);
        match last {
            Some(last) if (last.source, last.destination) == (before.source, before.destination) => {
                let goes_on = last.is_of(o);
                if goes_on {
                    (last.start, last.end) = (last.start.min(before.start), last.end.max(before.end));
                    last.open &= before.open;
                } else {
                    *last = before;
                }
                (!goes_on).then_some(key)
            }
            _ => {
                // Who has the ends now ended what had them.
                *other = last.map(|last| Before { open: false, ..last });
                *last = Some(before);
                Some(key)
            }
        }
    }

    /// Tells a record from behind a translation as it was before that.
    pub(super) fn tell_before(&mut self, o: &mut Observation) {
        if self.known.len() == 0 || !has_ends(o) {
            return;
        }
        let Some((key, before)) = self.before(o) else { return };
        // It goes on as long as it is told of, whoever tells.
        if let Known([Some(last), _]) = self.known.entry(key, o.time)
            && (last.source, last.destination) == (before.source, before.destination)
        {
            last.end = last.end.max(o.end);
        }
        if before.low_began != key.is_low((o.source, o.source_port)) {
            o.turn();
        }
        if before.source != (o.source, o.source_port) && o.seen_as == 0 {
            (o.seen_as, o.seen_as_port) = (o.source, o.source_port);
        }
        if before.destination != (o.destination, o.port) && o.translated == 0 {
            (o.translated, o.translated_port) = (o.destination, o.port);
        }
        ((o.source, o.source_port), (o.destination, o.port)) = (before.source, before.destination);
        // What a device counts on both sides of its translation are two counts of one.
        o.observer = !o.observer;
    }

    /// What a record from behind a translation is of.
    fn before(&self, o: &Observation) -> Option<(Key, Before)> {
        let key = Key::new(o.tenant, o.transport, (o.source, o.source_port), (o.destination, o.port));
        let Known(both) = self.known.get(&key)?;
        let mut of_its_time = both.iter().flatten().filter(|before| before.is_of(o));
        let one = match (of_its_time.next()?, of_its_time.next()) {
            (one, None) => one,
            (one, Some(other)) => {
                let longer = one.overlap(o).saturating_sub(other.overlap(o));
                if longer.abs() <= REOPENED_NS {
                    return None;
                }
                if longer > 0 { one } else { other }
            }
        };
        // Who says that it began the other way knows better.
        (!o.known || one.low_began == key.is_low((o.source, o.source_port))).then_some((key, *one))
    }
}

impl Before {
    /// For how long both lasted; less than nothing where they lie apart.
    fn overlap(&self, o: &Observation) -> i64 {
        let end = if self.open { o.end } else { self.end.min(o.end) };
        end.saturating_sub(self.start.max(o.start))
    }

    fn is_of(&self, o: &Observation) -> bool {
        self.overlap(o) >= -REOPENED_NS
    }
}

/// Whether it is of a connection that its ends tell from others.
fn has_ends(o: &Observation) -> bool {
    !matches!(o.what, What::Login | What::File) && o.destination != 0 && o.source_port != 0 && o.port != 0
}
