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
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Of ten samples of a thread so many must agree; those of a future, which are no samples, all.
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
        (all * AGREE_OF_TEN).div_ceil(10)
    } else {
        all
    };
    if ways.first().is_some_and(|way| !way.whole) {
        return somewhere(ways, enough);
    }
    let mut shared = from_the_poll(ways, enough);
    // The function that polls is of the layer's type, unless the whole request was inlined into it.
    if shared.len() > 1 {
        shared.remove(0);
    }
    shared
}

/// The way that at least `enough` samples have gone, from its beginning.
fn from_the_poll(ways: &[Way<'_>], enough: u32) -> Vec<u64> {
    let mut together: Vec<&Way<'_>> = ways.iter().collect();
    let mut shared = Vec::new();
    loop {
        let at = shared.len();
        let next = |way: &Way<'_>| way.functions.get(at).copied();
        let Some(function) = most(
            together.iter().filter_map(|w| Some((next(w)?, w.samples))),
            enough,
        ) else {
            return shared;
        };
        together.retain(|way| next(way) == Some(function));
        shared.push(function);
    }
}

/// The functions that at least `enough` samples have, in the order of their addresses.
fn somewhere(ways: &[Way<'_>], enough: u32) -> Vec<u64> {
    let has = |function: u64| {
        let having = ways.iter().filter(|way| way.functions.contains(&function));
        having.map(|way| way.samples).sum::<u32>()
    };
    let all = ways.iter().flat_map(|way| way.functions.iter().copied());
    let mut shared: Vec<u64> = all.filter(|f| has(*f) >= enough).collect();
    shared.sort_unstable();
    shared.dedup();
    shared
}

/// The function that at least `enough` samples name, which is more than half of them.
fn most(named: impl Iterator<Item = (u64, u32)> + Clone, enough: u32) -> Option<u64> {
    let of = |function: u64| {
        let same = named.clone().filter(|(f, _)| *f == function);
        same.map(|(_, samples)| samples).sum::<u32>()
    };
    let mut candidates = named.clone();
    candidates
        .find(|(function, _)| of(*function) >= enough.max(1))
        .map(|(f, _)| f)
}
