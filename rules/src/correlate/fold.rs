//! Open alerts: repeats fold into the first, and what has changed is told once a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{EventId, FieldId, Time};
use hashbrown::DefaultHashBuilder;

use super::encode;
use super::short::Short;
use super::window::Slab;
use crate::alert::{Alert, AlertChange, AlertRule, ByLanguage, EVIDENCE_MAX, TextMap, alert_id};
use crate::ruleset::{Body, RuleSet};
use crate::table::{Index, Order, hash_of};

/// Alerts of one rule and tenant that repeats fold into; the one that was opened first gives way (counted): a repeat of it counts anew.
pub const ALERTS_OPEN_MAX: usize = 20_000;

/// An alert that repeats fold into. Its body is made when it is told.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) key: Short,
    hash: u32,
    /// Its place in the order.
    turn: u64,
    /// From when it counts how long repeats fold: as `start`, but for late events where they stand.
    pub(super) opened: i64,
    /// When the first event of the first window happened, or the period of a plain rule began; part of the alert's id.
    pub(super) start: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: u64,
    /// The first events and, once there are as many as an alert names, the latest.
    pub(super) evidence: Vec<EventId>,
    pub(super) fields: Box<[u8]>,
    /// Whether it was told before.
    pub(super) told: bool,
    changed: bool,
}

/// A firing, as it is folded.
pub(super) struct Firing<'f> {
    /// Where it stands in time.
    pub(super) time: i64,
    /// When its window begins.
    pub(super) start: i64,
    /// When its first event happened.
    pub(super) first: i64,
    /// When its last event happened.
    pub(super) last: i64,
    pub(super) key: &'f [u8],
    /// The event that has caused it.
    pub(super) event: Option<EventId>,
    /// How often, where it stands for many.
    pub(super) count: u64,
    pub(super) fields: &'f [u8],
    /// Whether others that happened before it may still come, so that the alert shows the fields of the earliest.
    pub(super) unordered: bool,
}

/// The open alerts of one rule and tenant.
#[derive(Debug)]
pub(super) struct OpenAlerts {
    open: Slab<Open>,
    by_key: Index,
    hasher: DefaultHashBuilder,
    /// As they were opened.
    order: Order,
    changed: Vec<u32>,
}

impl OpenAlerts {
    pub(super) fn new() -> OpenAlerts {
        OpenAlerts {
            open: Slab::default(),
            by_key: Index::default(),
            hasher: DefaultHashBuilder::default(),
            order: Order::default(),
            changed: Vec::new(),
        }
    }

    /// Folds a firing into the open alert of its group, or opens one. `events` are those of its events that the alert does not have yet,
    /// in their order, or all of them where it opens one. Gives how many alerts gave way.
    pub(super) fn fold<E: Iterator<Item = EventId>>(
        &mut self,
        firing: &Firing<'_>,
        fold_ns: i64,
        events: impl FnOnce(bool) -> E,
        tell: &mut impl FnMut(&Open),
    ) -> u64 {
        let hash = hash_of(&self.hasher, firing.key);
        let known = self.by_key.find(hash, |at| *self.open[at].key == *firing.key);
        if let Some(at) = known {
            let alert = &mut self.open[at];
            let apart = firing.time.saturating_sub(alert.opened);
            if apart < fold_ns && apart > -fold_ns {
                alert.count += firing.count;
                if firing.unordered && (firing.first, firing.fields) < (alert.first, &alert.fields) {
                    alert.fields = firing.fields.into();
                }
                alert.first = alert.first.min(firing.first);
                alert.last = alert.last.max(firing.last);
                if let Some(event) = firing.event {
                    add_evidence(&mut alert.evidence, events(false), event);
                }
                self.mark(at);
                return 0;
            }
        }
        let mut given_up = 0;
        if let Some(at) = known {
            self.close(at, tell);
        } else if self.by_key.len() >= ALERTS_OPEN_MAX
            && let Some(oldest) = self.order.oldest()
        {
            self.close(oldest, tell);
            given_up = 1;
        }
        let mut evidence = Vec::new();
        if let Some(event) = firing.event {
            add_evidence(&mut evidence, events(true), event);
        }
        let at = self.open.put(Open {
            key: firing.key.into(),
            hash,
            turn: 0,
            opened: firing.time,
            start: firing.start,
            first: firing.first,
            last: firing.last,
            count: firing.count,
            evidence,
            fields: firing.fields.into(),
            told: false,
            changed: false,
        });
        self.link(at, hash);
        self.mark(at);
        given_up
    }

    /// Puts an alert at the end.
    fn link(&mut self, at: u32, hash: u32) {
        let open = &mut self.open;
        self.by_key.insert(hash, at);
        let turn = self.order.push(at, self.by_key.len(), |at, turn| open[at].turn = turn);
        open[at].turn = turn;
    }

    fn mark(&mut self, at: u32) {
        if !std::mem::replace(&mut self.open[at].changed, true) {
            self.changed.push(at);
        }
    }

    /// Ends an alert: what has not been told of it is told first.
    fn close(&mut self, at: u32, tell: &mut impl FnMut(&Open)) {
        if self.open[at].changed {
            tell(&self.open[at]);
        }
        let alert = &mut self.open[at];
        self.by_key.remove(alert.hash, at);
        self.order.leave(alert.turn);
        // Its number may stand in `changed` still; it is passed over there.
        (alert.key, alert.fields, alert.evidence, alert.changed) = (Short::default(), Box::default(), Vec::new(), false);
        self.open.release(at);
    }

