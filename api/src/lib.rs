//! What the outside sees: search, alerts, notifications.
//!
//! ```text
//!  pipeline ─ Commit (alerts, counts, position: one transaction) ─▶ Store (SQLite); states of a position ─▶ a file beside it
//!  browser, tools ─▶ routes ─▶ Store, index::Searcher, log (raw text)          └─▶ outbox ─▶ Notifier ─▶ chat
//! ```
//!
//! Every route but health needs a token; a token belongs to one tenant and sees nothing else. The interface is described in
//! `docs/http.md` and, from the route table, in `api/openapi.json`.

mod aggs;
mod alerts;
mod attribution;
mod audit;
mod backtest;
mod candidates;
pub mod client;
mod connections;
mod elastic;
mod export;
mod hub;
mod intake;
mod notify;
pub mod openapi;
mod otlp;
mod places;
mod problem;
mod quarantine;
mod routes;
mod rule_desk;
mod saved;
mod schedule;
mod search;
mod server;
mod store;
mod tally;
mod what_if;
mod zones;

pub use backtest::{Reading, Reread};
pub use connections::Limits;
pub use hub::Hub;
pub use intake::Intake;
pub use notify::{Destination, Notifier};
pub use rule_desk::{RuleDesk, RulesShown};
pub use schedule::{Scheduler, Schedules};
pub use server::{Api, Files, Stage, StaticFile, serve};
pub use store::{AlertFilter, Commit, Identity, PolicyVersion, Resume, State, StateWriter, Store, StoreError, TokenInfo};
pub use tally::{Received, Tally};
