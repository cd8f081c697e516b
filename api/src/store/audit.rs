//! What was in force when, and who changed it: one row a change, never changed, each linked to the one before it.
//!
//! The link is SHA-256 over the link before and the row as it is written, so that a row that was altered, taken out or put in between behind the
//! program's back is found by whoever reads the list.

use std::collections::BTreeMap;

use event::Time;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Result, Store};
use crate::search::hexadecimal;

/// The rows, and the rules that the last of them put in force: what the next set is compared with, also over a restart.
pub(super) const TABLES: &str = "
CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER, what TEXT NOT NULL, body TEXT NOT NULL, link BLOB NOT NULL);
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is never deleted'); END;
CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
CREATE TABLE rule_in_force (id TEXT NOT NULL, identity TEXT NOT NULL);
";

/// Rules of each kind that one record names; of more it tells how many.
const NAMED_MAX: usize = 1000;

/// A change. What is before is none the first time.
#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Change<'a> {
    /// Other rules are in force.
    Rules {
        /// The hashes of the sets.
        before: Option<&'a str>,
        after: &'a str,
        /// The first log offset that was matched by them.
        from_offset: u64,
        rules: usize,
        added: Named,
        removed: Named,
        changed: Named,
    },
    /// Another zone policy is in force: the hashes of their files.
    Policy { before: Option<&'a str>, after: &'a str },
    /// A person has set a rule's mode.
    RuleMode { rule: &'a str, before: Option<&'a str>, after: &'a str, comment: Option<&'a str> },
    /// A token was made.
    TokenMade { token: &'a str, name: &'a str },
    /// A token was revoked.
    TokenRevoked { token: &'a str },
}

/// Rules by their ids.
#[derive(Debug, Default, Serialize)]
pub(super) struct Named {
    count: usize,
    /// The first of them.
    ids: Vec<String>,
}

impl Named {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.ids.len() < NAMED_MAX {
            self.ids.push(id.to_owned());
        }
    }
}

/// A row as it is written.
#[derive(Serialize)]
struct Body<'a> {
    at: Time,
    by: &'a str,
    #[serde(flatten)]
    change: &'a Change<'a>,
}

/// A record as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct AuditRecord {
    pub(crate) seq: i64,
    /// The record as it was written.
    pub(crate) record: Box<RawValue>,
    /// The link over it and everything before it.
    pub(crate) link: String,
}

/// Some of the trail.
#[derive(Debug, Serialize)]
pub(crate) struct Trail {
    /// The newest first.
    pub(crate) records: Vec<AuditRecord>,
    /// Whether every row of the trail, also those that are not shown, fits its link.
    pub(crate) intact: bool,
    /// The first that does not.
    pub(crate) broken_at: Option<i64>,
    /// Where the next page begins.
    pub(crate) before: Option<i64>,
}

impl Change<'_> {
    fn what(&self) -> &'static str {
        match self {
            Change::Rules { .. } => "rules",
            Change::Policy { .. } => "policy",
            Change::RuleMode { .. } => "rule_mode",
            Change::TokenMade { .. } => "token_made",
            Change::TokenRevoked { .. } => "token_revoked",
        }
    }
}

/// The kinds of records.
pub(crate) const KINDS: [&str; 5] = ["rules", "policy", "rule_mode", "token_made", "token_revoked"];

