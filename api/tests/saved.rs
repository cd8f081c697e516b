//! Saved searches: nobody's change is lost, tenants are apart; scheduled ones search each window of receive time once, over restarts, and
//! never fail in silence.

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::{Destination, Limits};
use event::{Batch, BatchBuilder, Clock, Content, FieldId, FrameHead, LogRange, Position, TenantId, Time, Transport};
use serde_json::{Value, json};
use server::{SECOND_NS, Server, start};

const MINUTE_NS: i64 = 60 * SECOND_NS;

/// Records of the first tenant, each received so many seconds after the start and of this user; their own clocks are a day behind.
fn batch(first: u64, records: &[(i64, &str)]) -> Batch {
    let mut builder = BatchBuilder::default();
    for (n, (second, user)) in records.iter().enumerate() {
        let received = start().plus_ns(second * SECOND_NS);
        let head = FrameHead {
            position: Position { partition: 0, offset: first + n as u64 },
            received,
            tenant: TenantId(0),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, "failed login");
        row.time(received.plus_ns(-86_400 * SECOND_NS));
        row.text(FieldId::USER_NAME, user);
    }
    let last = first + records.len() as u64 - 1;
    builder.finish(LogRange { partition: 0, first, last }, start())
}

fn text(name: &str, schedule: &Value) -> Value {
    json!({"name": name, "query": "failed", "range": "now-1h", "columns": ["user.name"], "sort": "-user.name", "schedule": schedule})
}

fn schedule(condition: &str, count: u64, group_by: Option<&str>) -> Value {
    json!({"every_minutes": 5, "condition": condition, "count": count, "group_by": group_by, "level": "high", "title": "失敗が多い",
        "message": "確認すること"})
}

fn at(minute: i64) -> Time {
    start().plus_ns(minute * MINUTE_NS)
}

fn alerts(server: &Server) -> Vec<Value> {
    let all = server.get("/api/v1/alerts?status=open", &server.tokens[0]).expect("listed");
    let mut all = all["alerts"].as_array().expect("a list").clone();
    all.sort_by_key(|alert| alert["window_start"].as_str().map(str::to_owned));
    all
}

fn one(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/searches/{id}"), &server.tokens[0]).expect("there")
}

fn save(server: &Server, text: &Value) -> String {
    let (status, tag, saved) = server.send("POST", "/api/v1/searches", &server.tokens[0], None, text);
    assert_eq!((status, tag.as_deref()), (200, Some("\"1\"")), "{saved}");
    saved["id"].as_str().expect("an id").to_owned()
}

/// A record received and released so many seconds after the start.
fn released(offset: u64, received: i64, released: i64) -> Batch {
    let at = |second: i64| start().plus_ns(second * SECOND_NS);
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset };
    let head = FrameHead { position, received: at(received), ..FrameHead::new(Transport::Udp, Content::Text) };
    builder.row(&head, 0, "failed login").value(FieldId::RELEASED, event::Value::Time(at(released)));
    builder.finish(LogRange { partition: 0, first: offset, last: offset }, at(released))
}

/// Also where a window is searched long after it was over, with releases since.
#[test]
fn what_is_released_from_quarantine_is_counted_in_the_window_of_its_release() {
    let server = Server::start(Limits::default());
    let id = save(&server, &text("failures", &schedule(">=", 1, None)));
    // The window before the search was saved, then two more; released records of the first, the second, and both the same.
    server.index(&batch(1, &[(-100, "a"), (10, "b"), (400, "c")]));
    server.index(&released(11, -90, 20));
    server.index(&released(12, -80, 410));
    server.index(&released(13, 30, 420));
    server.index(&released(14, 40, 50));
    server.scheduler(at(10), server.clock.clone(), &[]).run_due().expect("runs");
    let runs = server.get(&format!("/api/v1/searches/{id}/runs"), &server.tokens[0]).expect("listed");
    let matched: Vec<&Value> = runs["runs"].as_array().expect("a list").iter().map(|run| &run["matched"]).collect();
    assert_eq!(matched, [&json!(3), &json!(3), &json!(1)], "newest first: {runs}");
}

