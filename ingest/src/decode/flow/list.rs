//! Structured data: elements that hold lists of others (RFC 6313). A deep packet inspector puts what it read of a conversation there.
//!
//! ```text
//!  basicList:             semantic | element, length | value value ...
//!  subTemplateList:       semantic | template | record record ...
//!  subTemplateMultiList:  semantic | template, length | record ... | template, length | record ...
//! ```
//!
//! Texts are taken where the flow has none of their field. Addresses and counts within a list are those of hops, members and parts of the
//! flow, not its own, and are passed over.

use event::RowBuilder;

use super::element::{Form, add, meaning};
use super::table::Table;
use super::{Domain, Field, be16, fields_of, take};

const BASIC: u16 = 291;
const OF_TEMPLATE: u16 = 292;
const OF_TEMPLATES: u16 = 293;
/// Lists within lists at most (RFC 6313 §8.1 asks for a bound and leaves it open).
const DEPTH_MAX: u8 = 4;

/// Whether an element holds a list.
pub(super) fn is_list(field: &Field) -> bool {
    field.enterprise == 0 && (BASIC..=OF_TEMPLATES).contains(&field.element)
}

/// What lists are read by: the templates of their exporter.
#[derive(Clone, Copy)]
pub(super) struct Lists<'t> {
    pub(super) templates: &'t Table,
    pub(super) domain: Domain,
}

impl Lists<'_> {
    /// Writes what the list in `v` says. One that is cut, or of a template that nobody sent, says what stands before that.
    pub(super) fn write(self, field: &Field, v: &[u8], depth: u8, row: &mut RowBuilder<'_>) {
        let Some((_semantic, v)) = v.split_first().filter(|_| depth < DEPTH_MAX) else { return };
        match field.element {
            BASIC => {
                let Some((fields, mut rest)) = fields_of(v, 1, 0, true) else { return };
                // Values of no bytes would never end.
                while fields[0].length > 0
                    && !rest.is_empty()
                    && let Some((value, after)) = take(&fields[0], rest)
                {
                    self.element(&fields[0], value, depth, row);
                    rest = after;
                }
            }
            OF_TEMPLATE => {
                if let Some(id) = be16(v, 0) {
                    self.records(id, &v[2..], depth, row);
                }
            }
            _ => {
                let mut rest = v;
                while let (Some(id), Some(length)) = (be16(rest, 0), be16(rest, 2)) {
                    let length = usize::from(length);
                    let Some(records) = rest.get(4..length) else { return };
                    self.records(id, records, depth, row);
                    rest = &rest[length..];
                }
            }
        }
    }

    fn records(self, id: u16, mut rest: &[u8], depth: u8, row: &mut RowBuilder<'_>) {
        let Some(template) = self.templates.get(self.domain, id) else { return };
        while rest.len() >= template.bytes_min {
            for field in template.fields.iter() {
                let Some((value, after)) = take(field, rest) else { return };
                self.element(field, value, depth, row);
                rest = after;
            }
        }
    }

    fn element(self, field: &Field, v: &[u8], depth: u8, row: &mut RowBuilder<'_>) {
        if is_list(field) {
            self.write(field, v, depth + 1, row);
        } else if let Some((field, Form::Text)) = meaning(field.enterprise, field.element) {
            add(row, field, Form::Text, v);
        }
    }
}
