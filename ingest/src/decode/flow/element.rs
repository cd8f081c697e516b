//! Information elements that stand for one field: IANA's ("IP Flow Information Export (IPFIX) Entities"; those below 128 are NetFlow v9's types
//! too) and vendors' own. What is told in several elements, such as times and ICMP, is in [`super::record`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex};

use event::{FieldId, RowBuilder, Value};

use super::iana::name_of;
use super::record::Span;
use super::sampling::is_part;
use super::sflow::{FRAME_SECTION, PACKET_SECTION};
use super::vendor::{ENTERPRISES, NTOP, NTOP_V9, OF_NTOP};
use super::{Field, REVERSE_PEN, VARIABLE};

/// How an element's bytes are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One to eight bytes.
    Number,
    /// Four or sixteen.
    Address,
    /// Six.
    Mac,
    /// UTF-8; devices fill it up with zeros or blanks.
    Text,
    /// IEEE 754, four or eight.
    Float,
    /// Text where they look like one, else their digits.
    Octets,
}

/// IANA's elements; from 32,768 on, which none of them has, what vendors number for themselves in v9: Cisco ASA (NSEL) and Palo Alto.
const IANA: &[(u16, Form, &str)] = &[
    (1, Form::Number, "network.bytes"),
    (2, Form::Number, "network.packets"),
    (3, Form::Number, "flow.count"),
    (5, Form::Number, "flow.tos"),
    (6, Form::Number, "flow.tcp_flags"),
    (7, Form::Number, "source.port"),
    (8, Form::Address, "source.ip"),
    (10, Form::Number, "observer.ingress.interface.id"),
    (11, Form::Number, "destination.port"),
    (12, Form::Address, "destination.ip"),
    (14, Form::Number, "observer.egress.interface.id"),
    (15, Form::Address, "flow.next_hop_ip"),
    (16, Form::Number, "source.as.number"),
    (17, Form::Number, "destination.as.number"),
    (23, Form::Number, "destination.bytes"),
    (24, Form::Number, "destination.packets"),
    (27, Form::Address, "source.ip"),
    (28, Form::Address, "destination.ip"),
    (56, Form::Mac, "source.mac"),
    (57, Form::Mac, "destination.mac"),
    (58, Form::Number, "network.vlan.id"),
    (62, Form::Address, "flow.next_hop_ip"),
    (80, Form::Mac, "destination.mac"),
    (81, Form::Mac, "source.mac"),
    (82, Form::Text, "observer.ingress.interface.name"),
    (96, Form::Text, "network.application"),
    (136, Form::Number, "flow.end_reason"),
    (147, Form::Text, "network.name"),
    (148, Form::Number, "flow.id"),
    (176, Form::Number, "icmp.type"),
    (177, Form::Number, "icmp.code"),
    (178, Form::Number, "icmp.type"),
    (179, Form::Number, "icmp.code"),
    (180, Form::Number, "source.port"),
    (181, Form::Number, "destination.port"),
    (182, Form::Number, "source.port"),
    (183, Form::Number, "destination.port"),
    (225, Form::Address, "source.nat.ip"),
    (226, Form::Address, "destination.nat.ip"),
    (227, Form::Number, "source.nat.port"),
    (228, Form::Number, "destination.nat.port"),
    (231, Form::Number, "source.bytes"),
    (232, Form::Number, "destination.bytes"),
    (234, Form::Number, "flow.ingress_vrf_id"),
    (235, Form::Number, "flow.egress_vrf_id"),
    (236, Form::Text, "flow.vrf"),
    (243, Form::Number, "network.vlan.id"),
    (252, Form::Number, "observer.ingress.interface.id"),
    (253, Form::Number, "observer.egress.interface.id"),
    (281, Form::Address, "source.nat.ip"),
    (282, Form::Address, "destination.nat.ip"),
    (284, Form::Text, "flow.nat_pool"),
    (298, Form::Number, "source.packets"),
    (299, Form::Number, "destination.packets"),
    (300, Form::Text, "observer.name"),
    (361, Form::Number, "flow.nat_port_first"),
    (362, Form::Number, "flow.nat_port_last"),
    (365, Form::Mac, "source.mac"),
    (371, Form::Text, "user.name"),
    (457, Form::Number, "http.response.status_code"),
    (459, Form::Text, "http.request.method"),
    (460, Form::Text, "url.domain"),
    (461, Form::Text, "url.original"),
    (468, Form::Text, "user_agent.original"),
    // Cisco, "NetFlow Implementation Guide": ASA's numbers before 8.4, its access lists and its user.
    (33_002, Form::Number, "event.code"),
    (40_000, Form::Text, "user.name"),
    (40_001, Form::Address, "source.nat.ip"),
    (40_002, Form::Address, "destination.nat.ip"),
    (40_003, Form::Number, "source.nat.port"),
    (40_004, Form::Number, "destination.nat.port"),
    // Palo Alto, "NetFlow Templates": App-ID and User-ID.
    (56_701, Form::Text, "network.application"),
    (56_702, Form::Text, "source.user.name"),
];

