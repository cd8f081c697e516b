//! What rules may grow to. A short text can ask for much: the bounds of a single item count as often as there are items. So what is made of one document
//! is counted, and what is made of all that is loaded together.

use std::cell::Cell;

use regex::{Regex, RegexBuilder};

use super::placeholder::Placeholders;
use crate::fault::Fault;

/// How much may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Tests of values, after everything is spelt out. One takes up to a kilobyte.
    pub tests: usize,
    /// Bytes of compiled regular expressions.
    pub regex_bytes: usize,
    /// Nodes of conditions, with the parts that they name in their places.
    pub nodes: usize,
}

impl Budget {
    /// Of one document.
    pub const DOCUMENT: Budget = Budget { tests: 32 << 10, regex_bytes: 32 << 20, nodes: 128 << 10 };
    /// Of what somebody sends over the network.
    pub const REQUEST: Budget = Budget { tests: 64 << 10, regex_bytes: 64 << 20, nodes: 256 << 10 };
    /// Of files: forty times what all public rules need.
    pub const FILES: Budget = Budget { tests: 2 << 20, regex_bytes: 1 << 30, nodes: 8 << 20 };
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::FILES
    }
}

/// What detections are read with.
pub struct Reading<'r> {
    pub(super) placeholders: &'r Placeholders,
    most: Budget,
    left_of_document: Cell<Budget>,
    left_of_all: Cell<Budget>,
}

/// A part of a budget.
type Kind = fn(&mut Budget) -> &mut usize;

/// Sizes of compiled regular expressions: one counts as the smallest that is enough.
const REGEX_BYTES: [usize; 5] = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];

impl<'r> Reading<'r> {
    /// With these values of placeholders, all documents together within `most`.
    pub fn new(placeholders: &'r Placeholders, most: Budget) -> Reading<'r> {
        Reading { placeholders, most, left_of_document: Cell::new(Budget::DOCUMENT), left_of_all: Cell::new(most) }
    }

    /// The values of placeholders.
    pub(crate) fn placeholders(&self) -> &'r Placeholders {
        self.placeholders
    }

    /// Another document begins.
    pub(crate) fn next_document(&self) {
        self.left_of_document.set(Budget::DOCUMENT);
    }

    /// One more test.
    pub(super) fn take_test(&self) -> Result<(), Fault> {
        self.take("tests of values", 1, |budget| &mut budget.tests)
    }

    /// So many more nodes of a condition.
    pub(crate) fn take_nodes(&self, count: usize) -> Result<(), Fault> {
        self.take("nodes of conditions", count, |budget| &mut budget.nodes)
    }

    /// One more regular expression, which is not even read where nothing is left.
    pub(super) fn take_regex(&self, read: impl FnOnce() -> Result<Regex, Fault>) -> Result<Regex, Fault> {
        let take = |bytes| self.take("bytes of compiled regular expressions", bytes, |budget| &mut budget.regex_bytes);
        take(1)?;
        let regex = read()?;
        let fits = |bytes: &usize| RegexBuilder::new(regex.as_str()).size_limit(*bytes).build().is_ok();
        take(REGEX_BYTES.into_iter().find(fits).unwrap_or(REGEX_BYTES[REGEX_BYTES.len() - 1]))?;
        Ok(regex)
    }

    /// Once something is refused, nothing of its kind is left.
    fn take(&self, what: &str, count: usize, kind: Kind) -> Result<(), Fault> {
        let budgets = [
            (&self.left_of_document, Budget::DOCUMENT, "one document"),
            (&self.left_of_all, self.most, "all that is loaded together"),
        ];
        for (budget, mut most, whose) in budgets {
            let mut left = budget.get();
            let rest = kind(&mut left).checked_sub(count);
            *kind(&mut left) = rest.unwrap_or(0);
            budget.set(left);
            if rest.is_none() {
                let reason = format!("more than {} {what}, the bound of {whose}", kind(&mut most));
                return Err(Fault::new(&[], reason).hint(Some("write fewer values, or simpler ones".to_owned())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::LoadOptions;
    use crate::ruleset::{Problem, load};

    fn rule(number: usize, detection: &str) -> String {
        format!("title: T{number}\nlogsource: {{category: any}}\ndetection:\n{detection}")
    }

    /// How many rules are loaded within `budget`, and what was refused.
    fn loaded(text: &str, budget: Budget) -> (usize, Vec<Problem>) {
        let options = LoadOptions { budget, ..LoadOptions::default() };
        let (set, problems) = load(&[("rules".to_owned(), text.to_owned())], &options);
        (set.rules().len(), problems.into_iter().filter(|problem| problem.refused).collect())
    }

    #[test]
    fn a_document_is_refused_that_grows_beyond_a_bound() {
        let windash = |n| (0..n).map(|at| format!("    f{at}|windash: ' -a -b -c -d -e'\n")).collect::<String>();
        let regexes = |n| (0..n).map(|at| format!("    f{at}|re: '\\w{{100}}{at}'\n")).collect::<String>();
        let parts = |n: usize, of: usize| {
            let parts = (0..n).map(|at| format!("  s{at}: {{f: {at}}}\n")).collect::<String>();
            format!("{parts}  condition: {}\n", vec!["1 of s*"; of].join(" or "))
        };
        for (detection, bound) in [
            (format!("  s:\n{}  condition: s\n", windash(40)), "32768 tests of values"),
            (format!("  s:\n{}  condition: s\n", regexes(40)), "33554432 bytes of compiled regular expressions"),
            (parts(400, 400), "131072 nodes of conditions"),
        ] {
            let (rules, refused) = loaded(&rule(0, &detection), Budget::FILES);
            assert_eq!(rules, 0, "{bound}");
            assert!(
                refused.iter().all(|p| p.reason.contains(bound) && p.reason.contains("one document") && p.line > 3),
                "{refused:?}"
            );
            assert!(!refused.is_empty(), "{bound}");
        }
        for detection in [format!("  s:\n{}  condition: s\n", windash(4) + &regexes(1)), parts(20, 20)] {
            assert_eq!(loaded(&rule(0, &detection), Budget::FILES), (1, Vec::new()));
        }
    }

    #[test]
    fn what_is_loaded_together_is_bounded_too() {
        let many: Vec<String> = (0..10).map(|n| rule(n, "  s:\n    f: [1, 2, 3]\n  condition: s\n")).collect();
        let many = many.join("---\n");
        assert_eq!(loaded(&many, Budget::REQUEST).0, 10);
        let (rules, refused) = loaded(&many, Budget { tests: 20, ..Budget::REQUEST });
        assert_eq!((rules, refused.len()), (5, 5), "an item counts as a test, and so does each value");
        assert!(
            refused.iter().all(|p| p.reason.contains("more than 20 tests of values, the bound of all that is loaded together"))
        );
        let filter = "title: F\nlogsource: {category: any}\nfilter: {rules: any, s: {g: 1}, condition: not s}\n";
        let filters = [many, [filter; 10].join("---\n")].join("---\n");
        assert_eq!(loaded(&filters, Budget::REQUEST), (10, Vec::new()));
        let (rules, refused) = loaded(&filters, Budget { nodes: 100, ..Budget::REQUEST });
        assert!(
            rules == 10 && refused.iter().all(|p| p.reason.contains("more than 100 nodes")) && !refused.is_empty(),
            "{refused:?}"
        );
    }
}
