//! ① Whom a thread's allocations are charged to, and what a request holds with its children.
//!
//! Next to nothing is done where the global allocator does not count, and what is called from the hot
//! path is cold: who does not count pays for the question only.

use crate::engine::Engine;
use crate::family;
use crate::registry::{Slot, WORTH_TELLING};
use parking_lot::Mutex;
use redhanded_capture::alloc::{Account, is_counting, live_bytes};

/// What threads of ours have allocated and freed. There are few of them: three an install.
static OWN_BOOKS: Mutex<Vec<&'static Account>> = Mutex::new(Vec::new());

/// What this thread of ours allocates from now on stands in books of its own: names take megabytes, and
/// are no sign of anything. Takes a few bytes for ever.
pub(crate) fn keep_own_books() {
    if is_counting() {
        let books: &'static Account = Box::leak(Box::default());
        OWN_BOOKS.lock().push(books);
        books.enter();
    }
}

/// What the application holds of memory, and not we, in bytes; an upper bound, as it may free what we have made.
pub(crate) fn of_the_application() -> i64 {
    let books = OWN_BOOKS.lock();
    let ours = books
        .iter()
        .map(|own| own.allocated().wrapping_sub(own.freed()));
    let ours = ours.fold(0_u64, u64::wrapping_add);
    live_bytes().wrapping_sub(ours.cast_signed())
}

/// This thread works for the request in `slot` from now on, which has not yet entered its poll.
#[cold]
#[inline(never)]
pub(crate) fn charge(slot: &'static Slot) {
    slot.memory.charge(slot.poll_mark().sequence == 0);
}

/// It does no more; a request that has come to hold much is told to the watchdog.
#[cold]
#[inline(never)]
pub(crate) fn settle(slot: &'static Slot) {
    if slot.memory.settle() {
        tell(slot);
    }
}

#[cold]
#[inline(never)]
fn tell(slot: &'static Slot) {
    let told = Engine::of(slot.key)
        .is_some_and(|engine| engine.grown.tell(slot.key, slot.hand.generation()));
    if told {
        slot.memory.tell_from(u64::MAX);
    }
}

/// The ticket of `slot` is about to close: what a child leaves is its request's, what a request leaves
/// is nobody's.
#[cold]
#[inline(never)]
pub(crate) fn close(slot: &'static Slot) {
    if slot.poll_mark().sequence == 0 {
        return;
    }
    match family::live_parent(slot) {
        Some(parent) => bequeath(slot, parent),
        None => slot.memory.close(),
    }
}

#[cold]
fn bequeath(slot: &'static Slot, parent: &'static Slot) {
    let (allocated, held) = (slot.memory.allocated(), slot.memory.held());
    parent.extra(parent.hand.generation(), |extra| {
        let (all, left) = &mut extra.left_by_children;
        *all = all.saturating_add(allocated);
        *left = left.saturating_add(held);
    });
    slot.memory.clear();
    // Its children together may have come to hold much, each of them little.
    if balance(parent).held >= WORTH_TELLING.cast_signed() && parent.memory.is_untold() {
        tell(parent);
    }
}

/// What a request has allocated and what it holds, its children included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Bytes allocated.
    pub(crate) allocated: u64,
    /// Bytes allocated and not freed; negative for who frees what others have allocated.
    pub(crate) held: i64,
    /// What its children hold of that.
    pub(crate) by_children: i64,
}

/// The balance of what has `slot`: alone for a child, with its children for a request.
pub(crate) fn balance(slot: &'static Slot) -> Balance {
    let generation = slot.hand.generation();
    let extra = slot.extra_if_any(generation, |extra| {
        (extra.children().0, extra.left_by_children)
    });
    let (children, (mut allocated, mut by_children)) = extra.unwrap_or_default();
    let live = children
        .into_iter()
        .filter_map(|(key, generation)| family::slot_of(key, generation));
    for child in live.filter(|child| child.poll_mark().sequence > 0) {
        allocated = allocated.saturating_add(child.memory.allocated());
        by_children = by_children.saturating_add(child.memory.held());
    }
    let began = slot.poll_mark().sequence > 0;
    let own = if began { slot.memory.held() } else { 0 };
    let own_allocated = if began { slot.memory.allocated() } else { 0 };
    Balance {
        allocated: allocated.saturating_add(own_allocated),
        held: by_children.saturating_add(own),
        by_children,
    }
}
