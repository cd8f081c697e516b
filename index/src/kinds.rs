//! What kinds of values the fields have that have no column of their own: noted as they are written, so that nothing is opened to tell them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tantivy::columnar::ColumnType;
use tantivy::schema::OwnedValue;

/// What values a field has, as Elasticsearch calls them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueKind {
    Long,
    Double,
    Boolean,
    Ip,
    Date,
    Keyword,
}

/// Fields and what values they have.
pub(crate) type Kinds = BTreeMap<String, ValueKind>;

impl ValueKind {
    /// Its name in Elasticsearch.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueKind::Long => "long",
            ValueKind::Double => "double",
            ValueKind::Boolean => "boolean",
            ValueKind::Ip => "ip",
            ValueKind::Date => "date",
            ValueKind::Keyword => "keyword",
        }
    }

    /// That of a value.
    pub(crate) fn of_value(value: &OwnedValue) -> ValueKind {
        match value {
            OwnedValue::I64(_) | OwnedValue::U64(_) => ValueKind::Long,
            OwnedValue::F64(_) => ValueKind::Double,
            OwnedValue::Bool(_) => ValueKind::Boolean,
            _ => ValueKind::Keyword,
        }
    }

    /// That of the values in a column.
    pub(crate) fn of_column(column: ColumnType) -> ValueKind {
        match column {
            ColumnType::I64 | ColumnType::U64 => ValueKind::Long,
            ColumnType::F64 => ValueKind::Double,
            ColumnType::Bool => ValueKind::Boolean,
            ColumnType::IpAddr => ValueKind::Ip,
            ColumnType::DateTime => ValueKind::Date,
            ColumnType::Str | ColumnType::Bytes => ValueKind::Keyword,
        }
    }

    /// What values of both kinds are together: all numbers, or all texts.
    pub(crate) fn and(self, other: ValueKind) -> ValueKind {
        let is_number = |kind| matches!(kind, ValueKind::Long | ValueKind::Double);
        match (self, other) {
            (one, same) if one == same => one,
            (one, other) if is_number(one) && is_number(other) => ValueKind::Double,
            _ => ValueKind::Keyword,
        }
    }
}

/// Notes that a field has values of this kind too.
pub(crate) fn add_kind(kinds: &mut Kinds, name: &str, kind: ValueKind) {
    match kinds.get_mut(name) {
        None => drop(kinds.insert(name.to_owned(), kind)),
        Some(before) => *before = before.and(kind),
    }
}
