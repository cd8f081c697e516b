//! The Japanese calendar: which days an office works. Computed, so that no list has to be kept up.
//!
//! The holidays are those of the Act on National Holidays (国民の祝日に関する法律) as it stands since 2020, with the two years that moved
//! some of them for the Olympic Games. The equinoxes are reckoned as the National Astronomical Observatory's formula does (good from 1980
//! to 2099); the government announces each in the February before. Beside them, offices are closed from 29 December to 3 January
//! (行政機関の休日に関する法律, and the municipalities' ordinances after it).

use event::Time;

/// Japan Standard Time.
const JST_S: i64 = 9 * 3600;
const DAY_S: i64 = 86_400;

/// What kind of day it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Day {
    /// The office works.
    Working,
    /// Saturday or Sunday.
    Weekend,
    /// A national holiday, one in lieu of it, or a day between two.
    Holiday,
    /// The turn of the year.
    Closed,
}

/// The day in Japan, counted from 1970-01-01, and the second of it.
pub fn day_and_second(time: Time) -> (i64, i64) {
    let local = time.unix_s() + JST_S;
    (local.div_euclid(DAY_S), local.rem_euclid(DAY_S))
}

/// A day as it is written, by its number since 1970-01-01.
pub fn date(day: i64) -> String {
    let (year, month, date) = civil(day);
    format!("{year:04}-{month:02}-{date:02}")
}

/// What kind of day it is, by its number since 1970-01-01.
pub fn kind_of(day: i64) -> Day {
    let (_, month, date) = civil(day);
    match () {
        () if is_off(day) => Day::Holiday,
        () if matches!((month, date), (12, 29..=31) | (1, 1..=3)) => Day::Closed,
        () if matches!(weekday(day), 0 | 6) => Day::Weekend,
        () => Day::Working,
    }
}

/// The day of the week, 0 for Sunday.
pub(crate) fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// Article 3: a holiday, the day in lieu of one that falls on a Sunday, and a day between two holidays.
fn is_off(day: i64) -> bool {
    if is_national(day) {
        return true;
    }
    // In lieu: the first day behind a run of holidays in which a Sunday is.
    let mut before = day - 1;
    while is_national(before) {
        if weekday(before) == 0 {
            return true;
        }
        before -= 1;
    }
    is_national(day - 1) && is_national(day + 1)
}

/// Article 2.
fn is_national(day: i64) -> bool {
    let (year, month, date) = civil(day);
    // The n-th Monday of a month.
    let monday = |n: i64| weekday(day) == 1 && (date - 1) / 7 + 1 == n;
    match (month, date) {
        (1, 1) | (2, 11 | 23) | (4, 29) | (5, 3..=5) | (11, 3 | 23) => true,
        (1, _) => monday(2),
        (3, _) => date == equinox(year, 20.8431),
        // Marine, mountain and sports day were moved in these two years.
        (7, _) if year == 2020 => matches!(date, 23 | 24),
        (7, _) if year == 2021 => matches!(date, 22 | 23),
        (8, _) if year == 2020 => date == 10,
        (8, _) if year == 2021 => date == 8,
        (10, _) if matches!(year, 2020 | 2021) => false,
        (7, _) => monday(3),
        (8, _) => date == 11,
        (9, _) => monday(3) || date == equinox(year, 23.2488),
        (10, _) => monday(2),
        _ => false,
    }
}

/// The date of an equinox within its month.
fn equinox(year: i64, base: f64) -> i64 {
    let years = (year - 1980) as f64;
    (base + 0.242_194 * years) as i64 - (year - 1980).div_euclid(4)
}

/// Year, month and date of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let (year, month, date) = event::civil_from_days(day);
    (year.into(), month.into(), date.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(year: i64, month: i64, date: i64) -> i64 {
        event::days_from_civil(year as i32, month as u32, date as u32)
    }

    /// The holidays that the Cabinet Office has announced, with those in lieu and those between.
    #[test]
    fn the_announced_holidays_are_those_computed() {
        for (year, announced) in [
            (2020, "1-1 1-13 2-11 2-23 2-24 3-20 4-29 5-3 5-4 5-5 5-6 7-23 7-24 8-10 9-21 9-22 11-3 11-23"),
            (2021, "1-1 1-11 2-11 2-23 3-20 4-29 5-3 5-4 5-5 7-22 7-23 8-8 8-9 9-20 9-23 11-3 11-23"),
            (2022, "1-1 1-10 2-11 2-23 3-21 4-29 5-3 5-4 5-5 7-18 8-11 9-19 9-23 10-10 11-3 11-23"),
            (2023, "1-1 1-2 1-9 2-11 2-23 3-21 4-29 5-3 5-4 5-5 7-17 8-11 9-18 9-23 10-9 11-3 11-23"),
            (2024, "1-1 1-8 2-11 2-12 2-23 3-20 4-29 5-3 5-4 5-5 5-6 7-15 8-11 8-12 9-16 9-22 9-23 10-14 11-3 11-4 11-23"),
            (2025, "1-1 1-13 2-11 2-23 2-24 3-20 4-29 5-3 5-4 5-5 5-6 7-21 8-11 9-15 9-23 10-13 11-3 11-23 11-24"),
            // The 22nd stands between respect-for-the-aged day and the equinox.
            (2026, "1-1 1-12 2-11 2-23 3-20 4-29 5-3 5-4 5-5 5-6 7-20 8-11 9-21 9-22 9-23 10-12 11-3 11-23"),
            (2027, "1-1 1-11 2-11 2-23 3-21 3-22 4-29 5-3 5-4 5-5 7-19 8-11 9-20 9-23 10-11 11-3 11-23"),
        ] {
            let days = number(year, 1, 1)..number(year + 1, 1, 1);
            let found: Vec<String> = days
                .filter(|day| kind_of(*day) == Day::Holiday)
                .map(civil)
                .map(|(_, month, date)| format!("{month}-{date}"))
                .collect();
            assert_eq!(found.join(" "), announced, "{year}");
        }
    }

    #[test]
    fn days_are_told_in_japan() {
        for (time, kind, second) in [
            ("2027-01-04T01:00:00Z", Day::Working, 10 * 3600),
            ("2027-01-02T15:00:00Z", Day::Closed, 0),
            ("2027-01-03T14:59:59Z", Day::Closed, 86_399),
            ("2026-12-28T16:00:00Z", Day::Closed, 3600),
            ("2026-11-28T00:00:00Z", Day::Weekend, 9 * 3600),
            ("2026-02-28T15:00:00Z", Day::Weekend, 0),
            ("2028-02-29T00:00:00Z", Day::Working, 9 * 3600),
        ] {
            let (day, at) = day_and_second(time.parse().expect("a time"));
            assert_eq!((kind_of(day), at), (kind, second), "{time}");
        }
    }

    #[test]
    fn dates_and_numbers_are_each_other() {
        for day in (-200_000..200_000).step_by(37) {
            let (year, month, date) = civil(day);
            assert_eq!(number(year, month, date), day);
        }
        assert_eq!(civil(0), (1970, 1, 1));
    }
}
