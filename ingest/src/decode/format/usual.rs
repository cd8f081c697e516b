//! Names that records of many programs have, and what they mean: for records whose program nobody described.
//!
//! A name is compared without its case and without `_`, `-`, `.` and blanks, so that `src_ip`, `SrcIP` and `src.ip` are one. The names of
//! a field stand in the order of preference; what the record says under the field's own name stands before all of them. Of a path of
//! keys the whole counts (`request.client_ip` is `requestclientip`), or its last key where that says alone whose value it is.

use std::collections::HashMap;
use std::net::IpAddr;

use event::{FieldId, RowBuilder, Value};

use crate::decode::keys::verdict;
use crate::decode::record::table::{Rule, To};
use crate::decode::record::{Key, Keys, View};
use crate::decode::text::Context;

use To::{Account, Address, As, Case, Lower, Number, Path, Protocol, Url};

/// A field, and the names that usually mean it.
const USUAL: &[(To, &str)] = &[
    (
        Address("source.ip", "source.address"),
        "srcip srcaddr srcaddress sourceip sourceipaddress sourceaddress sourceaddr ipsrc src sip saddr clientip clientipaddress \
         clientaddr clientaddress callingip callerip calleripaddress remoteip remoteipaddress remoteaddr remoteaddress attackerip \
         peerip peeraddr rhost originip loginip userip ipaddress ipaddr ip srchost realip xrealip sourceinfoip sourceipv4 srcipv4 \
         clientipv4 initiatorip actorip actoripaddress source client",
    ),
    (Number("source.port"), "srcport sourceport sourcetransportport sport spt clientport remoteport peerport srcpt"),
    (
        Address("destination.ip", "destination.address"),
        "dstip dstaddr dstaddress destip destaddr destinationip destinationipaddress destinationaddress ipdst dst dip daddr serverip \
         serveraddr targetip victimip localip localaddr destination dest dsthost",
    ),
    (
        Number("destination.port"),
        "dstport destport destinationport destinationtransportport dport dpt serverport targetport localport dstpt",
    ),
    (Protocol, "transport protoname proto protocol ipproto ipprotocol transportprotocol"),
    (Lower("network.protocol"), "appproto appprotocol applicationprotocol service"),
    (Number("source.bytes"), "srcbytes sourcebytes sentbytes sentbyte bytessent bytesout outbytes txbytes sent"),
    (
        Number("destination.bytes"),
        "dstbytes destinationbytes receivedbytes rcvdbytes rcvdbyte bytesreceived bytesin inbytes rxbytes rcvd",
    ),
    (Number("source.packets"), "srcpackets sentpackets packetssent sentpkt packetsout"),
    (Number("destination.packets"), "dstpackets receivedpackets packetsreceived rcvdpkt packetsin"),
    (As("source.mac"), "srcmac sourcemac smac clientmac macaddress macaddr mac"),
    (As("destination.mac"), "dstmac destmac destinationmac dmac"),
    (Address("source.nat.ip", "source.nat.address"), "natsrcip srcnatip xlatesrc natsourceip transip snatip"),
    (Address("destination.nat.ip", "destination.nat.address"), "natdstip dstnatip xlatedst natdestinationip tranip dnatip"),
    (Number("source.nat.port"), "natsrcport srcnatport xlatesport snatport"),
    (Number("destination.nat.port"), "natdstport dstnatport xlatedport dnatport"),
    (
        As("observer.ingress.interface.name"),
        "srcintf srcinterface sourceinterface ininterface inboundinterface ingressinterface inif iniface inputinterface",
    ),
    (
        As("observer.egress.interface.name"),
        "dstintf dstinterface destinationinterface outinterface outboundinterface egressinterface outif outiface outputinterface",
    ),
    (As("observer.ingress.zone"), "srczone sourcezone fromzone inzone ingresszone"),
    (As("observer.egress.zone"), "dstzone destinationzone destzone tozone outzone egresszone"),
    (
        Account("user"),
        "username user usr usrname srcuser sourceuser sourceusername suser accountname account login loginname logonname \
         actor principal admin clientuser remoteuser",
    ),
    (As("user.id"), "userid uid accountid useruid"),
    (As("user.domain"), "userdomain domainname accountdomain ntdomain logondomain"),
    (As("user.email"), "useremail email emailaddress mail"),
    (As("destination.user.name"), "dstuser destinationuser duser targetuser targetusername targetaccount"),
    (As("event.action"), "action act deviceaction eventaction disposition verdict operation activity eventname operationname"),
    (As("event.code"), "eventid eventcode msgid messageid logid signatureid eventtypeid"),
    (As("event.reason"), "reason failurereason errorreason cause denyreason"),
    (
        Case(
            "event.outcome",
            &[
                ("success", "success"),
                ("successful", "success"),
                ("succeeded", "success"),
                ("ok", "success"),
                ("true", "success"),
                ("failure", "failure"),
                ("failed", "failure"),
                ("fail", "failure"),
                ("error", "failure"),
                ("denied", "failure"),
                ("rejected", "failure"),
                ("false", "failure"),
            ],
        ),
        "outcome result success status loginstatus authresult",
    ),
    (Lower("log.level"), "loglevel level severity sev priority lvl"),
    (As("rule.name"), "rulename policyname policy rule acl aclname signature signaturename threatname virusname attackname"),
    (As("rule.id"), "ruleid policyid ruleno rulenumber sigid"),
    (As("rule.category"), "category urlcategory webcategory threatcategory attacktype"),
    (Url, "url requesturl fullurl urlfull uri requesturi"),
    (As("url.domain"), "urlhost urldomain httphost vhost virtualhost"),
    (As("url.path"), "urlpath requestpath uripath"),
    (As("url.query"), "urlquery querystring uriquery"),
    (As("http.request.method"), "method httpmethod requestmethod verb"),
    (Number("http.response.status_code"), "statuscode httpstatus httpstatuscode responsecode responsestatus status httpcode"),
    (As("http.request.referrer"), "referer referrer httpreferer httpreferrer"),
    (As("http.version"), "httpversion"),
    (As("user_agent.original"), "useragent httpuseragent"),
    (As("dns.question.name"), "dnsquery queryname qname dnsquestion dnsname"),
    (As("dns.question.type"), "querytype qtype recordtype dnstype"),
    (As("dns.response_code"), "rcode dnsrcode"),
    (Path("file"), "filepath fullpath objectname"),
    (As("file.name"), "filename fname file"),
    (Number("file.size"), "filesize fsize"),
    (As("file.hash.md5"), "md5 filemd5 md5hash hashmd5"),
    (As("file.hash.sha1"), "sha1 filesha1 sha1hash hashsha1"),
    (As("file.hash.sha256"), "sha256 filesha256 sha256hash hashsha256"),
    (As("process.command_line"), "commandline cmdline cmd command processcommandline"),
    (As("process.executable"), "processpath imagepath exe processexecutable"),
    (Number("process.pid"), "pid processid procid"),
    (As("process.name"), "processname procname processfilename"),
    (As("email.from.address"), "from sender mailfrom emailfrom"),
    (As("email.to.address"), "to recipient rcptto emailto"),
    (As("email.subject"), "subject emailsubject"),
    (
        As("host.name"),
        "hostname host computername computer devicename devname machinename machine dvchost endpointname agentcomputername \
         dhost node",
    ),
    (As("observer.serial_number"), "serialnumber serial sn deviceserial"),
    (As("message"), "msg description text eventmessage logmessage desc"),
];

