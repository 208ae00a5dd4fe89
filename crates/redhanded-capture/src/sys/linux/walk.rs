//! From registers and a copied stack to a chain of frames, by the unwind tables (DWARF call frame information).

use super::doubt::Doubt;
use super::memory;
use super::modules::{Loaded, Modules};
use super::recover;
use crate::arch::{self, Call, FRAME_POINTER, REGISTERS, RETURN_ADDRESS, Registers, STACK_POINTER};
use crate::{RawFrame, RawStack};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, FrameDescriptionEntry, LittleEndian,
    Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow,
};

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Fde<'a> = FrameDescriptionEntry<Bytes<'a>>;

/// 64 KiB of the smallest frames that compilers make; more would be a loop that we failed to see.
const MOST_FRAMES: usize = 4096;

/// A copied stack.
#[derive(Clone, Copy)]
pub(super) struct StackCopy<'a> {
    pub(super) base: u64,
    pub(super) bytes: &'a [u8],
}

impl StackCopy<'_> {
    pub(super) fn read(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let word = self.bytes.get(at..at.checked_add(8)?)?;
        word.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }
}

/// Walks one stack.
pub(super) struct Walker<'a> {
    modules: &'a Modules,
    context: &'a mut UnwindContext<usize>,
    stack: StackCopy<'a>,
    registers: Registers,
    /// The instruction pointer is a return address: the call before it is what runs.
    is_return: bool,
    /// The frame pointer was not known from the start, so that to look for it is no sign of a chain gone astray.
    may_recover: bool,
    doubt: Doubt,
    /// How many frames were sure when a frame was first guessed; see [`recover`].
    sure: Option<usize>,
}

/// Where one step ended.
enum Step {
    /// The caller's registers are in place.
    Caller,
    /// This frame has no caller.
    Outermost,
}

/// The chain cannot be followed further.
struct Lost;

/// What the tables say about one instruction.
pub(super) struct Rules<'a> {
    pub(super) section: EhFrame<Bytes<'a>>,
    pub(super) bases: BaseAddresses,
    pub(super) fde: Fde<'a>,
    /// The instruction's address in the file.
    pub(super) offset: u64,
    pub(super) bias: u64,
}

impl<'a> Rules<'a> {
    pub(super) fn find(loaded: &'a Loaded, address: u64) -> Option<Self> {
        let tables = loaded.tables.as_ref()?;
        let bias = loaded.module.bias;
        let bases = BaseAddresses::default()
            .set_eh_frame_hdr(tables.index_at.wrapping_sub(bias))
            .set_eh_frame(tables.frames_at.wrapping_sub(bias))
            .set_text(loaded.text.start.wrapping_sub(bias));
        let section = EhFrame::new(&tables.frames, LittleEndian);
        let offset = address.wrapping_sub(bias);
        let index = EhFrameHdr::new(&tables.index, LittleEndian)
            .parse(&bases, 8)
            .ok()?;
        let table = index.table()?;
        let entry = table
            .pointer_to_offset(table.lookup(offset, &bases).ok()?)
            .ok()?;
        let fde = section
            .fde_from_offset(&bases, entry, EhFrame::cie_from_offset)
            .ok()?;
        fde.contains(offset).then_some(Self {
            section,
            bases,
            fde,
            offset,
            bias,
        })
    }

