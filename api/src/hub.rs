//! From the pipeline to whoever is connected: batches for the live tail, alerts for the inbox. Bounded: who is too slow is told how much
//! was skipped.

use std::sync::{Arc, Mutex};

use event::{Batch, TenantId};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Batches that a slow reader may be behind.
const BATCHES_MAX: usize = 64;
/// Alert changes that a slow reader may be behind.
const ALERTS_MAX: usize = 256;

/// Where live readers subscribe.
#[derive(Clone)]
pub struct Hub {
    batches: broadcast::Sender<Passing>,
    /// Events that have passed, by the number of their tenant. Nobody begins to follow while a batch is given.
    passed: Arc<Mutex<Vec<u64>>>,
    alerts: broadcast::Sender<(u32, String)>,
}

impl Default for Hub {
    fn default() -> Hub {
        Hub { batches: broadcast::Sender::new(BATCHES_MAX), passed: Arc::default(), alerts: broadcast::Sender::new(ALERTS_MAX) }
    }
}

impl Hub {
    /// Whether anybody follows the tail; if not, a batch need not be given.
    pub fn has_tail(&self) -> bool {
        self.batches.receiver_count() > 0
    }

    /// Gives a batch to the tails.
    pub fn publish(&self, batch: Arc<Batch>) {
        if !self.has_tail() {
            return;
        }
        let mut passed = self.passed.lock().expect("no code panics under this lock");
        let before = passed.as_slice().into();
        for event in batch.iter() {
            let tenant = event.tenant().0 as usize;
            if tenant >= passed.len() {
                passed.resize(tenant + 1, 0);
            }
            passed[tenant] += 1;
        }
        if self.batches.send(Passing { batch, before, after: passed.as_slice().into() }).is_err() {
            tracing::debug!("the last tail has gone");
        }
    }

    /// Tells that an alert is new or has changed.
    pub fn alert(&self, tenant: u32, id: &str) {
        if self.alerts.receiver_count() > 0 && self.alerts.send((tenant, id.to_owned())).is_err() {
            tracing::debug!("the last inbox has gone");
        }
    }

    /// Follows what passes of a tenant.
    pub(crate) fn tail(&self, tenant: TenantId) -> Tail {
        let passed = self.passed.lock().expect("no code panics under this lock");
        Tail { batches: self.batches.subscribe(), tenant, passed: of_tenant(&passed, tenant) }
    }

    pub(crate) fn inbox(&self) -> broadcast::Receiver<(u32, String)> {
        self.alerts.subscribe()
    }
}

/// A batch on its way to the tails, with the events of each tenant that had passed before it and have by its end.
#[derive(Clone)]
struct Passing {
    batch: Arc<Batch>,
    before: Arc<[u64]>,
    after: Arc<[u64]>,
}

fn of_tenant(passed: &[u64], tenant: TenantId) -> u64 {
    passed.get(tenant.0 as usize).copied().unwrap_or(0)
}

/// One reader of what passes.
pub(crate) struct Tail {
    batches: broadcast::Receiver<Passing>,
    tenant: TenantId,
    passed: u64,
}

impl Tail {
    /// The next batch, and how many events of the tenant passed unseen before it; none when the program ends.
    pub(crate) async fn next(&mut self) -> Option<(Arc<Batch>, u64)> {
        loop {
            match self.batches.recv().await {
                Ok(Passing { batch, before, after }) => {
                    let missed = of_tenant(&before, self.tenant) - self.passed;
                    self.passed = of_tenant(&after, self.tenant);
                    return Some((batch, missed));
                }
                // The oldest batch that is still there says how many events there were before it.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchBuilder, Content, FrameHead, LogRange, Position, Time, Transport};

    use super::*;

    /// So many events of each of these tenants.
    fn batch(tenants: &[(u32, u64)]) -> Arc<Batch> {
        let mut builder = BatchBuilder::default();
        let mut offset = 0;
        for (tenant, count) in tenants {
            for _ in 0..*count {
                offset += 1;
                let position = Position { partition: 0, offset };
                let head = FrameHead { position, tenant: TenantId(*tenant), ..FrameHead::new(Transport::Udp, Content::Text) };
                builder.row(&head, 0, "a record");
            }
        }
        Arc::new(builder.finish(LogRange { partition: 0, first: 1, last: offset }, Time::EPOCH))
    }

    #[test]
    fn a_slow_tail_is_told_the_events_that_it_missed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let hub = Hub::default();
        let mut first = hub.tail(TenantId(0));
        hub.publish(batch(&[(0, 3), (1, 5)]));
        let mut later = hub.tail(TenantId(1));
        (0..BATCHES_MAX + 10).for_each(|_| hub.publish(batch(&[(0, 7), (1, 2)])));
        let next = |tail: &mut Tail| runtime.block_on(tail.next()).map(|(batch, missed)| (batch.len(), missed));
        assert_eq!(next(&mut first), Some((9, 3 + 10 * 7)));
        assert_eq!(next(&mut first), Some((9, 0)));
        assert_eq!(next(&mut later), Some((9, 10 * 2)));
        drop(hub);
        assert_eq!((2..BATCHES_MAX).map(|_| next(&mut first)).filter(|got| *got == Some((9, 0))).count(), BATCHES_MAX - 2);
        assert_eq!(next(&mut first), None);
    }
}
