//! No evidence whatever makes a rule panic, or claim `proved` without its conditions.

use super::*;
use crate::calls::CallPhase;
use proptest::prelude::*;
use redhanded_report::{Class, Peer, Role, WaitKind, WaitingFor};

fn spinning() -> Observed {
    let poll = StandingPoll {
        stood_ms: 2000.0,
        window_ms: 1900.0,
        thread: "tokio-rt-worker".into(),
        samples: 20,
        on_cpu: 20,
        cpu_ms: Some(1890.0),
        run_queue_wait_ms: Some(5.0),
        timeslices: Some(12),
        shared_frames: 30,
        ..StandingPoll::default()
    };
    Observed {
        elapsed_ms: 2001.0,
        slow_after_ms: 2000.0,
        polls: 1,
        poll: Some(poll),
        ..Observed::default()
    }
}

fn sleeping() -> Observed {
    let mut observed = spinning();
    let poll = observed.poll.as_mut().expect("inside");
    (poll.on_cpu, poll.asleep) = (0, 20);
    (poll.cpu_ms, poll.run_queue_wait_ms, poll.timeslices) = (Some(0.0), Some(0.0), Some(0));
    poll.syscall = Some("recvfrom".into());
    poll.waiting_for = Some(WaitingFor::new(WaitKind::Socket, "recvfrom"));
    observed
}

fn pending(look: Look) -> Observed {
    Observed {
        elapsed_ms: 2001.0,
        slow_after_ms: 2000.0,
        polls: 3,
        look: Some(look),
        ..Observed::default()
    }
}

fn polled(leaves: u32) -> Look {
    Look::Polled {
        pending: true,
        leaves,
        woke_itself: false,
        budget_exhausted: false,
    }
}

#[test]
fn a_thread_that_burns_cpu_in_one_poll_is_a_loop() {
    let verdict = judge(&spinning());
    assert_eq!(
        (verdict.class, verdict.role, verdict.confidence),
        (Class::CpuLoop, Role::Culprit, Confidence::Proved)
    );
    assert!(
        verdict.cause.contains("2.00 s") && verdict.cause.contains("20 samples"),
        "{}",
        verdict.cause
    );
}

#[test]
fn a_loop_of_failing_reads_is_a_loop_though_it_enters_the_kernel() {
    let mut observed = spinning();
    let poll = observed.poll.as_mut().expect("inside");
    (poll.on_cpu, poll.asleep) = (17, 3);
    assert_eq!(judge(&observed).class, Class::CpuLoop);
}

#[test]
fn a_loop_on_a_crowded_machine_is_still_a_loop() {
    let mut observed = spinning();
    let poll = observed.poll.as_mut().expect("inside");
    (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(300.0), Some(1590.0));
    assert_eq!(judge(&observed).class, Class::CpuLoop);
}

/// As recorded of 80 ms of work on a crowded machine: nearly all of the time it only waited.
#[test]
fn who_hardly_had_a_cpu_is_not_proved_to_loop() {
    let mut observed = spinning();
    observed.elapsed_ms = 571.0;
    observed.slow_after_ms = 500.0;
    let poll = observed.poll.as_mut().expect("inside");
    (poll.stood_ms, poll.window_ms) = (571.0, 571.0);
    (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(13.0), Some(550.0));
    let confidence = |observed: &Observed| judge(observed).confidence;
    assert_eq!(confidence(&observed), Confidence::Suspected);
    assert!(
        judge(&observed)
            .cause
            .contains("13 ms of it as CPU time and 550 ms waiting for a CPU"),
        "{}",
        judge(&observed).cause
    );
    let mut poll = observed.poll.take().expect("inside");
    (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(120.0), Some(440.0));
    observed.poll = Some(poll.clone());
    assert_eq!(confidence(&observed), Confidence::Likely);
    (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(300.0), Some(260.0));
    observed.poll = Some(poll.clone());
    assert_eq!(confidence(&observed), Confidence::Proved);
    (poll.window_ms, poll.cpu_ms) = (5_000.0, Some(510.0));
    poll.run_queue_wait_ms = Some(4_400.0);
    observed.poll = Some(poll);
    assert_eq!(
        confidence(&observed),
        Confidence::Proved,
        "its CPU time alone makes it late"
    );
}

