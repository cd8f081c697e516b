//! Text records: character set, syslog header, recognition by content, and the format's own reader.

use std::borrow::Cow;
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FormatId, Frame, FrameHead, Release, RowBuilder, Time, Value};

use super::describe::{self, FirstTime};
use super::format::{self, Registry, Usual};
use super::grams::Grams;
use super::record::{Key, Record};
use super::stamp::{Stamp, Zone};
use super::syslog::{self, Header};
use super::{DecodeSettings, Decoder, SourceSettings, charset, colours};

/// Reads text records. Holds only scratch memory between them, so each worker thread has its own.
pub struct TextDecoder {
    settings: Arc<DecodeSettings>,
    readers: Readers,
    /// Room for a record without the colours that were in it.
    plain: String,
}

/// Who reads a record's text: what a decoder has besides its settings.
struct Readers {
    registry: Registry,
    record: Record,
    usual: Usual,
    count: FieldId,
    log_line: FormatId,
}

/// What a format's reader needs besides the record.
pub(super) struct Context<'a> {
    /// The whole record; the header's parts lie in it.
    pub(super) record: &'a str,
    pub(super) header: Header<'a>,
    pub(super) zone: &'a Zone,
    /// Stamps without a year lie nearest to this instant.
    pub(super) reference: Time,
    /// The pairs of bytes in `record`; ask [`Context::grams`].
    pub(super) grams: Grams,
    /// The time that the text begins with.
    pub(super) first_time: FirstTime,
}

impl<'a> Context<'a> {
    /// The message with the tag that the header took, where it is `tag`: `CEF:0|...` reads like `app: text`.
    pub(super) fn with_tag(&self, tag: &str) -> &'a str {
        match self.header.app {
            Some(app) if app == tag => &self.record[app.as_ptr() as usize - self.record.as_ptr() as usize..],
            _ => self.header.message,
        }
    }

    /// The pairs of bytes in the record, and how its message begins.
    pub(super) fn grams(&self) -> &Grams {
        self.grams.of(self.record).beginning(self.first_time.behind(describe::trimmed(self.header.message)))
    }

    /// Whether anybody asked for the pairs of bytes.
    pub(super) fn has_grams(&self) -> bool {
        self.grams.is_filled()
    }

    /// The same, where stamps without an offset are of `zone`.
    pub(super) fn in_zone<'b>(&'b self, zone: &'b Zone) -> Context<'b> {
        Context { zone, grams: Grams::new(), first_time: FirstTime::default(), ..*self }
    }

    /// Sets the event's time from a stamp of the record's own.
    pub(super) fn set_time(&self, row: &mut RowBuilder<'_>, stamp: Option<Stamp>) {
        if let Some(time) = stamp.and_then(|stamp| stamp.resolve(self.zone, self.reference)) {
            row.time(time);
        }
    }
}

impl TextDecoder {
    /// A decoder with these settings.
    pub fn new(settings: &Arc<DecodeSettings>) -> TextDecoder {
        let mut record = Record::new();
        let usual = Usual::new(&mut record.keys);
        let readers = Readers {
            registry: Registry::new(&settings.library),
            record,
            usual,
            count: FieldId::known("event.count"),
            log_line: FormatId::known("log_line"),
        };
        TextDecoder { settings: settings.clone(), readers, plain: String::new() }
    }

    /// Decodes `bytes` as a record of the given format, or of the one that is recognised.
    pub fn decode_as(&mut self, frame: Frame<'_>, pin: Option<&str>, batch: &mut BatchBuilder) {
        self.read(frame, pin, None, batch);
    }

    /// Decodes a record that was quarantined before, as an event of its own that names the one it was. Nothing where `frame` is no release of a
    /// text record.
    pub fn decode_released(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder) {
        let Some(release) = Release::decode(frame).filter(|release| release.frame.head.content == Content::Text) else { return };
        let head = FrameHead { position: frame.head.position, ..release.frame.head };
        self.read(Frame { head, bytes: release.frame.bytes }, None, Some((&release, frame.head.received)), batch);
    }

    fn read(&mut self, frame: Frame<'_>, pin: Option<&str>, release: Option<(&Release<'_>, Time)>, batch: &mut BatchBuilder) {
        let TextDecoder { settings, readers, plain } = self;
        let source = settings.source(&frame.head);
        let (text, intact) = charset::to_text(frame.bytes, source.and_then(|s| s.charset));
        let text = text.trim_end_matches(['\r', '\n', '\0']);
        let mut row = batch.row(&frame.head, 0, text);
        if !intact {
            row.text(FieldId::FLAGS, "bytes_replaced");
        }
        if let Some((release, released)) = release {
            row.text(FieldId::RELEASED_FROM, &release.of.to_string());
            row.value(FieldId::RELEASED, Value::Time(released));
        }
        // A record that the arena had no room for is empty here; everything below works on what the row holds.
        let text = colours::without(row.raw(), plain).trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n', '\0']);
        readers.read(text, pin, source, settings, &mut row);
    }
}

