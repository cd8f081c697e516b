//! The fields that a search asks for, by name.

use std::collections::BTreeSet;

use crate::aggregate::{Aggregation, AggregationKind};
use crate::query::Query;
use crate::schema::MESSAGE;
use crate::search::SearchRequest;

/// Those of its query, its aggregations and its order.
pub(crate) fn fields(request: &SearchRequest) -> BTreeSet<&str> {
    let then = request.then_by.as_ref().map(|(name, _)| name.as_str());
    let mut names: BTreeSet<&str> = request.sort_by.as_deref().into_iter().chain(then).collect();
    of_query(&request.query, &mut names);
    of_aggregations(&request.aggregations, &mut names);
    names
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
            | AggregationKind::Stats { field }
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
