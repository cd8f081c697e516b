//! The names that usually mean a field: one table for every record that names its fields itself (JSON, key=value, CEF, LEEF).
//!
//! `{S}ip` stands for each word of the list `S` with `ip` behind it. Names are without their case and marks: see [`super::usual`].

use crate::decode::record::table::To::{
    self, Account, Address, As, Case, Duration, Hash, Host, LastPart, Lower, Mail as Mailbox, Number, Path, Protocol,
    RequestLine, Rootless, Time, Url, Without,
};
use Only::{
    Answer, Any, Application, Arguments, Code, Deed, Digits, Domain, Http, Ip, Letters, Mac, Mail, Method, Port, Request,
    Separated, Status, Target, Technique, Text, Two, Undotted, Unique, Verb, Word,
};

/// Which values count: names such as `from`, `source` and `status` mean other things as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Only {
    /// Whatever the target takes.
    Any,
    /// An address, with a port behind it or without.
    Ip,
    /// A number from 1 to 65535.
    Port,
    /// A number of an HTTP answer.
    Status,
    /// A number.
    Digits,
    /// One word, no address.
    Word,
    /// A method and a target.
    Request,
    /// What a request asks for: a path or a URL.
    Target,
    /// Arguments of a request: `a=1&b=2`.
    Arguments,
    /// How a name server answered: `NXDOMAIN`.
    Answer,
    /// A protocol of HTTP and its version.
    Http,
    /// A text with a letter in it.
    Text,
    /// A short text with a letter in it.
    Letters,
    /// A word with a dot in it, no path.
    Domain,
    /// An address of mail.
    Mail,
    /// An HTTP method.
    Method,
    /// A method of those that are usual, in capital letters.
    Verb,
    /// A path of a file: with `/` or `\\` in it.
    Separated,
    /// A word of at most so many letters and digits as an event's code has.
    Code,
    /// A technique's number in MITRE ATT&CK.
    Technique,
    /// Two letters.
    Two,
    /// What one event alone has: too long for a kind of events.
    Unique,
    /// A protocol of applications, as `http` and `ssh`.
    Application,
    /// One word without a dot.
    Undotted,
    /// A hardware address.
    Mac,
    /// Several words as programs write them, for what was done: `user_signed_in`.
    Deed,
}

/// Words that stand for one of several in a name.
pub(super) const WORDS: &[(&str, &str)] = &[
    // Who began it.
    (
        "S",
        "src source client remote caller calling attacker initiator originator origin orig actor requester peer connecting sender sending originating cli srcendpoint",
    ),
    // What it went to.
    ("D", "dst dest destination server target victim responder resp srv dstendpoint decoy honeypot"),
    ("IP", "ip ipaddress ipaddr address addr ipv4 ipv6 ipv4address ipv6address ipv4addr ipv6addr ipaddressv4 ipaddressv6"),
    // Where of a request something stands.
    ("R", " http request httprequest httpmessage requestinfo"),
    ("H", " http request headers header httpheaders requestheaders requestheader httprequestheaders"),
    ("F", " file target targetfile object process image app"),
    ("P", "parent parentprocess processparent initiatingprocessparent"),
];

