//! Texts by name, as an alert has them: sorted, in two pieces of memory however many there are.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display, Formatter, Write};
use std::ops::Index;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map from names to texts. It is written once and then read.
#[derive(Clone, Default)]
pub struct TextMap {
    /// Names and values, each name before its value.
    text: String,
    /// Sorted by name.
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    name_end: u32,
    end: u32,
}

impl TextMap {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.spans.binary_search_by(|span| self.name(*span).cmp(name)).ok()?;
        Some(self.value(self.spans[at]))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.spans.iter().map(|span| (self.name(*span), self.value(*span)))
    }

    /// The values, by name.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    /// Adds a value, or puts it in the place of the one that the name had.
    pub fn insert(&mut self, name: &str, value: impl Display) {
        self.insert_written(name, |text| write!(text, "{value}").expect("writing to a String does not fail"));
    }

    /// The same of a value that `write` appends.
    pub(crate) fn insert_written(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        self.text.push_str(name);
        let name_end = self.text.len();
        write(&mut self.text);
        let place = |at: usize| u32::try_from(at).expect("an alert's texts are bounded");
        let span = Span { start: place(start), name_end: place(name_end), end: place(self.text.len()) };
        match self.spans.binary_search_by(|other| self.name(*other).cmp(name)) {
            Ok(at) => self.spans[at] = span,
            Err(at) => self.spans.insert(at, span),
        }
    }

    fn name(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.name_end as usize]
    }

    fn value(&self, span: Span) -> &str {
        &self.text[span.name_end as usize..span.end as usize]
    }

    /// Room for so many texts of so many bytes, their names included.
    pub(crate) fn with_capacity(texts: usize, bytes: usize) -> TextMap {
        TextMap { text: String::with_capacity(bytes), spans: Vec::with_capacity(texts) }
    }
}

/// # Panics
/// Where there is no such name.
impl Index<&str> for TextMap {
    type Output = str;

    fn index(&self, name: &str) -> &str {
        self.get(name).expect("there")
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for TextMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(texts: I) -> TextMap {
        let mut all = TextMap::default();
        texts.into_iter().for_each(|(name, value)| all.insert_written(name.as_ref(), |text| text.push_str(value.as_ref())));
        all
    }
}

impl PartialEq for TextMap {
    fn eq(&self, other: &TextMap) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Debug for TextMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for TextMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextMap, D::Error> {
        Ok(BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_map_is(pairs in prop::collection::vec(("[a-d]{0,2}", "[x\"é]{0,3}"), 0..12)) {
            let texts: TextMap = pairs.iter().cloned().collect();
            let map: BTreeMap<String, String> = pairs.iter().cloned().collect();
            prop_assert!(texts.iter().eq(map.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
            prop_assert_eq!(texts.is_empty(), map.is_empty());
            for name in ["", "a", "b", "cc", "dd", "e"] {
                prop_assert_eq!(texts.get(name), map.get(name).map(String::as_str));
            }
            let json = serde_json::to_string(&texts).expect("text");
            prop_assert_eq!(&json, &serde_json::to_string(&map).expect("text"));
            prop_assert_eq!(serde_json::from_str::<TextMap>(&json).expect("a map"), texts);
        }
    }
}
