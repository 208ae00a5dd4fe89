//! Allocates more and more and gives nothing back.
//!
//! It is no rule among the others, because a request that grows also runs, waits or repeats: what it
//! does is judged first and weighed against the growth afterwards.

use super::{Growth, Memory, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

const MIB: u64 = 1 << 20;

/// Less is no danger to anybody.
const LEAST_HELD: u64 = 8 * MIB;
const LEAST_RISE: u64 = 4 * MIB;
/// A rise that has lasted so long is no fit, whatever the threshold.
const LASTING_MS: f64 = 3_000.0;
/// Who holds so much is not given that time, and may grow by doubling, which rises seldom.
const MUCH: u64 = 256 * MIB;
/// From here on memory is the bigger danger than a thread that is kept busy.
const DANGER: u64 = 64 * MIB;
const DANGER_A_SECOND: f64 = (8 * MIB) as f64;
/// Readings and time that a proof takes.
const PROOF: u32 = 16;
const PROOF_MS: f64 = 3_500.0;

/// Whether it grows, and has done so for as long as its threshold and without an end in sight.
///
/// Innocents are one big buffer (one rise), a cache that fills and stops (still), who frees as much as
/// it allocates (falls), and what others free for it (the process does not grow).
pub(crate) fn grows(memory: &Memory, slow_after_ms: f64) -> bool {
    let Some(growth) = &memory.growth else {
        return false;
    };
    let rises = growth.rises >= 3
        && growth.rose_bytes >= LEAST_RISE
        && growth.fell_bytes <= growth.rose_bytes / 8
        && of(growth.largest_rise_bytes, growth.rose_bytes) <= 0.6;
    let goes_on = growth.still_ms <= 0.5 * growth.window_ms
        && of(growth.rose_late_bytes, growth.rose_bytes) >= 0.2;
    let lasts = growth.window_ms >= LASTING_MS
        && growth.still_ms <= 0.2 * growth.window_ms
        && f64::from(growth.rises) >= 0.5 * f64::from(growth.readings);
    let is_real = real_share(growth) >= 0.6;
    let much = memory.held_bytes >= MUCH;
    memory.held_bytes >= LEAST_HELD
        && rises
        && goes_on
        && is_real
        && growth.window_ms >= slow_after_ms
        && (lasts || much)
}

/// The verdict on a request that may grow, of which the rules say `verdict`.
pub(super) fn weigh(mut verdict: Verdict, observed: &Observed) -> Verdict {
    let growing = observed
        .memory
        .as_ref()
        .filter(|memory| grows(memory, observed.slow_after_ms));
    let Some(memory) = growing else {
        return verdict;
    };
    let cause = cause(memory);
    if !outweighs(memory, &verdict) {
        verdict.cause += &format!("; it {cause}");
        return verdict;
    }
    let cause = format!("{cause}; meanwhile: {}", verdict.cause);
    let mut ours = Verdict::new(
        Class::MemoryGrowth,
        Role::Culprit,
        confidence(memory),
        cause,
    );
    ours.waiting_for = verdict.waiting_for;
    ours
}

/// Whether the growth is what people want to hear of first.
fn outweighs(memory: &Memory, verdict: &Verdict) -> bool {
    match verdict.class {
        // Why it grows, and what is to be mended.
        Class::RepeatingCalls | Class::UnreachableHost | Class::PoolWait | Class::Starved => false,
        Class::CpuLoop | Class::SpinLoop | Class::BlockedThread | Class::SilentPeer => {
            memory.held_bytes >= MUCH
                || memory.held_bytes >= DANGER && rate(memory) >= DANGER_A_SECOND
        }
        _ => true,
    }
}

/// How much of the rise is real at least: the process has grown by it, and nobody has freed so much
/// for others.
fn real_share(growth: &Growth) -> f64 {
    let own = growth.rose_bytes.saturating_sub(growth.unowned_fell_bytes);
    of(own.min(growth.process_rose_bytes), growth.rose_bytes)
}

fn confidence(memory: &Memory) -> Confidence {
    let Some(growth) = &memory.growth else {
        return Confidence::Suspected;
    };
    let real = real_share(growth);
    let steady = growth.readings >= PROOF
        && growth.rises.saturating_add(1) >= growth.readings
        && growth.fell_bytes == 0
        && growth.window_ms >= PROOF_MS
        && of(growth.rose_late_bytes, growth.rose_bytes) >= 0.4;
    if steady && real >= 0.9 && memory.held_bytes >= DANGER {
        Confidence::Proved
    } else if real >= 0.75 {
        Confidence::Likely
    } else {
        Confidence::Suspected
    }
}

/// Bytes a second.
fn rate(memory: &Memory) -> f64 {
    memory.growth.as_ref().map_or(0.0, |growth| {
        of(growth.rose_bytes, 1) * 1_000.0 / growth.window_ms.max(1.0)
    })
}

fn cause(memory: &Memory) -> String {
    let growth = memory.growth.clone().unwrap_or_default();
    format!(
        "holds {} more than it freed, +{}/s over the last {}; {} of {} readings were higher than the one before, and the process grew by {}",
        mebibytes(memory.held_bytes as f64),
        mebibytes(rate(memory)),
        spoken(growth.window_ms),
        growth.rises,
        growth.readings.saturating_sub(1),
        mebibytes(growth.process_rose_bytes as f64),
    )
}

fn mebibytes(bytes: f64) -> String {
    let mib = bytes / MIB as f64;
    if mib < 10.0 {
        format!("{mib:.1} MiB")
    } else {
        format!("{mib:.0} MiB")
    }
}

fn of(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(all(test, not(redhanded_loom)))]
pub(super) mod tests {
    use super::super::hosts::tests::{call, calling};
    use super::*;
    use crate::calls::CallPhase;
    use crate::verdict::{At, CallTotal, Look, StandingPoll, judge};
    use proptest::prelude::*;

    /// Small numbers and huge ones, so that every threshold is met and every sum overflows.
    fn any_bytes() -> impl Strategy<Value = u64> {
        prop_oneof![0..2048 * MIB, any::<u64>()]
    }

    fn any_count() -> impl Strategy<Value = u32> {
        prop_oneof![0_u32..30, any::<u32>()]
    }

    fn any_time() -> impl Strategy<Value = f64> {
        prop_oneof![0.0..10_000.0, any::<f64>()]
    }

    pub(in super::super) fn any_memory() -> impl Strategy<Value = Memory> {
        let bytes = [(); 6].map(|()| any_bytes());
        let counts = (any_count(), any_count());
        let times = (any_time(), any_time());
        (bytes, counts, times, any::<bool>()).prop_map(|(bytes, counts, times, grows)| {
            let growth = Growth {
                window_ms: times.0,
                readings: counts.0,
                rises: counts.1,
                rose_bytes: bytes[0],
                rose_late_bytes: bytes[1],
                largest_rise_bytes: bytes[2],
                fell_bytes: if grows { 0 } else { bytes[3] },
                still_ms: times.1,
                process_rose_bytes: bytes[4],
                unowned_fell_bytes: if grows { 0 } else { bytes[3] },
            };
            Memory {
                allocated_bytes: bytes[5],
                held_bytes: bytes[5],
                by_children_bytes: bytes[3],
                growth: Some(growth).filter(|_| grows || bytes[0] % 2 == 0),
            }
        })
    }

    /// What a proof takes, said once more in other words.
    pub(in super::super) fn may_be_proved(memory: &Memory) -> bool {
        let Some(growth) = &memory.growth else {
            return false;
        };
        memory.held_bytes >= 64 << 20
            && growth.readings >= 16
            && growth.rises >= growth.readings - 1
            && growth.fell_bytes == 0
            && growth.window_ms >= 3_500.0
            && growth.process_rose_bytes as f64 >= 0.9 * growth.rose_bytes as f64
    }

    /// An unbounded channel whose reader does not read, as it was recorded: 10 MiB a second.
    fn channel() -> Memory {
        Memory {
            allocated_bytes: 61 * MIB,
            held_bytes: 40 * MIB,
            by_children_bytes: 40 * MIB,
            growth: Some(Growth {
                window_ms: 3_150.0,
                readings: 20,
                rises: 19,
                rose_bytes: 21 * MIB,
                rose_late_bytes: 10 * MIB,
                largest_rise_bytes: 2 * MIB,
                fell_bytes: 0,
                still_ms: 0.0,
                process_rose_bytes: 21 * MIB,
                unowned_fell_bytes: 0,
            }),
        }
    }

    fn with(memory: Memory) -> Observed {
        Observed {
            elapsed_ms: 4_000.0,
            slow_after_ms: 2_000.0,
            polls: 10,
            at: At::AwaitsClient,
            memory: Some(memory),
            ..Observed::default()
        }
    }

    fn changed(change: impl FnOnce(&mut Memory, &mut Growth)) -> Memory {
        let mut memory = channel();
        let mut growth = memory.growth.take().expect("recorded");
        change(&mut memory, &mut growth);
        memory.growth = Some(growth);
        memory
    }

    /// A gigabyte, and no end in sight.
    fn huge() -> Memory {
        changed(|memory, growth| {
            memory.held_bytes = 812 * MIB;
            (growth.window_ms, growth.readings, growth.rises) = (3_500.0, 22, 21);
            (growth.rose_bytes, growth.rose_late_bytes) = (336 * MIB, 160 * MIB);
            growth.process_rose_bytes = 340 * MIB;
        })
    }

    #[test]
    fn a_channel_that_nobody_reads_is_growth_and_not_the_clients_fault() {
        let verdict = judge(&with(channel()));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::MemoryGrowth, Role::Culprit, Confidence::Likely)
        );
        assert_eq!(
            verdict.cause,
            "holds 40 MiB more than it freed, +6.7 MiB/s over the last 3.15 s; 19 of 19 readings were higher than \
             the one before, and the process grew by 21 MiB; meanwhile: the response is ready and the client has \
             not taken it; the request is 4.00 s old"
        );
        assert!(verdict.waiting_for.is_some());
    }

    #[test]
    fn a_long_and_steady_rise_is_proved_and_figures_tell() {
        let verdict = judge(&with(huge()));
        assert_eq!(verdict.confidence, Confidence::Proved);
        assert!(
            verdict
                .cause
                .starts_with("holds 812 MiB more than it freed, +96 MiB/s over the last 3.50 s"),
            "{}",
            verdict.cause
        );
    }

    #[test]
    fn what_falls_short_of_a_proof_is_likely() {
        let short: [fn(&mut Memory, &mut Growth); 6] = [
            |_, g| (g.readings, g.rises) = (15, 14),
            |_, g| g.rises = 20,
            |_, g| g.fell_bytes = 1,
            |_, g| g.window_ms = 3_400.0,
            |_, g| g.rose_late_bytes = 100 * MIB,
            |m, _| m.held_bytes = 63 * MIB,
        ];
        for (number, change) in short.into_iter().enumerate() {
            let mut memory = huge();
            let mut growth = memory.growth.take().expect("recorded");
            change(&mut memory, &mut growth);
            memory.growth = Some(growth);
            let verdict = judge(&with(memory));
            assert_eq!(
                (verdict.class, verdict.confidence),
                (Class::MemoryGrowth, Confidence::Likely),
                "{number}"
            );
        }
    }

    /// Each differs from the recorded channel in one thing only.
    #[test]
    fn the_nearest_innocents_are_not_accused() {
        let innocents: [(&str, Memory); 10] = [
            ("little", changed(|m, _| m.held_bytes = 7 * MIB)),
            ("one big buffer", changed(|_, g| g.rises = 1)),
            (
                "mostly one step",
                changed(|_, g| g.largest_rise_bytes = 15 * MIB),
            ),
            ("filled and stopped", changed(|_, g| g.still_ms = 700.0)),
            ("comes to an end", changed(|_, g| g.rose_late_bytes = MIB)),
            ("frees as it goes", changed(|_, g| g.fell_bytes = 5 * MIB)),
            (
                "others free for it",
                changed(|_, g| g.process_rose_bytes = 8 * MIB),
            ),
            (
                "freed by a task while another fills a cache",
                changed(|_, g| g.unowned_fell_bytes = 12 * MIB),
            ),
            ("for a short time", changed(|_, g| g.window_ms = 2_900.0)),
            (
                "not watched",
                Memory {
                    growth: None,
                    ..channel()
                },
            ),
        ];
        for (who, memory) in innocents {
            let verdict = judge(&with(memory));
            assert_eq!(verdict.class, Class::ClientStalled, "{who}");
            assert!(!verdict.cause.contains("MiB"), "{who}: {}", verdict.cause);
        }
    }

    #[test]
    fn who_doubles_is_found_when_it_is_much_and_not_before() {
        let doubles = |held: u64| {
            changed(|memory, growth| {
                memory.held_bytes = held;
                (growth.rises, growth.readings) = (3, 14);
                (growth.rose_bytes, growth.largest_rise_bytes) = (held / 8 * 7, held / 2);
                (growth.rose_late_bytes, growth.still_ms) = (held / 2, 900.0);
                growth.process_rose_bytes = held;
            })
        };
        assert_eq!(judge(&with(doubles(128 * MIB))).class, Class::ClientStalled);
        let verdict = judge(&with(doubles(512 * MIB)));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::MemoryGrowth, Confidence::Likely)
        );
    }

    fn looping(memory: Memory) -> Observed {
        let poll = StandingPoll {
            stood_ms: 4_000.0,
            window_ms: 3_900.0,
            thread: "w0".into(),
            samples: 20,
            on_cpu: 20,
            cpu_ms: Some(3_890.0),
            shared_frames: 30,
            ..StandingPoll::default()
        };
        Observed {
            poll: Some(poll),
            at: At::Handler,
            ..with(memory)
        }
    }

    #[test]
    fn a_loop_stays_a_loop_until_its_memory_is_the_bigger_danger() {
        let verdict = judge(&looping(channel()));
        assert_eq!(verdict.class, Class::CpuLoop);
        assert!(
            verdict.cause.contains("; it holds 40 MiB"),
            "{}",
            verdict.cause
        );
        let verdict = judge(&looping(huge()));
        assert_eq!(verdict.class, Class::MemoryGrowth);
        assert!(
            verdict.cause.contains("meanwhile: thread w0"),
            "{}",
            verdict.cause
        );
    }

    #[test]
    fn pages_without_end_stay_repeating_calls_with_the_memory_in_the_cause() {
        let mut fresh = call("api", 443, Some(CallPhase::WaitHeaders));
        (fresh.rests_ms, fresh.elapsed_ms) = (40.0, 40.0);
        let total = CallTotal {
            kind: "http".into(),
            host: "api".into(),
            port: Some(443),
            calls: 300,
            paged: 299,
            total_ms: 29_000.0,
            ..CallTotal::default()
        };
        let observed = Observed {
            totals: vec![total],
            memory: Some(huge()),
            ..calling(&[fresh])
        };
        let verdict = judge(&observed);
        assert_eq!(verdict.class, Class::RepeatingCalls);
        assert!(
            verdict.cause.contains("; it holds 812 MiB"),
            "{}",
            verdict.cause
        );
    }

    #[test]
    fn who_waits_and_grows_is_not_just_waiting() {
        let look = Look::Polled {
            pending: true,
            leaves: 1,
            woke_itself: false,
            budget_exhausted: false,
        };
        let observed = Observed {
            look: Some(look),
            at: At::Handler,
            ..with(channel())
        };
        assert_eq!(judge(&observed).class, Class::MemoryGrowth);
    }
}