#[test]
fn a_change_that_has_not_seen_the_last_one_is_refused() {
    let server = Server::start(Limits::default());
    let [ours, theirs] = server.tokens.clone();
    let id = save(&server, &text("mine", &Value::Null));
    let path = format!("/api/v1/searches/{id}");
    let saved = one(&server, &id);
    for (member, value) in
        [("name", json!("mine")), ("owner", json!("test")), ("sort", json!("-user.name")), ("state", Value::Null)]
    {
        assert_eq!(saved[member], value, "{saved}");
    }
    let put = |seen: Option<&str>, name: &str| server.send("PUT", &path, &ours, seen, &text(name, &Value::Null));
    assert_eq!(put(None, "x").0, 428);
    assert_eq!(put(Some("x"), "x").0, 400);
    let (status, tag, changed) = put(Some("\"1\""), "renamed");
    assert_eq!((status, tag.as_deref(), &changed["name"]), (200, Some("\"2\""), &json!("renamed")));
    let (status, _, problem) = put(Some("\"1\""), "lost");
    assert_eq!((status, &problem["code"]), (412, &json!("changed_meanwhile")));
    assert_eq!(server.send("DELETE", &path, &ours, Some("\"1\""), &Value::Null).0, 412);
    // Another tenant sees and changes nothing.
    assert_eq!(server.get("/api/v1/searches", &theirs).expect("listed")["searches"], json!([]));
    for (method, seen) in [("GET", None), ("PUT", Some("\"2\"")), ("DELETE", Some("\"2\""))] {
        assert_eq!(server.send(method, &path, &theirs, seen, &text("x", &Value::Null)).0, 404, "{method}");
    }
    assert_eq!(server.send("GET", &format!("{path}/runs"), &theirs, None, &Value::Null).0, 404);
    // A name stands for one search, in each tenant.
    let create = |token: &str, body: &Value| server.send("POST", "/api/v1/searches", token, None, body);
    assert_eq!(create(&ours, &text("renamed", &Value::Null)).0, 400);
    assert_eq!(create(&theirs, &text("renamed", &Value::Null)).0, 200);
    assert_eq!(server.send("DELETE", &path, &ours, Some("\"2\""), &Value::Null).0, 200);
    assert_eq!(server.send("GET", &path, &ours, None, &Value::Null).0, 404);
}

#[test]
fn what_makes_no_sense_is_refused_and_there_are_only_so_many() {
    let server = Server::start(Limits::default());
    let token = &server.tokens[0];
    let refused = |member: &str, value: Value| {
        let mut body = text("x", &schedule(">", 1, None));
        match member.strip_prefix("schedule.") {
            Some(inner) => body["schedule"][inner] = value,
            None => body[member] = value,
        }
        let (status, _, problem) = server.send("POST", "/api/v1/searches", token, None, &body);
        assert_eq!(status, 400, "{member}: {problem}");
        problem
    };
    assert_eq!(refused("query", json!("a:("))["position"], 3);
    for (member, value) in [
        ("name", json!(" ")),
        ("name", json!("x".repeat(201))),
        ("range", json!("2026-04-01")),
        ("range", json!("now-1q")),
        ("columns", json!(vec!["x"; 21])),
        ("more", json!(1)),
        ("schedule.every_minutes", json!(0)),
        ("schedule.every_minutes", json!(1441)),
        ("schedule.condition", json!("!=")),
        ("schedule.level", json!("fatal")),
        ("schedule.title", json!("x".repeat(201))),
        ("schedule.message", json!("x".repeat(4001))),
        ("schedule.group_by", json!("")),
        ("schedule.group_by", json!("message")),
    ] {
        refused(member, value);
    }
    // What would never alert.
    for never in [
        schedule("none", 0, Some("user.name")),
        schedule("<", 0, None),
        schedule("<", 1, Some("user.name")),
        schedule("=", 0, Some("user.name")),
    ] {
        let (status, _, problem) = server.send("POST", "/api/v1/searches", token, None, &text("x", &never));
        assert_eq!((status, problem["code"].as_str()), (400, Some("bad_schedule")), "{never}");
    }
    // What a schedule needs is when, and what it alerts for; it is called as its search.
    let id = save(&server, &json!({"name": "short", "schedule": {"every_minutes": 5, "condition": "none"}}));
    let saved = one(&server, &id);
    assert_eq!((&saved["schedule"]["title"], &saved["schedule"]["level"]), (&json!("short"), &json!("medium")), "{saved}");
    for n in 1..100 {
        save(&server, &text(&format!("s{n}"), &schedule(">", 1, None)));
    }
    let (status, _, problem) = server.send("POST", "/api/v1/searches", token, None, &text("x", &schedule(">", 1, None)));
    assert_eq!((status, problem["detail"].as_str()), (400, Some("100 scheduled searches at most")));
    save(&server, &text("not scheduled", &Value::Null));
}

