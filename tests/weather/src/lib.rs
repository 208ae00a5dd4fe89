//! The log in bad weather, and the flight recorder: the program `catcher` is the process that writes it, one for each disk and each
//! death; here is who starts it, who remembers what it was told is durable, and who reads what is left.

mod catcher;
mod doomed;
mod kills;
mod left;
mod memory;
mod place;
mod talk;

pub use catcher::{Catcher, Lines, Told};
pub use doomed::{Doomed, Files, Said, number_in};
pub use kills::Kills;
pub use left::{Left, files_of};
pub use memory::MemoryGroup;
pub use place::{Frozen, Place};

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a test waits for what must come; machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer or `deadline` has passed.
pub fn until<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that is built beside this one.
///
/// # Panics
///
/// When it is not.
pub fn sibling(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a program has a path");
    let found = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name));
    found
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built beside {}", here.display()))
}
