//! One record under the policy: the verdict written onto it, as on a conversation of which nothing else is told. What several records tell
//! of one conversation together is decided by [`crate::behave`], in the order of time.

use event::{Batch, EventRef, FieldId, Notes, Time};

use super::{Judgement, Policy, RecordVerdict, Verdict};
use crate::behave::conversation::RecordJudge;

impl Policy {
    /// Writes zones and verdict on every communication of the batch: `zone.source`, `zone.destination`, `policy.verdict` (`internal`,
    /// `kept`, `denied`, `exception`, `violation`, `attempt`, `unclear`), for those not kept `policy.clause` and
    /// `policy.initiator` (`outside`, the zone of all other addresses by whatever name, or `inside`), and the deciding line.
    pub fn annotate(&self, batch: &mut Batch) {
        let mut judge = RecordJudge::new();
        batch.annotate(|event, notes| {
            if let Some((judgement, from_source)) = judge.judge(event, self) {
                self.note(&judgement, from_source, notes);
            }
        });
    }

    /// Writes the verdict on an event; `from_source`: its source began.
    pub(crate) fn note(&self, judgement: &Judgement, from_source: bool, notes: &mut Notes) {
        let (source, destination) = if from_source { (judgement.from, judgement.to) } else { (judgement.to, judgement.from) };
        notes.text(FieldId::ZONE_SOURCE, &self.zones[usize::from(source)].name);
        notes.text(FieldId::ZONE_DESTINATION, &self.zones[usize::from(destination)].name);
        notes.text(FieldId::POLICY_VERDICT, judgement.verdict.name());
        match (judgement.line, judgement.verdict) {
            (Some(line), _) => notes.number(FieldId::POLICY_LINE, line),
            (None, Verdict::Internal | Verdict::Kept) => {}
            (None, _) => {
                let outside = self.zones[usize::from(judgement.from)].rest;
                notes.text(FieldId::POLICY_INITIATOR, if outside { "outside" } else { "inside" });
                if let Some(clause) = self.clause(judgement.from, judgement.to) {
                    notes.text(FieldId::POLICY_CLAUSE, clause);
                }
            }
        }
    }

    /// The verdict on each event of a batch, as [`Policy::annotate`] writes it; none for what is no communication.
    pub fn verdicts<'b>(&'b self, batch: &'b Batch) -> impl Iterator<Item = Option<RecordVerdict<'b>>> {
        let mut judge = RecordJudge::new();
        batch.iter().map(move |event: EventRef<'_>| {
            let (judgement, from_source) = judge.judge(event, self)?;
            let [from, to] = [judgement.from, judgement.to].map(|zone| self.zones[usize::from(zone)].name.as_str());
            Some(RecordVerdict { verdict: judgement.verdict, from, to, from_source })
        })
    }
}

const SECOND_NS: i64 = 1_000_000_000;
/// How far an event's time may lie before and after its receipt to be believed; else the receipt counts, or a forged time would make an hour
/// of its own.
const BEFORE_NS: i64 = 7 * 86_400 * SECOND_NS;
const AFTER_NS: i64 = 300 * SECOND_NS;

/// When an event happened, as far as its own time is to be believed: in this hour it is counted, what it says of who was heard and what
/// passed, and by this time exceptions hold for it. Where it is not known when it was received, it is.
pub fn believed(event: EventRef<'_>) -> Time {
    let ahead_ns = event.time().since_ns(event.received());
    let is_near = event.received() == Time::UNKNOWN || (-BEFORE_NS..=AFTER_NS).contains(&ahead_ns);
    if is_near { event.time() } else { event.received() }
}

/// Whether a word that a device writes means that it let something pass.
pub(crate) fn passed_word(word: &str) -> Option<bool> {
    const DENIED: [&str; 12] = [
        "denied",
        "deny",
        "drop",
        "dropped",
        "block",
        "blocked",
        "reject",
        "rejected",
        "reset",
        "discard",
        "prevented",
        "refused",
    ];
    const PASSED: [&str; 10] = [
        "allowed",
        "allow",
        "accept",
        "accepted",
        "permit",
        "permitted",
        "pass",
        "passed",
        "connection-started",
        "flow-expiration",
    ];
    let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
    if is(&DENIED) {
        Some(false)
    } else if is(&PASSED) {
        Some(true)
    } else {
        None
    }
}
