//! What stands between braces: where a value goes, how far it reaches, and what it is turned into.
//!
//! `{FIELD+FIELD:TYPE WORD WORD}`; the same words, without braces, say where a key's value goes.

use event::FieldId;

use crate::decode::pairs::Style;
use crate::decode::{ip, stamp};

/// One place that a value goes to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) field: FieldId,
    /// The name as the description writes it, by which `values` finds it.
    pub(super) name: Box<str>,
    pub(super) convert: Convert,
    /// Which table of `values` is asked first.
    pub(super) values: Option<u16>,
    /// Only where the field holds nothing yet.
    pub(super) if_absent: bool,
    /// In place of what the syslog header said: the record itself knows better.
    pub(super) replaces: bool,
}

impl Target {
    pub(super) fn new(field: FieldId, name: &str, convert: Convert, if_absent: bool) -> Target {
        let replaces = is_header(field) && !if_absent && !matches!(convert, Convert::Nothing | Convert::Parts(_));
        Target { field, name: name.into(), convert, values: None, if_absent, replaces }
    }
}

/// What the syslog header writes.
fn is_header(field: FieldId) -> bool {
    matches!(
        field,
        FieldId::PROCESS_NAME | FieldId::PROCESS_PID | FieldId::HOST_NAME | FieldId::SYSLOG_HOSTNAME | FieldId::SYSLOG_MSGID
    )
}

/// How far a capture reaches.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Extent {
    /// One of these texts, the longest that stands there.
    OneOf(Box<[Box<str>]>),
    /// To the first place where what follows stands.
    Text,
    /// The same, without blanks and not empty.
    Word,
    /// To the last place where what follows stands.
    Last,
    /// Digits, with a sign before them.
    Int,
    /// Digits with a fraction.
    Number,
    /// Hexadecimal digits, `0x` before them or not.
    Hex,
    /// An address.
    Ip,
    /// A hardware address.
    Mac,
    /// A timestamp.
    Time(TimeForm),
    /// Text in double quotes, in which a backslash escapes.
    Quoted,
}

/// Which timestamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TimeForm {
    /// Any that tells itself.
    Any,
    /// Since 1970: seconds, with a fraction or not, milliseconds, microseconds or nanoseconds by the number of digits.
    Epoch,
    /// Numbers with the month first.
    MonthFirst,
    /// Numbers with the day first.
    DayFirst,
    /// The date alone; the time of day comes elsewhere.
    Date,
    /// The time of day alone.
    Clock,
    /// The offset alone.
    Zone,
}

/// What a value is turned into.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Convert {
    /// Only what `values` say of it.
    Nothing,
    Text,
    Lower,
    Upper,
    /// As it is, and what the text says plainly of who and from where.
    Says,
    /// Without the backslashes that escape.
    Plain,
    /// A domain name, without the dot at its end; counted labels joined by dots.
    Domain,
    /// Text that the Linux audit daemon writes in hexadecimal where it holds what is not printable, or blanks.
    Audit,
    /// A mail address, in angle brackets or not; nothing else.
    Email,
    Int,
    Hex,
    Float,
    Bool,
    Ip,
    /// An address, or else a name, which goes to the second field.
    Address(FieldId),
    /// An address or a name, and a port.
    Endpoint(FieldId, FieldId),
    /// `DOMAIN\name`: the domain goes to the second field.
    Account(FieldId),
    /// The event's own time, or another instant.
    EventTime(TimeForm),
    Time(TimeForm),
    /// A time span in units of so many nanoseconds.
    Span(u64),
    /// A URL, whole and in parts; the whole also goes to the field.
    Url,
    /// A protocol's number or name: `network.transport`, `network.iana_number`.
    Protocol,
    /// Several values with this between them.
    List(char),
    /// By the templates of this number in `parts`.
    Parts(u16),
    Pairs(Style),
    Cef,
    Csv(char),
    Json,
}

impl Convert {
    /// Whether it is many fields that name themselves.
    pub(super) fn is_body(&self) -> bool {
        matches!(self, Convert::Json | Convert::Pairs(_) | Convert::Cef | Convert::Csv(_))
    }
}

