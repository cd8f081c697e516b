//! The audit trail: what a rule said on a day, who changed what, what was in force, and that nobody alters it unseen.

use std::sync::atomic::Ordering;

use api::{Limits, Tally};
use serde_json::{Value, json};

use super::server::{SECOND_NS, Server, start};
use super::{alert, id_of};

/// Rules of these ids, each looking for a word.
fn rules_of(rules: &[(&str, &str)]) -> rules::RuleSet {
    let text = |(id, word): &(&str, &str)| {
        format!("title: {id}\nid: {id}\nlogsource: {{category: any}}\ndetection:\n  k: ['{word}']\n  condition: k\n")
    };
    let text = rules.iter().map(text).collect::<Vec<_>>().join("---\n");
    let files = [("rules".to_owned(), text)];
    let (set, problems) = rules::load(if rules.is_empty() { &[] } else { &files }, &rules::LoadOptions::default());
    assert_eq!(problems, []);
    set
}

/// What a rule said is there for each time, and whoever changes it behind the database's back is found.
#[test]
fn an_auditor_reads_what_a_rule_said_on_that_day() {
    let server = Server::start(Limits::default());
    let (store, token) = (&server.store, &server.tokens[0]);
    let said = |id: &str, at: &str| server.get(&format!("/api/v1/audit/rules/{id}?at={at}"), token);
    let texts = |id: &str, at: &str| said(id, at).expect("in force")["texts"].clone();
    assert!(said("r1", "").expect_err("nothing is in force").contains("404"));
    store.rules_in_force("aa", rules_of(&[("r1", "one"), ("r2", "two")]).written(), 1, "at the start").expect("recorded");
    let then = start();
    server.clock.0.fetch_add(3600 * SECOND_NS, Ordering::Relaxed);
    let filter = "title: F\nlogsource: {category: any}\nfilter:\n  rules: [r2]\n  f: [quiet]\n  condition: not f\n";
    let narrowed =
        format!("title: r2\nid: r2\nlogsource: {{category: any}}\ndetection:\n  k: ['two']\n  condition: k\n---\n{filter}");
    let (set, _) = rules::load(&[("rules".to_owned(), narrowed)], &rules::LoadOptions::default());
    store.rules_in_force("bb", set.written(), 42, "test").expect("recorded");
    let trail = |parameters: &str| server.get(&format!("/api/v1/audit?{parameters}"), token).expect("read");
    let record = &trail("what=rules")["records"][0]["record"];
    assert_eq!([&record["changed"]["ids"], &record["removed"]["ids"]], [&json!(["r2"]), &json!(["r1"])]);
    let then = then.to_string();
    assert!(texts("r1", &then)[0]["text"].as_str().expect("a text").contains("['one']"));
    assert_eq!(texts("r2", &then).as_array().expect("a list").len(), 1);
    let now = texts("r2", "");
    assert!(now[0]["text"].as_str().expect("a text").contains("['two']"), "as it was written");
    assert!(now[1]["text"].as_str().expect("a text").contains("condition: not f"), "and what narrows it");
    assert!(said("r1", "").expect_err("it is gone").contains("404"));
    assert!(said("r1", "2000-01-01").expect_err("before all").contains("404"));
    let found = trail("texts=true")["texts"].clone();
    assert_eq!((&found["count"], &found["broken"]), (&json!(5), &json!([])), "three texts, each once, and two lists");
    let database = rusqlite::Connection::open(server.dir.path().join("mihari.sqlite")).expect("opens");
    for change in ["UPDATE audit_text SET bytes = 1", "DELETE FROM audit_text"] {
        assert!(database.execute(change, []).is_err(), "{change}");
    }
    database
        .execute_batch(
            "DROP TRIGGER audit_text_is_fixed; DROP TRIGGER audit_text_is_kept; CREATE TABLE kept AS SELECT * FROM audit_text",
        )
        .expect("whoever has the file");
    let one = texts("r1", &then)[0]["sha256"].as_str().expect("a hash").to_owned();
    let list = record["texts"].as_str().expect("a hash").to_owned();
    for (hash, change) in [
        (&one, "UPDATE audit_text SET zstd = (SELECT zstd FROM kept WHERE sha256 != '?' LIMIT 1) WHERE sha256 = '?'"),
        (&one, "UPDATE audit_text SET zstd = x'00' WHERE sha256 = '?'"),
        (&one, "DELETE FROM audit_text WHERE sha256 = '?'"),
        (&list, "DELETE FROM audit_text WHERE sha256 = '?'"),
    ] {
        database.execute_batch(&change.replace('?', hash)).expect("changed");
        let found = trail("texts=true");
        assert_eq!(found["texts"]["broken"], json!([hash]), "{change}");
        assert_eq!(found["intact"], json!(true), "the records are as they were");
        database.execute_batch("DELETE FROM audit_text; INSERT INTO audit_text SELECT * FROM kept").expect("as it was");
        assert_eq!(trail("texts=true")["texts"]["broken"], json!([]));
    }
}

