//! SQLite: one table with b-trees where they help, and FTS5 for the text.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::events::{Event, event};
use crate::{Ask, Engine, Loaded, bytes_below, making, measured};

pub(crate) struct Sqlite(Connection);

pub(crate) fn load(dir: &Path, events: u64) -> (Box<dyn Engine>, Loaded) {
    let db = Connection::open(dir.join("events.sqlite")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -400000;
         CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER, raw TEXT, format TEXT, host_name TEXT, event_action TEXT,
           event_outcome TEXT, source_ip INTEGER, destination_ip INTEGER, source_port INTEGER, destination_port INTEGER,
           user_name TEXT, network_bytes INTEGER, url_original TEXT, url_domain TEXT, status INTEGER);
         CREATE INDEX by_source ON event (source_ip); CREATE INDEX by_user ON event (user_name);
         CREATE INDEX by_time ON event (time);
         CREATE VIRTUAL TABLE words USING fts5 (raw, content = 'event', content_rowid = 'id');",
    )
    .unwrap();
    let (made_cpu, made_wall) = making(events, |first, n| {
        let mut it = Event::default();
        (first..first + n).for_each(|at| event(at, &mut it));
    });
    let mut it = Event::default();
    let (cpu, wall) = measured(
        |first, n| {
            let transaction = db.unchecked_transaction().unwrap();
            {
                let mut row = transaction
                    .prepare_cached("INSERT INTO event VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)")
                    .unwrap();
                let mut words = transaction.prepare_cached("INSERT INTO words (rowid, raw) VALUES (?1, ?2)").unwrap();
                for at in first..first + n {
                    event(at, &mut it);
                    let ip = |ip: Option<std::net::Ipv4Addr>| ip.map(|ip| i64::from(ip.to_bits()));
                    row.execute(params![
                        at as i64,
                        it.time,
                        it.raw,
                        it.format,
                        it.host,
                        it.action,
                        it.outcome,
                        ip(it.source),
                        ip(it.destination),
                        it.ports.map(|p| p.0),
                        it.ports.map(|p| p.1),
                        it.user,
                        it.bytes,
                        it.url,
                        it.domain,
                        it.status
                    ])
                    .unwrap();
                    words.execute(params![at as i64, it.raw]).unwrap();
                }
            }
            transaction.commit().unwrap();
        },
        events,
    );
    let loaded = Loaded {
        seconds_cpu: cpu - made_cpu,
        seconds_wall: wall - made_wall,
        bytes: bytes_below(dir),
        note: "FTS5 and three b-trees; the record is in it".to_owned(),
    };
    (Box::new(Sqlite(db)), loaded)
}

/// The condition of a query, as SQL.
pub(crate) fn condition(ask: &Ask) -> Option<String> {
    let column = |name: &str| name.replace('.', "_");
    let matching = |text: &str| format!("id IN (SELECT rowid FROM words WHERE words MATCH '{text}')");
    Some(match ask {
        Ask::Words(words) => matching(&format!("\"{words}\"")),
        Ask::Both(one, two) => matching(&format!("{one} AND {two}")),
        Ask::Is(name, value) => match value.parse::<std::net::Ipv4Addr>() {
            Ok(ip) => format!("{} = {}", column(name), ip.to_bits()),
            Err(_) => format!("{} = '{value}'", column(name)),
        },
        Ask::Network(name, network, words) => {
            let (ip, bits) = network.split_once('/').unwrap();
            let low = ip.parse::<std::net::Ipv4Addr>().unwrap().to_bits();
            let high = low | (u32::MAX >> bits.parse::<u32>().unwrap());
            let range = format!("{} BETWEEN {low} AND {high}", column(name));
            words.map_or(range.clone(), |w| format!("{range} AND {}", matching(&format!("\"{w}\""))))
        }
        Ask::Substring(None, _) | Ask::Regex(..) => return None,
        Ask::Substring(Some(name), inner) => format!("{} LIKE '%{inner}%'", column(name)),
        Ask::Above(name, n) => format!("{} > {n}", column(name)),
        Ask::Newest(Some(ask)) => condition(ask)?,
        _ => "1".to_owned(),
    })
}

impl Engine for Sqlite {
    fn ask(&mut self, ask: &Ask) -> Option<u64> {
        let number = |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
        let column = |name: &str| name.replace('.', "_");
        let found = match ask {
            Ask::Words(words) => number(&format!("SELECT count(*) FROM words WHERE words MATCH '\"{words}\"'")),
            Ask::Both(one, two) => number(&format!("SELECT count(*) FROM words WHERE words MATCH '{one} AND {two}'")),
            Ask::Newest(_) => {
                let sql =
                    format!("SELECT count(*) FROM (SELECT raw FROM event WHERE {} ORDER BY time DESC LIMIT 10)", condition(ask)?);
                number(&sql)
            }
            Ask::Histogram => number("SELECT max(n) FROM (SELECT count(*) n FROM event GROUP BY time / 3600000000000)"),
            Ask::Terms(name) => {
                let name = column(name);
                number(&format!("SELECT max(n) FROM (SELECT count(*) n FROM event WHERE {name} IS NOT NULL GROUP BY {name})"))
            }
            Ask::Cardinality(name) => number(&format!("SELECT count(DISTINCT {}) FROM event", column(name))),
            Ask::Percentiles(_) => return None,
            _ => number(&format!("SELECT count(*) FROM event WHERE {}", condition(ask)?)),
        };
        Some(found)
    }
}
