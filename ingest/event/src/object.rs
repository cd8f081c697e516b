//! JSON objects, read in one pass: each scalar is told with the path of its keys. No tree of values is built, nothing is allocated.
//!
//! ```text
//!  {"a":{"b":1},"c":["x","y"]}   ->   a.b = 1 | c = "x" | c = "y"
//! ```
//!
//! Lenient where strictness would lose evidence: a record that is cut off keeps what came before the cut, what is nested too deeply is
//! stepped over, control characters within text stand for themselves. A number that no machine number holds stays text.
//!
//! What stands between two values is read once and remembered (`shapes.rs`): of a record of a known kind only the values are read. Text
//! is searched for quotes and backslashes sixteen bytes a step. Texts without escapes are told where they stand; others are written out
//! in plain.

use wide::u8x16;

use crate::keys::{Key, Keys};
use crate::shapes::{Next, OUTSIDE, Open, START};
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

    /// The next scalar, but for what [`Sink::span`] is told of.
    fn value(&mut self, path: Key, value: Value<'_>);

    /// The next scalar, a text that stands in what is read from `start` on, `len` bytes long.
    fn span(&mut self, path: Key, start: usize, len: usize);

    /// Something is nested too deeply and stepped over.
    fn too_deep(&mut self) {}
}

/// Memory for reading, kept from one record to the next.
#[derive(Debug, Default)]
pub struct Room {
    /// Texts written out in plain.
    plain: Vec<u8>,
}

/// Reads the object in `text`.
pub fn read(text: &str, room: &mut Room, sink: &mut impl Sink) -> Outcome {
    sink.keys().begin();
    Scanner { bytes: text.as_bytes(), text, at: 0, any: false, plain: &mut room.plain, sink }.object()
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
    is_text: bool,
    /// Whether its bytes alone say what follows: nothing was stepped over.
    is_fixed: bool,
}

struct Scanner<'t, 's, S> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    /// Whether any scalar was told.
    any: bool,
    plain: &'s mut Vec<u8>,
    sink: &'s mut S,
}

