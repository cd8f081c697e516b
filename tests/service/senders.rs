//! Records and flows of real senders: logger, rsyslog, syslog-ng, softflowd, nfreplay.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::program::{Service, program, wait_for};

fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/sbin", "/bin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists())
}

#[test]
fn records_of_logger_are_found_seconds_later() {
    let Some(logger) = installed("logger") else {
        println!("skipped: logger is not present");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let (udp, tcp) = (service.listen[0].port().to_string(), service.listen[1].port().to_string());
    for args in [
        vec!["-n", "127.0.0.1", "-P", &udp, "-d", "-t", "sshd", "--", "Failed password for root from 203.0.113.9 port 4711 ssh2"],
        vec![
            "-n",
            "127.0.0.1",
            "-P",
            &udp,
            "-d",
            "--rfc3164",
            "-t",
            "sshd",
            "Failed password for root from 203.0.113.10 port 4711 ssh2",
        ],
        vec!["-n", "127.0.0.1", "-P", &tcp, "-T", "-t", "sshd", "Failed password for 花子 from 203.0.113.11 port 4711 ssh2"],
        vec![
            "-n",
            "127.0.0.1",
            "-P",
            &tcp,
            "-T",
            "--octet-count",
            "-t",
            "sshd",
            "Failed password for x from 203.0.113.12 port 4711 ssh2",
        ],
    ] {
        assert!(Command::new(&logger).args(&args).status().expect("runs").success(), "{args:?}");
    }
    let hits = service.hits("source.ip:203.0.113.0/24 AND event.outcome:failure AND \"failed password\"", 4);
    assert!(hits.iter().all(|hit| hit["raw"].as_str().is_some_and(|raw| raw.contains("Failed password"))), "{hits:?}");
    assert_eq!(service.hits("user.name:花子", 1)[0]["fields"]["source.ip"], "203.0.113.11");
    service.stop();
}

/// rsyslog, sending 200 records with `action`; `modules` are what that needs.
fn records_of_rsyslog_are_found(dir: &Path, service: &Service, modules: &str, action: &str) {
    let conf = dir.join("rsyslog.conf");
    let input = dir.join("input.log");
    std::fs::write(&input, (0..200).map(|n| format!("rsyslog record {n} for the lookout\n")).collect::<String>())
        .expect("written");
    let text = format!(
        "global(workDirectory=\"{0}\")\n{modules}\nmodule(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\n\
         input(type=\"imfile\" file=\"{1}\" tag=\"town:\")\n\
         *.* action({action} target=\"127.0.0.1\" template=\"RSYSLOG_SyslogProtocol23Format\")\n",
        dir.display(),
        input.display(),
    );
    std::fs::write(&conf, text).expect("written");
    let rsyslogd = installed("rsyslogd").expect("looked at before");
    let mut daemon = Command::new(rsyslogd)
        .args(["-n", "-f"])
        .arg(&conf)
        .arg("-i")
        .arg(dir.join("rsyslog.pid"))
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let hits = service.hits("\"for the lookout\"", 200);
    daemon.kill().expect("killed");
    daemon.wait().expect("ended");
    assert_eq!(hits.len(), 200);
}

/// Whether rsyslog has a module; says what is skipped where it has not.
fn has_rsyslog(module: &str) -> bool {
    let found = installed("rsyslogd").is_some()
        && std::fs::read_dir("/usr/lib")
            .is_ok_and(|dirs| dirs.flatten().any(|dir| dir.path().join("rsyslog").join(format!("{module}.so")).exists()));
    if !found {
        println!("skipped: rsyslog with {module} is not present");
    }
    found
}

#[test]
fn records_of_rsyslog_over_tcp_are_found() {
    if !has_rsyslog("imfile") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let port = service.listen[1].port();
    let action = format!("type=\"omfwd\" port=\"{port}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\"");
    records_of_rsyslog_are_found(dir.path(), &service, "", &action);
    service.stop();
}

/// syslog-ng and where its libraries and modules are: installed, or unpacked into the build folder.
fn syslog_ng() -> Option<(PathBuf, PathBuf)> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let found = [target.join("syslog-ng"), PathBuf::from("/")].into_iter().find_map(|root| {
        let library =
            ["usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu/syslog-ng"].iter().map(|p| root.join(p)).find(|p| p.exists())?;
        let program = root.join("usr/sbin/syslog-ng");
        program.exists().then_some((program, library))
    });
    if found.is_none() {
        println!("skipped: syslog-ng is not present (tests/setup.sh senders)");
    }
    found
}

