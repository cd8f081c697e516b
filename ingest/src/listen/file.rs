//! Lines of a file that grows, and of standard input.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use event::{Content, FrameHead, Frames, OriginId, TenantId, Transport};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::join::{Joiner, Multiline, pause};
use super::marks::{Mark, Marks};
use super::rotated::{self, Known, Rotated};
use super::{Framer, Shared, count, count_skipped, head};
use crate::capture::Packing;
use crate::log::{Appender, Journal, LogError};
use crate::table_head::TableHead;

/// How often a file at its end is looked at again.
const POLL_TIME: Duration = Duration::from_millis(250);
/// How often the old file is looked at once a new one has its name.
const LAST_LOOKS: usize = 4;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Bytes at the beginning of a file, and before the place where reading begins, in which the head of a table is looked for.
const HEAD_BYTES: u64 = 64 * 1024;

/// Bytes at the beginning of a file by which it is known again.
const FIRST_BYTES: usize = 1024;
/// The name that files have together among the sources of marks; no group of Kafka can have it.
const SOURCE: &str = "files/";
/// Offsets of the journal that a start reads for marks at most: less than a second.
const UNSAVED_MAX: u64 = 200_000;

/// A file that is followed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Where it is; it may not exist yet, and may be rotated.
    pub path: PathBuf,
    /// Whether what is there already is read too, where nothing was read of it before.
    pub from_start: bool,
    /// How lines become records, where records have several.
    pub multiline: Option<Multiline>,
    /// How far it was read.
    pub marks: FileMarks,
}

impl Follow {
    /// Whether what is at `path` can be followed. What is not there may come later.
    ///
    /// # Errors
    /// Where it is a folder, is packed or cannot be read.
    pub fn check(path: &Path) -> io::Result<()> {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder: name the files in it"));
        }
        let mut first = Vec::new();
        if metadata.is_file() {
            std::fs::File::open(path)?.take(FIRST_BYTES as u64).read_to_end(&mut first)?;
        }
        refuse_packed(&first)
    }
}

/// How far one file was read: up to `next`, of a file that begins with these bytes. The number of its device is not asked for: a restart of the
/// machine may give it another.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct FileMark {
    path: String,
    inode: u64,
    next: u64,
    first_bytes: usize,
    /// Of the first bytes, the beginning of their SHA-256.
    first: u64,
}

impl Mark for FileMark {
    type Part = String;

    fn part(&self) -> String {
        self.path.clone()
    }
}

impl FileMark {
    /// Whether the file at `path` is the one that was read so far.
    async fn is_of(&self, path: &Path) -> bool {
        let same = async {
            let mut file = File::open(path).await?;
            let is = file.metadata().await?;
            let first = first_of(&mut file, self.first_bytes).await?;
            io::Result::Ok(is.ino() == self.inode && is.len() >= self.next && digest(&first) == self.first)
        };
        same.await.unwrap_or(false)
    }

    fn known(&self) -> Known {
        Known { inode: self.inode, next: self.next, first: self.first, first_bytes: self.first_bytes }
    }
}

/// The bytes that a file begins with, at most so many.
async fn first_of(file: &mut File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    file.seek(io::SeekFrom::Start(0)).await?;
    file.take(bytes as u64).read_to_end(&mut first).await?;
    Ok(first)
}

/// A file that is packed has no lines, and grows in another way.
fn refuse_packed(first: &[u8]) -> io::Result<()> {
    let Some(packing) = Packing::of(first) else { return Ok(()) };
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is packed with {packing}; mihari parse reads what is packed")))
}

