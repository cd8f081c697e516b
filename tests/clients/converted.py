"""Rules converted by Sigma's own tools to queries, against our engine with the same rules on the same events.

converted.py URL TOKEN RULES CORPUS SCRATCH PROGRAM [--lines N] [--every N]

Every rule is converted twice: to Lucene's syntax and to a DSL body (Elasticsearch's backend), and to OpenSearch's. The queries count in
the service's index; our engine counts with `rules list --over`. What differs is printed with its reason.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import urllib.request

import yaml
from elasticsearch import Elasticsearch, BadRequestError
from sigma.backends.elasticsearch import LuceneBackend
from sigma.backends.opensearch import OpensearchLuceneBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import AddConditionTransformation, FieldMappingTransformation

parser = argparse.ArgumentParser()
for name in ("url", "token", "rules", "corpus", "scratch", "program"):
    parser.add_argument(name)
parser.add_argument("--lines", type=int, default=1 << 30)
parser.add_argument("--every", type=int, default=1)
args = parser.parse_args()

MAPPING = yaml.safe_load((pathlib.Path(__file__).parents[2] / "rules/mapping.yaml").read_text())


def candidates(field, source):
    """The event fields that our engine looks at for a rule's field, in its order."""
    found, prefixes = [field], []
    for scope in MAPPING:
        if all(source.get(part) == value for part, value in scope["scope"].items()):
            found += scope.get("fields", {}).get(field, [])
            prefixes += [scope["prefix"]] if "prefix" in scope else []
    found += [prefix + field for prefix in prefixes]
    return list(dict.fromkeys(found))


def fields_of(value):
    """The names of fields in a detection."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name.split("|")[0]
            yield from fields_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields_of(inner)


def load_events():
    lines = subprocess.run(["zstdcat", args.corpus], check=True, capture_output=True).stdout.splitlines()[: args.lines]
    capture = pathlib.Path(args.scratch, "corpus.ndjson")
    capture.write_bytes(b"\n".join(lines) + b"\n")
    for start in range(0, len(lines), 5000):
        body = b"\n".join(lines[start : start + 5000])
        request = urllib.request.Request(args.url + "/api/v1/ingest", data=body, headers={"Authorization": f"Bearer {args.token}"})
        urllib.request.urlopen(request).read()
    return capture, len(lines)


def main():
    capture, lines = load_events()
    rules = {}
    for path in sorted(pathlib.Path(args.rules).rglob("*.yml"))[:: args.every]:
        for document in yaml.safe_load_all(path.read_text()):
            if document and "detection" in document and "logsource" in document:
                rules[str(document["id"])] = document
    folder = pathlib.Path(args.scratch, "rules")
    folder.mkdir()
    for name, document in rules.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(json.loads(json.dumps(document, default=str)), sort_keys=False, allow_unicode=True))
    # It says with its status that rules were refused, which are counted below.
    listed = subprocess.run([args.program, "rules", "list", str(folder), "--over", str(capture), "--json"], capture_output=True)
    assert listed.returncode in (0, 1), listed.stderr.decode()
    ours = {line["id"]: line["matches"] for line in map(json.loads, listed.stdout.splitlines())}
    client = Elasticsearch(args.url + "/api/v1/_elastic", api_key=args.token, request_timeout=60)
    client.indices.refresh(index="mihari")
    assert client.count()["count"] >= lines, (client.count()["count"], lines)

    table, refused, same, hits = [], collections.Counter(), 0, 0
    for name, document in rules.items():
        if name not in ours:
            refused["our engine refuses the rule"] += 1
            continue
        source = {k: v for k, v in document["logsource"].items() if k in ("product", "category", "service")}
        names = {n for key, value in document["detection"].items() if key != "condition" for n in fields_of(value)}
        mapping = {n: candidates(n, source) for n in names if n}
        items = [
            ProcessingItem(FieldMappingTransformation({n: f[0] if len(f) == 1 else f for n, f in mapping.items()})),
            ProcessingItem(AddConditionTransformation({f"mihari.log_source.{part}": value for part, value in source.items()})),
        ]
        try:
            pipeline = ProcessingPipeline(name="mihari", items=items)
            query = LuceneBackend(pipeline).convert(SigmaCollection.from_dicts([document]))[0]
            body = LuceneBackend(pipeline).convert(SigmaCollection.from_dicts([document]), "dsl_lucene")[0]
            other = OpensearchLuceneBackend(pipeline).convert(SigmaCollection.from_dicts([document]))[0]
        except (SigmaError, NotImplementedError) as error:
            refused[f"the converter refuses the rule: {str(error).split('.')[0][:80]}"] += 1
            continue
        try:
            found = [
                client.count(query={"query_string": {"query": query, "analyze_wildcard": True}})["count"],
                client.search(query=body["query"], size=0, track_total_hits=True)["hits"]["total"]["value"],
                client.count(query={"query_string": {"query": other, "analyze_wildcard": True}})["count"],
            ]
        except BadRequestError as error:
            table.append((name, document["title"], ours[name], None, reason_refused(error), query))
            continue
        hits += ours[name]
        if found == [ours[name]] * 3:
            same += 1
        else:
            table.append((name, document["title"], ours[name], found, reason(client, query, ours[name]), query))
    print(f"rules: {len(rules)}, the same: {same}, hits of the engine: {hits}, events: {lines}")
    for why, count in refused.most_common():
        print(f"  {count} {why}")
    for name, title, mine, found, why, query in table:
        print(f"{name} | {title[:60]} | engine {mine} | queries {found} | {why or 'UNEXPLAINED ' + query[:1500]}")
    print(f"different: {len(table)}, unexplained: {sum(1 for row in table if row[4] is None)}")


def reason_refused(error):
    return "refused: " + str(error.body["error"]["reason"])[:150]


def reason(client, query, mine):
    """Why the query finds something else; None where nothing is known. What is said to be the reason is tried."""
    # Lucene's regular expressions match a whole value, Sigma's any part of one; the converter takes them over as they are.
    parts = re.sub(r":/((?:[^/\\]|\\.)*)/", r":/.*(\1).*/", query)
    if parts != query:
        found = client.count(query={"query_string": {"query": parts, "analyze_wildcard": True}})["count"]
        if found == mine:
            return "Lucene's regular expressions match the whole value; with .* on both sides the hits are the same"
    return None


main()
