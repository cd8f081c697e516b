//! Framing of streams.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("framer"), |bytes: &[u8]| fuzz::ask("framer", bytes));
