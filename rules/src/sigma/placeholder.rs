//! Placeholders: `%name%` in a value stands for what the configuration gives that name.

use std::collections::BTreeMap;

use super::item::ALTERNATIVES_MAX;
use super::pattern::Pattern;

/// Values for placeholders, by their names.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// The Sigma strings that `text` stands for. `\%` is a percent sign, and so is one that begins no name (specification, "Placeholders").
///
/// # Errors
/// Says which placeholder has no value.
pub(super) fn expand(text: &str, placeholders: &Placeholders) -> Result<Vec<Pattern>, String> {
    let mut variants = vec![Pattern::default()];
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
                return Err(format!("the placeholder %{name}% has no value in the configuration"));
            };
            let values: Vec<Pattern> = values.iter().map(|value| Pattern::parse(value)).collect();
            if variants.len() * values.len() > ALTERNATIVES_MAX {
                return Err(format!("%{name}% grows to more than {ALTERNATIVES_MAX} alternatives"));
            }
            let before = Pattern::parse(&std::mem::take(&mut plain));
            let with = |variant: Pattern| {
                let variant = variant.then(&before);
                values.iter().map(move |value| variant.clone().then(value)).collect::<Vec<_>>()
            };
            variants = variants.into_iter().flat_map(with).collect();
            rest = &behind[name.len() + 1..];
        } else {
            plain.push(c);
            rest = behind;
        }
    }
    let after = Pattern::parse(&plain);
    Ok(variants.into_iter().map(|variant| variant.then(&after)).collect())
}

/// The name that ends with the next percent sign.
fn name_of(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('%')?;
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(is_letter)).then_some(name)
}
