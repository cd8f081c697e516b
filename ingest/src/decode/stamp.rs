//! Timestamps as devices write them, with or without year and offset.

use std::sync::LazyLock;

use event::Time;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A timestamp as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stamp {
    year: Option<i16>,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    ns: i32,
    offset_s: Option<i32>,
}

impl Stamp {
    /// Whether it says which instant it is, not only which hour of some zone.
    pub(super) fn has_offset(&self) -> bool {
        self.offset_s.is_some()
    }

    /// The instant: in `zone` where the stamp has no offset, in the year that brings it nearest to `reference` where it has none.
    pub(super) fn resolve(&self, zone: &Zone, reference: Time) -> Option<Time> {
        let Some(year) = self.year else { return self.nearest(zone, reference) };
        self.in_year(year, zone)
    }

    /// The instant in the year that brings it nearest to `reference`.
    fn nearest(&self, zone: &Zone, reference: Time) -> Option<Time> {
        let distance = |time: &Time| time.since_ns(reference).unsigned_abs();
        let in_year = |year: i64| i16::try_from(year).ok().and_then(|year| self.in_year(year, zone));
        // By the mean length of years, which is a year off at most at their ends, where half a year is only left on the side that it is off to.
        let about = 1970 + reference.unix_s().div_euclid(31_556_952);
        let here = in_year(about);
        // Every other year is at least 364 days away from this one's, whatever the zone: it needs no look.
        if here.as_ref().is_some_and(|time| distance(time) < 181 * 86_400 * 1_000_000_000) {
            return here;
        }
        let before = if here.is_none_or(|time| time > reference) { in_year(about - 1) } else { None };
        let after = if here.is_none_or(|time| time <= reference) { in_year(about + 1) } else { None };
        [before, here, after].into_iter().flatten().min_by_key(distance)
    }

    fn in_year(&self, year: i16, zone: &Zone) -> Option<Time> {
        let second = self.second.min(59); // A leap second is the last one of its minute.
        let part = |n: i8| u32::try_from(n).ok();
        let (month, day, hour) = (part(self.month)?, part(self.day)?, part(self.hour)?);
        let ns = u32::try_from(self.ns).ok()?;
        let civil = Time::from_civil(year.into(), month, day, hour, part(self.minute)?, part(second)?, ns)?;
        let offset = match self.offset_s {
            Some(offset) => offset,
            None => match zone.offset_at(civil.unix_s()) {
                Some(offset) => offset,
                None => {
                    // An hour that the clocks skipped or went through twice: the zone's own rules say which is meant.
                    let civil = DateTime::new(year, self.month, self.day, self.hour, self.minute, second, self.ns).ok()?;
                    let ns = zone.rules.to_timestamp(civil).ok()?.as_nanosecond();
                    return Some(Time::from_unix_ns(i64::try_from(ns).ok()?));
                }
            },
        };
        Some(civil.plus_ns(-i64::from(offset) * 1_000_000_000))
    }
}

/// A time zone, and the offsets of the local times that have one only: looked up, not worked out for every stamp.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    rules: TimeZone,
    /// In order; between them lie the hours that were skipped or came twice, and the times that no span was made for.
    spans: Box<[Span]>,
}

/// Local times, in seconds since 1970 as if they were UTC, from the first to before the last, and their offset.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: i64,
    to: i64,
    offset_s: i32,
}

/// Spans are made for stamps of these years: before 1990 there were no logs that anybody still reads.
const SPANS_FROM_S: i64 = 631_152_000;
/// 2100.
const SPANS_TO_S: i64 = 4_102_444_800;
/// More changes of the clocks than any zone has in these years.
const SPANS_MAX: usize = 1024;

impl Zone {
    /// The zone with these rules.
    pub(super) fn new(rules: TimeZone) -> Zone {
        let mut spans = Vec::new();
        let start = Timestamp::from_second(SPANS_FROM_S).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut from = SPANS_FROM_S;
        let mut offset_s = rules.to_offset(start).seconds();
        let mut first = from + i64::from(offset_s);
        for change in rules.following(start).take(SPANS_MAX) {
            let at = change.timestamp().as_second();
            if at >= SPANS_TO_S {
                break;
            }
            let next = change.offset().seconds();
            let (earlier, later) = (offset_s.min(next), offset_s.max(next));
            spans.push(Span { from: first, to: at + i64::from(earlier), offset_s });
            (from, offset_s, first) = (at, next, at + i64::from(later));
        }
        if from < SPANS_TO_S {
            spans.push(Span { from: first, to: SPANS_TO_S + i64::from(offset_s), offset_s });
        }
        Zone { rules, spans: spans.into() }
    }

