//! The windows of one rule and tenant, by group: found by hash, given up by how long they were idle.

use event::EventId;
use hashbrown::DefaultHashBuilder;

use super::plan::Asks;
use super::short::Short;
use super::snapshot::{In, Out};
use super::window::{Decision, Entering, Pool, Slab, Window, state_bytes};
use crate::table::{Index, NONE, Order, hash_of};

/// Matches that are looked ahead for: what is read for so many fits the nearest caches.
pub(super) const AHEAD: usize = 16;
/// Entries of a window, from the first one on, that are looked ahead for where an alert will name them.
const ENTRIES_AHEAD: usize = 4;

/// One group.
#[derive(Debug)]
struct Group {
    /// Its place in the order.
    turn: u64,
    key: Short,
    hash: u32,
    window: Window,
}

/// The groups of one rule and tenant.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Slab<Group>,
    by_key: Index,
    hasher: DefaultHashBuilder,
    order: Order,
    pool: Pool,
    /// Matches of the rule that wait for the watermark.
    pub(super) waiting: usize,
    /// And the bytes that they take.
    pub(super) waiting_bytes: usize,
    /// Windows that are decided when they end.
    pub(super) endings: usize,
    /// How often the rule has fired since that was last taken, and the latest time when it did.
    pub(super) fired: Option<(u64, i64)>,
    group_bytes: usize,
    state_bytes: usize,
}

/// What an event has done to its group.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) group: u32,
    pub(super) decision: Decision,
    /// Entries of its window that gave way.
    pub(super) entries_given_up: u64,
    /// Groups that gave way.
    pub(super) groups_given_up: u64,
}

impl Groups {
    pub(super) fn new(asks: &Asks) -> Groups {
        Groups {
            groups: Slab::default(),
            by_key: Index::default(),
            hasher: DefaultHashBuilder::default(),
            order: Order::default(),
            pool: Pool::default(),
            waiting: 0,
            waiting_bytes: 0,
            endings: 0,
            fired: None,
            group_bytes: 0,
            state_bytes: state_bytes(asks),
        }
    }

    /// The rule has fired.
    pub(super) fn note_fired(&mut self, time: i64) {
        let (count, last) = self.fired.get_or_insert((0, time));
        *count += 1;
        *last = time.max(*last);
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.group_bytes + self.pool.bytes()
    }

    /// An event enters the window of its group, which is then the one that was idle for the shortest time. Of more than `groups_max`
    /// groups, or `bytes_max` bytes, those that were idle longest give way.
    pub(super) fn enter(
        &mut self,
        asks: &Asks,
        key: &[u8],
        entering: Entering<'_>,
        (groups_max, bytes_max): (usize, usize),
    ) -> Entered {
        let hash = hash_of(&self.hasher, key);
        let mut groups_given_up = 0;
        let at = match self.find(hash, key) {
            Some(at) => {
                if self.order.newest() != Some(at) {
                    self.order.leave(self.groups[at].turn);
                    self.touch(at);
                }
                at
            }
            None => {
                while self.len() >= groups_max && self.give_up(asks) {
                    groups_given_up += 1;
                }
                self.insert(asks, hash, key)
            }
        };
        let (decision, mut entries_given_up) = self.groups[at].window.enter(&mut self.pool, asks, at, entering);
        while self.bytes() > bytes_max {
            let window = &mut self.groups[at].window;
            // A window that has half of all gives of its own.
            if self.order.oldest() != Some(at) && window.len as usize * self.pool.bytes_per_entry() <= bytes_max / 2 {
                groups_given_up += u64::from(self.give_up(asks));
            } else if window.len > 1 {
                window.leave(&mut self.pool, asks);
                entries_given_up += 1;
            } else {
                break;
            }
        }
        Entered { group: at, decision, entries_given_up, groups_given_up }
    }

