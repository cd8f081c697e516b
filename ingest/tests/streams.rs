//! Connections: TLS with and without client certificates, certificates that change, RELP's acknowledgement, the PROXY protocol, who may
//! send. Through real sockets into a real journal.

mod rig;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use event::{Clock, Transport};
use ingest::listen::{Admission, Datagrams, Place, Stream, StreamProtocol, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rig::{Rig, Wall, kept, loopback, texts, wait_for};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// An authority and a leaf of it, in files.
struct Certificates {
    dir: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let made = Certificates { dir: tempfile::tempdir().expect("a folder"), authority };
        std::fs::write(made.path("authority.pem"), made.authority.pem()).expect("written");
        made.leaf("server");
        made.leaf("client");
        made
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn leaf(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    fn files(&self, with_clients: bool) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authorities: with_clients.then(|| self.path("authority.pem")),
        }
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).expect("a file").collect::<Result<_, _>>().expect("certificates")
}

/// Sends `text` under TLS and closes; gives the leaf that the server showed.
fn send_under_tls(rig: &Rig, made: &Certificates, with_client: bool, text: &str) -> std::io::Result<CertificateDer<'static>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&made.path("authority.pem")));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = if with_client {
        let key = PrivateKeyDer::from_pem_file(made.path("client.key")).expect("a key");
        builder.with_client_auth_cert(certificates(&made.path("client.pem")), key).expect("a client certificate")
    } else {
        builder.with_no_client_auth()
    };
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = rustls::StreamOwned::new(connection, rig.connect());
    stream.write_all(text.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()?;
    // The server ends once it has read to the end; a refusal shows here too.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    Ok(stream.conn.peer_certificates().expect("a leaf")[0].clone().into_owned())
}

#[test]
fn syslog_under_tls() {
    let made = Certificates::new();
    let rig = Rig::stream(StreamProtocol::Syslog, Some(made.files(false)), false);
    send_under_tls(&rig, &made, false, "9 <13>first12 <13>a\nsecond").expect("sent");
    let mut plain = rig.connect();
    plain.write_all(b"<13>in the clear\n").expect("sent");
    let mut rest = Vec::new();
    drop(plain.read_to_end(&mut rest)); // An alert, or a reset: either way it is over.
    let records = rig.records();
    assert_eq!(texts(&records), ["<13>first", "<13>a\nsecond"]);
    assert!(records.iter().all(|(_, transport, _)| *transport == Transport::Tls));
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    let made = Certificates::new();
    let rig = Rig::stream(StreamProtocol::Syslog, Some(made.files(true)), false);
    send_under_tls(&rig, &made, false, "<13>nobody knows me\n").expect_err("refused");
    send_under_tls(&rig, &made, true, "<13>known\n").expect("sent");
    assert_eq!(texts(&rig.records()), ["<13>known"]);
}

#[test]
fn certificates_are_read_again_when_they_change() {
    let made = Certificates::new();
    let rig = Rig::stream(StreamProtocol::Syslog, Some(made.files(false)), false);
    let old = send_under_tls(&rig, &made, false, "<13>1\n").expect("sent");
    // A new certificate whose key is not there yet: the old one stays.
    std::fs::write(made.path("server.key"), "no key").expect("written");
    made.leaf("server");
    let new = certificates(&made.path("server.pem"))[0].clone();
    assert_ne!(old, new);
    wait_for("the new certificate", || send_under_tls(&rig, &made, false, "<13>2\n").expect("sent") == new);
}

