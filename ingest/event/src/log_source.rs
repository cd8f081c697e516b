//! Where a record comes from, in Sigma's words, and by which format it was read.

use std::fmt;
use std::sync::LazyLock;

use crate::intern::Interner;
use crate::limits::{FORMATS_MAX, LOG_SOURCES_MAX};

/// A Sigma log source (`logsource` of the Sigma rules specification 2.1): any part may be absent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogSource<'a> {
    /// The product, such as `linux`, `fortigate`, `zeek`.
    pub product: Option<&'a str>,
    /// The category, such as `firewall`, `proxy`, `dns`, `process_creation`.
    pub category: Option<&'a str>,
    /// The service, such as `sshd`, `event`, `dns`.
    pub service: Option<&'a str>,
}

/// An interned log source. [`LogSourceId::UNKNOWN`] has no part at all.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogSourceId(u16);

// One name per triple: the parts joined by a byte that no log source has.
const SEPARATOR: char = '\u{1f}';
static LOG_SOURCES: LazyLock<Interner> = LazyLock::new(|| Interner::new(&["\u{1f}\u{1f}"], LOG_SOURCES_MAX, 256));

impl LogSourceId {
    /// The log source of which nothing is known.
    pub const UNKNOWN: LogSourceId = LogSourceId(0);

    /// The id of `source`; [`LogSourceId::UNKNOWN`] where the table is full or a part is no plain name.
    pub fn intern(source: LogSource<'_>) -> LogSourceId {
        let part = |p: Option<&str>| p.unwrap_or("").to_ascii_lowercase();
        let name = [part(source.product), part(source.category), part(source.service)].join("\u{1f}");
        if name.matches(SEPARATOR).count() != 2 {
            return LogSourceId::UNKNOWN;
        }
        LOG_SOURCES.intern(&name).map_or(LogSourceId::UNKNOWN, LogSourceId)
    }

    /// The parts, in lower case.
    pub fn parts(self) -> LogSource<'static> {
        let mut parts = LOG_SOURCES.name(self.0).split(SEPARATOR).map(|p| (!p.is_empty()).then_some(p));
        LogSource { product: parts.next().flatten(), category: parts.next().flatten(), service: parts.next().flatten() }
    }

    /// The number, for tables indexed by log source: never show it.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for LogSourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

/// Formats of which only the frame was understood, or not even that.
pub const UNIDENTIFIED: [&str; 3] = ["", "unknown", "syslog"];

/// An interned name of a decoder's format, such as `fortigate` or `netflow_v9`: the field `mihari.format`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FormatId(u16);

static FORMATS: LazyLock<Interner> = LazyLock::new(|| Interner::new(&["unknown"], FORMATS_MAX, 64));

impl FormatId {
    /// The format of a record that no decoder knows.
    pub const UNKNOWN: FormatId = FormatId(0);

    /// The id of a decoder's format name.
    ///
    /// # Panics
    /// Where the table is full: decoders are a closed set, so only a wrong bound can fill it.
    pub fn known(name: &'static str) -> FormatId {
        FormatId(FORMATS.intern(name).expect("the decoders' formats fit the table"))
    }

    /// The id of a format that a description names; `None` where the table is full or the name too long.
    pub fn intern(name: &str) -> Option<FormatId> {
        FORMATS.intern(name).map(FormatId)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        FORMATS.name(self.0)
    }

    /// Whether a decoder knew more of the record than its frame.
    pub fn is_identified(self) -> bool {
        !UNIDENTIFIED.contains(&self.name())
    }
}

impl fmt::Debug for FormatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sources_round_trip() {
        let source = LogSource { product: Some("linux"), category: None, service: Some("sshd") };
        let id = LogSourceId::intern(source);
        assert_eq!(id.parts(), source);
        assert_eq!(LogSourceId::intern(LogSource { product: Some("Linux"), ..source }), id);
        assert_eq!(LogSourceId::intern(LogSource::default()), LogSourceId::UNKNOWN);
        assert_eq!(LogSourceId::intern(LogSource { product: Some("a\u{1f}b"), ..source }), LogSourceId::UNKNOWN);
    }
}
