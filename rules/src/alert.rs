//! Alerts: what the on-call is told. The body is canonical: the same log gives the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{EventId, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::text_map::TextMap;

/// Events that an alert names; of more, the first ones and the last.
pub const EVIDENCE_MAX: usize = 50;
/// Fields of the first event that an alert shows.
pub const FIELDS_MAX: usize = 24;
/// Bytes of one value that an alert shows.
pub const VALUE_BYTES_MAX: usize = 512;

/// A text by language (`ja`, `en`). The alerts of a rule share theirs: they may come by the thousand, and say the same.
pub type ByLanguage = Arc<BTreeMap<String, String>>;

/// The rule that an alert comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AlertRule {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// informational, low, medium, high or critical.
    pub level: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// `sigma`, `correlation` or `behaviour`.
    pub kind: String,
}

/// An alert's body.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Alert {
    /// 32 hexadecimal digits; see [`alert_id`].
    pub id: String,
    /// The tenant's number.
    pub tenant: u32,
    /// The rule.
    #[serde(with = "shared")]
    pub rule: Arc<AlertRule>,
    /// Its titles by language (`ja`, `en`).
    #[serde(default, with = "shared", skip_serializing_if = "says_nothing")]
    pub title: ByLanguage,
    /// What it means, by language.
    #[serde(default, with = "shared", skip_serializing_if = "says_nothing")]
    pub meaning: ByLanguage,
    /// What to do first, by language.
    #[serde(default, with = "shared", skip_serializing_if = "says_nothing")]
    pub first_steps: ByLanguage,
    /// What else it may be, by language.
    #[serde(default, with = "shared", skip_serializing_if = "says_nothing")]
    pub false_positives: ByLanguage,
    /// The clause of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// What tells it apart from other alerts of the rule.
    pub group: TextMap,
    /// When its window began: of a plain rule the period in which repeats fold, else when the first event of it happened.
    pub window_start: Time,
    /// When the first event of it happened.
    pub first: Time,
    /// When the last event so far happened.
    pub last: Time,
    /// How often the rule has fired for it.
    pub count: u64,
    /// Events that show it.
    pub evidence: Vec<EventId>,
    /// Fields of the first event.
    pub fields: TextMap,
    /// Of a behaviour: every number that led to the alert, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub explanation: BTreeMap<String, String>,
}

/// What several alerts share is written in each of them.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        (**value).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

fn says_nothing(text: &ByLanguage) -> bool {
    text.is_empty()
}

/// A new alert, or one that has folded a repeat.
#[derive(Clone, Debug, PartialEq)]
pub enum AlertChange {
    /// Not seen before.
    New(Alert),
    /// The same id with a higher count, a later end and more evidence.
    Updated(Alert),
}

impl AlertChange {
    /// The alert as it is now.
    pub fn alert(&self) -> &Alert {
        match self {
            AlertChange::New(alert) | AlertChange::Updated(alert) => alert,
        }
    }
}

/// The id: the first 16 bytes of SHA-256 over tenant, rule, group and the beginning of its window. No clock, no chance.
pub fn alert_id(tenant: u32, rule: &str, group: &TextMap, window_start: Time) -> String {
    let mut hash = Sha256::new();
    hash.update(tenant.to_le_bytes());
    for part in std::iter::once(rule).chain(group.iter().flat_map(|(k, v)| [k, v])) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(window_start.unix_ns().to_le_bytes());
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut id = String::with_capacity(32);
    for byte in &hash.finalize()[..16] {
        id.push(digit(byte >> 4));
        id.push(digit(byte & 15));
    }
    id
}

impl Alert {
    /// The body as canonical JSON: fixed order of members, sorted maps.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an alert is serialisable")
    }
}