#[test]
fn relp_acknowledges_what_is_on_disk() {
    let rig = Rig::stream(StreamProtocol::Relp, None, false);
    let mut stream = rig.connect();
    stream.write_all(b"1 open 30 relp_version=0\ncommands=syslog\n").expect("sent");
    let mut answer = [0; 1024];
    let got = stream.read(&mut answer).expect("an answer");
    let opened = String::from_utf8_lossy(&answer[..got]).into_owned();
    assert!(opened.starts_with("1 rsp ") && opened.contains("200 OK") && opened.contains("commands=syslog"), "{opened}");
    stream.write_all(b"2 syslog 9 <13>first\n3 syslog 10 <13>second\n4 starttls 0\n").expect("sent");
    let mut answers = String::new();
    while answers.matches('\n').count() < 3 {
        let got = stream.read(&mut answer).expect("answers");
        answers.push_str(&String::from_utf8_lossy(&answer[..got]));
    }
    assert_eq!(answers, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 19 500 unknown command\n");
    // What is acknowledged can be read at this moment, before anything is closed.
    assert_eq!(texts(&kept(&rig.journal)), ["<13>first", "<13>second"]);
    stream.write_all(b"5 close 0\n").expect("sent");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the end");
    assert_eq!(rest, "5 rsp 0 \n0 serverclose 0\n");
    let records = rig.records();
    assert!(records.iter().all(|(_, transport, source)| *transport == Transport::Relp && source.is_some()));
}

#[test]
fn the_proxy_header_names_the_sender() {
    let rig = Rig::stream(StreamProtocol::Syslog, None, true);
    let mut stream = rig.connect();
    stream.write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 601\r\n<13>behind\n").expect("sent");
    drop(stream);
    let mut forged = rig.connect();
    forged.write_all(b"<13>without a header\n").expect("sent");
    let mut rest = Vec::new();
    drop(forged.read_to_end(&mut rest)); // Closed by the listener.
    wait_for("the record", || !kept(&rig.journal).is_empty());
    let records = rig.records();
    assert_eq!(texts(&records), ["<13>behind"]);
    assert_eq!(records[0].2, Some("192.0.2.7:5000".parse().expect("an address")));
}

#[test]
fn who_is_not_listed_may_not_send_and_is_counted() {
    let admission = Admission { allow: vec!["192.0.2.0/24".parse().expect("a prefix")], ..Admission::default() };
    let rig = Rig::start(Place::SyslogUdp(Datagrams::at(loopback())), admission.clone());
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    for n in 0..7 {
        socket.send_to(format!("<13>{n}").as_bytes(), rig.address).expect("sent");
    }
    let records = rig.records();
    assert_eq!(texts(&records), [r#"{"reason":"not_allowed","count":7}"#]);
    assert_eq!(records[0].2.map(|sender| sender.ip()), Some([127, 0, 0, 1].into()), "whose they were");

    let place = Place::Stream(Stream {
        address: loopback(),
        protocol: StreamProtocol::Syslog,
        tls: None,
        proxy_protocol: false,
        multiline: None,
    });
    let rig = Rig::start(place, admission);
    let mut stream = rig.connect();
    drop(stream.write_all(b"<13>x\n")); // May fail: it is closed at once.
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    assert_eq!(texts(&rig.records()), [""; 0]);
}

#[test]
fn over_its_quota_a_sender_of_datagrams_is_cut_and_counted() {
    let admission = Admission { records_per_second: Some(5), ..Admission::default() };
    let rig = Rig::start(Place::SyslogUdp(Datagrams { sockets: 2, ..Datagrams::at(loopback()) }), admission);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    for n in 0..100 {
        socket.send_to(format!("<13>{n}").as_bytes(), rig.address).expect("sent");
    }
    let records = rig.records();
    let lost: u64 = records
        .iter()
        .filter_map(|(text, ..)| text.strip_prefix(r#"{"reason":"over_quota","count":"#)?.strip_suffix('}')?.parse::<u64>().ok())
        .sum();
    let taken = records.iter().filter(|(text, ..)| text.starts_with("<13>")).count() as u64;
    assert!(lost > 0 && taken >= 5, "{taken} taken, {lost} lost");
    assert_eq!(taken + lost, 100, "every datagram is taken or counted");
}

#[test]
fn a_quota_is_a_sender_s_whatever_socket_takes_its_datagrams() {
    const QUOTA: u32 = 5;
    let admission = Admission { records_per_second: Some(QUOTA), ..Admission::default() };
    let before = Wall.now();
    let rig = Rig::start(Place::SyslogUdp(Datagrams { sockets: 8, ..Datagrams::at(loopback()) }), admission);
    for n in 0..200 {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.send_to(format!("<13>{n}").as_bytes(), rig.address).expect("sent");
    }
    let records = rig.records();
    let seconds = Wall.now().since_ns(before) / 1_000_000_000 + 1;
    let taken = records.iter().filter(|(text, ..)| text.starts_with("<13>")).count() as u64;
    assert!(taken <= u64::from(QUOTA) * (seconds as u64 + 1), "{taken} taken in {seconds} s");
}

#[test]
fn ipfix_over_tcp_comes_message_by_message() {
    let rig = Rig::stream(StreamProtocol::Ipfix, None, false);
    let message = |n: u8| [&[0u8, 10, 0, 20][..], &[n; 16]].concat();
    // What comes with the messages and is none costs only itself and the connection.
    let mut stream = rig.connect();
    stream.write_all(&[message(3), b"no message".to_vec()].concat()).expect("sent");
    wait_for("the message before", || kept(&rig.journal).len() == 1);
    let mut stream = rig.connect();
    stream.write_all(&[message(1), message(2)].concat()).expect("sent");
    drop(stream);
    wait_for("both messages", || kept(&rig.journal).len() == 3);
    let records = rig.records();
    assert!(records.iter().all(|(text, transport, _)| text.len() == 20 && *transport == Transport::Tcp));
}
