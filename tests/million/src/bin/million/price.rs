//! What watching costs: the bare shop and the watched one in turn, so that both see the same
//! machine. Nobody hangs.
//!
//! The line is held by CPU time: a shop with a core of its own serves as many as its CPU time allows, and whoever else
//! is at work on that core takes from its throughput, and not from that.

use crate::cores;
use crate::load::{Load, Tally};
use crate::shop::Shop;
use crate::town::Town;
use crate::{Error, table};
use std::time::{Duration, Instant};

/// Many and short: a busy machine spoils a few of them, and the median is of the others.
const BLOCK: u64 = 2_500;
const PAIRS: std::ops::RangeInclusive<u64> = 40..=120;
/// Fewer than those after so long, which only a machine needs that is far too busy.
const LIMIT: Duration = Duration::from_secs(90);
const PAIRS_AT_LEAST: usize = 11;
/// CPU time of the bare shop over that of the watched one: the line that is held.
pub(crate) const LINE: f64 = 0.82;

/// One shop's figures.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
    troubles: Vec<String>,
}

impl Served {
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Nanoseconds of CPU a request.
    pub(crate) fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.requests as f64
    }
}

pub(crate) struct Price {
    pub(crate) bare: Served,
    pub(crate) watched: Served,
    pub(crate) block: u64,
    /// Throughput, watched over bare, of each pair of blocks; the smallest first.
    pub(crate) ratios: Vec<f64>,
    /// The same by CPU time: that of the bare shop over that of the watched one.
    pub(crate) cpu_ratios: Vec<f64>,
    /// Nanoseconds of CPU a request, watched above bare, of each pair; the smallest first.
    pub(crate) more_ns: Vec<f64>,
    /// Whether the shop had a core of its own.
    pub(crate) own_core: bool,
}

impl Price {
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = [&self.bare.troubles[..], &self.watched.troubles[..]].concat();
        let ratio = table::quantile(&self.cpu_ratios, 2);
        if ratio < LINE {
            troubles.push(format!(
                "the watched shop has {ratio:.3} of the bare one's throughput by CPU time, and {LINE} is the line"
            ));
        }
        troubles
    }
}

/// Serves blocks from each, `requests` from both together if they are enough for [`PAIRS`].
pub(crate) async fn measure(town: &Town, requests: u64, seed: u64) -> Result<Price, Error> {
    let pairs = (requests / 2 / BLOCK).clamp(*PAIRS.start(), *PAIRS.end());
    let block = (requests / 2 / pairs).max(BLOCK);
    let left = cores::leave_one()?;
    let log = town.path().join("price.jsonl");
    let bare = Shop::open(town, None, left.core)?;
    let watched = Shop::open(town, Some(&log), left.core)?;
    let (mut for_bare, mut for_watched) = (Served::default(), Served::default());
    // What is loaded and grown at first is not a price of every request.
    serve(&bare, block, seed, &mut Served::default()).await?;
    serve(&watched, block, seed, &mut Served::default()).await?;
    let (mut ratios, mut cpu_ratios, mut more_ns) = (Vec::new(), Vec::new(), Vec::new());
    let begun = Instant::now();
    for pair in 0..pairs {
        if begun.elapsed() > LIMIT && ratios.len() >= PAIRS_AT_LEAST {
            break;
        }
        let seed = seed.wrapping_add(pair);
        // Who comes first takes turns as well.
        let (bare, watched) = if pair % 2 == 0 {
            let first = serve(&bare, block, seed, &mut for_bare).await?;
            (first, serve(&watched, block, seed, &mut for_watched).await?)
        } else {
            let first = serve(&watched, block, seed, &mut for_watched).await?;
            (serve(&bare, block, seed, &mut for_bare).await?, first)
        };
        ratios.push(watched.0.rate() / bare.0.rate());
        cpu_ratios.push(bare.1.as_secs_f64() / watched.1.as_secs_f64());
        let more = watched.1.as_secs_f64() - bare.1.as_secs_f64();
        more_ns.push(more * 1e9 / block as f64);
        table::pair(pair, &bare.0, &watched.0);
    }
    ratios.sort_by(f64::total_cmp);
    cpu_ratios.sort_by(f64::total_cmp);
    more_ns.sort_by(f64::total_cmp);
    // Nobody hangs here; a machine that is too busy makes victims at most.
    let accused = crate::judge::Findings::read(&log, &[])?.troubles();
    for_watched.troubles.extend(accused);
    Ok(Price {
        bare: for_bare,
        watched: for_watched,
        block,
        ratios,
        cpu_ratios,
        more_ns,
        own_core: left.core.is_some(),
    })
}

/// What came of a block, and its CPU time.
async fn serve(
    shop: &Shop,
    requests: u64,
    seed: u64,
    sum: &mut Served,
) -> Result<(Tally, Duration), Error> {
    let load = Load {
        address: shop.address,
        requests,
        seed,
        culprits: &[],
    };
    let before = shop.cpu()?;
    let tally = load.run().await?;
    let cpu = shop.cpu()?.saturating_sub(before);
    sum.cpu += cpu;
    sum.requests += requests;
    sum.took += tally.took;
    sum.peak_kib = shop.peak_kib()?;
    sum.troubles.extend(tally.troubles("measured"));
    Ok((tally, cpu))
}
