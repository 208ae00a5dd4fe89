//! `million`: a million requests with four culprits hidden among them, each of another class.
//!
//! ```text
//! million [REQUESTS [SEED]]
//! ```
//!
//! First it measures what watching costs: the shop bare and watched in turn, nobody hangs. Then the
//! requests with the culprits go to a bare shop, where they hang unseen, and to a watched one, whose
//! slow-request log must accuse those four, each with its class, line, URL, parameter and host, and
//! nobody else. It fails if it does not, or if an innocent has the wrong answer.

mod client;
mod cores;
mod culprits;
mod judge;
mod load;
mod mix;
mod price;
mod shop;
mod table;
mod town;

use culprits::Culprit;
use judge::Findings;
use load::{Load, Tally};
use shop::Shop;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use town::Town;

type Error = Box<dyn std::error::Error>;

/// As in the shop.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// The next look at each culprit, at twice the time, is waited for: it may not accuse others.
const SETTLE: Duration = Duration::from_millis(1500);
/// How long the last culprit may take until it is in the log; machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many times less is asked of the bare shop: its rate is all that is wanted.
const BARE_SHARE: u64 = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match numbers(&arguments).and_then(|(requests, seed)| run(requests, seed)) {
        Ok(troubles) if troubles.is_empty() => ExitCode::SUCCESS,
        Ok(troubles) => {
            troubles.iter().for_each(|t| eprintln!("million: {t}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("million: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many requests, and the seed.
fn numbers(arguments: &[String]) -> Result<(u64, u64), Error> {
    let number = |word: &String| {
        let number = word.parse::<u64>();
        number.map_err(|_| format!("{word:?} is no number"))
    };
    let (requests, seed) = match arguments {
        [] => (1_000_000, 1),
        [requests] => (number(requests)?, 1),
        [requests, seed] => (number(requests)?, number(seed)?),
        _ => return Err("million takes REQUESTS and SEED".into()),
    };
    if requests < 1000 {
        return Err("fewer than 1,000 requests hide nobody".into());
    }
    Ok((requests, seed))
}

/// What is wrong, if anything.
fn run(requests: u64, seed: u64) -> Result<Vec<String>, Error> {
    let town = Town::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let price = runtime.block_on(price::measure(&town, requests, seed))?;
    table::price(&price)?;
    let culprits = culprits::all(&town, seed)?;
    let bare = runtime.block_on(hang_unseen(&town, &culprits, requests / BARE_SHARE, seed))?;
    let caught = runtime.block_on(catch(&town, &culprits, requests, seed))?;
    table::crowd(&bare, &caught)?;
    table::findings(&culprits, &caught.findings)?;
    let mut troubles = price.troubles();
    troubles.extend(bare.troubles("bare"));
    troubles.extend(caught.crowd.troubles("watched"));
    troubles.extend(caught.findings.troubles());
    troubles.extend(
        caught
            .counts
            .troubles(requests, caught.crowd.tally.stranded),
    );
    Ok(troubles)
}

/// A crowd that went through a shop, culprits and all.
struct Crowd {
    requests: u64,
    tally: Tally,
    /// Of the shop, while they were served.
    cpu: Duration,
    /// The most memory that the shop ever had, in KiB.
    peak_kib: u64,
}

impl Crowd {
    fn troubles(&self, shop: &str) -> Vec<String> {
        self.tally.troubles(shop)
    }
}

/// What became of the watched crowd.
struct Caught {
    crowd: Crowd,
    findings: Findings,
    counts: shop::Counts,
}

/// The same in a shop that nobody watches.
async fn hang_unseen(
    town: &Town,
    culprits: &[Culprit],
    requests: u64,
    seed: u64,
) -> Result<Crowd, Error> {
    let shop = Shop::open(town, None, None)?;
    crowd(&shop, culprits, requests, seed).await
}

async fn catch(
    town: &Town,
    culprits: &[Culprit],
    requests: u64,
    seed: u64,
) -> Result<Caught, Error> {
    let log = town.path().join("slow-requests.jsonl");
    let shop = Shop::open(town, Some(&log), None)?;
    let crowd = crowd(&shop, culprits, requests, seed).await?;
    let begun = Instant::now();
    while !Findings::read(&log, culprits)?.is_complete() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(SETTLE).await;
    let counts = shop.counts().await?;
    Ok(Caught {
        crowd: Crowd {
            peak_kib: shop.peak_kib()?,
            ..crowd
        },
        findings: Findings::read(&log, culprits)?,
        counts,
    })
}

async fn crowd(
    shop: &Shop,
    culprits: &[Culprit],
    requests: u64,
    seed: u64,
) -> Result<Crowd, Error> {
    let load = Load {
        address: shop.address,
        requests,
        seed,
        culprits,
    };
    let before = shop.cpu()?;
    let tally = load.run().await?;
    Ok(Crowd {
        requests,
        tally,
        cpu: shop.cpu()?.saturating_sub(before),
        peak_kib: shop.peak_kib()?,
    })
}
