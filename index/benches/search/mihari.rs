//! Our index.

use std::path::Path;
use std::sync::Arc;

use event::{TenantId, Time};
use index::{
    Aggregation, AggregationKind, IndexOptions, Interval, SearchLimits, SearchRequest, Searcher, TermsOrder, Writer, query,
};

use crate::events::{START_NS, batch};
use crate::{Ask, Engine, Loaded, bytes_below, making, measured};

pub(crate) struct Mihari {
    searcher: Searcher,
    _writer: Writer,
}

pub(crate) fn load(dir: &Path, events: u64) -> (Box<dyn Engine>, Loaded) {
    let (made_cpu, made_wall) = making(events, |first, n| drop(batch(first, n)));
    let (mut writer, _) = Writer::open(&IndexOptions::new(dir), TenantId(0)).unwrap();
    let mut longest = std::time::Duration::ZERO;
    let (cpu, wall) = measured(
        |first, n| {
            let batch = batch(first, n);
            let start = std::time::Instant::now();
            writer.write(&batch).unwrap();
            if writer.commit_due() {
                writer.commit().unwrap();
            }
            longest = longest.max(start.elapsed());
        },
        events,
    );
    let (settle_cpu, settle_wall) = measured(
        |_, _| {
            writer.commit().unwrap();
            writer.settle().unwrap();
        },
        1,
    );
    let searcher = writer.searcher();
    let usage = searcher.usage().unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    crate::bytes_by_kind(dir, &mut kinds);
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {:.1}", *n as f64 / events as f64)).collect();
    let note = format!(
        "{} shards, {} segments; longest write with its commit {} ms; B/event: {}",
        usage.len(),
        usage.iter().map(|u| u.segments).sum::<usize>(),
        longest.as_millis(),
        kinds.join(", ")
    );
    let loaded = Loaded {
        seconds_cpu: cpu + settle_cpu - made_cpu,
        seconds_wall: wall + settle_wall - made_wall,
        bytes: bytes_below(dir),
        note,
    };
    (Box::new(Mihari { searcher, _writer: writer }), loaded)
}

fn text(ask: &Ask) -> String {
    match ask {
        Ask::Words(words) => format!("\"{words}\""),
        Ask::Both(one, two) => format!("{one} AND {two}"),
        Ask::Is(field, value) => format!("{field}:\"{value}\""),
        Ask::Network(field, network, None) => format!("{field}:{network}"),
        Ask::Network(field, network, Some(words)) => format!("{field}:{network} AND \"{words}\""),
        Ask::Substring(None, inner) => format!("*{inner}*"),
        Ask::Substring(Some(field), inner) => format!("{field}:*{inner}*"),
        Ask::Regex(field, regex) => format!("{field}:/{regex}/"),
        Ask::Above(field, n) => format!("{field}:>{n}"),
        Ask::Newest(Some(ask)) => text(ask),
        _ => "*".to_owned(),
    }
}

impl Engine for Mihari {
    fn ask(&mut self, ask: &Ask) -> Option<u64> {
        let limits = SearchLimits { stop: Arc::new(|| false) };
        let query = query::parse(&text(ask), Time::from_unix_ns(START_NS)).unwrap();
        let mut request = SearchRequest { size: 0, ..SearchRequest::new(query) };
        let field = |field: &str| field.to_owned();
        let aggregation: Option<Aggregation> = match ask {
            Ask::Histogram => Some(
                AggregationKind::DateHistogram {
                    field: field("@timestamp"),
                    interval: Interval::ms(3_600_000),
                    zone: index::TimeZone::UTC,
                    min_count: 1,
                    bounds: None,
                }
                .into(),
            ),
            Ask::Terms(name) => Some(
                AggregationKind::Terms { field: field(name), size: 10, order: TermsOrder::Count, min_count: 1, missing: None }
                    .into(),
            ),
            Ask::Cardinality(name) => Some(AggregationKind::Cardinality { field: field(name) }.into()),
            Ask::Percentiles(name) => {
                Some(AggregationKind::Percentiles { field: field(name), percents: vec![50.0, 99.0] }.into())
            }
            _ => None,
        };
        let aggregating = aggregation.is_some();
        request.aggregations.extend(aggregation.map(|a| ("a".to_owned(), a)));
        if matches!(ask, Ask::Newest(_)) {
            (request.size, request.total_max) = (10, Some(0));
        }
        let found = self.searcher.search(&request, &limits).unwrap();
        Some(match ask {
            Ask::Newest(_) => found.hits.len() as u64,
            Ask::Cardinality(_) => found.aggregations["a"].value.unwrap() as u64,
            Ask::Percentiles(_) => found.aggregations["a"].values["50"].unwrap() as u64,
            _ if aggregating => found.aggregations["a"].buckets.iter().map(|b| b.count).max().unwrap_or(0),
            _ => found.total,
        })
    }
}
