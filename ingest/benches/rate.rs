//! Line rate: datagrams and connections from this machine into the journal, with the ledger of what was offered.
//!
//! `cargo bench -p ingest --bench rate [-- PART...] [-- --seconds N]`, parts `syslog`, `flow`, `tcp`; without any, all. Datagrams: a generator
//! sends at a steady rate, then at ten times that rate, through real sockets; afterwards the journal is read and decoded, and every record must be
//! accounted for: sent = received + kernel drops, received = parsed + quarantined. Connections: the mixed corpus where it is there (else lines that
//! are made here) over TCP, to journal and parsed NDJSON; then the same lines to rsyslog, which writes JSON.
//!
//! Processor time is the kernel's own count. What the generator spends is told apart; on loopback the kernel delivers a datagram within the
//! sender's call, so that the generator's share is larger than a real sender's would be.

#![expect(clippy::print_stdout, reason = "the figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time, and waits")]

use std::io::{BufRead, BufReader, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::limits::BATCH_BYTES_MAX;
use event::{Batch, BatchBuilder, Clock, Content, Frames, LogRange, TenantId, Time};
use ingest::decode::flow::FlowDecoder;
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder};
use ingest::listen::{Admission, Datagrams, Listen, Listeners, Place, Stream, StreamProtocol};
use ingest::log::{Journal, JournalOptions};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, Socket, Type};
use tokio_util::sync::CancellationToken;

/// Datagrams a second of the steady rate.
const SYSLOG_RATE: u64 = 100_000;
const FLOW_RATE: u64 = 20_000;
const SECONDS: u64 = 5;
/// Senders, so that the kernel has something to share out among the sockets.
const SENDERS: usize = 4;
/// Sockets of the listener: one a core.
const SOCKETS: usize = 2;
/// The kernel cuts one call into datagrams (UDP_SEGMENT, `linux/udp.h`), at most so many and so many bytes; without it a sender on two cores
/// does not come near the tenfold rate.
const SEGMENTS_MAX: usize = 60;
const SEGMENT_BYTES_MAX: usize = 64_000;
/// Lines of the corpus that go over TCP.
const LINES_MAX: usize = 100_000;
/// Bytes of NDJSON that go to the file at once: as many as stay in the cache.
const WRITE_BYTES: usize = 128 << 10;
/// How long rsyslog may take for them.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seconds = arguments.iter().skip_while(|a| *a != "--seconds").nth(1).map_or(SECONDS, |n| n.parse().expect("a number"));
    let parts: Vec<&str> = arguments.iter().map(String::as_str).filter(|a| ["syslog", "flow", "tcp"].contains(a)).collect();
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if wanted("syslog") {
        datagrams("syslog", Content::Text, SYSLOG_RATE, seconds, syslog_line);
        datagrams("syslog, tenfold", Content::Text, 10 * SYSLOG_RATE, seconds, syslog_line);
    }
    if wanted("flow") {
        datagrams("flow packets", Content::Flow, FLOW_RATE, seconds, flow_packet);
        datagrams("flow packets, tenfold", Content::Flow, 10 * FLOW_RATE, seconds, flow_packet);
    }
    if wanted("tcp") {
        connections();
    }
}

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Time::from_unix_ns(since.as_nanos() as i64)
    }
}

struct Rig {
    runtime: tokio::runtime::Runtime,
    listeners: Listeners,
    stop: CancellationToken,
    journal: Journal,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn start(place: Place) -> Rig {
        let dir = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(Wall);
        let (journal, _) = Journal::open(&dir.path().join("journal"), JournalOptions::default(), clock.clone()).expect("opens");
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let listens = [Listen { place, tenant: TenantId(0), admission: Admission::default() }];
        let listeners =
            runtime.block_on(async { Listeners::start(&listens, &journal.appender(), &clock, &stop) }).expect("listens");
        let address = listeners.bound()[0].expect("an address");
        Rig { runtime, listeners, stop, journal, address, _dir: dir }
    }

