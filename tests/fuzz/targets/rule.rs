//! Rule files: compiled = plain.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("rule"), |bytes: &[u8]| fuzz::ask("rule", bytes));
