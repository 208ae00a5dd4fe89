//! What runaways of one kind have in common: the same number for the same culprit, in every process of
//! one build, without names.
//!
//! It is made of the way from the watched request to where it hangs, as functions of the main binary:
//!
//! - What the runtime, hyper and the layers outside of ours do lies on the other side of the function that polls
//!   the request, and is left out: another worker, another runtime, another connection make no difference.
//! - Which function a sample finds innermost is luck. Only what nearly all samples share is looked at.
//! - Recursion is as deep as it happens to be: a function counts where it comes first.
//! - The callers belong to it: a lock, a query or a regular expression is not guilty, who calls it is. One helper that
//!   hangs under two handlers is two fingerprints with the same culprit.
//! - A loop of reads may be found on the CPU or in the kernel, and a wait for a silent host may be seen as that or as
//!   a stuck await. So the class is as coarse as the kind of the evidence: a poll that does not return, or a future that waits.

use crate::case::Sampled;
use redhanded_report::{Class, StackKind};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Of ten samples of a thread so many must agree; the leaves of a future, which are no samples, all.
const AGREE_OF_TEN: u32 = 9;

/// The fingerprint of what was found on `route`, which stands in where there is no stack.
pub(super) fn fingerprint(class: Class, stacks: &[Sampled], route: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    let ways = ways(stacks);
    let shared = shared(&ways);
    if shared.is_empty() {
        (family(class), route).hash(&mut hasher);
        return hasher.finish();
    }
    let waits = stacks.first().is_some_and(|s| s.kind == StackKind::Await);
    let build_id = ways.first().and_then(|way| way.build_id);
    (waits, build_id, shared).hash(&mut hasher);
    hasher.finish()
}

/// What a verdict without a stack is about: a request that others keep from running, or one whose client is
/// slow, is not of a kind with one that hangs by itself.
fn family(class: Class) -> &'static str {
    match class {
        Class::Starved | Class::ClientStalled => class.as_str(),
        _ => "hangs",
    }
}

/// The functions of the main binary in one stack, from the one that polls the request to the innermost.
struct Way<'a> {
    build_id: Option<&'a str>,
    /// Relative to the load bias, each where it came first.
    functions: Vec<u64>,
    samples: u32,
    of_thread: bool,
    /// It begins with the function that polls the request. Else the stack was too deep to be copied as a whole, and
    /// where it begins is luck.
    whole: bool,
}

fn ways(stacks: &[Sampled]) -> Vec<Way<'_>> {
    let mut ways: Vec<Way<'_>> = stacks.iter().map(way).collect();
    ways.retain(|way| !way.functions.is_empty());
    if ways.iter().any(|way| way.whole) {
        ways.retain(|way| way.whole);
    }
    ways
}

fn way(sampled: &Sampled) -> Way<'_> {
    let frames = &sampled.stack.frames;
    let within = sampled.called.map_or(frames.len(), |called| called + 1);
    let mut known = HashSet::new();
    let (mut functions, mut build_id) = (Vec::new(), None);
    for frame in frames.iter().take(within).rev() {
        let module = frame.module.as_ref().filter(|module| module.is_main);
        let (Some(module), Some(function)) = (module, frame.function) else {
            continue;
        };
        build_id = module.build_id.as_deref();
        let function = function.wrapping_sub(module.bias);
        if known.insert(function) {
            functions.push(function);
        }
    }
    Way {
        build_id,
        functions,
        samples: sampled.samples,
        of_thread: sampled.kind == StackKind::Thread,
        whole: sampled.called.is_some(),
    }
}

