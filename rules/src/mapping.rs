//! Which event fields a Sigma field name means, by log source: data that a user can extend.

use std::sync::Arc;

use event::FieldId;
use serde::Serialize;

use crate::fault::did_you_mean;
use crate::sigma::rule::RuleSource;
use crate::yaml::{self, Placed, PlacedValue};

/// A name, and the event fields that it means.
type Meaning = (String, Vec<String>);

/// A table of field names: those that users have added, then the built-in ones.
#[derive(Clone, Debug)]
pub struct Mapping {
    scopes: Vec<Scope>,
    /// How many of them users have added.
    own: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Scope {
    source: RuleSource,
    fields: Vec<Meaning>,
    /// Before each name that a record of this source brings itself: any name may be found there.
    prefix: Option<String>,
    /// What is recorded of it.
    #[serde(skip)]
    text: Arc<str>,
}

impl Default for Mapping {
    fn default() -> Mapping {
        Mapping::built_in()
    }
}

impl Mapping {
    /// The one that is shipped (`rules/mapping.yaml`).
    pub fn built_in() -> Mapping {
        let scopes = scopes(include_str!("../mapping.yaml")).expect("the shipped mapping is valid; a test reads it");
        Mapping { scopes, own: 0 }
    }

    /// Adds what a user's file says: its names come before the built-in ones, and after those of files that were added before.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn extend(&mut self, text: &str) -> Result<(), (usize, String)> {
        let more = scopes(text)?;
        let at = self.own;
        self.own += more.len();
        self.scopes.splice(at..at, more);
        Ok(())
    }

    /// What users have added for rules of this source, as recorded; for any source where none is given.
    pub(crate) fn own_texts(&self, source: Option<&RuleSource>) -> impl Iterator<Item = Arc<str>> {
        let own = self.scopes[..self.own].iter();
        own.filter(move |scope| source.is_none_or(|source| scope.covers(source))).map(|scope| scope.text.clone())
    }

    /// The fields that `name` means in a rule for `source`: its own name first, then what the table says, then the name behind the
    /// prefix of the source's own names.
    pub fn fields(&self, source: &RuleSource, name: &str) -> Vec<FieldId> {
        let scopes = || self.scopes.iter().filter(|scope| scope.covers(source));
        let mapped =
            scopes().flat_map(|scope| scope.fields.iter().filter(|(n, _)| n == name).flat_map(|(_, to)| to.iter().cloned()));
        let native = scopes().filter_map(|scope| Some(format!("{}{name}", scope.prefix.as_ref()?)));
        let mut ids: Vec<FieldId> = Vec::new();
        for id in std::iter::once(name.to_owned()).chain(mapped).chain(native).filter_map(|name| FieldId::intern(&name)) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

impl Scope {
    /// Whether it is about rules of this source.
    fn covers(&self, source: &RuleSource) -> bool {
        let covers = |scope: &Option<String>, has: &Option<String>| scope.is_none() || scope == has;
        covers(&self.source.product, &source.product)
            && covers(&self.source.category, &source.category)
            && covers(&self.source.service, &source.service)
    }
}

/// Reads a table.
fn scopes(text: &str) -> Result<Vec<Scope>, (usize, String)> {
    let table = yaml::placed(text)?;
    let PlacedValue::List(entries) = &table.value else {
        return Err((table.line, "expected a list of entries with scope and fields".to_owned()));
    };
    entries.iter().map(scope).collect()
}

fn scope(entry: &Placed) -> Result<Scope, (usize, String)> {
    has_only(entry, &["scope", "fields", "prefix"])?;
    let named = entry.get("scope");
    named.map_or(Ok(()), |scope| has_only(scope, &["product", "category", "service"]))?;
    let part = |name: &str| named.and_then(|scope| scope.get(name)).and_then(Placed::scalar).map(|part| part.to_lowercase());
    let source = RuleSource { product: part("product"), category: part("category"), service: part("service") };
    let fields = entry.get("fields").map_or(&[][..], Placed::entries).iter().map(|(name, line, to)| {
        let to = match &to.value {
            PlacedValue::List(list) => list.iter().map(Placed::scalar).collect(),
            PlacedValue::Scalar(_) | PlacedValue::Map(_) => to.scalar().map(|one| vec![one]),
        };
        Ok((name.clone(), to.ok_or_else(|| (*line, format!("{name:?} needs the name of a field, or a list of such names")))?))
    });
    let fields: Vec<Meaning> = fields.collect::<Result<_, _>>()?;
    let prefix = entry.get("prefix").and_then(Placed::scalar);
    if fields.is_empty() && prefix.is_none() {
        return Err((entry.line, "an entry has neither fields nor a prefix".to_owned()));
    }
    let mut scope = Scope { source, fields, prefix, text: Arc::default() };
    scope.text = format!("mapping: {}\n", serde_json::to_string(&scope).expect("texts are serialisable")).into();
    Ok(scope)
}

/// Refuses a mapping's keys that are none of these.
fn has_only(node: &Placed, known: &[&str]) -> Result<(), (usize, String)> {
    match node.entries().iter().find(|(key, ..)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, line, _)) => {
            let meant = did_you_mean(key, known.iter().copied()).map_or_else(String::new, |meant| format!(": {meant}"));
            Err((*line, format!("unknown key {key:?}{meant}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_mapping_is_scoped() {
        let mapping = Mapping::built_in();
        let names = |source: &RuleSource, name: &str| mapping.fields(source, name).iter().map(|f| f.name()).collect::<Vec<_>>();
        let dns = RuleSource { category: Some("dns".to_owned()), ..RuleSource::default() };
        assert_eq!(names(&dns, "query"), ["query", "dns.question.name"]);
        assert_eq!(names(&RuleSource::default(), "query"), ["query"]);
        let windows = RuleSource { product: Some("windows".to_owned()), ..RuleSource::default() };
        assert_eq!(names(&windows, "GrantedAccess"), ["GrantedAccess", "winlog.event_data.GrantedAccess"]);
        assert_eq!(names(&windows, "EventID")[..3], ["EventID", "winlog.event_id", "event.code"]);
    }
}