/// Last keys that say whose value it is, whatever stands before them.
const PLAIN_LEAVES: &[&str] = &[
    "src",
    "dst",
    "source",
    "dest",
    "client",
    "remote",
    "username",
    "useragent",
    "filename",
    "sha",
    "md5",
    "hostname",
    "computername",
    "agentcomputername",
    "processname",
    "commandline",
    "threatname",
];

/// A name with more letters is none of those above.
const NAME_BYTES_MAX: usize = 48;

/// First keys of ECS names: what stands below them is said already.
const ECS: &[&str] = &[
    "source",
    "destination",
    "client",
    "server",
    "user",
    "host",
    "event",
    "network",
    "url",
    "http",
    "dns",
    "file",
    "process",
    "rule",
    "observer",
    "log",
    "email",
    "tls",
    "service",
    "agent",
    "cloud",
    "container",
    "related",
    "threat",
    "user_agent",
    "ecs",
];

/// What a path means: of which rules it is a name, and how they prefer it. None: not asked yet.
type Meaning = Option<[Option<(u16, u16)>; 2]>;

/// The table, and what each path of the records so far means.
pub(super) struct Usual {
    rules: Vec<Rule>,
    /// The paths of the fields' own names.
    own: Vec<Key>,
    names: HashMap<&'static str, [Option<(u16, u16)>; 2]>,
    generation: u32,
    meanings: Vec<Meaning>,
    best: Vec<Option<(u16, Key)>>,
}

