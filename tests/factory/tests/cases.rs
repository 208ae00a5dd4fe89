//! Every case hangs while nobody watches.
//!
//! That each is caught and named, and nobody accused who is innocent, is what `cargo xtask scoreboard` shows.

use redhanded_factory::cases::CORPUS;
use redhanded_factory::stage::{self, Setup};
use redhanded_factory::{Hang, all, many};
use std::collections::HashSet;

#[test]
fn codes_are_unique_and_culprits_are_marked() {
    let mut codes = HashSet::new();
    for case in all() {
        let code = case.code;
        assert!(codes.insert(code), "{code} twice");
        assert_eq!(case.is_control(), case.truth.hang == Hang::Never, "{code}");
        let marked = !case.lines().is_empty();
        assert_eq!(
            marked,
            case.truth.function.is_some(),
            "{code}: a function has lines"
        );
    }
    for code in CORPUS {
        assert!(codes.contains(code), "{code} is promised");
    }
}

/// In a crowd: nobody is answered any sooner for it.
#[test]
fn every_case_hangs_while_nobody_watches() {
    let setup = Setup::here();
    let mut answered = Vec::new();
    let hangs = |case: &_| stage::hangs_without(case, &setup);
    many::crowd(&all(), 4 * many::jobs(), hangs, |_, result| {
        answered.extend(result.and_then(|hangs| hangs).err());
        Ok(())
    })
    .expect("nothing is written");
    assert!(answered.is_empty(), "{answered:#?}");
}
