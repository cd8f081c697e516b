//! The kernel's side of a datagram socket: many datagrams with one call, a buffer of a wished size, what was dropped.
//!
//! The one place with `unsafe` code. No crate of the tree offers these calls in a safe form: `rustix` has no `recvmmsg`, and nobody reads
//! `SO_MEMINFO`. Everything the kernel writes goes to arrays of bytes that are read with bounds checked; pointers live for one call.
#![expect(unsafe_code, reason = "recvmmsg(2), SO_MEMINFO, SO_RXQ_OVFL and SO_RCVBUFFORCE have no safe form")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_void, iovec, mmsghdr, socklen_t};

/// Datagrams of one call: on a loaded socket the cost of the call itself is below a tenth of what they cost then.
const DATAGRAMS_MAX: usize = 64;
/// Bytes of one datagram: more than any has (65,507 over IPv4, 65,527 over IPv6).
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Bytes of an address: `sockaddr_in6`.
const NAME_BYTES: usize = 28;
/// Bytes of what comes beside a datagram: one control message of four bytes, with room for its padding.
const CONTROL_BYTES: usize = 32;
/// Numbers that `SO_MEMINFO` gives at least, and which of them is the count of drops (`SK_MEMINFO_DROPS`).
const MEMINFO_NUMBERS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// Room for the datagrams of one call, used again and again. The pages of 4 MiB are touched only as far as datagrams are long.
pub(super) struct Datagrams {
    bytes: Vec<u8>,
    names: [[u8; NAME_BYTES]; DATAGRAMS_MAX],
    lengths: [usize; DATAGRAMS_MAX],
    count: usize,
    dropped: Option<u32>,
}

impl Datagrams {
    pub(super) fn new() -> Datagrams {
        Datagrams {
            bytes: vec![0; DATAGRAMS_MAX * DATAGRAM_BYTES_MAX],
            names: [[0; NAME_BYTES]; DATAGRAMS_MAX],
            lengths: [0; DATAGRAMS_MAX],
            count: 0,
            dropped: None,
        }
    }

    /// Takes what is there, and does not wait: how many datagrams, at most [`DATAGRAMS_MAX`].
    ///
    /// # Errors
    /// `WouldBlock` where there is none; else what the kernel says.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        self.dropped = None;
        let mut controls = [[0u8; CONTROL_BYTES]; DATAGRAMS_MAX];
        let mut parts = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; DATAGRAMS_MAX];
        // SAFETY: an `mmsghdr` is integers and pointers, all of which may be zero.
        let mut heads: [mmsghdr; DATAGRAMS_MAX] = unsafe { std::mem::zeroed() };
        let rooms = self.bytes.chunks_exact_mut(DATAGRAM_BYTES_MAX).zip(&mut self.names).zip(&mut controls);
        for ((head, part), ((room, name), control)) in heads.iter_mut().zip(&mut parts).zip(rooms) {
            *part = iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            *name = [0; NAME_BYTES];
            head.msg_hdr.msg_name = name.as_mut_ptr().cast();
            head.msg_hdr.msg_namelen = NAME_BYTES as socklen_t;
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_control = control.as_mut_ptr().cast();
            head.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: every head points to a part, a name and a control of its own, of the lengths it states, which outlive the call and which
        // nothing else uses meanwhile; there are as many heads as said; no timeout is given.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                heads.as_mut_ptr(),
                DATAGRAMS_MAX as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        for (at, head) in heads.iter().enumerate().take(got) {
            self.lengths[at] = (head.msg_len as usize).min(DATAGRAM_BYTES_MAX);
        }
        // The count only grows, so the last datagram that has one tells all.
        self.dropped = controls[..got].iter().rev().find_map(dropped_of);
        self.count = got;
        Ok(got)
    }

    /// The datagrams of the last call: who says to have sent them, and their bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<SocketAddr>, &[u8])> {
        let rooms = self.bytes.chunks_exact(DATAGRAM_BYTES_MAX).zip(&self.names).zip(&self.lengths).take(self.count);
        rooms.map(|((room, name), length)| (address_of(name), &room[..*length]))
    }

    /// How many datagrams the socket had dropped in all when the newest of these was queued, modulo 2³²; none where it had dropped none yet.
    pub(super) fn dropped(&self) -> Option<u32> {
        self.dropped
    }
}

/// `SO_RXQ_OVFL` out of the control message (`cmsghdr`: length, level, type) that a datagram has where the socket has dropped any.
fn dropped_of(control: &[u8; CONTROL_BYTES]) -> Option<u32> {
    const WORD: usize = size_of::<usize>();
    let number = |at: usize| Some(i32::from_ne_bytes(*control.get(at..)?.first_chunk()?));
    if (number(WORD)?, number(WORD + 4)?) != (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) {
        return None;
    }
    number(WORD + 8).map(i32::cast_unsigned)
}

