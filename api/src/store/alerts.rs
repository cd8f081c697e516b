//! Alerts as they stand, and what people did with them.

use event::Time;
use rules::alert::Alert;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::audit::{self, Change};
use super::{Identity, Result, Store, StoreError};
use crate::notify::Destination;

/// The name under which the program itself acts; people's tokens have names of their own.
const OURSELVES: &str = "mihari";

/// Which alerts are wanted.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// `open`, `acknowledged`, `closed`, `recorded` (by a rule of that mode); several with commas. Without, all but `recorded`.
    pub status: Option<String>,
    /// The rule's level; several with commas.
    pub level: Option<String>,
    /// Whose it is.
    pub assignee: Option<String>,
    /// The rule's id.
    pub rule: Option<String>,
    /// Last seen from this instant.
    pub from: Option<Time>,
    /// Last seen before this instant.
    pub to: Option<Time>,
    /// What stands in the alert's body, as [`needles`] has it.
    pub text: Option<String>,
}

/// A person's words as a JSON array of what must stand in a body: a word anywhere in it, without case; in quotes a whole value of it,
/// so that an address is not found as the beginning of another.
pub(crate) fn needles(text: &str) -> Option<String> {
    let mut needles: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('"');
        let (word, behind) = match quoted {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        // As it is written in a body, which is JSON.
        let written = serde_json::Value::from(word.to_ascii_lowercase()).to_string();
        if !word.is_empty() {
            needles.push(if quoted.is_some() { written } else { written[1..written.len() - 1].to_owned() });
        }
        rest = behind.trim_start();
    }
    (!needles.is_empty()).then(|| serde_json::Value::from(needles).to_string())
}

/// An alert as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) body: String,
    pub(crate) status: String,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) detected_at: Time,
    pub(crate) version: i64,
    pub(crate) last: i64,
    pub(crate) id: String,
}

/// What a person does with an alert.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewAction {
    pub(crate) action: String,
    pub(crate) comment: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
}

/// Something done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) at: Time,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) comment: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) disposition: Option<String>,
}

