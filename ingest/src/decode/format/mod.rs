//! The formats, a file each. A reader looks at the message, and either writes the record's cells and says yes, or says no and leaves
//! nothing behind. Recognition goes by structure at a fixed place (a tag, a first key, a literal), never by a word anywhere in the text:
//! senders write what they like into their values.

mod asa;
mod asa_messages;
mod cef;
mod cef_vendors;
mod checkpoint;
mod clavister;
mod envoy;
mod extension;
mod fmc;
mod fortigate;
mod fortimail;
mod generic;
mod guess;
mod haproxy;
mod iis;
mod ios;
mod ise;
mod junos;
mod keycloak;
mod leef;
mod netfilter;
mod nfdump;
mod panos;
mod registry;
mod sentence;
mod snort;
mod sophos;
mod squid;
mod structured;
mod suricata;
mod tables;
mod umbrella;
mod usual;
mod usual_names;
mod usual_words;
mod web;
mod web_error;
mod welf;
mod windows;
mod xml;
mod zeek;

use event::{FieldId, FormatId, LogSource, LogSourceId, RowBuilder, Value};

use super::grams::{Needed, Rarity};
use super::text::Context;
use guess::outcome;
pub(super) use guess::{beginning, guess, level};
pub(super) use registry::{Recognise, Registry, names};
pub(super) use structured::{Object, ReadObject};
pub(super) use usual::Usual;
pub(super) use web::request_line;

/// Which format a record is in: its name and its Sigma log source.
#[derive(Clone, Copy)]
struct Kind {
    format: FormatId,
    log_source: LogSourceId,
}

impl Kind {
    fn new(format: &'static str, product: Option<&str>, category: Option<&str>, service: Option<&str>) -> Kind {
        Kind { format: FormatId::known(format), log_source: LogSourceId::intern(LogSource { product, category, service }) }
    }

    fn mark(self, row: &mut RowBuilder<'_>) {
        row.format(self.format);
        row.log_source(self.log_source);
    }
}

/// Reads one format, or a few that belong together.
pub(super) trait Reader: Send {
    /// Names that a pin may use; the first is `mihari.format` where the reader marks no other.
    fn names(&self) -> Vec<&'static str>;

    /// Which records are worth asking about: cheap, and by structure at a fixed place.
    fn recognise(&self) -> Recognise;

    /// What texts that no program's name leads here hold where `read` takes them: all of one of these. Empty where that cannot be told.
    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[]
    }

    /// The same, for texts that begin with `byte`.
    fn needs(&self, _byte: u8, rarity: &Rarity) -> Vec<Needed> {
        self.marks().iter().map(|all| Needed::of(all.iter().copied(), rarity)).collect()
    }

    /// Writes the record and says yes, or leaves nothing behind and says no.
    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool;

    /// The same of a record that was read as an object.
    fn read_object(&mut self, _object: &mut Object<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        self.read(context, row)
    }

    /// Takes a record of the format's own program that `read` refused.
    fn claim(&mut self, _context: &Context<'_>, _row: &mut RowBuilder<'_>) -> bool {
        false
    }
}

/// The formats that are programmed. A new one is a file, `mod` above and a line here; what is regular enough is better described
/// (`formats/*.yaml`).
fn programmed() -> Vec<Box<dyn Reader>> {
    vec![
        Box::new(asa::Reader::new()),
        Box::new(cef::Reader::new()),
        Box::new(checkpoint::Reader::new()),
        Box::new(clavister::Reader::new()),
        Box::new(fmc::Reader::new()),
        Box::new(fortigate::Reader::new()),
        Box::new(fortimail::Reader::new()),
        Box::new(envoy::Reader::new()),
        Box::new(generic::Reader::new()),
        Box::new(haproxy::Reader::new()),
        Box::new(iis::Reader::new()),
        Box::new(ios::Reader::new()),
        Box::new(ise::Reader::new()),
        Box::new(junos::Reader::new()),
        Box::new(keycloak::Reader::new()),
        Box::new(leef::Reader::new()),
        Box::new(netfilter::Reader::new()),
        Box::new(nfdump::Reader::new()),
        Box::new(panos::Reader::new()),
        Box::new(snort::Reader::new()),
        Box::new(sophos::Reader::new()),
        Box::new(squid::Reader::new()),
        Box::new(umbrella::Reader::new()),
        Box::new(web::Reader::new()),
        Box::new(web_error::Reader::new()),
        Box::new(welf::Reader::new()),
        Box::new(windows::Lines::new()),
        Box::new(windows::Message::new()),
        Box::new(windows::Snare::new()),
        Box::new(windows::Xml::new()),
        Box::new(xml::Reader::new()),
        Box::new(zeek::Reader::new()),
    ]
}

