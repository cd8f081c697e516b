//! Which rules of the shipped pack claim to see which planted incident, and whether an alert shows it.

use municipality::{Incident, Kind};
use rules::alert::Alert;

/// What the shipped rules claim of one kind of incident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The rules' ids; empty where none sees it yet.
    pub(crate) rules: &'static [&'static str],
    /// Why none does.
    pub(crate) not_yet: Option<&'static str>,
}

const fn seen_by(rules: &'static [&'static str]) -> Claim {
    Claim { rules, not_yet: None }
}

/// The claim for `kind`.
pub(crate) fn claim(kind: Kind) -> Claim {
    match kind {
        Kind::BruteForce => seen_by(&[]),
        Kind::PortScan => seen_by(&[]),
        Kind::Exfiltration => seen_by(&[]),
        Kind::LgwanDirect | Kind::MynumberFlow => seen_by(&[]),
        Kind::DnsTunnel => seen_by(&[]),
        Kind::WebAttack => seen_by(&[]),
        Kind::Beacon => Claim { rules: &[], not_yet: Some("needs the behaviour analysis of intervals and sizes, which is not built yet") },
        Kind::SilentDevice => Claim { rules: &[], not_yet: Some("needs each source's learned period, which is not built yet") },
    }
}

/// Whether `alert` shows `incident`: a rule that claims to see it, its addresses, its time.
pub(crate) fn shows(alert: &Alert, incident: &Incident) -> bool {
    let Some(source) = incident.source else { return false };
    let source = source.to_string();
    claim(incident.kind).rules.contains(&alert.rule.id.as_str())
        && alert.last >= incident.start
        && alert.first <= incident.end
        && (alert.group.values().any(|value| *value == source) || alert.fields.values().any(|value| value.as_str() == Some(&source)))
}
