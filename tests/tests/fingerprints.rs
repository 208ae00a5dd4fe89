//! One culprit has one fingerprint, in every process, on every runtime, whatever the machine does; two
//! culprits have two.

use redhanded_tests::{Asked, PATIENCE, Stall, show, until};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stalls that keep a worker, each with the target that makes it hang: one process each.
const KEEP: [(&str, &str); 18] = [
    ("spin", "/spin/1"),
    (
        "regex",
        "/regex/1?q=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%20OR",
    ),
    ("failing_reads", "/failing_reads/1"),
    ("either", "/either/left"),
    ("either", "/either/right"),
    ("one_caller", "/one_caller/1"),
    ("other_caller", "/other_caller/1"),
    ("words", "/words/1"),
    ("ups_and_downs", "/ups_and_downs/1"),
    ("deep_down", "/deep_down/1"),
    ("std_sleep", "/std_sleep/1"),
    ("std_read", "/std_read/1"),
    ("std_connect", "/std_connect/1"),
    ("std_mutex", "/std_mutex/1"),
    ("std_pipe", "/std_pipe/1"),
    ("wakes_itself", "/wakes_itself/1"),
    ("ignores_the_end", "/ignores_the_end/1"),
    ("retries", "/retries/1"),
];

/// Stalls that keep nobody: all of them in one process.
const WAIT: [&str; 12] = [
    "mutex",
    "channel",
    "sleep",
    "select",
    "timeout",
    "join",
    "semaphore",
    "connect",
    "read",
    "write",
    "two_reads",
    "pooled",
];

/// Fingerprints by culprit, and in which runs each was seen.
type Seen = BTreeMap<String, BTreeMap<String, usize>>;

static MACHINE: Mutex<()> = Mutex::new(());

fn fingerprint(stall: &Stall, target: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    until(PATIENCE, || {
        let records = stall.records();
        let found = records
            .into_iter()
            .find(|r| r.request.as_ref().is_some_and(|q| q.path == path));
        found.and_then(|r| r.fingerprint)
    })
}

/// Asks each target in one process; notes the fingerprint of each.
fn run(names: &[&str], targets: &[String], args: &[&str], seen: &Mutex<Seen>) {
    let args: Vec<&str> = args
        .iter()
        .copied()
        .chain(["--slow-after", "300"])
        .collect();
    let stall = Stall::of(names).args(&args).start();
    let _asked: Vec<Asked> = targets.iter().map(|target| stall.get(target)).collect();
    for target in targets {
        let found = fingerprint(&stall, target);
        let found =
            found.unwrap_or_else(|| panic!("{target}: no record\n{}", show(&stall.records())));
        let mut seen = seen.lock().expect("no panic");
        *seen
            .entry(target.clone())
            .or_default()
            .entry(found)
            .or_default() += 1;
    }
}

fn round(keep: &[(&str, &str)], wait: &[&str], args: &[&str], seen: &Mutex<Seen>) {
    for (name, target) in keep {
        run(&[name], &[(*target).to_owned()], args, seen);
    }
    let targets: Vec<String> = wait.iter().map(|name| format!("/{name}/1")).collect();
    run(wait, &targets, args, seen);
}

/// A line per culprit: how many fingerprints, and how often each was seen.
fn table(seen: &Seen) -> String {
    let mut text = String::new();
    for (culprit, found) in seen {
        let culprit = culprit.split('?').next().unwrap_or_default();
        let counts: Vec<String> = found.iter().map(|(f, n)| format!("{f} x {n}")).collect();
        let _ = writeln!(
            text,
            "{culprit:20} {:2}  {}",
            found.len(),
            counts.join(", ")
        );
    }
    text
}

/// Whatever the machine does, three of four runs must agree; no run may take two culprits for one.
#[track_caller]
fn assert_one_each(seen: &Seen) {
    let most = |found: &BTreeMap<String, usize>| found.values().copied().max().unwrap_or(0);
    let all = |found: &BTreeMap<String, usize>| found.values().sum::<usize>();
    let split = seen.values().filter(|f| 4 * most(f) < 3 * all(f)).count();
    assert_eq!(
        split,
        0,
        "culprits with several fingerprints\n{}",
        table(seen)
    );
    let different: BTreeSet<&String> = seen.values().flat_map(BTreeMap::keys).collect();
    let of_each: usize = seen.values().map(BTreeMap::len).sum();
    assert_eq!(
        different.len(),
        of_each,
        "culprits that are taken for one another\n{}",
        table(seen)
    );
}

#[test]
fn one_culprit_has_one_fingerprint_and_two_have_two() {
    let _alone = MACHINE.lock();
    let keep = [
        KEEP[1], KEEP[3], KEEP[4], KEEP[7], KEEP[8], KEEP[9], KEEP[11],
    ];
    let seen = Mutex::default();
    for workers in ["1", "2", "4"] {
        round(&keep, &WAIT, &["--workers", workers], &seen);
    }
    // The insides of a JoinHandle are of the type of the scheduler.
    let wait: Vec<&str> = WAIT.into_iter().filter(|name| *name != "join").collect();
    round(&keep, &wait, &["--current-thread"], &seen);
    assert_one_each(&seen.into_inner().expect("no panic"));
}

/// Threads that want every CPU, until dropped.
struct Load(std::sync::Arc<AtomicBool>);

impl Load {
    fn begin(threads: usize) -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The whole table: `REDHANDED_RUNS=10 cargo test -p redhanded-tests --test fingerprints -- --ignored --nocapture`
#[test]
#[ignore = "takes a quarter of an hour"]
fn the_whole_table() {
    let _alone = MACHINE.lock();
    let runs = std::env::var("REDHANDED_RUNS")
        .ok()
        .and_then(|n| n.parse().ok());
    let seen = Mutex::default();
    for busy in [false, true] {
        let _load = busy
            .then(|| Load::begin(2 * std::thread::available_parallelism().map_or(2, usize::from)));
        for workers in ["1", "2", "4"] {
            for _ in 0..runs.unwrap_or(3) {
                round(&KEEP, &WAIT, &["--workers", workers], &seen);
            }
            eprintln!(
                "busy {busy}, {workers} workers, so far:\n{}",
                table(&seen.lock().expect("no panic"))
            );
        }
    }
    assert_one_each(&seen.into_inner().expect("no panic"));
}
