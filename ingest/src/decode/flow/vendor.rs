//! Elements that vendors number themselves and that stand for one field. What else they send is kept under its number.

use super::REVERSE_PEN;
use super::element::Form;

/// ntop's enterprise (IANA, "Private Enterprise Numbers").
pub(super) const NTOP: u32 = 35_632;
/// What nProbe adds to its elements' numbers in NetFlow v9, which has no enterprises.
pub(super) const NTOP_V9: u16 = 57_472;

/// ntop, "nProbe": "Flow Information Elements"; in v9 each number stands [`NTOP_V9`] higher.
pub(super) const OF_NTOP: &[(u16, Form, &str)] = &[
    (101, Form::Text, "source.geo.country_iso_code"),
    (102, Form::Text, "source.geo.city_name"),
    (103, Form::Text, "destination.geo.country_iso_code"),
    (104, Form::Text, "destination.geo.city_name"),
    (113, Form::Number, "flow.inner.iana_number"),
    (114, Form::Address, "flow.inner.source.ip"),
    (115, Form::Number, "flow.inner.source.port"),
    (116, Form::Address, "flow.inner.destination.ip"),
    (117, Form::Number, "flow.inner.destination.port"),
    (119, Form::Text, "network.application"),
    (121, Form::Text, "user.name"),
    (122, Form::Text, "destination.domain"),
    (169, Form::Text, "process.name"),
    (180, Form::Text, "url.original"),
    (181, Form::Number, "http.response.status_code"),
    (182, Form::Text, "http.request.referrer"),
    (183, Form::Text, "user_agent.original"),
    (185, Form::Text, "email.from.address"),
    (186, Form::Text, "email.to.address"),
    (187, Form::Text, "url.domain"),
    (188, Form::Text, "tls.client.server_name"),
    (205, Form::Text, "dns.question.name"),
    (210, Form::Text, "user.name"),
    (242, Form::Text, "user.name"),
    (260, Form::Text, "user.name"),
    (356, Form::Text, "user.name"),
    (360, Form::Text, "http.request.method"),
    (361, Form::Text, "url.domain"),
    (428, Form::Text, "user.name"),
    (489, Form::Text, "tls.client.ja3"),
    (490, Form::Text, "tls.server.ja3s"),
    (491, Form::Text, "source.domain"),
    (492, Form::Text, "destination.domain"),
];

/// By which enterprises tell the reverse of an element of their own (RFC 5103 §6.2).
const REVERSE_BIT: u16 = 0x4000;

