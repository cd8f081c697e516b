//! Instants: nanoseconds since 1970-01-01T00:00:00Z, and their RFC 3339 text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in nanoseconds since the Unix epoch, UTC, without leap seconds. Covers the years 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(i64);

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

impl Time {
    /// The Unix epoch; also "no time known" where a source has none.
    pub const EPOCH: Time = Time(0);
    /// The earliest instant.
    pub const MIN: Time = Time(i64::MIN);
    /// No time known: a capture that does not say when its records were received.
    pub const UNKNOWN: Time = Time::MIN;
    /// The latest instant; as a watermark: nothing more will come.
    pub const MAX: Time = Time(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_unix_ns(ns: i64) -> Time {
        Time(ns)
    }

    /// From milliseconds since the epoch, saturating.
    pub const fn from_unix_ms(ms: i64) -> Time {
        Time(ms.saturating_mul(1_000_000))
    }

    /// From seconds since the epoch, saturating.
    pub const fn from_unix_s(s: i64) -> Time {
        Time(s.saturating_mul(NS_PER_S))
    }

    /// Nanoseconds since the epoch.
    pub const fn unix_ns(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn unix_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole seconds since the epoch, rounded down.
    #[inline]
    pub const fn unix_s(self) -> i64 {
        self.0.div_euclid(NS_PER_S)
    }

    /// This instant moved by `ns` nanoseconds (negative: back), saturating at the ends.
    #[must_use]
    #[inline]
    pub const fn plus_ns(self, ns: i64) -> Time {
        Time(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this instant, saturating.
    #[inline]
    pub const fn since_ns(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// From a civil date and time of day in UTC; `None` where a part is out of range (month 13, 30 February, hour 24).
    /// Second 60 (a leap second) becomes the first instant of the next minute.
    #[inline]
    pub fn from_civil(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32, ns: u32) -> Option<Time> {
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 || ns >= 1_000_000_000 || !(1678..=2261).contains(&year) {
            return None;
        }
        let seconds =
            days_from_civil(year, month, day) * S_PER_DAY + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(Time(seconds * NS_PER_S + i64::from(ns)))
    }

    /// The civil date and time of day in UTC: year, month, day, hour, minute, second, nanosecond.
    pub fn civil(self) -> (i32, u32, u32, u32, u32, u32, u32) {
        let s = self.unix_s();
        let ns = self.0.rem_euclid(NS_PER_S) as u32;
        let (year, month, day) = civil_from_days(s.div_euclid(S_PER_DAY));
        let of_day = s.rem_euclid(S_PER_DAY) as u32;
        (year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60, ns)
    }

    /// Reads RFC 3339 (`2026-04-01T09:00:00.123456789+09:00`): `T`, `t` or a space between date and time, any number of
    /// fraction digits (beyond nine they are dropped), and `Z` or an offset with or without its colon.
    pub fn parse_rfc3339(text: &str) -> Option<Time> {
        let b = text.as_bytes();
        if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':'
        {
            return None;
        }
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            b[range].iter().try_fold(0u32, |n, c| c.is_ascii_digit().then(|| n * 10 + u32::from(c - b'0')))
        };
        let (year, month, day) = (number(0..4)? as i32, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let mut at = 19;
        let mut ns = 0;
        if matches!(b[at], b'.' | b',') {
            at += 1;
            let start = at;
            let mut scale = 100_000_000;
            while at < b.len() && b[at].is_ascii_digit() {
                ns += u32::from(b[at] - b'0') * scale;
                scale /= 10;
                at += 1;
            }
            if at == start {
                return None;
            }
        }
        let offset_s = match b.get(at)? {
            b'Z' | b'z' if at + 1 == b.len() => 0,
            sign @ (b'+' | b'-') => {
                let minutes_at = match b.len() - at {
                    6 if b[at + 3] == b':' => at + 4,
                    5 => at + 3,
                    _ => return None,
                };
                let (h, m) = (number(at + 1..at + 3)?, number(minutes_at..minutes_at + 2)?);
                if h > 23 || m > 59 {
                    return None;
                }
                let s = i64::from(h * 3600 + m * 60);
                if *sign == b'-' { -s } else { s }
            }
            _ => return None,
        };
        Some(Time::from_civil(year, month, day, hour, minute, second, ns)?.plus_ns(-offset_s * NS_PER_S))
    }
}

/// Days from 1970-01-01 to the given date of the proleptic Gregorian calendar
/// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
#[inline]
pub fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
pub fn civil_from_days(days: i64) -> (i32, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let y = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * y + y / 4 - y / 100);
    let m = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * m + 2) / 5 + 1) as u32;
    let month = if m < 10 { m + 3 } else { m - 9 } as u32;
    ((y + era * 400 + i64::from(month <= 2)) as i32, month, day)
}

#[inline]
fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// RFC 3339 in UTC, with as many fraction digits (0, 3, 6 or 9) as the instant needs.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second, ns) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match ns {
            0 => {}
            _ if ns % 1_000_000 == 0 => write!(f, ".{:03}", ns / 1_000_000)?,
            _ if ns % 1000 == 0 => write!(f, ".{:06}", ns / 1000)?,
            _ => write!(f, ".{ns:09}")?,
        }
        f.write_str("Z")
    }
}

/// The text was no RFC 3339 instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadTime;

impl fmt::Display for BadTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an RFC 3339 time such as 2026-04-01T09:00:00+09:00")
    }
}

impl std::error::Error for BadTime {}

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Time, BadTime> {
        Time::parse_rfc3339(text).ok_or(BadTime)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_instant_round_trip() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-04-01T09:00:00.5+09:00", 1_775_001_600_500_000_000),
            ("2026-04-01 00:00:00.500-0000", 1_775_001_600_500_000_000),
            ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999_999_999),
            ("1969-12-31T23:59:59.25Z", -750_000_000),
        ] {
            let time = Time::parse_rfc3339(text).expect(text);
            assert_eq!(time.unix_ns(), ns, "{text}");
            assert_eq!(Time::parse_rfc3339(&time.to_string()), Some(time), "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_round_trips() {
        for days in -100_000..100_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+9",
            "9999-01-01T00:00:00Z",
            "2026-01-01T00:00:00Zx",
            "２０２６-01-01T00:00:00Z",
        ] {
            assert_eq!(Time::parse_rfc3339(text), None, "{text}");
        }
    }
}
