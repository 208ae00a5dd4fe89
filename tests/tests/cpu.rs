//! Polls that burn a CPU.

use redhanded::report::{Class, Confidence, Role};
use redhanded_tests::{Stall, caught, hangs_without};
use std::sync::Mutex;

/// One at a time: on a small machine two loops leave nothing for the third.
static CPU: Mutex<()> = Mutex::new(());

fn is_a_loop(name: &str, function: &str, q: &'static str) {
    let _alone = CPU.lock();
    let (path, target) = (format!("/{name}/42"), format!("/{name}/42?q={q}"));
    hangs_without(&[name], &target);
    let stall = Stall::of(&[name]).start();
    let _hangs = stall.get(&target);
    caught(&stall, &path)
        .as_class(Class::CpuLoop)
        .by_role(Role::Culprit)
        .at_least(Confidence::Likely)
        .at(function)
        .asked_for("42", q)
        .and_as_nothing_else();
    stall.is_well();
}

#[test]
fn a_tight_loop() {
    is_a_loop("spin", "stall::cpu::spin", "needle");
}

#[test]
fn a_catastrophic_regex() {
    is_a_loop(
        "regex",
        "stall::cpu::matches",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx!",
    );
}

/// It enters the kernel a million times a second, and is a loop all the same.
#[test]
fn a_loop_of_failing_reads() {
    is_a_loop("failing_reads", "stall::cpu::count_lines", "needle");
}
