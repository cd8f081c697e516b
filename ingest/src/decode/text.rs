//! Text records: character set, syslog header, recognition by content, and the format's own reader.

use std::borrow::Cow;
use std::sync::Arc;

use event::{BatchBuilder, FieldId, FormatId, Frame, LogSource, LogSourceId, RowBuilder, Time};
use jiff::tz::TimeZone;

use super::format::{self, Readers};
use super::settings::Charset;
use super::stamp::Stamp;
use super::syslog::{self, Header};
use super::{DecodeSettings, Decoder, names::Names};

/// The names of the text formats, as `mihari.format` shows them and as configuration may pin them.
pub const FORMATS: &[&str] = &[
    "sshd",
    "sudo",
    "su",
    "pam",
    "cron",
    "netfilter",
    "fortigate",
    "cisco_asa",
    "squid",
    "bind",
    "webserver",
    "suricata",
    "cef",
    "json",
    "key_value",
    "syslog",
];

/// Reads text records. Holds only scratch memory between them, so each worker thread has its own.
pub struct TextDecoder {
    settings: Arc<DecodeSettings>,
    readers: Readers,
    structured: Names,
    syslog: FormatId,
    linux_syslog: LogSourceId,
}

/// What a format's reader needs besides the record.
pub(super) struct Context<'a> {
    pub(super) header: Header<'a>,
    pub(super) zone: &'a TimeZone,
    /// Stamps without a year lie nearest to this instant.
    pub(super) reference: Time,
}

impl Context<'_> {
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
        TextDecoder {
            settings: settings.clone(),
            readers: Readers::new(),
            structured: Names::new("log.syslog.structured_data."),
            syslog: FormatId::known("syslog"),
            linux_syslog: LogSourceId::intern(LogSource { product: Some("linux"), category: None, service: Some("syslog") }),
        }
    }

    /// Decodes `bytes` as a record of the given format, or of the one that is recognised.
    pub fn decode_as(&mut self, frame: Frame<'_>, pin: Option<&str>, batch: &mut BatchBuilder) {
        let settings = self.settings.clone();
        let source = settings.source(frame.head.source.map(|s| s.ip()));
        let (text, intact) = to_text(frame.bytes, source.and_then(|s| s.charset));
        let text = text.trim_end_matches(['\r', '\n', '\0']);
        let mut row = batch.row(&frame.head, 0, text);
        if !intact {
            row.text(FieldId::FLAGS, "bytes_replaced");
        }
        // A record that the arena had no room for is empty here; everything below works on what the row holds.
        let text = row.raw();
        let received = row.received();
        let context = Context {
            header: syslog::header(text),
            zone: source.and_then(|s| s.time_zone.as_ref()).unwrap_or(&settings.time_zone),
            reference: if received == Time::UNKNOWN { settings.reference } else { received },
        };
        self.write_header(&context, &mut row);
        let pin = pin.or(source.and_then(|s| s.format));
        if !self.readers.read(&context, pin, &mut row) {
            self.unrecognised(text, &context, &mut row);
        }
        format::enrich(&mut row);
    }

    fn write_header(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let h = &context.header;
        if let Some(priority) = h.priority {
            row.int(FieldId::SYSLOG_PRIORITY, i64::from(priority));
            row.int(FieldId::SYSLOG_FACILITY_CODE, i64::from(priority / 8));
            row.text(FieldId::SYSLOG_FACILITY_NAME, syslog::facility_name(priority));
            row.int(FieldId::SYSLOG_SEVERITY_CODE, i64::from(priority % 8));
            row.text(FieldId::SYSLOG_SEVERITY_NAME, syslog::severity_name(priority));
        }
        for (field, part) in [
            (FieldId::SYSLOG_HOSTNAME, h.host),
            (FieldId::HOST_NAME, h.host),
            (FieldId::PROCESS_NAME, h.app),
            (FieldId::SYSLOG_MSGID, h.msgid),
        ] {
            if let Some(part) = part {
                row.text(field, part);
            }
        }
        if let Some(version) = h.version {
            row.int(FieldId::SYSLOG_VERSION, i64::from(version));
        }
        match h.procid.map(|p| (p, p.parse::<i64>())) {
            Some((_, Ok(pid))) => row.int(FieldId::PROCESS_PID, pid),
            Some((text, Err(_))) => row.text(FieldId::SYSLOG_PROCID, text),
            None => {}
        }
        if let Some(structured) = h.structured {
            for element in structured.trim_matches(['[', ']']).split("][") {
                let (id, parameters) = element.split_once(' ').unwrap_or((element, ""));
                for pair in super::pairs::pairs(parameters) {
                    if let Some(field) = self.structured.field(&format!("{id}.{}", pair.key)) {
                        row.text(field, pair.value);
                    }
                }
            }
        }
        context.set_time(row, h.stamp);
    }

    /// A syslog header before unknown text is a syslog record; anything else nobody knows.
    fn unrecognised(&self, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let h = &context.header;
        if h.priority.is_some() || (h.stamp.is_some() && h.host.is_some()) {
            row.format(self.syslog);
            if h.app.is_some() {
                row.log_source(self.linux_syslog);
            }
            row.text(FieldId::MESSAGE, h.message);
        } else {
            row.text(FieldId::MESSAGE, text);
            row.quarantine(if text.is_empty() { "empty record" } else { "no decoder knows this record" });
        }
    }
}

impl Decoder for TextDecoder {
    fn decode(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder) {
        self.decode_as(frame, None, batch);
    }
}

/// The record as text, and whether every byte could be read.
fn to_text(bytes: &[u8], charset: Option<Charset>) -> (Cow<'_, str>, bool) {
    let encoding = match charset {
        None | Some(Charset::Utf8) => {
            return match std::str::from_utf8(bytes) {
                Ok(text) => (Cow::Borrowed(text), true),
                Err(_) => (String::from_utf8_lossy(bytes), false),
            };
        }
        Some(Charset::ShiftJis) => encoding_rs::SHIFT_JIS,
        Some(Charset::EucJp) => encoding_rs::EUC_JP,
        Some(Charset::Iso2022Jp) => encoding_rs::ISO_2022_JP,
    };
    let (text, failed) = encoding.decode_without_bom_handling(bytes);
    (text, !failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_character_sets_are_read() {
        let text = "個人番号 ログイン失敗 ①";
        for (charset, encoding) in [(Charset::ShiftJis, encoding_rs::SHIFT_JIS), (Charset::EucJp, encoding_rs::EUC_JP)] {
            let (bytes, _, failed) = encoding.encode(text);
            assert!(!failed);
            assert_eq!(to_text(&bytes, Some(charset)), (Cow::Borrowed(text), true));
        }
        assert_eq!(to_text("かな".as_bytes(), None), (Cow::Borrowed("かな"), true));
        assert!(!to_text(b"\xff\xfe", None).1);
        let (bytes, _, _) = encoding_rs::ISO_2022_JP.encode("漢字");
        assert_eq!(to_text(&bytes, Some(Charset::Iso2022Jp)).0, "漢字");
    }
}
