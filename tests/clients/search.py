"""The clients of Elasticsearch and OpenSearch against a running service: search.py URL TOKEN"""

import base64
import sys
import time

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError, AuthenticationException
from elasticsearch import helpers as elastic_helpers
from opensearchpy import OpenSearch
from opensearchpy import helpers as open_helpers

URL, TOKEN = sys.argv[1] + "/api/v1/_elastic", sys.argv[2]
COUNT = 2500


def records(prefix, count):
    for n in range(count):
        yield {
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600 + n)),
            "message": f"{prefix} record {n} of ログ",
            "user": {"name": f"user{n % 10}"},
            "source": {"ip": f"10.1.{n % 7}.{n % 250}", "bytes": n},
        }


def elasticsearch():
    packed = base64.b64encode(f"id:{TOKEN}".encode()).decode()
    for options in ({"api_key": TOKEN}, {"api_key": packed}, {"bearer_auth": TOKEN}, {"basic_auth": ("mihari", TOKEN)}):
        assert Elasticsearch(URL, **options).info()["version"]["number"].startswith("8.")
    try:
        Elasticsearch(URL, api_key="wrong").info()
        raise AssertionError("a wrong key opens nothing")
    except AuthenticationException as error:
        assert error.body["error"]["type"] == "security_exception"
    client = Elasticsearch(URL, api_key=TOKEN, request_timeout=60)
    assert Elasticsearch(URL, api_key=TOKEN, http_compress=True).count(index="logs", query={"match_none": {}})["count"] == 0
    assert client.ping() and client.cluster.health(wait_for_status="yellow")["status"] == "green"
    assert client.indices.create(index="logs")["acknowledged"] and client.indices.exists(index="logs")
    actions = ({"_index": "logs", "_op_type": "create", "_source": record} for record in records("alpha", COUNT))
    assert elastic_helpers.bulk(client, actions, chunk_size=500, refresh="wait_for") == (COUNT, [])
    client.indices.refresh(index="logs")
    query = {"match": {"message": "alpha"}}
    assert client.count(index="logs", query=query)["count"] == COUNT
    found = client.search(index="logs", query=query, size=5, sort=[{"@timestamp": "desc"}], track_total_hits=True)
    assert found["hits"]["total"] == {"value": COUNT, "relation": "eq"}, found["hits"]["total"]
    hit = found["hits"]["hits"][0]
    assert hit["_source"]["user"]["name"] == "user9" and hit["_source"]["source"]["bytes"] == COUNT - 1, hit
    assert "alpha record" in hit["_source"]["event"]["original"]
    assert client.get(index="logs", id=hit["_id"])["_source"]["source"]["bytes"] == COUNT - 1
    assert client.search(index="logs", query={"ids": {"values": [hit["_id"]]}})["hits"]["hits"][0]["_id"] == hit["_id"]
    scanned = [hit["_source"]["source"]["bytes"] for hit in elastic_helpers.scan(client, index="logs", query={"query": query})]
    assert sorted(scanned) == list(range(COUNT))
    pit = client.open_point_in_time(index="logs", keep_alive="1m")["id"]
    after, seen = None, []
    while True:
        options = {"search_after": after} if after else {}
        page = client.search(pit={"id": pit, "keep_alive": "1m"}, query=query, size=999, sort=[{"source.bytes": "asc"}], **options)
        if not page["hits"]["hits"]:
            break
        seen += [hit["_source"]["source"]["bytes"] for hit in page["hits"]["hits"]]
        after = page["hits"]["hits"][-1]["sort"]
    assert seen == list(range(COUNT))
    assert client.close_point_in_time(id=pit)["num_freed"] == 1
    aggs = {
        "users": {"terms": {"field": "user.name", "size": 3}, "aggs": {"bytes": {"sum": {"field": "source.bytes"}}}},
        "ips": {"cardinality": {"field": "source.ip"}},
        "hours": {"date_histogram": {"field": "@timestamp", "calendar_interval": "1h", "time_zone": "Asia/Tokyo"}},
    }
    told = client.search(index="logs", query=query, size=0, aggs=aggs)["aggregations"]
    assert [b["doc_count"] for b in told["users"]["buckets"]] == [COUNT // 10] * 3
    assert told["users"]["buckets"][0]["bytes"]["value"] == sum(range(0, COUNT, 10))
    assert told["ips"]["value"] == len({(n % 7, n % 250) for n in range(COUNT)})
    assert sum(b["doc_count"] for b in told["hours"]["buckets"]) == COUNT
    many = client.msearch(searches=[{"index": "logs"}, {"query": query, "size": 0}, {}, {"query": {"more_like_this": {}}}])
    assert [r["status"] for r in many["responses"]] == [200, 400]
    caps = client.field_caps(index="logs", fields="user.name,source.*")["fields"]
    assert "keyword" in caps["user.name"]
    assert client.terms_enum(index="logs", field="user.name", string="user1")["terms"] == ["user1"]
    assert client.get_source(index="logs", id=hit["_id"], source_includes="user.name") == {"user": {"name": "user9"}}
    assert [doc["found"] for doc in client.mget(index="logs", ids=[hit["_id"], "x"])["docs"]] == [True, False]
    two = {"sort": [{"user.name": "desc"}, {"source.bytes": "asc"}], "query": query, "size": 3}
    page = client.search(index="logs", **two)["hits"]["hits"]
    assert [hit["sort"] for hit in page] == [["user9", 9], ["user9", 19], ["user9", 29]], page
    assert client.search(index="logs", search_after=page[-1]["sort"], **two)["hits"]["hits"][0]["sort"] == ["user9", 39]
    assert client.indices.validate_query(index="logs", query=query)["valid"]
    parts = [elastic_helpers.scan(client, index="logs", query={"query": query, "slice": {"id": n, "max": 3}}) for n in range(3)]
    assert sorted(hit["_source"]["source"]["bytes"] for part in parts for hit in part) == list(range(COUNT))
    aggs = {"users": {"terms": {"field": "user.name", "include": ["user1", "user2"]}}, "pairs": {"multi_terms": {"terms": [{"field": "user.name"}, {"field": "source.ip"}]}}}
    told = client.search(index="logs", query=query, size=0, aggs=aggs, typed_keys=True, post_filter={"term": {"user.name": "user3"}})
    assert told["hits"]["total"]["value"] == COUNT // 10, told["hits"]
    assert [b["doc_count"] for b in told["aggregations"]["sterms#users"]["buckets"]] == [COUNT // 10] * 2, told
    assert len(told["aggregations"]["multi_terms#pairs"]["buckets"]) == 10, told
    assert "ip" in caps["source.ip"] and client.indices.get_mapping(index="logs")["mihari"]
    assert int(client.cat.indices(format="json")[0]["docs.count"]) >= COUNT
    assert int(client.cat.count(format="json")[0]["count"]) >= COUNT
    for query, count in (
        ({"match": {"message": {"query": "alpha nothing none", "minimum_should_match": "-2"}}}, COUNT),
        ({"match": {"message": {"query": "alpha nothing none", "minimum_should_match": "67%"}}}, 0),
        ({"wildcard": {"message": "*ログ*"}}, COUNT),
        ({"match_phrase": {"message": "ｏｆ ﾛｸﾞ"}}, COUNT),
        ({"regexp": {"message": "ALPH."}}, COUNT),
        ({"regexp": {"message": "alpha .*ログ"}}, COUNT),
        ({"fuzzy": {"user.name": {"value": "usre1", "fuzziness": 1}}}, COUNT // 10),
        ({"match_phrase": {"message": {"query": "alpha of", "slop": 2}}}, COUNT),
        ({"wildcard": {"message": "*alpha*ログ*"}}, COUNT),
    ):
        assert client.count(index="logs", query=query)["count"] == count, query
    aggs = {"by": {"histogram": {"field": "source.bytes", "interval": 1000, "order": {"_key": "desc"}}, "aggs": {"hits": {"top_hits": {"size": 1, "from": 2}}}}}
    buckets = client.search(index="logs", size=0, aggs=aggs)["aggregations"]["by"]["buckets"]
    assert [b["key"] for b in buckets] == [2000, 1000, 0], buckets
    assert buckets[0]["hits"]["hits"]["hits"][0]["_source"]["source"]["bytes"] == COUNT - 3
    rates = {"d": {"derivative": {"buckets_path": "_count"}}, "m": {"moving_fn": {"buckets_path": "_count", "window": 2, "script": "MovingFunctions.sum(values)"}}}
    aggs = {"by": {"histogram": {"field": "source.bytes", "interval": 1000}, "aggs": rates}, "most": {"max_bucket": {"buckets_path": "by>_count"}}}
    told = client.search(index="logs", query={"match": {"message": "alpha"}}, size=0, aggs=aggs)["aggregations"]
    assert [b.get("d", {}).get("value") for b in told["by"]["buckets"]] == [None, 0, -500], told
    assert [b["m"]["value"] for b in told["by"]["buckets"]] == [0, 1000, 2000] and told["most"]["value"] == 1000, told
    page = client.search(index="logs", query={"match": {"message": "alpha"}}, size=1, sort="source.bytes", highlight={"fields": {"message": {}}}, filter_path="hits.hits.highlight,hits.hits._id")
    assert page["hits"]["hits"][0]["highlight"]["message"] == ["<em>alpha</em> record 0 of ログ"] and len(page["hits"]["hits"][0]) == 2, page
    page = client.search(index="logs", query={"match": {"message": "alpha"}}, collapse={"field": "user.name"}, sort="source.bytes", size=50)
    assert [hit["fields"]["user.name"][0] for hit in page["hits"]["hits"]] == [f"user{n}" for n in range(10)], page
    later = client.async_search.submit(index="logs", query={"match": {"message": "alpha"}}, size=0, track_total_hits=True, wait_for_completion_timeout="0ms", keep_on_completion=True)
    told = client.async_search.get(id=later["id"], wait_for_completion_timeout="10s")
    assert not told["is_running"] and told["response"]["hits"]["total"]["value"] == COUNT, told
    assert client.async_search.status(id=later["id"])["completion_status"] == 200
    assert client.async_search.delete(id=later["id"])["acknowledged"]
    added = client.index(index="logs", document={"@timestamp": "2026-04-01T00:00:00Z", "message": "gamma", "ratio": 2.7235432924727814}, refresh=True)
    assert added["result"] == "created" and client.get(index="logs", id=added["_id"])["_source"]["message"] == "gamma", added
    assert client.count(index="logs", query={"term": {"ratio": 2.7235432924727814}})["count"] == 1
    for name, body in (
        ("fuzziness", {"query": {"match": {"message": {"query": "alpha", "fuzziness": 5}}}}),
        ("minimum_should_match", {"query": {"query_string": {"query": "a b c", "minimum_should_match": 2}}}),
        ("order", {"aggs": {"a": {"histogram": {"field": "source.bytes", "interval": 5, "order": {"_count": "asc"}}}}}),
        ("moving_fn", {"aggs": {"a": {"moving_fn": {"buckets_path": "_count", "window": 3, "script": "MovingFunctions.max(values)"}}}}),
        ("normalize", {"aggs": {"a": {"normalize": {"buckets_path": "_count", "method": "mean"}}}}),
    ):
        try:
            client.search(index="logs", **body)
            raise AssertionError(f"{name} is refused")
        except BadRequestError as error:
            assert f"[{name}]" in str(error), error
    for refused, kind in ((lambda: client.search(query={"more_like_this": {"like": "b"}}), BadRequestError), (lambda: client.get(index="a", id="x"), NotFoundError), (lambda: client.async_search.get(id=later["id"]), NotFoundError), (lambda: client.index(index="logs", id="own", document={}), ApiError)):
        try:
            refused()
            raise AssertionError("it is refused")
        except kind:
            pass
    print("elasticsearch: done")


def opensearch():
    # As their documentation has it: every body is sent packed.
    client = OpenSearch(URL, http_auth=("mihari", TOKEN), http_compress=True, timeout=60)
    assert client.info()["version"]["number"]
    actions = ({"_index": "logs", "_source": record} for record in records("beta", 700))
    assert open_helpers.bulk(client, actions, refresh=True) == (700, [])
    query = {"query": {"query_string": {"query": "beta AND user.name:user1"}}}
    assert client.count(index="logs", body=query)["count"] == 70
    assert len(client.search(index="logs", body=query, size=100)["hits"]["hits"]) == 70
    assert len(list(open_helpers.scan(client, index="logs", query=query, size=30))) == 70
    pit = client.create_pit(index="logs", params={"keep_alive": "1m"})["pit_id"]
    body = {**query, "pit": {"id": pit, "keep_alive": "1m"}, "size": 40}
    first = client.search(body=body)["hits"]["hits"]
    rest = client.search(body={**body, "search_after": first[-1]["sort"]})["hits"]["hits"]
    assert len({hit["_id"] for hit in first + rest}) == 70
    assert client.delete_pit(body={"pit_id": [pit]})["pits"][0]["successful"]
    assert "mihari" in client.cat.indices() and client.cat.indices(format="json")[0]["index"] == "mihari"
    page = client.search(index="logs", body=query, scroll="1m", size=50)
    assert len(client.scroll(scroll_id=page["_scroll_id"], scroll="1m")["hits"]["hits"]) == 20
    assert client.clear_scroll(scroll_id=page["_scroll_id"])["succeeded"]
    print("opensearch: done")


elasticsearch()
opensearch()
