//! The frame pointer of a blocked thread, which `/proc` does not tell.
//!
//! Functions compiled with a frame pointer (std's own are) say "the frame begins 16 bytes above RBP", and RBP is unknown.
//! Two ways to find it, both checked against the machine code: how far the prologue moved the stack pointer, or the first
//! word up the stack that a call to this very function left. A plausible but false stack is the worst outcome, so the walk
//! keeps a guess only if it then reaches the outermost frame.

use super::memory;
use super::modules::Modules;
use super::walk::{Rules, StackCopy, rests_on_frame_pointer};
use crate::arch::{self, CALL_BYTES, Call, FRAME_START_BYTES};
use gimli::UnwindContext;

/// A canonical frame address that was found without the frame pointer.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) cfa: u64,
    /// The return address follows a direct call to this very function.
    pub(super) is_sure: bool,
}

/// The call that a return address follows, through the linkage table if it leads there; `None` if there is none, so that it is
/// no return address.
pub(super) fn call_before(modules: &Modules, return_address: u64) -> Option<Call> {
    let text = &modules.find(return_address)?.text;
    let code_at = return_address.checked_sub(CALL_BYTES as u64)?;
    if code_at < text.start || return_address > text.end {
        return None;
    }
    let call = arch::call_before(return_address, &memory::array(code_at)?)?;
    let target = match call {
        Call::Direct(target) => through_table(target),
        Call::Stored(at) => memory::array(at).map(u64::from_le_bytes)?,
        Call::Indirect => return Some(call),
    };
    modules.find(target).map(|_| Call::Direct(target))
}

fn through_table(target: u64) -> u64 {
    let stored = memory::array(target).and_then(|code| arch::jump_through(target, &code));
    let found = stored.and_then(memory::array).map(u64::from_le_bytes);
    found.unwrap_or(target)
}

/// The frame address of the function that `rules` describe, whose stack pointer is `sp` at `pc`.
pub(super) fn frame_address(
    modules: &Modules,
    context: &mut UnwindContext<usize>,
    rules: &Rules<'_>,
    stack: StackCopy<'_>,
    sp: u64,
    pc: u64,
) -> Option<Found> {
    frame_pointer_offset(context, rules)?;
    frame_address_by_prologue(modules, context, rules, stack, sp, pc)
        .or_else(|| by_search(modules, stack, sp, rules.function()))
}

/// How far the frame begins above the frame pointer; `None` if it does not rest on it.
fn frame_pointer_offset(context: &mut UnwindContext<usize>, rules: &Rules<'_>) -> Option<i64> {
    let row = rules
        .fde
        .unwind_info_for_address(&rules.section, &rules.bases, context, rules.offset)
        .ok()?;
    rests_on_frame_pointer(row.cfa())
}

/// The frame address by how far the prologue moved the stack pointer.
pub(super) fn frame_address_by_prologue(
    modules: &Modules,
    context: &mut UnwindContext<usize>,
    rules: &Rules<'_>,
    stack: StackCopy<'_>,
    sp: u64,
    pc: u64,
) -> Option<Found> {
    const LONGEST_PROLOGUE: u64 = 250;
    let above_frame_pointer = frame_pointer_offset(context, rules)?;
    let body = after_frame_start(context, rules)?;
    let executed = pc.checked_sub(body)?.min(LONGEST_PROLOGUE);
    let size = arch::frame_size(&memory::bytes(body, executed)?)?;
    let cfa = sp
        .checked_add(size)?
        .checked_add_signed(above_frame_pointer)?;
    let call = call_before(modules, stack.read(cfa.checked_sub(8)?)?)?;
    Some(Found {
        cfa,
        is_sure: call == Call::Direct(rules.function()),
    })
}

/// Address after the `mov rbp, rsp` that began this instruction's frame: the tables switch to RBP there.
fn after_frame_start(context: &mut UnwindContext<usize>, rules: &Rules<'_>) -> Option<u64> {
    let mut rows = rules.fde.rows(&rules.section, &rules.bases, context).ok()?;
    let (mut found, mut was_on_frame_pointer) = (None, false);
    while let Ok(Some(row)) = rows.next_row() {
        if row.start_address() > rules.offset {
            break;
        }
        let is_on_frame_pointer = rests_on_frame_pointer(row.cfa()).is_some();
        if is_on_frame_pointer && !was_on_frame_pointer {
            let at = row.start_address().wrapping_add(rules.bias);
            let start = memory::array(at.checked_sub(FRAME_START_BYTES as u64)?)?;
            found = arch::starts_frame(&start).then_some(at).or(found);
        }
        was_on_frame_pointer = is_on_frame_pointer;
    }
    found
}

/// Looks up the stack for a saved frame pointer and a return address of a call to `function`.
fn by_search(modules: &Modules, stack: StackCopy<'_>, sp: u64, function: u64) -> Option<Found> {
    let mut at = sp.checked_add(7)? & !7;
    loop {
        let (saved, return_address) = (stack.read(at)?, stack.read(at.checked_add(8)?)?);
        let is_frame = match call_before(modules, return_address) {
            Some(Call::Direct(target)) => target == function,
            Some(_) => saved > at && saved < stack.end(),
            None => false,
        };
        if is_frame {
            return Some(Found {
                cfa: at.checked_add(16)?,
                is_sure: false,
            });
        }
        at = at.checked_add(8)?;
    }
}
