//! The parts of a time as a value writes it. No zone is converted (specification, "Time Modifiers"): what a record calls three in the morning is hour 3.

use std::ops::RangeInclusive;

use event::{Time, Value, days_from_civil};

use crate::sigma::item::{Number, TimePart};
use crate::test_of::number_of;

/// A date, and a time of day where one is written.
struct Written {
    year: i32,
    month: u32,
    day: u32,
    clock: Option<(u32, u32)>,
}

/// The part of the time that the value is: an instant, its text (`2026-11-25` or `2026/11/25`, behind it perhaps `T10:30`, seconds, a zone), or a number of
/// seconds, milli-, micro- or nanoseconds since 1970.
pub(crate) fn part_of(value: Value<'_>, part: TimePart) -> Option<i64> {
    let written = match value {
        Value::Time(time) => Written::of(time),
        Value::Text(text) => Written::read(text)?,
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => Written::of(since_1970(number_of(value)?)?),
        Value::Null | Value::Bool(_) | Value::Ip(_) => return None,
    };
    match part {
        TimePart::Minute => written.clock.map(|(_, minute)| minute.into()),
        TimePart::Hour => written.clock.map(|(hour, _)| hour.into()),
        TimePart::Day => Some(written.day.into()),
        TimePart::Week => Some(written.week()),
        TimePart::Month => Some(written.month.into()),
        TimePart::Year => Some(written.year.into()),
    }
}

/// Numbers below these are so many nanoseconds each: in seconds it is the year 5138, in each finer unit as far.
const UNITS: [(f64, f64); 4] = [(1e11, 1e9), (1e14, 1e6), (1e17, 1e3), (i64::MAX as f64, 1.0)];

fn since_1970(number: Number) -> Option<Time> {
    let n = number.float();
    let (_, unit_ns) = UNITS.into_iter().find(|(below, _)| n.abs() < *below)?;
    Some(n * unit_ns).filter(|ns| ns.abs() < i64::MAX as f64).map(|ns| Time::from_unix_ns(ns as i64))
}

impl Written {
    fn of(time: Time) -> Written {
        let (year, month, day, hour, minute, ..) = time.civil();
        Written { year, month, day, clock: Some((hour, minute)) }
    }

    fn read(text: &str) -> Option<Written> {
        let mut rest = Rest(text.as_bytes());
        let year = rest.digits(4, 0..=9999)? as i32;
        // As others write it: 2026/11/25.
        let between: &[u8] = if rest.0.first() == Some(&b'/') { b"/" } else { b"-" };
        let month = rest.after(between)?.digits(2, 1..=12)?;
        let next = days_from_civil(year + (month / 12) as i32, month % 12 + 1, 1);
        let day = rest.after(between)?.digits(2, 1..=31).filter(|day| days_from_civil(year, month, *day) < next)?;
        let clock = match rest.0 {
            [] => None,
            _ => Some((rest.after(b"Tt ")?.digits(2, 0..=23)?, rest.after(b":")?.digits(2, 0..=59)?)),
        };
        if rest.after(b":").is_some() {
            rest.digits(2, 0..=60)?;
            if rest.after(b".,").is_some() {
                let fraction = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
                rest.0 = rest.0.get(fraction..).filter(|_| fraction > 0)?;
            }
        }
        let is_zone = |zone: &[u8]| zone.len() <= "+09:00".len() && zone.iter().all(|b| b.is_ascii_digit() || *b == b':');
        let zone = rest.0.strip_prefix(b" ").filter(|_| clock.is_some()).unwrap_or(rest.0);
        match zone {
            [] | [b'Z' | b'z'] => {}
            b"UTC" | b"GMT" | b"JST" if clock.is_some() => {}
            [b'+' | b'-', zone @ ..] if clock.is_some() && is_zone(zone) => {}
            _ => return None,
        }
        Some(Written { year, month, day, clock })
    }

    /// The week of ISO 8601: that of the day's Thursday.
    fn week(&self) -> i64 {
        let day = days_from_civil(self.year, self.month, self.day);
        let thursday = day - (day + 3).rem_euclid(7) + 3;
        let first_of = |year| days_from_civil(year, 1, 1);
        let first = [self.year + 1, self.year].into_iter().map(first_of).find(|first| *first <= thursday);
        (thursday - first.unwrap_or_else(|| first_of(self.year - 1))) / 7 + 1
    }
}

/// What is left of a text.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    /// Takes one of these bytes.
    fn after(&mut self, one_of: &[u8]) -> Option<&mut Self> {
        let (first, rest) = self.0.split_first()?;
        self.0 = one_of.contains(first).then_some(rest)?;
        Some(self)
    }

    /// Takes a number of so many digits.
    fn digits(&mut self, count: usize, range: RangeInclusive<u32>) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let add = |n: u32, byte: &u8| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0'));
        let n = digits.iter().try_fold(0, add).filter(|n| range.contains(n))?;
        self.0 = rest;
        Some(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str, part: TimePart) -> Option<i64> {
        part_of(Value::Text(text), part)
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (time, week) in [
            ("2026-01-01", 1),
            ("2027-01-01T00:00:00Z", 53),
            ("2024-12-30T00:00:00Z", 1),
            ("2026-11-23T00:00:00Z", 48),
            ("1601-01-01", 1),
        ] {
            assert_eq!(part(time, TimePart::Week), Some(week), "{time}");
        }
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        use TimePart::{Day, Hour, Minute, Year};
        for (text, of, expected) in [
            ("2026-02-28T03:07+09:00", Hour, Some(3)),
            ("2026-02-28 23:59:60.5-0300", Minute, Some(59)),
            ("2024-02-29", Day, Some(29)),
            ("2026-02-29", Day, None),
            ("2026-02-28", Hour, None),
            ("9999-12-31T00:00", Year, Some(9999)),
            ("1601-01-01T00:00:00Z", Year, Some(1601)),
            ("2026-02-28T24:00", Hour, None),
            ("2026-02-28T03:07:08.", Hour, None),
            ("2026-02-28T03:07 or so", Hour, None),
            ("2026-2-28", Day, None),
            ("2026/02/28 03:07:08", Hour, Some(3)),
            ("2026/02-28", Day, None),
            ("2026-02-28 03:07:08.5 UTC", Hour, Some(3)),
            ("2026-02-28 03:07 +0900", Hour, Some(3)),
            ("2026-02-28 UTC", Day, None),
            ("", Day, None),
        ] {
            assert_eq!(part(text, of), expected, "{text}");
        }
        for (value, expected) in [
            (Value::Int(1_772_251_620), Some(7)),
            (Value::Int(1_772_251_620_000), Some(7)),
            (Value::Float(1_772_251_620.25), Some(7)),
            (Value::Int(i64::MAX), None),
            (Value::Bool(true), None),
        ] {
            assert_eq!(part_of(value, Minute), expected, "{value:?}");
        }
    }
}