/// Reads `SPEC & SPEC`: several things that become of one value, which reaches as far as the first of them says.
pub(super) fn parse(spec: &str, native: &str, parts: &impl Fn(&str) -> Option<u16>) -> Result<(Vec<Target>, Extent), String> {
    let mut specs = spec.split(" & ");
    let (mut targets, extent) = parse_one(specs.next().unwrap_or(""), native, parts)?;
    for more in specs {
        targets.extend(parse_one(more, native, parts)?.0);
    }
    Ok((targets, extent))
}

/// Reads `FIELD+FIELD:TYPE WORD ...`. `native` stands before fields that begin with a dot; `parts` numbers the named templates.
fn parse_one(spec: &str, native: &str, parts: &impl Fn(&str) -> Option<u16>) -> Result<(Vec<Target>, Extent), String> {
    let (fields, rest) = spec.split_once(':').unwrap_or((spec, "text"));
    let (fields, rest) = if spec.starts_with('=') { ("", spec) } else { (fields, rest) };
    let (fields, one_of) = fields.split_once('=').map_or((fields, None), |(fields, texts)| (fields, Some(texts)));
    let mut words = rest.split(' ').filter(|w| !w.is_empty());
    let kind = words.next().unwrap_or("text");
    let words: Vec<&str> = words.collect();
    let option = |name: &str| words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
    let separator = |default: char| {
        option("separator").map_or(Ok(default), |text| match text {
            "tab" => Ok('\t'),
            "blank" => Ok(' '),
            _ => text.chars().next().filter(|c| c.len_utf8() == text.len()).ok_or(format!("{text:?} is not one character")),
        })
    };
    let mut extent = Extent::Text;
    let form = |default| {
        Ok(match words.first().copied() {
            None => default,
            Some("month-first") => TimeForm::MonthFirst,
            Some("day-first") => TimeForm::DayFirst,
            Some(other) => return Err(format!("no form of time is named {other:?}")),
        })
    };
    let mut time = None;
    let convert = if let Some(name) = kind.strip_prefix('=') {
        Convert::Parts(parts(name).ok_or(format!("no parts are named {name:?}"))?)
    } else {
        let own;
        (own, extent) = match kind {
            "text" => (Convert::Text, Extent::Text),
            "says" => (Convert::Says, Extent::Text),
            "word" => (Convert::Text, Extent::Word),
            "last" => (Convert::Text, Extent::Last),
            "quoted" => (Convert::Plain, Extent::Quoted),
            "int" => (Convert::Int, Extent::Int),
            "hex" => (Convert::Hex, Extent::Hex),
            "number" => (Convert::Float, Extent::Number),
            "domain" => (Convert::Domain, Extent::Word),
            "audit" => (Convert::Audit, Extent::Word),
            "email" => (Convert::Email, Extent::Text),
            "bool" => (Convert::Bool, Extent::Word),
            "ip" => (Convert::Ip, Extent::Ip),
            "mac" => (Convert::Text, Extent::Mac),
            "address" => (Convert::Address(FieldId::SOURCE_DOMAIN), Extent::Word),
            "endpoint" => (Convert::Endpoint(FieldId::SOURCE_DOMAIN, FieldId::SOURCE_PORT), Extent::Word),
            "account" => (Convert::Account(FieldId::USER_DOMAIN), Extent::Text),
            "url" => (Convert::Url, Extent::Word),
            "protocol" => (Convert::Protocol, Extent::Word),
            "seconds" => (Convert::Span(1_000_000_000), Extent::Number),
            "milliseconds" => (Convert::Span(1_000_000), Extent::Number),
            "microseconds" => (Convert::Span(1000), Extent::Number),
            "nanoseconds" => (Convert::Span(1), Extent::Number),
            "list" => (Convert::List(separator(',')?), Extent::Text),
            "pairs" => (Convert::Pairs(style(&words, option("separator").map(|_| separator(' ')).transpose()?)?), Extent::Text),
            "cef" => (Convert::Cef, Extent::Text),
            "csv" => (Convert::Csv(separator(',')?), Extent::Text),
            "json" => (Convert::Json, Extent::Text),
            "time" | "epoch" | "date" | "clock" | "zone" => {
                let form = match kind {
                    "time" => form(TimeForm::Any)?,
                    "epoch" => TimeForm::Epoch,
                    "date" => form(TimeForm::Date)?,
                    "clock" => TimeForm::Clock,
                    _ => TimeForm::Zone,
                };
                let form = if kind == "date" { TimeForm::Date } else { form };
                time = Some(form);
                (Convert::Time(form), if kind == "zone" { Extent::Word } else { Extent::Time(form) })
            }
            _ => return Err(format!("no type is named {kind:?}")),
        };
        own
    };
    let mut convert = convert;
    if let Some(texts) = one_of {
        let mut texts: Vec<Box<str>> = texts.split('|').map(Box::from).collect();
        if texts.iter().any(|text| text.is_empty()) {
            return Err(format!("{spec:?} has an empty choice"));
        }
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        extent = Extent::OneOf(texts.into());
    }
    for word in &words {
        match *word {
            "lower" => convert = Convert::Lower,
            "upper" => convert = Convert::Upper,
            "text" => convert = Convert::Text, // `{.x:int text}`: digits that are no number, such as an identifier.
            "word" => extent = Extent::Word,
            "last" => extent = Extent::Last,
            "month-first" | "day-first" if time.is_some() => {}
            _ if matches!(convert, Convert::Pairs(_)) || word.starts_with("separator=") => {}
            other => return Err(format!("{kind} knows no word {other:?}")),
        }
    }
    let intern = |name: &str| {
        let name = name.strip_prefix('.').map_or_else(|| name.to_owned(), |key| format!("{native}{key}"));
        FieldId::intern(&name).ok_or_else(|| format!("no room for the field {name:?}"))
    };
    let mut targets = Vec::new();
    for name in fields.split('+').filter(|name| !matches!(*name, "" | "_")) {
        let (name, if_absent) = name.strip_prefix('?').map_or((name, false), |name| (name, true));
        let target = |field, convert| Target::new(field, name, convert, if_absent);
        targets.push(match &convert {
            Convert::Address(_) => target(intern(&format!("{name}.ip"))?, Convert::Address(intern(&format!("{name}.domain"))?)),
            Convert::Endpoint(..) => {
                let (domain, port) = (intern(&format!("{name}.domain"))?, intern(&format!("{name}.port"))?);
                target(intern(&format!("{name}.ip"))?, Convert::Endpoint(domain, port))
            }
            Convert::Account(_) => target(intern(&format!("{name}.name"))?, Convert::Account(intern(&format!("{name}.domain"))?)),
            Convert::Time(form) if name == "@timestamp" => target(FieldId::EVENT_CREATED, Convert::EventTime(*form)),
            Convert::Pairs(_) | Convert::Cef | Convert::Csv(_) | Convert::Json => target(FieldId::MESSAGE, convert.clone()),
            _ if name == "@timestamp" => return Err("@timestamp needs a type of time".to_owned()),
            _ => target(intern(name)?, convert.clone()),
        });
    }
    // `{_:=NAME}` writes nothing of its own, but its parts do.
    if targets.is_empty() && matches!(convert, Convert::Parts(_) | Convert::Protocol | Convert::Url) {
        targets.push(Target::new(FieldId::MESSAGE, "_", convert, false));
    }
    Ok((targets, extent))
}

