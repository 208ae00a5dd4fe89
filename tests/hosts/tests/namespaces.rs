//! Faults of a network, of a name server and of a clock, which take a network, an `/etc` or a clock of
//! one's own: each test makes them, in namespaces, and runs `inside` there.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use redhanded::report::{Class, Event, Peer, Report, Role, Verdict};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// All that `inside` waits for, and some more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A neighbour that is known and not there, so that what is sent to it is not answered by anybody. The
/// far end of the wire takes nothing that is for another.
const SWALLOWED: &str = "
    ip link set lo up
    ip link add near type veth peer name far
    ip addr add 10.99.0.1/24 dev near
    ip link set near up
    ip link set far up
    ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev near nud permanent
";

/// An `/etc` with nothing else in it, whatever the machine's own asks for names. The resolver gives up
/// after a minute, which is later than anybody here.
const UNNAMED: &str = "
    ip link set lo up
    mount -t tmpfs etc /etc
    printf 'nameserver 127.0.0.1\\noptions timeout:30 attempts:2\\n' >/etc/resolv.conf
    echo hosts: dns >/etc/nsswitch.conf
";

const LOOPBACK: &str = "ip link set lo up";

/// Standard error itself, since the harness keeps what a test says that passes; in one piece, since others
/// write there too.
fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// The reports of a case in namespaces that `set_up` has made; `None` where that is not allowed.
fn inside(set_up: &str, case: &str) -> Option<Vec<Report>> {
    let may = Command::new("unshare")
        .args(["-n", "-m", "true"])
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        skipped(&format!(
            "{case}: needs namespaces of its own, which are not allowed here"
        ));
        return None;
    }
    let script = format!("{set_up}\nexec \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["-n", "-m", "sh", "-ec", &script, "sh"])
        .args([env!("CARGO_BIN_EXE_inside"), case]);
    Some(reports(command, case))
}

/// What a case says that hangs without us.
fn reports(mut command: Command, case: &str) -> Vec<Report> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = finish(child, case);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("bare: hangs"), "{case}");
    let reports = lines.map(|line| serde_json::from_str(line).unwrap());
    reports.collect()
}

/// What a process says that ends by itself, and well. One that does not is ended.
fn finish(mut child: Child, case: &str) -> String {
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let read = |from: &mut dyn Read| {
        let mut said = String::new();
        from.read_to_string(&mut said).unwrap();
        said
    };
    std::thread::scope(|scope| {
        let said = scope.spawn(|| read(&mut stdout));
        let complained = scope.spawn(|| read(&mut stderr));
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let (said, complained) = (said.join().unwrap(), complained.join().unwrap());
        assert!(
            status.is_some_and(|status| status.success()),
            "{case}: {status:?}\n{said}\n{complained}"
        );
        said
    })
}

/// Whatever the case, it is the call's own fault, found in the code that makes it.
#[track_caller]
fn accused(report: &Report, class: Class, own_code: &str) -> (Verdict, Peer) {
    let verdict = report.verdict.clone().unwrap();
    assert_eq!(
        (verdict.class, verdict.role),
        (class, Role::Culprit),
        "{}",
        verdict.cause
    );
    let culprit = verdict.culprit.clone().unwrap_or_default();
    assert!(culprit.function.contains(own_code), "{culprit:?}");
    let peer = verdict.peer.clone().unwrap_or_default();
    let (of_all, of_phase) = (report.elapsed_ms.unwrap(), peer.elapsed_ms.unwrap());
    assert!(
        0.0 < of_phase && of_phase <= of_all && of_all < 60_000.0,
        "{of_phase} ms of {of_all} ms"
    );
    (verdict, peer)
}

fn swallowed(case: &str) {
    let Some(reports) = inside(SWALLOWED, case) else {
        return;
    };
    let (verdict, peer) = accused(
        &reports[0],
        Class::UnreachableHost,
        "redhanded_hosts::clients::by_",
    );
    assert_eq!(
        (
            peer.name.as_deref(),
            peer.port,
            peer.phase.as_deref(),
            peer.address.as_deref(),
            peer.state.as_deref()
        ),
        (
            Some("db.example.com"),
            Some(8080),
            Some("connect"),
            Some("10.99.0.2"),
            Some("SYN_SENT")
        ),
        "{}",
        verdict.cause
    );
}

