//! JSON objects, read in one pass: each scalar is told with the path of its keys. No tree of values is built, nothing is allocated.
//!
//! ```text
//!  {"a":{"b":1},"c":["x","y"]}   ->   a.b = 1 | c = "x" | c = "y"
//! ```
//!
//! An object or an array with nothing in it is told as a value that says nothing, so that it is known to be there.
//!
//! Lenient where strictness would lose evidence: a record that is cut off keeps what came before the cut, what is nested too deeply is
//! stepped over, control characters within text stand for themselves. A number that no machine number holds stays text.
//!
//! What stands between two values is read once and remembered (`shapes.rs`): of a record of a known kind only the values are read. Text
//! is searched for quotes and backslashes sixteen bytes a step. Texts without escapes are told where they stand; others are written out
//! in plain.

use wide::u8x16;

use crate::keys::{Key, Keys};
pub use crate::shapes::Name;
use crate::shapes::{Follows, Next, OUTSIDE, Open, PADDING, START};
use crate::{FieldId, RowBuilder, Value};

/// Objects and arrays within each other at most; what lies deeper is stepped over and the sink is told.
pub const DEPTH_MAX: usize = 64;

/// How a text reads as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// One object, and nothing after it.
    Whole,
    /// An object whose end is missing: what came before the cut was read.
    Cut,
    /// No JSON object.
    No,
}

/// Who is told what an object holds.
pub trait Sink {
    /// The paths of keys.
    fn keys(&mut self) -> &mut Keys;

    /// The field of a path, where the sink writes to fields: asked once and remembered with the path's place in records.
    fn field(&mut self, _path: Key) -> Option<FieldId> {
        None
    }