    /// Universal time.
    pub(super) fn utc() -> &'static Zone {
        static UTC: LazyLock<Zone> = LazyLock::new(|| Zone::new(TimeZone::UTC));
        &UTC
    }

    #[inline]
    fn offset_at(&self, local_s: i64) -> Option<i32> {
        let span = match &*self.spans {
            [only] => only,
            spans => spans.get(spans.partition_point(|span| span.to <= local_s))?,
        };
        (span.from..span.to).contains(&local_s).then_some(span.offset_s)
    }
}

/// Reads bytes one after the other.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|b| bytes.contains(b))?;
        self.at += 1;
        Some(byte)
    }

    /// A number of `min` to `max` digits.
    fn number(&mut self, min: usize, max: usize) -> Option<i32> {
        let start = self.at;
        let mut n = 0;
        while self.at - start < max {
            match self.peek() {
                Some(digit @ b'0'..=b'9') => n = n * 10 + i32::from(digit - b'0'),
                _ => break,
            }
            self.at += 1;
        }
        if self.at - start < min {
            self.at = start;
            return None;
        }
        Some(n)
    }

    fn month_name(&mut self) -> Option<i8> {
        let month = month_name(self.text.as_bytes().get(self.at..self.at + 3)?)?;
        self.at += 3;
        Some(month)
    }

    /// A month's name, short or spelled out: `Apr`, `April`.
    fn month(&mut self) -> Option<i8> {
        let start = self.at;
        let month = self.month_name()?;
        let letters = self.text.as_bytes()[start..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let name = MONTHS[usize::try_from(month - 1).ok()?];
        let word = &self.text[start..start + letters];
        if letters > 3 && (word.eq_ignore_ascii_case(name) || word == "Sept") {
            self.at = start + letters;
        }
        Some(month)
    }

    /// `HH:MM:SS` with a fraction after `.` or `,`.
    fn clock(&mut self) -> Option<(i8, i8, i8, i32)> {
        self.clock_of(b':', 1)
    }

    /// Hour, minute and second with this between, and a fraction: the hour of so many digits at least.
    #[inline]
    fn clock_of(&mut self, between: u8, hour_digits: usize) -> Option<(i8, i8, i8, i32)> {
        let hour = self.number(hour_digits, 2).filter(|n| *n < 24)?;
        self.eat(between)?;
        let minute = self.number(2, 2).filter(|n| *n < 60)?;
        self.eat(between)?;
        let second = self.number(2, 2).filter(|n| *n <= 60)?;
        Some((hour as i8, minute as i8, second as i8, self.fraction()))
    }

    /// Hour and minute where no second follows.
    fn minutes(&mut self) -> Option<(i8, i8, i8, i32)> {
        let hour = self.number(2, 2).filter(|n| *n < 24)?;
        self.eat(b':')?;
        let minute = self.number(2, 2).filter(|n| *n < 60)?;
        (!matches!(self.peek(), Some(b'0'..=b'9' | b':' | b'.' | b','))).then_some((hour as i8, minute as i8, 0, 0))
    }

    /// Nanoseconds after `.`, `,` or, of three digits, `:`; none where no digit follows.
    #[inline]
    fn fraction(&mut self) -> i32 {
        /// What brings so many digits to nanoseconds; of further digits nothing is kept.
        const SCALE: [i32; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
        match self.text.as_bytes()[self.at..] {
            [b'.' | b',', b'0'..=b'9', ..] => {}
            // `09:00:00:123`: three digits after a colon, as Comware writes them.
            [b':', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {}
            _ => return 0, // A dot that ends a sentence.
        }
        self.at += 1;
        let rest = &self.text.as_bytes()[self.at..];
        let (mut n, mut count) = (0, 0);
        for byte in rest.iter().take(9) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            n = n * 10 + i32::from(digit);
            count += 1;
        }
        let further = rest[count..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count + further;
        n * SCALE[count]
    }

    /// A blank and an offset; not a blank and a word that begins with Z.
    fn offset_after_blank(&mut self) -> Option<i32> {
        let mark = self.at;
        let found = self.eat(b' ').and_then(|()| matches!(self.peek(), Some(b'+' | b'-')).then(|| self.offset())?);
        if found.is_none() {
            self.at = mark;
        }
        found
    }

    /// ` AM` or ` PM` after a clock of twelve hours.
    fn half_of_day(&mut self, hour: i8) -> Option<i8> {
        let rest = &self.text[self.at..];
        let word = rest.trim_start_matches(' ');
        let (add, at_twelve) = match word.as_bytes() {
            [b'A' | b'a', b'M' | b'm', ..] => (0, 0),
            [b'P' | b'p', b'M' | b'm', ..] => (12, 12),
            _ => return Some(hour),
        };
        self.at = self.text.len() - word.len() + 2;
        (1..=12).contains(&hour).then_some(if hour == 12 { at_twelve } else { hour + add })
    }

    /// An offset or a zone's name that is one offset everywhere, with a blank before it or not.
    fn zone(&mut self) -> Option<i32> {
        let mark = self.at;
        while self.eat(b' ').is_some() {}
        if matches!(self.peek(), Some(b'+' | b'-' | b'Z' | b'z'))
            && let Some(offset) = self.offset()
            && !matches!(self.peek(), Some(next) if next.is_ascii_alphanumeric())
        {
            return Some(offset);
        }
        self.at = self.at.max(mark);
        let rest = self.text[self.at..].trim_start_matches(' ');
        let word = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let found = ZONES.iter().find(|(name, _)| *name == &rest[..word]);
        match found {
            Some((_, hours)) => {
                self.at = self.text.len() - rest.len() + word;
                // `GMT+09:00`, `UTC+0900`: the offset is from there.
                let from_there = if *hours == 0 && matches!(self.peek(), Some(b'+' | b'-')) { self.offset() } else { None };
                Some(hours * 3600 + from_there.unwrap_or(0))
            }
            None => {
                self.at = mark;
                None
            }
        }
    }

    /// `Z`, `+09:00`, `+0900`, `+09`, with a blank before it or not.
    #[inline]
    fn offset(&mut self) -> Option<i32> {
        // `+09:00` to the letter, as RFC 3339 has it.
        if let [sign @ (b'+' | b'-'), rest @ ..] = &self.text.as_bytes()[self.at..]
            && let Some(&[a @ b'0'..=b'2', b @ b'0'..=b'9', b':', c @ b'0'..=b'5', d @ b'0'..=b'9']) = rest.first_chunk()
        {
            let digit = |byte: u8| i32::from(byte - b'0');
            let (hours, minutes) = (digit(a) * 10 + digit(b), digit(c) * 10 + digit(d));
            if hours < 24 {
                self.at += 6;
                let seconds = hours * 3600 + minutes * 60;
                return Some(if *sign == b'-' { -seconds } else { seconds });
            }
        }
        let mark = self.at;
        let read = |c: &mut Cursor<'a>| {
            if c.eat_any(b"Zz").is_some() {
                return Some(0);
            }
            let sign = if c.eat_any(b"+-")? == b'-' { -1 } else { 1 };
            let hours = c.number(2, 2).filter(|n| *n < 24)?;
            let mark = c.at;
            let minutes = match (c.eat(b':'), c.number(2, 2)) {
                (_, Some(minutes)) if minutes < 60 => minutes,
                _ => {
                    c.at = mark;
                    0
                }
            };
            Some(sign * (hours * 3600 + minutes * 60))
        };
        let found = read(self);
        if found.is_none() {
            self.at = mark;
        }
        found
    }
}

/// The month of which these are the first three letters.
#[inline]
fn month_name(name: &[u8]) -> Option<i8> {
    let &[a, b, c] = name else { return None };
    Some(match [a | 0x20, b | 0x20, c | 0x20] {
        [b'j', b'a', b'n'] => 1,
        [b'f', b'e', b'b'] => 2,
        [b'm', b'a', b'r'] => 3,
        [b'a', b'p', b'r'] => 4,
        [b'm', b'a', b'y'] => 5,
        [b'j', b'u', b'n'] => 6,
        [b'j', b'u', b'l'] => 7,
        [b'a', b'u', b'g'] => 8,
        [b's', b'e', b'p'] => 9,
        [b'o', b'c', b't'] => 10,
        [b'n', b'o', b'v'] => 11,
        [b'd', b'e', b'c'] => 12,
        _ => return None,
    })
}

/// RFC 3339 and its relatives: `2026-04-01T09:00:00.123+09:00`, with a blank for `T`, `/` or `.` for `-`, offset or none; `2026:04:01-09:00:00`
/// (Sophos UTM). Gives what follows.
pub(super) fn iso(text: &str) -> Option<(Stamp, &str)> {
    iso_of(text, false)
}

/// The same; of a `loose` one also `2026 04 01 09:00:00`, and no seconds, which headers have.
fn iso_of(text: &str, loose: bool) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    if let Some(stamp) = full(text.as_bytes()) {
        c.at = 19;
        let ns = c.fraction();
        let offset_s = c.offset().or_else(|| c.offset_after_blank());
        return Some((Stamp { ns, offset_s, ..stamp }, &text[c.at..]));
    }
    let year = c.number(4, 4)?;
    let separator = c.eat_any(if loose { b"-/:. " } else { b"-/:." })?;
    let digits_min = if matches!(separator, b'/' | b'.') { 1 } else { 2 }; // `2026/4/1 9:00:00`
    let month = c.number(digits_min, 2).or_else(|| c.month_name().map(i32::from))?; // `2026-Apr-01 09:00:00`
    c.eat(separator)?;
    let day = c.number(digits_min, 2)?;
    if c.eat_any(b"Tt -")? == b' ' {
        while c.eat(b' ').is_some() {} // An hour of one digit after a blank.
    }
    let mark = c.at;
    let clock = c.clock().or_else(|| {
        c.at = mark;
        c.clock_of(b'.', 2) // `HH.MM.SS.ffffff`, as Db2 writes it.
    });
    let clock = clock.or_else(|| {
        c.at = mark;
        loose.then(|| c.minutes())?
    })?;
    let offset_s = c.offset().or_else(|| c.offset_after_blank());
    Some((stamp(Some(year), month, day, clock, offset_s)?, &text[c.at..]))
}

