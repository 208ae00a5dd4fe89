//! The verdicts on every case as a table: `scoreboard [--workers N]… [--idle] [--overloaded] [--corpus] [--jobs N] [--keep DIR] [CODE…]`.
//!
//! `--corpus` leaves the reserve out; `--keep` writes what was reported of each case to
//! `DIR/CODE-WORKERS.jsonl`. Exit code 1: the figures are not what is promised.

use redhanded_factory::figures::{Figures, Sums};
use redhanded_factory::load::Load;
use redhanded_factory::stage::{self, Seen, Setup};
use redhanded_factory::{Case, chosen, many, score, table};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// What to play, and under which circumstances.
struct Wanted {
    workers: Vec<usize>,
    overloaded: Vec<bool>,
    cases: Vec<Case>,
    jobs: usize,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| board(&wanted).map_err(|error| error.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scoreboard: {error}");
            ExitCode::from(2)
        }
    }
}

fn wanted() -> Result<Wanted, String> {
    let (mut workers, mut overloaded, mut codes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut jobs, mut keep, mut corpus) = (many::jobs(), None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match arg.as_str() {
            "--workers" => workers.push(number(&arg, &value()?)?),
            "--jobs" => jobs = number(&arg, &value()?)?,
            "--keep" => keep = Some(value()?.into()),
            "--idle" => overloaded.push(false),
            "--overloaded" => overloaded.push(true),
            "--corpus" => corpus = true,
            option if option.starts_with('-') => {
                return Err(format!("there is no option {option}"));
            }
            _ => codes.push(arg),
        }
    }
    let mut cases = chosen(&codes)?;
    cases.retain(|case| !corpus || case.is_corpus() || case.is_control());
    let or = |said: Vec<usize>, default: &[usize]| {
        if said.is_empty() {
            default.to_vec()
        } else {
            said
        }
    };
    Ok(Wanted {
        workers: or(workers, &[1, 2, 4]),
        overloaded: if overloaded.is_empty() {
            vec![false, true]
        } else {
            overloaded
        },
        cases,
        jobs,
        keep,
    })
}

fn number(option: &str, value: &str) -> Result<usize, String> {
    let number = value.parse().ok();
    number.ok_or_else(|| format!("{option} {value}: no number"))
}

/// All tables; whether the figures of each are what is promised.
fn board(wanted: &Wanted) -> io::Result<bool> {
    let mut all = Sums::default();
    let mut broken = Vec::new();
    for overloaded in &wanted.overloaded {
        let _load = overloaded.then(Load::begin);
        for workers in &wanted.workers {
            let setup = Setup {
                workers: *workers,
                overloaded: *overloaded,
                ..Setup::here()
            };
            let sums = play(wanted, &setup)?;
            broken.extend(
                sums.broken()
                    .into_iter()
                    .map(|words| format!("{}: {words}", how(&setup))),
            );
            all.merge(&sums);
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "\nall tables")?;
    say(&mut out, &all)?;
    for words in &broken {
        writeln!(out, "BROKEN: {words}")?;
    }
    if broken.is_empty() {
        writeln!(out, "as promised")?;
    }
    Ok(broken.is_empty())
}

fn how(setup: &Setup) -> String {
    let build = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    let load = if setup.overloaded {
        "overloaded"
    } else {
        "idle"
    };
    let s = if setup.workers == 1 { "" } else { "s" };
    format!("{build}, {} worker{s}, {load}", setup.workers)
}

/// One table.
fn play(wanted: &Wanted, setup: &Setup) -> io::Result<Sums> {
    let begun = Instant::now();
    let mut out = io::stdout().lock();
    writeln!(out, "\n{}\n{}", how(setup), table::head())?;
    let mut cases = wanted.cases.clone();
    cases.retain(|case| !(setup.overloaded && case.needs.idle_only));
    let mut sums = Sums::default();
    many::each(
        &cases,
        wanted.jobs,
        |case| stage::run(case, setup),
        |case, seen| {
            if let (Some(dir), Ok(seen)) = (&wanted.keep, &seen) {
                write_records(dir, case, setup, seen)?;
            }
            row(&mut out, case, seen, group(&mut sums, case))
        },
    )?;
    say(&mut out, &sums)?;
    writeln!(out, "{:.0} s", begun.elapsed().as_secs_f64())?;
    Ok(sums)
}

fn group<'s>(sums: &'s mut Sums, case: &Case) -> &'s mut Figures {
    if case.is_control() {
        &mut sums.controls
    } else if case.is_corpus() {
        &mut sums.corpus
    } else {
        &mut sums.reserve
    }
}

fn row(
    out: &mut impl Write,
    case: &Case,
    seen: Result<Seen, String>,
    figures: &mut Figures,
) -> io::Result<()> {
    match seen {
        Ok(seen) => {
            let judged = score::judge(case, &seen);
            figures.add(&judged);
            writeln!(out, "{}", table::line(case, &judged))?;
            for wrong in &judged.wrong {
                writeln!(out, "      accused wrongly: {wrong}")?;
            }
        }
        Err(words) => {
            figures.add_unplayed(case.is_control());
            writeln!(out, "{:5} NO play: {words}", case.code)?;
        }
    }
    out.flush()
}

fn say(out: &mut impl Write, sums: &Sums) -> io::Result<()> {
    sums.lines()
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))
}

fn write_records(dir: &Path, case: &Case, setup: &Setup, seen: &Seen) -> io::Result<()> {
    let load = if setup.overloaded { "-overloaded" } else { "" };
    let name = format!("{}-{}{load}.jsonl", case.code, setup.workers);
    let mut file = std::fs::File::create(dir.join(name))?;
    for record in &seen.records {
        serde_json::to_writer(&mut file, record)?;
        writeln!(file)?;
    }
    Ok(())
}
