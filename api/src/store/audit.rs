//! What was in force when, and who changed it: one row a change, never changed, each linked to the one before it.
//!
//! The link is SHA-256 over the link before and the row as it is written, so that a row that was altered, taken out or put in between behind the
//! program's back is found by whoever reads the list.

use std::collections::BTreeMap;

use event::{Time, hexadecimal};
use rules::Written;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::texts::{self, ByRule, TextsFound};
use super::{Identity, Result, Store};
use crate::saved::Text;

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
        /// The hash of the list of the texts that are others than before (`texts.rs`); none where they are not kept.
        texts: Option<&'a str>,
    },
    /// Another zone policy is in force: the hashes of their files, and the first log offset that was judged by it.
    Policy { before: Option<&'a str>, after: &'a str, from_offset: u64 },
    /// A person has set a rule's mode.
    RuleMode { rule: &'a str, before: Option<&'a str>, after: &'a str, comment: Option<&'a str> },
    /// A token was made.
    TokenMade { token: &'a str, name: &'a str },
    /// A token was revoked.
    TokenRevoked { token: &'a str },
    /// A person has saved, changed or deleted a search; with what it said before and says now.
    SavedSearch { search: &'a str, version: i64, before: Option<&'a Text>, after: Option<&'a Text> },
    /// A person has released records from quarantine: how many, and which were asked for.
    Released { records: usize, reason: Option<&'a str>, source: Option<&'a str> },
    /// A person has acted on an alert; what they wrote stands with it.
    AlertAction { alert: &'a str, action: &'a str, disposition: Option<&'a str> },
    /// A person has taken records along: of which query, how many, and the hash of what was sent where all of it was.
    Exported { query: &'a str, from: Option<Time>, to: Option<Time>, count: u64, complete: bool, sha256: Option<&'a str> },
    /// Retention has removed segments of the journal, oldest first, by the rule's bound (nanoseconds or bytes).
    JournalRemoved { segments: usize, first_offset: u64, last_offset: u64, rule: &'a str, bound: u64 },
    /// Retention has dropped shards of the tenant's index: all whose last record was received before this.
    ShardsDropped { shards: usize, received_before: Time },
}

/// What was exported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Export<'a> {
    pub(crate) count: u64,
    /// Whether these were all.
    pub(crate) complete: bool,
    /// Of all bytes before the manifest; none where it has broken off.
    pub(crate) sha256: Option<&'a str>,
}

/// Who changes something: a person by a token, or the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'a> {
    name: &'a str,
    /// The token's id.
    token: Option<&'a str>,
}

impl<'a> From<&'a str> for By<'a> {
    fn from(name: &'a str) -> By<'a> {
        By { name, token: None }
    }
}

impl<'a> From<&'a Identity> for By<'a> {
    fn from(identity: &'a Identity) -> By<'a> {
        By { name: &identity.name, token: Some(&identity.token) }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    by_token: Option<&'a str>,
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
    /// What was found of the texts, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) texts: Option<TextsFound>,
}

impl Change<'_> {
    fn what(&self) -> &'static str {
        match self {
            Change::Rules { .. } => "rules",
            Change::Policy { .. } => "policy",
            Change::RuleMode { .. } => "rule_mode",
            Change::TokenMade { .. } => "token_made",
            Change::TokenRevoked { .. } => "token_revoked",
            Change::SavedSearch { .. } => "saved_search",
            Change::Released { .. } => "released",
            Change::AlertAction { .. } => "alert_action",
            Change::Exported { .. } => "exported",
            Change::JournalRemoved { .. } => "journal_removed",
            Change::ShardsDropped { .. } => "shards_dropped",
        }
    }
}

/// What [`Change::what`] can be.
pub(crate) const KINDS: [&str; 11] = [
    "rules",
    "policy",
    "rule_mode",
    "token_made",
    "token_revoked",
    "saved_search",
    "released",
    "alert_action",
    "exported",
    "journal_removed",
    "shards_dropped",
];

