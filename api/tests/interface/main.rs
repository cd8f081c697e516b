//! The HTTP interface over real sockets: tokens that end, tenants apart, counts that stay bounded, a store that keeps nobody waiting, and
//! clients that dawdle.

mod audit;
mod room;
#[path = "../server/mod.rs"]
mod server;
mod sources;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};

use api::{Destination, Limits, Notifier, Store, Tally};
use event::{BatchBuilder, Clock, Content, FieldId, FrameHead, LogRange, Position, TenantId, Transport};
use rules::alert::{Alert, AlertChange, AlertRule, ByLanguage};
use rules::{Mode, Modes};
use serde_json::{Value, json};
use server::{SECOND_NS, Server, Standing, start};

fn id_of(token: &str) -> String {
    token.split('_').nth(1).expect("an id").to_owned()
}

fn alert(tenant: u32, id: &str) -> AlertChange {
    let rule = AlertRule { id: "r".into(), title: "t".into(), level: "high".into(), tags: Vec::new(), kind: "sigma".into() };
    AlertChange::New(Alert {
        id: id.to_owned(),
        tenant,
        rule: rule.into(),
        title: ByLanguage::default(),
        meaning: ByLanguage::default(),
        first_steps: ByLanguage::default(),
        false_positives: ByLanguage::default(),
        clause: None,
        group: Default::default(),
        window_start: start(),
        first: start(),
        last: start(),
        count: 1,
        evidence: Vec::new(),
        fields: Default::default(),
        explanation: BTreeMap::new(),
    })
}

/// Three devices behind one relay, whose clocks go wrong, and one that sends by itself.
#[test]
fn neighbours_of_a_record_are_of_its_device_in_the_order_of_the_log() {
    let mut builder = BatchBuilder::default();
    let senders = [("web-1", "192.0.2.9"), ("web-2", "192.0.2.9"), ("", "192.0.2.9"), ("web-1", "192.0.2.10")];
    for n in 0..40_u64 {
        let (host, address) = senders[n as usize % 4];
        let head = FrameHead {
            position: Position { partition: 0, offset: n + 1 },
            received: start(),
            source: Some(format!("{address}:514").parse().expect("an address")),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, "up");
        row.time(start().plus_ns((n as i64 * 7 % 13 - 6) * SECOND_NS));
        if !host.is_empty() {
            row.text(FieldId::HOST_NAME, host);
        }
        if host == "web-1" {
            row.text(FieldId::OBSERVER_NAME, if n % 8 == 0 { "a" } else { "b" });
        }
    }
    let batch = builder.finish(LogRange { partition: 0, first: 1, last: 40 }, start());
    let server = Server::with(Limits::default(), &[batch]);
    for (id, expected) in [
        ("0-17-0", vec![9, 13, 17, 21, 25]),
        ("0-2-0", vec![2, 6, 10]),
        ("0-40-0", vec![32, 36, 40]),
        ("0-3-0", vec![1, 2, 3, 5, 6]),
    ] {
        let answer = server.get(&format!("/api/v1/events/{id}/context?before=2&after=2"), &server.tokens[0]).expect("answered");
        let ids: Vec<&str> =
            answer["events"].as_array().expect("a list").iter().map(|e| e["id"].as_str().expect("an id")).collect();
        assert_eq!(ids, expected.iter().map(|n| format!("0-{n}-0")).collect::<Vec<_>>(), "{id}");
        assert_eq!(answer["complete"], true);
    }
}

#[test]
fn a_revoked_token_opens_nothing_from_then_on() {
    let server = Server::start(Limits::default());
    let [ours, theirs] = server.tokens.clone();
    let second = server.store.create_token("second", 0, 30).expect("a token");
    let listed = server.get("/api/v1/tokens", &ours).expect("listed");
    let listed = listed["tokens"].as_array().expect("a list");
    assert_eq!(listed.len(), 2, "the other tenant's is not told");
    let secret = second.rsplit('_').next().expect("a secret");
    assert!(!json!(listed).to_string().contains(secret));
    assert!(listed.iter().all(|t| t["good"] == true && t["revoked"].is_null()));

    let revoke = |id: &str, by: &str| server.post(&format!("/api/v1/tokens/{id}/revoke"), by, &json!({}));
    assert!(revoke(&id_of(&second), &theirs).expect_err("not theirs").contains("404"));
    assert!(revoke("nothing", &ours).expect_err("unknown").contains("404"));
    assert!(server.get("/api/v1/whoami", &second).is_ok());
    revoke(&id_of(&second), &ours).expect("revoked");
    assert!(server.get("/api/v1/whoami", &second).expect_err("it is revoked").contains("401"));
    let again = server.get("/api/v1/tokens", &ours).expect("listed");
    let shown = again["tokens"].as_array().expect("a list").iter().find(|t| t["id"] == id_of(&second)).expect("still shown");
    assert!(shown["good"] == false && shown["revoked"].is_string());
    assert_eq!(server.store.tokens().expect("counted"), 2);
}

