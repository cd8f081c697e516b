//! Hits as Elasticsearch tells them: `_source` as nested objects, `fields` as lists.

use index::Hit;
use serde_json::{Map, Value, json};

use super::dates;
use super::dsl::{Fields, glob};
use super::fault::{Fault, Members, list_of, text_of};
use super::highlight::Highlight;

/// The one index that every name stands for.
pub(crate) const INDEX: &str = "mihari";
/// The record as it came, as a field.
pub(crate) const ORIGINAL: &str = "event.original";

/// Which fields `_source` has.
#[derive(Clone, Debug, Default)]
pub(crate) enum Filter {
    #[default]
    All,
    None,
    Some {
        includes: Vec<String>,
        excludes: Vec<String>,
    },
}

impl Filter {
    pub(crate) fn read(value: Value) -> Result<Filter, Fault> {
        let texts = |value: Value| list_of(value).iter().filter_map(text_of).collect::<Vec<_>>();
        Ok(match value {
            Value::Bool(true) => Filter::All,
            Value::Bool(false) => Filter::None,
            Value::Object(mut map) => {
                let mut take = |names: [&str; 2]| names.iter().filter_map(|n| map.shift_remove(*n)).flat_map(texts).collect();
                Filter::Some { includes: take(["includes", "include"]), excludes: take(["excludes", "exclude"]) }
            }
            list @ (Value::Array(_) | Value::String(_)) => Filter::Some { includes: texts(list), excludes: Vec::new() },
            _ => return Err(Fault::parsing("[_source] is true, false, a pattern, patterns, or includes and excludes")),
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Filter::All => true,
            Filter::None => false,
            Filter::Some { includes, excludes } => {
                (includes.is_empty() || includes.iter().any(|p| covers(p, name))) && !excludes.iter().any(|p| covers(p, name))
            }
        }
    }
}

/// Whether a pattern names the field, or an object that it lies in.
fn covers(pattern: &str, name: &str) -> bool {
    glob(pattern, name)
        || (!pattern.contains('*') && name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('.')))
        || (pattern.ends_with('*') && !pattern.ends_with(".*") && glob(pattern, name))
}

/// What of a hit is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) source: Filter,
    /// Fields that are told beside it, each a pattern with its format.
    pub(crate) fields: Vec<(String, Option<String>)>,
    /// Whether the hits have an order that was asked for: then they have no score.
    pub(crate) sorted: bool,
    /// What is marked in their texts.
    pub(crate) highlight: Option<Highlight>,
    /// The field of which each value is told once, by its first hit.
    pub(crate) collapse: Option<String>,
}

impl Shape {
    /// Adds what `fields` and `docvalue_fields` name: patterns, each by itself or with its format.
    pub(crate) fn tell_beside(&mut self, named: impl Iterator<Item = Value>, fields: &Fields) -> Result<(), Fault> {
        for field in named {
            self.fields.push(match field {
                Value::String(name) => (fields.name(&name).to_owned(), None),
                other => {
                    let mut members = Members::new("fields", other)?;
                    let name = members.text("field")?.ok_or_else(|| Fault::parsing("[fields] name fields"))?;
                    let format = dates::format_of(&mut members)?;
                    members.ignore(&["include_unmapped"]);
                    members.finish()?;
                    (fields.name(&name).to_owned(), format)
                }
            });
        }
        Ok(())
    }

    /// The fields to read; none: all.
    pub(crate) fn wanted(&self, fields: &Fields) -> Option<Vec<String>> {
        if matches!(self.source, Filter::All) {
            return None;
        }
        let marked = |name: &str| self.highlight.as_ref().is_some_and(|highlight| highlight.has(name));
        let beside = |name: &str| self.fields.iter().any(|(pattern, _)| glob(pattern, name)) || marked(name);
        Some(fields.iter().map(|(name, _)| name).filter(|n| self.source.has(n) || beside(n)).map(str::to_owned).collect())
    }