    /// Takes what is still to come, and ends the listeners.
    fn end(self) -> (Journal, tempfile::TempDir) {
        self.stop.cancel();
        self.runtime.block_on(self.listeners.join());
        self.journal.sync().expect("syncs");
        (self.journal, self._dir)
    }
}

/// Processor time of a process so far: user and system, in the kernel's ticks of 10 ms.
fn process_time(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts");
    Duration::from_nanos(stat.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number"))
}

/// A line of 200 bytes, the same length for every number.
fn syslog_line(number: u64) -> Vec<u8> {
    let mut line = format!(
        "<38>1 2026-04-01T09:00:00.000000+09:00 gw{:02} sshd {:05} - - Failed password for invalid user u{:04} from 192.0.2.{:03} port {:05} ssh2: {number:012}",
        number % 50,
        number % 30_000,
        number % 9000,
        number % 250,
        1024 + number % 60_000,
    );
    while line.len() < 200 {
        line.push('.');
    }
    line.into_bytes()
}

/// NetFlow v5 with 30 records.
fn flow_packet(number: u64) -> Vec<u8> {
    let mut b = vec![0, 5, 0, 30];
    b.extend(3_600_000u32.to_be_bytes());
    b.extend(1_775_001_600u32.to_be_bytes());
    b.extend(0u32.to_be_bytes());
    b.extend((30 * number as u32).to_be_bytes());
    b.extend([0; 4]);
    for n in 0..30u8 {
        let mut record = [0u8; 48];
        record[..12].copy_from_slice(&[10, 1, n, number as u8, 192, 0, 2, n, 10, 1, 0, 1]);
        record[16..24].copy_from_slice(&[0, 0, 0, 9, 0, 0, 5, 220]);
        record[24..28].copy_from_slice(&3_500_000u32.to_be_bytes());
        record[28..32].copy_from_slice(&3_599_000u32.to_be_bytes());
        record[32..36].copy_from_slice(&[200, n, 1, 187]);
        record[38] = 6;
        b.extend(record);
    }
    b
}

/// Sends at `rate` a second for `seconds`: how many went out, the time that took, and the sender's processor time.
fn generate(to: SocketAddr, rate: u64, seconds: u64, make: fn(u64) -> Vec<u8>) -> (u64, Duration, Duration) {
    let sockets: Vec<Socket> = (0..SENDERS)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
            socket.connect(&SockAddr::from(to)).expect("connects");
            socket
        })
        .collect();
    // Made before the clock runs, and sent again and again: a generator must not be the limit.
    let bytes = make(0).len();
    let in_call = (SEGMENT_BYTES_MAX / bytes).min(SEGMENTS_MAX);
    let calls: Vec<Vec<u8>> =
        (0..64).map(|call| (0..in_call as u64).flat_map(|n| make(call * in_call as u64 + n)).collect()).collect();
    // A control message (`cmsghdr`: length, level SOL_UDP, type UDP_SEGMENT) with the size of a datagram.
    let mut control = Vec::new();
    control.extend((size_of::<usize>() + 8 + 2).to_ne_bytes());
    control.extend(17i32.to_ne_bytes());
    control.extend(103i32.to_ne_bytes());
    control.extend((bytes as u16).to_ne_bytes());
    control.resize(control.len().next_multiple_of(8), 0);
    let (start, cpu) = (Instant::now(), thread_time());
    let (mut sent, mut call) = (0u64, 0usize);
    let wanted = rate * seconds;
    while sent < wanted && start.elapsed() < Duration::from_secs(2 * seconds) {
        let due = (rate as f64 * start.elapsed().as_secs_f64()) as u64;
        if sent + in_call as u64 > due {
            std::thread::park_timeout(Duration::from_micros(200));
            continue;
        }
        let parts = [IoSlice::new(&calls[call % calls.len()])];
        let message = MsgHdr::new().with_buffers(&parts).with_control(&control);
        sockets[call % SENDERS].sendmsg(&message, 0).expect("sent");
        sent += in_call as u64;
        call += 1;
    }
    (sent, start.elapsed(), thread_time() - cpu)
}