impl Store {
    /// Alerts, the last seen first; with their number, and where the next page begins.
    pub(crate) fn alerts(
        &self,
        tenant: u32,
        filter: &AlertFilter,
        size: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<Stored>, u64, Option<String>)> {
        let after: Option<(i64, String)> = match cursor {
            None => None,
            Some(text) => {
                let place = text.split_once('.').and_then(|(last, id)| Some((last.parse().ok()?, id.to_owned())));
                Some(place.ok_or_else(|| StoreError::Refused("the cursor is none of ours".to_owned()))?)
            }
        };
        const WHERE: &str =
            "tenant = ?1 AND ((?2 IS NULL AND status <> 'recorded') OR instr(',' || ?2 || ',', ',' || status || ','))
            AND (?3 IS NULL OR instr(',' || ?3 || ',', ',' || level || ',')) AND (?4 IS NULL OR rule = ?4)
            AND (?5 IS NULL OR last >= ?5) AND (?6 IS NULL OR last < ?6) AND (?7 IS NULL OR assignee = ?7)
            AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) WHERE instr(lower(body), value) = 0))";
        let (from, to) = (filter.from.map(Time::unix_ns), filter.to.map(Time::unix_ns));
        self.read(|connection| {
            let total: i64 = connection.prepare_cached(&format!("SELECT count(*) FROM alert WHERE {WHERE}"))?.query_row(
                params![tenant, filter.status, filter.level, filter.rule, from, to, filter.assignee, filter.text],
                |row| row.get(0),
            )?;
            let (after_last, after_id) = after.unzip();
            let mut statement = connection.prepare_cached(&format!(
                "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE {WHERE}
                 AND (?9 IS NULL OR last < ?9 OR (last = ?9 AND id > ?10)) ORDER BY last DESC, id LIMIT ?11"
            ))?;
            let limit = size as i64 + 1;
            let AlertFilter { status, level, rule, assignee, text, .. } = filter;
            let rows = params![tenant, status, level, rule, from, to, assignee, text, after_last, after_id, limit];
            let mut alerts: Vec<Stored> = statement.query_map(rows, stored)?.collect::<std::result::Result<_, _>>()?;
            let more = alerts.len() > size;
            alerts.truncate(size);
            let cursor = alerts.last().filter(|_| more).map(|a| format!("{}.{}", a.last, a.id));
            Ok((alerts, total as u64, cursor))
        })
    }

    /// One alert of the tenant.
    pub(crate) fn alert(&self, tenant: u32, id: &str) -> Result<Option<Stored>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body, status, assignee, disposition, detected_at, version, last, id FROM alert WHERE tenant = ?1 AND id = ?2",
            )?;
            Ok(statement.query_row(params![tenant, id], stored).optional()?)
        })
    }

    /// Open alerts by level.
    pub(crate) fn open_by_level(&self, tenant: u32) -> Result<Vec<(String, i64)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT level, count(*) FROM alert WHERE tenant = ?1 AND status NOT IN ('closed', 'recorded') GROUP BY level",
            )?;
            Ok(statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Alerts per rule: how many, and when the last was seen.
    pub(crate) fn alerts_by_rule(&self, tenant: u32) -> Result<Vec<(String, i64, i64)>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT rule, count(*), max(last) FROM alert WHERE tenant = ?1 GROUP BY rule")?;
            Ok(statement
                .query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<std::result::Result<_, _>>()?)
        })
    }

    /// What was done with an alert, in order.
    pub(crate) fn actions(&self, id: &str) -> Result<Vec<Done>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, actor, action, comment, assignee, disposition FROM action WHERE alert = ?1 ORDER BY seq",
            )?;
            let done = |row: &Row<'_>| {
                Ok(Done {
                    at: Time::from_unix_ns(row.get(0)?),
                    actor: row.get(1)?,
                    action: row.get(2)?,
                    comment: row.get(3)?,
                    assignee: row.get(4)?,
                    disposition: row.get(5)?,
                })
            };
            Ok(statement.query_map([id], done)?.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Appends what a person does; the state follows from it. False where the tenant has no such alert.
    pub(crate) fn act(&self, by: &Identity, id: &str, new: &NewAction) -> Result<bool> {
        let (tenant, actor) = (by.tenant, by.name.as_str());
        let refused = |text: &str| Err(StoreError::Refused(text.to_owned()));
        match new.action.as_str() {
            "acknowledge" | "escalate" | "reopen" => {}
            "assign" if new.assignee.is_none() => return refused("assign needs an assignee"),
            "comment" if new.comment.as_deref().unwrap_or("").is_empty() => return refused("comment needs a comment"),
            "close" => match new.disposition.as_deref() {
                Some("true_positive" | "false_positive" | "benign" | "duplicate") => {}
                _ => return refused("close needs a disposition: true_positive, false_positive, benign or duplicate"),
            },
            "assign" | "comment" => {}
            other => return Err(StoreError::Refused(format!("unknown action {other:?}"))),
        }
        let mut connection = self.writer();
        let transaction = connection.transaction()?;
        let there: Option<i64> = transaction
            .query_row("SELECT 1 FROM alert WHERE tenant = ?1 AND id = ?2", params![tenant, id], |row| row.get(0))
            .optional()?;
        if there.is_none() {
            return Ok(false);
        }
        let now = self.clock.now();
        let change = Change::AlertAction { alert: id, action: &new.action, disposition: new.disposition.as_deref() };
        audit::append(&transaction, Some(tenant), now, by, &change)?;
        transaction.execute(
            "INSERT INTO action (alert, at, actor, action, comment, assignee, disposition) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![id, now.unix_ns(), actor, new.action, new.comment, new.assignee, new.disposition],
        )?;
        let state = match new.action.as_str() {
            "acknowledge" => {
                "status = CASE status WHEN 'open' THEN 'acknowledged' ELSE status END, assignee = coalesce(assignee, :actor)"
            }
            "assign" => "assignee = nullif(:assignee, '')",
            "close" => "status = 'closed', disposition = :disposition",
            "reopen" => "status = 'open', disposition = NULL",
            _ => "status = status",
        };
        let sql = format!("UPDATE alert SET {state}, version = version + 1 WHERE id = :id");
        let mut statement = transaction.prepare_cached(&sql)?;
        for (name, value) in [
            (":id", Some(id)),
            (":actor", Some(actor)),
            (":assignee", new.assignee.as_deref()),
            (":disposition", new.disposition.as_deref()),
        ] {
            if let Some(at) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(at, value)?;
            }
        }
        statement.raw_execute()?;
        drop(statement);
        transaction.commit()?;
        Ok(true)
    }

    /// Every alert body, by id: for the demo's check and for tests.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn all_alerts(&self) -> Result<Vec<Alert>> {
        self.read(|connection| {
            let mut statement = connection.prepare("SELECT body FROM alert ORDER BY id")?;
            let bodies: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<std::result::Result<_, _>>()?;
            Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
        })
    }
}

