//! Descriptions of formats.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("description"), |bytes: &[u8]| fuzz::ask("description", bytes));
