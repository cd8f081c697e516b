//! Tokens: who may ask. Only a token's hash is kept.

use std::time::Duration;

use event::{Time, hexadecimal};
use rusqlite::{ErrorCode, OptionalExtension, Row, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::audit::{self, By, Change};
use super::{OTHERS_TIME, Result, Store, StoreError};

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The token's name.
    pub name: String,
    /// The tenant that it may see.
    pub tenant: u32,
    /// The token's id: the part of it that is no secret.
    pub token: String,
}

/// A token as its owner may see it.
#[derive(Clone, Debug, Serialize)]
pub struct TokenInfo {
    /// The part of it that is no secret.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// The tenant's number.
    #[serde(skip)]
    pub tenant: u32,
    /// When it was made.
    pub created: Time,
    /// When it ends by itself.
    pub expires: Time,
    /// When it was used last, to the minute.
    pub last_used: Option<Time>,
    /// When it was revoked.
    pub revoked: Option<Time>,
    /// Whether it opens anything now.
    pub good: bool,
}

/// Who changes tokens by the program's own commands.
const ON_THE_MACHINE: &str = "on the machine";
/// How exactly the last use is kept.
const LAST_USED_NS: i64 = 60_000_000_000;

impl Store {
    /// Makes a token for `tenant` that is good for so many days; gives it once, only its hash is kept.
    ///
    /// # Errors
    /// Where the database, or the machine's source of random numbers, fails.
    pub fn create_token(&self, name: &str, tenant: u32, days: u32) -> Result<String> {
        let mut random = [0u8; 38];
        getrandom::fill(&mut random).map_err(|e| StoreError::Refused(format!("no random numbers: {e}")))?;
        let (id, secret) = (hexadecimal(&random[..6]), hexadecimal(&random[6..]));
        let now = self.clock.now();
        let expires = now.plus_ns(i64::from(days.min(366)) * 86_400 * 1_000_000_000);
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO token (id, hash, name, tenant, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, Sha256::digest(&secret).as_slice(), name, tenant, now.unix_ns(), expires.unix_ns()],
        )?;
        audit::append(&transaction, Some(tenant), now, ON_THE_MACHINE, &Change::TokenMade { token: &id, name })?;
        transaction.commit()?;
        Ok(format!("mih_{id}_{secret}"))
    }

    /// How many tokens are good now.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn tokens(&self) -> Result<u64> {
        let now = self.clock.now().unix_ns();
        self.read(|connection| {
            let good = "SELECT count(*) FROM token WHERE expires > ?1 AND revoked IS NULL";
            Ok(connection.query_row(good, [now], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// Every token, also those that are no longer good, of one tenant or of all; the newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn list_tokens(&self, tenant: Option<u32>) -> Result<Vec<TokenInfo>> {
        let now = self.clock.now();
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, tenant, created, expires, last_used, revoked FROM token WHERE ?1 IS NULL OR tenant = ?1
                 ORDER BY created DESC, id",
            )?;
            let token = |row: &Row<'_>| {
                let time =
                    |at: usize| -> rusqlite::Result<Option<Time>> { Ok(row.get::<_, Option<i64>>(at)?.map(Time::from_unix_ns)) };
                let (expires, revoked) = (Time::from_unix_ns(row.get(4)?), time(6)?);
                Ok(TokenInfo {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    tenant: row.get(2)?,
                    created: Time::from_unix_ns(row.get(3)?),
                    expires,
                    last_used: time(5)?,
                    revoked,
                    good: revoked.is_none() && expires > now,
                })
            };
            Ok(statement.query_map([tenant], token)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Ends a token of any tenant for good: for whoever is on the machine. False where there is none by this id.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn revoke_token(&self, id: &str) -> Result<bool> {
        self.revoke(None, id, ON_THE_MACHINE.into())
    }

    /// Ends a token of the tenant (or of any) for good. False where there is none by this id.
    pub(crate) fn revoke(&self, tenant: Option<u32>, id: &str, by: By<'_>) -> Result<bool> {
        let now = self.clock.now();
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let known = "SELECT tenant, revoked IS NULL FROM token WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2)";
        let known: Option<(u32, bool)> =
            transaction.query_row(known, params![id, tenant], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((of, is_new)) = known else { return Ok(false) };
        if is_new {
            transaction.execute("UPDATE token SET revoked = ?2 WHERE id = ?1", params![id, now.unix_ns()])?;
            audit::append(&transaction, Some(of), now, by, &Change::TokenRevoked { token: id })?;
        }
        transaction.commit()?;
        Ok(true)
    }

    /// Whether the token of this id is still good: streams ask, which outlive the look at their token.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn is_good(&self, id: &str) -> Result<bool> {
        let now = self.clock.now().unix_ns();
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM token WHERE id = ?1 AND expires > ?2 AND revoked IS NULL")?;
            Ok(statement.exists(params![id, now])?)
        })
    }

    /// Whose token this is, if it is good.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn identity(&self, token: &str) -> Result<Option<Identity>> {
        let Some((id, secret)) = token.strip_prefix("mih_").and_then(|t| t.split_once('_')) else { return Ok(None) };
        let now = self.clock.now().unix_ns();
        let found: Option<(Vec<u8>, String, u32, Option<i64>)> = self.read(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT hash, name, tenant, last_used FROM token WHERE id = ?1 AND expires > ?2 AND revoked IS NULL",
                )?
                .query_row(params![id, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?)
        })?;
        // The hash is made whether the id is known or not, so that the time taken tells nothing.
        let hash = Sha256::digest(secret);
        let Some((expected, name, tenant, last_used)) = found else { return Ok(None) };
        if !bool::from(hash.as_slice().ct_eq(&expected)) {
            return Ok(None);
        }
        // Nobody waits for a commit of the pipeline, or for another process that holds the database, or for room on the disk, only to have
        // this noted: the next request notes it then.
        if last_used.is_none_or(|last| last < now - LAST_USED_NS)
            && let Ok(writer) = self.writer.try_lock()
        {
            writer.busy_timeout(Duration::ZERO)?;
            let noted = writer
                .prepare_cached("UPDATE token SET last_used = ?2 WHERE id = ?1")
                .and_then(|mut update| update.execute(params![id, now]));
            writer.busy_timeout(OTHERS_TIME)?;
            match noted.map_err(|error| (error.sqlite_error_code(), error)) {
                Err((Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull), _)) | Ok(_) => {}
                Err((_, error)) => return Err(error.into()),
            }
        }
        Ok(Some(Identity { name, tenant, token: id.to_owned() }))
    }
}