/// Stores an alert, or how it has grown. True where somebody is to be told: it is new, or it went on after it was closed or only recorded.
pub(super) fn put(
    transaction: &Transaction<'_>,
    alert: &Alert,
    is_told: bool,
    destinations: &[Destination],
    now: i64,
) -> rusqlite::Result<bool> {
    let (first, last, body) = (alert.first.unix_ns(), alert.last.unix_ns(), alert.to_json());
    let status = if is_told { "open" } else { "recorded" };
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO alert (id, tenant, rule, level, first, last, body, detected_at, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![alert.id, alert.tenant, alert.rule.id, alert.rule.level, first, last, body, now, status])?;
    if inserted == 0 {
        transaction
            .prepare_cached("UPDATE alert SET first = ?2, last = ?3, body = ?4, version = version + 1 WHERE id = ?1")?
            .execute(params![alert.id, first, last, body])?;
    }
    // What went on is told again as a new one is.
    let is_news = is_told && (inserted == 1 || goes_on(transaction, &alert.id, last, now)?);
    if is_news {
        for destination in destinations.iter().filter(|d| d.tenant == alert.tenant) {
            transaction
                .prepare_cached(
                    "INSERT INTO outbox (alert, destination, created, next_at) VALUES (?1, ?2, ?3, ?3) ON CONFLICT DO UPDATE
                     SET state = 'waiting', attempts = 0, created = ?3, next_at = ?3, last_error = NULL",
                )?
                .execute(params![alert.id, destination.name, now])?;
        }
    }
    Ok(is_news)
}

