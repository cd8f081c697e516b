//! Flow and firewall records, and how they are run under a policy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use event::{BatchBuilder, Content, FieldId, FrameHead, LogRange, LogSource, LogSourceId, Position, Time, Transport};
use rules::alert::{Alert, AlertChange};
use rules::policy::{Policy, Verdict};
use rules::{Behaviour, BehaviourOptions, LoadOptions, Observed, RuleSet, Site, load, pack};

pub(crate) const LATENESS_S: i64 = 30;
/// 2026-04-01T09:00:00+09:00.
pub(crate) const START_S: i64 = 1_775_001_600;

pub(crate) const POLICY: &str = "
model: alpha
zones:
  mynumber:  {cidr: [10.1.0.0/16], clause: \"6(3)①\"}
  lgwan:     {cidr: [10.2.0.0/16], clause: \"6(3)②\"}
  internet:  {cidr: [10.3.0.0/16], clause: \"6(3)③\"}
  sanitiser: {cidr: [10.9.1.0/24]}
  seccloud:  {cidr: [172.20.0.0/16]}
  outside:   {rest: true}
default: deny
allow:
  - {from: lgwan, to: sanitiser, service: [tcp/443]}
  - {from: sanitiser, to: internet, service: [tcp/443]}
  - {from: internet, to: seccloud, service: [tcp/8080, udp/53]}
  - {from: seccloud, to: outside, service: [tcp/443]}
exceptions:
  - {from: mynumber, to: lgwan, service: [tcp/1433], src: 10.1.5.10, dst: 10.2.8.4, owner: o, ticket: R8-014, until: 2026-04-01}
must_deny:
  - {from: mynumber, to: [internet, outside, seccloud]}
  - {from: lgwan, to: [internet, outside, seccloud], unless_via: sanitiser}
";

/// A flow or firewall record: milliseconds from the start at which it happened, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) ms: i64,
    pub(crate) start_ms: i64,
    pub(crate) delay_ms: i64,
    /// Whether it says that it ended when it was told.
    pub(crate) ends: bool,
    pub(crate) from: (&'static str, u16),
    pub(crate) to: (&'static str, u16),
    pub(crate) transport: &'static str,
    /// One way of two, with these flags.
    pub(crate) flags: Option<i64>,
    pub(crate) denied: bool,
    pub(crate) sensor: u8,
    pub(crate) bytes: i64,
    /// The terminal for which it is, and the file that it carries, where it says so.
    pub(crate) behalf: &'static str,
    /// The address and port to which its source was translated, where it was; 0 for a port that it does not say.
    pub(crate) seen_as: (&'static str, u16),
    /// Where its destination really is, where that was translated.
    pub(crate) really: (&'static str, u16),
    /// It tells only that it begins.
    pub(crate) begins: bool,
    pub(crate) file: &'static str,
    /// The host that a proxy was asked for, where the record does not say with whom the proxy spoke.
    pub(crate) asked: &'static str,
}

/// A firewall that writes flags of the packets that it decides on.
pub(crate) const FIREWALL: u8 = 9;

pub(crate) fn flow(ms: i64, from: (&'static str, u16), to: (&'static str, u16)) -> Record {
    let (flags, behalf, seen_as, file) = (None, "", ("", 0), "");
    Record {
        ms,
        start_ms: ms,
        delay_ms: 0,
        ends: false,
        from,
        to,
        transport: "tcp",
        flags,
        denied: false,
        sensor: 1,
        bytes: 900,
        behalf,
        seen_as,
        really: ("", 0),
        begins: false,
        file,
        asked: "",
    }
}

pub(crate) fn rules_of(what: &[&str]) -> Arc<RuleSet> {
    let files: Vec<_> = pack()
        .iter()
        .filter(|(name, _)| what.iter().any(|w| *name == format!("pack/{w}/rule.yml")))
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    assert_eq!(files.len(), what.len(), "each is shipped");
    let (set, problems) = load(&files, &LoadOptions::default());
    assert_eq!(problems, []);
    Arc::new(set)
}

pub(crate) fn fill(builder: &mut BatchBuilder, offset: u64, record: &Record) {
    let received = Time::from_unix_ns(START_S * 1_000_000_000 + (record.ms + record.delay_ms) * 1_000_000);
    let head = FrameHead {
        position: Position { partition: 0, offset },
        received,
        source: Some(SocketAddr::new(IpAddr::from([192, 0, 2, record.sensor]), 1)),
        ..FrameHead::new(Transport::Internal, Content::Text)
    };
    let mut row = builder.row(&head, 0, "");
    let at = |ms: i64| Time::from_unix_ns(START_S * 1_000_000_000 + ms * 1_000_000);
    row.time(at(record.ms));
    let category = if !record.asked.is_empty() {
        row.text(FieldId::known("url.domain"), record.asked);
        "proxy"
    } else if record.flags.is_some() && record.sensor != FIREWALL {
        "flow"
    } else {
        "firewall"
    };
    row.log_source(LogSourceId::intern(LogSource { category: Some(category), ..LogSource::default() }));
    row.ip(FieldId::SOURCE_IP, record.from.0.parse().expect("an address"));
    if record.asked.is_empty() {
        row.ip(FieldId::DESTINATION_IP, record.to.0.parse().expect("an address"));
    }
    row.int(FieldId::SOURCE_PORT, i64::from(record.from.1));
    row.int(FieldId::DESTINATION_PORT, i64::from(record.to.1));
    row.text(FieldId::NETWORK_TRANSPORT, record.transport);
    row.value(FieldId::EVENT_START, event::Value::Time(at(record.start_ms)));
    if record.ends {
        row.value(FieldId::known("event.end"), event::Value::Time(at(record.ms)));
    }
    row.int(FieldId::SOURCE_BYTES, record.bytes);
    if record.transport == "icmp" {
        row.ip(FieldId::FLOW_EXPORTER, IpAddr::from([192, 0, 2, record.sensor]));
    }
    if !record.behalf.is_empty() {
        row.ip(FieldId::known("network.forwarded_ip"), record.behalf.parse().expect("an address"));
    }
    for (field, port_field, (ip, port)) in
        [("source.nat.ip", "source.nat.port", record.seen_as), ("destination.nat.ip", "destination.nat.port", record.really)]
    {
        if !ip.is_empty() {
            row.ip(FieldId::known(field), ip.parse().expect("an address"));
            row.int(FieldId::known(port_field), i64::from(port));
        }
    }
    if record.begins {
        row.text(FieldId::known("event.action"), "connection-started");
    }
    if !record.file.is_empty() {
        row.text(FieldId::known("file.name"), record.file);
    }
    if let Some(flags) = record.flags {
        row.int(FieldId::FLOW_TCP_FLAGS, flags);
    }
    if record.flags.is_none() || record.sensor == FIREWALL {
        row.text(FieldId::EVENT_TYPE, if record.denied { "denied" } else { "allowed" });
    }
}

pub(crate) struct Ran {
    pub(crate) new: Vec<Alert>,
    pub(crate) cells: BTreeMap<(String, String, Verdict), i64>,
    /// Hours in which anything was counted.
    pub(crate) hours: BTreeSet<i64>,
}

/// Runs records by shipped rules, see [`run_by`].
pub(crate) fn run(policy: &str, records: impl Iterator<Item = Record>, what: &[&str], per: usize, interrupted: bool) -> Ran {
    run_by(&rules_of(what), policy, records, per, interrupted)
}

/// Runs records, as they arrive, in batches of so many; each batch by a behaviour restored from the one before where `interrupted`.
pub(crate) fn run_by(
    set: &Arc<RuleSet>,
    policy: &str,
    records: impl Iterator<Item = Record>,
    per: usize,
    interrupted: bool,
) -> Ran {
    run_under(set, &[(1, policy)], records, per, interrupted)
}

/// The same under several policies, each from the first batch on that begins with the record of its number or a later one.
pub(crate) fn run_under(
    set: &Arc<RuleSet>,
    policies: &[(u64, &str)],
    records: impl Iterator<Item = Record>,
    per: usize,
    interrupted: bool,
) -> Ran {
    let mut policies = policies.iter().map(|(from, text)| (*from, Arc::new(Policy::parse(text).expect("valid").0))).peekable();
    let (_, mut policy) = policies.next().expect("one at least");
    let watch = |policy: &Arc<Policy>| {
        let site = Arc::new(Site::new(&[], None).expect("the default").with_policy(Some(policy.clone())));
        Behaviour::new(set.clone(), BehaviourOptions { lateness_ns: LATENESS_S * 1_000_000_000, site })
    };
    let mut behaviour = watch(&policy);
    let (mut out, mut cells, mut hours) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let (mut builder, mut offset, mut first, mut received) = (BatchBuilder::default(), 0, 1, 0);
    let mut records = records.peekable();
    while let Some(record) = records.next() {
        offset += 1;
        received = received.max(record.ms + record.delay_ms);
        fill(&mut builder, offset, &record);
        if offset - first + 1 >= per as u64 || records.peek().is_none() {
            let now = Time::from_unix_ns(START_S * 1_000_000_000 + received * 1_000_000);
            let mut batch = std::mem::take(&mut builder).finish(LogRange { partition: 0, first, last: offset }, now);
            let next = policies.next_if(|(from, _)| *from <= first).map(|(_, next)| next);
            first = offset + 1;
            if interrupted {
                let snapshot = behaviour.snapshot();
                behaviour = watch(next.as_ref().unwrap_or(&policy));
                assert_eq!(behaviour.restore(&snapshot).expect("a snapshot"), 0);
            } else if let Some(next) = &next {
                behaviour.replace_policy(Some(next.clone()));
            }
            policy = next.unwrap_or(policy);
            let observed = Observed::read(&mut batch, Some(&policy));
            behaviour.take(&batch, observed, &mut out);
            if records.peek().is_none() {
                behaviour.flush(&mut out);
            }
            for (key, count) in behaviour.take_cells() {
                hours.insert(key.hour);
                let [from, to] = [key.from, key.to].map(|zone| policy.zones[usize::from(zone)].name.clone());
                *cells.entry((from, to, key.verdict)).or_default() += count;
            }
        }
    }
    let new = out.into_iter().filter_map(|change| match change {
        AlertChange::New(alert) => Some(alert),
        AlertChange::Updated(_) => None,
    });
    cells.retain(|_, count| *count != 0);
    Ran { new: new.collect(), cells, hours }
}

pub(crate) fn groups(ran: &Ran) -> Vec<[&str; 2]> {
    ran.new.iter().map(|alert| ["source.ip", "destination.ip"].map(|field| &alert.group[field])).collect()
}