    /// Whether the record itself is told.
    pub(crate) fn wants_original(&self) -> bool {
        self.source.has(ORIGINAL)
            || self.fields.iter().any(|(pattern, _)| glob(pattern, ORIGINAL))
            || self.highlight.as_ref().is_some_and(|highlight| highlight.has(ORIGINAL))
    }

    /// Tells a hit; what is marked in it is what was found until `stop` says so.
    pub(crate) fn tell(&self, hit: Hit, original: Option<String>, sort: Vec<Value>, stop: &dyn Fn() -> bool) -> Value {
        let mut all = hit.fields;
        all.insert("@timestamp".to_owned(), hit.time.to_string().into());
        all.insert("event.received".to_owned(), hit.received.to_string().into());
        if let Some(original) = original.filter(|text| !text.is_empty()) {
            all.entry(ORIGINAL.to_owned()).or_insert_with(|| original.into());
        }
        let mut told = Map::new();
        told.insert("_index".to_owned(), INDEX.into());
        told.insert("_id".to_owned(), hit.id.to_string().into());
        told.insert("_score".to_owned(), if self.sorted { Value::Null } else { json!(1.0) });
        if !self.fields.is_empty() {
            let mut fields = Map::new();
            for (name, value) in &all {
                let Some((_, format)) = self.fields.iter().find(|(pattern, _)| glob(pattern, name)) else { continue };
                let shown = |value: &Value| match (format, value.as_str().and_then(|text| text.parse().ok())) {
                    (Some(format), Some(time)) => dates::write(time, Some(format), &index::TimeZone::UTC).into(),
                    _ => value.clone(),
                };
                fields.insert(name.clone(), list_of(value.clone()).iter().map(shown).collect());
            }
            told.insert("fields".to_owned(), Value::Object(fields));
        }
        if let Some(highlight) = &self.highlight {
            let marked = highlight.tell(&all, stop);
            if !marked.is_empty() {
                told.insert("highlight".to_owned(), Value::Object(marked));
            }
        }
        if !matches!(self.source, Filter::None) {
            let mut source = Map::new();
            for (name, value) in all.into_iter().filter(|(name, _)| self.source.has(name)) {
                nest(&mut source, &name, value);
            }
            told.insert("_source".to_owned(), Value::Object(source));
        }
        if !sort.is_empty() {
            told.insert("sort".to_owned(), Value::Array(sort));
        }
        Value::Object(told)
    }
}

/// Puts a dotted name into nested objects; where one of them is a value already, the rest of the name stays dotted.
pub(crate) fn nest(into: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        match into.get_mut(name) {
            // Names come in order, so a value comes before what lies in an object of its name.
            Some(Value::Object(inner)) => drop(inner.insert(String::new(), value)),
            _ => drop(into.insert(name.to_owned(), value)),
        }
        return;
    };
    match into.entry(first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => nest(inner, rest, value),
        _ => drop(into.insert(name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_objects() {
        let mut source = Map::new();
        for name in ["a", "a.b", "c.d", "c.d.e", "c.f"] {
            nest(&mut source, name, name.into());
        }
        assert_eq!(Value::Object(source), json!({"a": "a", "a.b": "a.b", "c": {"d": "c.d", "d.e": "c.d.e", "f": "c.f"}}));
    }

    #[test]
    fn sources_are_filtered() {
        for (filter, name, has) in [
            (json!(true), "a.b", true),
            (json!(false), "a.b", false),
            (json!("a"), "a.b", true),
            (json!("a"), "ab", false),
            (json!(["a.*", "c"]), "a.b", true),
            (json!({"includes": ["a*"], "excludes": "a.c"}), "a.c.d", false),
            (json!({"excludes": ["*.b"]}), "a.b", false),
            (json!({"excludes": ["*.b"]}), "a.c", true),
        ] {
            assert_eq!(Filter::read(filter.clone()).expect("reads").has(name), has, "{filter} {name}");
        }
        assert!(Filter::read(json!(3)).is_err());
    }
}