impl Usual {
    pub(super) fn new(keys: &mut Keys) -> Usual {
        let rules: Vec<Rule> = USUAL.iter().map(|(to, _)| Rule::new("", *to, keys)).collect();
        let own = |to: &To| match to {
            To::Account(base) => format!("{base}.name"),
            To::Path(base) => format!("{base}.path"),
            other => other.field().to_owned(),
        };
        let own = USUAL.iter().map(|(to, _)| keys.declare(&own(to))).collect();
        let mut names: HashMap<&'static str, [Option<(u16, u16)>; 2]> = HashMap::new();
        for (rule, (_, list)) in USUAL.iter().enumerate() {
            for (rank, name) in list.split_whitespace().enumerate() {
                let places = names.entry(name).or_default();
                let free = places.iter_mut().find(|place| place.is_none()).expect("a name stands at most twice");
                *free = Some((rule as u16, rank as u16));
            }
        }
        let best = vec![None; rules.len()];
        Usual { rules, own, names, generation: 0, meanings: Vec::new(), best }
    }

    /// Writes the fields that the record's names usually mean. What the row holds already stands.
    pub(super) fn write(&mut self, keys: &Keys, view: View<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        self.best.fill(None);
        for (key, value) in view.iter() {
            if matches!(value, Value::Null | Value::Text("" | "-" | "N/A" | "n/a" | "null" | "none" | "(null)")) {
                continue;
            }
            for (rule, rank) in self.meaning(keys, key).into_iter().flatten() {
                if !says(&USUAL[usize::from(rule)].0, value) {
                    continue;
                }
                let best = &mut self.best[usize::from(rule)];
                if best.is_none_or(|(before, _)| rank < before) {
                    *best = Some((rank, key));
                }
            }
        }
        for (nth, best) in self.best.iter().enumerate() {
            let Some((_, key)) = *best else { continue };
            let rule = &self.rules[nth];
            if view.has(self.own[nth]) || rule.is_told(row) {
                continue;
            }
            for value in view.all(key) {
                rule.write(value, context, row);
            }
        }
        if let Some(Value::Text(action)) = row.get(FieldId::EVENT_ACTION)
            && row.get(FieldId::EVENT_TYPE).is_none()
            && let Some(verdict) = verdict(action)
        {
            row.text(FieldId::EVENT_TYPE, verdict);
        }
    }

    fn meaning(&mut self, keys: &Keys, key: Key) -> [Option<(u16, u16)>; 2] {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.meanings.clear();
        }
        if let Some(Some(known)) = self.meanings.get(key.index()) {
            return *known;
        }
        let meaning = self.find(keys.name(key));
        if self.meanings.len() <= key.index() {
            self.meanings.resize(keys.len(), None);
        }
        self.meanings[key.index()] = Some(meaning);
        meaning
    }

    fn find(&self, name: &str) -> [Option<(u16, u16)>; 2] {
        let look = |name: &str| {
            let mut plain = [0; NAME_BYTES_MAX];
            let mut length = 0;
            for letter in name.bytes().filter(|b| !matches!(b, b'_' | b'-' | b'.' | b' ' | b'@' | b'/')) {
                *plain.get_mut(length)? = letter.to_ascii_lowercase();
                length += 1;
            }
            self.names.get(std::str::from_utf8(&plain[..length]).ok()?).copied()
        };
        let leaf = || {
            let (_, leaf) = name.rsplit_once('.')?;
            let lower = leaf.to_ascii_lowercase();
            PLAIN_LEAVES.iter().any(|plain| lower.starts_with(plain)).then(|| look(leaf))?
        };
        if name.split_once('.').is_some_and(|(first, _)| ECS.contains(&first)) {
            return [None; 2];
        }
        look(name).or_else(leaf).unwrap_or_default()
    }
}

/// Whether the value is of the kind: names such as `from`, `source` and `service` mean other things as well.
fn says(to: &To, value: Value<'_>) -> bool {
    match (to, value) {
        (To::Address(..), Value::Text(text)) => text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok(),
        (To::As(field), Value::Text(text)) if field.starts_with("email.") && field.ends_with(".address") => text.contains('@'),
        (To::Protocol | To::Lower(_) | To::Account(_) | To::Url | To::Path(_), Value::Text(text)) => {
            !text.contains([' ', '\n']) || matches!(to, To::Account(_) | To::Path(_))
        }
        (To::Protocol, Value::Int(_)) | (To::Number(_) | To::Case(..), _) => true,
        (To::As(_), Value::Text(_) | Value::Int(_) | Value::Uint(_)) => true,
        _ => false,
    }
}
