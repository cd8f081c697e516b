//! One shard: an engine index with what it says of itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};

use event::{TenantId, Time};
use serde::{Deserialize, Serialize};
use tantivy::error::DataCorruption;
use tantivy::schema::Field;
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexReader, IndexSettings, ReloadPolicy, TantivyError};

use crate::IndexError;
use crate::document::REFUSED_FIELDS_MAX;
use crate::kinds::{Kinds, ValueKind, add_kind};
use crate::missing::remove_if_there;
use crate::opened::{Held, OpenShards};
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
    /// What values these have, where they are not all texts. None: of a shard that was begun by a program that did not note it.
    #[serde(default)]
    pub(crate) kinds: Option<Kinds>,
    /// The names of fields that some event has without a column here, as far as they are remembered, and whether there are more.
    #[serde(default)]
    pub(crate) refused: BTreeSet<String>,
    #[serde(default)]
    pub(crate) refused_more: bool,
    /// What the shard before it held when it was closed, in case that is lost.
    #[serde(default)]
    pub(crate) previous: Option<Extent>,
}

/// What a shard holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) docs: u64,
    pub(crate) time: Option<(i64, i64)>,
    pub(crate) received: Option<(i64, i64)>,
}

/// The version of shards that this program writes and reads. A shard of another is built anew from the log (`mihari reindex`).
pub(crate) const VERSION: u32 = 5;
/// Bytes of one block of the document store. Nothing is stored, but the engine writes five bytes a document that say so: in blocks of up to
/// 255 documents they compress to 1.7, in larger ones to 2.3.
const STORE_BLOCK_BYTES: usize = 2300;
/// The engine's list of a shard's segments.
const META: &str = "meta.json";

impl Payload {
    /// That of a shard whose part of the log begins at `first`, behind `previous`.
    pub(crate) fn begun(first: u64, previous: Option<&Arc<Shard>>) -> Payload {
        let previous = previous.map(|shard| shard.payload().extent());
        Payload { first, previous, kinds: Some(Kinds::new()), ..Payload::default() }
    }

    /// Notes that a field without a column of its own has values of this kind.
    pub(crate) fn keep(&mut self, name: &str, kind: ValueKind) {
        let is_new = !self.rest.contains(name);
        if is_new {
            self.rest.insert(name.to_owned());
        }
        let Some(kinds) = &mut self.kinds else { return };
        match kinds.get_mut(name) {
            Some(before) => match before.and(kind) {
                ValueKind::Keyword => drop(kinds.remove(name)),
                both => *before = both,
            },
            None if is_new && kind != ValueKind::Keyword => drop(kinds.insert(name.to_owned(), kind)),
            None => {}
        }
    }

    /// Remembers that an event has a field of this name that is not kept.
    pub(crate) fn refuse(&mut self, name: &str) {
        if self.refused.len() < REFUSED_FIELDS_MAX {
            self.refused.insert(name.to_owned());
        } else {
            self.refused_more |= !self.refused.contains(name);
        }
    }

    /// Whether an event may have this field without a column; `listed`: it is one of those that have their own as a rule.
    pub(crate) fn lacks(&self, name: &str, listed: bool) -> bool {
        self.refused.contains(name) || (self.refused_more && !listed)
    }

    pub(crate) fn extent(&self) -> Extent {
        let Payload { first, last, docs, time, received, .. } = *self;
        Extent { first, last, docs, time, received }
    }

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
    /// Where its files are since it was dropped. They go when the last search that began before has let it go.
    gone: OnceLock<PathBuf>,
    words: Field,
    payload: RwLock<Arc<Payload>>,
    view: Mutex<View>,
    /// Whether it is written to no more: its events are what they are.
    closed: AtomicBool,
    documents: AtomicU64,
    segment_count: AtomicUsize,
    /// What values the names of the payload's rest have, where it does not say; found out when it is first asked for and the shard is closed.
    kinds: OnceLock<Kinds>,
    open: OpenShards,
    /// Why it cannot be read whole, once a search has found out.
    damage: OnceLock<String>,
}

