//! The service as its users meet it: real senders, real sockets, a real kill, and the HTTP interface.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test waits for conditions by the clock and says what it skips"
)]

#[path = "../program/mod.rs"]
mod program;
mod senders;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use program::{PATIENCE, Service, program, wait_for};
use serde_json::{Value, json};

#[test]
fn records_over_http_are_there_once_they_are_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(dir.path(), "");
    let send = |path: &str, body: &str| -> Value {
        let answer = api::client::post(&service.api, path, &service.token, body).expect(path);
        serde_json::from_str(&answer).expect("JSON")
    };
    let lines = "<38>1 2026-04-01T00:00:00Z srv sshd 1 - - by http\n\n{\"message\":\"by http\"}\r\n";
    assert_eq!(send("/api/v1/ingest", lines), json!({"accepted": 2}));
    let bulk = "{\"create\":{\"_index\":\"logs\",\"_id\":\"mine\"}}\n{\"message\":\"by http in bulk\"}\n{\"delete\":{\"_id\":\"1\"}}\n{\"index\":{}}\nno object\n";
    let answer = send("/api/v1/_elastic/_bulk", bulk);
    let status: Vec<&Value> = answer["items"]
        .as_array()
        .expect("items")
        .iter()
        .flat_map(|i| i.as_object().expect("one").values())
        .map(|i| &i["status"])
        .collect();
    assert_eq!((status, &answer["errors"]), (vec![&json!(201), &json!(400), &json!(400)], &json!(true)));
    // Answered means on disk: nothing is lost by a kill at this moment.
    service.kill();
    let service = Service::start(dir.path(), "");
    assert_eq!(service.hits("\"by http\"", 3).len(), 3);
    // Whichever id the sender wished for, it is told the event's.
    assert_eq!(service.hits("\"http in bulk\"", 1)[0]["id"], answer["items"][0]["create"]["_id"]);
    let refused = api::client::post(&service.api, "/api/v1/ingest", "wrong", lines).expect_err("no token");
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    service.stop();
}

#[test]
fn records_of_opentelemetry_are_there_once_they_are_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(dir.path(), "");
    let json = json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "portal"}}]},
        "scopeLogs": [{"logRecords": [{"timeUnixNano": "1775001600000000000", "severityText": "WARN",
            "body": {"stringValue": "照会失敗 by otlp"}, "attributes": [{"key": "user.name", "value": {"stringValue": "taro"}}]}]}]}]});
    assert_eq!(service.post("/v1/logs", &json).expect("taken"), json!({}));
    // The same in protobuf: messages within messages, each with its field's number and length before it.
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let body = field(5, &field(1, "照会失敗 by otlp".as_bytes()));
    let request = field(1, &field(2, &field(2, &body)));
    let post = |token: &str, kind: &str, body: &[u8]| -> String {
        use std::io::Read;
        let mut stream = TcpStream::connect(service.api.trim_start_matches("http://")).expect("connects");
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    };
    let answer = post(&service.token, "application/x-protobuf", &request);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("application/x-protobuf"), "{answer}");
    assert!(post("wrong", "application/x-protobuf", &request).starts_with("HTTP/1.1 401"));
    assert!(post(&service.token, "text/plain", &request).starts_with("HTTP/1.1 415"));
    assert!(post(&service.token, "application/x-protobuf", &request[..5]).starts_with("HTTP/1.1 400"));
    // Answered means on disk.
    service.kill();
    let service = Service::start(dir.path(), "");
    assert_eq!(service.hits("\"照会失敗 by otlp\"", 2).len(), 2);
    let hit = &service.hits("service.name:portal AND user.name:taro AND message:*otlp*", 1)[0];
    // A time so long before its receipt is not believed, and kept.
    assert_eq!(hit["fields"]["event.created"], "2026-04-01T00:00:00Z", "{hit}");
    // Its message is read from the journal.
    assert!(hit["fields"]["message"].as_str().is_some_and(|text| text.contains("by otlp")), "{hit}");
    service.stop();
}