/// Events at every border of the windows, a program that begins anew before each look, and looks at arbitrary times.
#[test]
fn every_event_is_counted_in_one_window_over_restarts() {
    let records = [
        (-301, "early"),
        (-300, "a"),
        (-1, "b"),
        (0, "c"),
        (299, "d"),
        (300, "e"),
        (301, "f"),
        (601, "g"),
        (1199, "h"),
        (1200, "i"),
    ];
    let server = Server::with(Limits::default(), &[batch(1, &records)]);
    let id = save(&server, &text("all", &schedule(">", 1_000_000, None)));
    let mut ran = 0;
    for minute in [-1, 0, 0, 3, 4, 5, 5, 9, 20, 20, 24] {
        server.clock.0.store(at(minute).unix_ns(), Ordering::Relaxed);
        ran += server.scheduler(at(minute), server.clock.clone(), &[]).run_due().expect("runs");
        assert_eq!(server.scheduler(at(minute), server.clock.clone(), &[]).run_due().expect("runs"), 0, "at {minute}: again");
    }
    assert_eq!(ran, 5);
    let runs = server.get(&format!("/api/v1/searches/{id}/runs"), &server.tokens[0]).expect("listed");
    let mut runs: Vec<(String, String, i64)> = runs["runs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| {
            let text = |name: &str| run[name].as_str().expect("a time").to_owned();
            (text("window_start"), text("window_end"), run["matched"].as_i64().expect("a number"))
        })
        .collect();
    runs.reverse();
    assert_eq!(runs.iter().map(|run| run.2).collect::<Vec<_>>(), [2, 2, 2, 1, 1]);
    assert_eq!(runs[0].0, at(-5).to_string());
    assert!(runs.windows(2).all(|two| two[0].1 == two[1].0), "{runs:?}");
    let state = &one(&server, &id)["state"];
    assert_eq!((&state["is"], &state["next_run"]), (&json!("waiting"), &json!(at(25))));
    assert_eq!(state["last_run"]["window_end"], json!(at(20)));
    assert_eq!(alerts(&server), Vec::<Value>::new());
}

