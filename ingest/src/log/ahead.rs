//! The next segment, made ready before it is needed, on a thread of its own.
//!
//! It is written with zeros, not only allocated: what was allocated alone becomes data with a change of the file system's own journal, and
//! each sync then waits for whatever else is in that (ext4: the pages of every file that was written meanwhile). Bytes that replace bytes are
//! synced by themselves.
//!
//! The file is `next.part` until the writer takes it. Its header then says which segment it is, so that a machine that dies before the new
//! name is on the disk finds it all the same ([`settle`]); the folder is synced here, and nobody waits for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tracing::{debug_span, warn};

use super::LogError;
use super::format::{HEADER_BYTES, Header, VERSION};
use super::journal::sync_dir;
use super::segment::{allocate, file_name, list};

/// Bytes written and synced at once: the writer's own syncs wait for no more.
const PART_BYTES: usize = 1 << 20;
/// How long it rests after each: some 70 MiB a second, several times what is received.
const REST: Duration = Duration::from_millis(10);

/// The thread, and what it has ready.
pub(super) struct Ahead {
    dir: PathBuf,
    asks: Sender<()>,
    ready: Arc<Mutex<Option<File>>>,
    thread: JoinHandle<()>,
}

impl Ahead {
    /// Starts the thread, for segments of `segment_bytes`.
    pub(super) fn start(dir: &Path, segment_bytes: u64) -> Result<Ahead, LogError> {
        let (asks, inbox) = crossbeam_channel::bounded(1);
        let ready = Arc::<Mutex<Option<File>>>::default();
        let (folder, slot) = (dir.to_owned(), ready.clone());
        let thread = std::thread::Builder::new()
            .name("journal-ahead".to_owned())
            .spawn(move || run(&folder, segment_bytes, &inbox, &slot))
            .map_err(LogError::io("start a thread for", dir))?;
        Ok(Ahead { dir: dir.to_owned(), asks, ready, thread })
    }

    /// Asks for the next segment; nothing is done twice.
    pub(super) fn ask(&self) {
        if let Err(TrySendError::Disconnected(())) = self.asks.try_send(()) {
            warn!("the thread that makes segments ready has ended");
        }
    }

    /// Makes what is ready the segment of this header, if anything is. Its place is as durable as the first bytes that are synced in it.
    pub(super) fn take(&self, header: &Header) -> io::Result<Option<File>> {
        let Some(file) = self.ready.lock().expect("no code panics under this lock").take() else { return Ok(None) };
        let (part, path) = (part(&self.dir), self.dir.join(file_name(header.first_offset)));
        // What may be there by this name was given up before anything was committed in it.
        match file.write_all_at(&header.encode(), 0).and_then(|()| std::fs::rename(&part, path)) {
            Ok(()) => Ok(Some(file)),
            Err(error) => {
                drop(std::fs::remove_file(part)); // It must not pass for a segment later; what matters is the first error.
                Err(error)
            }
        }
    }

    /// Ends the thread. What is ready and was not taken goes.
    pub(super) fn end(self) {
        drop(self.asks);
        if self.thread.join().is_err() {
            warn!("the thread that makes segments ready panicked");
        }
        if self.ready.lock().expect("no code panics under this lock").take().is_some() {
            drop(std::fs::remove_file(part(&self.dir))); // It counts for nothing, and the next start removes it too.
        }
    }
}

/// Where the next segment is made.
fn part(dir: &Path) -> PathBuf {
    dir.join("next.part")
}

/// At the start: what a machine left that died is the segment that its header says, or nothing.
pub(super) fn settle(dir: &Path) -> Result<(), LogError> {
    let path = part(dir);
    let mut bytes = [0; HEADER_BYTES];
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LogError::io("open", path)(error)),
    };
    let whole = file.read_exact_at(&mut bytes, 0).is_ok();
    let newest = list(dir)?.last().copied().unwrap_or(0);
    let header = Header::decode(&bytes).filter(|header| whole && header.version <= VERSION && header.first_offset > newest);
    match header {
        Some(header) => {
            std::fs::rename(&path, dir.join(file_name(header.first_offset))).map_err(LogError::io("rename", &path))?;
        }
        None => std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?,
    }
    sync_dir(dir)
}

fn run(dir: &Path, segment_bytes: u64, asks: &Receiver<()>, ready: &Mutex<Option<File>>) {
    while asks.recv().is_ok() {
        if ready.lock().expect("no code panics under this lock").is_some() {
            continue;
        }
        match debug_span!("make ready").in_scope(|| make(dir, segment_bytes, asks)) {
            Ok(Some(file)) => *ready.lock().expect("no code panics under this lock") = Some(file),
            Ok(None) => return,
            Err(error) => {
                // The writer makes its own then, and says what is wrong if it cannot.
                warn!(%error, reason = ?std::error::Error::source(&error), "failed to make the next segment ready");
                drop(std::fs::remove_file(part(dir)));
            }
        }
    }
}

/// Makes the file; none where it was told to stop.
fn make(dir: &Path, segment_bytes: u64, asks: &Receiver<()>) -> Result<Option<File>, LogError> {
    // The name of the one before first: it was this file's.
    sync_dir(dir)?;
    let path = part(dir);
    let fail = |error: io::Error| LogError::io("make", part(dir))(error);
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path).map_err(fail)?;
    // A full disk shows here, before the bytes are written.
    allocate(&file, segment_bytes).map_err(fail)?;
    let zeros = vec![0; PART_BYTES];
    let mut place = 0;
    while place < segment_bytes {
        let len = (segment_bytes - place).min(PART_BYTES as u64);
        file.write_all_at(&zeros[..len as usize], place).and_then(|()| file.sync_data()).map_err(fail)?;
        place += len;
        // Asks that come meanwhile are this one's.
        if let Err(RecvTimeoutError::Disconnected) = asks.recv_timeout(REST) {
            return std::fs::remove_file(&path).map_err(fail).map(|()| None);
        }
    }
    file.sync_all().map_err(fail)?;
    sync_dir(dir)?;
    Ok(Some(file))
}
