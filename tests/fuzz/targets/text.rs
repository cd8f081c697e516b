//! Text records.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("text"), |bytes: &[u8]| fuzz::ask("text", bytes));
