//! From an event to the engine's document.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

use event::{EventRef, FieldId, Value};
use tantivy::schema::OwnedValue;
use tantivy::{DateTime, TantivyDocument};

use crate::fold::folds_otherwise;
use crate::kinds::ValueKind;
use crate::schema::{Kind, Layout, NULLS, Slot, synthetic, v6, write_listed, write_term};
use crate::shard::Payload;
use crate::tokens::{is_wide, push_exact};

/// Names without a column of their own that one shard keeps; an event's fields beyond are found by their words only.
pub(crate) const REST_FIELDS_MAX: usize = 4096;
/// Those of one event.
const EVENT_REST_FIELDS_MAX: usize = 256;
/// Names of fields that a shard remembers not to have kept of some event; where there are more, any other may be one of them.
pub(crate) const REFUSED_FIELDS_MAX: usize = 4096;
/// Senders whose new names are counted apart, in one shard; those beyond are counted as one.
const SENDERS_MAX: usize = 1024;
/// Bytes of one value in a column; a longer one is cut there, and found whole by its words.
pub(crate) const VALUE_BYTES_MAX: usize = 8192;
/// Bytes of one value in its term: some characters become longer by being folded.
pub(crate) const FOLDED_BYTES_MAX: usize = 3 * VALUE_BYTES_MAX;

/// Bytes from which on a value that its record holds as it is has no term of its own: the record's words find it, its column tells whether it
/// is the one. Such values (URLs, command lines, names of browsers) are many and long, and are found by their words as a rule.
pub(crate) const LONG_BYTES: usize = 25;

/// Set where a document does not hold all of its event, or not as the rules read it: a value was cut, a name refused, a letter is in its
/// place (`ſ`) that rules take for another (`s`) and small letters do not, or a mark that joins the one before it. A search that must miss
/// nothing asks for it too.
pub(crate) const NOT_WHOLE: &str = "mihari.cut";

/// Makes documents for one shard, and keeps the names that its events have.
#[derive(Default)]
pub(crate) struct Documents {
    /// By [`FieldId::index`]: how the name stands in the payload.
    named: Vec<Named>,
    words: String,
    term: String,
    /// The document's terms, as [`push_exact`] puts them together.
    terms: String,
    shown: String,
    not_whole: bool,
    /// How many names each sender has brought, since the shard was begun or opened.
    brought: HashMap<Option<IpAddr>, usize>,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
struct Named {
    own: bool,
    /// The kind of its last value without a column of its own.
    rest: Option<ValueKind>,
    refused: bool,
}

impl Documents {
    /// The document of `event`. New names go to `payload`.
    pub(crate) fn document(&mut self, layout: &Layout, event: EventRef<'_>, payload: &mut Payload) -> TantivyDocument {
        let mut doc = TantivyDocument::default();
        doc.add_date(layout.time, DateTime::from_timestamp_nanos(event.time().unix_ns()));
        doc.add_date(layout.received, DateTime::from_timestamp_nanos(event.received().unix_ns()));
        doc.add_u64(layout.seq, event.id().frame.offset);
        doc.add_u64(layout.nth, u64::from(event.id().nth));
        self.words.clear();
        self.terms.clear();
        let searched = searched_text(event, &mut self.words);
        self.not_whole |= folds_otherwise(searched);
        doc.add_text(layout.words, searched);
        let mut rest: BTreeMap<String, OwnedValue> = BTreeMap::new();
        let mut has_message = false;
        for (id, value) in event.cells() {
            let slot = layout.slot(id);
            match (slot.kind, value) {
                (Kind::Ip, Value::Ip(ip)) => self.ip(slot, ip, &mut doc),
                (Kind::Number, Value::Int(n)) => slot.field.into_iter().for_each(|field| doc.add_i64(field, n)),
                (Kind::Time, Value::Time(time)) => {
                    let time = DateTime::from_timestamp_nanos(time.unix_ns());
                    slot.field.into_iter().for_each(|field| doc.add_date(field, time));
                }
                (Kind::Keyword, Value::Text(text)) => self.keyword(slot, text, event.raw(), &mut doc),
                (Kind::Message, Value::Text(_)) => {
                    if !has_message {
                        doc.add_bool(layout.has_message, true);
                    }
                    has_message = true;
                }
                (_, value) => {
                    self.rest((id, value), event, payload, &mut rest);
                    continue;
                }
            }
            self.note_own(id, payload);
        }
        if let Some(source) = event.source() {
            let (id, slot) = layout.source;
            self.ip(slot, source, &mut doc);
            self.note_own(id, payload);
        }
        for (at, text) in synthetic(event) {
            let (id, slot) = layout.synthetic[at];
            self.keyword(slot, text, "", &mut doc);
            self.note_own(id, payload);
        }
        if std::mem::take(&mut self.not_whole) {
            payload.keep(NOT_WHOLE, ValueKind::Boolean);
            rest.insert(NOT_WHOLE.to_owned(), OwnedValue::Bool(true));
        }
        if !rest.is_empty() {
            doc.add_object(layout.rest, rest);
        }
        doc.add_text(layout.terms, &self.terms);
        doc
    }

