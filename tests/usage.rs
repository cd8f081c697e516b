//! What a person at a terminal meets: exit codes, what is said of mistakes, what is left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in `dir` with arguments that a space parts.
fn run(dir: &Path, line: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_mihari")).args(line.split(' ')).current_dir(dir).output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

#[test]
fn what_is_not_there_is_bad_input() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("empty")).expect("made");
    std::fs::write(dir.path().join("a.log"), "a record\n").expect("written");
    for (line, said) in [
        ("rules check nowhere", "nowhere"),
        ("rules list nowhere", "nowhere"),
        ("rules check empty", "no rule file was found"),
        ("rules test empty", "no case was found"),
        ("rules explain sshd nowhere.json", "no rule is called"),
        ("replay --rules nowhere a.log", "nowhere"),
        ("policy check nowhere", "nowhere"),
        ("parse nowhere", "nowhere"),
        ("verify nowhere", "nowhere"),
        ("verify a.log", "is a file"),
        ("token list", "mihari-data/mihari.sqlite"),
        ("token create --name=", "--name"),
        ("search --token x --url http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("search --token x --export out --format xml", "ndjson, csv"),
        ("search --token x --format csv", "--export"),
        ("rules backtest nowhere.yml --token x", "failed to read nowhere.yml"),
    ] {
        let (code, _, errors) = run(dir.path(), line);
        assert_eq!(code, 2, "{line}: {errors}");
        assert!(errors.contains(said), "{line}: {errors}");
    }
    assert!(!dir.path().join("mihari-data").exists(), "who only looks makes nothing");
}

#[test]
fn the_shipped_rules_can_be_checked_where_they_lie() {
    let (code, said, _) = run(Path::new(env!("CARGO_MANIFEST_DIR")), "rules check rules/pack");
    assert_eq!(code, 0, "{said}");
}

