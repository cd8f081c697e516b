//! What exporters tell of themselves in options records, by exporter and domain.
//!
//! Whoever forges addresses can tell much: one exporter has a share, and where there is no room the exporter goes that told its things longest
//! ago.

use std::collections::{BTreeMap, BTreeSet};

use event::Time;

use super::Domain;
use super::table::{Exporter, exporter_of};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of one exporter.
    pub(super) exporter_max: usize,
    /// In all.
    pub(super) max: usize,
    /// The metric that counts what one exporter told beyond its share.
    pub(super) refused: &'static str,
}

/// The values of one domain.
pub(super) type Of<K, V> = BTreeMap<K, V>;

/// Values by what they are of.
pub(super) struct Kept<K, V> {
    bounds: Bounds,
    domains: BTreeMap<Domain, Of<K, V>>,
    /// When an exporter told something last, in seconds, and how much is kept of it.
    exporters: BTreeMap<Exporter, (i64, usize)>,
    by_age: BTreeSet<(i64, Exporter)>,
    count: usize,
    changes: u64,
}

impl<K: Copy + Ord, V: PartialEq> Kept<K, V> {
    pub(super) fn new(bounds: Bounds) -> Kept<K, V> {
        let (domains, exporters, by_age) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Kept { bounds, domains, exporters, by_age, count: 0, changes: 0 }
    }

    pub(super) fn of(&self, domain: Domain) -> Option<&Of<K, V>> {
        self.domains.get(&domain)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Domain, &Of<K, V>)> {
        self.domains.iter()
    }

    /// Grows whenever something is told that was not known.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn learn(&mut self, domain: Domain, of: K, value: V, now: Time) {
        let (exporter, second) = (exporter_of(&domain), now.unix_s());
        let known = self.domains.get(&domain).and_then(|values| values.get(&of));
        let (is_new, is_change) = (known.is_none(), known != Some(&value));
        let (told, count) = self.exporters.get(&exporter).copied().unwrap_or((second, 0));
        if is_new && count >= self.bounds.exporter_max {
            metrics::counter!(self.bounds.refused).increment(1);
            return;
        }
        while is_new && self.count >= self.bounds.max {
            let Some((_, oldest)) = self.by_age.first().copied() else { break };
            self.forget(oldest);
        }
        self.changes += u64::from(is_change);
        self.domains.entry(domain).or_default().insert(of, value);
        self.count += usize::from(is_new);
        self.by_age.remove(&(told, exporter));
        self.by_age.insert((second.max(told), exporter));
        self.exporters.insert(exporter, (second.max(told), count + usize::from(is_new)));
    }

    /// Forgets what was told of one thing.
    pub(super) fn unlearn(&mut self, domain: Domain, of: K) {
        let Some(values) = self.domains.get_mut(&domain) else { return };
        if values.remove(&of).is_none() {
            return;
        }
        if values.is_empty() {
            self.domains.remove(&domain);
        }
        (self.count, self.changes) = (self.count - 1, self.changes + 1);
        let exporter = exporter_of(&domain);
        if let Some((told, count)) = self.exporters.remove(&exporter) {
            if count > 1 {
                self.exporters.insert(exporter, (told, count - 1));
            } else {
                self.by_age.remove(&(told, exporter));
            }
        }
    }

    fn forget(&mut self, exporter: Exporter) {
        let Some((second, count)) = self.exporters.remove(&exporter) else { return };
        self.by_age.remove(&(second, exporter));
        self.count -= count;
        let (tenant, address) = exporter;
        let least = Domain { tenant, exporter: address, listener: 0, version: 0, id: 0 };
        let most = Domain { listener: u16::MAX, version: u16::MAX, id: u32::MAX, ..least };
        let domains: Vec<Domain> = self.domains.range(least..=most).map(|(domain, _)| *domain).collect();
        for domain in domains {
            self.domains.remove(&domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { exporter_max: 50, max: 1000, refused: "refused" };

    #[test]
    fn forged_exporters_take_only_the_oldest_places() {
        let mut kept = Kept::new(BOUNDS);
        let domain = |exporter: u32, id| Domain {
            tenant: 0,
            exporter: std::net::Ipv4Addr::from(exporter).into(),
            listener: 0,
            version: 9,
            id,
        };
        for n in 0..3 * BOUNDS.max as u32 {
            kept.learn(domain(n, 0), 0, 2, Time::from_unix_s(n.into()));
        }
        assert_eq!((kept.count, kept.exporters.len(), kept.by_age.len()), (BOUNDS.max, BOUNDS.max, BOUNDS.max));
        assert!(kept.of(domain(0, 0)).is_none() && kept.of(domain(3 * BOUNDS.max as u32 - 1, 0)).is_some());
        for n in 0..2 * BOUNDS.exporter_max {
            kept.learn(domain(9, 1), n, 2, Time::from_unix_s(1 << 20));
        }
        // What is taken back leaves nothing behind.
        let before = (kept.count, kept.exporters.len(), kept.by_age.len());
        kept.unlearn(domain(9, 7), 0);
        kept.learn(domain(9, 2), 0, 2, Time::from_unix_s(1 << 21));
        assert_eq!(kept.count, before.0);
        for n in 0..BOUNDS.exporter_max {
            kept.unlearn(domain(9, 1), n);
        }
        assert_eq!((kept.of(domain(9, 1)), kept.count), (None, before.0 - BOUNDS.exporter_max));
        assert_eq!((kept.exporters.len(), kept.by_age.len()), (before.1 - 1, before.2 - 1));
        for n in 0..2 * BOUNDS.exporter_max {
            kept.learn(domain(9, 1), n, 2, Time::from_unix_s(1 << 22));
        }
        assert_eq!(kept.of(domain(9, 1)).map(BTreeMap::len), Some(BOUNDS.exporter_max));
    }

    #[test]
    fn what_is_told_again_is_no_change() {
        let mut kept = Kept::new(BOUNDS);
        let domain = Domain { tenant: 0, exporter: std::net::Ipv4Addr::LOCALHOST.into(), listener: 0, version: 9, id: 0 };
        let changes = [(1, "a"), (1, "a"), (2, "a"), (2, "b")].map(|(of, value)| {
            kept.learn(domain, of, value, Time::EPOCH);
            kept.changes()
        });
        assert_eq!(changes, [1, 1, 2, 3]);
    }
}
