//! ⑥ Names for what was captured: functions, files and lines, and the user's own frame to blame.

use super::phase;
use crate::calls::CallPhase;
use crate::case::Sampled;
use crate::memory;
use redhanded_capture::{RawStack, Symbolizer, classify_leaf, futures_of, trim_await};
use redhanded_report::{Culprit, Frame, Stack, StackKind, WaitKind, WaitingFor};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Stacks that a report carries.
const STACKS: usize = 4;
/// A function that is found so often in every stack recurses.
const RECURSES: usize = 2;
/// Symbolising may delay the first line by so much.
const DELAY: Duration = Duration::from_millis(100);

/// Names stacks, and knows whether that will be quick.
pub(super) struct Namer {
    symbolizer: Symbolizer,
    /// What the last naming of new addresses took; the first one loads the debug information.
    last_cold: Option<Duration>,
    /// A symbolizer that is being loaded elsewhere, so that no line waits for it.
    loading: Option<Receiver<Loaded>>,
}

/// A symbolizer that has loaded the debug information, and what that took.
type Loaded = (Symbolizer, Duration);

/// Stacks with names, and what follows from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) stacks: Vec<Stack>,
    pub(super) culprit: Option<Culprit>,
    /// Where a pending future waits, such as `tokio::sync::Mutex::lock`.
    pub(super) leaf: Option<String>,
    pub(super) waiting_for: Option<WaitingFor>,
    /// What all of its leaves wait for, those that are known; what a timer is around is in here, the timer is not.
    pub(super) kinds: Vec<WaitKind>,
    /// The phase of an outbound call that its leaf is in, by the names of its client.
    pub(super) phase: Option<CallPhase>,
    /// These are stacks of a pending future, not of a thread.
    pub(super) awaits: bool,
    /// It does not wait at its leaf, but yields to tokio's scheduler.
    pub(super) yields: bool,
    /// Its leaf is a set of futures, which wakes it when one of them is woken.
    pub(super) waits_for_a_set: bool,
}

impl Namer {
    pub(super) fn new() -> Self {
        Self {
            symbolizer: Symbolizer::new(),
            last_cold: None,
            loading: None,
        }
    }

    /// Something may be caught soon: loads the debug information with `stack`, on a thread of its
    /// own that ends with that. Only the first time; without the thread, the first catch loads it.
    pub(super) fn prepare(&mut self, stack: RawStack) {
        if self.last_cold.is_some() || self.loading.is_some() {
            return;
        }
        let (send, loading) = sync_channel(1);
        let load = move || {
            memory::keep_own_books();
            let begun = Instant::now();
            let mut symbolizer = Symbolizer::new();
            symbolizer.symbolize(&stack);
            let _ = send.send((symbolizer, begun.elapsed()));
        };
        let spawned = std::thread::Builder::new()
            .name("redhanded-names".to_owned())
            .spawn(load);
        self.loading = spawned.ok().map(|_| loading);
    }

    fn loaded(&mut self, (symbolizer, took): Loaded) {
        self.symbolizer = symbolizer;
        // Loading is over; what comes now are single addresses.
        self.last_cold = Some(took.min(DELAY));
        self.loading = None;
    }

    /// Whether naming would delay a line by more than it may.
    pub(super) fn is_slow<'a>(&mut self, mut stacks: impl Iterator<Item = &'a RawStack>) -> bool {
        if let Some(loaded) = self.loading.as_ref().and_then(|l| l.try_recv().ok()) {
            self.loaded(loaded);
        }
        let warm = stacks.all(|stack| self.symbolizer.is_warm(stack));
        !warm && self.last_cold.is_none_or(|took| took > DELAY)
    }

    pub(super) fn name(&mut self, sampled: &[Sampled]) -> Named {
        let warm = |namer: &Self| sampled.iter().all(|s| namer.symbolizer.is_warm(&s.stack));
        // The line is on disk by now, if this is still loading: better wait than load twice.
        if !warm(self)
            && let Some(loaded) = self.loading.take().and_then(|l| l.recv().ok())
        {
            self.loaded(loaded);
        }
        let warm = warm(self);
        let begun = Instant::now();
        let stacks = sampled
            .iter()
            .map(|s| to_stack(s, self.symbolizer.symbolize(&s.stack)))
            .collect();
        if !warm {
            self.last_cold = Some(begun.elapsed());
        }
        conclude(stacks)
    }

    /// The user's functions that a request is made of, by what drops their futures.
    pub(super) fn futures(&mut self, dropped_by: &RawStack) -> Vec<String> {
        futures_of(&self.symbolizer.symbolize(dropped_by))
    }

    /// Stacks as the first durable line carries them: modules and offsets.
    pub(super) fn raw(&self, sampled: &[Sampled]) -> Vec<Stack> {
        sampled
            .iter()
            .take(STACKS)
            .map(|s| to_stack(s, self.symbolizer.raw(&s.stack)))
            .collect()
    }
}

