//! One shard: an engine index with what it says of itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use event::Time;
use serde::{Deserialize, Serialize};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexReader, IndexSettings, ReloadPolicy};

use crate::IndexError;
use crate::schema::Layout;
use crate::segment::Segment;

/// What stands in the commit's payload: exactly as old as the documents.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Payload {
    pub(crate) v: u32,
    /// The first and the last log offset in it.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) docs: u64,
    /// Event times in it, in nanoseconds, both inclusive.
    pub(crate) time: Option<(i64, i64)>,
    pub(crate) received: Option<(i64, i64)>,
    /// The names of its fields that have a place of their own.
    pub(crate) fields: BTreeSet<String>,
    /// The names of its other fields.
    #[serde(default)]
    pub(crate) rest: BTreeSet<String>,
}

/// The version of shards that this program writes and reads. A shard of another is built anew from the log (`mihari reindex`).
pub(crate) const VERSION: u32 = 4;
/// Bytes of one block of the document store. Nothing is stored, but the engine writes five bytes a document that say so: in blocks of up to
/// 255 documents they compress to 1.7, in larger ones to 2.3.
const STORE_BLOCK_BYTES: usize = 2300;

impl Payload {
    pub(crate) fn add_time(&mut self, time: Time, received: Time) {
        for (range, t) in [(&mut self.time, time.unix_ns()), (&mut self.received, received.unix_ns())] {
            *range = Some(range.map_or((t, t), |(low, high)| (low.min(t), high.max(t))));
        }
    }
}

/// A shard as searches see it.
pub(crate) struct Shard {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    reader: IndexReader,
    payload: RwLock<Arc<Payload>>,
    /// In log order. Kept from search to search: what is known of a segment is found out once.
    segments: Mutex<Vec<Arc<Segment>>>,
}

impl Shard {
    pub(crate) fn payload(&self) -> Arc<Payload> {
        self.payload.read().expect("no code panics under this lock").clone()
    }

    pub(crate) fn documents(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Shows searches what was committed.
    pub(crate) fn publish(&self, payload: Option<Payload>) -> Result<(), IndexError> {
        // Names first: a search may know of a field that no document has yet, but not the other way.
        if let Some(payload) = payload {
            *self.payload.write().expect("no code panics under this lock") = Arc::new(payload);
        }
        self.reader.reload().map_err(|source| self.fault("reload", source))?;
        self.segments().map(drop)
    }

    /// The segments as they are now, in log order.
    pub(crate) fn segments(&self) -> Result<Vec<Arc<Segment>>, IndexError> {
        let searcher = self.reader.searcher();
        let mut known = self.segments.lock().expect("no code panics under this lock");
        let mut now = Vec::with_capacity(searcher.segment_readers().len());
        for reader in searcher.segment_readers() {
            now.push(match known.iter().find(|s| s.id() == reader.segment_id()) {
                Some(segment) => segment.clone(),
                None => Arc::new(Segment::open(reader).map_err(|source| self.fault("open a segment of", source))?),
            });
        }
        now.sort_by_key(|s| s.first());
        known.clone_from(&now);
        Ok(now)
    }

    pub(crate) fn fault(&self, action: &'static str, source: tantivy::TantivyError) -> IndexError {
        IndexError::Engine { action, shard: self.name.clone(), source }
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> Result<u64, IndexError> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(&self.dir).map_err(io("list", &self.dir))? {
            // A file that a merge has just removed is none.
            bytes += entry.and_then(|e| e.metadata()).map_or(0, |m| m.len());
        }
        Ok(bytes)
    }
}

/// Opens the engine's index in `dir`, which is made if absent, and reads its payload.
pub(crate) fn open(dir: &Path, layout: &Layout) -> Result<(Index, Arc<Shard>), IndexError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fail = |action| {
        let shard = name.clone();
        move |source: tantivy::TantivyError| IndexError::Engine { action, shard, source }
    };
    std::fs::create_dir_all(dir).map_err(io("make", dir))?;
    clean(dir)?;
    let mut index = None;
    if dir.join("meta.json").exists() {
        let found = Index::open_in_dir(dir).map_err(fail("open"))?;
        let metas = found.load_metas().map_err(fail("read"))?;
        if metas.schema == layout.schema && metas.payload.as_deref().is_none_or(|p| version(p) == VERSION) {
            index = Some(found);
        } else if metas.segments.is_empty() {
            // Made by another version and never written to.
            std::fs::remove_dir_all(dir).map_err(io("remove", dir))?;
            std::fs::create_dir_all(dir).map_err(io("make", dir))?;
        } else {
            return Err(IndexError::Version { path: dir.to_owned() });
        }
    }
    let index = match index {
        Some(index) => index,
        None => {
            let settings = IndexSettings {
                docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(3) }),
                docstore_blocksize: STORE_BLOCK_BYTES,
                docstore_compress_dedicated_thread: false,
                ..IndexSettings::default()
            };
            let builder = Index::builder().schema(layout.schema.clone()).settings(settings);
            let index = builder.create_in_dir(dir).map_err(fail("create"))?;
            sync_dir(dir)?;
            index
        }
    };
    Layout::register(&index);
    let payload = payload(&index).map_err(fail("read"))?;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(fail("open"))?;
    let (payload, segments) = (RwLock::new(Arc::new(payload)), Mutex::new(Vec::new()));
    Ok((index, Arc::new(Shard { name, dir: dir.to_owned(), reader, payload, segments })))
}

/// What the last commit says; the default where there was none.
pub(crate) fn payload(index: &Index) -> tantivy::Result<Payload> {
    let payload = index.load_metas()?.payload;
    Ok(payload.as_deref().and_then(|p| serde_json::from_str(p).ok()).unwrap_or_default())
}

fn version(payload: &str) -> u32 {
    serde_json::from_str::<Payload>(payload).map_or(0, |p| p.v)
}

/// Removes what a killed process left half-written: files that were never renamed into place.
fn clean(dir: &Path) -> Result<(), IndexError> {
    for entry in std::fs::read_dir(dir).map_err(io("list", dir))? {
        let path = entry.map_err(io("list", dir))?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".tmp")) {
            std::fs::remove_file(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(())
}

/// Syncs a folder. The engine does not after its last rename: after a power failure the commit before could come back.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), IndexError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))
}

pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IndexError {
    let path = PathBuf::from(path);
    move |source| IndexError::Io { action, path, source }
}