/// Who has changed what by which token.
#[test]
fn the_audit_trail_has_every_change_that_a_person_makes() {
    let server = Server::start(Limits::default());
    let token = server.tokens[0].clone();
    let id = id_of(&token);
    let search = |query: &str| json!({"name": "failures", "query": query});
    let saved = server.post("/api/v1/searches", &token, &search("a")).expect("saved");
    let path = format!("/api/v1/searches/{}", saved["id"].as_str().expect("an id"));
    let send = |method: &str, version: &str, body: &Value| server.send(method, &path, &token, Some(version), body).0;
    assert_eq!(send("PUT", "\"1\"", &search("b")), 200);
    assert_eq!(send("DELETE", "\"2\"", &json!({})), 200);
    server.apply(1, &[alert(0, "a1")], &[], &mut Tally::default());
    let close = json!({"action": "close", "disposition": "benign", "comment": "a test"});
    server.post("/api/v1/alerts/a1/actions", &token, &close).expect("closed");
    let export = |token: &str| {
        let whole = super::asked(&server, "GET /api/v1/export?query=failed", token);
        assert!(whole.contains("\"manifest\""), "{whole}");
        // It is recorded once it has been sent.
        while server.get("/api/v1/audit?what=exported", token).expect("read")["records"] == json!([]) {
            std::thread::yield_now();
        }
    };
    export(&token);
    export(&server.tokens[1]);
    server.store.journal_removed(2, (1, 99), "age", 7).expect("recorded");
    server.store.shards_dropped(1, 3, start()).expect("recorded");
    let trail = server.get("/api/v1/audit", &token).expect("read");
    let records = trail["records"].as_array().expect("a list").iter().map(|one| &one["record"]);
    let told: Vec<Value> =
        records.map(|one| json!([one["what"], one["by_token"], one["before"]["query"], one["after"]["query"]])).collect();
    let expected = [
        json!(["journal_removed", null, null, null]),
        json!(["exported", id, null, null]),
        json!(["alert_action", id, null, null]),
        json!(["saved_search", id, "b", null]),
        json!(["saved_search", id, "a", "b"]),
        json!(["saved_search", id, null, "a"]),
        json!(["token_made", null, null, null]),
    ];
    assert_eq!(told, expected, "and nothing of the other tenant's shards");
    let exported = &trail["records"][1]["record"];
    assert_eq!(json!([exported["query"], exported["count"], exported["complete"]]), json!(["failed", 0, true]));
    assert_eq!(exported["sha256"].as_str().map(str::len), Some(64));
}