/// Adds an address: as an address where it is one, else as what it says.
pub(super) fn address(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, text: &str) {
    let bare = super::ip::bare(text);
    match super::ip::parse(bare) {
        Some(address) => row.ip(ip, address),
        None => match super::ip::with_name(text) {
            Some((known, address)) => {
                row.ip(ip, address);
                some_text(row, name, known);
            }
            None if !bare.is_empty() && bare != "-" => row.text(name, bare),
            None => {}
        },
    }
}

/// Adds a number where the text is one.
fn number(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if let Ok(n) = text.parse::<u64>() {
        row.uint(field, n);
    }
}

/// Adds text that is there and is not the `-` that stands for nothing.
fn some_text(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    if !text.is_empty() && text != "-" {
        row.text(field, text);
    }
}

/// Names of protocols by their IANA numbers. A table: whose record follows whose cannot be foretold, so branches would be guessed wrong.
static TRANSPORTS: [Option<&str>; 256] = {
    let mut names = [None; 256];
    names[1] = Some("icmp");
    names[2] = Some("igmp");
    names[6] = Some("tcp");
    names[17] = Some("udp");
    names[41] = Some("ipv6");
    names[47] = Some("gre");
    names[50] = Some("esp");
    names[51] = Some("ah");
    names[58] = Some("ipv6-icmp");
    names[89] = Some("ospf");
    names[132] = Some("sctp");
    names
};

/// `network.transport` by IANA protocol number.
#[inline]
pub(super) fn transport(number: u64) -> Option<&'static str> {
    *TRANSPORTS.get(usize::try_from(number).ok()?)?
}

/// `user.name` and, of `DOMAIN\\name`, `user.domain`.
fn account(row: &mut RowBuilder<'_>, text: &str) {
    let (domain, name) = super::keys::account(text);
    row.text(FieldId::USER_NAME, name);
    if let Some(domain) = domain {
        row.text(FieldId::USER_DOMAIN, domain);
    }
}

/// `network.transport` and, where known, `network.iana_number` from a protocol's number or name.
pub(super) fn protocol(row: &mut RowBuilder<'_>, text: &str) {
    let text = text.split_once('(').map_or(text, |(first, _)| first); // `6(tcp)`
    match text.parse::<u64>() {
        Ok(number) => {
            row.uint(FieldId::NETWORK_IANA_NUMBER, number);
            match transport(number) {
                Some(name) => row.text(FieldId::NETWORK_TRANSPORT, name),
                None => row.text(FieldId::NETWORK_TRANSPORT, text),
            }
        }
        Err(_) if text.eq_ignore_ascii_case("icmpv6") || text.eq_ignore_ascii_case("icmp6") => {
            row.text(FieldId::NETWORK_TRANSPORT, "ipv6-icmp");
        }
        Err(_) => {
            let mut lower = [0; 32];
            match lower.get_mut(..text.len()) {
                Some(lower) if text.is_ascii() => {
                    lower.copy_from_slice(text.as_bytes());
                    lower.make_ascii_lowercase();
                    row.text(FieldId::NETWORK_TRANSPORT, std::str::from_utf8(lower).unwrap_or(text));
                }
                _ => row.text(FieldId::NETWORK_TRANSPORT, text),
            }
        }
    }
}

/// The URL's parts from the whole: an absolute one, `host:port` (CONNECT), or a path.
pub(super) fn url(row: &mut RowBuilder<'_>, whole: &str) {
    if whole.contains('/') {
        return uri(row, whole);
    }
    row.text(FieldId::URL_ORIGINAL, whole);
    host_and_port(row, whole);
}

