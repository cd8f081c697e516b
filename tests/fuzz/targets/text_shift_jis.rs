//! Text records in Shift_JIS.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("text_shift_jis"), |bytes: &[u8]| fuzz::ask("text_shift_jis", bytes));
