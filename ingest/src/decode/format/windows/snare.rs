//! Snare's Windows lines, which NXLog's `to_syslog_snare` writes too (Intersect Alliance, "Guide to Snare for Windows", event output
//! format): after the mark `MSWinEventLog`, tab-separated.
//!
//! ```text
//! MSWinEventLog criticality log counter date id source user sid-type type computer category data text [checksum]
//! ```

use event::RowBuilder;

use super::Events;
use crate::decode::format::Recognise;
use crate::decode::record::{Key, Record};
use crate::decode::text::Context;

pub(in crate::decode::format) struct Reader {
    record: Record,
    events: Events,
    columns: Vec<Key>,
}

const MARK: &str = "MSWinEventLog";
const COLUMNS: &[&str] = &[
    "Criticality",
    "Channel",
    "SnareCounter",
    "EventTime",
    "EventID",
    "SourceName",
    "User",
    "SidType",
    "EventType",
    "Hostname",
    "Category",
    "Data",
    "Message",
    "Checksum",
];

impl Reader {
    pub(in crate::decode::format) fn new() -> Reader {
        let mut record = Record::new();
        let events = Events::new(&mut record.keys);
        let columns = COLUMNS.iter().map(|name| record.keys.declare(name)).collect();
        Reader { record, events, columns }
    }
}

impl crate::decode::format::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["windows_snare"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().app(MARK).starts(MARK).anything()
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[MARK]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let whole = context.header.message;
        // Snare puts the host before its mark, separated by a tab.
        let Some(at) = whole.find(MARK) else { return false };
        if at > 0 && !(whole[..at].ends_with('\t') && whole[..at - 1].bytes().all(|b| b.is_ascii_graphic())) {
            return false;
        }
        let separator = if whole[at + MARK.len()..].starts_with('\t') { "\t" } else { "#011" };
        let Some(rest) = whole[at + MARK.len()..].strip_prefix(separator) else { return false };
        self.record.begin();
        let mut count = 0;
        for (value, key) in rest.splitn(COLUMNS.len(), separator).zip(&self.columns) {
            let value = value.trim();
            count += 1;
            if value.is_empty() || value == "N/A" || value == "Unknown User" {
                continue;
            }
            self.record.text(whole, *key, value);
        }
        if count < 12 {
            return false;
        }
        self.events.read(&self.record, whole, context, row)
    }
}
