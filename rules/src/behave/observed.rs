//! What a batch tells of, read off its records: that hangs on no other batch, so it is done where batches are decoded side by side, once for
//! the zone policy and for the behaviours. What hangs on what came before is left to [`super::Behaviour`], in the order of the log.

use event::{Batch, EventRef, Time};

use super::conversation::RecordJudge;
use super::observe::{Observation, Observer};
use crate::policy::Policy;

/// The observations of a batch.
#[derive(Debug, Default)]
pub struct Observed {
    /// In the order of the batch, each with when it was received, in nanoseconds since 1970. Their time is the events' own, whatever
    /// lateness allows.
    pub(super) observations: Vec<(i64, Observation)>,
    /// The texts of them all.
    pub(super) text: String,
    /// Some event had no time of receipt yet, see [`Batch::settle_received`].
    pub(super) is_unsettled: bool,
}

impl Observed {
    /// Reads the events of a batch; where there is a policy, writes its verdicts on them as [`Policy::annotate`] does.
    pub fn read(batch: &mut Batch, policy: Option<&Policy>) -> Observed {
        let Some(policy) = policy else { return Observed::of(batch, false) };
        let (mut observed, mut observer, mut judge) = (Observed::room(batch), Observer::new(true), RecordJudge::new());
        batch.annotate(|event, notes| {
            let is_observed = observed.observe(&mut observer, event);
            let said = match observed.observations.last().filter(|_| is_observed) {
                Some((_, o)) if o.is_between_two() => Some(RecordJudge::judge_observed(o, &observed.text, policy)),
                // Also what shows no behaviour may be a communication.
                _ => judge.judge(event, policy),
            };
            if let Some((judgement, from_source)) = said {
                policy.note(&judgement, from_source, notes);
            }
        });
        observed
    }

    /// Reads the events of a batch. `policy`: whether there is one, for which alone some records count.
    pub(super) fn of(batch: &Batch, policy: bool) -> Observed {
        let (mut observed, mut observer) = (Observed::room(batch), Observer::new(policy));
        for event in batch.iter() {
            observed.observe(&mut observer, event);
        }
        observed
    }

    fn room(batch: &Batch) -> Observed {
        Observed { observations: Vec::with_capacity(batch.len()), ..Observed::default() }
    }

    /// Whether the event tells of something.
    fn observe(&mut self, observer: &mut Observer, event: EventRef<'_>) -> bool {
        self.is_unsettled |= event.received() == Time::UNKNOWN;
        let o = observer.observe(event, event.time().unix_ns(), &mut self.text);
        let is_observed = o.is_some();
        self.observations.extend(o.map(|o| (event.received().unix_ns(), o)));
        is_observed
    }
}
