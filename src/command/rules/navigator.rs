//! Which ATT&CK techniques rules are about, as a layer of the ATT&CK Navigator (layer file format 4.5).

use std::collections::BTreeMap;

use rules::RuleSet;
use serde_json::json;

/// The layer: a technique's score is the number of rules that are tagged with it.
pub(super) fn layer(set: &RuleSet) -> String {
    let mut techniques: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for rule in set.rules() {
        for technique in rule.tags.iter().filter_map(|tag| technique(tag)) {
            techniques.entry(technique).or_default().push(&rule.title);
        }
    }
    let most = techniques.values().map(Vec::len).max().unwrap_or(1);
    let entries: Vec<_> = techniques
        .iter()
        .map(|(id, titles)| json!({"techniqueID": id, "score": titles.len(), "comment": titles.join("\n"), "enabled": true}))
        .collect();
    let layer = json!({
        "name": "mihari",
        "versions": {"layer": "4.5"},
        "domain": "enterprise-attack",
        "description": "Techniques by the number of rules that are tagged with them",
        "techniques": entries,
        "gradient": {"colors": ["#c6dbef", "#08519c"], "minValue": 1, "maxValue": most.max(2)},
    });
    serde_json::to_string_pretty(&layer).expect("a layer is serialisable") + "\n"
}

/// `T1110.001` of `attack.t1110.001`; tags of tactics, groups and software are none.
fn technique(tag: &str) -> Option<String> {
    let id = tag.to_ascii_lowercase().strip_prefix("attack.t")?.to_owned();
    let (number, sub) = id.split_once('.').map_or((id.as_str(), None), |(number, sub)| (number, Some(sub)));
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    (digits(number, 4) && sub.is_none_or(|sub| digits(sub, 3))).then(|| format!("T{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_told_from_other_tags() {
        let cases = [
            ("attack.t1110", Some("T1110")),
            ("attack.T1110.001", Some("T1110.001")),
            ("attack.ta0001", None),
            ("attack.execution", None),
            ("attack.t11", None),
            ("attack.t1110.1", None),
            ("cve.2024-1", None),
        ];
        for (tag, expected) in cases {
            assert_eq!(technique(tag).as_deref(), expected, "{tag}");
        }
    }

    #[test]
    fn the_pack_has_a_layer() {
        let files: Vec<_> = rules::pack().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let (set, _) = rules::load(&files, &rules::LoadOptions::default());
        let layer: serde_json::Value = serde_json::from_str(&layer(&set)).expect("JSON");
        let found = layer["techniques"].as_array().expect("a list");
        assert!(found.iter().any(|t| t["techniqueID"] == "T1110" || t["techniqueID"] == "T1110.001"), "{layer}");
    }
}
