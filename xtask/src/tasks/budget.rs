//! What watching costs a request: instructions and allocations, which repeat on any machine.

use super::Task;
use super::callgrind::{self, Threads};
use crate::failure::Failure;
use crate::{run, say};

pub(crate) const TASK: Task = Task {
    name: "budget",
    arguments: "",
    promise: "watching costs a request at most 1620 instructions and 1 allocation over a layer that does nothing, one that says much by tracing at most 31674 and 4 over the bare app and 43000 on all threads, a round of the watchdog 6000 with 1000 requests in flight, an outbound call at most 4800 over the bare client, and counting memory 45 for an allocation and its free",
    ci: Some(&[]),
    run: |_| {
        measure("/hello", &BUDGETS)?;
        measure(TRACED, &STORY_BUDGETS)?;
        measure_background()?;
        measure_recorder()?;
        measure_counting()?;
        measure_calls()
    },
};

pub(crate) const BENCH: Task = Task {
    name: "bench",
    arguments: "[URI]",
    promise: "the same for requests of another URI, such as /hello?q=x",
    ci: None,
    run: bench,
};

/// Two runs, so that the price of the start falls out of their difference.
const FEW: u64 = 2_000;
const MANY: u64 = 6_000;
/// Calls are made by real sockets, whose threads meet now and then: they are counted more coarsely.
const FEW_CALLS: u64 = 500;
const MANY_CALLS: u64 = 2_500;

/// What may lie between two of the measured apps: name, base, instructions, allocations.
type Budget = (&'static str, &'static str, f64, f64);

/// What the other threads do is counted as well. A story whose request is exported once in a thousand has to take a
/// fifth of what fastrace does; rounds of the watchdog are counted by themselves, with so many requests in flight.
const BACKGROUND_BUDGETS: [Budget; 3] = [
    ("story-on-all", "bare", 43_000.0, f64::INFINITY),
    ("rounds-1", "nothing", 5_000.0, f64::INFINITY),
    ("rounds-1000", "nothing", 6_000.0, f64::INFINITY),
];
/// Enough for some to be exported, and for rounds that are not all alike.
const FEW_STORIES: u64 = 2_000;
const MANY_STORIES: u64 = 12_000;
const FEW_ROUNDS: u64 = 100;
const MANY_ROUNDS: u64 = 600;

/// Where a request says much by `tracing`.
const TRACED: &str = "/spans";

/// The same for requests that do, with a registry and our layer: no dearer than fastrace with properties and events,
/// over the bare app with its dormant spans.
const STORY_BUDGETS: [Budget; 1] = [("story", "bare", 31_674.0, 4.0)];

/// The line that is held, not the goal: that is 600 instructions over a layer that does nothing.
/// `DESIGN.md` says what lies between.
const BUDGETS: [Budget; 3] = [
    ("redhanded", "identity", 1_620.0, 1.0),
    ("redhanded", "bare", 2_520.0, 4.0),
    ("metrics", "redhanded", 215.0, 0.0),
];

/// The same for outbound calls, per call: one connection for all, and one for each. The goal is 1,500. Calls
/// go over sockets, so that polls differ by a few from run to run: the lines leave 20 in a hundred for that.
const CALL_BUDGETS: [Budget; 2] = [
    ("watched-kept", "bare-kept", 4_800.0, f64::INFINITY),
    ("watched-fresh", "bare-fresh", 8_500.0, f64::INFINITY),
];

/// The same for a flight recorder. The goal is 400 for a URL of 64 bytes; `DESIGN.md` says where the rest goes.
const RECORDER_BUDGETS: [Budget; 3] = [
    ("short-recorded", "short", 375.0, f64::INFINITY),
    ("one-key-recorded", "one-key", 500.0, f64::INFINITY),
    ("five-keys-recorded", "five-keys", 635.0, f64::INFINITY),
];