/// The number of two digits at a place; `good` no longer holds where they are none.
#[inline]
fn two_digits(b: &[u8], at: usize, good: &mut bool) -> i32 {
    let (tens, ones) = (b[at].wrapping_sub(b'0'), b[at + 1].wrapping_sub(b'0'));
    *good &= tens < 10 && ones < 10;
    i32::from(tens) * 10 + i32::from(ones)
}

/// `2026-04-01T09:00:00` to the letter (RFC 3339 §5.6), the text's first 19 bytes: places are fixed, so nothing needs to be looked for.
#[inline]
fn full(b: &[u8]) -> Option<Stamp> {
    let b: &[u8; 19] = b.first_chunk()?;
    if (b[4], b[7], b[10], b[13], b[16]) != (b'-', b'-', b'T', b':', b':') {
        return None;
    }
    let mut good = true;
    let mut two = |at: usize| two_digits(b, at, &mut good);
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    if !good || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    stamp(Some(year), month, day, (hour as i8, minute as i8, second as i8, 0), None)
}

/// RFC 3164 and its relatives: `Apr  1 09:00:00`, with a year after the day or after the clock, a fraction, a zone's name or offset.
pub(super) fn bsd(text: &str) -> Option<(Stamp, &str)> {
    if let Some(stamp) = short(text.as_bytes()) {
        return Some((stamp, &text[15..]));
    }
    let mut c = Cursor { text, at: 0 };
    let month = i32::from(c.month()?);
    c.eat(b' ')?;
    while c.eat(b' ').is_some() {}
    let day = c.number(1, 2)?;
    let comma = c.eat(b',').is_some(); // `Apr 01, 2026 09:00:00`
    c.eat(b' ')?;
    let mark = c.at;
    let mut year = c.number(4, 4).filter(|_| c.eat(b',').or(Some(())).and_then(|()| c.eat(b' ')).is_some());
    if year.is_none() {
        if comma {
            return None;
        }
        c.at = mark;
    }
    let (hour, minute, second, ns) = c.clock()?;
    let clock = (if year.is_some() { c.half_of_day(hour)? } else { hour }, minute, second, ns);
    let mark = c.at;
    if year.is_none() {
        year = c
            .eat(b' ')
            .and_then(|()| c.number(4, 4))
            .filter(|y| (1970..2262).contains(y) && !matches!(c.peek(), Some(b'0'..=b'9')));
        // `2026: text`; `2001:db8::7 ...` is the sender.
        let ends = matches!(text.as_bytes()[c.at..], [] | [b' ', ..] | [b':'] | [b':', b' ' | b'%', ..]);
        if year.is_none() || !ends {
            year = None;
            c.at = mark;
        }
    }
    let mark = c.at;
    let offset_s = c.offset().or_else(|| {
        c.at = mark;
        c.eat(b' ')?;
        match () {
            () if text[c.at..].starts_with("UTC") => {
                c.at += 3;
                Some(0)
            }
            () if text[c.at..].starts_with("JST") => {
                c.at += 3;
                Some(9 * 3600)
            }
            () if matches!(c.peek(), Some(b'+' | b'-')) => c.offset(),
            () => None,
        }
    });
    if offset_s.is_none() {
        c.at = mark;
    }
    Some((stamp(year, month, day, clock, offset_s)?, &text[c.at..]))
}

