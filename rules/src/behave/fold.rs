//! From what a behaviour found to alerts: repeats fold into the open alert of their group, as those of other rules do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use event::{EventId, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::View;
use super::observe::What;
use super::site;
use crate::alert::{Alert, AlertChange, EVIDENCE_MAX, VALUE_BYTES_MAX, alert_id};
use crate::ruleset::RuleInfo;

/// Open alerts altogether; the one that nothing has folded into for longest gives way (counted): a repeat of it is a new alert.
const OPEN_MAX: usize = 100_000;

/// Something that a behaviour found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) tenant: u32,
    /// What tells it apart, by field.
    pub(crate) group: BTreeMap<String, String>,
    /// When what it is about began, and when it was found.
    pub(crate) start: i64,
    pub(crate) time: i64,
    pub(crate) evidence: Vec<EventId>,
    pub(crate) fields: BTreeMap<String, String>,
    /// Every number that led to it.
    pub(crate) explanation: BTreeMap<String, String>,
    /// The clause of the policy, where it is not the rule's.
    pub(crate) clause: Option<String>,
}

/// The name of a protocol, or its number.
pub(super) fn transport_name(number: u8) -> String {
    let known = [(6, "tcp"), (17, "udp"), (1, "icmp"), (58, "ipv6-icmp")].iter().find(|(n, _)| *n == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

impl Found {
    /// Something found at this observation, told apart by the fields named.
    pub(super) fn at(view: &View<'_>, group: &[&str]) -> Found {
        let o = view.o;
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: String| {
            fields.insert(name.to_owned(), value);
        };
        if o.source != 0 {
            put("source.ip", site::address(o.source).to_string());
        }
        if o.destination != 0 {
            put("destination.ip", site::address(o.destination).to_string());
        }
        if o.port != 0 {
            put("destination.port", o.port.to_string());
        }
        if o.transport != 0 {
            put("network.transport", transport_name(o.transport));
        }
        let (name, detail) = match o.what {
            What::Query => ("dns.question.name", "dns.question.type"),
            What::Login => ("host.name", "user.name"),
            _ => ("destination.domain", "http.request.method"),
        };
        for (field, span) in [
            (name, o.name),
            (detail, o.detail),
            ("dns.question.registered_domain", o.domain),
            ("network.protocol", o.protocol),
            ("url.original", o.url),
        ] {
            if !span.is_empty() {
                put(field, span.of(view.text).to_owned());
            }
        }
        let hash = o.first_hash(view.text);
        if !hash.is_empty() {
            put("file.hash", hash.to_owned());
        }
        if o.sampling > 1 {
            put("flow.sampling_rate", o.sampling.to_string());
        }
        let group = group.iter().filter_map(|name| Some(((*name).to_owned(), fields.get(*name)?.clone()))).collect();
        let mut found = Found {
            tenant: o.tenant,
            group,
            start: o.start,
            time: o.time,
            evidence: vec![o.event],
            fields,
            explanation: BTreeMap::new(),
            clause: None,
        };
        if o.sampling > 1 {
            found.explain("sampled", format!("1 in {}: what was not sampled was not seen, so that less is found", o.sampling));
        }
        found
    }

    /// Adds a number or word that led to it.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and words, written down where they are made")]
    pub(super) fn explain(&mut self, name: &str, value: impl ToString) {
        self.explanation.insert(name.to_owned(), value.to_string());
    }

    /// Adds a score or share, rounded to what can be read.
    pub(super) fn score(&mut self, name: &str, value: f64) {
        self.explain(name, format!("{value:.3}"));
    }

    /// Adds a timespan, in seconds.
    pub(super) fn seconds(&mut self, name: &str, ns: i64) {
        self.explain(name, format!("{:.3}", ns as f64 / 1e9));
    }
}

/// The open alerts.
#[derive(Default)]
pub(super) struct Fold {
    /// By rule, tenant and group.
    open: BTreeMap<Arc<str>, AlertState>,
    /// The same by when each last happened, so that a flood of alerts does not search all of them for the one that gives way.
    by_last: BTreeSet<(Time, Arc<str>)>,
}

impl Serialize for Fold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.open.iter().map(|(key, alert)| (&**key, alert)))
    }
}

