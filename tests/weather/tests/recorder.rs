//! Every way in which a process can die, and what its flight recorder tells then: by the command, and at the next start.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use redhanded::report::recorder::{Recording, read};
use redhanded::report::{Event, Phase, Report};
use redhanded_weather::{
    Doomed, Files, MemoryGroup, PATIENCE, Place, Said, number_in, sibling, until,
};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

const ABORTED: i32 = 6;
const KILLED: i32 = 9;
const SEGMENTATION_FAULT: i32 = 11;
/// Requests 0 to 2 are caught, 3 to 5 are too young.
const CAUGHT: u64 = 3;
const ALL: u64 = 6;

/// A process with three requests that were caught and three that were not.
fn doomed(command: Command, files: &Files) -> Doomed {
    let mut doomed = Doomed::start(command, files, 0, &[]);
    doomed.say("rest /old 3");
    doomed.wait(|said| said.caught().count() as u64 == CAUGHT);
    doomed.say("rest /young 3");
    doomed.wait(|said| said.in_flight.len() as u64 == ALL);
    // The watchdog comes by once a second, also to those that are not late.
    let seen = until(PATIENCE, || {
        let (recording, _) = files.recording().ok()?;
        let all = recording
            .requests
            .iter()
            .all(|request| request.polls == Some(1) && request.phase == Some(Phase::Handler));
        all.then_some(())
    });
    assert!(
        seen.is_some(),
        "all of them are seen: {:?}",
        files.recording()
    );
    doomed
}

/// What is said of a file by `redhanded postmortem`.
fn postmortem(file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(sibling("redhanded"))
        .arg("postmortem")
        .arg(file)
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The file tells all of them, those that were caught with their verdict; and the next start files them.
#[track_caller]
fn all_is_known(said: &Said, files: &Files) {
    let (code, text, _) = postmortem(&files.recorder, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("was killed") && text.contains("6, 3 of them caught"),
        "{text}"
    );
    let (_, json, _) = postmortem(&files.recorder, &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["state"], "killed");
    let requests = told["requests"].as_array().unwrap();
    assert_eq!(requests.len() as u64, ALL, "{json}");
    let ages: Vec<f64> = requests
        .iter()
        .map(|request| request["elapsed_ms"].as_f64().unwrap())
        .collect();
    assert!(
        ages.is_sorted_by(|older, younger| older >= younger),
        "{ages:?}"
    );
    let mut numbers = BTreeSet::new();
    for request in requests {
        let url = request["url"].as_str().unwrap();
        let number = number_in(url).unwrap();
        let route = if number < CAUGHT { "/old" } else { "/young" };
        assert_eq!(url, format!("{route}?n={number}&token=REDACTED&x=a%20b"));
        assert_eq!(request["caught"].is_object(), number < CAUGHT, "{json}");
        numbers.insert(number);
    }
    assert_eq!(numbers, (0..ALL).collect());
    let ids: BTreeSet<&str> = said.caught().map(|(id, _)| id).collect();
    let died = died_at_next_start(files);
    assert_eq!(died.len() as u64, ALL);
    for report in &died {
        let number = number_in(&report.request.as_ref().unwrap().url).unwrap();
        let has_verdict = report
            .verdict
            .as_ref()
            .is_some_and(|verdict| !verdict.cause.is_empty());
        assert_eq!(has_verdict, number < CAUGHT, "{report:?}");
        assert_eq!(
            ids.contains(report.id.as_str()),
            number < CAUGHT,
            "they keep their ids"
        );
        // Only what was recorded before the line was written has it.
        assert_eq!(report.fingerprint.is_some(), number < CAUGHT, "{report:?}");
        let death = report.died.as_ref().unwrap();
        assert_eq!((death.caught, death.shut_down), (number < CAUGHT, false));
    }
    assert!(!fs::read_to_string(&files.log).unwrap().contains("SECRET"));
}

fn died_at_next_start(files: &Files) -> Vec<Report> {
    let mut next = Doomed::start(Command::new("env"), files, 1000, &[]);
    next.say("flush 20000");
    assert_eq!(next.answer("flushed"), "true");
    let told = next.kill();
    let text = fs::read_to_string(&files.log).unwrap();
    let reports = text
        .lines()
        .map(|line| serde_json::from_str::<Report>(line).unwrap());
    let died: Vec<Report> = reports
        .filter(|report| report.event == Event::Died)
        .collect();
    let heard = told.lines.iter().filter(|(event, ..)| event == "died");
    assert_eq!(heard.count(), died.len(), "sinks hear of them, too");
    died
}

/// Dies by its own hand, as it is told to.
#[track_caller]
fn dies(how: &str, signal: i32) {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::at(directory.path());
    let mut doomed = doomed(Command::new("env"), &files);
    doomed.say(&format!("die {how}"));
    let (status, said) = doomed.death();
    assert_signal(status, signal);
    all_is_known(&said, &files);
}

#[track_caller]
fn assert_signal(status: ExitStatus, signal: i32) {
    assert_eq!(status.signal(), Some(signal), "{status}");
}

#[test]
fn a_kill_leaves_what_was_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::at(directory.path());
    let doomed = doomed(Command::new("env"), &files);
    // While it lives, somebody may look.
    let (code, text, _) = postmortem(&files.recorder, &[]);
    assert!(
        code == Some(0) && text.contains(&format!("process {} lives", doomed.pid())),
        "{text}"
    );
    let copy = directory.path().join("copy.rh");
    fs::copy(&files.recorder, &copy).unwrap();
    let (_, text, _) = postmortem(&copy, &[]);
    assert!(text.contains("lives; this is a copy"), "{text}");
    let said = doomed.kill();
    all_is_known(&said, &files);
    let (_, text, _) = postmortem(&copy, &[]);
    assert!(text.contains("was killed"), "{text}");
    assert!(
        files.recorder.with_extension("rh.1").exists(),
        "the file is kept"
    );
}