/// How a shard's segments are to be had.
enum View {
    /// The engine's reader, and the segments in log order: what is known of one is found out once.
    Written(IndexReader, Vec<Arc<Segment>>),
    /// Its number among those that are open, where it is still.
    Closed(Option<u64>),
}

impl Shard {
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Remembers that it cannot be read whole.
    pub(crate) fn note_damage(&self, cause: &str) {
        if self.damage.set(cause.to_owned()).is_ok() {
            tracing::error!(shard = %self.dir.display(), cause, "a shard cannot be read whole: `mihari verify` says more");
        }
    }

    /// Compares the checksums of all its files.
    pub(crate) fn check(&self, index: &Index) -> Result<(), IndexError> {
        let damaged = index.validate_checksum().map_err(|source| self.fault("check", source))?;
        match damaged.into_iter().min() {
            None => Ok(()),
            Some(file) => {
                let source = DataCorruption::new(file, "its checksum is another".to_owned());
                Err(self.fault("check", TantivyError::DataCorruption(source)))
            }
        }
    }

    pub(crate) fn payload(&self) -> Arc<Payload> {
        self.payload.read().expect("no code panics under this lock").clone()
    }

    pub(crate) fn documents(&self) -> u64 {
        self.documents.load(Ordering::Acquire)
    }

    /// How many segments it is in.
    pub(crate) fn segment_count(&self) -> usize {
        self.segment_count.load(Ordering::Relaxed)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().expect("no code panics under this lock")
    }

    /// Shows searches what was committed or merged.
    pub(crate) fn publish(&self, payload: Option<Payload>) -> Result<(), IndexError> {
        // Names first: a search may know of a field that no document has yet, but not the other way.
        if let Some(payload) = payload {
            *self.payload.write().expect("no code panics under this lock") = Arc::new(payload);
        }
        let reader = match &mut *self.view() {
            View::Written(reader, _) => reader.clone(),
            View::Closed(view) => {
                // Other segments with the same events.
                if let Some(view) = view.take() {
                    self.open.outdate(view);
                }
                return Ok(());
            }
        };
        reader.reload().map_err(|source| self.fault("reload", source))?;
        self.segments()?;
        self.documents.store(reader.searcher().num_docs(), Ordering::Release);
        Ok(())
    }

    /// Nothing is written to it any more: from now on it is opened when a search comes to it. What searches had of it stays open until its place
    /// is needed.
    pub(crate) fn close(&self) {
        let mut view = self.view();
        let View::Written(_, known) = &mut *view else { return };
        let number = (!known.is_empty()).then(|| self.open.keep(std::mem::take(known).into()));
        *view = View::Closed(number);
        self.closed.store(true, Ordering::Release);
    }

    /// Whether nothing is written to it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The segments as they are now, in log order.
    ///
    /// # Errors
    /// Where a shard that is closed cannot be opened.
    pub(crate) fn segments(&self) -> Result<Held, IndexError> {
        let mut view = self.view();
        let (reader, known) = match &mut *view {
            View::Written(reader, known) => (reader, known),
            View::Closed(view) => {
                if let Some(held) = view.and_then(|view| self.open.take(view)) {
                    return Ok(held);
                }
                // Others who want it wait for its lock meanwhile: it is opened once.
                let reader = self.read()?;
                let segments = self.segments_of(&reader, &[])?;
                let (number, held) = self.open.add(segments.into());
                *view = Some(number);
                return Ok(held);
            }
        };
        let segments = self.segments_of(reader, known)?;
        known.clone_from(&segments);
        Ok(Held::pinned(segments.into()))
    }

    /// The segments of `reader`, those that are `known` as they are.
    fn segments_of(&self, reader: &IndexReader, known: &[Arc<Segment>]) -> Result<Vec<Arc<Segment>>, IndexError> {
        let searcher = reader.searcher();
        let mut now = Vec::with_capacity(searcher.segment_readers().len());
        for reader in searcher.segment_readers() {
            now.push(match known.iter().find(|s| s.id() == reader.segment_id()) {
                Some(segment) => segment.clone(),
                None => Arc::new(Segment::open(reader).map_err(|source| self.fault("open a segment of", source))?),
            });
        }
        now.sort_by_key(|s| s.first());
        self.segment_count.store(now.len(), Ordering::Relaxed);
        Ok(now)
    }

