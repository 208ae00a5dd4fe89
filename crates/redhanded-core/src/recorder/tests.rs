//! A process cannot die in its own tests: its file is copied as it is at some moment, which is what a kill leaves.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use crate::config::{Config, FlightRecorder};
use crate::engine::Engine;
use crate::recorder::{self, Opened};
use crate::redact::Redactor;
use crate::sink::Sink;
use crate::ticket::{Copying, Ticket};
use crate::{Installed, install};
use parking_lot::Mutex;
use redhanded_report::recorder::layout::{HEADER_BYTES, MAGIC, RECORD_BYTES};
use redhanded_report::recorder::{Recording, read};
use redhanded_report::{Event, How, Report};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn here() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("requests.rh");
    (directory, path)
}

fn opened(asked: &FlightRecorder) -> Result<Opened, crate::Error> {
    recorder::open(asked, &Config::new("shop").service, Redactor::new(["pin"]))
}

fn engine(asked: &FlightRecorder) -> &'static Engine {
    Engine::new(Config::new("shop"), Some(opened(asked).unwrap().recorder))
}

fn asked(engine: &'static Engine, target: &str, route: &str) -> Ticket {
    engine.open(None, |copy: &mut Copying<'_>| {
        copy.method("GET");
        copy.target(target);
        copy.host(b"shop.example");
        copy.route(route);
    })
}

fn recording(path: &Path) -> Recording {
    read(&fs::read(path).unwrap()).unwrap()
}

fn urls(path: &Path) -> Vec<String> {
    let requests = recording(path).requests;
    requests.iter().map(|request| request.asked()).collect()
}

#[test]
fn a_request_is_in_the_file_as_long_as_it_is_in_flight() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let first = asked(engine, "/search?q=x&page=2", "/search");
    let second = asked(engine, "/users/7", "/users/{id}");
    assert_eq!(
        urls(&path),
        [
            "GET http://shop.example/search?q=x&page=2",
            "GET http://shop.example/users/7"
        ]
    );
    drop(first);
    assert_eq!(urls(&path), ["GET http://shop.example/users/7"]);
    let mut second = second;
    second.end(How::Completed);
    let recording = recording(&path);
    assert_eq!((recording.requests.len(), recording.torn), (0, 0));
    assert_eq!(recording.header.service.name, "shop");
    assert_eq!(recording.header.service.pid, Some(std::process::id()));
}

#[test]
fn no_secret_is_ever_in_the_file() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let tickets: Vec<Ticket> = [
        ("/a?token=SECRET1&q=x", "/a"),
        ("/reset/SECRET2", "/reset/{token}"),
        ("/b?pin=SECRET3", "/b"),
        ("/c?next=https%3A%2F%2Fu%3ASECRET4%40host%2F", "/c"),
        ("http://user:SECRET5@host/d", "/d"),
    ]
    .into_iter()
    .map(|(target, route)| asked(engine, target, route))
    .collect();
    let mut host = engine.open(None, |copy| {
        copy.method("GET");
        copy.target("/e");
        copy.host(b"user:SECRET6@host");
        copy.traceparent(b"SECRET7SECRET7SECRET7SECRET7SECRET7SECRET7SECRET7SECRET");
        copy.request_id(b"SECRET8");
        copy.header(0, b"SECRET9");
    });
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"SECRET"));
    let urls = urls(&path);
    assert_eq!(urls.len(), 6);
    assert_eq!(urls[0], "GET http://shop.example/a?token=REDACTED&q=x");
    assert_eq!(urls[1], "GET http://shop.example/reset/REDACTED");
    assert_eq!(urls[5], "GET http://REDACTED@host/e");
    host.end(How::Completed);
    drop(tickets);
}

#[test]
fn a_job_has_its_name_and_its_parameters() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let job = crate::Job::new(Some(engine), "mail");
    let job = job.param("id", 7).param("token", "SECRET");
    let running = job.run(std::future::pending::<()>());
    let requests = recording(&path).requests;
    assert_eq!(requests[0].asked(), "JOB mail");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        requests[0].params,
        [pair("id", "7"), pair("token", "REDACTED")]
    );
    assert!(
        !fs::read(&path)
            .unwrap()
            .windows(6)
            .any(|window| window == b"SECRET")
    );
    drop(running);
    assert_eq!(recording(&path).requests.len(), 0);
}