/// `Apr  1 09:00:00` to the letter (RFC 3164 §4.1.2) before a blank and a word that cannot belong to it: places are fixed.
#[inline]
fn short(text: &[u8]) -> Option<Stamp> {
    let b: &[u8; 17] = text.first_chunk()?;
    // Behind it may stand a year, an offset, `UTC` or `JST`; an address has its first dot before it could be a year.
    let ends = b[15] == b' '
        && match b[16] {
            b'a'..=b'z' | b'A'..=b'I' | b'K'..=b'T' | b'V'..=b'Y' | b'%' => true,
            b'0'..=b'9' => text.get(17..20).is_some_and(|next| next.contains(&b'.')),
            _ => false,
        };
    if !ends || (b[3], b[6], b[9], b[12]) != (b' ', b' ', b':', b':') {
        return None;
    }
    let mut good = true;
    let mut two = |at: usize| two_digits(b, at, &mut good);
    let day = if b[4] == b' ' { i32::from(b[5].wrapping_sub(b'0')) } else { two(4) };
    let (hour, minute, second) = (two(7), two(10), two(13));
    if !good || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let month = i32::from(month_name(&b[..3])?);
    stamp(None, month, day, (hour as i8, minute as i8, second as i8, 0), None)
}

/// A level's letter, the month and the day without a year, a clock: `I0401 09:00:00.123456` (Kubernetes' klog, glog). Gives the level's
/// letter and what follows.
pub(super) fn klog(text: &str) -> Option<(u8, Stamp, &str)> {
    let level = *text.as_bytes().first().filter(|b| matches!(b, b'I' | b'W' | b'E' | b'F'))?;
    let mut c = Cursor { text, at: 1 };
    let (month, day) = (c.number(2, 2)?, c.number(2, 2)?);
    c.eat(b' ')?;
    let clock = c.clock()?;
    Some((level, stamp(None, month, day, clock, None)?, &text[c.at..]))
}