#[test]
fn killed_in_the_middle_nothing_is_lost_or_doubled() {
    const ROUNDS: usize = 4;
    const RECORDS: usize = 1500;
    let dir = tempfile::tempdir().expect("a folder");
    for round in 0..ROUNDS {
        let mut service = Service::start(dir.path(), "");
        let before = service.get("/api/v1/stats")["journal_position"].as_u64().expect("a position");
        let mut stream = TcpStream::connect(service.listen[1]).expect("connects");
        for n in 0..RECORDS {
            let number = round * RECORDS + n;
            // Ten failures and a success of one address a round: one alert each.
            let text = match n {
                100..110 => format!("Failed password for root from 203.0.113.{round} port {n} ssh2: number-{number}x"),
                115 => format!("Accepted password for root from 203.0.113.{round} port {n} ssh2: number-{number}x"),
                _ => format!("Server listening number-{number}x"),
            };
            let line = format!("<38>1 {} srv sshd 1 - - {text}", now());
            write!(stream, "{} {line}", line.len()).expect("sent");
        }
        drop(stream);
        // In the middle: the journal has a good part of them, the index and the alerts have not ended.
        let position = || service.get("/api/v1/stats")["journal_position"].as_u64();
        wait_for("the journal to have a part", || (position()? >= before + 300).then_some(()));
        if round % 2 == 1 {
            service.hits(&format!("number-{}x", round * RECORDS), 1);
        }
        service.kill();
    }
    let verified = program().arg("verify").arg(dir.path().join("data")).output().expect("runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let elsewhere = program().arg("verify").arg(dir.path()).output().expect("runs");
    assert!(!elsewhere.status.success(), "a folder without a journal is no proof");
    // What the journal has is what must be found, each once.
    let kept = journal_numbers(&dir.path().join("data/journal"));
    let service = Service::start(dir.path(), "");
    service.hits("listening OR password", kept.len() as u64);
    let mut seen: Vec<u64> = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let body = json!({"query": "listening OR password", "from": "2000-01-01", "size": 1000, "cursor": cursor});
        let page = service.post("/api/v1/search", &body).expect("searches");
        for hit in page["hits"].as_array().expect("hits") {
            let raw = hit["raw"].as_str().expect("text");
            let number = raw.split("number-").nth(1).and_then(|t| t.strip_suffix('x')).and_then(|t| t.parse().ok());
            seen.push(number.unwrap_or_else(|| panic!("{raw}")));
        }
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let found = seen.len();
    seen.sort_unstable();
    assert_eq!(seen, kept, "the index has what the journal has, each once");
    // TCP acknowledges nothing: of each round the journal has a beginning without a hole, with the login at least.
    for round in 0..ROUNDS {
        let of_round: Vec<u64> = seen.iter().copied().filter(|n| *n as usize / RECORDS == round).collect();
        let expected: Vec<u64> = (0..of_round.len() as u64).map(|n| (round * RECORDS) as u64 + n).collect();
        assert_eq!(of_round, expected, "a hole in round {round}");
        assert!(of_round.len() > 200, "round {round} has {}", of_round.len());
    }
    // The ledger is committed with the alerts, on a pace of its own.
    let received = || -> u64 {
        let ledger = service.get("/api/v1/ledger");
        ledger["days"].as_array().expect("days").iter().filter_map(|d| d["received"].as_u64()).sum()
    };
    wait_for("the ledger", || (received() >= found as u64).then_some(()));
    assert_eq!(received(), found as u64, "the ledger counts each record once");
    let critical = || -> Vec<Value> {
        let alerts = service.get("/api/v1/alerts?size=500");
        let alerts = alerts["alerts"].as_array().expect("alerts");
        alerts.iter().filter(|a| a["rule"]["level"] == "critical").cloned().collect()
    };
    wait_for("the alerts", || (critical().len() >= ROUNDS).then_some(()));
    let alerts = critical();
    assert_eq!(alerts.len(), ROUNDS, "one alert a round: {alerts:?}");
    service.stop();
}

/// The journal of a service that does not run, read or written by a clock that stands: receive times stay where they were.
fn journal(dir: &Path, options: ingest::log::JournalOptions) -> ingest::log::Journal {
    struct Still;
    impl event::Clock for Still {
        fn now(&self) -> event::Time {
            event::Time::EPOCH
        }
    }
    ingest::log::Journal::open(dir, options, std::sync::Arc::new(Still)).expect("opens").0
}

/// The numbers of the records that a journal has, in their order.
fn journal_numbers(dir: &Path) -> Vec<u64> {
    let journal = journal(dir, ingest::log::JournalOptions::default());
    let mut reader = journal.reader(1);
    let mut numbers = Vec::new();
    let mut frames = event::Frames::default();
    while reader.next_offset() <= journal.durable() {
        frames.clear();
        reader.read(&mut frames, 1 << 20, Duration::ZERO).expect("reads");
        for frame in frames.iter().filter(|f| f.head.content == event::Content::Text) {
            let text = String::from_utf8_lossy(frame.bytes);
            let number = text.split("number-").nth(1).and_then(|t| t.strip_suffix('x')).and_then(|t| t.parse().ok());
            numbers.push(number.unwrap_or_else(|| panic!("{text}")));
        }
    }
    assert_eq!(reader.gaps, []);
    numbers
}

fn now() -> String {
    ago(Duration::ZERO)
}

fn ago(time: Duration) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970") - time;
    event::Time::from_unix_ns(since.as_nanos() as i64).to_string()
}

