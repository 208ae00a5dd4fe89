//! `x86_64`: register numbers, the signal context, and as much of the instruction set as proves a return address.

use std::arch::asm;
use std::ffi::c_void;

/// Registers that unwinding needs, in DWARF's numbering: sixteen general ones and the instruction pointer.
pub(crate) const REGISTERS: usize = 17;
pub(crate) const FRAME_POINTER: usize = 6;
pub(crate) const STACK_POINTER: usize = 7;
pub(crate) const RETURN_ADDRESS: usize = 16;
/// The two that carry an exception to its landing pad.
pub(crate) const EXCEPTION_REGISTERS: [usize; 2] = [0, 1];

/// Values of the registers; `None` where the value cannot be known.
pub(crate) type Registers = [Option<u64>; REGISTERS];

/// Where the signal context keeps each register of DWARF's order.
const CONTEXT_INDEX: [i32; REGISTERS] = [
    libc::REG_RAX,
    libc::REG_RDX,
    libc::REG_RCX,
    libc::REG_RBX,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_RBP,
    libc::REG_RSP,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RIP,
];

/// Whether a call leaves this register alone, so that a missing rule means "same value".
pub(crate) fn is_callee_saved(register: usize) -> bool {
    matches!(register, 3 | FRAME_POINTER | 12..=15)
}

/// The interrupted registers.
///
/// # Safety
/// `context` is the third argument of a running `SA_SIGINFO` handler.
pub(crate) unsafe fn interrupted_registers(context: *const c_void) -> [u64; REGISTERS] {
    // SAFETY: the kernel passes a `ucontext_t` that lives as long as the handler runs (the caller's promise).
    let saved = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    CONTEXT_INDEX.map(|index| saved[index as usize] as u64)
}

/// Address of the calling thread's control block: two threads that live at the same time never share one.
pub(crate) fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: the x86_64 ABI keeps the control block's own address in its first word, and `fs` always points at it.
    unsafe { asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly)) };
    pointer
}

/// Where a copy of the stack begins: below the stack pointer, as far as the ABI promises that nobody overwrites it.
///
/// In an epilogue the registers have been popped while the tables still say where they were saved: there, and nowhere else,
/// are their values found. Never leaves the stack pointer's own page, so that it cannot touch one that is not mapped.
pub(crate) fn live_from(sp: usize) -> usize {
    const RED_ZONE: usize = 128;
    const PAGE: usize = 4096;
    sp.saturating_sub(RED_ZONE).max(sp & !(PAGE - 1)) & !7
}

/// Copies bytes with one instruction: no call through the PLT, whose first use would enter the loader.
///
/// # Safety
/// `from` is readable and `to` writable for `count` bytes; they do not overlap.
pub(crate) unsafe fn copy_bytes(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's promise; the direction flag is clear at function entry by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags));
    }
}

/// How many registers [`kept_by_callees`] returns.
pub(crate) const KEPT: usize = 6;

/// The registers that a called function leaves as they were, and so may still be a caller's; and the stack pointer.
#[inline(always)]
pub(crate) fn kept_by_callees() -> ([u64; KEPT], usize) {
    let mut registers = [0; KEPT];
    let sp: usize;
    // SAFETY: six stores into an array of six words, and no register is changed but the one that `sp` names.
    unsafe {
        asm!(
            "mov [{to}], rbx",
            "mov [{to} + 8], rbp",
            "mov [{to} + 16], r12",
            "mov [{to} + 24], r13",
            "mov [{to} + 32], r14",
            "mov [{to} + 40], r15",
            "mov {sp}, rsp",
            to = in(reg) registers.as_mut_ptr(),
            sp = out(reg) sp,
            options(nostack, preserves_flags)
        );
    }
    (registers, sp)
}

/// Reads one word of the calling thread's own stack, whatever the language thinks of it.
///
/// # Safety
///
/// `address` must be aligned and mapped for as long as the call lasts. Whose variable lies there, and whether it was ever
/// written, does not matter: the read happens outside of what the compiler sees, and any bits are a number.
#[inline]
pub(crate) unsafe fn stack_word(address: usize) -> u64 {
    let word: u64;
    // SAFETY: the caller vouches for the address; one load, and nothing else is touched.
    unsafe {
        asm!("mov {}, [{}]", out(reg) word, in(reg) address, options(nostack, preserves_flags, readonly));
    }
    word
}