fn link(before: &[u8], tenant: Option<u32>, what: &str, body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [before, &tenant.map_or_else(Vec::new, |t| t.to_le_bytes().to_vec()), what.as_bytes(), body.as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Appends a record; a tenant sees its own and those of none.
pub(super) fn append(transaction: &Transaction<'_>, tenant: Option<u32>, at: Time, by: &str, change: &Change<'_>) -> Result<()> {
    let body = serde_json::to_string(&Body { at, by, change }).expect("plain values are serialisable");
    let before: Option<Vec<u8>> =
        transaction.query_row("SELECT link FROM audit ORDER BY seq DESC LIMIT 1", [], |row| row.get(0)).optional()?;
    let link = link(&before.unwrap_or_default(), tenant, change.what(), &body);
    transaction.prepare_cached("INSERT INTO audit (tenant, what, body, link) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        tenant,
        change.what(),
        body,
        link.as_slice()
    ])?;
    Ok(())
}

impl Store {
    /// Records that these rules (the set's hash, and each rule's id with what tells it from one of the same id) match the log from this offset on,
    /// unless they did before.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn rules_in_force(&self, set: &str, rules: &[(String, String)], from_offset: u64, by: &str) -> Result<()> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let last: Option<String> = transaction
            .query_row(
                "SELECT json_extract(body, '$.after') FROM audit WHERE what = 'rules' ORDER BY seq DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        if last.as_deref() == Some(set) {
            return Ok(());
        }
        let known: Vec<(String, String)> = transaction
            .prepare("SELECT id, identity FROM rule_in_force")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<std::result::Result<_, _>>()?;
        let by_id = |rules: &[(String, String)]| {
            let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
            rules.iter().for_each(|(id, identity)| all.entry(id.clone()).or_default().push(identity.clone()));
            all.values_mut().for_each(|same| same.sort_unstable());
            all
        };
        let (before, after) = (by_id(&known), by_id(rules));
        let [mut added, mut removed, mut changed] = [const { Named { count: 0, ids: Vec::new() } }; 3];
        for (id, now) in &after {
            match before.get(id) {
                None => added.add(id),
                Some(then) if then != now => changed.add(id),
                Some(_) => {}
            }
        }
        before.keys().filter(|id| !after.contains_key(*id)).for_each(|id| removed.add(id));
        let rules_count = rules.len();
        let change =
            Change::Rules { before: last.as_deref(), after: set, from_offset, rules: rules_count, added, removed, changed };
        append(&transaction, None, self.clock.now(), by, &change)?;
        transaction.execute("DELETE FROM rule_in_force", [])?;
        let mut insert = transaction.prepare("INSERT INTO rule_in_force (id, identity) VALUES (?1, ?2)")?;
        for (id, identity) in rules {
            insert.execute(params![id, identity])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }

    /// The trail as a tenant sees it: of one kind or of all, those before this one, at most so many.
    pub(crate) fn audit(&self, tenant: u32, what: Option<&str>, before: Option<i64>, size: u32) -> Result<Trail> {
        self.read(|connection| {
            let broken_at = broken_at(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT seq, body, link FROM audit WHERE (tenant IS NULL OR tenant = ?1) AND (?2 IS NULL OR what = ?2)
                 AND (?3 IS NULL OR seq < ?3) ORDER BY seq DESC LIMIT ?4",
            )?;
            let rows = statement.query_map(params![tenant, what, before, size], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
            })?;
            let mut records = Vec::new();
            for row in rows {
                let (seq, body, link) = row?;
                // What was altered to be no JSON any more is shown as text.
                let record = RawValue::from_string(body.clone())
                    .or_else(|_| serde_json::value::to_raw_value(&body))
                    .expect("text is serialisable");
                records.push(AuditRecord { seq, record, link: hexadecimal(&link) });
            }
            let next = records.last().map(|record| record.seq).filter(|_| records.len() == size as usize);
            Ok(Trail { records, intact: broken_at.is_none(), broken_at, before: next })
        })
    }
}

/// The first row that does not fit its link, or that is not one behind the row before it.
fn broken_at(connection: &Connection) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT seq, tenant, what, body, link FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut before, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let kept: Vec<u8> = row.get(4)?;
        let (what, body): (String, String) = (row.get(2)?, row.get(3)?);
        if seq != last + 1 || kept != link(&before, row.get(1)?, &what, &body) {
            return Ok(Some(seq));
        }
        (before, last) = (kept, seq);
    }
    Ok(None)
}
