//! The query language.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("query"), |bytes: &[u8]| fuzz::ask("query", bytes));