#[test]
fn packets_are_swallowed_of_hyper() {
    swallowed("swallowed-hyper");
}

#[test]
fn packets_are_swallowed_of_reqwest() {
    swallowed("swallowed-reqwest");
}

#[test]
fn packets_are_swallowed_of_tonic() {
    swallowed("swallowed-tonic");
}

fn unnamed(case: &str) {
    let Some(reports) = inside(UNNAMED, case) else {
        return;
    };
    let (verdict, peer) = accused(&reports[0], Class::UnreachableHost, "inside::");
    assert_eq!(
        (peer.name.as_deref(), peer.port, peer.phase.as_deref()),
        (Some("db.example.com"), Some(8080), Some("dns")),
        "{}",
        verdict.cause
    );
}

#[test]
fn a_name_server_is_silent_to_tcp() {
    unnamed("name-tcp");
}

#[test]
fn a_name_server_is_silent_to_a_resolver() {
    unnamed("name-resolver");
}

#[test]
fn a_name_server_is_silent_to_reqwest() {
    unnamed("name-reqwest");
}

#[test]
fn a_link_goes_down_in_the_middle_of_an_answer() {
    let Some(reports) = inside(LOOPBACK, "cut") else {
        return;
    };
    let (verdict, peer) = accused(&reports[0], Class::SilentPeer, "inside::");
    assert_eq!(
        (
            peer.address.as_deref(),
            peer.phase.as_deref(),
            peer.state.as_deref()
        ),
        (Some("127.0.0.1"), Some("read_body"), Some("ESTABLISHED")),
        "{}",
        verdict.cause
    );
    let calls = &reports[0].evidence.as_ref().unwrap().outbound;
    let call = calls.iter().find(|call| call.open).unwrap();
    assert_eq!((call.status, call.received_bytes), (Some(200), Some(17)));
}

/// Debian has it in a directory that nothing looks into by itself.
fn libfaketime() -> Option<PathBuf> {
    let machines = std::fs::read_dir("/usr/lib").ok()?;
    let all = machines.flatten();
    let mut all = all.map(|machine| machine.path().join("faketime/libfaketimeMT.so.1"));
    all.find(|library| library.exists())
}

/// The time of day is for whoever reads; ages are measured by a clock that nobody sets.
fn stepped(case: &str) {
    let Some(library) = libfaketime() else {
        skipped(&format!("{case}: needs libfaketime, of Debian's faketime"));
        return;
    };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(case);
    std::fs::write(&file, "+0d").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_inside"));
    command
        .arg(case)
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1")
        // It has had both names.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    let reports = reports(command, case);
    let [caught, updated] = &*reports else {
        panic!("two reports, not {reports:?}");
    };
    assert_eq!(
        (caught.event, updated.event),
        (Event::Caught, Event::Updated)
    );
    assert_eq!(caught.id, updated.id);
    let ages = [caught, updated].map(|report| {
        let (verdict, peer) = accused(report, Class::SilentPeer, "inside::");
        let phase = peer.phase.as_deref();
        assert_eq!(phase, Some("wait_headers"), "{}", verdict.cause);
        let call = &report.evidence.as_ref().unwrap().outbound[0];
        let phases: f64 = call.phases_ms.values().sum();
        assert!(
            call.phases_ms.values().all(|ms| *ms >= 0.0)
                && phases + peer.elapsed_ms.unwrap() <= report.elapsed_ms.unwrap(),
            "{call:?}"
        );
        (report.elapsed_ms.unwrap(), peer.elapsed_ms.unwrap())
    });
    assert!(ages[0].0 < ages[1].0 && ages[0].1 < ages[1].1, "{ages:?}");
    assert_ne!(
        caught.time[..10],
        updated.time[..10],
        "two days lie between"
    );
}

#[test]
fn the_time_of_day_jumps_forward() {
    stepped("clock-forward");
}

#[test]
fn the_time_of_day_jumps_back() {
    stepped("clock-back");
}
