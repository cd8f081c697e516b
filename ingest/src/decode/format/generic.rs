//! Records that name their fields themselves, of no vendor that we know: key=value pairs here, JSON objects in [`super::structured`].

use event::{FieldId, RowBuilder};

use super::usual::Usual;
use super::{Kind, Recognise};
use crate::decode::pairs::{Style, styled};
use crate::decode::record::table;
use crate::decode::record::{Fields, Key, Keys, Record};
use crate::decode::text::Context;

/// Pairs that a record needs to be taken for key=value text.
const PAIRS_MIN: usize = 3;

/// What may stand between pairs, the usual first: blanks and commas, a tab, a bar, `^^`.
const STYLES: [Style; 4] = [style(None), style(Some('\t')), style(Some('|')), style(Some('^'))];

const fn style(separator: Option<char>) -> Style {
    Style { separator, equals: '=', spaced: false }
}

fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-@/".contains(&b);
    text.len() <= 64 && text.bytes().all(plain) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Whether the text is pairs of `style`: it begins with one, or words stand before them and pairs are the greater part.
fn fits(text: &str, style: Style) -> bool {
    let Some(first) = memchr::memchr(b'=', text.as_bytes()) else { return false };
    if style.separator.is_some_and(|separator| !text.contains(separator)) {
        return false;
    }
    let (mut count, mut bytes) = (0, 0);
    styled(text, style, |pair| {
        if is_key(pair.key) {
            count += 1;
            bytes += pair.key.len() + pair.value.len() + 2;
        }
    });
    count >= PAIRS_MIN && (is_key(&text[..first]) || bytes * 2 >= text.len() && !text.contains('\n'))
}

/// Key=value text.
pub(super) struct Reader {
    record: Record,
    plain: Plain,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let plain = Plain::new("key_value", &mut record.keys);
        Reader { record, plain }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["key_value"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(Recognise::LAST)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let Some(style) = STYLES.iter().copied().find(|style| fits(message, *style)) else { return false };
        self.record.begin();
        let Reader { record, .. } = self;
        styled(message, style, |pair| {
            if is_key(pair.key) {
                let key = record.keys.child(Key::ROOT, pair.key);
                record.text(message, key, pair.value);
            }
        });
        self.plain.write(&self.record, message, context, row);
        true
    }
}

/// A record under its own names, and under ECS names what they usually mean.
pub(super) struct Plain {
    kind: Kind,
    fields: Fields,
    times: Vec<Key>,
    usual: Usual,
    message: Key,
}

impl Plain {
    pub(super) fn new(format: &'static str, keys: &mut Keys) -> Plain {
        Plain {
            kind: Kind::new(format, None, None, None),
            fields: Fields::new(""),
            times: [
                "@timestamp",
                "timestamp",
                "time",
                "ts",
                "eventTime",
                "datetime",
                "TimeCreated",
                "EventTime",
                "event_time",
                "date_time",
                "Timestamp",
                "Time",
                "eventtime",
                "created_at",
                "createdDateTime",
                "CreationTime",
                "published",
            ]
            .map(|name| keys.declare(name))
            .to_vec(),
            usual: Usual::new(keys),
            message: keys.declare("message"),
        }
    }

    /// Writes the record under its own names, and under ECS names what usually has them.
    pub(super) fn write(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let view = record.view(text);
        self.kind.mark(row);
        if let Some(time) = self.times.iter().find_map(|key| table::time(view.get(*key)?, context)) {
            row.time(time);
        }
        for (key, value) in view.iter() {
            self.fields.write(&record.keys, key, value, row);
        }
        self.usual.write(&record.keys, view, context, row);
        if record.too_deep() {
            row.text(FieldId::FLAGS, "nesting_refused");
        }
        if record.too_many() {
            row.text(FieldId::FLAGS, "fields_refused");
        }
        if !view.has(self.message) && row.get(FieldId::MESSAGE).is_none() {
            row.text(FieldId::MESSAGE, text);
        }
    }
}