    /// The next scalar, but for what [`Sink::span`] is told of.
    fn value(&mut self, name: Name, value: Value<'_>);

    /// The next scalar, a text that stands in what is read from `start` on, `len` bytes long.
    fn span(&mut self, name: Name, start: usize, len: usize);

    /// Something is nested too deeply and stepped over.
    fn too_deep(&mut self) {}
}

/// Memory for reading, kept from one record to the next.
#[derive(Debug, Default)]
pub struct Room {
    /// The record, and the padding behind it.
    padded: Vec<u8>,
    /// Texts written out in plain.
    plain: Vec<u8>,
}

/// Reads the object in `text`.
pub fn read(text: &str, room: &mut Room, sink: &mut impl Sink) -> Outcome {
    sink.keys().begin();
    let Room { padded, plain } = room;
    padded.clear();
    padded.extend_from_slice(text.as_bytes());
    padded.extend_from_slice(&PADDING);
    Scanner { bytes: text.as_bytes(), padded, text, at: 0, any: false, plain, sink }.object()
}

/// Why reading ends early.
enum Stop {
    /// The text ends.
    End,
    /// It is no JSON.
    Bad,
}

/// What stands between two values.
struct Join {
    /// The containers that are open behind it.
    open: u32,
    path: Key,
    follows: Follows,
    /// Whether its bytes alone say what follows: nothing was stepped over.
    is_fixed: bool,
}

struct Scanner<'t, 's, S> {
    bytes: &'t [u8],
    /// The same, and zeros: steps of several bytes at its end need no other way.
    padded: &'s [u8],
    text: &'t str,
    at: usize,
    /// Whether any scalar was told.
    any: bool,
    plain: &'s mut Vec<u8>,
    sink: &'s mut S,
}

/// Bytes looked at in one step: most texts end within it.
const STEP: usize = 32;

/// Bytes that a step with escapes reads and writes at most: another step behind its last escape.
const REACH: usize = 2 * STEP + 2;

const _: () = assert!(PADDING.len() >= REACH);

/// Which of these bytes are a quote or a backslash, one bit each.
#[inline]
fn marks(step: &[u8; STEP]) -> u32 {
    let half = |nth: usize| {
        let half = u8x16::new(step.as_chunks().0[nth]);
        (half.simd_eq(u8x16::splat(b'"')) | half.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
    };
    half(0) | half(1) << 16
}

/// What a letter behind a backslash stands for; 0 for those that stand for no one byte.
const ESCAPES: [u8; 256] = {
    let mut of = [0; 256];
    of[b'n' as usize] = b'\n';
    of[b'r' as usize] = b'\r';
    of[b't' as usize] = b'\t';
    of[b'b' as usize] = 8;
    of[b'f' as usize] = 12;
    of[b'"' as usize] = b'"';
    of[b'\\' as usize] = b'\\';
    of[b'/' as usize] = b'/';
    of
};

/// Digits that a `u64` holds whatever they are.
const DIGITS_MAX: usize = 19;

/// Powers of ten that `f64` holds exactly.
const TENS: [f64; DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];

const WHOLE_TENS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The number that the bytes begin with, and how many of them are its digits.
#[inline]
fn leading_digits(step: [u8; 8]) -> (u64, usize) {
    const ONES: u64 = u64::MAX / 255;
    let bytes = u64::from_le_bytes(step) ^ (ONES * u64::from(b'0'));
    // The high bit of each byte above nine; an addition's carry spoils only bytes behind such a one.
    let others = (bytes.wrapping_add(ONES * 0x76) | bytes) & (ONES * 0x80);
    let count = others.trailing_zeros() as usize / 8;
    if count == 0 {
        return (0, 0);
    }
    // The first digit is the lowest byte: those that are missing come before it as zeros. Then pairs, fours, all eight.
    let digits = bytes << (64 - 8 * count);
    let pairs = (digits * 10).wrapping_add(digits >> 8);
    let low = (pairs & 0xff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let high = ((pairs >> 16) & 0xff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (low.wrapping_add(high) >> 32, count)
}

/// The whole number of up to seven digits with which the bytes begin, as most are, and how many digits it has. None where it may go on, or
/// the record ends there.
#[inline]
fn short_number(padded: &[u8]) -> Option<(i64, usize)> {
    let step = *padded.first_chunk()?;
    let (n, digits) = leading_digits(step);
    let is_whole = (1..8).contains(&digits) && !matches!(step[digits % 8], 0 | b'.' | b'e' | b'E' | b'+' | b'-');
    is_whole.then_some((n as i64, digits))
}

/// Whether the bytes begin with `true` or with `false`, and how many letters that has.
#[inline]
fn truth(padded: &[u8]) -> Option<(bool, usize)> {
    match padded {
        [b't', b'r', b'u', b'e', ..] => Some((true, 4)),
        [b'f', b'a', b'l', b's', b'e', ..] => Some((false, 5)),
        _ => None,
    }
}

impl<S: Sink> Scanner<'_, '_, S> {
    fn object(mut self) -> Outcome {
        match self.read() {
            Ok(()) if self.nothing_follows() => Outcome::Whole,
            Err(Stop::End) if self.any => Outcome::Cut,
            _ => Outcome::No,
        }
    }

    /// Whether nothing but closing marks comes: a brace too many, or the comma of a list, takes nothing from the record.
    fn nothing_follows(&self) -> bool {
        self.bytes[self.at..].iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'}' | b']' | b','))
    }

    /// The next byte that is no white space; not taken.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Reads the object that begins here. No recursion: the depth is bounded by the chain of open containers.
    ///
    /// Where it stands is a variable of its own, [`Scanner::at`] that of what is rarely called: so it stays in a register.
    fn read(&mut self) -> Result<(), Stop> {
        let (mut at, mut place) = (self.at, START);
        loop {
            let Next { name, follows, place: behind } = match self.sink.keys().shapes.expected(place, &self.padded[at..]) {
                Some(join) => {
                    at += join.len();
                    join.next
                }
                None => {
                    self.at = at;
                    let next = self.join(place)?;
                    at = self.at;
                    next
                }
            };
            place = behind;
            match follows {
                Follows::Text => {
                    self.any = true;
                    let mark = self.mark_from(at).ok_or(Stop::End)?;
                    if self.padded[mark] == b'"' {
                        self.sink.span(name, at, mark - at);
                        at = mark + 1;
                    } else {
                        let length = self.escaped(at, mark)?;
                        self.sink.value(name, Value::Text(text_of(&self.plain[..length])));
                        at = self.at;
                    }
                }
                Follows::Other => {
                    if let Some((n, digits)) = short_number(&self.padded[at..]) {
                        self.sink.value(name, Value::Int(n));
                        at += digits;
                    } else if let Some((is_true, letters)) = truth(&self.padded[at..]) {
                        self.sink.value(name, Value::Bool(is_true));
                        at += letters;
                    } else {
                        self.at = at;
                        self.other(name)?;
                        at = self.at;
                    }
                    self.any = true;
                }
                Follows::End => {
                    self.at = at;
                    self.word(name)?;
                    self.any = true;
                }
                Follows::Nothing => {
                    self.at = at;
                    return Ok(());
                }
            }
        }
    }

    /// Reads to the next value or the record's end, and remembers what was read.
    #[inline(never)]
    fn join(&mut self, place: u32) -> Result<Next, Stop> {
        let shapes = &self.sink.keys().shapes;
        let (from, forgotten, open) = (self.at, shapes.forgotten(), shapes.open_at(place));
        let Join { open, path, follows, is_fixed } = self.step(open)?;
        let name = Name { path, field: self.sink.field(path) };
        let join = &self.bytes[from..self.at];
        let shapes = &mut self.sink.keys().shapes;
        let place = if shapes.forgotten() == forgotten && is_fixed {
            shapes.learn(place, join, name, follows, open)
        } else {
            shapes.unknown(open)
        };
        Ok(Next { name, follows, place })
    }

    /// Reads from a value's end within the container `open`, or from the start, to where the next value begins or the record ends.
    fn step(&mut self, mut open: u32) -> Result<Join, Stop> {
        let (mut first, mut is_fixed) = (false, true);
        if open == OUTSIDE {
            if self.token() != Some(b'{') {
                return Err(Stop::Bad);
            }
            self.at += 1;
            (open, first) = (self.sink.keys().shapes.opened(OUTSIDE, true, Key::ROOT), true);
        }
        loop {
            let Open { outer, depth, is_object, mut path } = self.sink.keys().shapes.open(open);
            let close = if is_object { b'}' } else { b']' };
            let mut byte = self.token().ok_or(Stop::End)?;
            if !first && byte == b',' {
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
            } else if !first && byte != close {
                return Err(Stop::Bad);
            }
            if byte == close && first && outer != OUTSIDE {
                // What holds nothing is there all the same.
                return Ok(Join { open, path, follows: Follows::End, is_fixed });
            }
            if byte == close {
                // A comma before the end is let pass: hand-made records have it.
                self.at += 1;
                if outer == OUTSIDE {
                    return Ok(Join { open: OUTSIDE, path: Key::ROOT, follows: Follows::Nothing, is_fixed });
                }
                (open, first) = (outer, false);
                continue;
            }
            first = false;
            if is_object {
                if byte != b'"' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                path = self.key(path)?;
                if self.token().ok_or(Stop::End)? != b':' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
            }
            match byte {
                b'{' | b'[' if depth as usize == DEPTH_MAX => {
                    self.sink.too_deep();
                    self.step_over()?;
                    is_fixed = false;
                }
                b'{' | b'[' => {
                    self.at += 1;
                    (open, first) = (self.sink.keys().shapes.opened(open, byte == b'{', path), true);
                }
                _ => {
                    let follows = if byte == b'"' { Follows::Text } else { Follows::Other };
                    self.at += usize::from(byte == b'"');
                    return Ok(Join { open, path, follows, is_fixed });
                }
            }
        }
    }

    fn key(&mut self, parent: Key) -> Result<Key, Stop> {
        let start = self.at;
        let mark = self.mark_from(start).ok_or(Stop::End)?;
        if self.bytes[mark] == b'"' {
            self.at = mark + 1;
            return Ok(self.sink.keys().child(parent, &self.text[start..mark]));
        }
        let length = self.escaped(start, mark)?;
        Ok(self.sink.keys().child(parent, text_of(&self.plain[..length])))
    }

    /// The first quote or backslash from `at` on.
    #[inline]
    fn mark_from(&self, at: usize) -> Option<usize> {
        match marks(self.padded[at..].first_chunk()?) {
            0 => self.mark_behind(at + STEP),
            marks => Some(at + marks.trailing_zeros() as usize),
        }
    }

    /// [`Scanner::mark_from`] behind the first step.
    #[inline(never)]
    fn mark_behind(&self, at: usize) -> Option<usize> {
        let (steps, _) = self.padded.get(at..)?.as_chunks();
        let (nth, marks) = steps.iter().map(marks).enumerate().find(|(_, marks)| *marks != 0)?;
        Some(at + nth * STEP + marks.trailing_zeros() as usize)
    }

    /// The text from `start` on, whose first escape is at `at`, written out in plain: so many bytes.
    fn escaped(&mut self, start: usize, at: usize) -> Result<usize, Stop> {
        // Written out it is no longer than as it stands, but for the steps at its end.
        let room = self.padded.len() - start;
        if self.plain.len() < room {
            self.plain.resize(room.next_power_of_two(), 0);
        }
        let (out, end) = write_out(self.padded, start, at, self.plain).ok_or(Stop::End)?;
        self.at = end + 1;
        Ok(out)
    }

    /// Takes the digits from here on; how many there are. Of more than nineteen, `n` may not hold all.
    #[inline]
    fn digits(&mut self, n: &mut u64) -> usize {
        let start = self.at;
        while let Some(step) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let (digits, count) = leading_digits(*step);
            if count < 8 {
                *n = n.wrapping_mul(WHOLE_TENS[count]).wrapping_add(digits);
                self.at += count;
                return self.at - start;
            }
            *n = n.wrapping_mul(100_000_000).wrapping_add(digits);
            self.at += 8;
        }
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            *n = n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        self.at - start
    }

    /// A value that is no text, whichever.
    #[inline(never)]
    fn other(&mut self, name: Name) -> Result<(), Stop> {
        match self.bytes.get(self.at) {
            Some(b'-' | b'0'..=b'9') => self.number(name),
            _ => self.word(name),
        }
    }

    fn number(&mut self, name: Name) -> Result<(), Stop> {
        let start = self.at;
        let is_negative = self.bytes[start] == b'-';
        self.at += usize::from(is_negative);
        let mut n: u64 = 0;
        let whole = self.digits(&mut n);
        match self.bytes.get(self.at) {
            None => Err(Stop::End), // An object's last number is followed by something.
            Some(b'.' | b'e' | b'E' | b'+' | b'-') => self.fraction(name, start, is_negative, whole, n),
            Some(_) if whole == 0 => Err(Stop::Bad),
            Some(_) if whole <= DIGITS_MAX && n <= i64::MAX as u64 => {
                self.sink.value(name, Value::Int(if is_negative { -(n as i64) } else { n as i64 }));
                Ok(())
            }
            Some(_) => {
                self.large(name, start);
                Ok(())
            }
        }
    }

    /// A whole number from `start` to here that may not fit: as text it keeps as many digits as it has.
    #[cold]
    fn large(&mut self, name: Name, start: usize) {
        let text = &self.text[start..self.at];
        let value = text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Uint)).unwrap_or(Value::Text(text));
        self.sink.value(name, value);
    }

    /// The rest of a number that begins at `start` with `whole` digits, `n`, behind which it goes on.
    fn fraction(&mut self, name: Name, start: usize, is_negative: bool, whole: usize, mut n: u64) -> Result<(), Stop> {
        if whole == 0 {
            return Err(Stop::Bad);
        }
        let mut behind = 0;
        if self.bytes[self.at] == b'.' {
            self.at += 1;
            behind = self.digits(&mut n);
        }
        let plain = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            self.at += 1;
        }
        if self.at == self.bytes.len() {
            return Err(Stop::End);
        }
        let value = if plain == self.at && whole + behind <= DIGITS_MAX && n < 1 << f64::MANTISSA_DIGITS {
            // Both numbers are exact, so the one rounding of the division gives the nearest.
            let n = n as f64 / TENS[behind];
            Value::Float(if is_negative { -n } else { n })
        } else {
            let text = &self.text[start..self.at];
            match text.parse::<f64>() {
                Ok(n) if n.is_finite() => Value::Float(n),
                Ok(_) => Value::Text(text),
                Err(_) => return Err(Stop::Bad),
            }
        };
        self.sink.value(name, value);
        Ok(())
    }

    fn word(&mut self, name: Name) -> Result<(), Stop> {
        let (before, rest) = self.bytes.split_at(self.at);
        if let Some(close @ (b']' | b'}')) = rest.first() {
            // The end of a container with nothing in it, but for a key without value, or one that ends another kind of container.
            let open = if *close == b']' { b'[' } else { b'{' };
            if before.trim_ascii_end().last() != Some(&open) {
                return Err(Stop::Bad);
            }
            self.sink.value(name, Value::Null);
            return Ok(());
        }
        let (word, value) = match rest.first() {
            Some(b't') => (&b"true"[..], Value::Bool(true)), // Cut off: whole ones were read before.
            Some(b'f') => (&b"false"[..], Value::Bool(false)),
            Some(b'n') => (&b"null"[..], Value::Null),
            Some(b'N') => (&b"NaN"[..], Value::Null),
            Some(_) => return Err(Stop::Bad),
            None => return Err(Stop::End),
        };
        if !rest.starts_with(word) {
            return Err(if word.starts_with(rest) { Stop::End } else { Stop::Bad });
        }
        self.at += word.len();
        self.sink.value(name, value);
        Ok(())
    }

    /// Passes the container that begins here, whatever it holds: brackets are counted, not compared.
    fn step_over(&mut self) -> Result<(), Stop> {
        let mut depth = 0usize;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b'"' => loop {
                    let mark = self.mark_from(self.at.min(self.bytes.len())).ok_or(Stop::End)?;
                    self.at = mark + 1 + usize::from(self.bytes[mark] == b'\\');
                    if self.bytes[mark] == b'"' {
                        break;
                    }
                },
                _ => {}
            }
        }
        Err(Stop::End)
    }
}

