//! Walking along a segment file, over damage too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::LogError;
use super::format::{BODY_BYTES_MAX, FRAME_HEAD_BYTES, HEADER_BYTES, Head, Header, KIND_COMMIT, VERSION};

/// Bytes read from the file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The file name of the segment that begins at `offset`.
pub(crate) fn file_name(offset: u64) -> String {
    format!("{offset:020}.journal")
}

/// The segments of a folder by their first offset.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = entry.map_err(LogError::io("list", dir))?.path();
        let stem = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".journal"));
        if let Some(offset) = stem.filter(|s| s.len() == 20).and_then(|s| s.parse().ok()) {
            segments.push((offset, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Reads the header of a segment; `None` where it is damaged.
pub(crate) fn header(file: &File, path: &Path) -> Result<Option<Header>, LogError> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(LogError::io("read", path)(error)),
    }
    match Header::decode(&bytes) {
        Some(header) if header.version > VERSION => {
            Err(LogError::Newer { path: path.to_owned(), version: header.version, known: VERSION })
        }
        header => Ok(header),
    }
}

/// A place in a segment file from which frames are read one after the other.
pub(crate) struct Walker {
    file: File,
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
    pub(crate) fn open(path: &Path, first_offset: u64) -> Result<Walker, LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        header(&file, path)?;
        Ok(Walker { file, path: path.to_owned(), first_offset, buffer: Vec::new(), buffer_at: 0, place: HEADER_BYTES as u64 })
    }

    /// Makes `len` bytes from `self.place` available where the file has them; gives how many there are.
    fn fill(&mut self, len: usize) -> Result<usize, LogError> {
        let have = |w: &Walker| (w.buffer_at + w.buffer.len() as u64).saturating_sub(w.place) as usize;
        if self.place >= self.buffer_at && have(self) >= len {
            return Ok(len);
        }
        self.buffer.resize(len.max(CHUNK_BYTES), 0);
        let mut filled = 0;
        while filled < self.buffer.len() {
            match self.file.read_at(&mut self.buffer[filled..], self.place + filled as u64) {
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
            if head.kind > KIND_COMMIT || head.seq <= seq || head.seq - seq > u64::from(u32::MAX) {
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
