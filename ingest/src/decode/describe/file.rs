//! A description as it stands in its file. See `docs/formats.md`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The format's name, for `mihari.format` and for pins.
    pub(super) name: String,
    /// Further names that a pin may use.
    #[serde(default)]
    pub(super) also: Vec<String>,
    /// What the format is and where its vendor documents it; for readers.
    #[serde(default, rename = "about")]
    _about: String,
    /// The program's names in the syslog header; `postfix/*` stands for all that begin so.
    #[serde(default)]
    pub(super) apps: Vec<String>,
    /// Whether a record with no program's name is tried too, where there are `apps`.
    #[serde(default)]
    pub(super) bare: bool,
    /// Whether a record of these `apps` that no line fits is of this format all the same.
    #[serde(default = "yes")]
    pub(super) claims: bool,
    /// Formats of a lower rank are asked first.
    #[serde(default = "rank")]
    pub(super) rank: u8,
    #[serde(default)]
    pub(super) source: Source,
    /// What stands before the vendor's own keys; else the name and a dot.
    pub(super) native: Option<String>,
    /// Descriptions whose keys and values this one takes over.
    #[serde(default)]
    pub(super) base: Vec<String>,
    /// The zone of stamps without an offset, where its makers always write them in one; else it is the sender's.
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) set: Constants,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) keys: BTreeMap<String, Some1>,
    #[serde(default)]
    pub(super) values: BTreeMap<String, BTreeMap<String, Action>>,
    #[serde(default)]
    pub(super) parts: BTreeMap<String, Vec<Line>>,
    /// Records and what must come of them: for the tests, and to see what records seldom hold.
    #[serde(default)]
    pub(super) cases: Vec<Case>,
}

fn yes() -> bool {
    true
}

fn rank() -> u8 {
    5
}

/// Fields and what they hold.
pub(super) type Constants = BTreeMap<String, Some1>;

/// A Sigma log source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) product: Option<String>,
    pub(super) category: Option<String>,
    pub(super) service: Option<String>,
}

/// One value or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Some1 {
    One(Scalar),
    Many(Vec<Scalar>),
}

impl Some1 {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Scalar> {
        match self {
            Some1::One(one) => std::slice::from_ref(one).iter(),
            Some1::Many(many) => many.iter(),
        }
    }
}

/// A value without parts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Scalar {
    Null(()),
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Null(()) => Ok(()),
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Int(n) => n.fmt(f),
            Scalar::Float(n) => n.fmt(f),
            Scalar::Text(text) => text.fmt(f),
        }
    }
}

/// What a value means: another text in its place, or cells.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Action {
    Set(Constants),
    Write(Scalar),
}

/// A template, alone or with what goes with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Plain(String),
    Full(FullLine),
}

/// A template with what goes with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullLine {
    pub(super) line: Some1,
    #[serde(default)]
    pub(super) set: Constants,
    pub(super) source: Option<Source>,
    /// Names of the columns of the `csv` capture: keys, or `_`.
    #[serde(default)]
    pub(super) columns: Vec<String>,
    /// Keys that `pairs`, `cef` or `json` must hold.
    #[serde(default)]
    pub(super) has: Vec<String>,
    /// Keys that must hold one of these values.
    #[serde(default)]
    pub(super) is: BTreeMap<String, Some1>,
}

/// A record and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    #[serde(default, rename = "name")]
    pub(super) _name: String,
    pub(super) raw: String,
    /// The format that the record is in, where it is not the file's.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests run them"))]
    pub(super) format: Option<String>,
    /// Fields and values; null: no such field.
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests run them"))]
    pub(super) expect: Constants,
}
