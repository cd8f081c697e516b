//! A full disk is waited out by the service: nothing acknowledged is lost, senders wait, datagrams that find no room are counted, whoever asks
//! is told, and once there is room everything goes on by itself.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test waits for conditions by the clock and says what it skips"
)]

mod program;
#[path = "program/small_disk.rs"]
mod small_disk;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use program::{Service, wait_for};
use serde_json::Value;
use small_disk::{fill, on_a_small_disk};

/// Room for a segment of the journal, and as much again for what else there is.
const DISK_MEBIBYTES: u32 = 320;
/// Room for everything but a segment of the journal.
const ROOM_BESIDE_JOURNAL: u64 = 96 << 20;
/// How long senders may be silent before they count as waiting: the journal tries again twice meanwhile.
const SILENCE: Duration = Duration::from_millis(1200);
const DATAGRAMS: u64 = 5000;

fn line(text: &str) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    format!("<38>1 {} srv sshd 1 - - {text}", event::Time::from_unix_ns(since.as_nanos() as i64))
}

/// Sends records that are acknowledged, as one request.
fn post(service: &Service, lines: &[String]) {
    api::client::post(&service.api, "/api/v1/ingest", &service.token, &lines.join("\n")).expect("taken");
}

fn is_ready(service: &Service) -> bool {
    let mut stream = TcpStream::connect(service.api.trim_start_matches("http://")).expect("connects");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("written");
    let answer = std::io::read_to_string(stream).expect("answered");
    let ready = answer.starts_with("HTTP/1.1 200");
    assert!(ready || answer.starts_with("HTTP/1.1 503") && answer.contains("the disk is full"), "{answer}");
    ready
}

fn total(service: &Service, query: &str) -> u64 {
    service.search(query)["total"].as_u64().expect("a total")
}

fn critical(service: &Service) -> usize {
    let alerts = service.get("/api/v1/alerts?size=500");
    alerts["alerts"].as_array().expect("alerts").iter().filter(|alert| alert["rule"]["level"] == "critical").count()
}

/// Sends by `send`, each time with the next number, until told to stop; tells how many were sent.
fn sending(stop: &Arc<AtomicBool>, mut send: impl FnMut(u64) + Send + 'static) -> (Arc<AtomicU64>, std::thread::JoinHandle<()>) {
    let (stop, sent) = (stop.clone(), Arc::<AtomicU64>::default());
    let count = sent.clone();
    let thread = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            send(count.load(Ordering::Relaxed));
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (sent, thread)
}

/// Waits until a count stands still.
fn wait_for_silence(what: &str, count: &AtomicU64) {
    let (mut last, mut since) = (0, Instant::now());
    wait_for(what, || {
        let now = count.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= SILENCE).then_some(())
    });
}

#[test]
fn the_analysis_waits_for_room_and_goes_on_from_where_it_was() {
    on_a_small_disk("the_analysis_waits_for_room_and_goes_on_from_where_it_was", DISK_MEBIBYTES, |disk| {
        let (dir, ballast) = (disk.parent().expect("a folder"), disk.join("ballast"));
        let service = Service::start(dir, "");
        let mut sent = 0;
        for round in 0..2 {
            // What was known before is known after: ten failures before, the success while there is no room.
            let address = format!("203.0.113.{round}");
            let failed = |port| line(&format!("Failed password for root from {address} port {port} ssh2: acknowledged"));
            post(&service, &(0..10).map(failed).collect::<Vec<_>>());
            sent += 10;
            service.hits("acknowledged", sent);
            fill(&ballast, 0);
            post(&service, &[line(&format!("Accepted password for root from {address} port 99 ssh2: acknowledged"))]);
            sent += 1;
            let mut words = 0;
            wait_for("the analysis to lack room", || {
                // The journal has room in its segment still: what comes in is evidence, and acknowledged.
                let new = |n| line(&format!("acknowledged word{round}x{n} {}", "and more of it ".repeat(50)));
                post(&service, &(words..words + 500).map(new).collect::<Vec<_>>());
                (words, sent) = (words + 500, sent + 500);
                (!is_ready(&service)).then_some(())
            });
            assert!(service.get("/api/v1/stats")["journal_position"].as_u64().expect("a position") >= sent);
            assert!(total(&service, "acknowledged") < sent, "what is there is found meanwhile");
            std::fs::remove_file(&ballast).expect("removed");
            let since = Instant::now();
            service.hits("acknowledged", sent);
            wait_for("readiness", || is_ready(&service).then_some(()));
            println!("all {sent} found {:.1} s after there was room", since.elapsed().as_secs_f64());
            wait_for("the alert", || (critical(&service) > round).then_some(()));
        }
        assert_eq!(total(&service, "acknowledged"), sent, "each once");
        assert_eq!(critical(&service), 2, "an alert a round");
        let received = || {
            service.get("/api/v1/ledger")["days"]
                .as_array()
                .expect("days")
                .iter()
                .filter_map(|d| d["received"].as_u64())
                .sum::<u64>()
        };
        wait_for("the ledger", || (received() >= sent).then_some(()));
        assert_eq!(received(), sent, "the ledger counts each record once");
        let log = std::fs::read_to_string(dir.join("log")).expect("a log");
        assert_eq!(log.matches("the disk is full: the analysis waits for room").count(), 2, "{log}");
        service.stop();
    });
}

