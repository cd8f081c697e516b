//! What Japanese devices send, from a real socket to the index: character sets and mixtures of them, years that no stamp states, time zones that
//! differ between devices. The listener's clock is the test's.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event::{BatchBuilder, Clock, Content, Frames, LogRange, TenantId, Time};
use index::{IndexOptions, SearchLimits, SearchRequest, Writer, query};
use ingest::decode::text::TextDecoder;
use ingest::decode::{DecodeSettings, Decoder, Differing};
use ingest::listen::{Admission, Datagrams, Listen, Listeners, Place};
use ingest::log::{Journal, JournalOptions};
use tokio_util::sync::CancellationToken;

/// A clock that stands where it is put.
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> Time {
        Time::from_unix_ns(self.0.load(Ordering::Relaxed))
    }
}

fn time(text: &str) -> Time {
    text.parse().expect(text)
}

/// A listener into a journal.
struct Intake {
    dir: tempfile::TempDir,
    clock: Arc<Standing>,
    journal: Journal,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    listeners: Listeners,
    stop: CancellationToken,
    /// What was sent, in its order.
    sent: Vec<Vec<u8>>,
}

impl Intake {
    fn start(now: &str) -> Intake {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Standing(AtomicI64::new(time(now).unix_ns())));
        let shared: Arc<dyn Clock> = clock.clone();
        let (journal, _) = Journal::open(&dir.path().join("journal"), JournalOptions::default(), shared.clone()).expect("opens");
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let place = Place::SyslogUdp(Datagrams::at("127.0.0.1:0".parse().expect("an address")));
        let listens = [Listen { place, tenant: TenantId(0), admission: Admission::default() }];
        let listeners =
            runtime.block_on(async { Listeners::start(&listens, &journal.appender(), &shared, &stop) }).expect("listens");
        let address = listeners.bound()[0].expect("an address");
        Intake { dir, clock, journal, address, runtime, listeners, stop, sent: Vec::new() }
    }

    /// The device at `from` sends a record; it is in the journal before this ends.
    fn send(&mut self, from: &str, bytes: &[u8]) {
        let device = UdpSocket::bind((from, 0)).expect("the whole of 127.0.0.0/8 is this machine");
        device.send_to(bytes, self.address).expect("sent");
        self.sent.push(bytes.to_vec());
        for _ in 0..4000 {
            if records(&self.journal).len() == self.sent.len() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("waited in vain for a record");
    }

    fn now(&self, now: &str) {
        self.clock.0.store(time(now).unix_ns(), Ordering::Relaxed);
    }

    /// Ends the listener, and gives the index of what came. The journal's bytes are those that were sent.
    fn index(self, settings: DecodeSettings) -> Index {
        self.stop.cancel();
        self.runtime.block_on(self.listeners.join());
        self.journal.sync().expect("syncs");
        let records = records(&self.journal);
        let bytes: Vec<&[u8]> = records.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        assert_eq!(bytes, self.sent, "the journal has every byte as it was sent");
        let mut decoder = TextDecoder::new(&Arc::new(settings));
        let mut builder = BatchBuilder::default();
        for (head, bytes) in &records {
            decoder.decode(event::Frame { head: *head, bytes }, &mut builder);
        }
        let last = records.last().expect("some").0;
        let range = LogRange { partition: 0, first: 1, last: last.position.offset };
        let (mut writer, _) = Writer::open(&IndexOptions::new(&index_of(self.dir.path())), TenantId(0)).expect("opens");
        writer.write(&builder.finish(range, last.received)).expect("written");
        writer.commit().expect("committed");
        Index { writer, _dir: self.dir }
    }
}

fn index_of(dir: &Path) -> std::path::PathBuf {
    dir.join("index")
}

fn records(journal: &Journal) -> Vec<(event::FrameHead, Vec<u8>)> {
    let mut reader = journal.reader(1);
    let mut found = Vec::new();
    let mut frames = Frames::default();
    while reader.next_offset() <= journal.durable() {
        frames.clear();
        reader.read(&mut frames, 1 << 20, Duration::ZERO).expect("reads");
        found.extend(frames.iter().filter(|f| f.head.content == Content::Text).map(|f| (f.head, f.bytes.to_vec())));
    }
    found
}

struct Index {
    writer: Writer,
    _dir: tempfile::TempDir,
}

impl Index {
    /// The times of the hits.
    fn hits(&self, text: &str) -> Vec<Time> {
        let request = SearchRequest::new(query::parse(text, Time::EPOCH).expect(text));
        let limits = SearchLimits { stop: Arc::new(|| false) };
        let answer = self.writer.searcher().search(&request, &limits).expect(text);
        answer.hits.iter().map(|hit| hit.time).collect()
    }
}

fn settings(sources: &[(&str, Option<&str>, Option<&str>)]) -> DecodeSettings {
    let mut settings = DecodeSettings::new("Asia/Tokyo", Time::EPOCH).expect("a known zone");
    for (cidr, time_zone, charset) in sources {
        settings.add_source(cidr, Differing { time_zone: *time_zone, charset: *charset, format: None }).expect(cidr);
    }
    settings
}

