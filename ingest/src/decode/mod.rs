//! From frames to events. Pure: no clock, no input or output, and no failure on data: what nobody can read becomes an event
//! that says so.
//!
//! ```text
//!  frame ─▶ text::TextDecoder ─▶ character set ─▶ syslog header ─▶ format::Registry ─▶ describe (formats/*.yaml), format/*.rs
//!        └▶ flow::FlowDecoder ─▶ NetFlow, IPFIX, sFlow
//! ```

mod charset;
mod colours;
pub mod community;
mod csv;
mod cut;
mod describe;
pub mod flow;
mod format;
mod grams;
mod ip;
mod json;
mod keys;
mod names;
mod pairs;
mod record;
mod settings;
mod stamp;
mod syslog;
#[cfg(test)]
mod syslog_twin;
pub mod text;

use event::{BatchBuilder, Frame};

pub use describe::DescriptionError;
pub use settings::{Charset, DecodeSettings, Differing, SettingsError, SourceSettings};

/// Turns frames into events.
pub trait Decoder: Send {
    /// Appends the events of `frame` to `batch`. Never fails: bad input is an event too.
    fn decode(&mut self, frame: Frame<'_>, batch: &mut BatchBuilder);
}
