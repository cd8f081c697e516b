//! Records of several lines: stack traces, statements, alert logs. What begins a record, or goes on with one, is said for each place that lines
//! come to; a line that stands alone costs one look at it.
//!
//! A record ends where the next begins, after a time without a line, and at its bounds: what is longer is cut there and marked, and the lines
//! that would have gone on with it are records of their own again. Lines are joined by LF, as they stood.

use std::time::Duration;

use event::limits::FRAME_BYTES_MAX;
use regex::bytes::{Regex, RegexBuilder};

/// Lines of one record where nothing else is said: a deep stack trace has some hundred.
const LINES_MAX: usize = 500;
/// How long a record waits for its next line where nothing else is said.
const WAIT_TIME: Duration = Duration::from_millis(1000);
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// How lines become records.
#[derive(Clone, Debug)]
pub struct Multiline {
    rule: Rule,
    /// Lines of one record.
    pub lines_max: usize,
    /// Bytes of one record, at most [`FRAME_BYTES_MAX`].
    pub bytes_max: usize,
    /// After so long without a line, a record has ended.
    pub wait: Duration,
}

#[derive(Clone, Debug)]
enum Rule {
    /// A line that fits begins a record; all others go on with the one before.
    Start(Regex),
    /// A line that fits goes on with the record before; all others begin one.
    Continuation(Regex),
}

/// A pattern makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum MultilineError {
    /// It does not compile.
    #[error("bad pattern {pattern:?}")]
    Pattern {
        /// What was written.
        pattern: String,
        /// Why not.
        source: Box<regex::Error>,
    },
    /// No preset of this name.
    #[error("no kind of record is named {0:?}; known: indented, java, postgresql, oracle_alert")]
    Preset(String),
}

/// Kinds of records that are known by name: whether the pattern says how one begins, and the pattern.
const PRESETS: [(&str, bool, &str); 4] = [
    // RFC 5424 and 3164 say nothing of records of several lines; senders that split a record at its LF (RFC 6587 §3.4.2) leave the rest indented.
    ("indented", false, r"^[ \t]"),
    // java.lang.Throwable.printStackTrace: frames, causes, what was left out. With the header of a logger before the first line.
    ("java", false, r"^(?:[ \t]|Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames omitted))"),
    // PostgreSQL, "Error Reporting and Logging": each message has the prefix, and further lines of it begin with a tab.
    ("postgresql", false, r"^\t"),
    // Oracle, "Monitoring the Database": a line with the time only, then the messages of that time. Since 12.2 as ISO 8601.
    (
        "oracle_alert",
        true,
        r"^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)?|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4})[ \t]*$",
    ),
];

impl Multiline {
    /// By the name of a known kind: `indented`, `java`, `postgresql`, `oracle_alert`.
    ///
    /// # Errors
    /// Where none has the name.
    pub fn preset(name: &str) -> Result<Multiline, MultilineError> {
        let (_, starts, pattern) =
            PRESETS.iter().find(|(known, ..)| *known == name).ok_or_else(|| MultilineError::Preset(name.to_owned()))?;
        if *starts { Multiline::start(pattern) } else { Multiline::continuation(pattern) }
    }

    /// A line that fits `pattern` begins a record.
    ///
    /// # Errors
    /// Where it is no pattern, or a very large one.
    pub fn start(pattern: &str) -> Result<Multiline, MultilineError> {
        Ok(Multiline::of(Rule::Start(compiled(pattern)?)))
    }

    /// A line that fits `pattern` goes on with the record before it.
    ///
    /// # Errors
    /// Where it is no pattern, or a very large one.
    pub fn continuation(pattern: &str) -> Result<Multiline, MultilineError> {
        Ok(Multiline::of(Rule::Continuation(compiled(pattern)?)))
    }

    fn of(rule: Rule) -> Multiline {
        Multiline { rule, lines_max: LINES_MAX, bytes_max: FRAME_BYTES_MAX, wait: WAIT_TIME }
    }

    fn goes_on(&self, line: &[u8]) -> bool {
        match &self.rule {
            Rule::Start(pattern) => !pattern.is_match(line),
            Rule::Continuation(pattern) => pattern.is_match(line),
        }
    }
}

fn compiled(pattern: &str) -> Result<Regex, MultilineError> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|source| MultilineError::Pattern { pattern: pattern.to_owned(), source: Box::new(source) })
}

/// Joins the lines of one connection or file. Without a rule, lines pass as they come.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    rule: Option<Multiline>,
    record: Vec<u8>,
    lines: usize,
    truncated: bool,
}

impl Joiner {
    pub(super) fn new(rule: Option<Multiline>) -> Joiner {
        Joiner { rule, ..Joiner::default() }
    }

    /// Takes a line; `emit` gets each record that has ended, and whether it was cut.
    pub(super) fn push(&mut self, line: &[u8], truncated: bool, emit: &mut impl FnMut(&[u8], bool)) {
        let Some(rule) = &self.rule else {
            emit(line, truncated);
            return;
        };
        if self.lines > 0 && rule.goes_on(line) && self.lines < rule.lines_max {
            let room = rule.bytes_max.min(FRAME_BYTES_MAX).saturating_sub(self.record.len() + 1);
            let kept = &line[..line.len().min(room)];
            if !kept.is_empty() {
                self.record.push(b'\n');
                self.record.extend_from_slice(kept);
            }
            self.truncated |= truncated || kept.len() < line.len();
            self.lines += 1;
            return;
        }
        self.finish(emit);
        self.record.extend_from_slice(line);
        self.truncated = truncated;
        self.lines = 1;
    }

