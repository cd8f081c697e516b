//! Backtests over a long history, beside replaying all of it:
//! `cargo bench -p mihari --bench history -- [--events N] [--dir FOLDER] [--rules FILE,FILE] [--runs N]`.
//!
//! The text records of one municipality's busiest hours go to a service of its own; then rules that match seldom, now and then, and often,
//! and a correlation, are asked the short way and once the long way, all events replayed, which must tell the same. With `--dir` the history
//! stays there for the next run.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints, and measures time")]

#[path = "../program/mod.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use event::Time;
use municipality::{Channel, DEVICES, Plan};
use program::Service;
use serde_json::{Value, json};

/// Records of one request.
const AT_ONCE: usize = 20_000;
/// The first record's time: 1 November 2026, 01:00 UTC.
const START_S: i64 = 1_793_494_800;

/// Rules as they are written, from the rarest to the most frequent.
fn rules() -> Vec<(String, String)> {
    let rule = |name: &str, detection: &str| {
        let text = format!("title: {name}\nid: {name}\nlogsource: {{category: any}}\ndetection:\n{detection}level: medium\n");
        (name.to_owned(), text)
    };
    let mut all = vec![
        rule("no-such-user", "  a: {user.name: nobody-has-this-name, event.outcome: failure}\n  condition: a\n"),
        rule("failed-login", "  a: {event.action: ssh_login, event.outcome: failure}\n  condition: a\n"),
        rule("not-found-php", "  a: {http.response.status_code: 404, url.original|contains: '.php'}\n  condition: a\n"),
        rule("denied-remote-desktop", "  a: {event.action: deny, destination.port: [3389, 5900]}\n  condition: a\n"),
        rule("network-denied", "  a: {source.ip|cidr: 198.18.128.0/20, event.action: deny}\n  condition: a\n"),
        rule("words", "  a: {message|contains: 'invalid user'}\n  condition: a\n"),
        rule("denied", "  a: {event.action: deny}\n  condition: a\n"),
        rule("dns", "  a: {event.action: dns_query, dns.question.type: A}\n  condition: a\n"),
    ];
    let counted = "title: base\nname: base\nlogsource: {category: any}\ndetection:\n  a: {event.action: ssh_login, event.outcome: \
                   failure}\n  condition: a\n---\ntitle: many-failures\nid: many-failures\ncorrelation: {type: event_count, rules: \
                   [base], group-by: [source.ip], timespan: 10m, condition: {gte: 5}}\nlevel: high\n";
    all.push(("many-failures".to_owned(), counted.to_owned()));
    all
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let events: u64 = option("--events").map_or(10_000_000, |n| n.parse().expect("a number"));
    let runs: usize = option("--runs").map_or(5, |n| n.parse().expect("a number"));
    let own = tempfile::tempdir().expect("a folder");
    let dir = option("--dir").map_or_else(|| own.path().to_owned(), PathBuf::from);
    let mut asked = rules();
    for path in option("--rules").iter().flat_map(|list| list.split(',')) {
        asked.push((path.to_owned(), std::fs::read_to_string(path).expect("a rule")));
    }
    let known = dir.join("data").is_dir();
    std::fs::create_dir_all(&dir).expect("a folder");
    let service = Service::start(&dir, "");
    if !known {
        fill(&service, events);
    }
    let usage = service.get("/api/v1/usage");
    println!("{usage}\n");
    println!(
        "| rule | matches | alerts | events replayed | ms | CPU ms | everything, ms | CPU ms | times faster | by CPU |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for (name, yaml) in asked {
        let (long_ms, long_cpu, whole) = ask(&service, &json!({"yaml": yaml, "full": true}));
        let mut short: Vec<(f64, f64, Value)> = (0..runs.max(1)).map(|_| ask(&service, &json!({"yaml": yaml}))).collect();
        let cpu = short.iter().map(|s| s.1).sum::<f64>() / short.len() as f64;
        short.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ms, _, answer) = short.swap_remove(short.len() / 2);
        println!(
            "| {name}{} | {} | {} | {} | {ms:.0} | {:.0} | {long_ms:.0} | {:.0} | {:.0} | {:.0} |",
            if answer["narrowed"] == true { "" } else { " (not narrowed)" },
            answer["matches"],
            answer["alerts"],
            answer["events"],
            cpu * 1000.0,
            long_cpu * 1000.0,
            long_ms / ms,
            long_cpu / cpu.max(0.001),
        );
        // Matches, alerts and a hash over these, of each rule; and what was given up, where there are more alerts than are told.
        for told in ["rules", "days", "reasons"] {
            assert_eq!(answer[told], whole[told], "{name}: the short way tells something else");
        }
    }
    service.stop();
}

/// Sends the records and waits until all are searchable.
fn fill(service: &Service, events: u64) {
    let start = Instant::now();
    let plan = Plan {
        seed: 1,
        terminals: 20_000,
        start: Time::from_unix_s(START_S),
        length_s: 48 * 3600,
        day_speed: 0,
        hour: Some(10),
        incidents: true,
    };
    let (mut text, mut sent) = (Vec::new(), 0);
    let post = |text: &mut Vec<u8>| {
        let lines = std::str::from_utf8(text).expect("text");
        api::client::post(&service.api, "/api/v1/ingest", &service.token, lines).expect("taken");
        text.clear();
    };
    for record in plan.traffic().filter(|r| DEVICES[r.device].channel != Channel::Flow && std::str::from_utf8(&r.bytes).is_ok()) {
        text.extend_from_slice(&record.bytes);
        text.push(b'\n');
        sent += 1;
        if sent % AT_ONCE as u64 == 0 || sent == events {
            post(&mut text);
        }
        if sent == events {
            break;
        }
    }
    println!("{sent} records sent after {:.0} s", start.elapsed().as_secs_f64());
    let searchable = || {
        let count = service.search("*")["total"].as_u64()?;
        (count >= events).then_some(count)
    };
    // Longer than a test would wait.
    let count = loop {
        let refreshed = service.post("/api/v1/_elastic/_refresh", &json!({}));
        if let (Ok(_), Some(count)) = (refreshed, searchable()) {
            break count;
        }
    };
    println!("{count} events searchable after {:.0} s", start.elapsed().as_secs_f64());
}

/// Asks for a backtest: milliseconds by the service's clock, seconds of processor time it took, the answer.
fn ask(service: &Service, body: &Value) -> (f64, f64, Value) {
    let before = cpu_seconds(service);
    let stream = api::client::download(&service.api, "/api/v1/backtests", &service.token, &body.to_string()).expect("answered");
    let last = BufReader::new(stream).lines().last().expect("a line").expect("a line");
    let answer: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(answer["last"], true, "{answer}");
    let ms = answer["took_ms"].as_f64().expect("a number").max(1.0);
    (ms, cpu_seconds(service) - before, answer)
}

/// Processor time of the service so far.
fn cpu_seconds(service: &Service) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(service.child.id().to_string()).join("stat")).expect("it runs");
    let after = stat.rsplit(')').next().expect("fields");
    let fields: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}