/// 64 bytes each.
const ONE_KEY: &str = "/hello?name=someone_with_a_long_value_that_goes_on_and_on_64byte";
const FIVE_KEYS: &str = "/hello?name=someone&page=2&order=newest&filter=unread&limit=50aa";

/// The same for counting memory: an allocation and its free, and a request that makes some thirty of them.
const COUNTING_BUDGETS: [Budget; 2] = [
    ("counted", "system", 45.0, f64::INFINITY),
    ("request-counted", "request", 1_500.0, f64::INFINITY),
];

/// What one request costs.
#[derive(Clone, Debug, PartialEq)]
struct Cost {
    around: String,
    instructions: f64,
    allocations: f64,
}

fn bench(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => measure("/hello", &BUDGETS),
        [uri] if uri == TRACED => measure(uri, &STORY_BUDGETS),
        [uri] if uri.starts_with('/') => measure(uri, &BUDGETS),
        _ => Err(Failure::usage("bench takes one URI that begins with /")),
    }
}

/// Measures, prints, and compares with the budgets.
fn measure(uri: &str, budgets: &[Budget]) -> Result<(), Failure> {
    run::provide("valgrind", "valgrind")?;
    let bins = ["build", "--release", "-p", "redhanded-benches", "--bins"];
    run::check(&mut run::cargo(&bins))?;
    let mut costs = Vec::new();
    for (around, allocations) in allocations(uri)? {
        let instructions = callgrind::instructions("requests", &around, &[uri], (FEW, MANY))?;
        costs.push(Cost {
            around,
            instructions,
            allocations,
        });
    }
    say::result(&format!(
        "\n{:24} {:>12} {:>12}",
        "per request", "instructions", "allocations"
    ));
    for Cost {
        around,
        instructions,
        allocations,
    } in &costs
    {
        say::result(&format!(
            "{around:24} {instructions:12.0} {allocations:12.3}"
        ));
    }
    hold(&costs, budgets)
}

/// What a request that says much costs until all is exported, on all threads, and what a round of the watchdog costs.
fn measure_background() -> Result<(), Failure> {
    let bare = callgrind::instructions("requests", "bare", &[TRACED], (FEW, MANY))?;
    let beside = |threads, what, counts| {
        callgrind::instructions_of(threads, "background", what, &[], counts)
    };
    let story = beside(Threads::All, "story", (FEW_STORIES, MANY_STORIES))?;
    let rounds = |what| beside(Threads::Others, what, (FEW_ROUNDS, MANY_ROUNDS));
    let costs = [
        ("nothing", 0.0),
        ("bare", bare),
        ("story-on-all", story),
        ("rounds-1", rounds("rounds-1")?),
        ("rounds-1000", rounds("rounds-1000")?),
    ];
    let costs = costs.map(|(name, instructions)| Cost {
        around: name.to_owned(),
        instructions,
        allocations: 0.0,
    });
    hold(&costs, &BACKGROUND_BUDGETS)
}

/// What a flight recorder adds to a request: for a short URL, and for some of 64 bytes with one and with five parameters.
fn measure_recorder() -> Result<(), Failure> {
    let mut costs = Vec::new();
    for (name, around, uri) in [
        ("short", "redhanded", "/hello"),
        ("short-recorded", "recorded", "/hello"),
        ("one-key", "redhanded", ONE_KEY),
        ("one-key-recorded", "recorded", ONE_KEY),
        ("five-keys", "redhanded", FIVE_KEYS),
        ("five-keys-recorded", "recorded", FIVE_KEYS),
    ] {
        let instructions = callgrind::instructions("requests", around, &[uri], (FEW, MANY))?;
        say::result(&format!("{name:24} {instructions:12.0} instructions"));
        costs.push(Cost {
            around: name.to_owned(),
            instructions,
            allocations: 0.0,
        });
    }
    hold(&costs, &RECORDER_BUDGETS)
}

