//! An allocator that counts: bytes for whom the thread works for, and for the whole process.
//!
//! Each thread has an account that its allocations are charged to, or none; whoever polls something
//! [charges](charge_to) it while he does. An account has one writer at a time, so that counting is a
//! load, an addition and a store, and may be read from anywhere meanwhile. A free is charged to the
//! account of the thread that frees, whoever allocated: what one has and another frees is still held
//! in the books of the first. The [count of the process](live_bytes) has no such error, and what is
//! [charged to nobody](unowned_bytes) shrinks by what nobody frees for others.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// A thread tells the process what it has counted whenever it comes to so many bytes.
const BATCH: i64 = 32 << 10;

/// Whether the program's global allocator is ours.
static COUNTING: AtomicBool = AtomicBool::new(false);
/// Bytes allocated and not freed, but for what threads have not told yet.
static LIVE: AtomicI64 = AtomicI64::new(0);
/// Those among them that are in nobody's account.
static UNOWNED: AtomicI64 = AtomicI64::new(0);

struct Here {
    account: Cell<Option<&'static Account>>,
    untold: Cell<i64>,
    untold_unowned: Cell<i64>,
}

thread_local! {
    // const and without Drop: it takes no memory when it is first used, and may be used until the end
    static HERE: Here = const {
        Here { account: Cell::new(None), untold: Cell::new(0), untold_unowned: Cell::new(0) }
    };
}

/// What was allocated and freed on somebody's behalf, in bytes.
///
/// Written by one thread at a time, the one that [charges](charge_to) it; two at once lose counts and
/// nothing else. Both counts wrap.
#[derive(Debug, Default)]
pub struct Account {
    allocated: AtomicU64,
    freed: AtomicU64,
}

impl Account {
    /// An account without entries.
    pub const fn new() -> Self {
        Self {
            allocated: AtomicU64::new(0),
            freed: AtomicU64::new(0),
        }
    }

    /// Bytes allocated.
    #[inline]
    pub fn allocated(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// Bytes freed, by whoever was charged when they were; may be more than were allocated.
    #[inline]
    pub fn freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }

    /// Begins anew.
    #[inline]
    pub fn reset(&self) {
        self.allocated.store(0, Ordering::Relaxed);
        self.freed.store(0, Ordering::Relaxed);
    }

    /// `bytes` were handed to somebody who frees them: they count as freed here, and are nobody's.
    #[inline]
    pub fn hand_out(&self, bytes: u64) {
        add(&self.freed, bytes);
        disown(bytes.cast_signed());
    }

    /// It is charged no more: what it holds is nobody's.
    #[inline]
    pub fn close(&self) {
        disown(self.allocated().wrapping_sub(self.freed()).cast_signed());
    }
}

/// By the only writer, so that it needs no locked instruction.
#[inline]
fn add(count: &AtomicU64, bytes: u64) {
    let sum = count.load(Ordering::Relaxed).wrapping_add(bytes);
    count.store(sum, Ordering::Relaxed);
}

