//! What the names of a record usually mean, whoever wrote it: for records that name their fields themselves and whose program nobody
//! described, or whose description does not know a name.
//!
//! A name is compared without its case and without `_`, `-`, `.` and blanks, so that `src_ip`, `SrcIP` and `src.ip` are one. The names of
//! a field stand in the order of preference ([`super::usual_names`]); what the record says under the field's own name stands before all
//! of them. Of a path of keys the whole counts (`request.client_ip` is `requestclientip`). Keys before it that only say that something
//! follows (`data`, `event`, `properties`) may be left out; others where the name says by itself whose value it is.

use std::net::IpAddr;
use std::sync::LazyLock;

use event::{FieldId, RowBuilder, Value};
use hashbrown::HashMap;

use super::usual_names::{Only, USUAL, WORDS};
use super::usual_words::{BELOW, ECS, HOLDERS, OTHERS, PLAIN, RECORDERS};
use crate::decode::cut::trimmed;
use crate::decode::ip;
use crate::decode::keys::verdict;
use crate::decode::record::table::{Rule, To};
use crate::decode::record::{Key, Keys, View};
use crate::decode::stamp;
use crate::decode::text::Context;

/// A name with more letters is none of those of the table.
const NAME_BYTES_MAX: usize = 48;

/// The rank of names that are not in the table.
const LAST_RANK: u16 = u16::MAX;

/// A name that is one of the table's only without what its maker puts before it stands behind those that are.
const MAKERS_RANK: u16 = 1 << 14;

/// A plain word below keys that nobody knows stands behind all of those, and counts only where it is the only one of its field.
const BELOW_RANK: u16 = 1 << 15;

/// The rank of a field that two such words might mean.
const UNSURE: u16 = BELOW_RANK - 1;

/// Of which rules a name is one, and how they prefer it.
type Places = Vec<(u16, u16)>;

