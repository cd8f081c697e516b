//! Column values as they are shown.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use event::Time;
use tantivy::columnar::DynamicColumn;
use tantivy::{DateTime, DocId};

/// Calls `each` with the text of every value that `doc` has in `column`.
pub(crate) fn show(column: &DynamicColumn, doc: DocId, mut each: impl FnMut(&str)) -> io::Result<()> {
    match column {
        DynamicColumn::Bool(c) => c.values_for_doc(doc).for_each(|v| each(if v { "true" } else { "false" })),
        DynamicColumn::I64(c) => c.values_for_doc(doc).for_each(|v| each(&v.to_string())),
        DynamicColumn::U64(c) => c.values_for_doc(doc).for_each(|v| each(&v.to_string())),
        DynamicColumn::F64(c) => c.values_for_doc(doc).for_each(|v| each(&float(v))),
        DynamicColumn::IpAddr(c) => c.values_for_doc(doc).for_each(|v| each(&ip(v))),
        DynamicColumn::DateTime(c) => c.values_for_doc(doc).for_each(|v| each(&time(v))),
        DynamicColumn::Bytes(_) => {}
        DynamicColumn::Str(c) => {
            let mut text = String::new();
            for code in c.term_ords(doc) {
                text.clear();
                if c.ord_to_str(code, &mut text)? {
                    each(&text);
                }
            }
        }
    }
    Ok(())
}

/// An address, IPv4 as such.
pub(crate) fn ip(ip: Ipv6Addr) -> String {
    IpAddr::V6(ip).to_canonical().to_string()
}

/// An instant.
pub(crate) fn time(time: DateTime) -> String {
    Time::from_unix_ns(time.into_timestamp_nanos()).to_string()
}

/// A number, as [`event::Value`] writes it.
pub(crate) fn float(n: f64) -> String {
    event::Value::Float(n).to_string()
}