    /// Tells what has changed, in the order of the changes.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(&Open)) {
        for at in self.changed.drain(..) {
            let alert = &mut self.open[at];
            if std::mem::take(&mut alert.changed) {
                tell(alert);
                alert.told = true;
            }
        }
    }

    /// Ends alerts that nothing folds into any more.
    pub(super) fn expire(&mut self, fold_ns: i64, watermark: i64, tell: &mut impl FnMut(&Open)) {
        let is_over = |alert: &Open| alert.opened.saturating_add(fold_ns) <= watermark;
        while let Some(oldest) = self.order.oldest().filter(|oldest| is_over(&self.open[*oldest])) {
            self.close(oldest, tell);
        }
    }

    /// The open alerts, first those that were opened first; for a snapshot.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.order.iter().map(|at| &self.open[at])
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Takes up an alert of a snapshot, after those that were opened before it.
    pub(super) fn restore(&mut self, mut alert: Open) {
        alert.hash = hash_of(&self.hasher, &*alert.key);
        let hash = alert.hash;
        let at = self.open.put(alert);
        self.link(at, hash);
    }
}

impl Open {
    /// As a snapshot has it; its links are made by [`OpenAlerts::restore`].
    pub(super) fn restored(key: &[u8], fields: &[u8], evidence: Vec<EventId>, times: [i64; 4], count: u64) -> Open {
        let [opened, start, first, last] = times;
        let (key, fields) = (key.into(), fields.into());
        Open { key, hash: 0, turn: 0, opened, start, first, last, count, evidence, fields, told: true, changed: false }
    }
}

/// Adds events in their order. Once there are [`EVIDENCE_MAX`], the latest takes the last one's place.
fn add_evidence(evidence: &mut Vec<EventId>, events: impl Iterator<Item = EventId>, latest: EventId) {
    if evidence.len() < EVIDENCE_MAX {
        for event in events {
            if !evidence.contains(&event) {
                evidence.push(event);
            }
            if evidence.len() >= EVIDENCE_MAX {
                break;
            }
        }
    }
    if evidence.len() >= EVIDENCE_MAX && !evidence.contains(&latest) {
        evidence.pop();
        evidence.push(latest);
    }
}

/// What an open alert of a rule says.
pub(super) fn body(set: &RuleSet, rule: usize, tenant: u32, open: &Open) -> Alert {
    let rule = &set.rules[rule];
    let group = match &rule.body {
        Body::Sigma { group, .. } => encode::plain_group(&open.key, group),
        Body::Behaviour(_) => TextMap::default(), // Folds by itself.
        Body::Correlation(bound) => {
            let names = &bound.written.group_by;
            let mut group = TextMap::with_capacity(names.len(), names.iter().map(String::len).sum::<usize>() + open.key.len());
            for (name, text) in names.iter().zip(encode::each_text(&open.key)) {
                group.insert_written(name, |value| value.push_str(text));
            }
            group
        }
    };
    let fields = encode::shown(&open.fields);
    let said = rule.info.said();
    Alert {
        title: said.title.clone(),
        meaning: said.meaning.clone(),
        first_steps: said.first_steps.clone(),
        false_positives: said.false_positives.clone(),
        clause: fields.get(FieldId::POLICY_CLAUSE.name()).map(str::to_owned).or_else(|| rule.info.clause.clone()),
        ..bare(said.rule.clone(), tenant, group, open, fields)
    }
}

/// The id of the rule of alerts that say that a rule is degraded.
pub const DEGRADED_RULE: &str = "mihari-rule-degraded";

/// How long further losses of a degraded rule fold into its alert, in nanoseconds.
pub(super) const DEGRADED_FOLD_NS: i64 = 3600 * 1_000_000_000;

/// The alert that says that `rule` has given up state for a bound, so that it may have missed something.
pub(super) fn degraded(set: &RuleSet, rule: usize, tenant: u32, open: &Open) -> Alert {
    let info = &set.rules[rule].info;
    let said = AlertRule {
        id: DEGRADED_RULE.to_owned(),
        title: "Rule degraded".to_owned(),
        level: "high".to_owned(),
        tags: Vec::new(),
        kind: "health".to_owned(),
    };
    let both =
        |ja: &str, en: &str| Arc::new(BTreeMap::from([("ja".to_owned(), ja.to_owned()), ("en".to_owned(), en.to_owned())]));
    let group = [("rule.id", &info.id), ("rule.name", &info.title)].into_iter().collect();
    Alert {
        title: both("ルールの監視能力が低下", "Rule degraded"),
        meaning: both(
            "このルールが同時に追跡できる上限を超えたため、古い状態を破棄しました。その間の攻撃を見逃した可能性があります。",
            "The rule had more to keep track of than its bound allows and gave up the oldest. It may have missed an attack meanwhile.",
        ),
        first_steps: both(
            "偽装された送信元による大量のイベントがないか確認し、ルールの条件や group-by を絞ってください。",
            "Look for a flood of events, for instance from forged addresses; narrow the rule's condition or group-by.",
        ),
        ..bare(said.into(), tenant, group, open, TextMap::default())
    }
}

fn bare(rule: Arc<AlertRule>, tenant: u32, group: TextMap, open: &Open, fields: TextMap) -> Alert {
    let start = Time::from_unix_ns(open.start);
    Alert {
        id: alert_id(tenant, &rule.id, &group, start),
        tenant,
        rule,
        title: ByLanguage::default(),
        meaning: ByLanguage::default(),
        first_steps: ByLanguage::default(),
        false_positives: ByLanguage::default(),
        clause: None,
        group,
        window_start: start,
        first: Time::from_unix_ns(open.first),
        last: Time::from_unix_ns(open.last),
        count: open.count,
        evidence: open.evidence.clone(),
        fields,
        explanation: BTreeMap::new(),
    }
}

/// New, or told before.
pub(super) fn change(open: &Open, alert: Alert) -> AlertChange {
    if open.told { AlertChange::Updated(alert) } else { AlertChange::New(alert) }
}