/// What a path means, and the rank that stands before those of its names: none, [`MAKERS_RANK`] or [`BELOW_RANK`].
type Meaning = (&'static [(u16, u16)], u16);

static NAMES: LazyLock<HashMap<String, Places>> = LazyLock::new(|| {
    let mut names: HashMap<String, Places> = HashMap::new();
    for (rule, (.., list)) in USUAL.iter().enumerate() {
        let mut rank = 0;
        for word in list.split_whitespace() {
            for name in expand(word) {
                let places = names.entry(name).or_default();
                if places.iter().all(|(other, _)| usize::from(*other) != rule) {
                    places.push((rule as u16, rank));
                    rank += 1;
                }
            }
        }
    }
    names
});

/// Every name that `word` stands for.
fn expand(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else { return vec![word.to_owned()] };
    let (list, after) = rest.split_once('}').expect("a brace that is opened is closed");
    let (_, words) = WORDS.iter().find(|(name, _)| *name == list).expect("the list is there");
    let ends = expand(after);
    words.split(' ').flat_map(|middle| ends.iter().map(move |end| format!("{before}{middle}{end}"))).collect()
}

/// What a path is of a list that names a request's headers and their values: `{"headers":[{"name":"Host","value":"www.example"}]}`.
#[derive(Clone, Copy, PartialEq)]
enum Listed {
    Name,
    Value,
    No,
}

/// Headers whose values are fields.
const HEADERS: [(&str, FieldId); 4] = [
    ("host", FieldId::URL_DOMAIN),
    ("user-agent", FieldId::USER_AGENT_ORIGINAL),
    ("useragent", FieldId::USER_AGENT_ORIGINAL),
    ("referer", FieldId::HTTP_REQUEST_REFERRER),
];

/// The table for the keys of one reader, and what each path of the records so far means.
pub(in crate::decode) struct Usual {
    rules: Vec<Rule>,
    /// The paths of the fields' own names.
    own: Vec<Key>,
    date: [Key; 3],
    email: FieldId,
    /// The rules of both ends' addresses and ports, and of the process.
    ends: [usize; 6],
    /// The rules of a request's method and host, and of the host's name.
    request: [usize; 3],
    /// The rules of a URL's path and of a file's, and what tells that there is a request.
    path: [usize; 8],
    /// The rules of a file's size, and what tells that there is a file.
    size: [usize; 4],
    generation: u32,
    /// What each path means.
    meanings: Vec<Option<Meaning>>,
    /// What each path is of a list of headers.
    listed: Vec<Listed>,
    best: Vec<Option<(u16, Key)>>,
    /// A bit for each rule that has a best key.
    touched: Vec<u64>,
}

impl Usual {
    pub(in crate::decode) fn new(keys: &mut Keys) -> Usual {
        let rules: Vec<Rule> = USUAL.iter().map(|(to, ..)| Rule::new("", *to, keys)).collect();
        let own = |to: &To| match to {
            To::Account(base) => format!("{base}.name"),
            To::Path(base) => format!("{base}.path"),
            To::Host(base) => format!("{base}.ip"),
            other => other.field().to_owned(),
        };
        let own = USUAL.iter().map(|(to, ..)| keys.declare(&own(to))).collect();
        let date = ["date", "time", "tz"].map(|name| keys.declare(name));
        let best = vec![None; rules.len()];
        let rule_of = |field| USUAL.iter().position(|(to, ..)| to.field() == field).expect("the table has this field");
        let ends =
            ["source", "destination", "source.port", "destination.port", "process.name", "process.executable"].map(rule_of);
        let request = ["http.request.method", "url.domain", "host.name"].map(rule_of);
        let path = [
            "url.path",
            "file",
            "process.executable",
            "process.command_line",
            "http.request.method",
            "http.response.status_code",
            "url.original",
            "url.domain",
        ]
        .map(rule_of);
        let touched = vec![0; rules.len().div_ceil(64)];
        let email = FieldId::known("user.email");
        let size = ["file.size", "file", "file.name", "file.hash"].map(rule_of);
        Usual {
            rules,
            own,
            date,
            email,
            ends,
            request,
            path,
            size,
            generation: 0,
            meanings: Vec::new(),
            listed: Vec::new(),
            best,
            touched,
        }
    }

    /// Writes the fields that the record's names usually mean, but for keys that are `told` otherwise: a key for each such scalar, in their
    /// order. What the row holds already stands; the event's time is set where `sets_time`.
    pub(in crate::decode) fn write(
        &mut self,
        keys: &Keys,
        view: View<'_>,
        context: &Context<'_>,
        told: &[Key],
        sets_time: bool,
        row: &mut RowBuilder<'_>,
    ) {
        self.touched.fill(0);
        let mut told = told.iter().peekable();
        let (mut header, mut headers) = (None, [None; HEADERS.len()]);
        for (key, scalar) in view.scalars().filter(|(key, _)| told.next_if_eq(&key).is_none()) {
            let meaning = self.meaning(keys, key);
            match (self.listed[key.index()], header) {
                (Listed::Name, _) => {
                    let name = view.value(scalar);
                    header =
                        name.as_text().and_then(|name| HEADERS.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)));
                }
                (Listed::Value, Some(nth)) => {
                    headers[nth] = view.value(scalar).as_text();
                    header = None;
                }
                _ => {}
            }
            if !meaning.0.is_empty() {
                self.weigh(meaning, key, view.value(scalar), context);
            }
        }
        self.turn_ends(keys);
        self.settle_host(keys);
        self.settle_path(keys);
        self.settle_size(keys);
        let has_time = self.best[0].is_some();
        for nth in each_bit(&self.touched) {
            let Some((_, key)) = self.best[nth].take().filter(|(rank, _)| *rank != UNSURE) else { continue };
            let rule = &self.rules[nth];
            forget_header(rule.field(), context, row);
            let (to, only, _) = &USUAL[nth];
            let is_time = matches!(to, To::Time);
            if view.has(self.own[nth]) && (!is_time || key != self.own[nth]) || rule.is_told(row) || is_time && !sets_time {
                continue;
            }
            for value in view.all(key).filter(|value| !says_nothing(*value) && says(to, *only, *value, context)) {
                rule.write(if matches!(to, To::Host(_)) { unmapped(value) } else { value }, context, row);
                if is_time {
                    break;
                }
            }
        }
        for ((_, field), said) in HEADERS.iter().zip(headers) {
            if let Some(said) = said.filter(|said| !said.is_empty() && !row.has(*field)) {
                row.text(*field, said);
            }
        }
        if sets_time && !has_time {
            let [date, clock, zone] = self.date.map(|key| view.text(key));
            if let (Some(date), Some(clock)) = (date, clock) {
                context.set_time(row, stamp::assemble(date, clock, zone.unwrap_or("")));
            }
        }
        if let Some(Value::Text(action)) = row.get(FieldId::EVENT_ACTION)
            && !row.has(FieldId::EVENT_TYPE)
            && let Some(verdict) = verdict(action)
        {
            row.text(FieldId::EVENT_TYPE, verdict);
        }
        // Whether a login went well, where its own name says that.
        if let Some(Value::Text(action)) = row.get(FieldId::EVENT_ACTION)
            && !row.has(FieldId::EVENT_OUTCOME)
            && let Some(outcome) = super::guess::outcome_of_login(action)
        {
            row.text(FieldId::EVENT_OUTCOME, outcome);
        }
        if !row.has(FieldId::USER_NAME) {
            row.copy_first(self.email, FieldId::USER_NAME);
        }
        if !row.has(FieldId::USER_NAME)
            && let Some(Value::Text(id)) = row.get(FieldId::USER_ID)
            && is_name(id.rsplit('\\').next().unwrap_or(id))
        {
            row.copy_first(FieldId::USER_ID, FieldId::USER_NAME);
        }
    }

    /// Takes `key` for the best of the fields that it means, where none before it was better.
    fn weigh(&mut self, (meaning, before): Meaning, key: Key, value: Value<'_>, context: &Context<'_>) {
        if says_nothing(value) {
            return;
        }
        for (rule, rank) in meaning {
            let (to, only, _) = &USUAL[usize::from(*rule)];
            if !says(to, *only, value, context) {
                continue;
            }
            let rule = usize::from(*rule);
            self.touched[rule / 64] |= 1 << (rule % 64);
            let best = &mut self.best[rule];
            let rank = *rank | before;
            match &mut *best {
                Some((known, other)) if before == BELOW_RANK && *known >= BELOW_RANK && *other != key => *known = UNSURE,
                Some((known, _)) if *known <= rank => {}
                _ => *best = Some((rank, key)),
            }
        }
    }

    /// `host` beside the method of a request is whom it asks for, else where the record was written.
    fn settle_host(&mut self, keys: &Keys) {
        let [method, asked, written] = self.request;
        let is_host = |best: &Option<(u16, Key)>| best.is_some_and(|(_, key)| keys.name(key).eq_ignore_ascii_case("host"));
        let other = if self.best[method].is_some() && is_host(&self.best[asked]) { written } else { asked };
        if is_host(&self.best[other]) {
            self.best[other] = None;
        }
    }

    /// `path` is a file's where nothing else tells of a request, a program's beside its command line.
    fn settle_path(&mut self, keys: &Keys) {
        let [path, file, program, command, told @ ..] = self.path;
        let is_plain = self.best[path].is_some_and(|(_, key)| {
            let name = keys.name(key);
            name.rsplit('.').next().unwrap_or(name).eq_ignore_ascii_case("path")
        });
        if is_plain && told.iter().all(|rule| self.best[*rule].is_none()) {
            let best = self.best[path].take();
            let is_program = self.best[command].is_some() && self.best[program].is_none() && self.best[file].is_none();
            let whose = if is_program { program } else { file };
            self.touched[whose / 64] |= 1 << (whose % 64);
            self.best[whose] = self.best[whose].or(best);
        }
    }

    /// `size` is a file's where something else tells of one.
    fn settle_size(&mut self, keys: &Keys) {
        let [size, told @ ..] = self.size;
        let is_plain = self.best[size].is_some_and(|(_, key)| keys.name(key).eq_ignore_ascii_case("size"));
        if is_plain && told.iter().all(|rule| self.best[*rule].is_none()) {
            self.best[size] = None;
        }
    }

    /// What a process did on its host names the ends `local` and `remote`: there the local one began it, while a server means by the
    /// remote one its client.
    fn turn_ends(&mut self, keys: &Keys) {
        let begins = |best: &Option<(u16, Key)>, word: &str| {
            best.is_some_and(|(_, key)| {
                let name = keys.name(key);
                let leaf = name.rsplit('.').next().unwrap_or(name);
                leaf.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            })
        };
        let [source, destination, source_port, destination_port, process, path] = self.ends;
        if self.best[process].is_none() && self.best[path].is_none() {
            return;
        }
        if begins(&self.best[source], "remote") && begins(&self.best[destination], "local") {
            self.best.swap(source, destination);
            self.best.swap(source_port, destination_port);
        }
    }

    fn meaning(&mut self, keys: &Keys, key: Key) -> Meaning {
        if self.generation != keys.generation() {
            self.generation = keys.generation();
            self.meanings.clear();
            self.listed.clear();
        }
        if let Some(Some(known)) = self.meanings.get(key.index()) {
            return *known;
        }
        let name = keys.name(key);
        let mut meaning: Meaning = (find(name), 0);
        if meaning.0.is_empty() {
            meaning = (without_maker(name).map_or(&[], find), MAKERS_RANK);
        }
        if meaning.0.is_empty() {
            meaning = (below(name).map_or(&[], find), BELOW_RANK);
        }
        if self.meanings.len() <= key.index() {
            self.meanings.resize(keys.len(), None);
            self.listed.resize(keys.len(), Listed::No);
        }
        self.meanings[key.index()] = Some(meaning);
        self.listed[key.index()] = listed(name);
        meaning
    }
}

