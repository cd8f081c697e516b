//! Placeholders: `%name%` in a value stands for what the configuration gives that name.

use std::collections::BTreeMap;

use super::item::ALTERNATIVES_MAX;
use super::pattern::{Part, Pattern};
use crate::fault::{Fault, did_you_mean};

/// What to do where a placeholder has no value.
pub(super) const GIVE_VALUES: &str = "give the placeholder its values in the configuration";

/// Values for placeholders, by their names.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// The Sigma strings that `text` stands for. `\%` is a percent sign, and so is one that begins no name (specification, "Placeholders").
///
/// # Errors
/// Says which placeholder has no value.
pub(super) fn expand(text: &str, placeholders: &Placeholders) -> Result<Vec<Pattern>, String> {
    spell_out(text, placeholders, Pattern::parse, Pattern::parse, Pattern::then)
}

/// The regular expressions that `text` stands for: a value is looked for as it is, its wildcards apart.
///
/// # Errors
/// As [`expand`].
pub(super) fn expand_expression(text: &str, placeholders: &Placeholders) -> Result<Vec<String>, String> {
    let of_value = |value: &str| {
        let part = |part: &Part| match part {
            Part::Text(text) => regex::escape(text),
            Part::Any => "(?s:.*)".to_owned(),
            Part::One => "(?s:.)".to_owned(),
        };
        Pattern::parse(value).0.iter().map(part).collect()
    };
    spell_out(text, placeholders, str::to_owned, of_value, |before: String, part| before + part)
}

/// Plain texts, each that is a placeholder by itself replaced by its values.
///
/// # Errors
/// As [`expand`].
pub(crate) fn listed(texts: Vec<String>, placeholders: &Placeholders) -> Result<Vec<String>, Fault> {
    let name =
        |text: &str| text.strip_prefix('%').and_then(name_of).filter(|name| name.len() + 2 == text.len()).map(str::to_owned);
    let mut all = Vec::new();
    for text in texts {
        match name(&text) {
            Some(name) => {
                let hint =
                    || did_you_mean(&name, placeholders.keys().map(String::as_str)).or_else(|| Some(GIVE_VALUES.to_owned()));
                let values = placeholders.get(&name).ok_or_else(|| Fault::from(without_value(&name)).hint(hint()))?;
                all.extend(values.iter().cloned());
            }
            None => all.push(text),
        }
    }
    Ok(all)
}

fn without_value(name: &str) -> String {
    format!("the placeholder %{name}% has no value in the configuration")
}

/// Each choice of values: what `plain_text` makes of the text between placeholders and `of_value` of values, joined by `then`.
fn spell_out<T: Clone + Default>(
    text: &str,
    placeholders: &Placeholders,
    plain_text: impl Fn(&str) -> T,
    of_value: impl Fn(&str) -> T,
    then: impl Fn(T, &T) -> T,
) -> Result<Vec<T>, String> {
    let mut variants = vec![T::default()];
    // Text up to the next placeholder, still a Sigma string.
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        let escaped = behind.chars().next().filter(|_| c == '\\');
        if let Some(escaped) = escaped {
            plain.extend(Some(c).filter(|_| escaped != '%'));
            plain.push(escaped);
            rest = &behind[escaped.len_utf8()..];
        } else if let Some(name) = name_of(behind).filter(|_| c == '%') {
            let Some(values) = placeholders.get(name) else {
                return Err(without_value(name));
            };
            let values: Vec<T> = values.iter().map(|value| of_value(value)).collect();
            if variants.len() * values.len() > ALTERNATIVES_MAX {
                return Err(format!("%{name}% grows to more than {ALTERNATIVES_MAX} alternatives"));
            }
            let before = plain_text(&std::mem::take(&mut plain));
            let with = |variant: T| {
                let variant = then(variant, &before);
                values.iter().map(|value| then(variant.clone(), value)).collect::<Vec<_>>()
            };
            variants = variants.into_iter().flat_map(with).collect();
            rest = &behind[name.len() + 1..];
        } else {
            plain.push(c);
            rest = behind;
        }
    }
    let after = plain_text(&plain);
    Ok(variants.into_iter().map(|variant| then(variant, &after)).collect())
}

/// The name that ends with the next percent sign.
fn name_of(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('%')?;
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(is_letter)).then_some(name)
}