/// Offers datagrams at a rate and accounts for each.
fn datagrams(name: &str, content: Content, rate: u64, seconds: u64, make: fn(u64) -> Vec<u8>) {
    let place = Datagrams { sockets: SOCKETS, ..Datagrams::at("127.0.0.1:0".parse().expect("an address")) };
    let rig = Rig::start(if content == Content::Flow { Place::FlowUdp(place) } else { Place::SyslogUdp(place) });
    let before = process_time("self");
    let address = rig.address;
    let generator = std::thread::spawn(move || generate(address, rate, seconds, make));
    let (sent, took, generator_time) = generator.join().expect("the generator ends");
    let (journal, _dir) = rig.end();
    let ours = (process_time("self") - before).saturating_sub(generator_time);
    let Ledger { received, parsed, quarantined, flows, dropped } = account(&journal);
    println!(
        "{name}: offered {:.0} a second for {:.1} s, sent {sent}, received {received}, kernel drops {dropped}; parsed {parsed}{}, quarantined {quarantined}",
        sent as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
        if content == Content::Flow { format!(" ({flows} flows)") } else { String::new() },
    );
    println!(
        "  processor time: listener and journal {:.2} us a record received, generator {:.2} us a record sent",
        ours.as_secs_f64() * 1e6 / received.max(1) as f64,
        generator_time.as_secs_f64() * 1e6 / sent.max(1) as f64
    );
    assert_eq!(sent, received + dropped, "sent = received + kernel drops");
    assert_eq!(received, parsed + quarantined, "received = parsed + quarantined");
}

#[derive(Default)]
struct Ledger {
    received: u64,
    parsed: u64,
    quarantined: u64,
    flows: u64,
    dropped: u64,
}

