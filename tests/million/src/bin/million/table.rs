//! All that is said.

use crate::culprits::Culprit;
use crate::judge::{Findings, shown};
use crate::load::Tally;
use crate::price::{LINE, Price};
use crate::{Caught, Crowd, Error};
use std::io::Write;
use std::time::Duration;

/// More of them are counted only.
const OTHERS: usize = 20;

/// Progress, for whoever waits.
pub(crate) fn pair(number: u64, bare: &Tally, watched: &Tally) {
    eprintln!(
        "pair {}: bare {:.0} requests a second, watched {:.0}",
        number + 1,
        bare.rate(),
        watched.rate()
    );
}

pub(crate) fn price(price: &Price) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let core = if price.own_core {
        "the service has one core, the clients the others"
    } else {
        "one core for the service and its clients"
    };
    writeln!(
        out,
        "nobody hangs: {} blocks of {} requests in turn; {core}",
        2 * price.ratios.len(),
        price.block
    )?;
    writeln!(
        out,
        "{:10} {:>12} {:>16} {:>12}",
        "", "requests/s", "CPU ns/request", "peak MiB"
    )?;
    for (name, served) in [("bare", &price.bare), ("watched", &price.watched)] {
        writeln!(
            out,
            "{name:10} {:12.0} {:16.0} {:12.1}",
            served.rate(),
            served.cpu_ns(),
            mib(served.peak_kib)
        )?;
    }
    writeln!(
        out,
        "{:10} {:12.3} {:+16.0}      medians of the pairs; throughput of the middle half {:.3} to {:.3}",
        "ratio",
        quantile(&price.ratios, 2),
        quantile(&price.more_ns, 2),
        quantile(&price.ratios, 1),
        quantile(&price.ratios, 3),
    )?;
    writeln!(
        out,
        "{:10} {:12.3} by CPU time, whoever else has the core; of the middle half {:.3} to {:.3} (line {LINE})\n",
        "",
        quantile(&price.cpu_ratios, 2),
        quantile(&price.cpu_ratios, 1),
        quantile(&price.cpu_ratios, 3),
    )?;
    Ok(())
}

pub(crate) fn crowd(bare: &Crowd, caught: &Caught) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let watched = &caught.crowd;
    writeln!(
        out,
        "four culprits hidden among them, two keep a worker each and one a core; one shop after the other, so the machine's mood is in the ratio"
    )?;
    writeln!(
        out,
        "{:10} {:>10} {:>12} {:>9} {:>12} {:>12} {:>8}",
        "", "requests", "requests/s", "seconds", "slowest ms", "over 1 s", "peak MiB"
    )?;
    for (name, crowd) in [("bare", bare), ("watched", watched)] {
        let tally = &crowd.tally;
        writeln!(
            out,
            "{name:10} {:10} {:12.0} {:9.1} {:12.1} {:12} {:8.1}",
            crowd.requests,
            tally.rate(),
            tally.took.as_secs_f64(),
            ms(tally.slowest),
            tally.over,
            mib(crowd.peak_kib)
        )?;
    }
    writeln!(
        out,
        "{:10} {:10} {:12.3}; the slowest innocent asked for {}",
        "ratio",
        "",
        watched.tally.rate() / bare.tally.rate(),
        watched.tally.slowest_target
    )?;
    writeln!(
        out,
        "hidden at {:?}; overdue: {}; samples lost, as their thread had no core in time: {}; CPU of the service, loop included: {:.1} s\n",
        watched.tally.hidden,
        caught.counts.caught,
        caught.counts.lost_stacks,
        watched.cpu.as_secs_f64()
    )?;
    Ok(())
}

pub(crate) fn findings(culprits: &[Culprit], findings: &Findings) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    for (culprit, found) in culprits.iter().zip(&findings.found) {
        let Some(report) = &found.report else {
            writeln!(out, "{} not found: {}", culprit.class, culprit.target)?;
            continue;
        };
        let verdict = report.verdict.clone().unwrap_or_default();
        let place = verdict.culprit.unwrap_or_default();
        let (name, value) = &culprit.parameter;
        writeln!(
            out,
            "{} {} {}, caught after {:.1} ms\n  at   {} {}:{}\n  url  {} {}\n  with {name} = {value}",
            verdict.class,
            verdict.role.as_str(),
            verdict.confidence.as_str(),
            found.caught_ms.unwrap_or_default(),
            place.function,
            culprit.file,
            place.line.unwrap_or_default(),
            culprit.method,
            report.request.as_ref().map_or("", |q| q.url.as_str()),
        )?;
        if let Some(peer) = verdict.peer {
            writeln!(
                out,
                "  host {}:{}, {} for {:.0} ms",
                peer.address.unwrap_or_default(),
                peer.port.unwrap_or_default(),
                peer.phase.unwrap_or_default(),
                peer.elapsed_ms.unwrap_or_default()
            )?;
        }
    }
    others(&mut out, findings)
}

fn others(out: &mut impl Write, findings: &Findings) -> Result<(), Error> {
    writeln!(
        out,
        "\nothers accused: {}; others in the log, not accused: {}",
        findings.accused.len(),
        findings.tolerated.len()
    )?;
    for report in findings.tolerated.iter().take(OTHERS) {
        writeln!(out, "  {}", shown(report))?;
    }
    Ok(())
}

/// Of a sorted list, by quarters.
pub(crate) fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let at = sorted.len() * quarters / 4;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
