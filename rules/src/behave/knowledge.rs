//! What is learnt of the network by watching it: which services answer, and to how many; how many sources there are.

use serde::{Deserialize, Serialize};

use super::observe::{Answer, Observation, What};
use super::ports::Ports;
use super::sketch::{Distinct, mix};
use crate::table::Table;

/// Ports on which proxies listen.
pub(super) const PROXY_PORTS: Ports = Ports::new(&[3128, 8080, 8000, 8888, 1080]);
/// Ports on which mail servers take mail.
const MAIL_PORTS: Ports = Ports::new(&[25, 465, 587]);
/// Clients from inside from which on a host that listens on such a port is taken for a proxy, one on DNS's for a resolver.
pub(super) const ROLE_CLIENTS_MIN: u64 = 5;
/// Services that are remembered.
const SERVICES_MAX: usize = 500_000;
/// How long a service is remembered after its last use.
const REMEMBERED_NS: i64 = 30 * 86_400 * 1_000_000_000;
/// Hosts that are something for others, remembered.
const ROLES_MAX: usize = 20_000;
/// Tenants whose sources are counted.
const TENANTS_MAX: usize = 10_000;

/// A service: host, port and protocol, and who uses it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Service {
    /// Those who stand inside.
    inside_clients: Distinct<64, 8>,
    /// Those who do not, or of whom that is not known.
    outside_clients: Distinct<64, 8>,
}

impl Service {
    fn clients(&self) -> Clients {
        Clients { inside: self.inside_clients.count(), outside: self.outside_clients.count() }
    }
}

/// How many use a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) inside: u64,
    pub(super) outside: u64,
}

impl Clients {
    pub(super) fn all(self) -> u64 {
        self.inside + self.outside
    }
}

/// What is known once an observation has been learnt from.
pub(super) struct Learnt {
    /// Who uses the service that it is about, if that is known to answer.
    pub(super) service: Option<Clients>,
    /// Whether it was not known to before.
    pub(super) service_is_new: bool,
    /// Sources inside that the tenant has.
    pub(super) sources_inside: u64,
    /// Since when the tenant's connections are watched.
    pub(super) since: Option<i64>,
}

/// What a host is for others: what it does itself they may have asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Role {
    pub(super) proxy: bool,
    pub(super) resolver: bool,
    pub(super) mail: bool,
    /// It serves many from inside, whatever the port.
    pub(super) server: bool,
}

type Key = (u32, u128, u16, u8);

/// See the module.
#[derive(Deserialize, Serialize)]
pub(super) struct Knowledge {
    services: Table<Key, Service>,
    roles: Table<(u32, u128), Role>,
    sources: Table<u32, Sources>,
}

#[derive(Default, Deserialize, Serialize)]
struct Sources {
    inside: Distinct<1024, 12>,
    since: Option<i64>,
}

impl Default for Knowledge {
    fn default() -> Knowledge {
        Knowledge { services: Table::new(SERVICES_MAX), roles: Table::new(ROLES_MAX), sources: Table::new(TENANTS_MAX) }
    }
}

impl Knowledge {
    /// Changes how many services, and hosts that are something for others, are remembered.
    pub(super) fn bound(&mut self, max: usize) {
        self.services.bound(max);
        self.roles.bound(max);
    }

    /// Learns from an observation.
    pub(super) fn learn(&mut self, o: &Observation, source_inside: bool, destination_inside: bool) -> Learnt {
        let source = mix(o.source);
        let sources = self.sources.entry(o.tenant, o.time);
        if o.what == What::Flow {
            sources.since = sources.since.or(Some(o.time));
        }
        if source_inside {
            sources.inside.insert(source);
        }
        let (sources_inside, since) = (sources.inside.count(), sources.since);
        let key = (o.tenant, o.destination, o.port, o.transport);
        if o.what != What::Flow || o.destination == 0 || o.answer != Answer::Yes {
            let service = self.services.get(&key).map(Service::clients);
            return Learnt { service, service_is_new: false, sources_inside, since };
        }
        self.services.expire(o.time.saturating_sub(REMEMBERED_NS));
        let service = self.services.entry(key, o.time);
        let service_is_new = service.inside_clients.is_empty() && service.outside_clients.is_empty();
        if source_inside {
            service.inside_clients.insert(source);
        } else {
            service.outside_clients.insert(source);
        }
        let clients = service.clients();
        let many = clients.inside >= ROLE_CLIENTS_MIN;
        let tcp = o.transport == 6;
        let new = Role {
            proxy: tcp && PROXY_PORTS.contains(o.port) && many,
            resolver: o.port == 53 && matches!(o.transport, 6 | 17) && many,
            mail: tcp && MAIL_PORTS.contains(o.port),
            server: many && destination_inside,
        };
        if new.proxy || new.resolver || new.mail || new.server {
            self.roles.expire(o.time.saturating_sub(REMEMBERED_NS));
            let role = self.roles.entry((o.tenant, o.destination), o.time);
            role.proxy |= new.proxy;
            role.resolver |= new.resolver;
            role.mail |= new.mail;
            role.server |= new.server;
        }
        Learnt { service: Some(clients), service_is_new, sources_inside, since }
    }

    /// Reads the services that observations are about, see [`Table::warm`].
    pub(super) fn warm(&self, of: &[(&Observation, &str)]) -> u64 {
        let keys = of.iter().map(|(o, _)| (o.tenant, o.destination, o.port, o.transport));
        self.services.warm(keys, |nth, service| service.inside_clients.read(mix(of[nth].0.source)))
    }

    /// What a host is for others.
    pub(super) fn role(&self, tenant: u32, host: u128) -> Role {
        self.roles.get(&(tenant, host)).copied().unwrap_or_default()
    }

    /// Whether a host is known to answer on a port.
    pub(super) fn serves(&self, tenant: u32, host: u128, port: u16, transport: u8) -> bool {
        self.services.get(&(tenant, host, port, transport)).is_some()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.services.evicted() + self.roles.evicted() + self.sources.evicted()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.services.byte_len() + self.roles.byte_len() + self.sources.byte_len()
    }
}
