//! Every way to hang, each played once before your eyes: `redhanded-drill [CODE…]`.

use redhanded_factory::score::{self, Judged};
use redhanded_factory::stage::{self, Setup};
use redhanded_factory::{Case, all};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted =
        |case: &Case| wanted.is_empty() || wanted.iter().any(|w| w.eq_ignore_ascii_case(case.code));
    let cases: Vec<Case> = all().into_iter().filter(is_wanted).collect();
    if cases.is_empty() {
        let codes: Vec<&str> = all().iter().map(|case| case.code).collect();
        eprintln!(
            "redhanded-drill: there is no such case; there are {}",
            codes.join(", ")
        );
        return ExitCode::from(2);
    }
    match drill(&cases) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("redhanded-drill: {error}");
            ExitCode::from(2)
        }
    }
}

fn drill(cases: &[Case]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let mut all_right = true;
    for case in cases {
        write!(out, "{:4} {:52} ", case.code, case.title)?;
        out.flush()?;
        let judged = score::judge(case, &stage::run(case, &Setup::here()));
        let right = is_right(&judged);
        all_right &= right;
        writeln!(
            out,
            "{} {}",
            if right { "ok    " } else { "MISSED" },
            line(&judged)
        )?;
        for wrong in &judged.wrong {
            writeln!(out, "     accused wrongly: {wrong}")?;
        }
    }
    Ok(all_right)
}

fn is_right(judged: &Judged) -> bool {
    judged.wrong.is_empty() && (judged.control || judged.is_settled())
}

fn line(judged: &Judged) -> String {
    let Some(verdict) = &judged.verdict else {
        return if judged.control {
            "nobody accused"
        } else {
            "not caught"
        }
        .to_owned();
    };
    let culprit = verdict
        .culprit
        .as_ref()
        .map_or("-", |culprit| &culprit.function);
    format!(
        "{} {} at {culprit}",
        verdict.class,
        score::confidence(judged)
    )
}
