//! Walking along a segment file, over damage too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::Content;

use super::LogError;
use super::format::{BODY_BYTES_MAX, FRAME_HEAD_BYTES, HEADER_BYTES, Head, Header, KIND_COMMIT, VERSION};
use super::packed::{Blocks, Packed, Table};

/// Bytes read from the file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The file name of the segment that begins at `offset`, as it is written.
pub(crate) fn file_name(offset: u64) -> String {
    format!("{offset:020}{PLAIN}")
}

/// What the name of a segment ends in that is written to, or waits to be compressed.
const PLAIN: &str = ".journal";
/// What the name of a compressed segment ends in.
const PACKED: &str = ".journal.zst";
/// What the name of a file ends in that is being compressed to: it counts for nothing until it is renamed.
const PART: &str = ".journal.part";

/// The files of the segment that begins at `offset`: as written, compressed, and half-compressed.
pub(crate) fn files(dir: &Path, offset: u64) -> [PathBuf; 3] {
    [PLAIN, PACKED, PART].map(|ending| dir.join(format!("{offset:020}{ending}")))
}

/// Gives a new file its room on the disk. Where there is not enough nothing is taken: a file system takes what there is before it sees that
/// it does not do, and so long a writer of anything else would find none.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
}

/// The first offsets of the segments of a folder, with what the names of their files end in.
fn endings(dir: &Path) -> Result<BTreeMap<u64, BTreeSet<&'static str>>, LogError> {
    let mut segments: BTreeMap<u64, BTreeSet<&'static str>> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let name = entry.map_err(LogError::io("list", dir))?.file_name();
        let Some((digits, ending)) = name.to_str().and_then(|n| n.split_at_checked(20)) else { continue };
        let ending = [PLAIN, PACKED, PART].into_iter().find(|known| *known == ending);
        if let (Ok(offset), Some(ending)) = (digits.parse(), ending) {
            segments.entry(offset).or_default().insert(ending);
        }
    }
    Ok(segments)
}

/// The segments of a folder by their first offset.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, LogError> {
    let segments = endings(dir)?.into_iter();
    Ok(segments.filter(|(_, endings)| endings.contains(PLAIN) || endings.contains(PACKED)).map(|(offset, _)| offset).collect())
}