/// Any timestamp that tells its own form, at the beginning of `text`. Gives what follows.
pub(super) fn any(text: &str) -> Option<(Stamp, &str)> {
    let bytes = text.as_bytes();
    if bytes.first()?.is_ascii_alphabetic() {
        // `Mon Jun  9 12:08:53 2020`, `Thu, 14 Oct 2021 15:24:12`: the day of the week says nothing new.
        let word = bytes.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if (3..=9).contains(&word) && DAYS.iter().any(|day| day.eq_ignore_ascii_case(&text[..3])) {
            let rest = text[word..].strip_prefix(',').unwrap_or(&text[word..]);
            let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
            return bsd(rest).map(zoned).or_else(|| day_name(rest));
        }
        return bsd(text).map(zoned).or_else(|| month_day_year(text));
    }
    iso(text)
        .map(zoned)
        .or_else(|| day_name(text))
        .or_else(|| compact(text))
        .or_else(|| numeric(text, true))
        .or_else(|| iso_of(text, true).map(zoned))
}

/// With the zone's name that follows, where the stamp has no offset.
fn zoned((stamp, rest): (Stamp, &str)) -> (Stamp, &str) {
    if stamp.offset_s.is_some() {
        return (stamp, rest);
    }
    let mut c = Cursor { text: rest, at: 0 };
    match c.zone() {
        Some(offset) => (Stamp { offset_s: Some(offset), ..stamp }, &rest[c.at..]),
        None => (stamp, rest),
    }
}

/// Names of zones that are written in records and mean one offset, in hours.
const ZONES: &[(&str, i32)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("JST", 9),
    ("KST", 9),
    ("CET", 1),
    ("CEST", 2),
    ("EET", 2),
    ("EEST", 3),
    ("WET", 0),
    ("WEST", 1),
    ("BST", 1),
    ("MSK", 3),
    ("EST", -5),
    ("EDT", -4),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("AEST", 10),
    ("AEDT", 11),
    ("HKT", 8),
];

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `03-Nov-2022 13:37:23.345`, `14 Oct 2021 15:24:12 UTC`, `30 May 12:23:52.442`, `01/Apr/2026:09:00:00 +0900`, `27/Jul/2023 16:07:22`.
fn day_name(text: &str) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    let day = c.number(1, 2)?;
    let separator = c.eat_any(b"-/ ")?;
    let month = i32::from(c.month_name()?);
    while c.peek().is_some_and(|b| b.is_ascii_lowercase()) {
        c.at += 1; // `01 April 2026`
    }
    c.eat(separator)?;
    let mark = c.at;
    let year = c.number(4, 4).or_else(|| c.number(2, 2).map(|y| 2000 + y));
    let (year, clock) = match c.eat_any(b" :T").and_then(|_| c.clock()) {
        Some(clock) => (Some(year?), clock),
        None if separator == b' ' => {
            c.at = mark; // `30 May 12:23:52.442`
            (None, c.clock()?)
        }
        None => return None,
    };
    let offset_s = c.zone();
    Some((stamp(year, month, day, clock, offset_s)?, &text[c.at..]))
}

