//! What a flow decoder remembers of its exporters: templates, and sets that wait for theirs.
//!
//! The address of a datagram's sender can be forged, so both are bounded in count and bytes, and one exporter has a share. Where the table is
//! full, the exporter goes that has been silent longest, and before all others those that never sent data that a template of theirs could
//! read: who floods templates takes the places of other floods first. Nothing here costs more than the logarithm of what is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use event::Time;

use super::element::native;
use super::{Domain, Field, Held, Template, template_of};

/// Templates of one exporter in all its domains; RFC 3954 has ids from 256, real exporters use a few dozen.
pub(super) const TEMPLATES_PER_EXPORTER_MAX: usize = 1024;
/// Templates in all.
pub(super) const TEMPLATES_MAX: usize = 65_536;
/// Bytes of all templates, by [`cost`]: one of 512 fields costs as much as forty of a router's.
const TEMPLATE_BYTES_MAX: usize = 64 << 20;
/// How long a template lives without being sent or used.
const TEMPLATE_NS_MAX: i64 = 24 * 3600 * 1_000_000_000;
/// Sets held for want of a template, in bytes altogether and of one exporter, each with [`HELD_EXTRA_BYTES`].
const HELD_BYTES_MAX: usize = 64 << 20;
const HELD_BYTES_PER_EXPORTER_MAX: usize = 1 << 20;
/// What a held set costs besides its bytes.
const HELD_EXTRA_BYTES: usize = 256;
/// How long a set is held.
const HELD_NS_MAX: i64 = 600 * 1_000_000_000;

/// What one template costs: its fields, and the steps that they are compiled to.
fn cost(fields: usize) -> usize {
    256 + 64 * fields
}

/// Tenant and address.
pub(super) type Exporter = (u32, IpAddr);

pub(super) fn exporter_of(domain: &Domain) -> Exporter {
    (domain.tenant, domain.exporter)
}

/// Templates by domain and id.
#[derive(Default)]
pub(super) struct Table {
    templates: BTreeMap<(Domain, u16), Template>,
    exporters: BTreeMap<Exporter, Share>,
    /// Whether its data could be read, the second when it was last heard: who goes first is first.
    by_age: BTreeSet<(bool, i64, Exporter)>,
    bytes: usize,
    changes: u64,
}

/// What one exporter has.
struct Share {
    templates: usize,
    proven: bool,
    second: i64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    /// Grows whenever a template comes, goes or becomes another: what was stored of the table is out of date then.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&(Domain, u16), &Template)> {
        self.templates.iter()
    }

    /// Whether there is such a template now; one that has not been heard of for a day is gone.
    pub(super) fn knows(&mut self, domain: Domain, id: u16, now: Time) -> bool {
        let Some(template) = self.templates.get(&(domain, id)) else { return false };
        let alive = now.since_ns(template.seen) < TEMPLATE_NS_MAX;
        if !alive {
            self.remove(domain, id);
        }
        alive
    }

    /// The template, for what stands within data.
    pub(super) fn get(&self, domain: Domain, id: u16) -> Option<&Template> {
        self.templates.get(&(domain, id))
    }

    /// The template, for data that came at `now`.
    pub(super) fn used(&mut self, domain: Domain, id: u16, now: Time) -> Option<Template> {
        let template = self.templates.get_mut(&(domain, id))?;
        template.seen = template.seen.max(now);
        let template = template.clone();
        self.heard(exporter_of(&domain), now, true);
        Some(template)
    }

    /// Learns a template. False where its records would have no bytes.
    pub(super) fn learn(&mut self, domain: Domain, id: u16, mut fields: Vec<Field>, options: bool, now: Time) -> bool {
        let exporter = exporter_of(&domain);
        if !options {
            fields.iter_mut().for_each(|field| field.native = native(field.enterprise, field.element, field.length));
        }
        if let Some(known) = self.templates.get_mut(&(domain, id)) {
            // Sent again, as exporters do each few minutes.
            if *known.fields == *fields && known.options == options {
                known.seen = known.seen.max(now);
                self.heard(exporter, now, false);
                return true;
            }
            self.remove(domain, id);
        }
        let Some(template) = template_of(fields, options, now) else { return false };
        self.insert(domain, id, template, now);
        true
    }

    /// Puts in a template that is not there.
    pub(super) fn insert(&mut self, domain: Domain, id: u16, template: Template, now: Time) {
        let exporter = exporter_of(&domain);
        if self.exporters.get(&exporter).is_some_and(|share| share.templates >= TEMPLATES_PER_EXPORTER_MAX) {
            self.halve(exporter);
        }
        let bytes = cost(template.fields.len());
        while self.templates.len() >= TEMPLATES_MAX || self.bytes + bytes > TEMPLATE_BYTES_MAX {
            let Some((.., oldest)) = self.by_age.first().copied() else { break };
            self.forget(oldest);
        }
        self.bytes += bytes;
        self.templates.insert((domain, id), template);
        self.changes += 1;
        let second = now.unix_s();
        let share = self.exporters.entry(exporter).or_insert_with(|| {
            self.by_age.insert((false, second, exporter));
            Share { templates: 0, proven: false, second }
        });
        share.templates += 1;
        self.heard(exporter, now, false);
    }

    pub(super) fn remove(&mut self, domain: Domain, id: u16) {
        let Some(template) = self.templates.remove(&(domain, id)) else { return };
        self.bytes -= cost(template.fields.len());
        self.changes += 1;
        let exporter = exporter_of(&domain);
        if let Some(share) = self.exporters.get_mut(&exporter) {
            share.templates -= 1;
            if share.templates == 0 {
                self.by_age.remove(&(share.proven, share.second, exporter));
                self.exporters.remove(&exporter);
            }
        }
    }

    /// Forgets all templates of a domain, those of options or the others.
    pub(super) fn remove_all(&mut self, domain: Domain, options: bool) {
        let of_domain = self.templates.range((domain, 0)..=(domain, u16::MAX));
        let ids: Vec<u16> = of_domain.filter(|(_, template)| template.options == options).map(|((_, id), _)| *id).collect();
        for id in ids {
            self.remove(domain, id);
        }
    }

    /// The exporter was heard at `now`; its place in the order changes once a second at most.
    fn heard(&mut self, exporter: Exporter, now: Time, data: bool) {
        let Some(share) = self.exporters.get_mut(&exporter) else { return };
        let (proven, second) = (share.proven || data, share.second.max(now.unix_s()));
        if (proven, second) != (share.proven, share.second) {
            self.by_age.remove(&(share.proven, share.second, exporter));
            (share.proven, share.second) = (proven, second);
            self.by_age.insert((proven, second, exporter));
        }
    }

    fn ids_of(&self, exporter: Exporter) -> Vec<(Domain, u16, Time)> {
        let (tenant, address) = exporter;
        let least = Domain { tenant, exporter: address, listener: 0, version: 0, id: 0 };
        let most = Domain { listener: u16::MAX, version: u16::MAX, id: u32::MAX, ..least };
        self.templates.range((least, 0)..=(most, u16::MAX)).map(|((domain, id), t)| (*domain, *id, t.seen)).collect()
    }

    /// Forgets all templates of an exporter.
    fn forget(&mut self, exporter: Exporter) {
        let ids = self.ids_of(exporter);
        metrics::counter!("mihari_flow_templates_evicted_total", "reason" => "table_full").increment(ids.len() as u64);
        for (domain, id, _) in ids {
            self.remove(domain, id);
        }
    }

    /// Forgets the half of an exporter's templates that has not been heard of longest: half, so that a flood pays for the search.
    fn halve(&mut self, exporter: Exporter) {
        let mut ids = self.ids_of(exporter);
        ids.sort_by_key(|(domain, id, seen)| (*seen, *domain, *id));
        let half = ids.len() / 2;
        metrics::counter!("mihari_flow_templates_evicted_total", "reason" => "share_of_exporter").increment(half as u64);
        for (domain, id, _) in ids.into_iter().take(half) {
            self.remove(domain, id);
        }
    }
}

