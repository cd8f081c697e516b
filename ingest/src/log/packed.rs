//! A sealed segment, compressed: the same bytes in blocks, each of which can be read alone.
//!
//! ```text
//! block, block, ...   zstd frames, one for every BLOCK_BYTES of the segment
//! table               a skippable frame: magic u32 | length u32 | entries | tail
//! entry               compressed bytes u32 | crc32c of them u32 | offset u64 and place u64 of the first record that begins in the block
//!                     or behind it
//! tail                bytes of the segment u64 | bytes of a block u32 | blocks u32 | crc32c of the skippable frame before u32 | "MIHARIZ1"
//! ```
//!
//! `zstd -d` gives the segment byte for byte: places, checksums, trees and links are those of the segment. A block that cannot be
//! decompressed costs what begins in it; a damaged table costs the short way to a record, since the blocks say themselves how long they are.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use super::LogError;
use super::format::HEADER_BYTES;

/// Bytes of a segment in one block: a record costs the decompression of so many (some 0.1 ms), and larger ones gain little.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;
/// The largest block that is read.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// zstd's level.
const LEVEL: i32 = 3;
const SKIPPABLE: u32 = 0x184d_2a5e;
const MAGIC: [u8; 8] = *b"MIHARIZ1";
const ENTRY_BYTES: usize = 24;
const TAIL_BYTES: usize = 8 + 4 + 4 + 4 + 8;
/// What a block that cannot be decompressed reads as. No frame begins so: its length would be beyond every bound.
const DAMAGED: u8 = 0xff;

/// Where a record begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Start {
    /// The record's offset in the log.
    pub(crate) seq: u64,
    /// Its place in the segment.
    pub(crate) place: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the compressed block lies in the file.
    at: u64,
    len: u32,
    /// Unknown where the table was damaged.
    crc: Option<u32>,
    start: Start,
}

/// A compressed segment, opened: where its blocks lie.
#[derive(Debug)]
pub(crate) struct Table {
    file: File,
    path: PathBuf,
    /// The offset of the segment's first frame: what blocks of different segments are told apart by.
    first_offset: u64,
    entries: Vec<Entry>,
    block_bytes: usize,
    bytes: u64,
    /// Whether the table itself was damaged, and the blocks were found by going through them.
    damaged: bool,
}

/// Begins a compressed segment, block by block.
pub(crate) struct Packing<'f> {
    file: &'f File,
    compressor: Compressor<'static>,
    compressed: Vec<u8>,
    at: u64,
    bytes: u64,
    entries: Vec<u8>,
    blocks: u32,
}

impl Packing<'_> {
    pub(crate) fn new(file: &File) -> io::Result<Packing<'_>> {
        let compressor = Compressor::new(LEVEL)?;
        Ok(Packing { file, compressor, compressed: Vec::new(), at: 0, bytes: 0, entries: Vec::new(), blocks: 0 })
    }

    /// Adds a block of the segment: all but the last are of [`BLOCK_BYTES`]. `start`: the first record that begins in it or behind it.
    pub(crate) fn block(&mut self, bytes: &[u8], start: Start) -> io::Result<()> {
        self.compressed.clear();
        self.compressed.reserve(zstd_safe::compress_bound(bytes.len()));
        self.compressor.compress_to_buffer(bytes, &mut self.compressed)?;
        self.file.write_all_at(&self.compressed, self.at)?;
        self.entries.extend((self.compressed.len() as u32).to_le_bytes());
        self.entries.extend(crc32c::crc32c(&self.compressed).to_le_bytes());
        self.entries.extend(start.seq.to_le_bytes());
        self.entries.extend(start.place.to_le_bytes());
        self.at += self.compressed.len() as u64;
        self.bytes += bytes.len() as u64;
        self.blocks += 1;
        Ok(())
    }

    /// Bytes of the file so far.
    pub(crate) fn written(&self) -> u64 {
        self.at
    }

    /// Writes the table.
    pub(crate) fn finish(self) -> io::Result<()> {
        let mut table = Vec::with_capacity(8 + self.entries.len() + TAIL_BYTES);
        table.extend(SKIPPABLE.to_le_bytes());
        table.extend(((self.entries.len() + TAIL_BYTES) as u32).to_le_bytes());
        table.extend(self.entries);
        table.extend(self.bytes.to_le_bytes());
        table.extend((BLOCK_BYTES as u32).to_le_bytes());
        table.extend(self.blocks.to_le_bytes());
        table.extend(crc32c::crc32c(&table).to_le_bytes());
        table.extend(MAGIC);
        self.file.write_all_at(&table, self.at)
    }
}