/// `Apr-01-26 09:00:00`, `Apr/01/2026 09:00:00`.
fn month_day_year(text: &str) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    let month = i32::from(c.month_name()?);
    let separator = c.eat_any(b"-/")?;
    let day = c.number(1, 2)?;
    c.eat(separator)?;
    let year = c.number(4, 4).or_else(|| c.number(2, 2).map(|y| 2000 + y))?;
    c.eat_any(b" :")?;
    let clock = c.clock()?;
    let offset_s = c.zone();
    Some((stamp(Some(year), month, day, clock, offset_s)?, &text[c.at..]))
}

/// `220109 14:49:17`, `20220109 14:49:17`, `20220109T144917Z`, `20220109144917.123`.
fn compact(text: &str) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let year = match digits {
        6 => 2000 + c.number(2, 2)?,
        8 => c.number(4, 4)?,
        14 => c.number(4, 4).filter(|year| (1970..2100).contains(year))?,
        _ => return None,
    };
    let (month, day) = (c.number(2, 2)?, c.number(2, 2)?);
    if digits != 14 {
        c.eat_any(b" T-")?;
    }
    while c.eat(b' ').is_some() {}
    let mark = c.at;
    let clock = c.clock().or_else(|| {
        c.at = mark;
        let (hour, minute, second) = (c.number(2, 2)?, c.number(2, 2)?, c.number(2, 2)?);
        let ns = if digits == 14 { c.fraction() } else { 0 };
        (hour < 24 && minute < 60 && second <= 60).then_some((hour as i8, minute as i8, second as i8, ns))
    })?;
    let offset_s = c.zone();
    Some((stamp(Some(year), month, day, clock, offset_s)?, &text[c.at..]))
}

/// `12/31/2021 11:59:59 PM`, `31.12.2021 23:59:59`: numbers only, the month first or the day.
pub(super) fn numeric(text: &str, month_first: bool) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    let first = c.number(1, 2)?;
    let separator = c.eat_any(b"/.-")?;
    let second = c.number(1, 2)?;
    c.eat(separator)?;
    let year = c.number(4, 4).or_else(|| c.number(2, 2).map(|y| 2000 + y))?;
    c.eat_any(b", T:-")?;
    while c.eat(b' ').is_some() {}
    let (hour, minute, seconds, ns) = c.clock()?;
    let hour = c.half_of_day(hour)?;
    let offset_s = c.zone();
    // With dots the day comes first, wherever dates are written so.
    let (month, day) = if month_first && separator != b'.' { (first, second) } else { (second, first) };
    Some((stamp(Some(year), month, day, (hour, minute, seconds, ns), offset_s)?, &text[c.at..]))
}

/// From a month and a day in digits and a time of day; the year is not told.
pub(super) fn without_year(month: &str, day: &str, clock: &str) -> Option<Stamp> {
    let (hour, minute, second, ns) = Cursor { text: clock, at: 0 }.clock()?;
    stamp(None, month.parse().ok()?, day.parse().ok()?, (hour, minute, second, ns), None)
}

/// From a date, a time of day and an offset that stand apart.
pub(super) fn assemble(date: &str, clock: &str, zone: &str) -> Option<Stamp> {
    let mut c = Cursor { text: clock, at: 0 };
    let (hour, minute, second, ns) = c.clock()?;
    let hour = c.half_of_day(hour)?;
    let offset_s = Cursor { text: zone.trim(), at: 0 }.zone();
    let mut text = [0u8; 40];
    let length = date.len();
    if length + 9 > text.len() {
        return None;
    }
    text[..length].copy_from_slice(date.as_bytes());
    text[length..length + 9].copy_from_slice(b" 00:00:00");
    let (whole, _) = any(std::str::from_utf8(&text[..length + 9]).ok()?)?;
    Some(Stamp { hour, minute, second, ns, offset_s, ..whole })
}

/// Since 1970, in the unit that the number of digits tells: seconds with a fraction or not, milliseconds, microseconds, nanoseconds.
pub(super) fn epoch(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let n: i64 = whole.parse().ok().filter(|n| *n >= 0)?;
    let scale = match whole.len() {
        ..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1000,
        _ => 1,
    };
    let mut ns = n.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes().take_while(u8::is_ascii_digit) {
        unit /= 10;
        ns = ns.checked_add(i64::from(digit - b'0') * unit)?;
    }
    Some(Time::from_unix_ns(ns))
}

