//! Store and search: shards, schema, query language.
//!
//! ```text
//!  Batch ─▶ Writer ─▶ open shard (tantivy) ─ commit with position ─▶ Searcher (all shards, newest first)
//!                     closed shards ───────────────────────────────┘
//! ```
//!
//! The index is a view of the log: it holds postings and columns, never the record itself. Decisions:
//! `docs/decisions/0003-shards-and-commits.md`.

mod lower;
mod matcher;
pub mod query;
mod schema;
mod search;
mod shard;
mod tokens;
mod writer;

use std::io;
use std::path::PathBuf;

use event::{FrameHead, Position};

pub use matcher::Matcher;
pub use query::{Query, QueryError};
pub use search::{
    Aggregation, AggregationResult, Bucket, FieldInfo, Hit, SIZE_MAX, SearchLimits, SearchRequest, SearchResponse, Searcher, Sort,
};
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
    /// A query asks for more than the limits allow.
    #[error("{0}")]
    Refused(String),
}

/// Where the raw text of hits is: the log.
pub trait RawSource: Send + Sync {
    /// The frame at `position` with its bytes as received, if it is there.
    ///
    /// # Errors
    /// Where the log cannot be read.
    fn raw(&self, position: Position) -> io::Result<Option<(FrameHead, Vec<u8>)>>;
}
