//! Saved registers that are not to be trusted.
//!
//! To land in a panic's landing pad, libgcc writes that frame's registers over its own saved ones and then "returns". In that
//! moment the frames between seem to be gone: the chain leads on, plausibly, from the wrong place. Functions that return so are
//! known by saving the two registers that carry the exception, which no other function does. What they saved is in doubt until a
//! frame further out brings its own, or a call to the very function proves the frame that rests on it.

use crate::arch::{EXCEPTION_REGISTERS, REGISTERS};
use gimli::{CfaRule, Register, RegisterRule, UnwindTableRow};

/// Which registers are in doubt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt([bool; REGISTERS]);

impl Doubt {
    /// Whether a frame's address rests on a doubtful register.
    pub(super) fn concerns(&self, rule: &CfaRule<usize>) -> bool {
        match rule {
            CfaRule::RegisterAndOffset { register, .. } => self
                .0
                .get(usize::from(register.0))
                .copied()
                .unwrap_or_default(),
            CfaRule::Expression(_) => self.0.contains(&true),
        }
    }

    /// Goes from a frame to its caller: what the frame saved is as good as the frame is.
    pub(super) fn pass(&mut self, row: &UnwindTableRow<usize>) {
        let saves = |register: usize| {
            matches!(
                row.register(Register(register as u16)),
                Some(RegisterRule::Offset(_))
            )
        };
        let is_replaced = EXCEPTION_REGISTERS.into_iter().all(saves);
        for (register, doubtful) in self.0.iter_mut().enumerate() {
            if saves(register) {
                *doubtful = is_replaced;
            }
        }
    }
}
