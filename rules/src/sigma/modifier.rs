//! The modifiers of a detection item: which there are, and which of them contradict each other.

use crate::fault::{Fault, did_you_mean};

/// What a modifier does with its item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// How values join to one answer.
    Join,
    /// Where in the value a text stands.
    Place,
    /// Case counts.
    Cased,
    /// The value is a regular expression.
    Expression,
    /// Case does not count in a regular expression.
    Caseless,
    /// How a regular expression is read.
    Flag,
    /// The value is a network.
    Network,
    /// The value says whether the field is there.
    Presence,
    /// The value is another field.
    Reference,
    /// The value is a number, compared so.
    Order,
    /// The value is a part of a time.
    TimePart,
    /// The text is looked for in another form.
    Encoding,
    /// The value has placeholders.
    Expand,
}

const MODIFIERS: [(&str, Role); 34] = [
    ("all", Role::Join),
    ("neq", Role::Join),
    ("contains", Role::Place),
    ("startswith", Role::Place),
    ("endswith", Role::Place),
    ("cased", Role::Cased),
    ("re", Role::Expression),
    ("i", Role::Caseless),
    ("ignorecase", Role::Caseless),
    ("m", Role::Flag),
    ("multiline", Role::Flag),
    ("s", Role::Flag),
    ("dotall", Role::Flag),
    ("cidr", Role::Network),
    ("exists", Role::Presence),
    ("fieldref", Role::Reference),
    ("gt", Role::Order),
    ("gte", Role::Order),
    ("lt", Role::Order),
    ("lte", Role::Order),
    ("minute", Role::TimePart),
    ("hour", Role::TimePart),
    ("day", Role::TimePart),
    ("week", Role::TimePart),
    ("month", Role::TimePart),
    ("year", Role::TimePart),
    ("windash", Role::Encoding),
    ("base64", Role::Encoding),
    ("base64offset", Role::Encoding),
    ("wide", Role::Encoding),
    ("utf16", Role::Encoding),
    ("utf16le", Role::Encoding),
    ("utf16be", Role::Encoding),
    ("expand", Role::Expand),
];

impl Role {
    /// Whether an item with the one has no meaning with the other: it compares in one way, and texts alone have encodings. Each pair is told
    /// from one side.
    fn excludes(self, other: Role) -> bool {
        use Role::*;
        match self {
            Join | Caseless | Flag | Encoding | Expand => false,
            Cased => other == Caseless,
            Place => matches!(other, Network | Presence | Order | TimePart),
            Expression => matches!(other, Network | Presence | Reference | Order | TimePart | Encoding),
            Network => matches!(other, Presence | Reference | Order | TimePart | Encoding),
            Presence => matches!(other, Reference | Order | TimePart | Encoding | Expand),
            Reference => matches!(other, Order | TimePart | Encoding | Expand),
            Order => matches!(other, Order | Encoding),
            TimePart => matches!(other, TimePart | Encoding),
        }
    }
}

/// Reads the modifiers of one item, in lower case.
///
/// # Errors
/// Says which there is not, or which do not go together.
pub(super) fn read<'k>(written: impl Iterator<Item = &'k str>) -> Result<Vec<String>, Fault> {
    let mut known: Vec<(&str, Role)> = Vec::new();
    for written in written {
        let name = written.trim().to_ascii_lowercase();
        let Some(modifier) = MODIFIERS.into_iter().find(|(known, _)| *known == name) else {
            let names = MODIFIERS.map(|(name, _)| name);
            let meant = did_you_mean(&name, names).or_else(|| Some(format!("there are {}", names.join(", "))));
            return Err(Fault::new(&[], format!("unknown modifier {name:?}")).hint(meant));
        };
        let contradicts =
            |(other, role): &&(&str, Role)| *other != modifier.0 && (role.excludes(modifier.1) || modifier.1.excludes(*role));
        if let Some((other, _)) = known.iter().find(contradicts) {
            let hint = "an item compares in one way: write another item for the other".to_owned();
            return Err(Fault::new(&[], format!("{other:?} and {name:?} contradict each other")).hint(Some(hint)));
        }
        known.push(modifier);
    }
    let is_expression = known.iter().any(|(_, role)| *role == Role::Expression);
    let flag = known.iter().find(|(_, role)| matches!(role, Role::Caseless | Role::Flag));
    if let (Some((flag, _)), false) = (flag, is_expression) {
        let hint = Some(format!("write re|{flag}, or leave it out"));
        return Err(Fault::new(&[], format!("{flag:?} is a flag of regular expressions")).hint(hint));
    }
    Ok(known.into_iter().map(|(name, _)| name.to_owned()).collect())
}