#[test]
fn bad_input_is_counted_and_the_service_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for n in 0..500u64 {
        let bytes: Vec<u8> = (0..n % 300).map(|_| random() as u8).collect();
        for address in [service.listen[0], service.listen[2]] {
            socket.send_to(&bytes, address).expect("sent");
        }
        let mut flow = vec![0, [5, 9, 10][n as usize % 3], 0, 30];
        flow.extend(&bytes);
        socket.send_to(&flow, service.listen[2]).expect("sent");
    }
    socket.send_to(b"no decoder knows this \xff\xfe", service.listen[0]).expect("sent");
    // A line that never ends must not cost more than its bound; the connection stays.
    let mut stream = TcpStream::connect(service.listen[1]).expect("connects");
    let block = vec![b'A'; 1 << 20];
    for _ in 0..64 {
        stream.write_all(&block).expect("sent");
    }
    stream.write_all(b"\n<13>Apr  1 09:00:00 srv app: after the long line\n").expect("sent");
    service.hits("\"after the long line\"", 1);
    service.hits("mihari.flags:truncated", 1);
    service.hits("mihari.quarantined:true AND \"no decoder knows this\"", 1);
    service.hits("mihari.quarantined:true AND error.message:\"no flow packet: unknown version\"", 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.child.id())).expect("the process is there");
    let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    assert!(resident.is_some_and(|kib| kib < 1 << 20), "{resident:?} KiB");
    let error = service.post("/api/v1/search", &json!({"query": "(".repeat(3000)})).expect_err("refused").to_string();
    assert!(error.contains("bad_query"), "{error}");
    service.stop();
}

#[test]
fn without_a_good_token_nothing_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let description: Value = serde_json::from_str(&api::openapi::document()).expect("JSON");
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "0-1-0");
        for token in ["", "wrong", "mih_000000000000_0000"] {
            let error = if operations.get("post").is_some() {
                api::client::post(&service.api, &path, token, "{}").expect_err(&path)
            } else {
                api::client::stream(&service.api, &path, &[], token).map(|_| ()).expect_err(&path)
            };
            let told = error.to_string();
            assert!(told.contains("401") || told.contains("429"), "{path}: {told}");
        }
    }
    service.stop();
}

#[test]
fn a_new_alert_is_told_once_and_can_be_worked_on() {
    use std::io::{BufRead, BufReader, Read};
    let hook = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = hook.local_addr().expect("an address");
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (n, stream) in hook.incoming().enumerate() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let (mut length, mut key) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a header");
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                } else if let Some(value) = lower.strip_prefix("idempotency-key:") {
                    key = value.trim().to_owned();
                } else if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            // The first try fails: it is tried again with the same key.
            let answer = if n == 0 {
                "HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
            };
            reader.get_mut().write_all(answer.as_bytes()).expect("answered");
            if sender.send((key, String::from_utf8(body).expect("text"))).is_err() {
                break;
            }
        }
    });
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), &format!("notify: [{{name: chat, slack_webhook: \"http://{address}/hook\"}}]\n"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let line = |port: u16| {
        format!(
            "<4>Apr  1 09:00:00 fw-lgwan kernel: [1.0] LGWAN-ACCEPT: IN=eth1 OUT=eth0 SRC=10.2.16.9 DST=192.0.2.7 LEN=60 TTL=63 PROTO=TCP \
             SPT={port} DPT=443 SYN"
        )
    };
    // Three connections, the first of which is told twice: that is one connection still.
    for port in [50_000, 50_000, 50_001, 50_002] {
        socket.send_to(line(port).as_bytes(), service.listen[0]).expect("sent");
    }
    let (first_key, _) = told.recv_timeout(PATIENCE).expect("told");
    let (key, body) = told.recv_timeout(PATIENCE).expect("told again");
    assert_eq!(first_key, key);
    assert!(body.contains("10.2.16.9") && body.contains("6(3)②"), "{body}");
    let alerts = service.get("/api/v1/alerts");
    assert_eq!(alerts["total"], 1, "{alerts}");
    let id = alerts["alerts"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(id, key);
    assert_eq!(alerts["alerts"][0]["clause"], "6(3)②");
    wait_for("the repeats to fold", || (service.get(&format!("/api/v1/alerts/{id}"))["count"] == 3).then_some(()));
    let evidence = wait_for("the evidence", || {
        let events = service.get(&format!("/api/v1/alerts/{id}/events"));
        (events["events"].as_array()?.len() == 3).then_some(events)
    });
    assert_eq!(evidence["events"][0]["raw"], line(50_000));
    let act = |body: Value| service.post(&format!("/api/v1/alerts/{id}/actions"), &body);
    assert_eq!(act(json!({"action": "acknowledge"})).expect("done")["status"], "acknowledged");
    assert_eq!(
        act(json!({"action": "comment", "comment": "<b>見た</b>"})).expect("done")["actions"][1]["comment"],
        "<b>見た</b>"
    );
    assert!(act(json!({"action": "close"})).is_err(), "a disposition is needed");
    assert_eq!(act(json!({"action": "close", "disposition": "true_positive"})).expect("done")["status"], "closed");
    assert_eq!(service.get("/api/v1/alerts?status=open")["total"], 0);
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "told once");
    service.stop();
}

