//! Records that name their fields themselves, of no vendor that we know: key=value pairs here, JSON objects in [`super::structured`].

use event::{FieldId, RowBuilder};

use super::usual::{self, Usual};
use super::{Kind, Recognise};
use crate::decode::cut::find;
use crate::decode::pairs::{Pair, Style, styled};
use crate::decode::record::{Fields, Key, Keys, Record};
use crate::decode::text::Context;

/// Pairs that a record needs to be taken for key=value text.
const PAIRS_MIN: usize = 3;

/// Pairs with values in quotes that a text needs of which they are not the greater part: `[audit@1 user="x" ..] User "x" logged in`.
const QUOTED_MIN: usize = 5;

/// Pairs that a text needs in which words without a name belong to the value before them.
const LOOSE_MIN: usize = 8;

/// Words of a name at most, where something else than a blank stands between pairs.
const NAME_WORDS_MAX: usize = 5;

/// Names that are known, which text with colons needs.
const KNOWN_MIN: u32 = 2;

/// What may stand between pairs, the usual first: blanks and commas, a tab, a bar, `^^`, `#`.
const STYLES: [Style; 5] =
    [style(None, '='), style(Some('\t'), '='), style(Some('|'), '='), style(Some('^'), '='), style(Some('#'), '=')];

/// What may stand between pairs whose values hold blanks, where the text is nothing but pairs.
const WHOLE: [Style; 7] = [
    style(Some(';'), '='),
    style(Some(','), '='),
    style(Some('\t'), '='),
    style(Some('|'), '='),
    style(Some(','), ':'),
    style(Some(';'), ':'),
    style(Some('|'), ':'),
];

/// Pairs with blanks between them and within bare values.
const LOOSE: Style = Style { separator: None, equals: '=', spaced: true };

const fn style(separator: Option<char>, equals: char) -> Style {
    Style { separator, equals, spaced: false }
}

/// Whether the text is pairs of `style` from the beginning to the end. Text with colons is prose as well: there
/// names must be known.
fn is_whole(text: &str, style: Style) -> bool {
    let Some(separator) = style.separator else { return false };
    if memchr::memchr_iter(separator as u8, text.as_bytes()).nth(PAIRS_MIN - 2).is_none() {
        return false; // Too few parts, as most texts have of most separators.
    }
    let (mut count, mut known, mut inner) = (0, 0, 0);
    let good = text.trim_end_matches(separator).split(separator).all(|part| {
        let Some((key, value)) = part.split_once(style.equals) else { return false };
        let key = key.rsplit("::").next().unwrap_or(key).trim(); // `Vendor::Alert ID=1`
        known += u32::from(usual::is_known(key));
        count += 1;
        inner +=
            value.split(' ').skip(1).filter(|word| word.split_once(style.equals).is_some_and(|(key, _)| is_key(key))).count();
        is_name(key, style) && (style.equals == '=' || value.starts_with(' ') || value.is_empty())
    });
    // `a=1 b=2 user=OU=x,DC=y c=3`: blanks stand between these, and a comma within one.
    good && (style.equals == '=' || known >= KNOWN_MIN) && count >= PAIRS_MIN && inner < count
}

/// Without the words before the first pair of a text with colons: `NAC Policy Log: Source: 192.0.2.7, Rule: x`.
fn without_lead(text: &str) -> &str {
    let Some((lead, rest)) = text.split_once(": ") else { return text };
    let is_next = rest.split_once(':').is_some_and(|(key, value)| value.starts_with(' ') && usual::is_known(key));
    if is_next && !usual::is_known(lead) { rest } else { text }
}

/// Pairs with colons within a text: only where enough of their names are known, and only those.
const COLONS: Style = style(None, ':');

/// Whether the value stands directly behind the colon, or in quotes there, unlike in prose.
fn is_tight(text: &str, pair: Pair<'_>) -> bool {
    let place = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let between = text.get(place(pair.key) + pair.key.len()..place(pair.value));
    !pair.value.is_empty() && matches!(between, Some(":" | ":\""))
}

/// Whether there are enough pairs with colons whose names are known.
fn has_colons(text: &str) -> bool {
    let mut known = 0;
    styled(text, COLONS, |pair| known += usize::from(is_tight(text, pair) && usual::is_known(pair.key)));
    known >= PAIRS_MIN
}

