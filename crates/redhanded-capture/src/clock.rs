//! The monotonic clock as one number.

/// Nanoseconds on the system's monotonic clock (`CLOCK_MONOTONIC`); suspended time is not in it.
///
/// The same clock as [`std::time::Instant`], which cannot be stored in an atomic; a subtraction of
/// two `Instant`s costs three times the instructions.
///
/// ```
/// let before = redhanded_capture::monotonic_ns();
/// assert!(redhanded_capture::monotonic_ns() >= before);
/// ```
#[cfg(target_os = "linux")]
#[inline]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec that the call writes to and nothing else; the clock exists
    // on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

/// Nanoseconds on the system's monotonic clock, from the first call on.
#[cfg(not(target_os = "linux"))]
#[inline]
pub fn monotonic_ns() -> u64 {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let elapsed = ORIGIN.get_or_init(std::time::Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
