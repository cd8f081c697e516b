//! What is wrong within one document of a rule file, and where.

use crate::yaml::Node;

/// What is wrong, and where a person finds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The keys that lead there, outermost first; the last may be a value.
    pub place: Vec<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    /// Something wrong at `place`.
    pub fn new(place: &[&str], reason: impl Into<String>) -> Fault {
        Fault { place: place.iter().map(|key| (*key).to_owned()).collect(), reason: reason.into(), hint: None }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Fault {
        self.hint = hint;
        self
    }

    /// The same of one value there.
    #[must_use]
    pub fn at(mut self, value: &str) -> Fault {
        self.place.push(value.to_owned());
        self
    }

    /// The same seen from without: it lies below `key`.
    #[must_use]
    pub fn below(mut self, key: &str) -> Fault {
        self.place.insert(0, key.to_owned());
        self
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Fault {
        Fault::new(&[], reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Fault {
        Fault::new(&[], reason)
    }
}

/// The results where all went well, else everything that did not.
pub(crate) fn all<T>(results: impl IntoIterator<Item = Result<T, Vec<Fault>>>) -> Result<Vec<T>, Vec<Fault>> {
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => good.push(one),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}

/// Letters that may be wrong in a word for it to be taken for another one: a third of them.
const WRONG_SHARE: usize = 3;

/// Asks whether a word of `known` was meant where `word` stands; nothing where none is like it.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let distance = |other: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.chars().count().div_ceil(WRONG_SHARE)).then(|| format!("did you mean {nearest:?}?"))
}

/// Keys of `node` that mean nothing there, each told with the one that was probably meant.
pub(crate) fn unknown_keys(node: &Node, known: &[&str]) -> Vec<Fault> {
    let Node::Map(entries) = node else { return Vec::new() };
    let unknown = entries.iter().map(|(key, _)| key).filter(|key| !known.contains(&key.as_str()));
    let told =
        |key: &String| Fault::new(&[key], format!("{key:?} means nothing here")).hint(did_you_mean(key, known.iter().copied()));
    unknown.map(told).collect()
}

/// The same where keys of one's own are allowed: only those that are like one of `known`.
pub(crate) fn misspelt_keys(node: &Node, known: &[&str]) -> Vec<Fault> {
    unknown_keys(node, known).into_iter().filter(|fault| fault.hint.is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_taken_for_one_that_is_like_it() {
        let known = ["contains", "startswith", "re", "cidr"];
        assert_eq!(did_you_mean("contians", known).as_deref(), Some("did you mean \"contains\"?"));
        assert_eq!(did_you_mean("CIDRR", known).as_deref(), Some("did you mean \"cidr\"?"));
        assert_eq!(did_you_mean("elephant", known), None);
        assert_eq!(did_you_mean("x", []), None);
    }
}