/// The pairs of `[key = value] [key = value]`, where there are enough.
fn bracketed<'t>(text: &'t str, mut each: impl FnMut(&'t str, &'t str)) -> bool {
    let pairs = || {
        text.split('[')
            .skip(1)
            .filter_map(|part| part.split_once(']')?.0.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
    };
    let good = text.starts_with('[') && pairs().filter(|(key, _)| is_key(key)).count() >= PAIRS_MIN;
    if good {
        pairs().filter(|(key, _)| is_key(key)).for_each(|(key, value)| each(key, value));
    }
    good
}

/// The pairs of a row whose every cell is one in quotes: `"2026/04/01 09:00:00","user=taro","file=a b.xlsx"`, where there are enough.
fn celled<'t>(text: &'t str, mut each: impl FnMut(&'t str, &'t str)) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let pairs = || {
        inner.split("\",\"").filter_map(|cell| cell.split_once('=')).filter(|(key, value)| is_key(key) && !value.contains('"'))
    };
    let good = pairs().count() >= PAIRS_MIN;
    if good {
        pairs().for_each(|(key, value)| each(key, value));
    }
    good
}

fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-@/".contains(&b) || !b.is_ascii();
    text.len() <= 64 && text.bytes().all(plain) && text.bytes().any(|b| b.is_ascii_alphabetic() || !b.is_ascii())
}

/// Whether the text may be a name of `style`: one word, several where no blank ends a pair.
fn is_name(text: &str, style: Style) -> bool {
    // A word that ends a sentence belongs to the text before the pairs.
    let is_word = |word: &str| is_key(word) && !word.ends_with('.');
    is_key(text) || style.separator.is_some() && text.split(' ').count() <= NAME_WORDS_MAX && text.split(' ').all(is_word)
}

/// Whether the text is pairs of `style`: it begins with one, or words stand before them and pairs are the greater part.
fn fits(text: &str, style: Style) -> bool {
    let Some(first) = memchr::memchr(b'=', text.as_bytes()) else { return false };
    if style.separator.is_some_and(|separator| find(text, separator).is_none()) {
        return false;
    }
    let (mut count, mut bytes, mut quoted) = (0, 0, 0);
    styled(text, style, |pair| {
        if is_name(pair.key, style) {
            count += 1;
            bytes += pair.key.len() + pair.value.len() + 2;
            let before = (pair.value.as_ptr() as usize - text.as_ptr() as usize).checked_sub(1);
            quoted += usize::from(before.is_some_and(|at| text.as_bytes()[at] == b'"'));
        }
    });
    let is_most = (bytes * 2 >= text.len() || quoted >= QUOTED_MIN) && !text.contains('\n');
    count >= PAIRS_MIN && (is_key(&text[..first]) || is_most)
}