/// What only flows have that tell of both directions.
pub(super) struct Biflow {
    /// That they do.
    pub(super) is: FieldId,
    pub(super) start: FieldId,
    pub(super) end: FieldId,
}

pub(super) static BIFLOW: LazyLock<Biflow> = LazyLock::new(|| Biflow {
    is: FieldId::known("flow.biflow"),
    start: FieldId::known("flow.reverse.start"),
    end: FieldId::known("flow.reverse.end"),
});

/// Whether an element counts the other direction: then what counts without a direction is of this one.
pub(super) fn counts_reverse(field: &Field) -> bool {
    field.enterprise == REVERSE_PEN && matches!(field.element, 1 | 2 | 85 | 86)
}

/// Names of elements outside the registry that are kept; who invents more is not listened to.
const NATIVE_MAX: usize = 2048;

static NATIVE: LazyLock<Mutex<HashMap<(u32, u16), FieldId>>> = LazyLock::new(Mutex::default);

/// The field in which an element of `length` bytes is kept that stands for none of ours, and how it is read: `netflow.` and its name in IANA's
/// registry, with `reverse_` before it if of the other direction (RFC 5103); of one that nobody here knows `netflow.e<enterprise>.id<element>`.
pub(super) fn native(enterprise: u32, element: u16, length: u16) -> Option<(FieldId, Form)> {
    if enterprise == 0 && matches!(element, 0 | PADDING) || is_told(enterprise, element) {
        return None;
    }
    let known = if matches!(enterprise, 0 | REVERSE_PEN) { name_of(element) } else { None };
    let fits = length == VARIABLE || length <= 8;
    let form = match known {
        Some((Form::Number, _)) if !fits => Form::Octets,
        Some((form, _)) => form,
        // A length that varies is a text's.
        None if fits && length != VARIABLE => Form::Number,
        None => Form::Octets,
    };
    let mut names = NATIVE.lock().expect("no code panics under this lock");
    if let Some(field) = names.get(&(enterprise, element)) {
        return Some((*field, form));
    }
    let name = match known {
        Some((_, name)) if enterprise == 0 => format!("netflow.{name}"),
        Some((_, name)) => format!("netflow.reverse_{name}"),
        None if names.len() >= NATIVE_MAX => return None,
        None => format!("netflow.e{enterprise}.id{element}"),
    };
    let field = FieldId::intern(&name)?;
    names.insert((enterprise, element), field);
    Some((field, form))
}

/// paddingOctets.
const PADDING: u16 = 210;

/// Whether something of ours tells an element: a field that it stands for, or one that several make.
fn is_told(enterprise: u32, element: u16) -> bool {
    let of_several = match enterprise {
        0 => {
            matches!(element, 4 | 32 | 34 | 50 | 61 | 85 | 86 | 89 | 139 | 230 | 233 | 291..=293 | 352 | 40_005)
                || matches!(element, PACKET_SECTION | FRAME_SECTION)
                || is_part(element)
                || Span::<()>::is_of(element)
        }
        REVERSE_PEN => Span::<()>::is_of(element),
        _ => false,
    };
    of_several || meaning(enterprise, element).is_some()
}

struct Elements {
    /// By number, of no enterprise below 512.
    low: Vec<Option<(FieldId, Form)>>,
    other: HashMap<(u32, u16), (FieldId, Form)>,
}

