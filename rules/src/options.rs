//! What rules are read with, besides their own text: values of placeholders, and what field names mean. Files that a user writes, beside
//! those that are shipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::files::{RULE_FILES, ends_in, read_files_of};
use crate::mapping::Mapping;
use crate::ruleset::Problem;
use crate::sigma::budget::Budget;
use crate::sigma::placeholder::Placeholders;
use crate::yaml::{self, Placed, PlacedValue};

/// How the names of files of placeholders end; those of field names end as those of rules.
pub const PLACEHOLDER_FILES: [&str; 3] = [RULE_FILES[0], RULE_FILES[1], "txt"];

/// The placeholders that are shipped: a name's values, one a line. What a user gives the same name is added to them.
const SHIPPED: [(&str, &str); 2] = [
    ("vendor_services.txt", include_str!("../pack/vendor_services.txt")),
    ("chat_and_calls.txt", include_str!("../pack/chat_and_calls.txt")),
];

/// Options of [`crate::load`].
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Values for `%placeholders%`, with those that are shipped.
    pub placeholders: Placeholders,
    /// What field names mean, by log source.
    pub mapping: Mapping,
    /// What all that is loaded together may grow to.
    pub budget: Budget,
}

/// A placeholder's name, the line that names it, and its values.
type Named = (String, usize, Vec<String>);

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        let shipped = SHIPPED.iter().flat_map(|(path, text)| named(Path::new(path), text));
        let placeholders = shipped.map(|named| named.expect("what is shipped is valid")).map(|(name, _, values)| (name, values));
        LoadOptions { placeholders: placeholders.collect(), mapping: Mapping::default(), budget: Budget::default() }
    }
}

impl LoadOptions {
    /// Reads files and folders of placeholders and of field names, which come before the built-in ones. A YAML file of placeholders gives names their value
    /// or list of values; any other file gives its own name (without the extension) a value a line. To what is shipped under a name values are added.
    /// A wrong file of field names is left out whole, as is a wrong placeholder; both are told.
    pub fn read(placeholders: &[PathBuf], mapping: &[PathBuf]) -> (LoadOptions, Vec<Problem>) {
        let mut options = LoadOptions::default();
        let (files, mut problems) = read_files_of(mapping, &RULE_FILES);
        let refused = |path: &str, line, reason| Problem { path: path.to_owned(), line, refused: true, reason, hint: None };
        for (path, text) in files {
            if let Err((line, reason)) = options.mapping.extend(&text) {
                problems.push(refused(&path, line, reason));
            }
        }
        let (files, more) = read_files_of(placeholders, &PLACEHOLDER_FILES);
        problems.extend(more);
        let mut given = BTreeSet::new();
        for (path, text) in files {
            for named in named(Path::new(&path), &text) {
                match named {
                    Ok((name, line, _)) if !given.insert(name.clone()) => {
                        problems.push(refused(&path, line, format!("%{name}% has values already, of a file before")));
                    }
                    Ok((name, _, values)) => options.placeholders.entry(name).or_default().extend(values),
                    Err((line, reason)) => problems.push(refused(&path, line, reason)),
                }
            }
        }
        (options, problems)
    }
}

/// The placeholders of a file, each or what is wrong with it and on which line.
fn named(path: &Path, text: &str) -> Vec<Result<Named, (usize, String)>> {
    if !ends_in(path, &RULE_FILES) {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let values = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        return vec![proven((name, 1, values))];
    }
    match yaml::placed(text) {
        Err(fault) => vec![Err(fault)],
        Ok(Placed { line, value, .. }) => match value {
            PlacedValue::Map(entries) => entries.into_iter().map(entry).collect(),
            PlacedValue::Scalar(_) | PlacedValue::List(_) => vec![Err((line, "expected names with their values".to_owned()))],
        },
    }
}

