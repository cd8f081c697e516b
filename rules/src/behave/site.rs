//! What the site knows of itself: which addresses are inside, what is expected, which indicators it was given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;

use super::idn;
use super::indicator::Indicators;
use super::observe::{Observation, transport_number};
use super::ports::port_bit;
use crate::fault::Fault;
use crate::policy::Policy;
use crate::sigma::placeholder::{Placeholders, listed as values_of};
use crate::yaml::Node;

/// What is inside where neither the site nor a policy says: private addresses (RFC 1918, RFC 4193) and shared ones (RFC 6598).
static PRIVATE: LazyLock<Networks> =
    LazyLock::new(|| written(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]));
/// What is inside unless the site says otherwise, whatever its zones are: no router carries them (RFC 3927, RFC 4291; loopback).
static LINK: LazyLock<Networks> = LazyLock::new(|| written(&["169.254.0.0/16", "127.0.0.0/8", "fe80::/10"]));

fn written(prefixes: &[&str]) -> Networks {
    Networks::read(prefixes.iter().copied()).expect("they are written above")
}

/// What the site knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The networks that it says are inside.
    inside: Option<Networks>,
    safelist: Safelist,
    indicators: Arc<Indicators>,
    policy: Option<Arc<Policy>>,
}

impl Site {
    /// A site whose own networks are `inside`, that expects what `safelist` says, a mapping as in rules. Without any networks its own are the
    /// zones of its policy that name their addresses, and without a policy the private ones.
    ///
    /// # Errors
    /// What is wrong with the texts.
    pub fn new(inside: &[String], safelist: Option<&Node>) -> Result<Site, String> {
        let networks = Networks::read(inside.iter().map(String::as_str))?;
        let inside = (!inside.is_empty()).then_some(networks);
        let read = |node| Safelist::read(node, &Placeholders::new()).map_err(|fault| fault.reason);
        let safelist = safelist.map_or_else(|| Ok(Safelist::default()), read)?;
        Ok(Site { inside, safelist, indicators: Arc::default(), policy: None })
    }

    /// The same with indicators.
    pub fn with_indicators(mut self, indicators: Indicators) -> Site {
        self.indicators = Arc::new(indicators);
        self
    }

    /// The same with a zone policy.
    pub fn with_policy(mut self, policy: Option<Arc<Policy>>) -> Site {
        self.policy = policy;
        self
    }

    /// The zone policy.
    pub(super) fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// The indicators.
    pub(super) fn indicators(&self) -> &Indicators {
        &self.indicators
    }

    /// Whether an address is one of ours.
    pub(super) fn is_inside(&self, address: u128) -> bool {
        match (&self.inside, &self.policy) {
            (Some(inside), _) => inside.contain(address),
            (None, Some(policy)) => policy.names(self::address(address)) || LINK.contain(address),
            (None, None) => PRIVATE.contain(address) || LINK.contain(address),
        }
    }

    /// Whether the site expects this of every behaviour.
    pub(super) fn expects(&self, o: &Observation, name: &str) -> bool {
        self.safelist.covers(o, name)
    }

    /// Whether the site expects whatever goes to a name.
    pub(super) fn expects_name(&self, name: &str) -> bool {
        self.safelist.covers_name(name)
    }
}

