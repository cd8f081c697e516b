//! Rule and policy files as trees, read within bounds: no aliases, limited depth and size, lines kept for messages.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Bytes of one rule or policy file. The largest of the public rules, a list of drivers, has 280 KiB.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of one document.
const DEPTH_MAX: usize = 32;

/// A YAML value. Keys keep their order; a key that stands twice is an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing: `null`, `~` or an empty value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128, Written),
    /// A number with a fraction.
    Float(f64, Written),
    /// Text, or anything in quotes.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(String, Node)>),
}

/// The text of a number, where it is not as we would write the number: `10.0`, `007`, `0x1f`, and what no number here can hold.
pub type Written = Option<Box<str>>;

/// A value with the line (from 1) on which it begins.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The line.
    pub line: usize,
    /// The value.
    pub value: PlacedValue,
    /// Where it stands in the document's text.
    bytes: Range<usize>,
}

/// A YAML value whose parts have their lines.
#[derive(Clone, Debug)]
pub enum PlacedValue {
    /// Neither a sequence nor a mapping.
    Scalar(Node),
    /// A sequence.
    List(Vec<Placed>),
    /// A mapping: each key with its line, and its value.
    Map(Vec<(String, usize, Placed)>),
}

/// One document of a file, and the line (from 1) on which it begins.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its first line.
    pub line: usize,
    /// Its text, for finding lines.
    pub text: String,
    /// Its value, or what is wrong with it and on which line of the file.
    pub value: Result<Node, (usize, String)>,
}

/// Splits `text` into its documents and reads each.
pub fn documents(text: &str) -> Vec<Document> {
    let read_one = |(line, text): (usize, String)| {
        let value = read(&text).map_err(|(at, reason)| (line + at - 1, reason));
        Document { line, text, value }
    };
    parts(text).into_iter().map(read_one).collect()
}

/// The text of the document of a file that has this line.
pub fn document_at(text: &str, line: usize) -> Option<String> {
    parts(text).into_iter().rev().find(|(first, _)| *first <= line).map(|(_, part)| part)
}

/// Reads a file of one document with the lines of all its values. An error has its line, from 1.
pub fn placed(text: &str) -> Result<Placed, (usize, String)> {
    let [(first, part)] = &parts(text)[..] else { return Err((1, "the file has not one document".to_owned())) };
    let mut placed = read_placed(part).map_err(|(line, reason)| (first + line - 1, reason))?;
    placed.shift(first - 1);
    Ok(placed)
}

/// The documents of a file, each with the line on which it begins.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = vec![(1, String::new())];
    for (at, line) in text.lines().enumerate() {
        let marker = line.strip_prefix("---").filter(|behind| behind.chars().next().is_none_or(char::is_whitespace));
        if let Some(behind) = marker {
            // A document may begin on its marker's line.
            let is_empty = behind.trim_start().is_empty() || behind.trim_start().starts_with('#');
            parts.push(if is_empty { (at + 2, String::new()) } else { (at + 1, format!("{behind}\n")) });
        } else if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    // Comments, ends and directives (`%YAML 1.2`) are no document.
    let is_used = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#') && line.trim() != "...";
    parts.retain(|(_, part)| part.lines().any(|line| is_used(line) && !line.starts_with('%')));
    parts
}

/// Reads one document. An error has its line, from 1.
pub fn read(text: &str) -> Result<Node, (usize, String)> {
    read_placed(text).map(Node::from)
}

fn read_placed(text: &str) -> Result<Placed, (usize, String)> {
    if text.len() > FILE_BYTES_MAX {
        return Err((1, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_aliases: 0, max_anchors: 0 },
        strict_booleans: true,
        // The beginning of a hash may look like a number that is larger than any: then it is text.
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    };
    let mut placed: Placed = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line() as usize);
        (line, in_words(&error.to_string()))
    })?;
    placed.note_written(text);
    Ok(placed)
}

