//! Zone policies.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("policy"), |bytes: &[u8]| fuzz::ask("policy", bytes));
