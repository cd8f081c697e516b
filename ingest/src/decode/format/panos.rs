//! Palo Alto Networks PAN-OS (PAN-OS Administrator's Guide, "Syslog Field Descriptions"): comma-separated values whose columns hang on
//! the log's type. Every column is kept as `panos.*` beside its ECS name.

use event::{FieldId, RowBuilder, Time, Value};

use super::{Kind, Recognise};
use crate::decode::csv;
use crate::decode::cut::{cut, word};
use crate::decode::keys::{self, Keys, Known};
use crate::decode::stamp;
use crate::decode::text::Context;

pub(super) struct Reader {
    keys: Keys,
    types: Vec<Type>,
    generated: FieldId,
}

/// One log type's columns.
struct Type {
    name: &'static str,
    kind: Kind,
    columns: Vec<Known>,
}

/// The first columns of every record.
const COMMON: &str = "_,receive_time,serial,type,subtype,_,generated_time";
/// What sessions have in common: traffic, threats, tunnels, decryption.
const SESSION: &str = "src,dst,natsrc,natdst,rule,srcuser,dstuser,app,vsys,from,to,inbound_if,outbound_if,logset,_,sessionid,repeatcnt,\
    sport,dport,natsport,natdport,flags,proto,action";
const DEVICES: &str = "src_category,src_profile,src_model,src_vendor,src_osfamily,src_osversion,src_host,src_mac,dst_category,dst_profile,\
    dst_model,dst_vendor,dst_osfamily,dst_osversion,dst_host,dst_mac";
const DEVICE_GROUPS: &str = "dg_hier_level_1,dg_hier_level_2,dg_hier_level_3,dg_hier_level_4,vsys_name,device_name";