/// The ledger of all days and sources together: received, parsed, quarantined, released.
fn ledger(service: &Service) -> [u64; 4] {
    let mut sums = [0; 4];
    for day in service.get("/api/v1/ledger")["days"].as_array().expect("days") {
        let sum = |member: &str| day[member].as_object().expect("reasons").values().filter_map(Value::as_u64).sum::<u64>();
        let number = |member: &str| day[member].as_u64().expect("a number");
        assert_eq!(number("received"), number("parsed") + sum("quarantined") + sum("dropped"), "{day}");
        for (total, n) in sums.iter_mut().zip([number("received"), number("parsed"), sum("quarantined"), sum("released")]) {
            *total += n;
        }
    }
    sums
}

#[test]
fn quarantined_records_are_released_once_a_parser_is_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(dir.path(), "");
    let mut stream = TcpStream::connect(service.listen[1]).expect("connects");
    for n in 0..50 {
        writeln!(stream, "GK3 door {n} opened by card 00{n}").expect("sent");
        writeln!(stream, "GK3 out of paper {n}").expect("sent");
    }
    drop(stream);
    UdpSocket::bind("127.0.0.1:0").expect("binds").send_to(b"\xff\xffno flow", service.listen[2]).expect("sent");
    wait_for("the ledger", || (ledger(&service) == [101, 0, 101, 0]).then_some(()));
    let list = service.get("/api/v1/quarantine?size=1000&source=127.0.0.1&reason=no%20decoder%20knows%20this%20record");
    assert_eq!((list["total"].as_u64(), list["records"].as_array().map(Vec::len)), (Some(100), Some(100)), "{list}");
    let (first, received) = (&list["records"][0]["raw"], list["records"][0]["received"].clone());
    assert_eq!(first, "GK3 door 0 opened by card 000");
    let reparse = |service: &Service, body: Value| service.post("/api/v1/quarantine/reparse", &body).expect("answered");
    assert_eq!(reparse(&service, json!({}))["released"], 0, "nothing was mended yet");
    // What the index has not yet is read again after the kill, and would be by the mended decoder.
    service.hits("GK3", 100);
    service.kill();

    std::fs::write(
        dir.path().join("gk3.yaml"),
        "name: gk3\nabout: A door.\nlines: ['GK3 door {.door:int} opened by card {user.id}']\n",
    )
    .expect("written");
    let mended = format!("decode: {{formats: [{}]}}\n", dir.path().join("gk3.yaml").display());
    let mut service = Service::start(dir.path(), &mended);
    assert_eq!(reparse(&service, json!({"dry_run": true}))["released"], 50);
    let page = reparse(&service, json!({"size": 10}));
    assert_eq!((&page["looked_at"], &page["released"]), (&json!(10), &json!(5)), "{page}");
    // Asked again at once and killed: what was answered is on disk, and nothing is released twice.
    assert_eq!(reparse(&service, json!({}))["released"], 45);
    assert_eq!(reparse(&service, json!({}))["released"], 0);
    service.kill();
    let service = Service::start(dir.path(), &mended);
    wait_for("the ledger", || (ledger(&service) == [101, 50, 51, 50]).then_some(()));
    let hits = service.hits("mihari.format:gk3", 50);
    assert_eq!(hits.len(), 50);
    let hit = hits.iter().find(|hit| hit["fields"]["user.id"] == "000").expect("the first");
    assert_eq!((&hit["raw"], &hit["received"]), (first, &received), "{hit}");
    assert_eq!(hit["fields"]["mihari.released_from"], list["records"][0]["id"]);
    let released = hit["fields"]["mihari.released"].as_str().expect("it says when");
    assert!(Some(released) > received.as_str(), "{hit}");
    assert_eq!(service.hits("mihari.released:[now-1h TO now]", 50).len(), 50);
    assert_eq!(hit["fields"]["source.ip"], Value::Null);
    assert_eq!(service.get("/api/v1/quarantine")["total"], 51);
    let sources = service.get("/api/v1/sources");
    let tcp = sources["sources"].as_array().expect("sources").iter().find(|s| s["transport"] == "tcp").expect("a source");
    assert_eq!((&tcp["received"], &tcp["parsed"], &tcp["quarantined"]), (&json!(100), &json!(50), &json!(50)), "{tcp}");
    // The command says the same, and there is nothing more to release.
    let command = |args: &[&str]| {
        let service = ["--url", &service.api, "--token", &service.token];
        let output = program().arg("quarantine").args(args).args(service).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(command(&["list"]).lines().count(), 51);
    assert_eq!(command(&["reparse"]).trim(), "0 of 51 quarantined records released");
    service.stop();
}

