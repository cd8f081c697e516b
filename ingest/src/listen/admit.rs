//! Who may send, how much, and for whom: an allow list of prefixes, a quota of records for each sender, and what differs for some of them.

use std::collections::HashMap;
use std::net::IpAddr;

use event::{TenantId, Time};
use ipnet::IpNet;

/// Senders whose quota is kept apart; beyond it those that are not known share one quota, so that a flood of forged addresses gets one
/// sender's share and those known before keep theirs.
const SENDERS_MAX: usize = 65_536;
/// Parts of a record that a quota is kept in.
const PARTS: i64 = 1_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// Who may send to a listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// The prefixes that may send; empty: everybody.
    pub allow: Vec<IpNet>,
    /// Records a second and sender, with a burst of one second; none: no quota.
    pub records_per_second: Option<u32>,
    /// What differs for certain senders; the longest prefix wins.
    pub senders: Vec<Sender>,
}

/// What differs for the senders of a prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    /// The prefix.
    pub cidr: IpNet,
    /// Whose their records are, where it is another than the listener's.
    pub tenant: Option<TenantId>,
    /// Their quota, where it is another.
    pub records_per_second: Option<u32>,
}

/// Why a record is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    NotAllowed,
    OverQuota,
}

impl Refusal {
    /// As the ledger and the metrics have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refusal::NotAllowed => "not_allowed",
            Refusal::OverQuota => "over_quota",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    parts: i64,
    at: Time,
}

/// The state of an [`Admission`].
#[derive(Debug)]
pub(super) struct Gate {
    admission: Admission,
    buckets: HashMap<IpAddr, Bucket>,
    others: Bucket,
    /// When buckets of those who no longer send were last given back.
    swept: Time,
}

impl Gate {
    pub(super) fn new(admission: &Admission) -> Gate {
        let mut admission = admission.clone();
        admission.senders.sort_by_key(|sender| std::cmp::Reverse(sender.cidr.prefix_len()));
        Gate { admission, buckets: HashMap::new(), others: Bucket { parts: 0, at: Time::UNKNOWN }, swept: Time::UNKNOWN }
    }

    pub(super) fn allows(&self, ip: IpAddr) -> bool {
        self.admission.allow.is_empty() || self.admission.allow.iter().any(|net| net.contains(&ip.to_canonical()))
    }

    /// What differs for `ip`.
    fn sender(&self, ip: IpAddr) -> Option<&Sender> {
        self.admission.senders.iter().find(|sender| sender.cidr.contains(&ip.to_canonical()))
    }

    /// Whose records those of `ip` are; none: the listener's tenant's.
    pub(super) fn tenant(&self, ip: IpAddr) -> Option<TenantId> {
        self.sender(ip)?.tenant
    }

    /// Records a second of `ip`; none: as many as come.
    fn rate(&self, ip: IpAddr) -> Option<u32> {
        self.sender(ip).and_then(|sender| sender.records_per_second).or(self.admission.records_per_second)
    }

    /// Whether a record of `ip` is taken at `now`.
    pub(super) fn admit(&mut self, ip: IpAddr, now: Time) -> Result<(), Refusal> {
        if !self.allows(ip) {
            return Err(Refusal::NotAllowed);
        }
        let Some(rate) = self.rate(ip) else { return Ok(()) };
        let bucket = self.bucket(ip, now, rate);
        if bucket.parts < PARTS {
            return Err(Refusal::OverQuota);
        }
        bucket.parts -= PARTS;
        Ok(())
    }

    /// Takes `records` that are here already, and gives how many nanoseconds the next should wait.
    pub(super) fn charge(&mut self, ip: IpAddr, now: Time, records: usize) -> u64 {
        let Some(rate) = self.rate(ip) else { return 0 };
        let bucket = self.bucket(ip, now, rate);
        bucket.parts = bucket.parts.saturating_sub(PARTS.saturating_mul(records as i64));
        bucket.parts.min(0).unsigned_abs() / u64::from(rate.max(1))
    }