    pub(super) fn function(&self) -> u64 {
        self.fde.initial_address().wrapping_add(self.bias)
    }
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        modules: &'a Modules,
        context: &'a mut UnwindContext<usize>,
        stack: StackCopy<'a>,
        registers: Registers,
    ) -> Self {
        Self {
            modules,
            context,
            stack,
            registers,
            is_return: false,
            may_recover: registers[FRAME_POINTER].is_none(),
            doubt: Doubt::default(),
            sure: None,
        }
    }

    /// The whole chain, or as much of it as is sure.
    pub(super) fn walk(mut self) -> RawStack {
        let mut frames = Vec::with_capacity(64);
        while frames.len() < MOST_FRAMES {
            match self.step(&mut frames) {
                Ok(Step::Caller) => {}
                Ok(Step::Outermost) => {
                    return RawStack {
                        frames,
                        complete: true,
                    };
                }
                Err(Lost) => break,
            }
        }
        // A guess that leads to the outermost frame, each return address on its way following a call, was right. Another
        // one may have led astray: what came of it is not told.
        frames.truncate(self.sure.unwrap_or(frames.len()));
        RawStack {
            frames,
            complete: false,
        }
    }

    fn step(&mut self, frames: &mut Vec<RawFrame>) -> Result<Step, Lost> {
        let pc = self.registers[RETURN_ADDRESS].ok_or(Lost)?;
        let address = if self.is_return {
            pc.wrapping_sub(1)
        } else {
            pc
        };
        let modules = self.modules;
        let loaded = modules.find(address);
        let rules = loaded.and_then(|loaded| Rules::find(loaded, address));
        frames.push(RawFrame {
            address,
            function: rules.as_ref().map(Rules::function),
            module: loaded.map(|loaded| loaded.module.clone()),
            sp: self.registers[STACK_POINTER],
        });
        match rules {
            Some(rules) => self.unwind(&rules, pc, frames.len()),
            None => self.pop_return_address(),
        }
    }

    /// Code without rules in the innermost frame: a call through a wild pointer, or a system call in hand-written assembly.
    /// If the stack pointer stands on a return address, that is the caller.
    fn pop_return_address(&mut self) -> Result<Step, Lost> {
        let sp = self.registers[STACK_POINTER]
            .filter(|_| !self.is_return)
            .ok_or(Lost)?;
        let caller = self.stack.read(sp).ok_or(Lost)?;
        recover::call_before(self.modules, caller).ok_or(Lost)?;
        self.registers[STACK_POINTER] = Some(sp.wrapping_add(8));
        self.registers[RETURN_ADDRESS] = Some(caller);
        self.is_return = true;
        Ok(Step::Caller)
    }

    fn unwind(&mut self, rules: &Rules<'_>, pc: u64, depth: usize) -> Result<Step, Lost> {
        let cfa = match self.frame_address(rules)? {
            Some(cfa) => cfa,
            None if self.may_recover => self.recover_frame_address(rules, pc, depth)?,
            None => return Err(Lost),
        };
        let is_doubtful = self.is_doubtful(rules, pc, cfa)?;
        let row = rules
            .fde
            .unwind_info_for_address(&rules.section, &rules.bases, self.context, rules.offset)
            .map_err(|_| Lost)?;
        let rule = row.register(Register(RETURN_ADDRESS as u16));
        if matches!(rule, None | Some(RegisterRule::Undefined)) {
            return Ok(Step::Outermost);
        }
        let caller = callers_registers(row, rules, cfa, &self.registers, self.stack);
        let return_address = caller[RETURN_ADDRESS].ok_or(Lost)?;
        if return_address == 0 {
            // Some runtimes mark their outermost frame so. After a guess it is only a word that happened to be zero.
            return if self.sure.is_none() {
                Ok(Step::Outermost)
            } else {
                Err(Lost)
            };
        }
        // The stack grows down: a caller that is not above its callee is a loop.
        let no_progress = self.is_return && caller[STACK_POINTER] <= self.registers[STACK_POINTER];
        if no_progress
            || (caller[STACK_POINTER] == self.registers[STACK_POINTER] && return_address == pc)
        {
            return Err(Lost);
        }
        let is_believable = if is_doubtful {
            recover::call_before(self.modules, return_address)
                == Some(Call::Direct(rules.function()))
        } else {
            self.sure.is_none() || recover::call_before(self.modules, return_address).is_some()
        };
        if !is_believable {
            return Err(Lost);
        }
        self.doubt.pass(row);
        self.is_return = !rules.fde.is_signal_trampoline();
        self.registers = caller;
        Ok(Step::Caller)
    }

    /// The canonical frame address by the rules; `None` if they need a register that is not known.
    fn frame_address(&mut self, rules: &Rules<'_>) -> Result<Option<u64>, Lost> {
        let row = rules
            .fde
            .unwind_info_for_address(&rules.section, &rules.bases, self.context, rules.offset)
            .map_err(|_| Lost)?;
        Ok(match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = self
                    .registers
                    .get(usize::from(register.0))
                    .copied()
                    .flatten();
                base.map(|base| base.wrapping_add_signed(*offset))
            }
            CfaRule::Expression(expression) => {
                evaluate(expression, rules, None, &self.registers, self.stack)
            }
        })
    }

    /// Whether the frame rests on a register in doubt and the stack pointer, with the prologue, does not lead to the same place.
    fn is_doubtful(&mut self, rules: &Rules<'_>, pc: u64, cfa: u64) -> Result<bool, Lost> {
        let row = rules
            .fde
            .unwind_info_for_address(&rules.section, &rules.bases, self.context, rules.offset)
            .map_err(|_| Lost)?;
        if !self.doubt.concerns(row.cfa()) {
            return Ok(false);
        }
        let sp = self.registers[STACK_POINTER].ok_or(Lost)?;
        let by_prologue = recover::frame_address_by_prologue(
            self.modules,
            self.context,
            rules,
            self.stack,
            sp,
            pc,
        );
        Ok(by_prologue.is_none_or(|found| found.cfa != cfa))
    }

    fn recover_frame_address(
        &mut self,
        rules: &Rules<'_>,
        pc: u64,
        depth: usize,
    ) -> Result<u64, Lost> {
        let sp = self.registers[STACK_POINTER].ok_or(Lost)?;
        let found = recover::frame_address(self.modules, self.context, rules, self.stack, sp, pc)
            .ok_or(Lost)?;
        if !found.is_sure {
            self.sure.get_or_insert(depth);
        }
        Ok(found.cfa)
    }
}

