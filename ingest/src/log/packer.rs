//! Compressing segments that are closed, one after the other, on a thread of its own.
//!
//! Killed at any point, the segment is there: its bytes are written to a file that counts for nothing, synced, read back and compared; the
//! file gets its name; the folder is synced; only then the segment as it was written goes. What is found half-done is removed at the start
//! (`segment::tidy`).

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tracing::{debug_span, info, warn};

use super::LogError;
use super::journal::{Shared, sync_dir};
use super::packed::{BLOCK_BYTES, Packed, Packing, Start, Table};
use super::segment::{Step, Walker, files};

/// After so many blocks (1 MiB) it rests, for [`REST`]: at most some 50 MiB are read a second and a fifth of a core is used, which is
/// several times what is received, and the intake has the disk to itself most of the time.
const BLOCKS_AT_ONCE: usize = 8;
/// How long it rests.
const REST: Duration = Duration::from_millis(20);
/// How nice the thread is: it has minutes, others have not.
const NICE: i32 = 10;
/// Compressed bytes after which they are synced: the intake's own syncs never wait for more.
const SYNC_BYTES: u64 = 2 << 20;

/// What the thread is asked.
pub(super) enum Ask {
    /// A segment was closed.
    Look,
    /// To tell when nothing is left to do.
    Tell(Sender<()>),
}

/// Compresses what is closed, until the sender of `stop` is dropped.
pub(super) fn run(shared: &Arc<Shared>, asks: &Receiver<Ask>, stop: &Receiver<Infallible>) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        warn!(%error, "the thread that compresses runs at the priority of all");
    }
    let mut next = 0;
    while let Ok(ask) = asks.recv() {
        // The newest segment is written to, or will be.
        let mut closed = shared.segments();
        closed.pop();
        for first in closed.into_iter().filter(|first| *first >= next).collect::<Vec<_>>() {
            if !shared.hold(first) {
                continue; // It is being removed.
            }
            let done = debug_span!("compress", first).in_scope(|| pack(&shared.dir, first, stop));
            shared.let_go(first);
            match done {
                Ok(true) => next = first + 1,
                Ok(false) => return,
                Err(error) => {
                    // It stays as it was written, and is tried again when the next one is closed.
                    metrics::counter!("mihari_journal_compress_errors_total").increment(1);
                    warn!(%error, reason = ?std::error::Error::source(&error), first, "failed to compress a segment");
                    break;
                }
            }
        }
        if let Ask::Tell(done) = ask
            && done.send(()).is_err()
        {
            info!("whoever waited for segments to be compressed has gone");
        }
    }
}

/// Compresses the segment that begins at `first`, if it is not. False where it was told to stop.
fn pack(dir: &Path, first: u64, stop: &Receiver<Infallible>) -> Result<bool, LogError> {
    let [plain, packed, part] = files(dir, first);
    let source = match File::open(&plain) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(LogError::io("open", plain)(error)),
    };
    let mut pace = Pace { stop, blocks: 0 };
    let target = File::create(&part).map_err(LogError::io("create", &part))?;
    let done = write(&source, &target, &mut Starts::open(dir, first)?, &mut pace)
        .map_err(LogError::io("compress to", &part))
        .and_then(|go_on| Ok(go_on && same(&source, &part, first, &mut pace)?));
    match done {
        Ok(true) => {}
        other => {
            drop(std::fs::remove_file(&part)); // It counts for nothing; what matters is what came before.
            return other;
        }
    }
    std::fs::rename(&part, &packed).map_err(LogError::io("rename", &part))?;
    sync_dir(dir)?;
    std::fs::remove_file(&plain).map_err(LogError::io("remove", &plain))?;
    metrics::counter!("mihari_journal_segments_compressed_total").increment(1);
    Ok(true)
}

/// Writes the blocks of `source` and their table, and syncs them.
fn write(source: &File, target: &File, starts: &mut Starts, pace: &mut Pace<'_>) -> io::Result<bool> {
    let mut packing = Packing::new(target)?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut place, mut synced) = (0, 0);
    loop {
        let len = read_full(source, &mut block, place)?;
        if len == 0 {
            break;
        }
        packing.block(&block[..len], starts.from(place)?)?;
        place += len as u64;
        if packing.written() - synced >= SYNC_BYTES {
            target.sync_data()?;
            synced = packing.written();
        }
        if !pace.go_on() {
            return Ok(false);
        }
    }
    packing.finish()?;
    target.sync_all()?;
    Ok(true)
}

/// Whether the compressed file gives the segment back. False where it was told to stop.
fn same(source: &File, part: &Path, first: u64, pace: &mut Pace<'_>) -> Result<bool, LogError> {
    let table = Arc::new(Table::open(part, first)?);
    let fail = |error| LogError::io("read back", part)(error);
    let length = source.metadata().map_err(fail)?.len();
    let differs = || fail(io::Error::new(io::ErrorKind::InvalidData, "it is not what was compressed"));
    if table.problem().map_err(fail)?.is_some() || table.bytes() != length {
        return Err(differs());
    }
    let mut packed = Packed::new(table, None);
    let (mut ours, mut theirs) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut place = 0;
    while place < length {
        let len = packed.read_at(&mut ours, place).map_err(fail)?;
        let theirs = &mut theirs[..len];
        if len == 0 || read_full(source, theirs, place).map_err(fail)? != len || ours[..len] != *theirs {
            return Err(differs());
        }
        place += len as u64;
        if !pace.go_on() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_full(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], place + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Rests between blocks, and hears when it is to stop.
struct Pace<'s> {
    stop: &'s Receiver<Infallible>,
    blocks: usize,
}

impl Pace<'_> {
    fn go_on(&mut self) -> bool {
        self.blocks += 1;
        if !self.blocks.is_multiple_of(BLOCKS_AT_ONCE) {
            return true;
        }
        matches!(self.stop.recv_timeout(REST), Err(RecvTimeoutError::Timeout))
    }
}

/// Where the records of a segment begin, in their order.
struct Starts {
    walker: Walker,
    next: Option<Start>,
    seen: u64,
}

impl Starts {
    fn open(dir: &Path, first: u64) -> Result<Starts, LogError> {
        Ok(Starts { walker: Walker::open(dir, first)?, next: Some(Start::default()), seen: first - 1 })
    }

    /// The first record that begins at `place` or behind it; one beyond every offset where there is none.
    fn from(&mut self, place: u64) -> io::Result<Start> {
        while let Some(next) = self.next {
            if next.seq > 0 && next.place >= place {
                return Ok(next);
            }
            self.next = self.step().map_err(io::Error::other)?;
        }
        Ok(Start { seq: u64::MAX, place })
    }

    fn step(&mut self) -> Result<Option<Start>, LogError> {
        loop {
            match self.walker.step()? {
                Step::Frame(place, head, _) => {
                    self.seen = head.seq;
                    return Ok(Some(Start { seq: head.seq, place }));
                }
                Step::End => return Ok(None),
                Step::Damage => {
                    if !self.walker.resync(self.seen)? {
                        return Ok(None);
                    }
                }
            }
        }
    }
}