/// Reads the whole journal and decodes it.
fn account(journal: &Journal) -> Ledger {
    let mut ledger = Ledger::default();
    let (mut text, mut flow) = (text_decoder(), FlowDecoder::default());
    let mut reader = journal.reader(1);
    let mut frames = Frames::default();
    let mut builder = BatchBuilder::default();
    while reader.next_offset() <= journal.durable() {
        frames.clear();
        reader.read(&mut frames, BATCH_BYTES_MAX, Duration::ZERO).expect("reads");
        for frame in frames.iter() {
            match frame.head.content {
                Content::Text => text.decode(frame, &mut builder),
                Content::Flow => flow.decode(frame, &mut builder),
                Content::Loss => {
                    let told = std::str::from_utf8(frame.bytes).expect("text");
                    let count = told.strip_prefix(r#"{"reason":"kernel_drop","count":"#).and_then(|t| t.strip_suffix('}'));
                    ledger.dropped += count.expect("nothing else is lost").parse::<u64>().expect("a number");
                    continue;
                }
                _ => continue,
            }
            ledger.received += 1;
        }
        let batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        // Events stand in the order of their frames.
        let events: Vec<_> = batch.iter().map(|event| (event.id().frame, event.quarantined())).collect();
        for of_frame in events.chunk_by(|a, b| a.0 == b.0) {
            let bad = of_frame.iter().any(|(_, quarantined)| *quarantined);
            ledger.quarantined += u64::from(bad);
            ledger.parsed += u64::from(!bad);
        }
        ledger.flows += batch.len() as u64;
        builder.reuse(batch);
    }
    assert!(reader.gaps.is_empty(), "the journal can be read");
    ledger
}

fn text_decoder() -> TextDecoder {
    TextDecoder::new(&Arc::new(DecodeSettings::new("Asia/Tokyo", Wall.now()).expect("a known zone")))
}

fn corpus() -> (String, Vec<Vec<u8>>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/syslog-mixed.log.zst");
    match std::fs::read(&path) {
        Ok(packed) => {
            let bytes = zstd::decode_all(&packed[..]).expect("zstd");
            // What would be split or joined on its way differs between the two and is left out: NUL, and lines without a priority.
            let lines = bytes.split(|b| *b == b'\n').filter(|line| line.first() == Some(&b'<') && !line.contains(&0));
            ("the mixed corpus".to_owned(), lines.take(LINES_MAX).map(<[u8]>::to_vec).collect())
        }
        Err(_) => ("made lines".to_owned(), (0..LINES_MAX as u64).map(syslog_line).collect()),
    }
}

/// The corpus over TCP: ours to journal and NDJSON, then rsyslog to JSON.
fn connections() {
    let (name, lines) = corpus();
    let stream: Arc<Vec<u8>> = Arc::new(lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect());
    let records = lines.len();
    println!("TCP, {name}: {records} records, {} bytes", stream.len());
    let ours = to_journal_and_ndjson(&stream, records);
    println!("  ours, to journal and parsed NDJSON: {:.2} us of processor time a record", per(ours, records));
    for (what, template) in templates() {
        match to_rsyslog(&stream, records, &template) {
            Some((theirs, bytes)) => println!(
                "  rsyslog, to JSON of {what}, {} bytes a record: {:.2} us; ours/peer {:.2}",
                bytes / records,
                per(theirs, records),
                ours.as_secs_f64() / theirs.as_secs_f64()
            ),
            None => println!("  rsyslog: skipped, it is not present"),
        }
    }
}

/// What rsyslog can write as JSON: its own object of a record with everything that it knows, the same properties by a template that names each,
/// and the header's parts alone, without the record as it came.
fn templates() -> [(&'static str, String); 3] {
    let header = [
        ("timestamp", "timereported"),
        ("host", "hostname"),
        ("facility", "syslogfacility-text"),
        ("severity", "syslogseverity-text"),
        ("app", "app-name"),
        ("procid", "procid"),
        ("msgid", "msgid"),
        ("structured", "structured-data"),
        ("message", "msg"),
    ];
    let all = "msg rawmsg timereported hostname syslogtag inputname fromhost fromhost-ip pri syslogfacility syslogseverity \
               timegenerated programname protocol-version structured-data app-name procid msgid";
    let list = |names: &mut dyn Iterator<Item = (&str, &str)>| {
        let properties: String = names
            .map(|(out, name)| {
                let date = if name.starts_with("time") { " dateFormat=\"rfc3339\"" } else { "" };
                format!("property(outname=\"{out}\" name=\"{name}\" format=\"jsonf\"{date})\n")
            })
            .collect();
        format!("template(name=\"json\" type=\"list\" option.jsonf=\"on\") {{\n{properties}}}\n")
    };
    [
        ("the whole record (jsonmesg)", "template(name=\"json\" type=\"string\" string=\"%jsonmesg%\\n\")\n".to_owned()),
        ("its properties one by one", list(&mut all.split_ascii_whitespace().map(|name| (name, name)))),
        ("its header's parts", list(&mut header.into_iter())),
    ]
}

fn per(time: Duration, records: usize) -> f64 {
    time.as_secs_f64() * 1e6 / records as f64
}

/// Sends the whole stream over one connection; gives the sender's processor time.
fn send(to: SocketAddr, stream: Arc<Vec<u8>>) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let before = thread_time();
        let mut connection = TcpStream::connect(to).expect("connects");
        connection.write_all(&stream).expect("sent");
        drop(connection);
        thread_time() - before
    })
}