fn callers_registers(
    row: &UnwindTableRow<usize>,
    rules: &Rules<'_>,
    cfa: u64,
    registers: &Registers,
    stack: StackCopy<'_>,
) -> Registers {
    let mut caller = [None; REGISTERS];
    for (number, value) in caller.iter_mut().enumerate() {
        *value = match row.register(Register(number as u16)) {
            None if number == STACK_POINTER => Some(cfa),
            None if arch::is_callee_saved(number) => registers[number],
            None | Some(RegisterRule::Undefined) => None,
            Some(RegisterRule::SameValue) => registers[number],
            Some(RegisterRule::Offset(offset)) => stack.read(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => {
                registers.get(usize::from(other.0)).copied().flatten()
            }
            Some(RegisterRule::Expression(expression)) => {
                evaluate(&expression, rules, Some(cfa), registers, stack)
                    .and_then(|address| stack.read(address))
            }
            Some(RegisterRule::ValExpression(expression)) => {
                evaluate(&expression, rules, Some(cfa), registers, stack)
            }
            Some(_) => None,
        };
    }
    caller
}

/// A DWARF expression's value. Hand-written assembly uses them with memory operands, which is why a general evaluator is here.
fn evaluate(
    expression: &UnwindExpression<usize>,
    rules: &Rules<'_>,
    initial: Option<u64>,
    registers: &Registers,
    stack: StackCopy<'_>,
) -> Option<u64> {
    use gimli::{EvaluationResult, Location, Value};
    const MOST_STEPS: u32 = 1000;
    let expression = expression.get(&rules.section).ok()?;
    let mut evaluation = expression.evaluation(rules.fde.cie().encoding());
    evaluation.set_max_iterations(MOST_STEPS);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = registers.get(usize::from(register.0)).copied().flatten()?;
                evaluation
                    .resume_with_register(Value::Generic(value))
                    .ok()?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let word = stack
                    .read(address)
                    .or_else(|| memory::array(address).map(u64::from_le_bytes))?;
                let value = if size < 8 {
                    word & ((1 << (size * 8)) - 1)
                } else {
                    word
                };
                evaluation.resume_with_memory(Value::Generic(value)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result().last()?.location {
        Location::Address { address } => Some(address),
        _ => None,
    }
}

/// Registers of which only two are known, as `/proc` tells them.
pub(super) fn two_registers(sp: u64, pc: u64) -> Registers {
    let mut registers = [None; REGISTERS];
    registers[STACK_POINTER] = Some(sp);
    registers[RETURN_ADDRESS] = Some(pc);
    registers
}

/// Whether a frame's rule rests on the frame pointer.
pub(super) fn rests_on_frame_pointer(rule: &CfaRule<usize>) -> Option<i64> {
    match rule {
        CfaRule::RegisterAndOffset {
            register: Register(number),
            offset,
        } if usize::from(*number) == FRAME_POINTER => Some(*offset),
        _ => None,
    }
}
