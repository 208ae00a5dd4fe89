//! Threads that run: inside malloc, the loader, an unwinding panic, assembly, the vDSO.

use crate::runner::{Tally, Verdict, captures};
use crate::target::{
    DEADLINE, has_function, is_rooted, jitter, recurse, start, start_with_stack, tight,
};
use redhanded_capture::{NoStack, Sampler, Thread};
use std::ffi::CStr;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const NAMES: &[&str] = &[
    "malloc",
    "panic",
    "dlopen",
    "ring",
    "regex",
    "tight",
    "deep_recursion",
    "memcpy",
    "vdso",
    "syscalls",
    "sort",
    "format",
    "backtrace",
];

/// Rounds of the workload: a target that was deadlocked makes no more of them.
static LAPS: AtomicU64 = AtomicU64::new(0);

fn lap() {
    LAPS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn run(name: &str) -> Option<Verdict> {
    let (thread, at_least) = match name {
        "malloc" => (start(malloc), 0.99),
        // In the middle of an unwinding the registers are being rebuilt: no tables describe that.
        "panic" => (start(panic), 0.80),
        // A library that is gone has no tables either.
        "dlopen" => (start(dlopen), 0.90),
        "ring" => (start(ring), 0.99),
        "regex" => (start(regex), 0.99),
        "tight" => (start(tight), 1.0),
        "memcpy" => (start(memcpy), 0.99),
        "vdso" => (start(vdso), 0.99),
        "syscalls" => (start(syscalls), 0.99),
        "sort" => (start(sort), 0.99),
        "format" => (start(format), 0.99),
        "backtrace" => (start(backtraces), 0.90),
        "deep_recursion" => return Some(deep_recursion()),
        _ => return None,
    };
    Some(hammer(&thread, at_least, name == "tight"))
}

fn hammer(thread: &Thread, at_least: f64, never_laps: bool) -> Verdict {
    let mut sampler = Sampler::new();
    wait_until_rooted(&mut sampler, thread, never_laps)?;
    let (mut tally, mut seed, mut times) = (Tally::default(), 1, Vec::new());
    let mut refused = 0;
    while tally.captures + refused < captures() {
        jitter(&mut seed);
        let begun = Instant::now();
        let sample = match sampler.sample(thread, DEADLINE) {
            Ok(sample) => sample,
            Err(NoStack::Moved) => {
                refused += 1;
                continue;
            }
            Err(reason) => return Err(format!("after {} captures: {reason}", tally.captures)),
        };
        times.push(begun.elapsed());
        tally.captures += 1;
        tally.complete += usize::from(sample.stack.complete);
        if sample.stack.complete && !is_rooted(&sample.stack) {
            tally.impossible += 1;
            tally.note_example(&sample.stack);
        }
        if never_laps && !has_function(&sample.stack, tight as fn() as usize) {
            return Err(format!("tight is not in {:?}", sample.stack));
        }
    }
    if !never_laps {
        still_works()?;
    }
    if (tally.complete as f64) < at_least * tally.captures as f64 {
        return Err(format!(
            "{} of {} are complete, {at_least} expected",
            tally.complete, tally.captures
        ));
    }
    let figures = format!("{}, {refused} refused", percentiles(&mut times));
    tally.note.insert_str(0, &figures);
    Ok(tally)
}

/// A thread that has just begun is still in std's code.
fn wait_until_rooted(sampler: &mut Sampler, thread: &Thread, is_tight: bool) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let result = sampler.sample(thread, DEADLINE);
        let is_there =
            |stack| is_rooted(stack) && (!is_tight || has_function(stack, tight as fn() as usize));
        match result {
            Ok(sample) if is_there(&sample.stack) => return Ok(()),
            result if begun.elapsed() > Duration::from_secs(20) => {
                return Err(format!("never began: {result:?}"));
            }
            _ => {}
        }
    }
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| {
        times
            .get(((times.len() as f64 - 1.0) * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    format!("capture and walk p50 {:.0?} p99 {:.0?}", at(0.5), at(0.99))
}

/// The target goes on after the last capture.
fn still_works() -> Result<(), String> {
    let (before, begun) = (LAPS.load(Ordering::Relaxed), Instant::now());
    while LAPS.load(Ordering::Relaxed) == before {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err("DEADLOCK: the target makes no progress".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Deeper than what is copied: the innermost frames are right, and it says that there are more.
fn deep_recursion() -> Verdict {
    let thread = start_with_stack(256 << 20, || {
        recurse(100_000, &mut tight);
    });
    let mut sampler = Sampler::new();
    let mut tally = Tally::default();
    let begun = Instant::now();
    while tally.captures < captures() {
        let sample = sampler
            .sample(&thread, DEADLINE)
            .map_err(|reason| reason.to_string())?;
        if sample.stack.frames.len() < 100 || !has_function(&sample.stack, tight as fn() as usize) {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(format!(
                    "never got deep: {} frames",
                    sample.stack.frames.len()
                ));
            }
            continue; // on its way down
        }
        tally.captures += 1;
        tally.complete += usize::from(sample.stack.complete);
        let recursing = recurse as fn(usize, &mut dyn FnMut()) -> usize as usize as u64;
        let strangers = sample
            .stack
            .frames
            .iter()
            .filter(|frame| frame.function != Some(recursing))
            .count();
        tally.impossible += usize::from(sample.stack.complete || strangers > 3);
    }
    tally.note = "complete: false is right here".to_owned();
    Ok(tally)
}

fn malloc() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut seed = 12_345u64;
    loop {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if blocks.len() > 64 {
            blocks.swap_remove((seed >> 40) as usize % 64);
        }
        blocks.push(black_box(Vec::with_capacity(
            1500 + (seed >> 33) as usize % 60_000,
        )));
        lap();
    }
}

struct Noisy(u64);

impl Drop for Noisy {
    fn drop(&mut self) {
        black_box(self.0);
    }
}

#[inline(never)]
fn panic_at(depth: u64) {
    let local = Noisy(depth);
    if depth == 0 {
        std::panic::panic_any(7u32);
    }
    panic_at(depth - 1);
    black_box(&local);
}

fn panic() {
    std::panic::set_hook(Box::new(|_| {}));
    loop {
        let _ = std::panic::catch_unwind(|| panic_at(20));
        lap();
    }
}

/// A library that is not loaded yet, so that each round loads and unloads it.
fn loadable() -> &'static CStr {
    let candidates = [
        c"libz.so.1",
        c"libresolv.so.2",
        c"libcrypt.so.1",
        c"libnss_dns.so.2",
        c"libutil.so.1",
        c"libm.so.6",
    ];
    let can_load = |name: &&CStr| {
        // SAFETY: the names are C strings, and none of these libraries does anything when it is loaded.
        unsafe {
            libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW).is_null()
                && !libc::dlopen(name.as_ptr(), libc::RTLD_LAZY).is_null()
        }
    };
    candidates
        .into_iter()
        .find(can_load)
        .unwrap_or(c"libm.so.6")
}

fn dlopen() {
    let name = loadable();
    // SAFETY: as above; the first close takes back what the search opened.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
        libc::dlclose(handle);
        libc::dlclose(handle);
        loop {
            let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null(), "{name:?} was there before");
            libc::dlclose(handle);
            lap();
        }
    }
}

