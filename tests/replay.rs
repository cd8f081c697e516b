//! Captured scenarios: each folder of `tests/scenarios` has captures, perhaps rules and a policy, and the alerts that must come out, byte
//! for byte, whatever the batch size and the threads. Adding one is adding a folder.
//!
//! `MIHARI_BLESS=1 cargo test --test replay` writes `alerts.ndjson` anew: read the difference before you keep it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn replay(folder: &Path, threads: &str, batch_bytes: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mihari"));
    command.args(["replay", "--threads", threads, "--batch-bytes", batch_bytes, "--reference", "2026-04-01T00:00:00Z"]);
    if folder.join("rules").is_dir() {
        command.arg("--rules").arg(folder.join("rules"));
    }
    if folder.join("policy.yaml").exists() {
        command.arg("--policy").arg(folder.join("policy.yaml"));
    }
    let mut captures: Vec<PathBuf> =
        std::fs::read_dir(folder.join("captures")).expect("captures").map(|e| e.expect("an entry").path()).collect();
    captures.sort();
    let output = command.args(&captures).output().expect("runs");
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_scenario_gives_its_alerts_however_it_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root).expect("scenarios").map(|e| e.expect("an entry").path()).collect();
    folders.sort();
    assert!(folders.len() >= 3, "{folders:?}");
    for folder in folders {
        let expected_path = folder.join("alerts.ndjson");
        let alerts = replay(&folder, "1", "1048576");
        if std::env::var_os("MIHARI_BLESS").is_some() {
            std::fs::write(&expected_path, &alerts).expect("written");
        }
        let expected = std::fs::read_to_string(&expected_path).expect("alerts.ndjson");
        assert_eq!(alerts, expected, "{}", folder.display());
        for (threads, batch_bytes) in [("2", "1"), ("1", "500"), ("3", "4096"), ("4", "1048576")] {
            assert_eq!(
                replay(&folder, threads, batch_bytes),
                expected,
                "{} with {threads} threads, {batch_bytes} bytes",
                folder.display()
            );
        }
    }
}

#[test]
fn a_generated_town_gives_the_same_alerts_however_it_is_run_and_every_claim_holds() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = Command::new(env!("CARGO_BIN_EXE_mihari"))
        .args(["generate", "--seed", "5", "--minutes", "3", "--terminals", "100", "--out"])
        .arg(dir.path())
        .output()
        .expect("runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let run = |threads: &str, batch_bytes: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_mihari"))
            .args(["replay", "--threads", threads, "--batch-bytes", batch_bytes, "--policy"])
            .arg(dir.path().join("policy.yaml"))
            .arg(dir.path().join("traffic.pcap"))
            .output()
            .expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let alerts = run("1", "1048576");
    assert_eq!(run("3", "2000"), alerts);
    let truth: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("truth.json")).expect("there")).expect("JSON");
    for incident in truth["incidents"].as_array().expect("incidents") {
        if incident["not_seen_because"].is_string() {
            continue;
        }
        let rule = incident["seen_by"][0].as_str().expect("a rule");
        let source = incident["source"].as_str().expect("a source");
        assert!(alerts.lines().any(|a| a.contains(rule) && a.contains(source)), "{incident} is not in\n{alerts}");
    }
}
