//! Where an open span is, in one word.

/// Ring, entry and number of an open span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) ring: u16,
    pub(super) entry: u8,
    pub(super) serial: u32,
}

const RING_BITS: u32 = 12;
/// Rings that there can be.
pub(super) const RINGS: usize = 1 << RING_BITS;
/// What of a word a spot takes; the rest is free for a thread's number.
pub(super) const SPOT_BITS: u32 = 32 + 6 + RING_BITS;

impl Spot {
    /// Below [`SPOT_BITS`], and not zero, because numbers begin with one.
    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.serial) | u64::from(self.entry) << 32 | u64::from(self.ring) << 38
    }

    /// The entry in the word of a spot.
    #[inline]
    pub(super) fn entry_of(word: u64) -> u8 {
        (word >> 32) as u8 & 63
    }

    #[inline]
    pub(super) fn of(word: u64) -> Option<Self> {
        let serial = word as u32;
        (serial != 0).then_some(Self {
            ring: (word >> 38) as u16 & (RINGS as u16 - 1),
            entry: Self::entry_of(word),
            serial,
        })
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_spot_comes_back() {
        for spot in [
            Spot {
                ring: 4095,
                entry: 63,
                serial: u32::MAX,
            },
            Spot {
                ring: 0,
                entry: 0,
                serial: 1,
            },
        ] {
            assert_eq!(Spot::of(spot.word()), Some(spot));
            assert_eq!(spot.word() >> SPOT_BITS, 0);
            assert_eq!(Spot::of(spot.word() | u64::MAX << SPOT_BITS), Some(spot));
        }
        assert_eq!(Spot::of(0), None);
    }
}