/// How many bytes before a return address [`call_before`] wants to see.
pub(crate) const CALL_BYTES: usize = 7;

/// A call instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// To this address.
    Direct(u64),
    /// To the address that is stored here: how a library's functions are called.
    Stored(u64),
    /// Through a register or other memory.
    Indirect,
}

/// The call instruction that ends at `address`, given the bytes before it; `None` if there cannot be one.
pub(crate) fn call_before(address: u64, code: &[u8; CALL_BYTES]) -> Option<Call> {
    if let [_, _, 0xe8, a, b, c, d] = *code {
        return Some(Call::Direct(
            address.wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d]))),
        ));
    }
    if let [_, 0xff, 0x15, a, b, c, d] = *code {
        return Some(Call::Stored(
            address.wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d]))),
        ));
    }
    // `ff /2` is 2 to 7 bytes long, by its addressing mode, with or without a REX prefix.
    let is_call = |length: usize| match code[CALL_BYTES - length..] {
        [0xff, mode, ..] => {
            (mode >> 3) & 7 == 2
                && indirect_length(mode, code[CALL_BYTES - length + 2..].first()) == Some(length)
        }
        [0x40..=0x4f, 0xff, mode, ..] => {
            (mode >> 3) & 7 == 2
                && indirect_length(mode, code[CALL_BYTES - length + 3..].first())
                    == Some(length - 1)
        }
        _ => false,
    };
    (2..=CALL_BYTES).any(is_call).then_some(Call::Indirect)
}

/// How many bytes of a function [`jump_through`] wants to see.
pub(crate) const JUMP_BYTES: usize = 11;

/// Where the target is stored that the code at `address` jumps to and does nothing else: an entry of a linkage table.
pub(crate) fn jump_through(address: u64, code: &[u8; JUMP_BYTES]) -> Option<u64> {
    const LANDING: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    let jump = code.strip_prefix(&LANDING).unwrap_or(code);
    let jump = jump.strip_prefix(&[0xf2]).unwrap_or(jump);
    let [0xff, 0x25, a, b, c, d, rest @ ..] = jump else {
        return None;
    };
    let end = address.wrapping_add((JUMP_BYTES - rest.len()) as u64);
    Some(end.wrapping_add_signed(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))))
}