#[test]
fn an_expired_token_opens_nothing() {
    let server = Server::start(Limits::default());
    server.clock.0.store(start().plus_ns(30 * 86_400 * SECOND_NS).unix_ns(), Ordering::Relaxed);
    assert!(server.get("/api/v1/whoami", &server.tokens[0]).expect_err("it is over").contains("401"));
}

/// Also one that has much to tell, which leaves it no quiet moment to ask for its token.
#[test]
fn a_stream_ends_when_its_token_is_revoked() {
    let server = Server::start(Limits::default());
    server.apply(1, &[alert(0, "a1")], &[], &mut Tally::default());
    let token = server.store.create_token("watcher", 0, 30).expect("a token");
    let open = || api::client::stream(&server.url(), "/api/v1/alerts/stream", &[], &token).expect("a stream");
    let (mut quiet, mut busy) = (open(), open());
    server.store.revoke_token(&id_of(&token)).expect("revoked");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        let ended = scope.spawn(move || {
            let mut part = [0; 4096];
            while busy.read(&mut part).expect("ended by the server, not by a time-out") > 0 {}
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            server.hub.alert(0, "a1");
            std::thread::yield_now();
        }
        ended.join().expect("it ends");
    });
    quiet.read_to_end(&mut Vec::new()).expect("ended by the server, not by a time-out");
}

#[test]
fn a_store_of_the_first_version_is_taken_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mihari.sqlite");
    let clock: Arc<dyn Clock> = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
    let token = Store::open(&path, clock.clone()).expect("opens").create_token("old", 0, 30).expect("a token");
    let before = rusqlite::Connection::open(&path).expect("opens");
    before
        .execute_batch(
            "ALTER TABLE token DROP COLUMN revoked; DROP TABLE quarantine; DROP TABLE heard; DROP TABLE policy_version;
             DROP TABLE rule_mode; DROP TABLE saved_search; DROP TABLE search_run; DROP TABLE source_lost;
             DROP TABLE audit; DROP TABLE rule_in_force; DROP INDEX outbox_undelivered; DROP TABLE audit_text; DROP TABLE quarantine_pack;
             ALTER TABLE source DROP COLUMN dropped; ALTER TABLE source DROP COLUMN without_records;
             INSERT INTO ledger VALUES (0, '2026-04-01', '192.0.2.1', 'parsed', 5), (0, '2026-04-01', '192.0.2.1', 'quarantined:x', 2);
             DROP TABLE matrix; CREATE TABLE matrix (tenant, hour, zone_from, zone_to, verdict, count);
             INSERT INTO matrix VALUES (0, 1775001600, 'a', 'b', 'kept', 5);
             PRAGMA user_version = 1;",
        )
        .expect("as it was");
    drop(before);
    let store = Store::open(&path, clock.clone()).expect("brought up to date");
    let received: i64 = rusqlite::Connection::open(&path)
        .and_then(|now| now.query_row("SELECT count FROM ledger WHERE what = 'received'", [], |row| row.get(0)))
        .expect("counted by itself");
    assert_eq!(received, 7);
    assert_eq!(store.identity(&token).expect("read").expect("good").name, "old");
    assert!(store.revoke_token(&id_of(&token)).expect("written"));
    assert!(store.identity(&token).expect("read").is_none());
    let counted = rusqlite::Connection::open(&path).expect("opens");
    assert_eq!(counted.query_row("SELECT count FROM matrix WHERE policy = 0", [], |row| row.get(0)), Ok(5));
    drop(store);
    rusqlite::Connection::open(&path).expect("opens").execute_batch("PRAGMA user_version = 99;").expect("written");
    assert!(Store::open(&path, clock).is_err(), "a later program's store is left alone");
}