/// What the path is of a list of headers, or of further properties as Microsoft 365 has them.
fn listed(name: &str) -> Listed {
    let Some((holder, leaf)) = name.rsplit_once('.') else { return Listed::No };
    let holder = plain_of(holder);
    match leaf {
        _ if !holder.ends_with("headers") && !holder.ends_with("extendedproperties") => Listed::No,
        _ if ["name", "key"].iter().any(|word| leaf.eq_ignore_ascii_case(word)) => Listed::Name,
        _ if leaf.eq_ignore_ascii_case("value") => Listed::Value,
        _ => Listed::No,
    }
}

/// The numbers of the bits that are set, in their order.
fn each_bit(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(word, bits)| {
        let mut bits = *bits;
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(word * 64 + bit)
        })
    })
}

/// Takes back what the syslog header said, which the record itself knows better.
fn forget_header(field: FieldId, context: &Context<'_>, row: &mut RowBuilder<'_>) {
    let said = match field {
        FieldId::HOST_NAME => context.header.host,
        FieldId::PROCESS_NAME => context.header.app,
        FieldId::PROCESS_PID => context.header.procid,
        _ => None,
    };
    let is_said = match (said, row.get(field)) {
        (Some(said), Some(Value::Text(text))) => text == said,
        (Some(said), Some(Value::Int(n))) => said.parse() == Ok(n),
        _ => false,
    };
    if is_said {
        row.remove(field);
    }
}

