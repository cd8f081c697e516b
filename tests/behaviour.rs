//! Behaviour on labelled traffic (`../shared/captures/behaviour`): each malicious capture gives its alert, and the alerts on what is labelled
//! benign are counted. Prints both. Where the folder is absent, says so.

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

use std::path::{Path, PathBuf};
use std::process::Command;

const BEACON: &str = "Regular connections to one place outside";
const UNANSWERED: &str = "Regular calls to one place outside that nobody answers";
const LONG: &str = "A connection to the outside that stays open";
const SCAN: [&str; 4] = [
    "A host inside tries many hosts or ports",
    "An address outside tries many hosts or ports",
    "A host inside tries many hosts or ports slowly",
    "One device asks for many addresses by DHCP",
];
const GUESSING: &str = "Passwords are being guessed";
const SHIPPED: [&str; 27] = [
    BEACON,
    UNANSWERED,
    LONG,
    SCAN[0],
    SCAN[1],
    SCAN[2],
    SCAN[3],
    GUESSING,
    "Far more data sent out than ever",
    "Many long random names below one domain",
    "A service that was not there before",
    "A host with few destinations goes to a new one",
    "A protocol on a port that is not its own",
    "A terminal goes to the web past the proxy",
    "A terminal asks a resolver that is not ours",
    "A flood of traffic to one host",
    "A terminal reaches several terminals for administration",
    "Traffic with something that is reported as malicious",
    "Data in the names of DNS queries",
    "Data carried in DNS or ping packets",
    "A terminal sends mail to many servers outside",
    "A host inside talks to a chat server outside",
    "A host inside talks to many strangers on ports of no service",
    "A host inside asks for many names that do not exist",
    "A name with addresses in very many networks",
    "Pages asked for at a machine's pace",
    "A host inside floods somebody outside",
];

struct Alert {
    title: String,
    group: String,
    explanation: String,
    /// Of what is scored, such as beacons.
    score: Option<f64>,
}

/// The files of a capture: itself, or what a folder holds.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(path).expect("a folder").flat_map(|entry| files(&entry.expect("an entry").path())).collect();
    found.retain(|f| {
        f.extension().is_some_and(|e| ["log", "labeled", "pcap", "json", "binetflow"].iter().any(|known| e == *known))
    });
    found.sort();
    found
}

/// The alerts of the shipped behaviours, how many connections there were, and over how many days.
fn replay(files: &[PathBuf]) -> (Vec<Alert>, u64, f64) {
    let stats = tempfile::NamedTempFile::new().expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_mihari"))
        .args(["replay", "--reference", "2026-04-01T00:00:00Z", "--stats"])
        .arg(stats.path())
        .args(files)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
    let alerts = String::from_utf8(output.stdout).expect("text");
    let alerts = alerts.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an alert"));
    let alerts = alerts.filter(|alert| SHIPPED.contains(&alert["rule"]["title"].as_str().unwrap_or("")));
    let alert = |alert: serde_json::Value| Alert {
        title: alert["rule"]["title"].as_str().unwrap_or("").to_owned(),
        group: alert["group"].to_string(),
        explanation: alert["explanation"].to_string(),
        score: alert["explanation"]["score"].as_str().and_then(|score| score.parse().ok()),
    };
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(stats.path()).expect("there")).expect("JSON");
    let time = |name: &str| told[name].as_str().and_then(|t| t.parse::<event::Time>().ok());
    let days = time("first_event").zip(time("last_event")).map_or(0.0, |(first, last)| last.since_ns(first) as f64 / 86_400e9);
    (alerts.map(alert).collect(), told["behaviour"]["observed"].as_u64().unwrap_or(0), days)
}

#[test]
fn each_malicious_capture_gives_its_alert_and_the_benign_ones_few() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures/behaviour");
    let Ok(manifest) = std::fs::read(root.join("MANIFEST.json")) else {
        println!("{} is not there: nothing was judged", root.display());
        return;
    };
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let (mut missed, mut labelled, mut beside, mut observed_in_all, mut days_in_all) = (Vec::new(), 0, 0u64, 0u64, 0.0);
    for capture in manifest.as_array().expect("captures") {
        let (path, kind) = (capture["path"].as_str().expect("a path"), capture["kind"].as_str().expect("a kind"));
        // A folder of captures that each stand by themselves, or the logs of one sensor.
        let all = files(&root.join(path));
        let alone = kind == "long-conn" || all.iter().any(|f| f.extension().is_some_and(|e| e == "pcap"));
        let runs: Vec<Vec<PathBuf>> = if alone { all.into_iter().map(|f| vec![f]).collect() } else { vec![all] };
        let wanted: &[&str] = match kind {
            "scan" => &SCAN,
            "beacon/c2" => &[BEACON, UNANSWERED],
            "bruteforce" => &[GUESSING],
            "long-conn" => &[LONG],
            _ => &[],
        };
        let mut alerts = Vec::new();
        for run in &runs {
            let (found, observed, days) = replay(run);
            observed_in_all += observed;
            days_in_all += days;
            // Each capture file of a folder of C2 captures is one.
            if kind == "beacon/c2" && alone {
                labelled += 1;
                if !found.iter().any(|alert| wanted.contains(&alert.title.as_str())) {
                    missed.push(format!("{run:?}"));
                }
            }
            println!(
                "{}: {observed} observed in {days:.3} days, {} alerts",
                run[0].strip_prefix(&root).unwrap_or(&run[0]).display(),
                found.len()
            );
            for alert in &found {
                println!("    {} {} {}", alert.title, alert.group, alert.explanation);
            }
            alerts.extend(found);
        }
        if wanted.is_empty() {
            continue;
        }
        if !(kind == "beacon/c2" && alone) {
            labelled += 1;
            if !alerts.iter().any(|alert| wanted.contains(&alert.title.as_str())) {
                missed.push(path.to_owned());
            }
        }
        // Where the label names the other end, nothing scores more than it.
        let label = capture["label"].as_str().unwrap_or("").split([' ', ',', ';', '(', ')']);
        for named in label.filter(|word| word.parse::<std::net::IpAddr>().is_ok()) {
            let best =
                alerts.iter().filter(|alert| alert.score.is_some()).max_by(|a, b| a.score.partial_cmp(&b.score).expect("no NaN"));
            assert!(best.is_some_and(|best| best.group.contains(named)), "{path}: {:?}", best.map(|best| &best.group));
        }
        // In a capture of one malicious thing, what is no alert for that thing is a false one.
        beside += alerts.iter().filter(|alert| !wanted.contains(&alert.title.as_str())).count() as u64;
    }
    // A day of 10,000 connections has so many false alerts; and so many came in the days that the captures cover.
    println!(
        "{} of {labelled} labelled captures gave their alert; {beside} alerts beside, of {observed_in_all} observations in {days_in_all:.2} days: \
         {:.2} in a day of 10,000 connections, {:.2} a day as captured",
        labelled - missed.len(),
        beside as f64 * 10_000.0 / observed_in_all.max(1) as f64,
        beside as f64 / f64::max(days_in_all, 1e-9)
    );
    assert_eq!(missed, Vec::<String>::new());
    assert!(beside * 10_000 <= observed_in_all, "{beside} false alerts of {observed_in_all} observations");
}
