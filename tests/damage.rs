//! A damaged shard of the index ends nothing: records are collected and found, answers say what they lack, and one command builds it anew.
#![expect(clippy::disallowed_methods, reason = "a test waits for conditions by the clock")]

mod program;

use program::{Service, program, wait_for};
use serde_json::json;

/// Enough for a shard each: commits come by time, and close one that holds this many.
const RECORDS: usize = 200;
const SHARDS: usize = 4;

fn post(service: &Service, shard: usize) {
    let line = |n: usize| format!("<38>Apr  1 09:00:00 gate app: shard-{shard} number {n}");
    let lines: Vec<String> = (0..RECORDS).map(line).collect();
    api::client::post(&service.api, "/api/v1/ingest", &service.token, &lines.join("\n")).expect("taken");
    service.hits(&format!("shard-{shard}"), RECORDS as u64);
}

/// A page that tells how the service is.
fn page(service: &Service, path: &str) -> String {
    std::io::read_to_string(api::client::stream(&service.api, path, &[], &service.token).expect(path)).expect("text")
}

#[test]
fn a_damaged_shard_ends_nothing_and_is_mended_by_one_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let more = format!("index: {{shard_events: {RECORDS}}}\n");
    let service = Service::start(dir.path(), &more);
    (0..SHARDS).for_each(|shard| post(&service, shard));
    service.stop();
    let index = dir.path().join("data/index/tenant-0");
    let mut shards: Vec<_> = std::fs::read_dir(&index).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    shards.sort();
    assert!(shards.len() >= SHARDS, "{shards:?}");
    std::fs::write(shards[1].join("meta.json"), "").expect("written");
    let config = dir.path().join("mihari.yaml");
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let config = config.to_str().expect("text");
    let data = dir.path().join("data");
    let (code, told) = run(&["serve", "--check", "--config", config]);
    assert!(code == Some(0) && told.contains("mihari reindex"), "a warning, for the service starts: {told}");
    let (code, told) = run(&["verify", data.to_str().expect("text")]);
    assert!(code == Some(1) && told.contains("mihari reindex") && told.contains("link fits"), "{told}");

    let service = Service::start(dir.path(), &more);
    post(&service, SHARDS);
    let answer = service.search("number");
    assert_eq!((&answer["complete"], &answer["total"]), (&json!(false), &json!(SHARDS * RECORDS)), "{}", answer["incomplete"]);
    let lacks = answer["incomplete"].as_array().expect("reasons");
    let why = lacks.iter().find(|lack| lack["code"] == "missing").expect("one that is it")["detail"].to_string();
    assert!(why.contains("mihari reindex"), "{why}");
    let missing = service.get("/api/v1/stats")["index_missing"].clone();
    assert_eq!(missing.as_array().map(Vec::len), Some(1), "{missing}");
    assert!(!missing.to_string().contains("meta.json"), "no place on the disk is told to whoever searches: {missing}");
    let asked = |path: &str, body: serde_json::Value| service.post(&format!("/api/v1/_elastic{path}"), &body);
    let found = asked("/_search?scroll=1m", json!({"size": 300, "query": {"match": {"message": "number"}}})).expect("answered");
    assert_eq!((&found["timed_out"], &found["_shards"]["failed"]), (&json!(false), &json!(1)), "{found}");
    assert!(found["_shards"]["failures"][0]["reason"]["reason"].to_string().contains("mihari reindex"), "{found}");
    let (mut told, mut page_of) = (Vec::new(), found);
    while let Some(hits) = page_of["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
        told.extend(hits.iter().map(|hit| hit["_id"].to_string()));
        assert!(told.len() <= SHARDS * RECORDS, "no page comes again");
        page_of = asked("/_search/scroll", json!({"scroll_id": page_of["_scroll_id"]})).expect("answered");
    }
    assert_eq!(told.len(), SHARDS * RECORDS);
    let counted = asked("/_count", json!({"query": {"match": {"message": "number"}}})).expect("answered");
    assert_eq!((&counted["count"], &counted["_shards"]["failed"]), (&json!(SHARDS * RECORDS), &json!(1)));
    let whole = asked("/_search?allow_partial_search_results=false", json!({"size": 0}));
    assert!(whole.expect_err("it is refused").to_string().contains("503"));
    assert_eq!(service.get("/api/v1/_elastic/_cluster/health")["status"], "red");
    assert!(page(&service, "/readyz").starts_with("degraded: 1 missing"));
    assert!(page(&service, "/metrics").contains("mihari_index_missing_parts 1"));
    service.stop();

    let (code, told) = run(&["reindex", "--config", config]);
    assert!(code == Some(0) && told.contains(&format!("{RECORDS} events are indexed anew")), "{told}");
    assert_eq!(run(&["verify", data.to_str().expect("text")]).0, Some(0));
    let service = Service::start(dir.path(), &more);
    for shard in 0..=SHARDS {
        assert_eq!(service.search(&format!("shard-{shard}"))["total"], json!(RECORDS), "{shard}");
    }
    let answer = wait_for("a commit", || Some(service.search("number")).filter(|answer| answer["complete"] == true));
    assert_eq!((&answer["total"], answer.get("incomplete")), (&json!((SHARDS + 1) * RECORDS), None));
    assert_eq!(page(&service, "/readyz"), "ok\n");
    service.stop();

    assert_eq!(run(&["reindex", "--all", "--config", config]).0, Some(0));
    // As long as the first commit is not due, nothing is searchable.
    let service = Service::start(dir.path(), "index: {commit_ms: 5000}\n");
    let answer = service.search("number");
    assert_eq!((&answer["complete"], &answer["incomplete"][0]["code"]), (&json!(false), &json!("behind")), "{answer}");
    let [journal, indexed] = ["journal_position", "indexed_position"].map(|name| answer[name].as_u64().expect("a position"));
    assert!(indexed == 0 && journal > (RECORDS * SHARDS) as u64, "{answer}");
    assert!(service.get("/api/v1/stats")["behind_ms"].is_u64());
    let found = service.post("/api/v1/_elastic/_search", &json!({"size": 0})).expect("answered");
    assert_eq!((&found["timed_out"], &found["mihari"]["incomplete"][0]["code"]), (&json!(false), &json!("behind")), "{found}");
    let total = wait_for("all of it", || Some(service.search("number")).filter(|answer| answer["complete"] == true));
    assert_eq!(total["total"], json!((SHARDS + 1) * RECORDS));
    service.stop();
}

/// A journal that was put back from a copy, or lost its newest segments, ends before what the rest knows: what comes then must not pass for known.
#[test]
fn what_comes_after_the_end_of_the_journal_was_lost_is_analysed() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    (0..2).for_each(|shard| post(&service, shard));
    service.stop();
    let journal = dir.path().join("data/journal");
    std::fs::remove_dir_all(&journal).expect("removed");
    let service = Service::start(dir.path(), "");
    post(&service, 2);
    let hit = service.search("shard-2 AND number")["hits"][0].clone();
    assert!(hit["raw"].as_str().is_some_and(|raw| raw.contains("shard-2")), "{hit}");
    let days = wait_for("the ledger", || {
        let days = service.get("/api/v1/ledger")["days"].clone();
        let received: u64 = days.as_array()?.iter().filter_map(|day| day["received"].as_u64()).sum();
        (received == 3 * RECORDS as u64).then_some(days)
    });
    assert!(days.is_array());
    let old = service.search("shard-1")["hits"][0].clone();
    assert_eq!((&old["raw_gone"], &old["raw"]), (&json!(true), &json!("")), "{old}");
    service.stop();
    let output = program().arg("verify").arg(dir.path().join("data")).output().expect("runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && told.contains("are missing"), "{told}");
}