/// Opens an alert again that was closed before it was seen `last`: whoever closed it has not seen this. An action says so. What happened before it
/// was closed, and is only told now, leaves it closed. One that was only recorded is opened too: its rule has been set to alert since.
fn goes_on(transaction: &Transaction<'_>, id: &str, last: i64, now: i64) -> rusqlite::Result<bool> {
    let (status, closed): (String, Option<i64>) = transaction
        .prepare_cached(
            "SELECT alert.status, max(action.at) FROM alert LEFT JOIN action ON action.alert = alert.id AND action.action = 'close'
             WHERE alert.id = ?1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let why = match status.as_str() {
        "closed" if closed.is_some_and(|at| last > at) => "it went on after it was closed",
        "recorded" => "it went on after its rule was set to alert",
        _ => return Ok(false),
    };
    transaction
        .prepare_cached("INSERT INTO action (alert, at, actor, action, comment) VALUES (?1, ?2, ?3, 'reopen', ?4)")?
        .execute(params![id, now, OURSELVES, why])?;
    transaction.prepare_cached("UPDATE alert SET status = 'open', disposition = NULL WHERE id = ?1")?.execute([id])?;
    Ok(true)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        body: row.get(0)?,
        status: row.get(1)?,
        assignee: row.get(2)?,
        disposition: row.get(3)?,
        detected_at: Time::from_unix_ns(row.get(4)?),
        version: row.get(5)?,
        last: row.get(6)?,
        id: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use event::Clock;
    use rules::alert::{AlertChange, AlertRule, ByLanguage};

    use super::*;
    use crate::store::Commit;
    use crate::tally::Tally;

    struct Standing(AtomicI64);

    impl Clock for Standing {
        fn now(&self) -> Time {
            Time::from_unix_s(self.0.load(Ordering::Relaxed))
        }
    }

    fn alert(count: u64, last: i64) -> Alert {
        let rule = AlertRule { id: "r".into(), title: "R".into(), level: "high".into(), tags: Vec::new(), kind: "sigma".into() };
        let at = Time::from_unix_s;
        Alert {
            id: "a1".into(),
            tenant: 0,
            rule: rule.into(),
            title: ByLanguage::default(),
            meaning: ByLanguage::default(),
            first_steps: ByLanguage::default(),
            false_positives: ByLanguage::default(),
            clause: None,
            group: Default::default(),
            window_start: at(100),
            first: at(100),
            last: at(last),
            count,
            evidence: Vec::new(),
            fields: Default::default(),
            explanation: Default::default(),
        }
    }

    #[test]
    fn alerts_are_found_by_words_and_whole_values() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(&dir.path().join("s"), Arc::new(Standing(AtomicI64::new(200)))).expect("opens");
        let mut one = alert(1, 150);
        one.group = [("source.ip", "10.2.16.39"), ("user.name", r"CORP\sato")].into_iter().collect();
        let changes = [AlertChange::New(one)];
        let commit = Commit { position: 1, changes: &changes, destinations: &[], modes: &rules::Modes::default() };
        store.apply(&commit, &mut Tally::default()).expect("stored");
        for (text, found) in [
            ("10.2.16.3", 1),
            ("\"10.2.16.3\"", 0),
            ("\"10.2.16.39\"", 1),
            (r"corp\SATO 10.2", 1),
            ("10.2 suzuki", 0),
            ("\"10.2.16.39\"sato", 1),
            ("\"10.2.16.39", 1),
            ("\" \"", 0),
            (" \"\" ", 1),
        ] {
            let filter = AlertFilter { text: needles(text), ..AlertFilter::default() };
            let (alerts, total, _) = store.alerts(0, &filter, 10, None).expect("read");
            assert_eq!((alerts.len(), total), (found, found as u64), "{text}");
        }
    }

    #[test]
    fn what_goes_on_after_it_was_closed_is_open_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Standing(AtomicI64::new(200)));
        let store = Store::open(&dir.path().join("s"), clock.clone()).expect("opens");
        let destinations = [Destination {
            name: "chat".to_owned(),
            tenant: 0,
            slack_webhook: "http://127.0.0.1:9/".to_owned(),
            language: "ja".to_owned(),
        }];
        let apply_as = |mode, position, change: AlertChange| {
            let mut modes = rules::Modes::default();
            modes.set("r", None, mode);
            let commit = Commit { position, changes: &[change], destinations: &destinations, modes: &modes };
            store.apply(&commit, &mut Tally::default()).expect("stored")
        };
        let apply = |position, change| apply_as(rules::Mode::Alert, position, change);
        let status = || store.alert(0, "a1").expect("read").expect("there").status;
        assert_eq!(apply(1, AlertChange::New(alert(1, 150))), ["a1"]);
        let due = store.due("chat").expect("read").expect("due");
        store.delivered(&due, "chat", None, None).expect("written");
        let close = NewAction { action: "close".to_owned(), disposition: Some("benign".to_owned()), ..NewAction::default() };
        let sato = Identity { name: "sato".to_owned(), tenant: 0, token: "t1".to_owned() };
        assert!(store.act(&sato, "a1", &close).expect("done"));
        clock.0.store(250, Ordering::Relaxed);
        // What happened before, and is told late, was part of what was looked at.
        assert!(apply(2, AlertChange::Updated(alert(2, 190))).is_empty());
        assert_eq!(status(), "closed");
        // Of a rule that only records nobody is told.
        assert!(apply_as(rules::Mode::Record, 3, AlertChange::Updated(alert(2, 230))).is_empty());
        assert_eq!((status(), store.deliveries("a1").expect("read")[0].state.as_str()), ("closed".to_owned(), "delivered"));
        assert_eq!(apply(3, AlertChange::Updated(alert(3, 240))), ["a1"]);
        assert_eq!(status(), "open");
        let actions: Vec<(String, String)> =
            store.actions("a1").expect("read").into_iter().map(|done| (done.actor, done.action)).collect();
        assert_eq!(actions, [("sato".to_owned(), "close".to_owned()), ("mihari".to_owned(), "reopen".to_owned())]);
        assert_eq!(store.deliveries("a1").expect("read")[0].state, "waiting");
        // While it is open, repeats fold.
        assert!(apply(4, AlertChange::Updated(alert(4, 245))).is_empty());
        assert_eq!(store.actions("a1").expect("read").len(), 2);
    }

    #[test]
    fn what_goes_on_is_told_wherever_it_would_be_now_and_is_tried_as_long_as_a_new_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(Standing(AtomicI64::new(200)));
        let store = Store::open(&dir.path().join("s"), clock.clone()).expect("opens");
        let to = |name: &str| Destination {
            name: name.to_owned(),
            tenant: 0,
            slack_webhook: "http://127.0.0.1:9/".to_owned(),
            language: "ja".to_owned(),
        };
        let apply = |mode, destinations: &[Destination], change: AlertChange| {
            let mut modes = rules::Modes::default();
            modes.set("r", None, mode);
            let commit = Commit { position: 1, changes: &[change], destinations, modes: &modes };
            store.apply(&commit, &mut Tally::default()).expect("stored")
        };
        assert!(apply(rules::Mode::Record, &[to("old")], AlertChange::New(alert(1, 150))).is_empty());
        assert_eq!(store.alert(0, "a1").expect("read").expect("there").status, "recorded");
        // Its rule alerts now: what goes on is no longer only recorded.
        assert_eq!(apply(rules::Mode::Alert, &[to("old")], AlertChange::Updated(alert(2, 190))), ["a1"]);
        assert_eq!(store.alert(0, "a1").expect("read").expect("there").status, "open");
        let first = store.due("old").expect("read").expect("due");
        let close = NewAction { action: "close".to_owned(), disposition: Some("benign".to_owned()), ..NewAction::default() };
        let sato = Identity { name: "sato".to_owned(), tenant: 0, token: "t1".to_owned() };
        assert!(store.act(&sato, "a1", &close).expect("done"));
        // Weeks later, while the first message is on its way still.
        clock.0.store(2_000_000, Ordering::Relaxed);
        assert_eq!(apply(rules::Mode::Alert, &[to("old"), to("new")], AlertChange::Updated(alert(3, 1_999_000))), ["a1"]);
        store.delivered(&first, "old", None, None).expect("written");
        for name in ["old", "new"] {
            let due = store.due(name).expect("read").expect("due");
            assert_eq!((due.created, due.attempts), (Time::from_unix_s(2_000_000), 0), "{name}");
        }
    }
}
