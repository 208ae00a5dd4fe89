//! Culprits that are easily taken for one another, and those that look different at every sample.

use axum::extract::Path;
use axum::routing::{MethodRouter, any};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::task::Poll;

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "either" => any(either),
        "one_caller" => any(async || black_box(hashes(1) + 1).to_string()),
        "other_caller" => any(async || black_box(hashes(2) * 3).to_string()),
        "words" => any(async || count_words().len().to_string()),
        "ups_and_downs" => any(async || black_box(ups_and_downs(0, 1)).to_string()),
        "deep_down" => any(async || black_box(deep_down(0)).to_string()),
        "long_polls" => any(long_polls),
        _ => return None,
    })
}

/// Two culprits on one route.
async fn either(Path(which): Path<String>) -> String {
    let sum = if which == "left" { left(7) } else { right(7) };
    sum.to_string()
}

#[inline(never)]
fn left(seed: u64) -> u64 {
    let mut n = seed;
    while black_box(n) != u64::MAX {
        n = n.wrapping_mul(31) & 0xffff;
    }
    n
}

#[inline(never)]
fn right(seed: u64) -> u64 {
    let mut n = seed;
    while black_box(n) != u64::MAX {
        n = n.rotate_left(3) & 0xffff;
    }
    n
}

/// One helper that two handlers call.
#[inline(never)]
fn hashes(seed: u64) -> u64 {
    let mut sum = seed;
    while black_box(sum) != u64::MAX {
        sum = black_box(sum.wrapping_mul(0x9e37_79b9) >> 3);
    }
    sum
}

/// A loop with some helpers, none of which has the most of its time.
fn count_words() -> BTreeMap<String, usize> {
    let text = "the quick brown fox jumps over the lazy dog and the dog does not care at all";
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    while black_box(words.len()) < usize::MAX {
        for word in text.split(' ') {
            *words.entry(word.to_uppercase()).or_default() += 1;
        }
        words.retain(|word, count| word.len() > 2 && *count < 1_000);
    }
    words
}

/// Recursion whose depth changes all the time.
#[inline(never)]
fn ups_and_downs(depth: u64, mut state: u64) -> u64 {
    loop {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let coin = state >> 60;
        if coin < 7 && depth < 40 {
            state = black_box(ups_and_downs(depth + 1, state));
        } else if depth > 0 {
            return black_box(state);
        }
    }
}

/// Recursion that is deeper than what is copied of a stack, and goes nowhere.
#[inline(never)]
fn deep_down(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if depth < 1_000 {
        black_box(deep_down(depth + 1)) + room[3]
    } else {
        left(room[5])
    }
}

/// Polls that take their time, one after the other, with a moment for others in between.
async fn long_polls() {
    loop {
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < 300 {
            black_box(());
        }
        // Back into the queue at once: the worker always finds another task, and never looks up.
        let mut again = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut again, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
