//! Text records in ISO-2022-JP.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("text_iso_2022_jp"), |bytes: &[u8]| fuzz::ask("text_iso_2022_jp", bytes));