/// Writes the text from `start` on, whose first escape is at `at`, out in plain; how many bytes that takes, and where its quote is. None where
/// the record ends before.
fn write_out(padded: &[u8], start: usize, mut at: usize, plain: &mut [u8]) -> Option<(usize, usize)> {
    let mut out = at - start;
    plain[..out].copy_from_slice(&padded[start..at]);
    loop {
        // A step is copied as it stands, then again from behind each of its escapes on.
        let from = padded.get(at..)?.first_chunk::<REACH>()?;
        let to = plain[out..].first_chunk_mut::<REACH>()?;
        to[..STEP].copy_from_slice(&from[..STEP]);
        let (mut marks, mut taken, mut written) = (u64::from(marks(from.first_chunk()?)), 0, 0);
        while marks != 0 {
            let mark = marks.trailing_zeros() as usize % STEP;
            written += mark - taken;
            if from[mark] == b'"' {
                return Some((out + written, at + mark));
            }
            let byte = ESCAPES[usize::from(from[mark + 1])];
            if byte == 0 {
                break;
            }
            to[written] = byte;
            to[written + 1..written + 1 + STEP].copy_from_slice(&from[mark + 2..mark + 2 + STEP]);
            (written, taken) = (written + 1, mark + 2);
            marks &= !(3 << mark);
        }
        if marks == 0 {
            let rest = STEP.max(taken) - taken;
            (out, at) = (out + written + rest, at + taken + rest);
        } else {
            (out, at) = rare_escape(padded, at + marks.trailing_zeros() as usize, plain, out + written)?;
        }
    }
}

