//! Writing: batches in log order into the open shard, commits that carry the position.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use event::{Batch, EventId, EventRef, FieldId, TenantId, Time};
use tantivy::indexer::{NoMergePolicy, UserOperation};
use tantivy::{Index, IndexWriter, TantivyDocument, TantivyError};
use tracing::{debug_span, trace_span};

use crate::document::Documents;
use crate::merge::{self, Merging};
use crate::missing::{Shards, SharedShards, remove_if_there};
use crate::opened::{OPEN_SEGMENTS, OpenShards};
use crate::schema::Layout;
use crate::search::Searcher;
use crate::shard::{self, Payload, Shard, VERSION, tenant_dir};
use crate::{IndexError, explained};

/// Documents that go to the engine's thread at once.
const HANDED_OVER: usize = 128;
/// Quarantined events that a writer knows it has written, 24 bytes each.
const QUARANTINED_MAX: usize = 1 << 18;
/// Once a shard has such a part of what closes it, the next is made ready: half, so that what never fills one makes none.
const READY_PART: u64 = 2;

/// How an index is kept.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// Its folder; tenants have folders of their own below it.
    pub dir: PathBuf,
    /// Documents after which a commit is due.
    pub commit_documents: u64,
    /// Bytes of records after which a commit is due: long before the engine's heap is full, which would stall it.
    pub commit_bytes: u64,
    /// Documents after which a shard is closed and the next is begun.
    pub shard_documents: u64,
    /// How far the receive times of one shard may lie apart, in nanoseconds: what retention can drop at once.
    pub shard_span_ns: i64,
    /// Bytes that the engine may hold of what is not committed.
    pub heap_bytes: usize,
    /// Segments that the closed shards of a tenant may be in, those apart that are in one: beyond, the oldest become one segment.
    pub closed_segments: usize,
    /// The closed shards that are open, within their bound: one for all tenants.
    pub open_shards: OpenShards,
}

impl IndexOptions {
    /// The usual ones, in `dir`.
    pub fn new(dir: &Path) -> IndexOptions {
        IndexOptions {
            dir: dir.to_owned(),
            commit_documents: 100_000,
            commit_bytes: 64 << 20,
            shard_documents: 2_000_000,
            shard_span_ns: 24 * 3600 * 1_000_000_000,
            heap_bytes: 128 << 20,
            closed_segments: 512,
            open_shards: OpenShards::new(OPEN_SEGMENTS),
        }
    }
}

struct Open {
    index: Index,
    writer: IndexWriter<TantivyDocument>,
    shard: Arc<Shard>,
    merging: Merging,
}

/// Writes the events of one tenant.
pub struct Writer {
    options: IndexOptions,
    dir: PathBuf,
    tenant: TenantId,
    layout: Arc<Layout>,
    open: Open,
    documents: Documents,
    payload: Payload,
    pending: u64,
    pending_bytes: u64,
    last: u64,
    /// The last log offset that was in the index when it was opened.
    found: u64,
    /// What it has written since that its decoders could not read; none where there is more than it keeps.
    quarantined: Option<HashSet<EventId>>,
    /// The last log offset that it is to write.
    part_last: u64,
    shards: SharedShards,
    /// The shard after the open one, made ready beside: its files and folders are synced a dozen times, for which nobody should wait.
    next: Option<JoinHandle<Result<Open, IndexError>>>,
    closing: Option<Beside>,
    /// Closed shards that may become one segment, the newest last.
    closed: VecDeque<Arc<Shard>>,
    compacting: Option<Beside>,
}

/// A closed shard, and the thread that is at it.
struct Beside {
    shard: Arc<Shard>,
    thread: JoinHandle<Result<(), IndexError>>,
}

impl Writer {
    /// Opens the index of a tenant. Gives the last log offset that is in it (0: none): the log is read on from there. Shards that cannot be
    /// read are left out, so that what comes in can be indexed all the same; see [`Searcher::missing`].
    ///
    /// # Errors
    /// Where the folders cannot be used, or the newest shard cannot be written to.
    pub fn open(options: &IndexOptions, tenant: TenantId) -> Result<(Writer, u64), IndexError> {
        let writer = Writer::open_within(options, tenant, 1..=u64::MAX)?;
        let last = writer.last;
        Ok((writer, last))
    }

