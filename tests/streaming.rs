//! Searches that are answered in parts: what comes first, what comes last, and what happens when nobody listens any more.
#![expect(clippy::disallowed_methods, reason = "a test waits for conditions by the clock")]

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use program::{Service, wait_for};
use serde_json::{Value, json};

const RECORDS: usize = 6000;

/// A service with so many records in many shards, all searchable.
fn filled(dir: &std::path::Path) -> Service {
    let service = Service::start(dir, "index: {shard_events: 500, commit_ms: 50}\n");
    for some in (0..RECORDS).collect::<Vec<_>>().chunks(250) {
        let line = |n: &usize| format!("<38>Apr  1 09:{:02}:{:02} host-{} app: number {n} of many", n / 60 % 60, n % 60, n % 7);
        let text = some.iter().map(line).collect::<Vec<_>>().join("\n");
        api::client::post(&service.api, "/api/v1/ingest", &service.token, &text).expect("taken");
        service.post("/api/v1/_elastic/_refresh", &json!({})).expect("searchable");
    }
    service
}

/// The lines of an answer in parts.
fn parts(service: &Service, body: &Value) -> Vec<Value> {
    let stream = api::client::download(&service.api, "/api/v1/search", &service.token, &body.to_string()).expect("answered");
    BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect()
}

#[test]
fn the_parts_are_the_whole_newest_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = filled(dir.path());
    let aggs = json!({"hosts": {"terms": {"field": "host.name"}}});
    let mut several = false;
    for (query, size, sort) in [
        ("many", 1000, "desc"),
        ("many", 1000, "asc"),
        ("number", 20, "desc"),
        ("host.name:host-3", 1000, "desc"),
        ("many", 30, "-host.name"),
        ("nothing-has-this", 10, "desc"),
    ] {
        let body = json!({"query": query, "from": "2000-01-01", "size": size, "sort": sort, "aggs": aggs});
        let mut whole = service.post("/api/v1/search", &body).expect("answered");
        let parts = parts(&service, &body);
        let (last, before) = parts.split_last().expect("a line at least");
        assert!(before.iter().all(|part| part.get("last").is_none()), "{query}");
        assert_eq!((&last["last"], &last["complete"]), (&json!(true), &json!(true)), "{query}");
        let hits: Vec<&Value> = parts.iter().flat_map(|part| part["hits"].as_array().expect("hits")).collect();
        assert_eq!(json!(hits), whole["hits"], "{query} {sort}");
        let totals: Vec<u64> = parts.iter().map(|part| part["total"].as_u64().expect("a number")).collect();
        assert!(totals.is_sorted(), "{totals:?}");
        let done: Vec<u64> = before.iter().map(|part| part["parts"][0].as_u64().expect("a number")).collect();
        assert!(done.is_sorted_by(|a, b| a < b), "{done:?}");
        several |= before.iter().filter(|part| part["hits"].as_array().is_some_and(|hits| !hits.is_empty())).count() > 0;
        let mut rest = last.clone();
        for answer in [&mut whole, &mut rest] {
            let answer = answer.as_object_mut().expect("an object");
            ["took_ms", "hits", "last", "journal_position", "indexed_position"]
                .iter()
                .for_each(|name| drop(answer.remove(*name)));
        }
        assert_eq!(rest, whole, "{query} {sort}");
    }
    assert!(several, "some hits came before the last line");
    service.stop();
}

/// What `mihari search` ends with, says and shows where a service answers so.
fn searched(answer: &'static str) -> (Option<i32>, String, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream.try_clone().expect("a reader"));
        let (mut line, mut bytes) = (String::new(), 0);
        while reader.read_line(&mut line).expect("a line") > 2 {
            let length = line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().expect("a length"));
            bytes = length.unwrap_or(bytes);
            line.clear();
        }
        reader.read_exact(&mut vec![0; bytes]).expect("a body");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).expect("taken");
    });
    let output = program::program().args(["search", "x", "--token", "t", "--url", &url]).output().expect("runs");
    answering.join().expect("it has answered");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stderr), text(output.stdout))
}

#[test]
fn a_search_that_was_not_done_says_so_and_ends_otherwise() {
    let (code, said, shown) = searched(
        "{\"total\":1,\"hits\":[{\"id\":\"0-5-0\"}]}\n\
         {\"total\":7,\"hits\":[],\"last\":true,\"complete\":false,\"searched_from\":\"2026-04-11T05:00:00Z\"}\n",
    );
    assert_eq!((code, shown.trim()), (Some(1), "{\"id\":\"0-5-0\"}"), "{said}");
    assert!(said.contains("1 of 7 hits") && said.contains("not everything") && said.contains("2026-04-11T05:00:00Z"), "{said}");
    let (code, said, _) = searched("{\"total\":0,\"hits\":[],\"last\":true,\"complete\":true}\n");
    assert_eq!((code, said.contains("not everything")), (Some(0), false), "{said}");
}

#[test]
fn what_is_refused_is_refused_as_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    for (body, code) in [
        (json!({"query": "("}), "bad_query"),
        (json!({"query": "*", "size": 100_000}), "refused"),
        (json!({"query": "*", "cursor": "x"}), "refused"),
    ] {
        let told = api::client::download(&service.api, "/api/v1/search", &service.token, &body.to_string()).map(drop);
        let told = told.expect_err("it is refused").to_string();
        assert!(told.contains("400") && told.contains(code), "{told}");
    }
    service.stop();
}

/// More searches than run at once are begun and left; if each kept its place, the one after them would wait in vain.
#[test]
fn a_search_ends_when_its_client_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = filled(dir.path());
    let address = service.api.strip_prefix("http://").expect("an address").to_owned();
    let body = json!({"query": "many OR *umber*", "from": "2000-01-01", "size": 1000}).to_string();
    for _ in 0..64 {
        let mut socket = TcpStream::connect(&address).expect("connects");
        let head = format!(
            "POST /api/v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nAccept: application/x-ndjson\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            service.token,
            body.len()
        );
        socket.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        // The answer has begun; the rest of it is never read.
        socket.read_exact(&mut [0; 12]).expect("a status");
        drop(socket);
    }
    let whole = wait_for("an answer", || service.search("many")["total"].as_u64().filter(|total| *total == RECORDS as u64));
    assert_eq!(whole, RECORDS as u64);
    service.stop();
}