/// `pairs separator=; equals=: spaced`
fn style(words: &[&str], separator: Option<char>) -> Result<Style, String> {
    let mut style = Style { separator, ..Style::default() };
    for word in words {
        match word.split_once('=') {
            Some(("separator", _)) => {}
            Some(("equals", equals)) => {
                style.equals = equals.chars().next().filter(char::is_ascii).ok_or("equals needs one character")?;
            }
            None if *word == "spaced" => style.spaced = true,
            None if matches!(*word, "last" | "word") => {} // How far, not how.
            _ => return Err(format!("pairs knows no word {word:?}")),
        }
    }
    Ok(style)
}

impl Extent {
    /// Whether what follows must be known to tell where it ends.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Extent::Text | Extent::Last)
    }

    /// Adds the bytes it may begin with; true where that may be any.
    pub(super) fn first_bytes(&self, set: &mut [bool; 256]) -> bool {
        let bytes: &[u8] = match self {
            Extent::OneOf(texts) => {
                for text in texts {
                    set[usize::from(text.as_bytes()[0])] = true;
                }
                return false;
            }
            Extent::Text | Extent::Word | Extent::Last => return true,
            Extent::Int => b"-+0123456789",
            Extent::Number => b"-+.0123456789",
            Extent::Hex => b"0123456789abcdefABCDEF",
            Extent::Ip | Extent::Mac => b"0123456789abcdefABCDEF:[",
            Extent::Time(TimeForm::Any) => b"0123456789JFMASONDTWjfmasondtw",
            Extent::Time(_) => b"0123456789JFMASONDjfmasond",
            Extent::Quoted => b"\"",
        };
        for byte in bytes {
            set[usize::from(*byte)] = true;
        }
        false
    }

    /// How many bytes of `text` it takes, where it tells that itself.
    pub(super) fn length(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        match self {
            Extent::Text | Extent::Word | Extent::Last => None,
            Extent::OneOf(texts) => texts.iter().find(|one| text.starts_with(&***one)).map(|one| one.len()),
            Extent::Int | Extent::Number => {
                let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
                let mut length = sign + digits(sign);
                if *self == Extent::Number && bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
                    length += 1 + digits(length + 1);
                }
                (length > sign).then_some(length)
            }
            Extent::Hex => {
                let prefix = if text.starts_with("0x") || text.starts_with("0X") { 2 } else { 0 };
                let length = prefix + bytes[prefix..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
                (length > prefix).then_some(length)
            }
            Extent::Ip => ip_length(text),
            Extent::Mac => {
                let length = bytes.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-' | b'.')).count();
                let length = text[..length].trim_end_matches([':', '-', '.']).len();
                // Addresses of the network are such digits and marks too.
                let is_enough = bytes[..length].iter().filter(|b| b.is_ascii_hexdigit()).count() >= 8;
                (is_enough && !ip::is(&text[..length])).then_some(length)
            }
            Extent::Time(form) => {
                let rest = match form {
                    TimeForm::Any => stamp::any(text)?.1,
                    TimeForm::Epoch => &text[Extent::Number.length(text)?..],
                    TimeForm::MonthFirst => stamp::numeric(text, true)?.1,
                    TimeForm::DayFirst => stamp::numeric(text, false)?.1,
                    TimeForm::Date => &text[text.find([' ', ',', ';', '|', '\t', 'T']).unwrap_or(text.len())..],
                    TimeForm::Clock => {
                        &text[bytes.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')).count()..]
                    }
                    TimeForm::Zone => return None,
                };
                let length = text.len() - rest.len();
                (length > 0).then_some(length)
            }
            Extent::Quoted => {
                let mut at = 1;
                if bytes.first() != Some(&b'"') {
                    return None;
                }
                loop {
                    at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    if bytes[at] == b'"' {
                        return Some(at + 1);
                    }
                    at += 2;
                }
            }
        }
    }
}

/// The longest address that `text` begins with, in brackets or not.
fn ip_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let open = usize::from(bytes.first() == Some(&b'['));
    let run = bytes[open..].iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let mut end = open + run;
    // `10.0.0.1:` and `10.0.0.1.` end in what is not theirs; so may `10.0.0.1:80`.
    loop {
        let inner = text[open..end].trim_end_matches('.');
        if ip::is(inner) {
            end = open + inner.len();
            break;
        }
        let cut = inner.rfind([':', '.'])?;
        if cut == 0 {
            return None;
        }
        end = open + cut;
    }
    let mut length = end;
    if bytes.get(length) == Some(&b'%') && text[open..end].contains(':') {
        length +=
            1 + bytes[length + 1..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    }
    if open == 1 {
        return (bytes.get(length) == Some(&b']')).then_some(length + 1);
    }
    Some(length)
}