    /// As [`Writer::open`], for one part of the log only.
    pub(crate) fn open_within(options: &IndexOptions, tenant: TenantId, part: RangeInclusive<u64>) -> Result<Writer, IndexError> {
        let layout = Arc::new(Layout::new());
        let dir = tenant_dir(&options.dir, tenant);
        std::fs::create_dir_all(&dir).map_err(shard::io("make", &dir))?;
        let half_removed = |path: &&PathBuf| shard::name_of(path).starts_with(GONE);
        shard::entries(&dir)?.iter().filter(half_removed).try_for_each(|path| remove_if_there(path))?;
        // Each is opened once, to see whether it can be, and closed again.
        let open = |path: &Path| {
            let (_, shard) = shard::open_or_begin(path, &layout, &options.open_shards)?;
            shard.close();
            Ok(Some(shard))
        };
        let mut shards = Shards::open(&dir, open)?;
        shards.set_aside()?;
        // One that was made ready and never written to is made again when it is due: the one before it is open still.
        for shard in shards.all.extract_if(.., |shard| shard.payload().v == 0) {
            remove(&dir, &shard)?;
        }
        let newest = shards.all.pop();
        let closed = shards.all.iter().filter(|shard| shard.segment_count() > 1).cloned().collect();
        let newest = newest.map_or_else(|| dir.join(shard::name(*part.start())), |shard| shard.dir.clone());
        let (index, shard) = shard::open_or_begin(&newest, &layout, &options.open_shards)?;
        shards.all.push(shard.clone());
        let last = last_of(&shards.all).max(part.start() - 1);
        let open = open_writer(options, index, shard)?;
        let mut writer = Writer {
            options: options.clone(),
            dir,
            tenant,
            layout,
            payload: Payload::clone(&open.shard.payload()),
            open,
            documents: Documents::default(),
            pending: 0,
            pending_bytes: 0,
            last,
            found: last,
            quarantined: Some(HashSet::new()),
            part_last: *part.end(),
            shards: Arc::new(RwLock::new(shards)),
            next: None,
            closing: None,
            closed,
            compacting: None,
        };
        writer.begin_payload();
        Ok(writer)
    }

    /// Whose events it writes.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// A searcher over what is and will be committed.
    pub fn searcher(&self) -> Searcher {
        Searcher::new(self.layout.clone(), self.shards.clone())
    }

    /// Adds the events of a batch that belong to the tenant and come after what is in the index. A record that was released from quarantine is left
    /// out where the record that it was has been read by the same decoders: where the log is read anew, it stands there already.
    ///
    /// # Errors
    /// Where the engine fails.
    pub fn write(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let _write = trace_span!("write", first = batch.range.first, last = batch.range.last).entered();
        let mut waiting = Vec::with_capacity(HANDED_OVER);
        for event in batch.iter() {
            let offset = event.id().frame.offset;
            if event.tenant() != self.tenant || offset <= self.last || offset > self.part_last {
                continue;
            }
            if event.quarantined() {
                self.note_quarantined(event.id());
            } else if self.stands_already(event) {
                continue;
            }
            waiting.push(UserOperation::Add(self.documents.document(&self.layout, event, &mut self.payload)));
            if waiting.len() == HANDED_OVER {
                let full = std::mem::replace(&mut waiting, Vec::with_capacity(HANDED_OVER));
                self.open.writer.run(full).map_err(self.fail("write to"))?;
            }
            self.payload.add_time(event.time(), event.received());
            self.payload.docs += 1;
            self.pending += 1;
            self.pending_bytes += event.raw().len() as u64;
        }
        if !waiting.is_empty() {
            self.open.writer.run(waiting).map_err(self.fail("write to"))?;
        }
        // The batch is whole frames: all of them are in now.
        self.pass(batch.range.last.min(self.part_last));
        Ok(())
    }

    /// All of the log up to `offset` has been written, or has no event.
    pub(crate) fn pass(&mut self, offset: u64) {
        self.last = self.last.max(offset);
    }