pub(super) fn digest(bytes: &[u8]) -> u64 {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    hash[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// How far followed files were read; all of them share one file beside the journal.
#[derive(Clone, Debug)]
pub struct FileMarks(Arc<Mutex<Marks<FileMark>>>);

impl FileMarks {
    /// The marks, with the file at `path`.
    ///
    /// # Errors
    /// Where the file or the journal cannot be read.
    pub fn open(path: &Path, journal: &Journal) -> Result<FileMarks, LogError> {
        Ok(FileMarks(Arc::new(Mutex::new(Marks::open(path, SOURCE, journal)?))))
    }

    async fn of(&self, path: &Path) -> Option<FileMark> {
        self.0.lock().await.get(&name(path)).cloned()
    }

    /// Appends frames, and with them how far they go. False where the log is closed.
    async fn append(&self, mut frames: Frames, tenant: TenantId, mark: FileMark, appender: &Appender) -> bool {
        // Held until the log has the frames: nobody saves a mark that is not there, or misses one that is.
        let mut marks = self.0.lock().await;
        marks.append(&mut frames, tenant, Transport::File, &mark);
        let kept = appender.append(frames).await.is_ok();
        if kept {
            marks.keep(mark);
        }
        kept
    }

    /// Writes the file of marks, once a start without it would read much of the journal or at the end.
    async fn save(&self, path: &Path, at_end: bool, tenant: TenantId, appender: &Appender) {
        let mut marks = self.0.clone().lock_owned().await;
        let Some(mark) = marks.get(&name(path)).cloned() else { return };
        if !at_end && marks.unsaved(appender.durable()) < UNSAVED_MAX {
            return;
        }
        // Once one mark more is on disk, so are all before it.
        let mut frames = Frames::default();
        marks.append(&mut frames, tenant, Transport::File, &mark);
        if appender.append_synced(frames).await.is_err() {
            return;
        }
        let durable = appender.durable();
        let saved = tokio::task::spawn_blocking(move || marks.save(durable)).await;
        if let Ok(Err(error)) = saved {
            warn!(%error, "the marks of followed files could not be saved");
        }
    }
}

/// The path as marks have it.
fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Where reading begins.
#[derive(Clone, Copy)]
enum Begin {
    Start,
    At(u64),
    End,
}

/// Follows a file by its name: when it is replaced or cut, the new one is read from its start. After a restart it goes on where it was, with what was
/// written meanwhile.
pub(super) async fn follow(file: Follow, tenant: TenantId, shared: Shared) {
    let Follow { path, from_start, multiline, marks } = file;
    let mut lines = Lines { origin: OriginId::intern(&name(&path)), ..Lines::new(tenant, Transport::File, multiline) };
    let mut begin = match marks.of(&path).await {
        None if from_start => Begin::Start,
        None => Begin::End,
        Some(mark) if mark.is_of(&path).await => Begin::At(mark.next),
        Some(mark) => {
            let (name, known) = (path.clone(), mark.known());
            let found = tokio::task::spawn_blocking(move || rotated::find(&name, &known)).await.unwrap_or_default();
            if found.is_empty() && mark.next > 0 {
                warn!(path = %path.display(), read = mark.next, "a followed file was replaced meanwhile; what it had more is not found");
            }
            for old in &found {
                info!(path = %old.path.display(), from = old.from, "reading what a followed file was replaced by meanwhile");
                if let Err(error) = read_rest(&path, old, &marks, &mut lines, &shared).await {
                    warn!(path = %old.path.display(), %error, "cannot read the rest of a file that was followed");
                }
            }
            Begin::Start
        }
    };
    let mut poll = tokio::time::interval(POLL_TIME);
    let mut warned = false;
    loop {
        let ended = follow_one(&path, begin, &marks, &mut lines, &shared).await;
        let failed = ended.is_err();
        match ended {
            Ok(Ended::Stopped) => break,
            Ok(Ended::Replaced) => {
                info!(path = %path.display(), "a followed file was replaced");
                warned = false;
            }
            Err(error) => {
                if !warned {
                    warn!(path = %path.display(), %error, "cannot read a followed file; trying again");
                    warned = true;
                }
                if marks.of(&path).await.is_none() {
                    // What comes is new, also where it comes while nobody looks.
                    let mark = FileMark { path: name(&path), first: digest(&[]), ..FileMark::default() };
                    marks.append(Frames::default(), tenant, mark, &shared.appender).await;
                }
            }
        }
        // What follows is another file, but where only the reading has failed.
        begin = match marks.of(&path).await {
            Some(mark) if failed && mark.is_of(&path).await => Begin::At(mark.next),
            _ => Begin::Start,
        };
        tokio::select! {
            () = shared.stop.cancelled() => break,
            _ = poll.tick() => {}
        }
    }
    marks.save(&path, true, tenant, &shared.appender).await;
}

enum Ended {
    Stopped,
    Replaced,
}

/// What a followed file's name stands for now.
enum Is {
    Same,
    Renamed,
    Cut,
}

async fn follow_one(path: &Path, begin: Begin, marks: &FileMarks, lines: &mut Lines, shared: &Shared) -> io::Result<Ended> {
    let mut file = File::open(path).await?;
    lines.begin(path, &mut file, begin, marks).await?;
    if let Begin::End = begin {
        lines.give(Frames::default(), shared).await;
    }
    let mut poll = tokio::time::interval(POLL_TIME);
    let mut idle = Duration::ZERO;
    loop {
        match lines.read(&mut file, shared).await? {
            Some(0) => {}
            Some(_) => {
                idle = Duration::ZERO;
                continue;
            }
            None => return Ok(Ended::Stopped),
        }
        // A line that is not whole yet is left for the next start.
        tokio::select! {
            () = shared.stop.cancelled() => return Ok(Ended::Stopped),
            _ = poll.tick() => idle += POLL_TIME,
        }
        match lines.look_again(path).await {
            Is::Same => {}
            Is::Renamed => {
                // Whoever writes may have written after our last read, and may go on until it is told of the rotation.
                for _ in 0..LAST_LOOKS {
                    poll.tick().await;
                    while lines.read(&mut file, shared).await?.is_some_and(|got| got > 0) {}
                }
                lines.finish(shared).await;
                return Ok(Ended::Replaced);
            }
            Is::Cut => {
                lines.finish(shared).await;
                return Ok(Ended::Replaced);
            }
        }
        if lines.joiner.waits().is_some_and(|wait| idle >= wait) {
            lines.waited(shared).await;
        }
        marks.save(path, false, lines.tenant, &shared.appender).await;
    }
}

/// Reads what a file that has been rotated has more than was read of it.
async fn read_rest(path: &Path, old: &Rotated, marks: &FileMarks, lines: &mut Lines, shared: &Shared) -> io::Result<()> {
    if old.packed {
        let mut unpacked = rotated::unpacked(old.path.clone());
        lines.begin_unpacked(path, old, &mut unpacked, marks).await?;
        while lines.read(&mut unpacked, shared).await?.is_some_and(|got| got > 0) {}
    } else {
        let mut file = File::open(&old.path).await?;
        lines.begin(path, &mut file, Begin::At(old.from), marks).await?;
        while lines.read(&mut file, shared).await?.is_some_and(|got| got > 0) {}
    }
    if !shared.stop.is_cancelled() {
        lines.finish(shared).await;
    }
    Ok(())
}

/// Reads standard input to its end.
pub(super) async fn stdin(multiline: Option<Multiline>, tenant: TenantId, shared: Shared) {
    let mut lines = Lines::new(tenant, Transport::Stdin, multiline);
    let mut input = tokio::io::stdin();
    loop {
        match lines.read(&mut input, &shared).await {
            Ok(Some(0) | None) => break,
            Ok(Some(_)) => {}
            Err(error) => {
                warn!(%error, "failed to read standard input");
                break;
            }
        }
    }
    lines.finish(&shared).await;
}

/// Lines on their way from a reader to the log.
struct Lines {
    framer: Framer,
    /// Carried from a file to the one that takes its place, which need not have a head of its own.
    head: TableHead,
    joiner: Joiner,
    buffer: Vec<u8>,
    tenant: TenantId,
    transport: Transport,
    /// The path, where a file is followed.
    origin: Option<OriginId>,
    /// The file, where one is followed, and its marks.
    file: Option<(Place, FileMarks)>,
}

/// How far a followed file is read.
struct Place {
    path: String,
    inode: u64,
    /// The bytes that it begins with, as far as they are read.
    first: Vec<u8>,
    /// Bytes read.
    read: u64,
    /// Where the line begins that is not whole yet.
    line: u64,
    /// Where that begins which the log does not have yet.
    given: u64,
}

impl Place {
    fn mark(&self) -> FileMark {
        let first = &self.first[..self.first.len().min(usize::try_from(self.given).unwrap_or(usize::MAX))];
        FileMark { path: self.path.clone(), inode: self.inode, next: self.given, first_bytes: first.len(), first: digest(first) }
    }

    /// The next bytes are read: the end of a line, or a part of one.
    fn advance(&mut self, bytes: &[u8], begun: Begun) {
        self.first.extend_from_slice(&bytes[..bytes.len().min(FIRST_BYTES - self.first.len())]);
        let line = self.line;
        self.read += bytes.len() as u64;
        if bytes.last().is_some_and(is_end) {
            self.line = self.read;
        }
        match begun {
            Begun::Nothing => self.given = self.line,
            Begun::Now => self.given = line,
            Begun::Before => {}
        }
    }
}

/// Whether a record of several lines is begun, and by this line.
#[derive(Clone, Copy)]
enum Begun {
    Nothing,
    Now,
    Before,
}

/// What ends a line; as [`Framer`] has it.
fn is_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | 0)
}