    /// Reads what will be needed when events enter the groups of these keys with these values, [`AHEAD`] at most. It changes nothing; but reads
    /// that do not wait for each other take hardly longer than one, and then all of it lies near. What it gives hangs on what was read, so
    /// that the reads are not left out.
    pub(super) fn warm<'k>(&self, asks: &Asks, entering: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone) -> u64 {
        // Step by step for all of them, so that of each step the reads do not wait for each other.
        let (mut hashes, mut len, mut read) = ([0; AHEAD], 0, 0);
        for (hash, (key, _)) in hashes.iter_mut().zip(entering.clone()) {
            *hash = hash_of(&self.hasher, key);
            read ^= self.by_key.touch(*hash);
            len += 1;
        }
        // Whether it is the key is not asked: that would wait for the group. It is, but once in a billion times.
        let at = hashes.map(|hash| self.by_key.find(hash, |_| true).unwrap_or(NONE));
        let found = || at[..len].iter().filter(|at| **at != NONE).map(|at| &self.groups[*at]);
        read = found().fold(read, |read, group| read ^ group.turn ^ group.window.last_time as u64);
        if asks.counts_values() {
            for (hash, (group, (_, value))) in hashes.iter_mut().zip(at[..len].iter().zip(entering)) {
                *hash = self.pool.hash(*group, value);
                read ^= self.pool.touch(*hash);
            }
        }
        read = found().fold(read, |read, group| read ^ group.window.touch(&self.pool));
        if asks.counts_values() {
            read = hashes[..len].iter().fold(read, |read, hash| read ^ self.pool.touch_value(*hash));
        }
        if !asks.fires_early() {
            return read;
        }
        let mut entries = [NONE; AHEAD];
        entries.iter_mut().zip(found()).for_each(|(entry, group)| *entry = group.window.first_entry());
        for _ in 0..ENTRIES_AHEAD {
            entries.iter_mut().for_each(|entry| *entry = self.pool.next_entry(*entry));
        }
        entries.iter().fold(read, |read, entry| read ^ u64::from(*entry))
    }

    fn insert(&mut self, asks: &Asks, hash: u32, key: &[u8]) -> u32 {
        let key = Short::from(key);
        self.group_bytes += self.bytes_of(&key);
        let at = self.groups.put(Group { turn: 0, key, hash, window: Window::new(asks) });
        self.by_key.insert(hash, at);
        self.touch(at);
        at
    }

    /// Puts a group that has no place at the end of the order.
    fn touch(&mut self, at: u32) {
        let groups = &mut self.groups;
        let turn = self.order.push(at, self.by_key.len(), |at, turn| groups[at].turn = turn);
        groups[at].turn = turn;
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.by_key.find(hash, |at| *self.groups[at].key == *key)
    }

    /// The group of a key.
    pub(super) fn group(&self, key: &[u8]) -> Option<u32> {
        self.find(hash_of(&self.hasher, key), key)
    }

    /// A group's window.
    pub(super) fn window(&self, group: u32) -> &Window {
        &self.groups[group].window
    }

    /// The events in a group's window in their order; where not `all`, those that have come since this was last asked.
    pub(super) fn hear(&mut self, group: u32, all: bool) -> impl Iterator<Item = EventId> {
        let window = &mut self.groups[group].window;
        let unheard = std::mem::take(&mut window.unheard);
        let known = if all { 0 } else { window.len - unheard };
        window.events(&self.pool).skip(known as usize)
    }

    /// Forgets the group that was idle longest. `false` where there is none.
    pub(super) fn give_up(&mut self, asks: &Asks) -> bool {
        let Some(at) = self.order.oldest() else { return false };
        let group = &mut self.groups[at];
        group.window.clear(&mut self.pool, asks);
        let key = std::mem::take(&mut group.key);
        self.by_key.remove(group.hash, at);
        self.order.leave(group.turn);
        self.groups.release(at);
        self.group_bytes -= self.bytes_of(&key);
        true
    }

    /// Forgets groups whose last event has left every window that is still to come.
    pub(super) fn expire(&mut self, asks: &Asks, watermark: i64) {
        let is_over = |group: &Group| group.window.last_time.saturating_add(asks.timespan_ns) < watermark;
        while self.order.oldest().is_some_and(|oldest| is_over(&self.groups[oldest])) && self.give_up(asks) {}
    }

    /// Appends all groups to a snapshot, first the one that was idle longest.
    pub(super) fn save(&self, out: &mut Out) {
        out.number(self.len() as u64);
        for at in self.order.iter() {
            let group = &self.groups[at];
            out.bytes(&group.key);
            group.window.save(&self.pool, out);
        }
    }

    /// Reads what [`Groups::save`] has written.
    pub(super) fn read(asks: &Asks, input: &mut In<'_>) -> Option<Groups> {
        let mut groups = Groups::new(asks);
        for _ in 0..input.number()? {
            let key = input.bytes()?;
            let at = groups.insert(asks, hash_of(&groups.hasher, key), key);
            groups.groups[at].window.read(&mut groups.pool, asks, at, input)?;
        }
        Some(groups)
    }

    fn bytes_of(&self, key: &Short) -> usize {
        size_of::<Group>() + self.state_bytes + key.elsewhere() + Index::BYTES_EACH + Order::BYTES_EACH
    }
}
