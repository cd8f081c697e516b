//! What passed between zones, when each sensor was heard, and which policies have been in force.

use event::Time;
use rusqlite::{OptionalExtension, Transaction, params};

use super::audit::{self, Change};
use super::{Result, Store};
use crate::tally::Tally;

/// Versions of the policy in one answer, the latest first.
const VERSIONS_MAX: u32 = 1000;

/// A policy that was in force.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PolicyVersion {
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// Since when.
    pub since: Time,
    /// Who or what put it into force.
    pub by: String,
    /// Bytes of its text.
    pub bytes: i64,
}

/// Counts of one hour of one pair of zones: hour in seconds since 1970, from, to, verdict, count, and the hash of the policy that said so (none of
/// what was counted before that was noted).
pub(crate) type CellRow = (i64, String, String, String, i64, Option<String>);
/// When a sensor was heard: its name, hour in seconds since 1970, a bit for each minute.
pub(crate) type HeardRow = (String, i64, u64);

impl Store {
    /// What was counted in the hours from `from` to before `to` (seconds since 1970).
    pub(crate) fn cells(&self, tenant: u32, from: i64, to: i64) -> Result<Vec<CellRow>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT hour, zone_from, zone_to, verdict, count, sha256 FROM matrix LEFT JOIN policy_version ON policy = seq
                 WHERE tenant = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour, zone_from, zone_to, verdict, policy",
            )?;
            let rows = statement.query_map(params![tenant, from, to], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// When sensors were heard in the hours from `from` to before `to` (seconds since 1970).
    pub(crate) fn heard(&self, tenant: u32, from: i64, to: i64) -> Result<Vec<HeardRow>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sensor, hour, minutes FROM heard WHERE tenant = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY sensor, hour",
            )?;
            let rows = statement
                .query_map(params![tenant, from, to], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Remembers that a policy is in force from this log offset on, unless it is already.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn policy_in_force(&self, sha256: &str, text: &str, from_offset: u64, by: &str) -> Result<()> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let last: Option<String> = transaction
            .query_row("SELECT sha256 FROM policy_version ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
            .optional()?;
        if last.as_deref() != Some(sha256) {
            let change = Change::Policy { before: last.as_deref(), after: sha256, from_offset };
            audit::append(&transaction, None, self.clock.now(), by, &change)?;
            transaction.execute(
                "INSERT INTO policy_version (sha256, text, since, by) VALUES (?1, ?2, ?3, ?4)",
                params![sha256, text, self.clock.now().unix_ns(), by],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The policies that were in force, the latest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn policy_versions(&self) -> Result<Vec<PolicyVersion>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sha256, since, by, length(CAST(text AS BLOB)) FROM policy_version ORDER BY seq DESC LIMIT ?1",
            )?;
            let version = |row: &rusqlite::Row<'_>| {
                Ok(PolicyVersion {
                    sha256: row.get(0)?,
                    since: Time::from_unix_ns(row.get(1)?),
                    by: row.get(2)?,
                    bytes: row.get(3)?,
                })
            };
            Ok(statement.query_map([VERSIONS_MAX], version)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// The text of a policy that was in force, by the beginning of its hash.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn policy_text(&self, sha256: &str) -> Result<Option<String>> {
        if sha256.is_empty() || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT text FROM policy_version WHERE sha256 LIKE ?1 || '%' ORDER BY seq DESC LIMIT 1")?;
            Ok(statement.query_row([sha256], |row| row.get(0)).optional()?)
        })
    }
}

/// Adds what was counted since the last commit.
pub(super) fn write(transaction: &Transaction<'_>, tally: &Tally) -> rusqlite::Result<()> {
    for ((tenant, hour, sha256), cells) in &tally.matrix {
        let policy: i64 = transaction
            .prepare_cached("SELECT COALESCE(MAX(seq), 0) FROM policy_version WHERE sha256 = ?1")?
            .query_row([sha256], |row| row.get(0))?;
        for (from, tos) in cells {
            for (to, verdicts) in tos {
                for (verdict, n) in verdicts {
                    transaction
                        .prepare_cached(
                            "INSERT INTO matrix (tenant, hour, zone_from, zone_to, verdict, policy, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                             ON CONFLICT (tenant, hour, zone_from, zone_to, verdict, policy) DO UPDATE SET count = count + ?7",
                        )?
                        .execute(params![tenant.0, hour, from, to, verdict, policy, n])?;
                }
            }
        }
    }
    for ((tenant, sensor, hour), minutes) in &tally.heard {
        // Joining bits twice is joining them once: a batch that is read again changes nothing.
        transaction
            .prepare_cached(
                "INSERT INTO heard (tenant, sensor, hour, minutes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, sensor, hour) DO UPDATE SET minutes = minutes | ?4",
            )?
            .execute(params![tenant.0, sensor, hour, *minutes as i64])?;
    }
    Ok(())
}
