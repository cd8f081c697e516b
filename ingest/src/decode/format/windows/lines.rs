//! Windows events as lines of text: what Splunk's forwarder writes (Splunk, "Monitor Windows event log data"), what QRadar's WinCollect
//! writes, and audit messages alone behind a syslog header (Eventlog-to-Syslog, rsyslog's agent).
//!
//! ```text
//! 04/01/2026 09:00:00 AM            AgentDevice=WindowsLog⇥AgentLogFile=Security⇥EventID=4625⇥..⇥Message=..
//! LogName=Security
//! EventCode=4625                    <29>Apr  1 09:00:00 DC1 Security-Auditing: 4625: AUDIT_FAILURE An account failed to log on. ..
//! Message=An account failed to log on. ..
//! ```
//!
//! Each becomes a record of the names that NXLog gives them; what the message says of it is read there.

use event::{FieldId, RowBuilder};

use super::{Events, labels};
use crate::decode::format::Recognise;
use crate::decode::record::{Key, Record};
use crate::decode::syslog;
use crate::decode::text::Context;

pub(in crate::decode::format) struct Reader {
    record: Record,
    events: Events,
}

/// The programs of audit messages: the provider's name as senders write it.
const PROVIDERS: &[&str] = &["microsoft-windows-security-auditing", "security-auditing", "microsoft_windows_security_auditing"];

/// Names of the forwarders, and NXLog's for the same.
const NAMES: &[(&str, &str)] = &[
    ("LogName", "Channel"),
    ("AgentLogFile", "Channel"),
    ("NTEventLogType", "Channel"),
    ("EventCode", "EventID"),
    ("NTEventID", "EventID"),
    ("SourceName", "SourceName"),
    ("Source", "SourceName"),
    ("NTSourceProc", "SourceName"),
    ("ComputerName", "Computer"),
    ("Type", "Severity"),
    ("TaskCategory", "Category"),
    ("CatName", "Category"),
    ("OpCode", "Opcode"),
    ("TimeGenerated", "EventTime"),
    ("Sid", "UserID"),
];

/// Names of the computer that an event is of.
const COMPUTERS: &[&str] = &["Computer", "Hostname"];

/// What must stand in a record that is one of these.
const MARKS: &[&[&str]] = &[
    &["LogName=", "\nEventCode="],
    &["AgentDevice=WindowsLog\t"],
    &["Account Name:"],
    &["Logon Account:"],
    &["アカウント名:"],
    &["ログオン アカウント:"],
    &["Nom du compte"],
    &["Compte d’ouverture de session"],
    &["NTEventID="],
];

impl Reader {
    pub(in crate::decode::format) fn new() -> Reader {
        let mut record = Record::new();
        let events = Events::new(&mut record.keys);
        Reader { record, events }
    }

    /// Adds a pair under NXLog's name.
    fn put(&mut self, whole: &str, name: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() || value == "N/A" {
            return;
        }
        let name = NAMES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
        let key = self.record.keys.child(Key::ROOT, name);
        self.record.text(whole, key, value);
    }

    fn has(&mut self, context: &Context<'_>, name: &str) -> bool {
        let key = self.record.keys.child(Key::ROOT, name);
        self.record.view(context.record).has(key)
    }

    /// `Name=value` lines, the message last. False where it is none.
    fn splunk(&mut self, whole: &str, text: &str) -> bool {
        let mut rest = text;
        let mut lines = 0;
        while !rest.is_empty() {
            if let Some(message) = rest.strip_prefix("Message=") {
                self.put(whole, "Message", message);
                break;
            }
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            match line.split_once('=') {
                Some((name, value)) if name.bytes().all(|b| b.is_ascii_alphabetic()) => self.put(whole, name, value),
                _ if lines == 0 => self.put(whole, "EventTime", line),
                _ => return false,
            }
            lines += 1;
            rest = after;
        }
        true
    }

    /// An audit message alone.
    fn alone(&mut self, context: &Context<'_>) -> bool {
        let text = context.header.message.trim();
        let provider = context
            .header
            .app
            .is_some_and(|app| PROVIDERS.iter().any(|known| app.trim_end_matches('.').eq_ignore_ascii_case(known)));
        let mut message = text;
        let mut number = None;
        if let Some((digits, rest)) =
            text.split_once(": ").filter(|(digits, _)| (3..=5).contains(&digits.len())).filter(|_| provider)
            && digits.bytes().all(|b| b.is_ascii_digit())
        {
            number = Some(digits);
            message = rest.trim_start();
            for keyword in ["AUDIT_SUCCESS", "AUDIT_FAILURE"] {
                if let Some(rest) = message.strip_prefix(keyword) {
                    self.put(context.record, "EventType", keyword);
                    message = rest.trim_start();
                }
            }
        }
        if let Some(structured) = context.header.structured.filter(|_| provider) {
            for parameter in syslog::parameters(structured) {
                self.put(context.record, parameter.name, &parameter.value());
            }
        } else {
            let Some(number) = number.or_else(|| labels::number(message)) else { return false };
            self.put(context.record, "EventID", number);
        }
        for (name, value) in
            [("Channel", "Security"), ("SourceName", "Microsoft-Windows-Security-Auditing"), ("Message", message)]
        {
            if !self.has(context, name) {
                self.put(context.record, name, value);
            }
        }
        true
    }
}

impl crate::decode::format::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["windows_lines"]
    }

    fn recognise(&self) -> Recognise {
        PROVIDERS.iter().fold(Recognise::new().anything().stamped().rank(4), |recognise, name| recognise.app(name))
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        MARKS
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let text = context.header.message.trim();
        self.record.begin();
        let good = if text.contains("\nEventCode=") && text.contains("LogName=") {
            self.splunk(context.record, text)
        } else if text.starts_with("AgentDevice=WindowsLog\t") {
            for (name, value) in text.split('\t').filter_map(|pair| pair.split_once('=')) {
                self.put(context.record, name, value);
            }
            true
        } else {
            self.alone(context)
        };
        if !good || !["EventID", "Channel"].iter().all(|name| self.has(context, name)) {
            return false;
        }
        row.remove(FieldId::HOST_NAME); // The event's own computer, where it names one.
        if let Some(host) = context.header.host.filter(|_| !COMPUTERS.iter().any(|name| self.has(context, name))) {
            row.text(FieldId::HOST_NAME, host);
        }
        self.events.read(&self.record, context.record, context, row)
    }
}
