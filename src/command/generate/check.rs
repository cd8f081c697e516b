//! `mihari generate --check`: the town's records straight into the pipeline, nothing written, and what became of each planted incident.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use event::limits::BATCH_BYTES_MAX;
use event::{Content, FrameHead, Time, Transport};
use ingest::decode::flow::FlowDecoder;
use municipality::{Channel, DEVICES, Incident, Plan, town};
use rules::alert::{Alert, AlertChange};
use rules::policy::Policy;
use rules::{Behaviour, BehaviourOptions, Correlator};

use crate::config::Config;
use crate::detection;
use crate::loaded::{decode_settings, load_rules, load_site};
use crate::pipeline::{self, Current, InForce, Parts, Spent};

const SECOND_NS: i64 = 1_000_000_000;
/// Bytes of a batch: small, so that the time at which an alert comes is known to a few seconds.
const BATCH_BYTES: usize = BATCH_BYTES_MAX / 16;

/// Runs the plan; prints a table of the incidents and every alert about none of them. 1 where one was missed that the rules claim to see.
pub(super) fn run(plan: &Plan) -> Result<ExitCode> {
    let config = Config::default();
    let rules = load_rules(&config.rules).rules;
    let rules = Arc::new(rules);
    let policy = match Policy::parse(town::POLICY) {
        Ok((policy, _)) => Arc::new(policy),
        Err(problems) => anyhow::bail!("the town's own policy: {problems:?}"),
    };
    let settings = decode_settings(&config.decode, &[], plan.start)?;
    let lateness_ns = i64::from(config.rules.lateness_s) * SECOND_NS;
    let site = Arc::new(load_site(&config.behaviour)?.0.with_policy(Some(policy.clone())));
    let mut behaviour = Behaviour::new(rules.clone(), BehaviourOptions { lateness_ns, site });
    let mut correlator = Correlator::new(rules.clone(), config.rules.correlate_options()?);
    let current = Current::new(Arc::new(InForce { rules, policy: Some(policy) }));
    let parts = Parts { settings, current, threads: config.worker_threads() };
    let (mut records, mut offset) = (plan.traffic(), 0);
    let source = move |frames: &mut event::Frames| {
        while frames.byte_len() < BATCH_BYTES {
            let Some(record) = records.next() else { return Ok(false) };
            let device = &DEVICES[record.device];
            let flow = device.channel == Channel::Flow;
            offset += 1;
            let mut head = FrameHead::new(Transport::Udp, if flow { Content::Flow } else { Content::Text });
            head.position.offset = offset;
            (head.received, head.source) = (record.time, Some(SocketAddr::new(IpAddr::V4(device.address), 40_000)));
            frames.push(head, &record.bytes);
        }
        Ok(true)
    };
    let incidents = plan.incidents();
    let mut after: BTreeMap<usize, (i64, String)> = BTreeMap::new();
    let mut alerts: BTreeMap<String, Alert> = BTreeMap::new();
    let (mut changes, mut now, mut events): (Vec<AlertChange>, Time, u64) = (Vec::new(), plan.start, 0);
    pipeline::run(&parts, FlowDecoder::default(), &Arc::new(Spent::default()), source, |done| {
        match done {
            Some(done) => {
                now = now.max(done.batch.received);
                events += done.batch.len() as u64;
                correlator.advance(&done.batch, &done.matches, &mut changes);
                behaviour.take(&done.batch, done.observed, &mut changes);
                behaviour.take_cells();
            }
            None => {
                correlator.flush(&mut changes);
                behaviour.flush(&mut changes);
            }
        }
        for change in changes.drain(..) {
            let alert = change.alert();
            for (at, incident) in incidents.iter().enumerate() {
                if !after.contains_key(&at) && detection::shows(alert, incident) {
                    after.insert(at, (now.since_ns(incident.start), alert.rule.title.clone()));
                }
            }
            alerts.insert(alert.id.clone(), alert.clone());
        }
        Ok(())
    })?;
    Ok(if told(plan, &incidents, &after, &alerts, events) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(
    plan: &Plan,
    incidents: &[Incident],
    after: &BTreeMap<usize, (i64, String)>,
    alerts: &BTreeMap<String, Alert>,
    events: u64,
) -> bool {
    let minutes = plan.length_s / 60;
    let mut good = true;
    super::super::say(&format!("seed {}, {} terminals, {minutes} minutes, {events} events", plan.seed, plan.terminals));
    for (at, incident) in incidents.iter().enumerate() {
        let what = match (after.get(&at), detection::too_short(incident.kind, minutes)) {
            (Some((ns, title)), _) => {
                let length = incident.end.since_ns(incident.start) / SECOND_NS;
                format!("after {:>6} s of {length:>6} s: {title}", ns / SECOND_NS)
            }
            (None, Some(why)) => format!("cannot be seen: {why}"),
            (None, None) => {
                good = false;
                "MISSED".to_owned()
            }
        };
        super::super::say(&format!(
            "  {:16} {what}",
            serde_json::to_string(&incident.kind).unwrap_or_default().trim_matches('"')
        ));
    }
    let of_none: Vec<&Alert> = alerts.values().filter(|a| !incidents.iter().any(|i| detection::shows(a, i))).collect();
    let sources: BTreeSet<String> = incidents.iter().filter_map(|i| i.source).map(|ip| ip.to_string()).collect();
    // What else an incident's source does is of the incident, though no rule claims it.
    let beside = |alert: &&&Alert| alert.group.values().chain(alert.fields.values()).any(|value| sources.contains(value));
    let wrong: Vec<&&Alert> = of_none.iter().filter(|alert| !beside(alert)).collect();
    let days = f64::from(plan.length_s) / 86_400.0;
    super::super::say(&format!(
        "  {} alerts; {} more about the incidents' sources; {} about nothing planted, {:.2} a day",
        alerts.len(),
        of_none.len() - wrong.len(),
        wrong.len(),
        wrong.len() as f64 / days
    ));
    for alert in wrong {
        super::super::say(&format!("    {} {:?} {:?}", alert.rule.title, alert.group, alert.explanation));
    }
    good
}
