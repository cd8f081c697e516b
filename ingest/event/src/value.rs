//! The value of one cell.

use std::fmt;
use std::net::IpAddr;

use crate::Time;

/// The value of one cell, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    /// Present without a value (JSON `null`).
    Null,
    /// Text.
    Text(&'b str),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are always [`Value::Int`].
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// An address.
    Ip(IpAddr),
    /// An instant.
    Time(Time),
}

impl<'b> Value<'b> {
    /// The text, where the value is text.
    pub fn as_text(&self) -> Option<&'b str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where the value is one that fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The address, where the value is one.
    pub fn as_ip(&self) -> Option<IpAddr> {
        match self {
            Value::Ip(ip) => Some(*ip),
            _ => None,
        }
    }
}

/// The value as a person would write it; nothing for null.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Text(text) => f.write_str(text),
            Value::Int(n) => n.fmt(f),
            Value::Uint(n) => n.fmt(f),
            Value::Float(n) => n.fmt(f),
            Value::Bool(b) => b.fmt(f),
            Value::Ip(ip) => ip.fmt(f),
            Value::Time(time) => time.fmt(f),
        }
    }
}