fn to_stack(sampled: &Sampled, frames: Vec<Frame>) -> Stack {
    let mut stack = Stack::default();
    stack.kind = sampled.kind;
    stack.samples = sampled.samples;
    stack.complete = sampled.stack.complete;
    stack.frames = frames;
    stack
}

/// Who is to blame in these stacks. Pure.
fn conclude(mut stacks: Vec<Stack>) -> Named {
    let mut named = Named {
        awaits: stacks.first().is_some_and(|s| s.kind == StackKind::Await),
        ..Named::default()
    };
    if named.awaits {
        await_leaf(&mut stacks, &mut named);
    } else {
        let frame = shared_user_frame(&stacks).or_else(|| recursing(&stacks));
        named.culprit = frame.map(culprit_of);
    }
    named.phase = stacks.first().and_then(|stack| phase::of(&stack.frames));
    stacks.truncate(STACKS);
    named.stacks = stacks;
    named
}

/// The frame of the user's code that all samples share, innermost. Its line is the one that most
/// samples stood in: they are at different places of the loop.
fn shared_user_frame<'a>(stacks: &'a [Stack]) -> Option<&'a Frame> {
    let (first, others) = stacks.split_first()?;
    let root = |s: &'a Stack| s.frames.iter().rev();
    let shared = |other: &'a Stack| {
        root(first)
            .zip(root(other))
            .take_while(|(a, b)| same_place(a, b))
            .count()
    };
    let depth = others
        .iter()
        .map(shared)
        .min()
        .unwrap_or(first.frames.len());
    let at = first
        .frames
        .iter()
        .rev()
        .take(depth)
        .rposition(|f| f.user)?;
    let same_depth = |s: &'a Stack| s.frames.get(s.frames.len().checked_sub(at + 1)?);
    let candidates: Vec<(&Frame, u32)> = stacks
        .iter()
        .filter_map(|s| Some((same_depth(s)?, s.samples)))
        .collect();
    let votes = |line: Option<u32>| {
        candidates
            .iter()
            .filter(|(f, _)| f.line == line)
            .map(|(_, n)| n)
            .sum::<u32>()
    };
    candidates
        .iter()
        .map(|(f, _)| *f)
        .rev()
        .max_by_key(|f| votes(f.line))
}

/// The frame of the user's code that recurses in all samples, where they are too deep to reach down to the thread's
/// start: that they share nothing from their ends on says nothing then. At the line that it stands in most often.
fn recursing(stacks: &[Stack]) -> Option<&Frame> {
    if stacks.iter().all(|stack| stack.complete) {
        return None;
    }
    let own = |stack: &'_ Stack, function: &str| {
        let same = |f: &&Frame| f.user && f.function.as_deref() == Some(function);
        stack.frames.iter().filter(same).count()
    };
    let first = stacks.first()?.frames.iter().filter(|f| f.user);
    let mut functions: Vec<&str> = first.filter_map(|f| f.function.as_deref()).collect();
    functions.sort_unstable();
    functions.dedup();
    let least = |function: &str| stacks.iter().map(|s| own(s, function)).min().unwrap_or(0);
    let most = functions.iter().map(|f| least(f)).max().unwrap_or(0);
    // Of some that call each other, what a derive has made within a function has the longer name.
    functions.retain(|f| least(f) >= RECURSES && least(f) + 1 >= most);
    let function = functions.into_iter().min_by_key(|f| f.len())?;
    let frames = stacks.iter().flat_map(|stack| &stack.frames);
    let same = frames.filter(|f| f.user && f.function.as_deref() == Some(function));
    let mut lines: HashMap<Option<u32>, (usize, &Frame)> = HashMap::new();
    for frame in same {
        lines.entry(frame.line).or_insert((0, frame)).0 += 1;
    }
    let most = lines
        .into_iter()
        .max_by_key(|(line, (times, _))| (*times, *line));
    most.map(|(_, (_, frame))| frame)
}

/// The same function, or where nobody knows its name (the C library's start of a thread), the same
/// address.
fn same_place(a: &Frame, b: &Frame) -> bool {
    if a.function.is_none() && b.function.is_none() {
        return a.module == b.module && a.offset == b.offset;
    }
    a.function == b.function
}

fn culprit_of(frame: &Frame) -> Culprit {
    Culprit::new(
        frame.function.clone().unwrap_or_default(),
        frame.file.clone(),
        frame.line,
        frame.column,
    )
}