#[test]
fn facts_in_another_order_are_recorded_as_well() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let _ticket = engine.open(None, |copy| {
        copy.client(([127, 0, 0, 1], 80).into());
        copy.method("GET");
        copy.target("/h2?x=1");
        copy.host(b"h2.example");
        copy.https();
        copy.route("/h2");
        copy.header(0, b"curl");
        copy.traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    });
    let request = &recording(&path).requests[0];
    assert_eq!(request.asked(), "GET https://h2.example/h2?x=1");
    assert_eq!(request.route.as_deref(), Some("/h2"));
    assert!(request.traceparent.is_some());
}

#[test]
fn who_learns_its_route_later_is_recorded_anew() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let ticket = engine.open(None, |copy| {
        copy.method("GET");
        copy.target("/reset/abc");
    });
    assert_eq!(urls(&path), ["GET /reset/abc"]);
    let inside = ticket.enter();
    assert!(engine.is_open_here("GET", "/reset/abc", Some("/reset/{token}")));
    inside.leave();
    assert_eq!(urls(&path), ["GET /reset/REDACTED"]);
}

#[test]
fn a_long_url_is_cut_and_says_so() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let target = format!("/{}", "a".repeat(2_000));
    let odd = format!("/{}%41", "b".repeat(2_000));
    let _tickets = [
        asked(engine, &target, "/{*rest}"),
        asked(engine, &odd, "/{*rest}"),
    ];
    for request in recording(&path).requests {
        assert_eq!(
            (request.target.len(), request.host.as_deref()),
            (512, Some(&b"shop.example"[..]))
        );
        assert!(request.target_bytes >= 2_001 && request.url().ends_with('…'));
    }
}

#[test]
fn what_has_no_record_is_counted_and_records_that_rest_are_used_again() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(4));
    let mut tickets: Vec<Ticket> = (0..7)
        .map(|n| asked(engine, &format!("/{n}"), "/{n}"))
        .collect();
    let header = recording(&path).header;
    assert_eq!((header.unrecorded, header.unrecorded_now), (3, 3));
    assert_eq!(engine.stats().unrecorded, 3);
    assert_eq!(urls(&path).len(), 4);
    tickets.drain(..4);
    assert_eq!(urls(&path).len(), 0);
    // The slots of the others have no record of their own: they take over those that rest.
    let fresh: Vec<Ticket> = (0..4)
        .map(|n| asked(engine, &format!("/new/{n}"), "/new/{n}"))
        .collect();
    assert_eq!(urls(&path).len(), 4);
    drop(tickets);
    let header = recording(&path).header;
    assert_eq!((header.unrecorded, header.unrecorded_now), (3, 0));
    drop(fresh);
    assert_eq!(urls(&path).len(), 0);
}

#[test]
fn a_slot_without_a_record_takes_over_one_that_rests() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(4));
    let mut tickets: Vec<Ticket> = (0..7)
        .map(|n| asked(engine, &format!("/{n}"), "/{n}"))
        .collect();
    // Those without a record end last, and their slots are used again first.
    tickets.drain(..4);
    drop(tickets);
    let _fresh: Vec<Ticket> = (0..3)
        .map(|n| asked(engine, &format!("/new/{n}"), "/new/{n}"))
        .collect();
    assert_eq!(urls(&path).len(), 3);
    assert_eq!(engine.stats().unrecorded, 3, "those of before");
}

#[test]
fn what_grows_by_redaction_is_cut_and_says_so() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(4));
    let target = format!("/?{}", "pin=1&".repeat(80));
    let _ticket = asked(engine, &target, "/");
    let request = &recording(&path).requests[0];
    let clean = format!("/?{}", "pin=REDACTED&".repeat(80));
    assert_eq!(request.target, clean.as_bytes()[..512]);
    assert_eq!(request.target_bytes as usize, clean.len());
}

#[test]
fn facts_that_stand_apart_are_recorded_as_those_that_stand_together() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(8));
    let target = "/reset/abc?x=1";
    for route in ["/reset/{name}", "/reset/{token}"] {
        for apart in [false, true] {
            let _ticket = engine.open(None, |copy| {
                copy.method("GET");
                copy.target(target);
                if apart {
                    copy.client(([127, 0, 0, 1], 80).into());
                }
                copy.route(route);
                copy.request_id(b"1");
                copy.host(b"shop.example");
                copy.traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            });
            let request = &recording(&path).requests[0];
            let name = if route.contains("token") {
                "REDACTED"
            } else {
                "abc"
            };
            assert_eq!(
                request.asked(),
                format!("GET http://shop.example/reset/{name}?x=1")
            );
            assert_eq!(request.route.as_deref(), Some(route));
            assert!(request.traceparent.is_some());
        }
    }
}