impl<'de> Deserialize<'de> for Fold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fold, D::Error> {
        let mut fold = Fold::default();
        for (key, alert) in BTreeMap::<String, AlertState>::deserialize(deserializer)? {
            fold.put(key.into(), alert);
        }
        Ok(fold)
    }
}

/// An alert as it is stored: through its JSON, which leaves out what is absent.
#[derive(Clone)]
struct AlertState(Alert);

impl Serialize for AlertState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_json())
    }
}

impl<'de> Deserialize<'de> for AlertState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AlertState, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map(AlertState).map_err(serde::de::Error::custom)
    }
}

impl Fold {
    /// Folds what was found into the open alert of its group, or opens one. Gives how many alerts gave way.
    pub(super) fn fold(&mut self, info: &RuleInfo, found: Found, out: &mut Vec<AlertChange>) -> u64 {
        let Found { tenant, group, start, time, evidence, fields, explanation, clause } = found;
        let key = format!("{}\u{1f}{tenant}\u{1f}{group:?}", info.id);
        let (start, time) = (Time::from_unix_ns(start), Time::from_unix_ns(time));
        if let Some(AlertState(alert)) = self.open.get_mut(&*key)
            && time.since_ns(alert.last) < info.fold_ns
        {
            alert.count += 1;
            if time > alert.last
                && let Some((_, key)) = self.by_last.take(&(alert.last, key.into()))
            {
                self.by_last.insert((time, key));
                alert.last = time;
            }
            alert.first = alert.first.min(start);
            alert.explanation = explanation;
            add_evidence(&mut alert.evidence, &evidence);
            out.push(AlertChange::Updated(alert.clone()));
            return 0;
        }
        let mut given_up = 0;
        if self.open.len() >= OPEN_MAX
            && let Some((_, oldest)) = self.by_last.pop_first()
        {
            self.open.remove(&oldest);
            given_up = 1;
        }
        let said = info.said();
        let group = group.into_iter().collect();
        let short = |(name, value): (String, String)| (name, value[..value.floor_char_boundary(VALUE_BYTES_MAX)].to_owned());
        let mut alert = Alert {
            id: alert_id(tenant, &info.id, &group, start),
            tenant,
            rule: said.rule.clone(),
            title: said.title.clone(),
            meaning: said.meaning.clone(),
            first_steps: said.first_steps.clone(),
            false_positives: said.false_positives.clone(),
            clause: clause.or_else(|| info.clause.clone()),
            group,
            window_start: start,
            first: start,
            last: time,
            count: 1,
            evidence: Vec::new(),
            fields: fields.into_iter().map(short).collect(),
            explanation: explanation.into_iter().map(short).collect(),
        };
        add_evidence(&mut alert.evidence, &evidence);
        self.put(key.into(), AlertState(alert.clone()));
        out.push(AlertChange::New(alert));
        given_up
    }

    /// Keeps an alert open, in place of the one of the same group.
    fn put(&mut self, key: Arc<str>, alert: AlertState) {
        self.by_last.insert((alert.0.last, key.clone()));
        if let Some(AlertState(before)) = self.open.insert(key.clone(), alert)
            && before.last != self.open[&key].0.last
        {
            self.by_last.remove(&(before.last, key));
        }
    }
}

/// Adds events that show an alert; of more than it holds, the first ones and the last.
fn add_evidence(kept: &mut Vec<EventId>, events: &[EventId]) {
    for event in events {
        if kept.contains(event) {
            continue;
        }
        kept.truncate(EVIDENCE_MAX - 1);
        kept.push(*event);
    }
}