/// What counting memory adds to an allocation and its free, and to a request that is watched.
fn measure_counting() -> Result<(), Failure> {
    let mut costs = Vec::new();
    for (name, bin, around) in [
        ("system", "heap-system", "pairs"),
        ("counted", "heap-counted", "pairs"),
        ("request", "requests", "redhanded"),
        ("request-counted", "requests-counted", "redhanded"),
    ] {
        let instructions = callgrind::instructions(bin, around, &[], (FEW, MANY))?;
        say::result(&format!("{name:24} {instructions:12.0} instructions"));
        costs.push(Cost {
            around: name.to_owned(),
            instructions,
            allocations: 0.0,
        });
    }
    hold(&costs, &COUNTING_BUDGETS)
}

/// What an outbound call costs the thread that makes it, over the bare client.
fn measure_calls() -> Result<(), Failure> {
    let mut costs = Vec::new();
    for client in ["bare-kept", "watched-kept", "bare-fresh", "watched-fresh"] {
        let counts = (FEW_CALLS, MANY_CALLS);
        let instructions = callgrind::instructions("outbound", client, &[], counts)?;
        say::result(&format!(
            "{client:24} {instructions:12.0} instructions a call"
        ));
        costs.push(Cost {
            around: client.to_owned(),
            instructions,
            allocations: 0.0,
        });
    }
    hold(&costs, &CALL_BUDGETS)
}

/// Compares what was measured with what may lie between.
fn hold(costs: &[Cost], budgets: &[Budget]) -> Result<(), Failure> {
    let over: Vec<String> = budgets
        .iter()
        .filter_map(|budget| compare(costs, *budget))
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(over.join("; ")))
}

/// Says how far apart two of them are, and returns what is wrong with that.
fn compare(
    costs: &[Cost],
    (name, base, instructions, allocations): (&str, &str, f64, f64),
) -> Option<String> {
    let find = |around: &str| costs.iter().find(|cost| cost.around == around);
    let what = format!("{name} over {base}");
    let (Some(ours), Some(theirs)) = (find(name), find(base)) else {
        return Some(format!("{what} was not measured"));
    };
    let more = ours.instructions - theirs.instructions;
    let more_allocations = ours.allocations - theirs.allocations;
    say::result(&format!(
        "{what:24} {more:12.0} {more_allocations:12.3} (budget {instructions:.0}, {allocations:.0})"
    ));
    // The first requests grow a list or two: a thousandth of an allocation is none.
    let over = more > instructions || more_allocations > allocations + 0.01;
    over.then(|| format!("{what} is over its budget"))
}

/// Heap allocations per request for `uri`, by what stands around the app.
fn allocations(uri: &str) -> Result<Vec<(String, f64)>, Failure> {
    let run = [
        "run",
        "--quiet",
        "--release",
        "-p",
        "redhanded-benches",
        "--bin",
        "allocations",
        "--",
        uri,
    ];
    let said = run::output(run::cargo(&run).env("REDHANDED_LOG", "off"))?;
    let parse = |line: &str| {
        let (around, count) = line.split_once(' ')?;
        Some((around.to_owned(), count.trim().parse().ok()?))
    };
    let parsed: Option<Vec<_>> = said.lines().map(parse).collect();
    parsed.ok_or_else(|| Failure::broken(format!("allocations said {said:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(around: &str, instructions: f64, allocations: f64) -> Cost {
        Cost {
            around: around.to_owned(),
            instructions,
            allocations,
        }
    }

    #[test]
    fn a_budget_is_kept_or_not() {
        let costs = |redhanded, allocations| {
            [
                cost("identity", 1000.0, 3.0),
                cost("redhanded", redhanded, allocations),
            ]
        };
        let over = |costs: &[Cost]| compare(costs, BUDGETS[0]);
        let most = 1000.0 + BUDGETS[0].2;
        assert_eq!(over(&costs(most, 4.001)), None);
        assert!(over(&costs(most + 0.1, 4.0)).is_some());
        assert!(over(&costs(1500.0, 5.0)).is_some());
        assert_eq!(
            over(&[]),
            Some("redhanded over identity was not measured".to_owned())
        );
    }
}