/// Type, Sigma service, and the columns behind the common ones; a name in capitals stands for the columns above.
const TYPES: &[(&str, &str, &str)] = &[
    (
        "TRAFFIC",
        "traffic",
        "SESSION,bytes,bytes_sent,bytes_received,packets,start,elapsed,category,_,seqno,actionflags,srcloc,dstloc,_,pkts_sent,\
        pkts_received,session_end_reason,DEVICE_GROUPS,action_source,src_uuid,dst_uuid,tunnelid,monitortag,parent_session_id,\
        parent_start_time,tunnel,assoc_id,chunks,chunks_sent,chunks_received,rule_uuid,http2_connection,link_change_count,policy_id,\
        link_switches,sdwan_cluster,sdwan_device_type,sdwan_cluster_type,sdwan_site,dynusergroup_name,xff_ip,DEVICES,container_id,\
        pod_namespace,pod_name,src_edl,dst_edl,hostid,serialnumber,src_dag,dst_dag,session_owner,high_res_timestamp,nssai_sst,nssai_sd,\
        subcategory_of_app,category_of_app,technology_of_app,risk_of_app,characteristic_of_app,container_of_app,tunneled_app,\
        is_saas_of_app,sanctioned_state_of_app,offloaded,flow_type,cluster_name",
    ),
    (
        "THREAT",
        "threat",
        "SESSION,misc,threatid,category,severity,direction,seqno,actionflags,srcloc,dstloc,_,contenttype,pcap_id,filedigest,cloud,\
        url_idx,user_agent,filetype,xff,referer,sender,subject,recipient,reportid,DEVICE_GROUPS,_,src_uuid,dst_uuid,http_method,\
        tunnel_id,monitortag,parent_session_id,parent_start_time,tunnel,thr_category,contentver,_,assoc_id,ppid,http_headers,\
        url_category_list,rule_uuid,http2_connection,dynusergroup_name,xff_ip,DEVICES,container_id,pod_namespace,pod_name,src_edl,\
        dst_edl,hostid,serialnumber,domain_edl,src_dag,dst_dag,partial_hash,high_res_timestamp,reason,justification,nssai_sst,\
        subcategory_of_app,category_of_app,technology_of_app,risk_of_app,characteristic_of_app,container_of_app,tunneled_app,\
        is_saas_of_app,sanctioned_state_of_app,cloud_reportid,cluster_name,flow_type",
    ),
    ("SYSTEM", "system", "vsys,eventid,object,_,_,module,severity,opaque,seqno,actionflags,DEVICE_GROUPS,_,_,high_res_timestamp"),
    // With the details of the change, where the log's format asks for them, two columns stand before the sequence number.
    ("CONFIG", "config", "host,vsys,cmd,admin,client,result,path,seqno,actionflags,DEVICE_GROUPS,_,comment,_,high_res_timestamp"),
    (
        "GLOBALPROTECT",
        "globalprotect",
        "vsys,eventid,stage,auth_method,tunnel_type,srcuser,srcregion,machinename,public_ip,public_ipv6,private_ip,private_ipv6,\
        hostid,serialnumber,client_ver,client_os,client_os_ver,repeatcnt,reason,error,opaque,status,location,login_duration,\
        connect_method,error_code,portal,seqno,actionflags,high_res_timestamp,selection_type,response_time,priority,\
        attempted_gateways,gateway,DEVICE_GROUPS,vsys_id,cluster_name",
    ),
    (
        "USERID",
        "userid",
        "vsys,ip,user,datasourcename,eventid,repeatcnt,timeout,beginport,endport,datasource,datasourcetype,seqno,actionflags,\
        DEVICE_GROUPS,vsys_id,factortype,factorcompletiontime,factorno,ugflags,userbysource,tag_name,high_res_timestamp,origindatasource",
    ),
    (
        "HIPMATCH",
        "hipmatch",
        "srcuser,vsys,machinename,os,ip,matchname,repeatcnt,matchtype,_,_,seqno,actionflags,DEVICE_GROUPS,vsys_id,srcipv6,hostid,\
        serialnumber,mac,high_res_timestamp",
    ),
    (
        "AUTHENTICATION",
        "authentication",
        "vsys,ip,user,normalize_user,object,authpolicy,repeatcnt,authid,vendor,logset,serverprofile,desc,clienttype,event,factorno,\
        seqno,actionflags,DEVICE_GROUPS,vsys_id,authproto,rule_uuid,high_res_timestamp,src_category,src_profile,src_model,src_vendor,\
        src_osfamily,src_osversion,src_host,src_mac,region,_,user_agent,sessionid",
    ),
    (
        "DECRYPTION",
        "decryption",
        "SESSION,tunnel,_,_,src_uuid,dst_uuid,rule_uuid,hs_stage_c2f,hs_stage_f2s,tls_version,tls_keyxchg,tls_enc,tls_auth,policy_name,\
        ec_curve,err_index,root_status,chain_status,proxy_type,cert_serial,fingerprint,notbefore,notafter,cert_ver,cert_size,cn_len,\
        issuer_len,rootcn_len,sni_len,cert_flags,cn,issuer_cn,root_cn,sni,error,container_id,pod_namespace,pod_name,src_edl,dst_edl,\
        src_dag,dst_dag,high_res_timestamp,DEVICES,seqno,actionflags,DEVICE_GROUPS",
    ),
    (
        "START",
        "tunnel",
        "SESSION,severity,seqno,actionflags,srcloc,dstloc,DEVICE_GROUPS,tunnelid,monitortag,parent_session_id,parent_start_time,tunnel,\
        bytes,bytes_sent,bytes_received,packets,pkts_sent,pkts_received,max_encap,unknown_proto,strict_check,tunnel_fragment,\
        sessions_created,sessions_closed,session_end_reason,action_source,start,elapsed,tunnel_insp_rule,remote_user_ip,remote_user_id,\
        rule_uuid,pcap_id,dynusergroup_name,src_edl,dst_edl,high_res_timestamp",
    ),
    (
        "SCTP",
        "sctp",
        "src,dst,_,_,rule,_,_,_,vsys,from,to,inbound_if,outbound_if,logset,_,sessionid,repeatcnt,sport,dport,_,_,_,proto,action,\
        DEVICE_GROUPS,seqno,_,assoc_id,ppid,severity,sctp_chunk_type,_,verif_tag_1,verif_tag_2,sctp_cause_code,diam_app_id,\
        diam_cmd_code,diam_avp_code,stream_id,assoc_end_reason,op_code,sccp_calling_ssn,sccp_calling_gt,sctp_filter,chunks,chunks_sent,\
        chunks_received,packets,pkts_sent,pkts_received,rule_uuid",
    ),
    (
        "GTP",
        "gtp",
        "src,dst,_,_,rule,_,_,app,vsys,from,to,inbound_if,outbound_if,logset,_,sessionid,_,sport,dport,_,_,_,proto,action,event_type,\
        msisdn,apn,rat,msg_type,end_ip_adr,teid1,teid2,gtp_interface,cause_code,severity,mcc,mnc,area_code,cell_id,event_code",
    ),
    ("CORRELATION", "correlation", "src,srcuser,vsys,category,severity,DEVICE_GROUPS,vsys_id,objectname,object_id,evidence"),
    (
        "IPTAG",
        "iptag",
        "vsys,ip,tag_name,event_id,repeatcnt,timeout,datasourcename,datasource_type,datasource_subtype,seqno,actionflags,\
        DEVICE_GROUPS,vsys_id,high_res_timestamp",
    ),
];