/// Writes out the escape at `at` that stands for no one byte; how much is written then, and where the text goes on.
#[inline(never)]
fn rare_escape(padded: &[u8], at: usize, plain: &mut [u8], out: usize) -> Option<(usize, usize)> {
    match *padded.get(at + 1)? {
        0 if padded.len() - PADDING.len() == at + 1 => return None, // The record ends.
        b'u' => {
            if let Some((char, end)) = unicode(padded, at) {
                return Some((out + char.encode_utf8(&mut plain[out..]).len(), end));
            }
        }
        _ => {}
    }
    plain[out] = b'\\'; // No escape that JSON knows: the backslash stands for itself.
    Some((out + 1, at + 1))
}

/// `\uXXXX` at `at`, with its second half where it is the first of a pair; half a pair is the replacement character.
fn unicode(padded: &[u8], at: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = padded.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u32, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
    };
    let high = unit(at)?;
    if (0xd800..0xdc00).contains(&high)
        && let Some(low) = unit(at + 6).filter(|low| (0xdc00..0xe000).contains(low))
    {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12));
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), at + 6))
}

/// What was written out: whole characters of a text, and whole characters for its escapes.
fn text_of(plain: &[u8]) -> &str {
    std::str::from_utf8(plain).unwrap_or_default()
}

