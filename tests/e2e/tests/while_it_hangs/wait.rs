//! Waiting for what is to come, and not a fixed time.

use std::time::{Duration, Instant};

/// For something that takes milliseconds on a machine with nothing else to do.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Looks until something is there.
///
/// # Panics
///
/// When it is not there within `deadline`.
#[track_caller]
pub(crate) fn until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            eprintln!("  {:6.2} s  {what}", begun.elapsed().as_secs_f64());
            return found;
        }
        assert!(
            begun.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
