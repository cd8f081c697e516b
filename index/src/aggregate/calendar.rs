//! Intervals of time, of a fixed length or of the calendar, in a time zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The width of a bucket of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interval {
    /// So many nanoseconds, counted from local midnight of 1 January 1970, moved by an offset.
    Fixed {
        /// The width.
        ns: i64,
        /// By how much every bucket begins later.
        offset_ns: i64,
    },
    /// A unit of the calendar.
    Calendar(Calendar),
    /// A unit of the calendar, moved.
    CalendarAt {
        /// The unit.
        unit: Calendar,
        /// By how much every bucket begins later.
        offset_ns: i64,
    },
}

impl Interval {
    /// So many milliseconds.
    pub fn ms(ms: i64) -> Interval {
        Interval::Fixed { ns: ms.saturating_mul(1_000_000), offset_ns: 0 }
    }
}

/// A unit of the calendar; weeks begin on Monday.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Calendar {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Tells in which interval an instant lies.
pub(crate) struct Rounding {
    interval: Interval,
    zone: TimeZone,
    /// The interval that was told last: events lie nearly in the order of time.
    last: (i64, i64),
}

impl Rounding {
    pub(crate) fn new(interval: Interval, zone: &TimeZone) -> Rounding {
        Rounding { interval, zone: zone.clone(), last: (0, 0) }
    }

    /// The start of the interval in which `ns` lies.
    pub(crate) fn start_of(&mut self, ns: i64) -> i64 {
        if ns < self.last.0 || ns >= self.last.1 {
            self.last = self.interval_of(ns);
        }
        self.last.0
    }

    /// The start of the interval after the one that begins at `start`.
    pub(crate) fn next(&mut self, start: i64) -> Option<i64> {
        let end = self.interval_of(start).1;
        (end > start && end < i64::MAX).then_some(end)
    }

    fn interval_of(&self, ns: i64) -> (i64, i64) {
        match self.interval {
            Interval::Fixed { ns: width, offset_ns } => {
                let shift = self.offset_at(ns).saturating_sub(offset_ns);
                let local = ns.saturating_add(shift);
                let start = local.div_euclid(width).saturating_mul(width).saturating_sub(shift);
                let mut end = start.saturating_add(width);
                // Where the offset changes within, the interval ends there.
                if self.offset_at(end.saturating_sub(1)) != self.offset_at(ns) {
                    end = ns.saturating_add(1);
                }
                (start, end)
            }
            Interval::Calendar(unit) => self.unit_of(unit, ns).unwrap_or((ns, ns.saturating_add(1))),
            Interval::CalendarAt { unit, offset_ns } => {
                let shifted = self.unit_of(unit, ns.saturating_sub(offset_ns));
                let back = |at: i64| at.saturating_add(offset_ns);
                shifted.map_or((ns, ns.saturating_add(1)), |(start, end)| (back(start), back(end)))
            }
        }
    }

    fn offset_at(&self, ns: i64) -> i64 {
        if self.zone == TimeZone::UTC {
            return 0;
        }
        let at = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        i64::from(self.zone.to_offset(at).seconds()) * 1_000_000_000
    }

    fn unit_of(&self, unit: Calendar, ns: i64) -> Option<(i64, i64)> {
        if matches!(unit, Calendar::Minute | Calendar::Hour) {
            let ns_of = if unit == Calendar::Minute { 60_000_000_000 } else { 3_600_000_000_000 };
            return Some(Rounding::new(Interval::Fixed { ns: ns_of, offset_ns: 0 }, &self.zone).interval_of(ns));
        }
        let date = Timestamp::from_nanosecond(i128::from(ns)).ok()?.to_zoned(self.zone.clone()).date();
        let month = |date: Date, month: i8| Date::new(date.year(), month, 1).ok();
        let (start, span) = match unit {
            Calendar::Week => {
                let back = date.weekday().since(Weekday::Monday);
                (date.checked_sub(i64::from(back).days()).ok()?, 1.week())
            }
            Calendar::Month => (month(date, date.month())?, 1.month()),
            Calendar::Quarter => (month(date, (date.month() - 1) / 3 * 3 + 1)?, 3.months()),
            Calendar::Year => (month(date, 1)?, 1.year()),
            _ => (date, 1.day()),
        };
        let at = |date: Date| {
            let ns = self.zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).compatible().ok()?.timestamp().as_nanosecond();
            i64::try_from(ns).ok()
        };
        Some((at(start)?, at(start.checked_add(span).ok()?).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Time;

    #[test]
    fn instants_lie_in_their_interval() {
        let tokyo = TimeZone::get("Asia/Tokyo").expect("is bundled");
        let berlin = TimeZone::get("Europe/Berlin").expect("is bundled");
        let hour = |n: i64| Interval::Fixed { ns: n * 3_600_000_000_000, offset_ns: 0 };
        for (interval, zone, at, start) in [
            (hour(1), &TimeZone::UTC, "2026-04-01T10:20:00Z", "2026-04-01T10:00:00Z"),
            (hour(24), &tokyo, "2026-04-01T10:20:00Z", "2026-03-31T15:00:00Z"),
            (Interval::Calendar(Calendar::Day), &tokyo, "2026-04-01T15:00:00Z", "2026-04-01T15:00:00Z"),
            (Interval::Calendar(Calendar::Day), &tokyo, "2026-04-01T14:59:59Z", "2026-03-31T15:00:00Z"),
            (
                Interval::CalendarAt { unit: Calendar::Day, offset_ns: 6 * 3_600_000_000_000 },
                &tokyo,
                "2026-04-01T20:00:00Z",
                "2026-03-31T21:00:00Z",
            ),
            (Interval::Calendar(Calendar::Week), &TimeZone::UTC, "2026-04-01T00:00:00Z", "2026-03-30T00:00:00Z"),
            (Interval::Calendar(Calendar::Month), &tokyo, "2026-03-31T15:00:00Z", "2026-03-31T15:00:00Z"),
            (Interval::Calendar(Calendar::Quarter), &TimeZone::UTC, "2026-06-30T00:00:00Z", "2026-04-01T00:00:00Z"),
            (Interval::Calendar(Calendar::Year), &TimeZone::UTC, "2026-06-30T00:00:00Z", "2026-01-01T00:00:00Z"),
            // The day on which summer time begins has 23 hours.
            (Interval::Calendar(Calendar::Day), &berlin, "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z"),
            (Interval::Calendar(Calendar::Day), &berlin, "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z"),
        ] {
            let mut rounding = Rounding::new(interval, zone);
            let at: Time = at.parse().expect("a time");
            let found = Time::from_unix_ns(rounding.start_of(at.unix_ns()));
            assert_eq!(found.to_string(), start, "{interval:?} {at}");
        }
    }
}
