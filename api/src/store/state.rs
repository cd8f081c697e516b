//! The states that a restart takes up, in a file beside the database: tens of megabytes every few seconds, which in the database would be written
//! twice, at once, by the thread that has the next batch to look at, and would hold up everybody's syncs.
//!
//! The file is compressed, written piece by piece on a thread of its own, and gets its name when all of it is on the disk. A state is
//! offered once its position is stored, so that no state is ever ahead of the database.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{debug_span, warn};

use super::Resume;

/// What the file begins with.
const MAGIC: [u8; 8] = *b"MIHARIS1";
/// States in one file, bytes of a name, and of one state: what is read is never more.
const PARTS_MAX: u32 = 64;
const NAME_BYTES_MAX: u64 = 256;
const PART_BYTES_MAX: u64 = 4 << 30;
/// zstd's quickest usual level: a state is written every few seconds and read once.
const LEVEL: i32 = 1;
/// Bytes written and synced at once, and how long the thread rests then: other files' syncs wait for no more.
const PIECE_BYTES: usize = 1 << 20;
const REST: Duration = Duration::from_millis(10);
/// How nice the thread is: it has seconds, others have not.
const NICE: i32 = 10;

/// The states of one position.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The last log offset that they know.
    pub position: u64,
    /// The states, by name.
    pub parts: Vec<(&'static str, Arc<Vec<u8>>)>,
}

/// The thread that writes states.
pub struct StateWriter {
    path: PathBuf,
    offers: SyncSender<State>,
    busy: Arc<AtomicBool>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl StateWriter {
    /// Starts it, for the file at `path`. It calls `done` with the position of each state that is on the disk.
    pub(super) fn start(path: &Path, done: impl Fn(u64) + Send + 'static) -> io::Result<StateWriter> {
        let (offers, inbox) = mpsc::sync_channel::<State>(1);
        let (stop, stopped) = mpsc::channel();
        let busy = Arc::<AtomicBool>::default();
        let (at, working) = (path.to_owned(), busy.clone());
        let work = move || {
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                warn!(%error, "the thread that stores states runs at the priority of all");
            }
            for state in &inbox {
                let _write = debug_span!("write state").entered();
                match write(&at, &state, &stopped) {
                    Ok(()) => done(state.position),
                    Err(error) => {
                        // On a full disk the rest of it would be in everybody's way; what matters is the first error.
                        drop(std::fs::remove_file(part_of(&at)));
                        metrics::counter!("mihari_state_write_errors_total").increment(1);
                        warn!(%error, path = %at.display(), "failed to store the state: the one before is taken up after a restart");
                    }
                }
                working.store(false, Ordering::Release);
            }
        };
        let thread = std::thread::Builder::new().name("state".to_owned()).spawn(work)?;
        Ok(StateWriter { path: path.to_owned(), offers, busy, stop, thread })
    }

    /// Whether a state is being written: another is not taken then.
    pub fn busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Hands a state over, to be written once the one before is.
    pub fn store(&self, state: State) {
        self.busy.store(true, Ordering::Release);
        if self.offers.send(state).is_err() {
            warn!(path = %self.path.display(), "the thread that stores states has ended");
        }
    }

    /// Ends the thread, with what it was given last; without rests.
    pub fn end(self) {
        let StateWriter { offers, stop, thread, .. } = self;
        drop((stop, offers));
        if thread.join().is_err() {
            warn!("the thread that stores states panicked");
        }
    }
}

/// The file of the store at `path`.
pub(super) fn path_of(store: &Path) -> PathBuf {
    store.with_extension("state")
}

/// The file while it is being written.
fn part_of(path: &Path) -> PathBuf {
    path.with_extension("state.part")
}

