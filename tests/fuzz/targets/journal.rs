//! The journal's records, and kept templates.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("journal"), |bytes: &[u8]| fuzz::ask("journal", bytes));
