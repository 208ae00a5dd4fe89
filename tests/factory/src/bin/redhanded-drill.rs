//! Every way to hang, each played once before your eyes: `redhanded-drill [--json] [--jobs N] [CODE…]`.
//!
//! The command `redhanded drill` is this. Exit code 0: all was as it must be; 1: something was missed or
//! somebody accused wrongly; 2: usage; 3: it cannot be played or said.

use redhanded_factory::score::{self, Judged};
use redhanded_factory::stage::{self, Setup};
use redhanded_factory::{Case, chosen, many, table};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// What to play, and how to say what came of it.
struct Wanted {
    cases: Vec<Case>,
    json: bool,
    jobs: usize,
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(words) => {
            eprintln!("redhanded-drill: {words}");
            return ExitCode::from(2);
        }
    };
    match drill(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Nobody reads any more, and that is no trouble
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redhanded-drill: {error}");
            ExitCode::from(3)
        }
    }
}

fn wanted() -> Result<Wanted, String> {
    let (mut json, mut jobs, mut codes) = (false, many::jobs(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--jobs" => {
                let value = args.next().and_then(|value| value.parse().ok());
                jobs = value.ok_or("--jobs wants a number")?;
            }
            option if option.starts_with('-') => {
                return Err(format!("there is no option {option}"));
            }
            _ => codes.push(arg),
        }
    }
    let cases = chosen(&codes)?;
    Ok(Wanted { cases, json, jobs })
}

fn drill(wanted: &Wanted) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let mut right = 0;
    let setup = Setup::here();
    if !setup.program.is_file() {
        let words = "the program factory is not beside this one: cargo build -p redhanded-factory";
        return Err(io::Error::new(io::ErrorKind::NotFound, words));
    }
    many::each(
        &wanted.cases,
        wanted.jobs,
        |case| score::judge(case, &stage::run(case, &setup)),
        |case, judged| {
            right += usize::from(judged.as_ref().is_ok_and(Judged::is_right));
            if wanted.json {
                writeln!(out, "{}", object(case, &judged))?;
            } else {
                write_lines(&mut out, case, &judged)?;
            }
            out.flush()
        },
    )?;
    let of = wanted.cases.len();
    if !wanted.json {
        writeln!(out, "{right} of {of} as they must be")?;
    }
    Ok(right == of)
}

fn write_lines(
    out: &mut impl Write,
    case: &Case,
    judged: &Result<Judged, String>,
) -> io::Result<()> {
    let (word, said) = match judged {
        Ok(judged) if judged.is_right() => ("ok", said(judged)),
        Ok(judged) => ("MISSED", said(judged)),
        Err(words) => ("FAILED", words.clone()),
    };
    writeln!(out, "{:4} {:52} {word:6} {said}", case.code, case.title)?;
    for wrong in judged.iter().flat_map(|judged| &judged.wrong) {
        writeln!(out, "     accused wrongly: {wrong}")?;
    }
    Ok(())
}

fn said(judged: &Judged) -> String {
    let Some(verdict) = &judged.verdict else {
        let words = if judged.control {
            "nobody accused"
        } else {
            "not caught"
        };
        return words.to_owned();
    };
    let mut said = format!("{}, {}", verdict.class, verdict.confidence.as_str());
    if let Some(culprit) = &verdict.culprit {
        said += &format!(" at {}", table::place(culprit));
    }
    if let Some(peer) = &verdict.peer {
        said += &format!(", host {}", table::host(peer));
    }
    said
}

fn object(case: &Case, judged: &Result<Judged, String>) -> Value {
    let found = judged.as_ref().ok();
    json!({
        "format": "redhanded-drill/1",
        "code": case.code,
        "title": case.title,
        "control": case.is_control(),
        "right": found.is_some_and(Judged::is_right),
        "verdict": found.and_then(|judged| judged.verdict.as_ref()),
        "verdict_after_ms": found.and_then(|judged| judged.verdict_after_ms),
        "accused_wrongly": found.map_or(&[][..], |judged| &judged.wrong),
        "failed": judged.as_ref().err(),
    })
}
