//! Times of a span in Unix nanoseconds.

use redhanded_report::Report;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Interval {
    /// From the request's start until `report` was made; of one that died with its process until that was last seen.
    pub(crate) fn until_now(report: &Report) -> Self {
        let last_seen = report.died.as_ref().map(|died| died.last_seen.as_str());
        let end = last_seen.and_then(parse).unwrap_or_else(|| line(report));
        let start = started(report)
            .unwrap_or_else(|| end.saturating_sub(nanos(report.elapsed_ms.unwrap_or(0.0))));
        // The wall clock may have been set back in between; a span that ends before it starts is
        // thrown away by some stores.
        Self {
            start,
            end: end.max(start),
        }
    }

    /// The whole life of a request that ended: `total_ms` was measured on the monotonic clock.
    pub(crate) fn whole(ended: &Report, caught: Option<&Report>) -> Self {
        let total = ended
            .outcome
            .as_ref()
            .map(|outcome| outcome.total_ms)
            .or(ended.elapsed_ms);
        let total = nanos(total.unwrap_or(0.0));
        let start = started(ended).or_else(|| caught.and_then(started));
        let start = start.unwrap_or_else(|| line(ended).saturating_sub(total));
        Self {
            start,
            end: start.saturating_add(total),
        }
    }
}

/// Nanoseconds since 1970 as the clock has them.
pub(crate) fn time(nanos: u64) -> SystemTime {
    let since = Duration::from_nanos(nanos);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Milliseconds as nanoseconds; what is negative or not a number is zero.
pub(crate) fn nanos(ms: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate, NaN becomes 0"
    )]
    let nanos = (ms * 1e6).round() as u64;
    nanos
}

fn started(report: &Report) -> Option<u64> {
    report.request.as_ref()?.started.as_deref().and_then(parse)
}

fn line(report: &Report) -> u64 {
    parse(&report.time).unwrap_or_else(|| unix(SystemTime::now()))
}

fn parse(rfc3339: &str) -> Option<u64> {
    humantime::parse_rfc3339(rfc3339).ok().map(unix)
}

/// The clock as nanoseconds since 1970.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use redhanded_report::Event;

    #[test]
    fn who_died_is_not_told_to_have_lived_until_it_was_found() {
        let mut report = Report::new(Event::Died, "id");
        report.time = "2026-07-01T09:00:00.000000Z".to_owned();
        report.elapsed_ms = Some(1_000.0);
        let mut died = redhanded_report::Died::default();
        died.last_seen = "2026-07-01T02:03:04.000005Z".to_owned();
        report.died = Some(died);
        let when = Interval::until_now(&report);
        assert_eq!(when.end, 1_782_871_384_000_005_000);
        assert_eq!(when.start, 1_782_871_383_000_005_000);
    }

    #[test]
    fn microseconds_survive() {
        assert_eq!(
            parse("2026-07-01T02:03:04.000005Z"),
            Some(1_782_871_384_000_005_000)
        );
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn strange_durations_are_harmless() {
        assert_eq!(nanos(2010.5), 2_010_500_000);
        assert_eq!([nanos(-1.0), nanos(f64::NAN)], [0, 0]);
        assert_eq!(nanos(f64::INFINITY), u64::MAX);
    }

    #[test]
    fn a_clock_set_back_never_ends_before_the_start() {
        let mut report = Report::new(Event::Caught, "id");
        let mut request = redhanded_report::Request::default();
        request.started = Some("2026-07-01T02:03:04Z".to_owned());
        report.request = Some(request);
        report.time = "2026-07-01T02:03:00Z".to_owned();
        let interval = Interval::until_now(&report);
        assert_eq!(interval.start, interval.end);
    }
}
