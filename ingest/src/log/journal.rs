//! The writer: one thread that gathers frames, writes them with a commit frame, syncs, and only then moves the readers' bound.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use event::limits::BATCH_BYTES_MAX;
use event::{Clock, Content, FrameHead, Frames, Position, TenantId, Time, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::{Instrument, error, info, trace_span, warn};

use super::LogError;
use super::ahead::{self, Ahead};
use super::format::{Commit, Encoder, HEADER_BYTES, Hash, Header, KIND_COMMIT, VERSION};
use super::packer::{self, Ask};
use super::proof::{self, Proof};
use super::reader::{Fetched, Fetcher, Reader};
use super::retention;
use super::segment::{Step, Walker, allocate, file_name, list, tidy};

/// What waits for the writer at once, in pieces of [`PIECE_BYTES`]: a disk that stands still costs 64 MiB, and then the senders wait. Counted
/// in bytes, as listeners append what came with one wake: by number alone a sync of a tenth of a second would have them wait.
const PIECES_WAITING_MAX: u32 = 4096;
/// The least that an append counts for, which bounds how many wait.
const PIECE_BYTES: usize = 16 << 10;
/// Bytes after which a group is written at once.
const GROUP_BYTES: usize = BATCH_BYTES_MAX;
/// How long a group is gathered.
const GROUP_TIME: Duration = Duration::from_millis(5);
/// How often a tick is written where nothing else asks for one.
const TICK_TIME: Duration = Duration::from_secs(1);
/// How long to wait before a write that failed is tried again.
const RETRY_TIME: Duration = Duration::from_millis(500);
/// The partition of a journal on one machine.
const PARTITION: u32 = 0;
/// Once so much of a segment is written, the next is made ready: a quarter, so that what never fills one makes none.
const READY_PART: u64 = 4;
/// What the compressing thread is asked at once: it looks at all that is closed, whoever asks.
const PACKER_ASKS_MAX: usize = 4;

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Bytes of a segment, allocated when it is begun.
    pub segment_bytes: u64,
    /// Whether segments are compressed once they are closed. Compressed ones are read either way.
    pub compress: bool,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions { segment_bytes: 128 << 20, compress: true }
    }
}

/// What was found when the journal was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// The offset that the next frame will have.
    pub next: u64,
    /// When the last record was received; unknown where there is none.
    pub received: Time,
    /// Bytes cut from the end: written, but never committed, so never acknowledged.
    pub torn_bytes: u64,
    /// A copy of the newest segment, where it was damaged before its end.
    pub quarantined: Option<PathBuf>,
}

/// What writer and readers share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    durable: AtomicU64,
    changed: (Mutex<()>, Condvar),
    /// The first offsets of the segments.
    segments: RwLock<Vec<u64>>,
    /// The last offset that retention has removed; 0 where nothing was.
    removed: AtomicU64,
    /// Closed segments that are being compressed or removed.
    held: Mutex<BTreeSet<u64>>,
}

impl Shared {
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Waits until something beyond `offset` is durable, for at most `wait`.
    pub(super) fn wait_beyond(&self, offset: u64, wait: Duration) {
        let guard = self.changed.0.lock().expect("no code panics under this lock");
        if self.durable() <= offset {
            drop(self.changed.1.wait_timeout(guard, wait).expect("no code panics under this lock"));
        }
    }

    fn publish(&self, durable: u64) {
        let _guard = self.changed.0.lock().expect("no code panics under this lock");
        self.durable.store(durable, Ordering::Release);
        self.changed.1.notify_all();
    }

    /// The first offsets of all segments.
    pub(super) fn segments(&self) -> Vec<u64> {
        self.segments.read().expect("no code panics under this lock").clone()
    }

    /// The segment that holds `offset`: the last one that begins at or before it.
    pub(super) fn segment_of(&self, offset: u64) -> Option<u64> {
        let segments = self.segments.read().expect("no code panics under this lock");
        let after = segments.partition_point(|first| *first <= offset);
        after.checked_sub(1).map(|at| segments[at])
    }

