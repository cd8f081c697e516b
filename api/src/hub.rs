//! From the pipeline to whoever is connected: batches for the live tail, alerts for the inbox. Bounded: who is too slow is told how much
//! was skipped.

use std::sync::Arc;

use event::Batch;
use tokio::sync::broadcast;

/// Batches that a slow reader may be behind.
const BATCHES_MAX: usize = 64;
/// Alert changes that a slow reader may be behind.
const ALERTS_MAX: usize = 256;

/// Where live readers subscribe.
#[derive(Clone)]
pub struct Hub {
    batches: broadcast::Sender<Arc<Batch>>,
    alerts: broadcast::Sender<(u32, String)>,
}

impl Default for Hub {
    fn default() -> Hub {
        Hub { batches: broadcast::Sender::new(BATCHES_MAX), alerts: broadcast::Sender::new(ALERTS_MAX) }
    }
}

impl Hub {
    /// Whether anybody follows the tail; if not, a batch need not be given.
    pub fn has_tail(&self) -> bool {
        self.batches.receiver_count() > 0
    }

    /// Gives a batch to the tails.
    pub fn publish(&self, batch: Arc<Batch>) {
        if self.has_tail() && self.batches.send(batch).is_err() {
            tracing::debug!("the last tail has gone");
        }
    }

    /// Tells that an alert is new or has changed.
    pub fn alert(&self, tenant: u32, id: &str) {
        if self.alerts.receiver_count() > 0 && self.alerts.send((tenant, id.to_owned())).is_err() {
            tracing::debug!("the last inbox has gone");
        }
    }

    pub(crate) fn tail(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.batches.subscribe()
    }

    pub(crate) fn inbox(&self) -> broadcast::Receiver<(u32, String)> {
        self.alerts.subscribe()
    }
}
