//! Writing: batches in log order into the open shard, commits that carry the position.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use event::{Batch, TenantId};
use tantivy::{Index, IndexWriter, TantivyDocument};

use crate::IndexError;
use crate::schema::Layout;
use crate::search::Searcher;
use crate::shard::{self, Payload, Shard, VERSION};

/// How an index is kept.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Its folder; tenants have folders of their own below it.
    pub dir: PathBuf,
    /// Documents after which a commit is due.
    pub commit_documents: u64,
    /// Documents after which a shard is closed and the next is begun.
    pub shard_documents: u64,
    /// Bytes that the engine may hold of what is not committed.
    pub heap_bytes: usize,
}

impl IndexOptions {
    /// The usual ones, in `dir`.
    pub fn new(dir: &Path) -> IndexOptions {
        IndexOptions { dir: dir.to_owned(), commit_documents: 25_000, shard_documents: 2_000_000, heap_bytes: 64 << 20 }
    }
}

struct Open {
    index: Index,
    writer: IndexWriter<TantivyDocument>,
    shard: Arc<Shard>,
}

/// Writes the events of one tenant.
pub struct Writer {
    options: IndexOptions,
    dir: PathBuf,
    tenant: TenantId,
    layout: Layout,
    open: Open,
    payload: Payload,
    pending: u64,
    last: u64,
    shards: Arc<RwLock<Vec<Arc<Shard>>>>,
}

impl Writer {
    /// Opens the index of a tenant. Gives the last log offset that is in it (0: none): the log is read on from there.
    ///
    /// # Errors
    /// Where a shard cannot be opened.
    pub fn open(options: &IndexOptions, tenant: TenantId) -> Result<(Writer, u64), IndexError> {
        let layout = Layout::new();
        let dir = options.dir.join(format!("tenant-{}", tenant.0));
        std::fs::create_dir_all(&dir).map_err(shard::io("make", &dir))?;
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(shard::io("list", &dir))? {
            let path = entry.map_err(shard::io("list", &dir))?.path();
            if path.is_dir() {
                names.push(path);
            }
        }
        names.sort();
        if names.is_empty() {
            names.push(dir.join(shard_name(1)));
        }
        let mut shards = Vec::new();
        let mut newest = None;
        for path in names {
            let (index, shard) = shard::open(&path, &layout)?;
            shards.push(shard.clone());
            newest = Some((index, shard));
        }
        let (index, shard) = newest.expect("there is one shard at least");
        let payload = payload_of(&shard);
        // An open shard that was never committed says 0; the ones before it know better.
        let last = shards.iter().map(|s| payload_of(s).last).max().unwrap_or(0);
        let open = open_writer(options, index, shard)?;
        let shards = Arc::new(RwLock::new(shards));
        let writer = Writer { options: options.clone(), dir, tenant, layout, open, payload, pending: 0, last, shards };
        Ok((writer, last))
    }

    /// A searcher over what is and will be committed.
    pub fn searcher(&self) -> Searcher {
        Searcher::new(self.layout.clone(), self.shards.clone())
    }

    /// Adds the events of a batch that belong to the tenant and come after what is in the index.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn write(&mut self, batch: &Batch) -> Result<(), IndexError> {
        for event in batch.iter() {
            let offset = event.id().frame.offset;
            if event.tenant() != self.tenant || offset <= self.last {
                continue;
            }
            let doc = self.layout.document(event, &mut self.payload.fields);
            self.open.writer.add_document(doc).map_err(self.fail("write to"))?;
            self.payload.add_time(event.time(), event.received());
            self.payload.docs += 1;
            self.pending += 1;
        }
        // The batch is whole frames: all of them are in now.
        if batch.range.last > self.last {
            self.last = batch.range.last;
        }
        Ok(())
    }

    /// How many events are not committed yet.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether so many events wait that a commit is due whatever the time.
    pub fn commit_due(&self) -> bool {
        self.pending >= self.options.commit_documents
    }

    /// Makes what was written durable and searchable, with the position in the same commit.
    ///
    /// # Errors
    /// Where the engine or the disk fails. What was written since the last commit is then written again from the log after a restart.
    pub fn commit(&mut self) -> Result<(), IndexError> {
        if self.pending == 0 && self.payload.last == self.last {
            return Ok(());
        }
        self.payload.v = VERSION;
        self.payload.last = self.last;
        if self.payload.first == 0 {
            self.payload.first = 1;
        }
        let payload = serde_json::to_string(&self.payload).expect("a payload is serialisable");
        let fail = self.fail("commit");
        let commit = |writer: &mut IndexWriter<TantivyDocument>| {
            let mut prepared = writer.prepare_commit()?;
            prepared.set_payload(&payload); // A commit without it would lose the position: this is the only one.
            prepared.commit()
        };
        commit(&mut self.open.writer).map_err(fail)?;
        shard::sync_dir(&self.dir.join(&self.open.shard.name))?;
        self.pending = 0;
        *self.open.shard.payload.write().expect("no code panics under this lock") = Arc::new(self.payload.clone());
        self.open.shard.reader.reload().map_err(self.fail("reload"))?;
        metrics::gauge!("mihari_indexed_position").set(self.last as f64);
        if self.payload.docs >= self.options.shard_documents {
            self.roll()?;
        }
        Ok(())
    }

    /// Closes the open shard and begins the next.
    fn roll(&mut self) -> Result<(), IndexError> {
        let path = self.dir.join(shard_name(self.last + 1));
        let (index, shard) = shard::open(&path, &self.layout)?;
        shard::sync_dir(&self.dir)?;
        let next = open_writer(&self.options, index, shard.clone())?;
        let before = std::mem::replace(&mut self.open, next);
        before.writer.wait_merging_threads().map_err(|source| IndexError::Engine {
            action: "close",
            shard: before.shard.name.clone(),
            source,
        })?;
        drop(before.index);
        before.shard.reader.reload().map_err(self.fail("reload"))?;
        self.payload = Payload { first: self.last + 1, ..Payload::default() };
        self.shards.write().expect("no code panics under this lock").push(shard);
        Ok(())
    }

    fn fail(&self, action: &'static str) -> impl FnOnce(tantivy::TantivyError) -> IndexError + use<> {
        let shard = self.open.shard.name.clone();
        move |source| IndexError::Engine { action, shard, source }
    }
}

fn open_writer(options: &IndexOptions, index: Index, shard: Arc<Shard>) -> Result<Open, IndexError> {
    let writer = index.writer_with_num_threads(1, options.heap_bytes).map_err(|source| IndexError::Engine {
        action: "write to",
        shard: shard.name.clone(),
        source,
    })?;
    Ok(Open { index, writer, shard })
}

fn payload_of(shard: &Shard) -> Payload {
    Payload::clone(&shard.payload.read().expect("no code panics under this lock"))
}

/// Shards sort by the offset at which they begin.
fn shard_name(first: u64) -> String {
    format!("shard-{first:020}")
}

/// The names of all fields of these shards.
pub(crate) fn field_names(shards: &[Arc<Shard>]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for shard in shards {
        names.extend(shard.payload.read().expect("no code panics under this lock").fields.iter().cloned());
    }
    names
}
