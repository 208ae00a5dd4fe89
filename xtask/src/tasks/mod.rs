//! One file per promise.

mod budget;
mod callgrind;
mod ci;
mod clippy;
mod console;
mod deny;
mod docs;
mod e2e;
mod fmt;
mod hammer;
mod haproxy;
mod imports;
mod kills;
mod log_kills;
mod loom;
mod metrics;
mod million;
mod outbound;
mod peers;
mod readme;
mod recorder_kills;
mod scoreboard;
mod servers;
mod stub;
mod test;

use crate::failure::Failure;

/// One promise, and how to see whether it is kept.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    /// As they stand in the list; empty where there are none.
    pub(crate) arguments: &'static str,
    pub(crate) promise: &'static str,
    /// With which arguments it is a part of `ci`, if it is.
    pub(crate) ci: Option<&'static [&'static str]>,
    pub(crate) run: fn(&[String]) -> Result<(), Failure>,
}

/// In the order of `ci`: what is quick to tell comes first.
pub(crate) static ALL: [Task; 24] = [
    ci::TASK,
    fmt::TASK,
    clippy::TASK,
    docs::TASK,
    imports::TASK,
    deny::TASK,
    test::TASK,
    loom::TASK,
    console::TASK,
    stub::TASK,
    readme::TASK,
    e2e::TASK,
    outbound::TASK,
    haproxy::TASK,
    metrics::TASK,
    hammer::TASK,
    log_kills::TASK,
    recorder_kills::TASK,
    million::TASK,
    scoreboard::TASK,
    budget::TASK,
    budget::BENCH,
    peers::TASK,
    servers::TASK,
];

pub(crate) fn by_name(name: &str) -> Option<&'static Task> {
    ALL.iter().find(|task| task.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for task in &ALL {
            assert_eq!(
                ALL.iter().filter(|other| other.name == task.name).count(),
                1,
                "{}",
                task.name
            );
        }
    }
}
