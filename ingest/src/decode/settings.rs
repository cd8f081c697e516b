//! How records are read: time zones, character sets, what differs for certain senders.

use std::net::IpAddr;
use std::sync::Arc;

use event::{FrameHead, Time, Transport};
use jiff::tz::TimeZone;
use regex::Regex;

use super::describe::{DescriptionError, Library};
use super::format;
use super::stamp::Zone;

/// A character set that Japanese devices send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// Shift_JIS, with Microsoft's additions (Windows-31J).
    ShiftJis,
    /// EUC-JP.
    EucJp,
    /// ISO-2022-JP.
    Iso2022Jp,
}

impl Charset {
    /// By its name as configured.
    pub fn from_name(name: &str) -> Option<Charset> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Some(Charset::Utf8),
            "shift_jis" | "sjis" | "windows-31j" | "cp932" => Some(Charset::ShiftJis),
            "euc-jp" => Some(Charset::EucJp),
            "iso-2022-jp" => Some(Charset::Iso2022Jp),
            _ => None,
        }
    }
}

/// What differs for certain senders.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// The time zone of stamps without an offset.
    pub(super) time_zone: Option<Zone>,
    /// The character set.
    pub charset: Option<Charset>,
    /// A format in place of recognition.
    pub format: Option<&'static str>,
}

/// What differs, as it is configured: a time zone (an IANA name), a character set, a format in place of recognition.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Differing<'n> {
    /// The time zone of stamps without an offset.
    pub time_zone: Option<&'n str>,
    /// The character set.
    pub charset: Option<&'n str>,
    /// The format.
    pub format: Option<&'n str>,
}

/// Senders of a network.
#[derive(Clone, Debug)]
struct Network {
    address: IpAddr,
    prefix: u8,
    settings: SourceSettings,
}

/// What comes in without a sender's address.
#[derive(Clone, Debug)]
struct Way {
    transport: Transport,
    /// Files or topics; none: all.
    origins: Option<Regex>,
    settings: SourceSettings,
}

/// How records are read.
#[derive(Clone, Debug)]
pub struct DecodeSettings {
    /// The time zone of stamps without an offset.
    pub(super) time_zone: Zone,
    /// In place of the receipt, where a capture does not know it: stamps without a year lie nearest to it.
    pub reference: Time,
    /// Whether finished batches get the ids of conversations ([`super::community::annotate`]).
    pub community_id: bool,
    /// What differs for certain senders, longest prefix first.
    networks: Vec<Network>,
    /// In the order of the configuration; the first that fits counts.
    ways: Vec<Way>,
    pub(super) library: Arc<Library>,
}

/// A setting makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No time zone of this name.
    #[error("no time zone is named {0:?}")]
    TimeZone(String),
    /// No character set of this name.
    #[error("no character set is named {0:?}")]
    Charset(String),
    /// No format of this name.
    #[error("no format is named {0:?}")]
    Format(String),
    /// A description makes no sense.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// Not the pattern of a topic.
    #[error("{0:?} is no pattern of names")]
    Pattern(String),
    /// Not an address or a prefix.
    #[error("{0:?} is no address or prefix")]
    Network(String),
}

impl DecodeSettings {
    /// Settings with a default time zone (an IANA name).
    ///
    /// # Errors
    /// Where there is no such time zone.
    pub fn new(time_zone: &str, reference: Time) -> Result<DecodeSettings, SettingsError> {
        Ok(DecodeSettings {
            time_zone: zone(time_zone)?,
            reference,
            community_id: false,
            networks: Vec::new(),
            ways: Vec::new(),
            library: Library::shipped(),
        })
    }

    /// Adds descriptions of formats (path and text; `docs/formats.md`) to those that are shipped. Call before
    /// [`DecodeSettings::add_source`], which knows formats by their names.
    ///
    /// # Errors
    /// Where a description makes no sense.
    pub fn add_formats(&mut self, files: &[(String, String)]) -> Result<(), SettingsError> {
        let files = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        self.library = Arc::new(Library::with(files)?);
        Ok(())
    }

