//! What stands between the values of JSON records: records of one kind differ in their values only.
//!
//! ```text
//!  {"uid":"CX1","port":40490,"tags":["a"]}      {"uid":" | ","port": | ,"tags":[" | "]}
//! ```
//!
//! From the end of one value to the beginning of the next, what a reader does depends on the bytes there and on the containers that are
//! open, so it is remembered: where the same bytes stand again, one comparison takes the place of commas, quotes, colons, brackets and the
//! look-up of the key. What is expected depends on the three joins before it, which tells most kinds of record apart (of 60,000 mixed
//! records 87 of 100 joins were the first that was expected; with one join before it, 61). What a reader does is the same with and without this.

use wide::u8x16;

use crate::keys::{Key, hash};

/// Joins that are remembered; beyond, all is forgotten and learned again. Half a megabyte, which a core's second-level cache holds.
const JOINS_MAX: usize = 1 << 14;
/// Bytes of a join that is remembered: names are at most as long as a field's.
const JOIN_BYTES_MAX: usize = 288;
/// Bytes of remembered joins in all, of those that are longer than is compared at once.
const TEXT_BYTES_MAX: usize = 1 << 18;
/// Joins behind one place that are compared, the latest first.
const TRIED_MAX: usize = 16;
/// Bytes that are compared at once.
const HEAD_BYTES: usize = 32;
/// Joins before a place that tell it from others.
const BEFORE: usize = 3;
const NONE: u32 = u32::MAX;

/// An object or an array that is open, and those around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// The one around it, by its number.
    pub(crate) outer: u32,
    pub(crate) depth: u32,
    pub(crate) is_object: bool,
    /// The path of what it holds, but for an object's own keys.
    pub(crate) path: Key,
}

/// A place between two values.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// What is open, by its number.
    open: u32,
    /// Hashes of the joins before it, the last one first.
    before: [u32; BEFORE],
    /// The join that was last seen behind it.
    first: u32,
}

/// What stood between a place and the next. One line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Join {
    head: [u8; HEAD_BYTES],
    /// A bit for each byte of the head that is the join's.
    mask: u32,
    /// Where what is behind the head stands in the text.
    rest: u32,
    len: u16,
    next: Next,
    /// The join that was seen behind the same place before this one.
    older: u32,
}

/// The next value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) path: Key,
    /// Whether it is a text, whose first quote is taken.
    pub(crate) is_text: bool,
    /// The place behind it.
    pub(crate) place: u32,
}

/// The memory of a reader.
#[derive(Debug)]
pub(crate) struct Shapes {
    opens: Vec<Open>,
    places: Vec<Place>,
    joins: Vec<Join>,
    text: Vec<u8>,
    /// Places and open containers by hash. Open addressing, linear probing, at most half full; an index plus one.
    place_slots: Vec<u32>,
    open_slots: Vec<u32>,
    forgotten: u32,
    seed: u64,
}

/// The place before a record.
pub(crate) const START: u32 = 0;
/// No container is open.
pub(crate) const OUTSIDE: u32 = 0;

const SLOTS: usize = 2 * JOINS_MAX;

impl Shapes {
    pub(crate) fn new(seed: u64) -> Shapes {
        let mut shapes = Shapes {
            opens: Vec::new(),
            places: Vec::new(),
            joins: Vec::new(),
            text: Vec::new(),
            place_slots: vec![0; SLOTS],
            open_slots: vec![0; SLOTS],
            forgotten: 0,
            seed,
        };
        shapes.begin();
        shapes
    }

    /// Forgets everything: paths are numbered anew, or it is too much.
    pub(crate) fn forget(&mut self) {
        self.opens.clear();
        self.places.clear();
        self.joins.clear();
        self.text.clear();
        self.place_slots.fill(0);
        self.open_slots.fill(0);
        self.forgotten = self.forgotten.wrapping_add(1);
        self.begin();
    }

    fn begin(&mut self) {
        self.opens.push(Open { outer: OUTSIDE, depth: 0, is_object: false, path: Key::ROOT });
        self.places.push(Place { open: OUTSIDE, before: [0; BEFORE], first: NONE });
    }

    /// What is behind `place`, and how many bytes of `rest` it takes, where `rest` begins as it did before.
    #[inline]
    pub(crate) fn expected(&mut self, place: u32, rest: &[u8]) -> Option<(Next, usize)> {
        let head = match rest.first_chunk::<HEAD_BYTES>() {
            Some(head) => *head,
            None => padded(rest),
        };
        let first = self.places[place as usize].first;
        match self.joins.get(first as usize) {
            Some(join) if join.begins(&head, rest, &self.text) => Some((join.next, usize::from(join.len))),
            Some(_) => self.older(place, &head, rest),
            None => None,
        }
    }