/// Further forms at the beginning of a syslog record: the year first, the day of the week first.
pub(super) fn header(text: &str) -> Option<(Stamp, &str)> {
    match text.as_bytes().first()? {
        b'0'..=b'9' => year_first(text),
        b'A'..=b'Z' if DAYS.iter().any(|day| text.get(..3).is_some_and(|t| t.eq_ignore_ascii_case(day))) => any(text),
        _ => None,
    }
}

/// `2026 Apr  1 09:00:00.123 JST`: the year before what RFC 3164 writes.
pub(super) fn year_first(text: &str) -> Option<(Stamp, &str)> {
    let mut c = Cursor { text, at: 0 };
    let year = c.number(4, 4).filter(|y| (1970..2262).contains(y))?;
    c.eat(b' ')?;
    let (stamp, rest) = bsd(&text[c.at..]).map(zoned)?;
    stamp.year.is_none().then_some((Stamp { year: Some(year as i16), ..stamp }, rest))
}

/// The common log format's: `01/Apr/2026:09:00:00 +0900`.
pub(super) fn clf(text: &str) -> Option<Stamp> {
    let mut c = Cursor { text, at: 0 };
    let day = c.number(2, 2)?;
    c.eat(b'/')?;
    let month = i32::from(c.month_name()?);
    c.eat(b'/')?;
    let year = c.number(4, 4)?;
    c.eat_any(b": ")?;
    let clock = c.clock()?;
    let offset_s = c.eat(b' ').and_then(|()| c.offset());
    stamp(Some(year), month, day, clock, offset_s)
}

