//! Every case hangs while nobody watches, and is caught and named when somebody does; nobody who is
//! innocent is accused.

use redhanded_factory::score;
use redhanded_factory::stage::{self, Setup};
use redhanded_factory::{Hang, all};
use std::collections::HashSet;

#[test]
fn codes_are_unique_and_culprits_are_marked() {
    let mut codes = HashSet::new();
    for case in all() {
        assert!(codes.insert(case.code), "{} twice", case.code);
        assert_eq!(
            case.is_control(),
            case.truth.hang == Hang::Never,
            "{}",
            case.code
        );
        let marked = !case.lines().is_empty();
        assert_eq!(
            marked,
            case.truth.function.is_some(),
            "{}: a function has lines",
            case.code
        );
    }
}

#[test]
fn every_case_hangs_while_nobody_watches() {
    let setup = Setup::here();
    let answered: Vec<String> = all()
        .iter()
        .filter_map(|case| stage::hangs_without(case, &setup).err())
        .collect();
    assert!(answered.is_empty(), "{answered:#?}");
}

#[test]
fn nobody_is_accused_wrongly() {
    let setup = Setup::here();
    let mut wrong = Vec::new();
    for case in all().iter().filter(|case| case.is_control()) {
        let judged = score::judge(case, &stage::run(case, &setup));
        wrong.extend(
            judged
                .wrong
                .iter()
                .map(|words| format!("{}: {words}", case.code)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