/// The service starts for the first time while somebody makes a token.
#[test]
fn a_new_store_may_be_opened_by_several_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mihari.sqlite");
    let at_once = std::sync::Barrier::new(6);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (path, at_once) = (&path, &at_once);
            scope.spawn(move || {
                let clock: Arc<dyn Clock> = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
                at_once.wait();
                Store::open(path, clock).expect("opens").create_token(&format!("token {n}"), 0, 30).expect("a token");
            });
        }
    });
    let clock: Arc<dyn Clock> = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
    assert_eq!(Store::open(&path, clock).expect("opens").tokens().expect("read"), 6);
}

/// Somebody makes and revokes tokens while the service writes: each waits for the other, and neither fails.
#[test]
fn another_process_that_writes_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mihari.sqlite");
    let clock: Arc<dyn Clock> = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
    let stores = [0, 1].map(|_| Store::open(&path, clock.clone()).expect("opens"));
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                for _ in 0..100 {
                    let token = store.create_token("of a moment", 0, 30).expect("made");
                    assert!(store.revoke_token(&id_of(&token)).expect("revoked"));
                }
            });
        }
    });
    assert_eq!(stores[0].tokens().expect("read"), 0);
}

/// Who reads waits for no writer: neither for the pipeline's commit nor for another process that holds the database.
#[test]
fn reading_goes_on_while_something_writes() {
    let server = Server::start(Limits::default());
    server.apply(1, &[alert(0, "a1")], &[], &mut Tally::default());
    let holder = rusqlite::Connection::open(server.dir.path().join("mihari.sqlite")).expect("opens");
    holder.execute_batch("BEGIN IMMEDIATE; UPDATE alert SET level = 'low';").expect("held");
    std::thread::scope(|scope| {
        let (told, acted) = mpsc::channel();
        // More writers than may work at once: they fill their places, not those of the readers.
        for n in 0..20 {
            let (told, server) = (told.clone(), &server);
            scope.spawn(move || {
                let body = json!({"action": "comment", "comment": format!("{n}")});
                let done = server.post("/api/v1/alerts/a1/actions", &server.tokens[0], &body);
                told.send(done.is_ok()).expect("heard");
            });
        }
        for path in ["/api/v1/alerts", "/api/v1/stats", "/api/v1/whoami", "/api/v1/sources", "/api/v1/ledger"] {
            server.get(path, &server.tokens[0]).expect(path);
        }
        let seen = server.get("/api/v1/alerts/a1", &server.tokens[0]).expect("read");
        assert_eq!(seen["rule"]["level"], "high");
        assert!(acted.try_recv().is_err(), "nothing was written while the database was held");
        holder.execute_batch("ROLLBACK").expect("let go");
        assert!((0..20).all(|_| acted.recv().expect("told")), "then all is written");
    });
    let seen = server.get("/api/v1/alerts/a1", &server.tokens[0]).expect("read");
    assert_eq!(seen["actions"].as_array().expect("a list").len(), 20);
}

/// Answers requests to a webhook and gives their bodies.
fn webhook() -> (SocketAddr, mpsc::Receiver<String>) {
    webhook_that("200 OK\r\n")
}

