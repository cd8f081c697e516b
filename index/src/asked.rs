//! The fields that a search asks for, by name, and whether a shard can have a part in the answer.

use std::collections::BTreeSet;

use crate::aggregate::{Aggregation, AggregationKind};
use crate::query::Query;
use crate::schema::{Kind, MESSAGE, is_time_field, kind};
use crate::search::SearchRequest;
use crate::shard::Payload;

/// Those of its query, its aggregations and its order.
pub(crate) fn fields(request: &SearchRequest) -> BTreeSet<&str> {
    let then = request.then_by.as_ref().map(|(name, _)| name.as_str());
    let mut names: BTreeSet<&str> = request.sort_by.as_deref().into_iter().chain(then).collect();
    of_query(&request.query, &mut names);
    of_aggregations(&request.aggregations, &mut names);
    names
}

/// Whether an event of a shard may be found by the query, for all that the shard says of its fields.
pub(crate) fn may_be_in(query: &Query, shard: &Payload) -> bool {
    match query {
        // A name that no event of it has has no value that any test is true of.
        Query::Field(name, _) => {
            is_time_field(name) || kind(name) == Kind::Message || shard.fields.contains(name) || shard.rest.contains(name)
        }
        Query::And(parts) => parts.iter().all(|part| may_be_in(part, shard)),
        Query::Or(parts) => parts.iter().any(|part| may_be_in(part, shard)),
        Query::Ids(ids) => ids.iter().any(|id| (shard.first..=shard.last).contains(&id.frame.offset)),
        _ => true,
    }
}

/// Whether an aggregation asks also for what the query does not find.
pub(crate) fn looks_behind(aggregations: &[(String, Aggregation)]) -> bool {
    let looks = |kind: &AggregationKind| matches!(kind, AggregationKind::Significant { .. });
    aggregations.iter().any(|(_, Aggregation { kind, inner })| looks(kind) || looks_behind(inner))
}

fn of_query<'q>(query: &'q Query, names: &mut BTreeSet<&'q str>) {
    match query {
        Query::Field(name, _) => {
            names.insert(name);
        }
        Query::And(parts) | Query::Or(parts) => parts.iter().for_each(|part| of_query(part, names)),
        Query::Not(inner) => of_query(inner, names),
        Query::Message(_) => {
            names.insert(MESSAGE);
        }
        Query::All
        | Query::Words(_)
        | Query::WordsPrefix(_)
        | Query::WordsLike(_)
        | Query::WordsApart(_)
        | Query::WordsNear(..)
        | Query::WordPart(_)
        | Query::Ids(_) => {}
    }
}

fn of_aggregations<'q>(aggregations: &'q [(String, Aggregation)], names: &mut BTreeSet<&'q str>) {
    for (_, Aggregation { kind, inner }) in aggregations {
        match kind {
            AggregationKind::DateHistogram { field, .. }
            | AggregationKind::Histogram { field, .. }
            | AggregationKind::Terms { field, .. }
            | AggregationKind::Range { field, .. }
            | AggregationKind::Significant { field, .. }
            | AggregationKind::Cardinality { field }
            | AggregationKind::ValueCount { field }
            | AggregationKind::Stats { field, .. }
            | AggregationKind::Percentiles { field, .. }
            | AggregationKind::PercentileRanks { field, .. } => {
                names.insert(field);
            }
            AggregationKind::Filters { filters } => filters.iter().for_each(|(_, query)| of_query(query, names)),
            AggregationKind::Composite { sources, .. } => names.extend(sources.iter().map(|(_, source)| source.of.field())),
            AggregationKind::MultiTerms { sources, .. } => names.extend(sources.iter().map(|source| source.of.field())),
            AggregationKind::TopHits { .. } => {}
        }
        of_aggregations(inner, names);
    }
}
