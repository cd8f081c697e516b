//! Instants as Elasticsearch reads and writes them: date math, formats, time zones.

use event::Time;
use index::TimeZone;
use index::query::instant::{Instants, time_of, zoned};
use jiff::fmt::strtime;
use serde_json::Value;

use super::fault::{Fault, Members};

/// How an instant is written where nothing else is said.
pub(super) const USUAL: &str = "strict_date_optional_time";

/// What texts are read against.
pub(crate) struct Reading<'a> {
    pub(crate) now: Time,
    pub(crate) zone: &'a TimeZone,
    /// Formats, the first that fits wins (`A||B`).
    pub(crate) format: Option<&'a str>,
}

impl Reading<'_> {
    /// The instant that `value` names; `up`: what it leaves open is its last moment, not its first.
    pub(crate) fn read(&self, value: &Value, up: bool) -> Option<Time> {
        match value {
            Value::Number(n) => {
                let n = n.as_f64()?;
                let seconds = self.format.is_some_and(|f| f.split("||").next() == Some("epoch_second"));
                let ns = n * if seconds { 1e9 } else { 1e6 };
                (ns.abs() < 9e18)
                    .then(|| Time::from_unix_ns(if seconds { (n as i64) * 1_000_000_000 } else { (n as i64) * 1_000_000 }))
            }
            Value::String(text) => self.text(text, up),
            _ => None,
        }
    }

    fn text(&self, text: &str, up: bool) -> Option<Time> {
        let usual = Instants { now: self.now, zone: self.zone };
        if let Some(math) = text.strip_prefix("now") {
            return usual.math(self.now, math, up);
        }
        if let Some((anchor, math)) = text.split_once("||") {
            return usual.math(self.written(anchor, false)?, math, up);
        }
        self.written(text, up)
    }

    fn written(&self, text: &str, up: bool) -> Option<Time> {
        let formats = self.format.unwrap_or("strict_date_optional_time||epoch_millis");
        formats.split("||").find_map(|format| self.one(text, format, up))
    }

    fn one(&self, text: &str, format: &str, up: bool) -> Option<Time> {
        match format {
            "epoch_millis" => Some(Time::from_unix_ms(text.parse().ok().filter(|ms: &i64| ms.abs() < 9_000_000_000_000)?)),
            "epoch_second" => Some(Time::from_unix_s(text.parse().ok().filter(|s: &i64| s.abs() < 9_000_000_000)?)),
            "strict_date_optional_time" | "strict_date_optional_time_nanos" | "date_optional_time" | "iso8601" => {
                Instants { now: self.now, zone: self.zone }.written(text, up)
            }
            pattern => {
                let broken = strtime::parse(strtime_of(pattern)?, text).ok()?;
                let open = |known: bool, last: i8| if known || !up { 0 } else { last };
                let date = broken.to_date().ok().or_else(|| {
                    let month = broken.month().unwrap_or(if up { 12 } else { 1 });
                    let first = jiff::civil::Date::new(broken.year()?, month, 1).ok()?;
                    Some(if up { first.last_of_month() } else { first })
                })?;
                let clock = match broken.hour() {
                    Some(_) => broken.to_time().ok()?,
                    None => jiff::civil::time(open(false, 23), 0, 0, 0),
                };
                let [minute, second] = [broken.minute(), broken.second()].map(|part| open(part.is_some(), 59));
                let ns = if up && broken.subsec_nanosecond().is_none() { 999_999_999 } else { 0 };
                let clock = clock.saturating_add(jiff::SignedDuration::new(i64::from(minute) * 60 + i64::from(second), ns));
                let zone = match (broken.offset(), broken.iana_time_zone()) {
                    (Some(offset), _) => TimeZone::fixed(offset),
                    (None, Some(name)) => TimeZone::get(name).ok()?,
                    (None, None) => self.zone.clone(),
                };
                time_of(date.to_datetime(clock).to_zoned(zone).ok()?.timestamp())
            }
        }
    }
}

