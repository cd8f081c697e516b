//! Datagrams under a burst: what was sent is what the journal has and what it says was lost, to the record.

mod rig;

use std::net::UdpSocket;

use ingest::listen::{Admission, Datagrams, Place};
use rig::{Rig, loopback};

/// The smallest buffer that the kernel gives holds a few datagrams only.
const TINY_BYTES: usize = 4096;

fn place(sockets: usize, receive_buffer_bytes: usize) -> Place {
    Place::SyslogUdp(Datagrams { sockets, receive_buffer_bytes, ..Datagrams::at(loopback()) })
}

/// Sends `count` numbered datagrams from each of `senders` sockets.
fn send(rig: &Rig, senders: usize, count: usize) {
    for sender in 0..senders {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        for n in 0..count {
            socket.send_to(format!("<13>{sender} {n}").as_bytes(), rig.address).expect("sent");
        }
    }
}

/// How many records came, and how many the kernel is said to have dropped. Those of a sender come in their order.
fn counts(rig: Rig) -> (usize, usize) {
    let (mut came, mut dropped) = (0, 0);
    let mut last = std::collections::HashMap::new();
    for (text, _, source) in rig.records() {
        if let Some(record) = text.strip_prefix("<13>") {
            let number: usize = record.split_once(' ').expect("two numbers").1.parse().expect("a number");
            let before = last.insert(source, number);
            assert!(before.is_none_or(|before| before < number), "{number} of {source:?} after {before:?}");
            came += 1;
        } else {
            let count = text.strip_prefix(r#"{"reason":"kernel_drop","count":"#).and_then(|text| text.strip_suffix('}'));
            dropped += count.expect("nothing else is lost").parse::<usize>().expect("a number");
        }
    }
    (came, dropped)
}

#[test]
fn what_a_full_buffer_drops_is_counted_though_no_datagram_follows() {
    for sockets in [1, 2] {
        let rig = Rig::asleep(place(sockets, TINY_BYTES));
        send(&rig, 8, 500);
        let (came, dropped) = counts(rig);
        assert!(came > 0 && dropped > 0, "{came} came, {dropped} dropped");
        assert_eq!(came + dropped, 8 * 500, "with {sockets} sockets");
    }
}

#[test]
fn under_a_burst_every_datagram_is_taken_or_counted() {
    for sockets in [1, 2] {
        let rig = Rig::start(place(sockets, TINY_BYTES), Admission::default());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| send(&rig, 4, 5000));
            }
        });
        let (came, dropped) = counts(rig);
        assert!(came > 0 && dropped > 0, "{came} came, {dropped} dropped");
        assert_eq!(came + dropped, 2 * 4 * 5000, "with {sockets} sockets");
    }
}

#[test]
fn a_buffer_that_is_large_enough_loses_nothing() {
    let rig = Rig::asleep(place(1, 8 << 20));
    send(&rig, 2, 2000);
    assert_eq!(counts(rig), (4000, 0));
}