fn link(before: &[u8], tenant: Option<u32>, what: &str, body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [before, &tenant.map_or_else(Vec::new, |t| t.to_le_bytes().to_vec()), what.as_bytes(), body.as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Appends a record; a tenant sees its own and those of none.
pub(super) fn append<'b>(
    transaction: &Transaction<'_>,
    tenant: Option<u32>,
    at: Time,
    by: impl Into<By<'b>>,
    change: &Change<'_>,
) -> Result<()> {
    debug_assert!(KINDS.contains(&change.what()), "who reads the trail can ask for each kind");
    let by = by.into();
    let body = Body { at, by: by.name, by_token: by.token, change };
    let body = serde_json::to_string(&body).expect("plain values are serialisable");
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
    /// Records that these rules (with the set's hash) match the log from this offset on, with what they say, unless that is recorded already.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn rules_in_force<'r>(
        &self,
        set: &str,
        rules: impl Iterator<Item = Written<'r>>,
        from_offset: u64,
        by: &str,
    ) -> Result<()> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let last = "SELECT json_extract(body, '$.after'), json_extract(body, '$.texts') FROM audit WHERE what = 'rules'
             ORDER BY seq DESC LIMIT 1";
        let last: Option<(String, Option<String>)> =
            transaction.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        // Programs before kept no texts: what is in force is recorded once more, with them.
        if last.as_ref().is_some_and(|(last, texts)| last == set && texts.is_some()) {
            return Ok(());
        }
        let (mut before, mut texts_before) = (ByRule::new(), ByRule::new());
        let mut statement = transaction.prepare("SELECT id, identity, texts FROM rule_in_force ORDER BY rowid")?;
        let mut known = statement.query([])?;
        while let Some(row) = known.next()? {
            let (id, texts): (String, Option<String>) = (row.get(0)?, row.get(2)?);
            if let Some(texts) = texts {
                texts_before.entry(id.clone()).or_default().extend(texts.split(',').map(str::to_owned));
            }
            before.entry(id).or_default().push(row.get(1)?);
        }
        drop(known);
        drop(statement);
        let (mut after, mut texts_after, mut texts) = (ByRule::new(), ByRule::new(), BTreeMap::new());
        let (mut rows, mut count) = (Vec::new(), 0);
        for rule in rules {
            let mut hashes = Vec::new();
            for text in rule.texts {
                let hash = texts::hash_of(text);
                texts.insert(hash.clone(), &**text);
                hashes.push(hash);
            }
            count += 1;
            after.entry(rule.id.to_owned()).or_default().push(rule.identity.clone());
            rows.push((rule.id, rule.identity, hashes.join(",")));
            texts_after.entry(rule.id.to_owned()).or_default().extend(hashes);
        }
        before.values_mut().chain(after.values_mut()).for_each(|same| same.sort_unstable());
        let [mut added, mut removed, mut changed] = [const { Named { count: 0, ids: Vec::new() } }; 3];
        for (id, now) in &after {
            match before.get(id) {
                None => added.add(id),
                // A filter changes what a plain rule says, and nothing that is known of it.
                Some(then) if then != now || texts_before.get(id).is_some_and(|then| Some(then) != texts_after.get(id)) => {
                    changed.add(id);
                }
                Some(_) => {}
            }
        }
        before.keys().filter(|id| !after.contains_key(*id)).for_each(|id| removed.add(id));
        let kept = texts::keep(&transaction, &texts, &texts_before, &texts_after)?;
        let before = last.as_ref().map(|(last, _)| last.as_str());
        let change =
            Change::Rules { before, after: set, from_offset, rules: count, added, removed, changed, texts: kept.as_deref() };
        append(&transaction, None, self.clock.now(), by, &change)?;
        transaction.execute("DELETE FROM rule_in_force", [])?;
        let mut insert = transaction.prepare("INSERT INTO rule_in_force (id, identity, texts) VALUES (?1, ?2, ?3)")?;
        for (id, identity, texts) in rows {
            insert.execute(params![id, identity, kept.as_ref().map(|_| texts)])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }

    /// Records that retention has removed so many segments of the journal, up to this offset, by the rule's bound.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn journal_removed(&self, segments: usize, offsets: (u64, u64), rule: &str, bound: u64) -> Result<()> {
        let (first_offset, last_offset) = offsets;
        self.record(None, "retention".into(), &Change::JournalRemoved { segments, first_offset, last_offset, rule, bound })
    }

    /// Records that retention has dropped so many shards of the tenant's index.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn shards_dropped(&self, tenant: u32, shards: usize, received_before: Time) -> Result<()> {
        self.record(Some(tenant), "retention".into(), &Change::ShardsDropped { shards, received_before })
    }

    /// Records that a person has exported records, or has begun to.
    pub(crate) fn exported(
        &self,
        by: &Identity,
        query: &str,
        (from, to): (Option<Time>, Option<Time>),
        what: Export<'_>,
    ) -> Result<()> {
        let Export { count, complete, sha256 } = what;
        self.record(Some(by.tenant), by.into(), &Change::Exported { query, from, to, count, complete, sha256 })
    }

    /// Appends a record by itself.
    fn record(&self, tenant: Option<u32>, by: By<'_>, change: &Change<'_>) -> Result<()> {
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        append(&transaction, tenant, self.clock.now(), by, change)?;
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
            Ok(Trail { records, intact: broken_at.is_none(), broken_at, before: next, texts: None })
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
