//! How often metrics are sent.

use crate::config::warn;
use std::time::Duration;

const NAME: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const DEFAULT: Duration = Duration::from_secs(60);
/// Shorter than this nobody can want it, and longer nobody can read it.
const ACCEPTED_MS: std::ops::RangeInclusive<u64> = 100..=86_400_000;

/// As the environment says it.
pub(super) fn read(env: &impl Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Duration {
    let Some(value) = env(NAME).filter(|value| !value.trim().is_empty()) else {
        return DEFAULT;
    };
    match value.trim().parse() {
        Ok(ms) if ACCEPTED_MS.contains(&ms) => Duration::from_millis(ms),
        Ok(_) | Err(_) => {
            let then = "accepted are milliseconds from 100 to 86400000; 60000 is used";
            warn(warnings, NAME, &value, then);
            DEFAULT
        }
    }
}