    fn bucket(&mut self, ip: IpAddr, now: Time, rate: u32) -> &mut Bucket {
        let burst = i64::from(rate) * PARTS;
        let full = Bucket { parts: burst, at: now };
        // Looked through once a second at most: under a flood of forged addresses each datagram would cost a look at all buckets else.
        if self.buckets.len() >= SENDERS_MAX && now.since_ns(self.swept) >= SECOND_NS && !self.buckets.contains_key(&ip) {
            self.swept = now;
            // Whoever has not sent for a second has a full bucket, which is as good as none.
            self.buckets.retain(|_, bucket| now.since_ns(bucket.at) < SECOND_NS);
        }
        let bucket = if self.buckets.len() >= SENDERS_MAX && !self.buckets.contains_key(&ip) {
            if self.others.at == Time::UNKNOWN {
                self.others = full;
            }
            &mut self.others
        } else {
            self.buckets.entry(ip).or_insert(full)
        };
        let passed = now.since_ns(bucket.at).clamp(0, 60 * 1_000_000_000);
        bucket.parts = bucket.parts.saturating_add(passed.saturating_mul(i64::from(rate))).min(burst);
        bucket.at = now;
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_unix_s(1_000_000).plus_ns(ms * 1_000_000)
    }

    #[test]
    fn a_sender_gets_its_quota_and_no_more() {
        let mut gate = Gate::new(&Admission { records_per_second: Some(10), ..Admission::default() });
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let taken = |gate: &mut Gate, ip, ms| (0..100).filter(|_| gate.admit(ip, at(ms)).is_ok()).count();
        assert_eq!(taken(&mut gate, a, 0), 10);
        assert_eq!(taken(&mut gate, a, 100), 1);
        assert_eq!(taken(&mut gate, b, 100), 10, "the quota is each sender's own");
        assert_eq!(taken(&mut gate, a, 60_000), 10, "no more than a second's burst is saved up");
        assert_eq!(gate.charge(a, at(60_000), 20), 2_000_000_000);
    }

    #[test]
    fn a_flood_of_forged_addresses_gets_one_share_and_no_memory() {
        let mut gate = Gate::new(&Admission { records_per_second: Some(10), ..Admission::default() });
        let known: IpAddr = [192, 0, 2, 1].into();
        assert_eq!(gate.admit(known, at(0)), Ok(()));
        let taken = (0..200_000u32).filter(|n| gate.admit(IpAddr::from(n.to_be_bytes()), at(1)).is_ok()).count();
        assert!(gate.buckets.len() <= SENDERS_MAX);
        assert_eq!(taken, SENDERS_MAX - 1 + 10);
        assert_eq!(gate.admit(known, at(1)), Ok(()));
    }

    #[test]
    fn the_longest_prefix_says_what_differs_for_a_sender() {
        let sender = |cidr: &str, tenant: Option<u32>, records_per_second| Sender {
            cidr: cidr.parse().expect("a prefix"),
            tenant: tenant.map(TenantId),
            records_per_second,
        };
        let senders = vec![
            sender("10.0.0.0/8", Some(1), None),
            sender("10.1.0.0/16", None, Some(3)),
            sender("10.1.2.0/24", Some(2), Some(5)),
            sender("2001:db8::/32", Some(3), None),
        ];
        let mut gate = Gate::new(&Admission { records_per_second: Some(10), senders, ..Admission::default() });
        for (ip, tenant, quota) in [
            ("10.9.9.9", Some(1), 10),
            ("10.1.9.9", None, 3),
            ("10.1.2.3", Some(2), 5),
            ("::ffff:10.1.2.4", Some(2), 5),
            ("2001:db8::1", Some(3), 10),
            ("192.0.2.1", None, 10),
        ] {
            let ip: IpAddr = ip.parse().expect("an address");
            let taken = (0..100).filter(|_| gate.admit(ip, at(0)).is_ok()).count();
            assert_eq!((gate.tenant(ip), taken), (tenant.map(TenantId), quota), "{ip}");
        }
    }

    #[test]
    fn only_listed_prefixes_may_send() {
        let allow = vec!["10.0.0.0/8".parse().expect("a prefix"), "2001:db8::/32".parse().expect("a prefix")];
        let mut gate = Gate::new(&Admission { allow, ..Admission::default() });
        for (ip, expected) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("2001:db8::1", true), ("192.0.2.1", false), ("::1", false)]
        {
            let got = gate.admit(ip.parse().expect("an address"), at(0));
            assert_eq!(got, if expected { Ok(()) } else { Err(Refusal::NotAllowed) }, "{ip}");
        }
    }
}