/// From now on this thread's allocations are charged to `account`; returns who was charged before.
#[inline]
pub fn charge_to(account: Option<&'static Account>) -> Option<&'static Account> {
    HERE.try_with(|here| here.account.replace(account))
        .ok()
        .flatten()
}

/// Threads that may be set apart at once.
const MOST_APART: usize = 32;

/// The accounts of threads that are set apart.
static APART: [Apart; MOST_APART] = [const { Apart::new() }; MOST_APART];

struct Apart {
    is_taken: AtomicBool,
    account: Account,
}

impl Apart {
    const fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            account: Account::new(),
        }
    }

    /// One writer after the other: the next sees what the last has written.
    fn take(&self) -> bool {
        let taken = &self.is_taken;
        taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// This thread is set apart until this is dropped.
#[derive(Debug)]
#[must_use = "a thread is set apart for as long as this lives"]
pub struct SetApart {
    nth: Option<usize>,
    before: Option<&'static Account>,
    /// It belongs to the thread.
    _here: PhantomData<*const ()>,
}

/// From now on what this thread allocates is neither the application's nor nobody's: it works for those who look, not
/// for those who are looked at. Beyond 32 such threads at once it is nobody's, as before.
///
/// ```
/// use redhanded_capture::alloc::{apart_bytes, set_apart};
///
/// let apart = set_apart();
/// let ours = vec![0_u8; 100];
/// drop(ours);
/// drop(apart);
/// assert_eq!(apart_bytes(), 0);
/// ```
pub fn set_apart() -> SetApart {
    let nth = APART.iter().position(Apart::take);
    let account = nth.and_then(|nth| APART.get(nth)).map(|a| &a.account);
    SetApart {
        nth,
        before: account.and_then(|account| charge_to(Some(account))),
        _here: PhantomData,
    }
}

impl Drop for SetApart {
    fn drop(&mut self) {
        let Some(apart) = self.nth.and_then(|nth| APART.get(nth)) else {
            return;
        };
        charge_to(self.before);
        apart.is_taken.store(false, Ordering::Release);
    }
}

/// Bytes that threads which are [set apart](set_apart), or were, have allocated and not freed; [`live_bytes`] has them
/// too.
pub fn apart_bytes() -> i64 {
    let held = |apart: &Apart| {
        let account = &apart.account;
        account
            .allocated()
            .wrapping_sub(account.freed())
            .cast_signed()
    };
    APART.iter().map(held).fold(0, i64::wrapping_add)
}

/// Whether allocations are counted: [`Counting`] was found to be the program's global allocator.
#[inline]
pub fn is_counting() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// Looks whether [`Counting`] is the program's global allocator, by an allocation of its own; until
/// then nothing is charged to anybody.
pub fn detect() -> bool {
    static PROBE: Account = Account::new();
    if is_counting() {
        return true;
    }
    let before = charge_to(Some(&PROBE));
    drop(black_box(Box::new(black_box(0_u64))));
    charge_to(before);
    let counts = PROBE.allocated() > 0;
    COUNTING.store(counts, Ordering::Relaxed);
    counts
}

/// Bytes that the whole process has allocated and not freed, to within 32 KiB a thread; what a
/// thread had counted and not told when it ended is missing. Zero when nothing is counted.
pub fn live_bytes() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

/// The same for what is in no account, to within 32 KiB a thread: was allocated outside of any, handed
/// out, or left by one that was closed.
pub fn unowned_bytes() -> i64 {
    UNOWNED.load(Ordering::Relaxed)
}

/// A global allocator that counts what `A` does, and changes nothing about it.
///
/// It adds a nanosecond to an allocation: two additions in memory of the thread's own, no lock and no
/// locked instruction. It never allocates itself and never panics; an allocation that fails is not
/// counted.
///
/// ```
/// use redhanded_capture::alloc::{Counting, detect};
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: Counting<System> = Counting::new(System);
///
/// assert!(detect());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<A = System>(A);

impl<A> Counting<A> {
    /// Counts what `inner` allocates and frees.
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

#[inline]
fn allocated(bytes: usize) {
    // An error means that this thread has no thread-locals any more: then nobody is charged.
    let _ = HERE.try_with(|here| {
        match here.account.get() {
            Some(account) => add(&account.allocated, bytes as u64),
            None => batch(&here.untold_unowned, &UNOWNED, bytes as i64),
        }
        batch(&here.untold, &LIVE, bytes as i64);
    });
}

#[inline]
fn freed(bytes: usize) {
    let _ = HERE.try_with(|here| {
        let less = (bytes as i64).wrapping_neg();
        match here.account.get() {
            Some(account) => add(&account.freed, bytes as u64),
            None => batch(&here.untold_unowned, &UNOWNED, less),
        }
        batch(&here.untold, &LIVE, less);
    });
}

fn disown(bytes: i64) {
    let _ = HERE.try_with(|here| batch(&here.untold_unowned, &UNOWNED, bytes));
}

/// Counts `bytes` in `untold`, and tells `all` when they have come to something.
#[inline]
fn batch(untold: &Cell<i64>, all: &AtomicI64, bytes: i64) {
    let sum = untold.get().wrapping_add(bytes);
    if sum.unsigned_abs() < BATCH.unsigned_abs() {
        untold.set(sum);
    } else {
        tell(untold, all, sum);
    }
}

#[cold]
#[inline(never)]
fn tell(untold: &Cell<i64>, all: &AtomicI64, sum: i64) {
    untold.set(0);
    all.fetch_add(sum, Ordering::Relaxed);
}

// SAFETY: every call is handed to `A` with the caller's arguments and its answer is returned as it
// is, so that the contract holds as it holds for `A`. Counting touches atomics and a thread-local
// that needs no memory and has no destructor; it neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `A`.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives a block that came from here, so from `A`, with its layout.
        unsafe { self.0.dealloc(block, layout) };
        freed(layout.size());
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is that of `A`.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller gives a block that came from here, so from `A`, with its layout, and a
        // size that is valid for `A`.
        let moved = unsafe { self.0.realloc(block, layout, new_size) };
        if !moved.is_null() {
            freed(layout.size());
            allocated(new_size);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard};

    /// Those that look at the process's counts run one after the other.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().expect("no panic")
    }

    /// Fails whatever is larger than a kilobyte.
    struct Small;

    // SAFETY: as System, or a refusal.
    unsafe impl GlobalAlloc for Small {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if layout.size() > 1024 {
                return std::ptr::null_mut();
            }
            // SAFETY: as the caller's.
            unsafe { System.alloc(layout) }
        }
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as the caller's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    fn on_account(work: impl FnOnce(&Counting<Small>)) -> (u64, u64) {
        let account: &'static Account = Box::leak(Box::default());
        let before = charge_to(Some(account));
        work(&Counting::new(Small));
        charge_to(before);
        (account.allocated(), account.freed())
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 8).expect("a layout")
    }

    #[test]
    fn what_threads_hold_that_are_set_apart_is_known_and_stays_when_they_end() {
        let _alone = alone();
        let (before, unowned) = (apart_bytes(), unowned_bytes());
        let keep = std::thread::spawn(|| {
            let _apart = set_apart();
            // SAFETY: not empty.
            unsafe { Counting::new(Small).alloc_zeroed(layout(1000)) as usize }
        });
        let keep = keep.join().expect("no panic");
        assert_eq!(apart_bytes() - before, 1000);
        let apart = set_apart();
        let many: Vec<*mut u8> = (0..100)
            // SAFETY: not empty.
            .map(|_| unsafe { Counting::new(Small).alloc(layout(1000)) })
            .collect();
        assert_eq!(apart_bytes() - before, 101_000);
        for block in many.into_iter().chain([keep as *mut u8]) {
            // SAFETY: allocated above with this layout.
            unsafe { Counting::new(Small).dealloc(block, layout(1000)) };
        }
        assert_eq!(apart_bytes(), before);
        let others = unowned_bytes() - unowned;
        assert!(others.abs() <= BATCH, "{others}");
        drop(apart);
        let outside = charge_to(None);
        assert!(outside.is_none(), "charged to nobody again");
    }

    #[test]
    fn what_succeeds_is_counted_and_what_fails_is_not() {
        let counted = on_account(|counting| {
            // SAFETY: layouts are not empty, blocks are freed once with their own.
            unsafe {
                let block = counting.alloc(layout(100));
                let zeroed = counting.alloc_zeroed(layout(200));
                assert_eq!(*zeroed, 0);
                assert!(counting.alloc(layout(5000)).is_null());
                assert!(counting.realloc(block, layout(100), 5000).is_null());
                let block = counting.realloc(block, layout(100), 300);
                counting.dealloc(block, layout(300));
                counting.dealloc(zeroed, layout(200));
            }
        });
        assert_eq!(counted, (100 + 200 + 300, 100 + 300 + 200));
    }

    #[test]
    fn the_process_knows_what_threads_have_counted_in_batches() {
        let _alone = alone();
        let before = live_bytes();
        let keep: Vec<*mut u8> = (0..1000)
            // SAFETY: not empty.
            .map(|_| unsafe { Counting::new(Small).alloc(layout(1000)) })
            .collect();
        let grown = live_bytes() - before;
        assert!((960_000..=1_040_000).contains(&grown), "{grown}");
        for block in keep {
            // SAFETY: allocated above with this layout.
            unsafe { Counting::new(Small).dealloc(block, layout(1000)) };
        }
        let left = live_bytes() - before;
        assert!(left.abs() <= 2 * BATCH, "{left}");
    }

    #[test]
    fn who_was_charged_before_is_charged_again() {
        static OUTER: Account = Account::new();
        static INNER: Account = Account::new();
        let nobody = charge_to(Some(&OUTER));
        assert!(nobody.is_none());
        let outer = charge_to(Some(&INNER));
        allocated(7);
        charge_to(outer);
        allocated(5);
        freed(3);
        charge_to(None);
        allocated(1000);
        assert_eq!(
            (INNER.allocated(), OUTER.allocated(), OUTER.freed()),
            (7, 5, 3)
        );
    }

    #[test]
    fn what_is_handed_out_or_left_is_nobodys() {
        static OWNER: Account = Account::new();
        let _alone = alone();
        // Other tests come to less than that.
        const MUCH: u64 = 1 << 40;
        let before = unowned_bytes();
        let nobody = charge_to(Some(&OWNER));
        allocated(3 << 40);
        charge_to(nobody);
        assert!((unowned_bytes() - before).unsigned_abs() < MUCH / 2);
        OWNER.hand_out(MUCH);
        assert_eq!((unowned_bytes() - before) / (MUCH / 2) as i64, 2);
        OWNER.close();
        assert_eq!((unowned_bytes() - before + BATCH) >> 40, 3);
        freed(3 << 40);
        assert!((unowned_bytes() - before).unsigned_abs() < MUCH / 2);
    }

    #[test]
    fn counts_wrap_and_begin_anew() {
        let account = Account::new();
        add(&account.freed, u64::MAX);
        add(&account.freed, 3);
        assert_eq!(account.freed(), 2);
        account.reset();
        assert_eq!((account.allocated(), account.freed()), (0, 0));
    }

    #[test]
    fn without_the_allocator_nothing_is_counted() {
        assert!(!detect() && !is_counting());
    }
}
