//! The log: frames as received, kept before anything is made of them. Format and reasons: `docs/decisions/0002-journal.md`.
//!
//! ```text
//!  Appender ─▶ bounded queue ─▶ writer thread ─▶ segment files ─▶ Reader (from any offset)
//!                               group commit, fdatasync            fetch (one frame)
//!                                 ▲                 └▶ compressed once it is closed (packer)
//!                                 └ the next one, made ready (ahead)
//! ```

mod ahead;
pub mod format;
mod journal;
mod packed;
mod packer;
mod proof;
mod reader;
mod retention;
mod segment;
mod verify;

use std::io;
use std::path::PathBuf;

pub use journal::{Appender, Journal, JournalOptions, Recovery};
pub use proof::{Link, Proof, prove};
pub use reader::{Fetched, Gap, Reader};
pub use retention::{Reason, Retention, Tombstone};
pub use verify::{Report, verify};

/// A fault of the disk or of what lies on it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file could not be opened, read or written.
    #[error("failed to {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The journal's folder.
        path: PathBuf,
    },
    /// A file is of a later version than this program knows.
    #[error("{path} has format version {version}, this program reads version {known}")]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u16,
        /// Ours.
        known: u16,
    },
    /// The writer has ended.
    #[error("the journal is closed")]
    Closed,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LogError {
        let path = path.into();
        move |source| LogError::Io { action, path, source }
    }
}
