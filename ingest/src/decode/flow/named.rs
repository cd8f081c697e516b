//! Names that exporters tell in options records of what flows give by number: interfaces, applications (RFC 6759) and VRFs.
//!
//! A flow's own name stands; where nothing was told of a number, nothing is written.

use std::sync::LazyLock;

use event::{FieldId, RowBuilder, Value};
use serde::{Deserialize, Serialize};

use super::kept::{self, Bounds, Kept};
use super::{Field, unsigned};

/// A large router has some thousand interfaces, each with a name and a description, and as many applications.
const NAMES: Bounds = Bounds { exporter_max: 16_384, max: 131_072, refused: "mihari_flow_names_refused_total" };
/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 128;

/// What a name is of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Thing {
    /// interfaceName.
    Interface,
    /// interfaceDescription.
    Description,
    /// applicationName.
    Application,
    /// VRFname.
    Vrf,
}

/// The names of one domain, by what they are of and its number.
pub(super) type Of = kept::Of<(Thing, u64), Box<str>>;

/// All names.
pub(super) type Named = Kept<(Thing, u64), Box<str>>;

/// None yet.
pub(super) fn none() -> Named {
    Kept::new(NAMES)
}

/// A field that holds the number of something, and where its name goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: FieldId,
    pub(super) name: FieldId,
    pub(super) thing: Thing,
}

/// All that have names.
pub(super) static PLACES: LazyLock<[Place; 7]> = LazyLock::new(|| {
    [
        (FieldId::OBSERVER_INGRESS_INTERFACE_ID, "observer.ingress.interface.name", Thing::Interface),
        (FieldId::OBSERVER_INGRESS_INTERFACE_ID, "observer.ingress.interface.alias", Thing::Description),
        (FieldId::OBSERVER_EGRESS_INTERFACE_ID, "observer.egress.interface.name", Thing::Interface),
        (FieldId::OBSERVER_EGRESS_INTERFACE_ID, "observer.egress.interface.alias", Thing::Description),
        (FieldId::known("flow.ingress_vrf_id"), "flow.ingress_vrf", Thing::Vrf),
        (FieldId::known("flow.egress_vrf_id"), "flow.egress_vrf", Thing::Vrf),
        (FieldId::known("netflow.application_id"), "network.application", Thing::Application),
    ]
    .map(|(number, name, thing)| Place { number, name: FieldId::known(name), thing })
});

/// Writes the names of what a record told by number.
pub(super) fn write(names: &Of, row: &mut RowBuilder<'_>) {
    for Place { number, name, thing } in PLACES.iter() {
        let number = match row.get(*number) {
            Some(Value::Int(number)) => number.cast_unsigned(),
            Some(Value::Uint(number)) => number,
            _ => continue,
        };
        if !row.has(*name)
            && let Some(text) = names.get(&(*thing, number))
        {
            row.text(*name, text);
        }
    }
}

/// What one options record names.
#[derive(Default)]
pub(super) struct Told<'b> {
    interface: Option<u64>,
    application: Option<u64>,
    vrf: Option<u64>,
    names: [Option<(Thing, &'b [u8])>; 4],
}

impl<'b> Told<'b> {
    pub(super) fn field(&mut self, field: &Field, version: u16, value: &'b [u8]) {
        if field.enterprise != 0 {
            return;
        }
        let (place, thing) = match (version, field.scope, field.element) {
            // RFC 3954 §6.1: the scope's kinds have numbers of their own, of which 2 is an interface.
            (9, true, 2) => return self.interface = unsigned(value),
            (_, _, 10 | 14 | 252 | 253) => return self.interface = unsigned(value),
            (_, _, 95) => return self.application = unsigned(value),
            (_, _, 234 | 235) => return self.vrf = unsigned(value),
            (_, _, 82) => (0, Thing::Interface),
            (_, _, 83) => (1, Thing::Description),
            (_, _, 96) => (2, Thing::Application),
            (_, _, 236) => (3, Thing::Vrf),
            _ => return,
        };
        self.names[place] = Some((thing, value));
    }

    /// The names, each with what it is of.
    pub(super) fn names(&self) -> impl Iterator<Item = ((Thing, u64), Box<str>)> {
        self.names.iter().flatten().filter_map(|(thing, bytes)| {
            let number = match thing {
                Thing::Interface | Thing::Description => self.interface,
                Thing::Application => self.application,
                Thing::Vrf => self.vrf,
            };
            // Devices fill a name up with zeros or blanks.
            let bytes = &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len()).min(NAME_BYTES_MAX)];
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            (!text.is_empty()).then_some(((*thing, number?), text.into()))
        })
    }
}