/// The same, with this status and these heads.
fn webhook_that(answers: &'static str) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut text = Vec::new();
            let mut part = [0; 4096];
            // The body is JSON and holds no empty line: after the head it ends with its last brace.
            while !(text.windows(4).any(|w| w == b"\r\n\r\n") && text.ends_with(b"}")) {
                let n = stream.read(&mut part).expect("read");
                assert!(n > 0, "cut off");
                text.extend_from_slice(&part[..n]);
            }
            let answer = format!("HTTP/1.1 {answers}content-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("answered");
            if sender.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[test]
fn a_webhook_is_told_its_own_tenant_only() {
    let server = Server::start(Limits::default());
    let (ours, told_us) = webhook();
    let (theirs, told_them) = webhook();
    let destination = |name: &str, tenant, address| Destination {
        name: name.to_owned(),
        tenant,
        slack_webhook: format!("http://{address}/hook"),
        language: "ja".to_owned(),
    };
    let destinations = [destination("ours", 0, ours), destination("theirs", 1, theirs)];
    server.apply(1, &[alert(0, "a0"), alert(1, "a1"), alert(0, "b0")], &destinations, &mut Tally::default());
    let clock: Arc<dyn Clock> = server.clock.clone();
    let notifier = Notifier::start(&server.store, &clock, &destinations, "http://lookout.example").expect("starts");
    notifier.ring();
    let us: Vec<String> = (0..2).map(|_| told_us.recv().expect("told")).collect();
    let them = told_them.recv().expect("told");
    notifier.stop();
    assert!(us.iter().all(|text| text.contains("/alerts/a0") || text.contains("/alerts/b0")), "{us:?}");
    assert!(them.contains("/alerts/a1"), "{them}");
    assert!(told_us.try_recv().is_err() && told_them.try_recv().is_err(), "and nothing else");
    for (id, tenant, name) in [("a0", 0, "ours"), ("a1", 1, "theirs")] {
        let deliveries = server.get(&format!("/api/v1/alerts/{id}"), &server.tokens[tenant]).expect("read")["deliveries"].clone();
        assert_eq!(deliveries.as_array().map(Vec::len), Some(1), "{deliveries}");
        assert_eq!((&deliveries[0]["destination"], &deliveries[0]["state"]), (&json!(name), &json!("delivered")));
    }
}

#[test]
fn a_message_says_what_when_and_who_and_stays_text() {
    let server = Server::start(Limits::default());
    let (address, told) = webhook();
    let destination = |language: &str| Destination {
        name: language.to_owned(),
        tenant: 0,
        slack_webhook: format!("http://{address}/hook"),
        language: language.to_owned(),
    };
    let destinations = [destination("ja"), destination("en")];
    let AlertChange::New(mut told_of) = alert(0, "a0") else { unreachable!("it is new") };
    let titles = [("ja", "総当たり"), ("en", "Guessing")].map(|(language, text)| (language.to_owned(), text.to_owned()));
    told_of.title = BTreeMap::from(titles).into();
    told_of.group = [("user.name", "<!channel> *x*")].into_iter().collect();
    told_of.fields = [("source.ip", "203.0.113.9"), ("message", "long")].into_iter().collect();
    told_of.count = 12;
    told_of.last = start().plus_ns(90 * SECOND_NS);
    server.apply(1, &[AlertChange::New(told_of)], &destinations, &mut Tally::default());
    let clock: Arc<dyn Clock> = server.clock.clone();
    let notifier = Notifier::start(&server.store, &clock, &destinations, "http://lookout.example").expect("starts");
    notifier.ring();
    let mut messages: Vec<Value> = (0..2)
        .map(|_| told.recv().expect("told"))
        .map(|text| serde_json::from_str(text.split_once("\r\n\r\n").expect("a body").1).expect("JSON"))
        .collect();
    notifier.stop();
    messages.sort_by_key(|message| message["text"].as_str().map(|text| text.contains("Guessing")));
    let link = "<http://lookout.example/alerts/a0>";
    let who = "user.name = &lt;!channel&gt; \u{200b}*x\u{200b}*, source.ip = 203.0.113.9";
    for (message, title, times) in [(&messages[0], "[高] 総当たり", "12回"), (&messages[1], "[high] Guessing", "12 times")]
    {
        assert_eq!(message["text"], format!("{title} {link}"));
        let when = format!("2026-04-01 09:00:00 – 09:01:30 JST, {times}");
        assert_eq!(message["blocks"][0]["text"]["text"], format!("*{title}*\n{link}\n{when}\n{who}"));
    }
}

/// Whoever looks at the overview learns that nobody is told.
#[test]
fn a_destination_that_is_away_is_told_with_its_reason() {
    let server = Server::start(Limits::default());
    // Nothing listens there: the port was given up at once.
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    let destination =
        Destination { name: "away".into(), tenant: 0, slack_webhook: format!("http://{away}/hook"), language: "ja".into() };
    server.apply(1, &[alert(0, "a0")], std::slice::from_ref(&destination), &mut Tally::default());
    let undelivered = |token: usize| server.get("/api/v1/stats", &server.tokens[token]).expect("read")["undelivered"].clone();
    assert_eq!(undelivered(0)[0]["failing"], 0);
    let clock: Arc<dyn Clock> = server.clock.clone();
    let notifier = Notifier::start(&server.store, &clock, &[destination], "http://lookout.example").expect("starts");
    notifier.ring();
    while undelivered(0)[0]["failing"] == 0 {
        std::thread::yield_now();
    }
    notifier.stop();
    let told = undelivered(0);
    assert_eq!((&told[0]["destination"], &told[0]["waiting"], &told[0]["given_up"]), (&json!("away"), &json!(1), &json!(0)));
    assert!(told[0]["last_error"].as_str().is_some_and(|why| why.contains("refused")), "{told}");
    assert_eq!(undelivered(1), json!([]), "another tenant's is not told");
}

/// A chat that has had enough says when to come again: nothing is sent to it until then, whichever alert it would be.
#[test]
fn a_destination_that_wants_to_be_left_alone_is() {
    let server = Server::start(Limits::default());
    let (address, told) = webhook_that("429 Too Many Requests\r\nretry-after: 60\r\n");
    let destination =
        Destination { name: "busy".into(), tenant: 0, slack_webhook: format!("http://{address}/hook"), language: "ja".into() };
    let all: Vec<AlertChange> = (0..50).map(|n| alert(0, &format!("a{n}"))).collect();
    server.apply(1, &all, std::slice::from_ref(&destination), &mut Tally::default());
    let clock: Arc<dyn Clock> = server.clock.clone();
    let notifier = Notifier::start(&server.store, &clock, &[destination], "http://lookout.example").expect("starts");
    let undelivered = || server.get("/api/v1/stats", &server.tokens[0]).expect("read")["undelivered"][0].clone();
    while undelivered()["failing"] == 0 {
        std::thread::yield_now();
    }
    notifier.ring();
    notifier.stop();
    let left = undelivered();
    assert_eq!((&left["waiting"], &left["failing"]), (&json!(50), &json!(1)), "{left}");
    assert!(left["last_error"].as_str().is_some_and(|why| why.contains("429")), "{left}");
    assert_eq!(told.iter().take(1).count() + told.try_iter().count(), 1);
}

/// The metrics are of the whole program, so of all tenants: the first one's tokens read them.
#[test]
fn metrics_are_the_first_tenants() {
    let server = Server::start(Limits::default());
    assert!(asked(&server, "GET /metrics", &server.tokens[0]).starts_with("HTTP/1.1 200 "));
    let refused = asked(&server, "GET /metrics", &server.tokens[1]);
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("first tenant"), "{refused}");
}

/// Connections that say nothing, or only half a head, from many addresses: who comes with a token is served nevertheless.
#[test]
fn the_silent_keep_nobody_out() {
    let server = Server::start(Limits::default());
    let mut stalled = Vec::new();
    for n in 0..2000_u32 {
        let own = SocketAddr::new(Ipv4Addr::new(127, 0, 1, (n % 200) as u8).into(), 0);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&own.into()).expect("bound");
        socket.connect(&server.address.into()).expect("connected");
        let mut stream: TcpStream = socket.into();
        if n % 2 == 0 {
            // The server may have closed it already to make room: then there is nothing left to write to.
            drop(stream.write_all(b"GET /api/v1/whoami HTTP/1.1\r\nHost: a\r\nX-Slow: "));
        }
        stalled.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(server.get("/api/v1/whoami", &server.tokens[0]).expect("served")["name"], "test");
    }
    drop(stalled);
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let server = Server::start(Limits { head: std::time::Duration::from_millis(100), ..Limits::default() });
    for beginning in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = TcpStream::connect(server.address).expect("connected");
        stream.write_all(beginning.as_bytes()).expect("written");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("ended by the server");
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn streams_count_as_busy_and_one_address_does_not_take_all() {
    let server = Server::start(Limits { connections: 4, per_address: 2, ..Limits::default() });
    let stream = || api::client::stream(&server.url(), "/api/v1/alerts/stream", &[], &server.tokens[0]);
    let held: Vec<_> = (0..2).map(|_| stream().expect("a stream")).collect();
    assert!(stream().is_err(), "both places of this address are taken by what is in work");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(Ipv4Addr::new(127, 0, 0, 9).into(), 0).into()).expect("bound");
    socket.connect(&server.address.into()).expect("connected");
    let mut other: TcpStream = socket.into();
    other.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("ok"), "{answer}");
    server.apply(1, &[alert(0, "a1")], &[], &mut Tally::default());
    server.hub.alert(0, "a1");
    for mut stream in held {
        let mut part = [0; 12];
        stream.read_exact(&mut part).expect("still there");
        assert_eq!(&part, b"event: alert");
    }
}

