//! What the index should hold and does not: shards that cannot be read, and parts of the log between shards that none holds.
//!
//! Shards are runs of the log, one behind the other, so what is missing shows between those that are there. Each knows the extent of the one
//! before it, so that also the event times of what is lost are known. One shard that is damaged must not keep the others from being
//! searched, nor records from being collected (`docs/decisions/0005-the-journal-between.md`): it is left out, and answers say so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use event::{Batch, TenantId, Time};
use rustix::io::Errno;
use serde::Serialize;
use tantivy::TantivyError;
use tracing::error;

use crate::opened::OpenShards;
use crate::schema::Layout;
use crate::shard::{self, Extent, Shard, tenant_dir};
use crate::writer::{IndexOptions, Writer};
use crate::{IndexError, explained};

/// What brings it back.
const MENDED_BY: &str = "`mihari reindex` builds it anew from the journal";
/// Where a part of the index is built anew, beside the tenants' folders.
const MENDING: &str = "mending";
/// What the folder of a shard that cannot be read is renamed to where its part of the log is written anew at once.
pub(crate) const SET_ASIDE: &str = ".damaged-";

/// A part of the log that the index should hold and does not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missing {
    /// Its first and its last log offset; `u64::MAX` where it goes on to what is written next.
    pub offsets: (u64, u64),
    /// The earliest and the latest event in it, where that is known; it may have been any.
    pub time: Option<(Time, Time)>,
    /// When it was received, at the earliest and at the latest, where that is known.
    pub received: Option<(Time, Time)>,
    /// Why, and what mends it.
    pub reason: String,
    /// What the engine and the system said of it: for the operator, not for whoever searches.
    #[serde(skip)]
    pub causes: Vec<String>,
    /// The folders of shards that were there and cannot be read.
    #[serde(skip)]
    folders: Vec<PathBuf>,
}

impl Missing {
    /// A part that a shard has, but not whole.
    pub(crate) fn within(shard: &Shard, cause: &str) -> Missing {
        let extent = shard.payload().extent();
        Missing {
            offsets: (extent.first, extent.last),
            time: times(extent.time),
            received: times(extent.received),
            reason: format!("{} cannot be read whole: {MENDED_BY}", shard.name),
            causes: vec![cause.to_owned()],
            folders: Vec::new(),
        }
    }

    /// A part that a shard has, which cannot be opened now.
    pub(crate) fn unopened(shard: &Shard, error: &IndexError) -> Missing {
        let reason = error.to_string();
        Missing { reason, ..Missing::within(shard, &explained(error)) }
    }

    fn between(offsets: (u64, u64), extent: Option<Extent>, unread: &[&LeftOut]) -> Missing {
        let names: Vec<_> = unread.iter().map(|one| shard::name_of(&one.dir)).collect();
        let what = if names.is_empty() { "no shard holds it".to_owned() } else { format!("{} cannot be read", names.join(", ")) };
        Missing {
            offsets,
            time: times(extent.and_then(|extent| extent.time)),
            received: times(extent.and_then(|extent| extent.received)),
            reason: format!("{what}: {MENDED_BY}"),
            causes: unread.iter().map(|one| one.cause.clone()).collect(),
            folders: unread.iter().map(|one| one.dir.clone()).collect(),
        }
    }

    /// Whether an event of it may lie in this range of time and was received in that one, all inclusive.
    pub(crate) fn meets(&self, (from, last): (i64, i64), received: (i64, i64)) -> bool {
        let meet = |span: Option<(Time, Time)>, (from, last): (i64, i64)| {
            span.is_none_or(|(low, high)| from <= high.unix_ns() && last >= low.unix_ns())
        };
        meet(self.time, (from, last)) && meet(self.received, received)
    }
}

fn times(range: Option<(i64, i64)>) -> Option<(Time, Time)> {
    range.map(|(low, high)| (Time::from_unix_ns(low), Time::from_unix_ns(high)))
}

/// The shards of one tenant.
#[derive(Default)]
pub(crate) struct Shards {
    /// Those that are there, in log order.
    pub(crate) all: Vec<Arc<Shard>>,
    /// Those that cannot be read, in log order.
    left_out: Vec<LeftOut>,
}

/// The shards as all see them who write and search.
pub(crate) type SharedShards = Arc<RwLock<Shards>>;

#[derive(Clone)]
struct LeftOut {
    /// Where it begins at the earliest.
    first: u64,
    dir: PathBuf,
    cause: String,
}