fn to_journal_and_ndjson(stream: &Arc<Vec<u8>>, records: usize) -> Duration {
    let place = Stream {
        address: "127.0.0.1:0".parse().expect("an address"),
        protocol: StreamProtocol::Syslog,
        tls: None,
        proxy_protocol: false,
        multiline: None,
    };
    let rig = Rig::start(Place::Stream(place));
    let out_dir = tempfile::tempdir().expect("a folder");
    let mut out = std::fs::File::create(out_dir.path().join("out.ndjson")).expect("a file");
    let mut decoder = text_decoder();
    let before = process_time("self");
    let sender = send(rig.address, stream.clone());
    let mut reader = rig.journal.reader(1);
    let (mut frames, mut builder, mut text) = (Frames::default(), BatchBuilder::default(), Vec::new());
    let (mut written, mut writer) = (0, event::json::Writer::default());
    while written < records {
        frames.clear();
        reader.read(&mut frames, BATCH_BYTES_MAX, Duration::from_millis(100)).expect("reads");
        for frame in frames.iter().filter(|frame| frame.head.content == Content::Text) {
            decoder.decode(frame, &mut builder);
        }
        let batch: Batch = builder.finish(LogRange::default(), Time::UNKNOWN);
        for event in batch.iter() {
            writer.write(event, &mut text);
            text.push(b'\n');
            if text.len() >= WRITE_BYTES {
                out.write_all(&text).expect("written");
                text.clear();
            }
        }
        written += batch.len();
        builder.reuse(batch);
    }
    out.write_all(&text).expect("written");
    assert_eq!(written, records, "every record once");
    let sender_time = sender.join().expect("sent");
    let (_journal, _dir) = rig.end();
    (process_time("self") - before).saturating_sub(sender_time)
}

/// A process that is ended with its owner.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

/// Processor time, and bytes written.
fn to_rsyslog(stream: &Arc<Vec<u8>>, records: usize, template: &str) -> Option<(Duration, usize)> {
    let rsyslogd = ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"].iter().map(PathBuf::from).find(|path| path.exists())?;
    let dir = tempfile::tempdir().expect("a folder");
    let [conf, out, port, pid] = ["rsyslog.conf", "out.json", "port", "pid"].map(|name| dir.path().join(name));
    let text = format!(
        "global(workDirectory=\"{0}\" maxMessageSize=\"64k\")\nmodule(load=\"imtcp\")\n\
         {template}\
         ruleset(name=\"out\") {{ action(type=\"omfile\" file=\"{1}\" template=\"json\") }}\n\
         input(type=\"imtcp\" port=\"0\" address=\"127.0.0.1\" listenPortFileName=\"{2}\" ruleset=\"out\")\n",
        dir.path().display(),
        out.display(),
        port.display()
    );
    std::fs::write(&conf, text).expect("written");
    let mut command = Command::new(rsyslogd);
    command.args(["-n", "-f"]).arg(&conf).arg("-i").arg(&pid).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().expect("starts"));
    let started = Instant::now();
    let port: u16 = loop {
        if let Some(port) = std::fs::read_to_string(&port).ok().and_then(|text| text.trim().parse().ok()) {
            break port;
        }
        assert!(started.elapsed() < PATIENCE, "rsyslog does not listen");
        std::thread::park_timeout(Duration::from_millis(50));
    };
    let process = daemon.0.id().to_string();
    let before = process_time(&process);
    send(SocketAddr::from(([127, 0, 0, 1], port)), stream.clone()).join().expect("sent");
    let (mut file, mut written, mut bytes_written) = (None, 0, 0);
    while written < records {
        assert!(started.elapsed() < PATIENCE, "rsyslog has written {written} of {records}");
        std::thread::park_timeout(Duration::from_millis(20));
        file = file.or_else(|| std::fs::File::open(&out).ok().map(BufReader::new));
        let Some(file) = &mut file else { continue };
        loop {
            let bytes = file.fill_buf().expect("reads");
            if bytes.is_empty() {
                break;
            }
            written += memchr::memchr_iter(b'\n', bytes).count();
            let taken = bytes.len();
            bytes_written += taken;
            file.consume(taken);
        }
    }
    assert_eq!(written, records, "every record once");
    Some((process_time(&process) - before, bytes_written))
}
