//! What a correlation asks of its windows, worked out when rules are loaded.

use crate::sigma::condition::{self, Condition};
use crate::sigma::correlation::{Correlation, Kind};
use crate::sigma::item::{Number, Order};

/// Rules of a `temporal_ordered` correlation that counts how many came in order: its state grows with their square.
const ORDERED_COUNT_RULES_MAX: usize = 16;

/// What a correlation asks. A *place* is a rule's place in the correlation's list.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    /// What is measured.
    pub(super) measure: Measure,
    /// What the measure must satisfy, where it is a number.
    pub(super) bounds: Vec<(Order, Number)>,
    /// The window, in nanoseconds; both edges belong to it.
    pub(super) timespan_ns: i64,
    /// How many rules it is about.
    pub(super) places: usize,
    /// Per place whether its rule must happen; a rule that is only negated decides nothing when it happens.
    pub(super) wanted: Vec<bool>,
    /// Whether it asks that something does not happen, so that it is decided when its window has ended.
    pub(super) absence: bool,
}

/// What is measured in a window.
#[derive(Clone, Debug)]
pub(super) enum Measure {
    /// The number of events.
    Events,
    /// The number of different values.
    Values,
    /// The sum of the values.
    Sum,
    /// Their average.
    Average,
    /// The value of this rank, 0 to 1, interpolated.
    Rank(f64),
    /// The number of different rules.
    Rules,
    /// Which rules have happened.
    Formula(Formula),
    /// Whether rules have happened in their order: per place its step, and how many steps there are. The rules without a step must not
    /// happen from the first step to the window's end.
    Chain {
        /// Per place its step.
        step: Vec<Option<u16>>,
        /// How many steps there are.
        steps: u16,
    },
    /// How many of the rules have happened in their order.
    Ordered,
}

/// A condition over rules by their places.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    Fired(u16),
    Not(Box<Formula>),
    And(Vec<Formula>),
    Or(Vec<Formula>),
    AtLeast(usize, Vec<u16>),
}

impl Formula {
    /// Whether it holds. `fired(place, negated)`: whether the rule counts as happened, where it stands under an odd number of `not`s.
    pub(super) fn holds(&self, negated: bool, fired: &impl Fn(u16, bool) -> bool) -> bool {
        match self {
            Formula::Fired(place) => fired(*place, negated),
            Formula::Not(inner) => !inner.holds(!negated, fired),
            Formula::And(all) => all.iter().all(|f| f.holds(negated, fired)),
            Formula::Or(any) => any.iter().any(|f| f.holds(negated, fired)),
            Formula::AtLeast(n, places) => places.iter().filter(|p| fired(**p, negated)).count() >= *n,
        }
    }

    fn places(&self, negated: bool, found: &mut impl FnMut(u16, bool)) {
        match self {
            Formula::Fired(place) => found(*place, negated),
            Formula::Not(inner) => inner.places(!negated, found),
            Formula::And(of) | Formula::Or(of) => of.iter().for_each(|f| f.places(negated, found)),
            Formula::AtLeast(_, places) => places.iter().for_each(|p| found(*p, negated)),
        }
    }

    /// Whether only `and`, `all of` and `not` of single rules connect it, so that an order of its rules makes sense.
    fn is_conjunction(&self) -> bool {
        match self {
            Formula::Fired(_) => true,
            Formula::Not(inner) => matches!(**inner, Formula::Fired(_)),
            Formula::And(all) => all.iter().all(Formula::is_conjunction),
            Formula::AtLeast(n, places) => *n == places.len(),
            Formula::Or(_) => false,
        }
    }
}