/// The URL's parts from the whole where a text without a scheme begins with the host: `host:port`, `host/path`.
pub(super) fn host_url(row: &mut RowBuilder<'_>, whole: &str) {
    if whole.starts_with('/') || scheme(whole).is_some() {
        return uri(row, whole);
    }
    row.text(FieldId::URL_ORIGINAL, whole);
    let (authority, rest) = whole.split_at(whole.find(['/', '?', '#']).unwrap_or(whole.len()));
    host_and_port(row, authority);
    path_and_query(row, rest);
}

/// The URI's parts from the whole (RFC 3986 §3): without a scheme it is a path.
pub(super) fn uri(row: &mut RowBuilder<'_>, whole: &str) {
    row.text(FieldId::URL_ORIGINAL, whole);
    match scheme(whole) {
        Some((scheme, rest)) => {
            row.text(FieldId::URL_SCHEME, scheme);
            let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            host_and_port(row, authority);
            path_and_query(row, rest);
        }
        None => path_and_query(row, whole),
    }
}

/// `scheme://rest`.
fn scheme(whole: &str) -> Option<(&str, &str)> {
    let length = whole.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    let (scheme, rest) = whole.split_at(length);
    let rest = rest.strip_prefix("://")?;
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()).then_some((scheme, rest))
}

fn path_and_query(row: &mut RowBuilder<'_>, rest: &str) {
    let rest = rest.split('#').next().unwrap_or(rest);
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    if !path.is_empty() {
        row.text(FieldId::URL_PATH, path);
        if let Some((_, name)) = path.rsplit_once('/')
            && let Some((stem, extension)) = name.rsplit_once('.')
            && !stem.is_empty()
            && (1..=10).contains(&extension.len())
            && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            row.text(FieldId::URL_EXTENSION, extension);
        }
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        row.text(FieldId::URL_QUERY, query);
    }
}

fn host_and_port(row: &mut RowBuilder<'_>, authority: &str) {
    let (host, port) = host_and_port_parts(authority.rsplit('@').next().unwrap_or(authority));
    some_text(row, FieldId::URL_DOMAIN, host);
    number(row, FieldId::URL_PORT, port.unwrap_or(""));
}

/// `host:port`, `[2001:db8::1]:port`, or either alone; an IPv6 address and a port behind it as some write them, without brackets.
fn host_and_port_parts(text: &str) -> (&str, Option<&str>) {
    if super::ip::is(text) {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (super::ip::bare(host), Some(port)),
        _ => (super::ip::bare(text), None),
    }
}

/// Adds `host:port`: the host as an address where it is one, else as a name.
pub(super) fn host_and_port_of(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, port: FieldId, text: &str) {
    if super::ip::with_name(text).is_some() {
        return address(row, ip, name, text);
    }
    let (host, number_text) = host_and_port_parts(text);
    address(row, ip, name, host);
    number(row, port, number_text.unwrap_or(""));
}

/// Likewise where a port always stands behind the host: the last part of `2001:db8::7:443` is one then.
pub(super) fn host_before_port_of(row: &mut RowBuilder<'_>, ip: FieldId, name: FieldId, port: FieldId, text: &str) {
    match text.rsplit_once(':') {
        Some((host, last)) if host.parse::<std::net::Ipv6Addr>().is_ok() && last.parse::<u16>().is_ok() => {
            address(row, ip, name, host);
            number(row, port, last);
        }
        _ => host_and_port_of(row, ip, name, port, text),
    }
}

/// Adds text in lower case.
fn lower_text(row: &mut RowBuilder<'_>, field: FieldId, text: &str) {
    super::record::table::lower(row, field, text);
}

/// `event.outcome` of a request, where the record says how it was answered and nothing else told the outcome.
fn outcome_of_status(row: &mut RowBuilder<'_>) {
    if let Some(Value::Int(status)) = row.get(FieldId::HTTP_RESPONSE_STATUS_CODE)
        && !row.has(FieldId::EVENT_OUTCOME)
    {
        row.text(FieldId::EVENT_OUTCOME, if status < 400 { "success" } else { "failure" });
    }
}