fn write(path: &Path, state: &State, stopped: &Receiver<()>) -> io::Result<()> {
    let part = part_of(path);
    let pieces = Pieces { file: File::create(&part)?, unsynced: 0, stopped };
    let mut out = zstd::Encoder::new(pieces, LEVEL)?;
    out.include_checksum(true)?;
    out.write_all(&MAGIC)?;
    out.write_all(&state.position.to_le_bytes())?;
    out.write_all(&(state.parts.len() as u32).to_le_bytes())?;
    for (name, bytes) in &state.parts {
        out.write_all(&(name.len() as u32).to_le_bytes())?;
        out.write_all(name.as_bytes())?;
        out.write_all(&(bytes.len() as u64).to_le_bytes())?;
        out.write_all(bytes)?;
    }
    out.finish()?.file.sync_all()?;
    std::fs::rename(&part, path)?;
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes piece by piece, with rests until it is told to stop.
struct Pieces<'s> {
    file: File,
    unsynced: usize,
    stopped: &'s Receiver<()>,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.unsynced += n;
        if self.unsynced >= PIECE_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
            // Nothing is ever sent: it is either over or time goes by.
            let waited = self.stopped.recv_timeout(REST);
            debug_assert!(matches!(waited, Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)));
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The states in the file, those that are `wanted`; none where there is no file.
pub(super) fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Option<Resume>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut file = zstd::Decoder::new(BufReader::new(file))?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if read_bytes(&mut file)? != MAGIC {
        return Err(wrong("it is no file of states that this program knows"));
    }
    let mut resume = Resume { position: u64::from_le_bytes(read_bytes(&mut file)?), snapshots: Vec::new() };
    let parts = u32::from_le_bytes(read_bytes(&mut file)?);
    if parts > PARTS_MAX {
        return Err(wrong("it names too many states"));
    }
    for _ in 0..parts {
        let len = u64::from(u32::from_le_bytes(read_bytes(&mut file)?));
        let name = read_up_to(&mut file, len, NAME_BYTES_MAX)?;
        let name = String::from_utf8(name).map_err(|_| wrong("a state's name is no text"))?;
        let len = u64::from_le_bytes(read_bytes(&mut file)?);
        if wanted(&name) {
            let bytes = read_up_to(&mut file, len, PART_BYTES_MAX)?;
            resume.snapshots.push((name, bytes));
        } else if io::copy(&mut (&mut file).take(len), &mut io::sink())? != len {
            return Err(wrong("it is cut off"));
        }
    }
    // The checksum is behind the last byte: reading on to the end looks at it.
    if io::copy(&mut file, &mut io::sink())? != 0 {
        return Err(wrong("something follows"));
    }
    Ok(Some(resume))
}

fn read_bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_up_to(from: &mut impl Read, len: u64, max: u64) -> io::Result<Vec<u8>> {
    if len > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a state is larger than any is"));
    }
    let mut bytes = Vec::new();
    if from.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn state(position: u64, size: usize) -> State {
        let bytes = |seed: usize| Arc::new((0..size).map(|n| (n * seed % 251) as u8).collect::<Vec<u8>>());
        State { position, parts: vec![("templates", bytes(1)), ("behaviour", bytes(7)), ("empty", Arc::default())] }
    }

    fn all_of(resume: &Resume) -> Vec<(String, usize)> {
        resume.snapshots.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    }

    #[test]
    fn the_last_state_that_was_stored_is_read_back_whole_or_in_part() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("mihari.state");
        assert!(read(&path, |_| true).expect("read").is_none());
        let stored = Arc::new(Mutex::new(Vec::new()));
        let told = stored.clone();
        let writer = StateWriter::start(&path, move |position| told.lock().expect("held").push(position)).expect("starts");
        writer.store(state(7, 3 * PIECE_BYTES));
        writer.store(state(9, 3 * PIECE_BYTES + 1));
        writer.end();
        assert_eq!(*stored.lock().expect("held"), [7, 9]);
        let found = read(&path, |_| true).expect("read").expect("there");
        let wanted = state(9, 3 * PIECE_BYTES + 1);
        assert_eq!(found.position, 9);
        assert!(found.snapshots.iter().zip(&wanted.parts).all(|((a, b), (c, d))| a == c && *b == **d));
        assert_eq!(found.snapshots.len(), 3);
        let some = read(&path, |name| name == "behaviour").expect("read").expect("there");
        assert_eq!(all_of(&some), [("behaviour".to_owned(), 3 * PIECE_BYTES + 1)]);
    }

    #[test]
    fn a_damaged_file_is_refused_and_never_half_believed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("mihari.state");
        let (_stop, stopped) = mpsc::channel();
        write(&path, &state(3, 5000), &stopped).expect("written");
        let whole = std::fs::read(&path).expect("read");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x20;
            std::fs::write(&path, &changed).expect("written");
            if let Ok(Some(found)) = read(&path, |_| true) {
                // A bit that means nothing (the frame's window may be larger): what is read is what was written.
                let wanted = state(3, 5000);
                assert!(
                    found.position == 3 && found.snapshots.iter().zip(&wanted.parts).all(|((_, b), (_, d))| *b == **d),
                    "{at}"
                );
            }
            std::fs::write(&path, &whole[..at]).expect("written");
            assert!(!matches!(read(&path, |_| true), Ok(Some(_))), "cut at {at}");
        }
    }
}
