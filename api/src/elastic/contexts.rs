//! What stays open between requests: scrolls and points in time, each of which pins the index as it was, and searches whose answers are fetched
//! later. So there are few, and none for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use event::{Clock, Time, hexadecimal};
use index::Snapshot;

use super::aggs::span_ns;
use super::fault::Fault;
use super::later::Later;
use super::search::Scroll;

/// Contexts of one tenant: each may keep merged-away files on the disk.
const OPEN_MAX: usize = 64;
/// Searches of one tenant whose answers are fetched later: each may keep an answer in memory.
const LATER_MAX: usize = 8;
/// The longest that one is kept without being used.
pub(super) const KEEP_MAX: Duration = Duration::from_secs(3600);

/// A context.
#[derive(Clone)]
pub(crate) enum Context {
    /// A point in time.
    Pit(Snapshot),
    /// A search that goes on page by page.
    Scroll(Arc<Scroll>),
    /// A search whose answer is fetched later.
    Later(Arc<Later>),
}

struct Open {
    tenant: u32,
    context: Context,
    keep: Duration,
    ends: Time,
}

/// All that are open.
#[derive(Clone, Default)]
pub(crate) struct Contexts(Arc<Mutex<HashMap<String, Open>>>);

/// How long a context is to be kept: `5m`.
pub(crate) fn keep_alive(text: &str) -> Result<Duration, Fault> {
    let ns = span_ns(text).filter(|ns| *ns > 0);
    let ns = ns.ok_or_else(|| Fault::illegal(format!("[keep_alive] {text:?} is no span of time")))?;
    Ok(Duration::from_nanos(ns as u64).min(KEEP_MAX))
}

impl Contexts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        self.0.lock().expect("no code panics under this lock")
    }

    /// Keeps a context and gives its id.
    pub(crate) fn open(&self, tenant: u32, context: Context, keep: Duration, clock: &Arc<dyn Clock>) -> Result<String, Fault> {
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|e| {
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_exception", format!("no random numbers: {e}"))
        })?;
        let id = hexadecimal(&random);
        let mut all = self.lock();
        let is_later = |context: &Context| matches!(context, Context::Later(_));
        let (most, what) = match is_later(&context) {
            true => (LATER_MAX, "searches in the background"),
            false => (OPEN_MAX, "scrolls and points in time"),
        };
        let same = |open: &&Open| open.tenant == tenant && is_later(&open.context) == is_later(&context);
        if all.values().filter(same).count() >= most {
            let reason = format!("{most} {what} are open, the most there may be: close some");
            return Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, "rejected_execution_exception", reason));
        }
        all.insert(id.clone(), Open { tenant, context, keep, ends: after(clock.now(), keep) });
        drop(all);
        let (contexts, of, clock) = (self.clone(), id.clone(), clock.clone());
        tokio::spawn(async move {
            while let Some(left) = contexts.left(&of, clock.now()) {
                tokio::time::sleep(left).await;
            }
        });
        Ok(id)
    }

    /// How long a context is kept yet; none, and gone, where that is over.
    fn left(&self, id: &str, now: Time) -> Option<Duration> {
        let mut all = self.lock();
        let left = all.get(id)?.ends.since_ns(now);
        if left <= 0 {
            all.remove(id);
            return None;
        }
        Some(Duration::from_nanos(left as u64))
    }

    /// A context of the tenant, which is kept as long again, or as long as `keep` says.
    pub(crate) fn get(&self, tenant: u32, id: &str, keep: Option<Duration>, now: Time) -> Result<Context, Fault> {
        let mut all = self.lock();
        let open = all.get_mut(id).filter(|o| o.tenant == tenant).ok_or_else(|| missing(id))?;
        open.keep = keep.unwrap_or(open.keep);
        open.ends = after(now, open.keep);
        Ok(open.context.clone())
    }

    /// When a context is over, unless it is used.
    pub(crate) fn ends(&self, id: &str) -> Option<Time> {
        self.lock().get(id).map(|open| open.ends)
    }

    /// Goes on with a scroll.
    pub(crate) fn replace(&self, id: &str, context: Context) {
        if let Some(open) = self.lock().get_mut(id) {
            open.context = context;
        }
    }

    /// Ends a context of the tenant; false where there is none.
    pub(crate) fn close(&self, tenant: u32, id: &str) -> bool {
        let mut all = self.lock();
        let ours = all.get(id).is_some_and(|o| o.tenant == tenant);
        ours && all.remove(id).is_some()
    }

    /// Ends all scrolls of the tenant: how many there were.
    pub(crate) fn close_scrolls(&self, tenant: u32) -> usize {
        let mut all = self.lock();
        let before = all.len();
        all.retain(|_, o| o.tenant != tenant || !matches!(o.context, Context::Scroll(_)));
        before - all.len()
    }
}

fn after(now: Time, keep: Duration) -> Time {
    now.plus_ns(i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX))
}

fn missing(id: &str) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "search_context_missing_exception", format!("No search context found for id [{id}]"))
}