/// A field, and the names that usually mean it, the most telling first.
pub(super) const USUAL: &[(To, Only, &str)] = &[
    (
        Time,
        Any,
        "timestamp eventtimestamp eventtime time ts datetime eventdatetime eventdate logtime logtimestamp devtime \
     devicetime detectiontime detectiontimestamp detecttime detectedat detectiondate triggeredat occurredat occured \
     occuredat identifiedat when occurred occurtime generatedtime generatedat timegenerated generationtime timecreated \
     activitydatetime activitytime createdat createddatetime creationtime creationdate createdtime createdon createdate \
     created firstdetected firstseen firstobservedat reqtimesec starttime startdate starttimestamp begintime published publishtime receivedtime \
     receivedat receivetime endtime updatedat effectiveat createdtimeutc alerttimeutc eventtimeutc requesttimeutc detectedutc date utctime utctimestamp timestamputc timestampms timestampunix epoch \
     epochtime unixtime unixtimestamp timems timemicros now recordtime observedtimestamp timeunixnano observedtimeunixnano \
     asctime dttm syslogtimestamp logdate lastseen received receiveddate startedat requestedat timestampderived recordedat \
     timegeneratedutc timestamprfc3339nano rt devicereceipttime 日時 発生日時 ログ日時 時刻 発生時刻",
    ),
    (
        Host("source"),
        Ip,
        "srcip idorigh {S}ip {S}ips {S}ipaddress {S}address {S}{IP} ip{S} src source client saddr sip clientinfoip sourceinfoip loginip \
     userip useripaddress userclientipaddress userhostaddress rhost requestip requestipaddress httprequestclientip httprequestremoteip \
     requestremoteaddr requestaddress requestclientip fromip attackip attackerinfoip sourceinfoaddress aip {S}host srchost realip xrealip \
     xff xforwardedfor xclientip accountip {S}publicip {S}assetip {S}geolocationipaddress origingeolocationipaddress \
     geolocationipaddress {S}publicipaddress origsrc 送信元 送信元ip 送信元アドレス 送信元ipアドレス 接続元 接続元ip \
     接続元ipアドレス クライアントip {H}xforwardedfor trueclientip visitorip sourcevisibleip ip ipaddress ipaddr \
     identityip identityipaddress peernameip {S}hostaddress {S}hostip callstationid sshipaddress workstationip workstation internalip internalipaddress privateip localclientip lastip lastknownip origin externalip publicip \
     publicipaddress {S}privateip ipアドレス cip callingstationid framedipaddress operatedipaddress operatedfrom accessedfrom loginfrom loggedinfrom lastuserip fromipv4 fromipv6 {S}networkaddress initiatorentitysysaddr queryip queryaddress networkipaddress{S} remote peer addr address attacker initiator from",
    ),
    (
        Number("source.port"),
        Port,
        "{S}port idorigp srcpt spt sport sourcetransportport origsport 送信元ポート sourceinfoport portsrc {S}portnumber peernameport {S}l4port queryport",
    ),
    (
        Host("destination"),
        Ip,
        "{D}ip idresph {D}ipaddress {D}address {D}{IP} ip{D} {D}assetip dip daddr dst dest destination dsthost toip localip \
     localaddr origdst resourceip 宛先 宛先ip 宛先アドレス 宛先ipアドレス 送信先ip 接続先 接続先ip targetvmipaddress responseip responseaddress localaddress vsip vip virtualserverip vserverip victim responder target to",
    ),
    (
        Number("destination.port"),
        Port,
        "{D}port idrespp dstpt dpt dport destinationtransportport origdport 宛先ポート 送信先ポート portdst resourceport {D}portnumber {D}l4port \
     responseport requestport localport vsport vipport virtualserverport vserverport",
    ),
    (
        As("source.domain"),
        Word,
        "{S}hostname {S}host {S}fqdn {S}dnsname {S}dns {S}domain shost {S}computername rhost workstation workstationname",
    ),
    (
        As("destination.domain"),
        Word,
        "{D}hostname {D}host {D}fqdn {D}dnsname {D}dns {D}computername dhost desthost sni destinationdomain destdomain \
     dstdomain",
    ),
    (
        Protocol,
        Word,
        "transport protoname ipproto ipprotocol transportprotocol l4proto l4protocol layer4protocol proto protocol \
     protocolname protocolid protocolidentifier prot networkprotocol プロトコル",
    ),
    (
        Lower("network.protocol"),
        Word,
        "appproto appprotocol applicationprotocol l7proto l7protocol layer7protocol service servicename",
    ),
    (Lower("network.protocol"), Application, "protocol proto protocolname networkprotocol"),
    (As("network.application"), Any, "app application appname applicationname appid appdisplayname cloudapp apptype"),
    (
        Case(
            "network.direction",
            &[
                ("inbound", "inbound"),
                ("incoming", "inbound"),
                ("ingress", "ingress"),
                ("in", "inbound"),
                ("outbound", "outbound"),
                ("outgoing", "outbound"),
                ("egress", "egress"),
                ("out", "outbound"),
                ("internal", "internal"),
                ("external", "external"),
                ("0", "inbound"),
                ("1", "outbound"),
            ],
        ),
        Any,
        "direction networkdirection trafficdirection connectiondirection flowdirection devicedirection dir",
    ),
    (As("network.community_id"), Any, "communityid"),
    (Number("network.vlan.id"), Digits, "vlan vlanid vlantag"),
    (
        Number("source.bytes"),
        Digits,
        "{S}bytes sentbytes sentbyte bytessent bytesout outbytes outputbytes txbytes bytestx sent bytestoserver {S}tobytes \
     uploadbytes clientbytes numbytessent bytesup uploaded origbytes sentoctets csbytes",
    ),
    (
        Number("destination.bytes"),
        Digits,
        "{D}bytes receivedbytes rcvdbytes rcvdbyte bytesreceived bytesrecv bytesrcvd bytesin inbytes inputbytes rxbytes \
     bytesrx rcvd recvbytes bytestoclient downloadbytes serverbytes numbytesreceived bytesdown downloaded replybytes recvdbytes recvdoctets receivedoctets scbytes",
    ),
    (Number("network.bytes"), Digits, "totalbytes numbytes bytestotal octets transferredbytes byteslen octetdeltacount"),
    (
        Number("source.packets"),
        Digits,
        "{S}packets {S}pkts sentpackets packetssent sentpkt packetsout txpackets origpkts outpackets pktsout pktstoserver",
    ),
    (
        Number("destination.packets"),
        Digits,
        "{D}packets {D}pkts receivedpackets packetsreceived rcvdpkt replypkts rcvdpackets recvdpackets packetsin rxpackets inpackets \
     pktsin pktstoclient",
    ),
    (Number("network.packets"), Digits, "totalpackets packets packetcount numpackets packetdeltacount"),
    (
        As("source.mac"),
        Any,
        "{S}mac {S}macaddress {S}macaddr smac macsrc {S}hwaddr {S}ethernet usermac macaddress macaddr mac macアドレス",
    ),
    (As("source.mac"), Mac, "callingstationid"),
    (As("destination.mac"), Any, "{D}mac {D}macaddress {D}macaddr dmac macdst"),
    (
        Host("source.nat"),
        Ip,
        "natsrcip natsrc natsource srcnatip srcnat xlatesrc natsourceip natsourceaddress transip snatip natip {S}translatedaddress \
     {S}translatedip {S}natip translated{S}ip",
    ),
    (
        Host("destination.nat"),
        Ip,
        "natdstip natdst natdestination dstnatip dstnat xlatedst natdestinationip natdestinationaddress tranip dnatip {D}translatedaddress \
     {D}translatedip {D}natip translated{D}ip",
    ),
    (
        Number("source.nat.port"),
        Port,
        "natsrcport natsport srcnatport xlatesport snatport natsourceport {S}translatedport translated{S}port",
    ),
    (
        Number("destination.nat.port"),
        Port,
        "natdstport natdport dstnatport xlatedport dnatport natdestinationport {D}translatedport translated{D}port",
    ),
    (
        As("source.geo.country_iso_code"),
        Any,
        "{S}countrycode {S}geocountrycode {S}countryiso {S}geocountryisocode countrycode clientcountrycode",
    ),
    (As("source.geo.country_iso_code"), Two, "country geocountry"),
    (
        As("source.geo.country_name"),
        Any,
        "{S}country {S}countryname {S}geocountry {S}geocountryname {S}geolocationcountry {S}locationcountry country \
     countryname",
    ),
    (As("source.geo.city_name"), Any, "{S}city {S}cityname {S}geocity {S}geocityname {S}geolocationcity"),
    (As("destination.geo.country_name"), Any, "{D}country {D}countryname {D}geocountry"),
    (Number("source.as.number"), Digits, "{S}asn {S}asnumber {S}as asn"),
    (
        As("observer.ingress.interface.name"),
        Any,
        "srcintf srcif srcinterface {S}interface {S}intf ininterface inboundinterface ingressinterface interfacein inif \
     iniface inputinterface inintf inboundif ininterfacename deviceinboundinterface ingressif ingressinterfacename",
    ),
    (
        As("observer.egress.interface.name"),
        Any,
        "dstintf dstif dstinterface {D}interface {D}intf outinterface outboundinterface egressinterface interfaceout outif \
     outiface outputinterface outintf outboundif outinterfacename deviceoutboundinterface egressif egressinterfacename",
    ),
    (As("observer.ingress.zone"), Any, "{S}zone {S}zonename fromzone inzone ingresszone zonesrc insidezone"),
    (As("observer.egress.zone"), Any, "{D}zone {D}zonename tozone outzone egresszone zonedst outsidezone"),
    (
        Account("user"),
        Any,
        "usernamelookup performedbyusername performedby operatedby username user usr usrname {S}user {S}username suser accountname account login loginname loginuser logonname \
     logonuser logon actor actorname actorusername principal principalname userprincipalname upn samaccountname admin \
     adminname adminuser administrator operator initiatedby executedby requestedby subjectusername subjectuser \
     callername calleruser loggedonuser loggedinuser loggedonusers currentuser lastuser lastloggedinuser lastloggedonuser \
     endpointuser processuser processusername processaccountname initiatingprocessaccountname requestuser requestusername \
     authuser authusername authenticateduser dbuser dbusername osuser who userlogin userloginname userlogon useraccount userdisplayname \
     identity identityname useremail actoremail ownername member membername createdby createdbyname createdbylogin \
     createdbyusername performedbyname modifiedby modifiedbyname loginid ユーザー ユーザ \
     ユーザー名 ユーザ名 ユーザーid ログオンユーザー ログオンユーザー名 ログインユーザー ログインユーザー名 アカウント \
     アカウント名 利用者 author authorname systemaccount initiatorname initiatoremail actinguser actingusername uname \
     domainuser ntuser osusername serverprincipalname vpnuser authenticatedusername operatorname sessionuser fromuser clusteruser csusername subjuid identityprincipalname requser usercode users",
    ),
    (
        As("user.id"),
        Word,
        "userid uid accountid useruid usersid actorid principalid actinguserid useridentityprincipalid subjectusersid sid \
     usersecurityid actoruserid initiatorid identityprincipalid",
    ),
    (
        As("user.domain"),
        Word,
        "userdomain domainname accountdomain ntdomain logondomain {S}ntdomain userdomainname initiatingprocessaccountdomain \
     subjectdomainname realm",
    ),
    (As("user.domain"), Undotted, "domain"),
    (
        As("user.email"),
        Mail,
        "useremail usremail useremailaddress useridentityemail email emailaddress mail createdbylogin createdbyemail memberemail operatoremail adminemail initiatoremail actoremail actoremailaddress usermail upn userprincipalname \
     user username loginname login accountemail actor userid actorid",
    ),
    (
        As("user.full_name"),
        Any,
        "userfullname fullname userdisplayname actordisplayname actorfullname accountdisplayname displayname",
    ),
    (As("user.roles"), Any, "userrole userroles role roles usertype actortype"),
    (As("group.name"), Any, "groupname usergroup usergroups groups grp group"),
    (As("group.id"), Any, "groupid gid"),
    (
        As("destination.user.name"),
        Any,
        "dstuser destinationuser destinationusername duser targetuser targetusername targetaccount targetaccountname \
     targetuserprincipalname targetname affecteduser impacteduser",
    ),
    (
        As("event.action"),
        Text,
        "action act actions deviceaction eventaction actiontaken finalstatus actionname actiontype eventname eventtype \
     eventtypename operation operationname activity activityname activitytype disposition verdict decision deliveryaction policyaction \
     ruleaction responseaction eventsubtype event subtype auditaction mitigationaction mitigationstatus operationtype atype 操作 \
     操作種別 auditevent activityaction taskaction requeststatus アクション 動作 処理 threataction threatactiontaken \
     actionid actionidentifier op typename",
    ),
    (As("event.action"), Deed, "type logtype eventcategory"),
    (
        As("event.code"),
        Code,
        "eventid eventcode msgid messageid logid signatureid eventtypeid evtid winlogeventid eventclassid \
     deviceeventclassid eventnumber messagecode msgcode イベントid alertcode activityid threateventid",
    ),
    (As("event.id"), Unique, "eventid eventuid"),
    (
        As("event.id"),
        Word,
        "eventuuid eventuniqueid uuid eventguid guid alertid alertuuid alertguid incidentid detectionid uniqueid logentryid \
     recordid correlationid requestid transactionid traceid id",
    ),
    (
        As("event.reason"),
        Text,
        "reason failurereason errorreason cause denyreason reasoncode errormessage errormsg error errordescription \
     statusreason statusmessage statusdetail resultdescription resultreason 理由 原因 blockreason failuredescription",
    ),
    (
        Case(
            "event.outcome",
            &[
                ("success", "success"),
                ("successful", "success"),
                ("successfully", "success"),
                ("succeeded", "success"),
                ("succeed", "success"),
                ("ok", "success"),
                ("true", "success"),
                ("passed", "success"),
                ("granted", "success"),
                ("authorized", "success"),
                ("completed", "success"),
                ("yes", "success"),
                ("accept", "success"),
                ("accepted", "success"),
                ("成功", "success"),
                ("認証成功", "success"),
                ("ログイン成功", "success"),
                ("正常", "success"),
                ("failure", "failure"),
                ("failed", "failure"),
                ("fail", "failure"),
                ("failing", "failure"),
                ("error", "failure"),
                ("denied", "failure"),
                ("rejected", "failure"),
                ("unsuccessful", "failure"),
                ("unauthorized", "failure"),
                ("false", "failure"),
                ("no", "failure"),
                ("ng", "failure"),
                ("reject", "failure"),
                ("deny", "failure"),
                ("refused", "failure"),
                ("失敗", "failure"),
                ("認証失敗", "failure"),
                ("ログイン失敗", "failure"),
                ("異常", "failure"),
            ],
        ),
        Any,
        "outcome eventoutcome outcomeresult result resultstatus resulttype resultcode results success issuccess succeeded \
     issuccessful successful status eventstatus loginstatus authresult authstatus actionresult actionstatus eventresult \
     operationresult operationstatus activitystatus outcomestatus 結果 認証結果 statuscode",
    ),
    (Case("event.outcome", &[("true", "failure"), ("false", "success")]), Any, "isfailure isfailed hasfailed"),
    (
        Lower("log.level"),
        Letters,
        "loglevel level levelname severity severityname sevstring severitystring 重要度 severitylevel severitylabel severitytext eventseverity sev \
     priority lvl loglvl criticality risklevel threatlevel alertseverity",
    ),
    (
        Number("event.severity"),
        Digits,
        "severity sev eventseverity severitynumber severityid severityscore severitynormalized severitycode alertseverity \
     risk riskscore score threatlevel level",
    ),
    (As("log.logger"), Any, "logger loggername"),
    (
        As("rule.name"),
        Text,
        "rulename ruletitle rule policyname policy acl aclname signature signaturename signaturetitle sigmarulename \
     detectionname detectionrule threatname virusname malwarename malware threat attackname attack alertname alerttitle \
     title alertrulename detection detectname ipsname attackid webrule firewallrule firewallrulename fwrulename \
     correlationrule matchedrule matchedrulename ルール名 ポリシー名 ウイルス名 securityrule vulnerability scenarioname \
     infectionname signame virus filtername matchedpolicy triggeredrule intelname flaggedrulesname ruleslist",
    ),
    (
        As("rule.id"),
        Any,
        "ruleid terminatingruleid rulesid policyid ruleno rulenumber sigid signatureid ruleindex sid detectionruleid \
     alertruleid rulenum threatid",
    ),
    (As("rule.uuid"), Any, "ruleuuid ruleguid ruleuid policyuuid policyuid"),
    (As("rule.ruleset"), Text, "ruleset rulegroup rulesetname policygroup rulebase policyset policyname profile profilename"),
    (
        As("rule.category"),
        Text,
        "rulecategory urlcategory urlcategories webcategory threatcategory カテゴリ カテゴリー attacktype threattype \
     category categories categoryname malwaretype detectiontype alertcategory classification threatclass attackcategory attackfamily \
     contentcategory cat",
    ),
    (As("rule.description"), Text, "ruledescription policydescription signaturedescription threatdescription alertdescription"),
    (
        As("threat.technique.id"),
        Technique,
        "mitretechniqueid techniqueid mitretechnique technique techniques mitreid attacktechnique mitreattackid",
    ),
    (As("threat.technique.name"), Text, "mitretechniquename techniquename"),
    (As("threat.tactic.name"), Text, "mitretactic mitretacticname tacticname tactic tactics"),
    (
        Url,
        Any,
        "url requesturl fullurl urlfull urloriginal httpurl アクセスurl httprequesturl destinationurl desturl targeturl \
     maliciousurl uri requesturi httpuri httprequesturi httpmessageuri rawurl requestedurl link accessurl csuri toplevelurl",
    ),
    (
        As("url.domain"),
        Domain,
        "urlhost urldomain urlhostname requestdomain requesteddomain accesseddomain visiteddomain httphost httphostname httpdomain vhost virtualhost sitename site website webdomain \
     requesthost requestedhost requesthostname servername hostheader authority requestheadershost host httpmessagehost \
     requestheadersauthority reqhost httprequesthost requestheaderhost headershost cshost",
    ),
    (
        As("url.path"),
        Separated,
        "urlpath requestpath uripath httppath uristem csuristem path httprequestpath urlpathname resourcepath requestedpath reqpath",
    ),
    (
        As("url.query"),
        Any,
        "urlquery querystring uriquery {R}querystring csuriquery urlparams qstr httpquery requestquery requestargs \
     httprequestquery",
    ),
    (As("url.query"), Arguments, "query args"),
    (As("url.scheme"), Any, "urlscheme scheme requestscheme urlprotocol httpscheme"),
    (Number("url.port"), Port, "urlport requestport httpport"),
    (
        As("http.request.method"),
        Method,
        "{R}method httpverb httpaction verb requestverb httpmethodname httprequestmethodname reqmethod csmethod",
    ),
    (As("http.request.method"), Verb, "request"),
    (Url, Target, "request"),
    (RequestLine, Request, "request requestline httprequest httprequestline firstline requestfirstline"),
    (
        Number("http.response.status_code"),
        Status,
        "statuscode httpstatus httpstatuscode httprequeststatus httpmessagestatus httpresponsestatus httpresponsestatuscode \
     httpresponsecode responsecode responsestatus responsestatuscode serverresponse status httpcode respcode resp edgeresponsestatus scstatus \
     returncode proxystatuscode responsehttpstatus rspcode respstatus response outcome",
    ),
    (
        As("http.request.referrer"),
        Any,
        "{H}referer {H}referrer httpreferer httpreferrer csreferer refererurl referrerurl requestreferer refererheader",
    ),
    (
        Without("http.version", "HTTP/"),
        Any,
        "httpversion httpprotocol requesthttpversion httpprotocolversion requestprotocol requestproto csversion \
     httpprotover",
    ),
    (Without("http.version", "HTTP/"), Http, "proto protocol serverprotocol httpproto"),
    (
        Number("http.response.body.bytes"),
        Digits,
        "responsesize responsebytes responselength responsebodybytes responsebodysize bodybytessent bodybytes respsize \
     responsebodylen resplen contentlength responsecontentlength",
    ),
    (
        Number("http.request.body.bytes"),
        Digits,
        "requestsize requestbytes requestlength requestbodybytes requestbodysize reqsize requestbodylen reqlen",
    ),
    (As("http.response.mime_type"), Any, "contenttype responsecontenttype mimetype mime responsemimetype {H}contenttype"),
    (
        As("user_agent.original"),
        Text,
        "useragent {H}useragent httpuseragent clientuseragent browseruseragent rawuseragent useragentstring ua agentstring \
     useragentraw useragentoriginal csuseragent requestclientapplication",
    ),
    (As("user_agent.original"), Separated, "agent"),
    (
        Without("tls.version", "TLSv"),
        Any,
        "tlsversion sslversion tlsprotocol sslprotocol sslver tlsver tlsprotocolversion tlsprotocolversionstring",
    ),
    (As("tls.cipher"), Any, "tlscipher sslcipher ciphersuite cipher tlsciphersuite sslciphersuite"),
    (As("tls.client.server_name"), Any, "tlssni sslsni sni servernameindication tlsservername sslservername serversni"),
    (As("tls.client.ja3"), Any, "ja3 ja3hash ja3fingerprint tlsja3 clientja3"),
    (As("tls.server.ja3s"), Any, "ja3s ja3shash tlsja3s serverja3"),
    (
        Rootless("dns.question.name"),
        Domain,
        "dnsquery dnsqueryname queryname qname dnsquestion dnsname dnsdomain dnshost dnsrequest dnsrrname dnsquestionname \
     dnsquestiondomain query querydomain questionname domainqueried",
    ),
    (
        As("dns.question.type"),
        Word,
        "qtypename querytypename querytype qtype recordtype dnstype dnsquerytype dnsqtype dnsrecordtype dnsrrtype rrtype \
     requesttype dnsrequesttype questiontype",
    ),
    (As("dns.question.class"), Any, "queryclass qclass qclassname dnsclass"),
    (
        As("dns.response_code"),
        Any,
        "rcode dnsrcode rcodename responsecodename dnsresponsecode dnsresponse dnsstatus dnsrcodename",
    ),
    (As("dns.response_code"), Answer, "responsecode responsestatus replycode answercode"),
    (
        Address("dns.resolved_ip", "dns.answers.data"),
        Ip,
        "dnsanswer dnsanswers answers answer resolvedip resolvedips resolvedaddress dnsresponseip dnsanswerip",
    ),
    (
        Path("file"),
        Separated,
        "filepath filefullpath fullpath targetfilename targetfilepath targetfile objectname ファイルパス パス filelocation \
     filefullname fullfilename objectpath threatpath threatfilepath infectedfile filenamepath object pathname fullfilepath filename fname",
    ),
    (
        LastPart("file.name"),
        Any,
        "filename fname file filenames targetfilename filedisplayname attachmentname ファイル名 添付ファイル名 attachment \
     objectfilename originalfilename threatfilename",
    ),
    (As("file.directory"), Any, "folderpath filedirectory directory folder dirname foldername filefolder"),
    (As("file.extension"), Any, "fileextension fileext extension"),
    (As("file.type"), Any, "filetype filetypename"),
    (Number("file.size"), Digits, "filesize fsize filebytes objectsize filelength filesizebytes size"),
    (Hash("file.hash"), Any, "md5 {F}md5 {F}md5hash {F}hashmd5 md5hash hashmd5 md5sum filemd5sum hashesmd5"),
    (
        Hash("file.hash"),
        Any,
        "sha1 {F}sha1 {F}sha1hash {F}hashsha1 sha1hash hashsha1 sha1sum hashessha1 filecontenthash threatfilehash",
    ),
    (
        Hash("file.hash"),
        Any,
        "sha256 {F}sha256 {F}sha256hash {F}hashsha256 sha256hash hashsha256 sha256sum hashessha256 filehash hash \
     filehashvalue objecthash hashvalue hashes sha2 {F}sha2",
    ),
    (
        Hash("process.hash"),
        Any,
        "{S}processhash {S}processimagesha256 {S}processimagemd5 {S}processimagesha1 initiatingprocesssha256 \
     initiatingprocesssha1 initiatingprocessmd5 processsha256 processsha1 processmd5 processfilesha256 \
     processexecutablesha256",
    ),
    (
        As("process.command_line"),
        Any,
        "commandline cmdline processcommandline コマンドライン processcmdline processcommand processargs cmd command \
     commandexecuted executedcommand initiatingprocesscommandline cmdlineargs",
    ),
    (
        As("process.executable"),
        Separated,
        "processpath imagepath processimagepath processimage image processexecutable processexe exe processfilepath \
     initiatingprocessfolderpath executable executablepath processfullpath processimagefilename programpath applicationpath \
     newprocessname processbinary",
    ),
    (
        LastPart("process.name"),
        Any,
        "processname procname processfilename プロセス名 processimagename process initiatingprocessfilename program \
     programname executablename exename {S}processname sproc imagename appexe",
    ),
    (
        Number("process.pid"),
        Digits,
        "pid processid procid processpid initiatingprocessid processprocessid rawprocessid newprocessid",
    ),
    (Number("process.thread.id"), Digits, "tid threadid processthreadid"),
    (
        Number("process.parent.pid"),
        Digits,
        "ppid parentpid {P}pid parentprocessprocessid initiatingprocessparentid parentprocessid processparentid \
     processparentprocessid",
    ),
    (
        LastPart("process.parent.name"),
        Any,
        "{P}name {P}filename {P}imagename {P}basefilename parentname parentfilename parentprocess",
    ),
    (
        As("process.parent.executable"),
        Separated,
        "{P}path {P}imagepath {P}image {P}executable {P}exe {P}binary {P}filepath parentimage parentpath parentexecutable \
     parentbaseimage",
    ),
    (As("process.parent.command_line"), Any, "{P}commandline {P}cmdline {P}cmd parentcommandline parentcmdline"),
    (As("process.working_directory"), Any, "workingdirectory currentdirectory cwd processcwd processworkingdirectory"),
    (As("registry.path"), Any, "registrypath registrykey registrykeypath targetobject regkey keypath"),
    (As("registry.value"), Any, "registryvaluename registryvalue valuename"),
    (
        Mailbox("email.from.address"),
        Mail,
        "from sender mailfrom emailfrom senderaddress senderemail senderemailaddress emailsender fromaddress envelopefrom \
     envelopesender headerfrom 送信者 差出人 smtpfrom fromaddr senderaddr smtpmailfrom sendermailfromaddress senderfromaddress fromemail fromuseremailaddress \
     mailsender",
    ),
    (
        Mailbox("email.to.address"),
        Mail,
        "to recipient recipients rcptto emailto recipientaddress recipientemail recipientemailaddress emailrecipient \
     toaddress envelopeto enveloperecipient rcpt 受信者 宛先 smtpto toaddr smtprcptto toaddresses recipientaddresses mailto \
     toemail mailrecipient emailrecipients",
    ),
    (Mailbox("email.cc.address"), Mail, "cc ccaddress ccaddresses"),
    (As("email.subject"), Text, "emailsubject mailsubject messagesubject 件名 subject msgsubject headersubject"),
    (
        Mailbox("email.message_id"),
        Mail,
        "internetmessageid emailmessageid mailmessageid msgid messageid smtpmessageid headermessageid rfcmessageid mimeid",
    ),
    (
        As("host.name"),
        Word,
        "hostname host computername computer devicename hdn 端末名 コンピューター名 コンピュータ名 ホスト名 マシン名 pc名 端末機名 \
     端末 devicehostname devname machinename machine dvchost endpointname endpoint endpointhostname agentcomputername \
     agenthostname agentname dhost node nodename workstationname workstation clientcomputername computerdnsname hostfqdn \
     devicednsname devicefqdn assetname assethostname asset systemname pcname servername targethostname affectedhost analyzerhostname \
     agentdetectioninfoagentcomputername agentrealtimeinfoagentcomputername hostidentifier fqdn",
    ),
    (
        Address("host.ip", "host.ip"),
        Ip,
        "hostip hostipaddress hostaddress agentip agentipaddress hip ipv4 ownermachineip assetipv4 端末ip 端末ipアドレス \
     agentipv4 endpointip endpointipaddress endpointiplist machineip machineipaddress computerip computeripaddress deviceip \
     deviceipaddress deviceaddress assetip localip localipaddress lastipaddress agentlocalip hostipv4 deviceipv4 \
     deviceinternalip sensorlocalip",
    ),
    (As("host.mac"), Any, "hostmac hostmacaddress devicemac devicemacaddress endpointmac agentmac machinemac"),
    (
        As("host.id"),
        Word,
        "hostid deviceid endpointid machineid computerid agentid agentuuid sensorid assetid deviceuuid hostuuid machineguid",
    ),
    (
        As("host.os.name"),
        Text,
        "osname os operatingsystem hostosname hostos deviceos deviceosname agentosname agentos machineos osplatform \
     agentostype osfamily ostype",
    ),
    (
        As("host.os.version"),
        Any,
        "osversion hostosversion deviceosversion operatingsystemversion agentosrevision osrevision osbuild",
    ),
    (As("host.domain"), Any, "hostdomain machinedomain computerdomain agentdomain devicedomain endpointdomain"),
    (As("observer.serial_number"), Any, "serialnumber serial sn deviceserial deviceserialnumber devid"),
    (
        Address("observer.ip", "observer.ip"),
        Ip,
        "observerip sensorip applianceip firewallip gatewayip managerip collectorip dvc reporterip",
    ),
    (As("observer.name"), Text, "sensorname sensor appliancename gatewayname firewallname devicename observername probename"),
    (As("observer.vendor"), Any, "vendor devicevendor vendorname"),
    (As("observer.product"), Any, "product deviceproduct productname"),
    (As("observer.version"), Any, "productversion deviceversion firmwareversion softwareversion sensorversion"),
    (As("agent.version"), Any, "agentversion clientversion"),
    (As("organization.name"), Any, "organization organizationname orgname org tenantname companyname customername"),
    (As("organization.id"), Any, "organizationid orgid tenantid customerid companyid customerguid"),
    (As("cloud.account.id"), Any, "awsaccountid cloudaccountid recipientaccountid subscriptionid ownerid"),
    (As("cloud.region"), Any, "awsregion cloudregion"),
    (As("cloud.instance.id"), Any, "instanceid ec2instanceid"),
    (As("container.id"), Word, "containerid"),
    (As("container.name"), Any, "containername"),
    (As("container.image.name"), Any, "containerimage containerimagename"),
    (As("orchestrator.namespace"), Any, "kubernetesnamespace k8snamespacename kubernetesnamespacename podnamespace"),
    (As("service.name"), Word, "servicename service resourceservicename daemon component module"),
    (
        Duration("event.duration", 1e6),
        Any,
        "durationms elapsedms responsetimems latencyms timetakenms elapsedtimems durationmillis tookms",
    ),
    (
        As("message"),
        Text,
        "msg description text eventmessage logmessage desc summary details detail eventdescription messagetext \
     displaymessage shortmessage fullmessage log alertmessage メッセージ 内容 詳細 body activitydescription longdescription \
     note primarydescription title",
    ),
];