/// Length of `ff` with this addressing mode; `scale` is the byte after it.
fn indirect_length(mode: u8, scale: Option<&u8>) -> Option<usize> {
    let (kind, base) = (mode >> 6, mode & 7);
    if kind == 3 {
        return Some(2);
    }
    let with_scale = usize::from(base == 4);
    let displacement = match kind {
        0 if base == 5 => 4,
        0 if base == 4 && scale? & 7 == 5 => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(2 + with_scale + displacement)
}

/// Length of `mov rbp, rsp`, which begins a frame with a frame pointer.
pub(crate) const FRAME_START_BYTES: usize = 3;

/// Whether these bytes are `mov rbp, rsp`.
pub(crate) fn starts_frame(code: &[u8; FRAME_START_BYTES]) -> bool {
    matches!(code, [0x48, 0x89, 0xe5] | [0x48, 0x8b, 0xec])
}

/// Distance from the frame pointer down to the stack pointer, from the instructions that follow `mov rbp, rsp`.
///
/// Reads pushes, subtractions and stack probes up to the first other instruction. `None` if the prologue aligns the stack.
/// A compiler may mix other instructions in: the answer is a guess until a return address is found where it points.
pub(crate) fn frame_size(prologue: &[u8]) -> Option<u64> {
    let mut size = 0u64;
    let mut code = prologue;
    loop {
        let (length, grows) = match code {
            [0x50..=0x57, ..] => (1, 8),
            [0x41, 0x50..=0x57, ..] => (2, 8),
            [0x48, 0x83, 0xec, n, ..] => (4, i64::from(n.cast_signed())),
            [0x48, 0x81, 0xec, a, b, c, d, ..] => {
                (7, i64::from(i32::from_le_bytes([*a, *b, *c, *d])))
            }
            [0x48, 0x81 | 0x83, 0xe4, ..] => return None,
            [0x48, 0xc7, 0x04, 0x24, 0, 0, 0, 0, ..] => (8, 0),
            [0x4c, 0x8d, 0x9c, 0x24, a, b, c, d, rest @ ..] if rest.starts_with(&PROBE_LOOP) => (
                8 + PROBE_LOOP.len() + 1,
                -i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            ),
            _ => return Some(size),
        };
        size = size.checked_add_signed(grows)?;
        code = code.get(length..)?;
    }
}

/// After `lea r11, [rsp - N]`: `sub rsp, 4096; mov qword ptr [rsp], 0; cmp rsp, r11; jne` (its distance follows).
const PROBE_LOOP: [u8; 19] = [
    0x48, 0x81, 0xec, 0x00, 0x10, 0x00, 0x00, 0x48, 0xc7, 0x04, 0x24, 0x00, 0x00, 0x00, 0x00, 0x4c,
    0x39, 0xdc, 0x75,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ending_with(tail: &[u8]) -> [u8; CALL_BYTES] {
        let mut code = [0x90; CALL_BYTES];
        code[CALL_BYTES - tail.len()..].copy_from_slice(tail);
        code
    }

    #[test]
    fn calls_are_told_from_other_bytes() {
        let near = ending_with(&[0xe8, 0xfb, 0xff, 0xff, 0xff]);
        assert_eq!(call_before(0x1000, &near), Some(Call::Direct(0x0ffb)));
        let stored = ending_with(&[0xff, 0x15, 0x10, 0, 0, 0]);
        assert_eq!(call_before(0x1000, &stored), Some(Call::Stored(0x1010)));
        let indirect: [&[u8]; 5] = [
            &[0xff, 0xd0],                               // call rax
            &[0x41, 0xff, 0xd4],                         // call r12
            &[0xff, 0x50, 0x18],                         // call [rax + 24]
            &[0xff, 0x14, 0xc8],                         // call [rax + rcx * 8]
            &[0xff, 0x94, 0xc8, 0x01, 0x02, 0x03, 0x04], // call [rax + rcx * 8 + …]
        ];
        for tail in indirect {
            assert_eq!(
                call_before(0x1000, &ending_with(tail)),
                Some(Call::Indirect),
                "{tail:x?}"
            );
        }
        assert_eq!(
            call_before(0x1000, &ending_with(&[0xff, 0xe0])),
            None,
            "jmp rax"
        );
        assert_eq!(
            call_before(0x1000, &ending_with(&[0xff, 0x50])),
            None,
            "half of call [rax + n]"
        );
    }

    #[test]
    fn the_prologue_of_std_is_measured() {
        // push r15; push rbx; sub rsp, 0x118; mov rax, rdi
        let code = [
            0x41, 0x57, 0x53, 0x48, 0x81, 0xec, 0x18, 1, 0, 0, 0x48, 0x89, 0xf8,
        ];
        assert_eq!(frame_size(&code), Some(8 + 8 + 0x118));
    }

    #[test]
    fn an_aligned_frame_is_not_guessed() {
        assert_eq!(frame_size(&[0x53, 0x48, 0x83, 0xe4, 0xe0, 0x90]), None);
    }

    #[test]
    fn a_cut_prologue_is_not_guessed() {
        assert_eq!(
            frame_size(&[0x53, 0x48, 0x81, 0xec]),
            Some(8),
            "the rest was not executed yet"
        );
    }

    #[test]
    fn an_entry_of_a_linkage_table_is_looked_through() {
        let plain = [0xff, 0x25, 4, 0, 0, 0, 0x68, 0, 0, 0, 0];
        assert_eq!(jump_through(0x1000, &plain), Some(0x100a));
        let guarded = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 4, 0, 0, 0];
        assert_eq!(jump_through(0x1000, &guarded), Some(0x100f));
        assert_eq!(jump_through(0x1000, &[0x55; JUMP_BYTES]), None);
    }

    #[test]
    fn a_copy_begins_in_the_red_zone_of_the_same_page() {
        assert_eq!(live_from(0x7f00_0000_0804), 0x7f00_0000_0780);
        assert_eq!(live_from(0x7f00_0000_0010), 0x7f00_0000_0000);
    }

    #[test]
    fn the_thread_pointer_is_this_threads_own() {
        let here = thread_pointer();
        let there =
            std::thread::scope(|scope| scope.spawn(thread_pointer).join().expect("no panic"));
        assert_ne!(here, there);
    }
}
