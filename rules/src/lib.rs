//! Events to alerts: Sigma, correlation, zone policy, behaviour.
//!
//! ```text
//!  files ─▶ load ─▶ RuleSet ─▶ Detector (stateless, a thread each) ─▶ Match ─▶ Correlator (one, in log order) ─▶ AlertChange
//!                   Policy  ─▶ annotate: zones and verdict as fields, which rules match like any other
//! ```
//!
//! Pure but for reading rule files: no clock, no other input or output, no async, no failure on data.

pub mod alert;
pub mod behave;
pub mod calendar;
pub mod cases;
mod compile;
mod correlate;
pub mod coverage;
mod detect;
pub mod explain;
pub mod fault;
mod files;
mod mapping;
mod mode;
mod necessary;
mod options;
mod pack;
pub mod policy;
mod resolve;
mod ruleset;
pub mod sigma;
pub mod style;
mod table;
mod test_of;
mod text_map;
mod written_time;
pub mod yaml;

pub use behave::conversation::CellKey;
pub use behave::{Behaviour, BehaviourCounters, BehaviourOptions, BehaviourRestoreError, Observed, Site};
pub use correlate::{
    ALERTS_OPEN_MAX, BadNetwork, Bounds, CorrelateOptions, Correlator, Counters, DEGRADED_RULE, ENTRIES_PER_WINDOW_MAX, Fired,
    RestoreError,
};
pub use detect::{Detector, Did, Match, RuleCost, Work, matches_plainly};
pub use files::{RULE_FILES, find_files, read_files};
pub use mapping::Mapping;
pub use mode::{Mode, Modes};
pub use necessary::Necessary;
pub use options::{LoadOptions, PLACEHOLDER_FILES};
pub use pack::pack;
pub use ruleset::{Problem, RuleInfo, RuleSet, Source, Texts, Written, load};
pub use sigma::budget::Budget;
