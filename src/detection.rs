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
        Kind::BruteForce => seen_by(&["a5e408c3-f51a-5ee2-a641-f5e1d744480b"]),
        Kind::PortScan => seen_by(&["ad59366f-dc15-5be9-aed2-82d712ad035b"]),
        Kind::Exfiltration => seen_by(&["cc9c9f99-9e47-5b5b-861a-5eceba8ddb2f"]),
        Kind::LgwanDirect | Kind::MynumberFlow => seen_by(&["d18e4515-aab1-5ef7-8ac2-4df3d2a4170b"]),
        Kind::DnsTunnel => seen_by(&["be04e3c0-aa78-5d00-ac80-80c520833814"]),
        Kind::WebAttack => seen_by(&["0dab108f-9cb6-582a-b02c-0622a835e1b2"]),
        Kind::Beacon => seen_by(&["1eddec5d-5a69-5a93-8d9d-f72b350d4586"]),
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
        && (alert.group.values().any(|value| *value == source) || alert.fields.values().any(|value| *value == source))
}