const KEYS: &str = "
    serial = observer.serial_number
    device_name = observer.hostname
    src = source.ip:ip
    dst = destination.ip:ip
    sport = source.port:int
    dport = destination.port:int
    srcuser = user.name:account source.user.name:account
    dstuser = destination.user.name:account
    user = user.name:account source.user.name:account
    admin = user.name:account
    rule = rule.name
    authpolicy = rule.name
    objectname = rule.name
    rule_uuid = rule.uuid
    app = network.application
    from = observer.ingress.zone
    to = observer.egress.zone
    inbound_if = observer.ingress.interface.name
    outbound_if = observer.egress.interface.name
    proto = network.transport:transport
    bytes = network.bytes:int
    bytes_sent = source.bytes:int
    bytes_received = destination.bytes:int
    packets = network.packets:int
    pkts_sent = source.packets:int
    pkts_received = destination.packets:int
    elapsed = event.duration:seconds
    session_end_reason = event.reason
    severity = log.level
    contenttype = http.response.mime_type
    user_agent = user_agent.original
    referer = http.request.referrer
    http_method = http.request.method
    sender = email.from.address
    recipient = email.to.address
    subject = email.subject
    filetype = file.type
    filedigest = file.hash.sha256
    src_mac | mac = source.mac
    dst_mac = destination.mac
    src_host = source.domain
    dst_host = destination.domain
    host = source.ip:ip
    ip = source.ip:ip
    private_ip = source.ip:some-ip
    public_ip = source.nat.ip:ip source.ip:ip?
    beginport = source.port:int
    endport = destination.port:int
    machinename = host.name
    portal = observer.hostname
    eventid = event.code
    event_id = event.code
    opaque = message
    desc = message
    status = event.outcome:outcome
    result = event.outcome:outcome
    tls_version = tls.version
    sni = tls.client.server_name
    cn = tls.server.x509.subject.common_name
    srcipv6 = source.ip:ip?
    cmd = event.action
    reason | error = event.reason?
    category = rule.category?
    misc
    threatid
    natsrc
    natdst
    natsport
    natdport
    generated_time
    high_res_timestamp
";