/// As recorded of a spinning request at a moment when its thread got no CPU at all.
#[test]
fn who_was_not_seen_and_had_no_cpu_is_not_called_a_loop() {
    let mut observed = spinning();
    let poll = observed.poll.as_mut().expect("inside");
    (poll.samples, poll.on_cpu, poll.shared_frames) = (0, 0, 0);
    (poll.stood_ms, poll.window_ms) = (516.0, 516.0);
    (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(0.0), Some(452.0));
    let verdict = judge(&observed);
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::Unknown, Role::Bystander)
    );
    observed.poll.as_mut().expect("inside").cpu_ms = Some(450.0);
    assert_eq!(judge(&observed).class, Class::CpuLoop, "it ran, unseen");
}

#[test]
fn short_windows_prove_nothing() {
    let mut observed = spinning();
    observed.poll.as_mut().expect("inside").window_ms = 20.0;
    assert_ne!(judge(&observed).confidence, Confidence::Proved);
}

#[test]
fn a_thread_that_never_ran_is_blocked() {
    let verdict = judge(&sleeping());
    assert_eq!(
        (verdict.class, verdict.confidence),
        (Class::BlockedThread, Confidence::Proved)
    );
    assert!(verdict.cause.contains("recvfrom"), "{}", verdict.cause);
    assert_eq!(
        verdict.waiting_for.expect("a socket").kind,
        WaitKind::Socket
    );
}

#[test]
fn a_late_request_behind_hogs_is_their_victim() {
    let mut observed = pending(Look::Unanswered {
        for_ms: 60.0,
        no_waker: false,
    });
    let hog = Hog {
        id: "01HOG".into(),
        thread: "w0".into(),
        stood_ms: 5000.0,
        same_worker: true,
    };
    observed.crowd = Crowd {
        workers: 2,
        standing: 2,
        hog: Some(hog),
        ..Crowd::default()
    };
    let verdict = judge(&observed);
    assert_eq!(
        (verdict.class, verdict.role, verdict.confidence),
        (Class::Starved, Role::Victim, Confidence::Proved)
    );
    assert_eq!(verdict.victim_of.as_deref(), Some("01HOG"));
}

#[test]
fn an_unanswered_wake_with_free_workers_accuses_nobody() {
    let mut observed = pending(Look::Unanswered {
        for_ms: 60.0,
        no_waker: false,
    });
    observed.crowd = Crowd {
        workers: 2,
        standing: 0,
        hog: None,
        ..Crowd::default()
    };
    let verdict = judge(&observed);
    assert_eq!(verdict.class, Class::Unknown);
    assert_ne!(verdict.confidence, Confidence::Proved);
}

#[test]
fn a_pending_leaf_with_a_waker_is_a_stuck_await() {
    assert_eq!(judge(&pending(polled(1))).class, Class::StuckAwait);
    assert_eq!(judge(&pending(polled(0))).class, Class::Unknown);
}

#[test]
fn a_slow_client_is_not_a_culprit() {
    let mut observed = pending(polled(1));
    observed.look = None;
    observed.at = At::AwaitsClient;
    let verdict = judge(&observed);
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::ClientStalled, Role::Bystander)
    );
}

fn slow_head(handshake: bool) -> Observed {
    Observed {
        elapsed_ms: 2010.0,
        slow_after_ms: 2000.0,
        at: At::Head,
        received: Some(Received {
            bytes: 17,
            handshake,
        }),
        ..Observed::default()
    }
}

#[test]
fn who_sends_half_a_head_is_not_a_culprit() {
    let verdict = judge(&slow_head(false));
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::ClientStalled, Role::Bystander)
    );
    assert!(
        verdict.cause.contains("17 bytes of a request's head") && verdict.cause.contains("2.01 s"),
        "{}",
        verdict.cause
    );
    assert!(judge(&slow_head(true)).cause.contains("TLS handshake"));
}

#[test]
fn a_head_that_nobody_had_time_to_read_is_not_the_clients_fault() {
    let mut observed = slow_head(false);
    let hog = Hog {
        id: "01HOG".into(),
        ..Hog::default()
    };
    observed.crowd = Crowd {
        workers: 2,
        standing: 2,
        hog: Some(hog),
        ..Crowd::default()
    };
    let verdict = judge(&observed);
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::Starved, Role::Victim)
    );
    assert_eq!(verdict.victim_of.as_deref(), Some("01HOG"));
    assert_ne!(verdict.confidence, Confidence::Proved);
    observed.crowd.standing = 1;
    assert_eq!(judge(&observed).class, Class::ClientStalled);
}