/// Reads objects into rows, each path the field of its name.
pub struct Reader {
    keys: Keys,
    room: Room,
    fields: Fields,
}

/// Writes for a path's name the field's.
type NameOf = dyn Fn(&str, &mut String) + Send;

/// The fields of paths, each interned when it is first met.
struct Fields {
    name: Box<NameOf>,
    known: Vec<Known>,
    generation: u32,
    scratch: String,
}

#[derive(Clone, Copy)]
enum Known {
    Not,
    /// The table of names is full, or the name too long.
    Refused,
    Field(FieldId),
}

impl Reader {
    /// A reader; `name` writes for a path's name (its keys joined by dots) the field's.
    pub fn new(name: impl Fn(&str, &mut String) + Send + 'static) -> Reader {
        let fields = Fields { name: Box::new(name), known: Vec::new(), generation: 0, scratch: String::new() };
        Reader { keys: Keys::new(), room: Room::default(), fields }
    }

    /// Writes what the object in `text` holds to `row`. Where it is no whole object the row may hold part of it.
    pub fn read(&mut self, text: &str, row: &mut RowBuilder<'_>) -> Outcome {
        let Reader { keys, room, fields } = self;
        keys.begin();
        fields.begin(keys);
        let raw_at = row.raw_at(text);
        read(text, room, &mut Cells { keys, fields, row, text, raw_at })
    }
}