#[test]
fn an_abort_leaves_what_was_in_flight() {
    dies("abort", ABORTED);
}

/// What `panic = "abort"` makes of every panic, the language makes of one that may not unwind.
#[test]
fn a_panic_that_aborts_leaves_what_was_in_flight() {
    dies("panic", ABORTED);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_segmentation_fault_leaves_what_was_in_flight() {
    dies("null", SEGMENTATION_FAULT);
}

#[test]
fn an_oom_kill_leaves_what_was_in_flight() {
    let Some(group) = MemoryGroup::new(96 << 20) else {
        eprintln!("SKIPPED: no memory control group can be made here");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let files = Files::at(directory.path());
    let mut doomed = doomed(group.command(), &files);
    doomed.say("die eat");
    let (status, said) = doomed.death();
    assert_signal(status, KILLED);
    assert!(group.kills() > 0, "the kernel killed it for its memory");
    all_is_known(&said, &files);
}

#[test]
fn a_shutdown_leaves_only_what_did_not_end() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::at(directory.path());
    let mut first = Doomed::start(Command::new("env"), &files, 0, &[]);
    first.say("shutdown");
    first.answer("shutdown");
    drop(first);
    assert_eq!(died_at_next_start(&files).len(), 0);
    let mut second = doomed(Command::new("env"), &files);
    second.say("shutdown");
    second.answer("shutdown");
    drop(second);
    let died = died_at_next_start(&files);
    assert_eq!(died.len() as u64, ALL);
    assert!(
        died.iter()
            .all(|report| report.died.as_ref().unwrap().shut_down)
    );
}

#[test]
fn a_second_process_on_one_path_is_refused_with_the_pid_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::at(directory.path());
    let first = doomed(Command::new("env"), &files);
    let second = Doomed::start(Command::new("env"), &files, 0, &[]);
    let refused = second.answer("refused");
    let pid = format!("process {}, which runs", first.pid());
    for part in [files.recorder.to_str().unwrap(), &pid, "a path of its own"] {
        assert!(refused.contains(part), "{refused} lacks {part}");
    }
    let said = first.kill();
    all_is_known(&said, &files);
}

#[test]
fn a_full_disk_is_an_error_at_the_start_and_no_bus_error_later() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        r#"mount -t tmpfs -o size=1m none "{}" && exec "$@""#,
        disk.display()
    );
    let in_own_mounts = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command
    };
    if !in_own_mounts()
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("SKIPPED: nothing can be mounted here");
        return;
    }
    let files = Files {
        log: directory.path().join("slow.jsonl"),
        recorder: disk.join("requests.rh"),
    };
    // 8 MiB do not fit.
    let refused = Doomed::start(in_own_mounts(), &files, 0, &[]);
    let why = refused.answer("refused");
    for part in [
        files.recorder.to_str().unwrap(),
        "there must be room for all of it",
        "No space left",
    ] {
        assert!(why.contains(part), "{why} lacks {part}");
    }
    let (status, _) = refused.death();
    assert_eq!(status.code(), Some(1), "{status}");
    // What fits is all taken at once: filling up the rest afterwards harms nobody.
    let mut fits = Doomed::start(in_own_mounts(), &files, 0, &["--records", "400"]);
    fits.answer("ready");
    let root = format!("/proc/{}/root{}", fits.pid(), disk.display());
    let filled = fs::write(format!("{root}/filler"), vec![1; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");
    fits.say("rest /young 400");
    fits.wait(|said| said.in_flight.len() == 400);
    let recording = read(&fs::read(format!("{root}/requests.rh")).unwrap()).unwrap();
    assert_eq!(recording.requests.len(), 400);
}

/// A disk of its own, whose image is copied as it is: what was not synced is in the kernel's memory, and not in the copy.
#[test]
fn what_was_there_at_the_last_sync_survives_a_power_cut() {
    let Some(place) = Place::new() else {
        return;
    };
    place.make_disk();
    place.mount_disk();
    let files = Files::at(&place.disk());
    // The log is on the same disk; only the recorder is of interest here.
    let more = ["--records", "64", "--sync-every", "20"];
    let mut doomed = Doomed::start(place.command(), &files, 0, &more);
    doomed.say("rest /young 3");
    doomed.wait(|said| said.in_flight.len() == 3);
    let live = || read(&fs::read(place.seen(&files.recorder)).unwrap()).unwrap();
    let synced = until(PATIENCE, || {
        let recording = live();
        let youngest = recording
            .requests
            .iter()
            .map(|request| request.started_ns)
            .max()?;
        // A record is written a moment after its request began.
        (recording.header.synced_ns > youngest + 100_000_000).then_some(recording)
    });
    let synced = synced.expect("it says that it has synced");
    // Not a byte is written from here on.
    let pid = doomed.pid().to_string();
    assert!(
        Command::new("kill")
            .args(["-STOP", &pid])
            .status()
            .unwrap()
            .success()
    );
    let after = place.cut_power().join(files.recorder.file_name().unwrap());
    let left = read(&fs::read(place.seen(&after)).unwrap()).unwrap();
    let urls = |recording: &Recording| {
        let requests = recording.requests.iter();
        requests.map(|request| request.asked()).collect::<Vec<_>>()
    };
    assert_eq!(
        urls(&left),
        urls(&synced),
        "all that was in flight at the sync"
    );
    assert_eq!((left.requests.len(), left.torn), (3, 0));
    assert_eq!(left.header.made_ns, synced.header.made_ns);
}