fn any_poll() -> BoxedStrategy<StandingPoll> {
    let times = (
        any::<f64>(),
        any::<f64>(),
        any::<Option<f64>>(),
        any::<Option<f64>>(),
        any::<Option<f64>>(),
        any::<Option<u64>>(),
    );
    let counts = (
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<Option<String>>(),
    );
    (times, counts)
        .prop_map(
            |(
                (stood_ms, window_ms, cpu_ms, run_queue_wait_ms, throttled_ms, timeslices),
                (samples, on_cpu, asleep, shared_frames, syscall),
            )| {
                StandingPoll {
                    stood_ms,
                    window_ms,
                    cpu_ms,
                    run_queue_wait_ms,
                    throttled_ms,
                    timeslices,
                    samples,
                    on_cpu,
                    asleep,
                    shared_frames,
                    syscall,
                    ..StandingPoll::default()
                }
            },
        )
        .boxed()
}

fn any_look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(Look::Forbidden),
        (any::<f64>(), any::<bool>())
            .prop_map(|(for_ms, no_waker)| Look::Unanswered { for_ms, no_waker }),
        (any::<bool>(), any::<u32>(), any::<bool>(), any::<bool>()).prop_map(
            |(pending, leaves, woke_itself, budget_exhausted)| {
                Look::Polled {
                    pending,
                    leaves,
                    woke_itself,
                    budget_exhausted,
                }
            }
        ),
    ]
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let words = |all: &'static [&'static str]| proptest::option::of(proptest::sample::select(all));
    let states = words(&["SYN_SENT", "ESTABLISHED", "CLOSE_WAIT", "CLOSE"]);
    let phases = words(&["connect", "dns", "write"]);
    let port = any::<Option<u16>>();
    (
        states,
        phases,
        port,
        any::<Option<f64>>(),
        any::<Option<String>>(),
    )
        .prop_map(|(state, phase, port, elapsed_ms, address)| {
            let mut peer = Peer::default();
            peer.state = state.map(str::to_owned);
            peer.phase = phase.map(str::to_owned);
            (peer.port, peer.elapsed_ms, peer.address) = (port, elapsed_ms, address);
            peer
        })
}

fn any_polling() -> impl Strategy<Value = Polling> {
    let rates = (any::<f64>(), prop_oneof![Just(0.0), any::<f64>()]);
    let counts = (0_u32..5, 0_u32..5, any::<u32>(), any::<bool>());
    (rates, counts).prop_map(
        |((polls_per_second, frames_per_second), (captures, woke, exhausted, yields))| Polling {
            window_ms: 100.0,
            polls_per_second,
            frames_per_second,
            captures,
            woke_itself: woke,
            budget_exhausted: exhausted,
            yields,
        },
    )
}

fn any_call() -> impl Strategy<Value = CallSeen> {
    let phases = proptest::option::of(proptest::sample::select(&CallPhase::ALL[..]));
    let told = (phases, any::<bool>(), any::<bool>(), any::<bool>());
    let times = (any::<f64>(), any::<f64>());
    let who = (
        proptest::option::of(any_peer()),
        proptest::collection::vec(any::<String>(), 0..3),
    );
    (told, times, who).prop_map(
        |((phase, inferred, polled, elsewhere), (rests_ms, elapsed_ms), (socket, holders))| {
            CallSeen {
                kind: "http".into(),
                host: "db1".into(),
                port: Some(5432),
                socket,
                phase,
                inferred,
                rests_ms,
                elapsed_ms,
                polled,
                elsewhere,
                holders,
                ..CallSeen::default()
            }
        },
    )
}

fn any_total() -> impl Strategy<Value = CallTotal> {
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (counts, any::<f64>()).prop_map(|((calls, failed, redirected, paged), total_ms)| CallTotal {
        calls,
        failed,
        redirected,
        paged,
        total_ms,
        ..CallTotal::default()
    })
}

/// The call tells that it connects, and the kernel that nobody answers.
fn is_seen_connecting(call: &CallSeen) -> bool {
    let state = call.socket.as_ref().and_then(|s| s.state.as_deref());
    call.phase == Some(CallPhase::Connect) && !call.inferred && state == Some("SYN_SENT")
}