struct Cells<'r, 'b> {
    keys: &'r mut Keys,
    fields: &'r mut Fields,
    row: &'r mut RowBuilder<'b>,
    text: &'r str,
    /// Where the text begins within the row's raw text, where it lies there.
    raw_at: Option<usize>,
}

impl Sink for Cells<'_, '_> {
    #[inline]
    fn keys(&mut self) -> &mut Keys {
        self.keys
    }

    fn field(&mut self, path: Key) -> Option<FieldId> {
        match self.fields.known.get(path.index()) {
            Some(Known::Field(field)) => Some(*field),
            Some(Known::Refused) => None,
            Some(Known::Not) | None => self.fields.find(self.keys, path),
        }
    }

    #[inline(always)] // Who calls it knows which value it is: what is left is one way of several.
    fn value(&mut self, name: Name, value: Value<'_>) {
        let Some(field) = name.field else { return };
        match value {
            Value::Int(n) => self.row.int(field, n),
            Value::Bool(b) => self.row.bool(field, b),
            value => self.row.value(field, value),
        }
    }

    #[inline]
    fn span(&mut self, name: Name, start: usize, len: usize) {
        let Some(field) = name.field else { return };
        match self.raw_at {
            Some(raw_at) => self.row.raw_part(field, raw_at + start, len),
            None => self.row.text(field, &self.text[start..start + len]),
        }
    }
}

impl Fields {
    /// Begins a record. Forgets what the keys have forgotten.
    fn begin(&mut self, keys: &Keys) {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.known.truncate(keys.kept());
        }
    }

    #[cold]
    fn find(&mut self, keys: &Keys, path: Key) -> Option<FieldId> {
        self.scratch.clear();
        (self.name)(keys.name(path), &mut self.scratch);
        let field = if path == Key::REFUSED { None } else { FieldId::intern(&self.scratch) };
        if self.known.len() < keys.len() {
            self.known.resize(keys.len(), Known::Not);
        }
        self.known[path.index()] = field.map_or(Known::Refused, Known::Field);
        field
    }
}