/// The row of the list of sources that has this address, or what stands for one.
fn source_of(service: &Service, address: &str) -> Option<Value> {
    let sources = service.get("/api/v1/sources");
    sources["sources"].as_array()?.iter().find(|source| source["address"] == address).cloned()
}

#[test]
fn followed_files_are_sources_of_their_own_and_go_on_after_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let [door, kiosk] = ["door.log", "kiosk.log"].map(|name| dir.path().join(name));
    let listen = format!(
        "  - {{kind: file, path: {}, from: start}}\n  - {{kind: file, path: {}, from: start, charset: shift_jis}}\n",
        door.display(),
        kiosk.display()
    );
    let write = |path: &Path, line: &[u8]| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opens");
        file.write_all(line).expect("written");
    };
    let round = |service: &Service, count: u64| {
        service.hits("gate opened", count);
        let hits = service.hits("\"ログイン\"", count);
        assert_eq!(hits.len() as u64, count, "each once");
        assert!(hits.iter().all(|hit| hit["fields"]["log.file.path"] == *kiosk.to_string_lossy()), "{hits:?}");
    };
    let door_line = b"<13>Apr  1 09:00:00 door app: gate opened\n";
    // In Shift_JIS (JIS X 0208): the word for a login.
    let kiosk_line = b"<13>Apr  1 09:00:00 kiosk app: \x83\x8d\x83\x4f\x83\x43\x83\x93 7\n";
    write(&door, door_line);
    write(&kiosk, kiosk_line);
    let mut service = Service::start(dir.path(), &listen);
    round(&service, 1);
    service.kill();
    write(&door, door_line);
    write(&kiosk, kiosk_line);
    let service = Service::start(dir.path(), &listen);
    round(&service, 2);
    for path in [&door, &kiosk] {
        let received = || source_of(&service, &path.to_string_lossy()).filter(|source| source["received"] == 2);
        let source = wait_for("the file as a source", received);
        assert_eq!(source["transport"], "file");
    }
    service.stop();
}

#[test]
fn what_is_refused_or_brings_no_record_stands_with_its_sender() {
    const SENT: usize = 100;
    let dir = tempfile::tempdir().expect("a folder");
    let limited = "  - {kind: syslog_udp, address: \"127.0.0.1:0\", records_per_second: 5}\n";
    let service = Service::start(dir.path(), limited);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for n in 0..SENT {
        socket.send_to(format!("<13>Apr  1 09:00:00 srv app: {n}").as_bytes(), service.listen[3]).expect("sent");
    }
    // IPFIX (RFC 7011 §3): a header, and a data set whose template 256 never came.
    let message = [&[0, 10, 0, 24][..], &[0; 12], &[1, 0, 0, 8, 1, 2, 3, 4]].concat();
    socket.send_to(&message, service.listen[2]).expect("sent");
    let complete = |source: &Value| source["received"] == SENT && source["without_records"] == 1;
    let source = wait_for("all that was sent", || source_of(&service, "127.0.0.1").filter(complete));
    let [parsed, dropped] = ["parsed", "dropped"].map(|what| source[what].as_u64().expect("a number"));
    assert!(parsed >= 5 && dropped > 0 && parsed + dropped == SENT as u64, "{source}");
    assert_eq!(ledger(&service)[0], SENT as u64);
    service.stop();
}