/// What the reader says, for whoever wrote the file: without the place, which counts within a document, and advice for programmers.
fn in_words(said: &str) -> String {
    // The first line says what; the rest is a picture of the place.
    let what = said.lines().next().unwrap_or("not YAML");
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let placed = what.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    let what = placed.filter(|(place, _)| place.contains("column")).map_or(what, |(_, what)| what);
    if what.contains("Anchors") || what.contains("Aliases") {
        return "anchors and aliases are not read: write the value where it is meant".to_owned();
    }
    what.split(", set ").next().unwrap_or(what).to_owned()
}

impl Document {
    /// The line of the file where the last of `place` stands.
    pub fn line_of<T: AsRef<str>>(&self, place: &[T]) -> usize {
        self.line + line_in(&self.text, place)
    }
}

/// The line (from 0) where the last of `place` stands: each word is looked for from where the one before it was found, as a key, else
/// anywhere. A word that is not found changes nothing.
pub fn line_in<T: AsRef<str>>(text: &str, place: &[T]) -> usize {
    let quotes = ['"', '\''];
    let is_key = |line: &str, word: &str| {
        let key = line.trim_start().trim_start_matches("- ").trim_start().trim_start_matches(quotes);
        key.strip_prefix(word).is_some_and(|rest| rest.trim_start_matches(quotes).trim_start().starts_with(':'))
    };
    place.iter().map(AsRef::as_ref).fold(0, |at, word| {
        let behind = || text.lines().enumerate().skip(at);
        let key = behind().find(|(_, line)| is_key(line, word));
        key.or_else(|| behind().find(|(_, line)| line.contains(word))).map_or(at, |(line, _)| line)
    })
}

impl Node {
    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, where this is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text at `key`.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The elements: of a list its own, of a single value that one, of null none.
    pub fn elements(&self) -> &[Node] {
        match self {
            Node::List(list) => list,
            Node::Null => &[],
            one => std::slice::from_ref(one),
        }
    }

    /// As a person would write a scalar; nothing for lists and mappings.
    pub fn scalar(&self) -> Option<String> {
        Some(match self {
            Node::Null => String::new(),
            Node::Bool(b) => b.to_string(),
            Node::Int(n, _) => n.to_string(),
            Node::Float(n, _) => n.to_string(),
            Node::Text(text) => text.clone(),
            Node::List(_) | Node::Map(_) => return None,
        })
    }

    /// As the file has a scalar: `1.10` is not `1.1`. Nothing for lists and mappings.
    pub fn written(&self) -> Option<String> {
        match self {
            Node::Int(_, Some(text)) | Node::Float(_, Some(text)) => Some(text.to_string()),
            other => other.scalar(),
        }
    }
}

impl From<Placed> for Node {
    fn from(placed: Placed) -> Node {
        match placed.value {
            PlacedValue::Scalar(node) => node,
            PlacedValue::List(list) => Node::List(list.into_iter().map(Node::from).collect()),
            PlacedValue::Map(entries) => Node::Map(entries.into_iter().map(|(key, _, value)| (key, value.into())).collect()),
        }
    }
}

impl Placed {
    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Placed> {
        self.entries().iter().find(|(k, ..)| k == key).map(|(.., value)| value)
    }

    /// The keys, their lines and values of a mapping; of anything else none.
    pub fn entries(&self) -> &[(String, usize, Placed)] {
        match &self.value {
            PlacedValue::Map(entries) => entries,
            PlacedValue::Scalar(_) | PlacedValue::List(_) => &[],
        }
    }

