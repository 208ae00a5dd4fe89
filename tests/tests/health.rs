//! Ready and alive by what stands in the process itself, and by nothing else.

use redhanded::report::{Event, Role};
use redhanded_tests::{
    Asked, PATIENCE, SLOW_AFTER, Stall, Supervisor, asked_http, caught, is_ready, told_agent, until,
};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const ANY_PORT: &str = "127.0.0.1:0";
/// From the wedge until it is told; a load balancer that asks five times a second adds its 200 ms.
const SOON: Duration = Duration::from_millis(800);

/// A process that is asked how it is, with its defaults: caught is who runs for two seconds.
struct Asking {
    stall: Stall,
    health: SocketAddr,
    agent: SocketAddr,
}

impl Asking {
    fn of(stalls: &[&str], args: &[&str]) -> Self {
        let start = Stall::of(stalls)
            .args(&["--health", ANY_PORT, "--agent", ANY_PORT])
            .args(&["--slow-after", "2000"])
            .args(args);
        Self::at(start.start())
    }

    fn at(stall: Stall) -> Self {
        let address = |key| stall.told(key).parse().expect("an address");
        let (health, agent) = (address("health"), address("agent"));
        let asking = Self {
            stall,
            health,
            agent,
        };
        asking.is_up();
        asking
    }

    #[track_caller]
    fn is_up(&self) {
        self.stall.is_well();
        let all = until(PATIENCE, || {
            (told_agent(self.agent) == "up 100%\n").then_some(())
        });
        assert!(all.is_some(), "{}", told_agent(self.agent));
        assert!(is_ready(self.health));
    }

    /// Asserts that it becomes ready, or not, within `deadline`; returns when.
    #[track_caller]
    fn becomes(&self, ready: bool, deadline: Duration) -> Duration {
        let begun = Instant::now();
        let found = until(deadline, || (is_ready(self.health) == ready).then_some(()));
        assert!(
            found.is_some(),
            "ready should become {ready} within {deadline:?}: {:?}; the process said:\n{}",
            asked_http(self.health, "/health"),
            self.stall.stderr()
        );
        begun.elapsed()
    }

