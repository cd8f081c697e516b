//! What flows between the stages: times, positions, frames, fields, batches.
//!
//! ```text
//!  listener ──▶ Frames ──▶ decode ──▶ BatchBuilder ──▶ Batch ──▶ match, index, tail
//!               (bytes + receive metadata)            (flat rows and cells)
//! ```
//!
//! This crate has no clock, no input or output and no async. It depends on nothing of ours, so that every other crate can
//! speak of the same things by the same names. The reasons for the layout are in `docs/decisions/0001-event-and-batch.md`.

pub mod batch;
pub mod clock;
pub mod field;
pub mod frame;
mod hexadecimal;
pub mod hidden;
pub mod intern;
pub mod json;
pub mod keys;
pub mod limits;
pub mod log_source;
pub mod object;
mod order;
pub mod origin;
mod places;
pub mod position;
pub mod release;
mod shapes;
pub mod time;
pub mod value;

pub use batch::{Alike, Batch, BatchBuilder, Cells, EventRef, Notes, RowBuilder};
pub use clock::Clock;
pub use field::FieldId;
pub use frame::{Content, Frame, FrameHead, Frames, TenantId, Transport};
pub use hexadecimal::hexadecimal;
pub use log_source::{FormatId, LogSource, LogSourceId, UNIDENTIFIED};
pub use origin::OriginId;
pub use position::{EventId, LogRange, Position};
pub use release::Release;
pub use time::{Time, civil_from_days, days_from_civil};
pub use value::Value;