impl Readers {
    /// Reads the text that the row holds, without its colours.
    fn read(
        &mut self,
        text: &str,
        pin: Option<&str>,
        source: Option<&SourceSettings>,
        settings: &DecodeSettings,
        row: &mut RowBuilder<'_>,
    ) {
        let received = row.received();
        let mut header = syslog::header(text);
        if header.priority.is_none()
            && header.stamp.is_none()
            && let Some(tagged) = syslog::tagged(text)
            && tagged.app.is_some_and(|app| self.registry.knows(app))
        {
            header = tagged;
        }
        if let Some(own) = syslog::passed_on(&header) {
            header = own;
        }
        let mut context = Context {
            record: text,
            header,
            zone: source.and_then(|s| s.time_zone.as_ref()).unwrap_or(&settings.time_zone),
            reference: if received == Time::UNKNOWN { settings.reference } else { received },
            grams: Grams::new(),
            first_time: FirstTime::default(),
        };
        let pin = pin.or(source.and_then(|s| s.format));
        // Many programs begin their lines with a time of their own, which looks as if a syslog header began. Where what would be the
        // tag is a program that we know, it is one.
        if header.stamp.is_some() && header.version.is_none() && !header.app.is_some_and(|app| self.registry.knows(app)) {
            context.header = Header { priority: header.priority, message: syslog::after_priority(text), ..Header::default() };
            let mark = row.mark();
            let read = match pin {
                Some(pin) => self.registry.read_as(pin, &context, false, row).unwrap_or(false),
                None => self.registry.read_stamped(&context, row),
            };
            if read {
                syslog::write_priority(header.priority, row);
                format::enrich(row);
                return;
            }
            row.rewind(mark);
            context.header = header;
        }
        self.registry.write_header(&context, row);
        if let Some((message, times)) = syslog::repeated(context.header.message) {
            row.uint(self.count, times);
            row.text(FieldId::MESSAGE, context.header.message);
            context.header.message = message;
        }
        let pinned = pin.map(|pin| pin != "syslog" && self.registry.read_as(pin, &context, true, row) == Some(true));
        if pinned == Some(false) && pin != Some("syslog") {
            // The sender writes what it was not said to write: worth knowing, and no reason to lose the record.
            row.text(FieldId::FLAGS, "format_pin_refused");
        }
        if !pinned.unwrap_or(false) && (pin == Some("syslog") || !self.registry.read(&context, row)) {
            self.parameters(&context, row);
            self.unrecognised(text, &context, row);
        }
        format::enrich(row);
    }

    /// What the names of the header's structured data (RFC 5424 §6.3) usually mean.
    fn parameters(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let Some(structured) = context.header.structured else { return };
        self.record.begin();
        for parameter in syslog::parameters(structured) {
            let key = self.record.keys.child(Key::ROOT, parameter.name);
            self.record.text(context.record, key, &parameter.value());
        }
        self.usual.write(&self.record.keys, self.record.view(context.record), context, &[], context.header.stamp.is_none(), row);
    }

    /// A syslog header before unknown text is a syslog record, a time a program's own log; anything else nobody knows.
    fn unrecognised(&self, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let h = &context.header;
        if h.priority.is_some() || (h.stamp.is_some() && h.host.is_some()) {
            self.registry.write_unknown(context, row);
        } else if let Some((stamp, level)) = format::beginning(text) {
            // A program's own log, of which nothing more is known.
            row.format(self.log_line);
            context.set_time(row, Some(stamp));
            if let Some(level) = level {
                row.text(FieldId::LOG_LEVEL, level);
            }
            row.text(FieldId::MESSAGE, text);
            format::guess(text, row);
        } else {
            if text.starts_with(|c: char| c.is_ascii_digit())
                && let Some(level) = format::level(text)
            {
                row.text(FieldId::LOG_LEVEL, level);
            }
            row.text(FieldId::MESSAGE, text);
            format::guess(text, row);
            row.quarantine(if text.is_empty() { "empty record" } else { "no decoder knows this record" });
        }
    }
}

/// The record as text, in the character set of its sender: what a person is shown.
pub fn text_of<'f>(settings: &DecodeSettings, frame: Frame<'f>) -> Cow<'f, str> {
    charset::to_text(frame.bytes, settings.source(&frame.head).and_then(|s| s.charset)).0
}

impl Decoder for TextDecoder {
    fn decode(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder) {
        self.decode_as(frame, None, batch);
    }
}