/// Whether the table has this name.
pub(super) fn is_known(name: &str) -> bool {
    plain(name).is_some_and(|(plain, length)| std::str::from_utf8(&plain[..length]).is_ok_and(|plain| NAMES.contains_key(plain)))
}

/// The name without what its maker puts before it: `InfobloxDNSQType` is `DNSQType`, `UNIFIclientIp` is `clientIp`, `FW_POLICY_NAME` is
/// `POLICY_NAME`. None where no rest of it is in the table, or where the rest is a plain word or somebody else's.
fn without_maker(name: &str) -> Option<&str> {
    let bytes = name.as_bytes();
    let word = |at: usize| {
        let (before, here) = (bytes[at - 1], bytes[at]);
        let next_is_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        matches!(before, b'_' | b'-') && here.is_ascii_alphabetic()
            || here.is_ascii_uppercase() && (before.is_ascii_lowercase() || next_is_small)
            || here.is_ascii_lowercase() && before.is_ascii_uppercase() && at >= 2 && bytes[at - 2].is_ascii_uppercase()
    };
    (1..bytes.len().min(NAME_BYTES_MAX)).filter(|at| name.is_ascii() && word(*at)).find_map(|at| {
        let (before, rest) = name.split_at(at);
        let before = plain_of(before);
        let foreign = OTHERS.iter().any(|other| before.ends_with(other));
        (!foreign && !PLAIN.contains(&plain_of(rest).as_str()) && is_known(rest)).then_some(rest)
    })
}

