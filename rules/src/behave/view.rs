//! An observation with what was known when it happened.

use super::called::{self, Called};
use super::kind::Class;
use super::knowledge::{Clients, Knowledge, Learnt, Role};
use super::observe::Observation;
use super::{Found, Parameters, Site, site};

/// See the module.
pub(super) struct View<'v> {
    pub(super) o: &'v Observation,
    pub(super) text: &'v str,
    pub(super) site: &'v Site,
    /// Who uses the service at the destination, with this observation; none where it is not known to answer.
    pub(super) service: Option<Clients>,
    /// Whether this observation is the first to show the service at work.
    pub(super) service_is_new: bool,
    /// Sources inside that the tenant has, and since when its connections are watched.
    pub(super) sources_inside: u64,
    pub(super) since: Option<i64>,
    /// What the source is for others; and the destination, where both are inside.
    pub(super) role: Role,
    pub(super) destination_role: Role,
    /// Whether the source is known to answer on the port from which it comes; asked only of connections to ports that few go to outside.
    pub(super) source_serves: bool,
    pub(super) source_inside: bool,
    pub(super) destination_inside: bool,
    /// The destination is no single host; one that is not known may be.
    pub(super) to_many: bool,
}

impl<'v> View<'v> {
    /// What is known with an observation, and its class; learns from it.
    pub(super) fn new(o: &'v Observation, text: &'v str, site: &'v Site, known: &mut Knowledge) -> (View<'v>, Class) {
        let (source_inside, destination_inside) = (site.is_inside(o.source), site.is_inside(o.destination));
        let class = Class::new(o, source_inside, destination_inside);
        let Learnt { service, service_is_new, sources_inside, since } = known.learn(o, source_inside, destination_inside);
        let within = source_inside && destination_inside;
        let view = View {
            o,
            text,
            site,
            service,
            service_is_new,
            sources_inside,
            since,
            role: known.role(o.tenant, o.source),
            destination_role: if within { known.role(o.tenant, o.destination) } else { Role::default() },
            source_serves: class.may_be_of_peers() && known.serves(o.tenant, o.source, o.source_port, o.transport),
            source_inside,
            destination_inside,
            to_many: o.destination != 0 && site::is_many(o.destination),
        };
        (view, class)
    }
}

impl View<'_> {
    pub(super) fn name(&self) -> &str {
        self.o.name.of(self.text)
    }

    pub(super) fn protocol(&self) -> &str {
        self.o.protocol.of(self.text)
    }

    /// Whether both ends, public addresses that nobody named, are of one network: of one organisation, mostly.
    pub(super) fn is_within_one_network(&self) -> bool {
        let network = |address| site::network(address, 16, 32);
        !self.source_inside && network(self.o.source) == network(self.o.destination)
    }

    /// Whether the rule, or the site, expects this.
    pub(super) fn expected(&self, parameters: &Parameters) -> bool {
        let name = self.name();
        parameters.safelist.covers(self.o, name) || self.site.expects(self.o, name)
    }

    /// Of what was found about the destination of a record that names none: says what that is called, and whether it is expected by name.
    /// Asked here, not of each record: the names lie beyond the caches.
    pub(super) fn is_expected_by_answers(&self, found: &mut Found, parameters: &Parameters, called: &Called) -> bool {
        let o = self.o;
        if !o.name.is_empty()
            || o.destination == 0
            || found.group.get("destination.ip").is_none_or(|ip| *ip != site::address(o.destination).to_string())
        {
            return false;
        }
        let (names, all) = called.of(o.tenant, o.destination);
        if names.is_empty() {
            return false;
        }
        found.explain("called", names.join(" "));
        let mail = parameters.kind.is_of_programs() && called::MAIL_BOX_PORTS.contains(&o.port);
        let expected = |name: &str| {
            parameters.safelist.covers_name(name) || self.site.expects_name(name) || mail && called::is_mail_box(name)
        };
        all && names.iter().all(|name| expected(name))
    }
}