/// The log tells the time: the minute before the search was saved is over at once, and nobody waits for the next.
#[test]
fn a_scheduled_search_tells_each_window_once_over_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut service = Service::start(dir.path(), "");
    let schedule = json!({"every_minutes": 1, "condition": "none", "level": "high", "title": "Nothing came"});
    let saved = service.post("/api/v1/searches", &json!({"name": "quiet", "query": "nosuchword", "schedule": schedule}));
    let id = saved.expect("saved")["id"].as_str().expect("an id").to_owned();
    // As many as have run, and what they have told.
    let told = |service: &Service| {
        wait_for("runs and alerts that agree", || {
            let runs = service.get(&format!("/api/v1/searches/{id}/runs"))["runs"].as_array()?.clone();
            let alerts = service.get(&format!("/api/v1/alerts?rule={id}"))["alerts"].as_array()?.clone();
            let count: usize = alerts.iter().filter_map(|alert| alert["count"].as_u64()).sum::<u64>() as usize;
            (!runs.is_empty() && count == runs.len()).then_some((runs, alerts))
        })
    };
    let (before, alerts) = told(&service);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    service.kill();
    let service = Service::start(dir.path(), "");
    let (runs, again) = told(&service);
    assert_eq!((again.len(), &again[0]["id"]), (1, &alerts[0]["id"]), "{again:?}");
    assert_eq!(runs[runs.len() - before.len()..], before, "what was told is not told again");
    assert!(runs.windows(2).all(|two| two[0]["window_start"] == two[1]["window_end"]), "{runs:?}");
    service.stop();
}

/// The index outlives the journal: what was cut from it is found still, by its fields and words, and says by which rule its record is gone.
#[test]
fn a_hit_whose_record_was_trimmed_says_so_and_by_which_rule() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let send = |service: &Service, from: usize| {
        let lines: Vec<String> =
            (from..from + 50).map(|n| format!("<38>Apr  1 09:00:00 host app: login of user{n:03}")).collect();
        api::client::post(&service.api, "/api/v1/ingest", &service.token, &lines.join("\n")).expect("taken");
        service.post("/api/v1/_elastic/_refresh", &json!({})).expect("searchable");
    };
    send(&service, 0);
    let old = service.hits("user007", 1);
    assert_eq!((old.len(), old[0]["raw_gone"].is_null()), (1, true), "{old:?}");
    service.stop();
    // A segment of its own for what comes next, and all before it removed: as retention does it, without the wait.
    {
        let options = ingest::log::JournalOptions { segment_bytes: 1, compress: true };
        let mut journal = journal(&dir.path().join("data/journal"), options);
        for n in 0..3 {
            let mut frames = event::Frames::default();
            let head = event::FrameHead::new(event::Transport::Http, event::Content::Text);
            frames.push(head, format!("<38>Apr  1 09:00:00 host app: between {n}").as_bytes());
            journal.appender().append_blocking(frames).expect("appended");
            journal.sync().expect("synced");
        }
        let retention = ingest::log::Retention { age_ns: None, bytes: Some(1) };
        let passed = old[0]["id"].as_str().and_then(|id| id.parse::<event::EventId>().ok()).expect("an id").frame.offset;
        // A segment that is being compressed stays until it is.
        wait_for("the segment's removal", || {
            let removed = journal.trim(&retention, u64::MAX, None).expect("trimmed");
            removed.iter().any(|one| (one.first..=one.last).contains(&passed)).then_some(())
        });
        journal.close();
    }
    let service = Service::start(dir.path(), "");
    send(&service, 100);
    let hit = |query: &str| {
        let hits = service.hits(query, 1);
        assert_eq!(hits.len(), 1, "{query}");
        hits[0].clone()
    };
    let (gone, kept) = (hit("user007"), hit("user107"));
    let mut fields = old[0]["fields"].clone();
    fields.as_object_mut().expect("fields").remove("message"); // It is read from the record.
    assert_eq!((&gone["id"], &gone["fields"]), (&old[0]["id"], &fields), "what the index has stays");
    assert_eq!((&gone["raw"], &gone["raw_gone"]), (&json!(""), &json!(true)));
    let removed = &gone["raw_removed"];
    assert_eq!((&removed["rule"], &removed["bound"]), (&json!("bytes"), &json!(1)), "{gone}");
    let tombstones = std::fs::read_to_string(dir.path().join("data/journal/tombstones")).expect("there");
    let root = removed["root"].as_str().expect("a root");
    assert!(tombstones.lines().any(|line| line.contains(root)), "it names a tombstone that a verifier finds: {removed}");
    assert_eq!((kept["raw_gone"].is_null(), kept["raw_removed"].is_null()), (true, true), "{kept}");
    let one = service.get(&format!("/api/v1/events/{}", gone["id"].as_str().expect("an id")));
    assert_eq!(one["raw_removed"], *removed);
    assert!(program().arg("verify").arg(dir.path().join("data/journal")).status().expect("runs").success());
    service.stop();
}

