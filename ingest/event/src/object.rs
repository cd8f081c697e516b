//! JSON objects, read in one pass: each scalar is told with the path of its keys. No tree of values is built, nothing is allocated.
//!
//! ```text
//!  {"a":{"b":1},"c":["x","y"]}   ->   a.b = 1 | c = "x" | c = "y"
//! ```
//!
//! Lenient where strictness would lose evidence: a record that is cut off keeps what came before the cut, what is nested too deeply is
//! stepped over, control characters within text stand for themselves. A number that no machine number holds stays text.
//!
//! Text is searched for quotes and backslashes sixteen bytes a step. Texts without escapes are told where they stand; others are written
//! out in plain.

use wide::u8x16;

use crate::keys::{Key, Keys};
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

    /// The next scalar.
    fn value(&mut self, path: Key, value: Value<'_>);

    /// Something is nested too deeply and stepped over.
    fn too_deep(&mut self) {}
}

/// Memory for reading, kept from one record to the next.
#[derive(Debug, Default)]
pub struct Room {
    /// Texts written out in plain.
    plain: Vec<u8>,
    /// The containers around the one that is read.
    around: Vec<Open>,
}

/// Reads the object in `text`.
pub fn read(text: &str, room: &mut Room, sink: &mut impl Sink) -> Outcome {
    let Room { plain, around } = room;
    sink.keys().begin();
    around.clear();
    Scanner { bytes: text.as_bytes(), text, at: 0, any: false, plain, around, sink }.object()
}

/// Why reading ends early.
enum Stop {
    /// The text ends.
    End,
    /// It is no JSON.
    Bad,
}

/// Where a container was opened.
#[derive(Clone, Copy, Debug)]
struct Open {
    is_object: bool,
    /// The path of what the container holds, but for an object's own keys.
    path: Key,
}

/// A text as read.
enum Read {
    /// As it stands between its quotes: from, to.
    Span(usize, usize),
    /// So many bytes of the plain room.
    Plain(usize),
}

struct Scanner<'t, 's, S> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    /// Whether any scalar was told.
    any: bool,
    plain: &'s mut Vec<u8>,
    around: &'s mut Vec<Open>,
    sink: &'s mut S,
}

/// Bytes looked at in one step.
const STEP: usize = 16;