    /// [`Shapes::expected`] among the joins but the first.
    #[inline(never)]
    fn older(&mut self, place: u32, head: &[u8; HEAD_BYTES], rest: &[u8]) -> Option<(Next, usize)> {
        let mut newer = self.places[place as usize].first as usize;
        for _ in 1..TRIED_MAX {
            let at = self.joins[newer].older;
            let join = *self.joins.get(at as usize)?;
            if join.begins(head, rest, &self.text) {
                self.joins[newer].older = join.older;
                self.joins[at as usize].older = std::mem::replace(&mut self.places[place as usize].first, at);
                return Some((join.next, usize::from(join.len)));
            }
            newer = at as usize;
        }
        None
    }

    /// How often everything was forgotten: places and containers were numbered anew.
    pub(crate) fn forgotten(&self) -> u32 {
        self.forgotten
    }

    /// Remembers that `join` stood behind `place` and led to a value of `path` within `open`; the place behind that value.
    pub(crate) fn learn(&mut self, place: u32, join: &[u8], path: Key, is_text: bool, open: u32) -> u32 {
        let [last, second, _] = self.places[place as usize].before;
        let before = [hash(self.seed, 0, join), last, second];
        if self.places.len() >= JOINS_MAX || self.joins.len() >= JOINS_MAX || self.text.len() > TEXT_BYTES_MAX {
            let open = self.begin_anew(open);
            return self.place(open, before);
        }
        let next = Next { path, is_text, place: self.place(open, before) };
        if join.len() <= JOIN_BYTES_MAX {
            let (mut head, len) = ([0; HEAD_BYTES], join.len().min(HEAD_BYTES));
            head[..len].copy_from_slice(&join[..len]);
            let rest = self.text.len() as u32;
            self.text.extend_from_slice(&join[len..]);
            let mask = u32::MAX.checked_shl(len as u32).map_or(u32::MAX, |above| !above);
            let older = std::mem::replace(&mut self.places[place as usize].first, self.joins.len() as u32);
            self.joins.push(Join { head, mask, rest, len: join.len() as u16, next, older });
        }
        next.place
    }

    /// A place within `open` of which nothing is known before it.
    pub(crate) fn unknown(&mut self, mut open: u32) -> u32 {
        if self.places.len() >= JOINS_MAX {
            open = self.begin_anew(open);
        }
        self.place(open, [0; BEFORE])
    }

    /// The containers that are open at `place`.
    pub(crate) fn open_at(&self, place: u32) -> u32 {
        self.places[place as usize].open
    }

    pub(crate) fn open(&self, open: u32) -> Open {
        self.opens[open as usize]
    }

    /// A container of values of `path`, opened within `outer`.
    pub(crate) fn opened(&mut self, mut outer: u32, is_object: bool, path: Key) -> u32 {
        if self.opens.len() >= JOINS_MAX {
            outer = self.begin_anew(outer);
        }
        let key = [outer.to_le_bytes(), path.number().to_le_bytes()];
        let mut at = hash(self.seed, u32::from(is_object), key.as_flattened()) as usize % SLOTS;
        while let Some(number) = self.open_slots[at].checked_sub(1) {
            let open = &self.opens[number as usize];
            if open.outer == outer && open.path == path && open.is_object == is_object {
                return number;
            }
            at = (at + 1) % SLOTS;
        }
        let depth = self.opens[outer as usize].depth + 1;
        self.opens.push(Open { outer, depth, is_object, path });
        self.open_slots[at] = self.opens.len() as u32;
        self.opens.len() as u32 - 1
    }

    fn place(&mut self, open: u32, before: [u32; BEFORE]) -> u32 {
        let key = before.map(u32::to_le_bytes);
        let mut at = hash(self.seed, open, key.as_flattened()) as usize % SLOTS;
        while let Some(number) = self.place_slots[at].checked_sub(1) {
            let place = &self.places[number as usize];
            if place.open == open && place.before == before {
                return number;
            }
            at = (at + 1) % SLOTS;
        }
        self.places.push(Place { open, before, first: NONE });
        self.place_slots[at] = self.places.len() as u32;
        self.places.len() as u32 - 1
    }

    /// Forgets everything but the containers that are open; their number now.
    #[cold]
    fn begin_anew(&mut self, open: u32) -> u32 {
        let mut kept = Vec::new();
        let mut at = open;
        while at != OUTSIDE {
            kept.push(self.opens[at as usize]);
            at = self.opens[at as usize].outer;
        }
        self.forget();
        kept.iter().rev().fold(OUTSIDE, |outer, open| self.opened(outer, open.is_object, open.path))
    }
}

