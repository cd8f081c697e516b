//! What stands between the values of JSON records: records of one kind differ in their values only.
//!
//! ```text
//!  {"uid":"CX1","port":40490,"tags":["a"]}      {"uid":" | ","port": | ,"tags":[" | "]}
//! ```
//!
//! From the end of one value to the beginning of the next, what a reader does depends on the bytes there and on the containers that are
//! open, so it is remembered: where the same bytes stand again, one comparison takes the place of commas, quotes, colons, brackets and the
//! look-up of the key. What is expected depends on the six joins before it, which tells most kinds of record apart (of 60,000 mixed
//! records 91 of 100 joins were the first that was expected; with one join before it, 61). What a reader does is the same with and without this.
//! A record's end is a join too, behind which nothing follows.

use wide::u8x16;

use crate::FieldId;
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
/// Zeros that stand behind a record: of its last bytes too there are as many as are looked at in one step.
pub(crate) const PADDING: [u8; 96] = [0; 96];
/// Joins before a place that tell it from others.
const BEFORE: usize = 6;
const NOTHING_BEFORE: [u32; BEFORE] = [0; BEFORE];
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
pub(crate) struct Join {
    head: [u8; HEAD_BYTES],
    /// A bit for each byte of the head that is the join's.
    mask: u32,
    /// Where what is behind the head stands in the text.
    rest: u32,
    len: u16,
    pub(crate) next: Next,
    /// The join that was seen behind the same place before this one.
    older: u32,
}

/// What a value is called.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The path of its keys.
    pub path: Key,
    /// The field that the sink writes it to, where it told one.
    pub field: Option<FieldId>,
}

/// What follows a join.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Follows {
    /// A text, whose first quote is taken.
    Text,
    /// A value that is none.
    Other,
    /// The end of a container that holds nothing.
    End,
    /// Nothing: the join closes the record.
    Nothing,
}

/// The next value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    pub(crate) name: Name,
    pub(crate) follows: Follows,
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
    /// Places and open containers by hash.
    place_slots: Slots,
    open_slots: Slots,
    forgotten: u32,
    seed: u64,
}

/// The place before a record.
pub(crate) const START: u32 = 0;
/// No container is open.
pub(crate) const OUTSIDE: u32 = 0;

/// Numbers by the hash of what they stand for, each one more than the last. Open addressing, linear probing, at most half full; a number plus
/// one. It grows with what it holds, up to twice [`JOINS_MAX`]: there are hundreds of readers, and most see few kinds of record.
#[derive(Debug)]
struct Slots(Vec<u32>);

const SLOTS_MIN: usize = 64;

impl Slots {
    fn new() -> Slots {
        Slots(vec![0; SLOTS_MIN])
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    /// The number of this hash that `is` what is looked for.
    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize;
        loop {
            let number = self.0[at & (self.0.len() - 1)].checked_sub(1)?;
            if is(number) {
                return Some(number);
            }
            at += 1;
        }
    }

    /// Adds the next number, where `hash` tells each one's. The first one, zero, is never looked for.
    fn add(&mut self, number: u32, hash: impl Fn(u32) -> u32) {
        let size = self.0.len();
        if (number as usize + 1) * 2 > size {
            self.0.clear();
            self.0.resize(2 * size, 0);
            (1..number).for_each(|other| self.put(other, hash(other)));
        }
        self.put(number, hash(number));
    }

    fn put(&mut self, number: u32, hash: u32) {
        let mask = self.0.len() - 1;
        let mut at = hash as usize & mask;
        while self.0[at] != 0 {
            at = (at + 1) & mask;
        }
        self.0[at] = number + 1;
    }
}