impl Lines {
    fn new(tenant: TenantId, transport: Transport, multiline: Option<Multiline>) -> Lines {
        let (head, joiner) = (TableHead::default(), Joiner::new(multiline));
        let buffer = vec![0; READ_BYTES];
        Lines { framer: Framer::lines(), head, joiner, buffer, tenant, transport, origin: None, file: None }
    }

    /// A file that is followed as `path` is read from now on.
    async fn begin(&mut self, path: &Path, file: &mut File, begin: Begin, marks: &FileMarks) -> io::Result<()> {
        // Where reading has failed, what was begun is read again.
        self.framer = Framer::lines();
        self.joiner.finish(&mut |_, _| {});
        let is = file.metadata().await?;
        let place = match begin {
            Begin::Start => 0,
            Begin::At(place) => place,
            Begin::End => is.len(),
        };
        // What the columns of a table are stands before the lines that are read: at the head of the file, or at a later change.
        for from in [0, place.saturating_sub(HEAD_BYTES)] {
            file.seek(io::SeekFrom::Start(from)).await?;
            let mut before = Vec::new();
            file.take(HEAD_BYTES.min(place - from)).read_to_end(&mut before).await?;
            self.learn(&before);
        }
        let first = first_of(file, FIRST_BYTES.min(usize::try_from(place).unwrap_or(usize::MAX))).await?;
        refuse_packed(&first)?;
        file.seek(io::SeekFrom::Start(place)).await?;
        let place = Place { path: name(path), inode: is.ino(), first, read: place, line: place, given: place };
        self.file = Some((place, marks.clone()));
        Ok(())
    }

