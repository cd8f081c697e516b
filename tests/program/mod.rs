//! The program as a service of its own process, for the tests of it.
#![allow(dead_code, reason = "each file of tests is its own program and uses what it needs")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before a test gives up. Generous: machines are slow at times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A program that runs, with its listeners and a token.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) api: String,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) token: String,
    pub(crate) dir: PathBuf,
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mihari"))
}

/// Waits for a condition, looking every few milliseconds.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

impl Service {
    /// `more` may go on with the list of listeners, or bring other keys. Rules in the folder `rules` are loaded beside the shipped ones.
    pub(crate) fn start(dir: &Path, more: &str) -> Service {
        let config = dir.join("mihari.yaml");
        let policy = dir.join("policy.yaml");
        std::fs::write(&policy, municipality::town::POLICY).expect("written");
        let rules = Some(dir.join("rules")).filter(|rules| rules.is_dir());
        let rules = rules.map_or_else(String::new, |rules| format!(", paths: [{}]", rules.display()));
        let text = format!(
            "data: {}\npolicy: {}\nrules: {{lateness_s: 1{rules}}}\napi: {{address: \"127.0.0.1:0\"}}\nlisten:\n  \
             - {{kind: syslog_udp, address: \"127.0.0.1:0\"}}\n  - {{kind: syslog_tcp, address: \"127.0.0.1:0\"}}\n  \
             - {{kind: flow_udp, address: \"127.0.0.1:0\"}}\n{more}",
            dir.join("data").display(),
            policy.display()
        );
        std::fs::write(&config, text).expect("written");
        let token = program().args(["token", "create", "--name", "test", "--config"]).arg(&config).output().expect("runs");
        assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
        let token = String::from_utf8(token.stdout).expect("text").trim().to_owned();
        let ready = dir.join("ready.json");
        drop(std::fs::remove_file(&ready));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
        let child = program()
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starts");
        let text = wait_for("the service", || std::fs::read_to_string(&ready).ok());
        let told: Value = serde_json::from_str(&text).expect("JSON");
        let listen = told["listen"].as_array().expect("a list").iter().filter_map(|a| a.as_str()?.parse().ok()).collect();
        Service {
            child,
            api: format!("http://{}", told["api"].as_str().expect("an address")),
            listen,
            token,
            dir: dir.to_owned(),
        }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, api::client::ClientError> {
        api::client::post(&self.api, path, &self.token, &body.to_string()).map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        use std::io::Read;
        let mut text = String::new();
        api::client::stream(&self.api, path, &[], &self.token).expect(path).read_to_string(&mut text).expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn search(&self, query: &str) -> Value {
        self.post("/api/v1/search", &json!({"query": query, "from": "2000-01-01", "size": 1000})).expect(query)
    }

    /// Waits until a query has so many hits.
    pub(crate) fn hits(&self, query: &str, count: u64) -> Vec<Value> {
        wait_for(&format!("{count} hits of {query}"), || {
            let answer = self.search(query);
            (answer["total"].as_u64()? >= count).then(|| answer["hits"].as_array().cloned().unwrap_or_default())
        })
    }

    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let status = self.child.wait().expect("ends");
        assert!(status.success(), "{}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
