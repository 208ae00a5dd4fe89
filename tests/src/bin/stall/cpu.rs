//! Polls that burn a CPU and do not return.

use axum::extract::{Path, Query};
use axum::routing::{MethodRouter, any};
use fancy_regex::RegexBuilder;
use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "spin" => any(async || spin()),
        "busy" => any(busy),
        "regex" => any(check),
        "failing_reads" => any(async || count_lines("/")),
        _ => return None,
    })
}

/// The plainest loop of all.
fn spin() -> String {
    let mut n = 0_u64;
    crate::stalls_in_the_next_lines!(3);
    while black_box(n) < u64::MAX {
        n = black_box(n.wrapping_add(1) & 0xffff);
    }
    n.to_string()
}

/// The same for so many milliseconds.
async fn busy(Path(ms): Path<u64>) {
    let until = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < until {
        black_box(ms);
    }
}

type Params = Query<HashMap<String, String>>;

async fn check(Query(params): Params) -> String {
    matches(params.get("q").map_or("", String::as_str)).to_string()
}

/// Nested quantifiers and a look-behind: exponential in the length of `text`.
fn matches(text: &str) -> bool {
    let pattern = RegexBuilder::new(r"^(?:\w+ ?)+(?<! OR)$")
        .backtrack_limit(usize::MAX)
        .build()
        .expect("a valid pattern");
    crate::stalls_in_the_next_lines!(1);
    pattern.is_match(text).unwrap_or(false)
}

/// Reading a directory as a file fails, and fails again, and again.
#[expect(
    clippy::lines_filter_map_ok,
    reason = "the very mistake that this stall is about"
)]
fn count_lines(path: &str) -> String {
    let file = File::open(path).expect("a directory opens");
    crate::stalls_in_the_next_lines!(5);
    BufReader::new(file)
        .lines()
        .filter_map(Result::ok)
        .count()
        .to_string()
}