impl Shapes {
    pub(crate) fn new(seed: u64) -> Shapes {
        let mut shapes = Shapes {
            opens: Vec::new(),
            places: Vec::new(),
            joins: Vec::new(),
            text: Vec::new(),
            place_slots: Slots::new(),
            open_slots: Slots::new(),
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
        self.place_slots.clear();
        self.open_slots.clear();
        self.forgotten = self.forgotten.wrapping_add(1);
        self.begin();
    }

    fn begin(&mut self) {
        self.opens.push(Open { outer: OUTSIDE, depth: 0, is_object: false, path: Key::ROOT });
        self.places.push(Place { open: OUTSIDE, before: NOTHING_BEFORE, first: NONE });
    }

    /// The join behind `place`, where `rest` begins with one that stood there before. Behind the record's own bytes `rest` has
    /// [`PADDING`].
    #[inline]
    pub(crate) fn expected(&mut self, place: u32, rest: &[u8]) -> Option<&Join> {
        let first = self.places[place as usize].first as usize;
        if self.joins.get(first)?.begins(rest, &self.text) {
            return self.joins.get(first);
        }
        let older = self.older(place, rest) as usize;
        self.joins.get(older)
    }

    /// The same among the joins but the first, by its number; [`NONE`] where there is none.
    #[inline(never)]
    fn older(&mut self, place: u32, rest: &[u8]) -> u32 {
        let mut newer = self.places[place as usize].first;
        for _ in 1..TRIED_MAX {
            let at = self.joins[newer as usize].older;
            let Some(join) = self.joins.get(at as usize) else { break };
            if join.begins(rest, &self.text) {
                self.joins[newer as usize].older = join.older;
                self.joins[at as usize].older = std::mem::replace(&mut self.places[place as usize].first, at);
                return at;
            }
            newer = at;
        }
        NONE
    }

    /// How often everything was forgotten: places and containers were numbered anew.
    pub(crate) fn forgotten(&self) -> u32 {
        self.forgotten
    }

    /// Remembers that `join` stood behind `place` and led within `open` to what follows, a value called `name`; the place behind that.
    pub(crate) fn learn(&mut self, place: u32, join: &[u8], name: Name, follows: Follows, open: u32) -> u32 {
        let mut before = self.places[place as usize].before;
        before.rotate_right(1);
        before[0] = hash(self.seed, 0, join);
        if follows == Follows::Nothing {
            before = NOTHING_BEFORE;
        }
        if self.places.len() >= JOINS_MAX || self.joins.len() >= JOINS_MAX || self.text.len() > TEXT_BYTES_MAX {
            let open = self.begin_anew(open);
            return self.place(open, before);
        }
        let next = Next { name, follows, place: self.place(open, before) };
        // What has no zero never stands in the padding.
        if join.len() <= JOIN_BYTES_MAX && !join.contains(&0) {
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
        self.place(open, NOTHING_BEFORE)
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
        let depth = self.opens[outer as usize].depth + 1;
        let new = Open { outer, depth, is_object, path };
        let (opens, seed) = (&mut self.opens, self.seed);
        let is_new = |open: &Open| open.outer == outer && open.path == path && open.is_object == is_object;
        if let Some(number) = self.open_slots.find(new.hash(seed), |number| is_new(&opens[number as usize])) {
            return number;
        }
        let number = opens.len() as u32;
        opens.push(new);
        self.open_slots.add(number, |number| opens[number as usize].hash(seed));
        number
    }

    fn place(&mut self, open: u32, before: [u32; BEFORE]) -> u32 {
        let new = Place { open, before, first: NONE };
        let (places, seed) = (&mut self.places, self.seed);
        let is_new = |place: &Place| place.open == open && place.before == before;
        if let Some(number) = self.place_slots.find(new.hash(seed), |number| is_new(&places[number as usize])) {
            return number;
        }
        let number = places.len() as u32;
        places.push(new);
        self.place_slots.add(number, |number| places[number as usize].hash(seed));
        number
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

impl Open {
    fn hash(&self, seed: u64) -> u32 {
        let key = [self.outer.to_le_bytes(), self.path.number().to_le_bytes()];
        hash(seed, u32::from(self.is_object), key.as_flattened())
    }
}

impl Place {
    fn hash(&self, seed: u64) -> u32 {
        hash(seed, self.open, self.before.map(u32::to_le_bytes).as_flattened())
    }
}

impl Join {
    /// How many bytes it is.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether `rest`, with its padding, begins with it.
    #[inline]
    fn begins(&self, rest: &[u8], text: &[u8]) -> bool {
        let Some(head) = rest.first_chunk() else { return false };
        if differing(head, &self.head) & self.mask != 0 {
            return false;
        }
        let len = self.len();
        let goes_on = match self.next.follows {
            Follows::Other => !rest.get(len).is_some_and(|byte| VALUES[usize::from(*byte)]),
            Follows::End => !matches!(rest.get(len), Some(b']' | b'}')),
            Follows::Text | Follows::Nothing => false,
        };
        if goes_on {
            return false;
        }
        len <= HEAD_BYTES || {
            let start = self.rest as usize;
            rest.get(HEAD_BYTES..len) == Some(&text[start..start + len - HEAD_BYTES])
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

        fn value(&mut self, name: Name, value: Value<'_>) {
            self.values.push(format!("{}={value}", self.keys.name(name.path)));
        }

        fn span(&mut self, name: Name, start: usize, len: usize) {
            self.values.push(format!("{}@{start}+{len}", self.keys.name(name.path)));
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
        let mut expected = |place, rest: &str| {
            let padded = [rest.as_bytes(), &PADDING].concat();
            shapes.expected(place, &padded).map(|join| (join.len(), join.next.follows, join.next.place))
        };
        let (taken, follows, behind_a) = expected(START, r#"{"a":22}"#).expect("known");
        assert_eq!((taken, follows), (5, Follows::Other));
        for other in [r#"{"ab":1}"#, r#"{"a":[1]}"#, r#"{"a": 1}"#, r#"{"a":"1"}"#, r#"{"a":"#, "{\"a\"", ""] {
            assert!(expected(START, other).is_none(), "{other}");
        }
        let known = [
            (r#","b":"x"}"#, 6, Follows::Text, "}"),
            (r#","b":{"c":2}}"#, 10, Follows::Other, "}}"),
            (r#","b":[3]}"#, 6, Follows::Other, "]}"),
        ];
        for (rest, taken, follows, end) in known {
            let (length, found, behind) = expected(behind_a, rest).expect("one of those that came there");
            assert_eq!((length, found), (taken, follows), "{rest}");
            let (length, found, _) = expected(behind, end).expect("the record's end");
            assert_eq!((length, found), (end.len(), Follows::Nothing), "{rest}");
            assert!(expected(behind, &end[1..]).is_none(), "the padding is no end: {rest}");
        }
    }

    #[test]
    fn what_holds_nothing_is_no_place_for_a_value() {
        let (mut told, mut room) = (told(), Room::default());
        let texts = [
            (r#"{"a":{},"b":[1,2],"c":[]}"#, Outcome::Whole),
            (r#"{"a":{0},"b":[1,2],"c":[]}"#, Outcome::No),
            (r#"{"a":{],"b":[1,2],"c":[]}"#, Outcome::No),
            (r#"{"a":{},"b":[1,],"c":[]}"#, Outcome::Whole),
            (r#"{"a":{},"b":[1,2],"c":[0]}"#, Outcome::Whole),
            (r#"{"a":{},"b":[1,2],"c":[}"#, Outcome::No),
        ];
        for _ in 0..2 {
            for (text, outcome) in texts {
                assert_eq!(object::read(text, &mut room, &mut told), outcome, "{text}");
            }
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
