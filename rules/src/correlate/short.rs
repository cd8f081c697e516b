//! Bytes of keys and values, which correlation keeps by the million: short ones in place, so that most take no memory of their own.

use std::ops::Deref;

/// Bytes held in place: an address of IPv4 with its length, most ports and user names.
const HERE_MAX: usize = 22;

/// Bytes that are not changed any more.
#[derive(Clone, Debug)]
pub(super) enum Short {
    Here(u8, [u8; HERE_MAX]),
    There(Box<[u8]>),
}

const _: () = assert!(size_of::<Short>() == 24);

impl Short {
    /// The bytes that lie elsewhere.
    pub(super) fn elsewhere(&self) -> usize {
        match self {
            Short::Here(..) => 0,
            Short::There(bytes) => bytes.len(),
        }
    }
}

impl Default for Short {
    fn default() -> Short {
        Short::Here(0, [0; HERE_MAX])
    }
}

impl From<&[u8]> for Short {
    fn from(bytes: &[u8]) -> Short {
        let mut here = [0; HERE_MAX];
        match here.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Short::Here(bytes.len() as u8, here)
            }
            None => Short::There(bytes.into()),
        }
    }
}

impl Deref for Short {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Short::Here(len, bytes) => &bytes[..usize::from(*len)],
            Short::There(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_come_back() {
        for len in 0..3 * HERE_MAX {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let short = Short::from(&bytes[..]);
            assert_eq!(*short, *bytes);
            assert_eq!(short.elsewhere(), if len > HERE_MAX { len } else { 0 });
        }
        assert!(Short::default().is_empty());
    }
}