    /// Opens it where it lies.
    fn read(&self) -> Result<IndexReader, IndexError> {
        let index = Index::open_in_dir(self.place()).map_err(|source| self.fault("open", source))?;
        reader(&index, self.words).map_err(|source| self.fault("open", source))
    }

    fn place(&self) -> &Path {
        self.gone.get().unwrap_or(&self.dir)
    }

    /// Adds what values the fields without a column of their own have. Where that was not noted, the shard is opened for it, once where it is
    /// closed.
    pub(crate) fn add_kinds(&self, all: &mut Kinds) -> Result<(), IndexError> {
        let payload = self.payload();
        if let Some(noted) = &payload.kinds {
            for name in &payload.rest {
                add_kind(all, name, noted.get(name).copied().unwrap_or(ValueKind::Keyword));
            }
            return Ok(());
        }
        let mut add = |own: &Kinds| own.iter().for_each(|(name, kind)| add_kind(all, name, *kind));
        if let Some(known) = self.kinds.get() {
            add(known);
            return Ok(());
        }
        let closed = self.is_closed();
        // The names after the segments: there is none in these that is not in those.
        let (segments, payload) = (self.segments()?, self.payload());
        let mut own = Kinds::new();
        for segment in segments.iter() {
            let kinds = segment.kinds(&payload.rest).map_err(|source| self.fault("read the columns of", source))?;
            kinds.iter().for_each(|(name, kind)| add_kind(&mut own, name, *kind));
        }
        add(&own);
        if closed {
            self.kinds.get_or_init(|| own);
        }
        Ok(())
    }

    /// Renames its folder, which goes when nobody searches the shard any more: what is half there must never be opened.
    pub(crate) fn go(&self, aside: PathBuf) -> Result<(), IndexError> {
        let _not_opened_meanwhile = self.view();
        std::fs::rename(&self.dir, &aside).map_err(io("rename", &self.dir))?;
        self.gone.get_or_init(|| aside);
        Ok(())
    }

    pub(crate) fn fault(&self, action: &'static str, source: tantivy::TantivyError) -> IndexError {
        IndexError::Engine { action, shard: self.name.clone(), source }.or_scarce()
    }

    /// Counts that it could not be opened for want of what the system allows. True: nobody was told yet.
    pub(crate) fn not_opened(&self) -> bool {
        self.open.failed()
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> Result<u64, IndexError> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.place()).map_err(io("list", &self.dir))? {
            // A file that a merge has just removed is none.
            bytes += entry.and_then(|e| e.metadata()).map_or(0, |m| m.len());
        }
        Ok(bytes)
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        if let View::Closed(Some(view)) = *self.view() {
            self.open.outdate(view);
        }
        if let Some(Err(error)) = self.gone.get().map(|aside| remove_if_there(aside)) {
            tracing::warn!(%error, "a shard that was dropped goes at the next start");
        }
    }
}

/// Opens the engine's index in `dir` and reads its payload. None where nothing was ever written to it by this version, or to it at all.
pub(crate) fn open(dir: &Path, layout: &Layout, pool: &OpenShards) -> Result<Option<(Index, Arc<Shard>)>, IndexError> {
    let name = name_of(dir);
    let fail = |action| {
        let shard = name.clone();
        move |source: TantivyError| IndexError::Engine { action, shard, source }
    };
    if !dir.join(META).exists() {
        // The engine writes what is hidden first; a list of segments that is lost leaves their files.
        let lost = || io("find the list of segments in", dir)(std::io::ErrorKind::NotFound.into());
        return if entries(dir)?.iter().any(|file| !is_hidden(file)) { Err(lost()) } else { Ok(None) };
    }
    let index = Index::open_in_dir(dir).map_err(fail("open"))?;
    let metas = index.load_metas().map_err(fail("read"))?;
    if metas.schema != layout.schema || metas.payload.as_deref().is_some_and(|p| version(p) != VERSION) {
        return if metas.segments.is_empty() { Ok(None) } else { Err(IndexError::Version { path: dir.to_owned() }) };
    }
    shard_of(index, dir, layout, pool).map(Some)
}

