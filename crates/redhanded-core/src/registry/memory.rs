//! What a request has allocated and not freed, where the global allocator counts.

use parking_lot::Mutex;
use redhanded_capture::alloc::Account;
use std::sync::atomic::{AtomicU64, Ordering};

use super::slot::Key;

/// Who holds less is of no interest yet.
pub(crate) const WORTH_TELLING: u64 = 2 << 20;
/// Slots that wait for the watchdog to hear of them.
const TOLD: usize = 1024;
/// What a frame takes besides its bytes: the handle that owns them.
const FRAME: u64 = 64;

/// The account of the request that has the slot, and from which balance on the watchdog is told.
#[derive(Debug)]
pub(crate) struct Memory {
    account: Account,
    tell_from: AtomicU64,
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self {
            account: Account::new(),
            tell_from: AtomicU64::new(WORTH_TELLING),
        }
    }

    /// This thread works for the request from now on, with `first` for the first time.
    pub(crate) fn charge(&'static self, first: bool) {
        if first {
            self.clear();
        }
        self.account.enter();
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        self.account.reset();
        self.tell_from(WORTH_TELLING);
    }

    /// It does no more; says whether the watchdog should hear of it.
    pub(crate) fn settle(&'static self) -> bool {
        self.account.leave();
        self.has_grown()
    }

    /// Whether it holds as much as somebody wants to know of.
    pub(crate) fn has_grown(&self) -> bool {
        u64::try_from(self.held()).is_ok_and(|held| held >= self.tell_from.load(Ordering::Relaxed))
    }

    /// The watchdog has not been told, or wants to be told again.
    pub(crate) fn is_untold(&self) -> bool {
        self.tell_from.load(Ordering::Relaxed) != u64::MAX
    }

    /// The watchdog is told when so much is held; never with the largest number.
    pub(crate) fn tell_from(&self, bytes: u64) {
        self.tell_from.store(bytes, Ordering::Relaxed);
    }

    /// A frame of `bytes` went out, which somebody else will free.
    #[cold]
    #[inline(never)]
    pub(crate) fn hand_out(&self, bytes: u64) {
        // A buffer is a little larger than what it holds.
        self.account
            .hand_out(bytes.saturating_add(bytes / 4).saturating_add(FRAME));
    }

    /// The request is over: what it holds is nobody's.
    pub(crate) fn close(&self) {
        self.account.close();
    }

    pub(crate) fn allocated(&self) -> u64 {
        self.account.allocated()
    }

    /// More allocated than freed; negative for who frees what others have allocated.
    pub(crate) fn held(&self) -> i64 {
        self.account
            .allocated()
            .wrapping_sub(self.account.freed())
            .cast_signed()
    }
}

/// Slots whose requests have come to hold much since the watchdog looked. Off the hot path: a
/// request comes here once, or once again when the watchdog has lost interest in it.
#[derive(Debug, Default)]
pub(crate) struct Grown(Mutex<Vec<(Key, u32)>>);

impl Grown {
    /// Notes the request that has the slot `key` in `generation`; `false` if there is no room, and it
    /// has to try again.
    pub(crate) fn tell(&self, key: Key, generation: u32) -> bool {
        let mut told = self.0.lock();
        let room = told.len() < TOLD;
        if room {
            told.push((key, generation));
        }
        room
    }

    /// Who was noted since the last time.
    pub(crate) fn take(&self) -> Vec<(Key, u32)> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_of_is_bounded() {
        let grown = Grown::default();
        let told = (0..2000).filter(|i| grown.tell(Key::new(0, 0, *i), 1));
        assert_eq!(told.count(), TOLD);
        assert_eq!((grown.take().len(), grown.take().len()), (TOLD, 0));
    }

    #[test]
    fn who_frees_what_others_have_allocated_holds_less_than_nothing() {
        static MEMORY: Memory = Memory::new();
        MEMORY.hand_out(WORTH_TELLING);
        assert!(MEMORY.held() < 0 && !MEMORY.has_grown());
        MEMORY.charge(true);
        assert_eq!(MEMORY.held(), 0);
        MEMORY.tell_from(0);
        assert!(MEMORY.settle());
    }
}
