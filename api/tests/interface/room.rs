//! A full disk, on a small one of the test's own.

#[path = "../../../tests/program/small_disk.rs"]
mod small_disk;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use api::Store;
use small_disk::{fill, on_a_small_disk};

use super::server::{Standing, start};

#[test]
fn a_token_is_good_also_where_its_use_finds_no_room_to_be_noted() {
    on_a_small_disk("room::a_token_is_good_also_where_its_use_finds_no_room_to_be_noted", 2, |disk| {
        let clock = Arc::new(Standing(AtomicI64::new(start().unix_ns())));
        let store = Store::open(&disk.join("alerts.sqlite"), clock).expect("opens");
        let token = store.create_token("test", 0, 30).expect("a token");
        let used = || store.list_tokens(None).expect("tokens")[0].last_used;
        let ballast = disk.join("ballast");
        fill(&ballast, 0);
        assert!(store.create_token("another", 0, 30).is_err(), "the disk is full");
        assert_eq!(store.identity(&token).expect("read").map(|identity| identity.name).as_deref(), Some("test"));
        assert_eq!(used(), None);
        std::fs::remove_file(&ballast).expect("removed");
        assert!(store.identity(&token).expect("read").is_some());
        assert_eq!(used(), Some(start()));
    });
}
