//! The engine as its manual shows it: the whole event stored as JSON, the default tokenizer, its own queries and collectors.

use std::net::IpAddr;
use std::ops::Bound;
use std::path::Path;

use tantivy::aggregation::AggregationCollector;
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{AllQuery, BooleanQuery, PhraseQuery, Query, RangeQuery, RegexQuery, TermQuery};
use tantivy::schema::{
    DateOptions, FAST, Field, INDEXED, IndexRecordOption, IpAddrOptions, NumericOptions, STORED, STRING, Schema, TEXT,
};
use tantivy::{DateTime, Index, IndexWriter, Order, Searcher, TantivyDocument, Term};

use crate::events::{Event, event};
use crate::{Ask, Engine, Loaded, bytes_below, making, measured};

struct Fields {
    time: Field,
    message: Field,
    stored: Field,
    source: Field,
    destination: Field,
    texts: [Field; 7],
    numbers: [Field; 4],
}

pub(crate) struct Stock {
    searcher: Searcher,
    fields: Fields,
}

const TEXTS: [&str; 7] = ["format", "host_name", "event_action", "event_outcome", "user_name", "url_original", "url_domain"];
const NUMBERS: [&str; 4] = ["source_port", "destination_port", "network_bytes", "status"];

/// The event as one JSON object, as a shipper sends it.
pub(crate) fn json(event: &Event) -> String {
    let mut object = serde_json::json!({
        "@timestamp": event::Time::from_unix_ns(event.time).to_string(), "message": event.raw, "format": event.format,
        "host.name": event.host, "event.action": event.action, "event.outcome": event.outcome,
    });
    let map = object.as_object_mut().unwrap();
    let mut add = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    add("source.ip", event.source.map(|ip| ip.to_string().into()));
    add("destination.ip", event.destination.map(|ip| ip.to_string().into()));
    add("source.port", event.ports.map(|p| p.0.into()));
    add("destination.port", event.ports.map(|p| p.1.into()));
    add("user.name", event.user.as_deref().map(Into::into));
    add("network.bytes", event.bytes.map(Into::into));
    add("url.original", event.url.as_deref().map(Into::into));
    add("url.domain", event.domain.as_deref().map(Into::into));
    add("http.response.status_code", event.status.map(Into::into));
    object.to_string()
}

fn texts(event: &Event) -> [Option<&str>; 7] {
    let (url, domain) = (event.url.as_deref(), event.domain.as_deref());
    [Some(event.format), Some(&event.host), Some(event.action), Some(event.outcome), event.user.as_deref(), url, domain]
}

pub(crate) fn load(dir: &Path, events: u64) -> (Box<dyn Engine>, Loaded) {
    let mut schema = Schema::builder();
    let number = NumericOptions::default().set_fast();
    let fields = Fields {
        time: schema.add_date_field("time", DateOptions::default().set_fast().set_indexed()),
        message: schema.add_text_field("message", TEXT),
        stored: schema.add_text_field("stored", STORED),
        source: schema.add_ip_addr_field("source_ip", IpAddrOptions::default().set_indexed().set_fast()),
        destination: schema.add_ip_addr_field("destination_ip", INDEXED | FAST),
        texts: TEXTS.map(|name| schema.add_text_field(name, STRING | FAST)),
        numbers: NUMBERS.map(|name| schema.add_i64_field(name, number.clone())),
    };
    let settings = tantivy::IndexSettings {
        docstore_compression: tantivy::store::Compressor::Zstd(tantivy::store::ZstdCompressor::default()),
        ..Default::default()
    };
    let index = Index::builder().schema(schema.build()).settings(settings).create_in_dir(dir).unwrap();
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 400_000_000).unwrap();
    let (made_cpu, made_wall) = making(events, |first, n| {
        let mut it = Event::default();
        (first..first + n).for_each(|at| event(at, &mut it));
    });
    let mut it = Event::default();
    let mut pending = 0;
    let (cpu, wall) = measured(
        |first, n| {
            for at in first..first + n {
                event(at, &mut it);
                let mut document = TantivyDocument::default();
                document.add_date(fields.time, DateTime::from_timestamp_nanos(it.time));
                document.add_text(fields.message, &it.raw);
                document.add_text(fields.stored, json(&it));
                let v6 = |ip: std::net::Ipv4Addr| ip.to_ipv6_mapped();
                it.source.into_iter().for_each(|ip| document.add_ip_addr(fields.source, v6(ip)));
                it.destination.into_iter().for_each(|ip| document.add_ip_addr(fields.destination, v6(ip)));
                for (field, text) in fields.texts.iter().zip(texts(&it)) {
                    text.into_iter().for_each(|text| document.add_text(*field, text));
                }
                let numbers = [it.ports.map(|p| p.0.into()), it.ports.map(|p| p.1.into()), it.bytes, it.status];
                for (field, number) in fields.numbers.iter().zip(numbers) {
                    number.into_iter().for_each(|n| document.add_i64(*field, n));
                }
                writer.add_document(document).unwrap();
            }
            pending += n;
            if pending >= 25_000 {
                pending = 0;
                writer.commit().unwrap();
            }
        },
        events,
    );
    let mut writer = Some(writer);
    let (end_cpu, end_wall) = measured(
        |_, _| {
            let mut writer = writer.take().unwrap();
            writer.commit().unwrap();
            writer.wait_merging_threads().unwrap();
        },
        1,
    );
    let as_it_is = index.searchable_segment_ids().unwrap();
    let (merge_cpu, _) = measured(
        |_, _| {
            let mut writer: IndexWriter = index.writer_with_num_threads(1, 400_000_000).unwrap();
            writer.merge(&as_it_is).wait().unwrap();
            writer.wait_merging_threads().unwrap();
        },
        1,
    );
    let searcher = index.reader().unwrap().searcher();
    let loaded = Loaded {
        seconds_cpu: cpu + end_cpu - made_cpu,
        seconds_wall: wall + end_wall - made_wall,
        bytes: bytes_below(dir),
        note: format!(
            "the record is in it; figures with the {} segments that its own policy leaves; {:.0} events/CPU-s once merged to {}",
            as_it_is.len(),
            events as f64 / (cpu + end_cpu - made_cpu + merge_cpu),
            searcher.segment_readers().len()
        ),
    };
    (Box::new(Stock { searcher, fields }), loaded)
}

