//! `collapse`: of the hits that have one value of a field only the first is told.
//!
//! A hit is the first of its value where none before it had it. So that frequent values are not gone through hit by hit, those that were told
//! are asked away from the next page. A value that a search takes for another too (one number written in two ways) is not: its hits are passed by.

use std::collections::HashSet;

use event::Time;
use index::query::{Query, Scalar, Test};
use index::{Hit, IndexError};
use serde_json::Value;

use super::dsl::Fields;
use super::fault::{Fault, Members};

/// Values that are asked away: with more, each page would take longer than passing their hits by.
const ASKED_AWAY_MAX: usize = 1000;

/// The field that hits are collapsed by.
pub(super) fn collapse_of(value: Value, fields: &Fields) -> Result<String, Fault> {
    let mut members = Members::new("collapse", value)?;
    let name = members.text("field")?.ok_or_else(|| Fault::parsing("[collapse] requires [field]"))?;
    members.ignore(&["max_concurrent_group_searches"]);
    members.finish()?;
    let name = fields.name(&name);
    if !matches!(fields.kind(name), "keyword" | "long" | "double" | "boolean" | "ip") || fields.is_date(name) {
        return Err(Fault::illegal(format!("[collapse] by [{name}]: it is no keyword, number or address")));
    }
    Ok(name.to_owned())
}

/// The values that have been told.
pub(super) struct Groups<'a> {
    field: &'a str,
    /// As they are told apart; none: that there is no value.
    told: HashSet<Option<String>>,
    asked_away: Vec<Query>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(field: &'a str) -> Groups<'a> {
        Groups { field, told: HashSet::new(), asked_away: Vec::new() }
    }

    /// Whether the hit is the first of its value.
    pub(super) fn begins(&mut self, hit: &Hit) -> Result<bool, IndexError> {
        let (value, test) = match hit.fields.get(self.field) {
            None | Some(Value::Null) => (None, Some(Test::Exists)),
            Some(Value::Array(_)) => {
                let reason = format!("[collapse] by [{}]: the event {} has several values of it", self.field, hit.id);
                return Err(IndexError::Refused(reason));
            }
            Some(Value::String(text)) => match Test::is(text) {
                Test::Is(folded) => {
                    let written = Scalar::guess(text, Time::EPOCH);
                    let is_one = matches!(written, Scalar::Text(_) | Scalar::Ip(_)) && written.to_string() == folded;
                    (Some(folded), is_one.then(|| Test::is(text)))
                }
                test => (Some(text.clone()), Some(test)),
            },
            Some(other) => {
                let text =
                    other.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map_or(other.to_string(), |n| n.to_string());
                (Some(text.clone()), Some(Test::is(&text)))
            }
        };
        let is_none = value.is_none();
        let begins = self.told.insert(value);
        if let (true, Some(test)) = (begins && self.asked_away.len() < ASKED_AWAY_MAX, test) {
            let has = Query::Field(self.field.to_owned(), test);
            self.asked_away.push(if is_none { Query::Not(Box::new(has)) } else { has });
        }
        Ok(begins)
    }

    /// What finds the hits of other values.
    pub(super) fn others(&self, query: &Query) -> Query {
        Query::And(vec![query.clone(), Query::Not(Box::new(Query::Or(self.asked_away.clone())))])
    }
}