    /// The names of the text formats, as `mihari.format` shows them and as configuration may pin them.
    pub fn formats(&self) -> Vec<&'static str> {
        format::names(&self.library)
    }

    /// Adds what differs for the senders in `cidr` (an address or a prefix).
    ///
    /// # Errors
    /// Where a name or the prefix makes no sense.
    pub fn add_source(&mut self, cidr: &str, differing: Differing<'_>) -> Result<(), SettingsError> {
        let bad = || SettingsError::Network(cidr.to_owned());
        let (address, bits) = cidr.split_once('/').map_or((cidr, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().map_err(|_| bad())?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let prefix = bits.map_or(Ok(bits_max), str::parse).map_err(|_| bad())?;
        if prefix > bits_max {
            return Err(bad());
        }
        let settings = self.settings(differing)?;
        self.networks.push(Network { address: network, prefix, settings });
        self.networks.sort_by_key(|network| std::cmp::Reverse(network.prefix));
        Ok(())
    }

    /// Adds what differs for what comes in without an address by `transport`: of the files or topics of these names (one that begins with `^` is a
    /// pattern), of all where none is named.
    ///
    /// # Errors
    /// Where a name makes no sense.
    pub fn add_way(&mut self, transport: Transport, names: &[String], differing: Differing<'_>) -> Result<(), SettingsError> {
        let settings = self.settings(differing)?;
        let one = |name: &String| if name.starts_with('^') { name.clone() } else { format!("^{}$", regex::escape(name)) };
        let pattern = names.iter().map(one).collect::<Vec<_>>().join("|");
        let origins = Some(pattern).filter(|pattern| !pattern.is_empty());
        let origins = origins.map(|pattern| Regex::new(&pattern).map_err(|_| SettingsError::Pattern(pattern))).transpose()?;
        self.ways.push(Way { transport, origins, settings });
        Ok(())
    }

    fn settings(&self, differing: Differing<'_>) -> Result<SourceSettings, SettingsError> {
        let Differing { time_zone, charset, format } = differing;
        let format = format
            .map(|name| {
                let known = self.formats().into_iter().find(|format| *format == name);
                known.ok_or_else(|| SettingsError::Format(name.to_owned()))
            })
            .transpose()?;
        let charset =
            charset.map(|name| Charset::from_name(name).ok_or_else(|| SettingsError::Charset(name.to_owned()))).transpose()?;
        Ok(SourceSettings { time_zone: time_zone.map(zone).transpose()?, charset, format })
    }

    /// What differs for whoever sent a frame, if anything does.
    pub fn source(&self, head: &FrameHead) -> Option<&SourceSettings> {
        let Some(sender) = head.source else {
            let fits = |way: &&Way| {
                let is_named = |names: &Regex| head.origin.is_some_and(|origin| names.is_match(origin.name()));
                way.transport == head.transport && way.origins.as_ref().is_none_or(is_named)
            };
            return self.ways.iter().find(fits).map(|way| &way.settings);
        };
        let sender = sender.ip().to_canonical();
        let network = self.networks.iter().find(|network| covers(network.address, network.prefix, sender));
        network.map(|network| &network.settings)
    }
}

fn zone(name: &str) -> Result<Zone, SettingsError> {
    TimeZone::get(name).map(Zone::new).map_err(|_| SettingsError::TimeZone(name.to_owned()))
}

fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => prefix == 0 || (n.to_bits() ^ a.to_bits()) >> (32 - prefix) == 0,
        (IpAddr::V6(n), IpAddr::V6(a)) => prefix == 0 || (n.to_bits() ^ a.to_bits()) >> (128 - prefix) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use event::{Content, OriginId};

    use super::*;

    #[test]
    fn what_has_no_address_is_read_as_its_place_says() {
        let mut settings = DecodeSettings::new("Asia/Tokyo", Time::UNKNOWN).expect("a zone");
        let charset = |name| Differing { charset: Some(name), ..Differing::default() };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        settings.add_way(Transport::File, &names(&["/var/log/a.log"]), charset("shift_jis")).expect("a file");
        settings.add_way(Transport::Kafka, &names(&["plain", "^fw-"]), charset("euc-jp")).expect("topics");
        settings.add_way(Transport::Stdin, &[], charset("iso-2022-jp")).expect("standard input");
        let of = |transport, origin: &str| {
            let head = FrameHead { origin: OriginId::intern(origin), ..FrameHead::new(transport, Content::Text) };
            settings.source(&head).and_then(|source| source.charset)
        };
        assert_eq!(of(Transport::File, "/var/log/a.log"), Some(Charset::ShiftJis));
        assert_eq!(of(Transport::File, "/var/log/a_log"), None);
        assert_eq!(of(Transport::File, "/var/log/a.log.1"), None);
        for (topic, expected) in [("plain", true), ("plainer", false), ("fw-1", true), ("my-fw-1", false)] {
            assert_eq!(of(Transport::Kafka, topic), expected.then_some(Charset::EucJp), "{topic}");
        }
        let stdin = FrameHead::new(Transport::Stdin, Content::Text);
        assert_eq!(settings.source(&stdin).and_then(|source| source.charset), Some(Charset::Iso2022Jp));
        let known = FrameHead { source: "192.0.2.1:514".parse().ok(), ..stdin };
        assert!(settings.source(&known).is_none(), "a sender's address says who it is");
        assert!(settings.add_way(Transport::Kafka, &names(&["^("]), Differing::default()).is_err());
        assert!(settings.add_way(Transport::File, &[], charset("klingon")).is_err());
    }
}
