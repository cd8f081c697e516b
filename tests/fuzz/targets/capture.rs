//! Captured files.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("capture"), |bytes: &[u8]| fuzz::ask("capture", bytes));
