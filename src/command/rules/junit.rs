//! Outcomes of cases as JUnit's XML, which build servers read.

use std::fmt::Write;
use std::path::PathBuf;

use rules::cases::Outcome;

/// A suite for each case file.
pub(super) fn document(suites: &[(PathBuf, Vec<Outcome>)]) -> String {
    let failures = |outcomes: &[Outcome]| outcomes.iter().filter(|o| o.failure.is_some()).count();
    let all: usize = suites.iter().map(|(_, outcomes)| outcomes.len()).sum();
    let failed: usize = suites.iter().map(|(_, outcomes)| failures(outcomes)).sum();
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{all}\" failures=\"{failed}\">\n");
    let mut line = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("writing to a String does not fail");
    for (path, outcomes) in suites {
        let suite = escaped(&path.display().to_string());
        line(format_args!("  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{}\">\n", outcomes.len(), failures(outcomes)));
        for outcome in outcomes {
            let name = escaped(&outcome.name);
            match &outcome.failure {
                None => line(format_args!("    <testcase classname=\"{suite}\" name=\"{name}\"/>\n")),
                Some(reason) => line(format_args!(
                    "    <testcase classname=\"{suite}\" name=\"{name}\"><failure message=\"{}\"/></testcase>\n",
                    escaped(reason)
                )),
            }
        }
        line(format_args!("  </testsuite>\n"));
    }
    out.push_str("</testsuites>\n");
    out
}

/// XML 1.0 allows no control characters but tab and line ends, not even as references.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => write!(out, "&#{};", u32::from(c)).expect("writing to a String does not fail"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_case_is_called_cannot_break_the_document() {
        let outcome = |name: &str, failure: Option<&str>| Outcome { name: name.to_owned(), failure: failure.map(str::to_owned) };
        let outcomes = vec![outcome("a", None), outcome("<b>\"&\u{1}", Some("matches: true,\nexpected false"))];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"2\" failures=\"1\">\n  \
            <testsuite name=\"x.jsonl\" tests=\"2\" failures=\"1\">\n    <testcase classname=\"x.jsonl\" name=\"a\"/>\n    \
            <testcase classname=\"x.jsonl\" name=\"&lt;b&gt;&quot;&amp;\u{fffd}\">\
            <failure message=\"matches: true,&#10;expected false\"/></testcase>\n  </testsuite>\n</testsuites>\n";
        assert_eq!(document(&[(PathBuf::from("x.jsonl"), outcomes)]), expected);
    }
}