fn entry((name, line, value): (String, usize, Placed)) -> Result<Named, (usize, String)> {
    let values = match &value.value {
        PlacedValue::List(list) => list.iter().map(Placed::scalar).collect(),
        PlacedValue::Scalar(_) | PlacedValue::Map(_) => value.scalar().map(|one| vec![one]),
    };
    let values = values.ok_or_else(|| (line, format!("%{name}% needs a value, or a list of values none of which is empty")))?;
    proven((name, line, values))
}

fn proven(named: Named) -> Result<Named, (usize, String)> {
    let (name, line, values) = &named;
    if name.is_empty() || name.contains('%') {
        return Err((*line, format!("{name:?} is no placeholder's name: write it without the percent signs")));
    }
    if values.is_empty() {
        return Err((*line, format!("%{name}% has no value")));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cases::batch_of;
    use crate::detect::{Detector, Match};
    use crate::ruleset::{RuleSet, load};

    const RULE: &str = "
title: Servers
id: servers
logsource: {category: options_test}
detection:
  s: {Host|expand: '%servers%', Kind|expand: '%kinds%.exe'}
  condition: s
---
title: Others
id: others
logsource: {product: options_other}
detection: {s: {Host: a}, condition: s}
";

    fn read(files: &[(&str, &str)]) -> (LoadOptions, Vec<Problem>, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::create_dir_all(dir.path().join(name).parent().expect("a folder")).expect("made");
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let (options, problems) = LoadOptions::read(&[dir.path().join("values")], &[dir.path().join("names")]);
        (options, problems, dir)
    }

    fn loaded(options: &LoadOptions) -> Arc<RuleSet> {
        let (set, problems) = load(&[("rules".to_owned(), RULE.to_owned())], options);
        assert_eq!(problems, []);
        Arc::new(set)
    }

    #[test]
    fn files_give_placeholders_values_and_names_fields() {
        let mapping = "- scope: {category: options_test}\n  fields: {Host: [host.name, own.host], Kind: own.kind}\n";
        let (options, problems, _dir) = read(&[
            ("values/site.yml", "kinds: [one, 'tw?']\n"),
            ("values/servers.txt", "web-1\r\n\r\nmail-1\r\n"),
            ("names/own.yaml", mapping),
        ]);
        assert_eq!(problems, []);
        let set = loaded(&options);
        let matches = |event: &str| {
            let mut found = Vec::new();
            Detector::new(set.clone()).scan(&batch_of(&[event]).expect("an event"), &mut found);
            found == [Match { row: 0, rule: 0 }]
        };
        assert!(matches(r#"{"own.host": "mail-1", "own.kind": "two.exe"}"#));
        assert!(matches(r#"{"Host": "web-1", "Kind": "one.exe"}"#));
        assert!(!matches(r#"{"Host": "web-2", "Kind": "one.exe"}"#));
    }

    #[test]
    fn what_a_rule_is_read_with_is_part_of_what_was_in_force() {
        let mapping = "- scope: {category: options_test}\n  fields: {Host: own.host}\n";
        let with = |kinds: &str, mapping: &str| {
            let values = format!("servers: web-1\nkinds: {kinds}\nunused: {kinds}\n");
            let (options, problems, _dir) = read(&[("values/a.yml", &values), ("names/a.yml", mapping)]);
            assert_eq!(problems, []);
            loaded(&options)
        };
        let texts = |set: &RuleSet, rule: usize| {
            set.written().nth(rule).expect("there").texts[1..].iter().map(|text| text.to_string()).collect::<Vec<_>>()
        };
        let (one, other) = (with("one", mapping), with("two", mapping));
        assert_ne!(one.hash(), other.hash());
        let named =
            "mapping: {\"source\":{\"category\":\"options_test\"},\"fields\":[[\"Host\",[\"own.host\"]]],\"prefix\":null}\n";
        assert_eq!(texts(&one, 0), ["%kinds%: [\"one\"]\n", "%servers%: [\"web-1\"]\n", named]);
        assert_eq!(texts(&other, 0)[0], "%kinds%: [\"two\"]\n");
        assert!(texts(&one, 1).is_empty(), "it names no placeholder, and its source has no names of its own");
        assert_ne!(one.hash(), with("one", "- scope: {category: options_test}\n  fields: {Host: other.host}\n").hash());
        assert_eq!(one.hash(), with("one", mapping).hash());
    }

    #[test]
    fn what_is_shipped_is_added_to_and_named_by_safelists() {
        let shipped = &LoadOptions::default().placeholders["vendor_services"];
        let values = "vendor_services: [vendor.example]\nours: [city.example]\n";
        let (options, problems, _dir) =
            read(&[("values/a.yml", values), ("names/a.yml", "- scope: {product: x}\n  fields: {a: b}\n")]);
        assert_eq!(problems, []);
        assert_eq!(options.placeholders["vendor_services"], [&shipped[..], &["vendor.example".to_owned()]].concat());
        let check = |list: &str| {
            let text = format!("title: A\nid: a\nbehaviour: {{type: beacon, safelist: {{domains: [{list}, b.example]}}}}\n");
            let (set, problems) = load(&[("a.yml".to_owned(), text)], &options);
            let texts: Vec<String> =
                set.written().flat_map(|rule| rule.texts[1..].to_vec()).map(|text| text.to_string()).collect();
            (problems.into_iter().map(|p| (p.refused, p.line, p.reason, p.hint.unwrap_or_default())).collect::<Vec<_>>(), texts)
        };
        assert_eq!(check("'%ours%'"), (vec![], vec!["%ours%: [\"city.example\"]\n".to_owned()]));
        for text in ["100%", "%", "%a b%"] {
            let no_name = (true, 3, format!("{text:?} is no name such as example.com"), String::new());
            assert_eq!(check(&format!("'{text}'")), (vec![no_name], vec![]), "no name of a placeholder, nor of a host");
        }
        let reason = |name: &str| format!("the placeholder %{name}% has no value in the configuration");
        for (list, name, hint) in [
            ("'%vendor_service%'", "vendor_service", "did you mean \"vendor_services\"?"),
            ("'%x%'", "x", "in the configuration"),
        ] {
            let (problems, _) = check(list);
            let [(true, 3, told, hinted)] = &problems[..] else { panic!("{problems:?}") };
            assert!(*told == reason(name) && hinted.contains(hint), "{told} {hinted}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        for (name, text, line, told) in [
            ("values/a.yml", "a: 1\nb: {c: d}\n", 2, "%b% needs a value"),
            ("values/a.yml", "a: [x, '']\n", 1, "%a% needs a value"),
            ("values/a.yml", "'%a%': x\n", 1, "without the percent signs"),
            ("values/a.yml", "- a\n", 1, "names with their values"),
            ("values/a.txt", "\n", 1, "%a% has no value"),
            ("values/b.txt", "x\n", 1, "of a file before"),
            ("names/a.yml", "scope: {}\n", 1, "a list"),
            ("names/a.yml", "- scope: {product: x}\n  field: {a: b}\n", 2, "did you mean \"fields\"?"),
            ("names/a.yml", "- scope: {produkt: x}\n  fields: {a: b}\n", 1, "did you mean \"product\"?"),
            ("names/a.yml", "- fields:\n    a: b\n    c: {d: e}\n", 3, "\"c\" needs"),
            ("names/a.yml", "- scope: {product: x}\n", 1, "neither fields nor a prefix"),
        ] {
            let (_, problems, _dir) = read(&[("values/b.yml", "b: y\n"), ("names/b.yml", "- fields: {a: b}\n"), (name, text)]);
            // A file of values whose name is another's placeholder comes before it.
            let found: Vec<_> = problems.iter().map(|p| (p.refused, p.line, p.reason.contains(told))).collect();
            assert_eq!(found, [(true, line, true)], "{text}: {problems:?}");
        }
    }
}
