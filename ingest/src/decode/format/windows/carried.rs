//! Windows events whose XML somebody made JSON of: `{"Event":{"System":{..},"EventData":{..}}}`, or Wazuh's `win.system.*` and
//! `win.eventdata.*` with small first letters. Brought to Winlogbeat's names.

use event::{RowBuilder, Value};

use super::Events;
use crate::decode::record::{Key, Keys, Record, View};
use crate::decode::text::Context;

pub(in crate::decode::format) struct Carried {
    record: Record,
    events: Events,
    /// The event's number under each carrier's name, and what stands before the two parts.
    carriers: [(Key, &'static str, &'static str); 4],
    /// Parts about the event by their names in small letters, without the marks of attributes.
    system: Vec<(&'static str, Key)>,
    data: Key,
}

/// Bytes of a name within an event's data at most.
const NAME_BYTES_MAX: usize = 64;

impl Carried {
    /// `keys` is the table of the records that carry.
    pub(in crate::decode::format) fn new(keys: &mut Keys) -> Carried {
        let mut record = Record::new();
        let events = Events::new(&mut record.keys);
        let system = [
            ("eventid", "winlog.event_id"),
            ("eventid.#text", "winlog.event_id"),
            ("version", "winlog.version"),
            ("level", "winlog.level_value"),
            ("task", "winlog.task_value"),
            ("opcode", "winlog.opcode_value"),
            ("keywords", "winlog.keywords"),
            ("eventrecordid", "winlog.record_id"),
            ("channel", "winlog.channel"),
            ("computer", "winlog.computer_name"),
            ("provider.name", "winlog.provider_name"),
            ("providername", "winlog.provider_name"),
            ("provider.guid", "winlog.provider_guid"),
            ("providerguid", "winlog.provider_guid"),
            ("timecreated.systemtime", "winlog.time_created"),
            ("systemtime", "winlog.time_created"),
            ("execution.processid", "winlog.process.pid"),
            ("processid", "winlog.process.pid"),
            ("execution.threadid", "winlog.process.thread.id"),
            ("threadid", "winlog.process.thread.id"),
            ("security.userid", "winlog.user.identifier"),
            ("message", "message"),
        ]
        .map(|(name, to)| (name, record.keys.declare(to)))
        .to_vec();
        let data = record.keys.declare("winlog.event_data");
        let carriers = [
            ("Event.System.EventID", "Event.System.", "Event.EventData."),
            ("Event.System.EventID.#text", "Event.System.", "Event.EventData."),
            ("win.system.eventID", "win.system.", "win.eventdata."),
            ("data.win.system.eventID", "data.win.system.", "data.win.eventdata."),
        ]
        .map(|(number, system, data)| (keys.declare(number), system, data));
        Carried { record, events, carriers, system, data }
    }

    /// Writes the record if it carries a Windows event.
    pub(in crate::decode::format) fn read(
        &mut self,
        keys: &Keys,
        view: View<'_>,
        text: &str,
        context: &Context<'_>,
        row: &mut RowBuilder<'_>,
    ) -> bool {
        let Some((_, system, data)) = self.carriers.iter().find(|(number, ..)| view.has(*number)).copied() else { return false };
        self.record.begin();
        for (key, value) in view.iter() {
            let name = keys.name(key);
            let to = if let Some(name) = name.strip_prefix(system) {
                let is = |known: &str| {
                    let mut letters = name.bytes().filter(|b| *b != b'@').map(|b| b.to_ascii_lowercase());
                    known.bytes().all(|b| letters.next() == Some(b)) && letters.next().is_none()
                };
                let Some((_, to)) = self.system.iter().find(|(known, _)| is(known)) else { continue };
                *to
            } else if let Some(name) = name.strip_prefix(data).map(|name| name.trim_start_matches('@')) {
                let mut capital = [0; NAME_BYTES_MAX];
                let Some(capital) = capital.get_mut(..name.len()) else { continue };
                capital.copy_from_slice(name.as_bytes());
                capital[..1.min(name.len())].make_ascii_uppercase();
                self.record.keys.child(self.data, std::str::from_utf8(capital).unwrap_or(name))
            } else {
                continue;
            };
            match value {
                Value::Text(value) => self.record.text(text, to, value),
                Value::Null => {}
                other => self.record.unescaped(to, |out| {
                    use std::fmt::Write;
                    write!(out, "{other}").expect("writing to a String does not fail");
                }),
            }
        }
        self.events.read(&self.record, text, context, row)
    }
}
