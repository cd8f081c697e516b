//! The rules that are shipped: `rules/pack/NAME/rule.yml`, with their cases beside them.

/// Each rule file: its name and its text.
pub fn pack() -> &'static [(&'static str, &'static str)] {
    macro_rules! files {
        ($($name:literal,)*) => { &[$((concat!("pack/", $name, "/rule.yml"), include_str!(concat!("../pack/", $name, "/rule.yml"))),)*] };
    }
    files! {
        "beacon-unanswered",
        "beacon",
        "chat-outside",
        "click-fraud",
        "data-carrier",
        "dns-bypass",
        "dns-tunnel-names",
        "dns-tunnel",
        "exfiltration-volume",
        "firewall-config-change",
        "first-seen-destination",
        "first-seen-service",
        "flood-outgoing",
        "flood",
        "host-sweep",
        "ids-severe",
        "indicator-match",
        "large-upload",
        "lateral-movement",
        "lease-scan",
        "long-connection",
        "made-up-names",
        "mail-spread",
        "many-addresses",
        "password-guessing",
        "password-spraying-slow",
        "peers-outside",
        "port-scan",
        "protocol-on-other-port",
        "proxy-bypass",
        "scan-inside",
        "scan-outside",
        "scan-slow",
        "source-clock",
        "source-silent",
        "source-unreadable",
        "source-volume",
        "ssh-brute-force-success",
        "vendor-out-of-hours",
        "web-attack",
        "zone-attempts",
        "zone-sanitiser",
        "zone-violation",
    }
}

#[cfg(test)]
mod tests {
    use super::pack;
    use crate::options::LoadOptions;
    use crate::ruleset::load;

    #[test]
    fn every_folder_is_shipped() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pack");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .expect("the pack is there")
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.is_dir())
            .map(|p| format!("pack/{}/rule.yml", p.file_name().unwrap_or_default().to_string_lossy()))
            .collect();
        found.sort();
        assert_eq!(found, pack().iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn every_rule_that_alerts_speaks_both_languages_and_names_its_clause() {
        let files: Vec<_> = pack().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let (set, problems) = load(&files, &LoadOptions::default());
        assert_eq!(problems, []);
        for rule in set.rules().filter(|r| r.alerts) {
            assert!(rule.clause.is_some() && rule.tags.iter().any(|t| t.starts_with("attack.")), "{}", rule.title);
            for language in ["ja", "en"] {
                let texts = rule.texts.get(language).unwrap_or_else(|| panic!("{} has no {language}", rule.title));
                for text in [&texts.title, &texts.meaning, &texts.first_steps, &texts.false_positives] {
                    assert!(!text.trim().is_empty(), "{} lacks a text in {language}", rule.title);
                }
            }
        }
    }

    #[test]
    fn p05_every_rule_has_a_case_that_fires_and_three_that_nearly_do() {
        for (name, text) in pack() {
            let path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), name.replace("rule.yml", "cases.jsonl"));
            let cases = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{path} is missing"));
            let fires = cases
                .lines()
                .filter(|l| l.contains("\"match\": true") || l.contains("\"at_index\"") || l.contains("\"group\""))
                .count();
            let near = cases.lines().count() - fires;
            assert!(fires >= 1 && near >= 3, "{name}: {fires} that fire, {near} near misses");
            for outcome in crate::cases::run(&cases, Some(text), &LoadOptions::default(), &crate::cases::NoRecords) {
                assert_eq!(outcome.failure, None, "{name}: {}", outcome.name);
            }
        }
    }
}