    /// The same of a file that is unpacked while it is read: what was read of it before is stepped over.
    async fn begin_unpacked(
        &mut self,
        path: &Path,
        old: &Rotated,
        from: &mut (impl AsyncRead + Unpin),
        marks: &FileMarks,
    ) -> io::Result<()> {
        self.framer = Framer::lines();
        self.joiner.finish(&mut |_, _| {});
        let (mut first, mut place) = (Vec::new(), 0);
        while place < old.from {
            let most = READ_BYTES.min(usize::try_from(old.from - place).unwrap_or(READ_BYTES));
            let got = from.read(&mut self.buffer[..most]).await?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = self.buffer[..got].to_vec();
            first.extend_from_slice(&bytes[..got.min(FIRST_BYTES - first.len())]);
            self.learn(&bytes);
            place += got as u64;
        }
        let place = Place { path: name(path), inode: old.inode, first, read: place, line: place, given: place };
        self.file = Some((place, marks.clone()));
        Ok(())
    }

    /// What the name of the file that is read stands for now; that of before where it stands for nothing.
    async fn look_again(&self, path: &Path) -> Is {
        let Some((place, _)) = &self.file else { return Is::Same };
        let look = async {
            let mut file = File::open(path).await?;
            let is = file.metadata().await?;
            io::Result::Ok(match is.len() {
                _ if is.ino() != place.inode => Is::Renamed,
                length if length < place.read => Is::Cut,
                length if length > place.read && first_of(&mut file, place.first.len()).await? != place.first => Is::Cut,
                _ => Is::Same,
            })
        };
        look.await.unwrap_or(Is::Same)
    }