    /// Asserts that for so long it is ready and alive whenever it is asked.
    #[track_caller]
    fn stays_ready(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let (status, body) = asked_http(self.health, "/health");
            assert_eq!(status, 200, "{body}");
            assert_eq!(asked_http(self.health, "/live").0, 200);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn keep(&self, targets: &[&str]) -> Vec<Asked> {
        targets
            .iter()
            .map(|target| self.stall.get(target))
            .collect()
    }
}

#[test]
fn loops_on_all_workers_make_it_unready_at_once_and_ready_again_afterwards() {
    let node = Asking::of(&["busy"], &[]);
    let mut asked = node.keep(&["/busy/3000", "/busy/3000"]);
    let took = node.becomes(false, SOON);
    eprintln!("not ready after {took:?}");
    let (status, body) = asked_http(node.health, "/health");
    assert_eq!(status, 503);
    let health: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(health["culprit"]["class"], "cpu_loop", "{body}");
    assert_eq!(health["culprit"]["route"], "/busy/{id}", "{body}");
    assert_eq!(health["alive"], true);
    assert!(!body.contains("3000"), "no path and no parameter: {body}");
    let agent = told_agent(node.agent);
    assert!(agent.starts_with("up 0% #all 2 workers"), "{agent}");
    for asked in &mut asked {
        assert_eq!(asked.status_within(PATIENCE), Some(200));
    }
    assert!(!is_ready(node.health), "not in the same moment");
    let calm = node.becomes(true, PATIENCE);
    assert!(calm >= Duration::from_millis(700), "{calm:?}");
    node.is_up();
}

#[test]
fn a_loop_on_half_of_the_workers_halves_its_weight_and_then_drains_it() {
    let node = Asking::of(&["spin"], &[]);
    let _loops = node.keep(&["/spin/1"]);
    let half = until(Duration::from_secs(2), || {
        (told_agent(node.agent) == "up 50%\n").then_some(())
    });
    assert!(half.is_some(), "{}", told_agent(node.agent));
    assert!(is_ready(node.health), "not so soon");
    let took = node.becomes(false, Duration::from_secs(6));
    assert!(took > Duration::from_millis(1500), "{took:?}");
    let agent = told_agent(node.agent);
    assert!(agent.starts_with("up 0% #1 of 2 workers"), "{agent}");
    // The one that is free still serves.
    node.stall.is_well();
    let answer = node.stall.get("/ready").status_within(PATIENCE);
    assert_eq!(answer, Some(503), "the handler tells it as well");
}

#[test]
fn one_thread_that_loops_is_all_there_is() {
    let node = Asking::of(&["spin"], &["--current-thread"]);
    let _loops = node.keep(&["/spin/1"]);
    node.becomes(false, SOON);
    let agent = told_agent(node.agent);
    assert!(agent.starts_with("up 0% #the only worker"), "{agent}");
}

#[test]
fn a_deadlock_on_all_workers_is_their_own_doing() {
    let node = Asking::of(&["std_mutex"], &[]);
    let _locks = node.keep(&["/std_mutex/1", "/std_mutex/2"]);
    node.becomes(false, SOON);
    let (_, body) = asked_http(node.health, "/health");
    assert!(body.contains("blocked_thread"), "{body}");
}

/// The whole fleet would be drained with it.
#[track_caller]
fn stays_ready_in(stall: &str, args: &[&str]) {
    let node = Asking::of(&[stall], args);
    let targets: Vec<String> = (0..4).map(|n| format!("/{stall}/{n}")).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let _waits = node.keep(&targets);
    node.stays_ready(Duration::from_millis(4_500));
    assert_eq!(told_agent(node.agent), "up 100%\n");
}

#[test]
fn workers_that_read_from_a_silent_host_leave_it_ready() {
    stays_ready_in("std_read", &["--restart-after", "1000"]);
}

#[test]
fn workers_that_connect_to_a_host_that_does_not_answer_leave_it_ready() {
    stays_ready_in("std_connect", &[]);
}

#[test]
fn workers_that_wait_for_a_pool_leave_it_ready() {
    stays_ready_in("std_pool", &[]);
}

#[test]
fn a_lock_whose_owner_waits_for_a_host_leaves_it_ready() {
    stays_ready_in("locked_read", &[]);
}

#[test]
fn late_requests_leave_it_ready_however_many() {
    let node = Asking::of(&["channel"], &[]);
    let _waits: Vec<_> = (0..200)
        .map(|n| node.stall.get(&format!("/channel/{n}")))
        .collect();
    node.stays_ready(Duration::from_secs(4));
}

#[test]
fn polls_below_the_limit_leave_it_ready() {
    let node = Asking::of(&["busy"], &[]);
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        let mut asked = node.keep(&["/busy/120", "/busy/120"]);
        for asked in &mut asked {
            asked.status_within(PATIENCE);
        }
        assert!(
            is_ready(node.health),
            "{:?}",
            asked_http(node.health, "/health")
        );
    }
}

#[test]
fn a_stop_changes_nothing() {
    let node = Asking::of(&["channel"], &["--restart-after", "1000"]);
    let _waits = node.keep(&["/channel/1"]);
    std::thread::sleep(SLOW_AFTER);
    for _ in 0..2 {
        node.stall.signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(3));
        node.stall.signal(Signal::CONT);
        node.stays_ready(Duration::from_secs(1));
    }
}

#[test]
fn a_stop_in_the_middle_of_a_wedge_is_not_counted() {
    let node = Asking::of(&["spin"], &["--restart-after", "4000"]);
    let _loops = node.keep(&["/spin/1", "/spin/2"]);
    node.becomes(false, SOON);
    node.stall.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(5));
    node.stall.signal(Signal::CONT);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        asked_http(node.health, "/live").0,
        200,
        "it has stood for a second"
    );
    let dead = until(PATIENCE, || {
        (asked_http(node.health, "/live").0 == 503).then_some(())
    });
    assert!(dead.is_some(), "it has stood for four");
    assert!(told_agent(node.agent).starts_with("down #"));
}

#[test]
fn tasks_that_nobody_watches_are_seen_though_no_request_is_in_flight() {
    let node = Asking::of(&["unwatched_loops", "busy"], &[]);
    // A worker is known that has polled a watched request once.
    for asked in &mut node.keep(&["/busy/150", "/busy/150"]) {
        assert_eq!(asked.status_within(PATIENCE), Some(200));
    }
    let status = node
        .stall
        .get("/unwatched_loops/6000")
        .status_within(PATIENCE);
    assert_eq!(status, Some(200));
    node.becomes(false, Duration::from_secs(8));
    node.becomes(true, PATIENCE);
}

