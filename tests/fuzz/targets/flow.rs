//! Flow packets.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("flow"), |bytes: &[u8]| fuzz::ask("flow", bytes));