/// Trims every leaf's stack to the futures below the watched one; the first leaf that is not a mere
/// timer (a timeout around the real thing) says what is waited for.
fn await_leaf(stacks: &mut [Stack], named: &mut Named) {
    let mut leaves = Vec::new();
    for stack in stacks.iter_mut() {
        let (frames, label) = trim_await(std::mem::take(&mut stack.frames));
        let what = label
            .as_deref()
            .and_then(|label| classify_leaf(label, &frames));
        stack.frames = frames;
        leaves.push((label, what));
    }
    let is_timer = |w: &Option<WaitingFor>| w.as_ref().is_some_and(|w| w.kind == WaitKind::Timer);
    let kinds = leaves.iter().filter(|(_, what)| !is_timer(what));
    named.kinds = kinds
        .filter_map(|(_, what)| Some(what.as_ref()?.kind))
        .collect();
    let best = leaves
        .iter()
        .position(|(_, what)| !is_timer(what))
        .unwrap_or(0);
    stacks.swap(0, best.min(stacks.len().saturating_sub(1)));
    if let Some((label, what)) = leaves.into_iter().nth(best) {
        named.leaf = label;
        named.waiting_for = what;
    }
    named.waits_for_a_set = stacks.iter().all(is_set) && !stacks.is_empty();
    named.yields = named.leaf.as_deref().is_some_and(is_yield);
    named.culprit = stacks
        .first()
        .and_then(|s| s.frames.iter().find(|f| f.user))
        .map(culprit_of);
}

fn is_set(stack: &Stack) -> bool {
    let above = stack.frames.iter().take_while(|frame| !frame.user);
    let mut names = above.filter_map(|frame| frame.function.as_deref());
    names.any(|name| name.contains("FuturesUnordered"))
}

fn is_yield(leaf: &str) -> bool {
    leaf.starts_with("tokio::task::") && leaf.contains("yield_now")
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn frame(function: &str, line: u32) -> Frame {
        let mut frame = Frame::default();
        frame.function = Some(function.to_owned()).filter(|f| !f.is_empty());
        frame.line = Some(line);
        frame.user = function.starts_with("app::");
        frame
    }

    fn stack(samples: u32, frames: &[(&str, u32)]) -> Stack {
        let mut stack = Stack::default();
        stack.samples = samples;
        stack.frames = frames.iter().map(|(f, l)| frame(f, *l)).collect();
        stack
    }

    #[test]
    fn the_shared_frame_is_blamed_and_not_the_leaf_that_happens_to_be_on_top() {
        let stacks = [
            stack(
                3,
                &[
                    ("regex::step", 9),
                    ("app::matches", 12),
                    ("app::search", 40),
                    ("tokio::poll", 1),
                    ("", 0),
                ],
            ),
            stack(
                9,
                &[
                    ("app::helper", 7),
                    ("app::matches", 14),
                    ("app::search", 40),
                    ("tokio::poll", 1),
                    ("", 0),
                ],
            ),
        ];
        let found = shared_user_frame(&stacks).expect("a frame");
        assert_eq!(
            (found.function.as_deref(), found.line),
            (Some("app::matches"), Some(14))
        );
    }

    #[test]
    fn who_recurses_too_deep_for_its_stacks_to_have_an_end_is_blamed() {
        let deep = |inner: &[(&str, u32)], rest: &[(&str, u32)]| {
            let mut stack = stack(1, &[inner, rest].concat());
            stack.complete = false;
            stack
        };
        let level = [
            ("serde::visit", 5),
            ("app::visit_map", 7),
            ("app::Node", 36),
        ];
        let twice = [level, level].concat();
        // Each is cut off somewhere else.
        let stacks = [
            deep(&[("alloc::format", 1)], &twice),
            deep(&[("app::helper", 2)], &[&twice[..], &level[..1]].concat()),
            deep(&[("app::Node", 30)], &[&twice[..], &level[..2]].concat()),
        ];
        assert_eq!(shared_user_frame(&stacks[..2]), None);
        let found = conclude(stacks.to_vec()).culprit.expect("a culprit");
        assert_eq!(
            (found.function.as_str(), found.line),
            ("app::Node", Some(36))
        );
        let whole = stacks.map(|mut stack| {
            stack.complete = true;
            stack
        });
        assert_eq!(recursing(&whole), None, "those have an end, and share none");
        let once = [deep(&[], &level), deep(&[], &level[..2])];
        assert_eq!(recursing(&once), None, "that is no recursion");
    }

    #[test]
    fn nobody_is_blamed_where_only_the_runtime_is_shared() {
        let stacks = [
            stack(1, &[("app::a", 1), ("tokio::poll", 1)]),
            stack(1, &[("app::b", 1), ("tokio::poll", 1)]),
        ];
        assert!(shared_user_frame(&stacks).is_none());
    }
}
