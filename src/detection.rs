//! Which rules of the shipped pack claim to see which planted incident, and whether an alert shows it.

use event::Time;
use municipality::{Incident, Kind};
use rules::alert::Alert;

/// The shipped rule about a device that falls silent.
const SILENT: &str = "c770dd31-b397-425f-a74e-6bc2a64795fe";
/// The same in the demo: it learns in seconds what takes days in earnest.
const SILENT_IN_DEMO: &str = "180dd8f7-3307-4b1d-a5c2-73f537490e69";

/// The demo's own rule, from the shipped one.
pub(crate) fn silent_in_demo() -> Option<String> {
    let (_, text) = rules::pack().iter().find(|(_, text)| text.contains(SILENT))?;
    let quick = text.replace(SILENT, SILENT_IN_DEMO).replace("gap: 5m", "gap: 10s").replace("learn: 2d", "learn: 20s");
    Some(quick.replace("records: 30", "records: 10"))
}

/// The ids of the shipped rules that claim to see incidents of `kind`.
pub(crate) fn claim(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::BruteForce => &["a5e408c3-f51a-5ee2-a641-f5e1d744480b", "b323352b-aa8d-51cb-8f33-7faf7ae1e686"],
        Kind::PortScan => &["ad59366f-dc15-5be9-aed2-82d712ad035b", "a0f3b5dc-c6ea-52fa-b717-b7f021334f28"],
        Kind::Exfiltration => &["cc9c9f99-9e47-5b5b-861a-5eceba8ddb2f", "3172e993-7d3d-51b6-87c4-db019c3e5ba4"],
        Kind::LgwanDirect => &["d18e4515-aab1-5ef7-8ac2-4df3d2a4170b", "a6ccc133-d865-5e05-b9ce-1b1ba932fd06"],
        Kind::MynumberFlow => &["d18e4515-aab1-5ef7-8ac2-4df3d2a4170b"],
        Kind::DnsTunnel => &["be04e3c0-aa78-5d00-ac80-80c520833814", "0dad914f-0923-57ef-8a3e-1fbd413784fc"],
        Kind::WebAttack => &["0dab108f-9cb6-582a-b02c-0622a835e1b2", "98596bb3-d769-5684-a8a6-d1868d462a03"],
        Kind::Beacon => &["1eddec5d-5a69-5a93-8d9d-f72b350d4586"],
        Kind::SilentDevice => &[SILENT, SILENT_IN_DEMO],
    }
}

/// Whether `alert` tells of a device that is silent because the demo has `ended`.
pub(crate) fn is_of_the_end(alert: &Alert, ended: Option<Time>) -> bool {
    alert.rule.id == SILENT_IN_DEMO && ended.is_some_and(|ended| alert.last >= ended)
}

/// Why the shipped rules cannot see incidents of `kind` in a capture of so many minutes.
pub(crate) fn too_short(kind: Kind, minutes: u32) -> Option<&'static str> {
    const LEARNED_MINUTES: u32 = 3 * 24 * 60;
    (kind == Kind::SilentDevice && minutes < LEARNED_MINUTES).then_some("each source's rhythm is learned for two days first")
}

/// Whether `alert` shows `incident`: a rule that claims to see it, its addresses, its time.
pub(crate) fn shows(alert: &Alert, incident: &Incident) -> bool {
    let Some(source) = incident.source.map(|ip| ip.to_string()).or_else(|| incident.device.map(str::to_owned)) else {
        return false;
    };
    claim(incident.kind).contains(&alert.rule.id.as_str())
        && alert.last >= incident.start
        && alert.first <= incident.end
        && (alert.group.values().chain(alert.fields.values()).any(|value| value == source))
}