#[test]
fn a_condition_that_holds_alerts_once_and_repeats_fold() {
    let destinations = [Destination {
        name: "chat".to_owned(),
        tenant: 0,
        slack_webhook: "http://127.0.0.1:9/".to_owned(),
        language: "ja".to_owned(),
    }];
    let server = Server::with(
        Limits::default(),
        &[batch(1, &[(1, "a"), (2, "a"), (3, "b"), (400, "a"), (401, "a"), (9000, "a"), (9001, "a")])],
    );
    let id = save(&server, &text("many", &schedule(">=", 2, Some("user.name"))));
    let run = |minute: i64| {
        server.clock.0.store(at(minute).unix_ns(), Ordering::Relaxed);
        server.scheduler(at(minute), server.clock.clone(), &destinations).run_due().expect("runs")
    };
    assert_eq!(run(5), 2);
    let found = alerts(&server);
    assert_eq!(found.len(), 1, "{found:?}");
    let first = &found[0];
    let wanted = json!({"id": id, "title": "失敗が多い", "level": "high", "tags": [], "kind": "search"});
    assert_eq!((&first["rule"], &first["group"], &first["count"]), (&wanted, &json!({"user.name": "a"}), &json!(1)));
    assert_eq!((&first["window_start"], &first["last"]), (&json!(at(0)), &json!(at(5))));
    assert_eq!(first["evidence"], json!(["0-2-0", "0-1-0"]), "the newest first");
    assert_eq!(first["explanation"]["count"], "2");
    assert_eq!(first["meaning"]["und"], "確認すること");
    let path = format!("/api/v1/alerts/{}", first["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path, &server.tokens[0]).expect("there")["deliveries"].as_array().map(Vec::len), Some(1));
    let by_rule = [("user.name", "a")].into_iter().collect();
    assert_eq!(first["id"], rules::alert::alert_id(0, &id, &by_rule, at(0)), "told from tenant, search, group and window alone");
    // The next window folds into it; what comes hours later is another one.
    run(10);
    let folded = alerts(&server);
    assert_eq!((folded.len(), &folded[0]["id"], &folded[0]["count"]), (1, &first["id"], &json!(2)));
    assert_eq!(folded[0]["evidence"].as_array().map(Vec::len), Some(4));
    run(155);
    assert_eq!(alerts(&server).len(), 2);
    // Whoever deletes the search keeps its alerts.
    let (status, _, _) = server.send("DELETE", &format!("/api/v1/searches/{id}"), &server.tokens[0], Some("\"1\""), &Value::Null);
    assert_eq!((status, alerts(&server).len()), (200, 2));
}

#[test]
fn each_condition_means_what_it_says() {
    let users: Vec<String> = (0..150).map(|n| format!("u{n}")).collect();
    let mut records: Vec<(i64, &str)> = vec![(1, "one"), (2, "two"), (2, "two"), (3, "three"), (3, "three"), (3, "three")];
    records.extend(users.iter().map(|user| (301, user.as_str())));
    let server = Server::with(Limits::default(), &[batch(1, &records)]);
    server.clock.0.store(at(5).unix_ns(), Ordering::Relaxed);
    let ask = |query: &str, schedule: &Value| {
        let body = json!({"query": query, "schedule": schedule});
        let (status, _, found) = server.send("POST", "/api/v1/searches/try", &server.tokens[0], None, &body);
        assert_eq!(status, 200, "{found}");
        found
    };
    let holds = |condition: &str, count: u64| ask("failed", &schedule(condition, count, None))["alerts"] != json!([]);
    let held: Vec<bool> = [(">", 5), (">", 6), (">=", 6), (">=", 7), ("=", 6), ("=", 5), ("<", 7), ("<", 6)]
        .iter()
        .map(|(c, n)| holds(c, *n))
        .collect();
    assert_eq!(held, [true, false, true, false, true, false, true, false]);
    assert_eq!(ask("nothing", &schedule("none", 0, None))["alerts"], json!([{"group": {}, "count": 0}]));
    assert_eq!(ask("failed", &schedule("none", 0, None))["alerts"], json!([]));
    let groups = |condition: &str, count: u64| {
        let found = ask("failed", &schedule(condition, count, Some("user.name")));
        let mut names: Vec<String> =
            found["alerts"].as_array().expect("a list").iter().map(|a| a["group"]["user.name"].to_string()).collect();
        names.sort();
        names.join(" ").replace('"', "")
    };
    assert_eq!(groups(">", 1), "three two");
    assert_eq!(groups("=", 2), "two");
    assert_eq!(groups("<", 3), "one two");
    assert_eq!(groups(">=", 1), "one three two");
    // More groups than are told: said, and none of them alerts without bound.
    let id = save(&server, &text("each", &schedule(">=", 1, Some("user.name"))));
    server.clock.0.store(at(10).unix_ns(), Ordering::Relaxed);
    server.scheduler(at(10), server.clock.clone(), &[]).run_due().expect("runs");
    let last = &one(&server, &id)["state"]["last_run"];
    assert_eq!((&last["matched"], &last["alerts"], &last["beyond"]), (&json!(150), &json!(100), &json!(true)));
    assert_eq!(server.get("/api/v1/alerts?size=500", &server.tokens[0]).expect("listed")["total"], 103);
}

/// A clock by which every look takes a second: nothing is done in time.
struct Hasty(AtomicI64);

impl Clock for Hasty {
    fn now(&self) -> Time {
        Time::from_unix_ns(self.0.fetch_add(20 * SECOND_NS, Ordering::Relaxed))
    }
}

#[test]
fn a_search_that_fails_says_so_and_its_window_is_searched_later() {
    let server = Server::with(Limits::default(), &[batch(1, &[(-1, "a")])]);
    let id = save(&server, &text("slow", &schedule(">=", 1, None)));
    let hasty = Arc::new(Hasty(AtomicI64::new(start().unix_ns())));
    let failing = server.scheduler(at(0), hasty, &[]);
    // It waits a minute between two tries, which the hasty clock passes.
    assert_eq!((failing.run_due().expect("told"), failing.run_due().expect("told")), (1, 1));
    let state = one(&server, &id)["state"].clone();
    assert_eq!((&state["is"], &state["next_run"]), (&json!("failing"), &json!(at(0))), "{state}");
    assert!(state["error"].as_str().is_some_and(|error| error.contains("within 10 s")), "{state}");
    let told = alerts(&server);
    assert_eq!((told.len(), &told[0]["group"]), (1, &json!({"state": "failing"})));
    assert_eq!((&state["attempts"], &told[0]["count"]), (&json!(2), &json!(2)), "each try folds");
    // Once it can be searched, nothing has been passed over.
    server.clock.0.store(at(60).unix_ns(), Ordering::Relaxed);
    assert_eq!(server.scheduler(at(0), server.clock.clone(), &[]).run_due().expect("runs"), 1);
    let state = one(&server, &id)["state"].clone();
    assert_eq!(
        (&state["is"], &state["failing_since"], &state["last_run"]["matched"]),
        (&json!("waiting"), &Value::Null, &json!(1))
    );
    assert_eq!(alerts(&server).len(), 2);
}

/// A change while a run is under way: what it found was asked by another question.
#[test]
fn a_schedule_that_is_changed_goes_on_where_it_was() {
    let server = Server::with(Limits::default(), &[batch(1, &[(1, "a"), (301, "a")])]);
    let id = save(&server, &text("first", &schedule(">", 100, None)));
    let run = |minute| server.scheduler(at(minute), server.clock.clone(), &[]).run_due().expect("runs");
    assert_eq!(run(5), 2);
    let mut body = text("first", &schedule(">=", 1, None));
    body["schedule"]["every_minutes"] = json!(1);
    let path = format!("/api/v1/searches/{id}");
    assert_eq!(server.send("PUT", &path, &server.tokens[0], Some("\"1\""), &body).0, 200);
    assert_eq!(one(&server, &id)["state"]["window_start"], json!(at(5)));
    assert_eq!(run(7), 2);
    assert_eq!(alerts(&server).len(), 1);
    body["schedule"] = Value::Null;
    assert_eq!(server.send("PUT", &path, &server.tokens[0], Some("\"2\""), &body).0, 200);
    assert_eq!((run(60), &one(&server, &id)["state"]), (0, &Value::Null));
}
