//! The visitors: many ordinary requests, and four culprits hidden among them.

use crate::client::Client;
use crate::culprits::{Culprit, waiters};
use crate::jobs::NEVER_CONFIRMED;
use crate::notices::{AUTHORS, NOTICES, author_of};
use crate::outside::FRIENDLY;
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Connections that are kept; few, so that a busy machine stays quick.
const VISITORS: u64 = 12;

/// Who must come after the one that holds the lock comes this much later. A place in the plan is
/// not enough: each comes on a connection of its own, and would overtake and find the lock free.
const BEHIND: Duration = Duration::from_millis(200);

/// What is asked, by number.
pub(crate) struct Plan {
    pub(crate) requests: u64,
    seed: u64,
    hidden: BTreeMap<u64, Hidden>,
}

/// A request that hangs.
#[derive(Clone)]
struct Hidden {
    method: &'static str,
    target: String,
    /// How long it is held back when its turn has come.
    after: Duration,
}

impl Plan {
    /// Hides the culprits at pseudo-random places, and behind the one that holds a lock the
    /// requests that will wait for it.
    pub(crate) fn new(requests: u64, seed: u64, culprits: &[Culprit]) -> Self {
        let mut plan = Self {
            requests,
            seed,
            hidden: BTreeMap::new(),
        };
        let (mut first_waiter, percent) = (0, (requests / 100).max(1));
        for (n, culprit) in culprits.iter().enumerate() {
            let at = plan.hide(
                percent * 10 + random(seed, n as u64) % (percent * 60),
                Hidden {
                    method: culprit.method,
                    target: culprit.target.clone(),
                    after: Duration::ZERO,
                },
            );
            if culprit.method == "POST" {
                first_waiter = at + percent * 2;
            }
        }
        for (n, target) in waiters().enumerate() {
            plan.hide(
                first_waiter + random(seed, 100 + n as u64) % (percent * 10),
                Hidden {
                    method: "POST",
                    target,
                    after: BEHIND,
                },
            );
        }
        plan
    }

    /// At `wanted`, or the next free place after it.
    fn hide(&mut self, wanted: u64, hidden: Hidden) -> u64 {
        let at = (wanted..)
            .find(|at| !self.hidden.contains_key(at))
            .unwrap_or(wanted);
        self.hidden.insert(at, hidden);
        at
    }

    pub(crate) fn hidden(&self) -> u64 {
        self.hidden.len() as u64
    }

    fn ordinary(&self, number: u64) -> (&'static str, String) {
        let dice = random(self.seed, 1_000 + number);
        let (kind, which) = (dice % 100, dice / 100);
        let notice = which % NOTICES;
        match kind {
            0..35 => ("GET", "/".to_owned()),
            35..65 => ("GET", format!("/notice/{notice}")),
            65..80 => ("GET", format!("/users/{}", author_of(which))),
            80..89 => (
                "GET",
                format!(
                    "/search?q={}",
                    QUERIES[(which % QUERIES.len() as u64) as usize]
                ),
            ),
            89..97 => ("GET", format!("/avatar/{}", author_of(which))),
            97..99 => ("POST", format!("/boost?notice={}", other_author(notice))),
            _ => ("GET", format!("/federate?host={FRIENDLY}")),
        }
    }
}

const QUERIES: [&str; 8] = [
    "tokio",
    "async+rust",
    "morning+coffee",
    "graph+AND+socket",
    "%23rust",
    "latency+OR+queue",
    "donaudampfschifffahrtsgesellschaft",
    "waker",
];

/// Ordinary boosts do not get into the way of the one that hangs.
fn other_author(notice: u64) -> u64 {
    if author_of(notice) == author_of(NEVER_CONFIRMED) {
        notice / AUTHORS.len() as u64 * AUTHORS.len() as u64
    } else {
        notice
    }
}

/// SplitMix64 of the `n`th state: the same on every machine.
fn random(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) slowest: Duration,
    pub(crate) took: Duration,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Asks everything; comes back when every ordinary request has its answer.
pub(crate) async fn visit(
    site: SocketAddr,
    plan: Arc<Plan>,
    progress: Progress,
) -> std::io::Result<Tally> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        visitors.spawn(visitor(site, plan.clone(), next.clone(), progress.clone()));
    }
    let mut tally = Tally::default();
    while let Some(one) = visitors.join_next().await {
        tally.add(&one.map_err(std::io::Error::other)??);
    }
    tally.took = begun.elapsed();
    Ok(tally)
}

async fn visitor(
    site: SocketAddr,
    plan: Arc<Plan>,
    next: Arc<AtomicU64>,
    progress: Progress,
) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    let mut client = Client::connect(site).await?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return Ok(tally);
        }
        progress.step();
        if let Some(hidden) = plan.hidden.get(&number) {
            // On a connection of its own, which it will not give back.
            tokio::spawn(hang(site, hidden.clone()));
            continue;
        }
        let (method, target) = plan.ordinary(number);
        let begun = Instant::now();
        match client.ask(method, &target).await {
            Ok(200) => tally.answered += 1,
            Ok(_) => tally.failed += 1,
            Err(_) => {
                tally.failed += 1;
                client = Client::connect(site).await?;
            }
        }
        tally.slowest = tally.slowest.max(begun.elapsed());
    }
}

async fn hang(site: SocketAddr, hidden: Hidden) -> std::io::Result<u16> {
    tokio::time::sleep(hidden.after).await;
    let mut client = Client::connect(site).await?;
    client.ask(hidden.method, &hidden.target).await
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::culprits::all;

    #[test]
    fn everything_is_hidden_once_and_in_reach() {
        for (requests, seed) in [(100, 0), (2_000, 7), (100_000, 20_120_711)] {
            let plan = Plan::new(requests, seed, &all());
            assert_eq!(plan.hidden(), 9);
            assert!(
                plan.hidden.keys().all(|at| *at < requests),
                "{requests} {seed}"
            );
        }
    }
}