impl Table {
    /// Opens a compressed segment.
    pub(crate) fn open(path: &Path, first_offset: u64) -> Result<Table, LogError> {
        let file = File::open(path).map_err(LogError::io("open", path))?;
        let mut table = Table {
            file,
            path: path.to_owned(),
            first_offset,
            entries: Vec::new(),
            block_bytes: BLOCK_BYTES,
            bytes: 0,
            damaged: false,
        };
        let length = table.file.metadata().map_err(LogError::io("read", path))?.len();
        if table.read_table(length).map_err(LogError::io("read", path))?.is_none() {
            table.damaged = true;
            table.find_blocks(length).map_err(LogError::io("read", path))?;
        }
        Ok(table)
    }

    /// Reads the table; `None` where it is damaged.
    fn read_table(&mut self, length: u64) -> io::Result<Option<()>> {
        let Some(tail_at) = length.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
        let mut tail = [0; TAIL_BYTES];
        self.file.read_exact_at(&mut tail, tail_at)?;
        let (bytes, block_bytes, blocks) = (u64_at(&tail, 0), u32_at(&tail, 8) as usize, u64::from(u32_at(&tail, 12)));
        let frame_bytes = 8 + blocks * ENTRY_BYTES as u64 + TAIL_BYTES as u64;
        if tail[20..] != MAGIC || frame_bytes > length || !(1..=BLOCK_BYTES_MAX).contains(&block_bytes) {
            return Ok(None);
        }
        let mut frame = vec![0; frame_bytes as usize];
        self.file.read_exact_at(&mut frame, length - frame_bytes)?;
        let fits = u32_at(&frame, 0) == SKIPPABLE
            && u64::from(u32_at(&frame, 4)) == frame_bytes - 8
            && crc32c::crc32c(&frame[..frame.len() - 12]) == u32_at(&tail, 16)
            && bytes.div_ceil(block_bytes as u64) == blocks;
        if !fits {
            return Ok(None);
        }
        let mut at = 0;
        for entry in frame[8..frame.len() - TAIL_BYTES].chunks_exact(ENTRY_BYTES) {
            let len = u32_at(entry, 0);
            let start = Start { seq: u64_at(entry, 8), place: u64_at(entry, 16) };
            self.entries.push(Entry { at, len, crc: Some(u32_at(entry, 4)), start });
            at += u64::from(len);
        }
        (self.bytes, self.block_bytes) = (bytes, block_bytes);
        Ok((at == length - frame_bytes).then_some(()))
    }

    /// Finds the blocks without the table, as far as they say how long they are.
    fn find_blocks(&mut self, length: u64) -> io::Result<()> {
        self.entries.clear();
        (self.bytes, self.block_bytes) = (0, BLOCK_BYTES);
        let start = Start { seq: self.first_offset, place: HEADER_BYTES as u64 };
        let (mut at, mut piece) = (0, Vec::new());
        while at < length {
            piece.resize(zstd_safe::compress_bound(BLOCK_BYTES_MAX).min((length - at) as usize), 0);
            self.file.read_exact_at(&mut piece, at)?;
            let content = zstd_safe::get_frame_content_size(&piece).ok().flatten().unwrap_or(0) as usize;
            let Ok(len) = zstd_safe::find_frame_compressed_size(&piece) else { break };
            if !(1..=BLOCK_BYTES_MAX).contains(&content) {
                break; // The table: a skippable frame has no content.
            }
            if self.entries.is_empty() {
                self.block_bytes = content;
            }
            self.entries.push(Entry { at, len: len as u32, crc: None, start });
            self.bytes += content as u64;
            at += len as u64;
            if content != self.block_bytes {
                break; // Only the last is shorter.
            }
        }
        Ok(())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the segment.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From where on the record at `offset` is found.
    pub(crate) fn start_of(&self, offset: u64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.start.seq <= offset);
        let start = after.checked_sub(1).map(|at| self.entries[at].start.place);
        start.filter(|place| *place < self.bytes).unwrap_or(HEADER_BYTES as u64)
    }