    /// The record that was begun has ended.
    pub(super) fn finish(&mut self, emit: &mut impl FnMut(&[u8], bool)) {
        if self.lines > 0 {
            emit(&self.record, self.truncated);
        }
        self.record.clear();
        self.lines = 0;
        self.truncated = false;
    }

    /// How many lines the record that was begun has; 0 where none was.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// How long what was begun waits for its next line; none where nothing was begun.
    pub(super) fn waits(&self) -> Option<Duration> {
        self.rule.as_ref().filter(|_| self.lines > 0).map(|rule| rule.wait)
    }
}

/// Waits so long, or for ever where nothing is to be waited for.
pub(super) async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(rule: Multiline, lines: &[&str]) -> Vec<(String, bool)> {
        let mut joiner = Joiner::new(Some(rule));
        let mut out = Vec::new();
        let mut emit = |record: &[u8], cut| out.push((String::from_utf8_lossy(record).into_owned(), cut));
        for line in lines {
            joiner.push(line.as_bytes(), false, &mut emit);
        }
        joiner.finish(&mut emit);
        assert_eq!(joiner.waits(), None);
        out
    }

    fn texts(rule: Multiline, lines: &[&str]) -> Vec<String> {
        joined(rule, lines).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn records_are_told_by_how_they_begin_or_go_on() {
        let cases: &[(&str, &[&str], &[usize])] = &[
            ("indented", &["<13>a", " b", "\tc", "<13>d", "<13>e"], &[3, 1, 1]),
            ("indented", &["  begins in the middle", " of it", "a"], &[2, 1]),
            (
                "java",
                &[
                    "09:00:00 ERROR [main] x.Y - failed",
                    "java.lang.IllegalStateException: no",
                    "\tat x.Y.z(Y.java:7)",
                    "Caused by: java.io.IOException: gone",
                    "\tat x.Z.a(Z.java:8)",
                    "\t... 3 more",
                    "09:00:01 INFO  [main] x.Y - on",
                ],
                &[1, 5, 1],
            ),
            (
                "postgresql",
                &[
                    "2026-04-01 09:00:00 JST [7] ERROR:  syntax error",
                    "2026-04-01 09:00:00 JST [7] STATEMENT:  select",
                    "\t  1",
                    "\t, 2",
                    "x",
                ],
                &[1, 3, 1],
            ),
            (
                "oracle_alert",
                &[
                    "2026-04-01T09:00:00.123456+09:00",
                    "ORA-00600: internal error code",
                    "Thread 1 advanced",
                    "Wed Apr 01 09:00:01 2026",
                    "Shutting down instance",
                    "2026-04-01T09:00:02.5+09:00",
                ],
                &[3, 2, 1],
            ),
        ];
        for (name, lines, expected) in cases {
            let got = texts(Multiline::preset(name).expect("known"), lines);
            let counts: Vec<usize> = got.iter().map(|record| record.split('\n').count()).collect();
            assert_eq!(counts, *expected, "{name}: {got:?}");
            assert_eq!(got.join("\n"), lines.join("\n"), "{name}: every line is there, in its order");
        }
        assert_eq!(texts(Multiline::start("^>").expect("a pattern"), &[">a", "b", ">c"]), [">a\nb", ">c"]);
        assert!(Multiline::preset("cobol").is_err() && Multiline::start("(").is_err());
        assert!(Multiline::continuation(r"\w{1000}{1000}").is_err(), "a pattern that would take all memory");
    }

    #[test]
    fn bounds_hold_in_lines_and_bytes() {
        let lines: Vec<String> = (0..7).map(|n| format!(" {n}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let rule = Multiline { lines_max: 3, ..Multiline::preset("indented").expect("known") };
        assert_eq!(texts(rule, &lines), [" 0\n 1\n 2", " 3\n 4\n 5", " 6"]);
        let rule = Multiline { bytes_max: 7, ..Multiline::preset("indented").expect("known") };
        assert_eq!(joined(rule, &["a", " bcde", " f", "g"]), [("a\n bcde".to_owned(), true), ("g".to_owned(), false)]);
        let long = format!(" {}", "x".repeat(FRAME_BYTES_MAX));
        let got = joined(Multiline::preset("indented").expect("known"), &["a", &long, &long, "b"]);
        assert_eq!((got.len(), got[0].0.len(), got[0].1), (2, FRAME_BYTES_MAX, true));
    }

    #[test]
    fn without_a_rule_a_line_is_a_record() {
        let mut joiner = Joiner::new(None);
        let mut out = Vec::new();
        joiner.push(b" a", true, &mut |record, cut| out.push((record.to_vec(), cut)));
        assert_eq!(out, [(b" a".to_vec(), true)]);
        assert_eq!(joiner.waits(), None);
    }
}