#[test]
fn a_shutdown_drains_at_once_and_files_what_is_in_flight() {
    let node = Asking::of(
        &["channel", "nap"],
        &["--shutdown-after", "1500", "--slow-after", "60000"],
    );
    let mut waits: Vec<_> = (0..120)
        .map(|n| node.stall.get(&format!("/channel/{n}")))
        .collect();
    assert_eq!(node.stall.told("shutdown"), "true");
    waits.clear();
    let records = node.stall.records();
    let caught: Vec<_> = records
        .iter()
        .filter(|r| r.event == Event::Caught)
        .collect();
    let ours = |cause: &str| cause.starts_with("in flight when the process was shut down");
    let of_ours = caught.iter().filter(|r| {
        let verdict = r.verdict.as_ref();
        verdict.is_some_and(|v| ours(&v.cause) && v.role == Role::Bystander)
    });
    assert_eq!(of_ours.count(), 100, "{}", redhanded_tests::show(&records));
    let process = records.iter().find(|r| r.request.is_none()).expect("a sum");
    let cause = &process.verdict.as_ref().expect("a verdict").cause;
    assert!(
        cause.contains("120 in flight") && cause.contains("20 GET /channel/{id}"),
        "{cause}"
    );
}

#[test]
fn systemd_hears_that_it_is_ready_how_it_is_and_that_it_stops() {
    let mut supervisor = Supervisor::new();
    let start = Stall::of(&["busy"]).args(&["--listener", "--shutdown-after", "6000"]);
    let stall = supervisor.start(start, None);
    supervisor.hears("READY=1");
    supervisor.hears("STATUS=ready");
    let _busy = (stall.get("/busy/2000"), stall.get("/busy/2000"));
    let status = supervisor.hears("STATUS=not ready");
    assert!(status.contains("cpu_loop GET /busy/{id}"), "{status}");
    assert!(!status.contains("2000"), "{status}");
    supervisor.hears("STOPPING=1");
    assert!(!supervisor.has_heard("WATCHDOG=1"), "nobody asked for it");
    assert_eq!(stall.told("shutdown"), "true");
}

#[test]
fn somebody_elses_watchdog_is_not_fed() {
    let mut supervisor = Supervisor::new();
    let start = Stall::of(&["busy"])
        .args(&["--listener"])
        .env("WATCHDOG_PID", "1");
    let _stall = supervisor.start(start, Some(Duration::from_millis(400)));
    supervisor.hears("READY=1");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!supervisor.has_heard("WATCHDOG=1"));
}

#[test]
fn a_wedged_process_starves_its_supervisor_which_restarts_it_with_the_evidence_on_disk() {
    const WATCHDOG: Duration = Duration::from_secs(1);
    let mut supervisor = Supervisor::new();
    let start = || {
        Stall::of(&["spin"]).args(&[
            "--listener",
            "--restart-after",
            "2500",
            "--slow-after",
            "1000",
        ])
    };
    let mut stall = supervisor.start(start(), Some(WATCHDOG));
    supervisor.hears("WATCHDOG=1");
    let well = Instant::now();
    while well.elapsed() < Duration::from_secs(2) {
        assert!(!supervisor.misses(well, WATCHDOG), "it is well");
        std::thread::sleep(Duration::from_millis(50));
    }
    let wedged = Instant::now();
    let _loops = (stall.get("/spin/1?q=a"), stall.get("/spin/2?q=b"));
    let missed = until(PATIENCE, || supervisor.misses(well, WATCHDOG).then_some(()));
    assert!(missed.is_some(), "it is not alive, and must not say so");
    assert!(
        wedged.elapsed() >= Duration::from_millis(2500),
        "not too soon"
    );
    let evidence = caught(&stall, "/spin/1").record();
    assert!(evidence.verdict.is_some());
    supervisor.ends(&mut stall);
    let again = supervisor.start(start(), Some(WATCHDOG));
    supervisor.hears("READY=1");
    again.is_well();
}