    /// Reads once and gives whole lines to the log: how many bytes were read, or none where the listener is to stop.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin), shared: &Shared) -> io::Result<Option<usize>> {
        let got = loop {
            tokio::select! {
                got = from.read(&mut self.buffer) => break got?,
                () = pause(self.joiner.waits()) => {}
                () = shared.stop.cancelled() => return Ok(None),
            }
            self.waited(shared).await;
        };
        if self.file.as_ref().is_some_and(|(place, _)| place.read == 0) {
            refuse_packed(&self.buffer[..got])?;
        }
        let (mut frames, lead) = (Frames::default(), self.lead(shared));
        let mut emit = |record: &[u8], truncated| frames.push(FrameHead { truncated, ..lead }, record);
        let (table, joiner, buffer) = (&mut self.head, &mut self.joiner, &self.buffer);
        for bytes in buffer[..got].split_inclusive(is_end) {
            let mut joined = false;
            self.framer.push(bytes, &mut |line, truncated| {
                if let Some(record) = table.record(line) {
                    joiner.push(record, truncated, &mut emit);
                    joined = true;
                }
            });
            if let Some((place, _)) = &mut self.file {
                place.advance(
                    bytes,
                    match joiner.lines() {
                        0 => Begun::Nothing,
                        1 if joined => Begun::Now,
                        _ => Begun::Before,
                    },
                );
            }
        }
        count_skipped(&mut self.framer);
        Ok(self.give_some(frames, shared).await.then_some(got))
    }

    /// Looks for the head of a table in what is not read.
    fn learn(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            self.head.record(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    /// The record that was begun has waited long enough for a further line.
    async fn waited(&mut self, shared: &Shared) {
        let (mut frames, lead) = (Frames::default(), self.lead(shared));
        self.joiner.finish(&mut |record, truncated| frames.push(FrameHead { truncated, ..lead }, record));
        if let Some((place, _)) = &mut self.file {
            place.given = place.line;
        }
        self.give_some(frames, shared).await;
    }

    /// Gives an unfinished last line to the log.
    async fn finish(&mut self, shared: &Shared) {
        let (mut frames, lead) = (Frames::default(), self.lead(shared));
        let mut emit = |record: &[u8], truncated| frames.push(FrameHead { truncated, ..lead }, record);
        let (table, joiner) = (&mut self.head, &mut self.joiner);
        self.framer.finish(&mut |line, truncated| {
            if let Some(record) = table.record(line) {
                joiner.push(record, truncated, &mut emit);
            }
        });
        joiner.finish(&mut emit);
        if let Some((place, _)) = &mut self.file {
            place.given = place.read;
        }
        self.give_some(frames, shared).await;
    }

    fn lead(&self, shared: &Shared) -> FrameHead {
        FrameHead { origin: self.origin, ..head(self.tenant, self.transport, Content::Text, &*shared.clock, None) }
    }

    /// Gives frames to the log, if there are any. False where it is closed.
    async fn give_some(&self, frames: Frames, shared: &Shared) -> bool {
        frames.is_empty() || self.give(frames, shared).await
    }

    /// Gives frames to the log, and with them how far the file is read. False where it is closed.
    async fn give(&self, frames: Frames, shared: &Shared) -> bool {
        count(self.transport, frames.len(), frames.byte_len());
        match &self.file {
            Some((place, marks)) => marks.append(frames, self.tenant, place.mark(), &shared.appender).await,
            None => shared.appender.append(frames).await.is_ok(),
        }
    }
}
