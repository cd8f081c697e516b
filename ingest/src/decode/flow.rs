//! NetFlow v5 and v9, IPFIX.