/// How it is polled, and how it answered.
fn any_polled() -> BoxedStrategy<Observed> {
    let asked = (any::<f64>(), any::<f64>(), any::<u32>());
    let asked = asked.prop_map(|(rested_ms, answered_ms, silent_polls)| Asked {
        rested_ms,
        answered_ms,
        silent_polls,
    });
    let option = proptest::option::of::<BoxedStrategy<Asked>>;
    let looked = (
        proptest::option::of(any_look()),
        proptest::option::of(any_polling()),
        option(asked.boxed()),
        any::<Option<f64>>(),
    );
    let stands = (
        proptest::option::of(any_poll()),
        proptest::option::of(any_peer()),
        any::<bool>(),
    );
    let times = (any::<f64>(), any::<u64>());
    let all = (looked.boxed(), stands.boxed(), times);
    all.prop_map(
        |((look, polling, asked, rests_ms), (poll, peer, blocking), (elapsed_ms, polls))| {
            Observed {
                elapsed_ms,
                polls,
                look,
                polling,
                asked,
                rests_ms,
                poll: poll.map(|poll| StandingPoll { peer, ..poll }),
                on_blocking_thread: blocking,
                ..Observed::default()
            }
        },
    )
    .boxed()
}

/// The hosts that it has to do with.
fn any_hosts() -> BoxedStrategy<Observed> {
    let own = (any_peer(), any::<u32>()).prop_map(|(peer, rounds)| OwnSocket { peer, rounds });
    let hosts = (
        proptest::collection::vec(any_peer(), 0..4),
        proptest::collection::vec(any_call(), 0..4),
        proptest::collection::vec(any_total(), 0..3),
        proptest::collection::vec(own, 0..3),
    );
    hosts
        .prop_map(|(sockets, calls, totals, own_sockets)| Observed {
            sockets,
            calls,
            totals,
            own_sockets,
            ..Observed::default()
        })
        .boxed()
}

fn any_observed() -> BoxedStrategy<Observed> {
    let crowd = (any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>());
    let crowd = crowd.prop_map(|(workers, standing, asleep, hog)| Crowd {
        workers,
        standing,
        asleep,
        hog: hog.then(Hog::default),
    });
    let memory = proptest::option::of(memory_growth::tests::any_memory()).boxed();
    let all = (any_polled(), any_hosts(), crowd.boxed(), memory);
    all.prop_map(|(polled, hosts, crowd, memory)| Observed {
        sockets: hosts.sockets,
        calls: hosts.calls,
        totals: hosts.totals,
        own_sockets: hosts.own_sockets,
        crowd,
        memory,
        ..polled
    })
    .boxed()
}

proptest! {
    #[test]
    fn no_evidence_makes_a_rule_panic_or_overclaim(observed in any_observed()) {
        let verdict = judge(&observed);
        if matches!(verdict.class, Class::UnreachableHost | Class::SilentPeer) {
            prop_assert!(verdict.peer.is_some(), "a host without a name");
            let candidates = observed.sockets.len();
            let called = observed.calls.len();
            prop_assert!(observed.poll.is_some() || candidates + called > 0);
        }
        if verdict.class == Class::PoolWait {
            prop_assert_eq!(verdict.role == Role::Victim, verdict.victim_of.is_some());
        }
        if verdict.confidence == Confidence::Proved {
            match verdict.class {
                Class::CpuLoop | Class::BlockedThread => {
                    let poll = observed.poll.expect("proved about a poll that is not there");
                    prop_assert!(poll.samples >= 5 && poll.shared_frames > 0);
                    let ran = verdict.class != Class::CpuLoop || poll.cpu_ms >= Some(observed.slow_after_ms) || poll.cpu_ms >= Some(0.5 * poll.window_ms);
                    prop_assert!(ran, "proved to loop, and hardly had a CPU");
                }
                Class::Starved => prop_assert!(observed.crowd.all_stand()),
                Class::SpinLoop => {
                    let polling = observed.polling.expect("proved about polls that nobody counted");
                    prop_assert!(observed.poll.is_none() && polling.captures > 0);
                    prop_assert!(polling.woke_itself == polling.captures && polling.frames_per_second <= 0.0);
                }
                Class::UnreachableHost => {
                    let polled: Vec<_> = observed.calls.iter().filter(|c| c.polled).collect();
                    prop_assert!(polled.len() == 1 && is_seen_connecting(polled[0]));
                }
                Class::MemoryGrowth => {
                    let memory = observed.memory.expect("proved about memory that nobody counted");
                    prop_assert!(memory_growth::tests::may_be_proved(&memory));
                }
                other => prop_assert!(false, "{other} cannot be proved yet"),
            }
        }
    }
}