/// The address in the bytes of a `sockaddr_in` or `sockaddr_in6`.
fn address_of(name: &[u8; NAME_BYTES]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([name[2], name[3]]);
    match c_int::from(u16::from_ne_bytes([name[0], name[1]])) {
        libc::AF_INET => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(name[4], name[5], name[6], name[7])), port)),
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*name[8..].first_chunk::<16>()?);
            let flow = u32::from_be_bytes(*name[4..].first_chunk()?);
            let scope = u32::from_ne_bytes(*name[24..].first_chunk()?);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
        }
        _ => None,
    }
}

/// Asks for a receive buffer of so many bytes beyond what `net.core.rmem_max` allows; only a privileged process is given it.
///
/// # Errors
/// Where the process has no such right.
pub(super) fn force_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_number(socket, libc::SO_RCVBUFFORCE, c_int::try_from(bytes).unwrap_or(c_int::MAX))
}

/// Lets the kernel tell with each datagram how many it has dropped (`SO_RXQ_OVFL`).
///
/// # Errors
/// Where the kernel does not know it.
pub(super) fn tell_drops(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_number(socket, libc::SO_RXQ_OVFL, 1)
}

fn set_number(socket: BorrowedFd<'_>, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is an integer that outlives the call, and its size is stated.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            std::ptr::from_ref(&value).cast::<c_void>(),
            size_of::<c_int>() as socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many datagrams the socket has dropped in all, modulo 2³² (`SO_MEMINFO`).
///
/// # Errors
/// Where the kernel does not say (before Linux 4.12).
pub(super) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut numbers = [0u32; 2 * MEMINFO_NUMBERS];
    let mut length = size_of_val(&numbers) as socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the array, and any bytes are integers.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < MEMINFO_NUMBERS * size_of::<u32>() {
        return Err(io::Error::other("the kernel tells no drops of a socket"));
    }
    Ok(numbers[MEMINFO_DROPS])
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn pair(address: &str) -> (UdpSocket, UdpSocket) {
        let (to, from) = (UdpSocket::bind(address).expect("binds"), UdpSocket::bind(address).expect("binds"));
        from.connect(to.local_addr().expect("an address")).expect("connects");
        (to, from)
    }

    #[test]
    fn datagrams_come_whole_in_order_and_with_their_sender() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (to, from) = pair(address);
            let mut room = Datagrams::new();
            let error = room.receive(to.as_fd()).expect_err("there is none");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            let largest = vec![7; 60_000];
            for bytes in [&b"a"[..], b"", &largest, b"last"] {
                from.send(bytes).expect("sent");
            }
            assert_eq!(room.receive(to.as_fd()).expect("some"), 4);
            let got: Vec<_> = room.iter().collect();
            let sender = from.local_addr().ok();
            assert_eq!(got, [(sender, &b"a"[..]), (sender, b""), (sender, &largest), (sender, b"last")]);
            // A shorter run after a longer one has nothing of it left.
            from.send(b"b").expect("sent");
            assert_eq!(room.receive(to.as_fd()).expect("one"), 1);
            assert_eq!(room.iter().collect::<Vec<_>>(), [(sender, &b"b"[..])]);
        }
    }

    #[test]
    fn no_more_than_one_run_is_taken_at_once() {
        let (to, from) = pair("127.0.0.1:0");
        for n in 0..DATAGRAMS_MAX + 3 {
            from.send(&n.to_be_bytes()).expect("sent");
        }
        let mut room = Datagrams::new();
        assert_eq!(room.receive(to.as_fd()).expect("a full run"), DATAGRAMS_MAX);
        assert_eq!(room.receive(to.as_fd()).expect("the rest"), 3);
    }

    #[test]
    fn both_counts_of_drops_are_exact() {
        const SENT: u32 = 2000;
        let (to, from) = pair("127.0.0.1:0");
        tell_drops(to.as_fd()).expect("known to the kernel");
        socket2::SockRef::from(&to).set_recv_buffer_size(8192).expect("set");
        assert_eq!(dropped(to.as_fd()).expect("told"), 0);
        let mut room = Datagrams::new();
        let mut taken = 0;
        let mut take = |room: &mut Datagrams| {
            while let Ok(got) = room.receive(to.as_fd()) {
                taken += got as u32;
            }
        };
        for _ in 0..SENT {
            from.send(&[0; 200]).expect("sent");
        }
        let asked = dropped(to.as_fd()).expect("told");
        take(&mut room);
        from.send(b"one more").expect("sent");
        room.receive(to.as_fd()).expect("one");
        assert_eq!(room.dropped(), Some(asked), "the datagram that follows tells the same");
        assert!(asked > 0);
        assert_eq!(taken + asked, SENT);
    }

    #[test]
    fn what_is_no_address_is_none() {
        assert_eq!(address_of(&[0; NAME_BYTES]), None);
        assert_eq!(address_of(&[0xFF; NAME_BYTES]), None);
        assert_eq!(dropped_of(&[0; CONTROL_BYTES]), None);
        assert_eq!(dropped_of(&[0xFF; CONTROL_BYTES]), None);
    }
}