impl Reader {
    pub(super) fn new() -> Reader {
        let mut keys = Keys::new("panos.", KEYS);
        let types = TYPES
            .iter()
            .map(|(name, service, columns)| {
                let columns =
                    columns.replace("SESSION", SESSION).replace("DEVICE_GROUPS", DEVICE_GROUPS).replace("DEVICES", DEVICES);
                let columns = COMMON.split(',').chain(columns.split(',').map(str::trim));
                let category = matches!(*name, "TRAFFIC" | "THREAT" | "START" | "SCTP" | "DECRYPTION").then_some("firewall");
                Type {
                    name,
                    kind: Kind::new("panos", Some("paloalto"), category, Some(service)),
                    columns: columns.map(|name| keys.find(name)).collect(),
                }
            })
            .collect();
        Reader { keys, types, generated: FieldId::known("panos.generated_time") }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["panos"]
    }

    fn recognise(&self) -> Recognise {
        (b'0'..=b'9').fold(Recognise::new(), |recognise, digit| recognise.starts(char::from(digit).encode_utf8(&mut [0; 4])))
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message.trim_start();
        // `1,2026/04/01 09:00:00,SERIAL,TYPE,`: a number, a time, the serial number, the type.
        let mut head = csv::values(message);
        let (Some(first), Some(received), Some(_), Some(kind), Some(subtype)) =
            (head.next(), head.next(), head.next(), head.next(), head.next())
        else {
            return false;
        };
        if first.is_empty() || first.len() > 4 || !first.bytes().all(|b| b.is_ascii_digit()) || stamp::iso(received).is_none() {
            return false;
        }
        let kind = if matches!(kind, "END" | "TUNNEL") { "START" } else { kind };
        let Some(of_type) = self.types.iter().find(|known| known.name == kind) else { return false };
        of_type.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Palo Alto Networks");
        row.text(FieldId::OBSERVER_PRODUCT, "PAN-OS");
        row.text(FieldId::OBSERVER_TYPE, "firewall");
        row.text(FieldId::EVENT_CATEGORY, "network");
        self.keys.begin();
        let mut columns = [""; 64];
        for (at, value) in csv::values(message).enumerate() {
            if let Some(column) = columns.get_mut(at) {
                *column = value;
            }
            let Some(known) = of_type.columns.get(at) else { break };
            self.keys.put_known(*known, value, row);
        }
        self.keys.finish(row);
        match kind {
            "TRAFFIC" | "THREAT" | "DECRYPTION" | "START" => session(&columns, row),
            "GTP" | "SCTP" => done(columns[30], row),
            "USERID" | "IPTAG" => row.text(FieldId::EVENT_ACTION, subtype),
            "AUTHENTICATION" => authentication(&columns, row),
            "SYSTEM" => system(columns[14], row),
            _ => {}
        }
        if kind == "THREAT" {
            threat(subtype, &columns, row);
        }
        // The record's own times are of the device's zone; a header with an offset says which instant it is.
        let exact = context.header.stamp.is_some_and(|stamp| stamp.has_offset());
        let generated = match row.get(self.generated) {
            Some(Value::Text(text)) if !exact => stamp::iso(text).map(|(stamp, _)| stamp),
            _ => None,
        };
        let time: Option<Time> = generated.and_then(|stamp| stamp.resolve(context.zone, context.reference));
        if let Some(time) = time {
            row.time(time);
        }
        if !row.has(FieldId::MESSAGE) {
            row.text(FieldId::MESSAGE, message);
        }
        true
    }
}

/// Translated ends, where there are any (`0.0.0.0` and 0 stand for none), and what was done.
fn session(columns: &[&str], row: &mut RowBuilder<'_>) {
    for (at, field) in [(9, FieldId::SOURCE_NAT_IP), (10, FieldId::DESTINATION_NAT_IP)] {
        if let Ok(ip) = columns[at].parse::<std::net::IpAddr>()
            && !ip.is_unspecified()
        {
            row.ip(field, ip);
        }
    }
    for (at, field) in [(26, FieldId::SOURCE_NAT_PORT), (27, FieldId::DESTINATION_NAT_PORT)] {
        if columns[at] != "0" {
            super::number(row, field, columns[at]);
        }
    }
    done(columns[30], row);
}