static ELEMENTS: LazyLock<Elements> = LazyLock::new(|| {
    let mut elements = Elements { low: vec![None; 512], other: HashMap::new() };
    for (element, form, name) in IANA {
        let meaning = (FieldId::known(name), *form);
        match elements.low.get_mut(usize::from(*element)) {
            Some(place) => *place = Some(meaning),
            None => drop(elements.other.insert((0, *element), meaning)),
        }
    }
    for (element, form, name) in OF_NTOP {
        let meaning = (FieldId::known(name), *form);
        elements.other.extend([((NTOP, *element), meaning), ((0, NTOP_V9 + element), meaning)]);
    }
    let of = |(enterprise, element, form, name): &(u32, u16, Form, &'static str)| {
        ((*enterprise, *element), (FieldId::known(name), *form))
    };
    elements.other.extend(ENTERPRISES.iter().map(of));
    elements
});

/// The field that an element stands for, and how it is read.
pub(super) fn meaning(enterprise: u32, element: u16) -> Option<(FieldId, Form)> {
    match ELEMENTS.low.get(usize::from(element)) {
        Some(meaning) if enterprise == 0 => *meaning,
        _ => ELEMENTS.other.get(&(enterprise, element)).copied(),
    }
}

/// The field of an end's other address. Templates for both families have elements of both, and fill with zeros those of the one that a flow is
/// not of: where the first, which stands for the end, is of zeros, the other tells who it was.
pub(super) fn other_address(field: FieldId) -> Option<FieldId> {
    match field {
        FieldId::SOURCE_IP => Some(FieldId::CLIENT_IP),
        FieldId::DESTINATION_IP => Some(FieldId::SERVER_IP),
        _ => None,
    }
}

/// `network.type` by an address.
pub(super) fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// Writes an element's value where it is of its form and no element before it meant the same field.
pub(super) fn add(row: &mut RowBuilder<'_>, field: FieldId, form: Form, v: &[u8]) {
    if let Some(before) = row.get(field) {
        if let (Some(other), Value::Ip(before)) = (other_address(field), before)
            && before.is_unspecified()
            && let Some(ip) = super::address(v).filter(|ip| !ip.is_unspecified())
            && !row.has(other)
        {
            row.ip(other, ip);
        }
        return;
    }
    match form {
        Form::Number => {
            if let Some(number) = super::unsigned(v) {
                row.uint(field, number);
            }
        }
        Form::Address => {
            if let Some(ip) = super::address(v) {
                row.ip(field, ip);
            }
        }
        Form::Mac => super::add_mac(row, field, v),
        Form::Text => add_text(row, field, v),
        Form::Float => {
            if let Some(number) = float(v) {
                row.float(field, number);
            }
        }
        Form::Octets => add_octets(row, field, v),
    }
}

/// A number with a fraction, where it is one.
pub(super) fn float(v: &[u8]) -> Option<f64> {
    let number = match v.len() {
        4 => f32::from_be_bytes(v.try_into().ok()?).into(),
        _ => f64::from_be_bytes(v.try_into().ok()?),
    };
    Some(number).filter(|number: &f64| number.is_finite())
}

/// Bytes of a value that is shown in hexadecimal digits.
const OCTETS_MAX: usize = 64;

/// Writes the value of an element of which nothing is known: as text where it looks like one, else its first
/// bytes in digits.
pub(super) fn add_octets(row: &mut RowBuilder<'_>, field: FieldId, v: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let end = v.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    match std::str::from_utf8(&v[..end]) {
        Ok("") => {}
        Ok(text) if !text.chars().any(char::is_control) => row.text(field, text),
        _ => {
            let mut digits = [0; 2 * OCTETS_MAX];
            let shown = &v[..v.len().min(OCTETS_MAX)];
            for (pair, byte) in digits.chunks_exact_mut(2).zip(shown) {
                (pair[0], pair[1]) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            }
            row.text(field, std::str::from_utf8(&digits[..2 * shown.len()]).expect("digits"));
        }
    }
}

/// Text up to the zeros that fill it, where it is any.
pub(super) fn add_text(row: &mut RowBuilder<'_>, field: FieldId, v: &[u8]) {
    let end = memchr::memchr(0, v).unwrap_or(v.len());
    let text = String::from_utf8_lossy(&v[..end]);
    let text = text.trim();
    if !text.is_empty() {
        row.text(field, text);
    }
}