/// What could not be written is not passed for done.
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let dir = tempfile::tempdir().expect("a folder");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    for line in ["token create --name a", "token list", "rules list"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mihari"));
        let output = command.args(line.split(' ')).current_dir(dir.path()).stdout(full()).output().expect("runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && errors.contains("standard output"), "{line}: {errors}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_mihari"));
    let status = command.args(["verify", "nowhere"]).current_dir(dir.path()).stderr(full()).status().expect("runs");
    assert_eq!(status.code(), Some(2), "nor does it end badly where nobody can be told");
}

#[test]
fn a_mistyped_file_is_not_explained_as_a_record() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule = "title: A\nlogsource: {product: linux}\ndetection: {s: {a: b}, condition: s}\nlevel: low\n";
    std::fs::write(dir.path().join("a.yml"), rule).expect("written");
    let (code, _, errors) = run(dir.path(), "rules explain a.yml event.json");
    assert!(code == 2 && errors.contains("event.json"), "{errors}");
    assert_eq!(run(dir.path(), r#"rules explain a.yml {"a":"b"}"#).0, 0);
    assert_eq!(run(dir.path(), r#"rules explain a.yml {"a":"c"}"#).0, 1);
}

#[test]
fn rules_are_read_with_the_placeholders_and_field_names_of_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule = "title: A\nid: a\nlogsource: {category: any}\ndetection: {s: {Host|expand: '%servers%'}, condition: s}\n";
    let event = r#"{"own":{"host":"web-1"}}"#;
    std::fs::create_dir(dir.path().join("cases")).expect("made");
    for (name, text) in [
        ("cases/rule.yml", rule),
        ("cases/cases.jsonl", &format!("{{\"event\":{event},\"match\":true}}\n")),
        ("servers.txt", "web-1\nweb-2\n"),
        ("names.yml", "- scope: {}\n  fields: {Host: own.host}\n"),
        ("mihari.yaml", "rules: {pack: false, paths: [cases], placeholders: [servers.txt], mapping: [names.yml]}\n"),
        ("a.log", event),
    ] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let explain = format!("rules explain cases/rule.yml {event}");
    for with in ["--config mihari.yaml", "--placeholders servers.txt --mapping names.yml"] {
        for command in ["rules check cases", "rules test cases", &explain] {
            let (code, told, errors) = run(dir.path(), &format!("{command} {with}"));
            assert_eq!(code, 0, "{command} {with}: {told}{errors}");
        }
        let (_, listed, errors) = run(dir.path(), &format!("rules list cases --over a.log --json {with}"));
        assert!(listed.contains(r#""matches":1"#), "{listed}{errors}");
    }
    let (code, told, _) = run(dir.path(), "rules check cases");
    assert!(code == 1 && told.contains("%servers% has no value"), "{told}");
    assert_eq!(run(dir.path(), "serve --check --config mihari.yaml").0, 0);
    let (_, alerts, errors) = run(dir.path(), "replay --config mihari.yaml a.log");
    assert!(alerts.contains(r#""id":"a""#), "{alerts}{errors}");
    std::fs::write(dir.path().join("names.yml"), "- scope: {}\n  felds: {Host: own.host}\n").expect("written");
    for command in ["serve --check --config mihari.yaml", "rules check cases --config mihari.yaml"] {
        let (code, told, _) = run(dir.path(), command);
        assert!(code == 1 && told.contains("names.yml:2: ") && told.contains("felds"), "{command}: {told}");
    }
    assert_eq!(run(dir.path(), "rules test cases --config mihari.yaml").0, 2);
}

#[test]
fn what_rules_and_cases_are_called_cannot_steer_the_terminal() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule =
        "title: \"A\\e[31m\"\nid: \"a\\e[31m\"\nlogsource: {category: \"any\\e[31m\"}\ndetection: {s: {f: x}, condition: s}\n";
    let broken = "title: \"B\\e[31m\"\nlogsource: {category: any}\ndetection: {s: {f: x}, condition: \"\\e[31m\"}\n";
    std::fs::write(dir.path().join("rule.yml"), format!("{rule}---\n{broken}")).expect("written");
    let case = r#"{"name":"\u001b[31m","rule":"title: A","event":{},"match":true}"#;
    std::fs::write(dir.path().join("cases.jsonl"), case).expect("written");
    for line in ["rules check .", "rules list .", "rules test cases.jsonl", "rules list . --over cases.jsonl --unmapped"] {
        let (code, told, errors) = run(dir.path(), line);
        assert_eq!(code, 1, "{line}: what is wrong is told: {told}{errors}");
        assert!(!told.contains('\u{1b}') && !errors.contains('\u{1b}'), "{line}: {told:?} {errors:?}");
        assert!(told.contains("31m") || errors.contains("31m"), "{line}");
    }
}

#[test]
fn cases_are_records_and_captures_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule = "title: A\nlogsource: {product: linux}\ndetection: {k: [session opened], condition: k}\n";
    let line = |text: &str| format!("<38>Apr  1 09:00:00 gate sshd[812]: pam_unix(sshd:session): {text}\n");
    let capture =
        line("session opened for user mori") + &line("session closed for user mori") + &line("session opened for user abe");
    std::fs::write(dir.path().join("rule.yml"), rule).expect("written");
    std::fs::write(dir.path().join("hits.log"), capture).expect("written");
    let raw = serde_json::json!(line("session opened for user mori")).to_string();
    for (case, passes) in [
        (format!(r#"{{"raw": {raw}, "match": true}}"#), true),
        (format!(r#"{{"raw": {raw}, "match": false}}"#), false),
        (format!(r#"{{"raw": {raw}}}"#), false),
        (r#"{"capture": "hits.log", "matches": 2}"#.to_owned(), true),
        (r#"{"capture": "hits.log", "matches": [1, 3]}"#.to_owned(), true),
        (r#"{"capture": "hits.log", "matches": 3}"#.to_owned(), false),
        (r#"{"capture": "hits.log", "matches": [1, 2]}"#.to_owned(), false),
        (r#"{"capture": "hits.log"}"#.to_owned(), false),
        (r#"{"capture": "nowhere.log", "matches": 0}"#.to_owned(), false),
        (r#"{"evnet": {"a": "session opened"}, "match": true}"#.to_owned(), false),
        (r#"{"name": "nothing at all"}"#.to_owned(), false),
    ] {
        std::fs::write(dir.path().join("cases.jsonl"), &case).expect("written");
        let (code, told, errors) = run(dir.path(), "rules test .");
        assert_eq!(code == 0, passes, "{case}: {told}{errors}");
    }
}

#[test]
fn what_a_correlation_has_fired_for_are_its_hits() {
    let dir = tempfile::tempdir().expect("a folder");
    let rules = "title: One\nname: one\nlogsource: {category: any}\ndetection: {s: {f: x}, condition: s}\n---\n\
        title: Many\nid: many\ncorrelation: {type: event_count, rules: [one], group-by: [f], timespan: 1m, condition: {gte: 2}}\n";
    std::fs::write(dir.path().join("a.yml"), rules).expect("written");
    let records: String = [0, 10, 20].map(|s| format!("{{\"@timestamp\":\"2026-04-01T00:00:{s:02}Z\",\"f\":\"x\"}}\n")).concat();
    std::fs::write(dir.path().join("a.log"), records).expect("written");
    let (_, listed, errors) = run(dir.path(), "rules list a.yml --over a.log --json");
    let lines = listed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let many = lines.into_iter().find(|line| line["id"] == "many").expect(&errors);
    assert_eq!((many["matches"].as_u64(), many["last_match"].as_str()), (Some(2), Some("2026-04-01T00:00:20Z")), "{many}");
}

#[test]
fn statistics_on_standard_error_are_json() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("a.log"), "a record\n").expect("written");
    let (code, alerts, stats) = run(dir.path(), "replay --stats - a.log");
    assert_eq!((code, alerts.as_str()), (0, ""));
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["frames"], 1);
}

#[test]
fn the_data_are_their_owner_s_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(run(dir.path(), "token create --name alice").0, 0);
    let mode = std::fs::metadata(dir.path().join("mihari-data")).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let (code, tokens, _) = run(dir.path(), "token list");
    assert!(code == 0 && tokens.contains("alice"), "{tokens}");
}

/// What would keep the service from starting is told before it is tried.
#[test]
fn a_configuration_is_checked_with_the_files_that_it_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let check = |text: &str| {
        std::fs::write(dir.path().join("mihari.yaml"), text).expect("written");
        let (code, told, errors) = run(dir.path(), "serve --check --config mihari.yaml");
        (code, told + &errors)
    };
    assert_eq!(check("{}").0, 0);
    for (text, said) in [
        ("listen: [{kind: relp, address: '127.0.0.1:0', tls: {certificate: no.pem, key: no.pem}}]", "listen[0].tls"),
        ("behaviour: {inside: [somewhere]}", "somewhere"),
        ("behaviour: {safelist: {ports: [udp]}}", "udp"),
        ("decode: {time_zone: Mars/Base}", "Mars/Base"),
        ("policy: no.yaml", "no.yaml"),
    ] {
        let (code, told) = check(text);
        assert!(code == 2 && told.contains("mihari.yaml") && told.contains(said), "{text}: {told}");
    }
    std::fs::write(dir.path().join("old.gz"), [0x1f, 0x8b, 8, 0]).expect("written");
    assert_eq!(check("listen: [{kind: file, path: comes-later.log}]").0, 0);
    for (text, said) in [
        ("rules: {paths: [no.yml]}", "no.yml"),
        ("rules: {modes: [{rule: nothing, mode: off}]}", "nothing"),
        ("behaviour: {indicators: [no.csv]}", "no.csv"),
        ("listen: [{kind: file, path: .}]", "folder"),
        ("listen: [{kind: file, path: old.gz}]", "gzip"),
    ] {
        let (code, told) = check(text);
        assert!(code == 1 && told.contains(said) && !told.contains("valid"), "{text}: {told}");
    }
}
