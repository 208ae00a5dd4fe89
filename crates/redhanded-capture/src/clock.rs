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
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds that the machine has spent suspended since it started; `None` where that is not
/// known, or could not be read at one moment.
///
/// It is what `CLOCK_BOOTTIME` has more than `CLOCK_MONOTONIC`. Only its growth says something: a
/// time namespace may shift both clocks. No system call.
///
/// ```
/// if let (Some(before), Some(now)) = (redhanded_capture::suspended_ns(), redhanded_capture::suspended_ns()) {
///     assert!(now.saturating_sub(before) < 1_000_000_000, "nobody suspends a machine in its tests");
/// }
/// ```
#[cfg(target_os = "linux")]
pub fn suspended_ns() -> Option<u64> {
    // Two clocks are not read at one moment: a thread that is put aside in between would count its
    // absence as suspended time.
    (0..4).find_map(|_| {
        let before = monotonic_ns();
        let boottime = read(libc::CLOCK_BOOTTIME);
        let after = monotonic_ns();
        (after.saturating_sub(before) < AT_ONCE_NS).then(|| boottime.saturating_sub(before))
    })
}

/// CPU time of the calling thread in nanoseconds; `None` where that is not known.
///
/// ```
/// if let (Some(before), Some(now)) = (redhanded_capture::thread_cpu_ns(), redhanded_capture::thread_cpu_ns()) {
///     assert!(now >= before);
/// }
/// ```
#[cfg(target_os = "linux")]
pub fn thread_cpu_ns() -> Option<u64> {
    Some(read(libc::CLOCK_THREAD_CPUTIME_ID))
}

/// Clock readings closer together than this are taken as one.
#[cfg(target_os = "linux")]
const AT_ONCE_NS: u64 = 1_000_000;

#[cfg(target_os = "linux")]
#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec that the call writes to and nothing else; all clocks exist
    // on every Linux since 2.6.39, and where one did not, `now` would stay zero.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
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

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn thread_cpu_ns() -> Option<u64> {
    None
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub fn suspended_ns() -> Option<u64> {
    None
}