fn ring() {
    use ring::{aead, digest, rand, signature};
    let random = rand::SystemRandom::new();
    let key = |algorithm, bytes: &[u8]| {
        aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, bytes).expect("right length"))
    };
    let keys = [
        key(&aead::AES_128_GCM, &[1; 16]),
        key(&aead::CHACHA20_POLY1305, &[1; 32]),
    ];
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("generates");
    let signer = signature::EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
        .expect("reads it back");
    let mut buffer = vec![0u8; 65_536];
    loop {
        black_box(digest::digest(&digest::SHA256, &buffer));
        black_box(digest::digest(&digest::SHA512, &buffer));
        for key in &keys {
            let nonce = aead::Nonce::assume_unique_for_key([0; 12]);
            let _ =
                black_box(key.seal_in_place_separate_tag(nonce, aead::Aad::empty(), &mut buffer));
        }
        black_box(signer.sign(&random, &buffer[..100]).expect("signs"));
        lap();
    }
}

fn regex() {
    let pattern = fancy_regex::RegexBuilder::new(r"^(a+)+b\1$")
        .backtrack_limit(200_000)
        .build()
        .expect("compiles");
    let text = "a".repeat(60);
    loop {
        black_box(pattern.is_match(&text).ok());
        lap();
    }
}

fn memcpy() {
    let from = vec![1u8; 1 << 22];
    let mut to = vec![0u8; 1 << 22];
    loop {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        lap();
    }
}

fn vdso() {
    loop {
        for _ in 0..1000 {
            black_box(Instant::now());
        }
        lap();
    }
}

fn syscalls() {
    loop {
        for _ in 0..100 {
            // SAFETY: getppid takes no arguments and cannot fail.
            black_box(unsafe { libc::syscall(libc::SYS_getppid) });
        }
        let _ = black_box(std::fs::File::open("/dev/null"));
        lap();
    }
}

fn sort() {
    loop {
        let mut numbers: Vec<u32> = (0..20_000u32)
            .map(|number| number.wrapping_mul(2_654_435_761))
            .collect();
        numbers.sort();
        black_box(&numbers);
        lap();
    }
}

fn format() {
    use std::fmt::Write;
    loop {
        let mut text = String::new();
        for number in 0..100 {
            let _ = write!(
                text,
                "{:?} {:>8.3} {number:x}",
                Some(number),
                f64::from(number) * 1.37
            );
        }
        black_box(&text);
        lap();
    }
}

fn backtraces() {
    loop {
        let _ = black_box(std::backtrace::Backtrace::force_capture());
        lap();
    }
}