#[test]
fn records_of_syslog_ng_are_found() {
    let Some((syslog_ng, library)) = syslog_ng() else { return };
    // Modules lie in a folder of the version.
    let within = std::fs::read_dir(&library).expect("a folder").flatten().map(|entry| entry.path());
    let modules = within.into_iter().find(|path| path.join("libaffile.so").exists()).unwrap_or_else(|| library.clone());
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let (conf, input) = (dir.path().join("syslog-ng.conf"), dir.path().join("input.log"));
    std::fs::write(&input, (0..200).map(|n| format!("syslog-ng record {n} 庁舎\n")).collect::<String>()).expect("written");
    // RFC 3164 by line, RFC 5424 by count (RFC 6587), and RFC 3164 in datagrams.
    let (tcp, udp) = (service.listen[1].port(), service.listen[0].port());
    let text = format!(
        "@version: 3.38\nsource s {{ file(\"{}\" flags(no-parse) follow-freq(1) program-override(\"town\")); }};\n\
         destination lines {{ network(\"127.0.0.1\" port({tcp}) transport(\"tcp\") persist-name(\"lines\")); }};\n\
         destination counted {{ syslog(\"127.0.0.1\" port({tcp}) transport(\"tcp\") persist-name(\"counted\")); }};\n\
         destination datagrams {{ network(\"127.0.0.1\" port({udp}) transport(\"udp\")); }};\n\
         log {{ source(s); destination(lines); destination(counted); destination(datagrams); }};\n",
        input.display()
    );
    std::fs::write(&conf, text).expect("written");
    let at = |name: &str| dir.path().join(name);
    let mut daemon = Command::new(syslog_ng)
        .env("LD_LIBRARY_PATH", &library)
        .args(["-F", "--no-caps", "-f"])
        .arg(&conf)
        .arg("-R")
        .arg(at("persist"))
        .arg("-c")
        .arg(at("control"))
        .arg("-p")
        .arg(at("pid"))
        .arg(format!("--module-path={}", modules.display()))
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let hits = service.hits("\"syslog-ng record\" AND 庁舎 AND process.name:town", 600);
    daemon.kill().expect("killed");
    daemon.wait().expect("ended");
    assert_eq!(hits.len(), 600);
    let of = |transport: &str| hits.iter().filter(|hit| hit["fields"]["mihari.transport"] == transport).count();
    assert_eq!((of("tcp"), of("udp")), (400, 200));
    assert_eq!(hits.iter().filter(|hit| hit["fields"]["log.syslog.version"] == 1).count(), 200);
    service.stop();
}

#[test]
fn records_of_rsyslog_over_relp_are_found() {
    if !has_rsyslog("omrelp") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "  - {kind: relp, address: \"127.0.0.1:0\"}\n");
    let action = format!("type=\"omrelp\" port=\"{}\"", service.listen[3].port());
    records_of_rsyslog_are_found(dir.path(), &service, "module(load=\"omrelp\")", &action);
    service.stop();
}

#[test]
fn records_of_rsyslog_under_tls_are_found() {
    if !has_rsyslog("lmnsd_gtls") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = dir.path().join("certificate.pem");
    std::fs::write(&certificate, params.self_signed(&key).expect("signed").pem()).expect("written");
    std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).expect("written");
    let listen = format!(
        "  - {{kind: syslog_tcp, address: \"127.0.0.1:0\", tls: {{certificate: {0}/certificate.pem, key: {0}/key.pem}}}}\n",
        dir.path().display()
    );
    let service = Service::start(dir.path(), &listen);
    let modules = format!("global(defaultNetstreamDriverCAFile=\"{}\")", certificate.display());
    let action = format!(
        "type=\"omfwd\" port=\"{}\" protocol=\"tcp\" TCP_Framing=\"octet-counted\" StreamDriver=\"gtls\" StreamDriverMode=\"1\" \
         StreamDriverAuthMode=\"x509/certvalid\"",
        service.listen[3].port()
    );
    records_of_rsyslog_are_found(dir.path(), &service, &modules, &action);
    service.stop();
}

