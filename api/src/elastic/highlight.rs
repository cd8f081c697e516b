//! `highlight`: what a query asked for, marked in the texts of a hit.
//!
//! Fields that a pattern names are marked where they have something to mark; the record as it came only where it is named itself, for what its
//! words found stands in the message as a rule. A phrase is marked as one. Nothing is ranked: fragments are told in their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use index::{Marks, Query};
use serde_json::{Map, Value};

use super::dsl::{Dsl, glob};
use super::fault::{Fault, Members, list_of, text_of};
use super::hits::ORIGINAL;

/// Characters of a fragment, and fragments of a field, where nothing is said. As in Elasticsearch.
const FRAGMENT_USUAL: usize = 100;
const FRAGMENTS_USUAL: usize = 5;

/// What is marked in which fields.
#[derive(Clone, Debug)]
pub(crate) struct Highlight(Vec<Field>);

#[derive(Clone, Debug)]
struct Field {
    /// A name, or a pattern of names.
    name: String,
    marks: Arc<Marks>,
    how: How,
}

/// How marks are shown.
#[derive(Clone, Debug)]
struct How {
    before: String,
    behind: String,
    /// Characters of a fragment.
    size: usize,
    /// Fragments of a field; none: the whole of each value.
    count: Option<usize>,
    /// Characters that are told of a field in which nothing is marked.
    unmarked: usize,
    /// Whether what the text has of HTML is escaped.
    is_html: bool,
}

impl Highlight {
    /// Reads what is to be marked of the hits of `query`.
    pub(crate) fn read(value: Value, dsl: &mut Dsl<'_>, query: &Query) -> Result<Highlight, Fault> {
        let mut members = Members::new("highlight", value)?;
        let before = match members.text("tags_schema")?.as_deref() {
            None | Some("default") => "<em>",
            Some("styled") => "<em class=\"hlt1\">",
            Some(other) => return Err(Fault::illegal(format!("[tags_schema] {other:?} is not supported"))),
        };
        let usual = How {
            before: before.to_owned(),
            behind: "</em>".to_owned(),
            size: FRAGMENT_USUAL,
            count: Some(FRAGMENTS_USUAL),
            unmarked: 0,
            is_html: false,
        };
        let fields = members.required("fields")?;
        let (how, marks) = how_of(&mut members, dsl, (&usual, &Arc::new(Marks::of(query))))?;
        members.finish()?;
        let mut all = Vec::new();
        // An object, or a list of objects where their order matters.
        for one in list_of(fields) {
            for (name, value) in Members::new("fields", one)?.rest() {
                let mut members = Members::new("highlight", value)?;
                let (how, marks) = how_of(&mut members, dsl, (&how, &marks))?;
                members.finish()?;
                all.push(Field { name: dsl.fields.name(&name).to_owned(), marks, how });
            }
        }
        Ok(Highlight(all))
    }

    /// Whether a field of this name may be marked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.covers(name))
    }

    /// The marked fragments of a hit's fields; those found so far once `stop` says so.
    pub(crate) fn tell(&self, fields: &BTreeMap<String, Value>, stop: &dyn Fn() -> bool) -> Map<String, Value> {
        let mut told = Map::new();
        for (name, value) in fields {
            let Some(field) = self.0.iter().find(|field| field.covers(name)) else { continue };
            let values = list_of(value.clone());
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            let mut fragments = Vec::new();
            for text in &texts {
                let marks = field.marks.within(name, text, stop);
                if !marks.is_empty() {
                    field.how.fragments(text, &marks, &mut fragments);
                }
            }
            if let (true, Some(text)) = (fragments.is_empty() && field.how.unmarked > 0, texts.first()) {
                fragments.push(field.how.shown(text, 0..cut(text, 0, field.how.unmarked), &[]));
            }
            fragments.truncate(field.how.count.unwrap_or(usize::MAX));
            if !fragments.is_empty() {
                told.insert(name.clone(), fragments.into());
            }
        }
        told
    }
}

impl Field {
    fn covers(&self, name: &str) -> bool {
        self.name == name || (name != ORIGINAL && glob(&self.name, name))
    }
}

