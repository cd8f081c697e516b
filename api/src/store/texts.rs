//! What rules said: each text once, by its hash, compressed; and which texts each record of the audit trail put in force.
//!
//! A record of rules names a list by its hash. The list has the rules whose texts are others than in the record before, each with the hashes
//! of its texts (none: it is gone), and is kept like a text. So a record's link covers all of them: a text that was changed is
//! no longer what its hash says, and a list or a text that is missing is named by a record that fits.

use std::collections::{BTreeMap, BTreeSet};

use event::{Time, hexadecimal};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Result, Store};

pub(super) const TABLES: &str = "
CREATE TABLE audit_text (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, zstd BLOB NOT NULL);
CREATE TRIGGER audit_text_is_kept BEFORE DELETE ON audit_text BEGIN SELECT RAISE(ABORT, 'texts are never deleted'); END;
CREATE TRIGGER audit_text_is_fixed BEFORE UPDATE ON audit_text BEGIN SELECT RAISE(ABORT, 'texts are never changed'); END;
ALTER TABLE rule_in_force ADD COLUMN texts TEXT;
";

/// Bytes of one text: a list of a hundred thousand rules has less.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// Compressed bytes of all texts. Beyond, records name no texts, and it is told.
const TEXTS_BYTES_MAX: i64 = 1 << 30;
/// zstd's usual level.
const LEVEL: i32 = 3;

/// A rule whose texts are others than before.
#[derive(Debug, Deserialize, Serialize)]
struct Listed {
    id: String,
    /// The hashes of its texts, in their order; none where the rule is gone.
    texts: Vec<String>,
}

/// The hashes of each rule's texts, by its id; of several rules with one id those of all.
pub(super) type ByRule = BTreeMap<String, Vec<String>>;

/// What a rule said at some time.
#[derive(Debug, Serialize)]
pub(crate) struct RuleThen {
    pub(crate) id: String,
    /// The record that put it in force, and when that was.
    pub(crate) seq: i64,
    pub(crate) since: Time,
    /// The rule, then the filters that narrow it.
    pub(crate) texts: Vec<TextThen>,
}

/// One text.
#[derive(Debug, Serialize)]
pub(crate) struct TextThen {
    pub(crate) sha256: String,
    pub(crate) text: String,
}

/// What was found of all texts.
#[derive(Debug, Default, Serialize)]
pub(crate) struct TextsFound {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// The hashes of those that are missing, or that are not what was kept.
    pub(crate) broken: BTreeSet<String>,
}

pub(super) fn hash_of(text: &str) -> String {
    hexadecimal(&Sha256::digest(text))
}

/// Keeps these texts and the list of what has changed since `before`; gives the list's hash. None where there is no room, or something is larger
/// than any rule.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    texts: &BTreeMap<String, &str>,
    before: &ByRule,
    after: &ByRule,
) -> Result<Option<String>> {
    let gone = before.keys().filter(|id| !after.contains_key(*id)).map(|id| Listed { id: id.clone(), texts: Vec::new() });
    let changed = after.iter().filter(|(id, texts)| before.get(*id) != Some(texts));
    let mut list: Vec<Listed> = changed.map(|(id, texts)| Listed { id: id.clone(), texts: texts.clone() }).chain(gone).collect();
    list.sort_by(|a, b| a.id.cmp(&b.id));
    let list = serde_json::to_string(&list).expect("plain values are serialisable");
    let hash = hash_of(&list);
    let mut room = TEXTS_BYTES_MAX
        - transaction.query_row("SELECT coalesce(sum(length(zstd)), 0) FROM audit_text", [], |row| row.get::<_, i64>(0))?;
    let mut known = transaction.prepare("SELECT 1 FROM audit_text WHERE sha256 = ?1")?;
    let mut new = Vec::new();
    for (hash, text) in texts.iter().map(|(hash, text)| (hash.as_str(), *text)).chain([(hash.as_str(), list.as_str())]) {
        if known.exists([hash])? {
            continue;
        }
        let packed = zstd::bulk::compress(text.as_bytes(), LEVEL).unwrap_or_default();
        room -= packed.len() as i64;
        if room < 0 || packed.is_empty() || text.len() > TEXT_BYTES_MAX {
            tracing::warn!(bytes = text.len(), room, "the texts of rules are not kept for auditors: there is no room");
            return Ok(None);
        }
        new.push((hash, text.len() as i64, packed));
    }
    let mut insert = transaction.prepare("INSERT INTO audit_text (sha256, bytes, zstd) VALUES (?1, ?2, ?3)")?;
    for (hash, bytes, packed) in new {
        insert.execute(params![hash, bytes, packed])?;
    }
    Ok(Some(hash))
}