/// As [`open`]; where nothing was written yet, the index is made.
pub(crate) fn open_or_begin(dir: &Path, layout: &Layout, pool: &OpenShards) -> Result<(Index, Arc<Shard>), IndexError> {
    std::fs::create_dir_all(dir).map_err(io("make", dir))?;
    clean(dir)?;
    if let Some(opened) = open(dir, layout, pool)? {
        return Ok(opened);
    }
    if dir.join(META).exists() {
        // Made by another version and never written to.
        std::fs::remove_dir_all(dir).map_err(io("remove", dir))?;
        std::fs::create_dir_all(dir).map_err(io("make", dir))?;
    }
    let settings = IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(3) }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let builder = Index::builder().schema(layout.schema.clone()).settings(settings);
    let fail = |source| IndexError::Engine { action: "create", shard: name_of(dir), source };
    let index = builder.create_in_dir(dir).map_err(fail)?;
    sync_dir(dir)?;
    shard_of(index, dir, layout, pool)
}

fn shard_of(index: Index, dir: &Path, layout: &Layout, open: &OpenShards) -> Result<(Index, Arc<Shard>), IndexError> {
    let name = name_of(dir);
    let fail = |action| {
        let shard = name.clone();
        move |source: TantivyError| IndexError::Engine { action, shard, source }
    };
    Layout::register(&index);
    let payload = payload(&index).map_err(fail("read"))?;
    let reader = reader(&index, layout.words).map_err(fail("open"))?;
    let searcher = reader.searcher();
    let shard = Shard {
        name,
        dir: dir.to_owned(),
        gone: OnceLock::new(),
        words: layout.words,
        payload: RwLock::new(Arc::new(payload)),
        closed: AtomicBool::new(false),
        documents: searcher.num_docs().into(),
        segment_count: searcher.segment_readers().len().into(),
        kinds: OnceLock::new(),
        open: open.clone(),
        damage: OnceLock::new(),
        view: Mutex::new(View::Written(reader, Vec::new())),
    };
    Ok((index, Arc::new(shard)))
}

/// Opens the segments of an index.
fn reader(index: &Index, words: Field) -> tantivy::Result<IndexReader> {
    let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    // The engine takes a file of positions that is not there for an empty one, until a phrase asks for it.
    for segment in reader.searcher().segment_readers() {
        segment.inverted_index(words)?;
    }
    Ok(reader)
}

/// The folder of a tenant in that of the index.
pub(crate) fn tenant_dir(index: &Path, tenant: TenantId) -> PathBuf {
    index.join(format!("tenant-{}", tenant.0))
}

/// What the name of a shard begins with.
const NAMED: &str = "shard-";

/// Shards sort by the offset at which they begin, or one a little before.
pub(crate) fn name(first: u64) -> String {
    format!("{NAMED}{first:020}")
}

/// The name of the shard in `dir`.
pub(crate) fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The offset in the name of the shard in `dir`; none where it is no shard's.
pub(crate) fn first_of(dir: &Path) -> Option<u64> {
    dir.file_name()?.to_str()?.strip_prefix(NAMED)?.parse().ok()
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
    let half_written = |path: &&PathBuf| name_of(path).starts_with(".tmp");
    entries(dir)?.iter().filter(half_written).try_for_each(|path| std::fs::remove_file(path).map_err(io("remove", path)))
}

/// What lies in a folder; nothing where it is not there.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, IndexError> {
    let entries = std::fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    match entries {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(io("list", dir)),
    }
}

fn is_hidden(file: &Path) -> bool {
    name_of(file).starts_with('.')
}

/// Syncs a folder. The engine does not after its last rename: after a power failure the commit before could come back.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), IndexError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io("sync", dir))
}

pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IndexError {
    let path = PathBuf::from(path);
    move |source| IndexError::Io { action, path, source }.or_scarce()
}