/// The instant as `format` writes it; the usual way where none is given.
pub(crate) fn write(time: Time, format: Option<&str>, zone: &TimeZone) -> String {
    let first = format.and_then(|f| f.split("||").next()).unwrap_or(USUAL);
    match first {
        "epoch_millis" => return time.unix_ms().to_string(),
        "epoch_second" => return time.unix_s().to_string(),
        _ => {}
    }
    let Some(at) = zoned(time, zone) else { return time.to_string() };
    let suffix = if at.offset().is_zero() { "Z".to_owned() } else { at.strftime("%:z").to_string() };
    match first {
        "strict_date_optional_time_nanos" => format!("{}{suffix}", at.strftime("%Y-%m-%dT%H:%M:%S%.9f")),
        "strict_date_optional_time" | "date_optional_time" | "iso8601" | "date_time" | "strict_date_time" => {
            format!("{}{suffix}", at.strftime("%Y-%m-%dT%H:%M:%S%.3f"))
        }
        pattern => match strtime_of(pattern) {
            Some(pattern) => at.strftime(&pattern).to_string(),
            None => time.to_string(),
        },
    }
}

/// The `format` of a request, which is one of those that are known.
pub(crate) fn format_of(members: &mut Members) -> Result<Option<String>, Fault> {
    match members.text("format")? {
        // Their name for as it is.
        Some(format) if format == "use_field_mapping" => Ok(None),
        Some(format) if !is_format(&format) => Err(Fault::illegal(format!("[format] {format:?} is not known"))),
        format => Ok(format),
    }
}

/// Whether we know how to write so.
pub(crate) fn is_format(format: &str) -> bool {
    format.split("||").all(|format| {
        matches!(
            format,
            "epoch_millis"
                | "epoch_second"
                | "iso8601"
                | "date_optional_time"
                | "strict_date_optional_time"
                | "strict_date_optional_time_nanos"
                | "date_time"
                | "strict_date_time"
        ) || strtime_of(format).is_some()
    })
}

