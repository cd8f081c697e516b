//! Text records in EUC-JP.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin("text_euc_jp"), |bytes: &[u8]| fuzz::ask("text_euc_jp", bytes));