/// Bytes looked at in one step: most texts end within it.
const STEP: usize = 32;

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
            let next = match self.sink.keys().shapes.expected(place, &self.bytes[at..]) {
                Some((next, taken)) => {
                    at += taken;
                    next
                }
                None => {
                    self.at = at;
                    let Some(next) = self.join(place)? else { return Ok(()) };
                    at = self.at;
                    next
                }
            };
            place = next.place;
            if next.is_text {
                self.any = true;
                let mark = self.mark_from(at).ok_or(Stop::End)?;
                if self.bytes[mark] == b'"' {
                    self.sink.span(next.path, at, mark - at);
                    at = mark + 1;
                } else {
                    let length = self.escaped(at, mark)?;
                    self.sink.value(next.path, Value::Text(text_of(&self.plain[..length])));
                    at = self.at;
                }
                continue;
            }
            if let Some((n, digits)) = self.short_number(at) {
                self.sink.value(next.path, Value::Int(n));
                at += digits;
            } else {
                self.at = at;
                match self.bytes.get(at) {
                    Some(b'-' | b'0'..=b'9') => self.number(next.path)?,
                    _ => self.word(next.path)?,
                }
                at = self.at;
            }
            self.any = true;
        }
    }

    /// Reads to the next value, and remembers what was read. Nothing where the object ends.
    #[inline(never)]
    fn join(&mut self, place: u32) -> Result<Option<Next>, Stop> {
        let shapes = &self.sink.keys().shapes;
        let (from, forgotten, open) = (self.at, shapes.forgotten(), shapes.open_at(place));
        let Some(Join { open, path, is_text, is_fixed }) = self.step(open)? else { return Ok(None) };
        let join = &self.bytes[from..self.at];
        let shapes = &mut self.sink.keys().shapes;
        let place = if shapes.forgotten() == forgotten && is_fixed {
            shapes.learn(place, join, path, is_text, open)
        } else {
            shapes.unknown(open)
        };
        Ok(Some(Next { path, is_text, place }))
    }

    /// Reads from a value's end within the container `open`, or from the start, to where the next value begins.
    fn step(&mut self, mut open: u32) -> Result<Option<Join>, Stop> {
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
            if byte == close {
                // A comma before the end is let pass: hand-made records have it.
                self.at += 1;
                if outer == OUTSIDE {
                    return Ok(None);
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
                    let is_text = byte == b'"';
                    self.at += usize::from(is_text);
                    return Ok(Some(Join { open, path, is_text, is_fixed }));
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
        if let Some(step) = self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let marks = marks(step);
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize);
            }
        }
        self.mark_behind(at)
    }

    /// [`Scanner::mark_from`] behind the first step.
    #[inline(never)]
    fn mark_behind(&self, mut at: usize) -> Option<usize> {
        while let Some(step) = self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let marks = marks(step);
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize);
            }
            at += STEP;
        }
        let Some(step) = self.bytes.last_chunk() else {
            return self.bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found);
        };
        let marks = u64::from(marks(step)) >> (at + STEP - self.bytes.len());
        (marks != 0).then(|| at + marks.trailing_zeros() as usize)
    }

    /// The text from `start` on, whose first escape is at `at`, written out in plain: so many bytes.
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<usize, Stop> {
        // Written out it is no longer than as it stands, but for a step at its end.
        let room = self.bytes.len() - start + STEP;
        if self.plain.len() < room {
            self.plain.resize(room.next_power_of_two(), 0);
        }
        let mut out = at - start;
        self.plain[..out].copy_from_slice(&self.bytes[start..at]);
        // A step is copied as it stands, then again from behind each of its escapes on.
        while let Some(step) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
            self.plain[out..out + STEP].copy_from_slice(step);
            let (mut marks, mut taken) = (u64::from(marks(step)), 0);
            loop {
                if marks == 0 {
                    let rest = STEP.max(taken) - taken;
                    (out, at) = (out + rest, at + taken + rest);
                    break;
                }
                let mark = marks.trailing_zeros() as usize;
                out += mark - taken;
                if step[mark] == b'"' {
                    self.at = at + mark + 1;
                    return Ok(out);
                }
                let byte = ESCAPES[usize::from(*self.bytes.get(at + mark + 1).ok_or(Stop::End)?)];
                match self.bytes.get(at + mark + 2..).and_then(|rest| rest.first_chunk::<STEP>()) {
                    Some(behind) if byte != 0 => {
                        self.plain[out] = byte;
                        self.plain[out + 1..out + 1 + STEP].copy_from_slice(behind);
                        (out, taken) = (out + 1, mark + 2);
                        marks &= !(3 << mark);
                    }
                    _ => {
                        (out, at) = self.escape(out, at + mark)?;
                        break;
                    }
                }
            }
        }
        loop {
            match *self.bytes.get(at).ok_or(Stop::End)? {
                b'"' => {
                    self.at = at + 1;
                    return Ok(out);
                }
                b'\\' => (out, at) = self.escape(out, at)?,
                byte => {
                    self.plain[out] = byte;
                    (out, at) = (out + 1, at + 1);
                }
            }
        }
    }

    /// Writes out the escape at `at`, whatever it is; where it goes on.
    fn escape(&mut self, out: usize, at: usize) -> Result<(usize, usize), Stop> {
        let escape = *self.bytes.get(at + 1).ok_or(Stop::End)?;
        let byte = ESCAPES[usize::from(escape)];
        if byte != 0 {
            self.plain[out] = byte;
            return Ok((out + 1, at + 2));
        }
        if let Some((char, end)) = (escape == b'u').then(|| self.unicode(at)).flatten() {
            return Ok((out + char.encode_utf8(&mut self.plain[out..]).len(), end));
        }
        self.plain[out] = b'\\'; // No escape that JSON knows: the backslash stands for itself.
        Ok((out + 1, at + 1))
    }

    /// `\uXXXX` at `at`, with its second half where it is the first of a pair; half a pair is the replacement character.
    fn unicode(&self, at: usize) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
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

    /// A whole number of up to seven digits at `at`, as most are, and how many they are.
    #[inline]
    fn short_number(&self, at: usize) -> Option<(i64, usize)> {
        let step = *self.bytes.get(at..)?.first_chunk()?;
        let (n, digits) = leading_digits(step);
        let is_whole = (1..8).contains(&digits) && !matches!(step[digits % 8], b'.' | b'e' | b'E' | b'+' | b'-');
        is_whole.then_some((n as i64, digits))
    }

    fn number(&mut self, path: Key) -> Result<(), Stop> {
        let start = self.at;
        let is_negative = self.bytes[start] == b'-';
        self.at += usize::from(is_negative);
        let mut n: u64 = 0;
        let whole = self.digits(&mut n);
        match self.bytes.get(self.at) {
            None => Err(Stop::End), // An object's last number is followed by something.
            Some(b'.' | b'e' | b'E' | b'+' | b'-') => self.fraction(path, start, is_negative, whole, n),
            Some(_) if whole == 0 => Err(Stop::Bad),
            Some(_) if whole <= DIGITS_MAX && n <= i64::MAX as u64 => {
                self.sink.value(path, Value::Int(if is_negative { -(n as i64) } else { n as i64 }));
                Ok(())
            }
            Some(_) => {
                self.large(path, start);
                Ok(())
            }
        }
    }

    /// A whole number from `start` to here that may not fit: as text it keeps as many digits as it has.
    #[cold]
    fn large(&mut self, path: Key, start: usize) {
        let text = &self.text[start..self.at];
        let value = text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Uint)).unwrap_or(Value::Text(text));
        self.sink.value(path, value);
    }

    /// The rest of a number that begins at `start` with `whole` digits, `n`, behind which it goes on.
    fn fraction(&mut self, path: Key, start: usize, is_negative: bool, whole: usize, mut n: u64) -> Result<(), Stop> {
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
        self.sink.value(path, value);
        Ok(())
    }

    fn word(&mut self, path: Key) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        let (word, value) = match rest.first() {
            Some(b't') => (&b"true"[..], Value::Bool(true)),
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
        self.sink.value(path, value);
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

impl Cells<'_, '_> {
    #[inline]
    fn field(&mut self, path: Key) -> Option<FieldId> {
        let known = match self.fields.known.get(path.index()) {
            Some(known) if self.fields.generation == self.keys.generation() => *known,
            _ => Known::Not,
        };
        match if matches!(known, Known::Not) { self.fields.find(self.keys, path) } else { known } {
            Known::Field(field) => Some(field),
            Known::Not | Known::Refused => None,
        }
    }
}

impl Sink for Cells<'_, '_> {
    #[inline]
    fn keys(&mut self) -> &mut Keys {
        self.keys
    }

    #[inline]
    fn value(&mut self, path: Key, value: Value<'_>) {
        if let Some(field) = self.field(path) {
            self.row.value(field, value);
        }
    }

    #[inline]
    fn span(&mut self, path: Key, start: usize, len: usize) {
        let Some(field) = self.field(path) else { return };
        match self.raw_at {
            Some(raw_at) => self.row.raw_part(field, raw_at + start, len),
            None => self.row.text(field, &self.text[start..start + len]),
        }
    }
}

impl Fields {
    #[cold]
    fn find(&mut self, keys: &Keys, path: Key) -> Known {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.known.truncate(keys.kept());
        }
        if let Some(known @ (Known::Field(_) | Known::Refused)) = self.known.get(path.index()) {
            return *known;
        }
        self.scratch.clear();
        (self.name)(keys.name(path), &mut self.scratch);
        let field = if path == Key::REFUSED { None } else { FieldId::intern(&self.scratch) };
        let known = field.map_or(Known::Refused, Known::Field);
        if self.known.len() < keys.len() {
            self.known.resize(keys.len(), Known::Not);
        }
        self.known[path.index()] = known;
        known
    }
}