#[test]
fn every_answer_has_the_headers_that_bind_a_browser() {
    let server = Server::start(Limits::default());
    for path in ["/", "/healthz", "/api/v1/whoami", "/nothing.js"] {
        let mut stream = TcpStream::connect(server.address).expect("connected");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types mihari-templates",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

/// The status line, the heads and the body of an answer.
fn asked(server: &Server, request: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(server.address).expect("connected");
    let head = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    stream.write_all(b"Content-Length: 0\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn whatever_is_refused_is_told_as_a_problem() {
    let server = Server::start(Limits::default());
    for (request, status, code) in [
        ("DELETE /api/v1/search", 405, "method_not_allowed"),
        ("OPTIONS /api/v1/alerts", 405, "method_not_allowed"),
        ("POST /a/page", 405, "method_not_allowed"),
        ("GET /api/v1/events/%ff", 400, "bad_request"),
        ("GET /api/v1/alerts?size=many", 400, "bad_request"),
        ("GET /api/v1/alerts?levle=high", 400, "bad_request"),
        ("GET /api/v1/stats?tenant=beta", 400, "bad_request"),
        ("POST /api/v1/rules/reload?dry_run=true", 400, "bad_request"),
        ("GET /api/v1/alerts?level=hihg", 400, "refused"),
        ("GET /api/v1/alerts?status=open,done", 400, "refused"),
        ("GET /api/v1/policy/matrix?form=now-1h", 400, "bad_request"),
        ("GET /api/v1/policy/matrix?from=2026-04-02T00:00:00Z&to=2026-04-01T23:59:59Z", 400, "bad_time"),
        ("GET /api/v1/policy/matrix?from=2999-04-02T00:00:00Z", 400, "bad_time"),
        ("GET /api/v1/policy/matrix?from=2026-04-02T00:00:00Z&to=2026-04-02T00:00:00Z", 400, "bad_time"),
        ("GET /api/v1/events/0-1-0/context?before=-1", 400, "bad_request"),
        ("POST /api/v1/search", 400, "bad_body"),
        ("POST /api/v1/ingest?tenant=beta", 400, "bad_request"),
        ("GET /api/v1/nothing", 404, "not_found"),
    ] {
        let answer = asked(&server, request, &server.tokens[0]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{request}: {answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{request}: {answer}");
        assert_eq!(answer.contains("\r\nallow: "), status == 405, "{request}: {answer}");
    }
    // Elasticsearch's clients are told in their own form.
    let answer = asked(&server, "DELETE /api/v1/_elastic/_search", &server.tokens[0]);
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("illegal_argument_exception"), "{answer}");
}

#[test]
fn what_is_wrong_with_a_query_has_a_name_and_a_place() {
    let server = Server::start(Limits::default());
    for (query, reason, position) in [
        ("x%20%22a", "unclosed_quote", 2),
        ("(a", "expected_bracket", 2),
        ("source.ip:web", "no_address", 10),
        ("source.port:web", "no_number", 12),
        ("message:%E8%AA%B2%3Fb", "wildcard_within", 8),
        ("x:/(/", "bad_regex", 2),
    ] {
        let answer = asked(&server, &format!("GET /api/v1/export?query={query}"), &server.tokens[0]);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"code\":\"bad_query\""), "{query}: {answer}");
        assert!(answer.contains(&format!("\"position\":{position},\"reason\":\"{reason}\"")), "{query}: {answer}");
    }
}

/// Behind a proxy everybody has one address.
#[test]
fn wrong_tokens_of_an_address_do_not_shut_out_good_ones() {
    let server = Server::start(Limits::default());
    let wrong = || asked(&server, "GET /api/v1/whoami", "mih_000000000000_0");
    for _ in 0..20 {
        assert!(wrong().starts_with("HTTP/1.1 401 "));
    }
    assert!(wrong().starts_with("HTTP/1.1 429 "));
    assert!(asked(&server, "GET /api/v1/whoami", &server.tokens[0]).starts_with("HTTP/1.1 200 "));
    assert!(wrong().starts_with("HTTP/1.1 429 "));
    server.clock.0.fetch_add(60 * SECOND_NS, Ordering::Relaxed);
    assert!(wrong().starts_with("HTTP/1.1 401 "), "counted anew each minute");
}

#[test]
fn alerts_are_chosen_by_several_states_and_by_who_has_them() {
    let server = Server::start(Limits::default());
    let changes: Vec<AlertChange> = ["a1", "a2", "a3"].iter().map(|id| alert(0, id)).collect();
    server.apply(1, &changes, &[], &mut Tally::default());
    let act = |id: &str, body: Value| server.post(&format!("/api/v1/alerts/{id}/actions"), &server.tokens[0], &body);
    act("a1", json!({"action": "acknowledge"})).expect("done");
    act("a2", json!({"action": "close", "disposition": "benign"})).expect("done");
    let ids = |filter: &str| -> Vec<String> {
        let found = server.get(&format!("/api/v1/alerts?{filter}"), &server.tokens[0]).expect(filter);
        found["alerts"].as_array().expect("a list").iter().filter_map(|a| Some(a["id"].as_str()?.to_owned())).collect()
    };
    assert_eq!(ids("status=open,acknowledged"), ["a1", "a3"]);
    assert_eq!(ids("status=closed"), ["a2"]);
    assert_eq!(ids("assignee=test"), ["a1"]);
    assert_eq!(ids("level=low,medium"), Vec::<String>::new());
    assert_eq!(ids("level=high,low&status=open"), ["a3"]);
    // What was closed can be taken up again, and what was assigned can be let go.
    assert_eq!(act("a2", json!({"action": "reopen"})).expect("done")["status"], "open");
    assert_eq!(act("a1", json!({"action": "assign", "assignee": ""})).expect("done")["assignee"], Value::Null);
    assert_eq!(ids("status=open,acknowledged"), ["a1", "a2", "a3"]);
}

#[test]
fn a_rules_mode_is_set_for_one_tenant_and_kept() {
    let server = Server::start(Limits::default());
    let [mine, other] = server.tokens.clone();
    let patch = |mode: &str| {
        let body = json!({"mode": mode, "comment": "too loud"}).to_string();
        api::client::patch(&server.url(), "/api/v1/rules/rule%2F1", &mine, &body).map_err(|e| e.to_string())
    };
    let rule = |token: &str| server.get("/api/v1/rules", token).expect("an answer");
    assert_eq!(rule(&mine)["rules"][0]["mode"], "alert");
    assert_eq!(rule(&mine)["rules"][0]["cost"]["evaluated"], 9);
    assert_eq!(rule(&mine)["rules"][0]["given_up"]["late"], 3);
    assert_eq!(rule(&mine)["rules"][0]["matches"], 7);
    assert_eq!(rule(&mine)["failure"], "rules.yml:3: no title");
    assert_eq!(rule(&mine)["unmapped"][0]["log_source"]["category"], "nothing");
    patch("record").expect("set");
    let answer: Value = serde_json::from_str(&patch("off").expect("set")).expect("JSON");
    let history: Vec<_> = answer["history"].as_array().expect("a list").iter().map(|h| h["mode"].clone()).collect();
    assert_eq!(history, ["record", "off"]);
    assert_eq!(answer["history"][0]["comment"], "too loud");
    assert_eq!(rule(&mine)["rules"][0]["mode"], "off");
    assert_eq!(rule(&other)["rules"][0]["mode"], "alert");
    assert_eq!(server.store.rule_modes().expect("read"), [(0, "rule/1".to_owned(), Mode::Off)]);
    assert!(patch("loud").is_err(), "no such mode");
    let mut modes = Modes::default();
    modes.set("r", Some(0), Mode::Record);
    let here = [Destination { name: "here".into(), tenant: 0, slack_webhook: String::new(), language: "en".into() }];
    server.apply_with(1, &[alert(0, "aa")], &here, &mut Tally::default(), &modes);
    assert_eq!(server.get("/api/v1/alerts", &mine).expect("an answer")["total"], 0, "it is no alert");
    let recorded = server.get("/api/v1/alerts?status=recorded", &mine).expect("an answer");
    assert_eq!((&recorded["total"], &recorded["alerts"][0]["id"]), (&json!(1), &json!("aa")));
    let checked = |name: &str| {
        let yaml = format!("title: T\nlogsource: {{category: any}}\ndetection: {{s: {{a|expand: '%{name}%'}}, condition: s}}\n");
        server.post("/api/v1/rules/check", &mine, &json!({"yaml": yaml})).expect("an answer")["rules"].clone()
    };
    let values = (0..70).map(|at| format!("    f{at}|windash: ' -a -b -c -d -e'\n")).collect::<String>();
    let large = format!("title: T\nlogsource: {{category: any}}\ndetection:\n  s:\n{values}  condition: s\n");
    let large = server.post("/api/v1/rules/check", &mine, &json!({"yaml": large})).expect("an answer");
    assert!(
        large["rules"] == 0 && large["problems"][0]["reason"].as_str().is_some_and(|r| r.contains("tests of values")),
        "{large}"
    );
    let advised = "title: T\nlogsource: {category: firewall}\ndetection: {s: {a: 1}, condition: s}\n";
    let advised = server.post("/api/v1/rules/check", &mine, &json!({"yaml": advised})).expect("an answer");
    assert_eq!(advised["problems"][0]["refused"], json!(false), "style too: {advised}");
    assert_eq!([checked("word"), checked("unknown")], [json!(1), json!(0)], "with the placeholders of the service");
    let refused = server.post("/api/v1/rules/reload", &mine, &json!({})).expect_err("refused");
    assert!(refused.contains("no title"), "{refused}");
}

#[test]
fn an_export_has_every_hit_and_says_what_it_is() {
    use sha2::{Digest, Sha256};
    let mut builder = BatchBuilder::default();
    for n in 0..1203_u64 {
        let head = FrameHead {
            position: Position { partition: 0, offset: n + 1 },
            received: start().plus_ns(n as i64 * SECOND_NS),
            tenant: TenantId((n % 2) as u32),
            ..FrameHead::new(Transport::Udp, Content::Text)
        };
        let mut row = builder.row(&head, 0, "a record");
        row.time(start().plus_ns(n as i64 * SECOND_NS));
        row.text(FieldId::USER_NAME, if n == 100 { "=cmd()" } else { "taro" });
        row.int(FieldId::SOURCE_BYTES, n as i64);
    }
    let server = Server::with(Limits::default(), &[builder.finish(LogRange { partition: 0, first: 1, last: 1203 }, start())]);
    let export = |body: Value| {
        let mut text = String::new();
        let read = api::client::download(&server.url(), "/api/v1/export", &server.tokens[0], &body.to_string());
        read.expect("it begins").read_to_string(&mut text).expect("it ends");
        let (lines, last) = text.trim_end().rsplit_once('\n').expect("a manifest");
        (format!("{lines}\n"), last.to_owned())
    };
    let (lines, last) = export(json!({"query": "source.bytes:>=4"}));
    let manifest = serde_json::from_str::<Value>(&last).expect("JSON")["manifest"].clone();
    let hex: String = Sha256::digest(&lines).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((&manifest["count"], &manifest["complete"], &manifest["sha256"]), (&json!(600), &json!(true), &json!(hex)));
    assert_eq!(manifest["offsets"], json!([5, 1203]));
    let bytes: Vec<i64> = lines
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON")["fields"]["source.bytes"].as_i64().expect("a number"))
        .collect();
    assert_eq!(bytes, (4..1203).step_by(2).collect::<Vec<_>>());

    let (table, last) =
        export(json!({"query": "user.name:\"=cmd()\"", "format": "csv", "fields": ["user.name", "source.bytes"]}));
    assert_eq!(table.lines().next(), Some("id,time,received,user.name,source.bytes,raw"));
    assert!(table.lines().nth(1).expect("a row").ends_with(",\"'=cmd()\",100,"), "{table}");
    assert!(last.starts_with("# {") && last.contains("\"count\":1,"), "{last}");
    for (body, code) in [
        (json!({"format": "xls"}), "bad_format"),
        (json!({"query": "("}), "bad_query"),
        (json!({"surprise": 1}), "bad_body"),
        (json!({"from": "now", "to": "now-1h"}), "bad_time"),
    ] {
        assert!(server.post("/api/v1/export", &server.tokens[0], &body).expect_err("refused").contains(code));
    }
}

#[test]
fn a_search_that_says_what_there_is_not_is_refused() {
    let server = Server::start(Limits::default());
    for (body, code) in [
        (json!([]), "bad_body"),
        (json!({"sort": "ASC"}), "bad_sort"),
        (json!({"sort": "-oldest"}), "bad_sort"),
        (json!({"sort": "message"}), "bad_sort"),
        // Within the time of what there is, and beyond it.
        (json!({"from": "2026-04-01T00:10:00Z", "to": "2026-04-01T00:00:01Z"}), "bad_time"),
        (json!({"from": "now", "to": "now-1h"}), "bad_time"),
        (json!({"aggs": {"a": {"terms": {"field": "message"}}}}), "refused"),
        (json!({"aggs": {"a": {"cardinality": {"field": "message"}}}}), "refused"),
        (json!({"query": "source.port:(80 OR web)"}), "bad_query"),
    ] {
        let refused = server.post("/api/v1/search", &server.tokens[0], &body).expect_err("refused");
        assert!(refused.contains(code), "{body}: {refused}");
    }
    // A listed field may be sorted by before any event has it; the last page says nothing of a next one.
    let last =
        server.post("/api/v1/search", &server.tokens[0], &json!({"sort": "-source.port", "size": 1000})).expect("searches");
    assert!(last["complete"] == true && last.get("cursor").is_none(), "{last}");
}
