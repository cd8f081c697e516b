//! One shard: an engine index with what it says of itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use event::Time;
use serde::{Deserialize, Serialize};
use tantivy::{Index, IndexReader, ReloadPolicy};

use crate::IndexError;
use crate::schema::Layout;

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
    /// The names of its fields.
    pub(crate) fields: BTreeSet<String>,
}

/// The version of shards that this program writes.
pub(crate) const VERSION: u32 = 1;

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
    pub(crate) reader: IndexReader,
    pub(crate) payload: RwLock<Arc<Payload>>,
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
    let index = if dir.join("meta.json").exists() {
        Index::open_in_dir(dir).map_err(fail("open"))?
    } else {
        let index = Index::create_in_dir(dir, layout.schema.clone()).map_err(fail("create"))?;
        sync_dir(dir)?;
        index
    };
    Layout::register(&index);
    let payload = index.load_metas().map_err(fail("read"))?.payload;
    let payload: Payload = payload.as_deref().and_then(|p| serde_json::from_str(p).ok()).unwrap_or_default();
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(fail("open"))?;
    let shard = Arc::new(Shard { name, reader, payload: RwLock::new(Arc::new(payload)) });
    Ok((index, shard))
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
