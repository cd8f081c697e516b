//! Logins of accounts that work by appointment, when nobody works: at night, on weekends, on holidays, at the turn of the year.

use event::Time;
use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::{Found, Parameters, View};
use crate::calendar::{Day, day_and_second, kind_of};

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
        let mut f = Found::at(view, &["user.name", "source.ip", "host.name"]);
        f.explain("when", why);
        f.explain("time_jst", format!("{:02}:{:02}", second / 3600, second % 3600 / 60));
        f.explain("office_hours", format!("{} to {}", p.opens, p.closes));
        found.push(f);
    }
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
    use super::fits;

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