/// What follows from the cells whatever the format.
pub(super) fn enrich(row: &mut RowBuilder<'_>) {
    if let Some(Value::Text(name)) = row.get(FieldId::DNS_QUESTION_NAME)
        && let Some(part) = registered_domain(name)
    {
        row.copy_part(FieldId::DNS_QUESTION_NAME, part, FieldId::DNS_QUESTION_REGISTERED_DOMAIN);
    }
    if let Some(Value::Text(action)) = row.get(FieldId::EVENT_ACTION)
        && is_login(action)
        && row.get(FieldId::EVENT_CATEGORY) != Some(Value::Text("authentication")) // As it is where it stands at all.
        && !(0..row.cell_count()).any(|nth| row.cell_at(nth) == (FieldId::EVENT_CATEGORY, Value::Text("authentication")))
    {
        row.text(FieldId::EVENT_CATEGORY, "authentication");
    }
    if !row.has(FieldId::EVENT_KIND) && !row.is_quarantined() {
        row.fixed(FieldId::EVENT_KIND, "event");
    }
}

/// How actions say that somebody logs in, by what the words have in common.
const LOGINS: &[(&str, &[&str])] = &[
    ("log", &["login", "logon", "log-on", "log_in", "log in", "logged-in", "logged_in", "logged in"]),
    ("auth", &["authent", "auth-", "auth_", "-auth", "_auth"]),
    ("sign", &["signin", "sign-in", "sign_in", "sign in", "signed-in", "signed in"]),
];

/// With which bytes the stems of [`LOGINS`] begin, in any case.
const STEMS_BEGIN: [bool; 256] = {
    let (mut table, mut nth) = ([false; 256], 0);
    while nth < LOGINS.len() {
        let first = LOGINS[nth].0.as_bytes()[0];
        (table[first as usize], table[first.to_ascii_uppercase() as usize]) = (true, true);
        nth += 1;
    }
    table
};

fn is_login(action: &str) -> bool {
    // Most actions have no stem of a login's words: one look tells.
    let begins = |rest: &[u8], stem: &str| rest.get(..stem.len()).is_some_and(|part| part.eq_ignore_ascii_case(stem.as_bytes()));
    let bytes = action.as_bytes();
    let has_stem = |at: usize| STEMS_BEGIN[usize::from(bytes[at])] && LOGINS.iter().any(|(stem, _)| begins(&bytes[at..], stem));
    let says = |words: &[&str]| words.iter().any(|word| guess::contains(action, word));
    (0..bytes.len()).any(has_stem) && LOGINS.iter().any(|(stem, words)| guess::contains(action, stem) && says(words))
}

/// Where in `name` its registered domain stands. Without a list of public suffixes: the last two labels, or three where the second-level
/// one is short (`city.example.co.jp`).
fn registered_domain(name: &str) -> Option<std::ops::Range<usize>> {
    let name = name.trim_end_matches('.');
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let first = dots.next()?;
    let (second, third) = (dots.next(), dots.next());
    let start = match second {
        Some(second) if first - second <= 4 && name.len() - first == 3 => third.map_or(0, |third| third + 1),
        Some(second) => second + 1,
        None => 0,
    };
    Some(start..name.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn actions_that_are_logins() {
        for (action, good) in [
            ("ssl-login-fail", true),
            ("User Authentication", true),
            ("gateway-auth", true),
            ("SIGN_IN", true),
            ("logout", false),
            ("author changed", false),
            ("log-rotated", false),
        ] {
            assert_eq!(super::is_login(action), good, "{action}");
        }
    }

    #[test]
    fn registered_domains() {
        let cases = [
            ("www.city.example", Some("city.example")),
            ("www.city.example.co.jp.", Some("example.co.jp")),
            ("example.co.jp", Some("example.co.jp")),
            ("co.jp", Some("co.jp")),
            ("jp", None),
            ("..", None),
        ];
        for (name, expected) in cases {
            assert_eq!(super::registered_domain(name).map(|part| &name[part]), expected, "{name}");
        }
    }
}
