//! A listener into a journal of its own, through a real socket: what the tests of listeners share.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Clock, Content, Frames, TenantId, Time, Transport};
use ingest::listen::{Admission, FileMarks, Follow, Listen, Listeners, Multiline, Place, Stream, StreamProtocol, TlsFiles};
use ingest::log::{Journal, JournalOptions};
use tokio_util::sync::CancellationToken;

/// The machine's clock.
pub struct Wall;

impl Clock for Wall {
    #[expect(clippy::disallowed_methods, reason = "the test's own edge")]
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Time::from_unix_ns(since.as_nanos() as i64)
    }
}

/// A listener into a journal of its own.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    listeners: Listeners,
    stop: CancellationToken,
    pub journal: Journal,
    pub address: SocketAddr,
    _dir: Option<tempfile::TempDir>,
}

impl Rig {
    pub fn start(place: Place, admission: Admission) -> Rig {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        Rig::start_on(runtime, place, admission)
    }

    /// Follows a file, with the journal and the marks in `dir`.
    pub fn follow(dir: &Path, path: &Path, from_start: bool, multiline: Option<Multiline>) -> Rig {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let journal = open(dir);
        let marks = FileMarks::open(&dir.join("files.json"), &journal).expect("marks");
        let place = Place::File(Follow { path: path.to_owned(), from_start, multiline, marks });
        Rig::start_with(runtime, journal, place, Admission::default(), None)
    }

    /// A runtime of one thread runs only while it is waited for: until then the listener sleeps.
    pub fn asleep(place: Place) -> Rig {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Rig::start_on(runtime, place, Admission::default())
    }

    fn start_on(runtime: tokio::runtime::Runtime, place: Place, admission: Admission) -> Rig {
        let dir = tempfile::tempdir().expect("a folder");
        Rig::start_with(runtime, open(dir.path()), place, admission, Some(dir))
    }

    fn start_with(
        runtime: tokio::runtime::Runtime,
        journal: Journal,
        place: Place,
        admission: Admission,
        dir: Option<tempfile::TempDir>,
    ) -> Rig {
        let clock: Arc<dyn Clock> = Arc::new(Wall);
        let stop = CancellationToken::new();
        let listens = [Listen { place, tenant: TenantId(0), admission }];
        let listeners =
            runtime.block_on(async { Listeners::start(&listens, &journal.appender(), &clock, &stop) }).expect("listens");
        let address = listeners.bound()[0].unwrap_or_else(loopback);
        Rig { runtime, listeners, stop, journal, address, _dir: dir }
    }

    pub fn stream(protocol: StreamProtocol, tls: Option<TlsFiles>, proxy_protocol: bool) -> Rig {
        Rig::start(
            Place::Stream(Stream { address: loopback(), protocol, tls, proxy_protocol, multiline: None }),
            Admission::default(),
        )
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        stream
    }

    /// What has come, once the listeners have ended.
    pub fn records(self) -> Vec<(String, Transport, Option<SocketAddr>)> {
        self.stop.cancel();
        self.runtime.block_on(self.listeners.join());
        self.journal.sync().expect("syncs");
        kept(&self.journal)
    }
}

fn open(dir: &Path) -> Journal {
    Journal::open(&dir.join("journal"), JournalOptions::default(), Arc::new(Wall)).expect("opens").0
}

/// What the journal has, ticks and marks left out.
pub fn kept(journal: &Journal) -> Vec<(String, Transport, Option<SocketAddr>)> {
    let mut reader = journal.reader(1);
    let mut records = Vec::new();
    let mut frames = Frames::default();
    while reader.next_offset() <= journal.durable() {
        frames.clear();
        reader.read(&mut frames, 1 << 20, Duration::ZERO).expect("reads");
        for frame in frames.iter().filter(|f| !matches!(f.head.content, Content::Tick | Content::Mark)) {
            records.push((String::from_utf8_lossy(frame.bytes).into_owned(), frame.head.transport, frame.head.source));
        }
    }
    records
}

/// Any free port.
pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// The records' texts.
pub fn texts(records: &[(String, Transport, Option<SocketAddr>)]) -> Vec<&str> {
    records.iter().map(|(text, ..)| text.as_str()).collect()
}

/// Waits for a condition, looking every few milliseconds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}
