//! A few ports out of all: whether an observation's is one of them is asked of each observation by many, and mostly it is none.

/// Ports, with a bit for each by [`port_bit`].
pub(super) struct Ports {
    all: &'static [u16],
    bits: u64,
}

impl Ports {
    pub(super) const fn new(all: &'static [u16]) -> Ports {
        let (mut bits, mut at) = (0, 0);
        while at < all.len() {
            bits |= port_bit(all[at]);
            at += 1;
        }
        Ports { all, bits }
    }

    #[inline]
    pub(super) fn contains(&self, port: u16) -> bool {
        self.bits & port_bit(port) != 0 && self.all.contains(&port)
    }
}

/// One of 64 bits, scattered: 443 has another one than the ports of names, time and discovery.
pub(super) const fn port_bit(port: u16) -> u64 {
    1 << (port.wrapping_mul(0x9e37) >> 10)
}
