//! What a request costs that tells much, beside what others make of it, in one run.

mod rounds;

use super::Task;
use super::callgrind::count_run;
use crate::failure::Failure;
use crate::{run, say, tree};
use rounds::Served;
use std::path::Path;

pub(crate) const TASK: Task = Task {
    name: "peers",
    arguments: "[ROUNDS]",
    promise: "a request that says much by tracing costs its thread no more than fastrace with properties and events does, all threads a fifth of it, and the service at most three tenths of its throughput",
    // Throughput says nothing on a machine that does something else, and the first build takes minutes.
    ci: None,
    run,
};

/// As `benches/peers` names them; the bare app first.
const AROUND: [&str; 6] = ["bare", "layer", "registry", "story", "fastrace", "otel"];
/// One that tells nothing, and one that tells much.
const URIS: [&str; 2] = ["/hello", "/spans"];
const ROUNDS: usize = 5;
/// Two runs, so that the price of the start falls out of their difference.
const FEW: u64 = 1_000;
const MANY: u64 = 6_000;
/// fastrace forgets spans when more than some thousand requests come while its collector sleeps.
const FEW_FAST: u64 = 100;
const MANY_FAST: u64 = 500;
/// What is left of the bare app's throughput, at least.
const RATIO: f64 = 0.7;
/// Instructions by which two runs of the same differ, as their addresses do.
const UNCHANGED: f64 = 25.0;

/// What one request costs over the bare app, and what the service can do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Price {
    uri: &'static str,
    around: &'static str,
    /// Instructions on its own thread.
    thread: f64,
    /// Instructions on all threads, until everything is exported.
    all: f64,
    served: Served,
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let rounds = asked(arguments)?;
    run::provide("valgrind", "valgrind")?;
    let target = tree::target().join("peers");
    let build = ["build", "--release", "--manifest-path"];
    let mut cargo = run::cargo(&build);
    cargo.arg("benches/peers/Cargo.toml");
    run::check(cargo.arg("--target-dir").arg(&target))?;
    let bin = target.join("release/redhanded-peers");
    let (_sink, sink) = run::start(&mut rounds::aside(&bin, &["sink"]))?;
    let served = rounds::play(&bin, &sink, rounds)?;
    let mut prices = Vec::new();
    for uri in URIS {
        let mut bare = None;
        for around in AROUND {
            let (thread, all) = instructions(&bin, &sink, around, uri)?;
            let bare = *bare.get_or_insert((thread, all));
            let served = served.iter().find(|s| (s.around, s.uri) == (around, uri));
            prices.push(Price {
                uri,
                around,
                thread: thread - bare.0,
                all: all - bare.1,
                served: *served.ok_or_else(|| Failure::broken("a server was not asked"))?,
            });
        }
    }
    show(&prices);
    let broken = broken(&prices);
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(broken.join("; ")))
}

fn asked(arguments: &[String]) -> Result<usize, Failure> {
    let rounds = match arguments {
        [] => Some(ROUNDS),
        [rounds] => rounds.parse().ok().filter(|rounds| *rounds > 0),
        _ => None,
    };
    rounds.ok_or_else(|| Failure::usage("peers takes a number of rounds, one at least"))
}

/// Instructions a request, on its own thread and on all.
fn instructions(bin: &Path, sink: &str, around: &str, uri: &str) -> Result<(f64, f64), Failure> {
    let (few, many) = match around {
        "fastrace" => (FEW_FAST, MANY_FAST),
        _ => (FEW, MANY),
    };
    let of = |count: u64| {
        count_run(
            Some("redhanded_peers::send"),
            bin,
            &["send", around, sink, &count.to_string(), uri],
        )
    };
    let (first, second) = (of(few)?, of(many)?);
    let each = |first: u64, second: u64| (second as f64 - first as f64) / (many - few) as f64;
    Ok((each(first.main, second.main), each(first.all, second.all)))
}

fn show(prices: &[Price]) {
    let head = [
        "over bare",
        "thread",
        "all threads",
        "µs of CPU",
        "throughput",
    ];
    let [what, thread, all, cpu, ratio] = head;
    say::result(&format!(
        "\n{what:18} {thread:>12} {all:>12} {cpu:>12} {ratio:>12}"
    ));
    for price in prices {
        let Price {
            uri,
            around,
            thread,
            all,
            served,
        } = price;
        let what = format!("{uri} {around}");
        let (cpu_us, ratio) = (served.cpu_us, served.ratio);
        say::result(&format!(
            "{what:18} {thread:12.0} {all:12.0} {cpu_us:12.2} {ratio:12.2}"
        ));
    }
}

/// What is not as it was promised.
fn broken(prices: &[Price]) -> Vec<String> {
    let find = |uri, around| prices.iter().find(|p| (p.uri, p.around) == (uri, around));
    let (Some(silent), Some(layer), Some(ours), Some(theirs)) = (
        find("/hello", "story"),
        find("/hello", "layer"),
        find("/spans", "story"),
        find("/spans", "fastrace"),
    ) else {
        return vec!["not all were measured".to_owned()];
    };
    let ratio = ours.served.ratio;
    let promises = [
        (
            ours.thread <= theirs.thread,
            format!(
                "/spans takes {:.0} instructions on its thread, and {:.0} with fastrace",
                ours.thread, theirs.thread
            ),
        ),
        (
            ours.all <= theirs.all / 5.0,
            format!(
                "/spans takes {:.0} instructions on all threads, and {:.0} with fastrace",
                ours.all, theirs.all
            ),
        ),
        (
            ratio >= RATIO,
            format!("/spans has {ratio:.2} of the bare app's throughput, not {RATIO}"),
        ),
        (
            silent.thread <= layer.thread + UNCHANGED,
            format!(
                "/hello takes {:.0} instructions, and {:.0} where nobody listens to spans",
                silent.thread, layer.thread
            ),
        ),
    ];
    let broken = promises.into_iter().filter(|(is_kept, _)| !is_kept);
    broken.map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(uri: &'static str, around: &'static str, thread: f64, all: f64, ratio: f64) -> Price {
        let served = Served {
            uri,
            around,
            ratio,
            cpu_us: 0.0,
        };
        Price {
            uri,
            around,
            thread,
            all,
            served,
        }
    }

    fn with(ours: (f64, f64, f64), silent: f64) -> Vec<String> {
        broken(&[
            price("/hello", "layer", 2_500.0, 2_600.0, 0.95),
            price("/hello", "story", silent, 2_600.0, 0.95),
            price("/spans", "story", ours.0, ours.1, ours.2),
            price("/spans", "fastrace", 30_000.0, 200_000.0, 0.2),
        ])
    }

    #[test]
    fn a_promise_is_kept_or_not() {
        assert!(with((30_000.0, 40_000.0, 0.7), 2_510.0).is_empty());
        assert_eq!(with((30_001.0, 40_001.0, 0.69), 2_600.0).len(), 4);
        assert_eq!(broken(&[]), ["not all were measured"]);
    }

    #[test]
    fn rounds_are_a_number() {
        let of = |words: &[&str]| asked(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).ok(), Some(ROUNDS));
        assert_eq!(of(&["2"]).ok(), Some(2));
        for wrong in [&["0"][..], &["many"], &["1", "2"]] {
            assert!(matches!(of(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
