//! DuckDB, through its Python package: a child process that is sent SQL and answers a number a line.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::events::{Event, event};
use crate::{Ask, Engine, Loaded, bytes_below, sqlite, stock};

const PROGRAM: &str = r#"
import sys, time, duckdb
db = duckdb.connect(sys.argv[1] + "/events.duckdb")
db.execute("SET threads = 1")
db.execute("SET enable_progress_bar = false") # It would stand among the answers.
start, cpu = time.time(), time.process_time()
db.execute(f"""CREATE TABLE event AS SELECT CAST("@timestamp" AS TIMESTAMP) AS time, message AS raw, format,
  "host.name" AS host_name, "event.action" AS event_action, "event.outcome" AS event_outcome, ip("source.ip") AS source_ip,
  ip("destination.ip") AS destination_ip, "source.port" AS source_port, "destination.port" AS destination_port,
  "user.name" AS user_name, "network.bytes" AS network_bytes, "url.original" AS url_original, "url.domain" AS url_domain,
  "http.response.status_code" AS status FROM read_json('{sys.argv[1]}/events.ndjson', format = 'newline_delimited',
  columns = {{"@timestamp": 'VARCHAR', message: 'VARCHAR', format: 'VARCHAR', "host.name": 'VARCHAR', "event.action": 'VARCHAR',
  "event.outcome": 'VARCHAR', "source.ip": 'VARCHAR', "destination.ip": 'VARCHAR', "source.port": 'INTEGER',
  "destination.port": 'INTEGER', "user.name": 'VARCHAR', "network.bytes": 'BIGINT', "url.original": 'VARCHAR',
  "url.domain": 'VARCHAR', "http.response.status_code": 'INTEGER'}})""".replace("ip(", "ipv4("))
db.execute("CHECKPOINT")
print(time.process_time() - cpu, time.time() - start, flush=True)
for line in sys.stdin:
    print(db.execute(line).fetchone()[0], flush=True)
"#;

pub(crate) struct DuckDb {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub(crate) fn load(dir: &Path, events: u64) -> Option<(Box<dyn Engine>, Loaded)> {
    let there = Command::new("python3").args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return None;
    }
    let lines = dir.join("events.ndjson");
    let mut file = BufWriter::new(std::fs::File::create(&lines).unwrap());
    let mut it = Event::default();
    for at in 0..events {
        event(at, &mut it);
        writeln!(file, "{}", stock::json(&it)).unwrap();
    }
    file.into_inner().unwrap();
    // Its addresses are an extension that would have to be fetched: a macro makes numbers of them.
    let program = PROGRAM.replace(
        "start, cpu",
        "db.execute(\"CREATE MACRO ipv4(t) AS CAST(split_part(t, '.', 1) AS BIGINT) * 16777216 + CAST(split_part(t, '.', 2) AS \
         BIGINT) * 65536 + CAST(split_part(t, '.', 3) AS BIGINT) * 256 + CAST(split_part(t, '.', 4) AS BIGINT)\")\nstart, cpu",
    );
    let mut child = Command::new("python3")
        .args(["-c", &program, &dir.to_string_lossy()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut engine = DuckDb { child, input, output };
    let mut line = String::new();
    engine.output.read_line(&mut line).unwrap();
    let times: Vec<f64> = line.split_whitespace().filter_map(|t| t.parse().ok()).collect();
    std::fs::remove_file(&lines).unwrap();
    let [seconds_cpu, seconds_wall] = times[..] else { return None };
    let note = "reads JSON lines; no index of words; the record is in it".to_owned();
    let loaded = Loaded { seconds_cpu, seconds_wall, bytes: bytes_below(dir), note };
    Some((Box::new(engine), loaded))
}

fn condition(ask: &Ask) -> Option<String> {
    let like = |text: &str| format!("raw ILIKE '%{text}%'");
    Some(match ask {
        Ask::Words(words) => like(words),
        Ask::Both(one, two) => format!("{} AND {}", like(one), like(two)),
        Ask::Network(name, network, Some(words)) => {
            format!("{} AND {}", sqlite::condition(&Ask::Network(name, network, None))?, like(words))
        }
        Ask::Substring(None, inner) => like(inner),
        Ask::Regex(name, regex) => format!("regexp_matches({}, '{regex}')", name.replace('.', "_")),
        Ask::Newest(Some(ask)) => condition(ask)?,
        other => sqlite::condition(other)?.replace("1", if matches!(other, Ask::Newest(None)) { "true" } else { "1" }),
    })
}

impl Engine for DuckDb {
    fn ask(&mut self, ask: &Ask) -> Option<u64> {
        let column = |name: &str| name.replace('.', "_");
        let sql = match ask {
            Ask::Newest(_) => {
                format!("SELECT count(*) FROM (SELECT raw FROM event WHERE {} ORDER BY time DESC LIMIT 10)", condition(ask)?)
            }
            Ask::Histogram => "SELECT max(n) FROM (SELECT count(*) n FROM event GROUP BY date_trunc('hour', time))".to_owned(),
            Ask::Terms(name) => {
                let name = column(name);
                format!("SELECT max(n) FROM (SELECT count(*) n FROM event WHERE {name} IS NOT NULL GROUP BY {name})")
            }
            Ask::Cardinality(name) => format!("SELECT count(DISTINCT {}) FROM event", column(name)),
            Ask::Percentiles(name) => format!("SELECT CAST(approx_quantile({}, 0.5) AS BIGINT) FROM event", column(name)),
            _ => format!("SELECT count(*) FROM event WHERE {}", condition(ask)?),
        };
        writeln!(self.input, "{sql}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }

    fn cpu(&self) -> std::time::Duration {
        crate::cpu_of(&format!("/proc/{}/schedstat", self.child.id()))
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // Its input ends with us; it is waited for so that no child outlives the benchmark.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
