//! What the calling thread's own stack holds, while the frames that hold it still live.
//!
//! A stack is full of what earlier calls have left, and a word of theirs would accuse somebody else. So the stack is
//! cleared before the call that is looked at, and only what lies in the cleared part counts: it was written since.

use super::task::current_stack;
use crate::arch;
use std::cell::Cell;
use std::ops::Range;

/// How much is cleared: calls that go deeper are not looked at. In a dev build, an HTTP client of many layers takes 100
/// KiB down to its socket; on small stacks less has to do.
const CLEARED: usize = 256 << 10;
const CLEARED_OF_SMALL: usize = 64 << 10;
/// What must be left below that, for signal handlers.
const RESERVE: usize = 32 << 10;
/// No allocation and no mapping of a program lies below or above.
pub(super) const POINTERS: Range<u64> = 0x1_0000..0x8000_0000_0000;

/// A part of the calling thread's stack that was cleared, and what its callers had in registers then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cleared {
    start: usize,
    end: usize,
    registers: [u64; arch::KEPT],
}

impl Cleared {
    /// Clears the stack below the caller's frame. Nothing is cleared, and so nothing will be found, where the stack is
    /// nearly used up or is not the thread's own. Call it from the frame that makes the call to be looked at.
    #[inline(always)]
    pub(crate) fn below_here() -> Self {
        let (registers, sp) = arch::kept_by_callees();
        let stack = stack_of_this_thread();
        let room = if stack.contains(&sp) {
            sp - stack.start
        } else {
            0
        };
        let (start, end) = if room >= CLEARED + RESERVE {
            clear::<{ CLEARED / size_of::<u64>() }>()
        } else if room >= CLEARED_OF_SMALL + RESERVE {
            clear::<{ CLEARED_OF_SMALL / size_of::<u64>() }>()
        } else {
            (0, 0)
        };
        Self {
            start,
            end,
            registers,
        }
    }

    /// Every word that may be a pointer in the frames between this call and the address `up_to`, and in the registers
    /// that they kept; each was written since the stack was cleared. Neither allocates nor locks.
    #[inline(never)]
    pub(crate) fn words(&self, up_to: usize, mut each: impl FnMut(u64)) {
        let (registers, sp) = arch::kept_by_callees();
        // Also false on another stack than the one that was cleared: a coroutine's, another thread's.
        if !(self.start..self.end).contains(&sp) {
            return;
        }
        let mut consider = |word: u64| {
            let is_ours = (self.start as u64..self.end as u64).contains(&word);
            // A register that nobody has used since may be pushed anywhere.
            if POINTERS.contains(&word) && !is_ours && !self.registers.contains(&word) {
                each(word);
            }
        };
        registers.into_iter().for_each(&mut consider);
        let start = sp.next_multiple_of(size_of::<u64>());
        let end = up_to.min(self.end) & !(size_of::<u64>() - 1);
        for address in (start..end).step_by(size_of::<u64>()) {
            // SAFETY: aligned, and between our stack pointer and the end of what we have cleared ourselves on this very
            // stack: it is mapped as long as the caller's frame lives, which is longer than this call.
            consider(unsafe { arch::stack_word(address) });
        }
    }
}

/// Writes zeros over the stack below the caller's frame and says where: this function's own frame was there.
#[inline(never)]
fn clear<const WORDS: usize>() -> (usize, usize) {
    let room = [0_u64; WORDS];
    let range = std::hint::black_box(&room).as_ptr_range();
    (range.start as usize, range.end as usize)
}

/// Asked once per thread: some microseconds.
fn stack_of_this_thread() -> Range<usize> {
    thread_local!(static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) });
    let (start, end) = STACK.get().unwrap_or_else(|| {
        let stack = current_stack().unwrap_or(0..0);
        STACK.set(Some((stack.start, stack.end)));
        (stack.start, stack.end)
    });
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    const MARK: u64 = 0x0000_1234_5678_9ab8;

    #[inline(never)]
    fn leaves_marks() {
        let marks = [black_box(MARK); 1000];
        black_box(&marks);
    }

    #[inline(never)]
    fn holds_a_mark(cleared: &Cleared, mark: u64, found: &mut u32) {
        let kept = [mark; 3];
        black_box(&kept);
        cleared.words(usize::MAX, |word| *found += u32::from(word == mark));
        black_box(&kept);
    }

    /// Room that nobody writes to, as a big frame has.
    #[inline(never)]
    fn big_frame(cleared: &Cleared, found: &mut u32) {
        let room = [std::mem::MaybeUninit::<u64>::uninit(); 500];
        black_box(&room);
        cleared.words(usize::MAX, |word| *found += u32::from(word == MARK));
        black_box(&room);
    }

    #[test]
    fn what_living_frames_hold_is_found() {
        let cleared = Cleared::below_here();
        let mut found = 0;
        holds_a_mark(&cleared, MARK + 8, &mut found);
        assert!(found >= 3, "{found}");
    }

    #[test]
    fn what_earlier_calls_have_left_is_not_found() {
        leaves_marks();
        let cleared = Cleared::below_here();
        let mut found = 0;
        big_frame(&cleared, &mut found);
        assert_eq!(found, 0);
        // The test sees what it should not: the same without clearing it again.
        leaves_marks();
        big_frame(&cleared, &mut found);
        assert!(found > 0, "nothing is left on this stack");
    }

    #[test]
    fn a_smaller_stack_is_cleared_as_far_as_it_has_room() {
        let small = std::thread::Builder::new().stack_size(192 << 10);
        let look = || {
            let cleared = Cleared::below_here();
            let mut found = 0;
            holds_a_mark(&cleared, MARK + 24, &mut found);
            (cleared.end - cleared.start, found >= 3)
        };
        let seen = small.spawn(look).expect("starts").join();
        assert_eq!(seen.expect("no overflow"), (CLEARED_OF_SMALL, true));
    }

    #[test]
    fn a_small_stack_is_left_alone() {
        let small = std::thread::Builder::new().stack_size(48 << 10);
        let look = || {
            let cleared = Cleared::below_here();
            let mut found = 0;
            holds_a_mark(&cleared, MARK + 16, &mut found);
            (cleared.start, found)
        };
        let seen = small.spawn(look).expect("starts").join();
        assert_eq!(seen.expect("no overflow"), (0, 0));
    }
}
