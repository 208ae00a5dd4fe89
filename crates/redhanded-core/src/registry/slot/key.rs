//! Where a slot lives.

/// Where a slot lives: engine, shard and index in one word, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    const MARK: u64 = 1 << 63;

    pub(crate) fn new(engine: u16, shard: u8, index: u32) -> Self {
        Self(
            Self::MARK
                | u64::from(engine & 0x7fff) << 48
                | u64::from(shard) << 32
                | u64::from(index),
        )
    }
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word & Self::MARK != 0).then_some(Self(word))
    }
    pub(crate) fn word(self) -> u64 {
        self.0
    }
    pub(crate) fn engine(self) -> u16 {
        (self.0 >> 48) as u16 & 0x7fff
    }
    pub(crate) fn shard(self) -> u8 {
        (self.0 >> 32) as u8
    }
    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }
}