    fn ip(&mut self, slot: Slot, ip: IpAddr, doc: &mut TantivyDocument) {
        let Slot { field: Some(field), code: Some(code), .. } = slot else { return };
        doc.add_ip_addr(field, v6(ip));
        self.shown.clear();
        push_address(ip, &mut self.shown);
        write_listed(code, &self.shown, &mut self.term);
        push_exact(&self.term, &mut self.terms);
    }

    fn keyword(&mut self, slot: Slot, text: &str, raw: &str, doc: &mut TantivyDocument) {
        let Slot { field: Some(field), code: Some(code), .. } = slot else { return };
        self.not_whole |= text.len() > VALUE_BYTES_MAX || folds_otherwise(text);
        doc.add_text(field, cut(text));
        if !found_by_words(text, raw) {
            write_listed(code, cut(text), &mut self.term);
            push_exact(&self.term, &mut self.terms);
        }
    }

    fn note_own(&mut self, id: FieldId, payload: &mut Payload) {
        let named = self.named(id);
        if !named.own {
            named.own = true;
            payload.fields.insert(id.name().to_owned());
        }
    }

    fn named(&mut self, id: FieldId) -> &mut Named {
        if self.named.len() <= id.index() {
            self.named.resize(id.index() + 1, Named::default());
        }
        &mut self.named[id.index()]
    }

    /// Whether a sender may bring one more name, and counts it: as long as it leaves as many to the others as it has brought. So no one takes
    /// all, and one that is alone has half.
    fn brings(&mut self, sender: Option<IpAddr>, payload: &Payload) -> bool {
        let left = REST_FIELDS_MAX.saturating_sub(payload.rest.len());
        let apart = self.brought.len() < SENDERS_MAX || self.brought.contains_key(&sender);
        let brought = self.brought.entry(sender.filter(|_| apart)).or_default();
        let fits = *brought < left;
        *brought += usize::from(fits);
        fits
    }

