//! What is probably not meant is told, and a rule that is refused is nowhere: it is not counted, listed or fed.

use rules::{LoadOptions, Problem, RuleSet, load};

fn loaded(text: &str) -> (RuleSet, Vec<Problem>) {
    load(&[("r.yml".to_owned(), text.to_owned())], &LoadOptions::default())
}

/// Two rules, `door` and `lamp`.
const BOTH: &str = "
title: Door
name: door
logsource: {product: house}
detection: {s: {door: open}, condition: s}
---
title: Lamp
id: 7a51c1de-6b0c-4d1e-8f6e-64b0f6b0d001
name: lamp
logsource: {product: house}
detection: {s: {lamp: on}, condition: s}
---
";

#[test]
fn a_key_or_name_that_means_nothing_is_told_with_what_was_meant() {
    let correlation = |more: &str| format!("{BOTH}title: C\ncorrelation: {{rules: [door, lamp], timespan: 1m, {more}}}\n");
    let rule =
        |more: &str| format!("title: R\nlogsource: {{product: house}}\ndetection: {{s: {{a: b}}, condition: s}}\n{more}\n");
    let count = "type: event_count, condition: {gte: 3}";
    for (text, reason, hint) in [
        (correlation(&format!("{count}, group_by: [room]")), "\"group_by\" means nothing here", "did you mean \"group-by\"?"),
        (correlation(&format!("{count}, group-by: [k], aliases: {{k: {{dor: room}}}}")), "the alias k names \"dor\"", ""),
        (correlation("type: event_count, condition: {gte: 3, field: room}"), "event_count counts no values", ""),
        (correlation("type: event_count, condition: {gte: 5, lte: 3}"), "no number that can be counted", "compare with"),
        (correlation("type: event_count, condition: {lt: 1}"), "no number that can be counted", "compare with"),
        (correlation("type: event_count, condition: {gte: 0}"), "every number satisfies", "compare with"),
        (correlation("type: temporal, condition: {gte: 3}"), "no number that can be counted", "compare with"),
        (rule("levle: high"), "\"levle\" means nothing here", "did you mean \"level\"?"),
        (rule("status: experimentl"), "unknown status \"experimentl\"", "did you mean \"experimental\"?"),
        (rule("mihari: {grouop: [a]}"), "\"grouop\" means nothing here", "did you mean \"group\"?"),
        (
            rule("").replace("{product: house}", "{product: house, servce: hall}"),
            "\"servce\" means nothing here",
            "did you mean \"service\"?",
        ),
        (
            format!(
                "{BOTH}title: F\nlogsource: {{product: house}}\n\
                 filter: {{rules: [door, lmp], s: {{room: cellar}}, condition: not s}}\n"
            ),
            "the filter names \"lmp\", which is not loaded",
            "by id or name",
        ),
    ] {
        let (_, problems) = loaded(&text);
        let [problem] = &problems[..] else { panic!("one problem of\n{text}: {problems:#?}") };
        assert!(problem.reason.contains(reason) && !problem.refused, "{text}: {problem:?}");
        assert!(problem.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {problem:?}");
    }
    for fine in [
        correlation("type: event_count, condition: {gte: 1}"),
        correlation("type: temporal, group-by: [k], aliases: {k: {door: room, 7a51c1de-6b0c-4d1e-8f6e-64b0f6b0d001: place}}"),
        correlation("type: value_count, condition: {field: room, gt: 0.5, lte: 4}"),
        rule("x-inventory: 17\nlevel: high"),
    ] {
        assert_eq!(loaded(&fine).1, [], "{fine}");
    }
}

#[test]
fn a_correlation_that_is_refused_is_no_rule_and_takes_along_those_that_name_it() {
    let correlation = |title: &str, rule: &str| {
        format!(
            "title: {title}\nname: {title}\n\
             correlation: {{type: event_count, rules: [{rule}], timespan: 1m, condition: {{gte: 2}}}}\n---\n"
        )
    };
    let text = [
        BOTH,
        &correlation("outer", "inner"),
        &correlation("inner", "nobody"),
        &correlation("self", "self"),
        &correlation("egg", "hen"),
        &correlation("hen", "egg"),
        &correlation("good", "lamp"),
    ]
    .concat();
    let (set, problems) = loaded(&text);
    assert_eq!(set.rules().map(|rule| &*rule.title).collect::<Vec<_>>(), ["Door", "Lamp", "good"]);
    let reasons: Vec<&str> = problems.iter().filter(|p| p.refused && p.hint.is_some()).map(|p| &*p.reason).collect();
    assert_eq!(
        reasons,
        [
            "the correlation names \"inner\", which is not loaded",
            "the correlation names \"nobody\", which is not loaded",
            "the correlation names itself, \"self\"",
            "\"egg\" refers to itself by way of other correlations",
            "\"hen\" refers to itself by way of other correlations",
        ]
    );
    assert!(set.rules().find(|rule| rule.title == "Lamp").is_some_and(|rule| !rule.alerts), "only what stands silences a rule");
    assert!(set.rules().find(|rule| rule.title == "Door").is_some_and(|rule| rule.alerts));
}

#[test]
fn no_two_rules_have_one_id() {
    let rule = |head: &str, value: &str| {
        format!("{head}\nlogsource: {{product: house}}\ndetection: {{s: {{a: {value}}}, condition: s}}\n---\n")
    };
    let id = "id: 7a51c1de-6b0c-4d1e-8f6e-64b0f6b0d002";
    let text = [
        rule(&format!("title: One\n{id}"), "1"),
        rule(&format!("title: Two\n{id}"), "2"),
        rule("title: Same", "3"),
        rule("title: Same", "4"),
        rule("title: Same", "5"),
    ]
    .concat();
    let (set, problems) = loaded(&text);
    let ids: Vec<&str> = set.rules().map(|rule| &*rule.id).collect();
    assert_eq!(ids, ["7a51c1de-6b0c-4d1e-8f6e-64b0f6b0d002", "Same", "Same (2)", "Same (3)"]);
    assert_eq!(problems.iter().map(|p| p.refused).collect::<Vec<_>>(), [true, false, false]);
    assert!(problems.iter().all(|p| p.reason.contains("is also the id of a rule in r.yml") && p.hint.is_some()), "{problems:?}");
}