impl Join {
    /// Whether `rest`, whose first bytes are `head`, begins with it.
    #[inline]
    fn begins(&self, head: &[u8; HEAD_BYTES], rest: &[u8], text: &[u8]) -> bool {
        let len = usize::from(self.len);
        let Some((join, behind)) = rest.split_at_checked(len) else { return false };
        if differing(head, &self.head) & self.mask != 0 {
            return false;
        }
        if !self.next.is_text && !behind.first().is_some_and(|byte| VALUES[usize::from(*byte)]) {
            return false; // The join goes on.
        }
        len <= HEAD_BYTES || {
            let start = self.rest as usize;
            join[HEAD_BYTES..] == text[start..start + len - HEAD_BYTES]
        }
    }
}

/// With what a value begins that is no text.
const VALUES: [bool; 256] = {
    let (mut values, firsts) = ([false; 256], b"-0123456789tfnN");
    let mut nth = 0;
    while nth < firsts.len() {
        values[firsts[nth] as usize] = true;
        nth += 1;
    }
    values
};

/// A bit for each byte that differs.
#[inline]
fn differing(one: &[u8; HEAD_BYTES], other: &[u8; HEAD_BYTES]) -> u32 {
    let half = |bytes: &[u8; HEAD_BYTES], nth: usize| u8x16::new(bytes.as_chunks().0[nth]);
    let equal = |nth| half(one, nth).simd_eq(half(other, nth)).to_bitmask();
    !(equal(0) | equal(1) << 16)
}

/// Fewer bytes than are compared at once, zeros behind them.
#[cold]
fn padded(rest: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..rest.len()].copy_from_slice(rest);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::keys::Keys;
    use crate::object::{self, Outcome, Room, Sink};

    struct Told {
        keys: Keys,
        values: Vec<String>,
    }

    impl Sink for Told {
        fn keys(&mut self) -> &mut Keys {
            &mut self.keys
        }

        fn value(&mut self, path: Key, value: Value<'_>) {
            self.values.push(format!("{}={value}", self.keys.name(path)));
        }

        fn span(&mut self, path: Key, start: usize, len: usize) {
            self.values.push(format!("{}@{start}+{len}", self.keys.name(path)));
        }
    }

    fn told() -> Told {
        Told { keys: Keys::new(), values: Vec::new() }
    }

    #[test]
    fn what_came_before_is_expected() {
        let (mut told, mut room) = (told(), Room::default());
        for text in [r#"{"a":1,"b":"x"}"#, r#"{"a":1,"b":{"c":2}}"#, r#"{"a":1,"b":[3]}"#] {
            assert_eq!(object::read(text, &mut room, &mut told), Outcome::Whole);
        }
        let shapes = &mut told.keys.shapes;
        let (a, taken) = shapes.expected(START, br#"{"a":22}"#).expect("known");
        assert_eq!((taken, a.is_text), (5, false));
        for other in [r#"{"ab":1}"#, r#"{"a":[1]}"#, r#"{"a": 1}"#, r#"{"a":"1"}"#, r#"{"a":"#, "{\"a\"", ""] {
            assert!(shapes.expected(START, other.as_bytes()).is_none(), "{other}");
        }
        for (rest, taken, is_text) in [(r#","b":"x"}"#, 6, true), (r#","b":{"c":2}}"#, 10, false), (r#","b":[3]}"#, 6, false)] {
            let (next, length) = shapes.expected(a.place, rest.as_bytes()).expect("one of those that came there");
            assert_eq!((length, next.is_text), (taken, is_text), "{rest}");
        }
    }

    #[test]
    fn bounds_are_kept_within_one_record() {
        let (mut told, mut room) = (told(), Room::default());
        let long = "n".repeat(200);
        let members: Vec<String> = (0..60_000)
            .map(|n| match n % 3 {
                0 => format!(r#""k{n}":{{"a":[{n}]}}"#),
                1 => format!(r#""k{}":{n}"#, n % 100),
                _ => format!(r#""{long}{}":{n}"#, n % 10_000),
            })
            .collect();
        let text = format!("{{{}}}", members.join(","));
        for _ in 0..2 {
            told.values.clear();
            assert_eq!(object::read(&text, &mut room, &mut told), Outcome::Whole);
            assert_eq!(told.values.len(), members.len());
            for (n, value) in told.values.iter().enumerate() {
                let path = [format!("k{n}.a"), format!("k{}", n % 100), format!("{long}{}", n % 10_000)];
                assert_eq!(*value, format!("{}={n}", path[n % 3]));
            }
            let shapes = &told.keys.shapes;
            assert!(shapes.forgotten() > 0, "the record is larger than what is remembered");
            assert!(shapes.joins.len().max(shapes.places.len()).max(shapes.opens.len()) <= JOINS_MAX);
            assert!(shapes.text.len() <= TEXT_BYTES_MAX + JOIN_BYTES_MAX);
        }
    }
}