    /// Adds a value that has no column of its own.
    fn rest(
        &mut self,
        (id, original): (FieldId, Value<'_>),
        event: EventRef<'_>,
        payload: &mut Payload,
        rest: &mut BTreeMap<String, OwnedValue>,
    ) {
        let (name, value) = match shown(original) {
            Some(value) => (id.name(), value),
            None => (NULLS, OwnedValue::Str(id.name().to_owned())),
        };
        let id = if name == NULLS { FieldId::known(NULLS) } else { id };
        self.not_whole |= matches!(original, Value::Text(text) if text.len() > VALUE_BYTES_MAX || folds_otherwise(text));
        let known = self.named(id).rest.is_some() || payload.rest.contains(name);
        let full = rest.len() >= EVENT_REST_FIELDS_MAX && !rest.contains_key(name);
        if full || !(known || self.brings(event.source(), payload)) {
            self.not_whole = true;
            if !std::mem::replace(&mut self.named(id).refused, true) {
                metrics::counter!("mihari_index_fields_refused_total").increment(1);
                payload.refuse(name);
            }
            return;
        }
        let kind = ValueKind::of_value(&value);
        if self.named(id).rest.replace(kind) != Some(kind) {
            payload.keep(name, kind);
        }
        if let OwnedValue::Str(text) = &value
            && !(matches!(original, Value::Text(_)) && found_by_words(text, event.raw()))
        {
            write_term(name, text, &mut self.term);
            push_exact(&self.term, &mut self.terms);
        }
        match rest.get_mut(name) {
            Some(OwnedValue::Array(values)) => values.push(value),
            Some(one) => *one = OwnedValue::Array(vec![std::mem::replace(one, OwnedValue::Null), value]),
            None => drop(rest.insert(name.to_owned(), value)),
        }
    }
}

/// Whether a value is found by the words of its record: it stands there, its first and last words are not joined with what is around them,
/// and its words are the same in small letters.
fn found_by_words(text: &str, raw: &str) -> bool {
    const BEFORE: &[u8] = b" \t\"'=([<";
    const AFTER: &[u8] = b" \t\"')]>";
    if !(LONG_BYTES..=VALUE_BYTES_MAX).contains(&text.len()) || !text.chars().all(|c| c.is_ascii() || is_wide(c)) {
        return false;
    }
    let raw = raw.as_bytes();
    memchr::memmem::find(raw, text.as_bytes()).is_some_and(|at| {
        let before = at.checked_sub(1).is_none_or(|at| BEFORE.contains(&raw[at]));
        before && raw.get(at + text.len()).is_none_or(|byte| AFTER.contains(byte))
    })
}

/// Adds an address as it is shown. By hand: three in most events, and the usual way takes three times as long.
fn push_address(ip: IpAddr, text: &mut String) {
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => return write!(text, "{ip}").unwrap_or_default(),
    };
    for (at, byte) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        for (from, unit) in [(100, 100), (10, 10), (0, 1)] {
            if byte >= from {
                text.push(char::from(b'0' + byte / unit % 10));
            }
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// A value as the JSON field keeps it.
fn shown(value: Value<'_>) -> Option<OwnedValue> {
    Some(match value {
        Value::Null => return None,
        Value::Text(text) => OwnedValue::Str(cut(text).to_owned()),
        Value::Int(n) => OwnedValue::I64(n),
        Value::Uint(n) => OwnedValue::U64(n),
        Value::Float(n) if n.is_finite() => OwnedValue::F64(n),
        Value::Float(_) => return None,
        Value::Bool(b) => OwnedValue::Bool(b),
        // The engine panics on addresses within JSON; an instant is kept as text, which sorts as it should.
        Value::Ip(ip) => OwnedValue::Str(ip.to_canonical().to_string()),
        Value::Time(time) => OwnedValue::Str(time.to_string()),
    })
}

/// The text whose words find an event: its record; a message that the record holds in another form (escapes in JSON); for a flow, which
/// has no text, its addresses and texts. Put together in `space` where it is not one piece.
pub(crate) fn searched_text<'e>(event: EventRef<'e>, space: &'e mut String) -> &'e str {
    let raw = event.raw();
    if raw.is_empty() {
        for (_, value) in event.cells() {
            if matches!(value, Value::Text(_) | Value::Ip(_)) {
                writeln!(space, "{value}").unwrap_or_default();
            }
        }
        return space;
    }
    let within = |text: &str| {
        let (at, raw_at) = (text.as_ptr().addr(), raw.as_ptr().addr());
        at >= raw_at && at + text.len() <= raw_at + raw.len()
    };
    for value in event.all(FieldId::MESSAGE) {
        if let Value::Text(text) = value
            && !within(text)
            && !raw.contains(text)
        {
            if space.is_empty() {
                space.push_str(raw);
            }
            space.push('\n');
            space.push_str(text);
        }
    }
    if space.is_empty() { raw } else { space }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_ever() {
        let mut text = String::new();
        let v4 = (0..=255u8).map(|n| IpAddr::from([n, 255 - n, 0, n / 3]));
        let v6 = ["::1", "2001:db8::9", "::ffff:10.0.0.1"].map(|text| text.parse().expect("an address"));
        for ip in v4.chain(v6) {
            text.clear();
            push_address(ip, &mut text);
            assert_eq!(text, ip.to_canonical().to_string());
        }
    }
}