/// Who changed what, and what was in force since when; each tenant sees its own and what is of all.
#[test]
fn the_audit_trail_tells_what_was_in_force_and_who_changed_it() {
    let server = Server::start(Limits::default());
    let [mine, theirs] = server.tokens.clone();
    let store = &server.store;
    let (first, second) = (rules_of(&[("r1", "one"), ("r2", "two")]), rules_of(&[("r2", "two, changed"), ("r3", "three")]));
    store.rules_in_force("aa", first.written(), 1, "at the start").expect("recorded");
    store.rules_in_force("aa", first.written(), 7, "at the start").expect("as before");
    store.rules_in_force("bb", second.written(), 42, "test").expect("recorded");
    store.policy_in_force("cc", "zones: {}", 7, "at the start, from policy.yaml").expect("recorded");
    store.policy_in_force("cc", "zones: {}", 7, "at the start, from policy.yaml").expect("as before");
    let body = json!({"mode": "off", "comment": "too loud"}).to_string();
    api::client::patch(&server.url(), "/api/v1/rules/rule%2F1", &mine, &body).expect("set");
    let second = store.create_token("second", 0, 30).expect("a token");
    for _ in 0..2 {
        server.post(&format!("/api/v1/tokens/{}/revoke", id_of(&second)), &mine, &json!({})).expect("revoked");
    }
    let trail = |token: &str, parameters: &str| server.get(&format!("/api/v1/audit?{parameters}"), token).expect("read");
    let told = |trail: &Value| -> Vec<Value> {
        let records = trail["records"].as_array().expect("a list").iter();
        records
            .map(|one| json!([one["record"]["what"], one["record"]["by"], one["record"]["before"], one["record"]["after"]]))
            .collect()
    };
    let all = trail(&mine, "");
    assert_eq!((&all["intact"], &all["broken_at"], &all["before"]), (&json!(true), &Value::Null, &Value::Null));
    let both = [
        json!(["policy", "at the start, from policy.yaml", null, "cc"]),
        json!(["rules", "test", "aa", "bb"]),
        json!(["rules", "at the start", null, "aa"]),
    ];
    let own = [
        json!(["token_revoked", "test", null, null]),
        json!(["token_made", "on the machine", null, null]),
        json!(["rule_mode", "test", null, "off"]),
    ];
    let made = [json!(["token_made", "on the machine", null, null])];
    assert_eq!(told(&all), [&own[..], &both[..], &made[..]].concat());
    assert_eq!(told(&trail(&theirs, "")), [&both[..], &made[..]].concat(), "a tenant sees nothing of another");
    assert_eq!(trail(&mine, "what=policy")["records"][0]["record"]["from_offset"], 7);
    let rules = &trail(&mine, "what=rules&size=1");
    let record = &rules["records"][0]["record"];
    assert_eq!((&record["from_offset"], &record["rules"], &record["at"]), (&json!(42), &json!(2), &json!(start())));
    let named = |what: &str| record[what]["ids"].clone();
    assert_eq!([named("added"), named("removed"), named("changed")], [json!(["r3"]), json!(["r1"]), json!(["r2"])]);
    assert_eq!(told(&trail(&mine, &format!("what=rules&before={}", rules["before"]))), [both[2].clone()]);
    assert!(server.get("/api/v1/audit?what=nothing", &mine).expect_err("no such kind").contains("400"));
}

/// The database refuses to change the trail; whoever does it behind the database's back is found.
#[test]
fn an_audit_record_that_was_altered_is_found() {
    let server = Server::start(Limits::default());
    for (n, set) in ["aa", "bb", "cc", "dd"].iter().enumerate() {
        server.store.rules_in_force(set, rules_of(&[]).written(), n as u64, "test").expect("recorded");
    }
    let broken = || server.get("/api/v1/audit", &server.tokens[0]).expect("read")["broken_at"].clone();
    assert_eq!(broken(), Value::Null);
    let database = rusqlite::Connection::open(server.dir.path().join("mihari.sqlite")).expect("opens");
    for change in ["UPDATE audit SET body = '{}'", "DELETE FROM audit"] {
        assert!(database.execute(change, []).is_err(), "{change}");
    }
    database
        .execute_batch("DROP TRIGGER audit_is_fixed; DROP TRIGGER audit_is_kept; CREATE TABLE kept AS SELECT * FROM audit")
        .expect("whoever has the file");
    for change in [
        "UPDATE audit SET body = replace(body, 'bb', 'xx') WHERE seq = 4",
        "UPDATE audit SET tenant = 1 WHERE seq = 4",
        "UPDATE audit SET body = 'no JSON' WHERE seq = 4",
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET seq = 100 WHERE seq = 3",
    ] {
        database.execute_batch(change).expect("changed");
        assert_eq!(broken(), 4, "{change}");
        database.execute_batch("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").expect("as it was");
        assert_eq!(broken(), Value::Null);
    }
}