#[test]
fn senders_wait_for_room_and_datagrams_without_are_counted() {
    on_a_small_disk("senders_wait_for_room_and_datagrams_without_are_counted", DISK_MEBIBYTES, |disk| {
        let (dir, ballast) = (disk.parent().expect("a folder"), disk.join("ballast"));
        fill(&ballast, ROOM_BESIDE_JOURNAL);
        let service = Service::start(dir, "  - {kind: syslog_udp, address: \"127.0.0.1:0\", receive_buffer_bytes: 65536}\n");
        let (api, token, stop) = (service.api.clone(), service.token.clone(), Arc::<AtomicBool>::default());
        let (acknowledged, posting) = sending(&stop, move |n| {
            api::client::post(&api, "/api/v1/ingest", &token, &line(&format!("acknowledged {n}"))).expect("taken");
        });
        let mut stream = TcpStream::connect(service.listen[1]).expect("connects");
        let (streamed, streaming) = sending(&stop, move |n| {
            let line = line(&format!("streamed {n} {}", "and more of it ".repeat(250)));
            write!(stream, "{} {line}", line.len()).expect("sent");
        });
        wait_for_silence("senders to wait", &streamed);
        assert_eq!(acknowledged.load(Ordering::Relaxed), 0, "nothing is acknowledged that is not written");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let datagram = |n: u64| socket.send_to(line(&format!("datagram {n}")).as_bytes(), service.listen[3]).expect("sent");
        for n in 0..DATAGRAMS {
            datagram(n);
        }
        stop.store(true, Ordering::Relaxed);
        std::fs::remove_file(&ballast).expect("removed");
        let since = Instant::now();
        for sender in [posting, streaming] {
            sender.join().expect("no panic");
        }
        let (acknowledged, streamed) = (acknowledged.load(Ordering::Relaxed), streamed.load(Ordering::Relaxed));
        service.hits("acknowledged", acknowledged);
        service.hits("streamed", streamed);
        println!(
            "{streamed} streamed and {acknowledged} acknowledged found {:.1} s after there was room",
            since.elapsed().as_secs_f64()
        );
        // How many were dropped is told with the next that is not.
        let mut sent = DATAGRAMS;
        let lost = || -> u64 {
            let ledger = service.get("/api/v1/ledger");
            let of_day = |day: &Value| day["lost_before"].as_object().map_or(0, |of| of.values().filter_map(Value::as_u64).sum());
            ledger["days"].as_array().expect("days").iter().map(of_day).sum()
        };
        let (stored, lost) = wait_for("the sum of what is stored and what was lost", || {
            datagram(sent);
            sent += 1;
            wait_for("the last", || (total(&service, &format!("\"datagram {}\"", sent - 1)) == 1).then_some(()));
            let (stored, lost) = (total(&service, "datagram"), lost());
            (stored + lost >= sent).then_some((stored, lost))
        });
        println!("of {sent} datagrams {stored} stored, {lost} counted as lost");
        assert!(stored + lost == sent && lost > 0, "{stored} stored and {lost} lost of {sent}");
        assert_eq!((total(&service, "acknowledged"), total(&service, "streamed")), (acknowledged, streamed), "each once");
        assert!(is_ready(&service));
        service.stop();
    });
}

#[test]
fn the_end_does_not_wait_for_room() {
    on_a_small_disk("the_end_does_not_wait_for_room", DISK_MEBIBYTES, |disk| {
        let (dir, ballast) = (disk.parent().expect("a folder"), disk.join("ballast"));
        fill(&ballast, ROOM_BESIDE_JOURNAL);
        let mut service = Service::start(dir, "");
        let (api, token) = (service.api.clone(), service.token.clone());
        // Nobody is told that this is kept: it breaks off.
        let posting = std::thread::spawn(move || api::client::post(&api, "/api/v1/ingest", &token, &line("unacknowledged")));
        let log = || std::fs::read_to_string(dir.join("log")).expect("a log");
        wait_for("the journal to lack room", || log().contains("failed to write the journal").then_some(()));
        let since = Instant::now();
        let pid = service.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let status = wait_for("the end", || service.child.try_wait().expect("a child"));
        println!("ended {:.1} s after it was asked", since.elapsed().as_secs_f64());
        assert_eq!(status.code(), Some(1), "{}", log());
        assert!(log().contains("the disk is full: ended without what waits for room there"), "{}", log());
        assert!(posting.join().expect("no panic").is_err());
        std::fs::remove_file(&ballast).expect("removed");
        let service = Service::start(dir, "");
        post(&service, &[line("acknowledged again")]);
        service.hits("acknowledged", 1);
        service.stop();
    });
}
