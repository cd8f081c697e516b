//! The modes of rules as people set them: each setting is kept, the last one holds.

use event::Time;
use rules::Mode;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::audit::{self, Change};
use super::{Identity, Result, Store};

/// The table. Settings are appended, never changed.
pub(super) const TABLE: &str = "
CREATE TABLE rule_mode (seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, rule TEXT NOT NULL, mode TEXT NOT NULL, at INTEGER NOT NULL,
  actor TEXT NOT NULL, comment TEXT);
CREATE INDEX rule_mode_of ON rule_mode (tenant, rule, seq);
CREATE TRIGGER rule_mode_is_kept BEFORE DELETE ON rule_mode BEGIN SELECT RAISE(ABORT, 'settings are never deleted'); END;
CREATE TRIGGER rule_mode_is_fixed BEFORE UPDATE ON rule_mode BEGIN SELECT RAISE(ABORT, 'settings are never changed'); END;
";

/// That a person has set a mode.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModeSet {
    pub(crate) mode: String,
    pub(crate) at: Time,
    pub(crate) actor: String,
    pub(crate) comment: Option<String>,
}

impl Store {
    /// Appends a setting.
    pub(crate) fn set_rule_mode(&self, actor: &Identity, rule: &str, mode: Mode, comment: Option<&str>) -> Result<()> {
        let tenant = actor.tenant;
        let now = self.clock.now();
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let last = "SELECT mode FROM rule_mode WHERE tenant = ?1 AND rule = ?2 ORDER BY seq DESC LIMIT 1";
        let before: Option<String> = transaction.query_row(last, params![tenant, rule], |row| row.get(0)).optional()?;
        transaction.execute(
            "INSERT INTO rule_mode (tenant, rule, mode, at, actor, comment) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![tenant, rule, mode.word(), now.unix_ns(), actor.name, comment],
        )?;
        let change = Change::RuleMode { rule, before: before.as_deref(), after: mode.word(), comment };
        audit::append(&transaction, Some(tenant), now, actor, &change)?;
        transaction.commit()?;
        Ok(())
    }

    /// Every setting of a rule, in order.
    pub(crate) fn rule_mode_history(&self, tenant: u32, rule: &str) -> Result<Vec<ModeSet>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT mode, at, actor, comment FROM rule_mode WHERE tenant = ?1 AND rule = ?2 ORDER BY seq")?;
            let set = |row: &Row<'_>| {
                Ok(ModeSet { mode: row.get(0)?, at: Time::from_unix_ns(row.get(1)?), actor: row.get(2)?, comment: row.get(3)? })
            };
            Ok(statement.query_map(params![tenant, rule], set)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// The settings that hold: tenant, rule, mode.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn rule_modes(&self) -> Result<Vec<(u32, String, Mode)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT tenant, rule, mode FROM rule_mode WHERE seq IN (SELECT max(seq) FROM rule_mode GROUP BY tenant, rule)",
            )?;
            let set = |row: &Row<'_>| {
                let mode = match row.get::<_, String>(2)?.as_str() {
                    "off" => Mode::Off,
                    "record" => Mode::Record,
                    _ => Mode::Alert,
                };
                Ok((row.get(0)?, row.get(1)?, mode))
            };
            Ok(statement.query_map([], set)?.collect::<std::result::Result<_, _>>()?)
        })
    }
}
