//! A backtest tells the alerts of replaying everything, and replays little.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test waits for conditions by the clock and says what it skips"
)]

mod program;

use std::path::Path;

use program::{Service, program};
use serde_json::{Value, json};

/// Rules of each generated town that are asked, besides the shipped ones.
const PUBLIC_RULES: usize = 120;

/// What the short way and the long way must agree on.
fn told(answer: &Value) -> Value {
    json!([answer["matches"], answer["alerts"], answer["days"], answer["rules"]])
}

/// Rules that are written for the purpose: every way in which a condition narrows what is asked of the index, and ways in which it cannot.
fn written() -> Vec<String> {
    let rule = |detection: &str| {
        format!(
            "title: t\nid: t\nlogsource: {{category: any}}\ndetection:\n{detection}\n  condition: {}\nlevel: low\n",
            "a and not b"
        )
    };
    let none = "  b: {no.such.field: nothing}";
    let mut all: Vec<String> = [
        "  a: {source.ip|cidr: 10.0.0.0/8}",
        "  a: {source.ip: '10.*'}",
        "  a: {source.port|gt: 1024}",
        "  a: {destination.port: [22, 443, 53]}",
        "  a: {destination.port: '443'}",
        "  a: {event.action|contains: den}",
        "  a: {user.name|re: '^[a-m]'}",
        "  a: {user.name: null}",
        "  a: {user.name|exists: true}",
        "  a: {message|contains: 'password for'}",
        "  a: {message|contains|all: [from, port]}",
        "  a: {message|contains: [ailed passw, 'valid us', \"\u{30ed}グイン\"]}",
        "  a: {message|startswith: Failed}",
        "  a: {message|endswith: [ssh2, closed]}",
        "  a: {message|re: 'user [a-m]'}",
        "  a: [failed, denied]",
        "  a: {url.original|endswith: ['.exe', '.php'], http.request.method|cased: GET}",
        "  a: {source.ip|fieldref: destination.ip}",
        "  a: {mihari.transport: http}",
    ]
    .iter()
    .map(|a| rule(&format!("{a}\n{none}")))
    .collect();
    all.push(
        "title: base\nname: base\nlogsource: {category: any}\ndetection:\n  a: {event.outcome: failure}\n  condition: a\n---\n\
         title: many\nid: many\ncorrelation: {type: event_count, rules: [base], group-by: [source.ip], timespan: 10m, condition: {gte: 3}}\n\
         level: high\n"
            .to_owned(),
    );
    all
}

#[test]
fn a_backtest_tells_what_replaying_everything_tells() {
    for seed in ["3", "7"] {
        let dir = tempfile::tempdir().expect("a folder");
        let town = dir.path().join("town");
        let made =
            program().args(["generate", "--seed", seed, "--minutes", "40", "--terminals", "12", "--out"]).arg(&town).output();
        assert!(made.expect("runs").status.success());
        let service = Service::start(dir.path(), "");
        let mut records = 0;
        for entry in std::fs::read_dir(town.join("logs")).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.extension().is_some_and(|e| e == "log") {
                let text = std::fs::read_to_string(&entry).expect("text");
                let lines: Vec<&str> = text.lines().collect();
                records += lines.len();
                for some in lines.chunks(20_000) {
                    api::client::post(&service.api, "/api/v1/ingest", &service.token, &some.join("\n")).expect("taken");
                }
            }
        }
        assert!(records > 1000, "{records} records");
        service.post("/api/v1/_elastic/_refresh", &json!({})).expect("searchable");
        let mut rules: Vec<(String, String)> =
            written().into_iter().enumerate().map(|(n, y)| (format!("written {n}"), y)).collect();
        rules.extend(
            rules::pack().iter().filter(|(name, _)| name.ends_with("rule.yml")).map(|(n, y)| ((*n).to_owned(), (*y).to_owned())),
        );
        rules.extend(public());
        let (mut asked, mut narrowed, mut matches) = (0, 0, 0);
        for (name, yaml) in &rules {
            for range in [json!({}), json!({"from": "2026-04-01T00:10:00Z", "to": "2026-04-01T00:30:00Z"})] {
                let mut body = range.clone();
                body["yaml"] = yaml.as_str().into();
                // What learns from every event is refused, with the reason.
                let short = match service.post("/api/v1/backtests", &body) {
                    Ok(answer) => answer,
                    Err(error) => {
                        assert!(error.to_string().contains("learns") || yaml.contains("behaviour:"), "{name}: {error}");
                        continue;
                    }
                };
                body["full"] = true.into();
                let long = service.post("/api/v1/backtests", &body).expect(name);
                assert_eq!(told(&short), told(&long), "{name}");
                let reasons = short["reasons"].to_string();
                assert!(
                    short["exact"] == true
                        || ["stored with", "alerts: the first are told"].iter().any(|why| reasons.contains(why)),
                    "{name}: {reasons}",
                );
                assert!(short["frames"].as_u64() <= long["frames"].as_u64(), "{name}");
                asked += 1;
                narrowed += u32::from(short["narrowed"] == true);
                matches += short["matches"].as_u64().expect("a count");
            }
        }
        println!("seed {seed}: {records} records, {asked} backtests, {narrowed} narrowed by the index, {matches} matches");
        assert!(narrowed > 20 && matches > 100, "{narrowed} {matches}");
        service.stop();
    }
}

/// Some of the public rules, if they are present.
fn public() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/sigma/rules");
    let (files, _) = rules::read_files(&[folder]);
    if files.is_empty() {
        println!("skipped: the public rules are not present");
    }
    let network = |name: &str| ["network", "web", "linux"].iter().any(|part| name.contains(part));
    let chosen: Vec<_> = files.into_iter().filter(|(name, _)| network(name)).collect();
    let step = chosen.len().div_ceil(PUBLIC_RULES).max(1);
    chosen.into_iter().step_by(step).collect()
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let behaviour = rules::pack().iter().find(|(_, text)| text.contains("\nbehaviour:")).expect("there is one").1;
    for (body, reason) in [
        (json!({"yaml": "title: x"}), "bad_rule"),
        (json!({"yaml": ""}), "bad_rule"),
        (json!({"rule": "no-such-rule"}), "no_such_rule"),
        (json!({}), "bad_body"),
        (json!({"yaml": behaviour}), "learns"),
        (json!({"yaml": "x", "from": "yesterday"}), "bad_time"),
    ] {
        let told = service.post("/api/v1/backtests", &body).expect_err("it is refused").to_string();
        assert!(told.contains("400") && told.contains(reason), "{body}: {told}");
    }
    service.stop();
}
