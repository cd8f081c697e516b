//! A protocol on a port that is not its own: a sensor has seen by the content what is spoken, and the port says otherwise.

use serde::{Deserialize, Serialize};

use super::observe::{Answer, What};
use super::{Found, Parameters, View};
use crate::table::Table;

/// Protocols as sensors name them, and the ports on which they are usual (IANA's, and those of practice).
const USUAL: [(&[&str], &[u16]); 13] = [
    (&["ssh"], &[22, 2222]),
    (
        &["http", "http2"],
        &[80, 81, 591, 631, 3128, 5357, 5985, 8000, 8008, 8080, 8081, 8088, 8090, 8530, 8880, 8888, 9000, 9080, 9090, 1900, 2869],
    ),
    (
        &["tls", "ssl"],
        &[
            443, 465, 563, 587, 636, 853, 989, 990, 992, 993, 994, 995, 25, 110, 143, 21, 389, 1433, 3269, 3306, 3389, 4343,
            4443, 5061, 5222, 5223, 5228, 5229, 5230, 5269, 5349, 5432, 5671, 5986, 6443, 6514, 6697, 8443, 8883, 8531, 9093,
            9200, 9443, 10_443,
        ],
    ),
    (&["quic"], &[443, 80, 8443, 853]),
    (&["dns"], &[53, 5353, 5355, 853, 137]),
    (&["smb", "smb2"], &[445, 139]),
    (&["rdp", "ms-wbt-server"], &[3389]),
    (&["ftp"], &[21, 2121]),
    (&["smtp"], &[25, 465, 587, 2525]),
    (&["imap"], &[143, 993]),
    (&["pop3"], &[110, 995]),
    (&["telnet"], &[23, 2323]),
    (&["irc"], &[194, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 6697, 7000]),
];

type Key = (u32, u128, u16, u8);

/// The services that were told of.
#[derive(Deserialize, Serialize)]
pub(super) struct Port {
    told: Table<Key, ()>,
}

impl Port {
    pub(super) fn new(p: &Parameters) -> Port {
        Port { told: Table::new(p.entries_max) }
    }

    pub(super) fn size(&self) -> (u64, usize) {
        (self.told.evicted(), self.told.byte_len())
    }

    pub(super) fn take(&mut self, view: &View<'_>, p: &Parameters, found: &mut Vec<Found>) {
        let o = view.o;
        if o.what != What::Flow || o.protocol.is_empty() || o.answer != Answer::Yes || view.to_many {
            return;
        }
        let protocol = view.protocol();
        let Some((_, ports)) = USUAL.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(protocol)))
        else {
            return;
        };
        if ports.contains(&o.port) || view.expected(p) {
            return;
        }
        // Where many use it, it is how the service is run.
        if view.service.is_some_and(|service| service.all() >= p.sources) {
            return;
        }
        self.told.expire(o.time.saturating_sub(p.forget));
        let key = (o.tenant, o.destination, o.port, o.transport);
        let known = self.told.get(&key).is_some();
        self.told.entry(key, o.time);
        if known {
            return;
        }
        let mut f = Found::at(view, &["destination.ip", "destination.port", "network.protocol"]);
        f.explain("protocol", protocol);
        f.explain("usual_ports", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "));
        f.explain("clients", view.service.map_or(0, |service| service.all()));
        found.push(f);
    }
}