/// How it is asked to be done, where it is, and else as `base` says.
fn how_of(members: &mut Members, dsl: &mut Dsl<'_>, base: (&How, &Arc<Marks>)) -> Result<(How, Arc<Marks>), Fault> {
    let mut how = base.0.clone();
    let mut tag = |name: &str| members.take(name).and_then(|tags| list_of(tags).first().and_then(text_of));
    how.before = tag("pre_tags").unwrap_or(how.before);
    how.behind = tag("post_tags").unwrap_or(how.behind);
    how.size = match members.count("fragment_size")? {
        None => how.size,
        Some(0) => usize::MAX,
        Some(size) => size,
    };
    how.count = members.count("number_of_fragments")?.map_or(how.count, |count| Some(count).filter(|count| *count > 0));
    how.unmarked = members.count("no_match_size")?.unwrap_or(how.unmarked);
    how.is_html = match members.text("encoder")?.as_deref() {
        None => how.is_html,
        Some("default") => false,
        Some("html") => true,
        Some(other) => return Err(Fault::illegal(format!("[encoder] {other:?} is not supported"))),
    };
    members.fits("type", |kind| matches!(kind.as_str(), Some("unified" | "plain")))?;
    // Where a text is cut and how much of it is looked at: it is cut between words, and looked at as a whole.
    members.ignore(&[
        "boundary_chars",
        "boundary_max_scan",
        "boundary_scanner",
        "boundary_scanner_locale",
        "fragmenter",
        "order",
    ]);
    members.ignore(&["force_source", "max_analyzed_offset", "max_analyzer_offset", "phrase_limit", "require_field_match"]);
    let marks = match members.take("highlight_query") {
        Some(query) => Arc::new(Marks::of(&dsl.query(query)?)),
        None => base.1.clone(),
    };
    Ok((how, marks))
}

impl How {
    /// Adds the parts of `text` that have a mark.
    fn fragments(&self, text: &str, marks: &[Range<usize>], into: &mut Vec<String>) {
        if self.count.is_none() {
            into.push(self.shown(text, 0..text.len(), marks));
            return;
        }
        let mut start = 0;
        while start < text.len() && self.count.is_none_or(|count| into.len() < count) {
            let end = piece_end(text, start, self.size, marks);
            if marks.iter().any(|mark| mark.start < end && mark.end > start) {
                into.push(self.shown(text, start..end, marks));
            }
            start = end;
        }
    }

    fn shown(&self, text: &str, part: Range<usize>, marks: &[Range<usize>]) -> String {
        let mut shown = String::new();
        let mut at = part.start;
        for mark in marks.iter().filter(|mark| mark.start >= part.start && mark.end <= part.end) {
            escaped(&text[at..mark.start], self.is_html, &mut shown);
            shown.push_str(&self.before);
            escaped(&text[mark.clone()], self.is_html, &mut shown);
            shown.push_str(&self.behind);
            at = mark.end;
        }
        escaped(&text[at..part.end], self.is_html, &mut shown);
        shown.trim().to_owned()
    }
}

/// Adds `text`, in HTML as what shows it.
fn escaped(text: &str, is_html: bool, into: &mut String) {
    if !is_html {
        into.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#x27;"),
            '/' => into.push_str("&#x2F;"),
            c => into.push(c),
        }
    }
}

/// Where `count` characters from `start` on end.
fn cut(text: &str, start: usize, count: usize) -> usize {
    text[start..].char_indices().nth(count).map_or(text.len(), |(at, _)| start + at)
}

/// Where a fragment that begins at `start` ends: at a blank where there is one, and never within a mark.
fn piece_end(text: &str, start: usize, size: usize, marks: &[Range<usize>]) -> usize {
    let end = cut(text, start, size.max(1));
    if end == text.len() {
        return end;
    }
    let within = |at: usize| marks.iter().find(|mark| mark.start < at && at < mark.end);
    let mut blanks = text[start..end].char_indices().rev().filter(|(_, c)| c.is_whitespace()).map(|(at, _)| start + at);
    let blank = blanks.find(|at| *at > start && within(*at).is_none());
    blank.unwrap_or_else(|| within(end).map_or(end, |mark| mark.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_end_between_words_and_never_within_a_mark() {
        let how =
            |size, count, is_html| How { before: "[".to_owned(), behind: "]".to_owned(), size, count, unmarked: 0, is_html };
        let text = "one two three four five <six> seven";
        for (how, marks, expected) in [
            (how(100, Some(5), false), &[(4, 7), (14, 18)][..], vec!["one [two] three [four] five <six> seven"]),
            (how(9, Some(5), false), &[(4, 7), (30, 35)][..], vec!["one [two]", "[seven]"]),
            (how(9, Some(1), false), &[(4, 7), (30, 35)][..], vec!["one [two]"]),
            (how(9, None, true), &[(25, 28)][..], vec!["one two three four five &lt;[six]&gt; seven"]),
            (how(10, Some(5), false), &[(4, 18)][..], vec!["[two three four]"]),
            (how(1, Some(5), false), &[(0, 3)][..], vec!["[one]"]),
        ] {
            let (marks, mut told): (Vec<_>, _) = (marks.iter().map(|(from, to)| *from..*to).collect(), Vec::new());
            how.fragments(text, &marks, &mut told);
            assert_eq!(told, expected, "{how:?}");
        }
        let (mark, mut told) = (6..12, Vec::new());
        how(3, Some(9), false).fragments("個人番号の照会", std::slice::from_ref(&mark), &mut told);
        assert_eq!(told, ["個人[番号]"]);
    }
}