/// Java's pattern (or the name of one) as `strftime` writes it.
fn strtime_of(pattern: &str) -> Option<String> {
    let pattern = match pattern.strip_prefix("strict_").unwrap_or(pattern) {
        "date" | "year_month_day" => "yyyy-MM-dd",
        "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
        "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
        "basic_date" => "yyyyMMdd",
        "year_month" => "yyyy-MM",
        "year" => "yyyy",
        _ => pattern,
    };
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // Literal text; two quotes are one.
            let mut empty = true;
            for c in chars.by_ref().take_while(|c| *c != '\'') {
                empty = false;
                out.push(c);
            }
            if empty {
                out.push('\'');
            }
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&c).is_some() {
            count += 1;
        }
        let directive = match (c, count) {
            ('y' | 'u', 4) => "%Y",
            ('y' | 'u', 2) => "%y",
            ('M', 2) => "%m",
            ('M', 1) => "%-m",
            ('M', 3) => "%b",
            ('M', 4) => "%B",
            ('d', 2) => "%d",
            ('d', 1) => "%-d",
            ('D', _) => "%j",
            ('E', 1..=3) => "%a",
            ('E', 4) => "%A",
            ('H', 2) => "%H",
            ('H', 1) => "%-H",
            ('h', 2) => "%I",
            ('a', 1) => "%p",
            ('m', 2) => "%M",
            ('s', 2) => "%S",
            ('S', 3) => "%3f",
            ('S', 6) => "%6f",
            ('S', 9) => "%9f",
            ('X' | 'x', 3) | ('Z', 5) => "%:z",
            ('X' | 'x', 2) | ('Z', 1..=3) => "%z",
            ('V' | 'z', _) => "%Q",
            (c, _) if c.is_ascii_alphabetic() => return None,
            (c, n) => {
                (0..n).for_each(|_| out.extend(std::iter::repeat_n(c, if c == '%' { 2 } else { 1 })));
                ""
            }
        };
        out.push_str(directive);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read() {
        let now = "2026-04-15T10:20:30.5Z".parse().expect("a time");
        let tokyo = TimeZone::get("Asia/Tokyo").expect("known");
        for (text, format, zone, up, expected) in [
            ("now", None, &TimeZone::UTC, false, "2026-04-15T10:20:30.500Z"),
            ("now-1h/h", None, &TimeZone::UTC, false, "2026-04-15T09:00:00Z"),
            ("now/d", None, &TimeZone::UTC, true, "2026-04-15T23:59:59.999999999Z"),
            ("now/d", None, &tokyo, false, "2026-04-14T15:00:00Z"),
            ("now/w", None, &TimeZone::UTC, false, "2026-04-13T00:00:00Z"),
            ("2026-01-31||+1M", None, &TimeZone::UTC, false, "2026-02-28T00:00:00Z"),
            ("2026-04-01||/M", None, &TimeZone::UTC, true, "2026-04-30T23:59:59.999999999Z"),
            ("2026", None, &TimeZone::UTC, false, "2026-01-01T00:00:00Z"),
            ("2026-04-01", None, &TimeZone::UTC, true, "2026-04-01T23:59:59.999999999Z"),
            ("2028-02", None, &TimeZone::UTC, true, "2028-02-29T23:59:59.999999999Z"),
            ("2026", None, &TimeZone::UTC, true, "2026-12-31T23:59:59.999999999Z"),
            ("2026-04-01", None, &tokyo, false, "2026-03-31T15:00:00Z"),
            ("2026-04-01T09:00:00+09:00", None, &tokyo, false, "2026-04-01T00:00:00Z"),
            ("2026-04-01T09:00:00.25Z", None, &tokyo, false, "2026-04-01T09:00:00.250Z"),
            ("1775001600000", None, &TimeZone::UTC, false, "2026-04-01T00:00:00Z"),
            ("1775001600", Some("epoch_second"), &TimeZone::UTC, false, "2026-04-01T00:00:00Z"),
            ("01/04/2026", Some("dd/MM/yyyy||yyyy"), &TimeZone::UTC, false, "2026-04-01T00:00:00Z"),
            ("2026-04-01 09:30:00", Some("yyyy-MM-dd HH:mm:ss"), &tokyo, false, "2026-04-01T00:30:00Z"),
            ("2026-04-01", Some("yyyy-MM-dd"), &TimeZone::UTC, true, "2026-04-01T23:59:59.999999999Z"),
            ("02/2028", Some("MM/yyyy"), &TimeZone::UTC, true, "2028-02-29T23:59:59.999999999Z"),
            ("2026", Some("yyyy"), &TimeZone::UTC, true, "2026-12-31T23:59:59.999999999Z"),
            ("2026", Some("yyyy"), &TimeZone::UTC, false, "2026-01-01T00:00:00Z"),
            ("2026-04-01 09:30", Some("yyyy-MM-dd HH:mm"), &tokyo, true, "2026-04-01T00:30:59.999999999Z"),
            ("2026-04-01 09:30:07", Some("yyyy-MM-dd HH:mm:ss"), &TimeZone::UTC, true, "2026-04-01T09:30:07.999999999Z"),
            (
                "2026-04-01T09:30:07.250+09:00",
                Some("yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
                &TimeZone::UTC,
                true,
                "2026-04-01T00:30:07.250Z",
            ),
            ("2026-04-01T09:30:07Z", None, &TimeZone::UTC, true, "2026-04-01T09:30:07.999999999Z"),
        ] {
            let reading = Reading { now, zone, format };
            let found = reading.read(&Value::String(text.to_owned()), up).map(|t| t.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
        let reading = Reading { now, zone: &TimeZone::UTC, format: None };
        for bad in ["", "now-", "now-1", "now-1q", "2026-13", "2026-04-01T25", "x", "now/2d", "2026-04-01||"] {
            let found = reading.read(&Value::String(bad.to_owned()), false);
            assert!(found.is_none() || bad == "2026-04-01||", "{bad}: {found:?}");
        }
        assert_eq!(reading.read(&1_775_001_600_000_i64.into(), false), "2026-04-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn instants_are_written() {
        let at: Time = "2026-04-01T00:00:00.123456789Z".parse().expect("a time");
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        for (format, zone, expected) in [
            (None, &TimeZone::UTC, "2026-04-01T00:00:00.123Z"),
            (None, &tokyo, "2026-04-01T09:00:00.123+09:00"),
            (Some("epoch_millis"), &tokyo, "1775001600123"),
            (Some("strict_date_optional_time_nanos"), &TimeZone::UTC, "2026-04-01T00:00:00.123456789Z"),
            (Some("yyyy-MM-dd"), &tokyo, "2026-04-01"),
            (Some("yyyy/MM/dd HH:mm:ss.SSS"), &tokyo, "2026/04/01 09:00:00.123"),
            (Some("MMM d, yyyy 'at' HH"), &TimeZone::UTC, "Apr 1, 2026 at 00"),
        ] {
            assert_eq!(write(at, format, zone), expected, "{format:?}");
        }
        assert!(is_format("epoch_millis||yyyy-MM-dd") && !is_format("qqqq"));
    }
}