    /// The last offset that retention has removed; 0 where nothing was.
    pub(super) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Acquire)
    }

    /// Takes a closed segment, to compress or to remove it. False where somebody has it, or it is gone.
    pub(super) fn hold(&self, first: u64) -> bool {
        first > self.removed() && self.held.lock().expect("no code panics under this lock").insert(first)
    }

    pub(super) fn let_go(&self, first: u64) {
        self.held.lock().expect("no code panics under this lock").remove(&first);
    }

    /// Makes the oldest segment, from `first` to `last`, one that nobody opens any more.
    pub(super) fn give_up(&self, first: u64, last: u64) {
        self.removed.store(last, Ordering::Release);
        self.segments.write().expect("no code panics under this lock").retain(|segment| *segment != first);
    }

    /// The first segment that begins after `offset`.
    pub(super) fn segment_after(&self, offset: u64) -> Option<u64> {
        let segments = self.segments.read().expect("no code panics under this lock");
        segments.get(segments.partition_point(|first| *first <= offset)).copied()
    }
}

enum Request {
    Append(Frames, Option<OwnedSemaphorePermit>, Option<oneshot::Sender<u64>>),
    Sync(Sender<()>),
    Behind(u64, Sender<()>),
    Close,
}

/// A journal on disk: one partition, one writer.
pub struct Journal {
    pub(super) shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    requests: Sender<Request>,
    permits: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    packer: Option<PackerThread>,
    fetcher: Fetcher,
    _lock: File,
}

