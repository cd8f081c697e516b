//! XML of programs that we do not know: one element with others in it, or several side by side. Each element that holds text is a value whose path is the names of
//! the elements around it, without the outermost; each attribute is one below its element's. `<Data Name="user">taro</Data>` is `Data.user`.

use event::RowBuilder;

use super::Recognise;
use super::generic::Plain;
use super::windows::unescape;
use crate::decode::record::{Key, Record};
use crate::decode::text::Context;

/// Elements side by side that a record needs which has none around them.
const ELEMENTS_MIN: usize = 3;

/// Elements within each other at most; deeper ones are passed over.
const DEPTH_MAX: usize = 16;

pub(super) struct Reader {
    record: Record,
    plain: Plain,
}

impl Reader {
    pub(super) fn new() -> Reader {
        let mut record = Record::new();
        let plain = Plain::new("xml", &mut record.keys);
        Reader { record, plain }
    }

    /// Fills the record. False where the text is no whole element, or, of a `list`, not several.
    fn fill(&mut self, text: &str, list: bool) -> bool {
        self.record.begin();
        let mut stack = [("", Key::ROOT); DEPTH_MAX];
        // Elements of a list stand as if there were one around them.
        let outermost = usize::from(list);
        let mut depth = outermost;
        let mut elements = 0;
        let mut rest = text;
        let mut opened = false;
        while let Some((characters, after)) = rest.split_once('<') {
            if depth == outermost && !characters.trim().is_empty() {
                return false;
            }
            if let Some(whole) = after.strip_prefix("![CDATA[") {
                let Some((data, after)) = whole.split_once("]]>") else { return false };
                if depth > 1 {
                    self.value(text, stack[depth - 1].1, data, false);
                }
                rest = after;
                continue;
            }
            let Some((tag, after)) = after.split_once('>') else { return false };
            rest = after;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                if depth == outermost || stack[depth - 1].0 != name.trim() {
                    return false;
                }
                if opened && depth > 1 {
                    self.value(text, stack[depth - 1].1, characters, true);
                }
                opened = false;
                depth -= 1;
                if depth == outermost {
                    elements += 1;
                    if !list || rest.trim().is_empty() {
                        return rest.trim().is_empty() && !self.record.is_empty() && (!list || elements >= ELEMENTS_MIN);
                    }
                }
                continue;
            }
            let is_empty = tag.ends_with('/');
            let tag = tag.trim_end_matches('/').trim_end();
            let (name, attributes) = tag.split_once([' ', '\t', '\n', '\r']).unwrap_or((tag, ""));
            if name.is_empty() || depth == DEPTH_MAX {
                return false;
            }
            let parent = if depth == 0 { Key::ROOT } else { stack[depth - 1].1 };
            let local = name.rsplit(':').next().unwrap_or(name);
            let mut key = if depth == 0 { Key::ROOT } else { self.record.keys.child(parent, local) };
            let mut left = attributes;
            while let Some((attribute, value, next)) = attribute(left) {
                left = next;
                if attribute.eq_ignore_ascii_case("name") {
                    key = self.record.keys.child(key, value);
                } else if !attribute.starts_with("xmlns") {
                    let below = self.record.keys.child(key, attribute);
                    self.value(text, below, value, true);
                }
            }
            opened = !is_empty;
            if !is_empty {
                stack[depth] = (name, key);
                depth += 1;
            } else if depth == 0 {
                return rest.trim().is_empty() && !self.record.is_empty();
            }
        }
        false
    }

    fn value(&mut self, text: &str, key: Key, characters: &str, escaped: bool) {
        let characters = characters.trim();
        if characters.is_empty() {
            return;
        }
        if escaped && characters.contains('&') {
            self.record.unescaped(key, |out| unescape(characters, out));
        } else {
            self.record.text(text, key, characters);
        }
    }
}

/// The first attribute: its name, its value and what follows.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let (name, after) = text.split_once('=')?;
    let after = after.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, next) = after[1..].split_once(quote)?;
    Some((name.trim(), value, next))
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["xml"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().starts("<").rank(Recognise::LAST)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim();
        let begins =
            message.strip_prefix('<').is_some_and(|rest| rest.starts_with(|c: char| c == '?' || c.is_ascii_alphabetic()));
        if !begins || !message.ends_with('>') || !(self.fill(message, false) || self.fill(message, true)) {
            return false;
        }
        self.plain.write(&self.record, message, context, row);
        true
    }
}
