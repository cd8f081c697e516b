//! Store and search: shards, schema, query language.
//!
//! ```text
//!  Batch ─▶ Writer ─▶ open shard (tantivy) ─ commit with position ─▶ Searcher (all shards, newest first)
//!                     closed shards ───────────────────────────────┘
//! ```
//!
//! The index is a view of the log: it holds postings and columns, never the record itself. Decisions:
//! `docs/decisions/0003-shards-and-commits.md`.

mod aggregate;
mod asked;
mod beside;
mod codes;
mod document;
mod first;
mod fold;
mod hit;
mod kinds;
mod lower;
mod marks;
mod matcher;
mod merge;
mod missing;
mod node;
mod opened;
mod phrase;
pub mod query;
mod reader;
mod row;
mod schema;
mod search;
mod segment;
mod shard;
mod shown;
mod sorted;
mod tokens;
mod visit;
mod vocabulary;
mod window;
mod writer;

use std::io;
use std::path::PathBuf;

use event::{EventId, FrameHead, Position, Time};
use serde::Serialize;

pub use aggregate::{
    AGGREGATIONS_MAX, Absent, Aggregation, AggregationKind, AggregationResult, BUCKETS_MAX, Bucket, Calendar, Chosen, DEPTH_MAX,
    Interval, KeyKind, NumberRange, Only, Source, SourceOf, TERMS_MAX, TermsOrder,
};
pub use beside::Beside;
pub use hit::Hit;
pub use jiff::tz::TimeZone;
pub use marks::Marks;
pub use matcher::Matcher;
pub use missing::{Missing, inspect, mend, remove_set_aside, tenants};
pub use opened::OpenShards;
pub use query::{Query, QueryError};
pub use search::{
    FieldInfo, Progress, SIZE_MAX, SearchLimits, SearchRequest, SearchResponse, Searcher, ShardUsage, Snapshot, Sort,
};
pub use sorted::{SortedBy, sort_values, sorted_after};
pub use tokens::is_wide;
pub use visit::Visited;
pub use writer::{IndexOptions, Writer};

/// A fault of the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file could not be used.
    #[error("failed to {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The engine failed.
    #[error("failed to {action} the shard {shard}")]
    Engine {
        /// What was tried.
        action: &'static str,
        /// Which shard.
        shard: String,
        /// Why not.
        source: tantivy::TantivyError,
    },
    /// A shard is whole, as far as is known, but cannot be opened now: the system allows the process no more of something.
    #[error("{shard} cannot be opened now: {want}")]
    Scarce {
        /// Which shard, or folder.
        shard: String,
        /// What there is no more of, and what is to be set.
        want: &'static str,
        /// What the system said.
        source: Box<IndexError>,
    },
    /// A shard was written by another version of the program.
    #[error("{path} was written by another version of the program")]
    Version {
        /// Where.
        path: PathBuf,
    },
    /// A query asks for more than the limits allow.
    #[error("{0}")]
    Refused(String),
}

impl IndexError {
    /// The same, or that it is for want of what the system allows the process.
    pub(crate) fn or_scarce(self) -> IndexError {
        let (shard, want) = match &self {
            IndexError::Engine { shard, source, .. } => (shard.clone(), missing::want_of(source)),
            IndexError::Io { path, source, .. } => (path.display().to_string(), missing::want(source)),
            _ => return self,
        };
        match want {
            Some(want) => IndexError::Scarce { shard, want, source: Box::new(self) },
            None => self,
        }
    }
}

/// An error with all that caused it.
fn explained(error: &IndexError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Where the messages of hits come from: their records, read again.
pub trait Messages: Send + Sync {
    /// The messages of the event, in their order; none where its record is not there any more.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn messages(&self, id: EventId) -> io::Result<Vec<String>>;

    /// Calls `each` with the place of an event among `ids`, which ascend, and its messages: of every one whose record is there.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn of_all(&self, ids: &[EventId], each: &mut dyn FnMut(usize, &[String])) -> io::Result<()> {
        for (at, id) in ids.iter().enumerate() {
            let messages = self.messages(*id)?;
            if !messages.is_empty() {
                each(at, &messages);
            }
        }
        Ok(())
    }
}

/// Where the raw text of hits is: the log.
pub trait RawSource: Send + Sync {
    /// The frame at `position` with its bytes as received, if it is there.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn raw(&self, position: Position) -> io::Result<Option<(FrameHead, Vec<u8>)>>;

    /// What proves that the frame at `position` is in the log, as JSON; none where it is not there.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn proof(&self, _position: Position) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// What is left of the part of the log in which the frame at `position` was, where that was removed on purpose.
    fn removed(&self, _position: Position) -> Option<Removed> {
        None
    }
}

/// What is left of a part of the log that was removed: by it a verifier proves what was there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removed {
    /// Its first log offset.
    pub first: u64,
    /// Its last log offset.
    pub last: u64,
    /// The rule by which it was removed: `age` or `bytes`.
    pub rule: &'static str,
    /// The rule's bound: nanoseconds or bytes.
    pub bound: u64,
    /// When it was removed.
    pub at: Time,
    /// The chain value over it and everything before it, in hexadecimal.
    pub root: String,
}