/// The thread that compresses, if there is one.
struct PackerThread {
    asks: Sender<Ask>,
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if absent, cuts what was never committed, and starts the writer.
    ///
    /// # Errors
    /// Where the folder cannot be used, is in use, or holds a later format. Damage is no error: see [`Recovery`].
    pub fn open(dir: &Path, options: JournalOptions, clock: Arc<dyn Clock>) -> Result<(Journal, Recovery), LogError> {
        std::fs::create_dir_all(dir).map_err(LogError::io("make", dir))?;
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(LogError::io("open", &lock_path))?;
        if lock.try_lock().is_err() {
            return Err(LogError::InUse { path: dir.to_owned() });
        }
        let removed = retention::finish(dir)?;
        ahead::settle(dir)?;
        tidy(dir)?;
        let (recovery, chain) = recover(dir)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            durable: AtomicU64::new(recovery.next - 1),
            changed: (Mutex::new(()), Condvar::new()),
            segments: RwLock::new(list(dir)?),
            removed: AtomicU64::new(removed),
            held: Mutex::default(),
        });
        let (requests, inbox) = crossbeam_channel::bounded(PIECES_WAITING_MAX as usize + 2);
        let packer = if options.compress { Some(start_packer(&shared)?) } else { None };
        let ahead = Ahead::start(dir, options.segment_bytes.max(HEADER_BYTES as u64))?;
        let writer = Writer {
            shared: shared.clone(),
            closed: packer.as_ref().map(|packer| packer.asks.clone()),
            ahead,
            options,
            clock: clock.clone(),
            next: recovery.next,
            received: recovery.received,
            chain,
            segment: None,
            buffer: Vec::with_capacity(2 * GROUP_BYTES),
        };
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(LogError::io("start the writer of", dir))?;
        let journal = Journal {
            fetcher: Fetcher::new(shared.clone()),
            shared,
            clock,
            requests,
            permits: Arc::new(Semaphore::new(PIECES_WAITING_MAX as usize)),
            writer: Some(writer),
            packer,
            _lock: lock,
        };
        Ok((journal, recovery))
    }

    /// A handle to append with.
    pub fn appender(&self) -> Appender {
        Appender { shared: self.shared.clone(), requests: self.requests.clone(), permits: self.permits.clone() }
    }

    /// A reader that gives the frame with the offset `next` first, or the first one after it that is there.
    pub fn reader(&self, next: u64) -> Reader {
        Reader::new(self.shared.clone(), next)
    }

    /// The offset up to which everything is on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// The last offset whose record retention has removed, with all before it; 0 where nothing was.
    pub fn removed(&self) -> u64 {
        self.shared.removed()
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The frame at `position`, if it is there.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn fetch(&self, position: Position) -> Result<Option<Fetched>, LogError> {
        self.fetcher.fetch(position)
    }

    /// Calls `each` with the frames at these offsets, ascending; far quicker than one by one where they lie close to each other.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn fetch_all(&self, offsets: &[u64], each: impl FnMut(&Fetched)) -> Result<(), LogError> {
        self.fetcher.fetch_all(offsets, each)
    }

    /// What proves that the record at `offset` is in the journal; none where it is not there. It goes through the whole segment.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn prove(&self, offset: u64) -> Result<Option<Proof>, LogError> {
        proof::prove(&self.shared.dir, offset, self.shared.durable())
    }

    /// Waits until everything that was appended before is on disk.
    ///
    /// # Errors
    /// Where the writer has ended.
    pub fn sync(&self) -> Result<(), LogError> {
        let (done, wait) = crossbeam_channel::bounded(1);
        self.requests.send(Request::Sync(done)).map_err(|_| LogError::Closed)?;
        wait.recv().map_err(|_| LogError::Closed)
    }

    /// Goes on behind `known`, an offset that somebody has read, where the journal ends before it: part of it was lost, and what comes now must not get
    /// offsets that pass for read. False where it reaches that far.
    ///
    /// # Errors
    /// Where the writer has ended.
    pub fn go_on_behind(&self, known: u64) -> Result<bool, LogError> {
        if self.durable() >= known {
            return Ok(false);
        }
        let (done, wait) = crossbeam_channel::bounded(1);
        self.requests.send(Request::Behind(known, done)).map_err(|_| LogError::Closed)?;
        wait.recv().map_err(|_| LogError::Closed)?;
        Ok(true)
    }

    /// Waits until every segment that is closed is compressed; returns at once where none is to be.
    ///
    /// # Errors
    /// Where the thread that compresses has ended.
    pub fn settle(&self) -> Result<(), LogError> {
        let Some(packer) = &self.packer else { return Ok(()) };
        let (done, wait) = crossbeam_channel::bounded(1);
        packer.asks.send(Ask::Tell(done)).map_err(|_| LogError::Closed)?;
        wait.recv().map_err(|_| LogError::Closed)
    }

    /// Writes what waits, and ends the writer. Appenders that are left get [`LogError::Closed`].
    pub fn close(&mut self) {
        if let Some(writer) = self.writer.take() {
            if self.requests.send(Request::Close).is_err() {
                warn!("the journal's writer had ended before");
            }
            if writer.join().is_err() {
                error!("the journal's writer panicked");
            }
        }
        if let Some(PackerThread { asks, stop, thread }) = self.packer.take() {
            drop((asks, stop));
            if thread.join().is_err() {
                error!("the thread that compresses the journal panicked");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts the thread that compresses, with what is closed already.
fn start_packer(shared: &Arc<Shared>) -> Result<PackerThread, LogError> {
    let (asks, inbox) = crossbeam_channel::bounded(PACKER_ASKS_MAX);
    let (stop, stopped) = crossbeam_channel::bounded(0);
    let shared_with = shared.clone();
    let thread = std::thread::Builder::new()
        .name("journal-compress".to_owned())
        .spawn(move || packer::run(&shared_with, &inbox, &stopped))
        .map_err(LogError::io("start the compressor of", &shared.dir))?;
    let packer = PackerThread { asks, stop, thread };
    tell_closed(Some(&packer.asks));
    Ok(packer)
}

/// Tells that a segment may be compressed. Where others are told already, this one is seen with them.
fn tell_closed(asks: Option<&Sender<Ask>>) {
    if let Some(asks) = asks
        && let Err(TrySendError::Disconnected(_)) = asks.try_send(Ask::Look)
    {
        warn!("the thread that compresses the journal has ended");
    }
}

/// A handle to append frames with. What is appended is durable after the next group commit; readers see nothing earlier.
#[derive(Clone)]
pub struct Appender {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    permits: Arc<Semaphore>,
}

impl Appender {
    /// The offset up to which everything is on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// Appends frames in their order; waits where 64 MiB of others wait already.
    ///
    /// # Errors
    /// Where the journal is closed.
    pub async fn append(&self, frames: Frames) -> Result<(), LogError> {
        let permit = self.room_for(&frames).await?;
        self.requests.send(Request::Append(frames, Some(permit), None)).map_err(|_| LogError::Closed)
    }

    /// As [`Appender::append`], and waits until the frames are on disk: what a sender that wants an acknowledgement is told. Gives the offset of the
    /// first of them.
    ///
    /// # Errors
    /// Where the journal is closed before they are.
    pub async fn append_synced(&self, frames: Frames) -> Result<u64, LogError> {
        let permit = self.room_for(&frames).await?;
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Append(frames, Some(permit), Some(done))).map_err(|_| LogError::Closed)?;
        wait.await.map_err(|_| LogError::Closed)
    }

    async fn room_for(&self, frames: &Frames) -> Result<OwnedSemaphorePermit, LogError> {
        let pieces = u32::try_from(frames.byte_len().div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX).clamp(1, PIECES_WAITING_MAX);
        if let Ok(permit) = self.permits.clone().try_acquire_many_owned(pieces) {
            return Ok(permit);
        }
        let room = self.permits.clone().acquire_many_owned(pieces).instrument(trace_span!("room"));
        room.await.map_err(|_| LogError::Closed)
    }

    /// As [`Appender::append`], for plain threads: waits in the queue itself.
    ///
    /// # Errors
    /// Where the journal is closed.
    pub fn append_blocking(&self, frames: Frames) -> Result<(), LogError> {
        self.requests.send(Request::Append(frames, None, None)).map_err(|_| LogError::Closed)
    }

    /// Writes down that the receiver did not take records: of whom, where that is known, why, and how many.
    ///
    /// # Errors
    /// Where the journal is closed.
    pub async fn lost(
        &self,
        tenant: TenantId,
        transport: Transport,
        losses: impl IntoIterator<Item = (Option<IpAddr>, &'static str, u64)>,
    ) -> Result<(), LogError> {
        let mut frames = Frames::default();
        for (sender, reason, count) in losses {
            let source = sender.map(|ip| SocketAddr::new(ip, 0));
            let head = FrameHead { source, ..internal(tenant, transport, Content::Loss) };
            frames.push(head, format!("{{\"reason\":\"{reason}\",\"count\":{count}}}").as_bytes());
        }
        self.append(frames).await
    }
}

/// The head of a record of our own. Its receipt is unknown: the writer never goes back, so it becomes that of the record before.
fn internal(tenant: TenantId, transport: Transport, content: Content) -> FrameHead {
    FrameHead { tenant, ..FrameHead::new(transport, content) }
}

/// Finds the end of what was committed. Gives the report and the chain value.
fn recover(dir: &Path) -> Result<(Recovery, Hash), LogError> {
    let mut recovery = Recovery { next: 1, ..Recovery::default() };
    let (mut chain, mut received) = ([0; 32], Time::UNKNOWN);
    let mut segments = list(dir)?;
    // No offset is given twice, also where a segment holds nothing: it was begun where the one before had ended.
    let (mut floor, mut is_newest) = (1, true);
    while let Some(first) = segments.pop() {
        let mut walker = Walker::open(dir, first)?;
        let path = walker.path().to_owned();
        let length = match walker.table() {
            Some(table) => table.bytes(),
            None => std::fs::metadata(&path).map_err(LogError::io("read", &path))?.len(),
        };
        // A damaged header costs the link to the segment before, not the frames: their checksums cover the place by themselves.
        let head = walker.header()?;
        let (mut end, mut last) = (HEADER_BYTES as u64, first - 1);
        let (mut seen, mut written) = (last, HEADER_BYTES as u64);
        let mut newest = Time::UNKNOWN;
        chain = head.map_or([0; 32], |head| head.previous);
        loop {
            match walker.step()? {
                Step::Frame(_, frame, body) => {
                    seen = frame.seq;
                    if frame.kind == KIND_COMMIT {
                        if let Some(commit) = super::format::Commit::decode(body) {
                            chain = commit.chain;
                        }
                        last = frame.seq;
                        received = received.max(newest);
                        end = walker.place;
                    } else if let Some((record, _)) = super::format::decode_record(PARTITION, &frame, body) {
                        newest = newest.max(record.received);
                    }
                    written = walker.place;
                }
                Step::End => break,
                Step::Damage => {
                    written = length;
                    if !walker.resync(seen)? {
                        break;
                    }
                    if recovery.quarantined.is_none() {
                        recovery.quarantined = Some(set_aside(dir, &path)?);
                    }
                }
            }
        }
        recovery.torn_bytes += written - end.min(written);
        floor = floor.max(first);
        recovery.next = floor.max(last + 1);
        if head.is_none() && last >= first && recovery.quarantined.is_none() {
            recovery.quarantined = Some(set_aside(dir, &path)?);
        }
        if !is_newest || walker.table().is_some() {
            break; // It was closed: nothing was torn off its end.
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(LogError::io("open", &path))?;
        file.set_len(end).map_err(LogError::io("cut", &path))?;
        file.sync_all().map_err(LogError::io("sync", &path))?;
        if last >= first {
            break; // A segment without a commit holds nothing; the one before it is the newest then.
        }
        drop(file);
        std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        is_newest = false;
    }
    sync_dir(dir)?;
    recovery.received = received;
    Ok((recovery, chain))
}

/// Copies a damaged segment to `quarantine/`.
fn set_aside(dir: &Path, path: &Path) -> Result<PathBuf, LogError> {
    let folder = dir.join("quarantine");
    std::fs::create_dir_all(&folder).map_err(LogError::io("make", &folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let copy = (0u32..)
        .map(|n| folder.join(format!("{name}.{n}")))
        .find(|copy| !copy.exists())
        .expect("there are more numbers than files");
    std::fs::copy(path, &copy).map_err(LogError::io("copy to", &copy))?;
    sync_dir(&folder)?;
    Ok(copy)
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(LogError::io("sync", dir))
}

struct OpenSegment {
    file: File,
    path: PathBuf,
    first: u64,
    place: u64,
}

struct Writer {
    shared: Arc<Shared>,
    /// Who is told of closed segments.
    closed: Option<Sender<Ask>>,
    ahead: Ahead,
    options: JournalOptions,
    clock: Arc<dyn Clock>,
    next: u64,
    received: Time,
    chain: Hash,
    segment: Option<OpenSegment>,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Request>) {
        info!(dir = %self.shared.dir.display(), next = self.next, "journal open");
        let mut group: Vec<Frames> = Vec::new();
        let mut waiters: Vec<Sender<()>> = Vec::new();
        let mut behind = None;
        // Each with the place of its frames in the group.
        let mut senders: Vec<(oneshot::Sender<u64>, usize)> = Vec::new();
        loop {
            let mut closing = false;
            let mut permits = Vec::new();
            let mut bytes = 0;
            // The first append of a group sets its end; those that follow do not move it.
            let mut end = crossbeam_channel::after(TICK_TIME);
            let gather = trace_span!("gather").entered();
            loop {
                let request = crossbeam_channel::select! {
                    recv(inbox) -> request => request,
                    recv(end) -> _ => break,
                };
                match request {
                    Ok(Request::Append(frames, permit, done)) => {
                        if let Some(done) = done {
                            // Somebody waits: what stands in the queue already comes along, nothing else is waited for.
                            end = crossbeam_channel::after(Duration::ZERO);
                            senders.push((done, group.len()));
                        } else if group.is_empty() {
                            end = crossbeam_channel::after(GROUP_TIME);
                        }
                        bytes += frames.byte_len();
                        group.push(frames);
                        permits.extend(permit);
                    }
                    Ok(Request::Sync(done)) => {
                        waiters.push(done);
                        break;
                    }
                    Ok(Request::Behind(known, done)) => {
                        behind = Some(known);
                        waiters.push(done);
                        break;
                    }
                    Ok(Request::Close) | Err(_) => {
                        closing = true;
                        break;
                    }
                }
                if bytes >= GROUP_BYTES {
                    break;
                }
            }
            drop(gather);
            if group.is_empty() && !closing && waiters.is_empty() {
                let mut tick = internal(TenantId(0), Transport::Internal, Content::Tick);
                tick.received = self.clock.now();
                let mut frames = Frames::default();
                frames.push(tick, b"");
                group.push(frames);
            }
            if !group.is_empty() {
                self.commit(&mut group);
            }
            drop(permits); // Only now may as many more wait.
            for (sender, at) in senders.drain(..) {
                let first = group[at].iter().next().map_or(self.next, |frame| frame.head.position.offset);
                if sender.send(first).is_err() {
                    metrics::counter!("mihari_unheard_acknowledgements_total").increment(1);
                }
            }
            group.clear();
            if let Some(known) = behind.take() {
                self.go_on_behind(known);
            }
            for waiter in waiters.drain(..) {
                if waiter.send(()).is_err() {
                    info!("whoever waited for the journal has gone");
                }
            }
            if closing {
                break;
            }
        }
        if let Some(segment) = self.segment.take()
            && let Err(error) = segment.file.set_len(segment.place).and_then(|()| segment.file.sync_all())
        {
            warn!(path = %segment.path.display(), %error, "failed to cut the unused end of a segment");
        }
        self.ahead.end();
        info!(last = self.next - 1, "journal closed");
    }

    /// Writes and syncs a group. Does not return before it is durable: a full disk is waited out, and nothing is
    /// acknowledged meanwhile.
    fn commit(&mut self, group: &mut [Frames]) {
        let first = self.next;
        let mut received = self.received;
        for frames in group.iter_mut() {
            for head in frames.heads_mut() {
                received = received.max(head.received);
                head.received = received;
                head.position = Position { partition: PARTITION, offset: self.next };
                self.next += 1;
            }
        }
        self.received = received;
        let commit_seq = self.next;
        self.next += 1;
        let mut failures = 0u64;
        loop {
            match self.try_commit(group, first, commit_seq) {
                Ok(()) => break,
                Err(error) => {
                    metrics::counter!("mihari_journal_write_errors_total").increment(1);
                    if failures.is_multiple_of(120) {
                        error!(%error, reason = ?std::error::Error::source(&error), "failed to write the journal; nothing is acknowledged until it works");
                    }
                    failures += 1;
                    self.give_up_segment();
                    // Wait without a sleep: nothing is ever sent here.
                    let waited = crossbeam_channel::never::<()>().recv_timeout(RETRY_TIME);
                    debug_assert!(waited.is_err());
                }
            }
        }
        metrics::counter!("mihari_journal_commits_total").increment(1);
        metrics::gauge!("mihari_journal_position").set(commit_seq as f64);
        let _publish = trace_span!("publish", first, last = commit_seq).entered();
        self.shared.publish(commit_seq);
    }

    fn try_commit(&mut self, group: &[Frames], first: u64, commit_seq: u64) -> Result<(), LogError> {
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => trace_span!("begin").in_scope(|| self.begin_segment(first))?,
        };
        let encode = trace_span!("encode").entered();
        self.buffer.clear();
        let mut encoder = Encoder { out: &mut self.buffer, first_offset: segment.first, place: segment.place };
        let mut leaves = Vec::with_capacity((commit_seq - first) as usize);
        for frames in group {
            for frame in frames.iter() {
                leaves.push(encoder.record(&frame.head, frame.bytes));
            }
        }
        let commit = Commit::new(&self.chain, first, commit_seq - 1, &leaves);
        encoder.commit(commit_seq, &commit);
        drop(encode);
        let result = trace_span!("write").in_scope(|| segment.file.write_all_at(&self.buffer, segment.place));
        if let Err(error) = result {
            let path = segment.path.clone();
            self.segment = Some(segment);
            return Err(LogError::io("write", path)(error));
        }
        if let Err(error) = trace_span!("sync").in_scope(|| segment.file.sync_data()) {
            // After a failed sync the page cache tells nothing: only a restart that reads the disk knows what is there.
            error!(path = %segment.path.display(), %error, "failed to sync the journal; stopping at once");
            std::process::abort();
        }
        let before = segment.place;
        segment.place += self.buffer.len() as u64;
        self.chain = commit.chain;
        let due = self.options.segment_bytes / READY_PART;
        if before < due && segment.place >= due {
            self.ahead.ask();
        }
        // A segment that is full ends where it was written last: there is nothing to cut.
        if segment.place < self.options.segment_bytes {
            self.segment = Some(segment);
        }
        Ok(())
    }

    /// The next offset is the one behind `known`, in a segment of its own: within one they follow each other.
    fn go_on_behind(&mut self, known: u64) {
        if known >= self.next {
            self.give_up_segment();
            self.next = known + 1;
            self.shared.publish(known);
        }
    }

    /// After a failed write nothing is ever appended behind it: the segment ends at its last durable byte.
    fn give_up_segment(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        if let Err(error) = segment.file.set_len(segment.place).and_then(|()| segment.file.sync_all()) {
            warn!(path = %segment.path.display(), %error, "failed to cut a segment after a failed write");
        }
    }

    fn begin_segment(&self, first: u64) -> Result<OpenSegment, LogError> {
        let header = Header {
            version: VERSION,
            partition: PARTITION,
            first_offset: first,
            created: self.clock.now(),
            previous: self.chain,
        };
        let path = self.shared.dir.join(file_name(first));
        let ready = self.ahead.take(&header).map_err(LogError::io("begin", &path))?;
        let file = ready.map_or_else(|| self.make_segment(&path, &header), Ok)?;
        let mut segments = self.shared.segments.write().expect("no code panics under this lock");
        if let Err(at) = segments.binary_search(&first) {
            segments.insert(at, first);
        }
        drop(segments);
        tell_closed(self.closed.as_ref());
        Ok(OpenSegment { file, path, first, place: HEADER_BYTES as u64 })
    }

    /// Makes a segment where none is ready.
    fn make_segment(&self, path: &Path, header: &Header) -> Result<File, LogError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)
            .map_err(LogError::io("create", path))?;
        let begin = || -> io::Result<()> {
            // A full disk shows here, before a record depends on it.
            allocate(&file, self.options.segment_bytes.max(HEADER_BYTES as u64))?;
            file.write_all_at(&header.encode(), 0)?;
            file.sync_all()
        };
        if let Err(error) = begin() {
            drop(std::fs::remove_file(path)); // It holds nothing; what matters is the first error.
            return Err(LogError::io("begin", path)(error));
        }
        sync_dir(&self.shared.dir)?;
        Ok(file)
    }
}