#[test]
fn threads_share_the_records_without_tearing_any() {
    let (_directory, path) = here();
    let engine = engine(&FlightRecorder::new(&path).records(16));
    let until = Instant::now() + Duration::from_millis(300);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..u64::MAX {
                    let kept: Vec<Ticket> = (0..8)
                        .map(|n| {
                            asked(
                                engine,
                                &format!("/{thread}/{n}/{round}?q=1"),
                                "/{a}/{b}/{c}",
                            )
                        })
                        .collect();
                    drop(kept);
                    if Instant::now() >= until {
                        break;
                    }
                }
            });
        }
        while Instant::now() < until {
            for request in recording(&path).requests {
                assert!(
                    request.url().starts_with("http://shop.example/"),
                    "{request:?}"
                );
            }
        }
    });
    let left = recording(&path);
    assert_eq!(
        (left.requests.len(), left.torn, left.header.unrecorded_now),
        (0, 0, 0)
    );
}

#[test]
fn the_file_of_a_living_process_is_refused_with_its_pid() {
    let (_directory, path) = here();
    let asked = FlightRecorder::new(&path).records(4);
    let first = opened(&asked).unwrap();
    let error = opened(&asked).err().unwrap().to_string();
    let pid = std::process::id().to_string();
    for part in [path.to_str().unwrap(), &pid, "path of its own"] {
        assert!(
            error.contains(part) || error.contains("give each a path"),
            "{error} lacks {part}"
        );
    }
    assert!(error.contains(&pid), "{error}");
    assert_eq!(
        files(&path),
        ["requests.rh"],
        "nothing is left of the attempt"
    );
    // The mapping keeps the lock for as long as the process lives; a shutdown gives it back.
    first.recorder.shut_down(0);
    opened(&asked).unwrap();
}

fn files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_no_recorder_is_kept_aside_and_said() {
    let (_directory, path) = here();
    let asked = FlightRecorder::new(&path).records(4);
    for n in 1..=6 {
        fs::write(&path, format!("somebody's notes, {n}")).unwrap();
        let opened = opened(&asked).unwrap();
        assert!(opened.notes[0].contains("somebody"), "{:?}", opened.notes);
        assert!(opened.untold.is_empty());
        opened.recorder.shut_down(0);
    }
    let kept: Vec<String> = (3..=6)
        .map(|n| format!("requests.rh.unreadable.{n}"))
        .collect();
    assert_eq!(files(&path)[1..], kept, "the four youngest");
    assert_eq!(
        fs::read_to_string(path.with_extension("rh.unreadable.6")).unwrap(),
        "somebody's notes, 6"
    );
}

#[test]
fn another_version_is_never_misread() {
    let (_directory, path) = here();
    let asked_for = FlightRecorder::new(&path).records(4);
    let engine = engine(&asked_for);
    let _ticket = asked(engine, "/x", "/x");
    let copy = path.with_file_name("copy.rh");
    for (at, part) in [(16, "format"), (8, "byte order")] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[at..at + 8].reverse();
        fs::write(&copy, bytes).unwrap();
        let opened = opened(&FlightRecorder::new(&copy).records(4)).unwrap();
        assert!(opened.notes[0].contains(part), "{:?}", opened.notes);
        assert!(opened.untold.is_empty());
        opened.recorder.shut_down(0);
    }
}