#[test]
fn flows_of_softflowd_are_found() {
    let Some(softflowd) = installed("softflowd") else {
        println!("skipped: softflowd is not present");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let out = dir.path().join("town");
    let made = program().args(["generate", "--minutes", "1", "--terminals", "20", "--out"]).arg(&out).output().expect("runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = service.listen[2].port();
    for version in ["5", "9", "10"] {
        // softflowd reads the capture of the town's own datagrams and tells of them as flows.
        // It may stay after the end of the capture: it is ended when its flows are there.
        let mut run = Command::new(&softflowd)
            .current_dir(&out) // It takes no long paths.
            .args(["-r", "traffic.pcap", "-n", &format!("127.0.0.1:{port}"), "-v", version, "-d", "-p", "pid", "-c", "ctl"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let format = if version == "10" { "ipfix".to_owned() } else { format!("netflow_v{version}") };
        let hits = service.hits(&format!("mihari.format:{format} AND destination.ip:172.20.250.100 AND destination.port:514"), 3);
        drop(run.kill());
        run.wait().expect("ended");
        drop(std::fs::remove_file(out.join("ctl")));
        assert!(hits.iter().all(|hit| hit["fields"]["network.transport"] == "udp"), "{hits:?}");
    }
    service.stop();
}

#[test]
fn flows_that_nfreplay_replays_are_found() {
    let (Some(nfcapd), Some(nfreplay), Some(softflowd)) = (installed("nfcapd"), installed("nfreplay"), installed("softflowd"))
    else {
        println!("skipped: nfdump or softflowd is not present");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::start(dir.path(), "");
    let (town, kept) = (dir.path().join("town"), dir.path().join("kept"));
    std::fs::create_dir(&kept).expect("a folder");
    let made = program().args(["generate", "--minutes", "1", "--terminals", "20", "--out"]).arg(&town).output().expect("runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Another collector keeps the flows in its own files; those are what an operator has when we come.
    let port = UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port().to_string();
    let mut collector = Command::new(nfcapd)
        .args(["-b", "127.0.0.1", "-p", &port, "-w", &kept.display().to_string(), "-t", "3600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    wait_for("the collector", || {
        let bound = std::fs::read_to_string("/proc/net/udp").expect("the kernel tells");
        bound.contains(&format!(":{:04X} ", port.parse::<u16>().expect("a port"))).then_some(())
    });
    let mut exporter = Command::new(&softflowd)
        .current_dir(&town)
        .args(["-r", "traffic.pcap", "-n", &format!("127.0.0.1:{port}"), "-v", "9", "-d", "-p", "pid", "-c", "ctl"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let current = || std::fs::read_dir(&kept).expect("a folder").flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let bytes = || current().iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum::<u64>();
    // softflowd ends, or stays; either way its flows are sent when the capture has been read.
    let ended = |exporter: &mut Child| exporter.try_wait().expect("asked").is_some();
    wait_for("the flows", || (ended(&mut exporter) || bytes() > 2000).then_some(()));
    let terminate = |child: &mut Child| {
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
        child.wait().expect("ends");
    };
    if !ended(&mut exporter) {
        terminate(&mut exporter);
    }
    terminate(&mut collector);
    let file = current().into_iter().find(|path| path.metadata().is_ok_and(|meta| meta.len() > 500)).expect("a file of flows");
    for version in ["5", "9"] {
        let to = service.listen[2].port().to_string();
        let replayed = Command::new(&nfreplay)
            .arg("-r")
            .arg(&file)
            .args(["-H", "127.0.0.1", "-p", &to, "-v", version])
            .output()
            .expect("runs");
        assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
        let hits = service
            .hits(&format!("mihari.format:netflow_v{version} AND destination.ip:172.20.250.100 AND destination.port:514"), 3);
        assert!(hits.iter().all(|hit| hit["fields"]["network.transport"] == "udp"), "{hits:?}");
    }
    service.stop();
}