impl Asks {
    /// Works out what `written` asks. `called` gives the names of each of its rules: as the correlation writes it, its id, its name.
    ///
    /// # Errors
    /// Says what makes no sense.
    pub(crate) fn new(written: &Correlation, called: &[Vec<String>]) -> Result<Asks, String> {
        let places = called.len();
        let mut asks = Asks {
            measure: Measure::Events,
            bounds: written.bounds.clone(),
            timespan_ns: written.timespan_ns,
            places,
            wanted: vec![true; places],
            absence: false,
        };
        asks.measure = match (written.kind, &written.extended) {
            (Kind::EventCount, _) => Measure::Events,
            (Kind::ValueCount, _) => Measure::Values,
            (Kind::ValueSum, _) => Measure::Sum,
            (Kind::ValueAvg, _) => Measure::Average,
            (Kind::ValuePercentile, _) => Measure::Rank(written.percentile / 100.0),
            (Kind::ValueMedian, _) => Measure::Rank(0.5),
            (Kind::Temporal, None) if asks.bounds.is_empty() => {
                asks.bounds.push((Order::Gte, Number::Int(places as i128)));
                Measure::Rules
            }
            (Kind::Temporal, None) => Measure::Rules,
            (Kind::TemporalOrdered, None) if asks.bounds.is_empty() => {
                Measure::Chain { step: (0..places as u16).map(Some).collect(), steps: places as u16 }
            }
            (Kind::TemporalOrdered, None) if places > ORDERED_COUNT_RULES_MAX => {
                return Err(format!("temporal_ordered with a number is about {ORDERED_COUNT_RULES_MAX} rules at most"));
            }
            (Kind::TemporalOrdered, None) => Measure::Ordered,
            (kind, Some(condition)) => {
                let formula = formula(condition, called)?;
                let (mut wanted, mut refused) = (vec![false; places], vec![false; places]);
                formula.places(false, &mut |place, negated| {
                    let of = if negated { &mut refused } else { &mut wanted };
                    of[usize::from(place)] = true;
                });
                if !wanted.contains(&true) {
                    return Err("the condition names no rule that must happen".to_owned());
                }
                asks.absence = refused.contains(&true);
                asks.wanted.clone_from(&wanted);
                if kind == Kind::Temporal {
                    Measure::Formula(formula)
                } else if formula.is_conjunction() {
                    let mut steps = 0;
                    let step = wanted.iter().map(|wanted| {
                        wanted.then(|| {
                            steps += 1;
                            steps - 1
                        })
                    });
                    let step = step.collect();
                    Measure::Chain { step, steps }
                } else {
                    return Err("temporal_ordered takes `and`, `all of` and `not` only: the rest says no order".to_owned());
                }
            }
        };
        Ok(asks)
    }

    /// Whether the number satisfies the bounds.
    pub(super) fn within(&self, n: Number) -> bool {
        self.bounds.iter().all(|(order, bound)| n.compare(*order, *bound))
    }

    /// Whether what is measured is a number of events or values.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.measure, Measure::Events | Measure::Values)
    }

    /// Whether a window of few events may satisfy it, so that most alerts name all of them.
    pub(super) fn fires_early(&self) -> bool {
        !self.absence && matches!(self.measure, Measure::Rules | Measure::Formula(_) | Measure::Chain { .. } | Measure::Ordered)
    }

    /// Whether a match must bring a number.
    pub(super) fn adds_up(&self) -> bool {
        matches!(self.measure, Measure::Sum | Measure::Average | Measure::Rank(_))
    }

    /// Whether a match must bring a value.
    pub(super) fn counts_values(&self) -> bool {
        matches!(self.measure, Measure::Values) || self.adds_up()
    }
}

fn formula(condition: &Condition, called: &[Vec<String>]) -> Result<Formula, String> {
    let all = |of: &[Condition]| of.iter().map(|c| formula(c, called)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::Name(name) => {
            let place = called.iter().position(|names| names.contains(name));
            Formula::Fired(place.ok_or_else(|| format!("the condition names {name:?}, which is not among the rules"))? as u16)
        }
        Condition::Not(inner) => Formula::Not(Box::new(formula(inner, called)?)),
        Condition::And(of) => Formula::And(all(of)?),
        Condition::Or(of) => Formula::Or(all(of)?),
        Condition::Of(count, pattern) => {
            let meant = (0..called.len()).filter(|at| called[*at].iter().any(|name| condition::means(pattern, name)));
            let meant: Vec<u16> = meant.map(|at| at as u16).collect();
            if meant.is_empty() {
                return Err(format!("no rule is named like {pattern:?}"));
            }
            Formula::AtLeast(count.unwrap_or(meant.len()), meant)
        }
    })
}

/// Per rule how deep the correlations lie that feed it: 0 for plain rules, none where it feeds itself by some way. `listeners` names per
/// rule the correlations that it feeds.
pub(crate) fn ranks(listeners: &[Vec<(usize, u16)>]) -> Vec<Option<u32>> {
    let mut feeders = vec![0usize; listeners.len()];
    for (outer, _) in listeners.iter().flatten() {
        feeders[*outer] += 1;
    }
    let mut ranks = vec![None; listeners.len()];
    let mut depth = vec![0u32; listeners.len()];
    let mut ready: Vec<usize> = (0..listeners.len()).filter(|rule| feeders[*rule] == 0).collect();
    while let Some(rule) = ready.pop() {
        ranks[rule] = Some(depth[rule]);
        for (outer, _) in &listeners[rule] {
            depth[*outer] = depth[*outer].max(depth[rule] + 1);
            feeders[*outer] -= 1;
            if feeders[*outer] == 0 {
                ready.push(*outer);
            }
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_go_from_the_inside_out_and_cycles_have_none() {
        // 0 feeds 1 and 2, 1 feeds 2; 3 and 4 feed each other, and 4 feeds 5.
        let listeners = [vec![(1, 0), (2, 0)], vec![(2, 1)], vec![], vec![(4, 0)], vec![(3, 0), (5, 0)], vec![]];
        assert_eq!(ranks(&listeners), [Some(0), Some(1), Some(2), None, None, None]);
    }
}