/// Which of these bytes are a quote or a backslash, one bit each.
#[inline]
fn marks(chunk: [u8; STEP]) -> u32 {
    let chunk = u8x16::new(chunk);
    (chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
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

/// Powers of ten that `f64` holds exactly.
const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl<S: Sink> Scanner<'_, '_, S> {
    fn object(mut self) -> Outcome {
        if self.token().is_none_or(|byte| byte != b'{') {
            return Outcome::No;
        }
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

    #[inline]
    fn tell(&mut self, path: Key, value: Value<'_>) {
        self.any = true;
        self.sink.value(path, value);
    }

    /// Reads the object that begins here. No recursion: the depth is bounded by the stack of open containers.
    fn read(&mut self) -> Result<(), Stop> {
        let mut open = Open { is_object: true, path: Key::ROOT };
        self.at += 1;
        let mut first = true;
        loop {
            let close = if open.is_object { b'}' } else { b']' };
            let mut byte = self.token().ok_or(Stop::End)?;
            if byte == close {
                // A comma before the end is let pass: hand-made records have it.
                self.at += 1;
                match self.around.pop() {
                    None => return Ok(()),
                    Some(outer) => open = outer,
                }
                first = false;
                continue;
            }
            if !first {
                if byte != b',' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
                if byte == close {
                    continue;
                }
            }
            first = false;
            let mut path = open.path;
            if open.is_object {
                if byte != b'"' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                path = match self.sink.keys().expected(open.path, &self.bytes[self.at..]) {
                    Some((path, taken)) => {
                        self.at += taken;
                        path
                    }
                    None => self.key(open.path)?,
                };
                if self.token().ok_or(Stop::End)? != b':' {
                    return Err(Stop::Bad);
                }
                self.at += 1;
                byte = self.token().ok_or(Stop::End)?;
            }
            match byte {
                b'"' => {
                    self.at += 1;
                    self.any = true;
                    match self.string()? {
                        Read::Span(from, to) => self.sink.value(path, Value::Text(&self.text[from..to])),
                        Read::Plain(length) => self.sink.value(path, Value::Text(text_of(&self.plain[..length]))),
                    }
                }
                b'{' | b'[' => {
                    if self.around.len() + 1 == DEPTH_MAX {
                        self.sink.too_deep();
                        self.step_over()?;
                    } else {
                        self.at += 1;
                        self.around.push(open);
                        open = Open { is_object: byte == b'{', path };
                        first = true;
                    }
                }
                b'-' | b'0'..=b'9' => self.number(path)?,
                _ => {
                    let value = self.word()?;
                    self.tell(path, value);
                }
            }
        }
    }

    #[cold]
    fn key(&mut self, parent: Key) -> Result<Key, Stop> {
        Ok(match self.string()? {
            Read::Span(from, to) => self.sink.keys().next(parent, &self.text[from..to]),
            Read::Plain(length) => self.sink.keys().next(parent, text_of(&self.plain[..length])),
        })
    }

    /// The text from here, behind its opening quote, to its closing one.
    #[inline]
    fn string(&mut self) -> Result<Read, Stop> {
        let start = self.at;
        let at = self.mark_from(start).ok_or(Stop::End)?;
        if self.bytes[at] == b'"' {
            self.at = at + 1;
            return Ok(Read::Span(start, at));
        }
        self.escaped(start, at)
    }

    /// The first quote or backslash from `at` on.
    #[inline]
    fn mark_from(&self, mut at: usize) -> Option<usize> {
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
            let marks = marks(*chunk);
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize);
            }
            at += STEP;
        }
        self.bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|found| at + found)
    }

    /// A text with escapes; the first one is at `at`.
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<Read, Stop> {
        // Written out it is no longer than as it stands, but for a step at its end.
        let room = self.bytes.len() - start + STEP;
        if self.plain.len() < room {
            self.plain.resize(room.next_power_of_two(), 0);
        }
        let mut out = at - start;
        self.plain[..out].copy_from_slice(&self.bytes[start..at]);
        loop {
            let escape = *self.bytes.get(at + 1).ok_or(Stop::End)?;
            let byte = ESCAPES[usize::from(escape)];
            if byte != 0 {
                self.plain[out] = byte;
                (out, at) = (out + 1, at + 2);
            } else if let Some((char, end)) = (escape == b'u').then(|| self.unicode(at)).flatten() {
                out += char.encode_utf8(&mut self.plain[out..]).len();
                at = end;
            } else {
                self.plain[out] = b'\\'; // No escape that JSON knows: the backslash stands for itself.
                (out, at) = (out + 1, at + 1);
            }
            // The text as it stands up to the next mark.
            loop {
                match self.bytes.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
                    Some(chunk) => {
                        self.plain[out..out + STEP].copy_from_slice(chunk);
                        let marks = marks(*chunk);
                        if marks != 0 {
                            let taken = marks.trailing_zeros() as usize;
                            (out, at) = (out + taken, at + taken);
                            break;
                        }
                        (out, at) = (out + STEP, at + STEP);
                    }
                    None => match self.bytes.get(at).ok_or(Stop::End)? {
                        b'"' | b'\\' => break,
                        byte => {
                            self.plain[out] = *byte;
                            (out, at) = (out + 1, at + 1);
                        }
                    },
                }
            }
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(Read::Plain(out));
            }
        }
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

    fn digits(&mut self, n: &mut u64) -> bool {
        let mut overflow = false;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let (product, over) = n.overflowing_mul(10);
            let (sum, carry) = product.overflowing_add(u64::from(digit - b'0'));
            overflow |= over | carry;
            *n = sum;
            self.at += 1;
        }
        overflow
    }

    fn number(&mut self, path: Key) -> Result<(), Stop> {
        let start = self.at;
        let is_negative = self.bytes[start] == b'-';
        self.at += usize::from(is_negative);
        let digits = self.at;
        let mut n: u64 = 0;
        let overflow = self.digits(&mut n);
        if self.at == digits {
            return Err(if self.at == self.bytes.len() { Stop::End } else { Stop::Bad });
        }
        let whole = self.at;
        if self.bytes.get(whole) == Some(&b'.') {
            self.at += 1;
            self.digits(&mut n);
        }
        let plain = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            self.at += 1;
        }
        if self.at == self.bytes.len() {
            return Err(Stop::End); // An object's last number is followed by something.
        }
        let text = &self.text[start..self.at];
        let value = if whole == self.at {
            if !overflow && !is_negative {
                i64::try_from(n).map_or(Value::Uint(n), Value::Int)
            } else if !overflow && n <= i64::MIN.unsigned_abs() {
                Value::Int((n as i64).wrapping_neg())
            } else {
                Value::Text(text) // As many digits as it has: a machine number would lose some.
            }
        } else if plain == self.at && plain - digits <= TENS.len() {
            // Up to fifteen digits: both numbers are exact, so the one rounding of the division gives the nearest.
            let n = n as f64 / TENS[plain - whole - 1];
            Value::Float(if is_negative { -n } else { n })
        } else {
            match text.parse::<f64>() {
                Ok(n) if n.is_finite() => Value::Float(n),
                Ok(_) => Value::Text(text),
                Err(_) => return Err(Stop::Bad),
            }
        };
        self.any = true;
        self.sink.value(path, value);
        Ok(())
    }

    fn word(&mut self) -> Result<Value<'static>, Stop> {
        let rest = &self.bytes[self.at..];
        for (word, value) in
            [(&b"true"[..], Value::Bool(true)), (b"false", Value::Bool(false)), (b"null", Value::Null), (b"NaN", Value::Null)]
        {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
            if word.starts_with(rest) {
                return Err(Stop::End);
            }
        }
        Err(Stop::Bad)
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
        read(text, room, &mut Cells { keys, fields, row })
    }
}

struct Cells<'r, 'b> {
    keys: &'r mut Keys,
    fields: &'r mut Fields,
    row: &'r mut RowBuilder<'b>,
}

impl Sink for Cells<'_, '_> {
    #[inline]
    fn keys(&mut self) -> &mut Keys {
        self.keys
    }

    #[inline]
    fn value(&mut self, path: Key, value: Value<'_>) {
        let known = match self.fields.known.get(path.index()) {
            Some(known) if self.fields.generation == self.keys.generation() => *known,
            _ => Known::Not,
        };
        let known = if matches!(known, Known::Not) { self.fields.find(self.keys, path) } else { known };
        if let Known::Field(field) = known {
            self.row.value(field, value);
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
