//! Logins of accounts that work by appointment, when nobody works: at night, on weekends, on holidays, at the turn of the year. What was
//! announced, once or for each week, is expected. One account is one alert a night, on however many servers it logs in.

use event::Time;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::{Found, Parameters, View};
use crate::calendar::{Day, day_and_second, kind_of, weekday};

/// See the module. It needs to remember nothing: each login stands by itself.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Hours;

impl Hours {
    pub(super) fn take(&self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Login || o.answer != Answer::Yes || view.expected(p) {
            return;
        }
        let user = o.detail.of(view.text);
        // Without the domain before or behind it.
        let account = user.rsplit('\\').next().unwrap_or(user).split('@').next().unwrap_or(user);
        if !p.accounts.iter().any(|pattern| fits(pattern, account)) {
            return;
        }
        let (day, second) = day_and_second(Time::from_unix_ns(o.time));
        let hours = second as f64 / 3600.0;
        let why = match kind_of(day) {
            Day::Holiday => "a holiday",
            Day::Closed => "the turn of the year",
            Day::Weekend => "a weekend",
            Day::Working if hours < p.opens || hours >= p.closes => "outside office hours",
            Day::Working => return,
        };
        if p.announced.iter().any(|announced| announced.covers(account, o.time)) {
            return;
        }
        let mut f = Found::at(view, &["user.name"]);
        f.explain("when", why);
        f.explain("time_jst", format!("{:02}:{:02}", second / 3600, second % 3600 / 60));
        f.explain("office_hours", format!("{} to {}", p.opens, p.closes));
        found.push(f);
    }
}

/// Work that was announced: whose, and when. Times without a zone are Japan's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Announced {
    accounts: String,
    when: When,
}

#[derive(Clone, Debug, PartialEq)]
enum When {
    /// From one instant to another, in nanoseconds since 1970.
    Once(i64, i64),
    /// On days of the week (bit 0 is Sunday) from a second of the day on, for so many seconds: beyond midnight too.
    Weekly { days: u8, from: i64, seconds: i64 },
}

const DAY_S: i64 = 86_400;
const WEEK: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Announced {
    /// Reads `ACCOUNTS FROM/TO`, such as `vendor-nw 2026-12-05T22:00/2026-12-06T05:00`, or `ACCOUNTS DAYS HH:MM-HH:MM`, such as
    /// `vendor-* sat,sun 22:00-05:00` or `hoshu-backup daily 01:00-02:30`.
    ///
    /// # Errors
    /// That the text is neither.
    pub(super) fn read(text: &str) -> Result<Announced, String> {
        let wrong = || {
            format!(
                "{text:?} is no announcement such as \"vendor-nw 2026-12-05T22:00/2026-12-06T05:00\" or \"vendor-nw sat 22:00-05:00\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (accounts, when) = match words[..] {
            [accounts, interval] => {
                let (from, to) = interval.split_once('/').ok_or_else(wrong)?;
                let (from, to) = (instant(from).ok_or_else(wrong)?, instant(to).ok_or_else(wrong)?);
                (accounts, (from < to).then_some(When::Once(from, to)).ok_or_else(wrong)?)
            }
            [accounts, days, hours] => {
                let day = |name: &str| WEEK.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|at| 1u8 << at);
                let days = match days {
                    "daily" => 0x7f,
                    _ => days.split(',').map(day).try_fold(0, |all, day| Some(all | day?)).ok_or_else(wrong)?,
                };
                let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
                let (from, to) = (clock(from).ok_or_else(wrong)?, clock(to).ok_or_else(wrong)?);
                let seconds = if to > from { to - from } else { to + DAY_S - from };
                (accounts, When::Weekly { days, from, seconds })
            }
            _ => return Err(wrong()),
        };
        Ok(Announced { accounts: accounts.to_owned(), when })
    }

    fn covers(&self, account: &str, time: i64) -> bool {
        let now = match self.when {
            When::Once(from, to) => (from..to).contains(&time),
            When::Weekly { days, from, seconds } => {
                let (day, second) = day_and_second(Time::from_unix_ns(time));
                // It began today, or yesterday and goes on.
                [(day, second), (day - 1, second + DAY_S)]
                    .into_iter()
                    .any(|(day, second)| days >> weekday(day) & 1 == 1 && (from..from + seconds).contains(&second))
            }
        };
        now && fits(&self.accounts, account)
    }
}

/// An instant, in Japan where it has no zone.
fn instant(text: &str) -> Option<i64> {
    let zoned = |text: &str| Time::parse_rfc3339(text).map(Time::unix_ns);
    zoned(text).or_else(|| zoned(&format!("{text}:00+09:00"))).or_else(|| zoned(&format!("{text}+09:00")))
}

/// The second of the day of `HH:MM`.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=24).contains(&hours) && (0..60).contains(&minutes) && hours * 60 + minutes <= 24 * 60)
        .then_some(hours * 3600 + minutes * 60)
}

/// Whether a name fits a pattern, in which `*` is any text; case does not matter.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how far the name had come there.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    (p, n) = (at + 1, taken + 1);
                    star = Some((at, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Announced, fits, instant};

    #[test]
    fn what_was_announced_is_expected_then_and_for_that_account_only() {
        // 2026-12-05 is a Saturday.
        for (text, account, at, expected) in [
            ("vendor-nw 2026-12-05T22:00/2026-12-06T05:00", "vendor-nw", "2026-12-06T04:59:59+09:00", true),
            ("vendor-nw 2026-12-05T22:00/2026-12-06T05:00", "vendor-nw", "2026-12-06T05:00:00+09:00", false),
            ("vendor-nw 2026-12-05T22:00/2026-12-06T05:00", "vendor-gis", "2026-12-06T04:00:00+09:00", false),
            ("vendor-nw 2026-12-05T13:00:00Z/2026-12-05T20:00:00Z", "vendor-nw", "2026-12-05T22:00:00+09:00", true),
            ("vendor-* sat 22:00-05:00", "vendor-nw", "2026-12-06T04:59:00+09:00", true),
            ("vendor-* sat 22:00-05:00", "vendor-nw", "2026-12-05T04:59:00+09:00", false),
            ("vendor-* sat 22:00-05:00", "vendor-nw", "2026-12-05T21:59:00+09:00", false),
            ("vendor-* daily 01:00-02:30", "vendor-nw", "2026-12-09T02:29:00+09:00", true),
            ("vendor-* mon,Wed 00:00-24:00", "vendor-nw", "2026-12-09T23:59:00+09:00", true),
            ("vendor-* mon,Wed 00:00-24:00", "vendor-nw", "2026-12-10T00:00:00+09:00", false),
        ] {
            let announced = Announced::read(text).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(announced.covers(account, instant(at).expect("a time")), expected, "{text}: {account} at {at}");
        }
        let refused = [
            "",
            "vendor-nw",
            "v 2026-12-06T05:00/2026-12-05T22:00",
            "v sat",
            "v so 1:00-2:00",
            "v sat 25:00-26:00",
            "v sat 1:60-2:00",
        ];
        for text in refused {
            assert!(Announced::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("vendor*", "Vendor-nw", true),
            ("*vendor*", "svc-vendor-2", true),
            ("*-vendor", "a-vendor-b-vendor", true),
            ("*-vendor", "a-vendor-b", false),
            ("vendor", "vendors", false),
            ("*", "", true),
            ("", "a", false),
            ("a*b*c", "aXXbYYbc", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
