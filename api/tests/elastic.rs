//! The interface compatible with Elasticsearch, as its clients and Grafana use it. The clients themselves are in the program's tests.

mod server;

use api::Limits;
use event::{Batch, BatchBuilder, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use serde_json::{Value, json};
use server::{SECOND_NS, Server, start};

const USERS: [&str; 3] = ["hanako", "taro", "jiro"];

/// 300 events, one each ten seconds, 200 of the first tenant.
fn events() -> Batch {
    let mut builder = BatchBuilder::default();
    for n in 0..300_u64 {
        let at = start().plus_ns(n as i64 * 10 * SECOND_NS + 123_456_789);
        let head = FrameHead {
            position: Position { partition: 0, offset: n + 1 },
            received: at,
            tenant: TenantId(u32::from(n % 3 == 2)),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let raw = format!("Failed password for {} from 10.0.{}.{} port 22", USERS[n as usize % 3], n % 4, n % 50);
        let mut row = builder.row(&head, 0, &raw);
        row.time(at);
        row.text(FieldId::USER_NAME, USERS[n as usize % 3]);
        row.ip(FieldId::SOURCE_IP, format!("10.0.{}.{}", n % 4, n % 50).parse().expect("an address"));
        row.int(FieldId::SOURCE_BYTES, n as i64);
        row.text(FieldId::MESSAGE, &format!("Failed password for {}", USERS[n as usize % 3]));
        if n % 10 == 0 {
            row.text(FieldId::known("process.executable"), r"C:\Windows\System32\cmd.exe");
            row.uint(FieldId::known("own.count"), n);
            row.bool(FieldId::known("own.flag"), n > 100);
            row.float(FieldId::known("own.ratio"), n as f64 / 3.0);
        }
        match n % 4 {
            0 => row.int(FieldId::known("own.number"), 5),
            1 => row.float(FieldId::known("own.number"), 0.5),
            2 => row.int(FieldId::known("own.mixed"), 7),
            _ => row.text(FieldId::known("own.mixed"), "seven"),
        }
    }
    builder.finish(LogRange { partition: 0, first: 1, last: 300 }, start())
}

fn served() -> Server {
    let server = Server::with(Limits::default(), &[events()]);
    server.clock.0.store(start().plus_ns(3600 * SECOND_NS).unix_ns(), std::sync::atomic::Ordering::Relaxed);
    server
}

const BASE: &str = "/api/v1/_elastic";

impl Server {
    fn elastic(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("{BASE}{path}"), &self.tokens[0], body).expect(path)
    }

    fn count(&self, query: &Value) -> u64 {
        self.elastic("/_count", &json!({"query": query}))["count"].as_u64().expect("a count")
    }

    fn refused(&self, path: &str, body: &Value) -> String {
        self.post(&format!("{BASE}{path}"), &self.tokens[0], body).expect_err("it is refused")
    }
}

#[test]
fn what_an_address_says_is_read_or_refused() {
    let server = served();
    for (path, names) in [
        ("/_search?fro=1", "request [/_search] contains unrecognized parameter: [fro]"),
        ("/mihari/_search?sizes=1&q=x&a=b", "request [/mihari/_search] contains unrecognized parameters: [a], [sizes]"),
        ("/_search?source=%7B%7D&source_content_type=application/json", "[source] is not supported"),
        ("/_search?q=x&analyzer=english", "[analyzer] is not supported"),
        ("/_search?keep_on_completion=true", "[keep_on_completion]"),
        ("/_search?scroll=1m&from=5", "`from`"),
        ("/_search/scroll?size=5", "request [/_search/scroll] contains unrecognized parameter: [size]"),
        ("/_async_search?waitfor=1s", "[waitfor]"),
        ("/_msearch?size=1", "[size]"),
        ("/mihari/_count?from=1", "[from]"),
        ("/mihari/_pit?keep_alive=1m&size=1", "[size]"),
        ("/_field_caps?fields=*&field=x", "[field]"),
        ("/_validate/query?size=1", "[size]"),
        ("/mihari/_terms_enum?field=user.name", "[field]"),
        ("/_mget?size=1", "[size]"),
    ] {
        let told = server.refused(path, &json!({}));
        assert!(told.contains("400") && told.contains("illegal_argument_exception") && told.contains(names), "{path}: {told}");
    }
    let told = server.get(&format!("{BASE}/mihari/_doc/0-1-0?sorce=x"), &server.tokens[0]).expect_err("it is refused");
    assert!(told.contains("[sorce]"), "{told}");
    // What clients and Grafana say, where nothing hangs on it here.
    let told = server.elastic(
        "/mihari/_search?pretty&human&error_trace=false&ignore_unavailable=true&allow_no_indices=true&expand_wildcards=open\
         &max_concurrent_shard_requests=5&preference=_local&batched_reduce_size=512&ccs_minimize_roundtrips=true\
         &request_cache=true&search_type=query_then_fetch&version=true&size=1&docvalue_fields=user.name,own.count",
        &json!({"query": {"term": {"user.name": "hanako"}}}),
    );
    assert_eq!(told["hits"]["hits"].as_array().map(Vec::len), Some(1));
    assert_eq!(told["hits"]["hits"][0]["fields"]["user.name"], json!(["hanako"]), "{told}");
    assert_eq!(server.elastic("/_count?q=user.name:taro&lenient=true&df=message", &json!({}))["count"], 100);
}

#[test]
fn queries_of_the_dsl_find_what_they_should() {
    let server = served();
    for (query, count) in [
        (json!({"match_all": {}}), 200),
        (json!({"match_none": {}}), 0),
        (json!({"term": {"user.name": "taro"}}), 100),
        (json!({"term": {"user.name.keyword": {"value": "TARO"}}}), 100),
        (json!({"term": {"source.ip": "10.0.0.0/23"}}), 100),
        (json!({"terms": {"user.name": ["taro", "hanako", "jiro"]}}), 200),
        (json!({"match": {"message": "taro nothing"}}), 100),
        (json!({"match": {"message": {"query": "taro nothing", "operator": "and"}}}), 0),
        (json!({"match": {"message": {"query": "taro failed nothing", "minimum_should_match": 2}}}), 100),
        (json!({"match": {"message": {"query": "taro failed nothing", "minimum_should_match": -1}}}), 100),
        (json!({"match": {"message": {"query": "taro failed nothing none", "minimum_should_match": "75%"}}}), 0),
        (json!({"match": {"message": {"query": "taro failed nothing none", "minimum_should_match": "-50%"}}}), 100),
        (json!({"match_phrase": {"message": {"query": "password for hanako", "slop": 0}}}), 100),
        (json!({"match_phrase": {"message": "password for hanako"}}), 100),
        (json!({"wildcard": {"message": "*ailed pass*"}}), 200),
        (json!({"regexp": {"message": "T.RO"}}), 100),
        (json!({"wildcard": {"message": "*failed*taro*"}}), 100),
        (json!({"query_string": {"query": "message:*password*hana*"}}), 100),
        (json!({"match_phrase_prefix": {"message": "password for han"}}), 100),
        (json!({"multi_match": {"query": "taro", "fields": ["user.*^2", "message"]}}), 100),
        (json!({"prefix": {"user.name": "ta"}}), 100),
        (json!({"fuzzy": {"user.name": "tarro"}}), 100),
        (json!({"fuzzy": {"user.name": {"value": "tarro", "prefix_length": 4}}}), 0),
        (json!({"match": {"message": {"query": "fialed", "fuzziness": "AUTO"}}}), 200),
        (json!({"match": {"user.name": {"query": "hanoko", "fuzziness": 1}}}), 100),
        (json!({"match_phrase": {"message": {"query": "failed hanako", "slop": 2}}}), 100),
        (json!({"match_phrase": {"message": {"query": "failed hanako", "slop": 1}}}), 0),
        (json!({"multi_match": {"query": "hanako failed", "type": "phrase", "slop": 4}}), 100),
        (json!({"query_string": {"query": "user.name:tarro~ AND \"failed taro\"~2"}}), 100),
        (json!({"query_string": {"query": r"user.\*:taro"}}), 100),
        (json!({"exists": {"field": "process"}}), 20),
        (json!({"exists": {"field": "source.*"}}), 200),
        (json!({"exists": {"field": "_id"}}), 200),
        (json!({"term": {"_id": "0-1-0"}}), 1),
        (json!({"query_string": {"query": r"_id:0\-1\-0 OR event.original:*hanako*"}}), 100),
        (json!({"function_score": {"query": {"term": {"user.name": "taro"}}, "functions": [{"weight": 2}]}}), 100),
        (json!({"range": {"@timestamp": {"lte": "2026-04-01", "format": "yyyy-MM-dd"}}}), 200),
        (json!({"range": {"@timestamp": {"lte": "2026-04-01 00:00:10", "format": "yyyy-MM-dd HH:mm:ss"}}}), 2),
        (json!({"wildcard": {"process.executable": {"value": r"*\\cmd.exe", "case_insensitive": true}}}), 20),
        (json!({"wildcard": {"process.executable": r"*System32cmd.exe"}}), 0),
        (json!({"regexp": {"user.name": "t.*o"}}), 100),
        (json!({"regexp": {"user.name": ".ar"}}), 0),
        (json!({"exists": {"field": "process.executable"}}), 20),
        (json!({"ids": {"values": ["0-1-0", "0-2-0", "0-3-0", "x"]}}), 2),
        (json!({"range": {"source.bytes": {"gte": 100, "lt": "110"}}}), 7),
        (json!({"range": {"@timestamp": {"gte": "2026-04-01T00:00:00Z", "lt": "2026-04-01T00:01:00Z"}}}), 4),
        (
            json!({"range": {"@timestamp": {"gte": start().unix_ms(), "lte": start().unix_ms() + 10_123, "format": "epoch_millis"}}}),
            2,
        ),
        (json!({"range": {"@timestamp": {"gte": "now-1h", "lt": "now/h"}}}), 200),
        (json!({"range": {"@timestamp": {"gte": "2026-04-01T00:30", "lt": "2026-04-01T00:10"}}}), 0),
        (json!({"range": {"@timestamp": {"gte": "2026-04-01T09:00", "lt": "2026-04-01T09:01", "time_zone": "+09:00"}}}), 4),
        (json!({"bool": {"must": {"match_all": {}}, "must_not": [{"term": {"user.name": "taro"}}]}}), 100),
        (json!({"bool": {"should": [{"term": {"user.name": "taro"}}, {"term": {"user.name": "jiro"}}]}}), 100),
        (json!({"bool": {"filter": [{"match_all": {}}], "should": [{"match_none": {}}]}}), 200),
        (json!({"bool": {"filter": [], "should": [{"match_none": {}}], "minimum_should_match": 1}}), 0),
        (json!({"constant_score": {"filter": {"term": {"user.name": "taro"}}, "boost": 2}}), 100),
        (json!({"bool": {"filter": {"bool": {"must_not": {"term": {"user.name": "taro"}}}}, "should": {"match_none": {}}}}), 100),
        (json!({"bool": {"should": [{"term": {"user.name": "taro"}}], "minimum_should_match": 0}}), 100),
        (json!({"query_string": {"query": "user.name:taro AND source.ip:10.0.0.0\\/24", "analyze_wildcard": true}}), 25),
        (json!({"query_string": {"query": "@timestamp:[2026-04-01T09:00 TO 2026-04-01T09:01}", "time_zone": "+09:00"}}), 4),
        (json!({"query_string": {"query": "taro hanako"}}), 200),
        (json!({"query_string": {"query": "taro hanako", "default_operator": "AND"}}), 0),
        (json!({"query_string": {"query": r"process.executable:*\\cmd.exe"}}), 20),
        (json!({"query_string": {"query": "user.name:/t[a-z]+/ -source.bytes:[0 TO 100]"}}), 66),
        (json!({"query_string": {"query": "taro", "fields": ["user.name", "message"]}}), 100),
        (json!({"simple_query_string": {"query": "\"password for\" + (taro | jiro)", "fields": ["message"]}}), 100),
    ] {
        assert_eq!(server.count(&query), count, "{query}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let server = served();
    for (body, named) in [
        (json!({"query": {"nothing": {}}}), "nothing"),
        (json!({"query": {"fuzzy": {"user.name": {"value": "tora", "fuzziness": 3}}}}), "fuzziness"),
        (json!({"query": {"fuzzy": {"source.ip": "10.0.0.1"}}}), "no address"),
        (json!({"query": {"query_string": {"query": "user.name:\"a b\"~2"}}}), "distance"),
        (json!({"query": {"more_like_this": {}}}), "more_like_this"),
        (json!({"query": {"match": {"message": {"query": "x", "surprise": 1}}}}), "surprise"),
        (json!({"query": {"query_string": {"query": "a AND ("}}}), "at character"),
        (json!({"surprise": 1}), "surprise"),
        (json!({"from": 9_999, "size": 2}), "Result window"),
        (json!({"sort": ["user.name", "source.bytes", "source.ip"]}), "third field"),
        (json!({"script_fields": {"a": {}}}), "script_fields"),
        (json!({"collapse": {"field": "user.name", "inner_hits": {}}}), "[collapse] does not support [inner_hits]"),
        (json!({"knn": {"field": "x"}}), "[knn] is not supported"),
        (json!({"slice": {"id": 2, "max": 2}}), "slice"),
        (json!({"sort": [{"_script": {"type": "number"}}]}), "[_script]"),
        (json!({"sort": [{"source.bytes": {"order": "desc", "mode": "avg"}}]}), "mode"),
        (json!({"sort": [{"source.bytes": {"order": "desc", "missing": "_first"}}]}), "missing"),
        (json!({"sort": [{"source.bytes": {"nested": {"path": "source"}}}]}), "nested"),
        (json!({"aggs": {"a": {"rare_terms": {"field": "user.name", "max_doc_count": 101}}}}), "max_doc_count"),
        (json!({"aggs": {"a": {"terms": {"field": "user.name", "include": "("}}}}), "include"),
        (
            json!({"aggs": {"a": {"terms": {"field": "user.name", "include": {"partition": 2, "num_partitions": 2}}}}}),
            "partition",
        ),
        (json!({"aggs": {"a": {"multi_terms": {"terms": [{"field": "user.name"}]}}}}), "two fields"),
        (
            json!({"aggs": {"a": {"composite": {"sources": [{"a": {"terms": {"field": "user.name"}}}], "after": {"b": 1}}}}}),
            "after",
        ),
        (
            json!({"aggs": {"a": {"composite": {"sources": [{"a": {"terms": {"field": "user.name", "missing_order": "last"}}}]}}}}),
            "missing_order",
        ),
        (json!({"aggs": {"a": {"nested": {"path": "x"}}}}), "nested"),
        (json!({"aggs": {"a": {"terms": {"field": "message"}}}}), "message"),
        (json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1x"}}}}), "interval"),
        (json!({"aggs": {"a": {"terms": {"field": "user.name", "order": {"b": "desc"}}}}}), "no such figure"),
        (json!({"query": {"range": {"@timestamp": {"gte": "yesterday"}}}}), "yesterday"),
        (json!({"query": {"match": {"message": {"query": "a b", "minimum_should_match": "2<75%"}}}}), "minimum_should_match"),
        (json!({"query": {"match": {"message": {"query": "-", "zero_terms_query": "all"}}}}), "zero_terms_query"),
        (json!({"query": {"query_string": {"query": "a b", "phrase_slop": 3}}}), "phrase_slop"),
        (json!({"query": {"query_string": {"query": "a b", "default_operator": "xor"}}}), "default_operator"),
        (json!({"query": {"match": {"message": {"query": "a b", "operator": "nor"}}}}), "operator"),
        (json!({"query": {"query_string": {"query": "a b c", "minimum_should_match": "2"}}}), "minimum_should_match"),
        (json!({"query": {"query_string": {"query": "a b", "type": "phrase"}}}), "type"),
        (json!({"query": {"query_string": {"query": "a", "time_zone": "Moon/Base"}}}), "Moon/Base"),
        (json!({"query": {"simple_query_string": {"query": "a b c", "minimum_should_match": -1}}}), "minimum_should_match"),
        (json!({"query": {"simple_query_string": {"query": "a", "flags": "AND|OR"}}}), "flags"),
        (
            json!({"query": {"wildcard": {"message": "pass*word"}}, "size": 0, "docvalue_fields": [{"field": "x", "format": "qqqq"}]}),
            "qqqq",
        ),
        (json!({"query": {"wildcard": {"message": "課?b"}}}), "cannot stand"),
        (json!({"aggs": {"a": {"derivative": {"buckets_path": "_count"}}}}), "stands within"),
        (
            json!({"aggs": {"a": {"terms": {"field": "user.name"}, "aggs": {"b": {"derivative": {"buckets_path": "_count"}}}}}}),
            "within a histogram",
        ),
        (
            json!({"aggs": {"a": {"histogram": {"field": "source.bytes", "interval": 5}, "aggs": {"b": {"derivative": {"buckets_path": "x"}}}}}}),
            "No aggregation found for path [x]",
        ),
        (json!({"aggs": {"a": {"max_bucket": {"buckets_path": "h>x"}}}}), "No aggregation found for path [h>x]"),
        (json!({"aggs": {"a": {"histogram": {"field": "source.bytes", "interval": 5, "order": {"_count": "desc"}}}}}), "order"),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h", "missing": "yesterday"}}}}),
            "missing",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h", "hard_bounds": {}}}}}),
            "hard_bounds",
        ),
        (
            json!({"aggs": {"a": {"terms": {"field": "user.name", "order": {"b.variance": "desc"}},
                "aggs": {"b": {"stats": {"field": "source.bytes"}}}}}}),
            "no such figure",
        ),
        (json!({"aggs": {"a": {"date_range": {"field": "@timestamp", "time_zone": "Moon/Base", "ranges": [{}]}}}}), "Moon/Base"),
        (json!({"aggs": {"a": {"terms": {"field": "user.name", "order": [{"_count": "desc"}, {"_key": "desc"}]}}}}), "order"),
        (json!({"aggs": {"a": {"significant_terms": {"field": "user.name", "min_doc_count": 10}}}}), "min_doc_count"),
    ] {
        let told = server.refused("/mihari/_search", &body);
        assert!(told.contains("400") && told.contains(named) && told.contains("root_cause"), "{body}: {told}");
    }
    for kind in ["normalize", "percentiles_bucket", "cumulative_cardinality", "moving_percentiles"] {
        let told = server.refused("/_search", &json!({"aggs": {"a": {kind: {"buckets_path": "_count"}}}}));
        assert!(told.contains("400") && told.contains(kind), "{told}");
    }
    let mut deep = json!({"match_all": {}});
    (0..45).for_each(|_| deep = json!({"bool": {"must": deep.clone()}}));
    assert!(server.refused("/_count", &json!({"query": deep})).contains("deep"));
    let told = server.post(&format!("{BASE}/_search"), "mih_0_0", &json!({})).expect_err("no good token");
    assert!(told.contains("401") && told.contains("security_exception"), "{told}");
    assert!(server.refused("/A%20B/_search", &json!({})).contains("invalid_index_name_exception"));
}

#[test]
fn pages_go_on_by_every_way_there_is() {
    let server = served();
    let id = |hit: &Value| hit["_id"].as_str().expect("an id").to_owned();
    let ids = |answer: &Value| answer["hits"]["hits"].as_array().expect("hits").iter().map(id).collect::<Vec<_>>();
    let sort = json!([{"@timestamp": {"order": "desc", "unmapped_type": "boolean"}}, {"_doc": {"order": "desc"}}]);
    let all = ids(&server.elastic("/_search", &json!({"size": 1000, "sort": sort})));
    assert_eq!(all.len(), 200);
    assert_eq!(ids(&server.elastic("/_search", &json!({"from": 50, "size": 7}))), all[50..57]);

    for sort in [sort.clone(), json!("@timestamp:desc"), json!({"@timestamp": "desc"})] {
        let (mut found, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"size": 60, "sort": sort});
            if !after.is_null() {
                body["search_after"] = after.clone();
            }
            let page = server.elastic("/_search", &body);
            let hits = page["hits"]["hits"].as_array().expect("hits");
            let Some(last) = hits.last() else { break };
            after = last["sort"].clone();
            found.extend(ids(&page));
        }
        assert_eq!(found, all, "{sort}");
    }
    let by_bytes = |body: Value| server.elastic("/_search", &body);
    let first = by_bytes(json!({"size": 3, "sort": [{"source.bytes": "desc"}], "_source": ["source.bytes"]}));
    assert_eq!(first["hits"]["hits"][2]["_source"], json!({"source": {"bytes": 295}}));
    assert_eq!(first["hits"]["hits"][2]["sort"], json!([295]));
    let second = by_bytes(json!({"size": 1, "sort": [{"source.bytes": "desc"}], "search_after": [295]}));
    assert_eq!(second["hits"]["hits"][0]["sort"], json!([294]));

    let mut page = server.elastic("/mihari/_search?scroll=1m&size=80", &json!({"sort": "_doc"}));
    let mut found = ids(&page);
    let scroll = page["_scroll_id"].clone();
    assert_eq!(page["hits"]["total"], json!({"value": 200, "relation": "eq"}));
    for expected in [80, 40, 0] {
        page = server.elastic("/_search/scroll", &json!({"scroll_id": scroll, "scroll": "1m"}));
        assert_eq!(ids(&page).len(), expected);
        found.extend(ids(&page));
    }
    assert_eq!(found, all);
    let theirs = server.post(&format!("{BASE}/_search/scroll"), &server.tokens[1], &json!({"scroll_id": scroll}));
    assert!(theirs.expect_err("another tenant's").contains("search_context_missing_exception"));

    let pit = server.elastic("/mihari/_pit?keep_alive=1m", &json!({}))["id"].clone();
    let page = server.elastic("/_search", &json!({"pit": {"id": pit, "keep_alive": "1m"}, "size": 150}));
    let after = page["hits"]["hits"][149]["sort"].clone();
    let rest = server.elastic("/_search", &json!({"pit": {"id": pit}, "size": 150, "search_after": after}));
    assert_eq!([ids(&page), ids(&rest)].concat(), all);
    assert_eq!(rest["pit_id"], pit);
    // Each keeps files on the disk: there may not be many.
    let told = (0..100).find_map(|_| server.post(&format!("{BASE}/x/_pit?keep_alive=1m"), &server.tokens[0], &json!({})).err());
    assert!(told.expect("refused at last").contains("429"));
}

#[test]
fn hits_are_told_as_asked() {
    let server = served();
    let body = json!({"size": 1, "query": {"ids": {"values": ["0-1-0"]}}, "sort": {"@timestamp": "desc"},
        "_source": {"excludes": ["log", "mihari", "event"]}, "docvalue_fields": [{"field": "@timestamp", "format": "epoch_millis"}],
        "fields": [{"field": "user.*"}], "script_fields": {}, "highlight": {"fields": {"*": {}}}, "track_total_hits": false});
    let answer = server.elastic("/_search", &body);
    assert!(answer["hits"].get("total").is_none());
    let hit = &answer["hits"]["hits"][0];
    assert_eq!(hit["fields"], json!({"@timestamp": ["1775001600123"], "user.name": ["hanako"]}));
    assert_eq!(hit["sort"], json!([1_775_001_600_123_i64]));
    let source = &hit["_source"];
    assert_eq!(source["source"], json!({"bytes": 0, "ip": "10.0.0.0"}));
    assert_eq!(source["@timestamp"], "2026-04-01T00:00:00.123456789Z");
    let few = server.elastic("/_search", &json!({"size": 0, "track_total_hits": 10}));
    assert_eq!(few["hits"]["total"], json!({"value": 10, "relation": "gte"}));
    let old = server.elastic("/_search?rest_total_hits_as_int=true&q=user.name:taro", &json!({"size": 0}));
    assert_eq!(old["hits"]["total"], 100);
    let one = server.get(&format!("{BASE}/mihari/_doc/0-2-0"), &server.tokens[0]).expect("there");
    assert_eq!((&one["found"], &one["_source"]["user"]["name"]), (&json!(true), &json!("taro")));
}

#[test]
fn what_was_asked_for_is_marked_in_the_hits() {
    let server = served();
    let ask = |query: Value, highlight: Value| {
        let body = json!({"query": query, "size": 1, "sort": "@timestamp", "_source": false, "highlight": highlight});
        server.elastic("/_search", &body)["hits"]["hits"][0]["highlight"].clone()
    };
    let phrase =
        json!({"bool": {"must": {"match_phrase": {"message": "password for"}}, "filter": {"term": {"user.name": "HANAKO"}}}});
    let every =
        json!({"pre_tags": ["@HIGHLIGHT@"], "post_tags": ["@/HIGHLIGHT@"], "fields": {"*": {}}, "fragment_size": 2_147_483_647});
    // Messages are told from the journal, which is not here: the clients' test marks them.
    assert_eq!(ask(phrase.clone(), every), json!({"user.name": ["@HIGHLIGHT@hanako@/HIGHLIGHT@"]}));
    let own = json!({"pre_tags": ["<b>"], "post_tags": ["</b>"], "highlight_query": {"match": {"message": "10.0.0.0"}}});
    let two = json!({"fields": [{"source.ip": own}, {"user.name.keyword": {}}]});
    assert_eq!(ask(phrase.clone(), two), json!({"source.ip": ["<b>10.0.0.0</b>"], "user.name": ["<em>hanako</em>"]}));
    assert_eq!(ask(phrase.clone(), json!({"fields": {"source.ip": {"no_match_size": 4}}})), json!({"source.ip": ["10.0"]}));
    assert_eq!(ask(json!({"match_all": {}}), json!({"fields": {"*": {}}})), Value::Null);
    for (name, highlight) in [
        ("[type]", json!({"type": "fvh", "fields": {"*": {}}})),
        ("[matched_fields]", json!({"fields": {"message": {"matched_fields": ["user.name"]}}})),
        ("[fields]", json!({})),
    ] {
        let told = server.refused("/_search", &json!({"highlight": highlight}));
        assert!(told.contains(name), "{told}");
    }
    assert!(server.refused("/_search", &json!({"aggs": {"a": {"top_hits": {"highlight": {}}}}})).contains("[highlight]"));
}

#[test]
fn of_each_value_the_first_hit_is_told() {
    let server = served();
    let ask = |body: Value| server.elastic("/_search", &body);
    let told = ask(json!({"collapse": {"field": "user.name.keyword"}, "sort": {"source.bytes": "desc"}}));
    let hits = told["hits"]["hits"].as_array().expect("hits");
    let bytes = |hits: &[Value]| hits.iter().map(|hit| hit["_source"]["source"]["bytes"].clone()).collect::<Vec<_>>();
    assert_eq!((bytes(hits), &told["hits"]["total"]["value"]), (vec![json!(298), json!(297)], &json!(200)));
    assert_eq!(hits[0]["fields"], json!({"user.name": ["taro"]}));
    // Every value once, whichever kinds they are of, and once what has none: against all hits, one by one.
    for field in ["source.ip", "own.mixed", "own.number", "own.ratio", "own.flag", "own.count", "source.bytes"] {
        let all = ask(json!({"size": 1000, "sort": {"@timestamp": "desc"}, "fields": [field]}));
        let mut seen = std::collections::BTreeSet::new();
        let mut firsts = Vec::new();
        for hit in all["hits"]["hits"].as_array().expect("hits") {
            if seen.insert(hit["fields"][field].to_string()) {
                firsts.push(hit["_id"].clone());
            }
        }
        for (from, size) in [(0, 1000), (3, 7), (0, 1)] {
            let told = ask(json!({"collapse": {"field": field}, "sort": {"@timestamp": "desc"}, "from": from, "size": size}));
            let ids: Vec<Value> = told["hits"]["hits"].as_array().expect("hits").iter().map(|hit| hit["_id"].clone()).collect();
            let expected: Vec<Value> = firsts.iter().skip(from).take(size).cloned().collect();
            assert_eq!(ids, expected, "{field}, {size} from {from}");
        }
    }
    let page = ask(json!({"collapse": {"field": "source.ip"}, "sort": {"source.ip": "asc"}, "size": 30}));
    let after = page["hits"]["hits"][29]["sort"].clone();
    let next = ask(json!({"collapse": {"field": "source.ip"}, "sort": {"source.ip": "asc"}, "size": 30, "search_after": after}));
    assert!(next["hits"]["hits"][0]["fields"]["source.ip"][0] != page["hits"]["hits"][29]["fields"]["source.ip"][0]);
    for body in [
        json!({"collapse": {"field": "message"}}),
        json!({"collapse": {"field": "user.name", "inner_hits": {"name": "x"}}}),
        json!({"collapse": {"field": "user.name"}, "sort": "@timestamp", "search_after": [0]}),
    ] {
        assert!(server.refused("/_search", &body).contains("[collapse]"), "{body}");
    }
    assert!(server.refused("/_search?scroll=1m", &json!({"collapse": {"field": "user.name"}})).contains("[collapse]"));
}

#[test]
fn parts_of_an_answer_are_told_where_they_are_asked_for() {
    let server = served();
    let told = server.elastic("/_search?filter_path=hits.hits._source.user,hits.total.value", &json!({"size": 1}));
    assert_eq!(told, json!({"hits": {"total": {"value": 200}, "hits": [{"_source": {"user": {"name": "taro"}}}]}}));
    let told = server.elastic("/_search?filter_path=-hits,-took", &json!({}));
    assert_eq!(told.as_object().expect("an object").keys().collect::<Vec<_>>(), ["timed_out", "_shards"]);
    assert!(server.refused("/_search?filter_path=took", &json!({"query": {"more_like_this": {}}})).contains("more_like_this"));
}

/// A fraction of many digits is the number nearest to it, and finds itself.
#[test]
fn fractions_are_read_exactly() {
    let server = served();
    let all = server.elastic("/_search", &json!({"size": 200, "query": {"exists": {"field": "own.ratio"}}}));
    for hit in all["hits"]["hits"].as_array().expect("hits") {
        // As it is written: reading it here might be what was wrong.
        let n = hit["_source"]["source"]["bytes"].as_u64().expect("a number") as f64;
        let body = format!(r#"{{"query": {{"bool": {{"filter": [{{"term": {{"own.ratio": {:?}}}}}]}}}}}}"#, n / 3.0);
        let told = api::client::post(&server.url(), &format!("{BASE}/_count"), &server.tokens[0], &body).expect("answered");
        assert!(told.contains(r#""count":1"#), "{body}: {told}");
    }
}

#[test]
fn an_answer_is_fetched_later() {
    let server = served();
    let body = json!({"query": {"term": {"user.name": "taro"}}, "track_total_hits": true});
    let told = server.elastic("/_async_search?wait_for_completion_timeout=10s", &body);
    assert_eq!((&told["is_running"], &told["is_partial"], told.get("id")), (&json!(false), &json!(false), None));
    assert_eq!(told["response"]["hits"]["total"]["value"], 100);
    let submit =
        || server.elastic("/mihari/_async_search?wait_for_completion_timeout=10s&keep_on_completion=true&keep_alive=5m", &body);
    let kept = submit();
    let id = kept["id"].as_str().expect("an id").to_owned();
    assert_eq!(kept["expiration_time_in_millis"], json!(kept["start_time_in_millis"].as_i64().expect("a time") + 300_000));
    let get = |path: &str, token: usize| server.get(&format!("{BASE}/_async_search/{path}"), &server.tokens[token]);
    assert_eq!(get(&id, 0).expect("there")["response"], kept["response"]);
    assert_eq!(get(&format!("status/{id}"), 0).expect("there")["completion_status"], 200);
    assert!(get(&id, 1).is_err(), "another tenant's");
    assert!(server.refused("/_search/scroll", &json!({"scroll_id": id})).contains("no scroll"));
    // What was not waited for ends all the same.
    let early = server.elastic("/_async_search?wait_for_completion_timeout=0ms&keep_on_completion=true", &body);
    let early = get(&format!("{}?wait_for_completion_timeout=10s", early["id"].as_str().expect("an id")), 0).expect("there");
    assert_eq!(early["response"]["hits"], kept["response"]["hits"]);
    let wrong = server.refused("/_async_search?wait_for_completion_timeout=10s", &json!({"query": {"more_like_this": {}}}));
    assert!(wrong.contains("[more_like_this] queries are not supported"), "{wrong}");
    let refused = (0..20)
        .find_map(|_| server.post(&format!("{BASE}/_async_search?keep_on_completion=true"), &server.tokens[0], &body).err());
    assert!(refused.expect("refused at last").contains("429"));
}

#[test]
fn what_aggregations_list_is_chosen() {
    let server = served();
    let ask = |kind: &str, body: Value| {
        server.elastic("/_search", &json!({"size": 0, "aggs": {"a": {kind: body}}}))["aggregations"]["a"].clone()
    };
    let keys = |told: &Value| -> Value {
        told["buckets"].as_array().expect("buckets").iter().map(|b| json!([b["key"], b["doc_count"]])).collect()
    };
    let terms = |body: Value| ask("terms", body);
    let told = terms(json!({"field": "user.name", "include": ["taro", "nobody"]}));
    assert_eq!((keys(&told), &told["sum_other_doc_count"]), (json!([["taro", 100]]), &json!(0)));
    assert_eq!(keys(&terms(json!({"field": "user.name", "exclude": "t.*"}))), json!([["hanako", 100]]));
    assert_eq!(keys(&terms(json!({"field": "own.count", "include": [10, 30.0, 7]}))), json!([[10, 1], [30, 1]]));
    assert_eq!(keys(&terms(json!({"field": "own.flag", "exclude": [true]}))), json!([[0, 8]]));
    assert_eq!(keys(&terms(json!({"field": "source.ip", "include": ["::ffff:10.0.0.0"]}))), json!([["10.0.0.0", 2]]));
    let part =
        |part: u32| terms(json!({"field": "source.ip", "size": 1000, "include": {"partition": part, "num_partitions": 3}}));
    let parts: Vec<Value> = (0..3).flat_map(|n| part(n)["buckets"].as_array().expect("buckets").clone()).collect();
    assert_eq!(parts.iter().filter_map(|b| b["doc_count"].as_u64()).sum::<u64>(), 200);
    let names: std::collections::BTreeSet<&str> = parts.iter().filter_map(|b| b["key"].as_str()).collect();
    assert_eq!(names.len(), parts.len());
    let rare = ask("rare_terms", json!({"field": "own.count"}));
    assert_eq!((rare["buckets"].as_array().map(Vec::len), &rare["buckets"][0]), (Some(20), &json!({"key": 0, "doc_count": 1})));
    assert_eq!(ask("rare_terms", json!({"field": "user.name", "max_doc_count": 99})), json!({"buckets": []}));
    let told =
        ask("multi_terms", json!({"terms": [{"field": "user.name"}, {"field": "own.number", "missing": "none"}], "size": 3}));
    assert_eq!(keys(&told), json!([[["hanako", "none"], 50], [["taro", "none"], 50], [["hanako", 0.5], 25]]));
    assert_eq!((&told["buckets"][0]["key_as_string"], &told["sum_other_doc_count"]), (&json!("hanako|none"), &json!(75)));
    // A number where there is none is one as any other.
    assert_eq!(keys(&terms(json!({"field": "own.number", "missing": 5}))), json!([[5, 150], [0.5, 50]]));
    assert_eq!(keys(&terms(json!({"field": "own.number", "missing": "7"}))), json!([[7, 100], [0.5, 50], [5, 50]]));
    let told = ask("histogram", json!({"field": "own.number", "interval": 10, "missing": 25}));
    assert_eq!(keys(&told), json!([[0.0, 100], [10.0, 0], [20.0, 100]]));
    for (kind, figure, with) in
        [("avg", "/value", 11.375), ("percentiles", "/values/75.0", 20.0), ("extended_stats", "/sum", 2275.0)]
    {
        let told = ask(kind, json!({"field": "own.number", "missing": "20"}));
        let value = told.pointer(figure).and_then(Value::as_f64).expect(kind);
        assert!((value - with).abs() <= 0.01 * with, "{kind}: {told}");
    }
    let told = ask("date_histogram", json!({"field": "@timestamp", "calendar_interval": "day", "missing": "2020-01-01"}));
    assert_eq!(told["buckets"].as_array().map(Vec::len), Some(1), "every event has a time");
    let ranks = ask("percentile_ranks", json!({"field": "source.bytes", "values": [-1, 0, 298]}));
    assert_eq!(ranks["values"], json!({"-1.0": 0.0, "0.0": 0.5, "298.0": 100.0}));
    // Key by key, those without a value as one of them.
    let page = |after: Value| {
        let source = json!({"n": {"terms": {"field": "own.number", "missing_bucket": true, "order": "desc"}}});
        let bands = json!({"b": {"histogram": {"field": "source.bytes", "interval": 200}}});
        let mut body = json!({"size": 3, "sources": [source, bands]});
        if !after.is_null() {
            body["after"] = after;
        }
        ask("composite", body)
    };
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let told = page(after);
        after = told["after_key"].clone();
        if after.is_null() {
            break;
        }
        all.extend(keys(&told).as_array().expect("keys").clone());
    }
    assert_eq!(
        json!(all),
        json!([
            [{"n": 5, "b": 0}, 34],
            [{"n": 5, "b": 200}, 16],
            [{"n": 0.5, "b": 0}, 33],
            [{"n": 0.5, "b": 200}, 17],
            [{"n": null, "b": 0}, 67],
            [{"n": null, "b": 200}, 33]
        ])
    );
    // What filters the hits alone leaves the aggregations be.
    let body =
        json!({"size": 3, "post_filter": {"term": {"user.name": "taro"}}, "aggs": {"u": {"terms": {"field": "user.name"}}}});
    let told = server.elastic("/_search", &body);
    assert_eq!(told["hits"]["total"]["value"], 100);
    assert!(told["hits"]["hits"].as_array().expect("hits").iter().all(|hit| hit["_source"]["user"]["name"] == "taro"));
    assert_eq!(keys(&told["aggregations"]["u"]), json!([["hanako", 100], ["taro", 100]]));
}

/// The clients with types of their own need to know what each answer is.
#[test]
fn names_tell_kinds_where_they_are_to() {
    let server = served();
    let body = json!({"size": 0, "aggs": {
        "u": {"terms": {"field": "user.name"}, "aggs": {
            "b": {"avg": {"field": "source.bytes"}},
            "s": {"bucket_script": {"buckets_path": {"x": "b"}, "script": "params.x * 2"}}}},
        "f": {"filters": {"filters": {"x": {"match_all": {}}}}, "aggs": {"d": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d"}}}},
        "m": {"missing": {"field": "own.count"}, "aggs": {"c": {"cardinality": {"field": "source.ip"}}}},
        "p": {"percentile_ranks": {"field": "source.bytes", "values": [100]}},
        "x": {"max_bucket": {"buckets_path": "u>b"}},
        "c": {"terms": {"field": "own.count", "size": 1}},
        "r": {"terms": {"field": "own.ratio", "size": 1}}}});
    let told = server.elastic("/_search?typed_keys=true", &body)["aggregations"].clone();
    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let all =
        ["sterms#u", "filters#f", "missing#m", "tdigest_percentile_ranks#p", "lterms#c", "dterms#r", "bucket_metric_value#x"];
    assert_eq!(names(&told), all);
    assert_eq!(names(&told["sterms#u"]["buckets"][0]), ["key", "doc_count", "avg#b", "simple_value#s"]);
    assert_eq!(names(&told["filters#f"]["buckets"]["x"]), ["doc_count", "date_histogram#d"]);
    assert_eq!(names(&told["missing#m"]), ["doc_count", "cardinality#c"]);
    let lines = format!("{{}}\n{body}\n");
    let text = api::client::post(&server.url(), &format!("{BASE}/_msearch?typed_keys=true"), &server.tokens[0], &lines);
    let told: Value = serde_json::from_str(&text.expect("answered")).expect("JSON");
    assert!(told["responses"][0]["aggregations"].get("sterms#u").is_some());
    // Indices are named in every way there is; what nobody knows is refused, of that search alone.
    let lines = "{\"index\":\"<logs-{now/d}>,x-*\"}\n{\"size\":\"1\"}\n{\"index\":[\"a\"],\"surprise\":1}\n{}\n";
    let text = api::client::post(&server.url(), &format!("{BASE}/_msearch"), &server.tokens[0], lines).expect("answered");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["responses"][0]["hits"]["hits"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["responses"][1]["error"]["reason"], "[_msearch] does not support [surprise]");
}

#[test]
fn single_events_values_and_slices_are_told() {
    let server = served();
    let get = |path: &str| server.get(&format!("{BASE}{path}"), &server.tokens[0]).expect(path);
    let many = server.elastic("/mihari/_mget", &json!({"ids": ["0-1-0", "0-9999-0", "x", "0-3-0"]}));
    assert_eq!(
        many["docs"].as_array().expect("docs").iter().map(|d| d["found"].clone()).collect::<Value>(),
        json!([true, false, false, false])
    );
    let one = get("/mihari/_doc/0-1-0?_source_includes=user.*,source.bytes");
    assert_eq!(one["_source"], json!({"source": {"bytes": 0}, "user": {"name": "hanako"}}));
    assert!(get("/mihari/_doc/0-1-0?_source=false").get("_source").is_none());
    assert_eq!(get("/mihari/_source/0-1-0?_source=user.name"), json!({"user": {"name": "hanako"}}));
    let values = |body: Value| server.elastic("/mihari/_terms_enum", &body)["terms"].clone();
    assert_eq!(values(json!({"field": "user.name", "string": "ha"})), json!(["hanako"]));
    assert_eq!(values(json!({"field": "user.name", "string": "TA"})), json!([]));
    assert_eq!(values(json!({"field": "user.name", "string": "TA", "case_insensitive": true})), json!(["taro"]));
    assert_eq!(values(json!({"field": "user.name", "string": "*"})), json!([]));
    assert_eq!(values(json!({"field": "user.name", "search_after": "hanako"})), json!(["taro"]));
    let valid = |query: Value| server.elastic("/mihari/_validate/query?explain=true", &json!({"query": query}));
    assert_eq!(valid(json!({"term": {"user.name": "taro"}}))["valid"], true);
    let wrong = valid(json!({"query_string": {"query": "a AND ("}}));
    assert!(wrong["valid"] == false && wrong["explanations"][0]["error"].as_str().is_some_and(|e| e.contains("at character")));
    // In the body, as newer clients have it.
    let caps = |body: Value| server.elastic("/mihari/_field_caps", &body)["fields"].clone();
    let names = |caps: Value| caps.as_object().expect("fields").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(caps(json!({"fields": "user.*,source.ip"}))), ["source.ip", "user.name"]);
    assert_eq!(names(caps(json!({"fields": ["*"], "types": ["ip"]}))), ["source.ip"]);
    assert_eq!(caps(json!({"fields": "*", "index_filter": {"term": {"user.name": "nobody"}}})), json!({}));
    let hits = |body: Value| server.elastic("/_search", &body)["hits"].clone();
    assert!(hits(json!({"size": 1, "stored_fields": []}))["hits"][0].get("_source").is_none());
    assert!(hits(json!({"size": 1, "stored_fields": ["_source"]}))["hits"][0].get("_source").is_some());
    let docvalues = json!({"size": 1, "docvalue_fields": [{"field": "source.bytes", "format": "use_field_mapping"}]});
    assert_eq!(hits(docvalues)["hits"][0]["fields"]["source.bytes"], json!([298]));
    // Sorted by instants in a format, which go on as texts.
    let sort = json!([{"@timestamp": {"order": "desc", "format": "strict_date_optional_time"}}]);
    let first = hits(json!({"size": 1, "sort": sort}))["hits"][0]["sort"].clone();
    assert_eq!(first, json!(["2026-04-01T00:49:40.123Z"]));
    let next = hits(json!({"size": 1, "sort": sort, "search_after": first}))["hits"][0]["sort"].clone();
    assert_eq!(next, json!(["2026-04-01T00:49:30.123Z"]));
    // By two fields, on and on behind the values of the last hit.
    let sort = json!([{"user.name": "desc"}, {"source.bytes": {"order": "asc"}}]);
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"size": 60, "sort": sort, "_source": false});
        if !after.is_null() {
            body["search_after"] = after;
        }
        let page = hits(body)["hits"].as_array().expect("hits").clone();
        let Some(last) = page.last() else { break };
        after = last["sort"].clone();
        all.extend(page.iter().map(|hit| hit["sort"].clone()));
    }
    let of = |name: &'static str, rest: u64| (0..300).filter(move |n| n % 3 == rest).map(move |n| json!([name, n]));
    assert_eq!(all, of("taro", 1).chain(of("hanako", 0)).collect::<Vec<_>>());
    let times = json!([{"own.number": "asc"}, {"@timestamp": {"order": "asc", "format": "epoch_millis"}}]);
    let first = hits(json!({"size": 2, "sort": times}))["hits"][1]["sort"].clone();
    assert_eq!(first, json!([0.5, (start().unix_ms() + 90_123).to_string()]));
    let next = hits(json!({"size": 1, "sort": times, "search_after": first}))["hits"][0]["sort"].clone();
    assert_eq!(next, json!([0.5, (start().unix_ms() + 130_123).to_string()]));
    // Three slices of a point in time.
    let pit = server.elastic("/mihari/_pit?keep_alive=1m", &json!({}))["id"].clone();
    let slice = |id: u32| hits(json!({"size": 200, "pit": {"id": pit}, "slice": {"id": id, "max": 3}}));
    let mut ids = std::collections::BTreeSet::new();
    for slice in (0..3).map(slice) {
        let own: Vec<&str> = slice["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["_id"].as_str()).collect();
        assert_eq!(slice["total"]["value"], own.len());
        ids.extend(own.into_iter().map(str::to_owned));
    }
    assert_eq!(ids.len(), 200);
    assert_eq!(get("/_cluster/health/mihari")["status"], "green");
    assert_eq!(get("/mihari/_settings")["mihari"]["settings"]["index"]["number_of_shards"], "1");
    let told = server.refused("/mihari/_create/7", &json!({"message": "x"}));
    assert!(told.contains("[POST /mihari/_create/7] is not supported: records are only ever added, by [_bulk]"), "{told}");
    let told = server.elastic("/mihari/_doc", &json!({"message": "x"}));
    assert_eq!((&told["_id"], &told["result"]), (&json!("0-1-0"), &json!("created")));
    assert_eq!(server.elastic("/mihari/_doc", &json!({"message": "y"}))["_id"], "0-2-0");
    assert!(server.refused("/mihari/_doc", &json!(["x"])).contains("a record is a JSON object"));
    assert!(server.refused("/_sql", &json!({})).contains("[POST /_sql] is not supported"));
}

/// What Grafana's Elasticsearch data source sends: header and body a line, several at once.
#[test]
fn searches_as_grafana_sends_them_are_answered() {
    let server = served();
    let (from, to) = (start().unix_ms(), start().plus_ns(1200 * SECOND_NS).unix_ms());
    let filter = json!([{"range": {"@timestamp": {"gte": from, "lte": to, "format": "epoch_millis"}}},
        {"query_string": {"analyze_wildcard": true, "query": "user.name:(taro OR hanako)"}}]);
    let histogram = |inner: Value| {
        json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "300000ms", "min_doc_count": 0, "format": "epoch_millis",
            "extended_bounds": {"min": from, "max": to}}, "aggs": inner})
    };
    let searches = [
        json!({"size": 0, "query": {"bool": {"filter": filter}}, "aggs": {"2": histogram(json!({}))}}),
        json!({"size": 0, "query": {"bool": {"filter": filter}}, "aggs": {"3": {
            "terms": {"field": "user.name", "size": 10, "order": {"1": "desc"}, "min_doc_count": 1, "missing": "none"},
            "aggs": {"1": {"avg": {"field": "source.bytes"}}, "2": histogram(json!({"1": {"avg": {"field": "source.bytes"}}}))}}}}),
        json!({"size": 500, "query": {"bool": {"filter": filter}}, "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "boolean"}},
            {"_doc": {"order": "desc"}}], "script_fields": {}, "highlight": {"fields": {"*": {}}, "pre_tags": ["@HIGHLIGHT@"],
            "post_tags": ["@/HIGHLIGHT@"], "fragment_size": 2_147_483_647},
            "fields": [{"field": "@timestamp", "format": "strict_date_optional_time_nanos"}], "aggs": {"1": histogram(json!({}))}}),
        json!({"size": 0, "query": {"bool": {"filter": filter}}, "aggs": {"5": {"filters": {"filters": {
            "taro": {"query_string": {"query": "user.name:taro", "analyze_wildcard": true}},
            "*": {"query_string": {"query": "*", "analyze_wildcard": true}}}}, "aggs": {"2": histogram(json!({}))}}}}),
        json!({"size": 0, "aggs": {"1": {"date_histogram": {"field": "@timestamp", "calendar_interval": "1d", "min_doc_count": 0,
            "time_zone": "Asia/Tokyo", "offset": "+6h", "format": "yyyy-MM-dd"}, "aggs": {
                "a": {"percentiles": {"field": "source.bytes", "percents": ["50", "99"]}},
                "b": {"extended_stats": {"field": "source.bytes", "sigma": 2}},
                "c": {"cardinality": {"field": "source.ip"}},
                "d": {"top_metrics": {"metrics": [{"field": "source.bytes"}], "sort": [{"@timestamp": "desc"}], "size": 1}},
                "e": {"value_count": {"field": "process.executable"}},
                "f": {"max": {"field": "@timestamp"}},
                "g": {"top_hits": {"size": 1, "_source": ["user.name"]}}}}}}),
        json!({"size": 0, "aggs": {"h": {"histogram": {"field": "source.bytes", "interval": 100, "min_doc_count": 0}},
            "r": {"range": {"field": "source.bytes", "ranges": [{"to": 100}, {"from": 100, "key": "more"}], "keyed": true}},
            "m": {"missing": {"field": "process.executable"}},
            "d": {"date_range": {"field": "@timestamp", "ranges": [{"from": "2026-04-01T00:10:00Z"}]}},
            "i": {"ip_range": {"field": "source.ip", "ranges": [{"mask": "10.0.0.0/24"}]}},
            "c": {"composite": {"size": 3, "sources": [{"u": {"terms": {"field": "user.name"}}},
                {"t": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m"}}}]}}}}),
        json!({"size": 0, "query": {"more_like_this": {}}}),
        json!({"size": 0, "aggs": {"h": {"histogram": {"field": "source.bytes", "interval": 100, "order": {"_key": "desc"}}, "aggs": {
            "t": {"top_hits": {"size": 2, "from": 1, "_source": false, "fields": ["source.bytes"]}}}}}}),
    ];
    let mut lines = String::new();
    for search in &searches {
        lines.push_str(r#"{"search_type":"query_then_fetch","ignore_unavailable":true,"index":["mihari"]}"#);
        lines.push_str(&format!("\n{search}\n"));
    }
    let path = format!("{BASE}/_msearch?max_concurrent_shard_requests=5");
    let text = api::client::post(&server.url(), &path, &server.tokens[0], &lines).expect("answered");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let answers = answer["responses"].as_array().expect("a list");
    assert_eq!(
        answers.iter().map(|a| a["status"].as_u64().expect("a status")).collect::<Vec<_>>(),
        [200, 200, 200, 200, 200, 200, 400, 200]
    );

    let buckets = answers[0]["aggregations"]["2"]["buckets"].as_array().expect("buckets");
    assert_eq!(buckets.len(), 5, "{buckets:?}");
    assert_eq!(buckets[0], json!({"key_as_string": from.to_string(), "key": from, "doc_count": 20}));
    assert_eq!(buckets.iter().map(|b| b["doc_count"].as_u64().expect("a count")).sum::<u64>(), 80);

    let users = answers[1]["aggregations"]["3"]["buckets"].as_array().expect("buckets");
    assert_eq!((&users[0]["key"], &users[1]["key"]), (&json!("taro"), &json!("hanako")));
    assert_eq!(users[0]["1"]["value"], json!(59.5));
    assert_eq!(users[0]["2"]["buckets"][0]["1"]["value"], json!(14.5));
    assert_eq!(users[0]["2"]["buckets"][4]["1"]["value"], Value::Null);

    assert_eq!(answers[2]["hits"]["hits"].as_array().map(Vec::len), Some(80));
    assert_eq!(answers[2]["hits"]["hits"][0]["fields"]["@timestamp"], json!(["2026-04-01T00:19:40.123456789Z"]));
    assert_eq!(answers[3]["aggregations"]["5"]["buckets"]["taro"]["doc_count"], 40);
    assert_eq!(answers[3]["aggregations"]["5"]["buckets"]["*"]["2"]["buckets"].as_array().map(Vec::len), Some(5));

    let day = &answers[4]["aggregations"]["1"]["buckets"][0];
    assert_eq!((&day["key_as_string"], &day["doc_count"]), (&json!("2026-04-01"), &json!(200)));
    assert!((day["a"]["values"]["50.0"].as_f64().expect("a figure") - 149.0).abs() < 3.0, "{day}");
    assert_eq!((&day["b"]["count"], &day["b"]["max"]), (&json!(200), &json!(298.0)));
    assert!(day["b"]["std_deviation_bounds"]["upper"].as_f64().expect("a bound") > 298.0);
    assert_eq!(day["d"]["top"][0]["metrics"], json!({"source.bytes": 298}));
    assert_eq!(day["e"]["value"], 20);
    assert_eq!(day["f"], json!({"value": 1_775_004_580_123.0, "value_as_string": "2026-04-01T00:49:40.123Z"}));
    let figures = json!({"a": {"min": {"field": "@timestamp", "format": "yyyy/MM/dd"}}, "b": {"stats": {"field": "@timestamp", "format": "HH:mm"}}});
    let told = server.elastic("/_search", &json!({"size": 0, "aggs": figures}))["aggregations"].clone();
    assert_eq!(told["a"], json!({"value": 1_775_001_600_123.0, "value_as_string": "2026/04/01"}));
    assert_eq!((&told["b"]["max"], &told["b"]["max_as_string"]), (&json!(1_775_004_580_123.0), &json!("00:49")));
    assert_eq!(day["g"]["hits"]["hits"][0]["_source"], json!({"user": {"name": "taro"}}));

    let found = &answers[5]["aggregations"];
    assert_eq!(found["h"]["buckets"][2], json!({"key": 200.0, "doc_count": 66}));
    assert_eq!(found["r"]["buckets"]["*-100.0"], json!({"key": "*-100.0", "to": 100.0, "doc_count": 67}));
    assert_eq!(found["r"]["buckets"]["more"]["doc_count"], 133);
    assert_eq!(found["m"]["doc_count"], 180);
    assert_eq!(found["d"]["buckets"][0]["doc_count"], 160);
    assert_eq!(found["i"]["buckets"][0]["doc_count"], 50);
    assert_eq!(found["c"]["buckets"][0]["key"], json!({"u": "hanako", "t": from}));
    let mut composite = searches[5]["aggs"]["c"].clone();
    composite["composite"]["after"] = found["c"]["after_key"].clone();
    let next = server.elastic("/_search", &json!({"size": 0, "aggs": {"c": composite}}));
    assert_eq!(next["aggregations"]["c"]["buckets"][0]["key"]["t"], json!(from + 3 * 600_000));
    assert_eq!(answers[6]["error"]["type"], "illegal_argument_exception");
    let last = &answers[7]["aggregations"]["h"]["buckets"][0];
    assert_eq!((&last["key"], &last["doc_count"]), (&json!(200.0), &json!(66)));
    assert_eq!(last["t"]["hits"]["total"], json!({"value": 66, "relation": "eq"}));
    let fields: Vec<&Value> = last["t"]["hits"]["hits"].as_array().expect("hits").iter().map(|hit| &hit["fields"]).collect();
    assert_eq!(json!(fields), json!([{"source.bytes": [297]}, {"source.bytes": [295]}]));
}

/// What a dashboard computes from buckets: as Grafana names its aggregations, by number, also within other buckets.
#[test]
fn what_is_computed_from_buckets_is_told_with_them() {
    let server = served();
    let inner = json!({
        "1": {"sum": {"field": "source.bytes"}},
        "3": {"derivative": {"buckets_path": "1", "unit": "1m"}},
        "4": {"cumulative_sum": {"buckets_path": "_count", "format": "0"}},
        "5": {"moving_fn": {"buckets_path": "1", "window": "2", "script": "MovingFunctions.unweightedAvg(values)", "shift": 1}},
        "6": {"bucket_script": {"buckets_path": {"a": "1", "n": "_count"}, "script": "params.a / params.n"}},
        "7": {"serial_diff": {"buckets_path": "3", "lag": 1}},
    });
    let histogram =
        json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "10m", "min_doc_count": 0}, "aggs": inner});
    let body = json!({"size": 0, "aggs": {
        "2": histogram,
        "8": {"terms": {"field": "user.name", "size": 2, "order": {"_key": "asc"}}, "aggs": {"2": histogram}},
        "9": {"max_bucket": {"buckets_path": "2>1"}},
        "10": {"stats_bucket": {"buckets_path": "8._count"}},
        "12": {"top_hits": {"size": 1, "sort": [{"@timestamp": {"order": "asc"}}], "_source": ["source.bytes"]}},
        "13": {"top_metrics": {"metrics": {"field": "source.bytes"}, "sort": {"@timestamp": "asc"}}},
        "11": {"filters": {"filters": {"all": {"match_all": {}}, "few": {"term": {"source.bytes": 3}}}},
            "aggs": {"chosen": {"bucket_selector": {"buckets_path": {"n": "_count"}, "script": "params.n > 10"}}}},
    }});
    let told = server.elastic("/_search", &body)["aggregations"].clone();
    let column = |told: &Value, name: &str| -> Value {
        told["2"]["buckets"]
            .as_array()
            .expect("buckets")
            .iter()
            .map(|b| b[name].get("value").cloned().unwrap_or(json!("-")))
            .collect()
    };
    // Of sixty numbers in a row forty are the tenant's, 60 more from bucket to bucket.
    let sums: Vec<f64> = (0..5).map(|n| f64::from((60 * n..60 * n + 60).filter(|n| n % 3 != 2).sum::<i32>())).collect();
    assert_eq!(column(&told, "1"), json!(sums));
    assert_eq!(column(&told, "3"), json!(["-", 2400.0, 2400.0, 2400.0, 2400.0]));
    assert_eq!(told["2"]["buckets"][1]["3"]["normalized_value"], json!(240.0));
    assert_eq!(column(&told, "4"), json!([40.0, 80.0, 120.0, 160.0, 200.0]));
    assert_eq!(column(&told, "5"), json!([sums[0], sums[0] + 1200.0, sums[1] + 1200.0, sums[2] + 1200.0, sums[3] + 1200.0]));
    assert_eq!(column(&told, "6"), json!(sums.iter().map(|sum| sum / 40.0).collect::<Vec<_>>()));
    assert_eq!(column(&told, "7"), json!(["-", "-", 0.0, 0.0, 0.0]));
    let users = told["8"]["buckets"].as_array().expect("buckets");
    assert_eq!((&users[0]["key"], column(&users[0], "4")), (&json!("hanako"), json!([20.0, 40.0, 60.0, 80.0, 100.0])));
    assert_eq!(told["9"], json!({"value": sums[4], "keys": ["2026-04-01T00:40:00.000Z"]}));
    assert_eq!((&told["10"]["count"], &told["10"]["avg"]), (&json!(2), &json!(100.0)));
    assert_eq!(told["12"]["hits"]["hits"][0]["_source"], json!({"source": {"bytes": 0}}));
    assert_eq!(told["13"]["top"][0]["metrics"], json!({"source.bytes": 0}));
    assert_eq!(told["11"]["buckets"], json!({"all": {"doc_count": 200}}));
}

#[test]
fn what_clients_ask_first_is_answered() {
    let server = served();
    let get = |path: &str| server.get(&format!("{BASE}{path}"), &server.tokens[0]).expect(path);
    for root in ["", "/"] {
        assert!(get(root)["version"]["number"].as_str().is_some_and(|v| v.starts_with("8.")));
    }
    assert_eq!(get("/_cluster/health?wait_for_status=yellow")["status"], "green");
    let caps = get("/mihari/_field_caps?fields=source.*,message");
    assert_eq!(caps["fields"]["source.ip"]["ip"]["aggregatable"], true);
    assert_eq!(caps["fields"]["message"]["text"]["aggregatable"], false);
    assert!(caps["fields"].get("user.name").is_none());
    let caps = get("/mihari/_field_caps?fields=own.*");
    let kinds: Vec<(&String, &String)> = caps["fields"]
        .as_object()
        .expect("fields")
        .iter()
        .filter_map(|(n, k)| Some((n, k.as_object()?.keys().next()?)))
        .collect();
    assert_eq!(
        json!(kinds),
        json!([
            ["own.count", "long"],
            ["own.flag", "boolean"],
            ["own.mixed", "keyword"],
            ["own.number", "double"],
            ["own.ratio", "double"]
        ])
    );
    let mapping = get("/mihari/_mapping");
    assert_eq!(mapping["mihari"]["mappings"]["properties"]["source"]["properties"]["ip"]["type"], "ip");
    assert_eq!(
        get("/mihari/_mapping/field/@timestamp")["mihari"]["mappings"]["@timestamp"]["mapping"]["@timestamp"]["type"],
        "date"
    );
    assert_eq!(get("/_cat/indices?format=json")[0]["docs.count"], "200");
    assert_eq!(get("/_cat/count?format=json&h=count"), json!([{"count": "200"}]));
    assert_eq!(get("/_resolve/index/*")["indices"][0]["name"], "mihari");
    assert_eq!(get("/_aliases"), json!({"mihari": {"aliases": {}}}));
    assert_eq!(get("/_search?q=user.name:jiro")["hits"]["total"]["value"], 0, "another tenant's");
    let time: Time = "2026-04-01T00:00:00Z".parse().expect("a time");
    assert_eq!(time, start());
}
