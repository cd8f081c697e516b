//! Every bound that more than one stage relies on, with its unit and its reason.
//!
//! A bound that concerns one module only is a named constant in that module.

/// Bytes of one frame. A longer record is cut here and marked (`truncated`); its connection stays. Larger than the largest
/// UDP payload (65,507 bytes), so that no datagram is ever cut, and room for long JSON records.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Events of one batch. Large enough to amortise a channel send, small enough that a stalled stage holds little.
pub const BATCH_EVENTS_MAX: usize = 8192;

/// Frame bytes of one batch as read from the log; a batch ends at whichever bound comes first.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of text in one batch: every frame may be decoded to text of up to three times its size (a legacy character set to
/// UTF-8), and a few derived values are added. Offsets into the arena are `u32`.
pub const BATCH_TEXT_BYTES_MAX: usize = 64 << 20;

/// Field names that one process interns. A JSON sender invents names at will; beyond the bound a new name is no column and
/// stays findable in the raw text only (counted by [`crate::intern::Interner::refused`]).
pub const FIELDS_MAX: usize = 16_384;

/// Bytes of one field name.
pub const FIELD_NAME_BYTES_MAX: usize = 256;

/// Cells of one event; further ones are not columns (the raw text has them) and the row is marked.
pub const CELLS_PER_EVENT_MAX: usize = 1024;

/// Log sources (product, category, service) that one process interns.
pub const LOG_SOURCES_MAX: usize = 4096;

/// Format names that one process interns.
pub const FORMATS_MAX: usize = 1024;

/// Files and topics that one process tells apart; configuration names files, but a pattern may fit many topics.
pub const ORIGINS_MAX: usize = 4096;

/// Bytes of the name of one: a path.
pub const ORIGIN_BYTES_MAX: usize = 1024;

/// How far before its receipt an event's own time is believed; an older one is marked and stands at its receipt.
pub const EVENT_AGE_MAX_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// How far after its receipt an event's own time is believed (a device's clock runs ahead).
pub const EVENT_AHEAD_MAX_NS: i64 = 300 * 1_000_000_000;

const _: () = assert!(FIELDS_MAX <= u16::MAX as usize);
const _: () = assert!(LOG_SOURCES_MAX <= u16::MAX as usize);
const _: () = assert!(FORMATS_MAX <= u16::MAX as usize);
const _: () = assert!(ORIGINS_MAX <= u16::MAX as usize);
const _: () = assert!(ORIGIN_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(FRAME_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(4 * (BATCH_BYTES_MAX + FRAME_BYTES_MAX) <= BATCH_TEXT_BYTES_MAX);
const _: () = assert!(BATCH_TEXT_BYTES_MAX <= u32::MAX as usize);