/// What the firewall did.
fn done(action: &str, row: &mut RowBuilder<'_>) {
    if !action.is_empty() {
        row.text(FieldId::EVENT_ACTION, action);
        if let Some(verdict) = keys::verdict(action) {
            row.text(FieldId::EVENT_TYPE, verdict);
        }
    }
}

/// `misc` is the URL or the file; `threatid` is `name(number)`.
fn threat(subtype: &str, columns: &[&str], row: &mut RowBuilder<'_>) {
    let misc = columns[31];
    if !misc.is_empty() {
        match subtype {
            "url" => super::host_url(row, misc),
            "spyware" | "vulnerability" | "scan" | "flood" | "packet" if !misc.contains('/') => {
                row.text(FieldId::FILE_NAME, misc);
            }
            "spyware" | "vulnerability" => super::host_url(row, misc),
            _ => row.text(FieldId::FILE_NAME, misc),
        }
    }
    if subtype != "url"
        && let Some((name, number)) = columns[32].rsplit_once('(')
    {
        super::some_text(row, FieldId::RULE_DESCRIPTION, name.trim());
        super::some_text(row, FieldId::RULE_ID, number.trim_end_matches(')'));
    }
}

/// The text of a system event: `... for user 'NAME'. Reason: ... From: A.`, `User NAME logged in via Web from A`, `Login from: A, ...,
/// User name: N, ...`, `... Failed SA: A[500]-B[500] ...`. What says otherwise is read as free text is.
fn system(text: &str, row: &mut RowBuilder<'_>) {
    if let Some([from, _, rest]) = cut(text, ["Login from: ", ", ", "User name: "]) {
        super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, from);
        let (name, rest) = rest.split_once(", ").unwrap_or((rest, ""));
        row.text(FieldId::USER_NAME, name.trim_end_matches('.'));
        if let Some((_, reason)) = rest.split_once("error: ") {
            row.text(FieldId::EVENT_REASON, reason);
        }
    } else if let Some((_, ends)) = text.split_once(" SA: ")
        && let Some((from, to)) = word(ends).split_once('-')
    {
        for (end, ip, port) in
            [(from, FieldId::SOURCE_IP, FieldId::SOURCE_PORT), (to, FieldId::DESTINATION_IP, FieldId::DESTINATION_PORT)]
        {
            let (host, number) = end.split_once('[').unwrap_or((end, ""));
            super::address(row, ip, FieldId::SOURCE_ADDRESS, host);
            super::number(row, port, number.trim_end_matches(']'));
        }
    } else {
        // Who logs in writes the name, and the device what stands behind it: the last place counts.
        if let Some((lead, name)) = text.split_once("user '").and_then(|(lead, rest)| Some((lead, rest.rsplit_once("'.")?.0))) {
            let (domain, name) = keys::account(name);
            row.text(FieldId::USER_NAME, name);
            if let Some(domain) = domain {
                row.text(FieldId::USER_DOMAIN, domain);
            }
            row.text(FieldId::EVENT_OUTCOME, if lead.trim_start().starts_with("failed") { "failure" } else { "success" });
        }
        if let Some((_, from)) = text.rsplit_once("From: ") {
            super::address(row, FieldId::SOURCE_IP, FieldId::SOURCE_ADDRESS, from.trim_end_matches('.'));
        }
        super::guess::guess(text, row);
        return;
    }
    let says = |word| super::guess::contains(text, word);
    if says("failed") {
        row.text(FieldId::EVENT_OUTCOME, "failure");
    } else if says("succeeded") {
        row.text(FieldId::EVENT_OUTCOME, "success");
    }
}

/// The event column names how it went.
fn authentication(columns: &[&str], row: &mut RowBuilder<'_>) {
    let says = |word| super::guess::contains(columns[20], word);
    row.text(FieldId::EVENT_ACTION, "login");
    if says("success") {
        row.text(FieldId::EVENT_OUTCOME, "success");
    } else if ["fail", "denied", "timed out"].into_iter().any(says) {
        row.text(FieldId::EVENT_OUTCOME, "failure");
    }
}