    /// As a person would write a scalar that is not empty; nothing for anything else.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            PlacedValue::Scalar(node) => node.scalar().filter(|text| !text.trim().is_empty()),
            PlacedValue::List(_) | PlacedValue::Map(_) => None,
        }
    }

    /// Notes how its numbers are written in `text`.
    fn note_written(&mut self, text: &str) {
        match &mut self.value {
            PlacedValue::Scalar(node) => {
                let as_we_write = node.scalar();
                if let Node::Int(_, written) | Node::Float(_, written) = node {
                    let own = text.get(self.bytes.clone()).map(str::trim).filter(|own| !own.is_empty());
                    *written = own.filter(|own| as_we_write.as_deref() != Some(own)).map(Box::from);
                }
            }
            PlacedValue::List(list) => list.iter_mut().for_each(|one| one.note_written(text)),
            PlacedValue::Map(entries) => entries.iter_mut().for_each(|(.., value)| value.note_written(text)),
        }
    }

    /// Moves all lines down by so many.
    fn shift(&mut self, by: usize) {
        self.line += by;
        match &mut self.value {
            PlacedValue::Scalar(_) => {}
            PlacedValue::List(list) => list.iter_mut().for_each(|one| one.shift(by)),
            PlacedValue::Map(entries) => {
                for (_, line, value) in entries {
                    *line += by;
                    value.shift(by);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Placed, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<PlacedValue>::deserialize(deserializer)?;
        let span = referenced.span();
        let from = span.byte_offset().unwrap_or(0) as usize;
        Ok(Placed { line: referenced.line() as usize, value, bytes: from..from + span.byte_len().unwrap_or(0) as usize })
    }
}

impl<'de> Deserialize<'de> for PlacedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlacedValue, D::Error> {
        deserializer.deserialize_any(PlacedVisitor)
    }
}

struct PlacedVisitor;

impl<'de> Visitor<'de> for PlacedVisitor {
    type Value = PlacedValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Null))
    }

    fn visit_none<E>(self) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<PlacedValue, D::Error> {
        PlacedValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, b: bool) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Bool(b)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Int(n.into(), None)))
    }

    fn visit_u64<E>(self, n: u64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Int(n.into(), None)))
    }

    fn visit_i128<E>(self, n: i128) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Int(n, None)))
    }

    fn visit_f64<E>(self, n: f64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Float(n, None)))
    }

    fn visit_str<E>(self, text: &str) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Text(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Scalar(Node::Text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PlacedValue, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = seq.next_element()? {
            list.push(one);
        }
        Ok(PlacedValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PlacedValue, A::Error> {
        let mut entries: Vec<(String, usize, Placed)> = Vec::new();
        // As text: a key is a name, also where it looks like a number.
        while let Some(Spanned { value: key, referenced, .. }) = map.next_key::<Spanned<Option<String>>>()? {
            let key = key.unwrap_or_default();
            if entries.iter().any(|(k, ..)| *k == key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            entries.push((key, referenced.line() as usize, map.next_value()?));
        }
        Ok(PlacedValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_may_begin_on_its_markers_line() {
        let lines = |text: &str| documents(text).iter().map(|d| (d.line, d.value.is_ok())).collect::<Vec<_>>();
        assert_eq!(
            lines("--- {a: 1}\n---\na: 2\n--- # third\na: 3\n--- {a: [}\n"),
            [(1, true), (3, true), (5, true), (6, false)]
        );
        assert_eq!(lines("%YAML 1.2\n---\na: 1\n"), [(3, true)]);
        assert_eq!(documents("a: 1\n--- {b:\n  c}\n")[1].value.as_ref().ok().and_then(|node| node.text_at("b")), Some("c"));
    }

    #[test]
    fn what_is_wrong_is_told_to_whoever_wrote_it() {
        let wrong = |text: &str| documents(text)[0].value.clone().expect_err(text);
        assert_eq!(wrong("a: 1\nb: 2\na: 3\n"), (3, "duplicate mapping key: a".to_owned()));
        assert!(wrong("a: &x 1\n").1.starts_with("anchors and aliases are not read"));
        let (line, reason) = wrong("a: [1\n");
        assert!(!reason.starts_with("line ") && !reason.contains("column"), "{line}: {reason}");
    }
}
