//! Gates: for each rule a set of tests, one of which must hold (or, where absence satisfies it, fail) for the rule to hold. Only rules with
//! an open gate are evaluated.

use crate::sigma::item::Expr;

/// Tests one of which must hold (fail), and the guessed share of events for which one does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gate {
    pub(super) tests: Vec<u32>,
    pub(super) share: f64,
}

/// The guessed or counted shares of events for which a test holds, and for which it does not; none where it can do so with nothing
/// there to open a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) holds: Option<f64>,
    pub(super) fails: Option<f64>,
}

impl Gate {
    fn never() -> Gate {
        Gate { tests: Vec::new(), share: 0.0 }
    }
}

/// The cheapest gate of a condition. None where the condition can hold with no test that holds: absence satisfies it, or a
/// negation. A gate without tests belongs to a condition that can never hold.
pub(super) fn gate_of(expr: &Expr<u32>, share_of: &impl Fn(u32) -> Share) -> Option<Gate> {
    match expr {
        Expr::Atom(test) => share_of(*test).holds.map(|share| Gate { tests: vec![*test], share }),
        Expr::And(all) => cheapest(all.iter().filter_map(|e| gate_of(e, share_of))),
        Expr::Or(any) => together(any.iter().map(|e| gate_of(e, share_of))),
        Expr::AtLeast(n, of) => at_least(*n, of, share_of),
        Expr::Not(inner) => gate_of_not(inner, share_of),
        Expr::Named(_, inner) => gate_of(inner, share_of),
    }
}

/// The gate of `not expr`.
fn gate_of_not(expr: &Expr<u32>, share_of: &impl Fn(u32) -> Share) -> Option<Gate> {
    match expr {
        Expr::Atom(test) => share_of(*test).fails.map(|share| Gate { tests: vec![*test], share }),
        Expr::AtLeast(..) => None,
        Expr::And(all) => together(all.iter().map(|e| gate_of_not(e, share_of))),
        Expr::Or(any) => cheapest(any.iter().filter_map(|e| gate_of_not(e, share_of))),
        Expr::Not(inner) => gate_of(inner, share_of),
        Expr::Named(_, inner) => gate_of_not(inner, share_of),
    }
}

fn cheapest(gates: impl Iterator<Item = Gate>) -> Option<Gate> {
    gates.min_by(|a, b| a.share.total_cmp(&b.share).then(a.tests.len().cmp(&b.tests.len())))
}

fn together(gates: impl Iterator<Item = Option<Gate>>) -> Option<Gate> {
    let mut all = Gate::never();
    for gate in gates {
        let gate = gate?;
        all.tests.extend(gate.tests);
        all.share += gate.share;
    }
    all.tests.sort_unstable();
    all.tests.dedup();
    Some(all)
}

/// Where at least `n` of `m` hold, one holds of any `m - n + 1` of them.
fn at_least(n: usize, of: &[Expr<u32>], share_of: &impl Fn(u32) -> Share) -> Option<Gate> {
    if n == 0 {
        return None;
    }
    if n > of.len() {
        return Some(Gate::never());
    }
    let mut gates: Vec<Gate> = of.iter().filter_map(|e| gate_of(e, share_of)).collect();
    gates.sort_by(|a, b| a.share.total_cmp(&b.share));
    let enough = of.len() - n + 1;
    if gates.len() < enough {
        return None;
    }
    gates.truncate(enough);
    together(gates.into_iter().map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_necessary_and_cheap() {
        use Expr::{And, AtLeast, Atom, Not, Or};
        let not = |e| Not(Box::new(e));
        // Test 9 can hold by absence, and needs presence to fail.
        let share = |test: u32| match test {
            9 => Share { holds: None, fails: Some(0.06) },
            _ => Share { holds: Some(f64::from(test) / 100.0), fails: None },
        };
        let gate = |expr: &Expr<u32>| gate_of(expr, &share).map(|gate| gate.tests);
        assert_eq!(gate(&And(vec![Atom(5), Or(vec![Atom(1), Atom(2)])])), Some(vec![1, 2]));
        assert_eq!(gate(&And(vec![Atom(9), Atom(5)])), Some(vec![5]));
        assert_eq!(gate(&Or(vec![Atom(9), Atom(5)])), None);
        assert_eq!(gate(&And(vec![Atom(4), not(Atom(1))])), Some(vec![4]));
        assert_eq!(gate(&not(Atom(1))), None);
        assert_eq!(gate(&not(Atom(9))), Some(vec![9]));
        assert_eq!(gate(&And(vec![not(Atom(9)), Atom(7)])), Some(vec![9]));
        assert_eq!(gate(&not(Or(vec![Atom(1), not(Atom(3))]))), Some(vec![3]));
        assert_eq!(gate(&not(And(vec![not(Atom(1)), not(Atom(3))]))), Some(vec![1, 3]));
        assert_eq!(gate(&AtLeast(2, vec![Atom(7), Atom(1), Atom(2)])), Some(vec![1, 2]));
        assert_eq!(gate(&AtLeast(1, vec![Atom(9), Atom(1)])), None);
        assert_eq!(gate(&AtLeast(2, vec![Atom(9), Atom(1)])), Some(vec![1]));
        assert_eq!(gate(&AtLeast(0, vec![Atom(1)])), None);
        assert_eq!(gate(&AtLeast(3, vec![Atom(1)])), Some(vec![]));
        assert_eq!(gate(&And(vec![])), None);
        assert_eq!(gate(&Or(vec![])), Some(vec![]));
    }
}
