//! Real causes of runaway requests as axum handlers, and the innocent that look like them.
//!
//! A [`Case`] is one cause: the application that has it, the requests that meet it, and what is
//! [true](Truth) of it. [`stage::run`] plays a case in a process of its own, watched or not, and
//! [`score::judge`] compares what was reported with the truth. The cases are in [`cases`], things that look bad
//! and must not be accused in [`controls`]; codes are those of the list of causes (`A1`, `N5`).
//!
//! The binary `factory` serves one case, `redhanded-drill` shows all of them to people, and
//! `scoreboard` prints the [figures](figures::Figures) that `cargo xtask scoreboard` is for.

pub mod case;
pub mod cases;
pub mod controls;
pub mod figures;
pub mod ground;
pub mod load;
pub mod many;
pub mod peers;
pub mod play;
pub mod score;
pub mod serve;
pub mod stage;
pub mod table;

pub use case::{Case, Hang, Needs, Stdout, Truth};
pub use ground::{Ground, tell};
pub use play::{Part, Play};

/// Every case, in the order of their codes; the controls last.
pub fn all() -> Vec<Case> {
    [cases::all(), controls::all()].concat()
}

/// Those of [`all`] that are asked for by code, all where none is.
///
/// # Errors
///
/// In words, the first code that no case has.
pub fn chosen(codes: &[String]) -> Result<Vec<Case>, String> {
    let all = all();
    let is = |case: &Case, code: &String| code.eq_ignore_ascii_case(case.code);
    if let Some(code) = codes
        .iter()
        .find(|code| !all.iter().any(|case| is(case, code)))
    {
        let there: Vec<&str> = all.iter().map(|case| case.code).collect();
        return Err(format!(
            "there is no case {code:?}; there are {}",
            there.join(", ")
        ));
    }
    let mut chosen = all;
    chosen.retain(|case| codes.is_empty() || codes.iter().any(|code| is(case, code)));
    Ok(chosen)
}

/// The case with this code, such as `A1`.
pub fn by_code(code: &str) -> Option<Case> {
    all()
        .into_iter()
        .find(|case| case.code.eq_ignore_ascii_case(code))
}