#[inline]
fn stamp(
    year: Option<i32>,
    month: i32,
    day: i32,
    (hour, minute, second, ns): (i8, i8, i8, i32),
    offset_s: Option<i32>,
) -> Option<Stamp> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(Stamp { year: year.map(|y| y as i16), month: month as i8, day: day as i8, hour, minute, second, ns, offset_s })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(found: Option<(Stamp, &str)>, reference: &str) -> (String, String) {
        let (stamp, rest) = found.expect("a stamp");
        let zone = Zone::new(TimeZone::get("Asia/Tokyo").expect("known"));
        let time = stamp.resolve(&zone, reference.parse().expect("a time")).expect("an instant");
        (time.to_string(), rest.to_owned())
    }

    #[test]
    fn stamps_are_read_as_devices_write_them() {
        let reference = "2026-04-01T00:00:00Z";
        for (text, time, rest) in [
            ("Apr  1 09:00:00 host", "2026-04-01T00:00:00Z", " host"),
            ("Apr 01 2026 09:00:00: %ASA", "2026-04-01T00:00:00Z", ": %ASA"),
            ("Apr 1 09:00:00.125 host", "2026-04-01T00:00:00.125Z", " host"),
            ("Apr 1 09:00:00 2025 host", "2025-04-01T00:00:00Z", " host"),
            ("Apr 1 09:00:00 UTC: x", "2026-04-01T09:00:00Z", ": x"),
            ("Apr 1 09:00:00 2001:db8::7 x", "2026-04-01T00:00:00Z", " 2001:db8::7 x"),
            ("Apr 1 09:00:00 2026ish", "2026-04-01T00:00:00Z", " 2026ish"),
        ] {
            assert_eq!(at(bsd(text), reference), (time.to_owned(), rest.to_owned()), "{text}");
        }
        for (text, time, rest) in [
            ("2026-04-01T09:00:00.5+09:00 h", "2026-04-01T00:00:00.500Z", " h"),
            ("2026-04-01 09:00:00 host", "2026-04-01T00:00:00Z", " host"),
            ("2026/04/01 09:00:00 +0100 x", "2026-04-01T08:00:00Z", " x"),
            ("2026-04-01T09:00:00Z", "2026-04-01T09:00:00Z", ""),
            ("2026-04-01-09.00.00.125 x", "2026-04-01T00:00:00.125Z", " x"),
            ("2026/4/1 9:00:00 x", "2026-04-01T00:00:00Z", " x"),
            ("2026.4.1 9:00:00 x", "2026-04-01T00:00:00Z", " x"),
        ] {
            assert_eq!(at(iso(text), reference), (time.to_owned(), rest.to_owned()), "{text}");
        }
        for (text, time, rest) in [
            ("Apr 01, 2026 09:00:00.125 x", "2026-04-01T00:00:00.125Z", " x"),
            ("Apr 1, 2026 9:00:00 PM JST", "2026-04-01T12:00:00Z", ""),
            ("01 April 2026 09:00:00 x", "2026-04-01T00:00:00Z", " x"),
            ("01.04.26 09:00:00 x", "2026-04-01T00:00:00Z", " x"),
            ("04/01/2026 09:00:00 x", "2026-04-01T00:00:00Z", " x"),
            ("20260401090000.125", "2026-04-01T00:00:00.125Z", ""),
            ("April 01 09:00:00 h", "2026-04-01T00:00:00Z", " h"),
            ("2026-Apr-01 09:00:00 h", "2026-04-01T00:00:00Z", " h"),
            ("Apr-01-26 09:00:00 h", "2026-04-01T00:00:00Z", " h"),
            ("2026 04 01 09:00:00 +09:00 h", "2026-04-01T00:00:00Z", " h"),
            ("2026/04/01 09:00 UTC h", "2026-04-01T09:00:00Z", " h"),
        ] {
            assert_eq!(at(super::any(text), reference), (time.to_owned(), rest.to_owned()), "{text}");
        }
        let klog = klog("W0401 09:00:00.125 1 x.go").map(|(level, stamp, rest)| (level, at(Some((stamp, rest)), reference)));
        assert_eq!(klog, Some((b'W', ("2026-04-01T00:00:00.125Z".to_owned(), " 1 x.go".to_owned()))));
        assert!(bsd("Apr 01, 09:00:00").is_none());
    }

    #[test]
    fn the_year_is_the_nearest_one() {
        assert_eq!(at(bsd("Dec 31 23:59:59 h"), "2026-12-31T15:00:01Z").0, "2026-12-31T14:59:59Z");
        assert_eq!(at(bsd("Jan  1 00:00:01 h"), "2026-12-31T14:59:59Z").0, "2026-12-31T15:00:01Z");
        assert_eq!(at(bsd("Feb 29 12:00:00 h"), "2024-03-01T00:00:00Z").0, "2024-02-29T03:00:00Z");
        assert_eq!(at(bsd("Feb 29 12:00:00 h"), "2025-01-01T00:00:00Z").0, "2024-02-29T03:00:00Z");
    }

    proptest! {
        /// The years that are not looked at are farther away.
        #[test]
        fn the_year_is_the_nearest_of_all(reference in 0i64..4_000_000_000, month in 1i8..=12, day in 1i8..=28, hour in 0i8..24, zone in 0usize..3) {
            let zone = Zone::new(TimeZone::get(["Asia/Tokyo", "Europe/Berlin", "UTC"][zone]).expect("known"));
            let reference = Time::from_unix_s(reference);
            let stamp = Stamp { year: None, month, day, hour, minute: 30, second: 0, ns: 0, offset_s: None };
            let (year, ..) = reference.civil();
            let in_years = (year - 2..=year + 2).filter_map(|year| Stamp { year: Some(year as i16), ..stamp }.resolve(&zone, reference));
            prop_assert_eq!(stamp.resolve(&zone, reference), in_years.min_by_key(|time| time.since_ns(reference).unsigned_abs()));
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for text in [
            "",
            "A",
            "Apr",
            "Apr 1",
            "Apr 32 09:00:00",
            "Apr 1 24:00:00",
            "あいう",
            "2026-13-01T00:00:00Z",
            "2026-04-01",
            "1:2:3",
        ] {
            assert!(bsd(text).is_none() && iso(text).is_none(), "{text}");
        }
    }

    proptest! {
        /// The spans are a short cut of the zone's rules, at every second and in every zone.
        #[test]
        fn spans_say_what_the_rules_say(seconds in 0i64..4_200_000_000, zone in 0usize..5) {
            let names = ["Asia/Tokyo", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"];
            let rules = TimeZone::get(names[zone]).expect("known");
            let (year, month, day, hour, minute, second, _) = Time::from_unix_s(seconds).civil();
            let civil = DateTime::new(year as i16, month as i8, day as i8, hour as i8, minute as i8, second as i8, 0).expect("a time");
            let stamp = Stamp {
                year: Some(year as i16), month: month as i8, day: day as i8, hour: hour as i8, minute: minute as i8, second: second as i8,
                ns: 0, offset_s: None,
            };
            let expected = rules.to_timestamp(civil).expect("an instant").as_second();
            prop_assert_eq!(stamp.resolve(&Zone::new(rules), Time::EPOCH), Some(Time::from_unix_s(expected)));
        }
    }

    #[test]
    fn hours_that_come_twice_or_never_are_left_to_the_rules() {
        let zone = Zone::new(TimeZone::get("Europe/Berlin").expect("known"));
        for (text, expected) in [
            ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
            ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
            ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
            ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
            ("1972-07-01T12:00:00", "1972-07-01T11:00:00Z"),
        ] {
            let (stamp, _) = iso(text).expect("a stamp");
            assert_eq!(stamp.resolve(&zone, Time::EPOCH), Time::parse_rfc3339(expected), "{text}");
        }
    }
}