    /// What is wrong with it, if something is: every compressed byte is covered by a checksum.
    pub(crate) fn problem(&self) -> io::Result<Option<String>> {
        if self.damaged {
            return Ok(Some("the table of its blocks is damaged".to_owned()));
        }
        let mut compressed = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            self.compressed(entry, &mut compressed)?;
            if entry.crc.is_some_and(|crc| crc != crc32c::crc32c(&compressed)) {
                return Ok(Some(format!("block {at}, from offset {} on, is not as it was written", entry.start.seq)));
            }
        }
        Ok(None)
    }

    fn compressed(&self, entry: &Entry, into: &mut Vec<u8>) -> io::Result<()> {
        into.resize(entry.len as usize, 0);
        self.file.read_exact_at(into, entry.at)
    }

    fn block(&self, at: usize, decompressor: &mut Option<Decompressor<'static>>, space: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let entry = &self.entries[at];
        let len = (self.bytes - at as u64 * self.block_bytes as u64).min(self.block_bytes as u64) as usize;
        self.compressed(entry, space)?;
        let mut block = Vec::with_capacity(len);
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(Decompressor::new()?),
        };
        // Each record has a checksum of its own: what a damaged block still gives is tried.
        if decompressor.decompress_to_buffer(space, &mut block).is_err() || block.len() != len {
            metrics::counter!("mihari_journal_blocks_damaged_total").increment(1);
            tracing::error!(path = %self.path.display(), block = at, "a block of the journal cannot be decompressed");
            block.clear();
            block.resize(len, DAMAGED);
        }
        Ok(block)
    }
}

/// Blocks that were read last, shared by those who fetch single records: neighbours often come one after the other.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<VecDeque<Block>>);

#[derive(Debug)]
struct Block {
    /// Of its segment.
    first_offset: u64,
    at: usize,
    bytes: Arc<Vec<u8>>,
}

/// Blocks kept, 8 MiB: those of a page of fifty hits, whose messages are read first and then their raw texts.
const BLOCKS_MAX: usize = 64;

impl Blocks {
    fn get(&self, first_offset: u64, at: usize) -> Option<Arc<Vec<u8>>> {
        let blocks = self.0.lock().expect("no code panics under this lock");
        blocks.iter().find(|block| (block.first_offset, block.at) == (first_offset, at)).map(|block| block.bytes.clone())
    }

    fn put(&self, first_offset: u64, at: usize, bytes: Arc<Vec<u8>>) {
        let mut blocks = self.0.lock().expect("no code panics under this lock");
        if blocks.len() >= BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back(Block { first_offset, at, bytes });
    }
}

/// Reads a compressed segment as if it were not.
pub(crate) struct Packed {
    table: Arc<Table>,
    blocks: Option<Arc<Blocks>>,
    block: Option<(usize, Arc<Vec<u8>>)>,
    decompressor: Option<Decompressor<'static>>,
    space: Vec<u8>,
}

impl Packed {
    pub(crate) fn new(table: Arc<Table>, blocks: Option<Arc<Blocks>>) -> Packed {
        Packed { table, blocks, block: None, decompressor: None, space: Vec::new() }
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// As [`FileExt::read_at`] of the segment.
    pub(crate) fn read_at(&mut self, into: &mut [u8], place: u64) -> io::Result<usize> {
        if place >= self.table.bytes {
            return Ok(0);
        }
        let at = (place / self.table.block_bytes as u64) as usize;
        if self.block.as_ref().is_none_or(|(known, _)| *known != at) {
            let first = self.table.first_offset;
            let known = self.blocks.as_ref().and_then(|blocks| blocks.get(first, at));
            let bytes = match known {
                Some(bytes) => bytes,
                None => {
                    let bytes = Arc::new(self.table.block(at, &mut self.decompressor, &mut self.space)?);
                    if let Some(blocks) = &self.blocks {
                        blocks.put(first, at, bytes.clone());
                    }
                    bytes
                }
            };
            self.block = Some((at, bytes));
        }
        let Some((_, block)) = &self.block else { return Ok(0) };
        let rest = &block[(place % self.table.block_bytes as u64) as usize..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    b.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