#[test]
fn a_path_that_cannot_be_used_is_an_error_that_names_it() {
    let (directory, path) = here();
    let missing = directory.path().join("missing/requests.rh");
    let pipe = directory.path().join("pipe");
    std::os::unix::fs::symlink(&path, &pipe).unwrap();
    for bad in [missing.as_path(), directory.path(), &pipe, Path::new("/")] {
        let error = opened(&FlightRecorder::new(bad)).err().unwrap().to_string();
        assert!(
            error.contains(&format!("{bad:?}")) && error.contains("give a"),
            "{error}"
        );
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Report>>>);

impl Sink for Heard {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.0.lock().push(Report::clone(report));
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

fn installed(path: &Path, log: &Path) -> (Installed, Heard) {
    let mut config = Config::new("shop");
    config.service.pid = Some(std::process::id());
    config.log = crate::Log::Path(log.to_owned());
    config.flight_recorder = Some(FlightRecorder::new(path).records(200));
    let heard = Heard::default();
    let (installed, warnings) = install(config, vec![Box::new(heard.clone())]).unwrap();
    assert_eq!(warnings, [""; 0]);
    (installed, heard)
}

#[test]
fn the_next_start_files_what_died_once_and_puts_the_file_away() {
    let (directory, path) = here();
    let log = directory.path().join("slow.jsonl");
    let (first, _) = installed(&path, &directory.path().join("first.jsonl"));
    let _tickets: Vec<Ticket> = (0..150)
        .map(|n| asked(first.engine(), &format!("/n/{n}?token=x"), "/n/{n}"))
        .collect();
    let traced = first.engine().open(None, |copy| {
        copy.method("POST");
        copy.target("/traced");
        copy.traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    });
    let copy = directory.path().join("dead.rh");
    fs::copy(&path, &copy).unwrap();
    drop(traced);
    let (second, heard) = installed(&copy, &log);
    assert!(
        second.flight_recorder().contains("151 in flight"),
        "{}",
        second.flight_recorder()
    );
    assert!(second.flush(Duration::from_secs(20)));
    let told = heard.0.lock().clone();
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Report> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((told.len(), lines.len()), (151, 151));
    assert_eq!(told, lines, "sinks hear what is in the log");
    let ids: std::collections::HashSet<_> = lines.iter().map(|line| line.id.clone()).collect();
    assert_eq!(ids.len(), 151);
    let line = &lines[0];
    assert_eq!(line.event, Event::Died);
    assert_eq!(line.service.pid, Some(std::process::id()));
    let request = line.request.as_ref().unwrap();
    assert_eq!(request.url, "http://shop.example/n/0?token=REDACTED");
    assert_eq!(request.route.as_deref(), Some("/n/{n}"));
    assert!(request.started.is_some() && line.elapsed_ms.is_some());
    let died = line.died.as_ref().unwrap();
    assert!(!died.caught && !died.shut_down && !died.last_seen.is_empty());
    let traced = lines.last().unwrap();
    assert_eq!(
        traced.trace_id.as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
    assert_eq!(traced.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert!(
        files(&copy).contains(&"dead.rh.1".to_owned()),
        "{:?}",
        files(&copy)
    );
    assert!(!files(&copy).iter().any(|name| name.contains("untold")));
    assert_eq!(
        recording(&directory.path().join("dead.rh.1"))
            .requests
            .len(),
        151
    );
    second.shutdown(Duration::from_secs(5));
    // A start that is killed before it has put the file away: the same is told again, with the same ids.
    fs::rename(
        directory.path().join("dead.rh.1"),
        directory.path().join("dead.rh.untold.1"),
    )
    .unwrap();
    let (third, heard) = installed(&copy, &directory.path().join("third.jsonl"));
    assert!(third.flush(Duration::from_secs(20)));
    let again: std::collections::HashSet<_> =
        heard.0.lock().iter().map(|line| line.id.clone()).collect();
    assert_eq!(again, ids);
}

#[test]
fn a_shutdown_leaves_nothing_to_be_told() {
    let (directory, path) = here();
    let log = directory.path().join("slow.jsonl");
    let (first, _) = installed(&path, &log);
    drop(asked(first.engine(), "/done", "/done"));
    assert!(first.shutdown(Duration::from_secs(5)));
    let (second, heard) = installed(&path, &log);
    assert!(second.flush(Duration::from_secs(5)));
    assert_eq!(heard.0.lock().len(), 0);
    assert!(
        !files(&path)
            .iter()
            .any(|name| name.starts_with("requests.rh.")),
        "{:?}",
        files(&path)
    );
}

#[test]
fn a_log_that_cannot_be_written_keeps_the_file_for_the_next_start() {
    let (directory, path) = here();
    let (first, _) = installed(&path, &directory.path().join("first.jsonl"));
    let _ticket = asked(first.engine(), "/x", "/x");
    let copy = directory.path().join("dead.rh");
    fs::copy(&path, &copy).unwrap();
    // A full disk that takes an open and no write.
    let mut config = Config::new("shop");
    config.log = crate::Log::Path("/dev/full".into());
    config.flight_recorder = Some(FlightRecorder::new(&copy).records(4));
    if install(config.clone(), Vec::new()).is_ok() {
        panic!("a log must be a regular file, so that this test needs another way");
    }
    assert_eq!(
        recording(&copy).requests.len(),
        1,
        "and the recorder was not touched"
    );
}

#[test]
fn the_size_is_what_the_layout_says() {
    let (_directory, path) = here();
    let _opened = opened(&FlightRecorder::new(&path).records(3)).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), HEADER_BYTES + 3 * RECORD_BYTES);
    assert_eq!(bytes[..8], MAGIC);
    let allocated = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512;
    assert!(allocated >= bytes.len() as u64, "{allocated}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o400,
        "nobody truncates it by a slip"
    );
}
