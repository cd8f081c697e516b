//! How records are read: time zones, character sets, what differs for certain senders.

use std::net::IpAddr;
use std::sync::Arc;

use event::Time;
use jiff::tz::TimeZone;

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
    /// The network address.
    pub network: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
    /// The time zone of stamps without an offset.
    pub(super) time_zone: Option<Zone>,
    /// The character set.
    pub charset: Option<Charset>,
    /// A format in place of recognition.
    pub format: Option<&'static str>,
}

/// How records are read.
#[derive(Clone, Debug)]
pub struct DecodeSettings {
    /// The time zone of stamps without an offset.
    pub(super) time_zone: Zone,
    /// In place of the receipt, where a capture does not know it: stamps without a year lie nearest to it.
    pub reference: Time,
    /// What differs for certain senders, longest prefix first.
    sources: Vec<SourceSettings>,
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
        Ok(DecodeSettings { time_zone: zone(time_zone)?, reference, sources: Vec::new(), library: Library::shipped() })
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
    pub fn add_source(
        &mut self,
        cidr: &str,
        time_zone: Option<&str>,
        charset: Option<&str>,
        format: Option<&str>,
    ) -> Result<(), SettingsError> {
        let bad = || SettingsError::Network(cidr.to_owned());
        let (address, bits) = cidr.split_once('/').map_or((cidr, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().map_err(|_| bad())?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let prefix = bits.map_or(Ok(bits_max), str::parse).map_err(|_| bad())?;
        if prefix > bits_max {
            return Err(bad());
        }
        let format = format
            .map(|name| {
                let known = self.formats().into_iter().find(|format| *format == name);
                known.ok_or_else(|| SettingsError::Format(name.to_owned()))
            })
            .transpose()?;
        let charset =
            charset.map(|name| Charset::from_name(name).ok_or_else(|| SettingsError::Charset(name.to_owned()))).transpose()?;
        self.sources.push(SourceSettings { network, prefix, time_zone: time_zone.map(zone).transpose()?, charset, format });
        self.sources.sort_by_key(|source| std::cmp::Reverse(source.prefix));
        Ok(())
    }

    /// What differs for `sender`, if anything does.
    pub fn source(&self, sender: Option<IpAddr>) -> Option<&SourceSettings> {
        let sender = sender?.to_canonical();
        self.sources.iter().find(|source| covers(source.network, source.prefix, sender))
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