/// An address as 128 bits; IPv4 as mapped (RFC 4291 §2.5.5.2).
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address again.
#[inline]
pub(super) fn address(bits: u128) -> IpAddr {
    if bits >> 32 == 0xffff { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
}

/// Addresses as an alert names them.
pub(super) fn listed(all: &[u128]) -> String {
    all.iter().map(|bits| address(*bits).to_string()).collect::<Vec<_>>().join(" ")
}

/// The network of an address: its first `v4` bits, of IPv6 its first `v6`.
pub(super) fn network(address: u128, v4: u32, v6: u32) -> u128 {
    let bits = if address >> 32 == 0xffff { 96 + v4 } else { v6 };
    address & (u128::MAX << (128 - bits))
}

/// Whether it is no single host: multicast, broadcast of all, unspecified.
pub(super) fn is_many(address: u128) -> bool {
    let v4 = address as u32;
    match address >> 32 {
        0xffff => v4 >> 28 == 0xe || v4 == u32::MAX || v4 == 0,
        _ => address >> 120 == 0xff || address == 0,
    }
}

/// Prefixes, as base and mask.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks(Vec<(u128, u128)>);

impl Networks {
    pub(super) fn read<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Networks, String> {
        let mut all = Vec::new();
        for text in texts {
            let single = text.parse::<IpAddr>().ok().map(IpNet::from);
            let net = single.or_else(|| text.parse::<IpNet>().ok()).ok_or_else(|| format!("{text:?} is no address or prefix"))?;
            let (base, length) = match net.network() {
                IpAddr::V4(_) => (bits(net.network()), u32::from(net.prefix_len()) + 96),
                IpAddr::V6(_) => (bits(net.network()), u32::from(net.prefix_len())),
            };
            all.push((base, if length == 0 { 0 } else { u128::MAX << (128 - length) }));
        }
        Ok(Networks(all))
    }

    pub(super) fn contain(&self, address: u128) -> bool {
        self.0.iter().any(|(base, mask)| address & mask == *base)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is expected and gives no alert.
#[derive(Clone, Debug, Default)]
pub(super) struct Safelist {
    sources: Networks,
    destinations: Networks,
    /// As DNS carries them, without a leading dot.
    domains: Vec<String>,
    /// Protocol number, lowest and highest port.
    ports: Vec<(u8, u16, u16)>,
    /// A bit for each of them, by [`port_bit`]: most ports are not among them.
    port_bits: u64,
}

impl Safelist {
    /// Reads `{sources: [cidr], destinations: [cidr], domains: [name], ports: [udp/123, tcp/8000-8010]}`; `%name%` in a list stands for the
    /// values of that placeholder.
    pub(super) fn read(node: &Node, placeholders: &Placeholders) -> Result<Safelist, Fault> {
        let Node::Map(entries) = node else { return Err("a safelist is a mapping".into()) };
        let mut safelist = Safelist::default();
        for (key, value) in entries {
            let texts: Option<Vec<String>> = value.elements().iter().map(Node::scalar).collect();
            let texts = values_of(texts.ok_or_else(|| format!("{key}: expects a list of values"))?, placeholders)?;
            match key.as_str() {
                "sources" => safelist.sources = Networks::read(texts.iter().map(String::as_str))?,
                "destinations" => safelist.destinations = Networks::read(texts.iter().map(String::as_str))?,
                "domains" => {
                    let name =
                        |text: &String| name_of_host(text).ok_or_else(|| format!("{text:?} is no name such as example.com"));
                    safelist.domains = texts.iter().map(name).collect::<Result<_, _>>()?;
                    safelist.domains.sort_unstable();
                }
                "ports" => {
                    safelist.ports = texts.iter().map(|t| ports(t)).collect::<Result<_, _>>()?;
                    let each = safelist.ports.iter().flat_map(|(_, low, high)| *low..=*high);
                    safelist.port_bits = each.fold(0, |bits, port| bits | port_bit(port));
                }
                _ => return Err(format!("a safelist knows no {key:?}").into()),
            }
        }
        Ok(safelist)
    }

    /// Whether the observation is expected: its source, its destination, its port, or `name` or a domain above it.
    pub(super) fn covers(&self, o: &Observation, name: &str) -> bool {
        self.covers_port(o)
            || (!self.sources.is_empty() && self.sources.contain(o.source))
            || (!self.destinations.is_empty() && self.destinations.contain(o.destination))
            || (!self.domains.is_empty() && !name.is_empty() && self.covers_name(name))
    }

    /// Whether it names ports at all.
    pub(super) fn has_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Whether the observation's port is one of those named.
    pub(super) fn covers_port(&self, o: &Observation) -> bool {
        self.port_bits & port_bit(o.port) != 0
            && self.ports.iter().any(|(protocol, low, high)| *protocol == o.transport && (*low..=*high).contains(&o.port))
    }

    /// Whether `name` is one of the domains, or below one.
    pub(super) fn covers_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let mut rest = Some(name);
        while let Some(part) = rest {
            let found =
                self.domains.binary_search_by(|domain| domain.bytes().cmp(part.bytes().map(|byte| byte.to_ascii_lowercase())));
            if found.is_ok() {
                return true;
            }
            rest = part.split_once('.').map(|(_, above)| above);
        }
        false
    }
}

/// The name of a host or domain as DNS carries it. What lies below it is meant too, so that `*.` before it says nothing.
pub(super) fn name_of_host(text: &str) -> Option<String> {
    let name = idn::in_ascii(text.strip_prefix("*.").unwrap_or(text).trim_matches('.'))?;
    let is_name =
        (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    is_name.then(|| name.into_owned())
}

fn ports(text: &str) -> Result<(u8, u16, u16), String> {
    let wrong = || format!("{text:?} is no port such as udp/123 or tcp/8000-8010");
    let (protocol, range) = text.split_once('/').ok_or_else(wrong)?;
    let protocol = transport_number(protocol).ok_or_else(wrong)?;
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let (low, high) = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    if low <= high { Ok((protocol, low, high)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_what_is_private_until_the_site_says_otherwise() {
        let site = Site::new(&[], None).expect("the default");
        let inside = |site: &Site, text: &str| site.is_inside(bits(text.parse().expect("an address")));
        for (text, expected) in [("10.9.8.7", true), ("203.0.113.1", false), ("fd00::1", true), ("2001:db8::1", false)] {
            assert_eq!(inside(&site, text), expected, "{text}");
        }
        let site = Site::new(&["203.0.113.0/24".to_owned()], None).expect("a prefix");
        assert!(inside(&site, "203.0.113.1") && !inside(&site, "10.0.0.1"));
        assert!(Site::new(&["10.0.0.0/40".to_owned()], None).is_err());
    }

    #[test]
    fn inside_are_the_zones_of_the_policy_that_name_their_addresses() {
        let zones = "zones:\n  town: {cidr: [203.0.113.0/24, \"2001:db8:7::/48\", 10.4.0.0/16]}\n  outside: {rest: true}\n";
        let (policy, _) = Policy::parse(zones).expect("valid");
        let inside = |site: &Site, text: &str| site.is_inside(bits(text.parse().expect("an address")));
        let site = Site::new(&[], None).expect("the default").with_policy(Some(Arc::new(policy)));
        for (text, expected) in [
            ("203.0.113.9", true),
            ("2001:db8:7::1", true),
            ("10.4.9.1", true),
            ("10.5.0.1", false),
            ("192.168.1.1", false),
            ("fd00::1", false),
            ("169.254.7.7", true),
            ("fe80::1", true),
            ("::", false),
        ] {
            assert_eq!(inside(&site, text), expected, "{text}");
        }
        let named = Site::new(&["10.5.0.0/16".to_owned()], None).expect("a prefix").with_policy(site.policy.clone());
        assert!(inside(&named, "10.5.0.1") && !inside(&named, "203.0.113.9"), "what the site says stands before its policy");
    }

    #[test]
    fn a_domain_covers_what_lies_below_it() {
        let read = |text| Safelist::read(&crate::yaml::read(text).expect("YAML"), &Placeholders::new());
        let safelist = read("domains: [example.com, Update.Example.NET]\nports: [udp/123]").expect("a safelist");
        for (name, expected) in [
            ("example.com", true),
            ("a.b.EXAMPLE.com.", true),
            ("notexample.com", false),
            ("example.net", false),
            ("x.update.example.net", true),
        ] {
            assert_eq!(safelist.covers_name(name), expected, "{name}");
        }
        assert!(read("port: []").is_err() && read("ports: [udp]").is_err());
        let starred = read("domains: ['*.example.org', .例え.jp]").expect("a safelist");
        assert!(["a.example.org", "xn--r8jz45g.jp"].iter().all(|name| starred.covers_name(name)));
        for wrong in ["domains: ['https://example.com/']", "domains: ['']", "domains: [[example.com]]", "domains: [10.0.0.0/8]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let node = crate::yaml::read("domains: [example.com, '%ours%']\nports: ['%quiet%', tcp/8080]").expect("YAML");
        let lists =
            [("ours", "city.example"), ("quiet", "udp/123")].map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        let safelist = Safelist::read(&node, &Placeholders::from(lists)).expect("a safelist");
        assert_eq!(["a.city.example", "example.com", "ours"].map(|name| safelist.covers_name(name)), [true, true, false]);
        assert_eq!(safelist.ports, [(17, 123, 123), (6, 8080, 8080)]);
    }

    #[test]
    fn groups_of_hosts_are_told_from_hosts() {
        for (text, expected) in [("224.0.0.251", true), ("255.255.255.255", true), ("10.0.0.255", false), ("ff02::1", true)] {
            assert_eq!(is_many(bits(text.parse().expect("an address"))), expected, "{text}");
        }
    }
}