/// The last key of a path whose other keys nobody knows, where that says enough (`details.hit.ip`) and is nobody else's.
fn below(name: &str) -> Option<&str> {
    let (before, last) = name.rsplit_once('.')?;
    let another = |key: &str| {
        let key = plain_of(key);
        OTHERS.iter().any(|other| key.starts_with(other)) || RECORDERS.iter().any(|other| key.contains(other))
    };
    (BELOW.contains(&plain_of(last).as_str()) && !before.split('.').any(another) && !is_ecs(name)).then_some(last)
}

/// Whether what stands below this name is an ECS name that no other name stands for.
fn is_ecs(name: &str) -> bool {
    ECS.iter().any(|ecs| name.starts_with(ecs) && (ecs.ends_with('.') || name.len() == ecs.len()))
}

/// What the path `name` means.
fn find(name: &str) -> &'static [(u16, u16)] {
    if name == "event.type" {
        return NAMES.get("type").map_or(&[], Vec::as_slice); // Several words are no type of ECS.
    }
    if is_ecs(name) {
        return &[];
    }
    let mut rest = name;
    let (mut only_holders, mut others) = (true, false);
    loop {
        if let Some((plain, length)) = plain(rest) {
            let plain = std::str::from_utf8(&plain[..length]).unwrap_or("");
            if (only_holders || !others && !PLAIN.contains(&plain))
                && let Some(places) = NAMES.get(plain)
            {
                return places;
            }
            if only_holders && is_time(plain) {
                return &[(0, LAST_RANK)];
            }
        }
        let Some((first, after)) = rest.split_once('.') else { return &[] };
        let first = plain_of(first);
        only_holders &= HOLDERS.contains(&first.as_str());
        others |= OTHERS.iter().any(|other| first.starts_with(other));
        rest = after;
    }
}

/// Whether the name says that its value is when something happened, of a field that the table does not know.
fn is_time(plain: &str) -> bool {
    const NOT_WHEN: [&str; 12] =
        ["end", "expir", "until", "last", "update", "modif", "ingest", "valid", "not", "boot", "birth", "uptime"];
    ["time", "timestamp", "date", "datecreate", "datecreated"].iter().any(|end| plain.ends_with(end))
        && !NOT_WHEN.iter().any(|word| plain.contains(word))
}

/// The name without its case and marks, and its length; none where it is too long.
fn plain(name: &str) -> Option<([u8; NAME_BYTES_MAX], usize)> {
    let mut plain = [0; NAME_BYTES_MAX];
    let mut length = 0;
    for letter in name.bytes().filter(|b| !matches!(b, b'_' | b'-' | b'.' | b' ' | b'@' | b'/' | b':' | b'[' | b']')) {
        *plain.get_mut(length)? = letter.to_ascii_lowercase();
        length += 1;
    }
    Some((plain, length))
}

fn plain_of(name: &str) -> String {
    plain(name).map_or(String::new(), |(plain, length)| String::from_utf8_lossy(&plain[..length]).into_owned())
}

/// The beginning of 1990, in nanoseconds since 1970: no record is older.
const YEAR_1990_NS: i64 = 631_152_000_000_000_000;

/// What stands for no value.
const NOTHING: &[&str] =
    &["", "-", "--", "N/A", "<n/a>", "NA", "null", "none", "(null)", "undefined", "(empty)", "(none)", "nil", "NOT_TRANSLATED"];

/// An address of IPv4 that is written as one of IPv6, as it is.
fn unmapped(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) => Value::Text(text.strip_prefix("::ffff:").filter(|rest| rest.contains('.')).unwrap_or(text)),
        other => other,
    }
}

/// Whether the value stands for none.
fn says_nothing(value: Value<'_>) -> bool {
    match value {
        Value::Null => true,
        // None of them is longer: most values are told by that.
        Value::Text(text) if text.len() < 16 => {
            let text = trimmed(text);
            NOTHING.iter().any(|nothing| text.eq_ignore_ascii_case(nothing))
        }
        _ => false,
    }
}

