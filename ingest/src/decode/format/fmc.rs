//! The audit log of Cisco's Secure Firewall Management Center (FMC Administration Guide, "Audit log"): `program: host: user@address, area
//! > area, what was done`, closed by a line's end and a zero byte as they were escaped.

use event::{FieldId, RowBuilder};

use super::{Kind, Recognise};
use crate::decode::cut::cut;
use crate::decode::text::Context;

pub(super) struct Reader {
    kind: Kind,
    area: FieldId,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { kind: Kind::new("cisco_fmc", Some("cisco"), None, Some("fmc")), area: FieldId::known("cisco.fmc.area") }
    }
}

impl super::Reader for Reader {
    fn names(&self) -> Vec<&'static str> {
        vec!["cisco_fmc"]
    }

    fn recognise(&self) -> Recognise {
        Recognise::new().anything().rank(8)
    }

    fn marks(&self) -> &'static [&'static [&'static str]] {
        &[&[": ", "@", ", "]]
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let message = context.header.message;
        let closed = |text: &'static str, message: &mut &str| {
            let rest = message.strip_suffix(text).map(|m| m.trim_end_matches(['\0', ' ']));
            *message = rest.unwrap_or(message);
            rest.is_some()
        };
        let mut rest = message.trim_end();
        let whole = closed("x00", &mut rest) && closed("x0a", &mut rest);
        let Some([host, user, from, area, action]) = cut(rest, ["", ": ", "@", ", ", ", "]) else { return false };
        let told = whole || context.header.app.is_some() && from.parse::<std::net::IpAddr>().is_ok();
        if !told || host.contains(' ') || user.contains(' ') {
            return false;
        }
        self.kind.mark(row);
        row.text(FieldId::OBSERVER_VENDOR, "Cisco");
        row.text(FieldId::OBSERVER_PRODUCT, "fmc");
        row.text(FieldId::EVENT_CATEGORY, "configuration");
        row.text(FieldId::HOST_NAME, host);
        row.text(FieldId::USER_NAME, user);
        if let Ok(ip) = from.parse() {
            row.ip(FieldId::SOURCE_IP, ip);
        }
        row.text(self.area, area);
        row.text(FieldId::EVENT_ACTION, action);
        row.text(FieldId::MESSAGE, rest);
        true
    }
}