impl Shards {
    /// Opens all shards in the folder of a tenant with `open`; what cannot be opened is left out. Shards that were never written to come first.
    pub(crate) fn open(
        tenant: &Path,
        open: impl Fn(&Path) -> Result<Option<Arc<Shard>>, IndexError>,
    ) -> Result<Shards, IndexError> {
        let mut shards = Shards::default();
        for dir in shard::entries(tenant)? {
            let Some(first) = shard::first_of(&dir).filter(|_| dir.is_dir()) else { continue };
            match open(&dir) {
                Ok(shard) => shards.all.extend(shard),
                Err(error) => match error.or_scarce() {
                    // It is whole, for all that is known: building it anew would be no help.
                    scarce @ IndexError::Scarce { .. } => return Err(scarce),
                    error => shards.left_out.push(LeftOut { first, dir, cause: explained(&error) }),
                },
            }
        }
        shards.all.sort_by_key(|shard| (shard.payload().first, shard.name.clone()));
        shards.left_out.sort_by_key(|left_out| left_out.first);
        Ok(shards)
    }

    /// Renames the shards behind all others that cannot be read: their part of the log is written anew from now on.
    pub(crate) fn set_aside(&mut self) -> Result<(), IndexError> {
        let begun = self.all.last().map_or(0, |shard| shard.payload().first);
        for LeftOut { dir, cause, .. } in self.left_out.extract_if(.., |left_out| left_out.first > begun) {
            let aside = dir.with_file_name(format!("{SET_ASIDE}{}", shard::name_of(&dir)));
            error!(shard = %dir.display(), aside = %aside.display(), cause,
                "the newest shard cannot be read: it is set aside, and its part of the journal is indexed anew");
            remove_if_there(&aside)?;
            std::fs::rename(&dir, &aside).map_err(shard::io("rename", &dir))?;
        }
        for LeftOut { dir, cause, .. } in &self.left_out {
            error!(shard = %dir.display(), cause, "a shard cannot be read and is left out: {MENDED_BY}");
        }
        Ok(())
    }

    /// Forgets the shards before `first` that cannot be read, and removes them. Gives how many they were.
    pub(crate) fn drop_left_out(&mut self, first: u64) -> Result<usize, IndexError> {
        let gone: Vec<LeftOut> = self.left_out.extract_if(.., |left_out| left_out.first < first).collect();
        gone.iter().try_for_each(|left_out| remove_if_there(&left_out.dir))?;
        Ok(gone.len())
    }

    /// What is missing, in log order.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut left_out = self.left_out.iter().peekable();
        let mut before: Option<Extent> = None;
        for shard in &self.all {
            let payload = shard.payload();
            if payload.v == 0 {
                continue; // Nothing of it was committed.
            }
            let mut unread = Vec::new();
            while let Some(one) = left_out.next_if(|one| one.first < payload.first) {
                unread.push(one);
            }
            let first = match &before {
                Some(before) => before.last + 1,
                None => unread.first().map_or(payload.first, |one| one.first),
            };
            if first < payload.first {
                let known = payload.previous.filter(|previous| previous.first <= first);
                // Where it is known to have held no event, none is missing.
                if known.is_none_or(|known| known.docs > 0) {
                    missing.push(Missing::between((first, payload.first - 1), known, &unread));
                }
            }
            missing.extend(shard.damage().map(|cause| Missing::within(shard, cause)));
            before = Some(payload.extent());
        }
        let rest: Vec<&LeftOut> = left_out.collect();
        if let Some(one) = rest.first() {
            let first = before.map_or(one.first, |before| before.last + 1);
            missing.push(Missing::between((first, u64::MAX), None, &rest));
        }
        missing
    }
}

/// Whether an error of the engine says that what lies on the disk cannot be read.
pub(crate) fn is_damage(error: &TantivyError) -> bool {
    use TantivyError::{DataCorruption, IncompatibleIndex, IoError, OpenReadError};
    want_of(error).is_none() && matches!(error, DataCorruption(_) | IncompatibleIndex(_) | IoError(_) | OpenReadError(_))
}

/// What the system has no more of for the process, and what is to be set, where an error of the engine says so.
pub(crate) fn want_of(error: &TantivyError) -> Option<&'static str> {
    use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
    match error {
        TantivyError::IoError(error)
        | TantivyError::LockFailure(LockError::IoError(error), _)
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: error, .. })
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: error, .. })
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: error, .. }) => want(error),
        _ => None,
    }
}