    /// The last log offset that is in the index or was written to it.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn note_quarantined(&mut self, id: EventId) {
        if let Some(known) = &mut self.quarantined {
            known.insert(id);
            if known.len() > QUARANTINED_MAX {
                self.quarantined = None;
            }
        }
    }

    /// Whether an event was released from quarantine, and this writer has written the event that it was as one that could be read. Where that is not
    /// known it has not: an event twice is better than none.
    fn stands_already(&self, event: EventRef<'_>) -> bool {
        let Some(from) = event.get(FieldId::RELEASED_FROM).and_then(|from| from.as_text()?.parse::<EventId>().ok()) else {
            return false;
        };
        from.frame.offset > self.found && self.quarantined.as_ref().is_some_and(|known| !known.contains(&from))
    }

    /// After a fault that has passed (a full disk): forgets what was written since the last commit. The log is read again from [`Writer::last`] on.
    ///
    /// # Errors
    /// Where the engine cannot begin anew.
    pub fn roll_back(&mut self) -> Result<(), IndexError> {
        if let Err(error) = self.join_closing() {
            tracing::warn!(%error, "failed to close a shard: it stays in more segments");
        }
        if let Some(Err(error)) = self.next.take().map(joined) {
            tracing::warn!(%error, "failed to make a shard ready: it is made again");
        }
        self.open.merging = Merging::default();
        self.open.writer.rollback().map_err(self.fail("roll back"))?;
        self.open.writer.set_merge_policy(Box::new(NoMergePolicy));
        // What the disk says, not what was shown: a commit may have failed when all of it was there.
        self.payload = shard::payload(&self.open.index).map_err(self.fail("read"))?;
        self.open.shard.publish(Some(self.payload.clone()))?;
        self.documents = Documents::default();
        (self.pending, self.pending_bytes) = (0, 0);
        self.last = last_of(&self.shards.read().expect("no code panics under this lock").all);
        self.begin_payload();
        Ok(())
    }

    /// Says where the open shard begins, where nothing of it was committed yet.
    fn begin_payload(&mut self) {
        if self.payload.v == 0 {
            let shards = &self.shards.read().expect("no code panics under this lock").all;
            self.payload = Payload::begun(self.last + 1, shards.iter().rev().nth(1));
        }
    }

    /// How many events are not committed yet.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether so many events wait that a commit is due whatever the time.
    pub fn commit_due(&self) -> bool {
        self.pending >= self.options.commit_documents || self.pending_bytes >= self.options.commit_bytes
    }

    /// Makes what was written durable and searchable, with the position in the same commit.
    ///
    /// # Errors
    /// Where the engine or the disk fails. What was written since the last commit is then written again from the log after a restart.
    pub fn commit(&mut self) -> Result<(), IndexError> {
        if self.pending == 0 && self.payload.last == self.last {
            return self.tend();
        }
        self.payload.v = VERSION;
        self.payload.last = self.last;
        let payload = serde_json::to_string(&self.payload).expect("a payload is serialisable");
        let fail = self.fail("commit");
        let _commit = trace_span!("commit", last = self.last).entered();
        let commit = |writer: &mut IndexWriter<TantivyDocument>| {
            let mut prepared = trace_span!("prepare").in_scope(|| writer.prepare_commit())?;
            prepared.set_payload(&payload); // A commit without it would lose the position: this is the only one.
            trace_span!("finish").in_scope(|| prepared.commit())
        };
        commit(&mut self.open.writer).map_err(fail)?;
        trace_span!("sync").in_scope(|| shard::sync_dir(&self.open.shard.dir))?;
        (self.pending, self.pending_bytes) = (0, 0);
        trace_span!("publish", last = self.last).in_scope(|| self.open.shard.publish(Some(self.payload.clone())))?;
        metrics::gauge!("mihari_indexed_position").set(self.last as f64);
        if self.has_part(1) {
            return self.roll();
        }
        if self.next.is_none() && self.has_part(READY_PART) {
            let (options, dir, layout, first) = (self.options.clone(), self.dir.clone(), self.layout.clone(), self.last + 1);
            let ready = std::thread::Builder::new().name("index-ready".to_owned());
            let ready = ready.spawn(move || begin_shard(&options, &dir, &layout, first));
            self.next = Some(ready.map_err(shard::io("start a thread for", &self.dir))?);
        }
        self.tend()
    }

    /// Whether the open shard has this part of what closes it.
    fn has_part(&self, part: u64) -> bool {
        let span = self.payload.received.map_or(0, |(low, high)| high.saturating_sub(low));
        self.payload.docs >= self.options.shard_documents.div_ceil(part) || span >= self.options.shard_span_ns / part as i64
    }

    /// Looks after merging.
    fn tend(&mut self) -> Result<(), IndexError> {
        let _tend = trace_span!("tend").entered();
        if self.closing.as_ref().is_some_and(|closing| closing.thread.is_finished()) {
            self.join_closing()?;
        }
        self.tend_closed()?;
        let segments = self.open.shard.segments()?;
        if self.open.merging.tend(&mut self.open.writer, &segments).map_err(self.fail("merge"))? {
            self.open.shard.publish(None)?;
            let segments = self.open.shard.segments()?;
            self.open.merging.tend(&mut self.open.writer, &segments).map_err(self.fail("merge"))?;
        }
        Ok(())
    }

    /// Begins to make one segment of the oldest closed shard, where they are in too many together and no other is at it.
    fn tend_closed(&mut self) -> Result<(), IndexError> {
        if self.compacting.as_ref().is_some_and(|compacting| !compacting.thread.is_finished()) {
            return Ok(());
        }
        self.end_compacting();
        while self.closed.iter().map(|shard| shard.segment_count()).sum::<usize>() > self.options.closed_segments {
            let Some(shard) = self.closed.pop_front() else { break };
            if shard.segment_count() > 1 && shard.damage().is_none() && !self.is_gone(&shard) {
                let of = shard.clone();
                let thread = std::thread::Builder::new().name("index-compact".to_owned()).spawn(move || merge::compact(&of));
                let thread = thread.map_err(shard::io("start a thread for", &self.dir))?;
                self.compacting = Some(Beside { shard, thread });
                break;
            }
        }
        Ok(())
    }

    /// Waits for the closed shard that is being merged, where one is. It can be searched as before where that fails: collecting must not end
    /// for it.
    fn end_compacting(&mut self) {
        if let Some(Beside { shard, thread }) = self.compacting.take()
            && let Err(error) = joined(thread)
        {
            tracing::warn!(
                shard = shard.name,
                error = explained(&error),
                "a closed shard stays in more segments until the next start"
            );
        }
    }

    /// Whether a shard was dropped.
    fn is_gone(&self, shard: &Arc<Shard>) -> bool {
        !self.shards.read().expect("no code panics under this lock").all.iter().any(|one| Arc::ptr_eq(one, shard))
    }

    /// Waits until no merge runs and none is due.
    ///
    /// # Errors
    /// Where a merge failed.
    pub fn settle(&mut self) -> Result<(), IndexError> {
        self.join_closing()?;
        loop {
            self.tend()?;
            if self.compacting.is_some() {
                self.end_compacting();
            } else if !self.open.merging.running() {
                return Ok(());
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Closes the open shard and begins the next.
    fn roll(&mut self) -> Result<(), IndexError> {
        let _roll = debug_span!("roll").entered();
        let next = match self.next.take() {
            Some(ready) => joined(ready)?,
            None => begin_shard(&self.options, &self.dir, &self.layout, self.last + 1)?,
        };
        let shard = next.shard.clone();
        let before = std::mem::replace(&mut self.open, next);
        self.documents = Documents::default();
        self.shards.write().expect("no code panics under this lock").all.push(shard);
        self.payload = Payload::default();
        self.begin_payload();
        self.join_closing()?;
        // The last merge of a shard takes its time: the next one is written meanwhile.
        let shard = before.shard.clone();
        let thread = std::thread::Builder::new().name("index-close".to_owned()).spawn(move || close(before));
        let thread = thread.map_err(shard::io("start a thread for", &self.dir))?;
        self.closing = Some(Beside { shard, thread });
        Ok(())
    }

    fn join_closing(&mut self) -> Result<(), IndexError> {
        let Some(Beside { shard, thread }) = self.closing.take() else { return Ok(()) };
        self.closed.push_back(shard);
        joined(thread)
    }

    /// Drops the closed shards whose last record was received before `time`, also those that cannot be read. Gives how many they were. One
    /// that is just being merged goes the next time.
    ///
    /// # Errors
    /// Where a folder cannot be removed.
    pub fn drop_before(&mut self, time: Time) -> Result<usize, IndexError> {
        let merging = self.compacting.as_ref().map(|compacting| &compacting.shard.name);
        let old = |shard: &Arc<Shard>| {
            shard.name != self.open.shard.name
                && Some(&shard.name) != merging
                && shard.payload().received.is_some_and(|(_, high)| high < time.unix_ns())
        };
        let (left_out, gone) = {
            let mut shards = self.shards.write().expect("no code panics under this lock");
            let gone: Vec<Arc<Shard>> = shards.all.extract_if(.., |shard| old(shard)).collect();
            // What cannot be read is older than what comes behind it.
            let behind = gone.last().map_or(0, |shard| shard.payload().first);
            (shards.drop_left_out(behind)?, gone)
        };
        if !gone.is_empty() {
            self.join_closing()?;
            self.closed.retain(|shard| !gone.iter().any(|gone| Arc::ptr_eq(gone, shard)));
        }
        for shard in &gone {
            remove(&self.dir, shard)?;
        }
        Ok(gone.len() + left_out)
    }

    fn fail(&self, action: &'static str) -> impl FnOnce(TantivyError) -> IndexError + use<> {
        let shard = self.open.shard.name.clone();
        move |source| IndexError::Engine { action, shard, source }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.join_closing() {
            tracing::warn!(%error, "failed to close a shard");
        }
        if let Some(Err(error)) = self.next.take().map(joined) {
            tracing::warn!(%error, "failed to make a shard ready");
        }
    }
}

/// Waits for a thread and gives what it has done.
fn joined<T>(thread: JoinHandle<Result<T, IndexError>>) -> Result<T, IndexError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Makes the shard for what comes from the log offset `first` on, or some time after it.
fn begin_shard(options: &IndexOptions, dir: &Path, layout: &Layout, first: u64) -> Result<Open, IndexError> {
    let _begin = debug_span!("begin").entered();
    let (index, shard) = shard::open_or_begin(&dir.join(shard::name(first)), layout, &options.open_shards)?;
    shard::sync_dir(dir)?;
    open_writer(options, index, shard)
}

/// Removes a shard that nothing writes to, as soon as no search that has begun may come to it.
fn remove(dir: &Path, shard: &Shard) -> Result<(), IndexError> {
    shard.go(dir.join(format!("{GONE}{}", shard.name)))?;
    shard::sync_dir(dir)
}

/// Ends the threads of a shard that is not written to any more.
fn close(mut open: Open) -> Result<(), IndexError> {
    let _close = debug_span!("close").entered();
    let shard = open.shard.clone();
    let fail = |source| shard.fault("close", source);
    open.merging.wait().map_err(fail)?;
    open.writer.wait_merging_threads().map_err(fail)?;
    drop(open.index);
    shard.publish(None)?; // What was merged is seen after a reload only.
    shard.close();
    Ok(())
}

/// The last log offset in these shards. One that was never committed says 0; the ones before it know better.
fn last_of(shards: &[Arc<Shard>]) -> u64 {
    shards.iter().map(|shard| shard.payload().last).max().unwrap_or(0)
}

fn open_writer(options: &IndexOptions, index: Index, shard: Arc<Shard>) -> Result<Open, IndexError> {
    let writer = merge::writer(&index, options.heap_bytes);
    let writer = writer.map_err(|source| shard.fault("write to", source))?;
    Ok(Open { index, writer, shard, merging: Merging::default() })
}

/// What the folder of a shard is renamed to before it is removed.
const GONE: &str = ".gone-";

/// The names of all fields of these shards.
pub(crate) fn field_names(shards: &[Arc<Shard>]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for shard in shards {
        let payload = shard.payload();
        names.extend(payload.fields.iter().chain(&payload.rest).cloned());
    }
    names
}
