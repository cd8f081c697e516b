//! The XML of the Windows event log (Microsoft, "Event schema"): as `wevtutil`, NXLog's `to_xml` and forwarders write it. Brought to
//! Winlogbeat's names. Only what this schema uses of XML is read: elements, attributes, character data, the predefined entities.

use event::RowBuilder;

use super::Events;
use crate::decode::format::Recognise;
use crate::decode::record::{Key, Keys, Record};
use crate::decode::text::Context;

pub(in crate::decode::format) struct Reader {
    record: Record,
    events: Events,
    names: Names,
    parameters: Vec<Key>,
}

/// Elements of `System` and where they go.
struct Names {
    elements: Vec<(&'static str, Key)>,
    attributes: Vec<(&'static str, &'static str, Key)>,
    data: Key,
}

/// Elements within each other at most; deeper ones are passed over.
const DEPTH_MAX: usize = 16;

impl Names {
    fn new(keys: &mut Keys) -> Names {
        let elements = [
            ("EventID", "winlog.event_id"),
            ("Version", "winlog.version"),
            ("Level", "winlog.level_value"),
            ("Task", "winlog.task_value"),
            ("Opcode", "winlog.opcode_value"),
            ("Keywords", "winlog.keywords"),
            ("EventRecordID", "winlog.record_id"),
            ("Channel", "winlog.channel"),
            ("Computer", "winlog.computer_name"),
            ("Message", "message"),
        ];
        let attributes = [
            ("Provider", "Name", "winlog.provider_name"),
            ("Provider", "Guid", "winlog.provider_guid"),
            ("TimeCreated", "SystemTime", "winlog.time_created"),
            ("Correlation", "ActivityID", "winlog.activity_id"),
            ("Correlation", "RelatedActivityID", "winlog.related_activity_id"),
            ("Execution", "ProcessID", "winlog.process.pid"),
            ("Execution", "ThreadID", "winlog.process.thread.id"),
            ("Security", "UserID", "winlog.user.identifier"),
        ];
        Names {
            elements: elements.map(|(element, name)| (element, keys.declare(name))).to_vec(),
            attributes: attributes.map(|(element, attribute, name)| (element, attribute, keys.declare(name))).to_vec(),
            data: keys.declare("winlog.event_data"),
        }
    }
}

impl Reader {
    pub(in crate::decode::format) fn new() -> Reader {
        let mut record = Record::new();
        let events = Events::new(&mut record.keys);
        let names = Names::new(&mut record.keys);
        let parameters = (1..=32).map(|n| record.keys.declare(&format!("winlog.event_data.param{n}"))).collect();
        Reader { record, events, names, parameters }
    }

    /// Fills the record. False where the text is no event.
    fn fill(&mut self, text: &str) -> bool {
        self.record.begin();
        let mut rest = text;
        let mut stack = [""; DEPTH_MAX];
        let mut depth = 0usize;
        let mut value_of: Option<Key> = None;
        let mut unnamed = 0;
        let mut closed = false;
        while let Some(open) = rest.find('<') {
            let characters = &rest[..open];
            rest = &rest[open + 1..];
            let Some(close) = rest.find('>') else { break };
            let tag = &rest[..close];
            rest = &rest[close + 1..];
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                if let Some(key) = value_of.take() {
                    self.value(text, key, characters);
                }
                depth = depth.saturating_sub(1);
                if name.trim() == "Event" {
                    closed = true;
                    break;
                }
                continue;
            }
            let empty = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, attributes) = tag.split_once([' ', '\t', '\n', '\r']).unwrap_or((tag, ""));
            let parent = if depth == 0 { "" } else { stack[depth.min(DEPTH_MAX) - 1] };
            let section = if depth < 2 { "" } else { stack[1] };
            value_of = self.element(text, section, parent, name, attributes, &mut unnamed);
            if !empty {
                if depth < DEPTH_MAX {
                    stack[depth] = name;
                }
                depth += 1;
            } else {
                value_of = None;
            }
        }
        closed || !self.record.is_empty()
    }

    /// Where the characters of the element go, if anywhere.
    fn element(
        &mut self,
        text: &str,
        section: &str,
        parent: &str,
        name: &str,
        attributes: &str,
        unnamed: &mut usize,
    ) -> Option<Key> {
        for (_, attribute, key) in self.names.attributes.iter().filter(|(element, ..)| *element == name && parent == "System") {
            if let Some(value) = attribute_of(attributes, attribute) {
                value_into(&mut self.record, text, *key, value);
            }
        }
        match (section, name) {
            (_, "Data") if parent == "EventData" || parent == "UserData" => Some(match attribute_of(attributes, "Name") {
                Some(name) => self.record.keys.child(self.names.data, name),
                None => {
                    *unnamed += 1;
                    *self.parameters.get(*unnamed - 1).unwrap_or(&Key::REFUSED)
                }
            }),
            ("UserData", name) => Some(self.record.keys.child(self.names.data, name)),
            _ if parent == "System" || (parent == "RenderingInfo" && name == "Message") => {
                self.names.elements.iter().find(|(element, _)| *element == name).map(|(_, key)| *key)
            }
            _ => None,
        }
    }

    fn value(&mut self, text: &str, key: Key, characters: &str) {
        if !characters.trim().is_empty() {
            value_into(&mut self.record, text, key, characters);
        }
    }
}

fn value_into(record: &mut Record, text: &str, key: Key, characters: &str) {
    if characters.contains('&') {
        record.unescaped(key, |out| unescape(characters, out));
    } else {
        record.text(text, key, characters);
    }
}

/// The value of an attribute, in either kind of quotes.
fn attribute_of<'t>(attributes: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = attributes;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, next) = after[1..].split_once(quote)?;
        if key.trim() == name {
            return Some(value);
        }
        rest = next;
    }
}

/// The predefined entities and character references (XML 1.0 §4.1, §4.6).
pub(in crate::decode::format) fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        let char = end.and_then(|end| match &rest[1..end] {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            reference => {
                let number = reference.strip_prefix('#')?;
                let code = number.strip_prefix(['x', 'X']).map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
                code.ok().and_then(char::from_u32)
            }
        });
        match (char, end) {
            (Some(char), Some(end)) => {
                out.push(char);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

impl crate::decode::format::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["windows_xml"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("<")
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&["<Event", "<System>"]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let start = message.trim_start();
        let start =
            start.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(start, |(_, rest)| rest.trim_start());
        let is_event = start.strip_prefix("<Event").is_some_and(|rest| rest.starts_with([' ', '>', '\n', '\r', '\t']));
        if !is_event || !start.contains("<System>") || !self.fill(message) {
            return false;
        }
        self.events.read(&self.record, message, context, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_read() {
        for (text, plain) in [
            ("a &lt;b&gt; &amp;amp; &quot;c&quot;", "a <b> &amp; \"c\""),
            ("&#x41;&#66;&#xZZ;&#1114112;", "AB&#xZZ;&#1114112;"),
            ("& alone &; &verylongentityname;", "& alone &; &verylongentityname;"),
        ] {
            let mut out = String::new();
            unescape(text, &mut out);
            assert_eq!(out, plain);
        }
        assert_eq!(attribute_of("Name='a b' Guid=\"{1}\"", "Guid"), Some("{1}"));
        assert_eq!(attribute_of("Name='a", "Name"), None);
    }
}