/// As [`want_of`], of an error of the system.
pub(crate) fn want(error: &std::io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::NOMEM => Some("the system allows the process no more mappings, or no more memory: raise vm.max_map_count"),
        Errno::MFILE => Some("the system allows the process no more open files: raise LimitNOFILE"),
        Errno::NFILE => Some("the system has no more open files: raise fs.file-max"),
        _ => None,
    }
}

/// What the index of a tenant lacks; nothing is changed. With `every_byte` its checksums are compared too, else it is opened only.
///
/// # Errors
/// Where a folder cannot be listed, or a shard cannot be opened for want of mappings or files.
pub fn inspect(index: &Path, tenant: TenantId, every_byte: bool) -> Result<Vec<Missing>, IndexError> {
    let (dir, layout, pool) = (tenant_dir(index, tenant), Layout::new(), OpenShards::new(0));
    let open = |dir: &Path| {
        let Some((index, shard)) = shard::open(dir, &layout, &pool)? else { return Ok(None) };
        shard.segments()?;
        if every_byte {
            shard.check(&index)?;
        }
        shard.close();
        Ok(Some(shard))
    };
    Ok(Shards::open(&dir, open)?.missing())
}

/// The tenants that have a folder in that of the index.
///
/// # Errors
/// Where it cannot be listed.
pub fn tenants(index: &Path) -> Result<Vec<TenantId>, IndexError> {
    let number = |dir: &PathBuf| shard::name_of(dir).strip_prefix("tenant-").and_then(|number| number.parse().ok());
    let mut tenants: Vec<TenantId> = shard::entries(index)?.iter().filter_map(number).map(TenantId).collect();
    tenants.sort();
    Ok(tenants)
}

/// Builds anew what is missing, from what `read` gives: the batch that begins at a log offset and the offset behind it, as long as there is one.
/// What goes on to the newest record is only removed: the service writes it anew when it starts. Gives how many events were written.
/// The index must not be in use. Ended on the way, it is begun anew.
///
/// # Errors
/// Where the log cannot be read, or the engine or the disk fails.
pub fn mend(
    options: &IndexOptions,
    tenant: TenantId,
    missing: &Missing,
    mut read: impl FnMut(u64) -> std::io::Result<Option<(Batch, u64)>>,
) -> Result<u64, IndexError> {
    let ((first, last), dir) = (missing.offsets, tenant_dir(&options.dir, tenant));
    // One shard, whatever its size: the names between its neighbours' may be taken.
    let beside =
        IndexOptions { dir: options.dir.join(MENDING), shard_documents: u64::MAX, shard_span_ns: i64::MAX, ..options.clone() };
    remove_if_there(&beside.dir)?;
    let mut events = 0;
    if last != u64::MAX {
        let mut writer = Writer::open_within(&beside, tenant, first..=last)?;
        let mut next = first;
        while next <= last {
            let Some((batch, behind)) = read(next).map_err(shard::io("read the journal for", &dir))? else { break };
            writer.write(&batch)?;
            if writer.commit_due() {
                writer.commit()?;
            }
            next = behind.max(next + 1);
        }
        writer.pass(last);
        writer.commit()?;
        writer.settle()?;
        events = writer.searcher().documents();
    }
    // What is damaged goes first: as long as its part is in no shard, it is missing still.
    missing.folders.iter().try_for_each(|folder| remove_if_there(folder))?;
    if last != u64::MAX {
        let name = shard::name(first);
        let built = tenant_dir(&beside.dir, tenant).join(&name);
        std::fs::rename(&built, dir.join(&name)).map_err(shard::io("rename", &built))?;
        shard::sync_dir(&dir)?;
    }
    remove_if_there(&beside.dir)?;
    Ok(events)
}

/// Removes the shards of a tenant that were set aside when they could not be read. Gives how many they were.
///
/// # Errors
/// Where a folder cannot be listed or removed.
pub fn remove_set_aside(index: &Path, tenant: TenantId) -> Result<usize, IndexError> {
    let mut aside = shard::entries(&tenant_dir(index, tenant))?;
    aside.retain(|dir| shard::name_of(dir).starts_with(SET_ASIDE));
    aside.iter().try_for_each(|dir| remove_if_there(dir))?;
    Ok(aside.len())
}

pub(crate) fn remove_if_there(dir: &Path) -> Result<(), IndexError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(shard::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