/// Removes what a compression left that was cut short: half a file, or the segment beside its compressed twin.
pub(crate) fn tidy(dir: &Path) -> Result<(), LogError> {
    for (offset, endings) in endings(dir)? {
        let [plain, packed, part] = files(dir, offset);
        let mut gone = Vec::new();
        if endings.contains(PART) {
            gone.push(part);
        }
        if endings.contains(PLAIN) && endings.contains(PACKED) {
            let table = Table::open(&packed, offset)?;
            let length = std::fs::metadata(&plain).map_err(LogError::io("read", &plain))?.len();
            let whole = table.bytes() == length && table.problem().map_err(LogError::io("read", &packed))?.is_none();
            gone.push(if whole { plain } else { packed });
        }
        for path in gone {
            std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Where the bytes of a segment come from.
enum Bytes {
    Plain(File),
    Packed(Box<Packed>),
}

impl Bytes {
    fn read_at(&mut self, into: &mut [u8], place: u64) -> io::Result<usize> {
        match self {
            Bytes::Plain(file) => file.read_at(into, place),
            Bytes::Packed(packed) => packed.read_at(into, place),
        }
    }
}

/// A place in a segment file from which frames are read one after the other.
pub(crate) struct Walker {
    bytes: Bytes,
    path: PathBuf,
    first_offset: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Where the next frame begins.
    pub(crate) place: u64,
}

/// What lies at a walker's place.
pub(crate) enum Step<'w> {
    /// A whole frame with a fitting checksum, which began at the place given; the walker stands behind it.
    Frame(u64, Head, &'w [u8]),
    /// Zeros, or the end of the file: nothing was written here.
    End,
    /// Something else; the walker has not moved.
    Damage,
}

impl Walker {
    /// Opens the segment that begins at `first_offset`, whichever form it has.
    pub(crate) fn open(dir: &Path, first_offset: u64) -> Result<Walker, LogError> {
        let [plain, packed, _] = files(dir, first_offset);
        // As written first: it goes only when its compressed twin is there.
        let mut walker = match File::open(&plain) {
            Ok(file) => Walker::over(Bytes::Plain(file), plain, first_offset),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Walker::packed(Arc::new(Table::open(&packed, first_offset)?), None, first_offset)
            }
            Err(error) => return Err(LogError::io("open", plain)(error)),
        };
        walker.header()?;
        Ok(walker)
    }

    /// Over a compressed segment that is open already. Blocks that were read are shared through `blocks`.
    pub(crate) fn packed(table: Arc<Table>, blocks: Option<Arc<Blocks>>, first_offset: u64) -> Walker {
        let path = table.path().to_owned();
        Walker::over(Bytes::Packed(Box::new(Packed::new(table, blocks))), path, first_offset)
    }

    fn over(bytes: Bytes, path: PathBuf, first_offset: u64) -> Walker {
        Walker { bytes, path, first_offset, buffer: Vec::new(), buffer_at: 0, place: HEADER_BYTES as u64 }
    }

    /// The file that is read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its blocks, where it is compressed.
    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        match &self.bytes {
            Bytes::Plain(_) => None,
            Bytes::Packed(packed) => Some(packed.table()),
        }
    }

    /// Reads the header; `None` where it is damaged.
    pub(crate) fn header(&mut self) -> Result<Option<Header>, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.bytes.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => return Ok(None),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::io("read", &self.path)(error)),
            }
        }
        match Header::decode(&bytes) {
            Some(header) if header.version > VERSION => {
                Err(LogError::Newer { path: self.path.clone(), version: header.version, known: VERSION })
            }
            header => Ok(header),
        }
    }

    /// Makes `len` bytes from `self.place` available where the file has them; gives how many there are.
    fn fill(&mut self, len: usize) -> Result<usize, LogError> {
        let have = |w: &Walker| (w.buffer_at + w.buffer.len() as u64).saturating_sub(w.place) as usize;
        if self.place >= self.buffer_at && have(self) >= len {
            return Ok(len);
        }
        self.buffer.resize(len.max(CHUNK_BYTES), 0);
        let mut filled = 0;
        while filled < len {
            match self.bytes.read_at(&mut self.buffer[filled..], self.place + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::io("read", &self.path)(error)),
            }
        }
        self.buffer.truncate(filled);
        self.buffer_at = self.place;
        Ok(filled.min(len))
    }

    fn bytes(&self, skip: usize, len: usize) -> &[u8] {
        let at = (self.place - self.buffer_at) as usize + skip;
        &self.buffer[at..at + len]
    }

    /// Reads the frame at the walker's place.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, LogError> {
        let got = self.fill(FRAME_HEAD_BYTES)?;
        if got < FRAME_HEAD_BYTES || self.bytes(0, FRAME_HEAD_BYTES).iter().all(|b| *b == 0) {
            let nothing = self.bytes(0, got).iter().all(|b| *b == 0);
            return Ok(if nothing { Step::End } else { Step::Damage });
        }
        let Some(head) = Head::decode(self.bytes(0, FRAME_HEAD_BYTES)) else { return Ok(Step::Damage) };
        let len = head.len as usize;
        if self.fill(FRAME_HEAD_BYTES + len)? < FRAME_HEAD_BYTES + len {
            return Ok(Step::Damage);
        }
        if !head.fits(self.first_offset, self.place, self.bytes(FRAME_HEAD_BYTES, len)) {
            return Ok(Step::Damage);
        }
        let place = self.place;
        self.place += (FRAME_HEAD_BYTES + len) as u64;
        let at = (place - self.buffer_at) as usize + FRAME_HEAD_BYTES;
        Ok(Step::Frame(place, head, &self.buffer[at..at + len]))
    }

    /// Forgets what was read ahead: the writer may have written there since.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// From damage, looks for the next whole frame with a number above `seq`. The checksum covers the place, so that bytes within
    /// a record cannot pass for a frame. False, and at the end of the file, where there is none.
    pub(crate) fn resync(&mut self, seq: u64) -> Result<bool, LogError> {
        loop {
            self.place += 1;
            let got = self.fill(FRAME_HEAD_BYTES)?;
            if got < FRAME_HEAD_BYTES {
                return Ok(false);
            }
            let Some(head) = Head::decode(self.bytes(0, FRAME_HEAD_BYTES)) else { continue };
            if head.kind != KIND_COMMIT && Content::from_number(head.kind).is_none()
                || head.seq <= seq
                || head.seq - seq > u64::from(u32::MAX)
            {
                continue;
            }
            let len = head.len as usize;
            debug_assert!(len <= BODY_BYTES_MAX);
            let place = self.place;
            if self.fill(FRAME_HEAD_BYTES + len)? == FRAME_HEAD_BYTES + len
                && head.fits(self.first_offset, place, self.bytes(FRAME_HEAD_BYTES, len))
            {
                return Ok(true);
            }
        }
    }
}
