//! Instants as queries write them: dates with or without a time of day, and date math (`now-1d/d`), as Elasticsearch reads them.

use event::Time;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan, Zoned};

/// What texts are read against.
pub struct Instants<'a> {
    /// The instant that `now` is.
    pub now: Time,
    /// The zone of what names none, and of the days that are rounded to.
    pub zone: &'a TimeZone,
}

impl Instants<'_> {
    /// The instant that `text` names: date math from `now` or from a date (`2026-04-01||+1M`), RFC 3339 or less of it, milliseconds since 1970.
    /// What it leaves open is its last moment where `up`, else its first.
    pub fn read(&self, text: &str, up: bool) -> Option<Time> {
        if let Some(math) = text.strip_prefix("now") {
            return self.math(self.now, math, up);
        }
        if let Some((anchor, math)) = text.split_once("||") {
            return self.math(self.written(anchor, false)?, math, up);
        }
        let ms = || text.parse().ok().filter(|ms: &i64| ms.abs() < 9_000_000_000_000).map(Time::from_unix_ms);
        Time::parse_rfc3339(text).or_else(|| self.written(text, up)).or_else(ms)
    }

    /// `+1M-3d/d` from an instant on.
    pub fn math(&self, from: Time, math: &str, up: bool) -> Option<Time> {
        let mut at = zoned(from, self.zone)?;
        let mut rest = math;
        while !rest.is_empty() {
            let (operator, after) = rest.split_at_checked(1)?;
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (count, after) = after.split_at(digits);
            let (unit, after) = after.split_at_checked(1)?;
            rest = after;
            let count: i64 = if count.is_empty() { 1 } else { count.parse().ok()? };
            match operator {
                "/" if digits == 0 => {
                    let start = start_of(&at, unit)?;
                    at = if up {
                        start.checked_add(span(1, unit)?).ok()?.checked_sub(SignedDuration::from_nanos(1)).ok()?
                    } else {
                        start
                    };
                }
                "+" => at = at.checked_add(span(count, unit)?).ok()?,
                "-" => at = at.checked_sub(span(count, unit)?).ok()?,
                _ => return None,
            }
        }
        time_of(at.timestamp())
    }

    /// `2026`, `2026-04`, `2026-04-01`, `2026-04-01T09`, ... with or without a zone.
    pub fn written(&self, text: &str, up: bool) -> Option<Time> {
        let (date, clock) = text.split_once(['T', ' ']).map_or((text, None), |(date, clock)| (date, Some(clock)));
        let mut parts = date.split('-');
        let year = parts.next().filter(|y| y.len() == 4)?;
        let mut number = |first: i8| parts.next().map_or(Some(first), |p| if p.len() == 2 { p.parse().ok() } else { None });
        let (last_month, last_day) = if up && clock.is_none() { (12, 31) } else { (1, 1) };
        let (year, month, day): (i16, i8, i8) = (year.parse().ok()?, number(last_month)?, number(last_day)?);
        // What is left open of a month ends with its last day.
        let named = date.len() > "2026-04".len();
        let day = if named { day } else { day.min(jiff::civil::Date::new(year, month, 1).ok()?.days_in_month()) };
        if parts.next().is_some() {
            return None;
        }
        let (clock, zone) = match clock {
            None => (None, None),
            Some(clock) => match clock.find(['Z', '+', '-']) {
                Some(at) => (Some(&clock[..at]), Some(zone(&clock[at..])?)),
                None => (Some(clock), None),
            },
        };
        let open = if up { (23, 59, 59, 999_999_999) } else { (0, 0, 0, 0) };
        let (hour, minute, second, ns) = match clock {
            None => open,
            Some(clock) => {
                let (clock, fraction) = clock.split_once(['.', ',']).map_or((clock, None), |(c, f)| (c, Some(f)));
                let mut parts = clock.split(':');
                let mut number = |otherwise: i8| parts.next().map_or(Some(otherwise), |p| p.parse::<i8>().ok());
                let (hour, minute, second) = (number(0)?, number(open.1)?, number(open.2)?);
                if parts.next().is_some() {
                    return None;
                }
                let ns = match fraction {
                    Some(digits) if (1..=9).contains(&digits.len()) => format!("{digits:0<9}").parse().ok()?,
                    Some(_) => return None,
                    None => open.3,
                };
                (hour, minute, second, ns)
            }
        };
        let civil = DateTime::new(year, month, day, hour, minute, second, ns).ok()?;
        time_of(civil.to_zoned(zone.unwrap_or_else(|| self.zone.clone())).ok()?.timestamp())
    }
}

/// Hours that an offset may have at most; the widest in use is 14.
const OFFSET_HOURS_MAX: i32 = 18;

/// A zone by its name or offset (`+09:00`).
pub fn zone(name: &str) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    if matches!(name, "Z" | "UTC" | "GMT") {
        return Some(TimeZone::UTC);
    }
    let (sign, digits) = match name.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or_else(|| digits.split_at_checked(2).unwrap_or((digits, "0")));
    let minutes = if minutes.is_empty() { "0" } else { minutes };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..=OFFSET_HOURS_MAX).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(TimeZone::fixed)
}

/// The instant in a zone; none beyond what calendars reach.
pub fn zoned(time: Time, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_nanosecond(i128::from(time.unix_ns())).ok()?.to_zoned(zone.clone()))
}

/// The same instant; none beyond what nanoseconds reach.
pub fn time_of(timestamp: Timestamp) -> Option<Time> {
    i64::try_from(timestamp.as_nanosecond()).ok().map(Time::from_unix_ns)
}

fn span(count: i64, unit: &str) -> Option<Span> {
    Some(match unit {
        "y" => Span::new().try_years(count).ok()?,
        "M" => Span::new().try_months(count).ok()?,
        "w" => Span::new().try_weeks(count).ok()?,
        "d" => Span::new().try_days(count).ok()?,
        "h" | "H" => Span::new().try_hours(count).ok()?,
        "m" => Span::new().try_minutes(count).ok()?,
        "s" => Span::new().try_seconds(count).ok()?,
        _ => return None,
    })
}

fn start_of(at: &Zoned, unit: &str) -> Option<Zoned> {
    let midnight = at.start_of_day().ok()?;
    Some(match unit {
        "y" => midnight.first_of_year().ok()?.start_of_day().ok()?,
        "M" => midnight.first_of_month().ok()?.start_of_day().ok()?,
        "w" => {
            let back = i64::from(midnight.weekday().since(jiff::civil::Weekday::Monday));
            midnight.checked_sub(back.days()).ok()?.start_of_day().ok()?
        }
        "d" => midnight,
        "h" | "H" => at.with().minute(0).second(0).subsec_nanosecond(0).build().ok()?,
        "m" => at.with().second(0).subsec_nanosecond(0).build().ok()?,
        "s" => at.with().subsec_nanosecond(0).build().ok()?,
        _ => return None,
    })
}