/// Whether bare values of the text hold blanks: it begins with a pair, has many, and words without a name between them
/// (`agent=Mozilla/5.0 (X11; Linux) action=allow`).
fn is_loose(text: &str) -> bool {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let begins = words.next().is_some_and(|word| word.split_once('=').is_some_and(|(key, _)| is_key(key)));
    if !begins || text.contains(" =") || text.matches("=\"").count() != text.matches("=\"-\"").count() {
        return false;
    }
    let (mut pairs, mut loose, mut last) = (1, 0, "");
    for word in words {
        match word.split_once('=').is_some_and(|(key, _)| is_key(key)) {
            true if last.ends_with([',', ';']) => return false, // These stand between the pairs.
            true => pairs += 1,
            false => loose += 1,
        }
        last = word;
    }
    // What follows the last pair may be a text of its own.
    pairs >= LOOSE_MIN && loose > 0 && last.contains('=')
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
        if message.starts_with('<') && (message.ends_with("/>") || message.ends_with('>') && message.contains("</")) {
            return false; // Elements of XML with attributes.
        }
        self.record.begin();
        let Reader { record, .. } = self;
        let mut put = |key: &str, value: &str| {
            let key = record.keys.child(Key::ROOT, key);
            record.text(message, key, value);
        };
        let (mut end, mut colons) = (message.len(), false);
        if !bracketed(message, &mut put) && !celled(message, &mut put) {
            let bare = without_lead(message);
            let enough =
                |style: &&Style| memchr::memchr_iter(style.equals as u8, message.as_bytes()).nth(PAIRS_MIN - 1).is_some();
            let whole = WHOLE.iter().filter(enough).find(|style| is_whole(bare, **style));
            let style = whole.or_else(|| STYLES.iter().filter(enough).find(|style| fits(message, **style)));
            let style = style.map(|style| if *style == STYLES[0] && is_loose(message) { &LOOSE } else { style });
            let tight = || Some(&COLONS).filter(enough).filter(|_| has_colons(message));
            let Some(style) = style.or_else(tight) else { return false };
            colons = *style == COLONS;
            let is_of = |pair: Pair<'_>| match *style == COLONS {
                true => is_tight(message, pair) && usual::is_known(pair.key),
                false => is_name(pair.key, *style),
            };
            styled(if whole.is_some() { bare } else { message }, *style, |pair| {
                if is_of(pair) {
                    end = pair.value.as_ptr() as usize - message.as_ptr() as usize + pair.value.len();
                    // `[UserID:taro]`
                    let value = if *style == COLONS {
                        pair.value.trim_end_matches([']', ')'])
                    } else {
                        // `(error=none, ip=192.0.2.7)`
                        pair.value.strip_suffix(')').filter(|bare| !bare.contains('(')).unwrap_or(pair.value)
                    };
                    put(pair.key.trim_start_matches(['[', '(']), value);
                }
            });
        }
        self.plain.write(&self.record, message, context, row);
        if colons && row.has(FieldId::USER_NAME) {
            super::guess::outcome(message, row);
        }
        if let Some((lead, _)) = message.split_once(['=', '{']) {
            super::guess(lead, row);
            // Where the header has the time, the words before the first name tell the level: `error=none` tells none.
            let words = || lead.rsplit_once(' ').map_or("", |(words, _)| words);
            let own = || context.header.stamp.and_then(|_| super::level(words()));
            if !row.has(FieldId::LOG_LEVEL)
                && let Some(level) = super::beginning(lead).and_then(|(_, level)| level).or_else(own)
            {
                row.text(FieldId::LOG_LEVEL, level);
            }
            if row.get(FieldId::USER_NAME).or_else(|| row.get(FieldId::SOURCE_IP)).is_some() {
                super::guess::outcome(lead, row);
            }
        }
        // `[client IP="192.0.2.7" id="7"]: failed to authenticate user:taro`
        if let Some(tail) = message.get(end..).and_then(|rest| rest.trim_start_matches(['"', '\'']).strip_prefix("]: ")) {
            super::guess(tail, row);
            super::guess::outcome(tail, row);
        }
        true
    }
}

/// A record under its own names, and under ECS names what they usually mean.
pub(super) struct Plain {
    kind: Kind,
    fields: Fields,
    usual: Usual,
    message: Key,
    /// The names of what a program says in its own words.
    says: [Key; 13],
}

impl Plain {
    pub(super) fn new(format: &'static str, keys: &mut Keys) -> Plain {
        Plain {
            kind: Kind::new(format, None, None, None),
            fields: Fields::new(""),
            usual: Usual::new(keys),
            message: keys.declare("message"),
            says: [
                "message",
                "msg",
                "Message",
                "fields.message",
                "description",
                "Description",
                "summary",
                "Summary",
                "raw_message",
                "rawMessage",
                "properties.msg",
                "properties.message",
                "data.message",
            ]
            .map(|name| keys.declare(name)),
        }
    }

    /// What the names of a record usually mean.
    pub(super) fn usual(&mut self) -> &mut Usual {
        &mut self.usual
    }

    /// Writes what the names of a record usually mean that another table has read.
    pub(super) fn write_usual(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.usual.write(&record.keys, record.view(text), context, &[], false, row);
    }

    /// Writes the record under its own names, and under ECS names what usually has them. Whether its text is the message, of which every value
    /// stands in a field too.
    pub(super) fn write(&mut self, record: &Record, text: &str, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let view = record.view(text);
        self.kind.mark(row);
        let mut is_whole = !record.too_deep() && !record.too_many();
        for (key, value) in view.iter() {
            is_whole &= self.fields.write(&record.keys, key, value, row);
        }
        self.usual.write(&record.keys, view, context, &[], true, row);
        if record.too_deep() {
            row.text(FieldId::FLAGS, "nesting_refused");
        }
        if record.too_many() {
            row.text(FieldId::FLAGS, "fields_refused");
        }
        if let Some(said) = self.says.iter().find_map(|key| view.text(*key)) {
            super::guess(said, row);
            super::guess::outcome(said, row);
        }
        let says_nothing = !view.has(self.message) && !row.has(FieldId::MESSAGE);
        if says_nothing {
            row.text(FieldId::MESSAGE, text);
        }
        says_nothing && is_whole
    }
}