/// Which rules were in force from which record on, who asked for them, and what they changed: over a reload and over a restart.
#[test]
fn the_audit_trail_tells_which_rules_were_in_force() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("rules")).expect("made");
    let put = |name: &str, word: &str| {
        let text = format!("title: {name}\nid: {name}\nlogsource: {{category: any}}\ndetection: {{k: [{word}], condition: k}}\n");
        std::fs::write(dir.path().join("rules").join(format!("{name}.yml")), text).expect("written");
    };
    put("own-one", "first");
    let service = Service::start(dir.path(), "");
    let records = |service: &Service| service.get("/api/v1/audit?what=rules")["records"].as_array().expect("a list").clone();
    let first = records(&service);
    let shipped = rules::pack().iter().filter(|(name, _)| name.ends_with("rule.yml")).count() as u64;
    assert_eq!((first.len(), &first[0]["record"]["by"]), (1, &json!("at the start")), "{first:?}");
    assert!(first[0]["record"]["added"]["count"].as_u64() > Some(shipped), "{first:?}");
    put("own-one", "second");
    put("own-two", "third");
    service.post("/api/v1/rules/reload", &json!({})).expect("loaded");
    // The log has a tick each second: the next batch is matched by them.
    let both = wait_for("the record", || Some(records(&service)).filter(|all| all.len() == 2));
    let record = &both[0]["record"];
    let named = |what: &str| record[what]["ids"].clone();
    assert_eq!([named("added"), named("removed"), named("changed")], [json!(["own-two"]), json!([]), json!(["own-one"])]);
    assert_eq!((&record["by"], &record["before"]), (&json!("test"), &both[1]["record"]["after"]));
    assert!(record["from_offset"].as_u64() > Some(0), "{record}");
    service.stop();
    let service = Service::start(dir.path(), "");
    assert_eq!(records(&service), both, "the same rules are in force again");
    service.stop();
    std::fs::remove_file(dir.path().join("rules/own-two.yml")).expect("removed");
    let service = Service::start(dir.path(), "");
    let all = records(&service);
    assert_eq!((all.len(), &all[0]["record"]["removed"]["ids"]), (3, &json!(["own-two"])));
    let output =
        program().args(["audit", "--what", "rules", "--url", &service.api, "--token", &service.token]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    service.stop();
}

/// A tenant is shown what its own records did; what correlation fired for and what came too late for it is among the metrics.
#[test]
fn a_tenant_sees_what_rules_did_with_its_own_records() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("rules")).expect("made");
    let rules = "title: Knocks\nid: knocks\nlogsource: {category: any}\ndetection: {k: [knocked], condition: k}\n---\n\
        title: Many knocks\nid: many\ncorrelation: {type: event_count, rules: [knocks], timespan: 1h, condition: {gte: 2}}\n";
    std::fs::write(dir.path().join("rules/knocks.yml"), rules).expect("written");
    let more = "  - {kind: syslog_udp, address: \"127.0.0.1:0\", tenant: other}\ntenants: [default, other]\n";
    let service = Service::start(dir.path(), more);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let send = |to: usize, record: &str| socket.send_to(record.as_bytes(), service.listen[to]).expect("sent");
    send(0, "<13>somebody knocked");
    let late = format!("<13>1 {} gate app - - - three knocked hours ago", ago(Duration::from_secs(3 * 3600)));
    for record in ["<13>one knocked", "<13>two knocked", &late] {
        send(3, record);
    }
    let metrics = || {
        use std::io::Read;
        let mut text = String::new();
        let mut stream = api::client::stream(&service.api, "/metrics", &[], &service.token).expect("metrics");
        stream.read_to_string(&mut text).expect("text");
        text
    };
    let told = wait_for("what the other tenant's records did", || {
        Some(metrics()).filter(|text| text.contains("mihari_rule_matches_total{rule=\"many\"} 2"))
    });
    for line in [
        "mihari_rule_matches_total{rule=\"knocks\"} 4",
        "mihari_rule_late_total{rule=\"knocks\"} 1",
        "mihari_correlation_late_total 1",
        "mihari_correlation_groups 2",
    ] {
        assert!(told.lines().any(|other| other == line), "{line}: {told}");
    }
    let shown = service.get("/api/v1/rules");
    let matches = |id: &str| {
        let rules = shown["rules"].as_array().expect("a list");
        rules.iter().find(|rule| rule["id"] == id).map(|rule| rule["matches"].clone())
    };
    assert_eq!([matches("knocks"), matches("many")], [Some(json!(1)), Some(json!(0))]);
    service.stop();
}