/// Shift_JIS, EUC-JP and ISO-2022-JP (JIS X 0201, 0208), as `iconv` writes them.
const SHIFT_JIS: &[u8] = b"<13>Apr  1 09:00:00 gate kensaku: \x8c\xc2\x90\x6c\x94\xd4\x8d\x86 \x8f\xc6\x89\xef\x8e\xb8\x94\x73 \x95\x5c\x8e\xa6 user=hanako1";
const EUC_JP: &[u8] = b"<13>Apr  1 09:00:00 gate kensaku: \xb8\xc4\xbf\xcd\xc8\xd6\xb9\xe6 \xbe\xc8\xb2\xf1\xbc\xba\xc7\xd4 \xc9\xbd\xbc\xa8 user=hanako2";
const ISO_2022_JP: &[u8] =
    b"<13>Apr  1 09:00:00 gate kensaku: \x1b$B8D?MHV9f\x1b(B \x1b$B>H2q<:GT\x1b(B \x1b$BI=<(\x1b(B user=hanako3";
const UTF_8: &str = "<13>Apr  1 09:00:00 gate kensaku: 個人番号 照会失敗 表示 user=hanako4";

#[test]
fn every_character_set_and_their_mixtures_are_found_by_their_text() {
    let mut intake = Intake::start("2026-04-01T00:00:01Z");
    let devices =
        [("127.0.0.2", "shift_jis", SHIFT_JIS), ("127.0.0.3", "euc-jp", EUC_JP), ("127.0.0.4", "iso-2022-jp", ISO_2022_JP)];
    for (from, _, bytes) in devices {
        intake.send(from, bytes);
        // The same device writes UTF-8 too: a relay before it, or another program on it.
        intake.send(from, UTF_8.as_bytes());
    }
    // One line of both: a header in UTF-8, the text behind it as the device writes.
    for (from, _, bytes) in devices {
        let at = bytes.iter().position(|b| *b == b'k').expect("kensaku");
        intake.send(from, &["<13>Apr  1 09:00:00 庁舎 ".as_bytes(), &bytes[at..]].concat());
    }
    intake.send("127.0.0.5", UTF_8.as_bytes());
    // Half a character at the end costs itself only.
    intake.send("127.0.0.2", &[SHIFT_JIS, b" \x8c"].concat());
    let sources = devices.map(|(from, charset, _)| (from, None, Some(charset)));
    let index = intake.index(settings(&sources));
    for query in ["個人番号", "照会失敗", "\"個人番号 照会失敗\"", "表示"] {
        assert_eq!(index.hits(query).len(), 11, "{query}");
    }
    for (user, count) in [("hanako1", 3), ("hanako2", 2), ("hanako3", 2), ("hanako4", 4)] {
        assert_eq!(index.hits(user).len(), count, "{user}");
    }
    assert_eq!(index.hits("庁舎 AND 照会失敗").len(), 3);
    assert_eq!(index.hits("mihari.flags:bytes_replaced").len(), 1, "the one that was cut");
}

#[test]
fn years_that_no_stamp_states_are_those_nearest_to_the_receipt() {
    // (received, from, stamp, when that was); the devices: 2 in Japan's time, 3 in UTC.
    let cases = [
        // A clock that runs ahead of New Year.
        ("2025-12-31T14:59:58Z", "127.0.0.2", "Jan  1 00:00:01", "2025-12-31T15:00:01Z"),
        ("2025-12-31T14:59:59Z", "127.0.0.3", "Dec 31 14:59:59", "2025-12-31T14:59:59Z"),
        // New Year in Japan: what was written before midnight comes after it.
        ("2025-12-31T15:00:02Z", "127.0.0.2", "Dec 31 23:59:59", "2025-12-31T14:59:59Z"),
        ("2025-12-31T15:00:03Z", "127.0.0.2", "Jan  1 00:00:02", "2025-12-31T15:00:02Z"),
        ("2025-12-31T15:00:04Z", "127.0.0.3", "Dec 31 15:00:03", "2025-12-31T15:00:03Z"),
        // New Year in UTC.
        ("2026-01-01T00:00:02Z", "127.0.0.3", "Dec 31 23:59:59", "2025-12-31T23:59:59Z"),
        ("2026-01-01T00:00:03Z", "127.0.0.3", "Jan  1 00:00:02", "2026-01-01T00:00:02Z"),
        ("2026-01-01T00:00:04Z", "127.0.0.2", "Jan  1 09:00:03", "2026-01-01T00:00:03Z"),
        // A day that the year does not have: the receipt stands.
        ("2027-02-28T15:00:01Z", "127.0.0.2", "Feb 29 00:00:01", "2027-02-28T15:00:01Z"),
        // The leap day, and the midnight after it.
        ("2028-02-29T03:00:01Z", "127.0.0.2", "Feb 29 12:00:00", "2028-02-29T03:00:00Z"),
        ("2028-02-29T15:00:01Z", "127.0.0.2", "Feb 29 23:59:59", "2028-02-29T14:59:59Z"),
        ("2028-02-29T15:00:02Z", "127.0.0.3", "Feb 29 15:00:00", "2028-02-29T15:00:00Z"),
        ("2028-03-01T00:00:01Z", "127.0.0.3", "Feb 29 23:59:59", "2028-02-29T23:59:59Z"),
    ];
    let mut intake = Intake::start(cases[0].0);
    for (n, (received, from, stamp, _)) in cases.iter().enumerate() {
        intake.now(received);
        intake.send(from, format!("<13>{stamp} gate app: case{n}").as_bytes());
    }
    let index = intake.index(settings(&[("127.0.0.3", Some("UTC"), None)]));
    for (n, (received, from, stamp, expected)) in cases.iter().enumerate() {
        assert_eq!(index.hits(&format!("case{n}")), [time(expected)], "{stamp} of {from}, received {received}");
    }
    // Whoever looks for the last day of the year in Japan finds what happened then, from both devices.
    assert_eq!(index.hits("@timestamp:[2025-12-30T15:00:00Z TO 2025-12-31T15:00:00Z}").len(), 2);
}