/// Enterprises (IANA, "Private Enterprise Numbers") and what they document.
pub(super) const ENTERPRISES: &[(u32, u16, Form, &str)] = &[
    // RFC 5103: the other direction; its times are in [`super::record::Span`].
    (REVERSE_PEN, 1, Form::Number, "destination.bytes"),
    (REVERSE_PEN, 2, Form::Number, "destination.packets"),
    (REVERSE_PEN, 6, Form::Number, "flow.reverse.tcp_flags"),
    (REVERSE_PEN, 58, Form::Number, "flow.reverse.vlan_id"),
    (REVERSE_PEN, 243, Form::Number, "flow.reverse.vlan_id"),
    (REVERSE_PEN, 136, Form::Number, "flow.reverse.end_reason"),
    (REVERSE_PEN, 85, Form::Number, "destination.bytes"),
    (REVERSE_PEN, 86, Form::Number, "destination.packets"),
    // Cisco, "Application Visibility and Control": who of the two began, told beside a flow of one direction.
    (9, 12_236, Form::Address, "client.ip"),
    (9, 12_237, Form::Address, "server.ip"),
    (9, 12_240, Form::Number, "client.port"),
    (9, 12_241, Form::Number, "server.port"),
    // Ixia.
    (3054, 111, Form::Text, "network.application"),
    (3054, 120, Form::Text, "source.geo.country_iso_code"),
    (3054, 121, Form::Text, "source.geo.country_name"),
    (3054, 123, Form::Text, "source.geo.region_name"),
    (3054, 125, Form::Text, "source.geo.city_name"),
    (3054, 140, Form::Text, "destination.geo.country_iso_code"),
    (3054, 141, Form::Text, "destination.geo.country_name"),
    (3054, 143, Form::Text, "destination.geo.region_name"),
    (3054, 145, Form::Text, "destination.geo.city_name"),
    (3054, 176, Form::Number, "destination.bytes"),
    (3054, 177, Form::Number, "destination.packets"),
    (3054, 182, Form::Text, "user_agent.original"),
    (3054, 183, Form::Text, "url.domain"),
    (3054, 184, Form::Text, "url.original"),
    (3054, 186, Form::Text, "source.as.organization.name"),
    (3054, 187, Form::Text, "destination.as.organization.name"),
    (3054, 189, Form::Text, "dns.question.name"),
    (3054, 201, Form::Text, "tls.client.server_name"),
    (3054, 212, Form::Text, "user.name"),
    (3054, 227, Form::Text, "http.request.referrer"),
    (3054, 232, Form::Text, "email.subject"),
    (3054, 233, Form::Text, "email.to.address"),
    (3054, 234, Form::Text, "email.from.address"),
    (3054, 273, Form::Text, "dns.question.name"),
    (3054, 279, Form::Text, "tls.client.ja3"),
    // Citrix NetScaler, AppFlow.
    (5951, 130, Form::Text, "url.original"),
    (5951, 140, Form::Text, "http.request.referrer"),
    (5951, 141, Form::Text, "http.request.method"),
    (5951, 142, Form::Text, "url.domain"),
    (5951, 143, Form::Text, "user_agent.original"),
    (5951, 144, Form::Number, "http.response.status_code"),
    (5951, 135, Form::Text, "message"),
    (5951, 145, Form::Number, "http.response.bytes"),
    (5951, 152, Form::Text, "network.application"),
    (5951, 175, Form::Text, "user.name"),
    (5951, 183, Form::Text, "http.response.mime_type"),
    (5951, 205, Form::Text, "user.name"),
    (5951, 250, Form::Text, "user.name"),
    (5951, 267, Form::Text, "url.domain"),
    // CERT, YAF; from 110 on, what its deep packet inspection puts into lists.
    (6871, 14, Form::Number, "flow.tcp_flags"),
    (6871, REVERSE_BIT | 14, Form::Number, "flow.reverse.tcp_flags"),
    (6871, 111, Form::Text, "user_agent.original"),
    (6871, 112, Form::Text, "url.original"),
    (6871, 115, Form::Text, "http.request.referrer"),
    (6871, 117, Form::Text, "url.domain"),
    (6871, 179, Form::Text, "dns.question.name"),
    (6871, 294, Form::Text, "tls.client.server_name"),
    // VMware, vSphere Distributed Switch: what its overlay carries.
    (6876, 880, Form::Number, "flow.inner.iana_number"),
    (6876, 881, Form::Address, "flow.inner.source.ip"),
    (6876, 882, Form::Address, "flow.inner.destination.ip"),
    (6876, 883, Form::Address, "flow.inner.source.ip"),
    (6876, 884, Form::Address, "flow.inner.destination.ip"),
    (6876, 886, Form::Number, "flow.inner.source.port"),
    (6876, 887, Form::Number, "flow.inner.destination.port"),
    // Barracuda NG Firewall: its rule, why it decided so, and the addresses behind translation.
    (10_704, 4, Form::Text, "rule.name"),
    (10_704, 7, Form::Text, "event.reason"),
    (10_704, 8, Form::Address, "source.nat.ip"),
    (10_704, 9, Form::Number, "source.nat.port"),
    (10_704, 10, Form::Address, "destination.nat.ip"),
    (10_704, 11, Form::Number, "destination.nat.port"),
    // Gigamon.
    (26_866, 1, Form::Text, "url.original"),
    (26_866, 2, Form::Number, "http.response.status_code"),
    (26_866, 103, Form::Text, "tls.server.issuer"),
    (26_866, 104, Form::Text, "tls.server.subject"),
    (26_866, 112, Form::Text, "tls.client.server_name"),
    (26_866, 204, Form::Text, "dns.question.name"),
];