/// One socket takes the records of several tenants, told apart by who sends; what is refused of a sender is its tenant's too.
#[test]
fn whose_records_are_is_told_by_who_sends_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let senders = "senders: [{cidr: 127.0.0.0/8, records_per_second: 1000}, {cidr: 127.0.0.2, tenant: water}, \
                   {cidr: 127.0.0.3, tenant: water, records_per_second: 1}]";
    let more = format!(
        "  - {{kind: syslog_udp, address: \"127.0.0.1:0\", {senders}}}\n  - {{kind: syslog_tcp, address: \"127.0.0.1:0\", {senders}}}\n\
         tenants: [default, water]\n"
    );
    let service = Service::start(dir.path(), &more);
    let mut create = program();
    create.args(["token", "create", "--name", "water", "--tenant", "water", "--config"]).arg(dir.path().join("mihari.yaml"));
    let water = String::from_utf8(create.output().expect("runs").stdout).expect("text").trim().to_owned();
    let send = |from: &str, text: &str| {
        let socket = UdpSocket::bind((from, 0)).expect("binds");
        socket.send_to(format!("<38>1 {} srv app 1 - - {text}", now()).as_bytes(), service.listen[3]).expect("sent");
    };
    send("127.0.0.1", "datagram of the first");
    send("127.0.0.2", "datagram of the second");
    (0..20).for_each(|_| send("127.0.0.3", "datagram over quota"));
    for (from, text) in [([127, 0, 0, 1], "line of the first"), ([127, 0, 0, 2], "line of the second")] {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&std::net::SocketAddr::from((from, 0)).into()).expect("binds");
        socket.connect(&service.listen[4].into()).expect("connects");
        TcpStream::from(socket).write_all(format!("<38>1 {} srv app 1 - - {text}\n", now()).as_bytes()).expect("sent");
    }
    let found = |token: &str| -> u64 {
        let body = json!({"query": "\"of the first\" OR \"of the second\"", "size": 0}).to_string();
        let answer = api::client::post(&service.api, "/api/v1/search", token, &body).expect("searches");
        serde_json::from_str::<Value>(&answer).expect("JSON")["total"].as_u64().expect("a count")
    };
    wait_for("the records of both", || (found(&service.token) == 2 && found(&water) == 2).then_some(()));
    // The ledger of each has its own, to the record.
    let ledger = |token: &str| -> Value {
        use std::io::Read;
        let mut text = String::new();
        let mut stream = api::client::stream(&service.api, "/api/v1/ledger", &[], token).expect("a ledger");
        stream.read_to_string(&mut text).expect("text");
        serde_json::from_str(&text).expect("JSON")
    };
    let entry = |ledger: &Value, source: &str| -> Option<Value> {
        ledger["days"].as_array()?.iter().find(|day| day["source"] == source).cloned()
    };
    let refused = wait_for("what was refused", || entry(&ledger(&water), "127.0.0.3").filter(|day| day["received"] == 20));
    let dropped = refused["dropped"]["over_quota"].as_u64().expect("some were refused");
    assert_eq!(refused["parsed"].as_u64().expect("a count") + dropped, 20, "{refused}");
    assert_eq!(entry(&ledger(&service.token), "127.0.0.3"), None);
    assert_eq!(entry(&ledger(&water), "127.0.0.2").expect("its own")["received"], 2);
    service.stop();
}
