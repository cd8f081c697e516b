//! The text of a Windows audit event alone, as forwarders send that take only the message: its line breaks and tabs often written as
//! `#015#012` and `#011` (rsyslog's and syslogd's escapes of control characters).
//!
//! ```text
//! An account was changed.
//!
//! Subject:
//!     Security ID:     S-1-5-18
//!     Account Name:    HOST$
//!     Account Domain:  CITY
//!     Logon ID:        0x3e7
//! ```
//!
//! The labels are in the system's language, so places count: a section that begins with a security identifier is an account (who did it
//! has a logon too, or comes first), the second line its name, the third its domain.

use event::{FieldId, LogSource, LogSourceId, RowBuilder};

use crate::decode::format::guess::contains;
use crate::decode::format::{Kind, Recognise, some_text};
use crate::decode::text::Context;

pub(in crate::decode::format) struct Reader {
    kind: Kind,
    source: LogSourceId,
    target: [FieldId; 3],
}

/// Words that begin or end the first sentence of an event about a failure: English, French, German, Japanese.
const FAILURES: &[&str] = &["fail", "denied", "échou", "échec", "Échou", "Échec", "refus", "fehlgeschlagen", "失敗", "拒否"];

impl Reader {
    pub(in crate::decode::format) fn new() -> Reader {
        Reader {
            kind: Kind::new("windows_message", Some("windows"), None, Some("security")),
            source: LogSourceId::intern(LogSource { product: Some("windows"), category: None, service: Some("security") }),
            target: ["user.target.id", "user.target.name", "user.target.domain"].map(FieldId::known),
        }
    }
}

/// The value behind a line's label; `-` is none.
fn value(line: &str) -> Option<&str> {
    let (_, value) = line.split_once(':')?;
    let value = value.trim_matches(|c: char| c.is_whitespace()).trim_start_matches("#011").trim_end_matches("#015").trim();
    (!value.is_empty()).then_some(value)
}

fn lines(text: &str, escaped: bool) -> impl Iterator<Item = &str> + Clone {
    text.split(if escaped { "#012" } else { "\n" }).map(|line| line.trim_end_matches("#015").trim_end())
}

impl crate::decode::format::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["windows_message"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(8)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["#012#011", "S-1-"], &["\n\t", "S-1-"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let text = context.header.message.trim();
        let escaped = text.contains("#012#011");
        if !(escaped || text.contains("\n\t")) || !text.contains("S-1-") {
            return false;
        }
        // Accounts: the lines behind a label whose value is a security identifier.
        let lines = lines(text, escaped);
        let accounts =
            lines.clone().enumerate().filter(|(_, line)| value(line).is_some_and(|v| v.starts_with("S-1-") && v.len() < 190));
        let mut accounts = accounts.map(|(at, _)| at);
        let Some(subject) = accounts.next() else { return false };
        let part = |at: usize| lines.clone().nth(at).and_then(value).filter(|v| *v != "-");
        if part(subject + 1).is_none() {
            return false;
        }
        self.kind.mark(row);
        row.log_source(self.source);
        row.text(FieldId::MESSAGE, text);
        let title = lines.clone().next().unwrap_or("");
        let failed = FAILURES.iter().any(|word| contains(title, word));
        row.text(FieldId::EVENT_OUTCOME, if failed { "failure" } else { "success" });
        for (field, at) in [FieldId::USER_ID, FieldId::USER_NAME, FieldId::USER_DOMAIN].iter().zip(subject..) {
            some_text(row, *field, part(at).unwrap_or(""));
        }
        if let Some(target) = accounts.next() {
            for (field, at) in self.target.iter().zip(target..) {
                some_text(row, *field, part(at).unwrap_or(""));
            }
        }
        true
    }
}
