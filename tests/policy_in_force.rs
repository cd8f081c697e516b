//! The zone policy of a service that runs: it is loaded anew with the rules, and what it said is told by its version.
#![expect(clippy::disallowed_methods, reason = "a test waits for conditions by the clock")]

mod program;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::Command;

use municipality::town::POLICY;
use program::{Service, wait_for};
use serde_json::{Value, json};

/// A terminal of the Internet zone asks a web server of the Security cloud, by the record of a firewall that let it pass.
fn send(service: &Service, port: u16) {
    let record = format!(
        "<4>Apr  1 09:00:00 fw-core kernel: [1.0] FORWARD-ACCEPT: IN=eth1 OUT=eth0 SRC=10.3.16.9 DST=172.20.1.10 LEN=60 TTL=63 PROTO=TCP \
         SPT={port} DPT=443 WINDOW=64240 SYN"
    );
    UdpSocket::bind("127.0.0.1:0").expect("binds").send_to(record.as_bytes(), service.listen[0]).expect("sent");
}

/// The hashes of the policies by which the cell of these conversations was judged.
fn judges(service: &Service) -> BTreeSet<String> {
    let matrix = service.get("/api/v1/policy/matrix");
    let cells = matrix["cells"].as_array().expect("cells");
    let cell = cells.iter().find(|cell| cell["from"] == "internet" && cell["to"] == "seccloud").expect("a cell");
    cell["policies"].as_array().expect("hashes").iter().map(|hash| hash.as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_zone_policy_is_loaded_anew_with_the_rules() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let write = |text: &str| std::fs::write(dir.path().join("policy.yaml"), text).expect("written");
    let reload = || service.post("/api/v1/rules/reload", &json!({}));
    let in_force = || service.get("/api/v1/policy")["sha256"].as_str().expect("a hash").to_owned();
    let versions = || service.get("/api/v1/policy/versions")["versions"].as_array().expect("a list").clone();
    let verdict = |port: u16| service.hits(&format!("source.port:{port}"), 1)[0]["fields"]["policy.verdict"].clone();
    let first = in_force();
    send(&service, 50_001);
    assert_eq!(verdict(50_001), "kept");
    // The web is taken from what the Internet zone may ask of the cloud; at first with a word that is none.
    let stricter = POLICY.replacen("udp/53, tcp/443, tcp/993", "udp/53, tcp/993", 1);
    assert_ne!(stricter, POLICY);
    write(&stricter.replacen("must_deny:", "must_denny:", 1));
    let refused = reload().expect_err("refused").to_string();
    assert!(refused.contains("409") && refused.contains("policy.yaml:20") && refused.contains("must_denny"), "{refused}");
    assert!(service.get("/api/v1/rules")["failure"].as_str().is_some_and(|why| why.contains("must_denny")), "it is shown");
    assert_eq!((in_force(), versions().len()), (first.clone(), 1));
    write(&stricter);
    let answer = reload().expect("loaded");
    let second = in_force();
    assert_eq!((&answer["policy"]["sha256"], service.get("/api/v1/rules")["failure"].is_null()), (&json!(second), true));
    assert_ne!(first, second);
    wait_for("the version", || (versions().len() == 2).then_some(()));
    assert_eq!([&versions()[0]["sha256"], &versions()[0]["by"]], [&json!(second), &json!("test")]);
    let trail = service.get("/api/v1/audit?what=policy&size=1");
    let record = &trail["records"][0]["record"];
    assert_eq!([&record["before"], &record["after"], &record["by"]], [&json!(first), &json!(second), &json!("test")]);
    assert!(record["from_offset"].as_u64() > Some(1), "{record}");
    send(&service, 50_002);
    assert_eq!((verdict(50_001), verdict(50_002)), (json!("kept"), json!("violation")), "what was said stands");
    // Each conversation is counted once its time is over, by the policy of then.
    wait_for("both policies' counts", || (judges(&service).contains(&second)).then_some(()));
    write(POLICY);
    let pid = service.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs").success());
    wait_for("the third version", || (versions().len() == 3).then_some(()));
    assert_eq!((in_force(), &versions()[0]["by"]), (first.clone(), &json!("a signal to the program")));
    send(&service, 50_003);
    assert_eq!(verdict(50_003), "kept");
    wait_for("the first policy's counts", || (judges(&service) == BTreeSet::from([first.clone(), second.clone()])).then_some(()));
    let versions: Vec<Value> = versions();
    service.stop();
    let service = Service::start(dir.path(), "");
    assert_eq!(service.get("/api/v1/policy/versions")["versions"], json!(versions), "the same policy is in force again");
    service.stop();
}
