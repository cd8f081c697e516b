//! Sigma rules (specification 2.1): from YAML to conditions over tests of fields.
//!
//! ```text
//!  YAML ─▶ rule::Rule { log source, Expr over items } ─▶ item: field|modifiers: values ─▶ Expr over Test
//! ```

pub(crate) mod advice;
pub mod budget;
pub mod condition;
pub mod correlation;
pub(crate) mod expression;
pub mod item;
mod modifier;
pub mod pattern;
pub mod placeholder;
pub mod rule;