impl Stock {
    fn field(&self, name: &str) -> (Field, String) {
        let name = match name {
            "http.response.status_code" => "status".to_owned(),
            name => name.replace('.', "_"),
        };
        (self.searcher.schema().get_field(&name).unwrap(), name)
    }

    fn word(&self, word: &str) -> Box<dyn Query> {
        Box::new(TermQuery::new(Term::from_field_text(self.fields.message, word), IndexRecordOption::Basic))
    }

    fn words(&self, words: &str) -> Box<dyn Query> {
        let terms: Vec<Term> = words.split(' ').map(|w| Term::from_field_text(self.fields.message, w)).collect();
        if terms.len() == 1 { self.word(words) } else { Box::new(PhraseQuery::new(terms)) }
    }

    fn query(&self, ask: &Ask) -> Option<Box<dyn Query>> {
        Some(match ask {
            Ask::Words(words) => self.words(words),
            Ask::Both(one, two) => Box::new(BooleanQuery::intersection(vec![self.word(one), self.word(two)])),
            Ask::Is(name, value) => {
                let field = self.field(name).0;
                let term = match value.parse::<std::net::Ipv4Addr>() {
                    Ok(ip) => Term::from_field_ip_addr(field, ip.to_ipv6_mapped()),
                    Err(_) => Term::from_field_text(field, value),
                };
                Box::new(TermQuery::new(term, IndexRecordOption::Basic))
            }
            Ask::Network(name, network, words) => {
                let field = self.field(name).0;
                let (ip, bits) = network.split_once('/').unwrap();
                let IpAddr::V4(ip) = ip.parse().unwrap() else { return None };
                let mask = u32::MAX >> bits.parse::<u32>().unwrap();
                let end = |bits: u32| {
                    Bound::Included(Term::from_field_ip_addr(field, std::net::Ipv4Addr::from_bits(bits).to_ipv6_mapped()))
                };
                let range = RangeQuery::new(end(ip.to_bits()), end(ip.to_bits() | mask));
                match words {
                    None => Box::new(range),
                    Some(words) => Box::new(BooleanQuery::intersection(vec![Box::new(range), self.words(words)])),
                }
            }
            Ask::Substring(None, inner) => {
                Box::new(RegexQuery::from_pattern(&format!(".*{inner}.*"), self.fields.message).unwrap())
            }
            Ask::Substring(Some(name), inner) => {
                Box::new(RegexQuery::from_pattern(&format!(".*{inner}.*"), self.field(name).0).unwrap())
            }
            Ask::Regex(name, regex) => {
                let regex = format!(".*{}", regex.trim_end_matches('$'));
                Box::new(RegexQuery::from_pattern(&regex, self.field(name).0).unwrap())
            }
            Ask::Above(name, n) => {
                let term = Term::from_field_i64(self.field(name).0, *n);
                Box::new(RangeQuery::new(Bound::Excluded(term), Bound::Unbounded))
            }
            Ask::Newest(Some(ask)) => self.query(ask)?,
            _ => Box::new(AllQuery),
        })
    }

    fn aggregate(&self, json: serde_json::Value) -> serde_json::Value {
        let request: Aggregations = serde_json::from_value(json).unwrap();
        let collector = AggregationCollector::from_aggs(request, Default::default());
        serde_json::to_value(self.searcher.search(&AllQuery, &collector).unwrap()).unwrap()
    }
}

impl Engine for Stock {
    fn ask(&mut self, ask: &Ask) -> Option<u64> {
        let most = |result: &serde_json::Value| {
            result["a"]["buckets"].as_array().unwrap().iter().map(|b| b["doc_count"].as_u64().unwrap()).max()
        };
        match ask {
            Ask::Newest(_) => {
                let top = TopDocs::with_limit(10).order_by_fast_field::<DateTime>("time", Order::Desc);
                let found = self.searcher.search(&*self.query(ask)?, &top).unwrap();
                // What a page needs: the stored event.
                for (_, address) in &found {
                    self.searcher.doc::<TantivyDocument>(*address).unwrap();
                }
                Some(found.len() as u64)
            }
            Ask::Histogram => {
                most(&self.aggregate(serde_json::json!({"a": {"date_histogram": {"field": "time", "fixed_interval": "1h"}}})))
            }
            Ask::Terms(name) => {
                most(&self.aggregate(serde_json::json!({"a": {"terms": {"field": self.field(name).1, "size": 10}}})))
            }
            Ask::Cardinality(name) => {
                let found = self.aggregate(serde_json::json!({"a": {"cardinality": {"field": self.field(name).1}}}));
                found["a"]["value"].as_f64().map(|n| n as u64)
            }
            Ask::Percentiles(name) => {
                let request = serde_json::json!({"a": {"percentiles": {"field": self.field(name).1, "percents": [50.0, 99.0]}}});
                self.aggregate(request)["a"]["values"]["50.0"].as_f64().map(|n| n as u64)
            }
            _ => Some(self.searcher.search(&*self.query(ask)?, &Count).unwrap() as u64),
        }
    }
}