/// Sets that wait for their template.
#[derive(Default)]
pub(super) struct Waiting {
    sets: BTreeMap<u64, Held>,
    /// In the order of receipt, so that what has waited longest stands first.
    by_template: BTreeMap<(Domain, u16), VecDeque<u64>>,
    bytes_of: BTreeMap<Exporter, usize>,
    bytes: usize,
    next: u64,
}

impl Waiting {
    /// Takes a set whose template has not come in time. In the order of receipt, which never goes back.
    pub(super) fn expired(&mut self, now: Time) -> Option<Held> {
        let entry = self.sets.first_entry().filter(|oldest| now.since_ns(oldest.get().head.received) >= HELD_NS_MAX)?;
        let oldest = entry.remove();
        self.given_back(&oldest);
        let key = (oldest.domain, oldest.template);
        if let Some(numbers) = self.by_template.get_mut(&key) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_template.remove(&key);
            }
        }
        Some(oldest)
    }

    /// Holds a set. False where a bound does not allow it.
    pub(super) fn push(&mut self, held: Held) -> bool {
        let bytes = held.bytes.len() + HELD_EXTRA_BYTES;
        let of_exporter = self.bytes_of.entry(exporter_of(&held.domain)).or_default();
        if self.bytes + bytes > HELD_BYTES_MAX || *of_exporter + bytes > HELD_BYTES_PER_EXPORTER_MAX {
            if *of_exporter == 0 {
                self.bytes_of.remove(&exporter_of(&held.domain));
            }
            return false;
        }
        *of_exporter += bytes;
        self.bytes += bytes;
        self.by_template.entry((held.domain, held.template)).or_default().push_back(self.next);
        self.sets.insert(self.next, held);
        self.next += 1;
        true
    }

    /// Takes the sets that waited for a template, in their order.
    pub(super) fn take(&mut self, domain: Domain, id: u16) -> Vec<Held> {
        let numbers = self.by_template.remove(&(domain, id)).unwrap_or_default();
        let taken: Vec<Held> = numbers.iter().filter_map(|number| self.sets.remove(number)).collect();
        for held in &taken {
            self.given_back(held);
        }
        taken
    }

    fn given_back(&mut self, held: &Held) {
        let bytes = held.bytes.len() + HELD_EXTRA_BYTES;
        self.bytes -= bytes;
        let exporter = exporter_of(&held.domain);
        if let Some(of_exporter) = self.bytes_of.get_mut(&exporter) {
            *of_exporter -= bytes;
            if *of_exporter == 0 {
                self.bytes_of.remove(&exporter);
            }
        }
    }
}