/// Whether the value is of the kind that the field holds.
fn says(to: &To, only: Only, value: Value<'_>, context: &Context<'_>) -> bool {
    let text = value.as_text().map(trimmed);
    let number = || match value {
        Value::Int(n) => Some(n),
        Value::Uint(n) => i64::try_from(n).ok(),
        Value::Float(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(n as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    let is_word = |text: &str| !text.contains([' ', '\n', '\t', '{', '"']);
    let good = match only {
        Only::Any => true,
        Only::Ip => text.is_some_and(|text| match to {
            To::Host(_) => ip_of(text).is_some(),
            _ => ip::is(ip::bare(text)),
        }),
        Only::Port => number().is_some_and(|n| (1..65536).contains(&n)),
        Only::Status => number().is_some_and(|n| (100..600).contains(&n)),
        Only::Digits => number().is_some_and(|n| n >= 0),
        Only::Word => match value {
            Value::Text(text) => {
                !text.is_empty()
                    && is_word(text)
                    && (matches!(to, To::Protocol) && !text.contains('/') && !is_application(text)
                        || !matches!(to, To::Protocol) && ip_of(text).is_none())
            }
            Value::Int(_) | Value::Uint(_) => {
                !matches!(to.field(), "source.domain" | "destination.domain" | "host.name" | "service.name" | "network.protocol")
            }
            _ => false,
        },
        Only::Text => text.is_some_and(|text| text.chars().any(char::is_alphabetic)),
        Only::Http => text.is_some_and(|text| text.starts_with("HTTP/")),
        Only::Letters => text.is_some_and(|text| text.len() <= 32 && text.bytes().any(|b| b.is_ascii_alphabetic())),
        Only::Domain => text.is_some_and(|text| text.contains('.') && is_word(text) && !text.contains(['/', '@', '\\'])),
        Only::Mail => text.is_some_and(|text| {
            text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !ip::is(host))
                && is_word(text)
                && !text.contains("://")
        }),
        Only::Verb => text.is_some_and(super::guess::is_method),
        Only::Method => {
            text.is_some_and(|text| (3..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_'))
        }
        Only::Separated => text.is_some_and(|text| text.contains(['/', '\\'])),
        Only::Code => match value {
            Value::Text(text) => text.len() <= 64 && !text.contains('@') && !is_uuid(text),
            Value::Int(_) | Value::Uint(_) => true,
            _ => false,
        },
        Only::Application => text.is_some_and(is_application),
        Only::Deed => text.is_some_and(|text| {
            text.len() <= 64
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-:".contains(&b))
                && text.split(['_', '.', '-', ':']).filter(|word| word.bytes().any(|b| b.is_ascii_alphabetic())).count() >= 2
        }),
        Only::Mac => text.is_some_and(super::guess::is_mac),
        Only::Undotted => text.is_some_and(|text| is_word(text) && !text.contains(['.', '/', ':']) && text.len() <= 64),
        Only::Two => text.is_some_and(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())),
        Only::Unique => text.is_some_and(|text| {
            text.len() >= 16
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_{}:".contains(&b))
                && text.bytes().any(|b| b.is_ascii_digit())
        }),
        Only::Target => text.is_some_and(super::guess::is_target),
        Only::Arguments => text.is_some_and(|text| text.contains('=') && is_word(text) && !text.contains(['(', '\'', ';'])),
        Only::Answer => text.is_some_and(|text| ANSWERS.iter().any(|answer| text.eq_ignore_ascii_case(answer))),
        Only::Request => text.is_some_and(super::guess::is_request),
        Only::Technique => text.is_some_and(|text| {
            text.strip_prefix('T').is_some_and(|rest| rest.len() >= 4 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        }),
    };
    good && match (to, value) {
        // How long something took bears a name like that of when it was.
        (To::Time, value) => {
            crate::decode::record::table::time(value, context).is_some_and(|time| time.unix_ns() >= YEAR_1990_NS)
        }
        (To::Case(..), _) => true,
        (To::Lower(_), Value::Text(text)) => is_word(text) || only == Only::Letters,
        (To::Url, Value::Text(text)) => is_word(text) && text.contains(['/', '.']),
        (To::RequestLine, Value::Text(_)) => true,
        (To::Account(_), Value::Text(text)) => !text.contains('\n') && ip_of(text).is_none(),
        (To::Hash(_), Value::Text(text)) => text.len() >= 32,
        (To::Path(_) | To::LastPart(_), Value::Text(text)) => !text.contains('\n'),
        (To::Host(_) | To::Address(..) | To::Without(..) | To::Rootless(_), Value::Text(_)) => true,
        (To::Mail(_), Value::Text(_)) => true,
        (To::Protocol | To::Number(_) | To::Duration(..), _) => true,
        (To::As(_), Value::Text(_) | Value::Int(_) | Value::Uint(_)) => true,
        _ => false,
    }
}

/// How name servers answer (RFC 1035, section 4.1.1; RFC 2136).
const ANSWERS: &[&str] =
    &["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"];

/// Whether the word names a protocol of applications.
fn is_application(word: &str) -> bool {
    const NAMES: &[&str] = &[
        "http", "https", "h2", "h2c", "h3", "ssh", "ftp", "ftps", "sftp", "telnet", "rdp", "vnc", "smb", "cifs", "nfs", "smtp",
        "smtps", "imap", "imaps", "pop3", "pop3s", "dns", "dhcp", "ntp", "snmp", "ldap", "ldaps", "kerberos", "tls", "ssl",
        "sip", "mqtt", "modbus", "mysql", "tds", "radius",
    ];
    word.len() <= 8 && NAMES.iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// Whether what stands as a user's id is his name: words that people choose, no number, code or key.
fn is_name(id: &str) -> bool {
    let bytes = id.as_bytes();
    (2..=20).contains(&bytes.len())
        && bytes[0].is_ascii_alphabetic()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && !bytes.starts_with(b"S-1-")
        && (bytes.iter().all(u8::is_ascii_alphabetic)
            || bytes.iter().any(u8::is_ascii_lowercase) && !bytes.iter().any(u8::is_ascii_uppercase))
        && !bytes.iter().all(u8::is_ascii_hexdigit)
}

/// Whether the text is a UUID: what one event alone has is no code.
fn is_uuid(text: &str) -> bool {
    let bare = text.trim_start_matches('{').trim_end_matches('}').as_bytes();
    bare.len() == 36 && [8, 13, 18, 23].iter().all(|at| bare[*at] == b'-')
}

/// The address, where the text is one: with a port behind it or without, in brackets or not.
fn ip_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Some(ip) = ip::parse(ip::bare(text)).or_else(|| ip::with_name(text).map(|(_, ip)| ip)) {
        return Some(ip);
    }
    let (host, port) = text.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then(|| ip::parse(ip::bare(host)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_spelling() {
        let field = |name: &str| find(name).first().map(|(rule, _)| USUAL[usize::from(*rule)].0.field());
        for (name, expected) in [
            ("SourceIpAddress", Some("source")),
            ("event.client-ip", Some("source")),
            ("properties.callerIpAddress", Some("source")),
            ("dst_port", Some("destination.port")),
            ("parent.commandLine", Some("process.parent.command_line")),
            ("old.commandLine", None),
            ("thing.version", None),
            ("thing.name", None),
            ("event.id", None),
            ("related.ip", None),
            ("verylongname.verylongname.verylongname.verylongname.x", None),
        ] {
            assert_eq!(field(name), expected, "{name}");
        }
    }

    #[test]
    fn makers_stand_before_names() {
        for (name, expected) in [
            ("InfobloxDNSQType", Some("DNSQType")),
            ("UNIFIclientIp", Some("clientIp")),
            ("CrowdStrikeParentProcessName", Some("ParentProcessName")),
            ("AdPreviousUserName", None),
            ("VendorType", None),
            ("src", None),
            ("名前UserName", None),
        ] {
            assert_eq!(without_maker(name), expected, "{name}");
        }
        for (name, expected) in [
            ("details.hit.ip", Some("ip")),
            ("scan.hit.method", Some("method")),
            ("thing.ip", Some("ip")),
            ("ip", None),
            ("host.ip", None),
            ("source.nat.ip", None),
            ("server.ip", None),
            ("related.ip", None),
            ("thing.name", None),
        ] {
            assert_eq!(below(name), expected, "{name}");
        }
        for (id, expected) in
            [("taro", true), ("t.yamada01", true), ("1001", false), ("S-1-5-18", false), ("deadbeef", false), ("U02AB3", false)]
        {
            assert_eq!(is_name(id), expected, "{id}");
        }
    }

    #[test]
    fn names_stand_for_few_fields() {
        for (name, places) in NAMES.iter() {
            assert!(places.len() <= 4 && name.len() <= NAME_BYTES_MAX, "{name}: {places:?}");
        }
    }
}
