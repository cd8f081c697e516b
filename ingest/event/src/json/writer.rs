//! Many events as JSON objects: the same text as [`write_event`](super::write_event)'s, its plain twin.
//!
//! What does not depend on the event is worked out once: the order of all names, and each name as it is written. The names of one event are
//! put into that order by setting a bit for each, not by comparing them. Texts are looked through and copied in one pass, sixteen bytes a step.

use std::fmt::Write;
use std::net::IpAddr;

use wide::u8x16;

use super::{BESIDE, beside, write_text, write_value};
use crate::places::Places;
use crate::{EventRef, FieldId, Time, Value};

/// Bytes of a step.
const STEP: usize = 16;
/// A name is copied in so many steps whatever its length; a longer one is rare.
const NAME_STEPS: usize = 3;
/// What a number, an address of version 4 or an instant takes at most.
const SHORT_BYTES_MAX: usize = 64;

/// Writes many events, each as [`write_event`](super::write_event) does.
#[derive(Debug, Default)]
pub struct Writer {
    /// Of each field by its number, then of [`BESIDE`].
    names: Vec<Name>,
    /// The names as they are written, each with room behind it for whole steps.
    texts: Vec<u8>,
    places: Places,
    line: Line,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    /// In the order of all names.
    place: u16,
    /// `,"name":` in [`Writer::texts`].
    start: u32,
    len: u32,
}

impl Writer {
    /// Appends `event` to `out`.
    pub fn write(&mut self, event: EventRef<'_>, out: &mut Vec<u8>) {
        let known = self.names.len().saturating_sub(BESIDE.len());
        if known == 0 || event.fields().any(|field| field.index() >= known) {
            self.learn();
        }
        let Writer { names, texts, places, line } = self;
        let (beside, known) = (beside(event), names.len() - BESIDE.len());
        // Cells come grouped by field: the first of a group stands for it.
        let mut before = None;
        for (nth, field) in event.fields().enumerate() {
            if before.replace(field) != Some(field) {
                places.first(names[field.index()].place.into(), nth as u16);
            }
        }
        let count = event.fields().len();
        // What has a cell's name comes behind that cell.
        let mut behind = [None; BESIDE.len()];
        for nth in (0..BESIDE.len()).filter(|nth| beside[*nth].is_some()) {
            let place = usize::from(names[known + nth].place);
            if !places.first(place, (count + nth) as u16) {
                behind[nth] = Some(place);
            }
        }
        line.end = 0;
        places.drain(|place, first| {
            let first = usize::from(first);
            let name = match first.checked_sub(count) {
                None => names[event.field(first).index()],
                Some(nth) => names[known + nth],
            };
            line.name(&texts[name.start as usize..], name.len as usize);
            if first >= count {
                return line.value(&beside[first - count].unwrap_or(Value::Null));
            }
            let field = event.field(first);
            let last = (first + 1..count).take_while(|nth| event.field(*nth) == field).last().unwrap_or(first);
            let more = behind.iter().position(|of| *of == Some(place)).and_then(|nth| beside[nth]);
            let several = last > first || more.is_some();
            if several {
                line.byte(b'[');
            }
            line.value(&event.cell(first));
            for value in (first + 1..=last).map(|nth| event.cell(nth)).chain(more) {
                line.byte(b',');
                line.value(&value);
            }
            if several {
                line.byte(b']');
            }
        });
        line.byte(b'}');
        line.room[0] = b'{'; // In place of the first comma; an event has a format at least.
        out.extend_from_slice(&line.room[..line.end]);
    }

    /// Takes up the names that there are by now.
    fn learn(&mut self) {
        let all: Vec<&str> = FieldId::all_names().into_iter().chain(BESIDE).collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        self.names.clear();
        self.texts.clear();
        let mut text = String::new();
        for name in all {
            text.clear();
            text.push(',');
            write_text(name, &mut text);
            text.push(':');
            let place = sorted.partition_point(|other| *other < name) as u16;
            self.names.push(Name { place, start: self.texts.len() as u32, len: text.len() as u32 });
            self.texts.extend_from_slice(text.as_bytes());
        }
        self.texts.resize(self.texts.len() + NAME_STEPS * STEP, 0);
    }
}

/// An object in the making. There is room behind its end, so that what is short is copied in whole steps.
#[derive(Debug, Default)]
struct Line {
    room: Vec<u8>,
    end: usize,
    /// What is rare is written by the twin.
    odd: String,
}

