//! `redhanded tail`: a process that follows a file while others do to it what they do at night.

use crate::run::{Place, caught, command, ended, id, line, log};
use redhanded_report::{Event, Report};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// A running `redhanded tail`, and what it says.
struct Tail {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Tail {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = command(place.0.path())
            .arg("tail")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = listen(child.stdout.take().unwrap());
        let err = listen(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    #[track_caller]
    fn says(&self, part: &str) -> String {
        let line = self.out.recv_timeout(SOON).unwrap();
        assert!(line.contains(part), "{line:?} has no {part:?}");
        line
    }

    #[track_caller]
    fn complains(&self, part: &str) {
        let line = self.err.recv_timeout(SOON).unwrap();
        assert!(line.contains(part), "{line:?} has no {part:?}");
    }

    /// Ends it, and returns what was said and not asked for.
    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.out.iter().chain(self.err.iter()).collect()
    }
}

fn listen(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (say, hear) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if say.send(line).is_err() {
                return;
            }
        }
    });
    hear
}

fn one(number: u32) -> String {
    line(&caught(number, "app::a"))
}

#[test]
fn it_begins_with_the_last_lines_and_follows() {
    let place = Place::new();
    let many: Vec<Report> = (1..=30).map(|number| caught(number, "app::a")).collect();
    place.write("slow-requests.jsonl", log(&many));
    let tail = Tail::start(&place, &["--lines", "2"]);
    tail.says(&id(29));
    let headline = tail.says(&id(30));
    assert_eq!(headline, redhanded_report::headline(&many[29]));
    place.append("slow-requests.jsonl", &one(31));
    tail.says(&id(31));
    place.append("slow-requests.jsonl", &line(&ended(&many[0], 5000.0)));
    tail.says("ended completed with status 200 after 5 s");
    let nothing: [&str; 0] = [];
    assert_eq!(tail.end(), nothing);
}

#[test]
fn a_second_look_is_shown_on_request() {
    let place = Place::new();
    let mut again = caught(1, "app::a");
    again.event = Event::Updated;
    place.write("log", line(&again) + &one(2));
    let tail = Tail::start(&place, &["log"]);
    tail.says(&id(2));
    assert_eq!(tail.end().len(), 0);
    let tail = Tail::start(&place, &["--all", "log"]);
    tail.says("updated CULPRIT");
    tail.says(&id(2));
    tail.end();
}

#[test]
fn it_waits_for_a_log_that_does_not_exist_yet() {
    let place = Place::new();
    let tail = Tail::start(&place, &["--lines", "0", "log"]);
    tail.complains("log: does not exist yet; waiting for it");
    place.append("log", &one(1));
    tail.complains("log: is there");
    tail.says(&id(1));
    assert_eq!(tail.end().len(), 0, "and says so once");
}

#[test]
fn it_waits_for_the_rest_of_a_line() {
    let place = Place::new();
    place.write("log", one(1));
    let tail = Tail::start(&place, &["log"]);
    tail.says(&id(1));
    let second = one(2);
    let (half, rest) = second.split_at(second.len() / 2);
    place.append("log", half);
    // Long enough for several looks; had it spoken, the next lines would not be these.
    assert!(tail.err.recv_timeout(Duration::from_millis(700)).is_err());
    place.append("log", rest);
    tail.says(&id(2));
    let torn = format!("{half}\n{}", one(3));
    place.append("log", &torn);
    tail.says(&id(3));
    tail.complains(&format!(
        "log: line 3, byte {}: skipped: no record: EOF",
        2 * second.len()
    ));
    tail.end();
}

#[test]
fn it_survives_rotation_by_rename_and_create() {
    let place = Place::new();
    place.write("log", one(1));
    let tail = Tail::start(&place, &["log"]);
    tail.says(&id(1));
    std::fs::rename(place.path("log"), place.path("log.1")).unwrap();
    tail.complains("has been renamed or removed; waiting for a new one");
    // Its writer has not noticed yet.
    place.append("log.1", &one(2));
    tail.says(&id(2));
    place.append("log", &one(3));
    tail.complains("a new file has the name");
    tail.says(&id(3));
    place.append("log.1", &one(4));
    tail.says(&id(4));
    place.append("log", &one(5));
    tail.says(&id(5));
    // At once, as redhanded's own rotation does it.
    std::fs::rename(place.path("log"), place.path("log.1")).unwrap();
    place.append("log.1", &one(6));
    place.append("log", &one(7));
    tail.says(&id(6));
    tail.says(&id(7));
    tail.end();
}

#[test]
fn it_survives_rotation_by_copy_and_truncate() {
    let place = Place::new();
    place.write("log", one(1) + &one(2));
    let tail = Tail::start(&place, &["log"]);
    tail.says(&id(1));
    tail.says(&id(2));
    std::fs::copy(place.path("log"), place.path("log.1")).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(place.path("log"))
        .unwrap()
        .set_len(0)
        .unwrap();
    tail.complains("has been truncated; read from its beginning");
    place.append("log", &one(3));
    tail.says(&id(3));
    assert_eq!(tail.end().len(), 0);
}

#[test]
fn records_are_passed_through() {
    let place = Place::new();
    let reports = [caught(1, "app::a"), caught(2, "app::a")];
    place.write("log", format!("foreign\n{}", log(&reports)));
    let tail = Tail::start(&place, &["--json", "log"]);
    for report in &reports {
        let said: Report = serde_json::from_str(&tail.says(&report.id)).unwrap();
        assert_eq!(said, *report);
    }
    tail.complains("skipped");
    tail.end();
}

/// `redhanded tail | head -1` ends although nothing more is ever written.
#[test]
#[cfg(unix)]
fn it_ends_when_its_reader_goes_away() {
    let place = Place::new();
    place.write("log", one(1));
    let mut child = command(place.0.path())
        .args(["tail", "log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    assert!(first.contains(&id(1)), "{first}");
    drop(reader);
    let end = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = child.try_wait().unwrap();
    if status.is_none() {
        child.kill().unwrap();
    }
    let err = child.wait_with_output().unwrap().stderr;
    assert_eq!((status.and_then(|s| s.code()), err), (Some(0), Vec::new()));
}

/// Ctrl-C ends it as it ends any program, in the middle of no line and without a word.
#[test]
#[cfg(unix)]
fn an_interrupt_ends_it_without_a_word() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new();
    place.write("log", one(1));
    let mut tail = Tail::start(&place, &["log"]);
    tail.says(&id(1));
    let pid = tail.child.id().to_string();
    assert!(
        std::process::Command::new("sh")
            .args(["-c", "kill -INT \"$0\"", &pid])
            .status()
            .unwrap()
            .success()
    );
    let status = tail.child.wait().unwrap();
    assert_eq!(status.signal(), Some(2));
    assert_eq!(tail.out.iter().chain(tail.err.iter()).count(), 0);
}