/// The text of this hash; none where it is missing, or is not what was kept.
fn text(connection: &Connection, hash: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT zstd FROM audit_text WHERE sha256 = ?1")?;
    let packed: Option<Vec<u8>> = statement.query_row([hash], |row| row.get(0)).optional()?;
    let text = packed.and_then(|packed| zstd::bulk::decompress(&packed, TEXT_BYTES_MAX).ok());
    Ok(text.and_then(|text| String::from_utf8(text).ok()).filter(|text| hash_of(text) == hash))
}

/// What is read of a record of rules.
#[derive(Deserialize)]
struct Recorded {
    at: Time,
    #[serde(default)]
    texts: Option<String>,
}

/// The records of rules, the newest first, with the lists that they name. Records of programs that kept no texts have none.
fn records(connection: &Connection) -> Result<Vec<(i64, Recorded)>> {
    let mut statement = connection.prepare_cached("SELECT seq, body FROM audit WHERE what = 'rules' ORDER BY seq DESC")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let mut records = Vec::new();
    for row in rows {
        let (seq, body) = row?;
        // One that is no record any more does not fit its link, which is told elsewhere.
        records.extend(serde_json::from_str(&body).ok().map(|record| (seq, record)));
    }
    Ok(records)
}

fn list(connection: &Connection, hash: &str) -> Result<Option<Vec<Listed>>> {
    Ok(text(connection, hash)?.and_then(|list| serde_json::from_str(&list).ok()))
}

impl Store {
    /// What the rule of this id said at this time; none where it was not in force, or its text was not kept.
    pub(crate) fn rule_then(&self, id: &str, at: Time) -> Result<Option<RuleThen>> {
        self.read(|connection| {
            for (seq, record) in records(connection)?.into_iter().filter(|(_, record)| record.at <= at) {
                let Some(list) = record.texts.map(|hash| list(connection, &hash)).transpose()?.flatten() else { continue };
                let Some(listed) = list.into_iter().find(|listed| listed.id == id) else { continue };
                let mut texts = Vec::new();
                for sha256 in listed.texts {
                    let Some(text) = text(connection, &sha256)? else { return Ok(None) };
                    texts.push(TextThen { sha256, text });
                }
                let then = RuleThen { id: listed.id, seq, since: record.at, texts };
                return Ok(Some(then).filter(|then| !then.texts.is_empty()));
            }
            Ok(None)
        })
    }

    /// Looks at every text that is kept or named by a record: rules' and policies'.
    pub(crate) fn audit_texts(&self) -> Result<TextsFound> {
        self.read(|connection| {
            let mut found = TextsFound::default();
            let mut statement = connection.prepare_cached("SELECT sha256, bytes FROM audit_text")?;
            let kept = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            for row in kept {
                let (hash, bytes) = row?;
                (found.count, found.bytes) = (found.count + 1, found.bytes + bytes as u64);
                if text(connection, &hash)?.is_none_or(|text| text.len() as i64 != bytes) {
                    found.broken.insert(hash);
                }
            }
            let mut known = connection.prepare_cached("SELECT 1 FROM audit_text WHERE sha256 = ?1")?;
            for hash in records(connection)?.into_iter().filter_map(|(_, record)| record.texts) {
                match list(connection, &hash)? {
                    Some(list) => {
                        for text in list.into_iter().flat_map(|listed| listed.texts) {
                            if !known.exists([&text])? {
                                found.broken.insert(text);
                            }
                        }
                    }
                    None => drop(found.broken.insert(hash)),
                }
            }
            let mut statement = connection.prepare_cached("SELECT sha256, text FROM policy_version")?;
            let mut policies = BTreeSet::new();
            for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
                let (hash, text) = row?;
                (found.count, found.bytes) = (found.count + 1, found.bytes + text.len() as u64);
                if hash_of(&text) != hash {
                    found.broken.insert(hash.clone());
                }
                policies.insert(hash);
            }
            let mut statement = connection
                .prepare_cached("SELECT json_extract(body, '$.after') FROM audit WHERE what = 'policy' AND json_valid(body)")?;
            for hash in statement.query_map([], |row| row.get::<_, Option<String>>(0))? {
                found.broken.extend(hash?.filter(|hash| !policies.contains(hash)));
            }
            Ok(found)
        })
    }
}
