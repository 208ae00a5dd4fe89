//! The verdicts on every case as a table: `scoreboard [--workers N]… [--idle | --overloaded] [--keep DIR] [CODE…]`.
//!
//! `--keep` writes what was reported of each case to `DIR/CODE-WORKERS.jsonl`.

use redhanded_factory::score::{self, Judged};
use redhanded_factory::stage::{self, Seen, Setup};
use redhanded_factory::{Case, all};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the figures must reach: of all cases, those with the right class and with the right function.
const CLASSES_MISSED: usize = 1;
const FUNCTIONS_MISSED: usize = 2;

/// What to play, and under which circumstances.
struct Wanted {
    workers: Vec<usize>,
    overloaded: Vec<bool>,
    codes: Vec<String>,
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
    let mut wanted = Wanted {
        workers: Vec::new(),
        overloaded: Vec::new(),
        codes: Vec::new(),
        keep: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--workers" => {
                let value = args.next().ok_or("--workers wants a number")?;
                let workers = value
                    .parse()
                    .map_err(|_| format!("--workers {value}: no number"))?;
                wanted.workers.push(workers);
            }
            "--idle" => wanted.overloaded.push(false),
            "--overloaded" => wanted.overloaded.push(true),
            "--keep" => wanted.keep = Some(args.next().ok_or("--keep wants a directory")?.into()),
            option if option.starts_with('-') => {
                return Err(format!("there is no option {option}"));
            }
            code => wanted.codes.push(code.to_owned()),
        }
    }
    if wanted.workers.is_empty() {
        wanted.workers = vec![1, 2, 4];
    }
    if wanted.overloaded.is_empty() {
        wanted.overloaded = vec![false, true];
    }
    Ok(wanted)
}

fn board(wanted: &Wanted) -> io::Result<bool> {
    let is_wanted = |case: &Case| {
        wanted.codes.is_empty()
            || wanted
                .codes
                .iter()
                .any(|w| w.eq_ignore_ascii_case(case.code))
    };
    let cases: Vec<Case> = all().into_iter().filter(is_wanted).collect();
    let mut holds = true;
    for overloaded in &wanted.overloaded {
        for workers in &wanted.workers {
            let setup = Setup {
                workers: *workers,
                overloaded: *overloaded,
                ..Setup::here()
            };
            holds &= table(&cases, &setup, wanted.keep.as_deref())?;
        }
    }
    Ok(holds)
}

/// One table; whether its figures hold.
fn table(cases: &[Case], setup: &Setup, keep: Option<&Path>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let how = if setup.overloaded {
        "overloaded"
    } else {
        "idle"
    };
    writeln!(out, "\n{} workers, {how}", setup.workers)?;
    writeln!(
        out,
        "{:4} {:16} {:10} {:5} {:8} {:4} {:5} {:5} {:4} {:>9} {:>6}",
        "case",
        "class",
        "",
        "class",
        "function",
        "line",
        "host",
        "param",
        "role",
        "after ms",
        "points"
    )?;
    let mut all = Vec::new();
    for case in cases {
        if setup.overloaded && case.needs.idle_only {
            continue;
        }
        let seen = stage::run(case, setup);
        if let Some(dir) = keep {
            write_records(dir, case, setup, &seen)?;
        }
        let judged = score::judge(case, &seen);
        row(&mut out, case, &judged)?;
        all.push(judged);
    }
    sum(&mut out, &all)
}

fn write_records(dir: &Path, case: &Case, setup: &Setup, seen: &Seen) -> io::Result<()> {
    let how = if setup.overloaded { "-overloaded" } else { "" };
    let name = format!("{}-{}{how}.jsonl", case.code, setup.workers);
    let mut file = std::fs::File::create(dir.join(name))?;
    for record in &seen.records {
        serde_json::to_writer(&mut file, record)?;
        writeln!(file)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, case: &Case, judged: &Judged) -> io::Result<()> {
    let yes = |right: bool| if right { "yes" } else { "NO" };
    let maybe = |right: Option<bool>| right.map_or("", yes);
    let class = judged.verdict.as_ref().map_or("-", |v| v.class.as_str());
    let after = judged
        .verdict_after_ms
        .map(|ms| format!("{ms:.0}"))
        .unwrap_or_default();
    if judged.control {
        writeln!(
            out,
            "{:4} {:73} {:>6}",
            case.code,
            "nobody is guilty",
            judged.points()
        )?;
    } else {
        writeln!(
            out,
            "{:4} {:16} {:10} {:5} {:8} {:4} {:5} {:5} {:4} {after:>9} {:>6}",
            case.code,
            class,
            score::confidence(judged),
            yes(judged.class),
            yes(judged.function),
            yes(judged.line),
            maybe(judged.peer),
            maybe(judged.param),
            yes(judged.role),
            judged.points()
        )?;
    }
    for wrong in &judged.wrong {
        writeln!(out, "     accused wrongly: {wrong}")?;
    }
    out.flush()
}

fn sum(out: &mut impl Write, all: &[Judged]) -> io::Result<bool> {
    let cases: Vec<&Judged> = all.iter().filter(|judged| !judged.control).collect();
    let count = |right: fn(&Judged) -> bool| cases.iter().filter(|judged| right(judged)).count();
    let (classes, functions, lines) =
        (count(|j| j.class), count(|j| j.function), count(|j| j.line));
    let hosts = cases.iter().filter(|judged| judged.peer.is_some()).count();
    let right_hosts = count(|judged| judged.peer == Some(true));
    let wrong: usize = all.iter().map(|judged| judged.wrong.len()).sum();
    let points: f64 = all.iter().map(Judged::points).sum();
    writeln!(
        out,
        "class {classes}/{n}, function {functions}/{n}, line {lines}/{n}, host {right_hosts}/{hosts}, \
         accused wrongly {wrong}, {points} points of {}",
        all.len(),
        n = cases.len()
    )?;
    let holds = classes + CLASSES_MISSED >= cases.len()
        && functions + FUNCTIONS_MISSED >= cases.len()
        && right_hosts == hosts
        && wrong == 0;
    Ok(holds)
}