impl Line {
    fn reserve(&mut self, bytes: usize) {
        if self.room.len() < self.end + bytes {
            self.room.resize((self.end + bytes).next_power_of_two().max(4096), 0);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.reserve(1);
        self.room[self.end] = byte;
        self.end += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.room[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// A name of `len` bytes, with what follows it.
    fn name(&mut self, text: &[u8], len: usize) {
        match text.first_chunk::<{ NAME_STEPS * STEP }>() {
            Some(steps) if len <= steps.len() => {
                self.reserve(steps.len());
                self.room[self.end..self.end + steps.len()].copy_from_slice(steps);
                self.end += len;
            }
            _ => self.bytes(&text[..len]),
        }
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Int(n) => {
                self.reserve(SHORT_BYTES_MAX);
                if *n < 0 {
                    self.byte(b'-');
                }
                self.digits(n.unsigned_abs());
            }
            Value::Uint(n) => {
                self.reserve(SHORT_BYTES_MAX);
                self.digits(*n);
            }
            Value::Ip(IpAddr::V4(ip)) => {
                self.reserve(SHORT_BYTES_MAX);
                self.byte(b'"');
                for byte in ip.octets() {
                    let (text, len) = &OCTETS[usize::from(byte)];
                    self.room[self.end..self.end + text.len()].copy_from_slice(text);
                    self.end += usize::from(*len);
                }
                self.room[self.end - 1] = b'"'; // In place of the last dot.
            }
            Value::Time(time) => self.time(*time),
            odd => {
                let mut text = std::mem::take(&mut self.odd);
                text.clear();
                write_value(odd, &mut text);
                self.bytes(text.as_bytes());
                self.odd = text;
            }
        }
    }

    /// A string. Where a byte must be escaped it is begun again, by the twin.
    fn text(&mut self, text: &str) {
        let (bytes, len) = (text.as_bytes(), text.len());
        self.reserve(len + 2 * STEP);
        let start = self.end;
        self.room[start] = b'"';
        let mut at = start + 1;
        let mut rest = bytes;
        while let Some((step, after)) = rest.split_first_chunk::<STEP>() {
            if must_escape(*step) {
                return self.escaped(text);
            }
            self.room[at..at + STEP].copy_from_slice(step);
            at += STEP;
            rest = after;
        }
        if !rest.is_empty() {
            let step = padded(rest);
            if must_escape(step) {
                return self.escaped(text);
            }
            self.room[at..at + STEP].copy_from_slice(&step);
            at += rest.len();
        }
        self.room[at] = b'"';
        self.end = at + 1;
    }

    #[cold]
    fn escaped(&mut self, text: &str) {
        let mut odd = std::mem::take(&mut self.odd);
        odd.clear();
        write_text(text, &mut odd);
        self.bytes(odd.as_bytes());
        self.odd = odd;
    }

    /// A number of one digit at least.
    fn digits(&mut self, mut n: u64) {
        let mut text = [0; 20];
        let mut at = text.len();
        while n >= 100 {
            at -= 2;
            text[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
            n /= 100;
        }
        let pair = PAIRS[n as usize];
        if n >= 10 {
            at -= 1;
            text[at] = pair[1];
        }
        at -= 1;
        text[at] = if n >= 10 { pair[0] } else { pair[1] };
        self.bytes(&text[at..]);
    }

    /// An instant as [`Time`] is displayed, in quotes.
    fn time(&mut self, time: Time) {
        let (year, month, day, hour, minute, second, ns) = time.civil();
        self.reserve(SHORT_BYTES_MAX);
        if !(0..10_000).contains(&year) {
            self.odd.clear();
            write!(self.odd, "\"{time}\"").expect("writing to a String does not fail");
            let odd = std::mem::take(&mut self.odd);
            self.bytes(odd.as_bytes());
            self.odd = odd;
            return;
        }
        let mut text = *b"\"2000-01-01T00:00:00.000000000Z\"";
        let year = year.unsigned_abs();
        let pairs = [(1, year / 100), (3, year % 100), (6, month), (9, day), (12, hour), (15, minute), (18, second)];
        for (at, pair) in pairs {
            text[at..at + 2].copy_from_slice(&PAIRS[pair as usize]);
        }
        let digits = match ns {
            0 => 0,
            _ if ns % 1_000_000 == 0 => 4,
            _ if ns % 1000 == 0 => 7,
            _ => 10,
        };
        if digits > 0 {
            for (at, thousand) in [(21, ns / 1_000_000), (24, ns / 1000 % 1000), (27, ns % 1000)] {
                text[at] = b'0' + (thousand / 100) as u8;
                text[at + 1..at + 3].copy_from_slice(&PAIRS[(thousand % 100) as usize]);
            }
        }
        let end = 20 + digits;
        text[end] = b'Z';
        text[end + 1] = b'"';
        self.bytes(&text[..end + 2]);
    }
}

/// Whether a JSON string escapes one of the bytes (RFC 8259 §7), or it is DEL, which a terminal would not show.
fn must_escape(step: [u8; STEP]) -> bool {
    let step = u8x16::new(step);
    let control = step.min(u8x16::splat(0x1f)).simd_eq(step);
    let is = |byte| step.simd_eq(u8x16::splat(byte));
    (control | is(b'"') | is(b'\\') | is(0x7f)).to_bitmask() != 0
}

/// Fewer bytes than a step, blanks behind them.
fn padded(bytes: &[u8]) -> [u8; STEP] {
    let len = bytes.len();
    let word = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << (8 * (len - 8))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
    } else {
        bytes.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte))
    };
    let blanks = u128::from_le_bytes([b' '; STEP]).checked_shl(8 * len as u32).unwrap_or(0);
    (word | blanks).to_le_bytes()
}

/// The two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Each byte in decimal with a dot behind it, and how many bytes that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [(*b"....", 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        let skipped = if n >= 100 {
            0
        } else if n >= 10 {
            1
        } else {
            2
        };
        let mut at = skipped;
        while at < 3 {
            octets[n].0[at - skipped] = digits[at];
            at += 1;
        }
        octets[n].1 = 4 - skipped as u8;
        n += 1;
    }
    octets
};