/// What nearly all of them share.
fn shared(ways: &[Way<'_>]) -> Vec<u64> {
    let all: u32 = ways.iter().map(|way| way.samples).sum();
    let of_threads = ways.first().is_some_and(|way| way.of_thread);
    let enough = if of_threads {
        (all.saturating_mul(AGREE_OF_TEN)).div_ceil(10)
    } else {
        all
    };
    if ways.first().is_some_and(|way| !way.whole) {
        return somewhere(ways, enough);
    }
    let mut shared = from_the_poll(ways, enough.max(1));
    // The function that polls is of the layer's type, unless the whole request was inlined into it.
    if shared.len() > 1 {
        shared.remove(0);
    }
    shared
}

/// The way that at least `enough` samples have gone, from its beginning.
fn from_the_poll(ways: &[Way<'_>], enough: u32) -> Vec<u64> {
    let mut together: Vec<&Way<'_>> = ways.iter().collect();
    let mut way = Vec::new();
    loop {
        let at = way.len();
        let next = |way: &Way<'_>| way.functions.get(at).copied();
        let named = together.iter().filter_map(|w| Some((next(w)?, w.samples)));
        let Some((function, _)) = most(named).filter(|(_, samples)| *samples >= enough) else {
            return way;
        };
        together.retain(|way| next(way) == Some(function));
        way.push(function);
    }
}

/// The functions that at least `enough` samples have, in the order of their addresses.
fn somewhere(ways: &[Way<'_>], enough: u32) -> Vec<u64> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for way in ways {
        for function in &way.functions {
            *counts.entry(*function).or_default() += way.samples;
        }
    }
    counts.retain(|_, samples| *samples >= enough);
    counts.into_keys().collect()
}

/// The function that most samples name, and how many do.
fn most(named: impl Iterator<Item = (u64, u32)>) -> Option<(u64, u32)> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for (function, samples) in named {
        *counts.entry(function).or_default() += samples;
    }
    counts.into_iter().max_by_key(|(_, samples)| *samples)
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redhanded_capture::{Module, RawFrame, RawStack};
    use std::sync::Arc;

    const ROUTE: u64 = 7;

    /// A stack of functions, the outermost first, in a main binary that was loaded at `bias`. The third is the one
    /// that polls the request.
    fn stack(samples: u32, bias: u64, functions: &[u64]) -> Sampled {
        let mut module = Module::default();
        (module.bias, module.is_main) = (bias, true);
        let module = Arc::new(module);
        let frame = |(at, function): (usize, &u64)| RawFrame {
            address: bias + function + 9,
            function: Some(bias + function),
            module: Some(module.clone()),
            sp: Some(1_000 - 10 * at as u64),
        };
        let frames = functions.iter().enumerate().map(frame).rev().collect();
        let stack = RawStack {
            frames,
            complete: true,
        };
        let mut sampled = Sampled::of_thread(stack, 985);
        sampled.samples = samples;
        sampled
    }

    fn of(stacks: &[Sampled]) -> u64 {
        fingerprint(Class::CpuLoop, stacks, ROUTE)
    }

    fn one(functions: &[u64]) -> u64 {
        of(&[stack(20, 0, functions)])
    }

    #[test]
    fn what_polls_the_request_and_what_calls_that_makes_no_difference() {
        let known = one(&[1, 2, 3, 40, 50]);
        assert_eq!(
            one(&[8, 9, 3, 40, 50]),
            known,
            "another worker, another runtime"
        );
        assert_eq!(one(&[8, 9, 4, 40, 50]), known, "another layer");
        assert_ne!(one(&[1, 2, 3, 40, 60]), known, "another culprit");
        assert_ne!(one(&[1, 2, 3, 41, 50]), known, "another caller");
        assert_ne!(one(&[1, 2, 3]), one(&[1, 2, 4]), "inlined into what polls");
    }

    #[test]
    fn where_it_was_loaded_makes_no_difference() {
        let here = of(&[stack(20, 0x5000, &[1, 2, 3, 40, 50])]);
        assert_eq!(here, one(&[1, 2, 3, 40, 50]));
    }

    #[test]
    fn what_happens_to_be_innermost_makes_no_difference() {
        let known = one(&[1, 2, 3, 40, 50]);
        let lucky = |inner: u64, none: u32| {
            of(&[
                stack(4, 0, &[1, 2, 3, 40, 50, inner]),
                stack(4, 0, &[1, 2, 3, 40, 50, inner + 1, 9]),
                stack(none, 0, &[1, 2, 3, 40, 50]),
                stack(1, 0, &[1, 2, 3, 40]),
            ])
        };
        assert_eq!((lucky(60, 6), lucky(70, 12)), (known, known));
    }

    #[test]
    fn how_deep_a_recursion_is_makes_no_difference() {
        let known = one(&[1, 2, 3, 40, 50, 60]);
        assert_eq!(one(&[1, 2, 3, 40, 50, 60, 50, 60, 50]), known);
    }

    #[test]
    fn a_loop_of_reads_is_one_culprit_whatever_its_class() {
        let stacks = [stack(20, 0, &[1, 2, 3, 40])];
        let of = |class| fingerprint(class, &stacks, ROUTE);
        assert_eq!(of(Class::CpuLoop), of(Class::BlockedThread));
    }

    #[test]
    fn without_a_stack_it_is_the_route_and_what_it_suffers_from() {
        let of = |class, route| fingerprint(class, &[], route);
        assert_eq!(of(Class::StuckAwait, 1), of(Class::Unknown, 1));
        assert_ne!(of(Class::StuckAwait, 1), of(Class::StuckAwait, 2));
        assert_ne!(of(Class::StuckAwait, 1), of(Class::Starved, 1));
    }

    #[test]
    fn a_future_is_cut_where_it_is_captured_and_its_leaves_must_agree() {
        let leaf = |functions: &[u64]| {
            let mut sampled = stack(1, 0, functions);
            sampled.kind = StackKind::Await;
            sampled.called = Some(functions.len() - 2);
            sampled
        };
        let known = of(&[leaf(&[1, 2, 30, 40, 50])]);
        assert_eq!(of(&[leaf(&[8, 9, 30, 40, 50])]), known);
        let two = |a: u64, b: u64| of(&[leaf(&[1, 2, 30, 40, a]), leaf(&[1, 2, 30, 40, b])]);
        assert_eq!(two(50, 60), two(60, 50), "in any order");
        assert_eq!(two(50, 60), of(&[leaf(&[1, 2, 30, 40])]), "what they share");
        assert_ne!(
            known,
            one(&[1, 2, 30, 40, 50]),
            "a poll that does not return is another thing"
        );
    }

    proptest! {
        #[test]
        fn any_stacks_have_a_fingerprint_and_their_order_makes_none_other(
            stacks in proptest::collection::vec((0_u32..30, proptest::collection::vec(0_u64..6, 0..12)), 0..6),
        ) {
            let mut all: Vec<Sampled> = stacks.iter().map(|(n, f)| stack(*n, 0, f)).collect();
            let (paths, sum) = (ways(&all).len(), stacks.iter().map(|(n, _)| n).sum::<u32>());
            let known = of(&all);
            prop_assert_eq!(of(&all), known);
            if paths <= 1 || sum == 0 {
                all.reverse();
                prop_assert_eq!(of(&all), known);
            }
        }
    }
}
