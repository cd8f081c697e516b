//! Which event fields a Sigma field name means, by log source: data that a user can extend.

use event::FieldId;

use crate::sigma::rule::RuleSource;
use crate::yaml::{self, Node};

/// A name, and the event fields that it means.
type Meaning = (String, Vec<String>);

/// A table of field names.
#[derive(Clone, Debug)]
pub struct Mapping {
    scopes: Vec<Scope>,
}

#[derive(Clone, Debug)]
struct Scope {
    source: RuleSource,
    fields: Vec<Meaning>,
    /// Before each name that a record of this source brings itself: any name may be found there.
    prefix: Option<String>,
}

impl Mapping {
    /// The one that is shipped (`rules/pack/mapping.yaml`).
    pub fn built_in() -> Mapping {
        Mapping::parse(include_str!("../pack/mapping.yaml")).expect("the shipped mapping is valid; a test reads it")
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Mapping, (usize, String)> {
        let node = yaml::read(text)?;
        let mut scopes = Vec::new();
        for entry in node.elements() {
            let part = |name: &str| entry.get("scope").and_then(|s| s.get(name)).and_then(Node::scalar);
            let source = RuleSource { product: part("product"), category: part("category"), service: part("service") };
            let Some(Node::Map(fields)) = entry.get("fields") else { return Err((1, "an entry has no fields".to_owned())) };
            let fields = fields.iter().map(|(name, to)| (name.clone(), to.elements().iter().filter_map(Node::scalar).collect()));
            let prefix = entry.get("prefix").and_then(Node::scalar);
            scopes.push(Scope { source, fields: fields.collect(), prefix });
        }
        Ok(Mapping { scopes })
    }

    /// The fields that `name` means in a rule for `source`: its own name first, then what the table says, then the name behind the
    /// prefix of the source's own names.
    pub fn fields(&self, source: &RuleSource, name: &str) -> Vec<FieldId> {
        let covers = |scope: &Option<String>, has: &Option<String>| scope.is_none() || scope == has;
        let scopes = || {
            self.scopes.iter().filter(|Scope { source: scope, .. }| {
                covers(&scope.product, &source.product)
                    && covers(&scope.category, &source.category)
                    && covers(&scope.service, &source.service)
            })
        };
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
