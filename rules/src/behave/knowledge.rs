//! What is learnt of the network by watching it: which services answer, and to how many; how many sources there are.

use serde::{Deserialize, Serialize};

use super::observe::{Answer, Observation, What};
use super::sketch::{Distinct, mix};
use super::table::Table;

/// Services that are remembered.
const SERVICES_MAX: usize = 500_000;
/// How long a service is remembered after its last use.
const REMEMBERED_NS: i64 = 30 * 86_400 * 1_000_000_000;
/// Tenants whose sources are counted.
const TENANTS_MAX: usize = 10_000;

/// A service: host, port and protocol, and who uses it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Service {
    pub(super) clients: Distinct<64, 8>,
    /// Those of them that stand inside.
    pub(super) inside_clients: Distinct<64, 8>,
}

type Key = (u32, u128, u16, u8);

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Knowledge {
    services: Table<Key, Service>,
    sources: Table<u32, Sources>,
}

#[derive(Default, Deserialize, Serialize)]
struct Sources {
    inside: Distinct<1024, 12>,
    since: Option<i64>,
}

impl Default for Knowledge {
    fn default() -> Knowledge {
        Knowledge { services: Table::new(SERVICES_MAX), sources: Table::new(TENANTS_MAX) }
    }
}

impl Knowledge {
    /// Learns from an observation. Says whether the service was not known to answer before.
    pub(super) fn learn(&mut self, o: &Observation, source_inside: bool) -> bool {
        let source = mix(o.source);
        let sources = self.sources.entry(o.tenant, o.time);
        if o.what == What::Flow {
            sources.since = sources.since.or(Some(o.time));
        }
        if source_inside {
            sources.inside.insert(source);
        }
        if o.what != What::Flow || o.destination == 0 || o.answer != Answer::Yes {
            return false;
        }
        self.services.expire(o.time.saturating_sub(REMEMBERED_NS));
        let service = self.services.entry(key(o), o.time);
        let is_new = service.clients.count() == 0;
        service.clients.insert(source);
        if source_inside {
            service.inside_clients.insert(source);
        }
        is_new
    }

    /// The service that the observation is about, if it is known to answer.
    pub(super) fn service(&self, o: &Observation) -> Option<&Service> {
        self.services.get(&key(o))
    }

    /// How many hosts inside a service has answered.
    pub(super) fn clients_inside(&self, tenant: u32, host: u128, port: u16, transport: u8) -> u64 {
        self.services.get(&(tenant, host, port, transport)).map_or(0, |service| service.inside_clients.count())
    }

    /// Sources inside that the tenant has.
    pub(super) fn sources_inside(&self, tenant: u32) -> u64 {
        self.sources.get(&tenant).map_or(0, |sources| sources.inside.count())
    }

    /// Since when the tenant's connections are watched.
    pub(super) fn since(&self, tenant: u32) -> Option<i64> {
        self.sources.get(&tenant)?.since
    }

    pub(super) fn evicted(&self) -> u64 {
        self.services.evicted() + self.sources.evicted()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.services.byte_len() + self.sources.byte_len()
    }
}

fn key(o: &Observation) -> Key {
    (o.tenant, o.destination, o.port, o.transport)
}
